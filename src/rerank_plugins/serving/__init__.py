"""One server for many applications: the facades on HTTP, in the dialects that today's clients speak.

``rerank-plugins serve MODEL`` runs it; :func:`~rerank_plugins.serving.app.serving_app` gives its ASGI part.
"""
