"""Formulas of published metrics against numbers worked out by hand or by another route."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from vivace.errors import VivaceError
from vivace.evaluation.class_distributions import inception_score, kl_divergence, softmax
from vivace.evaluation.desync import av_a_official, desync, offsets, window_starts
from vivace.evaluation.embedding_scores import avh_score, cosines, javis_score, window_score, windows
from vivace.evaluation.frechet import Moments, frechet_distance, kernel_distance, pair_square_distance
from vivace.evaluation.lip_sync_distance import from_distances, lip_sync, mean_distances

RNG = np.random.default_rng


def chosen(*classes: int) -> np.ndarray:
    return np.eye(21)[list(classes)]


def test_desync_is_absolute_and_verse_benchs_form_cancels() -> None:
    assert offsets(chosen(0, 10, 12, 20)) == pytest.approx([-2.0, 0.0, 0.4, 2.0])
    assert desync(chosen(8, 12)) == pytest.approx(0.4)
    assert av_a_official(chosen(8, 12)) == pytest.approx(0.0)


def test_windows_of_desync() -> None:
    assert window_starts(13) == []
    assert window_starts(24) == [0, 10]  # 8 s: the first and the last 4.8 s
    assert window_starts(14) == [0]
    assert window_starts(50, all_windows=True) == [0, 14, 28, 36]


def test_sync_c_and_d_from_distances_made_by_hand() -> None:
    distances = np.full(31, 10.0)
    distances[18], distances[0], distances[30] = 6.5, 9.0, 12.0
    found = from_distances(distances)
    assert (found.distance, found.confidence, found.offset) == (6.5, 3.5, 3)
    # What averaging over the shifts would give instead of their least.
    assert distances.mean() == pytest.approx(9.919, abs=1e-3)


def test_mean_distances_are_those_of_the_published_function() -> None:
    lips, sound = RNG(0).normal(size=(2, 9, 4))
    padded = torch.nn.functional.pad(torch.tensor(sound), (0, 0, 3, 3))
    rows = [
        torch.nn.functional.pairwise_distance(torch.tensor(lips[[i]]).repeat(7, 1), padded[i : i + 7]) for i in range(9)
    ]
    assert mean_distances(lips, sound, 3) == pytest.approx(torch.stack(rows, 1).mean(1).numpy(), abs=1e-9)


def test_a_sound_three_frames_late_is_found() -> None:
    lips = RNG(1).normal(size=(40, 8))
    late = np.concatenate([RNG(2).normal(size=(3, 8)), lips[:-3]])
    found = lip_sync(lips, late)
    assert found.offset == 3
    assert found.confidence > 1


def test_frechet_of_gaussians_known_in_closed_form() -> None:
    # Samples whose mean and covariance are exact: +-sqrt(n-1) along each axis.
    def exact(mean: list[float], deviations: list[float]) -> np.ndarray:
        dim = len(mean)
        rows = np.concatenate([np.diag(deviations), -np.diag(deviations)]) * np.sqrt((2 * dim - 1) / 2)
        return rows + np.array(mean)

    one, two = Moments.of(exact([0, 0, 0], [1, 2, 3])), Moments.of(exact([1, 0, 2], [2, 2, 5]))
    assert one.covariance == pytest.approx(np.diag([1.0, 4.0, 9.0]))
    # Diagonal covariances: |m|^2 + sum (s1 - s2)^2 = 5 + 1 + 0 + 4.
    assert frechet_distance(one, two) == pytest.approx(10.0)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-9)


def test_frechet_equals_the_formula_with_the_matrix_root_also_when_singular() -> None:
    first, second = RNG(0).normal(size=(50, 6)), RNG(1).normal(1.0, 2.0, size=(40, 6))
    s1, s2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    gap = first.mean(0) - second.mean(0)
    plain = gap @ gap + np.trace(s1 + s2 - 2 * np.real(sqrtm(s1 @ s2)))
    assert frechet_distance(Moments.of(first), Moments.of(second)) == pytest.approx(plain)
    few = frechet_distance(Moments.of(first[:3]), Moments.of(second))
    assert np.isfinite(few)
    assert few > 0


def test_moments_of_two_parts_add_up() -> None:
    rows = RNG(0).normal(size=(30, 5))
    whole, parts = Moments.of(rows), Moments.of(rows[:11]) + Moments.of(rows[11:])
    assert parts.n == 30
    assert parts.covariance == pytest.approx(whole.covariance)
    with pytest.raises(VivaceError, match="two samples"):
        frechet_distance(Moments.of(rows[:1]), whole)
    with pytest.raises(VivaceError, match="5 and 4"):
        frechet_distance(whole, Moments.of(rows[:, :4]))


def test_the_kernel_distance_has_no_bias_and_sees_a_shift() -> None:
    same = [kernel_distance(RNG(n).normal(size=(40, 8)), RNG(n + 99).normal(size=(60, 8))) for n in range(60)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(60)
    assert kernel_distance(RNG(0).normal(size=(40, 8)), RNG(1).normal(1, 1, size=(40, 8))) > 1
    # By hand: D = 1, x = 0, 1 and y = 1, 2: kernels (xy + 1)^3 are 1 | 27 | 1, 1, 8, 27.
    by_hand = 1 + 27 - 2 * (1 + 1 + 8 + 27) / 4
    assert kernel_distance(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(by_hand)


def test_verse_benchs_pair_distance() -> None:
    first, second = RNG(0).normal(size=(2, 512))
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    assert pair_square_distance(first, second) == pytest.approx(2 - 2 * first @ second, abs=1e-4)
    assert pair_square_distance(first, first) == 0
    # By hand: (1, 3) and (2, 2): 1 + 1 + (sqrt(2) - 0)^2.
    assert pair_square_distance(np.array([1.0, 3.0]), np.array([2.0, 2.0])) == pytest.approx(4.0)


def test_kl_by_hand() -> None:
    # 0.5, 0.5 against 0.75, 0.25: 0.5 ln(0.5/0.75) + 0.5 ln(0.5/0.25) = 0.143841.
    true, made = np.log([0.5, 0.5]), np.log([0.75, 0.25])
    assert kl_divergence(true, made) == pytest.approx(0.143841, abs=1e-6)
    assert kl_divergence(made, made) == pytest.approx(0.0, abs=1e-12)
    # With 1e-6 inside the logarithm what is impossible costs no more than ln(1e6).
    impossible = np.array([0.0, -1e4])
    assert kl_divergence(true, impossible) == np.inf
    assert kl_divergence(true, impossible, inside=1e-6) == pytest.approx(
        0.5 * np.log(0.5) + 0.5 * np.log(0.5e6), abs=1e-5
    )


def test_inception_score() -> None:
    # Certain and even over four classes: exp(ln 4) = 4 in one part; all alike: 1.
    sure = 1e3 * np.tile(np.eye(4), (10, 1))
    assert inception_score(sure, splits=1)[0] == pytest.approx(4.0)
    assert inception_score(np.zeros((20, 4)))[0] == pytest.approx(1.0)
    # Two parts of one sample each know no variety at all.
    assert inception_score(sure[:2], splits=2) == (pytest.approx(1.0), pytest.approx(0.0))
    assert softmax(np.array([0.0, np.log(3.0)])) == pytest.approx([0.25, 0.75])


def test_avh_and_javis_scores_by_hand() -> None:
    angles = np.arccos([0.1, 0.9, 0.5, 0.3, 0.7])
    pictures = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 3.0
    sound = np.array([2.0, 0.0])
    assert cosines(pictures, sound[None]) == pytest.approx([0.1, 0.9, 0.5, 0.3, 0.7])
    assert avh_score(pictures, sound) == pytest.approx(0.5)
    # floor(0.4 x 5) = 2 least: 0.1 and 0.3.
    assert window_score(pictures, sound) == pytest.approx(0.2)
    # Two windows: pictures 0 to 2 (one least: 0.1) and 2 to 4 (one least: 0.3).
    assert javis_score(pictures, np.stack([sound, sound]), [(0, 3), (2, 5)]) == pytest.approx(0.2)
    with pytest.raises(VivaceError, match="2 windows"):
        javis_score(pictures, sound[None], [(0, 3), (2, 5)])
    with pytest.raises(VivaceError, match="all zeros"):
        cosines(np.zeros((1, 2)), sound[None])


def test_windows_of_javis_score() -> None:
    assert windows(4.0, 24.0) == [(0, 48), (12, 60), (24, 72), (36, 84), (48, 96)]
    assert windows(2.75, 24.0) == [(0, 48), (12, 60), (18, 66)]  # the last one ends with the clip
    assert windows(1.0, 24.0) == [(0, 24)]
    assert windows(1.0, 8.0, length=0.5, overlap=0.0) == [(0, 4), (4, 8)]
