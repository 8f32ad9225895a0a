import pytest
from pydantic import ValidationError

from vivace.errors import VivaceError
from vivace.sampling.presets import MENDED, OFFICIAL, Preset, Scale


def test_the_official_preset_is_navas() -> None:
    rule = OFFICIAL.rule(video=True, audio=True, voices=True)
    assert rule.weights.video is not None
    assert rule.weights.audio is not None
    assert rule.weights.video == {"conditional": 7.0, "unconditional": -3.0, "masked": -3.0, "timbre_free": 0.0}
    assert rule.weights.audio == {"conditional": 8.0, "unconditional": -2.0, "masked": -2.0, "timbre_free": -3.0}
    assert OFFICIAL.table().timesteps[0] == 999
    assert OFFICIAL.table().steps == 50


def test_the_official_rule_for_sound_alone_is_the_usual_guidance() -> None:
    rule = OFFICIAL.rule(video=False, audio=True, voices=False)
    assert rule.weights.video is None
    assert rule.weights.audio == {"conditional": 2.0, "unconditional": -1.0}


def test_the_mended_preset_is_as_strong_and_keeps_its_voices_in_the_masked_branch() -> None:
    published, mended = (preset.rule(video=True, audio=True, voices=True) for preset in (OFFICIAL, MENDED))
    assert mended.weights == published.weights
    kept = {branch.name: branch.voices for branch in mended.branches}
    assert kept == {"conditional": True, "unconditional": False, "masked": True, "timbre_free": False}
    assert [branch.name for branch in published.branches if branch.voices] == ["conditional"]
    # A scale means the same whatever else is switched on: only the published base changes with it.
    for preset, base in ((OFFICIAL, -2.0), (MENDED, -3.0)):
        alone = preset.model_copy(update={"align": None}).rule(video=True, audio=True, voices=False)
        assert alone.weights.video is not None
        assert alone.weights.video["unconditional"] == base
    assert (MENDED.table().sigmas == OFFICIAL.table().sigmas).all()


def test_guides_replace_whole_or_one_side_in_any_order() -> None:
    base = Preset(text=Scale(video=3, audio=2))
    assert base.with_guides({"text.audio": 5, "text": 4}).text == Scale(video=4, audio=5)
    assert base.with_guides({"text": 4, "text.audio": 5}).text == Scale(video=4, audio=5)
    assert base.with_guides({"align.video": 1}).align == Scale(video=1, audio=0)
    assert base.with_guides({"timbre.audio": 2}).timbre == 2
    assert base.with_guides({}) == base


@pytest.mark.parametrize("name", ["reference", "text.left", "timbre.video", "", ".", "Text", "align.video.audio"])
def test_unknown_guides_are_refused(name: str) -> None:
    with pytest.raises(VivaceError, match="unknown"):
        Preset().with_guides({name: 1.0})


def test_presets_refuse_unknown_entries_and_bad_values() -> None:
    for entries in ({"step": 3}, {"steps": 0}, {"solver": "heun"}, {"shift": float("nan")}, {"text": {"video": 1}}):
        with pytest.raises(ValidationError):
            Preset.model_validate(entries)
    with pytest.raises(VivaceError, match="out of range"):
        Preset().with_guides({"text": float("inf")})
