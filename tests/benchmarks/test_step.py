"""The benchmark's programs do the same work, and its arithmetic is that of the networks."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
import torch
from benchmarks.step import (
    BOUND,
    arithmetic,
    build,
    difference,
    exact_step,
    grid_of,
    main,
    our_step,
    published_step,
    setting,
    timed,
    wan_pass,
)
from benchmarks.transcription import Transcription, tokens_of

from vivace.pair import AV

CONFIG: dict[str, Any] = {
    "video_channels": 4,
    "audio_channels": 6,
    "dim": 48,
    "ffn_dim": 80,
    "freq_dim": 16,
    "num_heads": 2,
    "num_double_layers": 2,
    "num_single_layers": 1,
    "text_dim": 10,
    "text_len": 24,
    "speaker_dim": 192,
}
GRID, FRAMES, TEXT = (4, 6), 3, 9


@pytest.mark.parametrize("text", [TEXT, CONFIG["text_len"]])
@pytest.mark.parametrize("together", [True, False])
@torch.no_grad()
def test_a_step_of_ours_is_that_of_the_published_procedure(together: bool, text: int) -> None:
    clip = setting(build(CONFIG, "cpu", torch.float32), FRAMES, GRID, text)
    ours = our_step(clip, clip.contexts(), together)
    for rotation, reading in ((torch.complex128, None), (torch.complex64, None), (torch.complex128, torch.float64)):
        published = published_step(clip, Transcription(clip.model, rotation, reading))
        assert difference(ours, published, clip.latents) < BOUND


@torch.no_grad()
def test_every_branch_agrees_and_shows_the_network_something_else() -> None:
    clip = setting(build(CONFIG, "cpu", torch.float32), FRAMES, GRID, TEXT)
    program, contexts, found = Transcription(clip.model), clip.contexts(), []
    for name, shown in clip.shown.items():
        masked = name == "masked"
        times = AV(clip.timestep, clip.timestep)
        ours = clip.model(clip.latents, times, contexts[name], exchange=not masked)
        published = program(clip.latents, clip.timestep, shown, masked=masked)
        torch.testing.assert_close(ours.video, published.video, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.audio, published.audio, atol=1e-5, rtol=1e-5)
        found.append(published)
    for number, one in enumerate(found):
        for other in found[:number]:
            assert not torch.allclose(one.audio, other.audio, atol=1e-3)


@torch.no_grad()
def test_the_step_in_float64_is_nearer_to_both_than_they_are_to_each_other() -> None:
    clip = setting(build(CONFIG, "cpu", torch.float32), FRAMES, GRID, TEXT)
    exact = exact_step(clip)
    assert exact.video.dtype == exact.audio.dtype == torch.float64
    assert next(clip.model.parameters()).dtype == torch.float32
    wide = build(CONFIG, "cpu", torch.float64)
    wide.load_state_dict(clip.model.state_dict())
    double = setting(wide, FRAMES, GRID, TEXT)
    for ours in (our_step(clip, clip.contexts(), False), our_step(double, double.contexts(), False)):
        assert 0 < difference(ours, exact, clip.latents) < BOUND


def test_a_difference_is_seen() -> None:
    start = AV(torch.zeros(4), torch.zeros(4))
    right, wrong = AV(torch.ones(4), torch.ones(4)), AV(torch.ones(4), torch.tensor([1.0, 1.0, 1.0, 1.1]))
    assert difference(right, right, start) == 0
    assert difference(wrong, right, start) == pytest.approx(0.05, rel=1e-5)


def _flops(*, clips: int, times: int, keys: int, projected: int, masked: bool, video: int, audio: int) -> int:
    """Of one batch in the blocks, from the sizes of its matrices: `times` modulated rows, `keys` in cross-attention,
    of which `projected` become keys and values here."""
    c = CONFIG
    d, f, n, blocks = c["dim"], c["ffn_dim"], video + audio, c["num_double_layers"] + c["num_single_layers"]
    hidden = 256  # of the audio embedding, rounded up to 256
    embedding = video * 4 * c["video_channels"] * d + audio * 7 * (c["audio_channels"] * d + 3 * d * hidden)
    time = times * (c["freq_dim"] * d + d * d + 6 * d * d)
    heads = video * d * 4 * c["video_channels"] + audio * d * c["audio_channels"]
    scores = video**2 + audio**2 if masked else n**2
    block = n * (6 * d * d + 2 * d * f) + 2 * scores * d + 2 * n * keys * d
    streams = 2 * c["num_double_layers"] + c["num_single_layers"]
    context = projected * (c["text_dim"] * d + d * d + streams * 2 * d * d)
    return 2 * (clips * (embedding + heads + blocks * block) + time + context)


def test_the_counted_flops_are_those_of_the_matrices() -> None:
    found = arithmetic(CONFIG, FRAMES, GRID, TEXT)
    video, audio = FRAMES * 2 * 3, found["tokens"] - FRAMES * 2 * 3
    sizes = {"video": video, "audio": audio}
    full, tokens = CONFIG["text_len"], video + audio
    speaker = 2 * (192 * CONFIG["dim"] + CONFIG["dim"] ** 2)
    each = [_flops(clips=1, times=tokens, keys=full, projected=full, masked=m, **sizes) for m in (False, True)]
    assert found["flops"]["published"] == 3 * each[0] + each[1] + speaker
    # Ours: pads as two keys, one time vector for each clip, context made once.
    together = _flops(clips=3, times=3, keys=TEXT + 2, projected=0, masked=False, **sizes)
    apart = _flops(clips=1, times=1, keys=TEXT + 2, projected=0, masked=True, **sizes)
    assert found["flops"]["ours"] == together + apart
    assert found["flops"]["forward"] == _flops(clips=1, times=1, keys=TEXT + 2, projected=0, masked=False, **sizes)
    assert found["bound"] == found["flops"]["published"] / found["flops"]["ours"] > 1


def test_wan_gets_as_many_tokens() -> None:
    for count in (1, 7, 502, 986, 2015, 11492, 32712):
        grid = grid_of(count)
        assert grid[0] * grid[1] * grid[2] == count
        assert max(grid) <= 1024
    with pytest.raises(ValueError, match="1567 tokens"):
        grid_of(1567)
    model = build(CONFIG, "cpu", torch.float32)
    count = tokens_of(setting(model, FRAMES, GRID, TEXT).latents)
    out = wan_pass(model, count)()
    assert out.numel() == count * 4 * CONFIG["video_channels"]


def test_programs_run_in_turn() -> None:
    order: list[str] = []
    spent = timed({name: lambda name=name: order.append(name) for name in "ab"}, 2, "cpu")  # type: ignore[misc]
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert {name: len(seconds) for name, seconds in spent.items()} == {"a": 2, "b": 2}


def test_the_command_measures_a_small_clip(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--size", "nano", "--lengths", "2", "--grid", "2", "2", "--text", "5", "--rounds", "1", "--threads", "1"]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (one,) = report["lengths"]
    assert one["tokens"] == 8
    assert one["difference"] < BOUND
    assert one["share_of_bound"] == one["speed_up"] / one["bound"]
    assert one["seconds"].keys() == one["flops"].keys() == one["flops_per_second"].keys()
    assert report["peak"] > 0
    assert report["machine"]
    assert report["cores"] >= 1
    day = datetime.date.fromisoformat(report["date"])
    assert datetime.timedelta(0) <= datetime.datetime.now(datetime.UTC).date() - day <= datetime.timedelta(1)


def test_counting_needs_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--size", "nano", "--lengths", "2", "--grid", "2", "2", "--text", "5", "--arithmetic"]) == 0
    shown = capsys.readouterr().out
    assert "2 latent frames, 8 tokens" in shown
    assert "bound" in shown
    assert "measured" not in shown
