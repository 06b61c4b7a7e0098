"""On a set of three documents: that it runs, and says what it ran."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from benchmarks import precision

pytestmark = pytest.mark.slow


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    folder = tmp_path / "pandas"
    (folder / "qrels").mkdir(parents=True)
    texts = {"a": "Pandas eat bamboo.", "b": "Pandas sleep a lot.", "c": "Passports are renewed in a month."}
    documents = [json.dumps({"_id": key, "title": "", "text": text}) for key, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(documents), encoding="utf-8")
    queries = [json.dumps({"_id": key, "text": text}) for key, text in (("1", "what pandas eat"), ("2", "passports"))]
    (folder / "queries.jsonl").write_text("\n".join(queries), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n2\tc\t1\n", encoding="utf-8")
    return tmp_path


def test_each_set_is_a_row(sets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    precision.main(["pandas"], sets=sets, dtype=["bfloat16"])
    header, _, row = capsys.readouterr().out.splitlines()
    assert header == "| set | queries | float32 nDCG@10 | bfloat16 | p | kept |"
    assert row == "| pandas | 2 | 1.0000 | 1.0000 | 1.00 | 1.000 |"


def test_a_precision_that_does_not_run_is_told(sets: Path) -> None:
    with pytest.raises(typer.BadParameter, match="runs in float32 here"):
        precision.main(["pandas"], sets=sets, dtype=["auto"])
