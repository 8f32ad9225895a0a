"""The first prompts of the world benchmark with seeds 0, 1, 2, ...: made, drawn on one sheet, none left out.

    python benchmarks/first_prompts.py --output docs/first-eight.png [--model nano-nava] [--split test] [--count 8]

The sheet shows what a model makes, not the best of what it makes: the clips are those of the benchmark's first prompts,
in its order.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vivace.cli.making import Models
from vivace.evaluation.prompts import world_items
from vivace.media import contact_sheet, peak_limited, write_png


def first_prompts(model: str, split: str, count: int) -> np.ndarray:
    """Contact sheets of the first prompts, two beside each other. uint8 [H, W, 3]"""
    pipeline, _ = Models().load(model)
    sheets = []
    for seed, item in enumerate(world_items(split, count, hand=False, camera=False)[:count]):
        made = pipeline(item.prompt, seed=seed)
        title = f"{seed}: {item.prompt}"
        sound = peak_limited(made.audio[0])
        sheets.append(contact_sheet(made.frames[0], made.fps, sound, made.audio_sample_rate, title=title))
    height = max(len(sheet) for sheet in sheets)
    padded = [np.pad(sheet, ((0, height - len(sheet)), (0, 0), (0, 0)), constant_values=255) for sheet in sheets]
    if len(padded) % 2:
        padded.append(np.full_like(padded[0], 255))
    return np.concatenate([np.concatenate(padded[i : i + 2], axis=1) for i in range(0, len(padded), 2)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-nava")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    write_png(arguments.output, first_prompts(arguments.model, arguments.split, arguments.count))


if __name__ == "__main__":
    main()
