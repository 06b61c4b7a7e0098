// Every word that the page says, in English and Chinese.

const many = (n, one, more) => `${n} ${n === 1 ? one : more}`;

const EN = {
  skip: "Skip to the results", query: "Query", documents: "Documents", split: "Split at", splitLine: "each line",
  splitBlank: "blank lines", chooseFile: "Choose a file", dropHint: "Or drop a file here: .txt, .jsonl, .json, .csv",
  detach: "Remove", model: "Model", second: "Compare with", none: "nothing", run: "Rank", cancel: "Cancel",
  windows: "Read long documents to their end, in windows", example: "Try an example", shortcut: "Ctrl + Enter",
  results: "Results", code: "The same call", copy: "Copy", copied: "Copied", key: "API key", keyUse: "Use it", close: "Close",
  keyTitle: "This server needs a key",
  keyHint: "It is kept in this page's memory until you leave or reload it, is sent to this server only, and is stored nowhere.",
  keyWrong: "The server does not know this key. Check it, or ask whoever runs the server.",
  keySigns: "A key has Latin letters, digits and signs only, without spaces.", keyEmpty: "Enter the key first.",
  empty: "Ask something, give a few texts, and see which one answers it best.",
  count: (n) => many(n, "document", "documents"),
  attached: (name, n) => `${name} · ${many(n, "document", "documents")}`,
  running: (name) => `Ranking with ${name} …`,
  done: (n, ms) => `${many(n, "document", "documents")} ranked in ${ms} ms.`,
  cancelled: "Cancelled.", needQuery: "Write a query first.", needDocuments: "Give at least one document: paste it, or drop a file.",
  up: (n) => `up ${n}`, down: (n) => `down ${n}`, same: "same place", was: (n) => `was ${n}`,
  rank: (n) => `rank ${n}`, probability: "probability", raw: (x) => `raw ${x}`, rankIn: (name, n) => `${name}: ${n}`,
  words: "Which words?", wordsHide: "Hide words", wordsBusy: "Leaving words out …",
  wordsTop: "Most of the score:", wordsNone: "No single word carries it.",
  occlusion: "The stronger the colour, the more the score falls without the word. Dashed: it rises.",
  matches: "The stronger the colour, the more of the query this word answered.",
  more: "Show all", less: "Show less", window: "The marked window decided the score.",
  cut: "Only the marked beginning was read.", unread: "Some of this document was not read.",
  total: (ms) => `server ${ms} ms`, stages: (a, b, c) => `tokenize ${a}, wait ${b}, model ${c}`,
  trip: (ms) => `round trip ${ms} ms`, tokens: (n) => many(n, "token", "tokens"),
  agree: (same, percent) => `${same ? "Both put the same document first." : "They put different documents first."} ${percent} % of all pairs stand in the same order.`,
  ready: "ready", loading: "loading the model …", draining: "shutting down", unreachable: "not reachable", locked: "needs a key", noReranker: "no reranker",
  again: "Try again", retryIn: (s) => `Try again in ${s} s`, said: "The server says:",
  troubles: {
    unauthorized: ["The server wants a valid API key.", "Enter it under “API key”, then try again."],
    unknown: ["The server has no such model.", "Reload the page to see which models it has now."],
    tooLarge: ["That is more than the server takes at once.", "Send fewer or shorter documents, or start it with a higher --max-body-bytes."],
    invalid: ["The server does not take this request.", "Change what it names below, for example send fewer documents."],
    busy: ["The server has as much work as it can do in time.", "Nothing is wrong with your request: try again in a moment, or send fewer documents."],
    loading: ["The model is not ready yet.", "It is being loaded; try again in a moment."],
    late: ["The answer was not there in time.", "Send fewer or shorter documents, or use a smaller model."],
    failed: ["Something went wrong in the server.", "Its log says more. Trying again may help."],
    strange: ["The answer was not one of this server.", "A proxy may stand in between: look at its error page or log."],
    offline: ["The server cannot be reached.", "Check that it runs and that you are online, then try again."],
    noReranker: ["This server has no reranker.", "Start it with one, for example: rerank-plugins serve mini"],
  },
  fileLarge: (name) => `${name} has more than 64 MB. Take a part of it.`,
  fileKind: (name) => `${name} is of no known kind. Use .txt, .jsonl, .json or .csv.`,
  fileEmpty: (name) => `${name} holds no document.`,
  fileEncoding: (name) => `${name} is not written in UTF-8. Save it as UTF-8 and drop it again.`,
  fileLine: (name, line) => `Line ${line} of ${name} is no valid JSON. Each line must be a text in quotes or an object.`,
  fileNoText: (name, place) => `Document ${place} of ${name} has no text. Use a string, or an object with "text".`,
  fileJson: (name) => `${name} is no valid JSON.`,
  fileList: (name) => `${name} has no list of documents. Use a list, or an object with "documents".`,
  oneFile: "One file at a time, please.", copyFailed: "The browser did not allow it. The text is selected: press Ctrl + C.",
  exampleQuery: "How do plants make their food?",
  exampleDocuments: [
    "A greenhouse keeps plants warm in winter.",
    "Many animals eat plants to get the energy that they need.",
    "Photosynthesis is how plants turn sunlight, water and carbon dioxide into sugar, which is their food.",
    "The recipe needs two cups of flour and a pinch of salt.",
    "Leaves look green because chlorophyll, which catches the light for this process, reflects green.",
  ],
};

const ZH = {
  skip: "跳到结果", query: "查询", documents: "文档", split: "分隔方式", splitLine: "每行一篇", splitBlank: "空行分隔",
  chooseFile: "选择文件", dropHint: "也可以把文件拖到这里：.txt、.jsonl、.json、.csv", detach: "移除", model: "模型", second: "对比模型",
  none: "不对比", run: "排序", cancel: "取消", windows: "长文档分窗口读到末尾", example: "试试示例", shortcut: "Ctrl + Enter",
  results: "结果", code: "同样的调用", copy: "复制", copied: "已复制", key: "API 密钥", keyUse: "使用", close: "关闭",
  keyTitle: "此服务需要密钥", keyHint: "密钥只保存在本页内存中，离开或刷新后即消失；只发送给此服务，不写入任何存储。",
  keyWrong: "服务不认识这个密钥。请检查，或询问服务的管理者。", keySigns: "密钥只含拉丁字母、数字和符号，不含空格。", keyEmpty: "请先输入密钥。",
  empty: "写一个问题，给几段文本，看看哪一段答得最好。",
  count: (n) => `${n} 篇`, attached: (name, n) => `${name} · ${n} 篇`, running: (name) => `正在用 ${name} 排序 …`,
  done: (n, ms) => `${n} 篇文档已排序，用时 ${ms} 毫秒。`, cancelled: "已取消。", needQuery: "请先写查询。",
  needDocuments: "请至少给一篇文档：粘贴或拖入文件。", up: (n) => `上升 ${n} 位`, down: (n) => `下降 ${n} 位`, same: "位置不变",
  was: (n) => `原第 ${n}`, rank: (n) => `第 ${n} 名`, probability: "概率", raw: (x) => `原始分 ${x}`, rankIn: (name, n) => `${name}：第 ${n}`,
  words: "哪些词起作用？", wordsHide: "隐藏词", wordsBusy: "正在逐词遮去 …", wordsTop: "贡献最大：", wordsNone: "没有哪个词单独起决定作用。",
  occlusion: "颜色越深，去掉该词后分数下降越多；虚线表示分数反而上升。", matches: "颜色越深，该词回答的查询部分越多。",
  more: "显示全部", less: "收起", window: "标出的窗口决定了分数。", cut: "只读了标出的开头部分。", unread: "该文档有一部分没有读到。",
  total: (ms) => `服务端 ${ms} 毫秒`, stages: (a, b, c) => `分词 ${a}，等待 ${b}，模型 ${c}`, trip: (ms) => `往返 ${ms} 毫秒`, tokens: (n) => `${n} 个词元`,
  agree: (same, percent) => `${same ? "两个模型的第一名相同。" : "两个模型的第一名不同。"}${percent} % 的文档对次序一致。`,
  ready: "就绪", loading: "正在加载模型 …", draining: "正在关闭", unreachable: "无法连接", locked: "需要密钥", noReranker: "没有重排模型",
  again: "重试", retryIn: (s) => `${s} 秒后可重试`, said: "服务返回：",
  troubles: {
    unauthorized: ["服务需要有效的 API 密钥。", "请点“API 密钥”输入，然后重试。"],
    unknown: ["服务没有这个模型。", "请刷新页面，查看现有模型。"],
    tooLarge: ["内容超过了服务一次能接收的大小。", "请减少或缩短文档，或用更大的 --max-body-bytes 启动服务。"],
    invalid: ["服务不接受这个请求。", "请按下面的说明修改，例如减少文档数。"],
    busy: ["服务目前的工作已满。", "请求本身没有问题：稍后重试，或减少文档。"],
    loading: ["模型尚未就绪。", "正在加载，请稍后重试。"],
    late: ["没有按时得到结果。", "请减少或缩短文档，或换用更小的模型。"],
    failed: ["服务内部出错。", "详情见服务日志；重试也许有用。"],
    strange: ["收到的不是此服务的回答。", "中间可能有代理：请查看代理的错误页或日志。"],
    offline: ["无法连接服务。", "请确认服务在运行、网络正常，然后重试。"],
    noReranker: ["此服务没有重排模型。", "请带一个重排模型启动，例如：rerank-plugins serve mini-zh"],
  },
  fileLarge: (name) => `${name} 超过 64 MB，请取其中一部分。`, fileKind: (name) => `无法识别 ${name}。请用 .txt、.jsonl、.json 或 .csv。`,
  fileEmpty: (name) => `${name} 中没有文档。`, fileEncoding: (name) => `${name} 不是 UTF-8 编码。请另存为 UTF-8 后再拖入。`,
  fileLine: (name, line) => `${name} 第 ${line} 行不是有效的 JSON。每行应是带引号的文本或一个对象。`,
  fileNoText: (name, place) => `${name} 的第 ${place} 篇没有文本。请用字符串，或带 "text" 的对象。`,
  fileJson: (name) => `${name} 不是有效的 JSON。`, fileList: (name) => `${name} 中没有文档列表。请用列表，或带 "documents" 的对象。`,
  oneFile: "一次只能放一个文件。", copyFailed: "浏览器不允许复制。文本已选中，请按 Ctrl + C。",
  exampleQuery: "植物怎样制造养分？",
  exampleDocuments: [
    "温室在冬天为植物保温。", "许多动物吃植物来获得能量。", "植物通过光合作用，把阳光、水和二氧化碳变成糖，这就是它们的养分。",
    "这个菜谱需要两杯面粉和一小撮盐。", "叶子看起来是绿色的，因为捕捉光线的叶绿素会反射绿光。",
  ],
};

const WORDS = { en: EN, zh: ZH };
let language = (navigator.languages?.[0] ?? navigator.language ?? "en").toLowerCase().startsWith("zh") ? "zh" : "en";

/** Return a word, or what it says of some facts. */
export function t(name, ...facts) {
  const word = WORDS[language][name];
  return typeof word === "function" ? word(...facts) : word;
}

export const troubleWords = (kind) => WORDS[language].troubles[kind];
export const otherLanguage = () => (language === "zh" ? "en" : "zh");

/** Write the page's fixed words in a language; none for the one that is set. */
export function speak(wanted = language) {
  language = wanted;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const one of document.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
}
