"""Captions: both written forms lead back to the same caption, and what is broken is mended or refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.curation.caption import Caption, CaptionError, Ref, Said, Sound, Subject, Text, from_nava, parse, repaired

WRITTEN = """Subjects:
[S1] a man with black hair, in red | voice: deep
[S2] a woman on the right | voice: bright
Visual: two people before a pale wall
Narration: [S1] says <W>two blue</W>, <I>a knock on wood</I>, then [S2] answers <W>three</W>."""

WORDS = st.text(alphabet="abcé字 ,.!?'(-", min_size=1, max_size=12).map(lambda t: " ".join(t.split())).filter(bool)


@st.composite
def captions(draw: st.DrawFn) -> Caption:
    names = [f"S{n + 1}" for n in range(draw(st.integers(0, 3)))]
    voices = st.one_of(st.just(""), WORDS)
    subjects = tuple(Subject(name, draw(WORDS), draw(voices)) for name in names)
    marks = [WORDS.map(Said), WORDS.map(Sound)] + ([st.sampled_from(names).map(Ref)] if names else [])
    pieces: list[Text | Ref | Said | Sound] = []
    for mark in draw(st.lists(st.one_of(marks), max_size=6)):
        pieces += [mark, Text(" " + draw(WORDS) + " ")]
    if pieces:
        pieces[-1] = Text(" " + draw(WORDS))
    return Caption(subjects, draw(WORDS), tuple(pieces))


@settings(max_examples=60, deadline=None)
@given(captions())
def test_both_forms_lead_back_to_the_caption(caption: Caption) -> None:
    assert parse(caption.to_text()) == caption
    assert from_nava(caption.to_nava()) == caption


def test_a_caption_is_read_as_it_is_meant() -> None:
    caption = parse(WRITTEN)
    assert caption.subjects[0] == Subject("S1", "a man with black hair, in red", "deep")
    assert [said.words for said in caption.said] == ["two blue", "three"]
    assert caption.sounds == ["a knock on wood"]
    assert caption.speakers() == ["S1", "S2"]
    assert caption.to_text() == WRITTEN
    assert "<S>two blue<E>" in caption.to_nava()
    assert "(sound: a knock on wood)" in caption.to_nava()


def test_a_published_prompt_stays_as_it_is() -> None:
    prompt = "A man at a desk says: <S>Good evening.<E> Rain falls outside."
    assert from_nava(prompt).to_nava() == prompt


def test_the_plain_form_names_people_by_their_looks() -> None:
    plain = parse(WRITTEN).to_plain()
    assert plain.startswith("two people before a pale wall. a man with black hair, in red says <S>two blue<E>")
    assert "[S" not in plain


def test_speeches_are_given_to_others() -> None:
    caption = parse(WRITTEN)
    swapped = caption.with_speakers(["S2", "S1"])
    assert swapped.speakers() == ["S2", "S1"]
    assert swapped.with_speakers(["S1", "S2"]) == caption
    one = parse("Subjects:\n[S1] a man\n[S2] a woman\nVisual: x\nNarration: [S1] says <W>a</W> and <W>b</W>.")
    parted = one.with_speakers(["S1", "S2"])
    assert parted.speakers() == ["S1", "S2"]
    assert parse(parted.to_text()) == parted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A man talks.", "sections"),
        ("Narration: a\nVisual: b", "sections"),
        ("Visual: a\nNarration: [S1] says <W>hello</W>", None),
        ("Subjects:\n[S1] a man\nVisual: a\nNarration: [S2] says <W>hello</W>", "S2 is mentioned"),
        ("Subjects:\n[S1] a man\n[S1] a dog\nVisual: a\nNarration: b", "one name"),
        ("Subjects:\na man\nVisual: a\nNarration: b", "no name"),
        ("Subjects:\n[S1]\nVisual: a\nNarration: b", "no looks"),
        ("Visual: a\nNarration: he says <W>hello", "stands where"),
        ("Visual: a\nNarration: he says <W></W>", "without anything"),
        ("Visual: a\nNarration: <W>a <I>b</I></W>", "stands where"),
        ("Visual:\nNarration:", "says nothing"),
    ],
)
def test_what_does_not_hold_together_is_refused(text: str, problem: str | None) -> None:
    if problem is None:
        parse(text)
        return
    with pytest.raises(CaptionError, match=problem):
        parse(text)


@pytest.mark.parametrize(
    "answer",
    [
        "```\n" + WRITTEN + "\n```",
        "<think>Who speaks?</think>Here it is:\n" + WRITTEN,
        WRITTEN.replace("Subjects:", "**Subjects:**").replace("Visual:", "## visual :"),
        WRITTEN.replace("<W>", "<S>").replace("</W>", "<E>"),
        WRITTEN.replace("<W>", "< w >").replace("</W>", "</ w>"),
        WRITTEN.replace("[S1] a man", "- S1: a man").replace("[S2] a woman", "- S2: a woman"),
    ],
)
def test_usual_slips_are_put_right(answer: str) -> None:
    assert repaired(answer) == parse(WRITTEN)


def test_unclosed_marks_end_where_the_next_begins() -> None:
    caption = repaired("Visual: a\nNarration: he says <W>hello <I>a knock</I> and <W>bye")
    assert [said.words for said in caption.said] == ["hello", "bye"]
    assert caption.sounds == ["a knock"]


@pytest.mark.parametrize("answer", ["I cannot help with that.", "", "Narration:", "{}"])
def test_nonsense_is_not_taken_for_a_caption(answer: str) -> None:
    with pytest.raises(CaptionError):
        repaired(answer)


@pytest.mark.parametrize("tags", [("<w>", "</w>"), ("< W >", "</ W >"), ("<s>", "<e>")])
def test_marks_in_other_letters_are_no_plain_text(tags: tuple[str, str]) -> None:
    """What only looks like plain text would lose its speech without a word."""
    answer = f"Subjects: none\nVisual: a wall\nNarration: someone says {tags[0]}two blue{tags[1]}"
    with pytest.raises(CaptionError):
        parse(answer)
    assert "<W>two blue</W>" in repaired(answer).to_text()
