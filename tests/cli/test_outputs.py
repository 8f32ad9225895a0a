"""Files that belong together: named, written and replaced as one."""

import signal
from pathlib import Path

import numpy as np
import pytest

from vivace.cli.main import main
from vivace.cli.outputs import Outputs, check_folder, mark_of, sheet_mark, write_sheet
from vivace.errors import VivaceError
from vivace.media import read_image


def _fill(outputs: Outputs, text: str) -> None:
    for path in outputs.paths():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_set_takes_the_first_name_at_which_none_is_in_the_way(tmp_path: Path) -> None:
    wanted = Outputs(tmp_path / "x.mp4", with_sheet=True)

    def ours(path: Path) -> bool:
        return path.read_text() == "ours"

    assert wanted.free(ours) == (wanted, [])
    for name in ("x.json", "x.png"):
        (tmp_path / name).write_text("ours")
    assert wanted.free(ours) == (wanted, [])  # what is left of a set of ours
    (tmp_path / "x.png").write_text("somebody's")
    (tmp_path / "x-2.json").mkdir()
    (tmp_path / "x-3.png").symlink_to("nowhere")
    found, notes = wanted.free(ours)
    assert found == Outputs(tmp_path / "x-4.mp4", with_sheet=True)
    assert notes == [f"{tmp_path / 'x.png'} holds something else, so this is x-4.mp4."]
    assert Outputs(wanted.clip).free(ours)[0].clip == wanted.clip  # no sheet, so none in the way


def test_a_path_that_cannot_be_is_refused_before(tmp_path: Path) -> None:
    for name in ("a\0.mp4", "a" * 251 + ".mp4", "a" * 300 + ".mp4"):
        with pytest.raises(VivaceError, match="is no possible path"):
            Outputs(tmp_path / name).check()
    Outputs(tmp_path / ("a" * 250 + ".mp4")).check()


def test_a_folder_that_cannot_be_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    Path("jobs.jsonl").write_text('{"prompt": "a drum"}\n')
    recipe = str(Path(__file__).parents[2] / "recipes" / "nano-nava" / "1-render-validation.toml")
    for words, problem in (
        (["evaluate", "world", "--output", "file"], "is a file"),
        (["batch", "jobs.jsonl", "--output", "file/clips"], "is a file"),
        (["batch", "jobs.jsonl", "--output", "/proc/clips"], "cannot be written"),
        (["train", recipe, "--run", "file"], "is a file"),
    ):
        assert main(words) == 2
        shown = capsys.readouterr().err
        assert problem in shown
        assert shown.endswith("; choose another folder.\n")
        assert shown.count("\n") == 1
        assert sorted(path.name for path in Path().iterdir()) == ["file", "jobs.jsonl"]
    check_folder(Path("new/inner"))
    assert not Path("new").exists()


def test_all_parts_appear_or_none(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "new" / "x.mp4", with_sheet=True)
    whole = {path.name: "whole" for path in outputs.paths()}
    with outputs.written() as staged:
        _fill(staged, "whole")
        assert _texts(staged.clip.parent) == whole
        assert not outputs.clip.exists()
    assert _texts(tmp_path / "new") == whole

    def stopped() -> None:
        with outputs.written() as staged:
            _fill(staged, "half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert _texts(tmp_path / "new") == whole


def test_where_one_part_cannot_take_its_place_the_new_ones_go(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "x.mp4", with_sheet=True)

    def blocked() -> None:
        with outputs.written() as staged:
            _fill(staged, "new")
            (tmp_path / "x.mp4").mkdir()
            (tmp_path / "x.png").write_text("old")

    with pytest.raises(VivaceError, match=r"x\.mp4' cannot be written"):
        blocked()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.mp4", "x.png"]


def test_ctrl_c_between_the_parts_waits_until_all_are_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = Outputs(tmp_path / "x.mp4", with_sheet=True)
    move, handler = Path.replace, signal.getsignal(signal.SIGINT)

    def interrupted(self: Path, target: Path) -> Path:
        moved = move(self, target)
        signal.raise_signal(signal.SIGINT)
        return moved

    def write() -> None:
        with outputs.written() as staged:
            _fill(staged, "whole")
            monkeypatch.setattr(Path, "replace", interrupted)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert _texts(tmp_path) == {path.name: "whole" for path in outputs.paths()}
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_sheet_is_known_by_its_mark(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    path = tmp_path / "x.png"
    write_sheet(path, picture, mark_of({"prompt": "a drum", "seed": 1}))
    np.testing.assert_array_equal(read_image(path), picture)
    assert sheet_mark(path) == mark_of({"seed": 1, "prompt": "a drum"})
    assert sheet_mark(path) != mark_of({"seed": 2, "prompt": "a drum"})
    path.write_bytes(b"no picture")
    assert sheet_mark(path) is None
    assert sheet_mark(tmp_path / "nowhere.png") is None
