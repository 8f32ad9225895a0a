import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.training.small import encode_recipe, joint_data, joint_recipe

from vivace.data.shards import ShardHeader, ShardReader, ShardWriter
from vivace.errors import VivaceError
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.clips import SceneSource
from vivace.training.encode import run_encode
from vivace.training.joint import JointObjective, JointRecipe, run_joint
from vivace.training.validate import LEVELS


def losses(run: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def weights(run: Path, name: str = "transformer", ema: bool = False) -> dict[str, torch.Tensor]:
    return load_weights(latest_checkpoint(run / "checkpoints"), name, ema=ema)


def test_a_loss_is_a_function_of_the_weights_and_the_step(latents, tmp_path):
    recipe = joint_recipe(latents, dropout={"text": 0.3, "exchange": 0.5})
    objective = JointObjective(recipe, tmp_path)
    first = [objective.loss(step) for step in (0, 3, 5)]
    torch.manual_seed(999)
    torch.rand(7)
    again = JointObjective(recipe, tmp_path)
    for step, before in zip((5, 3, 0), reversed(first), strict=True):
        after = again.loss(step)
        assert after.keys() == before.keys()
        for key, value in before.items():
            assert torch.equal(after[key], value)
    assert len({parts["loss"].item() for parts in first}) == 3


def test_building_an_objective_leaves_the_global_generator_alone(latents, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    JointObjective(joint_recipe(latents), tmp_path).loss(0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, {"video", "audio"}),
        ({"video": "absent"}, {"audio"}),
        ({"audio": "given"}, {"video"}),
        ({"video": "first-frame"}, {"video", "audio"}),
        ({"audio": "absent"}, {"video"}),
        ({"video": "given"}, {"audio"}),
        ({"video": "first-frame", "audio": "given"}, {"video"}),
        ({"video": "beginning", "audio": "beginning"}, {"video", "audio"}),
    ],
)
def test_every_task_trains_what_it_generates(latents, tmp_path, states, expected):
    objective = JointObjective(joint_recipe(latents, tasks=[{"name": "only", "probability": 1.0, **states}]), tmp_path)
    parts = objective.loss(0)
    assert set(parts) == {"loss"} | expected
    parts["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in objective.transformer.parameters() if p.grad is not None)


def test_coefficients_weigh_the_modalities(latents, tmp_path):
    parts = JointObjective(joint_recipe(latents, audio_weight=0.25), tmp_path).loss(1)
    assert torch.allclose(parts["loss"], parts["video"] + 0.25 * parts["audio"])


def skipping(latents, **changes):
    data = joint_data(latents) | changes
    data["transformer"] = data["transformer"] | {"gaussian_skip": True}
    return data


def test_with_gaussian_skips_training_begins_where_a_gaussian_ends(latents, tmp_path):
    plain = JointObjective(joint_recipe(latents), tmp_path).validate(0)
    begun = JointObjective(JointRecipe.model_validate(skipping(latents)), tmp_path)
    told = begun.validate(0)
    assert told["video"] < 0.7 * plain["video"]
    assert told["audio"] < 0.7 * plain["audio"]
    # A model that is gone on with keeps what it was trained with, whatever the latents are now.
    begun.transformer.skips.audio.mean += 1.0
    begun.transformer.save_pretrained(tmp_path / "model" / "transformer")
    begun.text_encoder.save_pretrained(tmp_path / "model" / "text_encoder")
    recipe = JointRecipe.model_validate(skipping(latents, start_from=str(tmp_path / "model")))
    again = JointObjective(recipe, tmp_path).transformer.skips
    assert torch.equal(again.audio.mean, begun.transformer.skips.audio.mean)


def test_balance_is_of_the_loss_alone_and_needs_the_skips(latents, tmp_path):
    one, other = (
        JointObjective(JointRecipe.model_validate(skipping(latents, balance=balance)), tmp_path) for balance in (0, 1)
    )
    assert one.loss(0)["audio"] != other.loss(0)["audio"]
    assert one.validate(0) == other.validate(0)
    with pytest.raises(ValidationError, match="balance needs a transformer with gaussian_skip"):
        JointRecipe.model_validate(joint_data(latents) | {"balance": 0.5})


def test_sound_alone_feeds_the_tasks_without_pictures_and_no_others(latents, codecs, tmp_path):
    source = SceneSource(clips=6, lengths=[{"seconds": 0.8}], kinds={"talk": 1.0})
    run_encode(encode_recipe(tmp_path / "sound", codecs, source, sound_alone=True), tmp_path)
    sources = [
        {"folder": str(latents), "batch": 2, "tasks": ["t2av"]},
        {"folder": str(tmp_path / "sound"), "batch": 2, "tasks": ["t2a"]},
    ]
    tasks = [{"name": "t2av", "probability": 1.0}, {"name": "t2a", "probability": 1.0, "video": "absent"}]
    data = skipping(latents)
    data["stages"][0] |= {"sources": sources, "tasks": tasks}
    objective = JointObjective(JointRecipe.model_validate(data), tmp_path)
    fed = {objective.prepare(step).task.name: set(objective.loss(step)) for step in range(6)}
    assert fed == {"t2av": {"loss", "video", "audio"}, "t2a": {"loss", "audio"}}
    alone = skipping(latents, stages=[data["stages"][0] | {"sources": sources[1:], "tasks": tasks[1:]}])
    skips = JointObjective(JointRecipe.model_validate(alone), tmp_path).transformer.skips
    assert (skips.video.fitted, skips.audio.fitted) == (False, True)
    data["stages"][0]["sources"][1]["tasks"] = ["t2av"]
    data["stages"][0]["sources"][0]["tasks"] = ["t2a", "t2av"]
    with pytest.raises(VivaceError, match="are of sound alone, and task 't2av'"):
        JointObjective(JointRecipe.model_validate(data), tmp_path)


def test_pictures_alone_feed_the_tasks_without_sound_and_no_others(latents, codecs, tmp_path):
    source = SceneSource(clips=6, lengths=[{"seconds": 0.8}], sizes=[{"height": 32, "width": 32}])
    run_encode(encode_recipe(tmp_path / "pictures", codecs, source, pictures_alone=True), tmp_path)
    sources = [
        {"folder": str(latents), "batch": 2, "tasks": ["t2av"]},
        {"folder": str(tmp_path / "pictures"), "batch": 4, "tasks": ["t2i"]},
    ]
    tasks = [{"name": "t2av", "probability": 1.0}, {"name": "t2i", "probability": 1.0, "audio": "absent"}]
    data = skipping(latents)
    data["stages"][0] |= {"sources": sources, "tasks": tasks}
    objective = JointObjective(JointRecipe.model_validate(data), tmp_path)
    fed = {objective.prepare(step).task.name: set(objective.loss(step)) for step in range(6)}
    assert fed == {"t2av": {"loss", "video", "audio"}, "t2i": {"loss", "video"}}
    assert objective.validate(0)["t2i/video"] > 0
    data["stages"][0]["sources"][1]["tasks"] = ["t2av"]
    data["stages"][0]["sources"][0]["tasks"] = ["t2i", "t2av"]
    with pytest.raises(VivaceError, match="are of pictures alone, and task 't2av'"):
        JointObjective(JointRecipe.model_validate(data), tmp_path)


def test_training_learns_a_small_set(latents, tmp_path):
    data = joint_data(latents, steps=60, sources=[{"folder": str(latents), "batch": 8}], dropout={"text": 0.0})
    data["optimizer"] = {"muon_rate": 5e-3, "adamw_rate": 5e-3}
    data["loop"]["ema_decay"] = 0.9
    recipe = JointRecipe.model_validate(data)
    before = JointObjective(recipe, tmp_path).validate(0)
    after = run_joint(recipe, tmp_path)
    assert after["video"] < 0.8 * before["video"]
    assert after["audio"] < 0.8 * before["audio"]
    assert set(after) >= {"video", "audio", "video@0.1", "audio@0.9", "video@1.0"}
    assert after["video"] == pytest.approx(np.mean([after[f"video@{level}"] for level in LEVELS]))


def test_every_matrix_of_the_blocks_is_trained_by_muon_and_all_else_by_adamw(latents, tmp_path):
    objective = JointObjective(joint_recipe(latents), tmp_path)
    optimizers = objective.optimizers()
    held = {name: {id(p) for group in o.param_groups for p in group["params"]} for name, o in optimizers.items()}
    assert not held["muon"] & held["adamw"]
    everything = {id(p) for module in objective.modules().values() for p in module.parameters()}
    assert held["muon"] | held["adamw"] == everything
    assert id(objective.transformer.single_blocks[0].streams["both"].self_attn.q.weight) in held["muon"]
    assert id(objective.text_encoder.shared.weight) in held["adamw"]
    assert id(objective.transformer.video_head.linear.weight) in held["adamw"]


def test_a_frozen_text_encoder_stays(latents, tmp_path):
    recipe = joint_recipe(latents, steps=2).model_copy(update={"train_text_encoder": False})
    before = copy.deepcopy(JointObjective(recipe, tmp_path).text_encoder.state_dict())
    run_joint(recipe, tmp_path)
    for key, value in weights(tmp_path, "text_encoder").items():
        assert torch.equal(value, before[key])


def test_stages_follow_each_other_with_their_own_tasks(latents, tmp_path):
    data = joint_data(latents)
    first, second = copy.deepcopy(data["stages"][0]), copy.deepcopy(data["stages"][0])
    first |= {"name": "sound", "steps": 2, "tasks": [{"name": "t2a", "probability": 1.0, "video": "absent"}]}
    second |= {"name": "both", "steps": 4}
    data["stages"] = [first, second]
    data["loop"]["accumulate"] = 2
    objective = JointObjective(JointRecipe.model_validate(data), tmp_path)
    assert [objective.stage_at(step) for step in (0, 3, 4, 11)] == [(0, 0), (0, 3), (1, 0), (1, 7)]
    assert "video" not in objective.loss(3)
    assert "video" in objective.loss(4)
    data["stages"][1]["steps"] = 5
    with pytest.raises(ValidationError, match="stages have 7 steps"):
        JointRecipe.model_validate(data)


def test_a_source_may_serve_some_tasks_only(latents, tmp_path):
    tasks = [{"name": "t2a", "probability": 0.5, "video": "absent"}, {"name": "t2av", "probability": 0.5}]
    sources = [
        {"folder": str(latents), "batch": 2, "tasks": ["t2a"]},
        {"folder": str(latents), "batch": 3, "tasks": ["t2av"]},
    ]
    objective = JointObjective(joint_recipe(latents, steps=20, tasks=tasks, sources=sources), tmp_path)
    ready = [objective.prepare(step) for step in range(20)]
    assert all(len(p.batch.rows) == (2 if p.task.name == "t2a" else 3) for p in ready)
    assert {p.task.name for p in ready} == {"t2a", "t2av"}
    # A source's batches come one after another, whatever steps they are drawn at.
    feed = objective.feeds[0]
    for mixture in feed.mixtures:
        expected = [row["id"] for k in range(3) for row in mixture.batch(k).rows]
        drawn = [p for p in ready if len(p.batch.rows) == mixture.plan.buckets[0].batch][:3]
        assert [row["id"] for p in drawn for row in p.batch.rows] == expected
    for wrong, complaint in ((["t2x"], "which the stage lacks"), (["t2a"], "has no source")):
        with pytest.raises(ValidationError, match=complaint):
            joint_recipe(latents, tasks=tasks, sources=[{"folder": str(latents), "tasks": wrong}])


def test_the_loss_of_every_task_is_watched(latents, tmp_path):
    states = {
        "ti2av": {"video": "first-frame"},
        "a2v": {"audio": "given"},
        "v2a": {"video": "given"},
        "t2v": {"audio": "absent"},
        "extend": {"video": "beginning", "audio": "beginning"},
        "t2av": {},
    }
    tasks = [{"name": name, "probability": 0.1, **state} for name, state in states.items()]
    figures = JointObjective(joint_recipe(latents, tasks=tasks), tmp_path).validate(0)
    expected = {"ti2av/video", "ti2av/audio", "a2v/video", "v2a/audio", "t2v/video", "extend/video", "extend/audio"}
    expected |= {"another_caption/video@1.0", "another_caption/audio@1.0"}
    assert {key for key in figures if "/" in key} == expected
    assert all(value > 0 for value in figures.values())


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_equals_an_uninterrupted_one(latents, tmp_path, monkeypatch, sent):
    recipe = joint_recipe(latents, steps=6, dropout={"text": 0.2, "exchange": 0.3})
    run_joint(recipe, tmp_path / "whole")

    original = JointObjective.loss

    def stops(self, step):
        if step == 3:
            os.kill(os.getpid(), sent)
        return original(self, step)

    monkeypatch.setattr(JointObjective, "loss", stops)
    with pytest.raises(KeyboardInterrupt):
        run_joint(recipe, tmp_path / "part")
    monkeypatch.setattr(JointObjective, "loss", original)
    assert len(losses(tmp_path / "part")) == 4
    run_joint(recipe, tmp_path / "part")
    assert losses(tmp_path / "part") == losses(tmp_path / "whole")
    for name in ("transformer", "text_encoder"):
        for ema in (False, True):
            whole = weights(tmp_path / "whole", name, ema)
            assert all(torch.equal(value, whole[key]) for key, value in weights(tmp_path / "part", name, ema).items())


def test_a_killed_run_continues_bit_for_bit(latents, tmp_path):
    """kill -9 at a moment that nobody chose; then the curve and the weights equal those of a quiet run."""
    data = joint_data(latents, steps=100_000)
    data["loop"] |= {"checkpoint_every_seconds": 0.2, "log_every": 1, "threads": 1}
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(data))
    program = (
        "import json, sys; from pathlib import Path; import torch; torch.set_num_threads(1);"
        "from vivace.training.joint import JointRecipe, run_joint;"
        "run_joint(JointRecipe.model_validate(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]))"
    )
    run = tmp_path / "killed"
    command = [sys.executable, "-c", program, str(recipe), str(run)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and reached(run) < 3:
            time.sleep(0.013)
        assert process.poll() is None, "the run ended by itself"
        process.send_signal(signal.SIGKILL)
    # The rest is as short as it can be: a few steps past the last checkpoint.
    data["stages"][0]["steps"] = data["loop"]["steps"] = steps = reached(run) + 3
    data["loop"]["checkpoint_every_seconds"] = 1000
    recipe.write_text(json.dumps(data))
    # Each in a process of its own, as a user would: what other tests have left behind in this one is not part of a run.
    for folder in (run, tmp_path / "quiet"):
        subprocess.run([sys.executable, "-c", program, str(recipe), str(folder)], check=True, stderr=subprocess.DEVNULL)
    assert losses(run) == losses(tmp_path / "quiet")
    assert [step for step, _ in losses(run)] == list(range(steps))
    quiet = weights(tmp_path / "quiet")
    assert all(torch.equal(value, quiet[key]) for key, value in weights(run).items())


def reached(run: Path) -> int:
    """Step of the newest checkpoint; 0 when there is none."""
    checkpoint = latest_checkpoint(run / "checkpoints")
    return 0 if checkpoint is None else int(checkpoint.name.removeprefix("step-"))


def test_nothing_held_out_is_told_at_once(latents: Path, tmp_path: Path) -> None:
    header = ShardReader(latents, "latents").header
    ShardWriter(tmp_path / "none", header).close()
    data = joint_data(latents)
    data["validation"]["latents"] = str(tmp_path / "none")
    recipe = JointRecipe.model_validate(data)
    with pytest.raises(VivaceError, match=r"none' holds no clip, and validation needs one"):
        JointObjective(recipe, tmp_path / "run")


def test_latents_of_different_codecs_do_not_mix(latents, tmp_path):
    reader = ShardReader(latents)
    writer = ShardWriter(tmp_path / "other", ShardHeader("latents", {"codecs": {"vae": "another"}}))
    for row, tensors in reader:
        writer.add(row.pop("id"), tensors, {k: v for k, v in row.items() if k != "shard"})
    writer.close()
    sources = [{"folder": str(latents)}, {"folder": str(tmp_path / "other")}]
    with pytest.raises(VivaceError, match="other codecs"):
        JointObjective(joint_recipe(latents, sources=sources), tmp_path)
