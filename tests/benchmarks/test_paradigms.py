"""The comparison of paradigms: equal sizes, equal data, units that can be interrupted, a table of what is complete."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.paradigms.__main__ import f1, interval, main, markdown, recipe_of, step_flops, table_of
from benchmarks.paradigms.networks import PARADIGMS, build, config_of, matched, parameters
from benchmarks.paradigms.objective import FIGURES, ParadigmObjective
from benchmarks.paradigms.unified import UnifiedTransformer
from tests.tiny import tiny_text_encoder
from tests.training.conftest import clips, codecs, latents

from vivace.data.fingerprint import weights_hash
from vivace.pair import AV

__all__ = ["clips", "codecs", "latents"]
BUDGET = 340_000


def _unified(**changes: object) -> UnifiedTransformer:
    torch.manual_seed(0)
    model = build("unified", config_of("unified", 24, (2,), 4, 16, 8) | changes)
    assert isinstance(model, UnifiedTransformer)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return model.eval()


def test_networks_have_nearly_the_same_number_of_parameters() -> None:
    counts = [parameters(name, matched(name, BUDGET, 4, 128, 16)) for name in PARADIGMS]
    assert all(abs(count / BUDGET - 1) <= 0.02 for count in counts)


def test_a_size_that_cannot_be_met_is_told_before_anything_is_trained(
    latents: Path, codecs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="another budget"):
        matched("towers", 300, 4, 128, 16)
    # Of the last one alone there is no network of this size.
    assert main(_words(latents, codecs, tmp_path / "runs", "--budget", "480000")) == 2
    assert "no unified network" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@torch.no_grad()
def test_the_unified_network_is_a_network_of_all_three() -> None:
    model, generator = _unified(), torch.Generator().manual_seed(1)
    x = AV(torch.randn(2, 4, 2, 4, 4, generator=generator), torch.randn(2, 6, 16, generator=generator))
    t = x.map(lambda _: torch.tensor([500.0, 300.0]))
    text = [torch.randn(n, 8, generator=generator) for n in (3, 1)]
    context = model.encode_context(text)
    out = model(x, t, context)
    assert out.map(lambda y: y.shape) == x.map(lambda y: y.shape)
    other = model(AV(x.video, x.audio + 1), t, context)
    assert not torch.allclose(out.video, other.video, atol=1e-4)
    # Without exchange each side is as if alone, and padding of the text changes nothing.
    apart = model(x, t, context, exchange=False)
    for side in ("video", "audio"):
        alone = model(AV(**{side: x.get(side)}), t, context).get(side)
        assert torch.equal(apart.get(side), alone)
    solo = model(x.map(lambda y: y[1:]), t.map(lambda y: y[1:]), model.encode_context(text[1:]))
    torch.testing.assert_close(out.video[1:], solo.video, atol=1e-5, rtol=1e-4)
    # A timestep per token that is everywhere the same is one timestep.
    every = AV(t.video[:, None].expand(2, 8), t.audio[:, None].expand(2, 6))
    torch.testing.assert_close(model(x, every, context).audio, out.audio, atol=1e-5, rtol=1e-4)
    reworded = model(x, t, model.encode_context([text[0] + 1, text[1]]))
    assert not torch.allclose(reworded.audio[0], out.audio[0], atol=1e-4)


def _words(latents: Path, codecs: dict[str, Path], runs: Path, *more: str) -> list[str]:
    small = ["--steps", "3", "--seeds", "0", "--budget", str(BUDGET), "--text-width", "16", "--batch", "4"]
    small += ["--clips", "4", "--threads", "1", "--precision", "fp32", "--prompts", "2", "--runs", str(runs)]
    small += ["--model", str(codecs["vae"].parent)]
    return ["run", "--latents", str(latents), "--validation", str(latents), *small, *more]


def test_units_go_on_where_they_were_stopped_and_make_a_table(
    latents: Path, codecs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    assert main(_words(latents, codecs, runs, "--minutes", "0.0001")) == 3
    assert table_of(runs) == []
    assert main(_words(latents, codecs, runs)) == 0
    first = {path: path.read_bytes() for path in runs.glob("*/result.json")}
    assert len(first) == len(PARADIGMS)
    assert main(_words(latents, codecs, runs)) == 0
    assert {path: path.read_bytes() for path in runs.glob("*/result.json")} == first
    assert main(_words(latents, codecs, runs, "--steps", "4")) == 2
    capsys.readouterr()
    assert main(["table", "--runs", str(runs), "--output", str(tmp_path / "table.json")]) == 0
    rows = json.loads((tmp_path / "table.json").read_text())
    assert (tmp_path / "table.md").read_text() == markdown(rows) + "\n"
    assert [row["paradigm"] for row in rows] == list(PARADIGMS)
    for row in rows:
        assert (row["seeds"], row["clips"], row["prompts"], row["steps"]) == ([0], 4, 2, 3)
        assert abs(row["parameters"] / BUDGET - 1) <= 0.02
        assert row["flops_per_step"] > 1e6
        assert row["seconds_per_step"] > 0
        for mean, low, high in (*row["errors"].values(), *row["worth"].values(), *row["sync"].values()):
            assert low <= mean <= high
        assert all(0 <= mean <= 1 for mean, _, _ in row["sync"].values())
        errors = row["errors"]
        told = errors["moving video, pictures alone"][0] - errors["moving video, sound given"][0]
        for side in ("video", "audio"):
            assert 0 < errors[f"moving {side}, both noisy"][0] < errors[f"{side}, both noisy"][0]
        assert row["worth"]["sound tells of pictures"][0] == pytest.approx(told)
    assert capsys.readouterr().out.count("\n") == 2 + len(rows)
    assert markdown(rows).startswith("| paradigm | seeds")


def test_an_interrupted_unit_is_the_uninterrupted_one(latents: Path, codecs: dict[str, Path], tmp_path: Path) -> None:
    import argparse

    from benchmarks.paradigms.__main__ import run_unit

    # All read one text encoder, which stays as it is.
    tiny_text_encoder().save_pretrained(tmp_path / "model" / "text_encoder")
    settings = {"steps": 3, "budget": BUDGET, "text_width": 16, "batch": 4, "clips": 4, "threads": 1}
    settings |= {"balance": 0.3, "prompts": 2, "model": codecs["vae"].parent}
    settings["text_encoder"] = tmp_path / "model"
    errors = []
    for number in range(2):
        options = argparse.Namespace(
            latents=latents, validation=latents, precision="fp32", runs=tmp_path / str(number), **settings
        )
        errors.append(json.loads(run_unit("unified", 1, options).read_text())["errors"])
    assert errors[0] == errors[1]
    assert set(errors[0]) == set(FIGURES)
    assert all(np.isfinite(values).all() and len(values) == 4 for values in errors[0].values())
    # The same data, noise and captions for all: only the network differs.
    one, other = (ParadigmObjective(recipe_of(name, 1, options), tmp_path) for name in ("unified", "towers"))
    assert weights_hash(one.text_encoder) == weights_hash(other.text_encoder) == weights_hash(tiny_text_encoder())
    assert not any(parameter.requires_grad for parameter in one.text_encoder.parameters())
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no text encoder"):
        recipe_of("unified", 1, argparse.Namespace(**{**vars(options), "text_encoder": tmp_path / "none"}))
    for step in range(3):
        a, b = one.prepare(step), other.prepare(step)
        assert a.captions == b.captions
        assert a.task == b.task
        assert torch.equal(a.noise.video, b.noise.video)
        assert torch.equal(a.batch.latents.audio, b.batch.latents.audio)
    assert step_flops(recipe_of("unified", 1, options), tmp_path) > 0


def test_intervals_hold_the_mean_and_shrink_with_what_is_seen() -> None:
    rng = np.random.default_rng(0)
    few, many = (1 + 0.1 * rng.standard_normal((3, clips)) for clips in (8, 200))
    (mean, low, high), (_, *ends) = interval(few.tolist()), interval(many.tolist())
    assert low < mean < high
    assert ends[1] - ends[0] < high - low
    # Counts are added up before they are divided.
    assert interval([[(2, 2), (0, 6)], [(2, 2), (4, 6)]], f1)[0] == 0.5
    assert f1(np.zeros((2, 3, 2))) == 0
