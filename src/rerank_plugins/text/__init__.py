"""Texts to token ids: tokenising, pair layouts, truncation, windows. Everything here is thread-safe."""
