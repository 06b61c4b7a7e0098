"""``python -m benchmarks.long_documents --sets FOLDER --work FOLDER``: is the answering sentence found?

Systems: plain chunks of whole sentences up to 128, 256 or 512 tokens, each embedded alone; the same chunks with vectors
made in context (late chunking); sentences with vectors in context, each returned with its neighbours up to as many
tokens; the same with the vector of the plain chunk of 128 tokens added to each (``passage_characters``); and sentences
embedded alone with their neighbours, which tells what the context is worth. All of them see the same
texts, by the same embedder, in an exact search.

Two measures. *At 5*: the gold passage is among five results, whose mean length is stated, since five chunks of 512
tokens are four times as much to read as five of 128. *Within N characters*: it is among the first N characters that a
system returns, which compares all of them at the same amount of text. Gold counts as found if half of it is returned.
Searches are over all documents, and over the gold document alone. Differences are tested by Fisher's paired
randomisation test against the best plain chunks of the same measure.

Each pass over a set keeps its vectors in ``--work``: a run that is stopped goes on where it was.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tokenizers import Tokenizer

from benchmarks.long_documents.measure import characters_of, is_found, within
from benchmarks.long_documents.passages import Cut, cut_documents
from benchmarks.long_documents.sets import LongSet, cmu_qa, from_parts
from benchmarks.long_documents.systems import System, chunk_system, sentence_system
from benchmarks.long_documents.vectors import SIZES, in_context_vectors, plain_vectors, question_vectors
from rerank_plugins import Embedder
from rerank_plugins.evaluation.statistics import compare_paired

__all__ = ["main"]

_BUDGETS = (1_000, 2_500, 5_000, 10_000)
_DEPTH = 100
_AT = 5
_AROUND = (64, *SIZES)
_CHARACTERS = {"cmu_qa": 1_000_000, "selqa": 150_000, "drcd": 45_000}
"""Of whole documents that are drawn from each set, so that a pass takes minutes on two idle cores."""

_JOINTS, _LEAST_PARTS = {"selqa": " ", "drcd": "\n\n"}, {"selqa": 20, "drcd": 4}


def main(
    *,
    sets: Annotated[Path, typer.Option(help="Folder of sets in BEIR layout: cmu_qa, selqa, drcd.")],
    work: Annotated[Path, typer.Option(help="Keeps the vectors of each pass.")],
    answers: Annotated[list[Path] | None, typer.Option(help="question_answer_pairs.txt of cmu_qa; several.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="A set; repeat it. Default: all.")] = None,
    embedder: Annotated[str, typer.Option(help="A folder or name, pooled by the mean.")] = "mini-zh",
    tokenizer: Annotated[Path | None, typer.Option(help="Its tokenizer.json; default: mini-zh's.")] = None,
    landmarks: Annotated[Path | None, typer.Option(help="A folder trained with landmarks, measured too.")] = None,
    dtype: Annotated[str, typer.Option(help="Of the embedders.")] = "bfloat16",
    scale: Annotated[float, typer.Option(help="Share of each set's usual sample.")] = 1.0,
    sentences: Annotated[bool, typer.Option(help="Also embed each sentence alone.")] = True,
    out: Annotated[Path | None, typer.Option(help="Where the figures go as JSON.")] = None,
) -> None:
    """Compare plain chunks with sentences and chunks that are read in context."""
    model = Embedder(embedder, dtype=dtype)
    counter = Tokenizer.from_file(str(tokenizer or _usual_tokenizer()))
    rows: list[dict[str, Any]] = []
    for found in _sets(sets, answers or [], only, scale):
        cut = cut_documents(found, counter)
        n_tokens = sum(map(sum, cut.tokens.values()))
        _say(
            f"\n## {found.name}: {len(found.documents)} documents, {n_tokens} tokens, {len(found.questions)} questions"
        )
        systems = _systems(found, cut, model, work, sentences=sentences)
        questions = question_vectors(found, model, work)
        rows += _measured(found, systems, questions)
        if landmarks is not None:
            rows += _of_landmarks(found, cut, Embedder(landmarks, dtype=dtype), work / "landmarks")
        if out is not None:
            out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _sets(folder: Path, answers: Sequence[Path], only: Sequence[str] | None, scale: float) -> list[LongSet]:
    """Return the sets, sampled by whole documents so that a pass takes minutes on two cores."""
    return [_set(name, folder / name, answers, scale) for name in only or _CHARACTERS]


def _set(name: str, folder: Path, answers: Sequence[Path], scale: float) -> LongSet:
    if name == "cmu_qa":
        found = cmu_qa(folder, answers)
    else:
        found = from_parts(name, folder, joint=_JOINTS[name], least_parts=_LEAST_PARTS[name])
    return found.sampled(characters=int(_CHARACTERS[name] * scale), questions=400, seed=0)


def _usual_tokenizer() -> Path:
    import rerank_plugins_mini_zh

    return Path(rerank_plugins_mini_zh.embedder_path()) / "tokenizer.json"


def _systems(found: LongSet, cut: Cut, model: Embedder, work: Path, *, sentences: bool) -> list[System]:
    in_context = in_context_vectors(found, cut, model, work, _say, name="late")
    systems = []
    first = {key: len(cut.sentences[key]) for key in found.documents}
    for size in SIZES:
        spans = {key: cut.chunks(key, size) for key in found.documents}
        late = {key: in_context[key][first[key] : first[key] + len(spans[key])] for key in spans}
        first = {key: first[key] + len(spans[key]) for key in spans}
        systems.append(chunk_system(f"plain {size}", spans, plain_vectors(found, cut, size, model, work, _say)))
        systems.append(chunk_system(f"late chunks {size}", spans, late))
    of_sentences = {key: in_context[key][: len(cut.sentences[key])] for key in found.documents}
    systems += _around("sentences in context", cut, of_sentences)
    systems += _around("sentences in context + plain 128", cut, _with_passages(found, cut, of_sentences, model, work))
    if sentences:
        systems += _around("sentences alone", cut, plain_vectors(found, cut, 0, model, work, _say))
    return systems


def _with_passages(found: LongSet, cut: Cut, vectors: dict[str, Any], model: Embedder, work: Path) -> dict[str, Any]:
    """Return the vectors of sentences with those of the plain chunks that hold them (``passage_characters``)."""
    plain = plain_vectors(found, cut, SIZES[0], model, work, _say)
    summed = {}
    for key, spans in cut.sentences.items():
        starts = [one.start for one in cut.chunks(key, SIZES[0])]
        holding = np.searchsorted(starts, [one.start for one in spans], side="right") - 1
        both = vectors[key] + plain[key][holding]
        summed[key] = both / np.linalg.norm(both, axis=1, keepdims=True)
    return summed


def _around(name: str, cut: Cut, vectors: dict[str, Any]) -> list[System]:
    return [sentence_system(f"{name}, {size}", cut, vectors, n_tokens=size) for size in _AROUND]


def _of_landmarks(found: LongSet, cut: Cut, model: Embedder, work: Path) -> list[dict[str, Any]]:
    in_context = in_context_vectors(found, cut, model, work, _say, name="landmarks")
    vectors = {key: in_context[key][: len(cut.sentences[key])] for key in found.documents}
    return _measured(found, _around("landmarks", cut, vectors), question_vectors(found, model, work))


def _measured(found: LongSet, systems: Sequence[System], questions: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for scope in ("all documents", "gold document"):
        table = {one.name: _hits(found, one, questions, scope) for one in systems}
        plain = [name for name in table if name.startswith("plain")]
        measures = [name for name in next(iter(table.values())) if name != "characters"]
        best = {one: max((float(np.mean(table[name][one])), name) for name in plain)[1] for one in measures if plain}
        _say(f"\n{scope}\n| system | characters of 5 | {' | '.join(measures)} |\n|---|---|{'---|' * len(measures)}")
        for name, values in table.items():
            cells = [
                _cell(values[one], None if name in plain or not plain else table[best[one]][one]) for one in measures
            ]
            _say(f"| {name} | {np.mean(values['characters']):.0f} | {' | '.join(cells)} |")
            rows.append(
                {
                    "set": found.name,
                    "scope": scope,
                    "system": name,
                    **{key: float(np.mean(of)) for key, of in values.items()},
                }
            )
    return rows


def _cell(values: Sequence[float], baseline: Sequence[float] | None) -> str:
    mean = f"{np.mean(values):.3f}"
    if baseline is None:
        return mean
    return f"{mean} (p {compare_paired(values, baseline).p_value:.2g})"


def _hits(found: LongSet, system: System, questions: Any, scope: str) -> dict[str, list[float]]:
    names = ["at 5", *(f"in {budget}" for budget in _BUDGETS)]
    values: dict[str, list[float]] = {"characters": [], **{name: [] for name in names}}
    for number, one in enumerate(found.questions):
        documents = list(found.documents) if scope == "all documents" else [one.document]
        ranked = list(islice(system.ranked(questions[number], documents), _DEPTH))
        gold = (one.document, one.start, one.end)
        values["characters"].append(characters_of(ranked[:_AT]))
        values["at 5"].append(is_found(within(ranked[:_AT], sys.maxsize), *gold))
        for budget in _BUDGETS:
            values[f"in {budget}"].append(is_found(within(ranked, budget), *gold))
    return values


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
