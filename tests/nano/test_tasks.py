"""What the shipped models make of what they are given: that stands as it was, and the rest goes with it.

A small model is not right every time, so that what each makes is judged over several held-out clips, beside the same
clips in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.nano.conftest import Shipped

from vivace.conditioning.voices import Recording
from vivace.evaluation.copy_paste import copy_paste_metrics, reference_items, with_one_face
from vivace.evaluation.fidelity import psnr
from vivace.evaluation.groups import group_items
from vivace.evaluation.matching import match_times
from vivace.evaluation.metric import Sample
from vivace.evaluation.prompts import WorldItem, world_items
from vivace.evaluation.tasks import REFERENCE_RATE, given, half
from vivace.evaluation.words import word_errors
from vivace.media import Clip
from vivace.perception.percept import perceive
from vivace.perception.pitch import track_pitch
from vivace.perception.words import hear_words
from vivace.pipelines.capabilities import TaskName
from vivace.world import voice_references

pytestmark = pytest.mark.nano

STEPS = 10
REACH = 0.075  # seconds between an impact and its sound


def learned(pipeline: Shipped, task: TaskName) -> None:
    """Skips a test of what a model has not learned."""
    if task not in pipeline.abilities.tasks:
        pytest.skip(f"{pipeline.abilities.name} has not learned {task} yet")


def speaks(pipeline: Shipped) -> None:
    """Skips a test of speech where a model has none."""
    if "says" not in pipeline.abilities.vocabulary:
        pytest.skip(f"{pipeline.abilities.name} has not learned to speak yet")


@pytest.fixture(scope="module")
def items() -> list[WorldItem]:
    """Held-out scenes of balls and instruments."""
    return world_items("val", 12, hand=False, camera=False)


@pytest.fixture(scope="module")
def talks() -> list[WorldItem]:
    """Held-out scenes in which one person says something."""
    drawn = group_items("val", ["talk-seen"], 24)
    return [item for item in drawn if len(item.expected["spans"]) == 1][:10]


def made_for(pipeline: Shipped, items: Sequence[WorldItem], task: TaskName) -> tuple[list[Clip], dict[str, Any]]:
    """The clips of a task, and what each was given."""
    parts = [given(item, task) for item in items]
    together = {name: [part[name] for part in parts] for name in parts[0]}
    seeds = [item.seed for item in items]
    return clips(pipeline([item.prompt for item in items], seed=seeds, num_inference_steps=STEPS, **together)), together


def clips(made: Any) -> list[Clip]:
    pairs = zip(np.asarray(made.frames), np.asarray(made.audio), strict=True)
    return [Clip(frames, made.fps, audio, made.audio_sample_rate) for frames, audio in pairs]


def together_and_apart(found: Sequence[Clip]) -> tuple[float, float]:
    """AV event F1 of clips, and of their pictures with the sound of the next one."""
    percepts = [perceive(clip) for clip in found]
    seen = [[impact.time for impact in each.video.impacts] for each in percepts if each.video is not None]
    heard = [[onset.time for onset in each.audio.onsets] for each in percepts if each.audio is not None]
    count = sum(map(len, seen)) + sum(map(len, heard))

    def f1(sounds: Sequence[Sequence[float]]) -> float:
        return 2 * sum(len(match_times(*pair, REACH)) for pair in zip(seen, sounds, strict=True)) / max(count, 1)

    return f1(heard), f1([*heard[1:], heard[0]])


def test_picture_and_sound_made_from_text_fit_each_other(pipeline: Shipped, items: list[WorldItem]) -> None:
    own, other = together_and_apart(made_for(pipeline, items[:8], "t2av")[0])
    assert own > 0.4
    assert own > 1.5 * other


def test_pictures_are_made_for_a_sound(pipeline: Shipped, items: list[WorldItem]) -> None:
    learned(pipeline, "a2v")
    found, parts = made_for(pipeline, items, "a2v")
    for clip, own in zip(found, parts["audio"], strict=True):
        assert clip.audio is not None
        length = min(clip.audio.shape[1], own.audio.shape[1])
        np.testing.assert_allclose(clip.audio[:, :length], own.audio[:, :length], atol=1e-4)
    own, other = together_and_apart(found)
    assert own > 1.3 * other


def test_a_sound_is_made_for_pictures(pipeline: Shipped, items: list[WorldItem]) -> None:
    learned(pipeline, "v2a")
    found, parts = made_for(pipeline, items, "v2a")
    for clip, own in zip(found, parts["video"], strict=True):
        np.testing.assert_array_equal(clip.frames, own.frames)
    own, other = together_and_apart(found)
    assert own > 1.3 * other


def test_a_clip_begins_with_the_given_picture_and_goes_on_from_it(pipeline: Shipped, items: list[WorldItem]) -> None:
    learned(pipeline, "ti2av")
    found, parts = made_for(pipeline, items[:6], "ti2av")
    nearer = []
    for number, (clip, picture) in enumerate(zip(found, parts["image"], strict=True)):
        assert clip.frames is not None
        np.testing.assert_array_equal(clip.frames[0], picture)
        others = [error(clip.frames[4], each) for k, each in enumerate(parts["image"]) if k != number]
        nearer.append(error(clip.frames[4], picture) < min(others))
    assert all(nearer)


@pytest.mark.parametrize("pipeline", ["nano-nava"], indirect=True)
def test_the_published_procedure_takes_the_picture_through_the_codec_and_the_default_holds_it(
    pipeline: Shipped, items: list[WorldItem]
) -> None:
    picture = given(items[0], "ti2av")["image"]
    firsts = {
        preset: pipeline(
            items[0].prompt, image=picture, preset=preset, seed=1, num_inference_steps=8, seconds=0.5
        ).frames[0, 0]
        for preset in ("default", "official")
    }
    np.testing.assert_array_equal(firsts["default"], picture)
    assert 15 < psnr(error(firsts["official"], picture)) < 60


def test_a_clip_goes_on_where_the_given_one_ends(pipeline: Shipped, items: list[WorldItem]) -> None:
    learned(pipeline, "extend")
    found, parts = made_for(pipeline, items[:6], "extend")
    moves, sounds = 0, 0
    for item, clip, begun in zip(items, found, parts["extend"], strict=False):
        count = half(item)
        assert clip.frames is not None
        assert clip.audio is not None
        assert len(clip.frames) > count
        np.testing.assert_array_equal(clip.frames[:count], begun.frames)
        # Only what moves may differ from one picture to the next.
        assert psnr(error(clip.frames[count], begun.frames[-1])) > 20
        added, start = clip.frames[count:], round(count / float(clip.fps) * clip.sample_rate)
        moves += float((np.ptp(added, axis=0).max(axis=-1) > 64).mean()) > 0.03
        sounds += float(np.abs(clip.audio[:, start:]).max()) > 0.05
    # In a frozen picture nothing changes by a quarter of the scale. What was given may have been all that happens.
    assert moves >= 4
    assert sounds >= 4


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one.astype(np.float32) - other) ** 2).mean())


def test_what_is_written_is_said(pipeline: Shipped, talks: list[WorldItem]) -> None:
    speaks(pipeline)
    asked = [item.expected["spans"][0]["words"].split() for item in talks]
    made = pipeline([item.prompt for item in talks], seed=[item.seed for item in talks], num_inference_steps=STEPS)
    heard = [
        [word.word for word in hear_words(clip.audio, clip.sample_rate)]
        for clip in clips(made)
        if clip.audio is not None
    ]
    own = sum(word_errors(*pair) for pair in zip(asked, heard, strict=True))
    other = sum(word_errors(*pair) for pair in zip([*asked[1:], asked[0]], heard, strict=True))
    assert own < 0.7 * other


def test_a_voice_is_taken_on(pipeline: Shipped, talks: list[WorldItem]) -> None:
    """The same words and noise, a low voice and a high one."""
    speaks(pipeline)
    voices = [voice_references(item.scene)[0] for item in talks if item.scene is not None]
    by_pitch = sorted(voices, key=lambda sound: fundamental(sound[None], REFERENCE_RATE))
    low, high = (Recording(by_pitch[k].astype(np.float32), REFERENCE_RATE, "voice") for k in (0, -1))
    prompts = ["a person says <S>two blue<E>", "a person says <S>hello<E>"]
    found = []
    for voice in (low, high):
        made = pipeline(prompts, seed=[1, 2], num_inference_steps=STEPS, modalities="audio", voices=[voice])
        found.append(np.median([fundamental(sound, made.audio_sample_rate) for sound in np.asarray(made.audio)]))
    assert found[1] > 1.2 * found[0]


def fundamental(sound: np.ndarray, rate: int) -> float:
    """The median pitch of what is voiced, Hz."""
    return float(np.nanmedian(track_pitch(sound, rate).hz))


def test_silence_is_kept(pipeline: Shipped) -> None:
    speaks(pipeline)
    silent = group_items("val", ["silence"], 4)
    made = pipeline([item.prompt for item in silent], seed=[1, 2, 3, 4], num_inference_steps=STEPS)
    loudest = [float(np.abs(clip.audio).max()) for clip in clips(made) if clip.audio is not None]
    assert np.median(loudest) < 0.05


def test_given_things_of_other_sizes_and_rates(pipeline: Shipped, items: list[WorldItem]) -> None:
    """A sound of another rate with one channel, and a picture of another shape."""
    learned(pipeline, "a2v")
    sound = given(items[0], "a2v")["audio"]
    coarse = replace(sound, audio=sound.audio[:1, ::2], sample_rate=sound.sample_rate // 2)
    made = pipeline(items[0].prompt, seed=1, num_inference_steps=2, audio=coarse)
    assert made.audio is not None
    assert np.asarray(made.audio[0]).shape[0] == 2
    wide = np.repeat(given(items[0], "ti2av")["image"], 2, axis=1)
    made = pipeline(items[0].prompt, seed=1, num_inference_steps=2, image=wide, height=96, width=160)
    assert made.frames is not None
    assert made.frames.shape[2:4] == (96, 160)


def test_who_is_seen_takes_after_the_reference(pipeline):
    """More like whom it shows than like others, and more than the clip that the same seed gives without it."""
    if not getattr(pipeline.abilities, "most_references", 0):
        pytest.skip(f"{pipeline.abilities.name} takes no references")
    items = with_one_face(reference_items("val", 8))
    kept = {}
    for name, references in (("shown", [[item.picture()] for item in items]), ("not shown", None)):
        seeds = [item.seed for item in items]
        prompts = [item.prompt for item in items]
        made = clips(pipeline(prompts, references=references, seed=seeds, num_inference_steps=STEPS, seconds=1.0))
        metric = next(metric for metric in copy_paste_metrics() if metric.name == "kept_identity")
        for item, clip in zip(items, made, strict=True):
            metric.update(Sample(item.id, clip, item.prompt, refs=item.refs()))
        kept[name] = metric.compute().value
    assert kept["shown"] > 0.1
    assert kept["shown"] > kept["not shown"] + 0.1
