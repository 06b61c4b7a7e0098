"""The bundled catalog: every fact is there, has a source, and the exact strings stay exact.

The sets in capitals are known gaps. They may only shrink: a test fails when a gap was closed and is still listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import Any, get_args

import pytest

from rerank_plugins.catalog import find_by_name, known_models, plugins, specs_of_kind
from rerank_plugins.catalog.families import EMBEDDERS, RERANKERS
from rerank_plugins.catalog.spec import (
    Instruction,
    ModelKind,
    ModelSpec,
    Pooling,
    ScoreScale,
    Signature,
    TruncationRule,
)

BUNDLED = (*RERANKERS, *EMBEDDERS)
FROM_HUB = tuple(spec for spec in BUNDLED if spec.package is None)

SPDX = {"MIT", "Apache-2.0", "CC-BY-NC-4.0"}
# Commits of these were found in no public source that was searched.
NO_REVISION = {
    "Luyu/bert-base-mdoc-bm25",
    "Luyu/bert-base-mdoc-hdct",
    "answerdotai/answerai-colbert-small-v1",
    "castorini/monot5-3b-msmarco",
    "castorini/monot5-base-msmarco",
    "castorini/monot5-large-msmarco",
    "facebook/tart-full-flan-t5-xl",
    "infgrad/stella-base-zh-v2",
    "jinaai/jina-reranker-v1-tiny-en",
    "jinaai/jina-reranker-v1-turbo-en",
    "lightonai/GTE-ModernColBERT-v1",
    # Not on the hub but as a user's copy.
    "orionweller/tart-dual-contriever-msmarco",
}
# A signature tells the models of one family apart; these families share one set of conventions.
WITHOUT_SIGNATURE = {
    "colbert", "gte", "jina-v1", "jina-v2", "luyu", "monot5", "ms-marco", "mxbai-v1", "mxbai-v2", "qwen3", "tart"
}  # fmt: skip
NO_SIGNATURE = {"amu/tao-8k"}
NO_SPDX_LICENSE = {
    "facebook/tart-full-flan-t5-xl",
    "Luyu/bert-base-mdoc-bm25",
    "Luyu/bert-base-mdoc-hdct",
    *(f"castorini/monot5-{size}-msmarco{run}" for size in ("base", "large", "3b") for run in ("", "-10k")),
    "castorini/monot5-small-msmarco-10k",
    "infgrad/stella-large-zh-v2",
    "infgrad/stella-base-zh-v2",
    *(f"moka-ai/m3e-{size}" for size in ("small", "base", "large")),
    "amu/tao-8k",
    # The Gemma Terms of Use have no SPDX identifier.
    "BAAI/bge-reranker-v2.5-gemma2-lightweight",
    "BAAI/bge-multilingual-gemma2",
    "orionweller/tart-dual-contriever-msmarco",
}
# Pinned commits without model.safetensors, as far as their file lists were read.
PICKLE_ONLY = {
    "BAAI/bge-base-zh-v1.5",
    "BAAI/bge-small-zh",
    "hkunlp/instructor-base",
    "hkunlp/instructor-large",
    "hkunlp/instructor-xl",
    "infgrad/stella-large-zh-v2",
    "maidalun1020/bce-reranker-base_v1",
    "moka-ai/m3e-large",
}
# Only shrinks: the code of these comes from the hub with the checkpoint and is not run here.
NOT_COMPARED = {"jina-v1"}

SOURCED_ALWAYS = {"license", "languages", "max_length_tokens"}
SOURCED_BY_KIND = {
    "reranker": {"truncation", "score_scale"},
    "embedder": {"pooling", "dimensions", "instructions"},
}

BGE_ZH = "为这个句子生成表示以用于检索相关文章："
BGE_EN = "Represent this sentence for searching relevant passages: "
BGE_INSTRUCTED = [
    f"BAAI/bge-{size}-{language}{version}"
    for size in ("small", "base", "large")
    for language in ("zh", "en")
    for version in ("", "-v1.5")
]
WITHOUT_INSTRUCTION = {
    "BAAI/bge-m3",
    "TownsWu/PEG",
    "amu/tao-8k",
    "infgrad/stella-large-zh-v2",
    "infgrad/stella-base-zh-v2",
    "maidalun1020/bce-embedding-base_v1",
    "mini",
    *(f"moka-ai/m3e-{size}" for size in ("small", "base", "large")),
    *(f"thenlper/gte-{size}{language}" for size in ("small", "base", "large") for language in ("", "-zh")),
}


def by_id(spec: ModelSpec) -> str:
    return f"{spec.kind}-{spec.id}"


def bundled(name: str, kind: ModelKind) -> ModelSpec:
    return known_models()[kind, name]


@pytest.fixture
def fresh_table() -> Iterator[None]:
    known_models.cache_clear()
    yield
    known_models.cache_clear()


# The ratchet.


@pytest.mark.parametrize("spec", BUNDLED, ids=by_id)
def test_every_entry_says_what_it_is(spec: ModelSpec) -> None:
    assert spec.license
    assert spec.languages
    assert all(re.fullmatch(r"[a-z]{2}|multilingual", language) for language in spec.languages)
    assert 0 < spec.default_max_length_tokens <= spec.max_length_tokens
    assert spec.kind in get_args(ModelKind)
    assert spec.truncation in get_args(TruncationRule)
    assert spec.score_scale in get_args(ScoreScale)
    assert spec.pooling in get_args(Pooling)


@pytest.mark.parametrize("spec", FROM_HUB, ids=by_id)
def test_every_fact_of_a_hub_model_has_a_source(spec: ModelSpec) -> None:
    needed = SOURCED_ALWAYS | SOURCED_BY_KIND[spec.kind]
    needed |= {name for name in ("revision", "signature") if getattr(spec, name) is not None}
    if spec.default_max_length_tokens != spec.max_length_tokens:
        needed.add("default_max_length_tokens")
    if not spec.normalize:
        needed.add("normalize")
    texts = ("prompt", "layers", "task_template", "query_suffix", "example_template", "ends_in", "matryoshka_from")
    needed |= {name for name in texts if getattr(spec, name)}
    if not spec.pools_instruction:
        needed.add("pools_instruction")
    needed |= {"template"} if spec.template is not None and spec.family != "bge" else set()
    assert needed <= set(spec.sources), f"no source for {needed - set(spec.sources)}"


@pytest.mark.parametrize("spec", BUNDLED, ids=by_id)
def test_sources_are_public_addresses_of_facts(spec: ModelSpec) -> None:
    assert set(spec.sources) <= set(ModelSpec.__dataclass_fields__)
    for address in spec.sources.values():
        assert re.fullmatch(r"https://[a-z.]+/\S+", address), address


@pytest.mark.parametrize("spec", RERANKERS, ids=by_id)
def test_every_reranker_says_what_its_parity_test_compares_with(spec: ModelSpec) -> None:
    assert bool(spec.reference) == (spec.family not in NOT_COMPARED)


@pytest.mark.parametrize("spec", FROM_HUB, ids=by_id)
def test_revisions_are_whole_commits(spec: ModelSpec) -> None:
    assert spec.revision is None or re.fullmatch(r"[0-9a-f]{40}", spec.revision)


def test_known_gaps_only_shrink() -> None:
    assert {spec.id for spec in FROM_HUB if spec.revision is None} == NO_REVISION
    unsigned = [spec for spec in FROM_HUB if spec.signature is None and spec.family not in WITHOUT_SIGNATURE]
    assert {spec.id for spec in unsigned} == NO_SIGNATURE
    assert {spec.id for spec in FROM_HUB if spec.license not in SPDX} == NO_SPDX_LICENSE


def test_a_model_that_loads_only_from_pickle_says_so_and_gives_the_way_out() -> None:
    told = {spec.id for spec in FROM_HUB if "allow_pickle=True" in spec.notes}
    assert told == PICKLE_ONLY


@pytest.mark.parametrize("spec", EMBEDDERS, ids=by_id)
def test_vectors_are_as_long_as_the_hidden_state(spec: ModelSpec) -> None:
    # INSTRUCTOR's Dense layer makes 768 numbers of every width.
    if spec.signature is not None and spec.family != "instructor":
        assert spec.dimensions == spec.signature.hidden_size
    assert spec.dimensions is not None
    assert spec.reference, "say what its parity test compares it with"
    assert spec.matryoshka_from is None or 0 < spec.matryoshka_from < spec.dimensions


@pytest.mark.parametrize("spec", RERANKERS, ids=by_id)
def test_rerankers_have_no_embedder_facts(spec: ModelSpec) -> None:
    assert spec.dimensions is None
    assert not spec.instructions


# Conventions.


def test_ids_are_unique_within_a_kind_whatever_the_case() -> None:
    for kind in get_args(ModelKind):
        ids = [spec.id.casefold() for spec in BUNDLED if spec.kind == kind]
        assert len(ids) == len(set(ids))


def test_last_parts_of_ids_are_unique_within_a_kind() -> None:
    for kind in get_args(ModelKind):
        names = [spec.id.rsplit("/", 1)[-1].casefold() for spec in BUNDLED if spec.kind == kind]
        assert len(names) == len(set(names))


def test_kinds_and_scorers_fit() -> None:
    assert {spec.kind for spec in RERANKERS} == {"reranker"}
    assert {spec.kind for spec in EMBEDDERS} == {"embedder"}
    prompted = {spec.family: spec.scorer for spec in RERANKERS if spec.template is not None and spec.family != "bge"}
    assert prompted == {
        "qwen3": "decoder",
        "mxbai-v2": "decoder",
        "monot5": "sequence-to-sequence",
        "tart": "encoder-t5",
    }
    assert {
        spec.id.rsplit("/", 1)[-1]: spec.scorer for spec in RERANKERS if spec.template and spec.family == "bge"
    } == {
        "bge-reranker-v2-gemma": "decoder",
        "bge-reranker-v2-minicpm-layerwise": "layerwise",
        "bge-reranker-v2.5-gemma2-lightweight": "lightweight",
    }
    for spec in RERANKERS:
        assert (spec.template is None) == (spec.scorer in ("cross-encoder", "late-interaction"))
        assert not spec.prompt or (spec.template is not None and spec.template.takes_prompt)
    others = {spec.id: spec.scorer for spec in EMBEDDERS if spec.scorer != "transformer"}
    assert others == {"mini": "static", "BAAI/bge-m3": "multi-vector"}


@pytest.mark.parametrize("spec", RERANKERS, ids=by_id)
def test_flagembedding_models_and_mini_cut_the_document_and_others_the_longer_side(spec: ModelSpec) -> None:
    special = dict.fromkeys(("bge", "luyu", "mxbai-v2", "mini", "colbert"), "only_second") | dict.fromkeys(
        ("qwen3", "monot5"), "end"
    )
    assert spec.truncation == special.get(spec.family, "longest_first")
    assert spec.score_scale == ("cosine" if spec.scorer == "late-interaction" else "logit")


def test_lengths_of_the_multilingual_reranker() -> None:
    spec = bundled("BAAI/bge-reranker-v2-m3", "reranker")
    assert (spec.default_max_length_tokens, spec.max_length_tokens) == (1024, 8192)


def test_prompts_of_llm_rerankers_letter_by_letter() -> None:
    answer = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing "
        "a prediction of either 'Yes' or 'No'."
    )
    for name in ("BAAI/bge-reranker-v2-gemma", "BAAI/bge-reranker-v2-minicpm-layerwise"):
        assert bundled(name, "reranker").prompt == answer
    light = bundled("BAAI/bge-reranker-v2.5-gemma2-lightweight", "reranker")
    assert light.prompt == "Predict whether passage B contains an answer to query A."
    assert light.half_precision == "bfloat16"


def test_chats_of_two_token_rerankers_letter_by_letter() -> None:
    qwen3 = bundled("Qwen/Qwen3-Reranker-0.6B", "reranker")
    assert qwen3.prompt == "Given a web search query, retrieve relevant passages that answer the query"
    template = qwen3.template
    assert template is not None
    system = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    assert template.opening == (system,)
    assert template.closing == ("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",)
    assert template.query_prefix("P") == "<Instruct>: P\n<Query>: "
    assert (template.between, template.answer, template.rejection) == ("\n<Document>: ", "yes", "no")
    mxbai = bundled("mixedbread-ai/mxbai-rerank-base-v2", "reranker").template
    assert mxbai is not None
    assert mxbai.query_prefix("") == "query: "
    assert mxbai.query_prefix("P") == "instruction: P\nquery: "
    assert (mxbai.between, mxbai.before_document, mxbai.answer, mxbai.rejection) == ("\n", "document: ", "1", "0")
    assert mxbai.closing[1].endswith("(0 for not relevant, 1 for relevant).\nRelevance:")


def test_old_names_of_renamed_repositories_are_known() -> None:
    for name in ("cross-encoder/ms-marco-MiniLM-L-6-v2", "ms-marco-MiniLM-L6-v2", "MS-MARCO-MiniLM-L-6-v2"):
        assert find_by_name(name, kind="reranker") is bundled("cross-encoder/ms-marco-MiniLM-L6-v2", "reranker")
    taken = [name for spec in RERANKERS for name in (spec.id, *spec.aliases)]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("BAAI/bge-reranker-v2-minicpm-layerwise", 8, 40), ("BAAI/bge-reranker-v2.5-gemma2-lightweight", 8, 42)],
)
def test_layers_of_layerwise_rerankers(name: str, first: int, last: int) -> None:
    layers = bundled(name, "reranker").layers
    assert layers is not None
    assert (layers.first, layers.last, layers.default) == (first, last, 28)


@pytest.mark.parametrize("kind", get_args(ModelKind))
def test_mini_comes_from_a_package(kind: ModelKind) -> None:
    spec = bundled("mini", kind)
    assert (spec.family, spec.package) == ("mini", "rerank_plugins_mini")
    assert spec.revision is None


def test_mini_zh_is_an_e5_of_a_package() -> None:
    spec, whole = bundled("mini-zh", "embedder"), bundled("intfloat/multilingual-e5-small", "embedder")
    assert (spec.package, spec.revision) == ("rerank_plugins_mini_zh", None)
    for fact in ("family", "scorer", "pooling", "normalize", "instructions", "dimensions", "license"):
        assert getattr(spec, fact) == getattr(whole, fact)


@pytest.mark.parametrize("name", sorted(spec.id for spec in EMBEDDERS if spec.pooling == "mean"))
def test_mean_pooling_is_the_exception(name: str) -> None:
    with_mean = {"e5", "instructor", "m3e", "mini", "piccolo", "stella", "tao", "tart"}
    # GTE takes the first token in Chinese and the mean in English.
    with_mean_too = {f"thenlper/gte-{size}" for size in ("small", "base", "large")}
    assert bundled(name, "embedder").family in with_mean or name in with_mean_too


E5_STYLE, QWEN_STYLE, BGE_STYLE = "Instruct: {task}\nQuery: ", "Instruct: {task}\nQuery:", "<instruct>{task}\n<query>"
WEB = "Given a web search query, retrieve relevant passages that answer the query"
DECODERS = [
    ("intfloat/e5-mistral-7b-instruct", E5_STYLE, WEB, "</s>"),
    ("Linq-AI-Research/Linq-Embed-Mistral", E5_STYLE, WEB, "</s>"),
    ("Salesforce/SFR-Embedding-Mistral", E5_STYLE, WEB, "</s>"),
    ("Qwen/Qwen3-Embedding-0.6B", QWEN_STYLE, WEB, "<|endoftext|>"),
    ("Qwen/Qwen3-Embedding-4B", QWEN_STYLE, WEB, "<|endoftext|>"),
    ("Qwen/Qwen3-Embedding-8B", QWEN_STYLE, WEB, "<|endoftext|>"),
    ("BAAI/bge-en-icl", BGE_STYLE, f"{WEB}.", "</s>"),
    ("BAAI/bge-multilingual-gemma2", BGE_STYLE, f"{WEB}.", "<eos>"),
]


@pytest.mark.parametrize(("name", "template", "task", "ends_in"), DECODERS)
def test_decoders_pool_the_token_they_were_trained_to_end_in(name: str, template: str, task: str, ends_in: str) -> None:
    spec = bundled(name, "embedder")
    assert (spec.pooling, spec.ends_in, spec.task_template) == ("last_token", ends_in, template)
    assert dict(spec.instructions) == {"retrieval": Instruction(query=template.replace("{task}", task))}


def test_every_decoder_is_checked_above() -> None:
    listed = {name for name, *_ in DECODERS}
    assert {spec.id for spec in EMBEDDERS if spec.pooling == "last_token"} == listed


def test_templates_of_models_that_learn_from_examples() -> None:
    spec = bundled("BAAI/bge-en-icl", "embedder")
    assert spec.query_suffix == "\n<response>"
    assert spec.example_template == "<instruct>{task}\n<query>{query}\n<response>{response}"
    assert {one.id for one in EMBEDDERS if one.example_template or one.query_suffix} == {spec.id}


@pytest.mark.parametrize("size", ["base", "large", "xl"])
def test_instructor_instructs_both_sides_and_pools_neither_instruction(size: str) -> None:
    spec = bundled(f"hkunlp/instructor-{size}", "embedder")
    assert not spec.pools_instruction
    assert spec.instructions["retrieval"] == Instruction(
        query="Represent the question for retrieving supporting documents: ",
        document="Represent the document for retrieval: ",
    )


def test_tart_separates_the_instruction_from_the_query_with_its_separator() -> None:
    spec = bundled("orionweller/tart-dual-contriever-msmarco", "embedder")
    query = "retrieve a passage that answers this question from Wikipedia [SEP] "
    assert dict(spec.instructions) == {"retrieval": Instruction(query=query)}
    assert (spec.task_template, spec.normalize) == ("{task} [SEP] ", False)


def test_only_models_trained_for_it_have_useful_beginnings() -> None:
    trained = {spec.id: spec.matryoshka_from for spec in EMBEDDERS if spec.matryoshka_from}
    assert trained == {f"Qwen/Qwen3-Embedding-{size}": 32 for size in ("0.6B", "4B", "8B")}


# Instructions, letter by letter.


@pytest.mark.parametrize("name", BGE_INSTRUCTED)
def test_bge_puts_an_instruction_in_front_of_the_query_only(name: str) -> None:
    spec = bundled(name, "embedder")
    expected = BGE_ZH if "-zh" in name else BGE_EN
    assert dict(spec.instructions) == {"retrieval": Instruction(query=expected, document="")}
    assert spec.default_task == "retrieval"


def test_the_chinese_instruction_ends_in_a_full_width_colon() -> None:
    query = bundled("BAAI/bge-large-zh-v1.5", "embedder").instructions["retrieval"].query
    assert query[-1] == "\uff1a"
    assert len(query) == 19


@pytest.mark.parametrize(
    ("task", "query", "document"),
    [
        (
            "qa",
            "Represent this query for retrieving relevant documents: ",
            "Represent this document for retrieval: ",
        ),
        (
            "icl",
            "Convert this example into vector to look for useful examples: ",
            "Convert this example into vector for retrieval: ",
        ),
        (
            "chat",
            "Embed this dialogue to find useful historical dialogues: ",
            "Embed this historical dialogue for retrieval: ",
        ),
        (
            "lrlm",
            "Embed this text chunk for finding useful historical chunks: ",
            "Embed this historical text chunk for retrieval: ",
        ),
        (
            "tool",
            "Transform this user request for fetching helpful tool descriptions: ",
            "Transform this tool description for retrieval: ",
        ),
        (
            "convsearch",
            "Encode this query and context for searching relevant passages: ",
            "Encode this passage for retrieval: ",
        ),
    ],
)
def test_llm_embedder_has_two_instructions_for_each_task(task: str, query: str, document: str) -> None:
    spec = bundled("BAAI/llm-embedder", "embedder")
    assert spec.instructions[task] == Instruction(query=query, document=document)


def test_only_tart_is_meant_for_inner_products() -> None:
    others = {spec.id for spec in BUNDLED if spec.kind == "embedder" and spec.similarity != "cosine"}
    assert others == {"orionweller/tart-dual-contriever-msmarco"}


def test_llm_embedder_knows_six_tasks_and_starts_with_questions() -> None:
    spec = bundled("BAAI/llm-embedder", "embedder")
    assert list(spec.instructions) == ["qa", "icl", "chat", "lrlm", "tool", "convsearch"]
    assert spec.default_task == "qa"


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        *((f"intfloat/multilingual-e5-{size}", "query: ", "passage: ") for size in ("small", "base", "large")),
        *(
            (f"intfloat/e5-{size}{version}", "query: ", "passage: ")
            for size in ("small", "base", "large")
            for version in ("", "-v2")
        ),
        *((f"sensenova/piccolo-{size}-zh", "查询: ", "结果: ") for size in ("base", "large")),
    ],
)
def test_prefixes_on_both_sides(name: str, query: str, document: str) -> None:
    assert dict(bundled(name, "embedder").instructions) == {"retrieval": Instruction(query=query, document=document)}


def test_models_that_take_no_instruction() -> None:
    assert {spec.id for spec in EMBEDDERS if not spec.instructions} == WITHOUT_INSTRUCTION
    assert all(spec.default_task is None for spec in EMBEDDERS if not spec.instructions)


# Look-up by name.


@pytest.mark.parametrize("spec", BUNDLED, ids=by_id)
def test_a_model_is_found_by_its_id_and_by_the_last_part_of_it(spec: ModelSpec) -> None:
    assert find_by_name(spec.id, kind=spec.kind) is spec
    assert find_by_name(spec.id.rsplit("/", 1)[-1], kind=spec.kind) is spec
    assert find_by_name(spec.id.upper(), kind=spec.kind) is spec


@pytest.mark.parametrize("spec", BUNDLED, ids=by_id)
def test_a_part_of_a_name_never_decides(spec: ModelSpec) -> None:
    whole = {other.casefold() for s in BUNDLED for other in (s.id, s.id.rsplit("/", 1)[-1])}
    name = spec.id.rsplit("/", 1)[-1]
    near = [name[:-1], name[1:], f"my-{name}", f"{name}-finetuned", f"other/{name}", f"{name} ", ""]
    for candidate in near:
        if candidate.casefold() not in whole:
            assert find_by_name(candidate, kind=spec.kind) is None, candidate


@pytest.mark.parametrize("name", ["bge", "BAAI", "BAAI/", "/mini", "bge-reranker", "reranker-base", "large-zh"])
def test_family_names_and_owners_are_not_models(name: str) -> None:
    assert all(find_by_name(name, kind=kind) is None for kind in get_args(ModelKind))


def test_the_other_kind_is_not_searched() -> None:
    assert find_by_name("BAAI/bge-m3", kind="reranker") is None
    assert find_by_name("bge-reranker-v2-m3", kind="embedder") is None


def test_specs_of_kind_keep_catalog_order() -> None:
    assert specs_of_kind("reranker")[: len(RERANKERS)] == list(RERANKERS)
    assert specs_of_kind("embedder")[: len(EMBEDDERS)] == list(EMBEDDERS)


# Nothing can be changed at run time.


@pytest.mark.parametrize("spec", BUNDLED, ids=by_id)
def test_entries_are_frozen(spec: ModelSpec) -> None:
    with pytest.raises(FrozenInstanceError):
        spec.license = "changed"  # type: ignore[misc]
    assert isinstance(spec.languages, tuple)
    for mapping in (spec.instructions, spec.sources):
        with pytest.raises(TypeError):
            mapping["new"] = "changed"  # type: ignore[index]


def test_parts_of_entries_are_frozen() -> None:
    signature = Signature(model_type="bert", hidden_size=1, num_hidden_layers=1, vocab_size=1)
    with pytest.raises(FrozenInstanceError):
        signature.vocab_size = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Instruction("a", "b").query = "c"  # type: ignore[misc]


def test_the_table_is_read_only() -> None:
    models: Any = known_models()
    with pytest.raises(TypeError):
        models["reranker", "new"] = RERANKERS[0]
    with pytest.raises(TypeError):
        del models["reranker", "mini"]
    assert isinstance(RERANKERS, tuple)
    assert isinstance(EMBEDDERS, tuple)


# Models that other packages register.


class Point:
    """Stands in for an entry point."""

    group, name, value, dist = "rerank_plugins.models", "other", "somewhere:MODELS", None

    def __init__(self, loaded: object) -> None:
        self.loaded = loaded

    def load(self) -> object:
        return self.loaded


def registered(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [Point(loaded)])
    monkeypatch.setattr(plugins, "_BROKEN", {})


OTHER = ModelSpec(
    id="other/reranker",
    kind="reranker",
    family="other",
    scorer="cross-encoder",
    default_max_length_tokens=128,
    max_length_tokens=128,
    license="MIT",
)


@pytest.mark.usefixtures("fresh_table")
@pytest.mark.parametrize("loaded", [[OTHER], lambda: (OTHER,)], ids=["list", "callable"])
def test_a_package_adds_models(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    registered(monkeypatch, loaded)
    assert find_by_name("other/reranker", kind="reranker") is OTHER
    assert list(known_models())[-1] == ("reranker", "other/reranker")


@pytest.mark.usefixtures("fresh_table")
@pytest.mark.parametrize("loaded", [[RERANKERS[0]], [OTHER, OTHER]], ids=["bundled", "its own"])
def test_a_package_cannot_replace_a_model(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    registered(monkeypatch, loaded)
    with pytest.warns(RuntimeWarning, match="already known"):
        known = known_models()
    assert known["reranker", RERANKERS[0].id] is RERANKERS[0]
    assert ("reranker", "other/reranker") not in known


@pytest.mark.usefixtures("fresh_table")
@pytest.mark.parametrize("loaded", [["BAAI/bge-m3"], 3, None], ids=["names", "number", "nothing"])
def test_a_package_must_register_specs(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    registered(monkeypatch, loaded)
    with pytest.warns(RuntimeWarning, match="must give ModelSpec objects"):
        assert len(known_models()) == len(RERANKERS) + len(EMBEDDERS)
