import errno
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.ltx2 import LTX2VocoderWithBWE
from safetensors.torch import load_file, save_file
from tests.conversion.conftest import Release

from vivace.cli.main import main
from vivace.conversion import folder as folder_module
from vivace.conversion import writing as writing_module
from vivace.conversion.nava import Converted, convert_nava, restore_nava
from vivace.conversion.sources import read_header
from vivace.conversion.writing import write_safetensors
from vivace.errors import VivaceError
from vivace.models.nava import NavaTransformer
from vivace.pipelines.nava import NavaPipeline


def convert(release: Release, output: Path, dtype: str = "fp32", shard_bytes: int = 10**9) -> Converted:
    return convert_nava(
        release.weights, release.parts, output, dtype=dtype, config=release.config, shard_bytes=shard_bytes
    )


def test_a_converted_folder_makes_the_same_clip(release: Release, tmp_path: Path) -> None:
    convert(release, tmp_path / "nava")
    loaded = NavaPipeline.from_pretrained(tmp_path / "nava")
    loaded.set_progress_bar_config(disable=True)
    settings = {"seconds": 0.1, "width": 64, "height": 64, "seed": 5, "num_inference_steps": 2}
    settings |= {"output_type": "latent", "negative_prompt": ""}
    settings |= {"preset": loaded.abilities.preset_named("official")}
    expected = release.pipeline("a red ball", **settings)
    found = loaded("a red ball", **settings)
    assert torch.equal(found.frames, expected.frames)
    assert torch.equal(found.audio, expected.audio)
    assert loaded.abilities.name == "NAVA"


def test_a_converted_folder_has_both_presets_and_the_program_s_sizes(release: Release, tmp_path: Path) -> None:
    convert(release, tmp_path / "nava")
    can = NavaPipeline.from_pretrained(tmp_path / "nava").abilities
    assert (can.width, can.height, can.seconds) == (1280, 704, 5)
    assert {name: preset.official for name, preset in can.presets.items()} == {"default": False, "official": True}
    assert can.preset_named(None) == can.presets["default"]
    for width, height in can.sizes:
        can.check_size(width, height, 32)
        assert (height, width) in can.sizes
        assert 0.94 < width * height / 960**2 < 1.02
    for shown, expected in (((1920, 1080), (1280, 704)), ((1080, 1920), (704, 1280)), ((500, 500), (960, 960))):
        assert can.nearest_shape(*shown) == expected
    assert can.nearest_shape(20_000, 300) == (1536, 608)


def test_the_released_vocoder_s_class_is_found_by_the_pipeline(release: Release, tmp_path: Path) -> None:
    small = {"upsample_kernel_sizes": [4], "upsample_factors": [2], "resnet_kernel_sizes": [3]}
    config = {"hidden_channels": 16, "bwe_hidden_channels": 8, "resnet_dilations": [[1]], "bwe_resnet_dilations": [[1]]}
    LTX2VocoderWithBWE.from_config(config | small | {f"bwe_{key}": x for key, x in small.items()}).save_pretrained(
        tmp_path / "vocoder"
    )
    parts = release.parts | {"vocoder": tmp_path / "vocoder"}
    convert_nava(release.weights, parts, tmp_path / "nava", config=release.config)
    loaded = NavaPipeline.from_pretrained(tmp_path / "nava")
    assert isinstance(loaded.vocoder, LTX2VocoderWithBWE)
    assert loaded.sample_rate == 48_000


@pytest.mark.parametrize("shard_bytes", [10**9, 20_000])
def test_there_and_back_keeps_every_bit(release: Release, tmp_path: Path, shard_bytes: int) -> None:
    done = convert(release, tmp_path / "nava", shard_bytes=shard_bytes)
    shards = [path for path in done.files if path.startswith("transformer/")]
    assert (len(shards) > 3) == (shard_bytes == 20_000)
    restore_nava(tmp_path / "nava", tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == release.state.keys()
    assert all(torch.equal(tensor, release.state[name]) for name, tensor in back.items())


@pytest.mark.parametrize("between", ["nothing", "damage", "another dtype", "another folder"])
def test_an_interrupted_way_back_goes_on(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    monkeypatch.setattr(writing_module, "NOTED_EVERY", 10_000)
    convert(release, tmp_path / "nava")
    output = tmp_path / "back.safetensors"

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_nava(tmp_path / "nava", output, progress=interrupt)
    assert not output.exists()
    begun = output.with_name(f".{output.name}.converting")
    if between == "damage":
        begun.write_bytes(b"?" + begun.read_bytes()[1:])
    if between == "another folder":
        stored = tmp_path / "nava/transformer/diffusion_pytorch_model.safetensors"
        state = {name: -tensor for name, tensor in load_file(stored).items()}
        save_file(state, stored)
        (tmp_path / "nava/conversion.json").unlink()
    steps: list[float] = []
    dtype = "bf16" if between == "another dtype" else None
    again = restore_nava(
        tmp_path / "nava", output, dtype=dtype, progress=lambda done, total: steps.append(done / total)
    )
    assert (steps[0] > 0.4) == (between == "nothing")
    assert steps[-1] == 1.0
    assert again.files[output.name].sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    sign = -1 if between == "another folder" else 1
    back = load_file(output)
    assert back.keys() == release.state.keys()
    for name, tensor in back.items():
        expected = sign * release.state[name]
        assert torch.equal(tensor, expected.bfloat16() if dtype else expected)
    assert {path.name for path in tmp_path.iterdir()} == {"nava", output.name}


def test_an_interruption_before_anything_is_sound_leaves_nothing(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 5000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_nava(release.weights, release.parts, tmp_path / "nava", config=release.config, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    convert(release, tmp_path / "nava")
    with pytest.raises(KeyboardInterrupt):
        restore_nava(tmp_path / "nava", tmp_path / "back.safetensors", progress=interrupt)
    assert {path.name for path in tmp_path.iterdir()} == {"nava"}


def test_what_is_refused_on_the_way_back_leaves_nothing(release: Release, tmp_path: Path) -> None:
    convert(release, tmp_path / "nava")
    stored = tmp_path / "nava/transformer/diffusion_pytorch_model.safetensors"
    state = load_file(stored)
    next(iter(state.values())).view(-1)[0] = torch.nan
    save_file(state, stored)
    (tmp_path / "nava/conversion.json").unlink()  # as whoever changes weights by hand has to
    with pytest.raises(VivaceError, match="not finite"):
        restore_nava(tmp_path / "nava", tmp_path / "back.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"nava"}


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("places", "tells tokens"),
        ("speakers_keep_text", "adds speakers"),
        ("hide_pads", "attends to no pads"),
        ("gaussian_skip", "adds what a Gaussian"),
    ],
)
def test_what_the_public_program_cannot_do_does_not_go_back(tmp_path: Path, option: str, what: str) -> None:
    sizes: dict[str, Any] = {"video_channels": 4, "audio_channels": 8, "dim": 24, "ffn_dim": 32, "freq_dim": 16}
    sizes |= {"num_heads": 2, "num_double_layers": 1, "num_single_layers": 1, "text_dim": 6, "speaker_dim": 5}
    NavaTransformer(**sizes, **{option: True}).save_pretrained(tmp_path / "nava" / "transformer")
    with pytest.raises(VivaceError, match=what):
        restore_nava(tmp_path / "nava", tmp_path / "back.safetensors")
    assert not (tmp_path / "back.safetensors").exists()


def test_bf16_is_rounded_once_and_half_as_large(release: Release, tmp_path: Path) -> None:
    convert(release, tmp_path / "nava", "bf16")
    back = restore_nava(tmp_path / "nava", tmp_path / "back.safetensors")
    for name, tensor in load_file(tmp_path / "back.safetensors").items():
        assert torch.equal(tensor, release.state[name].bfloat16())
    assert back.bytes < release.weights.stat().st_size * 0.55


def test_fp8_is_for_the_matrices_of_the_blocks(release: Release, tmp_path: Path) -> None:
    done = convert(release, tmp_path / "nava", "fp8_e4m3")
    stored = load_file(tmp_path / "nava/transformer/diffusion_pytorch_model.safetensors")
    narrow = {name for name, tensor in stored.items() if tensor.dtype == torch.float8_e4m3fn}
    assert "double_blocks.0.streams.audio.self_attn.q.weight" in narrow
    assert "single_contexts.0.both.k.weight" in narrow
    assert all(name.endswith(".weight") and "norm" not in name and stored[name].ndim == 2 for name in narrow)
    assert {tensor.dtype for name, tensor in stored.items() if name not in narrow} == {torch.bfloat16}
    written = done.files["transformer/diffusion_pytorch_model.safetensors"]
    assert 0.01 < written.fp8_error < 0.06
    loaded = NavaPipeline.from_pretrained(tmp_path / "nava").transformer
    exact = release.pipeline.transformer.state_dict()
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert (tensor - exact[name]).norm() <= 0.06 * exact[name].norm()


def test_codecs_keep_every_bit_and_every_file_its_checksum(release: Release, tmp_path: Path) -> None:
    import hashlib

    done = convert(release, tmp_path / "nava", "fp8_e4m3")
    for part in ("vae", "audio_vae", "vocoder"):
        [path] = [path for path in done.files if path.startswith(f"{part}/")]
        kept = load_file(tmp_path / "nava" / path)
        original = getattr(release.pipeline, part).state_dict()
        assert all(torch.equal(tensor, original[name]) for name, tensor in kept.items())
    record = json.loads((tmp_path / "nava/conversion.json").read_text())["files"]
    on_disk = {p.relative_to(tmp_path / "nava").as_posix() for p in (tmp_path / "nava").rglob("*.safetensors")}
    assert record.keys() == on_disk
    for path, entry in record.items():
        content = (tmp_path / "nava" / path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("content", ["bare", "training", "parameters"])
def test_older_checkpoints_are_read(release: Release, tmp_path: Path, content: str, zipped: bool) -> None:
    state: dict[str, Any] = dict(release.state)
    if content == "training":
        state = {"state_dict": state, "step": 7, "cursors": [1, 2]}
    if content == "parameters":
        state = {name: torch.nn.Parameter(x) for name, x in state.items()}
    torch.save(state, tmp_path / "NAVA.ckpt", _use_new_zipfile_serialization=zipped)
    convert_nava(tmp_path / "NAVA.ckpt", release.parts, tmp_path / "nava", dtype="fp32", config=release.config)
    model = NavaTransformer.from_pretrained(tmp_path / "nava" / "transformer")
    exact = release.pipeline.transformer.state_dict()
    assert all(torch.equal(tensor, exact[name]) for name, tensor in model.state_dict().items())


def test_an_interrupted_conversion_goes_on(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = convert(release, tmp_path / "whole", shard_bytes=20_000)
    written: list[str] = []

    def interrupted(path: Path, *rest: object) -> object:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path.name)
        return write_safetensors(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_module, "write_safetensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(release, tmp_path / "nava", shard_bytes=20_000)
    assert not (tmp_path / "nava").exists()
    first = list(written)
    # One finished file is damaged without a change of its length.
    damaged = next((tmp_path / ".nava.converting").rglob(first[1].replace(".part", ".safetensors")))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")

    def counted(path: Path, *rest: object) -> object:
        written.append(path.name)
        return write_safetensors(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_module, "write_safetensors", counted)
    again = convert(release, tmp_path / "nava", shard_bytes=20_000)
    assert {path: file.sha256 for path, file in again.files.items()} == {
        path: file.sha256 for path, file in whole.files.items()
    }
    assert len(written) == len(whole.files) + 1
    assert set(first) & set(written[3:]) == {first[1]}
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_another_request_does_not_go_on_from_what_is_there(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, *rest: object) -> object:
        if path.name.startswith("model"):
            raise KeyboardInterrupt
        return write_safetensors(path, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "write_safetensors", stop)
        with pytest.raises(KeyboardInterrupt):
            convert(release, tmp_path / "nava", "bf16")
    convert(release, tmp_path / "nava", "fp32")
    stored = load_file(tmp_path / "nava/transformer/diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float32}


def damaged(release: Release, tmp_path: Path, how: str) -> Path:
    """The weights with one thing wrong."""
    state = dict(release.state)
    path = tmp_path / "bad.safetensors"
    name = "backbone.head.head.weight"
    if how == "cut":
        path.write_bytes(release.weights.read_bytes()[:-100])
        return path
    if how == "empty":
        path.write_bytes(b"")
        return path
    if how == "text":
        path.write_text("<html>Not found</html>" * 50)
        return path
    if how == "misnamed":
        torch.save(state, path)
        return path
    if how in ("pickle", "code", "cut checkpoint", "no tensors", "old code", "cut old"):
        path = path.with_suffix(".ckpt")
    if how == "pickle":
        torch.save({"state_dict": state, "when": Path("run")}, path)
        return path
    if how == "code":
        torch.save({"state_dict": state, "hook": os.system}, path)
        return path
    if how == "old code":
        torch.save({"state_dict": state, "hook": os.system}, path, _use_new_zipfile_serialization=False)
        return path
    if how == "cut old":
        torch.save(state, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes()[:-500])
        return path
    if how == "bare pickle":
        import pickle

        path.write_bytes(pickle.dumps({"a": 1}))
        return path
    if how == "cut checkpoint":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[:-500])
        return path
    if how == "no tensors":
        torch.save({"step": 3}, path)
        return path
    if how == "missing":
        del state[name]
    if how == "unexpected":
        state["backbone.extra.weight"] = torch.zeros(2)
    if how == "shape":
        state[name] = torch.zeros(3, 3)
    if how == "whole numbers":
        state[name] = state[name].long()
    if how == "several":
        state = {name: x for name, x in state.items() if not name.startswith("backbone.head.head")}
        state["backbone.extra.weight"] = torch.zeros(2)
    if how == "nan":
        state[name] = torch.full_like(state[name], torch.nan)
    if how == "infinite":
        state[name] = torch.full_like(state[name], -torch.inf)
    if how == "foreign":
        state = {"vae.encoder.weight": torch.zeros(3)}
    save_file(state, path)
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut", "bytes long where"),
        ("empty", "cut short"),
        ("text", "neither safetensors nor"),
        ("pickle", r"more than tensors \(pathlib\.\w+\), and reading that could run code"),
        ("code", r"more than tensors \(\w+\.system\), and reading that could run code"),
        ("misnamed", "under the name of safetensors"),
        ("old code", r"more than tensors \(\w+\.system\), and reading that could run code"),
        ("cut old", "cut short"),
        ("bare pickle", "bare pickle"),
        ("cut checkpoint", "cut short"),
        ("no tensors", "no state dict"),
        ("missing", r"1 tensor missing \(backbone.head.head.weight\)"),
        ("unexpected", r"1 tensor unexpected \(backbone.extra.weight\)"),
        ("shape", r"1 tensor of another shape \(backbone.head.head.weight \[3, 3\] instead of \[16, 32\]\)"),
        ("whole numbers", r"1 tensor of another kind \(backbone.head.head.weight int64 instead of float32\)"),
        ("several", r"2 tensors missing \(.+\), 1 tensor unexpected \(.+\); name"),
        ("nan", "not finite"),
        ("infinite", "not finite"),
        ("foreign", "missing"),
    ],
)
def test_bad_weights_are_one_sentence_and_leave_nothing(
    release: Release, tmp_path: Path, how: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = damaged(release, tmp_path, how)
    before = set(tmp_path.iterdir())
    place = str(release.parts["vae"].parent)
    words = ["convert", "nava", str(bad), str(tmp_path / "nava"), "--wan", place, "--ltx", place]
    assert main([*words, "--config", str(release.config)]) == 2
    shown = capsys.readouterr().err
    assert re.search(said, shown), shown
    assert len([line for line in shown.splitlines() if "%" not in line]) == 1
    assert set(tmp_path.iterdir()) == before


def test_a_file_of_another_model_is_told_so(release: Release, tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match="no NAVA transformer"):
        convert_nava(damaged(release, tmp_path, "foreign"), release.parts, tmp_path / "nava")


@pytest.mark.parametrize(
    "content",
    [
        '{"dim": -4}',
        '{"dim": "wide"}',
        '{"num_heads": 0}',
        '{"num_heads": "2"}',
        '{"window_size": 3}',
        '{"colour": 1}',
        "[]",
        "{",
    ],
)
def test_a_bad_description_is_named(
    release: Release, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "described.json"
    config.write_text(content)
    place = str(release.parts["vae"].parent)
    words = ["convert", "nava", str(release.weights), str(tmp_path / "nava"), "--wan", place, "--ltx", place]
    assert main([*words, "--config", str(config)]) == 2
    [shown] = capsys.readouterr().err.splitlines()
    assert str(config) in shown


def test_missing_and_wrong_parts_are_named(release: Release, tmp_path: Path) -> None:
    def attempt(parts: dict[str, Path]) -> None:
        convert_nava(release.weights, parts, tmp_path / "nava", config=release.config)

    with pytest.raises(VivaceError, match="its vae, vocoder"):
        attempt({name: path for name, path in release.parts.items() if name not in ("vae", "vocoder")})
    for name, wrong in (("vae", "audio_vae"), ("vocoder", "vae"), ("text_encoder", "vae"), ("tokenizer", "vae")):
        with pytest.raises(VivaceError):
            attempt(release.parts | {name: release.parts[wrong]})
    with pytest.raises(VivaceError, match="cannot be read"):
        attempt(release.parts | {"vae": tmp_path / "nowhere"})
    deep = tmp_path / "deep.safetensors"
    deep.write_bytes((100_000).to_bytes(8, "little") + b"[" * 100_000)
    with pytest.raises(VivaceError, match="neither safetensors"):
        read_header(deep)
    incomplete = Path(shutil.copytree(release.parts["vae"], tmp_path / "incomplete"))
    next(incomplete.glob("*.safetensors")).unlink()
    with pytest.raises(VivaceError, match="no weights"):
        attempt(release.parts | {"vae": incomplete})


def test_a_full_disk_is_noticed_before_it_is_full(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))  # type: ignore[attr-defined]
    with pytest.raises(VivaceError, match=r"needs 0.1 GB and its disk has 0.0 GB"):
        convert(release, tmp_path / "nava")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    convert(release, tmp_path / "nava")
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))  # type: ignore[attr-defined]
    with pytest.raises(VivaceError, match=r"needs 0.1 GB and its disk has 0.0 GB"):
        restore_nava(tmp_path / "nava", tmp_path / "back.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["nava"]


def test_a_disk_that_fills_up_leaves_finished_files_alone_and_the_command_goes_on(
    release: Release, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    whole = convert(release, tmp_path / "whole", "bf16")
    (transformer, first), (_, second) = list(whole.files.items())[:2]
    assert first.bytes < second.bytes
    growing = tmp_path / ".nava.converting"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def attempt(most: int) -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            with pytest.raises(VivaceError) as caught:
                convert(release, tmp_path / "nava", "bf16")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return str(caught.value)

    assert re.search(r"cannot be written \(.+\); make room", attempt(first.bytes // 2))
    assert not growing.exists()
    assert f"goes on after {transformer!r}" in attempt(first.bytes)
    assert {path.relative_to(growing).as_posix() for path in growing.rglob("*.*")} == {transformer, "conversion.json"}
    again = convert(release, tmp_path / "nava", "bf16")
    assert {p: f.sha256 for p, f in again.files.items()} == {p: f.sha256 for p, f in whole.files.items()}
    assert not growing.exists()


def test_a_disk_that_fills_up_after_the_weights_keeps_them(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    whole = convert(release, tmp_path / "whole")
    monkeypatch.setattr(folder_module.shutil, "copyfile", fill_up)
    with pytest.raises(VivaceError, match=r"nava' cannot be written \(No space.+\); make room .+, which goes on after"):
        convert(release, tmp_path / "nava")
    monkeypatch.undo()
    kept = {path.relative_to(tmp_path / ".nava.converting").as_posix() for path in tmp_path.rglob(".nava*/*/*.*")}
    assert set(whole.files) <= kept
    assert not [path for path in kept if path.endswith(".part") or "tokenizer" in path]
    assert convert(release, tmp_path / "nava").files == whole.files
    assert not (tmp_path / ".nava.converting").exists()


def test_an_official_file_has_no_fp8_type(release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(release, tmp_path / "nava")
    words = ["convert", "nava", str(tmp_path / "nava"), str(tmp_path / "b.safetensors"), "--to-official", "--dtype"]
    assert main([*words, "fp8_e4m3"]) == 2
    assert "use fp32 or bf16" in capsys.readouterr().err
    assert not (tmp_path / "b.safetensors").exists()
    assert main([*words, "bf16"]) == 0


def test_a_folder_in_fp8_goes_back_in_a_type_that_is_named(
    release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(release, tmp_path / "nava", "fp8_e4m3")
    words = ["convert", "nava", str(tmp_path / "nava"), str(tmp_path / "back.safetensors"), "--to-official"]
    assert main(words) == 2
    assert "name --dtype bf16" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"nava"}
    assert main([*words, "--dtype", "bf16"]) == 0
    assert {tensor.dtype for tensor in load_file(tmp_path / "back.safetensors").values()} == {torch.bfloat16}


@pytest.mark.parametrize("inside", [".", "transformer"])
def test_a_damaged_folder_does_not_go_back(release: Release, tmp_path: Path, inside: str) -> None:
    convert(release, tmp_path / "nava", shard_bytes=20_000)
    shard = max((tmp_path / "nava/transformer").glob("*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(VivaceError, match=rf"{shard.name}' are not those that conversion.json lists"):
        restore_nava(tmp_path / "nava" / inside, tmp_path / "back.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"nava"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard-gb", "1"], "leave --shard-gb out"),
        (["--config", "nava.json"], "leave --config out"),
        (["--vae", "vae"], "leave the other parts out"),
    ],
)
def test_what_the_way_back_does_not_take_is_refused(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "nava", str(tmp_path), str(tmp_path / "b.safetensors"), "--to-official", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_official_file_is_called_what_it_is(release: Release, tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match=r"end in .safetensors"):
        restore_nava(tmp_path / "nava", tmp_path / "back.ckpt")


def test_a_failure_removes_the_folders_that_it_made(release: Release, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    bad = damaged(release, tmp_path, "nan")
    with pytest.raises(VivaceError, match="not finite"):
        convert_nava(bad, release.parts, tmp_path / "a/b/c/nava", config=release.config)
    assert list((tmp_path / "a").iterdir()) == []
    convert(release, tmp_path / "nava")
    stored = tmp_path / "nava/transformer/diffusion_pytorch_model.safetensors"
    state = load_file(stored)
    next(iter(state.values())).view(-1)[0] = torch.nan
    save_file(state, stored)
    (tmp_path / "nava/conversion.json").unlink()
    with pytest.raises(VivaceError, match="not finite"):
        restore_nava(tmp_path / "nava", tmp_path / "a/b/c/back.safetensors")
    assert list((tmp_path / "a").iterdir()) == []


def test_an_existing_output_is_left_alone(release: Release, tmp_path: Path) -> None:
    (tmp_path / "nava").mkdir()
    (tmp_path / "nava" / "mine.txt").write_text("kept")
    with pytest.raises(VivaceError, match="exists already"):
        convert(release, tmp_path / "nava")
    with pytest.raises(VivaceError, match="exists already"):
        restore_nava(release.parts["vae"].parent, release.weights)
    assert (tmp_path / "nava" / "mine.txt").read_text() == "kept"


def test_the_command_goes_both_ways(release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = release.parts["vae"].parent
    words = ["convert", "nava", str(release.weights), str(tmp_path / "nava"), "--wan", str(place), "--ltx", str(place)]
    assert main([*words, "--config", str(release.config), "--dtype", "fp32", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["parameters"] == sum(tensor.numel() for tensor in release.state.values())
    back = ["convert", "nava", str(tmp_path / "nava"), str(tmp_path / "b.safetensors"), "--to-official"]
    assert main(back) == 0
    assert load_file(tmp_path / "b.safetensors").keys() == release.state.keys()
    assert main(words[:-2]) == 2
    assert main([*words, "--dtype", "int3"]) == 2
    assert main(["convert", "nava", str(tmp_path / "no"), str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err.count("vivace: ") == 3
