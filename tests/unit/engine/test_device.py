"""Device and precision, with the CUDA queries stood in for: this project is tested without a GPU."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from rerank_plugins import Reranker
from rerank_plugins.engine.device import default_budget_tokens, resolve_device, resolve_dtype
from rerank_plugins.errors import DeviceUnavailableError, InvalidInputError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)


def test_without_a_gpu_the_cpu_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device(None) == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus")
def test_cuda_always_names_its_index() -> None:
    assert str(resolve_device(None)) == str(resolve_device("cuda")) == "cuda:1"
    assert str(resolve_device("cuda:0")) == "cuda:0"
    with pytest.raises(DeviceUnavailableError, match="has 2 CUDA devices"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["meta", "vulkan", "privateuseone"])
def test_a_kind_of_device_that_torch_does_not_run_here_is_told_as_such(name: str, bert_reranker_folder: Path) -> None:
    with pytest.raises(DeviceUnavailableError, match=f"device '{name}' is not available: torch computes nothing there"):
        Reranker(bert_reranker_folder, device=name)


def test_a_device_that_there_is_once_has_one_name() -> None:
    assert str(resolve_device("cpu:0")) == str(resolve_device("cpu")) == "cpu"


def test_dtypes() -> None:
    assert resolve_dtype("auto", device=torch.device("cuda", 0)) is torch.float16
    assert resolve_dtype("auto", device=torch.device("cpu")) is torch.float32
    assert resolve_dtype("bfloat16", device=torch.device("cpu")) is torch.bfloat16
    with pytest.raises(InvalidInputError, match="'auto', 'float32'"):
        resolve_dtype("half", device=torch.device("cpu"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_half_precision_that_the_processor_emulates_is_told(
    dtype: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    has_own = {"float16": False, "bfloat16": False}
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_own["bfloat16"])
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", lambda: has_own["float16"], raising=False)
    assert resolve_dtype(dtype, device=torch.device("cpu")) is getattr(torch, dtype)
    assert f"no {dtype} of its own; float32 is faster here" in caplog.text
    caplog.clear()
    has_own[dtype] = True
    resolve_dtype(dtype, device=torch.device("cpu"))
    resolve_dtype(dtype, device=torch.device("mps"))
    resolve_dtype("auto", device=torch.device("cpu"))
    assert not caplog.records


def test_a_gpu_gets_larger_batches() -> None:
    assert default_budget_tokens(torch.device("cuda", 0)) > default_budget_tokens(torch.device("cpu"))
