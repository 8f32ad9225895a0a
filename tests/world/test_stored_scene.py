"""Scenes out of JSON that was changed: refused in one sentence, or good for everything that is made of a scene."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from vivace.cli.world import app
from vivace.errors import VivaceError
from vivace.media import Clip, write_clip
from vivace.timeline import Timeline
from vivace.world import Scene, caption_with_attributes, render_audio, render_video, sample_scene, truth
from vivace.world.scene import ALL_KINDS

NASTY: list[Any] = [
    *(None, True, "x", "pink", "", [], {}, [1], {"a": 1}, -1, 0, 1, 2, 7, 0.5, 1.5, -0.25, 99, 10**6, 10**30, 1e300),
    *(float("nan"), float("inf"), -(10**30), "drum", "talk", "shots", "1", "0.5", "\ud800", "9" * 300),
]
TIMELINE = Timeline(frames=9)


def plain(kind: str, seed: int = 3) -> dict[str, Any]:
    """A scene's JSON, to be changed."""
    found: dict[str, Any] = json.loads(sample_scene(seed, "test", kind=kind).to_json())
    return found


def refusal(fields: Any) -> str:
    with pytest.raises(VivaceError) as caught:
        Scene.from_json(json.dumps(fields))
    _one_sentence(caught.value)
    return str(caught.value)


def _one_sentence(error: VivaceError) -> None:
    told = str(error)
    assert told.startswith("the scene")
    assert told.endswith("; render the clip again.")
    assert "\n" not in told
    assert len(told) < 700


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_scenes_of_every_kind_come_back_letter_by_letter(kind: str) -> None:
    for seed in range(12):
        for split in ("train", "test"):
            text = sample_scene(seed, split, kind=kind).to_json()
            assert Scene.from_json(text).to_json() == text


@pytest.mark.parametrize(
    ("kind", "place", "value", "complaint"),
    [
        ("impacts", "seconds", "x", "scene's seconds is 'x' and must be a number"),
        ("impacts", "seconds", 1e9, "must be from 0.01 to 60"),
        ("impacts", "balls.0.colour", "pink", "scene's balls.0.colour is 'pink' and must be one of red, green"),
        ("impacts", "balls.0.restitution", 1.0, "must be from 0 to 0.95"),
        ("impacts", "balls", [], "'impacts' is to have a ball"),
        ("impacts", "balls", {}, "balls is an object and must be a list"),
        ("impacts", "kind", "piano", "kind is 'piano' and must be one of impacts, drum"),
        ("impacts", "kind", "drum", "'drum' is to have an instrument of that kind"),
        ("impacts", "stage", None, "stage is None and must be an object"),
        ("impacts", "stage.wall", ["red"], "stage.wall is a list and must be a text"),
        ("drum", "instrument", None, "'drum' is to have an instrument of that kind"),
        ("drum", "instrument.size", True, "instrument.size is True and must be a number"),
        ("drum", "strokes.0.bar", 3, "to have strokes on what it shows"),
        ("xylophone", "instrument.bars", 1, "to have strokes on what it shows"),
        ("ambience", "landscape", None, "to have a landscape"),
        ("vehicle", "vehicle", None, "to have a vehicle"),
        ("vehicle", "vehicle.direction", 0, "must be one of -1, 1"),
        ("talk", "talk.lines.0.speaker", 5, "to have lines of its characters"),
        ("talk", "talk.lines.0.words.0", "gesundheit", "talk.lines.0.words.0 is 'gesundheit'"),
        ("talk", "talk.characters.0.voice.pitch", float("nan"), "voice.pitch is nan and must be a number"),
        ("shots", "shots.0.start", 0.5, "to have shots of plain kinds, one after another from 0 on"),
        ("shots", "shots", [], "to have shots"),
        ("silent", "silent", False, "to have no sound"),
        ("bell", "extra", 1, "unknown field 'extra'"),
    ],
)
def test_values_that_a_scene_cannot_have(kind: str, place: str, value: Any, complaint: str) -> None:
    fields = plain(kind)
    *way, last = place.split(".")
    at: Any = fields
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    at[int(last) if isinstance(at, list) else last] = value
    assert complaint in refusal(fields)


def test_a_missing_field_is_named() -> None:
    fields = plain("bell")
    del fields["instrument"]["lane"]
    assert "lacks the field 'instrument.lane'" in refusal(fields)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"world":' * 50_000, '{"world": 1, "stage": ' + "[" * 50_000])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(VivaceError, match="nested too deeply"):
        Scene.from_json(text)


def test_shots_inside_of_shots_are_refused() -> None:
    outer = plain("shots")
    inner = json.loads(json.dumps(outer))
    for _ in range(3):
        inner.pop("world", None)
        outer["shots"][0]["scene"] = inner
        inner = json.loads(json.dumps(outer))
    assert "shots of plain kinds" in refusal(outer)
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"shots": [{"start": 0, "scene": deep}]}
    assert refusal({**plain("shots"), **deep})


def _leaves(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything inside of a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in entries for found in ((*way, key), *_leaves(inner, (*way, key)))]


def test_whatever_is_accepted_can_be_described_drawn_and_heard() -> None:
    accepted = refused = 0
    for number in range(900):
        dice = random.Random(number)
        fields = plain(dice.choice(ALL_KINDS), dice.randrange(4))
        for _ in range(dice.choice([1, 1, 2])):
            *way, last = dice.choice(_leaves(fields))
            at: Any = fields
            for step in way:
                at = at[step]
            if dice.random() < 0.15:
                del at[last]
            else:
                old = at[last]
                near = isinstance(old, float) and dice.random() < 0.5
                at[last] = old * dice.choice([0.5, 0.9, 1.1, 2.0, -1.0]) if near else dice.choice(NASTY)
        try:
            scene = Scene.from_json(json.dumps(fields))
        except VivaceError as error:
            _one_sentence(error)
            refused += 1
            continue
        truth(scene, TIMELINE, 32, 32).to_json()
        caption_with_attributes(scene, np.random.default_rng(0))
        if accepted % 8 == 0:
            assert np.isfinite(render_audio(scene, TIMELINE)).all()
            assert render_video(scene, TIMELINE, 32, 32).shape == (9, 32, 32, 3)
        accepted += 1
    assert accepted > 100
    assert refused > 400


@pytest.mark.parametrize("damage", [{"seconds": "x"}, {"kind": "piano"}, {"instrument": None}])
def test_play_refuses_a_clip_whose_scene_was_changed(tmp_path: Path, damage: dict[str, Any]) -> None:
    path = tmp_path / "clip.mp4"
    fields = {**plain("drum"), **damage}
    clip = Clip(np.zeros((9, 32, 32, 3), np.uint8), TIMELINE.fps, None, TIMELINE.sample_rate)
    write_clip(path, clip, {"scene": json.dumps(fields)})
    found = CliRunner().invoke(app, ["play", str(path), "--output", str(tmp_path / "x.png")])
    assert isinstance(found.exception, VivaceError)
    assert not (tmp_path / "x.png").exists()
