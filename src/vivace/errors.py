"""Errors whose message a person can act on, and what their sentences share."""


class VivaceError(ValueError):
    """Bad input. The message is one sentence: the input, what is wrong with it, and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


def count_of(number: int, thing: str) -> str:
    """A number with its noun: "1 span", "2 processes"."""
    plural = f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{number} {thing if number == 1 else plural}"


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Ctrl-C in what can be gone on with. The message is one sentence: what is kept, and how to go on.

    The command line prints it and exits with code 130.
    """
