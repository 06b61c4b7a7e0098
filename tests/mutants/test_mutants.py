"""The list of mutants fits the source: each snippet stands once, each mutant parses, its tests are there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutant import Mutant
from mutant_list import MUTANTS
from run_mutants import RottenMutantError, find_source, find_tests, mutated


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Mutant) -> None:
    path = find_source(mutant)
    # The code differs, not only its layout or a comment.
    assert ast.dump(ast.parse(mutated(mutant, path))) != ast.dump(ast.parse(path.read_text(encoding="utf-8")))
    assert find_tests(mutant.tests)


def test_there_are_forty_and_no_two_of_one_name() -> None:
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("snippet", ["nowhere = 0", "def "])
def test_a_snippet_that_is_lost_or_not_alone_is_told(tmp_path: Path, snippet: str) -> None:
    (tmp_path / "one.py").write_text("def a():\n    pass\n\n\ndef b():\n    pass\n", encoding="utf-8")
    with pytest.raises(RottenMutantError, match="once is needed"):
        find_source(Mutant("one", snippet, "", ()), tmp_path)


@pytest.mark.parametrize("name", ["test_of_nothing.py", "test_twice.py"])
def test_test_files_that_are_lost_or_not_alone_are_told(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / "test_twice.py").touch()
    with pytest.raises(RottenMutantError, match="one is needed"):
        find_tests([name], tmp_path)
