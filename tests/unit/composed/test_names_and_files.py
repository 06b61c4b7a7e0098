"""Cascades and ensembles by name and from files."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from rerank_plugins import Cascade, Ensemble, InvalidInputError, Reranker
from rerank_plugins.backends.named import backend_names
from rerank_plugins.backends.named_files import named_files
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.catalog.weight_headers import BASE_KEY
from rerank_plugins.cli.application import app
from rerank_plugins.composed.members import Member, Stage
from rerank_plugins.composed.naming import cascade_text, ensemble_text, read_cascade, read_ensemble
from rerank_plugins.errors import RerankPluginsError

QUERY = "capital of France"
DOCUMENTS = ["Berlin", "Paris is the capital.", "The capital of France is Paris.", "rivers run", "Lyon is in France"]


def test_the_distribution_registers_its_names() -> None:
    assert {"bm25", "cascade", "cosine", "ensemble"} <= set(backend_names())


@pytest.mark.parametrize(
    ("text", "stages", "budget"),
    [
        ("mini", [Stage("mini")], None),
        ("cosine:mini@200,BAAI/bge@50,300ms", [Stage("cosine:mini", 200), Stage("BAAI/bge", 50)], 300.0),
        ("(ensemble:bm25,cosine:mini)@150, mini", [Stage("ensemble:bm25,cosine:mini", 150), Stage("mini")], None),
        ("a/deep#8@100,a/deep#28@10,0.5ms", [Stage("a/deep", 100, layers=8), Stage("a/deep", 10, layers=28)], 0.5),
    ],
)
def test_a_cascade_is_read_from_text(text: str, stages: list[Stage], budget: float | None) -> None:
    assert read_cascade(text) == (stages, budget)


@pytest.mark.parametrize("budget_ms", [300.0, 1234.567, 0.1 + 0.2, 3_599_999.5, 1e-05])
def test_any_budget_is_part_of_the_name(budget_ms: float) -> None:
    spelled = cascade_text([Stage("mini", 5)], budget_ms=budget_ms)
    assert spelled.is_whole
    assert read_cascade(spelled.text.removeprefix("cascade:")) == ([Stage("mini", 5)], budget_ms)


def test_an_ensemble_is_read_from_text() -> None:
    assert read_ensemble("mini*0.7,bm25,a/b#8*2,logit") == (
        [Member("mini", 0.7), Member("bm25"), Member("a/b", 2.0, layers=8)],
        "logit",
    )
    assert read_ensemble("mini,bm25") == ([Member("mini"), Member("bm25")], None)


def test_the_weights_that_a_member_builds_on_are_among_its_files(tmp_path: Path) -> None:
    files = {name: tmp_path / name / "model.safetensors" for name in ("base", "tuned")}
    for name, file in files.items():
        file.parent.mkdir()
        save_file({"w": np.zeros(2)}, file, metadata={BASE_KEY: "base"} if name == "tuned" else None)
    name = f"ensemble:{tmp_path / 'tuned'},bm25"
    before = named_files(name, kind="reranker")
    assert named_files(name, kind="reranker") == before
    save_file({"w": np.zeros(3)}, files["base"])
    assert named_files(name, kind="reranker") != before


@pytest.mark.parametrize("text", ["", "mini@5,,mini", "(mini@5", "mini)@5", "mini@0"])
def test_text_that_is_no_cascade_is_told(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Reranker(f"cascade:{text}")


def test_a_name_opens_what_the_object_is() -> None:
    with Cascade([("cosine:mini", 4), ("mini", 2)], budget_ms=30_000) as made, Reranker(made.model) as named:
        assert made.is_named
        assert made.model == "cascade:cosine:mini@4,mini@2,30000ms"
        assert named.spec == made.spec
        assert [one.index for one in named.rank(QUERY, DOCUMENTS)] == [one.index for one in made.rank(QUERY, DOCUMENTS)]
    with Ensemble([("mini", 0.5), "cosine:mini"], fusion="probability") as made, Reranker(made.model) as named:
        assert made.model == "ensemble:mini*0.5,cosine:mini,probability"
        assert read_ensemble("mini*1e+20,mini*1e-09")[0] == [Member("mini", 1e20), Member("mini", 1e-9)]
        assert named.spec == made.spec
        assert named.rank(QUERY, DOCUMENTS) == made.rank(QUERY, DOCUMENTS)


@pytest.mark.parametrize(
    "how", [{"options": {"max_length": 64}}, {"min_probability": 0.1}], ids=["options", "min_probability"]
)
def test_what_a_name_cannot_say_is_not_named(how: dict[str, Any]) -> None:
    with Cascade(["cosine:mini", Stage("mini", **how)]) as made:
        assert not made.is_named


NAMES = [
    "mini",
    "a(b",
    "a)b",
    "a(b)",
    "a)b(c",
    "a),b(c",
    "(a",
    "a,b",
    "a, b",
    "300ms",
    "rrf",
    "x*2",
    "x@5",
    "tei:http://h#m",
    "v1.yaml",
    " a",
    "a ",
    "a\\b",
    "5",
    "((a))",
    ",",
    "()",
]


@pytest.mark.parametrize("first", NAMES)
def test_a_text_that_says_it_is_whole_is_read_back(first: str) -> None:
    """Folders may be called anything; "cascade:a(b,mini" called itself a name, and no one could read it."""
    for last, depth, budget_ms in itertools.product(NAMES, (5, None), (None, 300.0, 1234567.5)):
        stages = [Stage(first, 9), Stage(last, depth)]
        spelled = cascade_text(stages, budget_ms=budget_ms)
        if spelled.is_whole:
            text = spelled.text.removeprefix("cascade:")
            assert not text.endswith((".json", ".yaml", ".yml", ".toml"))
            assert read_cascade(text) == (stages, budget_ms)
    for last, weight in itertools.product(NAMES, (1.0, 0.25, 1e-9)):
        members = [Member(first, weight), Member(last)]
        made = ensemble_text(members, fusion="rrf", is_plain=True)
        if made.is_whole:
            assert read_ensemble(made.text.removeprefix("ensemble:")) == (members, "rrf")
        assert not ensemble_text(members, fusion="rrf", is_plain=False).is_whole


@pytest.mark.parametrize(
    "name", ["mini", "a(b)", "a,b", "(ensemble:bm25,mini)", "x@5", "x*2", "tei:http://h#m", "a)b(c"]
)
def test_names_that_can_be_read_back_are_whole(name: str) -> None:
    assert cascade_text([Stage(name, 9), Stage("mini", 5)], budget_ms=300.0).is_whole
    assert ensemble_text([Member(name, 0.5), Member("mini")], fusion="logit", is_plain=True).is_whole


@pytest.mark.parametrize("name", ["a(b", "a)b", "(a", "a),b(c", "a ", "v1.yaml"])
def test_names_that_break_the_text_are_not_whole(name: str) -> None:
    assert not cascade_text([Stage("mini", 9), Stage(name)], budget_ms=None).is_whole
    is_end = name.endswith(".yaml")  # behind which an ensemble has its fusion
    assert ensemble_text([Member("mini"), Member(name)], fusion="logit", is_plain=True).is_whole == is_end


def test_a_folder_that_breaks_the_text_is_not_named(checkpoints: Path, tmp_path: Path) -> None:
    for name in ("a(b", "a(b)"):
        folder = tmp_path / name
        folder.symlink_to(checkpoints / "bert-reranker")
        with Cascade([(str(folder), 5), (str(folder), 2)]) as made:
            assert made.is_named == (name == "a(b)")
            if made.is_named:
                with Reranker(made.model) as named:
                    assert list(named.rank(QUERY, DOCUMENTS)) == list(made.rank(QUERY, DOCUMENTS))
                continue
            with pytest.raises(InvalidInputError, match="parenthesis that is not closed"):
                Reranker(made.model)
            with pickle.loads(pickle.dumps(made)) as again:
                assert list(again.rank(QUERY, DOCUMENTS)) == list(made.rank(QUERY, DOCUMENTS))


def _written(file: Path, depth: int, **more: Any) -> None:
    file.write_text(json.dumps({"stages": [{"model": "cosine:mini", "depth": depth, **more}]}), encoding="utf-8")


def _depth_of(name: str) -> int | None:
    reranker = Reranker(name)  # not closed: what nobody holds stays in memory, and is found again by its name
    return reranker._lease.value.backend.stages[0].depth  # type: ignore[no-any-return]


def test_a_name_means_what_its_file_says_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    _written(Path("cascade.json"), 5)
    _written(Path("other/cascade.json"), 7)
    assert _depth_of("cascade:cascade.json") == 5
    _written(Path("cascade.json"), 16)
    assert _depth_of("cascade:cascade.json") == 16
    monkeypatch.chdir(tmp_path / "other")
    assert _depth_of("cascade:cascade.json") == 7
    Path("outer.json").write_text(json.dumps({"stages": [{"model": "cascade:cascade.json"}]}), encoding="utf-8")
    first, again = Reranker("cascade:outer.json"), Reranker("cascade:outer.json")
    _written(Path("cascade.json"), 18)
    later = Reranker("cascade:outer.json")
    assert first._lease.value is again._lease.value
    assert first._lease.value is not later._lease.value


def test_a_name_means_the_models_and_calibrations_that_are_there_now(checkpoints: Path, tmp_path: Path) -> None:
    folder, calibration = tmp_path / "model", tmp_path / "calibration.json"
    shutil.copytree(checkpoints / "bert-reranker", folder)
    fit_calibration([-1.0, 0.0, 1.0, 2.0] * 9, [0, 0, 1, 1] * 9).save(calibration)
    (tmp_path / "c.json").write_text(
        json.dumps({"members": [{"model": str(folder)}, {"model": "cosine:mini", "calibration": str(calibration)}]}),
        encoding="utf-8",
    )
    for name in (f"ensemble:{tmp_path}/c.json", f"cascade:{folder}@5"):
        before = named_files(name, kind="reranker")
        assert named_files(name, kind="reranker") == before
        os.utime(folder / "config.json", (1, 1))
        changed = named_files(name, kind="reranker")
        assert changed != before
        os.utime(folder / "config.json", (2, 2))
    before = named_files(f"ensemble:{tmp_path}/c.json", kind="reranker")
    os.utime(calibration, (1, 1))
    assert named_files(f"ensemble:{tmp_path}/c.json", kind="reranker") != before
    assert named_files("cascade:cosine:mini@5,bm25", kind="reranker") == ()


def test_a_file_that_names_itself_is_told(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    for itself in (one, other):
        one.write_text(json.dumps({"stages": [{"model": f"ensemble:{other}"}, {"model": "mini"}]}))
        other.write_text(json.dumps({"members": [{"model": "bm25"}, {"model": f"cascade:{itself}"}]}))
        for name in (f"cascade:{one}", f"ensemble:{other}"):
            with pytest.raises(RerankPluginsError, match="names itself as one of its"):
                Reranker(name)
    for inside in (f"ensemble:(cascade:{one}),bm25", f"cascade:(ensemble:(cascade:{one}),bm25)@5,bm25@3"):
        one.write_text(json.dumps({"stages": [{"model": "bm25"}, {"model": inside}]}))
        with pytest.raises(RerankPluginsError, match="names itself as one of its"):
            Reranker(f"cascade:{one}")
    # One that is named twice is none.
    other.write_text(json.dumps({"members": [{"model": "bm25"}, {"model": "bm25"}]}))
    one.write_text(json.dumps({"stages": [{"model": f"ensemble:{other}"}, {"model": f"ensemble:{other}"}]}))
    Reranker(f"cascade:{one}").close()


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".toml"])
def test_a_file_says_everything(tmp_path: Path, suffix: str) -> None:
    if suffix == ".toml" and sys.version_info < (3, 11):
        pytest.skip("Python 3.10 reads no TOML")
    calibration = fit_calibration([-1.0, 0.0, 1.0, 2.0] * 9, [0, 0, 1, 1] * 9).save(tmp_path / "mini.json")
    file = tmp_path / f"cascade{suffix}"
    content = {
        "budget_ms": 30_000,
        "stages": [
            {"model": "cosine:mini", "depth": 4},
            {"model": "mini", "depth": 3, "min_probability": 0.01, "calibration": "mini.json", "max_length": 64},
        ],
    }
    if suffix == ".toml":
        file.write_text(
            'budget_ms = 30000\n[[stages]]\nmodel = "cosine:mini"\ndepth = 4\n[[stages]]\nmodel = "mini"\ndepth = 3\n'
            'min_probability = 0.01\ncalibration = "mini.json"\nmax_length = 64\n',
            encoding="utf-8",
        )
    else:
        file.write_text(json.dumps(content), encoding="utf-8")
    with Cascade.from_file(file) as cascade, Reranker(f"cascade:{file}") as named:
        assert cascade.budget_ms == 30_000
        assert cascade.stages == (
            Stage("cosine:mini", 4),
            Stage("mini", 3, min_probability=0.01, calibration=str(calibration), options={"max_length": 64}),
        )
        assert named.rank(QUERY, DOCUMENTS) == cascade.rank(QUERY, DOCUMENTS)


def test_an_ensemble_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ensemble.json"
    members = [{"model": "mini", "weight": 0.7}, {"model": "cosine:mini"}]
    file.write_text(json.dumps({"members": members, "fusion": "logit", "bias": 0.5}), encoding="utf-8")
    with Ensemble.from_file(file) as made, Reranker(f"ensemble:{file}") as named:
        assert made.members == (Member("mini", 0.7), Member("cosine:mini"))
        assert named.rank(QUERY, DOCUMENTS) == made.rank(QUERY, DOCUMENTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "must hold stages"),
        ("{}", "must hold stages"),
        ('{"stages": ["mini"]}', "each with a model"),
        ('{"stages": [{"model": "mini"}], "budget": 3}', "'budget'"),
        ('{"stages": []}', "stages is empty"),
        ("{", "could not be read"),
    ],
)
def test_a_file_that_says_something_else_is_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "cascade.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=said):
        Cascade.from_file(file)
    with pytest.raises(InvalidInputError, match="could not be read"):
        Cascade.from_file(tmp_path / "none.json")


def test_keys_of_a_yaml_file_that_are_no_words_are_told(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "cascade.yaml"
    file.write_text("300: ms\nbudget: 3\nstages: [{model: mini}]\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"got .?300"):
        Cascade.from_file(file)


def test_the_command_line_takes_its_name(tmp_path: Path) -> None:
    file = tmp_path / "documents.txt"
    file.write_text("\n".join(DOCUMENTS), encoding="utf-8")
    name = "cascade:cosine:mini@4,mini@2"
    done = CliRunner().invoke(app, ["rank", str(file), "--query", QUERY, "--model", name])
    assert done.exit_code == 0, done.output
    assert done.stdout.index("The capital of France") < done.stdout.index("Berlin")


@pytest.mark.parametrize("name", ["cosine:", "bm25:x"])
def test_first_looks_say_how_they_are_written(name: str) -> None:
    with pytest.raises(InvalidInputError, match="write "):
        Reranker(name)


def test_the_cosine_is_that_of_the_embedder() -> None:
    from rerank_plugins import Embedder

    with Reranker("cosine:mini") as reranker, Embedder("mini") as embedder:
        expected = embedder.embed_documents(DOCUMENTS) @ embedder.embed_queries([QUERY])[0]
        assert reranker.score([(QUERY, one) for one in DOCUMENTS]) == pytest.approx(expected.tolist(), abs=1e-6)
        pairs = [("rivers", "rivers run"), (QUERY, "rivers run"), ("rivers", "Berlin")]
        alone = [reranker.score([pair])[0] for pair in pairs]
        assert reranker.score(pairs) == pytest.approx(alone, abs=1e-6)


def test_bm25_is_counted_among_the_candidates_of_each_query() -> None:
    pytest.importorskip("bm25s")
    with Reranker("bm25") as reranker:
        assert reranker.rank("France rivers", DOCUMENTS)[0].index == 3
        assert set(reranker.score([("nothing here", "a b"), ("nothing here", "c d")])) == {0.0}
        both = reranker.score([("rivers", "rivers run"), ("paris", "paris now"), ("rivers", "no"), ("paris", "no")])
        assert both[0] == both[1] > both[2] == both[3] == 0.0
