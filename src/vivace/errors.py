"""Errors whose message a person can act on."""


class VivaceError(ValueError):
    """Bad input. The message is one sentence: the input, what is wrong with it, and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Ctrl-C in what can be gone on with. The message is one sentence: what is kept, and how to go on.

    The command line prints it and exits with code 130.
    """
