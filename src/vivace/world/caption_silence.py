"""Captions of scenes that are to stay silent. They always say so, and nothing in them names a sound."""

from __future__ import annotations

import re
from collections.abc import Callable

from vivace.world.caption_ambience import place_phrase
from vivace.world.caption_pieces import Telling, article, joined
from vivace.world.scene import Scene
from vivace.world.silence import content, is_at_rest
from vivace.world.wording import FLOOR_WORDS, INSTRUMENT_WORDS, MATERIAL_WORDS

# A sentence with one of these speaks of a sound.
_SOUND_WORDS = re.compile(
    r"sound|hear|knock|clang|\brings?\b|ringing|rung|clink|tinkl|thud|thump|click|clack|boom|chime|tune"
    r"|\b(ding|dings|dong|ting|dum|bom|tock|tok|tap)\b"
)
_SILENT = (
    "without a sound",
    "in silence",
    "without any sound",
    "in complete silence",
    "silently",
    "without making a sound",
    "with no sound",
    "with the sound off",
    "and nothing is heard",
    "but nothing can be heard",
    "and it stays silent",
)
_BEFORE = ("in silence", "in complete silence", "without a sound", "no sound", "silent", "muted", "with no sound")
_STANDS = ("stands still", "just stands there", "stands there untouched", "stands untouched")


def tell_silence(telling: Telling, scene: Scene, tell: Callable[[Telling, Scene], str]) -> str:
    """A caption of a silent scene; `tell` words what happens in scenes that sound."""
    telling.state("silent", True)
    what = content(scene)
    telling.state("shows", what)
    if what == "view":
        text = _view(telling, scene)
    elif is_at_rest(scene):
        telling.state("still", True)
        text = _resting(telling, scene)
    else:
        text = _acting(telling, scene, tell)
    if telling.chance(0.7):
        return telling.one_of((f"{text} {telling.one_of(_SILENT)}", f"{text}, {telling.one_of(_SILENT)}"))
    before = telling.one_of(_BEFORE)
    return telling.one_of((f"{before}: {text}", f"{before}, {text}", f"{text}; {before}"))


def _acting(telling: Telling, scene: Scene, tell: Callable[[Telling, Scene], str]) -> str:
    while True:
        own = Telling(telling.rng)
        text = tell(own, scene)
        if not _SOUND_WORDS.search(text):
            telling.stated.update(own.stated)
            return text


def _resting(telling: Telling, scene: Scene) -> str:
    floor = ""
    if telling.chance(0.6):
        telling.state("floor" if scene.balls else "surface", scene.stage.floor)
        floor = f"on {telling.one_of(FLOOR_WORDS[scene.stage.floor])}"
    if scene.instrument is not None:
        telling.state("colours", [scene.instrument.colour])
        thing = article(f"{scene.instrument.colour} {telling.one_of(INSTRUMENT_WORDS[scene.instrument.kind])}")
        return joined(thing, telling.one_of(_STANDS), floor)
    telling.state("objects", len(scene.balls))
    telling.state("colours", [ball.colour for ball in scene.balls])
    if len(scene.balls) == 1:
        ball = scene.balls[0]
        material = ""
        if telling.chance(0.5):
            telling.state("ball_materials", [ball.material])
            material = telling.one_of(MATERIAL_WORDS[ball.material])
        one = article(joined(ball.colour, material, "ball"))
        return joined(one, telling.one_of(("lies still", "rests", "does not move", "just lies there")), floor)
    first, second = (article(f"{ball.colour} ball") for ball in scene.balls)
    return joined(first, "and", second, telling.one_of(("lie still", "rest side by side", "do not move")), floor)


def _view(telling: Telling, scene: Scene) -> str:
    assert scene.landscape is not None
    place = place_phrase(telling, scene.landscape, 1.0, 0.5)
    return telling.one_of((place, f"a view of {place}", f"a quiet view of {place}", f"we look at {place}"))
