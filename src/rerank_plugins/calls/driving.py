"""How a call is carried out: its steps are written once, and run in a thread or on an event loop.

The steps of a call are a generator: it yields what a backend is to do and is sent what that gave, and what it returns
is the call's result. Each step is one record for the observers.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from rerank_plugins.backends.late_interaction import LateInteractionScorer
from rerank_plugins.backends.local_embedder import EncodedChunks, EncodedTexts, LocalEmbedder
from rerank_plugins.backends.protocol import BackendScores, Pairs, PairScorer, ScoreOptions
from rerank_plugins.backends.vectors import BackendVectors, EmbedOptions, TextEmbedder
from rerank_plugins.calls.observing import StartedCall
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.embedding.chunks import ChunkedText, Chunking
from rerank_plugins.embedding.multi import VectorAssembly
from rerank_plugins.errors import RerankPluginsError
from rerank_plugins.ranking.matches import TokenMatches

__all__ = [
    "ChunkStep",
    "EmbedStep",
    "EncodeStep",
    "MatchStep",
    "ScoreStep",
    "Steps",
    "adrive",
    "drive",
    "started",
]

T = TypeVar("T")


class _Backend(Protocol):
    @property
    def spec(self) -> ModelSpec: ...

    @property
    def device(self) -> str: ...


class _Encoder(Protocol):
    def encode(
        self, texts: Sequence[str], options: EmbedOptions, outputs: tuple[str, ...], assembly: Any, /
    ) -> EncodedTexts: ...

    async def aencode(
        self, texts: Sequence[str], options: EmbedOptions, outputs: tuple[str, ...], assembly: Any, /
    ) -> EncodedTexts: ...


@dataclass(frozen=True, slots=True, eq=False)
class ScoreStep:
    """Pairs that a backend is to score.

    Attributes:
        pairs: The pairs, checked.
        options: What is asked of the backend.
    """

    operation = "rerank"
    pairs: Pairs
    options: ScoreOptions

    def run(self, backend: PairScorer) -> BackendScores:
        """Score them in this thread."""
        return backend.score(self.pairs, self.options)

    async def arun(self, backend: PairScorer) -> BackendScores:
        """Score them without blocking the event loop."""
        return await backend.ascore(self.pairs, self.options)


@dataclass(frozen=True, slots=True, eq=False)
class MatchStep:
    """A pair of which a late-interaction model is to tell which tokens match.

    Attributes:
        query: The question.
        document: A text that is not blank.
        options: What is asked of the backend.
    """

    operation = "rerank"
    query: str
    document: str
    options: ScoreOptions

    def run(self, backend: LateInteractionScorer) -> TokenMatches:
        """Match them in this thread."""
        return backend.match(self.query, self.document, self.options)

    async def arun(self, backend: LateInteractionScorer) -> TokenMatches:
        """Match them without blocking the event loop."""
        return await backend.amatch(self.query, self.document, self.options)


@dataclass(frozen=True, slots=True, eq=False)
class EmbedStep:
    """Texts that a backend is to embed.

    Attributes:
        texts: The texts, checked.
        options: What is asked of the backend.
    """

    operation = "embed"
    texts: Sequence[str]
    options: EmbedOptions

    def run(self, backend: TextEmbedder) -> BackendVectors:
        """Embed them in this thread."""
        return backend.embed(self.texts, self.options)

    async def arun(self, backend: TextEmbedder) -> BackendVectors:
        """Embed them without blocking the event loop."""
        return await backend.aembed(self.texts, self.options)


@dataclass(frozen=True, slots=True, eq=False)
class EncodeStep:
    """Texts that a model with several outputs is to embed.

    Attributes:
        texts: The texts, checked.
        options: What is asked of the backend.
        outputs: Kinds of vectors.
        assembly: Makes them of the model's rows; None where the model gives them itself.
    """

    operation = "embed"
    texts: Sequence[str]
    options: EmbedOptions
    outputs: tuple[str, ...]
    assembly: VectorAssembly | None

    def run(self, backend: _Encoder) -> EncodedTexts:
        """Embed them in this thread."""
        return backend.encode(self.texts, self.options, self.outputs, self.assembly)

    async def arun(self, backend: _Encoder) -> EncodedTexts:
        """Embed them without blocking the event loop."""
        return await backend.aencode(self.texts, self.options, self.outputs, self.assembly)


@dataclass(frozen=True, slots=True, eq=False)
class ChunkStep:
    """Documents whose chunks an embedder is to read in their context.

    Attributes:
        texts: The documents and their chunks, checked.
        options: What is asked of the backend.
        chunking: How they are read.
    """

    operation = "embed"
    texts: Sequence[ChunkedText]
    options: EmbedOptions
    chunking: Chunking

    def run(self, backend: LocalEmbedder) -> EncodedChunks:
        """Read them in this thread."""
        return backend.encode_chunks(self.texts, self.options, self.chunking)

    async def arun(self, backend: LocalEmbedder) -> EncodedChunks:
        """Read them without blocking the event loop."""
        return await backend.aencode_chunks(self.texts, self.options, self.chunking)


Step = ScoreStep | MatchStep | EmbedStep | EncodeStep | ChunkStep

Steps = Generator[Any, Any, T]
"""The steps of one call: each is sent what it gave, and the last thing is the call's result."""


def drive(backend: Any, steps: Steps[T]) -> T:
    """Run the steps of a call in this thread and return its result.

    Args:
        backend: What the steps are for: a :class:`PairScorer` or a :class:`TextEmbedder`.
        steps: One call.
    """
    taken = None
    while True:
        try:
            step: Step = steps.send(taken)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        with started(backend, step.operation) as call, _telling(call, step):
            taken = step.run(backend)
            call.usage = taken.usage


async def adrive(backend: Any, steps: Steps[T]) -> T:
    """Run the steps of a call without blocking the event loop and return its result; see :func:`drive`."""
    taken = None
    while True:
        try:
            step: Step = steps.send(taken)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        with started(backend, step.operation) as call, _telling(call, step):
            taken = await step.arun(backend)
            call.usage = taken.usage


@contextmanager
def _telling(call: StartedCall, step: Step) -> Iterator[None]:
    """Tell what a step had taken that ends with an error, where its backend says so."""
    try:
        yield
    except BaseException as error:
        if isinstance(step, ScoreStep) and step.options.spent:
            call.spent = step.options.spent[-1]
            if isinstance(error, RerankPluginsError):
                error.usage = call.spent
        raise


def started(backend: _Backend, operation: str) -> StartedCall:
    """Return the record of a call that begins now, a block to run it in."""
    return StartedCall(operation, model=backend.spec.id, device=backend.device)
