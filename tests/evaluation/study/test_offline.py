"""Pages that open without a server: what they tell, what they save, and that it is the same vote."""

import json
from pathlib import Path

import pytest
from tests.evaluation.study import browser
from tests.evaluation.study.clips import write_clips

from vivace.errors import VivaceError
from vivace.evaluation.study.design import Axis
from vivace.evaluation.study.making import make_study
from vivace.evaluation.study.offline import write_offline
from vivace.evaluation.study.store import Study

AXES = (Axis("look", "Which looks better?"), Axis("sync", "Which is better in time?", hears=True))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    systems = {
        name: write_clips(tmp_path / name, ["x", "y"], pitch=pitch, seconds=0.5)
        for name, pitch in (("alpha", 300), ("beta", 500))
    }
    asked = {"x": ("look", "sync"), "y": ("sync",)}
    make_study(tmp_path / "study", systems, axes=AXES, asked=asked, raters=2, per_rater=2, control_share=0)
    return Study(tmp_path / "study")


def told(folder: Path) -> dict:
    text = (folder / "study.js").read_text()
    return dict(json.loads(text.removeprefix("window.study = ").rstrip(";\n")))


def test_the_folder_holds_all_it_needs_and_tells_nothing(study: Study, tmp_path: Path) -> None:
    assert write_offline(study, " Ann  B ", tmp_path / "ann") == 2
    page = told(tmp_path / "ann")
    assert page["rater"] == "Ann B"
    assert {path.name for path in (tmp_path / "ann" / "clips").iterdir()} == {
        task[side].removeprefix("clips/") for task in page["tasks"] for side in ("left", "right")
    }
    for task in page["tasks"]:
        for side in ("left", "right"):
            assert (tmp_path / "ann" / task[side]).read_bytes() == (study.folder / task[side]).read_bytes()
    words = " ".join(path.read_text() for path in (tmp_path / "ann").iterdir() if path.is_file())
    assert not any(word in words for word in ("alpha", "beta", '"control', '"first', '"second', "https://", "http://"))
    # What was given is known here, so that the next rater's sides are balanced against it.
    assert Study(study.folder).sessions == study.sessions
    with pytest.raises(VivaceError, match="not empty"):
        write_offline(study, "ben", tmp_path / "ann")
    with pytest.raises(VivaceError, match="name"):
        write_offline(study, "  ", tmp_path / "nobody")
    assert not (tmp_path / "nobody").exists()


def test_votes_that_do_not_know_their_sides_are_placed_by_what_was_given(study: Study, tmp_path: Path) -> None:
    write_offline(study, "ann", tmp_path / "ann")
    rows = [
        {
            **{"rater": "ann", "round": 1, "pair": task["pair"], "seconds": 3.5, "time": "2026-01-01T00:00:00+00:00"},
            "answers": dict.fromkeys(task["axes"], "left"),
        }
        for task in told(tmp_path / "ann")["tasks"]
    ]
    with pytest.raises(VivaceError, match="was not given to 'ben' here"):
        study.take([{**rows[0], "rater": "ben"}])
    with pytest.raises(VivaceError, match="other axes"):
        study.take([{**rows[0], "answers": {"taste": "left"}}])
    assert study.take(rows) == (2, 0)
    assert study.take(rows) == (0, 2)
    places = {task.pair: (number, task.left) for number, task in enumerate(study.sessions["ann", 1].tasks)}
    pairs = {pair.id: pair for pair in study.design.pairs}
    for vote in Study(study.folder).votes.values():
        assert (vote.position, vote.left) == places[vote.pair]
        clip = told(tmp_path / "ann")["tasks"][vote.position]["left"].removeprefix("clips/")
        assert vote.value("sync") == (1 if clip == pairs[vote.pair].first_clip else -1)


@pytest.mark.skipif(not browser.there(), reason="no chromium with chromedriver on this machine")
def test_a_rater_opens_the_file_judges_and_saves_votes_that_are_taken_over(study: Study, tmp_path: Path) -> None:
    write_offline(study, "ann", tmp_path / "ann")
    tasks = told(tmp_path / "ann")["tasks"]
    seen = "return document.querySelector('[data-side={}] button').classList.contains('seen')"
    with browser.Browser(tmp_path) as page:
        for number in range(2):
            # A page that is opened again goes on where it stopped.
            page.open((tmp_path / "ann" / "index.html").as_uri())
            assert page.run("return document.getElementById('rater').value") == "ann"
            page.click("#who button")
            page.wait("return [...document.querySelectorAll('video')].every(v => v.readyState >= 3)")
            assert page.run("return document.getElementById('count').textContent") == f"{number} of 2 done"
            assert page.run("return document.querySelectorAll('.axis').length") == len(tasks[number]["axes"])
            for key, side in (("a", "left"), ("b", "right")):
                page.press(key)
                page.wait(seen.format(side))
            page.press(*["1"] * len(tasks[number]["axes"]), "enter")
            page.wait(f"return document.getElementById('count').textContent === '{number + 1} of 2 done'")
        page.wait("return !document.getElementById('done').hidden")
        assert page.run("return document.getElementById('own').download") == "votes-ann.jsonl"
        script = "const r = new XMLHttpRequest(); r.open('GET', document.getElementById('own').href, false); r.send(); "
        saved = page.run(script + "return r.responseText")
    rows = [json.loads(line) for line in saved.splitlines()]
    assert not any("left" in row for row in rows)
    assert study.take(rows) == (2, 0)
    assert all(set(vote.answers.values()) == {"left"} for vote in study.votes.values())
