"""LLM preference: a text is worth what it adds to a language model's belief in the right answer (LLM-Embedder).

Source: FlagEmbedding ``research/llm_embedder/run_lm_score.py`` and ``src/lm/modeling_lm.py`` (arXiv 2310.07554): the
score of a candidate is ``1/n * sum_i log p(answer_i | prompt(query, candidate), answer_<i)``, the mean over the n
tokens of the answer after the prompt ``Knowledge: ...  Question: ...  Answer:``. Two things are otherwise here: of
several answers the one that is scored is drawn by the row's number, and not anew in each run; and a candidate is cut at
the characters of its last token, and not decoded from tokens.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np

from rerank_plugins.backends.opening import run_loaded
from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.checks.kinds import Count, ModelName, Within
from rerank_plugins.errors import InvalidInputError, ScoringError
from rerank_plugins.protocols import TokenInput
from rerank_plugins.scorers.language_model import language_model_request
from rerank_plugins.scorers.likelihood import load
from rerank_plugins.text.tokenizer import replace_lone_surrogates
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.data.tokens import open_tokenizer
from rerank_plugins.training.row_source import PlacedRecord
from rerank_plugins.training.teachers import fingerprint_key
from rerank_plugins.types import SourceOptions

__all__ = ["LanguageModelTeacher", "PreferenceSettings"]

_TEMPLATE = "Knowledge: {text}\n\nQuestion: {query}\n\nAnswer: {answer}"
"""LLM-Embedder's for question answering (``qa`` and ``convsearch``)."""

_DEFAULT_LENGTH = 2048


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceSettings:
    """How the likelihood of an answer becomes the score of a text.

    Attributes:
        template: The prompt and the answer, with ``{text}``, ``{query}`` and, at its end, ``{answer}``.
        reduction: ``mean`` of the log-probabilities of the answer's tokens (LLM-Embedder), or their ``sum``: the
            likelihood of the whole answer. In one row all candidates have the same answer, so that the order is the
            same; the sum's differences grow with the answer's length, and with it the target of a distillation.
        text_max_length: Tokens of a text kept at most (LLM-Embedder's ``key_max_length``).
        max_length: Tokens of prompt and answer; what is too long is cut from the text. None takes what the model was
            made for, at most 2,048.
        seed: Of the draw of one of several answers.
    """

    template: str = _TEMPLATE
    reduction: Literal["mean", "sum"] = "mean"
    text_max_length: Count = 512
    max_length: Count | None = None
    seed: Annotated[int, Within(0)] = 42

    def __post_init__(self) -> None:
        fields = ("{text}", "{query}", "{answer}")
        if any(self.template.count(one) != 1 for one in fields) or not self.template.endswith("{answer}"):
            msg = (
                f"template must hold {{text}}, {{query}} and, at its end, {{answer}}, each once; got {self.template!r}"
            )
            raise InvalidInputError(msg)


class LanguageModelTeacher:
    """Scores the texts of a row by how likely a causal language model finds the row's answer after each.

    Args:
        model: Folder or hub id of a causal language model.
        settings: How; None takes LLM-Embedder's way.
        device: Where it runs; None takes the best device.
        dtype: ``auto`` (on CUDA bfloat16, else float32), ``float32``, ``float16`` or ``bfloat16``.
        source: Where its files come from; None takes the defaults.

    Raises:
        ModelError: It cannot be found or loaded, or is no causal language model.
    """

    scale = "log_likelihood"

    @checked_call()
    def __init__(
        self,
        model: ModelName,
        *,
        settings: PreferenceSettings | None = None,
        device: str | None = None,
        dtype: str = "auto",
        source: SourceOptions | None = None,
    ) -> None:
        self._name, self._settings = str(model), settings or PreferenceSettings()
        request = language_model_request(
            model, device=device, dtype=dtype, source=source or SourceOptions(), default_length=_DEFAULT_LENGTH
        )
        self._tokenizer = open_tokenizer(request.files.folder)
        self._length = request.spec.input_length_tokens(self._settings.max_length)
        with checkpoint_errors("load the language model"):
            parts = load(request)
        self._dtype = str(request.dtype).removeprefix("torch.")
        self._files = fingerprint_key(request.files.fingerprint)
        self._loaded = run_loaded(
            [parts], device=str(request.device), dtype=self._dtype, name=self._name, identity=None
        )

    def facts(self) -> dict[str, Any]:
        """Return what a score depends on."""
        return {
            "language_model": self._name,
            "files": self._files,
            "dtype": self._dtype,
            **asdict(replace(self._settings, max_length=self._length)),
        }

    def problem(self, record: TrainingRecord) -> str | None:
        """Return why a row cannot be scored; None if it can."""
        if not record.answers:
            return "'answers' is missing: what the language model should say, as LLM-Embedder's rows have it"
        if not all(answer.strip() for answer in record.answers):
            return "an answer is blank; take it out"
        return None

    def scores(self, block: Sequence[PlacedRecord]) -> list[float]:
        """Return a score for each text of some rows, the positives of a row first.

        Raises:
            InvalidInputError: Query and answer of a row leave no room for a text.
            ScoringError: The model returned NaN or infinity.
        """
        inputs = [self._input(one, text) for one in block for text in (*one.record.pos, *one.record.neg)]
        rows = self._loaded.batcher.submit(inputs).result().rows
        values = rows[:, 0] / rows[:, 1] if self._settings.reduction == "mean" else rows[:, 0]
        if not np.isfinite(values).all():
            msg = f"the language model {self._name!r} returned NaN or infinity; try dtype='float32'"
            raise ScoringError(msg)
        return [float(one) for one in values]

    def close(self) -> None:
        """Free the weights."""
        self._loaded.close()

    def __enter__(self) -> LanguageModelTeacher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, placed: PlacedRecord) -> str:
        """Return the answer of a row that is scored: one of several is drawn by the row's number."""
        answers = placed.record.answers or ()
        draws = random.Random(f"{self._settings.seed}:{placed.number}")  # noqa: S311 - a sample, no secret
        return answers[0] if len(answers) == 1 else draws.choice(answers)

    def _input(self, placed: PlacedRecord, text: str) -> TokenInput:
        """Return prompt and answer as ids, the answer's with the type id 1."""
        # A lone surrogate has no bytes that a tokenizer could read.
        answer, query = (replace_lone_surrogates(one.strip()) for one in (self.answer(placed), placed.record.query))
        kept = self._first_tokens(replace_lone_surrogates(text), self._settings.text_max_length)
        made = self._encoded(kept, query, answer)
        if len(made) > self._length:
            n_text = len(self._tokenizer.encode(kept, add_special_tokens=False).ids)
            # A character may be several tokens, and is kept whole: one cut may not be enough.
            while len(made) > self._length and n_text > 0:
                n_text -= len(made) - self._length
                kept = self._first_tokens(kept, n_text)
                made = self._encoded(kept, query, answer)
        if len(made) > self._length:
            msg = (
                f"{placed.where}: prompt, query and answer take {len(made)} tokens without a text, and "
                f"{self._length} is the most; take the row out, or pass a larger max_length"
            )
            raise InvalidInputError(msg)
        return made

    def _first_tokens(self, text: str, n_tokens: int) -> str:
        """Return the beginning of a text, cut behind a token."""
        if n_tokens <= 0:
            return ""
        encoded = self._tokenizer.encode(text.strip(), add_special_tokens=False)
        return text.strip() if len(encoded.ids) <= n_tokens else text.strip()[: encoded.offsets[n_tokens - 1][1]]

    def _encoded(self, text: str, query: str, answer: str) -> TokenInput:
        before = self._settings.template.removesuffix("{answer}")
        values = {"{text}": text, "{query}": query}
        # Not str.format: texts may have braces. The answer's first token may take the white space before it.
        prompt = re.sub(r"\{(?:text|query)\}", lambda match: values[match[0]], before)
        encoded = self._tokenizer.encode(prompt + answer, add_special_tokens=True)
        start, n_tokens = len(prompt.rstrip()), len(encoded.ids)
        while n_tokens and encoded.special_tokens_mask[n_tokens - 1]:
            n_tokens -= 1  # an end-of-text token is no part of an answer
        offsets, is_special = encoded.offsets[:n_tokens], encoded.special_tokens_mask[:n_tokens]
        types = [int(end > start and not special) for (_, end), special in zip(offsets, is_special, strict=True)]
        ids = np.array(encoded.ids[:n_tokens], dtype=np.int32)
        return TokenInput(ids, np.array(types, dtype=np.int32))
