"""Late interaction behind the facades: what calls share, what they refuse, and what a score means."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import colbert_checkpoints as tiny
import numpy as np
import pytest

from rerank_plugins import (
    DeadlineExceededError,
    Embedder,
    InstructionOptions,
    InvalidInputError,
    LongDocuments,
    QueryVectorCache,
    Reranker,
    ScoreCache,
    VectorOptions,
)
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.stanford(tmp_path_factory.mktemp("late") / "model")


@pytest.fixture
def reranker(folder: Path) -> Iterator[Reranker]:
    with Reranker(folder, device="cpu") as opened:
        yield opened


PAIRS = [(query, text) for query in tiny.QUERIES for text in tiny.TEXTS]


def test_each_text_runs_once_and_a_cached_pair_not_at_all(folder: Path) -> None:
    with Reranker(folder, device="cpu", cache=ScoreCache()) as reranker:
        before = reranker.stats().inputs
        first = reranker.score(PAIRS * 2)
        assert reranker.stats().inputs - before == len(tiny.QUERIES) + len(tiny.TEXTS)
        ranked = reranker.rank(tiny.QUERIES[0], tiny.TEXTS)
        assert ranked.usage.reused_inputs == ranked.usage.inputs == len(tiny.TEXTS)
        assert ranked.usage.tokens == 0
        assert reranker.score(PAIRS) == first[: len(PAIRS)]


def test_scores_of_a_call_that_wants_the_best_are_cached_too(folder: Path) -> None:
    with Reranker(folder, device="cpu", cache=ScoreCache()) as reranker:
        first = reranker.rank(tiny.QUERIES[0], tiny.TEXTS, top_n=2)
        again = reranker.rank(tiny.QUERIES[0], tiny.TEXTS, top_n=2)
    assert again == first
    assert again.usage is not None
    assert again.usage.reused_inputs == len(tiny.TEXTS)


def test_a_stream_and_an_event_loop_give_the_same(reranker: Reranker) -> None:
    expected = reranker.score(PAIRS)
    assert list(reranker.score_stream(iter(PAIRS), chunk_pairs=7)) == pytest.approx(expected, abs=1e-4)
    assert asyncio.run(reranker.ascore(PAIRS)) == pytest.approx(expected, abs=1e-4)


def test_a_probability_is_half_of_one_and_the_mean_cosine(reranker: Reranker) -> None:
    best = reranker.rank(tiny.QUERIES[0], tiny.TEXTS)[0]
    assert best.probability == pytest.approx((1 + best.score / 32) / 2)
    assert reranker.probability(-40.0) == 0.0
    assert reranker.probability(32.0) == 1.0


def test_a_deadline_holds(reranker: Reranker) -> None:
    with pytest.raises(DeadlineExceededError):
        reranker.score([("q", f"text {n} " * 30) for n in range(3_000)], deadline_s=0.02)
    assert len(reranker.score(PAIRS)) == len(PAIRS)


def test_longer_documents_and_queries_may_be_read(folder: Path) -> None:
    longest = " ".join(tiny.SENTENCES) * 3
    long = LongDocuments(query_max_length=60)
    with Reranker(folder, device="cpu", max_length=200, long_documents=long) as wide:
        query = wide._backend.model.inputs.queries([longest])[0]
        assert (len(query.input), query.n_filled) == (63, 0)
        assert len(wide._backend.model.inputs.queries(["a"])[0].input) == 32
        assert len(wide._backend.model.inputs.documents([longest])[0].windows[0].input) == 200
    with pytest.raises(InvalidInputError, match="query_max_length=255 is more than"):
        Reranker(folder, device="cpu", long_documents=LongDocuments(query_max_length=255))
    with pytest.raises(InvalidInputError, match="leaves no room for a text"):
        Reranker(folder, device="cpu", max_length=3)
    with pytest.raises(InvalidInputError, match="positions end at 256"):
        Reranker(folder, device="cpu", max_length=300)


@pytest.mark.parametrize("kind", ["bert", "xlmr"])
@pytest.mark.parametrize("prompt", ["", "[Q]", "ask: ", "Paris is the capital of "])
def test_a_longer_query_keeps_as_many_tokens_of_its_own_text_whatever_the_prompt(
    tmp_path: Path, kind: str, prompt: str
) -> None:
    folder = tiny.multi_vector_encoder(tmp_path / "model", kind=kind, prompts=(prompt, ""))
    with Reranker(folder, device="cpu", long_documents=LongDocuments(query_max_length=7)) as reranker:
        (query,) = reranker._backend.model.inputs.queries([" ".join(tiny.SENTENCES)])
    assert query.n_own == 7
    with pytest.raises(InvalidInputError, match="positions end at 256, of which"):
        Reranker(folder, device="cpu", long_documents=LongDocuments(query_max_length=255))


def test_a_rule_for_pairs_is_refused_where_there_are_none(folder: Path) -> None:
    for rule in ("longest_first", "end"):
        with pytest.raises(InvalidInputError, match=f"truncation='{rule}': .* reads query and document apart"):
            Reranker(folder, device="cpu", long_documents=LongDocuments(truncation=rule))
    Reranker(folder, device="cpu", long_documents=LongDocuments(truncation="only_second")).close()


def test_markers_of_a_text_are_words(reranker: Reranker) -> None:
    (text,) = reranker._backend.model.inputs.documents(["[unused0] [unused1]"])
    ids = text.windows[0].input.ids.tolist()
    marker = reranker._lease.value.tokenizer.token_to_id("[unused1]")
    assert ids[1] == marker
    assert marker not in ids[2:]


@pytest.mark.parametrize("marker", ["[nowhere]", "half \ud800"])
def test_a_vocabulary_without_the_marker_is_refused(tmp_path: Path, marker: str) -> None:
    folder = tiny.stanford(tmp_path / "model", query_token_id=marker)
    with pytest.raises(UnsupportedModelError, match=re.escape(f"lacks its marker {marker!r}")):
        Reranker(folder, device="cpu")


def test_an_architecture_that_comes_as_code_is_refused_without_a_word_of_trust(tmp_path: Path) -> None:
    """As jina-colbert does."""
    folder = tiny.stanford(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tiny.write_json(folder / "config.json", {**config, "auto_map": {"AutoModel": "acme/code--modeling.Rotary"}})
    with pytest.raises(UnsafeModelError, match="only with Python code from the checkpoint"):
        Reranker(folder, device="cpu")


def test_unknown_tokens_keep_their_vectors_where_the_skip_list_has_unknown_words(tmp_path: Path) -> None:
    folder = tiny.pylate(tmp_path / "model", skiplist_words=["never-in-a-vocabulary", "."])
    with Embedder(folder, device="cpu") as embedder:
        (found,) = embedder.encode_documents(["\u4dff . \u4dff"]).colbert
    assert len(found) == 5


class TestEmbedder:
    @pytest.fixture
    def embedder(self, folder: Path) -> Iterator[Embedder]:
        with Embedder(folder, device="cpu") as opened:
            yield opened

    def test_token_vectors_give_the_rerankers_score(self, embedder: Embedder, reranker: Reranker) -> None:
        queries = embedder.encode_queries(tiny.QUERIES).colbert
        documents = asyncio.run(embedder.aencode_documents(tiny.TEXTS)).colbert
        assert {one.shape for one in queries} == {(32, 24)}
        found = [float((d @ q.T).max(axis=0).sum()) for q in queries for d in documents]
        assert found == pytest.approx(reranker.score(PAIRS), abs=1e-4)

    def test_a_cache_of_whole_texts_vectors_is_refused(self, folder: Path) -> None:
        with pytest.raises(InvalidInputError, match=r"cache keeps one vector a query, and .* gives one a token"):
            Embedder(folder, device="cpu", cache=QueryVectorCache())

    def test_a_blank_text_has_the_vectors_of_its_special_tokens(self, embedder: Embedder) -> None:
        assert [len(one) for one in embedder.encode_documents(["", "a"]).colbert] == [3, 4]

    def test_there_is_no_vector_of_a_whole_text(self, embedder: Embedder) -> None:
        for call in (embedder.embed_queries, embedder.embed_documents):
            with pytest.raises(InvalidInputError, match=r"one vector a token.*encode_documents"):
                call(["a"])
        with pytest.raises(InvalidInputError, match="one or more of 'colbert'"):
            embedder.encode_documents(["a"], outputs=["dense"])
        with pytest.raises(InvalidInputError, match="one vector a token"):
            embedder.score_pairs([("a", "b")])

    def test_dimensions_are_cut_before_they_are_scaled(self, folder: Path, embedder: Embedder) -> None:
        with Embedder(folder, device="cpu", vectors=VectorOptions(dimensions=8)) as short:
            (found,), (whole,) = short.encode_documents(["panda"]).colbert, embedder.encode_documents(["panda"]).colbert
        expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
        assert np.abs(found - expected).max() < 1e-5

    def test_an_instruction_stands_behind_the_marker(self, folder: Path) -> None:
        asked = InstructionOptions(query="What do ")
        with Embedder(folder, device="cpu", instruction=asked) as told, Embedder(folder, device="cpu") as plain:
            (found,), (expected,) = (
                told.encode_queries(["pandas eat?"]).colbert,
                plain.encode_queries(["What do pandas eat?"]).colbert,
            )
        assert np.abs(found - expected).max() < 1e-5


def test_an_explanation_of_a_part_says_so_in_the_log_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Reranker(folder, device="cpu", max_length=8) as reranker:
        caplog.clear()  # of loading
        reranker.explain("a query", "short")
        assert not caplog.records
        for _ in range(2):
            reranker.explain("a query", " ".join(tiny.TEXTS))
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("1 of 1 documents were longer than max_length=8 and only partly read")
