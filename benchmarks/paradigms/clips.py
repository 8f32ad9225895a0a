"""Clips of held-out prompts, and whether what is heard goes with what is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from benchmarks.paradigms.objective import ParadigmObjective

from vivace.errors import VivaceError
from vivace.evaluation.matching import match_times
from vivace.evaluation.metric import Sample
from vivace.evaluation.prompts import WorldItem, world_items
from vivace.evaluation.sync import event_times
from vivace.media import Clip
from vivace.models.codecs import decode_audio
from vivace.pair import AV
from vivace.pipelines.decoding import decode_levels
from vivace.sampling.guidance import nava_rule
from vivace.sampling.loop import denoise
from vivace.sampling.noise import batch_noise
from vivace.sampling.schedules import euler_table
from vivace.sampling.solvers import EulerSolver
from vivace.timeline import Timeline
from vivace.training.codec_files import check_codecs, load_codecs, load_vocoder

STEPS = 16
SHIFT = 3.0
TEXT_SCALE = 2.0
TOLERANCE = 0.075
BATCH = 16
# Scenes looked through for each prompt, so that enough are of the kinds that a network was shown.
DRAWN_FOR_EACH = 8


def judged(
    objective: ParadigmObjective, model: Path, prompts: int, check: Callable[[], None]
) -> dict[str, list[tuple[int, int]]]:
    """Of every prompt, twice the pairs of sound and impact within 75 ms, and how many of both there are; under "floor"
    with the next prompt's sound. Their sums over clips make F1.

    Clips have the size and length of the first held-out one, and the same noise for all networks. `check` is asked
    between batches.

    Args:
        model: folder with the codecs that the latents were made with, and the vocoder.

    Raises:
        VivaceError: codecs that are missing, or other ones; one prompt alone; kinds of scene without prompts.
    """
    items = _items(objective, prompts)
    heard_and_seen = [
        event_times(Sample(item.id, clip, item.prompt, item.expected))
        for clip, item in _made(objective, model, items, check)
    ]
    seen, heard = [s for s, _ in heard_and_seen], [h for _, h in heard_and_seen]
    others = [*heard[1:], heard[0]]

    def counts(sounds: Sequence[list[float]]) -> list[tuple[int, int]]:
        return [(2 * len(match_times(s, h, TOLERANCE)), len(s) + len(h)) for s, h in zip(seen, sounds, strict=True)]

    return {"clips": counts(heard), "floor": counts(others)}


def _items(objective: ParadigmObjective, prompts: int) -> list[WorldItem]:
    """Prompts of the kinds of scene that the held-out latents hold, half of them of unseen combinations.

    Raises:
        VivaceError: the benchmark has none, or too few, of these kinds.
    """
    row, kinds = objective.held_out.rows[0], set(objective.held_out.column("kind"))
    form = {"seconds": row["seconds"], "height": row["height"], "width": row["width"]}
    drawn = world_items("val", DRAWN_FOR_EACH * prompts, hand=False, camera=False, **form)
    found: list[WorldItem] = []
    for group, count in (("seen", prompts - prompts // 2), ("unseen", prompts // 2)):
        own = [item for item in drawn if item.group == group and item.scene is not None and item.scene.kind in kinds]
        if len(own) < count:
            raise VivaceError(
                f"Of {', '.join(sorted(kinds))} there are {len(own)} prompts of {count}; ask for fewer, or take "
                "latents of impacts and instruments."
            )
        found += own[:count]
    return found


@torch.no_grad()
def _made(
    objective: ParadigmObjective, model: Path, items: Sequence[WorldItem], check: Callable[[], None]
) -> Iterator[tuple[Clip, WorldItem]]:
    vae, audio_vae = load_codecs(model / "vae", model / "audio_vae")
    check_codecs({"vae": vae, "audio_vae": audio_vae}, objective.codecs)
    vocoder = load_vocoder(model / "vocoder")
    sample = objective.held_out.get(0)
    row, shapes = objective.held_out.rows[0], AV(sample["video"].shape, sample["audio"].shape)
    timeline = Timeline(frames=row["frames"], fps=row["fps"])
    table = euler_table(STEPS, SHIFT)
    rule = nava_rule(AV(TEXT_SCALE, TEXT_SCALE))
    for start in range(0, len(items), BATCH):
        check()
        group = items[start : start + BATCH]
        seeds = [item.seed for item in group]
        noise = AV(batch_noise(seeds, "video", shapes.video), batch_noise(seeds, "audio", shapes.audio))
        contexts = {
            "conditional": objective.contexts([item.prompt for item in group], row, noise),
            "unconditional": objective.contexts([None] * len(group), row, noise),
        }
        solver = EulerSolver(table.sigmas)
        latents = denoise(objective.transformer, noise, contexts, rule, table, solver, together=False)
        for place, item in enumerate(group):
            one = latents.map(lambda x, at=place: x[at, None])
            frames = np.concatenate([part.numpy() for part in decode_levels(vae, one.video)])
            sound = decode_audio(audio_vae, vocoder, one.audio)[0, :, : timeline.samples].numpy()
            yield Clip(frames, timeline.fps, sound, timeline.sample_rate), item
