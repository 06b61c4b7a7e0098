"""The sizes of a transformer's matrices, and the parameters that they hold."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Shape", "bert_shape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a transformer's matrices.

    Attributes:
        layers: Layers that a text passes; of an encoder-decoder, those of the encoder.
        hidden: Width of a token's state.
        inner: Width between the two (gated: three) matrices of the feed-forward part.
        vocabulary: Tokens with an embedding.
        query_width: Query heads times head size; None means ``hidden``.
        key_width: Key heads times head size; None means ``query_width``.
        gated: Whether the feed-forward part has a third matrix.
        decoder_layers: Layers that read the encoder's states (T5); they run for one token only.
        source: Where the sizes were read.
    """

    layers: int
    hidden: int
    inner: int
    vocabulary: int
    query_width: int | None = None
    key_width: int | None = None
    gated: bool = False
    decoder_layers: int = 0
    source: str = ""

    @property
    def attention_weights(self) -> int:
        """Weights of one attention: queries, keys, values, output."""
        query = self.query_width or self.hidden
        return 2 * self.hidden * (query + (self.key_width or query))

    @property
    def layer_weights(self) -> int:
        """Weights of the linear layers of one layer."""
        return self.attention_weights + (3 if self.gated else 2) * self.hidden * self.inner

    @property
    def parameters(self) -> int:
        """Parameters in all, but biases, norms, positions and heads; decoders share embeddings and output."""
        decoder = self.decoder_layers * (self.layer_weights + self.attention_weights)
        return self.layers * self.layer_weights + decoder + self.vocabulary * self.hidden

    def weights_passed(self, layers: int) -> int:
        """Return the weights that a token passes when the first ``layers`` run."""
        # Each decoder layer makes keys and values of every encoded token: half of an attention.
        return layers * self.layer_weights + self.decoder_layers * self.attention_weights // 2


def bert_shape(layers: int, hidden: int, vocabulary: int = 30_522, source: str = "") -> Shape:
    """Return the sizes of a BERT-like encoder, whose feed-forward part is four times as wide as its states."""
    return Shape(layers=layers, hidden=hidden, inner=4 * hidden, vocabulary=vocabulary, source=source)
