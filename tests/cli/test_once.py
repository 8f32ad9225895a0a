"""Options that are given twice, on every command."""

from typing import Any

import pytest

from vivace.cli.main import build, main
from vivace.cli.once import OnceEach


def _commands(group: Any) -> list[Any]:
    below = getattr(group, "commands", None)
    return [group] if below is None else [each for one in below.values() for each in _commands(one)]


def test_every_command_refuses_a_second_value() -> None:
    import typer

    commands = _commands(typer.main.get_command(build()))
    assert len(commands) > 20
    assert all(isinstance(command, OnceEach) for command in commands)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["generate", "a", "--seed", "1", "--seed=1"], "--seed"),
        (["batch", "jobs.jsonl", "--output", "a", "--output", "b"], "--output"),
        (["world", "portrait", "a.png", "--split", "val", "--split", "test"], "--split"),
    ],
)
def test_the_option_is_named_in_one_sentence(words: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = f"vivace: Option {name} takes one value and was given 2 times: leave out all but one; see vivace "
    shown = capsys.readouterr().err
    assert shown.startswith(said)
    assert shown.endswith(" --help.\n")


def test_lists_and_switches_may_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    twice = ["--guide", "text=3", "--guide", "align=1", "--json", "--json", "--voice", "none", "--voice", "none"]
    assert main(["generate", " ", *twice]) == 2
    assert "The prompt is empty" in capsys.readouterr().err
