"""Options that are given once: of two values typer would take the last, without a word."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class OnceEach(TyperCommand):
    """A command that refuses an option with two values, unless it takes a list of them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        single = [each for each in order if each.param_type_name == "option" and _takes_one_value(each)]
        for option in dict.fromkeys(single):
            count = single.count(option)
            if count > 1:
                name = max(option.opts, key=len)
                ctx.fail(f"Option {name} takes one value and was given {count} times: leave out all but one.")
        return super().parse_args(ctx, args)


def _takes_one_value(option: Any) -> bool:
    # Of a switch and its opposite the last counts everywhere, which wrappers of commands rely on.
    return not (option.multiple or option.is_flag or option.count)


def once_each(app: typer.Typer) -> None:
    """Make every command of an application, and of those below it, an `OnceEach`."""
    for command in app.registered_commands:
        command.cls = OnceEach
    for group in app.registered_groups:
        if group.typer_instance is not None:
            once_each(group.typer_instance)
