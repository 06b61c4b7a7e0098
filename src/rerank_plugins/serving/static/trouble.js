// What went wrong, in plain words, with the way out.

import { byId, el } from "./dom.js";
import { t, troubleWords } from "./words.js";

let shown = null;
let counting = 0;

export function clearTrouble() {
  clearInterval(counting);
  shown = null;
  byId("alert").replaceChildren();
}

/** Show a trouble of the server, and a button that does `again`: at once, or when the server has said. */
export function showTrouble(trouble, again) {
  clearTrouble();
  shown = { trouble, again };
  const [what, wayOut] = troubleWords(trouble.kind) ?? troubleWords("failed");
  const button = el("button", { type: "button", click: () => { clearTrouble(); void again(); } }, t("again"));
  byId("alert").append(el("div", { class: "trouble", "data-kind": trouble.kind }, el("p", {}, el("strong", {}, what), " ", wayOut),
    trouble.detail ? el("p", { class: "muted" }, `${t("said")} ${trouble.detail}`) : "", button));
  if (trouble.retryAfter) countDown(button, trouble.retryAfter);
  bringIntoView(byId("alert"));
}

/** Show what the person at the keyboard should do first. */
export function complain(words, field) {
  clearTrouble();
  byId("alert").append(el("div", { class: "trouble" }, el("p", {}, words)));
  bringIntoView(byId("alert"));
  field?.focus({ preventScroll: true });
}

/** Say it again, in the language of now. */
export function repeatTrouble() {
  if (shown) showTrouble(shown.trouble, shown.again);
}

/** On a narrow screen what is new stands below the form. */
export function bringIntoView(node) {
  if (node.getBoundingClientRect().top > innerHeight * 0.5) node.scrollIntoView({ block: "start" });
}

function countDown(button, seconds) {
  const until = Date.now() + 1_000 * seconds;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1_000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? t("retryIn", left) : t("again");
    if (left <= 0) clearInterval(counting);
  };
  counting = setInterval(tick, 250);
  tick();
}
