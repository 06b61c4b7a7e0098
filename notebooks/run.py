"""Execute notebooks in place, so that what is committed is what they print: ``python notebooks/run.py [NAME...]``.

The bundled mini models are used unless RERANK_PLUGINS_MODELS says otherwise.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
_TIMEOUT_S = 600


def execute(path: Path) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of a fresh run; a cell that fails raises."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(FOLDER)}}
    # What libraries tell on stderr (bars, hints) is no output of the notebook, and differs from run to run.
    NotebookClient(notebook, timeout=_TIMEOUT_S, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> None:
    """Execute the named notebooks, or all."""
    os.environ.setdefault("RERANK_PLUGINS_MODELS", "mini")
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not sys.argv[1:] or any(name in path.name for name in sys.argv[1:]):
            nbformat.write(execute(path), path)
            sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
