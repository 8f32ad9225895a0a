"""Options that several commands share, or one command has many of: fields of a dataclass, written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, get_type_hints


def words_of(options: Any) -> list[str]:
    """The words of a command line that give these options: those that are not as they are when nothing is said, but for
    `--json`, which changes nothing but what is printed."""
    hints = get_type_hints(type(options), include_extras=True)
    words: list[str] = []
    for field in fields(options):
        value = getattr(options, field.name)
        (told,) = hints[field.name].__metadata__
        # In an annotation typer keeps the first of an option's own names where a default would be.
        given = [told.default, *(told.param_decls or ())]
        named = next((one for one in given if isinstance(one, str) and one.startswith("--")), None)
        name = named or f"--{field.name.replace('_', '-')}"
        if value == field.default or name == "--json":
            continue
        if isinstance(value, bool):
            words.append(name if value else f"--no-{name.removeprefix('--')}")
        else:
            for one in value if isinstance(value, list | tuple) else [value]:
                words += [name, str(one)]
    return words


def takes(options: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command that has the fields of a dataclass as options, behind its own.

    Args:
        options: each field is annotated as an option of typer. The command gets an instance as its argument `options`.
    """
    hints = get_type_hints(options, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(options)
    ]

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        every = inspect.signature(command, eval_str=True).parameters.values()
        own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in every if each.name != "options"]

        def run(**given: Any) -> None:
            named = {each.name: given.pop(each.name) for each in own}
            command(**named, options=options(**given))

        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        run.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
        vars(run)["__signature__"] = inspect.Signature([*own, *shared])
        return run

    return with_options
