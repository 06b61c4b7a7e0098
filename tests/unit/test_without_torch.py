"""What runs no model works where nothing that runs one is installed; what runs one says which extras there are.

``scorers/test_onnx_runtime.py`` is about machines with ONNX Runtime and no torch. Each case is an interpreter of its
own that refuses to import them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

BLOCKED = """
import sys

blocked = set()

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in blocked or top in {"torch", "transformers", "sentence_transformers", "onnxruntime"}:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)

sys.meta_path.insert(0, Refuse())
"""

NAMES = """
from importlib import import_module

blocked.add("pydantic")
import rerank_plugins
from rerank_plugins.catalog import find_by_name

print(all(getattr(rerank_plugins, name) is not None for name in rerank_plugins.__all__))
for module in ("calibration", "evaluation", "evaluation.grid", "reports", "retrieval", "telemetry", "testing"):
    home = import_module(f"rerank_plugins.{module}")
    print(module, all(hasattr(home, name) for name in home.__all__))
print(find_by_name("bge-reranker-v2-m3", kind="reranker").default_max_length_tokens)
"""


def run(code: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", BLOCKED + dedent(code), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_imports_are_refused() -> None:
    told = run("try:\n    import torch\nexcept ModuleNotFoundError as error:\n    print(error.name)")
    assert told == ["torch"]


def test_names() -> None:
    root, *modules, length = run(NAMES)
    assert root == "True"
    assert len(modules) == 7
    assert all(line.endswith(" True") for line in modules), modules
    assert length == "1024"


def test_results_of_an_evaluation_say_which_extra_reads_and_writes_them() -> None:
    code = """
    blocked.add("pydantic")
    from rerank_plugins.errors import MissingExtraError
    from rerank_plugins.evaluation.results import EvaluationResults

    for use in (EvaluationResults(cells=()).to_json, lambda: EvaluationResults.from_json("{}")):
        try:
            use()
        except MissingExtraError as error:
            print(error)
    """
    told = "'pydantic' is needed and not installed: pip install \"rerank-plugins[evaluation]\""
    assert run(code) == [told, told]


@pytest.mark.parametrize(("name", "model"), [("Reranker", "mini"), ("Embedder", "mini-zh"), ("Reranker", "acme/none")])
def test_a_model_says_which_extras_it_needs(name: str, model: str) -> None:
    pytest.importorskip("rerank_plugins_mini")
    code = f"""
    from rerank_plugins import {name}
    from rerank_plugins.errors import MissingExtraError

    try:
        {name}("{model}")
    except MissingExtraError as error:
        print(error)
    """
    (told,) = run(code)
    assert 'pip install "rerank-plugins[torch]", or "rerank-plugins[onnx]"' in told
    assert told.startswith(repr(model))


@pytest.mark.parametrize(("asked", "extra"), [("torch", "torch"), ("onnx", "onnx")])
def test_a_runtime_that_was_asked_for_says_which_extra_it_needs(asked: str, extra: str) -> None:
    pytest.importorskip("rerank_plugins_mini")
    code = f"""
    from rerank_plugins import Reranker
    from rerank_plugins.errors import MissingExtraError

    try:
        Reranker("mini", backend="{asked}")
    except MissingExtraError as error:
        print(error)
    """
    assert run(code)[0].endswith(f'is needed and not installed: pip install "rerank-plugins[{extra}]"')


@pytest.mark.parametrize("is_named", [True, False])
def test_a_static_embedder_needs_neither(tmp_path: Path, *, is_named: bool) -> None:
    """Whether by its name, or in a folder of any name."""
    mini = pytest.importorskip("rerank_plugins_mini")
    model = "mini" if is_named else str(shutil.copytree(mini.embedder_path(), tmp_path / "model"))
    code = """
    import sys
    from rerank_plugins import Embedder

    rows = Embedder(sys.argv[1]).embed_documents(["pandas eat bamboo", "bamboo", "paris"])
    print(rows.shape, bool(rows[0] @ rows[1] > rows[0] @ rows[2]))
    """
    assert run(code, model) == ["(3, 256) True"]


def test_a_grid_and_a_retriever_without_a_model(tmp_path: Path) -> None:
    pytest.importorskip("bm25s")
    pytest.importorskip("ir_measures")
    code = """
    import sys
    from rerank_plugins import TwoStageRetriever
    from rerank_plugins.evaluation import Dataset, Document
    from rerank_plugins.evaluation.grid import GridOptions, run_evaluation

    texts = {"a": "Berlin is in Germany.", "b": "Paris is the capital of France."}
    retriever = TwoStageRetriever.from_documents(list(texts.values()), retriever="bm25", reranker=None, top_k=1)
    print(retriever.search("capital of France")[0].text)
    documents = {key: Document(text) for key, text in texts.items()}
    data = Dataset(name="two", documents=documents, queries={"q": "capital of France"}, qrels={"q": {"b": 1}})
    found = run_evaluation([data], GridOptions(retrievers=("bm25",), rerankers=()), sys.argv[1])
    print(found.cells[0].measures["nDCG@10"].value)
    """
    assert run(code, str(tmp_path / "grid"))[-2:] == ["Paris is the capital of France.", "1.0"]


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


def test_backends_of_others_rank_and_embed() -> None:
    pytest.importorskip("bm25s")
    code = """
    import asyncio
    from rerank_plugins import Embedder, Reranker, SourceOptions, TwoStageRetriever
    from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
    from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
    from rerank_plugins.errors import MissingExtraError

    class Overlap(SimplePairScorer):
        spec = reranker_spec("acme/overlap")

        def score_texts(self, pairs):
            return [float(len(set(query.split()) & set(document.split()))) for query, document in pairs]

    class Length(SimpleTextEmbedder):
        spec = embedder_spec("acme/length", normalize=False)

        def embed_texts(self, texts, *, is_query):
            return [[len(text), 1] for text in texts]

    texts = ["the louvre is in paris", "pandas eat bamboo", None]
    reranker = Reranker(backend=Overlap())
    print([one.index for one in reranker.rank("what do pandas eat", texts)])
    print(len(asyncio.run(reranker.arank("what do pandas eat", texts, threshold=2, threshold_unit="raw"))))
    retriever = TwoStageRetriever.from_documents(texts[:2], retriever="bm25", reranker=reranker, top_k=2, top_n=1)
    print([one.text for one in retriever.search("pandas in bamboo")])
    print(Embedder(backend=Length()).embed_documents(["ab"]).tolist())
    try:
        Reranker("BAAI/bge-reranker-base", source=SourceOptions(local_files_only=True))
    except MissingExtraError as error:
        print(error)
    """
    *found, needed = run(code)
    assert found == ["[1, 0, 2]", "1", "['pandas eat bamboo']", "[[2.0, 1.0]]"]
    assert 'pip install "rerank-plugins[torch]", or "rerank-plugins[onnx]"' in needed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models",), "BAAI/bge-reranker-v2-m3"),
        (("doctor",), 'pip install "rerank-plugins[torch]"'),
        (("rank", "-", "--query", "q"), 'pip install "rerank-plugins[torch]"'),
    ],
)
def test_commands(arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code = BLOCKED + "from rerank_plugins.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], input="a\nb\n", capture_output=True, text=True)
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_actor_of_a_job_that_asks_a_service(tmp_path: Path) -> None:
    code = """
    import sys

    from rerank_plugins.bulk import ScoreTask
    from rerank_plugins.bulk.on_ray import _Actor

    actor = _Actor(ScoreTask(model="tei:http://127.0.0.1:9"), sys.argv[1], "jsonl", 1)
    print(actor._problem)
    """
    assert run(code, str(tmp_path)) == ["None"]
