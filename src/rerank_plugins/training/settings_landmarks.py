"""Settings of landmarks: a token behind each sentence of a document, whose state is the sentence's vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Within
from rerank_plugins.errors import InvalidInputError

__all__ = ["LandmarkSettings"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class LandmarkSettings:
    """Training of landmarks, see :mod:`rerank_plugins.training.vectors.landmarks`.

    Attributes:
        landmarks: Whether the sentences of documents are trained, each with a landmark token behind it, instead of one
            vector for each text.
        landmark_token: The token; it is added to the vocabulary if it is not there. A model that has landmarks keeps
            its own.
        landmark_decay: Weight of a sentence of the answering text, relative to the one behind it: 1 weighs all the
            same, small values nearly the last alone.
    """

    landmarks: bool = False
    landmark_token: str = "[LMK]"  # noqa: S105 - a token of a vocabulary
    landmark_decay: Annotated[float, Within(0.0, 1.0)] = 0.5

    def __post_init__(self) -> None:
        if not self.landmark_token.strip() or self.landmark_token != self.landmark_token.strip():
            msg = f"landmark_token must be a text without white space around it, got {self.landmark_token!r}"
            raise InvalidInputError(msg)
        if self.landmark_decay == 0.0:
            msg = "landmark_decay must be above 0; small values weigh nearly the last sentence alone"
            raise InvalidInputError(msg)
