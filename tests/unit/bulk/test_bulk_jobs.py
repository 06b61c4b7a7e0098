"""A job leaves each row exactly once, whatever was killed in between, and never mixes with another job."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerank_plugins import Embedder, Reranker
from rerank_plugins.bulk import BulkJob, EmbedTask, RayPool, ScoreTask, run_job
from rerank_plugins.bulk.inputs import Row
from rerank_plugins.bulk.outputs import Columns, write_part
from rerank_plugins.bulk.tasks import RowWorker
from rerank_plugins.errors import (
    InvalidInputError,
    ModelUnavailableError,
    RemoteUnavailableError,
    RerankPluginsError,
)


@dataclass(frozen=True, kw_only=True)
class LengthTask:
    """Counts characters: a task without a model. It writes each row that it is given to a file."""

    seen: str
    breaks_at: int = -1
    columns: tuple[str, ...] = ("id", "text")

    @property
    def identity(self) -> dict[str, Any]:
        return {"task": "length"}

    @contextmanager
    def opened(self) -> Iterator[RowWorker]:
        def count(rows: Sequence[Row]) -> Columns:
            with Path(self.seen).open("a") as seen:
                seen.writelines(f"{row['id']}\n" for row in rows)
            if any(row["id"] == self.breaks_at for row in rows):
                os.kill(os.getpid(), signal.SIGKILL)
            return {"id": [row["id"] for row in rows], "length": [len(row["text"]) for row in rows]}

        yield count


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": number, "text": "x" * number}) + "\n" for number in range(20)))
    return path


def job_of(rows: Path, **task: Any) -> BulkJob:
    folder = rows.parent
    task_of = LengthTask(seen=str(folder / "seen"), **task)
    return BulkJob(task=task_of, inputs=(rows,), output=folder / "job", part_format="jsonl", rows_per_block=3)


def result_of(job: BulkJob) -> list[dict[str, Any]]:
    with job.opened() as folder:
        return [json.loads(line) for part in folder.parts() for line in part.read_text().splitlines()]


EXPECTED = [{"id": number, "length": number} for number in range(20)]

KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_bulk_jobs import job_of
from rerank_plugins.bulk import run_job
with job_of(Path(sys.argv[2]), breaks_at=int(sys.argv[3])).opened() as folder:
    run_job(folder)
"""


def test_a_job_that_was_killed_twice_leaves_each_row_once(rows: Path) -> None:
    for breaks_at in (4, 13):
        command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(rows), str(breaks_at)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    job = job_of(rows)
    with job.opened() as folder:
        assert run_job(folder) == 3
        assert run_job(folder) == 0
    assert result_of(job) == EXPECTED
    seen = (rows.parent / "seen").read_text().split()
    # Only the blocks in which it was killed ran twice.
    assert sorted(seen, key=int) == sorted([*map(str, range(20)), "3", "4", "5", "12", "13", "14"], key=int)


def test_another_job_in_the_folder_is_refused_until_restart(rows: Path) -> None:
    job = job_of(rows)
    with job.opened() as folder:
        run_job(folder)
    other = replace(job, rows_per_block=4)
    with pytest.raises(InvalidInputError, match="blocks was 7 and is 5; rows_per_block was 3 and is 4"), other.opened():
        pass
    rows.write_text(rows.read_text() + '{"id": 20, "text": ""}\n')
    with (
        pytest.raises(InvalidInputError, match=r"inputs: .*rows.jsonl was \d+ and is \d+; rows was 20 and is 21"),
        job.opened(),
    ):
        pass
    with other.opened(restart=True) as folder:
        assert folder.parts() == []
        run_job(folder)
    assert len(result_of(other)) == 21


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_rows_that_changed_in_place_are_another_job(tmp_path: Path, suffix: str) -> None:
    """A file of as many bytes as before may hold other rows."""
    path = tmp_path / f"rows.{suffix}"

    def write(text: str) -> int:
        rows = [{"id": number, "text": text} for number in range(20)]
        if suffix == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(rows), path)
        return path.stat().st_size

    job, size = job_of(path), write("abc")
    with job.opened() as folder:
        run_job(folder)
    assert write("xyz") == size
    with pytest.raises(InvalidInputError, match=r"sha256: .*rows\.(jsonl|parquet) was \w+ and is"), job.opened():
        pass
    write("abc")
    with job.opened() as folder:
        assert folder.pending() == []


def test_a_job_in_its_own_input_goes_on_and_new_files_make_it_another(tmp_path: Path) -> None:
    """The parts of a job that lie below its input are no rows of it, and files of one name in two folders are two."""
    for number, name in enumerate(("rows.jsonl", "2023/rows.jsonl", "2024/rows.jsonl")):
        lines = [f'{{"id": {one}, "text": ""}}\n' for one in range(number * 4, number * 4 + 4)]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("".join(lines))
    task = LengthTask(seen=str(tmp_path / "seen"))
    output = tmp_path / "2024" / "job"
    job = BulkJob(task=task, inputs=(tmp_path,), output=output, part_format="jsonl", rows_per_block=3)
    with job.opened() as folder:
        assert run_job(folder) == 6
    (output / "parts" / "part-00000004.jsonl").unlink()
    with job.opened() as folder:
        assert run_job(folder) == 1
    assert result_of(job) == [{"id": number, "length": 0} for number in range(12)]
    (tmp_path / "2023" / "more.jsonl").write_text('{"id": 12, "text": ""}\n')
    with pytest.raises(InvalidInputError, match="rows was 12 and is 13"), job.opened():
        pass


def test_files_in_another_order_are_another_job(tmp_path: Path) -> None:
    """Parts are numbered through all files: the rows of one stood there twice, and those of the other never."""
    for name, first in (("a", 0), ("b", 10)):
        lines = [f'{{"id": {one}, "text": ""}}\n' for one in range(first, first + 10)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    files = (tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    job = replace(job_of(tmp_path / "rows"), inputs=files, rows_per_block=5)
    with job.opened() as folder, folder.task.opened() as worker:
        for block in folder.blocks[:2]:
            folder.run(block, worker)
    other = replace(job, inputs=files[::-1])
    with pytest.raises(InvalidInputError, match="inputs are in another order"), other.opened():
        pass
    with job.opened() as folder:
        assert run_job(folder) == 2
    assert [row["id"] for row in result_of(job)] == list(range(20))


def test_another_job_is_told_by_its_files(tmp_path: Path) -> None:
    rows = tmp_path / "in" / "a.jsonl"
    rows.parent.mkdir()
    rows.write_text('{"id": 1, "text": ""}\n')
    job = replace(job_of(rows), inputs=(rows.parent,), output=tmp_path / "job")
    with job.opened() as folder:
        run_job(folder)
    (tmp_path / "in" / "s").mkdir()
    (tmp_path / "in" / "s" / "b.jsonl").write_text('{"id": 2, "text": ""}\n')
    with pytest.raises(InvalidInputError, match=r"inputs: .*s/b\.jsonl is new"), job.opened():
        pass
    (tmp_path / "in" / "s" / "b.jsonl").unlink()
    rows.rename(tmp_path / "in" / "c.jsonl")
    with (
        pytest.raises(InvalidInputError, match=r"inputs: .*c\.jsonl is new, .*a\.jsonl is no longer there\)"),
        job.opened(),
    ):
        pass


@pytest.mark.parametrize("content", [b"[1]", b"no JSON", b"\xff", b"[" * 100_000, b'{"inputs": 5}'])
def test_a_description_that_is_none(rows: Path, content: bytes) -> None:
    job = job_of(rows)
    with job.opened() as folder:
        run_job(folder)
    (job.output / "job.json").write_bytes(content)
    with pytest.raises(InvalidInputError, match="or restart"), job.opened():
        pass


def test_a_folder_with_something_else_stays_as_it_is(rows: Path) -> None:
    (rows.parent / "job").mkdir()
    (rows.parent / "job" / "thesis.txt").write_text("years of work")
    with pytest.raises(InvalidInputError, match="something that is no job"), job_of(rows).opened(restart=True):
        pass
    assert (rows.parent / "job" / "thesis.txt").read_text() == "years of work"


def test_two_processes_do_not_run_one_job(rows: Path) -> None:
    job = job_of(rows)
    with job.opened() as folder:
        run_job(folder)
        for restart in (False, True):
            with (
                pytest.raises(InvalidInputError, match="being written by another process"),
                job.opened(restart=restart),
            ):
                pass
        assert len(folder.parts()) == 7


def test_parts_that_somebody_removed_are_made_again(rows: Path) -> None:
    job = job_of(rows)
    with job.opened() as folder:
        run_job(folder)
    shutil.rmtree(job.output / "parts")
    with job.opened() as folder:
        assert run_job(folder) == 7
    assert result_of(job) == EXPECTED


def test_an_output_that_is_a_file(rows: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be made"), replace(job_of(rows), output=rows).opened():
        pass


@pytest.mark.parametrize("name", ["score", "probability"])
def test_a_kept_column_does_not_hide_one_that_is_made(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"keep='{name}' is the name of a column that is made"):
        ScoreTask(model="mini", keep=("id", name))
    with pytest.raises(InvalidInputError, match="keep='embedding'"):
        EmbedTask(model="mini", keep=("embedding",))


@dataclass(frozen=True, kw_only=True)
class SetTask(LengthTask):
    """Gives what no format has a place for."""

    @contextmanager
    def opened(self) -> Iterator[RowWorker]:
        yield lambda rows: {"id": [{row["id"]} if row["id"] % 2 else row["id"] for row in rows]}


@dataclass(frozen=True, kw_only=True)
class CopyTask:
    """Copies columns."""

    keep: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.keep

    @property
    def identity(self) -> dict[str, Any]:
        return {"task": "copy"}

    @contextmanager
    def opened(self) -> Iterator[RowWorker]:
        yield lambda rows: {name: [row[name] for row in rows] for name in self.keep}


def test_parts_have_the_types_of_the_input(tmp_path: Path) -> None:
    """A block of nothing but nulls was of no type, and all parts together could not be read."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {
            "id": arrow.array([None, None, 2, 3], arrow.int32()),
            "tags": arrow.array([[], [], ["a"], None]),
            "kind": arrow.array(["a", None, "b", "a"]).dictionary_encode(),
            "made": arrow.array([None, None, {"by": "x"}, None]),
        }
    )
    parquet.write_table(table, tmp_path / "rows.parquet")
    task = CopyTask(keep=tuple(table.column_names))
    job = BulkJob(task=task, inputs=(tmp_path / "rows.parquet",), output=tmp_path / "job", rows_per_block=2)
    with job.opened() as folder:
        run_job(folder)
    written = parquet.read_table(tmp_path / "job" / "parts")
    assert written.schema.equals(parquet.read_schema(tmp_path / "rows.parquet"))
    assert written.to_pylist() == table.to_pylist()


@pytest.mark.parametrize("value", ["1e400", "NaN", "-Infinity", '{"a": [1e999]}'])
def test_a_number_that_json_has_no_place_for_names_its_row(tmp_path: Path, value: str) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"id": {one}, "text": ""}}\n' for one in [*range(7), value, 8]))
    job = job_of(rows)
    with job.opened() as folder, pytest.raises(InvalidInputError, match=r"rows 7 to 9: .* as jsonl \(row 8: "):
        run_job(folder)
    # What is written is JSON in the words of RFC 8259.
    assert [path.name for path in folder.parts()] == ["part-00000000.jsonl", "part-00000001.jsonl"]


def test_a_restart_leaves_no_part_of_the_job_before(rows: Path, tmp_path: Path) -> None:
    job = job_of(rows)
    with job.opened() as folder:
        run_job(folder)
    # Moved to a larger disk.
    parts, moved = job.output / "parts", tmp_path / "disk"
    parts.rename(moved)
    parts.symlink_to(moved)
    (moved / "more").mkdir()
    assert result_of(job) == EXPECTED
    rows.write_text('{"id": 7, "text": "abc"}\n' * 20)
    with job.opened(restart=True) as folder:
        assert run_job(folder) == 7
    assert result_of(job) == [{"id": 7, "length": 3}] * 20
    assert not (moved / "more").exists()


@pytest.mark.parametrize("part_format", ["jsonl", "parquet"])
def test_a_value_that_cannot_be_written_names_its_rows(rows: Path, part_format: Any) -> None:
    if part_format == "parquet":
        pytest.importorskip("pyarrow")
    job = replace(job_of(rows), task=SetTask(seen=""), part_format=part_format)
    message = f"rows 1 to 3: columns id cannot be written as {part_format}"
    with job.opened() as folder, pytest.raises(InvalidInputError, match=message):
        run_job(folder)
    assert list((job.output / "parts").iterdir()) == []


def test_a_value_that_parquet_has_no_place_for(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(InvalidInputError, match="columns meta cannot be written as parquet"):
        write_part(tmp_path / "part.parquet", {"meta": [{}]}, "parquet")


@pytest.mark.parametrize(
    "options",
    [{"cpus": 0.0}, {"cpus": -1.0}, {"cpus": float("nan")}, {"gpus": -0.5}, {"actors": 0}, {"address": 5}],
)
def test_actors_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        RayPool(**options)


@pytest.mark.parametrize("options", [{"rows_per_block": 0}, {"part_format": "csv"}, {"task": None}, {"inputs": "rows"}])
def test_jobs_that_cannot_be(rows: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        replace(job_of(rows), **options)


@pytest.mark.parametrize("part_format", ["jsonl", "parquet"])
def test_scores_and_vectors_are_those_of_the_facades(checkpoints: Path, tmp_path: Path, part_format: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet") if part_format == "parquet" else None

    def read(job: BulkJob) -> list[dict[str, Any]]:
        if parquet is None:
            return result_of(job)
        with job.opened() as folder:
            return [row for part in folder.parts() for row in parquet.read_table(part).to_pylist()]

    pairs = [("panda", None if number == 3 else f"bamboo {'and tea ' * number}") for number in range(10)]
    rows = tmp_path / "pairs.jsonl"
    rows.write_text(
        "".join(json.dumps({"n": n, "query": one, "document": two}) + "\n" for n, (one, two) in enumerate(pairs))
    )
    common: dict[str, Any] = {"inputs": (rows,), "part_format": part_format, "rows_per_block": 4}
    model, options = str(checkpoints / "bert-reranker"), {"device": "cpu", "max_length": 32}
    scoring = BulkJob(task=ScoreTask(model=model, options=options, keep=("n",)), output=tmp_path / "scores", **common)
    with scoring.opened() as folder:
        assert run_job(folder) == 3
    found = read(scoring)
    assert [row["n"] for row in found] == list(range(10))
    with Reranker(model, device="cpu", max_length=32) as reranker:
        scores = reranker.score(pairs)
        np.testing.assert_allclose([row["score"] for row in found], scores, atol=1e-6)
        np.testing.assert_allclose(
            [row["probability"] for row in found], list(map(reranker.probability, scores)), atol=1e-6
        )
    model = str(checkpoints / "bert-embedder")
    task = EmbedTask(model=model, options={"device": "cpu"}, text="query", side="query")
    embedding = BulkJob(task=task, output=tmp_path / "vectors", **common)
    with embedding.opened() as folder:
        run_job(folder)
    with Embedder(model, device="cpu") as embedder:
        expected = embedder.embed_queries([query for query, _ in pairs])
    np.testing.assert_allclose(np.array([row["embedding"] for row in read(embedding)]), expected, atol=1e-6)


def test_an_error_names_the_rows_and_what_is_done_stays(checkpoints: Path, tmp_path: Path) -> None:
    rows = tmp_path / "pairs.jsonl"
    rows.write_text('{"query": "a", "document": "b"}\n' * 4 + '{"query": 5, "document": "b"}\n')
    task = ScoreTask(model=str(checkpoints / "bert-reranker"), options={"device": "cpu"})
    job = BulkJob(task=task, inputs=(rows,), output=tmp_path / "job", part_format="jsonl", rows_per_block=2)
    with job.opened() as folder:
        with pytest.raises(RerankPluginsError, match=r"pairs\.jsonl, rows 5 to 5: "):
            run_job(folder)
        assert len(folder.parts()) == 2


@pytest.mark.parametrize("model", ["bm25", "cascade:cosine:mini@2,mini@1", "ensemble:bm25,cosine:mini"])
def test_scores_that_would_be_those_of_the_blocks_are_refused(tmp_path: Path, model: str) -> None:
    pairs, folder = tmp_path / "pairs.jsonl", tmp_path / "scores"
    pairs.write_text('{"query": "q", "document": "d"}\n')
    with (
        BulkJob(task=ScoreTask(model=model), inputs=(pairs,), output=folder).opened(restart=False) as job,
        pytest.raises(InvalidInputError, match=r"a job in blocks cannot be used .* depends on the other documents"),
    ):
        run_job(job)
    assert not list((folder / "parts").iterdir())


def test_an_error_of_a_service_keeps_what_it_tells(rows: Path) -> None:
    with job_of(rows).opened(restart=False) as folder:

        def refused(_rows: Sequence[Row]) -> Columns:
            msg = "busy"
            raise RemoteUnavailableError(msg, status=429, is_passing=True, retry_after_s=7.0)

        with pytest.raises(RemoteUnavailableError, match=r"rows 1 to \d+: busy") as caught:
            folder.run(folder.blocks[0], refused)
    assert (caught.value.status, caught.value.is_passing, caught.value.retry_after_s) == (429, True, 7.0)


def test_jobs_of_a_backend_are_others_once_its_files_are(tmp_path: Path) -> None:
    file = tmp_path / "ensemble.json"
    file.write_text(json.dumps({"members": [{"model": "mini"}, {"model": "cosine:mini"}], "fusion": "probability"}))
    before = ScoreTask(model=f"ensemble:{file}").identity
    assert ScoreTask(model=f"ensemble:{file}").identity == before
    os.utime(file, (1, 1))
    assert ScoreTask(model=f"ensemble:{file}").identity != before


def test_a_model_that_is_not_there(rows: Path) -> None:
    job = replace(job_of(rows), task=ScoreTask(model="no/such-model", query="text", document="text"))
    with pytest.raises(ModelUnavailableError), job.opened() as folder:
        run_job(folder)
