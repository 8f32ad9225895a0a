"""The package as a whole: light to import, honest about its names, whole in its parts."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import vivace

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "diffusers", "transformers", "av", "scipy", "pyarrow", "peft")


def loaded_by(code: str) -> set[str]:
    """Which of the heavy libraries a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ["vivace", "vivace.timeline", "vivace.pair", "vivace.errors"])
def test_importing_the_package_loads_nothing_heavy(module):
    assert loaded_by(f"import {module}") == set()


def test_media_and_the_world_need_no_torch():
    assert not loaded_by("import vivace.media, vivace.world") & {"torch", "diffusers", "transformers"}


@pytest.mark.parametrize("name", vivace.__all__)
def test_public_names_lead_somewhere(name):
    assert getattr(vivace, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = vivace.Nonsense


def test_the_version_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == vivace.__version__
    assert f"## {vivace.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_console_script_exists():
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["vivace"]
    module, function = script.split(":")
    assert callable(getattr(import_module(module), function))


def test_no_room_is_called_by_what_it_is_not():
    vague = {"utils", "util", "common", "helpers", "helper", "misc", "base", "core"}
    names = {path.stem for path in (ROOT / "src" / "vivace").rglob("*.py")}
    assert not names & vague


def test_constraints_pin_every_direct_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for group in project["optional-dependencies"].values() for name in group]
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
    )
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in [*project["dependencies"], *extras]}
    assert names <= pins.keys()


def test_the_folders_that_pages_point_to_exist():
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "DEVIATIONS.md", *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text()
        targets = [part.split(")")[0].split("#")[0] for part in text.split("](")[1:]]
        for target in targets:
            if target and "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} points to {target}"
