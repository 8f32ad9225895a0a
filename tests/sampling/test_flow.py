from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vivace.pair import AV
from vivace.sampling.flow import (
    add_noise,
    bell_weights,
    flow_loss,
    joint_loss,
    nearest_sigmas,
    sample_from_table,
    sample_logit_normal,
    spread_normal,
    training_weights,
    velocity_target,
)
from vivace.sampling.schedules import train_table

GOLDEN = Path(str(files("vivace.evaluation"))) / "golden" / "nava"


def test_noising_target_and_weights_are_the_published_ones() -> None:
    golden = load_file(GOLDEN / "flow_match_tables.safetensors")
    table = train_table(5)
    np.testing.assert_allclose(bell_weights(table), golden["shift5.steps1000.training_weight"].numpy(), atol=1e-5)
    timesteps, clean, noise = golden["train.timestep"], golden["train.z0"], golden["train.noise"]
    noisy = add_noise(clean, noise, nearest_sigmas(table, timesteps))
    torch.testing.assert_close(noisy, golden["train.x_t"], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(velocity_target(clean, noise), golden["train.target"])
    torch.testing.assert_close(training_weights(table, timesteps), golden["train.weight"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("vision", [1.0, 0.5])
def test_losses_are_the_published_ones(vision: float) -> None:
    golden = load_file(GOLDEN / "loss.safetensors")

    def side(modality: str) -> torch.Tensor:
        predictions = [golden[f"pred.{modality}.{i}"] for i in range(2)]
        targets = [golden[f"target.{modality}.{i}"] for i in range(2)]
        return flow_loss(predictions, targets, golden["weight"])

    losses = AV(side("video"), side("audio"))
    assert losses.video is not None
    assert losses.audio is not None
    torch.testing.assert_close(losses.video * vision, golden[f"video.vision_coeff{vision}"][0])
    torch.testing.assert_close(losses.audio * 0.2, golden[f"audio.audio_coeff0.2.v{vision}"][0])
    official = joint_loss(losses, AV(vision, 0.2), official=True)
    torch.testing.assert_close(official, golden[f"total.vision_coeff{vision}.audio_coeff0.2"][0])
    torch.testing.assert_close(joint_loss(losses, AV(vision, 0.2)), losses.video * vision + losses.audio * 0.2)


def test_noise_and_data_are_the_ends_of_the_path() -> None:
    clean, noise = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    torch.testing.assert_close(add_noise(clean, noise, torch.ones(3)), noise)
    torch.testing.assert_close(add_noise(clean, noise, torch.zeros(3)), clean)
    # Moving along the target from any level reaches the data.
    levels = torch.tensor([0.2, 0.5, 0.9])
    moved = add_noise(clean, noise, levels) - levels.view(3, 1, 1) * velocity_target(clean, noise)
    torch.testing.assert_close(moved, clean, atol=1e-6, rtol=1e-5)


def test_levels_may_be_given_per_token() -> None:
    clean, noise = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    levels = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.0, 0.25]])
    torch.testing.assert_close(add_noise(clean, noise, levels)[:, :, 0], levels)


def test_table_times_are_uniform_over_entries_and_repeat_with_the_seed() -> None:
    table = train_table(5)
    drawn = sample_from_table(20000, table, torch.Generator().manual_seed(3))
    again = sample_from_table(20000, table, torch.Generator().manual_seed(3))
    assert torch.equal(drawn.sigmas, again.sigmas)
    assert abs(drawn.weights.mean().item() - 1) < 0.02
    assert abs((drawn.sigmas > float(table.sigmas[500])).float().mean().item() - 0.5) < 0.02
    torch.testing.assert_close(training_weights(table, drawn.timesteps[:50]), drawn.weights[:50])


def test_spread_levels_fill_every_part_of_the_bell_and_each_alone_is_normal() -> None:
    draws = [spread_normal(32, torch.Generator().manual_seed(seed)) for seed in range(400)]
    for values in draws[:20]:
        parts = (torch.special.ndtr(values.sort().values) * 32).floor()
        assert parts.tolist() == list(range(32))
    first = torch.stack([values[0] for values in draws])
    assert abs(float(first.mean())) < 0.15
    assert abs(float(first.std()) - 1) < 0.1
    spread = sample_logit_normal(20000, torch.Generator().manual_seed(1), mean=0.5, shift=2, spread=True)
    drawn = sample_logit_normal(20000, torch.Generator().manual_seed(1), mean=0.5, shift=2)
    assert torch.allclose(spread.sigmas.sort().values, drawn.sigmas.sort().values, atol=0.03)


def test_logit_normal_times_have_their_median_and_repeat_with_the_seed() -> None:
    drawn = sample_logit_normal(20000, torch.Generator().manual_seed(1), mean=0.5, std=1.0)
    assert abs(drawn.sigmas.median().item() - torch.sigmoid(torch.tensor(0.5)).item()) < 0.01
    assert torch.equal(drawn.sigmas, sample_logit_normal(20000, torch.Generator().manual_seed(1), mean=0.5).sigmas)
    more_noise = sample_logit_normal(20000, torch.Generator().manual_seed(1), mean=0.5, shift=5)
    assert (more_noise.sigmas >= drawn.sigmas).all()
    assert ((drawn.sigmas > 0) & (drawn.sigmas < 1)).all()
    torch.testing.assert_close(drawn.timesteps, drawn.sigmas * 1000)
