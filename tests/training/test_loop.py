"""The loop with an objective of a single number: what stops it, what it leaves, and what it tells."""

import json
import math
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.media.small_disk import small_disk
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.loop import LoopSettings, train
from vivace.training.metric_log import MetricLog


class Number(nn.Module):
    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))


class Fall:
    """Brings a number down. `loss` may be another function of it and the step."""

    def __init__(self, loss: Callable[[Tensor, int], Tensor] = lambda value, step: (value - step / 7) ** 2) -> None:
        self.number = Number()
        self.function = loss

    def modules(self) -> dict[str, nn.Module]:
        return {"number": self.number}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"sgd": torch.optim.SGD(self.number.parameters(), lr=0.1)}

    def loss(self, step: int) -> dict[str, Tensor]:
        loss = self.function(self.number.value, step)
        return {"loss": loss, "half": loss / 2}

    def validate(self, step: int) -> dict[str, float]:
        return {"value": float(self.number.value)}


def settings(**changes: int) -> LoopSettings:
    return LoopSettings(
        **{
            "steps": 8,
            "warmup_steps": 0,
            "log_every": 1,
            "validate_every": 4,
            "checkpoint_every_seconds": 1000,
            **changes,
        }
    )


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def vertical(value: Tensor, step: int) -> Tensor:
    """From step 4 on the root of |value - value| = 0: a finite loss whose gradient is not."""
    return (value - value.detach() if step >= 4 else value).abs().sqrt()


def infinite(value: Tensor, step: int) -> Tensor:
    return value * (math.inf if step >= 4 else 1)


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (vertical, "The norm of the gradient became nan at step 4; lower the learning rate and resume, the last "),
        (infinite, "The loss became inf at step 4; lower the learning rate and resume, the last "),
    ],
)
def test_what_is_not_finite_is_neither_taken_nor_saved(tmp_path: Path, loss: Callable, sentence: str) -> None:
    objective = Fall(loss)
    with pytest.raises(VivaceError) as caught:
        train(objective, settings(milestone_every=2), tmp_path)
    assert str(caught.value) == f"{sentence}checkpoint is sound."
    assert objective.number.value.isfinite()
    last = latest_checkpoint(tmp_path / "checkpoints")
    assert last == tmp_path / "checkpoints" / "step-00000004"
    assert torch.equal(load_weights(last, "number", ema=False)["value"], objective.number.value)
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [0, 1, 2, 3]


def test_losses_and_norm_are_fetched_from_the_device_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def counted(name: str) -> Callable:
        whole = getattr(Tensor, name)
        return lambda tensor: (fetched.append(name), whole(tensor))[1]

    for name in ("item", "tolist", "__float__", "__bool__"):
        monkeypatch.setattr(Tensor, name, counted(name))
    train(Fall(), settings(accumulate=2, validate_every=100, steps=3), tmp_path)
    assert fetched == ["tolist"] * 3 + ["__float__"]  # the last is this objective's own, in `validate`


def test_accumulated_losses_are_means(tmp_path: Path) -> None:
    train(Fall(lambda value, step: value * 0 + step), settings(accumulate=4, steps=2), tmp_path)
    assert [(line["loss"], line["half"]) for line in lines(tmp_path) if "loss" in line] == [(1.5, 0.75), (5.5, 2.75)]


def test_opening_a_run_removes_what_a_kill_left_and_nothing_else(tmp_path: Path) -> None:
    train(Fall(), settings(steps=3, milestone_every=1), tmp_path)
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "step-00000003").rename(checkpoints / ".before-step-00000003")
    for name in (".writing-00000009", ".writing-step-00000004"):
        (checkpoints / name).mkdir()
        (checkpoints / name / "number.safetensors").write_bytes(b"half")
    train(Fall(), settings(steps=4, milestone_every=1), tmp_path)
    assert sorted(path.name for path in checkpoints.iterdir()) == [f"step-{step:08d}" for step in (1, 2, 3, 4)]
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [0, 1, 2, 3]


def test_checkpoints_at_the_ends_of_stages_are_kept_for_good(tmp_path: Path) -> None:
    train(Fall(), settings(steps=9, milestone_every=4), tmp_path, ends=[3, 7, 9])
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [f"step-{step:08d}" for step in (3, 4, 7, 8, 9)]


def test_a_disk_that_tensorboard_fills_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    with small_disk(2000), pytest.raises(VivaceError) as caught:
        train(Fall(), settings(steps=1000), tmp_path)
    assert re.fullmatch(r"Output '.+/tensorboard/.+' cannot be written: .+ or choose another disk\.", str(caught.value))
    kept = [line["step"] for line in lines(tmp_path)]
    assert train(Fall(), settings(steps=len(kept) + 1), tmp_path)


def test_a_disk_that_metrics_fill_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n' * 100)
    log = MetricLog(tmp_path, 2)
    with small_disk(2510), pytest.raises(VivaceError, match=r"metrics\.jsonl' cannot be written: .+ another disk\.$"):
        log.write(2, {"loss": 0.25})
    MetricLog(tmp_path, 2).write(2, {"loss": 0.25})
    assert lines(tmp_path)[99:] == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


def killed(run: str) -> None:
    """A run that is killed in its step 6, three steps after its last checkpoint."""

    def die(value: Tensor, step: int) -> Tensor:
        if step == 6:
            os._exit(9)
        return (value - step / 7) ** 2

    train(Fall(die), settings(milestone_every=3), Path(run))


def kill(run: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(str(run),))
    process.start()
    process.join()
    assert process.exitcode == 9
    for path in (run / "metrics.jsonl", *(run / "tensorboard").iterdir()):
        with path.open("ab") as file:
            file.write(b'{"step": 5, "lo')  # cut short


def stop(run: Path) -> None:
    def interrupt(value: Tensor, step: int) -> Tensor:
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return (value - step / 7) ** 2

    with pytest.raises(KeyboardInterrupt):
        train(Fall(interrupt), settings(milestone_every=3), run)


@pytest.mark.parametrize("interrupted", [kill, stop])
def test_tensorboard_shows_a_resumed_run_as_metrics_jsonl_tells_it(
    tmp_path: Path, interrupted: Callable[[Path], None]
) -> None:
    interrupted(tmp_path)
    train(Fall(), settings(milestone_every=3), tmp_path)
    told = lines(tmp_path)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(board.Tags()["scalars"]) == {name for line in told for name in line} - {"step"}
    for name in board.Tags()["scalars"]:
        events = board.Scalars(name)
        expected = [line for line in told if name in line]
        assert [event.step for event in events] == [line["step"] for line in expected]
        assert [event.value for event in events] == pytest.approx([line[name] for line in expected], rel=1e-6, abs=1e-6)
    assert [event.step for event in board.Scalars("loss")] == list(range(8))
    assert [event.step for event in board.Scalars("val/value")] == [3, 7]
    train(Fall(), settings(), tmp_path / "quiet")
    assert [line["loss"] for line in told if "loss" in line] == [
        line["loss"] for line in lines(tmp_path / "quiet") if "loss" in line
    ]
