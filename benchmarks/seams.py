"""How a clip goes on where the given part ends: the step in picture and sound against the clip's own changes.

    python -m benchmarks.seams [--model nano-alive] [--clips 12] [--seconds 5] [--output FILE.json]

Clips of held-out prompts are made, then continued. For each, the mean change from the last given picture to the first
new one is told as a multiple of the clip's median change from picture to picture, and as a share of its largest
anywhere else; and the largest step between samples within 2 ms of the seam as a share of the largest anywhere else. A
seam that could be seen or heard would be the largest (1 or more), unless something happens there.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

import vivace
from vivace.evaluation.prompts import world_items
from vivace.media import Clip
from vivace.pipelines.folder import find_model, read_index

CLOSE = 0.002  # seconds around the seam


def seam_figures(frames: np.ndarray, sound: np.ndarray, given: int, samples: int, rate: int) -> dict[str, float]:
    """Of a continued clip whose first pictures and samples were given.

    Args:
        frames: uint8 [T, H, W, 3], `given` of which were given. sound: [channels, N], likewise `samples`.
    """
    changes = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2, 3))
    others = np.delete(changes, given - 1)
    steps = np.abs(np.diff(sound.mean(axis=0)))
    near = slice(samples - round(CLOSE * rate), samples + round(CLOSE * rate))
    elsewhere = np.concatenate([steps[: near.start], steps[near.stop :]])
    return {
        "picture_to_median": float(changes[given - 1] / max(np.median(others), 1e-6)),
        "picture_to_largest": float(changes[given - 1] / max(others.max(), 1e-6)),
        "sound_to_largest": float(steps[near].max() / max(elsewhere.max(), 1e-6)),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-alive")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--given", type=float, default=2.0, help="length of the clips that are continued (seconds)")
    parser.add_argument("--seconds", type=float, default=5.0, help="that are added")
    parser.add_argument("--size", type=int, default=128, help="sides (pixels)")
    parser.add_argument("--output", type=Path, default=None)
    words = sys.argv[1:] if arguments is None else arguments
    asked = parser.parse_args(words)

    folder = find_model(asked.model)
    pipeline = getattr(vivace, read_index(folder)["_class_name"]).from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    rows = []
    settings: dict[str, Any] = {"seconds": asked.given, "height": asked.size, "width": asked.size}
    for item in world_items("val", asked.clips, hand=False, camera=False, **settings):
        made = pipeline(item.prompt, seed=item.seed, seconds=asked.given, width=asked.size, height=asked.size)
        clip = Clip(made.frames[0], made.fps, made.audio[0].clip(-1, 1), made.audio_sample_rate)
        longer = pipeline(item.prompt, seed=item.seed + 1, extend=clip, seconds=asked.seconds)
        sizes = len(made.frames[0]), made.audio[0].shape[1], made.audio_sample_rate
        rows.append({"id": item.id, **seam_figures(longer.frames[0], longer.audio[0], *sizes)})
    command = shlex.join(["python", "-m", "benchmarks.seams", *words])
    names = [name for name in rows[0] if name != "id"]
    spread = {name: np.quantile([row[name] for row in rows], [0, 0.5, 1]).tolist() for name in names}
    found = {"command": command, "model": asked.model, "least_median_most": spread, "rows": rows}
    if asked.output is not None:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
