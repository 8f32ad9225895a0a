"""What other bounds and deciding settings would keep, against a run that has them; and what a verdict is told as."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.curation.test_engine import files, rows

from vivace.cli.main import main
from vivace.curation.chain import Job, Step
from vivace.curation.clip import Clip
from vivace.curation.engine import Engine
from vivace.curation.funnel import KeptClips, passages
from vivace.curation.guard import Limits
from vivace.curation.ledger import Ledger
from vivace.curation.ledger_answers import shares_of
from vivace.curation.ledger_reader import LedgerReader
from vivace.curation.recipe import check_recipe
from vivace.curation.stage import Stage, judge
from vivace.curation.what_if import consequences, effect

OFF = {name: {"use": False} for name in ("duplicates", "subjects", "pairs")}
LABELS = ("Animals/pets/dog", "Animals/pets/cat", "Vehicles/road/car", "Food/eating/drink")


class MadeUp:
    """In the place of measurements what stands in the files, so that thousands of stages take a moment."""

    def __call__(
        self, stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int
    ) -> Iterator[tuple[Job, list[Step]]]:
        settings = {stage.name: stage.settings for stage in stages}
        for job in jobs:
            clip, steps = job.clip, []
            told = json.loads(Path(clip.path).read_text())
            for name in job.stages:
                steps.append(Step(name, 0.01, told.get(name, {})))
                clip = clip.with_columns(name, **told.get(name, {}))
                if judge(settings[name], clip) is not None:
                    break
            yield job, steps


def told(n: int) -> dict[str, Any]:
    label, speaking = LABELS[min(n % 9 // 3 + (n % 9 == 8), 3)], n % 3 == 0
    tonal = 0.9 if n % 5 == 0 else 0.1
    return {
        "split": {"parts": [[0.0, 2.0]]},
        "picture": {"brightness": float(n % 10) * 20, "grain": float(n % 7)},
        "sound": {"tonal": tonal},
        "coherence": {"kind": "strong"},
        "speech": {"language": ("en", "de", None)[n % 3]},
        "clarity": {"level": 1.0 + n % 4},
        "labels": {"label": label, "speaking": speaking},
        "balance": {
            "label": label,
            "domain": label.split("/")[0],
            "speaking": speaking,
            "kind": "strong",
            "tonal": tonal,
        },
    }


def run(folder: Path, clips: Sequence[Clip], **changes: Any) -> None:
    recipe = check_recipe({"output": str(folder), "input": {"folder": "in"}, **OFF, **changes}, "r")
    with Ledger(folder) as ledger:
        ledger.add_files(clips)
        Engine(ledger, recipe.planned(), MadeUp()).run()


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Clip]]:
    folder = tmp_path_factory.mktemp("what-if")
    made = files(folder / "in", [json.dumps(told(n)) for n in range(240)])
    licences = ("CC0-1.0", "CC-BY-NC-4.0", "")
    clips = [
        Clip.of_file(Path(clip.path), {"input.licence": licences[n % 4 // 2 + (n % 8 == 7)]})
        for n, clip in enumerate(made)
    ]
    run(folder / "out", clips, ingest={"bounds": {"licence": {"column": "input.licence", "none_of": ["CC-BY-ND-4.0"]}}})
    return folder / "out", clips


def kept(folder: Path) -> dict[str, int]:
    with LedgerReader(folder) as ledger:
        return {passage.stage: passage.kept for passage in passages(ledger)}


@pytest.mark.parametrize(
    ("changes", "recipe"),
    [
        (["clarity.cut=0.4"], {"clarity": {"cut": 0.4}}),
        (["clarity.least=3.0", "picture.dark.least=100"], {
            "clarity": {"least": 3.0}, "picture": {"bounds": {"dark": {"least": 100}}},
        }),
        (["balance.speaking=none", "balance.temper=1.0"], {"balance": {"speaking": None, "temper": 1.0}}),
        (["balance.shares={Animals=0.2}", "balance.rare=0"], {"balance": {"shares": {"Animals": 0.2}, "rare": 0.0}}),
        (["balance.shares.Animals=0.2"], {"balance": {"shares": {"Animals": 0.2}}}),
        (['ingest.licence.one_of=["CC0-1.0"]', "ingest.licence.needed=true"], {
            "ingest": {"bounds": {"licence": {"column": "input.licence", "one_of": ["CC0-1.0"], "needed": True}}},
        }),
    ],
)  # fmt: skip
def test_changes_keep_what_a_run_with_them_keeps(
    curated: tuple[Path, list[Clip]], tmp_path: Path, changes: list[str], recipe: dict[str, Any]
) -> None:
    folder, clips = curated
    before = [rows(folder, table) for table in ("verdicts", "measured")]
    with LedgerReader(folder) as ledger:
        found = consequences(ledger, changes)
    assert [rows(folder, table) for table in ("verdicts", "measured")] == before
    assert {both.now.stage: both.now.kept for both in found} == kept(folder)
    shutil.copytree(folder, tmp_path / "copy")
    run(tmp_path / "copy", clips, **recipe)
    then = kept(tmp_path / "copy")
    assert {both.then.stage: both.then.kept for both in found} == then
    assert then != kept(folder)
    # Nothing that was measured before was measured for it, and here nothing else had to be.
    assert [both.then.to_measure for both in found] == [0] * len(found)
    assert rows(tmp_path / "copy", "measured") == before[1]


def test_what_is_let_through_and_not_measured_is_told(curated: tuple[Path, list[Clip]]) -> None:
    with LedgerReader(curated[0]) as ledger:
        found = {both.then.stage: both for both in consequences(ledger, ["picture.dark.use=false"])}
    assert found["picture"].then.kept > found["picture"].now.kept
    assert found["sound"].then.to_measure == found["picture"].then.kept - found["picture"].now.kept


def test_what_if_of_several_is_printed(curated: tuple[Path, list[Clip]], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["curate", "what-if", str(curated[0]), "clarity.cut=0.4", "picture.noisy.most=2"]
    assert main([*words, "--json"]) == 0
    told = {stage["stage"]: stage for stage in json.loads(capsys.readouterr().out)}
    assert told["picture"]["kept_then"] < told["picture"]["kept_now"]
    assert main(words) == 0
    assert "kept then" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["clarity.blur=3"], "nothing that 'clarity' decides with, which is clarity.cut, clarity.least;"),
        (["balance.speaking=2"], "balance.speaking: Input should be less than or equal to 1"),
        (["balance.shares={Cats=0.1}"], "is no label"),
        (["clarity.cut=much"], "is no TOML"),
        (["captions.model='x'"], "--foresee tells what that costs"),
        (["encode.x=1"], "of a stage of the last run"),
        (["clarity.cut=0.1", "picture.dark"], "is not STAGE.SETTING=VALUE"),
        (["picture.dark.least=300", "picture.dark.most=2"], "exchange them"),
        (["clarity.cut=0.1", "--least", "3"], "are of one bound"),
        (["ingest.licence", "--least", "3"], "is on text"),
    ],
)
def test_wrong_changes_are_refused_in_a_sentence(
    curated: tuple[Path, list[Clip]], capsys: pytest.CaptureFixture[str], words: list[str], wanted: str
) -> None:
    assert main(["curate", "what-if", str(curated[0]), *words]) == 2
    assert wanted in capsys.readouterr().err


def test_a_bound_on_text_shows_what_there_is(
    curated: tuple[Path, list[Clip]], capsys: pytest.CaptureFixture[str]
) -> None:
    with LedgerReader(curated[0]) as ledger:
        found = effect(ledger, "ingest.licence")
    assert found.counts() == {"CC0-1.0": 120, "CC-BY-NC-4.0": 90}
    assert (found.without, found.quantiles()) == (30, [])
    assert main(["curate", "what-if", str(curated[0]), "ingest.licence"]) == 0
    assert "50.0% have 'CC0-1.0'" in capsys.readouterr().out


def test_every_clip_has_a_label_of_its_picture(
    curated: tuple[Path, list[Clip]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, clips = curated
    with LedgerReader(folder) as ledger:
        entry = next(entry for entry in ledger.plan() if entry.stage == "picture")
        parts = [clip.part(0.0, 2.0).id for clip in clips]
        labels = [clip["picture.label"] for clip in sorted(ledger.with_columns(parts, [entry]), key=lambda c: c.path)]
        assert all(clip["picture.label"] == "high" for clip in KeptClips(ledger))
    wanted = ["noisy" if n % 7 > 5 else "dark" if n % 10 * 20 < 45 else "high" for n in range(240)]
    assert labels == wanted
    assert main(["curate", "explain", str(folder), parts[0]]) == 0
    assert "  label = dark" in capsys.readouterr().out


def test_shares_before_and_after_balance_are_told(curated: tuple[Path, list[Clip]], tmp_path: Path) -> None:
    _, clips = curated
    run(tmp_path / "copy", clips, balance={"shares": {"Animals": 0.3, "Food": 0.2}}, clarity={"cut": 0.0})
    with LedgerReader(tmp_path / "copy") as ledger:
        entry = next(entry for entry in ledger.plan() if entry.stage == "balance")
        found = shares_of(ledger, entry, "domain")
    before, after = (sum(counts[n] for counts in found.values()) for n in (0, 1))
    assert found["Animals"][0] / before > 0.5
    assert found["Animals"][1] / after == pytest.approx(0.3, abs=0.02)
    assert found["Food"][1] / after == pytest.approx(0.2, abs=0.02)
