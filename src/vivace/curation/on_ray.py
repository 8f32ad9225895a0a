"""The executor of a cluster: Ray Data moves the jobs, and each of its actors owns a guarded process of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from vivace.curation.chain import Job, Step
from vivace.curation.guard import Guard, Limits
from vivace.curation.stage import Stage
from vivace.errors import VivaceError

# Jobs that are handed over at a time: enough to keep a cluster busy, and little for the driver's memory.
WINDOW = 20_000


class _Actor:
    def __init__(self, stages: list[Stage], limits: Limits) -> None:
        self.guard = Guard(stages, limits)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        steps = self.guard.run(Job.from_json(row["job"]))
        return {"job": row["job"], "steps": json.dumps([step.to_plain() for step in steps])}


def run_on_ray(
    stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int = 0
) -> Iterator[tuple[Job, list[Step]]]:
    """As `run_local`, on the cluster that Ray is connected to (a local one where none is).

    The jobs of a node that is lost are done again by the nodes that are left.

    Args:
        workers: actors; 0 takes one per core of the cluster.

    Raises:
        VivaceError: Ray is not installed.
    """
    # Nothing is told to anyone unless the user wants it: Ray reports how it is used by default.
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_DATA_USAGE_DISABLED", "1")):
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise VivaceError("The Ray executor needs Ray; install it with: pip install 'vivace[ray]'.") from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, configure_logging=False)
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    queue = iter(jobs)
    while window := list(islice(queue, WINDOW)):
        rows = ray.data.from_items([{"job": job.to_json()} for job in window], override_num_blocks=min(count * 4, 200))
        done = rows.map(_Actor, fn_constructor_args=(list(stages), limits), concurrency=min(count, len(window)))
        for row in done.iter_rows():
            yield Job.from_json(row["job"]), [Step.from_plain(values) for values in json.loads(row["steps"])]
