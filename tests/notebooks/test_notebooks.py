"""The committed notebooks: every one runs, and holds the outputs of a run on the bundled models."""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# What a machine, and not a reader, would know: folders, and times.
MACHINE = re.compile(r"/(?:home|Users|root|tmp|work|opt)/|0x[0-9a-f]{6,}")


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def texts_of(outputs: list) -> list[str]:
    found = [str(one.get("text", "")) for one in outputs]
    return found + [str(text) for one in outputs for kind, text in one.get("data", {}).items() if "image" not in kind]


def test_all_are_there() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07", "08", "09"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_chooses_the_models_and_says_which(path: Path) -> None:
    first = code_cells(path)[0]
    assert "RERANK_PLUGINS_MODELS" in first.source or "choose_models(" in first.source
    assert re.search("bundled models stand in|tiny checkpoints", "".join(texts_of(first.outputs)))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_committed_and_tell_nothing_about_a_machine(path: Path) -> None:
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [one for cell in cells for one in cell.outputs]
    assert not [one for one in outputs if one.output_type == "error" or one.get("name") == "stderr"]
    kinds = {kind for one in outputs for kind in one.get("data", {})}
    assert kinds & {"image/png", "text/html"}
    for text in texts_of(outputs):
        assert not MACHINE.search(text)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_PLUGINS_MODELS", "mini")
    monkeypatch.syspath_prepend(str(FOLDER))
    sys.modules.pop("run", None)
    from run import execute  # type: ignore[import-not-found]

    executed = [cell for cell in execute(path).cells if cell.cell_type == "code"]
    committed = code_cells(path)
    # The same kinds of outputs in the same order; figures may differ in the last digit between versions. How many pieces
    # printed lines come in is chance, and what a library says on stderr at its first run is not the notebook's.
    for now, before in zip(executed, committed, strict=True):
        kinds = [_kinds(cell.outputs) for cell in (now, before)]
        assert kinds[0] == kinds[1], now.source


def _kinds(outputs: list[Any]) -> list[tuple[str, list[str]]]:
    shown = [(one.output_type, sorted(one.get("data", {}))) for one in outputs if one.get("name") != "stderr"]
    return [kind for kind, _ in groupby(shown)]
