"""Scorers by name: ours, and those that other packages register."""

from __future__ import annotations

import pytest

from rerank_plugins.catalog import plugins
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.scorers import SCORERS, scorer_loader


class FakeEntryPoint:
    group, name, value, dist = "rerank_plugins.scorers", "third-party", "somewhere:load", None

    def load(self) -> object:
        return load_third_party


def load_third_party() -> None:
    """Stands for another package's loader."""


@pytest.mark.parametrize("name", SCORERS)
def test_every_named_scorer_has_a_loader(name: str) -> None:
    assert callable(scorer_loader(name))


def test_another_package_adds_a_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [FakeEntryPoint()])
    assert scorer_loader("third-party") is load_third_party


def test_an_unknown_scorer_lists_the_known() -> None:
    with pytest.raises(UnsupportedModelError, match=r"'nothing'.*cross-encoder"):
        scorer_loader("nothing")
