"""Shared helpers of the golden scripts: stable JSON, version stamps, tokenizer-class swaps."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKPOINTS = HERE / "checkpoints"
DIGITS = 7


def rounded(value: Any) -> Any:
    """Round every float inside ``value`` to the committed number of digits."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [rounded(item) for item in value]
    return value


def _is_flat(value: Any) -> bool:
    """Say whether ``value`` is a leaf, or a container of leaves (kept on one line)."""
    if isinstance(value, Mapping):
        return False
    if isinstance(value, list):
        return all(not isinstance(item, (list, dict, str)) for item in value)
    return True


def _dump(value: Any, indent: str) -> str:
    """Serialise with one scalar or one flat list per line."""
    if _is_flat(value):
        return json.dumps(value, ensure_ascii=False)
    deeper = indent + " "
    if isinstance(value, Mapping):
        rows = [f"{deeper}{json.dumps(key)}: {_dump(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}" if rows else "{}"
    rows = [f"{deeper}{_dump(item, deeper)}" for item in value]
    return "[\n" + ",\n".join(rows) + f"\n{indent}]" if rows else "[]"


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write ``document`` so that a change of one score is a change of one line."""
    path.write_text(_dump(rounded(document), "") + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file written by :func:`write_json`."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def versions(*names: str) -> dict[str, str]:
    """Return the installed versions of the named distributions."""
    return {name: importlib.metadata.version(name) for name in names}


@contextmanager
def with_tokenizer_class(checkpoint: Path, tokenizer_class: str) -> Iterator[Path]:
    """Yield a temporary copy of ``checkpoint`` whose tokenizer_config names another class.

    The committed folders name ``PreTrainedTokenizerFast``, which transformers 4 cannot use for the pair
    building of ``prepare_for_model``; the reference code needs the architecture's own class.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / checkpoint.name
        shutil.copytree(checkpoint, target)
        config_path = target / "tokenizer_config.json"
        config = json.loads(config_path.read_text(encoding="utf-8"))
        config["tokenizer_class"] = tokenizer_class
        config_path.write_text(json.dumps(config), encoding="utf-8")
        yield target


def captured_inputs(model: Any, call: Callable[[], Any]) -> dict[str, Any]:
    """Return the keyword arguments of the last forward pass of ``model`` while ``call`` runs."""
    seen: list[dict[str, Any]] = []
    handle = model.register_forward_pre_hook(lambda _module, _args, kwargs: seen.append(kwargs), with_kwargs=True)
    try:
        call()
    finally:
        handle.remove()
    return seen[-1]
