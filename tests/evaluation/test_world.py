"""The benchmark with a perfect model: one that knows the true clip of every prompt."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.groups import group_items
from vivace.evaluation.ledger import Ledger, Run
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.shift_verdicts import NOTE
from vivace.evaluation.summary import CEILING, FLOOR, TRUTH
from vivace.evaluation.world import evaluate_world, score_clips
from vivace.media import Clip
from vivace.perception.percept import percept_to_json
from vivace.world import HANDWRITTEN_PROMPTS, is_unseen_combination

RUN = Run(model="perfect", model_hash="0" * 64, split="val", settings={"steps": 1})


class Perfect:
    """Makes the true clip of every prompt, and stops (as a person with Ctrl-C would) after `patience` clips."""

    def __init__(self, items: list[WorldItem], patience: int = 1000) -> None:
        self.clips = {item.prompt: true_clip(item) for item in items}
        self.patience, self.made = patience, 0

    def __call__(self, items: Sequence[WorldItem]) -> list[Clip]:
        if self.made >= self.patience:
            raise KeyboardInterrupt
        self.made += len(items)
        return [self.clips[item.prompt] for item in items]


@pytest.fixture(scope="module")
def items() -> list[WorldItem]:
    return world_items("val", 6, height=64, width=64, hand=False, camera=True)


@pytest.fixture(scope="module")
def perfect(items: list[WorldItem]) -> Perfect:
    return Perfect(items)


def test_prompt_sets_are_disjoint_and_a_longer_one_extends_a_shorter() -> None:
    short, long = world_items("test", 8), world_items("test", 32)
    assert {item.id: item.prompt for item in short}.items() <= {item.id: item.prompt for item in long}.items()
    assert len({item.id for item in long}) == len(long)
    groups = {item.group for item in long}
    assert groups == {"seen", "unseen", "camera", "hand"}
    by_hand = [{item.prompt for item in world_items(split, 2) if item.group == "hand"} for split in ("val", "test")]
    assert [len(prompts) for prompts in by_hand] == [len(HANDWRITTEN_PROMPTS) - 64, 64]
    for item in long:
        if item.scene is not None:
            assert (item.scene.camera.move == "still") == (item.group != "camera")
            if item.group != "camera":
                assert is_unseen_combination(item.scene) == (item.group == "unseen")
    val = {item.prompt for item in world_items("val", 32)}
    assert not val & {item.prompt for item in long}


@pytest.mark.parametrize(("split", "count"), [("train", 8), ("test", 1), ("test", 0)])
def test_bad_requests_are_refused(split: str, count: int) -> None:
    with pytest.raises(VivaceError):
        world_items(split, count)


def test_a_perfect_model_reaches_the_truth_and_swapped_sound_does_not(
    items: list[WorldItem], perfect: Perfect, tmp_path: Path
) -> None:
    summary = evaluate_world({"model": perfect}, items, tmp_path, RUN, round_trip=lambda clip: clip)
    scores = summary["groups"]["all"]
    for name in ("av_event_f1_50ms", "sound_kind", "colour", "one_object", "pan_agreement"):
        assert scores["model"][name]["value"] == scores[TRUTH][name]["value"] == scores[CEILING][name]["value"] == 1.0
    assert scores["model"]["av_offset_median_abs"]["value"] < 5.0
    assert scores["model"]["av_event_f1_50ms"]["n"] == 6  # the clip with a moving camera stands apart
    assert summary["groups"]["camera"]["model"]["av_event_f1_50ms"]["n"] == 1
    assert scores[FLOOR]["av_event_f1_50ms"]["value"] < 0.6
    assert summary["normalised"]["all"]["av_event_f1_50ms"] == pytest.approx(1.0)
    assert json.loads((tmp_path / "summary.json").read_text())["groups"] == summary["groups"]
    text = (tmp_path / "summary.md").read_text()
    assert "| av_event_f1_50ms ↑ |" in text
    # The clips themselves, sound and picture together, and both against the true ones.
    for name in ("env_sync_c", "av_align_own_code", "sound_loudness", "sound_clipped", "picture_frozen", "swap_auc"):
        assert scores["model"][name]["value"] == scores[TRUTH][name]["value"] == scores[CEILING][name]["value"]
    assert scores["model"]["swap_auc"]["value"] > 0.9
    assert scores["model"]["signal_kernel_sound"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert scores[FLOOR]["env_sync_c"]["value"] < scores["model"]["env_sync_c"]["value"] - 0.1
    assert scores[FLOOR]["av_align_own_code"]["value"] < 0.5 * scores["model"]["av_align_own_code"]["value"]
    assert (
        scores[FLOOR]["picture_frozen"]["n"] == scores[FLOOR]["sound_loudness"]["n"] == 5
    )  # one has no other of its kind
    assert scores[CEILING]["true_ssim"]["value"] == pytest.approx(1.0)
    assert "true_ssim" not in scores["model"]  # nothing was given
    assert scores[TRUTH]["script_heard_f1_25ms"]["value"] == scores[TRUTH]["order_heard"]["value"] == 1.0
    assert scores["model"]["script_heard_f1_25ms"]["value"] is None
    assert scores[TRUTH]["trajectory_rmse"]["value"] < 2.0
    # A measure that cannot tell a shift is marked wherever it stands.
    assert scores["model"]["env_sync_c"]["shift_blind"]
    assert "shift_blind" not in scores["model"]["av_event_f1_50ms"]
    assert "| env_sync_c † ↑ |" in text
    assert NOTE in text
    assert NOTE in (tmp_path / "report.html").read_text()


def test_an_interrupted_run_goes_on_and_ends_the_same(items: list[WorldItem], perfect: Perfect, tmp_path: Path) -> None:
    whole = evaluate_world({"model": perfect}, items, tmp_path / "whole", RUN)
    impatient = Perfect([], patience=3)
    impatient.clips = perfect.clips
    with pytest.raises(KeyboardInterrupt):
        evaluate_world({"model": impatient}, items, tmp_path / "cut", RUN)
    ledger = tmp_path / "cut" / "items.jsonl"
    assert len(ledger.read_text().splitlines()) == 3
    with ledger.open("a") as file:
        file.write('{"id": "seen-00')  # a line that a crash has cut
    again = Perfect([])
    again.clips = perfect.clips
    resumed = evaluate_world({"model": again}, items, tmp_path / "cut", RUN)
    assert again.made == len(items) - 3
    assert resumed["groups"] == whole["groups"]
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert len({(line["condition"], line["id"]) for line in lines}) == len(lines)


def test_a_given_side_binds_what_is_compared(items: list[WorldItem], perfect: Perfect, tmp_path: Path) -> None:
    some = items[:2]
    found = {
        task: evaluate_world({"model": perfect}, some, tmp_path / task, RUN, task=task)["groups"]["all"]["model"]
        for task in ("a2v", "v2a")
    }
    assert found["a2v"]["true_si_sdr"]["value"] == found["v2a"]["true_psnr"]["value"] == 100.0
    assert "true_psnr" not in found["a2v"]
    assert "true_si_sdr" not in found["v2a"]
    assert found["v2a"]["true_log_mel"]["value"] == 0.0
    assert found["v2a"]["script_heard_f1_25ms"]["value"] == found["a2v"]["script_seen_f1_50ms"]["value"] == 1.0


def test_a_folder_of_an_earlier_version_goes_on_without_figures_of_its_clips(
    items: list[WorldItem], perfect: Perfect, tmp_path: Path
) -> None:
    some = items[:2]
    evaluate_world({"model": perfect}, some, tmp_path, RUN)
    ledger = tmp_path / "items.jsonl"
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    ledger.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "figures"}) + "\n" for row in rows))
    again = Perfect([])
    scores = evaluate_world({"model": again}, some, tmp_path, RUN)["groups"]["all"]
    assert again.made == 0
    assert scores["model"]["av_event_f1_50ms"]["value"] == 1.0
    for name in ("env_sync_c", "sound_loudness", "signal_kernel_sound"):
        assert scores["model"][name]["value"] is None
    (reason,) = scores["model"]["env_sync_c"]["reasons"]
    assert "earlier version" in reason


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path, RUN)
    Ledger(tmp_path, RUN)
    with pytest.raises(VivaceError, match="another run"):
        Ledger(tmp_path, Run(model="perfect", model_hash="1" * 64, split="val", settings={"steps": 1}))


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"model": ' + "[" * 100_000, "\udcff"])
def test_a_damaged_record_of_a_run_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(VivaceError, match=r"run.json' is damaged .*or give --output a new folder\.$") as caught:
        Ledger(tmp_path, RUN)
    assert "\n" not in str(caught.value)


def test_whatever_is_changed_in_a_line_is_scored_or_refused(
    items: list[WorldItem], perfect: Perfect, tmp_path: Path
) -> None:
    some = items[:2]
    evaluate_world({"model": perfect}, some, tmp_path, RUN)
    path = tmp_path / "items.jsonl"
    whole = path.read_bytes()
    refused = 0
    for number in range(250):
        dice = random.Random(number)
        lines = [json.loads(line) for line in whole.splitlines()]
        which = dice.randrange(len(lines))
        *way, last = dice.choice([way for way in _ways(lines[which]) if way[0] in ("percept", "figures", "id")])
        at = lines[which]
        for step in way:
            at = at[step]
        if dice.random() < 0.2:
            del at[last]
        else:
            at[last] = dice.choice([None, "x", [], {}, True, 3, -0.5, float("nan"), [1], [[0.5]], {"time": 1}])
        told = [json.dumps(line) for line in lines]
        if number % 10 == 0:
            told[which] = dice.choice([told[which][:99], "[" * 100_000, "[]", "3", "", "\u2028", "\udcff"])
        path.write_bytes("".join(line + "\n" for line in told).encode(errors="surrogateescape"))
        try:
            ledger = Ledger(tmp_path, RUN)
        except VivaceError as error:
            _names_the_line(error, path, which + 1)
            refused += 1
            continue
        for item in some:
            if ledger.has("model", item):
                figures = ledger.figures("model", item)
                assert figures is None or figures.to_json()
                assert percept_to_json(ledger.get("model", item))
    assert refused > 120
    path.write_bytes(whole)
    assert evaluate_world({"model": perfect}, some, tmp_path, RUN)["groups"]


def _names_the_line(error: VivaceError, path: Path, number: int) -> None:
    assert str(error).startswith(f"Line {number} of '{path}' is damaged")
    assert str(error).endswith("; remove that line, so that its clip is measured anew.")
    assert "\n" not in str(error)


def _ways(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything inside of a value; of long lists only to their first entries."""
    entries = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [found for key, inner in entries for found in ((*way, key), *_ways(inner, (*way, key)))]


def test_clips_can_be_scored_without_a_run(items: list[WorldItem], perfect: Perfect) -> None:
    still = [item for item in items if item.group != "camera"][:3]
    clips = [perfect.clips[item.prompt] for item in still]
    results = score_clips(clips, [item.expected for item in still])
    assert results["sound_kind"].value == 1.0
    assert results["sound_kind"].n == 3
    late = [Clip(c.frames, c.fps, np.pad(c.audio, ((0, 0), (1600, 0)))[:, : c.audio.shape[1]], 16000) for c in clips]
    moved = score_clips(late, [item.expected for item in still])
    assert moved["av_offset_median"].value == pytest.approx(100.0, abs=5.0)
    assert moved["av_event_f1_50ms"].value is not None
    assert moved["av_event_f1_50ms"].value < 0.3
    with pytest.raises(VivaceError, match="expectations"):
        score_clips(clips, [])


def test_a_clip_is_compared_with_its_own_voices_by_itself_and_with_others_in_the_summary(tmp_path: Path) -> None:
    items = group_items("val", ["talk-seen"], 2, seconds=1.0, height=64, width=64, hand=False)
    summary = evaluate_world({"model": Perfect(items)}, items, tmp_path, RUN)
    scores = summary["groups"]["talk-seen"]["model"]
    rows = [json.loads(line)["metrics"] for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    own = [row["voice_own"]["value"] for row in rows if "value" in row["voice_own"]]
    assert own
    assert all(value > 0.3 for value in own)
    assert scores["voice_own_over_other"]["value"] > 0.2
    # Whose voice another's is depends on the run's other clips, so that no line of its own has it.
    assert all("undefined" in row["voice_own_over_other"] for row in rows)
