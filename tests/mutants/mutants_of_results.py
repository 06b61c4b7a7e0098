"""Mutants of what is made of scores, and of what says how: ranking, calibration, search, catalog, backends, calls."""

from __future__ import annotations

from mutant import Mutant

__all__ = ["BACKENDS_AND_CALLS", "CALIBRATION", "RANKING", "SEARCH", "TELEMETRY_AND_CATALOG"]

RANKING = [
    Mutant(
        "ranking: ties are turned round",
        "key=lambda index: (blank[index], -scores[index])",
        "key=lambda index: (blank[index], -scores[index], -index)",
        ("test_order.py",),
    ),
    Mutant(
        "ranking: blank documents rank by their score",
        "key=lambda index: (blank[index], -scores[index])",
        "key=lambda index: -scores[index]",
        ("test_order.py",),
    ),
    Mutant(
        "ranking: a score equal to the threshold is left out",
        'return (score if unit == "raw" else probability) >= threshold',
        'return (score if unit == "raw" else probability) > threshold',
        ("test_order.py",),
    ),
    Mutant(
        "ranking: the mean of the best windows takes one less",
        "heapq.nlargest(settings.top_k, scores)",
        "heapq.nlargest(settings.top_k - 1, scores)",
        ("test_aggregate.py",),
    ),
    Mutant(
        "ranking: the last of equal windows wins",
        "return best, scores.index(best)",
        "return best, max(index for index, score in enumerate(scores) if score == best)",
        ("test_aggregate.py",),
    ),
    Mutant(
        "ranking: scores below a tanh are read as logits",
        'if scale == "tanh":',
        'if scale == "never":',
        ("test_order.py",),
    ),
    Mutant(
        "ranking: reciprocal ranks count from 0",
        "for rank, document_id in enumerate(ranking, start=1):",
        "for rank, document_id in enumerate(ranking, start=0):",
        ("test_fusion.py",),
    ),
    Mutant(
        "ranking: equal scores count nothing in a weighted fusion",
        "return dict.fromkeys(ranking, 1.0)",
        "return dict.fromkeys(ranking, 0.0)",
        ("test_fusion.py",),
    ),
    Mutant(
        "embedding: the query cache drops its newest entry",
        "self._vectors.popitem(last=False)",
        "self._vectors.popitem(last=True)",
        ("test_cache.py",),
    ),
    Mutant(
        "embedding: a text that says nothing has a vector near all others",
        "vector[1::2] *= -1",
        "vector[1::2] *= 1",
        ("test_rows.py",),
    ),
]

CALIBRATION = [
    Mutant(
        "calibration: Platt's targets are 1 and 0",
        "(n_relevant + 1.0) / (n_relevant + 2.0), 1.0 / (n_others + 2.0))",
        "1.0, 0.0)",
        ("test_calibration.py",),
    ),
    Mutant(
        "calibration: the intercept is moved the wrong way",
        "intercept - slope * center / scale",
        "intercept + slope * center / scale",
        ("test_calibration.py",),
    ),
    Mutant(
        "calibration: another layer than the calibrated one is only a warning",
        '_DECISIVE = ("prompt", "layers", "peft_path")',
        '_DECISIVE = ("prompt", "peft_path")',
        ("test_calibration.py",),
    ),
    Mutant(
        "calibration: the threshold for a precision is the highest, not the lowest",
        'choice = int(good[-1] if goal == "precision" else good[0])',
        "choice = int(good[0])",
        ("test_threshold.py",),
    ),
    Mutant(
        "calibration: Wilson's bound forgets a term",
        "counts + z * z / (4.0 * counts * counts))",
        "counts)",
        ("test_threshold.py",),
    ),
    Mutant(
        "calibration: a probability of 1 has a bin of its own",
        "np.minimum((values * n_bins).astype(np.int64), n_bins - 1)",
        "(values * n_bins).astype(np.int64)",
        ("test_calibration.py",),
    ),
]

SEARCH = [
    Mutant(
        "retrieval: a hybrid asks its stages for top_k only",
        "found = [stage.search(query, top_k=max(top_k, self._depth)) for stage in self._stages]",
        "found = [stage.search(query, top_k=top_k) for stage in self._stages]",
        ("test_indexes.py",),
    ),
    Mutant(
        "retrieval: an asynchronous hybrid asks its stages for top_k only",
        "stage.asearch(query, top_k=max(top_k, self._depth))",
        "stage.asearch(query, top_k=top_k)",
        ("test_indexes.py",),
    ),
    Mutant(
        "retrieval: documents without a term of the query are found",
        "if score > 0.0}",
        "if score >= 0.0}",
        ("test_indexes.py",),
    ),
    Mutant(
        "retrieval: a result's first rank is its last",
        "retrieval_rank=one.index + 1,",
        "retrieval_rank=one.rank,",
        ("test_two_stage.py",),
    ),
    Mutant(
        "evaluation: ties count in the order of the run",
        "ranked = ranked_ids(scores)",
        "ranked = sorted(scores, key=lambda one: -scores[one])",
        ("test_measures.py",),
    ),
    Mutant(
        "evaluation: judged queries that the run forgot do not count",
        "{name: dict.fromkeys(qrels, 0.0) for name in named}",
        "{name: dict.fromkeys([one for one in qrels if run.get(one)], 0.0) for name in named}",
        ("test_measures.py",),
    ),
    Mutant(
        "evaluation: a p-value can be 0",
        "(1 + n_extreme) / (1 + n_permutations)",
        "n_extreme / n_permutations",
        ("test_statistics.py",),
    ),
    Mutant(
        "evaluation: an interval covers less than its level",
        "[(1 - level) / 2, (1 + level) / 2]",
        "[1 - level, level]",
        ("test_statistics.py",),
    ),
    Mutant(
        "retrieval: documents that tie with the last one are lost",
        "chosen = np.flatnonzero(scores >= least)",
        "chosen = np.flatnonzero(scores > least)",
        ("test_indexes.py",),
    ),
]

TELEMETRY_AND_CATALOG = [
    Mutant(
        "telemetry: all stages start with the call",
        "            start_ns = end_ns",
        "            start_ns = record.started_ns",
        ("test_spans.py",),
    ),
    Mutant(
        "telemetry: a span starts when it is written",
        "tracer.start_span(record.operation, start_time=record.started_ns)",
        "tracer.start_span(record.operation)",
        ("test_spans.py",),
    ),
    Mutant(
        "telemetry: of two checkpoints of one name one is exported",
        "values[labels] = values.get(labels, 0.0) + float(getattr(stats, name))",
        "values[labels] = float(getattr(stats, name))",
        ("test_metrics.py",),
    ),
    Mutant(
        "catalog: what can be inferred goes before a recognised entry",
        "listed or recognise(files, kind=kind, family=family) or infer_spec(files, kind=kind, family=family)",
        "listed or infer_spec(files, kind=kind, family=family) or recognise(files, kind=kind, family=family)",
        ("test_resolve.py",),
    ),
    Mutant(
        "catalog: the entry's length goes before the checkpoint's own",
        "            max_length_tokens=min(spec.max_length_tokens, files.max_length_tokens),\n            truncation=",
        "            max_length_tokens=spec.max_length_tokens,\n            truncation=",
        ("test_resolve.py",),
    ),
    Mutant(
        "catalog: a known name goes before another config",
        "(spec.signature is None or spec.signature.matches(found))",
        "True",
        ("test_resolve.py", "test_recognise.py"),
    ),
    Mutant(
        "catalog: one equal fact is a signature",
        "return all(None in pair or pair[0] == pair[1] for pair in zip(",
        "return any(None in pair or pair[0] == pair[1] for pair in zip(",
        ("test_resolve.py", "test_recognise.py"),
    ),
]

BACKENDS_AND_CALLS = [
    Mutant(
        "backends: equal inputs are asked twice",
        "for one in dict.fromkeys(inputs):",
        "for one in inputs:",
        ("test_text_backends.py",),
    ),
    Mutant(
        "backends: blank documents are shown to a backend",
        "if document is None or is_blank(document):",
        "if document is None:",
        ("test_text_backends.py",),
    ),
    Mutant(
        "backends: a window has no room for the query",
        "room = self._settings.max_length_tokens - n_query",
        "room = self._settings.max_length_tokens",
        ("test_text_backends.py",),
    ),
    Mutant(
        "backends: a late result is returned",
        ".score(work.pairs, self._asked(work, options))\n                options.deadline.check()",
        ".score(work.pairs, self._asked(work, options))",
        ("test_text_backends.py",),
    ),
    Mutant(
        "backends: texts with one sum are one in the score cache",
        'digest = blake2b(len(query).to_bytes(8, "little") + query, digest_size=32)',
        "digest = blake2b(query, digest_size=32)",
        ("test_text_backends.py",),
    ),
    Mutant(
        "backends: reused inputs are not counted",
        "reused_inputs=len(work.inputs) - len(work.missing),",
        "reused_inputs=0,",
        ("test_text_backends.py",),
    ),
    Mutant(
        "calls: the reranker's deadline is forgotten",
        "deadline=Deadline(self._deadline_s if checked_s is None else checked_s), layers=layers",
        "deadline=Deadline(checked_s), layers=layers",
        ("test_text_backends.py", "test_giving_up.py"),
    ),
    Mutant(
        "calls: the parts of an explanation have the wrong sign",
        "scores[0] - score)",
        "score - scores[0])",
        ("test_explaining.py",),
    ),
    Mutant(
        "calls: a stream waits for every chunk",
        "queue_ms=before.queue_ms,",
        "queue_ms=before.queue_ms + one.queue_ms,",
        ("test_streaming.py", "test_observing.py"),
    ),
    Mutant(
        "calls: layers come back in ascending order, whatever was asked",
        "columns = resolved.cutoff_layers or ()",
        "columns = _ascending(resolved)",
        ("test_layer_options.py",),
    ),
    Mutant(
        "calls: a calibrated reranker takes other layers",
        "if self._calibration is not None and resolved != self.layers:",
        "if self._calibration is not None and resolved is None:",
        ("test_layer_options.py", "test_calibrating.py"),
    ),
    Mutant(
        "calls: an explanation has more parts than allowed",
        "size = -(-len(words) // self.max_spans)",
        "size = max(len(words) // self.max_spans, 1)",
        ("test_explaining.py",),
    ),
]
