import pytest
from pydantic import ValidationError

from vivace.errors import VivaceError
from vivace.sampling.guidance import GuidanceRule, Moment
from vivace.sampling.presets import MENDED, OFFICIAL, Preset, Scale


def rule_at(
    preset: Preset, sigma: float, *, video: bool = True, audio: bool = True, voices: bool = True
) -> GuidanceRule:
    """What guides a step at a noise level."""
    return preset.rule(video=video, audio=audio, voices=voices).at(Moment(0, 1, sigma))


def test_the_official_preset_is_navas() -> None:
    rule = rule_at(OFFICIAL, 1.0)
    assert rule.weights.video is not None
    assert rule.weights.audio is not None
    assert rule.weights.video == {"conditional": 7.0, "unconditional": -3.0, "masked": -3.0, "timbre_free": 0.0}
    assert rule.weights.audio == {"conditional": 8.0, "unconditional": -2.0, "masked": -2.0, "timbre_free": -3.0}
    assert OFFICIAL.table().timesteps[0] == 999
    assert OFFICIAL.table().steps == 50


def test_the_official_rule_for_sound_alone_is_the_usual_guidance() -> None:
    rule = rule_at(OFFICIAL, 1.0, video=False, voices=False)
    assert rule.weights.video is None
    assert rule.weights.audio == {"conditional": 2.0, "unconditional": -1.0}


def test_in_the_official_convention_zero_switches_a_branch_off() -> None:
    plain = OFFICIAL.with_guides({"align": 0, "timbre": 0})
    assert plain.align is plain.timbre is None
    rule = rule_at(plain, 1.0)
    assert {name: w for name, w in (rule.weights.video or {}).items() if w} == {"conditional": 3, "unconditional": -2}
    assert {name: w for name, w in (rule.weights.audio or {}).items() if w} == {"conditional": 2, "unconditional": -1}
    assert OFFICIAL.with_guides({"align.audio": 0}).align == Scale(video=3, audio=0)
    assert MENDED.with_guides({"align": 0}).align == Scale(video=0, audio=0)


def test_the_mended_preset_is_as_strong_and_keeps_its_voices_in_the_masked_branch() -> None:
    published, mended = (rule_at(preset, 1.0) for preset in (OFFICIAL, MENDED))
    assert mended.weights == published.weights
    kept = {branch.name: branch.voices for branch in mended.branches}
    assert kept == {"conditional": True, "unconditional": False, "masked": True, "timbre_free": False}
    assert [branch.name for branch in published.branches if branch.voices] == ["conditional"]
    # A scale means the same whatever else is switched on: only the published base changes with it.
    for preset, base in ((OFFICIAL, -2.0), (MENDED, -3.0)):
        alone = rule_at(preset.model_copy(update={"align": None}), 1.0, voices=False)
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


def test_text_guides_above_its_level_only() -> None:
    preset = Preset(align=Scale(video=2, audio=1)).with_guides({"text": 4, "text.above": 0.8})
    always, never = preset.with_guides({"text.above": 0}), preset.with_guides({"text.above": 0, "text": 1})
    assert rule_at(preset, 1.0) == rule_at(always, 1.0)
    assert rule_at(preset, 0.81) == rule_at(always, 0.81)
    assert rule_at(preset, 0.8) == rule_at(never, 0.8)
    # Where it does not act it costs nothing; what else guides goes on.
    assert {branch.name for branch in rule_at(preset, 0.5).needed()} == {"conditional", "masked"}
    alone = rule_at(preset, 0.5, video=False)
    assert alone.weights.video is None
    assert [branch.name for branch in alone.needed()] == ["conditional"]


@pytest.mark.parametrize("level", [1.0, -0.1, float("nan"), True, "0.5"])
def test_levels_that_are_none_are_refused(level: float) -> None:
    with pytest.raises(VivaceError, match=r"text\.above"):
        Preset().with_guides({"text.above": level})


def test_the_published_procedure_has_no_level() -> None:
    with pytest.raises(VivaceError, match="published"):
        OFFICIAL.with_guides({"text.above": 0.5})
    with pytest.raises(ValidationError, match="text_above"):
        Preset(official=True, text_above=0.5)
    assert OFFICIAL.with_guides({"text.above": 0}) == OFFICIAL


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
