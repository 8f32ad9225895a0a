"""The device that is asked for reaches the network of every published metric, and is recorded with what it gave."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.suites.test_run import a_clip, a_set_metric, a_suite, loud

from vivace.evaluation import published, published_pictures, published_sound, published_sync
from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.set_metric import SetMetric
from vivace.evaluation.suites.run import evaluate_suite
from vivace.media import write_clip
from vivace.perception.published.weights import PUBLISHED


class Recording:
    """In a network's place: goes where it is told, but for the one that stays."""

    def __init__(self, stays: bool = False) -> None:
        self.device, self.stays = "cpu", stays
        self.told: list[str] = []

    def to(self, device: str) -> None:
        self.told.append(device)
        self.device = self.device if self.stays else device


Build = Callable[[Any], Sequence[ItemMetric | SetMetric]]
BUILDERS: dict[str, Build] = {
    "syncnet": published.lip_sync_metrics,
    "clap": published.clap_metrics,
    "audiobox": published.audiobox_metrics,
    "whisper": published.transcript_metrics,
    "sensevoice": published.sensevoice_metrics,
    "paraformer": published.paraformer_metrics,
    "wavlm-sv": lambda network: published.speaker_metrics("wavlm-sv", network),
    "seed-tts-sv": lambda network: published.speaker_metrics("seed-tts-sv", network),
    "imagebind": published.imagebind_metrics,
    "clip-b32": published_pictures.clip_metrics,
    "panns": published_sound.panns_metrics,
    "passt": published_sound.passt_metrics,
    "vggish": published_sound.vggish_metrics,
    "dnsmos": published_sound.dnsmos_metrics,
    "laion-aesthetic": lambda network: published_pictures.score_metrics("laion-aesthetic", network),
    "aesthetic-v2-5": lambda network: published_pictures.score_metrics("aesthetic-v2-5", network),
    "musiq": lambda network: published_pictures.score_metrics("musiq", network),
    "maniqa": lambda network: published_pictures.score_metrics("maniqa", network),
    "synchformer": published_sync.desync_metrics,
    "cavp": published_sync.cavp_metrics,
    "raft": published_pictures.flow_metrics,
    "i3d": published_pictures.video_distance_metrics,
    "dinov3": lambda network: published_pictures.identity_metrics("dinov3", network),
    "dinov2": lambda network: published_pictures.identity_metrics("dinov2", network),
}


def test_every_network_is_among_them() -> None:
    assert BUILDERS.keys() == PUBLISHED.keys()


@pytest.mark.parametrize("key", sorted(BUILDERS))
def test_prepare_moves_the_network(key: str) -> None:
    network = Recording()
    metrics = BUILDERS[key](network)
    assert {metric.name for metric in metrics} == set(PUBLISHED[key].metrics)
    assert {metric.device for metric in metrics} == {"cpu"}
    for metric in metrics:
        metric.prepare("cuda:1")
    assert network.told == ["cuda:1"] * len(metrics)
    assert {metric.device for metric in metrics} == {"cuda:1"}
    assert {metric.fresh().device for metric in metrics} == {"cuda:1"}


def test_without_a_network_there_is_no_device() -> None:
    for metric in (loud(), a_set_metric([])):
        metric.prepare("cuda")
        assert metric.device == ""


def test_a_run_says_where_its_networks_measured(tmp_path: Path) -> None:
    def metrics(stays: bool = False) -> list[ItemMetric | SetMetric]:
        def length(sample: Sample) -> list[float]:
            assert sample.clip is not None
            return [float(sample.clip.seconds), 1.0]

        found = [ItemMetric(name, length, requires=("sound",), network=Recording(stays)) for name in ("a", "b")]
        for metric in found:
            metric.weights = "0" * 64
        return [*found, loud()]

    for name in ("a/0", "b/1"):
        write_clip(tmp_path / "clips" / f"{name}.mp4", a_clip(0))
    clips = {name: tmp_path / "clips" / f"{name}.mp4" for name in ("a/0", "b/1")}
    out = tmp_path / "out"
    first = evaluate_suite(a_suite(2), out, metrics(), clips=clips, device="cuda:1")
    assert first["devices"] == {"a": ["cuda:1"], "b": ["cuda:1"]}
    row = json.loads((out / "items.jsonl").read_text().splitlines()[0])
    assert row["metrics"]["a"]["device"] == "cuda:1"
    assert "device" not in row["metrics"]["peak"]
    # Another device measures nothing again, and what is new says where it was measured.
    write_clip(clips["b/1"], a_clip(1))
    second = evaluate_suite(a_suite(2), out, metrics(stays=True), clips=clips, device="cuda:2")
    assert second["devices"] == {"a": ["cpu", "cuda:1"], "b": ["cpu", "cuda:1"]}
    # Lines of earlier versions tell no device, and were measured on the CPU.
    text = (out / "items.jsonl").read_text().replace(', "device": "cuda:1"', "")
    (out / "items.jsonl").write_text(text)
    assert evaluate_suite(a_suite(2), out, metrics(), clips=clips)["devices"] == {"a": ["cpu"], "b": ["cpu"]}
