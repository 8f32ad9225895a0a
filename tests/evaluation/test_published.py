"""Published metrics: skipped without weights, and computed by tiny networks of the right architecture with them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.perception.published.tiny_networks import (
    TINY,
    TinyBind,
    audiobox_folder,
    bytes_of,
    clap_folder,
    seed_tts_file,
    sound,
    tiny_ecapa,
    wavlm_sv_folder,
    whisper_folder,
)

from vivace.errors import VivaceError
from vivace.evaluation.digests import weights_digest
from vivace.evaluation.embedding_scores import cosines
from vivace.evaluation.lip_sync_distance import LipSync, lip_sync
from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.published import (
    audiobox_metrics,
    clap_metrics,
    imagebind_metrics,
    lip_sync_metrics,
    published_metrics,
    speaker_metrics,
    transcript_metrics,
)
from vivace.evaluation.published_metric import UNVERIFIED, sound_of
from vivace.evaluation.transcripts import characters, error_rate, plain_words, seed_tts_words
from vivace.media import Clip
from vivace.perception.published.audiobox import Audiobox
from vivace.perception.published.clap import Clap
from vivace.perception.published.imagebind import ImageBind
from vivace.perception.published.speaker import SeedTtsSpeaker
from vivace.perception.published.syncnet import FaceTrack
from vivace.perception.published.weights import PUBLISHED
from vivace.perception.published.whisper import Whisper

FRAMES = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
CLIP = Clip(FRAMES, Fraction(25), sound(0.8), 16000)


def values(metrics: list[ItemMetric], sample: Sample) -> dict[str, float]:
    """Every metric's value for one sample; all of them must say that they are unverified."""
    for metric in metrics:
        assert "record" in metric.update(sample)
    results = {metric.name: metric.compute() for metric in metrics}
    assert all(UNVERIFIED in result.version and result.value is not None for result in results.values())
    return {name: float(result.value) for name, result in results.items() if result.value is not None}


def test_without_weights_all_is_skipped_and_told() -> None:
    metrics, skipped = published_metrics({})
    assert metrics == []
    assert {entry.metric for entry in skipped} == {name for weights in PUBLISHED.values() for name in weights.metrics}
    told = next(entry for entry in skipped if entry.metric == "sync_c").to_json()
    assert (told["status"], told["key"], told["file"]) == ("skipped", "syncnet", "syncnet_v2.model")
    assert "value" not in told
    assert all(entry.licence and entry.source and f"--weights {entry.key}=" in entry.reason for entry in skipped)


def test_named_weights_are_measured_and_the_rest_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "clap").mkdir()
    (tmp_path / "sv").mkdir()
    named = {"clap": clap_folder(tmp_path / "clap"), "wavlm-sv": wavlm_sv_folder(tmp_path / "sv")}
    metrics, skipped = published_metrics(named)
    assert [metric.name for metric in metrics] == [*PUBLISHED["clap"].metrics, *PUBLISHED["wavlm-sv"].metrics]
    assert {entry.key for entry in skipped} == PUBLISHED.keys() - named.keys()
    same = Sample("a", CLIP, refs={"audio_prompt": "rain", "sound": CLIP, "voice": CLIP})
    found = values(metrics, same)
    assert found["clap_pair_sqdist"] == pytest.approx(0.0, abs=1e-9)
    assert found["speaker_similarity_wavlm_sv"] == pytest.approx(1.0, abs=1e-5)
    assert -1 <= found["clap_score"] <= 1
    # What compares a clip with a sound of its own is of the pair; a clip against its text is not.
    assert [metric.scope for metric in metrics] == ["item", "pair", "pair"]
    assert [metric.compute().to_json()["scope"] for metric in metrics] == ["item", "pair", "pair"]
    assert len({metric.weights for metric in metrics}) == 2
    assert metrics[0].weights == metrics[1].weights == weights_digest(named["clap"])
    bare = Sample("b", CLIP)
    assert metrics[0].update(bare) == {"undefined": "no audio_prompt is given"}
    with pytest.raises(VivaceError, match="cannot be read"):
        published_metrics({"whisper": tmp_path / "clap"})


def test_clap(tmp_path: Path) -> None:
    network = Clap(clap_folder(tmp_path))
    other = Clip(None, Fraction(25), sound(0.8, seed=1), 16000)
    found = values(clap_metrics(network), Sample("a", CLIP, refs={"audio_prompt": "rain", "sound": other}))
    assert CLIP.audio is not None
    one, two = network.of_sound(CLIP.audio, 16000), network.of_sound(sound(0.8, seed=1), 16000)
    assert found["clap_score"] == pytest.approx(float(one @ network.of_text("rain")), abs=1e-5)
    spread = (one.std(ddof=1) - two.std(ddof=1)) ** 2
    assert found["clap_pair_sqdist"] == pytest.approx(float(2 - 2 * one @ two + spread), abs=1e-5)


def test_audiobox(tmp_path: Path) -> None:
    network = Audiobox(audiobox_folder(tmp_path), TINY)
    metrics = audiobox_metrics(network)
    assert tuple(metric.name for metric in metrics) == PUBLISHED["audiobox"].metrics
    found = values(metrics, Sample("a", CLIP))
    assert CLIP.audio is not None
    due = network(CLIP.audio, 16000)
    assert found == pytest.approx({f"audiobox_{axis.lower()}": value for axis, value in due.items()})


def test_transcripts(tmp_path: Path) -> None:
    network = Whisper(whisper_folder(tmp_path))
    metrics = transcript_metrics(network)
    assert tuple(metric.name for metric in metrics) == PUBLISHED["whisper"].metrics
    assert CLIP.audio is not None
    heard = network(CLIP.audio, 16000)
    said = f"Go on. {heard}"
    found = values(metrics, Sample("a", CLIP, refs={"said": said}))
    assert found == pytest.approx(
        {
            "wer_seed_tts": error_rate(seed_tts_words(said), seed_tts_words(heard)),
            "wer_verse_bench": error_rate(said.lower().split(), heard.lower().split()),
            "wer_plain": error_rate(plain_words(said), plain_words(heard)),
            "cer": error_rate(characters(said), characters(heard)),
        }
    )
    assert min(found.values()) > 0  # the first two words are missing
    assert metrics[0].update(Sample("b", CLIP, refs={"said": "你好"}))["undefined"].startswith("Seed-TTS hears")
    assert metrics[1].update(Sample("b", CLIP, refs={"said": " "})) == {"undefined": "nothing is to be said"}


def test_the_seed_tts_voice(tmp_path: Path) -> None:
    network = SeedTtsSpeaker(seed_tts_file(tmp_path), tiny_ecapa())
    other = Clip(None, Fraction(25), sound(1.0, seed=2), 16000)
    found = values(speaker_metrics("seed-tts-sv", network), Sample("a", CLIP, refs={"voice": other}))
    assert CLIP.audio is not None
    due = float(network(CLIP.audio, 16000) @ network(sound(1.0, seed=2), 16000))
    assert found == {"speaker_similarity_seed_tts": pytest.approx(due, abs=1e-5)}


class Lips:
    """In SyncNet's place: the sound of a track is its lips, as late as the track's first picture says."""

    def __call__(self, clip: Clip, track: FaceTrack, batch: int = 20, ends: str = "zeros") -> Any:
        if len(track.boxes) < 6:
            return None
        rng = np.random.default_rng([len(track.boxes), int(track.size), len(ends)])
        lips = rng.normal(size=(len(track.boxes) - 5, 8))
        return lips, np.roll(lips, track.first, axis=0) + rng.normal(0, 0.3, lips.shape)


def test_lip_sync_of_the_tracks_that_each_pipeline_takes() -> None:
    network: Any = Lips()

    def track(late: int, pictures: int, side: float) -> FaceTrack:
        return FaceTrack(late, np.tile([2.0, 2.0, 2.0 + side, 2.0 + side], (pictures, 1)))

    # SyncNet's pipeline takes the first alone, Verse-Bench the first four, of which it drops one for its offset.
    tracks = [
        track(2, 101, 104.0),
        track(1, 101, 100.0),
        track(3, 100, 104.0),
        track(14, 60, 90.0),
        track(4, 49, 104.0),
    ]
    metrics = lip_sync_metrics(network)
    assert tuple(metric.name for metric in metrics) == PUBLISHED["syncnet"].metrics
    found = values(metrics, Sample("a", CLIP, refs={"face_tracks": tracks}))

    def figures(taken: list[FaceTrack], ends: str) -> list[LipSync]:
        return [lip_sync(*network(CLIP, one, ends=ends)) for one in taken]

    for taken, ends, names in (
        (tracks[:1], "zeros", ("sync_c", "sync_d", "sync_offset_abs")),
        (tracks, "repeated", ("sync_c_any_track", "sync_d_any_track", "sync_offset_any_track")),
    ):
        each = figures(taken, ends)
        assert [one.offset for one in each] == [one.first for one in taken]
        assert found[names[0]] == pytest.approx(np.mean([one.confidence for one in each]))
        assert found[names[1]] == pytest.approx(np.mean([one.distance for one in each]))
        assert found[names[2]] == pytest.approx(np.mean([40 * one.first for one in taken]))
    each = figures(tracks[:4], "zeros")
    assert found["sync_c_verse_bench"] == pytest.approx(np.mean([one.confidence for one in each[:3]]))
    assert found["sync_d_mean_of_shifts"] == pytest.approx(np.mean([one.mean_distance for one in each]))

    def why(number: int, name: str, given: list[FaceTrack]) -> str:
        return str(metrics[number].update(Sample(name, CLIP, refs={"face_tracks": given}))["undefined"])

    assert "longer than 100 pictures" in why(0, "b", tracks[1:])
    assert "2 s long" in why(3, "c", tracks[4:])
    assert "off by 14 frames" in why(3, "d", tracks[3:4])
    assert "as long as a window" in why(5, "e", [track(0, 3, 104.0)])
    assert metrics[0].update(Sample("f", CLIP)) == {"undefined": "no face_tracks is given"}


def test_imagebind() -> None:
    metrics = imagebind_metrics(ImageBind(TinyBind(), bytes_of))
    assert tuple(metric.name for metric in metrics) == PUBLISHED["imagebind"].metrics
    found = values(metrics, Sample("a", CLIP, prompt="a bell"))
    assert all(-1 <= value <= 1 for value in found.values())
    network = ImageBind(TinyBind(), bytes_of)
    assert found["ib_tv"] == pytest.approx(float(cosines(network.of_video(CLIP), network.of_text("a bell"))))
    own = Sample("own", CLIP, prompt="a bell", refs={"audio_prompt": "a drum"})
    (heard,) = (metric for metric in metrics if metric.name == "ib_ta")
    wanted = float(cosines(network.of_sound(*sound_of(CLIP)), network.of_text("a drum")))
    assert heard.update(own)["value"] == pytest.approx(wanted)
    assert heard.update(Sample("untold", CLIP)) == {"undefined": "no prompt is given"}
    # The least 0.4 of the pictures cannot fit better than all of them; the clip is one window.
    assert found["javis_score"] <= found["avh_score"] + 1e-6
    mute = Clip(FRAMES, Fraction(25), None, 16000)
    assert metrics[0].update(Sample("b", mute)) == {"undefined": "no sound"}
