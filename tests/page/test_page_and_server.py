"""Keys, errors, time and code: where the page meets its server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from page_key import KEY

Opened = Callable[..., Any]

READY = '#health[data-state="ready"]'
NASTY = [
    'it\'s "quoted" \\ back\\nslash $HOME `id` $(id) %s {x} {{y}} !! # ;',
    "JSON",
    '\'\'\'""" \\""" <script>alert(1)</script> </pre>',
    "tab\there \u202eright to left\u202c zero\u200bwidth \u2028 line \u0007 bell \x7f \U000e0041 tag 👩‍🔬 é 中文",
    "\\u0041 \\x41 \\N{BULLET} \\",
]


def asked(page: Any, documents: str = "plants make food\ntrains") -> Any:
    page.wait_for_selector(READY, timeout=120_000)
    page.fill("#query", "how do plants make food")
    page.fill("#documents", documents)
    return page


def code_of(page: Any, name: str) -> str:
    page.click(f"#tab-{name}")
    return page.text_content("#snippet")


def unlock(page: Any, key: str = KEY) -> None:
    page.wait_for_selector("#key-dialog[open]")
    page.fill("#key", key)
    page.keyboard.press("Enter")


def test_a_key_is_asked_for_and_kept_in_memory_only(opened: Opened, locked_url: str) -> None:
    page = opened(locked_url)
    unlock(page, "wrong")
    page.locator("#key-trouble", has_text="does not know").wait_for()
    unlock(page, "钥匙")
    assert "Latin" in page.inner_text("#key-trouble")
    unlock(page)
    page.wait_for_selector("#key-dialog:not([open])", state="attached")
    with page.expect_request("**/v1/rerank") as sent:
        asked(page).click("#run")
    page.wait_for_selector(".row")
    assert sent.value.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in " ".join(page.loaded)
    places = "[{...localStorage}, {...sessionStorage}, document.cookie, history.state, location.href]"
    kept = page.evaluate(f"() => JSON.stringify({places})")
    assert KEY not in kept + page.content() + "".join(code_of(page, name) for name in ("curl", "Python", "LangChain"))
    assert page.evaluate("indexedDB.databases().then((found) => found.length)") == 0
    assert page.input_value("#key") == ""
    assert page.context.cookies() == []
    page.reload()
    page.wait_for_selector("#key-dialog[open]")


def test_what_the_server_refuses_is_told_in_plain_words(opened: Opened, locked_url: str) -> None:
    page = opened(locked_url)
    unlock(page)
    asked(page, "\n".join(f"document {n}" for n in range(6))).click("#run")
    page.wait_for_selector('.trouble[data-kind="invalid"]')
    assert "batch size 6 > maximum allowed batch size 5" in page.inner_text("#alert")
    asked(page, "long " * 1_000).click("#run")
    page.wait_for_selector('.trouble[data-kind="tooLarge"]')
    assert "fewer or shorter documents" in page.inner_text("#alert")
    asked(page).click("#run")
    page.wait_for_selector(".row")
    assert page.inner_text("#alert") == ""


FAULTS: list[tuple[int, str, dict[str, str], str]] = [
    (401, '{"detail": "no"}', {}, "unauthorized"),
    (404, '{"detail": "no model"}', {}, "unknown"),
    (413, "", {}, "tooLarge"),
    (422, '{"error": {"message": "<b>top_n</b> must be a number"}}', {}, "invalid"),
    (429, '{"detail": "full"}', {}, "busy"),
    (500, "<html>", {}, "failed"),
    (502, "<html>", {}, "failed"),
    (503, '{"detail": "loading"}', {"retry-after": "1"}, "loading"),
    (504, '{"detail": "late"}', {}, "late"),
    (200, "<html>a portal</html>", {}, "strange"),
    (200, '{"other": 1}', {}, "strange"),
    (200, "null", {}, "strange"),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"), FAULTS, ids=[f"{one[0]}-{one[1][:10]}" for one in FAULTS]
)
def test_every_fault_has_words_and_a_way_out(
    opened: Opened, status: int, body: str, headers: dict[str, str], kind: str
) -> None:
    page = asked(opened())
    page.route("**/v1/rerank", lambda route: route.fulfill(status=status, body=body, headers=headers))
    page.click("#run")
    page.wait_for_selector(f'.trouble[data-kind="{kind}"]')
    if kind == "unauthorized":
        page.click("#key-cancel")
    if "<b>" in body:
        assert "The server says: <b>top_n</b> must be a number" in page.inner_text("#alert")
    page.unroute("**/v1/rerank")
    page.locator("#alert button:enabled").click()
    page.wait_for_selector(".row")
    assert page.inner_text("#alert") == ""
    assert page.inner_text("#run") == "Rank"


def test_a_busy_server_says_when_to_come_back(opened: Opened) -> None:
    page = asked(opened())
    page.clock.install()
    full = {"status": 429, "headers": {"retry-after": "7"}, "json": {"detail": "full"}}
    page.route("**/v1/rerank", lambda route: route.fulfill(**full))
    page.click("#run")
    button = page.locator("#alert button")
    button.wait_for()
    assert (button.inner_text(), button.is_disabled()) == ("Try again in 7 s", True)
    page.clock.run_for(7_500)
    assert (button.inner_text(), button.is_disabled()) == ("Try again", False)


def test_a_server_that_cannot_be_reached(opened: Opened) -> None:
    page = asked(opened())
    page.context.set_offline(True)
    page.click("#run")
    page.wait_for_selector('.trouble[data-kind="offline"]')
    page.context.set_offline(False)
    page.click("#alert button")
    page.wait_for_selector(".row")


def test_a_second_click_cancels(opened: Opened) -> None:
    page = asked(opened())
    sent: list[str] = []
    page.route("**/v1/rerank", lambda route: sent.append(route.request.url))
    page.click("#run")
    page.locator("#run", has_text="Cancel").wait_for()
    page.focus("#query")
    page.keyboard.press("Control+Enter")
    assert page.get_attribute("#results", "aria-busy") == "true"
    with page.expect_event("requestfailed") as failed:
        page.click("#run")
    assert failed.value.url == sent[0]
    page.locator("#status", has_text="Cancelled.").wait_for()
    assert (len(sent), page.inner_text("#alert"), page.inner_text("#run")) == (1, "", "Rank")
    page.unroute("**/v1/rerank")
    page.click("#run")
    page.wait_for_selector(".row")


def test_an_answer_that_never_comes_is_given_up(opened: Opened) -> None:
    page = asked(opened())
    page.clock.install()
    sent: list[dict[str, str]] = []
    page.route("**/v1/rerank", lambda route: sent.append(route.request.headers))
    page.click("#run")
    page.locator("#run", has_text="Cancel").wait_for()
    page.clock.run_for(66_000)
    page.wait_for_selector('.trouble[data-kind="late"]')
    assert sent[0]["x-request-timeout-ms"] == "60000"


def test_the_page_waits_for_as_long_as_the_server_does(opened: Opened) -> None:
    page = opened()
    page.route("**/v1/models", _with_a_longer_deadline)
    page.reload()
    asked(page).clock.install()
    sent: list[dict[str, str]] = []
    page.route("**/v1/rerank", lambda route: sent.append(route.request.headers))
    page.click("#run")
    page.locator("#run", has_text="Cancel").wait_for()
    page.clock.run_for(299_000)
    assert page.locator(".trouble").count() == 0
    page.clock.run_for(7_000)
    page.wait_for_selector('.trouble[data-kind="late"]')
    assert sent[0]["x-request-timeout-ms"] == "300000"


def _with_a_longer_deadline(route: Any) -> None:
    response = route.fetch()
    route.fulfill(response=response, headers={**response.headers, "x-request-timeout-ms": "300000"})


def test_the_page_waits_for_a_model_that_loads(opened: Opened, browser: Any, url: str) -> None:
    context = browser.new_context(locale="en-GB")
    try:
        page = context.new_page()
        page.route("**/readyz", lambda route: route.fulfill(status=503, json={"status": "loading"}))
        page.goto(url)
        page.locator("#health", has_text="loading the model …").wait_for()
        page.unroute("**/readyz")
        page.route("**/readyz", lambda route: route.fulfill(status=503, json={"status": "draining"}))
        page.locator("#health", has_text="shutting down").wait_for()
        page.unroute("**/readyz")
        page.wait_for_selector(READY)
        assert page.input_value("#model") == "mini"
    finally:
        context.close()


@pytest.mark.parametrize("windows", [False, True])
def test_the_copied_call_gives_the_same_result(
    opened: Opened, windows: bool, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    page = asked(opened(permissions=["clipboard-read", "clipboard-write"]), "")
    page.set_input_files("#file", {"name": "a.json", "mimeType": "", "buffer": json.dumps(NASTY).encode()})
    page.wait_for_selector("#attached:not([hidden])")
    page.fill("#query", NASTY[0])
    page.set_checked("#windows", windows)
    with page.expect_response("**/v1/rerank") as seen:
        page.click("#run")
    wanted = [(one["index"], one["relevance_score"]) for one in seen.value.json()["results"]]
    page.wait_for_selector(".row")
    page.click("#copy")
    curl = page.evaluate("navigator.clipboard.readText()")
    assert curl == code_of(page, "curl")
    assert not [sign for sign in curl if sign != "\n" and not sign.isprintable()]
    if shutil.which("curl") and shutil.which("bash"):
        # A home whose name would change the query if the shell expanded anything.
        environment = {**os.environ, "HOME": "/canary"}
        printed = subprocess.run(["bash", "-c", curl], capture_output=True, check=True, env=environment)
        answer = json.loads(printed.stdout)
        assert [(one["index"], pytest.approx(one["relevance_score"], abs=1e-6)) for one in answer["results"]] == wanted
    pytest.importorskip("httpx")
    capsys.readouterr()
    exec(compile(code_of(page, "Python"), "copied", "exec"), {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(int(index), pytest.approx(float(score), abs=1e-6)) for index, score in lines] == wanted


@pytest.mark.parametrize(
    ("name", "package"),
    [("LlamaIndex", "llama_index.postprocessor.jinaai_rerank"), ("LangChain", "langchain_cohere")],
)
def test_the_copied_call_runs_in_frameworks(
    opened: Opened, locked_url: str, name: str, package: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    pytest.importorskip(package)
    monkeypatch.setenv("RERANK_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    page = opened(locked_url)
    unlock(page)
    asked(page, "")
    page.set_input_files("#file", {"name": "a.json", "mimeType": "", "buffer": json.dumps(NASTY).encode()})
    page.wait_for_selector("#attached:not([hidden])")
    page.fill("#query", NASTY[0])
    with page.expect_response("**/v1/rerank") as seen:
        page.click("#run")
    results = seen.value.json()["results"]
    page.wait_for_selector(".row")
    capsys.readouterr()
    exec(compile(code_of(page, name), "copied", "exec"), {})
    printed = capsys.readouterr().out
    places = [printed.index(f"{NASTY[one['index']]}\n") for one in results]
    assert places == sorted(places)
    assert float(printed.split()[0]) == pytest.approx(results[0]["relevance_score"], abs=1e-6)
