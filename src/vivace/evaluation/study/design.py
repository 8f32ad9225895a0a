"""What a study asks: its axes, its pairs, its controls, and the rules that are fixed before the first vote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vivace.errors import VivaceError
from vivace.media import replacing

SCHEMA = 1
Control = Literal["identical", "degraded"]


@dataclass(frozen=True)
class Axis:
    """One question about a pair.

    Args:
        name: in the results. question: as the raters read it.
        hears: whether the degraded control (its sound late and dull) is worse on it.
        group: of axes, whose votes are also counted together; none where empty.
    """

    name: str
    question: str
    hears: bool = False
    group: str = ""


# The six axes of Alive's human study; the wording of the questions is ours, since theirs is unpublished.
ALIVE_AXES = (
    Axis("motion", "Which clip moves better: smooth, plausible, alive?"),
    Axis("look", "Which clip looks better: sharp, clean, well composed?"),
    Axis("picture-prompt", "Whose pictures show more of what the text says?"),
    Axis("sound", "Which clip sounds better: clear, natural, without faults?", hears=True),
    Axis("sound-prompt", "Whose sound holds more of what the text says?"),
    Axis("sync", "In which clip do sound and picture belong together better, moment by moment?", hears=True),
)


@dataclass(frozen=True)
class Pair:
    """Two clips for one prompt.

    Args:
        id: unique in the study, tells nothing. prompt_id, prompt: what was asked for.
        first, second: the systems; in a control the same one twice.
        first_clip, second_clip: files under `clips/`, their names drawn at random.
        control: "identical" (the same clip twice: raters should say the same), "degraded" (of `second` the sound comes
            0.5 s late and dull: raters should prefer `first` where they listen), or None.
        axes: names of those that are asked about it; all of the study's where empty.
    """

    id: str
    prompt_id: str
    prompt: str
    first: str
    second: str
    first_clip: str
    second_clip: str
    control: Control | None = None
    axes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """A study as it was planned; it is not changed after the first vote.

    Args:
        title: above the page. systems: in the order given; votes count for the first of a pair.
        raters: votes that each pair gets in the first round. per_rater: pairs that one person judges, without controls.
        control_share: of each kind of control, as a share of the pairs that one person gets; at least one of each kind
            that exists.
        control_pass: share of controls that a rater must pass to be counted.
        seed: of the order and the sides.
    """

    title: str
    axes: tuple[Axis, ...]
    systems: tuple[str, ...]
    pairs: tuple[Pair, ...]
    raters: int
    per_rater: int
    control_share: float
    control_pass: float
    seed: int

    @property
    def real(self) -> tuple[Pair, ...]:
        """The pairs that are asked about."""
        return tuple(pair for pair in self.pairs if pair.control is None)

    def controls(self, kind: Control) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair.control == kind)

    def asked(self, pair: Pair) -> tuple[Axis, ...]:
        """The axes that are asked about a pair."""
        return tuple(axis for axis in self.axes if not pair.axes or axis.name in pair.axes)

    def controls_each(self) -> int:
        """Controls of each kind that one rater gets."""
        return controls_for(self.control_share, min(self.per_rater, len(self.real)))


def controls_for(share: float, pairs: int) -> int:
    """Controls of one kind among so many pairs."""
    return max(1, round(share * pairs))


def check_rules(axes: Sequence[Axis], raters: int, per_rater: int, control_share: float, control_pass: float) -> None:
    """Raises VivaceError for rules that no study can have."""
    names = [axis.name for axis in axes]
    if not names or len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise VivaceError("A study needs one axis or more, each with a name of its own; check --axis.")
    if raters < 1 or per_rater < 1:
        raise VivaceError(f"{raters} raters with {per_rater} pairs each are no study; give at least 1 of both.")
    if not 0 <= control_share <= 0.5 or not 0 <= control_pass <= 1:
        raise VivaceError("Controls take a share from 0 to 0.5, and the share to be passed is from 0 to 1.")


def write_design(path: Path, design: Design) -> None:
    """Write study.json, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"schema": SCHEMA, **asdict(design)}, indent=1) + "\n", encoding="utf-8")


def read_design(folder: Path) -> Design:
    """Read the study of a folder.

    Raises:
        VivaceError: no study there, or a damaged one.
    """
    path = folder / "study.json"
    if not path.is_file():
        raise VivaceError(f"{folder} holds no study; make one with `vivace study make`.")
    try:
        stored: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        plain = {name: stored[name] for name in Design.__dataclass_fields__ if name not in ("axes", "systems", "pairs")}
        return Design(
            **plain,
            axes=tuple(Axis(**axis) for axis in stored["axes"]),
            systems=tuple(stored["systems"]),
            pairs=tuple(Pair(**{**pair, "axes": tuple(pair.get("axes", ()))}) for pair in stored["pairs"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VivaceError(f"The study in {folder} is damaged ({error}); make it again.") from error
