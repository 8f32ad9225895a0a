from pathlib import Path

import pytest

from vivace.conditioning.dialogue import parse_dialogue, read_dialogue
from vivace.conditioning.prompts import speech_spans
from vivace.errors import VivaceError

HERE = Path("/voices")
SHORT = """
speakers: {anna: anna.wav, ben: {voice: ben.flac, look: the man on the right}}
anna: two blue
ben: yes
anna: no
"""
LISTED = """
speakers:
  anna: anna.wav
  ben: {voice: ben.flac, look: the man on the right}
lines:
  - anna: two blue
  - ben: yes
  - anna: no
"""
TABLED = LISTED.replace("  - ", "  ")


@pytest.mark.parametrize("text", [SHORT, LISTED, TABLED])
def test_every_way_of_writing_gives_the_same_spans_and_voices_in_order(text: str) -> None:
    dialogue = parse_dialogue(text, HERE)
    prompt = dialogue.prompt("two people in a kitchen.")
    assert prompt == (
        "two people in a kitchen. Anna says <S>two blue<E>, then the man on the right says <S>yes<E>, "
        "then anna says <S>no<E>."
    )
    assert speech_spans(prompt) == ["two blue", "yes", "no"]
    assert dialogue.voices() == [HERE / "anna.wav", HERE / "ben.flac", HERE / "anna.wav"]


@pytest.mark.parametrize("nobody", ["", "~", "null", "None", '""'])
def test_a_speaker_may_have_any_voice(nobody: str) -> None:
    assert parse_dialogue(f"speakers: {{anna: {nobody}}}\nanna: 2", HERE).voices() == [None]


def test_words_are_text_whatever_yaml_makes_of_them() -> None:
    dialogue = parse_dialogue('speakers: {no: a.wav}\nno: "on: 1e3"\n"no": 0x10  # not said', HERE)
    assert [words for _, words in dialogue.lines] == ["on: 1e3", "0x10"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no table"),
        ("- anna: hello", "no table"),
        ("just words", "no table"),
        ("anna: hello", "names no speakers"),
        ("speakers: {}\nanna: hello", "names no speakers"),
        ("speakers: [anna]\nanna: hello", "no table"),
        ("speakers: {anna: a.wav}", "nothing that is said"),
        ("speakers: {anna: a.wav}\nben: hello", "none of its speakers"),
        ("speakers: {anna: a.wav}\nanna:", "words alone"),
        ("speakers: {anna: a.wav}\nanna: <S>hello<E>", "words alone"),
        ("speakers: {anna: a.wav}\nanna: [two, blue]", "where text belongs"),
        ("speakers: {anna: {file: a.wav}}\nanna: hello", "unknown 'file'"),
        ("speakers: {anna: a.wav}\nspeakers: {ben: a.wav}\nanna: hello", "twice"),
        ("speakers: {anna: a.wav, anna: b.wav}\nanna: hello", "speakers has 'anna' twice; leave one"),
        ("speakers: {anna: {voice: a.wav, voice: b.wav}}\nanna: hello", "anna has 'voice' twice; leave one"),
        ("speakers: {anna: a.wav, ben: b.wav}\nanna: hello", "no line of its speaker 'ben'; add one, or leave"),
        ("speakers: {anna: a.wav}\nanna: two: blue", "line 2"),
        ("speakers: {anna: {look: <S>a woman<E>}}\nanna: hello", "calls 'anna' '<S>a woman<E>'.*leave <S> and <E> out"),
        ("speakers: {<S>anna: a.wav}\n<S>anna: hello", "calls '<S>anna' '<S>anna'"),
        ("speakers: {anna: {look: a <E> woman}}\nanna: hello", "leave <S> and <E> out"),
        ("speakers: {anna: a.wav", "no YAML"),
        ("speakers: \x00", "no YAML"),
        ("a: &a [*a]", "where text belongs"),
    ],
)
def test_bad_dialogues_are_refused_in_one_sentence(text: str, complaint: str) -> None:
    with pytest.raises(VivaceError, match=complaint) as caught:
        parse_dialogue(text, HERE)
    assert "\n" not in str(caught.value)


def test_a_file_is_read_and_its_voices_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "talk.yaml").write_text(SHORT)
    assert read_dialogue(tmp_path / "talk.yaml").voices()[0] == tmp_path / "anna.wav"
    (tmp_path / "noise.yaml").write_bytes(bytes(range(128, 256)))
    (tmp_path / "large.yaml").write_text("#" * 70_000)
    for name, complaint in {
        "none.yaml": "check the path",
        "noise.yaml": "line 1.*UTF-8",
        "large.yaml": "larger",
    }.items():
        with pytest.raises(VivaceError, match=complaint):
            read_dialogue(tmp_path / name)


def test_a_file_of_another_encoding_is_told_apart_from_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "talk.yaml"
    path.write_bytes(SHORT.encode("utf-8-sig"))
    assert read_dialogue(path) == parse_dialogue(SHORT, tmp_path)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        path.write_bytes(SHORT.strip().encode(encoding))
        with pytest.raises(VivaceError, match=r"UTF-16 or UTF-32.*; save it as UTF-8.$"):
            read_dialogue(path)
    path.write_bytes(SHORT.replace("two blue", "zwei grüne").encode("latin-1"))
    with pytest.raises(VivaceError, match=r"no text in UTF-8 \(line 3\); save it as UTF-8.$"):
        read_dialogue(path)


def test_a_scene_with_speech_of_its_own_is_refused() -> None:
    with pytest.raises(VivaceError, match="speech of its own"):
        parse_dialogue(SHORT, HERE).prompt("a man says <S>hi<E>")
