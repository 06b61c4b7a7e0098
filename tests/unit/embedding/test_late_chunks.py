"""Chunks of long documents: by definition, in windows, of several documents at once, and what is refused."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tiny_checkpoints
import torch
from transformers import AutoModel, AutoTokenizer

from rerank_plugins import Embedder, EngineOptions, InstructionOptions, VectorOptions
from rerank_plugins.embedding import chunk_checks
from rerank_plugins.embedding.chunks import ChunkedText, ChunkPlan, ChunkVectors, plan_chunks
from rerank_plugins.embedding.rows import neutral_vector
from rerank_plugins.errors import DeadlineExceededError, EngineClosedError, InvalidInputError
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.sentences import sentence_spans
from rerank_plugins.text.single import SingleTextTokenizer, TextAffixes
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.types import WindowSpan

LONG = " ".join(f"{text} Number {place}." for place, text in enumerate(tiny_checkpoints.SENTENCES * 6))
SHORT = "The cat sat. The dog ran! Who won?"


@pytest.fixture(params=["bert", "xlmr"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "xlmr":
        return tiny_checkpoints.xlmr_embedder(tmp_path / "model")
    return tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean")


def chunked_pooling(states: torch.Tensor, spans: list[tuple[int, int]]) -> npt.NDArray[np.float32]:
    """The formula of jina-ai/late-chunking, written out: the sum of a span's states by its length, normalised."""
    rows = torch.stack([states[start:end].sum(dim=0) / (end - start) for start, end in spans])
    return torch.nn.functional.normalize(rows, dim=1).numpy()


def states_of(folder: Path, ids: list[int]) -> torch.Tensor:
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    return found


def read_whole(folder: Path, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids of a text with special tokens, and the tokens of its sentences, by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(text, return_offsets_mapping=True)
    spans = []
    for one in sentence_spans(text):
        inside = [
            place
            for place, (start, end) in enumerate(encoded["offset_mapping"])
            if end > start and one.start <= end - 1 < one.end
        ]
        spans.append((inside[0], inside[-1] + 1))
    return encoded["input_ids"], spans


def test_one_window_is_the_published_formula(folder: Path) -> None:
    (found,) = Embedder(folder, device="cpu").encode_chunks([SHORT])
    ids, spans = read_whole(folder, SHORT)
    assert found.spans == tuple(sentence_spans(SHORT))
    assert np.abs(found.vectors - chunked_pooling(states_of(folder, ids), spans)).max() <= 1e-5


def test_windows_are_the_published_formula_on_the_window_that_holds_most_context(folder: Path) -> None:
    embedder = Embedder(folder, device="cpu", max_length=128)
    (found,) = embedder.encode_chunks([LONG], overlap=60)
    ids, spans = read_whole(folder, LONG)
    first, middle, last, room = ids[0], ids[1:-1], ids[-1], 126
    stride, end = room - 60, len(middle) - room
    windows = {start: [first, *middle[start : start + room], last] for start in [*range(0, end, stride), end]}
    states = {start: states_of(folder, window) for start, window in windows.items()}
    for vector, (begin, behind) in zip(found.vectors, spans, strict=True):
        start, stop = begin - 1, behind - 1

        def context(window: int, start: int = start, stop: int = stop) -> float:
            left = start - window if window else float("inf")
            right = window + room - stop if window < end else float("inf")
            return min(left, right)

        best = max((window for window in windows if context(window) >= 0), key=context)
        expected = chunked_pooling(states[best], [(start - best + 1, stop - best + 1)])[0]
        assert np.abs(vector - expected).max() <= 1e-5
    assert len(windows) > 3


def test_a_chunk_that_is_the_text_is_the_mean_of_all_its_tokens_but_the_special_ones(folder: Path) -> None:
    (found,) = Embedder(folder, device="cpu").encode_chunks([SHORT], chunks=[[(0, len(SHORT))]])
    ids, _ = read_whole(folder, SHORT)
    expected = chunked_pooling(states_of(folder, ids), [(1, len(ids) - 1)])
    assert np.abs(found.vectors - expected).max() <= 1e-5


def test_a_chunk_longer_than_a_window_is_the_mean_over_its_pieces(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean", normalize=False)
    embedder = Embedder(folder, device="cpu", max_length=34)
    (whole,) = embedder.encode_chunks([LONG], chunks=[[(0, len(LONG))]], overlap=8)
    ids, _ = read_whole(folder, LONG)
    n, room = len(ids) - 2, 32
    starts = [*range(0, n - room, room - 8), n - room]
    bounds = [(start + room + after) / 2 for start, after in itertools.pairwise(starts)]
    rows = []
    for number, start in enumerate(starts):
        states = states_of(folder, [ids[0], *ids[start + 1 : start + room + 1], ids[-1]])[1:-1]
        rows += [
            states[token - start]
            for token in range(start, start + room)
            if (number == 0 or token + 0.5 > bounds[number - 1])
            and (number == len(bounds) or token + 0.5 <= bounds[number])
        ]
    assert len(rows) == n
    assert np.abs(whole.vectors[0] - torch.stack(rows).mean(dim=0).numpy()).max() <= 1e-5


def test_an_instruction_stands_in_front_of_every_window_and_in_no_mean(folder: Path) -> None:
    # Its tokens end where the text begins, in both vocabularies.
    instructed = Embedder(folder, device="cpu", instruction=InstructionOptions(document="passage: "))
    (found,) = instructed.encode_chunks([SHORT])
    shift = len("passage: ")
    ids, _ = read_whole(folder, "passage: " + SHORT)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    offsets = tokenizer("passage: " + SHORT, return_offsets_mapping=True)["offset_mapping"]
    spans = []
    for one in sentence_spans(SHORT):
        inside = [
            place
            for place, (start, end) in enumerate(offsets)
            if end > start and one.start <= end - 1 - shift < one.end
        ]
        spans.append((inside[0], inside[-1] + 1))
    assert np.abs(found.vectors - chunked_pooling(states_of(folder, ids), spans)).max() <= 1e-5


def same(found: list[ChunkVectors], expected: list[ChunkVectors]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.spans == other.spans
        assert np.abs(one.vectors - other.vectors).max(initial=0.0) <= 1e-5


def test_documents_together_alone_threaded_and_async_agree(folder: Path) -> None:
    embedder = Embedder(folder, device="cpu", max_length=64)
    documents = [SHORT, LONG, "", "  ", LONG[:300], SHORT]
    together = embedder.encode_chunks(documents)
    with ThreadPoolExecutor(6) as threads:
        same(list(threads.map(lambda text: embedder.encode_chunks([text])[0], documents)), together)
    same(asyncio.run(embedder.aencode_chunks(documents)), together)
    assert [len(one) for one in together[2:4]] == [0, 1]


async def test_an_event_loop_splits_no_text_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()

    def split(text: str) -> list[WindowSpan]:
        threads.add(threading.get_ident())
        return sentence_spans(text)

    monkeypatch.setattr(chunk_checks, "sentence_spans", split)
    with Embedder(folder, device="cpu") as embedder:
        same(await embedder.aencode_chunks([SHORT]), embedder.encode_chunks([SHORT], chunks=[sentence_spans(SHORT)]))
        with pytest.raises(InvalidInputError, match=r"documents\[1\]"):
            await embedder.aencode_chunks([SHORT, 3])  # type: ignore[list-item]
        with pytest.raises(InvalidInputError, match="chunks must have the spans of each document"):
            await embedder.aencode_chunks([SHORT], chunks=[])
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_given_chunks_may_overlap_repeat_leave_out_and_come_in_any_order(folder: Path) -> None:
    embedder = Embedder(folder, device="cpu", max_length=64)
    sentences = embedder.encode_chunks([LONG])[0]
    chosen = [sentences.spans[9], sentences.spans[2], sentences.spans[9], WindowSpan(0, 0)]
    (found,) = embedder.encode_chunks([LONG], chunks=[[(one.start, one.end) for one in chosen]])
    assert np.abs(found.vectors[:3] - sentences.vectors[[9, 2, 9]]).max() <= 1e-5
    assert found.vectors[3] == pytest.approx(neutral_vector(32))


def test_a_chunk_without_tokens_has_no_landmark() -> None:
    tokenizer = TextTokenizer(tiny_checkpoints.wordpiece()).with_special_token("[LMK]")
    side = SingleTextTokenizer(tokenizer, TextLayout.of(tokenizer), TextAffixes(), max_length_tokens=40)
    text, landmark = "The cat sat.  \n The dog ran.", tokenizer.token_to_id("[LMK]")

    def plan(*spans: tuple[int, int]) -> ChunkPlan:
        whole = ChunkedText(text, tuple(WindowSpan(*one) for one in spans))
        return plan_chunks([whole], side, overlap=None, landmark_id=landmark)

    (alone,), among = plan((0, 12), (16, 28)).inputs, plan((12, 16), (0, 12), (0, 0), (16, 28))
    assert alone.ids.tolist().count(landmark or 0) == 2
    assert (among.inputs[0].ids.tolist(), among.inputs[0].chunks) == (alone.ids.tolist(), alone.chunks)
    assert among.places == [[1, 3]]


def test_vectors_are_cut_and_normalised_as_all_others(folder: Path) -> None:
    raw = Embedder(folder, device="cpu", vectors=VectorOptions(normalize=False)).encode_chunks([SHORT])[0].vectors
    cut = Embedder(folder, device="cpu", vectors=VectorOptions(dimensions=8)).encode_chunks([SHORT])[0].vectors
    expected = raw[:, :8] / np.linalg.norm(raw[:, :8], axis=1, keepdims=True)
    assert cut == pytest.approx(expected, abs=1e-5)


def test_a_document_longer_than_the_usual_limit_of_characters_is_read_to_its_end(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean")
    text = "word " * 26_000
    (found,) = Embedder(folder, device="cpu").encode_chunks([text], chunks=[[(129_000, 129_990)]])
    assert found.vectors[0] != pytest.approx(neutral_vector(32), abs=1e-3)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([[(0, 99)]], r"chunks\[0\]\[0\] is \(0, 99\), and its document has the characters 0 to 34"),
        ([[(3, 2)]], r"chunks\[0\]\[0\]"),
        ([[(0, 1.5)]], r"chunks\[0\]\[0\] must be"),
        ([["ab"]], r"chunks\[0\]\[0\] must be"),
        ([], "got 0 for 1 documents"),
        ([5], r"chunks\[0\] must be a list"),
    ],
)
def test_spans_that_cannot_be_are_refused(folder: Path, chunks: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Embedder(folder, device="cpu").encode_chunks([SHORT], chunks=chunks)  # type: ignore[arg-type]


def test_models_whose_chunks_would_mean_nothing_are_refused(checkpoints: Path) -> None:
    with pytest.raises(InvalidInputError, match="pools by 'cls'"):
        Embedder(checkpoints / "bert-embedder").encode_chunks([SHORT])
    with pytest.raises(InvalidInputError, match="cannot be read in their context here"):
        Embedder("mini").encode_chunks([SHORT])


def test_deadlines_and_closing_hold(folder: Path) -> None:
    embedder = Embedder(folder, device="cpu", engine=EngineOptions(deadline_s=1e-6))
    with pytest.raises(DeadlineExceededError):
        embedder.encode_chunks([LONG])
    embedder.close()
    with pytest.raises(EngineClosedError):
        embedder.encode_chunks([SHORT], deadline_s=5.0)
