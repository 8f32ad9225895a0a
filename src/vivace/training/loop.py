"""The one training loop: codecs and generators differ only in their objective.

Everything random in a step is a function of (seed, step), so a run that was killed at any moment continues bit for
bit from its last checkpoint with nothing but step, weights, averages and optimizer state.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.media.atomic import sweep
from vivace.training.checkpoint import latest_checkpoint, restore_checkpoint, save_checkpoint
from vivace.training.metric_log import MetricLog
from vivace.training.run_folder import Begun, unrecorded


class LoopSettings(BaseModel):
    """How long and how a unit trains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(gt=0)
    warmup_steps: int = Field(100, ge=0)
    decay_steps: int = Field(0, ge=0, description="the learning rate falls linearly to zero over the last steps")
    grad_clip: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "cpu"
    threads: int = Field(0, ge=0, description="CPU threads; 0 leaves PyTorch's choice")
    accumulate: int = Field(1, gt=0, description="batches per optimizer step")
    log_every: int = Field(10, gt=0)
    validate_every: int = Field(500, gt=0)
    checkpoint_every_seconds: float = Field(120, gt=0)
    milestone_every: int = Field(0, ge=0, description="a checkpoint at each multiple of so many steps is kept for good")

    @property
    def dtype(self) -> torch.dtype:
        """What matrices are multiplied in."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32


class Objective(Protocol):
    """What is trained. `loss` must be a pure function of the weights and the micro-step."""

    def modules(self) -> dict[str, nn.Module]: ...

    def optimizers(self) -> dict[str, torch.optim.Optimizer]: ...

    def loss(self, step: int) -> dict[str, Tensor]:
        """`loss` is minimised; all entries are logged."""
        ...

    def validate(self, step: int) -> dict[str, float]:
        """Held-out figures; the loop has put the averaged weights in place."""
        ...


def learning_rate_factor(step: int, settings: LoopSettings) -> float:
    """Linear warm-up, constant, linear decay to zero over the last `decay_steps`."""
    factor = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    left = settings.steps - step
    return factor * min(1.0, left / settings.decay_steps) if settings.decay_steps else factor


class Average:
    """Exponential moving average of all floating-point state of the modules, in fp32."""

    def __init__(self, modules: dict[str, nn.Module], decay: float) -> None:
        self.modules = modules
        self.decay = decay
        self.shadow = {
            name: {key: value.detach().float().clone() for key, value in module.state_dict().items()}
            for name, module in modules.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        # Early on the average follows closely; otherwise it would carry the initial weights for long.
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, module in self.modules.items():
            state = module.state_dict()
            shadow = self.shadow[name]
            torch._foreach_lerp_(list(shadow.values()), [state[key].float() for key in shadow], 1 - decay)

    def swapped(self) -> _Swap:
        """Context in which the modules hold the averaged weights."""
        return _Swap(self)


class _Swap:
    def __init__(self, average: Average) -> None:
        self.average = average
        self.kept: dict[str, dict[str, Tensor]] = {}

    def __enter__(self) -> None:
        for name, module in self.average.modules.items():
            self.kept[name] = {key: value.clone() for key, value in module.state_dict().items()}
            module.load_state_dict(self.average.shadow[name])
            module.eval()

    def __exit__(self, *exception: object) -> None:
        for name, module in self.average.modules.items():
            module.load_state_dict(self.kept[name])
            module.train()


class _StopRequest:
    """Ctrl-C, or a scheduler's SIGTERM, asks the loop to stop after the step in hand; a second interrupts at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _StopRequest:
        self.previous = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def _fetched(values: list[Tensor]) -> list[float]:
    """Scalars as numbers; the device is waited for once, not for each."""
    numbers: list[float] = torch.stack([value.to(values[-1].device) for value in values]).tolist()
    return numbers


def train(
    objective: Objective, settings: LoopSettings, run: Path, begun: Begun = unrecorded, ends: Collection[int] = ()
) -> dict[str, float]:
    """Train to `settings.steps`, resuming from the newest checkpoint in `run`. Returns the last held-out figures.

    Interrupting with Ctrl-C saves a checkpoint and raises KeyboardInterrupt.

    Args:
        ends: steps after which a stage ends; the checkpoints there are kept for good.
        begun: called before the first step, when everything is open and the checkpoint, if there is one, has fitted.

    Raises:
        VivaceError: a checkpoint that is damaged or does not fit; the loss, or the norm of its gradient, became
            non-finite; the run's folder cannot be written, as on a full disk.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    run.mkdir(parents=True, exist_ok=True)
    modules = {name: module.to(settings.device).train() for name, module in objective.modules().items()}
    optimizers = objective.optimizers()
    average = Average(modules, settings.ema_decay)
    base_rates = {name: [group["lr"] for group in o.param_groups] for name, o in optimizers.items()}
    sweep(run / "checkpoints")
    checkpoint = latest_checkpoint(run / "checkpoints")
    start = restore_checkpoint(checkpoint, modules, average.shadow, optimizers) if checkpoint else 0
    begun()
    log = MetricLog(run, start)
    parameters = [p for o in optimizers.values() for group in o.param_groups for p in group["params"]]
    figures: dict[str, float] = {}
    last_saved = time.monotonic()

    def lasting(step: int) -> bool:
        return step in ends or bool(settings.milestone_every and step % settings.milestone_every == 0)

    def save(step: int) -> None:
        save_checkpoint(run / "checkpoints", step, modules, average.shadow, optimizers, lasting=lasting)

    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True)) as progress, _StopRequest() as stop:
        task = progress.add_task(run.name, total=settings.steps, completed=start)
        for step in range(start, settings.steps):
            began = time.monotonic()
            factor = learning_rate_factor(step, settings)
            for name, optimizer in optimizers.items():
                for group, rate in zip(optimizer.param_groups, base_rates[name], strict=True):
                    group["lr"] = rate * factor
                optimizer.zero_grad(set_to_none=True)
            seen: list[tuple[str, Tensor]] = []
            for micro in range(settings.accumulate):
                with torch.autocast(
                    torch.device(settings.device).type, torch.bfloat16, enabled=settings.precision == "bf16"
                ):
                    parts = objective.loss(step * settings.accumulate + micro)
                (parts["loss"] / settings.accumulate).backward()
                seen += [(key, value.detach()) for key, value in parts.items()]
            clipped = nn.utils.clip_grad_norm_(parameters, settings.grad_clip)
            *values, norm = _fetched([*(value for _, value in seen), clipped])
            losses: dict[str, float] = {}
            for (key, _), number in zip(seen, values, strict=True):
                losses[key] = losses.get(key, 0.0) + number / settings.accumulate
            # Before the step: what it would leave behind can be saved, but not trained.
            for what, number in (("loss", losses["loss"]), ("norm of the gradient", norm)):
                if not math.isfinite(number):
                    raise VivaceError(
                        f"The {what} became {number} at step {step}; lower the learning rate and resume, the last "
                        "checkpoint is sound."
                    )
            for optimizer in optimizers.values():
                optimizer.step()
            average.update(step)
            if step % settings.log_every == 0:
                seconds = time.monotonic() - began
                log.write(step, {**losses, "grad_norm": norm, "lr_factor": factor, "seconds": seconds})
                progress.update(task, description=f"{run.name} loss {losses['loss']:.4f}")
            progress.update(task, completed=step + 1)
            if (step + 1) % settings.validate_every == 0 or step + 1 == settings.steps:
                with average.swapped(), torch.no_grad():
                    figures = objective.validate(step + 1)
                log.write(step, {f"val/{key}": value for key, value in figures.items()})
            if lasting(step + 1) or stop.asked or time.monotonic() - last_saved > settings.checkpoint_every_seconds:
                save(step + 1)
                last_saved = time.monotonic()
            if stop.asked:
                raise KeyboardInterrupt
        if start < settings.steps:
            save(settings.steps)
    return figures
