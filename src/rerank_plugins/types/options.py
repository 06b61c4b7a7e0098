"""What a model is opened and used with: small, frozen, grouped by what they decide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Kind, Milliseconds, Seconds, Within, kind_of

__all__ = [
    "EngineOptions",
    "InstructionOptions",
    "LayerOptions",
    "LongDocumentStrategy",
    "LongDocuments",
    "Pooling",
    "QueryExample",
    "SourceOptions",
    "TruncationRule",
    "VectorOptions",
]

LongDocumentStrategy = Literal["truncate", "maxp", "firstp", "meanp", "topkmean"]

Pooling = Literal["cls", "mean", "last_token", "max", "mean_sqrt_len", "weighted_mean"]
"""How token states become the vector of a text, in the words of sentence-transformers' ``Pooling``."""

TruncationRule = Literal["longest_first", "only_second", "end"]
"""``longest_first``: the longer side is cut (plain transformers, sentence-transformers, BCEmbedding
``compute_score``). ``only_second``: the query is cut to three quarters of the input, then the
document takes the rest (FlagEmbedding 1.3.5, ``inference/reranker/encoder_only/base.py``). ``end``: query
and document are one text, cut at its end (the card of Qwen3-Reranker): a query that fills the input
leaves nothing of the document, unless ``query_max_length`` limits it."""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Where a model's files come from, what they may contain, and how they are read.

    Attributes:
        revision: Commit, tag or branch on the hub; None takes the catalog's pin, else ``main``.
        family: Conventions to use for a local folder that its name does not tell (``bge``, ``qwen3``); None takes what
            the name or the checkpoint says.
        peft_path: Folder or hub id of a LoRA adapter that is merged into a reranker's weights at load; None for none.
        local_files_only: Never touch the network.
        allow_pickle: Accept ``*.bin`` and ``*.pt`` weights, whose loading can run code.
        trust_remote_code: Let transformers run Python code from the checkpoint.
    """

    revision: str | None = None
    family: str | None = None
    peft_path: str | Path | None = None
    local_files_only: bool = False
    allow_pickle: bool = False
    trust_remote_code: bool = False

    @property
    def extra_files(self) -> list[str]:
        """Patterns of the files that are fetched only because they were allowed."""
        return ["*.bin", "*.pt"] * self.allow_pickle + ["*.py"] * self.trust_remote_code


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class LongDocuments:
    """How a document, or a query, that does not fit the model's input is read.

    Attributes:
        strategy: ``truncate`` reads the beginning only. The others split the document into
            overlapping windows and combine the windows' raw scores: ``maxp`` takes the best
            (BCEmbedding's rule; MaxP in Dai & Callan 2019, arXiv:1905.09217), ``firstp`` the
            first window, ``meanp`` the mean, ``topkmean`` the mean of the best ``top_k``.
        overlap_tokens: Tokens shared by neighbouring windows, never more than a quarter of the
            room a window has (BCEmbedding: 80).
        top_k: Windows averaged by ``topkmean``.
        max_characters: Characters of a document that are read at most (BCEmbedding: 128,000).
        query_max_length: Tokens of a query kept at most; None takes the rule of ``truncation``.
        truncation: Rule for pairs, or windows with their query, that are too long; None takes the family's own.
    """

    strategy: LongDocumentStrategy = "truncate"
    overlap_tokens: Annotated[int, Within(0)] = 80
    top_k: Count = 3
    max_characters: Count = 128_000
    query_max_length: Count | None = None
    truncation: TruncationRule | None = None


_LAYERS = cast("Kind", kind_of(tuple[int, ...]))


@checked_fields(unchecked=("cutoff_layers", "compress_layers"))
@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions:
    """How far an LLM reranker with a head on many layers runs; for each call, or for all calls of an object.

    None everywhere takes what the object was made with, then the model's default.

    Attributes:
        cutoff_layers: Layers whose scores are asked for; the model runs to the deepest of them. An int counts as one.
        compress_ratio: How many document tokens become one: 1 (off), 2, 4 or 8.
        compress_layers: Layers in front of which the document is compressed, each time once more.
        head_by_layer: Whether a layer's state goes through that layer's own head. False is what FlagEmbedding
            1.3.5 does: the n-th lowest of the asked layers gets the n-th head.
        attention_softcap: Whether attention logits are soft-capped as the config says. False is what
            FlagEmbedding 1.3.5 does with its default attention.
    """

    cutoff_layers: tuple[int, ...] | None = None
    compress_ratio: int | None = None
    compress_layers: tuple[int, ...] | None = None
    head_by_layer: bool | None = None
    attention_softcap: bool | None = None

    def __post_init__(self) -> None:
        for name in ("cutoff_layers", "compress_layers"):
            value: object = getattr(self, name)
            if value is not None:
                listed = (value,) if isinstance(value, int) else value
                object.__setattr__(self, name, _LAYERS.check(name, listed))


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How the calls of one object are run; objects with different options still share weights and batches.

    Attributes:
        max_batch_tokens: Token slots of a batch; None takes the device's default, 2,048 on a CPU (for BERT-like models
            1,536 for each of up to eight threads), 1,024 in ONNX Runtime, and 32,768 on a GPU.
            Only an input that is longer exceeds it, alone.
        max_wait_ms: How long a call may wait for others to share its batch while the model is free, at most an hour.
            Calls that come while the model is busy share batches whatever this is.
        max_waiting_tokens: A call that finds so much unfinished work raises OverloadedError instead of queueing; None
            never does. A call on an idle model is always taken.
        deadline_s: Seconds after which a call raises DeadlineExceededError and what has not run of it is dropped; None
            waits for ever.
        token_cache: Whether the ids of texts that were tokenised lately are used again.
        share_prefix: Whether the tokens that prompts of one batch begin with (instruction and query of an LLM reranker)
            are computed once for all its documents, where a trial at load found that exact. Scores are the same up to
            rounding, which in half precision may move the last digit with what else is in the batch; False computes
            every prompt whole.
        torch_compile: Compile what works token by token in each block with ``torch.compile``, once for all lengths;
            loading then takes up to a minute longer. For GPUs, and for LLMs that transformers runs: BERT-like models
            on a CPU are fused already, and layerwise, lightweight and monoT5 rerankers stay as they are. Compiled
            weights are not shared with objects that ask for others.
    """

    max_batch_tokens: Count | None = None
    max_wait_ms: Milliseconds = 0.0
    max_waiting_tokens: Count | None = None
    deadline_s: Seconds | None = None
    token_cache: bool = True
    share_prefix: bool = True
    torch_compile: bool = False


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class QueryExample:
    """A solved example of the task, for embedders that learn from examples in front of the query (bge-en-icl).

    Attributes:
        query: A query.
        response: A text that answers it.
        task: The task in words; None takes the one that the queries have.
    """

    query: str
    response: str
    task: str | None = None


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionOptions:
    """What an embedder puts in front of queries and documents. None everywhere takes what the model was trained with.

    Attributes:
        task: Which of the model's instructions to use (llm-embedder has six); for models with a template for it
            (E5-mistral, Qwen3-Embedding, bge-en-icl, ...) also a task in your own words, such as ``Given a
            question, retrieve code that answers it``. None takes the default.
        query: Text put in front of each query, as it is; None takes the task's, ``""`` puts none.
        document: Text put in front of each document; likewise.
        examples: Solved examples of the task put in front of each query, for models that were trained with
            them (bge-en-icl). They are not counted in ``max_length``. None for none.
    """

    task: str | None = None
    query: str | None = None
    document: str | None = None
    examples: tuple[QueryExample, ...] | None = None


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class VectorOptions:
    """What becomes of an embedder's dense vectors.

    Attributes:
        dimensions: Keep so many numbers of each vector (its beginning), scaled to length 1 again if vectors are
            normalised; None keeps all. The catalog's ``matryoshka_from`` says which models were trained for that.
        normalize: Scale vectors to length 1; None does what the model's authors do.
    """

    dimensions: Count | None = None
    normalize: bool | None = None
