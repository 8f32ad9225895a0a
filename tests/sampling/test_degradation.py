"""Where a refiner's path begins."""

import numpy as np
import pytest
import torch

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.degradation import DEGRADATION, TRAINED, check_degradation, degraded
from vivace.sampling.flow import add_noise, velocity_target
from vivace.sampling.solvers import EulerSolver


def test_a_source_is_the_picture_at_0_and_noise_at_1() -> None:
    low, noise = torch.randn(2, 4, 1, 2, 2), torch.randn(2, 4, 1, 2, 2)
    assert torch.equal(degraded(low, noise, torch.zeros(2)), low)
    assert torch.equal(degraded(low, noise, torch.ones(2)), noise)
    mixed = degraded(low, noise, torch.tensor([0.9, 0.0]))
    torch.testing.assert_close(mixed[0], 0.1 * low[0] + 0.9 * noise[0])
    assert torch.equal(mixed[1], low[1])
    assert TRAINED[0] < DEGRADATION < TRAINED[1]


def test_its_path_is_a_straight_line_that_one_euler_step_walks() -> None:
    clean, low, noise = (torch.randn(2, 4, 1, 2, 2) for _ in range(3))
    source = degraded(low, noise, torch.full((2,), 0.9))
    velocity = velocity_target(clean, source)
    solver = EulerSolver(np.array([1.0, 0.3, 0.0]))
    middle = solver.step(AV(velocity), AV(source), 0)
    torch.testing.assert_close(middle.video, add_noise(clean, source, torch.full((2,), 0.3)))
    torch.testing.assert_close(solver.step(AV(velocity), middle, 1).video, clean)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), True, "0.9"])
def test_shares_outside_of_0_to_1_are_refused(weight: object) -> None:
    with pytest.raises(VivaceError, match="no number from 0 to 1"):
        check_degradation(weight)
    assert check_degradation(1) == 1.0
