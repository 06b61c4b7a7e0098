"""Every family of the catalog has a comparison with its reference, and those that ran were really that."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from declared import Comparison, Outcome, declared_in, families_compared, missing_references, modules, not_compared

from rerank_plugins.catalog.families import FAMILIES
from rerank_plugins.catalog.family import Family

# Only shrinks: the code of this architecture comes from the hub with the checkpoint and is not run here.
NOT_COMPARED = {"jina-v1"}
COMPARED = [family for family in FAMILIES if family.facts.family not in NOT_COMPARED]
DECLARED = {module.__name__: declared_in(module) for module in modules()}
ALL = [comparison for declared in DECLARED.values() for comparison in declared]
GOLDENS = ("test_goldens", "test_llm_goldens")


@pytest.mark.parametrize("family", COMPARED, ids=lambda family: f"{family.facts.kind}-{family.facts.id}")
def test_every_family_has_a_comparison_of_its_architecture(family: Family) -> None:
    facts = family.facts
    assert facts.reference, f"say in the file of {facts.id} what its numbers are compared with"
    assert not missing_references(family, ALL), (
        f"no test is declared with @parity({facts.family!r}, kind={facts.kind!r}, "
        f"architectures=[{family.architecture!r}], reference=...) for these references"
    )


def test_what_is_not_compared_claims_no_reference() -> None:
    assert families_compared() == COMPARED


def test_every_declared_family_is_in_the_catalog() -> None:
    for comparison in ALL:
        for name in comparison.families:
            assert any(comparison.is_of(one) for one in FAMILIES if one.facts.family == name), (comparison, name)


def test_versions_are_those_of_the_goldens() -> None:
    versions = json.loads((Path(__file__).parent / "goldens/embeddings.json").read_text(encoding="utf-8"))["versions"]
    for comparison in (one for name in GOLDENS for one in DECLARED[name]):
        library, version = comparison.reference.split(" ")
        assert versions[library] == version


# The account itself.

FAMILY = next(family for family in FAMILIES if family.facts.id == "BAAI/bge-en-icl")
GOOD = Comparison(kind="embedder", families=("bge",), architectures=("mistral",), reference="FlagEmbedding 1.4.2")


@pytest.mark.parametrize(
    "other",
    [
        Comparison(kind="reranker", families=("bge",), architectures=("mistral",), reference="FlagEmbedding 1.4.2"),
        Comparison(kind="embedder", families=("e5",), architectures=("mistral",), reference="FlagEmbedding 1.4.2"),
        Comparison(kind="embedder", families=("bge",), architectures=("bert",), reference="FlagEmbedding 1.4.2"),
        Comparison(kind="embedder", families=("bge",), architectures=("mistral",), reference="FlagEmbedding 1.3.5"),
    ],
)
def test_a_comparison_of_something_else_does_not_count(other: Comparison) -> None:
    assert missing_references(FAMILY, [other]) == ["FlagEmbedding 1.4.2"]
    assert missing_references(FAMILY, [other, GOOD]) == []


def test_each_reference_of_a_list_needs_a_comparison() -> None:
    (family,) = (one for one in FAMILIES if one.facts.id == "cross-encoder/ms-marco-{size}")
    declared = [one for one in ALL if one.is_of(family)]
    plain = [one for one in declared if one.reference == "transformers"]
    assert missing_references(family, plain) == ["sentence-transformers"]
    assert missing_references(family, declared) == []


@pytest.mark.parametrize(
    ("outcome", "opened", "counts"),
    [
        ("passed", {"mistral"}, True),
        ("passed", {"bert", "mistral"}, True),
        ("passed", {"bert"}, False),
        ("passed", set(), False),
        ("skipped", {"mistral"}, False),
        ("failed", {"mistral"}, False),
    ],
)
def test_a_comparison_counts_if_it_passed_on_the_architecture(outcome: str, opened: set[str], counts: bool) -> None:
    ran = [Outcome(comparison=GOOD, outcome=outcome, opened=frozenset(opened))]
    assert (not_compared([FAMILY], ran) == {}) == counts
    assert not_compared([FAMILY], []) == {}


SESSION = """
from declared import parity
from rerank_plugins.catalog.checkpoint import read_checkpoint

@parity("m3e", kind="embedder", architectures=["bert"], reference="sentence-transformers")
def test_it(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "ARCHITECTURE"}')
    read_checkpoint(tmp_path)
"""
REGISTERED = """
from account import Account

def pytest_configure(config):
    config.pluginmanager.register(Account())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "code"), [("bert", 0), ("roberta", 1)])
def test_a_session_fails_whose_comparison_opened_something_else(tmp_path: Path, architecture: str, code: int) -> None:
    here = Path(__file__).parent
    shutil.copy(here / "conftest.py", tmp_path)
    (tmp_path / "registered.py").write_text(REGISTERED)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmarkers = parity\npythonpath = . {here}\n")
    (tmp_path / "test_session.py").write_text(SESSION.replace("ARCHITECTURE", architecture))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "registered", "-p", "no:cacheprovider", str(tmp_path)]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == code, found.stdout + found.stderr
    assert "1 passed" in found.stdout
    assert ("moka-ai/m3e-{size}: passed on roberta" in found.stdout) == bool(code)
