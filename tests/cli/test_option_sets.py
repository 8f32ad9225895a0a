from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from vivace.cli.option_sets import takes, words_of
from vivace.cli.world_benchmark import WorldAsked


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(min=1, help="How wide.")] = 4
    tags: Annotated[list[str] | None, typer.Option(help="Repeat.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="One line.")] = False


app = typer.Typer()


@app.command()
@takes(Size)
def first(options: Size, name: Annotated[str, typer.Option(help="Whose.")]) -> None:
    """The first command."""
    print("first", name, options)


@app.command()
@takes(Size)
def second(options: Size, name: Annotated[str, typer.Option(help="Whose.")] = "nobody") -> None:
    print("second", name, options)


def told(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    return result.output if result.exit_code == 0 else f"{result.exit_code}: {result.output}"


def test_a_command_has_its_own_options_and_those_of_the_dataclass() -> None:
    given = told("first", "--name", "x", "--width", "7", "--tags", "a", "--tags", "b", "--json")
    assert given == f"first x {Size(7, ['a', 'b'], True)}\n"
    assert told("second") == f"second nobody {Size()}\n"


def test_what_is_due_and_bounds_hold() -> None:
    assert told("first").startswith("2:")
    assert told("second", "--width", "0").startswith("2:")


def test_help_shows_both() -> None:
    shown = told("first", "--help")
    assert all(text in shown for text in ("The first command.", "--name", "How wide.", "--json"))


def test_options_can_be_told_as_the_words_that_give_them() -> None:
    assert words_of(Size()) == []
    words = words_of(Size(7, ["a", "b c"], True))
    assert words == ["--width", "7", "--tags", "a", "--tags", "b c"]
    assert told("first", "--name", "x", *words) == f"first x {Size(7, ['a', 'b c'], False)}\n"
    assert words_of(WorldAsked(hand=False, keep_clips=True)) == ["--no-hand", "--keep-clips"]
