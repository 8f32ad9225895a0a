import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from vivace.conditioning.given import Known, known_audio_tokens, known_latent_frames
from vivace.pair import AV
from vivace.pipelines.capabilities import TASKS
from vivace.timeline import Timeline
from vivace.training.joint import Stage
from vivace.training.tasks import (
    Stream,
    Task,
    clean_mask,
    drop_voices,
    dropped_texts,
    exchanges,
    noisy_part,
    pick_task,
    show_clean,
    stream,
    token_timesteps,
)

STEPS = range(3000)


def test_rates_of_dropout_are_kept_and_depend_on_seed_and_step_alone():
    texts = np.stack([dropped_texts(4, 0.1, 3, step) for step in STEPS])
    assert abs(texts.mean() - 0.1) < 0.01
    # Samples of a batch are independent: all four drop together as often as chance says, which is hardly ever.
    assert texts.all(1).sum() <= 3
    assert abs(np.mean([exchanges(0.2, 3, step) for step in STEPS]) - 0.8) < 0.03
    assert np.array_equal(texts[17], dropped_texts(4, 0.1, 3, 17))
    assert [exchanges(0.2, 3, step) for step in range(50)] == [exchanges(0.2, 3, step) for step in range(50)]
    assert [exchanges(0.5, 3, step) for step in range(50)] != [exchanges(0.5, 4, step) for step in range(50)]


def test_rates_of_zero_drop_nothing():
    assert not any(dropped_texts(8, 0.0, 0, step).any() for step in range(100))
    assert all(exchanges(0.0, 0, step) for step in range(100))


def test_a_dropped_voice_is_zero_and_the_others_stay():
    voices = [torch.randn(2, 5), torch.randn(0, 5), torch.randn(1, 5)]
    kept = 0
    for step in range(400):
        for before, after in zip(voices, drop_voices(voices, 0.25, 1, step), strict=True):
            assert after.shape == before.shape
            for old, new in zip(before, after, strict=True):
                assert torch.equal(new, old) or not new.any()
                kept += bool(new.any())
    assert abs(kept / 1200 - 0.75) < 0.05


def test_streams_are_independent_of_each_other():
    draws = {name: stream(1, name, 5).random() for name in Stream}
    assert len(set(draws.values())) == len(Stream)


def test_tasks_come_by_their_probability():
    tasks = [Task(name="t2av", probability=0.6), Task(name="a2v", probability=0.2, audio="given")]
    picked = [pick_task(tasks, 0, step).name for step in STEPS]
    assert abs(picked.count("t2av") / len(picked) - 0.75) < 0.03


@pytest.mark.parametrize(
    ("video", "audio"), [("given", "given"), ("absent", "given"), ("given", "absent"), ("absent", "absent")]
)
def test_a_task_that_generates_nothing_is_refused(video, audio):
    with pytest.raises(ValidationError, match="generates nothing"):
        Task(name="none", probability=1.0, video=video, audio=audio)


def test_states_of_video():
    latents, noisy = torch.zeros(2, 3, 5, 4, 4), torch.ones(2, 3, 5, 4, 4)
    timesteps = torch.tensor([700.0, 300.0])
    first = clean_mask(1, latents)
    assert first.tolist() == [True, False, False, False, False]
    shown = show_clean(noisy, latents, first)
    assert not shown[:, :, 0].any()
    assert shown[:, :, 1:].all()
    told = token_timesteps(timesteps, first, tokens_per_position=4)
    assert told.shape == (2, 20)
    assert not told[:, :4].any()
    assert torch.equal(told[:, 4:], timesteps[:, None].expand(2, 16))
    assert noisy_part(latents, first).shape == (2, 3, 4, 4, 4)

    generated = clean_mask(0, latents)
    assert torch.equal(token_timesteps(timesteps, generated, 4), timesteps)
    assert show_clean(noisy, latents, generated) is noisy
    assert noisy_part(latents, generated) is latents


def test_given_audio_is_clean_at_timestep_zero():
    latents, noisy = torch.zeros(2, 6, 8), torch.ones(2, 6, 8)
    given = clean_mask(6, latents)
    assert not show_clean(noisy, latents, given).any()
    assert not token_timesteps(torch.tensor([700.0, 300.0]), given, 1).any()


LATENTS = AV(torch.zeros(2, 4, 13, 4, 4), torch.zeros(2, 52, 8))  # 49 pictures at 24 a second


def known(step: int = 0, **states: Any) -> AV[int]:
    task = Task(name="t", probability=1.0, **states)
    return task.known(LATENTS, 24.0, stream(0, Stream.BEGINNING, step))


def test_what_each_state_shows_clean():
    assert known() == AV(0, 0)
    assert known(video="first-frame") == AV(1, 0)
    assert known(video="absent") == AV(None, 0)
    assert known(audio="given") == AV(0, 52)
    assert known(video="first-frame", audio="given") == AV(1, 52)
    assert known(video="given", audio="generated") == AV(13, 0)


def test_both_sides_of_a_beginning_end_at_the_same_moment():
    drawn = [known(step, video="beginning", audio="beginning") for step in range(300)]
    assert {counts.video for counts in drawn} == set(range(1, 7))
    for counts in drawn:
        end = (4 * (counts.video - 1) + 1) / 24
        last = 4 * (counts.audio - 1) / 100  # centre of the last mel frame that is known
        assert last + 0.032 <= end + 1e-6
        assert end - last < 0.032 + 0.04 + 1e-6
    assert known(7, video="beginning", audio="beginning") == known(7, video="beginning", audio="beginning")
    longer = [known(step, video="beginning", audio="beginning", longest_beginning=0.9).video for step in range(300)]
    assert max(longer) == 11


def test_a_beginning_is_as_long_in_training_as_in_sampling():
    """What a pipeline shows of a clip's tail is a length that training draws, with as many audio tokens."""
    timeline = Timeline(frames=49)
    drawn = [known(step, video="beginning", audio="beginning") for step in range(100)]
    for frames in (1, 5, 17, 21):
        tail = Known(np.zeros((frames, 1, 1, 3), np.uint8), np.zeros((2, round(frames / 24 * 16000)), np.float32))
        assert AV(known_latent_frames(tail, timeline), known_audio_tokens(tail, timeline)) in drawn


def test_the_documented_stages_are_stages():
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(\[\[stages\]\].*?)```", text, re.DOTALL)
    stages = [Stage.model_validate(stage) for stage in tomllib.loads(block)["stages"]]
    assert len(stages) == 3
    learned = {task.name for stage in stages for task in stage.tasks}
    assert learned == set(TASKS)
