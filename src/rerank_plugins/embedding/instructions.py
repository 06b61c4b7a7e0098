"""Chooses the instructions around texts: the caller's own, those of a named task, or a task in free words."""

from __future__ import annotations

from collections.abc import Sequence

from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.single import TextAffixes
from rerank_plugins.types import QueryExample

__all__ = ["choose_instruction", "query_affixes"]

_TASK, _QUERY, _RESPONSE = "{task}", "{query}", "{response}"


def choose_instruction(spec: ModelSpec, *, task: str | None, query: str | None, document: str | None) -> Instruction:
    """Return the texts in front of queries and documents: the caller's own always win.

    Args:
        spec: The model.
        task: One of the model's tasks by name, or, where the model has a template for it, a task in words
            (at least two of them: a single one can only be a name).
        query: The caller's text in front of queries; None takes the task's, ``""`` is nothing.
        document: The same for documents.

    Raises:
        InvalidInputError: The model has no such task.
    """
    own = _of_task(spec, task)
    return Instruction(
        query=own.query if query is None else query,
        document=own.document if document is None else document,
    )


def query_affixes(spec: ModelSpec, instruction: Instruction, examples: Sequence[QueryExample]) -> TextAffixes:
    """Return what is put around each query; examples as FlagEmbedding 1.3.5 ``decoder_only/icl.py`` lays them out.

    Raises:
        InvalidInputError: The model takes no examples, or the task of one is not known.
    """
    if examples and not spec.example_template:
        msg = f"{spec.id!r} takes no examples: only models that were trained with them do, such as BAAI/bge-en-icl"
        raise InvalidInputError(msg)
    default_task = _task_in(spec.task_template, instruction.query)
    parts = [_filled(spec.example_template, example, default_task=default_task) for example in examples]
    return TextAffixes(
        examples="".join(f"{part}\n\n" for part in parts), instruction=instruction.query, suffix=spec.query_suffix
    )


def _of_task(spec: ModelSpec, task: str | None) -> Instruction:
    wanted = task or spec.default_task
    if wanted is None:
        return Instruction()
    if wanted in spec.instructions:
        return spec.instructions[wanted]
    if spec.task_template and len(wanted.split()) > 1:
        return Instruction(query=spec.task_template.replace(_TASK, wanted))
    known = ", ".join(map(repr, spec.instructions)) or "none"
    free = " or a task in words ('Given ..., retrieve ...')" if spec.task_template else ""
    msg = f"{spec.id!r} has no task {wanted!r}; its tasks: {known}{free}. Pass query_instruction for your own text."
    raise InvalidInputError(msg)


def _task_in(template: str, instruction: str) -> str | None:
    """Return the words that a template was filled with, or None if the instruction is not made from it."""
    before, found, after = template.partition(_TASK)
    fits = found and instruction.startswith(before) and instruction.endswith(after)
    return instruction[len(before) : len(instruction) - len(after)] if fits else None


def _filled(template: str, example: QueryExample, *, default_task: str | None) -> str:
    task = default_task if example.task is None else example.task
    if task is None:
        msg = (
            "an example without task takes that of the queries, and query_instruction does not tell it; give it a task"
        )
        raise InvalidInputError(msg)
    # Part by part, because an example's text may contain a word in braces.
    values = {_TASK: task, _QUERY: example.query, _RESPONSE: example.response}
    filled = ""
    while template:
        name = min((key for key in values if key in template), key=template.index, default=None)
        if name is None:
            return filled + template
        before, _, template = template.partition(name)
        filled += before + values[name]
    return filled
