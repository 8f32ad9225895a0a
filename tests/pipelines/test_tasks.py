"""Every task on the tiny pipeline: what is given comes back, what is absent costs nothing."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny import tiny_alive_pipeline, tiny_pipeline

from vivace.conditioning.given import encode_pictures
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.pipelines.nava import NavaPipeline

RATE = 16000


def _pictures(count: int, height: int = 32, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _sound(seconds: float, rate: int = RATE, channels: int = 2, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))
    return (0.1 * noise).clip(-1, 1).astype(np.float32)


def _clip(frames: int = 9, height: int = 32, width: int = 32, fps: int = 24, seed: int = 0) -> Clip:
    return Clip(_pictures(frames, height, width, seed), Fraction(fps), _sound(frames / fps, seed=seed), RATE)


def test_a_first_picture_comes_back_exactly_and_changes_the_rest(pipeline: NavaPipeline) -> None:
    picture = _pictures(1)[0]
    out = pipeline("a drum", seed=1, image=picture)
    free = pipeline("a drum", seed=1)
    np.testing.assert_array_equal(out.frames[0, 0], picture)
    assert not np.array_equal(out.frames[0, 1:], free.frames[0, 1:])
    # Untrained weights make the sound faint: what the picture changes is measured against it.
    assert np.abs(out.audio - free.audio).max() > 0.001 * np.abs(out.audio).max()
    with torch.no_grad():
        clean = encode_pictures(pipeline.vae, [picture[None]], torch.device("cpu"))
    assert torch.equal(out.latents.video[:, :, :1], clean)


def test_the_published_procedure_sends_the_first_picture_through_the_codec() -> None:
    picture = _pictures(1)[0]
    published = tiny_pipeline(first_frame="overwritten")
    out = published("a drum", seed=1, image=picture)
    assert not np.array_equal(out.frames[0, 0], picture)
    with torch.no_grad():
        clean = encode_pictures(published.vae, [picture[None]], torch.device("cpu"))
    assert not torch.equal(out.latents.video[:, :, :1], clean)


def test_the_first_frame_s_procedure_is_a_setting_of_a_call(pipeline: NavaPipeline) -> None:
    picture = _pictures(1)[0]
    of_folder = tiny_pipeline(first_frame="overwritten")("a drum", seed=1, image=picture)
    for preset in (None, "aligned"):
        held, asked = (
            pipeline("a drum", seed=1, image=picture, first_frame=way, preset=preset) for way in ("held", "overwritten")
        )
        np.testing.assert_array_equal(held.frames[0, 0], picture)
        assert not np.array_equal(asked.frames[0, 0], picture)
        if preset is None:
            np.testing.assert_array_equal(asked.frames, of_folder.frames)
    for bad, given in (("freely", {"image": picture}), ("held", {})):
        with pytest.raises(VivaceError, match="first_frame"):
            pipeline.plan("a drum", first_frame=bad, **given)  # type: ignore[arg-type]


def test_a_given_sound_comes_back_and_pictures_are_made_for_it(pipeline: NavaPipeline) -> None:
    sound = _sound(0.2)
    out = pipeline("a drum", seed=1, audio=Clip(None, Fraction(24), sound, RATE))
    assert out.frames.shape == (1, 5, 32, 32, 3)
    assert out.audio.shape == (1, 2, out.timeline.samples)
    np.testing.assert_array_equal(out.audio[0, :, : sound.shape[1]], sound)
    assert not out.audio[0, :, sound.shape[1] :].any()
    other = pipeline("a drum", seed=1, audio=Clip(None, Fraction(24), _sound(0.2, seed=5), RATE))
    assert not np.array_equal(out.frames, other.frames)


def test_given_pictures_come_back_and_sound_is_made_for_them(pipeline: NavaPipeline) -> None:
    clip = Clip(_pictures(9), Fraction(24), None, RATE)
    out = pipeline("a drum", seed=1, video=clip, preset="aligned")
    np.testing.assert_array_equal(out.frames[0], clip.frames)
    assert out.audio.shape == (1, 2, round(9 / 24 * RATE))
    other = pipeline("a drum", seed=1, video=Clip(_pictures(9, seed=2), Fraction(24), None, RATE), preset="aligned")
    # Untrained weights make the sound faint: what other pictures change is measured against it.
    assert np.abs(out.audio - other.audio).max() > 0.001 * np.abs(out.audio).max()


@pytest.mark.parametrize("name", ["audio", "video"])
def test_a_given_side_costs_no_branch_and_no_decoding(pipeline: NavaPipeline, name: str, monkeypatch: Any) -> None:
    scaled = pipeline.abilities.preset_named("aligned").with_guides({"align." + name: 3, "text." + name: 5})
    plan = pipeline.plan("a drum", seed=1, preset=scaled, **{name: _clip(5)})
    assert (plan.rule.weights.video is None) == (name == "video")
    assert (plan.rule.weights.audio is None) == (name == "audio")
    assert plan.rule.needed()
    scaled = pipeline.abilities.preset_named("plain").with_guides({"align." + name: 3, "text": 1})
    unused = pipeline.plan("a drum", preset=scaled, **{name: _clip(5)})
    assert len(unused.rule.needed()) == 1
    import vivace.pipelines.clip_pipeline as room

    calls: list[str] = []
    for side, function in (("video", "decode_levels"), ("audio", "decode_audio")):
        original = getattr(room, function)
        monkeypatch.setattr(room, function, lambda *a, f=original, s=side: (calls.append(s), f(*a))[1])
    pipeline.run(plan)
    assert calls == ["audio" if name == "video" else "video"]


@pytest.mark.parametrize("modalities", ["video", "audio"])
def test_an_absent_side_is_never_computed(pipeline: NavaPipeline, modalities: Any, monkeypatch: Any) -> None:
    absent = "audio" if modalities == "video" else "video"
    seen = []
    forward = type(pipeline.transformer).forward

    def watched(self: Any, latents: Any, *rest: Any, **more: Any) -> Any:
        seen.append(latents.get(absent))
        return forward(self, latents, *rest, **more)

    monkeypatch.setattr(type(pipeline.transformer), "forward", watched)
    out = pipeline("a drum", seed=1, modalities=modalities, preset="aligned")
    assert seen
    assert all(side is None for side in seen)
    assert (out.frames is None) == (absent == "video")
    assert (out.audio is None) == (absent == "audio")


def test_a_first_picture_beside_a_given_sound(pipeline: NavaPipeline) -> None:
    picture, sound = _pictures(1)[0], _sound(0.2)
    out = pipeline("a drum", seed=1, image=picture, audio=Clip(None, Fraction(24), sound, RATE))
    np.testing.assert_array_equal(out.frames[0, 0], picture)
    np.testing.assert_array_equal(out.audio[0, :, : sound.shape[1]], sound)


@pytest.mark.parametrize("frames", [1, 3, 9, 14])
def test_a_continued_clip_begins_with_the_given_one(pipeline: NavaPipeline, frames: int) -> None:
    clip = _clip(frames)
    assert clip.frames is not None
    assert clip.audio is not None
    out = pipeline("a drum", seed=1, extend=clip, seconds=0.3)
    added = out.frames.shape[1] - frames
    assert abs(added / 24 - 0.3) < 2.1 / 24
    np.testing.assert_array_equal(out.frames[0, :frames], clip.frames)
    np.testing.assert_array_equal(out.audio[0, :, : clip.audio.shape[1]], clip.audio)
    assert abs(out.audio.shape[2] - out.frames.shape[1] / 24 * RATE) <= 1
    assert np.isfinite(out.audio).all()
    # What follows depends on what was given.
    other = pipeline("a drum", seed=1, extend=_clip(frames, seed=3), seconds=0.3)
    assert not np.array_equal(out.frames[0, frames:], other.frames[0, frames:])


@pytest.mark.parametrize("modalities", ["video", "audio"])
def test_one_side_of_a_clip_can_be_continued_alone(pipeline: NavaPipeline, modalities: Any) -> None:
    clip = _clip(9)
    out = pipeline("a drum", seed=1, extend=clip, modalities=modalities)
    assert (out.frames is None) == (modalities == "audio")
    if modalities == "audio":
        assert clip.audio is not None
        np.testing.assert_array_equal(out.audio[0, :, : clip.audio.shape[1]], clip.audio)
        assert out.audio.shape[2] > clip.audio.shape[1] + 0.15 * RATE
    else:
        np.testing.assert_array_equal(out.frames[0, :9], clip.frames)


def test_clips_of_a_batch_with_things_of_their_own_are_the_clips_alone(pipeline: NavaPipeline) -> None:
    pictures = [_pictures(1, seed=k)[0] for k in range(2)]
    clips = [_clip(5, seed=k) for k in range(2)]
    for settings in ({"image": pictures}, {"audio": clips}, {"video": clips}, {"extend": clips}):
        together = pipeline(["a ball", "a drum"], seed=[4, 5], **settings)
        for k, prompt in enumerate(["a ball", "a drum"]):
            alone = pipeline(prompt, seed=4 + k, **{name: things[k] for name, things in settings.items()})
            difference = np.abs(together.frames[k].astype(int) - alone.frames[0].astype(int))
            assert difference.max() <= 1, settings.keys()
            np.testing.assert_allclose(together.audio[k], alone.audio[0], atol=1e-4)
    shared = pipeline(["a ball", "a drum"], seed=[4, 5], image=pictures[0])
    for frames in shared.frames:
        np.testing.assert_array_equal(frames[0], pictures[0])


def test_things_of_other_sizes_and_rates_are_brought_to_the_clip_s_and_told(pipeline: NavaPipeline) -> None:
    plan = pipeline.plan("a", video=Clip(_pictures(15, 50, 80), Fraction(30), None, RATE))
    assert plan.timeline.frames == 13
    assert "last picture is shown 2 times" in plan.arranged.notes[1]
    assert "is 80x50 and is cut to its middle 50x50 and scaled to 32x32." in plan.arranged.notes[2]
    assert "shown at 24" in plan.arranged.notes[0]
    sound = Clip(None, Fraction(24), _sound(0.5, 44100, 1), 44100)
    plan = pipeline.plan("a", audio=sound, seconds=0.2)
    known = plan.arranged.known[0].sound
    assert known is not None
    assert known.shape == (2, plan.timeline.samples)
    np.testing.assert_array_equal(known[0], known[1])
    assert "resampled to 16000" in plan.arranged.notes[0]
    assert "its first 0.208 s are used" in plan.arranged.notes[1]


def test_the_trained_size_nearest_in_shape_is_taken_unless_one_is_asked_for() -> None:
    pipeline = tiny_pipeline(sizes=[[32, 32], [64, 32], [32, 64]])
    for shape, expected in (((90, 50), (32, 64)), ((40, 90), (64, 32)), ((30, 31), (32, 32))):
        plan = pipeline.plan("a", image=_pictures(1, *shape)[0])
        assert (plan.width, plan.height) == expected
    plan = pipeline.plan("a", image=_pictures(1, 90, 50)[0], width=96, height=32)
    assert (plan.width, plan.height) == (96, 32)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I", "F", "HSV"])
def test_pictures_of_any_mode(pipeline: NavaPipeline, mode: str) -> None:
    halves = np.zeros((32, 32, 3), np.uint8)
    halves[:, 16:] = 255  # black and white, which every mode can show
    picture = Image.fromarray(halves)
    grey = mode in ("1", "LA", "I", "F")
    plan = pipeline.plan("a", image=(picture.convert("L") if grey else picture).convert(mode))
    pictures = plan.arranged.known[0].pictures
    assert pictures is not None
    np.testing.assert_array_equal(pictures, halves[None])


SILENT = Clip(_pictures(5), Fraction(24), None, RATE)
BLIND = Clip(None, Fraction(24), _sound(0.3), RATE)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"audio": Clip(None, Fraction(24), _sound(0.5)[:, :1], RATE)}, "lasts 0.000 s, which is no clip; .* 0.1 s"),
        ({"audio": BLIND, "video": SILENT}, "nothing is left to make"),
        ({"image": _pictures(1)[0], "video": SILENT}, "leave image out"),
        ({"image": _pictures(1)[0], "modalities": "audio"}, "sound alone"),
        ({"audio": BLIND, "modalities": "audio"}, "leave 'only audio' out"),
        ({"video": SILENT, "modalities": "audio"}, "leave 'only audio' out"),
        ({"extend": _clip(), "image": _pictures(1)[0]}, "leave image out"),
        ({"audio": SILENT}, "without sound"),
        ({"video": BLIND}, "no pictures"),
        ({"extend": SILENT}, "give 'only video'"),
        ({"extend": BLIND}, "give 'only audio'"),
        ({"extend": _clip(9, 40, 48)}, "48x40, which tiny cannot continue; give size 32x32 to"),
        ({"extend": _clip(9, fps=30)}, "give fps 24"),
        ({"extend": _clip(9), "seconds": 3601.0}, "above 0 and up to 3600"),
        ({"video": SILENT, "seconds": 1.0}, "give seconds 0.2, or leave"),
        ({"audio": BLIND, "seconds": 1.0}, "give seconds 0.3, or leave"),
        ({"audio": Clip(None, Fraction(24), _sound(3.0), RATE)}, "give seconds up to 2"),
        ({"video": "clip.mp4"}, "read it first"),
        ({"image": "a.png"}, "read it first"),
        ({"image": [_pictures(1)[0]] * 3}, "3 things"),
        ({"extend": [_clip(9), _clip(10)], "prompt": ["a", "b"]}, "differ in length"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(
    pipeline: NavaPipeline, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(VivaceError, match=complaint) as caught:
        pipeline.plan(**{"prompt": "a drum", **settings})
    assert "\n" not in str(caught.value)


def test_the_size_that_is_named_is_a_trained_one_of_the_nearest_shape() -> None:
    pipeline = tiny_pipeline(sizes=[[64, 64], [96, 64], [64, 96]], largest_side=96)
    for height, width, named in ((384, 512, "96x64"), (512, 384, "64x96"), (40, 40, "64x64")):
        with pytest.raises(VivaceError, match=f"{width}x{height}, .* give size {named} to have them cut and scaled"):
            pipeline.plan("a", extend=_clip(9, height, width))


def test_a_guide_without_anything_to_act_on_is_refused(pipeline: NavaPipeline) -> None:
    for modalities in ("video", "audio"):
        for guide in ("align", "align.audio"):
            with pytest.raises(VivaceError, match=f"'{guide}' has nothing to act on, because the clip has one side"):
                pipeline.plan("a", modalities=modalities, guides={guide: 2})
        pipeline.plan("a", modalities=modalities, guides={"align": 0})  # which asks for what is so in any case
    pipeline.plan("a", guides={"align": 2})


@pytest.mark.parametrize(
    ("settings", "side", "why"),
    [
        ({"modalities": "video"}, "audio", "the clip has no sound"),
        ({"modalities": "audio"}, "video", "the clip has no pictures"),
        ({"audio": BLIND}, "audio", "its sound is given"),
        ({"video": SILENT}, "video", "its pictures are given"),
    ],
)
def test_a_guide_of_a_side_that_is_not_made_is_refused(settings: dict[str, Any], side: str, why: str) -> None:
    other = {"video": "audio", "audio": "video"}[side]
    for pipeline, guides in ((tiny_pipeline(), ("text",)), (tiny_alive_pipeline(), ("text", "rescale", "limit"))):
        for guide in guides:
            with pytest.raises(VivaceError, match=f"'{guide}.{side}' has nothing to act on, because {why}; leave it"):
                pipeline.plan("a", guides={f"{guide}.{side}": 0.5}, **settings)
            pipeline.plan("a", guides={guide: 0.5, f"{guide}.{other}": 0.6}, **settings)


def test_transparency_of_a_picture_object_is_told(pipeline: NavaPipeline) -> None:
    picture = Image.fromarray(_pictures(1)[0])
    assert pipeline.plan("a", image=picture.convert("RGBA")).arranged.notes == []
    picture.putalpha(90)
    told = "The given picture is transparent in places, which are shown over white."
    assert pipeline.plan("a", image=picture).arranged.notes == [told]


def test_a_continued_clip_s_sound_is_as_long_as_its_pictures(pipeline: NavaPipeline) -> None:
    """Else what is made would be heard before its place."""
    clip = _clip(13)
    assert clip.audio is not None
    for sound, note in (
        (clip.audio[:, :2000], "lasts 0.12 s and its pictures 0.54 s; silence fills the rest."),
        (
            np.concatenate([clip.audio, clip.audio], axis=1),
            "lasts 1.08 s and its pictures 0.54 s; what is more is left",
        ),
        (clip.audio[:, :-300], None),
    ):
        given = Clip(clip.frames, clip.fps, sound, RATE)
        arranged = pipeline.plan("a", extend=given, seconds=0.2).arranged
        assert [note in told for told in arranged.notes] == ([True] if note else [])
        before, tail = arranged.before[0].sound, arranged.known[0].sound
        assert before is not None
        assert tail is not None
        length = before.shape[1] + tail.shape[1]
        assert length == (clip.audio.shape[1] if note else sound.shape[1])
        np.testing.assert_array_equal(np.concatenate([before, tail], axis=1)[:, :2000], sound[:, :2000])


def test_what_a_continued_clip_s_timeline_has_of_the_given_one(pipeline: NavaPipeline) -> None:
    plan = pipeline.plan("a", extend=_clip(9), seconds=0.5)
    assert plan.arranged.shown == Fraction(5, 24)
    assert plan.timeline.seconds - plan.arranged.shown == Fraction(1, 2)
    sound = pipeline.plan("a", extend=_clip(9), seconds=0.5, modalities="audio").arranged
    assert abs(float(sound.shown) - 5 / 24) < 0.001
    assert pipeline.plan("a", image=_pictures(1)[0]).arranged.shown == 0


def test_a_clip_of_another_size_is_continued_where_the_size_is_asked_for(pipeline: NavaPipeline) -> None:
    plan = pipeline.plan("a", extend=_clip(9, 40, 48, fps=30), width=32, height=32, fps=24)
    assert len(plan.arranged.notes) == 2
    assert plan.arranged.known[0].pictures is not None
    assert plan.arranged.known[0].pictures.shape == (5, 32, 32, 3)


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("ti2av", {"image": _pictures(1)[0]}),
        ("t2v", {"modalities": "video"}),
        ("t2a", {"modalities": "audio"}),
        ("a2v", {"audio": BLIND}),
        ("v2a", {"video": SILENT}),
        ("extend", {"extend": _clip()}),
        ("t2av", {}),
    ],
)
def test_a_task_that_the_model_has_not_learned_is_refused(task: str, settings: dict[str, Any]) -> None:
    everything = ["t2av", "t2v", "t2a", "ti2av", "a2v", "v2a", "extend"]
    with pytest.raises(VivaceError, match="tiny has not learned to"):
        tiny_pipeline(tasks=[name for name in everything if name != task]).plan("a", **settings)
    tiny_pipeline(tasks=[task]).plan("a", **settings)


def test_a_model_without_first_frames_refuses_a_picture() -> None:
    with pytest.raises(VivaceError, match="has not learned to begin with a given picture"):
        tiny_pipeline(first_frame="none").plan("a", image=_pictures(1)[0])
