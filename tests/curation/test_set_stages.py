"""Stages that look at the whole set: duplicates, clarity, balance, pairs."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest

from vivace.curation.clip import Clip
from vivace.curation.stages import pairs
from vivace.curation.stages.balance import Balance, BalanceSettings
from vivace.curation.stages.clarity import Clarity, ClaritySettings, clarity_level, lower_quantile
from vivace.curation.stages.duplicates import Duplicates, DuplicateSettings
from vivace.curation.stages.pairs import Pairs, PairSettings
from vivace.curation.target_shares import filled, stated, tempered
from vivace.curation.taxonomy import OTHER, leaves


def fingerprint(rng: np.random.Generator, bits: int = 256) -> np.ndarray:
    return rng.integers(0, 2, bits).astype(np.uint8)


def hashed(name: str, picture: np.ndarray, sound: np.ndarray, pixels: int = 100) -> Clip:
    return Clip(name, f"{name}.mp4").with_columns(
        "duplicates",
        picture=np.packbits(picture).tobytes().hex(),
        sound=sound.astype("<u2").tobytes().hex(),
        pixels=pixels,
        frames=50,
    )


def flipped(rng: np.random.Generator, bits: np.ndarray, share: float) -> np.ndarray:
    out = bits.copy()
    out[rng.choice(len(bits), round(share * len(bits)), replace=False)] ^= 1
    return out


def test_the_largest_of_near_duplicates_is_kept() -> None:
    rng = np.random.default_rng(0)
    pictures = [fingerprint(rng) for _ in range(3)]
    sounds = [rng.integers(0, 2**15, 60) for _ in range(3)]
    clips = [
        hashed("a", pictures[0], sounds[0]),
        hashed("b", flipped(rng, pictures[0], 0.05), sounds[0], pixels=400),
        hashed("c", pictures[1], sounds[1]),
        hashed("d", pictures[2], sounds[2]),
        # The same pictures under another sound are another clip, unless there is no sound to tell.
        hashed("e", flipped(rng, pictures[1], 0.1), sounds[0]),
        hashed("f", pictures[2], np.zeros(0), pixels=50),
    ]
    found = {d.clip: d.rejected for d in Duplicates(DuplicateSettings()).decide(clips)}
    assert set(found) == {"a", "f"}
    assert all(rejected is not None and rejected.reason == "duplicate" for rejected in found.values())
    assert "of b" in str(found["a"])
    assert list(Duplicates(DuplicateSettings(picture=0.0, picture_alone=0.0)).decide(clips[:4])) == []


def test_the_unclear_end_of_the_distribution_is_left_out() -> None:
    clips = [Clip(f"{n:02d}", "x").with_columns("clarity", level=0.5 * n / 2) for n in range(20)]
    stage = Clarity(ClaritySettings(cut=0.3, least=1.0))
    reasons = Counter(d.rejected.reason for d in stage.decide(clips) if d.rejected)
    assert reasons == {"unclear": 4, "less_clear": 1}
    assert list(Clarity(ClaritySettings(cut=0.0, least=0.0)).decide(clips)) == []
    assert list(stage.decide([])) == []


def test_clarity_falls_with_blur() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 2, (6, 6)), np.ones((22, 22))) * 180 + 40
    levels = []
    for blur in (0.0, 0.7, 1.5, 3.0, 6.0):
        grey = gaussian_filter(picture, blur) if blur else picture
        levels.append(clarity_level(np.repeat(grey[None, :, :, None], 3, axis=3).astype(np.uint8)))
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 4.5
    assert levels[-1] < 1.5


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.999])
def test_the_quantile_of_counts_is_that_of_the_values(share: float) -> None:
    values = np.random.default_rng(3).integers(0, 40, 137)
    assert lower_quantile(Counter(values.tolist()), share) == np.quantile(values, share, method="lower")


def described(name: str, label: str, speaking: bool, kind: str = "strong", tonal: float | None = None) -> Clip:
    return Clip(name, "x").with_columns("balance", label=label, speaking=speaking, kind=kind, tonal=tonal)


def kept(clips: list[Clip], **settings: Any) -> list[Clip]:
    left_out = {d.clip for d in Balance(BalanceSettings(**settings)).decide(clips)}
    assert left_out <= {clip.id for clip in clips}
    return [clip for clip in clips if clip.id not in left_out]


def test_speaking_and_silent_come_to_their_shares() -> None:
    clips = [described(f"{n:03d}", "A/a/a", n % 4 == 0) for n in range(80)]
    left = Counter(clip["balance.speaking"] for clip in kept(clips, temper=1.0))
    assert left == {True: 20, False: 20}
    assert len(kept(clips, temper=1.0, speaking=None)) == 80
    only = [described(f"{n}", "A/a/a", False) for n in range(5)]
    assert len(kept(only)) == 5


def test_weak_clips_keep_to_their_share() -> None:
    clips = [described(f"{n:03d}", "A/a/a", False, "weak" if n < 60 else "strong") for n in range(90)]
    left = Counter(clip["balance.kind"] for clip in kept(clips, weak=0.25, temper=1.0))
    assert left == {"strong": 30, "weak": 10}
    assert {clip["balance.kind"] for clip in kept(clips, weak=0.0)} == {"strong"}


def test_music_keeps_to_its_share() -> None:
    clips = [described(f"{n:03d}", "A/a/a", False, tonal=0.8 if n < 60 else 0.2) for n in range(90)]
    left = Counter(clip["balance.tonal"] for clip in kept(clips, music=0.1, temper=1.0))
    assert left == {0.2: 30, 0.8: 3}
    assert len(kept(clips, music=1.0, temper=1.0)) == 90
    assert len(kept(clips, music=0.0, music_from=0.9)) == 90
    unheard = [described(f"{n}", "A/a/a", False) for n in range(5)]
    assert len(kept(unheard, music=0.0)) == 5


def test_the_speaking_share_holds_after_the_labels_too() -> None:
    clips = [described(f"s{n:03d}", "A/a/a", True) for n in range(300)]
    clips += [described(f"b{n:03d}", "B/b/b", False) for n in range(200)]
    clips += [described(f"c{n:03d}", "C/c/c", False) for n in range(20)]
    left = Counter(clip["balance.label"] for clip in kept(clips, temper=0.0))
    assert left == {"A/a/a": 40, "B/b/b": 20, "C/c/c": 20}


def test_nobodys_rare_label_throttles_the_set() -> None:
    names = [leaf.path for leaf in leaves()]
    sizes = {name: round(300_000 / (place + 1)) for place, name in enumerate(names)} | {OTHER: 1}
    total = sum(sizes.values())
    assert sum(tempered(sizes, 0.5, {}).values()) < 0.01 * total
    found = tempered(sizes, 0.5, {}, 0.01)
    assert found[OTHER] == 1
    assert sum(found.values()) > 0.5 * total
    assert all(found[name] == n for name, n in sizes.items() if n < 0.01 * total)
    # More of a label never means that less of it is kept, and no share grows beyond what it was at the head.
    assert sorted(found.values(), reverse=True) == list(found.values())
    assert found[names[0]] / sum(found.values()) < 0.75 * sizes[names[0]] / total
    without = {name: n for name, n in sizes.items() if name != OTHER}
    assert {name: found[name] for name in without} == pytest.approx(tempered(without, 0.5, {}, 0.01), rel=1e-3)
    # One label of nearly all clips is still brought down.
    assert tempered({"A": 9900, "B": 60, "C": 40}, 0.0, {}, 0.01) == {"A": 100, "B": 60, "C": 40}
    assert tempered({"A": 9900, "B": 60, "C": 40}, 0.0, {"B": 0.5, "C": 0.0}, 0.01) == {"A": 100, "B": 30, "C": 0}


def test_stated_shares_are_reached() -> None:
    dog, cat, car, meal, talk = (
        "Animals/pets/dog",
        "Animals/pets/cat",
        "Vehicles/road/car",
        "Food/eating/eating",
        "Entertainment/people/speech",
    )
    sizes = {(dog, False): 300, (cat, False): 100, (car, False): 500, (meal, False): 60, (talk, True): 700}
    clips = [described(f"{label}{n}", label, side) for (label, side), count in sizes.items() for n in range(count)]
    left = kept(clips, shares={"Animals": 0.2, "Food": 0.1}, temper=1.0)
    found = Counter(clip["balance.label"] for clip in left)
    # 60 clips of food are a tenth of 600, of which half speak.
    assert found == {dog: 90, cat: 30, car: 120, meal: 60, talk: 300}
    assert {clip.id for clip in left} == {
        clip.id for clip in kept(clips[::-1], shares={"Food": 0.1, "Animals": 0.2}, temper=1.0)
    }
    tail = Counter(clip["balance.label"] for clip in kept(clips, shares={"Animals": 0.2, "Food": 0.1}, temper=0.0))
    assert (tail[dog], tail[cat]) == (60, 60)
    # Nobody waits for the five clips of a label that should be a quarter: they are kept, others divide the rest.
    few = [*clips, *(described(f"bell{n}", "Entertainment/percussion/bell", False) for n in range(5))]
    rare = Counter(clip["balance.label"] for clip in kept(few, shares={"Entertainment/percussion": 0.25}, temper=1.0))
    assert rare["Entertainment/percussion/bell"] == 5
    assert rare.total() > 1300
    # What is stated for all leaves nothing to others; where a label is of one side, its share goes before speaking.
    only = Counter(clip["balance.label"] for clip in kept(clips, shares={"Animals": 0.9, "Food": 0.1}, temper=1.0))
    assert only == {dog: 300, cat: 100, meal: 44}


def test_stated_shares_are_as_many_as_can_be_had() -> None:
    rng = np.random.default_rng(4)
    names = [leaf.path for leaf in leaves()][:12]
    for _ in range(20):
        sizes = {side: {name: int(rng.integers(20, 400)) for name in names} for side in (True, False)}
        shares = {names[0]: 0.25, names[5]: 0.15}
        found = stated(sizes, shares=shares, speaking=0.4, temper=1.0, wanted={}, rare=0.0)
        assert all(0 <= n <= sizes[side][name] for (side, name), n in found.items())
        total = sum(found.values())
        for name, share in shares.items():
            assert sum(found[side, name] for side in (True, False)) / total == pytest.approx(share, abs=0.01)
        assert sum(n for (side, _), n in found.items() if side) / total == pytest.approx(0.4, abs=0.01)
        limits = [sum(sizes[side][name] for side in sizes) / share for name, share in shares.items()]
        limits += [sum(sizes[True].values()) / 0.4, sum(sizes[False].values()) / 0.6]
        assert total <= min(limits) + 3
        assert total > 0.5 * min(limits)


def test_groups_are_filled_to_the_clip() -> None:
    assert filled({"a": 5, "b": 50, "c": 50}, {"a": 1.0, "b": 1.0, "c": 2.0}, 44) == {"a": 5, "b": 13, "c": 26}
    assert filled({"a": 5, "b": 5}, {"a": 1.0, "b": 0.0}, 9) == {"a": 5, "b": 0}
    assert filled({"a": 5, "b": 5}, {"a": 1.0, "b": 1.0}, 0) == {"a": 0, "b": 0}
    assert sum(filled(dict.fromkeys(range(9), 7), {n: 1.0 + n for n in range(9)}, 40).values()) == 40


def test_memory_for_deciding_does_not_grow_with_the_set() -> None:
    labels = [leaf.path for leaf in leaves()]

    def peak(stage: Balance | Clarity, count: int) -> int:
        clips = (
            described(f"{n:020d}", labels[n % 50], n % 2 == 0).with_columns("clarity", level=n % 500 / 100)
            for n in range(count)
        )
        tracemalloc.start()
        try:
            left_out = sum(1 for _ in stage.decide(clips))
            assert left_out > count // 20
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for stage in (Balance(BalanceSettings(most=0.5)), Clarity(ClaritySettings(cut=0.2))):
        peak(stage, 100)  # what is loaded once
        assert peak(stage, 5_000) < peak(stage, 1_000) + 20_000  # 4,000 ids alone would be 280 kB


def test_the_long_tail_goes_towards_uniform() -> None:
    sizes = {"A/a/a": 400, "B/b/b": 100, "C/c/c": 25}
    assert tempered(sizes, 1.0, {}) == sizes
    assert tempered(sizes, 0.0, {}) == {"A/a/a": 25, "B/b/b": 25, "C/c/c": 25}
    assert tempered(sizes, 0.5, {}) == {"A/a/a": 100, "B/b/b": 50, "C/c/c": 25}
    assert tempered(sizes, 0.0, {"A": 2.0, "A/a": 4.0}) == {"A/a/a": 100, "B/b/b": 25, "C/c/c": 25}
    assert tempered(sizes, 1.0, {"B": 0.0})["B/b/b"] == 0
    clips = [described(f"{name}{n}", name, False) for name, count in sizes.items() for n in range(count)]
    left = Counter(clip["balance.label"] for clip in kept(clips, temper=0.5))
    assert left == {"A/a/a": 100, "B/b/b": 50, "C/c/c": 25}
    assert len(kept(clips, temper=0.5, most=0.1)) == 52


def test_a_larger_set_gives_mostly_the_same_choice() -> None:
    clips = [described(f"{n:03d}", "A/a/a", False) for n in range(200)]
    rare = [described(f"r{n}", "B/b/b", False) for n in range(10)]
    first = {clip.id for clip in kept([*clips, *rare], temper=0.0)}
    more = [described(f"{n:03d}", "A/a/a", False) for n in range(200, 210)]
    second = {clip.id for clip in kept([*clips, *more, *rare], temper=0.0)}
    assert len(first) == len(second) == 20
    assert len(first & second) >= 17


def face(name: str, values: np.ndarray | None, file: str = "") -> Clip:
    return Clip(name, "x").with_columns(
        "pairs",
        face=None if values is None else values.round(3).tolist(),
        anchor=[0.0, 0.5],
        file=file or name,
        at=0.75,
    )


def test_clips_of_one_person_are_partners() -> None:
    rng = np.random.default_rng(0)
    people = rng.random((3, 108))
    clips = [
        face(f"{person}{n}", people[person] + 0.08 * rng.normal(size=108), file=f"f{n}")
        for person in range(3)
        for n in range(3)
    ]
    clips += [face("none", None), face("copy", np.array(clips[0]["pairs.face"]), file="f9")]
    found = {d.clip: d.columns for d in Pairs(PairSettings()).decide(clips)}
    assert "none" not in found
    person = {clip.id: "0" if clip.id == "copy" else clip.id[0] for clip in clips}
    assert all(person[columns["partner"]] == person[name] for name, columns in found.items())
    assert len({columns["cluster"] for columns in found.values()}) == 3
    assert all((columns["partner_path"], columns["partner_at"]) == ("x", 0.75) for columns in found.values())
    # A copy of one picture teaches nothing about the person.
    assert found["00"]["partner"] != "copy"
    assert found["copy"]["partner"] != "00"
    alone = [face("a", people[0], "one"), face("b", people[0] + 0.05 * rng.normal(size=108), "one"), clips[4]]
    assert not list(Pairs(PairSettings(same_file=False)).decide(alone))
    assert list(Pairs(PairSettings()).decide([clips[0]])) == []


def test_partners_do_not_depend_on_the_blocks_in_which_faces_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    people = rng.random((9, 108))
    clips = [face(f"{n:02d}", people[n % 9] + 0.1 * rng.normal(size=108), file=f"f{n % 7}") for n in range(60)]
    for settings in (PairSettings(), PairSettings(same_file=False, least=0.3)):
        whole = list(Pairs(settings).decide(clips))
        assert len(whole) > 30
        for block in (1, 7, 60):
            monkeypatch.setattr(pairs, "BLOCK", block)
            assert list(Pairs(settings).decide(clips)) == whole


def test_memory_for_pairs_is_far_below_that_of_all_against_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "BLOCK", 128)
    rng = np.random.default_rng(2)
    people = rng.random((40, 12))
    faces = (face(f"{n:04d}", people[n % 40] + 0.05 * rng.normal(size=12)) for n in range(3000))
    tracemalloc.start()
    try:
        found = sum(1 for _ in Pairs(PairSettings()).decide(faces))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found > 2000
    assert peak < 3e6  # 3,000 x 3,000 likenesses alone would be 36 MB
