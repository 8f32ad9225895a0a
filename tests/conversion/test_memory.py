"""How much memory a conversion takes: a piece of a tensor, never a whole one, and never a whole file."""

import json
import struct
from pathlib import Path

import pytest
import torch

from vivace.conversion.sources import open_weights
from vivace.conversion.writing import Tensors, write_safetensors

MB = 10**6
STATUS = Path("/proc/self/status")


def anonymous_bytes() -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's account of anonymous memory")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_a_tensor_larger_than_the_bound_is_written_within_it(
    tmp_path: Path, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivace.conversion.writing.PIECE", 2**18)
    values = 16 * MB
    header = json.dumps({"a": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    with (tmp_path / "a.safetensors").open("wb") as file:  # a hole, which reads as zeros and takes no disk
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 4 * values)
    tensors = Tensors(open_weights(tmp_path / "a.safetensors"), {"a": "a"}, {"a": dtype})
    before, peak = anonymous_bytes(), 0

    def look(_: int) -> None:
        nonlocal peak
        peak = max(peak, anonymous_bytes())

    written = write_safetensors(tmp_path / "b.safetensors", tensors, ["a"], look)
    assert written.bytes > values * dtype.itemsize
    assert peak > 0
    assert peak - before < 12 * MB
