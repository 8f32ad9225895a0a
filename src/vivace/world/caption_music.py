"""Captions of drums, bells, woodblocks and xylophones."""

from __future__ import annotations

import numpy as np

from vivace.world.caption_pieces import Telling, article, joined
from vivace.world.palette import RAINBOW
from vivace.world.rhythm import EVEN
from vivace.world.scene import Instrument, Scene
from vivace.world.wording import (
    ACTORS,
    ECHOES,
    INSTRUMENT_WORDS,
    LARGE,
    OWN_VERBS,
    PLACE_WORDS,
    RHYTHM_WORDS,
    SMALL,
    STRIKES,
    STROKE_NOUNS,
    TABLE_WORDS,
    TEMPO_WORDS,
)

SMALL_SIZE, LARGE_SIZE = 0.93, 1.07
CLEAR_SIDE = 0.22
FAST_GAP, SLOW_GAP = 0.29, 0.58


def tell_playing(telling: Telling, scene: Scene) -> str:
    """A caption of someone playing the scene's instrument."""
    assert scene.instrument is not None
    if scene.instrument.kind == "xylophone":
        return _xylophone(telling, scene, scene.instrument)
    return _struck(telling, scene, scene.instrument)


def tempo_of(scene: Scene) -> str | None:
    """ "fast" or "slow" for even strokes that clearly are."""
    if scene.rhythm != EVEN:
        return None
    gap = scene.strokes[1].time - scene.strokes[0].time
    return "fast" if gap < FAST_GAP else "slow" if gap > SLOW_GAP else None


def _manner(telling: Telling, scene: Scene, shown: float) -> str:
    """Words for the rhythm or the tempo, stated; or an empty string."""
    if scene.rhythm is None or not telling.chance(shown):
        return ""
    tempo = tempo_of(scene)
    if tempo is not None and telling.chance(0.6):
        telling.state("tempo", tempo)
        return telling.one_of(TEMPO_WORDS[tempo])
    if scene.rhythm == EVEN and len(scene.strokes) < 3:
        return ""  # two strokes have no rhythm
    telling.state("rhythm", scene.rhythm)
    return telling.one_of(RHYTHM_WORDS[scene.rhythm])


def _thing(telling: Telling, instrument: Instrument) -> str:
    """'small red drum', its attributes stated."""
    words = []
    if instrument.kind != "xylophone" and not SMALL_SIZE < instrument.size < LARGE_SIZE and telling.chance(0.3):
        small = instrument.size <= SMALL_SIZE
        telling.state("sizes", ["small" if small else "large"])
        words.append(telling.one_of(SMALL if small else LARGE))
    if telling.chance(0.85):
        telling.state("colours", [instrument.colour])
        if instrument.colour == RAINBOW:
            words.append(telling.one_of(("rainbow", "colourful", "rainbow-coloured", "many-coloured")))
        else:
            words.append(instrument.colour)
    return joined(*words, telling.one_of(INSTRUMENT_WORDS[instrument.kind]))


def _where(telling: Telling, scene: Scene, instrument: Instrument) -> str:
    if telling.chance(0.14):
        telling.state("surface", scene.stage.floor)
        return " on " + telling.one_of(TABLE_WORDS[scene.stage.floor])
    if instrument.kind != "xylophone" and abs(instrument.x) > CLEAR_SIDE and telling.chance(0.25):
        side = "left" if instrument.x < 0 else "right"
        telling.state("position", side)
        return " " + telling.one_of(PLACE_WORDS[side])
    return ""


def _echo(telling: Telling, scene: Scene, kind: str) -> str:
    """'ding ding ... ding': one word for each stroke, its pauses as dots; states the number and an uneven rhythm."""
    word = telling.one_of(ECHOES[kind])
    moments = np.array([stroke.time for stroke in scene.strokes])
    gaps = np.diff(moments)
    telling.state("count", len(moments))
    text = word
    grouped = scene.rhythm not in (None, EVEN, "speeding up", "slowing down")
    if grouped:
        telling.state("rhythm", scene.rhythm)
    quick = telling.one_of((" ", "-"))
    for gap in gaps:
        text += (" ... " if grouped and gap > 1.5 * gaps.min() else quick) + word
    return text


def _struck(telling: Telling, scene: Scene, instrument: Instrument) -> str:
    kind, count = instrument.kind, len(scene.strokes)
    thing = _thing(telling, instrument)
    if count <= 5 and telling.chance(0.12):
        echo = _echo(telling, scene, kind)
        where = _where(telling, scene, instrument)
        one = article(thing)
        return telling.one_of(
            (
                f"{echo} on {one}{where}",
                f"{one}{where}: {echo}",
                f"{echo}, goes the {thing}{where}",
                f"{one} goes {echo}{where}",
            )
        )
    counted = telling.chance(0.72)
    if counted:
        telling.state("count", count)
    where = _where(telling, scene, instrument)
    manner = _manner(telling, scene, 0.6)
    often = telling.times(count) if counted else ""
    tail = f", {manner}" if manner else ""
    active, passive, during = telling.one_of(STRIKES[kind])
    own = telling.one_of(OWN_VERBS[kind])
    actor = telling.one_of(ACTORS)
    one = article(thing)
    forms = [
        joined(actor, active, one, often) + where + tail,
        joined(one, passive, often) + where + tail,
        joined("the", thing, passive, often) + where + tail,
        joined(one, own, often) + where + tail,
        joined("the", thing, own, often) + where + tail,
        joined(actor, during, one, often) + where + tail,
        joined("the sound of", actor, during, one, often) + where + tail,
        joined("with", telling.one_of(("a mallet", "a stick")) + ",", "someone", active, one, often) + where + tail,
    ]
    if counted:
        noun = telling.one_of(STROKE_NOUNS[kind])
        strokes = telling.of_them(count, noun)
        forms += [
            f"{strokes} on {one}{where}{tail}",
            f"{thing}, {strokes}{tail}{where and ',' + where}",
            f"{one}{where} gets {strokes}{tail}",
            f"we hear {strokes} on {one}{where}{tail}",
            f"{strokes}{tail}, on {one}{where}",
        ]
    if manner and not where:
        forms.append(joined(manner + ",", actor, active, one, often))
    return telling.one_of(forms)


def _xylophone(telling: Telling, scene: Scene, instrument: Instrument) -> str:
    count = len(scene.strokes)
    thing = _thing(telling, instrument)
    if telling.chance(0.12):
        telling.state("bars", instrument.bars)
        thing += f" with {telling.number(instrument.bars)} bars"
    one = article(thing)
    counted = telling.chance(0.72)
    if counted:
        telling.state("count", count)
    where = _where(telling, scene, instrument)
    actor = telling.one_of(ACTORS)
    if scene.melody in ("leftmost", "rightmost") or (scene.melody == "middle" and instrument.bars % 2):
        text = _one_bar(telling, scene.melody, thing, one, actor, telling.times(count) if counted else "")
    elif scene.melody in ("up", "down"):
        text = _run(telling, scene.melody, thing, one, actor, telling.of_them(count, "note") if counted else "")
    elif scene.melody == "same" and count > 1:
        telling.state("melody", "same")
        often = telling.times(count) if counted else "again and again"
        text = telling.one_of(
            (
                f"{actor} hits the same bar of {one} {often}",
                f"one bar of {one} is struck {often}",
                f"the same note {often} on {one}",
                f"{actor} plays one note on {one} {often}",
            )
        )
    else:
        notes = telling.of_them(count, "note") if counted else ("one note" if count == 1 else "a few notes")
        if count == 1:
            telling.state("count", 1)
        forms = [
            f"{actor} plays {notes} on {one}",
            f"{notes} on {one}",
            f"{one} plays {notes}",
            f"we hear {notes} from {one}",
            f"{thing}, {notes}",
        ]
        if count > 2:
            forms.append(f"a little tune of {notes} on {one}" if counted else f"a little tune on {one}")
        text = telling.one_of(forms)
    manner = _manner(telling, scene, 0.4)
    return text + where + (f", {manner}" if manner else "")


def _one_bar(telling: Telling, melody: str, thing: str, one: str, actor: str, often: str) -> str:
    telling.state("melody", melody)
    bar = {
        "leftmost": ("the leftmost bar", "the lowest bar", "the first bar on the left", "the longest bar"),
        "rightmost": ("the rightmost bar", "the highest bar", "the last bar on the right", "the shortest bar"),
        "middle": ("the middle bar", "the bar in the middle"),
    }[melody]
    chosen = telling.one_of(bar)
    return telling.one_of(
        (
            joined(actor, telling.one_of(("hits", "strikes", "taps")), chosen, "of", one, often),
            joined(chosen, "of", one, "is struck", often),
            joined("on", one + ",", actor, "hits", chosen, often),
            joined(f"{thing}, {chosen}" + (f", {often}" if often else "")),
        )
    )


def _run(telling: Telling, melody: str, thing: str, one: str, actor: str, notes: str) -> str:
    telling.state("melody", melody)
    way = {
        "up": ("going up", "from low to high", "rising", "from left to right", "up the scale"),
        "down": ("going down", "from high to low", "falling", "from right to left", "down the scale"),
    }[melody]
    chosen = telling.one_of(way)
    what = notes or telling.one_of(("a few notes", "notes"))
    return telling.one_of(
        (
            f"{actor} plays {what} {chosen} on {one}",
            f"{what} {chosen} on {one}",
            f"a mallet runs over {one} {chosen}" + (f", {notes}" if notes else ""),
            f"{thing}, {what} {chosen}",
            f"on {one}, {actor} plays {what} {chosen}",
        )
    )
