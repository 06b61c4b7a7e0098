"""What the pages say exists: links, files, commands with their options, make targets, imports."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rerank_plugins.catalog import find_by_name
from rerank_plugins.cli import app
from rerank_plugins.evaluation.grid.plan import GridOptions, ModelChoice
from rerank_plugins.evaluation.measures import parse_measures

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md", "DESIGN.md")),
    *sorted(ROOT.glob("models/*/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("integrations/*/README.md")),
]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]\n]*\]\(<?([^)\s>]+)>?[^)\n]*\)")
FILE = re.compile(r"(?:docs|notebooks|tests|src|models|benchmarks|examples|integrations)/[\w./*-]+")
OURS = ("rerank_plugins", "langchain_rerank_plugins", "llama_index.postprocessor.rerank_plugins")
PROGRAM = "rerank-plugins"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def fenced(text: str) -> list[tuple[str, str]]:
    return [(language, body.replace("\\\n", " ")) for language, body in FENCED.findall(text)]


def spans(text: str) -> list[str]:
    return SPAN.findall(FENCED.sub("", text))


def shell_lines(text: str) -> list[str]:
    """Lines of blocks that are no Python and no output."""
    blocks = [body for language, body in fenced(text) if language in ("", "bash", "sh", "shell", "console")]
    return [line.strip().removeprefix("$ ") for body in blocks for line in body.splitlines()]


def slug(heading: str) -> str:
    """The address that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(text: str, *, folder: Path) -> list[str]:
    broken = []
    for target in LINK.findall(SPAN.sub("", FENCED.sub("", text))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = folder / path
        if path and not file.exists():
            broken.append(target)
        elif anchor:
            page = file.read_text(encoding="utf-8") if path else text
            headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page), flags=re.MULTILINE)
            broken += [] if anchor in map(slug, headings) else [target]
    return broken


def missing_files(text: str, *, folder: Path) -> list[str]:
    named = [span for span in spans(text) if FILE.fullmatch(span)]
    return [name for name in named if not any([*ROOT.glob(name.rstrip("/")), *folder.glob(name.rstrip("/"))])]


def wrong_commands(text: str, **_: object) -> list[str]:
    """Commands in blocks that the program would refuse, and commands or options in running text that it has not."""
    root: Any = typer.main.get_command(app)
    wrong = []
    for line in shell_lines(text):
        if line.split(" ")[0] == PROGRAM:
            problem = refusal(root, shlex.split(line, comments=True)[1:])
            wrong += [f"{line}: {problem}"] if problem else []
    for span in spans(text):
        words = span.split()
        if words[0] != PROGRAM or len(words) < 2:
            continue
        _, command, arguments = named_command(root, words[1:])
        known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} if command else set()
        if command is None or any(word not in known for word in arguments if re.match(r"-{1,2}[a-z]", word)):
            wrong.append(span)
    return wrong


def named_command(root: Any, words: list[str]) -> tuple[str, Any, list[str]]:
    """The name, the command (None if there is none) and its arguments; commands of a group have two names."""
    name, *arguments = words
    command = root.commands.get(name)
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        command = command.commands.get(name)
    return name, command, arguments


def refusal(root: Any, words: list[str]) -> str:
    """Why the program would refuse a line, empty if it would not; nothing is run."""
    name, command, arguments = named_command(root, words)
    if command is None:
        return f"no command {name!r}"
    try:
        parameters = command.make_context(name, arguments).params
        if name == "evaluate":
            check_evaluation(parameters)
    except Exception as error:  # noqa: BLE001 - whatever it is, the line does not work
        return f"{type(error).__name__}: {error}"
    return ""


def check_evaluation(parameters: dict[str, Any]) -> None:
    parse_measures(parameters["measure"] or ["MAP"])
    GridOptions(retrievers=tuple(parameters["retriever"] or ["bm25"]), embedders=("mini",))
    for kind in ("embedder", "reranker"):
        for text in parameters[kind] or []:
            model = ModelChoice.parse(text).model
            if HUB_ID.fullmatch(model) and not model.startswith("path/") and find_by_name(model, kind=kind) is None:
                msg = f"{model} is not in the catalog of {kind}s"
                raise LookupError(msg)


def missing_targets(text: str, **_: object) -> list[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, flags=re.MULTILINE))
    named = [re.match(r"make ([a-z][\w-]*)", one) for one in [*spans(text), *shell_lines(text)]]
    return [match[1] for match in named if match and match[1] not in targets]


def wrong_python(text: str, **_: object) -> list[str]:
    """Blocks that are no Python, and imports of what is not there."""
    wrong = []
    for language, body in fenced(text):
        if language not in ("python", "py"):
            continue
        try:
            tree = compile(body, "block", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            wrong.append(f"{error}")
            continue
        wrong += [".".join(name) for node in ast.walk(tree) for name in imported(node) if not exists(*name)]
    return wrong


def imported(node: ast.AST) -> list[tuple[str, str]]:
    if isinstance(node, ast.Import):
        return [(alias.name, "") for alias in node.names if alias.name.startswith(OURS)]
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS):
        return [(str(node.module), alias.name) for alias in node.names]
    return []


def exists(module: str, name: str) -> bool:
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError:
        return False
    return not name or hasattr(found, name)


CHECKS: dict[str, Callable[..., list[str]]] = {
    "links": broken_links,
    "files": missing_files,
    "commands": wrong_commands,
    "targets": missing_targets,
    "python": wrong_python,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.parametrize("check", CHECKS)
def test_page(page: Path, check: str) -> None:
    if check == "python":
        for module in ("rerank_plugins_mini", "llama_index.core", "langchain_core"):
            pytest.importorskip(module)
    assert CHECKS[check](page.read_text(encoding="utf-8"), folder=page.parent) == []


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ("links", "[a](docs/absent.md)"),
        ("links", "![picture](docs/images/absent.png)"),
        ("links", "# Here\n[a](#there)"),
        ("links", "[a](README.md#no-such-heading)"),
        ("files", "see `docs/absent.md`"),
        ("files", "see `src/rerank_plugins/absent*.py`"),
        ("commands", "```\nrerank-plugins absent\n```"),
        ("commands", "```\nrerank-plugins evaluate demo --absent\n```"),
        ("commands", "```\nrerank-plugins evaluate demo \\\n    --top-k many\n```"),
        ("commands", "```\nrerank-plugins evaluate\n```"),
        ("commands", "```\nrerank-plugins evaluate demo --measure absent@3\n```"),
        ("commands", "```\nrerank-plugins evaluate demo --retriever absent\n```"),
        ("commands", "```\nrerank-plugins evaluate demo --reranker 'mini?absent=1'\n```"),
        ("commands", "```\nrerank-plugins evaluate demo --reranker BAAI/absent\n```"),
        ("commands", "`rerank-plugins absent`"),
        ("commands", "`rerank-plugins models --absent`"),
        ("commands", "`rerank-plugins data absent`"),
        ("commands", "`rerank-plugins data check --absent`"),
        ("commands", "```\nrerank-plugins data convert a.jsonl\n```"),
        ("targets", "`make absent`"),
        ("targets", "```\nmake absent  # comment\n```"),
        ("python", "```python\nfrom rerank_plugins import Absent\n```"),
        ("python", "```python\nimport rerank_plugins.absent\n```"),
        ("python", "```python\nthis is no python\n```"),
    ],
)
def test_a_mistake_is_found(check: str, text: str) -> None:
    assert CHECKS[check](text, folder=ROOT) != []


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ("links", "# A `b`: c!\n[a](#a-b-c) [b](https://x.org/a) `[c](absent.md)` [d](README.md)"),
        ("files", "`docs/*.md` `data/absent` `notebooks/`"),
        (
            "commands",
            '```\nrerank-plugins rank --query "a b" docs.txt  # comment\n```\n`rerank-plugins models --json`',
        ),
        ("commands", "```\nrerank-plugins data convert a.jsonl -o b.jsonl\n```\n`rerank-plugins data check --dev`"),
        ("targets", "make sense, `make test`"),
        ("python", "```python\nfrom rerank_plugins import Reranker\nawait x\n```"),
    ],
)
def test_what_is_right_is_let_through(check: str, text: str) -> None:
    assert CHECKS[check](text, folder=ROOT) == []


def test_the_index_names_every_page_and_notebook() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text(encoding="utf-8"))}
    there = {path.resolve() for path in [*ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb")]} - {index.resolve()}
    assert there <= linked
