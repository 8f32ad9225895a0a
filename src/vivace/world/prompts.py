"""Prompts written by hand, in words that the caption grammar does not have.

They ask whether a model understands a person's own way of putting things. Each comes with the attributes that its
text fixes, under the names that `caption_with_attributes` uses; what is not listed is free.
"""

from __future__ import annotations

from typing import Any


def _ball(text: str, colour: str | None = None, floor: str | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    stated: dict[str, Any] = {"kind": "impacts", "objects": 1}
    if colour:
        stated["colours"] = [colour]
    if floor:
        stated["floor"] = floor
    return text, stated | more


def _balls(text: str, colours: list[str], floor: str | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    stated: dict[str, Any] = {"kind": "impacts", "objects": 2, "colours": colours}
    if floor:
        stated["floor"] = floor
    return text, stated | more


def _played(kind: str, text: str, colour: str | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    stated: dict[str, Any] = {"kind": kind}
    if colour:
        stated["colours"] = [colour]
    return text, stated | more


HANDWRITTEN_PROMPTS: tuple[tuple[str, dict[str, Any]], ...] = (
    _ball("A scarlet-bright red ball springs off the kitchen's wooden flooring", "red", "wood"),
    _ball("my kid lets go of a green ball above the tiled stone patio", "green", "stone"),
    _ball("Blue ball meets parquet: exactly two bounces, please", "blue", "wood", count=2),
    _ball("a bouncy yellow rubber toy ball on polished steel", "yellow", "metal", ball_materials=["rubber"]),
    _ball("an orange marble of glass tumbling onto a windowpane", "orange", "glass", ball_materials=["glass"]),
    _ball("Purple ball tossed on gym rubber matting", "purple", "rubber"),
    _ball("picture a lone red ball skipping along cobblestone", "red", "stone"),
    _ball("a wooden green ball that raps against floorboards, please", "green", "wood", ball_materials=["wood"]),
    _ball("heavy blue metal sphere dropping on iron sheeting", "blue", "metal", ball_materials=["metal"]),
    _ball("yellow ball vs glass tabletop, it pings thrice", "yellow", "glass", count=3),
    _ball("An orange ball lightly bounding across the room's timber floor", "orange", "wood"),
    _ball("slow afternoon, one purple ball, a marble-like stone slab, four little hops", "purple", "stone", count=4),
    _ball("let a red ball fall upon a soft rubber surface, once only", "red", "rubber", count=1),
    _ball("some green ball rebounding off a metallic ground plate", "green", "metal"),
    _ball("A sky-toy: the blue ball goes up and comes down on a sheet of glass", "blue", "glass"),
    _ball("Basketball-style dribble of an orange rubber ball over stone", "orange", "stone", ball_materials=["rubber"]),
    _ball("tiny violet or rather purple ball making contact with the plank deck", "purple", "wood", sizes=["small"]),
    _ball("a huge yellow ball thumping against the rubber underlay", "yellow", "rubber", sizes=["large"]),
    _ball("Bouncing. Red. Steel underneath. Five impacts.", "red", "metal", count=5),
    _ball("please animate a glassy blue ball, pinging away on flagstones", "blue", "stone", ball_materials=["glass"]),
    _ball("a ball of solid stone, green, crashing down on hardwood", "green", "wood", ball_materials=["stone"]),
    _ball("the ball is orange; below it lies a mirror-like pane of glass", "orange", "glass"),
    _ball("I want to hear what a purple metal ball does on a tin floor", "purple", "metal", ball_materials=["metal"]),
    _ball("yellow ball travels rightward from the left edge, over stone", "yellow", "stone", motion="left to right"),
    _ball("Gravity demo: release ball (red), observe two rebounds on wood", "red", "wood", count=2),
    _ball("it's just a bouncing ball, nothing else around"),
    _ball("physics class experiment with a green ball against rubber", "green", "rubber"),
    _balls("Red ball plus yellow ball, both bouncing merrily over timber", ["red", "yellow"], "wood"),
    _balls("a duo: blue ball with orange ball, dancing upon stone", ["blue", "orange"], "stone"),
    _balls("green and purple balls having a bounce-off on metal", ["green", "purple"], "metal"),
    _balls("Two friends, the yellow ball and the blue ball, leap about on glass", ["yellow", "blue"], "glass"),
    _balls("a couple of balls, red beside green, upon rubber ground", ["red", "green"], "rubber"),
    _balls("orange ball here, purple ball there, each springing from the wooden boards", ["orange", "purple"], "wood"),
    _balls("both a blue rubber ball and a red metal ball come tumbling down", ["blue", "red"]),
    _played("drum", "A drummer whacks the red drum three times in a row", "red", count=3),
    _played("drum", "low boomy percussion from a blue tom drum, two whacks", "blue", count=2),
    _played("drum", "marching band vibe: green drum, steady pulse", "green", rhythm="even"),
    _played("drum", "Bang! Just a single bang upon an orange drum", "orange", count=1),
    _played("drum", "give the yellow drum five lively thwacks", "yellow", count=5),
    _played("drum", "tribal purple drum pounded gradually quicker", "purple", rhythm="speeding up"),
    _played("drum", "a drumstick bounces off the skin of a red drum twice", "red", count=2),
    _played("drum", "Drum solo? no, merely one thump of the green drum", "green", count=1),
    _played("drum", "thump thump thump from somebody's blue drum", "blue", count=3),
    _played("drum", "a percussionist practising at a toy drum"),
    _played("bell", "The school bell, painted red, gets rung twice", "red", count=2),
    _played("bell", "a blue church bell tolls three times over", "blue", count=3),
    _played("bell", "clear high ring out of the green bell, once", "green", count=1),
    _played("bell", "temple bell in orange, four solemn tolls", "orange", count=4),
    _played("bell", "dinner's ready: yellow bell clanged by a small hammer", "yellow"),
    _played("bell", "jingle of a purple bell, hammered two times", "purple", count=2),
    _played("bell", "An alarm-like red bell rung hurriedly", "red", tempo="fast"),
    _played("bell", "bell, blue, swinging after each blow", "blue"),
    _played("bell", "the green bell tolls at unhurried equal intervals", "green", rhythm="even"),
    _played("bell", "ring-a-ding, one golden-yellow bell", "yellow"),
    _played("woodblock", "clip-clop sound made with a red woodblock, two clops", "red", count=2),
    _played("woodblock", "An orchestra player raps the blue woodblock four times", "blue", count=4),
    _played("woodblock", "dry woody pops out of a green wood block", "green"),
    _played("woodblock", "metronome feel: orange woodblock ticking along", "orange", rhythm="even"),
    _played("woodblock", "the yellow wood-block percussion piece gets one sharp rap", "yellow", count=1),
    _played("woodblock", "purple woodblock, three crisp raps by a beater stick", "purple", count=3),
    _played("woodblock", "pock, pock: a hollow red wood block", "red", count=2),
    _played("woodblock", "Someone impatient drums upon a blue wood block", "blue"),
    _played("xylophone", "a toddler's rainbow xylophone gets three plinks", "rainbow", count=3),
    _played("xylophone", "ascending melody climbing over a multicoloured xylophone", "rainbow", melody="up"),
    _played("xylophone", "descend along the red xylophone, treble towards bass", "red", melody="down"),
    _played("xylophone", "plink the deepest bar of a green xylophone twice", "green", melody="leftmost", count=2),
    _played("xylophone", "blue glockenspiel-like xylophone, tap its topmost-pitched bar", "blue", melody="rightmost"),
    _played("xylophone", "four random plonks across an orange xylophone", "orange", count=4),
    _played("xylophone", "keep hammering one identical key on the yellow xylophone", "yellow", melody="same"),
    _played("xylophone", "Twinkly arpeggio upward, xylophone bars lighting up", None, melody="up"),
    _played("xylophone", "purple xylophone performance of five tones", "purple", count=5),
    _played("xylophone", "music lesson: pupil tries the xylophone"),
)
