import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vivace import __version__
from vivace.cli.main import main
from vivace.errors import VivaceError


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from vivace.cli.main import main\n"
        "assert main(['--help']) == 0\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'av', 'scipy'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "generate" in done.stdout
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("command", ["generate", "rerun", "batch"])
def test_every_command_explains_itself_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"Example: vivace {command}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("words", [[], ["world"], ["evaluate"]])
def test_commands_that_have_commands_show_them_and_ask_for_one(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert "Commands" in out
    command = " ".join(["vivace", *words])
    assert err.endswith(f"A command is missing, such as one of those above; see {command} --help.\n")


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["generat"],
        ["generate"],
        ["generate", "a", "b"],
        ["generate", "a", "--nope"],
        ["generate", "a", "--steps", "many"],
        ["generate", "a", "--seconds", "nan"],
        ["generate", "a", "--seconds", "inf"],
        ["generate", "a", "--fps", "-3"],
        ["generate", "a", "--size", "big"],
        ["generate", "a", "--guide", "text"],
        ["generate", "a", "--guide", "text=nan"],
        ["generate", "a", "--only", "smell"],
        ["generate", "a", "--seed", "-1"],
        ["generate", "a", "--seed", str(2**63)],
        ["generate", ""],
        ["generate", "a", "--model", "nowhere"],
        ["generate", "a", "--image", "a.png"],
        ["batch", "no-such-file.jsonl", "--output", "clips"],
        ["rerun", "no-such-clip.mp4"],
    ],
)
def test_bad_input_is_one_sentence_and_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("vivace: ")
    assert shown.err.count("\n") == 1
    assert "Traceback" not in shown.err


def test_ctrl_c_that_a_library_turned_into_an_error_is_still_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted_import() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise VivaceError("Model 'm' cannot be loaded; give a whole folder.") from None

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("vivace.cli.main.build", interrupted_import)
    assert main([]) == 130
    assert capsys.readouterr().err == "Stopped; no unfinished file is left.\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_within_a_finaliser_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def long_work(*words: object, **settings: object) -> int:
        for _ in range(2):  # The second time, too, Python drops what the handler raises.
            Interrupted()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            pass
        return 0

    before = sys.unraisablehook
    monkeypatch.setattr("vivace.cli.main.build", lambda: long_work)
    assert main([]) == 130
    assert capsys.readouterr().err == "Stopped; no unfinished file is left.\n"
    assert sys.unraisablehook is before


def test_a_command_that_can_be_gone_on_with_says_so_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vivace.conversion.nava.restore_nava", lambda *a, **k: signal.raise_signal(signal.SIGINT))
    for begun, expected in ((False, "no unfinished file"), (True, "the same command goes on")):
        if begun:
            (tmp_path / ".back.safetensors.converting").touch()
        assert main(["convert", "nava", str(tmp_path), str(tmp_path / "back.safetensors"), "--to-official"]) == 130
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert expected in said
