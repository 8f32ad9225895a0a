"""LoRA adapters on a pipeline's transformer: load, stack, weigh, fuse, unload, with diffusers' names for it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.pair import Modality
from vivace.pipelines.lora_files import WEIGHTS, settings_of, weights_of
from vivace.pipelines.lora_names import Factors, Shape, read_factors
from vivace.sampling.settings_checks import is_number

Side = Literal["video", "audio", "shared"]
MAX_SCALE = 100.0
# Where blocks and contexts begin: NAVA's, then Alive's.
_BLOCKS = ("double_", "single_", "video.dual_blocks.", "video.single_blocks.", "audio.blocks.",
           "audio.description_words.", "audio.speech_words.", "exchange.fusions.", "exchange.hear.")  # fmt: skip


@dataclass(frozen=True)
class Adapter:
    """A loaded LoRA.

    layers: how many layers it changes of the video's, the audio's, and those that serve both.
    rank: the largest of its layers.
    """

    name: str
    scale: float
    rank: int
    layers: dict[Side, int]

    def notes(self) -> list[str]:
        """A sentence where one side has layers of its own in the adapter and the other has none."""
        lacking = [side for side in ("video", "audio") if not self.layers[side]]
        if len(lacking) == 1 and not self.layers["shared"]:
            return [f"LoRA {self.name!r} changes nothing of the {lacking[0]}'s layers."]
        return []


def linear_layers(transformer: nn.Module) -> dict[str, Shape]:
    """Every linear layer by its name without adapters, also where adapters already wrap it."""
    found: dict[str, Shape] = {}
    wrapped: list[str] = []
    for name, module in transformer.named_modules():
        if any(name.startswith(f"{outer}.") for outer in wrapped[-1:]):
            continue
        inner = getattr(module, "base_layer", None)
        if inner is not None:
            wrapped.append(name)
        layer = module if inner is None else inner
        if isinstance(layer, nn.Linear):
            found[name] = Shape(layer.out_features, layer.in_features)
    return found


def side_of(layer: str) -> Side:
    """Which side's tokens a layer sees: its own name says so (Alive: or its tower's), all others are shared."""
    parts = set(layer.replace("_", ".").split("."))
    if "video" in parts:
        return "video"
    return "audio" if "audio" in parts else "shared"


def target_modules(
    transformer: nn.Module, sides: Sequence[Side | Modality] = ("video", "audio", "shared")
) -> list[str]:
    """Names for PEFT's `LoraConfig(target_modules=...)`: the linear layers of blocks and contexts of these sides.

    ("audio",) alone trains a voice or a sound without touching a layer that the picture uses.
    """
    return [name for name in linear_layers(transformer) if name.startswith(_BLOCKS) and side_of(name) in sides]


def check_scale(scale: Any) -> float:
    """The weight of an adapter.

    Raises:
        VivaceError: not a finite number from -100 to 100.
    """
    if not is_number(scale) or not -MAX_SCALE <= scale <= MAX_SCALE:
        raise VivaceError(f"LoRA scale {scale!r} is out of range; give a number from -100 to 100, such as 0.8.")
    return float(scale)


def read_adapter_file(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a .safetensors file, or of PEFT's folder, and PEFT's settings where there are any.

    Raises:
        VivaceError: no such file, a damaged one, or one of another kind.
    """
    from safetensors import SafetensorError, safe_open

    file = weights_of(path)
    if not file.is_file():
        raise VivaceError(f"LoRA {str(path)!r} does not exist; check the path.")
    if file.suffix != ".safetensors":
        raise VivaceError(f"LoRA {str(path)!r} is no .safetensors file; only these are read, convert it.")
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - no mapping
            metadata = dict(opened.metadata() or {})
        beside = settings_of(file)
        if beside is not None:
            settings = json.loads(beside.read_text(encoding="utf-8"))
        else:
            # diffusers writes PEFT's settings into the file, each under the component's name.
            settings = json.loads(metadata.get("lora_adapter_metadata", "{}"))
            settings = {key.removeprefix("transformer."): value for key, value in settings.items()}
    except (SafetensorError, OSError, ValueError, AttributeError, RecursionError) as error:
        raise VivaceError(f"LoRA {str(path)!r} cannot be read ({error}); it is damaged, get it again.") from None
    return tensors, settings


class LoraLoading:
    """Adapters of a pipeline; `transformer` is a diffusers model with `PeftAdapterMixin`."""

    transformer: Any
    _unfused: dict[str, Tensor] | None = None  # the weights of fused layers without their adapters

    def load_lora_weights(
        self, source: str | Path | Mapping[str, Tensor], adapter_name: str | None = None, *, scale: float = 1.0
    ) -> Adapter:
        """Load an adapter on top of those that are there; it acts at once, at `scale`.

        Args:
            source: a .safetensors file, a folder of PEFT's, or tensors by name.
            adapter_name: how it is called later; the file's name, or lora-1, lora-2, ...

        Raises:
            VivaceError: a name that is taken, a file that is none, or one that does not fit this model.
        """
        _require_peft()
        self._check_not_fused()
        scale = check_scale(scale)
        settings: dict[str, Any] = {}
        if isinstance(source, Mapping):
            tensors, what = dict(source), "The adapter"
        else:
            tensors, settings = read_adapter_file(Path(source))
            what = f"LoRA {str(source)!r}"
        loaded = self.lora_scales()
        name = adapter_name or _free_name(source, loaded)
        if name in loaded or "." in name or not name:
            problem = "is already loaded" if name in loaded else "is no name for an adapter"
            raise VivaceError(f"LoRA name {name!r} {problem}; choose another, without dots.")
        transformer = self.transformer
        factors = read_factors(tensors, linear_layers(transformer), transformer.config, settings, what)
        rank = max(pair.down.shape[0] for pair in factors.values())
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")  # so it is, with two
            transformer.load_lora_adapter(_as_peft(factors, rank), prefix=None, adapter_name=name)
        transformer.eval()
        self.set_adapters({**loaded, name: scale})
        layers: dict[Side, int] = {"video": 0, "audio": 0, "shared": 0}
        for layer in factors:
            layers[side_of(layer)] += 1
        return Adapter(name, scale, rank, layers)

    def lora_scales(self) -> dict[str, float]:
        """The loaded adapters and their weights (0: loaded and not acting)."""
        scales = getattr(self, "_lora_scales", {})
        return {name: scales.get(name, 1.0) for name in getattr(self.transformer, "peft_config", {})}

    def set_adapters(self, scales: Mapping[str, float] | str | Sequence[str], weights: Any = None) -> None:
        """Weigh the loaded adapters; those not named are switched off. {"a": 1.0, "b": 0.5}, or names and weights.

        Raises:
            VivaceError: an adapter that is not loaded, or a weight out of range.
        """
        if not isinstance(scales, Mapping):
            names = [scales] if isinstance(scales, str) else list(scales)
            given = [1.0 if weights is None else weights] * len(names) if not _is_list(weights) else list(weights)
            if len(given) != len(names):
                raise VivaceError(f"{len(given)} weights were given for {len(names)} adapters; give one for each.")
            scales = dict(zip(names, given, strict=True))
        loaded = self.lora_scales()
        unknown = sorted(set(scales) - set(loaded))
        if unknown:
            raise VivaceError(f"LoRA {unknown[0]!r} is not loaded ({', '.join(loaded) or 'none is'}); load it first.")
        acting = {name: check_scale(scale) for name, scale in scales.items() if scale}
        self._check_not_fused()
        if acting:
            from diffusers.utils import set_weights_and_activate_adapters

            # The model's own set_adapters has a table of diffusers' classes and refuses all others.
            self.transformer.enable_adapters()
            set_weights_and_activate_adapters(self.transformer, list(acting), list(acting.values()))
        elif loaded:
            self.transformer.disable_adapters()
        self._lora_scales = {name: acting.get(name, 0.0) for name in loaded}

    def fuse_lora(self) -> None:
        """Add the acting adapters to the weights: no cost per step, and no change of weight until `unfuse_lora`.

        The weights without them are kept in host memory, as much again as the layers that have adapters: taking away
        what was added would leave its rounding behind, in bfloat16 a fifth or more of all values changed.
        """
        if any(self.lora_scales().values()) and self._unfused is None:
            own = {name: weight.detach().to("cpu", copy=True) for name, weight in self._adapted().items()}
            self.transformer.fuse_lora(safe_fusing=True)
            self._unfused = own

    def unfuse_lora(self) -> None:
        """Take fused adapters out of the weights again, which are then what they were, bit for bit."""
        if self._unfused is not None:
            self.transformer.unfuse_lora()
            with torch.no_grad():
                for name, weight in self._adapted().items():
                    weight.copy_(self._unfused[name])
            self._unfused = None

    def _adapted(self) -> dict[str, Tensor]:
        """The weights of the layers that have adapters, by the layers' names."""
        modules = self.transformer.named_modules()
        return {name: module.base_layer.weight for name, module in modules if hasattr(module, "base_layer")}

    def unload_lora_weights(self) -> None:
        """Remove all adapters; fused ones are taken out first."""
        self.unfuse_lora()
        if self.lora_scales():
            self.transformer.unload_lora()
        self._lora_scales = {}

    def _check_not_fused(self) -> None:
        """Fused layers do not look at their adapters, so a change would be silently without effect."""
        if self._unfused is not None:
            raise VivaceError("The LoRA is fused into the weights; call unfuse_lora before changing it.")


def _as_peft(factors: Mapping[str, Factors], rank: int) -> dict[str, Tensor]:
    """State dict of one rank: smaller ones are filled up with zeros, which changes nothing.

    PEFT scales by alpha / rank per layer, and diffusers passes a single alpha on, so that layers of other ranks than
    the commonest would be scaled wrongly.
    """
    state: dict[str, Tensor] = {}
    for name, (down, up) in factors.items():
        missing = rank - down.shape[0]
        state[f"{name}.lora_A.weight"] = F.pad(down, (0, 0, 0, missing))
        state[f"{name}.lora_B.weight"] = F.pad(up, (0, missing))
    return state


def _free_name(source: Any, loaded: Mapping[str, float]) -> str:
    stem = "lora" if isinstance(source, Mapping) else _stem(Path(source)).replace(".", "-") or "lora"
    names = [stem, *(f"{stem}-{number}" for number in range(2, len(loaded) + 3))]
    return next(name for name in names if name not in loaded)


def _stem(path: Path) -> str:
    """What tells an adapter from others: the name of its file; of PEFT's, which all have one name, of their folder."""
    return path.parent.name if path.name == WEIGHTS else path.stem


def _is_list(weights: Any) -> bool:
    return isinstance(weights, (Sequence, torch.Tensor))


def _require_peft() -> None:
    try:
        import peft  # noqa: F401
    except ImportError:
        raise VivaceError("LoRA needs the package peft; install vivace[lora].") from None
