"""Run the tests against mutants of the core: every fault of ``mutant_list.py`` must make one fail.

python tests/mutants/run_mutants.py [--all] [part of a name ...]

One mutant after the other, each in a copy of ``src`` in a temporary folder. With ``--all`` those that survive their own
test files meet the whole suite (minutes each). The exit code is 1 below 90 % killed, 2 if tests fail without mutants.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from mutant import Mutant
from mutant_list import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
LEAST_KILLED = 0.9
FOLDERS_OF_TESTS = ("tests", "integrations")
KILLED, SURVIVED, BROKEN = "killed", "SURVIVED", "BROKEN"


class RottenMutantError(Exception):
    """A mutant that no longer fits the source."""


def find_source(mutant: Mutant, source: Path = ROOT / "src") -> Path:
    """Return the one file with a mutant's snippet."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(source.rglob("*.py"))}
    counts = {path: text.count(mutant.snippet) for path, text in texts.items() if mutant.snippet in text}
    if sum(counts.values()) != 1:
        places = ", ".join(str(path.relative_to(source)) for path in counts) or "no file"
        msg = f"{mutant.name!r}: its snippet stands {sum(counts.values())} times in src ({places}); once is needed"
        raise RottenMutantError(msg)
    return next(iter(counts))


def find_tests(names: Iterable[str], root: Path = ROOT) -> list[Path]:
    """Return test files by their names, each of which must be one file's."""
    found = []
    for name in names:
        places = [path for folder in FOLDERS_OF_TESTS for path in sorted((root / folder).rglob(name))]
        if len(places) != 1:
            msg = f"there are {len(places)} test files {name!r}; one is needed"
            raise RottenMutantError(msg)
        found += places
    return found


def mutated(mutant: Mutant, path: Path) -> str:
    """Return the mutant's text of a file, which still parses."""
    text = path.read_text(encoding="utf-8").replace(mutant.snippet, mutant.replacement)
    ast.parse(text)
    return text


def is_killed(source: Path, tests: Sequence[str]) -> bool | None:
    """Return whether a test fails with this source; None if pytest could not run.

    Args:
        source: The folder with the package.
        tests: Files, from the root of the repository; none takes all that pytest finds.
    """
    command = [sys.executable, "-m", "pytest", "-m", "not slow", "-x", "-q", "-p", "no:cacheprovider", *tests]
    paths = [str(source), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
    # 1: a test failed. 2: a test file could not be imported, which the mutant did, too.
    return {0: False, 1: True, 2: True}.get(ran.returncode)


def outcome(mutant: Mutant, *, runs_all: bool) -> str:
    """Return what became of a mutant."""
    tests = [str(path.relative_to(ROOT)) for path in find_tests(mutant.tests)]
    origin = find_source(mutant)
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / origin.relative_to(ROOT / "src")).write_text(mutated(mutant, origin), encoding="utf-8")
        found = is_killed(copy, tests)
        if found is False and runs_all:
            found = is_killed(copy, ())
    return BROKEN if found is None else KILLED if found else SURVIVED


def chosen(parts: Sequence[str]) -> list[Mutant]:
    """Return the mutants with one of these parts in their name; all without any."""
    return [one for one in MUTANTS if not parts or any(part in one.name for part in parts)]


def main() -> int:
    """Run the mutants, print a table, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="run the whole suite for those that survive")
    parser.add_argument("names", nargs="*", help="parts of names; none takes all mutants")
    arguments = parser.parse_args()
    mutants, outcomes = chosen(arguments.names), []
    # Tests that fail anyway kill nothing.
    tests = {str(path.relative_to(ROOT)) for one in mutants for path in find_tests(one.tests)}
    if is_killed(ROOT / "src", sorted(tests)) is not False:
        print(f"these tests do not pass without a mutant: {' '.join(sorted(tests))}")
        return 2
    for mutant in mutants:
        started_s = time.perf_counter()
        outcomes.append(outcome(mutant, runs_all=arguments.all))
        print(f"{outcomes[-1]:9} {time.perf_counter() - started_s:5.0f} s  {mutant.name}", flush=True)
    n_killed = outcomes.count(KILLED)
    share = n_killed / len(mutants) if mutants else 0.0
    print(f"{n_killed} of {len(mutants)} killed: {share:.0%} (at least {LEAST_KILLED:.0%} is asked)")
    return 0 if share >= LEAST_KILLED else 1


if __name__ == "__main__":
    sys.exit(main())
