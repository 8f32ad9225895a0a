"""Captions of people who talk: what is spoken stands between `<S>` and `<E>`, in the order in which it is heard.

Who speaks is said by place and looks. With two in the picture every mention tells them apart. Stated are

    people (number in the picture), spans (per span its words and speaker, counted from the left), persons (per
    character that is mentioned its number and what is said of it: person, place, hair, style, glasses, beard, clothes,
    voice), and with an effect beside them also effect (its kind) and what the caption of the effect alone states.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from vivace.world.caption_pieces import Telling, article, joined
from vivace.world.cast import Character, Line, Talk
from vivace.world.scene import Scene
from vivace.world.talk_truth import place_of
from vivace.world.wording import PLACE_WORDS

DEEP_PITCH, HIGH_PITCH = 105.0, 235.0  # Hz
NOUNS = {
    "man": ("man", "man", "man", "guy"),
    "woman": ("woman", "woman", "woman", "lady"),
    "child": ("child", "child", "kid"),
}
PRONOUNS = {"man": "he", "woman": "she", "child": "the child"}
STYLE_WORDS = {"long": ("long",), "curly": ("curly",), "short": ("short",)}
GARMENTS = ("shirt", "shirt", "sweater", "top", "pullover")
SAYS = ("says", "says", "says", "says:", "speaks:", "says the words")
ANSWERS = ("answers", "replies", "says", "responds", "says back")
CONTINUES = ("and then", "then", "and", "then says", "and then says", "pauses and says", "and after a pause")


def tell_talk(telling: Telling, scene: Scene) -> str:
    """A caption of one or two characters who talk."""
    assert scene.talk is not None
    talk = scene.talk
    telling.state("people", len(talk.characters))
    telling.state("spans", [{"words": " ".join(line.words), "speaker": line.speaker} for line in talk.lines])
    telling.state("persons", [])
    turns = [list(turn) for _, turn in groupby(talk.lines, key=lambda line: line.speaker)]
    if len(turns) == 1:
        return _solo(telling, talk, turns[0])
    return _turns(telling, talk, turns)


def tell_talk_beside(telling: Telling, scene: Scene, tell_effect: Callable[[Telling, Scene], str]) -> str:
    """A caption of an effect, told by `tell_effect`, and of somebody who talks beside it."""
    effect = "impacts" if scene.instrument is None else scene.instrument.kind
    telling.state("effect", effect)
    sound, speech = tell_effect(telling, scene), tell_talk(telling, scene)
    forms = (
        f"{sound}; {speech}",
        f"{sound}. {speech}",
        f"{sound}, and {speech}",
        f"{sound}, beside it {speech}",
        f"{speech}; {sound}",
        f"{speech}. {sound}",
        f"{speech}, and {sound}",
        f"{speech}, next to that {sound}",
    )
    return telling.one_of(forms)


def span(line: Line) -> str:
    """The words of a line as the model reads them."""
    return f"<S>{' '.join(line.words)}<E>"


def _solo(telling: Telling, talk: Talk, lines: list[Line]) -> str:
    """Only one speaks; with two in the picture the other may be mentioned as silent."""
    speaker = lines[0].speaker
    character = talk.characters[speaker]
    who = _described(telling, talk, speaker)
    words = _said(telling, lines)
    voice = _voice(telling, talk, speaker)
    noun = _noun(telling, character)
    pronoun = PRONOUNS[character.person]
    talks = telling.one_of(("talks", "speaks", "is talking", "is speaking"))
    acts = telling.one_of(("looks at us", "looks at the camera", "turns to us", talks))
    forms = [
        joined(who, telling.one_of(SAYS), words, voice),
        joined(who, telling.one_of(SAYS), words, voice),
        joined(who, "says", voice, words),
        joined(who, acts, "and says", words, voice),
        f"{words}, {joined('says', who, voice)}",
        joined("we hear", who, "say", words, voice),
        f"{joined(who, talks, voice)}: {words}",
        f"{joined(who, talks, voice)}. {pronoun} says {words}",
        f"{joined(telling.one_of(('close-up of', 'a portrait of', 'a shot of', 'there is')), who)}. "
        + joined("the", noun, "says", words, voice),
    ]
    text = telling.one_of(forms)
    if len(talk.characters) == 2 and telling.chance(0.45):
        other = _described(telling, talk, 1 - speaker)
        quiet = telling.one_of(("listens", "is silent", "says nothing", "keeps quiet", "stays silent"))
        text += telling.one_of((f", while {other} {quiet}", f"; {other} {quiet}", f". {other} {quiet}"))
    return text


def _turns(telling: Telling, talk: Talk, turns: list[list[Line]]) -> str:
    """Two speak in turn: each is described at first, and later called something short that still tells them apart."""
    known: dict[int, str] = {}
    clauses = []
    for number, lines in enumerate(turns):
        speaker = lines[0].speaker
        if speaker not in known:
            who = _described(telling, talk, speaker)
            known[speaker] = _short(telling, talk, speaker)
            voice = _voice(telling, talk, speaker)
        else:
            who, voice = known[speaker], ""
        verb = telling.one_of(SAYS if number == 0 else ANSWERS)
        clauses.append(joined(who, verb, _said(telling, lines), voice))
    opening = telling.one_of(("", "", "", "", "two people talk: ", "a conversation: ", "a dialogue. ", "two people. "))
    glue = telling.one_of((", ", ", then ", ", and ", ". ", ". then ", "; ", ", and then "))
    return opening + glue.join(clauses)


def _said(telling: Telling, lines: list[Line]) -> str:
    """'<S>two<E>, then <S>blue<E>'."""
    text = span(lines[0])
    for line in lines[1:]:
        comma = telling.one_of((" ", ", "))
        text += f"{comma}{telling.one_of(CONTINUES)} {span(line)}"
    return text


def _noun(telling: Telling, character: Character) -> str:
    return telling.one_of(NOUNS[character.person])


def _voice(telling: Telling, talk: Talk, speaker: int) -> str:
    """'in a deep voice' where it is one, stated; or an empty string."""
    pitch = talk.characters[speaker].voice.pitch
    kind = "deep" if pitch < DEEP_PITCH else "high" if pitch > HIGH_PITCH else None
    if kind is None or not telling.chance(0.25):
        return ""
    _state(telling, speaker, "voice", kind)
    return telling.one_of({"deep": ("in a deep voice", "in a low voice"), "high": ("in a high voice",)}[kind])


def _state(telling: Telling, speaker: int, name: str, value: Any) -> None:
    """Note what is said of a character."""
    persons: list[dict[str, Any]] = telling.stated["persons"]
    for person in persons:
        if person["number"] == speaker:
            person[name] = value
            return
    persons.append({"number": speaker, name: value})


def _described(telling: Telling, talk: Talk, speaker: int) -> str:
    """'the woman on the left with red hair': looks and place, enough to tell two apart."""
    character = talk.characters[speaker]
    two = len(talk.characters) == 2
    place = place_of(character)
    placed = place != "middle" and telling.chance(0.6 if two else 0.4)
    dressed = telling.chance(0.5)
    hair = _hair(telling, character) if telling.chance(0.55) else ""
    if two and not (placed or dressed):
        placed = True
    _state(telling, speaker, "person", character.person)
    where = telling.one_of(PLACE_WORDS[place]) if placed else ""
    if placed:
        _state(telling, speaker, "place", place)
    features = []
    if hair:
        _state(telling, speaker, "hair", "bald" if character.style == "bald" else character.hair)
        features.append(hair)
    if character.glasses and telling.chance(0.5):
        _state(telling, speaker, "glasses", True)
        features.append("glasses")
    if character.beard and telling.chance(0.5):
        _state(telling, speaker, "beard", True)
        features.append("a beard")
    bald = "bald" if hair == "bald" else ""
    features = [feature for feature in features if feature != "bald"]
    looks = f"with {' and '.join(features)}" if features else ""
    clothes = ""
    if dressed:
        _state(telling, speaker, "clothes", character.clothes)
        garment = telling.one_of(GARMENTS)
        colour = character.clothes
        clothes = telling.one_of((f"in {colour}", f"in {article(f'{colour} {garment}')}", f"wearing {colour}"))
    noun = joined(bald, _noun(telling, character))
    noun = f"the {noun}" if two and placed and telling.chance(0.6) else article(noun)
    order = [where, looks, clothes] if telling.chance(0.5) else [looks, clothes, where]
    return joined(noun, *order)


def _hair(telling: Telling, character: Character) -> str:
    """'long red hair', 'a brown bun', 'bald'."""
    if character.style == "bald":
        return "bald"
    if character.style == "bun":
        return telling.one_of((f"a {character.hair} bun", f"{character.hair} hair in a bun", f"{character.hair} hair"))
    style = telling.one_of(STYLE_WORDS[character.style]) if telling.chance(0.4) else ""
    return joined(style, character.hair, "hair")


def _short(telling: Telling, talk: Talk, speaker: int) -> str:
    """A short name for a later mention: by person where the two differ, else by place."""
    character, other = talk.characters[speaker], talk.characters[1 - speaker]
    if character.person != other.person and telling.chance(0.8):
        return PRONOUNS[character.person]
    _state(telling, speaker, "place", place_of(character))
    if telling.chance(0.3) and character.person == other.person:
        return f"the one {telling.one_of(PLACE_WORDS[place_of(character)])}"
    return f"the {character.person} {telling.one_of(PLACE_WORDS[place_of(character)])}"
