"""The texts that are scored: written for these tests, so that nothing here needs an attribution."""

from __future__ import annotations

import random
from dataclasses import dataclass

ENGLISH = (
    "The committee met in March to review the annual budget and agreed to raise spending on research.",
    "A panda eats bamboo for up to fourteen hours a day and lives in the mountains of central China.",
    "Patients with a mild fever should rest, drink water and call a doctor if it lasts three days.",
    "Revenue grew by 12.5% to $4,310 million in 2019, mainly because of higher subscription sales.",
    "The treaty was signed in 1648 and ended thirty years of war between the two kingdoms.",
    "Protein folding depends on temperature, acidity and the sequence of amino acids.",
    "To reset the router, hold the small button for ten seconds until the light turns red.",
    "The train leaves platform 4 at 07:45 and arrives two hours later; tickets are sold on board.",
    "Coffee beans are dried in the sun, sorted by hand and shipped in jute sacks.",
    "Genetic changes in this family of receptors increase the risk of heart disease in adults.",
    "Shares issued under the plan vest after three years if the performance targets are met.",
    "Bees communicate the direction of flowers with a dance that points away from the sun.",
    "The court dismissed the appeal and ordered each side to pay its own costs.",
    "Add the flour slowly, stir until smooth, and bake for 35 minutes at 180 degrees.",
    "Satellite images show that the glacier lost nearly a third of its area since 1980.",
    "Vaccination reduced hospital admissions among children under five in every region studied.",
)
CHINESE = (
    "大熊猫主要生活在四川的山区，每天要吃十几公斤竹子。",
    "公司去年的营业收入增长了百分之十二，主要来自海外市场。",
    "感冒发烧时应该多喝水、多休息，如果三天不退烧要去医院。",
    "这条高速铁路全长一千三百公里，最高时速三百五十公里。",
    "孩子上小学需要准备户口本、出生证明和疫苗接种记录。",
    "茶叶采摘之后要经过杀青、揉捻和烘干几道工序。",
    "手机无法连接网络时，可以先关闭飞行模式再重新启动。",
    "法院认为合同有效，被告应当支付违约金和利息。",
    "研究表明，经常运动的人睡眠质量更好，心脏病的风险更低。",
    "北京的秋天很短，香山的红叶每年十月下旬最好看。",
    "银行卡丢失以后，请立即打电话挂失并到柜台补办。",
    "水在零度结冰，在一百度沸腾，海拔越高沸点越低。",
)
STYLES = {"en": ENGLISH, "zh": CHINESE, "mixed": ENGLISH + CHINESE}


@dataclass(frozen=True)
class Pair:
    """One query and passage with a name that says why it is in the set."""

    id: str
    query: str
    passage: str


def long_text(style: str, sentences: int, seed: int) -> str:
    """Return ``sentences`` sentences drawn from the bank by a seeded generator."""
    rng = random.Random(seed)
    joiner = "" if style == "zh" else " "
    return joiner.join(rng.choice(STYLES[style]) for _ in range(sentences))


_SHORT = (
    ("en-hit", "what do pandas eat", ENGLISH[1]),
    ("en-miss", "what do pandas eat", ENGLISH[6]),
    ("en-card-hi", "what is panda?", "hi"),
    (
        "en-card-sentence",
        "what is panda?",
        "The giant panda (Ailuropoda melanoleuca) is a bear species endemic to China.",
    ),
    ("en-words", "query", "passage"),
    ("en-number", "How much did revenue grow in 2019?", ENGLISH[3]),
    ("en-date", "when was the treaty signed", ENGLISH[4]),
    ("en-health", "treatment of fever", ENGLISH[2]),
    ("en-cooking", "how long to bake", ENGLISH[13]),
    ("en-same", ENGLISH[8], ENGLISH[8]),
    ("zh-hit", "大熊猫吃什么", CHINESE[0]),
    ("zh-miss", "大熊猫吃什么", CHINESE[7]),
    ("zh-health", "发烧了怎么办？", CHINESE[2]),
    ("zh-bank", "银行卡丢了怎么补办", CHINESE[10]),
    ("zh-school", "小孩上学需要什么材料", CHINESE[4]),
    ("zh-one-char", "水", "冰"),
    ("cross-en-zh", "what do pandas eat", CHINESE[0]),
    ("cross-zh-en", "大熊猫吃什么", ENGLISH[1]),
    ("mixed-query", "iPhone 手机 cannot connect 网络", CHINESE[6] + " " + ENGLISH[6]),
    ("mixed-passage", "revenue 增长", ENGLISH[3] + CHINESE[1]),
)
_ODD = (
    ("double-spaces", "what  do   pandas    eat", "A panda  eats bamboo   for up to  fourteen hours."),
    ("leading-trailing-spaces", "  what do pandas eat ", "   A panda eats bamboo.   "),
    ("newlines", "what do\npandas eat", "A panda eats bamboo.\n\nIt lives in China.\r\nThe end."),
    ("tabs", "reset\trouter", "Hold\tthe\t\tbutton for ten\tseconds."),
    ("emoji", "best coffee ☕️ beans 😀", "Coffee 🫘 is dried in the ☀️ sun 👩‍🌾 by hand."),
    ("out-of-vocabulary", "ⴰⵎⴰⵣⵉⵖ ꙮ", "The word ⵜⴰⵎⴰⵣⵉⵖⵜ and the letter ꙮ are rare; so is 𒀀𒁀."),
    ("unknown-between-spaces", "ꙮ panda ꙮ", "ꙮ  bamboo  ꙮ\nꙮ"),
    ("fullwidth", "Ｗｈａｔ　ｉｓ　ＰＡＮＤＡ？", "Ｔｈｅ　ｐａｎｄａ，１２３　％"),
    ("ligatures", "ﬁnd the oﬃce", "The ﬂour in the oﬃce costs 10㎏ and ½ of Ⅳ."),
    ("circled-and-units", "① ② ㎡ ㏒", "第①章：面积 25㎡，温度 36℃，™ ℡ №5"),
    ("accents-composed", "café résumé naïve", "The café serves crème brûlée."),
    ("accents-decomposed", "cafe\u0301 re\u0301sume\u0301", "The cafe\u0301 serves cre\u0300me bru\u0302le\u0301e."),
    ("halfwidth-katakana", "ﾊﾟﾝﾀﾞ", "ﾊﾟﾝﾀﾞは竹を食べる。パンダ"),
    ("zero-width", "pan\u200bda\ufeff", "bam\u200dboo \u2060 and soft\u00adhyphen"),
    ("no-break-space", "what\u00a0do\u00a0pandas eat", "A\u3000panda\u2003eats\u202fbamboo"),
    ("control-characters", "pan\u0007da \u0000x", "bamboo\u0085next\u2028line\u001fend"),
    ("traditional-and-rare", "臺灣的貓熊", "貓熊住在台北動物園，㐂、𠮷、龘很少見。"),
    ("arabic-hindi", "ما هو الباندا", "पांडा बांस खाता है और चीन में रहता है।"),
    ("punctuation", "???", "... --- !!! «quote» “curly” ‘single’ — dash"),
    ("special-token-text", "what is </s> <s> <pad>", "a </s></s> b <mask> [SEP] [CLS] [MASK] c <unk>"),
    ("underscore-metaspace", "▁panda▁eats", "snake_case and ▁▁ block"),
    ("long-word", "a" * 150, "b" * 60 + " " + "panda" * 40),
    ("url", "https://example.com/a?b=c&d=%20", "Visit https://example.com/path/to?query=panda#top or mail a@b.co"),
    ("empty-passage", "what do pandas eat", ""),
    ("empty-query", "", ENGLISH[1]),
    ("space-passage", "what do pandas eat", "   "),
)
#: (name, style, sentences in the query, sentences in the passage); one sentence is about 25 to 45 tokens.
_LONG = (
    ("passage-100", "en", 1, 3),
    ("passage-400", "en", 1, 12),
    ("passage-700", "en", 1, 22),
    ("passage-3000", "en", 1, 90),
    ("passage-400-zh", "zh", 1, 14),
    ("passage-700-zh", "zh", 1, 26),
    ("passage-2000-mixed", "mixed", 1, 60),
    ("query-60", "en", 2, 1),
    ("query-200", "en", 6, 4),
    ("query-380", "en", 11, 2),
    ("query-450", "en", 14, 1),
    ("query-450-long-passage", "en", 14, 30),
    ("query-600", "en", 18, 5),
    ("query-600-zh", "zh", 24, 6),
    ("query-1500-passage-1500", "mixed", 45, 45),
)


def build_pairs() -> list[Pair]:
    """Return all pairs of the encoder goldens."""
    pairs = [Pair(*row) for row in _SHORT + _ODD]
    for seed, (name, style, query_sentences, passage_sentences) in enumerate(_LONG):
        query = long_text(style, query_sentences, 100 + seed)
        pairs.append(Pair(name, query, long_text(style, passage_sentences, 200 + seed)))
    return pairs


def embedding_texts() -> dict[str, str]:
    """Return the texts that the embedders encode, by name."""
    return {
        "en-short": "what do pandas eat",
        "en-sentence": ENGLISH[9],
        "en-100": long_text("en", 3, 301),
        "en-over-long": long_text("en", 25, 302),
        "zh-short": "大熊猫吃什么",
        "zh-sentence": CHINESE[8],
        "zh-over-long": long_text("zh", 30, 303),
        "mixed": ENGLISH[3] + CHINESE[1],
        "newlines": "A panda eats bamboo.\n\nIt lives  in China.",
        "fullwidth": "Ｗｈａｔ　ｉｓ　ＰＡＮＤＡ？",
        "out-of-vocabulary": "the letter ꙮ is rare 😀",
        "empty": "",
    }
