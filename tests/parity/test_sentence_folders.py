"""Folders that sentence-transformers 6 saves, in generated combinations of modules and settings: the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import UnknownModelError, UnsupportedModelError

sentence_transformers = pytest.importorskip("sentence_transformers", minversion="6")
modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
TEXTS = [
    *tiny_checkpoints.SENTENCES[:5],
    "a",
    "",
    " two  spaces\nand a line ",
    "[MASK] and [SEP] inside </s>",
    "İSTANBUL ÀÉ ﬁ",
    "query : PANDA " * 60,
]
WIDTH = 32
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
ACTIVATIONS = [
    "Tanh",
    "Identity",
    "ReLU",
    "GELU",
    "Sigmoid",
    "SiLU",
    "LeakyReLU",
    "ELU",
    "Softplus",
    "Mish",
    "Hardswish",
]
PROMPTS: list[dict[str, str]] = [
    {},
    {"query": "query : ", "document": "passage : "},
    {"query": "find ", "passage": "passage : "},
    {"other": "the ", "query": ""},
    {"document": "Doc: "},
]

BEHIND = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "kind": st.just("Dense"),
                "out_features": st.sampled_from([8, 12, WIDTH]),
                "bias": st.booleans(),
                "activation": st.sampled_from(ACTIVATIONS),
                "use_residual": st.booleans(),
            }
        ),
        st.sampled_from(["Normalize", "LayerNorm", "Dropout"]).map(lambda kind: {"kind": kind}),
    ),
    max_size=4,
)
EMBEDDERS = st.fixed_dictionaries(
    {
        "base": st.sampled_from(["bert-embedder", "xlmr-embedder"]),
        "modes": st.lists(st.sampled_from(MODES), min_size=1, max_size=3, unique=True),
        "include_prompt": st.booleans(),
        "behind": BEHIND,
        "max_seq_length": st.sampled_from([None, None, 12, 40]),
        "do_lower_case": st.booleans(),
        "prompts": st.sampled_from(PROMPTS),
        "has_default_prompt": st.booleans(),
        "truncate_dim": st.sampled_from([None, None, 6, 500]),
        "similarity": st.sampled_from(["cosine", "dot"]),
        "is_legacy": st.booleans(),
    }
)
CROSS_ENCODERS = st.fixed_dictionaries(
    {
        "base": st.sampled_from(["bert-reranker", "xlmr-reranker"]),
        "max_length": st.sampled_from([None, 12, 48]),
        "activation": st.sampled_from([None, "Identity", "Sigmoid", "Tanh"]),
        "prompt": st.sampled_from([None, "find the "]),
    }
)
# Nothing is made smaller: an example costs a model, and what it was shows in the message.
_given = settings(
    derandomize=True,
    deadline=None,
    max_examples=25,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def built(checkpoints: Path, asked: dict[str, Any]) -> Any:
    """Return a SentenceTransformer as asked; every bias and norm is random, since zeros and ones hide mistakes."""
    torch.manual_seed(0)
    base = str(checkpoints / asked["base"])
    transformer = modules.Transformer(
        base, max_seq_length=asked["max_seq_length"], do_lower_case=asked["do_lower_case"]
    )
    pooling = modules.Pooling(WIDTH, tuple(asked["modes"]), include_prompt=asked["include_prompt"])
    made, width = [transformer, pooling], WIDTH * len(asked["modes"])
    for one in asked["behind"]:
        if one["kind"] == "Dense":
            activation = getattr(torch.nn, one["activation"])()
            options = {"bias": one["bias"], "activation_function": activation, "use_residual": one["use_residual"]}
            made.append(modules.Dense(width, one["out_features"], **options))
            width = one["out_features"]
        elif one["kind"] == "LayerNorm":
            made.append(modules.LayerNorm(width))
        else:
            made.append(getattr(modules, one["kind"])())
    default = next(iter(asked["prompts"]), None) if asked["has_default_prompt"] else None
    model = sentence_transformers.SentenceTransformer(
        modules=made,
        device="cpu",
        prompts=asked["prompts"],
        default_prompt_name=default,
        truncate_dim=asked["truncate_dim"],
        similarity_fn_name=asked["similarity"],
    )
    for module in made[1:]:
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model


def as_version_2(folder: Path) -> None:
    """Rewrite a saved folder in the words of version 2."""
    listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    for entry in listed:
        kind = entry["type"].rsplit(".", 1)[-1]
        entry["type"] = f"sentence_transformers.models.{kind}"
        path = folder / entry["path"] / "config.json"
        if kind == "Normalize":
            path.unlink()
        if kind == "Pooling":
            config = json.loads(path.read_text(encoding="utf-8"))
            modes = config.pop("pooling_mode")
            modes = [modes] if isinstance(modes, str) else modes
            names = [mode if mode in ("mean_sqrt_len_tokens", "lasttoken") else f"{mode}_tokens" for mode in MODES]
            names[0] = "cls_token"
            config["word_embedding_dimension"] = config.pop("embedding_dimension")
            config |= {f"pooling_mode_{name}": mode in modes for mode, name in zip(MODES, names, strict=True)}
            path.write_text(json.dumps(config), encoding="utf-8")
    (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
    own = {"max_seq_length": 20, "do_lower_case": True}
    (folder / "sentence_bert_config.json").write_text(json.dumps(own), encoding="utf-8")


@_given
@given(asked=EMBEDDERS)
def test_embedders(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory, asked: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("saved")
    built(checkpoints, asked).save_pretrained(str(folder))
    if asked["is_legacy"]:
        as_version_2(folder)
    peer = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    with Embedder(folder, device="cpu") as embedder:
        sides = [
            (embedder.embed_queries(TEXTS), peer.encode_query(TEXTS)),
            (embedder.embed_documents(TEXTS), peer.encode_document(TEXTS)),
        ]
        assert embedder.dimensions == sides[0][1].shape[1]
        assert embedder.max_length == min(peer.max_seq_length, 512)
    for found, expected in sides:
        has_length = np.linalg.norm(expected, axis=1) > 1e-9
        assert found.shape == expected.shape
        assert np.abs(found - expected)[has_length].max(initial=0) <= TOLERANCE * max(1, np.abs(expected).max())
        assert (np.linalg.norm(found, axis=1) > 0).all()


@_given
@given(asked=CROSS_ENCODERS)
def test_cross_encoders(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory, asked: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("saved")
    activation = asked["activation"] and getattr(torch.nn, asked["activation"])()
    options = {} if asked["prompt"] is None else {"prompts": {"own": asked["prompt"]}, "default_prompt_name": "own"}
    base = str(checkpoints / asked["base"])
    made = sentence_transformers.CrossEncoder(
        base, device="cpu", max_length=asked["max_length"], activation_fn=activation, **options
    )
    made.save_pretrained(str(folder))
    peer = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    pairs = [(query, document) for query in TEXTS[:4] for document in TEXTS if document]
    logits = peer.predict(pairs, activation_fn=torch.nn.Identity())
    predicted = peer.predict(pairs)
    expected = {"Sigmoid": predicted, "Tanh": (1 + predicted) / 2}.get(type(peer.activation_fn).__name__)
    for reranker in (Reranker(folder, device="cpu"), Reranker.from_loaded(peer)):
        with reranker:
            scores = reranker.score(pairs)
            assert reranker.max_length == min(peer.max_seq_length, 512)
            assert np.abs(np.array(scores) - logits).max() <= TOLERANCE
            if expected is not None:
                found = [reranker.probability(score) for score in scores]
                assert np.abs(np.array(found) - expected).max() <= TOLERANCE


def refused_embedders() -> dict[str, Any]:
    """What version 6 can save and this package does not run, by name."""
    made = modules
    return {
        "LSTM": lambda first: [first, made.LSTM(WIDTH, 8), made.Pooling(16)],
        "CNN": lambda first: [first, made.CNN(WIDTH, 8), made.Pooling(24)],
        "WeightedLayerPooling": lambda first: [first, made.WeightedLayerPooling(WIDTH, 2), made.Pooling(WIDTH)],
        "WordWeights": lambda first: [first, made.WordWeights(["a"], {"a": 2.0}), made.Pooling(WIDTH)],
        "Dense on tokens": lambda first: [
            first,
            made.Dense(WIDTH, 8, module_input_name="token_embeddings"),
            made.Pooling(8),
        ],
        "Normalize on tokens": lambda first: [
            first,
            made.Normalize(module_input_name="token_embeddings"),
            made.Pooling(WIDTH),
        ],
        "activation with weights": lambda first: [
            first,
            made.Pooling(WIDTH),
            made.Dense(WIDTH, 8, activation_function=torch.nn.PReLU()),
        ],
        "StaticEmbedding": lambda first: [made.StaticEmbedding(first.tokenizer, embedding_dim=8)],
        "BoW": lambda _: [made.BoW(["a", "b"])],
    }


@pytest.mark.parametrize("name", refused_embedders())
def test_modules_that_are_not_run_are_refused(checkpoints: Path, tmp_path: Path, name: str) -> None:
    first = modules.Transformer(str(checkpoints / "bert-embedder"))
    made = refused_embedders()[name](first)
    sentence_transformers.SentenceTransformer(modules=made, device="cpu").save_pretrained(str(tmp_path))
    with pytest.raises(UnsupportedModelError, match=r"\.json.*sentence-transformers itself"):
        Embedder(tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"processing_kwargs": {"text": {"max_length": 8}}}, "processing_kwargs"),
        ({"query_length": 8}, "query_length"),
        ({"document_length": 8}, "document_length"),
        ({"query_expansion": {"strategy": "fixed", "length": 16, "token": "[UNK]"}}, "query_expansion"),
        ({"processor_kwargs": {"truncation_side": "left"}}, "truncation_side"),
        ({"processor_kwargs": {"padding_side": "left"}}, "pads on the left"),
    ],
)
def test_settings_that_are_not_followed_are_refused(
    checkpoints: Path, tmp_path: Path, options: dict[str, Any], named: str
) -> None:
    first = modules.Transformer(str(checkpoints / "bert-embedder"), **options)
    made = sentence_transformers.SentenceTransformer(modules=[first, modules.Pooling(WIDTH)], device="cpu")
    made.save_pretrained(str(tmp_path))
    with pytest.raises(UnsupportedModelError, match=named):
        Embedder(tmp_path)


def test_modular_cross_encoders_are_refused(checkpoints: Path, tmp_path: Path) -> None:
    first = modules.Transformer(str(checkpoints / "bert-embedder"))
    last = modules.Dense(WIDTH, 1, module_input_name="sentence_embedding", module_output_name="scores")
    made = sentence_transformers.CrossEncoder(modules=[first, modules.Pooling(WIDTH), last], device="cpu")
    made.save_pretrained(str(tmp_path))
    with pytest.raises(UnsupportedModelError, match="'scores'"):
        Reranker(tmp_path)
    with pytest.raises(UnsupportedModelError, match="Transformer -> Pooling -> Dense"):
        Reranker.from_loaded(made)


@pytest.mark.parametrize("activation", [torch.nn.ReLU(), torch.nn.Softplus()])
def test_an_activation_that_gives_no_probability_is_refused(
    checkpoints: Path, tmp_path: Path, activation: torch.nn.Module
) -> None:
    base = str(checkpoints / "bert-reranker")
    made = sentence_transformers.CrossEncoder(base, device="cpu", activation_fn=activation)
    made.save_pretrained(str(tmp_path))
    with pytest.raises(UnsupportedModelError, match=type(activation).__name__):
        Reranker(tmp_path)
    with pytest.raises(UnsupportedModelError, match=type(activation).__name__):
        Reranker.from_loaded(made)


def test_a_default_prompt_that_is_not_there_is_refused_by_both(checkpoints: Path, tmp_path: Path) -> None:
    made = sentence_transformers.CrossEncoder(
        str(checkpoints / "bert-reranker"), device="cpu", prompts={"own": "find "}
    )
    made.default_prompt_name = "absent"
    made.save_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match="'absent' not found"):
        sentence_transformers.CrossEncoder(str(tmp_path), device="cpu")
    with pytest.raises(UnsupportedModelError, match=r"'absent'.*\['own'\]"):
        Reranker(tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"'absent'.*\['own'\]"):
        Reranker.from_loaded(made)


def test_a_language_model_whose_prompt_is_not_known_is_refused(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen")
    sentence_transformers.CrossEncoder(str(folder), device="cpu").save_pretrained(str(tmp_path / "saved"))
    with pytest.raises(UnknownModelError, match="family="):
        Reranker(tmp_path / "saved")


def test_weights_of_a_module_that_change_are_loaded_again(checkpoints: Path, tmp_path: Path) -> None:
    first = modules.Transformer(str(checkpoints / "bert-embedder"))
    made = sentence_transformers.SentenceTransformer(
        modules=[first, modules.Pooling(WIDTH), modules.Dense(WIDTH, 8)], device="cpu"
    )
    made.save_pretrained(str(tmp_path))
    with Embedder(tmp_path) as before:
        torch.nn.init.ones_(made[2].linear.weight)
        made[2].save(str(tmp_path / "2_Dense"))
        with Embedder(tmp_path) as after:
            assert np.abs(before.embed_queries(["a"]) - after.embed_queries(["a"])).max() > 0.01
            assert after.embed_queries(["a"]) == pytest.approx(made.encode_query(["a"]), abs=TOLERANCE)
