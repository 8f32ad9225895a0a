"""What a user may give that is wrong, on the command line: counted, or refused in one sentence; nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vivace.cli.main import main
from vivace.curation.ledger_reader import FILE

HOSTILE = {
    b"empty.mp4": b"",
    b"text.mp4": b"no video\n" * 50,
    b"page.html": b"<html></html>",
    b"picture.mp4": b"\x89PNG\r\n\x1a\n" + bytes(64),
    b"zeros.mov": bytes(4096),
    b"list.m3u8": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    b"script.ffconcat": b"ffconcat version 1.0\nfile text.mp4\n",
    b"-rf.mp4": b"x",
    b"two\nlines.mp4": b"x",
    b"http:example.org.mp4": b"x",
    b"\xff\xfe.mp4": b"x",
    b"x" * 240 + b".mp4": b"x",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose `out` is the curation of nothing but what is no video, in a folder whose name is no text."""
    folder = tmp_path_factory.mktemp("hostile")
    raw = Path(os.fsdecode(os.fsencode(folder) + b"/raw"))
    raw.mkdir()
    for name, content in HOSTILE.items():
        (raw / os.fsdecode(name)).write_bytes(content)
    os.mkfifo(raw / "pipe.mp4")
    (raw / "loop").symlink_to(raw)
    (raw / "circle.mp4").symlink_to(raw / "circle.mp4")
    text = f'output = "{folder}/out"\n[input]\nfolder = "{raw}"\n[executor]\nworkers = 1\n'
    (folder / "recipe.toml").write_text(text)
    assert main(["curate", "run", str(folder / "recipe.toml"), "--json"]) == 0
    yield folder
    shutil.rmtree(raw)  # pytest cannot, where a name is no text


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main(["curate", *words]) == 0
    said = capsys.readouterr().out
    said.encode()
    return json.loads(said) if "--json" in words else said


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence of a refusal."""
    capsys.readouterr()
    assert main(["curate", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


def test_each_file_that_is_no_video_is_counted_with_a_reason(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "status", str(hostile / "out"), "--json")
    ingest = found["stages"][0]
    assert (ingest["entered"], ingest["kept"]) == (len(HOSTILE) + 3, 0)
    assert ingest["rejected"]["link"] == 2
    assert sum(ingest["rejected"].values()) == ingest["entered"]
    assert found["failed"] == []
    for name in HOSTILE:
        chapters = told(capsys, "explain", str(hostile / "out"), f"{hostile}/raw/{os.fsdecode(name)}", "--json")
        assert chapters["stages"][0]["verdict"] == "rejected"
        assert chapters["stages"][0]["reason"]


def test_names_that_are_no_text_can_be_told(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(hostile / "out")
    assert "ingest: rejected" in told(capsys, "explain", out, f"{hostile}/raw/{os.fsdecode(bytes([255, 254]))}.mp4")
    path = told(capsys, "report", out, "--examples", "1").strip()
    assert "unreadable" in Path(path).read_text(encoding="utf-8")
    told(capsys, "status", out)


def test_bounds_in_the_wrong_order_are_refused(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["what-if", str(hostile / "out"), "picture.blurred"]
    assert "in order" in refused(capsys, *words, "--least", "2", "--most", "1")
    assert "in order" in refused(capsys, *words, "--least", "nan")
    assert "is unknown" in refused(capsys, "what-if", str(hostile / "out"), "picture")


def test_a_ledger_that_is_none_is_refused_and_left(
    hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'output = "{tmp_path}/out"\n[input]\nfolder = "{hostile}/raw"\n')
    (tmp_path / "out").mkdir()
    ledger = tmp_path / "out" / FILE
    ledger.write_bytes(b"this is no database " * 99)
    for words in (["run", str(recipe)], ["status", str(tmp_path / "out")], ["report", str(tmp_path / "out")]):
        assert "cannot be used" in refused(capsys, *words)
    assert ledger.read_bytes().startswith(b"this is no database")
    ledger.unlink()
    with sqlite3.connect(ledger) as other:
        other.execute("CREATE TABLE notes(x)")
    assert "cannot be used" in refused(capsys, "status", str(tmp_path / "out"))
    whole = (hostile / "out" / FILE).read_bytes()
    ledger.write_bytes(whole[: len(whole) // 2])
    assert "cannot be used" in refused(capsys, "report", str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('[shards]\ncontent = "latents"', "shards.vae"),
        ('[shards]\ncontent = "latents"\nvae = "none"\naudio_vae = "none"', "config.json"),
        ('[captions]\nbackend = "http://localhost:1/v1"\nmodel = "m"\nkey = "NO_SUCH_KEY"', "NO_SUCH_KEY"),
        ('[captions]\nbackend = "http://"\nmodel = "m"', "http://"),
        ('[picture.bounds]\nmine = { column = "pictures.flicker", most = 2 }', "no stage"),
    ],
)
def test_what_could_never_end_well_is_refused_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, problem: str
) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "recipe.toml").write_text(f'output = "{tmp_path}/out"\n[input]\nfolder = "{tmp_path}/raw"\n{more}\n')
    assert problem in refused(capsys, "run", str(tmp_path / "recipe.toml"))
    assert not (tmp_path / "out").exists()


def test_an_output_among_the_footage_or_that_is_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'output = "{tmp_path}/out"\n[input]\nfolder = "{tmp_path}"\n')
    assert "lies in input.folder" in refused(capsys, "run", str(recipe))
    (tmp_path / "raw").mkdir()
    (tmp_path / "taken").write_text("a file")
    recipe.write_text(f'output = "{tmp_path}/taken"\n[input]\nfolder = "{tmp_path}/raw"\n')
    assert "taken" in refused(capsys, "run", str(recipe))
    assert (tmp_path / "taken").read_text() == "a file"


def test_archives_and_shards_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b\x08\0" + bytes(40))
    assert "cannot be read" in refused(capsys, "import", str(tmp_path / "a.tar.gz"), str(tmp_path / "in"))
    assert "cannot be read" in refused(capsys, "import", str(tmp_path / "none.tar"), str(tmp_path / "in"))
    assert not (tmp_path / "in" / "rows.jsonl").exists()
    assert refused(capsys, "export", str(tmp_path), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
