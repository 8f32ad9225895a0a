"""What other bounds and other deciding settings would keep, from what is measured already."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from vivace.curation.foresight import Foreseen, foresee
from vivace.curation.ledger_answers import values_of
from vivace.curation.ledger_reader import Entry, LedgerReader
from vivace.curation.recipe import StageTables
from vivace.curation.stage import Bound, Planned, plan
from vivace.errors import VivaceError

SIDES = tuple(name for name in Bound.model_fields if name != "column")


@dataclass(frozen=True)
class Effect:
    """What one bound does to the clips that were measured for it, with everything else as it is.

    Args:
        values: of the column, sorted; those that are None are counted in `without`.
    """

    stage: str
    reason: str
    bound: Bound
    values: Sequence[Any]
    without: int

    def share(self, bound: Bound) -> float:
        """The share of clips that another bound would let through."""
        total = len(self.values) + self.without
        passing = sum(map(bound.holds, self.values)) + (self.without if bound.holds(None) else 0)
        return passing / total if total else 1.0

    def quantiles(self, count: int = 10) -> list[float]:
        """Values at equal steps of the distribution, the ends included; none where no numbers were measured."""
        if not self.values or self.bound.on_text:
            return []
        return [self.values[round(k * (len(self.values) - 1) / count)] for k in range(count + 1)]

    def counts(self) -> dict[str, int]:
        """Of a bound on text: each value with the clips that have it, the most frequent first."""
        return dict(Counter(self.values).most_common()) if self.bound.on_text else {}


def effect(ledger: LedgerReader, name: str) -> Effect:
    """What the bound STAGE.REASON does.

    Raises:
        VivaceError: the last run had no such stage or bound.
    """
    stage, _, reason = name.partition(".")
    entries = {entry.stage: entry for entry in ledger.plan()}
    bounds = {f"{entry.stage}.{key}" for entry in entries.values() for key in entry.settings["bounds"]}
    if name not in bounds:
        raise VivaceError(
            f"Bound {name!r} is unknown; give one of {', '.join(sorted(bounds)) or '(none)'}, or a deciding setting "
            "with its value, such as clarity.cut=0.2."
        )
    bound = Bound.model_validate(entries[stage].settings["bounds"][reason])
    values = _column(ledger, entries, entries[stage], bound.column)
    kind = str if bound.on_text else float
    known = sorted(kind(value) for value in values if value is not None and value != "")
    return Effect(stage, reason, bound, known, len(values) - len(known))


def _column(ledger: LedgerReader, entries: Mapping[str, Entry], entry: Entry, column: str) -> list[Any]:
    """The values of a column, of its own stage or of another, of the clips that a stage measured."""
    stage, _, name = column.partition(".")
    if stage == entry.stage:
        return values_of(ledger, entry, name)
    measured = "FROM measured m JOIN {} WHERE m.stage = ? AND m.key = ? AND m.columns IS NOT NULL"
    place = (entry.stage, entry.key)
    if stage in ("input", "ingest"):  # which every clip has from its file
        rows = ledger.connection.execute(
            f"SELECT json_extract(o.columns, ?) {measured.format('clips o ON o.id = m.clip')}",
            (f'$."{column}"', *place),
        )
    else:
        other = entries[stage]
        joined = measured.format("measured o ON o.clip = m.clip AND o.stage = ? AND o.key = ?")
        rows = ledger.connection.execute(
            f"SELECT json_extract(o.columns, ?) {joined}", (f'$."{name}"', other.stage, other.key, *place)
        )
    return [row[0] for row in rows]


@dataclass(frozen=True)
class Consequence:
    """What a stage keeps now, and what it would keep."""

    now: Foreseen
    then: Foreseen


def consequences(ledger: LedgerReader, changes: Sequence[str]) -> list[Consequence]:
    """All stages of the last run in order, under its settings and under changed ones. Nothing is measured or written.

    Args:
        changes: such as "clarity.cut=0.2", "picture.blurred.least=0.25" or "balance.shares={Animals=0.2}"; several
            hold together.

    Raises:
        VivaceError: a change of what no stage decides with, or of a value that it does not take.
    """
    # Shards are written of what all other stages keep.
    entries = [entry for entry in ledger.plan() if entry.stage in StageTables.model_fields]
    now = {entry.stage: entry.settings for entry in entries}
    return [
        Consequence(*both)
        for both in zip(
            foresee(ledger, _planned(entries, now)),
            foresee(ledger, _planned(entries, _changed(now, changes))),
            strict=True,
        )
    ]


def _planned(entries: Sequence[Entry], settings: Mapping[str, Mapping[str, Any]]) -> list[Planned]:
    """The stages with these settings, and with the keys under which the last run's measurements lie."""
    unused = {name: {"use": False} for name in StageTables.model_fields if name not in settings}
    try:
        stages = StageTables.model_validate({**unused, **settings}).stages()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, said = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise VivaceError(f"What-if: {where}: {said}; correct it.") from None
    keys = {entry.stage: entry.key for entry in entries}
    return [Planned(planned.stage, keys[planned.name], planned.bounds) for planned in plan(stages)]


def _changed(now: Mapping[str, Mapping[str, Any]], changes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The settings by stage with the changes made."""
    found: dict[str, dict[str, Any]] = {stage: dict(settings) for stage, settings in now.items()}
    for change in changes:
        name, mark, text = change.partition("=")
        stage, _, path = name.strip().partition(".")
        field, *inner = path.split(".")
        if not mark or stage not in found:
            raise VivaceError(
                f"Change {change!r} is not STAGE.SETTING=VALUE of a stage of the last run; name one of "
                f"{', '.join(found)}."
            )
        bounds = found[stage]["bounds"]
        if field in bounds and len(inner) == 1 and inner[0] in SIDES:
            found[stage]["bounds"] = {**bounds, field: {**bounds[field], inner[0]: _value(change, text)}}
        elif field in _deciding(stage) and not inner:
            found[stage][field] = _value(change, text)
        elif field in _deciding(stage) and len(inner) == 1 and isinstance(found[stage][field], dict):
            found[stage][field] = {**found[stage][field], inner[0]: _value(change, text)}
        else:
            may = [f"{stage}.{reason}.{{{','.join(SIDES)}}}" for reason in bounds]
            may += [f"{stage}.{other}" for other in sorted(_deciding(stage))]
            raise VivaceError(
                f"Change {change!r} is of nothing that {stage!r} decides with, which is {', '.join(may) or 'nothing'}; "
                "what is measured with is changed in the recipe, and --foresee tells what that costs."
            )
    return found


def _deciding(stage: str) -> frozenset[str]:
    settings = StageTables.model_fields[stage].annotation
    deciding: frozenset[str] = getattr(settings, "DECIDING", frozenset())
    return deciding


def _value(change: str, text: str) -> Any:
    """A value of TOML; `none` for none, which TOML cannot say."""
    if text.strip() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        raise VivaceError(
            f'Change {change!r} has a value that is no TOML; write 0.2, true, "text", ["a", "b"] or none.'
        ) from None
