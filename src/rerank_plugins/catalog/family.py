"""A family: checkpoints of one publisher that are used alike and differ in size, as one entry with a table of sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace

from rerank_plugins.catalog.shapes import Shape
from rerank_plugins.catalog.spec import HalfPrecision, ModelSpec, Signature

__all__ = ["Family", "Size", "specs_of"]


@dataclass(frozen=True, slots=True)
class Size:
    """What one checkpoint of a family has for itself.

    Attributes:
        name: Stands for ``{size}`` in the family's id.
        revision: Commit that loading is pinned to; None if no public source shows one.
        layers: Layers of the transformer. Together with ``hidden`` it makes a signature, by which a renamed folder is
            recognised; None if that is not known, or does not matter because all sizes are used alike.
        hidden: Width of a token's state.
        vocabulary: Tokens with an embedding; None means the family's.
        inner: Width of the feed-forward part, where sizes differ in nothing else.
        dimensions: Length of a vector (embedders); None means ``hidden``.
        tokens: Input length that the weights allow, and that is used when none is asked for; None means the family's.
        license: None means the family's.
        half_precision: None means the family's.
        aliases: Other ids that the hub knows the checkpoint by.
        shape: Sizes of its matrices, where the signature does not tell them.
        notes: Stands in front of the family's notes.
        sources: Facts that were read elsewhere than the family's.
    """

    name: str = ""
    revision: str | None = None
    _: KW_ONLY
    layers: int | None = None
    hidden: int | None = None
    vocabulary: int | None = None
    inner: int | None = None
    dimensions: int | None = None
    tokens: int | None = None
    license: str | None = None
    half_precision: HalfPrecision | None = None
    aliases: tuple[str, ...] = ()
    shape: Shape | None = None
    notes: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that are used alike: one way of reading texts, one scorer, one reference; their sizes in a table.

    Attributes:
        architecture: ``model_type`` of their ``config.json``, or the first of ``architectures`` where it has none. Each
            architecture of a family needs a parity test of its own.
        vocabulary: Tokens with an embedding; None if not known.
        positions: Rows of the position table; None where other models of the same conventions do not differ in it.
        facts: What all sizes share. ``{size}`` in its id stands for a size's name; ``{id}`` and ``{revision}`` in its
            sources stand for those of a size.
        sizes: The published checkpoints, the best known or newest first: it is taken for a folder whose config fits
            several.
    """

    architecture: str
    vocabulary: int | None = None
    positions: int | None = None
    facts: ModelSpec
    sizes: tuple[Size, ...]

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """What is known about each size."""
        return tuple(self._spec(size) for size in self.sizes)

    def _spec(self, size: Size) -> ModelSpec:
        facts = self.facts
        name = facts.id.format(size=size.name)
        return replace(
            facts,
            id=name,
            revision=size.revision,
            aliases=size.aliases,
            signature=self._signature(size),
            shape=size.shape,
            license=size.license or facts.license,
            default_max_length_tokens=size.tokens or facts.default_max_length_tokens,
            max_length_tokens=size.tokens or facts.max_length_tokens,
            half_precision=size.half_precision or facts.half_precision,
            dimensions=(size.dimensions or size.hidden) if facts.kind == "embedder" else None,
            notes=" ".join(filter(None, (size.notes, facts.notes))),
            sources=_sources({**facts.sources, **size.sources}, size, name),
        )

    def _signature(self, size: Size) -> Signature | None:
        if size.layers is None or size.hidden is None:
            return None
        return Signature(
            model_type=self.architecture,
            hidden_size=size.hidden,
            num_hidden_layers=size.layers,
            vocab_size=size.vocabulary or self.vocabulary,
            max_position_embeddings=self.positions,
            intermediate_size=size.inner,
        )


def specs_of(families: tuple[Family, ...]) -> tuple[ModelSpec, ...]:
    """Return what is known about every size of some families, in order."""
    return tuple(spec for family in families for spec in family.specs)


def _sources(addresses: Mapping[str, str], size: Size, name: str) -> dict[str, str]:
    """Return the addresses of a size; none for a commit that is not known."""
    if size.revision is None:
        addresses = {fact: address for fact, address in addresses.items() if fact != "revision"}
    return {fact: address.format(id=name, revision=size.revision) for fact, address in addresses.items()}
