"""Stages that look at one clip, on small files made here with one thing wrong at a time."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.curation.appearance import Appearance
from vivace.curation.caption import parse
from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Stage, apply
from vivace.curation.stages.captions import Captions, CaptionSettings
from vivace.curation.stages.coherence import Coherence, CoherenceSettings, best_shift
from vivace.curation.stages.ingest import Ingest, IngestSettings
from vivace.curation.stages.labels import Labels, LabelSettings
from vivace.curation.stages.picture import Picture, PictureSettings
from vivace.curation.stages.sound import Sound, SoundSettings
from vivace.curation.stages.speech import sentences_of
from vivace.curation.stages.split import Seams, Split, SplitSettings, find_seams, shots
from vivace.curation.stages.subjects import assign, spans_of, vote
from vivace.media import Clip as Material
from vivace.media import read_clip, write_clip
from vivace.world.footage_faults import faulty_picture, faulty_sound

RATE, FPS, SIZE = 16000, 24, 96


def moving(count: int, seed: int = 0) -> np.ndarray:
    """A disc that goes up and down before a soft wall, uint8 [T, 96, 96, 3]; every seed has its own colours."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    dark, light, disc = rng.uniform(20, 90, 3), rng.uniform(120, 220, 3), rng.uniform(0, 255, 3)
    wall = dark + (light - dark) * ((down + right) / 2)[..., None]
    heights = 0.5 + 0.3 * np.sin(2 * np.pi * np.arange(count) / 30 + seed)
    inside = [(down - height) ** 2 + (right - 0.4) ** 2 < 0.03 for height in heights]
    return np.stack([np.where(where[..., None], disc, wall) for where in inside]).astype(np.uint8)


def textured(count: int) -> np.ndarray:
    """A soft pattern that drifts to the right, uint8 [T, 192, 192, 3]."""
    rng = np.random.default_rng(4)
    patches = np.kron(rng.uniform(40, 200, (12, 12, 3)), np.ones((16, 16, 1)))
    soft = np.mean([np.roll(patches, (a, b), axis=(0, 1)) for a in range(4) for b in range(4)], axis=0)
    return np.stack([np.roll(soft, n, axis=1) for n in range(count)]).astype(np.uint8)


def knocks(seconds: float, seed: int = 0) -> np.ndarray:
    """Decaying bursts over a faint floor, float32 [2, N]."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    out = 1e-4 * rng.standard_normal(len(times))
    for begin in np.arange(0.2, seconds - 0.2, 0.6):
        out += 0.5 * np.where(times >= begin, np.exp(-30 * (times - begin)), 0) * rng.standard_normal(len(times))
    return np.repeat(out.clip(-0.95, 0.95)[None].astype(np.float32), 2, axis=0)


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Clip]:
    folder = tmp_path_factory.mktemp("clips")

    def write(frames: np.ndarray, audio: np.ndarray | None, **columns: Any) -> Clip:
        path = folder / f"{len(list(folder.iterdir()))}.mp4"
        write_clip(path, Material(frames, Fraction(FPS), audio, RATE))
        return Clip.of_file(path, columns)

    return write


@pytest.fixture(scope="module")
def sound_clip(save: Callable[..., Clip]) -> Clip:
    return save(moving(60), knocks(2.5))


def test_no_two_decoded_clips_are_held(sound_clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    from vivace.curation import clip as module

    first = weakref.ref(sound_clip.part(0.0, 1.0).material())
    assert sound_clip.part(0.0, 1.0).material() is first()
    left: list[object] = []

    def reading(*asked: Any, **more: Any) -> Material:
        left.append(first())
        return read_clip(*asked, **more)

    monkeypatch.setattr(module, "read_clip", reading)
    sound_clip.part(1.0, 1.0).material()
    assert left == [None]


def reason(stage: Stage, clip: Clip) -> str:
    found = apply(stage, clip)
    return found.reason if isinstance(found, Rejected) else ""


# Ingest


def test_a_whole_file_is_taken_in(sound_clip: Clip) -> None:
    found = apply(Ingest(IngestSettings.model_validate({})), sound_clip)
    assert isinstance(found, Clip)
    assert (found["ingest.frames"], found["ingest.side"], found["ingest.fps"]) == (60, SIZE, 24.0)
    assert len(found["ingest.sha256"]) == 64


def test_what_is_no_whole_video_with_sound_is_rejected(
    sound_clip: Clip, save: Callable[..., Clip], tmp_path: Path
) -> None:
    stage = Ingest(IngestSettings.model_validate({}))
    content = Path(sound_clip.path).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "empty.mp4").touch()
    for name, wanted in (("cut", "truncated"), ("text", "unreadable"), ("empty", "unreadable"), ("none", "missing")):
        assert reason(stage, Clip.of_file(tmp_path / f"{name}.mp4")) == wanted
    assert reason(stage, Clip.of_file(tmp_path)) == "unreadable"
    silent = save(moving(30), None)
    assert reason(stage, silent) == "no_sound"
    assert reason(Ingest(IngestSettings.model_validate({"need_sound": False})), silent) == ""
    assert reason(stage, save(moving(12), knocks(0.5))) == "too_short"
    assert reason(stage, Clip.of_file(tmp_path / "x.mp4", {"input.problem": "link"})) == "link"


def test_a_file_that_changes_while_it_is_read_is_tried_again(
    sound_clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vivace.curation.stages import ingest

    path = tmp_path / "growing.mp4"
    shutil.copy(sound_clip.path, path)
    whole = ingest.scan

    def grow(name: Path, *more: Any) -> Any:
        found = whole(name, *more)
        with path.open("ab") as file:
            file.write(b"\0" * 8)
        return found

    monkeypatch.setattr(ingest, "scan", grow)
    with pytest.raises(ingest.FileChangedError, match="changed"):
        Ingest(IngestSettings.model_validate({})).measure(Clip.of_file(path))


# Split


def test_a_file_is_split_at_cuts_and_black(save: Callable[..., Clip]) -> None:
    black = np.zeros((24, SIZE, SIZE, 3), np.uint8)
    frames = np.concatenate([moving(60, 0), moving(72, 5), black, moving(60, 9), moving(24, 11)])
    clip = save(frames, knocks(10.0)).with_columns("ingest", fps=24.0, frames=len(frames))
    found = apply(Split(SplitSettings.model_validate({})), clip)
    assert isinstance(found, Clip)
    assert found["split.cuts"][0] == pytest.approx(2.5, abs=0.05)
    wanted = [(0.0, 2.5), (2.5, 5.5), (6.5, 9.0)]
    assert len(found["split.parts"]) == len(wanted)
    for (start, seconds), (first, last) in zip(found["split.parts"], wanted, strict=True):
        assert first <= start + 1e-6 < first + 0.2
        assert last - 0.2 < start + seconds <= last + 1e-6


def test_long_shots_become_equal_clips_and_short_ones_go() -> None:
    settings = SplitSettings(shortest=2.0, longest=5.0, margin=0)
    seams = Seams(480, (240, 264), (), (), ())
    assert shots(seams, 24.0, settings) == [(0, 120), (120, 240), (264, 372), (372, 480)]
    frozen = Seams(240, (), (), (), ((100, 190),))
    assert shots(frozen, 24.0, settings) == [(0, 100), (190, 240)]
    assert shots(Seams(240, (), (), (), ((100, 120),)), 24.0, settings) == [(0, 120), (120, 240)]


def test_stretches_find_what_the_whole_would(monkeypatch: pytest.MonkeyPatch) -> None:
    from vivace.curation.stages import split

    frames = np.concatenate([moving(70, n)[:, ::4, ::4] for n in range(5)])
    whole = find_seams(iter(frames), 24.0)
    monkeypatch.setattr(split, "STRETCH", 130)
    monkeypatch.setattr(split, "OVERLAP", 60)
    assert find_seams(iter(frames), 24.0) == whole
    assert whole.cuts == (70, 140, 210, 280)
    assert find_seams(iter(()), 24.0) == Seams(0, (), (), (), ())


# Picture and sound


def test_each_defect_of_pictures_is_named(save: Callable[..., Clip]) -> None:
    stage = Picture(PictureSettings.model_validate({}))
    frames, rng = moving(60), np.random.default_rng(0)
    assert reason(stage, save(frames, None)) == ""
    faults = ("letterboxed", "black", "frozen", "noisy", "blurred", "dark", "flat", "flickering")
    assert {fault: reason(stage, save(faulty_picture(rng, frames, fault), None)) for fault in faults} == {
        fault: fault for fault in faults
    }
    # Lettering, blocks and motion need more to be seen in than a disc before a wall.
    large, rng = textured(48), np.random.default_rng(0)
    assert reason(stage, save(large, None)) == ""
    faults = ("overlay", "blocky", "bright", "still", "hectic")
    assert {fault: reason(stage, save(faulty_picture(rng, large, fault), None)) for fault in faults} == {
        fault: fault for fault in faults
    }


def test_each_defect_of_sound_is_named(save: Callable[..., Clip]) -> None:
    stage = Sound(SoundSettings.model_validate({}))
    frames, audio, rng = moving(60), knocks(2.5), np.random.default_rng(0)
    assert reason(stage, save(frames, audio)) == ""
    faults = ("silent", "clipped", "hissing", "dull", "music")
    assert {fault: reason(stage, save(frames, faulty_sound(rng, audio, RATE, fault))) for fault in faults} == {
        fault: fault for fault in faults
    }
    # Every sample within full scale, and the wave between them far beyond it.
    between = np.tile([1, 1, -1, -1, 1, -1, -1, 1], 5000) * np.linspace(0.8, 1, 40000) * np.ones((2, 1))
    assert reason(stage, save(frames, between.astype(np.float32))) == "too_loud"
    assert reason(stage, save(frames, None)) == "no_sound"


# Coherence


@pytest.mark.parametrize("late", [-0.3, 0.0, 0.25])
def test_a_shift_is_found(late: float) -> None:
    begins = np.array([0.5, 1.1, 1.9, 2.6])
    seen, heard = np.zeros(96), np.zeros(800)
    seen[np.round(begins * 24).astype(int)] = 1
    heard[np.round((begins + late) * 200).astype(int)] = 1
    score, found = best_shift(seen, 24.0, heard, 200.0, 0.6)
    assert score > 0.8
    assert found == pytest.approx(late, abs=0.04)
    assert best_shift(seen, 24.0, np.zeros(800), 200.0, 0.6) == (0.0, 0.0)


def test_sound_that_is_not_of_the_picture_is_weak(save: Callable[..., Clip]) -> None:
    stage = Coherence(CoherenceSettings.model_validate({}))
    steady = 0.1 * np.random.default_rng(0).standard_normal((2, 40000))
    found = apply(stage, save(moving(60), steady.astype(np.float32)))
    assert isinstance(found, Clip)
    assert (found["coherence.kind"], found["coherence.shift"]) == ("weak", None)
    assert reason(stage, save(moving(30), None)) == "no_sound"


# Speech, captions, subjects, labels


def test_words_become_sentences() -> None:
    words = [
        {"word": word, "start": start, "end": start + 0.3, "confidence": 0.9}
        for word, start in (("good", 0.0), ("evening.", 0.4), ("how", 0.75), ("are", 1.1), ("you", 2.5))
    ]
    assert [sentence["text"] for sentence in sentences_of(words, 0.35)] == ["good evening.", "how are", "you"]


TWO = """Subjects:
[S1] a man with black hair in red on the left | voice: deep
[S2] a woman with blond hair in blue on the right | voice: clear
Visual: two people before a wall
Narration: [S1] says <W>one two</W>, then [S2] says <W>three</W>"""


def test_given_captions_are_read_put_right_or_rejected(sound_clip: Clip) -> None:
    stage = Captions(CaptionSettings.model_validate({}))

    def taken(text: str) -> Clip | Rejected:
        return apply(stage, Clip.of_file(Path(sound_clip.path), {"input.caption": text}))

    whole, mended, nava = taken(TWO), taken(f"```\n{TWO}\n```"), taken("A man says <S>one two<E>.")
    assert isinstance(whole, Clip)
    assert isinstance(mended, Clip)
    assert isinstance(nava, Clip)
    assert (whole["captions.state"], whole["captions.text"]) == ("whole", TWO)
    assert (mended["captions.state"], mended["captions.text"]) == ("repaired", TWO)
    assert parse(nava["captions.text"]).said[0].words == "one two"
    assert reason(stage, Clip.of_file(Path(sound_clip.path), {"input.caption": "<S>never closed"})) == "bad_caption"
    assert reason(stage, sound_clip) == "no_caption"


def test_speeches_find_their_times() -> None:
    caption = parse(TWO)
    words = [{"word": word, "start": n, "end": n + 0.5} for n, word in enumerate(("One", "too", "two,", "three"))]
    assert spans_of(caption, words, [], 0.5) == [(0, 2.5), (3, 3.5)]
    assert spans_of(caption, words[:3], [], 0.5) is None
    sentences = [{"start": 0.1, "end": 1.0}, {"start": 1.5, "end": 2.0}]
    assert spans_of(caption, [], sentences, 0.5) == [(0.1, 1.0), (1.5, 2.0)]
    assert spans_of(caption, [], sentences[:1], 0.5) is None


def seen(x: float, opening: list[float], hair: str, clothes: str) -> Appearance:
    from vivace.world.palette import COLOURS, HAIR_RGB

    head = np.zeros((12, 12, 3), np.float32)
    return Appearance(x, tuple(opening), tuple(map(float, HAIR_RGB[hair])), tuple(map(float, COLOURS[clothes])), head)  # type: ignore[arg-type]


def test_most_open_lips_have_the_sentence() -> None:
    talk = [0.0, 0.8, 0.1, 0.9] * 6
    left, right = seen(-0.5, talk + [0.0] * 24, "black", "red"), seen(0.5, [0.0] * 24 + talk, "blond", "blue")
    assert vote([left, right], (0.0, 1.0), 24.0, 0.12)[:2] == (0, 1.0)
    assert vote([left, right], (1.0, 2.0), 24.0, 0.12)[:2] == (1, 1.0)
    # Nobody's lips move: somebody unseen speaks, and nobody gets the sentence.
    assert vote([left, right], (0.0, 0.04), 24.0, 0.12)[1] == 0.0
    assert vote([left, right], (5.0, 6.0), 24.0, 0.12)[1] == 0.0


def test_tracks_are_matched_by_looks_with_a_lead() -> None:
    quiet = [0.0] * 24
    faces = [seen(-0.5, quiet, "blond", "blue"), seen(0.5, quiet, "black", "red")]
    caption = parse(TWO.replace(" on the left", "").replace(" on the right", ""))
    names, lead = assign(caption, faces, [0, 1])
    assert names == {0: "S2", 1: "S1"}
    assert lead is not None
    assert lead > 0.3
    alike = [seen(-0.5, quiet, "black", "red"), seen(0.5, quiet, "black", "red")]
    _, unsure = assign(caption, alike, [0, 1])
    assert unsure == pytest.approx(0.0, abs=1e-6)


def test_a_label_has_what_is_seen_and_what_is_heard() -> None:
    stage = Labels(LabelSettings.model_validate({}))

    def labelled(text: str) -> Clip:
        found = apply(stage, Clip("a", "a.mp4").with_columns("subjects", text=text))
        assert isinstance(found, Clip)
        return found

    dog = labelled("Visual: a meadow\nNarration: a dog runs, <I>it barks twice</I>, then growls")
    assert dog["labels.label"] == "Animals/pets/dog"
    assert {"dog: barks", "dog: growl"} <= set(dog["labels.events"])
    assert not dog["labels.speaking"]
    assert labelled(TWO)["labels.label"] == "Entertainment/people/speech"
    assert labelled(TWO)["labels.speaking"]
    assert labelled("Visual: qux\nNarration: foo")["labels.label"] == "Other/other/other"
