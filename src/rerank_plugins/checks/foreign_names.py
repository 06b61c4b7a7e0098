"""Names that other libraries use, and the error message for a misspelt or foreign name.

The names are those of sentence-transformers, FlagEmbedding, BCEmbedding, Cohere, LangChain and LlamaIndex.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NoReturn

from rerank_plugins.checks.moved import Moved
from rerank_plugins.errors import UnknownAttributeError

__all__ = ["EMBEDDER_NAMES", "RERANKER_NAMES", "RETRIEVER_NAMES", "ForeignNames", "unknown_option"]

_BATCH = "batches are sized in tokens, where the object is made: engine=EngineOptions(max_batch_tokens=...)"
_LAYERS = "put it into layers=LayerOptions(...)"
_LONG = "put it into long_documents=LongDocuments(...)"
_PLAIN = "scores are Python floats and vectors are NumPy arrays; make tensors of them with torch.as_tensor(...)"
_PROBABILITY = "scores are raw; rank() gives the probability beside each, and Reranker.probability(score) turns one"
_OUTPUTS = "encode_queries and encode_documents take outputs=('dense', 'sparse', 'colbert')"
_LOADING = "options of transformers cannot be passed on; load the model yourself and use Reranker.from_loaded(...)"
_CACHE = "files are kept where the hub's cache is; move it with the environment variable HF_HOME"
_TOKENS = "the option is max_length, in tokens"

# The first word of a line that begins with an option's name is that option; it is only said where there is one.
_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "activation_fn": _PROBABILITY,
        "apply_sigmoid": _PROBABILITY,
        "apply_softmax": _PROBABILITY,
        "automodel_args": _LOADING,
        "batch_size": _BATCH,
        "bf16": "the option is dtype='bfloat16', where the object is made",
        "cache_dir": _CACHE,
        "cache_folder": _CACHE,
        "compress_layers": _LAYERS,
        "compress_ratio": _LAYERS,
        "config_kwargs": _LOADING,
        "convert_to_list": _PLAIN,
        "convert_to_numpy": _PLAIN,
        "convert_to_tensor": _PLAIN,
        "corpus": "the argument is documents",
        "cutoff_layers": _LAYERS,
        "default_activation_function": _PROBABILITY,
        "devices": "the option is device, such as 'cuda:0,cuda:1' or 'cuda:all'",
        "docs": "the argument is documents",
        "embed_batch_size": _BATCH,
        "fp16": "the option is dtype='float16', where the object is made",
        "k": "the number retrieved is top_k, the number returned is top_n",
        "max_chunks_per_doc": _LONG,
        "max_seq_length": _TOKENS,
        "max_tokens": _TOKENS,
        "max_tokens_per_doc": _TOKENS,
        "model_id": "the argument is model",
        "model_kwargs": _LOADING,
        "model_name": "the argument is model",
        "model_name_or_path": "the argument is model",
        "model_path": "the argument is model",
        "model_type": (
            "the catalog or the checkpoint says what a model is; source=SourceOptions(family=...) names conventions "
            "for a folder"
        ),
        "n": "the number of documents kept is top_n",
        "normalize": _PROBABILITY,
        "normalize_embeddings": "it is vectors=VectorOptions(normalize=...), where the object is made",
        "num_workers": "any number of threads may call one object; calls that wait share batches",
        "outputs": _OUTPUTS,
        "overlap_tokens": _LONG,
        "passage_instruction_for_retrieval": "it is instruction=InstructionOptions(document=...)",
        "passage_max_length": _TOKENS,
        "passages": "the argument is documents",
        "prompt_name": "it is instruction=InstructionOptions(task=...), where the object is made",
        "prompts": "it is instruction=InstructionOptions(query=..., document=...), where the object is made",
        "query_instruction_for_rerank": "the option is prompt, for models that read one",
        "query_instruction_for_retrieval": "it is instruction=InstructionOptions(query=...), where the object is made",
        "rank_fields": "documents are texts; put the fields that count into one text each",
        "return_colbert_vecs": _OUTPUTS,
        "return_dense": _OUTPUTS,
        "return_documents": "results always carry their text",
        "return_sparse": _OUTPUTS,
        "score_threshold": "the option is threshold, with threshold_unit",
        "sentence_pairs": "the argument is pairs",
        "sentences": "the arguments are pairs to score, and queries or documents to embed",
        "show_progress": "there is no progress bar; score_stream yields scores as they come",
        "show_progress_bar": "there is no progress bar; score_stream yields scores as they come",
        "similarity_top_k": "the number retrieved is top_k",
        "timeout": "the option is deadline_s: of score() and rank(), or EngineOptions(deadline_s=...)",
        "tokenizer_kwargs": _LOADING,
        "top_k": "the number of documents kept is top_n",
        "torch_dtype": "the option is dtype, where the object is made",
        "truncate_dim": "it is vectors=VectorOptions(dimensions=...), where the object is made",
        "use_bf16": "the option is dtype='bfloat16', where the object is made",
        "use_fp16": "the option is dtype='float16', where the object is made",
        "use_gpu": "the option is device='cuda' or 'cpu'",
        "use_safetensors": "only safetensors are read unless allow_pickle=True",
        "weights_for_different_modes": "the option is weights",
    }
)

RERANKER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "acompress_documents": "the LangChain compressor is in langchain_rerank_plugins",
        "compress_documents": "the LangChain compressor is in langchain_rerank_plugins",
        "compute_score": "use score(pairs), which gives raw scores",
        "compute_score_single_gpu": "use score(pairs), which gives raw scores",
        "encode": "a reranker scores pairs; vectors are made by rerank_plugins.Embedder",
        "max_seq_length": "use max_length",
        "postprocess_nodes": "the LlamaIndex postprocessor is in llama_index.postprocessor.rerank_plugins",
        "predict": "use score(pairs), which gives raw scores",
        "rerank": "use rank(query, documents)",
    }
)

EMBEDDER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "compute_score": "use score_pairs(pairs)",
        "encode": "use embed_queries(texts) or embed_documents(texts); for all outputs of BGE-M3 encode_queries(texts)",
        "encode_corpus": "use embed_documents(texts)",
        "encode_document": "use embed_documents(texts)",
        "encode_query": "use embed_queries(texts)",
        "embed_query": "use embed_queries([text])[0]",
        "aembed_query": "use (await aembed_queries([text]))[0]",
        "get_query_embedding": "use embed_queries([text])[0]",
        "get_sentence_embedding_dimension": "use dimensions",
        "get_text_embedding": "use embed_documents([text])[0]",
        "max_seq_length": "use max_length",
        "predict": "vectors are made by embed_queries and embed_documents; scores by rerank_plugins.Reranker",
        "rank": "documents are ranked by rerank_plugins.Reranker",
        "similarity": "vectors of length 1 are compared with queries @ documents.T",
    }
)

RETRIEVER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "aget_relevant_documents": "use asearch(query)",
        "ainvoke": "use asearch(query)",
        "aretrieve": "use asearch(query)",
        "get_relevant_documents": "use search(query)",
        "invoke": "use search(query)",
        "query": "use search(query)",
        "retrieve": "use search(query)",
        "similarity_search": "use search(query)",
    }
)


def unknown_option(
    owner: str, name: str, known: Iterable[str], *, moved: Mapping[str, Moved] = MappingProxyType({})
) -> str:
    """Return the message for an unknown option: it names the nearest option, or the one that does the same here.

    Args:
        owner: Name of the class or function, for people.
        name: What was given.
        known: The options that there are.
        moved: Where options are that were the owner's own once, and may be meant.
    """
    options = list(known)
    close = get_close_matches(name, [*options, *moved], n=1, cutoff=0.75)
    if close:
        meant = moved[close[0]].spelling if close[0] in moved else repr(close[0])
        hint = f" Did you mean {meant}?"
    elif name in _OPTIONS:
        equivalent = _OPTIONS[name]
        hint = f" Here {equivalent}."
    else:
        hint = ""
    return f"{owner} has no option {name!r}.{hint} Its options: {', '.join(options) or 'none'}"


class ForeignNames:
    """Base of the facades: the error for an unknown attribute names the attribute that does the same here.

    ``hasattr`` is False for them, as for any attribute that is not there.
    """

    _foreign_names: ClassVar[Mapping[str, str]] = MappingProxyType({})

    # Type checkers must go on refusing names that there are none of.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise UnknownAttributeError(_missing(type(self), name))


def _missing(owner: type[ForeignNames], name: str) -> str:
    message = f"{owner.__name__!r} object has no attribute {name!r}"
    if name.startswith("_"):
        return message
    if name in owner._foreign_names:
        return f"{message}: {owner._foreign_names[name]}"
    close = get_close_matches(name, [one for one in dir(owner) if not one.startswith("_")], n=1, cutoff=0.75)
    return f"{message}; did you mean {close[0]!r}?" if close else message
