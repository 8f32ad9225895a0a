import random
from pathlib import Path

import pytest
import torch
from tests.media.small_disk import small_disk
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
        save_checkpoint(
            tmp_path, step, {"layer": layer}, shadow, optimizers, keep=2, lasting=lambda step: step % 3 == 0
        )
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"step-{n:08d}" for n in (3, 6, 7)]
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000007"


def test_a_half_written_checkpoint_does_not_count(tmp_path: Path) -> None:
    layer, shadow, optimizers = parts()
    whole = save_checkpoint(tmp_path, 1, {"layer": layer}, shadow, optimizers)
    (tmp_path / ".writing-00000002").mkdir()
    assert latest_checkpoint(tmp_path) == whole
    with pytest.raises(VivaceError, match="holds no other"):
        load_weights(whole, "other", ema=False)


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, '{"step": "x"}', '{"step": 7}', '{"step": 7, "optimizers": []}']
)
def test_a_damaged_state_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    layer, shadow, optimizers = parts()
    saved = save_checkpoint(tmp_path, 7, {"layer": layer}, shadow, optimizers)
    (saved / "state.json").write_text(text)
    with pytest.raises(VivaceError, match="remove it, so that the run goes on from the one before") as caught:
        restore_checkpoint(saved, {"layer": layer}, shadow, optimizers)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def _names(checkpoint: Path, error: VivaceError) -> None:
    assert str(checkpoint) in str(error)
    assert str(error).endswith(".")
    assert "\n" not in str(error)


def test_whatever_is_damaged_in_a_checkpoint_is_restored_or_refused(tmp_path: Path) -> None:
    layer, shadow, optimizers = parts()
    saved = save_checkpoint(tmp_path, 7, {"layer": layer}, shadow, optimizers)
    files = sorted(path for path in saved.iterdir() if path.is_file())
    refused = 0
    for number in range(120):
        dice = random.Random(number)
        path = files[number % len(files)]
        whole = path.read_bytes()
        changed = bytearray(whole[: dice.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(3):
            changed[(at := dice.randrange(min(len(changed), 80) + 1)) : at + 1] = bytes([dice.randrange(256)])
        path.write_bytes(changed)
        try:
            restore_checkpoint(saved, {"layer": layer}, shadow, optimizers)
        except VivaceError as error:
            _names(saved, error)
            refused += 1
        path.write_bytes(whole)
    assert refused > 60
    assert restore_checkpoint(saved, {"layer": layer}, shadow, optimizers) == 7


def test_a_checkpoint_of_other_modules_is_refused(tmp_path: Path) -> None:
    layer, shadow, optimizers = parts()
    saved = save_checkpoint(tmp_path, 7, {"layer": layer}, shadow, optimizers)
    with pytest.raises(VivaceError, match=r"does not fit what is trained .*undo the recipe's changes"):
        restore_checkpoint(saved, {"layer": nn.Linear(6, 5)}, shadow, optimizers)


def test_a_disk_that_fills_up_leaves_the_checkpoints_that_were_there(tmp_path: Path) -> None:
    layer, shadow, optimizers = parts()
    saved = save_checkpoint(tmp_path, 7, {"layer": layer}, shadow, optimizers)
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    for step in (7, 8):
        with small_disk(100), pytest.raises(VivaceError) as caught:
            save_checkpoint(tmp_path, step, {"layer": layer}, shadow, optimizers)
        assert str(caught.value) == (
            f"Output {str(tmp_path / f'step-{step:08d}')!r} cannot be written: a file would be larger than this system "
            "allows; raise that limit or choose another disk."
        )
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000007"]
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
