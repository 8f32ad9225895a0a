"""Two sets of clips of equal size out of one pool of faulty footage, raw and curated, and faultless clips held out.

The pool is cut into shots for both. Raw is what comes out then, with the captions as they were given; curated is what
all stages of the shipped pipeline leave, with the bounds they are shipped with. Only balance stays out, since it
changes which kinds of clips there are and not what they are like.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.units import keep_settings, write_text

from vivace.curation.clip import Clip, Rejected
from vivace.curation.engine import Engine
from vivace.curation.footage_files import TRUTH, write_footage
from vivace.curation.funnel import KeptClips
from vivace.curation.ledger import Ledger
from vivace.curation.recipe import CurationRecipe, check_recipe
from vivace.curation.shard_writing import write_shards
from vivace.curation.shards import ShardSettings, prepare
from vivace.curation.sources import clips_of
from vivace.training.workers import available_workers, ordered_map

ARMS = ("raw", "curated")
HELD_OUT = "held-out"
# Scenes are drawn from these numbers on; no scene of the pool is held out.
FIRST_POOL, FIRST_HELD_OUT = 100_000, 900_000
SHOTS = 5  # of a file of footage
# What raw and held-out clips go through: they are taken in, cut and have their captions read.
_ONLY_CUT = ("duplicates", "picture", "sound", "coherence", "subjects", "clarity", "labels", "balance", "pairs")


@dataclass(frozen=True)
class SetSettings:
    """What the sets are made of.

    Args:
        files: of the pool, of `SHOTS` shots each. held_out: files of faultless shots.
        faulty: share of the pool's shots that have a fault. size: pixels of a side. seconds: of a clip.
        longest_caption: bytes. vae, audio_vae: folders of the codecs. workers: processes, 0 for one per core.
    """

    files: int
    held_out: int
    faulty: float
    size: int
    seconds: float
    longest_caption: int
    vae: Path
    audio_vae: Path
    workers: int

    def told(self) -> dict[str, Any]:
        """All that the sets depend on, as JSON values."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
            if name != "workers"
        }


def make_sets(folder: Path, settings: SetSettings, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Latents of both arms and of the held-out clips in `folder/latents`, and `folder/sets.json` about them.

    What is there already is not made again. `check` is asked between the parts and may raise KeyboardInterrupt.

    Raises:
        ValueError: the folder was begun with other settings, or nothing of the pool is left.
    """
    begun, done = folder / "settings.json", folder / "sets.json"
    told = json.dumps(settings.told(), indent=1) + "\n"
    keep_settings(begun, told, "--folder")
    if done.is_file():
        found: dict[str, Any] = json.loads(done.read_text())
        return found
    began = time.time()
    film(folder, settings, check)
    kept = {name: curate(folder, name, settings, check) for name in (*ARMS, HELD_OUT)}
    shards = shard_settings(settings)
    curated = usable(kept["curated"], shards, None, check)
    raw = usable(kept["raw"], shards, len(curated), check)
    count = min(len(raw), len(curated))
    if not count:
        raise ValueError("nothing of the pool is left; film more files")
    chosen = {"raw": raw[:count], "curated": curated[:count], HELD_OUT: usable(kept[HELD_OUT], shards, None, check)}
    for name, clips in chosen.items():
        check()
        write_shards(clips, shards, folder / "latents" / name)
    truth = truths(folder / "footage")
    shown = {name: [shot_of(clip, truth) for clip in clips] for name, clips in chosen.items()}
    found = {
        "clips": {name: len(clips) for name, clips in chosen.items()},
        "left": {name: len(clips) for name, clips in kept.items()},
        "faults": {name: dict(Counter(shot["fault"] or "none" for shot in shots)) for name, shots in shown.items()},
        "kinds": {name: dict(Counter(shot["kind"] for shot in shots)) for name, shots in shown.items()},
        "seconds": round(time.time() - began, 1),
    }
    write_text(done, json.dumps(found, indent=1) + "\n")
    return found


def film(folder: Path, settings: SetSettings, check: Callable[[], None]) -> None:
    """Footage of the pool and of the held-out clips, each file in a folder of its own with its truth."""
    jobs = [
        (folder / "footage" / name / f"{number:05d}", first + number, faulty, settings.size)
        for name, first, count, faulty in (
            ("pool", FIRST_POOL, settings.files, settings.faulty),
            (HELD_OUT, FIRST_HELD_OUT, settings.held_out, 0.0),
        )
        for number in range(count)
    ]
    missing = [job for job in jobs if not (job[0] / TRUTH).is_file()]
    for _ in ordered_map(_film, missing, min(available_workers(settings.workers), max(len(missing), 1))):
        check()


def _film(job: tuple[Path, int, float, int]) -> None:
    folder, seed, faulty, size = job
    write_footage(folder, 1, seed, shots=SHOTS, faulty=faulty, size=size, file_faults=False)


def recipe_of(folder: Path, name: str, settings: SetSettings) -> CurationRecipe:
    """The recipe of a set; all that it does not name is as shipped."""
    footage = folder / "footage" / (HELD_OUT if name == HELD_OUT else "pool")
    data: dict[str, Any] = {
        "output": str(folder / "curation" / name),
        "input": {"folder": str(footage)},
        "executor": {"workers": settings.workers},
        "split": {"shortest": settings.seconds, "longest": max(10.0, 2 * settings.seconds)},
        "balance": {"use": False},
    }
    if name != "curated":
        data |= {stage: {"use": False} for stage in _ONLY_CUT}
        data["speech"] = {"recogniser": "spans", "bounds": {"unsure_words": {"use": False}}}
    return check_recipe(data, name)


def curate(folder: Path, name: str, settings: SetSettings, check: Callable[[], None]) -> list[Clip]:
    """What is left of a set's footage."""
    recipe = recipe_of(folder, name, settings)
    chosen = recipe.executor
    with Ledger(recipe.output) as ledger:
        number = ledger.begin_run(time.time(), name, chosen.workers_at_hand())
        ledger.add_files(clips_of(recipe.input))
        Engine(
            ledger,
            recipe.planned(),
            chosen.executor(),
            chosen.workers,
            chosen.limits,
            chosen.attempts,
            chosen.patience,
            lambda doing, done: check(),
        ).run()
        ledger.note_run(number, "done", 0, time.time())
        return list(KeptClips(ledger))


def shard_settings(settings: SetSettings) -> ShardSettings:
    return ShardSettings(
        content="latents",
        vae=settings.vae,
        audio_vae=settings.audio_vae,
        sizes=((settings.size, settings.size),),
        seconds=(settings.seconds,),
        longest_caption=settings.longest_caption,
        validation=0.0,
    )


def usable(clips: Iterable[Clip], settings: ShardSettings, most: int | None, check: Callable[[], None]) -> list[Clip]:
    """The first clips that shards take, `most` of them at most; in the order of their ids, which are hashes, so that
    the first are a random choice."""
    found: list[Clip] = []
    for clip in clips:
        check()
        if most is not None and len(found) == most:
            break
        if not isinstance(prepare(clip, settings), Rejected):
            found.append(clip)
    return found


def truths(footage: Path) -> dict[str, list[dict[str, Any]]]:
    """The true shots of every file, by its path."""
    found = {}
    for path in sorted(footage.rglob(TRUTH)):
        for name, entry in json.loads(path.read_text()).items():
            found[str((path.parent / name).resolve())] = entry["shots"]
    return found


def shot_of(clip: Clip, truth: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The true shot that a clip mostly shows."""
    assert clip.seconds is not None
    end = clip.start + clip.seconds
    return max(truth[clip.path], key=lambda shot: min(end, shot["end"]) - max(clip.start, shot["start"]))
