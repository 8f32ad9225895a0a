"""Thousands of mutated command lines, job lines and prompts: each is accepted, or refused in one sentence."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from vivace.cli.batch import parse_job
from vivace.cli.given import read_given
from vivace.cli.main import build
from vivace.cli.options import Request, check_output, make_request, slug
from vivace.errors import VivaceError
from vivace.media import Clip, write_clip, write_png, write_wav
from vivace.pipelines.nava import NavaPipeline, Plan

GOOD: dict[str, list[str]] = {
    "--negative": ["a bell", ""],
    "--seconds": ["0.2", "1", "2"],
    "--size": ["32x32", "64x128"],
    "--fps": ["24"],
    "--steps": ["1", "25"],
    "--seed": ["0", "7"],
    "--preset": ["plain", "aligned"],
    "--guide": ["text=3", "align.audio=1.5", "timbre=0"],
    "--cache": ["0", "0.2"],
    "--first-frame": ["held", "overwritten", "noised"],
    "--only": ["video", "audio"],
    "--output": ["clip.mp4", "folder/clip.wav"],
    # Names of files that `given_files` writes.
    "--image": ["wide.png", "tiny.png", "sound.wav", "."],
    "--audio": ["sound.wav", "clip.mp4", "tiny.png", "silent.mp4"],
    "--video": ["clip.mp4", "silent.mp4", "sound.wav"],
    "--extend": ["clip.mp4", "silent.mp4", "sound.wav", "nowhere.mp4"],
    "--voice": ["voice.wav", "none", "silent.mp4", "tiny.png", "anna"],
    "--speaker-encoder": ["tiny.png", "nowhere.onnx"],
    "--rewrite": ["none", "template", ".", "http://localhost:8000/v1"],
    "--rewrite-model": ["small"],
    "--rewrite-key": ["MY_KEY"],
    "--dialogue": ["talk.yaml", "sound.wav"],
}
PROMPTS = ["a red ball bounces", "she says <S>hello<E> and <S>bye<E>", "drum", "zwei Trommeln", "鼓", "🥁 boom"]
NASTY = [
    *("", " ", "-", "--", "=", "x", "nan", "inf", "-inf", "1e400", "-1", "0", "0x0", "1e-320", "9" * 400, "½", "٣"),
    *("<S>", "<E>", "<S><E>", "<S>a<S>b<E>", "<extra_id_2>", "<extra_id_1>", "</s>", "\x00", "\x1b[2J", "\udcff"),
    *("../../x", "/", "~", "a" * 5000, "%s%n", "{}", "None", "true", "128X128", "32×32", "text==3", "text=3=4", ".=1"),
]

# The parser's own usage errors, which the command line prints; its class lives in click or typer by version.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


def _mutated(text: str, dice: random.Random) -> str:
    kind = dice.randrange(7)
    at = dice.randrange(len(text) + 1)
    if kind == 0:
        return dice.choice(NASTY)
    if kind == 1:
        return text[:at] + dice.choice(NASTY)[:50] + text[at:]
    if kind == 2:
        return text[:at]
    if kind == 3:
        return (
            text[:at]
            + chr(dice.choice([dice.randrange(32), dice.randrange(0x250), dice.randrange(0x11000)]))
            + text[at:]
        )
    if kind == 4:
        return text * dice.choice([2, 50])
    if kind == 5:
        return "".join(dice.sample(text, len(text)))
    return text


def _words(dice: random.Random) -> list[str]:
    words = [_mutated(dice.choice(PROMPTS), dice)]
    for option in dice.sample(sorted(GOOD), dice.randrange(5)):
        value = dice.choice(GOOD[option])
        words += [option, _mutated(value, dice) if dice.random() < 0.5 else value]
    if dice.random() < 0.1:
        words.insert(dice.randrange(len(words) + 1), dice.choice(["--nope", "-x", "--steps", "extra", "--image"]))
    return words


@pytest.fixture(autouse=True)
def _no_saved_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVACE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def given_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small pictures, sounds and clips, of odd sizes and rates."""
    folder = tmp_path_factory.mktemp("given")
    dice = np.random.default_rng(0)
    pictures = dice.integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
    sound = (0.1 * dice.standard_normal((1, 22050 // 4))).astype(np.float32)
    write_png(folder / "wide.png", pictures[0])
    write_png(folder / "tiny.png", pictures[0, :1, :1])
    write_wav(folder / "sound.wav", sound, 22050)
    write_clip(folder / "clip.mp4", Clip(pictures[:, :, :32], Fraction(24), sound[:, :6000], 16000))
    write_clip(folder / "silent.mp4", Clip(pictures, Fraction(30), None, 16000))
    write_wav(folder / "voice.wav", (0.1 * dice.standard_normal((1, 16000))).astype(np.float32), 16000)
    (folder / "talk.yaml").write_text("speakers: {anna: voice.wav, ben: }\nanna: two blue\nben: hello\n")
    return folder


def _one_sentence(error: Exception) -> None:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    assert message.strip()
    assert len(message) < 6500  # a refused value is repeated, and the longest here has 5000 letters


def _planned(pipeline: NavaPipeline, request: Request) -> Plan:
    name = f"{slug(request.prompt)}{request.suffix}"
    assert len(name.encode()) < 200
    assert "/" not in name
    return pipeline.plan(**request.plan_arguments(), **read_given(request))


def _check_plan(plan: Plan) -> None:
    assert plan.timeline.frames <= 49
    assert 32 <= plan.height <= 128
    assert 32 <= plan.width <= 128
    assert 1 <= plan.preset.steps <= 1000
    assert plan.rule.needed()


def test_command_lines(pipeline: NavaPipeline, given_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(given_files)
    before = sorted(given_files.iterdir())
    command = typer.main.get_command(build()).commands["generate"]  # type: ignore[attr-defined]
    accepted = refused = 0
    for number in range(1500):
        words = _words(random.Random(number))
        try:
            context = command.make_context("generate", list(words))
        except (typer.Exit, USAGE_ERROR):
            refused += 1
            continue
        given = dict(context.params)
        output = given.pop("output")
        for name in ("contact_sheet", "allow_download", "as_json", "memory", "devices", "compile_blocks"):
            given.pop(name)
        try:
            request = make_request(**{**given, "guide": given["guide"] or ()})
            if output is not None:
                check_output(output, request)
            _check_plan(_planned(pipeline, request))
            accepted += 1
        except VivaceError as error:
            _one_sentence(error)
            refused += 1
    assert accepted > 150
    assert refused > 300
    assert sorted(given_files.iterdir()) == before


def _value(dice: random.Random) -> Any:
    plain = [None, True, 3, -1, 2.5, float("nan"), float("inf"), 10**30, [], {}, "video", "128x128"]
    files = ["wide.png", "sound.wav", {"path": "clip.mp4", "sha256": "0" * 64}, {"path": 3}]
    files += [["voice.wav", None], "talk.yaml"]
    return dice.choice([*plain, *files, ["text=3"], {"text": 3}, {"text": None}, dice.choice(NASTY)])


def test_job_lines(pipeline: NavaPipeline, given_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(given_files)
    accepted = refused = 0
    names = ["model", "negative", "seconds", "size", "fps", "steps", "seed", "preset", "guide", "only", "output", "x"]
    names += ["image", "audio", "video", "extend", "voice", "dialogue", "speaker_encoder"]
    names += ["rewrite", "rewrite_model", "rewrite_key"]
    for number in range(1000):
        dice = random.Random(number)
        job: dict[str, Any] = {"prompt": _mutated(dice.choice(PROMPTS), dice)}
        for name in dice.sample(names, dice.randrange(3)):
            job[name] = _value(dice)
        line = json.dumps(job)
        try:
            _check_plan(
                _planned(pipeline, parse_job(number, _mutated(line, dice) if dice.random() < 0.2 else line).request)
            )
            accepted += 1
        except VivaceError as error:
            _one_sentence(error)
            refused += 1
    assert accepted > 100
    assert refused > 300
