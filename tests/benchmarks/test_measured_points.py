"""Sweeps and stages: every point is measured once, on the same prompts, and what is drawn is what was found."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.guidance_sweep import PRESET, names_of, parse_points, sweep
from benchmarks.measured_points import spectrum_distance
from benchmarks.panels import FOOT, HEAD, HEIGHT, WIDTH, Panel, draw_panels
from benchmarks.stage_effects import stage_effects
from tests.tiny import CAPABILITIES, tiny_pipeline, tiny_speaking_pipeline, tiny_text_encoder, tiny_transformer
from tests.training.small import joint_data

from benchmarks import second_opinion, task_pictures
from vivace.data.fingerprint import weights_hash
from vivace.data.shards import ShardHeader, ShardWriter
from vivace.errors import VivaceError
from vivace.evaluation.prompts import true_clip, world_items
from vivace.evaluation.report.charts import Estimate, Point
from vivace.sampling.presets import Preset, Scale
from vivace.training.checkpoint import save_checkpoint
from vivace.training.export import ExportRecipe
from vivace.training.joint import JointRecipe
from vivace.training.recipe import recipe_json


def test_the_preset_is_one_point_of_every_guide() -> None:
    preset = Preset(text=Scale(video=2.0, audio=3.0))
    names = names_of(preset, {"text.video": (1.0, 2.0), "align.audio": (1.0,), "timbre": (0.0, 2.0)})
    assert names == {
        ("text.video", 1.0): "text.video=1",
        ("text.video", 2.0): PRESET,
        ("align.audio", 0.0): PRESET,
        ("align.audio", 1.0): "align.audio=1",
        ("timbre", 0.0): PRESET,
        ("timbre", 2.0): "timbre=2",
    }


@pytest.mark.parametrize("word", ["text=1", "text.video", "text.video=a", "align.audio=1e9", "timbre="])
def test_points_that_are_none_are_refused(word: str) -> None:
    with pytest.raises(VivaceError) as caught:
        parse_points([word])
    assert "\n" not in str(caught.value)


def test_a_sweep_measures_every_point_once_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    calls: list[Any] = []

    class Counted:
        """The tiny pipeline, of which every call is noted."""

        def __init__(self) -> None:
            self.inner = tiny_pipeline()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def __call__(self, prompts: Sequence[str], **settings: Any) -> Any:
            calls.append(settings.get("guides"))
            return self.inner(prompts, **settings)

    pipeline: Any = Counted()
    settings: dict[str, Any] = {"count": 2, "batch": 2, "seconds": 1.0}
    identity = ("tiny", "0")
    report = sweep(pipeline, {"text.video": (1.0,)}, tmp_path, identity, **settings)
    assert calls == [None, {"text.video": 1.0}]
    figures = report["points"]
    assert set(figures) == {PRESET, "text.video=1", "truth"}
    assert figures[PRESET]["sharpness"]["n"] == figures["truth"]["sharpness"]["n"] == 2
    assert set(report["differences_to_preset"]) == {"text.video=1"}
    gap = report["differences_to_preset"]["text.video=1"]["sharpness"]
    wanted = figures["text.video=1"]["sharpness"]["value"] - figures[PRESET]["sharpness"]["value"]
    assert gap["mean"] == pytest.approx(wanted)
    assert gap["low"] <= gap["mean"] <= gap["high"]
    again = sweep(pipeline, {"text.video": (1.0,), "align.audio": (1.0,)}, tmp_path, identity, **settings)
    assert calls[2:] == [{"align.audio": 1.0}]
    assert all(again["points"][name] == entry for name, entry in figures.items())
    assert json.loads((tmp_path / "sweep.json").read_text()) == again
    assert (tmp_path / "sweep.png").stat().st_size > 1000


def test_a_scale_that_is_idle_under_the_preset_is_drawn_under_one_that_makes_both_at_once(tmp_path: Path) -> None:
    align = {"video": 2.0, "audio": 1.0}
    presets = {
        "plain": {"steps": 2, "solver": "euler", "order": "sound-first", "align": align},
        "published": {"steps": 2, "solver": "euler", "align": align, "official": True},
        "both": {"steps": 2, "solver": "euler", "align": align},
    }
    pipeline = tiny_pipeline(presets=presets)
    scales = {"align.video": (0.0,), "align.audio": (0.0, 1.0)}
    report = sweep(pipeline, scales, tmp_path, ("tiny", "0"), count=2, batch=2, seconds=1.0)
    assert report["scales"] == {
        "align.video": {"0": "align.video=0", "2": PRESET},
        "align.audio": {"0": "preset both, align.audio=0", "1": "preset both"},
    }
    assert report["note"] == (
        "align.audio has nothing to act on with order 'sound-first'; it is drawn, and compared, with preset both."
    )
    assert report["beside"]["preset both"]["order"] == "together"
    points, gaps = report["points"], report["differences_to_preset"]
    assert set(gaps) == {"align.video=0", "preset both, align.audio=0"}
    for point, base in (("align.video=0", PRESET), ("preset both, align.audio=0", "preset both")):
        wanted = points[point]["spectrum"]["value"] - points[base]["spectrum"]["value"]
        assert gaps[point]["spectrum"]["mean"] == pytest.approx(wanted)
    assert gaps["align.video=0"]["spectrum"]["mean"] == 0  # the sound is there before the pictures
    assert gaps["preset both, align.audio=0"]["spectrum"]["mean"] != 0


def test_the_scale_of_timbre_is_swept_though_not_everybody_speaks(tmp_path: Path) -> None:
    report = sweep(tiny_speaking_pipeline(), {"timbre": (1.0,)}, tmp_path, ("tiny", "0"), count=2, batch=2, seconds=1.0)
    assert report["points"]["timbre=1"]["spectrum"] == report["points"][PRESET]["spectrum"]  # of scenes without speech


def test_a_spectrum_is_off_where_the_sound_is_another() -> None:
    first, second = (
        true_clip(item) for item in world_items("val", 2, seconds=1.0, height=32, width=32, hand=False)[:2]
    )
    assert first.audio is not None
    assert second.audio is not None
    rate = first.sample_rate
    assert spectrum_distance(first.audio, first.audio, rate) == 0.0
    assert spectrum_distance(first.audio, second.audio, rate) > 1.0
    noise = 0.05 * np.random.default_rng(0).standard_normal(first.audio.shape)
    assert spectrum_distance((first.audio + noise).astype(np.float32), first.audio, rate) > 3.0


def test_panels_fill_their_page() -> None:
    line = [Point(at, Estimate(at / 2, at / 2 - 0.1, at / 2 + 0.1, 8)) for at in (0.0, 1.0, 2.0)]
    panel = Panel("one", {"a": line, "b": line[:1]}, 0.9, (1.5,))
    page = draw_panels("All", [[panel, None], [None, panel]])
    assert page.shape == (HEAD + 2 * HEIGHT + FOOT, 2 * WIDTH, 3)
    drawn = [
        page[HEAD + r * HEIGHT : HEAD + (r + 1) * HEIGHT, c * WIDTH : (c + 1) * WIDTH] for r in (0, 1) for c in (0, 1)
    ]
    assert [bool((part < 250).any()) for part in drawn] == [True, False, False, True]
    bare = draw_panels("All", [[Panel("one", {"a": line}), None]])
    assert not np.array_equal(bare[HEAD : HEAD + HEIGHT], page[HEAD : HEAD + HEIGHT])


@pytest.fixture
def kept(tmp_path: Path) -> ExportRecipe:
    """A run with two kept checkpoints and held-out losses, and the recipe that exports it."""
    like, run = tiny_pipeline(), tmp_path / "run"
    codecs = {name: tmp_path / name for name in ("vae", "audio_vae", "vocoder")}
    for name, folder in codecs.items():
        torch.nn.Module.to(getattr(like, name), torch.bfloat16).save_pretrained(folder)
    hashes = {name: weights_hash(getattr(like, name)) for name in ("vae", "audio_vae")}
    writer = ShardWriter(tmp_path / "latents", ShardHeader("latents", {"codecs": hashes}))
    writer.add("one", {"video": torch.zeros(4, 2, 2, 2), "audio": torch.zeros(6, 128)}, {"caption": "a drum"})
    writer.close()
    data = joint_data(tmp_path / "latents", steps=6)
    data["stages"] = [{**data["stages"][0], "name": name, "steps": steps} for name, steps in (("a", 3), ("b", 3))]
    recipe = JointRecipe.model_validate(data)
    for step, scale in ((2, 1.0), (4, 0.5)):
        modules = {"transformer": tiny_transformer(text_len=192), "text_encoder": tiny_text_encoder()}
        with torch.no_grad():
            for parameter in modules["transformer"].parameters():
                parameter.mul_(scale)
        weights = {name: dict(module.state_dict()) for name, module in modules.items()}
        save_checkpoint(run / "checkpoints", step, modules, weights, {}, keep=9)
    (run / "recipe.json").write_text(recipe_json(recipe))
    lines = [{"step": 1, "val/video": 0.5, "val/audio": 0.6}, {"step": 3, "val/video": 0.4, "val/audio": 0.5}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"unit": "export", "run": run, "output": tmp_path / "never", "capabilities": CAPABILITIES, **codecs}
    return ExportRecipe.model_validate(settings)


def test_every_kept_step_of_a_run_is_measured(kept: ExportRecipe, tmp_path: Path) -> None:
    report = stage_effects(kept, tmp_path / "out", count=2, seconds=1.0, batch=2)
    assert report["steps"] == [2, 4]
    assert [(stage["name"], stage["ends"]) for stage in report["stages"]] == [("a", 3), ("b", 6)]
    assert set(report["points"]) == {"step 2", "step 4", "truth"}
    assert report["points"]["step 2"]["sharpness"] != report["points"]["step 4"]["sharpness"]
    assert (tmp_path / "out" / "stages.png").is_file()
    assert not kept.output.exists()
    with pytest.raises(VivaceError, match="No checkpoint was kept at step 3; there are 2, 4"):
        stage_effects(kept, tmp_path / "other", steps=[3], count=2, seconds=1.0)


def test_runs_that_began_with_each_other_are_drawn_one_after_another(kept: ExportRecipe, tmp_path: Path) -> None:
    later = tmp_path / "later"
    shutil.copytree(kept.run, later)
    report = stage_effects(kept, tmp_path / "out", runs=[kept.run, later], steps=[2, 10], count=2, seconds=1.0, batch=2)
    assert report["steps"] == [2, 10]
    assert [(stage["run"], stage["ends"]) for stage in report["stages"]] == [
        (kept.run.name, 3),
        (kept.run.name, 6),
        ("later", 9),
        ("later", 12),
    ]
    assert report["points"]["step 2"]["sharpness"] != report["points"]["step 10"]["sharpness"]
    with pytest.raises(VivaceError, match="there are 2, 4, 8, 10"):
        stage_effects(kept, tmp_path / "out", runs=[kept.run, later], steps=[6], count=2, seconds=1.0)


def test_a_task_is_shown_with_its_command_or_its_refusal(model_folder: Path, tmp_path: Path) -> None:
    told = task_pictures.write_materials(tmp_path, 1.0)
    shown = {task.name: task for task in task_pictures.TASKS}
    assert task_pictures.show(shown["image"], tmp_path, told, str(model_folder), 1) is None
    assert task_pictures.show(shown["audio"], tmp_path, told, str(model_folder), 1) is None
    refused = task_pictures.show(shown["dialogue"], tmp_path, told, str(model_folder), 1)
    assert refused
    assert "\n" not in refused
    assert (tmp_path / "image.png").is_file()
    assert not (tmp_path / "dialogue.png").exists()
    page = "".join(task_pictures.pages([shown["image"]], told, "nano-nava", 1))
    assert "--image picture.png --seed 1 --output image.mp4" in page
    assert "--model" not in page


def test_a_second_opinion_finds_the_scenes_of_kept_clips_from_the_first_on() -> None:
    rows = [{"id": name, "group": "talk-unseen"} for name in ("talk-unseen-0000", "talk-unseen-0000~seed1")]
    found = second_opinion.items_of({"split": "val"}, "talk-unseen", rows, {"height": 32, "width": 32})
    assert found[0].id == "talk-unseen-0000"
    assert found[0].scene is not None


def test_a_second_opinion_is_skipped_with_its_reason_where_the_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    second_opinion.main([str(tmp_path)])
    assert capsys.readouterr().out.startswith("Skipped: ")
    with pytest.raises(VivaceError, match="pip install"):
        second_opinion.second_opinion(tmp_path)
