"""The parts of a NAVA folder, each with the tensors that it needs and where they come from.

A part comes from a folder in the layout of diffusers or transformers, or from its original single file. Whatever it
comes from, its tensors are compared with those of the class that will hold them before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from diffusers.pipelines.ltx2 import LTX2Vocoder, LTX2VocoderWithBWE
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

from vivace.conversion.names import ltx_audio_vae_names, ltx_vocoder_names, umt5_names, wan_vae_names
from vivace.conversion.released import LTX23_AUDIO, UMT5_XXL, WAN22_VAE
from vivace.conversion.sources import Source, Stored, check_tensors, open_weights
from vivace.conversion.writing import FP8, Tensors
from vivace.errors import VivaceError
from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import PREFIX, config_from_official, official_names
from vivace.models.nava_sizes import PUBLISHED, nearest_size
from vivace.models.vocoder import IstftVocoder

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp8_e4m3": FP8}
# Below this share of common names a file is not a NAVA transformer at all.
_LIKE_NAVA = 0.5


@dataclass(frozen=True)
class Part:
    """A component of the folder, ready to be written.

    Args:
        name: its folder.
        library, kind: how model_index.json names its class.
        config: content of its config.json.
        tensors: weights; their files begin with `stem`.
        copied: further files, copied as they are.
    """

    name: str
    library: str
    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    tensors: Tensors | None = None
    stem: str = "diffusion_pytorch_model"
    copied: tuple[Path, ...] = ()


def check_dtype(dtype: str) -> None:
    """Raises VivaceError for a storage type that is none of DTYPES."""
    if dtype not in DTYPES:
        raise VivaceError(f"dtype {dtype!r} is unknown; use one of {', '.join(DTYPES)}.")


def transformer_part(weights: Path, dtype: str, config: Path | None = None) -> Part:
    """NAVA's transformer from the official file.

    Args:
        weights: `NAVA.safetensors`, or an older `.ckpt`.
        dtype: fp32, bf16 or fp8_e4m3; with the last, the matrices of the blocks are fp8 and everything else bf16.
        config: the program's json with its two flags; without it the published size that fits is taken.

    Raises:
        VivaceError: unreadable, not a NAVA transformer, or any tensor missing, unexpected, of another shape or kind.
    """
    source = open_weights(weights)
    size, share = nearest_size(source.tensors)
    if config is not None:
        model, what = described_nava(config), f"the NAVA that {config.name!r} describes"
    elif share < _LIKE_NAVA:
        raise VivaceError(
            f"{str(weights)!r} holds no NAVA transformer (of its {len(source.tensors)} tensors and NAVA's "
            f"{share:.0%} agree); name NAVA.safetensors, or add --config for one of no published size."
        )
    else:
        with torch.device("meta"):
            model, what = NavaTransformer(**PUBLISHED[size]), f"NAVA {size} (one of no published size needs --config)"
    theirs = {name: full.removeprefix(PREFIX) for name, full in official_names(model.config).items()}
    if any(name.startswith(PREFIX) for name in source.tensors):
        theirs = {name: PREFIX + short for name, short in theirs.items()}
    tensors = matched(source, model, theirs, source.tensors, what)
    wanted = {name: transformer_dtype(name, tensors.shape(name), dtype) for name in theirs}
    return Part("transformer", "vivace", "NavaTransformer", config_of(model), Tensors(source, theirs, wanted))


def described_nava(config: Path) -> NavaTransformer:
    """NAVA without memory, as the program's json describes it.

    Raises:
        VivaceError: the json cannot be read, or makes no model.
    """
    official = read_json(config)
    model: NavaTransformer = on_meta(config, lambda: NavaTransformer(**config_from_official(official)))
    return model


def transformer_dtype(name: str, shape: tuple[int, ...], dtype: str) -> torch.dtype:
    """The stored type of one of the transformer's tensors (our name) where `dtype` is asked for."""
    if dtype != "fp8_e4m3":
        return DTYPES[dtype]
    in_blocks = name.split(".")[0].endswith(("_blocks", "_contexts"))
    return FP8 if in_blocks and len(shape) == 2 else torch.bfloat16


def vae_part(path: Path, config: Mapping[str, Any] = WAN22_VAE) -> Part:
    """Wan 2.2's video autoencoder from a diffusers folder or from `Wan2.2_VAE.pth` (of the given configuration)."""
    return _codec(path, "vae", {"AutoencoderKLWan": AutoencoderKLWan}, "AutoencoderKLWan", config, wan_vae_names, "")


def audio_vae_part(path: Path, config: Mapping[str, Any] = LTX23_AUDIO) -> Part:
    """LTX-2.3's audio autoencoder from a diffusers folder or from Lightricks' file."""
    classes = {"AutoencoderKLLTX2Audio": AutoencoderKLLTX2Audio}
    names = ltx_audio_vae_names
    return _codec(path, "audio_vae", classes, "AutoencoderKLLTX2Audio", config, names, "audio_vae.")


def vocoder_part(path: Path, config: Mapping[str, Any] = LTX23_AUDIO) -> Part:
    """LTX-2.3's vocoder, with its bandwidth extension, from a diffusers folder or from Lightricks' file."""
    classes = {"LTX2VocoderWithBWE": LTX2VocoderWithBWE, "LTX2Vocoder": LTX2Vocoder, "IstftVocoder": IstftVocoder}
    return _codec(path, "vocoder", classes, "LTX2VocoderWithBWE", config, ltx_vocoder_names, "vocoder.")


_LIBRARIES = {"LTX2VocoderWithBWE": "ltx2", "LTX2Vocoder": "ltx2", "IstftVocoder": "vivace"}


def _codec(
    path: Path,
    name: str,
    classes: Mapping[str, Any],
    released: str,
    config: Mapping[str, Any],
    names: Callable[[Iterable[str]], dict[str, str]],
    prefix: str,
) -> Part:
    """A codec, in the type in which it comes: the sound's is computed in float32, and none of them is large."""
    folder = path.is_dir()
    arguments = read_json(path / "config.json") if folder else dict(config)
    kind = arguments.get("_class_name", released) if folder else released
    if kind not in classes:
        raise VivaceError(f"Folder {str(path)!r} holds a {kind}; for {name} name one of {', '.join(classes)}.")
    model = on_meta(path, lambda: classes[kind].from_config(arguments))
    source = open_weights(path)
    theirs = {key: key for key in model.state_dict()} if folder else names(model.state_dict())
    held = [key for key in source.tensors if folder or key.startswith(prefix)]
    tensors = matched(source, model, theirs, held, f"the {name} of class {kind}")
    return Part(name, _LIBRARIES.get(kind, "diffusers"), kind, config_of(model), tensors)


def text_encoder_part(path: Path, dtype: str, config: Mapping[str, Any] = UMT5_XXL) -> Part:
    """UMT5's encoder from a transformers folder or from Wan's file; at most bf16 wide, unless fp32 is asked for."""
    folder = path.is_dir()
    arguments = read_json(path / "config.json") if folder else dict(config)
    if folder and arguments.get("model_type") != "umt5":
        raise VivaceError(
            f"Folder {str(path)!r} holds a {arguments.get('model_type')}, not a UMT5 encoder; name one of umt5-xxl."
        )
    model = on_meta(path, lambda: UMT5EncoderModel(UMT5Config(**arguments)))
    # The encoder's own copy of the embedding is the same tensor; files hold one of them or both.
    ours = [name for name in model.state_dict() if name != "encoder.embed_tokens.weight"]
    source = open_weights(path)
    theirs = {name: name for name in ours} if folder else umt5_names(ours)
    if folder and "shared.weight" not in source.tensors and "encoder.embed_tokens.weight" in source.tensors:
        theirs["shared.weight"] = "encoder.embed_tokens.weight"
    held = [name for name in source.tensors if name != "encoder.embed_tokens.weight" or name in theirs.values()]
    tensors = matched(source, model, theirs, held, "a UMT5 encoder of this size")
    if dtype != "fp32":
        narrow = {name: min(kept, torch.bfloat16, key=lambda x: x.itemsize) for name, kept in tensors.dtypes.items()}
        tensors = Tensors(source, theirs, narrow)
    return Part(
        "text_encoder",
        "transformers",
        "UMT5EncoderModel",
        {**model.config.to_dict(), "architectures": ["UMT5EncoderModel"]},
        tensors,
        stem="model",
    )


def tokenizer_part(path: Path) -> Part:
    """The text encoder's tokenizer, copied as it is; it must know the marker of a speaker's place.

    Raises:
        VivaceError: the folder holds no tokenizer, or one without that marker.
    """
    import transformers

    settings = read_json(path / "tokenizer_config.json")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:  # Tokenizers fail in as many ways as there are formats; none of them is ours to sort.
        reason = str(error).strip().split("\n")[0][:200]
        raise VivaceError(f"Folder {str(path)!r} holds no tokenizer that loads ({reason}); name umt5-xxl's.") from None
    if len(tokenizer("<extra_id_2>", add_special_tokens=False)["input_ids"]) != 1:
        raise VivaceError(f"The tokenizer in {str(path)!r} lacks <extra_id_2>, NAVA's speaker marker; name umt5-xxl's.")
    kind = settings.get("tokenizer_class") or type(tokenizer).__name__
    if not hasattr(transformers, kind):
        kind = type(tokenizer).__name__
    kept = (".json", ".model", ".txt")
    weights = ("config.json", "generation_config.json")  # of the encoder, where both share a folder
    files = sorted(
        file
        for file in path.iterdir()
        if file.suffix in kept and file.name not in weights and not file.name.endswith(".index.json")
    )
    return Part("tokenizer", "transformers", kind, copied=tuple(files))


def matched(source: Source, model: nn.Module, names: Mapping[str, str], held: Iterable[str], what: str) -> Tensors:
    """The model's tensors in the source, in the types that they have there.

    Args:
        names: the model's name of a tensor: the source's.
        held: names in the source that the model has to account for.

    Raises:
        VivaceError: one is missing, not expected, of another shape, or floating where the model's is not.
    """
    state = model.state_dict()
    expected = {theirs: Stored(tuple(state[ours].shape), state[ours].dtype) for ours, theirs in names.items()}
    check_tensors(source, expected, held, what)
    return Tensors(source, names, {ours: source.tensors[theirs].dtype for ours, theirs in names.items()})


def on_meta(path: Path, make: Callable[[], Any]) -> Any:
    """A model without memory, from a configuration that somebody else wrote.

    Raises:
        VivaceError: the configuration does not make a model.
    """
    try:
        with torch.device("meta"):
            return make()
    except VivaceError as error:  # says what to do about it
        raise VivaceError(f"The configuration in {str(path)!r} makes no model: {error}") from None
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError, ArithmeticError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        if "unsupported operand" in reason or "not supported between" in reason:  # names operators, not entries
            reason = "an entry is of another kind than it should be, such as a number in quotes"
        raise VivaceError(f"The configuration in {str(path)!r} makes no model ({reason}); download it again.") from None


def config_of(model: Any) -> dict[str, Any]:
    """What diffusers would write to config.json."""
    config: dict[str, Any] = json.loads(model.to_json_string())
    return {key: value for key, value in config.items() if key != "_name_or_path"}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        VivaceError: there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VivaceError(f"Configuration {str(path)!r} cannot be read ({error.strerror}); check the path.") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise VivaceError(f"Configuration {str(path)!r} is no JSON object; download it again.")
    return content
