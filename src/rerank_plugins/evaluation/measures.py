"""The measures of a run, computed by ir-measures.

Measures are ir-measures' own values (``nDCG @ 10``), under the names that papers use. A query that
the run forgot scores 0; a query without judgements does not count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.checks.kinds import shown
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Qrels
from rerank_plugins.evaluation.run import Run, check_run, ranked_ids

if TYPE_CHECKING:
    from ir_measures.measures import Measure

__all__ = ["Evaluation", "evaluate", "parse_measures", "standard_measures"]

_LARGEST_GRADE = 1_000_000
"""trec_eval counts the documents of every grade up to the largest: a thousand million would take 8 GB of memory."""

# The names of articles, and trec_eval's.
_ALIASES = {"hit": "Success", "MRR": "RR", "MAP": "AP", "recall": "R", "precision": "P"}


@checked_fields()
@dataclass(frozen=True, slots=True)
class Evaluation:
    """The measures of one run.

    Attributes:
        per_query: Measure's name to query id to value; every judged query is there.
    """

    per_query: Mapping[str, Mapping[str, float]]

    @checked_call()
    def mean(self, name: str, *, queries: Collection[str] | None = None) -> float:
        """Return a measure's mean.

        Args:
            name: The measure's name, as it was passed to :func:`evaluate`.
            queries: Query ids to average over; None takes every judged query.

        Raises:
            InvalidInputError: The measure was not computed, or there is no query to average over.
        """
        if name not in self.per_query:
            msg = f"measure {name!r} was not computed; there are {', '.join(self.per_query)}"
            raise InvalidInputError(msg)
        values = self.per_query[name]
        wanted = values.keys() if queries is None else queries
        if not wanted or any(query_id not in values for query_id in wanted):
            msg = f"the mean of {name} needs judged queries; got {len(wanted)} queries of which some or all have none"
            raise InvalidInputError(msg)
        return sum(values[query_id] for query_id in wanted) / len(wanted)


def standard_measures() -> dict[str, Measure]:
    """Return this project's three measures by name.

    ``hit@5`` is Success@5 (is any relevant document among the first five), ``MRR@10`` is RR@10 and
    ``nDCG@10`` has Järvelin and Kekäläinen's linear gain, as trec_eval and BEIR compute it.

    Raises:
        MissingExtraError: ir-measures is not installed.
    """
    ir = import_extra("ir_measures", extra="evaluation")
    return {"hit@5": ir.Success @ 5, "MRR@10": ir.RR @ 10, "nDCG@10": ir.nDCG @ 10}


@checked_call()
def parse_measures(names: Sequence[str]) -> dict[str, Measure]:
    """Return measures by the names that were passed.

    Args:
        names: ir-measures' own (``nDCG@10``, ``Success@5``, ``RR@10``, ``AP``, ``R@100``), or ``hit@k``, ``MRR@k``,
            ``MAP``, ``recall@k`` and ``precision@k`` for the same.

    Raises:
        InvalidInputError: There is no such measure, or no name.
        MissingExtraError: ir-measures is not installed.
    """
    ir = import_extra("ir_measures", extra="evaluation")
    if not names:
        msg = "no measure is asked for; name one, such as nDCG@10"
        raise InvalidInputError(msg)
    parsed = {}
    for name in names:
        base, at, cutoff = name.partition("@")
        try:
            parsed[name] = _computable(ir.parse_measure(_ALIASES.get(base, base) + at + cutoff))
        except (NameError, ValueError, KeyError, AssertionError) as error:
            msg = f"there is no measure {name!r}; use nDCG@10, hit@5, MRR@10, MAP, recall@10 or ir-measures' names"
            raise InvalidInputError(msg) from error
    return parsed


@checked_call()
def evaluate(run: Run, qrels: Qrels, *, measures: Mapping[str, Measure] | None = None) -> Evaluation:
    """Return the measures of a run.

    Documents count in trec_eval's order for every measure: by score, and of equal scores the id that sorts last
    comes first. Where a system has an order of its own for equal scores, pass the run through
    :func:`~rerank_plugins.evaluation.run.in_order`.

    Args:
        run: What a system found; a judged query that is missing scores 0.
        qrels: The judgements; queries of the run that have none are left out.
        measures: Name to ir-measures value; None takes :func:`standard_measures`.

    Raises:
        InvalidInputError: The run has a NaN score, nothing is judged, or a grade is beyond a million.
        MissingExtraError: ir-measures is not installed.
    """
    check_run(run)
    if not qrels:
        msg = "qrels has no judgement, so there is nothing to measure; check the split's file"
        raise InvalidInputError(msg)
    named = standard_measures() if measures is None else _checked(measures)
    ir = import_extra("ir_measures", extra="evaluation")
    per_query = {name: dict.fromkeys(qrels, 0.0) for name in named}
    names: dict[Measure, list[str]] = {}
    for name, measure in named.items():
        names.setdefault(measure, []).append(name)
    queries = list(qrels)
    plain = [_numbered(run.get(query_id, {}), _plain_grades(query_id, qrels[query_id])) for query_id in queries]
    judged = {str(number): grades for number, (_, grades) in enumerate(plain)}
    found = {str(number): scores for number, (scores, _) in enumerate(plain) if scores}
    if found:
        for metric in ir.iter_calc(list(names), judged, found):
            for name in names[metric.measure]:
                per_query[name][queries[int(metric.query_id)]] = float(metric.value)
    return Evaluation(per_query)


def _checked(measures: object) -> dict[str, Measure]:
    ir = import_extra("ir_measures.measures", extra="evaluation")
    named = measures if isinstance(measures, Mapping) else {}
    if not named or not all(isinstance(one, ir.Measure) for one in named.values()):
        msg = f"measures must map names to ir-measures' values, got {shown(measures)}; make them with parse_measures"
        raise InvalidInputError(msg)
    return dict(named)


def _computable(measure: Measure) -> Measure:
    """Return the measure, or raise ValueError or AssertionError if nothing that is installed computes it."""
    measure.validate_params()  # type: ignore[no-untyped-call]
    cutoff = measure.params.get("cutoff", 1)
    # trec_eval ends the whole process for a cutoff of 0.
    if cutoff < 1:
        msg = f"the cutoff is {cutoff}"
        raise ValueError(msg)
    ir = import_extra("ir_measures", extra="evaluation")
    # gdeval is a Perl script that reads nothing but numeric query ids.
    providers = [one for one in ir.DefaultPipeline.providers if one.NAME != "gdeval"]
    if not any(one.is_available() and one.supports(measure) for one in providers):
        msg = "nothing that is installed computes it"
        raise ValueError(msg)
    return measure


def _plain_grades(query_id: str, grades: Mapping[str, int]) -> dict[str, int]:
    """Return a query's judgements as pytrec_eval can take them, or raise InvalidInputError."""
    beyond = next((one for one, grade in grades.items() if abs(grade) > _LARGEST_GRADE), None)
    if beyond is not None:
        msg = (
            f"the grade of document {beyond!r} for query {query_id!r} is {grades[beyond]}, and grades go up to "
            f"{_LARGEST_GRADE:,}; is the column of the judgements another one, such as a time?"
        )
        raise InvalidInputError(msg)
    # Where all are negative pytrec_eval writes beyond its memory. Nothing is relevant there: 0 says the same.
    if grades and max(grades.values()) < 0:
        return dict.fromkeys(grades, 0)
    return dict(grades)


def _numbered(scores: Mapping[str, float], grades: Mapping[str, int]) -> tuple[dict[str, float], dict[str, int]]:
    """Return a query's run and judgements with numbers for ids, and for scores whole numbers that say the order alone.

    ir-measures computes some measures (RR@k) with code that orders ties differently from trec_eval. pytrec_eval ends an
    id at its first null character, and crashes on half of a surrogate pair.
    """
    ranked = ranked_ids(scores)
    names = {document_id: str(number) for number, document_id in enumerate(dict.fromkeys([*ranked, *grades]))}
    ordered = {names[document_id]: float(len(ranked) - place) for place, document_id in enumerate(ranked)}
    return ordered, {names[document_id]: grade for document_id, grade in grades.items()}
