"""Landmarks: sentences of a long document are told apart by a token behind each, trained with position in mind.

After "Landmark Embedding: A Chunking-Free Embedding Method For Retrieval Augmented Long-Context Large Language Models"
(arXiv 2402.11573): a special token behind each sentence, whose last state is the sentence's vector in the context of
the text; a query ends in the same token; the answer is a run of sentences, all of which are positives, and the last
one, where the evidence ends, weighs most; the other landmarks are negatives. The paper's code and checkpoints are not
public. This project's own choices are:

* the weight of a sentence is ``landmark_decay`` times that of the one behind it, and the weights of a run sum to 1;
* a training document is one row's positive and negatives, put together in an order drawn anew for each row, so that
  every set of training rows will do (the paper's second stage makes documents likewise); landmarks of the batch's other
  documents are negatives too, unless the run says otherwise;
* vectors are compared by cosine, with the temperature of the run, not by the plain inner product;
* the encoder may be of any kind that is trained here; a document longer than ``passage_max_len`` is read in windows,
  and a landmark is taken from the window in which its sentence has most context, exactly as inference does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from rerank_plugins.embedding.chunks import ChunkedText, plan_chunks
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.sentences import sentence_spans
from rerank_plugins.text.single import SingleTextTokenizer
from rerank_plugins.training.groups import Group
from rerank_plugins.training.vectors.known_positives import KEYS, batch_keys, known_positives
from rerank_plugins.training.vectors.module import VectorModule, pooled
from rerank_plugins.training.vectors.objectives import OWN_TEXTS_ONLY
from rerank_plugins.types import WindowSpan

if TYPE_CHECKING:
    from rerank_plugins.training.settings_retrieval import EmbedderTrainingSettings

__all__ = [
    "LandmarkBatches",
    "LandmarkModule",
    "LandmarkObjective",
    "add_landmark",
    "check_landmarks",
    "landmark_weights",
]

_JOINT = "\n"


def check_landmarks(settings: EmbedderTrainingSettings) -> None:
    """Raise InvalidInputError if landmarks are to be trained with settings that cannot go with them."""
    if not settings.landmark.landmarks:
        return
    clashing = {
        "unified_finetuning": settings.m3.unified_finetuning,
        "use_mrl": settings.vectors.use_mrl,
        "knowledge_distillation": settings.data.knowledge_distillation,
        "negatives_cross_device": settings.run.negatives_cross_device,
        "use_lora": bool(settings.lora.use_lora) or settings.lora.from_peft is not None,
        "freeze_embeddings": settings.model.freeze_embeddings,
        "sentence_pooling_method": settings.vectors.sentence_pooling_method not in (None, "last_token"),
    }
    found = [name for name, is_set in clashing.items() if is_set]
    if found:
        msg = (
            f"landmarks cannot be trained with {', '.join(found)}: the new token's own weights are trained, and "
            "sentences are compared instead of whole texts; leave them out, or leave landmarks out"
        )
        raise InvalidInputError(msg)


def landmark_weights(n_sentences: int, *, decay: float) -> list[float]:
    """Return the weights of a run of sentences, which sum to 1; each is ``decay`` times the one behind it."""
    raw = [decay ** (n_sentences - 1 - place) for place in range(n_sentences)]
    return [one / sum(raw) for one in raw]


def add_landmark(network: Any, tokens: int, *, seed: int) -> None:
    """Give a model an embedding for a token that was added to its vocabulary, if it has none yet.

    Args:
        network: A model of transformers, changed in place.
        tokens: Ids of the vocabulary, the new one included.
        seed: Of the new weights.
    """
    if network.get_input_embeddings().weight.shape[0] < tokens:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network.resize_token_embeddings(tokens)


class LandmarkModule(VectorModule):
    """An embedder whose documents have landmarks: beside the last token's state, those of all tokens, as ``tokens``."""

    def _vectors(self, tensors: Mapping[str, Tensor], longest: int) -> dict[str, Tensor]:
        states = self._states(tensors).float()
        return {
            "dense": pooled(states, tensors["attention_mask"], self._pooling),
            "tokens": functional.pad(states, (0, 0, 0, longest - states.shape[1])),
        }


class LandmarkBatches:
    """Makes a batch of groups: ``queries``, ``passages`` (windows of documents), ``rows``, and where landmarks stand.

    Beside these a batch has, for each landmark, ``landmarks`` (window and token), ``owners`` (number of its group) and
    ``weights`` (0 for sentences of negatives), and ``keys``, of each landmark that of its sentence's text.

    Args:
        queries: Makes tensors of queries.
        padding: Makes tensors of the windows.
        side: Makes the windows of documents; it puts the instruction in front.
        instruction: What stands in front of each text of a group, and is taken away.
        landmark_id: The token.
        decay: See :func:`landmark_weights`.
        own_texts_only: Whether the other rows' texts are no negatives of a row.
    """

    def __init__(
        self,
        queries: Callable[[Sequence[str]], dict[str, Tensor]],
        padding: Callable[[Any], dict[str, Tensor]],
        side: SingleTextTokenizer,
        *,
        instruction: str,
        landmark_id: int,
        decay: float,
        own_texts_only: Callable[[int], bool],
    ) -> None:
        self._queries, self._padding, self._side = queries, padding, side
        self._instruction, self._landmark_id, self._decay = instruction, landmark_id, decay
        self._own_texts_only = own_texts_only

    def __call__(self, groups: Sequence[Group]) -> dict[str, Any]:
        """Return the batch of some groups."""
        documents, owners, weights, sources = [], [], [], list[str]()
        for number, group in enumerate(groups):
            document, of_sentences, of_texts = self._document(group)
            documents.append(document)
            owners += [number] * len(of_sentences)
            weights += of_sentences
            sources += [(group.sources or group.texts)[text] for text in of_texts]
        plan = plan_chunks(documents, self._side, overlap=None, landmark_id=self._landmark_id)
        places: dict[int, tuple[int, int]] = {}
        for row, (one, chunks) in enumerate(zip(plan.inputs, plan.places, strict=True)):
            for chunk, (start, _) in zip(chunks, one.chunks, strict=True):
                places[chunk] = (row, start)
        # A sentence in which the model finds no token has no landmark.
        there = sorted(places)
        return {
            "queries": self._queries([group.query for group in groups]),
            "passages": self._padding(plan.inputs),
            "rows": torch.tensor([group.row for group in groups]),
            "landmarks": torch.tensor([places[one] for one in there], dtype=torch.long).reshape(-1, 2),
            "owners": torch.tensor([owners[one] for one in there], dtype=torch.long),
            "weights": torch.tensor([weights[one] for one in there]),
            OWN_TEXTS_ONLY: any(self._own_texts_only(group.row) for group in groups),
            KEYS: batch_keys(groups, [sources[one] for one in there]),
        }

    def _document(self, group: Group) -> tuple[ChunkedText, list[float], list[int]]:
        """Return the texts of a group as one document, and of each sentence its weight and the number of its text."""
        order = list(range(len(group.texts)))
        random.Random(f"{group.row} {group.texts}").shuffle(order)  # noqa: S311 - no secret
        text, spans, weights, texts = "", [], [], list[int]()
        for number in order:
            own = group.texts[number].removeprefix(self._instruction)
            found = [one for one in sentence_spans(own) if own[one.start : one.end].strip()]
            spans += [WindowSpan(len(text) + one.start, len(text) + one.end) for one in found]
            weights += [0.0] * len(found) if number else landmark_weights(len(found), decay=self._decay)
            texts += [number] * len(found)
            text += own + _JOINT
        return ChunkedText(text, tuple(spans)), weights, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class LandmarkObjective:
    """The position-aware loss: each sentence of the answering run against all sentences outside of it.

    Attributes:
        temperature: What scores are divided by.
        normalize: Whether vectors are scaled to length 1.
        uses_others: Whether landmarks of other queries' documents are negatives.
    """

    temperature: float
    normalize: bool
    uses_others: bool = True

    def __call__(
        self, queries: dict[str, Tensor], passages: dict[str, Tensor], batch: dict[str, Any], steps: int
    ) -> Tensor:
        """Return the loss; see :data:`~rerank_plugins.training.vectors.trainer.Objective`."""
        query_vectors, (rows, tokens) = queries["dense"], batch["landmarks"].T
        found = passages["tokens"][rows, tokens]
        if self.normalize:
            query_vectors, found = functional.normalize(query_vectors, dim=1), functional.normalize(found, dim=1)
        scores = query_vectors @ found.T / self.temperature
        is_own = batch["owners"] == torch.arange(len(query_vectors), device=scores.device).unsqueeze(1)
        weights = torch.where(is_own, batch["weights"], 0.0).to(scores.dtype)
        is_negative = weights == 0
        if not self.uses_others or batch[OWN_TEXTS_ONLY]:
            is_negative &= is_own
        elif KEYS in batch:
            is_negative &= ~known_positives(batch[KEYS], batch["owners"])
        against = scores.masked_fill(~is_negative, float("-inf")).logsumexp(dim=1, keepdim=True)
        losses = torch.logaddexp(scores, against.expand_as(scores)) - scores
        return (losses * weights).sum(dim=1).mean()
