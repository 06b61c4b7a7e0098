"""Checkpoint files in memory: weights, tokenizers, LoRA adapters."""
