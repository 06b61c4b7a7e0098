// The page: reads the form, asks the server, shows what came of it.

import { makeTabs, showCode } from "./code.js";
import { byId, el } from "./dom.js";
import { FileTrouble, readFile, splitText } from "./files.js";
import { agreement, column } from "./results.js";
import { Trouble, ask, hasKey, isKey, read, setKey } from "./server.js";
import { bringIntoView, clearTrouble, complain, repeatTrouble, showTrouble } from "./trouble.js";
import { otherLanguage, speak, t, troubleWords } from "./words.js";

const POLL_MS = 2_000, LONGEST_TEXT = 200_000, WINDOWS = 64;
const page = { attached: null, models: [], needsKey: false, running: null, runs: [], columns: [], health: "loading", status: () => "" };

const split = () => document.querySelector('input[name="split"]:checked').value;
const documents = () => page.attached?.documents ?? splitText(byId("documents").value, split());

function say(words) {
  page.status = words;
  byId("status").textContent = words();
}

function showHealth(state) {
  page.health = state;
  byId("health").dataset.state = state;
  byId("health").textContent = t(state);
}

function showCount() {
  const n = documents().length;
  byId("count").textContent = n ? t("count", n) : "";
  if (page.attached) byId("attached-name").textContent = t("attached", page.attached.name, n);
}

function attach(name, found) {
  page.attached = found ? { name, documents: found } : null;
  byId("attached").hidden = !found;
  byId("documents").hidden = Boolean(found);
  showCount();
}

/** Show why there is no result, and do what is to be done about it. */
function fail(trouble, again) {
  showTrouble(trouble, again);
  if (trouble.kind === "unauthorized") askForKey(hasKey() ? "keyWrong" : "");
  if (trouble.kind === "loading") void watchHealth().then(() => showHealth("ready"));
}

// Key

function askForKey(trouble) {
  byId("key-trouble").textContent = trouble ? t(trouble) : "";
  if (!byId("key-dialog").open) byId("key-dialog").showModal();
  byId("key").focus();
}

async function useKey() {
  const value = byId("key").value.trim();
  if (!isKey(value)) {
    askForKey(value ? "keySigns" : "keyEmpty");
    return;
  }
  setKey(value);
  try {
    await loadModels();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    if (error.kind === "unauthorized") {
      setKey("");
      askForKey("keyWrong");
      return;
    }
    fail(error, start);
  }
  byId("key").value = "";
  byId("key-dialog").close();
}

// Models

async function loadModels() {
  const { data } = await read("v1/models");
  page.models = data.filter((one) => one.kinds.includes("reranker")).map((one) => one.id);
  const kept = [byId("model").value, byId("second").value];
  byId("model").replaceChildren(...page.models.map((name) => el("option", { value: name }, name)));
  byId("second").replaceChildren(el("option", { value: "" }, t("none")), ...page.models.map((name) => el("option", { value: name }, name)));
  if (page.models.includes(kept[0])) byId("model").value = kept[0];
  if (page.models.includes(kept[1])) byId("second").value = kept[1];
  byId("second-box").hidden = page.models.length < 2;
  clearTrouble();
  showHealth(page.models.length ? "ready" : "noReranker");
  if (!page.models.length) showTrouble(new Trouble("noReranker"), start);
}

let watching = null;

/** Look every two seconds until the server is ready, and then for its models. */
function watchHealth() {
  watching ??= (async () => {
    for (;;) {
      let state = "ready";
      try {
        await read("readyz");
      } catch (error) {
        state = error.kind !== "loading" ? "unreachable" : error.detail === "draining" ? "draining" : "loading";
      }
      if (state === "ready") break;
      showHealth(state);
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  })().finally(() => { watching = null; });
  return watching;
}

async function start() {
  showHealth("loading");
  await watchHealth();
  try {
    page.needsKey = (await read("v1/cluster/auth")).auth;
    byId("key-button").hidden = !page.needsKey;
    if (page.needsKey && !hasKey()) {
      showHealth("locked");
      askForKey("");
    } else await loadModels();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    if (error.kind === "offline") showHealth("unreachable");
    fail(error, start);
  }
}

// Ranking

const windowsOf = (call) => (call.windows ? { max_chunks_per_doc: WINDOWS } : {});

function callOfForm() {
  const call = { query: byId("query").value.trim(), documents: documents(), windows: byId("windows").checked, needsKey: page.needsKey };
  const models = [byId("model").value, byId("second-box").hidden ? "" : byId("second").value];
  return { ...call, models: [...new Set(models.filter(Boolean))], model: models[0] };
}

async function submit() {
  if (page.running) {
    page.running.abort();
    return;
  }
  const call = callOfForm();
  if (!call.query) complain(t("needQuery"), byId("query"));
  else if (!call.documents.length) complain(t("needDocuments"), byId("documents"));
  else if (call.models.length) await rank(call);
  else await start();
}

function setRunning(controller) {
  page.running = controller;
  byId("run").dataset.t = controller ? "cancel" : "run";
  byId("run").textContent = t(byId("run").dataset.t);
  byId("results").setAttribute("aria-busy", String(Boolean(controller)));
}

async function rank(call) {
  clearTrouble();
  const controller = new AbortController();
  setRunning(controller);
  try {
    const runs = [];
    // One after the other, so that their times can be compared.
    for (const model of call.models) {
      say(() => t("running", model));
      const body = { model, query: call.query, documents: call.documents, return_documents: false, x_rerank_plugins: true, ...windowsOf(call) };
      const { answer, times } = await ask("v1/rerank", body, controller.signal);
      if (!Array.isArray(answer.results)) throw new Trouble("strange");
      runs.push({ model, times, results: answer.results, documents: call.documents, call });
    }
    show(call, runs);
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    say(() => (error.kind === "cancelled" ? t("cancelled") : ""));
    if (error.kind !== "cancelled") fail(error, () => rank(call));
  } finally {
    setRunning(null);
  }
}

async function explain(run, document, again) {
  try {
    const body = { model: run.model, query: run.call.query, document, ...windowsOf(run.call) };
    const { answer } = await ask("v1/explain", body);
    clearTrouble();
    return answer;
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    fail(error, again);
    return null;
  }
}

function show(call, runs) {
  Object.assign(page, { runs, columns: runs.map((run) => column(run, runs, explain)) });
  byId("empty").hidden = true;
  byId("columns").replaceChildren(...page.columns.map((one) => one.node));
  byId("columns").dataset.n = String(runs.length);
  const spent = Math.round(runs.reduce((sum, run) => sum + run.times.trip, 0));
  say(() => t("done", call.documents.length, spent));
  showAgreement();
  showCode(call);
  bringIntoView(byId("results"));
}

function showAgreement() {
  byId("agreement").hidden = page.runs.length < 2;
  if (page.runs.length < 2) return;
  const found = agreement(page.runs);
  byId("agreement").textContent = t("agree", found.first, found.percent);
}

// Files

async function take(files) {
  if (files.length !== 1) {
    complain(t("oneFile"));
    return;
  }
  try {
    const found = await readFile(files[0]);
    clearTrouble();
    if (found.query) byId("query").value = found.query;
    if (found.text === undefined) attach(files[0].name, found.documents);
    else if (found.text.length > LONGEST_TEXT) attach(files[0].name, splitText(found.text, split()));
    else {
      attach("", null);
      byId("documents").value = found.text;
    }
    showCount();
  } catch (error) {
    if (!(error instanceof FileTrouble)) throw error;
    complain(t(error.word, ...error.facts));
  }
}

function drop(event) {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const { files } = event.dataTransfer;
  if (files.length) void take(files);
}

function example() {
  attach("", null);
  byId("query").value = t("exampleQuery");
  document.querySelector('input[name="split"][value="line"]').checked = true;
  byId("documents").value = t("exampleDocuments").join("\n");
  showCount();
  byId("run").focus();
}

// All of it

function setLanguage(wanted) {
  speak(wanted);
  byId("language").textContent = otherLanguage() === "zh" ? "中文" : "English";
  byId("language").lang = otherLanguage();
  showHealth(page.health);
  showCount();
  say(page.status);
  if (byId("second").options.length) byId("second").options[0].textContent = t("none");
  for (const one of page.columns) one.redraw();
  showAgreement();
  repeatTrouble();
}

function on(id, event, handler) {
  byId(id).addEventListener(event, handler);
}

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

makeTabs(say);
on("form", "submit", (event) => { event.preventDefault(); void submit(); });
on("form", "keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (!page.running) void submit(); }
});
on("documents", "input", showCount);
for (const radio of document.querySelectorAll('input[name="split"]')) radio.addEventListener("change", showCount);
on("file", "change", (event) => { const { files } = event.target; if (files.length) void take([...files]); event.target.value = ""; });
on("detach", "click", () => { attach("", null); byId("documents").focus(); });
on("example", "click", example);
on("language", "click", () => setLanguage(otherLanguage()));
on("key-button", "click", () => askForKey(""));
on("key-cancel", "click", () => byId("key-dialog").close());
on("key-dialog", "close", () => { byId("key").value = ""; });
on("key-form", "submit", (event) => { event.preventDefault(); void useKey(); });
document.addEventListener("dragover", (event) => { if (hasFiles(event)) { event.preventDefault(); document.body.classList.add("dropping"); } });
document.addEventListener("dragleave", (event) => { if (event.relatedTarget === null) document.body.classList.remove("dropping"); });
document.addEventListener("drop", (event) => { if (hasFiles(event)) drop(event); });
setLanguage();
void start();
