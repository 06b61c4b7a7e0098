"""Settings that sentence-transformers saves beside the modules: lengths, prompts, activation.

Reference: sentence-transformers 6.2 ``base/modules/transformer.py`` (``sentence_bert_config.json``), ``base/model.py``
and ``cross_encoder/model.py`` (``config_sentence_transformers.json``, ``config.json``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.spec import ScoreScale
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["activation_scale", "check_transformer", "default_prompt", "saved_length"]

_USED = ("max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name")
_WITHOUT_EFFECT = ("unpad_inputs",)
_NESTED = ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs")
_HARMLESS = (  # noqa: SIM905 - a list literal would take a line for each
    "add_pooling_layer attn_implementation cache_dir device_map dtype local_files_only low_cpu_mem_usage padding_side "
    "torch_dtype trust_remote_code use_cache use_fast use_memory_efficient_attention use_safetensors unpad_inputs"
).split()
"""Options of loading that change speed or memory, or that this package has of its own."""

_COUNT_PADDING = ("albert", "bert", "convbert", "distilbert", "electra", "ernie", "mobilebert", "mpnet", "xlnet")
"""Architectures with absolute positions that count from the first token of a row, padding or not."""

_READ_LAST = (
    *("gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "gptj", "llama", "minicpm", "mistral", "mixtral"),
    *("olmo", "olmo2", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "smollm3", "stablelm"),
)
"""Decoders: their classifiers look for the last token of a text, on whichever side the padding is."""

_LONGEST = 10_000_000
"""transformers writes 1e30 for a tokenizer whose length is not known."""

_SCALES: Mapping[str, ScoreScale] = {"Sigmoid": "logit", "Identity": "logit", "Tanh": "tanh"}


def saved_length(sentence_bert: Mapping[str, Any], tokenizer_config: Mapping[str, Any]) -> int | None:
    """Return the tokens that a text may have there: ``max_seq_length``, else the tokenizer's; None if neither says."""
    for value in (sentence_bert.get("max_seq_length"), tokenizer_config.get("model_max_length")):
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LONGEST:
            return value
    return None


def check_transformer(
    folder: Path, settings: Mapping[str, Any], tokenizer: Mapping[str, Any], *, task: str, model_type: str
) -> None:
    """Raise UnsupportedModelError if a setting of the Transformer module would change a number here.

    Args:
        folder: The checkpoint, for the message.
        settings: ``sentence_bert_config.json``.
        tokenizer: ``tokenizer_config.json``.
        task: What the transformer is for: ``feature-extraction`` or ``sequence-classification``.
        model_type: Its architecture, as its config names it.
    """
    wrong: dict[str, Any] = {
        key: value for key, value in settings.items() if value and key not in (*_USED, *_WITHOUT_EFFECT, *_NESTED)
    }
    for key in _NESTED:
        nested = settings.get(key) or {}
        harmful = set(nested) - set(_HARMLESS) if isinstance(nested, Mapping) else nested
        if harmful:
            wrong[key] = nested
    if settings.get("transformer_task", task) != task:
        wrong["transformer_task"] = settings["transformer_task"]
    modalities = settings.get("modality_config") or {"text": {"method": "forward"}}
    text = modalities.get("text") if isinstance(modalities, Mapping) else None
    if not isinstance(text, Mapping) or "message" in modalities or text.get("method") != "forward":
        # With a chat template sentence-transformers wraps every text in a message.
        wrong["modality_config"] = modalities
    if wrong:
        raise _refused(folder / "sentence_bert_config.json", f"has the settings {wrong}")
    if tokenizer.get("truncation_side", "right") != "right":
        raise _refused(folder / "tokenizer_config.json", "cuts texts on the left (truncation_side)")
    if tokenizer.get("padding_side", "right") != "right":
        _check_left_padding(folder, task=task, model_type=model_type)


def _check_left_padding(folder: Path, *, task: str, model_type: str) -> None:
    why = ""
    if model_type in _COUNT_PADDING:
        why = "pads on the left, which moves the positions of a text by the length of its neighbours"
    elif task == "sequence-classification" and model_type not in _READ_LAST:
        # DeBERTa and RoBERTa read the first place of a row, which is padding in all rows but the longest.
        why = "pads on the left, where its classifier reads, so that a score depends on the length of its neighbours"
    if why:
        raise _refused(folder / "tokenizer_config.json", why)


def default_prompt(place: Path, settings: Mapping[str, Any], *, always: Sequence[str] = ()) -> str:
    """Return the text of the default prompt, which a CrossEncoder puts in front of every query; empty for none.

    Args:
        place: The checkpoint, for the message.
        settings: ``config_sentence_transformers.json``: ``prompts`` (name to text; null is an empty text) and
            ``default_prompt_name``.
        always: Prompts that are there without being saved.

    Raises:
        UnsupportedModelError: The default names a prompt that is not there; sentence-transformers refuses it, too.
    """
    name, saved = settings.get("default_prompt_name"), settings.get("prompts") or {}
    if name is None:
        return ""
    if name not in (*saved, *always):
        msg = (
            f"{str(place / 'config_sentence_transformers.json')!r} has default_prompt_name={name!r}, which is none of "
            f"its prompts {[*saved, *always]}; correct the name, set it to null, or add the prompt"
        )
        raise UnsupportedModelError(msg)
    return saved.get(name) or ""


def activation_scale(folder: Path, saved: Mapping[str, Any], config: Mapping[str, Any]) -> ScoreScale:
    """Return what a CrossEncoder's scores are before the activation that it saved.

    Identity leaves logits as they are: their sigmoid orders and bounds them, which is what a probability here means.

    Args:
        folder: The checkpoint, for the message.
        saved: ``config_sentence_transformers.json``.
        config: ``config.json``, which versions 4 and 5 write it to, and older ones under another name.

    Raises:
        UnsupportedModelError: It is another one than Sigmoid, Identity or Tanh.
    """
    own = config.get("sentence_transformers")
    candidates = (
        saved.get("activation_fn"),
        own.get("activation_fn") if isinstance(own, Mapping) else None,
        config.get("sbert_ce_default_activation_function"),
    )
    path = next((str(one) for one in candidates if one is not None), "torch.nn.modules.activation.Sigmoid")
    scale = _SCALES.get(path.rpartition(".")[2]) if path.startswith("torch.nn.") else None
    if scale is None:
        raise _refused(folder / "config.json", f"puts the activation {path!r} behind its scores, not Sigmoid or Tanh,")
    return scale


def _refused(path: Path, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{str(path)!r} {why}, which this package does not do: the numbers would be others than those of "
        "sentence-transformers. Use the model with sentence-transformers itself, or choose another one."
    )
