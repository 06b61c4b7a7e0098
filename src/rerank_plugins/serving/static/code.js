// The call as code: tabs, and a button that copies.

import { byId, el } from "./dom.js";
import { SNIPPETS } from "./snippets.js";
import { t } from "./words.js";

const COPIED_MS = 2_000;
const NAMES = Object.keys(SNIPPETS);
let chosen = NAMES[0];
let call = null;

/** Make the tabs; `say` tells what was done. */
export function makeTabs(say) {
  byId("tabs").append(...NAMES.map((name) => el("button", { type: "button", role: "tab", id: `tab-${name}`, "data-tab": name,
    "aria-controls": "snippet", click: () => choose(name), keydown: move }, name)));
  byId("copy").addEventListener("click", () => void copy(say));
}

/** Show the code of a call. */
export function showCode(made) {
  call = made;
  byId("code").hidden = false;
  draw();
}

function draw() {
  for (const tab of byId("tabs").children) {
    const isChosen = tab.dataset.tab === chosen;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
  }
  byId("snippet").setAttribute("aria-labelledby", `tab-${chosen}`);
  byId("snippet").textContent = SNIPPETS[chosen](call);
}

function choose(name) {
  chosen = name;
  draw();
}

function move(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  choose(NAMES[(NAMES.indexOf(chosen) + by + NAMES.length) % NAMES.length]);
  byId(`tab-${chosen}`).focus();
}

async function copy(say) {
  try {
    await navigator.clipboard.writeText(byId("snippet").textContent);
    say(() => t("copied"));
    byId("copy").textContent = t("copied");
    setTimeout(() => { byId("copy").textContent = t("copy"); }, COPIED_MS);
  } catch {
    // Browsers give the clipboard to pages over HTTPS or on this machine only.
    getSelection().selectAllChildren(byId("snippet"));
    say(() => t("copyFailed"));
    byId("copy").textContent = "Ctrl + C";
  }
}
