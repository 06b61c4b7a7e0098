"""Names from other libraries and misspelt ones are answered with the name that there is here."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from rerank_plugins import Embedder, EngineOptions, Reranker, TwoStageRetriever
from rerank_plugins.checks.foreign_names import EMBEDDER_NAMES, RERANKER_NAMES, RETRIEVER_NAMES, unknown_option
from rerank_plugins.errors import InvalidInputError, UnknownAttributeError, UnknownOptionError


@pytest.fixture(scope="module")
def reranker() -> Iterator[Reranker]:
    with Reranker("mini", device="cpu") as opened:
        yield opened


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("maxlength", "Did you mean 'max_length'?"),
        ("batch_size", "EngineOptions(max_batch_tokens=...)"),
        ("use_fp16", "dtype='float16'"),
        ("use_bf16", "dtype='bfloat16'"),
        ("torch_dtype", "the option is dtype"),
        ("return_documents", "results always carry their text"),
        ("show_progress_bar", "no progress bar"),
        ("cache_folder", "HF_HOME"),
        ("model_name_or_path", "the argument is model"),
        ("query_instruction_for_retrieval", "query_instruction"),
        ("cutoff_layers", "layers=LayerOptions(...)"),
        ("devices", "device"),
    ],
)
def test_options_of_constructors(option: str, answer: str) -> None:
    for owner in (Reranker, Embedder, Reranker.from_loaded, TwoStageRetriever.from_documents):
        with pytest.raises(UnknownOptionError) as caught:
            owner(**{option: 1})  # type: ignore[operator]
        assert f"no option {option!r}" in str(caught.value)
        assert isinstance(caught.value, (TypeError, InvalidInputError))
    with pytest.raises(TypeError) as raised:
        Reranker("mini", **{option: 1})  # type: ignore[arg-type]
    assert answer in str(raised.value)


@pytest.mark.parametrize(
    ("method", "option", "answer"),
    [
        ("rank", "passages", "the argument is documents"),
        ("rank", "top_k", "Did you mean 'top_n'?"),
        ("rank", "topn", "Did you mean 'top_n'?"),
        ("rank", "return_documents", "carry their text"),
        ("arank", "batch_size", "max_batch_tokens"),
        ("score", "sentence_pairs", "the argument is pairs"),
        ("score", "convert_to_tensor", "torch.as_tensor"),
        ("ascore", "normalize", "the probability"),
        ("score_stream", "show_progress_bar", "no progress bar"),
    ],
)
async def test_options_of_methods(reranker: Reranker, method: str, option: str, answer: str) -> None:
    async def call() -> None:
        result = getattr(reranker, method)(**{option: 1})
        await result

    with pytest.raises(UnknownOptionError, match=rf"^Reranker\.{method} has no option") as caught:
        await call()
    assert answer in str(caught.value)


def test_options_of_settings() -> None:
    options: dict[str, Any] = {"batch_size": 32}
    with pytest.raises(UnknownOptionError, match="Its options: max_batch_tokens"):
        EngineOptions(**options)


@pytest.mark.parametrize("owner", [Reranker, Embedder, TwoStageRetriever])
def test_attributes_of_other_libraries(owner: type) -> None:
    names = {Reranker: RERANKER_NAMES, Embedder: EMBEDDER_NAMES, TwoStageRetriever: RETRIEVER_NAMES}[owner]
    made = owner.__new__(owner)
    for name, answer in names.items():
        assert not hasattr(made, name)
        assert getattr(made, name, None) is None
        with pytest.raises(UnknownAttributeError) as caught:
            getattr(made, name)
        assert answer in str(caught.value)
        assert isinstance(caught.value, AttributeError)


def test_what_the_answers_name_is_there() -> None:
    for owner, names in ((Reranker, RERANKER_NAMES), (Embedder, EMBEDDER_NAMES), (TwoStageRetriever, RETRIEVER_NAMES)):
        for answer in names.values():
            word = answer.removeprefix("use (await ").removeprefix("use ").partition("(")[0]
            assert " " in word or hasattr(owner, word), answer


def test_misspelt_and_private_attributes(reranker: Reranker) -> None:
    with pytest.raises(AttributeError, match="did you mean 'max_length'"):
        _ = reranker.maxlength  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute '_nothing'$"):
        _ = reranker._nothing  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        reranker.__nothing__  # type: ignore[attr-defined]  # noqa: B018


def test_the_error_itself_can_be_copied() -> None:
    error = UnknownOptionError(unknown_option("Reranker", "k", ["top_n"]))
    assert str(copy.copy(error)) == str(pickle.loads(pickle.dumps(error)))
