"""Ray Data moves the same jobs to the same rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.curation.quick import Double, First, Length
from tests.curation.test_engine import QUICK, Here, curate, files, rows

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra 'ray')")


def test_the_rows_are_those_of_the_local_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vivace.curation.on_ray import run_on_ray

    clips = files(tmp_path / "in", ["aaa", "bb", "c", "refuse", "dd", "crash", "hang"] + ["eee"] * 5)
    stages = [Length(), Double(), First()]
    # A busy machine may take longer than half a minute to start a node.
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        curate(tmp_path / "ray", clips, stages, run_on_ray, workers=2, limits=QUICK)
    finally:
        ray.shutdown()
    straight = [clip for clip in clips if Path(clip.path).read_text() not in ("crash", "hang")]
    curate(tmp_path / "here", straight, stages, Here())
    for table in ("verdicts", "measured"):
        assert rows(tmp_path / "ray", table) == rows(tmp_path / "here", table)
    assert [row[2] for row in rows(tmp_path / "ray", "failures")] == [2, 2]
