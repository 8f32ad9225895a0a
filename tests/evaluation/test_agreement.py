import pytest

from vivace.errors import VivaceError
from vivace.evaluation.agreement import fleiss_kappa, krippendorff_alpha, raw_agreement

VOTES = [[1, 1, 0], [1, 1, 1], [-1, -1, 0], [0, 0, 0], [1, 0, 1], [-1, -1, -1], [0, 1, 0], [-1, 0, -1]]


def test_known_values() -> None:
    assert fleiss_kappa(VOTES) == pytest.approx(0.3717, abs=5e-5)
    assert krippendorff_alpha(VOTES) == pytest.approx(0.3979, abs=5e-5)
    assert krippendorff_alpha(VOTES, "interval") == pytest.approx(0.6797, abs=5e-5)
    # Three items agree wholly, five in one pair of three.
    assert raw_agreement(VOTES) == pytest.approx((3 + 5 / 3) / 8)


def test_krippendorffs_own_example_with_missing_votes() -> None:
    # Krippendorff, "Computing Krippendorff's alpha-reliability", part C: four observers, twelve units.
    none = None
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, none, none, none],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, none, 3],
        [none, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, none],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, none],
    ]
    units = [list(unit) for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(units, "interval") == pytest.approx(0.849, abs=5e-4)


def test_what_is_undefined_is_refused() -> None:
    with pytest.raises(VivaceError, match="alike"):
        krippendorff_alpha([[1, 1], [1, 1]])
    with pytest.raises(VivaceError, match="alike"):
        fleiss_kappa([[1, 1], [1, 1]])
    with pytest.raises(VivaceError, match="two votes"):
        raw_agreement([[1, None], [None]])
    with pytest.raises(VivaceError, match="equally many"):
        fleiss_kappa([[1, 1, 0], [1, None, 0]])
