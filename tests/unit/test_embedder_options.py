"""What an embedder can be asked for beyond plain vectors: shorter ones, cached ones, other kinds, other words."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import embedder_checkpoints
import numpy as np
import pytest
import tiny_checkpoints
import torch
from safetensors.torch import load_file, save_file

from rerank_plugins import Embedder, InstructionOptions, QueryExample, QueryVectorCache, VectorOptions
from rerank_plugins.catalog import known_models
from rerank_plugins.catalog.resolve import SourceOptions
from rerank_plugins.errors import (
    EngineClosedError,
    InvalidInputError,
    UnsafeModelError,
    UnsupportedModelError,
)

TEXTS = tiny_checkpoints.SENTENCES


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("options")
    return cache(lambda name: embedder_checkpoints.BUILDERS[name](root / name))


@pytest.fixture
def folder(checkpoints: Path) -> Path:
    return checkpoints / "bert-embedder"


# Dimensions.


def test_shorter_vectors_are_the_beginning_scaled_again(folder: Path) -> None:
    whole = Embedder(folder, vectors=VectorOptions(normalize=False)).embed_documents(TEXTS)
    embedder = Embedder(folder, vectors=VectorOptions(dimensions=5))
    assert embedder.dimensions == 5
    expected = whole[:, :5] / np.linalg.norm(whole[:, :5], axis=1, keepdims=True)
    assert np.allclose(embedder.embed_documents(TEXTS), expected, atol=1e-6)
    assert np.allclose(
        Embedder(folder, vectors=VectorOptions(dimensions=5, normalize=False)).embed_documents(TEXTS),
        whole[:, :5],
        atol=1e-6,
    )
    assert embedder.embed_documents([]).shape == (0, 5)


@pytest.mark.parametrize("bad", [33, 0, -1, 1.5, True, "8"])
def test_dimensions_that_cannot_be(folder: Path, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="dimensions"):
        Embedder(folder, vectors=VectorOptions(dimensions=bad))


def test_all_dimensions_are_no_cut(folder: Path) -> None:
    assert np.array_equal(
        Embedder(folder, vectors=VectorOptions(dimensions=32)).embed_documents(TEXTS),
        Embedder(folder).embed_documents(TEXTS),
    )


def test_a_model_that_was_not_trained_for_it_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        Embedder(folder, vectors=VectorOptions(dimensions=32))
        assert not caplog.records
        Embedder(folder, vectors=VectorOptions(dimensions=8))
    assert "not known to be trained for vectors cut to 8" in caplog.text


@pytest.mark.skipif(not embedder_checkpoints.available("Qwen3-Embedding-0.6B"), reason="needs Qwen3")
def test_a_model_that_was_trained_for_it_does_not(folders: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        # matryoshka_from of the family is 32, which is all that the tiny one has.
        assert (
            Embedder(
                folders("Qwen3-Embedding-0.6B"),
                source=SourceOptions(family="qwen"),
                vectors=VectorOptions(dimensions=32),
            ).spec.matryoshka_from
            == 32
        )
    assert not caplog.records


# The query cache.


def test_queries_are_cached_and_documents_are_not(folder: Path) -> None:
    embedder = Embedder(folder, cache=QueryVectorCache(3))
    plain = Embedder(folder)
    assert plain.query_cache_statistics() is None
    first = embedder.embed_queries(TEXTS[:3])
    assert np.allclose(first, plain.embed_queries(TEXTS[:3]), atol=1e-6)
    assert np.array_equal(embedder.embed_queries(TEXTS[:3][::-1])[::-1], first)
    assert np.array_equal(asyncio.run(embedder.aembed_queries(TEXTS[:3])), first)
    embedder.embed_documents(TEXTS)
    told = embedder.query_cache_statistics()
    assert told is not None
    assert (told.hits, told.misses, told.entries, told.max_entries) == (6, 3, 3, 3)


def test_what_is_cached_does_not_reach_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Embedder(folder, cache=QueryVectorCache(8))
    embedder.embed_queries(TEXTS[:2])
    seen: list[int] = []
    backend = embedder._backend
    submit = backend._submit  # type: ignore[union-attr]
    monkeypatch.setattr(backend, "_submit", lambda inputs, *rest: seen.append(len(inputs)) or submit(inputs, *rest))
    embedder.embed_queries([TEXTS[1], TEXTS[4], TEXTS[0], TEXTS[4]])
    assert seen == [1]


def test_16_threads_share_a_small_cache(folder: Path) -> None:
    embedder = Embedder(folder, cache=QueryVectorCache(2))
    expected = Embedder(folder).embed_queries(TEXTS)

    def run(index: int) -> float:
        one, other = index % len(TEXTS), (index * 3) % len(TEXTS)
        found = embedder.embed_queries([TEXTS[one], TEXTS[other]])
        return float(np.abs(found - expected[[one, other]]).max())

    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(run, range(96))) <= 1e-5
    told = embedder.query_cache_statistics()
    assert told is not None
    assert (told.hits + told.misses, told.entries) == (192, 2)


def test_a_closed_embedder_answers_nothing_from_its_cache(folder: Path) -> None:
    embedder = Embedder(folder, cache=QueryVectorCache(2))
    embedder.embed_queries(TEXTS[:1])
    embedder.close()
    with pytest.raises(EngineClosedError):
        embedder.embed_queries(TEXTS[:1])


def test_other_weights_in_the_same_folder_get_vectors_of_their_own(folder: Path, tmp_path: Path) -> None:
    own, kept = shutil.copytree(folder, tmp_path / "model"), QueryVectorCache(2)
    with Embedder(own, cache=kept) as embedder:
        before = embedder.embed_queries(TEXTS[:1])
    stored = load_file(own / "model.safetensors")
    numbers = {name: one for name, one in stored.items() if one.is_floating_point()}
    save_file(
        {**stored, **{name: one + 0.1 * torch.rand_like(one) for name, one in numbers.items()}},
        own / "model.safetensors",
        {"format": "pt"},
    )
    with Embedder(own, cache=kept) as embedder, Embedder(own) as plain:
        after = embedder.embed_queries(TEXTS[:1])
        assert np.array_equal(after, plain.embed_queries(TEXTS[:1]))
    assert not np.allclose(after, before)


@pytest.mark.parametrize("bad", [0, -1, 2.5, True])
def test_cache_sizes_that_cannot_be(folder: Path, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_entries must be a positive integer"):
        Embedder(folder, cache=QueryVectorCache(bad))


# Vectors of three kinds.


def test_pickled_heads_are_read_only_where_allowed(folders: Any) -> None:
    folder = folders("bge-m3")
    embedder = Embedder(folder)
    dense = embedder.embed_documents(TEXTS)
    for outputs in (("sparse",), ("colbert",), ("dense", "sparse")):
        with pytest.raises(UnsafeModelError, match=r"sparse_linear.pt.*allow_pickle=True.*save_file\(torch.load"):
            embedder.encode_documents(TEXTS, outputs=outputs)
    allowed = Embedder(folder, source=SourceOptions(allow_pickle=True))
    assert np.allclose(allowed.encode_documents(TEXTS).dense, dense, atol=1e-6)
    # The plain vectors of an embedder that was opened before stay what they were.
    assert np.array_equal(embedder.embed_documents(TEXTS), dense)


def test_converted_heads_are_the_same_heads(folders: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(folders("bge-m3"), tmp_path / "converted")
    for name in ("sparse_linear", "colbert_linear"):
        save_file(torch.load(copy / f"{name}.pt", weights_only=True), str(copy / f"{name}.safetensors"))
        (copy / f"{name}.pt").unlink()
    expected = Embedder(folders("bge-m3"), source=SourceOptions(allow_pickle=True)).encode_queries(TEXTS)
    found = Embedder(copy).encode_queries(TEXTS)
    assert found.sparse == expected.sparse
    assert all(np.array_equal(one, other) for one, other in zip(found.colbert, expected.colbert, strict=True))


def test_a_pickle_that_holds_more_than_tensors_is_not_run(folders: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(folders("bge-m3"), tmp_path / "evil")
    torch.save({"weight": Path("somewhere")}, copy / "sparse_linear.pt")
    with pytest.raises(UnsupportedModelError, match=r"sparse_linear.pt.*cannot be read"):
        Embedder(copy, source=SourceOptions(allow_pickle=True)).encode_queries(TEXTS)
    (copy / "sparse_linear.pt").write_bytes(b"")
    with pytest.raises(UnsupportedModelError, match=r"sparse_linear.pt.*cannot be read"):
        Embedder(copy, source=SourceOptions(allow_pickle=True)).encode_queries(TEXTS)
    (copy / "sparse_linear.pt").unlink()
    with pytest.raises(UnsupportedModelError, match=r"neither sparse_linear.safetensors nor sparse_linear.pt"):
        Embedder(copy, source=SourceOptions(allow_pickle=True)).encode_queries(TEXTS)


def test_lengths_do_not_change_a_texts_vectors(folders: Any) -> None:
    embedder = Embedder(folders("bge-m3"), source=SourceOptions(allow_pickle=True))
    texts = ["a", *TEXTS, "panda " * 300, "bamboo " * 40, ""]
    together = embedder.encode_documents(texts)
    for index, text in enumerate(texts):
        alone = embedder.encode_documents([text])
        assert np.allclose(alone.dense[0], together.dense[index], atol=1e-5)
        assert alone.sparse[0] == pytest.approx(together.sparse[index], abs=1e-5)
        assert alone.colbert[0].shape == together.colbert[index].shape
        assert np.allclose(alone.colbert[0], together.colbert[index], atol=1e-5)


def test_no_texts_of_three_kinds(folders: Any) -> None:
    found = Embedder(folders("bge-m3"), source=SourceOptions(allow_pickle=True)).encode_queries([])
    assert (found.dense.shape, found.sparse, found.colbert) == ((0, 32), (), ())
    assert Embedder(folders("bge-m3"), source=SourceOptions(allow_pickle=True)).score_pairs([]) == []


def test_async_kinds_and_scores(folders: Any) -> None:
    embedder = Embedder(folders("bge-m3"), source=SourceOptions(allow_pickle=True))
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    assert asyncio.run(embedder.ascore_pairs(pairs)) == embedder.score_pairs(pairs)
    expected = embedder.encode_queries(TEXTS)
    assert asyncio.run(embedder.aencode_queries(TEXTS)).sparse == expected.sparse
    assert asyncio.run(embedder.aencode_documents(TEXTS, outputs=["sparse"])).sparse == expected.sparse


def test_models_with_one_kind_refuse_the_others(folder: Path) -> None:
    embedder = Embedder(folder)
    with pytest.raises(InvalidInputError, match=r"dense vectors only.*BAAI/bge-m3"):
        embedder.encode_queries(TEXTS)
    with pytest.raises(InvalidInputError, match="dense vectors only"):
        embedder.score_pairs([("a", "b")])


@pytest.mark.parametrize("bad", [[("a", None)], [("a",)], ["ab"], [(1, "b")], "ab"])
def test_pairs_that_are_none(folders: Any, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="got"):
        Embedder(folders("bge-m3"), source=SourceOptions(allow_pickle=True)).score_pairs(bad)


# Words around the text.


def test_examples_come_in_front_and_must_fit(folders: Any) -> None:
    folder = folders("bge-en-icl")
    example = QueryExample(query="who eats bamboo", response="Pandas do.")
    told = Embedder(folder, source=SourceOptions(family="bge"), instruction=InstructionOptions(examples=[example]))
    assert told.examples == (example,)
    assert told.max_length == 512 - (told._backend.queries.longest_tokens - told.max_length)
    plain = Embedder(folder, source=SourceOptions(family="bge"), instruction=InstructionOptions(query=""))
    task = "Given a web search query, retrieve relevant passages that answer the query."
    before = f"<instruct>{task}\n<query>who eats bamboo\n<response>Pandas do.\n\n<instruct>{task}\n<query>"
    assert np.allclose(told.embed_queries(["a panda"]), plain.embed_queries([f"{before}a panda"]), atol=1e-6)
    assert np.allclose(told.embed_documents(["a panda"]), plain.embed_documents(["a panda"]), atol=1e-6)
    with pytest.raises(InvalidInputError, match="give fewer or shorter examples"):
        Embedder(
            folder,
            max_length=512,
            source=SourceOptions(family="bge"),
            instruction=InstructionOptions(examples=[example]),
        )


def test_a_tokenizer_without_the_models_last_token(folders: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(folders("e5-mistral-7b-instruct"), tmp_path / "other")
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["</t>"] = tokenizer["model"]["vocab"].pop("</s>")
    tokenizer["added_tokens"] = [one for one in tokenizer["added_tokens"] if one["content"] != "</s>"]
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UnsupportedModelError, match=r"pools the token '</s>'.*has none"):
        Embedder(copy, source=SourceOptions(family="e5"))


def test_a_last_token_that_only_the_tokenizers_config_asks_for(folders: Any) -> None:
    # No family: nothing but add_eos_token says it.
    embedder = Embedder(folders("e5-mistral-7b-instruct"))
    assert (embedder.spec.ends_in, embedder._backend.queries._layout.suffix) == ("</s>", (2,))


@pytest.mark.parametrize("change", [{"is_causal": False}, {"auto_map": {"AutoModel": "modeling.Mine"}}])
def test_decoders_that_look_both_ways_are_not_run_as_causal_ones(folders: Any, tmp_path: Path, change: Any) -> None:
    """gte-Qwen2 is a plain qwen2 by its model type and is published with modeling code of its own."""
    copy = shutil.copytree(folders("e5-mistral-7b-instruct"), tmp_path / "both-ways")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "architectures": ["MistralForCausalLM"], **change}))
    with pytest.raises(UnsafeModelError, match=r"see those behind them.*trust_remote_code=True"):
        Embedder(copy, source=SourceOptions(family="e5"))


def test_a_pickled_dense_layer_is_read_only_where_allowed(folders: Any, tmp_path: Path) -> None:
    expected = Embedder(folders("instructor-base"), source=SourceOptions(family="instructor")).embed_queries(TEXTS)
    copy = shutil.copytree(folders("instructor-base"), tmp_path / "pickled")
    dense = copy / "2_Dense" / "model.safetensors"
    torch.save(load_file(str(dense)), dense.with_name("pytorch_model.bin"))
    dense.unlink()
    with pytest.raises(UnsafeModelError, match=r"2_Dense.*allow_pickle=True"):
        Embedder(copy, source=SourceOptions(family="instructor"))
    found = Embedder(copy, source=SourceOptions(family="instructor", allow_pickle=True)).embed_queries(TEXTS)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("task", ["qa", "icl", "chat", "lrlm", "tool", "convsearch"])
def test_llm_embedder_instructs_both_sides(checkpoints: Path, task: str) -> None:
    folder = checkpoints / "bert-embedder"
    told = Embedder(folder, source=SourceOptions(family="llm-embedder"), instruction=InstructionOptions(task=task))
    known = known_models()["embedder", "BAAI/llm-embedder"].instructions[task]
    assert told.instruction == known
    plain = Embedder(folder)
    assert np.allclose(told.embed_queries(["a\nb"]), plain.embed_queries([f"{known.query}a\nb"]), atol=1e-6)
    assert np.allclose(told.embed_documents(["a\nb"]), plain.embed_queries([f"{known.document}a\nb"]), atol=1e-6)


def test_pickles_are_fetched_only_where_allowed() -> None:
    assert SourceOptions().extra_files == []
    assert SourceOptions(allow_pickle=True).extra_files == ["*.bin", "*.pt"]


def test_the_instruction_counts_in_no_mean_where_the_checkpoint_says_so(checkpoints: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoints / "xlmr-embedder", tmp_path / "told")
    path = copy / "1_Pooling" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "include_prompt": False}))
    told, plain = (
        Embedder(one, instruction=InstructionOptions(query="Find: ")) for one in (copy, checkpoints / "xlmr-embedder")
    )
    assert not told.spec.pools_instruction
    assert not np.allclose(told.embed_queries(TEXTS), plain.embed_queries(TEXTS), atol=1e-3)
    # Without instruction there is nothing to leave out.
    assert np.allclose(told.embed_documents(TEXTS), plain.embed_documents(TEXTS), atol=1e-6)


@pytest.mark.parametrize("task", ["wikipedia", None])
def test_the_users_instruction_wins_for_a_local_path_too(folders: Any, task: str | None) -> None:
    embedder = Embedder(
        folders("instructor-base"),
        source=SourceOptions(family="instructor"),
        instruction=InstructionOptions(task=task, query="Mine:"),
    )
    assert embedder.instruction.query == "Mine:"
    assert embedder.instruction.document.startswith("Represent the ")


def test_an_instruction_that_fills_the_input_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"max_length=16 leaves no room"):
        Embedder(folder, max_length=16, instruction=InstructionOptions(document="panda " * 20))


def test_families_whose_models_disagree_choose_no_instruction(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "mine", pooling=None)
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        embedder = Embedder(folder, source=SourceOptions(family="bge"))
    assert (embedder.spec.pooling, embedder.normalize, embedder.instruction.query) == ("cls", True, "")
    assert "pass query_instruction" in caplog.text
