"""The public API, found by introspection, and one call of each of its callables that works."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

import colbert_checkpoints
import embedder_checkpoints
import tiny_checkpoints
from chat_models import OracleChat
from llm_checkpoints import llm_checkpoint

import rerank_plugins
from rerank_plugins import (
    Cascade,
    ChatScorer,
    Document,
    Embedder,
    EngineOptions,
    Ensemble,
    InstructionOptions,
    LayerOptions,
    LongDocuments,
    ModelSpec,
    QueryExample,
    QueryVectorCache,
    RemoteEmbedder,
    RemoteScorer,
    Reranker,
    ScoreCache,
    SourceOptions,
    TokenVectorStore,
    TwoStageRetriever,
    VectorOptions,
    calibration,
    evaluation,
    reports,
    retrieval,
    telemetry,
)
from rerank_plugins.errors import RerankPluginsError
from rerank_plugins.evaluation.movements import Case, Movement
from rerank_plugins.evaluation.results import Cell, Curve, CurvePoint, Estimate, EvaluationResults, System
from rerank_plugins.reports.evidence import QueryMove
from rerank_plugins.reports.systems import Names
from rerank_plugins.testing import standstill

MODULES = ("", "calibration", "evaluation", "reports", "retrieval", "telemetry", "testing", "types")

# What only comes out is made by the thousand and not checked.
RECORDS = {
    "CacheInfo",
    "CacheStatistics",
    "CallUsage",
    "ChatUsage",
    "EngineStats",
    "Explanation",
    "FoundPassage",
    "PairScores",
    "RankedDocument",
    "Ranking",
    "Reliability",
    "ReliabilityBin",
    "RemoteUsage",
    "ReportFiles",
    "RetrievedDocument",
    "StageScore",
    "StageUsage",
    "TextVectors",
    "WindowSpan",
}
# Calls that need a package which is not among the lowest versions.
NEEDS = {
    "Reranker.from_loaded": "sentence_transformers",
    "export_to_prometheus": "prometheus_client",
    "trace_with_opentelemetry": "opentelemetry",
}
# The engine's own way in, asked for every input; and what Python calls.
INTERNAL = {
    "ChatScorer.ascore",
    "ChatScorer.score",
    "RemoteEmbedder.aembed",
    "RemoteEmbedder.embed",
    "RemoteScorer.ascore",
    "RemoteScorer.score",
    "QueryVectorCache.after_fork",
    "QueryVectorCache.complete",
    "QueryVectorCache.look_up",
    "ScoreCache.after_fork",
    "ScoreCache.get",
    "ScoreCache.put",
}


@dataclass(frozen=True)
class PublicCall:
    """One callable.

    Attributes:
        name: ``Reranker.rank``.
        function: What has its signature.
    """

    name: str
    function: Callable[..., Any]

    @property
    def parameters(self) -> list[str]:
        names = list(inspect.signature(self.function).parameters)
        return names[1:] if names[:1] in (["self"], ["cls"]) else names


def lacks(name: str) -> str:
    """Return the package that a call needs and that is not installed; empty if there is none."""
    package = NEEDS.get(name, "")
    return package if package and find_spec(package) is None else ""


def public_calls() -> dict[str, PublicCall]:
    """Return every public function, constructor and method that takes arguments, by its name."""
    found = {}
    owners: dict[str, object] = {}
    for module in MODULES:
        home = import_module(f"rerank_plugins.{module}" if module else "rerank_plugins")
        for name in home.__all__:
            value = getattr(home, name)
            # Two modules may have a name in common (Document): the second is called by its module too.
            is_taken = name in owners and owners[name] is not value
            owners.setdefault(name, value)
            for call in _calls(f"{module}.{name}" if is_taken else name, value):
                if call.parameters:
                    found[call.name] = call
    return found


def _calls(name: str, value: object) -> Iterator[PublicCall]:
    if isinstance(value, FunctionType):
        yield PublicCall(name, value)
    if not isinstance(value, type) or name in RECORDS or issubclass(value, BaseException):
        return
    if getattr(value, "_is_protocol", False):
        return
    if isinstance(value.__init__, FunctionType):
        yield PublicCall(name, value.__init__)
    for attribute in dir(value):
        if not attribute.startswith("_") and f"{name}.{attribute}" not in INTERNAL:
            method = inspect.getattr_static(value, attribute)
            if any(inspect.getattr_static(base, attribute, None) is method for base in _public_bases(value)):
                continue  # The base class's own, which is called as that.
            method = method.__func__ if isinstance(method, (classmethod, staticmethod)) else method
            if isinstance(method, FunctionType):
                yield PublicCall(f"{name}.{attribute}", method)


def _public_bases(owner: type) -> list[type]:
    return [base for base in owner.__mro__[1:] if base.__name__ in rerank_plugins.__all__]


TEXTS = ["Paris is the capital of France.", "Berlin is in Germany.", "Cats purr and sleep."]
PAIRS = [("capital of France", text) for text in TEXTS]
BY_ID = {"a": TEXTS[0], "b": TEXTS[1], "c": TEXTS[2]}
QRELS = {"q": {"a": 1, "b": 0}}
RUN = {"q": {"a": 2.0, "b": 1.0, "c": 0.5}}
SCORES, LABELS = [3.0, 2.0, 1.0, 0.0, 2.5, -1.0], [1, 1, 0, 0, 0, 1]


def working_calls(root: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Return for each name a bound callable and arguments that it takes.

    Args:
        root: A folder for what the calls need; they also write into it.

    Returns:
        All but those that need a package which is not installed, see :func:`lacks`.
    """
    return {
        **_of_models(root),
        **_of_retrieval(root),
        **_of_calibration(root),
        **_of_evaluation(root),
        **_of_reports(root),
    }


def _of_composed(reranker: Reranker, root: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    cascade, ensemble = root / "cascade.json", root / "ensemble.json"
    cascade.write_text('{"stages": [{"model": "mini", "depth": 2}]}', encoding="utf-8")
    ensemble.write_text('{"members": [{"model": "mini"}, {"model": "mini", "weight": 2}]}', encoding="utf-8")
    return {
        "Cascade": (Cascade, {"stages": [(reranker, 2)]}),
        "Cascade.from_file": (Cascade.from_file, {"path": cascade}),
        "Ensemble": (Ensemble, {"members": [reranker, (reranker, 2.0)]}),
        "Ensemble.from_file": (Ensemble.from_file, {"path": ensemble}),
    }


def _of_models(root: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    reranker = Reranker(llm_checkpoint("tiny-minicpm-layerwise"), device="cpu")
    embedder = Embedder(
        embedder_checkpoints.bge_m3(root / "m3", pickled=False), device="cpu", source=SourceOptions(family="bge")
    )
    folder = colbert_checkpoints.stanford(root / "colbert")
    colbert = Reranker(folder, device="cpu", cache=TokenVectorStore(root / "colbert-vectors"))
    texts, pairs = {"queries": TEXTS}, {"pairs": PAIRS}
    by_name = {
        "Reranker": {"model": tiny_checkpoints.bert_reranker(root / "reranker"), "device": "cpu"},
        "Embedder": {"model": tiny_checkpoints.bert_embedder(root / "embedder"), "device": "cpu"},
        "ChatScorer": {"model": OracleChat()},
        "RemoteScorer": {"service": "tei", "base_url": "http://127.0.0.1:1"},
        "RemoteEmbedder": {"service": "tei", "base_url": "http://127.0.0.1:1"},
        "Document": {"text": "x"},
        "EngineOptions": {},
        "LayerOptions": {},
        "LongDocuments": {},
        "InstructionOptions": {},
        "QueryExample": {"query": "q", "response": "r"},
        "QueryVectorCache": {},
        "ScoreCache": {},
        "SourceOptions": {},
        "TokenVectorStore": {"folder": root / "vectors"},
        "VectorOptions": {},
        "ModelSpec": {
            "id": "mine/model",
            "kind": "reranker",
            "family": "bge",
            "scorer": "cross-encoder",
            "default_max_length_tokens": 64,
            "max_length_tokens": 128,
            "license": "mit",
        },
        "standstill": {"reranker": reranker},
    }
    made = {name: (_CLASSES[name], arguments) for name, arguments in by_name.items()}
    spec = ModelSpec(**by_name["ModelSpec"])
    of_means = Embedder(tiny_checkpoints.bert_embedder(root / "means", pooling="mean"), device="cpu")
    rank = {"query": "capital of France", "documents": TEXTS}
    explain = {"query": "capital of France", "document": TEXTS[0]}
    of_tokens = Embedder(colbert_checkpoints.stanford(root / "stored"), device="cpu")
    stored = TokenVectorStore(root / "stored-vectors")
    return made | {
        "ModelSpec.with_prompt": (spec.with_prompt, {"prompt": None}),
        "ModelSpec.input_length_tokens": (spec.input_length_tokens, {"asked": 12}),
        **_of_loaded(root),
        **{f"Reranker.{name}": (getattr(reranker, name), pairs) for name in _PAIR_METHODS},
        **{f"Reranker.{name}": (getattr(reranker, name), rank) for name in ("rank", "arank")},
        **{f"Reranker.{name}": (getattr(reranker, name), explain) for name in ("explain", "aexplain")},
        "Reranker.probability": (reranker.probability, {"score": 1.0}),
        **_of_composed(reranker, root),
        **{
            f"Reranker.{name}": (getattr(colbert, name), {"documents": TEXTS})
            for name in ("keep_vectors", "akeep_vectors")
        },
        **{
            f"Embedder.{name}": (getattr(of_tokens, name), {"documents": TEXTS, "store": stored})
            for name in ("stored_vectors", "astored_vectors")
        },
        **{f"Embedder.{name}": (getattr(embedder, name), texts) for name in _QUERY_METHODS},
        **{f"Embedder.{name}": (getattr(embedder, name), {"documents": TEXTS}) for name in _DOCUMENT_METHODS},
        **{f"Embedder.{name}": (getattr(of_means, name), {"documents": TEXTS}) for name in _CHUNK_METHODS},
        "Embedder.vectors_key": (embedder.vectors_key, {"is_query": True}),
        **{f"Embedder.{name}": (getattr(embedder, name), pairs) for name in ("score_pairs", "ascore_pairs")},
    }


_CLASSES: dict[str, Callable[..., Any]] = {
    "Reranker": Reranker,
    "Embedder": Embedder,
    "ChatScorer": ChatScorer,
    "RemoteScorer": RemoteScorer,
    "RemoteEmbedder": RemoteEmbedder,
    "Document": Document,
    "EngineOptions": EngineOptions,
    "InstructionOptions": InstructionOptions,
    "LayerOptions": LayerOptions,
    "LongDocuments": LongDocuments,
    "QueryExample": QueryExample,
    "QueryVectorCache": QueryVectorCache,
    "ScoreCache": ScoreCache,
    "SourceOptions": SourceOptions,
    "TokenVectorStore": TokenVectorStore,
    "VectorOptions": VectorOptions,
    "ModelSpec": ModelSpec,
    "standstill": standstill,
}
_PAIR_METHODS = ("score", "ascore", "score_layers", "ascore_layers", "score_stream")
_QUERY_METHODS = ("embed_queries", "aembed_queries", "encode_queries", "aencode_queries", "truncated_queries")
_DOCUMENT_METHODS = (
    *("embed_documents", "aembed_documents", "encode_documents", "aencode_documents"),
    "truncated_documents",
)
_CHUNK_METHODS = ("encode_chunks", "aencode_chunks")


def _of_loaded(root: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    if lacks("Reranker.from_loaded"):
        return {}
    from sentence_transformers import CrossEncoder

    loaded = CrossEncoder(str(tiny_checkpoints.bert_reranker(root / "loaded")), device="cpu")
    return {"Reranker.from_loaded": (Reranker.from_loaded, {"loaded": loaded})}


def _of_retrieval(root: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    embedder = Embedder("mini", device="cpu")
    bm25 = retrieval.BM25Index(BY_ID)
    dense = retrieval.DenseIndex(BY_ID, embedder)
    hybrid = retrieval.HybridIndex([dense, bm25])
    late = Embedder(colbert_checkpoints.stanford(root / "late-first-stage"), device="cpu")
    tokens = retrieval.MultiVectorIndex(BY_ID, late)
    retriever = TwoStageRetriever(hybrid, BY_ID, reranker="mini", top_k=2)
    search = {"query": "capital of France", "top_k": 2}
    rankings = {"rankings": [{"a": 2.0, "b": 1.0}, {"b": 3.0}]}
    by_name: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "BM25Index": (retrieval.BM25Index, {"texts": BY_ID}),
        "DenseIndex": (retrieval.DenseIndex, {"texts": BY_ID, "embedder": embedder}),
        "HybridIndex": (retrieval.HybridIndex, {"stages": [bm25]}),
        "MultiVectorIndex": (retrieval.MultiVectorIndex, {"texts": BY_ID, "embedder": late}),
        "TwoStageRetriever": (TwoStageRetriever, {"first_stage": bm25, "texts": BY_ID}),
        "TwoStageRetriever.from_documents": (
            TwoStageRetriever.from_documents,
            {"documents": BY_ID, "embedder": embedder, "reranker": None},
        ),
        "build_first_stage": (retrieval.build_first_stage, {"texts": BY_ID, "embedder": embedder}),
        "embed_texts": (retrieval.embed_texts, {"texts": TEXTS, "embedder": embedder}),
        "reciprocal_rank_fusion": (retrieval.reciprocal_rank_fusion, rankings),
        "texts_by_id": (retrieval.texts_by_id, {"documents": TEXTS}),
        "weighted_fusion": (retrieval.weighted_fusion, rankings),
        "words": (retrieval.words, {"text": TEXTS[0]}),
    }
    indexes = {"BM25Index": bm25, "DenseIndex": dense, "HybridIndex": hybrid, "MultiVectorIndex": tokens}
    for name, index in indexes.items():
        by_name |= {f"{name}.search": (index.search, search), f"{name}.asearch": (index.asearch, search)}
        by_name[f"{name}.with_texts"] = (index.with_texts, {"texts": {"d": "Dogs bark."}})
    for name, index in (("DenseIndex", dense), ("HybridIndex", hybrid), ("MultiVectorIndex", tokens)):
        by_name[f"{name}.search_many"] = (index.search_many, {"queries": ["capital of France"], "top_k": 2})
    sentences = retrieval.SentenceIndex(BY_ID, embedder, in_context=False)
    by_name |= {
        "SentenceIndex": (retrieval.SentenceIndex, {"texts": BY_ID, "embedder": embedder, "in_context": False}),
        "SentenceIndex.search": (sentences.search, search),
        "SentenceIndex.asearch": (sentences.asearch, search),
        "SentenceIndex.search_many": (sentences.search_many, {"queries": ["capital of France"], "top_k": 2}),
        "SentenceIndex.save": (sentences.save, {"folder": root / "saved-sentences"}),
        "SentenceIndex.open": (retrieval.SentenceIndex.open, {"folder": sentences.save(root / "opened-sentences")}),
    }
    growing = TwoStageRetriever(bm25, BY_ID, top_k=2)
    by_name["TwoStageRetriever.add_documents"] = (growing.add_documents, {"documents": ["Dogs bark."]})
    by_name["TwoStageRetriever.aadd_documents"] = (growing.aadd_documents, {"documents": ["Dogs run."]})
    by_name["TwoStageRetriever.save"] = (growing.save, {"folder": root / "saved-retriever"})
    by_name["TwoStageRetriever.load"] = (TwoStageRetriever.load, {"folder": growing.save(root / "loaded-retriever")})
    query = {"query": "capital of France"}
    by_name["TwoStageRetriever.search"] = (retriever.search, query)
    by_name["TwoStageRetriever.asearch"] = (retriever.asearch, query)
    return by_name


def _of_calibration(root: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    labelled = {"scores": SCORES, "labels": LABELS}
    made = calibration.fit_calibration(SCORES, LABELS)
    fitted = calibration.measure_threshold(SCORES, LABELS, threshold=1.5)
    path = made.save(root / "calibration.json")
    source = calibration.ScoreSource(model="mini")
    return {
        "Calibration": (
            calibration.Calibration,
            {"method": "platt", "parameters": ((1.0, 0.0),), "n_pairs": 6, "n_relevant": 3},
        ),
        "Calibration.probability": (made.probability, {"score": 1.0}),
        "Calibration.with_threshold": (made.with_threshold, {"threshold": fitted}),
        "Calibration.save": (made.save, {"path": root / "saved.json"}),
        "Calibration.load": (calibration.Calibration.load, {"path": path}),
        "FittedThreshold": (
            calibration.FittedThreshold,
            {"value": 1.0, "precision": 0.5, "recall": 0.5, "n_kept": 1, "n_pairs": 2},
        ),
        "ScoreSource": (calibration.ScoreSource, {}),
        "ScoreSource.check_against": (source.check_against, {"used": source}),
        "fit_calibration": (calibration.fit_calibration, labelled),
        "fit_threshold": (calibration.fit_threshold, {**labelled, "recall": 0.5}),
        "labelled_scores": (calibration.labelled_scores, {"run": RUN, "qrels": QRELS}),
        "logits": (calibration.logits, {"probabilities": [0.1, 0.9]}),
        "measure_reliability": (
            calibration.measure_reliability,
            {"probabilities": [0.1, 0.9, 0.4], "labels": [0, 1, 1]},
        ),
        "measure_threshold": (calibration.measure_threshold, {**labelled, "threshold": 1.0}),
    }


def dataset() -> evaluation.Dataset:
    documents = {key: evaluation.Document(text) for key, text in BY_ID.items()}
    return evaluation.Dataset(name="tiny", documents=documents, queries={"q": "capital of France"}, qrels=QRELS)


def _of_evaluation(root: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    data = dataset()
    folder = root / "beir"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text('{"_id": "a", "text": "Paris"}\n', encoding="utf-8")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "capital"}\n', encoding="utf-8")
    (folder / "qrels.tsv").write_text("q\ta\t1\n", encoding="utf-8")
    evaluation.write_trec_run(RUN, root / "run.trec")
    found = evaluation.evaluate(RUN, QRELS)
    reranker = Reranker("mini", device="cpu")
    return {
        "Dataset": (
            evaluation.Dataset,
            {"name": "tiny", "documents": data.documents, "queries": data.queries, "qrels": QRELS},
        ),
        "Dataset.relevant_ids": (data.relevant_ids, {"query_id": "q"}),
        "evaluation.Document": (evaluation.Document, {"text": "x"}),
        "Evaluation": (evaluation.Evaluation, {"per_query": found.per_query}),
        "Evaluation.mean": (found.mean, {"name": "nDCG@10"}),
        "TimedRun": (evaluation.TimedRun, {"run": RUN, "latencies_ms": {"q": 1.0}}),
        "evaluate": (evaluation.evaluate, {"run": RUN, "qrels": QRELS}),
        "in_order": (evaluation.in_order, {"scores": RUN["q"]}),
        "open_dataset": (evaluation.open_dataset, {"source": folder}),
        "parse_measures": (evaluation.parse_measures, {"names": ["nDCG@10"]}),
        "pool_datasets": (evaluation.pool_datasets, {"datasets": [data]}),
        "ranked_ids": (evaluation.ranked_ids, {"scores": RUN["q"]}),
        "read_dataset": (evaluation.read_dataset, {"folder": folder}),
        "read_qrels": (evaluation.read_qrels, {"path": folder / "qrels.tsv"}),
        "read_trec_run": (evaluation.read_trec_run, {"path": root / "run.trec"}),
        "rerank_run": (evaluation.rerank_run, {"run": RUN, "dataset": data, "reranker": reranker, "top_k": 2}),
        "retrieve": (
            evaluation.retrieve,
            {"index": retrieval.BM25Index(BY_ID), "queries": {"q": "capital"}, "top_k": 2},
        ),
        "sample_queries": (evaluation.sample_queries, {"dataset": data, "n_queries": 1, "seed": 0}),
        "usable_dataset": (evaluation.usable_dataset, {"dataset": data}),
        "write_trec_run": (evaluation.write_trec_run, {"run": RUN, "path": root / "written.trec"}),
    }


def _of_reports(root: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    systems = [
        System(retriever="bm25", embedder=None, reranker=reranker, top_k=10, top_n=5) for reranker in (None, "mini")
    ]
    measures = {"nDCG@10": Estimate(0.5, 0.4, 0.6)}
    cells = tuple(Cell(dataset="tiny", system=system, measures=measures, n_queries=1) for system in systems)
    points = (CurvePoint(10, Estimate(0.4)), CurvePoint(20, Estimate(0.5)))
    curve = Curve(kind="depth", dataset="tiny", measure="nDCG@10", lines={"mini": points})
    results = EvaluationResults(cells=cells, curves=(curve,))
    scene = reports.Scene.of(results)
    move = QueryMove(
        case=Case("helped most", Movement("q", "a", 2, 1)),
        query="capital",
        before=("b", "a"),
        after=("a", "b"),
        relevant=frozenset("a"),
    )
    reliability = calibration.measure_reliability([0.1, 0.9], [0, 1])
    return {
        "ReportOptions": (reports.ReportOptions, {}),
        "Scene": (reports.Scene, {"results": results, "measure": "nDCG@10", "names": Names.of(systems)}),
        "Scene.of": (reports.Scene.of, {"results": results}),
        "Scene.cells_of": (scene.cells_of, {"dataset": "tiny"}),
        "Scene.mean": (scene.mean, {"cells": list(cells)}),
        "curve_figure": (reports.curve_figure, {"curve": curve}),
        "heatmap_figure": (reports.heatmap_figure, {"scene": scene}),
        "histogram_figure": (reports.histogram_figure, {"relevant": [1.0, 2.0], "others": [0.0, 1.0]}),
        "movement_figure": (reports.movement_figure, {"move": move}),
        "reliability_figure": (reports.reliability_figure, {"named": {"mine": reliability}}),
        "tradeoff_figure": (reports.tradeoff_figure, {"scene": scene}),
        "write_report": (reports.write_report, {"results": results, "folder": root / "report"}),
        **{name: (_telemetry(name), {}) for name in NEEDS if hasattr(telemetry, name) and not lacks(name)},
    }


def _telemetry(name: str) -> Callable[..., Any]:
    """Return the function with what it starts stopped again at once."""
    function = getattr(telemetry, name)

    @wraps(function)
    def start_and_stop(**arguments: Any) -> None:
        function(**arguments)()

    return start_and_stop


def outcome(function: Callable[..., Any], arguments: dict[str, Any]) -> BaseException | None:
    """Call it, take what it yields, and return the typed error that it ended with; None for none."""
    import asyncio

    try:
        result = function(**arguments)
        if inspect.iscoroutine(result):
            asyncio.run(result)
        elif isinstance(result, Iterator):
            list(result)
    except RerankPluginsError as error:
        return error
    return None
