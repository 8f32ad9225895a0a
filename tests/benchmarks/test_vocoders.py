"""The comparison of vocoders on tiny ones: equal time, equal crops, and a run that goes on where it was."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.vocoder_training import (
    Plan,
    Rates,
    SpectrumDiscriminator,
    Training,
    against,
    new_vocoder,
    over_time,
    trained,
)
from benchmarks.vocoders import DIFFERENCES, VARIANTS, Settings, main, markdown

from benchmarks import vocoder_training, vocoders
from vivace.data.shards import ShardHeader, ShardWriter
from vivace.errors import VivaceError


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vocoder_training, "ISTFT", {"dim": 16, "num_layers": 1})
    small = {"hidden_channels": 32, "resnet_kernel_sizes": [3], "resnet_dilations": [[1, 3]]}
    monkeypatch.setattr(vocoder_training, "LTX2", vocoder_training.LTX2 | small)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of decaying tones, each with an onset of its own. 1 s"""
    folder = tmp_path_factory.mktemp("shards") / "clips"
    writer = ShardWriter(folder, ShardHeader("clips"))
    time = np.arange(16000) / 16000
    for k in range(4):
        since = np.maximum(time - 0.1 - 0.1 * k, 0)
        tone = 0.5 * np.sin(2 * np.pi * 300 * (k + 1) * since) * np.exp(-6 * since)
        writer.add(f"clip-{k}", {"audio": (32767 * np.stack([tone, 0.5 * tone])).astype(np.int16)}, {})
    writer.close()
    return folder


def settings(shards: Path) -> Settings:
    return Settings((str(shards),), str(shards), 2, 0.3, 0.1, 1, 0, 2, 9, 1)


def words(shards: Path, folder: Path) -> list[str]:
    options = {"--clips": shards, "--validation": shards, "--held-out": 2, "--seconds": 0.3, "--trial-seconds": 0.02}
    options |= {"--rounds": 1, "--batch": 1, "--tokens": 9, "--folder": folder, "--output": folder / "out.json"}
    return [str(word) for pair in options.items() for word in pair]


def test_every_variant_has_the_steps_that_its_time_buys_and_is_kept(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(words(shards, tmp_path))
    found = json.loads((tmp_path / "out.json").read_text())
    assert (tmp_path / "out.md").read_text() == markdown(found)
    assert list(found["variants"]) == list(VARIANTS)
    step = found["cpu_seconds"]["step"]
    for name, variant in found["variants"].items():
        family, losses = name.split()
        joined = step[name] if losses == "adversarial" else None
        plan = Plan.of(0.3, step[f"{family} spectral"], joined)
        assert (variant["steps_without_discriminator"], variant["steps"]) == (plan.spectral, plan.steps)
        assert variant["losses"][-1]["steps"] == plan.steps
        judged = [line["steps"] for line in variant["losses"] if "judge" in line]
        assert bool(judged) == (losses == "adversarial")
        assert all(last > plan.spectral for last in judged)
        assert variant["held_out"]["n"] == len(variant["held_out"]["clips"]) == 2
        assert variant["rates"] == found["trial"]["chosen"][family]
    for first, second in DIFFERENCES:
        means = [found["variants"][name]["held_out"]["log_mel_distance"] for name in (first, second)]
        told = found["differences"][f"{first} - {second}"]["log_mel_distance"]
        assert told["value"] == pytest.approx(means[0] - means[1])

    # The same command makes only what is missing, and what it finds it keeps.
    (tmp_path / "ltx2-spectral.json").unlink()
    made = []

    def noted(variant: str, *_: object) -> dict[str, object]:
        made.append(variant)
        return found["variants"][variant]

    monkeypatch.setattr(vocoders, "variant_figures", noted)
    main(words(shards, tmp_path))
    assert made == ["ltx2 spectral"]
    assert json.loads((tmp_path / "out.json").read_text()) == found
    with pytest.raises(VivaceError, match=r"trial\.json' was made with other settings; remove it or name another"):
        main([*words(shards, tmp_path), "--seed", "1"])


def test_too_few_held_out_clips_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match="gives fewer than 2 held-out clips; take 2 or more"):
        main([*words(shards, tmp_path), "--held-out", "1"])


@pytest.mark.parametrize("family", ["istft", "ltx2"])
def test_a_vocoder_learns_and_a_run_repeats_itself(family: str, shards: Path) -> None:
    data = settings(shards).data()
    runs = [trained(Training(family, Rates("adamw", 5e-3), data, 0), Plan(12, 2)) for _ in range(2)]
    losses = [[{name: line[name] for name in line if name != "cpu_seconds"} for line in run] for run in runs]
    assert losses[0] == losses[1]
    spectral = [line["spectral"] for line in losses[0]]
    assert np.mean(spectral[-3:]) < 0.8 * np.mean(spectral[:3])
    assert ["judge" in line for line in losses[0]] == [False] * 12 + [True] * 2


@pytest.mark.parametrize("family", ["istft", "ltx2"])
def test_both_vocoders_give_160_samples_a_frame(family: str) -> None:
    with torch.no_grad():
        assert new_vocoder(family, 0)(torch.zeros(1, 2, 21, 64)).shape == (1, 2, 21 * 160)


def test_only_its_own_terms_move_the_vocoder(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = settings(shards).data()

    def after(adversarial: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        training = Training("istft", Rates("muon", 1e-3), data, 0)
        before = [x.detach().clone() for x in training.judges.parameters()]
        training.step(0, 1.0, adversarial)
        moved = [x.detach() - y for x, y in zip(training.judges.parameters(), before, strict=True)]
        return [x.detach() for x in training.parameters], moved

    alone, still = after(False)
    heard, _ = after(True)
    monkeypatch.setattr(vocoder_training, "ADVERSARIAL_WEIGHT", 0.0)
    monkeypatch.setattr(vocoder_training, "FEATURE_WEIGHT", 0.0)
    unheard, moved = after(True)
    assert not any(x.any() for x in still)
    assert all(x.any() for x in moved)
    assert all(torch.equal(x, y) for x, y in zip(alone, unheard, strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(alone, heard, strict=True))


def test_discriminators_learn_to_tell_sounds_apart() -> None:
    torch.manual_seed(0)
    judges = [SpectrumDiscriminator(256), SpectrumDiscriminator(512)]
    optimizer = torch.optim.AdamW([x for judge in judges for x in judge.parameters()], lr=5e-3)
    tone = torch.sin(torch.arange(4000) * 0.3).expand(2, 2, -1) * 0.3
    noise = 0.2 * torch.randn(2, 2, 4000)
    first = against(judges, tone, noise)["judge"].item()
    for _ in range(25):
        optimizer.zero_grad()
        loss = against(judges, tone, noise)
        loss["judge"].backward()
        optimizer.step()
    assert loss["judge"].item() < 0.5 < 1.5 < first
    assert loss["adversarial"].item() > 0  # noise is scored as made
    same = against(judges, tone, tone)
    assert same["features"].item() < 1e-6 < 0.1 < loss["features"].item()


def test_losses_are_told_in_parts_of_one_kind() -> None:
    history = [{"cpu_seconds": 10.0 * k, "spectral": float(k)} for k in range(1, 6)]
    history += [{"cpu_seconds": 51.0, "spectral": 9.0, "judge": 2.0}]
    told = over_time(history)
    assert [line["steps"] for line in told] == [2, 5, 6]
    assert [line["spectral"] for line in told] == [1.5, 4.0, 9.0]
    assert [line["cpu_seconds"] for line in told] == [20.0, 50.0, 51.0]
    assert told[-1]["judge"] == 2.0
