"""What every case gets: how much to measure, on which shapes, with how many threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from benchmarks.models import checkpoint
from benchmarks.shapes import DecoderShape, EncoderShape, ShapeSet
from benchmarks.systems.base import OpenRequest
from benchmarks.workloads import PairMaker

__all__ = ["EFFORTS", "Context", "Effort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured.

    Attributes:
        name: On the command line.
        rounds: Interleaved rounds of the main request.
        side_rounds: Rounds of everything else.
        documents: Passages of the main request.
        sweep: Further request sizes on the small shape.
        base_documents: Passages of the request on the base shapes.
        large_documents: Passages of the request on the large shape.
        overlap_queries: Queries over which the kept top 10 is averaged.
        callers: Threads that call at the same time.
        caller_documents: Passages of each of their requests.
        single_calls: Calls of one pair.
        stream_pairs: Pairs that are streamed.
        llm_few: Pairs of the small LLM request, below 128.
        llm_many: Pairs of the large one, above 128.
        llm_memory_pairs: Pairs of 512 tokens whose memory is measured.
        train_steps: Steps of a training that are timed.
        kept_documents: Documents whose token vectors are kept.
        cascade_queries: Queries that a cascade ranks.
        cascade_documents: Candidates of each of them at most.
        both_base_shapes: Whether BERT-base is measured beside XLM-R-base.
        peers_memory: Whether the memory of the peer's LLM call is measured too.
    """

    name: str
    rounds: int
    side_rounds: int
    documents: int = 100
    sweep: tuple[int, ...]
    base_documents: int = 100
    large_documents: int
    overlap_queries: int
    callers: int = 32
    caller_documents: int = 20
    single_calls: int
    stream_pairs: int
    llm_few: int
    llm_many: int
    llm_memory_pairs: int = 128
    train_steps: int = 8
    kept_documents: int = 1_000
    cascade_queries: int = 6
    cascade_documents: int = 1_000
    both_base_shapes: bool = False
    peers_memory: bool = False


QUICK = Effort(
    name="quick",
    rounds=1,
    side_rounds=1,
    documents=40,
    sweep=(1, 20),
    base_documents=16,
    large_documents=8,
    overlap_queries=3,
    caller_documents=4,
    single_calls=50,
    stream_pairs=5_000,
    llm_few=16,
    llm_many=136,
    llm_memory_pairs=16,
    train_steps=1,
    cascade_queries=1,
    cascade_documents=120,
)
USUAL = Effort(
    name="usual",
    rounds=3,
    side_rounds=2,
    sweep=(1, 20, 1_000),
    large_documents=20,
    overlap_queries=10,
    single_calls=300,
    stream_pairs=50_000,
    llm_few=48,
    llm_many=256,
)
FULL = Effort(
    name="full",
    rounds=7,
    side_rounds=5,
    sweep=(1, 20, 1_000),
    large_documents=100,
    overlap_queries=50,
    single_calls=1_000,
    stream_pairs=1_000_000,
    cascade_queries=60,
    llm_few=96,
    llm_many=640,
    both_base_shapes=True,
    peers_memory=True,
)
EFFORTS = {effort.name: effort for effort in (QUICK, USUAL, FULL)}
"""By name: ``quick`` to see that everything runs, ``usual`` for ``make bench``, ``full`` for a night."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything a case needs.

    Attributes:
        effort: How much to measure.
        shapes: Which shape plays which part.
        root: Where checkpoints and exported models are kept.
        threads: CPU threads of every system.
        tell: Called with one line before each slow step.
        device: Where the systems run.
        max_length: Tokens of a pair at most.
    """

    effort: Effort
    root: Path
    threads: int
    shapes: ShapeSet = field(default_factory=ShapeSet)
    tell: Callable[[str], None] = lambda _: None
    device: str = "cpu"
    max_length: int = 512

    def request(self, shape: EncoderShape | DecoderShape) -> OpenRequest:
        """Return what systems are opened with, writing the checkpoint if need be."""
        return OpenRequest(
            folder=checkpoint(shape, self.root / "checkpoints"),
            family=_family(shape),
            max_length=self.max_length,
            threads=self.threads,
            device=self.device,
            scratch=self.root / "exported",
        )

    def child_request(self, shape: EncoderShape | DecoderShape) -> dict[str, str | int | None]:
        """Return :meth:`request` as JSON can hold it."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self.request(shape)).items()
        }

    def pairs(self, shape: EncoderShape | DecoderShape) -> PairMaker:
        """Return the maker of pairs for a shape's tokenizer."""
        return _pair_maker(self.request(shape).folder)


def _family(shape: EncoderShape | DecoderShape) -> str | None:
    if isinstance(shape, EncoderShape):
        return None
    return "qwen3" if shape.kind == "qwen3" else "bge"


@cache
def _pair_maker(folder: Path) -> PairMaker:
    return PairMaker(folder)
