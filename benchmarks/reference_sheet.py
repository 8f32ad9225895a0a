"""Clips of held-out characters, each made with and without its reference, drawn on one sheet, none chosen.

    python benchmarks/reference_sheet.py --output docs/references.png [--model nano-alive] [--split val] [--count 8]

One row a character: the reference, three moments of the clip made with it, one of the clip that the same prompt and
seed give without it. Characters, prompts and seeds are the first of `vivace.evaluation.copy_paste`, without those in
whose reference no face is found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vivace.cli.making import Models
from vivace.evaluation.copy_paste import reference_items, with_one_face
from vivace.media import write_png

MOMENTS, MOMENTS_WITHOUT = 3, 1
_GAP = 4  # white pixels between what is given, what was made of it, and what is made without


def reference_sheet(model: str, split: str, count: int) -> np.ndarray:
    """The sheet, uint8 [count * H, W, 3]."""
    pipeline, _ = Models().load(model)
    rows = []
    for item in with_one_face(reference_items(split, count)):
        form = {"seed": item.seed, "seconds": item.seconds, "height": item.height, "width": item.width}
        shown = pipeline(item.prompt, references=[[item.picture()]], modalities="both", **form).frames[0]
        alone = pipeline(item.prompt, modalities="both", **form).frames[0]
        gap = np.full((item.height, _GAP, 3), 255, np.uint8)
        parts = [item.picture(), gap, _moments(shown, MOMENTS), gap, _moments(alone, MOMENTS_WITHOUT)]
        rows.append(np.concatenate(parts, axis=1))
    return np.concatenate(rows)


def _moments(frames: np.ndarray, count: int) -> np.ndarray:
    """Pictures from the first to the last, beside each other. uint8 [H, count * W, 3]"""
    places = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return np.concatenate(list(np.asarray(frames)[places]), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-alive")
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    write_png(arguments.output, reference_sheet(arguments.model, arguments.split, arguments.count))


if __name__ == "__main__":
    main()
