"""CONTRIBUTING.md's example of a new model is run: the entry is registered, and its parity test passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tiny_rerankers

from rerank_plugins.catalog import find_by_name, known_models, plugins
from rerank_plugins.catalog.speed import speed_of

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Adding a model")[1].split("\n## ")[0]
ENTRY, TEST = re.findall(r"```python\n(.*?)```", SECTION, flags=re.DOTALL)


def executed(code: str, name: str) -> Any:
    module = ModuleType(name)
    exec(compile(code, f"CONTRIBUTING.md, {name}", "exec"), vars(module))
    return module


class Point:
    """Stands in for the entry point of a package that has the example's file."""

    group, name, value, dist = "rerank_plugins.models", "example", "example:EXAMPLE", None

    def load(self) -> object:
        return executed(ENTRY, "example").EXAMPLE


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [Point()] * (group == Point.group))
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "unit" / "catalog"))
    known_models.cache_clear()
    yield
    known_models.cache_clear()


@pytest.mark.usefixtures("registered")
def test_the_entry_is_complete() -> None:
    import test_table as table

    spec = find_by_name("example-org/reranker-base", kind="reranker")
    assert spec is not None
    table.test_every_entry_says_what_it_is(spec)
    table.test_every_fact_of_a_hub_model_has_a_source(spec)
    table.test_sources_are_public_addresses_of_facts(spec)
    table.test_every_reranker_says_what_its_parity_test_compares_with(spec)
    table.test_revisions_are_whole_commits(spec)
    table.test_rerankers_have_no_embedder_facts(spec)
    table.test_flagembedding_models_and_mini_cut_the_document_and_others_the_longer_side(spec)
    table.test_a_model_is_found_by_its_id_and_by_the_last_part_of_it(spec)
    assert spec.signature is not None
    assert speed_of(spec) == "fast"


@pytest.mark.skipif(not tiny_rerankers.HAS_MODERNBERT, reason="this transformers has no ModernBERT")
@pytest.mark.usefixtures("registered")
def test_its_parity_test_is_declared_and_passes(tmp_path: Path) -> None:
    import declared

    (family,) = executed(ENTRY, "example").EXAMPLE
    test = executed(TEST, "test_example")
    assert declared.missing_references(family, declared.declared_in(test)) == []
    test.test_example(tmp_path)
