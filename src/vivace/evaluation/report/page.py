"""One HTML file with its style, script and pictures inside: nothing is loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from vivace.media import replacing

__all__ = ["escape", "fold", "legend", "section", "table", "tiles", "write_page"]

# Nothing but what the file itself holds may be shown, and nothing but our script run, whatever a prompt says.
_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
    "base-uri 'none'; form-action 'none'"
)


def write_page(path: Path, title: str, lead: str, sections: Iterable[str]) -> None:
    """Write a page, whole or not at all.

    Args:
        title: plain text. lead: one paragraph under it, plain text. sections: HTML of `section`, `tiles` and the like.

    Raises:
        VivaceError: the path cannot be written.
    """
    own = files(__package__)
    style, script = ((own / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    document = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(digest=digest)}">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
<header>
<button class="look" type="button" hidden>Look: system</button>
<h1>{escape(title)}</h1>
<p>{escape(lead)}</p>
</header>
{"".join(sections)}
</main>
<script>{script}</script>
</body>
</html>
"""
    with replacing(path) as temporary:
        temporary.write_text(document, encoding="utf-8")


def section(title: str, *parts: str, note: str = "") -> str:
    """A titled part of a page; `note` is plain text under the title, `parts` are HTML."""
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{told}{''.join(parts)}</section>\n"


def fold(title: str, *parts: str, opened: bool = False) -> str:
    """Something that opens when its title is pressed."""
    return f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>{''.join(parts)}</details>\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of plain texts; the columns in `numbers` are set to the right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        kinds = (' class="number"' if place in numbers else "" for place in range(len(row)))
        return "".join(f"<{tag}{kind}>{escape(text)}</{tag}>" for kind, text in zip(kinds, row, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>\n'
    )


def tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    """Large numbers: (name, value, what stands under it), plain texts."""
    inside = "".join(
        f'<div class="tile"><div class="name">{escape(name)}</div><div class="value">{escape(value)}</div>'
        f'<div class="more">{escape(more)}</div></div>'
        for name, value, more in entries
    )
    return f'<div class="tiles">{inside}</div>\n'


def legend(colours: Mapping[str, str]) -> str:
    """Conditions by name with the class of their colour; a press fades one out."""
    inside = "".join(
        f'<button type="button" class="{colour}" aria-pressed="true" data-condition="{escape(name)}">'
        f'<span class="swatch"></span>{escape(name)}</button>'
        for name, colour in colours.items()
    )
    return f'<div class="legend">{inside}</div>\n'
