"""Clips with cuts: each shot is its own scene, in picture, sound and truth, from its cut to the next."""

import numpy as np
import pytest

from vivace.timeline import Timeline
from vivace.world import ALL_KINDS, KINDS, is_unseen_combination, render_audio, render_video, sample_scene, truth
from vivace.world.captions import caption_with_attributes
from vivace.world.scene import Scene
from vivace.world.shots import SHORTEST_SHOT, is_same_object, look_of
from vivace.world.splits import cut_is_held_out

TIMELINE = Timeline(frames=49)
SCENES = [sample_scene(seed, "val", kind="shots") for seed in range(40)]


def test_cuts_are_where_truth_says() -> None:
    for scene in SCENES[:6]:
        true = truth(scene, TIMELINE, 48, 48)
        video = render_video(scene, TIMELINE, 48, 48).astype(int)
        steps = np.abs(np.diff(video, axis=0)).mean(axis=(1, 2, 3))
        changed = set((np.argsort(steps)[-len(true.cuts) :] + 1).tolist())
        assert changed == {round(cut * 24) for cut in true.cuts}
        assert [shot.first_frame for shot in true.shots] == [0, *sorted(changed)]


def test_a_shot_is_its_scene_alone() -> None:
    for scene in SCENES[:6]:
        shot = scene.shots[0]
        end = scene.shots[1].start
        frames = round(end * 24)
        video = render_video(scene, TIMELINE, 32, 32)[:frames]
        assert np.array_equal(video, render_video(shot.scene, TIMELINE, 32, 32)[:frames])
        sound, alone = (render_audio(shown, TIMELINE).astype(float) for shown in (scene, shot.scene))
        before_fade = int((end - 0.013) * 16000)
        part = alone[:, :before_fade]
        scale = np.abs(sound[:, :before_fade]).max() / np.abs(part).max()
        assert np.abs(sound[:, :before_fade] - scale * part).max() < 1e-5


def test_events_are_shifted_and_sound_at_their_times() -> None:
    for scene in SCENES:
        true = truth(scene, TIMELINE, 64, 64)
        sound = np.abs(render_audio(scene, TIMELINE)).max(axis=0)
        assert true.times == sorted(true.times)
        assert len(true.shots) == len(true.cuts) + 1 in (2, 3)
        assert sum(len(shot.truth.events) for shot in true.shots) == len(true.events)
        for shot in true.shots:
            assert shot.end - shot.start >= SHORTEST_SHOT - 1 / 24
            assert shot.truth.events
            # The first sound of a shot is its first event: what rang before was cut off.
            first = shot.truth.events[0].time
            assert shot.start < first < shot.end
            assert not sound[int(np.ceil(shot.start * 16000)) : int(first * 16000)].any()
            assert sound[int(first * 16000) : int(first * 16000) + 160].max() > 0.01
        for event in true.events:
            thing = true.objects[event.object]
            frame = round(event.time * 24) - thing.first_frame
            assert 0 <= frame <= len(thing.path)


def test_paths_cover_the_frames_of_their_shot() -> None:
    for scene in SCENES[:10]:
        true = truth(scene, TIMELINE, 64, 64)
        for shot in true.shots:
            frames = round(shot.end * 24) - shot.first_frame
            assert {len(thing.path) for thing in shot.truth.objects} == {frames}


def test_the_same_object_is_the_same_in_both_shots() -> None:
    again = 0
    for scene in SCENES:
        true = truth(scene, TIMELINE, 32, 32)
        for first, second, shot in zip(scene.shots, scene.shots[1:], true.shots[1:], strict=False):
            assert shot.same_object == is_same_object(first.scene, second.scene)
            assert shot.same_object == (look_of(first.scene) == look_of(second.scene))
            assert first.scene.stage.floor != second.scene.stage.floor
            again += shot.same_object
    assert again > 8


def test_training_never_shows_held_out_cuts() -> None:
    for seed in range(60):
        scene = sample_scene(seed, "train", kind="shots")
        assert not is_unseen_combination(scene)
        for first, second in zip(scene.shots, scene.shots[1:], strict=False):
            assert not cut_is_held_out(first.scene.kind, second.scene.kind)
    table = np.array([[cut_is_held_out(first, second) for second in KINDS] for first in KINDS])
    assert table.mean() == pytest.approx(0.2)
    assert not table.diagonal().any()


def test_json_round_trip() -> None:
    for scene in SCENES:
        assert Scene.from_json(scene.to_json()) == scene


def test_captions_tell_every_shot_in_order() -> None:
    texts = set()
    for seed in range(240):
        scene = SCENES[seed % len(SCENES)]
        text, stated = caption_with_attributes(scene, np.random.default_rng(seed))
        texts.add(text.lower())
        assert len(text) <= 180
        assert stated["cuts"] == len(scene.shots) - 1
        for number, (told, shot) in enumerate(zip(stated["shots"], scene.shots, strict=True)):
            assert told["kind"] == shot.scene.kind
            if "count" in told and shot.scene.instrument:
                assert told["count"] == len(shot.scene.strokes)
            if "same_object" in told:
                assert is_same_object(scene.shots[number - 1].scene, shot.scene)
        places = [text.lower().find(name) for name in _names(scene)]
        known = [place for place in places if place >= 0]
        assert known == sorted(known)
    assert len(texts) > 230


def _names(scene: Scene) -> list[str]:
    """Words that stand for the shots' things, where they differ from one another."""
    names = {"impacts": "ball", "drum": "drum", "bell": "bell", "woodblock": "block", "xylophone": "xylophone"}
    told = [names[shot.scene.kind] for shot in scene.shots]
    return told if len(set(told)) == len(told) else []


def test_new_kinds_come_only_when_asked_for() -> None:
    assert set(KINDS) < set(ALL_KINDS)
    assert {sample_scene(seed).kind for seed in range(60)} <= set(KINDS)
