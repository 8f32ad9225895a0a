"""Silent scenes: exact zeros, pictures as ever, captions that say so and name no sound."""

import re

import numpy as np

from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene, truth
from vivace.world.captions import caption_with_attributes
from vivace.world.scene import Scene
from vivace.world.silence import content, is_at_rest

SCENES = [sample_scene(seed, "test", kind="silent") for seed in range(80)]
SILENT = r"silen|without|no sound|nothing|muted|sound off"
SOUNDING = r"\b(hear|heard|rings?|knocks?|clangs?|booms?|thuds?|thumps?|chimes?|dings?|ding|dong|clinks?|sounds)\b"


def test_every_sort_occurs_and_none_sounds() -> None:
    timeline = Timeline(frames=5)
    shown = set()
    for scene in SCENES:
        shown.add((content(scene), content(scene) != "view" and is_at_rest(scene)))
        assert not render_audio(scene, timeline).any()
        assert truth(scene, timeline, 64, 64).silent
        assert Scene.from_json(scene.to_json()) == scene
    assert {what for what, _ in shown} == {"view", "impacts", "drum", "bell", "woodblock", "xylophone"}
    assert {rest for _, rest in shown} == {True, False}


def test_things_at_rest_do_not_move_and_others_do() -> None:
    timeline = Timeline(frames=25)
    for scene in SCENES[:24]:
        if content(scene) == "view" or scene.camera.move != "still":
            continue
        video = render_video(scene, timeline, 48, 48).astype(int)
        true = truth(scene, timeline, 48, 48)
        if is_at_rest(scene):
            assert np.abs(np.diff(video, axis=0)).max() == 0
            assert true.events == ()
        else:
            assert np.abs(np.diff(video, axis=0)).max() > 10
            assert true.objects


def test_what_acts_is_seen_to_hit_at_the_times_of_the_truth() -> None:
    acting = [s for s in SCENES if content(s) == "impacts" and not is_at_rest(s)]
    assert acting
    for scene in acting:
        assert truth(scene, Timeline(frames=49), 64, 64).times


def test_captions_say_so_and_name_no_sound() -> None:
    texts = set()
    for seed in range(320):
        scene = SCENES[seed % len(SCENES)]
        text, stated = caption_with_attributes(scene, np.random.default_rng(seed))
        texts.add(text.lower())
        assert stated["silent"] is True
        assert stated["shows"] == content(scene)
        assert re.search(SILENT, text.lower()), text
        told = re.sub(r"(and|but) nothing (is|can be) heard", "", text.lower())
        assert not re.search(SOUNDING, told), text
        if stated.get("still"):
            assert is_at_rest(scene)
    assert len(texts) > 240
