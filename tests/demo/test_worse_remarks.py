from __future__ import annotations

from rerank_plugins_demo.stages import Stage, worse_remarks

from rerank_plugins.evaluation import Evaluation


def stage(name: str, *values: float) -> Stage:
    figures = {f"q{n}": value for n, value in enumerate(values)}
    return Stage(name, {}, dict.fromkeys(figures, 1.0), Evaluation({"nDCG@10": figures}))


def test_each_set_that_got_worse_is_told_and_no_other() -> None:
    n = 12
    before = stage("dense", *[0.9] * n, *[0.5] * n, *[0.9] * n)
    after = stage("dense + rerank", *[0.9] * (n - 1), 0.5, *[0.8] * n, *[0.2] * n)
    ids = [f"q{number}" for number in range(3 * n)]
    groups = [("slightly", ids[:n]), ("better", ids[n : 2 * n]), ("clearly", ids[2 * n :])]
    slightly, clearly = worse_remarks(before, after, groups, ["nDCG@10"])
    assert slightly == "slightly: reranking lowered nDCG@10 from 0.900 to 0.867 (within noise, p = 1); 12 questions."
    assert "clearly: reranking lowered nDCG@10 from 0.900 to 0.200 (more than noise" in clearly
