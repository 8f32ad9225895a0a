"""The pages in a real browser: a person's keys and presses, clips that play, votes that arrive."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.study import browser
from tests.evaluation.study.clips import write_clips
from tests.evaluation.study.raters import answers

from vivace.evaluation.study.analysis import analyse
from vivace.evaluation.study.design import Axis, Pair
from vivace.evaluation.study.making import make_study
from vivace.evaluation.study.server import StudyServer
from vivace.evaluation.study.store import Study

pytestmark = pytest.mark.skipif(not browser.there(), reason="no chromium with chromedriver on this machine")
AXES = (Axis("look", "Which looks better?"), Axis("sync", "Which is better in time?", hears=True))
READY = "return [...document.querySelectorAll('video')].every(v => v.readyState >= 3)"
PLAYING = "const v = document.querySelector('[data-side={}] video'); return !v.paused && v.currentTime > 0"
SEEN = "return document.querySelector('[data-side={}] button').classList.contains('seen')"

IN_VIEW = (
    "const box = document.querySelector('{}').getBoundingClientRect();"
    "return box.top >= -1 && box.bottom <= window.innerHeight + 1"
)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    names = ["x", "y"]
    systems = {n: write_clips(tmp_path / n, names, pitch=p, seconds=0.5) for n, p in (("one", 300), ("two", 500))}
    make_study(tmp_path / "study", systems, axes=AXES, raters=2, per_rater=2, control_share=0)
    return Study(tmp_path / "study")


@contextmanager
def serving(study: Study) -> Iterator[str]:
    """The address of a study that is served in this process."""
    server = StudyServer(study, port=0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def url(study: Study) -> Iterator[str]:
    with serving(study) as address:
        yield address


def test_a_rater_goes_through_by_keys_and_the_votes_arrive_as_meant(study: Study, url: str, tmp_path: Path) -> None:
    with browser.Browser(tmp_path) as page:
        page.open(url)
        page.type("#rater", "ann")
        page.click("#who button")
        for number in range(2):
            page.wait(f"return document.getElementById('count').textContent === '{number} of 2 done'")
            page.wait(READY)
            if number == 0:
                page.press("1", "3", "enter")  # answers alone do not do: nothing was watched
                assert not study.votes
                assert "Play A and B" in page.run("return document.getElementById('hint').textContent")
            page.press("a")
            page.wait(PLAYING.format("left"))
            assert page.run("return document.querySelector('[data-side=left] button').textContent") == "Stop A"
            page.wait(SEEN.format("left"))
            page.press("space")
            page.wait(PLAYING.format("right"))
            assert page.run("return document.querySelector('[data-side=left] video').paused")  # one sounds at a time
            page.wait(SEEN.format("right"))
            assert page.run("return document.querySelector('[data-side=right] video').loop")
            if number == 1:
                page.press("down", "2", "1")  # the second question, then the one that is left
            page.press("enter")
            browser.until(lambda: len(study.votes) > number, 30, "the vote")  # noqa: B023 - read at once
        page.wait("return !document.getElementById('done').hidden")
        first, second = sorted(study.votes.values(), key=lambda vote: vote.position)
        assert dict(first.answers) == {"look": "left", "sync": "right"}
        assert dict(second.answers) == {"look": "left", "sync": "same"}
        assert second.seconds > 0
        assert analyse(study).left == 2
        page.open(url)  # coming back with the same name: nothing is asked twice
        page.type("#rater", "ann")
        page.click("#who button")
        page.wait("return !document.getElementById('done').hidden")


def test_the_page_fits_a_phone_and_works_by_touch(study: Study, url: str, tmp_path: Path) -> None:
    with browser.Browser(tmp_path, (500, 850)) as page:
        page.open(url)
        page.type("#rater", "ben")
        page.click("#who button")
        page.wait(READY)
        assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
        heights = "return [...document.querySelectorAll('#task button')].map(b => b.getBoundingClientRect().height)"
        assert min(page.run(heights)) >= 44  # px, for a thumb
        for side in ("left", "right"):
            page.click(f"[data-side={side}] button")
            page.wait(SEEN.format(side))
        page.click(".axis:nth-child(1) [data-answer=same]")
        page.click(".axis:nth-child(2) [data-answer=left]")
        page.click("#next")
        browser.until(lambda: study.votes, 30, "the vote")
        (vote,) = study.votes.values()
        assert dict(vote.answers) == {"look": "same", "sync": "left"}


def preferred(study: Study, pair: Pair, left: str, rater: str) -> dict[str, str]:
    """What a rater says who finds a the prettiest and c the best in time; ben sees no difference between neighbours."""
    if rater == "hasty":
        return {"look": "left", "sync": "left"}
    if pair.control is not None:
        return answers(study, pair, left, {}, np.random.default_rng())
    if rater == "ben" and {pair.first, pair.second} != {"a", "c"}:
        return {"look": "same", "sync": "same"}
    sides = ("left", "right") if left == pair.first_clip else ("right", "left")
    ahead = sides if pair.first < pair.second else sides[::-1]
    return {"look": ahead[0], "sync": ahead[1]}


def test_raters_at_the_keyboard_are_understood(tmp_path: Path) -> None:
    systems = {n: write_clips(tmp_path / n, ["x", "y"], pitch=300, seconds=0.3) for n in "abc"}
    make_study(tmp_path / "study", systems, axes=AXES, every_pair=True, raters=4, per_rater=6)
    study = Study(tmp_path / "study")
    pairs = {name: pair for pair in study.design.pairs for name in (pair.first_clip, pair.second_clip)}
    keys = {"left": "1", "same": "2", "right": "3"}

    def judge(page: browser.Browser, rater: str) -> None:
        """All pairs of one rater, who knows a clip by the file that stands on the page."""
        page.type("#rater", rater + browser.KEYS["enter"])
        for number in range(8):
            page.wait(f"return document.getElementById('count').textContent === '{number} of 8 done'")
            page.wait(READY)
            for key, side in (("a", "left"), ("space", "right")):
                page.press(key)
                page.wait(SEEN.format(side))
            left = page.run("return document.querySelector('[data-side=left] video').src").rpartition("/")[2]
            said = preferred(study, pairs[left], left, rater)
            page.press(keys[said["look"]])
            assert page.run(IN_VIEW.format(".axis.active"))  # the second question
            page.press(keys[said["sync"]])
            assert page.run(IN_VIEW.format("#next"))
            page.press("enter")
        page.wait("return !document.getElementById('done').hidden")

    with serving(study) as url, browser.Browser(tmp_path, (700, 420)) as page:
        for rater in ("ann", "ben", "cleo", "hasty"):
            page.open(url)
            judge(page, rater)
    found = analyse(Study(study.folder))
    assert [rater.name for rater in found.raters if not rater.counted] == ["hasty"]
    for axis, order in (("look", "abc"), ("sync", "cba")):
        ranks = sorted((rank for rank in found.ranks if rank.axis == axis), key=lambda rank: -rank.elo)
        assert "".join(rank.system for rank in ranks) == order
        assert ranks[0].low > ranks[2].high
    for verdict in found.verdicts:  # of 6 votes, on two prompts by three raters
        share = 1.0 if {verdict.first, verdict.second} == {"a", "c"} else 4 / 6
        assert verdict.tally.net == pytest.approx(share if verdict.axis == "look" else -share)
    assert found.left == found.right  # who is prettier is late, so that sides cancel
