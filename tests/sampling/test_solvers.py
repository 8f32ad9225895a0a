from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.schedules import euler_table, unipc_table
from vivace.sampling.solvers import EulerSolver, UniPCSolver, solver_for, table_for

GOLDEN = Path(str(files("vivace.evaluation"))) / "golden" / "nava"


@pytest.mark.parametrize("steps", [6, 25])
def test_unipc_follows_the_published_trace(steps: int) -> None:
    golden = load_file(GOLDEN / "unipc_trace.safetensors")
    table = unipc_table(steps)
    solver = UniPCSolver(table.sigmas)
    # The audio side runs the same field from a scaled start in the same solver and must not disturb the video side.
    latents = AV(golden["trace.x_init"], 0.5 * golden["trace.x_init"])
    for index, timestep in enumerate(table.timesteps):
        velocity = latents.map(lambda x, t=int(timestep): torch.tanh(x @ golden["trace.W"]) + 0.001 * t * x)
        latents = solver.step(velocity, latents, index)
        assert latents.video is not None
        torch.testing.assert_close(latents.video, golden[f"trace.steps{steps}.after{index}"], atol=5e-6, rtol=0)


def test_unipc_equals_diffusers_on_the_same_levels() -> None:
    from diffusers import UniPCMultistepScheduler

    table = unipc_table(9, shift=3.0)
    reference = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=2)
    reference.set_timesteps(9)
    reference.sigmas = torch.from_numpy(table.sigmas)
    reference.timesteps = torch.from_numpy(table.timesteps)
    solver = UniPCSolver(table.sigmas)
    theirs = torch.linspace(-1, 1, 12).reshape(3, 4)
    ours = AV(None, theirs.clone())
    for index in range(9):
        velocity = ours.map(lambda x, k=index: torch.sin(3 * x + k))
        theirs = reference.step(torch.sin(3 * theirs + index), reference.timesteps[index], theirs).prev_sample
        ours = solver.step(velocity, ours, index)
        torch.testing.assert_close(ours.audio, theirs, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["euler", "unipc"])
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_a_straight_flow_is_solved_exactly(name, steps: int) -> None:
    table = table_for(name, steps, 5.0)
    solver = solver_for(name, table.sigmas)
    data, noise = torch.randn(4, 3), torch.randn(4, 3)
    start = float(table.sigmas[0])
    latents = AV(video=(1 - start) * data + start * noise)
    for index in range(steps):
        latents = solver.step(AV(video=noise - data), latents, index)
    torch.testing.assert_close(latents.video, data, atol=1e-5, rtol=1e-5)


def test_unipc_is_of_second_order() -> None:
    """dx/dsigma = 0.8 x + sin(4 sigma) away from the ends: doubling the steps must cut the error four times."""

    def run(steps: int) -> float:
        sigmas = np.linspace(0.8, 0.2, steps + 1)
        solver = UniPCSolver(sigmas)
        latents: AV[torch.Tensor] = AV(video=torch.ones(1, dtype=torch.float32))
        for index in range(steps):
            latents = solver.step(latents.map(lambda x, s=sigmas[index]: 0.8 * x + np.sin(4 * s)), latents, index)
        assert latents.video is not None
        return latents.video.item()

    truth = run(1000)
    assert 3.5 < (run(5) - truth) / (run(10) - truth) < 4.5
    assert 3.5 < (run(10) - truth) / (run(20) - truth) < 4.5


def test_the_current_sample_enters_unipc_only_through_its_data_prediction() -> None:
    table = unipc_table(5)
    first, second = UniPCSolver(table.sigmas), UniPCSolver(table.sigmas)
    x = torch.randn(6)
    a = first.step(AV(video=torch.ones(6)), AV(video=x), 0)
    second.step(AV(video=torch.ones(6)), AV(video=x), 0)
    sigma = float(table.sigmas[1])
    velocity = torch.randn(6)
    moved = a.map(lambda t: t + 3.0)
    left = first.step(AV(video=velocity), a, 1).video
    right = second.step(AV(video=velocity + 3.0 / sigma), moved, 1).video
    torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


def test_steps_out_of_order_and_levels_of_one_are_refused() -> None:
    solver = UniPCSolver(unipc_table(4).sigmas)
    with pytest.raises(ValueError, match="out of order"):
        solver.step(AV(video=torch.ones(1)), AV(video=torch.ones(1)), 1)
    with pytest.raises(VivaceError, match="unipc_table"):
        UniPCSolver(euler_table(4).sigmas)
    with pytest.raises(VivaceError, match="unknown"):
        solver_for("heun", unipc_table(4).sigmas)  # type: ignore[arg-type]


def test_low_precision_velocities_are_integrated_in_float32() -> None:
    for solver, table in ((EulerSolver, euler_table(3)), (UniPCSolver, unipc_table(3))):
        step = solver(table.sigmas).step(AV(audio=torch.ones(2, dtype=torch.bfloat16)), AV(audio=torch.ones(2)), 0)
        assert step.audio is not None
        assert step.audio.dtype == torch.float32
        assert step.video is None
