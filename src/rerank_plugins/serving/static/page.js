// The page: reads the form, asks the server, shows what came of it.

import { byId, el } from "./dom.js";
import { FileTrouble, readFile, splitText } from "./files.js";
import { agreement, column } from "./results.js";
import { Trouble, ask, hasKey, isKey, read, setKey } from "./server.js";
import { SNIPPETS } from "./snippets.js";
import { otherLanguage, speak, t, troubleWords } from "./words.js";

const POLL_MS = 2_000, LONGEST_TEXT = 200_000, WINDOWS = 64;
const page = { attached: null, models: [], needsKey: false, running: null, runs: [], columns: [], call: null, tab: "curl", health: "loading", trouble: null, retry: 0, status: () => "" };

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

// Trouble

function clearTrouble() {
  clearInterval(page.retry);
  page.trouble = null;
  byId("alert").replaceChildren();
}

function showTrouble(trouble, again) {
  clearTrouble();
  page.trouble = [trouble, again];
  const [what, wayOut] = troubleWords(trouble.kind) ?? troubleWords("failed");
  const button = el("button", { type: "button", click: () => { clearTrouble(); again(); } }, t("again"));
  byId("alert").append(el("div", { class: "trouble", "data-kind": trouble.kind }, el("p", {}, el("strong", {}, what), " ", wayOut),
    trouble.detail ? el("p", { class: "muted" }, `${t("said")} ${trouble.detail}`) : "", button));
  if (trouble.retryAfter) countDown(button, trouble.retryAfter);
  if (trouble.kind === "unauthorized") askForKey(hasKey() ? "keyWrong" : "");
  if (trouble.kind === "loading") watchHealth();
}

function countDown(button, seconds) {
  const until = Date.now() + 1_000 * seconds;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1_000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? t("retryIn", left) : t("again");
    if (left <= 0) clearInterval(page.retry);
  };
  page.retry = setInterval(tick, 250);
  tick();
}

function complain(words, field) {
  clearTrouble();
  byId("alert").append(el("div", { class: "trouble" }, el("p", {}, words)));
  field?.focus();
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
    showTrouble(error, start);
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
        state = error.kind === "loading" ? "loading" : "unreachable";
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
    showTrouble(error, start);
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
    if (error.kind !== "cancelled") showTrouble(error, () => rank(call));
  } finally {
    setRunning(null);
  }
}

async function explain(run, document) {
  try {
    const body = { model: run.model, query: run.call.query, document, ...windowsOf(run.call) };
    const { answer } = await ask("v1/explain", body);
    clearTrouble();
    return answer;
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    showTrouble(error, clearTrouble);
    return null;
  }
}

function show(call, runs) {
  Object.assign(page, { runs, call, columns: runs.map((run) => column(run, runs, explain)) });
  byId("empty").hidden = true;
  byId("columns").replaceChildren(...page.columns.map((one) => one.node));
  byId("columns").dataset.n = String(runs.length);
  const spent = Math.round(runs.reduce((sum, run) => sum + run.times.trip, 0));
  say(() => t("done", call.documents.length, spent));
  showAgreement();
  byId("code").hidden = false;
  showSnippet();
}

function showAgreement() {
  byId("agreement").hidden = page.runs.length < 2;
  if (page.runs.length < 2) return;
  const found = agreement(page.runs);
  byId("agreement").textContent = t("agree", found.first, found.percent);
}

// Code

function showSnippet() {
  for (const tab of byId("tabs").children) {
    const isChosen = tab.dataset.tab === page.tab;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    if (isChosen) byId("snippet").setAttribute("aria-labelledby", tab.id);
  }
  byId("snippet").textContent = page.call ? SNIPPETS[page.tab](page.call) : "";
}

function chooseTab(name) {
  page.tab = name;
  showSnippet();
}

function moveTab(event) {
  const names = Object.keys(SNIPPETS);
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  chooseTab(names[(names.indexOf(page.tab) + by + names.length) % names.length]);
  byId(`tab-${page.tab}`).focus();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(byId("snippet").textContent);
    say(() => t("copied"));
  } catch {
    // Browsers give the clipboard to pages over HTTPS or on this machine only.
    getSelection().selectAllChildren(byId("snippet"));
    say(() => t("copyFailed"));
  }
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
  if (page.trouble) showTrouble(...page.trouble);
}

function on(id, event, handler) {
  byId(id).addEventListener(event, handler);
}

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

byId("tabs").append(...Object.keys(SNIPPETS).map((name) => el("button", { type: "button", role: "tab", id: `tab-${name}`,
  "data-tab": name, "aria-controls": "snippet", click: () => chooseTab(name), keydown: moveTab }, name)));
on("form", "submit", (event) => { event.preventDefault(); void submit(); });
on("form", "keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (!page.running) void submit(); }
});
on("documents", "input", showCount);
for (const radio of document.querySelectorAll('input[name="split"]')) radio.addEventListener("change", showCount);
on("file", "change", (event) => { const { files } = event.target; if (files.length) void take([...files]); event.target.value = ""; });
on("detach", "click", () => { attach("", null); byId("documents").focus(); });
on("example", "click", example);
on("copy", "click", () => void copy());
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
