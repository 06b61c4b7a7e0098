"""Cross-encoders: one sequence classifier reads query and document together and gives one logit.

References: ``XLMRobertaForSequenceClassification`` and ``BertForSequenceClassification`` of
transformers; the backbone runs in the asked precision, the head in float32.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

from rerank_plugins.catalog.own_format import BACKBONE_KEYS, OwnFormat
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.backbone import Backbone, padded_tensors
from rerank_plugins.nn.bert_encoder import Reads
from rerank_plugins.nn.bert_module import ACTIVATION, BertConfig, BertModule
from rerank_plugins.nn.heads import FirstTokenHead, Head, build_head, by_input
from rerank_plugins.nn.passes import Passes
from rerank_plugins.nn.segment_similarity import SegmentSimilarityHead
from rerank_plugins.protocols import Batch, Scorer
from rerank_plugins.scorers.int8 import int8_texts
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.checks import check_weights, refuse_missing
from rerank_plugins.weights.lora import merge_lora
from rerank_plugins.weights.own_rows import read_rows
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["CrossEncoderScorer", "WholeClassifierScorer", "load", "load_segment_similarity", "scorer_of"]

logger = logging.getLogger(__name__)


class CrossEncoderScorer:
    """A backbone and a head.

    Args:
        backbone: The encoder.
        head: Scores from token states, in float32.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        self._backbone: Backbone | None = backbone
        self._head: Head | None = head
        self._reads: Reads = "first" if isinstance(head, FirstTokenHead) else "all"
        self.is_padded, self.padding_reason = backbone.is_padded, backbone.padding_reason
        self.runs_int8 = backbone.runs_int8

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may call :meth:`forward` at once."""
        return self._backbone.is_thread_safe  # type: ignore[union-attr]

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one logit per pair. Shape: (inputs, 1), float32."""
        return by_input(self._head, self._backbone(batch, reads=self._reads), batch, apart=self.runs_int8)  # type: ignore[misc, arg-type]

    def compile(self) -> str:
        """Compile the backbone, see :meth:`Backbone.compile`."""
        return self._backbone.compile()  # type: ignore[union-attr]

    def close(self) -> None:
        """Free the weights."""
        self._backbone = None
        self._head = None


class WholeClassifierScorer:
    """A classifier whose head is not known here: it runs as a whole, padded, in its own precision."""

    is_padded = True

    def __init__(self, model: Any) -> None:
        self._model = model
        self._passes = Passes(model)
        self._passes.try_padding(model, self._logits)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one logit per pair. Shape: (inputs, 1), float32."""
        groups = self._passes.groups(batch.lengths)
        if len(groups) == 1:
            return self._logits(batch)
        found = [self._logits(Batch([batch.inputs[place] for place in places], batch.options)) for places in groups]
        places = torch.tensor([place for group in groups for place in group], device=found[0].device)
        return torch.cat(found)[places.argsort()]

    def _logits(self, batch: Batch) -> torch.Tensor:
        """Return the logits of inputs of which none changes what the others get. Shape: (inputs, 1), float32."""
        self._passes.start()
        logits: torch.Tensor = self._model(**padded_tensors(batch, self._model)).logits
        return logits.float()

    def close(self) -> None:
        """Free the weights."""
        self._model = None


def scorer_of(model: Any, *, is_ours: bool = True, int8_texts: Batch | None = None) -> Scorer:
    """Return the scorer of a transformers ``...ForSequenceClassification`` in eval mode.

    Args:
        model: The classifier, on its device.
        is_ours: Whether nobody else uses it; if not it is left as it is.
        int8_texts: As for :class:`Backbone`.
    """
    head = build_head(model)
    if head is None:
        if int8_texts is not None:
            name = type(model).__name__
            logger.warning("dtype='int8' is not used for %s, which runs in float32: its head is not known here", name)
        return WholeClassifierScorer(model)
    return CrossEncoderScorer(Backbone(model.base_model, is_ours=is_ours, int8_texts=int8_texts), head)


def load(request: LoadRequest) -> LoadedParts:
    """Load a cross-encoder from its checkpoint."""
    tokenizer = load_tokenizer(request)
    own, texts = request.files.own_format, int8_texts(request, tokenizer)
    if own is not None:
        if tokenizer.uses_segments != own.has_token_types:
            msg = (
                f"{str(request.files.folder)!r} was trained with rerank_plugins.token_types="
                f"{[0, int(own.has_token_types)]}, and its tokenizer_config.json "
                f"{'has' if tokenizer.uses_segments else 'lacks'} token_type_ids in model_input_names; correct one"
            )
            raise UnsupportedModelError(msg)
        scorer: Scorer = _load_segment_similarity(request, own, texts)
    else:
        scorer = _load_classifier(request, texts)
    runs_int8 = isinstance(scorer, CrossEncoderScorer) and scorer.runs_int8
    return LoadedParts(tokenizer=tokenizer, scorer=scorer, runs_int8=runs_int8)


def _load_classifier(request: LoadRequest, texts: Batch | None) -> Scorer:
    # transformers takes longer to import than a checkpoint of the own format takes to its first score.
    import transformers

    from rerank_plugins.weights.loading import load_model

    model = load_model(request, transformers.AutoModelForSequenceClassification)
    scorer = scorer_of(model, int8_texts=texts)
    if isinstance(scorer, WholeClassifierScorer):
        _check_padding(model, request)
    return scorer


def _check_padding(model: Any, request: LoadRequest) -> None:
    """Refuse a classifier on the last token whose config does not tell padding from text.

    transformers finds the last token of a padded text by ``pad_token_id``, and raises without it once a batch has two.
    """
    is_decoder = not hasattr(model.base_model, "pooler") and getattr(model.config, "is_encoder_decoder", False) is False
    pad = request.files.config.get("pad_token_id", model.config.pad_token_id)
    if is_decoder and (pad is None or pad < 0):
        msg = (
            f"{str(request.files.folder)!r} reads the last token of a text and has no pad_token_id in its config.json, "
            "so texts of different lengths cannot share a batch. Set it to the id of the tokenizer's padding token (or "
            "of its end-of-text token)."
        )
        raise UnsupportedModelError(msg)


def load_segment_similarity(
    request: LoadRequest, own: OwnFormat, *, is_trained: bool = False
) -> tuple[Any, SegmentSimilarityHead]:
    """Return backbone and head of a checkpoint in this project's own format, in float32, where torch puts them.

    Args:
        request: What to load.
        own: The checkpoint's own format.
        is_trained: Whether the backbone must be transformers' own, with dropout and what a trainer calls.

    Raises:
        UnsupportedModelError: The weights do not fit the config, or some are missing.
    """
    path = request.files.folder / "model.safetensors"
    check_weights(request)
    with checkpoint_errors(f"read {str(path)!r}"):
        weights = read_rows(path)
    config = request.files.config
    is_built_here = not is_trained and config["hidden_act"] == ACTIVATION
    backbone: Any = BertModule(BertConfig.of(config)) if is_built_here else _bert_of_transformers(config)
    try:
        loaded = backbone.load_state_dict(weights, strict=False, assign=is_built_here)
        head = SegmentSimilarityHead.from_weights(weights, hidden_size=config["hidden_size"], eps=own.eps)
    except RuntimeError as error:
        msg = f"the weights in {str(request.files.folder)!r} do not fit its config.json ({error}); download it again"
        raise UnsupportedModelError(msg) from error
    refuse_missing(loaded.missing_keys, request.files.folder)
    return backbone, head


def _bert_of_transformers(config: Mapping[str, Any]) -> Any:
    import transformers

    settings = transformers.BertConfig(**{key: config[key] for key in BACKBONE_KEYS})
    return transformers.BertModel(settings, add_pooling_layer=False)


def _load_segment_similarity(request: LoadRequest, own: OwnFormat, texts: Batch | None) -> CrossEncoderScorer:
    model, head = load_segment_similarity(request, own)
    if request.lora is not None:
        merge_lora(dict(model.named_parameters()), request.lora)
    placed = model.eval().to(device=request.device, dtype=request.dtype)
    backbone = Backbone(placed, n_apart=own.apart_layers, int8_texts=texts)
    return CrossEncoderScorer(backbone, head.to(request.device))
