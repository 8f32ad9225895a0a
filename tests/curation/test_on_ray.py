"""Ray Data moves the same jobs to the same rows, also when a node is lost on the way, and nobody else is told of it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.curation.quick import Double, First, Length, LengthSettings
from tests.curation.test_engine import QUICK, Here, curate, files, rows

from vivace.cli.main import main
from vivace.curation.chain import Job, Step
from vivace.curation.clip import Clip, Rejected
from vivace.curation.footage_files import write_footage
from vivace.curation.guard import Limits
from vivace.curation.on_ray import BLOCK, ray_workers, run_on_ray
from vivace.curation.recipe import check_recipe
from vivace.curation.stage import Stage, StageSettings
from vivace.errors import VivaceError

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra 'ray')")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core and a GPU (in name) each, to which this process is connected."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # A busy machine may take longer than half a minute to start a node.
        patch.setenv("RAY_raylet_start_wait_time_s", "300")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1, "include_dashboard": False})
        try:
            made.add_node(num_cpus=1, num_gpus=1)
            ray.init(address=made.address, log_to_driver=False, configure_logging=False)
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


def by_node(caplog: pytest.LogCaptureFixture) -> list[int]:
    """Jobs that each node did, of all that was logged."""
    told = [record.getMessage() for record in caplog.records if record.name == "vivace.curation.on_ray"]
    return [count for line in told for count in json.loads(line.partition(": ")[2]).values()]


@pytest.mark.usefixtures("cluster")
def test_the_rows_are_those_of_the_local_executor(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["aaa", "bb", "c", "refuse", "dd", "crash", "hang"] + ["eee"] * 5)
    stages = [Length(), Double(), First()]
    curate(tmp_path / "ray", clips, stages, run_on_ray, workers=2, limits=QUICK)
    straight = [clip for clip in clips if Path(clip.path).read_text() not in ("crash", "hang")]
    curate(tmp_path / "here", straight, stages, Here())
    for table in ("verdicts", "measured"):
        assert rows(tmp_path / "ray", table) == rows(tmp_path / "here", table)
    assert [row[2] for row in rows(tmp_path / "ray", "failures")] == [2, 2]


RECIPE = """output = "{out}"
[input]
folder = "{raw}"
[executor]
kind = "{kind}"
[split]
shortest = 1.0
[shards]
sizes = [[64, 64]]
seconds = [1.0, 1.5]
validation = 0.3
"""


@pytest.mark.usefixtures("cluster")
def test_the_command_writes_the_same_ledger_and_the_same_shards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_footage(tmp_path / "raw", 3, shots=2, size=64)
    told = {}
    for kind in ("local", "ray"):
        recipe = tmp_path / f"{kind}.toml"
        recipe.write_text(RECIPE.format(out=tmp_path / kind, raw=tmp_path / "raw", kind=kind))
        assert main(["curate", "run", str(recipe), "--json"]) == 0
        told[kind] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["ray"]["shards"] == told["local"]["shards"]
    assert sum(told["ray"]["shards"][part] for part in ("train", "validation")) > 1
    for table in ("verdicts", "measured", "failures"):
        assert rows(tmp_path / "ray", table) == rows(tmp_path / "local", table)
    assert len(rows(tmp_path / "ray", "verdicts")) > 20
    shards = {
        kind: {str(path.relative_to(tmp_path / kind)): path.read_bytes() for path in files_in(tmp_path / kind)}
        for kind in told
    }
    assert shards["ray"] == shards["local"]
    assert any(name.endswith(".safetensors") for name in shards["ray"])
    assert main(["curate", "status", str(tmp_path / "ray"), "--json"]) == 0
    # The cores of the cluster, whatever this machine has.
    assert json.loads(capsys.readouterr().out)["workers"] == 2


def files_in(folder: Path) -> list[Path]:
    return [path for path in sorted((folder / "shards").rglob("*")) if path.is_file()]


class Gate(Length):
    """Later files wait until the first ones are through."""

    def measure(self, clip: Clip) -> Clip | Rejected:
        path = Path(clip.path)
        while int(path.stem) >= BLOCK and not path.with_name("open").exists():
            time.sleep(0.05)
        return super().measure(clip)


@pytest.mark.usefixtures("cluster")
def test_what_is_done_comes_back_before_the_rest_is(tmp_path: Path) -> None:
    jobs = [Job(clip, ("length",)) for clip in files(tmp_path, ["abc"] * 8 * BLOCK)]
    done = run_on_ray([Gate()], jobs, Limits(seconds=60.0), workers=1)
    steps = next(done)[1]
    (tmp_path / "open").touch()
    for _, more in done:
        steps += more
    assert [step.error for step in steps] == [None] * len(jobs)


class Cards:
    """The GPUs that a worker sees."""

    name: ClassVar[str] = "cards"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.settings = StageSettings()

    def measure(self, clip: Clip) -> Clip:
        return clip.with_columns("cards", seen=os.environ.get("CUDA_VISIBLE_DEVICES", ""))


@pytest.mark.usefixtures("cluster")
def test_a_worker_sees_the_gpu_that_is_kept_for_it(tmp_path: Path) -> None:
    jobs = [Job(clip, ("cards",)) for clip in files(tmp_path, ["a", "b"])]
    executor = check_recipe(
        {"output": "x", "input": {"folder": "y"}, "executor": {"kind": "ray", "gpus": 0.5}}, "r"
    ).executor
    seen = [step.columns for _, (step,) in executor.executor()([Cards()], jobs, Limits(), 0)]
    assert seen == [{"seen": "0"}] * 2
    # A part leaves room for as many as have a core; a whole one for one on each node; two are on none.
    assert [ray_workers(0, gpus) for gpus in (0.0, 0.5, 1.0)] == [2, 2, 2]
    assert ray_workers(9, 0.0) == 2
    with pytest.raises(VivaceError, match="No node of the Ray cluster has a core and 2 of a GPU"):
        next(run_on_ray([Cards()], jobs, Limits(), gpus=2.0))


@pytest.mark.parametrize(
    ("executor", "problem"), [({"gpus": 1.0}, "by Ray alone"), ({"kind": "ray", "gpus": 1.5}, "whole number")]
)
def test_gpus_that_cannot_be_given_are_refused(executor: dict[str, Any], problem: str) -> None:
    with pytest.raises(VivaceError, match=problem):
        check_recipe({"output": "x", "input": {"folder": "y"}, "executor": executor}, "r")


class Broken(Length):
    """A stage that no worker can read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Broken.read, ()

    @staticmethod
    def read() -> None:
        raise ImportError("no such stage on this node")


@pytest.mark.usefixtures("cluster")
def test_workers_that_cannot_start_are_told(tmp_path: Path) -> None:
    jobs = [Job(clip, ("length",)) for clip in files(tmp_path, ["a"])]
    with pytest.raises(VivaceError, match=r"gave up .*nodes run and have vivace"):
        next(run_on_ray([Broken()], jobs, Limits()))


WATCHED = """import os, sys
from vivace.curation.on_ray import connect
assert "ray" not in sys.modules
seen = []
class Watch:
    def find_spec(self, name, *_):
        if name == "ray":
            seen.append(os.environ.get("RAY_USAGE_STATS_ENABLED"))
sys.meta_path.insert(0, Watch())
connect()
from ray._common.usage.usage_lib import usage_stats_enabled
assert seen == ["0"], seen
assert not usage_stats_enabled()
"""


def test_nothing_is_told_to_anyone(cluster: Any) -> None:
    # A process of its own, in which nobody has asked for silence and Ray is not yet imported.
    bare = {name: value for name, value in os.environ.items() if name != "RAY_USAGE_STATS_ENABLED"}
    subprocess.run([sys.executable, "-c", WATCHED], env={**bare, "RAY_ADDRESS": cluster.address}, check=True)


class Together(Length):
    """Nothing is done before three nodes are at it. Each leaves its mark beside the file."""

    def measure(self, clip: Clip) -> Clip | Rejected:
        folder = Path(clip.path).parent
        (folder / f"{os.environ['RAY_RAYLET_PID']}.node").touch()
        while len(list(folder.glob("*.node"))) < 3:
            time.sleep(0.05)
        return super().measure(clip)


def test_a_node_that_is_lost_costs_no_clip(cluster: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    another = cluster.add_node(num_cpus=1)
    lost = False

    def losing(
        stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int
    ) -> Iterator[tuple[Job, list[Step]]]:
        nonlocal lost
        for done in run_on_ray(stages, jobs, limits, workers):
            if not lost:
                cluster.remove_node(another, allow_graceful=False)
                lost = True
            yield done

    clips = files(tmp_path / "in", [("abcdefg" * 9)[: 1 + n % 40] for n in range(60)])
    settings = LengthSettings(pause=0.05)
    with caplog.at_level(logging.INFO, "vivace.curation.on_ray"):
        curate(tmp_path / "ray", clips, [Together(settings), Double(), First()], losing, workers=3)
    assert len(list((tmp_path / "in").glob("*.node"))) == 3
    assert sum(node["Alive"] for node in ray.nodes()) == 2
    assert sum(by_node(caplog)) == len(clips)
    assert len(by_node(caplog)) > 1
    curate(tmp_path / "here", clips, [Length(settings), Double(), First()], Here())
    for table in ("verdicts", "measured", "failures"):
        assert rows(tmp_path / "ray", table) == rows(tmp_path / "here", table)


def test_a_cluster_that_is_gone_is_told_at_once() -> None:
    code = "from vivace.curation.on_ray import ray_workers; ray_workers(0, 0.0)"
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert "VivaceError: The Ray cluster of RAY_ADDRESS, '127.0.0.1:1', is not reached" in done.stderr
