"""Rerankers beyond BGE and BCE against their authors' computation on the same tiny weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import reference_rerankers as reference
import tiny_checkpoints
import tiny_rerankers
from declared import parity

from rerank_plugins import LongDocuments, Reranker, SourceOptions

TOLERANCE = 1e-4

QUERIES = ["What do pandas eat?", "鹦鹉的生活习性是什么", "revenue  ", "a\n\n", "", "passport " * 600]
DOCUMENTS = [
    *tiny_checkpoints.SENTENCES,
    "  double  spaces\nnewlines\tand tabs 👍 ﬁ é  ",
    "大熊猫是中国特有的物种，" * 60,
    "\nThe giant panda eats bamboo. " * 40,
    "x",
]
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]
SHORT = [(query, document) for query, document in PAIRS if len(query) < 100 and len(document) < 300]


def check(reranker: Reranker, pairs: list[tuple[str, str]], expected: list[float]) -> None:
    """Scores equal the reference's, together and one at a time."""
    assert max(expected) - min(expected) > 0.1
    assert reranker.score(pairs) == pytest.approx(expected, abs=TOLERANCE)
    for pair, score in list(zip(pairs, expected, strict=True))[::7]:
        assert reranker.score([pair]) == pytest.approx([score], abs=TOLERANCE)


@parity("qwen3", kind="reranker", architectures=["qwen3"], reference="transformers")
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("max_length", [2048, 330])
def test_qwen3(tmp_path: Path, tied: bool, max_length: int) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen", tied=tied)
    reranker = Reranker(folder, device="cpu", max_length=max_length, source=SourceOptions(family="qwen3"))
    check(reranker, PAIRS, reference.qwen3_scores(folder, PAIRS, max_length=max_length))


def test_qwen3_with_an_instruction(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen")
    instruction = "判断文档 is relevant?\n"
    reranker = Reranker(folder, device="cpu", prompt=instruction, source=SourceOptions(family="qwen3"))
    check(reranker, SHORT, reference.qwen3_scores(folder, SHORT, max_length=4096, instruction=instruction))


@pytest.mark.parametrize("max_length", [2048, 330])
def test_qwen3_ids(tmp_path: Path, max_length: int) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen")
    reranker = Reranker(folder, device="cpu", max_length=max_length, source=SourceOptions(family="qwen3"))
    expected = reference.qwen3_ids(folder, PAIRS, max_length=max_length)
    for encoded, ids in zip(reranker._backend.encode(PAIRS), expected, strict=True):
        assert encoded.inputs[0].ids.tolist() == ids


@parity("mxbai-v2", kind="reranker", architectures=["qwen2"], reference="its own code on transformers")
@pytest.mark.parametrize("instruction", [None, "Find the answer?"])
@pytest.mark.parametrize("max_length", [2048, 64])
def test_mxbai_v2(tmp_path: Path, max_length: int, instruction: str | None) -> None:
    folder = tiny_rerankers.mxbai_reranker(tmp_path / "mxbai")
    reranker = Reranker(
        folder, device="cpu", max_length=max_length, prompt=instruction, source=SourceOptions(family="mxbai-v2")
    )
    expected = reference.mxbai_ids(folder, PAIRS, max_length=max_length, instruction=instruction)
    for encoded, ids in zip(reranker._backend.encode(PAIRS), expected, strict=True):
        assert encoded.inputs[0].ids.tolist() == ids
    scores = reference.mxbai_scores(folder, PAIRS, max_length=max_length, instruction=instruction)
    check(reranker, PAIRS, scores)


@pytest.mark.parametrize(
    ("family", "max_length", "answers"), [("qwen3", 330, ("yes", "no")), ("mxbai-v2", 64, ("1", "0"))]
)
def test_long_documents_are_their_best_window(
    tmp_path: Path, family: str, max_length: int, answers: tuple[str, str]
) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen")
    reranker = Reranker(
        folder, device="cpu", max_length=max_length, long_documents="maxp", source=SourceOptions(family=family)
    )
    pairs = [pair for pair in PAIRS if len(pair[1]) > 500]
    ranked = [reranker.rank(query, [document])[0] for query, document in pairs]
    for (query, document), result in zip(pairs, ranked, strict=True):
        (encoded,) = reranker._backend.encode([(query, document)])
        inputs = [one.ids.tolist() for one in encoded.inputs]
        assert len(inputs) > 1
        scores = reference.decoder_scores(folder, inputs, answer=answers[0], rejection=answers[1])
        assert result.score == pytest.approx(max(scores), abs=TOLERANCE)
        assert result.window == encoded.span(scores.index(max(scores)))
        assert not result.truncated


def test_a_query_that_fills_the_input_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen")
    query, documents = "passport " * 600, ["The giant panda eats bamboo.", "Paris is the capital of France."]
    reranker = Reranker(folder, device="cpu", max_length=400, source=SourceOptions(family="qwen3"))
    lost = reranker.rank(query, documents)
    # As the card's code does it, nothing of the documents is read; here that is said.
    assert [one.truncated for one in lost] == [True, True]
    assert lost[0].score == lost[1].score
    assert "2 of 2 documents were longer than max_length=400" in caplog.text
    limited = Reranker(
        folder,
        device="cpu",
        max_length=400,
        source=SourceOptions(family="qwen3"),
        long_documents=LongDocuments(query_max_length=20),
    )
    assert [one.truncated for one in limited.rank(query, documents)] == [False, False]


@parity("monot5", kind="reranker", architectures=["t5"], reference="transformers")
@pytest.mark.parametrize("tied", [True, False])
def test_mono_t5(tmp_path: Path, tied: bool) -> None:
    folder = tiny_rerankers.mono_t5(tmp_path / "t5", tied=tied)
    reranker = Reranker(folder, device="cpu", source=SourceOptions(family="monot5"))
    check(reranker, SHORT, reference.mono_t5_scores(folder, SHORT))


def test_mono_t5_never_cuts_what_stands_behind_the_document(tmp_path: Path) -> None:
    folder = tiny_rerankers.mono_t5(tmp_path / "t5")
    reranker = Reranker(folder, device="cpu", max_length=64, source=SourceOptions(family="monot5"))
    encoder = reranker._lease.value.tokenizer
    ending = encoder.encode_one("x Relevant:").ids.tolist()[len(encoder.encode_one("x").ids) :]
    for encoded in reranker._backend.encode(PAIRS):
        ids = encoded.inputs[0].ids.tolist()
        assert ids[-len(ending) - 1 :] == [*ending, 1]
        assert len(ids) <= 64


@parity("tart", kind="reranker", architectures=["t5"], reference="its own code on transformers")
@pytest.mark.parametrize("instruction", [None, "Find a passage that answers"])
def test_tart_full(tmp_path: Path, instruction: str | None) -> None:
    folder = tiny_rerankers.tart_full(tmp_path / "tart")
    reranker = Reranker(folder, device="cpu", prompt=instruction)
    assert reranker.spec.scorer == "encoder-t5"
    check(reranker, PAIRS, reference.tart_scores(folder, PAIRS, instruction=instruction))


@parity("mxbai-v1", kind="reranker", architectures=["deberta-v2"], reference="transformers")
@pytest.mark.parametrize("max_length", [512, 64])
def test_deberta(tmp_path: Path, max_length: int) -> None:
    folder = tiny_rerankers.deberta_reranker(tmp_path / "deberta")
    reranker = Reranker(folder, device="cpu", max_length=max_length)
    check(reranker, PAIRS, reference.classifier_scores(folder, PAIRS, max_length=max_length))


@parity("gte", kind="reranker", architectures=["modernbert"], reference="transformers")
@pytest.mark.skipif(not tiny_rerankers.HAS_MODERNBERT, reason="this transformers has no ModernBERT")
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_modernbert(tmp_path: Path, pooling: str) -> None:
    folder = tiny_rerankers.modernbert_reranker(tmp_path / "modernbert", pooling=pooling)
    reranker = Reranker(folder, device="cpu", max_length=512)
    check(reranker, PAIRS, reference.classifier_scores(folder, PAIRS, max_length=512))


@parity("gte", kind="reranker", architectures=["gte"], reference="transformers")
@pytest.mark.skipif(not tiny_rerankers.HAS_GTE, reason="this transformers has no GTE")
def test_gte(tmp_path: Path) -> None:
    folder = tiny_rerankers.gte_reranker(tmp_path / "gte")
    check(
        Reranker(folder, device="cpu", max_length=512),
        PAIRS,
        reference.classifier_scores(folder, PAIRS, max_length=512),
    )


@parity(
    "jina-v2",
    kind="reranker",
    architectures=["XLMRobertaForSequenceClassification"],
    reference="transformers, the same weights under its names",
)
def test_jina_v2_is_an_xlmr_under_other_names(xlmr_reranker_folder: Path, tmp_path: Path) -> None:
    folder = tiny_rerankers.jina_v2(xlmr_reranker_folder, tmp_path / "jina")
    reranker = Reranker(folder, device="cpu", max_length=512)
    assert reranker.spec.max_length_tokens == 512
    check(reranker, PAIRS, reference.classifier_scores(xlmr_reranker_folder, PAIRS, max_length=512))
