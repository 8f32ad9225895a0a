"""Several processes that share a run: the same summary as one, whoever comes last, and whatever came between."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.suites.test_run import Maker, a_clip, a_set_metric, a_suite, loud

from vivace.errors import VivaceError
from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.parted_lines import PartedLines, rows_of_all
from vivace.evaluation.results import read_results
from vivace.evaluation.suites.ledger import SuiteMetric
from vivace.evaluation.suites.making import batches_of
from vivace.evaluation.suites.run import WAITING, evaluate_suite
from vivace.evaluation.suites.shards import Shard
from vivace.media import Clip, write_clip

COUNT = 7


def together(calls: list[str]) -> ItemMetric:
    """Of pictures and sound, so that it has a floor too."""

    def measure(sample: Sample) -> list[float]:
        assert sample.clip is not None
        assert sample.clip.frames is not None
        assert sample.clip.audio is not None
        calls.append(sample.id)
        return [float(sample.clip.frames.mean()) + float(np.abs(sample.clip.audio).max()), 1.0]

    return ItemMetric("together", measure, requires=("pictures", "sound"))


def metrics(calls: list[str] | None = None) -> list[SuiteMetric]:
    calls = [] if calls is None else calls
    return [loud(), together(calls), a_set_metric(calls)]


def told(folder: Path) -> dict[str, Any]:
    """What summary.json says of figures and items; not the folder, and not where and when."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def run(folder: Path, shard: str | None, maker: Maker | None = None, **more: Any) -> dict[str, Any]:
    return evaluate_suite(
        a_suite(COUNT),
        folder,
        more.pop("metrics", metrics()),
        model=(maker or Maker()).run(),
        shard=None if shard is None else Shard.parse(shard),
        **more,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(folder, None)
    return folder


@pytest.mark.parametrize("order", [("1/3", "2/3", "3/3"), ("3/3", "1/3", "2/3")])
def test_shards_in_any_order_give_what_one_process_gives(order: Sequence[str], whole: Path, tmp_path: Path) -> None:
    makers, calls = [Maker() for _ in order], list[str]()
    found = [run(tmp_path, name, maker, metrics=metrics(calls)) for name, maker in zip(order, makers, strict=True)]
    assert [set(result) for result in found[:2]] == [{WAITING}] * 2
    assert set(found[0][WAITING]) == set(order[1:])
    assert found[1][WAITING] == {order[2]: "has not begun"}
    # To the last bit: value and interval of every metric, floor included.
    assert told(tmp_path) == told(whole) == found[2]
    assert found[2]["groups"]["all"]["floor"]["together"]["n"] == COUNT
    assert (tmp_path / "summary.md").read_text() == (whole / "summary.md").read_text()
    assert read_results(tmp_path).rows.keys() == read_results(whole).rows.keys()
    # Each made its share, none was made or measured twice, and nobody wrote into another's files.
    made = [maker.made for maker in makers]
    assert sorted(len(names) for names in made) == [1, 3, 3]  # whole batches
    assert len({name for names in made for name in names}) == COUNT
    assert len(calls) == COUNT * 3  # together, its floor, and the metric of sets
    parts = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert parts == sorted(f"{stem}.{n}of3.jsonl" for stem in ("items", "made") for n in (1, 2, 3))
    assert not (tmp_path / "floor" / "items.jsonl").exists()


def test_the_same_command_without_shards_sums_up_and_goes_on(whole: Path, tmp_path: Path) -> None:
    run(tmp_path, "1/2")
    run(tmp_path, "2/2")
    (tmp_path / "summary.json").unlink()
    maker = Maker()
    assert run(tmp_path, None, maker) == told(whole)
    assert maker.made == []
    # Later on one process goes on alone, and then two again; the last word on a clip is the last one.
    new = [*metrics(), ItemMetric("one", lambda sample: [1.0, 1.0], requires=("sound",))]
    one = run(tmp_path, None, metrics=new)
    assert one["groups"]["all"]["model"]["one"]["n"] == COUNT
    first, last = (a_suite(COUNT).items[n].id for n in (0, -1))
    for name, seed in ((first, 90), (last, 91)):
        write_clip(tmp_path / "clips" / f"{name}.mp4", a_clip(seed))
    alone = run(tmp_path, None, metrics=new)
    assert alone["groups"] != one["groups"]
    calls: list[str] = []
    again = [*metrics(calls), new[-1]]
    assert run(tmp_path, "2/2", metrics=again)[WAITING] == {"1/2": "has not begun"}  # with the new metric
    assert run(tmp_path, "1/2", metrics=again) == alone
    assert calls == []


def test_a_shard_that_was_interrupted_goes_on(whole: Path, tmp_path: Path) -> None:
    class Stopped(Maker):
        def __call__(self, items: Sequence[Any]) -> list[Clip]:
            if self.made:
                raise KeyboardInterrupt
            return super().__call__(items)

    stopped = Stopped()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "2/2", stopped)
    assert stopped.made
    waiting = run(tmp_path, "1/2")[WAITING]
    assert waiting == {"2/2": "has failed (KeyboardInterrupt)"}
    with pytest.raises(VivaceError, match=r"^Shard 2/2 has failed \(KeyboardInterrupt\) in .*--shard 2/2 first"):
        run(tmp_path, None)
    with (tmp_path / "made.2of2.jsonl").open("a") as lines:
        lines.write('{"id": "cut off by a cra')
    rest = Maker()
    assert run(tmp_path, "2/2", rest) == told(whole)
    assert len(stopped.made) + len(rest.made) == 4
    assert not set(stopped.made) & set(rest.made)


def test_a_shard_that_is_missing_or_has_failed_is_named(tmp_path: Path) -> None:
    assert run(tmp_path, "1/3")[WAITING] == {"2/3": "has not begun", "3/3": "has not begun"}
    with pytest.raises(VivaceError, match=r"Shard 2/3 has not begun, and 3/3 has not begun in .*--shard 2/3 first"):
        run(tmp_path, None)
    refusing = Maker(refused=[a_suite(COUNT).items[-1].id])
    with pytest.raises(VivaceError, match="1 of 1 clips are missing"):
        run(tmp_path, "3/3", refusing)
    second = run(tmp_path, "2/3")[WAITING]
    assert list(second) == ["3/3"]
    assert second["3/3"].startswith("has failed (1 of 1 clips are missing")
    done = run(tmp_path, "3/3", refusing, allow_missing=True)
    assert list(done["counted"]["failed"]) == refusing.refused
    # Killed, without a word of farewell.
    state = tmp_path / "shards" / "2of3.json"
    state.write_text(state.read_text().replace("done", "begun"))
    with pytest.raises(VivaceError, match="Shard 2/3 has not finished in"):
        run(tmp_path, None, allow_missing=True)
    # Shards of other work, here of other metrics, are none of this run.
    alone = run(tmp_path, None, refusing, metrics=[loud()], allow_missing=True)
    assert alone["groups"]["all"]["model"]["peak"]["n"] == COUNT - 1


def test_shards_measure_clips_that_are_there(tmp_path: Path) -> None:
    suite = a_suite(COUNT)
    clips = {item.id: tmp_path / "clips" / f"{item.id}.mp4" for item in suite.items}
    for n, path in enumerate(clips.values()):
        write_clip(path, a_clip(n))
    found = evaluate_suite(suite, tmp_path / "whole", metrics(), clips=clips)
    for name in ("1/9", "2/9", "3/9", "4/9", "5/9", "6/9", "7/9", "9/9"):  # more shards than items: some have none
        assert WAITING in evaluate_suite(suite, tmp_path / "out", metrics(), clips=clips, shard=Shard.parse(name))
    last = evaluate_suite(suite, tmp_path / "out", metrics(), clips=clips, shard=Shard.parse("8/9"))
    assert last == found
    with pytest.raises(VivaceError, match="another run"):
        evaluate_suite(suite, tmp_path / "out", metrics(), clips=clips, source="others", shard=Shard(1, 9))


def test_shares_are_all_items_once_and_in_whole_batches() -> None:
    items = [replace(item, seconds=float(n % 3)) for n, item in enumerate(a_suite(23).items)]
    batches = list(batches_of(items, 2))
    for of in (1, 2, 3, 12, 20):
        shares = [Shard(number, of).share(batches) for number in range(1, of + 1)]
        assert sorted(item.id for share in shares for item in share) == sorted(item.id for item in items)
        assert max(map(len, shares)) - min(map(len, shares)) <= 2
        # A shard makes the very batches that one process makes.
        assert [batch for share in shares for batch in batches_of(share, 2)] == batches


@pytest.mark.parametrize("text", ["0/2", "3/2", "a/b", "2", "1/0", "-1/2", "1/2/3", "", "1.5/2"])
def test_what_is_no_shard_gets_one_sentence(text: str) -> None:
    with pytest.raises(VivaceError, match=r"^shard .* is not I/N with I from 1 to N; give one such as 2/4"):
        Shard.parse(text)
    assert Shard.parse(" 2/10 ") == Shard(2, 10)


def test_of_two_rows_the_later_is_known_whatever_file_it_is_in(tmp_path: Path) -> None:
    for part, value in (("2of2", 1), ("", 2), ("1of2", 3), ("10of11", 4), ("", 5), ("2of2", 6)):
        lines = PartedLines(tmp_path, "items", part)
        assert [row["value"] for row in lines.rows] == list(range(1, value))
        lines.add({"value": value})
    assert [row["value"] for row in rows_of_all(tmp_path, "items")] == [1, 2, 3, 4, 5, 6]
    # Who writes at the same time follows by the number of the part.
    both = [PartedLines(tmp_path, "items", part) for part in ("10of11", "2of11")]
    for n, lines in enumerate(both):
        lines.add({"value": 20 - n})
    with (tmp_path / "items.2of11.jsonl").open("a") as file:
        file.write('{"value": 99')  # being written
    assert [row["value"] for row in rows_of_all(tmp_path, "items")][6:] == [19, 20]
    PartedLines(tmp_path, "items", "1of2")
    assert (tmp_path / "items.2of11.jsonl").read_text().endswith("99")  # none but its writer cuts it off
    PartedLines(tmp_path, "items", "2of11")
    assert not (tmp_path / "items.2of11.jsonl").read_text().endswith("99")
