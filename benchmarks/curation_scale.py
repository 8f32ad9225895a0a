"""A whole curation of many clips: throughput, peak memory, bytes, and what a hundred million clips would take.

    python benchmarks/curation_scale.py --clips 10000 --folder scale

The footage is made first (once it is whole it stays, and is not made again), then `vivace curate run` goes over it as a
process of its own. Run the same command again after an interruption: it goes on. Linux only, since memory is read from
/proc. With `--ray-nodes 2` a Ray cluster of two nodes is started on this machine and does the work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vivace.curation.footage_files import write_footage

# The command with a first argument before its own: a file for what is told of the nodes.
COMMAND = """import logging, sys
from vivace.cli.main import main
log = logging.getLogger("vivace.curation.on_ray")
log.setLevel("INFO")
log.addHandler(logging.FileHandler(sys.argv.pop(1), "w"))
sys.exit(main())
"""
MANY = 10**8
RECIPE = """output = "{out}"
[input]
folder = "{raw}"
[executor]
kind = "{kind}"
workers = {workers}
[split]
shortest = 1.5
[shards]
sizes = [[64, 64]]
seconds = [1.5, 2.0]
"""


def tree(root: int) -> list[int]:
    """A process and all that came from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name before it may hold anything, brackets too.
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def peak(process: int) -> int:
    """The most memory that a process ever held, bytes; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def ray_cluster(nodes: int, cores: int) -> Iterator[tuple[str, list[str]]]:
    """A Ray cluster on this machine: its address and the ids of its nodes.

    Args:
        cores: of each node.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # A busy machine takes longer to start a node than Ray waits.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cores, "include_dashboard": False})
    try:
        others = [cluster.add_node(num_cpus=cores) for _ in range(nodes - 1)]
        yield cluster.address, [node.node_id for node in (cluster.head_node, *others)]
    finally:
        cluster.shutdown()


def jobs_by_node(lines: Sequence[str]) -> dict[str, int]:
    """The sum of what was logged after each phase."""
    found: Counter[str] = Counter()
    for line in lines:
        if line.startswith("jobs by node: "):
            found.update(json.loads(line.partition(": ")[2]))
    return dict(found)


def measure(recipe: Path, output: Path, cluster: str = "") -> dict[str, Any]:
    """One run of the command, watched.

    Args:
        cluster: address of the Ray cluster that this process has started for it.
    """
    began = time.perf_counter()
    log = recipe.with_suffix(".log")
    command = [sys.executable, "-c", COMMAND, str(log), "curate", "run", str(recipe), "--json"]
    environment = {**os.environ, "RAY_ADDRESS": cluster} if cluster else None
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    main = workers = 0
    held: list[tuple[float, int]] = []
    while running.poll() is None:
        time.sleep(1.0)
        main = max(main, peak(running.pid))
        others = tree(os.getpid() if cluster else running.pid)[1:]
        workers = max([workers, *(peak(process) for process in others if process != running.pid)])
        held.append((time.perf_counter() - began, main))
    assert running.stdout is not None
    told = running.stdout.read()
    if running.returncode:
        raise SystemExit(running.returncode)
    found = json.loads(told.splitlines()[-1])
    stages = {stage["stage"]: stage for stage in found["stages"]}
    # What the split made is what comes to the stage after it.
    clips = found["stages"][list(stages).index("split") + 1]["entered"]
    files = stages["ingest"]["entered"]
    return {
        "files": files,
        "clips": clips,
        "kept": found["stages"][-1]["kept"],
        "seconds": time.perf_counter() - began,
        "main_bytes": main,
        "worker_bytes": workers,
        # The second half of a run must not need more than the first.
        "main_bytes_at_half": next((size for at, size in held if at >= held[-1][0] / 2), main) if held else main,
        "ledger_bytes": sum(path.stat().st_size for path in output.glob("ledger.sqlite*")),
        "shard_bytes": size_of(output / "shards"),
        "stage_seconds": {name: stage["seconds"] for name, stage in stages.items()},
        "came": {name: stage["entered"] for name, stage in stages.items()},
        "jobs_by_node": jobs_by_node(log.read_text().splitlines()),
    }


def written(found: dict[str, Any], workers: int) -> str:
    """The figures, and those of a hundred million clips by proportion."""
    factor = MANY / found["clips"]
    core_seconds = {name: (found["stage_seconds"][name] or 0.0) * came for name, came in found["came"].items() if came}
    total = sum(core_seconds.values())
    lines = [
        f"{found['clips']} clips of {found['files']} files, {found['kept']} kept, in {found['seconds']:.0f} s with "
        f"{workers} processes: {found['clips'] / found['seconds']:.2f} clips per second.",
        f"Peak memory: {found['main_bytes'] / 2**20:.0f} MiB ({found['main_bytes_at_half'] / 2**20:.0f} MiB at half "
        f"time), a worker {found['worker_bytes'] / 2**20:.0f} MiB.",
        f"Ledger {found['ledger_bytes'] / found['clips'] / 1024:.1f} KiB a clip, shards "
        f"{found['shard_bytes'] / max(found['kept'], 1) / 1024:.0f} KiB a kept clip.",
    ]
    if nodes := found["jobs_by_node"]:
        shares = ", ".join(map(str, sorted(nodes.values(), reverse=True)))
        lines.append(f"Jobs (a file or a clip, and the stages of a phase) on each of {len(nodes)} nodes: {shares}.")
    lines += [
        "",
        f"| stage | came | s each | share of the work | core hours for {MANY:.0e} clips |",
        "|---|---|---|---|---|",
    ]
    for name, seconds in core_seconds.items():
        lines.append(
            f"| {name} | {found['came'][name]} | {found['stage_seconds'][name] or 0.0:.3f} | {seconds / total:.0%} | "
            f"{seconds * factor / 3600:,.0f} |"
        )
    lines.append(f"| all | | | | {total * factor / 3600:,.0f} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--shots", type=int, default=20, help="of a file; each makes about one clip")
    parser.add_argument("--folder", type=Path, required=True, help="of footage and output; needs about 60 kB a clip")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--ray-nodes", type=int, default=0, help="of a Ray cluster that shares the workers; 0: no Ray")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    chosen = parser.parse_args(arguments)
    raw, out = chosen.folder / "raw", chosen.folder / "out"
    files = -(-chosen.clips // chosen.shots)
    if not (raw / "truth.json").is_file():
        write_footage(raw, files, 50_000, shots=chosen.shots, size=chosen.size, file_faults=False)
    recipe = chosen.folder / "recipe.toml"
    kind = "ray" if chosen.ray_nodes else "local"
    recipe.write_text(RECIPE.format(out=out, raw=raw, kind=kind, workers=chosen.workers))
    if chosen.ray_nodes:
        with ray_cluster(chosen.ray_nodes, max(1, chosen.workers // chosen.ray_nodes)) as (address, nodes):
            found = measure(recipe, out, address)
        if idle := set(nodes) - set(found["jobs_by_node"]):
            raise SystemExit(f"{len(idle)} of {len(nodes)} nodes did nothing; was there too little left to do?")
    else:
        found = measure(recipe, out)
    print(written(found, chosen.workers))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
