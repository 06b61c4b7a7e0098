"""A sample of any file's rows: bounded, spread, and the same every time."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from rerank_plugins.training.data import TrainingRecord
from rerank_plugins.training.data.checking import lengths
from rerank_plugins.training.data.checking.lengths import LengthLimits, LengthSample
from rerank_plugins.training.data.digests import digest


@pytest.mark.parametrize("n_rows", [50, 100, 5_000])
def test_the_sample_is_bounded_and_spread(monkeypatch: pytest.MonkeyPatch, n_rows: int) -> None:
    monkeypatch.setattr(lengths, "_MOST_ROWS", 100)
    tokenizer = Tokenizer(WordLevel({"x": 0}, unk_token="x"))
    sample = LengthSample(tokenizer, LengthLimits(pair=2))
    # Every second row has a positive that is a token too long: each text is one token, and so is each query.
    measured = 0
    for number in range(n_rows):
        record = TrainingRecord("x", ("x",) if number % 2 else ("x", "x"))
        measured += sample.measure(record, digest((str(number),))) is not None
    report = sample.report()
    assert report.n_rows <= 100
    assert report.n_rows == n_rows if n_rows <= 100 else report.n_rows >= 40
    assert measured <= 100 * 8, "rows that cannot be in the sample are not tokenised"
    assert sample.n_rows_with("n_positives") == report.n_rows
