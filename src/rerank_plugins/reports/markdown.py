"""A report as Markdown, with pictures as files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rerank_plugins.reports.contents import Listing, Section
from rerank_plugins.reports.table import Entry, Table

__all__ = ["markdown_report"]

_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>|#~$"})


def markdown_report(
    sections: Sequence[Section], *, title: str, environment: Mapping[str, str], pictures: Mapping[str, str]
) -> str:
    """Return the report's text.

    Args:
        sections: What it says.
        title: Its heading.
        environment: Where the results were made.
        pictures: Name of a picture to its path, relative to the report.
    """
    blocks = [f"# {_plain(title)}"]
    for section in sections:
        blocks += [f"## {_plain(section.title)}", *([_plain(section.text)] if section.text else [])]
        if section.remarks:
            blocks.append("\n".join(f"- {_plain(remark)}" for remark in section.remarks))
        for table in section.tables:
            blocks += [f"### {_plain(table.title)}", f"{_plain(table.note).capitalize()}.", _table(table)]
        if section.listing:
            blocks.append(_listing(section.listing))
        if section.picture:
            blocks.append(f"![{_plain(section.picture.alt)}]({pictures[section.picture.name]})")
    if environment:
        lines = [f"| {_plain(name)} | {_plain(value)} |" for name, value in sorted(environment.items())]
        blocks += ["## Made with", "\n".join(["| | |", "|---|---|", *lines])]
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> str:
    head = f"| | {' | '.join(_plain(name) for name in table.columns)} |"
    rule = "|---|" + "---:|" * len(table.columns)
    rows = [f"| {_plain(row.name)} | {' | '.join(_entry(entry) for entry in row.entries)} |" for row in table.rows]
    return "\n".join([head, rule, *rows])


def _entry(entry: Entry) -> str:
    text = _plain(entry.text)
    figure = f"**{text}**" if entry.is_best else text
    interval = f"<br><sub>{entry.interval}</sub>" if entry.interval else ""
    return f"{figure}{entry.mark}{interval}"


def _listing(listing: Listing) -> str:
    lines = [f"> {_plain(' '.join(listing.query.split()))}", "", "| | before | after |", "|---|---|---|"]
    for rank in range(max(len(listing.before), len(listing.after))):
        cells = [_document(side[rank]) if rank < len(side) else "" for side in (listing.before, listing.after)]
        lines.append(f"| {rank + 1} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "✔: judged relevant."])


def _document(document: tuple[str, bool]) -> str:
    text, is_relevant = document
    return f"**✔** {_plain(text)}" if is_relevant else _plain(text)


def _plain(text: str) -> str:
    """Return text with all Markdown and HTML syntax escaped."""
    return text.translate(_SPECIAL).replace("\n", " ")
