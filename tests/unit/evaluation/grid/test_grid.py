"""The grid on tiny checkpoints: right figures, nothing done twice, nothing lost when it is killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from tiny import tiny_dataset, tiny_options

from rerank_plugins import Embedder, Reranker, TwoStageRetriever
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import evaluate, ranked_ids, read_trec_run
from rerank_plugins.evaluation.grid import CurveOptions, GridOptions, ModelChoice, run_evaluation
from rerank_plugins.evaluation.measures import parse_measures
from rerank_plugins.evaluation.results import Cell, EvaluationResults

CURVES = CurveOptions(growth_from=20, depths=(2, 8))


@pytest.fixture(scope="module")
def done(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[EvaluationResults, Path]:
    """The results of a whole run, and its folder."""
    folder = tmp_path_factory.mktemp("done")
    options = tiny_options(checkpoints, price_per_hour=3.6)
    return run_evaluation([tiny_dataset()], options, folder, curves=CURVES), folder


def untimed(results: EvaluationResults) -> tuple[list[Cell], object]:
    cells = [replace(cell, latency=None, pairs_per_s=None, cost_per_1000_queries=None) for cell in results.cells]
    return cells, results.curves


def stored(folder: Path) -> dict[str, tuple[int, int]]:
    """What must not be made twice, with inode and time of change."""
    found = {}
    for room in ("vectors", "first_stages", "pairs"):
        for path in (folder / room).rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                found[str(path)] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def test_every_cell_is_what_two_stage_search_returns(done: tuple[EvaluationResults, Path], checkpoints: Path) -> None:
    results, _ = done
    dataset = tiny_dataset()
    assert len(results.cells) == 6
    with Embedder(checkpoints / "bert-embedder") as embedder, Reranker(checkpoints / "bert-reranker") as reranker:
        for cell in results.cells:
            system = cell.system
            search = TwoStageRetriever.from_documents(
                dataset.texts,
                retriever=system.retriever,
                embedder=embedder,
                reranker=reranker if system.reranker else None,
                top_k=system.top_k,
                top_n=system.top_n,
            ).search
            run = {key: {one.id: 1.0 / one.rank for one in search(query)} for key, query in dataset.queries.items()}
            figures = evaluate(run, dataset.qrels, measures=parse_measures(list(cell.measures)))
            assert {name: one.value for name, one in cell.measures.items()} == pytest.approx(
                {name: figures.mean(name) for name in cell.measures}, abs=1e-9
            )


def test_what_a_cell_holds(done: tuple[EvaluationResults, Path]) -> None:
    results, folder = done
    dataset = tiny_dataset()
    for cell in results.cells:
        assert (cell.dataset, cell.n_queries) == ("tiny", 12)
        assert all(one.low <= one.value <= one.high for one in cell.measures.values())
        is_first = cell.system.reranker is None
        assert (cell.system.embedder is None) == (cell.system.retriever == "bm25")
        assert (cell.pairs_per_s is None) == (cell.against_first_stage == {}) == is_first
        assert cell.latency.n_queries == (12 if is_first else 4)
        assert 0.0 < cell.latency.p50_ms <= cell.latency.p95_ms
        # 3.6 an hour is 0.001 a second: 1000 queries cost their mean seconds.
        assert 0.0 < cell.cost_per_1000_queries <= cell.latency.p95_ms / 1e3 * 1.5
        run = read_trec_run(folder / cell.run_file)
        assert set(run) <= set(dataset.queries)
        assert max(len(found) for found in run.values()) == cell.system.top_k
        assert {unquote(key) for found in run.values() for key in found} <= set(dataset.documents)
    differences = {
        cell.system.retriever: cell.against_first_stage["nDCG@10"].difference
        for cell in results.cells
        if cell.system.reranker
    }
    alone = {
        cell.system.retriever: cell.measures["nDCG@10"].value for cell in results.cells if not cell.system.reranker
    }
    for cell in results.cells:
        if cell.system.reranker:
            name = cell.system.retriever
            assert cell.measures["nDCG@10"].value == pytest.approx(alone[name] + differences[name])
    assert EvaluationResults.from_json((folder / "results.json").read_text()) == results
    assert results.environment["data tiny"] == "40 documents, 12 queries"


def test_curves(done: tuple[EvaluationResults, Path]) -> None:
    results, _ = done
    depth, growth = results.curves
    assert (depth.kind, growth.kind, growth.measure) == ("depth", "growth", "nDCG@10")
    assert all([point.x for point in points] == [2, 8] for points in depth.lines.values())
    assert len(depth.lines) == 3
    assert len(growth.lines) == 6
    for points in growth.lines.values():
        assert [point.x for point in points] == [24, 40]  # 24 documents are relevant.
        assert all(point.estimate.low is not None for point in points)
    # With the whole corpus the curves meet the grid.
    whole = {name: points[-1].estimate.value for name, points in growth.lines.items()}
    for cell in results.cells:
        first = " ".join(part for part in (cell.system.retriever, cell.system.embedder) if part)
        name = first if cell.system.reranker is None else f"{first} → {cell.system.reranker}"
        assert whole[name] == pytest.approx(cell.measures["nDCG@10"].value)


def test_a_second_run_does_nothing_and_a_larger_grid_only_what_is_new(
    done: tuple[EvaluationResults, Path], checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = done
    before = stored(folder)
    options = tiny_options(checkpoints, top_ns=(2, 5), measures=("MRR@5",))
    with monkeypatch.context() as patch:
        patch.setattr("rerank_plugins.evaluation.grid.model_pool.Reranker", None)
        patch.setattr("rerank_plugins.evaluation.grid.model_pool.Embedder", None)
        cells = run_evaluation([tiny_dataset()], options, folder).cells
    assert stored(folder) == before
    assert len(cells) == 12
    assert {next(iter(cell.measures)) for cell in cells} == {"MRR@5"}

    renamed = tiny_options(checkpoints, embedders=(f"other={checkpoints / 'bert-embedder'}",))
    assert run_evaluation([tiny_dataset()], renamed, folder).cells[2].system.embedder == "other"
    assert stored(folder) == before

    grown = tiny_dataset(n_queries=13)
    run_evaluation([grown], tiny_options(checkpoints), folder)
    after = stored(folder)
    assert {path: after[path] for path in before} == before
    new_entries = [entry for path in set(after) - set(before) for entry in json.loads(Path(path).read_bytes())]
    assert len(new_entries) == 4  # The new query in three first stages, and its pairs.
    assert run_evaluation([tiny_dataset()], tiny_options(checkpoints), folder).cells[0].n_queries == 12


def test_nested_depths_share_scores(checkpoints: Path, tmp_path: Path) -> None:
    options = tiny_options(checkpoints, retrievers=("bm25",), top_ks=(3, 8), top_ns=(2,))
    cells = run_evaluation([tiny_dataset()], options, tmp_path).cells
    assert [cell.system.top_k for cell in cells] == [8, 3, 8]
    entries = [entry for path in (tmp_path / "pairs").rglob("*.json") for entry in json.loads(path.read_bytes())]
    assert len(entries) == 12
    first_stages = [
        entry for path in (tmp_path / "first_stages").rglob("*.json") for entry in json.loads(path.read_bytes())
    ]
    found = {entry["query"]: len(entry["ids"]) for entry in first_stages}
    assert {entry["query"]: len(entry["scores"]) for entry in entries} == found
    assert sorted({entry["top_k"] for entry in entries}) == [3, 8]


def test_equal_texts_are_scored_once_and_tie(checkpoints: Path, tmp_path: Path) -> None:
    dataset = tiny_dataset()
    copies = {f"copy of {key}": document for key, document in dataset.documents.items()}
    dataset = replace(dataset, documents={**dataset.documents, **copies})
    options = tiny_options(checkpoints, retrievers=("bm25", "dense"), top_ks=(9,))
    cells = run_evaluation([dataset], options, tmp_path).cells
    entries = [entry for path in (tmp_path / "pairs").rglob("*.json") for entry in json.loads(path.read_bytes())]
    assert not any(
        key.startswith("copy of") and key[8:] in entry["scores"] for entry in entries for key in entry["scores"]
    )
    for cell in cells:
        if cell.system.reranker:
            for found in read_trec_run(tmp_path / cell.run_file).values():
                names = [unquote(key).removeprefix("copy of ") for key in ranked_ids(found)]
                twins = [name for name in names if names.count(name) == 2]
                assert all(one == other for one, other in zip(twins[::2], twins[1::2], strict=True))


def test_given_candidates_are_reranked_and_nothing_else(checkpoints: Path, tmp_path: Path) -> None:
    dataset = tiny_dataset()
    options = tiny_options(checkpoints, retrievers=("candidates",), top_ns=(4,), measures=("MAP",))
    alone, reranked = run_evaluation([dataset], options, tmp_path).cells
    assert alone.measures["MAP"].value == 1.0  # The relevant ones stand first in the lists.
    run = read_trec_run(tmp_path / reranked.run_file)
    assert {key: {unquote(one) for one in found} for key, found in run.items()} == {
        key: set(listed) for key, listed in dataset.candidates.items()
    }
    with pytest.raises(InvalidInputError, match="'tiny' gives no candidate lists"):
        run_evaluation([replace(dataset, candidates={})], options, tmp_path)


def test_a_query_that_finds_nothing_counts_zero(checkpoints: Path, tmp_path: Path) -> None:
    dataset = tiny_dataset(n_queries=4)
    dataset = replace(dataset, queries={**dataset.queries, "q0": "unheard of"})
    options = tiny_options(checkpoints, retrievers=("bm25",), measures=("hit@5",))
    alone, reranked = run_evaluation([dataset], options, tmp_path).cells
    assert alone.n_queries == reranked.n_queries == 4
    assert alone.measures["hit@5"].value == 0.75


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(
    done: tuple[EvaluationResults, Path], checkpoints: Path, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("killed.py")
    folder = tmp_path / "killed"
    kept: dict[str, tuple[int, int]] = {}
    for n_files in (3, 6):
        command = [sys.executable, str(script), str(checkpoints), str(folder), str(n_files)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        now = stored(folder)
        assert {path: now[path] for path in kept} == kept
        assert len(now) > len(kept)
        kept = now
    results = run_evaluation([tiny_dataset()], tiny_options(checkpoints), folder, curves=CURVES)
    now = stored(folder)
    assert {path: now[path] for path in kept} == kept
    # Nothing lost: the same figures as without a kill. Nothing twice: no pair and no query is stored two times.
    whole, _ = done
    assert untimed(results) == untimed(whole)
    for room in ("pairs", "first_stages"):
        for log in (folder / room).iterdir():
            entries = [entry for path in log.glob("[0-9]*.json") for entry in json.loads(path.read_bytes())]
            pairs = [(entry["query"], one) for entry in entries for one in entry.get("scores", entry.get("ids"))]
            if room == "pairs":
                assert len(pairs) == len(set(pairs))
            else:
                assert len({entry["query"] for entry in entries}) == len(entries)


def test_a_damaged_file_is_named(checkpoints: Path, tmp_path: Path) -> None:
    options = tiny_options(checkpoints, retrievers=("bm25",))
    run_evaluation([tiny_dataset()], options, tmp_path)
    path = next((tmp_path / "pairs").rglob("*.json"))
    path.write_text('[{"query"')
    with pytest.raises(InvalidInputError, match="remove it, and its part is run again"):
        run_evaluation([tiny_dataset()], options, tmp_path)
    path.unlink()
    assert len(run_evaluation([tiny_dataset()], options, tmp_path).cells) == 2


def test_a_damaged_vector_file_is_named(checkpoints: Path, tmp_path: Path) -> None:
    options = tiny_options(checkpoints, retrievers=("dense",), rerankers=())
    run_evaluation([tiny_dataset()], options, tmp_path)
    path = next((tmp_path / "vectors").rglob("*.npy"))
    path.write_bytes(path.read_bytes()[:100])
    shutil.rmtree(tmp_path / "first_stages")
    with pytest.raises(InvalidInputError, match=r"\.npy is not what was stored there; remove it"):
        run_evaluation([tiny_dataset()], options, tmp_path)
    path.unlink()
    assert len(run_evaluation([tiny_dataset()], options, tmp_path).cells) == 1


def test_another_device_is_measured_anew(checkpoints: Path, tmp_path: Path) -> None:
    options = tiny_options(checkpoints, retrievers=("dense",))
    run_evaluation([tiny_dataset()], options, tmp_path)
    before = stored(tmp_path)
    run_evaluation([tiny_dataset()], replace(options, device=None), tmp_path)
    assert len(stored(tmp_path)) == 2 * len(before)


@pytest.mark.parametrize("names", [("a b", "a_b"), ("..", "."), ("a/../b", "a_.._b")])
def test_every_dataset_has_its_own_folder_of_runs(checkpoints: Path, tmp_path: Path, names: tuple[str, str]) -> None:
    options = tiny_options(checkpoints, retrievers=("bm25",), rerankers=())
    datasets = [replace(tiny_dataset(), name=name) for name in names]
    files = [cell.run_file for cell in run_evaluation(datasets, options, tmp_path).cells]
    assert len({Path(file).parent for file in files}) == 2
    assert all(
        (tmp_path / file).is_file() and len(Path(file).parts) == 3 and ".." not in Path(file).parts for file in files
    )


def test_a_folder_that_takes_no_vectors(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "vectors").write_text("")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        run_evaluation([tiny_dataset()], tiny_options(checkpoints, retrievers=("dense",)), tmp_path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"retrievers": ()}, "retrievers must name"),
        ({"retrievers": ("magic",)}, "'magic'"),
        ({"embedders": ()}, "need an embedder"),
        ({"top_ks": (0,)}, "top_ks must hold"),
        ({"top_ns": (9,)}, "retrieve more or keep fewer"),
        ({"measures": ()}, "measures must name"),
        ({"seed": -1}, "seed must be"),
        ({"n_resamples": 0}, "n_resamples must hold"),
        ({"n_permutations": 0}, "n_permutations must hold"),
        ({"rerankers": ("x=a", "x=b")}, "two models have one name"),
        ({"embedders": ("mini?colour=red",)}, "cannot use colour"),
        ({"price_per_hour": -1.0}, "price_per_hour must be"),
        ({"price_per_hour": float("nan")}, "price_per_hour must be"),
    ],
)
def test_options_that_cannot_work(changes: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        GridOptions(**{"top_ks": (8,), "top_ns": (5,), **changes})


def test_an_embedder_that_is_named_twice_is_one() -> None:
    assert [one.name for one in GridOptions(retrievers=("dense",), embedders=("mini", "mini")).stages] == ["dense mini"]


def test_what_cannot_be_run(checkpoints: Path, tmp_path: Path) -> None:
    options = tiny_options(checkpoints)
    with pytest.raises(InvalidInputError, match="different names"):
        run_evaluation([tiny_dataset(), tiny_dataset()], options, tmp_path)
    with pytest.raises(InvalidInputError, match="no measure 'goodness'"):
        run_evaluation([tiny_dataset()], replace(options, measures=("goodness",)), tmp_path)
    with pytest.raises(InvalidInputError, match="depths"):
        run_evaluation([tiny_dataset()], options, tmp_path, curves=CurveOptions(depths=(0,)))
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        run_evaluation([tiny_dataset()], replace(options, retrievers=("bm25",)), tmp_path / "file" / "inside")


def test_model_choices() -> None:
    assert ModelChoice.parse("a/b") == ModelChoice("a/b", "a/b")
    choice = ModelChoice.parse("mini?long_documents=maxp&max_length=256")
    assert (choice.model, choice.keywords()) == ("mini", {"long_documents": "maxp", "max_length": 256})
    named = ModelChoice.parse("best=a/b=c?max_length=256")
    assert (named.name, named.model, named.key) == ("best", "a/b=c", "a/b=c&max_length=256")
    assert ModelChoice.parse("a/b=c").model == "a/b=c"
    assert ModelChoice.parse("bce=a/b?allow_pickle=true").keywords() == {"allow_pickle": True}
    bad = ("mini?max_length=all", "mini?colour=red", "mini?long_documents=", "mini?allow_pickle=1")
    for text in ("", "?max_length=2", "mini?", *bad):
        with pytest.raises(InvalidInputError, match=r"MODEL|cannot use"):
            ModelChoice.parse(text)
