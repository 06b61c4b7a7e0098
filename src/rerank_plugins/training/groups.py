"""From a row to a group of texts: which positive and which negatives an epoch takes.

A draw depends on the seed, the epoch and the row alone: not on workers, on what was drawn before, or on Python's global
random numbers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.row_kinds import has_queries_as_texts
from rerank_plugins.training.settings_common import CommonDataSettings

__all__ = ["Group", "draw_group", "epoch_order", "grouped_order", "instructed_pairs", "shuffled_text"]

_LEAST_CHARACTERS = 100
_BATCHES_OF_A_STRETCH = 50


@dataclass(frozen=True, slots=True)
class Group:
    """One query with its texts in one epoch.

    Attributes:
        query: The query, with its instruction.
        texts: The positive first, then negatives, with their instruction.
        teacher: The teacher's score of each text; None without a teacher.
        row: Number of the row in the training data.
        prompt: The row's own prompt, for models that read one; None for the model's.
        sources: The texts as the row has them: without instruction, not shuffled.
        positives: All texts of the row that answer its query, likewise.
    """

    query: str
    texts: tuple[str, ...]
    teacher: tuple[float, ...] | None
    row: int
    prompt: str | None = None
    sources: tuple[str, ...] = ()
    positives: tuple[str, ...] = ()


def draw_group(
    record: TrainingRecord, data: CommonDataSettings, *, seed: int, epoch: int, row: int, size: int | None = None
) -> Group:
    """Return the group of a row in one epoch, by FlagEmbedding's rule (1.4.2, ``abc/finetune/reranker/AbsDataset.py``).

    One positive is drawn; negatives are drawn without repetition, from a list of indexes that is repeated if there are
    fewer than the group needs.

    Args:
        record: A row with at least one positive, and one negative where a group has more texts.
        data: Size of a group, instructions, distillation.
        seed: The run's.
        epoch: From 0.
        row: Number of the row in the training data.
        size: Texts of the group, where rows of its file have a number of their own; None for the run's.
    """
    # A text as seed: Python hashes it with SHA-512, and neighbouring numbers start neighbouring sequences otherwise.
    draws = random.Random(f"{seed}:{epoch}:{row}")  # noqa: S311 - no secret
    n_negatives = (data.train_group_size if size is None else size) - 1
    positive = draws.choice(range(len(record.pos)))
    first = shuffled_text(record.pos[positive], ratio=data.shuffle_ratio, draws=draws)
    indexes = list(range(len(record.neg))) * math.ceil(n_negatives / max(len(record.neg), 1))
    negatives = draws.sample(indexes, n_negatives)
    chosen = tuple(record.neg[index] for index in negatives)
    teacher = None
    if data.knowledge_distillation and record.pos_scores is not None and record.neg_scores is not None:
        scores = (record.pos_scores[positive], *(record.neg_scores[index] for index in negatives))
        # Whole numbers would become a tensor of them, which has no softmax, and some are larger than its 64 bits.
        teacher = tuple(float(score) for score in scores)
    for_query, for_text = data.instructions
    of_query = for_query, data.own_instruction(record), data.query_instruction_format
    of_text = for_text, record.passage_prompt, data.passage_instruction_format
    if has_queries_as_texts(data.kind_of(record)):
        of_text = of_query
    return Group(
        query=_instructed(record.query, *of_query),
        texts=tuple(_instructed(text, *of_text) for text in (first, *chosen)),
        teacher=teacher,
        row=row,
        prompt=record.prompt,
        sources=(record.pos[positive], *chosen),
        positives=tuple(record.pos),
    )


def instructed_pairs(pairs: Sequence[tuple[str, str]], data: CommonDataSettings) -> list[tuple[str, str]]:
    """Return pairs with the instructions of the run in front, as groups have them; blank texts stay."""
    for_query, for_text = data.instructions
    return [
        (
            _instructed(query, for_query, None, data.query_instruction_format),
            text if is_blank(text) else _instructed(text, for_text, None, data.passage_instruction_format),
        )
        for query, text in pairs
    ]


def epoch_order(n_rows: int, *, seed: int | str, epoch: int) -> list[int]:
    """Return the order in which an epoch visits the rows: a permutation by seed and epoch alone."""
    order = list(range(n_rows))
    random.Random(f"{seed}:{epoch}").shuffle(order)  # noqa: S311 - no secret
    return order


def grouped_order(order: Sequence[int], sizes: Sequence[int], *, batch: int, seed: int, epoch: int) -> list[int]:
    """Return an order whose batches hold rows of about the same size; batches come in random order.

    As transformers' ``LengthGroupedSampler`` sorts within stretches of 50 batches. A smaller last batch stays the last,
    and has the rows that stand there otherwise: of sorted ones it would have the longest in every epoch, which would
    never be trained on where it is left out.

    Args:
        order: The rows as they are visited otherwise.
        sizes: How long each row is, by its number.
        batch: Rows of a batch, over all devices.
        seed: The run's.
        epoch: From 0.
    """
    n_sorted, n_whole = batch * _BATCHES_OF_A_STRETCH, len(order) // batch
    first, last = order[: n_whole * batch], order[n_whole * batch :]
    in_stretches = [
        row
        for start in range(0, len(first), n_sorted)
        for row in sorted(first[start : start + n_sorted], key=lambda row: (sizes[row], row))
    ]
    batches = list(range(n_whole))
    random.Random(f"{seed}:{epoch}:batches").shuffle(batches)  # noqa: S311 - no secret
    return [*(row for one in batches for row in in_stretches[one * batch : (one + 1) * batch]), *last]


def shuffled_text(text: str, *, ratio: float, draws: random.Random) -> str:
    """Return a text, or with a chance of ``ratio`` its three parts in another order, joined by blanks.

    FlagEmbedding's augmentation (``_shuffle_text``): only texts of more than 100 characters are cut. No number is drawn
    where the ratio is 0.
    """
    if not ratio or len(text) <= _LEAST_CHARACTERS or draws.random() >= ratio:
        return text
    size = len(text) // 3 + 1
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    draws.shuffle(parts)
    return " ".join(parts)


def _instructed(text: str, instruction: str | None, own: str | None, form: str) -> str:
    """Return a text behind its instruction; a row's own replaces the run's, and counts only where the run has one."""
    if instruction is None:
        return text
    # A YAML file or a shell has no line feed in a format (FlagEmbedding does the same).
    return form.replace("\\n", "\n").format(own if own is not None else instruction, text)
