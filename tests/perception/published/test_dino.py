"""DINOv3 and DINOv2 by transformers, from a user's folder, on tiny networks of their architectures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

from vivace.errors import VivaceError
from vivace.perception.published.dino import DinoTokens

FRAMES = np.random.default_rng(0).integers(0, 255, (10, 40, 60, 3), dtype=np.uint8)
SIDE = 28


def tiny_dino(folder: Path, family: Any) -> DinoTokens:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE}
    if family == "dinov3":
        DINOv3ViTModel(
            DINOv3ViTConfig(**sizes, patch_size=7, intermediate_size=32, num_register_tokens=4)
        ).save_pretrained(folder)
    else:
        Dinov2Model(Dinov2Config(**sizes, patch_size=7, mlp_ratio=2)).save_pretrained(folder)
    return DinoTokens(folder, family, side=SIDE)


def as_published(frame: np.ndarray, family: str) -> torch.Tensor:
    """One picture as the network's own image processor is described."""
    image = Image.fromarray(frame)
    if family == "dinov3":
        image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    else:  # the shorter side 256 for a square of 224
        image = image.resize((48, 32), Image.Resampling.BICUBIC).crop((10, 2, 38, 30))
    colours = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (colours - mean[:, None, None]) / deviation[:, None, None]


@pytest.mark.parametrize("family", ["dinov3", "dinov2"])
def test_the_class_token_and_verse_benchs_patch(family: str, tmp_path: Path) -> None:
    network = tiny_dino(tmp_path, family)
    classes, patches = network(FRAMES, batch=4)
    assert classes.shape == patches.shape == (10, 16)
    with torch.no_grad():
        tokens = network.model(pixel_values=as_published(FRAMES[7], family)[None]).last_hidden_state[0]
    assert len(tokens) == 1 + (4 if family == "dinov3" else 0) + 16
    assert classes[7] == pytest.approx(tokens[0].numpy(), abs=1e-5)
    assert patches[7] == pytest.approx(tokens[-2].numpy(), abs=1e-5)


def test_a_folder_of_the_other_network_is_refused(tmp_path: Path) -> None:
    tiny_dino(tmp_path, "dinov2")
    with pytest.raises(VivaceError, match=r"does not fit|cannot be read"):
        DinoTokens(tmp_path, "dinov3")
