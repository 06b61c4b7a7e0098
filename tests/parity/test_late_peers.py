"""Late interaction against its references: the definition, goldens of both older libraries, and live peers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import colbert_checkpoints as tiny
import numpy as np
import pytest
import torch
import transformers
from declared import parity

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import RerankPluginsError

GOLDENS = Path(__file__).parent / "goldens"
TOLERANCE = 1e-4
FIXED = {"strategy": "fixed", "attend": False, "token": None, "length": 32}
MIN = {"strategy": "min", "attend": True, "token": "[MASK]", "length": 8}

FOLDERS: dict[str, Callable[[Path], Path]] = {
    "stanford": tiny.stanford,
    "stanford-attend-16": lambda folder: tiny.stanford(folder, dim=16, attend=True),
    "stanford-all-tokens": lambda folder: tiny.stanford(folder, mask_punctuation=False),
    "pylate": tiny.pylate,
    "pylate-two-dense": lambda folder: tiny.pylate(folder, widths=(48, 16)),
    "pylate-residual": lambda folder: tiny.pylate(folder, widths=(48, 16), residual=True),
    "pylate-attend": lambda folder: tiny.pylate(folder, attend_to_expansion_tokens=True),
    "pylate-no-expansion": lambda folder: tiny.pylate(folder, do_query_expansion=False),
    "pylate-xlmr": lambda folder: tiny.pylate(folder, kind="xlmr"),
    "st-fixed": lambda folder: tiny.multi_vector_encoder(folder, expansion=FIXED),
    "st-min": lambda folder: tiny.multi_vector_encoder(folder, expansion=MIN, transformer={"query_length": 40}),
    "st-saved-length": lambda folder: tiny.multi_vector_encoder(folder, transformer={"max_seq_length": 9}),
    "st-min-saved-length": lambda folder: tiny.multi_vector_encoder(
        folder, expansion={**MIN, "length": 12}, transformer={"max_seq_length": 14}
    ),
    "st-mean": lambda folder: tiny.multi_vector_encoder(folder, similarity="meanmaxsim", prompts=("ask: ", "read: ")),
    "st-xlmr": lambda folder: tiny.multi_vector_encoder(folder, kind="xlmr", expansion=FIXED),
    "st-skips-unknown": lambda folder: tiny.multi_vector_encoder(folder, skipped=["[UNK]", ",", "nowhere"]),
    "st-skips-in-queries": lambda folder: tiny.multi_vector_encoder(
        folder, prompts=("", ""), mask={"skiplist_tasks": ["query", "document"]}
    ),
}


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def scores_of(folder: Path, queries: list[str], texts: list[str]) -> np.ndarray[Any, Any]:
    with Reranker(folder, device="cpu") as reranker:
        return np.array([reranker.score([(query, text) for text in texts]) for query in queries])


@parity("colbert", kind="reranker", architectures=["bert"], reference="colbert-ai 0.2.22")
@pytest.mark.parametrize("checkpoint", golden("colbert_ai")["scores"])
def test_colbert_ai_0_2_22(checkpoint: str) -> None:
    expected = golden("colbert_ai")
    found = scores_of(GOLDENS / "checkpoints" / checkpoint, expected["queries"], expected["texts"])
    assert np.abs(found - np.array(expected["scores"][checkpoint])).max() <= TOLERANCE


@pytest.mark.parametrize("checkpoint", golden("pylate")["scores"])
def test_pylate_1_6_0(checkpoint: str) -> None:
    expected = golden("pylate")
    found = scores_of(GOLDENS / "checkpoints" / checkpoint, expected["queries"], expected["texts"])
    assert np.abs(found - np.array(expected["scores"][checkpoint])).max() <= TOLERANCE


def compare_with_sentence_transformers(folder: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", minversion="6.2")
    peer = sentence_transformers.MultiVectorEncoder(str(folder), device="cpu")
    queries = peer.encode_query(tiny.QUERIES, convert_to_numpy=True)
    documents = peer.encode_document(tiny.TEXTS, convert_to_numpy=True)
    expected = np.array([[float(score) for score in peer.similarity([query], documents)[0]] for query in queries])
    assert np.abs(scores_of(folder, tiny.QUERIES, tiny.TEXTS) - expected).max() <= TOLERANCE
    with Embedder(folder, device="cpu") as embedder:
        found = [*embedder.encode_queries(tiny.QUERIES).colbert, *embedder.encode_documents(tiny.TEXTS).colbert]
    for ours, theirs in zip(found, [*queries, *documents], strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= TOLERANCE


@parity("colbert", kind="reranker", architectures=["bert"], reference="sentence-transformers")
@pytest.mark.parametrize("name", FOLDERS)
def test_sentence_transformers(name: str, tmp_path: Path) -> None:
    compare_with_sentence_transformers(FOLDERS[name](tmp_path / name))


@parity("colbert", kind="reranker", architectures=["modernbert"], reference="sentence-transformers")
def test_sentence_transformers_on_modernbert_with_local_layers(tmp_path: Path) -> None:
    if not hasattr(transformers, "ModernBertConfig"):
        pytest.skip("this transformers has no ModernBERT")
    compare_with_sentence_transformers(tiny.pylate(tmp_path / "modernbert", kind="modernbert"))


@pytest.mark.parametrize("name", ["stanford", "stanford-attend-16"])
def test_the_definition_written_out(name: str, tmp_path: Path) -> None:
    """Khattab and Zaharia 2020, and what colbert-ai adds: markers, masks that nobody sees, the skip list."""
    folder = FOLDERS[name](tmp_path / name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    from safetensors.torch import load_file

    linear = load_file(folder / "model.safetensors")["linear.weight"]
    skipped = {tokenizer.encode(one, add_special_tokens=False)[0] for one in tiny.string.punctuation}

    def vectors(text: str, marker: str, length: int, *, fills: bool) -> torch.Tensor:
        ids = tokenizer(text, truncation=True, max_length=length - 1)["input_ids"]
        ids = [ids[0], tokenizer.convert_tokens_to_ids(marker), *ids[1:]]
        mask = [1] * len(ids)
        kept = [True if fills else one not in skipped for one in ids]
        if fills:
            missing = length - len(ids)
            ids, kept = [*ids, *[tokenizer.mask_token_id] * missing], [*kept, *[True] * missing]
            mask = [*mask, *[int("attend" in name)] * missing]
        with torch.inference_mode():
            states = model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([mask])).last_hidden_state[0]
        return torch.nn.functional.normalize(states @ linear.T, dim=1)[torch.tensor(kept)]

    texts = [text for text in tiny.TEXTS if text.strip()]
    queries = [vectors(one, "[unused0]", 32, fills=True) for one in tiny.QUERIES]
    documents = [vectors(one, "[unused1]", 48, fills=False) for one in texts]
    expected = np.array([[float((d @ q.T).amax(0).sum()) for d in documents] for q in queries])
    assert np.abs(scores_of(folder, tiny.QUERIES, texts) - expected).max() <= TOLERANCE


def test_bge_m3_against_flagembedding(tmp_path: Path) -> None:
    flag = pytest.importorskip("FlagEmbedding")
    folder = tiny.m3(tmp_path / "m3")
    peer = flag.BGEM3FlagModel(str(folder), use_fp16=False, devices="cpu")
    pairs = [(query, text) for query in tiny.QUERIES for text in tiny.TEXTS]
    # One pair at a time: in a padded batch the best token of the reference may be padding, with a product of 0.
    expected = peer.compute_score(pairs, batch_size=1, max_query_length=256, max_passage_length=256)["colbert"]
    with Reranker(folder, device="cpu") as reranker:
        found = reranker.score(pairs)
        assert reranker.spec.late_interaction.unit == "mean cosine"
    assert np.abs(np.array(found) - np.array(expected)).max() <= TOLERANCE


class TestNeighbours:
    """A score is the same alone, beside a longer document, in a large call, and from many threads at once."""

    @pytest.fixture(params=["stanford", "pylate-xlmr", "st-min"])
    def reranker(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reranker]:
        with Reranker(FOLDERS[request.param](tmp_path / "model"), device="cpu") as opened:
            yield opened

    def test_alone_beside_a_longer_one_and_batched(self, reranker: Reranker) -> None:
        pairs = [(query, text) for query in tiny.QUERIES for text in tiny.TEXTS]
        together = reranker.score(pairs)
        longest = max(tiny.TEXTS, key=len)
        alone = [reranker.score([pair])[0] for pair in pairs]
        beside = [reranker.score([pair, (pair[0], longest)])[0] for pair in pairs]
        assert together == pytest.approx(alone, abs=1e-5 * 32)
        assert beside == pytest.approx(alone, abs=1e-5 * 32)

    def test_sixteen_threads(self, reranker: Reranker) -> None:
        pairs = [(query, text) for query in tiny.QUERIES for text in tiny.TEXTS]
        expected = reranker.score(pairs)
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda pair: reranker.score([pair])[0], pairs))
        assert found == pytest.approx(expected, abs=1e-5 * 32)


def test_a_negative_best_match_is_no_zero_beside_a_longer_document(tmp_path: Path) -> None:
    """PyLate 1.6's rank.rerank gives 0.0 there: it pads with zero vectors and masks nothing."""
    from rerank_plugins.embedding.maxsim import joined_vectors, maxsim

    query = np.array([[1.0, 0.0]], dtype=np.float32)
    short = np.array([[-0.7, 0.7], [-0.9, 0.1]], dtype=np.float32)
    longer = np.array([[-0.8, 0.0]] * 9, dtype=np.float32)
    alone = maxsim(query, *joined_vectors([short], width=2), is_mean=False)
    beside = maxsim(query, *joined_vectors([short, longer], width=2), is_mean=False)
    assert alone[0] == beside[0] == np.float32(-0.7)


def test_what_a_peer_would_skip_is_refused(tmp_path: Path) -> None:
    folder = tiny.stanford(tmp_path / "l2", similarity="l2")
    with pytest.raises(RerankPluginsError, match="similarity='l2'"):
        Reranker(folder)
