"""The README's Python examples run as they stand and print what they say."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)


def examples() -> list[tuple[str, str, str]]:
    found = []
    for name in ("README.md", "README.zh.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found += [(f"{name}-{index}", *match) for index, match in enumerate(EXAMPLE.findall(text))]
    return found


def test_both_readmes_have_an_example_for_each_framework() -> None:
    for name in ("README.md", "README.zh.md"):
        code = "".join(code for where, code, printed in examples() if where.startswith(name) and printed)
        assert "llama_index" in code
        assert "langchain" in code


@pytest.mark.parametrize(("where", "code", "printed"), examples(), ids=lambda value: value[:14])
def test_example(where: str, code: str, printed: str) -> None:
    for module in ("rerank_plugins_mini", "llama_index.core", "langchain_classic"):
        pytest.importorskip(module)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, where, "exec"), {})
    assert output.getvalue() == printed
