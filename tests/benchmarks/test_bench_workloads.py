from __future__ import annotations

from pathlib import Path

import pytest
import transformers
from small_benchmarks import GEMMA, MINICPM, SMALL, SMALL_XLMR

from benchmarks.models import checkpoint
from benchmarks.shapes import DecoderShape, EncoderShape
from benchmarks.workloads import LONGEST, MEAN, SHORTEST, PairMaker, mixed_lengths


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


@pytest.mark.parametrize("n", [20, 100, 1_000])
def test_mixed_lengths_keep_their_mean_and_longest(n: int) -> None:
    lengths = mixed_lengths(n, seed=3)
    assert len(lengths) == n
    assert abs(sum(lengths) / n - MEAN) <= 2
    assert max(lengths) == LONGEST
    assert min(lengths) >= SHORTEST


def test_mixed_lengths_depend_on_the_seed_in_order_only() -> None:
    assert mixed_lengths(50, seed=1) == mixed_lengths(50, seed=1)
    assert mixed_lengths(50, seed=1) != mixed_lengths(50, seed=2)
    assert sorted(mixed_lengths(50, seed=1)) == sorted(mixed_lengths(50, seed=2))
    assert mixed_lengths(1, seed=5) == [MEAN]


@pytest.mark.parametrize("shape", [SMALL, SMALL_XLMR], ids=["bert", "xlmr"])
def test_pairs_have_the_lengths_that_a_plain_tokenizer_counts(root: Path, shape: EncoderShape) -> None:
    folder = checkpoint(shape, root)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    fixed = PairMaker(folder).fixed(5, length=128)
    assert [len(tokenizer(*pair)["input_ids"]) for pair in fixed.pairs] == [128] * 5
    mixed = PairMaker(folder).mixed(20, n_queries=2)
    assert [len(tokenizer(*pair)["input_ids"]) for pair in mixed.pairs] == list(mixed.lengths)
    assert sorted(mixed.lengths[:20]) == sorted(mixed_lengths(20, seed=1))
    assert len({query for query, _ in mixed.pairs}) == 2
    assert len(set(mixed.pairs)) == 40


def test_workloads_are_repeatable(root: Path) -> None:
    folder = checkpoint(SMALL, root)
    assert PairMaker(folder).mixed(6) == PairMaker(folder).mixed(6)
    assert PairMaker(folder).mixed(6) != PairMaker(folder).mixed(6, seed=2)


def test_facts_say_what_was_scored(root: Path) -> None:
    facts = PairMaker(checkpoint(SMALL, root)).fixed(3, length=40).facts()
    assert facts == {
        "workload": "1 x 3 of 40 tokens",
        "pairs": 3,
        "tokens": 120,
        "mean_tokens": 40.0,
        "longest_tokens": 40,
    }


@pytest.mark.parametrize("shape", [SMALL, SMALL_XLMR, GEMMA, MINICPM], ids=lambda shape: shape.name)
def test_checkpoints_are_written_once_and_are_the_same_every_time(
    root: Path, tmp_path: Path, shape: EncoderShape | DecoderShape
) -> None:
    folder = checkpoint(shape, root)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert checkpoint(shape, root) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    again = checkpoint(shape, tmp_path)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_answer_token_of_the_llm_is_one_token(root: Path) -> None:
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(checkpoint(GEMMA, root))
    assert tokenizer.tokenize("Yes") == ["Yes"]
