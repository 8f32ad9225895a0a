"""Who says what: in crowds, with three speakers, and where the input states words that no recogniser knows."""

from __future__ import annotations

import itertools
import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vivace.curation.appearance import Appearance
from vivace.curation.caption import Caption, Subject, Text, parse
from vivace.curation.clip import Clip, Rejected
from vivace.curation.sources import InputSettings, clips_of
from vivace.curation.stage import Stage, apply
from vivace.curation.stages import subjects
from vivace.curation.stages.captions import Captions, CaptionSettings
from vivace.curation.stages.speech import Speech, SpeechSettings
from vivace.curation.stages.subjects import Subjects, SubjectSettings, assign, best_choice
from vivace.curation.stated_speech import stated_sentences
from vivace.media import Clip as Material
from vivace.media import write_clip
from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene
from vivace.world.palette import COLOURS, HAIR_RGB
from vivace.world.scene import Scene
from vivace.world.talk_truth import TalkTruth, talk_truth


def face(x: float, opening: list[float], hair: str = "black", clothes: str = "red") -> Appearance:
    head = np.zeros((12, 12, 3), np.float32)
    return Appearance(x, tuple(opening), tuple(map(float, HAIR_RGB[hair])), tuple(map(float, COLOURS[clothes])), head)  # type: ignore[arg-type]


def crowd(count: int) -> tuple[Caption, list[Appearance]]:
    """As many subjects as faces, the last described first; no two look the same."""
    looks = list(itertools.product(HAIR_RGB, COLOURS))[:: len(HAIR_RGB) * len(COLOURS) // count][:count]
    faces = [face(2 * n / count - 1, [0.0], *look) for n, look in enumerate(looks)]
    described = [f"a person with {hair} hair, in {clothes}" for hair, clothes in reversed(looks)]
    names = [Subject(f"S{n + 1}", words) for n, words in enumerate(described)]
    return Caption(tuple(names), "a square", (Text("they stand"),)), faces


def by_trying_all(scores: np.ndarray, speaking: int) -> tuple[float, float]:
    """The best mean, and that of the best which gives one of the first `speaking` rows another column."""
    rows, columns = scores.shape
    choices = list(
        itertools.permutations(range(columns), rows)
        if columns >= rows
        else itertools.product(range(columns), repeat=rows)
    )
    means = {choice: float(np.mean([scores[row, column] for row, column in enumerate(choice)])) for choice in choices}
    best = max(means, key=lambda choice: means[choice])
    return means[best], max(mean for choice, mean in means.items() if choice[:speaking] != best[:speaking])


@pytest.mark.parametrize(("faces", "described", "speaking"), [(3, 3, 3), (2, 4, 1), (4, 4, 2), (3, 2, 3), (1, 3, 1)])
def test_the_best_two_assignments_are_those_of_trying_all(
    faces: int, described: int, speaking: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(faces * 10 + described)
    for _ in range(20):
        scores = rng.random((faces, described))
        monkeypatch.setattr(
            subjects, "likeness", lambda seen, looks, scores=scores: float(scores[round(seen.x), int(looks)])
        )
        caption = Caption(tuple(Subject(f"S{n}", str(n)) for n in range(described)), "x", ())
        names, lead = assign(caption, [face(n, [0.0]) for n in range(faces)], list(range(speaking)))
        best, second = by_trying_all(scores, speaking)
        assert np.mean([scores[track, int(name[1:])] for track, name in names.items()]) == pytest.approx(best)
        assert lead == pytest.approx(best - second)
    assert best_choice(np.array([[-np.inf]]))[0] == -np.inf


def test_a_crowd_takes_no_time() -> None:
    caption, faces = crowd(12)
    began = time.process_time()
    names, lead = assign(caption, faces, [3, 7])
    assert time.process_time() - began < 1.0
    assert names == {n: f"S{12 - n}" for n in range(12)}
    assert lead is not None
    assert lead > 0


def test_silent_faces_that_are_alike_leave_the_speaker_sure() -> None:
    faces = [face(-0.5, [1.0], "blond", "blue"), face(0.0, [0.0]), face(0.5, [0.0])]
    looks = ("a man with black hair in red", "a woman with blond hair in blue", "another man with black hair in red")
    caption = Caption(tuple(Subject(f"S{n + 1}", words) for n, words in enumerate(looks)), "x", ())
    names, lead = assign(caption, faces, [0])
    assert names[0] == "S2"
    assert lead is not None
    assert lead > 0.2
    assert assign(caption, faces, [0, 1])[1] == pytest.approx(0.0, abs=1e-9)


THREE = """Subjects:
[S1] a man with black hair in red
[S2] a woman with blond hair in blue
[S3] a man with white hair in green
Visual: three people before a wall
Narration: [S1] says <W>one two</W>, [S2] answers <W>three</W>, then [S3] says <W>go on</W> and <W>stop</W>"""


def test_three_speakers_get_their_own_sentences(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The caption has them in a wrong order; the lips say green, red, blue, green."""
    talk, rest = [0.0, 0.8, 0.1, 0.9] * 6, [0.0] * 24
    seen = [
        face(-0.6, rest + rest + talk + rest, "blond", "blue"),
        face(0.0, talk + rest + rest + talk, "white", "green"),
        # A picture in which another mouth opens too does not outvote the rest of the sentence.
        face(0.6, [0.9, *rest[1:], *talk, *rest, *rest], "black", "red"),
    ]
    monkeypatch.setattr(subjects, "appearances", lambda frames: seen)
    clip = (
        drawn(tmp_path)
        .with_columns("captions", text=THREE)
        .with_columns(
            "speech",
            words=[
                {"word": word, "start": start, "end": start + 0.4}
                for word, start in (("one", 0.0), ("two", 0.5), ("three", 1.2), ("go", 2.0), ("on", 2.5), ("stop", 3.1))
            ],
            sentences=[],
        )
    )
    found = apply(Subjects(SubjectSettings.model_validate({})), clip)
    assert isinstance(found, Clip)
    assert found["subjects.tracks"] == [1, 2, 0, 1]
    assert found["subjects.speakers"] == ["S3", "S1", "S2", "S3"]
    assert found["subjects.changed"] == 3
    assert parse(found["subjects.text"]).speakers() == ["S3", "S1", "S2", "S3"]
    assert [said.words for said in parse(found["subjects.text"]).said] == ["one two", "three", "go on", "stop"]


def drawn(folder: Path) -> Clip:
    write_clip(folder / "a.mp4", Material(np.full((96, 32, 32, 3), 90, np.uint8), Fraction(24), None, 16000))
    return Clip.of_file(folder / "a.mp4")


def test_stated_words_need_no_recogniser_that_knows_them(tmp_path: Path) -> None:
    """Rows of NAVA's form, in a language that the shipped recogniser has never heard."""
    scene, timeline, truth = two_people_in_turn()
    write_clip(
        tmp_path / "a.mp4",
        Material(render_video(scene, timeline, 128, 128), Fraction(24), render_audio(scene, timeline), 16000),
    )
    spoken = ("Guten Abend", "Wie geht es Ihnen", "我很好")[: len(truth.lines)]
    looks = [f"{speaker.character.person} on the {speaker.place}" for speaker in truth.speakers]
    # Every line is given to the other one of the two.
    turns = ", ".join(
        f"[S{2 - line.speaker}] says <S>{words}<E>" for line, words in zip(truth.lines, spoken, strict=True)
    )
    caption = f"Subjects: [S1] {looks[0]}; [S2] {looks[1]} Visual: two people Narration: {turns}"
    times = [[round(line.start, 3), round(line.end, 3)] for line in truth.lines]

    def taken(speech: list[list[float]]) -> Clip | Rejected:
        row = {
            "video_info": [{"data_path": "a.mp4"}],
            "text_list": [
                {"text": caption, "speech_start": [a for a, _ in speech], "speech_end": [b for _, b in speech]}
            ],
        }
        (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
        (clip,) = clips_of(InputSettings(manifest=tmp_path / "rows.jsonl"))
        assert "input.problem" not in clip.columns
        return through(clip)

    found = taken(times)
    assert isinstance(found, Clip)
    assert [sentence["text"] for sentence in found["speech.sentences"]] == list(spoken)
    assert found["speech.words"] == []
    assert np.allclose(found["subjects.spans"], times)
    assert found["subjects.speakers"] == [f"S{line.speaker + 1}" for line in truth.lines]
    assert found["subjects.changed"] == len(truth.lines)
    # Without the row's times the words are those that the recogniser makes of it, which are others.
    untimed = through(Clip.of_file(tmp_path / "a.mp4", {"input.caption": caption}))
    assert isinstance(untimed, Rejected)
    assert untimed.reason in ("unsure_words", "other_words")
    # The last speech lies beyond the clip, so that the caption tells of words that are not there.
    beyond = taken([*times[:-1], [60.0, 61.0]])
    assert isinstance(beyond, Rejected)
    assert beyond.reason == "other_words"


def test_stated_times_are_those_of_the_part() -> None:
    whole = Clip("a", "a.mp4", columns={"input.caption": "<S>one<E> <S>two<E> <S>three<E>"}).with_columns(
        "input", speech=[[0.5, 1.0], [2.0, 3.0], [3.5, 4.5]]
    )
    second = {"start": pytest.approx(0.0), "end": pytest.approx(0.95), "text": "two"}
    assert stated_sentences(whole.part(2.05, 2.0), 2.0) == [second]  # its first frames were left out beside a cut
    assert stated_sentences(whole.part(5.0, 2.0), 2.0) == []
    assert [s["text"] for s in stated_sentences(whole, 5.0) or []] == ["one", "two", "three"]
    assert stated_sentences(Clip("a", "a.mp4"), 5.0) is None
    untold = Clip("a", "a.mp4", columns={"input.speech": [[0.5, 1.0]]})
    assert stated_sentences(untold, 5.0) == [{"start": 0.5, "end": 1.0, "text": None}]


def through(clip: Clip) -> Clip | Rejected:
    found: Clip | Rejected = clip
    stages: list[Stage] = [
        Speech(SpeechSettings.model_validate({})),
        Captions(CaptionSettings.model_validate({})),
        Subjects(SubjectSettings.model_validate({})),
    ]
    for stage in stages:
        if isinstance(found, Clip):
            found = apply(stage, found)
    return found


def two_people_in_turn() -> tuple[Scene, Timeline, TalkTruth]:
    """The first of the world's talks in which both say something, in two or three lines."""
    timeline = Timeline(frames=97)
    for seed in range(100):
        scene = sample_scene(seed, "val", kind="talk")
        assert scene.talk is not None
        truth = talk_truth(scene, scene.talk, timeline.frame_times(), float(timeline.seconds), 128, 128)
        if len(truth.lines) in (2, 3) and len({line.speaker for line in truth.lines}) == 2:
            return scene, timeline, truth
    raise AssertionError("no such talk")
