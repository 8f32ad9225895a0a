"""The benchmark of seams tells a step from what a clip does anyway."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.seams import main, seam_figures
from tests.tiny import tiny_alive_pipeline


def test_a_step_at_the_seam_is_told_from_one_elsewhere() -> None:
    rng = np.random.default_rng(0)
    frames = (100 + np.arange(20)[:, None, None, None] + np.zeros((20, 8, 8, 3))).astype(np.uint8)
    sound = (0.01 * rng.standard_normal((2, 4000))).astype(np.float32)
    even = seam_figures(frames, sound, 10, 2000, 16000)
    assert even["picture_to_median"] == even["picture_to_largest"] == 1
    assert even["sound_to_largest"] < 1.2
    stepped, clicked = frames.copy(), sound.copy()
    stepped[10:] += 20
    clicked[:, 2000:] += 0.5
    torn = seam_figures(stepped, clicked, 10, 2000, 16000)
    assert torn["picture_to_median"] == torn["picture_to_largest"] == 21
    assert torn["sound_to_largest"] > 5
    elsewhere = seam_figures(stepped, clicked, 5, 1000, 16000)
    assert elsewhere["picture_to_median"] == 1
    assert elsewhere["picture_to_largest"] < 0.1 > elsewhere["sound_to_largest"] / 2


def test_clips_are_made_and_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_alive_pipeline().save_pretrained(tmp_path / "alive")
    words = ["--model", str(tmp_path / "alive"), "--clips", "2", "--given", "0.8", "--seconds", "0.3", "--size", "32"]
    main([*words, "--output", str(tmp_path / "out" / "seams.json")])
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "out" / "seams.json").read_text())
    assert len(told["rows"]) == 2
    for name, (least, median, most) in told["least_median_most"].items():
        values = [row[name] for row in told["rows"]]
        assert (least, median, most) == pytest.approx((min(values), np.median(values), max(values)))
