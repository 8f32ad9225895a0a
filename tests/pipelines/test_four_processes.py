"""Four processes, over both axes at once, make the clip that one makes."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load_file
from tests.pipelines.four_processes import CLIPS, work
from tests.pipelines.two_processes import clips, flat, voiced
from tests.tiny import tiny_pipeline, tiny_speaking_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What four processes wrote."""
    folder = tmp_path_factory.mktemp("four")
    # Forked from one that has imported everything, which is most of what such a test takes.
    multiprocessing.set_forkserver_preload(["tests.pipelines.four_processes"])
    torch.multiprocessing.start_processes(work, (4, folder), nprocs=4, start_method="forkserver")
    return folder


def test_two_by_two_processes_make_what_one_makes_and_all_end_with_the_same(folder: Path) -> None:
    pipeline, every = tiny_pipeline(), clips()
    alone = flat({name: every[name](pipeline) for name in CLIPS} | {"voice": voiced(tiny_speaking_pipeline())})
    first = load_file(folder / "0.safetensors")
    assert first.keys() == alone.keys()
    for name, latents in alone.items():
        torch.testing.assert_close(first[name], latents, atol=1e-4, rtol=0, msg=lambda text, n=name: f"{n}: {text}")
    for rank in (1, 2, 3):
        found = load_file(folder / f"{rank}.safetensors")
        for name, latents in first.items():
            assert torch.equal(found[name], latents), (rank, name)


def test_both_axes_are_counted_and_degrees_that_do_not_fit_are_refused(folder: Path) -> None:
    for rank in range(4):
        found = json.loads((folder / f"{rank}.json").read_text())
        assert found["counts"] == {"context": 2, "branches": 2}
        assert "4 devices cannot share the context of 2 attention heads" in found["said"]["4x1"]
        assert "2 x 1 processes were asked for and 4 are running" in found["said"]["2x1"]
