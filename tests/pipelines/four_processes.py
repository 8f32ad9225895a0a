"""What each of the four processes of test_four_processes.py does: two share each sequence, and two the branches."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from tests.pipelines.two_processes import clips, flat, voiced
from tests.tiny import tiny_pipeline, tiny_speaking_pipeline

from vivace.errors import VivaceError
from vivace.pipelines.parallel import spread

CLIPS = ("another", "one by one", "two prompts", "cached")


def work(rank: int, count: int, folder: Path) -> None:
    """One process: clips over both axes at once, and degrees that are refused."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=count)
    said = {}
    for degrees in ((4, 1), (2, 1)):
        try:
            spread(tiny_pipeline(), *degrees)
        except VivaceError as error:
            said["x".join(map(str, degrees))] = str(error)
    pipeline, speaking = tiny_pipeline(), tiny_speaking_pipeline()
    spread(pipeline, 2, 2)
    spread(speaking, 2, 2)
    every = clips()
    found = {name: every[name](pipeline) for name in CLIPS} | {"voice": voiced(speaking)}
    save_file(flat(found), folder / f"{rank}.safetensors")
    assert pipeline.devices is not None
    (folder / f"{rank}.json").write_text(json.dumps({"counts": pipeline.devices.counts(), "said": said}))
    dist.destroy_process_group()
