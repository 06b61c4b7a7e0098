"""The demonstration's picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rerank_plugins_demo.chart import save_chart

from rerank_plugins.evaluation.movements import Movement

figures = pytest.importorskip("matplotlib.figure")


@pytest.mark.parametrize("model", ["mini-zh", "BAAI/bge-reranker-v2-m3", "/models/" + "a" * 150])
@pytest.mark.parametrize("n_groups", [1, 3])
def test_the_whole_title_is_in_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_groups: int, model: str
) -> None:
    drawn: list[Any] = []
    save = figures.Figure.savefig

    def noted(figure: Any, *arguments: Any, **options: Any) -> None:
        drawn.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(figures.Figure, "savefig", noted)
    moves = [Movement("q", "a", 3, 1), Movement("q", "b", 1, 2)]
    title = f"Where reranking moves the relevant documents ({model} retrieves, {model} reranks)"
    save_chart({f"set {number}": moves for number in range(n_groups)}, tmp_path / "made.png", title=title, top_k=20)
    place = drawn[0]._suptitle.get_window_extent()
    assert place.x0 >= 0
    assert place.x1 <= drawn[0].bbox.x1
