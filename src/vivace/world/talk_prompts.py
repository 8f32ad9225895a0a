"""Talking prompts written by hand, in words that the caption grammar does not have.

Every prompt asks for at least one pair of words that training never has in this order; those of `val` belong to the
validation pairs, those of `test` to the test pairs (`vivace.world.speech_splits`). Each comes with the attributes that
its text fixes, under the names that `vivace.world.caption_speech` uses; what is not listed is free.
"""

from __future__ import annotations

import re
from typing import Any

Prompt = tuple[str, dict[str, Any]]


def _one(text: str, person: str | None = None, **looks: Any) -> Prompt:
    """One character, who says every span."""
    spoken = re.findall(r"<S>(.*?)<E>", text)
    spans = [{"words": words, "speaker": 0} for words in spoken]
    looks = {"person": person, **looks} if person else looks
    persons = [{"number": 0, **looks}] if looks else []
    return text, {"kind": "talk", "people": 1, "spans": spans, "persons": persons}


def _two(text: str, speakers: str, left: dict[str, Any] | None = None, right: dict[str, Any] | None = None) -> Prompt:
    """Two characters; `speakers` has an L or R for each span."""
    spoken = re.findall(r"<S>(.*?)<E>", text)
    spans = [{"words": words, "speaker": "LR".index(side)} for words, side in zip(spoken, speakers, strict=True)]
    persons = [
        {"number": number, "place": place, **(looks or {})}
        for number, (place, looks) in enumerate((("left", left), ("right", right)))
    ]
    return text, {"kind": "talk", "people": 2, "spans": spans, "persons": persons}


def _beside(text: str, effect: str, colour: str | None = None, person: str | None = None, **more: Any) -> Prompt:
    """One character beside a ball or an instrument."""
    prompt, stated = _one(text, person)
    coloured = {"colours": [colour]} if colour else {}
    return prompt, {**stated, "kind": "talk with effect", "effect": effect, **coloured, **more}


_MAN, _WOMAN, _CHILD = {"person": "man"}, {"person": "woman"}, {"person": "child"}

TALK_PROMPTS: dict[str, tuple[Prompt, ...]] = {
    "val": (
        _one("Face to face with a cheerful woman, her only utterance being <S>hello ruby<E>", "woman"),
        _one("an old gentleman murmurs <S>maybe two<E> into the microphone", "man"),
        _one("Little one in glasses, proudly: <S>look ten<E>", "child", glasses=True),
        _one("News anchor, orange jacket, opens with <S>goodbye black<E>", None, clothes="orange"),
        _two("Left: a bearded fellow asking <S>stop leo<E>. Right: a woman, reply: <S>no hi<E>", "LR", _MAN, _WOMAN),
        _two(
            "mother and boy; she, left, calls <S>left jump<E> and he, right, shouts <S>yes red<E>", "LR", _WOMAN, _CHILD
        ),
        _beside("the blue bell tolls twice before a lady announces <S>today walk<E>", "bell", "blue", "woman", count=2),
        _beside("Near a bouncing red ball some man counts <S>four three<E>", "impacts", "red", "man"),
    ),
    "test": (
        _one("An actress faces the lens, whispering <S>hi silver<E>", "woman"),
        _one("The ginger-haired dad, red locks, greets everyone: <S>hello again<E>", "man", hair="red"),
        _one("schoolgirl reciting <S>seven hello<E>", "child"),
        _one("A grandmother, white hair, warmly utters <S>welcome pink<E>", "woman", hair="white"),
        _one("bearded sailor bellows <S>stop come<E>", "man", beard=True),
        _one("somebody in purple pronounces <S>two seven<E> clearly", None, clothes="purple"),
        _one("video call: bespectacled man, statement <S>six open<E>", "man", glasses=True),
        _one("The teacher, a lady dressed in green, repeats <S>four nine<E> for class", "woman", clothes="green"),
        _one("A toddler giggles <S>yes silver<E>", "child"),
        _one("one bald man, one sentence: <S>come now<E>", "man", hair="bald"),
        _one("Our heroine has black hair; her line goes <S>thanks go<E>", "woman", hair="black"),
        _one("Interview snippet, male guest, quote <S>no morning<E>", "man"),
        _one("a blond lady exclaims <S>goodbye green<E>", "woman", hair="blond"),
        _one("kid wearing yellow yells <S>go stop<E>", "child", clothes="yellow"),
        _one("mumbling low, this man utters <S>black six<E>", "man"),
        _one("Commander in blue orders <S>left down<E>", None, clothes="blue"),
        _one("a quiet woman's announcement, <S>eight up<E>, nothing more", "woman"),
        _one("The storyteller, brown-haired, female, begins <S>here wait<E>", "woman", hair="brown"),
        _one("A magician mouths <S>ten oscar<E> towards you", None),
        _one("Weather man, spectacles on, predicts <S>anna left<E>", "man", glasses=True),
        _one("Youngster in orange demands <S>today three<E>", "child", clothes="orange"),
        _one("a curly-haired lady's farewell: <S>sorry here<E>", "woman", style="curly"),
        _one("Mister Red Sweater's advice is <S>jump up<E>", "man", clothes="red"),
        _one("Long-haired woman, gentle tone, <S>close purple<E>", "woman", style="long"),
        _one("He clears his throat, <S>five lucy<E>, and stares", "man"),
        _one("She sings out <S>blue yes<E>!", "woman"),
        _one("portrait photo comes alive, the boy utters <S>mia black<E>", "child"),
        _one("three-word order by a captain with beard: <S>turn left two<E>", "man", beard=True),
        _one("A receptionist, female, welcomes: <S>morning red look<E>", "woman"),
        _one("quick shout of a man: <S>up green sorry<E>", "man"),
        _one("a woman first mentions <S>zero turn<E>, waits, adds <S>nine pink<E>", "woman"),
        _one("child counting aloud: <S>two black<E> ... <S>one close<E>", "child"),
        _one("The chap in yellow mentions <S>walk no<E> followed by <S>yes six<E>", "man", clothes="yellow"),
        _one("her words, in order: <S>red five<E>, <S>oscar stop<E>", "woman"),
        _two("Left, mom: <S>hello please<E>. Right, dad: <S>thanks three<E>", "LR", _WOMAN, _MAN),
        _two("the rightmost man inquires <S>five right<E>; leftmost woman retorts <S>no one<E>", "RL", _WOMAN, _MAN),
        _two("Duet of children: left kid chirps <S>mia hi<E>, right kid echoes <S>leo emily<E>", "LR", _CHILD, _CHILD),
        _two("man left, woman right, only she talks, namely <S>look four<E>", "R", _MAN, _WOMAN),
        _two("woman left, child right, only the child chatters: <S>three blue<E>", "R", _WOMAN, _CHILD),
        _two("Two gentlemen debate. Left one: <S>wait nine<E>. Right one: <S>now open<E>", "LR", _MAN, _MAN),
        _two(
            "Sisters side by side, left sister states <S>maybe eight<E>, right sister objects <S>come listen<E>",
            "LR",
            _WOMAN,
            _WOMAN,
        ),
        _two(
            "from the right the red-clad man hollers <S>stop seven<E>, the left lady nods mutely",
            "R",
            _WOMAN,
            {"person": "man", "clothes": "red"},
        ),
        _two(
            "the bald fellow, left, grumbles <S>brown no<E>; blond girl, right, laughs <S>green red<E>",
            "LR",
            {"person": "man", "hair": "bald"},
            {"person": "child", "hair": "blond"},
        ),
        _two(
            "Couple: he (left) confesses <S>please ten<E>, she (right) forgives <S>welcome goodbye<E>",
            "LR",
            _MAN,
            _WOMAN,
        ),
        _two(
            "chat between left lady in blue and right lady in green: <S>open today<E> / <S>up sorry<E>",
            "LR",
            {"person": "woman", "clothes": "blue"},
            {"person": "woman", "clothes": "green"},
        ),
        _two("Left boy quizzes <S>ruby four<E>? Right teacher, a man: <S>six max<E>", "LR", _CHILD, _MAN),
        _two("Right woman starts <S>lucy brown<E>, left man finishes <S>nine jump<E>", "RL", _MAN, _WOMAN),
        _two(
            "ping-pong talk: left man <S>eight leo<E>, right woman <S>no<E>, left man <S>up<E>",
            "LRL",
            _MAN,
            _WOMAN,
        ),
        _two(
            "the spectacled man at left utters <S>anna oscar<E> whilst the other, a kid, merely stares",
            "L",
            {"person": "man", "glasses": True},
            _CHILD,
        ),
        _two(
            "Old lady, white-haired, left: <S>silver again<E>. Grandson, right: <S>yes now<E>",
            "LR",
            {"person": "woman", "hair": "white"},
            _CHILD,
        ),
        _beside("Ball, red, bounds on timber as a boy cheers <S>jump one<E>", "impacts", "red", "child", floor="wood"),
        _beside("Green ball beside a woman counting <S>one emily<E>", "impacts", "green", "woman"),
        _beside(
            "blue drum thumped thrice, its neighbour a man remarks <S>sorry five<E>", "drum", "blue", "man", count=3
        ),
        _beside("A lady hears the yellow bell toll, comments <S>goodbye morning<E>", "bell", "yellow", "woman"),
        _beside(
            "woodblock (orange) clacks twice; gentleman notes <S>two come<E>", "woodblock", "orange", "man", count=2
        ),
        _beside("purple ball hopping around, its small owner squeals <S>down hi<E>", "impacts", "purple", "child"),
        _beside(
            "Drum roll? One single red drum thud, thereafter <S>thanks oscar<E> by a woman",
            "drum",
            "red",
            "woman",
            count=1,
        ),
        _beside("a girl commands <S>up close<E> near her yellow bouncing ball", "impacts", "yellow", "child"),
        _beside("A monk strikes the green bell and intones <S>listen max<E>", "bell", "green", "man"),
        _beside(
            "blue woodblock rapped four times next to the lady muttering <S>close look<E>",
            "woodblock",
            "blue",
            "woman",
            count=4,
        ),
        _beside(
            "Steel floor, orange ball, and some guy warning <S>come silver<E>",
            "impacts",
            "orange",
            "man",
            floor="metal",
        ),
        _beside("the drummer boy mutters <S>here four<E> beside a purple drum", "drum", "purple", "child"),
        _beside(
            "a red bell is hammered three times; female voiceover onscreen: <S>again turn<E>",
            "bell",
            "red",
            "woman",
            count=3,
        ),
        _beside(
            "flagstones, blue ball, two rebounds, then a man's <S>now please<E>",
            "impacts",
            "blue",
            "man",
            floor="stone",
            count=2,
        ),
    ),
}
