// One model's ranking as a list: places before and after, scores, the window that decided, the words that carried it.

import { el, Points } from "./dom.js";
import { t } from "./words.js";

const SHORT = 480, BEFORE = 120, LEVELS = 5, NAMED = 5;

function decimal(value, digits) {
  if (!Number.isFinite(value) || Math.abs(value) > 1e30) return "–";
  return Math.abs(value) < 10 ** -digits && value !== 0 ? value.toExponential(1) : value.toFixed(digits);
}

function movement(before, after) {
  const by = before - after;
  const [sign, words, kind] = by > 0 ? ["▲", t("up", by), "up"] : by < 0 ? ["▼", t("down", -by), "down"] : ["=", t("same"), "same"];
  return el("span", { class: `move ${kind}` },
    el("span", { "aria-hidden": "true" }, by ? `${sign} ${Math.abs(by)}` : sign), el("span", { class: "unseen" }, words),
    by ? el("span", { class: "was" }, t("was", before)) : "");
}

function score(result) {
  const chance = result.relevance_score;
  const bar = el("span", { class: "fill" });
  bar.style.width = `${Math.round(100 * Math.min(1, Math.max(0, chance)))}%`;
  const raw = result.x_rerank_plugins?.raw_score;
  return el("div", { class: "score" },
    el("span", { class: "bar", "aria-hidden": "true" }, bar),
    el("span", { class: "number" }, el("span", { class: "unseen" }, `${t("probability")} `), decimal(chance, 3)),
    raw === undefined ? "" : el("span", { class: "muted raw" }, t("raw", decimal(raw, 2))));
}

/** Return a document's text: as much as is easily seen, or all; the window marked. */
function plainText(points, window, isWhole) {
  const [start, end] = window ? [window.start, window.end] : [0, points.length];
  const from = isWhole ? 0 : Math.max(0, start - BEFORE);
  const to = isWhole ? points.length : Math.min(points.length, Math.max(from + SHORT, start + SHORT));
  const nodes = [from > 0 ? "… " : "", points.slice(from, Math.min(start, to))];
  const inside = points.slice(start, Math.min(end, to));
  nodes.push(window ? el("mark", { class: "window" }, inside) : inside, end < to ? points.slice(end, to) : "");
  if (to < points.length) nodes.push(" …");
  return nodes;
}

function level(drop, most) {
  if (!(most > 0) || Math.abs(drop) < most / (2 * LEVELS)) return null;
  return String(Math.min(LEVELS, Math.ceil((LEVELS * Math.abs(drop)) / most)));
}

/** Return a document's text with each word as strong as what it gave to the score. */
function weighedText(points, found) {
  const most = Math.max(...found.spans.map((one) => Math.abs(one.drop)), 0);
  const nodes = [];
  let at = 0;
  for (const { start, end, drop } of found.spans) {
    nodes.push(points.slice(at, start));
    const strength = level(drop, most);
    const text = points.slice(start, end);
    const attributes = { class: drop < 0 ? "word against" : "word", "data-level": strength, title: `${drop > 0 ? "+" : ""}${decimal(drop, 2)}` };
    nodes.push(strength === null ? text : el("span", attributes, text));
    at = end;
  }
  nodes.push(points.slice(at));
  return nodes;
}

function topWords(points, found) {
  const top = found.spans.filter((one) => one.drop > 0).sort((a, b) => b.drop - a.drop).slice(0, NAMED);
  if (!top.length) return t("wordsNone");
  return `${t("wordsTop")} ${top.map((one) => `${points.slice(one.start, one.end)} (+${decimal(one.drop, 2)})`).join(" · ")}`;
}

/** One document of a ranking. */
class Row {
  constructor(result, rank, { document, others, explain }) {
    Object.assign(this, { result, rank, others, explain });
    this.points = new Points(document);
    this.window = result.x_rerank_plugins?.window ?? null;
    this.isWhole = this.points.length <= SHORT + BEFORE;
    this.isLong = !this.isWhole;
    this.found = null;
    this.isOpen = false;
    this.node = el("li", { class: "row", "data-index": String(result.index) });
    this.draw();
  }

  draw() {
    this.text = el("p", { class: "text", dir: "auto" });
    this.note = el("p", { class: "muted note" });
    this.moreButton = el("button", { type: "button", class: "link", hidden: !this.isLong, click: () => this.toggleMore() });
    this.wordsButton = el("button", { type: "button", class: "link words", click: () => this.toggleWords() });
    const others = this.others.map(([name, rank]) => el("span", { class: "chip" }, t("rankIn", name, rank)));
    this.node.replaceChildren(
      el("div", { class: "place" }, el("span", { class: "rank" }, el("span", { class: "unseen" }, t("rank", this.rank)),
        el("span", { "aria-hidden": "true" }, String(this.rank))), movement(this.result.index + 1, this.rank)),
      el("div", { class: "what" }, score(this.result), this.text, this.note,
        el("div", { class: "line start wrap" }, this.wordsButton, this.moreButton, ...others)));
    this.fill();
  }

  fill() {
    const isWeighed = this.isOpen && this.found !== null;
    this.text.replaceChildren(...(isWeighed ? weighedText(this.points, this.found) : plainText(this.points, this.window, this.isWhole)));
    this.note.textContent = isWeighed ? `${topWords(this.points, this.found)}\n${t(this.found.method)}` : this.windowNote();
    this.note.hidden = !this.note.textContent;
    this.moreButton.textContent = t(this.isWhole ? "less" : "more");
    this.moreButton.hidden = !this.isLong || isWeighed;
    this.moreButton.setAttribute("aria-expanded", String(this.isWhole));
    this.wordsButton.textContent = t(isWeighed ? "wordsHide" : "words");
    this.wordsButton.setAttribute("aria-expanded", String(isWeighed));
  }

  windowNote() {
    const isCut = this.result.x_rerank_plugins?.truncated === true;
    if (this.window) return t(isCut && this.window.start === 0 ? "cut" : "window");
    return isCut ? t("unread") : "";
  }

  toggleMore() {
    this.isWhole = !this.isWhole;
    this.fill();
  }

  async toggleWords() {
    if (this.isOpen) {
      this.isOpen = false;
      this.fill();
      return;
    }
    if (this.found === null) {
      this.wordsButton.disabled = true;
      this.wordsButton.textContent = t("wordsBusy");
      try {
        this.found = await this.explain(this.points.text, () => this.toggleWords());
      } finally {
        this.wordsButton.disabled = false;
        this.isOpen = this.found !== null;
        this.fill();
        this.wordsButton.focus();
      }
      return;
    }
    this.isOpen = true;
    this.fill();
  }
}

function timesLine(times) {
  const parts = [];
  if (times.total !== null) parts.push(t("total", times.total) + (times.model === null ? "" : ` (${t("stages", times.tokenize, times.queue, times.model)})`));
  parts.push(t("trip", Math.round(times.trip)));
  if (times.tokens !== null) parts.push(t("tokens", times.tokens));
  return parts.join(" · ");
}

/** Return the column of one model. `runs` are the rankings of all models, this one included. */
export function column(run, runs, explain) {
  const others = runs.filter((one) => one !== run);
  const rows = run.results.map((result, place) => new Row(result, place + 1, {
    document: run.documents[result.index],
    others: others.map((one) => [one.model, one.results.findIndex((found) => found.index === result.index) + 1]),
    explain: (document, again) => explain(run, document, again) }));
  const list = el("ol", { class: "rows" }, ...rows.map((row) => row.node));
  const head = el("div", { class: "column-head" }, el("h3", {}, run.model), el("p", { class: "muted times" }, timesLine(run.times)));
  const redraw = () => {
    head.querySelector(".times").textContent = timesLine(run.times);
    for (const row of rows) row.draw();
  };
  return { node: el("section", { class: "column", "data-model": run.model }, head, list), redraw };
}

/** Return whether two rankings agree on the first, and the share of pairs in the same order, in percent. */
export function agreement([first, second]) {
  const place = new Map(second.results.map((result, at) => [result.index, at]));
  const places = first.results.map((result) => place.get(result.index));
  let same = 0, all = 0;
  for (let a = 0; a < places.length; a += 1) for (let b = a + 1; b < places.length; b += 1) { all += 1; same += places[a] < places[b]; }
  return { first: places[0] === 0, percent: all ? Math.round((100 * same) / all) : 100 };
}
