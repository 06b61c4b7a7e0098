"""The checks of ``doctor`` about speed: packed batches, oneDNN and 8-bit products on the CPU, native bfloat16."""

from __future__ import annotations

from rerank_plugins.cli.diagnosis import Finding

__all__ = ["find_model_speed", "find_speed"]


def find_speed() -> list[Finding]:
    """Return how models would run on this machine with these versions; empty without torch and transformers."""
    try:
        import torch
        import transformers
    except ImportError:
        return []
    from rerank_plugins.engine.device import has_native_bfloat16, has_native_float16, resolve_device
    from rerank_plugins.nn.dense import has_packed_products
    from rerank_plugins.nn.int8 import has_int8_products
    from rerank_plugins.nn.varlen import varlen_kernel

    device = resolve_device(None)
    others = "decoders and ModernBERT too" if hasattr(transformers, "AttentionInterface") else "all others padded"
    findings = [Finding("batches", f"BERT, RoBERTa and XLM-R packed, {others} (--model NAME tells of one model)")]
    if device.type == "cpu":
        fast = has_packed_products(torch.float32)
        value = "oneDNN, weights packed once, GELU and sums fused" if fast else "torch's own"
        findings.append(Finding("CPU products", value, "ok" if fast else "info"))
        value = (
            "dtype='int8' for BERT-like encoders" if has_int8_products() else "no instructions: dtype='int8' is float32"
        )
        findings.append(Finding("8-bit products", value, "ok" if has_int8_products() else "info"))
    if device.type == "cuda":
        fast = varlen_kernel() is not None
        value = "one kernel for all lengths" if fast else "one call a length (torch 2.12 or flash-attn do better)"
        findings.append(Finding("CUDA attention", value, "ok" if fast else "info"))
    native = has_native_bfloat16(device)
    value = "native" if native else "emulated on this processor: slower than float32, and less exact"
    findings.append(Finding("bfloat16", value, "ok" if native else "info"))
    native = has_native_float16(device)
    value = "native" if native else "emulated on this processor: several times slower than float32"
    findings.append(Finding("float16", value, "ok" if native else "info"))
    return findings


def find_model_speed(model: str) -> list[Finding]:
    """Open a reranker and return how it runs.

    Raises:
        ModelError: The model cannot be resolved or loaded.
    """
    from rerank_plugins import Reranker
    from rerank_plugins.backends.protocol import NO_LIMIT

    with Reranker(model) as reranker:
        if not reranker.dtype:
            # A backend of texts: how it makes batches is its own affair.
            limit = "no limit of tokens known" if reranker.max_length >= NO_LIMIT else f"{reranker.max_length} words"
            where = reranker.device or "as its backend says"
            return [Finding("runs on", where), Finding("input", limit, "info")]
        reason = f" ({reranker.padding_reason})" if reranker.padding_reason else ""
        batches = f"padded, sorted by length{reason}" if reranker.is_padded else "packed, no padding"
        shared = reranker.prefix_sharing
        prefix = (
            "shared: computed once for all documents of a batch" if shared.is_used else f"not shared: {shared.reason}"
        )
        return [
            Finding("runs on", f"{reranker.device} in {reranker.dtype}"),
            Finding("batches", batches, "info" if reranker.is_padded else "ok"),
            Finding("query prefix", prefix, "ok" if shared.is_used else "info"),
            Finding("input", f"{reranker.max_length} tokens", "info"),
        ]
