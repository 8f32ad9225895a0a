"""A text encoder learns to read captions: what it is asked, that it learns, that joint training takes it on."""

import json
from pathlib import Path

import pytest
import torch

from vivace.errors import VivaceError
from vivace.training.caption_reader import (
    UNSTATED,
    CaptionReader,
    CaptionsObjective,
    CaptionsRecipe,
    flattened,
    run_captions,
    vocabulary,
)
from vivace.training.warm_start import start_from

TEXT = {"vocab_size": 384, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}


def _recipe(**changes: object) -> CaptionsRecipe:
    loop = {"steps": 2, "warmup_steps": 0, "validate_every": 1000, "threads": 1}
    settings = {"unit": "captions", "text_encoder": TEXT, "captions": 80, "held_out": 20, "fewest": 4, "batch": 8}
    return CaptionsRecipe.model_validate({**settings, "loop": loop, **changes})


def test_places_are_named_one_by_one() -> None:
    stated = {"kind": "talk", "colours": ["red", "blue"], "spans": [{"words": "two blue", "speaker": 0}], "rest": True}
    assert flattened(stated) == {
        "kind": "talk",
        "colours.0": "red",
        "colours.1": "blue",
        "spans.0.words.0": "two",
        "spans.0.words.1": "blue",
        "spans.0.speaker": "0",
        "rest": "True",
    }


def test_rare_values_are_not_asked_for() -> None:
    known = vocabulary([{"a": "x"}, {"a": "x"}, {"a": "y", "b": "z"}], 2)
    assert known == {"a": [UNSTATED, "x"]}
    objective = CaptionsObjective(_recipe())
    name, values = next(iter(objective.attributes.items()))
    lesson = objective.lesson([("one", {name: values[1]}), ("two", {}), ("three", {name: "never heard of"})])
    assert lesson.values[:, 0].tolist() == [1, 0, -100]


def test_scenes_of_validation_are_others() -> None:
    objective = CaptionsObjective(_recipe(captions=40, held_out=40))
    texts = [{text for text, _ in told} for told in (objective.told, objective.held_out)]
    assert len(texts[0] & texts[1]) < 5
    assert objective.told == CaptionsObjective(_recipe(captions=40, workers=2)).told


def test_other_captions_of_the_batch_change_nothing() -> None:
    torch.manual_seed(0)
    reader = CaptionReader(16, [3, 5]).eval()
    long, short = torch.randn(9, 16), torch.randn(4, 16)
    alone = reader([short])
    for together, single in zip(reader([long, short]), alone, strict=True):
        torch.testing.assert_close(together[1:], single)


def test_a_glance_is_one_mean_of_all_places_and_of_no_others() -> None:
    torch.manual_seed(0)
    reader = CaptionReader(16, [3, 5])
    long, short = torch.randn(9, 16), torch.randn(1, 16).expand(4, 16)

    def glance(*features: torch.Tensor, seed: int = 1) -> torch.Tensor:
        return torch.cat(reader.glance(features, torch.Generator().manual_seed(seed)), 1)

    assert [scores.shape[1] for scores in reader.glance([long], torch.Generator())] == [3, 5]
    # Equal places have themselves as their mean, however long the neighbour and whatever the weights.
    torch.testing.assert_close(glance(long, short)[1], reader.glance_answers(short[0]))
    assert not torch.allclose(glance(long), glance(long, seed=2))
    for place in range(9):  # each place is seen
        changed = long.clone()
        changed[place] += 1
        assert not torch.equal(glance(changed), glance(long))


def test_it_learns_and_the_joint_unit_takes_it_on(tmp_path: Path) -> None:
    loop = {"steps": 80, "warmup_steps": 5, "validate_every": 80, "threads": 1, "ema_decay": 0.5}
    recipe = _recipe(loop=loop, batch=16, captions=400, kinds=("impacts", "bell"), muon_rate=5e-3, adamw_rate=5e-3)
    before = CaptionsObjective(recipe).validate(0)
    after = run_captions(recipe, tmp_path)
    assert after["stated_read"] > before["stated_read"] + 0.05
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    nats = [line["glanced"] for line in lines if "glanced" in line]
    assert nats[-1] < 0.8 * nats[0]
    assert after["unstated_unread"] > 0.8
    encoder = CaptionsObjective(recipe).text_encoder
    start_from(tmp_path, "text_encoder", encoder)
    with pytest.raises(VivaceError, match="does not fit"):
        start_from(tmp_path, "text_encoder", CaptionsObjective(_recipe(text_encoder=TEXT | {"d_ff": 32})).text_encoder)


def test_unknown_kinds_and_too_few_captions_are_told() -> None:
    with pytest.raises(VivaceError, match="'impact'"):
        CaptionsObjective(_recipe(kinds=("impact",)))
    with pytest.raises(VivaceError, match="draw more"):
        CaptionsObjective(_recipe(fewest=1000))
