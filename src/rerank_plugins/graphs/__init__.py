"""ONNX graphs of BERT-like models, made from a checkpoint's config and weights: without torch, and without ``onnx``.

``proto.py`` writes the file format, ``builder.py`` collects nodes, ``encoder.py`` and ``heads.py`` are the models.
:mod:`rerank_plugins.scorers.onnx_runtime` runs them.
"""
