"""What is known about a model, as data.

A :class:`ModelSpec` never contains code: scorers read it. Each fact that is not in the checkpoint's
own files carries the source it was read from, so that it can be checked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Literal

from rerank_plugins.catalog.late_interaction import LateInteraction
from rerank_plugins.catalog.layers import LayerRange
from rerank_plugins.catalog.read_only import ReadOnly
from rerank_plugins.catalog.shapes import Shape
from rerank_plugins.catalog.templates import PairTemplate
from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.checks.kinds import Count
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_prompt
from rerank_plugins.types import Pooling, TruncationRule

__all__ = [
    "HalfPrecision",
    "Instruction",
    "ModelKind",
    "ModelSpec",
    "Pooling",
    "ScoreScale",
    "ScoreScope",
    "Signature",
    "Similarity",
    "TruncationRule",
]

ModelKind = Literal["reranker", "embedder"]

ScoreScale = Literal["logit", "probability", "tanh", "cosine"]
"""How a raw score becomes a probability: sigmoid of a logit; it already is one; (1 + tanh) / 2, for cross-encoders that
were trained with Tanh behind their scores; or (1 + mean cosine) / 2, for sums of cosines (late interaction)."""

ScoreScope = Literal["model", "call"]
"""Within what raw scores can be compared: all scores of the model, or those of one query in one call, because a score
says where a document stands among the others (chat models that order a list)."""

HalfPrecision = Literal["float16", "bfloat16"]


Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
"""Sentence-transformers' names: the cosine, the inner product, or one of two distances, of which less is more alike."""


@checked_fields()
@dataclass(frozen=True, slots=True)
class Instruction:
    """Texts put in front of a query and of a document, for one task. Empty means nothing."""

    query: str = ""
    document: str = ""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The facts of ``config.json`` that tell models of one family apart, whatever the folder's name.

    None means that a fact is not known, or does not matter.
    """

    model_type: str
    hidden_size: int
    num_hidden_layers: int
    vocab_size: int | None
    max_position_embeddings: int | None = None
    intermediate_size: int | None = None

    def matches(self, found: Signature | None) -> bool:
        """Return whether a checkpoint with the facts ``found`` can be this model."""
        if found is None:
            return False
        return all(None in pair or pair[0] == pair[1] for pair in zip(astuple(self), astuple(found), strict=True))


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Everything that is needed to use a model as its authors meant it.

    Attributes:
        id: Hub id (``BAAI/bge-reranker-v2-m3``), or a short alias such as ``mini``.
        kind: ``reranker`` or ``embedder``.
        family: Short name that groups models which share conventions (``bge``, ``bce``, ...).
        scorer: Name of the scorer that runs it, a key of :mod:`rerank_plugins.scorers`.
        default_max_length_tokens: Input length used when none is asked for.
        max_length_tokens: Input length that the weights allow, special tokens included.
        license: SPDX identifier, or the model card's own words.
        languages: ISO 639-1 codes, or ``multilingual``.
        revision: Commit that loading is pinned to. None means the hub's ``main``.
        aliases: Other ids that the hub knows the model by (a renamed repository).
        signature: Facts of ``config.json`` by which a renamed folder is recognised within its family.
        truncation: How a pair that is too long is cut (rerankers).
        score_scale: What a raw score is (rerankers).
        highest_score: The highest raw score of the scale ``cosine``: the number of cosines in the sum, or 1.
        score_scope: Within what raw scores can be compared (rerankers).
        template: The texts around query and document (models that read a prompt); None for the others.
        prompt: The instruction in it; empty for none.
        query_prefix: Text put in front of every query (rerankers), within a template behind its own; empty for none.
        document_prefix: The same for every document, and every window of one.
        layers: Layers that give scores (layerwise LLM rerankers); the checkpoint's own config wins.
        half_precision: What ``dtype="auto"`` means on CUDA: what the weights were trained in.
        pooling: How token vectors become one vector (embedders). The checkpoint's own
            ``1_Pooling/config.json`` wins when it is there; vectors of several ways are joined.
        normalize: Whether vectors have length 1 (embedders).
        similarity: By what the model's vectors are meant to be compared (embedders); the checkpoint's own word wins.
        dimensions: Length of a vector (embedders); None for rerankers, and where it shows only at run time.
        instructions: Task name to instruction (embedders). The task ``retrieval`` is the default
            when it is there, else the first one. Empty means that the model takes none.
        task_template: What is put in front of a query for a task in the user's own words, which stand where
            it says ``{task}`` (embedders). Empty means that the model knows only the tasks in ``instructions``.
        query_suffix: What is put behind each query (embedders).
        example_template: One solved example of the task, with ``{task}``, ``{query}`` and ``{response}``
            (embedders). Empty means that the model takes none.
        ends_in: Token that every text ends in, also where the tokenizer's own template forgets it
            (embedders). Empty leaves it to that template.
        landmark: Token behind each sentence of a document, whose state is the sentence's vector; a query ends in it too
            (embedders). Empty for models without.
        pools_instruction: Whether the instruction's tokens count in the mean (embedders).
        matryoshka_from: Shortest beginning of a vector that the model was trained to be useful by itself
            (embedders); None if it was not trained for that.
        package: Import name of an installed package that carries the weights; its
            ``reranker_path()`` or ``embedder_path()`` gives the folder.
        reference: What the parity test of its architecture compares its scores or vectors with; empty if there is
            none of its own.
        sources: Fact to where it was read (a public address).
        notes: What a user should know before choosing the model.
        late_interaction: How texts become token vectors, and how these are compared (late-interaction models); read
            from the checkpoint's files, None before that and for all others.
        shape: The sizes of its matrices, from which its speed class follows; None where the signature tells them (BERT,
            XLM-R), or nothing does.
    """

    id: str
    kind: ModelKind
    family: str
    scorer: str
    default_max_length_tokens: int
    max_length_tokens: int
    license: str
    languages: tuple[str, ...] = ()
    revision: str | None = None
    aliases: tuple[str, ...] = ()
    signature: Signature | None = None
    truncation: TruncationRule = "longest_first"
    score_scale: ScoreScale = "logit"
    highest_score: float = 1.0
    score_scope: ScoreScope = "model"
    template: PairTemplate | None = None
    prompt: str = ""
    query_prefix: str = ""
    document_prefix: str = ""
    layers: LayerRange | None = None
    half_precision: HalfPrecision = "float16"
    pooling: Pooling | tuple[Pooling, ...] = "cls"
    normalize: bool = True
    similarity: Similarity = "cosine"
    dimensions: int | None = None
    instructions: Mapping[str, Instruction] = field(default_factory=dict)
    task_template: str = ""
    query_suffix: str = ""
    example_template: str = ""
    ends_in: str = ""
    landmark: str = ""
    pools_instruction: bool = True
    matryoshka_from: int | None = None
    package: str | None = None
    reference: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    late_interaction: LateInteraction | None = None
    shape: Shape | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "instructions", ReadOnly(self.instructions))
        object.__setattr__(self, "sources", ReadOnly(self.sources))

    @property
    def takes_prompt(self) -> bool:
        """Whether an instruction can be given (rerankers)."""
        return self.template is not None and self.template.takes_prompt

    @property
    def default_task(self) -> str | None:
        """The task used when none is asked for; None if the model takes no instruction."""
        if "retrieval" in self.instructions:
            return "retrieval"
        return next(iter(self.instructions), None)

    @checked_call()
    def with_prompt(self, prompt: object) -> ModelSpec:
        """Return the spec with a caller's instruction; None keeps the model's own.

        A cross-encoder with a text in front of queries takes another one for it, as ``CrossEncoder.predict`` of
        sentence-transformers does.

        Raises:
            InvalidInputError: The model takes none, or it is not a text.
        """
        if prompt is not None and self.template is None and self.query_prefix:
            own = check_prompt(prompt, default="", allowed=True)
            return replace(self, prompt=own, query_prefix=own)
        return replace(self, prompt=check_prompt(prompt, default=self.prompt, allowed=self.takes_prompt))

    @checked_call()
    def input_length_tokens(self, asked: Count | None) -> int:
        """Return the input length to use: the one asked for, or the model's default.

        Raises:
            InvalidInputError: The weights do not allow that many tokens.
        """
        if asked is None:
            return min(self.default_max_length_tokens, self.max_length_tokens)
        if asked > self.max_length_tokens:
            msg = f"max_length={asked} is more than {self.id!r} can read: its positions end at {self.max_length_tokens}"
            raise InvalidInputError(msg)
        return asked
