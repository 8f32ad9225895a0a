"""Captions of ambient sounds over a landscape."""

from __future__ import annotations

from vivace.world.caption_pieces import Telling, joined
from vivace.world.scene import Landscape, Scene

# Words for a sound when nothing is said about its strength, when it is soft, and when it is strong.
_SOUNDS = {
    "rain": (
        ("rain", "falling rain", "rainfall", "raindrops"),
        ("soft rain", "light rain", "a drizzle", "gentle rain", "a little rain"),
        ("heavy rain", "pouring rain", "a downpour", "hard rain", "loud rain"),
    ),
    "wind": (
        ("wind", "the wind", "blowing wind"),
        ("a light breeze", "a gentle wind", "soft wind", "a faint breeze"),
        ("strong wind", "a howling wind", "a gale", "stormy wind", "a loud wind"),
    ),
    "waves": (
        ("waves", "the surf", "sea waves", "rolling waves"),
        ("calm waves", "gentle surf", "small waves", "soft waves"),
        ("crashing waves", "rough surf", "loud waves", "heavy surf"),
    ),
    "traffic": (
        ("traffic", "road traffic", "traffic noise", "city traffic"),
        ("distant traffic", "quiet traffic", "far-off traffic", "faint traffic noise"),
        ("busy traffic", "loud traffic", "heavy traffic", "dense traffic"),
    ),
}
_PLACES = {
    "window": ("a window", "a window with curtains", "a room with a window", "a window seen from inside"),
    "street": ("a street", "a row of houses", "a street with houses", "a city street"),
    "sea": ("the sea", "a beach", "the seaside", "the sea and a beach"),
    "trees": ("trees", "some trees", "trees by a road", "a road with trees"),
}
_DAYLIGHTS = {
    "day": ("by day", "in daylight", "during the day"),
    "dusk": ("at dusk", "in the evening", "at sunset"),
    "night": ("at night", "after dark", "in the dark"),
}


def place_phrase(telling: Telling, landscape: Landscape, place: float, daylight: float) -> str:
    """Words for the place and the time of day, each stated with its probability; or an empty string."""
    words = []
    if telling.chance(place):
        telling.state("place", landscape.place)
        words.append(telling.one_of(_PLACES[landscape.place]))
        if telling.chance(daylight):
            telling.state("daylight", landscape.daylight)
            words.append(telling.one_of(_DAYLIGHTS[landscape.daylight]))
    return joined(*words)


def tell_ambience(telling: Telling, scene: Scene) -> str:
    """A caption of what is heard, and mostly of what is seen."""
    ambience, landscape = scene.ambience, scene.landscape
    assert ambience is not None
    assert landscape is not None
    telling.state("ambience", ambience.sound)
    plain, soft, strong = _SOUNDS[ambience.sound]
    if telling.chance(0.6):
        telling.state("strength", ambience.strength)
        sound = telling.one_of(soft if ambience.strength == "soft" else strong)
    else:
        sound = telling.one_of(plain)
    place = place_phrase(telling, landscape, 0.85, 0.4)
    if not place:
        return telling.one_of(
            (
                f"the sound of {sound}",
                f"{sound} can be heard",
                f"we hear {sound}",
                f"{sound}, out of sight",
                f"only {sound} is heard",
                f"an ambient recording of {sound}",
            )
        )
    of = telling.one_of((f"a view of {place}", place, place))
    return telling.one_of(
        (
            f"{of}, {sound} is heard",
            f"{of} with the sound of {sound}",
            f"{of} and the sound of {sound}",
            f"{of}, {sound} in the background",
            f"{of}; {sound}",
            f"{of}, {sound} off screen",
            f"{of} while {sound} can be heard",
            f"{sound}, {of}",
            f"{sound} and {of}",
            f"the sound of {sound} over {of}",
            f"we see {of} and hear {sound}",
            f"we hear {sound} and look at {place}",
            f"looking at {place}, we hear {sound}",
            f"listening to {sound}, {of}",
        )
    )
