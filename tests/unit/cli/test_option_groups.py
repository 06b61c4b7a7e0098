"""Groups of options: what typer reads, what the command gets, and options that count for nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from rerank_plugins.cli.application import app
from rerank_plugins.cli.option_groups import refuse_without, takes_groups
from rerank_plugins.errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """What is on the brush.

    Not on the floor.
    """

    colour: Annotated[str, typer.Option("--colour", "-c", help="Of the walls.")]
    coats: Annotated[int, typer.Option(min=1)] = 2
    shade: Annotated[list[str] | None, typer.Option()] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glossy(Paint):
    gloss: Annotated[bool, typer.Option("--gloss")] = False


def command_of(kind: type[Paint]) -> tuple[typer.Typer, list[tuple[str, Paint, float]]]:
    seen: list[tuple[str, Paint, float]] = []

    def paint(
        room: Annotated[str, typer.Argument()],
        *,
        paint: Paint,
        hours: Annotated[float, typer.Option()] = 1.5,
    ) -> None:
        """Paint a room."""
        seen.append((room, paint, hours))

    paint.__annotations__["paint"] = kind
    paint.__annotations__ |= {"room": Annotated[str, typer.Argument()], "hours": Annotated[float, typer.Option()]}
    paint.__annotations__["return"] = type(None)
    application = typer.Typer()
    application.command()(takes_groups(paint))
    return application, seen


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["hall", "-c", "red"], ("hall", Paint(colour="red"), 1.5)),
        (
            ["hall", "--colour", "red", "--coats", "3", "--shade", "a", "--shade", "b", "--hours", "2"],
            ("hall", Paint(colour="red", coats=3, shade=["a", "b"]), 2.0),
        ),
    ],
)
def test_each_field_is_an_option_and_the_command_gets_the_group(
    words: list[str], expected: tuple[str, Paint, float]
) -> None:
    application, seen = command_of(Paint)
    found = CliRunner().invoke(application, words)
    assert found.exit_code == 0, found.output
    assert seen == [expected]


def test_fields_of_the_class_that_a_group_builds_on_are_options_too() -> None:
    application, seen = command_of(Glossy)
    assert CliRunner().invoke(application, ["hall", "-c", "red", "--gloss"]).exit_code == 0
    assert seen == [("hall", Glossy(colour="red", gloss=True), 1.5)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hall"], "Missing option"),
        (["hall", "-c", "red", "--coats", "0"], "Invalid value for '--coats'"),
        (["hall", "-c", "red", "--coat", "1"], "No such option"),
    ],
)
def test_typer_checks_the_fields(words: list[str], message: str) -> None:
    application, seen = command_of(Paint)
    found = CliRunner().invoke(application, words)
    assert found.exit_code == 2
    assert message in " ".join(found.output.split())
    assert not seen


def test_the_help_shows_them_under_the_first_line_of_the_groups_docstring() -> None:
    application, _ = command_of(Paint)
    found = CliRunner().invoke(application, ["--help"]).output
    assert "What is on the brush ─" in found
    assert "floor" not in found
    panel = found.partition("What is on the brush")[2]
    assert "--coats" in panel
    assert "--hours" not in panel


def test_settings_of_a_training_stand_under_what_their_classes_are_about() -> None:
    found = CliRunner().invoke(app, ["train", "reranker", "--help"], env={"COLUMNS": "140"}).output
    headings = re.findall(r"^╭─ (.+?) ─+╮$", found, flags=re.MULTILINE)
    assert headings == [
        "Arguments",
        "Options",
        "Where a training starts",
        "What a training of a reranker reads, and how a row becomes a group of pairs",
        "How a training of a reranker runs, and where its result goes",
        "Low-rank adapters",
        "Rerankers with a head on each of their upper layers",
    ]


def test_two_options_of_one_name_are_an_error() -> None:
    def paint(*, first: Paint, coats: Annotated[int, typer.Option()] = 1) -> None:
        """Paint a room."""

    paint.__annotations__ |= {"first": Paint, "coats": Annotated[int, typer.Option()], "return": type(None)}
    with pytest.raises(TypeError, match="coats"):
        takes_groups(paint)


def test_an_option_that_counts_only_with_another_is_refused_away_from_its_default() -> None:
    refuse_without("--walls", Paint(colour="red"), only="coats")
    with pytest.raises(InvalidInputError, match="--coats 3 does nothing without --walls: pass --walls too"):
        refuse_without("--walls", Paint(colour="red", coats=3), only="coats")
    refuse_without("--walls", Paint(colour="red", coats=3), only="shade")
    with pytest.raises(InvalidInputError, match="--colour red does nothing"):
        refuse_without("--walls", Paint(colour="red"))


def test_no_command_has_an_option_twice_and_all_have_help() -> None:
    runner = CliRunner()
    for one in app.registered_commands:
        assert one.callback is not None
        found = runner.invoke(app, [one.callback.__name__.replace("_", "-"), "--help"])
        assert found.exit_code == 0, found.output
