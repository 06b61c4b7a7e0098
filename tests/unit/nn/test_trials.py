"""The trials at load see what they are there for: windows, unknown settings of attention, errors in half precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel

from rerank_plugins import Reranker
from rerank_plugins.cli.speed import find_model_speed
from rerank_plugins.nn import packed
from rerank_plugins.nn.backbone import Backbone
from rerank_plugins.nn.trials import trial_of
from rerank_plugins.nn.windows import NARROW, window_names, windows_of

interface = pytest.mark.skipif(
    not hasattr(transformers, "AttentionInterface"), reason="this transformers has no attention interface"
)
PRECISIONS = [torch.float32, torch.bfloat16, torch.float16]

# Every kind of local attention that transformers has and that is passed on to the attention function, in published
# widths. Those that an older transformers lacks are skipped.
WINDOWED: dict[str, tuple[str, dict[str, object]]] = {
    "mistral": ("mistral", {"sliding_window": 4096}),
    "mistral-small": ("mistral", {"sliding_window": 64}),
    "qwen2": ("qwen2", {"sliding_window": 32768, "use_sliding_window": True, "max_window_layers": 1}),
    "qwen3": ("qwen3", {"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 1}),
    "phi3": ("phi3", {"sliding_window": 2047}),
    "starcoder2": ("starcoder2", {"sliding_window": 4096}),
    "gemma3": ("gemma3_text", {"sliding_window": 512}),
    "modernbert": ("modernbert", {"local_attention": 128}),
    "modernbert-wide": ("modernbert", {"local_attention": 1024}),
}


def model_of(kind: str, dtype: torch.dtype = torch.float32, **options: object) -> torch.nn.Module:
    try:
        config = transformers.AutoConfig.for_model(
            kind,
            vocab_size=96,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=40_000,
            pad_token_id=0,
            initializer_range=0.3,
            **options,
        )
    except (ValueError, AttributeError) as error:
        pytest.skip(f"this transformers has no {kind}: {error}")
    torch.manual_seed(3)
    return AutoModel.from_config(config).eval().to(dtype)


def with_another_attend(
    monkeypatch: pytest.MonkeyPatch, change: Callable[..., torch.Tensor], name: str = "rerank_plugins_packed_in_tests"
) -> None:
    monkeypatch.setattr(packed, "attend", change)
    # Under a name of its own: the interface's registry belongs to the whole process.
    monkeypatch.setattr(packed, "_NAME", name)


@interface
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_that_is_kept_is_packed_and_one_that_is_dropped_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype
) -> None:
    kind, options = WINDOWED[name]
    kept = Backbone(model_of(kind, dtype, **options))
    assert not kept.is_padded, kept.padding_reason
    attend = packed.attend

    def windowless(*rows: object, window: int | None, **others: object) -> torch.Tensor:
        return attend(*rows, **others)  # type: ignore[arg-type]

    with_another_attend(monkeypatch, windowless)
    dropped = Backbone(model_of(kind, dtype, **options))
    assert dropped.padding_reason == "a trial at load gave other numbers where its windows end"


@interface
@pytest.mark.parametrize("name", WINDOWED)
@pytest.mark.parametrize("wrong", [-2, -1, 1, 2])
def test_a_window_of_another_width_is_seen(monkeypatch: pytest.MonkeyPatch, name: str, wrong: int) -> None:
    kind, options = WINDOWED[name]
    attend = packed.attend

    def shifted(*rows: object, window: int | None, **others: object) -> torch.Tensor:
        return attend(*rows, window=None if window is None else window + wrong, **others)  # type: ignore[arg-type]

    with_another_attend(monkeypatch, shifted)
    assert Backbone(model_of(kind, **options)).is_padded


@interface
@pytest.mark.parametrize("name", WINDOWED)
def test_a_long_text_is_the_same_and_the_trial_leaves_no_trace(name: str) -> None:
    kind, options = WINDOWED[name]
    options = {key: 6 if key in ("sliding_window", "local_attention") else value for key, value in options.items()}
    model, untouched = model_of(kind, **options), model_of(kind, **options)
    before = model.config.to_dict()
    backbone = Backbone(model)
    after = model.config.to_dict()
    assert {key: value for key, value in after.items() if "attn_impl" not in key} == {
        key: value for key, value in before.items() if "attn_impl" not in key
    }
    batch = trial_of(model, (70, 33, 33, 5))
    with torch.inference_mode():
        expected = torch.cat(
            [untouched(torch.from_numpy(one.ids).long().unsqueeze(0)).last_hidden_state[0] for one in batch.inputs]
        )
        assert (backbone(batch).flat - expected).abs().max() <= 1e-4 * expected.abs().max()


@interface
def test_windows_that_nothing_reads_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("qwen2", sliding_window=64, use_sliding_window=True, max_window_layers=4)
    assert window_names(model.config) == ["sliding_window"]
    assert not Backbone(model).is_padded
    # A window that is said and not found is not waved through: it might be kept elsewhere.
    model = model_of("llama")
    monkeypatch.setattr(type(model.config), "to_dict", lambda _self: {"attention_chunk_size": 64})
    model.config.attention_chunk_size = 64
    assert Backbone(model).padding_reason == "nothing shows whether attention_chunk_size of its configuration is kept"


def test_windows_are_as_they_were_after_an_error() -> None:
    model = model_of("mistral", sliding_window=64)
    with suppress(KeyError), windows_of(model, NARROW):
        assert model.config.sliding_window == NARROW
        raise KeyError
    assert model.config.sliding_window == 64


@interface
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("softcap", 30.0),
        ("s_aux", torch.zeros(4)),
        ("position_bias", torch.zeros(1)),
        ("invented_by_transformers_6", True),
        ("chunk_size", 64),
        ("sinks", 0),
        ("dropout", 0.1),
    ],
)
def test_a_setting_that_is_not_known_means_padding_and_names_itself(
    monkeypatch: pytest.MonkeyPatch, keyword: str, value: object
) -> None:
    attention = packed._attention

    def asked(*rows: object, **settings: object) -> object:
        return attention(*rows, **{**settings, keyword: value})  # type: ignore[arg-type]

    monkeypatch.setattr(packed, "_attention", asked)
    monkeypatch.setattr(packed, "_NAME", f"rerank_plugins_packed_{keyword}")
    backbone = Backbone(model_of("llama"))
    assert backbone.is_padded
    assert backbone.padding_reason == f"attention with {keyword} is not packed"
    with torch.inference_mode():
        assert torch.isfinite(backbone(trial_of(backbone._model, (9, 4))).flat).all()


@interface
@pytest.mark.parametrize(
    ("keyword", "value"), [("softcap", None), ("use_cache", True), ("position_ids", torch.zeros(1)), ("dropout", 0.0)]
)
def test_settings_without_effect_are_packed(monkeypatch: pytest.MonkeyPatch, keyword: str, value: object) -> None:
    attention = packed._attention

    def asked(*rows: object, **settings: object) -> object:
        return attention(*rows, **{**settings, keyword: value})  # type: ignore[arg-type]

    monkeypatch.setattr(packed, "_attention", asked)
    monkeypatch.setattr(packed, "_NAME", f"rerank_plugins_packed_without_{keyword}")
    assert not Backbone(model_of("llama")).is_padded


@pytest.mark.parametrize("dtype", PRECISIONS)
@settings(derandomize=True, deadline=None, max_examples=50)
@given(size=st.floats(1e-3, 1e3), seed=st.integers(0, 2**20))
def test_an_error_of_known_size_is_seen_and_rounding_is_not(dtype: torch.dtype, size: float, seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    expected = (torch.randn(20, 32, generator=chance) * size).to(dtype)
    scale = expected.float().abs().max()
    allowed = 1e-3 if dtype == torch.float32 else 5e-2
    for factor, is_seen in ((0.5, False), (1.5, True), (10.0, True)):
        found = expected.float().clone()
        found[3, 5] += factor * allowed * scale
        assert packed.is_near(found, expected) is not is_seen, factor
    found = expected.float().clone()
    found[0, 0] = float("nan")
    assert not packed.is_near(found, expected)


@interface
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("kind", ["llama", "mistral", "modernbert"])
@pytest.mark.parametrize("bug", ["scale", "both ways", "one token", "zero"])
def test_wrong_attention_is_seen_in_every_precision(
    monkeypatch: pytest.MonkeyPatch, kind: str, dtype: torch.dtype, bug: str
) -> None:
    attend = packed.attend

    def wrong(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: object, is_causal: bool, **others: object
    ) -> torch.Tensor:
        if bug == "scale":
            query = query * 1.5
        if bug == "one token":
            value = value.roll(1, 0)
        if bug == "both ways":
            is_causal = not is_causal
        found = attend(query, key, value, *rest, is_causal=is_causal, **others)  # type: ignore[arg-type]
        return found * 0 if bug == "zero" else found

    with_another_attend(monkeypatch, wrong, f"rerank_plugins_packed_{bug.replace(' ', '_')}")
    assert Backbone(model_of(kind, dtype)).is_padded


def test_doctor_tells_why(monkeypatch: pytest.MonkeyPatch, bert_reranker_folder: Path, tmp_path: Path) -> None:
    config = transformers.DebertaV2Config(
        vocab_size=600,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        pad_token_id=0,
        num_labels=1,
    )
    folder = tmp_path / "deberta"
    transformers.DebertaV2ForSequenceClassification(config).eval().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((bert_reranker_folder / name).read_bytes())
    with Reranker(folder, device="cpu") as reranker:
        assert reranker.is_padded
        reason = reranker.padding_reason
        assert reason
    found = {finding.name: finding.value for finding in find_model_speed(str(folder))}
    assert found["batches"] == f"padded, sorted by length ({reason})"
    with Reranker(bert_reranker_folder, device="cpu") as reranker:
        assert (reranker.is_padded, reranker.padding_reason) == (False, "")
