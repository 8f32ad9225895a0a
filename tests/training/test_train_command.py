import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from vivace.cli.train import default_run, train
from vivace.data.shards import ShardReader
from vivace.errors import Stopped, VivaceError
from vivace.training.run_folder import differing_keys

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
    def interrupted(recipe, run, begun):
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


def test_a_start_that_fails_claims_no_run(command):
    """Data that is not there yet: once it is, the corrected recipe is not one of another run."""
    Path("clips").mkdir()
    Path("clips/thesis.txt").write_text("mine")
    failed = command("--run", "run")
    assert "holds other files" in str(failed.exception)
    assert not Path("run/recipe.json").exists()
    assert command("--run", "run", "--set", "output=other").exit_code == 0
    assert json.loads(Path("run/recipe.json").read_text())["output"] == "other"


def test_changes_that_fail_to_start_are_not_kept_either(command):
    command("--run", "run")
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("mine")
    assert command("--run", "run", "--set", "output=full", "--accept-changes").exit_code != 0
    assert json.loads(Path("run/recipe.json").read_text())["output"] == "clips"
    assert not Path("run/recipe-history.jsonl").exists()
    assert command("--run", "run").exit_code == 0


def test_a_codec_without_clips_claims_no_run(command, tmp_path):
    recipe = Path(__file__).parents[2] / "recipes" / "nano-nava" / "2-video-codec.toml"
    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(app, [str(recipe), "--run", "run"])
    assert isinstance(result.exception, VivaceError)
    assert not Path("run").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"a": ' * 50_000, "\udcff"])
@pytest.mark.parametrize("accepted", [(), ("--accept-changes",)])
def test_a_damaged_record_is_refused_in_one_sentence(command, text, accepted):
    Path("run").mkdir()
    Path("run/recipe.json").write_bytes(text.encode(errors="surrogateescape"))
    result = command("--run", "run", "--set", "workers=2", *accepted)
    assert isinstance(result.exception, VivaceError)
    told = str(result.exception)
    assert told.startswith("Recipe 'run/recipe.json' is damaged")
    assert told.endswith("restore it from a copy, or remove it to go on without what it said.")
    assert "\n" not in told


def test_what_a_kill_left_half_written_does_not_stand_in_the_way(command):
    for folder in ("clips", "run"):
        Path(folder).mkdir()
        Path(folder, ".vivace-1-a.part").touch()
    result = command("--run", "run")
    assert result.exit_code == 0, result.output
    assert not list(Path().rglob("*.part"))


FULL = """
import resource, sys
from vivace.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_480, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
sys.exit(main(["train", *sys.argv[1:]]))
"""


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing_half_written(tmp_path):
    words = [sys.executable, "-c", FULL, str(SMOKE), "--run", "run"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "vivace: Output 'clips/shard-00000.safetensors' cannot be written: a file would be larger than this system "
        "allows; raise that limit or choose another disk."
    )
    assert "Traceback" not in done.stderr
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["clips/header.json", "run/recipe.json"]
