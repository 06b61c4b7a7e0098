"""What runs no model works where torch and transformers are not installed; what runs one says which extra it needs.

Each case is an interpreter of its own that refuses to import them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

BLOCKED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in {"torch", "transformers", "sentence_transformers"}:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)

sys.meta_path.insert(0, Refuse())
"""

NAMES = """
import rerank_plugins
from rerank_plugins.catalog import find_by_name
from rerank_plugins.errors import MissingExtraError

for name in rerank_plugins.__all__:
    try:
        getattr(rerank_plugins, name)
    except MissingExtraError as error:
        assert 'pip install "rerank-plugins[torch]"' in str(error), error
        print(name)
print(find_by_name("bge-reranker-v2-m3", kind="reranker").default_max_length_tokens)
"""
RUN_A_MODEL = {"CacheStatistics", "Embedder", "Reranker", "ScoreCache", "TwoStageRetriever"}


def run(code: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", BLOCKED + dedent(code), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_imports_are_refused() -> None:
    told = run("try:\n    import torch\nexcept ModuleNotFoundError as error:\n    print(error.name)")
    assert told == ["torch"]


def test_names() -> None:
    *need_torch, length = run(NAMES)
    assert set(need_torch) <= RUN_A_MODEL
    assert length == "1024"


def test_ranking() -> None:
    code = """
    from rerank_plugins.ranking.order import sorted_indices, to_probability
    from rerank_plugins.retrieval import reciprocal_rank_fusion

    print(sorted_indices([0.5, 2.0, 0.5], blank=[False, False, False]), to_probability(0.0, scale="logit"))
    print(list(reciprocal_rank_fusion([{"a": 2.0, "b": 1.0}, {"b": 5.0, "a": 4.0, "c": 3.0}], weights=[1.0, 2.0])))
    """
    assert run(code) == ["[1, 0, 2] 0.5", "['b', 'a', 'c']"]


def test_calibration(tmp_path: Path) -> None:
    code = """
    import sys
    from rerank_plugins.calibration import Calibration, fit_calibration, fit_threshold, measure_reliability

    scores, labels = [3.0, 2.0, 1.0, 0.0, -1.0, -2.0], [1, 1, 0, 1, 0, 0]
    made = fit_calibration(scores, labels).with_threshold(fit_threshold(scores, labels, precision=1.0))
    read = Calibration.load(made.save(sys.argv[1]))
    print(read == made, read.probability(3.0) > 0.5, measure_reliability([0.25, 0.75], [0, 1]).brier_score)
    """
    assert run(code, str(tmp_path / "calibration.json")) == ["True True 0.0625"]


def test_a_calibration_is_applied_without_scipy_and_fitting_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    make = "import sys\nfrom rerank_plugins.calibration import fit_calibration\n"
    run(f"{make}fit_calibration([1.0, 2.0], [0, 1]).save(sys.argv[1])", str(path))
    code = """
    import sys
    sys.modules["scipy"] = None
    from rerank_plugins.calibration import Calibration, fit_calibration
    from rerank_plugins.errors import MissingExtraError

    print(0.0 < Calibration.load(sys.argv[1]).probability(1.5) < 1.0)
    try:
        fit_calibration([1.0, 2.0], [0, 1])
    except MissingExtraError as error:
        print(error)
    """
    applied, needed = run(code, str(path))
    assert applied == "True"
    assert needed.endswith('pip install "rerank-plugins[calibration]"')


def test_bm25_and_evaluation() -> None:
    pytest.importorskip("bm25s")
    pytest.importorskip("ir_measures")
    code = """
    from rerank_plugins.evaluation import BM25Index, evaluate, retrieve
    from rerank_plugins.evaluation.statistics import bootstrap_estimate, compare_paired

    index = BM25Index({"a": "pandas eat bamboo", "b": "cats eat fish", "c": "paris is in france"})
    run = retrieve(index, {"q": "what do pandas eat", "r": "where is paris"}, top_k=2).run
    found = evaluate(run, {"q": {"a": 1}, "r": {"c": 1}})
    print(list(run["q"])[0], found.mean("nDCG@10"))
    print(bootstrap_estimate([0.0, 1.0]).value, compare_paired([1.0], [1.0]).p_value)
    """
    assert run(code) == ["a 1.0", "0.5 1.0"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("models",), "BAAI/bge-reranker-v2-m3"),
        (("doctor",), 'pip install "rerank-plugins[torch]"'),
        (("rank", "-", "--query", "q"), 'pip install "rerank-plugins[torch]"'),
    ],
)
def test_commands(arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code = BLOCKED + "from rerank_plugins.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], input="a\nb\n", capture_output=True, text=True)
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
