"""Does the audio branch keep what it learned alone? Joint training at several rates of the audio tower.

    python -m benchmarks.audio_rates run --recipe FILE --start RUN --model FOLDER [--minutes 85] ...
    python -m benchmarks.audio_rates table [--runs FOLDER] [--output FILE.md]

`run` trains the first stage of an `alive` recipe from two towers that were trained alone (`--start`), with the audio
tower at each share of the video tower's rate and every seed, and judges clips of held-out prompts before the first step
and at equal distances after. Rates do not decay, so that every point stands for a training of that length. It stops by
itself after `--minutes`, or at Ctrl-C; the same command goes on from there. `table` prints what is complete, and writes
FILE.md, FILE.json and, as a page with the curves, FILE.html.

Judged are how far generated sounds are from the true ones as sets, made by the audio tower alone and together with
pictures, the words in them where the model has learned speech (`--talk`), and how well what is heard goes with what is
seen. Sampling uses text guidance alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.audio_rates.curve import curve_of, markdown, write_curves
from benchmarks.audio_rates.unit import RatesSettings, judge_start, run_unit
from benchmarks.units import run_all, write_table


def main(words: Sequence[str] | None = None) -> int:
    """0 when all asked for is done, 3 when time was up before, 2 for what cannot be done."""
    options = _parser().parse_args(words)
    if options.command == "table":
        found = curve_of(options.runs)
        write_table(options.output, markdown(found), found)
        if options.output is not None:
            write_curves(options.output.with_suffix(".html"), found)
        return 0
    settings = RatesSettings(
        recipe=options.recipe,
        start=options.start,
        model=options.model,
        steps=options.steps,
        points=options.points,
        prompts=options.prompts,
        talk=options.talk,
        sampling=options.sampling,
        size=options.size,
        seconds=options.seconds,
        threads=options.threads,
    )

    def units(check: Callable[[], None]) -> Iterator[Path]:
        yield judge_start(options.runs, settings, check)
        # A seed of all rates before the next seed, so that what is complete can be compared.
        for seed in range(options.seeds):
            for rate in options.rates:
                yield run_unit(options.runs, rate, seed, settings, check)

    return run_all("audio_rates", options.minutes, units)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--recipe", type=Path, default=Path("recipes/nano-alive/3-joint.toml"))
    run.add_argument("--start", type=Path, default=Path("runs/nano-alive/2-audio"), help="run with both towers trained")
    run.add_argument("--model", type=Path, default=Path("src/vivace/nano/nano-nava"), help="whose codecs are used")
    run.add_argument("--rates", type=float, nargs="+", default=[1.0, 0.1], help="of the audio tower, over the video's")
    run.add_argument("--seeds", type=int, default=2)
    run.add_argument("--steps", type=int, default=1200, help="of each training, a multiple of --points")
    run.add_argument("--points", type=int, default=4, help="at which clips are judged, beside the start")
    run.add_argument("--prompts", type=int, default=64, help="held out, of balls and instruments")
    run.add_argument(
        "--talk", type=int, default=0, help="held-out prompts of talk, for a model that has learned speech"
    )
    run.add_argument("--sampling", type=int, default=12, help="steps of the sampler")
    run.add_argument("--size", type=int, default=128)
    run.add_argument("--seconds", type=float, default=2.0)
    run.add_argument("--threads", type=int, default=2)
    run.add_argument("--minutes", type=float, default=85.0)
    table = commands.add_parser("table")
    table.add_argument("--output", type=Path, help="FILE.md; FILE.json and FILE.html are written beside it")
    for command in (run, table):
        command.add_argument("--runs", type=Path, default=Path("runs/audio-rates"))
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
