"""Settings, bounds and keys: what a threshold decides, and what it leaves unmeasured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vivace.curation.clip import Clip, Rejected
from vivace.curation.recipe import check_recipe, load_recipe
from vivace.curation.stage import Bound, StageSettings, judge, plan
from vivace.curation.stages.clarity import Clarity, ClaritySettings
from vivace.curation.stages.ingest import Ingest, IngestSettings
from vivace.curation.stages.picture import Picture, PictureSettings
from vivace.errors import VivaceError


def recipe(**changes: Any) -> dict[str, Any]:
    return {"output": "out", "input": {"folder": "in"}, **changes}


def test_a_recipe_changes_one_side_of_one_bound() -> None:
    settings = PictureSettings.model_validate({"bounds": {"dark": {"least": 20}}})
    assert settings.bounds["dark"] == Bound(column="picture.brightness", least=20)
    assert settings.bounds["noisy"] == PictureSettings.DEFAULT_BOUNDS["noisy"]


def test_a_new_bound_names_its_column() -> None:
    added = PictureSettings.model_validate({"bounds": {"grainless": {"column": "picture.grain", "least": 0.1}}})
    clip = Clip("a", "a.mp4").with_columns("picture", grain=0.01)
    assert judge(added, clip) == Rejected("grainless", "picture.grain is 0.01, wanted at least 0.1")
    with pytest.raises(ValidationError, match="names no column"):
        PictureSettings.model_validate({"bounds": {"grainless": {"least": 0.1}}})


def test_ends_of_a_bound_are_inside_and_no_value_is_never_outside() -> None:
    bound = Bound(column="x", least=1, most=2)
    assert [bound.holds(value) for value in (0.99, 1, 2, 2.01, None)] == [False, True, True, False, True]
    assert Bound(column="x", most=2, use=False).holds(3)


def test_the_first_broken_bound_is_the_reason() -> None:
    clip = Clip("a", "a.mp4").with_columns("x", y=5)
    settings = StageSettings(bounds={"high": Bound(column="x.y", most=4), "higher": Bound(column="x.y", most=3)})
    assert judge(settings, clip) == Rejected("high", "x.y is 5, wanted at most 4")


def test_a_bound_on_what_is_no_number_is_refused() -> None:
    settings = PictureSettings.model_validate({"bounds": {"mine": {"column": "picture.label", "most": 2}}})
    clip = Clip.of_file(Path("a.mp4")).with_columns("picture", label="high")
    with pytest.raises(VivaceError, match="is no number"):
        judge(settings, clip)


def test_bounds_and_what_only_decides_leave_the_key_of_measurements() -> None:
    def keys(picture: dict[str, Any], clarity: dict[str, Any]) -> list[tuple[str, str]]:
        stages = [Picture(PictureSettings.model_validate(picture)), Clarity(ClaritySettings.model_validate(clarity))]
        return [(planned.key, planned.bounds) for planned in plan(stages)]

    plain = keys({}, {})
    assert keys({"bounds": {"dark": {"least": 1}}}, {})[0][0] == plain[0][0]
    assert keys({"bounds": {"dark": {"least": 1}}}, {})[0][1] != plain[0][1]
    assert keys({}, {"cut": 0.3})[1][0] == plain[1][0]
    assert keys({}, {"cut": 0.3})[1][1] != plain[1][1]
    sound = [plan([Ingest(IngestSettings.model_validate({"need_sound": wanted}))])[0].key for wanted in (True, False)]
    assert sound[0] != sound[1]


def test_a_whole_recipe_has_its_stages_in_order() -> None:
    planned = check_recipe(recipe(), "r").planned()
    assert [stage.name for stage in planned[:3]] == ["ingest", "split", "picture"]
    assert [stage.name for stage in planned if stage.over_set] == ["duplicates", "clarity", "balance", "pairs"]
    without = check_recipe(recipe(pairs={"use": False}), "r").planned()
    assert [stage.name for stage in without] == [stage.name for stage in planned if stage.name != "pairs"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"colour": {}}, "colour"),
        ({"split": {"shortest": 4, "longest": 5}}, "twice shortest"),
        ({"input": {}}, "either input.folder or input.manifest"),
        ({"picture": {"bounds": {"dark": {"leats": 3}}}}, "picture.bounds.dark"),
        ({"picture": {"bounds": 3}}, "picture.bounds"),
        ({"captions": {"use": False}}, "'subjects' needs 'captions'"),
        ({"split": {"use": False}}, "cannot be left out"),
        ({"captions": {"backend": "http://localhost:1/v1"}}, "needs the name of its model"),
        ({"executor": {"limits": {"seconds": 0}}}, "executor.limits.seconds"),
        ({"picture": {"bounds": {"dark": {"least": 3, "most": 2}}}}, "least, 3, is above most, 2"),
        ({"picture": {"bounds": {"dark": {"least": float("nan")}}}}, "picture.bounds.dark.least"),
        ({"picture": {"bounds": {"mine": {"column": "sounds.hiss", "most": 2}}}}, "measured by no stage"),
        ({"picture": {"bounds": {"mine": {"column": "speech.share", "most": 2}}}}, "measured by no stage"),
        ({"output": "in/out", "input": {"folder": "in"}}, "lies in input.folder"),
        ({"shards": {"references": "both"}, "pairs": {"use": False}}, "needs the stage pairs"),
    ],
)
def test_a_wrong_recipe_is_refused_in_a_sentence(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(VivaceError) as caught:
        check_recipe(recipe(**changes), "r.toml")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("output = ")
    with pytest.raises(VivaceError, match="cannot be read as TOML"):
        load_recipe(tmp_path / "r.toml")
    with pytest.raises(VivaceError, match="does not exist"):
        load_recipe(tmp_path / "s.toml")


def test_a_clip_survives_json_and_parts_have_names_of_their_own() -> None:
    whole = Clip.of_file(Path("a.mp4"), {"input.licence": "CC0"})
    part = whole.part(1.5, 2.0).with_columns("x", y=[1, 2])
    assert Clip.from_json(part.to_json()) == part
    assert part.part(0.5, 1.0).start == 2.0
    assert len({whole.id, part.id, whole.part(1.5, 2.5).id, part.part(0.0, 2.0).id}) == 4
    assert part.of_stages(("z",)).columns == {"input.licence": "CC0"}
