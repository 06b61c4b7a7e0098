"""Variables that huggingface_hub reads at its import: what is wrong with one is told by its name."""

from __future__ import annotations

from pathlib import Path

import hub_caches
import pytest

SCRIPT = """
import json, sys
json.load(sys.stdin)
from typer.testing import CliRunner
from rerank_plugins import Embedder, Reranker
from rerank_plugins.catalog.fetch import folder_from_hub
from rerank_plugins.cli import app
acts = {
    "package": lambda: Reranker("mini", device="cpu").close(),
    "embedder": lambda: Embedder("mini", device="cpu").close(),
    "hub": lambda: Reranker("BAAI/bge-reranker-base"),
    "fetch": lambda: folder_from_hub("a/b", revision=None, local_files_only=True, kind="adapter"),
    "doctor": lambda: CliRunner().invoke(app, ["doctor"], catch_exceptions=False),
}
results = {}
for name, act in acts.items():
    try:
        act()
        results[name] = {"error": "", "message": ""}
    except Exception as error:
        results[name] = {"error": type(error).__name__, "message": str(error)}
print(json.dumps(results))
"""


# Each case is a process that imports torch.
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_HUB_DOWNLOAD_TIMEOUT", "x"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "-1"),
        ("HF_HUB_ETAG_TIMEOUT", ""),
        ("HF_HUB_ETAG_TIMEOUT", "1" + "0" * 30),
    ],
)
def test_a_broken_timeout_is_named(tmp_path: Path, name: str, value: str) -> None:
    found = hub_caches.in_a_process(SCRIPT, {}, cache=tmp_path, HF_HUB_OFFLINE="1", **{name: value})
    assert {result["error"] for result in found.values()} == {"InvalidInputError"}, found
    for result in found.values():
        assert name in result["message"]
        assert "files are damaged" not in result["message"]
    assert len(found) == 5


@pytest.mark.slow
def test_what_huggingface_hub_understands_is_left_alone(tmp_path: Path) -> None:
    found = hub_caches.in_a_process(
        SCRIPT, {}, cache=tmp_path, HF_HUB_OFFLINE="1", HF_HUB_ETAG_TIMEOUT=" 5 ", HF_HUB_DOWNLOAD_TIMEOUT="0"
    )
    errors = {name: result["error"] for name, result in found.items()}
    unavailable = "ModelUnavailableError"
    assert errors == {"package": "", "embedder": "", "hub": unavailable, "fetch": unavailable, "doctor": ""}
