"""The `vivace` command: its parts, and how errors reach a user.

Nothing heavy is imported here or at the top of a command's file, so `vivace --help` is quick; and nothing but Python's
own modules before `main` runs, so that Ctrl-C is answered in our words from the first moment on.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vivace import __version__
from vivace.errors import Stopped, VivaceError

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130
# How long after a Ctrl-C that Python dropped it is raised again.
DROPPED_SECONDS = 0.01
# Commands of other rooms: the module of each is vivace.cli.NAME and holds either a function or a Typer `app`.
OTHERS = (
    "verify",
    "world",
    "train",
    "evaluate",
    "convert",
    "plan",
    "voice",
    "curate",
    "compare",
    "study",
    "refine",
    "animate",
)


def build() -> typer.Typer:
    """The application with all its commands."""
    import typer

    from vivace.cli.batch import batch
    from vivace.cli.generate import generate, rerun
    from vivace.cli.once import once_each

    class Commands(typer.core.TyperGroup):
        def invoke(self, ctx: Any) -> Any:
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None

    def show_version(wanted: bool) -> None:
        if wanted:
            print(f"vivace {__version__}")
            raise typer.Exit

    app = typer.Typer(
        name="vivace",
        cls=Commands,
        help="Make video and sound in one process.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Show the version."
        ),
    ) -> None:
        pass

    for command in (generate, rerun, batch):
        app.command()(command)
    for name in OTHERS:
        module = importlib.import_module(f"vivace.cli.{name}")
        if isinstance(getattr(module, "app", None), typer.Typer):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    once_each(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code.

    0: done. 1: a check failed (verify). 2: bad input or an output that cannot be written, told in one sentence on
    standard error. 130: interrupted.
    """
    try:
        with _interrupts() as interrupts:
            return _run(list(sys.argv[1:] if arguments is None else arguments), interrupts)
    except KeyboardInterrupt:
        return _stopped()


def _run(words: list[str], interrupts: list[int]) -> int:
    # Read by the OpenMP runtime when torch starts. Threads that wait by spinning make a busy machine many times
    # slower: two threads on two cores beside another job took 70 s where one took 0.8 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        result = build()(words, prog_name="vivace", standalone_mode=False)
    except Stopped as stopped:
        return _stopped(str(stopped))
    except Exception as error:
        return _stopped() if interrupts else _failed(error)
    if result == INTERRUPTED:  # Typer, too, turns Ctrl-C into this code, without a word.
        return _stopped()
    return result if isinstance(result, int) else 0


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The Ctrl-Cs that came so far; each raises KeyboardInterrupt as ever.

    What surfaces does not always tell of it: a library interrupted within an import, above all while a compiled module
    starts, raises an error of its own instead. And what is raised within a finaliser or a weak reference's callback,
    Python drops; such a Ctrl-C is raised again a moment later.
    """
    came: list[int] = []
    again: list[threading.Timer] = []
    told = sys.unraisablehook

    def note(number: int, frame: Any) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    def dropped(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            told(unraisable)
            return
        again.append(threading.Timer(DROPPED_SECONDS, _thread.interrupt_main))
        again[-1].daemon = True
        again[-1].start()

    # A job started in the background ignores Ctrl-C, and shall go on doing so; and only the main thread may handle it.
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ours = usual and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, note)
        sys.unraisablehook = dropped
    try:
        yield came
    finally:
        if ours:
            for timer in again:
                timer.cancel()
            sys.unraisablehook = told
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _failed(error: Exception) -> int:
    """The exit code for an error, which is told in one sentence. Raises it again where it is none of the user's."""
    if isinstance(error, VivaceError):
        return _complain(str(error))
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has gone; without this Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    if isinstance(error, OSError):
        where = f" {error.filename!r}" if error.filename else ""
        return _complain(f"The system refused access{where}: {error.strerror or error}; check the path and free space.")
    if isinstance(error, MemoryError):
        return _complain("Memory ran out; ask for a smaller size or fewer seconds.")
    # Typer's own usage errors; their class lives in click or in typer depending on the version.
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        raise error
    command = getattr(getattr(error, "ctx", None), "command_path", "vivace")
    # The error of a command that has commands and was given none says nothing: its help has been shown instead.
    told = " ".join(format_message().split()).rstrip(".") or "A command is missing, such as one of those above"
    return _complain(f"{told}; see {command} --help.")


def _stopped(sentence: str = "Stopped; no unfinished file is left.") -> int:
    print(sentence, file=sys.stderr)
    return INTERRUPTED


def _complain(sentence: str) -> int:
    print(f"vivace: {sentence}", file=sys.stderr)
    return 2
