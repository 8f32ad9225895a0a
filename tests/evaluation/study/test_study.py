"""A whole study: made, served, judged by raters whose preferences are known, and analysed."""

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.study.clips import write_clips
from tests.evaluation.study.raters import answers, post

from vivace.cli.study import import_votes
from vivace.errors import VivaceError
from vivace.evaluation.study.analysis import analyse
from vivace.evaluation.study.analysis_report import write_analysis
from vivace.evaluation.study.design import Axis
from vivace.evaluation.study.making import degraded_clip, make_study, read_prompts
from vivace.evaluation.study.planning import plan_study
from vivace.evaluation.study.rounds import majority, open_second_round
from vivace.evaluation.study.server import StudyServer
from vivace.evaluation.study.store import Study
from vivace.media import read_clip, read_metadata

AXES = (Axis("look", "Which looks better?"), Axis("sync", "Which is better in time?", hears=True))
NETS = {"look": 0.45, "sync": -0.4}
PROMPTS = [f"clip-{n:02d}" for n in range(12)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 12 prompts, two systems and two axes; never voted in (tests copy what they need)."""
    folder = tmp_path_factory.mktemp("study")
    one = write_clips(folder / "alpha", PROMPTS, pitch=440)
    two = write_clips(folder / "beta", [*PROMPTS[1:], "alone"], pitch=330)
    write_clips(two, PROMPTS[:1], pitch=330)
    make_study(folder / "study", {"alpha": one, "beta": two}, axes=AXES, raters=6, per_rater=8, seed=3)
    return folder / "study"


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Study:
    """The study without votes; its clips are not copied, since only the server reads them."""
    (tmp_path / "study.json").write_text((made / "study.json").read_text())
    (tmp_path / "clips").symlink_to(made / "clips")
    return Study(tmp_path)


@pytest.fixture
def url(study: Study) -> Iterator[str]:
    server = StudyServer(study, port=0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.url
    server.shutdown()
    server.server_close()
    thread.join()


def judge(study: Study, url: str, rater: str, *, careful: bool = True, nets: dict[str, float] = NETS) -> None:
    """One rater goes through all their pairs by HTTP."""
    pairs = {pair.id: pair for pair in study.design.pairs}
    rng = np.random.default_rng(sum(map(ord, rater)))
    told = post(url, "api/session", {"rater": rater})
    for task in told["tasks"]:
        left = task["left"].removeprefix("clips/")
        said = answers(study, pairs[task["pair"]], left, nets, rng, careful=careful)
        body = {"rater": rater, "pair": task["pair"], "answers": said, "seconds": 4.2}
        assert post(url, "api/vote", body) == {"kept": True}


@pytest.mark.parametrize("content", ["[" * 100_000, "[3]", "3", "{"])
@pytest.mark.parametrize("name", ["study.json", "sessions.jsonl", "votes.jsonl", "second-round.json"])
def test_damaged_files_of_a_study_are_told(study: Study, name: str, content: str) -> None:
    (study.folder / name).write_text(f"{content}\n")
    with pytest.raises(VivaceError, match=r"(is|are) damaged"):
        Study(study.folder)


def test_prompts_and_votes_nested_too_deeply_are_told(study: Study, tmp_path: Path) -> None:
    deep = tmp_path / "deep.jsonl"
    deep.write_text("[" * 100_000 + "\n")
    with pytest.raises(VivaceError, match=r"Line 1 of .* is no prompt"):
        read_prompts(deep)
    with pytest.raises(VivaceError, match="cannot be read"):
        import_votes(study.folder, deep)


def test_clips_tell_nothing_and_controls_are_what_they_say(made: Path) -> None:
    design = Study(made).design
    assert len(design.real) == 12
    assert len(design.controls("identical")) == len(design.controls("degraded")) == 2
    files = {path.name for path in (made / "clips").iterdir()}
    assert files == {name for pair in design.pairs for name in (pair.first_clip, pair.second_clip)}
    assert len(files) == 2 * len(design.pairs)
    for pair in design.pairs:
        one, two = (made / "clips" / name for name in (pair.first_clip, pair.second_clip))
        assert pair.prompt == f"text of {pair.prompt_id}"
        for path in (one, two):
            told = path.read_bytes()
            assert b"made by" not in told
            assert b"text of" not in told
            assert not {"title", "comment"} & read_metadata(path).keys()
        if pair.control == "identical":
            assert one.read_bytes() == two.read_bytes()
    source = read_clip(made.parent / "alpha" / f"{design.real[0].prompt_id}.mp4")
    copied = read_clip(made / "clips" / design.real[0].first_clip)
    assert copied.fps == source.fps
    np.testing.assert_array_equal(copied.frames, source.frames)
    np.testing.assert_array_equal(copied.audio, source.audio)


def test_the_degraded_control_is_late_and_dull(made: Path) -> None:
    clip = read_clip(made.parent / "alpha" / "clip-00.mp4")
    noise = np.random.default_rng(0).normal(0, 0.1, clip.audio.shape).astype(np.float32)
    worse = degraded_clip(type(clip)(clip.frames, clip.fps, noise, clip.sample_rate))
    half = clip.audio.shape[1] // 2
    assert not worse.audio[:, :half].any()
    spectrum = np.abs(np.fft.rfft(worse.audio[0, half:])) ** 2
    assert spectrum[: len(spectrum) * 1500 // 8000].sum() > 0.97 * spectrum.sum()


def test_pages_hide_systems_and_controls_and_a_session_is_kept(study: Study, url: str) -> None:
    first = post(url, "api/session", {"rater": " Ann  B "})
    assert first == post(url, "api/session", {"rater": "Ann B"})
    told = json.dumps(first)
    assert not any(word in told for word in ("alpha", "beta", "control", "degraded", "identical", "first", "second"))
    kinds = Counter(pair.control for pair in study.design.pairs if pair.id in {t["pair"] for t in first["tasks"]})
    assert kinds == {None: 8, "identical": 1, "degraded": 1}
    assert Study(study.folder).sessions == study.sessions
    page = urllib.request.urlopen(url).read().decode()
    assert "page.js" in page
    assert "alpha" not in page


def test_clips_come_in_parts_and_nothing_else_comes_at_all(study: Study, url: str) -> None:
    name = study.design.pairs[0].first_clip
    whole = (study.folder / "clips" / name).read_bytes()

    def get(path: str, **headers: str) -> tuple[int, bytes, str | None]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers)) as response:
                return response.status, response.read(), response.headers.get("Content-Range")
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers.get("Content-Range")

    size = len(whole)
    assert get(f"clips/{name}") == (200, whole, None)
    assert get(f"clips/{name}", Range="bytes=0-1") == (206, whole[:2], f"bytes 0-1/{size}")
    assert get(f"clips/{name}", Range="bytes=10-") == (206, whole[10:], f"bytes 10-{size - 1}/{size}")
    assert get(f"clips/{name}", Range="bytes=-7") == (206, whole[-7:], f"bytes {size - 7}-{size - 1}/{size}")
    assert get(f"clips/{name}", Range=f"bytes={size}-")[::2] == (416, f"bytes */{size}")
    for path in ("study.json", "votes.jsonl", "clips/../study.json", "clips/%2e%2e/study.json", "clips/"):
        status, content, _ = get(path)
        assert status == 404
        assert b"alpha" not in content


def test_bad_votes_are_refused_in_one_sentence(study: Study, url: str) -> None:
    told = post(url, "api/session", {"rater": "ann"})
    pair = told["tasks"][0]["pair"]
    good = {"rater": "ann", "pair": pair, "answers": {"look": "left", "sync": "same"}, "seconds": 1}
    assert "name" in post(url, "api/session", {"rater": "   "})["error"]
    assert "unreadable" in post(url, "api/session", {"name": "ann"})["error"]
    assert "not begun" in post(url, "api/vote", {**good, "rater": "bob"})["error"]
    assert "not given" in post(url, "api/vote", {**good, "pair": "p0"})["error"]
    assert "other axes" in post(url, "api/vote", {**good, "answers": {"look": "left"}})["error"]
    assert "no answer" in post(url, "api/vote", {**good, "answers": {"look": "up", "sync": "same"}})["error"]
    assert "unreadable" in post(url, "api/vote", {**good, "seconds": "soon"})["error"]
    deep = urllib.request.Request(url + "api/vote", b"[" * 10_000, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(deep)
    form = urllib.request.Request(url + "api/vote", json.dumps(good).encode(), {"Content-Type": "text/plain"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(form)
    assert not study.votes
    assert post(url, "api/vote", good) == {"kept": True} == post(url, "api/vote", good)
    assert "already" in post(url, "api/vote", {**good, "answers": {"look": "right", "sync": "same"}})["error"]
    assert len(Study(study.folder).votes) == 1
    with pytest.raises(urllib.error.HTTPError):  # it would tell on which side which system stood
        urllib.request.urlopen(url + "api/votes?rater=ann")


def test_the_true_preferences_are_found_again(study: Study, url: str) -> None:
    judge(study, url, "careless", careful=False, nets={"look": -0.7, "sync": 0.7})
    for number in range(8):
        judge(study, url, f"rater {number}")
    with pytest.raises(VivaceError, match="nothing is left"):
        study.session("late")
    found = analyse(Study(study.folder))
    assert [rater.name for rater in found.raters if not rater.counted] == ["careless"]
    for verdict in found.verdicts:
        low, high = verdict.net_interval
        assert low <= NETS[verdict.axis] <= high
        assert low * high > 0  # which of them is better is told
        assert (verdict.tally.net > 0) == (NETS[verdict.axis] > 0)
        assert verdict.adjusted < 0.05
        assert verdict.prompts == 12
        assert sum(verdict.labels) == 12
    assert found.side_p > 0.01
    sides = Counter(
        (task.pair, task.left) for s in study.sessions.values() for task in s.tasks if task.pair.startswith("p")
    )
    for pair in study.design.real:
        assert abs(sides[pair.id, "first"] - sides[pair.id, "second"]) <= 1
    votes = Counter(vote.pair for vote in study.votes.values())
    assert all(votes[pair.id] == 6 for pair in study.design.real)


def test_the_second_round_asks_fresh_raters_about_what_is_open(study: Study, url: str) -> None:
    judge(study, url, "ann")
    judge(study, url, "ben", careful=False)
    reasons = open_second_round(study)
    assert reasons
    assert {reason.split()[0] for reason in reasons.values()} <= {"no", "1"}
    with pytest.raises(VivaceError, match="open already"):
        open_second_round(study)
    assert "new raters" in post(url, "api/session", {"rater": "ann"})["error"]
    judge(study, url, "cleo")
    asked = {vote.pair for vote in study.votes.values() if vote.round == 2}
    assert asked & {pair.id for pair in study.design.real} <= set(reasons)
    found = analyse(Study(study.folder))
    assert {rater.round for rater in found.raters} == {1, 2}
    write_analysis(study.folder / "out", study, found)
    stored = json.loads((study.folder / "out" / "analysis.json").read_text())
    assert stored["rules"]["second_round_pairs"] == len(reasons)
    assert "our reading" in (study.folder / "out" / "analysis.md").read_text()
    assert "<svg" in (study.folder / "out" / "analysis.html").read_text()


def test_votes_are_exported_and_imported_whole_or_not_at_all(
    study: Study, url: str, made: Path, tmp_path: Path
) -> None:
    judge(study, url, "ann")
    rows = [json.loads(line) for line in urllib.request.urlopen(url + "api/votes?rater=ann").read().splitlines()]
    assert len(rows) == 10
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "study.json").write_text((made / "study.json").read_text())
    other = Study(elsewhere)
    with pytest.raises(VivaceError, match="another study"):
        other.take([*rows, {**rows[0], "pair": "p0"}])
    with pytest.raises(VivaceError, match="no vote"):
        other.take([{"rater": "ann"}])
    assert not Study(elsewhere).votes
    assert other.take(rows) == (len(rows), 0)
    assert other.take(rows) == (0, len(rows))
    assert Study(elsewhere).votes == study.votes
    flipped = {axis: "left" if said != "left" else "right" for axis, said in rows[0]["answers"].items()}
    with pytest.raises(VivaceError, match="share a name"):
        other.take([{**rows[0], "answers": flipped}])
    assert analyse(Study(elsewhere)).to_json()["verdicts"] == analyse(study).to_json()["verdicts"]


def test_a_line_cut_off_by_a_crash_is_dropped(study: Study, url: str) -> None:
    judge(study, url, "ann")
    with (study.folder / "votes.jsonl").open("a") as file:
        file.write('{"rater": "be')
    assert Study(study.folder).votes == study.votes
    assert (study.folder / "votes.jsonl").read_bytes().endswith(b"}\n")


def test_three_systems_are_ranked(tmp_path: Path) -> None:
    systems = {name: write_clips(tmp_path / name, PROMPTS[:6], pitch=300, sound=False) for name in ("a", "b", "c")}
    design, notes = make_study(
        tmp_path / "s", systems, axes=AXES[:1], every_pair=True, raters=5, per_rater=18, control_share=0.05
    )
    assert notes == ["No clip has sound, so there are no degraded controls."]
    assert len(design.real) == 18
    study = Study(tmp_path / "s")
    pairs = {pair.id: pair for pair in study.design.pairs}
    rng = np.random.default_rng(5)
    better = {("a", "b"): 0.4, ("a", "c"): 0.7, ("b", "c"): 0.4}
    for number in range(5):
        for task in study.session(f"r{number}").tasks:
            pair = pairs[task.pair]
            left = pair.first_clip if task.left == "first" else pair.second_clip
            nets = {"look": better.get((pair.first, pair.second), 0.0)}
            study.vote(f"r{number}", pair.id, answers(study, pair, left, nets, rng), 1.0)
    found = analyse(study)
    assert [rank.system for rank in found.ranks] == ["a", "b", "c"]
    assert found.ranks[0].low > found.ranks[2].high
    assert all(rank.low <= rank.elo <= rank.high for rank in found.ranks)


def test_studies_that_cannot_be_are_refused(tmp_path: Path) -> None:
    one = write_clips(tmp_path / "one", ["x"], pitch=300)
    two = write_clips(tmp_path / "two", ["y"], pitch=300)
    (tmp_path / "empty").mkdir()
    with pytest.raises(VivaceError, match="two systems"):
        make_study(tmp_path / "s", {"one": one})
    with pytest.raises(VivaceError, match="same name"):
        make_study(tmp_path / "s", {"one": one, "two": two})
    with pytest.raises(VivaceError, match=r"no \.mp4"):
        make_study(tmp_path / "s", {"one": one, "two": tmp_path / "empty"})
    with pytest.raises(VivaceError, match="does not exist"):
        make_study(tmp_path / "s", {"one": one, "two": tmp_path / "nowhere"})
    with pytest.raises(VivaceError, match="not empty"):
        make_study(one, {"one": one, "two": one})
    with pytest.raises(VivaceError, match="no text for clip"):
        make_study(tmp_path / "s", {"one": one, "two": one}, prompts={"z": "?"})
    with pytest.raises(VivaceError, match="one axis"):
        make_study(tmp_path / "s", {"one": one, "two": one}, axes=())
    assert not (tmp_path / "s").exists()
    with pytest.raises(VivaceError, match="no study"):
        Study(tmp_path / "empty")


def test_a_majority_is_more_than_half() -> None:
    assert majority([1, 1, 0]) == 1
    assert majority([1, 0, -1]) is None
    assert majority([1, 1, 0, 0]) is None
    assert majority([-1]) == -1
    assert majority([]) is None


def test_plans_agree_with_the_published_sizes_and_grow_with_tests_and_likeness() -> None:
    alone = plan_study(0.15, tests=1, raters=1, per_rater=1)
    assert alone.votes == alone.votes_alone == alone.prompts == alone.people == 254
    more = plan_study(0.15, tests=6, raters=3, alike=0.3)
    assert more.votes > 1.6 * alone.votes
    assert more.prompts * 3 >= more.votes
    assert more.level == pytest.approx(0.05 / 6)
    with pytest.raises(VivaceError, match="planned"):
        plan_study(0.0)
    with pytest.raises(VivaceError, match="power"):
        plan_study(0.1, power=1.0)
