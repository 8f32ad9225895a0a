"""`--lora`, from the command line to the record and back."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from vivace.cli.files import GivenLora
from vivace.cli.main import main
from vivace.cli.options import Request, make_request
from vivace.errors import VivaceError
from vivace.media import read_metadata

pytest.importorskip("peft")
Capture = pytest.CaptureFixture[str]
LAYER = "transformer.double_blocks.0.streams.audio.self_attn.q"


@pytest.fixture(autouse=True)
def _adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("bell.safetensors", "a:2.safetensors")):
        draw = torch.Generator().manual_seed(seed)
        pair = {"A": torch.randn(2, 32, generator=draw), "B": torch.randn(32, 2, generator=draw)}
        save_file({f"{LAYER}.lora_{letter}.weight": tensor for letter, tensor in pair.items()}, name)


def _made(capsys: Capture, *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    return {**entries, **json.loads(read_metadata(entries["path"])["vivace"])}


def test_an_adapter_acts_is_recorded_and_made_again(model_folder: Path, capsys: Capture) -> None:
    common = ("generate", "a drum", "--model", str(model_folder), "--seed", "1", "--steps", "2")
    plain = _made(capsys, *common)
    half = _made(capsys, *common, "--lora", "bell.safetensors:0.5")
    stacked = _made(capsys, *common, "--lora", "bell.safetensors:0.5", "--lora", "a:2.safetensors")
    assert len({made["latents_sha256"] for made in (plain, half, stacked)}) == 3
    assert [lora["scale"] for lora in stacked["request"]["lora"]] == [0.5, 1.0]
    assert len(half["request"]["lora"][0]["sha256"]) == 64
    assert "lora" not in plain["request"]
    assert "video" in " ".join(half["notes"])  # nothing of the picture's layers is changed, which is told
    assert _made(capsys, "rerun", half["path"])["same_latents"]
    Path("bell.safetensors").write_bytes(Path("a:2.safetensors").read_bytes())
    assert main(["rerun", half["path"]]) == 2
    assert "has changed" in capsys.readouterr().err


@pytest.mark.parametrize("named", ["bell", "bell/adapter_model.safetensors"])
def test_a_folder_of_peft_s_acts_with_its_alpha_which_the_record_covers(
    model_folder: Path, capsys: Capture, named: str
) -> None:
    Path("bell").mkdir()
    Path("bell/adapter_model.safetensors").write_bytes(Path("bell.safetensors").read_bytes())
    common = ("generate", "a drum", "--model", str(model_folder), "--seed", "1", "--steps", "2")
    made = []
    for alpha in (2, 1):
        Path("bell/adapter_config.json").write_text(json.dumps({"lora_alpha": alpha, "r": 2}))
        made.append(_made(capsys, *common, "--lora", f"{named}:0.5"))
    alone = [_made(capsys, *common, "--lora", f"bell.safetensors:{scale}") for scale in (0.5, 0.25)]
    assert [clip["latents_sha256"] for clip in made] == [clip["latents_sha256"] for clip in alone]
    assert "LoRA 'bell'" in " ".join(made[0]["notes"])
    assert _made(capsys, "rerun", made[1]["path"])["same_latents"]
    assert main(["rerun", made[0]["path"]]) == 2
    assert "adapter_config.json' (lora) has changed" in capsys.readouterr().err


def test_a_link_to_an_adapter_is_read_under_its_own_name(model_folder: Path, capsys: Capture) -> None:
    """As in the cache of a hub, whose files have no endings."""
    Path("bell").mkdir()
    Path("bell.safetensors").rename("2b1c")
    Path("bell/adapter_model.safetensors").symlink_to(Path("2b1c").resolve())
    made = _made(capsys, "generate", "a drum", "--model", str(model_folder), "--steps", "1", "--lora", "bell")
    assert Path(made["request"]["lora"][0]["path"]) == Path("bell/adapter_model.safetensors").absolute()


def test_an_adapter_is_a_file_and_a_weight() -> None:
    request = make_request("a drum", lora=["bell.safetensors:-.5", "a:2.safetensors"])
    assert [(Path(lora.file.path).name, lora.scale) for lora in request.loras] == [
        ("bell.safetensors", -0.5),
        ("a:2.safetensors", 1.0),
    ]
    assert Request.from_json(request.to_json()) == request
    for value, words in (
        ("bell.safetensors:101", "out of range"),
        ("bell.safetensors:1e9", "out of range"),
        (".", "adapter_model.safetensors' \\(lora\\) does not exist"),
        ("bell.safetensors:half", "is no number"),
        ("gone.safetensors:1", "does not exist"),
        (3, "no path"),
        ({"path": "bell.safetensors", "scale": True}, "out of range"),
    ):
        with pytest.raises(VivaceError, match=words):
            GivenLora.named(value)
    with pytest.raises(VivaceError, match="neither a path nor a list"):
        make_request("a drum", lora=3)
