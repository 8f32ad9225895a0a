import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import ModelMixin
from diffusers.pipelines.ltx2 import LTX2Vocoder, LTX2VocoderWithBWE
from safetensors.torch import load_file, save_file
from tests.tiny import tiny_alive_pipeline, tiny_refiner_pipeline, tiny_speaking_pipeline
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from vivace.cli.main import main
from vivace.errors import VivaceError
from vivace.pipelines.folder import PIPELINES, REFINERS, check_folder, find_model, folder_hash, shipped_models
from vivace.pipelines.weights_files import check_fit

EVERY = (*PIPELINES, *REFINERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny folders of each kind: "nava" with voices, "alive", "refiner"."""
    place = tmp_path_factory.mktemp("kinds")
    tiny_speaking_pipeline().save_pretrained(place / "nava")
    tiny_alive_pipeline().save_pretrained(place / "alive")
    tiny_refiner_pipeline().save_pretrained(place / "refiner", base="alive")
    return place


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "copy"))


def test_a_whole_folder_is_found_by_its_path(model_folder: Path) -> None:
    assert find_model(str(model_folder)) == model_folder


@pytest.mark.parametrize("name", ["", "nano-nvaa", "./nowhere", "someone/some-model", "\x01", "a" * 5000])
def test_unknown_names_are_refused_without_a_network(name: str) -> None:
    with pytest.raises(VivaceError, match="neither a shipped model") as caught:
        find_model(name)
    assert ("--allow-download" in str(caught.value)) == (name == "someone/some-model")


def test_a_file_of_weights_is_to_be_converted_first(tmp_path: Path) -> None:
    weights = tmp_path / "NAVA.safetensors"
    weights.touch()
    with pytest.raises(VivaceError, match="is a file, and a model is a folder; `vivace convert nava`"):
        find_model(str(weights))


def test_the_released_model_is_to_be_converted_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "downloaded").mkdir()
    (tmp_path / "downloaded" / "NAVA.safetensors").write_bytes(b"")
    for name in ("nava", "downloaded"):
        with pytest.raises(VivaceError, match=f"'{name}' .*official files with `vivace convert nava`"):
            find_model(name)


def test_shipped_models_are_whole() -> None:
    for folder in shipped_models().values():
        check_folder(folder, kinds=EVERY)


@pytest.mark.parametrize("kind", ["nava", "alive", "refiner"])
def test_saved_models_are_whole(folders: Path, kind: str) -> None:
    check_folder(folders / kind, kinds=EVERY)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: (f / "model_index.json").unlink(), "no model_index.json"),
        (lambda f: (f / "model_index.json").write_text("{"), "is damaged"),
        (lambda f: (f / "model_index.json").write_text("[]"), "holds no JSON object"),
        (lambda f: (f / "model_index.json").write_text('{"_class_name": "FluxPipeline"}'), "holds a FluxPipeline"),
        (lambda f: shutil.rmtree(f / "vocoder"), "lacks its vocoder"),
        (lambda f: (f / "vae" / "config.json").unlink(), "configuration of its vae"),
        (lambda f: (f / "vae" / "config.json").write_bytes(b"\xff\xfe"), "is damaged"),
        (lambda f: (f / "vae" / "config.json").rename(f / "vae" / "other.json"), "configuration of its vae"),
        (lambda f: (f / "vae" / "config.json").write_text('{"base_dim": "a"}'), "makes no AutoencoderKLWan"),
        (lambda f: (f / "transformer" / "config.json").write_text('{"num_heads": 0}'), "makes no NavaTransformer"),
        (
            lambda f: (f / "transformer" / "config.json").write_text('{"dim": -3}'),
            r"in '.*transformer' makes no NavaTransformer: dim -3 does not give",
        ),
        (lambda f: _class(f, "vocoder", "nothere", "IstftVocoder"), "nothere.IstftVocoder, which this installation"),
        (lambda f: _class(f, "vocoder", "", "IstftVocoder"), "which this installation lacks"),
        (lambda f: _class(f, "vocoder", "vivace", "Timeline"), "makes no Timeline"),
        (lambda f: _class(f, "vocoder", "os", "system"), "takes classes of vivace, diffusers, transformers only"),
        (lambda f: _class(f, "scheduler", "os", "system"), "takes classes of vivace, diffusers, transformers only"),
        (lambda f: _class(f, "tokenizer", "vivace.cli.main", "main"), "takes classes of vivace"),
        (lambda f: _class(f, "scheduler", "diffusers", "utils"), "which this installation lacks"),
        (lambda f: (f / "vae" / "config.json").write_text("[" * 100_000), "nested too deeply"),
        (lambda f: next((f / "vae").glob("*.safetensors")).write_bytes(_nested()), "damaged or cut short"),
        (lambda f: next((f / "transformer").glob("*.safetensors")).unlink(), "lacks its weights"),
        (lambda f: _cut(next((f / "transformer").glob("*.safetensors"))), "damaged or cut short"),
        (lambda f: next((f / "transformer").glob("*.safetensors")).write_bytes(b""), "damaged or cut short"),
        (lambda f: next((f / "transformer").glob("*.safetensors")).write_bytes(b"\xff" * 99), "damaged or cut short"),
        (lambda f: (f / "vae" / "w.safetensors.index.json").write_text('{"weight_map": {"a": "x-1"}}'), "lacks x-1"),
        (lambda f: (f / "vae" / "w.safetensors.index.json").write_text('{"weight_map": {"a": [1]}}'), "lacks"),
        (
            lambda f: (f / "scheduler" / "scheduler_config.json").write_text("{}"),
            "damaged .it says nothing of the s",
        ),
        (lambda f: (f / "tokenizer" / "tokenizer_config.json").write_text("{}"), "damaged .it says nothing of the tok"),
        (lambda f: (f / "tokenizer" / "tokenizer_config.json").unlink(), "lacks the configuration of its tokenizer"),
        (lambda f: _class(f, "tokenizer", "transformers", "T5Tokenizer"), "its tokenizer .spiece.model or tokenizer.j"),
    ],
)
def test_broken_and_foreign_folders_are_refused(copy: Path, damage, complaint: str) -> None:
    damage(copy)
    with pytest.raises(VivaceError, match=complaint) as caught:
        find_model(str(copy))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nano-nava", "nano-alive"])
def test_a_shipped_model_without_a_part_of_what_it_says_is_refused(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shipped_models()[name], tmp_path / name, ignore=shutil.ignore_patterns("training")))
    find_model(str(folder))
    for damaged, complaint in (
        ("tokenizer/added_tokens.json", "lacks the added_tokens.json of its tokenizer"),
        ("tokenizer/tokenizer_config.json", "lacks the configuration of its tokenizer"),
        ("vocoder/config.json", "is damaged .it says nothing of the vocoder"),  # whose values are the class's own
    ):
        content = (folder / damaged).read_bytes()
        (folder / damaged).write_text("{}") if "vocoder" in damaged else (folder / damaged).unlink()
        with pytest.raises(VivaceError, match=f"{complaint}.*; copy"):
            find_model(str(folder))
        (folder / damaged).write_bytes(content)
    find_model(str(folder))


def test_a_folder_of_somebody_else_may_lack_what_its_tokenizer_s_configuration_repeats(copy: Path) -> None:
    (copy / "tokenizer" / "added_tokens.json").unlink()
    find_model(str(copy))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _nested() -> bytes:
    """A weights file whose header is nested more deeply than can be read."""
    header = b"[" * 100_000
    return len(header).to_bytes(8, "little") + header


def _class(folder: Path, name: str, library: str, kind: str) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {name: [library, kind]}))


def _changed(part: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    (path,) = part.glob("*.safetensors")
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def _without(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(sorted(tensors.items())[1:])


def _reshaped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors | {min(tensors): torch.zeros(3, 5)}


COMPONENTS = [
    *(("nava", name) for name in ("transformer", "text_encoder", "vae", "audio_vae", "vocoder", "speaker_encoder")),
    ("alive", "transformer"),
    ("refiner", "transformer"),
]


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_weights_of_another_model_are_refused(folders: Path, tmp_path: Path, kind: str, name: str) -> None:
    copy = Path(shutil.copytree(folders / kind, tmp_path / "copy"))
    (path,) = (copy / name).glob("*.safetensors")
    tensors = load_file(path)
    first = min(tensors)
    for changed, complaint in (
        (_without(tensors), f"1 tensor missing ('{first}');"),
        (tensors | {"foo.bar\n": torch.zeros(2)}, "1 tensor unexpected ('foo.bar\\n');"),
        (_reshaped(tensors), f"1 tensor of another shape ('{first}' [3, 5] instead of {list(tensors[first].shape)});"),
        ({f"other.{n}": torch.zeros(2) for n in range(9)}, f": {len(tensors)} tensors missing ('"),
        (
            {f"other.{n}": torch.zeros(2) for n in range(9)},
            ", 9 tensors unexpected ('other.0', 'other.1', 'other.2' and 6 more)",
        ),
    ):
        save_file(changed, path, metadata={"format": "pt"})
        with pytest.raises(VivaceError) as caught:
            check_folder(copy, kinds=EVERY)
        told = str(caught.value)
        assert complaint in told
        assert told.startswith(f"Weights '{path}' do not fit the ")
        assert told.endswith("; convert or download the model folder again.")
        assert "\n" not in told
    save_file(tensors, path, metadata={"format": "pt"})
    check_folder(copy, kinds=EVERY)


@pytest.mark.parametrize("command", ["generate", "plan"])
def test_commands_refuse_weights_of_another_model(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    _changed(copy / "text_encoder", _without)
    output = ["--output", str(tmp_path / "clip.mp4")] if command == "generate" else []
    assert main([command, "a red ball", "--model", str(copy), *output]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "1 tensor missing" in printed.err
    assert "\n" not in printed.err.strip()
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_shards_hold_the_tensors_of_their_class_together(copy: Path) -> None:
    part = copy / "vae"
    (path,) = part.glob("*.safetensors")
    tensors = load_file(path)
    path.unlink()
    shards = {name: f"diffusion_pytorch_model-0000{1 + n % 2}-of-00002.safetensors" for n, name in enumerate(tensors)}
    for shard in set(shards.values()):
        save_file({name: tensors[name] for name, file in shards.items() if file == shard}, part / shard)
    index = part / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    save_file({"other": torch.zeros(2)}, part / "variant.safetensors")  # not one that is read
    check_folder(copy)
    first = min(tensors)
    kept = load_file(part / shards[first])
    del kept[first]
    save_file(kept, part / shards[first])
    with pytest.raises(VivaceError, match=rf"/vae' do not fit the AutoencoderKLWan.*1 tensor missing \('{first}'\)"):
        check_folder(copy)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_types_of_storage_do_not_matter(copy: Path, dtype: torch.dtype) -> None:
    for name in ("transformer", "text_encoder", "vae"):
        _changed(copy / name, lambda tensors: {key: x.to(dtype) for key, x in tensors.items()})
    check_folder(copy)


def test_a_tied_embedding_may_be_stored_under_either_name_or_both(copy: Path) -> None:
    shared, tied = "shared.weight", "encoder.embed_tokens.weight"
    _changed(copy / "text_encoder", lambda tensors: tensors | {tied: tensors[shared].clone()})
    check_folder(copy)
    _changed(copy / "text_encoder", lambda tensors: {key: x for key, x in tensors.items() if key != shared})
    check_folder(copy)
    _changed(copy / "text_encoder", lambda tensors: {key: x for key, x in tensors.items() if key != tied})
    with pytest.raises(VivaceError, match=r"1 tensor missing \('shared.weight'\)"):
        check_folder(copy)


def test_what_a_class_ignores_may_be_there(tmp_path: Path) -> None:
    part = tmp_path / "text_encoder"
    T5EncoderModel(T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).save_pretrained(part)
    _changed(part, lambda tensors: tensors | {"decoder.final_layer_norm.weight": torch.zeros(8)})
    check_fit(part, "transformers", "T5EncoderModel")
    _changed(part, lambda tensors: tensors | {"lm_head.weight": torch.zeros(8)})
    with pytest.raises(VivaceError, match=r"1 tensor unexpected \('lm_head.weight'\)"):
        check_fit(part, "transformers", "T5EncoderModel")


@pytest.mark.parametrize("kind", [LTX2Vocoder, LTX2VocoderWithBWE])
def test_published_vocoders_fit(tmp_path: Path, kind: type[ModelMixin]) -> None:
    part = tmp_path / "vocoder"
    second = {"bwe_hidden_channels": 32} if kind is LTX2VocoderWithBWE else {}
    kind(hidden_channels=64, **second).save_pretrained(part)
    check_fit(part, "ltx2", kind.__name__)
    _changed(part, _without)
    with pytest.raises(VivaceError, match=f"the {kind.__name__} that config.json .* 1 tensor missing"):
        check_fit(part, "ltx2", kind.__name__)


def test_the_hash_follows_configuration_and_weights(copy: Path, model_folder: Path) -> None:
    before = folder_hash(model_folder)
    assert folder_hash(copy) == before
    (copy / "README.md").write_text("about")
    assert folder_hash(copy) == before
    weights = next((copy / "vae").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert folder_hash(copy) != before
    index = json.loads((copy / "model_index.json").read_text())
    index["capabilities"]["width"] = 64
    (copy / "model_index.json").write_text(json.dumps(index))
    assert folder_hash(copy) != before


def test_a_class_of_another_library_is_not_even_imported(copy: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "strange_library.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("vocoder", "scheduler"):
        _class(copy, name, "strange_library", "Strange")
        with pytest.raises(VivaceError, match=f"model's {name} is a strange_library.Strange"):
            check_folder(copy)
