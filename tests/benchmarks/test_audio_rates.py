"""The benchmark of the audio tower's rates: units that go on where they were stopped, curves of what is complete."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.audio_rates.__main__ import main
from benchmarks.audio_rates.curve import curve_of, markdown, write_curves
from benchmarks.audio_rates.judging import FIGURES, sound_features
from benchmarks.audio_rates.unit import RatesSettings, recipe_of
from tests.tiny import TINY_ALIVE
from tests.training.conftest import clips, codecs, latents
from tests.training.small import joint_data

from vivace.evaluation.frechet import frechet_of_sets
from vivace.training.alive import run_alive
from vivace.training.recipe import check_recipe, recipe_json

__all__ = ["clips", "codecs", "latents"]


def _toml(value: object) -> str:
    """A plain value as TOML has it, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items() if each is not None) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@pytest.fixture(scope="module")
def alive_toml(latents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = joint_data(latents) | {"unit": "alive"}
    data["transformer"] = {**TINY_ALIVE, "text_len": 256, "learned_positions": [4, 2, 2]}
    path = tmp_path_factory.mktemp("recipe") / "joint.toml"
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in data.items()))
    return path


@pytest.fixture(scope="module")
def towers(alive_toml: Path, latents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tomllib

    data = tomllib.loads(alive_toml.read_text())
    data["stages"][0]["steps"] = data["loop"]["steps"] = 1
    recipe = check_recipe(data, "towers")
    run = tmp_path_factory.mktemp("towers")
    run_alive(recipe, run)
    (run / "recipe.json").write_text(recipe_json(recipe))
    return run


def test_units_go_on_where_they_were_stopped_and_make_curves(
    alive_toml: Path, towers: Path, codecs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    words = ["run", "--recipe", str(alive_toml), "--start", str(towers), "--model", str(codecs["vae"].parent)]
    words += ["--steps", "2", "--points", "2", "--seeds", "1", "--rates", "0.5", "--prompts", "2", "--sampling", "1"]
    words += ["--size", "32", "--seconds", "0.8", "--runs", str(runs)]
    assert main([*words, "--minutes", "0.0001"]) == 3
    assert curve_of(runs)["rows"] == []
    assert main(words) == 0
    first = {path: path.read_bytes() for path in runs.rglob("*.json") if "checkpoints" not in path.parts}
    assert main(words) == 0
    assert {path: path.read_bytes() for path in first} == first
    assert main([*words, "--sampling", "2"]) == 2
    assert main([*words, "--steps", "3"]) == 2
    assert main([*words, "--talk", "1"]) == 2
    found = curve_of(runs)
    assert [(row["rate"], row["step"], row["seeds"]) for row in found["rows"]] == [
        (0.5, 1, [0]),
        (0.5, 2, [0]),
    ]
    for row in found["rows"]:
        assert set(row["figures"]) == set(FIGURES)
        for name in ("distance of sounds alone", "distance of sounds with pictures"):
            assert np.isfinite(row["figures"][name]).all()
    # A point that is lost is judged again, and comes out the same.
    lost = runs / "0.5-0" / "points" / "00000001.json"
    lost.unlink()
    assert main(words) == 0
    assert lost.read_bytes() == first[lost]
    capsys.readouterr()
    assert main(["table", "--runs", str(runs), "--output", str(tmp_path / "table.md")]) == 0
    assert capsys.readouterr().out.count("\n| ") == 1 + len(found["rows"])
    assert json.loads((tmp_path / "table.json").read_text()) == found
    assert (tmp_path / "table.html").read_text().count("<polyline") >= 2  # two distances


def test_only_the_rate_of_the_audio_tower_and_the_seed_differ(alive_toml: Path, tmp_path: Path) -> None:
    settings = RatesSettings(alive_toml, tmp_path, tmp_path, 4, 2, 2, 0, 1, 32, 0.8, 1)
    one, other = (recipe_of(rate, 3, settings).model_dump() for rate in (1.0, 0.1))
    assert one.pop("optimizer")["rates"] == {"video": 1.0, "audio": 1.0, "exchange": 1.0}
    assert other.pop("optimizer")["rates"] == {"video": 1.0, "audio": 0.1, "exchange": 1.0}
    assert one == other
    assert one["loop"]["milestone_every"] == 2
    assert one["loop"]["decay_steps"] == 0
    assert one["loop"]["threads"] == 1
    with pytest.raises(ValueError, match="do not part"):
        recipe_of(1.0, 3, RatesSettings(alive_toml, tmp_path, tmp_path, 5, 2, 2, 0, 1, 32, 0.8, 1))


def test_spoilt_sounds_are_farther_from_true_ones() -> None:
    rng = np.random.default_rng(0)

    def knocks(count: int) -> list[np.ndarray]:
        decay = np.exp(-np.arange(16000) / 1600)
        tones = (np.sin(2 * np.pi * rng.uniform(200, 800) / 16000 * np.arange(16000)) for _ in range(count))
        return [np.tile((0.3 * tone * decay).astype(np.float32), (2, 1)) for tone in tones]

    def distance(first: list[np.ndarray], second: list[np.ndarray]) -> float:
        return frechet_of_sets(*(np.stack([sound_features(x, 16000) for x in side]) for side in (first, second)))

    true, like = knocks(24), knocks(24)
    near = distance(like, true)
    hissing = [x + 0.02 * rng.standard_normal(x.shape).astype(np.float32) for x in like]
    for spoilt in (hissing, [0.1 * x for x in like], [0 * x for x in like]):
        assert distance(spoilt, true) > 2 * near


def test_several_seeds_are_told_as_their_mean_and_range(tmp_path: Path) -> None:
    start = dict.fromkeys(FIGURES, 4.0) | {"word error rate": None}
    (tmp_path / "start.json").write_text(json.dumps(start))
    (tmp_path / "settings.json").write_text(json.dumps({"prompts": 8}))
    for seed, value in enumerate((1.0, 2.0)):
        path = tmp_path / f"1-{seed}" / "points" / "00000010.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**start, "rate": 1.0, "seed": seed, "step": 10, "AV event F1 75 ms": value}))
    told = markdown(curve_of(tmp_path)).splitlines()
    assert told[2] == "| towers alone | 0 |  | 4.0000 | 4.0000 | none | 4.0000 |"
    assert told[3].startswith("| 1 | 10 | 2 | 4.0000 [4.0000, 4.0000] |")
    assert told[3].endswith("| none | 1.5000 [1.0000, 2.0000] |")
    write_curves(tmp_path / "page.html", curve_of(tmp_path))
    page = (tmp_path / "page.html").read_text()
    assert page.count("<polyline") == 3  # words were not judged


def test_nothing_complete_is_said_to_be_nothing(tmp_path: Path) -> None:
    assert markdown(curve_of(tmp_path)).startswith("Nothing is complete")
