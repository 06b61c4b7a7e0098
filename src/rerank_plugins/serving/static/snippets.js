// The call of the page as code to copy. A key is never in it: it names an environment variable.

import { addressOf, deadlineSeconds } from "./server.js";

const VARIABLE = "RERANK_API_KEY";
const HIDDEN = /[\u007f-\u009f\u2028\u2029\p{Cf}\p{Cs}]/gu;

/** Signs that are not seen, or that turn the direction of a line, are written as their numbers. */
const seen = (sign) => {
  const number = sign.codePointAt(0);
  return number > 0xffff ? `\\U${number.toString(16).padStart(8, "0")}` : `\\u${number.toString(16).padStart(4, "0")}`;
};
const seenJson = (sign) => Array.from({ length: sign.length }, (_, at) => `\\u${sign.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");

/** A literal of Python: JSON's escapes mean the same there. */
const py = (text) => JSON.stringify(text).replace(HIDDEN, seen);
const json = (value) => JSON.stringify(value, null, 2).replace(HIDDEN, seenJson);
/** A word of a POSIX shell. */
const sh = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const pyList = (texts, indent) => texts.map((text) => `${indent}${py(text)},\n`).join("");

function bodyOf(call) {
  const windows = call.windows ? { max_chunks_per_doc: 64 } : {};
  return { model: call.model, query: call.query, documents: call.documents, return_documents: false, ...windows };
}

function curl(call) {
  const key = call.needsKey ? `  -H "authorization: Bearer $${VARIABLE}" \\\n` : "";
  // A here-document in quotes: the shell changes nothing in it, and no line of JSON is its end.
  return `curl -sS ${sh(addressOf("v1/rerank"))} \\\n  -H 'content-type: application/json' \\\n${key}`
    + `  --data-binary @- <<'JSON'\n${json(bodyOf(call))}\nJSON\n`;
}

function python(call) {
  const more = call.windows ? '        "max_chunks_per_doc": 64,\n' : "";
  const head = call.needsKey ? "import os\n\nimport httpx\n" : "import httpx\n";
  const key = call.needsKey ? `    headers={"Authorization": f"Bearer {os.environ['${VARIABLE}']}"},\n` : "";
  return `${head}\nresponse = httpx.post(\n    ${py(addressOf("v1/rerank"))},\n${key}    json={\n`
    + `        "model": ${py(call.model)},\n        "query": ${py(call.query)},\n        "documents": [\n`
    + `${pyList(call.documents, " ".repeat(12))}        ],\n        "return_documents": False,\n${more}    },\n    timeout=${deadlineSeconds()},\n)\n`
    + `response.raise_for_status()\nfor result in response.json()["results"]:\n    print(result["index"], result["relevance_score"])\n`;
}

const keyOf = (call) => (call.needsKey ? `os.environ["${VARIABLE}"]` : '"none"');
const importOs = (call) => (call.needsKey ? "import os\n\n" : "");
const windowsNote = (call) => (call.windows ? "# Long documents: start the server with --long-documents maxp.\n" : "");
const inputs = (call) => `query = ${py(call.query)}\ndocuments = [\n${pyList(call.documents, "    ")}]\n`;

function llamaIndex(call) {
  return `# pip install llama-index-postprocessor-jinaai-rerank\n${windowsNote(call)}${importOs(call)}`
    + "from llama_index.core.schema import NodeWithScore, TextNode\n"
    + `from llama_index.postprocessor.jinaai_rerank import JinaRerank\n\n${inputs(call)}`
    + `reranker = JinaRerank(\n    model=${py(call.model)}, api_key=${keyOf(call)}, base_url=${py(addressOf("v1"))}, top_n=len(documents)\n)\n`
    + "nodes = [NodeWithScore(node=TextNode(text=text)) for text in documents]\n"
    + "for one in reranker.postprocess_nodes(nodes, query_str=query):\n    print(one.score, one.text)\n";
}

function langChain(call) {
  const address = addressOf(".").replace(/\/$/, "");
  return `# pip install langchain-cohere\n${windowsNote(call)}${importOs(call)}`
    + `from langchain_cohere import CohereRerank\nfrom langchain_core.documents import Document\n\n${inputs(call)}`
    + `reranker = CohereRerank(\n    model=${py(call.model)}, cohere_api_key=${keyOf(call)}, base_url=${py(address)}, top_n=len(documents)\n)\n`
    + "found = reranker.compress_documents([Document(page_content=text) for text in documents], query)\n"
    + 'for one in found:\n    print(one.metadata["relevance_score"], one.page_content)\n';
}

/** Makers by the name on the tab. */
export const SNIPPETS = { curl, Python: python, LlamaIndex: llamaIndex, LangChain: langChain };
