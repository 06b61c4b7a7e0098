"""A retriever that does not fit is refused in words, and the one that was there stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.bm25 import BM25Index
from rerank_plugins.retrieval.saved import write_folder
texts = {str(n): f"text {n} " * 40 for n in range(200)}
few = {"0": "one text"}
folder = Path(sys.argv[1]) / "saved"
write_folder(folder, texts=few, first_stage=BM25Index(few), reranker=None, selection={})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    write_folder(folder, texts=texts, first_stage=BM25Index(texts), reranker=None, selection={})
except InvalidInputError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("limit", [10, 5_000])
def test_no_room_leaves_the_retriever_that_was_there(tmp_path: Path, limit: int) -> None:
    pytest.importorskip("bm25s")
    command = [sys.executable, "-c", CODE, str(tmp_path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "(File too large)" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    assert (tmp_path / "saved" / "texts.jsonl").read_text() == '["0", "one text"]\n'
