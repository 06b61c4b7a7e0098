// Requests to this page's own server. The key lives in this module's memory and nowhere else.

const GRACE_MS = 5_000, LONGEST_MS = 2 ** 31 - 1 - GRACE_MS;
let lateMs = 60_000;
let key = "";

/** Why there is no result: `kind` names the words that tell it, `detail` is what the server said. */
export class Trouble extends Error {
  constructor(kind, { status = 0, detail = "", retryAfter = null } = {}) {
    super(kind);
    Object.assign(this, { kind, status, detail, retryAfter });
  }
}

export const setKey = (value) => { key = value; };
export const hasKey = () => key !== "";
/** Seconds after which the server gives a request up: its own, once the list of its models has told it. */
export const deadlineSeconds = () => Math.ceil(lateMs / 1_000);
/** Whether a header can carry it. */
export const isKey = (value) => /^[\x21-\x7e]+$/.test(value);
/** Addresses are relative, so that a proxy may put the server below a path. */
export const addressOf = (path) => new URL(path, document.baseURI).href;

const KINDS = { 400: "invalid", 401: "unauthorized", 403: "unauthorized", 404: "unknown", 408: "late", 413: "tooLarge", 422: "invalid",
  429: "busy", 503: "loading", 504: "late" };

function detailOf(answer) {
  const found = answer?.detail ?? answer?.message ?? answer?.error?.message ?? answer?.error ?? answer?.status;
  return typeof found === "string" ? found : "";
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return null;
  }
}

function troubleOf(response, answer) {
  const seconds = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  return new Trouble(KINDS[response.status] ?? (response.status >= 500 ? "failed" : "invalid"), {
    status: response.status, detail: detailOf(answer), retryAfter: Number.isFinite(seconds) ? seconds : null });
}

async function exchange(path, init, signal) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort("late"), lateMs + GRACE_MS);
  const stop = () => limit.abort("cancelled");
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  try {
    const response = await fetch(addressOf(path), { ...init, signal: limit.signal, cache: "no-store", redirect: "error" });
    const most = Number(response.headers.get("x-request-timeout-ms"));
    if (most > 0) lateMs = Math.min(most, LONGEST_MS);
    const answer = await json(response);
    if (!response.ok) throw troubleOf(response, answer);
    if (answer === null || typeof answer !== "object") throw new Trouble("strange", { status: response.status });
    return { answer, headers: response.headers };
  } catch (error) {
    if (error instanceof Trouble) throw error;
    if (limit.signal.aborted) throw new Trouble(limit.signal.reason === "late" ? "late" : "cancelled");
    throw new Trouble("offline");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

const auth = () => (key ? { authorization: `Bearer ${key}` } : {});

/** GET an object. */
export async function read(path, signal) {
  return (await exchange(path, { headers: { accept: "application/json", ...auth() } }, signal)).answer;
}

/** POST an object; returns the answer and what it took, in milliseconds. */
export async function ask(path, body, signal) {
  const headers = { "content-type": "application/json", "x-request-timeout-ms": String(lateMs), ...auth() };
  // Half of a pair of surrogates is no text; the server would refuse it.
  const sent = JSON.stringify(body, (_, value) => (typeof value === "string" && value.toWellFormed ? value.toWellFormed() : value));
  const started = performance.now();
  const found = await exchange(path, { method: "POST", headers, body: sent }, signal);
  const number = (name) => (found.headers.has(name) ? Number(found.headers.get(name)) : null);
  return { answer: found.answer, times: {
    trip: performance.now() - started, total: number("x-total-time"), tokenize: number("x-tokenization-time"),
    queue: number("x-queue-time"), model: number("x-inference-time"), tokens: number("x-compute-tokens") } };
}
