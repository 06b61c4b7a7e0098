"""What adapters do after ranking: more different documents, a token budget, the best at both ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from rerank_plugins.adapters.values import as_options
from rerank_plugins.backends.named import opener_of
from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.after import best_at_both_ends, diverse_order, within_tokens
from rerank_plugins.text.tokenizer import replace_lone_surrogates
from rerank_plugins.types import RankedDocument, SourceOptions

__all__ = ["After", "AfterRanking", "SharedEmbedders", "selected"]

_Share = Annotated[float, Within(0.0, 1.0)]
_TRADE_OFF = 0.7


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class AfterRanking:
    """What is done with a ranking before its results are returned, in this order; what is None or False is left out.

    Scores, probabilities and ``rerank_rank`` stay those of the ranking; only which results come, and in which order,
    changes. A threshold counts before, ``top_n`` after the choice. Results that keep their retrieval order, because a
    call was not in time, are left as they are.

    Attributes:
        embedder: Embedding model whose vectors say how alike two documents are: the results are then chosen by maximal
            marginal relevance, :func:`~rerank_plugins.ranking.after.diverse_order`. Every result is embedded.
        trade_off: Of ``embedder``: 1 is relevance alone, 0 difference alone.
        max_tokens: As many of the best as fit so many tokens, :func:`~rerank_plugins.ranking.after.within_tokens`.
        tokenizer: Counts ``max_tokens``: a ``tokenizer.json``, or the folder of a model that has one.
        separator_tokens: Tokens that stand between two documents.
        best_at_both_ends: The best first and last, :func:`~rerank_plugins.ranking.after.best_at_both_ends`.

    Raises:
        InvalidInputError: ``max_tokens`` stands without ``tokenizer`` or the other way round, or one of the others
            without what it belongs to.
    """

    embedder: str | None = None
    trade_off: _Share = _TRADE_OFF
    max_tokens: Count | None = None
    tokenizer: str | None = None
    separator_tokens: Annotated[int, Within(0)] = 0
    best_at_both_ends: bool = False

    def __post_init__(self) -> None:
        if (self.max_tokens is None) != (self.tokenizer is None):
            msg = (
                f"max_tokens={self.max_tokens!r} and tokenizer={self.tokenizer!r} go together: the tokens are those of "
                "the model that will read the results, so name its tokenizer.json or its folder"
            )
            raise InvalidInputError(msg)
        if self.separator_tokens and self.max_tokens is None:
            msg = (
                f"separator_tokens={self.separator_tokens} stand between the documents of a token budget, and there is "
                "none; give max_tokens and tokenizer, or leave it out"
            )
            raise InvalidInputError(msg)
        if self.trade_off != _TRADE_OFF and self.embedder is None:
            msg = (
                f"trade_off={self.trade_off} weighs relevance against being like others by vectors, and there are "
                "none; name an embedder, or leave it out"
            )
            raise InvalidInputError(msg)


After = Annotated[AfterRanking, BeforeValidator(partial(as_options, AfterRanking))]
"""The option of the adapters: such an object, or a mapping of its fields."""


class SharedEmbedders:
    """The embedders of ``after``, each opened by the first call that needs it, of an object and its copies together."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str | None, bool], Embedder] = {}

    def of(self, name: str, *, device: str | None, local_files_only: bool) -> Embedder:
        """Return an embedder.

        Args:
            name: A model's name or folder, or a backend's name.
            device: Where a model runs; a backend of texts has no device here.
            local_files_only: Whether a model's files must be on this machine already.

        Raises:
            ModelError: It cannot be opened.
        """
        key = (name, device, local_files_only)
        kept = self._open.get(key)
        if kept is None:
            is_here = opener_of(name, kind="embedder") is None
            source = SourceOptions(local_files_only=local_files_only)
            made = Embedder(name, device=device, source=source) if is_here else Embedder(name)
            # Calls that come at the same moment open one each, which share the weights; the first stays.
            kept = self._open.setdefault(key, made)
            if kept is not made:
                made.close()
        return kept

    def close(self) -> None:
        """Give the models back; who needs one afterwards opens it again."""
        for key in list(self._open):
            kept = self._open.pop(key, None)  # None: another thread closes too
            if kept is not None:
                kept.close()


def selected(
    ranked: Sequence[RankedDocument],
    texts: Sequence[str],
    vectors: Any | None,
    *,
    after: AfterRanking,
    top_n: int | None,
    read_texts: Sequence[str] | None = None,
) -> list[RankedDocument]:
    """Return the results that are returned, in their order.

    Args:
        ranked: All results that pass the threshold, best first.
        texts: The texts that were ranked; ``index`` counts in them.
        vectors: Of each result, in the ranking's order; None without ``embedder``.
        after: What is done.
        top_n: Results at most.
        read_texts: What the model behind reads of each text that was ranked, whose tokens are counted; None where it
            reads the same.

    Raises:
        InvalidInputError: The tokenizer cannot be read.
    """
    chosen = list(ranked)
    if vectors is not None:
        limit = None if after.max_tokens is not None else top_n
        # A blank document is like no other, which would make it a good choice; it stays last.
        filled = [place for place, one in enumerate(chosen) if texts[one.index].strip()]
        relevances = [chosen[place].probability for place in filled]
        places = diverse_order(relevances, vectors[filled], trade_off=after.trade_off, top_n=limit)
        blank = [one for one in chosen if not texts[one.index].strip()]
        chosen = [chosen[filled[place]] for place in places] + blank
    if after.max_tokens is not None and after.tokenizer is not None:
        read = texts if read_texts is None else read_texts
        places = within_tokens(
            [read[one.index] for one in chosen],
            max_tokens=after.max_tokens,
            count_tokens=_counter(after.tokenizer),
            separator_tokens=after.separator_tokens,
        )
        chosen = [chosen[place] for place in places]
    chosen = chosen[:top_n]
    return [chosen[place] for place in best_at_both_ends(len(chosen))] if after.best_at_both_ends else chosen


def _counter(name: str) -> Callable[[str], int]:
    path = Path(name).expanduser()
    file = path / "tokenizer.json" if path.is_dir() else path
    import_extra("tokenizers", extra="torch")
    try:
        stat = file.stat()
        return _counter_of(str(file.resolve()), stat.st_size, stat.st_mtime_ns)
    except Exception as error:  # the Rust library raises the base class
        msg = f"tokenizer {name!r} cannot be read ({error}); give a tokenizer.json, or a folder that has one"
        raise InvalidInputError(msg) from error


@lru_cache(maxsize=8)
def _counter_of(file: str, _size: int, _time_ns: int) -> Callable[[str], int]:
    """Return what counts by a file as it is now; one that was written again is read again."""
    tokenizer = import_extra("tokenizers", extra="torch").Tokenizer.from_file(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(replace_lone_surrogates(text), add_special_tokens=False).ids)
