"""Two processes make the clip that one makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from safetensors.torch import load_file
from tests.pipelines.two_processes import LENGTHS, SHARED, clips, flat, voiced, work
from tests.tiny import tiny_pipeline, tiny_speaking_pipeline

from vivace.errors import VivaceError
from vivace.pipelines.parallel import check_heads, rows_and_columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """What two processes wrote."""
    folder = tmp_path_factory.mktemp("two")
    # As torchrun has it: whoever starts the processes holds the place where they meet, at a port that is surely free,
    # and another for each command, since one process may begin the next before the other has left the last.
    stores = [torch.distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False) for _ in SHARED]
    ports = {devices: store.port for devices, store in zip(SHARED, stores, strict=True)}
    torch.multiprocessing.spawn(work, (2, folder, model_folder, ports), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def alone() -> dict[str, torch.Tensor]:
    """What one process makes."""
    pipeline = tiny_pipeline()
    return flat({name: make(pipeline) for name, make in clips().items()} | {"voice": voiced(tiny_speaking_pipeline())})


@pytest.mark.parametrize("axis", ["context", "branches"])
def test_two_processes_make_what_one_makes(folder: Path, alone: dict[str, torch.Tensor], axis: str) -> None:
    found = load_file(folder / f"{axis}-first-0.safetensors")
    assert found.keys() == alone.keys()
    for name, latents in alone.items():
        torch.testing.assert_close(found[name], latents, atol=1e-4, rtol=0, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("axis", ["context", "branches"])
def test_the_same_set_up_repeats_bit_for_bit_and_all_end_with_the_same(folder: Path, axis: str) -> None:
    first = load_file(folder / f"{axis}-first-0.safetensors")
    for other in ("first-1", "second-0", "second-1"):
        found = load_file(folder / f"{axis}-{other}.safetensors")
        for name, latents in first.items():
            assert torch.equal(found[name], latents), (other, name)


def test_lengths_that_do_not_divide_are_among_those_compared() -> None:
    """Otherwise nothing would show that padding is hidden."""
    pipeline = tiny_pipeline()
    timelines = [pipeline.timeline(seconds, 24) for seconds in LENGTHS.values()]
    frames, tokens = [t.latent_frames * 3 for t in timelines], [t.audio_tokens for t in timelines]  # 1x3 patches
    assert any(n % 2 for n in frames), frames
    assert any(n % 2 for n in tokens), tokens


def test_what_cannot_be_shared_is_refused_in_one_sentence(folder: Path) -> None:
    for rank in (0, 1):
        said = json.loads((folder / f"refusals-{rank}.json").read_text())
        assert "2 devices cannot share the context of 1 attention heads" in said["heads"]
        assert "2 devices cannot share 1 guidance branches" in said["branches"]
        assert "needs a seed" in said["seed"]
        assert "spread over devices already" in said["again"]
        assert "cannot be compiled" in said["compiled"]
        assert all("\n" not in sentence for sentence in said.values())


def test_degrees_that_do_not_divide_the_heads_are_refused_with_those_that_do() -> None:
    check_heads(24, 8)
    with pytest.raises(VivaceError, match=r"5 devices .* 24 attention heads evenly; use 1 or 2 or 3 or 4 or 6 or 8"):
        check_heads(24, 5)


def test_processes_are_dealt_out_to_both_axes() -> None:
    rows, columns = rows_and_columns(6, context=3, branches=2)
    assert rows == [[0, 1, 2], [3, 4, 5]]
    assert columns == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(VivaceError, match="4 x 2 processes were asked for and 6 are running"):
        rows_and_columns(6, 4, 2)


def test_the_command_line_makes_one_clip_by_two_processes_and_records_it(folder: Path) -> None:
    for rank in (0, 1):
        assert json.loads((folder / f"codes-{rank}.json").read_text()) == {"3": 2, "2": 0, "1x2": 0}
    written = sorted(path.name for path in folder.glob("clip-*"))
    assert written == ["clip-1x2.json", "clip-1x2.mp4", "clip-2.json", "clip-2.mp4"]
    for devices, counts in (("2", {"context": 2, "branches": 1}), ("1x2", {"context": 1, "branches": 2})):
        assert json.loads((folder / f"clip-{devices}.json").read_text())["devices"] == counts
