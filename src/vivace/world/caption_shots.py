"""Captions of clips with cuts: what each shot shows, in their order."""

from __future__ import annotations

from collections.abc import Callable

from vivace.world.caption_pieces import Telling, joined
from vivace.world.physics import contacts
from vivace.world.scene import Scene
from vivace.world.shots import is_same_object
from vivace.world.wording import FLOOR_WORDS, INSTRUMENT_WORDS, STRIKES, TABLE_WORDS

# So many bytes for each shot that the whole stays within the length of a caption.
_ROOM = {2: 74, 3: 47}


def tell_shots(telling: Telling, scene: Scene, tell: Callable[[Telling, Scene], str]) -> str:
    """A caption of two or three shots; `tell` words a scene that is one of them."""
    scenes = [shot.scene for shot in scene.shots]
    told: list[str] = []
    stated = []
    for number, shown in enumerate(scenes):
        same = number > 0 and is_same_object(scenes[number - 1], shown)
        text, own = _shot(telling, shown, tell, same and telling.chance(0.85), _ROOM[len(scenes)])
        told.append(text)
        stated.append(own)
    telling.state("cuts", len(scenes) - 1)
    telling.state("shots", stated)
    return _two(telling, *told) if len(told) == 2 else _three(telling, *told)


def _shot(
    telling: Telling, scene: Scene, tell: Callable[[Telling, Scene], str], same: bool, room: int
) -> tuple[str, dict[str, object]]:
    while True:
        own = Telling(telling.rng)
        own.state("kind", scene.kind)
        if same:
            own.state("same_object", True)
        text = _again(own, scene) if same else tell(own, scene)
        # Full stops and colons belong to the words between the shots.
        if len(text) <= room and not any(mark in text for mark in (". ", "...", ":", ";", "then", "first")):
            return " ".join(text.split()), own.stated


def _again(telling: Telling, scene: Scene) -> str:
    """What the object of the shot before does now."""
    if scene.instrument is None:
        ball = scene.balls[0]
        often = ""
        if telling.chance(0.5):
            telling.state("count", len(contacts(ball, scene.seconds)))
            often = telling.times(telling.stated["count"])
        floor = ""
        if telling.chance(0.85):
            telling.state("floor", scene.stage.floor)
            floor = "on " + telling.one_of(FLOOR_WORDS[scene.stage.floor])
        if telling.chance(0.4):
            telling.state("colours", [ball.colour])
            return joined("the same", ball.colour, "ball bounces", often, floor)
        return joined(telling.one_of(("the same ball", "that ball", "the same ball again")), "bounces", often, floor)
    noun = telling.one_of(INSTRUMENT_WORDS[scene.kind])
    thing = f"the same {noun}"
    if telling.chance(0.4):
        telling.state("colours", [scene.instrument.colour])
        thing = f"the same {scene.instrument.colour} {noun}"
    place = ""
    if telling.chance(0.35):
        telling.state("surface", scene.stage.floor)
        place = "on " + telling.one_of(TABLE_WORDS[scene.stage.floor])
    often = ""
    if telling.chance(0.6):
        telling.state("count", len(scene.strokes))
        often = telling.times(len(scene.strokes))
    struck = "is played" if scene.kind == "xylophone" else telling.one_of(STRIKES[scene.kind])[1]
    return joined(thing, struck, often, place)


def _two(telling: Telling, first: str, second: str) -> str:
    return telling.one_of(
        (
            f"first {first}, then cut to {second}",
            f"{first}, then cut to {second}",
            f"{first}; cut to {second}",
            f"{first}. Cut to {second}",
            f"first {first}, then {second}",
            f"first shot: {first}. Second shot: {second}",
            f"shot one: {first}; shot two: {second}",
            f"{first}, followed by a cut to {second}",
            f"{first}, and after a cut {second}",
            f"opening shot: {first}; next shot: {second}",
            f"two shots: {first}, then {second}",
            f"before the cut {first}, after it {second}",
            f"at first {first}. Then the scene changes: {second}",
            f"{first}, then suddenly {second}",
            f"1. {first} 2. {second}",
        )
    )


def _three(telling: Telling, first: str, second: str, third: str) -> str:
    return telling.one_of(
        (
            f"first {first}, then {second}, finally {third}",
            f"first {first}, then cut to {second}, then to {third}",
            f"{first}; cut to {second}; cut to {third}",
            f"{first}. Cut to {second}. Cut to {third}",
            f"three shots: {first}, then {second}, then {third}",
            f"shot one: {first}; shot two: {second}; shot three: {third}",
            f"{first}, then {second}, and last {third}",
            f"1. {first} 2. {second} 3. {third}",
            f"first {first}, next {second}, at the end {third}",
        )
    )
