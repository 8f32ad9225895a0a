"""Footage with known faults: its truth holds, and a whole curation of it finds what is wrong and writes shards."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
import wave
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.curation.test_engine import measured, rows, workers_of
from tests.training.small import joint_data
from typer.testing import CliRunner

from vivace.cli.main import build, main
from vivace.curation.caption import parse
from vivace.curation.clip import Clip
from vivace.curation.footage_files import TRUTH, write_footage
from vivace.curation.guard import Limits
from vivace.curation.sheet import write_sheet
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.world.footage import FAULTS, make_footage

RECIPE = """
output = "{out}"
[input]
folder = "{folder}"
licence = "CC0"
[executor]
workers = 1
[split]
shortest = 1.5
[balance]
speaking = 0.5
temper = 1.0
[shards]
sizes = [[64, 64]]
seconds = [1.0, 2.0, 3.0]  # what is said must fit whole
validation = 0.0
"""


def test_the_truth_covers_the_file_and_holds() -> None:
    made = make_footage(5, shots=3, faulty=1.0, size=48, faults=("swapped", "shifted", "dark"))
    assert len(made.frames) / 24 == pytest.approx(made.shots[-1].end)
    assert made.audio.shape[1] == pytest.approx(made.shots[-1].end * 16000, abs=1700)
    assert [shot.start for shot in made.shots[1:]] == [shot.end for shot in made.shots[:-1]]
    for shot, claimed in zip(made.shots, made.captions, strict=True):
        assert shot.fault in ("swapped", "shifted", "dark")
        assert (shot.late != 0) == (shot.fault == "shifted")
        right, given = parse(shot.caption), parse(claimed["caption"])
        assert right.speakers() == list(shot.speakers)
        assert (right != given) == (shot.fault == "swapped")
    again = make_footage(5, shots=3, faulty=1.0, size=48, faults=("swapped", "shifted", "dark"))
    assert np.array_equal(again.frames, made.frames)
    assert again.shots == made.shots


def test_faults_are_named_once() -> None:
    assert len(set(FAULTS)) == len(FAULTS) == 22


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with `raw` footage, curated by one command into `out`, and the footage's truth."""
    folder = tmp_path_factory.mktemp("curation")
    truth = write_footage(folder / "raw", 2, seed=3, shots=3, size=96, faults=("swapped", "dark"), faulty=0.7)
    (folder / "raw" / "broken.mp4").write_bytes(b"no video" * 99)
    (folder / "recipe.toml").write_text(RECIPE.format(out=folder / "out", folder=folder / "raw"))
    assert main(["curate", "run", str(folder / "recipe.toml"), "--json"]) == 0
    return folder, truth


def asked(*words: str) -> Any:
    result = CliRunner().invoke(build(), ["curate", *words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in words else result.stdout


def test_every_file_and_clip_is_accounted_for(curated: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = curated
    stages = asked("status", str(folder / "out"), "--json")["stages"]
    by_name = {stage["stage"]: stage for stage in stages}
    assert by_name["ingest"]["entered"] == len(truth) + 1
    assert by_name["ingest"]["rejected"] == {"unreadable": 1}
    assert asked("status", str(folder / "out"), "--json")["failed"] == []
    for stage in stages:
        assert stage["entered"] == stage["kept"] + sum(stage["rejected"].values()), stage
    shots = sum(len(entry["shots"]) for entry in truth.values())
    assert by_name["picture"]["entered"] == shots
    assert by_name["duplicates"]["rejected"] == {"duplicate": len(truth["00000.mp4"]["shots"])}
    assert "last run: done" in asked("status", str(folder / "out"))


def test_what_is_kept_is_sound_and_its_speakers_are_right(curated: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = curated
    reader = ShardReader(folder / "out" / "shards" / "train", "clips")
    stages = asked("status", str(folder / "out"), "--json")["stages"]
    assert len(reader) == stages[-1]["kept"] > 0
    assert set(reader.column("picture")) == {"high"}
    right = {shot["caption"]: shot["fault"] for entry in truth.values() for shot in entry["shots"]}
    told = [parse(text) for text in right]
    spoken = 0
    for row, tensors in reader:
        assert row["licence"] == "CC0"
        assert tuple(tensors["video"].shape) == (row["frames"], 64, 64, 3)
        assert tuple(tensors["audio"].shape) == (2, row["samples"])
        assert row["caption"] in {caption.to_nava() for caption in told}
        spoken += "<S>" in row["caption"]
    assert spoken
    assert "dark" not in {right[caption.to_text()] for caption in told if caption.to_nava() in reader.column("caption")}


def test_a_second_run_changes_nothing(curated: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = curated

    def state() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in (folder / "out" / "shards").rglob("*.*")}

    before, counted = state(), asked("status", str(folder / "out"), "--json")["stages"]
    assert main(["curate", "run", str(folder / "recipe.toml")]) == 0
    assert state() == before
    assert asked("status", str(folder / "out"), "--json")["stages"] == counted


def test_explain_tells_why(curated: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = curated
    out = str(folder / "out")
    broken = asked("explain", out, str(folder / "raw" / "broken.mp4"))
    assert "ingest: rejected (unreadable" in broken
    whole = asked("explain", out, str(folder / "raw" / "00000.mp4"), "--json")
    assert [stage["verdict"] for stage in whole["stages"]] == ["kept", "kept"]
    assert len(whole["parts"]) == 3
    sheet = tmp_path / "why.png"
    part = asked("explain", out, whole["parts"][0][:12], "--picture", str(sheet))
    assert "duplicates: kept" in part
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_what_cannot_be_decoded_is_refused_in_a_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "waits.mp4")  # whoever opens it waits for a writer for ever
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 99)
    for name in ("waits.mp4", "broken.mp4"):
        clip = Clip.of_file(tmp_path / name)
        with pytest.raises(VivaceError, match=f"Clip '{clip.id}' cannot be shown"):
            write_sheet(clip, tmp_path / "why.png", Limits(seconds=2.0))
    assert not (tmp_path / "why.png").exists()


def stored(folder: Path) -> dict[str, Any]:
    """All that the shards hold."""
    found: dict[str, Any] = {}
    for part in ("train", "validation"):
        reader = ShardReader(folder / "shards" / part)
        reader.verify()
        found[part] = [(row, {name: t.numpy().tobytes() for name, t in tensors.items()}) for row, tensors in reader]
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_runs_and_workers_that_are_killed_end_in_the_same_ledger_and_shards(
    curated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = curated
    straight, out = folder / "out", tmp_path / "out"
    text = (folder / "recipe.toml").read_text().replace(f'output = "{straight}"', f'output = "{out}"')
    assert str(out) in text
    # However the kills fall on the clips, none has as many attempts taken as would set it aside.
    (tmp_path / "recipe.toml").write_text(text.replace("[executor]", "[executor]\nattempts = 9"))
    code = "import sys; from vivace.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "curate", "run", str(tmp_path / "recipe.toml"), "--json"]
    whole, rng, kills = len(rows(straight, "measured")), random.Random(2), 0
    for goal in (whole // 3, whole - 1, None):  # in the midst, when shards are being written, and to the end
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None and (goal is None or measured(out) < goal):
            time.sleep(rng.uniform(0.02, 0.3))
            found = workers_of(process.pid)
            if found and kills < 8 and rng.random() < 0.2:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(found), signal.SIGKILL)
                    kills += 1
        if goal is not None:
            process.kill()
        assert process.wait() in (0, -signal.SIGKILL)
    assert process.returncode == 0
    assert kills
    for table in ("verdicts", "measured", "failures"):
        assert rows(out, table) == rows(straight, table)
    assert stored(out) == stored(straight)
    assert asked("status", str(out), "--json")["failed"] == []


def test_a_changed_bound_is_foreseen(curated: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    changed = tmp_path / "changed.toml"
    text = (curated[0] / "recipe.toml").read_text()
    changed.write_text(text + "[picture.bounds]\ndark = { least = 1.0 }\n")
    found = {stage["stage"]: stage["to_measure"] for stage in asked("run", str(changed), "--foresee", "--json")}
    assert (found["ingest"], found["split"], found["picture"]) == (0, 0, 0)
    changed.write_text(text.replace("shortest = 1.5", "shortest = 1.6"))
    found = {stage["stage"]: stage["to_measure"] for stage in asked("run", str(changed), "--foresee", "--json")}
    assert (found["ingest"], found["split"] > 0) == (0, True)


def test_what_if_tells_shares_without_computing(curated: tuple[Path, dict[str, Any]]) -> None:
    out = str(curated[0] / "out")
    found = asked("what-if", out, "picture.dark", "--least", "300", "--json")
    assert found["share_then"] == 0.0
    assert 0 < found["share"] < 1
    assert found["quantiles"] == sorted(found["quantiles"])
    assert "then" in asked("what-if", out, "picture.dark", "--least", "0")


def test_wrong_questions_are_answered_in_a_sentence(
    curated: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(curated[0] / "out")
    for words, wanted in (
        (["status", str(tmp_path)], "holds no curation"),
        (["explain", out, "zzz"], "is none of"),
        (["what-if", out, "picture.pretty"], "is unknown"),
        (["run", str(tmp_path / "none.toml")], "does not exist"),
    ):
        assert main(["curate", *words]) == 2
        assert wanted in capsys.readouterr().err


class Balanced(HTMLParser):
    """Opened and closed tags must match; embedded files are collected by their type."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.files: list[tuple[str, bytes]] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href"):
                kind, mark, data = str(value).partition(";base64,")
                if mark:
                    self.files.append((kind, base64.b64decode(data)))
                else:
                    self.others.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_shows_what_was_found(curated: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = curated
    asked("report", str(folder / "out"), "--examples", "1", "--output", str(tmp_path / "r.html"))
    text = (tmp_path / "r.html").read_text()
    found = Balanced()
    found.feed(text)
    assert found.open == []
    assert found.others == []
    stages = asked("status", str(folder / "out"), "--json")["stages"]
    reasons = [(stage["stage"], *entry) for stage in stages for entry in stage["rejected"].items()]
    for stage, reason, count in reasons:
        assert f"<h3>{stage}: {reason}, {count}</h3>" in text
    assert f"<h3>by all stages, {stages[-1]['kept']}</h3>" in text
    assert "prefers-color-scheme:dark" in text
    assert text.count("picture.dark: picture.brightness at least 45") == 1
    pictures = [data for kind, data in found.files if kind == "data:image/jpeg"]
    sounds = [data for kind, data in found.files if kind == "data:audio/wav"]
    # One of each reason and one that was kept; the broken file has neither.
    assert len(pictures) == len(sounds) == len(reasons)
    assert Image.open(io.BytesIO(pictures[0])).height == 72
    assert np.asarray(Image.open(io.BytesIO(pictures[0]))).std() > 2
    with wave.open(io.BytesIO(sounds[0])) as sound:
        assert 1 < sound.getnframes() / sound.getframerate() <= 4
    assert main(["curate", "report", str(folder / "out"), "--output", str(tmp_path / "r.pdf")]) == 2


def toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {toml(entry)}" for key, entry in value.items() if entry is not None) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def trained(recipe: Path, values: dict[str, Any]) -> None:
    recipe.write_text("".join(f"{key} = {toml(value)}\n" for key, value in values.items()))
    assert main(["train", str(recipe), "--run", str(recipe.with_suffix(""))]) == 0


def test_training_starts_from_the_shards(
    curated: tuple[Path, dict[str, Any]], model_folder: Path, tmp_path: Path
) -> None:
    clips, latents = curated[0] / "out" / "shards" / "train", tmp_path / "latents"
    codecs = {name: str(model_folder / name) for name in ("vae", "audio_vae")}
    encode = {"unit": "encode", "output": str(latents), "source": {"folder": str(clips)}, "workers": 1, **codecs}
    trained(tmp_path / "encode.toml", encode)
    assert ShardReader(latents, "latents").column("caption") == ShardReader(clips).column("caption")
    recipe = joint_data(latents, steps=2, sources=[{"folder": str(latents), "batch": 2}])
    recipe["transformer"]["text_len"] = 600
    recipe["validation"] |= {"clips": 2, "batch": 2}
    recipe["loop"]["validate_every"] = 2
    trained(tmp_path / "joint.toml", recipe)
    lines = [json.loads(line) for line in (tmp_path / "joint" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 2
    assert np.isfinite(losses).all()


RECIPES = Path(__file__).parents[2] / "recipes" / "curation"


def test_the_recipes_lead_from_a_folder_to_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_footage(tmp_path / "raw", 3, seed=3, shots=2, size=64, faulty=0.0, file_faults=False)
    curate, train = (tomllib.loads((RECIPES / f"{name}.toml").read_text()) for name in ("curate", "train"))
    curate["executor"] = {"workers": 1}
    curate["shards"] |= {"sizes": [[64, 64]], "seconds": [1.0]}
    for name in ("picture", "sound", "coherence", "duplicates", "clarity", "balance", "pairs"):
        curate[name] = {"use": False}  # what they do is tried above
    train["transformer"] |= {"dim": 32, "ffn_dim": 64, "freq_dim": 32, "num_double_layers": 1, "num_single_layers": 1}
    train["stages"][0] |= {"steps": 2, "sources": [train["stages"][0]["sources"][0] | {"batch": 2}]}
    train["validation"] |= {"clips": 2, "batch": 2}
    train["loop"] |= {
        "steps": 2,
        "warmup_steps": 0,
        "decay_steps": 0,
        "log_every": 1,
        "validate_every": 2,
        "threads": 1,
    }
    (tmp_path / "src").symlink_to(RECIPES.parents[1] / "src")
    for name, values in (("curate", curate), ("train", train)):
        (tmp_path / f"{name}.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in values.items()))
    monkeypatch.chdir(tmp_path)  # the recipes' folders are relative to where the commands run
    assert main(["curate", "run", "curate.toml"]) == 0
    for part in ("train", "validation"):
        captions = ShardReader(tmp_path / "runs" / "curation" / "curated" / "shards" / part, "latents").column(
            "caption"
        )
        assert captions
        assert max(len(caption.encode()) for caption in captions) < train["transformer"]["text_len"]
    assert main(["train", "train.toml", "--run", "run"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 2
    assert np.isfinite(losses).all()


def test_the_truth_lies_beside_the_footage(curated: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = curated
    assert json.loads((folder / "raw" / TRUTH).read_text()) == truth
