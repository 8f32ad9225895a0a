import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vivace.cli.main import main
from vivace.cli.verify import print_table
from vivace.errors import VivaceError
from vivace.evaluation.cases import CaseResult
from vivace.evaluation.verify import all_passed, shipped_folder, verify_folder
from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import config_from_official, to_official
from vivace.pair import AV

OFFICIAL = {
    "model_type": "ti2v",
    "patch_size": [1, 2, 2],
    "dim": 48,
    "ffn_dim": 64,
    "freq_dim": 32,
    "num_heads": 2,
    "num_layers": 3,
    "num_double_layers": 1,
    "num_single_layers": 2,
    "num_double_final_layers": 0,
    "vid_in_dim": 6,
    "vid_out_dim": 6,
    "audio_in_dim": 10,
    "audio_out_dim": 10,
    "text_dim": 20,
    "text_len": 16,
    "window_size": [-1, -1],
    "qk_norm": True,
    "cross_attn_norm": True,
    "eps": 1e-6,
    "temporal_rope_scaling_factor": 0.3,
    "add_spk_emb": True,
    "no_split_norm_ffn": True,
}


def by_name(results: list[Any]) -> dict[str, Any]:
    return {result.case: result for result in results}


def copied(tmp_path: Path, *names: str) -> Path:
    """A folder with some of the shipped files."""
    for name in names:
        shutil.copy(shipped_folder() / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder of weights and cases that nobody has seen: other sizes, values and inputs than the shipped ones."""
    torch.manual_seed(99)
    model = NavaTransformer(**config_from_official(OFFICIAL)).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    save_file(to_official(model.state_dict(), model.config), tmp_path / "weights_new.safetensors")

    video, audio = [torch.randn(6, 2, 4, 4), torch.randn(6, 3, 2, 6)], [torch.randn(5, 10), torch.randn(9, 10)]
    text, times = [torch.randn(4, 20), torch.randn(16, 20)], torch.tensor([12.5, 870.0])
    voices, places = torch.randn(2, 192), [[1], [7]]
    for name, masked, speakers in (("joint", False, False), ("masked", True, False), ("spoken", False, True)):
        context = model.encode_context(text, *((list(voices.split(1)), places) if speakers else ()))
        out = model(AV(video, audio), AV(times, times), context, exchange=not masked)
        inputs: dict[str, Any] = {"video": video, "audio": audio, "video_context": text, "audio_context": text}
        tensors = {f"in.{key}.{i}": x.clone() for key, values in inputs.items() for i, x in enumerate(values)}
        tensors |= {f"fp32.out.{m}.{i}": x.contiguous() for m, side in out.items() for i, x in enumerate(side)}
        tensors["in.t"] = times
        if speakers:
            tensors["in.spk_embed"] = voices
        flags = {
            "masking_modality": masked,
            "first_frame_is_clean": False,
            "has_video": True,
            "has_audio": True,
            "batch": 2,
            "spk_pos": places if speakers else None,
            "spk_embed_given": speakers,
            "weights": "weights_new.safetensors",
        }
        save_file(
            tensors, tmp_path / f"{name}.safetensors", {"flags": json.dumps(flags), "config": json.dumps(OFFICIAL)}
        )
    return tmp_path


def test_every_shipped_case_passes_in_float32():
    results = verify_folder(shipped_folder())
    assert {result.case: result.reason for result in results if not result.passed} == {}
    announced = json.loads((shipped_folder() / "manifest.json").read_text())
    assert by_name(results).keys() == announced.keys()
    kinds = [result.kind for result in results]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "forward": 16,
        "sampler": 4,
        "tables": 1,
        "guidance": 1,
        "losses": 1,
        "flow matching": 1,
        "unipc": 1,
    }


def test_shipped_forward_cases_pass_in_bfloat16():
    forward = [result for result in verify_folder(shipped_folder(), dtype="bf16") if result.kind == "forward"]
    assert len(forward) == 16
    for result in forward:
        assert result.passed, result
        assert 1e-4 < result.rel_l2 < 0.02  # really computed in bfloat16


def test_a_small_output_is_held_to_the_bound_by_itself(tmp_path):
    folder = copied(tmp_path, "t2av.safetensors", "weights_A.safetensors")
    case = load_file(folder / "t2av.safetensors")
    sound = case["bf16ac.out.audio.0"]
    sound[:2] += 0.03 * sound.norm() / sound[:2].numel() ** 0.5  # 3 % of the sound, less than 2 % of both sides
    with_metadata(folder / "t2av.safetensors", case)
    [result] = verify_folder(folder, dtype="bf16")
    assert not result.passed
    assert 0.025 < result.rel_l2 < 0.04
    assert result.reason.endswith("worst bf16ac.out.audio.0")


def test_intermediate_values_are_compared_too(tmp_path):
    folder = copied(tmp_path, "t2av.safetensors", "weights_A.safetensors")
    [result] = verify_folder(folder)
    assert result.reason.startswith("15 compared")  # 2 outputs, context, time, entering tokens, 4 blocks
    case = load_file(folder / "t2av.safetensors")
    case["fp32.tap.after_single_0"] += 1e-3
    with_metadata(folder / "t2av.safetensors", case)
    [result] = verify_folder(folder)
    assert not result.passed
    assert "after_single_0" in result.reason


def with_metadata(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Overwrite the shipped case of that name with other tensors."""
    from safetensors import safe_open

    with safe_open(shipped_folder() / path.name, "pt") as file:
        save_file(tensors, path, file.metadata())


@pytest.mark.parametrize(
    "weight",
    [
        "backbone.double_blocks.1.cross_attn.norm_k_audio.weight",
        "backbone.patch_embedding_audio.2.w3.weight",
        "backbone.single_blocks.0.modulation.modulation",
    ],
)
def test_one_perturbed_weight_fails(tmp_path, weight):
    folder = copied(tmp_path, "t2av.safetensors", "weights_A.safetensors")
    assert all_passed(verify_folder(folder))
    weights = load_file(folder / "weights_A.safetensors")
    weights[weight].view(-1)[0] += 0.25
    with_metadata(folder / "weights_A.safetensors", weights)
    [result] = verify_folder(folder)
    assert not result.passed
    assert result.max_abs_error > 1e-4
    assert main(["verify", "nava", "--golden", str(folder)]) == 1


def test_unseen_weights_and_cases_pass_and_wrong_ones_fail(fresh):
    results = verify_folder(fresh)
    assert by_name(results).keys() == {"joint", "masked", "spoken"}
    assert all_passed(results), results
    # Other weights under the same cases.
    state = load_file(fresh / "weights_new.safetensors")
    save_file({name: x * 1.01 for name, x in state.items()}, fresh / "weights_new.safetensors")
    assert not any(result.passed for result in verify_folder(fresh))


def test_a_wrong_flag_fails(fresh):
    path = fresh / "joint.safetensors"
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        flags = json.loads(file.metadata()["flags"])
    flags["masking_modality"] = True
    save_file(load_file(path), path, {"flags": json.dumps(flags), "config": json.dumps(OFFICIAL)})
    assert [result.case for result in verify_folder(fresh) if not result.passed] == ["joint"]


def test_what_cannot_be_run_is_a_failure(tmp_path):
    folder = copied(tmp_path, "t2a.safetensors", "t2v.safetensors", "loss.safetensors")  # no weights
    save_file({"something": torch.zeros(2)}, folder / "riddle.safetensors")
    (folder / "broken.safetensors").write_bytes(b"not a safetensors file")
    loss = load_file(folder / "loss.safetensors")
    del loss["weight"]
    save_file(loss, folder / "loss.safetensors")
    (folder / "manifest.json").write_text(json.dumps({"gone": {"tensors": {}}, "t2a": {"tensors": {}}}))
    results = by_name(verify_folder(folder))
    assert results.keys() == {"t2a", "t2v", "loss", "riddle", "broken", "gone"}
    for result in results.values():
        assert not result.passed
        assert result.reason.startswith("not run: ")
        assert math.isnan(result.max_abs_error)
    assert "weights_A.safetensors" in results["t2a"].reason
    assert "no form that is known" in results["riddle"].reason


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"a": 3}', "its 'a' is no JSON object"),
        ('{"t2a": {"tensors": {}}, "a": null}', "its 'a' is no JSON object"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "it holds no JSON object"),
        ("{", "Expecting"),
        ("\xff", "can't decode"),
    ],
)
def test_a_damaged_manifest_is_refused_in_one_sentence(tmp_path, capsys, content, problem):
    (tmp_path / "manifest.json").write_bytes(content.encode("latin-1"))
    assert main(["verify", "nava", "--golden", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"vivace: Manifest {str(tmp_path / 'manifest.json')!r} is damaged (")
    assert problem in told
    assert told.endswith("); restore the complete file, or leave it out.\n")


def test_flags_that_cannot_be_read_fail_their_case_alone(tmp_path):
    folder = copied(tmp_path, "loss.safetensors", "t2a.safetensors")
    case = load_file(folder / "t2a.safetensors")
    save_file(case, folder / "t2a.safetensors", {"flags": "[" * 100_000})
    results = by_name(verify_folder(folder))
    assert results["loss"].passed
    assert "RecursionError" in results["t2a"].reason


def test_references_without_inputs_and_inputs_without_references_fail(fresh):
    case = load_file(fresh / "joint.safetensors")
    metadata = {"flags": json.dumps({"weights": "weights_new.safetensors"}), "config": json.dumps(OFFICIAL)}
    lacking = {name: x for name, x in case.items() if name != "fp32.out.audio.1"}
    save_file(lacking, fresh / "joint.safetensors", metadata)
    extra = {**case, "fp32.out.video.2": torch.zeros(1)}
    save_file(extra, fresh / "masked.safetensors", metadata)
    results = by_name(verify_folder(fresh))
    assert "fp32.out.audio.1" in results["joint"].reason
    assert "fp32.out.video.2" in results["masked"].reason
    assert not results["joint"].passed
    assert not results["masked"].passed
    assert "bf16ac.out" in by_name(verify_folder(fresh, dtype="bf16"))["spoken"].reason


def test_not_a_number_never_passes(tmp_path):
    folder = copied(tmp_path, "t2a.safetensors", "weights_A.safetensors")
    case = load_file(folder / "t2a.safetensors")
    case["fp32.out.audio.0"][0, 0] = math.nan
    with_metadata(folder / "t2a.safetensors", case)
    [result] = verify_folder(folder)
    assert not result.passed
    assert result.max_abs_error == math.inf


def test_a_folder_without_cases_fails(tmp_path):
    assert verify_folder(tmp_path) == []
    assert not all_passed([])
    assert main(["verify", "nava", "--golden", str(tmp_path)]) == 1
    copied(tmp_path, "weights_C.safetensors")  # weights are no case
    assert verify_folder(tmp_path) == []


def test_weights_outside_the_folder_are_not_read(tmp_path):
    folder = tmp_path / "cases"
    folder.mkdir()
    copied(tmp_path, "weights_A.safetensors")
    case = load_file(shipped_folder() / "t2a.safetensors")
    save_file(case, folder / "t2a.safetensors", {"flags": json.dumps({"weights": "../weights_A.safetensors"})})
    [result] = verify_folder(folder)
    assert "missing from the folder" in result.reason


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nava", "--golden", "/no/such/folder"], "'/no/such/folder' cannot be read (No such file or directory); give"),
        (["nava", "--dtype", "fp8"], "fp8"),
        (["nava", "--device", "abacus"], "abacus"),
        (["opera"], "opera"),
    ],
)
def test_bad_arguments_exit_with_two(arguments, named, capsys):
    assert main(["verify", *arguments]) == 2
    assert named in capsys.readouterr().err


def test_an_unknown_dtype_is_refused(tmp_path):
    with pytest.raises(VivaceError, match="fp64"):
        verify_folder(tmp_path, dtype="fp64")  # type: ignore[arg-type]


def test_a_backend_is_used_or_named_as_the_reason(tmp_path):
    folder = copied(tmp_path, "t2a.safetensors", "weights_A.safetensors")
    assert all_passed(verify_folder(folder, backend="_native_math"))
    [result] = verify_folder(folder, backend="xformers")  # known, and not installed
    assert not result.passed
    assert "xformers" in result.reason.lower()
    with pytest.raises(VivaceError, match=r"'abacus' is unknown; use one of .*native"):
        verify_folder(folder, backend="abacus")


def test_one_json_line_tells_every_case(tmp_path, capsys):
    folder = copied(tmp_path, "t2a.safetensors", "loss.safetensors")
    assert main(["verify", "nava", "--golden", str(folder), "--json"]) == 1
    [line] = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert report["passed"] is False
    cases = {case["case"]: case for case in report["cases"]}
    assert cases["loss"]["passed"] is True
    assert cases["t2a"]["max_abs_error"] is None
    assert (report["dtype"], report["device"], report["backend"]) == ("fp32", "cpu", "native")
    assert report["device_name"]


def test_a_report_says_what_computed_and_which_error_each_bound_is_of(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    folder = copied(tmp_path, "t2a.safetensors", "weights_A.safetensors", "loss.safetensors")
    words = ["verify", "nava", "--golden", str(folder), "--dtype", "bf16", "--backend", "_native_math"]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["backend"] == "_native_math"
    bounds = {case["case"]: (case["bound"], case["bound_of"]) for case in report["cases"]}
    assert bounds == {"t2a": (0.02, "rel_l2"), "loss": (1e-4, "max_abs_error")}
    assert main(words) == 0
    shown = capsys.readouterr().out
    where = f"bf16 on cpu ({report['device_name']}), attention by _native_math"
    assert where.split() == shown[: shown.index("┏")].split()[-len(where.split()) :]
    rows = {line.split("│")[1].strip(): line for line in shown.splitlines() if line.startswith("│")}
    assert "rel. 0.02" in rows["t2a"]
    assert "max 0.0001" in rows["loss"]


def test_a_narrow_table_holds_every_name_in_full(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "sampler_unipc_t2av_spk_noalign"
    print_table([CaseResult(name, "sampler", 1e-5, 1e-6, 1e-4, "max_abs_error", True, "1 compared")], "golden")
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert "".join(row[1].strip() for row in rows) == name
