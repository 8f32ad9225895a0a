"""Curated clips as other programs want them, and theirs as ours: what goes out comes back."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.curation.test_shards import CAPTION, clip_of

from vivace.cli.main import main
from vivace.curation.exchange import ROWS, export_nava, export_webdataset, unpack
from vivace.curation.nava_rows import from_nava_row, to_nava_row
from vivace.curation.shard_writing import write_shards
from vivace.curation.shards import ShardSettings
from vivace.curation.sources import InputSettings, clips_of
from vivace.data.shards import ShardHeader, ShardReader, ShardWriter
from vivace.errors import VivaceError
from vivace.media import read_clip

NAVA = "Subjects: [S1] a man | voice: deep Visual: a wall Narration: [S1] says <S>two<E>"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips: one with a timed speech, one whose speech has no times, one without speech."""
    folder = tmp_path_factory.mktemp("shards")
    silent = "Visual: a wall\nNarration: nothing moves"
    clips = [
        clip_of(folder, "a.mp4").with_columns("subjects", text=CAPTION, spans=[[0.25, 0.75]]),
        clip_of(folder, "b.mp4"),
        clip_of(folder, "c.mp4").with_columns("subjects", text=silent, spans=[]),
    ]
    settings = ShardSettings(sizes=((32, 48),), seconds=(1.0,), validation=0.0)
    assert write_shards(clips, settings, folder / "out")["train"] == 3
    return folder / "out" / "train"


def read_back(manifest: Path) -> dict[str, dict[str, Any]]:
    """What a curation would begin with, by the name of the file."""
    return {Path(clip.path).stem: dict(clip.columns) for clip in clips_of(InputSettings(manifest=manifest))}


def test_a_row_of_nava_is_read_back() -> None:
    shape = {"fps": 24.0, "seconds": 1.0, "width": 48, "height": 32}
    row = to_nava_row("clips/a.mp4", NAVA, [[0.25, 0.75]], **shape, stated={"licence": "CC0"})
    assert from_nava_row(json.loads(json.dumps(row))) == {
        "path": "clips/a.mp4",
        "caption": NAVA,
        "speech": [[0.25, 0.75]],
        "licence": "CC0",
    }
    with pytest.raises(ValueError, match="1 speeches and 0 times"):
        to_nava_row("clips/a.mp4", NAVA, [], **shape)


def test_what_goes_out_as_nava_comes_back(shards: Path, tmp_path: Path) -> None:
    assert export_nava(shards, tmp_path) == {"clips": 2, "without_times": 1}
    timed, untimed, silent = ShardReader(shards).ids
    found = read_back(tmp_path / ROWS)
    assert set(found) == {timed, silent}
    assert found[timed]["input.caption"] == NAVA
    assert found[timed]["input.speech"] == [[0.25, 0.75]]
    assert found[timed]["input.licence"] == "CC0"
    assert "input.speech" not in found[silent]
    assert not (tmp_path / "clips" / f"{untimed}.mp4").exists()
    clip = read_clip(tmp_path / "clips" / f"{timed}.mp4")
    stored = ShardReader(shards).get(0)
    assert clip.frames is not None
    assert clip.audio is not None
    assert clip.frames.shape == tuple(stored["video"].shape)
    assert np.abs(clip.frames.astype(int) - stored["video"].numpy()).mean() < 3
    made = (tmp_path / "clips" / f"{timed}.mp4").stat().st_mtime_ns
    export_nava(shards, tmp_path)
    assert (tmp_path / "clips" / f"{timed}.mp4").stat().st_mtime_ns == made


def test_what_goes_out_as_archives_comes_back(shards: Path, tmp_path: Path) -> None:
    assert export_webdataset(shards, tmp_path / "tars", archive_bytes=1) == {"clips": 3, "archives": 3}
    assert export_webdataset(shards, tmp_path / "one") == {"clips": 3, "archives": 1}
    timed, untimed, silent = ShardReader(shards).ids
    with tarfile.open(tmp_path / "one" / "00000.tar") as archive:
        assert archive.getnames() == [f"{name}.{end}" for name in (timed, untimed, silent) for end in ("mp4", "json")]
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == ["00000.tar"]
    archives = sorted((tmp_path / "tars").iterdir())
    assert unpack(archives, tmp_path / "back") == {"clips": 3, "left_out": 0}
    found = {name.partition("-")[2]: columns for name, columns in read_back(tmp_path / "back" / ROWS).items()}
    assert found[timed]["input.speech"] == [[0.25, 0.75]]
    assert found[timed]["input.caption"] == found[untimed]["input.caption"] == NAVA
    assert {columns["input.licence"] for columns in found.values()} == {"CC0"}
    assert read_clip(next((tmp_path / "back" / "clips").glob(f"*{silent}.mp4"))).frames is not None


def archive_of(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_hostile_archives_write_nowhere_else(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link.mp4")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    path = archive_of(
        tmp_path / "x.tar.gz",
        ("../../out.mp4", b"one"),
        ("../../out.txt", b" a cat \n"),
        ("/abs/b.MP4", b"two"),
        ("/abs/b.json", b"{broken"),
        link,
        ("only.txt", b"no video"),
        ("d.webm", b"three"),
        # What is called speech there is no times of it.
        (
            "d.json",
            json.dumps({"text": "a dog", "license": "MIT", "url": "https://example.org/d", "speech": 1}).encode(),
        ),
    )
    assert unpack([path], tmp_path / "in" / "deep") == {"clips": 3, "left_out": 2}
    assert not (tmp_path / "out.mp4").exists()
    rows = [json.loads(line) for line in (tmp_path / "in" / "deep" / ROWS).read_text().splitlines()]
    assert [row.get("caption") for row in rows] == ["a cat", None, "a dog"]
    assert rows[2] == {**rows[2], "licence": "MIT", "source": "https://example.org/d"}
    assert "speech" not in rows[2]
    assert [(tmp_path / "in" / "deep" / row["path"]).read_bytes() for row in rows] == [b"one", b"two", b"three"]
    assert len(list((tmp_path / "in").rglob("*.*"))) == 4


def test_what_is_no_archive_or_no_shards_is_refused(tmp_path: Path, shards: Path) -> None:
    (tmp_path / "a.tar").write_text("no archive" * 99)
    for archives, problem in (([tmp_path / "a.tar"], "cannot be read"), ([tmp_path / "a.tar"] * 2, "one name")):
        with pytest.raises(VivaceError, match=problem):
            unpack(archives, tmp_path / "out")
    assert not (tmp_path / "out" / ROWS).exists()
    with pytest.raises(VivaceError, match="holds no shards"):
        export_nava(tmp_path, tmp_path / "out")
    writer = ShardWriter(tmp_path / "other", ShardHeader("clips"))
    writer.add("a", {"video": np.zeros((1, 8, 8, 3), np.uint8)}, {"caption": "x"})
    writer.close()
    with pytest.raises(VivaceError, match="not of a curation"):
        export_webdataset(tmp_path / "other", tmp_path / "out")
    assert main(["curate", "export", str(shards), str(tmp_path / "cli"), "--form", "webdataset"]) == 0
    assert main(["curate", "import", str(tmp_path / "cli" / "00000.tar"), str(tmp_path / "cli-back")]) == 0
    assert len((tmp_path / "cli-back" / ROWS).read_text().splitlines()) == 3
