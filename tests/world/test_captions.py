"""Captions state only what is so, in many ways."""

import re

import numpy as np
import pytest

from vivace.world import COLOURS, HANDWRITTEN_PROMPTS, KINDS, Scene, caption, caption_with_attributes, sample_scene
from vivace.world.caption_impacts import course_of, size_of
from vivace.world.caption_music import tempo_of
from vivace.world.physics import contacts
from vivace.world.wording import NUMBERS


def told(count: int = 400) -> list[tuple[Scene, str, dict]]:
    scenes = [sample_scene(seed, "test", seconds=[None, 4.0][seed % 2]) for seed in range(count)]
    return [(scene, *caption_with_attributes(scene, np.random.default_rng(n))) for n, scene in enumerate(scenes)]


TOLD = told()


def test_every_stated_attribute_is_true() -> None:
    for scene, _, stated in TOLD:
        assert stated.pop("kind") == scene.kind
        for name, value in stated.items():
            assert _is_true(scene, name, value), (scene, name, value)


def _is_true(scene: Scene, name: str, value: object) -> bool:
    instrument = scene.instrument
    assert instrument is not None or scene.balls
    match name:
        case "objects":
            return value == len(scene.balls)
        case "colours":
            mine = [instrument.colour] if instrument else [ball.colour for ball in scene.balls]
            return sorted(value) == sorted(mine)  # type: ignore[call-overload]
        case "ball_materials":
            return sorted(value) == sorted(ball.material for ball in scene.balls)  # type: ignore[call-overload]
        case "sizes" if instrument:
            return value == ["small" if instrument.size < 1 else "large"]
        case "sizes":
            return value == [size_of(scene.balls[0])]
        case "floor" | "surface":
            return value == scene.stage.floor
        case "count" if instrument:
            return value == len(scene.strokes)
        case "count":
            return value == len(contacts(scene.balls[0], scene.seconds))
        case "count_each":
            return all(len(contacts(ball, scene.seconds)) == value for ball in scene.balls)
        case "rhythm":
            return value == scene.rhythm
        case "tempo":
            return value == tempo_of(scene)
        case "position" if instrument:
            return value == ("left" if instrument.x < 0 else "right")
        case "position":
            return value == course_of(scene, scene.balls[0])[0]
        case "positions":
            return sorted(value) == ["left", "right"]  # type: ignore[call-overload]
        case "motion":
            return value == course_of(scene, scene.balls[0])[1]
        case "camera":
            return value == scene.camera.move
        case "melody":
            return value == scene.melody
        case "bars":
            return instrument is not None and value == instrument.bars
        case "rest":
            return len(scene.balls) == 1
    return False


def test_words_agree_with_the_statement() -> None:
    """Colours and numbers in the text are those stated, so that nothing is said on the side."""
    for scene, text, stated in TOLD:
        words = set(re.findall(r"[a-z]+", text.lower()))
        assert words & set(COLOURS) == {name for name in stated.get("colours", []) if name in COLOURS}
        numbers = {NUMBERS[n] for n in range(3, 9)} & words
        known = {stated.get("count"), stated.get("count_each"), stated.get("bars")}
        if "rhythm" not in stated:
            assert numbers <= {NUMBERS[n] for n in known if isinstance(n, int)}, text
        assert ("camera" in stated) == (scene.camera.move != "still")
        assert not ({"camera", "zooming", "panning", "view"} & words and scene.camera.move == "still")


def test_places_of_two_balls_are_right() -> None:
    for scene, _, stated in TOLD:
        if "positions" in stated and "colours" in stated:
            for colour, side in zip(stated["colours"], stated["positions"], strict=True):
                ball = next(ball for ball in scene.balls if ball.colour == colour)
                assert side == ("left" if ball.x < 0 else "right")


def test_length_and_alphabet() -> None:
    for _, text, _ in TOLD:
        assert 12 <= len(text.encode()) <= 180
        assert text.isascii()
        assert "  " not in text
        assert text == text.strip()


@pytest.mark.parametrize("kind", KINDS)
def test_many_paraphrases(kind: str) -> None:
    scene = sample_scene(3, kind=kind)
    texts = {caption(scene, np.random.default_rng(seed)) for seed in range(200)}
    assert len(texts) > 140
    assert caption(scene, np.random.default_rng(5)) == caption(scene, np.random.default_rng(5))


def test_handwritten_prompts_use_words_of_their_own() -> None:
    vocabulary: set[str] = set()
    for seed in range(700):
        text = caption(sample_scene(seed, seconds=[None, 4.0][seed % 2]), np.random.default_rng(seed))
        vocabulary |= set(re.findall(r"[a-z]+", text.lower()))
    assert len(HANDWRITTEN_PROMPTS) >= 64
    assert len({text for text, _ in HANDWRITTEN_PROMPTS}) == len(HANDWRITTEN_PROMPTS)
    for text, stated in HANDWRITTEN_PROMPTS:
        assert set(re.findall(r"[a-z]+", text.lower())) - vocabulary, text
        assert stated["kind"] in KINDS
        for colour in stated.get("colours", []):
            assert colour in text.lower() or colour == "rainbow"
    assert {stated["kind"] for _, stated in HANDWRITTEN_PROMPTS} == set(KINDS)
