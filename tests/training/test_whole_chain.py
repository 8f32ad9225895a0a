"""The shipped recipes of voices and every task, run at toy size from the first to a model folder that does it all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import tiny_pipeline, tiny_transformer

from vivace.cli.main import main
from vivace.data.shards import ShardReader
from vivace.media import Clip, read_audio, read_clip, write_clip, write_png, write_wav
from vivace.models.nava import NavaTransformer
from vivace.timeline import Timeline
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.joint import JointObjective, JointRecipe
from vivace.training.recipe import load_recipe
from vivace.training.warm_start import start_from
from vivace.world import Scene, voice_references

RECIPES = Path(__file__).parents[2] / "recipes" / "nano-nava"
SECONDS = 1.6
QUICK_LOOP = ("loop.precision=fp32", "loop.threads=1", "loop.warmup_steps=1", "loop.decay_steps=0")
TEXT_ENCODER = tuple(
    f"text_encoder.{name}={value}"
    for name, value in {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}.items()
)
TRANSFORMER = tuple(
    f"transformer.{name}={value}"
    for name, value in {
        "video_channels": 4,
        "dim": 32,
        "ffn_dim": 64,
        "freq_dim": 32,
        "num_heads": 2,
        "num_double_layers": 1,
        "num_single_layers": 1,
        "text_dim": 16,
        "speaker_dim": 8,
    }.items()
)
TALK = "a man says <S>two<E>, then <S>blue<E>"


def train(name: str, run: Path, changes: Sequence[str]) -> None:
    """Run a shipped recipe with other values."""
    words = [word for change in changes for word in ("--set", change)]
    assert main(["train", str(RECIPES / f"{name}.toml"), "--run", str(run), *words]) == 0


@pytest.fixture(scope="module")
def mute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without voices, which knows text to both sides and to either."""
    folder = tmp_path_factory.mktemp("mute") / "model"
    pipeline = tiny_pipeline(tasks=["t2av", "t2v", "t2a"], first_frame="none")
    pipeline.register_modules(transformer=tiny_transformer(text_len=256, places=True, hide_pads=True))
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def model(codecs: dict[str, Path], mute: Path, root: Path) -> Path:
    """Speaker encoder, latents with voices, captions, the three stages, export."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)  # so that no relative path of a shipped recipe meets the repository
        speakers = ("train.voices=4", "train.utterances=2", "validation.voices=4", "validation.utterances=2")
        small = "model={dim = 8, width = 16, num_layers = 1}"
        train("speaker", root / "speaker", [*speakers, small, "voices=3", "loop.steps=2", *QUICK_LOOP])
        encoder = root / "speaker" / "export" / "speaker_encoder"
        made_with = [f"{name}={codecs[name]}" for name in ("vae", "audio_vae")] + [f"speaker_encoder={encoder}"]
        quick = ["source.sizes=[{height = 32, width = 32}]", f"source.lengths=[{{seconds = {SECONDS}}}]", "workers=1"]
        for name in ("2s", "4s", "validation"):
            folder = root / f"latents-{name}"
            settings = [f"output={folder}", "source.clips=10", "precision=fp32", *made_with, *quick]
            train(f"4-encode-all-{name}", root / f"encode-{name}", settings)
        settings = [f"output={root / 'latents-talk'}", "source.clips=4", "precision=fp32", *made_with, *quick[1:]]
        train("4-encode-talk-sound", root / "encode-talk", settings)
        told = ("captions=60", "held_out=12", "fewest=2", "batch=8", f"start_from={mute}", "loop.steps=2")
        train("4-captions-all", root / "captions", [*told, *TEXT_ENCODER, *QUICK_LOOP])
        train("7-all", root / "all", joint_changes(root, mute))
        settings = [f"output={root / 'latents-pictures'}", "source.clips=10", "precision=fp32", *made_with, *quick]
        train("4-encode-pictures", root / "encode-pictures", settings)
        train("7-still", root / "still", last_changes(root))
        train("7-together", root / "together", together_changes(root))
        toy = {
            "width": 32,
            "height": 32,
            "seconds": 0.5,
            "sizes": [[32, 32]],
            "lengths": [0.5],
            "smallest_side": 32,
            "context_seconds": 0.2,
            "presets.default.steps": 2,
            # What the recipe does not offer of today's weights, too.
            "most_spans": 4,
            "tasks": '["t2av", "ti2av", "t2v", "t2a", "a2v", "v2a", "extend"]',
        }
        made_of = [f"{name}={folder}" for name, folder in codecs.items()] + [f"speaker_encoder={encoder}"]
        changes = [f"capabilities.{name}={value}" for name, value in toy.items()]
        output = root / "model"
        train("8-export-all", root / "export", [f"run={root / 'together'}", f"output={output}", *made_of, *changes])
        return output


def joint_changes(root: Path, mute: Path) -> list[str]:
    names = ("2s", "4s", "talk", "2s", "4s")  # of both sides, and of sound alone
    sources = [change for stage in range(3) for change in source_changes(root, stage, names)]
    steps = ["stages.0.steps=2", "stages.1.steps=2", "stages.2.steps=8", "loop.steps=12"]
    start = [f"start_from={mute}", f"start_text_encoder_from={root / 'captions'}"]
    return [*start, *sources, *steps, *small_changes(root)]


def last_changes(root: Path) -> list[str]:
    sources = source_changes(root, 0, ("2s", "2s", "4s", "2s", "2s", "talk", "2s", "4s", "pictures"))
    return [f"start_from={root / 'all'}", *sources, "stages.0.steps=8", "loop.steps=8", *small_changes(root)]


def together_changes(root: Path) -> list[str]:
    sources = source_changes(root, 0, ("2s", "2s", "4s", "2s", "talk", "2s"))
    return [f"start_from={root / 'still'}", *sources, "stages.0.steps=4", "loop.steps=4", *small_changes(root)]


def source_changes(root: Path, stage: int, names: Sequence[str]) -> list[str]:
    """Small batches of each source of a stage, from the small latents."""
    return [
        f"stages.{stage}.sources.{number}.{key}={value}"
        for number, name in enumerate(names)
        for key, value in (("folder", root / f"latents-{name}"), ("batch", 2))
    ]


def small_changes(root: Path) -> list[str]:
    return [
        f"validation.latents={root / 'latents-validation'}",
        "validation.clips=4",
        "validation.batch=4",
        *TRANSFORMER,
        *TEXT_ENCODER,
        *QUICK_LOOP,
    ]


@pytest.fixture
def materials(model: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two recordings of voices, a dialogue, a picture and a clip, in the present folder."""
    monkeypatch.chdir(tmp_path)
    rows = ShardReader(root / "latents-2s", "latents").rows
    talking = [Scene.from_json(row["scene"]) for row in rows if row["kind"] == "talk"]
    for name, scene in zip(("anna.wav", "ben.wav"), talking, strict=False):
        write_wav(Path(name), voice_references(scene)[0][None], 16000)
    Path("talk.yaml").write_text("speakers: {anna: anna.wav, ben: ben.wav}\nanna: two blue\nben: hello\n")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (13, 32, 32, 3), dtype=np.uint8)
    write_png(Path("first.png"), frames[0])
    tone = (0.1 * np.sin(np.arange(8667) / 9)).astype(np.float32)
    write_clip(Path("clip.mp4"), Clip(frames, 24, np.stack((tone, tone)), 16000), {})
    write_wav(Path("tone.wav"), tone[None], 16000)


def test_weights_of_a_model_without_voices_are_taken_on_and_its_voices_begin_fresh(mute: Path, root: Path) -> None:
    recipe = load_recipe(RECIPES / "7-all.toml", joint_changes(root, mute))
    assert isinstance(recipe, JointRecipe)
    torch.manual_seed(1)
    speaking = NavaTransformer(**recipe.transformer)
    fresh = {name: value.clone() for name, value in speaking.state_dict().items()}
    start_from(mute, "transformer", speaking)
    old, new = NavaTransformer.from_pretrained(mute / "transformer").state_dict(), speaking.state_dict()
    assert all(torch.equal(new[name], value) for name, value in old.items())
    added = set(new) - set(old)
    assert added
    assert all(name.startswith(("speaker_embedding.", "skips.")) for name in added)  # the skips are fitted to latents
    assert all(torch.equal(new[name], fresh[name]) for name in added)


def test_every_task_was_watched_and_voices_were_learned(model: Path, mute: Path, root: Path) -> None:
    lines = [json.loads(line) for line in (root / "all" / "metrics.jsonl").read_text().splitlines()]
    figures: dict[str, float] = {name: value for line in lines for name, value in line.items()}
    tasks = {name.split("/")[1] for name in figures if name.startswith("val/") and name.count("/") == 2}
    # Those of text to both have no name.
    assert tasks == {"ti2av", "tia2av", "t2v", "t2a", "a2v", "v2a", "extend", "another_caption"}
    assert all(np.isfinite(value) for value in figures.values())
    checkpoint = latest_checkpoint(root / "all" / "checkpoints")
    assert checkpoint is not None
    name = "speaker_embedding.linear_in.weight"
    learned = load_weights(checkpoint, "transformer", ema=False)
    started = JointObjective(load_recipe(RECIPES / "7-all.toml", joint_changes(root, mute)), root).transformer
    assert not torch.equal(learned[name], started.state_dict()[name])


@pytest.mark.usefixtures("materials")
@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ((TALK, "--voice", "anna.wav"), "voice"),
        ((TALK, "--voice", "anna.wav", "--voice", "ben.wav"), "voice"),
        (("two people talk", "--dialogue", "talk.yaml"), "voice"),
        ((TALK, "--image", "first.png", "--voice", "anna.wav"), "voice|picture"),
        (("a drum", "--image", "first.png"), "begin with a given picture"),
        (("a drum", "--audio", "tone.wav"), "make pictures for a given sound"),
        (("a drum", "--video", "clip.mp4"), "make sound for given pictures"),
        (("a drum", "--extend", "clip.mp4"), "continue a clip"),
        (("a drum", "--only", "video"), None),
        (("a drum", "--only", "audio"), None),
    ],
    ids=lambda value: None if not isinstance(value, tuple) else "-".join(word for word in value if "--" in word),
)
def test_every_task_makes_a_clip_where_the_model_before_refused(
    words: tuple[str, ...], refusal: str | None, model: Path, mute: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = generated(words, model, capsys)
    if words[-1] == "audio":
        assert read_audio(made["path"]).shape == (2, Timeline.covering(0.5).samples)
    else:
        frames = read_clip(made["path"]).frames
        assert frames is not None
        assert frames.shape[1:] == (32, 32, 3)
    if "--voice" in words or "--dialogue" in words:
        record = made["record"]
        assert record["request"]["voice"]
        others = generated((record["request"]["prompt"], "--voice", "none"), model, capsys)
        assert others["record"]["latents_sha256"] != record["latents_sha256"]
    if refusal is not None:
        assert main(["generate", *words, "--model", str(mute), "--seed", "1"]) == 2
        error = capsys.readouterr().err
        assert any(part in error for part in refusal.split("|"))
        assert len(error.strip().splitlines()) == 1


def generated(words: Sequence[str], model: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What `vivace generate` tells of its clip, with the clip's record."""
    capsys.readouterr()
    assert main(["generate", *words, "--model", str(model), "--seed", "1", "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {**told, "record": json.loads(Path(told["record"]).read_text())}
