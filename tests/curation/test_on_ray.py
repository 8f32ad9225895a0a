"""Ray Data moves the same jobs to the same rows, also when a node is lost on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.curation.quick import Double, First, Length, LengthSettings
from tests.curation.test_engine import QUICK, Here, curate, files, rows

from vivace.curation.chain import Job, Step
from vivace.curation.guard import Limits
from vivace.curation.stage import Stage

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra 'ray')")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # A busy machine may take longer than half a minute to start a node.
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    yield
    ray.shutdown()


def test_the_rows_are_those_of_the_local_executor(tmp_path: Path) -> None:
    from vivace.curation.on_ray import run_on_ray

    clips = files(tmp_path / "in", ["aaa", "bb", "c", "refuse", "dd", "crash", "hang"] + ["eee"] * 5)
    stages = [Length(), Double(), First()]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    curate(tmp_path / "ray", clips, stages, run_on_ray, workers=2, limits=QUICK)
    straight = [clip for clip in clips if Path(clip.path).read_text() not in ("crash", "hang")]
    curate(tmp_path / "here", straight, stages, Here())
    for table in ("verdicts", "measured"):
        assert rows(tmp_path / "ray", table) == rows(tmp_path / "here", table)
    assert [row[2] for row in rows(tmp_path / "ray", "failures")] == [2, 2]


def test_a_node_that_is_lost_costs_no_clip(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    from vivace.curation.on_ray import run_on_ray

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        assert ray.cluster_resources()["CPU"] == 2
        lost: list[float] = []

        def losing(
            stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int
        ) -> Iterator[tuple[Job, list[Step]]]:
            for done in run_on_ray(stages, jobs, limits, workers):
                if not lost:
                    # Both nodes are at work: none of their cores is free.
                    lost.append(ray.available_resources().get("CPU", 0.0))
                    cluster.remove_node(second, allow_graceful=False)
                yield done

        clips = files(tmp_path / "in", [("abcdefg" * 9)[: 1 + n % 40] for n in range(60)])
        stages = [Length(LengthSettings(pause=0.05)), Double(), First()]
        curate(tmp_path / "ray", clips, stages, losing, workers=2)
        assert lost == [0.0]
        assert sum(node["Alive"] for node in ray.nodes()) == 1
    finally:
        ray.shutdown()
        cluster.shutdown()
    curate(tmp_path / "here", clips, stages, Here())
    for table in ("verdicts", "measured", "failures"):
        assert rows(tmp_path / "ray", table) == rows(tmp_path / "here", table)
