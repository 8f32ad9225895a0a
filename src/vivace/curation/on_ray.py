"""The executor of a cluster: Ray Data moves the jobs, and each of its actors owns a guarded process of its own."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from vivace.curation.chain import Job, Step
from vivace.curation.guard import Guard, Limits
from vivace.curation.stage import Stage
from vivace.errors import VivaceError

_LOG = logging.getLogger(__name__)
# Jobs that are handed over at a time: enough to keep a cluster busy, and little for the driver's memory.
WINDOW = 20_000
# Jobs that an actor gives back together, at most; they are what it loses when the run is killed.
BLOCK = 8


class _Actor:
    def __init__(self, stages: list[Stage], limits: Limits) -> None:
        import ray

        self.guard = Guard(stages, limits)
        self.node = ray.get_runtime_context().get_node_id()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        steps = self.guard.run(Job.from_json(row["job"]))
        return {"job": row["job"], "steps": json.dumps([step.to_plain() for step in steps]), "node": self.node}


def run_on_ray(
    stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int = 0, gpus: float = 0.0
) -> Iterator[tuple[Job, list[Step]]]:
    """As `run_local`, on the cluster that Ray is connected to (see `connect`).

    The jobs of a node that is lost are done again by the nodes that are left. How many each node has done is logged as
    information.

    Args:
        workers: actors; 0 takes as many as the cluster can hold when the work begins.
        gpus: that Ray keeps for each actor and lets it see.

    Raises:
        VivaceError: Ray is not installed or not reached, no node can hold a worker, or the cluster gives up.
    """
    ray = connect()
    window = list(islice(queue := iter(jobs), WINDOW))
    done: Counter[str] = Counter()
    try:
        while window:
            at_hand = _room(ray.nodes(), gpus)
            count = min(workers or at_hand, len(window))
            blocks = max(min(4 * count, len(window)), -(-len(window) // BLOCK))
            rows = ray.data.from_items([{"job": job.to_json()} for job in window], override_num_blocks=blocks).map(
                _Actor,
                fn_constructor_args=(list(stages), limits),
                # One block after another: what is done waits for nothing that is not.
                compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1),
                num_gpus=gpus,
            )
            for block in rows.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for row in block.to_pylist():
                    done[row["node"]] += 1
                    yield Job.from_json(row["job"]), [Step.from_plain(values) for values in json.loads(row["steps"])]
            window = list(islice(queue, WINDOW))
    except ray.exceptions.RayError as error:
        raise VivaceError(
            f"The Ray cluster gave up ({_first_line(error)}); see that its nodes run and have vivace, and run the same "
            "command again, what is done is kept."
        ) from error
    if done:
        _LOG.info("jobs by node: %s", json.dumps(done))


def ray_workers(workers: int, gpus: float) -> int:
    """How many of the `workers` that are asked for (0: any number) the cluster can hold now.

    Raises:
        VivaceError: as `run_on_ray`.
    """
    at_hand = _room(connect().nodes(), gpus)
    return min(workers or at_hand, at_hand)


def connect() -> Any:
    """Ray, connected: to what it is connected to already, to the cluster of RAY_ADDRESS, to one that runs on this
    machine, or to a new one of this machine alone.

    Raises:
        VivaceError: Ray is not installed, or the cluster is not reached.
    """
    # Nothing is told to anyone unless the user wants it: Ray reports how it is used by default, and looks here for it.
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_DATA_USAGE_DISABLED", "1")):
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError:
        raise VivaceError("The Ray executor needs Ray; install it with: pip install 'vivace[ray]'.") from None
    # The run tells itself how far it is, and need not be told that Ray does not.
    ray.data.DataContext.get_current().enable_progress_bars = False
    for name, level in (("ray.data", logging.WARNING), ("ray.data._internal.progress", logging.ERROR)):
        logging.getLogger(name).setLevel(level)
    if not ray.is_initialized():
        _check_address(os.environ.get("RAY_ADDRESS", ""))
        try:
            ray.init(log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise VivaceError(
                f"The Ray cluster is not reached ({_first_line(error)}); check RAY_ADDRESS and that its head runs."
            ) from None
    return ray


def _check_address(address: str) -> None:
    """Whether someone answers there; Ray itself waits ten minutes and more for a head that is gone."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # empty or "auto", which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise VivaceError(
            f"The Ray cluster of RAY_ADDRESS, {address!r}, is not reached ({error}); start it or correct the address."
        ) from None


def _room(nodes: Sequence[Mapping[str, Any]], gpus: float) -> int:
    """Workers that the nodes can hold, each with a core and `gpus` GPUs."""
    count = sum(_room_on(node["Resources"], gpus) for node in nodes if node["Alive"])
    if not count:
        wanted = f" and {gpus:g} of a GPU" if gpus else ""
        raise VivaceError(f"No node of the Ray cluster has a core{wanted} for a worker; start one that has.")
    return count


def _room_on(resources: Mapping[str, float], gpus: float) -> int:
    cores, cards = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    if not gpus:
        return cores
    # Parts are of one GPU, which several workers share; whole ones are a worker's own.
    return min(cores, cards * int(1 / gpus + 1e-9) if gpus < 1 else int(cards // gpus))


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0][:300]
