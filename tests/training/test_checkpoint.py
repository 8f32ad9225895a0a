from pathlib import Path

import pytest
import torch
from torch import nn

from vivace.errors import VivaceError
from vivace.training import checkpoint as module
from vivace.training.checkpoint import latest_checkpoint, load_weights, restore_checkpoint, save_checkpoint
from vivace.training.muon import Muon


def parts() -> tuple[nn.Linear, dict[str, dict[str, torch.Tensor]], dict[str, torch.optim.Optimizer]]:
    layer = nn.Linear(6, 4)
    shadow = {"layer": {key: value.clone() + 1 for key, value in layer.state_dict().items()}}
    optimizers = {"muon": Muon([layer.weight], lr=0.1), "adamw": torch.optim.AdamW([layer.bias], lr=0.1)}
    for _ in range(3):
        layer(torch.randn(5, 6)).square().sum().backward()
        for optimizer in optimizers.values():
            optimizer.step()
    return layer, shadow, optimizers


@pytest.mark.parametrize("part_bytes", [1, 50, 10**9])
def test_everything_comes_back_whatever_the_size_of_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr(module, "PART_BYTES", part_bytes)
    layer, shadow, optimizers = parts()
    saved = save_checkpoint(tmp_path, 7, {"layer": layer}, shadow, optimizers)
    other, other_shadow, others = parts()
    assert restore_checkpoint(saved, {"layer": other}, other_shadow, others) == 7
    torch.testing.assert_close(other.state_dict(), layer.state_dict(), atol=0, rtol=0)
    torch.testing.assert_close(other_shadow, shadow, atol=0, rtol=0)
    for name, optimizer in optimizers.items():
        torch.testing.assert_close(others[name].state_dict()["state"], optimizer.state_dict()["state"], atol=0, rtol=0)
    torch.testing.assert_close(load_weights(saved, "layer", ema=True), shadow["layer"], atol=0, rtol=0)
    if part_bytes < 10**9:
        assert len(list(saved.glob("layer-*.safetensors"))) == 2


def test_old_ones_go_and_milestones_stay(tmp_path: Path) -> None:
    layer, shadow, optimizers = parts()
    for step in range(1, 8):
        save_checkpoint(tmp_path, step, {"layer": layer}, shadow, optimizers, keep=2, milestone_every=3)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"step-{n:08d}" for n in (3, 6, 7)]
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000007"


def test_a_half_written_checkpoint_does_not_count(tmp_path: Path) -> None:
    layer, shadow, optimizers = parts()
    whole = save_checkpoint(tmp_path, 1, {"layer": layer}, shadow, optimizers)
    (tmp_path / ".writing-00000002").mkdir()
    assert latest_checkpoint(tmp_path) == whole
    with pytest.raises(VivaceError, match="holds no other"):
        load_weights(whole, "other", ema=False)
