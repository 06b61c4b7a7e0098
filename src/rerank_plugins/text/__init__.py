"""Texts to token ids: tokenise once, lay out pairs, cut windows. Pure and safe from any thread."""
