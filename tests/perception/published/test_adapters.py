"""Each adapter end to end on a tiny random network of its architecture, saved and read as a user's folder would be."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.perception.published.tiny_networks import (
    TINY,
    TinyBind,
    audiobox_folder,
    bytes_of,
    clap_folder,
    seed_tts_file,
    sound,
    tiny_ecapa,
    tiny_lips,
    wavlm_sv_folder,
    whisper_folder,
)

from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.models.audiobox import AXES
from vivace.perception.published import imagebind
from vivace.perception.published.audiobox import Audiobox
from vivace.perception.published.clap import Clap
from vivace.perception.published.imagebind import ImageBind
from vivace.perception.published.resampling import mono_at, peak_at, picture_indices
from vivace.perception.published.speaker import SeedTtsSpeaker, WavlmSpeaker
from vivace.perception.published.syncnet import FaceTrack, _smoothed, face_crops, window_count
from vivace.perception.published.weights import MissingWeightsError
from vivace.perception.published.whisper import Whisper


def test_sound_and_pictures_at_other_rates() -> None:
    assert mono_at(sound(1.0, 44100), 44100, 16000).shape == (16000,)
    assert np.abs(peak_at(sound()[0], -1.0)).max() == pytest.approx(10 ** (-1 / 20))
    assert not peak_at(np.zeros(5, np.float32), -1.0).any()
    assert list(picture_indices(24, 24.0, 25.0)[[0, 1, 12, 24]]) == [0, 1, 12, 23]
    assert list(picture_indices(6, 30.0, 15.0)) == [0, 2, 4]


def test_syncnet_on_a_face_track() -> None:
    adapter = tiny_lips()
    frames = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    clip = Clip(frames, Fraction(25), sound(0.8), 16000)
    track = FaceTrack(2, np.tile([20.0, 10.0, 40.0, 30.0], (14, 1)))
    found = adapter(clip, track, batch=4)
    assert found is not None
    lips, heard = found
    assert lips.shape == heard.shape == (14 - 5, 8)
    assert adapter(clip, FaceTrack(0, track.boxes[:5]), ends="repeated") is None
    assert adapter(clip, FaceTrack(0, track.boxes[:6])) is None  # the median of 13 would be zero
    assert adapter(clip, FaceTrack(0, track.boxes[:6]), ends="repeated") is not None
    assert window_count(50, 16000) == 20


def test_face_crops_hold_the_face_where_the_pipeline_has_it() -> None:
    frames = np.zeros((4, 60, 80, 3), np.uint8)
    frames[:, 20:40, 30:50] = 200  # the face: 20 x 20 around (40, 30)
    crops = face_crops(frames, 25.0, FaceTrack(0, np.tile([30.0, 20.0, 50.0, 40.0], (4, 1))), "repeated")
    assert crops.shape == (4, 224, 224, 3)
    # 28 wide and as high: half sizes 1.4 to each side, 1 above, 1.8 below.
    rows, columns = np.flatnonzero(crops[0, :, 112, 0] > 150), np.flatnonzero(crops[0, 80, :, 0] > 150)
    assert (rows[0], rows[-1]) == (0, pytest.approx(20 / 28 * 224, abs=3))
    assert (columns[0], columns[-1]) == (pytest.approx(4 / 28 * 224, abs=3), pytest.approx(24 / 28 * 224, abs=3))
    edge = face_crops(frames, 25.0, FaceTrack(0, np.tile([-10.0, -10.0, 10.0, 10.0], (4, 1))), "repeated")
    assert edge[0, 5, 5, 0] == 110


def test_crops_shrink_at_a_tracks_ends_as_published_and_not_in_ours() -> None:
    # A face that grows: at the last picture the median of 13, six zeros among them, is the least of seven values.
    sides = np.arange(20.0, 60.0, 2.0)
    assert list(_smoothed(sides, "zeros")[[0, 3, 10, 19]]) == [20.0, 26.0, 40.0, 46.0]
    assert list(_smoothed(sides, "repeated")[[0, 3, 10, 19]]) == [20.0, 26.0, 40.0, 58.0]
    frames = np.random.default_rng(0).integers(0, 255, (20, 80, 80, 3), dtype=np.uint8)
    track = FaceTrack(0, np.stack([40 - sides / 2, 40 - sides / 2, 40 + sides / 2, 40 + sides / 2], axis=1))
    published, own = (face_crops(frames, 25.0, track, ends) for ends in ("zeros", "repeated"))
    assert (published[10] == own[10]).all()
    assert (published[19] != own[19]).any()
    assert (track.pictures(25.0), track.pictures(50.0), track.size) == (20, 10, 39.0)


@pytest.mark.parametrize("wrapped", [False, True])
def test_audiobox_reads_its_folder(wrapped: bool, tmp_path: Path) -> None:
    adapter = Audiobox(audiobox_folder(tmp_path, wrapped=wrapped), TINY)
    found = adapter(sound(12.0), 16000)
    raw = adapter.model(torch.from_numpy(sound(12.0).mean(0)[None, :160000]), torch.ones(1, 160000, dtype=torch.bool))
    second = adapter(sound(12.0)[:, 160000:], 16000)
    for axis in AXES:
        assert found[axis] == pytest.approx(((float(raw[axis]) * 2 + 5) * 10 + second[axis] * 2) / 12, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "of another network"),
        ("[]", "holds no settings"),
        ("{", "cannot be read"),
        ('{"proj_act_fn": "relu"}', "another form"),
        ('{"proj_num_layer": 2}', "lacks target_transform"),
    ],
)
def test_audiobox_refuses_other_settings(text: str, problem: str, tmp_path: Path) -> None:
    audiobox_folder(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(VivaceError, match=problem):
        Audiobox(tmp_path, TINY)


def test_the_seed_tts_encoder_reads_its_file(tmp_path: Path) -> None:
    adapter = SeedTtsSpeaker(seed_tts_file(tmp_path), tiny_ecapa())
    vector = adapter(sound(), 16000)
    assert np.linalg.norm(vector) == pytest.approx(1.0)
    assert adapter(3 * sound(), 16000) == pytest.approx(vector, abs=1e-3)


def test_wavlm_sv_reads_a_transformers_folder(tmp_path: Path) -> None:
    vector = WavlmSpeaker(wavlm_sv_folder(tmp_path))(sound(), 16000)
    assert np.linalg.norm(vector) == pytest.approx(1.0)
    with pytest.raises(VivaceError, match="cannot be read"):
        WavlmSpeaker(tmp_path / "nowhere")


def test_clap_reads_a_transformers_folder(tmp_path: Path) -> None:
    clap = Clap(clap_folder(tmp_path))
    heard, read = clap.of_sound(sound(0.5), 16000), clap.of_text("a bell rings")
    assert heard.shape == read.shape == (12,)
    assert np.linalg.norm(heard) == pytest.approx(1.0, abs=1e-5)
    # Brought to one peak, so that loudness is nothing to it; and the same again for a long sound.
    assert clap.of_sound(0.2 * sound(0.5), 16000) == pytest.approx(heard, abs=1e-4)
    assert clap.of_sound(sound(11.0), 16000) == pytest.approx(clap.of_sound(sound(11.0), 16000))


def test_whisper_reads_a_transformers_folder(tmp_path: Path) -> None:
    whisper = Whisper(whisper_folder(tmp_path))
    said = whisper(sound(0.5, 24000), 24000)
    assert isinstance(said, str)
    assert said == whisper(sound(0.5, 24000), 24000)
    with pytest.raises(VivaceError, match="English alone"):
        whisper(sound(0.5), 16000, "chinese")


def test_imagebinds_inputs_and_vectors() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (49, 40, 60, 3), dtype=np.uint8)
    clip = Clip(frames, Fraction(24), sound(2.0), 16000)
    assert imagebind.sound_input(sound(3.0, 22050), 22050).shape == (3, 1, 128, 204)
    assert imagebind.sound_input(sound(0.01), 16000).isfinite().all()
    assert imagebind.video_input(frames, 24.0).shape == (15, 3, 2, 224, 224)
    adapter = ImageBind(TinyBind(), bytes_of)
    assert adapter.of_sound(sound(), 16000).shape == adapter.of_video(clip).shape == (3,)
    pictures = adapter.of_pictures(frames[:5], batch=2)
    assert pictures.shape == (5, 3)
    assert adapter.of_pictures(frames[:5], batch=5) == pytest.approx(pictures)


def test_imagebinds_clips_show_their_first_and_last_picture() -> None:
    # Each picture is as bright as its number: 4 s at 10 a second, clips from 0, 0.5, 1, 1.5 and 2 s.
    frames = np.repeat(np.arange(40, dtype=np.uint8), 224 * 224 * 3).reshape(40, 224, 224, 3)
    deviation, mean = imagebind.PICTURE_DEVIATION[0], imagebind.PICTURE_MEAN[0]
    shown = imagebind.video_input(frames, 10.0)[::3, 0, :, 0, 0] * deviation + mean
    assert (shown * 255).round().int().tolist() == [[0, 19], [5, 24], [10, 29], [15, 34], [20, 39]]
    short = imagebind.video_input(frames[:1], 10.0)
    assert torch.equal(short[0], short[-1])


def test_the_filter_bank_shows_a_tone_where_it_is() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(32000) / 16000)[None]
    bank = imagebind.sound_input(tone, 16000)[0, 0] * 9.138 - 4.268
    edges = 1127 * np.log(1 + np.array([20.0, 8000.0, 1000.0]) / 700)
    place = (edges[2] - edges[0]) / (edges[1] - edges[0]) * 129 - 1
    assert int(bank[:, 50].argmax()) == pytest.approx(place, abs=1)
    # 2 s have 198 frames of 25 ms, 10 ms apart; what is left of the 204 is filled with zeros.
    assert not bank[:, 198:].any()


def test_imagebind_without_its_package_is_a_skipped_metric(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="CC-BY-NC"):
        ImageBind.from_installation(tmp_path / "imagebind_huge.pth")
