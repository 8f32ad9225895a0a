"""The parts of the released NAVA before their files are here: names, shapes and configurations, and no value.

With them a plan can be made before anything is downloaded. What a file really holds is checked when it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from diffusers.pipelines.ltx2 import LTX2VocoderWithBWE
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from vivace.conversion.nava import part_makers
from vivace.conversion.origins import ORIGINS
from vivace.conversion.parts import (
    DTYPES,
    Part,
    check_dtype,
    config_of,
    described_nava,
    transformer_dtype,
    transformer_part,
)
from vivace.conversion.released import LTX23_AUDIO, UMT5_XXL, WAN22_VAE
from vivace.conversion.sources import Stored
from vivace.conversion.writing import Tensors
from vivace.errors import VivaceError
from vivace.models.nava import NavaTransformer
from vivace.models.nava_sizes import PUBLISHED


class Announced:
    """A `Source` of weights that are not here."""

    def __init__(self, name: str, tensors: dict[str, Stored]) -> None:
        self.path, self.files, self.tensors = Path(name), list[Path](), tensors

    def read(self, name: str) -> Tensor:
        """Raises VivaceError, since there is nothing to read."""
        raise VivaceError(f"Weights {str(self.path)!r} are not here; download them.")


def parts_ahead(paths: Mapping[str, Path], dtype: str, config: Path | None = None) -> list[Part]:
    """All parts of a NAVA folder, the transformer first: checked where there are files, else as they are published.

    Args:
        paths: of the parts that are here.
        dtype, config: as of `vivace.conversion.nava.convert_nava`.

    Raises:
        VivaceError: a file that is damaged or another model's.
    """
    check_dtype(dtype)
    makers = {"transformer": lambda path: transformer_part(path, dtype, config), **part_makers(dtype)}
    return [make(paths[name]) if name in paths else expected_part(name, dtype, config) for name, make in makers.items()]


def expected_part(name: str, dtype: str, config: Path | None = None) -> Part:
    """One part as it is published, in the type in which a conversion stores it."""
    if name == "tokenizer":
        return Part("tokenizer", "transformers", "T5Tokenizer")
    # The codecs and the text encoder stay as their publishers store them; only fp32 widens the encoder.
    kinds: dict[str, tuple[str, Callable[[], Any], torch.dtype]] = {
        "transformer": ("vivace", lambda: _transformer(config), torch.float32),
        "vae": ("diffusers", lambda: AutoencoderKLWan.from_config(WAN22_VAE), torch.float32),
        "text_encoder": ("transformers", lambda: UMT5EncoderModel(UMT5Config(**UMT5_XXL)), torch.bfloat16),
        "audio_vae": ("diffusers", lambda: AutoencoderKLLTX2Audio.from_config(LTX23_AUDIO), torch.bfloat16),
        "vocoder": ("ltx2", lambda: LTX2VocoderWithBWE.from_config(LTX23_AUDIO), torch.bfloat16),
    }
    library, make, stored = kinds[name]
    with torch.device("meta"):
        model: nn.Module = make()
    # The encoder's own copy of the embedding is the same tensor.
    shapes = {key: tuple(x.shape) for key, x in model.state_dict().items() if key != "encoder.embed_tokens.weight"}
    source = Announced(ORIGINS[name].names[-1], {key: Stored(shape, stored) for key, shape in shapes.items()})
    types = dict.fromkeys(shapes, stored)
    if name == "transformer":
        types = {key: transformer_dtype(key, shape, dtype) for key, shape in shapes.items()}
    elif name == "text_encoder" and dtype == "fp32":
        types = dict.fromkeys(shapes, DTYPES[dtype])
    settings = model.config.to_dict() if isinstance(model, UMT5EncoderModel) else config_of(model)
    return Part(name, library, type(model).__name__, settings, Tensors(source, {key: key for key in shapes}, types))


def _transformer(config: Path | None) -> NavaTransformer:
    return NavaTransformer(**PUBLISHED["6b"]) if config is None else described_nava(config)
