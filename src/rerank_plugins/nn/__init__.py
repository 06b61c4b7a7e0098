"""Neural network parts: packed rows, attention over them, dense products, architectures, pooling and heads.

Nothing here knows the catalog, checkpoints or model families; :mod:`rerank_plugins.scorers` puts families together
from these parts.
"""
