"""Studies that ask about each clip what its prompt is about, and their profile."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.study.clips import write_clips
from tests.evaluation.study.raters import answers

from vivace.errors import VivaceError
from vivace.evaluation.study.analysis import analyse
from vivace.evaluation.study.analysis_report import write_analysis
from vivace.evaluation.study.dimensions import ALIVE_DIMENSIONS, dimensions_of
from vivace.evaluation.study.making import make_study, read_prompts
from vivace.evaluation.study.store import Study
from vivace.evaluation.suites.alive_style import DIMENSIONS, GROUPS, alive_style_suite

ASKED = {
    "a": ("physics", "events"),
    "b": ("physics", "lips", "who_speaks"),
    "c": ("cleanliness", "events"),
    "d": ("physics", "cleanliness", "lips"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dimensions")
    systems = {n: write_clips(folder / n, list(ASKED), pitch=p, seconds=0.5) for n, p in (("one", 300), ("two", 500))}
    make_study(folder / "study", systems, axes=ALIVE_DIMENSIONS, asked=ASKED, raters=8, per_rater=4, seed=1)
    return folder / "study"


def test_every_dimension_of_the_suite_has_a_question_in_its_group() -> None:
    assert [axis.name for axis in ALIVE_DIMENSIONS] == list(DIMENSIONS)
    assert {axis.group for axis in ALIVE_DIMENSIONS} == set(GROUPS)
    assert len({axis.question for axis in ALIVE_DIMENSIONS}) == len(ALIVE_DIMENSIONS)
    assert all(axis.hears == ("audio" in axis.group and "prompt" not in axis.group) for axis in ALIVE_DIMENSIONS)


def test_dimensions_are_the_line_s_own_or_those_of_the_suite_s_item() -> None:
    item = alive_style_suite().items[0]
    found = dimensions_of([item.id, "mine", "untold"], {"mine": ("lips",)})
    assert found == {item.id: item.tags, "mine": ("lips",)}
    assert dimensions_of([item.id], {item.id: ("physics",)}) == {item.id: ("physics",)}


def test_a_clip_is_asked_about_what_its_prompt_is_about(made: Path) -> None:
    design = Study(made).design
    for pair in design.pairs:
        assert pair.axes == ASKED[pair.prompt_id]
        assert [axis.name for axis in design.asked(pair)] == [d for d in DIMENSIONS if d in ASKED[pair.prompt_id]]
        if pair.control == "degraded":
            assert any(axis.hears for axis in design.asked(pair))
    study = Study(made)
    pair = design.real[0]
    wrong = {**dict.fromkeys(pair.axes, "same"), "realism": "left"}
    study.sessions.clear()
    session = study.session("checks answers")
    task = next(task for task in session.tasks if task.pair == pair.id)
    with pytest.raises(VivaceError, match=f"other axes than {design.asked(pair)[0].name}"):
        study.vote("checks answers", task.pair, wrong, 1.0)


def test_the_profile_pools_a_group_and_tells_who_is_better_in_it(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.json").write_text((made / "study.json").read_text())
    study = Study(folder)
    pairs = {pair.id: pair for pair in study.design.pairs}
    rng = np.random.default_rng(2)
    nets = {"physics": 0.7, "cleanliness": -0.7, "lips": 0.6, "events": 0.6, "who_speaks": 0.6}
    for number in range(8):
        for task in study.session(f"r{number}").tasks:
            pair = pairs[task.pair]
            left = pair.first_clip if task.left == "first" else pair.second_clip
            said = answers(study, pair, left, nets, rng)
            study.vote(f"r{number}", pair.id, {axis: said[axis] for axis in pair.axes}, 1.0)
    found = analyse(study)
    assert all(rater.counted for rater in found.raters)
    verdicts = {entry.axis: entry for entry in found.verdicts}
    assert set(verdicts) == {axis for row in ASKED.values() for axis in row}
    assert verdicts["physics"].tally.n == 8 * 3
    profile = {entry.axis: entry for entry in found.profile}
    assert set(profile) == {"motion quality", "audio quality", "audio-video sync"}
    together = [verdicts[name].tally for name in ("lips", "events", "who_speaks")]
    assert profile["audio-video sync"].tally.good == sum(tally.good for tally in together)
    assert profile["audio-video sync"].tally.n == sum(tally.n for tally in together)
    assert profile["motion quality"].tally.net > 0 > profile["audio quality"].tally.net
    write_analysis(tmp_path / "out", study, found)
    assert len(json.loads((tmp_path / "out" / "analysis.json").read_text())["profile"]) == 3
    assert "## Profile" in (tmp_path / "out" / "analysis.md").read_text()


def test_prompts_name_dimensions_and_bad_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    rows = [{"id": "x", "prompt": "a dog", "dimensions": ["lips"]}, {"id": "y", "prompt": "a cat"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_prompts(path) == ({"x": "a dog", "y": "a cat"}, {"x": ("lips",)})
    one = write_clips(tmp_path / "one", ["x"], pitch=300, seconds=0.5)
    for asked, complaint in (({}, "has no dimensions"), ({"x": ["taste"]}, "unknown dimension 'taste'")):
        with pytest.raises(VivaceError, match=complaint):
            make_study(tmp_path / "s", {"one": one, "two": one}, axes=ALIVE_DIMENSIONS, asked=asked)
    assert not (tmp_path / "s").exists()
