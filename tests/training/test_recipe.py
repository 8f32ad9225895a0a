from pathlib import Path

import pytest
from tests.training.small import joint_data

from vivace.curation.recipe import load_recipe as load_curation
from vivace.errors import VivaceError
from vivace.training.joint import JointRecipe
from vivace.training.recipe import apply_override, check_recipe, load_recipe, recipe_json
from vivace.training.render import RenderRecipe

SMOKE = Path(__file__).with_name("smoke.toml")
SHIPPED = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_say_what_they_are_for(path):
    (load_curation if path.name == "curate.toml" else load_recipe)(path)
    assert path.read_text().startswith("# ")


def test_overrides_reach_into_tables_and_lists():
    data = joint_data(Path("latents"))
    for override in ("loop.steps=8", "stages.0.steps=8", "stages.0.name = quick", "optimizer.betas=[0.8, 0.9]"):
        apply_override(data, override)
    recipe = JointRecipe.model_validate(data)
    assert recipe.loop.steps == recipe.stages[0].steps == 8
    assert recipe.stages[0].name == "quick"
    assert recipe.optimizer.betas == (0.8, 0.9)


def test_an_override_may_be_a_word_without_quotes():
    recipe = load_recipe(SMOKE, ["source.split=val", "output=elsewhere/clips"])
    assert isinstance(recipe, RenderRecipe)
    assert recipe.source.split == "val"
    assert recipe.output == Path("elsewhere/clips")


@pytest.mark.parametrize("override", ["steps", "=3", "a..b=1", "stages.9.steps=3", "seed.x=3", "stages.first=3"])
def test_an_override_that_leads_nowhere_is_refused(override):
    with pytest.raises(VivaceError, match="Override"):
        apply_override(joint_data(Path("latents")), override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("source.colour=red", r"key 'source\.colour' is unknown"),
        ("source.clips=0", r"key 'source\.clips' is 0, but input should be greater than 0"),
        ("source.sizes=[{height = 100, width = 96}]", r"key 'source\.sizes\.0\.height' is 100"),
        ("unit=bake", "unit 'bake'"),
        ("source.split=exam", r"key 'source\.split' is 'exam'"),
    ],
)
def test_errors_name_the_key_the_value_and_the_remedy(override, message):
    with pytest.raises(VivaceError, match=message):
        load_recipe(SMOKE, [override])


def test_an_encode_recipe_is_told_by_its_source():
    data = {"unit": "encode", "output": "o", "vae": "v", "audio_vae": "a"}
    assert check_recipe({**data, "source": {"folder": "clips"}}, "r").source.folder == Path("clips")
    assert check_recipe({**data, "source": {"clips": 3}}, "r").source.clips == 3
    with pytest.raises(VivaceError, match=r"key 'source\.clips' is missing"):
        check_recipe({**data, "source": {"seed": 3}}, "r")
    with pytest.raises(VivaceError, match=r"key 'source\.clips' is unknown"):
        check_recipe({**data, "source": {"folder": "clips", "clips": 3}}, "r")
    with pytest.raises(VivaceError, match="key 'source' is missing"):
        check_recipe(data, "r")


def test_stages_that_do_not_fill_the_run_are_refused():
    data = joint_data(Path("latents"))
    data["loop"]["steps"] = 7
    with pytest.raises(VivaceError, match=r"the stages have 6 steps and loop\.steps is 7"):
        check_recipe(data, "r")


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(VivaceError, match="does not exist"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(VivaceError, match="is a folder"):
        load_recipe(tmp_path)
    (tmp_path / "bad.toml").write_text("unit = [")
    with pytest.raises(VivaceError, match="cannot be read as TOML"):
        load_recipe(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(VivaceError, match="cannot be read as TOML"):
        load_recipe(tmp_path / "bytes.toml")


def test_deeply_nested_toml_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "deep.toml"
    for text in ("a = " + "[" * 100_000, "a = " + "{b = " * 50_000, "\0", "a = " + "9" * 5000):
        path.write_text(text)
        with pytest.raises(VivaceError, match="cannot be read as TOML") as caught:
            load_recipe(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(VivaceError, match="key 'workers'"):
        load_recipe(SMOKE, ["workers=" + "[" * 100_000])


def test_a_recipe_survives_its_json():
    recipe = load_recipe(SMOKE)
    assert RenderRecipe.model_validate_json(recipe_json(recipe)) == recipe
