"""Captions of bouncing balls."""

from __future__ import annotations

import numpy as np

from vivace.world.caption_pieces import Telling, article, joined
from vivace.world.physics import ball_motion, contacts, legs
from vivace.world.scene import Ball, Scene
from vivace.world.wording import (
    FLOOR_SOUNDS,
    FLOOR_WORDS,
    LARGE,
    MATERIAL_WORDS,
    MOTION_WORDS,
    PLACE_WORDS,
    SMALL,
)

SMALL_RADIUS, LARGE_RADIUS = 0.085, 0.112


def tell_impacts(telling: Telling, scene: Scene) -> str:
    """A caption of one ball or of two."""
    telling.state("objects", len(scene.balls))
    return _one(telling, scene) if len(scene.balls) == 1 else _two(telling, scene)


def size_of(ball: Ball) -> str | None:
    """ "small" or "large" where the ball is clearly so."""
    return "small" if ball.radius < SMALL_RADIUS else "large" if ball.radius > LARGE_RADIUS else None


def course_of(scene: Scene, ball: Ball) -> tuple[str | None, str | None]:
    """(side, motion) of a ball where they are clear: "left" or "right"; "left to right" or "right to left"."""
    x = ball_motion(ball, np.linspace(0, scene.seconds, 25)).x
    if abs(x[-1] - x[0]) > 0.55:
        return None, "left to right" if x[-1] > x[0] else "right to left"
    if x.max() < -0.25:
        return "left", None
    return ("right", None) if x.min() > 0.25 else (None, None)


def _ball_phrase(telling: Telling, ball: Ball, colour: bool, material: bool, size: bool) -> str:
    """'small red rubber ball' with the attributes asked for; states nothing by itself."""
    words = []
    if size:
        words.append(telling.one_of(SMALL if size_of(ball) == "small" else LARGE))
    if colour:
        words.append(ball.colour)
    if material and telling.chance(0.15):
        noun = "wood" if ball.material == "wood" else ball.material
        return joined(*words, f"ball made of {noun}")
    if material:
        words.append(telling.one_of(MATERIAL_WORDS[ball.material]))
    return joined(*words, "ball")


def _floor_phrase(telling: Telling, scene: Scene, probability: float) -> str:
    """Words for the floor, stated; or an empty string."""
    if not telling.chance(probability):
        return ""
    telling.state("floor", scene.stage.floor)
    return telling.one_of(FLOOR_WORDS[scene.stage.floor])


def _one(telling: Telling, scene: Scene) -> str:
    ball = scene.balls[0]
    colour, material = telling.chance(0.88), telling.chance(0.6)
    size = size_of(ball) is not None and telling.chance(0.3)
    if colour:
        telling.state("colours", [ball.colour])
    if material:
        telling.state("ball_materials", [ball.material])
    if size:
        telling.state("sizes", [size_of(ball)])
    floor = _floor_phrase(telling, scene, 0.85)
    count = len(contacts(ball, scene.seconds))
    counted = telling.chance(0.55)
    if counted:
        telling.state("count", count)
    thing = _ball_phrase(telling, ball, colour, material, size)
    often = telling.times(count) if counted else ""
    on = joined(telling.one_of(("on", "on", "off") if floor else ("",)), floor)
    forms = [
        joined(article(thing), "bounces", often, on),
        joined(article(thing), "bounces", on, often),
        joined("someone drops", article(thing), f"on {floor}" if floor else "", "and it bounces", often),
        joined("watch", article(thing), "bounce", often, on),
        joined(f"on {floor}," if floor else "", "the", thing, "bounces", often),
        joined("the", thing, telling.one_of(("hops", "jumps", "bounces")), often, on),
        joined("the sound of", article(thing), "bouncing", often, on),
        joined(article(thing), telling.one_of(("is bouncing", "bouncing", "bounces up and down")), often, on),
    ]
    if floor:
        verb, noun = telling.one_of(FLOOR_SOUNDS[scene.stage.floor])
        forms += [
            joined(article(thing), telling.one_of(("hits", "strikes")), floor, often, f"and {verb}"),
            joined(article(thing), "falls onto", floor, "and bounces", often) if count > 1 or not counted else forms[0],
            joined(article(thing), f"lands on {floor}", often, f"with {noun}"),
            joined(article(thing), "bounces", often, "on", floor, f"with {noun}" if count == 1 else f"and {verb}"),
            joined(article(thing), "is dropped on", floor, f"and bounces {often}" if counted else ""),
        ]
    if counted:
        bounces = telling.of_them(count, "bounce")
        forms += [
            joined(bounces, "of", article(thing), on.replace("off", "on")),
            f"{thing}, {floor.removeprefix('a ')}, {bounces}" if floor else f"{thing}, {bounces}",
            joined(article(thing), "makes", bounces, on.replace("off", "on")),
            joined("we hear", bounces, "of", article(thing), on.replace("off", "on")),
        ]
    if colour and material and not size:
        noun = "wood" if ball.material == "wood" else ball.material
        tail = f"the ball is {ball.colour} and made of {noun}"
        forms.append(joined("a ball bounces", often, on) + ". " + tail)
    text = telling.one_of(forms)
    return text + _course(telling, scene, ball) + _rest(telling, scene, ball)


def _course(telling: Telling, scene: Scene, ball: Ball) -> str:
    side, motion = course_of(scene, ball)
    if side and telling.chance(0.3):
        telling.state("position", side)
        return " " + telling.one_of(PLACE_WORDS[side])
    if motion and telling.chance(0.35):
        telling.state("motion", motion)
        return ", " + telling.one_of(MOTION_WORDS[motion])
    return ""


def _rest(telling: Telling, scene: Scene, ball: Ball) -> str:
    last = legs(ball, scene.seconds)[-1]
    if last.resting and last.start < scene.seconds - 0.4 and telling.chance(0.15):
        telling.state("rest", True)
        return telling.one_of((", then stays down", ", then lies still", " and comes to rest"))
    return ""


def _two(telling: Telling, scene: Scene) -> str:
    first, second = scene.balls if telling.chance(0.5) else scene.balls[::-1]
    pair = (first, second)
    colour, material, placed = telling.chance(0.9), telling.chance(0.4), telling.chance(0.25)
    if colour:
        telling.state("colours", [first.colour, second.colour])
    if material:
        telling.state("ball_materials", [first.material, second.material])
    floor = _floor_phrase(telling, scene, 0.8)
    on = f"on {floor}" if floor else ""
    counts = [len(contacts(ball, scene.seconds)) for ball in pair]
    each = ""
    if counts[0] == counts[1] and telling.chance(0.5):
        telling.state("count_each", counts[0])
        each = f"{telling.times(counts[0])} each"
    if not colour and not material:
        return telling.one_of(
            (
                joined("two balls bounce", each, on),
                joined("a pair of balls bounces", on) + (f", {each}" if each else ""),
                joined("there are 2 balls bouncing", on) + (f", {each}" if each else ""),
            )
        )
    phrases = [_ball_phrase(telling, ball, colour, material, size=False) for ball in pair]
    sides = ["left" if ball.x < 0 else "right" for ball in pair]
    if placed:
        telling.state("positions", sides)
        places = [
            f"{article(thing)} {telling.one_of(PLACE_WORDS[side])}" for thing, side in zip(phrases, sides, strict=True)
        ]
        return joined(places[0], "and", places[1], "bounce", on) + (f", {each}" if each else "")
    forms = [
        joined(article(phrases[0]), "and", article(phrases[1]), "bounce", each, on),
        joined(article(phrases[0]), "bounces next to", article(phrases[1]), on) + (f", {each}" if each else ""),
        joined("two balls,", article(phrases[0]), "and", article(phrases[1]) + ",", "bounce", each, on),
        joined("the", phrases[0], "and the", phrases[1], "are both bouncing", each, on),
        joined(f"{on}, " if on else "", article(phrases[0]), "and", article(phrases[1]), "bounce", each),
        ", ".join(part for part in (*phrases, floor.removeprefix("a ") or "bouncing", each) if part),
    ]
    if colour and not material:
        forms += [
            joined("two balls, one", first.colour, "and one", second.colour + ",", "bounce", each, on),
            joined(first.colour, "and", second.colour, "balls bounce", each, on),
        ]
    return telling.one_of(forms)
