"""Whose words win, and what a query looks like with examples around it."""

from __future__ import annotations

import pytest

from rerank_plugins import InstructionOptions, QueryExample
from rerank_plugins.catalog import Instruction, ModelSpec, known_models
from rerank_plugins.embedding.instructions import choose_instruction, query_affixes
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.single import TextAffixes

ICL = known_models()["embedder", "BAAI/bge-en-icl"]
QWEN = known_models()["embedder", "Qwen/Qwen3-Embedding-0.6B"]
LLM = known_models()["embedder", "BAAI/llm-embedder"]
M3 = known_models()["embedder", "BAAI/bge-m3"]


def chosen(spec: ModelSpec, task: str | None = None, **own: str | None) -> Instruction:
    return choose_instruction(spec, task=task, query=own.get("query"), document=own.get("document"))


def test_the_models_own_words_are_the_default() -> None:
    assert chosen(LLM).document == "Represent this document for retrieval: "
    assert chosen(LLM, "tool").document == "Transform this tool description for retrieval: "
    assert chosen(M3) == Instruction()


def test_the_callers_words_win_side_by_side() -> None:
    assert chosen(LLM, "tool", query="Mine: ") == Instruction("Mine: ", chosen(LLM, "tool").document)
    assert chosen(LLM, document="") == Instruction(chosen(LLM).query, "")
    assert chosen(QWEN, "Given a claim, find proof", query="{task} {query} ").query == "{task} {query} "


@pytest.mark.parametrize("task", ["Given a claim, find proof", "find {task} in braces", "找 答案"])
def test_a_task_in_words_fills_the_models_template(task: str) -> None:
    assert chosen(QWEN, task) == Instruction(f"Instruct: {task}\nQuery:")
    assert chosen(ICL, task) == Instruction(f"<instruct>{task}\n<query>")


@pytest.mark.parametrize(
    ("spec", "task"), [(LLM, "find useful code"), (M3, "retrieval"), (QWEN, "retreival"), (LLM, "QA")]
)
def test_what_is_no_task_is_refused(spec: ModelSpec, task: str) -> None:
    with pytest.raises(InvalidInputError, match="query_instruction") as caught:
        chosen(spec, task)
    assert ("in words" in str(caught.value)) == bool(spec.task_template)
    assert all(repr(name) in str(caught.value) for name in spec.instructions)


def test_examples_letter_by_letter() -> None:
    """https://huggingface.co/BAAI/bge-en-icl: examples joined by an empty line, and one more before the query."""
    examples = [
        QueryExample(query="what is {query}?", response="a {task}", task="Explain {response}."),
        QueryExample(query="q2", response="r2"),
    ]
    usual = "Given a web search query, retrieve relevant passages that answer the query."
    assert query_affixes(ICL, chosen(ICL), examples) == TextAffixes(
        examples="<instruct>Explain {response}.\n<query>what is {query}?\n<response>a {task}\n\n"
        f"<instruct>{usual}\n<query>q2\n<response>r2\n\n",
        instruction=f"<instruct>{usual}\n<query>",
        suffix="\n<response>",
    )


def test_without_examples() -> None:
    affixes = query_affixes(ICL, chosen(ICL, query=""), ())
    assert affixes == TextAffixes(suffix="\n<response>")
    assert query_affixes(QWEN, chosen(QWEN), ()).suffix == ""


def test_an_example_needs_a_task_where_the_query_tells_none() -> None:
    with pytest.raises(InvalidInputError, match="give it a task"):
        query_affixes(ICL, chosen(ICL, query="Mine: "), [QueryExample(query="q", response="r")])
    told = QueryExample(query="q", response="r", task="t")
    assert query_affixes(ICL, chosen(ICL, query="Mine: "), [told]).instruction == "Mine: "


def test_examples_that_cannot_be() -> None:
    with pytest.raises(InvalidInputError, match=r"takes no examples.*bge-en-icl"):
        query_affixes(QWEN, chosen(QWEN), [QueryExample(query="q", response="r")])
    with pytest.raises(InvalidInputError, match=r"examples\[0\] must be a QueryExample, got dict"):
        InstructionOptions(examples=({"query": "q"},))  # type: ignore[arg-type]
