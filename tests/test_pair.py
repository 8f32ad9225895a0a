"""The pair: what is mapped over, and what an absent side does."""

import pytest

from vivace.pair import AV, MODALITIES


def test_present_sides_in_order():
    assert list(AV(video=1, audio=2).items()) == [("video", 1), ("audio", 2)]
    assert list(AV(audio=2).items()) == [("audio", 2)]
    assert list(AV().items()) == []
    assert [AV(1, 2).get(modality) for modality in MODALITIES] == [1, 2]
    assert AV.of(3) == AV(3, 3)


def test_map_applies_to_present_sides_only():
    assert AV(1, 2).map(lambda x: x * 10) == AV(10, 20)
    assert AV(video=1).map(lambda x: x * 10) == AV(video=10)
    assert AV().map(lambda x: 1 / 0) == AV()


def test_map_takes_further_pairs_side_by_side():
    assert AV(1, 2).map(lambda a, b, c: a + b * c, AV(10, 20), AV(3, 4)) == AV(31, 82)
    # A side that only the others have is not asked for.
    assert AV(video=1).map(lambda a, b: a + b, AV(10, 20)) == AV(video=11)


def test_falsy_values_are_present():
    assert list(AV(0, "").items()) == [("video", 0), ("audio", "")]
    assert AV(0, 0).map(lambda a, b: a + b, AV(0, 5)) == AV(0, 5)


@pytest.mark.parametrize("lacking", [AV(video=1), AV(audio=1), AV()])
def test_a_side_that_others_lack_is_an_error(lacking):
    with pytest.raises(ValueError, match="absent"):
        AV(1, 2).map(lambda a, b: a + b, lacking)


def test_a_pair_does_not_change():
    with pytest.raises(AttributeError):
        AV(1, 2).video = 3
