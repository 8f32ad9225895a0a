"""Codecs out of their folders, and the check that they are the ones that latents were made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
from torch import nn

from vivace.data.fingerprint import DECODING, weights_hash
from vivace.errors import VivaceError
from vivace.models.speaker import NanoSpeakerEncoder
from vivace.models.vocoder import IstftVocoder
from vivace.pipelines.checksums import check_part
from vivace.plain_json import read_object

VOCODERS = {"IstftVocoder": IstftVocoder, "LTX2Vocoder": LTX2Vocoder}


def load_codecs(vae: Path, audio_vae: Path, device: str = "cpu") -> tuple[AutoencoderKLWan, AutoencoderKLLTX2Audio]:
    """Both autoencoders in fp32, for inference.

    Raises:
        VivaceError: a folder holds no such codec.
    """
    return load_video_codec(vae).to(device), _load(AutoencoderKLLTX2Audio, audio_vae).to(device)


def load_video_codec(folder: Path) -> AutoencoderKLWan:
    """The video autoencoder in fp32, for inference.

    Raises:
        VivaceError: the folder holds no such codec.
    """
    codec: AutoencoderKLWan = _load(AutoencoderKLWan, folder)
    return codec


def load_vocoder(folder: Path) -> nn.Module:
    """Either vocoder in fp32, for inference.

    Raises:
        VivaceError: the folder holds no vocoder.
    """
    name = _config(folder).get("_class_name")
    if name not in VOCODERS:
        raise VivaceError(f"Folder {str(folder)!r} holds {name!r}, not a vocoder; name one of {', '.join(VOCODERS)}.")
    return _load(VOCODERS[name], folder)


def load_speaker_encoder(folder: Path, device: str = "cpu") -> NanoSpeakerEncoder:
    """The speaker encoder in fp32, for inference.

    Raises:
        VivaceError: the folder holds none.
    """
    encoder: NanoSpeakerEncoder = _load(NanoSpeakerEncoder, folder).to(device)
    return encoder


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise VivaceError(f"Codec folder {str(folder)!r} has no config.json; train the codec or correct the path.")
    return read_object(path, "export the codec anew", what="Configuration")


def _load(kind: Any, folder: Path) -> Any:
    name = _config(folder).get("_class_name")
    if name != kind.__name__:
        raise VivaceError(f"Folder {str(folder)!r} holds {name!r}; name a folder of {kind.__name__}.")
    check_part(folder)
    try:
        codec = kind.from_pretrained(folder, torch_dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise VivaceError(
            f"Codec {str(folder)!r} cannot be loaded ({str(error).splitlines()[0]}); export it anew."
        ) from None
    return codec.eval().requires_grad_(False)


def start_from(codec: nn.Module, folder: Path) -> None:
    """Give a codec that is about to be trained the weights of a stored one.

    Raises:
        VivaceError: the folder holds no codec of its class and configuration.
    """
    stored = _load(type(codec), folder)
    try:
        codec.load_state_dict(stored.state_dict())
    except RuntimeError:
        raise VivaceError(
            f"Codec {str(folder)!r} has another configuration than the recipe's; take its own or start without it."
        ) from None


def keep_encoder(codec: nn.Module) -> None:
    """Leave only the decoding half of a codec to be trained: what its latents mean stays."""
    for name, parameter in codec.named_parameters():
        parameter.requires_grad_(name.startswith(DECODING))


def check_codecs(codecs: dict[str, nn.Module], expected: dict[str, str]) -> None:
    """Compare codecs with the hashes that latents were made with.

    Raises:
        VivaceError: one is another codec.
    """
    for name, codec in codecs.items():
        if name in expected and weights_hash(codec) != expected[name]:
            raise VivaceError(
                f"The {name} is not the one that the latents were made with; name that one or encode again."
            )
