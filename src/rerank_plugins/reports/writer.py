"""Writing a report: three files and a folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.display.terminal import visible
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.results import EvaluationResults
from rerank_plugins.reports.contents import Section, sections_of
from rerank_plugins.reports.evidence import find_evidence
from rerank_plugins.reports.markdown import markdown_report
from rerank_plugins.reports.page import html_report
from rerank_plugins.reports.style import save_png
from rerank_plugins.reports.systems import Scene
from rerank_plugins.system.files import made_folder, write_atomically

__all__ = ["ReportFiles", "ReportOptions", "write_report"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Options of a report.

    Attributes:
        title: Its heading.
        measure: The measure in the pictures; None takes nDCG@10, or the first that all results have.
        query_id: The query whose documents are shown; None picks the one helped most, a typical one and the
            one hurt most, of the first dataset that has runs.
    """

    title: str = "Two-stage retrieval: evaluation"
    measure: str | None = None
    query_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """The files that were written.

    Attributes:
        markdown: ``report.md``.
        json: ``results.json``.
        html: ``report.html``, which needs none of the others.
        pictures: PNG files that the Markdown shows.
    """

    markdown: Path
    json: Path
    html: Path
    pictures: tuple[Path, ...]


@checked_call()
def write_report(
    results: EvaluationResults,
    folder: str | Path,
    *,
    runs: str | Path | None = None,
    datasets: Mapping[str, Dataset] | None = None,
    options: ReportOptions | None = None,
) -> ReportFiles:
    """Write ``report.md``, ``results.json``, ``report.html`` and ``pictures/*.png``.

    Rank movements and score histograms need the runs and the judgements; without them they are left out.

    Args:
        results: What the evaluation found.
        folder: Made if it is not there; files of these names in it are replaced.
        runs: Folder that the results' ``run_file`` are relative to; None if there are no runs.
        datasets: Name to dataset, for judgements and texts.
        options: What is shown; None takes the defaults.

    Raises:
        InvalidInputError: There is nothing to report, an option names something that is not there, a run
            file is malformed, or the folder cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    options = options or ReportOptions()
    scene = Scene.of(results, measure=options.measure)
    evidence = find_evidence(scene, runs=None if runs is None else Path(runs), datasets=datasets or {})
    sections = sections_of(scene, evidence, query_id=options.query_id)
    folder = Path(folder)
    pictures = _pictures(sections, made_folder(folder / "pictures"))
    paths = {name: path.relative_to(folder).as_posix() for name, path in pictures.items()}
    texts = {
        "report.md": visible(
            markdown_report(sections, title=options.title, environment=results.environment, pictures=paths)
        ),
        "results.json": results.to_json(),
        "report.html": visible(html_report(sections, title=options.title, environment=results.environment)),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return ReportFiles(
        markdown=folder / "report.md",
        json=folder / "results.json",
        html=folder / "report.html",
        pictures=tuple(pictures.values()),
    )


def _pictures(sections: list[Section], folder: Path) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for picture in (section.picture for section in sections if section.picture):
        path = folder / f"{_file_name(picture.name)}.png"
        # Names in other scripts may become equal when reduced to ASCII letters.
        path = folder / f"{path.stem}-{len(paths)}.png" if path in paths.values() else path
        paths[picture.name] = save_png(picture.draw(), path)
    return paths


def _file_name(name: str) -> str:
    """Return a name that every file system and every Markdown reader takes."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
