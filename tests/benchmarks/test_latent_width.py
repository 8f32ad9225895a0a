"""The rate curve of the latents' width."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.latent_width import blocks_of, frames_of, main, trained_point

from vivace.data.shards import ShardHeader, ShardWriter
from vivace.errors import VivaceError


def _shards(folder: Path, clips: int, seed: int) -> Path:
    """Clips of four shades, which a code of few channels holds, with a little noise, which it does not."""
    rng = np.random.default_rng(seed)
    writer = ShardWriter(folder, ShardHeader("clips"))
    for number in range(clips):
        shades = rng.integers(30, 220, (9, 2, 2, 3)).repeat(16, 1).repeat(16, 2)
        frames = (shades + rng.normal(0, 3, shades.shape)).clip(0, 255).astype(np.uint8)
        writer.add(f"c{number}", {"video": torch.from_numpy(frames)}, {"content": "variety"})
    writer.close()
    return folder


def test_blocks_are_put_back_where_they_were() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 32, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(frames_of(blocks_of(frames), frames.shape), frames)


def test_wider_codes_lose_less_and_runs_stand_beside_them(tmp_path: Path) -> None:
    training, held_out = _shards(tmp_path / "train", 12, 0), _shards(tmp_path / "held", 3, 1)
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.json").write_text(json.dumps({"model": {"z_dim": 12}, "validation_clips": 3}))
    (run / "metrics.jsonl").write_text('{"step": 9, "val/psnr": 30.0, "val/psnr_moving": 20.0}\n')
    words = ["--clips", str(training), "--held-out", str(held_out), "--run", f"12={run}"]
    main([*words, "--width", "3", "--width", "12", "--output", str(tmp_path / "w.json")])
    report = json.loads((tmp_path / "w.json").read_text())
    narrow, wide = report["linear"]
    # Twelve values are all that a block has beside its noise of 3 levels (38.6 dB).
    assert narrow["psnr"] < 25 < 37 < wide["psnr"] < 40
    text = (tmp_path / "w.md").read_text()
    assert "| 12 |" in text
    assert "30.0, 20.0 | 10 |" in text
    with pytest.raises(VivaceError, match="width 16"):
        trained_point(16, run)
