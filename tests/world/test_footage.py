"""Raw footage: its faults, its variety, and what stays as it was."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vivace.curation.caption import parse
from vivace.curation.footage_files import NEAR_DUPLICATES, TRUTH, copied, write_footage
from vivace.errors import VivaceError
from vivace.media import read_clip
from vivace.world.footage import DISSOLVE, FAULTS, MORE_FAULTS, Footage, ShotTruth, Variety, chained, make_footage
from vivace.world.footage_cast import recurring_scene, trio_scene
from vivace.world.footage_faults import faulty_picture, faulty_sound
from vivace.world.footage_marks import MARKS, draw_mark, laid


def test_every_seed_keeps_its_draws() -> None:
    # What is shipped was measured on these: faults, kinds and captions of a seed stay, whatever is added.
    made = make_footage(9001, 4, 0.75, 48)
    assert [(shot.kind, shot.fault, shot.fades) for shot in made.shots] == [
        ("ambience", "blurred", True),
        ("impacts", "", False),
        ("drum", "", False),
        ("impacts", "silent", False),
    ]
    told = hashlib.sha256(json.dumps(made.captions).encode()).hexdigest()
    assert told.startswith("54ddd802a1426744")


def test_more_faults_are_drawn_only_where_they_are_asked_for() -> None:
    assert not set(FAULTS) & set(MORE_FAULTS)
    assert {shot.fault for shot in make_footage(1, 6, 1.0, 32, MORE_FAULTS).shots} <= set(MORE_FAULTS)
    with pytest.raises(VivaceError, match="silent-part"):
        make_footage(1, 1, 1.0, 32, ("unheard-of",))


def test_a_silent_part_is_silent_and_the_rest_is_not() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 16000)).astype(np.float32)
    quiet = (faulty_sound(np.random.default_rng(1), sound, 16000, "silent-part") == 0).all(axis=0)
    assert 0.35 < quiet.mean() < 0.6
    assert len(np.flatnonzero(np.diff(quiet.astype(int)))) == 2
    assert not quiet[0]


@pytest.mark.parametrize("kind", MARKS)
def test_marks_hide_as_much_as_they_cover(kind: str) -> None:
    mark = draw_mark(np.random.default_rng(3), kind, 96, 128)
    black, white = (np.full((2, 96, 128, 3), level, np.uint8) for level in (0, 255))
    seen_through = (laid(mark, white).astype(float) - laid(mark, black)).mean(axis=-1) / 255
    assert np.allclose(1 - seen_through, mark.cover, atol=0.01)
    assert mark.cover.max() == 1.0 if kind == "logo" else 0.25 < mark.cover.max() < 0.5
    assert 0.005 < (mark.cover > 0).mean() < 0.1
    assert np.array_equal(faulty_picture(np.random.default_rng(3), black, kind), laid(mark, black))


def test_dissolves_mix_two_shots_and_part_them_in_the_middle() -> None:
    plain = make_footage(4, 4, 0.0, 48)
    mixed = make_footage(4, 4, 0.0, 48, variety=Variety(dissolves=1.0))
    joins = [not shot.fades for shot in plain.shots[:-1]]
    assert [shot.dissolves for shot in mixed.shots] == [*joins, False]
    assert any(joins)
    assert len(plain.frames) - len(mixed.frames) == DISSOLVE * sum(joins)
    assert mixed.audio.shape[1] == pytest.approx(len(mixed.frames) / 24 * 16000, abs=4)
    assert all(first.end == second.start for first, second in pairwise(mixed.shots))
    assert mixed.shots[-1].end == pytest.approx(len(mixed.frames) / 24)
    number = joins.index(True)
    place, first = round(mixed.shots[number].end * 24), plain.shots[number]
    before = sum(DISSOLVE for join in joins[:number] if join)
    at = place - DISSOLVE // 2
    kept = plain.frames[round(first.end * 24) - DISSOLVE : round(first.end * 24)]
    after = plain.frames[round(first.end * 24) : round(first.end * 24) + DISSOLVE]
    assert at == round(first.end * 24) - DISSOLVE - before
    middle = mixed.frames[place].astype(float)
    assert np.abs(middle - (kept[8] * 8.0 + after[8] * 9.0) / 17).max() < 1.5


def test_people_come_again_with_the_same_looks_and_voice() -> None:
    scenes = [recurring_scene(7, take, 2.4) for take in range(3)]
    people = [scene.talk.characters[0] for scene in scenes if scene.talk is not None]
    assert len({(one.person, one.hair, one.style, one.skin, one.voice) for one in people}) == 1
    assert len({one.x for one in people}) == 3
    shots: list[ShotTruth] = []
    for seed in range(2):
        shots += make_footage(seed, 5, 0.0, 32, variety=Variety(cast=1)).shots
    talk = [shot for shot in shots if shot.kind == "talk"]
    assert {shot.character for shot in talk} == {0}
    assert len({shot.caption for shot in talk}) == len(talk) > 1
    assert {shot.character for shot in shots if shot.kind != "talk"} == {None}


def test_three_talk_and_the_truth_says_who_and_when() -> None:
    scene = trio_scene(np.random.default_rng(0), 5, 3.0)
    assert scene.talk is not None
    assert len({one.clothes for one in scene.talk.characters}) == 3
    for seed in range(6):
        for shot in make_footage(seed, 4, 1.0, 32, ("swapped",), Variety(trios=1.0)).shots:
            caption = parse(shot.caption)
            assert len(caption.subjects) == 3
            assert caption.speakers() == list(shot.speakers)
            assert len(shot.spans) == len(caption.said)
            assert all(0 < start < end for start, end in shot.spans)
            assert all(end < start for (_, end), (start, _) in pairwise(shot.spans))
            return


def test_parts_join_to_one_long_file() -> None:
    parts = [make_footage(seed, 2, 0.5, 32) for seed in range(3)]
    long = chained(parts)
    assert len(long.frames) == sum(len(part.frames) for part in parts)
    assert long.audio.shape[1] == round(len(long.frames) / 24 * 16000)
    assert [shot.seed for shot in long.shots] == [shot.seed for part in parts for shot in part.shots]
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(long.shots))
    assert [one["start"] for one in long.captions] == [shot.start for shot in long.shots]


def copy_of(made: Footage, kind: str) -> Footage:
    found = copied(made, kind, np.random.default_rng(0))
    assert found is not None
    return found


def test_copies_differ_as_they_are_called() -> None:
    made = make_footage(9003, 2, 0.0, 48)
    trimmed, mirrored, logo = (copy_of(made, kind) for kind in ("trimmed", "mirrored", "logo"))
    assert np.array_equal(trimmed.frames, made.frames[12:-12])
    assert trimmed.shots[0].start == 0
    assert trimmed.shots[0].end == pytest.approx(made.shots[0].end - 0.5)
    assert trimmed.shots[-1].end == pytest.approx(len(trimmed.frames) / 24)
    assert np.array_equal(mirrored.frames[:, :, ::-1], made.frames)
    for before, after in zip(made.shots, mirrored.shots, strict=True):
        assert before.caption.count("left") == after.caption.count("right")
        assert before.caption.count("right") == after.caption.count("left")
    changed = (logo.frames != made.frames).any(axis=-1)
    assert 0.01 < changed.mean() < 0.1
    assert copied(made, "truncated", np.random.default_rng(0)) is None


def test_companions_are_written_in_turn_with_their_truth(tmp_path: Path) -> None:
    truth = write_footage(tmp_path, 3, 1, shots=1, size=48, companions=NEAR_DUPLICATES[:2], parts=2)
    assert [name for name in truth if "-" in name] == ["00000-trimmed.mp4", "00002-mirrored.mp4"]
    assert len(truth["00000.mp4"]["shots"]) == 2  # of one shot each
    assert json.loads((tmp_path / TRUTH).read_text()) == truth
    for name, entry in truth.items():
        assert float(read_clip(tmp_path / name).seconds) == pytest.approx(entry["shots"][-1]["end"], abs=0.1)
