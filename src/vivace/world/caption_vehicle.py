"""Captions of passing vehicles."""

from __future__ import annotations

from vivace.world.caption_ambience import place_phrase
from vivace.world.caption_pieces import Telling, article, joined
from vivace.world.scene import Scene, Vehicle

_WORDS = {
    "car": ("car", "car", "car", "small car", "automobile"),
    "van": ("van", "van", "delivery van", "minivan"),
    "bus": ("bus", "bus", "city bus", "long bus"),
    "truck": ("truck", "truck", "lorry", "big truck"),
}
_DIRECTIONS = {
    "left to right": ("from left to right", "to the right", "from the left to the right", "towards the right"),
    "right to left": ("from right to left", "to the left", "from the right to the left", "towards the left"),
}
_SPEEDS = {"fast": ("fast", "quickly", "at high speed", "at speed"), "slow": ("slowly", "at low speed", "unhurriedly")}
FAST, SLOW = 17.0, 12.0  # m/s


def pace_of(vehicle: Vehicle) -> str | None:
    """ "fast" or "slow" where it clearly is."""
    return "fast" if vehicle.speed > FAST else "slow" if vehicle.speed < SLOW else None


def tell_vehicle(telling: Telling, scene: Scene) -> str:
    """A caption of a vehicle that passes."""
    vehicle, landscape = scene.vehicle, scene.landscape
    assert vehicle is not None
    assert landscape is not None
    telling.state("vehicle", vehicle.kind)
    word = telling.one_of(_WORDS[vehicle.kind])
    if telling.chance(0.88):
        telling.state("colours", [vehicle.colour])
        # A "small red car", not a "red small car".
        size, _, noun = word.rpartition(" ")
        tall = size in ("small", "long", "big")
        word = joined(size, vehicle.colour, noun) if tall else joined(vehicle.colour, word)
    way = ""
    if telling.chance(0.6):
        direction = "left to right" if vehicle.direction > 0 else "right to left"
        telling.state("direction", direction)
        way = telling.one_of(_DIRECTIONS[direction])
    pace = pace_of(vehicle)
    manner = ""
    if pace is not None and telling.chance(0.45):
        telling.state("pace", pace)
        manner = telling.one_of(_SPEEDS[pace])
    where = place_phrase(telling, landscape, 0.35, 0.3)
    before = telling.one_of((f", {where}", f" in front of {where}", f"; {where}")) if where else ""
    one, the = article(word), f"the {word}"
    passes = telling.one_of(("drives past", "passes by", "passes", "goes by", "drives by", "rolls past"))
    passing = telling.one_of(("driving past", "passing by", "passing", "going by"))
    text = telling.one_of(
        (
            joined(one, passes, way, manner),
            joined(one, manner, passes, way) if manner in ("quickly", "slowly") else joined(one, passes, manner, way),
            joined(the, passes, way, manner),
            joined(one, passing, way, manner),
            joined("the sound of", one, passing, way, manner),
            joined("we hear", one, "come, pass and go", way, manner),
            joined(one, "crosses the picture", way, manner),
            joined("the engine of", one, "comes and fades as it", passes, way, manner),
            joined(one, passes, way, manner) + ", its engine note dropping",
            joined("watch", one, "drive past", way, manner),
            joined(manner + "," if manner else "", one, passes, way),
            joined(one, "on the road", passes, way, manner),
        )
    )
    return text + before
