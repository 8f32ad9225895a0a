"""The pages in a real browser: a person's keys and presses, clips that play, votes that arrive."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.evaluation.study import browser
from tests.evaluation.study.clips import write_clips

from vivace.evaluation.study.analysis import analyse
from vivace.evaluation.study.design import Axis
from vivace.evaluation.study.making import make_study
from vivace.evaluation.study.server import StudyServer
from vivace.evaluation.study.store import Study

pytestmark = pytest.mark.skipif(not browser.there(), reason="no chromium with chromedriver on this machine")
AXES = (Axis("look", "Which looks better?"), Axis("sync", "Which is better in time?", hears=True))
READY = "return [...document.querySelectorAll('video')].every(v => v.readyState >= 3)"
PLAYING = "const v = document.querySelector('[data-side={}] video'); return !v.paused && v.currentTime > 0"
SEEN = "return document.querySelector('[data-side={}] button').classList.contains('seen')"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    names = ["x", "y"]
    systems = {n: write_clips(tmp_path / n, names, pitch=p, seconds=0.5) for n, p in (("one", 300), ("two", 500))}
    make_study(tmp_path / "study", systems, axes=AXES, raters=2, per_rater=2, control_share=0)
    return Study(tmp_path / "study")


@pytest.fixture
def url(study: Study) -> Iterator[str]:
    server = StudyServer(study, port=0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.url
    server.shutdown()
    server.server_close()
    thread.join()


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
