"""Prompts written by hand for ambient sounds, vehicles, silence, cuts and camera moves, in words of their own.

Each comes with the attributes that its text fixes, under the names that `caption_with_attributes` uses; what is not
listed is free. Of every kind there are 4 for validation and 16 for the test.
"""

from __future__ import annotations

from typing import Any

Prompt = tuple[str, dict[str, Any]]


def _ambience(text: str, sound: str, place: str | None = None, **more: Any) -> Prompt:
    stated: dict[str, Any] = {"kind": "ambience", "ambience": sound}
    return text, stated | ({"place": place} if place else {}) | more


def _vehicle(text: str, kind: str, colour: str | None = None, direction: str | None = None, **more: Any) -> Prompt:
    stated: dict[str, Any] = {"kind": "vehicle", "vehicle": kind}
    if colour:
        stated["colours"] = [colour]
    if direction:
        stated["direction"] = direction
    return text, stated | more


def _silent(text: str, shows: str, colour: str | None = None, **more: Any) -> Prompt:
    stated: dict[str, Any] = {"kind": "silent", "silent": True, "shows": shows}
    return text, stated | ({"colours": [colour]} if colour else {}) | more


def _thing(kind: str, colour: str | None = None, **more: Any) -> dict[str, Any]:
    """What a prompt states of one shot."""
    return {"kind": kind} | ({"colours": [colour]} if colour else {}) | more


def _shots(text: str, *shots: dict[str, Any]) -> Prompt:
    return text, {"kind": "shots", "cuts": len(shots) - 1, "shots": list(shots)}


def _camera(text: str, move: str, kind: str, colour: str | None = None, **more: Any) -> Prompt:
    return text, _thing(kind, colour, camera=move, **more)


LEFT, RIGHT = "right to left", "left to right"

SCENE_PROMPTS: dict[str, tuple[Prompt, ...]] = {
    "val": (
        _ambience("A cosy bedroom window, pattering rain beyond the pane", "rain", "window"),
        _ambience("Windy weather sweeping through leafy trees", "wind", "trees"),
        _ambience("holiday mood: beach, waves lapping softly", "waves", "sea", strength="soft"),
        _ambience("downtown street, constant hum of traffic from elsewhere", "traffic", "street"),
        _vehicle("Somebody's red car zips along, heading right", "car", "red", RIGHT),
        _vehicle("yellow school bus trundles by", "bus", "yellow"),
        _vehicle("a white-noise whoosh as one blue van overtakes the camera leftwards", "van", "blue", LEFT),
        _vehicle("green freight truck thundering past us", "truck", "green"),
        _silent("Silent movie: one red ball bouncing", "impacts", "red"),
        _silent("mute the audio entirely; somebody strikes a blue bell", "bell", "blue"),
        _silent("Absolute quiet over an empty seaside panorama", "view", place="sea"),
        _silent("soundless footage of hands beating a green drum", "drum", "green"),
        _shots("Open on a drum being beaten; hard cut: a bell gets rung", _thing("drum"), _thing("bell")),
        _shots(
            "initially a red ball bounces, afterwards a blue ball bounces",
            _thing("impacts", "red"),
            _thing("impacts", "blue"),
        ),
        _shots(
            "Montage of three: woodblock raps, xylophone plinks, drum whacks",
            _thing("woodblock"),
            _thing("xylophone"),
            _thing("drum"),
        ),
        _shots(
            "a yellow bell tolls, cutaway, that very bell elsewhere",
            _thing("bell", "yellow"),
            _thing("bell", "yellow", same_object=True),
        ),
        _camera("slow dolly-in upon a red drum being whacked", "zoom in", "drum", "red"),
        _camera("camera swings rightward while a blue ball keeps bouncing", "pan right", "impacts", "blue"),
        _camera("pulling backwards from a rainy street", "zoom out", "ambience", ambience="rain", place="street"),
        _camera("leftward pan across a green bell somebody rings", "pan left", "bell", "green"),
    ),
    "test": (
        _ambience("Staring through the window as rain keeps drumming outside", "rain", "window"),
        _ambience("monsoon-like rain hammering down, houses all along", "rain", "street", strength="strong"),
        _ambience("A drizzly afternoon somewhere near trees", "rain", "trees", strength="soft"),
        _ambience("raindrops falling upon the ocean, unseen", "rain", "sea"),
        _ambience("Storm gusts whistling past curtains", "wind", "window", strength="strong"),
        _ambience("a whisper of wind between the houses of some village street", "wind", "street", strength="soft"),
        _ambience("treetops swaying, gusty wind all around", "wind", "trees"),
        _ambience("blustery seaside, wind roaring over the shoreline", "wind", "sea", strength="strong"),
        _ambience("shoreline at sundown with the ebb and flow of waves", "waves", "sea", daylight="dusk"),
        _ambience("Waves pounding violently near a moonlit beach", "waves", "sea", strength="strong", daylight="night"),
        _ambience("somewhere behind those trees the ocean murmurs, wave upon wave", "waves", "trees"),
        _ambience("seaside hotel room: window, curtains, waves from afar", "waves", "window", strength="soft"),
        _ambience("rush-hour traffic drones on beneath my window", "traffic", "window", strength="strong"),
        _ambience("midnight street; a highway's traffic hums far away", "traffic", "street", daylight="night"),
        _ambience("motorway roar although nothing but trees is visible", "traffic", "trees"),
        _ambience("Podcast intro ambience: pure rainfall, nobody speaking", "rain"),
        _vehicle("vroom! a red car races rightwards", "car", "red", RIGHT, pace="fast"),
        _vehicle("An orange taxi-like car cruises lazily leftwards", "car", "orange", LEFT, pace="slow"),
        _vehicle("Doppler lesson: purple car whizzing past pedestrians", "car", "purple", pace="fast"),
        _vehicle("one green hatchback car motors along a tree-lined lane", "car", "green", place="trees"),
        _vehicle("grandpa's blue car dawdles through town", "car", "blue", pace="slow", place="street"),
        _vehicle("postal van, yellow, hurrying rightward", "van", "yellow", RIGHT, pace="fast"),
        _vehicle("A plumber's red van appears left, vanishes right", "van", "red", RIGHT),
        _vehicle("orange van humming along the high street", "van", "orange", place="street"),
        _vehicle("double-length blue bus crawling leftward", "bus", "blue", LEFT, pace="slow"),
        _vehicle("commuters' green bus whooshes by", "bus", "green"),
        _vehicle("Night-line? No, an ordinary purple bus travelling rightwards", "bus", "purple", RIGHT),
        _vehicle("the tourist bus, painted red, rumbles beside trees", "bus", "red", place="trees"),
        _vehicle("rumbling diesel engine, yellow truck, right edge towards left edge", "truck", "yellow", LEFT),
        _vehicle("heavy-duty orange truck hurtles rightward", "truck", "orange", RIGHT, pace="fast"),
        _vehicle("a blue haulage truck growls past houses", "truck", "blue", place="street"),
        _vehicle("unmistakable pitch drop: some truck went past", "truck"),
        _silent("Noiseless clip, yellow ball hopping up and down", "impacts", "yellow"),
        _silent("A ball, purple, bounces although you cannot perceive any audio", "impacts", "purple"),
        _silent("zero audio: a blue metal ball bouncing across stone", "impacts", "blue", ball_materials=["metal"]),
        _silent("two rebounds of an orange ball, perfectly hushed", "impacts", "orange", count=2),
        _silent("Somebody pounds the red drum yet it remains mute", "drum", "red"),
        _silent("pantomime drummer with a yellow drum, audio track empty", "drum", "yellow"),
        _silent("Three blows upon an orange drum, audio disabled", "drum", "orange", count=3),
        _silent("ghostly quiet bell, green, swinging from its blow", "bell", "green"),
        _silent("volume zero; purple bell struck thrice", "bell", "purple", count=3),
        _silent("an inaudible rainbow xylophone performance", "xylophone", "rainbow"),
        _silent("a blue xylophone played behind soundproof glass", "xylophone", "blue"),
        _silent("Woodblock, red, tapped twice, speakers unplugged", "woodblock", "red", count=2),
        _silent("a motionless green ball, dead quiet", "impacts", "green", still=True),
        _silent("nobody touches the yellow bell, hush everywhere", "bell", "yellow", still=True),
        _silent("deserted street, not one noise", "view", place="street"),
        _silent("peaceful hushed woodland: trees, nothing audible", "view", place="trees"),
        _shots(
            "Scene A has a green drum whacked, scene B a purple bell clanged",
            _thing("drum", "green"),
            _thing("bell", "purple"),
        ),
        _shots(
            "begin on a yellow ball bouncing upon wood, jump-cut: a red drum gets beaten",
            _thing("impacts", "yellow", floor="wood"),
            _thing("drum", "red"),
        ),
        _shots(
            "bell first, xylophone afterwards, a sharp edit separating both",
            _thing("bell"),
            _thing("xylophone"),
        ),
        _shots(
            "opening: an orange woodblock rapped twice. ending: a blue drum thumped once",
            _thing("woodblock", "orange", count=2),
            _thing("drum", "blue", count=1),
        ),
        _shots(
            "video edit: rainbow xylophone, smash cut towards a bouncing green ball",
            _thing("xylophone", "rainbow"),
            _thing("impacts", "green"),
        ),
        _shots(
            "Start with one purple ball hitting stone, switch over to a purple ball hitting metal",
            _thing("impacts", "purple", floor="stone"),
            _thing("impacts", "purple", floor="metal"),
        ),
        _shots(
            "red drum, edit, identical red drum in another room",
            _thing("drum", "red"),
            _thing("drum", "red", same_object=True),
        ),
        _shots(
            "blue ball on glass; new location, unchanged blue ball, rubber ground",
            _thing("impacts", "blue", floor="glass"),
            _thing("impacts", "blue", floor="rubber", same_object=True),
        ),
        _shots(
            "our green bell chimes; elsewhere that identical bell chimes thrice",
            _thing("bell", "green"),
            _thing("bell", "green", same_object=True, count=3),
        ),
        _shots(
            "woodblock close-up, cutting afterwards onto an orange ball's bounce",
            _thing("woodblock"),
            _thing("impacts", "orange"),
        ),
        _shots(
            "trailer style: drum! bell! woodblock!",
            _thing("drum"),
            _thing("bell"),
            _thing("woodblock"),
        ),
        _shots(
            "triptych: red ball bouncing, blue drum beaten, yellow bell rung",
            _thing("impacts", "red"),
            _thing("drum", "blue"),
            _thing("bell", "yellow"),
        ),
        _shots(
            "storyboard: (i) xylophone (ii) bouncing purple ball (iii) woodblock",
            _thing("xylophone"),
            _thing("impacts", "purple"),
            _thing("woodblock"),
        ),
        _shots(
            "introduce a bell, proceed towards a drum, conclude with a xylophone",
            _thing("bell"),
            _thing("drum"),
            _thing("xylophone"),
        ),
        _shots(
            "prior to the edit somebody rings a red bell, subsequently somebody beats a red drum",
            _thing("bell", "red"),
            _thing("drum", "red"),
        ),
        _shots(
            "sequence: green ball dribbling over wood, afterwards green xylophone plinking",
            _thing("impacts", "green", floor="wood"),
            _thing("xylophone", "green"),
        ),
        _camera("push-in towards a yellow bell that someone rings", "zoom in", "bell", "yellow"),
        _camera("we glide nearer to the orange ball as it bounces, a zooming-in lens", "zoom in", "impacts", "orange"),
        _camera("gradual zoom-in, rainbow xylophone melody", "zoom in", "xylophone", "rainbow"),
        _camera(
            "creep closer, zooming inwards on the beach while waves crash",
            "zoom in",
            "ambience",
            ambience="waves",
            place="sea",
        ),
        _camera("pull-out shot: green drum, two whacks", "zoom out", "drum", "green", count=2),
        _camera("zoom-out reveals the room around a bouncing red ball", "zoom out", "impacts", "red"),
        _camera("retreating camera, blue woodblock rapped", "zoom out", "woodblock", "blue"),
        _camera("widening shot of trees, gusts of wind", "zoom out", "ambience", ambience="wind", place="trees"),
        _camera("rightward camera sweep, purple drum pounded", "pan right", "drum", "purple"),
        _camera("lens turning rightwards; a green bell tolls", "pan right", "bell", "green"),
        _camera("tracking rightward along an orange xylophone", "pan right", "xylophone", "orange"),
        _camera(
            "sweeping pan rightwards over the street, traffic murmuring",
            "pan right",
            "ambience",
            ambience="traffic",
            place="street",
        ),
        _camera("camera drifts leftward, yellow ball bouncing meanwhile", "pan left", "impacts", "yellow"),
        _camera("leftward sweep past a red woodblock being rapped", "pan left", "woodblock", "red"),
        _camera("turn your camera leftwards: blue drum, even pulse", "pan left", "drum", "blue", rhythm="even"),
        _camera("panning leftward along a rainy beach horizon", "pan left", "ambience", ambience="rain", place="sea"),
    ),
}
