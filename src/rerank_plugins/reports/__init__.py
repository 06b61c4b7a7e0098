"""Reports on evaluation results: Markdown, JSON and one self-contained HTML page with pictures.

Needs ``pip install rerank-plugins[evaluation]`` for matplotlib, which is imported on first use.
"""
