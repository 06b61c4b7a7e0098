// Documents out of what was pasted or dropped. Everything stays in the browser until "Rank".

const TEXT_KEYS = ["text", "document", "content", "page_content", "passage", "body", "doc", "chunk", "contents", "内容", "文本"];
const LIST_KEYS = ["documents", "passages", "texts", "docs", "contexts", "chunks", "data", "items"];
const QUERY_KEYS = ["query", "question"];
const LARGEST_BYTES = 64_000_000;

/** A file that cannot be read: `word` names the words that tell it. */
export class FileTrouble extends Error {
  constructor(word, ...facts) {
    super(word);
    Object.assign(this, { word, facts });
  }
}

/** Return the documents of a pasted text; blank ones are left out. */
export function splitText(text, how) {
  const pieces = how === "blank" ? text.split(/\r?\n(?:[^\S\n]*\r?\n)+/) : text.split(/\r?\n/);
  return pieces.map((piece) => piece.trim()).filter(Boolean);
}

/** Return {text} of a plain file, or {documents, query} of one with a structure. */
export async function readFile(file) {
  if (file.size > LARGEST_BYTES) throw new FileTrouble("fileLarge", file.name);
  const text = decode(new Uint8Array(await file.arrayBuffer()), file.name);
  const ending = file.name.toLowerCase().split(".").pop();
  if (ending === "jsonl" || ending === "ndjson") return checked(fromLines(text, file.name), file.name);
  if (ending === "json") return checked(fromJson(text, file.name), file.name);
  if (ending === "csv" || ending === "tsv") return checked({ documents: fromTable(text) }, file.name);
  if (ending === "txt" || ending === "md" || file.type.startsWith("text/")) return { text };
  throw new FileTrouble("fileKind", file.name);
}

function checked(found, name) {
  if (!found.documents.length) throw new FileTrouble("fileEmpty", name);
  return found;
}

function decode(bytes, name) {
  const mark = `${bytes[0]} ${bytes[1]}`;
  const encoding = mark === "255 254" ? "utf-16le" : mark === "254 255" ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new FileTrouble("fileEncoding", name);
  }
}

function textOf(value) {
  if (typeof value === "string") return value;
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  for (const key of TEXT_KEYS) if (typeof value[key] === "string") return value[key];
  return null;
}

function textsOf(values, name) {
  return values.map((value, place) => {
    const text = textOf(value);
    if (text === null) throw new FileTrouble("fileNoText", name, place + 1);
    return text;
  });
}

function fromLines(text, name) {
  const values = [];
  text.split(/\r?\n/).forEach((line, place) => {
    if (!line.trim()) return;
    try {
      values.push(JSON.parse(line));
    } catch {
      throw new FileTrouble("fileLine", name, place + 1);
    }
  });
  return { documents: textsOf(values, name) };
}

function fromJson(text, name) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FileTrouble("fileJson", name);
  }
  if (Array.isArray(value)) return { documents: textsOf(value, name) };
  const list = LIST_KEYS.find((key) => Array.isArray(value?.[key]));
  if (list === undefined) throw new FileTrouble("fileList", name);
  const query = QUERY_KEYS.map((key) => value[key]).find((one) => typeof one === "string");
  return { documents: textsOf(value[list], name), query };
}

function fromTable(text) {
  const first = text.split(/\r?\n/, 1)[0];
  const mark = [",", ";", "\t"].reduce((best, one) => (first.split(one).length > first.split(best).length ? one : best));
  const rows = rowsOf(text, mark).filter((row) => row.some((cell) => cell.trim()));
  const head = (rows[0] ?? []).map((cell) => cell.trim().toLowerCase());
  const column = TEXT_KEYS.map((key) => head.indexOf(key)).find((place) => place >= 0);
  const body = column === undefined ? rows : rows.slice(1);
  return body.map((row) => row[column ?? 0] ?? "").filter((cell) => cell.trim());
}

/** Return the cells of each row, as RFC 4180 quotes them: a cell in quotes may hold marks, line ends and doubled quotes. */
function rowsOf(text, mark) {
  const rows = [[]];
  let cell = "", quoted = false;
  const closeCell = () => { rows.at(-1).push(cell); cell = ""; };
  for (let place = 0; place < text.length; place += 1) {
    const sign = text[place];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[place + 1] === '"') { cell += '"'; place += 1; } else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === mark) closeCell();
    else if (sign === "\n") { closeCell(); rows.push([]); } else if (sign !== "\r" || text[place + 1] !== "\n") cell += sign;
  }
  closeCell();
  return rows;
}
