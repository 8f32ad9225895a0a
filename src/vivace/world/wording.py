"""The words captions are made of."""

from __future__ import annotations

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")

MATERIAL_WORDS = {
    "rubber": ("rubber",),
    "metal": ("metal", "steel", "metal"),
    "glass": ("glass",),
    "wood": ("wooden", "wood"),
    "stone": ("stone",),
}
FLOOR_WORDS = {
    "wood": ("a wooden floor", "wooden boards", "a wood floor", "a floor of wood", "wooden planks"),
    "metal": ("a metal floor", "a steel plate", "a sheet of metal", "a floor of metal", "a metal plate"),
    "glass": ("a glass floor", "a pane of glass", "a floor of glass", "a glass plate"),
    "rubber": ("a rubber floor", "a rubber mat", "a floor of rubber", "a black rubber mat"),
    "stone": ("a stone floor", "stone tiles", "a floor of stone", "stone slabs"),
}
TABLE_WORDS = {
    "wood": ("a wooden table", "a wooden floor", "wooden boards"),
    "metal": ("a metal table", "a steel plate"),
    "glass": ("a glass table", "a pane of glass"),
    "rubber": ("a rubber mat", "a black rubber floor"),
    "stone": ("a stone table", "stone tiles"),
}
# What a hit on each floor sounds like: a verb and a noun.
FLOOR_SOUNDS = {
    "wood": (("knocks", "a knock"), ("knocks", "a woody knock")),
    "metal": (("clangs", "a clang"), ("rings", "a metallic ring")),
    "glass": (("clinks", "a clink"), ("tinkles", "a bright clink")),
    "rubber": (("thuds softly", "a soft thud"), ("thumps", "a dull thump")),
    "stone": (("clicks", "a dry click"), ("clacks", "a clack")),
}
SMALL = ("small", "little", "tiny")
LARGE = ("big", "large")
INSTRUMENT_WORDS = {
    "drum": ("drum", "drum", "drum", "round drum"),
    "bell": ("bell", "bell", "bell", "hanging bell"),
    "woodblock": ("woodblock", "wood block", "woodblock", "wooden block"),
    "xylophone": ("xylophone",),
}
# (active verb, passive verb, -ing form) for an actor's stroke.
STRIKES = {
    "drum": (
        ("hits", "is hit", "hitting"),
        ("strikes", "is struck", "striking"),
        ("beats", "is beaten", "beating"),
        ("taps", "is tapped", "tapping"),
        ("plays", "is played", "playing"),
    ),
    "bell": (
        ("rings", "is rung", "ringing"),
        ("strikes", "is struck", "striking"),
        ("hits", "is hit", "hitting"),
        ("taps", "is tapped", "tapping"),
    ),
    "woodblock": (
        ("taps", "is tapped", "tapping"),
        ("hits", "is hit", "hitting"),
        ("knocks on", "is knocked", "knocking on"),
        ("strikes", "is struck", "striking"),
        ("plays", "is played", "playing"),
    ),
}
OWN_VERBS = {
    "drum": ("sounds", "booms", "thumps"),
    "bell": ("rings", "chimes", "dings"),
    "woodblock": ("clacks", "sounds", "knocks"),
}
STROKE_NOUNS = {
    "drum": ("beat", "hit", "stroke", "drum beat"),
    "bell": ("ring", "stroke", "chime", "hit"),
    "woodblock": ("knock", "tap", "stroke", "hit"),
}
ECHOES = {
    "drum": ("boom", "dum", "bom"),
    "bell": ("ding", "dong", "ting"),
    "woodblock": ("tock", "tap", "tok"),
}
ACTORS = ("a mallet", "someone", "a stick", "a person", "a beater", "somebody")
RHYTHM_WORDS = {
    "even": ("evenly", "at a steady pace", "in an even rhythm", "with equal gaps", "regularly", "steadily"),
    "two quick then one": ("two quick then one", "two fast ones and then one more", "quick quick, pause, then one"),
    "one then two quick": ("one then two quick", "one, a pause, then two fast", "long, then short short"),
    "two pairs": ("in two pairs", "two and two", "two quick, pause, two quick"),
    "three quick then one": ("three quick then one", "three fast ones, a pause, then one"),
    "one then three quick": ("one then three quick", "one, a pause, then three fast"),
    "two then three": ("two then three", "first two, then three", "two quick, pause, three quick"),
    "three then two": ("three then two", "first three, then two", "three quick, pause, two quick"),
    "two groups of three": ("in two groups of three", "three and three"),
    "three pairs": ("in three pairs", "two and two and two"),
    "two groups of four": ("in two groups of four", "four and four"),
    "speeding up": ("speeding up", "faster and faster", "getting faster", "slow at first, then quicker"),
    "slowing down": ("slowing down", "slower and slower", "getting slower", "fast at first, then slower"),
}
TEMPO_WORDS = {
    "fast": ("in quick succession", "quickly", "fast", "rapidly"),
    "slow": ("slowly", "with long pauses", "at a slow pace"),
}
PLACE_WORDS = {
    "left": ("on the left", "on the left side", "at the left"),
    "right": ("on the right", "on the right side", "at the right"),
}
MOTION_WORDS = {
    "left to right": ("from left to right", "moving to the right", "towards the right"),
    "right to left": ("from right to left", "moving to the left", "towards the left"),
}
CAMERA_WORDS = {
    "pan left": ("the camera pans left", "the camera moves to the left", "panning left"),
    "pan right": ("the camera pans right", "the camera moves to the right", "panning right"),
    "zoom in": ("the camera zooms in", "zooming in slowly", "the view moves closer"),
    "zoom out": ("the camera zooms out", "zooming out slowly", "the view moves away"),
}
