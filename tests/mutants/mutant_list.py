"""Mutants of the core: small faults that the tests must see.

A mutant names no file of ``src``: its snippet must be found in exactly one place, wherever that lies. Its tests are
names of files below ``tests``, found likewise.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MUTANTS", "Mutant"]


class Mutant(NamedTuple):
    """One fault.

    Attributes:
        name: Part of the core and what is wrong in it.
        snippet: What stands in one place of ``src``.
        replacement: What stands there in the mutant.
        tests: Names of the test files that must see it.
    """

    name: str
    snippet: str
    replacement: str
    tests: tuple[str, ...]


TEXT = [
    Mutant(
        "text: the odd token of longest_first is lost",
        "long = short + room % 2",
        "long = short",
        ("test_truncation.py",),
    ),
    Mutant(
        "text: a query that fills the room leaves the document nothing",
        "kept_query = min(kept_query, room - min(n_document, 1))",
        "kept_query = min(kept_query, room)",
        ("test_truncation.py",),
    ),
    Mutant(
        "text: windows overlap by more than a quarter",
        "shared = min(overlap, room // 4)",
        "shared = min(overlap, room // 2)",
        ("test_windows.py",),
    ),
    Mutant(
        "text: windows skip a token",
        "start = end - shared",
        "start = end - shared + 1",
        ("test_windows.py",),
    ),
    Mutant(
        "text: a window's room forgets the document's prefix",
        "settings.max_length_tokens) - len(lead), 1)",
        "settings.max_length_tokens), 1)",
        ("test_prompts.py",),
    ),
    Mutant(
        "text: a prefix leaves its last token to the text",
        "enumerate(ends) if end > n_characters), len(ends))",
        "enumerate(ends) if end >= n_characters), len(ends))",
        ("test_tokenizer.py",),
    ),
    Mutant(
        "text: segment ids change one token late",
        "(query_start, len(query), 1, len(self.middle) - 1, len(document), len(self.suffix)),",
        "(query_start, len(query), 1, len(self.middle), len(document) - 1, len(self.suffix)),",
        ("test_pairs.py",),
    ),
    Mutant(
        "text: the token cache holds twice its bytes",
        "if 2 * (young.n_bytes + n_bytes) > self._max_bytes:",
        "if young.n_bytes + n_bytes > self._max_bytes:",
        ("test_token_cache.py",),
    ),
]

ENGINE = [
    Mutant(
        "engine: a padded batch exceeds its budget by one input",
        "cost = width * (len(batches[-1]) + 1) if padded else used + length",
        "cost = width * len(batches[-1]) if padded else used + length",
        ("test_packing.py",),
    ),
    Mutant(
        "engine: a batch that fills its budget is split",
        "if cost <= budget_tokens:",
        "if cost < budget_tokens:",
        ("test_packing.py",),
    ),
    Mutant(
        "engine: equal inputs run twice",
        "index = index_of_key.setdefault(one.key, len(unique))",
        "index = len(unique)",
        ("test_packing.py", "test_queue.py"),
    ),
    Mutant(
        "engine: the budget grows beyond its start",
        "self.tokens = min(2 * self.tokens, self._most)",
        "self.tokens = 2 * self.tokens",
        ("test_budget.py",),
    ),
    Mutant(
        "engine: rows come back in the order of batches",
        "restored[order] = gathered",
        "restored[sorted(order)] = gathered",
        ("test_executor.py",),
    ),
    Mutant(
        "engine: infinity passes for a score",
        "    finite = np.isfinite(rows)\n    if finite.all():",
        "    finite = ~np.isnan(rows)\n    if finite.all():",
        ("test_executor.py",),
    ),
    Mutant(
        "engine: a deadline of just now is not over",
        "if remaining_s is not None and remaining_s <= 0.0:",
        "if remaining_s is not None and remaining_s < 0.0:",
        ("test_deadline.py",),
    ),
    Mutant(
        "engine: a long call keeps its turn",
        "self._calls.extend(unfinished)",
        "self._calls.extendleft(unfinished)",
        ("test_schedule.py",),
    ),
    Mutant(
        "engine: a caller's own limit does not bound merged calls",
        "limit = MERGED_BUDGETS * self._budget.capped(first.limits.max_batch_tokens)",
        "limit = MERGED_BUDGETS * self._budget.capped(None)",
        ("test_schedule.py",),
    ),
    Mutant(
        "engine: calls with other options share batches",
        "return self.options, self.limits.max_batch_tokens, self.limits.share_prefix",
        "return self.limits.max_batch_tokens, self.limits.share_prefix",
        ("test_schedule.py", "test_batcher.py"),
    ),
    Mutant(
        "engine: the score cache forgets segment ids",
        '        digest.update(b"|")\n        digest.update(self.type_ids.tobytes())\n',
        "",
        ("test_queue.py", "test_score_cache.py"),
    ),
    Mutant(
        "engine: the score cache drops the newest entry",
        "self._rows.popitem(last=False)",
        "self._rows.popitem(last=True)",
        ("test_queue.py", "test_score_cache.py"),
    ),
]

SCORERS = [
    Mutant(
        "scorers: the trial in half precision accepts anything",
        "_TRIAL_TOLERANCE, _HALF_PRECISION_FACTOR = 1e-3, 50.0",
        "_TRIAL_TOLERANCE, _HALF_PRECISION_FACTOR = 1e-3, 500.0",
        ("test_trials.py",),
    ),
    Mutant(
        "scorers: a BERT with another activation is not packed",
        "return None if is_exact_gelu else module",
        "return None",
        ("test_packed.py",),
    ),
    Mutant(
        "scorers: a continued text sees one token beyond its window",
        "(distance < 0) | (distance >= window)",
        "(distance < 0) | (distance > window)",
        ("test_attention.py",),
    ),
    Mutant(
        "scorers: a window is one token wider to both sides",
        "else distance.abs() < window",
        "else distance.abs() <= window",
        ("test_attention.py",),
    ),
    Mutant(
        "scorers: LoRA divides by the rank, whatever the scaling",
        "(alpha / (rank**0.5 if adapter.root_scaling else rank))",
        "(alpha / rank)",
        ("test_lora.py",),
    ),
    Mutant(
        "scorers: an anchored LoRA alpha_pattern fits the ends of names",
        "        return _is_like(module, pattern[1:])",
        "        pattern = pattern[1:]",
        ("test_lora.py",),
    ),
    Mutant(
        "scorers: weighted_mean counts places from 0",
        "(self.positions + 1).float()",
        "self.positions.float()",
        ("test_sentence_head.py",),
    ),
    Mutant(
        "scorers: pooling loses the first token behind an instruction",
        "positions >= first[rows])",
        "positions > first[rows])",
        ("test_sentence_head.py",),
    ),
    Mutant(
        "scorers: mean pooling divides by the longest text",
        "return sums / lengths.unsqueeze(1)",
        "return sums / lengths.max()",
        ("test_embedder.py",),
    ),
    Mutant(
        "scorers: a layer of the layerwise model gets another layer's head",
        "by_layer = options.head_by_layer or not self._compresses",
        "by_layer = options.head_by_layer",
        ("test_layered.py", "test_layer_options.py"),
    ),
    Mutant(
        "scorers: the logit of no is taken with the wrong sign",
        "exact[:1] - exact[1:] if len(exact) > 1",
        "exact[:1] + exact[1:] if len(exact) > 1",
        ("test_answers.py",),
    ),
    Mutant(
        "scorers: a bounded logit forgets the other answer",
        "return logits if logits.shape[1] == 1 else logits[:, :1] - logits[:, 1:]",
        "return logits[:, :1]",
        ("test_answers.py",),
    ),
]

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
        '_DECISIVE = ("prompt", "layers")',
        '_DECISIVE = ("prompt",)',
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
        "_without_ties(run[query_id])",
        "dict(run[query_id])",
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
        "room = max(self._settings.max_length_tokens - n_query, 1)",
        "room = max(self._settings.max_length_tokens, 1)",
        ("test_text_backends.py",),
    ),
    Mutant(
        "backends: a late result is returned",
        "                found = held.backend.score(work.pairs, options)\n                options.deadline.check()",
        "                found = held.backend.score(work.pairs, options)",
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
        "deadline=Deadline(self._deadline_s if asked_s is None else asked_s)",
        "deadline=Deadline(asked_s)",
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
]

MUTANTS = (
    *TEXT,
    *ENGINE,
    *SCORERS,
    *RANKING,
    *CALIBRATION,
    *SEARCH,
    *TELEMETRY_AND_CATALOG,
    *BACKENDS_AND_CALLS,
)
