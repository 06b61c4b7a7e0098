"""The token vectors of a late-interaction model on this machine: texts to ids, ids through the engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from math import ceil, log2
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.contents import weights_key
from rerank_plugins.catalog.late_interaction import DEFAULT_QUERY_LENGTH, LateInteraction
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.engine.calls import Answer
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.registry import Lease
from rerank_plugins.engine.reply import Reply
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.scorers.vector_rows import TokenRow
from rerank_plugins.text.late_inputs import LateInputs, LateLengths, LateText
from rerank_plugins.text.late_vocabulary import late_vocabulary
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.types import EngineOptions, LongDocuments

if TYPE_CHECKING:
    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["QueuedVectors", "TokenVectorModel", "late_lengths", "late_of", "late_spec"]

_Rows = npt.NDArray[np.float32]
_SMALLEST_SLOTS = 16


def late_of(spec: ModelSpec) -> LateInteraction:
    """Return how a model's token vectors are made and compared.

    Raises:
        UnsupportedModelError: It has none.
    """
    if spec.late_interaction is None:
        msg = f"{spec.id!r} has no token vectors; a ColBERT has, or BAAI/bge-m3 as a reranker"
        raise UnsupportedModelError(msg)
    return spec.late_interaction


def late_spec(spec: ModelSpec, instruction: Instruction, *, normalize: bool) -> ModelSpec:
    """Return the spec of a model whose users put a text in front of queries or documents, behind the markers."""
    late = late_of(spec)
    return replace(
        spec,
        late_interaction=replace(
            late,
            query=replace(late.query, prompt=late.query.prompt + instruction.query),
            document=replace(late.document, prompt=late.document.prompt + instruction.document),
            normalizes=normalize,
        ),
    )


def late_lengths(
    spec: ModelSpec, tokenizer: TextTokenizer, files: CheckpointFiles, *, document: int, query_tokens: int | None
) -> LateLengths:
    """Return how long inputs may be.

    Args:
        spec: How the model is used.
        tokenizer: The model's, which counts what stands around a query.
        files: Its checkpoint, whose saved length is that of queries without one of their own (sentence-transformers).
        document: Tokens of a document's input.
        query_tokens: Tokens of a query's own text that are kept at most; None for what fits the model's own length.

    Raises:
        InvalidInputError: So many tokens are more than the model can read.
    """
    late, limit = late_of(spec), spec.max_length_tokens
    own = late.query_length or late.query.length or _saved_length(late, files)
    default = min(own or max(DEFAULT_QUERY_LENGTH, limit), limit)
    if query_tokens is None:
        return LateLengths(query=default, document=document)
    n_prompt = len(tokenizer.encode_one(late.query.prompt)) if late.query.prompt else 0
    n_around = TextLayout.of(tokenizer).n_special + bool(late.query.marker) + n_prompt
    if query_tokens + n_around > limit:
        msg = (
            f"query_max_length={query_tokens} is more than {spec.id!r} can read: its positions end at {limit}, of "
            f"which {n_around} are taken"
        )
        raise InvalidInputError(msg)
    return LateLengths(query=query_tokens + n_around, document=document, query_own=query_tokens)


def _saved_length(late: LateInteraction, files: CheckpointFiles) -> int | None:
    """Return the length that queries without one of their own have, not below that to which they are filled up."""
    saved = files.saved_length
    return saved and max(saved, 0 if late.expansion is None else late.expansion.length)


@dataclass(frozen=True, slots=True, eq=False)
class QueuedVectors:
    """Texts on their way through the engine, in groups of similar length.

    Attributes:
        texts: What was queued.
        groups: For each group its texts' places, its rows' layout, and the reply.
    """

    texts: Sequence[LateText]
    groups: Sequence[tuple[Sequence[int], TokenRow, Reply[Answer]]]

    def wait(self, deadline: Deadline) -> list[Answer]:
        """Wait for all groups in this thread."""
        return [deadline.wait(reply) for _, _, reply in self.groups]

    async def await_all(self, deadline: Deadline) -> list[Answer]:
        """Wait for all groups without blocking the event loop."""
        return [await deadline.await_result(reply) for _, _, reply in self.groups]

    def vectors(self, answers: Sequence[Answer], *, all_tokens: bool = False) -> list[_Rows]:
        """Return the vectors of each text, in order. Shape of each: (tokens, width), float32, memory of its own.

        Args:
            answers: What :meth:`wait` returned.
            all_tokens: Whether those are included that do not count in a score.
        """
        found: list[_Rows] = [np.zeros((0, 0), dtype=np.float32)] * len(self.texts)
        for (places, layout, _), answer in zip(self.groups, answers, strict=True):
            for place, row in zip(places, answer.rows, strict=True):
                text = self.texts[place]
                rows = layout.split(row, n_tokens=len(text.input))
                # A copy: a row is a view, and would keep the batch that it came from in memory.
                found[place] = rows.copy() if all_tokens else rows[text.kept]
        return found

    def cancel(self) -> bool:
        """Drop what has not run; return whether something was dropped."""
        dropped = [reply.cancel() for _, _, reply in self.groups]
        return any(dropped)


class TokenVectorModel:
    """One loaded model with one set of settings. Safe from any number of threads.

    Args:
        lease: The share in the model.
        spec: How it is used.
        files: Its checkpoint.
        lengths: How long inputs may be.
        long_documents: What happens to documents that do not fit.
        engine: How calls are run.
        dimensions: Numbers of each vector that are kept; None for all.

    Attributes:
        late: How texts become token vectors.
        inputs: Makes the inputs.

    Raises:
        UnsupportedModelError: It is no late-interaction model, or its vocabulary lacks a token that it needs.
        InvalidInputError: The lengths leave no room for texts.
    """

    def __init__(
        self,
        lease: Lease[LoadedModel],
        spec: ModelSpec,
        files: CheckpointFiles,
        lengths: LateLengths,
        *,
        long_documents: LongDocuments,
        engine: EngineOptions,
        dimensions: int | None = None,
    ) -> None:
        self._lease, self._engine, self._dimensions = lease, engine, dimensions
        self._files, self._loaded = files, files.fingerprint
        self.late, self.lengths = late_of(spec), lengths
        tokenizer = lease.value.tokenizer
        self.inputs = LateInputs(
            tokenizer,
            self.late,
            late_vocabulary(tokenizer, files, self.late),
            lengths,
            long_documents=long_documents,
            use_cache=engine.token_cache,
        )

    @property
    def device(self) -> str:
        """Where the model runs, in torch's words."""
        return self._lease.value.device

    @property
    def identity(self) -> tuple[object, ...]:
        """What decides a vector besides the text, for caches."""
        return self._lease.value.identity, self.late, self._dimensions

    @property
    def weights_key(self) -> str:
        """A digest of the files of weights and tokenizer, as they were loaded."""
        return weights_key(self._files, loaded=self._loaded)

    def on(self, lease: Lease[LoadedModel]) -> TokenVectorModel:
        """Return the same on another share in the same model."""
        made = copy(self)
        made._lease = lease
        return made

    def tokens_of(self, text: LateText) -> list[str]:
        """Return the spellings of an input's tokens in the vocabulary."""
        return self._lease.value.tokenizer.spellings(text.input.ids.tolist())

    def queue(self, texts: Sequence[LateText]) -> QueuedVectors:
        """Queue texts, those of similar length together, so that no short text's row is mostly empty."""
        by_slots: dict[int, list[int]] = defaultdict(list)
        for place, one in enumerate(texts):
            by_slots[2 ** ceil(log2(max(len(one.input), _SMALLEST_SLOTS)))].append(place)
        groups = [(places, self._row(slots)) for slots, places in by_slots.items()]
        batches = [([texts[place].input for place in places], row) for places, row in groups]
        replies = self._lease.value.batcher.submit_groups(batches, limits=self._engine)
        return QueuedVectors(texts, [(*group, reply) for group, reply in zip(groups, replies, strict=True)])

    def _row(self, slots: int) -> TokenRow:
        return TokenRow(slots=slots, dimensions=self._dimensions, normalizes=self.late.normalizes)

    @contextmanager
    def queued(self, texts: Sequence[LateText]) -> Iterator[QueuedVectors]:
        """Queue texts for a block; what has not run when it ends is dropped."""
        queue = self.queue(texts)
        try:
            yield queue
        finally:
            queue.cancel()
