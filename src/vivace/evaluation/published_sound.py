"""Published metrics of sound against true sound (FD, KL), of a set of sounds (IS), and of speech by itself (DNSMOS).

FD and KL are those of av-benchmark: the mean is taken off the sound first; PaSST hears the first ten seconds, PANNs
and VGGish all of it (av-benchmark cuts all to one length before; cut yours alike). KL is KL(true || made) pair by pair
and the mean over the pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivace.evaluation.class_distributions import kl_divergence
from vivace.evaluation.metric import ItemMetric, Sample, once_per_sample
from vivace.evaluation.published_metric import item_metric, set_metric, sound_of
from vivace.evaluation.set_metric import Features, SetMetric

if TYPE_CHECKING:
    from vivace.perception.published.dnsmos import Dnsmos
    from vivace.perception.published.sound_classes import PannsClasses, PasstClasses, VggishVectors

VERSE_BENCH_INSIDE = 1e-6  # added to the made side's probabilities inside the logarithm
_BOTH = ("sound", "ref:sound")


def panns_metrics(network: PannsClasses) -> list[ItemMetric | SetMetric]:
    """FD, KL and IS by PANNs' CNN14."""
    return _classifier_metrics("panns", network)


def passt_metrics(network: PasstClasses) -> list[ItemMetric | SetMetric]:
    """FD, KL and IS by PaSST, and Verse-Bench's KL, which takes the mean of the logits over windows."""

    def over_windows(sample: Sample) -> float:
        true, made = (network.over_windows(*sound_of(clip)) for clip in (sample.refs["sound"], sample.clip))
        return kl_divergence(true, made, inside=VERSE_BENCH_INSIDE)

    return [
        *_classifier_metrics("passt", network),
        item_metric("passt", "kl_verse_bench", over_windows, _BOTH, "lower", network=network),
    ]


def vggish_metrics(network: VggishVectors) -> list[ItemMetric | SetMetric]:
    """FD by VGGish (FAD): every 0.96 s of every sound is one of the set."""

    def features(sample: Sample) -> Features:
        return {
            "generated": network(*sound_of(sample.clip)),
            "reference": network(*sound_of(sample.refs["sound"])),
        }

    return [set_metric("vggish", "fd_vggish", features, _BOTH, network=network)]


def dnsmos_metrics(network: Dnsmos) -> list[ItemMetric | SetMetric]:
    """How good listeners would find the speech: overall, voice and background of P.835, and P.808; 1 to 5 each."""
    judged = once_per_sample(lambda sample: network(*sound_of(sample.clip)))

    def metric(name: str) -> ItemMetric:
        return item_metric("dnsmos", f"dnsmos_{name}", lambda sample: judged(sample)[name], ("sound",), network=network)

    return [metric(name) for name in ("ovrl", "sig", "bak", "p808")]


def _classifier_metrics(key: str, network: PannsClasses | PasstClasses) -> list[ItemMetric | SetMetric]:
    made = once_per_sample(lambda sample: network(*sound_of(sample.clip)))
    true = once_per_sample(lambda sample: network(*sound_of(sample.refs["sound"])))

    def vectors(sample: Sample) -> Features:
        return {"generated": made(sample).vector, "reference": true(sample).vector}

    def divergence(sample: Sample) -> float:
        return kl_divergence(true(sample).logits, made(sample).logits)

    return [
        set_metric(key, f"fd_{key}", vectors, _BOTH, network=network),
        item_metric(key, f"kl_{key}", divergence, _BOTH, "lower", network=network),
        set_metric(
            key, f"is_{key}", lambda sample: {"logits": made(sample).logits}, ("sound",), "higher", network=network
        ),
    ]
