import os

import pytest

from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.training.clips import Length, SceneSource, Size, render_clip
from vivace.training.render import RenderRecipe, run_render
from vivace.training.workers import ordered_map

SOURCE = SceneSource(clips=6, lengths=(Length(seconds=0.8),), sizes=(Size(height=32, width=32),), variety=0.3)


def recipe(folder, **changes):
    settings = {"source": SOURCE, "workers": 1, "shard_bytes": 300_000, **changes}
    return RenderRecipe(unit="render", output=folder, **settings)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def test_the_clips_do_not_depend_on_the_number_of_workers(tmp_path):
    run_render(recipe(tmp_path / "one"), tmp_path)
    run_render(recipe(tmp_path / "two", workers=2), tmp_path)
    assert len(files(tmp_path / "one")) > 1
    assert files(tmp_path / "one") == files(tmp_path / "two")
    reader = ShardReader(tmp_path / "one", "clips")
    assert len(reader) == 6
    assert reader.get(2)["video"].shape == (21, 32, 32, 3)


def test_an_interrupted_render_continues_and_a_finished_one_is_left_alone(tmp_path, monkeypatch):
    run_render(recipe(tmp_path / "whole"), tmp_path)
    rendered = []

    def stops_at_four(plan):
        rendered.append(plan.index)
        if len(rendered) == 5:
            raise KeyboardInterrupt
        return render_clip(plan)

    monkeypatch.setattr("vivace.training.render.render_clip", stops_at_four)
    with pytest.raises(KeyboardInterrupt):
        run_render(recipe(tmp_path / "part"), tmp_path)
    with pytest.raises(VivaceError, match="not finished"):
        ShardReader(tmp_path / "part")
    assert run_render(recipe(tmp_path / "part"), tmp_path) == {"clips": 6.0}
    assert files(tmp_path / "part") == files(tmp_path / "whole")
    # Nothing that lay in a complete shard was rendered twice.
    assert 6 <= len(rendered) <= 5 + 4
    count = len(rendered)
    run_render(recipe(tmp_path / "part"), tmp_path)
    assert len(rendered) == count


def test_a_folder_of_another_source_is_refused(tmp_path):
    run_render(recipe(tmp_path / "s"), tmp_path)
    with pytest.raises(VivaceError, match="other settings"):
        run_render(recipe(tmp_path / "s", source=SOURCE.model_copy(update={"seed": 1})), tmp_path)


def test_a_worker_that_dies_is_reported_in_one_sentence():
    with pytest.raises(VivaceError, match="worker processes died"):
        list(ordered_map(os._exit, [9, 9], workers=2))
