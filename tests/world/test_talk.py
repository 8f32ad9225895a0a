"""Laws of talking scenes: what is drawn, shown, heard and told agrees with the truth."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from vivace.timeline import Timeline
from vivace.world import (
    COLOURS,
    TALK_PROMPTS,
    WORDS,
    Scene,
    Truth,
    caption,
    caption_with_attributes,
    is_unseen_combination,
    render_audio,
    render_video,
    sample_scene,
    truth,
    voice_references,
)
from vivace.world.characters import draw_characters
from vivace.world.layout import View
from vivace.world.speech import SPEECH_RATE
from vivace.world.speech_splits import pair_split, voice_split

TALKS = ("talk", "talk with effect")
TIMELINE = Timeline(49)
SCENES = [
    sample_scene(seed, ("train", "val", "test")[seed % 3], kind=TALKS[seed % 2], seconds=(None, 6.0)[seed % 5 == 4])
    for seed in range(60)
]


@cache
def _told(seed: int) -> tuple[str, dict[str, object]]:
    return caption_with_attributes(SCENES[seed], np.random.default_rng(seed))


def _truth(scene: Scene) -> Truth:
    return truth(scene, Timeline.covering(scene.seconds), 128, 128)


@pytest.mark.parametrize("kind", TALKS)
def test_a_scene_survives_json_and_is_drawn_again(kind: str) -> None:
    scene = sample_scene(11, "val", kind=kind)
    assert Scene.from_json(scene.to_json()) == scene == sample_scene(11, "val", kind=kind)
    short = Timeline(9)
    assert np.array_equal(render_video(scene, short, 64, 64), render_video(scene, short, 64, 64))
    assert np.array_equal(render_audio(scene, short), render_audio(scene, short))


def test_lines_fit_and_never_overlap() -> None:
    for scene in SCENES:
        assert scene.talk is not None
        known = _truth(scene).talk
        assert known is not None
        assert 1 <= len(known.lines) <= 4
        assert len(known.lines) == len(scene.talk.lines)
        assert known.lines[0].start >= 0.1
        assert known.lines[-1].end <= scene.seconds - 0.1
        assert all(later.start - earlier.end >= 0.1 for earlier, later in pairwise(known.lines))
        for line in known.lines:
            assert 1 <= len(line.words) <= 3
            assert line.text == " ".join(word.word for word in line.words)
            assert (line.start, line.end) == (line.words[0].start, line.words[-1].end)
            assert (line.start, line.end) == (line.phones[0].start, line.phones[-1].end)


def test_two_in_the_picture_differ_and_have_their_own_sides() -> None:
    pairs = [scene.talk.characters for scene in SCENES if scene.talk and len(scene.talk.characters) == 2]
    assert pairs
    for left, right in pairs:
        assert left.x < -0.4 < 0.4 < right.x
        assert left.clothes != right.clothes
        assert left.hair != right.hair


def test_training_has_no_held_out_voice_or_pair() -> None:
    shares = {"train": [0, 0], "val": [0, 0], "test": [0, 0]}
    for seed in range(150):
        split = ("train", "val", "test")[seed % 3]
        talk = sample_scene(seed, split, kind="talk").talk
        assert talk is not None
        owners = {voice_split(character.voice) for character in talk.characters}
        pairs = {pair_split(*pair) for line in talk.lines for pair in pairwise(line.words)}
        assert owners <= {"train", split}
        assert pairs <= {"train", split}
        shares[split][0] += split in owners
        shares[split][1] += split in pairs
    assert min(shares["val"] + shares["test"]) > 5
    for seed in range(10):
        assert is_unseen_combination(sample_scene(seed, "test", kind="talk", unseen_combination=True))
        assert not is_unseen_combination(sample_scene(seed, "test", kind="talk", unseen_combination=False))


def test_mouths_of_the_truth_are_where_the_picture_moves() -> None:
    """In a clip with two, the mouth that moves most is the speaker's, and the silent one's is still."""
    found = 0
    for seed in range(40):
        scene = sample_scene(seed, "test", kind="talk")
        assert scene.talk is not None
        speakers = {line.speaker for line in scene.talk.lines}
        if len(scene.talk.characters) != 2 or len(speakers) != 1 or scene.camera.move != "still":
            continue
        known = truth(scene, TIMELINE, 128, 128).talk
        assert known is not None
        video = render_video(scene, TIMELINE, 128, 128).astype(float)
        dark = []
        for speaker in known.speakers:
            half = speaker.mouth_size * 128
            assert 2 * half >= 14
            values = []
            for frame, (x, y) in zip(video, speaker.mouth, strict=True):
                column, row = round(64 + 64 * x), round(64 + 64 * y)
                reach = round(half)
                values.append(frame[row - 3 : row + 7, column - reach : column + reach].mean(axis=(0, 1)))
            dark.append(np.array(values))
        (talker,) = speakers
        # A short word fills little of the clip: only while it is spoken.
        spoken = np.flatnonzero(np.array(known.speakers[talker].opening) > 0)
        dark = [values[spoken[0] : spoken[-1] + 1].std(axis=0).max() for values in dark]
        assert dark[talker] > 4 * dark[1 - talker]
        assert max(known.speakers[1 - talker].opening) == 0
        found += 1
    assert found >= 2


def test_lips_agree_with_the_sound() -> None:
    agreement = []
    for seed in range(12):
        scene = sample_scene(seed, "val", kind="talk")
        sound = render_audio(scene, TIMELINE).mean(axis=0)
        known = truth(scene, TIMELINE, 128, 128).talk
        assert known is not None
        opening = np.sum([speaker.opening for speaker in known.speakers], axis=0)
        envelope = np.sqrt(np.convolve(sound**2, np.hanning(1280) / 640, "same"))
        heard = np.interp(TIMELINE.frame_times(), np.arange(len(envelope)) / 16000, envelope)
        agreement.append(np.corrcoef(heard, opening)[0, 1])
        outside = np.ones(len(sound), dtype=bool)
        for line in known.lines:
            # What still echoes in the room lasts a little longer than the line.
            outside[round((line.start - 0.03) * 16000) : round((line.end + 0.1) * 16000)] = False
        assert np.abs(sound[outside]).max(initial=0.0) < 0.05 * np.abs(sound).max()
    assert np.mean(agreement) > 0.9


def test_the_voice_comes_from_the_speakers_side() -> None:
    for seed in range(40):
        scene = sample_scene(seed, kind="talk")
        known = truth(scene, TIMELINE, 64, 64).talk
        assert known is not None
        if len(known.speakers) == 2 and scene.camera.move == "still":
            left, right = np.sqrt((render_audio(scene, TIMELINE) ** 2).cumsum(axis=1))[
                :, [round(line.end * 16000) for line in known.lines]
            ]
            assert (left[0] > right[0]) == (known.speakers[known.lines[0].speaker].place == "left")


def test_a_picture_at_another_rate_or_size_shows_the_same() -> None:
    scene = sample_scene(2, kind="talk")
    slow, fast = render_video(scene, Timeline(25, 12), 64, 64), render_video(scene, Timeline(49, 24), 64, 64)
    assert np.array_equal(slow, fast[::2])
    large = render_video(scene, Timeline(5), 256, 256).reshape(5, 64, 4, 64, 4, 3).mean(axis=(2, 4))
    assert np.abs(large - fast[:5]).mean() < 4


def test_eyes_blink_and_heads_sway() -> None:
    scene = next(s for s in SCENES if s.kind == "talk" and s.talk and len(s.talk.characters) == 1)
    assert scene.talk is not None
    times = np.arange(0, 4, 1 / 24)
    frames = np.full((len(times), 96, 96, 3), 128, dtype=np.uint8)
    closed = [(np.zeros(len(times)), np.zeros(len(times)))]
    draw_characters(frames, scene.talk.characters, closed, times, [View(96, 96)] * len(times))
    assert len({frame.tobytes() for frame in frames}) > 48


def test_captions_have_balanced_spans_in_the_order_of_the_lines() -> None:
    for number, scene in enumerate(SCENES):
        text, stated = _told(number)
        assert scene.talk is not None
        spoken = re.findall(r"<S>(.*?)<E>", text)
        assert text.count("<S>") == text.count("<E>") == len(spoken)
        assert spoken == [" ".join(line.words) for line in scene.talk.lines]
        assert stated["spans"] == [
            {"words": words, "speaker": line.speaker} for words, line in zip(spoken, scene.talk.lines, strict=True)
        ]
        assert text.isascii()
        assert 12 <= len(text) <= 240
        assert "  " not in text


def test_captions_say_what_is_true_of_each_person() -> None:
    for number, scene in enumerate(SCENES):
        text, stated = _told(number)
        assert scene.talk is not None
        assert stated["kind"] == scene.kind
        assert stated["people"] == len(scene.talk.characters)
        spoken_of = {person["number"] for person in stated["persons"]}  # type: ignore[attr-defined]
        assert {line.speaker for line in scene.talk.lines} <= spoken_of
        for person in stated["persons"]:  # type: ignore[attr-defined]
            character = scene.talk.characters[person["number"]]
            for name, value in person.items():
                match name:
                    case "number":
                        continue
                    case "place":
                        assert value == ("left" if character.x < -0.4 else "right")
                    case "hair":
                        assert value == ("bald" if character.style == "bald" else character.hair)
                    case "voice":
                        assert (value == "deep") == (character.voice.pitch < 150)
                    case _:
                        assert getattr(character, name) == value
        # Outside of the spans no colour is named that is not stated.
        told = set(re.findall(r"[a-z]+", re.sub(r"<S>.*?<E>", "", text).lower()))
        known = {person.get("clothes") for person in stated["persons"]}  # type: ignore[attr-defined]
        known |= {person.get("hair") for person in stated["persons"]}  # type: ignore[attr-defined]
        known |= set(stated.get("colours", []))  # type: ignore[call-overload]
        assert told & set(COLOURS) <= known


def test_with_two_every_mention_tells_them_apart() -> None:
    for number, scene in enumerate(SCENES):
        text, stated = _told(number)
        assert scene.talk is not None
        if len(scene.talk.characters) == 2:
            for person in stated["persons"]:  # type: ignore[attr-defined]
                assert "place" in person or "clothes" in person, text


@pytest.mark.parametrize("kind", TALKS)
def test_many_paraphrases(kind: str) -> None:
    scene = sample_scene(3, kind=kind)
    texts = {caption(scene, np.random.default_rng(seed)) for seed in range(200)}
    assert len(texts) > 120


def test_references_are_the_same_voice_with_other_words() -> None:
    for seed in range(8):
        scene = sample_scene(seed, "test", kind="talk")
        assert scene.talk is not None
        references = voice_references(scene)
        assert len(references) == len(scene.talk.lines)
        for first, second in zip(references, voice_references(scene), strict=True):
            assert np.array_equal(first, second)
            assert first.dtype == np.float32
            assert SPEECH_RATE <= len(first) <= 3 * SPEECH_RATE
            assert 0.05 < np.abs(first).max() < 1
    assert voice_references(sample_scene(0)) == []


@pytest.mark.parametrize("split", ["val", "test"])
def test_handwritten_prompts_have_unseen_pairs_in_words_of_their_own(split: str) -> None:
    prompts = TALK_PROMPTS[split]
    assert len({text for text, _ in prompts}) == len(prompts) == {"val": 8, "test": 64}[split]
    vocabulary = {word for number in range(len(SCENES)) for word in re.findall(r"[a-z]+", _told(number)[0].lower())}
    for text, stated in prompts:
        spans = [span.split() for span in re.findall(r"<S>(.*?)<E>", text)]
        assert [" ".join(words) for words in spans] == [span["words"] for span in stated["spans"]]
        assert all(word in WORDS for words in spans for word in words)
        owners = {pair_split(*pair) for words in spans for pair in pairwise(words)}
        assert split in owners
        assert owners <= {"train", split}
        assert set(re.findall(r"[a-z]+", text.lower())) - vocabulary
        assert stated["kind"] in TALKS
        for colour in stated.get("colours", []):
            assert colour in text.lower()


def test_an_effect_beside_a_speaker_has_its_own_half() -> None:
    for scene in SCENES:
        if scene.kind == "talk with effect" and scene.talk is not None:
            (character,) = scene.talk.characters
            known = _truth(scene)
            assert known.events
            assert (scene.instrument is None) == bool(scene.balls)
            assert all(event.x * character.x < 0 for event in known.events)
