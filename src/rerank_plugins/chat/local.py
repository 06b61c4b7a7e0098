"""A causal language model in this process as a chat model, by transformers' own generation. Needs torch."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from rerank_plugins.chat.model import ChatAnswer, ChatMessage, ChatOptions, ChatTokens, SimpleChatModel
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.checks.kinds import Count, ModelName
from rerank_plugins.engine import forking
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import EngineClosedError, InvalidInputError
from rerank_plugins.scorers.language_model import language_model_request
from rerank_plugins.text.tokenizer import replace_lone_surrogates
from rerank_plugins.types import SourceOptions
from rerank_plugins.weights.loading import load_model

__all__ = ["LocalChat"]

# How a turn begins where a model has no chat template.
_TURN = re.compile(r"^(?:system|user|assistant):", re.MULTILINE | re.IGNORECASE)


class LocalChat(SimpleChatModel):
    """A causal language model as a chat model: Qwen, Llama, Gemma and whatever else transformers generates with.

    One call runs at a time; others wait. Marks of the chat template that stand in a message, such as ``<|im_end|>``,
    are broken up before the template is filled, so that no text can end its own turn.

    Args:
        model: Folder or hub id.
        device: Where it runs; None takes the best device.
        dtype: ``auto`` (on CUDA bfloat16, else float32), ``float32``, ``float16`` or ``bfloat16``.
        max_new_tokens: Tokens of an answer at most, where a call does not ask for fewer.
        source: Where its files come from; None takes the defaults.

    Raises:
        ModelError: It cannot be found or loaded, or is no causal language model.
    """

    @checked_call()
    def __init__(
        self,
        model: ModelName,
        *,
        device: str | None = None,
        dtype: str = "auto",
        max_new_tokens: Count = 512,
        source: SourceOptions | None = None,
    ) -> None:
        self._opened_with = {
            "device": device,
            "dtype": dtype,
            "max_new_tokens": max_new_tokens,
            "source": source,
        }
        self.name = str(model)
        self._max_new_tokens = max_new_tokens
        self.after_fork()
        forking.watch(self)
        request = language_model_request(model, device=device, dtype=dtype, source=source or SourceOptions())
        self.host, self._length = str(request.device), request.spec.max_length_tokens
        with checkpoint_errors("load the language model"):
            self._model: Any = load_model(request, transformers.AutoModelForCausalLM)
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                request.files.folder, local_files_only=True, trust_remote_code=request.trust_remote_code
            )
        self._marks = _marks_of(self._tokenizer)

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        """Return the answer to a conversation.

        Raises:
            DeadlineExceededError: The time is over; what was generated is dropped.
            InvalidInputError: The conversation is longer than the model reads.
            EngineClosedError: ``close()`` was called.
        """
        n_new = min(options.max_tokens or self._max_new_tokens, self._max_new_tokens)
        ids = self._ids(messages, n_new)
        remaining_s = options.deadline.remaining_s()
        if not self._lock.acquire(timeout=-1 if remaining_s is None else remaining_s):
            options.deadline.check()
        try:
            options.deadline.check()
            found = self._generated(ids, n_new, options)
        finally:
            self._lock.release()
        options.deadline.check()
        answer = found.sequences[0, ids.shape[1] :]
        return ChatAnswer(
            text=self._tokenizer.decode(answer, skip_special_tokens=True),
            logprobs=self._logprobs(found.logits[0][0], options.top_logprobs),
            usage=ChatTokens(int(ids.shape[1]), len(answer)),
        )

    def after_fork(self) -> None:
        """Replace the lock in a forked process, since another thread may have been generating."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Free the weights."""
        self._model = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.name, self._opened_with)

    def _ids(self, messages: Sequence[ChatMessage], n_new: int) -> torch.Tensor:
        text = self._prompt([{"role": one.role, "content": self._unmarked(one.content)} for one in messages])
        # The template writes the special tokens.
        has_template = bool(self._tokenizer.chat_template)
        ids: torch.Tensor = self._tokenizer(
            replace_lone_surrogates(text),
            add_special_tokens=not has_template,
            return_tensors="pt",
            return_token_type_ids=False,
        )["input_ids"]
        if ids.shape[1] + n_new > self._length:
            msg = (
                f"the question takes {ids.shape[1]} tokens and its answer up to {n_new}, and {self.name!r} reads "
                f"{self._length}; use a smaller window, a smaller Reranker(max_length=...) or max_new_tokens"
            )
            raise InvalidInputError(msg)
        return ids.to(self.host)

    def _prompt(self, turns: list[dict[str, str]]) -> str:
        if not self._tokenizer.chat_template:
            said = (f"{one['role']}: {_TURN.sub(_indented, one['content'])}" for one in turns)
            return "\n".join([*said, "assistant:"])
        try:
            return self._templated(turns)
        except Exception:
            # Templates such as Gemma's refuse a system message, with an error of jinja2's: its words go to the user.
            if turns[0]["role"] != "system" or len(turns) == 1:
                raise
            first, second, *rest = turns
            joined = {"role": second["role"], "content": f"{first['content']}\n\n{second['content']}"}
            return self._templated([joined, *rest])

    def _templated(self, turns: list[dict[str, str]]) -> str:
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def _unmarked(self, text: str) -> str:
        for mark in self._marks:
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return text

    def _generated(self, ids: torch.Tensor, n_new: int, options: ChatOptions) -> Any:
        model = self._model
        if model is None:
            msg = f"the chat model {self.name!r} was closed; open another one"
            raise EngineClosedError(msg)
        how: dict[str, Any] = {}
        if options.temperature == 0.0:
            # The checkpoint's own settings of sampling would be reported as unused.
            how = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        elif options.temperature is not None:
            how = {"do_sample": True, "temperature": options.temperature}
        pad = self._tokenizer.pad_token_id
        with torch.inference_mode():
            return model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=n_new,
                pad_token_id=self._tokenizer.eos_token_id if pad is None else pad,
                return_dict_in_generate=True,
                output_logits=True,
                stopping_criteria=[_Late(options.deadline)],
                **how,
            )

    def _logprobs(self, logits: torch.Tensor, n: int) -> dict[str, float] | None:
        if not n:
            return None
        values, ids = torch.log_softmax(logits.float(), dim=0).topk(min(n, len(logits)))
        found: dict[str, float] = {}
        for value, token in zip(values.tolist(), self._tokenizer.convert_ids_to_tokens(ids.tolist()), strict=True):
            # As text: byte-level vocabularies spell a Chinese word in other letters. Several tokens may be one text.
            text = self._tokenizer.convert_tokens_to_string([token])
            found[text] = float(np.logaddexp(found.get(text, -np.inf), value))
        return found


def _marks_of(tokenizer: Any) -> list[str]:
    """Return what a text must not hold as it stands: special tokens, and added ones that the chat template writes.

    Llama 3 names the marks of a turn's beginning only among the added tokens, and DeepSeek's count as no special ones.
    """
    template = str(tokenizer.chat_template or "")
    added = [
        str(one.content)
        for one in tokenizer.added_tokens_decoder.values()
        if one.special or (one.content.strip() and one.content in template)
    ]
    return [one for one in dict.fromkeys([*tokenizer.all_special_tokens, *added]) if len(one) > 1]


def _indented(match: re.Match[str]) -> str:
    return f" {match[0]}"


class _Late:
    """Ends a generation when the time is over."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_options: Any) -> torch.Tensor:
        is_over = self._deadline.remaining_s() == 0.0
        return torch.full((input_ids.shape[0],), is_over, device=input_ids.device, dtype=torch.bool)


def _opened(model: str | Path, options: dict[str, Any]) -> LocalChat:
    return LocalChat(model, **options)
