"""Colours and materials of the world, and how they look.

The six object colours are far apart in hue and strongly saturated; walls and floors stay pale or grey, so that the
saturated thing in a picture is the thing the caption talks about.
"""

from __future__ import annotations

import colorsys

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (220, 38, 46),
    "green": (38, 164, 70),
    "blue": (36, 88, 222),
    "yellow": (248, 216, 34),
    "orange": (242, 116, 22),
    "purple": (142, 54, 192),
}
RAINBOW = "rainbow"
# Pairs that a hurried eye confuses; two balls of one scene never take them together.
NEIGHBOURS = frozenset({("red", "orange"), ("orange", "yellow"), ("blue", "purple")})

FLOORS: tuple[str, ...] = ("wood", "metal", "glass", "rubber", "stone")
BALL_MATERIALS: tuple[str, ...] = ("rubber", "metal", "glass", "wood", "stone")

FLOOR_RGB: dict[str, RGB] = {
    "wood": (178, 146, 116),
    "metal": (150, 157, 166),
    "glass": (190, 212, 218),
    "rubber": (66, 67, 72),
    "stone": (158, 152, 144),
}

WALLS: dict[str, RGB] = {
    "cream": (226, 219, 204),
    "sand": (207, 196, 178),
    "mist": (200, 208, 214),
    "sage": (188, 198, 186),
    "lilac": (202, 196, 208),
    "rose": (214, 198, 196),
    "sky": (188, 202, 214),
    "pearl": (224, 226, 228),
    "clay": (182, 168, 158),
    "slate": (112, 122, 132),
    "moss": (116, 124, 112),
    "plum": (116, 106, 120),
    "dusk": (84, 92, 108),
    "cocoa": (112, 102, 96),
}

# People: skins are never named in words, hair colours are.
SKINS: tuple[RGB, ...] = (
    (250, 216, 190),
    (238, 192, 158),
    (212, 160, 122),
    (172, 120, 86),
    (124, 84, 62),
)
HAIR_RGB: dict[str, RGB] = {
    "black": (38, 32, 34),
    "brown": (104, 66, 40),
    "blond": (230, 192, 108),
    "red": (188, 70, 30),
    "white": (226, 226, 228),
}


def are_neighbours(first: str, second: str) -> bool:
    """Whether two object colours are close enough to be mistaken for one another."""
    return first == second or (first, second) in NEIGHBOURS or (second, first) in NEIGHBOURS


def rainbow(count: int) -> list[RGB]:
    """`count` colours from red through the hues to purple, as on a child's xylophone."""
    hues = [0.985 + 0.80 * i / max(count - 1, 1) for i in range(count)]
    values = [colorsys.hsv_to_rgb(hue % 1.0, 0.82, 0.90) for hue in hues]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in values]


def bar_colours(colour: str, count: int) -> list[RGB]:
    """The colours of a xylophone's bars: one palette colour for all, or the rainbow."""
    return rainbow(count) if colour == RAINBOW else [COLOURS[colour]] * count
