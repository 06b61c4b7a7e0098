"""Parts of a batch on threads of their own: the same rows, at the same time, and no thread of others is changed."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rerank_plugins_mini
import tiny_checkpoints
import torch
from hypothesis import given
from hypothesis import strategies as st
from sum_scorer import SumScorer, token_input

from rerank_plugins import Embedder, EngineOptions, Reranker
from rerank_plugins.engine import side_by_side
from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.device import default_budget_tokens
from rerank_plugins.engine.executor import execute
from rerank_plugins.engine.side_by_side import forward, most_parts, shares
from rerank_plugins.errors import ScoringError
from rerank_plugins.nn.int8 import has_int8_products
from rerank_plugins.protocols import Batch, Scorer, ThreadSafe

N_THREADS = 2
INPUTS = [token_input(*([1 + index % 5] * (20 + 3 * index))) for index in range(24)]
TEXTS = [" ".join(tiny_checkpoints.SENTENCES[: 1 + index % 5] * (2 + index % 3)) for index in range(40)]
PAIRS = [("What does the panda eat?", f"{text} {number}") for number, text in enumerate(TEXTS)]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Torch has several threads, which tests have not otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(N_THREADS)
    yield
    torch.set_num_threads(before)


class Meeting(SumScorer):
    """A thread-safe scorer in which so many parts must meet; it notes where each ran."""

    is_thread_safe = True

    def __init__(self, n_parts: int = N_THREADS) -> None:
        super().__init__(is_padded=False)
        self.met = threading.Barrier(n_parts, timeout=20)
        self.seen: list[tuple[str, int, bool]] = []

    def forward(self, batch: Batch) -> torch.Tensor:
        self.met.wait()
        self.seen.append((threading.current_thread().name, torch.get_num_threads(), torch.is_inference_mode_enabled()))
        return super().forward(batch)


@given(lengths=st.lists(st.integers(0, 600), max_size=60), most=st.integers(1, 9))
def test_each_input_is_in_one_share_and_none_is_much_larger(lengths: list[int], most: int) -> None:
    found = shares(lengths, most=most)
    assert [place for one in found for place in range(one.start, one.stop)] == list(range(len(lengths)))
    if len(found) == 1:
        return
    assert len(found) in {most, most // 2, most // 4}
    sizes = [sum(lengths[one]) for one in found]
    assert all(one.start < one.stop for one in found)
    assert max(sizes) <= 1.25 * sum(lengths) / len(found)
    assert max(sizes) >= 96


@pytest.mark.parametrize(
    ("lengths", "most", "ends"),
    [
        ([100, 100], 2, [1, 2]),
        ([100, 100], 1, [2]),
        ([300, 250, 100, 50], 2, [1, 4]),
        ([100] * 6, 4, [3, 6]),
        ([100] * 5, 4, [2, 5]),
        ([100] * 3, 4, [3]),
        ([100] * 16, 8, [2, 4, 6, 8, 10, 12, 14, 16]),
        ([90, 90], 2, [2]),
        ([500, 20, 20], 2, [3]),
        ([512], 2, [1]),
        ([], 2, [0]),
        ([0, 0, 0], 3, [3]),
    ],
)
def test_shares(lengths: list[int], most: int, ends: list[int]) -> None:
    assert [one.stop for one in shares(lengths, most=most)] == ends


def test_parts_run_at_the_same_time_each_on_one_thread_of_torch_and_rows_keep_their_order() -> None:
    scorer = Meeting()
    rows = execute(scorer, INPUTS, budget=TokenBudget(10_000))
    assert rows[:, 0].tolist() == [float(one.ids.sum()) for one in INPUTS]
    assert len({name for name, _, _ in scorer.seen}) == N_THREADS
    assert {(n_threads, inference) for _, n_threads, inference in scorer.seen} == {(1, True)}
    assert not {name for name, _, _ in scorer.seen} & {threading.current_thread().name}


def test_threads_of_others_keep_the_number_that_the_process_has() -> None:
    execute(Meeting(), INPUTS, budget=TokenBudget(10_000))
    seen: list[int] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    assert seen == [N_THREADS] * 3
    assert torch.get_num_threads() == N_THREADS


def test_a_scorer_that_does_not_say_so_stays_in_its_thread() -> None:
    class Alone(SumScorer):
        def forward(self, batch: Batch) -> torch.Tensor:
            assert threading.current_thread() is me
            return super().forward(batch)

    me = threading.current_thread()
    assert most_parts(Alone()) == 1
    with torch.inference_mode():
        (rows,) = forward(Alone(is_padded=False), Batch(INPUTS))
    assert len(rows) == len(INPUTS)


@pytest.mark.parametrize("error", [MemoryError("full"), ValueError("wrong"), SystemExit(3)])
def test_an_error_is_raised_after_all_parts_have_ended_and_the_threads_go_on(error: BaseException) -> None:
    ended = threading.Event()

    class Broken(Meeting):
        def forward(self, batch: Batch) -> torch.Tensor:
            self.met.wait()
            if batch.inputs[0] is INPUTS[0]:
                raise error
            # The other part is still busy for a moment.
            ended.wait(0.2)
            ended.set()
            return SumScorer.forward(self, batch)

    with torch.inference_mode(), pytest.raises(type(error), match=str(error)):
        forward(Broken(), Batch(INPUTS))
    assert ended.is_set()
    assert len(execute(Meeting(), INPUTS, budget=TokenBudget(10_000))) == len(INPUTS)


def test_out_of_memory_in_a_part_halves_the_batch() -> None:
    class Small(SumScorer):
        is_thread_safe = True

    budget = TokenBudget(10_000)
    scorer = Small(is_padded=False, memory_tokens=300)
    rows = execute(scorer, INPUTS, budget=budget)
    assert rows[:, 0].tolist() == [float(one.ids.sum()) for one in INPUTS]
    assert budget.tokens < 10_000


def test_no_threads_to_be_had_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monkeypatch.setattr(side_by_side, "_started", {})
    monkeypatch.setattr(side_by_side.threading, "Thread", refuse)
    rows = execute(Meeting(n_parts=1), INPUTS, budget=TokenBudget(10_000))
    assert rows[:, 0].tolist() == [float(one.ids.sum()) for one in INPUTS]


def test_waiting_threads_keep_no_model_alive() -> None:
    scorer = Meeting()
    known = weakref.ref(scorer)
    execute(scorer, INPUTS, budget=TokenBudget(10_000))
    del scorer
    gc.collect()
    assert known() is None


@pytest.mark.parametrize("n_parts", [1, 2, 8])
def test_a_batch_holds_enough_for_each_part(n_parts: int) -> None:
    assert default_budget_tokens(torch.device("cpu"), n_parts=n_parts) == {1: 2_048, 2: 3_072, 8: 12_288}[n_parts]
    assert default_budget_tokens(torch.device("cuda"), n_parts=n_parts) == 32_768


def scorer_of(model: Reranker | Embedder) -> Scorer:
    return model._lease.value.batcher._scorers[0]  # type: ignore[union-attr]


def parts_of(model: Reranker | Embedder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each batch of the model adds how many parts it had."""
    sizes: list[int] = []
    run = side_by_side._Threads.run

    def counted(self: side_by_side._Threads, parts: list[Callable[[], object]]) -> list[object]:
        sizes.append(len(parts))
        return run(self, parts)

    monkeypatch.setattr(side_by_side._Threads, "run", counted)
    assert isinstance(scorer_of(model), ThreadSafe)
    return sizes


@pytest.mark.parametrize("folder", ["bert_reranker_folder", "xlmr_reranker_folder", "mini"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_rerankers_give_the_scores_of_one_thread(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str, dtype: str
) -> None:
    if dtype == "int8" and not has_int8_products():
        pytest.skip("this CPU has no 8-bit products")
    source = rerank_plugins_mini.reranker_path() if folder == "mini" else request.getfixturevalue(folder)
    # Weights of its own, and so a worker of its own, which has the number of threads that torch has now.
    name = shutil.copytree(source, tmp_path / "model")
    with Reranker(name, device="cpu", dtype=dtype, engine=EngineOptions(token_cache=False)) as reranker:
        sizes = parts_of(reranker, monkeypatch)
        together = reranker.score(PAIRS)
        assert max(sizes) == N_THREADS
        uneven = [("What does the panda eat?", " ".join(tiny_checkpoints.SENTENCES * 12)), *PAIRS[:2]]
        both = reranker.score(uneven)[1:], together[:2]
        torch.set_num_threads(1)
    other = shutil.copytree(source, tmp_path / "other")
    with Reranker(other, device="cpu", dtype=dtype, engine=EngineOptions(token_cache=False)) as reranker:
        sizes.clear()
        alone = [reranker.score([pair])[0] for pair in PAIRS]
        assert not sizes
    if dtype == "int8":
        assert together == alone
        assert both[0] == both[1]
    else:
        spread = max(alone) - min(alone)
        assert together == pytest.approx(alone, abs=(1e-5 if dtype == "float32" else 0.05) * max(spread, 1.0))


@pytest.mark.parametrize("name", ["bert-embedder", "xlmr-embedder"])
def test_embedders_give_the_vectors_of_one_thread(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with Embedder(shutil.copytree(checkpoints / name, tmp_path / name), device="cpu") as embedder:
        sizes = parts_of(embedder, monkeypatch)
        together = np.asarray(embedder.embed_documents(TEXTS))
        assert max(sizes) == N_THREADS
        monkeypatch.setattr(type(scorer_of(embedder)), "is_thread_safe", False)
        alone = np.asarray([embedder.embed_documents([text])[0] for text in TEXTS])
    assert together == pytest.approx(alone, abs=1e-5)


def test_compiled_models_stay_in_one_thread(bert_reranker_folder: Path) -> None:
    with Reranker(bert_reranker_folder, device="cpu", dtype="float32") as reranker:
        scorer = scorer_of(reranker)
        packed = scorer._backbone._packed  # type: ignore[attr-defined]
        assert scorer.is_thread_safe  # type: ignore[attr-defined]
        monkey = packed._encoder
        packed._encoder = type("Compiled", (), {"compile": lambda self: 3})()
        assert packed.compile() == 3
        packed._encoder = monkey
        assert not scorer.is_thread_safe  # type: ignore[attr-defined]


def test_many_callers_and_models_share_the_threads(checkpoints: Path, tmp_path: Path) -> None:
    own = shutil.copytree(checkpoints, tmp_path / "own")
    reranker = Reranker(own / "bert-reranker", device="cpu")
    other = Embedder(own / "bert-embedder", device="cpu")
    with reranker, other:
        expected, vectors = reranker.score(PAIRS), other.embed_documents(TEXTS)
        found: list[bool] = []

        def ask(number: int) -> None:
            for _ in range(4):
                if number % 2:
                    found.append(reranker.score(PAIRS) == pytest.approx(expected, abs=1e-5))
                else:
                    found.append(np.allclose(other.embed_documents(TEXTS), vectors, atol=1e-5))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 32


def test_an_error_in_a_part_is_a_scoring_error(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reranker(shutil.copytree(bert_reranker_folder, tmp_path / "own"), device="cpu") as reranker:
        expected = reranker.score(PAIRS)
        whole = type(scorer_of(reranker)).forward

        def broken(self: object, batch: Batch) -> torch.Tensor:
            if threading.current_thread().name.startswith("rerank-part-"):
                msg = "a fault in a part"
                raise ValueError(msg)
            return whole(self, batch)

        with monkeypatch.context() as patched:
            patched.setattr(type(scorer_of(reranker)), "forward", broken)
            with pytest.raises(ScoringError, match="a fault in a part"):
                reranker.score(PAIRS)
        assert reranker.score(PAIRS) == pytest.approx(expected, abs=1e-5)


PROGRAM = """
    import faulthandler, os, sys, threading, time
    import torch
    torch.set_num_threads(2)
    from rerank_plugins import Reranker
    from rerank_plugins.errors import EngineClosedError

    reranker = Reranker(%(folder)r, device="cpu")
    words = "panda bamboo eats paris tower river stone " * 8
    pairs = [("what do pandas eat", words + str(number)) for number in range(300)]
    expected = reranker.score(pairs)

    def endless():
        try:
            while True:
                reranker.score(pairs)
        except EngineClosedError:
            pass

    def near(found):
        return all(abs(one - other) < 1e-5 for one, other in zip(found, expected))

    %(what)s
"""
FORKS = """
    for _ in range(2):
        threading.Thread(target=endless, daemon=True).start()
    for number in range(6):
        time.sleep(0.05 * number)
        child = os.fork()
        if not child:
            faulthandler.dump_traceback_later(60, exit=True)
            torch.set_num_threads(2)
            os._exit(0 if near(reranker.score(pairs)) else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, number
    sys.exit(5)
"""
EXITS = """
    for _ in range(3):
        threading.Thread(target=endless, daemon=True).start()
    time.sleep(%(wait_s)f)
    sys.exit(5)
"""


def ended(folder: Path, what: str) -> int:
    program = textwrap.dedent(PROGRAM % {"folder": str(folder), "what": what.strip()})
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200)
    assert "terminate called" not in done.stderr, done.stderr
    assert done.returncode == 5, done.stderr
    return done.returncode


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forks_while_parts_run(bert_reranker_folder: Path) -> None:
    ended(bert_reranker_folder, FORKS)


@pytest.mark.slow
@pytest.mark.parametrize("wait_s", [0.0, 0.02, 0.05, 0.11, 0.3])
def test_exits_while_parts_run(bert_reranker_folder: Path, wait_s: float) -> None:
    ended(bert_reranker_folder, EXITS % {"wait_s": wait_s})
