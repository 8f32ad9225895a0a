"""What a task gives and what it judges fit together: the true clip is its own best answer."""

import numpy as np
import pytest

from vivace.evaluation.groups import group_items
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.tasks import for_task, given, half, judged, measured, references, suits, task_metrics
from vivace.pipelines.capabilities import TASKS


@pytest.fixture(scope="module")
def item() -> WorldItem:
    return world_items("val", 2, seconds=1, height=64, width=64, hand=False, camera=False)[0]


def test_what_is_given_is_of_the_true_clip(item: WorldItem) -> None:
    clip = true_clip(item)
    assert given(item, "t2av") == given(item, "t2a") == {}
    np.testing.assert_array_equal(given(item, "ti2av")["image"], clip.frames[0])
    np.testing.assert_array_equal(given(item, "a2v")["audio"].audio, clip.audio)
    assert given(item, "a2v")["audio"].frames is None
    np.testing.assert_array_equal(given(item, "v2a")["video"].frames, clip.frames)
    assert given(item, "v2a")["video"].audio is None


def test_only_what_was_made_is_judged(item: WorldItem) -> None:
    clip = true_clip(item)
    assert judged(clip, item, "t2a").frames is None
    assert judged(clip, item, "t2v").audio is None
    added = judged(clip, item, "extend")
    before = given(item, "extend")["extend"]
    assert len(before.frames) == half(item)
    np.testing.assert_array_equal(np.concatenate([before.frames, added.frames]), clip.frames)
    np.testing.assert_array_equal(np.concatenate([before.audio, added.audio], axis=1), clip.audio)
    assert "count" not in for_task(item, "extend").expected
    assert for_task(item, "v2a") is item


def test_the_first_picture_is_compared_with_the_given_one(item: WorldItem) -> None:
    clip = true_clip(item)
    assert measured(clip, item, "ti2av") == {"first_frame_psnr": 100.0, "second_frame_psnr": 100.0}
    assert measured(clip, item, "t2av") == {}
    clip.frames[0] = np.clip(clip.frames[0].astype(int) + 5, 0, 255)
    assert 33 < measured(clip, item, "ti2av")["first_frame_psnr"] < 36
    assert {metric.name for metric in task_metrics("ti2av")} == set(measured(clip, item, "ti2av"))
    assert task_metrics("v2a") == []


def test_items_suit_the_tasks_that_they_can_be_asked_for() -> None:
    items = group_items("val", ["talk-seen", "talk-hand", "silence"], 2)
    by_group = {item.group: item for item in items}
    assert all(suits(by_group["silence"], task) for task in TASKS)
    assert [task for task in TASKS if suits(by_group["talk-hand"], task)] == ["t2av", "t2v", "t2a"]
    assert not suits(by_group["talk-seen"], "extend")
    talking = by_group["talk-seen"]
    assert len(references(talking)) == len(talking.expected["spans"])
    assert references(by_group["talk-hand"]) == references(by_group["silence"]) == []
