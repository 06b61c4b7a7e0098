"""Both TwoStageRetrievers take whatever reranks: every class of the package, core objects, names, copies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
from llm_checkpoints import llm_checkpoint

from rerank_plugins import Embedder, Reranker

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
import llama_index.postprocessor.rerank_plugins as li
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.retrievers.rerank_plugins import TwoStageRetriever

QUERY = "What do pandas eat?"
TEXTS = tiny_checkpoints.SENTENCES[:4]
CHECKPOINTS = {"decoder": "tiny-gemma", "layerwise": "tiny-minicpm-layerwise", "lightweight": "tiny-gemma2-lightweight"}
QWEN = "Qwen"


def classes_of(package: Any, base: type) -> list[Any]:
    found = [getattr(package, name) for name in package.__all__]
    return [one for one in found if issubclass(one, base) and not one.__name__.startswith("Base")]


POSTPROCESSORS = classes_of(li, li.BaseRerankPostprocessor)
COMPRESSORS = [*classes_of(lc, lc.BaseRerankCompressor), lc.RerankCrossEncoder]
by_name = pytest.mark.parametrize("owner", POSTPROCESSORS + COMPRESSORS, ids=lambda one: one.__name__)
both_ways = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.bert_reranker(tmp_path_factory.mktemp("rerankers") / "bert")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, "Qwen3Config"):
        pytest.skip("this transformers has no Qwen3")
    import tiny_rerankers

    return tiny_rerankers.qwen_reranker(tmp_path_factory.mktemp("rerankers") / "qwen")


@pytest.fixture
def made(owner: Any, cross_encoder: Path, request: pytest.FixtureRequest) -> Any:
    """An object of the class, on a tiny model of its kind."""
    if owner.__name__.startswith(QWEN):
        return owner(model=str(request.getfixturevalue("qwen")), device="cpu")
    if owner is li.ChatRerankPostprocessor:
        return owner(llm=MockLLM())
    if owner is lc.ChatRerankCompressor:
        return owner(llm=FakeListChatModel(responses=["[2] > [1]"]))
    (scorer,) = owner._scorers or {None}
    model = llm_checkpoint(CHECKPOINTS[scorer]) if scorer else cross_encoder
    return owner(model=str(model), device="cpu")


class Fixed(BaseRetriever):
    """Finds all texts, without scores."""

    def _retrieve(self, query_bundle: object) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]


def searched(reranker: Any, *, is_async: bool, **options: Any) -> list[tuple[str, float]]:
    """Return texts and scores of a two-stage retriever of LlamaIndex around a reranker."""
    two = TwoStageRetriever(Fixed(), reranker=reranker, **options)
    found = asyncio.run(two.aretrieve(QUERY)) if is_async else two.retrieve(QUERY)
    return [(one.text, one.get_score()) for one in found]


def invoked(reranker: Any, *, is_async: bool, **options: Any) -> list[tuple[str, float]]:
    """Return texts and scores of a two-stage retriever of LangChain around a reranker."""
    first = RunnableLambda(lambda _: [Document(text) for text in TEXTS])
    two = lc.TwoStageRetriever(first_stage=first, reranker=reranker, **options)
    found = asyncio.run(two.ainvoke(QUERY)) if is_async else two.invoke(QUERY)
    return [(one.page_content, one.metadata["relevance_score"]) for one in found]


def of(owner: Any) -> Callable[..., list[tuple[str, float]]]:
    return searched if owner in POSTPROCESSORS else invoked


def ranked(core: Reranker, **options: Any) -> list[tuple[str, Any]]:
    return [(one.document or "", pytest.approx(one.score, abs=1e-5)) for one in core.rank(QUERY, TEXTS, **options)]


@by_name
@both_ways
def test_every_class_is_taken(owner: Any, made: Any, is_async: bool) -> None:
    assert of(owner)(made, is_async=is_async) == ranked(made.reranker)
    assert of(owner)(made, is_async=is_async, top_n=2) == ranked(made.reranker, top_n=2)


@by_name
def test_copies_and_subclasses_are_taken(owner: Any, made: Any) -> None:
    expected = ranked(made.reranker)

    class Own(owner):  # type: ignore[misc]
        """A user's subclass."""

    assert (
        of(owner)(
            (Own(llm=made.llm) if "llm" in owner.model_fields else Own(model=made.model, device="cpu")), is_async=False
        )
        == expected
    )
    for other in (made.with_settings(score_unit="raw"), made.model_copy()):
        assert of(owner)(other, is_async=False) == expected
    # A chat model's scores are probabilities already.
    changes = {"threshold": 0.9} if "llm" in owner.model_fields else {"score_unit": "probability"}
    with made.using(**changes) as copy:
        assert of(owner)(copy, is_async=False) != expected


@by_name
def test_its_options_are_kept(owner: Any, made: Any) -> None:
    other = made.with_settings(score_unit="probability")
    probabilities = [made.reranker.probability(score.expected) for _, score in ranked(made.reranker)]
    found = [score for _, score in of(owner)(other, is_async=False)]
    assert found == pytest.approx(probabilities, abs=1e-5)


@pytest.mark.parametrize("find", [searched, invoked])
@both_ways
def test_core_objects_and_names_are_taken(find: Any, cross_encoder: Path, is_async: bool) -> None:
    core = Reranker(cross_encoder, device="cpu")
    for given in (core, str(cross_encoder), cross_encoder):
        assert find(given, is_async=is_async) == ranked(core)
        assert find(given, is_async=is_async, top_n=1) == ranked(core, top_n=1)


@by_name
def test_both_other_constructors_take_every_class(owner: Any, made: Any, cross_encoder: Path) -> None:
    two = (TwoStageRetriever if owner in POSTPROCESSORS else lc.TwoStageRetriever).from_documents(
        TEXTS, retriever="bm25", reranker=made, top_n=3
    )
    found = two.retrieve(TEXTS[0]) if owner in POSTPROCESSORS else two.invoke(TEXTS[0])
    texts = [one.text if owner in POSTPROCESSORS else one.page_content for one in found]
    assert texts == [one.document for one in made.reranker.rank(TEXTS[0], TEXTS) if one.document in texts]


class Foreign(BaseDocumentCompressor):
    """Another package's compressor."""

    def compress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Any:
        return documents


@pytest.mark.parametrize("find", [searched, invoked])
@pytest.mark.parametrize(
    "given",
    [3, True, b"mini", ["mini"], {}, object(), Reranker, lc.RerankCompressor, Foreign(), SimilarityPostprocessor()],
    ids=lambda one: getattr(one, "__name__", type(one).__name__),
)
def test_anything_else_is_refused_with_the_way_out(find: Any, given: object) -> None:
    with pytest.raises(ValueError, match=r"reranker must be a .*a model's name.*from_loaded\(\.\.\.\)"):
        find(given, is_async=False)


def test_a_reranker_of_the_other_framework_is_refused(cross_encoder: Path) -> None:
    for find, other in ((searched, lc.RerankCompressor), (invoked, li.RerankPostprocessor)):
        with pytest.raises(ValueError, match="reranker must be"):
            find(other(model=str(cross_encoder), device="cpu"), is_async=False)


def test_an_embedder_is_no_reranker(tmp_path: Path) -> None:
    embedder = Embedder(tiny_checkpoints.bert_embedder(tmp_path / "embedder"), device="cpu")
    for find in (searched, invoked):
        with pytest.raises(ValueError, match="got Embedder"):
            find(embedder, is_async=False)


frameworks = pytest.mark.parametrize(
    ("retriever", "owner"),
    [(TwoStageRetriever, li.RerankPostprocessor), (lc.TwoStageRetriever, lc.RerankCompressor)],
    ids=["llamaindex", "langchain"],
)


def n_found(retriever: Any, *, is_async: bool = False) -> int:
    """Return how many results a retriever of either framework finds."""
    if isinstance(retriever, BaseRetriever):
        return len(asyncio.run(retriever.aretrieve(QUERY)) if is_async else retriever.retrieve(QUERY))
    return len(asyncio.run(retriever.ainvoke(QUERY)) if is_async else retriever.invoke(QUERY))


@frameworks
def test_a_reranker_that_is_passed_has_its_own_limit(retriever: Any, owner: Any, cross_encoder: Path) -> None:
    passed = owner(model=str(cross_encoder), device="cpu", top_n=2)
    options = {"retriever": "dense", "embedder": "mini"}
    many = [f"{text} {number}" for number in range(2) for text in TEXTS]
    made = retriever.from_documents(many, reranker=passed, **options)
    assert made.reranker is passed
    assert n_found(made) == 2
    assert n_found(retriever.from_documents(many, reranker=passed, **options, top_n=3)) == 3
    assert n_found(retriever.from_documents(many, reranker=passed, **options, top_n=None)) == len(many)
    assert n_found(retriever.from_documents(many, reranker=passed.reranker, **options)) == 5
    assert n_found(retriever.from_documents(many, reranker=None, **options)) == 5


@frameworks
@both_ways
@pytest.mark.parametrize("given", [{}, {"top_n": 3}, {"top_n": None}], ids=["own", "3", "all"])
def test_a_block_of_what_was_passed_reaches_the_retriever(
    retriever: Any, owner: Any, is_async: bool, given: dict[str, Any], cross_encoder: Path
) -> None:
    passed = owner(model=str(cross_encoder), device="cpu", top_n=2)
    made = retriever.from_documents(list(TEXTS), reranker=passed, retriever="dense", embedder="mini", **given)
    usual = n_found(made, is_async=is_async)
    with passed.using(top_n=1):
        assert n_found(made, is_async=is_async) == 1
    with passed.using(threshold=1.0):
        assert n_found(made, is_async=is_async) == 0
        with made.reranker.using(threshold=0.0):
            assert n_found(made, is_async=is_async) == usual
    assert n_found(made, is_async=is_async) == usual
