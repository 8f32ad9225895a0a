"""Published metrics of true sound, sets and pictures, on tiny networks of the right architecture."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.perception.published.test_dino import tiny_dino
from tests.perception.published.test_picture_networks import laion_folder, tiny_i3d
from tests.perception.published.test_picture_quality import tiny_maniqa, tiny_musiq
from tests.perception.published.test_sound_networks import dnsmos_folder, tiny_panns, tiny_passt, tiny_vggish
from tests.perception.published.tiny_networks import sound

from vivace.errors import VivaceError
from vivace.evaluation.class_distributions import IS_SPLITS, inception_score, kl_divergence
from vivace.evaluation.frechet import Moments, frechet_distance, frechet_of_sets, kernel_distance
from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.published import published_metrics
from vivace.evaluation.published_metric import UNVERIFIED, pictures_of, sound_of
from vivace.evaluation.published_pictures import identity_metrics, score_metrics, video_distance_metrics
from vivace.evaluation.published_sound import dnsmos_metrics, panns_metrics, passt_metrics, vggish_metrics
from vivace.evaluation.set_metric import SetMetric
from vivace.media import Clip
from vivace.perception.published.aesthetic import AestheticPredictor
from vivace.perception.published.dnsmos import Dnsmos
from vivace.perception.published.weights import PUBLISHED


def a_clip(seed: int, frames: int = 10) -> Clip:
    pictures = np.random.default_rng(seed).integers(0, 255, (frames, 24, 32, 3), dtype=np.uint8)
    return Clip(pictures, Fraction(25), sound(1.0, seed=seed), 16000)


def samples(count: int) -> list[Sample]:
    return [Sample(str(n), a_clip(n), refs={"sound": a_clip(n + 50), "video": a_clip(n + 50)}) for n in range(count)]


def measured(metrics: list[ItemMetric | SetMetric], given: list[Sample]) -> dict[str, Any]:
    for sample in given:
        for metric in metrics:
            metric.update(sample)
    results = {metric.name: metric.compute() for metric in metrics}
    assert all(UNVERIFIED in result.version for result in results.values())
    return results


def test_the_way_by_samples_equals_the_way_by_covariances() -> None:
    rng = np.random.default_rng(0)
    for n, m in ((5, 7), (3, 30), (40, 50)):
        one, two = rng.normal(size=(n, 20)), rng.normal(0.5, 2.0, size=(m, 20))
        assert frechet_of_sets(one, two) == pytest.approx(frechet_distance(Moments.of(one), Moments.of(two)), rel=1e-8)
    assert frechet_of_sets(one, one) == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(VivaceError, match="cannot be compared"):
        frechet_of_sets(np.ones((3, 4)), np.ones((3, 5)))


def test_panns_metrics(tmp_path: Path) -> None:
    network = tiny_panns(tmp_path)
    metrics = panns_metrics(network)
    assert tuple(metric.name for metric in metrics) == PUBLISHED["panns"].metrics
    assert [metric.scope for metric in metrics] == ["set", "pair", "set"]  # FD, KL, IS
    given = samples(IS_SPLITS)
    found = measured(metrics, given)
    made = [network(*sound_of(sample.clip)) for sample in given]
    true = [network(*sound_of(sample.refs["sound"])) for sample in given]
    vectors = [np.stack([one.vector for one in side]) for side in (made, true)]
    assert found["fd_panns"].value == pytest.approx(frechet_of_sets(*vectors), rel=1e-6)
    pairs = [kl_divergence(t.logits, m.logits) for m, t in zip(made, true, strict=True)]
    assert found["kl_panns"].value == pytest.approx(np.mean(pairs), rel=1e-6)
    assert found["is_panns"].value == pytest.approx(inception_score(np.stack([m.logits for m in made]))[0], rel=1e-6)
    assert found["is_panns"].direction == "higher"


def test_too_few_sounds_have_no_inception_score(tmp_path: Path) -> None:
    found = measured(panns_metrics(tiny_panns(tmp_path)), [Sample("a", a_clip(0)), Sample("b", a_clip(1))])
    assert found["is_panns"].value is None
    assert (found["fd_panns"].n, found["fd_panns"].reasons["no sound is given"]) == (0, 2)


def test_passt_metrics(tmp_path: Path) -> None:
    network = tiny_passt(tmp_path)
    metrics = passt_metrics(network)
    assert {metric.name for metric in metrics} == set(PUBLISHED["passt"].metrics)
    (sample,) = samples(1)
    found = measured([metric for metric in metrics if isinstance(metric, ItemMetric)], [sample])
    true, made = (network.over_windows(*sound_of(clip)) for clip in (sample.refs["sound"], sample.clip))
    assert found["kl_verse_bench"].value == pytest.approx(kl_divergence(true, made, inside=1e-6))
    same = Sample("same", sample.clip, refs={"sound": sample.clip})
    assert measured([passt_metrics(network)[1]], [same])["kl_passt"].value == pytest.approx(0.0, abs=1e-9)


def test_every_window_of_vggish_counts(tmp_path: Path) -> None:
    network = tiny_vggish(tmp_path)
    given = [
        Sample(str(n), Clip(None, Fraction(25), sound(2.0, seed=n), 16000), refs={"sound": a_clip(n + 9)})
        for n in range(3)
    ]
    found = measured(vggish_metrics(network), given)["fd_vggish"]
    made = np.concatenate([network(*sound_of(sample.clip)) for sample in given])
    true = np.concatenate([network(*sound_of(sample.refs["sound"])) for sample in given])
    assert (len(made), len(true)) == (6, 3)
    assert found.value == pytest.approx(frechet_of_sets(made, true), rel=1e-6)


def test_dnsmos_metrics(tmp_path: Path) -> None:
    network = Dnsmos(dnsmos_folder(tmp_path))
    metrics = dnsmos_metrics(network)
    assert tuple(metric.name for metric in metrics) == PUBLISHED["dnsmos"].metrics
    found = measured(metrics, [Sample("a", a_clip(0))])
    due = network(*sound_of(a_clip(0)))
    assert {name: result.value for name, result in found.items()} == pytest.approx(
        {f"dnsmos_{name}": value for name, value in due.items()}
    )


def test_scores_of_pictures(tmp_path: Path) -> None:
    network = AestheticPredictor.laion(laion_folder(tmp_path))
    found = measured(score_metrics("laion-aesthetic", network), [Sample("a", a_clip(0)), Sample("b", a_clip(1))])
    due = np.mean([network(pictures_of(a_clip(n))).mean() for n in range(2)])
    assert found["aesthetic_laion"].value == pytest.approx(due, rel=1e-5)
    musiq = tiny_musiq(tmp_path)
    found = measured(score_metrics("musiq", musiq), [Sample("a", a_clip(0, frames=2))])
    assert found["musiq"].value == pytest.approx(float(musiq(pictures_of(a_clip(0, frames=2))).mean()), rel=1e-5)
    maniqa = score_metrics("maniqa", tiny_maniqa(tmp_path))[0]
    with pytest.raises(VivaceError, match="hold no crop"):
        maniqa.update(Sample("small", a_clip(0)))


def test_identity_is_the_cosine_with_the_given_picture(tmp_path: Path) -> None:
    given = a_clip(3)
    assert given.frames is not None
    still = Clip(np.repeat(given.frames[:1], 3, axis=0), given.fps, None, 16000)
    for key in ("dinov3", "dinov2"):
        network = tiny_dino(tmp_path / key, key)
        metrics = identity_metrics(key, network)
        assert tuple(metric.name for metric in metrics) == PUBLISHED[key].metrics
        image = {"image": given.frames[0]}
        lines = [metric.update(Sample("same", still, refs=image)) for metric in metrics]
        assert [line["value"] for line in lines] == pytest.approx([1.0] * len(metrics))
        found = measured(identity_metrics(key, network), [Sample("a", given, refs=image), Sample("b", given)])
        (tokens, patches), (token, patch) = network(given.frames), network(given.frames[:1])
        cosine = [
            float(np.mean([row @ one / np.linalg.norm(row) / np.linalg.norm(one) for row in rows]))
            for rows, (one,) in ((tokens, token), (patches, patch))
        ]
        due = {"id_dinov2": cosine[0]} if key == "dinov2" else {"id_cls": cosine[0], "id_verse_bench": cosine[1]}
        assert {name: result.value for name, result in found.items()} == pytest.approx(due, rel=1e-5)
        assert all(result.reasons == {"no image is given": 1} for result in found.values())


def test_video_distances(tmp_path: Path) -> None:
    network = tiny_i3d(tmp_path)
    metrics = video_distance_metrics(network)
    assert tuple(metric.name for metric in metrics) == PUBLISHED["i3d"].metrics
    given = samples(2)
    short = Sample("short", a_clip(7, frames=8), refs={"video": a_clip(8)})
    found = measured(metrics, [*given, short])
    made, true = (
        np.stack([network(pictures_of(clip)) for clip in clips])
        for clips in ([sample.clip for sample in given], [sample.refs["video"] for sample in given])
    )
    assert found["fvd_videogpt"].value == pytest.approx(frechet_of_sets(made, true), rel=1e-5)
    assert found["kvd_videogpt"].value == pytest.approx(kernel_distance(made, true), rel=1e-5)
    assert found["fvd_videogpt"].reasons == {"fewer than 9 pictures": 1}


def test_what_is_to_be_heard_and_seen_must_be_there() -> None:
    with pytest.raises(VivaceError, match="no sound"):
        sound_of(Clip(np.zeros((1, 2, 2, 3), np.uint8), Fraction(24), None, 16000))
    with pytest.raises(VivaceError, match="no pictures"):
        pictures_of(None)


def test_named_weights_of_the_new_kinds_are_built(tmp_path: Path) -> None:
    (tmp_path / "dnsmos").mkdir()
    (tmp_path / "laion").mkdir()
    named = {"dnsmos": dnsmos_folder(tmp_path / "dnsmos"), "laion-aesthetic": laion_folder(tmp_path / "laion")}
    metrics, skipped = published_metrics(named)
    assert {metric.name for metric in metrics} == {*PUBLISHED["dnsmos"].metrics, "aesthetic_laion"}
    assert {entry.key for entry in skipped} == PUBLISHED.keys() - named.keys()
    other = tmp_path / "other.pth"
    other.write_bytes((tmp_path / "laion" / "model.safetensors").read_bytes())
    for key in ("panns", "passt", "vggish", "i3d", "raft", "cavp", "musiq", "maniqa"):
        with pytest.raises(VivaceError, match="cannot be read"):
            published_metrics({key: other})
