"""What the benchmark says of a cache is what the cache did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.shortcuts import cached, main

from vivace.pipelines.nava import NavaPipeline


def test_no_cache_has_no_error_and_a_generous_one_evaluates_less(pipeline: NavaPipeline) -> None:
    unused, full = cached(pipeline, [1e-9, 1.0], 1, num_inference_steps=8)
    assert unused["evaluated"] == 1
    assert unused["error"] == unused["error_of_fewer_steps"] == {"video": 0, "audio": 0}
    assert full["evaluated"] < 1
    assert all(0 < value < float("inf") for value in full["error"].values())
    assert full["error"] != full["error_of_fewer_steps"]


def test_the_command_reports_every_threshold(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", str(model_folder), "--clips", "2", "--threads", "1", "--cache", "0.1", "1"]
    main([*words, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert [one["cache"] for one in report["cache"]] == [0.1, 1.0]
    assert all(one["speed_up"] > 0 for one in report["cache"])
