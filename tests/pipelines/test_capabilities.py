import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tiny import CAPABILITIES

from vivace.errors import VivaceError
from vivace.pipelines.capabilities import Abilities, Capabilities, abilities_in, names_any, spoken_words
from vivace.pipelines.folder import read_index, shipped_models
from vivace.world import WORDS, caption, sample_scene

RECIPES = Path(__file__).parents[2] / "recipes"
# By the shipped model: the recipe that wrote its folder.
EXPORTS = {"nano-nava": "nano-nava/8-export-all.toml", "nano-alive": "nano-alive-balanced/2-export.toml"}


def shipped(name: str) -> Abilities[Any]:
    return abilities_in(read_index(shipped_models()[name]))


@pytest.fixture(scope="module")
def can() -> Capabilities:
    return Capabilities.read(CAPABILITIES)


def test_a_folder_without_the_section_has_the_published_model_s(can: Capabilities) -> None:
    published = Capabilities.read(None)
    assert published.preset_named("official").official
    assert not published.preset_named(None).official
    assert published.first_frame == "held"
    assert can.preset_named(None).steps == 3


def test_bad_sections_are_refused_with_their_entry() -> None:
    for changes, where in (({"widht": 3}, "widht"), ({"seconds": -1}, "seconds"), ({"presets": {"a": {"x": 1}}}, "x")):
        with pytest.raises(VivaceError, match=where):
            Capabilities.read(CAPABILITIES | changes)
    with pytest.raises(VivaceError, match="Preset 'gone'"):
        Capabilities.read(CAPABILITIES | {"preset": "gone"})


@pytest.mark.parametrize(
    ("width", "height", "hint"), [(40, 32, "32 or 64"), (32, 0, "nearest is 32"), (32, 999, "128")]
)
def test_sizes_name_the_nearest_possible(can: Capabilities, width: int, height: int, hint: str) -> None:
    with pytest.raises(VivaceError, match=hint):
        can.check_size(width, height, 32)
    can.check_size(64, 128, 32)


def test_lengths_and_rates_out_of_range_are_refused(can: Capabilities) -> None:
    for seconds in (0, -1, float("nan"), float("inf"), 2.5, True, "1"):
        with pytest.raises(VivaceError, match="seconds"):
            can.check_seconds(seconds)  # type: ignore[arg-type]
    with pytest.raises(VivaceError, match="use 24"):
        can.check_rate(25)


def test_notes_say_what_is_outside_of_what_the_model_knows(can: Capabilities) -> None:
    assert can.notes("A red Ball falls", 32, 32, 0.2, True) == []
    assert "balls and drums" in can.notes("a cat", 32, 32, 0.2, True)[0]
    assert "32x32" in can.notes("drums", 64, 32, 0.2, True)[0]
    assert can.notes("drums", 64, 32, 0.2, False) == []
    assert "0.2 s" in can.notes("drums", 32, 32, 1.0, True)[0]
    told = "tiny was trained on clips of 0.2 s; 1.21 s (0.21 s of the given clip and 1.00 s that are new) may turn out"
    assert can.notes("drums", 32, 32, 1.21, True, shown=0.21)[0].startswith(told)


def test_many_sizes_are_named_by_the_nearest_shape() -> None:
    many = Capabilities.read(CAPABILITIES | {"sizes": [[w, 64] for w in (32, 64, 96, 128, 160)]})
    [note] = many.notes("drums", 128, 96, 0.2, True)
    assert "5 sizes, of which 96x64 has the nearest shape; 128x96 may look worse" in note
    assert many.nearest_shape(64, 64) == (64, 64)
    assert many.nearest_shape(20_000, 1) == (160, 64)


def test_words_count_as_whole_words() -> None:
    assert names_any("Two balls!", ("ball",))
    assert not names_any("a ballad", ("ball",))


def test_notes_name_words_that_the_model_never_heard() -> None:
    speaks = Capabilities.read(CAPABILITIES | {"spoken": ["two", "blue", "hello"]})
    prompt = "A drum. A woman says <S>{}<E>, a man says <S>{}<E>"
    assert speaks.notes(prompt.format("Hello, two!", "blue"), 32, 32, 3.0, False) == [
        "tiny was trained on clips of 0.2 s; 3.00 s may turn out worse."
    ]
    note = speaks.notes(prompt.format("two Elephant's", "umbrella, umbrella"), 32, 32, 3.0, False)[0]
    assert "never heard \"elephant's\", 'umbrella' in its training" in note
    assert note.endswith("heard are two, blue, hello.")
    # Words outside of the spans are seen, not said, and a model that tells no words may say any.
    assert "elephant" not in " ".join(speaks.notes("an elephant drums, <S>two<E>", 32, 32, 3.0, False))
    assert Capabilities.read(CAPABILITIES).notes("drums <S>umbrella<E>", 32, 32, 0.2, False) == []


def test_notes_tell_of_more_words_than_can_be_said() -> None:
    speaks = Capabilities.read(CAPABILITIES | {"spoken": ["two"], "lengths": [], "longest_seconds": 4.0})

    def of(words: int) -> list[str]:
        return speaks.notes(f"drums <S>two<E> <S>{' '.join(['two'] * (words - 1))}<E>", 32, 32, 2.0, False)

    assert of(6) == []
    assert of(7) == [
        "7 words do not fit into 2.00 s: tiny's people say about 3 a second at most; give seconds 3 or fewer words."
    ]
    assert of(40)[0].endswith("at most; give fewer words.")
    # Of a continued clip, what is new counts, whenever it is made.
    seven = f"drums <S>{' '.join(['two'] * 7)}<E>"
    assert "into 2.00 s" in speaks.notes(seven, 32, 32, 2.5, False, shown=0.5)[0]
    assert speaks.notes(seven, 32, 32, 2.5, False, shown=0.5, later=1.0) == []


@pytest.mark.parametrize("name", EXPORTS)
def test_a_shipped_model_tells_the_words_of_its_world_and_what_its_recipe_says(name: str) -> None:
    can = shipped(name)
    assert can.spoken == tuple(WORDS)
    assert can == type(can).read(tomllib.loads((RECIPES / EXPORTS[name]).read_text())["capabilities"])


def test_the_user_document_lists_the_words() -> None:
    text = (RECIPES.parent / "docs" / "voices.md").read_text()
    listed = " ".join(line.removeprefix("> ") for line in text.splitlines() if line.startswith("> "))
    assert listed.split(", ") == list(WORDS)


@pytest.mark.parametrize("seconds", [2.0, 4.0])
def test_what_the_world_itself_says_brings_no_note(seconds: float) -> None:
    can = shipped("nano-nava")
    told = [
        caption(sample_scene(seed, kind="talk", seconds=seconds), np.random.default_rng(seed)) for seed in range(60)
    ]
    assert sum(len(spoken_words(text)) for text in told) > 120
    assert not any(can.notes(text, 128, 128, seconds, True) for text in told)
