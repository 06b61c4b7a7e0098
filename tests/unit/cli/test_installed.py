"""What other distributions bring to the command line, and what is said where they are not installed."""

from __future__ import annotations

from importlib.metadata import EntryPoint, PackageNotFoundError
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rerank_plugins.cli import installed
from rerank_plugins.cli.installed import add_commands, dataset_of, distributions_of_extras
from rerank_plugins.errors import MissingExtraError

LINES = [
    "numpy>=1.26",
    "torch>=2.5; python_version >= '3.10'",
    'bm25s>=0.2.6; extra == "retrieval"',
    'faiss-cpu>=1.8; extra == "retrieval"',
    'rerank-plugins[retrieval]; extra == "evaluation"',
    "ir-measures>=0.3.7 ; extra == 'evaluation'",
    'langchain-rerank-plugins[classic]; extra == "langchain"',
    'rerank-plugins[evaluation, langchain]; extra == "all"',
]


def with_points(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def found(*, group: str) -> list[EntryPoint]:
        return [one for one in points if one.group == group]

    monkeypatch.setattr("rerank_plugins.catalog.plugins.entry_points", found)


def greet(*, name: str = "world") -> None:
    """Say hello."""
    typer.echo(f"hello {name}")


def app_of_one(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> typer.Typer:
    with_points(monkeypatch, *points)
    app = typer.Typer()
    app.command("other")(lambda: None)
    add_commands(app)
    return app


def test_a_command_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "greet", greet, raising=False)
    point = EntryPoint("hello", "rerank_plugins.cli.installed:greet", installed.COMMANDS_GROUP)
    app = app_of_one(monkeypatch, point)
    assert CliRunner().invoke(app, ["hello", "--name", "you"]).stdout == "hello you\n"
    assert "Say hello." in CliRunner().invoke(app, ["--help"]).stdout


@pytest.mark.parametrize(("name", "value"), [("other", "greet"), ("hello", "COMMANDS_GROUP")])
def test_a_command_that_is_none_or_has_a_name_of_ours_is_skipped(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The first replaced ours; the second broke every command, doctor's too."""
    monkeypatch.setattr(installed, "greet", greet, raising=False)
    point = EntryPoint(name, f"rerank_plugins.cli.installed:{value}", installed.COMMANDS_GROUP)
    with pytest.warns(RuntimeWarning, match="skipped a broken entry point"):
        app = app_of_one(monkeypatch, point)
    assert CliRunner().invoke(app, ["other"]).stdout == ""
    assert CliRunner().invoke(app, ["hello"]).exit_code == 2


@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--model", "mini"], ["demo", "x"]])
def test_without_the_demonstration_its_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    done = CliRunner().invoke(app_of_one(monkeypatch), arguments)
    assert isinstance(done.exception, MissingExtraError)
    assert 'pip install "rerank-plugins[demo]"' in str(done.exception)


def test_data_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    made = object()
    monkeypatch.setattr(installed, "made", lambda: made, raising=False)
    with_points(monkeypatch, EntryPoint("mine", "rerank_plugins.cli.installed:made", installed.DATASETS_GROUP))
    dataset: Any = dataset_of("mine")
    assert dataset is made
    assert dataset_of("other") is None
    with pytest.raises(MissingExtraError, match=r"rerank-plugins\[demo\]"):
        dataset_of("demo")


def test_what_an_extra_brings() -> None:
    assert distributions_of_extras(LINES) == {
        "retrieval": ["bm25s", "faiss-cpu"],
        "evaluation": ["bm25s", "faiss-cpu", "ir-measures"],
        "langchain": ["langchain-rerank-plugins"],
        "all": ["bm25s", "faiss-cpu", "ir-measures", "langchain-rerank-plugins"],
    }


def test_a_source_tree_without_metadata_has_no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installed, "requires", missing)
    assert distributions_of_extras() == {}
