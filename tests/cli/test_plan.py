"""`vivace plan` and `--memory`: what is said before anything is loaded, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from vivace.cli.main import main
from vivace.pipelines import planning
from vivace.pipelines.memory import Peaks

Capture = pytest.CaptureFixture[str]


def _planned(capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["plan", *words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def test_a_plan_names_parts_licences_peaks_and_what_it_chose(model_folder: Path, capsys: Capture) -> None:
    code, found = _planned(capsys, "--model", str(model_folder))
    assert code == 0
    assert set(found["parts"]) == {"transformer", "text_encoder", "vae", "audio_vae", "vocoder"}
    assert found["bytes"] == sum(path.stat().st_size for path in model_folder.rglob("*.safetensors"))
    assert found["plan"]["exact"]
    assert found["peak"]["host"] >= found["smallest"]["host"] > 0
    assert found["licences"]
    assert main(["plan", "--model", str(model_folder)]) == 0
    assert "Expected peak" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_with_what_does(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    big = ["--model", str(model_folder), "--size", "128x128", "--seconds", "1", "--only", "video"]
    code, free = _planned(capsys, *big, "--memory", "1GB")
    assert code == 0
    assert not free["plan"]["together"] or free["plan"]["decoding"] != "whole" or free["peak"]["host"] < 10**9
    code, found = _planned(capsys, *big, "--memory", f"{free['smallest']['host'] * 0.9995 / 1e6:.3f}MB")
    assert code == 2
    assert "s at this size" in found["problem"]
    output = tmp_path / "clip.mp4"
    small = ["--model", str(model_folder), "--memory", "1MB", "--output", str(output)]
    assert main(["generate", "a drum", *small]) == 2
    assert "use a smaller model" in capsys.readouterr().err
    assert not output.exists()


def test_too_little_for_the_weights_is_refused_with_true_numbers_and_what_is_enough(
    model_folder: Path, capsys: Capture
) -> None:
    code, found = _planned(capsys, "--model", str(model_folder), "--memory", "20MB")
    assert code == 2
    weights = sum(part["values"] for part in found["parts"].values()) * 4
    assert f"{weights / 1e6:.0f} MB of weights and 0.9 GB of libraries" in found["problem"]
    named = re.search(r"give --memory (\S+) or use a smaller model", found["problem"])
    assert named is not None
    code, enough = _planned(capsys, "--model", str(model_folder), "--memory", named[1])
    assert code == 0
    assert enough["smallest"] == found["smallest"]


def test_a_model_larger_than_the_machine_is_refused_before_it_is_forecast(
    model_folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "memory_here", lambda device: Peaks(0, 10**8))
    monkeypatch.setattr(planning, "forecast", lambda *words: pytest.fail("forecast"))
    output = tmp_path / "clip.mp4"
    asked = ["generate", "a drum", "--model", str(model_folder), "--memory", "50MB", "--output", str(output)]
    assert main(asked) == 2
    assert "use a smaller model or another machine" in capsys.readouterr().err
    assert not output.exists()


def test_progress_is_told_to_people_only(model_folder: Path, capsys: Capture) -> None:
    assert main(["plan", "--model", str(model_folder)]) == 0
    assert "Forecasting" in capsys.readouterr().err
    assert main(["plan", "--model", str(model_folder), "--json"]) == 0
    assert not capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="of machines without a GPU")
@pytest.mark.parametrize("name", ["grouped", "in-turn", "text-offloaded", "fp8"])
def test_plans_that_need_a_gpu_are_refused_without_one(name: str, model_folder: Path, capsys: Capture) -> None:
    for command in (["plan"], ["generate", "a drum"]):
        assert main([*command, "--model", str(model_folder), "--memory", name]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "needs a GPU and this machine has none; use auto" in shown.err
        assert shown.err.count("\n") == 1


def test_what_cache_and_adapters_take_is_counted_and_named(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("peft")
    layer = "transformer.double_blocks.0.streams.video.self_attn.q"
    tensors = {f"{layer}.lora_A.weight": torch.zeros(4, 32), f"{layer}.lora_B.weight": torch.zeros(32, 4)}
    save_file(tensors, tmp_path / "a.safetensors")
    more = ["--cache", "0.2", "--lora", f"{tmp_path / 'a.safetensors'}:0.5"]
    _, plain = _planned(capsys, "--model", str(model_folder))
    code, found = _planned(capsys, "--model", str(model_folder), *more)
    assert code == 0
    assert plain["beside"] == {}
    assert found["beside"].keys() == {"step cache", "adapters"}
    assert found["beside"]["adapters"] == 2 * 4 * 32 * 4
    assert main(["plan", "--model", str(model_folder), *more]) == 0
    assert "Counted in it: step cache" in capsys.readouterr().out


def test_a_named_plan_is_followed_and_recorded(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    common = ["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--steps", "2"]
    hashes = []
    for number, more in enumerate(([], ["--memory", "8GB"])):
        output = tmp_path / f"{number}.mp4"
        assert main([*common, "--output", str(output), *more]) == 0
        record = json.loads(output.with_suffix(".json").read_text())
        assert (record["memory"] is not None) == bool(more)
        hashes.append(record["latents_sha256"])
    assert hashes[0] == hashes[1]
    assert main([*common, "--memory", "lots"]) == 2
    assert "neither auto nor a size" in capsys.readouterr().err
