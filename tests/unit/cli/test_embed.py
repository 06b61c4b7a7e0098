"""``rerank-plugins embed``: its options reach the embedder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from rerank_plugins.backends import named
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.catalog.spec import Instruction
from rerank_plugins.cli import app

TEXTS = ["What is a panda?", "It eats bamboo."]


class Lengths(SimpleTextEmbedder):
    """A vector tells how long its text is, instruction included."""

    def __init__(self) -> None:
        instructions = {"usual": Instruction(), "other": Instruction(query="find: ", document="kept, to be found: ")}
        self.spec = embedder_spec("acme/lengths", dimensions=2, normalize=False, instructions=instructions)

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> npt.NDArray[np.float32]:
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "_OPENERS", dict(named._OPENERS))
    named.register_backend("lengths", lambda _: Lengths(), kind="embedder")


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    output = str(tmp_path / "made")
    return ["embed", str(path), "--model", "lengths", "--part-format", "jsonl", "--output", output]


@pytest.mark.parametrize(
    ("options", "before"),
    [
        ([], ""),
        (["--instruction", "other"], "kept, to be found: "),
        (["--instruction", "other", "--queries"], "find: "),
    ],
)
def test_an_instruction_is_a_task_of_the_embedder(
    command: list[str], options: list[str], before: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, [*command, *options])
    assert done.exit_code == 0, done.exception
    (part,) = (tmp_path / "made" / "parts").glob("*.jsonl")
    vectors = [json.loads(line)["embedding"] for line in part.read_text(encoding="utf-8").splitlines()]
    assert vectors == [[len(before + text), 1.0] for text in TEXTS]


def test_a_task_that_the_model_does_not_have_is_told(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "--instruction", "misspelt"])
    assert "has no task 'misspelt'; its tasks: " in str(done.exception)
