"""What suites hand to reports and comparisons: the word "unverified", sets that are compared, strips and ticks."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.cli.main import main
from vivace.errors import VivaceError
from vivace.evaluation.comparing import compare, read_subjects
from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.prompts import true_clip, world_items
from vivace.evaluation.report.comparison_report import write_comparison
from vivace.evaluation.set_metric import Features, SetMetric
from vivace.evaluation.set_values import SET_VALUES
from vivace.evaluation.suites.ledger import SuiteMetric
from vivace.evaluation.suites.looking import found_in
from vivace.evaluation.suites.run import evaluate_suite
from vivace.evaluation.suites.suite import Column, Suite, SuiteItem
from vivace.media import Clip, write_clip

TRUST = "unverified"


def a_clip() -> Clip:
    rng = np.random.default_rng(0)
    audio = (0.1 * rng.normal(size=(2, 8000))).astype(np.float32)
    return Clip(np.full((12, 32, 32, 3), 90, np.uint8), Fraction(24), audio, 16000)


def metrics(shift: float, seed: int) -> list[SuiteMetric]:
    """Values and features that are made up, around `shift`; one for each item."""
    rng = np.random.default_rng(seed)

    def features(sample: Sample) -> Features:
        true = np.random.default_rng(int(sample.id)).normal(size=6)
        return {"generated": rng.normal(shift, 1.0, 6), "reference": true}

    value = SET_VALUES["fd_vggish"]
    return [
        ItemMetric(
            "score", lambda sample: [0.5 + 0.1 * shift + 0.01 * rng.normal(), 1.0], requires=(), version=f"1, {TRUST}"
        ),
        SetMetric("fd_vggish", features, value.of, requires=(), version=f"1, {TRUST}"),
        ItemMetric("plain", lambda sample: [0.5, 1.0], requires=()),
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_clip(folder / "x.mp4", a_clip())
    items = tuple(SuiteItem(f"{n:02d}", "g", f"prompt {n}", tags=("taste",)) for n in range(16))
    columns = (Column("Figure", "score"), Column("Plain", "plain"))
    suite = Suite("toy", "toy-1", "A toy.", items, columns=columns, dimensions={"taste": ("score", "plain")})
    for name, shift, seed in (("near", 0.0, 1), ("far", 1.0, 2), ("again", 0.0, 3)):
        found = metrics(shift, seed)
        for metric in found[:2]:
            metric.weights = "ab" * 32
        evaluate_suite(suite, folder / name, found, clips=dict.fromkeys((item.id for item in items), folder / "x.mp4"))
    return folder


def unlabelled(text: str, name: str) -> list[str]:
    """Places where a name stands alone, without the word behind it."""
    parts = text.split(name)[1:]
    return [part[:40] for part in parts if not part.startswith(f" ({TRUST})")]


def test_every_table_of_a_run_says_what_is_unverified(runs: Path) -> None:
    told = (runs / "near" / "summary.md").read_text()
    assert not unlabelled(told, "| Figure")
    assert not unlabelled(told, "| taste | 16 | score")
    assert not unlabelled(told, "| fd_vggish")
    page = (runs / "near" / "report.html").read_text().split("How it was made")[0]
    for cell in ("<td>Figure", ">fd_vggish"):
        assert cell in page
        assert not unlabelled(page, cell)
    assert len(unlabelled(page, ">score")) == 1  # what the figure is made of, beside its own word
    assert page.count(f">score ({TRUST})") >= 3  # tile, bar, proxy
    assert f"plain ({TRUST})" not in page + told
    assert f"score ({TRUST}) 0.5" in page  # under a strip


def test_every_table_of_a_comparison_says_so_too(runs: Path, tmp_path: Path) -> None:
    found = compare(read_subjects([str(runs / name) for name in ("near", "far")]))
    write_comparison(tmp_path, found)
    told, page = ((tmp_path / f"comparison.{end}").read_text() for end in ("md", "html"))
    for name in ("score", "fd_vggish"):
        assert not unlabelled(told, f"| {name}")
        assert not unlabelled(page, f"<td>{name}")
        assert f">{name} ({TRUST})" in page
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert {entry["metric"]: TRUST in entry["version"] for entry in stored["differences"]} == {
        "score": True, "plain": False, "fd_vggish": True,
    }  # fmt: skip


def test_the_console_and_its_line_for_programs_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "1.mp4", a_clip())
    monkeypatch.setattr("vivace.evaluation.published.published_metrics", lambda named: (metrics(0.0, 0), []))
    monkeypatch.setenv("COLUMNS", "200")
    command = ["evaluate", "clips", "--clips", str(tmp_path / "clips"), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert f"score ({TRUST})" in shown
    assert f"plain ({TRUST})" not in shown
    assert main([*command, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["scores"]
    assert scores["score"][TRUST] is True
    assert TRUST not in scores["plain"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["command"].startswith(f"vivace evaluate clips --clips {tmp_path / 'clips'} --output")


def test_sets_are_compared_by_what_they_kept(runs: Path) -> None:
    found = compare(read_subjects([str(runs / name) for name in ("near", "far", "again")]))
    tests = {(entry.first, entry.second): entry for entry in found.differences if entry.metric == "fd_vggish"}
    assert tests["near", "far"].better == "near"
    assert tests["far", "again"].better == "again"
    assert tests["near", "again"].better is None
    assert all(entry.of_sets and entry.paired.n == 16 for entry in tests.values())
    assert found.unpaired == ()
    value, n = found.means["fd_vggish"]["far"]
    summary = json.loads((runs / "far" / "summary.json").read_text())
    score = summary["groups"]["all"]["clips"]["fd_vggish"]
    assert (value, n) == (pytest.approx(score["value"]), 16)
    assert score["ci_low"] < score["value"] < score["ci_high"]


def test_other_weights_are_not_ranked_together(runs: Path, tmp_path: Path) -> None:
    summary = json.loads((runs / "far" / "summary.json").read_text())
    summary["weights"]["score"] = "cd" * 32
    other = tmp_path / "other"
    other.mkdir()
    (other / "summary.json").write_text(json.dumps(summary))
    (other / "items.jsonl").write_text((runs / "far" / "items.jsonl").read_text())
    with pytest.raises(VivaceError, match="measured score by other weights"):
        compare(read_subjects([str(runs / "near"), str(other)]))


def test_clips_of_any_origin_have_strips_with_ticks(tmp_path: Path) -> None:
    item = next(item for item in world_items("val", 4, height=64, width=64, hand=False, camera=False) if item.scene)
    write_clip(tmp_path / "a.mp4", true_clip(item))
    write_clip(tmp_path / "b.mp4", a_clip())
    items = (SuiteItem("a", "clips", "a ball"), SuiteItem("b", "clips", ""))
    score = [ItemMetric("score", lambda sample: [float(sample.id == "a"), 1.0], requires=())]
    clips = {name: tmp_path / f"{name}.mp4" for name in "ab"}
    suite = Suite("clips", "toy-1", "A toy.", items)
    evaluate_suite(suite, tmp_path / "out", score, clips=clips)
    # A metric that comes later leaves what was found in the first line.
    more = ItemMetric("more", lambda sample: [1.0, 1.0], requires=())
    evaluate_suite(suite, tmp_path / "out", [*score, more], clips=clips)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Best and worst clips" in page
    assert "<h3>Worst</h3>" in page
    assert "heard at " in page
    row: dict[str, Any] = json.loads((tmp_path / "out" / "items.jsonl").read_text().splitlines()[0])
    assert len(row["percept"]["audio"]["onsets"]) > 0


def test_of_long_clips_the_detectors_only_listen() -> None:
    frames, sound = np.full((42, 16, 16, 3), 90, np.uint8), np.zeros((1, 21 * 8000), np.float32)
    found = found_in(Clip(frames, Fraction(2), sound, 8000))
    assert found.video is None
    assert found.audio is not None
    assert found_in(Clip(frames, Fraction(2), None, 8000)).video is None
    assert found_in(Clip(frames[:20], Fraction(2), None, 8000)).video is not None


def test_detectors_find_the_same_in_larger_pictures() -> None:
    items = world_items("val", 8, height=96, width=96, hand=False, camera=False)
    for item in [item for item in items if item.scene][:2]:
        clip = true_clip(item)
        assert clip.frames is not None
        large = Clip(clip.frames.repeat(3, 1).repeat(3, 2), clip.fps, clip.audio, clip.sample_rate)
        assert found_in(large) == found_in(clip)
