"""Published metrics of sound and pictures together: DeSync in two forms and its signed kin by Synchformer, and how
alike sound and pictures are moment by moment by CAVP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivace.evaluation.desync import av_a_official, desync, window_starts
from vivace.evaluation.embedding_scores import cosines
from vivace.evaluation.metric import Direction, ItemMetric, Sample, Undefined, once_per_sample
from vivace.evaluation.published_metric import item_metric
from vivace.evaluation.set_metric import SetMetric

if TYPE_CHECKING:
    from vivace.perception.published.cavp import CavpVectors
    from vivace.perception.published.synchformer import OffsetLogits

TOO_SHORT = "shorter than the 4.8 s of a window"


def desync_metrics(network: OffsetLogits) -> list[ItemMetric | SetMetric]:
    """The mean absolute offset of the first and the last window (av-benchmark), of all windows (JavisBench), and the
    mean signed one of the first and the last, in seconds."""

    def find(sample: Sample) -> dict[str, float] | Undefined:
        assert sample.clip is not None
        seen, heard = network.segments(sample.clip)
        ends, every = (window_starts(len(seen), all_windows=whole) for whole in (False, True))
        if not ends:
            return Undefined(TOO_SHORT)
        of_ends = network.logits(seen, heard, ends)
        return {
            "desync": desync(of_ends),
            "desync_javisbench": desync(of_ends if every == ends else network.logits(seen, heard, every)),
            "av_a_signed": av_a_official(of_ends),
        }

    found = once_per_sample(find)

    def metric(name: str, direction: Direction) -> ItemMetric:
        def measure(sample: Sample) -> float | Undefined:
            figures = found(sample)
            return figures if isinstance(figures, Undefined) else figures[name]

        return item_metric("synchformer", name, measure, ("pictures", "sound"), direction, "s", network=network)

    return [metric("desync", "lower"), metric("desync_javisbench", "lower"), metric("av_a_signed", "none")]


def cavp_metrics(network: CavpVectors) -> list[ItemMetric | SetMetric]:
    """JavisBench's CAVP: the mean cosine of what is seen and what is heard in each quarter of a second."""

    def measure(sample: Sample) -> float | Undefined:
        assert sample.clip is not None
        found = network(sample.clip)
        return Undefined("shorter than a second") if found is None else float(cosines(*found).mean())

    return [item_metric("cavp", "cavp_score", measure, ("pictures", "sound"), network=network)]
