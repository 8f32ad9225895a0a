"""Figures that others have published, each with its source and the protocol under which alone it may be compared.

The data are in published_rows.json. Shares are shares here, also where a paper prints them times 100. Papers differ in
pipelines, versions and subsets even where their figures have one name: rows of two protocols never share a table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class PublishedRow:
    """Args:
    model: as its authors call it. details: what else the table says of it. values: by `figures` of the table; None
        where it has none.
    """

    model: str
    values: tuple[float | None, ...]
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedTable:
    """Args:
    protocol: as a suite's (`vivace.evaluation.suites.suite.Suite`), or a name of its own where there is no such suite.
    source: where the table stands. note: what must be known to read it. figures: the names of its columns.
    """

    protocol: str
    source: str
    note: str
    figures: tuple[str, ...]
    rows: tuple[PublishedRow, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """All tables."""
    text = (files("vivace.evaluation") / "published_rows.json").read_text(encoding="utf-8")
    return tuple(
        PublishedTable(
            table["protocol"],
            table["source"],
            table["note"],
            tuple(table["figures"]),
            tuple(PublishedRow(row["model"], tuple(row["values"]), row.get("details", {})) for row in table["rows"]),
        )
        for table in json.loads(text)
    )


def tables_of(protocol: str) -> tuple[PublishedTable, ...]:
    """The tables of a suite's protocol; rewritten prompts are no protocol of their own, as papers do not tell them."""
    return tuple(table for table in published_tables() if table.protocol == protocol.removesuffix("-rewritten"))


def table_rows(table: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of a table as `PublishedTable.to_json` has it: the model with its details, and each figure."""
    lines = []
    for row in table["rows"]:
        details = ", ".join(f"{name} {value}" for name, value in row["details"].items() if value != "-")
        model = f"{row['model']} ({details})" if details else str(row["model"])
        lines.append((model, *("-" if value is None else f"{value:g}" for value in row["values"])))
    return lines
