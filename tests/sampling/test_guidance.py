from importlib.resources import files
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.guidance import Branch, GuidanceRule, nava_rule

GOLDEN = Path(str(files("vivace.evaluation"))) / "golden" / "nava"
GOLDEN_NAMES = {"conditional": "cond", "unconditional": "uncond", "masked": "masked", "timbre_free": "timbre_free"}


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "guidance_combination.safetensors")


def _predictions(golden: dict[str, torch.Tensor]) -> dict[str, AV[torch.Tensor]]:
    return {ours: AV(golden[f"{name}.video"], golden[f"{name}.audio"]) for ours, name in GOLDEN_NAMES.items()}


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("timbre", [True, False])
def test_the_official_rule_is_the_published_one(golden: dict[str, torch.Tensor], align: bool, timbre: bool) -> None:
    video, audio, align_video, align_audio, voice = golden["scales.video_audio_videoalign_audioalign_timbre"].tolist()
    rule = nava_rule(
        AV(video, audio), AV(align_video, align_audio) if align else None, voice if timbre else None, official=True
    )
    out = rule.combine(_predictions(golden))
    switch = {True: "on", False: "off"}
    torch.testing.assert_close(out.video, golden[f"out.video.align_{switch[align]}"], atol=1e-5, rtol=1e-6)
    expected = golden[f"out.audio.align_{switch[align]}.timbre_{switch[timbre]}"]
    torch.testing.assert_close(out.audio, expected, atol=1e-5, rtol=1e-6)


def test_our_rule_is_the_formula_and_a_scale_is_what_it_says(golden: dict[str, torch.Tensor]) -> None:
    predictions = _predictions(golden)
    p, n, m, t = (predictions[name].audio for name in GOLDEN_NAMES)
    out = nava_rule(AV(3.0, 2.5), AV(1.0, 0.5), 0.75).combine(predictions)
    torch.testing.assert_close(out.audio, n + 2.5 * (p - n) + 0.5 * (p - m) + 0.75 * (p - t), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "rule",
    [
        nava_rule(AV(1.0, 1.0)),
        nava_rule(AV(1.0, 1.0), AV(0.0, 0.0), 0.0),
        nava_rule(AV(0.0, 0.0), AV(0.0, 0.0), 0.0, official=True),
        nava_rule(AV(1.0, 1.0), official=True),
    ],
)
def test_neutral_scales_are_the_plain_prediction_in_one_evaluation(
    golden: dict[str, torch.Tensor], rule: GuidanceRule
) -> None:
    assert [branch.name for branch in rule.needed()] == ["conditional"]
    predictions = _predictions(golden)
    out = rule.combine({"conditional": predictions["conditional"]})
    torch.testing.assert_close(out.video, predictions["conditional"].video)
    torch.testing.assert_close(out.audio, predictions["conditional"].audio)


@pytest.mark.parametrize("official", [True, False])
@pytest.mark.parametrize("scales", [(3.0, 2.0, 3.0, 2.0, 3.0), (0.0, 7.5, -1.0, 0.1, 0.3), (-2.0, 99.0, 0.0, 33.3, 0)])
def test_weights_sum_to_one_so_agreeing_branches_are_left_alone(official: bool, scales: tuple[float, ...]) -> None:
    text_video, text_audio, align_video, align_audio, timbre = scales
    rule = nava_rule(AV(text_video, text_audio), AV(align_video, align_audio), timbre, official=official)
    same = AV(torch.randn(5, 4), torch.randn(7))
    out = rule.combine({branch.name: same for branch in rule.needed()})
    torch.testing.assert_close(out.video, same.video, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(out.audio, same.audio, atol=1e-4, rtol=1e-4)


def test_timbre_never_touches_the_picture_and_unneeded_branches_are_not_run() -> None:
    rule = nava_rule(AV(3.0, 2.0), None, 3.0)
    assert [b.name for b in rule.needed()] == ["conditional", "unconditional", "timbre_free"]
    assert rule.weights.video is not None
    assert rule.weights.video["timbre_free"] == 0


@pytest.mark.parametrize("official", [True, False])
def test_reducing_merges_equal_branches_and_keeps_the_result(official: bool) -> None:
    rule = nava_rule(AV(3.0, 2.0), AV(3.0, 2.0), 3.0, official=official)
    p, n = torch.randn(6), torch.randn(6)
    # One modality and no voices: masked and timbre-free predictions are the conditional one.
    alone = rule.reduced(video=False, audio=True, voices=False)
    assert [b.name for b in alone.needed()] == ["conditional", "unconditional"]
    full = {"conditional": p, "unconditional": n, "masked": p, "timbre_free": p}
    expected = rule.combine({name: AV(None, value) for name, value in full.items()})
    out = alone.combine({"conditional": AV(None, p), "unconditional": AV(None, n)})
    torch.testing.assert_close(out.audio, expected.audio)
    assert out.video is None


def test_without_voices_the_masked_branch_stays_when_both_modalities_run() -> None:
    rule = nava_rule(AV(3.0, 2.0), AV(1.0, 1.0), 2.0).reduced(video=True, audio=True, voices=False)
    assert [b.name for b in rule.needed()] == ["conditional", "unconditional", "masked"]


def test_a_rule_of_ones_own() -> None:
    branches = (Branch("all"), Branch("silent", exchange=False))
    rule = GuidanceRule(branches, AV({"all": 2.0, "silent": -1.0}, {"all": 1.0}))
    out = rule.combine({"all": AV(torch.ones(2), torch.ones(3)), "silent": AV(torch.zeros(2), torch.zeros(3))})
    torch.testing.assert_close(out.video, torch.full((2,), 2.0))
    torch.testing.assert_close(out.audio, torch.ones(3))


def test_bad_rules_and_scales_are_refused() -> None:
    with pytest.raises(VivaceError, match="sum to 1"):
        GuidanceRule((Branch("a"),), AV({"a": 2.0}, {"a": 1.0}))
    with pytest.raises(VivaceError, match="none of its branches"):
        GuidanceRule((Branch("a"),), AV({"b": 1.0}, None))
    with pytest.raises(VivaceError, match="one name"):
        GuidanceRule((Branch("a"), Branch("a", voices=False)), AV({"a": 1.0}, None))
    for bad in (float("nan"), float("inf"), 101.0):
        with pytest.raises(VivaceError, match=r"text\.audio"):
            nava_rule(AV(1.0, bad))
