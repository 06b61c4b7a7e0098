"""Every kind of finding is found, where it is, and only where it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.training.data import CheckOptions, DataReport, ReadOptions, RecordError, check_data
from rerank_plugins.training.data.checking.findings import KINDS

NEGATIVES = [f"negative {number}" for number in range(7)]
GOOD = {"query": "what is it", "pos": ["this is it"], "neg": NEGATIVES}
OTHER = {**GOOD, "query": "and what is that", "pos": ["that is something else"]}


def rows_file(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def check(tmp_path: Path, *rows: object, dev: Path | None = None, **options: Any) -> DataReport:
    return check_data(rows_file(tmp_path / "train.jsonl", *rows), dev=dev, options=CheckOptions(**options))


def kinds(report: DataReport) -> dict[str, int]:
    return {one.kind: one.count for one in report.findings}


def test_good_data_have_no_findings(tmp_path: Path) -> None:
    report = check(tmp_path, GOOD, OTHER)
    assert report.findings == ()
    assert (report.n_records, report.n_positives, report.n_negatives, report.fewest_negatives) == (2, 2, 14, 7)
    report.raise_on_errors()


def scored(pos: float, neg: list[float]) -> dict[str, Any]:
    return {"pos_scores": [pos], "neg_scores": neg}


FALLING = [-float(number) for number in range(7)]

FOUND: list[tuple[str, dict[str, Any] | str]] = [
    ("not_json", '{"query": '),
    ("malformed", {"query": "q", "pos": "a text"}),
    ("misspelt_key", {"query": "q", "poss": []}),
    ("score_count", {**OTHER, "pos_scores": [1.0, 2.0]}),
    ("score_not_finite", {**OTHER, "pos_scores": [float("nan")]}),
    ("id_count", {**OTHER, "neg_ids": ["1"]}),
    ("blank_query", {**OTHER, "query": " \n"}),
    ("no_positive", {**OTHER, "pos": []}),
    ("blank_positive", {**OTHER, "pos": ["\u3000"]}),
    ("no_negative", {**OTHER, "neg": []}),
    ("positive_is_negative", {**OTHER, "neg": [*NEGATIVES[:6], "that is something else"]}),
    ("positive_is_negative", {**OTHER, "neg": [*NEGATIVES[:6], "That  is something ELSE"]}),
    ("positive_is_negative", {**OTHER, "pos": ["caf\u00e9"], "neg": [*NEGATIVES[:6], "cafe\u0301"]}),
    ("blank_negative", {**OTHER, "neg": [*NEGATIVES[:6], ""]}),
    ("few_negatives", {**OTHER, "neg": NEGATIVES[:6]}),
    ("repeated_text", {**OTHER, "neg": [*NEGATIVES, NEGATIVES[0]]}),
    ("query_is_positive", {**OTHER, "pos": [OTHER["query"]]}),
    ("repeated_query", {**OTHER, "query": " What  is it"}),
    ("repeated_row", GOOD),
    ("broken_characters", {**OTHER, "pos": ["half \ud83d"]}),
]


@pytest.mark.parametrize(("kind", "row"), FOUND)
def test_what_a_row_shows(tmp_path: Path, kind: str, row: dict[str, Any] | str) -> None:
    report = check(tmp_path, GOOD, row)
    assert kinds(report) == {kind: 1}
    (finding,) = report.findings
    assert finding.severity == KINDS[kind].severity
    assert finding.examples[0].startswith(f"{tmp_path / 'train.jsonl'}:2: ")


@pytest.mark.parametrize(
    ("kind", "scores"),
    [
        ("constant_scores", scored(1.5, [1.5] * 7)),
        ("scores_against_labels", scored(-1.0, FALLING)),
        ("one_sided_scores", {"pos_scores": [1.0]}),
        ("some_scores", {}),
    ],
)
def test_what_a_rows_scores_show(tmp_path: Path, kind: str, scores: dict[str, Any]) -> None:
    report = check(tmp_path, {**GOOD, **scored(2.0, FALLING)}, {**OTHER, **scores})
    expected = {kind, "some_scores"} if kind == "one_sided_scores" else {kind}
    assert set(kinds(report)) == expected
    assert f"{tmp_path / 'train.jsonl'}:2: " in report.findings[0].examples[0]


def test_scores_that_say_nothing_in_any_row(tmp_path: Path) -> None:
    report = check(tmp_path, {**GOOD, **scored(0.5, [0.5] * 7)}, {**OTHER, **scored(0.7, [0.7] * 7)})
    assert kinds(report) == {"all_scores_constant": 2, "constant_scores": 2}


def test_scores_that_are_probabilities(tmp_path: Path) -> None:
    report = check(tmp_path, {**GOOD, **scored(0.9, [0.1, 0.2, 0, 0, 0, 0, 0])})
    assert kinds(report) == {"scores_are_probabilities": 1}
    labels = check(tmp_path, {**GOOD, **scored(1.0, [0.0] * 7)})
    assert kinds(labels) == {}, "labels of 0 and 1 are no probabilities of a teacher"
    assert kinds(check(tmp_path, {**GOOD, **scored(1.2, [0.1] * 7)})) == {}
    cosines = check(tmp_path, {**GOOD, **scored(0.7, [0.3, 0.2, -0.1, 0, 0, 0, 0])})
    assert kinds(cosines) == {"scores_are_probabilities": 1}
    opposite = check(tmp_path, {**GOOD, **scored(1.0, [-1.0] * 7)})
    assert kinds(opposite) == {}, "labels of 1 and -1 are no cosines"


def test_distillation_needs_every_score(tmp_path: Path) -> None:
    report = check(tmp_path, {**GOOD, **scored(2.0, FALLING)}, OTHER, needs_scores=True)
    assert kinds(report) == {"no_scores": 1}
    assert report.n_scored == 1
    assert kinds(check(tmp_path, GOOD, OTHER, needs_scores=True)) == {"no_scores": 2}


def test_embedders_do_without_negatives_but_not_in_some_rows(tmp_path: Path) -> None:
    without = [{**row, "neg": []} for row in (GOOD, OTHER)]
    assert kinds(check(tmp_path, *without, task="embedder")) == {}
    assert kinds(check(tmp_path, GOOD, without[1], task="embedder")) == {"no_negative_in_some": 1}
    assert kinds(check(tmp_path, *without)) == {"no_negative": 2}


def test_the_group_decides_how_many_negatives_are_few(tmp_path: Path) -> None:
    assert kinds(check(tmp_path, GOOD, group_size=9)) == {"few_negatives": 1}
    assert kinds(check(tmp_path, {**GOOD, "neg": NEGATIVES[:1]}, group_size=2)) == {}
    with pytest.raises(InvalidInputError, match="with 1 the loss is 0 for ever"):
        CheckOptions(group_size=1)


def test_prompts_in_some_rows_only(tmp_path: Path) -> None:
    report = check(tmp_path, {**GOOD, "prompt": "find"}, OTHER)
    assert kinds(report) == {"some_prompts": 1}
    assert "no 'prompt'" in report.findings[0].examples[0]
    assert kinds(check(tmp_path, {**GOOD, "prompt": "find"}, {**OTHER, "prompt": "find"})) == {}


def test_the_dev_set_is_kept_apart(tmp_path: Path) -> None:
    dev = rows_file(
        tmp_path / "dev.jsonl",
        {"query": "  WHAT is\u3000it ", "qrels": {"another text": 1}},
        {"query": "new", "qrels": {"That is something ELSE": 1, NEGATIVES[0]: 0}},
    )
    report = check(tmp_path, GOOD, OTHER, dev=dev)
    assert kinds(report) == {"dev_query": 1, "dev_positive": 1}
    assert report.n_dev == 2
    assert [one.examples[0].split(":")[1] for one in report.findings] == ["1", "2"]


def test_a_dev_set_that_cannot_be_used(tmp_path: Path) -> None:
    train = rows_file(tmp_path / "train.jsonl", GOOD)
    empty = tmp_path / "dev"
    (empty / "qrels").mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/dev.tsv"):
        (empty / name).write_text("")
    with pytest.raises(InvalidInputError, match=r"the dev set .* is empty"):
        check_data(train, dev=empty)
    with pytest.raises(RecordError, match=r"dev\.jsonl:2: not JSON"):
        check_data(train, dev=rows_file(tmp_path / "dev.jsonl", GOOD, "broken"))


def test_no_row_at_all(tmp_path: Path) -> None:
    report = check(tmp_path, {"query": "q", "pos": 1})
    assert kinds(report) == {"malformed": 1, "no_rows": 1}
    assert (report.n_records, report.n_bad_rows) == (0, 1)


def test_three_examples_and_all_counted(tmp_path: Path) -> None:
    rows = [{**GOOD, "query": f"query {number}", "pos": []} for number in range(9)]
    (finding,) = check(tmp_path, *rows).findings
    assert (finding.kind, finding.count, len(finding.examples)) == ("no_positive", 9, 3)


def test_errors_stop_and_allowed_ones_do_not(tmp_path: Path) -> None:
    rows = (GOOD, {**OTHER, "pos": []})
    with pytest.raises(InvalidInputError, match=r"1 rows without a positive.*train\.jsonl:2.*data check shows more"):
        check(tmp_path, *rows).raise_on_errors()
    report = check(tmp_path, *rows, allow=("no_positive",))
    report.raise_on_errors()
    assert [one.severity for one in report.findings] == ["warning"]
    with pytest.raises(InvalidInputError, match="'no_positives' is none; the kinds: not_json"):
        CheckOptions(allow=("no_positives",))


def test_errors_come_first(tmp_path: Path) -> None:
    report = check(
        tmp_path, {**GOOD, "neg": ["few", ""]}, {**OTHER, "pos": []}, {**OTHER, "query": "", "neg": NEGATIVES}
    )
    severities = [one.severity for one in report.findings]
    assert severities == sorted(severities, key=("error", "warning").index)
    assert set(severities) == {"error", "warning"}


def test_repeated_rows_in_another_file_are_named(tmp_path: Path) -> None:
    first, second = (rows_file(tmp_path / f"{name}.jsonl", OTHER if name == "a" else GOOD, GOOD) for name in "ab")
    report = check_data([first, second])
    assert kinds(report) == {"repeated_row": 2}
    assert [example.split(": as ")[1] for example in report.findings[0].examples] == [f"{first}:2", f"{first}:2"]


def test_scripts_are_told(tmp_path: Path) -> None:
    rows = [
        {**GOOD, "query": "熊猫吃什么", "pos": ["大熊猫吃竹子 bamboo"]},
        {**GOOD, "query": "パンダは何を食べますか", "pos": ["Pandas eat bamboo."]},
        {**GOOD, "query": "판다는 무엇을 먹나요", "pos": ["판다"]},
        {**GOOD, "query": "что едят панды", "pos": ["бамбук"]},
        {**GOOD, "query": "1 + 1", "pos": ["zwei"]},
    ]
    report = check(tmp_path, *rows)
    assert report.query_scripts == dict.fromkeys(("Han", "Kana", "Hangul", "Cyrillic", "no letters"), 0.2)
    assert report.positive_scripts == {"Latin": 0.4, "Han": 0.2, "Hangul": 0.2, "Cyrillic": 0.2}
    assert report.other_script == 0.4


def test_what_reading_left_out_is_in_the_notes(tmp_path: Path) -> None:
    assert check(tmp_path, {**GOOD, "url": "x"}).notes == {"key 'url', which is not read": 1}


def test_other_formats_are_checked_as_well(tmp_path: Path) -> None:
    hits = [{"content": text, "label": -place} for place, text in enumerate(NEGATIVES, start=1)]
    path = rows_file(tmp_path / "rows.jsonl", {"query": "q", "hits": hits})
    assert "no_positive" in kinds(check_data(path))
    report = check_data(path, read_options=ReadOptions(positive_from=-1), options=CheckOptions(group_size=7))
    assert kinds(report) == {}
    assert dict(report.formats) == {str(path): "rag-retrieval-grouped"}


def test_each_row_is_counted_for_a_bar(tmp_path: Path) -> None:
    n_rows: list[None] = []
    check_data(rows_file(tmp_path / "rows.jsonl", GOOD, "broken", OTHER), on_row=lambda: n_rows.append(None))
    assert len(n_rows) == 3


def test_the_report_is_json(tmp_path: Path) -> None:
    told = json.loads(json.dumps(check(tmp_path, GOOD, {**OTHER, "pos": []}).to_mapping()))
    assert told["ok"] is False
    assert told["n_records"] == 2
    assert told["findings"][0]["kind"] == "no_positive"
    assert told["lengths"] is None


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    made = Tokenizer(WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    # What a checkpoint's file says about cutting and padding is not what is measured.
    made.enable_truncation(4)
    made.enable_padding(length=50)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


TEN = " ".join("word" for _ in range(10))
LONG = {"query": "two words", "pos": [TEN, "three short words"], "neg": [TEN] * 3}


def test_a_pair_is_cut_at_its_length(tmp_path: Path, tokenizer: Path) -> None:
    fits = check(tmp_path, LONG, group_size=2, tokenizer=tokenizer, max_length=15)  # 3 + 2 + 10
    assert "cut_positive" not in kinds(fits)
    report = check(tmp_path, LONG, GOOD, group_size=2, tokenizer=tokenizer, max_length=13)
    assert kinds(report)["cut_positive"] == 1
    lengths = report.lengths
    assert lengths is not None
    assert (lengths.n_rows, lengths.pair, lengths.query, lengths.passage) == (2, 13, None, None)
    assert (lengths.cut_positives, lengths.cut_negatives, lengths.cut_queries) == (1 / 3, 3 / 10, 0.0)
    assert lengths.lost_positive_tokens == pytest.approx(2 / (10 + 3 + 3))


def test_queries_and_texts_are_cut_alone(tmp_path: Path, tokenizer: Path) -> None:
    report = check(
        tmp_path, LONG, group_size=2, task="embedder", tokenizer=tokenizer, query_max_length=3, passage_max_length=11
    )
    lengths = report.lengths
    assert lengths is not None
    assert (lengths.cut_queries, lengths.cut_positives, lengths.cut_negatives) == (1.0, 0.5, 1.0)
    assert kinds(report)["cut_query"] == 1
    assert lengths.lost_positive_tokens == pytest.approx(1 / 13)


def test_without_lengths_pairs_have_512_tokens(tmp_path: Path, tokenizer: Path) -> None:
    lengths = check(tmp_path, GOOD, tokenizer=tokenizer.parent).lengths
    assert lengths is not None
    assert (lengths.pair, lengths.cut_positives) == (512, 0.0)


def test_lengths_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="name whose with tokenizer"):
        CheckOptions(max_length=256)
    with pytest.raises(UnsupportedModelError, match=r"has no tokenizer\.json"):
        check(tmp_path, GOOD, tokenizer=tmp_path)


def test_checking_needs_neither_torch_nor_transformers(tmp_path: Path, tokenizer: Path) -> None:
    path = rows_file(tmp_path / "train.jsonl", GOOD)
    code = (
        "import sys\n"
        "from rerank_plugins.training.data import CheckOptions, check_data\n"
        f"check_data({str(path)!r}, options=CheckOptions(tokenizer={str(tokenizer)!r}))\n"
        "print(*[name for name in ('torch', 'transformers', 'accelerate') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_rows_that_stand_apart(tmp_path: Path) -> None:
    rows = [{"query": query, "content": f"{query} text", "label": 1} for query in ("a", "b", "a")]
    report = check_data(rows_file(tmp_path / "rows.jsonl", *rows))
    assert report.errors[0].kind == "scattered"


def test_one_scored_text_a_row_is_no_constant_score(tmp_path: Path) -> None:
    rows = [{"query": f"q{n}", "pos": [f"p{n}"], "pos_scores": [0.3]} for n in range(3)]
    assert "all_scores_constant" not in kinds(check(tmp_path, *rows, task="embedder"))
    several = [{"query": f"q{n}", "pos": [f"p{n}", f"r{n}"], "pos_scores": [0.3, 0.3]} for n in range(3)]
    assert kinds(check(tmp_path, *several, task="embedder"))["all_scores_constant"] == 3
