"""Write training_layerwise.json: the first training step of FlagEmbedding's layerwise reranker.

The reference is FlagEmbedding 1.3.5 with its bundled MiniCPM, in the environment described in README.md: its training
modules are those of 1.4.2, line by line, which cannot build the model on transformers 5.

In both releases the trainer asks its model for no layer, which then gives the last one alone, so that the loss over
layers that stands there never sees more than one. Here the model is asked for all layers with heads, as that loss and
the older module (``research/llm_reranker/finetune_for_layerwise``) mean it.
"""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from FlagEmbedding.finetune.reranker.decoder_only.layerwise.arguments import RerankerModelArguments
from FlagEmbedding.finetune.reranker.decoder_only.layerwise.configuration_minicpm_reranker import LayerWiseMiniCPMConfig
from FlagEmbedding.finetune.reranker.decoder_only.layerwise.load_model import get_model
from FlagEmbedding.finetune.reranker.decoder_only.layerwise.modeling import CrossDecoderModel
from golden_io import CHECKPOINTS, HERE, versions, write_json
from make_training_goldens import LORA_ALPHA, LORA_RANK, ROWS, batch, set_adapter, step, tokenizer_of

transformers.AutoConfig.register("minicpm", LayerWiseMiniCPMConfig)
CHECKPOINT, START = "tiny-minicpm-layerwise", 2


def without_auto_map() -> Path:
    """Return a copy of the checkpoint that does not send transformers to the hub for its code."""
    copy = shutil.copytree(CHECKPOINTS / CHECKPOINT, Path(tempfile.mkdtemp()) / CHECKPOINT)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    del config["auto_map"]
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return copy


def model_of(*, lora: bool) -> Any:
    folder = without_auto_map()
    arguments = RerankerModelArguments(
        model_name_or_path=str(folder),
        model_type="from_finetuned_model",
        use_lora=lora,
        lora_rank=LORA_RANK,
        lora_alpha=LORA_ALPHA,
        lora_dropout=0.0,
    )
    base = get_model(arguments, only_for_one_logit=None)
    set_adapter(base)
    inner = base.get_base_model() if lora else base
    inner.forward = functools.partial(
        inner.forward, cutoff_layers=list(range(START, inner.config.num_hidden_layers + 1))
    )
    return CrossDecoderModel(base, tokenizer_of(folder, is_llm=True), train_batch_size=len(ROWS), start_layer=START)


def main() -> None:
    # Its data set asks for a rank without looking whether there are any.
    place = Path(tempfile.mkdtemp()) / "rendezvous"
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}", rank=0, world_size=1)
    steps = []
    for lora in (False, True):
        for distils in (False, True):
            model = model_of(lora=lora)
            given = batch(model.tokenizer, is_llm=True, distils=distils)
            steps.append({"checkpoint": CHECKPOINT, "lora": lora, "distils": distils, **step(model, given)})
    document = {"versions": versions("FlagEmbedding", "transformers", "peft", "torch"), "steps": steps}
    write_json(HERE / "training_layerwise.json", document)


if __name__ == "__main__":
    main()
