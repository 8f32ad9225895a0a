import math
import re
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.guidance import Branch, Guidance, GuidanceRule, Moment
from vivace.sampling.guidance_schedule import GuidanceSchedule, Phase
from vivace.sampling.guidance_shaping import Shaping
from vivace.sampling.loop import denoise
from vivace.sampling.mutual_guidance import mutual_guidance
from vivace.sampling.mutual_presets import MutualPreset
from vivace.sampling.presets import Scale
from vivace.sampling.schedules import euler_table
from vivace.sampling.solvers import EulerSolver

# What the network would say for (text, exchange, references), as plain numbers for (video, audio).
SAYS = {
    ("positive", True, True): (7.0, -3.0),
    ("negative", True, True): (2.0, 1.0),
    ("positive", False, True): (5.0, 4.0),
    ("negative", False, True): (-1.0, 0.5),
    ("positive", True, False): (6.0, -2.0),
    ("negative", False, False): (0.25, 8.0),
}
E1, E2, E3, E0 = (SAYS[text, on, True] for on in (True, False) for text in ("positive", "negative"))
START = Moment(0, 10, 1.0)
FORMS = ("additive", "nested")


def said(branch: Branch) -> AV[Tensor]:
    video, audio = SAYS[branch.text, branch.exchange, branch.references]
    return AV(torch.full((1, 2, 1, 1, 1), video), torch.full((1, 2, 3), audio))


def combined(guidance: Guidance, moment: Moment = START, references: bool = False) -> tuple[float, float]:
    rule = guidance.reduced(video=True, audio=True, voices=False, references=references).at(moment)
    # What is not there cannot be left out.
    shown = {b.name: said(b if references else Branch("", b.text, exchange=b.exchange)) for b in rule.needed()}
    out = rule.combine(shown)
    return out.video.flatten()[0].item(), out.audio.flatten()[0].item()


def test_the_additive_form_is_its_formula_with_scales_of_its_own_for_each_side() -> None:
    guidance = mutual_guidance(AV(5.0, 4.0), AV(3.0, 2.0))
    video = 7 + (5 - 1) * (7 - 2) + (3 - 1) * (7 - 5)
    audio = -3 + (4 - 1) * (-3 - 1) + (2 - 1) * (-3 - 4)
    assert combined(guidance) == pytest.approx((video, audio))
    assert len(guidance.reduced(video=True, audio=True, voices=False).needed()) == 3


def test_the_nested_form_is_its_formula() -> None:
    guidance = mutual_guidance(AV(5.0, 4.0), AV(3.0, 2.0), form="nested")
    video = -1 + 5 * (5 - -1) + 3 * (7 - 5)
    audio = 0.5 + 4 * (4 - 0.5) + 2 * (-3 - 4)
    assert combined(guidance) == pytest.approx((video, audio))


def test_the_fast_form_makes_two_passes_and_changes_its_negative_half_way() -> None:
    guidance = mutual_guidance(AV(5.0, 4.0), AV(5.0, 4.0), form="fast")
    early = (-1 + 5 * (7 - -1), 0.5 + 4 * (-3 - 0.5))
    late = (2 + 5 * (7 - 2), 1 + 4 * (-3 - 1))
    for index in range(10):
        moment = Moment(index, 10, 1 - index / 10)
        assert combined(guidance, moment) == pytest.approx(early if index < 5 else late)
        assert len(guidance.at(moment).needed()) == 2
    assert len(guidance.needed()) == 3


@pytest.mark.parametrize("form", FORMS)
def test_the_reference_rule_is_its_formula(form: str) -> None:
    guidance = mutual_guidance(AV(5.0, 4.0), AV(3.0, 2.0), AV(2.5, 1.5), form=form)  # type: ignore[arg-type]
    if form == "additive":
        video = 7 + 4 * (7 - 2) + 2 * (7 - 5) + 1.5 * (7 - 6)
        audio = -3 + 3 * (-3 - 1) + 1 * (-3 - 4) + 0.5 * (-3 - -2)
    else:
        video = 0.25 + 2.5 * (-1 - 0.25) + 5 * (5 - -1) + 3 * (7 - 5)
        audio = 8 + 1.5 * (0.5 - 8) + 4 * (4 - 0.5) + 2 * (-3 - 4)
    assert combined(guidance, references=True) == pytest.approx((video, audio))


@pytest.mark.parametrize("form", ["additive", "nested", "fast"])
@pytest.mark.parametrize("references", [False, True])
@pytest.mark.parametrize("above", [0.0, 0.1])
def test_scales_of_one_are_the_plain_prediction_in_one_evaluation(form: str, references: bool, above: float) -> None:
    ones = AV(1.0, 1.0)
    guidance = mutual_guidance(ones, ones, ones if references else None, form=form, above=above)  # type: ignore[arg-type]
    assert [branch.name for branch in guidance.needed()] == ["conditional"]
    for index in range(10):
        assert combined(guidance, Moment(index, 10, 1 - index / 10), references) == (7.0, -3.0)


@pytest.mark.parametrize("form", FORMS)
def test_one_side_alone_is_guided_by_text_only(form: str) -> None:
    preset = MutualPreset(form=form, text=Scale(video=4, audio=6))  # type: ignore[arg-type]
    for video, audio, scale in ((True, False, 4.0), (False, True, 6.0)):
        rule = preset.guidance(video=video, audio=audio, references=False)
        assert isinstance(rule, GuidanceRule)
        weights = rule.weights.video if video else rule.weights.audio
        used = {name: weight for name, weight in weights.items() if weight}
        assert sorted(used.values()) == [1 - scale, scale]
        assert (rule.weights.audio is None) == video


def test_mutual_guidance_acts_above_a_noise_level() -> None:
    guidance = mutual_guidance(AV(5.0, 4.0), AV(3.0, 2.0), above=0.1)
    always, never = (mutual_guidance(AV(5.0, 4.0), m) for m in (AV(3.0, 2.0), AV(1.0, 1.0)))
    for sigma in (1.0, 0.5, 0.11):
        assert combined(guidance, Moment(3, 10, sigma)) == combined(always)
    for sigma in (0.1, 0.02):
        assert combined(guidance, Moment(9, 10, sigma)) == combined(never)


def test_a_schedule_takes_the_first_phase_that_holds_and_goes_linearly() -> None:
    strong, weak = (mutual_guidance(AV(s, s), AV(1.0, 1.0)) for s in (9.0, 1.0))
    assert isinstance(strong, GuidanceRule)
    assert isinstance(weak, GuidanceRule)
    schedule = GuidanceSchedule((Phase(strong, steps=(0.0, 0.5), to=weak), Phase(strong, levels=(0.2, 0.4))), weak)
    videos = [combined(schedule, Moment(k, 8, 1 - k / 8))[0] for k in range(8)]
    expected = [7 + (s - 1) * 5 for s in (9, 7, 5, 3, 1, 9, 9, 1)]  # levels 0.375 and 0.25 are the second phase's
    assert videos == pytest.approx(expected)
    for steps in ((0.5, 0.5), (-0.1, 1.0), (0.0, 1.5)):
        with pytest.raises(VivaceError, match="no stretch"):
            GuidanceSchedule((Phase(weak, steps=steps),), weak)


def test_the_loop_evaluates_the_branches_of_each_step_only() -> None:
    seen: list[tuple[int, bool]] = []

    class Text:
        def __init__(self, *values: float) -> None:
            self.values = values

        @staticmethod
        def concat(parts: list["Text"]) -> "Text":
            return Text(*(value for part in parts for value in part.values))

    def network(latents: AV[Tensor], timesteps: AV[Tensor], context: Text, exchange: bool = True) -> AV[Tensor]:
        seen.append((len(context.values), exchange))
        rows = torch.tensor(context.values)
        return latents.map(lambda x: rows.view(-1, *(1,) * (x.ndim - 1)).expand_as(x))

    guidance = mutual_guidance(AV(2.0, 2.0), AV(2.0, 2.0), form="fast")
    contexts = {"conditional": Text(1.0), "negative": Text(3.0), "negative_solo": Text(5.0)}
    table = euler_table(4, shift=1.0)
    noise = AV(torch.zeros(1, 2, 1, 2, 2), torch.zeros(1, 3, 2))
    for together in (True, False):
        seen.clear()
        out = denoise(network, noise, contexts, guidance, table, EulerSolver(table.sigmas), together=together)  # type: ignore[arg-type]
        # 5 + 2 (1 - 5) = -3 in the first half, 3 + 2 (1 - 3) = -1 in the second.
        sigmas = torch.from_numpy(table.sigmas)
        expected = -3 * (sigmas[2] - sigmas[0]) - (sigmas[4] - sigmas[2])
        torch.testing.assert_close(out.audio, expected.expand(1, 3, 2))
        if together:
            assert seen == [(1, True), (1, False)] * 2 + [(2, True)] * 2
        else:
            assert len(seen) == 8


def test_rescaling_brings_back_the_spread_of_the_plain_prediction() -> None:
    plain = AV(torch.randn(2, 3, 4, 5, 5), torch.randn(2, 6, 7))
    guided = plain.map(lambda x: 4 * x)
    full = Shaping(rescale=AV(1.0, 1.0)).shaped(guided, plain, plain, AV(0.5, 0.5))
    torch.testing.assert_close(full.video, plain.video)
    half = Shaping(rescale=AV(0.0, 0.5)).shaped(guided, plain, plain, AV(0.5, 0.5))
    assert torch.equal(half.video, guided.video)
    torch.testing.assert_close(half.audio, 2.5 * plain.audio)


def test_projection_and_limit_are_their_formula() -> None:
    # One frame of two channels: x = (2, 1), plain v = (0, 1), sigma = 0.5: clean = (2, 0.5); guided v = (-6, -7).
    sigma = 0.5
    latents, plain, guided = (torch.tensor(v).view(1, 2, 1, 1, 1) for v in ([2.0, 1.0], [0.0, 1.0], [-6.0, -7.0]))
    clean, added = torch.tensor([2.0, 0.5]), torch.tensor([3.0, 4.0])  # -sigma (guided - plain)
    along = (added @ clean) / (clean @ clean) * clean
    for shaping, expected in (
        (Shaping(limit=AV(1.0, None)), added / 5),
        (Shaping(limit=AV(10.0, None)), added),
        (Shaping(parallel=0.0), added - along),
        (Shaping(limit=AV(1.0, None), parallel=0.25), (added - 0.75 * along) / 5),
    ):
        out = shaping.shaped(AV(guided), AV(plain), AV(latents), AV(sigma))
        assert out.audio is None
        torch.testing.assert_close(latents.flatten() - sigma * out.video.flatten(), clean + expected)


def test_shaping_leaves_the_plain_prediction_alone() -> None:
    plain = AV(torch.randn(2, 3, 4, 5, 5), torch.randn(2, 6, 7))
    shaping = Shaping(AV(0.7, 0.7), AV(0.1, 0.1), parallel=0.0)
    out = shaping.shaped(plain, plain, plain.map(torch.randn_like), AV(0.3, 0.9))
    torch.testing.assert_close(out.video, plain.video)
    torch.testing.assert_close(out.audio, plain.audio)


def test_guides_of_a_preset() -> None:
    preset = MutualPreset()
    changed = preset.with_guides({"mutual.audio": 2, "mutual": 4, "references.video": 1.5})
    assert changed.mutual == Scale(video=4, audio=2)
    assert changed.references == Scale(video=1.5, audio=1)
    assert preset.shaping() is None
    assert MutualPreset(limit=Scale(video=27, audio=5), parallel=0.5).shaping() == Shaping(AV(), AV(27.0, 5.0), 0.5)
    with pytest.raises(VivaceError, match="out of range"):
        preset.with_guides({"mutual": float("nan")})


def test_guides_reach_what_shapes_guidance_and_where_it_acts() -> None:
    preset = MutualPreset(form="nested")
    changed = preset.with_guides({"rescale.audio": 0.2, "rescale": 0.7, "limit.video": 27, "parallel": 0.5})
    assert changed.rescale == Scale(video=0.7, audio=0.2)
    assert changed.parallel == 0.5
    # A limit for the picture alone is none for the sound.
    assert changed.shaping() == Shaping(AV(0.7, 0.2), AV(27.0, None), 0.5)
    off = {"rescale": 0, "limit": 0, "parallel": 1, "mutual.above": 0}
    assert changed.with_guides(off).shaping() is None
    assert changed.with_guides({"limit.audio": 5}).limit == Scale(video=27, audio=5)
    above = preset.with_guides({"mutual.above": 0.3, "mutual": 4})
    assert (above.mutual_above, above.mutual) == (0.3, Scale(video=4, audio=4))
    plain = preset.with_guides({"mutual": 1})
    for level, same in ((0.31, preset.with_guides({"mutual": 4})), (0.3, plain)):
        moment = Moment(0, 1, level)
        rules = [p.guidance(video=True, audio=True, references=False).at(moment) for p in (above, same)]
        assert rules[0] == rules[1]


@pytest.mark.parametrize("form", ["additive", "nested", "fast"])
def test_guides_of_one_are_the_plain_prediction(form: str) -> None:
    ones = {"text": 1, "mutual": 1, "references": 1, "rescale": 0, "limit": 0}
    preset = MutualPreset(form=form, rescale=Scale(video=1, audio=1)).with_guides(ones)  # type: ignore[arg-type]
    guidance = preset.guidance(video=True, audio=True, references=True)
    assert preset.shaping() is None
    assert [branch.name for branch in guidance.needed()] == ["conditional"]
    assert combined(guidance, references=True) == (7.0, -3.0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mutual.above", (1.0, -0.1, math.nan, True, "0.5")),
        ("rescale", (1.1, -0.1, math.nan, True, "0.5")),
        ("rescale.audio", (2,)),
        ("parallel", (1.1, -0.1, math.nan, True, None)),
        ("limit", (-1, math.inf, math.nan, True, "20")),
        ("limit.video", (-1,)),
    ],
)
def test_guides_that_are_no_such_number_are_refused(name: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(VivaceError, match=rf"^Guide {re.escape(name)} = .* is no .*give .*such as [^\n]*\.$"):
            MutualPreset().with_guides({name: value})


@pytest.mark.parametrize(
    "name", ["timbre", "text.above", "mutual_above", "rescale.above", "parallel.video", "above", "", "."]
)
def test_unknown_guides_are_refused_with_those_that_are_known(name: str) -> None:
    known = r"text, mutual or references, rescale or limit, .* mutual\.above or parallel\.$"
    with pytest.raises(VivaceError, match=rf"^Guide '{re.escape(name)}' is unknown; use {known}"):
        MutualPreset().with_guides({name: 0.5})


def test_the_fast_form_has_no_level() -> None:
    fast = MutualPreset(form="fast")
    with pytest.raises(VivaceError, match=r"fast form has no mutual\.above"):
        fast.with_guides({"mutual.above": 0.5})
    with pytest.raises(ValidationError, match="mutual_above"):
        MutualPreset(form="fast", mutual_above=0.5)
    assert fast.with_guides({"mutual.above": 0}) == fast


def test_what_makes_no_sense_is_refused() -> None:
    ones = AV(1.0, 1.0)
    with pytest.raises(VivaceError, match="one strength"):
        mutual_guidance(AV(2.0, 2.0), ones, form="fast")
    with pytest.raises(VivaceError, match="noise level"):
        mutual_guidance(ones, ones, above=1.0)
    with pytest.raises(VivaceError, match=r"mutual\.video"):
        mutual_guidance(ones, AV(float("inf"), 1.0))
