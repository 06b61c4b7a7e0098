"""A report as one self-contained HTML page: no network, no JavaScript, with light and dark colours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from rerank_plugins.reports.contents import Listing, Section
from rerank_plugins.reports.style import DARK_SERIES, SERIES, svg
from rerank_plugins.reports.systems import Scene
from rerank_plugins.reports.table import Entry, Table, result_tables

__all__ = ["html_report", "tables_html"]


def _series(colors: Sequence[str]) -> str:
    return " ".join(f"--series-{place}: {color};" for place, color in enumerate(colors))


_STYLE = """
:root { color-scheme: light dark; LIGHT_SERIES --paper: #ffffff; --ink: #1f2328; --muted: #8c959f; --line: #d8dee4;
  --band: #f4f6f8; --best: #0a5fa8; --good: #0a7f5f; --bad: #b94a00; }
@media (prefers-color-scheme: dark) { :root { DARK_SERIES
  --paper: #15191e; --ink: #e3e8ee; --muted: #8791a0; --line: #313842;
  --band: #1d232a; --best: #6db6f5; --good: #4ecfa4; --bad: #f2955c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
main { max-width: 80rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .1rem; } p { margin: .3rem 0 .8rem; max-width: 46rem; }
/* Whatever a name holds, the page is as wide as the window: words break, tables and pictures scroll by themselves. */
h1, h2, h3, p, nav a, li, blockquote { overflow-wrap: anywhere; }
nav { font-size: .9rem; } nav a { display: inline-block; margin-right: 1rem; } a { color: var(--best); }
.note { color: var(--muted); font-size: .85rem; margin: 0 0 .5rem; }
.scroll { overflow-x: auto; max-width: max-content; } table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } th[scope=row], .words td { text-align: left; }
/* The names stay in sight while the figures scroll, and give way to them where there is little room. */
.figures th[scope=row] { white-space: normal; overflow-wrap: anywhere; min-width: 8.2rem; max-width: 24rem; }
.figures tr > :first-child { position: sticky; left: 0; background: var(--paper); }
.figures tbody tr:nth-child(even) > :first-child { background: var(--band); }
tbody tr:nth-child(even) { background: var(--band); } td { font-variant-numeric: tabular-nums; }
td small { display: block; color: var(--muted); font-size: .74rem; white-space: nowrap; }
td b { color: var(--best); } .up { color: var(--good); } .down { color: var(--bad); }
ul { margin: .3rem 0 .8rem; padding-left: 1.2rem; max-width: 46rem; }
blockquote { margin: .6rem 0; padding: .2rem .9rem; border-left: 3px solid var(--best); font-weight: 600; }
.words td { width: 50%; overflow-wrap: anywhere; } .words { max-width: 62rem; } .hit { font-weight: 600; }
.hit::before { content: "✔ "; color: var(--good); }
figure { margin: .6rem 0; overflow-x: auto; } figure svg { width: 100%; height: auto; display: block; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .85rem; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { th, td { padding: .3rem .45rem; } h1 { font-size: 1.4rem; } }
@media print { nav { display: none; } section { break-inside: avoid-page; } }
""".replace("LIGHT_SERIES", _series(SERIES)).replace("DARK_SERIES", _series(DARK_SERIES))


# Inline styles, because the table may be in a page without our style sheet, a notebook for example.
_SCROLLING = '<div class="scroll" style="overflow-x: auto">'


def html_report(sections: Sequence[Section], *, title: str, environment: Mapping[str, str]) -> str:
    """Return the page's text; every picture is an SVG element in it.

    Args:
        sections: What it says.
        title: Its heading.
        environment: Where the results were made.
    """
    links = "".join(
        f'<a href="#part-{place}">{escape(section.title)}</a> ' for place, section in enumerate(sections, start=1)
    )
    parts = "\n".join(_section(section, place=place) for place, section in enumerate(sections, start=1))
    # The content security policy blocks all loading, whatever a text may contain.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<nav>{links}</nav>
{parts}
{_environment(environment)}
</main>
</body>
</html>
"""


def tables_html(scene: Scene, *, with_costs: bool = True) -> str:
    """Return the tables of a report as HTML to put into another page, a notebook for example.

    Args:
        scene: The results.
        with_costs: Whether times and speed are shown.
    """
    return "\n".join(_table(table) for table in result_tables(scene, with_costs=with_costs))


def _section(section: Section, *, place: int) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{escape(section.text)}</p>")
    if section.remarks:
        parts.append(f"<ul>{''.join(f'<li>{escape(remark)}</li>' for remark in section.remarks)}</ul>")
    parts += [_table(table) for table in section.tables]
    if section.listing:
        parts.append(_listing(section.listing))
    if section.picture:
        figure = section.picture.draw()
        width = float(figure.get_size_inches()[0])
        picture = svg(figure, name=f"part-{place}")
        picture = picture.replace("<svg", f'<svg role="img" aria-label="{escape(section.picture.alt)}"', 1)
        # Text in pictures keeps about the size of the page's text; on a narrow page the picture scrolls.
        picture = picture.replace("<svg", f'<svg style="min-width: {width * 3.4:.1f}rem"', 1)
        parts.append(f'<figure style="max-width: {width * 6.4:.1f}rem">{picture}</figure>')
    return f'<section id="part-{place}">\n' + "\n".join(parts) + "\n</section>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "\n".join(
        f'<tr><th scope="row">{_breakable(row.name)}</th>{"".join(_entry(entry) for entry in row.entries)}</tr>'
        for row in table.rows
    )
    return (
        f'<h3>{escape(table.title)}</h3><p class="note">{escape(table.note)}</p>\n'
        f'{_SCROLLING}<table class="figures">'
        f"<thead><tr><th></th>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _breakable(name: str) -> str:
    """Return a name with possible line breaks after options, words and folders."""
    return re.sub(r"(&amp;|[?_=/])", r"\1<wbr>", escape(name))


def _entry(entry: Entry) -> str:
    figure = f"<b>{escape(entry.text)}</b>" if entry.is_best else escape(entry.text)
    mark = f' <span class="{"up" if entry.mark == "▲" else "down"}">{entry.mark}</span>' if entry.mark else ""
    interval = f'<small style="display: block">{escape(entry.interval)}</small>' if entry.interval else ""
    return f"<td>{figure}{mark}{interval}</td>"


def _listing(listing: Listing) -> str:
    rows = []
    for rank in range(max(len(listing.before), len(listing.after))):
        cells = "".join(
            _document(side[rank]) if rank < len(side) else "<td></td>" for side in (listing.before, listing.after)
        )
        rows.append(f'<tr><th scope="row">{rank + 1}</th>{cells}</tr>')
    return (
        f"<blockquote>{escape(listing.query)}</blockquote>\n"
        f'{_SCROLLING}<table class="words"><thead><tr><th></th><th scope="col" style="text-align:left">before'
        '</th><th scope="col" style="text-align:left">after</th></tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="note">✔: judged relevant</p>'
    )


def _document(document: tuple[str, bool]) -> str:
    text, is_relevant = document
    return f'<td class="hit">{escape(text)}</td>' if is_relevant else f"<td>{escape(text)}</td>"


def _environment(environment: Mapping[str, str]) -> str:
    if not environment:
        return ""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in sorted(environment.items()))
    return f"<section><h2>Made with</h2><dl>{rows}</dl></section>"
