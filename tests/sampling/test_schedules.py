from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vivace.errors import VivaceError
from vivace.sampling.schedules import Table, euler_table, shifted, sound_ahead, train_table, unipc_table

GOLDEN = Path(str(files("vivace.evaluation"))) / "golden" / "nava"


@pytest.fixture(scope="module")
def flow_tables() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "flow_match_tables.safetensors")


@pytest.fixture(scope="module")
def unipc() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "unipc_trace.safetensors")


@pytest.mark.parametrize("steps", [4, 25, 50, 1000])
def test_the_euler_table_is_the_published_one(flow_tables: dict[str, torch.Tensor], steps: int) -> None:
    table = euler_table(steps, shift=5)
    golden = flow_tables[f"shift5.steps{steps}.sigmas"].numpy()
    np.testing.assert_allclose(table.sigmas[:-1], golden, atol=2e-7)
    np.testing.assert_allclose(table.timesteps, flow_tables[f"shift5.steps{steps}.timesteps"].numpy(), atol=2e-4)


@pytest.mark.parametrize("steps", [4, 6, 25, 50])
def test_the_unipc_table_is_the_published_one(unipc: dict[str, torch.Tensor], steps: int) -> None:
    table = unipc_table(steps, shift=5)
    np.testing.assert_allclose(table.sigmas, unipc[f"shift5.steps{steps}.sigmas"].numpy(), atol=1e-7)
    np.testing.assert_array_equal(table.timesteps, unipc[f"shift5.steps{steps}.timesteps_int64"].numpy())
    assert table.timesteps.dtype == np.int64
    assert table.timesteps[0] == 999


@pytest.mark.parametrize("make", [euler_table, unipc_table])
@pytest.mark.parametrize("shift", [0.3, 1.0, 5.0, 12.0])
@pytest.mark.parametrize("steps", [1, 2, 25, 1000])
def test_every_table_falls_from_noise_to_data(make, shift: float, steps: int) -> None:
    table = make(steps, shift)
    assert table.steps == steps
    assert table.sigmas.shape == (steps + 1,)
    assert (np.diff(table.sigmas) < 0).all()
    assert table.sigmas[0] > 0.98
    assert table.sigmas[-1] == 0
    assert ((table.timesteps >= 0) & (table.timesteps <= 1000)).all()


def test_a_shift_of_one_changes_nothing_and_the_training_table_has_1000_levels() -> None:
    sigmas = np.linspace(0, 1, 7)
    np.testing.assert_allclose(shifted(sigmas, 1.0), sigmas)
    np.testing.assert_allclose(shifted(sigmas, 5.0), 5 * sigmas / (1 + 4 * sigmas))
    assert train_table().steps == 1000


@pytest.mark.parametrize("steps", [0, -1, 1001, 2.5, True, None])
def test_steps_out_of_range_are_refused(steps) -> None:
    for make in (euler_table, unipc_table):
        with pytest.raises(VivaceError, match="steps"):
            make(steps)


@pytest.mark.parametrize("shift", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_shifts_out_of_range_are_refused(shift: float) -> None:
    with pytest.raises(VivaceError, match="shift"):
        euler_table(10, shift)


@pytest.mark.parametrize("table", [euler_table(8, 3.0), unipc_table(8, 5.0)])
def test_sound_ahead_has_smaller_odds_of_noise_at_every_step_and_ends_with_the_picture(table: Table) -> None:
    ahead = sound_ahead(table, 4.0)
    odds, smaller = (t.sigmas[1:-1].astype(float) / (1 - t.sigmas[1:-1].astype(float)) for t in (table, ahead))
    np.testing.assert_allclose(odds / smaller, 4.0, rtol=1e-4)
    assert ahead.sigmas[-1] == 0
    assert ahead.sigmas[0] == pytest.approx(table.sigmas[0], abs=1e-3)
    assert ahead.timesteps.dtype == table.timesteps.dtype
    np.testing.assert_allclose(ahead.timesteps, 1000 * ahead.sigmas[:-1], atol=1)
    assert (sound_ahead(table, 1.0).sigmas == table.sigmas).all()


@pytest.mark.parametrize("lead", [0.5, 0.0, float("nan"), 1000.0])
def test_a_lead_out_of_range_is_named(lead: float) -> None:
    with pytest.raises(VivaceError, match="sound_lead"):
        sound_ahead(euler_table(4), lead)
