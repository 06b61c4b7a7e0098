"""Teacher's scores: which ones, of what, and what stops them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llm_checkpoints import llm_checkpoint
from training_rows import rows, write_rows

from rerank_plugins import LayerOptions, Reranker
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.errors import InvalidInputError, ScoringError
from rerank_plugins.training import LabelSettings, label_records, read_records
from rerank_plugins.training.labelling import standardised
from rerank_plugins.training.row_job import check_job_output
from rerank_plugins.training.row_source import look_at_rows


class Teacher(SimplePairScorer):
    """Scores by a text's length; may fail at a text; remembers what it scored."""

    def __init__(self, *, factor: float = 1.0, bad: str | None = None, revision: str = "1") -> None:
        self.spec = reranker_spec("tests/teacher", revision=revision)
        self.factor, self.bad, self.seen = factor, bad, list[str]()

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self.seen += [text for _, text in pairs]
        return [math.nan if text == self.bad else self.factor * len(text) for _, text in pairs]


def labelled(folder: Path, teachers: Any, data: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    path = write_rows(folder / "data.jsonl", data)
    label_records(LabelSettings(data=(path,), output=folder / "out.jsonl", **options), teachers)
    return [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]


def journal(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "out.jsonl.job.json").read_text())  # type: ignore[no-any-return]


def test_raw_scores_stand_beside_their_texts_and_all_else_is_kept(tmp_path: Path) -> None:
    data = [
        {"query": "q", "pos": ["a", "bb"], "neg": ["ccc"], "pos_ids": ["1", "2"], "neg_ids": ["3"], "prompt": "p"},
        {"query": "r", "pos": ["dddd"], "neg": [], "pos_scores": [9.0], "answers": ["yes"]},
    ]
    made = labelled(tmp_path, Reranker(backend=Teacher()), data)
    assert made == [
        {**data[0], "pos_scores": [1.0, 2.0], "neg_scores": [3.0]},
        {**data[1], "pos_scores": [4.0], "neg_scores": []},
    ]
    assert journal(tmp_path)["counts"] == {"scores": 4, "replaced": 1}


def test_the_scores_of_a_checkpoint_are_its_raw_ones(bert_reranker_folder: Path, tmp_path: Path) -> None:
    data = rows(6)
    made = labelled(tmp_path, bert_reranker_folder, data, batch_pairs=9)
    with Reranker(bert_reranker_folder, device="cpu") as reranker:
        for before, after in zip(data, made, strict=True):
            texts = [*before["pos"], *before["neg"]]
            wanted = reranker.score([(before["query"], text) for text in texts])
            assert [*after["pos_scores"], *after["neg_scores"]] == pytest.approx(wanted, abs=1e-5)


def test_the_layer_of_an_llm_reranker_is_recorded_and_several_are_refused(tmp_path: Path) -> None:
    folder = llm_checkpoint("tiny-minicpm-layerwise")
    with Reranker(folder, device="cpu", layers=LayerOptions(cutoff_layers=(2,)), prompt="Does it answer?") as reranker:
        labelled(tmp_path, reranker, rows(2))
        wanted = reranker.score([(rows(1)[0]["query"], rows(1)[0]["pos"][0])])[0]
    asked = journal(tmp_path)["asked"]
    assert asked["teachers"][0]["settings"]["layers"]["cutoff_layers"] == [2]
    assert asked["teachers"][0]["settings"]["prompt"] == "Does it answer?"
    assert asked["scale"] == asked["teachers"][0]["score_scale"] == "logit"
    assert next(iter(read_records(tmp_path / "out.jsonl"))).pos_scores[0] == pytest.approx(wanted, abs=1e-4)
    several = LayerOptions(cutoff_layers=(3, 4))
    told = r"is to give those of layers \(3, 4\); name one"
    with Reranker(folder, device="cpu", layers=several) as reranker, pytest.raises(InvalidInputError, match=told):
        labelled(tmp_path, reranker, rows(2), restart=True)


def test_several_teachers_are_standardised_for_each_query_and_averaged(tmp_path: Path) -> None:
    data = [{"query": "q", "pos": ["a", "bbbb"], "neg": ["cc", "ccc", "cccccccc"]}]
    teachers = [Reranker(backend=Teacher(factor=1000.0)), Reranker(backend=Teacher(factor=-0.001))]
    lengths = np.array([1.0, 4.0, 2.0, 3.0, 8.0])
    unit = (lengths - lengths.mean()) / lengths.std()
    made = labelled(tmp_path, teachers, data, weights=(3.0, 1.0))[0]
    assert [*made["pos_scores"], *made["neg_scores"]] == pytest.approx(list(0.75 * unit - 0.25 * unit))
    assert journal(tmp_path)["asked"]["scale"] == "standardised"


def test_one_teacher_is_standardised_where_asked_and_a_raw_job_is_another(tmp_path: Path) -> None:
    data = [{"query": "q", "pos": ["aaaa"], "neg": ["a", "aa", "aaaaa"]}]
    made = labelled(tmp_path, Reranker(backend=Teacher(factor=0.01)), data, standardise=True)[0]
    lengths = np.array([4.0, 1.0, 2.0, 5.0])
    wanted = list((lengths - lengths.mean()) / lengths.std())
    assert [*made["pos_scores"], *made["neg_scores"]] == pytest.approx(wanted)
    with pytest.raises(InvalidInputError, match='scale was "standardised", is "logit"'):
        labelled(tmp_path, Reranker(backend=Teacher(factor=0.01)), data)


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [([2.0, 2.0, 2.0], [0, 0, 0]), ([1e12, 1e12 + 1e-4], [0, 0]), ([5.0], [0]), ([0.0, 2.0], [-1, 1])],
)
def test_standardised(scores: list[float], wanted: list[float]) -> None:
    assert list(standardised(np.array(scores))) == wanted


def test_a_nan_stops_with_the_place_and_keeps_the_rows_before(tmp_path: Path) -> None:
    data = rows(9)
    teacher = Teacher(bad=data[5]["neg"][2])
    first = next(number for number, row in enumerate(data) if teacher.bad in (*row["pos"], *row["neg"]))
    with pytest.raises(ScoringError, match=rf"data.jsonl:{first + 1}: .*the {first} rows before are in '.*out.jsonl'"):
        labelled(tmp_path, Reranker(backend=teacher), data)
    assert len(list(read_records(tmp_path / "out.jsonl"))) == first == journal(tmp_path)["rows"]
    mended = Teacher()
    assert len(labelled(tmp_path, Reranker(backend=mended), data)) == 9
    assert len(mended.seen) == 7 * (9 - first)


def test_bad_rows_are_told_before_anything_is_scored(tmp_path: Path) -> None:
    good = {"query": "q", "pos": ["a"], "neg": ["b"]}
    for bad, told in (
        ({**good, "neg": ["b", " "]}, r"data.jsonl:2: neg\[1\] is blank"),
        ({**good, "query": "\n"}, "data.jsonl:2: the query is blank"),
        ({"query": "q", "pos": [], "neg": []}, "data.jsonl:2: there is no text to score"),
        ({**good, "pos_scores": [1, 2]}, "data.jsonl:2: 'pos_scores' has 2 scores for 1 texts"),
        ({"querry": "q", "pos": ["a"], "neg": []}, "data.jsonl:2"),
    ):
        teacher = Teacher()
        with pytest.raises(InvalidInputError, match=told):
            labelled(tmp_path, Reranker(backend=teacher), [good, bad])
        assert not teacher.seen
        assert not (tmp_path / "out.jsonl").exists()


def test_a_finished_job_is_not_done_again_and_another_is_refused(tmp_path: Path) -> None:
    data = rows(5)
    made = labelled(tmp_path, Reranker(backend=Teacher()), data)
    idle = Teacher()
    assert labelled(tmp_path, Reranker(backend=idle), data) == made
    assert not idle.seen
    for teachers, changed, told in (
        (Teacher(revision="2"), data, r"teachers\[0\].revision was \"1\", is \"2\""),
        (Teacher(), rows(6), "rows was "),
        ([Teacher(), Teacher()], data, 'scale was "logit", is "standardised"'),
    ):
        several = teachers if isinstance(teachers, list) else [teachers]
        with pytest.raises(InvalidInputError, match=told):
            labelled(tmp_path, [Reranker(backend=one) for one in several], changed)
    assert len(labelled(tmp_path, Reranker(backend=Teacher(revision="2")), rows(6), restart=True)) == 6


def test_outputs_that_are_something_else_are_left_alone(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", rows(3))
    other = write_rows(tmp_path / "other.jsonl", rows(1))
    (tmp_path / "folder.jsonl").mkdir()
    for name, told in (
        ("data.jsonl", "is the data that is read"),
        ("other.jsonl", "no journal says that this command wrote it"),
        ("folder.jsonl", "is a folder"),
        ("out.jsonl.gz", "would be compressed"),
        ("out.txt", "does not end with .jsonl"),
    ):
        for restart in (False, True):
            settings = LabelSettings(data=(data,), output=tmp_path / name, restart=restart)
            with pytest.raises(InvalidInputError, match=told):
                label_records(settings, Reranker(backend=Teacher()))
    assert len(list(read_records(data))) == 3
    assert len(list(read_records(other))) == 1


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 3.0), (0.0, 0.0), (-1.0, 2.0), (math.nan, 1.0)])
def test_weights_that_weigh_nothing(weights: tuple[float, ...], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="weights="):
        labelled(tmp_path, [Reranker(backend=Teacher()), Reranker(backend=Teacher())], rows(2), weights=weights)


def test_a_pipe_is_refused_because_rows_are_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    settings = LabelSettings(data=(tmp_path / "pipe.jsonl",), output=tmp_path / "out.jsonl")
    with pytest.raises(InvalidInputError, match="is a pipe"):
        label_records(settings, Reranker(backend=Teacher()))
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("n_later", [3, 15])
def test_data_that_change_under_way_are_not_called_whole(tmp_path: Path, n_later: int) -> None:
    path = write_rows(tmp_path / "data.jsonl", rows(12))
    source = look_at_rows([path], format_name=None, problem=lambda _: None)
    assert len(list(source.records(start=4))) == 8
    write_rows(path, rows(n_later))
    with pytest.raises(InvalidInputError, match=f"had 12 rows before the work began and has {n_later} now"):
        list(source.records())


def test_a_folder_with_a_job_in_it_is_data_again(tmp_path: Path) -> None:
    labelled(tmp_path, Reranker(backend=Teacher()), rows(4))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("out.jsonl", "out.jsonl.job.json"):
        (tmp_path / name).rename(folder / name)
    assert len(list(read_records(folder))) == 4
    settings = LabelSettings(data=(folder,), output=folder / "more.jsonl")
    with pytest.raises(InvalidInputError, match="would be one of the files of"):
        label_records(settings, Reranker(backend=Teacher()))
    (folder / "corpus.jsonl").touch()
    check_job_output(folder / "more.jsonl", [folder], restart=False)


def test_keys_that_are_not_read_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labelled(tmp_path, Reranker(backend=Teacher()), [{**one, "my_id": 7} for one in rows(3)])
    assert "not read: key 'my_id', which is not read (3)" in caplog.text


def test_a_journal_of_other_types_is_none(tmp_path: Path) -> None:
    labelled(tmp_path, Reranker(backend=Teacher()), rows(3))
    path = tmp_path / "out.jsonl.job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rows": "2"}))
    with pytest.raises(InvalidInputError, match="no journal says that this command wrote it"):
        labelled(tmp_path, Reranker(backend=Teacher()), rows(3))
