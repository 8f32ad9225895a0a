"""What each of the two processes of test_parallel.py does: makes clips with the other and writes the latents."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from tests.tiny import tiny_pipeline, tiny_speaking_pipeline, tiny_transformer

from vivace.cli.main import main
from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.pipelines.nava import NavaPipeline
from vivace.pipelines.parallel import Devices, branch_parallel, context_parallel, same, spread

LENGTHS = {"one length": 0.3, "another": 0.4}
SIZE = {"height": 32, "width": 96}
SHARED = ("2", "1x2")  # degrees that the command line is given
GUIDES = {"text": 3.0, "align": 1.5}


def clips() -> dict[str, Callable[[NavaPipeline], AV[torch.Tensor]]]:
    """What is made, by one process and by two: each gives the latents."""

    def call(**more: Any) -> Callable[[NavaPipeline], AV[torch.Tensor]]:
        def make(pipeline: NavaPipeline) -> AV[torch.Tensor]:
            arguments = {"prompt": "a red ball", "seed": 7, "guides": GUIDES, "output_type": "latent", **SIZE, **more}
            return pipeline(**arguments).latents

        return make

    def sound_first(pipeline: NavaPipeline) -> AV[torch.Tensor]:
        preset = pipeline.abilities.preset_named(None).model_copy(update={"order": "sound-first"})
        return call(seconds=0.4, preset=preset)(pipeline)

    picture = np.full((32, 96, 3), 200, np.uint8)
    return {
        **{name: call(seconds=seconds) for name, seconds in LENGTHS.items()},
        "one by one": call(seconds=0.4, together=False),
        "two prompts": call(seconds=0.4, prompt=["a red ball", "a blue drum"]),
        "first picture": call(seconds=0.4, image=picture),
        "sound alone": call(seconds=0.4, modalities="audio", guides={"text": 3.0}),
        "sound first": sound_first,
        "cached": call(seconds=0.4, num_inference_steps=8, cache=0.5),
    }


def voiced(pipeline: NavaPipeline) -> AV[torch.Tensor]:
    """A clip of all four branches."""
    voice = torch.linspace(-1, 1, 8)
    guides = {**GUIDES, "timbre": 2.0}
    out = pipeline("she says <S>hello<E>", seed=3, seconds=0.4, guides=guides, voices=[voice], output_type="latent")
    return out.latents


def refusals(group: dist.ProcessGroup) -> dict[str, str]:
    """The sentences for what cannot be shared."""

    def sentence(attempt: Callable[[], Any]) -> str:
        try:
            attempt()
        except VivaceError as error:
            return str(error)
        return ""

    one_head = tiny_pipeline()
    one_head.register_modules(transformer=tiny_transformer(num_heads=1))
    shared = tiny_pipeline()
    branch_parallel(shared, group)
    return {
        "heads": sentence(lambda: context_parallel(one_head, group)),
        "branches": sentence(lambda: shared.plan("a drum", seed=1, guides={"text": 1.0})),
        "seed": sentence(lambda: shared.plan("a drum")),
        "again": sentence(lambda: branch_parallel(shared, group)),
        "compiled": sentence(shared.compile_blocks),
    }


def flat(found: dict[str, AV[torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {f"{name}/{side}": x.contiguous() for name, pair in found.items() for side, x in pair.items()}


def commands(model: Path, folder: Path, rank: int, count: int, ports: dict[str, int]) -> None:
    """The command line as torchrun starts it in every process: a clip over two devices, and what is refused."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "localhost", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    codes = {}
    for devices in ("3", *SHARED):
        os.environ["MASTER_PORT"] = str(ports.get(devices, 0))  # what is refused meets nobody
        words = ["generate", "a red ball", "--model", str(model), "--seed", "5", "--preset", "aligned"]
        codes[devices] = main([*words, "--devices", devices, "--output", str(folder / f"clip-{devices}.mp4")])
    (folder / f"codes-{rank}.json").write_text(json.dumps(codes))


def work(rank: int, count: int, folder: Path, model: Path, ports: dict[str, int]) -> None:
    """One process: both ways of sharing, each twice, what is refused, and the command line."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=count)
    group = dist.group.WORLD
    assert group is not None
    for name, degrees, share in (("context", (2, 1), context_parallel), ("branches", (1, 2), branch_parallel)):
        pipeline, speaking = tiny_pipeline(), tiny_speaking_pipeline()
        spread(pipeline, *degrees)
        share(speaking, group)
        for turn in ("first", "second"):
            found = {key: make(pipeline) for key, make in clips().items()} | {"voice": voiced(speaking)}
            save_file(flat(found), folder / f"{name}-{turn}-{rank}.safetensors")
    assert Devices(group, None).agreed(float(rank)) == 0.0
    assert same({"rank": rank}) == {"rank": 0}
    (folder / f"refusals-{rank}.json").write_text(json.dumps(refusals(group)))
    dist.destroy_process_group()
    commands(model, folder, rank, count, ports)
