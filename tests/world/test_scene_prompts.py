"""Hand-written prompts of the further kinds: words of their own, statements that a scene can fulfil."""

import re

import numpy as np
import pytest

from vivace.world import ALL_KINDS, CAMERA_MOVES, COLOURS, KINDS, SCENE_PROMPTS, caption, sample_scene
from vivace.world.ambience import AMBIENCES
from vivace.world.landscapes import DAYLIGHTS, PLACES
from vivace.world.vehicle import VEHICLES

OWN_KINDS = ("ambience", "vehicle", "silent", "shots")


def vocabulary() -> set[str]:
    words: set[str] = set()
    for kind in (None, *OWN_KINDS):
        for seed in range(150):
            text = caption(sample_scene(seed, kind=kind), np.random.default_rng(seed))
            words |= set(re.findall(r"[a-z]+", text.lower()))
    return words


def test_words_of_their_own() -> None:
    known = vocabulary()
    texts = [text for prompts in SCENE_PROMPTS.values() for text, _ in prompts]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert set(re.findall(r"[a-z]+", text.lower())) - known, text
        assert text.isascii()
        assert 12 <= len(text) <= 180


@pytest.mark.parametrize(("split", "each"), [("val", 4), ("test", 16)])
def test_as_many_of_each_kind(split: str, each: int) -> None:
    stated = [stated for _, stated in SCENE_PROMPTS[split]]
    for kind in OWN_KINDS:
        assert sum(s["kind"] == kind and "camera" not in s for s in stated) == each
    moves = [s["camera"] for s in stated if "camera" in s]
    assert {moves.count(move) for move in CAMERA_MOVES[1:]} == {each // 4}


def test_statements_are_of_this_world() -> None:
    for prompts in SCENE_PROMPTS.values():
        for text, stated in prompts:
            assert stated["kind"] in ALL_KINDS
            assert stated.get("ambience", AMBIENCES[0]) in AMBIENCES
            assert stated.get("place", PLACES[0]) in PLACES
            assert stated.get("daylight", DAYLIGHTS[0]) in DAYLIGHTS
            assert stated.get("vehicle", VEHICLES[0]) in VEHICLES
            assert stated.get("shows", "view") in ("view", *KINDS)
            for part in (stated, *stated.get("shots", ())):
                for colour in part.get("colours", []):
                    assert colour in text.lower()
                    assert colour in COLOURS or colour == "rainbow"
            if stated["kind"] == "shots":
                assert len(stated["shots"]) == stated["cuts"] + 1
