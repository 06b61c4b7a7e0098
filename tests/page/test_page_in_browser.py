"""What a person sees and does on the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

Opened = Callable[..., Any]

READY = '#health[data-state="ready"]'
HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(2)> plants &amp; food"


def ready(page: Any) -> Any:
    page.wait_for_selector(READY, timeout=120_000)
    return page


def rank(page: Any, query: str, documents: list[str]) -> None:
    ready(page)
    page.fill("#query", query)
    page.fill("#documents", "\n".join(documents))
    page.click("#run")
    page.wait_for_selector(".row")


def api(page: Any, path: str, body: dict[str, Any]) -> Any:
    response = page.request.post(page.url + path, data=body)
    assert response.ok, response.text()
    return response.json()


def test_the_example_is_ranked_with_places_scores_and_times(opened: Opened, url: str) -> None:
    page = ready(opened())
    page.click("#example")
    assert page.inner_text("#count") == "5 documents"
    page.click("#run")
    page.wait_for_selector(".row")
    rows = page.locator(".row")
    assert rows.count() == 5
    best = rows.first
    assert "Photosynthesis" in best.inner_text()
    assert best.get_attribute("data-index") == "2"
    assert best.locator(".move span").all_text_contents() == ["▲ 2", "up 2", "was 3"]
    asked = {"query": page.input_value("#query"), "documents": page.input_value("#documents").split("\n")}
    scores = [one["relevance_score"] for one in api(page, "v1/rerank", asked)["results"]]
    shown = [float(text.split()[-1]) for text in rows.locator(".number").all_text_contents()]
    assert shown == pytest.approx(scores, abs=6e-4)
    times = r"server \d+ ms \(tokenize \d+, wait \d+, model \d+\) · round trip \d+ ms · \d+ tokens"
    assert re.fullmatch(times, page.inner_text(".times"))
    assert re.fullmatch(r"5 documents ranked in \d+ ms\.", page.inner_text("#status"))
    assert page.complaints == []
    assert {one.split("/")[2] for one in page.loaded} == {url.split("/")[2]}


def test_documents_are_texts_and_never_markup(opened: Opened) -> None:
    page = opened()
    rank(page, f"what do plants do? {HOSTILE}", [HOSTILE, "plants make food <b>here</b>"])
    for button in page.locator(".words").all():
        button.click()
    page.wait_for_selector(".word")
    for name in ("curl", "Python", "LlamaIndex", "LangChain"):
        page.click(f"#tab-{name}")
    assert sorted(text.strip() for text in page.locator(".text").all_text_contents()) == sorted(
        [HOSTILE, "plants make food <b>here</b>"]
    )
    assert page.locator("#results script, #results img, #results b").count() == 0
    assert page.complaints == []


INJECTED = """() => {
  const tried = (what) => { try { what(); return "done"; } catch (error) { return error.name; } };
  const inline = document.createElement("script"), foreign = document.createElement("img");
  return [
    tried(() => { document.body.innerHTML = "<img>"; }),
    tried(() => { inline.text = "window.bad = 1"; }),
    tried(() => { document.createElement("div").setAttribute("onclick", "window.bad = 1"); }),
    tried(() => { foreign.src = "data:image/gif;base64,R0lGODlhAQABAAAAACw="; document.body.append(foreign); }),
    window.bad ?? null,
  ];
}"""


def test_an_injected_script_would_not_run(opened: Opened) -> None:
    page = ready(opened())
    with page.expect_console_message(lambda told: "Content Security Policy" in told.text and "img-src" in told.text):
        found = page.evaluate(INJECTED)
    assert found == ["TypeError", "TypeError", "TypeError", "done", None]


def test_words_are_weighed_and_named(opened: Opened) -> None:
    page = opened()
    document = "😀😀 Photosynthesis is how plants make food from light."
    rank(page, "how do plants make food", [document, "A train goes by."])
    page.locator(".words").first.click()
    page.wait_for_selector(".word")
    found = api(page, "v1/explain", {"model": "mini", "query": "how do plants make food", "document": document})
    best = max(found["spans"], key=lambda one: one["drop"])
    word = document[best["start"] : best["end"]]
    assert page.locator('.word[data-level="5"]').first.text_content() == word
    assert page.inner_text(".note").startswith(f"Most of the score: {word} (+{best['drop']:.2f})")
    button = page.locator(".words").first
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert page.locator(".word").count() == 0


def test_the_window_that_decided_is_marked_where_the_server_says(opened: Opened) -> None:
    page = ready(opened())
    document = (
        "🐼 A train goes by. " * 150 + "Photosynthesis is how plants make food from light. " + "Cars are fast. " * 150
    )
    query = "how do plants make food"
    page.check("#windows")
    rank(page, query, [document, "Short."])
    body = {"query": query, "documents": [document.strip()], "max_chunks_per_doc": 64, "x_rerank_plugins": True}
    window = api(page, "v1/rerank", body)["results"][0]["x_rerank_plugins"]["window"]
    row = page.locator('.row[data-index="0"]')
    row.get_by_role("button", name="Show all").click()
    assert row.locator("mark").text_content() == document[window["start"] : window["end"]]
    assert row.locator(".text").text_content() == document.strip()
    assert "window decided" in row.inner_text()


def test_two_models_stand_side_by_side(opened: Opened) -> None:
    page = ready(opened())
    page.select_option("#second", "mini-zh")
    page.click("#example")
    page.click("#run")
    page.wait_for_selector('.column[data-model="mini-zh"]')
    boxes = [page.locator(".column").nth(place).bounding_box() for place in (0, 1)]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    orders = [
        [int(row.get_attribute("data-index")) for row in page.locator(f'[data-model="{name}"] .row').all()]
        for name in ("mini", "mini-zh")
    ]
    chips = page.locator('[data-model="mini"] .chip').all_text_contents()
    assert chips == [f"mini-zh: {orders[1].index(index) + 1}" for index in orders[0]]
    pairs = [(a, b) for at, a in enumerate(orders[0]) for b in orders[0][at + 1 :]]
    same = sum(orders[1].index(a) < orders[1].index(b) for a, b in pairs)
    assert f"{round(100 * same / len(pairs))} % of all pairs" in page.inner_text("#agreement")
    page.set_viewport_size({"width": 600, "height": 900})
    assert page.locator(".column").nth(1).bounding_box()["y"] > page.locator(".column").nth(0).bounding_box()["y"]


def test_keyboard_alone_is_enough(opened: Opened) -> None:
    page = ready(opened())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#query")
    page.keyboard.type("plants")
    page.keyboard.press("Tab")
    page.keyboard.type("plants make food\ntrains")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".row")
    page.focus("#tab-curl")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-Python"
    assert page.get_attribute("#tab-Python", "aria-selected") == "true"
    assert page.inner_text("#snippet").startswith("import httpx")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.id") == "tab-LangChain"
    page.locator(".words").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".words[aria-expanded=true]")
    assert page.evaluate("document.activeElement.classList.contains('words')")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_chinese_by_the_browsers_language_and_by_the_switch(opened: Opened) -> None:
    page = ready(opened(locale="zh-CN"))
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.inner_text("#run") == "排序"
    page.select_option("#model", "mini-zh")
    page.click("#example")
    page.click("#run")
    page.wait_for_selector(".row")
    assert "光合作用" in page.locator(".row").first.inner_text()
    page.locator(".words").first.click()
    page.wait_for_selector(".word")
    page.click("#language")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.inner_text("#run") == "Rank"
    assert "documents ranked in" in page.inner_text("#status")
    seen = page.evaluate("""() => [...document.querySelectorAll('[data-t], .link, .move, .note, .times, .health')]
        .filter((one) => one.id !== 'language').map((one) => one.textContent).join(' ')""")
    assert re.findall(r"[\u4e00-\u9fff]", re.sub(r"Most of the score:.*", "", seen)) == []
    assert opened(locale="fr-FR").evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_narrow_screen_needs_no_scrolling_sideways(opened: Opened, locale: str) -> None:
    page = ready(opened(width=360, height=740, locale=locale))
    page.select_option("#second", "mini-zh")
    page.click("#example")
    page.fill("#documents", page.input_value("#documents") + "\n" + "w" * 400)
    page.click("#run")
    page.wait_for_selector('.column[data-model="mini-zh"]')
    page.locator(".words").first.click()
    page.wait_for_selector(".word")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.getElementById('results').getBoundingClientRect().top < innerHeight")


LUMINANCE = """(pairs) => pairs.map(([front, back]) => {
  const probe = document.createElement('i'); document.body.append(probe);
  const light = (name) => { probe.style.color = `var(${name})`;
    const [r, g, b] = getComputedStyle(probe).color.match(/[0-9.]+/g).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
  return [front, back, (a + 0.05) / (b + 0.05)]; })"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast_in_light_and_dark(opened: Opened, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    grounds = ("--ground", "--panel")
    pairs = [(front, back) for front in ("--ink", "--muted", "--accent", "--up", "--down") for back in grounds]
    pairs += [("--on-accent", "--accent"), ("--ink", "--window"), ("--ink", "--bad-soft"), ("--bad", "--bad-soft")]
    pairs += [("--ink", "--soft"), ("--muted", "--bad-soft"), ("--bad", "--panel"), ("--ink", "--field")]
    low = [one for one in page.evaluate(LUMINANCE, pairs) if one[2] < 4.5]
    assert low == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 27)"
    assert dark == (scheme == "dark")


def test_every_field_has_a_label_and_nothing_moves_for_those_who_ask(opened: Opened) -> None:
    page = ready(opened(reduced_motion="reduce"))
    nameless = page.evaluate("""() => [...document.querySelectorAll('input, textarea, select')]
        .filter((one) => !one.labels.length).map((one) => one.id)""")
    assert nameless == []
    page.click("#example")
    page.click("#run")
    page.wait_for_selector(".row")
    assert page.evaluate("getComputedStyle(document.querySelector('.fill')).transitionDuration") == "0s"
    roles = page.evaluate("['status', 'alert', 'health'].map((id) => document.getElementById(id).getAttribute('role'))")
    assert roles == ["status", "alert", "status"]


FILES = {
    "a.txt": ("one\n\ntwo\n", ["one", "two"]),
    "b.jsonl": ('"one"\n{"text": "two\\n\\nlines"}\n{"page_content": "three"}\n', ["one", "two\n\nlines", "three"]),
    "c.json": ('{"query": "from file", "documents": ["one", {"text": "two"}]}', ["one", "two"]),
    "d.json": ('["one", {"content": "two"}]', ["one", "two"]),
    "e.csv": ('id,text\r\n1,"one, ""quoted""\nline"\r\n2,two\r\n', ['one, "quoted"\nline', "two"]),
    "f.csv": ("one\ntwo\n", ["one", "two"]),
    "g.csv": ("text;id\neins, zwei;1\ndrei;2\n", ["eins, zwei", "drei"]),
}


@pytest.mark.parametrize("name", FILES)
def test_files_become_documents(opened: Opened, name: str) -> None:
    page = ready(opened())
    text, wanted = FILES[name]
    page.set_input_files("#file", {"name": name, "mimeType": "text/plain", "buffer": b"\xef\xbb\xbf" + text.encode()})
    page.locator(f'#count:text-is("{len(wanted)} documents")').wait_for()
    if name == "c.json":
        assert page.input_value("#query") == "from file"
    page.fill("#query", "one")
    with page.expect_request("**/v1/rerank") as sent:
        page.click("#run")
    assert json.loads(sent.value.post_data)["documents"] == wanted


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'"one"\n{broken\n', "Line 2 of a.jsonl"),
        ("a.json", b"{", "no valid JSON"),
        ("a.json", b"7", "no list of documents"),
        ("a.json", b"null", "no list of documents"),
        ("a.json", b'["a", 7]', "Document 2 of a.json has no text"),
        ("a.json", b"[]", "holds no document"),
        ("a.csv", b"", "holds no document"),
        ("a.txt", b"caf\xe9", "UTF-8"),
        ("<b>.pdf", b"x", "<b>.pdf is of no known kind"),
    ],
)
def test_files_that_cannot_be_read_say_why(opened: Opened, name: str, content: bytes, says: str) -> None:
    page = ready(opened())
    page.set_input_files("#file", {"name": name, "mimeType": "application/octet-stream", "buffer": content})
    page.wait_for_selector(".trouble")
    assert says in page.inner_text("#alert")
    assert page.complaints == []


DROP = """() => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(['"one"\\n"two"\\n"three"\\n'], "x.jsonl"));
  const dropped = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(dropped);
}"""


def test_a_file_is_dropped_and_taken_away_again(opened: Opened) -> None:
    page = ready(opened())
    page.evaluate(DROP)
    page.wait_for_selector("#attached:not([hidden])")
    assert page.inner_text("#attached-name") == "x.jsonl · 3 documents"
    page.click("#detach")
    assert page.is_visible("#documents")
    assert page.inner_text("#count") == ""


def test_documents_are_split_at_lines_or_at_blank_lines(opened: Opened) -> None:
    page = ready(opened())
    page.fill("#documents", "one\nstill one\n\n \ntwo\r\n")
    assert page.inner_text("#count") == "3 documents"
    page.check('input[value="blank"]')
    assert page.inner_text("#count") == "2 documents"
    page.click("#run")
    assert page.inner_text("#alert") == "Write a query first."
    assert page.evaluate("document.activeElement.id") == "query"
    page.fill("#query", "q")
    page.fill("#documents", " \n")
    page.click("#run")
    assert "at least one document" in page.inner_text("#alert")
