"""Reference cases without a network: positions, time, schedules, guidance, losses, the solver."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from vivace.evaluation.cases import Case
from vivace.models.layers import sinusoid
from vivace.models.rotary import as_rotation, audio_angles, rotate, video_angles
from vivace.pair import AV
from vivace.sampling.flow import (
    add_noise,
    bell_weights,
    flow_loss,
    joint_loss,
    nearest_sigmas,
    training_weights,
    velocity_target,
)
from vivace.sampling.guidance import CONDITIONAL, MASKED, TIMBRE_FREE, UNCONDITIONAL, nava_rule
from vivace.sampling.schedules import euler_table, train_table, unipc_table
from vivace.sampling.solvers import UniPCSolver

# What the reference calls a branch.
BRANCH_NAMES = {
    CONDITIONAL.name: "cond",
    UNCONDITIONAL.name: "uncond",
    MASKED.name: "masked",
    TIMBRE_FREE.name: "timbre_free",
}
# Shift of the published program, in all its schedules.
SHIFT = 5.0
Compared = Iterator[tuple[str, Tensor, Tensor]]


def tables(case: Case) -> Compared:
    """Rotary tables and their application, the time sinusoid. Yields (name, ours, reference), as all checks do."""
    for name, reference in case.tensors.items():
        if match := re.fullmatch(r"video\.head(\d+)\.(cos|sin)", name):
            head_dim, wave = int(match[1]), match[2]
            # The reference's table gives all three axes the same position.
            n = len(reference)
            diagonal = video_angles((n, n, n), head_dim).view(n, n, n, -1)[range(n), range(n), range(n)]
            yield name, getattr(diagonal, wave)(), reference
        elif match := re.fullmatch(r"audio\.head(\d+)\.scale([\d.]+)\.(cos|sin)", name):
            angles = audio_angles(len(reference), int(match[1]), float(match[2]))
            yield name, getattr(angles[:, : reference.shape[1]], match[3])(), reference
        elif match := re.fullmatch(r"apply_(video|audio)\.head(\d+)\.out", name):
            x = case[name.replace(".out", ".in")]
            angles = (
                video_angles((2, 3, 4), int(match[2])) if match[1] == "video" else audio_angles(7, int(match[2]), 0.24)
            )
            yield name, rotate(x[:, : len(angles)], as_rotation(angles)), reference[:, : len(angles)]
        elif match := re.fullmatch(r"sinusoid\.freq(\d+)\.(float64|bf16_as_float32)", name):
            waves = sinusoid(case["sinusoid.t"], int(match[1]))
            yield name, waves if match[2] == "float64" else waves.bfloat16().float(), reference


def guidance(case: Case) -> Compared:
    """Every combination of the four branches that the published program can take."""
    video, audio, video_align, audio_align, timbre = case["scales.video_audio_videoalign_audioalign_timbre"].tolist()
    predictions = {ours: AV(case[f"{name}.video"], case[f"{name}.audio"]) for ours, name in BRANCH_NAMES.items()}
    for align_on in (False, True):
        align = AV(video_align, audio_align) if align_on else None
        switch = f"align_{'on' if align_on else 'off'}"
        for timbre_on in (False, True):
            rule = nava_rule(AV(video, audio), align, timbre if timbre_on else None, official=True)
            mixed = rule.combine(predictions)
            name = f"out.audio.{switch}.timbre_{'on' if timbre_on else 'off'}"
            yield name, present(mixed.audio), case[name]
            yield f"out.video.{switch}", present(mixed.video), case[f"out.video.{switch}"]


def losses(case: Case) -> Compared:
    """Weighted losses of each modality and their published total."""
    weight = case["weight"]
    each = AV(*(flow_loss(case.samples(f"pred.{m}"), case.samples(f"target.{m}"), weight) for m in ("video", "audio")))
    for name, reference in case.tensors.items():
        if match := re.fullmatch(r"total\.vision_coeff([\d.]+)\.audio_coeff([\d.]+)", name):
            ours = joint_loss(each, AV(float(match[1]), float(match[2])), official=True)
        elif match := re.fullmatch(r"(video)\.vision_coeff([\d.]+)|(audio)\.audio_coeff([\d.]+)\.v[\d.]+", name):
            ours = present(each.video) * float(match[2]) if match[1] else present(each.audio) * float(match[4])
        else:
            continue
        yield name, ours.reshape(1), reference


def flow_match(case: Case) -> Compared:
    """Euler schedules, the training weights, one noising with its target."""
    for name, reference in case.tensors.items():
        if match := re.fullmatch(r"shift([\d.]+)\.steps(\d+)\.(sigmas|timesteps|training_weight)", name):
            table = euler_table(int(match[2]), float(match[1]))
            values = bell_weights(table) if match[3] == "training_weight" else getattr(table, match[3])
            yield name, torch.from_numpy(values)[: len(reference)], reference
    table, times = train_table(SHIFT), case["train.timestep"]
    clean, noise = case["train.z0"], case["train.noise"]
    yield "train.x_t", add_noise(clean, noise, nearest_sigmas(table, times)), case["train.x_t"]
    yield "train.target", velocity_target(clean, noise), case["train.target"]
    yield "train.weight", training_weights(table, times), case["train.weight"]


def unipc(case: Case) -> Compared:
    """UniPC schedules and the solver on the velocity field that the case describes."""
    for name, reference in case.tensors.items():
        if match := re.fullmatch(r"shift([\d.]+)\.steps(\d+)\.(sigmas|timesteps)(_int64)?", name):
            table = unipc_table(int(match[2]), float(match[1]))
            yield name, torch.from_numpy(getattr(table, match[3])), reference
    weight = case["trace.W"]
    for steps in sorted({int(m[1]) for name in case.tensors if (m := re.match(r"trace\.steps(\d+)\.", name))}):
        table = unipc_table(steps, SHIFT)
        solver, x = UniPCSolver(table.sigmas), case["trace.x_init"]
        for index, time in enumerate(table.timesteps.tolist()):
            velocity = torch.tanh(x @ weight) + 0.001 * time * x
            x = present(solver.step(AV(video=velocity), AV(video=x), index).video)
            yield f"steps{steps}.after{index}", x, case[f"trace.steps{steps}.after{index}"]


def present(side: Tensor | None) -> Tensor:
    """A side of a pair that is known to be there."""
    assert side is not None
    return side


# A tensor by which a case of each kind is known, and its check.
CHECKS: dict[str, tuple[str, Callable[[Case], Compared]]] = {
    "tables": ("sinusoid.t", tables),
    "guidance": ("scales.video_audio_videoalign_audioalign_timbre", guidance),
    "losses": ("pred.video.0", losses),
    "flow matching": ("train.x_t", flow_match),
    "unipc": ("trace.x_init", unipc),
}
