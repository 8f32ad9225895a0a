"""LoRA files of several trainers, brought to one form: our layer's name, its two factors, scaled by 1.

Known are PEFT's own names, diffusers' (old and new), those of the kohya family and of ComfyUI, each over our layers'
names or, for NAVA, over those of its public program. Their factors mean the same; only prefixes, suffixes and alpha
differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vivace.errors import VivaceError
from vivace.models.nava_names import PREFIX, official_names

# What trainers put before a layer's name, one after another.
_WRAPPERS = ("base_model.model.", "diffusion_model.", "transformer.", "model.", "module.", PREFIX)
# kohya's writes dots as underscores behind one of these.
_FLAT = ("lora_unet_", "lora_transformer_", "lora_model_", "lycoris_")
_DOWN = re.compile(r"\.(lora_A(\.[^.]+)?(\.weight)?|lora[_.]down(\.weight)?)$")
_UP = re.compile(r"\.(lora_B(\.[^.]+)?(\.weight)?|lora[_.]up(\.weight)?)$")
_ALPHA = re.compile(r"\.(alpha|lora_alpha)$")
_SHOWN = 40  # names in one sentence


class Factors(NamedTuple):
    """The change of one layer's weight is up @ down: down [rank, in], up [out, rank]."""

    down: Tensor
    up: Tensor


class Shape(NamedTuple):
    """Of a linear layer's weight."""

    out: int
    width: int


def read_factors(
    tensors: Mapping[str, Tensor],
    layers: Mapping[str, Shape],
    config: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    what: str = "The adapter",
) -> dict[str, Factors]:
    """Factors of each layer under our names, alpha / rank multiplied into `up`.

    Args:
        tensors: of the file. layers: our linear layers by name. config: of the transformer.
        settings: of PEFT's adapter_config.json (`lora_alpha`, `alpha_pattern`, `use_rslora`), for files without alphas;
            without either, alpha is the rank.

    Raises:
        VivaceError: tensors that no layer of the model has, half a pair, a wrong shape, or values that are not finite.
    """
    downs, ups, alphas, unknown = _sorted_by_layer(tensors, _names(layers, config))
    if unknown:
        raise VivaceError(
            f"{what} holds tensors that fit no layer of this model: {_list(unknown)}; use a LoRA of this one."
        )
    if not downs and not ups:
        raise VivaceError(f"{what} holds no LoRA; give a file with lora_A and lora_B (or lora_down and lora_up).")
    halves = sorted(downs.keys() ^ ups.keys()) + sorted(alphas.keys() - downs.keys())
    if halves:
        raise VivaceError(f"{what} lacks one factor of {_list(halves)}; it is cut short, get it again.")
    bad = [
        f"{name} ({list(down.shape)} and {list(ups[name].shape)} for {layers[name].out}x{layers[name].width})"
        for name, down in downs.items()
        if down.ndim != 2
        or tuple(down.shape[1:]) != (layers[name].width,)
        or tuple(ups[name].shape) != (layers[name].out, down.shape[0])
    ]
    if bad:
        raise VivaceError(f"{what} is of another size of model: {_list(bad)}; use a LoRA of this one.")
    made: dict[str, Factors] = {}
    for name, down in downs.items():
        share = _alpha(name, alphas, settings or {}, down.shape[0])
        up = ups[name].float() * share
        if not (torch.isfinite(down.float()).all() and torch.isfinite(up).all()):
            raise VivaceError(f"{what} has values at {name} that are no numbers; get it again.")
        made[name] = Factors(down.float(), up)
    return made


def _names(layers: Mapping[str, Shape], config: Mapping[str, Any]) -> dict[str, str]:
    """Every name that a trainer may give a layer: our name of it."""
    # Alive has no public program, and so no names but ours.
    published = official_names(config) if "num_double_layers" in config else {}
    theirs = {
        official.removeprefix(PREFIX).removesuffix(".weight"): ours.removesuffix(".weight")
        for ours, official in published.items()
    }
    known = {name: ours for name, ours in theirs.items() if ours in layers} | {name: name for name in layers}
    flat = {name.replace(".", "_"): ours for name, ours in known.items()}
    return {prefix + name: ours for prefix in _FLAT for name, ours in flat.items()} | known


def _sorted_by_layer(
    tensors: Mapping[str, Tensor], names: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, float], list[str]]:
    downs: dict[str, Tensor] = {}
    ups: dict[str, Tensor] = {}
    alphas: dict[str, float] = {}
    unknown: list[str] = []
    for key, tensor in tensors.items():
        for pattern, kind in ((_DOWN, downs), (_UP, ups), (_ALPHA, alphas)):
            end = pattern.search(key)
            layer = None if end is None else names.get(_unwrapped(key[: end.start()], names))
            if layer is not None:
                # Two adapters in one file, or one layer under two names, would overwrite each other silently.
                if layer in kind:
                    raise VivaceError(f"The adapter names {layer} twice (again as {key!r}); keep one adapter per file.")
                kind[layer] = float(tensor) if pattern is _ALPHA else tensor  # type: ignore[assignment]
                break
        else:
            unknown.append(key)
    return downs, ups, alphas, unknown


def _unwrapped(name: str, names: Mapping[str, str]) -> str:
    while name not in names:
        wrapper = next((w for w in _WRAPPERS if name.startswith(w)), None)
        if wrapper is None:
            return name
        name = name[len(wrapper) :]
    return name


def ranks_in(
    shapes: Mapping[str, Sequence[int]], layers: Iterable[str], config: Mapping[str, Any]
) -> dict[str, tuple[int, Shape]]:
    """Rank and size of each layer that an adapter changes, by our names, from the shapes of its tensors alone.

    Args:
        shapes: of the file's tensors. layers: our layers' names. config: of the transformer.
    """
    names = _names({name: Shape(0, 0) for name in layers}, config)
    # Tensors of the meta device have a shape and nothing else, which is all that sorting looks at but for alphas.
    tensors = {key: torch.empty(tuple(shape), device="meta") for key, shape in shapes.items() if not _ALPHA.search(key)}
    downs, ups, _, _ = _sorted_by_layer(tensors, names)
    whole = [name for name, down in downs.items() if name in ups and down.ndim == ups[name].ndim == 2]
    return {name: (downs[name].shape[0], Shape(ups[name].shape[0], downs[name].shape[1])) for name in whole}


def _alpha(name: str, alphas: Mapping[str, float], settings: Mapping[str, Any], rank: int) -> float:
    """What the product is multiplied by: alpha / rank, or alpha / sqrt(rank) for rank-stabilised LoRA."""
    pattern = settings.get("alpha_pattern") or {}
    own = next((value for key, value in pattern.items() if name == key or name.endswith("." + key)), None)
    alpha = alphas.get(name, own if own is not None else settings.get("lora_alpha"))
    if alpha is None:
        return 1.0
    return float(alpha) / (rank**0.5 if settings.get("use_rslora") else rank)


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
