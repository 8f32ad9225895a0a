"""The benchmark of scale finds what each node of a cluster has done."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from benchmarks.curation_scale import jobs_by_node, main


def test_what_was_logged_after_each_phase_is_added_up() -> None:
    lines = ['jobs by node: {"a": 4, "b": 2}', "something else", 'jobs by node: {"b": 3}']
    assert jobs_by_node(lines) == {"a": 4, "b": 5}
    assert jobs_by_node([]) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_two_nodes_share_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (the extra 'ray')")
    figures = tmp_path / "figures.json"
    options = ["--clips", "8", "--shots", "2", "--workers", "2", "--ray-nodes", "2", "--json", str(figures)]
    main([*options, "--folder", str(tmp_path)])
    found = json.loads(figures.read_text())
    shares = found["jobs_by_node"].values()
    assert len(shares) == 2
    # Four files, the clips that were made of them, and those clips again in later phases.
    assert sum(shares) >= 4 + found["clips"]
    assert min(shares) > 0
    told = ", ".join(map(str, sorted(shares, reverse=True)))
    assert f"on each of 2 nodes: {told}." in capsys.readouterr().out
