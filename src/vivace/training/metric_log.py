"""What a training run tells while it goes: metrics.jsonl, and the same for TensorBoard.

Every line is in its file before the next step begins, and a refusal of the system is told where it happens. (PyTorch's
SummaryWriter writes in a thread of its own, up to two minutes later: a kill loses what it holds, which no resumed run
makes again, and on a full disk the thread dies with a traceback.)
"""

from __future__ import annotations

import io
import json
import math
import time
from pathlib import Path
from typing import Any

from vivace.media.atomic import refusals_told, replacing


class MetricLog:
    """metrics.jsonl (one object a line) and TensorBoard; what is of a resumed step or a later one is dropped first.

    Raises:
        VivaceError: the run's folder cannot be written, as on a full disk.
    """

    def __init__(self, run: Path, resume_step: int) -> None:
        self.path = run / "metrics.jsonl"
        lines = self.path.read_text(errors="replace").splitlines() if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) < resume_step]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept))
        self.board = _Board(run / "tensorboard", resume_step)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add the figures of a step.

        Raises:
            VivaceError: they cannot be written, as on a full disk.
        """
        with refusals_told(self.path), self.path.open("a") as file:
            file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        self.board.write(step, values)


class _Board:
    """A file of TensorBoard's events, after those of an interrupted run: readers drop the steps made again."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        # Readers take a folder's files in the order of their names.
        seconds, rest = divmod(time.time_ns(), 10**9)
        self.path = folder / f"events.out.tfevents.{seconds:010d}.{rest:09d}"
        with refusals_told(folder):
            folder.mkdir(parents=True, exist_ok=True)
        start = SessionLog(status=SessionLog.START)
        self._append(Event(file_version="brain.Event:2"), Event(step=resume_step, session_log=start))

    def write(self, step: int, values: dict[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._append(Event(step=step, summary=Summary(value=scalars)))

    def _append(self, *events: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        records = io.BytesIO()
        for event in events:
            event.wall_time = time.time()
            RecordWriter(records).write(event.SerializeToString())
        with refusals_told(self.path), self.path.open("ab") as file:
            file.write(records.getvalue())


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf  # a line cut short by a kill
