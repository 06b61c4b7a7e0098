"""What the engine must reach, as data; cases measure the numbers, :func:`judge` compares."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results import Verdict

__all__ = ["TARGETS", "Target", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound on a measured number; exactly one of the two bounds is set.

    Attributes:
        key: Name used by the cases.
        text: What is compared with what.
        least: The number must be at least this.
        most: The number must be at most this.
    """

    key: str
    text: str
    least: float | None = None
    most: float | None = None

    def holds(self, measured: float) -> bool:
        """Return whether a number is within the bound."""
        if self.least is not None:
            return measured >= self.least
        return self.most is not None and measured <= self.most


_MIXED = "MiniLM-L6, mixed lengths"
_LIST = (
    Target(key="scores-fp32", text="fp32 scores: largest difference to plain transformers", most=1e-4),
    Target(key="mixed-fp32-st", text=f"{_MIXED}, fp32: times sentence-transformers' default", least=3.0),
    Target(key="mixed-fp32-flag", text=f"{_MIXED}, fp32: times FlagEmbedding's default", least=10.0),
    Target(key="mixed-fp32-openvino", text=f"{_MIXED}, fp32: times length-sorted OpenVINO fp32", least=1.05),
    Target(key="mixed-bf16-st", text=f"{_MIXED}, bf16: times sentence-transformers' default (fp32)", least=4.5),
    Target(key="mixed-bf16-openvino", text=f"{_MIXED}, bf16: times length-sorted OpenVINO bf16", least=1.05),
    Target(key="mixed-int8-fp32", text=f"{_MIXED}, int8: times our own fp32", least=1.8),
    Target(key="mixed-int8-onnx", text=f"{_MIXED}, int8: times length-sorted ONNX Runtime int8", least=1.2),
    Target(key="mixed-int8-openvino", text=f"{_MIXED}, int8: times length-sorted OpenVINO int8 (NNCF)", least=1.2),
    Target(key="bf16-overlap", text="bf16: share of the fp32 top 10 kept", least=0.98),
    Target(key="bert-ceiling-fp32", text="BERT-base shape, fp32: share of the rate its products sustain", least=0.85),
    Target(key="bert-ceiling-bf16", text="BERT-base shape, bf16: share of the rate its products sustain", least=0.8),
    Target(key="xlmr-ceiling-fp32", text="XLM-R-base shape, fp32: share of the rate its products sustain", least=0.85),
    Target(key="xlmr-ceiling-bf16", text="XLM-R-base shape, bf16: share of the rate its products sustain", least=0.8),
    Target(key="fixed-fp32", text="Fixed length 128, fp32: times the fastest fp32 peer", least=0.97),
    Target(key="fixed-bf16", text="Fixed length 128, bf16: times the fastest bf16 peer", least=0.97),
    Target(key="threads-bulk", text="32 threads: share of one bulk call's throughput", least=0.9),
    Target(key="threads-st", text="32 threads: times sentence-transformers from the threads", least=2.5),
    Target(key="threads-scores", text="32 threads: largest difference to the scores of serial calls", most=1e-4),
    Target(key="single-overhead", text="1 query x 1 passage: overhead over the bare forward, ms", most=1.0),
    Target(key="one-onnx", text="MiniLM-L6, 1 passage, fp32: our time over length-sorted ONNX Runtime's", most=1.1),
    Target(key="alone-onnx", text="The same, each in a process of its own", most=1.1),
    Target(key="thousand-openvino", text="MiniLM-L6, 1,000 passages, fp32: times length-sorted OpenVINO", least=1.05),
    Target(key="stream-flat", text="Streamed pairs: memory growth after the first tenth, MB", most=32.0),
    Target(key="llm-many", text="Gemma-like, above 128 pairs: times FlagLLMReranker", least=1.25),
    Target(key="llm-few", text="Gemma-like, below 128 pairs: times FlagLLMReranker", least=2.0),
    Target(key="llm-scores", text="Gemma-like: largest score difference to FlagLLMReranker", most=1e-4),
    Target(key="layerwise", text="Layerwise, 28 of 40 layers: times the full depth", least=1.35),
    Target(key="llm-memory", text="Gemma-like, pairs of 512 tokens: peak memory over weights + one batch", most=1.3),
    Target(key="llm-tensors", text="The same by tensors alone, without what the allocator keeps", most=1.2),
    Target(key="prefix", text="Qwen3-like, one query: times the same with every prompt whole", least=1.25),
    Target(key="prefix-scores", text="Qwen3-like: largest score difference to prompts run whole", most=1e-4),
    Target(key="train-st", text="Training MiniLM-L6, fp32: times sentence-transformers' trainer", least=1.0),
    Target(key="train-flag", text="Training MiniLM-L6, fp32: times FlagEmbedding's trainer", least=1.3),
    Target(key="late-st", text="ColBERT of MiniLM-L6 from texts, fp32: times sentence-transformers", least=2.0),
    Target(
        key="late-llama", text="ColBERT of MiniLM-L6 from texts, fp32: times LlamaIndex's ColbertRerank", least=10.0
    ),
    Target(key="late-scores", text="ColBERT: largest difference to sentence-transformers' sums", most=1e-4),
    Target(key="late-kept-ms", text="ColBERT, kept vectors of 1,000 documents of 180 tokens: top 10, ms", most=20.0),
    Target(key="late-kept-st", text="The same: times sentence-transformers' maxsim", least=5.0),
    Target(key="late-kept-overlap", text="The same: share of the fp32 top 10 kept", least=0.99),
    Target(key="cascade-speed", text="Cascade cosine:mini, mini: times mini on all candidates", least=5.0),
    Target(key="cascade-ndcg", text="The same: nDCG@10 lost", most=0.005),
    Target(key="gpu-mfu", text="fp16 XLM-R-large shape, 512 tokens: share of the matrix-multiply ceiling", least=0.6),
    Target(key="gpu-st", text="fp16 XLM-R-large shape, mixed: times sentence-transformers fp16", least=1.4),
    Target(key="gpu-latency", text="fp16 XLM-R-base shape, 100 x 128 tokens end to end, ms", most=12.0),
)

TARGETS = {target.key: target for target in _LIST}
"""All targets by key."""


def judge(key: str, measured: float | None, *, note: str = "") -> Verdict:
    """Return the verdict on a measured number; None means that it could not be measured, which ``note`` explains."""
    target = TARGETS[key]
    bound = f"≥ {target.least:g}" if target.least is not None else f"≤ {target.most:g}"
    return Verdict(
        target=key,
        text=f"{target.text} {bound}",
        measured=measured,
        reached=None if measured is None else target.holds(measured),
        note=note,
    )
