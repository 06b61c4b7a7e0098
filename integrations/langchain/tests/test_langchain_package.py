"""The package as users meet it: its names, its README, its metadata."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import langchain_rerank_plugins

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_exported_names_are_the_classes() -> None:
    public = {name for name, value in vars(langchain_rerank_plugins).items() if isinstance(value, type)}
    assert sorted(public) == langchain_rerank_plugins.__all__


def test_readme_example_runs(langchain_models: dict[str, str]) -> None:
    code = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[0]
    embedder, reranker = langchain_models["bert-embedder"], langchain_models["bert-reranker"]
    code = code.replace("BgeEmbeddings()", f"BgeEmbeddings(model={embedder!r}, device='cpu')")
    code = code.replace("(top_n=5)", f"(top_n=5, model={reranker!r}, device='cpu')")
    names: dict[str, Any] = {}
    exec(code, names)
    scores = [document.metadata["relevance_score"] for document in names["documents"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)


def test_readme_names_every_class_and_option() -> None:
    for name in langchain_rerank_plugins.__all__:
        assert f"`{name}`" in README
        for option in getattr(langchain_rerank_plugins, name).model_fields if "Rerank" in name else ():
            assert f"`{option}`" in README, option


def test_package_is_marked_as_typed() -> None:
    assert (Path(langchain_rerank_plugins.__file__).parent / "py.typed").is_file()
