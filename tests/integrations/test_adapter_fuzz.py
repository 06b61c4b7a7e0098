"""Wrong values for every option and argument of the adapters: a typed error, never nonsense that is taken.

A typed error is pydantic's ``ValidationError``, which is what both frameworks' users expect of a class with fields, or
one of ``rerank_plugins.errors``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import tiny_checkpoints
from adapter_values import VALUES, fits, is_typed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llm_checkpoints import llm_checkpoint

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
import llama_index.embeddings.rerank_plugins as li_embeddings
import llama_index.postprocessor.rerank_plugins as li
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.retrievers.rerank_plugins import FirstStageRetriever, TwoStageRetriever

from rerank_plugins import Embedder, Reranker, TokenVectorStore
from rerank_plugins.errors import UnknownOptionError
from rerank_plugins.retrieval import build_first_stage

QUERY = "What do pandas eat?"
TEXTS = tiny_checkpoints.SENTENCES[:3]
CHECKPOINTS = {"decoder": "tiny-gemma", "layerwise": "tiny-minicpm-layerwise", "lightweight": "tiny-gemma2-lightweight"}

CLASSES: list[Any] = [
    *(getattr(lc, name) for name in lc.__all__ if not name.endswith("Retriever") and not name.startswith("Base")),
    *(getattr(li, name) for name in li.__all__ if not name.startswith("Base")),
    *(getattr(li_embeddings, name) for name in li_embeddings.__all__ if "Settings" not in name),
]
# These say what the fields of the class itself hold; two frameworks' own base classes have more (tags, a name).
FIELDS = [
    (owner, name)
    for owner in CLASSES
    for name in owner.model_fields
    # Qwen's options are those of the other decoder, on a checkpoint that needs a newer transformers.
    if not owner.__name__.startswith("Qwen")
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("fuzz")
    return {
        "reranker": tiny_checkpoints.bert_reranker(root / "reranker"),
        "embedder": tiny_checkpoints.bert_embedder(root / "embedder"),
    }


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)


def maker(owner: Any, folders: dict[str, Path]) -> Callable[..., Any]:
    """Return what makes an object of a class, on a tiny model of its kind."""
    if "llm" in owner.model_fields:
        llm = MockLLM() if owner is li.ChatRerankPostprocessor else FakeListChatModel(responses=["[2] > [1]"])
        return lambda **options: owner(**{"llm": llm, **options})
    if "model_name" in owner.model_fields:
        name, model = "model_name", folders["embedder"]
    else:
        (scorer,) = getattr(owner, "_scorers", None) or {None}
        name = "model"
        model = llm_checkpoint(CHECKPOINTS[scorer]) if scorer else folders["reranker"]
        model = folders["embedder"] if "Embedding" in owner.__name__ or "LateChunking" in owner.__name__ else model
    return lambda **options: owner(**{name: str(model), "device": "cpu", **options})


def hint_of(owner: Any, name: str) -> Any:
    """Return the type of an option; None stands for a callback manager of no handlers."""
    annotation = owner.model_fields[name].annotation
    return annotation | None if name == "callback_manager" else annotation


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call gives or raises."""
    try:
        result = call()
        return asyncio.run(result) if asyncio.iscoroutine(result) else result
    except BaseException as error:  # noqa: BLE001 - every kind of error is what this is about
        return error


def check(hint: Any, call: Callable[[Any], Any], *, also: Callable[[Any], bool] = lambda _: False) -> None:
    """Pass every value to a call: those that do not fit the type are refused, all errors are typed."""
    wrong = []
    for name, value in VALUES.items():
        found = outcome(lambda value=value: call(value))  # type: ignore[misc]
        if isinstance(found, BaseException):
            if not is_typed(found):
                wrong.append(f"{name}: {type(found).__name__}: {str(found)[:100]}")
        elif not fits(hint, value) and not also(value):
            wrong.append(f"{name} was taken: {str(found)[:100]}")
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize(("owner", "name"), FIELDS, ids=lambda one: getattr(one, "__name__", one))
def test_wrong_options(owner: Any, name: str, folders: dict[str, Path]) -> None:
    make = maker(owner, folders)
    field, hint = owner.model_fields[name], hint_of(owner, name)
    check(hint, lambda value: make(**{name: value}))
    made = make()
    if name not in ("model", "model_name"):
        check(hint, lambda value: made.with_settings(**{name: value}))
    if field.frozen:
        with pytest.raises(ValueError, match="frozen"):
            setattr(made, name, None)
    else:
        check(hint, lambda value: setattr(made.model_copy(), name, value))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.slow
@pytest.mark.parametrize("owner", [lc.RerankCompressor, li.RerankPostprocessor, li_embeddings.InstructionEmbedding])
@settings(derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data(), value=ANYTHING)
def test_anything_at_all(owner: Any, folders: dict[str, Path], data: st.DataObject, value: object) -> None:
    name = data.draw(st.sampled_from(sorted(owner.model_fields)))
    found = outcome(lambda: maker(owner, folders)(**{name: value}))
    if isinstance(found, BaseException):
        assert is_typed(found), f"{name}={value!r}: {found!r}"
    else:
        assert fits(hint_of(owner, name), value), f"{name}={value!r}"


GIVEN = [
    (owner, name)
    for owner in (
        lc.RerankCompressor,
        lc.RerankCrossEncoder,
        li.RerankPostprocessor,
        li_embeddings.InstructionEmbedding,
    )
    for name, field in owner.model_fields.items()
    if not field.frozen and not (owner is lc.RerankCrossEncoder and name != "score_unit")
]


@pytest.mark.parametrize(("owner", "name"), GIVEN, ids=lambda one: getattr(one, "__name__", one))
def test_wrong_settings_of_a_given_model(owner: Any, name: str, folders: dict[str, Path]) -> None:
    made = maker(owner, folders)()
    hint = hint_of(owner, name)
    around = owner.from_embedder if hasattr(owner, "from_embedder") else owner.from_reranker
    core = made.embedder if hasattr(owner, "from_embedder") else made.reranker
    check(hint, lambda value: around(core, **{name: value}))


def test_what_is_no_core_object(folders: dict[str, Path]) -> None:
    for owner in CLASSES:
        around = getattr(owner, "from_embedder", None) or owner.from_reranker
        check(Reranker, around)


def test_arguments_of_langchain_methods(folders: dict[str, Path]) -> None:
    compressor, encoder = (maker(owner, folders)() for owner in (lc.RerankCompressor, lc.RerankCrossEncoder))
    embeddings = maker(lc.InstructionEmbeddings, folders)()
    documents = [Document(text) for text in TEXTS]
    texts, empty = tuple[str, ...], lambda value: isinstance(value, (list, tuple)) and not value
    for compress in (compressor.compress_documents, compressor.acompress_documents):
        check(tuple[Document, ...], lambda value, compress=compress: compress(value, QUERY), also=empty)
        check(str, lambda value, compress=compress: compress(documents, value))
    check(None, compressor.invoke)
    check(str, lambda value: compressor.invoke({"documents": documents, "query": value}))
    for score in (encoder.score, encoder.ascore):
        check(tuple[tuple, ...], score, also=empty)
    for embed in (embeddings.embed_documents, embeddings.aembed_documents):
        check(texts, embed, also=lambda value: not isinstance(value, str))
    for embed in (embeddings.embed_query, embeddings.aembed_query):
        check(str, embed)


def test_arguments_of_llamaindex_methods(folders: dict[str, Path]) -> None:
    postprocessor = maker(li.RerankPostprocessor, folders)()
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    empty = lambda value: isinstance(value, (list, tuple)) and not value  # noqa: E731
    for call in (postprocessor.postprocess_nodes, postprocessor.apostprocess_nodes):
        check(NodeWithScore, lambda value, call=call: call(value, query_str=QUERY), also=empty)
        check(QueryBundle, lambda value, call=call: call(nodes, query_bundle=value))
        check(str, lambda value, call=call: call(nodes, query_str=value))
        check(str, lambda value, call=call: call(nodes, query_bundle=QueryBundle(value)))


class Fixed(BaseRetriever):
    """Finds all texts."""

    def _retrieve(self, query_bundle: object) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]


RETRIEVERS = [
    (owner, name)
    for owner in (TwoStageRetriever, FirstStageRetriever, lc.TwoStageRetriever, lc.FirstStageRetriever)
    for name in inspect.signature(owner.from_documents).parameters
]
HINTS: dict[str, Any] = {
    "retriever": Literal["bm25", "dense", "hybrid"],
    "faiss_index": str | None,
    "fusion": Literal["rrf", "weighted"],
    "weights": tuple[float, ...] | None,
    "vectors": TokenVectorStore | str | None,
    "documents": tuple[str, ...],
    "embedder": Embedder | str,
    "reranker": Reranker | str | None,
    "top_k": int,
    "top_n": int | None,
    "threshold": float | None,
    "threshold_unit": Literal["raw", "probability"],
    "transformations": tuple[object, ...] | None,
    "callback_manager": None,
    "search_kwargs": dict | None,
    "keep_scores": bool,
}


@pytest.mark.parametrize(("owner", "name"), RETRIEVERS, ids=lambda one: getattr(one, "__module__", one))
def test_arguments_of_retrievers_over_documents(owner: Any, name: str, folders: dict[str, Path]) -> None:
    usual: dict[str, Any] = {"documents": TEXTS, "embedder": Embedder(folders["embedder"], device="cpu")}
    if "TwoStage" in owner.__name__:
        usual["reranker"] = Reranker(folders["reranker"], device="cpu")

    def make(value: Any) -> Any:
        options = {**usual, name: value}
        return owner.from_documents(options.pop("documents"), **options)

    check(HINTS[name], make)


def test_arguments_of_other_constructors(folders: dict[str, Path]) -> None:
    core = Reranker(folders["reranker"], device="cpu")
    store = InMemoryVectorStore(lc.InstructionEmbeddings(model=str(folders["embedder"]), device="cpu"))
    for name in ("reranker", "top_k", "top_n", "threshold", "threshold_unit", "search_kwargs"):
        make = lambda value, name=name: lc.TwoStageRetriever.from_vector_store(store, **{"reranker": core, name: value})  # noqa: E731
        check(HINTS[name], make)
    check(InMemoryVectorStore, lambda value: lc.TwoStageRetriever.from_vector_store(value, reranker=core))
    check(BaseRetriever, lambda value: lc.TwoStageRetriever(first_stage=value, reranker=core))
    check(BaseRetriever, lambda value: TwoStageRetriever(value, reranker=core))
    for name, hint in (("reranker", Reranker | str | None), ("top_n", int | None), ("verbose", bool)):
        check(hint, lambda value, name=name: TwoStageRetriever(Fixed(), **{name: value}))
    check(None, lambda value: TwoStageRetriever(Fixed(), callback_manager=value))
    check(None, lambda value: TwoStageRetriever.from_vector_store(value, embed_model=value, reranker=core))
    stage = build_first_stage({"a": "x"}, retriever="bm25")
    check(dict, lambda value: FirstStageRetriever(stage, value))
    check(None, lambda value: FirstStageRetriever(value, {}))
    check(int, lambda value: FirstStageRetriever(stage, {}, top_k=value))


@pytest.mark.parametrize("way", ["two stages", "first stage"])
def test_calls_of_retrievers(way: str, folders: dict[str, Path]) -> None:
    core = Reranker(folders["reranker"], device="cpu")
    options: dict[str, Any] = {"retriever": "bm25", **({"reranker": core} if way == "two stages" else {})}
    owners = (
        (lc.TwoStageRetriever, TwoStageRetriever)
        if way == "two stages"
        else (lc.FirstStageRetriever, FirstStageRetriever)
    )
    ours, theirs = (owner.from_documents(TEXTS, **options) for owner in owners)
    limit = "top_n" if way == "two stages" else "top_k"
    for call in (ours.invoke, ours.ainvoke):
        check(str, call)
        for name in ("k", limit):
            check(int | None, lambda value, call=call, name=name: call(QUERY, **{name: value}))
        check(None, lambda value, call=call: call(QUERY, nonsense=value))
    for call in (theirs.retrieve, theirs.aretrieve):
        # Anything but a text or a bundle is LlamaIndex's own to refuse, before it reaches a retriever.
        check(str, lambda value, call=call: call(QueryBundle(value)))


@pytest.mark.parametrize("owner", [lc.RerankCompressor, li.RerankPostprocessor])
def test_numbers_come_as_text_too(owner: Any, folders: dict[str, Path]) -> None:
    """Environment variables and templates hold texts; what is a switch must still be one."""
    texts = {"top_n": "3", "threshold": " 0.25 ", "max_length": "64", "deadline_s": "60", "max_wait_ms": "1"}
    numbers = {"top_n": 3, "threshold": 0.25, "max_length": 64, "deadline_s": 60.0, "max_wait_ms": 1.0}
    made = maker(owner, folders)(**texts)
    assert made == maker(owner, folders)(**numbers)
    assert {name: getattr(made, name) for name in numbers} == numbers
    assert made.with_settings(top_n="2").top_n == 2
    made.top_n = "1"
    assert made.top_n == 1
    for name in ("allow_pickle", "trust_remote_code", "local_files_only", "torch_compile"):
        for text in ("False", "false", "0", "no", "", 0, 1, "True"):
            with pytest.raises(ValueError, match=name):
                maker(owner, folders)(**{name: text})


def test_options_that_there_are_none_of_are_told(folders: dict[str, Path]) -> None:
    store = InMemoryVectorStore(lc.InstructionEmbeddings(model=str(folders["embedder"]), device="cpu"))
    for owner in (TwoStageRetriever, FirstStageRetriever, lc.TwoStageRetriever, lc.FirstStageRetriever):
        with pytest.raises(UnknownOptionError, match=r"no option 'topk'. Did you mean 'top_k'\?.*faiss_index"):
            owner.from_documents(TEXTS, retriever="bm25", topk=3)
    with pytest.raises(UnknownOptionError, match=r"Its options: .*search_kwargs"):
        lc.TwoStageRetriever.from_vector_store(store, filters={})
    with pytest.raises(UnknownOptionError, match="Did you mean 'top_n'"):
        TwoStageRetriever(Fixed(), topn=3)
    with pytest.raises(UnknownOptionError, match="Its options: first_stage, nodes, top_k"):
        FirstStageRetriever(build_first_stage({"a": "x"}, retriever="bm25"), {}, depth=3)
