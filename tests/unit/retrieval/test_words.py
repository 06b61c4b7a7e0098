from __future__ import annotations

import pytest

from rerank_plugins.retrieval import BM25Index, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's NEW, in 2024?", ["what", "s", "new", "in", "2024"]),
        ("ＲＡＧ 检索", ["rag", "检", "索", "检索"]),
        ("用BGE模型", ["用", "bge", "模", "型", "模型"]),
        ("カタカナ", ["カ", "タ", "カ", "ナ", "カタ", "タカ", "カナ"]),
        ("ｶﾞｰﾄﾞ", ["ガ", "ー", "ド", "ガー", "ード"]),
        ("人々", ["人", "々", "人々"]),
        ("東京・大阪", ["東", "京", "東京", "大", "阪", "大阪"]),
        ("한국어", ["한", "국", "어", "한국", "국어"]),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8", ["한", "국", "한국"]),
        ("Straße", ["strasse"]),
        # Vowel signs and accents that are characters of their own belong to a word; so does a joiner within one.
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("বাংলা தமிழ்", ["বাংলা", "தமிழ்"]),
        ("كِتَاب קוֹל", ["كِتَاب", "קוֹל"]),
        ("می\u200cشود\u200c", ["می\u200cشود"]),
        ("x\u0302y", ["x\u0302y"]),
        ("1\ufe0f\u20e3 ™\ufe0f", ["1", "tm"]),
        ("ที่นี่ ฿5", ["ที่", "นี่", "ที่นี่", "5"]),
        ("ភាសាខ្មែរ", ["ភា", "សា", "ខ្", "មែ", "រ", "ភាសា", "សាខ្", "ខ្មែ", "មែរ"]),
        (" \n.", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


CHINESE = {"panda": "大熊猫是中国特有的物种，主要以竹子为食。", "bank": "中国人民银行发布货币政策报告。"}
JAPANESE = {"tokyo": "東京タワーは一九五八年に完成した電波塔である。", "kyoto": "京都は平安時代の都であった。"}
HINDI = {"book": "मेज़ पर एक किताब रखी है।", "talk": "यह बात किसी को मत बताना।"}
THAI = {"capital": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "food": "แพนด้ากินไผ่เป็นอาหารหลัก"}
KOREAN = {"seoul": "서울은 대한민국의 수도이다.", "busan": "부산은 대한민국의 항구 도시이다."}


@pytest.mark.parametrize(
    ("corpus", "query", "expected"),
    [
        (CHINESE, "熊猫吃什么", "panda"),
        (CHINESE, "货币政策", "bank"),
        (JAPANESE, "東京タワーはいつ完成しましたか", "tokyo"),
        (JAPANESE, "平安時代の都はどこですか", "kyoto"),
        (HINDI, "किताब", "book"),
        (THAI, "เมืองหลวงอยู่ที่ไหน", "capital"),
        (THAI, "แพนด้ากินอะไร", "food"),
        (KOREAN, "대한민국 수도는 어디입니까", "seoul"),
        (KOREAN, "항구가 있는 도시", "busan"),
    ],
)
def test_texts_without_spaces_are_found(corpus: dict[str, str], query: str, expected: str) -> None:
    assert next(iter(BM25Index(corpus).search(query, top_k=2))) == expected


def test_words_of_the_same_consonants_are_others() -> None:
    assert list(BM25Index(HINDI).search("किताब", top_k=2)) == ["book"]


def test_a_pair_counts_more_than_its_characters_apart() -> None:
    # 上海 is "Shanghai"; 海上 is "at sea": the same characters, another word.
    index = BM25Index({"sea": "海上的风浪很大", "city": "上海的人口很多"})
    assert list(index.search("上海", top_k=2)) == ["city", "sea"]
