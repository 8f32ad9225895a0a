"""Settings, bounds and keys: what a threshold decides, and what it leaves unmeasured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vivace.curation.clip import Clip, Rejected
from vivace.curation.model_print import WHOLE
from vivace.curation.recipe import check_recipe, load_recipe
from vivace.curation.stage import Bound, StageSettings, apply, judge, plan
from vivace.curation.stages.ingest import Ingest, IngestSettings
from vivace.curation.stages.picture import PictureSettings
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
        chosen = check_recipe(recipe(picture=picture, clarity=clarity), "r").planned()
        return [(stage.key, stage.bounds) for stage in chosen if stage.name in ("picture", "clarity")]

    plain = keys({}, {})
    assert keys({"bounds": {"dark": {"least": 1}}}, {})[0][0] == plain[0][0]
    assert keys({"bounds": {"dark": {"least": 1}}}, {})[0][1] != plain[0][1]
    assert keys({}, {"cut": 0.3})[1][0] == plain[1][0]
    assert keys({}, {"cut": 0.3})[1][1] != plain[1][1]
    sound = [plan([Ingest(IngestSettings.model_validate({"need_sound": wanted}))])[0].key for wanted in (True, False)]
    assert sound[0] != sound[1]


def keys_of(**changes: Any) -> dict[str, str]:
    return {planned.name: planned.key for planned in check_recipe(recipe(**changes), "r").planned()}


def test_what_changes_no_result_changes_no_key() -> None:
    endpoint = {"backend": "http://localhost:1/v1", "model": "m"}
    plain = keys_of(captions=endpoint)
    patient = {**endpoint, "timeout": 70, "attempts": 2, "key": "KEY"}
    assert keys_of(captions=patient) == plain
    other = keys_of(captions={**endpoint, "model": "n"})
    changed = {name for name, key in other.items() if key != plain[name]}
    assert changed == {"captions", "subjects", "labels", "balance"}


@pytest.mark.parametrize(("stage", "field"), [("captions", "backend"), ("speech", "recogniser")])
def test_another_model_in_the_same_folder_is_another_setting(tmp_path: Path, stage: str, field: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"layers": 2}')
    weights = bytearray(WHOLE + 1000)
    (folder / "model.safetensors").write_bytes(weights)
    first = keys_of(**{stage: {field: str(folder)}})
    (folder / "README.md").write_text("notes")
    (folder / ".cache").write_text("")
    assert keys_of(**{stage: {field: str(folder)}}) == first
    shutil.copytree(folder, tmp_path / "moved")
    assert keys_of(**{stage: {field: str(tmp_path / "moved")}}) == first
    (folder / "model.safetensors").write_bytes(bytes(byte ^ 1 for byte in weights))  # of the same size
    trained = keys_of(**{stage: {field: str(folder)}})
    (folder / "config.json").write_text('{"layers": 3}')
    configured = keys_of(**{stage: {field: str(folder)}})
    assert len({first[stage], trained[stage], configured[stage]}) == 3
    assert len({first["labels"], trained["labels"], configured["labels"]}) == 3
    assert first["sound"] == configured["sound"]


def licensed(licence: Any) -> Clip:
    return Clip.of_file(Path("a.mp4"), {"input.licence": licence})


def test_a_licence_is_one_of_those_that_are_wanted() -> None:
    bound = {"column": "input.licence", "one_of": ["CC0-1.0", "CC-BY-4.0"]}
    settings = IngestSettings.model_validate({"bounds": {"licence": bound}})
    assert judge(settings, licensed("CC0-1.0")) is None
    assert judge(settings, licensed("CC-BY-NC-4.0")) == Rejected(
        "licence", "input.licence is 'CC-BY-NC-4.0', wanted one of CC0-1.0, CC-BY-4.0"
    )
    assert judge(settings, licensed(4)) is not None  # a manifest may say anything
    assert judge(settings, licensed("")) is None
    strict = IngestSettings.model_validate({"bounds": {"licence": {**bound, "needed": True}}})
    for nothing in ("", None):
        assert judge(strict, licensed(nothing)) == Rejected(
            "licence", "input.licence has no value, wanted one of CC0-1.0, CC-BY-4.0"
        )
    assert judge(strict, licensed("CC0-1.0")) is None


def test_a_language_is_none_of_those_that_are_not() -> None:
    settings = StageSettings(bounds={"tongue": Bound(column="speech.language", none_of=("de", "fr"))})
    spoken = [Clip("a", "a.mp4").with_columns("speech", language=language) for language in ("en", "fr", None)]
    assert [judge(settings, clip) is None for clip in spoken] == [True, False, True]
    number = StageSettings(bounds={"mine": Bound(column="speech.share", one_of=("much",))})
    with pytest.raises(VivaceError, match="give it least and most"):
        judge(number, Clip("a", "a.mp4").with_columns("speech", share=0.5))


def test_a_picture_is_high_or_has_its_defects_name() -> None:
    settings = PictureSettings.model_validate({})
    assert settings.label(None) == {"label": "high"}
    assert settings.label(Rejected("dark", "picture.brightness is 3")) == {"label": "dark"}
    assert StageSettings().label(None) == {}


def test_labels_and_balance_do_with_the_stages_that_are_in_use() -> None:
    planned = {stage.name: stage.stage for stage in check_recipe(recipe(subjects={"use": False}), "r").planned()}
    assert (planned["labels"].needs, planned["balance"].needs) == (("captions",), ("coherence", "sound", "labels"))
    told = "Visual: a meadow\nNarration: a dog runs, <I>it barks</I>"
    clip = Clip("a", "a.mp4").with_columns("captions", text=told).with_columns("coherence", kind="weak")
    labelled = apply(planned["labels"], clip.with_columns("sound", tonal=0.9))
    assert isinstance(labelled, Clip)
    balanced = apply(planned["balance"], labelled)
    assert isinstance(balanced, Clip)
    own = {name: value for name, value in balanced.columns.items() if name.startswith("balance.")}
    assert own == {
        "balance.label": "Animals/pets/dog",
        "balance.domain": "Animals",
        "balance.speaking": False,
        "balance.kind": "weak",
        "balance.tonal": 0.9,
    }
    off = {name: {"use": False} for name in ("subjects", "sound", "coherence")}
    fewer = {stage.name: stage.stage for stage in check_recipe(recipe(**off), "r").planned()}
    assert fewer["balance"].needs == ("labels",)
    found = apply(fewer["balance"], labelled.of_stages(("labels",)))
    assert isinstance(found, Clip)
    assert (found["balance.kind"], found["balance.tonal"]) == (None, None)


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
        ({"picture": {"bounds": {"dark": {"one_of": ["much"]}}}}, "numbers (least, most) or on text"),
        ({"ingest": {"bounds": {"mine": {"column": "input.licence", "one_of": []}}}}, "nothing passes"),
        ({"ingest": {"bounds": {"mine": {"column": "input.licence", "one_of": "CC0"}}}}, "mine.one_of"),
        ({"clarity": {"bounds": {"mine": {"column": "clarity.level", "least": 2}}}}, "decides over the whole set"),
        ({"subjects": {"use": False}, "captions": {"use": False}}, "'labels' needs 'captions'"),
        ({"balance": {"shares": {"Animal": 0.2}}}, "balance: shares names 'Animal', which is no label"),
        ({"balance": {"wanted": {"Animals/cat": 2}}}, "wanted names 'Animals/cat'"),
        ({"balance": {"wanted": {"Animals": -2}}}, "balance.wanted.Animals"),
        ({"balance": {"shares": {"Animals": 0.7, "Food": 0.4}}}, "add up to 1.1"),
        ({"balance": {"shares": {"Animals": 0.2, "Animals/pets": 0.1}}}, "in which it lies"),
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
