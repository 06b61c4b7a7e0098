"""What a backend of texts gets from the reranker without writing any of it."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from word_overlap import WordOverlap

from rerank_plugins import EngineOptions, LayerOptions, LongDocuments, Reranker, ScoreCache, SourceOptions
from rerank_plugins.backends import named
from rerank_plugins.backends.named import register_backend
from rerank_plugins.backends.protocol import BackendScores, PairScorer, ScoreOptions, SimplePairScorer, reranker_spec
from rerank_plugins.backends.vectors import embedder_spec
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.errors import DeadlineExceededError, EngineClosedError, InvalidInputError, ModelError, ScoringError
from rerank_plugins.types import BLANK_DOCUMENT_SCORE, WindowSpan

QUERY = "pandas eat bamboo"
DOCUMENTS = ["bears eat", None, "Pandas eat bamboo leaves", " ", "rivers", "pandas eat fish"]


class Recording(SimplePairScorer):
    """Remembers what it was shown; scores by length."""

    def __init__(self, max_length: int | None = None) -> None:
        self.spec = reranker_spec("acme/recording", max_length=max_length)
        self.shown: list[tuple[str, str]] = []
        self.closed = 0

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self.shown += pairs
        return [float(len(document)) for _, document in pairs]

    def close(self) -> None:
        self.closed += 1


class Answering(SimplePairScorer):
    """Answers whatever a test wants."""

    spec = reranker_spec("acme/answering")

    def __init__(self, answer: Callable[[int], object]) -> None:
        self.answer = answer

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        return self.answer(len(pairs))  # type: ignore[return-value]


class Rough(SimplePairScorer):
    """Scores the longest ``top_n`` by their length, the others 0, and does not say which."""

    def __init__(self, max_length: int | None = None) -> None:
        self.spec = reranker_spec("acme/rough", max_length=max_length)

    def score(self, pairs: Sequence[tuple[str, str | None]], options: ScoreOptions) -> BackendScores:
        lengths = [float(len(document or "")) for _, document in pairs]
        least = sorted(lengths)[-options.top_n] if options.top_n else 0.0
        return BackendScores.of(one if one >= least else 0.0 for one in lengths)

    async def ascore(self, pairs: Sequence[tuple[str, str | None]], options: ScoreOptions) -> BackendScores:
        return self.score(pairs, options)

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        raise NotImplementedError


class Natively(WordOverlap):
    """Has something to await."""

    awaited = False

    async def ascore(self, pairs: Sequence[tuple[str, str | None]], options: ScoreOptions) -> BackendScores:
        await asyncio.sleep(0)
        self.awaited = True
        return self.score(pairs, options)


def test_ranks_with_ties_blanks_and_probabilities() -> None:
    ranking = Reranker(backend=WordOverlap()).rank(QUERY, DOCUMENTS)
    assert [(one.index, one.score) for one in ranking] == [
        (2, 3.0),
        (5, 2.0),
        (0, 1.0),
        (4, 0.0),
        (1, BLANK_DOCUMENT_SCORE),
        (3, BLANK_DOCUMENT_SCORE),
    ]
    assert [one.rank for one in ranking] == [1, 2, 3, 4, 5, 6]
    assert ranking[0].probability == pytest.approx(1 / (1 + 2.718281828459045**-3))
    assert ranking[0].window is None
    assert not ranking[0].truncated
    assert ranking.usage is not None
    assert ranking.usage.inputs == 4


def test_thresholds_and_scales() -> None:
    reranker = Reranker(backend=WordOverlap())
    assert [one.index for one in reranker.rank(QUERY, DOCUMENTS, threshold=2, threshold_unit="raw")] == [2, 5]
    assert [one.index for one in reranker.rank(QUERY, DOCUMENTS, threshold=0.9, top_n=1)] == [2]
    scorer = Answering(lambda n: [0.25] * n)
    scorer.spec = reranker_spec("acme/answering", score_scale="probability")
    assert Reranker(backend=scorer).rank("a", ["b"])[0].probability == 0.25


def test_sync_async_threads_and_streams_agree() -> None:
    reranker = Reranker(backend=WordOverlap())
    pairs = [(QUERY, text) for text in DOCUMENTS] * 7
    expected = reranker.score(pairs)
    assert expected[:6] == [1.0, BLANK_DOCUMENT_SCORE, 3.0, BLANK_DOCUMENT_SCORE, 0.0, 2.0]
    assert asyncio.run(reranker.ascore(pairs)) == expected
    assert list(reranker.score_stream(iter(pairs), chunk_pairs=5)) == expected
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reranker.score, [pairs] * 16)) == [expected] * 16
    assert asyncio.run(reranker.arank(QUERY, DOCUMENTS)) == reranker.rank(QUERY, DOCUMENTS)


def test_what_can_be_awaited_is_awaited() -> None:
    backend = Natively()
    assert asyncio.run(Reranker(backend=backend).ascore([(QUERY, "bamboo")])) == [1.0]
    assert backend.awaited


def test_blank_and_equal_texts_are_not_shown_twice() -> None:
    backend = Recording()
    Reranker(backend=backend).rank(QUERY, ["a", "", None, "a", "bb"])
    assert backend.shown == [(QUERY, "a"), (QUERY, "bb")]


def test_long_documents_get_windows_with_their_characters() -> None:
    text = "one two three four pandas eat bamboo five six seven eight nine"
    windows = LongDocuments(strategy="maxp", overlap_tokens=1)
    reranker = Reranker(backend=WordOverlap(max_length=7), long_documents=windows)
    (one,) = reranker.rank(QUERY, [text])
    assert one.score == 3.0
    assert one.window == WindowSpan(text.index("four"), text.index(" five"))
    assert not one.truncated


def test_a_document_that_is_cut_says_so() -> None:
    reranker = Reranker(backend=WordOverlap(max_length=7))
    (one,) = reranker.rank(QUERY, ["one two three four pandas"])
    assert (one.score, one.truncated, one.window) == (0.0, True, WindowSpan(0, len("one two three four")))
    assert reranker.max_length == 7
    assert Reranker(backend=WordOverlap(max_length=7), max_length=5).rank(QUERY, ["one two pandas"])[0].truncated
    with pytest.raises(InvalidInputError, match="max_length=8 is more than"):
        Reranker(backend=WordOverlap(max_length=7), max_length=8)


def test_the_mean_of_windows_is_taken_over_all() -> None:
    windows = LongDocuments(strategy="meanp", overlap_tokens=0)
    reranker = Reranker(backend=Recording(max_length=2), long_documents=windows)
    assert reranker.score([("q", "a bb ccc")]) == [2.0]


def test_a_score_cache_is_asked_first() -> None:
    backend, cache = Recording(), ScoreCache()
    reranker = Reranker(backend=backend, cache=cache)
    first = reranker.rank(QUERY, ["a", "bb"])
    second = reranker.rank(QUERY, ["bb", "a", "ccc"])
    assert backend.shown == [(QUERY, "a"), (QUERY, "bb"), (QUERY, "ccc")]
    assert first[0].score == second[1].score == 2.0
    assert second.usage is not None
    assert second.usage.reused_inputs == 2
    # Another object's scores are another's, whatever its name.
    other = Recording()
    Reranker(backend=other, cache=cache).score([(QUERY, "a")])
    assert other.shown == [(QUERY, "a")]


@pytest.mark.parametrize("other", [("ab c", "d"), ("a", "b cd")], ids=str)
def test_where_a_query_ends_is_part_of_the_score_caches_key(other: tuple[str, str]) -> None:
    backend = Recording()
    reranker = Reranker(backend=backend, cache=ScoreCache())
    assert reranker.score([("ab ", "cd")]) == [2.0]
    assert reranker.score([other]) == [float(len(other[1]))]
    assert backend.shown == [("ab ", "cd"), other]


def test_calibration_counts_and_is_checked() -> None:
    reranker = Reranker(backend=WordOverlap())
    scores = [0.0, 1.0, 1.0, 2.0, 3.0, 3.0, 0.0, 2.0] * 4
    labels = [score >= 2 for score in scores]
    made = fit_calibration(scores, labels, source=reranker.score_source)
    calibrated = Reranker(backend=WordOverlap(), calibration=made)
    assert calibrated.rank(QUERY, DOCUMENTS)[0].probability == made.probability(3.0)
    with pytest.raises(InvalidInputError, match="acme/recording"):
        Reranker(backend=Recording(), calibration=made)


def test_explains() -> None:
    explanation = Reranker(backend=WordOverlap()).explain(QUERY, "pandas often eat bamboo")
    assert {span.text: span.drop for span in explanation.spans} == {"pandas": 1, "often": 0, "eat": 1, "bamboo": 1}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda n: [1.0] * (n - 1), "gave 1 scores for 2 pairs"),
        (lambda n: [float("nan")] * n, "NaN or infinity for 2 of 2"),
        (lambda n: ["high"] * n, "must be numbers"),
        (lambda _: None, "failed with TypeError"),
        (lambda _: 1 / 0, "failed with ZeroDivisionError"),
    ],
    ids=["too few", "nan", "texts", "none", "raises"],
)
def test_what_cannot_be_scores_is_typed(answer: Callable[[int], object], message: str) -> None:
    reranker = Reranker(backend=Answering(answer))
    with pytest.raises(ScoringError, match=message):
        reranker.score([("a", "b"), ("c", "d")])
    with pytest.raises(ScoringError, match=message):
        asyncio.run(reranker.arank("a", ["b", "c"]))
    assert reranker.stats().calls_failed == 2


def test_stop_iteration_is_an_error_and_ends_no_call() -> None:
    def stop(_: int) -> object:
        raise StopIteration(5)

    with pytest.raises(ScoringError, match="StopIteration"):
        Reranker(backend=Answering(stop)).score([("a", "b")])
    with pytest.raises(ScoringError, match="StopIteration"):
        asyncio.run(Reranker(backend=Answering(stop)).ascore([("a", "b")]))


def slow(n: int) -> list[float]:
    time.sleep(0.05)
    return [1.0] * n


def test_a_deadline_ends_the_call_and_the_work() -> None:
    calls: list[int] = []

    def counted(n: int) -> list[float]:
        calls.append(n)
        return slow(n)

    reranker = Reranker(backend=Answering(counted), engine=EngineOptions(deadline_s=0.12))
    documents = [f"text {number}" for number in range(32 * 200)]
    with pytest.raises(DeadlineExceededError):
        reranker.rank("a", documents)
    n_sync = len(calls)
    assert n_sync < 100
    with pytest.raises(DeadlineExceededError):
        asyncio.run(reranker.arank("a", documents))
    assert len(calls) - n_sync < 100
    with pytest.raises(DeadlineExceededError):
        reranker.explain("a", " ".join(documents), max_spans=64 * 100, deadline_s=0.1)
    with pytest.raises(DeadlineExceededError):
        list(reranker.score_stream([("a", text) for text in documents], deadline_s=0.1, chunk_pairs=64))
    assert reranker.score([("a", "b")], deadline_s=60) == [1.0]


def test_a_result_that_comes_too_late_is_none() -> None:
    # One batch: nothing but the end of the call can look at the clock.
    reranker = Reranker(backend=Answering(slow))
    with pytest.raises(DeadlineExceededError):
        reranker.score([("a", "b")], deadline_s=0.01)
    with pytest.raises(DeadlineExceededError):
        asyncio.run(reranker.ascore([("a", "b")], deadline_s=0.01))


def test_a_cancelled_task_drops_what_has_not_run() -> None:
    started, calls = threading.Event(), []

    def counted(n: int) -> list[float]:
        calls.append(n)
        started.set()
        return slow(n)

    async def cancel() -> None:
        reranker = Reranker(backend=Answering(counted))
        task = asyncio.create_task(reranker.arank("a", [f"text {number}" for number in range(32 * 200)]))
        await asyncio.to_thread(started.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert len(calls) < 100


def test_observers_hear_of_it() -> None:
    records: list[CallRecord] = []
    stop = add_observer(records.append)
    try:
        Reranker(backend=WordOverlap()).rank(QUERY, DOCUMENTS)
        with pytest.raises(ScoringError):
            Reranker(backend=Answering(lambda _: None)).score([("a", "b")])
    finally:
        stop()
    assert [(one.model, one.error) for one in records] == [
        ("acme/word-overlap", None),
        ("acme/answering", "ScoringError"),
    ]


def test_whoever_made_it_closes_it() -> None:
    backend = Recording()
    reranker = Reranker(backend=backend)
    other = copy.deepcopy(reranker)
    reranker.close()
    with pytest.raises(EngineClosedError):
        reranker.score([("a", "b")])
    assert other.score([("a", "b")]) == [1.0]
    other.close()
    assert backend.closed == 0


def test_a_backend_that_can_be_pickled_is() -> None:
    reranker = Reranker(backend=WordOverlap(max_length=9), long_documents="maxp")
    again = pickle.loads(pickle.dumps(reranker))
    assert again.rank(QUERY, DOCUMENTS) == reranker.rank(QUERY, DOCUMENTS)
    assert again.max_length == 9


@pytest.mark.parametrize(
    "options",
    [
        {"device": "cpu"},
        {"dtype": "float16"},
        {"source": SourceOptions(revision="main")},
        {"source": SourceOptions(allow_pickle=True)},
        {"engine": EngineOptions(torch_compile=True)},
        {"source": SourceOptions(family="bge")},
        {"prompt": "x"},
        {"source": SourceOptions(peft_path="x")},
        {"layers": LayerOptions(cutoff_layers=(1,))},
        {"engine": EngineOptions(max_batch_tokens=3)},
        {"long_documents": LongDocuments(truncation="end")},
    ],
    ids=str,
)
def test_options_of_checkpoints_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(options))}.*'acme/word-overlap' is a backend"):
        Reranker(backend=WordOverlap(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", [object(), WordOverlap, 3], ids=["object", "class", "number"])
def test_what_is_no_backend_is_refused(backend: object) -> None:
    with pytest.raises(InvalidInputError, match="backend must have spec, device, score"):
        Reranker(backend=backend)  # type: ignore[arg-type]


def test_a_model_beside_a_backend_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="leave model out"):
        Reranker("mini", backend=WordOverlap())


def test_layers_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no layers to choose"):
        Reranker(backend=WordOverlap()).score_layers([("a", "b")])


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    monkeypatch.setattr(named, "_OPENERS", {})
    made: list[Recording] = []

    def opener(rest: str) -> PairScorer:
        made.append(Recording(int(rest) if rest else None))
        return made[-1]

    register_backend("recording", opener)
    return made


def test_a_registered_name_opens_once_and_is_closed_by_the_last(registered: list[Recording]) -> None:
    first, second = Reranker("recording:5"), Reranker("recording:5", long_documents="maxp")
    assert (first.model, first.max_length) == ("recording:5", 5)
    assert len(registered) == 1
    first.close()
    assert second.score([("a", "bb")]) == [2.0]
    second.close()
    assert registered[0].closed == 1
    with Reranker("recording") as whole:
        assert whole.max_length > 10**6
    assert Reranker("recording:5").score([("a", "bb")]) == [2.0]


def test_names_that_nobody_registered_are_no_backends(registered: list[Recording], tmp_path: Path) -> None:
    assert named.opener_of("BAAI/bge-reranker-base", kind="reranker") is None
    assert named.opener_of("C:\\models", kind="reranker") is None
    assert named.opener_of(tmp_path, kind="reranker") is None
    assert "recording" in named.backend_names()
    with pytest.raises(InvalidInputError, match="lower-case letter"):
        register_backend("R", registered.append)  # type: ignore[arg-type]


def test_an_opener_that_gives_something_else_is_told(registered: list[Recording]) -> None:
    register_backend("broken", lambda _: registered)  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidInputError, match=r"'broken' gave .*list"):
        Reranker("broken:x")


def test_an_opener_that_fails_is_typed(registered: list[Recording]) -> None:
    with pytest.raises(ModelError, match=r"'recording' could not be opened with 'x' \(ValueError"):
        Reranker("recording:x")
    assert registered == []
    assert Reranker("recording:3").max_length == 3


@pytest.mark.parametrize("spec", [None, {"id": "x"}, embedder_spec("acme/other")], ids=["none", "dict", "embedder"])
def test_a_spec_of_another_kind_is_refused(spec: object) -> None:
    backend = Recording()
    backend.spec = spec  # type: ignore[assignment]
    with pytest.raises(InvalidInputError, match=r"must be what reranker_spec\(...\) gives"):
        Reranker(backend=backend)


def test_an_option_of_checkpoints_is_refused_before_anything_is_opened(registered: list[Recording]) -> None:
    with pytest.raises(InvalidInputError, match=r"device='cpu'.*'recording:5' is a backend"):
        Reranker("recording:5", device="cpu")
    assert registered == []


@pytest.mark.parametrize(("query_max_length", "shown"), [(None, "a b c"), (2, "a b"), (100, "a b c")])
def test_query_and_document_together_are_never_longer_than_what_is_read(query_max_length: int, shown: str) -> None:
    backend = Recording(max_length=4)
    reranker = Reranker(
        backend=backend, long_documents=LongDocuments(strategy="maxp", query_max_length=query_max_length)
    )
    reranker.rank("a b c d e f", ["u v w x y z"])
    assert {query for query, _ in backend.shown} == {shown}
    assert all(len(f"{query} {document}".split()) <= 4 for query, document in backend.shown)
    with pytest.raises(InvalidInputError, match="max_length=1 leaves no room"):
        Reranker(backend=Recording(max_length=1))


@pytest.mark.parametrize(
    ("setting", "way_out"),
    [
        (LongDocuments(), "long_documents='maxp' reads all"),
        (LongDocuments(strategy="firstp"), "long_documents='maxp' reads more"),
        (LongDocuments(strategy="maxp", max_characters=8), "max_characters"),
    ],
    ids=["truncate", "firstp", "maxp"],
)
def test_what_is_not_read_is_told_with_what_would_read_it(
    setting: LongDocuments, way_out: str, caplog: pytest.LogCaptureFixture
) -> None:
    Reranker(backend=Recording(max_length=4), long_documents=setting).rank("q", ["one two three four five six"])
    (told,) = [record.getMessage() for record in caplog.records if "only partly read" in record.getMessage()]
    assert way_out in told


async def test_rough_scores_are_made_for_no_cache_and_of_no_windows() -> None:
    texts = ["a b c d e f", "a b c", "a b"]
    plain = Reranker(backend=Rough())
    assert [one.score for one in plain.rank("q", texts, top_n=2)] == [11.0, 5.0]
    keeping = Reranker(backend=Rough(), cache=ScoreCache())
    await keeping.arank("q", texts[:2], top_n=1)
    keeping.rank("q", texts, top_n=1)
    assert keeping.score([("q", text) for text in texts]) == [11.0, 5.0, 3.0]
    # Two windows of the first document would be the best two.
    split = Reranker(backend=Rough(max_length=4), long_documents=LongDocuments(strategy="maxp", overlap_tokens=0))
    assert [one.score for one in split.rank("q", texts, top_n=2)] == [5.0, 5.0]
    assert [one.score for one in split.rank("q", ["a b c d e f", "a b"], top_n=2)] == [5.0, 3.0]
