"""Figures that are sums of metrics, and Verse-Bench's overall score, against numbers worked out by hand."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.evaluation.suites.run import evaluate_suite
from vivace.evaluation.suites.suite import Suite, SuiteItem
from vivace.evaluation.suites.verse_bench import COLUMNS
from vivace.evaluation.suites.verse_bench_overall import overall_score
from vivace.media import Clip, write_clip

# Item -> aesthetic, MUSIQ, MANIQA; the first set has two clips, of which AS is 0.5 and 0.7.
GIVEN: dict[str, tuple[float, float, float | None]] = {
    "set1/a": (5.0, 50.0, 0.5),
    "set1/b": (6.0, 80.0, 0.7),
    "set2/c": (4.0, 40.0, 0.1),
    "set3/d": (3.0, 30.0, 0.6),
    "set3/e": (9.0, 90.0, None),
}


def given(place: int, name: str) -> ItemMetric:
    def measure(sample: Sample) -> list[float] | Undefined:
        value = GIVEN[sample.id][place]
        return Undefined("too small") if value is None else [value, 1.0]

    return ItemMetric(name, measure, requires=(), version="1, unverified")


def columns_of(folder: Path, metrics: list[ItemMetric]) -> dict[str, dict[str, Any]]:
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    write_clip(folder / "clip.mp4", Clip(frames, Fraction(24), None, 16000))
    items = tuple(SuiteItem(name, name[:4], "") for name in GIVEN)
    columns = [column for column in COLUMNS["official"] if column.name.startswith("AS")]
    suite = Suite("toy", "toy", "A toy.", items, columns=columns)
    summary = evaluate_suite(suite, folder / "out", metrics, clips=dict.fromkeys(GIVEN, folder / "clip.mp4"))
    found: dict[str, dict[str, Any]] = summary["columns"]
    return found


def test_as_is_the_mean_of_the_sets_means_and_its_twin_that_of_the_clips(tmp_path: Path) -> None:
    metrics = [given(n, name) for n, name in enumerate(("aesthetic_v2_5", "musiq", "maniqa"))]
    found = columns_of(tmp_path, metrics)
    # Clips: (0.5 + 0.5 + 0.5) / 3, (0.6 + 0.8 + 0.7) / 3, (0.4 + 0.4 + 0.1) / 3, (0.3 + 0.3 + 0.6) / 3, and no fifth.
    assert found["AS"]["value"] == pytest.approx((0.6 + 0.3 + 0.4) / 3)
    assert found["AS_items"]["value"] == pytest.approx((0.5 + 0.7 + 0.3 + 0.4) / 4)
    assert found["AS"]["n"] == found["AS_items"]["n"] == 4
    assert found["AS_items"]["reasons"] == {"no maniqa is given": 1}
    assert found["AS"]["version"] == "1, unverified"
    assert found["AS: aesthetic"]["value"] == pytest.approx((5.5 + 4.0 + 6.0) / 3)
    assert "0.333 maniqa" in found["AS"]["metric"]
    assert "0.333 maniqa" in (tmp_path / "out" / "summary.md").read_text()


def test_a_sum_without_one_of_its_networks_is_skipped(tmp_path: Path) -> None:
    found = columns_of(tmp_path, [given(0, "aesthetic_v2_5")])
    assert found["AS"]["status"] == found["AS_items"]["status"] == "skipped"
    assert found["AS: aesthetic"]["n"] == 5


def test_the_overall_score() -> None:
    values = {"AS": 0.5, "ID": 0.9, "FD": 1.5, "KL": 3.0, "CS": 0.1, "CE": 5.5, "CU": 5.5, "PC": 2.8, "PQ": 5.5}
    values |= {"WER": 0.3, "LSE-C": 2.0, "AV-A": 0.1}
    columns: dict[str, dict[str, Any]] = {name: {"value": value, "n": 7} for name, value in values.items()}
    columns["KL"]["n"] = 3
    found = overall_score(columns)
    audio = (0.5 + 0.25 + 0.1 + 0.5 + 0.5 + 0.8 + 0.5) / 7
    assert found["S_video"]["value"] == pytest.approx(0.7)
    assert found["S_audio"]["value"] == pytest.approx(audio)
    assert found["S_other"]["value"] == pytest.approx((0.7 + 0.2) / 2)
    assert found["S_joint"]["value"] == pytest.approx(0.18)  # 2 * 0.1 * 0.9 / (0.1 + 0.9)
    assert found["Overall"]["value"] == pytest.approx(0.5 * 0.18 + 0.2 * 0.7 + 0.2 * audio + 0.1 * 0.45)
    assert (found["Overall"]["n"], found["S_video"]["n"]) == (3, 7)


def test_figures_beyond_their_ends_are_cut_off_and_missing_ones_are_named() -> None:
    names = {column.name for column in COLUMNS["official"]}
    columns: dict[str, dict[str, Any]] = {name: {"value": 9.0, "n": 1} for name in names}
    found = overall_score(columns)
    assert found["S_other"]["value"] == pytest.approx((0.0 + 0.9) / 2)
    columns["AV-A"]["value"] = -0.4  # sound that is early
    columns["KL"] = {"value": None, "n": 0}
    found = overall_score(columns)
    assert found["S_joint"]["value"] == pytest.approx(1.0)
    assert found["S_audio"]["reason"] == "KL has no value"
    assert found["Overall"] | {"reason": "S_audio has no value", "status": "skipped"} == found["Overall"]


def test_figures_are_of_the_items_that_verse_bench_counts(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(np.zeros((2, 16, 16, 3), np.uint8), Fraction(24), None, 16000))
    texts = {
        "set1/both": {"said": "two", "audio_prompt": "rain"},
        "set1/speaks": {"said": "two"},
        "set1/none": {},
        "set2/sounds": {"audio_prompt": "rain"},
        "set3/talk": {"said": "two", "audio_prompt": "applause"},
    }
    value = {name: float(2**n) for n, name in enumerate(texts)}
    names = ("sync_c_verse_bench", "sync_c_any_track", "av_a_signed", "desync", "clap_pair_sqdist")
    metrics = [ItemMetric(name, lambda sample: [value[sample.id], 1.0], requires=(), version="1") for name in names]
    columns = [column for column in COLUMNS["official"] if column.name[:3] in ("LSE", "AV-") or column.name == "FD"]
    items = tuple(SuiteItem(name, name[:4], "", texts=told) for name, told in texts.items())
    suite = Suite("toy", "toy", "A toy.", items, columns=columns)
    clips = dict.fromkeys(texts, tmp_path / "clip.mp4")
    found = evaluate_suite(suite, tmp_path / "out", metrics, clips=clips)["columns"]
    for name in ("LSE-C", "LSE-C_all"):  # items with speech, of all sets
        assert (found[name]["value"], found[name]["n"]) == (pytest.approx((1 + 2 + 16) / 3), 3)
    for name in ("AV-A", "AV-A_abs"):  # items with an audio prompt, of sets 1 and 2
        assert (found[name]["value"], found[name]["n"]) == (pytest.approx((1 + 8) / 2), 2)
    assert (found["FD"]["value"], found["FD"]["n"]) == (8.0, 1)
    assert found["LSE-C"]["needs"] == ["said"]


def test_scores_of_unverified_figures_are_unverified() -> None:
    names = {column.name for column in COLUMNS["official"]}
    columns: dict[str, dict[str, Any]] = {name: {"value": 0.5, "n": 1, "version": "1"} for name in names}
    columns["CS"]["version"] = "1, unverified"
    found = overall_score(columns)
    assert "unverified" not in found["S_video"]["version"]
    assert all("unverified" in found[name]["version"] for name in ("S_audio", "S_joint", "Overall"))
