"""Shapes and an effort so small that a whole suite runs in a test."""

from __future__ import annotations

from benchmarks.context import Effort
from benchmarks.shapes import DecoderShape, EncoderShape, ShapeSet

SMALL = EncoderShape(name="small bert", kind="bert", layers=2, hidden=32, heads=4, intermediate=64)
SMALL_XLMR = EncoderShape(name="small xlmr", kind="xlm-roberta", layers=2, hidden=32, heads=4, intermediate=64)
GEMMA = DecoderShape(
    name="small gemma",
    kind="gemma",
    layers=2,
    hidden=32,
    heads=2,
    kv_heads=1,
    head_dim=16,
    intermediate=64,
    vocabulary=8_000,
)
MINICPM = DecoderShape(
    name="small minicpm",
    kind="minicpm",
    layers=10,
    hidden=32,
    heads=2,
    kv_heads=2,
    head_dim=16,
    intermediate=64,
    vocabulary=8_000,
    first_head=2,
)
QWEN = DecoderShape(
    name="small qwen3",
    kind="qwen3",
    layers=2,
    hidden=32,
    heads=2,
    kv_heads=1,
    head_dim=16,
    intermediate=64,
    vocabulary=8_000,
)
SHAPES = ShapeSet(
    small=SMALL, bert_base=SMALL, base=SMALL_XLMR, large=SMALL_XLMR, gemma=GEMMA, minicpm=MINICPM, qwen=QWEN
)
TINY = Effort(
    name="tiny",
    rounds=2,
    side_rounds=1,
    documents=12,
    sweep=(1, 3),
    base_documents=6,
    large_documents=2,
    overlap_queries=1,
    callers=4,
    caller_documents=3,
    single_calls=3,
    stream_pairs=60,
    kept_documents=80,
    cascade_queries=1,
    cascade_documents=6,
    llm_few=4,
    llm_many=6,
    llm_memory_pairs=2,
)
