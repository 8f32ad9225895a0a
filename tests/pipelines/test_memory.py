"""Memory plans: what is predicted is used, every exact plan makes the same clip, and the right one is chosen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tests.tiny import tiny_pipeline, tiny_transformer, tiny_vae
from transformers import UMT5Config, UMT5EncoderModel

from vivace.errors import VivaceError
from vivace.models.codecs import decode_video
from vivace.models.rotary import audio_rotation, video_rotation
from vivace.pipelines import footprint
from vivace.pipelines.decoding import decode_levels
from vivace.pipelines.footprint import Needs, Work, needs_of
from vivace.pipelines.live_bytes import LiveBytes
from vivace.pipelines.memory import (
    GB,
    Choice,
    Peaks,
    Placement,
    check_strategy,
    choose,
    enough,
    limited,
    parse_bytes,
    parse_memory,
    peaks_of,
    placements,
    tensor_peak,
)
from vivace.pipelines.nava import NavaPipeline, Plan
from vivace.pipelines.parts import PARTS, parts_in, parts_of
from vivace.pipelines.planning import Forecast, refusal

PROMPT = "a red ball"


def work_of(pipeline: NavaPipeline, plan: Plan) -> Work:
    return Work.of(plan, pipeline.vae.config.scale_factor_spatial, {"positive": len(PROMPT) + 1, "negative": 0})


def modules(pipeline: NavaPipeline) -> list[torch.nn.Module]:
    return [module for name in PARTS if isinstance(module := getattr(pipeline, name), torch.nn.Module)]


def used(pipeline: NavaPipeline, plan: Plan, known: bool = True) -> int:
    """Peak of live tensor bytes of a whole clip."""
    video_rotation.cache_clear()
    audio_rotation.cache_clear()
    with LiveBytes(modules(pipeline) if known else ()) as live:
        pipeline.run(plan)
    return live.peak


@pytest.mark.parametrize(
    ("layers", "asked", "placement"),
    [
        ((1, 3), {"seconds": 1.0, "width": 64, "height": 96, "preset": "aligned"}, Placement("cpu")),
        ((3, 1), {"seconds": 0.5, "modalities": "video"}, Placement("cpu", together=False, decoding="streamed")),
        ((2, 2), {"seconds": 2.0, "modalities": "audio"}, Placement("cpu")),
        (
            (1, 1),
            {"seconds": 0.2, "width": 320, "height": 64, "modalities": "video"},
            Placement("cpu", together=False, decoding="tiled"),
        ),
    ],
)
def test_the_prediction_is_the_peak_of_live_tensors(layers, asked, placement):
    pipeline = tiny_pipeline(largest_side=320)
    pipeline.register_modules(transformer=tiny_transformer(num_double_layers=layers[0], num_single_layers=layers[1]))
    plan = pipeline.plan(PROMPT, **asked)
    parts = parts_of(pipeline)
    needs = needs_of(parts, work_of(pipeline, plan), cpu=True, dtype=torch.float32)
    weights = sum(t.nbytes for m in modules(pipeline) for t in (*m.parameters(), *m.buffers()))
    pipeline.place(placement)
    assert tensor_peak(parts, needs, placement, 4) == pytest.approx(weights + used(pipeline, plan), rel=0.15)
    # The weights of so small a model must not hide what is predicted beside them.
    stages = (needs.sampling[placement.together], needs.pictures[placement.decoding], needs.sound)
    assert max(stages) == pytest.approx(used(pipeline, plan), rel=0.15)


class Emulated(LiveBytes):
    """Live bytes of a device that the CPU stands for: what computes is on it, and weights are while a plan has them
    there."""

    def __init__(self, pipeline: NavaPipeline, placement: Placement) -> None:
        super().__init__(modules(pipeline))
        self.pipeline, self.parked = pipeline, placement.parked
        self._weigh(sum(self._weights(name) for name in PARTS if name not in self.parked))
        pipeline.place(replace(placement, device="cpu", strategy="resident"))
        pipeline.at_work = self.at_work

    def _weights(self, name: str) -> int:
        module = getattr(self.pipeline, name, None)
        return sum(t.nbytes for t in (*module.parameters(), *module.buffers())) if module is not None else 0

    def _weigh(self, size: int) -> None:
        self.live += size
        self.peak = max(self.peak, self.live)

    @contextlib.contextmanager
    def at_work(self, *names: str) -> Iterator[None]:
        size = sum(self._weights(name) for name in self.parked.intersection(names))
        self._weigh(size)
        yield
        self._weigh(-size)


@pytest.mark.parametrize("strategy", ["text-offloaded", "in-turn"])
@pytest.mark.parametrize(
    ("changes", "asked", "largest"),
    [
        ({"ffn_dim": 4096}, {"seconds": 0.5, "width": 64, "height": 64, "modalities": "video"}, "transformer"),
        # One side at a time: finished pictures stay on the CPU, which a GPU would have sent away before the sound.
        ({}, {"seconds": 0.5, "width": 64, "height": 64, "modalities": "video"}, "vae"),
        ({}, {"seconds": 0.5, "modalities": "audio"}, "vocoder"),
        ({"text_dim": 512}, {"seconds": 0.2, "width": 32, "height": 32}, "text_encoder"),
    ],
)
def test_the_prediction_is_the_peak_where_parts_wait_elsewhere(strategy, changes, asked, largest):
    pipeline = tiny_pipeline()
    pipeline.register_modules(transformer=tiny_transformer(**changes))
    if largest == "text_encoder":
        config = UMT5Config(vocab_size=9000, d_model=512, d_kv=8, d_ff=64, num_layers=1, num_heads=2)
        pipeline.register_modules(text_encoder=UMT5EncoderModel(config).eval())
    plan = pipeline.plan(PROMPT, **asked)
    parts = parts_of(pipeline)
    needs = needs_of(parts, work_of(pipeline, plan), cpu=True, dtype=torch.float32)
    placement = Placement("cuda", strategy, "streamed", together=False)
    predicted = tensor_peak(parts, needs, placement, 4)
    resident = tensor_peak(parts, needs, replace(placement, strategy="resident"), 4)
    video_rotation.cache_clear()
    audio_rotation.cache_clear()
    with Emulated(pipeline, placement) as live:
        pipeline.run(plan)
    assert predicted == pytest.approx(live.peak, rel=0.15)
    assert predicted < resident  # the plan is told from the one that moves nothing


def test_a_decoder_that_runs_once_for_calls_that_are_alike_changes_no_number(monkeypatch):
    pipeline = tiny_pipeline(largest_side=512)
    plan = pipeline.plan(PROMPT, seconds=1.0, width=416, height=288)
    parts, work = parts_of(pipeline), work_of(pipeline, plan)
    told: list[tuple[int, int]] = []
    for cpu in (True, False):
        found = needs_of(parts, work, cpu=cpu, dtype=torch.float32, told=lambda *how: told.append(how))
        with monkeypatch.context() as patch:
            patch.setattr(footprint, "run_once", lambda vae, live: None)
            assert found == needs_of(parts, work, cpu=cpu, dtype=torch.float32)
    assert told == [(number + 1, 8) for number in range(8)] * 2


def test_grouped_blocks_hold_two_at_a_time_and_what_is_in_no_block():
    model = tiny_transformer(num_double_layers=3, num_single_layers=6, ffn_dim=512)
    pipeline = tiny_pipeline()
    pipeline.register_modules(transformer=model)
    part = parts_of(pipeline)["transformer"]
    none = Needs(0, 0, {True: 0, False: 0}, {"whole": 0, "streamed": 0, "tiled": 0}, 0)

    def size(*modules: torch.nn.Module) -> int:
        return sum(p.nbytes for module in modules for p in module.parameters())

    outside = size(model.video_embedding, model.audio_embedding, model.video_head, model.audio_head)
    expected = outside + size(*model.double_blocks[:2])
    assert tensor_peak({"transformer": part}, none, Placement("cuda", "grouped"), 4) == expected
    model.enable_group_offload(torch.device("cpu"), torch.device("cpu"), "block_level", num_blocks_per_group=1)
    own = model._diffusers_hook.get_hook("group_offloading").group
    assert size(*own.modules) == outside


def test_every_exact_plan_makes_the_same_clip():
    asked = {"seed": 3, "num_inference_steps": 2, "preset": "aligned"}
    expected = tiny_pipeline()(PROMPT, **asked)
    for placement in (
        Placement("cpu", "grouped"),
        Placement("cpu", "in-turn", "streamed", together=False),
        Placement("cpu", "text-offloaded", "streamed"),
    ):
        pipeline = tiny_pipeline()
        pipeline.place(placement)
        out = pipeline(PROMPT, **asked)
        torch.testing.assert_close(out.latents.video, expected.latents.video, atol=1e-4, rtol=0)
        torch.testing.assert_close(out.latents.audio, expected.latents.audio, atol=1e-4, rtol=0)
        assert abs(out.frames.astype(int) - expected.frames).max() <= 1
        assert abs(out.audio - expected.audio).max() < 1e-4


def test_eight_bits_are_near_and_small():
    pipeline = tiny_pipeline()
    plan = pipeline.plan(PROMPT, seed=3, num_inference_steps=2)
    expected = pipeline.run(plan).latents.video
    pipeline.place(Placement("cpu", "fp8"))
    out = pipeline.run(plan).latents.video
    assert 0 < (out - expected).norm() / expected.norm() < 0.1
    stored = sum(tensor.nbytes for tensor in pipeline.transformer.parameters())
    part = parts_of(pipeline)["transformer"]
    none = Needs(0, 0, {True: 0, False: 0}, {"whole": 0, "streamed": 0, "tiled": 0}, 0)
    predicted = tensor_peak({"transformer": part}, none, Placement("cpu", "fp8"), 4)
    largest = max(module.weight.numel() for module in pipeline.transformer.single_blocks[0].feed_forward["both"][::2])
    assert predicted == pytest.approx(stored + 4 * largest, rel=0.15)


def test_pictures_come_frame_by_frame_as_they_come_at_once():
    vae = tiny_vae()
    latents = torch.randn(1, 4, 4, 3, 2)
    with torch.inference_mode():
        whole = decode_video(vae, latents)[0]
        levels = ((whole + 1) * 127.5).round().clamp(0, 255)
        parts = list(decode_levels(vae, latents, "streamed"))
        assert [len(part) for part in parts] == [1, 4, 4, 4]
        assert (torch.cat(parts).permute(3, 0, 1, 2).float() - levels).abs().max() <= 1
        tiled = torch.cat(list(decode_levels(vae, latents, "tiled")))
    assert tiled.shape == torch.cat(parts).shape
    assert not vae.use_tiling


NEEDS = Needs(
    text=1 * GB,
    context=1 * GB,
    sampling={True: 8 * GB, False: 3 * GB},
    pictures={"whole": 40 * GB, "streamed": 4 * GB, "tiled": 2 * GB},
    sound=1 * GB,
)


def test_the_fastest_plan_that_fits_is_chosen(pipeline):
    parts = {name: replace(part, tensors=tensors) for (name, part), tensors in zip(parts_of(pipeline).items(), (
        {"shared.weight": 6 * GB},
        {f"single_blocks.{n}.w": GB // 5 for n in range(30)} | {"audio_embedding.w": GB // 2},
        {"w": GB // 2}, {"w": GB // 10}, {"w": GB // 10},
    ), strict=True)}  # fmt: skip
    host = 64 * GB

    def chosen(device: int) -> Placement | None:
        choice = choose(parts, {"cuda": NEEDS}, "cuda", Peaks(device, host), 2)
        assert choice is None or choice.peaks.device <= device
        return choice.placement if choice else None

    assert chosen(100 * GB) == Placement("cuda", "resident")
    assert chosen(48 * GB) == Placement("cuda", "resident", "streamed")
    assert chosen(26 * GB) == Placement("cuda", "text-offloaded", "streamed")
    found = [chosen(size * GB) for size in (19, 8, 5)]
    assert [p.strategy if p else None for p in found] == ["in-turn", "grouped", None]
    assert choose(parts, {"cuda": NEEDS}, "cuda", Peaks(14 * GB, host), 2, "grouped") is not None
    # Not enough host memory to read the weights into rules every plan out.
    assert choose(parts, {"cuda": NEEDS}, "cuda", Peaks(100 * GB, GB), 2) is None


def test_exact_plans_come_first_and_every_plan_says_what_it_does():
    for device in ("cpu", "cuda"):
        offered = placements(device)
        own = [p.exact for p in offered if p.device == device]
        assert own == sorted(own, reverse=True)
        assert len({p.sentence() for p in offered}) == len(offered)


def test_a_folder_tells_what_its_pipeline_weighs(pipeline, model_folder):
    from_folder, in_memory = parts_in(model_folder), parts_of(pipeline)
    for name in ("transformer", "vae", "text_encoder", "vocoder"):
        assert from_folder[name].values == pytest.approx(in_memory[name].values, rel=0.02)
        assert from_folder[name].stored > 0
    needs = Needs(1, 1, {True: 1, False: 1}, {"whole": 1, "streamed": 1, "tiled": 1}, 1)
    assert peaks_of(from_folder, needs, Placement("cpu"), 4).host > 0


def test_a_size_is_a_size():
    assert parse_memory("auto") is None
    assert parse_memory("8GB") == 8 * GB
    assert parse_memory("1.5 GiB") == 3 * 2**29
    assert parse_memory("grouped") == "grouped"
    for count in (1, 10**6 + 1, 10**8, 10**8 + 1, 993_898_656, 4_099_999_999, 4_100_000_000, 10**9, 10**12 + 1):
        assert count <= parse_bytes(enough(count)) < count + max(10**6, count > 10**8 and 10**8)
    assert limited(Peaks(5, 6), "cuda", 3) == Peaks(3, 6)
    assert limited(Peaks(0, 6), "cpu", 3) == Peaks(0, 3)
    assert limited(Peaks(5, 6), "cuda", 99) == limited(Peaks(5, 6), "cpu", 99) == Peaks(5, 6)
    for text in ("", "8", "-1GB", "0GB", "much", "8 apples"):
        with pytest.raises(VivaceError, match="neither auto nor a size"):
            parse_memory(text)


def test_a_refusal_names_the_nearest_that_fits():
    plan = SimpleNamespace(timeline=SimpleNamespace(seconds=4.0), video=True)

    def found(limit: Peaks, here: Peaks, needed: Peaks, device: str = "cpu", weights: int = GB) -> Forecast:
        choice = Choice(Placement(device), needed)
        return Forecast(choice if needed.fits(limit) else None, choice, limit, here, device, weights)

    def said(asked: Forecast, per_second: int = 0, per_size: int = 0) -> str:
        def again(seconds: float | None, share: float):
            need = int((seconds or 4.0) * per_second + share * per_size) + 2 * GB
            sized = SimpleNamespace(width=int(128 * share), height=int(64 * share))
            return found(asked.limit, asked.here, Peaks(0, need)), sized

        return str(refusal(asked, plan, again))

    small, machine = Peaks(0, 4 * GB), Peaks(0, 64 * GB)
    assert "use a smaller model or size" in said(found(small, small, Peaks(0, 9 * GB)), per_size=40 * GB)
    assert "; ask for up to 2 s at this size." in said(found(small, small, Peaks(0, 9 * GB)), per_second=GB)
    assert "give --memory 9.0GB or ask for up to 2 s at" in said(found(small, machine, Peaks(0, 9 * GB)), per_second=GB)
    assert "; ask for --size 64x32." in said(found(small, small, Peaks(0, 9 * GB)), per_size=4 * GB)
    heavy = said(found(small, small, Peaks(0, 9 * GB), weights=8 * GB))
    assert "(with 8.0 GB of weights and 0.9 GB of libraries)" in heavy
    assert "4.0 GB are free here, so use a smaller model or another machine" in heavy
    gpu = Peaks(8 * GB, 64 * GB)
    assert "use --memory auto" in said(found(gpu, gpu, Peaks(5 * GB, 9 * GB), "cuda"))
    assert "9.0 GB of GPU memory and 8.0 GB may" in said(found(gpu, gpu, Peaks(9 * GB, 9 * GB), "cuda"), per_second=99)
    host = Peaks(64 * GB, 4 * GB)
    assert "9.0 GB of host memory (with" in said(found(host, host, Peaks(9 * GB, 9 * GB), "cuda", 8 * GB))


def test_plans_that_move_weights_need_a_gpu():
    for memory in (None, 8 * GB, "resident"):
        check_strategy(memory, "cpu")
    check_strategy("grouped", "cuda")
    with pytest.raises(VivaceError, match="needs a GPU"):
        check_strategy("grouped", "cpu")
