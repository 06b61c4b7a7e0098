"""Checkpoints whose JSON files somebody has damaged: every value in turn, by each of a set of nasty ones.

Run as a program it opens checkpoints of a list and prints what came of each; the fuzz test runs it in processes of
its own, so that one that hangs, fills the memory or dies is seen.
"""

from __future__ import annotations

import json
import logging
import math
import random
import resource
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

_DEEP: Any = 1
for _ in range(200):
    _DEEP = [_DEEP]

NASTY: dict[str, Any] = {
    "null": None,
    "true": True,
    "-1": -1,
    "0": 0,
    "1e9": 1_000_000_000,
    "10**400": 10**400,
    "1.5": 1.5,
    "NaN": math.nan,
    "Infinity": math.inf,
    "empty": "",
    "long": "x" * 1_000_000,
    "path": "../x",
    "pattern": "(a+)+$",
    "list": [],
    "object": {},
    "deep": _DEEP,
    "numbers": [1, 2, 3],
}
DELETED = "deleted"
MOST_LEAVES = 60
"""Of one file: a vocabulary has hundreds, all alike."""

Path_ = tuple[str | int, ...]


def leaves(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Yield the places of all values in a JSON file, objects and lists included."""
    yield at
    members: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from leaves(member, (*at, key))


def changed(content: Any, at: Path_, how: str) -> Any:
    """Return a copy with the value at a place replaced, or left out."""
    content = json.loads(json.dumps(content))
    if not at:
        return NASTY.get(how)
    parent = content
    for key in at[:-1]:
        parent = parent[key]
    if how == DELETED:
        del parent[at[-1]]
    else:
        parent[at[-1]] = NASTY[how]
    return content


def cases(folder: Path, seed: int) -> list[tuple[str, Path_, str]]:
    """Return (file, place, how) for every JSON file of a checkpoint, and cuts at random bytes of every file."""
    chosen = random.Random(seed)
    found: list[tuple[str, Path_, str]] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            places = list(leaves(json.loads(path.read_text(encoding="utf-8"))))
            if len(places) > MOST_LEAVES:
                places = [*places[:8], *chosen.sample(places[8:], MOST_LEAVES - 8)]
            found += [(name, at, how) for at in places for how in (*NASTY, DELETED)]
        if path.is_file():
            found += [(name, (), f"cut {chosen.random():.3f}") for _ in range(4)]
            found += [(name, (), f"bytes {byte:02x}") for byte in (0x00, 0xFF)]
    return found


def damage(folder: Path, file: str, at: Path_, how: str) -> None:
    """Damage one file of a checkpoint."""
    path = folder / file
    kind, _, value = how.partition(" ")
    if kind == "cut":
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * float(value))])
    elif kind == "bytes":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + bytes.fromhex(value) * 8 + whole[len(whole) // 2 + 8 :])
    else:
        path.write_text(json.dumps(changed(json.loads(path.read_text(encoding="utf-8")), at, how)), encoding="utf-8")


def outcome(use: Callable[[], list[float]]) -> str:
    """Return ``scores``, the name of a typed error, or ``RAW ...``."""
    from rerank_plugins.errors import RerankPluginsError

    try:
        scores = use()
    except RerankPluginsError as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        return f"RAW {type(error).__name__}: {str(error)[:300]}"
    return "scores" if all(map(math.isfinite, scores)) else f"RAW scores {scores}"


def used(folder: Path, family: dict[str, Any]) -> list[float]:
    """Open a checkpoint as its family says, and return scores of two pairs, or numbers of two vectors."""
    import rerank_plugins

    source = rerank_plugins.SourceOptions(**family.get("source", {}))
    if family["kind"] == "embedder":
        embedder = rerank_plugins.Embedder(folder, device="cpu", source=source)
        try:
            if embedder.spec.scorer == "multi-vector":
                embedder.encode_documents(["Pandas eat bamboo."])
            vectors = (
                embedder.embed_queries(["panda"]),
                embedder.embed_documents(["Pandas eat bamboo.", "大熊猫 1 \U0001f9ff"]),
            )
            return [float(number) for part in vectors for number in part.ravel()]
        finally:
            embedder.close()
    model = folder
    if family.get("base"):
        model, source = Path(family["base"]), replace(source, peft_path=folder)
    reranker = rerank_plugins.Reranker(model, device="cpu", source=source)
    try:
        return reranker.score([("panda", "Pandas eat bamboo."), ("熊猫", "大熊猫 1 \U0001f9ff of other length")])
    finally:
        reranker.close()


def main() -> None:
    """Read (family, file, place, how) as JSON lines, print one outcome a line."""
    import rerank_plugins.engine.registry as registry

    logging.disable()
    warnings.simplefilter("ignore")
    most = int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for line in sys.stdin:
        case = json.loads(line)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(shutil.copytree(case["family"]["folder"], Path(place) / Path(case["family"]["folder"]).name))
            damage(folder, case["file"], tuple(case["at"]), case["how"])
            found = outcome(partial(used, folder, case["family"]))
            registry.MODELS.unload_idle()
        sys.__stdout__.write(json.dumps(found) + "\n")
        sys.__stdout__.flush()


if __name__ == "__main__":
    main()
