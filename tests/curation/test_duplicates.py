"""Near-duplicates: which changed copies are found, and what other runs kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.curation.test_set_stages import fingerprint, flipped, hashed

from vivace.cli.main import main
from vivace.curation.clip import Clip
from vivace.curation.funnel import KeptClips, passages
from vivace.curation.ledger_reader import LedgerReader
from vivace.curation.recipe import check_recipe, load_recipe
from vivace.curation.stages.duplicates import Duplicates, DuplicateSettings
from vivace.errors import VivaceError
from vivace.media import Clip as Material
from vivace.media import write_clip
from vivace.perception.audio_print import audio_print, print_keys
from vivace.perception.video_hash import mirrored, video_hash
from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene

RATE = 16000
KINDS = (None, "ambience", "vehicle", "talk")
Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def originals() -> list[tuple[np.ndarray, np.ndarray]]:
    found = []
    for kind in KINDS:
        scene, timeline = sample_scene(3, "val", kind=kind), Timeline(frames=73)
        found.append((render_video(scene, timeline, 64, 64), render_audio(scene, timeline).astype(np.float32)))
    return found


def clip_of(name: str, frames: np.ndarray, audio: np.ndarray) -> Clip:
    picture = video_hash(frames)
    return hashed(name, picture, audio_print(audio, RATE), frames.shape[1] * frames.shape[2])


def resized(frames: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([np.asarray(Image.fromarray(frame).resize((48, 48))) for frame in frames]), 0.6 * audio


def trimmed(frames: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return frames[12:], audio[:, RATE // 2 :]


def in_a_mirror(frames: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    small, quiet = resized(frames, audio)
    return small[:, :, ::-1], quiet


def with_a_logo(frames: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    small, quiet = (part.copy() for part in resized(frames, audio))
    small[:, 3:7, 38:45] = 230
    return small, quiet


@pytest.mark.parametrize("change", [resized, trimmed, in_a_mirror, with_a_logo])
def test_a_changed_copy_is_found(originals: list[tuple[np.ndarray, np.ndarray]], change: Change) -> None:
    clips = [clip_of(f"a{n}", *original) for n, original in enumerate(originals)]
    clips += [clip_of(f"b{n}", *change(*original)) for n, original in enumerate(originals)]
    found = {d.clip: d.rejected for d in Duplicates(DuplicateSettings()).decide(clips)}
    assert set(found) == {f"b{n}" for n in range(len(originals))}
    for clip, rejected in found.items():
        assert rejected is not None
        assert rejected.detail.startswith(f"of a{clip[1:]},")


def test_other_sound_makes_another_clip(originals: list[tuple[np.ndarray, np.ndarray]]) -> None:
    sounds = [audio for _, audio in originals]
    clips = [clip_of(f"a{n}", *original) for n, original in enumerate(originals)]
    clips += [clip_of(f"b{n}", frames, sounds[n - 1]) for n, (frames, _) in enumerate(originals)]
    assert list(Duplicates(DuplicateSettings()).decide(clips)) == []


def test_a_mirror_twice_is_the_clip(originals: list[tuple[np.ndarray, np.ndarray]]) -> None:
    bits = video_hash(originals[0][0])
    assert (mirrored(mirrored(bits)) == bits).all()
    assert (mirrored(bits) != bits).mean() == 0.5
    assert (video_hash(originals[0][0][:, :, ::-1]) != mirrored(bits)).mean() < 0.02


@pytest.mark.parametrize("share", [0.05, 0.1, 0.16, 0.25])
def test_scattered_bits_hide_no_copy_that_sounds(share: float) -> None:
    """Flips that leave few whole bytes alone: the sound leads to the copy."""
    rng = np.random.default_rng(0)
    clips = []
    for n in range(40):
        picture, sound = fingerprint(rng, 512), rng.integers(1, 2**15, 80)
        clips += [hashed(f"a{n:02d}", picture, sound, 400), hashed(f"b{n:02d}", flipped(rng, picture, share), sound)]
    assert {d.clip for d in Duplicates(DuplicateSettings()).decide(clips)} == {f"b{n:02d}" for n in range(40)}


def test_keys_of_sound_stay_wherever_they_stand() -> None:
    words = np.random.default_rng(0).integers(1, 2**16, 120).astype(np.uint16)
    keys = print_keys(words)
    assert len(keys) == 16
    assert len(set(keys) & set(print_keys(words[20:]))) >= 10
    assert set(keys) & set(print_keys(words[::-1])) == set()
    assert print_keys(np.zeros(50, np.uint16)) == []
    assert print_keys(np.zeros(0, np.uint16)) == []


def recipe(folder: Path, name: str, more: str = "") -> Path:
    path = folder / f"{name}.toml"
    unused = "".join(
        f"[{stage}]\nuse = false\n"
        for stage in ("picture", "sound", "coherence", "speech", "captions", "subjects", "clarity", "labels", "balance")
    )
    path.write_text(
        f"output = {str(folder / name)!r}\n[input]\nfolder = {str(folder / f'raw-{name}')!r}\n"
        f"[split]\nshortest = 1.0\n[executor]\nworkers = 1\n[shards]\nuse = false\n[pairs]\nuse = false\n{unused}{more}"
    )
    return path


def test_what_another_run_kept_is_rejected(
    originals: list[tuple[np.ndarray, np.ndarray]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, chosen in (("one", originals[:2]), ("two", [resized(*originals[1]), originals[2]])):
        (tmp_path / f"raw-{name}").mkdir()
        for n, (frames, audio) in enumerate(chosen):
            write_clip(tmp_path / f"raw-{name}" / f"{n}.mp4", Material(frames, Fraction(24), audio, RATE))
    ledger = tmp_path / "one" / "ledger.sqlite"
    second = recipe(tmp_path, "two", f"[duplicates]\nagainst = [{str(ledger)!r}]\n")
    assert main(["curate", "run", str(second)]) == 2
    assert "is no ledger" in capsys.readouterr().err
    first = recipe(tmp_path, "one")
    assert main(["curate", "run", str(first)]) == 0
    before = ledger.read_bytes()
    assert main(["curate", "run", str(second)]) == 0
    assert ledger.read_bytes() == before
    with LedgerReader(tmp_path / "two") as reader:
        assert {entry.stage: entry.rejected for entry in passages(reader)}["duplicates"] == {"duplicate": 1}
        assert [Path(clip.path).name for clip in KeptClips(reader)] == ["1.mp4"]
        assert str(ledger) in str(
            reader.connection.execute("SELECT detail FROM verdicts WHERE reason = 'duplicate'").fetchone()
        )
    # Once the other run keeps less, what it held back is kept here.
    first.write_text(first.read_text().replace("shortest = 1.0", "shortest = 3.5"))
    assert main(["curate", "run", str(first)]) == 0
    assert main(["curate", "run", str(second)]) == 0
    with LedgerReader(tmp_path / "two") as reader:
        assert len(list(KeptClips(reader))) == 2
    # What cannot be compared is told before anything is done.
    own = recipe(tmp_path, "one", f"[duplicates]\nagainst = [{str(ledger)!r}]\n")
    with pytest.raises(VivaceError, match="own ledger"):
        load_recipe(own)
    for change, problem in (
        ("UPDATE plan SET version = 1 WHERE stage = 'duplicates'", "no hashes of this release"),
        ("UPDATE runs SET ended = NULL", "did not come to its end"),
    ):
        told = load_recipe(second).model_dump()
        with sqlite3.connect(ledger) as store:
            store.execute(change)
        with pytest.raises(VivaceError, match=problem):
            check_recipe(told, "x")
        with sqlite3.connect(ledger) as store:
            store.execute("UPDATE plan SET version = ? WHERE stage = 'duplicates'", (Duplicates.version,))
