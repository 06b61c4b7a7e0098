"""Sentence retrieval: hits with neighbours, merged; scores by definition; folders."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import SentenceIndex
from rerank_plugins.retrieval.passages import passages_of
from rerank_plugins.types import WindowSpan

TEXTS = {
    "a": "The cat sat on the mat. The dog ran! Who won the race? Nobody knows. It ended. The bird sang.",
    "b": "Paris is a capital. Berlin is too.",
    "empty": "",
    "blank": " \n ",
}


@pytest.fixture
def embedder(tmp_path: Path) -> Embedder:
    return Embedder(tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean"), device="cpu")


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.data(), st.integers(0, 3), st.integers(0, 3))
def test_passages_hold_every_hit_with_its_neighbours_and_never_touch(
    data: st.DataObject, before: int, after: int
) -> None:
    counts = data.draw(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1))
    places = [(key, number) for key, n in counts.items() for number in range(n)]
    hits = data.draw(st.lists(st.sampled_from(places), unique=True))
    found = [(key, number, 1.0 - place / 100) for place, (key, number) in enumerate(hits)]
    texts = {key: "".join(f"s{number}. " for number in range(n)) for key, n in counts.items()}
    chunks = {key: [WindowSpan(4 * number, 4 * number + 4) for number in range(n)] for key, n in counts.items()}
    passages = passages_of(found, texts, chunks, before=before, after=after)
    shown = {(one.id, place) for one in passages for place in range(one.span.start // 4, one.span.end // 4)}
    wanted = {
        (key, near)
        for key, number in hits
        for near in range(max(number - before, 0), min(number + after, counts[key] - 1) + 1)
    }
    assert shown == wanted
    assert all(one.text == texts[one.id][one.span.start : one.span.end] for one in passages)
    for one in passages:
        others = [other.span for other in passages if other is not one and other.id == one.id]
        assert all(other.end < one.span.start or other.start > one.span.end for other in others)
        scores = {(key, chunks[key][number]): score for key, number, score in found}
        assert one.score == max(scores[one.id, span] for span in one.sentences)
    assert [one.rank for one in passages] == list(range(1, len(passages) + 1))
    assert [one.score for one in passages] == sorted((one.score for one in passages), reverse=True)
    assert sum(len(one.sentences) for one in passages) == len(hits)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.data(), st.integers(0, 2), st.integers(0, 2))
def test_passages_of_chunks_that_overlap_hold_each_character_of_a_hit_once(
    data: st.DataObject, before: int, after: int
) -> None:
    ends = st.tuples(st.integers(0, 60), st.integers(1, 40)).map(lambda one: (one[0], one[0] + one[1]))
    spans = [WindowSpan(*one) for one in sorted(data.draw(st.sets(ends, min_size=1, max_size=8)))]
    numbers = data.draw(st.lists(st.sampled_from(range(len(spans))), unique=True, min_size=1))
    found = [("a", number, 1.0 - place / 100) for place, number in enumerate(numbers)]
    passages = passages_of(found, {"a": "x" * 100}, {"a": spans}, before=before, after=after)
    assert sorted(span for one in passages for span in map(spans.index, one.sentences)) == sorted(numbers)
    for one in passages:
        mine = [number for number in numbers if spans[number] in one.sentences]
        near = {place for number in mine for place in range(number - before, number + after + 1)}
        wanted = [spans[place] for place in near if 0 <= place < len(spans)]
        assert one.span == WindowSpan(min(span.start for span in wanted), max(span.end for span in wanted))
        others = [other.span for other in passages if other is not one]
        assert all(other.end < one.span.start or other.start > one.span.end for other in others)


def test_scores_are_cosines_of_vectors_in_context(embedder: Embedder) -> None:
    index = SentenceIndex(TEXTS, embedder, before=0, after=0)
    assert len(index) == 8
    assert index.chunks["blank"] == ()
    query = embedder.embed_queries(["who won?"])[0]
    vectors = dict(zip(TEXTS, embedder.encode_chunks(list(TEXTS.values())), strict=True))
    expected = {
        (key, span): float(vector @ query)
        for key, found in vectors.items()
        for span, vector in zip(found.spans, found.vectors, strict=True)
        if TEXTS[key].strip()
    }
    hits = index.search("who won?", top_k=100)
    known = {(one.id, span) for one in hits for span in one.sentences}
    assert known == set(expected)
    best = max(expected, key=expected.__getitem__)
    (first,) = index.search("who won?", top_k=1)
    assert (first.id, first.span) == best
    assert first.score == pytest.approx(expected[best], abs=1e-5)


def test_neighbours_are_an_option_of_index_and_search(embedder: Embedder) -> None:
    index = SentenceIndex({"a": TEXTS["a"]}, embedder, before=1, after=2, faiss_index=None)
    (found,) = index.search("who won?", top_k=1)
    spans = list(index.chunks["a"])
    place = spans.index(found.sentences[0])
    assert found.span == WindowSpan(spans[max(place - 1, 0)].start, spans[min(place + 2, 5)].end)
    (alone,) = index.search("who won?", top_k=1, before=0, after=0)
    assert alone.span == alone.sentences[0] == found.sentences[0]
    assert index.search_many(["who won?", "bird"], top_k=2)[0] == index.search("who won?", top_k=2)
    assert asyncio.run(index.asearch("who won?", top_k=2)) == index.search("who won?", top_k=2)


def same(opened: SentenceIndex, index: SentenceIndex) -> None:
    """The same passages; vectors of length 1 may change by a last bit when they are scaled again."""
    found, expected = opened.search("who won?", top_k=4), index.search("who won?", top_k=4)
    assert [(one.id, one.span, one.sentences) for one in found] == [
        (one.id, one.span, one.sentences) for one in expected
    ]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-6)


def test_without_context_any_embedder_will_do() -> None:
    with pytest.raises(InvalidInputError, match="cannot be read in their context"):
        SentenceIndex(TEXTS, Embedder("mini"))
    index = SentenceIndex(TEXTS, Embedder("mini"), in_context=False, before=0, after=0)
    (found,) = index.search("capital of Germany, Berlin", top_k=1)
    assert found.text == "Berlin is too."


def test_own_chunks(embedder: Embedder) -> None:
    index = SentenceIndex({"a": "abc def ghi"}, embedder, chunks={"a": [(4, 8), (0, 4)]}, before=0, after=0)
    assert index.chunks["a"] == (WindowSpan(0, 4), WindowSpan(4, 8))
    with pytest.raises(
        InvalidInputError, match=r"chunks\['a'\]\[1\] is \(2, 4\), and its document has the characters 0"
    ):
        SentenceIndex({"a": "abc"}, embedder, chunks={"a": [(0, 3), (2, 4)]})
    with pytest.raises(
        InvalidInputError, match=r"chunks must map each document id .*: 'a' is in texts and not in chunks"
    ):
        SentenceIndex({"a": "abc"}, embedder, chunks={"b": []})


def test_the_vector_of_the_passage_around_a_sentence_is_added(embedder: Embedder, tmp_path: Path) -> None:
    index = SentenceIndex(TEXTS, embedder, passage_characters=50, before=0, after=0)
    chunks = embedder.encode_chunks(list(TEXTS.values())[:2])
    texts = [
        # Whole sentences, up to 50 characters.
        *("The cat sat on the mat. The dog ran! ", "Who won the race? Nobody knows. It ended. ", "The bird sang."),
        "Paris is a capital. Berlin is too.",
    ]
    passages = embedder.embed_documents(texts)[[0, 0, 1, 1, 1, 2, 3, 3]]
    expected = np.concatenate([one.vectors for one in chunks]) + passages
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert index._dense.vectors == pytest.approx(expected, abs=1e-5)
    index.save(tmp_path / "index")
    same(SentenceIndex.open(tmp_path / "index"), index)


def test_the_passage_around_a_chunk_is_as_long_as_the_longest_of_its_chunks(embedder: Embedder) -> None:
    text, spans = TEXTS["b"], [(0, 20), (4, 6)]
    index = SentenceIndex({"b": text}, embedder, chunks={"b": spans}, in_context=False, passage_characters=50)
    vectors = embedder.embed_documents([text[start:end] for start, end in spans]) + embedder.embed_documents(
        [text[:20]]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert index._dense.vectors == pytest.approx(vectors, abs=1e-5)


def test_a_saved_index_opens_again_without_reading_a_document(embedder: Embedder, tmp_path: Path) -> None:
    index = SentenceIndex({**TEXTS, "half": "half \ud800 pair."}, embedder, overlap=16, after=0)
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")
    for opened in (SentenceIndex.open(tmp_path / "index"), SentenceIndex.open(tmp_path / "index", embedder=embedder)):
        same(opened, index)
        assert opened.chunks == index.chunks
        assert opened.ids == [*TEXTS, "half"]


def test_a_folder_may_begin_with_the_home_directory(
    embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert SentenceIndex(TEXTS, embedder).save("~/saved") == tmp_path / "saved"
    assert len(SentenceIndex.open("~/saved", embedder=embedder)) == 8


def test_an_empty_index_finds_nothing(embedder: Embedder, tmp_path: Path) -> None:
    index = SentenceIndex({"a": ""}, embedder)
    assert index.search("anything") == []
    index.save(tmp_path / "index")
    assert SentenceIndex.open(tmp_path / "index").search("anything") == []


def test_folders_of_another_kind_and_damaged_ones_are_refused(embedder: Embedder, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    SentenceIndex(TEXTS, embedder).save(folder)
    with pytest.raises(InvalidInputError, match="pooling"):
        SentenceIndex.open(folder, embedder=tiny_checkpoints.bert_embedder(tmp_path / "other" / "model"))
    vectors = np.load(folder / "vectors.npy")
    np.save(folder / "vectors.npy", vectors[:-1])
    with pytest.raises(InvalidInputError, match="8 sentences and 7 vectors"):
        SentenceIndex.open(folder)
    np.save(folder / "vectors.npy", np.roll(vectors, 1, axis=1))
    with pytest.raises(InvalidInputError, match="another vector"):
        SentenceIndex.open(folder)
    settings_file = folder / "sentences.json"
    settings_file.write_text(json.dumps({**json.loads(settings_file.read_text()), "version": 2}))
    with pytest.raises(InvalidInputError, match="no sentence index of version 1"):
        SentenceIndex.open(folder)
    (folder / "texts.jsonl").write_text("[1]\n")
    with pytest.raises(InvalidInputError, match="no saved sentence index"):
        SentenceIndex.open(folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(InvalidInputError, match="no saved sentence index; name a new"):
        SentenceIndex(TEXTS, embedder).save(tmp_path / "full")
