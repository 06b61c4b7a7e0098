"""What the adapters do after ranking: one option, described once, which both frameworks read."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_rerank_plugins import RerankCompressor
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.rerank_plugins import RerankPostprocessor
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from rerank_plugins import Reranker
from rerank_plugins.adapters.after import AfterRanking, selected
from rerank_plugins.backends import named
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.errors import InvalidInputError

TEXTS = ["5 red apple", "4 red apple", "3 blue sea and a long tail", "2 green tree", "1 old"]


class First(SimplePairScorer):
    """Scores a document by its first word, a number."""

    spec = reranker_spec("tests/first-word")

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        return [float(document.split()[0]) for _, document in pairs]


class ByLength(SimplePairScorer):
    """Scores a document by its length."""

    spec = reranker_spec("tests/length")

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        return [float(len(document)) for _, document in pairs]


class Corners(SimpleTextEmbedder):
    """Gives each first word a direction of its own."""

    spec = embedder_spec("tests/corners")

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        return [[float(int(text[0]) == place) for place in range(10)] for text in texts]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Register an embedder whose name says how long it takes to open; list what was opened."""
    found: list[str] = []

    def opener(seconds: str) -> Corners:
        time.sleep(float(seconds or 0))
        found.append(seconds)
        return Corners()

    monkeypatch.setattr(named, "_OPENERS", dict(named._OPENERS))
    named.register_backend("corners", opener, kind="embedder")
    return found


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    made = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    return str(tmp_path)


def nodes(**settings: Any) -> list[str]:
    with Reranker(backend=First()) as reranker:
        made = RerankPostprocessor.from_reranker(reranker, **settings)
        given = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in TEXTS]
        found = made.postprocess_nodes(given, query_str="q")
        again = asyncio.run(made.apostprocess_nodes(given, query_str="q"))
    assert [one.text for one in again] == [one.text for one in found]
    assert [one.node.metadata["rerank_rank"] for one in found] == [6 - int(one.text[0]) for one in found]
    return [one.text[0] for one in found]


def documents(**settings: Any) -> list[str]:
    with Reranker(backend=First()) as reranker:
        made = RerankCompressor.from_reranker(reranker, **settings)
        given = [Document(text) for text in TEXTS]
        found = made.compress_documents(given, "q")
        again = asyncio.run(made.acompress_documents(given, "q"))
    assert [one.page_content for one in again] == [one.page_content for one in found]
    assert [one.metadata["relevance_score"] for one in found] == [float(one.page_content[0]) for one in found]
    return [one.page_content[0] for one in found]


BOTH = pytest.mark.parametrize("ranked", [nodes, documents])


@BOTH
def test_the_best_at_both_ends(ranked: Any) -> None:
    assert ranked(top_n=5, after={"best_at_both_ends": True}) == ["5", "3", "1", "2", "4"]
    assert ranked(top_n=3, after=AfterRanking(best_at_both_ends=True)) == ["5", "3", "4"]


@BOTH
def test_as_many_as_fit(ranked: Any, tokenizer: str) -> None:
    after = AfterRanking(max_tokens=7, tokenizer=tokenizer)
    assert ranked(top_n=5, after=after) == ["5", "4"], "3 and 3 tokens; the others do not fit into the one left"
    assert ranked(top_n=5, after=AfterRanking(max_tokens=8, tokenizer=tokenizer)) == ["5", "4", "1"]
    assert ranked(top_n=5, after=AfterRanking(max_tokens=8, tokenizer=tokenizer, separator_tokens=1)) == ["5", "4"]
    assert ranked(top_n=1, after=AfterRanking(max_tokens=8, tokenizer=tokenizer)) == ["5"]
    assert ranked(top_n=None, threshold=4.5, threshold_unit="raw", after=after) == ["5"]


def test_tokens_of_half_a_surrogate_pair_are_counted(tokenizer: str) -> None:
    texts = ["5 red \ud800", "4 blue"]
    ranked = Reranker(backend=First()).rank("q", texts)
    after = AfterRanking(max_tokens=5, tokenizer=tokenizer)
    assert [one.index for one in selected(ranked, texts, None, after=after, top_n=None)] == [0, 1]


@BOTH
def test_near_copies_make_room(ranked: Any) -> None:
    plain = ranked(top_n=2)
    assert plain == ["5", "4"]
    chosen = ranked(top_n=2, after=AfterRanking(embedder="mini", trade_off=0.2))
    assert chosen[0] == "5"
    assert chosen[1] != "4"
    assert ranked(top_n=2, after=AfterRanking(embedder="mini", trade_off=1.0)) == plain


@pytest.mark.parametrize("owner", [RerankPostprocessor, RerankCompressor])
def test_stored_and_opened_again(owner: Any, tokenizer: str) -> None:
    made = owner(model="mini", after={"max_tokens": 7, "tokenizer": tokenizer})
    stored = made.model_dump()
    stored.pop("class_name", None)
    assert owner(**stored).after == made.after == AfterRanking(max_tokens=7, tokenizer=tokenizer)
    assert pickle.loads(pickle.dumps(made)).after == made.after
    assert made.with_settings(after=None).after is None
    made.close()


@pytest.mark.parametrize("owner", [RerankPostprocessor, RerankCompressor])
@pytest.mark.parametrize(
    "after",
    [
        {"max_tokens": 7},
        {"tokenizer": "here"},
        {"trade_off": 2.0},
        {"no_such": 1},
        "mmr",
        {"max_tokens": 0},
        {"trade_off": 0.2, "best_at_both_ends": True},
        {"separator_tokens": 1, "embedder": "mini"},
    ],
)
def test_refused(owner: Any, after: Any) -> None:
    with (
        Reranker(backend=First()) as reranker,
        pytest.raises(ValueError, match=r"after|together|trade_off|no_such|separator"),
    ):
        owner.from_reranker(reranker, after=after)


def test_a_tokenizer_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"give a tokenizer\.json"):
        documents(after=AfterRanking(max_tokens=7, tokenizer=str(tmp_path)))


def test_a_tokenizer_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    texts = ["a b c", "d"]
    ranking = Reranker(backend=ByLength()).rank("q", texts)
    after = AfterRanking(max_tokens=2, tokenizer=str(tmp_path))
    found = []
    for splits in (True, False):
        tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
        if splits:
            tokenizer.pre_tokenizer = Whitespace()
        tokenizer.save(str(file))
        found.append([one.index for one in selected(ranking, texts, None, after=after, top_n=None)])
    assert found == [[1], [0, 1]]


@pytest.mark.parametrize("texts", [["a", " ", "b", ""], ["", " "], ["a", "b"]])
def test_blank_documents_stay_last(texts: list[str]) -> None:
    """A blank document is like no other, and would be chosen for that."""
    vectors = np.array([[0.0, 1.0] if not text.strip() else [1.0, 0.01 * place] for place, text in enumerate(texts)])
    with Reranker(backend=ByLength()) as reranker:
        ranked = reranker.rank("q", texts)
    rows = vectors[[one.index for one in ranked]]
    found = selected(ranked, texts, rows, after=AfterRanking(embedder="mini", trade_off=0.1), top_n=None)
    assert sorted(one.index for one in found) == list(range(len(texts)))
    is_blank = [not texts[one.index].strip() for one in found]
    assert is_blank == sorted(is_blank)


def calls_of(made: Any) -> list[Any]:
    """Return what a call, and an awaited call, of an adapter object do; each gives the marks of the results."""
    given = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in TEXTS]
    listed = [Document(text) for text in TEXTS]

    def nodes_of(found: Any) -> list[Any]:
        return [one.node.metadata.get("rerank_fallback") for one in found]

    def documents_of(found: Any) -> list[Any]:
        return [one.metadata.get("rerank_fallback") for one in found]

    if isinstance(made, RerankPostprocessor):
        return [
            lambda: nodes_of(made.postprocess_nodes(given, query_str="q")),
            lambda: nodes_of(asyncio.run(made.apostprocess_nodes(given, query_str="q"))),
        ]
    return [
        lambda: documents_of(made.compress_documents(listed, "q")),
        lambda: documents_of(asyncio.run(made.acompress_documents(listed, "q"))),
    ]


@pytest.mark.parametrize("owner", [RerankPostprocessor, RerankCompressor])
@pytest.mark.parametrize("way", [0, 1], ids=["sync", "async"])
@pytest.mark.usefixtures("opened")
def test_an_embedder_that_is_opened_until_the_time_is_over(owner: Any, way: int) -> None:
    settings = {"top_n": 2, "deadline_s": 0.1, "after": {"embedder": "corners:0.2"}}
    made = owner.from_reranker(Reranker(backend=First()), **settings)
    call = calls_of(made)[way]
    assert call() == ["deadline", "deadline"]
    made.deadline_s = 10.0
    assert call() == [None, None]
    made.close()


@pytest.mark.parametrize("owner", [RerankPostprocessor, RerankCompressor])
def test_copies_share_the_embedder(owner: Any, opened: list[str]) -> None:
    for n_objects in (1, 2):
        made = owner.from_reranker(Reranker(backend=First()), top_n=2, after={"embedder": "corners:"})
        for _ in range(2):
            with made.using(top_n=1):
                for call in calls_of(made):
                    assert call() == [None]
        assert len(opened) == n_objects
        made.close()  # The last holder: the next object opens it again.


@pytest.mark.parametrize("owner", [RerankPostprocessor, RerankCompressor])
@pytest.mark.parametrize("options", [{"device": "cpu"}, {"local_files_only": True}])
@pytest.mark.usefixtures("opened")
def test_options_of_this_machine_are_the_rerankers_own(owner: Any, options: dict[str, Any]) -> None:
    """A backend of texts, such as a service, has no device and no files."""
    made = owner(model="mini", after={"embedder": "corners:"}, **options)
    for call in calls_of(made):
        assert call() == [None] * 5
    made.close()


def test_a_budget_counts_what_the_language_model_reads(tokenizer: str) -> None:
    """LlamaIndex shows the language model metadata that are not ranked, and ranks some that it is not shown."""
    after = AfterRanking(max_tokens=7, tokenizer=tokenizer)
    many = "red blue " * 20

    def kept(**excluded: list[str]) -> int:
        given = [NodeWithScore(node=TextNode(text=text, metadata={"m": many}, **excluded)) for text in TEXTS]
        made = RerankPostprocessor.from_reranker(Reranker(backend=ByLength()), top_n=5, after=after)
        found = made.postprocess_nodes(given, query_str="q")
        again = asyncio.run(made.apostprocess_nodes(given, query_str="q"))
        assert [one.node.text for one in again] == [one.node.text for one in found]
        return len(found)

    assert kept(excluded_llm_metadata_keys=["m"]) == 1  # of seven tokens
    assert kept(excluded_embed_metadata_keys=["m"]) == 0
