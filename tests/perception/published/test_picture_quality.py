"""MUSIQ and MANIQA: names and shapes of the public files, what they see, and the adapters end to end."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vivace.errors import VivaceError
from vivace.models import maniqa, musiq
from vivace.models.maniqa import Maniqa
from vivace.models.musiq import Musiq, patches
from vivace.perception.published.picture_quality import CROPS, SEED, ManiqaScores, MusiqScores
from vivace.perception.published.weights import manifest

FRAMES = np.random.default_rng(0).integers(0, 255, (2, 226, 300, 3), dtype=np.uint8)


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def small_musiq() -> Musiq:
    return Musiq(dim=8, hidden=8, layers=1, heads=2)


def tiny_musiq(folder: Path) -> MusiqScores:
    torch.manual_seed(0)
    torch.save(small_musiq().state_dict(), folder / "musiq.pth")
    return MusiqScores(folder / "musiq.pth", small_musiq())


def tiny_maniqa(folder: Path) -> ManiqaScores:
    torch.manual_seed(0)
    model = Maniqa(dim=16, heads=2)
    state = {**model.state_dict(), "vit.head.weight": torch.ones(3), "vit.norm.weight": torch.ones(3)}
    state["swintransformer1.layers.0.blocks.1.attn_mask"] = torch.zeros(49, 16, 16)
    torch.save(state, folder / "maniqa.pt")
    return ManiqaScores(folder / "maniqa.pt", Maniqa(dim=16, heads=2))


def test_the_networks_have_the_public_names_and_shapes() -> None:
    with torch.device("meta"):
        own = shapes(Musiq()), shapes(Maniqa())
    assert manifest("musiq_koniq") == own[0]
    assert {name: shape for name, shape in manifest("maniqa_koniq10k").items() if not maniqa.dropped(name)} == own[1]


def test_musiqs_patches() -> None:
    picture = torch.rand(3, 100, 250)
    parts = patches(picture)
    # 224 x 90 and 384 x 154 after scaling, in patches of 32: 7 x 3, 12 x 5, and 8 x 4 of the picture itself.
    assert [int((parts.sizes == size).sum()) for size in range(3)] == [21, 60, 32]
    assert parts.pixels.shape == (113, 3, 32, 32)
    last = parts.pixels[parts.sizes == 2].reshape(4, 8, 3, 32, 32)
    # 100 = 4 x 32 - 28 rows and 250 = 8 x 32 - 6 columns: 14 and 3 are filled before them.
    assert not last[0, :, :, :14].any()
    assert last[0, 0, :, 14:, 3:] == pytest.approx(picture[:, :18, :29] * 2 - 1)
    assert parts.places[parts.sizes == 2].tolist()[:9] == [0, 1, 2, 3, 5, 6, 7, 8, 20]
    assert parts.places.max() < musiq.GRID**2


def test_musiq(tmp_path: Path) -> None:
    adapter = tiny_musiq(tmp_path)
    scores = adapter(FRAMES)
    assert scores.shape == (2,)
    assert adapter(FRAMES[1:])[0] == pytest.approx(scores[1])
    with pytest.raises(VivaceError, match="another network"):
        MusiqScores(tmp_path / "musiq.pth", Musiq(dim=16, hidden=8, layers=1, heads=2))


def test_maniqa_takes_seeded_crops(tmp_path: Path) -> None:
    adapter = tiny_maniqa(tmp_path)
    (score,) = adapter(FRAMES[:1])
    assert adapter(FRAMES[:1])[0] == score
    rng = np.random.default_rng(SEED)
    tops, lefts = rng.integers(0, 2, CROPS), rng.integers(0, 76, CROPS)
    colours = torch.from_numpy(FRAMES[0]).permute(2, 0, 1) / 127.5 - 1.0
    crops = torch.stack([colours[:, t : t + 224, n : n + 224] for t, n in zip(tops, lefts, strict=True)])
    with torch.no_grad():
        assert score == pytest.approx(float(adapter.model(crops).mean()), abs=1e-5)
    with pytest.raises(VivaceError, match="hold no crop"):
        adapter(FRAMES[:1, :200])


def test_windows_of_maniqa_are_cut_and_put_back() -> None:
    x = torch.arange(64.0).reshape(1, 8, 8, 1)
    cut = maniqa._windows(x)
    assert cut.shape == (4, 16, 1)
    assert cut[1, :5, 0].tolist() == [4.0, 5.0, 6.0, 7.0, 12.0]
    torch.manual_seed(0)
    for shifted in (False, True):
        block = maniqa._SwinBlock(8, 8, 8, shifted=shifted).eval()
        grid = torch.randn(1, 8, 8, 8)
        changed = grid.clone()
        changed[0, 0, 0, 0] += 1.0
        with torch.no_grad():
            touched = (block(changed) - block(grid)).abs().sum(-1)[0] > 1e-6
        # A token is seen in its own window alone; a shifted one at the edge shares it with nobody across the edge.
        side = 2 if shifted else 4
        assert touched[:side, :side].all()
        assert int(touched.sum()) == side * side


def test_maniqas_biases_depend_on_the_distance() -> None:
    attention = maniqa._WindowAttention(8)
    apart = attention.apart
    assert apart.shape == (16, 16)
    # The token itself, the one to the right of it, and the one below.
    assert (int(apart[0, 0]), int(apart[0, 1]), int(apart[0, 4])) == (24, 23, 17)
    assert len(set(apart.flatten().tolist())) == 49
