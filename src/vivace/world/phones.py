"""The phones of the world's voices: what the vocal tract, the noise sources and the lips do, and for how long.

Formants are those of a vocal tract of middle size (Peterson & Barney 1952 and Klatt 1980 for men, times 1.06); places
of articulation, noises and durations after Klatt 1980; the lips are ours. A phone is one to three segments of steady
targets, which `vivace.world.articulation` joins smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

_MIDDLE = 1.06


@dataclass(frozen=True)
class Noise:
    """A band of frication noise: Hz of a tract of middle size. `centre` None follows the neighbour's second formant."""

    centre: float | None
    width: float


@dataclass(frozen=True)
class Segment:
    """A stretch of steady targets.

    formants: F1 to F3 in Hz, or None: those of the sound that follows (of the one before, at a word's end).
    voicing, aspiration, frication: gains of the three sources.
    nasal, zero: share of the nasal antiresonance and its frequency in Hz.
    lips: opening 0 to 1 and width -1 (rounded) to 1 (spread); None keeps the neighbour's.
    """

    seconds: float
    formants: tuple[float, float, float] | None
    voicing: float = 0.0
    aspiration: float = 0.0
    frication: float = 0.0
    noise: Noise | None = None
    nasal: float = 0.0
    zero: float = 1000.0
    lips: tuple[float, float] | None = None


@dataclass(frozen=True)
class Phone:
    """One ARPAbet phone. `stretch` is how much of a change of rate or stress it takes (stops hardly any)."""

    name: str
    segments: tuple[Segment, ...]
    vowel: bool = False
    stretch: float = 1.0

    @property
    def seconds(self) -> float:
        return sum(segment.seconds for segment in self.segments)


def _scaled(f1: float, f2: float, f3: float) -> tuple[float, float, float]:
    return f1 * _MIDDLE, f2 * _MIDDLE, f3 * _MIDDLE


def _loudness(opening: float, level: float) -> float:
    """Gain of a vowel: an open mouth is a loud one, and so the lips agree with the sound.

    `level` makes up for how near to each other the vowel's formants are.
    """
    return level * (0.42 + 0.58 * opening)


def _vowel(
    name: str,
    formants: tuple[float, float, float],
    lips: tuple[float, float],
    seconds: float,
    level: float = 1.0,
) -> Phone:
    voicing = _loudness(lips[0], level)
    return Phone(name, (Segment(seconds, _scaled(*formants), voicing=voicing, lips=lips),), vowel=True)


def _diphthong(
    name: str,
    first: tuple[float, float, float],
    first_lips: tuple[float, float],
    last: tuple[float, float, float],
    last_lips: tuple[float, float],
    level: float = 1.0,
) -> Phone:
    parts = (
        Segment(0.105, _scaled(*first), voicing=_loudness(first_lips[0], level), lips=first_lips),
        Segment(0.085, _scaled(*last), voicing=_loudness(last_lips[0], level), lips=last_lips),
    )
    return Phone(name, parts, vowel=True)


def _glide(name: str, formants: tuple[float, float, float], seconds: float, lips: tuple[float, float]) -> Phone:
    return Phone(name, (Segment(seconds, _scaled(*formants), voicing=0.52, lips=lips),), stretch=0.6)


def _nasal(name: str, f2: float, zero: float, lips: tuple[float, float] | None) -> Phone:
    segment = Segment(0.075, _scaled(270, f2, 2300), voicing=0.36, nasal=1.0, zero=zero, lips=lips)
    return Phone(name, (segment,), stretch=0.6)


def _fricative(
    name: str, locus: tuple[float, float, float], noise: Noise, gain: float, voicing: float, lips: tuple[float, float]
) -> Phone:
    seconds = 0.105 if voicing == 0 else 0.075
    segment = Segment(seconds, _scaled(*locus), voicing=voicing, frication=gain, noise=noise, lips=lips)
    return Phone(name, (segment,), stretch=0.5)


def _stop(
    name: str,
    locus: tuple[float, float, float],
    noise: Noise,
    gain: float,
    voiced: bool,
    lips: tuple[float, float],
    hiss: tuple[Noise, float] | None = None,
) -> Phone:
    place = _scaled(*locus)
    closure = Segment(0.055 if voiced else 0.065, place, voicing=0.10 if voiced else 0.0, lips=lips)
    burst = Segment(0.010, place, frication=gain, noise=noise)
    if hiss is not None:
        release = Segment(0.06, place, frication=hiss[1], noise=hiss[0], voicing=0.08 if voiced else 0.0)
    elif voiced:
        release = Segment(0.008, None, voicing=0.3)
    else:
        release = Segment(0.036, None, aspiration=0.5)
    return Phone(name, (closure, burst, release), stretch=0.25)


_ALVEOLAR, _LABIAL, _VELAR = (320.0, 1750.0, 2650.0), (320.0, 850.0, 2150.0), (300.0, 1950.0, 2350.0)
_HISS, _HUSH = Noise(6100.0, 1000.0), Noise(3100.0, 750.0)

_ALL = (
    _vowel("IY", (270, 2290, 3010), (0.34, 1.0), 0.15, 1.08),
    _vowel("IH", (390, 1990, 2550), (0.42, 0.6), 0.11),
    _vowel("EH", (530, 1840, 2480), (0.62, 0.5), 0.13, 1.08),
    _vowel("AE", (670, 1720, 2410), (0.82, 0.6), 0.17, 1.05),
    _vowel("AA", (740, 1090, 2440), (1.0, 0.05), 0.17),
    _vowel("AO", (560, 820, 2410), (0.75, -0.6), 0.17, 0.88),
    _vowel("UH", (440, 1020, 2240), (0.42, -0.6), 0.11, 0.86),
    _vowel("UW", (295, 860, 2240), (0.28, -1.0), 0.16, 0.88),
    _vowel("AH", (640, 1190, 2390), (0.72, 0.0), 0.12),
    _vowel("ER", (470, 1330, 1660), (0.45, -0.4), 0.15, 0.93),
    _vowel("AX", (500, 1400, 2450), (0.45, 0.0), 0.075),
    _diphthong("EY", (490, 1980, 2500), (0.62, 0.5), (320, 2250, 2850), (0.36, 0.9)),
    _diphthong("AY", (740, 1180, 2420), (0.98, 0.1), (370, 2050, 2600), (0.44, 0.7)),
    _diphthong("OW", (550, 960, 2350), (0.66, -0.4), (340, 800, 2250), (0.30, -1.0), 0.9),
    _diphthong("AW", (740, 1250, 2420), (0.98, 0.1), (380, 880, 2250), (0.36, -0.9)),
    _glide("W", (290, 640, 2150), 0.065, (0.16, -1.0)),
    _glide("Y", (260, 2250, 3050), 0.06, (0.30, 0.8)),
    _glide("R", (310, 1080, 1380), 0.07, (0.26, -0.6)),
    _glide("L", (340, 950, 2750), 0.065, (0.34, 0.1)),
    _nasal("M", 1000, 950, (0.0, 0.0)),
    _nasal("N", 1500, 1750, (0.24, 0.2)),
    _nasal("NG", 2050, 3100, (0.24, 0.1)),
    _fricative("S", _ALVEOLAR, _HISS, 0.4, 0.0, (0.14, 0.5)),
    _fricative("Z", _ALVEOLAR, _HISS, 0.17, 0.24, (0.14, 0.5)),
    _fricative("F", _LABIAL, Noise(5200.0, 4200.0), 0.18, 0.0, (0.07, 0.2)),
    _fricative("V", _LABIAL, Noise(5200.0, 4200.0), 0.06, 0.28, (0.07, 0.2)),
    _fricative("TH", (320, 1350, 2550), Noise(7000.0, 2300.0), 0.17, 0.0, (0.18, 0.3)),
    Phone("HH", (Segment(0.07, None, aspiration=0.46),), stretch=0.5),
    _stop("P", _LABIAL, Noise(700.0, 700.0), 0.7, False, (0.0, 0.0)),
    _stop("B", _LABIAL, Noise(700.0, 700.0), 0.4, True, (0.0, 0.0)),
    _stop("T", _ALVEOLAR, Noise(4600.0, 1400.0), 0.75, False, (0.16, 0.3)),
    _stop("D", _ALVEOLAR, Noise(4200.0, 1400.0), 0.45, True, (0.16, 0.3)),
    _stop("K", _VELAR, Noise(None, 500.0), 0.8, False, (0.18, 0.1)),
    _stop("G", _VELAR, Noise(None, 500.0), 0.45, True, (0.18, 0.1)),
    _stop("JH", _ALVEOLAR, _HUSH, 0.5, True, (0.16, -0.5), (_HUSH, 0.36)),
)
PHONES: dict[str, Phone] = {phone.name: phone for phone in _ALL}

_SPELLED = {
    "one": "W AH N",
    "two": "T UW",
    "three": "TH R IY",
    "four": "F AO R",
    "five": "F AY V",
    "six": "S IH K S",
    "seven": "S EH V AX N",
    "eight": "EY T",
    "nine": "N AY N",
    "ten": "T EH N",
    "zero": "Z IH R OW",
    "red": "R EH D",
    "green": "G R IY N",
    "blue": "B L UW",
    "yellow": "Y EH L OW",
    "orange": "AO R IH N JH",
    "purple": "P ER P AX L",
    "silver": "S IH L V ER",
    "black": "B L AE K",
    "pink": "P IH NG K",
    "brown": "B R AW N",
    "anna": "AE N AX",
    "max": "M AE K S",
    "emily": "EH M IH L IY",
    "leo": "L IY OW",
    "mia": "M IY AX",
    "oscar": "AO S K ER",
    "lucy": "L UW S IY",
    "ruby": "R UW B IY",
    "hello": "HH AX L OW",
    "hi": "HH AY",
    "goodbye": "G UH D B AY",
    "welcome": "W EH L K AX M",
    "thanks": "TH AE NG K S",
    "please": "P L IY Z",
    "sorry": "S AA R IY",
    "morning": "M AO R N IH NG",
    "stop": "S T AA P",
    "go": "G OW",
    "wait": "W EY T",
    "look": "L UH K",
    "listen": "L IH S AX N",
    "come": "K AH M",
    "jump": "JH AH M P",
    "walk": "W AO K",
    "turn": "T ER N",
    "open": "OW P AX N",
    "close": "K L OW Z",
    "up": "AH P",
    "down": "D AW N",
    "left": "L EH F T",
    "right": "R AY T",
    "here": "HH IH R",
    "now": "N AW",
    "yes": "Y EH S",
    "no": "N OW",
    "maybe": "M EY B IY",
    "today": "T AX D EY",
    "again": "AX G EH N",
}
WORDS: dict[str, tuple[str, ...]] = {word: tuple(spelled.split()) for word, spelled in _SPELLED.items()}
