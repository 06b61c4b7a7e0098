"""Mutants of what runs a model: texts to ids, the engine, scorers."""

from __future__ import annotations

from mutant import Mutant

__all__ = ["ENGINE", "SCORERS", "TEXT"]

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
        "settings.max_length_tokens) - len(prefix), 1)",
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
    Mutant(
        "text: a document beyond max_characters is not told as cut",
        "cut or n_own < len(document), n_query",
        "n_own < len(document), n_query",
        ("test_pair_tokenizer.py",),
    ),
    Mutant(
        "text: a query of as many words as are read is cut",
        "if n_words > limit:",
        "if n_words >= limit:",
        ("test_word_pieces.py",),
    ),
    Mutant(
        "text: a document of more characters than words are read of is not told as cut",
        "is_all = ranges[-1][1] == len(words) and len(read) == len(document)",
        "is_all = ranges[-1][1] == len(words)",
        ("test_word_pieces.py",),
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
        "engine: the larger batches that one caller allows become everybody's",
        "return min(self.tokens, self._usual)",
        "return self.tokens",
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
    Mutant(
        "engine: a call that just fits the queue is refused",
        "if waiting and waiting + tokens > limit:",
        "if waiting and waiting + tokens >= limit:",
        ("test_queue.py",),
    ),
    Mutant(
        "engine: a model is freed while somebody holds it",
        "if entry.holders or entry.value is None:",
        "if entry.value is None:",
        ("test_registry.py",),
    ),
    Mutant(
        "engine: a piece that is full is cut one input early",
        "if indices and tokens + length > piece_tokens:",
        "if indices and tokens + length >= piece_tokens:",
        ("test_queue.py", "test_schedule.py"),
    ),
    Mutant(
        "engine: a call in several groups waited for the last of them",
        "queue_s = min((one.queue_s for one in answers), default=0.0)",
        "queue_s = max((one.queue_s for one in answers), default=0.0)",
        ("test_calls.py",),
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
        "(alpha / (rank**0.5 if lora.root_scaling else rank))",
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
        ("test_pooling.py",),
    ),
    Mutant(
        "scorers: pooling loses the first token behind an instruction",
        "positions >= first[texts])",
        "positions > first[texts])",
        ("test_pooling.py",),
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
    Mutant(
        "scorers: a common beginning takes an input's last token",
        "n = min(len(one), len(other)) - 1",
        "n = min(len(one), len(other))",
        ("test_prefixes.py",),
    ),
    Mutant(
        "scorers: positions restart behind a common beginning",
        "return [0 if prefix is None else self.lengths[prefix] for prefix in self.prefixes]",
        "return [0 for _ in self.prefixes]",
        ("test_packed_row.py",),
    ),
    Mutant(
        "scorers: a compressed document loses its rest",
        "kept = -(-(end - start) // ratio)",
        "kept = (end - start) // ratio",
        ("test_compression.py",),
    ),
]
