"""Errors whose message a person can act on."""


class VivaceError(ValueError):
    """Bad input. The message is one sentence: the input, what is wrong with it, and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """
