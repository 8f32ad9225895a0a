"""Where clips come from: nothing of a folder or a manifest is lost, and nothing is believed that is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from vivace.curation.nava_rows import from_nava_row
from vivace.curation.sources import InputSettings, clips_of
from vivace.errors import VivaceError


def found(**settings: Any) -> dict[str, dict[str, Any]]:
    clips = list(clips_of(InputSettings(**settings)))
    assert len({clip.id for clip in clips}) == len(clips)
    return {Path(clip.path).name: dict(clip.columns) for clip in clips}


def manifest(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"
    path.write_text(text, errors="surrogateescape")
    return path


def test_a_folder_is_gone_through_and_links_are_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    (inside / "deep").mkdir(parents=True)
    for name in ("b.mp4", "deep/a.mov", ".hidden.mp4", "b.mp4.captions.json", "notes.txt"):
        (inside / name).write_text(name)
    (tmp_path / "outside.mp4").write_text("x")
    (inside / "out.mp4").symlink_to(tmp_path / "outside.mp4")
    (inside / "broken.mp4").symlink_to(inside / "none.mp4")
    (inside / "twice.mp4").symlink_to(inside / "b.mp4")
    (inside / "loop.mp4").symlink_to(inside / "loop.mp4")
    (inside / "deep" / "round").symlink_to(inside)
    clips = found(folder=inside, licence="CC0")
    assert {name for name, columns in clips.items() if "input.problem" not in columns} == {"b.mp4", "a.mov"}
    assert {name for name, columns in clips.items() if columns.get("input.problem") == "link"} == {
        "out.mp4",
        "broken.mp4",
        "twice.mp4",
        "loop.mp4",
        "round",
    }
    assert all(columns["input.licence"] == "CC0" for columns in clips.values())


def test_a_manifest_says_what_is_known(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        {"path": "a.mp4", "licence": "CC-BY", "caption": "Visual: x\nNarration: y"},
        {"path": "b.mp4"},
        {"path": "b.mp4"},
        "",
    )
    clips = found(manifest=path, licence="CC0", source="here")
    assert clips["a.mp4"]["input.licence"] == "CC-BY"
    assert clips["a.mp4"]["input.caption"].startswith("Visual")
    assert clips["b.mp4"] == {"input.licence": "CC0", "input.source": "here"}


def test_rows_that_are_wrong_are_counted(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "{not json",
        "[]",
        {"licence": "CC0"},
        {"path": "a\0.mp4"},
        {"path": "c.mp4", "licence": "CC0"},
        {"path": "c.mp4", "licence": "none"},
        {"path": "d.mp4"},
        {"path": ["e.mp4"]},
        {"path": "half \ud83d.mp4"},
        {"path": "f.mp4", "caption": "half \ud83d"},
        "[" * 100_000,
        b"\xff\xfe\x00".decode(errors="surrogateescape"),
        {**nava("<S>x<E>", [10**400], [1.0])},
        *({"path": "g.mp4", "caption": "<S>x<E>", "speech": speech} for speech in ("x", [[2, 1]], [[0, 1], [1, 2]])),
        '{"path": "h.mp4", "speech": [[0, NaN]]}',
    )
    clips = found(manifest=path)
    problems = {name: columns.get("input.problem") for name, columns in clips.items()}
    assert sorted(filter(None, problems.values())) == ["bad_row"] * 14 + ["contradictory_rows"]
    for columns in clips.values():
        json.dumps(columns, ensure_ascii=False).encode()
    assert problems["c.mp4"] == "contradictory_rows"
    assert problems["d.mp4"] is None


def test_times_of_speech_are_numbers(tmp_path: Path) -> None:
    spoken = "Visual: x\nNarration: he says <W>a</W>, then <W>b</W>"
    rows = [{"path": "a.mp4", "caption": spoken, "speech": [[0, 1], [1.5, 2]]}, {"path": "b.mp4", "speech": [[0, 1]]}]
    clips = found(manifest=manifest(tmp_path, *rows))
    assert clips["a.mp4"]["input.speech"] == [[0.0, 1.0], [1.5, 2.0]]
    assert clips["b.mp4"]["input.speech"] == [[0.0, 1.0]]


def test_a_manifest_of_another_system_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"path": "a.mp4"}\r\n{"path": "b\xff.mp4"}\r\n')
    assert set(found(manifest=path)) == {"a.mp4", "b\udcff.mp4"}


def test_a_folder_that_is_closed_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "a.mp4").touch()
    look = os.scandir

    def refuse(place: str) -> Any:
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", place)
        return look(place)

    # The tests may run as a user to whom every folder is open.
    monkeypatch.setattr(os, "scandir", refuse)
    clips = found(folder=tmp_path / "in")
    assert clips["closed"]["input.problem"] == "unreadable"
    assert "Permission denied" in clips["closed"]["input.detail"]
    assert "input.problem" not in clips["a.mp4"]


def test_no_such_input_is_refused(tmp_path: Path) -> None:
    for settings in ({"folder": tmp_path / "none"}, {"manifest": tmp_path / "none"}):
        with pytest.raises(VivaceError, match="does not exist"):
            found(**settings)


def nava(text: str, starts: list[float], ends: list[float], **video: Any) -> dict[str, Any]:
    return {
        "video_info": [{"data_path": "old.mp4"}, {"data_path": "a.mp4", **video}],
        "text_list": [{"text": text, "speech_start": starts, "speech_end": ends}],
    }


def test_a_row_of_nava_gives_path_caption_and_speech() -> None:
    row = from_nava_row(nava("He says <S>hello<E>.", [0.5], [1.0]))
    assert row == {"path": "a.mp4", "caption": "He says <S>hello<E>.", "speech": [[0.5, 1.0]]}
    assert from_nava_row(nava("x", [], [], is_valid=False))["path"] == "old.mp4"


def test_a_row_of_nava_whose_counts_differ_is_refused(tmp_path: Path) -> None:
    bad = nava("He says <S>hello<E>.", [0.5, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="differ"):
        from_nava_row(bad)
    clips = found(manifest=manifest(tmp_path, bad, nava("x", [], [])))
    assert [columns.get("input.problem") for columns in clips.values()] == ["bad_row", None]
