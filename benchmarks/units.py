"""What the benchmarks that train many small networks have in common: runs that stop and go on, what their folders keep,
and the pipeline around a network that was just trained."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vivace.errors import VivaceError
from vivace.media import replacing
from vivace.pipelines.clip_pipeline import ClipPipeline
from vivace.sampling.presets import Steps
from vivace.training.checkpoint import load_weights
from vivace.training.codec_files import check_codecs, load_codecs, load_vocoder
from vivace.training.joint import JointObjective
from vivace.training.validate import scheduler_of

TEXT_ENCODER = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "feed_forward_proj")
P = TypeVar("P", bound=ClipPipeline)


class StopRequest:
    """Ctrl-C, or the end of the time, noted instead of raised: an interrupt inside of a library may come out as another
    error. `train` listens for itself; everything else asks `check` between its parts."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.asked = minutes, False

    def __enter__(self) -> StopRequest:
        handlers = {signal.SIGINT: self._ask, signal.SIGALRM: lambda *_: signal.raise_signal(signal.SIGINT)}
        self.previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        signal.setitimer(signal.ITIMER_REAL, 60 * self.minutes)
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True

    def check(self) -> None:
        """Raises KeyboardInterrupt once a stop was asked for."""
        if self.asked:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def run_all(name: str, minutes: float, units: Callable[[Callable[[], None]], Iterable[object]]) -> int:
    """Go through the units, which are given what they ask between their parts, and tell of each one on stderr.

    Returns 0 when all is done, 3 when it was stopped before, 2 for what cannot be done.
    """
    try:
        with StopRequest(minutes) as stop:
            for told in units(stop.check):
                print(told, file=sys.stderr)
    except (ValueError, VivaceError) as error:
        print(f"{name}: {str(error).rstrip('.')}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 3
    return 0


def keep_settings(path: Path, text: str, option: str) -> None:
    """Write down what a folder is begun with.

    Raises:
        ValueError: it was begun with something else; `option` names another folder.
    """
    if path.is_file() and path.read_text() != text:
        raise ValueError(f"{path.parent} was begun with other settings; give them again, or another {option}")
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """A whole file or none; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_table(output: Path | None, table: str, found: Mapping[str, Any] | list[Any]) -> None:
    """Print a table, and write it beside its figures as .md and .json where an output is asked for."""
    print(table)
    if output is not None:
        write_text(output.with_suffix(".md"), table.rstrip("\n") + "\n")
        write_text(output.with_suffix(".json"), json.dumps(found, indent=1) + "\n")


def take_averaged(objective: JointObjective, checkpoint: Path) -> None:
    """The averaged weights of a checkpoint, for judging."""
    for name, module in objective.modules().items():
        module.load_state_dict(load_weights(checkpoint, name, ema=True))
        module.eval()


def encoder_of(folder: Path | None, width: int) -> dict[str, Any]:
    """Configuration of the text encoder: that of a run or model folder, or a small new one of this width."""
    if folder is None:
        sizes = {"d_model": width, "d_kv": width // 4, "d_ff": 2 * width, "num_layers": 2, "num_heads": 4}
        return {"vocab_size": 384, **sizes, "feed_forward_proj": "gated-gelu"}
    try:
        if (folder / "recipe.json").is_file():
            found: dict[str, Any] = json.loads((folder / "recipe.json").read_text())["text_encoder"]
            return found
        kept = json.loads((folder / "text_encoder" / "config.json").read_text())
        return {name: kept[name] for name in TEXT_ENCODER}
    except (OSError, KeyError, json.JSONDecodeError):
        raise ValueError(
            f"{folder} holds no text encoder; give a run of the unit captions, or a model folder"
        ) from None


def pipeline_of(
    pipeline: type[P], objective: JointObjective, model: Path, preset: Steps, size: int, seconds: float
) -> P:
    """The networks in their pipeline, with the codecs that their latents were made with, out of a model folder.

    Raises:
        VivaceError: codecs that are missing, or other ones.
    """
    vae, audio_vae = load_codecs(model / "vae", model / "audio_vae")
    check_codecs({"vae": vae, "audio_vae": audio_vae}, objective.codecs)
    made = pipeline(
        transformer=objective.transformer,
        text_encoder=objective.text_encoder,
        tokenizer=objective.tokenizer,
        vae=vae,
        audio_vae=audio_vae,
        vocoder=load_vocoder(model / "vocoder"),
        scheduler=scheduler_of(preset),
        capabilities={
            "width": size,
            "height": size,
            "smallest_side": 16,
            "longest_seconds": seconds,
            "presets": {"held-out": preset.model_dump()},
            "preset": "held-out",
        },
    )
    made.set_progress_bar_config(disable=True)
    return made
