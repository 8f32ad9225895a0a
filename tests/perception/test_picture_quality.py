"""Stills, flicker, sharpness, light, motion, lettering and fades against pictures built to have them."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from vivace.perception.exposure import measure_exposure
from vivace.perception.fades import detect_fades
from vivace.perception.flicker import measure_flicker
from vivace.perception.flow import impact_envelope, measure_flow
from vivace.perception.quality import picture_quality
from vivace.perception.sharpness import measure_sharpness
from vivace.perception.static_marks import mark_share
from vivace.perception.stills import detect_stills
from vivace.perception.text_overlay import detect_text, text_share
from vivace.timeline import Timeline
from vivace.world import render_video, sample_scene
from vivace.world.footage_faults import faulty_picture
from vivace.world.footage_marks import MARKS, draw_mark, laid


def texture(height: int = 96, width: int = 160, seed: int = 0, blur: float = 2.0) -> np.ndarray:
    """Smooth noise around the middle grey, float [H, W, 3]."""
    grain = np.random.default_rng(seed).normal(0, 1, (height, width))
    smooth = gaussian_filter(grain, blur, mode="wrap")
    return np.repeat((128 + 40 * smooth / smooth.std())[..., None], 3, axis=2)


def as_frames(pictures: list[np.ndarray]) -> np.ndarray:
    return np.clip(np.stack(pictures), 0, 255).round().astype(np.uint8)


def moving(pixels_right: float, pixels_down: float = 0.0, count: int = 12) -> np.ndarray:
    """A texture that moves as a whole, wrapping around."""
    wide = texture(192, 192, blur=4.0)
    return as_frames([np.roll(wide, (round(n * pixels_down), round(n * pixels_right)), (0, 1)) for n in range(count)])


def clip(seed: int = 1, kind: str | None = None, height: int = 96, width: int = 96, frames: int = 49) -> np.ndarray:
    return render_video(sample_scene(seed, "val", kind=kind), Timeline(frames=frames), height, width)


def test_frozen_and_black_stretches_are_measured() -> None:
    frames = moving(3, count=24).copy()
    frames[8:14] = frames[8]  # five steps without change
    frames[20:] = 3
    found = detect_stills(frames, 24.0)
    assert found.frozen == pytest.approx((5 + 3) / 23)  # and three within the black ones
    assert found.longest_frozen == pytest.approx(5 / 24)
    assert found.black == pytest.approx(4 / 24)
    assert found.longest_black == pytest.approx(4 / 24)


def test_a_still_with_a_codecs_residue_is_frozen_and_a_small_thing_that_moves_is_not() -> None:
    still = np.repeat(texture()[None], 10, axis=0)
    grain = np.random.default_rng(0).normal(0, 1, still.shape)
    assert detect_stills(as_frames(list(still + grain)), 24).frozen == 1.0
    for n in range(10):
        still[n, 40:49, 8 * n : 8 * n + 9] = 250
    assert detect_stills(as_frames(list(still)), 24).frozen == 0.0
    assert detect_stills(moving(1)[:1], 24).frozen is None


@pytest.mark.parametrize("amplitude", [2.0, 8.0])
def test_flicker_has_the_amplitude_that_was_put_in(amplitude: float) -> None:
    calm = clip().astype(np.float32) * 0.8 + 20
    jumping = calm + amplitude * (-1.0) ** np.arange(len(calm))[:, None, None, None]
    assert measure_flicker(as_frames(list(calm)), 24) < 0.3
    assert measure_flicker(as_frames(list(jumping)), 24) == pytest.approx(amplitude, abs=0.5)


def test_cuts_and_slow_light_are_no_flicker() -> None:
    ramp = [texture() * (0.5 + n / 60) for n in range(30)]
    assert measure_flicker(as_frames(ramp), 24) < 0.3
    assert measure_flicker(clip(0, "shots"), 24) < 0.5
    assert measure_flicker(moving(1)[:2], 24) is None


def test_sharpness_falls_with_every_blur() -> None:
    sharp = texture(blur=0.6)
    values = [measure_sharpness(as_frames([gaussian_filter(sharp, (s, s, 0)) * 1.0])) for s in (0.0, 0.7, 1.5, 3.0)]
    assert all(value is not None for value in values)
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 0.3
    assert measure_sharpness(np.full((3, 32, 32, 3), 90, np.uint8)) is None


def test_rounding_makes_a_dim_blurred_picture_no_sharper() -> None:
    wave = 8 * np.sin(np.mgrid[0:96, 0:96].sum(axis=0) / 5.0)
    dim = as_frames([np.repeat((30 + wave)[:, :, None], 3, axis=2)] * 2)
    sharp = as_frames([texture(blur=0.6)] * 2)
    plain, discounted = measure_sharpness(dim), measure_sharpness(dim, rounding=1.0)
    assert plain is not None
    assert discounted is not None
    assert discounted < plain - 0.1
    assert measure_sharpness(sharp, rounding=1.0) == pytest.approx(measure_sharpness(sharp), abs=0.05)
    gradient = as_frames([np.repeat(np.mgrid[0:96, 0:96].sum(axis=0)[:, :, None] * 0.9, 3, axis=2)])
    assert measure_sharpness(gradient, rounding=1.0) == 0.0


def test_light() -> None:
    frames = np.zeros((4, 10, 10, 3), np.uint8)
    frames[:, :5] = 255
    frames[:, 9] = 100
    light = measure_exposure(frames)
    assert (light.crushed, light.blown) == (pytest.approx(0.4), pytest.approx(0.5))
    assert light.brightness == pytest.approx(0.5 * 255 + 0.1 * 100)
    assert light.contrast == 255


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -6), (4, 4), (0, 0)])
def test_flow_finds_the_displacement(right: int, down: int) -> None:
    flow = measure_flow(moving(right, down), 24.0)
    middle = np.median(flow.vectors[:, 2:-2, 2:-2], axis=(0, 1, 2)) * 192
    assert middle == pytest.approx([right, down], abs=0.5)
    assert flow.speed.mean() == pytest.approx(np.hypot(right, down) / 192 * 24, rel=0.25, abs=1e-6)


def test_noise_is_no_motion() -> None:
    still = np.repeat(texture()[None], 8, axis=0)
    grain = np.random.default_rng(0).normal(0, 6, still.shape)
    assert measure_flow(as_frames(list(still + grain)), 24).speed.max() < 0.05


def test_the_impact_envelope_peaks_where_a_thing_is_thrown_back() -> None:
    frames = np.full((21, 64, 64, 3), 60, np.uint8)
    for n in range(21):
        top = 10 + 3 * (n if n <= 12 else 24 - n)
        frames[n, top : top + 12, 20:32] = texture(12, 12, seed=3, blur=1.0).clip(90, 250)
    assert abs(int(impact_envelope(measure_flow(frames, 24.0)).argmax()) - 12) <= 1


def lettered(frames: np.ndarray, text: str, size: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Frames with white lettering on them, and its box."""
    font = ImageFont.load_default(size)
    shown, box = [], (0, 0, 0, 0)
    for frame in frames:
        picture = Image.fromarray(frame)
        draw = ImageDraw.Draw(picture)
        place = (frame.shape[1] // 10, frame.shape[0] - 2 * size)
        draw.text(place, text, fill=(255, 255, 255), font=font, stroke_width=1, stroke_fill=(0, 0, 0))
        box = tuple(round(value) for value in draw.textbbox(place, text, font=font, stroke_width=1))
        shown.append(np.asarray(picture))
    return np.stack(shown), box


@pytest.mark.parametrize("size", [14, 20])
def test_lettering_is_found_where_it_is(size: int) -> None:
    for seed in range(2):
        frames, box = lettered(clip(seed, height=240, width=320, frames=9), "We meet again at nine", size)
        lines = detect_text(frames)
        true = (box[2] - box[0]) * (box[3] - box[1]) / (240 * 320)
        assert len(lines) == 1
        assert 0.6 * true < text_share(frames) < 1.4 * true
        assert lines[0].top < (box[1] + box[3]) / 2 / 240 < lines[0].bottom


def test_clips_without_lettering_have_none() -> None:
    # Bars of a xylophone, rain, cars and faces among them.
    for kind in (None, "ambience", "vehicle", "talk", "shots"):
        for seed in range(3):
            assert text_share(clip(seed, kind, 240, 320, frames=5)) == 0.0


def test_lettering_of_upright_strokes_is_found() -> None:
    # Letters of dots, most of whose edges run from top to bottom as those of bars do; some touch a thing that rests.
    for seed in range(8):
        frames = clip(seed, height=128, width=128, frames=9)
        assert text_share(faulty_picture(np.random.default_rng(seed), frames, "overlay")) > 0.02
    for kind in ("xylophone", "vehicle", "ambience"):
        for seed in range(6):
            assert text_share(clip(seed, kind, 128, 128, frames=9)) == 0.0


def views(first: int, count: int = 5) -> list[np.ndarray]:
    """Pictures of different shots."""
    kinds = ("impacts", "drum", "talk", "bell", "ambience")
    return [clip(first + n, kinds[n % 5], 128, 128, frames=1)[0] for n in range(count)]


@pytest.mark.parametrize("kind", MARKS)
def test_a_mark_over_different_shots_is_found(kind: str) -> None:
    for seed in range(4):
        plain = np.stack(views(10 * seed))
        mark = draw_mark(np.random.default_rng(seed), kind, 128, 128)
        found, without = mark_share(list(laid(mark, plain))), mark_share(list(plain))
        assert without == 0.0
        assert found is not None
        assert 0.4 * float((mark.cover > 0.2).mean()) < found < 0.08


def test_nothing_is_said_of_marks_over_one_scene() -> None:
    mark = draw_mark(np.random.default_rng(0), "logo", 128, 128)
    frames = laid(mark, clip(3, height=128, width=128))
    assert mark_share(list(frames)) is None  # a logo is then as much of the scene as all that stands in it
    assert mark_share([]) is None
    assert mark_share(views(0, 3)) is None
    lit = [np.clip(frames[0] * gain, 0, 255).astype(np.uint8) for gain in (0.4, 0.6, 0.8, 1.0, 1.2)]
    assert mark_share(lit) is None


def test_borders_are_no_marks() -> None:
    framed = np.stack(views(20))
    framed[:, :14] = framed[:, -14:] = 0
    assert mark_share(list(framed)) == 0.0


def test_fades_are_found_and_timed() -> None:
    frames = clip(2).astype(np.float32)
    gain = np.ones(49)
    gain[:10] = np.arange(10) / 10
    gain[38:] = np.linspace(1, 0, 11)
    found = detect_fades((frames * gain[:, None, None, None]).astype(np.uint8), 24.0)
    assert [fade.kind for fade in found] == ["in", "out"]
    assert found[0].start == pytest.approx(0, abs=1.5 / 24)
    assert found[0].end == pytest.approx(10 / 24, abs=2.5 / 24)
    assert found[1].start == pytest.approx(38 / 24, abs=2.5 / 24)


@pytest.mark.parametrize("swing", [0.1, 0.15, 0.2])
def test_a_fade_under_flickering_light_is_found(swing: float) -> None:
    frames = 0.8 * clip(2).astype(np.float32)
    flicker = 1 + swing * np.where(np.arange(49) % 2, 1, -1)
    gain = np.ones(49)
    gain[30:40], gain[40:] = np.linspace(1, 0, 10), 0
    faded = np.clip(frames * (flicker * gain)[:, None, None, None], 0, 255).astype(np.uint8)
    out, back = detect_fades(faded, 24.0), detect_fades(faded[::-1], 24.0)
    assert [fade.kind for fade in (*out, *back)] == ["out", "in"]
    assert out[0].start == pytest.approx(30 / 24, abs=2.5 / 24)
    assert out[0].end == pytest.approx(39 / 24, abs=2.5 / 24)
    assert back[0].start == pytest.approx(9 / 24, abs=2.5 / 24)
    # Neither the flicker by itself nor an end at once is a fade.
    gain[30:] = 0
    for shown in (flicker, flicker * gain, gain):
        still = np.clip(frames * shown[:, None, None, None], 0, 255).astype(np.uint8)
        assert all(detect_fades(still, fps) == [] for fps in (6.0, 12.0, 24.0))


def test_a_dissolve_is_found_and_a_cut_is_none() -> None:
    first, second = texture(seed=1, blur=12.0), 220 - 0.7 * texture(seed=2, blur=12.0)
    gain = np.clip((np.arange(40) - 14) / 12, 0, 1)
    found = detect_fades(as_frames([first * (1 - g) + second * g for g in gain]), 24.0)
    assert [fade.kind for fade in found] == ["dissolve"]
    assert found[0].start == pytest.approx(14 / 24, abs=1.5 / 24)
    assert found[0].end == pytest.approx(26 / 24, abs=1.5 / 24)
    assert detect_fades(as_frames([first] * 10 + [second] * 10), 24.0) == []


@pytest.mark.parametrize("kind", [None, "ambience", "vehicle", "talk", "shots"])
def test_other_clips_have_no_fades(kind: str | None) -> None:
    for seed in range(3):
        assert detect_fades(clip(seed, kind), 24.0) == []


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 1, 5), (3, 40, 200)])
def test_all_figures_of_any_pictures(shape: tuple[int, int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    figures = picture_quality(frames, 24.0)
    assert 0 <= figures.text <= 1
    assert (figures.motion is None) == (shape[0] == 1)
