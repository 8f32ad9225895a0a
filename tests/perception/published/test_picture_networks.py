"""Aesthetic predictors and I3D: names and shapes of the public files, their inputs, and the adapters end to end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from vivace.errors import VivaceError
from vivace.models import aesthetic, i3d
from vivace.models.aesthetic import AestheticHead
from vivace.models.i3d import I3D
from vivace.perception.published.aesthetic import LAION_HEAD, V2_5_HEAD, AestheticPredictor
from vivace.perception.published.i3d import VideoLogits, video_input
from vivace.perception.published.pictures import squares
from vivace.perception.published.weights import manifest

FRAMES = np.random.default_rng(0).integers(0, 255, (12, 40, 60, 3), dtype=np.uint8)
TOWER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
VISION = {**TOWER, "image_size": 16, "patch_size": 8}


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def save_head(path: Path, name: str, dim: int) -> AestheticHead:
    head = AestheticHead(dim)
    state = head.state_dict()
    torch.save({key: state[aesthetic.own_name(key)] for key in manifest(name)}, path)
    return head


def laion_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    text = {**TOWER, "vocab_size": 30, "eos_token_id": 29}
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)).save_pretrained(folder)
    save_head(folder / LAION_HEAD, "laion_aesthetic", 12)
    return folder


def v2_5_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(text_config={**TOWER, "vocab_size": 30}, vision_config=VISION)).save_pretrained(folder)
    save_head(folder / V2_5_HEAD, "aesthetic_v2_5", 16)
    return folder


def tiny_i3d(folder: Path) -> VideoLogits:
    torch.manual_seed(0)
    state = I3D(0.02).state_dict()
    torch.save({name: state[i3d.own_name(name)] for name in manifest("i3d")}, folder / "i3d.pt")
    return VideoLogits(folder / "i3d.pt", I3D(0.02))


def test_the_networks_have_the_public_names_and_shapes() -> None:
    with torch.device("meta"):
        heads = shapes(AestheticHead(aesthetic.CLIP_DIM)), shapes(AestheticHead(aesthetic.SIGLIP_DIM))
        video = shapes(I3D())
    for name, own in zip(("laion_aesthetic", "aesthetic_v2_5"), heads, strict=True):
        assert {aesthetic.own_name(key): shape for key, shape in manifest(name).items()} == own
    assert {i3d.own_name(name): shape for name, shape in manifest("i3d").items()} == video


def test_pictures_become_squares() -> None:
    half = (0.5, 0.5, 0.5)
    kept = squares(FRAMES[:2], 16, half, half, keep_shape=True)
    assert kept.shape == (2, 3, 16, 16)
    image = Image.fromarray(FRAMES[0]).resize((24, 16), Image.Resampling.BICUBIC).crop((4, 0, 20, 16))
    assert kept[0].permute(1, 2, 0).numpy() == pytest.approx(np.asarray(image) / 127.5 - 1.0, abs=1e-6)
    stretched = squares(FRAMES[:1], 16, half, half, keep_shape=False)
    image = Image.fromarray(FRAMES[0]).resize((16, 16), Image.Resampling.BICUBIC)
    assert stretched[0].permute(1, 2, 0).numpy() == pytest.approx(np.asarray(image) / 127.5 - 1.0, abs=1e-6)


@pytest.mark.parametrize("kind", ["laion", "v2_5"])
def test_aesthetic_predictors_read_their_folders(kind: str, tmp_path: Path) -> None:
    folder = laion_folder(tmp_path) if kind == "laion" else v2_5_folder(tmp_path)
    predictor = getattr(AestheticPredictor, kind)(folder)
    scores = predictor(FRAMES[:5], batch=2)
    assert scores.shape == (5,)
    assert predictor(FRAMES[:5], batch=5) == pytest.approx(scores, abs=1e-5)
    # The head's layers have nothing between them, so that they are one affine map of the normalised vector.
    steps = [(step.weight, step.bias) for step in predictor.head.steps]
    with torch.no_grad():
        vector = torch.randn(1, steps[0][0].shape[1])
        x = 3.0 * vector / vector.norm()
        assert predictor.head(x) == pytest.approx(predictor.head(vector), abs=1e-5)
        x = x / 3.0
        for weight, bias in steps:
            x = x @ weight.T + bias
        assert float(predictor.head(vector)) == pytest.approx(float(x), abs=1e-5)
    save_head(folder / (LAION_HEAD if kind == "laion" else V2_5_HEAD), "laion_aesthetic", 9)
    with pytest.raises(VivaceError, match="another"):
        getattr(AestheticPredictor, kind)(folder)


def test_i3d_sees_sixteen_pictures(tmp_path: Path) -> None:
    adapter = tiny_i3d(tmp_path)
    longer = np.concatenate([FRAMES, FRAMES])
    assert adapter(longer[:16]).shape == (400,)
    assert adapter(longer) == pytest.approx(adapter(longer[:16]))
    shown = video_input(FRAMES)
    assert shown.shape == (3, 12, 224, 224)
    assert -0.5 <= float(shown.min()) < float(shown.max()) <= 0.5


def test_i3d_loses_nothing_at_its_edges() -> None:
    x = torch.arange(7.0)[None, None, :, None, None].expand(1, 1, 7, 5, 6)
    padded = i3d._padded(x, (3, 3, 3), (2, 2, 2))
    # ceil(7 / 2), ceil(5 / 2) and ceil(6 / 2) places; an odd zero comes after.
    assert [(length - 3) // 2 + 1 for length in padded.shape[2:]] == [4, 3, 3]
    assert padded.shape[2:] == (9, 7, 7)
    assert float(padded[0, 0, 0].sum()) == 0.0
    assert not padded[..., -1].any()
