"""``python -m benchmarks.serving_infinity --infinity FOLDER/bin/infinity_emb``: our server beside infinity's.

Both serve the same checkpoint (MiniLM-L6, random weights, fp32) on this processor and answer the same requests in
turns: each client sends one request of the bundled sample's passages at the same moment. One bulk call in this process
scores the same pairs in each round, so that the table tells what the model costs and what a server adds.
infinity needs an environment of its own, since it stays below transformers 4.49:

    python -m venv FOLDER && FOLDER/bin/pip install -r benchmarks/infinity-requirements.txt
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from benchmarks.http_load import Asked, at_once, running
from benchmarks.models import checkpoint
from benchmarks.shapes import MINILM
from benchmarks.texts import passages as sample_passages
from benchmarks.texts import queries as sample_queries
from rerank_plugins import Reranker

_PATH = "/rerank"
_NAME = "minilm"
_TARGET = 2.0


def main(
    *,
    infinity: Annotated[Path, typer.Option(help="The program infinity_emb of its own environment.")],
    clients: Annotated[int, typer.Option(help="Clients that ask at the same time.")] = 32,
    passages: Annotated[int, typer.Option(help="Documents of a request.")] = 20,
    rounds: Annotated[int, typer.Option(help="Rounds, in turns.")] = 5,
    engine: Annotated[str, typer.Option(help="infinity's engine.")] = "torch",
    batch_size: Annotated[int, typer.Option(help="infinity's pairs of a batch.")] = 32,
    out: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Measure both servers in turns; nothing else should run on the machine."""
    with TemporaryDirectory() as scratch:
        folder = checkpoint(MINILM, Path(scratch))
        theirs_options = ["--engine", engine, "--batch-size", str(batch_size), "--device", "cpu", "--dtype", "float32"]

        def ours(port: int) -> list[str]:
            command = [
                sys.executable,
                "-m",
                "rerank_plugins",
                "serve",
                f"{_NAME}={folder}",
                "--device",
                "cpu",
                "--quiet",
            ]
            return [*command, "--port", str(port), "--deadline-s", "600", "--drain-delay-s", "0"]

        def theirs(port: int) -> list[str]:
            command = [str(infinity), "v2", "--model-id", str(folder), "--served-model-name", _NAME]
            return [*command, *theirs_options, "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]

        with (
            Reranker(str(folder), device="cpu") as reranker,
            running(ours, ready="/readyz") as (our_port, _),
            running(theirs, ready="/health") as (their_port, _),
        ):
            asked = _requests(reranker, clients, passages)
            facts = _measured(reranker, asked, {"ours": our_port, "infinity": their_port}, rounds)
    facts = {"cores": os.cpu_count(), "load_after": os.getloadavg(), "infinity_options": theirs_options, **facts}
    text = json.dumps(facts, indent=2)
    typer.echo(text)
    if out is not None:
        out.write_text(f"{text}\n", encoding="utf-8")


def _requests(reranker: Reranker, clients: int, passages: int) -> list[Asked]:
    """Return one request a client, with the scores that the model gives in this process."""
    texts, questions = sample_passages(), sample_queries()
    made = []
    for number in range(clients):
        query = questions[number % len(questions)]
        documents = [texts[(number * passages + place) % len(texts)] for place in range(passages)]
        ranking = reranker.rank(query, documents)
        request = {"model": _NAME, "query": query, "documents": documents, "raw_scores": True}
        body = json.dumps({**request, "return_documents": False}).encode()
        order, scores = [one.index for one in ranking], [one.score for one in ranking]
        made.append(Asked(_PATH, query, documents, body, order, scores))
    return made


def _measured(reranker: Reranker, asked: list[Asked], ports: dict[str, int], rounds: int) -> dict[str, Any]:
    pairs = [(one.query, document) for one in asked for document in one.documents]
    seconds: dict[str, list[float]] = {"in_process": [], **{name: [] for name in ports}}
    for port in ports.values():
        asyncio.run(at_once(asked, port, 2))
    for _ in range(rounds):
        started = time.perf_counter()
        reranker.score(pairs)
        seconds["in_process"].append(time.perf_counter() - started)
        for name, port in ports.items():
            started = time.perf_counter()
            answers = asyncio.run(at_once(asked, port, len(asked)))
            seconds[name].append(time.perf_counter() - started)
            if answers.statuses != {200: len(asked)} or answers.wrong:
                raise RuntimeError(name, answers.facts())
    rates = {name: round(len(pairs) / statistics.median(one), 1) for name, one in seconds.items()}
    ratios = {
        name: round(statistics.median(b / a for a, b in zip(seconds["ours"], other, strict=True)), 2)
        for name, other in seconds.items()
    }
    return {"pairs_per_s": rates, "ours_times": ratios, "target_times_infinity": _TARGET, "seconds": seconds}


if __name__ == "__main__":
    typer.run(main)
