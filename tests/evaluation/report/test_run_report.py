import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.report.runs import found, write_run

from vivace.errors import VivaceError
from vivace.evaluation.report.charts import Estimate, confusion, interval_bars, spanning
from vivace.evaluation.report.page import section, table, write_page
from vivace.evaluation.report.run_report import item_scores, write_report
from vivace.evaluation.report.strips import draw_strip, load_strip, save_strip, strip_of
from vivace.evaluation.results import read_results
from vivace.evaluation.sensitivity import shift_curves, tells_apart
from vivace.media import Clip
from vivace.perception.percept import percept_to_json

VOID = {"meta", "link", "br", "img", "input"}


class Balanced(HTMLParser):
    """Holds what a page refers to, and fails where a tag is closed that was not opened last."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "data")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_is_one_file_with_every_figure(tmp_path: Path) -> None:
    items = write_run(tmp_path / "run", {"model": 0.01, "without alignment": 0.12, "truth": 0.0})
    path = write_report(tmp_path / "run")
    page = path.read_text()
    references = Balanced(page).references
    assert references  # the pictures of the strips
    assert all(reference.startswith("data:") for reference in references)
    assert "http" not in page.replace("http-equiv", "")
    for title in (
        "Figures", "The same prompts, other settings", "If the sound came earlier or later", "What is taken for what",
        "Best and worst clips", "Not measured", "How it was made",
    ):  # fmt: skip
        assert f"<h2>{title}</h2>" in page
    results = read_results(tmp_path / "run")
    score = results.summary["groups"]["all"]["model"]["av_event_f1_50ms"]
    text = Estimate(score["value"], score["ci_low"], score["ci_high"], score["n"]).text()
    assert f">{text}</text>" in page
    assert text.endswith("n 24")
    assert "ab" * 32 in page  # the weights' digest
    scores = item_scores(results, "model")
    best = sorted(scores, key=lambda name: (-scores[name][0], name))[0]
    assert page.index(f"{best}, seed") > page.index("<h3>Best</h3>")
    assert items[0].prompt


def test_what_prompts_say_is_shown_and_not_run(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"model": 0.01}, prompt='<script>alert(1)</script> & "so" on', count=4)
    page = write_report(tmp_path / "run").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;so&quot; on" in page
    Balanced(page)


def test_unfinished_damaged_and_absent_runs_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match="holds no results"):
        write_report(tmp_path)
    (tmp_path / "items.jsonl").write_text("{}\n")
    with pytest.raises(VivaceError, match="not come to its end"):
        write_report(tmp_path)
    for text in ("{", "{}", '{"groups": 3}', "[" * 100_000):
        (tmp_path / "summary.json").write_text(text)
        with pytest.raises(VivaceError, match="damaged"):
            write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_summary_alone_makes_a_report_and_skipped_metrics_are_listed(tmp_path: Path) -> None:
    write_run(tmp_path, {"model": 0.01}, count=4)
    (tmp_path / "items.jsonl").unlink()
    summary = json.loads((tmp_path / "summary.json").read_text())
    summary["skipped"] = [{"metric": "sync_c", "key": "syncnet", "file": "syncnet_v2.model", "licence": "MIT"}]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    page = write_report(tmp_path).read_text()
    assert "1 metrics skipped" in page
    assert "syncnet_v2.model" in page
    assert "Best and worst" not in page


def test_a_suite_adds_metrics_of_the_same_clip_and_forgets_those_of_another(tmp_path: Path) -> None:
    write_run(tmp_path, {"model": 0.01}, count=4)
    row = {"id": "x", "condition": "model", "sha256": "1", "metrics": {"a": {"value": 1.0}}}
    later = [{**row, "metrics": {"b": {"value": 2.0}}}, {**row, "sha256": "2", "metrics": {"c": {"value": 3.0}}}]
    for rows, names in (([row, later[0]], {"a", "b"}), ([row, *later], {"c"})):
        (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rows))
        assert set(read_results(tmp_path).rows["model", "x"]["metrics"]) == names


def test_a_strip_keeps_every_click_and_its_marks_lie_at_their_times(tmp_path: Path) -> None:
    sound = np.zeros((2, 32000), np.float32)
    sound[1, 16003] = -0.7  # a single sample
    clip = Clip(np.full((48, 40, 80, 3), 200, np.uint8), 24, sound, 16000)
    save_strip(tmp_path / "s.json", clip)
    strip = load_strip(tmp_path / "s.json")
    assert strip == strip_of(clip)
    assert len(strip.pictures) == 8
    assert min(low for low, _ in strip.wave) == -70
    drawn = draw_strip(strip, percept_to_json(found("bell", 0.02)))
    marks = [float(x) for x in re.findall(r'class="fill c1" d="M([\d.]+)', drawn)]
    assert marks == pytest.approx([4 + 972 * time / 2.0 for time in (0.3, 0.8, 1.3)], abs=0.1)
    assert drawn.count("dashed") == 3
    assert draw_strip(strip_of(Clip(None, 24, sound, 16000)), None).count("<image") == 0
    for content in ("{}", "[" * 100_000):
        (tmp_path / "s.json").write_text(content)
        with pytest.raises(VivaceError, match="cannot be read"):
            load_strip(tmp_path / "s.json")


def test_a_known_shift_is_found_and_a_metric_that_cannot_tell_it_is_said() -> None:
    curves = shift_curves({str(n): found("bell", 0.0) for n in range(6)}, 2.0)
    for shift in (-200, -40, 0, 100):
        assert curves["av_offset_median"][shift].value == pytest.approx(shift, abs=1e-6)
    assert curves["av_event_f1_50ms"][0].value == 1.0
    assert curves["av_event_f1_50ms"][100].value == 0.0
    assert curves["av_offset_in_window"][100].value == 1.0  # sound may be 125 ms late, but not early
    assert curves["av_offset_in_window"][-100].value == 0.0
    assert all(tells_apart(curve) for curve in curves.values())
    flat = dict.fromkeys(curves["av_event_f1_50ms"], curves["av_event_f1_50ms"][0])
    assert not tells_apart(flat)


def test_bars_lie_where_their_values_are() -> None:
    chart = interval_bars([("m", {"a": Estimate(0.5, 0.25, 0.75, 7), "b": Estimate(1.0, None, None, 2)})],
                          {"a": "c0", "b": "ref"})  # fmt: skip
    scale = spanning([0.5, 0.25, 0.75, 1.0], 215, 980 - 255)
    assert f'width="{scale(0.5) - scale(0):.1f}"' in chart
    assert f'cx="{scale(1.0):.1f}"' in chart
    assert f"M{scale(0.25):.1f} " in chart
    assert chart.count("n 7") == 2  # in the figure and when pointed at
    Balanced(chart)


def test_the_scale_holds_all_values_with_round_ends() -> None:
    assert spanning([0.13, 0.97], 0, 1).ticks == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    wide = spanning([-3, 250], 0, 1)
    assert wide.low <= -3
    assert wide(250) == pytest.approx((250 - wide.low) / (wide.high - wide.low))
    for values in ([0.0], [5.0], [-2.0, -1.0], []):
        scale = spanning(values, 0, 100)
        assert scale.low <= min([0.0, *values]) <= max([0.0, *values]) <= scale.high
        assert scale.low < scale.high


def test_a_confusion_counts_rows() -> None:
    drawn = confusion("sound", {("bell", "bell"): 3, ("bell", "nothing"): 1, ("drum", "bell"): 2})
    assert "bell asked for, nothing found: 1 of 4" in drawn
    assert drawn.count("n 4") == 1
    Balanced(drawn)


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match="is a folder"):
        write_page(tmp_path, "t", "l", [])
    write_page(tmp_path / "p.html", "<t>", "a & b", [section("s", table(("h",), [("<x>",)]))])
    page = (tmp_path / "p.html").read_text()
    assert "&lt;x&gt;" in page
    assert "<title>&lt;t&gt;</title>" in page
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]
