"""A torch classifier as an ONNX file or an OpenVINO graph, and its length-sorted batches as arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from tokenizers import Tokenizer

from benchmarks.systems.base import OpenRequest, Pairs, import_peer
from benchmarks.systems.plain import budget_batches
from benchmarks.texts import passages, queries

__all__ = ["SortedBatches", "as_onnx", "calibration_pairs", "traceable"]

_BUDGET_TOKENS = 1_024
_OPSET = 17
_CALIBRATION_PAIRS = 128


class _Logits(torch.nn.Module):
    """A classifier with positional inputs and one output."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        extra = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **extra).logits
        return logits


def traceable(folder: Path) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """Return the classifier of a checkpoint and example inputs by name, padding included."""
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = torch.randint(5, 100, (2, 16), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    ids[1, 8:], mask[1, 8:] = model.config.pad_token_id, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if model.config.type_vocab_size > 1:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    return _Logits(model).eval(), inputs


def as_onnx(request: OpenRequest) -> Path:
    """Return the checkpoint as an ONNX file, exported on the first call."""
    import_peer("onnx", install="pip install -r benchmarks/requirements.txt")
    file = request.scratch / f"{request.folder.name}.onnx"
    if not file.is_file():
        model, inputs = traceable(request.folder)
        request.scratch.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of the tracer, about shapes that are marked dynamic below
            torch.onnx.export(
                model,
                tuple(inputs.values()),
                str(file),
                input_names=list(inputs),
                output_names=["logits"],
                dynamic_axes={name: {0: "pairs", 1: "tokens"} for name in inputs},
                opset_version=_OPSET,
                dynamo=False,
            )
    return file


class SortedBatches:
    """Tokenises with the Rust tokenizer and pads length-sorted batches under a budget of 1,024 slots.

    That is what both runtimes were fastest with, of 512 to 4,096 (MiniLM shape, two cores).

    Args:
        request: Whose tokenizer and max_length.
        names: The inputs that the graph has.
    """

    def __init__(self, request: OpenRequest, names: list[str]) -> None:
        self._tokenizer = Tokenizer.from_file(str(request.folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(request.max_length)
        config = transformers.AutoConfig.from_pretrained(request.folder)
        self._padding_id = int(config.pad_token_id)
        self._names = names

    def __call__(self, pairs: Pairs) -> Iterator[tuple[list[int], dict[str, npt.NDArray[np.int64]]]]:
        """Yield (indices, arrays by input name) of each batch. Shape of an array: (pairs, longest)."""
        encoded = self._tokenizer.encode_batch(list(pairs))
        lengths = [len(one.ids) for one in encoded]
        for batch in budget_batches(lengths, budget_tokens=_BUDGET_TOKENS):
            shape = (len(batch), lengths[batch[0]])
            ids = np.full(shape, self._padding_id, dtype=np.int64)
            mask, types = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
            for row, index in enumerate(batch):
                ids[row, : lengths[index]] = encoded[index].ids
                mask[row, : lengths[index]] = 1
                types[row, : lengths[index]] = encoded[index].type_ids
            arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
            yield batch, {name: arrays[name] for name in self._names}


def calibration_pairs() -> list[tuple[str, str]]:
    """Return the pairs on which scales of 8-bit activations are measured."""
    asked, texts = queries(), passages()
    return [(asked[n % len(asked)], texts[n % len(texts)]) for n in range(_CALIBRATION_PAIRS)]
