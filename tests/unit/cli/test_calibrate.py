"""``rerank-plugins calibrate``: pairs or a run in, a file out that a reranker takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank_plugins import Reranker
from rerank_plugins.calibration import Calibration, logits
from rerank_plugins.cli import app
from rerank_plugins.errors import InvalidInputError

PAIRS = [
    {"query": "where is it?", "document": "it is in the old town", "label": 1},
    {"query": "where is it?", "document": "fish live in water", "label": 0},
    {"query": "who was it?", "document": "it was the library", "label": True},
    {"query": "who was it?", "document": "a b c d", "label": False},
]


def calibrate(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    (tmp_path / "qrels.tsv").write_text("q1\ta\t1\nq2\td\t1\n")
    (tmp_path / "run.trec").write_text(
        "q1 Q0 a 1 0.9 x\nq1 Q0 b 2 0.4 x\nq1 Q0 c 3 0.2 x\nq2 Q0 c 1 0.5 x\nq2 Q0 d 2 0.3 x\n"
    )
    return tmp_path / "run.trec"


def test_labelled_pairs_become_a_file_that_the_model_takes(bert_reranker_folder: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "pairs.jsonl", tmp_path / "calibration.json"
    scores = Reranker(bert_reranker_folder).score([(pair["query"], pair["document"]) for pair in PAIRS])
    # This model was not trained, so let the labels follow its scores.
    best = sorted(scores)[-2:]
    lines = [json.dumps({**pair, "label": int(score in best)}) for pair, score in zip(PAIRS, scores, strict=True)]
    path.write_text("\n".join(lines))
    told = calibrate(path, "-m", bert_reranker_folder, "-o", output, "--precision", 1.0, "--recall", 0.5)
    assert "platt on 4 pairs, 2 of them relevant" in told
    assert "threshold for precision 1" in told
    made = Calibration.load(output)
    assert [one.goal for one in made.thresholds] == ["precision", "recall"]
    reranker = Reranker(bert_reranker_folder, calibration=output)
    assert made.source == reranker.score_source


def test_a_threshold_that_no_pairs_allow_costs_no_calibration(run_file: Path, tmp_path: Path) -> None:
    run_file.write_text("q1 Q0 b 1 0.9 x\nq1 Q0 a 2 0.8 x\nq1 Q0 c 3 0.1 x\nq2 Q0 d 1 0.7 x\nq2 Q0 c 2 0.2 x\n")
    output = tmp_path / "c.json"
    with pytest.raises(InvalidInputError, match=r"no threshold .* has precision 1; .* is written to .*c\.json"):
        calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", output, "--precision", 1.0)
    assert Calibration.load(output).thresholds == ()


def test_a_run_that_an_evaluation_kept_has_the_ids_of_the_judgements(run_file: Path, tmp_path: Path) -> None:
    # A run has "%20" where an id has a space; each relevant pair counted as not relevant.
    run_file.write_text(
        "q%201 Q0 a%20b 1 0.9 x\nq%201 Q0 b 2 0.4 x\nq%201 Q0 c 3 0.2 x\nq2 Q0 c 1 0.5 x\nq2 Q0 d 2 0.3 x\n"
    )
    (tmp_path / "qrels.tsv").write_text("q 1\ta b\t1\nq2\td\t1\n")
    calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "--method", "isotonic", "-o", tmp_path / "c.json")
    made = Calibration.load(tmp_path / "c.json")
    assert (made.n_pairs, made.n_relevant, made.parameters[-1]) == (5, 2, (0.9, 1.0))


def test_a_run_with_judgements(run_file: Path, tmp_path: Path) -> None:
    arguments = (run_file, "--qrels", tmp_path / "qrels.tsv", "--method", "isotonic", "-o", tmp_path / "c.json")
    calibrate(*arguments)
    assert Calibration.load(tmp_path / "c.json").parameters[-1] == (0.9, 1.0)
    calibrate(*arguments, "--scores", "probability", "-m", "some/model")
    made = Calibration.load(tmp_path / "c.json")
    assert made.parameters[-1][0] == pytest.approx(logits([0.9])[0])
    assert made.source.model == "some/model"


def test_a_run_of_a_folder_is_bound_to_the_model_in_it(
    run_file: Path, tmp_path: Path, bert_reranker_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bert_reranker_folder.parent)
    for typed in (str(bert_reranker_folder), f"./{bert_reranker_folder.name}", bert_reranker_folder.name):
        calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", tmp_path / "c.json", "-m", typed)
        with Reranker(typed, calibration=tmp_path / "c.json", device="cpu") as reranker:
            assert reranker.calibration is not None
            assert reranker.calibration.source.model == reranker.score_source.model
    (tmp_path / "other").mkdir()
    calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", tmp_path / "c.json", "-m", tmp_path / "other")
    assert Calibration.load(tmp_path / "c.json").source.model == "other"


@pytest.mark.parametrize(
    "typed", ["ensemble:mini,cosine:mini*2,logit", "openai-chat:some-model?method=pointwise", "cosine:mini"]
)
def test_a_run_of_a_backend_is_bound_to_the_name_that_it_has_for_itself(
    run_file: Path, tmp_path: Path, typed: str
) -> None:
    calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", tmp_path / "c.json", "-m", typed)
    with Reranker(typed, calibration=tmp_path / "c.json") as reranker:
        assert reranker.calibration is not None
        assert reranker.calibration.source.model == reranker.score_source.model


@pytest.mark.parametrize("typed", ["cross-encoder/ms-marco-MiniLM-L-6-v2", "Cross-Encoder/ms-marco-minilm-l6-v2"])
def test_a_run_of_a_hub_model_is_bound_to_its_present_id(run_file: Path, tmp_path: Path, typed: str) -> None:
    calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", tmp_path / "c.json", "-m", typed)
    assert Calibration.load(tmp_path / "c.json").source.model == "cross-encoder/ms-marco-MiniLM-L6-v2"


def test_a_run_of_ranks_is_no_calibration(run_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="a calibration cannot be used with 'bm25'"):
        calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", tmp_path / "c.json", "-m", "bm25")
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"query": "a", "document": "b"}', "line 1: expected an object"),
        ('{"query": "a", "document": "b", "label": 2}', "'label' that is 0 or 1"),
        ("nonsense", "line 1: not JSON"),
        ("[]", "expected an object"),
        ("", "both classes"),
    ],
)
def test_pairs_that_cannot_be_read(content: str, message: str, tmp_path: Path) -> None:
    pytest.importorskip("rerank_plugins_mini")
    (tmp_path / "pairs.jsonl").write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        calibrate(tmp_path / "pairs.jsonl", "-o", tmp_path / "c.json")


def test_options_that_do_not_fit(run_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--scores is for runs"):
        calibrate(run_file, "-o", tmp_path / "c.json", "--scores", "probability")
    with pytest.raises(InvalidInputError, match="must be 'raw' or 'probability'"):
        calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", tmp_path / "c.json", "--scores", "logit")
    with pytest.raises(InvalidInputError, match="--device cpu does nothing with --qrels"):
        calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", tmp_path / "c.json", "--device", "cpu")
    with pytest.raises(InvalidInputError, match="could not be read"):
        calibrate(tmp_path / "none.jsonl", "-o", tmp_path / "c.json")


@pytest.mark.parametrize(
    ("options", "match"),
    [(["--method", "magic"], "--method"), (["--precision", 1.5], "--precision"), (["--recall", 0], "--recall")],
)
def test_options_are_refused_before_anything_is_scored(tmp_path: Path, options: list[object], match: str) -> None:
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, PAIRS)))
    with pytest.raises(InvalidInputError, match=match):
        calibrate(tmp_path / "pairs.jsonl", "-m", "misspelt", "-o", tmp_path / "c.json", *options)


def test_folders_on_the_way_are_made(run_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "deeper" / "c.json"
    calibrate(run_file, "--qrels", tmp_path / "qrels.tsv", "-o", output)
    assert Calibration.load(output).method == "platt"


def test_a_file_that_cannot_be_written_or_must_not_be(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)))
    with pytest.raises(InvalidInputError, match="cannot be made"):
        calibrate(path, "-m", "misspelt", "-o", path / "c.json")
    with pytest.raises(InvalidInputError, match="is the file that is read"):
        calibrate(path, "-m", "misspelt", "-o", path)
    assert len(path.read_text().splitlines()) == len(PAIRS)


def test_judgements_are_not_overwritten(run_file: Path, tmp_path: Path) -> None:
    qrels = tmp_path / "qrels.tsv"
    before = qrels.read_text()
    with pytest.raises(InvalidInputError, match="is the file that is read"):
        calibrate(run_file, "--qrels", qrels, "-o", qrels)
    assert qrels.read_text() == before
