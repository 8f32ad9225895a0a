import pytest
from tests.tiny import CAPABILITIES

from vivace.errors import VivaceError
from vivace.pipelines.capabilities import Capabilities, names_any


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


def test_many_sizes_are_named_by_the_nearest_shape() -> None:
    many = Capabilities.read(CAPABILITIES | {"sizes": [[w, 64] for w in (32, 64, 96, 128, 160)]})
    [note] = many.notes("drums", 128, 96, 0.2, True)
    assert "5 sizes, of which 96x64 has the nearest shape; 128x96 may look worse" in note
    assert many.nearest_shape(64, 64) == (64, 64)
    assert many.nearest_shape(20_000, 1) == (160, 64)


def test_words_count_as_whole_words() -> None:
    assert names_any("Two balls!", ("ball",))
    assert not names_any("a ballad", ("ball",))
