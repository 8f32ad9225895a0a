"""`--rewrite` from the command line to the record and back."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conditioning.test_rewrite_endpoint import Api, said, serving

from vivace.cli.main import main
from vivace.media import read_metadata

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as server:
        yield server


def _made(capsys: Capture, *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    return {**entries, **json.loads(read_metadata(entries["path"])["vivace"])}


def _common(model: Path) -> tuple[str, ...]:
    return ("--model", str(model), "--seed", "1", "--steps", "1")


def test_the_template_is_used_recorded_and_not_used_again(model_folder: Path, capsys: Capture) -> None:
    made = _made(capsys, "generate", "a ball", "--rewrite", "template", *_common(model_folder))
    assert made["request"]["prompt"] == "a ball"
    assert made["request"]["rewrite"] == "template"
    rewriting = made["rewriting"]
    assert (rewriting["rewriter"], rewriting["original"], rewriting["problem"]) == ("template", "a ball", None)
    assert "A ball" in rewriting["prompt"]
    assert len(rewriting["prompt"]) > len("a ball")
    written = _made(capsys, "generate", rewriting["prompt"], *_common(model_folder))
    assert written["latents_sha256"] == made["latents_sha256"]
    assert "rewriting" not in written
    plain = _made(capsys, "generate", "a ball", "--rewrite", "none", *_common(model_folder))
    assert plain["latents_sha256"] != made["latents_sha256"]
    assert "rewrite" not in plain["request"]
    # As if another version of the template had written it: what counts is what the record says.
    record = json.loads(Path(made["record"]).read_text())
    record["rewriting"]["prompt"] = "a ball, and a drum"
    Path("other.json").write_text(json.dumps(record))
    again = _made(capsys, "rerun", "other.json")
    assert again["rewriting"]["prompt"] == "a ball, and a drum"
    assert not again["same_latents"]
    assert _made(capsys, "rerun", made["path"])["same_latents"]


def test_an_endpoint_is_asked_once_and_its_key_never_recorded(
    model_folder: Path, capsys: Capture, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret")
    api.answers = [said("A red ball says <S>hop<E> loudly."), said("A ball says <S>Hop<E>.")]
    words = ("generate", "a ball says <S>hop<E>", "--rewrite", api.url, "--rewrite-model", "small")
    made = _made(capsys, *words, "--rewrite-key", "MY_KEY", *_common(model_folder))
    assert made["rewriting"]["prompt"] == "A red ball says <S>hop<E> loudly."
    assert api.asked[0][1]["Authorization"] == "Bearer very-secret"
    assert b"very-secret" not in Path(made["path"]).read_bytes() + Path(made["record"]).read_bytes()
    spoiled = _made(capsys, *words, *_common(model_folder), "--output", "spoiled.mp4")
    assert spoiled["rewriting"]["prompt"] == "a ball says <S>hop<E>"
    assert any(note.startswith("The prompt was not rewritten: ") for note in spoiled["notes"])
    del os.environ["MY_KEY"]
    assert _made(capsys, "rerun", made["path"])["same_latents"]
    assert len(api.asked) == 2


def test_nobody_is_asked_about_a_clip_that_cannot_be_made(model_folder: Path, capsys: Capture, api: Api) -> None:
    Path("empty").mkdir()
    for rewriter in ((api.url, "--rewrite-model", "small"), ("empty",)):
        for words, complaint in ((("--size", "65x64"), "multiples of"), (("--fps", "7"), "24")):
            assert main(["generate", "a ball", "--rewrite", *rewriter, *words, *_common(model_folder)]) == 2
            assert complaint in capsys.readouterr().err
    assert api.asked == []


def test_a_batch_is_rewritten_but_for_lines_that_say_otherwise(model_folder: Path, capsys: Capture) -> None:
    base = {"model": str(model_folder), "steps": 1, "seed": 1}
    jobs = [
        {**base, "prompt": "a ball", "output": "a.mp4"},
        {**base, "prompt": "a ball", "output": "b.mp4", "rewrite": "none"},
        {**base, "prompt": "a ball", "output": "c.mp4", "rewrite": 3},
    ]
    Path("jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    words = ["batch", "jobs.jsonl", "--output", "clips", "--rewrite", "template", "--memory", "8GB", "--json"]
    assert main(words) == 2
    summary = json.loads(capsys.readouterr().out)
    assert (summary["made"], summary["failed"]) == (2, 1)
    records = [json.loads(Path("clips", name).read_text()) for name in ("a.json", "b.json")]
    assert "rewriting" in records[0]
    assert "rewriting" not in records[1]
    assert all(record["memory"] is not None for record in records)
    assert main(words) == 2
    assert json.loads(capsys.readouterr().out)["kept"] == 2


def test_rewriters_that_cannot_be_are_refused_before_any_work(model_folder: Path, capsys: Capture) -> None:
    for words, complaint in (
        (("--rewrite", "nowhere"), "neither none, template, a folder nor a URL"),
        (("--rewrite", "Template"), "rewrite 'Template' is neither none, template, a folder nor a URL"),
        (("--rewrite", "ftp://a/v1", "--rewrite-model", "m"), "rewrite 'ftp://a/v1' is no URL of http"),
        (("--rewrite", str(model_folder)), "holds no language model"),
        (("--rewrite", "http://127.0.0.1:9"), "add --rewrite-model"),
        (("--rewrite", "http://"), "is no URL"),
        (("--rewrite", "template", "--rewrite-model", "small"), "without its URL"),
        (("--rewrite-key", "MY_KEY"), "without its URL"),
        (("--rewrite", ""), "is not text"),
        (("--rewrite", "http://127.0.0.1:9", "--rewrite-model", "m", "--rewrite-key", "NOT_SET_1"), "holds no key"),
    ):
        assert main(["generate", "a ball", *words, *_common(model_folder)]) == 2
        shown = capsys.readouterr().err
        assert complaint in shown, (words, shown)
        assert shown.count("\n") == 1, shown
    assert list(Path().iterdir()) == []
