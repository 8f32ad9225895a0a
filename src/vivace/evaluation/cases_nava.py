"""Reference cases of NAVA's transformer: single calls with their intermediate values, and small sampling runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor

from vivace.errors import VivaceError
from vivace.evaluation.cases import Case, Comparison
from vivace.evaluation.cases_arithmetic import BRANCH_NAMES, SHIFT, present
from vivace.models.layers import Modulation
from vivace.models.nava import Latents, NavaTransformer, grid_of
from vivace.models.nava_context import NavaContext
from vivace.pair import AV, MODALITIES
from vivace.sampling.guidance import GuidanceRule, nava_rule
from vivace.sampling.schedules import Table, euler_table, unipc_table
from vivace.sampling.solvers import EulerSolver, Solver, UniPCSolver

DType = Literal["fp32", "bf16"]
REFERENCE = {"fp32": "fp32", "bf16": "bf16ac"}


@torch.inference_mode()
def check_forward(
    case: Case, flags: Mapping[str, Any], model: NavaTransformer, dtype: DType, *, dense: bool = False
) -> Comparison:
    """One call of the transformer; in fp32 also the intermediate values that the case holds.

    Args:
        dense: write all pads of the context out, so that cross-attention needs no bias (not every kernel takes one).

    Raises:
        VivaceError: the case lacks an input, or the outputs in this dtype.
    """
    video, audio = ([x.to(model.device) for x in case.samples(f"in.{m}")] for m in MODALITIES)
    if bool(video) != flags.get("has_video", bool(video)) or bool(audio) != flags.get("has_audio", bool(audio)):
        raise VivaceError(f"{case.name} lacks latents that its flags announce; restore the complete file.")
    latents: AV[Latents] = AV(video or None, audio or None)
    patch = tuple(model.config.patch_size)
    lengths = latents.map(lambda side: [token_count(x, patch) for x in side])
    times = case["in.t"].reshape(-1).to(model.device)
    first_clean = bool(video) and flags.get("first_frame_is_clean", False)
    timesteps = AV(clean_first_frame(times, video, patch) if first_clean else times, times)
    context = encode_context(model, case, flags)
    context = context.widened(context.text_len) if dense else context
    with recorded(model) as taps:
        out = model(latents, timesteps, context, exchange=not flags.get("masking_modality", False))

    compared = Comparison()
    for modality, samples in out.items():
        for number, ours in enumerate(samples):
            name = f"{REFERENCE[dtype]}.out.{modality}.{number}"
            if name not in case:
                raise VivaceError(f"{case.name} holds no {name}; choose a dtype that it has a reference for.")
            compared.add(name, ours, case[name])
    left = [name for name in case.tensors if name.startswith(f"{REFERENCE[dtype]}.out.") and name not in compared.parts]
    if left:
        raise VivaceError(f"{case.name} holds {left[0]}, for which there is no input; restore the complete file.")
    if dtype == "fp32":
        compare_taps(compared, case, taps, context, lengths, flags)
    return compared


def encode_context(model: NavaTransformer, case: Case, flags: Mapping[str, Any]) -> NavaContext:
    """The context by the program's rule: the video side's text, or the sound side's when speakers are given."""
    spoken = bool(flags.get("spk_embed_given", "in.spk_embed" in case))
    side = "audio" if spoken or not case.samples("in.video") else "video"
    text = [x.to(model.device) for x in case.samples(f"in.{side}_context")]
    # Positions are taken from the flags, where null says that speakers are not inserted.
    positions = flags["spk_pos"] if "spk_pos" in flags else [x.tolist() for x in case.samples("in.spk_pos")]
    if not spoken or not positions or model.speaker_embedding is None:
        return model.encode_context(text)
    counts = [len(places) for places in positions]
    # The program leaves out speakers that have no position.
    speakers = case["in.spk_embed"][: sum(counts)].to(model.device).split(counts)
    return model.encode_context(text, list(speakers), positions)


def token_count(latents: Tensor, patch: tuple[int, int, int]) -> int:
    """Tokens of one sample: a video [C, T, H, W] or sound [L, C]."""
    return math.prod(grid_of(latents, patch)) if latents.ndim == 4 else len(latents)


def clean_first_frame(times: Tensor, video: Sequence[Tensor], patch: tuple[int, int, int]) -> Tensor:
    """Timesteps per token [len(times), tokens], 0 for the tokens of each sample's first latent frame."""
    tokens = max(token_count(x, patch) for x in video)
    each = times[:, None].repeat(1, tokens)
    # One shared timestep for a larger batch goes by the first sample's frame, as in the program.
    for row, x in zip(each.unbind(0), video, strict=False):
        _, height, width = grid_of(x, patch)
        row[: height * width] = 0
    return each


@contextmanager
def recorded(model: NavaTransformer) -> Iterator[dict[str, AV[Any]]]:
    """Collects, by the reference's names, what enters and leaves the blocks while the model is called."""
    taps: dict[str, AV[Any]] = {}
    hooks = []

    def before(name: str) -> Any:
        return lambda module, args: taps.setdefault(name, args[0]) and None

    def after(name: str) -> Any:
        return lambda module, args, out: taps.update({name: out})

    def time(side: str) -> Any:
        return lambda module, args: taps.update({f"time_embed_{side}": AV(args[1])})

    kinds = {"double": model.double_blocks, "single": model.single_blocks, "double_final": model.double_final_blocks}
    for kind, blocks in kinds.items():
        for number, block in enumerate(blocks):
            hooks.append(block.register_forward_pre_hook(before("tokens_in")))
            hooks.append(block.register_forward_hook(after(f"after_{kind}_{number}")))
    hooks.append(model.video_head.register_forward_pre_hook(time("video")))
    hooks.append(model.audio_head.register_forward_pre_hook(time("audio")))
    try:
        yield taps
    finally:
        for hook in hooks:
            hook.remove()


def compare_taps(
    compared: Comparison,
    case: Case,
    taps: Mapping[str, AV[Any]],
    context: NavaContext,
    lengths: AV[list[int]],
    flags: Mapping[str, Any],
) -> None:
    """Compare the intermediate values that the case holds, at places that are not padding."""
    start = {"video": 0, "audio": flags.get("vid_seq_len") or max(lengths.video or [0])}
    for name, reference in case.tensors.items():
        if not name.startswith("fp32.tap."):
            continue
        tap = name.removeprefix("fp32.tap.")
        if tap == "context_proj":
            compared.add(name, context.widened(context.text_len).tokens, reference)
            continue
        if tap not in taps:
            compared.unknown.append(name)
            continue
        for modality, counts in lengths.items():
            if tap.startswith("time_embed_"):
                if tap != f"time_embed_{modality}":
                    continue
                vectors = cast(Modulation, taps[tap].video).vector(0)
                ours, offset = vectors.expand(len(counts), max(counts), -1), 0
            else:
                ours, offset = present(taps[tap].get(modality)), start[modality]
            for row, count in enumerate(counts):
                place = slice(offset, offset + count)
                compared.add(f"{name}.{modality}.{row}", ours[row, :count], reference[row, place])


@dataclass
class Run:
    """A reference sampling run, ready to be repeated."""

    table: Table
    solver: Solver
    rule: GuidanceRule
    positions: list[list[int]]
    first_frame: Tensor | None
    video: Tensor
    audio: Tensor

    @classmethod
    def of(cls, case: Case, device: torch.device) -> Run:
        """Read a case: integer timesteps mean UniPC, others Euler; scales and switches are in the metadata."""
        steps = len(case["in.timesteps"])
        unipc = not case["in.timesteps"].is_floating_point()
        table = (unipc_table if unipc else euler_table)(steps, SHIFT)
        words = case.metadata["scales"].split()
        scale = {name: float(value) for name, value in zip(words[::2], words[1::2], strict=True)}
        switch = {
            key: json.loads(case.metadata.get(key, "true").lower())
            for key in ("align_3d_cfg", "timbre_cfg", "first_frame_clean")
        }
        positions = json.loads(case.metadata["spk_pos"])
        rule = nava_rule(
            AV(scale["video"], scale["audio"]),
            AV(scale["valign"], scale["aalign"]) if switch["align_3d_cfg"] else None,
            scale["timbre"] if switch["timbre_cfg"] and any(positions) else None,
            official=True,
        )
        frame = case["in.first_frame"].to(device)  # [1, H, W, C]
        height, width = frame.shape[1:3]
        video = case["in.video_noise"].to(device).unflatten(0, (-1, height, width)).permute(3, 0, 1, 2)[None]
        return cls(
            table=table,
            solver=UniPCSolver(table.sigmas) if unipc else EulerSolver(table.sigmas),
            rule=rule,
            positions=positions,
            first_frame=frame.permute(3, 0, 1, 2)[None] if switch["first_frame_clean"] else None,
            video=video.clone(),
            audio=case["in.audio_noise"].to(device)[None],
        )


@torch.inference_mode()
def check_sampler(case: Case, model: NavaTransformer) -> Comparison:
    """A whole run in float32: every branch, guidance, the clean first frame, the solver; compared after every step."""
    run = Run.of(case, model.device)
    compared = Comparison()
    compared.add("sigmas", torch.from_numpy(run.table.sigmas)[: len(case["in.sigmas"])], case["in.sigmas"])
    compared.add("timesteps", torch.from_numpy(run.table.timesteps), case["in.timesteps"])

    def text(name: str) -> list[Tensor]:
        return [case[f"in.{name}"].to(model.device)]

    plain, negative = model.encode_context(text("text_pos")), model.encode_context(text("text_neg_video"))
    spoken = model.encode_context(text("text_pos"), text("spk_embed"), run.positions) if any(run.positions) else plain
    contexts = {("positive", True): spoken, ("positive", False): plain, ("negative", False): negative}
    latents = AV(run.video, run.audio)
    for step, time in enumerate(run.table.timesteps.tolist()):
        times = torch.tensor([float(time)], device=model.device)
        timesteps = AV(times, times)
        if run.first_frame is not None:
            # As published: the first frame is put back before every call and left alone after the last step.
            kept = present(latents.video)[:, :, 1:]
            latents = AV(torch.cat((run.first_frame, kept), dim=2), latents.audio)
            timesteps = AV(
                clean_first_frame(times, list(present(latents.video)), tuple(model.config.patch_size)), times
            )
        predictions = {
            branch.name: model(latents, timesteps, contexts[branch.text, branch.voices], exchange=branch.exchange)
            for branch in run.rule.needed()
        }
        for branch, prediction in predictions.items():
            if f"step{step}.{BRANCH_NAMES[branch]}.video" in case:
                compare_flat(compared, case, f"step{step}.{BRANCH_NAMES[branch]}", prediction)
        latents = run.solver.step(run.rule.combine(predictions), latents, step)
        compare_flat(compared, case, f"after_step{step}", latents)
    return compared


def compare_flat(compared: Comparison, case: Case, name: str, pair: AV[Tensor]) -> None:
    """Compare one sample's pair with tokens in the reference's flat layout [T * H * W, C] and [L, C]."""
    compared.add(f"{name}.video", present(pair.video)[0].flatten(1).T, case[f"{name}.video"])
    compared.add(f"{name}.audio", present(pair.audio)[0], case[f"{name}.audio"])
