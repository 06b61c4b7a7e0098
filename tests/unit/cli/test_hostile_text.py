"""Nothing that a document, a file name or a model's name holds reaches the terminal as a control character."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import rerank_plugins
from rerank_plugins.cli import main
from rerank_plugins.display.terminal import Screen, json_text, visible

BAD = "\x1b[31mred\x1b]8;;http://x.org\x1b\\link\x07\x9b2J\r\u202egnp\u2066 [bold]x[/bold] :smile:"
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
ROOT = Path(rerank_plugins.__file__).parent
DEMO = Path(__file__).parents[3] / "demo" / "src" / "rerank_plugins_demo"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["rerank-plugins", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["rank", "{docs}", "-q", BAD],
        ["rank", "{docs}", "-q", BAD, "--json"],
        ["rank", "absent" + BAD, "-q", "x"],
        ["rank", "{docs}", "-q", "x", "--model", BAD],
        ["rank", "{docs}", "-q", "x", "--device", BAD],
        ["rank", "{docs}", "-q", "x", "--threshold-unit", BAD],
        ["rank", "{docs}", "-q", "x", "--cutoff-layers", BAD],
        ["score", "absent" + BAD, "-o", "{out}"],
        ["score", "{docs}", "-o", "{out}"],
        ["score", "{docs}", "--long-documents", BAD],
        ["models", "--kind", BAD],
        ["models", "--absent" + BAD],
        ["doctor", "--model", BAD],
        ["evaluate", "absent" + BAD],
        ["evaluate", "demo", "--retriever", BAD],
        ["evaluate", "demo", "--reranker", f"mini?{BAD}=1"],
        ["evaluate", "demo", "--measure", BAD],
        ["report", "absent" + BAD, "-o", "{out}"],
        ["calibrate", "absent" + BAD, "-o", "{out}"],
        ["demo", "--top-k", BAD],
        [BAD],
    ],
    ids=lambda arguments: " ".join(arguments).split("\x1b")[0],
)
def test_no_command_lets_it_through(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerank_plugins_mini")
    docs, out = tmp_path / "docs.txt", tmp_path / "out"
    docs.write_bytes(f"a document {BAD}\nanother\n".encode())
    run(
        monkeypatch,
        *(one.format(docs=docs, out=out) if "{docs}" in one or "{out}" in one else one for one in arguments),
    )
    shown = capfd.readouterr()
    assert shown.out + shown.err
    assert not HIDDEN.search(shown.out + shown.err)
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("make", [str, Text, lambda text: _table(text), lambda text: _table(Text(text))])
def test_a_screen_spells_out_whatever_is_printed(make: object) -> None:
    screen = Screen(width=200)
    screen.file = io.StringIO()
    screen.print(make(BAD))  # type: ignore[operator]
    shown = screen.file.getvalue()
    assert not HIDDEN.search(shown)
    assert "[bold]x[/bold] :smile:" in shown


def test_json_keeps_the_text_and_hides_nothing() -> None:
    text = json_text({"a": BAD}, only_ascii=False)
    assert json.loads(text) == {"a": BAD}
    assert not HIDDEN.search(text)
    assert visible("tab\tline\nend é 中 👩‍💻") == "tab\tline\nend é 中 👩‍💻"


def test_nothing_prints_beside_the_screen() -> None:
    for path in [*ROOT.glob("cli/*.py"), *DEMO.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "rich.console":
                assert "Console" not in [one.name for one in node.names], path


def _table(cell: object) -> Table:
    table = Table("a", title=BAD)
    table.add_row(cell)  # type: ignore[arg-type]
    return table
