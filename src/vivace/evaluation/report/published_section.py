"""The section of a report that shows what others have published under the same protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vivace.evaluation.published_rows import table_rows
from vivace.evaluation.report.page import escape, fold, section, table

NOTE = (
    "As printed by their authors, and not measured here. A figure of yours may stand beside them only where its "
    "adapter has been verified on the public weights; nothing is ranked."
)


def published_section(summary: Mapping[str, Any]) -> str:
    """The tables of summary.json's "published_rows"; nothing where there are none."""
    parts = []
    for found in summary.get("published_rows") or ():
        head = ("model", *found["figures"])
        shown = table(head, table_rows(found), tuple(range(1, len(head))))
        note = f'<p class="note">{escape(str(found["note"]))}</p>' if found["note"] else ""
        parts.append(fold(str(found["source"]), note + shown))
    return section("Published by others", *parts, note=NOTE) if parts else ""
