import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from vivace.cli.train import default_run, differing_keys, train
from vivace.data.shards import ShardReader
from vivace.errors import Stopped, VivaceError

SMOKE = Path(__file__).with_name("smoke.toml")


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(train)

    def run(*arguments):
        return CliRunner().invoke(app, [str(SMOKE), *arguments])

    return run


def test_a_recipe_runs_and_runs_again_and_keeps_its_record(command, tmp_path):
    result = command("--run", "run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1]) == {"run": "run", "unit": "render", "figures": {"clips": 3.0}}
    assert len(ShardReader("clips")) == 3
    assert json.loads(Path("run/recipe.json").read_text())["source"]["clips"] == 3
    assert command("--run", "run").exit_code == 0


def test_a_changed_recipe_is_refused_unless_changes_are_accepted(command):
    command("--run", "run")
    changed = ("--run", "run", "--set", "workers=2", "--set", "shard_bytes=100000")
    result = command(*changed)
    assert isinstance(result.exception, VivaceError)
    assert "workers, shard_bytes" in str(result.exception)
    assert command(*changed, "--accept-changes").exit_code == 0
    assert json.loads(Path("run/recipe.json").read_text())["workers"] == 2
    (before,) = Path("run/recipe-history.jsonl").read_text().splitlines()
    assert json.loads(before)["workers"] == 1


def test_ctrl_c_says_how_to_go_on(command, monkeypatch):
    def interrupted(recipe, run):
        raise KeyboardInterrupt

    monkeypatch.setattr("vivace.training.recipe.run_recipe", interrupted)
    result = command("--run", "run")
    assert isinstance(result.exception, Stopped)
    assert "the same command goes on from there (run)" in str(result.exception)


def test_runs_are_named_by_their_recipe():
    assert default_run(Path("/x/recipes/nano-nava/5-joint.toml")) == Path("runs/nano-nava/5-joint")


def test_differences_are_named_by_their_keys():
    before = {"a": 1, "b": {"c": [1, {"d": 2}]}, "e": 3}
    assert differing_keys(before, {"a": 1, "b": {"c": [1, {"d": 4}]}, "f": 3}) == ["b.c.1.d", "e", "f"]
    assert differing_keys(before, json.loads(json.dumps(before))) == []
