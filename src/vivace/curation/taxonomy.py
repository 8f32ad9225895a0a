"""Three levels of labels over nine domains, each leaf with what is seen and what is heard of it.

The nine domains are Alive's; the levels below them and the keywords are ours. One object may make many sounds: a leaf
is chosen by what is seen, and each of its sounds that is told of becomes a joint keyword.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

DOMAINS = (
    "Animals",
    "Home Sounds",
    "Entertainment",
    "Environment",
    "Food",
    "Nature",
    "Sound Effects",
    "Vehicles",
    "Sports",
)
OTHER = "Other/other/other"  # of what no leaf fits
# domain | second level | leaf | words for what is seen | words for what is heard
_TABLE = """
Animals | pets | dog | dog puppy hound | bark barks barking whine growl howl panting
Animals | pets | cat | cat kitten | meow meows purr hiss
Animals | farm | horse | horse pony | neigh hooves gallop snort
Animals | farm | cow | cow cattle calf | moo mooing
Animals | farm | sheep | sheep lamb goat | bleat baa
Animals | farm | poultry | hen chicken rooster duck goose | cluck crow quack honk
Animals | wild | bird | bird parrot gull crow sparrow | chirp song tweet squawk caw
Animals | wild | insect | insect bee fly cricket cicada | buzz chirping hum
Animals | wild | big cat | lion tiger leopard | roar growl
Home Sounds | rooms | door | door gate drawer | creak slam knock squeak latch
Home Sounds | rooms | clock | clock watch alarm | tick ticking chime ring
Home Sounds | rooms | telephone | telephone phone | ringtone ring dial vibration
Home Sounds | machines | vacuum cleaner | vacuum hoover | whirr hum drone
Home Sounds | machines | washing machine | washing dryer dishwasher | rumble spin beep
Home Sounds | machines | keyboard | keyboard typewriter computer | typing click clack
Home Sounds | water | tap | tap faucet sink bath shower | drip running splash gurgle
Entertainment | people | speech | man woman child person boy girl guy lady kid | says speech voice talking
Entertainment | people | singing | singer choir | singing song vocals hum
Entertainment | people | crowd | audience crowd | applause cheer laughter clapping
Entertainment | percussion | drum | drum drums | drum beat tap thump boom
Entertainment | percussion | bell | bell bells gong | ring ringing chime clang
Entertainment | percussion | woodblock | woodblock block | knock clack tap click
Entertainment | percussion | xylophone | xylophone marimba bars | note notes melody chime
Entertainment | strings | guitar | guitar banjo ukulele | strum pluck chord
Entertainment | strings | violin | violin cello fiddle | bowing note melody
Entertainment | keys | piano | piano organ | chord note melody
Entertainment | wind | trumpet | trumpet horn flute saxophone | blare note melody
Environment | town | street | street city town square road | traffic bustle murmur
Environment | town | workshop | workshop factory building | hammering sawing drilling machines
Environment | town | church | church tower | bells chime
Environment | inside | room | room wall hall | hum silence echo
Environment | inside | restaurant | restaurant cafe bar | murmur clatter
Food | cooking | frying | pan stove steak | sizzle frying
Food | cooking | boiling | pot kettle | boil bubbling whistle
Food | cooking | cutting | knife board vegetables | chop cutting
Food | eating | drink | glass cup bottle coffee tea | pour clink fizz slurp
Food | eating | eating | plate apple chips | crunch chewing
Nature | weather | rain | rain umbrella puddle | rain patter drip
Nature | weather | thunder | storm lightning clouds | thunder rumble crack
Nature | weather | wind | wind leaves grass field meadow | wind rustle howl
Nature | water | sea | sea beach waves shore ocean | waves surf crash
Nature | water | stream | stream river waterfall brook lake | babble rush splash
Nature | land | fire | fire campfire flames | crackle roar
Nature | land | forest | forest woods trees hills mountains | birdsong rustle
Sound Effects | impacts | ball | ball marble | bounce bounces thud knock clink clang click thump
Sound Effects | impacts | falling object | box stone brick | crash thud drop
Sound Effects | impacts | breaking | window vase mirror | shatter smash
Sound Effects | tools | hammer | hammer nail | bang hammering
Sound Effects | tools | saw | saw drill | buzz whine sawing
Sound Effects | made | explosion | explosion fireworks rocket | bang boom explosion
Vehicles | road | car | car taxi van | engine horn skid drives
Vehicles | road | truck | truck lorry bus tractor | engine rumble brakes
Vehicles | road | motorbike | motorbike motorcycle scooter | engine roar rev
Vehicles | road | bicycle | bicycle bike | bell spokes ring
Vehicles | rail | train | train tram locomotive | rattle horn rumble whistle
Vehicles | air | aeroplane | aeroplane plane jet helicopter | engine roar rotor
Vehicles | water | boat | boat ship ferry | horn motor splash
Sports | ball games | tennis | tennis racket | hit bounce grunt
Sports | ball games | football | football goal soccer | kick whistle cheer
Sports | ball games | basketball | basketball hoop | dribble bounce swish
Sports | others | skating | skateboard skates | roll scrape
Sports | others | swimming | swimmer pool | splash
Sports | others | running | runner jogger | footsteps breathing
Sports | others | boxing | boxer gloves | punch thud
"""


@dataclass(frozen=True)
class Leaf:
    """A label of the third level with its words."""

    domain: str
    group: str
    name: str
    seen: frozenset[str]
    heard: frozenset[str]

    @property
    def path(self) -> str:
        return f"{self.domain}/{self.group}/{self.name}"


@lru_cache(maxsize=1)
def leaves() -> tuple[Leaf, ...]:
    """All leaves, in the order of the table."""
    found = []
    for line in _TABLE.strip().splitlines():
        domain, group, name, seen, heard = (part.strip() for part in line.split("|"))
        found.append(Leaf(domain, group, name, frozenset(seen.split()), frozenset(heard.split())))
    return tuple(found)


@lru_cache(maxsize=1)
def paths() -> frozenset[str]:
    """All labels of the three levels, as "Animals", "Animals/pets" or "Animals/pets/dog"."""
    whole = [*(leaf.path for leaf in leaves()), OTHER]
    return frozenset("/".join(path.split("/")[:depth]) for path in whole for depth in (1, 2, 3))


def label(seen: str, heard: str) -> list[tuple[Leaf, tuple[str, ...]]]:
    """The leaves whose words stand in what is seen, each with its own words for what is heard; surest first.

    A leaf of which something is both seen and heard goes before one that is only seen; among equals the one with more
    words goes first. What is only heard has no label: its source is not in the picture.

    Args:
        seen: text about the picture. heard: text about the sound, speech left out.
    """
    shown, sounding = set(_words(seen)), _words(heard)
    found = []
    for place, leaf in enumerate(leaves()):
        visible = leaf.seen & shown
        if visible:
            audible = tuple(dict.fromkeys(word for word in sounding if word in leaf.heard))
            found.append((bool(audible), len(visible) + len(audible), -place, leaf, audible))
    found.sort(key=lambda entry: entry[:3], reverse=True)
    return [(leaf, audible) for *_, leaf, audible in found]


def _words(text: str) -> list[str]:
    """Lower-case words, plurals also in the singular."""
    found = re.findall(r"[a-z]+", text.lower())
    return found + [word[:-1] for word in found if word.endswith("s")]
