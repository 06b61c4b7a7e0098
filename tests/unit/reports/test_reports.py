"""Reports: the right figures in the tables, all pictures, one page that loads nothing, no text as markup."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank_plugins.cli import app
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import Dataset, Document, read_trec_run, write_trec_run
from rerank_plugins.evaluation.results import (
    Cell,
    Comparison,
    Curve,
    CurvePoint,
    Estimate,
    EvaluationResults,
    Latency,
    System,
)
from rerank_plugins.reports import ReportFiles, ReportOptions, write_report
from rerank_plugins.reports.evidence import find_evidence, query_moves, split_scores
from rerank_plugins.reports.heatmap import heatmap_values
from rerank_plugins.reports.histogram import histogram_figure
from rerank_plugins.reports.page import tables_html
from rerank_plugins.reports.style import SERIES
from rerank_plugins.reports.systems import Names, Scene, short_name
from rerank_plugins.reports.table import dataset_table, holm, mean_table
from rerank_plugins.reports.tradeoff import trade_offs, tradeoff_figure

EVIL = '<script>alert("x")</script> & | `code` *stars*'


def cell(
    value: float,
    *,
    dataset: str = "one",
    reranker: str | None = None,
    top_k: int = 20,
    p_value: float | None = None,
    run_file: str | None = None,
    is_timed: bool = True,
) -> Cell:
    system = System(retriever="dense", embedder="org/embedder", reranker=reranker, top_k=top_k, top_n=5)
    against = {} if p_value is None else {"nDCG@10": Comparison(value - 0.5, p_value)}
    return Cell(
        dataset=dataset,
        system=system,
        measures={"nDCG@10": Estimate(value, value - 0.05, value + 0.05)},
        against_first_stage=against,
        n_queries=4,
        latency=Latency(10.0, 20.0) if is_timed else None,
        pairs_per_s=None if reranker is None else 100.0,
        run_file=run_file,
    )


def dataset(name: str = "one") -> Dataset:
    documents = {f"d{i}": Document(text=f"{EVIL} number {i}") for i in range(12)}
    queries = {f"q{i}": f"question {i} {EVIL}" for i in range(4)}
    return Dataset(name=name, documents=documents, queries=queries, qrels={f"q{i}": {f"d{i}": 1} for i in range(4)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return with_results(tmp_path)


def with_results(tmp_path: Path) -> Path:
    """Results with runs beside them: the relevant document rises from rank 7 + i to rank 1."""
    (tmp_path / "runs").mkdir()
    before = {f"q{i}": {f"d{(j + i) % 12}": float(j) for j in range(12)} for i in range(4)}
    after = {
        query: {key: score + (20.0 if key == f"d{query[1:]}" else 0.0) for key, score in scores.items()}
        for query, scores in before.items()
    }
    write_trec_run(before, tmp_path / "runs" / "first.trec")
    write_trec_run(after, tmp_path / "runs" / "second.trec.gz")
    results = EvaluationResults(
        cells=(
            cell(0.5, run_file="runs/first.trec"),
            cell(0.7, reranker="org/reranker", p_value=0.001, run_file="runs/second.trec.gz"),
            cell(0.6, reranker=EVIL, p_value=0.2),
            cell(0.4, dataset="two"),
            cell(0.8, dataset="two", reranker="org/reranker", p_value=0.001),
        ),
        curves=(
            Curve(kind="growth", dataset="one", measure="nDCG@10", lines={
                "one stage": tuple(CurvePoint(x, Estimate(0.7 - x / 1e5, 0.5, 0.8)) for x in (500, 1000, 5000)),
                "two stages": (CurvePoint(500, Estimate(0.8)), CurvePoint(5000, Estimate(0.85))),
            }),
            Curve(kind="depth", dataset=EVIL, measure="nDCG@10", lines={"line": (CurvePoint(10, Estimate(0.5)),)}),
        ),
        environment={"machine": EVIL},
    )  # fmt: skip
    (tmp_path / "results.json").write_text(results.to_json(), encoding="utf-8")
    return tmp_path


def read(folder: Path) -> EvaluationResults:
    return EvaluationResults.from_json((folder / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    """The report on what ``folder`` holds; its pictures take seconds."""
    folder = with_results(tmp_path_factory.mktemp("report"))
    return write_report(read(folder), folder / "report", runs=folder, datasets={"one": dataset()})


class Page(HTMLParser):
    """What a browser would see: tags, addresses, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_loads_nothing_and_runs_nothing(report: ReportFiles) -> None:
    text = report.html.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.tags & {"script", "img", "link", "iframe", "object"}
    assert page.addresses
    inside = [address[1:] for address in page.addresses if address.startswith("#")]
    others = [address for address in page.addresses if not address.startswith("#")]
    assert set(inside) <= set(page.ids)
    # The map's colours are a picture of their own, in the page.
    assert all(address.startswith("data:image/png;base64,") for address in others)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?https?:", text)
    assert EVIL in page.text


class Scrolling(HTMLParser):
    """For each table, the style of the element around it; likewise what is around each picture."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.around: dict[str, list[tuple[str, str]]] = {"table": [], "svg": []}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.around:
            self.around[tag].append(self.open[-1])
        if tag not in ("meta", "wbr", "br"):
            self.open.append((tag, dict(attrs).get("style") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag


def test_every_table_and_picture_scrolls_by_itself(report: ReportFiles, folder: Path) -> None:
    text = report.html.read_text(encoding="utf-8")
    around = Scrolling(text).around
    assert len(around["table"]) == 3 + 3  # results, queries
    assert all(one == ("div", "overflow-x: auto") for one in around["table"])
    assert {tag for tag, _ in around["svg"]} == {"figure"}
    assert re.search(r"figure \{[^}]*overflow-x: auto", text)
    # A part in somebody else's page has none of this page's styles.
    part = Scrolling(tables_html(Scene.of(read(folder)))).around["table"]
    assert part == [("div", "overflow-x: auto")] * 3


def test_all_pictures_are_there(report: ReportFiles) -> None:
    assert [path.stem for path in report.pictures] == [
        "quality-latency", "heatmap", "growth-1", "depth-2", "movement-1", "movement-2", "movement-3", "scores-one",
    ]  # fmt: skip
    markdown = report.markdown.read_text(encoding="utf-8")
    for path in report.pictures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"(pictures/{path.name})" in markdown
    assert report.html.read_text(encoding="utf-8").count("<svg") == len(report.pictures)


def test_the_json_gives_the_results_back(folder: Path, report: ReportFiles) -> None:
    assert EvaluationResults.from_json(report.json.read_text(encoding="utf-8")) == read(folder)


def test_markdown_shows_texts_as_they_are(report: ReportFiles) -> None:
    text = report.markdown.read_text(encoding="utf-8")
    assert "<script>" not in re.sub(r"\\.", "", text)
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(tables) == 3 + 3 + 1  # results, queries, environment
    for table in tables:
        widths = {re.sub(r"\\.", "", line).count("|") for line in table.splitlines()}
        assert len(widths) == 1


def test_without_runs_the_pictures_that_need_them_are_left_out(folder: Path) -> None:
    files = write_report(read(folder), folder / "bare")
    assert [path.stem for path in files.pictures] == ["quality-latency", "heatmap", "growth-1", "depth-2"]


def test_pictures_of_names_in_other_scripts_do_not_replace_each_other(folder: Path) -> None:
    cells = tuple(
        replace(one, dataset=name)
        for name in ("法律", "医疗")
        for one in read(folder).cells
        if one.run_file is not None
    )
    sets = {name: dataset(name) for name in ("法律", "医疗")}
    files = write_report(EvaluationResults(cells=cells), folder / "cjk", runs=folder, datasets=sets)
    scores = [path for path in files.pictures if path.stem.startswith("scores")]
    assert len(set(scores)) == 2
    markdown = files.markdown.read_text(encoding="utf-8")
    assert all(f"(pictures/{path.name})" in markdown for path in scores)


def test_dollars_in_names_are_no_formulas(tmp_path: Path) -> None:
    cells = (cell(0.5), cell(0.7, reranker="$x_{$", p_value=0.001), cell(0.6, reranker="$y^$"))
    files = write_report(EvaluationResults(cells=cells), tmp_path)
    assert "$x_{$" in Page(files.html.read_text(encoding="utf-8").partition("<svg")[2]).text


def test_a_query_can_be_asked_for(folder: Path) -> None:
    options = ReportOptions(query_id="q2")
    files = write_report(read(folder), folder / "q", runs=folder, datasets={"one": dataset()}, options=options)
    assert [path.stem for path in files.pictures if "movement" in path.stem] == ["movement-1"]
    with pytest.raises(InvalidInputError, match="no run has query 'q9'"):
        write_report(
            read(folder), folder / "q", runs=folder, datasets={"one": dataset()}, options=ReportOptions(query_id="q9")
        )


def test_best_intervals_and_marks() -> None:
    scene = Scene.of(
        EvaluationResults(
            cells=(cell(0.5), cell(0.7, reranker="a", p_value=0.001), cell(0.4, reranker="b", p_value=0.01))
        )
    )
    table = dataset_table(scene, "one")
    assert table.columns == ("nDCG@10", "p50 ms", "p95 ms", "pairs/s")
    figures = [row.entries[0] for row in table.rows]
    assert [(one.text, one.interval, one.mark, one.is_best) for one in figures] == [
        ("0.500", "0.450–0.550", "", False),
        ("0.700", "0.650–0.750", "▲", True),
        ("0.400", "0.350–0.450", "▼", False),
    ]
    assert [row.name for row in table.rows] == ["dense embedder", "dense embedder → a", "dense embedder → b"]


def priced(folder: Path) -> EvaluationResults:
    """The results of the folder; the first stage costs next to nothing, reranking 1,234.5 or 0.25."""
    results = read(folder)
    costs = (0.00001, 1234.5, 0.25, 0.00003, 0.75)
    cells = tuple(replace(one, cost_per_1000_queries=cost) for one, cost in zip(results.cells, costs, strict=True))
    return replace(results, cells=cells)


def test_costs_are_shown_and_the_least_is_the_best(folder: Path) -> None:
    scene = Scene.of(priced(folder))
    table, mean = dataset_table(scene, "one"), mean_table(scene)
    assert mean is not None
    for one in (table, mean):
        assert one.columns == ("nDCG@10", "p50 ms", "p95 ms", "pairs/s", "cost/1000")
    costs = [row.entries[-1] for row in table.rows]
    assert [(one.text, one.is_best) for one in costs] == [("<0.0001", True), ("1,234.50", False), ("0.2500", False)]
    assert [row.entries[-1].text for row in mean.rows] == ["<0.0001", "617.62"]


def test_costs_are_in_both_reports_only_where_there_was_a_price(folder: Path) -> None:
    files = write_report(priced(folder), folder / "priced")
    text = files.markdown.read_text(encoding="utf-8")
    assert text.count("| cost/1000 |") == 3
    assert "| **\\<0.0001** |" in text
    assert "currency" in text
    html = files.html.read_text(encoding="utf-8")
    assert html.count('<th scope="col">cost/1000</th>') == 3
    assert "<b>&lt;0.0001</b>" in html
    bare = write_report(read(folder), folder / "bare")
    for path in (bare.markdown, bare.html):
        assert "cost" not in path.read_text(encoding="utf-8")


def test_pictures_on_the_page_follow_its_scheme(report: ReportFiles) -> None:
    text = report.html.read_text(encoding="utf-8")
    style, _, body = text.partition("</style>")
    assert set(re.findall(r"var\((--[\w-]+)\)", body)) >= {"--ink", "--series-0", "--series-1"}
    for name in set(re.findall(r"var\((--[\w-]+)\)", text)):
        assert style.count(f"{name}:") == 2, f"{name} needs a light and a dark value"
    assert not [color for color in SERIES if color.lower() in body]


def test_a_single_dataset_is_no_mean(folder: Path) -> None:
    many, one = read(folder), replace(read(folder), cells=read(folder).cells[:2])
    texts = [
        write_report(results, folder / name).html.read_text(encoding="utf-8")
        for name, results in (("many", many), ("one", one))
    ]
    assert [("mean of datasets" in text, "over the datasets" in text) for text in texts] == [
        (True, True),
        (False, False),
    ]


def test_holm_by_hand() -> None:
    # 0.01 <= 0.05/3; 0.03 > 0.05/2, so it and everything after it fail.
    system = cell(0.5).system
    p_values = {"a": 0.04, "b": 0.01, "c": 0.03}
    comparisons = {(name, system): Comparison(0.1, p) for name, p in p_values.items()}
    assert holm(comparisons) == {("b", system)}


def test_means_are_of_systems_that_ran_everywhere(folder: Path) -> None:
    scene = Scene.of(read(folder))
    table = mean_table(scene)
    assert table is not None
    assert [(row.name, row.entries[0].text) for row in table.rows] == [
        ("dense embedder", "0.450"),
        ("dense embedder → reranker", "0.750"),
    ]
    assert "1 systems that did not run on all" in table.note
    rows, columns, values = heatmap_values(scene)
    assert (rows, columns) == (["dense embedder"], ["no reranker", "reranker"])
    assert values == [pytest.approx([0.45, 0.75])]
    assert [round(one.quality, 3) for one in trade_offs(scene)] == [0.45, 0.75]


def test_names_say_what_tells_systems_apart() -> None:
    systems = [cell(0.5, reranker="x/r", top_k=top_k).system for top_k in (10, 50)]
    assert Names.of(systems).full(systems[1]) == "dense embedder → r (top_k 50)"
    assert Names.of(systems[:1]).full(systems[0]) == "dense embedder → r"
    assert [short_name(name) for name in ("BAAI/bge", "/a/b/model/", "mini", "c:\\models\\m")] == [
        "bge", "model", "mini", "m",
    ]  # fmt: skip


def test_models_of_one_name_in_two_folders_are_told_apart() -> None:
    """Two rows, two columns and two colours had one name."""
    names = ("runs/1/best", "runs/2/best/", "best", "other/worst")
    scene = Scene.of(EvaluationResults(cells=tuple(cell(0.5, reranker=name) for name in names)))
    shown = ["1/best", "2/best", "best", "worst"]
    assert [scene.names.full(one.system) for one in scene.cells_of("one")] == [
        f"dense embedder → {name}" for name in shown
    ]
    assert sorted(heatmap_values(scene)[1]) == shown
    texts = [text.get_text() for text in tradeoff_figure(scene).legends[0].get_texts()]
    assert [text for text in texts if text in shown] == shown


def test_the_deepest_of_several_depths_counts_in_the_map() -> None:
    scene = Scene.of(
        EvaluationResults(cells=(cell(0.5), cell(0.6, reranker="r", top_k=50), cell(0.9, reranker="r", top_k=10)))
    )
    assert heatmap_values(scene)[2] == [[0.5, 0.6]]


def test_a_run_file_cannot_leave_its_folder(folder: Path) -> None:
    scene = Scene.of(read(folder))
    for name in ("../results.json", "/etc/hostname", "c:/x"):
        cells = tuple(replace(one, run_file=name) for one in scene.results.cells)
        wrong = replace(scene, results=replace(scene.results, cells=cells))
        with pytest.raises(InvalidInputError, match="leaves the folder"):
            find_evidence(wrong, runs=folder, datasets={"one": dataset()})


def test_ids_with_spaces_are_those_of_the_dataset(folder: Path) -> None:
    own = dataset()
    spaced = replace(
        own,
        documents={f"d {key[1:]}": document for key, document in own.documents.items()},
        queries={f"q {key[1:]}": text for key, text in own.queries.items()},
        qrels={f"q {key[1:]}": {f"d {one[1:]}": 1 for one in judged} for key, judged in own.qrels.items()},
    )
    for name in ("first.trec", "second.trec.gz"):
        run = read_trec_run(folder / "runs" / name)
        quoted = {
            f"q%20{key[1:]}": {f"d%20{one[1:]}": score for one, score in found.items()} for key, found in run.items()
        }
        write_trec_run(quoted, folder / "runs" / name)
    (plain,) = find_evidence(Scene.of(read(folder)), runs=folder, datasets={"one": spaced})
    assert plain.after["q 1"].keys() == spaced.documents.keys()
    assert len(split_scores(plain.after, spaced.qrels)[0]) == 4
    assert query_moves(plain)[0].case.move.after == 1


def test_scores_are_split_by_judgement() -> None:
    qrels: Mapping[str, Mapping[str, int]] = {"q": {"a": 2, "b": 0}}
    assert split_scores({"q": {"a": 1.0, "b": 2.0, "c": 3.0}, "other": {"a": 9.0}}, qrels) == ([1.0], [2.0, 3.0])
    with pytest.raises(InvalidInputError, match="needs both groups"):
        histogram_figure([], [1.0])
    histogram_figure([1.0], [1.0])


@pytest.mark.parametrize(
    ("results", "measure", "message"),
    [
        (EvaluationResults(cells=()), None, "neither a cell nor a curve"),
        (EvaluationResults(cells=(cell(0.5),)), "MAP", "measure 'MAP' is not in every cell"),
        (EvaluationResults(cells=(cell(0.5), replace(cell(0.6), measures={}))), None, "no measure in common"),
    ],
)
def test_nothing_to_report(results: EvaluationResults, measure: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=message):
        write_report(results, tmp_path, options=ReportOptions(measure=measure))


@pytest.mark.parametrize("cells", [(cell(0.5),), (cell(0.5, is_timed=False), cell(0.5, reranker="r", is_timed=False))])
def test_little_is_enough(cells: tuple[Cell, ...], tmp_path: Path) -> None:
    files = write_report(EvaluationResults(cells=cells), tmp_path / "report")
    assert "0.500" in files.markdown.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match=r"cannot be (made|written)"):
        write_report(EvaluationResults(cells=(cell(0.5),)), tmp_path / "file" / "report")


def test_the_command(folder: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(folder / "results.json"), "--output", str(folder / "out")])
    assert done.exit_code == 0, done.output
    assert json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))["cells"]
    missing = CliRunner().invoke(app, ["report", str(folder / "none.json"), "--output", str(folder / "out")])
    assert isinstance(missing.exception, InvalidInputError)


def test_data_that_was_not_evaluated_is_told(folder: Path) -> None:
    """It was read and left out; the demonstration's set, which evaluate takes by its name, was no path."""
    (folder / "three.jsonl").write_text('{"query": "q", "pos": ["a"], "neg": ["b"]}\n')
    command = ["report", str(folder / "results.json"), "--output", str(folder / "out"), "--data"]
    for data in (str(folder / "three.jsonl"), "demo"):
        done = CliRunner().invoke(app, [*command, data])
        assert isinstance(done.exception, InvalidInputError)
        assert "name what was evaluated" in str(done.exception)
