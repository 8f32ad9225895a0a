"""Published metrics of pictures: scores of single ones, and distances of sets of moving ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivace.evaluation.embedding_scores import cosines
from vivace.evaluation.metric import ItemMetric, Sample, Undefined, once_per_sample
from vivace.evaluation.published_metric import NO_PROMPT, item_metric, pictures_of, set_metric
from vivace.evaluation.set_metric import Features, SetMetric
from vivace.perception.published.weights import PUBLISHED

if TYPE_CHECKING:
    from vivace.perception.published.aesthetic import AestheticPredictor
    from vivace.perception.published.clip_score import ClipVectors
    from vivace.perception.published.dino import DinoTokens
    from vivace.perception.published.i3d import VideoLogits
    from vivace.perception.published.picture_quality import ManiqaScores, MusiqScores
    from vivace.perception.published.raft import FlowSize


def score_metrics(key: str, network: AestheticPredictor | MusiqScores | ManiqaScores) -> list[ItemMetric | SetMetric]:
    """The mean score of all pictures of a clip: aesthetic ones about 1 to 10, MUSIQ 0 to 100, MANIQA about 0 to 1."""
    (name,) = PUBLISHED[key].metrics

    def measure(sample: Sample) -> float:
        return float(network(pictures_of(sample.clip)).mean())

    return [item_metric(key, name, measure, ("pictures",), network=network)]


def clip_metrics(network: ClipVectors) -> list[ItemMetric | SetMetric]:
    """JavisBench's CLIP: the mean cosine of 48 pictures with the text that was asked for."""

    def measure(sample: Sample) -> float | Undefined:
        if not sample.prompt:
            return Undefined(NO_PROMPT)
        return float(cosines(network.of_pictures(pictures_of(sample.clip)), network.of_text(sample.prompt)).mean())

    return [item_metric("clip-b32", "clip_score", measure, ("pictures",), network=network)]


def identity_metrics(key: str, network: DinoTokens) -> list[ItemMetric | SetMetric]:
    """The mean cosine of a clip's pictures with the one that was given (the reference `image`).

    By the class token, as is usual, and for "dinov3" also by the token that Verse-Bench's ID takes, a patch.
    """

    def find(sample: Sample) -> tuple[float, float]:
        seen, given = network(pictures_of(sample.clip)), network(sample.refs["image"][None])
        by_class, by_patch = (float(cosines(rows, true).mean()) for rows, true in zip(seen, given, strict=True))
        return by_class, by_patch

    found, needs = once_per_sample(find), ("pictures", "ref:image")
    if key == "dinov2":
        return [item_metric(key, "id_dinov2", lambda sample: found(sample)[0], needs, network=network)]
    return [
        item_metric(key, "id_verse_bench", lambda sample: found(sample)[1], needs, network=network),
        item_metric(key, "id_cls", lambda sample: found(sample)[0], needs, network=network),
    ]


def flow_metrics(network: FlowSize) -> list[ItemMetric | SetMetric]:
    """Verse-Bench's MS: the mean size of the flow between successive pictures, in pixels of pictures up to 640."""

    def measure(sample: Sample) -> float | Undefined:
        pictures = pictures_of(sample.clip)
        if len(pictures) < 2:
            return Undefined("a single picture does not move")
        size = network(pictures)
        return Undefined("a side is shorter than 121 pixels") if size is None else size

    return [item_metric("raft", "ms_verse_bench", measure, ("pictures",), "none", "px", network=network)]


def video_distance_metrics(network: VideoLogits) -> list[ItemMetric | SetMetric]:
    """FVD and KVD of the first 16 pictures of each clip and of its true clip (the reference `video`)."""
    from vivace.models.i3d import SHORTEST

    def find(sample: Sample) -> Features | Undefined:
        sides = {"generated": pictures_of(sample.clip), "reference": pictures_of(sample.refs["video"])}
        if min(len(frames) for frames in sides.values()) < SHORTEST:
            return Undefined(f"fewer than {SHORTEST} pictures")
        return {name: network(frames) for name, frames in sides.items()}

    features, needs = once_per_sample(find), ("pictures", "ref:video")
    return [set_metric("i3d", name, features, needs, network=network) for name in ("fvd_videogpt", "kvd_videogpt")]
