"""What models are computed with: packed rows and their attention, dense products, architectures, heads.

Nothing here knows a catalog entry, a checkpoint or a family; :mod:`rerank_plugins.scorers` builds families out of it.
"""
