"""Language models that answer: the score is the logit of "Yes", or that of "yes" minus that of "no"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.scorers.answers import answer_ids
from rerank_plugins.scorers.trained import AnswerModule
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.trainable.base import TrainableReranker, name_origin
from rerank_plugins.training.trainable.setup import TrainingSetup
from rerank_plugins.weights.loading import load_model

__all__ = ["Decoder", "open_decoder"]

_OUTPUT = "the output matrix, of which inference reads the answers' rows alone"
_TIED = "which is the output matrix too, of which inference reads the answers' rows alone"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Decoder(TrainableReranker):
    """A causal language model in memory, as transformers has it."""

    def _save_weights(self, folder: Path) -> None:
        self.module.network.save_pretrained(folder)
        if self.is_listed:
            name_origin(folder / "config.json", self.spec.id)


def open_decoder(setup: TrainingSetup) -> Decoder:
    """Load a language model for training.

    FlagEmbedding 1.4.2 ``finetune/reranker/decoder_only/base`` trains the same score; here pairs have the layout, and
    the length, that inference gives them.

    Raises:
        ModelError: It cannot be loaded.
        InvalidInputError: The lengths cannot work, or what shall be adapted or frozen is not there.
    """
    request = setup.request
    # Checked before the weights are loaded, which takes long.
    answers = answer_ids(setup.tokenizer, request.spec.template, model=request.spec.id)
    pairs = setup.pairs()
    # Some versions of transformers 4 fuse attention that must be soft-capped (Gemma 2), and leave the cap out.
    capped = request.files.config.get("attn_logit_softcapping") is not None
    network: Any = load_model(request, transformers.AutoModelForCausalLM, attention="eager" if capped else None)
    if getattr(network.get_output_embeddings(), "bias", None) is not None:
        msg = f"{str(request.files.folder)!r} adds a bias to its logits, which inference does not run"
        raise UnsupportedModelError(msg)
    adapter = setup.adapt(network, kept=_kept(network))
    setup.freeze(network)
    return Decoder(
        module=AnswerModule(network, answers),
        spec=request.spec,
        files=request.files,
        pairs=pairs,
        padding=PairPadding(pad_id=max(network.config.pad_token_id or 0, 0), has_types=False),
        start=setup.start(),
        adapter=adapter,
        prefixes=setup.prefixes,
    )


def _kept(network: Any) -> dict[str, str]:
    """Return the matrices that can have no adapter, since inference merges none into the answers' rows."""
    output, words = network.get_output_embeddings(), network.get_input_embeddings()
    names = {name.rsplit(".", 1)[-1]: module for name, module in network.named_modules()}
    kept = {name: _OUTPUT for name, module in names.items() if module is output}
    if output.weight is words.weight:
        kept |= {name: _TIED for name, module in names.items() if module is words}
    return kept
