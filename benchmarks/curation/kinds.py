"""Stages that look at what a clip is about: labels and balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.curation.counting import Row, Table, share
from benchmarks.curation.shots import Shot

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stages.balance import Balance, BalanceSettings
from vivace.curation.stages.labels import Labels, LabelSettings

# What a label of each kind of scene begins with.
LABEL_OF = {
    "impacts": ("Sound Effects/impacts/ball",),
    "talk": ("Entertainment/people/speech",),
    "drum": ("Entertainment/percussion/drum",),
    "bell": ("Entertainment/percussion/bell",),
    "woodblock": ("Entertainment/percussion/woodblock",),
    "xylophone": ("Entertainment/percussion/xylophone",),
    "ambience": ("Nature/", "Environment/"),
    "vehicle": ("Vehicles/",),
}
TEMPERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def labelled(shots: Sequence[Shot]) -> list[tuple[Shot, Clip]]:
    """Sound shots that are kept so far, with labels by their true captions."""
    stage = Labels(LabelSettings())
    found = []
    for shot in shots:
        if shot.fault or "coherence.kind" not in shot.clip.columns:
            continue
        clip = stage.measure(shot.clip.with_columns("subjects", text=shot.truth["caption"]))
        assert isinstance(clip, Clip)
        found.append((shot, clip))
    return found


def labels(found: Sequence[tuple[Shot, Clip]]) -> Table:
    """Labels against the true kind of each scene."""
    rows: list[Row] = []
    for kind, wanted in LABEL_OF.items():
        names = [clip["labels.label"] for shot, clip in found if shot.truth["kind"] == kind]
        if names:
            right = [name for name in names if name.startswith(wanted)]
            given = ", ".join(f"{name} {n}" for name, n in Counter(names).most_common())
            rows.append(
                {"true kind": kind, "shots": len(names), "right": share(len(right), len(names)), "labels given": given}
            )
    told = "Sound shots with their true captions; there is no threshold."
    return Table("labels", told, rows)


def balance(found: Sequence[tuple[Shot, Clip]]) -> Table:
    """Shares of the labels before and after, with the settings as they are."""
    measured = [_measured(clip) for _, clip in found]
    before = Counter(clip["balance.label"] for clip in measured)
    after = _left(measured)
    rows: list[Row] = [
        {
            "label": name,
            "before": n,
            "after": after[name],
            "share before": share(n, len(measured)),
            "share after": share(after[name], after.total()),
        }
        for name, n in before.most_common()
    ]
    points = []
    for temper in TEMPERS:
        left = _left(measured, temper=temper, speaking=None, weak=1.0)
        rare = before.most_common()[-1][0] if before else ""
        points.append(
            {
                "threshold": temper,
                "clips kept": share(left.total(), len(measured)),
                "largest share": share(max(left.values(), default=0), left.total()),
                "rarest label kept": share(left[rare], before[rare]),
            }
        )
    told = (
        "Sound shots by their labels: speaking and silent first, then weakly coherent ones, then the long tail. "
        "The curve is over `temper` alone."
    )
    return Table("balance", told, rows, {"temper": points})


def _measured(clip: Clip) -> Clip:
    found = Balance(BalanceSettings()).measure(clip)
    assert not isinstance(found, Rejected)
    return found


def _left(measured: Sequence[Clip], **settings: Any) -> Counter[str]:
    gone = {decision.clip for decision in Balance(BalanceSettings(**settings)).decide(measured)}
    return Counter(clip["balance.label"] for clip in measured if clip.id not in gone)
