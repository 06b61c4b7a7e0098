"""Whatever a line holds, it is a record or a RecordError; a check tells of it and goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data import CheckOptions, RecordError, TrainingRecord, check_data, open_records
from rerank_plugins.training.data.formats import ROW_FORMATS, RowOptions
from rerank_plugins.training.data.records import KNOWN_KEYS

KEYS = sorted(
    {*KNOWN_KEYS, *(key for known in ROW_FORMATS.values() for key in known.keys), "content", "label", "passage"}
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
ROW = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), VALUE, max_size=6)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(row=ROW, name=st.sampled_from(list(ROW_FORMATS)))
def test_any_row_is_a_record_or_an_error(row: dict[str, Any], name: str) -> None:
    known = ROW_FORMATS[name]
    if not known.is_row(row):
        return
    try:
        record = known.read(row, RowOptions())
    except RecordError:
        return
    except InvalidInputError as error:
        # No tokenizer was named for rows of ids.
        if "token ids" not in str(error):
            raise
        return
    assert TrainingRecord.from_mapping(json.loads(json.dumps(record.to_mapping()))) == record


@settings(derandomize=True, deadline=None, max_examples=60)
@given(rows=st.lists(ROW.map(lambda row: {"query": "q", "pos": ["p"], **row}), min_size=1, max_size=4))
def test_any_rows_are_checked_to_the_end(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [{"query": "a", "pos": ["b"]}, *rows]))
    report = check_data(path, format_name="records", options=CheckOptions(task="embedder"))
    assert report.n_records + report.n_bad_rows == len(rows) + 1
    assert report.n_bad_rows == sum(
        item.error is not None for item in open_records(path, format_name="records").items()
    )


def test_text_of_others_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from rerank_plugins.cli import app

    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"query": "\x1b[31mred\u202e", "pos": ["p"], "\x1b]8;;x": 1}) + "\n")
    result = CliRunner().invoke(app, ["data", "check", str(path)])
    assert result.exit_code == 2
    assert "\x1b]" not in result.output
    assert "\u202e" not in result.output
