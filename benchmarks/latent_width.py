"""How many channels a video codec's latents need: a rate curve, of linear codes and of short trainings.

    python -m benchmarks.latent_width [--clips runs/nano-nava/clips-codec] [--held-out runs/nano-nava/clips-validation]
        [--width 16]... [--run 16=runs/latent-width/16]... [--output latent-width.json]

A linear code keeps the principal components of blocks of 4 pictures of 16x16 pixels (of the first picture by itself, as
a causal codec does) that were fitted to the training clips: what a width can hold without any learning, at the codec's
own 16x in space and 4x in time. `--run` names trainings of the unit "video-codec" that differ in width alone, whose
held-out figures stand beside it. Writes latent-width.json, and beside it the table as latent-width.md. PSNR is the mean
over the held-out clips (dB); moving pixels are those of `vivace evaluate codecs`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.evaluation.fidelity import psnr, square_errors
from vivace.evaluation.ledger import whole_rows
from vivace.media import replacing

WIDTHS = (8, 16, 24, 32, 48, 64, 96)
SIDE, PICTURES = 16, 4


def blocks_of(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, H, W, 3] -> float32 [T / PICTURES * H / SIDE * W / SIDE, PICTURES * SIDE * SIDE * 3], 0 to 1."""
    times, height, width, _ = frames.shape
    grid = frames.reshape(times // PICTURES, PICTURES, height // SIDE, SIDE, width // SIDE, SIDE, 3)
    return grid.transpose(0, 2, 4, 1, 3, 5, 6).reshape(-1, PICTURES * SIDE * SIDE * 3).astype(np.float32) / 255


def frames_of(blocks: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The pictures of `blocks_of`. uint8 [T, H, W, 3]"""
    times, height, width, _ = shape
    grid = blocks.reshape(times // PICTURES, height // SIDE, width // SIDE, PICTURES, SIDE, SIDE, 3)
    frames = grid.transpose(0, 3, 1, 4, 2, 5, 6).reshape(times, height, width, 3)
    return (frames * 255).round().clip(0, 255).astype(np.uint8)


class LinearCode:
    """Mean and principal components of blocks, the most important component first."""

    def __init__(self, blocks: np.ndarray) -> None:
        self.mean = blocks.mean(0)
        centred = blocks - self.mean
        if len(blocks) < blocks.shape[1]:
            self.components = np.linalg.svd(centred, full_matrices=False)[2].T
        else:
            self.components = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]

    def kept(self, blocks: np.ndarray, width: int) -> np.ndarray:
        """Blocks after the round trip through their first `width` components."""
        basis = self.components[:, :width]
        return np.asarray((blocks - self.mean) @ basis @ basis.T + self.mean, np.float32)


def linear_curve(
    training: ShardReader, held_out: ShardReader, widths: Sequence[int], most: int
) -> list[dict[str, Any]]:
    """PSNR of linear codes of each width, fitted to at most `most` clips.

    Raises:
        VivaceError: no width, or one that no block has values for.
    """
    if not widths or not all(1 <= width <= SIDE * SIDE * 3 for width in widths):
        raise VivaceError(f"Widths {list(widths)} do not go; give some from 1 to {SIDE * SIDE * 3}.")
    # A first picture is coded as a block that stands still: of four equal pictures, four equal quarters.
    fits = [training.get(index)["video"].numpy() for index in range(min(most, len(training)))]
    later = LinearCode(np.concatenate([blocks_of(frames[1:]) for frames in fits]))
    first = LinearCode(np.concatenate([blocks_of(np.repeat(frames[:1], PICTURES, 0)) for frames in fits]))
    errors: dict[int, tuple[list[float], list[float]]] = {width: ([], []) for width in widths}
    for index in range(len(held_out)):
        frames = held_out.get(index)["video"].numpy()
        start, rest = blocks_of(np.repeat(frames[:1], PICTURES, 0)), blocks_of(frames[1:])
        for width, (overall, moving) in errors.items():
            made = np.concatenate(
                (
                    frames_of(first.kept(start, width), (PICTURES, *frames.shape[1:]))[:1],
                    frames_of(later.kept(rest, width), (len(frames) - 1, *frames.shape[1:])),
                )
            )
            whole, changing = square_errors(frames, made)
            overall.append(psnr(whole))
            if changing is not None:
                moving.append(psnr(changing))
    return [
        {"width": width, "psnr": float(np.mean(overall)), "psnr_moving": float(np.mean(moving))}
        for width, (overall, moving) in sorted(errors.items())
    ]


def trained_point(width: int, run: Path) -> dict[str, Any]:
    """The last held-out figures of a run.

    Raises:
        VivaceError: it has none, or is of another width.
    """
    recipe = json.loads((run / "recipe.json").read_text())
    rows = [row for row in whole_rows(run / "metrics.jsonl") if "val/psnr" in row]
    if recipe.get("model", {}).get("z_dim") != width or not rows:
        raise VivaceError(f"Run {str(run)!r} has no held-out figures of a codec of width {width}; name another.")
    return {
        "width": width,
        "steps": rows[-1]["step"] + 1,
        "clips": recipe["validation_clips"],
        "psnr": rows[-1]["val/psnr"],
        "psnr_moving": rows[-1]["val/psnr_moving"],
    }


def table(report: Mapping[str, Any]) -> str:
    trained = {point["width"]: point for point in report["trained"]}
    lines = [
        "# How wide the video codec's latents are",
        "",
        f"`{report['command']}`",
        "",
        f"Linear codes fitted to {report['fitted_to']} clips, judged on {report['held_out']}. PSNR in dB.",
        "",
        "| channels | linear code: PSNR, moving pixels | trained: PSNR, moving pixels | steps |",
        "|---|---|---|---|",
    ]
    for point in report["linear"]:
        own = trained.get(point["width"])
        learned = "| |" if own is None else f"| {own['psnr']:.1f}, {own['psnr_moving']:.1f} | {own['steps']}"
        lines.append(f"| {point['width']} | {point['psnr']:.1f}, {point['psnr_moving']:.1f} {learned} |")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=Path("runs/nano-nava/clips-codec"))
    parser.add_argument("--held-out", type=Path, default=Path("runs/nano-nava/clips-validation"))
    parser.add_argument("--most", type=int, default=400, help="clips that linear codes are fitted to")
    parser.add_argument("--width", type=int, action="append", default=[], help="instead of all; repeat")
    parser.add_argument("--run", action="append", default=[], metavar="WIDTH=FOLDER", help="a training; repeat")
    parser.add_argument("--output", type=Path, default=Path("latent-width.json"))
    asked = parser.parse_args(words)
    training, held_out = ShardReader(asked.clips), ShardReader(asked.held_out)
    runs = [(int(width), Path(folder)) for width, _, folder in (word.partition("=") for word in asked.run)]
    given = sys.argv[1:] if words is None else list(words)
    report = {
        "command": shlex.join(["python", "-m", "benchmarks.latent_width", *given]),
        "fitted_to": min(asked.most, len(training)),
        "held_out": len(held_out),
        "linear": linear_curve(training, held_out, sorted(set(asked.width)) or WIDTHS, asked.most),
        "trained": [trained_point(width, run) for width, run in runs],
    }
    with replacing(asked.output) as path:
        path.write_text(json.dumps(report, indent=1) + "\n")
    with replacing(asked.output.with_suffix(".md")) as path:
        path.write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    try:
        main()
    except VivaceError as error:
        raise SystemExit(str(error)) from None
