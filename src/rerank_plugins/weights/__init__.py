"""Loads the files of checkpoints: weights, tokenizers, LoRA adapters."""
