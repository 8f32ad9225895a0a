"""One guided denoising step of ours, beside the published procedure and beside diffusers' Wan transformer.

    python -m benchmarks.step [--size nano|300m|6b] [--lengths 13 25 49] [--rounds 5] [--device cpu|cuda]
        [--dtype float32|bfloat16] [--threads 2] [--text 128] [--one-by-one]
        [--rotation complex128|complex64] [--exact] [--arithmetic] [--json]

Weights are random: they change no time. For each length (in latent frames) it compares, in one process and in turn,

- a guided step of ours (`vivace.sampling.loop.denoise`, four branches, one Euler step) with the same step by the
  published procedure (`benchmarks/transcription.py`: four full passes, nothing kept), whose results must agree;
- a single forward pass of ours with one of diffusers' WanTransformer3DModel of the same width, depth and number of
  tokens.

Times are medians, ratios are medians over the rounds, in each of which everything ran once. FLOPs are those of all
matrix products, convolutions and attention, counted by PyTorch on the very programs without their contents. The bound
is what they allow: FLOPs of the procedure over ours. The peak is the best of a few large square matrix products.

Guidance adds differences of branches, several times over, and so multiplies their rounding. The procedure's own is
large where it sums over hundreds of equal pads, so results must agree with it as it is when these sums are taken in
float64; beside that stands the difference from what was timed. `--exact` tells whose rounding the rest is: the same
step in float64, and how far the results lie from it.

`--arithmetic` counts only, which needs neither the weights' memory nor time; it is all that is done for a size whose
weights do not fit.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from benchmarks.transcription import Shown, Transcription, guided, tokens_of
from diffusers import WanTransformer3DModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vivace.device import device_name
from vivace.models.nava import NavaTransformer
from vivace.models.nava_context import NavaContext
from vivace.models.nava_sizes import PUBLISHED
from vivace.pair import AV
from vivace.pipelines.folder import shipped_models
from vivace.sampling.loop import denoise
from vivace.sampling.presets import OFFICIAL
from vivace.sampling.schedules import Table
from vivace.sampling.solvers import EulerSolver

TIMESTEP = 900.0
# One step from this noise level to none, so that the latents differ by what the velocity is.
ONE_STEP = Table(np.array([TIMESTEP / 1000, 0.0], np.float32), np.array([TIMESTEP], np.float32))
BOUND = 1e-5  # of the difference between both results, relative to their size, in float32
GRIDS = {"nano": (8, 8), "300m": (22, 40), "6b": (44, 80)}  # latent rows and columns
LENGTHS = {"nano": (13, 25, 49), "300m": (3, 5, 9), "6b": (13, 25, 37)}  # latent frames
MOST_PLACES = 1024  # positions along an axis for which diffusers' Wan has a table
ON_CPU = 1e9  # more values than this are not computed with on a CPU


def config_of(size: str) -> dict[str, Any]:
    """Constructor arguments: the shipped nano model's, the release's, or one between them; all with voices."""
    if size == "6b":
        return PUBLISHED["6b"]
    if size == "300m":
        blocks = {"num_double_layers": 4, "num_single_layers": 8}
        return PUBLISHED["6b"] | blocks | {"dim": 1024, "ffn_dim": 4096, "num_heads": 8}
    shipped = NavaTransformer.load_config(shipped_models()["nano-nava"] / "transformer")
    known = {name: value for name, value in shipped.items() if not name.startswith("_")}
    # The published procedure knows none of our options.
    ours = ("speakers_keep_text", "places", "hide_pads", "gaussian_skip")
    return known | {"speaker_dim": 192, "trained_with": None} | dict.fromkeys(ours, False)


@dataclass(frozen=True)
class Setting:
    """A model and one clip of a length, with what its four branches are shown."""

    model: NavaTransformer
    latents: AV[Tensor]
    shown: Mapping[str, Shown]
    timestep: Tensor

    def contexts(self) -> dict[str, NavaContext]:
        """What ours computes once per clip."""
        made: dict[int, NavaContext] = {}
        with torch.no_grad():
            for shown in self.shown.values():
                if id(shown) not in made:
                    speakers = None if shown.speakers is None else [shown.speakers]
                    places = None if shown.speakers is None else [list(shown.places)]
                    made[id(shown)] = self.model.encode_context([shown.text], speakers, places)
        return {branch: made[id(shown)] for branch, shown in self.shown.items()}


def build(config: Mapping[str, Any], device: str, dtype: torch.dtype) -> NavaTransformer:
    """A model with random weights of which every one has an influence."""
    torch.manual_seed(0)
    with torch.device(device):
        model = NavaTransformer(**config)
    model = model if dtype == torch.float32 else model.to(dtype)
    if device != "meta":
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.02)
    return model.eval().requires_grad_(False)


def setting(model: NavaTransformer, frames: int, grid: tuple[int, int], text: int) -> Setting:
    """A clip of `frames` latent frames and the sound that goes with them, and prompts of `text` tokens."""
    config, weight = model.config, model.video_embedding.weight
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        if weight.device.type == "meta":
            return torch.empty(*shape, device="meta")
        return torch.randn(*shape, generator=generator).to(weight.device)

    # Video latent frames per audio token; the first frame covers one picture, the others four.
    sounds = math.ceil((4 * (frames - 1) + 1) / 4 / config.audio_rope_scale)
    latents = AV(drawn(1, config.video_channels, frames, *grid), drawn(1, sounds, config.audio_channels))
    prompt, negative = drawn(text, config.text_dim), drawn(max(1, text * 3 // 4), config.text_dim)
    bare = Shown(prompt)
    shown = {
        "conditional": Shown(prompt, drawn(1, config.speaker_dim), [text // 2]),
        "unconditional": Shown(negative),
        "masked": bare,
        "timbre_free": bare,
    }
    return Setting(model, latents, shown, torch.full((1,), TIMESTEP, device=weight.device))


def our_step(clip: Setting, contexts: Mapping[str, NavaContext], together: bool) -> AV[Tensor]:
    """The latents after one guided step of ours."""
    rule = OFFICIAL.rule(video=True, audio=True, voices=True)
    solver = EulerSolver(ONE_STEP.sigmas)
    return denoise(clip.model, clip.latents, contexts, rule, ONE_STEP, solver, together=together)


def published_step(clip: Setting, program: Transcription) -> AV[Tensor]:
    """The latents after the same step by the published procedure."""
    change = float(ONE_STEP.sigmas[1] - ONE_STEP.sigmas[0])
    velocity = guided(program, clip.latents, clip.timestep, clip.shown, OFFICIAL)
    return clip.latents.map(lambda x, v: x + v * change, velocity)


def exact_step(clip: Setting) -> AV[Tensor]:
    """The latents after the same step in float64 throughout."""
    wide = replace(clip, model=copy.deepcopy(clip.model).double())
    return published_step(wide, Transcription(wide.model))


def difference(a: AV[Tensor], b: AV[Tensor], start: AV[Tensor]) -> float:
    """The larger modality's |a - b| over |b - start|, Euclidean: the error of what a step has changed."""

    def relative(x: Tensor, y: Tensor, z: Tensor) -> float:
        return float((x - y).double().norm() / (y - z).double().norm())

    return max(value for _, value in a.map(relative, b, start).items())


def wan_like(model: NavaTransformer) -> WanTransformer3DModel:
    """diffusers' transformer of the same width, depth, feed-forward and channels, where this model is."""
    config, weight = model.config, model.video_embedding.weight
    with torch.device(weight.device):
        wan = WanTransformer3DModel(
            patch_size=tuple(config.patch_size),
            num_attention_heads=config.num_heads,
            attention_head_dim=config.dim // config.num_heads,
            in_channels=config.video_channels,
            out_channels=config.video_channels,
            text_dim=config.text_dim,
            freq_dim=config.freq_dim,
            ffn_dim=config.ffn_dim,
            num_layers=len(model.blocks()),
            eps=config.eps,
        )
    return (wan if weight.dtype == torch.float32 else wan.to(weight.dtype)).eval().requires_grad_(False)


def wan_pass(model: NavaTransformer, tokens: int) -> Callable[[], Tensor]:
    """A forward pass of Wan's transformer over so many tokens; the context is as long as its pipeline makes it."""
    wan, config, weight = wan_like(model), model.config, model.video_embedding.weight
    (t, h, w), patch = grid_of(tokens), config.patch_size
    like: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
    latents = torch.zeros(1, config.video_channels, t * patch[0], h * patch[1], w * patch[2], **like)
    text = torch.zeros(1, config.text_len, config.text_dim, **like)
    timestep = torch.full((1,), TIMESTEP, device=weight.device)

    def run() -> Tensor:
        with torch.no_grad():
            return wan(latents, timestep, text, return_dict=False)[0]

    return run


def grid_of(tokens: int) -> tuple[int, int, int]:
    """Frames, rows and columns of so many tokens, none beyond Wan's table of positions.

    Raises:
        ValueError: a number that has no such factors.
    """
    for rows in range(math.isqrt(tokens), 0, -1):
        for columns in range(min(tokens // rows, MOST_PLACES), 0, -1):
            if tokens % (rows * columns) == 0 and rows <= MOST_PLACES and tokens // (rows * columns) <= MOST_PLACES:
                return tokens // (rows * columns), rows, columns
    raise ValueError(f"{tokens} tokens fill no grid that Wan knows positions of; choose another length")


def counted(run: Callable[[], Any]) -> int:
    """FLOPs of a run's matrix products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def arithmetic(config: Mapping[str, Any], frames: int, grid: tuple[int, int], text: int) -> dict[str, Any]:
    """What one length takes, counted on tensors without contents."""
    model = build(config, "meta", torch.float32)
    clip = setting(model, frames, grid, text)
    contexts = clip.contexts()
    tokens, times = tokens_of(clip.latents), clip.latents.map(lambda _: clip.timestep)
    program = Transcription(model)

    def forward() -> None:
        with torch.no_grad():
            model(clip.latents, times, contexts["conditional"])

    flops = {
        "ours": counted(lambda: our_step(clip, contexts, together=True)),
        "published": counted(lambda: published_step(clip, program)),
        "context": counted(clip.contexts),
        "forward": counted(forward),
        "wan_forward": counted(wan_pass(model, tokens)),
    }
    return {"frames": frames, "tokens": tokens, "flops": flops, "bound": flops["published"] / flops["ours"]}


def timed(programs: Mapping[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of every program in each round; before the first, all run once unmeasured. The order turns round."""
    spent: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name in list(programs)[:: 1 if number % 2 else -1]:
            _wait(device)
            start = time.perf_counter()
            programs[name]()
            _wait(device)
            if number:
                spent[name].append(time.perf_counter() - start)
    return spent


def measured_peak(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of the best of a few products of large square matrices."""
    size = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / min(timed({"product": lambda: a @ b}, 8, device)["product"])


def measure(
    model: NavaTransformer, frames: int, grid: tuple[int, int], options: argparse.Namespace, found: dict[str, Any]
) -> dict[str, Any]:
    """Times, ratios and the difference of both results, added to what `arithmetic` found."""
    clip = setting(model, frames, grid, options.text)
    rotation = getattr(torch, options.rotation)
    contexts, program = clip.contexts(), Transcription(model, rotation)
    times = clip.latents.map(lambda _: clip.timestep)

    def forward() -> None:
        with torch.no_grad():
            model(clip.latents, times, contexts["conditional"])

    programs: dict[str, Callable[[], Any]] = {
        "ours": lambda: our_step(clip, contexts, not options.one_by_one),
        "published": lambda: published_step(clip, program),
        "context": clip.contexts,
        "forward": forward,
        "wan_forward": wan_pass(model, found["tokens"]),
    }
    ours, published = programs["ours"](), programs["published"]()
    compared = published_step(clip, Transcription(model, rotation, torch.float64))
    found |= {
        "difference": difference(ours, compared, clip.latents),
        "difference_as_timed": difference(ours, published, clip.latents),
    }
    if options.exact:
        exact = exact_step(clip)
        results = {"ours": ours, "published": published, "compared": compared}
        found["from_float64"] = {name: difference(one, exact, clip.latents) for name, one in results.items()}
    spent = timed(programs, options.rounds, options.device)
    speed_up = _ratio(spent["published"], spent["ours"])
    rates = {name: found["flops"][name] / statistics.median(seconds) for name, seconds in spent.items()}
    return found | {
        "seconds": {name: statistics.median(seconds) for name, seconds in spent.items()},
        "flops_per_second": rates,
        "speed_up": speed_up,
        "share_of_bound": speed_up / found["bound"],
        "forward_over_wan": _ratio(spent["forward"], spent["wan_forward"]),
    }


def machine(device: str) -> dict[str, Any]:
    """When and on what this runs: the day (UTC), the processor, its cores, and the GPU if that is the device."""
    found = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": device_name("cpu"), "cores": os.cpu_count()}
    return found | ({"gpu": device_name(device)} if device == "cuda" else {})


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median over the rounds."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _values(config: Mapping[str, Any]) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in NavaTransformer(**config).parameters())


def _table(report: Mapping[str, Any]) -> str:
    """The report for a reader."""
    head = f"{report['size']}: {report['values'] / 1e6:,.1f} M values"
    if "peak" in report:
        head += f", {report['device']}, {report['dtype']}, matmul peak {report['peak'] / 1e9:,.1f} GFLOP/s"
    lines = [head, f"{report['date']}, {report.get('gpu', report['machine'])}, {report['cores']} cores"]
    for one in report["lengths"]:
        flops = one["flops"]
        lines.append(f"{one['frames']} latent frames, {one['tokens']} tokens")
        lines.append(
            f"  a guided step: published {flops['published'] / 1e9:,.2f} GFLOP, ours {flops['ours'] / 1e9:,.2f}; "
            f"bound {one['bound']:.3f} (context {flops['context'] / 1e9:,.2f} once a clip)"
        )
        if "speed_up" not in one:
            continue
        lines.append(
            f"  measured {one['speed_up']:.3f} times as fast, {one['share_of_bound']:.0%} of the bound; "
            f"results differ by {one['difference']:.1e} (as timed {one['difference_as_timed']:.1e})"
        )
        if "from_float64" in one:
            far = one["from_float64"]
            lines.append(
                f"  from float64: ours {far['ours']:.1e}, published {far['compared']:.1e} "
                f"(as timed {far['published']:.1e})"
            )
        lines.append(f"  a single forward over diffusers' Wan: {one['forward_over_wan']:.3f}")
        for name, seconds in one["seconds"].items():
            rate = one["flops_per_second"][name]
            share = f"{rate / 1e9:,.1f} GFLOP/s, {rate / report['peak']:.0%} of the peak"
            lines.append(f"    {name:12} {seconds * 1e3:10,.2f} ms  {share}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """0, or 1 where the results of a float32 step differ by more than the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(GRIDS), default="nano")
    parser.add_argument("--lengths", type=int, nargs="+", help="latent frames; three by default")
    parser.add_argument("--grid", type=int, nargs=2, help="latent rows and columns, both even")
    parser.add_argument("--text", type=int, default=128, help="tokens of the prompt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--rotation", choices=("complex128", "complex64"), default="complex128", help="of the published"
    )
    parser.add_argument("--one-by-one", action="store_true", help="branches of ours one after another")
    parser.add_argument("--exact", action="store_true", help="the step in float64 too, and how far both are from it")
    parser.add_argument("--arithmetic", action="store_true", help="count only")
    parser.add_argument("--json", action="store_true", help="one machine-readable line")
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    config, grid = config_of(options.size), tuple(options.grid or GRIDS[options.size])
    report: dict[str, Any] = {"size": options.size, "values": _values(config), "text": options.text}
    report |= machine(options.device)
    found = [arithmetic(config, frames, grid, options.text) for frames in options.lengths or LENGTHS[options.size]]
    if not options.arithmetic and (options.device == "cuda" or report["values"] <= ON_CPU):
        dtype = getattr(torch, options.dtype)
        report |= {"device": options.device, "dtype": options.dtype, "threads": options.threads}
        report |= {"rotation": options.rotation, "together": not options.one_by_one, "torch": torch.__version__}
        report["peak"] = measured_peak(options.device, dtype)
        model = build(config, options.device, dtype)
        found = [measure(model, one["frames"], grid, options, one) for one in found]
    report["lengths"] = found
    print(json.dumps(report) if options.json else _table(report))
    exact = options.dtype == "float32"
    return int(any(exact and not one.get("difference", 0.0) <= BOUND for one in found))


if __name__ == "__main__":
    sys.exit(main())
