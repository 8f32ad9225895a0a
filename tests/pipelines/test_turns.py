"""One side after the other: presets whose order is not "together"."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.tiny import tiny_alive_pipeline, tiny_pipeline

from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.pair import AV
from vivace.pipelines.clip_pipeline import ClipPipeline
from vivace.pipelines.nava import NavaPipeline
from vivace.sampling.guidance import CONDITIONAL, UNCONDITIONAL, GuidanceRule
from vivace.sampling.presets import Scale

STEPS = 3
TEXT = "a drum is struck <S>one<E>"


@pytest.fixture(scope="module", params=[tiny_pipeline, tiny_alive_pipeline], ids=["nava", "alive"])
def model(request: pytest.FixtureRequest) -> ClipPipeline:
    make: Callable[[], ClipPipeline] = request.param
    pipeline = make()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _preset(model: ClipPipeline, **changes: Any) -> Any:
    return model.abilities.preset_named(None).model_copy(update={"steps": STEPS} | changes)


def _made(model: ClipPipeline, order: str, **settings: Any) -> Any:
    return model(TEXT, seed=3, preset=_preset(model, order=order), output_type="latent", **settings)


def test_the_sound_is_that_of_sound_alone_and_the_pictures_follow_it(model: ClipPipeline) -> None:
    both, alone = _made(model, "sound-first"), _made(model, "together", modalities="audio")
    assert torch.equal(both.audio, alone.audio)
    together = _made(model, "together")
    assert both.frames.shape == together.frames.shape
    assert not torch.allclose(both.frames, together.frames, atol=1e-4)
    again = _made(model, "sound-first")
    assert torch.equal(again.frames, both.frames)


def test_pictures_are_made_for_the_sound_that_came_out(model: ClipPipeline) -> None:
    """Another sound, put in the place of the finished one, makes other pictures."""
    seen: list[tuple[int, bool]] = []

    def exchanged(_: Any, step: int, __: int, state: dict[str, Any]) -> dict[str, Any] | None:
        pair = state["latents"]
        seen.append((step, pair.video is None))
        return {"latents": AV(None, pair.audio + 1)} if step == STEPS - 1 else None

    usual, other = _made(model, "sound-first"), _made(model, "sound-first", callback_on_step_end=exchanged)
    assert seen == [(step, step < STEPS) for step in range(2 * STEPS)]
    torch.testing.assert_close(other.audio, usual.audio + 1)
    assert not torch.allclose(other.frames, usual.frames, atol=1e-4)
    plan = model.plan(TEXT, preset=_preset(model, order="sound-first"))
    assert model.steps_of(plan) == 2 * STEPS


@pytest.mark.parametrize("given", ["audio", "video", "modalities"])
def test_where_one_side_is_there_nothing_is_in_turn(model: ClipPipeline, given: str) -> None:
    timeline = model.timeline(0.2, 24)
    frames = np.random.default_rng(0).integers(0, 256, (timeline.frames, 32, 32, 3), dtype=np.uint8)
    sound = np.zeros((2, timeline.samples), np.float32)
    settings: dict[str, Any] = {
        "audio": {"audio": Clip(None, Fraction(24), sound, 16000)},
        "video": {"video": Clip(frames, Fraction(24), None, 16000)},
        "modalities": {"modalities": "video"},
    }[given]
    plan = model.plan(TEXT, preset=_preset(model, order="sound-first"), **settings)
    (turn,) = plan.turns
    assert turn is plan
    first, usual = (_made(model, order, **settings) for order in ("sound-first", "together"))
    assert torch.equal(first.latents.video, usual.latents.video)


def test_a_first_picture_is_kept_and_clips_do_not_depend_on_their_neighbours(model: ClipPipeline) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    preset = _preset(model, order="sound-first")
    many = model([TEXT, "a bell"], seed=[3, 9], preset=preset, image=picture)
    one = model("a bell", seed=9, preset=preset, image=picture)
    np.testing.assert_array_equal(many.frames[:, 0], np.stack([picture, picture]))
    torch.testing.assert_close(many.latents.video[1], one.latents.video[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(many.latents.audio[1], one.latents.audio[0], atol=1e-4, rtol=0)


def test_a_rule_of_ones_own_guides_each_side_in_its_turn(model: ClipPipeline) -> None:
    weights = {CONDITIONAL.name: 2.0, UNCONDITIONAL.name: -1.0}
    rule = GuidanceRule((CONDITIONAL, UNCONDITIONAL), AV(weights, {CONDITIONAL.name: 1.0}))
    plan = model.plan(TEXT, preset=_preset(model, order="sound-first"), rule=rule)
    sound, pictures = plan.turns
    assert [branch.name for branch in sound.rule.needed()] == [CONDITIONAL.name]
    assert [branch.name for branch in pictures.rule.needed()] == [CONDITIONAL.name, UNCONDITIONAL.name]
    assert torch.equal(
        _made(model, "sound-first", rule=rule).audio, _made(model, "together", rule=rule, modalities="audio").audio
    )


def test_a_guide_of_the_side_that_is_made_before_the_other_is_refused_unless_it_is_the_preset_s(
    model: ClipPipeline,
) -> None:
    guide, off = ("align", 0) if isinstance(model, NavaPipeline) else ("mutual", 1)
    scales = {guide: Scale(video=2.0, audio=3.0)}
    refused = {"sound-first": "audio", "pictures-first": "video", "sound-again": None, "together": None}
    named = model.abilities.preset
    for order, first in refused.items():
        preset = _preset(model, order=order, **scales)
        for side in ("video", "audio"):
            name = f"{guide}.{side}"
            if side == first:
                with pytest.raises(VivaceError, match=rf"'{name}' has nothing .*{order}.*, or take preset '{named}'"):
                    model.plan(TEXT, preset=preset, guides={name: 9})
            else:
                model.plan(TEXT, preset=preset, guides={name: 9})
            model.plan(TEXT, preset=preset, guides={name: off, "text.audio": 3, "text.video": 4})
        model.plan(TEXT, preset=preset, guides={guide: 9})
        model.plan(TEXT, preset=preset)
    with pytest.raises(VivaceError, match="unknown"):
        model.plan(TEXT, preset=_preset(model, order="sound-first"), guides={"words.audio": 2})


def test_a_guide_that_is_taken_changes_what_is_made(model: ClipPipeline) -> None:
    """And so does no guide that is refused: the sound of sound first has no other side."""
    guide = "align" if isinstance(model, NavaPipeline) else "mutual"
    for order in ("sound-first", "sound-again"):
        usual, other = _made(model, order), _made(model, order, guides={guide: 9})
        assert torch.equal(usual.audio, other.audio) == (order == "sound-first")
        assert not torch.equal(usual.frames, other.frames)


def test_a_sound_that_is_first_is_not_ahead_besides(model: ClipPipeline) -> None:
    kind = type(model.abilities.preset_named(None))
    with pytest.raises(ValidationError, match="sound_lead"):
        kind(order="sound-first", sound_lead=4.0)
    with pytest.raises(ValidationError, match="order"):
        kind(order="words-first")


def test_pictures_first_and_a_sound_for_them(model: ClipPipeline) -> None:
    both, alone = _made(model, "pictures-first"), _made(model, "together", modalities="video")
    assert torch.equal(both.frames, alone.frames)
    assert not torch.allclose(both.audio, _made(model, "sound-first").audio, atol=1e-4)


def test_a_sound_that_is_made_again_is_made_for_the_pictures(model: ClipPipeline) -> None:
    """The pictures are those of sound first; other pictures, put in their place, make another sound."""
    seen: list[tuple[bool, bool]] = []

    def exchanged(_: Any, step: int, __: int, state: dict[str, Any]) -> dict[str, Any] | None:
        pair = state["latents"]
        seen.append((pair.video is not None, pair.audio is not None))
        return {"latents": AV(pair.video + 1, pair.audio)} if step == 2 * STEPS - 1 else None

    first, again = _made(model, "sound-first"), _made(model, "sound-again")
    assert torch.equal(again.frames, first.frames)
    assert not torch.allclose(again.audio, first.audio, atol=1e-4)
    other = _made(model, "sound-again", callback_on_step_end=exchanged)
    assert seen == [(False, True)] * STEPS + [(True, True)] * 2 * STEPS
    torch.testing.assert_close(other.frames, again.frames + 1)
    assert not torch.allclose(other.audio, again.audio, atol=1e-4)
    plan = model.plan(TEXT, preset=_preset(model, order="sound-again"))
    assert model.steps_of(plan) == 3 * STEPS


@pytest.mark.parametrize("order", ["pictures-first", "sound-again"])
def test_what_is_gone_on_with_is_kept_in_every_turn(model: ClipPipeline, order: str) -> None:
    timeline = model.timeline(0.4, 24)
    rng = np.random.default_rng(5)
    frames = rng.integers(0, 256, (timeline.frames, 32, 32, 3), dtype=np.uint8)
    sound = rng.normal(0, 0.1, (2, timeline.samples)).astype(np.float32)
    clip = Clip(frames, Fraction(24), sound, 16000)
    made = model(TEXT, seed=3, preset=_preset(model, order=order), extend=clip, seconds=0.4)
    assert made.frames.shape[1] > timeline.frames
    np.testing.assert_array_equal(made.frames[0, : timeline.frames], frames)
    np.testing.assert_allclose(made.audio[0, :, : timeline.samples], sound, atol=1e-6)
