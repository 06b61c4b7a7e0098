"""Kinds of rerankers and embedders, each behind one protocol at the level of texts.

``protocol.py`` is the seam: what :class:`~rerank_plugins.reranker.Reranker` and
:class:`~rerank_plugins.embedder.Embedder` need of a backend. ``local.py`` runs checkpoints on this machine;
``texts.py`` gives any other backend what it does not do itself: blank documents, windows, the score cache, checks of
its numbers.
"""
