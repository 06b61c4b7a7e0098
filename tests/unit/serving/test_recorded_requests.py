"""Every request that a client was recorded to send is answered with what that client reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from served import Opened

RECORDED = json.loads((Path(__file__).parent / "recorded_requests.json").read_text(encoding="utf-8"))


def at(answer: Any, path: str) -> Any:
    """Return what is at ``results.0.index``."""
    for part in path.split(".") if path else ():
        answer = answer[int(part)] if isinstance(answer, list) else answer[part]
    return answer


def has(answer: Any, path: str) -> bool:
    try:
        at(answer, path)
    except (KeyError, IndexError):
        return False
    return True


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["client"])
async def test_a_client_gets_what_it_reads(opened: Opened, recorded: dict[str, Any]) -> None:
    async with opened(dialect=recorded.get("dialect", "vllm")) as client:
        response = await client.post(recorded["path"], json=recorded["body"], headers=recorded.get("headers"))
    answer = response.json()
    assert response.status_code == 200, answer
    assert [path for path in recorded["reads"] if at(answer, path) is None] == []
    assert [path for path in recorded.get("lacks", ()) if has(answer, path)] == []
    assert all(isinstance(at(answer, path), str) for path in recorded.get("strings", ()))
    assert {path: len(at(answer, path)) for path in recorded.get("n", {})} == recorded.get("n", {})
    assert {path: at(answer, path) for path in recorded.get("is", {})} == recorded.get("is", {})
    assert int(response.headers["x-compute-tokens"]) > 0


def test_no_client_is_recorded_twice() -> None:
    names = [recorded["client"] for recorded in RECORDED]
    assert len(set(names)) == len(names) > 40
