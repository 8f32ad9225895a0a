"""Does curation matter? The same small network trained on raw and on curated footage of equal size.

    python -m benchmarks.curation_training run [--folder FOLDER] [--minutes 85] ...
    python -m benchmarks.curation_training table [--folder FOLDER] [--output FILE.md]

`run` films footage of which half the shots have one of 22 faults, curates it by the shipped pipeline, takes as many
clips of the same pool uncurated, encodes both with the shipped codecs, and trains both arms with every seed at equal
steps, order of clips by number, initial weights and noise. It stops by itself after `--minutes`, or at Ctrl-C; the same
command goes on from there. `table` prints what is complete, and writes FILE.md and FILE.json.

Judged are the velocity error on faultless clips that no arm has seen, and clips made of held-out prompts: how well what
is heard goes with what is seen (AV event F1), and how much of what the prompt states is seen and heard.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.curation_training.comparison import compared, markdown
from benchmarks.curation_training.sets import ARMS, SetSettings, make_sets
from benchmarks.curation_training.unit import UnitSettings, run_unit
from benchmarks.units import run_all, write_table


def main(words: Sequence[str] | None = None) -> int:
    """0 when all asked for is done, 3 when time was up before, 2 for what cannot be done."""
    options = _parser().parse_args(words)
    if options.command == "table":
        found = compared(options.folder)
        write_table(options.output, markdown(found), found)
        return 0
    text_len = options.longest_caption + 1  # bytes and the mark of their end
    sets = SetSettings(
        files=options.files,
        held_out=options.held_out,
        faulty=options.faulty,
        size=options.size,
        seconds=options.seconds,
        longest_caption=options.longest_caption,
        vae=options.model / "vae",
        audio_vae=options.model / "audio_vae",
        workers=options.workers,
    )
    unit = UnitSettings(
        width=options.width,
        steps=options.steps,
        batch=options.batch,
        text_encoder=options.text_encoder,
        text_len=text_len,
        prompts=options.prompts,
        sampling=options.sampling,
        model=options.model,
        size=options.size,
        seconds=options.seconds,
        threads=options.threads,
        precision=options.precision,
    )

    def units(check: Callable[[], None]) -> Iterator[object]:
        yield make_sets(options.folder, sets, check)["clips"]
        # A seed of both arms before the next seed, so that what is complete can be compared.
        for seed in range(options.seeds):
            for arm in ARMS:
                yield run_unit(options.folder / "runs", options.folder / "latents", arm, seed, unit, check)

    return run_all("curation_training", options.minutes, units)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--model", type=Path, default=Path("src/vivace/nano/nano-nava"), help="whose codecs are used")
    run.add_argument("--files", type=int, default=120, help="of the pool, of five shots each")
    run.add_argument("--held-out", type=int, default=16, help="files of faultless shots")
    run.add_argument("--faulty", type=float, default=0.5, help="share of the pool's shots")
    run.add_argument("--size", type=int, default=128)
    run.add_argument("--seconds", type=float, default=2.0)
    run.add_argument("--longest-caption", type=int, default=319, help="bytes")
    run.add_argument("--seeds", type=int, default=3)
    run.add_argument("--width", type=int, default=128, help="of the network, a multiple of 16")
    run.add_argument("--steps", type=int, default=500)
    run.add_argument("--batch", type=int, default=16)
    run.add_argument("--text-encoder", type=Path, help="run or model folder whose text encoder both read, unchanged")
    run.add_argument("--prompts", type=int, default=48, help="held out, to make clips of")
    run.add_argument("--sampling", type=int, default=12, help="steps of the sampler")
    run.add_argument("--workers", type=int, default=0, help="processes for footage and curation; 0 for one per core")
    run.add_argument("--threads", type=int, default=2)
    run.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    run.add_argument("--minutes", type=float, default=85.0)
    table = commands.add_parser("table")
    table.add_argument("--output", type=Path, help="FILE.md; FILE.json is written beside it")
    for command in (run, table):
        command.add_argument("--folder", type=Path, default=Path("runs/curation-training"))
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
