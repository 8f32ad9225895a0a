"""Making a study of folders of clips: which pairs, which controls, and copies of the clips that tell nothing."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.study.design import (
    ALIVE_AXES,
    Axis,
    Control,
    Design,
    Pair,
    check_rules,
    controls_for,
    write_design,
)
from vivace.media import Clip, peak_limited, read_clip, read_metadata, write_clip
from vivace.media.rewrap import write_untagged

LATE = 0.5  # s, of the degraded control's sound; half the clip where it is shorter than twice that
DULL_HZ = 1500.0  # above which the degraded control is silent
AUDIBLE = 0.01  # peak, of full scale, that a clip for the degraded control needs


def make_study(
    output: Path,
    systems: Mapping[str, Path],
    *,
    title: str = "Which clip is better?",
    axes: Sequence[Axis] = ALIVE_AXES,
    prompts: Mapping[str, str] | None = None,
    asked: Mapping[str, Sequence[str]] | None = None,
    every_pair: bool = False,
    raters: int = 3,
    per_rater: int = 40,
    control_share: float = 0.05,
    control_pass: float = 0.8,
    seed: int = 0,
) -> tuple[Design, list[str]]:
    """Write a study's folder: study.json and clips/.

    Args:
        output: a folder that is not there yet, or empty.
        systems: name -> folder of ID.mp4 files; votes count for the first.
        prompts: text by id; the clips' own titles where not given.
        asked: by id the names of the axes that are asked about its clips; all of them where None.
        every_pair: every two systems, instead of the first against each of the others.
        raters, per_rater, control_share, control_pass, seed: as in `Design`.

    Returns:
        The design, and notes about clips that have no partner.

    Raises:
        VivaceError: fewer than two systems, no common clips, texts that differ, no or unknown axes to be asked about a
            clip, an output that is not empty.
    """
    check_rules(axes, raters, per_rater, control_share, control_pass)
    if len(systems) < 2:
        raise VivaceError("A study compares two systems or more; give --system NAME=FOLDER for each.")
    if output.exists() and any(output.iterdir()):
        raise VivaceError(f"{output} is not empty; give a new folder, so that no votes are mixed.")
    found = {name: clips_of(name, folder) for name, folder in systems.items()}
    names = list(systems)
    chosen = list(combinations(names, 2)) if every_pair else [(names[0], other) for other in names[1:]]
    shared = [(one, two, clip) for one, two in chosen for clip in sorted(found[one].keys() & found[two].keys())]
    for one, two in chosen:
        if not found[one].keys() & found[two].keys():
            raise VivaceError(f"{one} and {two} have no clip with the same name; name clips by their prompt in both.")
    texts = {clip: _prompt(clip, [found[name] for name in names], prompts) for _, _, clip in shared}
    questions = {clip: _asked(clip, axes, asked) for _, _, clip in shared}
    rng, copies = np.random.default_rng(seed), Copies()
    pairs = [
        Pair(_name(), clip, texts[clip], one, two, *copies.of(found[one][clip], found[two][clip]), axes=questions[clip])
        for one, two, clip in shared
    ]
    hearing = {axis.name for axis in axes if axis.hears}

    def fits(system: str, clip: str) -> bool:
        """Whether a clip can be degraded so that those who are asked about it notice: its sound is what suffers."""
        asked_to_hear = not questions[clip] or not hearing or bool(hearing & set(questions[clip]))
        return asked_to_hear and _sounds(found[system][clip])

    kinds: tuple[Control, ...] = ("identical", "degraded")
    wanted = 2 * controls_for(control_share, min(per_rater, len(shared)))
    for kind in kinds if control_share > 0 else ():
        drawn = (shared[place] for place in rng.permutation(len(shared)))
        fit = ((one, clip) for one, _, clip in drawn if kind == "identical" or fits(one, clip))
        for one, clip in islice(fit, wanted):
            source = found[one][clip]
            both = copies.of(source, source, second_degraded=kind == "degraded")
            pairs.append(Pair(_name(), clip, texts[clip], one, one, *both, kind, questions[clip]))
    copies.write(output / "clips")
    design = Design(
        title, tuple(axes), tuple(names), tuple(pairs), raters, per_rater, control_share, control_pass, seed
    )
    write_design(output / "study.json", design)
    return design, _notes(chosen, found, design)


class Copies:
    """Clips of a study under names that nobody can work out from its seed: they hide which system is which."""

    def __init__(self) -> None:
        self.files: list[tuple[str, Path, bool]] = []  # name, where it comes from, whether it is degraded

    def of(self, first: Path, second: Path, *, second_degraded: bool = False) -> tuple[str, str]:
        """Names for the two clips of a pair."""
        names = f"{secrets.token_hex(8)}.mp4", f"{secrets.token_hex(8)}.mp4"
        self.files += [(names[0], first, False), (names[1], second, second_degraded)]
        return names

    def write(self, folder: Path) -> None:
        for name, source, degraded in self.files:
            if degraded:
                write_clip(folder / name, degraded_clip(read_clip(source)))
            else:
                write_untagged(source, folder / name)


def degraded_clip(clip: Clip) -> Clip:
    """The same pictures with the sound 0.5 s late and without anything above 1.5 kHz.

    Raises:
        VivaceError: a clip without sound.
    """
    if clip.audio is None:
        raise VivaceError("A clip without sound cannot be degraded for a control; take one with sound.")
    length = clip.audio.shape[1]
    late = min(round(LATE * clip.sample_rate), length // 2)
    spectrum = np.fft.rfft(clip.audio, axis=1)
    spectrum[:, np.fft.rfftfreq(length, 1 / clip.sample_rate) > DULL_HZ] = 0
    dull = np.fft.irfft(spectrum, length, axis=1).astype(np.float32)
    sound = np.pad(dull, ((0, 0), (late, 0)))[:, :length]
    return Clip(clip.frames, clip.fps, peak_limited(sound), clip.sample_rate)


def read_prompts(path: Path) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Texts by id from lines of {"id": ..., "prompt": ...}, and by id what a line's "dimensions" name.

    Raises:
        VivaceError: no such file, a line that is not that, an id twice.
    """
    if not path.is_file():
        raise VivaceError(f"Prompts {str(path)!r} do not exist; check the path.")
    found: dict[str, str] = {}
    dimensions: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, text = str(row["id"]), str(row["prompt"])
            if "dimensions" in row:
                dimensions[name] = tuple(map(str, row["dimensions"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise VivaceError(
                f'Line {number} of {path} is no prompt; write {{"id": "...", "prompt": "..."}} in each line.'
            ) from None
        if name in found and found[name] != text:
            raise VivaceError(f"Line {number} of {path} gives the id {name!r} a second text; give each its own id.")
        found[name] = text
    return found, dimensions


def clips_of(name: str, folder: Path) -> dict[str, Path]:
    """The clips of a system by their names, which are their paths in its folder without .mp4.

    Raises:
        VivaceError: no such folder, or none in it.
    """
    if not folder.is_dir():
        raise VivaceError(f"The clips of {name} are to lie in {folder}, which does not exist; check the path.")
    found = {str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.rglob("*.mp4"))}
    if not found:
        raise VivaceError(f"{folder} holds no .mp4 files; give the folder that holds the clips of {name}.")
    return found


def _name() -> str:
    """Of a pair; it tells nothing either."""
    return f"p{secrets.token_hex(5)}"


def _prompt(clip: str, folders: Sequence[Mapping[str, Path]], prompts: Mapping[str, str] | None) -> str:
    if prompts is not None:
        if clip not in prompts:
            raise VivaceError(f"The prompts hold no text for clip {clip!r}; add a line with this id.")
        return prompts[clip]
    texts = {read_metadata(folder[clip]).get("title", "") for folder in folders if clip in folder} - {""}
    if len(texts) > 1:
        raise VivaceError(f"Clip {clip!r} was made for another text by each system; compare clips of the same prompts.")
    return texts.pop() if texts else ""


def _asked(clip: str, axes: Sequence[Axis], asked: Mapping[str, Sequence[str]] | None) -> tuple[str, ...]:
    if asked is None:
        return ()
    wanted = tuple(asked.get(clip, ()))
    unknown = sorted(set(wanted) - {axis.name for axis in axes})
    if not wanted or unknown:
        problem = f"names the unknown dimension {unknown[0]!r}" if unknown else "has no dimensions"
        raise VivaceError(f"Clip {clip!r} {problem}; give its line of the prompts some of those that the study has.")
    return wanted


def _sounds(path: Path) -> bool:
    """Whether a clip has sound that could be heard to be degraded."""
    sound = read_clip(path).audio
    return sound is not None and float(np.abs(sound).max()) > AUDIBLE


def _notes(chosen: Sequence[tuple[str, str]], found: Mapping[str, Mapping[str, Path]], design: Design) -> list[str]:
    notes = []
    for one, two in chosen:
        alone = found[one].keys() ^ found[two].keys()
        if alone:
            notes.append(f"{len(alone)} clips of {one} or {two} have no partner and are left out.")
    if design.control_share > 0 and not design.controls("degraded"):
        notes.append("No clip has sound, so there are no degraded controls.")
    untold = sum(not pair.prompt for pair in design.real)
    if untold:
        notes.append(f"{untold} pairs have no text; give --prompts, or raters cannot judge what was asked for.")
    return notes
