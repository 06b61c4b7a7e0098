"""Hard negatives from first stages, in flat memory but for the pool and its indexes; a killed run goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.build import build_first_stage
from rerank_plugins.retrieval.first_stage import FirstStage, search_many
from rerank_plugins.training.data.lines import data_files, json_line
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.mining.choosing import Found, Judge, RowChoice, choose
from rerank_plugins.training.mining.judges import CosineJudge, RerankerJudge
from rerank_plugins.training.mining.pool import KnownAnswers, Pool, PoolMaker, read_pool
from rerank_plugins.training.mining.results import COUNTED, DroppedText, MiningResult
from rerank_plugins.training.mining.settings import MiningSettings, ScoreFilter
from rerank_plugins.training.row_job import RowJob, check_job_output
from rerank_plugins.training.row_source import PlacedRecord, RowSource, blocks, look_at_rows
from rerank_plugins.training.teachers import check_one_layer, embedder_facts, opened_reranker, teacher_facts

__all__ = ["mine_negatives"]

_NOT_IN_JOB = ("data", "output", "format_name", "candidate_pool", "show_dropped", "batch_rows", "restart")
"""Settings that no mined row depends on: data and pool are known by what is in them."""

FirstStages = Callable[[Mapping[str, str]], Sequence[FirstStage]]


@dataclass(frozen=True, slots=True, eq=False)
class _Models:
    """What finds and judges candidates.

    Attributes:
        embedder: Of dense stages; None if there are none.
        reranker: Filters; None for no reranker.
        first_stages: Builds other stages; None for those of the settings.
    """

    embedder: Embedder | None
    reranker: Reranker | None
    first_stages: FirstStages | None

    def facts(self) -> dict[str, Any]:
        """Return what they are, as plain values."""
        return {
            "embedder": None if self.embedder is None else embedder_facts(self.embedder),
            "filter_model": None if self.reranker is None else teacher_facts(self.reranker),
            "first_stages": None if self.first_stages is None else "made by the caller",
        }

    def stages(self, pool: Pool, settings: MiningSettings) -> Sequence[FirstStage]:
        """Return the first stages over a pool."""
        if self.first_stages is not None:
            found = self.first_stages(pool.texts)
            if not found:
                msg = "first_stages made no first stage, so nothing can be searched; let it return at least one"
                raise InvalidInputError(msg)
            return found
        options: dict[str, Any] = {"faiss_index": settings.faiss_index}
        if self.embedder is not None:
            options["embedder"] = self.embedder
        return [build_first_stage(pool.texts, retriever=name, **options) for name in settings.retrievers]

    def judge(self, score_filter: ScoreFilter) -> Judge | None:
        """Return what the filter goes by; None if nothing is filtered."""
        if self.reranker is not None:
            return RerankerJudge(self.reranker)
        return CosineJudge(self.embedder) if score_filter.is_any and self.embedder is not None else None


@checked_call(unchecked=("embedder", "filter_model", "first_stages"))
def mine_negatives(
    settings: MiningSettings,
    *,
    embedder: Embedder | str | Path = "mini",
    filter_model: Reranker | str | Path | None = None,
    first_stages: FirstStages | None = None,
    on_row: Callable[[int, int], object] | None = None,
) -> MiningResult:
    """Find hard negatives for every row and write the rows with them.

    The rule of FlagEmbedding's ``scripts/hn_mine.py``: the texts of the pool at the ranks of ``range_for_sampling``,
    without the query and its positives; ``negative_number`` of them drawn; random texts where there are too few. What
    is added: labelled negatives stay, positives of other rows with the same query are left out, several first stages,
    filters, and draws that are the same in every run.

    Args:
        settings: What is mined.
        embedder: Of dense and hybrid stages: an object or a model's name.
        filter_model: A reranker that drops candidates which score like answers; None for no reranker. Without a rule in
            ``settings.score_filter`` it drops what is less than 5 % below the worst labelled positive.
        first_stages: Called with the pool, text by id, to make the first stages that are searched instead of those of
            ``settings.retrievers``.
        on_row: Called with the numbers of finished and of all rows, for a progress bar.

    Raises:
        InvalidInputError: A row is none, or has no positive or a blank text; the output is somebody else's, or was
            begun with other data or options; a filter has no scores to go by. Nothing was computed then.
        MissingExtraError: bm25s or FAISS is not installed.
        ModelError: A model cannot be loaded.
    """
    output = Path(settings.output)
    pool_source = None if settings.candidate_pool is None else Path(settings.candidate_pool)
    sources = data_files(list(settings.data)) + ([] if pool_source is None else data_files(pool_source))
    check_job_output(output, [*map(Path, settings.data), *sources], restart=settings.restart)
    _check_scores(settings, has_reranker=filter_model is not None, has_own_stages=first_stages is not None)
    source, pool = _rows_and_pool(settings, pool_source)
    with ExitStack() as stack:
        needs_embedder = first_stages is None and settings.needs_embedder
        models = _Models(
            embedder=_opened_embedder(embedder, stack) if needs_embedder else None,
            reranker=None if filter_model is None else _opened_reranker(filter_model, stack),
            first_stages=first_stages,
        )
        job = stack.enter_context(
            RowJob(output, _job_settings(settings, source, pool, models), restart=settings.restart)
        )
        dropped: list[DroppedText] = []
        if not job.is_finished:
            _mine(job, source, pool, settings=settings, models=models, dropped=dropped, on_row=on_row)
        return MiningResult(
            output=output,
            n_rows=job.n_done,
            n_resumed=job.n_found,
            n_pool=len(pool),
            counts={name: job.counts[name] for name in COUNTED},
            dropped=tuple(dropped),
        )


def _mine(
    job: RowJob,
    source: RowSource,
    pool: Pool,
    *,
    settings: MiningSettings,
    models: _Models,
    dropped: list[DroppedText],
    on_row: Callable[[int, int], object] | None,
) -> None:
    stages = models.stages(pool, settings)
    score_filter = settings.score_filter if models.reranker is None else settings.score_filter.or_usual()
    judge = models.judge(score_filter)
    for block in blocks(source.records(start=job.n_done), most=settings.batch_rows, size=lambda _: 1):
        rows = _begun(block, stages, settings)
        choose(rows, pool, settings=settings, judge=judge, score_filter=score_filter, dropped=dropped)
        counts, lines = Counter[str](), list[bytes]()
        for row in rows:
            lines.append(json_line(_with_negatives(row, pool, settings).to_mapping()))
            counts.update(row.counts)
        job.append(lines, counts)
        if on_row is not None:
            on_row(job.n_done, source.n_rows)
    job.finish()


def _begun(block: Sequence[PlacedRecord], stages: Sequence[FirstStage], settings: MiningSettings) -> list[RowChoice]:
    first, last = settings.ranks
    queries = [one.record.query for one in block]
    # One list a stage, of one list a row.
    found = [[list(hits.items()) for hits in search_many(stage, queries, top_k=last)] for stage in stages]
    rows = []
    for placed, *lists in zip(block, *found, strict=True):
        ranked = [one[first:last] for one in lists]
        mixed = ranked[0] if len(ranked) == 1 else list(_in_turns(ranked))
        skipped = [hit for one in lists for hit in one[:first]]
        rows.append(RowChoice.begun(placed, mixed, settings, skipped=skipped))
    return rows


def _in_turns(lists: Sequence[Found]) -> Iterator[tuple[str, float]]:
    """Yield the first of each list, then the second of each; one that came before is left out."""
    seen: set[str] = set()
    for rank in range(max(map(len, lists))):
        for one in lists:
            if rank < len(one) and one[rank][0] not in seen:
                seen.add(one[rank][0])
                yield one[rank]


def _with_negatives(row: RowChoice, pool: Pool, settings: MiningSettings) -> TrainingRecord:
    record = row.placed.record
    old = record.neg if settings.keep_labelled else ()
    row.counts["labelled"] += len(old)
    old_ids = (record.neg_ids if old else ()) or ()
    ids = None
    if pool.ids is not None and len(old_ids) == len(old):
        ids = (*old_ids, *(pool.ids[number] for number in row.chosen))
    row.counts["ids"] += bool(old_ids) and ids is None
    has_scores = record.pos_scores is not None or record.neg_scores is not None
    row.counts["scores"] += has_scores
    neg = (*old, *(pool.text(number) for number in row.chosen))
    return replace(record, neg=neg, neg_ids=ids, pos_scores=None, neg_scores=None)


def _rows_and_pool(settings: MiningSettings, pool_source: Path | None) -> tuple[RowSource, Pool]:
    maker, answers = PoolMaker() if pool_source is None else None, KnownAnswers()

    def add(record: TrainingRecord) -> None:
        answers.add(record)
        if maker is not None:
            maker.add_record(record)

    source = look_at_rows(settings.data, format_name=settings.format_name, problem=_no_positive, on_row=add)
    pool = read_pool(Path(str(pool_source))) if maker is None else maker.made()
    return source, replace(pool, answers=answers)


def _no_positive(record: TrainingRecord) -> str | None:
    return None if record.pos else "there is no positive; mining needs to know what a query's answers are"


def _check_scores(settings: MiningSettings, *, has_reranker: bool, has_own_stages: bool) -> None:
    """Refuse filters where nothing gives scores that positives and candidates have in common."""
    if not settings.score_filter.is_any or has_reranker:
        return
    if has_own_stages or settings.retrievers != ("dense",):
        what = "first stages of yours" if has_own_stages else f"retrievers={settings.retrievers}"
        msg = (
            f"a score filter needs scores that positives have too, and {what} give none: name a reranker with "
            "filter_model (--filter-model), or take dense alone"
        )
        raise InvalidInputError(msg)


def _job_settings(settings: MiningSettings, source: RowSource, pool: Pool, models: _Models) -> dict[str, Any]:
    options = {name: value for name, value in asdict(settings).items() if name not in _NOT_IN_JOB}
    return {"command": "mine", "rows": source.digest, "pool": pool.sha256, **options, **models.facts()}


def _opened_embedder(embedder: Embedder | str | Path, stack: ExitStack) -> Embedder:
    if isinstance(embedder, Embedder):
        return embedder
    opened = Embedder(embedder)
    stack.callback(opened.close)
    return opened


def _opened_reranker(reranker: Reranker | str | Path, stack: ExitStack) -> Reranker:
    opened, is_ours = opened_reranker(reranker)
    if is_ours:
        stack.callback(opened.close)
    check_one_layer(opened)
    return opened
