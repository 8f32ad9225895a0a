"""Published metrics whose networks the user brings: measured where the weights are named, else reported as skipped.

What a sample must have beside its clip lies in `Sample.refs`: "said", the text that is to be spoken; "audio_prompt",
the text of the sound; "voice" and "sound", clips with the voice and the true sound to be compared with; "video", the
true clip; "face_tracks", a list of `vivace.perception.published.syncnet.FaceTrack`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vivace.evaluation.digests import weights_digest
from vivace.evaluation.embedding_scores import avh_score, cosines, javis_score, windows
from vivace.evaluation.frechet import pair_square_distance
from vivace.evaluation.lip_sync_distance import LipSync, lip_sync
from vivace.evaluation.metric import Direction, ItemMetric, Sample, Undefined, once_per_sample
from vivace.evaluation.published_metric import NO_PROMPT, clip_of, item_metric, pictures_of, sound_of
from vivace.evaluation.set_metric import SetMetric
from vivace.evaluation.transcripts import characters, error_rate, plain_words, seed_tts_words, verse_bench_words
from vivace.perception.published.weights import PUBLISHED, MissingWeightsError, locate

if TYPE_CHECKING:
    from vivace.perception.published.audiobox import Audiobox
    from vivace.perception.published.clap import Clap
    from vivace.perception.published.funasr_speech import FunasrSpeech
    from vivace.perception.published.imagebind import ImageBind
    from vivace.perception.published.speaker import SeedTtsSpeaker, WavlmSpeaker
    from vivace.perception.published.syncnet import FaceTrack, LipVectors
    from vivace.perception.published.whisper import Whisper

FRAME_MS = 40.0  # of SyncNet's 25 pictures per second
PIPELINE_TRACK, PIPELINE_FACE = 100, 100.0  # pictures and pixels beyond which SyncNet's own pipeline takes a track
VERSE_BENCH_TRACK = 50  # pictures, 2 s
VERSE_BENCH_OFFSET = 14  # frames from which on Verse-Bench leaves a track out


@dataclass(frozen=True)
class Skipped:
    """A metric that is not measured, and what its user would have to bring; it has no value, and not 0.

    Args:
        metric: its name. key: of the weights, in a settings file and in --weights KEY=PATH.
        file, source, licence: of the weights. reason: the whole sentence.
    """

    metric: str
    key: str
    file: str
    source: str
    licence: str
    reason: str

    def to_json(self) -> dict[str, str]:
        return {"status": "skipped", **asdict(self)}


def published_metrics(named: Mapping[str, Path]) -> tuple[list[ItemMetric | SetMetric], list[Skipped]]:
    """All published metrics: those whose weights are named and loaded, and those that are skipped.

    Args:
        named: paths by the keys of `PUBLISHED` (`vivace.perception.published.weights.named_weights`).

    Raises:
        VivaceError: weights are there and are not those of the network.
    """
    metrics: list[ItemMetric | SetMetric] = []
    skipped: list[Skipped] = []
    for key, weights in PUBLISHED.items():
        try:
            path = locate(key, named)
            built, digest = _built(key, path), weights_digest(path)
            for metric in built:
                metric.weights = digest
            metrics += built
        except MissingWeightsError as missing:
            skipped += [
                Skipped(name, key, weights.file, weights.source, weights.licence, str(missing))
                for name in weights.metrics
            ]
    return metrics, skipped


def audiobox_metrics(network: Audiobox) -> list[ItemMetric]:
    """Audiobox's four axes, 1 to 10. Of PC (production complexity) neither end is the better one."""
    judged = once_per_sample(lambda sample: network(*sound_of(sample.clip)))
    directions: dict[str, Direction] = {"CE": "higher", "CU": "higher", "PC": "none", "PQ": "higher"}

    def metric(axis: str, direction: Direction) -> ItemMetric:
        return item_metric(
            "audiobox",
            f"audiobox_{axis.lower()}",
            lambda sample: judged(sample)[axis],
            ("sound",),
            direction,
            network=network,
        )

    return [metric(axis, direction) for axis, direction in directions.items()]


def clap_metrics(network: Clap) -> list[ItemMetric]:
    """The cosine of the sound with its text, and Verse-Bench's distance of the sound from the true one."""
    heard = once_per_sample(lambda sample: network.of_sound(*sound_of(sample.clip)))

    def score(sample: Sample) -> float:
        return float(cosines(heard(sample), network.of_text(str(sample.refs["audio_prompt"]))))

    def distance(sample: Sample) -> float:
        return pair_square_distance(heard(sample), network.of_sound(*sound_of(sample.refs["sound"])))

    return [
        item_metric("clap", "clap_score", score, ("sound", "ref:audio_prompt"), network=network),
        item_metric("clap", "clap_pair_sqdist", distance, ("sound", "ref:sound"), "lower", network=network),
    ]


def transcript_metrics(network: Whisper) -> list[ItemMetric]:
    """Word and character errors of what Whisper hears; the mean of the utterances' rates."""
    heard = once_per_sample(
        lambda sample: network(*sound_of(sample.clip), "chinese" if _chinese(_said(sample)) else "english")
    )

    def metric(name: str, words: Callable[[str], Sequence[str]], chinese: bool = True) -> ItemMetric:
        def measure(sample: Sample) -> float | Undefined:
            if not words(_said(sample)):
                return Undefined("nothing is to be said")
            if not chinese and _chinese(_said(sample)):
                return Undefined("Seed-TTS hears Chinese by another network (Paraformer)")
            return error_rate(words(_said(sample)), words(heard(sample)))

        return item_metric("whisper", name, measure, ("sound", "ref:said"), "lower", network=network)

    return [
        metric("wer_seed_tts", seed_tts_words, chinese=False),
        metric("wer_verse_bench", verse_bench_words),
        metric("wer_plain", plain_words),
        metric("cer", characters),
    ]


def sensevoice_metrics(network: FunasrSpeech) -> list[ItemMetric]:
    """Verse-Bench's WER as it hears it, and its twin without punctuation; the mean of the utterances' rates."""
    heard = once_per_sample(lambda sample: network(*sound_of(sample.clip)))

    def metric(name: str, words: Callable[[str], Sequence[str]]) -> ItemMetric:
        def measure(sample: Sample) -> float | Undefined:
            if not words(_said(sample)):
                return Undefined("nothing is to be said")
            return error_rate(words(_said(sample)), words(heard(sample)))

        return item_metric("sensevoice", name, measure, ("sound", "ref:said"), "lower", network=network)

    return [metric("wer_verse_bench_sensevoice", verse_bench_words), metric("wer_plain_sensevoice", plain_words)]


def paraformer_metrics(network: FunasrSpeech) -> list[ItemMetric]:
    """Seed-TTS's CER of Chinese; the mean of the utterances' rates."""

    def measure(sample: Sample) -> float | Undefined:
        if not _chinese(_said(sample)):
            return Undefined("nothing is to be said in Chinese")
        said, heard = _said(sample), network(*sound_of(sample.clip))
        return error_rate(seed_tts_words(said, chinese=True), seed_tts_words(heard, chinese=True))

    return [item_metric("paraformer", "cer_seed_tts", measure, ("sound", "ref:said"), "lower", network=network)]


def speaker_metrics(key: str, network: WavlmSpeaker | SeedTtsSpeaker) -> list[ItemMetric]:
    """The cosine of the clip's voice with the one that was given."""

    def similarity(sample: Sample) -> float:
        return float(cosines(network(*sound_of(sample.clip)), network(*sound_of(sample.refs["voice"]))))

    needs = ("sound", "ref:voice")
    return [item_metric(key, name, similarity, needs, network=network) for name in PUBLISHED[key].metrics]


def lip_sync_metrics(network: LipVectors) -> list[ItemMetric]:
    """Sync-C, Sync-D and the absolute offset, each the mean over the clip's face tracks; two quirks; and ours.

    `sync_c`, `sync_d` and `sync_offset_abs` are of the tracks that SyncNet's own pipeline takes, longer than 100
    pictures and larger than 100 pixels. Verse-Bench takes those of 2 s or more: `sync_c_verse_bench` drops tracks whose
    offset is 14 frames or more, `sync_d_mean_of_shifts` takes the mean over the shifts instead of the least. The
    `*_any_track` are of every track that has a window, and their crops do not shrink at its ends.
    """

    @once_per_sample
    def as_published(sample: Sample) -> list[tuple[FaceTrack, LipSync]]:
        clip = clip_of(sample)
        long = [track for track in sample.refs["face_tracks"] if track.pictures(float(clip.fps)) >= VERSE_BENCH_TRACK]
        return [(track, lip_sync(*vectors)) for track in long if (vectors := network(clip, track)) is not None]

    def of_pipeline(sample: Sample) -> list[LipSync]:
        fps = float(clip_of(sample).fps)
        return [
            found
            for track, found in as_published(sample)
            if track.pictures(fps) > PIPELINE_TRACK and track.size > PIPELINE_FACE
        ]

    def of_verse_bench(sample: Sample) -> list[LipSync]:
        return [found for _, found in as_published(sample)]

    @once_per_sample
    def of_any(sample: Sample) -> list[LipSync]:
        vectors = [network(clip_of(sample), track, ends="repeated") for track in sample.refs["face_tracks"]]
        return [lip_sync(*found) for found in vectors if found is not None]

    long = "no face track is longer than 100 pictures of 1/25 s with a face of more than 100 pixels"
    seconds = "no face track is 2 s long"
    window = "no face track is as long as a window"

    def metric(
        name: str,
        tracks: Callable[[Sample], list[LipSync]],
        figure: Callable[[LipSync], float | None],
        none: str,
        direction: Direction,
        unit: str = "",
    ) -> ItemMetric:
        def measure(sample: Sample) -> float | Undefined:
            found = tracks(sample)
            if not found:
                return Undefined(none)
            values = [value for track in found if (value := figure(track)) is not None]
            return float(np.mean(values)) if values else Undefined("every track is off by 14 frames or more")

        needs = ("pictures", "sound", "ref:face_tracks")
        return item_metric("syncnet", name, measure, needs, direction, unit, network=network)

    def offset(track: LipSync) -> float:
        return abs(track.offset) * FRAME_MS

    def near(track: LipSync) -> float | None:
        return track.confidence if abs(track.offset) < VERSE_BENCH_OFFSET else None

    return [
        metric("sync_c", of_pipeline, lambda track: track.confidence, long, "higher"),
        metric("sync_d", of_pipeline, lambda track: track.distance, long, "lower"),
        metric("sync_offset_abs", of_pipeline, offset, long, "lower", "ms"),
        metric("sync_c_verse_bench", of_verse_bench, near, seconds, "higher"),
        metric("sync_d_mean_of_shifts", of_verse_bench, lambda track: track.mean_distance, seconds, "lower"),
        metric("sync_c_any_track", of_any, lambda track: track.confidence, window, "higher"),
        metric("sync_d_any_track", of_any, lambda track: track.distance, window, "lower"),
        metric("sync_offset_any_track", of_any, offset, window, "lower", "ms"),
    ]


def imagebind_metrics(network: ImageBind) -> list[ItemMetric]:
    """IB-Score, AVHScore and JavisScore of a clip's pictures and sound, and how well either fits its text."""
    seen = once_per_sample(lambda sample: network.of_video(clip_of(sample)))
    heard = once_per_sample(lambda sample: network.of_sound(*sound_of(sample.clip)))

    def find(sample: Sample) -> dict[str, float]:
        clip = clip_of(sample)
        frames, (audio, rate) = pictures_of(clip), sound_of(clip)
        fps = float(clip.fps)
        pictures, whole = network.of_pictures(frames), heard(sample)
        spans = windows(len(frames) / fps, fps)
        edges = [(round(first / fps * rate), round(last / fps * rate)) for first, last in spans]
        sounds = np.stack([network.of_sound(audio[:, start:end], rate) for start, end in edges])
        return {
            "ib_score": float(cosines(seen(sample), whole)),
            "avh_score": avh_score(pictures, whole),
            "javis_score": javis_score(pictures, sounds, spans),
        }

    found = once_per_sample(find)

    def metric(name: str) -> ItemMetric:
        needs = ("pictures", "sound")
        return item_metric("imagebind", name, lambda sample: found(sample)[name], needs, network=network)

    def with_text(name: str, side: str, vector: Callable[[Sample], np.ndarray]) -> ItemMetric:
        def measure(sample: Sample) -> float | Undefined:
            # JavisBench's sounds are asked for by the whole caption, other benchmarks' by a text of their own.
            text = (side == "sound" and sample.refs.get("audio_prompt")) or sample.prompt
            return float(cosines(vector(sample), network.of_text(str(text)))) if text else Undefined(NO_PROMPT)

        return item_metric("imagebind", name, measure, (side,), network=network)

    return [
        metric("ib_score"),
        with_text("ib_tv", "pictures", seen),
        with_text("ib_ta", "sound", heard),
        metric("avh_score"),
        metric("javis_score"),
    ]


def _built(key: str, path: Path) -> Sequence[ItemMetric | SetMetric]:
    """The metrics of one network with the weights at `path`; a network's libraries load only here."""
    if key in ("panns", "passt", "vggish", "dnsmos"):
        return _of_sound(key, path)
    if key in ("laion-aesthetic", "aesthetic-v2-5", "i3d", "raft", "clip-b32", "musiq", "maniqa", "dinov3", "dinov2"):
        return _of_pictures(key, path)
    if key == "cavp":
        from vivace.evaluation.published_sync import cavp_metrics
        from vivace.perception.published.cavp import CavpVectors

        return cavp_metrics(CavpVectors(path))
    if key == "synchformer":
        from vivace.evaluation.published_sync import desync_metrics
        from vivace.perception.published.synchformer import OffsetLogits

        return desync_metrics(OffsetLogits(path))
    if key == "audiobox":
        from vivace.perception.published.audiobox import Audiobox

        return audiobox_metrics(Audiobox(path))
    if key == "clap":
        from vivace.perception.published.clap import Clap

        return clap_metrics(Clap(path))
    if key == "whisper":
        from vivace.perception.published.whisper import Whisper

        return transcript_metrics(Whisper(path))
    if key in ("sensevoice", "paraformer"):
        from vivace.perception.published.funasr_speech import FunasrSpeech

        if key == "sensevoice":
            return sensevoice_metrics(FunasrSpeech.sensevoice(path))
        return paraformer_metrics(FunasrSpeech.paraformer(path))
    if key == "syncnet":
        from vivace.perception.published.syncnet import LipVectors

        return lip_sync_metrics(LipVectors(path))
    if key == "imagebind":
        from vivace.perception.published.imagebind import ImageBind

        return imagebind_metrics(ImageBind.from_installation(path))
    from vivace.perception.published.speaker import SeedTtsSpeaker, WavlmSpeaker

    return speaker_metrics(key, WavlmSpeaker(path) if key == "wavlm-sv" else SeedTtsSpeaker(path))


def _of_sound(key: str, path: Path) -> Sequence[ItemMetric | SetMetric]:
    from vivace.evaluation import published_sound
    from vivace.perception.published.sound_classes import PannsClasses, PasstClasses, VggishVectors

    if key == "panns":
        return published_sound.panns_metrics(PannsClasses(path))
    if key == "passt":
        return published_sound.passt_metrics(PasstClasses(path))
    if key == "vggish":
        return published_sound.vggish_metrics(VggishVectors(path))
    from vivace.perception.published.dnsmos import Dnsmos

    return published_sound.dnsmos_metrics(Dnsmos(path))


def _of_pictures(key: str, path: Path) -> Sequence[ItemMetric | SetMetric]:
    from vivace.evaluation import published_pictures

    if key == "i3d":
        from vivace.perception.published.i3d import VideoLogits

        return published_pictures.video_distance_metrics(VideoLogits(path))
    if key == "clip-b32":
        from vivace.perception.published.clip_score import ClipVectors

        return published_pictures.clip_metrics(ClipVectors(path))
    if key == "raft":
        from vivace.perception.published.raft import FlowSize

        return published_pictures.flow_metrics(FlowSize(path))
    if key in ("dinov3", "dinov2"):
        from vivace.perception.published.dino import DinoTokens

        network = DinoTokens(path, "dinov3" if key == "dinov3" else "dinov2")
        return published_pictures.identity_metrics(key, network)
    if key in ("musiq", "maniqa"):
        from vivace.perception.published.picture_quality import ManiqaScores, MusiqScores

        return published_pictures.score_metrics(key, MusiqScores(path) if key == "musiq" else ManiqaScores(path))
    from vivace.perception.published.aesthetic import AestheticPredictor

    load = AestheticPredictor.laion if key == "laion-aesthetic" else AestheticPredictor.v2_5
    return published_pictures.score_metrics(key, load(path))


def _said(sample: Sample) -> str:
    return str(sample.refs["said"])


def _chinese(text: str) -> bool:
    return any("一" <= sign <= "鿿" for sign in text)
