"""The page at ``/``: its files, their headers, who is let in; and the endpoint that explains a score."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from served import Opened, client_of

from rerank_plugins.serving.app import serving_app
from rerank_plugins.serving.page import FILES
from rerank_plugins.serving.settings import ApiKeys, ServeSettings

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
KEY = "canary-77aa"
QUERY, DOCUMENT = "which animal eats bamboo", "the panda eats bamboo and sleeps"
PATHS = ["/", *(f"/page/{name}" for name in FILES if name != "index.html")]


def stored(name: str) -> bytes:
    return (files("rerank_plugins.serving") / "static" / name).read_bytes()


async def test_a_browser_gets_the_page_and_a_program_the_state_of_the_server(opened: Opened) -> None:
    async with opened() as client:
        page = await client.get("/", headers=BROWSER)
        probe = await client.get("/")
        tei = await client.post("/", json={"inputs": ["a"]}, headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.content == stored("index.html")
    assert page.headers["vary"] == "accept"
    assert (probe.status_code, probe.json()) == (200, {"status": "ready"})
    assert tei.status_code == 200


async def test_every_file_is_given_out_with_what_it_is_and_may_do(opened: Opened) -> None:
    async with opened() as client:
        for path in PATHS:
            response = await client.get(path, headers=BROWSER)
            name = path.removeprefix("/page/").strip("/") or "index.html"
            assert (response.status_code, response.headers["content-type"]) == (200, FILES[name]), path
            assert response.content == stored(name), path
            policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
            assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'", path
            assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'", path
            assert policy["require-trusted-types-for"] == "'script'", path
            assert "unsafe" not in str(policy), path
            assert response.headers["x-content-type-options"] == "nosniff", path
            assert response.headers["referrer-policy"] == "no-referrer", path
            assert response.headers["cache-control"] == "no-cache", path


@pytest.mark.parametrize("path", ["/", "/page/page.js"])
async def test_what_a_browser_has_is_not_sent_again(opened: Opened, path: str) -> None:
    async with opened() as client:
        first = await client.get(path, headers=BROWSER)
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await client.get(path, headers=BROWSER | {"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), known
            # A length would be one of the whole file; it may be left out, and must not be wrong.
            assert "content-length" not in again.headers, known
        other = await client.get(path, headers=BROWSER | {"if-none-match": '"other"'})
        head = await client.head(path, headers=BROWSER)
    assert (other.status_code, other.content) == (200, first.content)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)
    assert head.headers["content-length"] == str(len(first.content))


async def test_the_page_is_told_how_long_the_server_takes_at_most(opened: Opened) -> None:
    async with opened(limits={"deadline_s": 300.0}) as client:
        assert (await client.get("/v1/models")).headers["x-request-timeout-ms"] == "300000"
    script = stored("server.js").decode()
    assert 'response.headers.get("x-request-timeout-ms")' in script


async def test_the_page_opens_without_a_key_and_nothing_else_does(opened: Opened) -> None:
    async with opened(keys=ApiKeys([KEY])) as client:
        for path in PATHS:
            assert (await client.get(path, headers=BROWSER)).status_code == 200, path
            assert (await client.post(path, json={}, headers=BROWSER)).status_code == 401, path
        for path in ("/", "/page", "/page/", "/page/index.html", "/page/none.js", "/page/../app.py", "/page/page.js/"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.get("/v1/models", headers=BROWSER)).status_code == 401
        explained = await client.post("/v1/explain", json={"query": QUERY, "document": DOCUMENT})
    assert (explained.status_code, list(explained.json())) == (401, ["detail", "request_id"])


async def test_without_the_page_everything_is_as_it_was(opened: Opened) -> None:
    async with opened(page=False) as client:
        root = await client.get("/", headers=BROWSER)
        files_ = [await client.get(path, headers=BROWSER) for path in PATHS[1:]]
        nowhere = await client.get("/nowhere", headers=BROWSER)
    assert root.json() == {"status": "ready"}
    assert {response.status_code for response in files_} == {404}
    assert {response.json()["detail"] for response in files_} == {nowhere.json()["detail"]}


async def test_other_paths_are_404_with_the_page_too(opened: Opened) -> None:
    async with opened() as client:
        for path in (
            "/nowhere",
            "/page",
            "/page/",
            "/page/none.js",
            "/page/index.html",
            "/page/page.js/x",
            "/static/page.js",
        ):
            response = await client.get(path, headers=BROWSER)
            assert response.status_code == 404, path
            assert {"error", "detail", "message"} <= set(response.json()), path
        assert (await client.get("/v1/rerank", headers=BROWSER)).status_code == 405


async def test_the_page_is_there_while_the_model_loads(serve_settings: ServeSettings) -> None:
    app = serving_app(serve_settings)
    try:
        async with client_of(app) as client:
            page = await client.get("/", headers=BROWSER)
            probe = await client.get("/")
            explained = await client.post("/v1/explain", json={"query": QUERY, "document": DOCUMENT})
    finally:
        app.close()
    assert (page.status_code, probe.status_code) == (200, 503)
    assert (explained.status_code, explained.headers["retry-after"]) == (503, "5")


def test_the_files_of_the_table_are_those_of_the_package_and_name_no_other_host() -> None:
    folder = files("rerank_plugins.serving") / "static"
    assert {one.name for one in folder.iterdir()} == set(FILES)
    for name in FILES:
        text = stored(name).decode()
        # The name space of SVG is a name, not an address.
        addresses = re.findall(
            r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"']*", text.replace("http://www.w3.org/2000/svg", "")
        )
        assert addresses == [], name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            name
        )
        assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie|sendBeacon", text), name


def test_the_page_has_no_inline_script_or_style() -> None:
    page = stored("index.html").decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    for name in re.findall(r'(?:src|href)="page/([^"]+)"', page):
        assert name in FILES, name


def test_modules_load_only_what_is_given_out() -> None:
    for name in FILES:
        for loaded in re.findall(r'from "\./([^"]+)"', stored(name).decode()):
            assert loaded in FILES, (name, loaded)


def test_both_languages_have_the_same_words() -> None:
    words = stored("words.js").decode()
    english, chinese = words.split("const ZH = {")
    chinese, _ = chinese.split("const WORDS")
    key = re.compile(r"(?:^|[{,\s])([a-zA-Z]+): (?=[\"`(\[{])")
    assert set(key.findall(english.split("const EN = {")[1])) == set(key.findall(chinese))
    used = set(re.findall(r'data-t="([a-zA-Z]+)"', stored("index.html").decode()))
    for name in ("page.js", "results.js", "code.js", "trouble.js"):
        used |= set(re.findall(r'\bt\("([a-zA-Z]+)"', stored(name).decode()))
    used |= set(re.findall(r'FileTrouble\("([a-zA-Z]+)"', stored("files.js").decode()))
    assert used <= set(key.findall(chinese))


def test_the_wheel_holds_the_page(pytestconfig: pytest.Config) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")
    builder = wheel.WheelBuilder(str(pytestconfig.rootpath))
    inside = {one.distribution_path for one in builder.recurse_included_files()}
    assert {f"rerank_plugins/serving/static/{name}" for name in FILES} <= inside


async def test_an_explanation_tells_what_each_word_gave(opened: Opened) -> None:
    async with opened() as client:
        response = await client.post("/v1/explain", json={"model": "ranker", "query": QUERY, "document": DOCUMENT})
        ranked = await client.post(
            "/v1/rerank",
            json={"model": "ranker", "query": QUERY, "documents": [DOCUMENT], "x_rerank_plugins": True},
        )
    found, result = response.json(), ranked.json()["results"][0]
    assert response.status_code == 200
    assert (found["method"], found["window"], found["model"]) == ("occlusion", None, "ranker")
    assert [DOCUMENT[one["start"] : one["end"]] for one in found["spans"]] == DOCUMENT.split()
    assert found["relevance_score"] == pytest.approx(result["relevance_score"], abs=1e-6)
    assert found["raw_score"] == pytest.approx(result["x_rerank_plugins"]["raw_score"], abs=1e-5)
    assert int(response.headers["x-compute-tokens"]) > 0


async def test_an_explanation_of_a_long_document_is_of_its_window(opened: Opened) -> None:
    long = "\U0001f43c a train goes by. " * 60 + DOCUMENT
    async with opened() as client:
        body = {"query": QUERY, "document": long, "max_chunks_per_doc": 64, "max_spans": 8}
        found = (await client.post("/v1/explain", json=body)).json()
    window = found["window"]
    assert 2 <= len(found["spans"]) <= 8
    assert window["start"] <= found["spans"][0]["start"] < found["spans"][-1]["end"] <= window["end"] <= len(long)


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"document": ""}, 422, "at least two"),
        ({"document": "one"}, 422, "at least two"),
        ({"document": ["a b"]}, 422, "document must be a string"),
        ({"document": "a " * 100_001}, 422, "at most 200000 characters"),
        ({"query": None}, 422, "query is missing"),
        ({"max_spans": 1}, 422, "max_spans must be at least 2"),
        ({"max_spans": 257}, 422, "max_spans must be at most 256"),
        ({"model": "vectors"}, 404, "no reranker of that name"),
    ],
)
async def test_what_cannot_be_explained_is_refused(
    opened: Opened, change: dict[str, object], status: int, says: str
) -> None:
    async with opened() as client:
        response = await client.post("/v1/explain", json={"query": QUERY, "document": DOCUMENT} | change)
    assert response.status_code == status
    assert says in response.json()["detail"]


async def test_an_explanation_is_admitted_by_what_all_its_parts_cost(opened: Opened) -> None:
    document = "the panda eats bamboo " * 60
    async with opened() as client:
        few = await client.post("/v1/explain", json={"query": QUERY, "document": document, "max_spans": 2})
        many = await client.post("/v1/explain", json={"query": QUERY, "document": document, "max_spans": 64})
        late = await client.post(
            "/v1/explain",
            json={"query": QUERY, "document": document, "max_spans": 256},
            headers={"x-request-timeout-ms": "1"},
        )
    tokens = [int(response.headers["x-compute-tokens"]) for response in (few, many)]
    assert tokens[1] > 10 * tokens[0]
    assert late.status_code in {429, 504}
