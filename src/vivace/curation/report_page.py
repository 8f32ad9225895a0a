"""A curation's report as one HTML file that needs nothing else: no script, no font, no other file; light and dark."""

from __future__ import annotations

from html import escape

from vivace.curation.funnel import Passage
from vivace.curation.report import Distribution, Example, Group, Report, Shares

MOST_SHARES = 40  # rows of one table of shares
_WIDTH, _TALL = 300, 72  # of a distribution's plot
_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#202124;--pale:#5f6368;--line:#dadce0;--fill:#c9d7ee;--kept:#1a6e3c;
--lost:#b3261e;--mark:#b3261e}
@media(prefers-color-scheme:dark){:root{--paper:#16181c;--ink:#e8eaed;--pale:#9aa0a6;--line:#3c4043;--fill:#31476b;
--kept:#6fcf97;--lost:#f28b82;--mark:#f28b82}}
body{font:15px/1.5 system-ui,sans-serif;background:var(--paper);color:var(--ink);max-width:1000px;margin:2em auto;
padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid var(--line)}
h3{font-size:1em;margin:1.2em 0 .3em}
table{border-collapse:collapse;width:100%}td,th{padding:.2em .6em;text-align:left;vertical-align:top}
th{color:var(--pale);font-weight:normal}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr+tr td{border-top:1px solid var(--line)}
.bar{height:.55em;background:var(--fill);min-width:1px}.bar.kept{background:var(--kept)}
figure{margin:.6em 0}figure img{display:block;max-width:100%;border-radius:3px}figure audio{height:2em;margin-top:.2em}
figcaption,.pale{color:var(--pale);font-size:.87em;overflow-wrap:anywhere;white-space:pre-line}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:1em}
svg{width:100%;height:auto}svg text{font:10px system-ui,sans-serif;fill:var(--pale)}
"""


def page(report: Report) -> str:
    """The whole document."""
    kept = [group for group in report.groups if group.reason is None]
    rejected = [group for group in report.groups if group.reason is not None]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(report.title)}</h1>",
        "<h2>Funnel</h2>",
        _funnel(report.stages),
        "<h2>Balance</h2>" if report.shares else "",
        *map(_shares, report.shares),
        "<h2>Distributions and bounds</h2>",
        '<p class="pale">Of all clips that were measured; what lies beyond a line is rejected. The outermost half '
        "percent at each end counts to the last bars.</p>",
        f'<div class="plots">{"".join(map(_distribution, report.distributions))}</div>',
        "<h2>Rejected</h2>",
        *map(_group, rejected),
        "<h2>Kept</h2>",
        *map(_group, kept),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _funnel(stages: list[Passage]) -> str:
    rows = []
    # Files come before the split and clips after it, so each stage is drawn against what came to it.
    for passage in stages:
        share = passage.kept / passage.entered if passage.entered else 0.0
        reasons = ", ".join(f"{count:,} {escape(reason)}" for reason, count in passage.rejected.items())
        others = [f"{passage.aside:,} set aside"] if passage.aside else []
        others += [f"{passage.waiting:,} waiting"] if passage.waiting else []
        seconds = "" if passage.seconds is None else f"{passage.seconds:.2f}"
        rows.append(
            f'<tr><td>{escape(passage.stage)}</td><td class="n">{passage.entered:,}</td>'
            f'<td class="n">{passage.kept:,}</td>'
            f'<td style="width:22%"><div class="bar kept" style="width:{share:.1%}" title="{share:.1%}"></div></td>'
            f'<td>{", ".join(filter(None, [reasons, *others]))}</td><td class="n">{seconds}</td></tr>'
        )
    head = (
        '<tr><th>stage</th><th class="n">came</th><th class="n">kept</th><th></th><th>rejected</th>'
        '<th class="n">s/clip</th></tr>'
    )
    return f"<table>{head}{''.join(rows)}</table>"


def _shares(shares: Shares) -> str:
    before = sum(n for _, n, _ in shares.rows) or 1
    after = sum(m for _, _, m in shares.rows) or 1
    rows = [
        f"<tr><td>{escape(name)}</td>{_share(n, before, 'bar')}{_share(m, after, 'bar kept')}</tr>"
        for name, n, m in shares.rows[:MOST_SHARES]
    ]
    more = len(shares.rows) - MOST_SHARES
    rest = f'<p class="pale">and {more} more</p>' if more > 0 else ""
    head = '<tr><th></th><th class="n" colspan="3">before</th><th class="n" colspan="3">after</th></tr>'
    return f"<h3>{escape(shares.title)}</h3><table>{head}{''.join(rows)}</table>{rest}"


def _share(count: int, total: int, style: str) -> str:
    share = count / total
    return (
        f'<td class="n">{count:,}</td><td class="n">{share:.1%}</td>'
        f'<td style="width:22%"><div class="{style}" style="width:{share:.1%}"></div></td>'
    )


def _distribution(drawn: Distribution) -> str:
    found, bound = drawn.found, drawn.bound
    top, step = max(found.counts) or 1, _WIDTH / len(found.counts)
    bars = "".join(
        f'<rect x="{n * step:.1f}" y="{_TALL * (1 - count / top):.1f}" width="{step - 0.8:.1f}" '
        f'height="{_TALL * count / top:.1f}" fill="var(--fill)"/>'
        for n, count in enumerate(found.counts)
        if count
    )
    lines = []
    for value in (bound.least, bound.most):
        # A bound beyond all values is drawn at the edge: nothing is rejected, or everything.
        if value is not None and bound.use:
            x = min(max((value - found.low) / (found.high - found.low), 0.0), 1.0) * _WIDTH
            lines.append(
                f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{_TALL}" stroke="var(--mark)" stroke-width="1.5"/>'
            )
    sides = [f"at least {bound.least:g}"] if bound.least is not None else []
    sides += [f"at most {bound.most:g}"] if bound.most is not None else []
    wanted = " and ".join(sides) if bound.use else "not used"
    without = f", {found.without:,} clips without a value" if found.without else ""
    return (
        f"<figure><figcaption>{escape(drawn.stage)}.{escape(drawn.reason)}: {escape(bound.column)} {wanted}{without}"
        f'</figcaption><svg viewBox="0 0 {_WIDTH} {_TALL + 14}" role="img">{bars}{"".join(lines)}'
        f'<line x1="0" y1="{_TALL}" x2="{_WIDTH}" y2="{_TALL}" stroke="var(--line)"/>'
        f'<text x="0" y="{_TALL + 11}">{found.low:.3g}</text>'
        f'<text x="{_WIDTH}" y="{_TALL + 11}" text-anchor="end">{found.high:.3g}</text></svg></figure>'
    )


def _group(group: Group) -> str:
    title = "by all stages" if group.reason is None else f"{group.stage}: {group.reason}"
    return f"<h3>{escape(title)}, {group.count:,}</h3>{''.join(map(_example, group.examples))}"


def _example(example: Example) -> str:
    clip = example.clip
    length = "" if clip.seconds is None else f", {clip.seconds:.2f} s from {clip.start:.2f} s on"
    picture = f'<img alt="" src="data:image/jpeg;base64,{example.picture}">' if example.picture else ""
    sound = ""
    if example.sound:
        sound = f'<audio controls preload="none" src="data:audio/wav;base64,{example.sound}"></audio>'
    # A name may hold bytes that are no text.
    place = f"{clip.path}{length} ({clip.id})".encode(errors="replace").decode()
    told = example.told.encode(errors="replace").decode()
    return f"<figure>{picture}{sound}<figcaption>{escape(told)}\n{escape(place)}</figcaption></figure>"
