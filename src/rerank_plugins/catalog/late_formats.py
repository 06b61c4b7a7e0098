"""Reads how a late-interaction model is used from the files of its checkpoint, in each of four formats.

References: colbert-ai 0.2.22 ``modeling/{colbert,checkpoint}.py``, ``modeling/tokenization``, ``infra/config``;
PyLate 1.6.0 ``models/colbert.py`` and ``models/Dense.py``; sentence-transformers 6.2
``multi_vector_encoder/{model,modules}``, ``base/modules/transformer.py``; FlagEmbedding 1.3.5
``inference/embedder/encoder_only/m3.py``. A setting that is not done here is refused, never skipped.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rerank_plugins.catalog.fields import LATE_INTERACTION, check_fields
from rerank_plugins.catalog.json_files import is_there, read_object
from rerank_plugins.catalog.late_interaction import (
    DEFAULT_DOCUMENT_LENGTH,
    DEFAULT_QUERY_LENGTH,
    Expansion,
    LateInteraction,
    RootProjection,
    TokenSide,
)
from rerank_plugins.catalog.module_files import (
    TOKEN_VECTORS,
    DenseStep,
    ModuleFile,
    check_names,
    dense_step,
    module_entries,
)
from rerank_plugins.catalog.weight_headers import read_header
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["M3_PROJECTION", "METADATA", "STANFORD_ARCHITECTURE", "m3_late_interaction", "read_late_interaction"]

METADATA = "artifact.metadata"
"""File in which colbert-ai keeps its settings, as JSON."""

STANFORD_ARCHITECTURE = "HF_ColBERT"
M3_PROJECTION = "colbert_linear"

_ReadJson = Callable[[Path], Any]
_PUNCTUATION = tuple(string.punctuation)
_MODULES = ("Transformer", "Dense", "MultiVectorMask", "Normalize")
_PACKAGES = ("sentence_transformers.", "pylate.models.")
_STANFORD_USED: Mapping[str, object] = {"similarity": "cosine", "interaction": "colbert"}
"""Settings of which one value is done here."""
_EXPANSION = ("strategy", "attend", "token", "length")


def read_late_interaction(
    folder: Path, config: Mapping[str, Any], settings: Mapping[str, Any], read_json: _ReadJson
) -> LateInteraction | None:
    """Return how a late-interaction checkpoint is used; None if the folder is none, or BGE-M3.

    Args:
        folder: The checkpoint.
        config: ``config.json``.
        settings: ``config_sentence_transformers.json``.
        read_json: Reads a JSON file; an empty mapping if it is not there.

    Raises:
        UnsupportedModelError: It is one, and a setting or a module of it is not done here.
    """
    listed = read_json(folder / "modules.json") or []
    kind = settings.get("model_type")
    if kind == "ColBERT":
        return _pylate(folder, settings, _modules(folder, listed, read_json))
    if kind == "MultiVectorEncoder" or _has_token_mask(listed):
        return _sentence_transformers(folder, settings, _modules(folder, listed, read_json))
    if STANFORD_ARCHITECTURE in (config.get("architectures") or ()):
        return _stanford(folder)
    if (folder / "colbert.dnn").is_file() or any(folder.glob("*.dnn")):
        _refuse(
            folder,
            "is a checkpoint of ColBERT 0.1 (*.dnn, a pickle of a whole training), which is not read",
            "convert it with colbert-ai, whose save() writes model.safetensors and artifact.metadata",
        )
    return None


def m3_late_interaction(length: int) -> LateInteraction:
    """Return how BGE-M3's token vectors are compared: no markers, no expansion, the mean over the query's vectors.

    Args:
        length: Tokens that a text may have.
    """
    side = TokenSide(length=length)
    return LateInteraction(
        format="bge-m3",
        query=side,
        document=side,
        expansion=None,
        projection=(RootProjection(name=M3_PROJECTION, has_own_file=True),),
        drops_first=True,
        is_mean=True,
    )


def _has_token_mask(listed: object) -> bool:
    entries = listed if isinstance(listed, list) else []
    return any(isinstance(one, Mapping) and str(one.get("type", "")).endswith(".MultiVectorMask") for one in entries)


def _stanford(folder: Path) -> LateInteraction:
    path = folder / METADATA
    if not is_there(path):
        _refuse(
            folder,
            f"is a ColBERT ({STANFORD_ARCHITECTURE}) without {METADATA}, which says its markers and lengths",
            "download that file too, or write it: {'query_token_id': '[unused0]', 'doc_token_id': '[unused1]', "
            "'query_maxlen': 32, 'doc_maxlen': 180} are ColBERTv2's",
        )
    found = read_object(path)
    nested = found.get("config")
    found = nested if isinstance(nested, Mapping) and "query_token_id" not in found else found
    check_fields(found, LATE_INTERACTION, path=path)
    for key, done in _STANFORD_USED.items():
        if found.get(key, done) != done:
            _refuse(path, f"has {key}={found[key]!r}, and only {done!r} is done here", "use colbert-ai itself")
    skips = found.get("mask_punctuation", True)
    projection = _root_projection(folder)
    dim = found.get("dim")
    if dim is not None and projection.n_out not in (None, dim):
        _refuse(path, f"has dim={dim}, and linear.weight makes {projection.n_out} numbers", "download it again")
    return LateInteraction(
        format="stanford",
        query=TokenSide(marker=found.get("query_token_id") or "[unused0]"),
        document=TokenSide(
            length=found.get("doc_maxlen") or 220,
            marker=found.get("doc_token_id") or "[unused1]",
            skipped=_PUNCTUATION if skips else (),
        ),
        expansion=Expansion(
            length=found.get("query_maxlen") or DEFAULT_QUERY_LENGTH,
            attends=bool(found.get("attend_to_mask_tokens")),
        ),
        skip_rule="first piece",
        projection=(projection,),
    )


def _root_projection(folder: Path) -> RootProjection:
    """Return the projection of a colbert-ai checkpoint; its sizes are not known where the weights are a pickle."""
    for path in sorted(folder.glob("*.safetensors")):
        stored = read_header(path).get("linear.weight")
        if stored is not None and len(stored.shape) == 2:
            return RootProjection(name="linear", has_own_file=False, n_in=stored.shape[1], n_out=stored.shape[0])
    if any(folder.glob("*.safetensors")):
        _refuse(
            folder,
            "has no tensor linear.weight: an encoder whose projection would be random numbers",
            "download the checkpoint again, or train a projection: rerank-plugins train colbert",
        )
    return RootProjection(name="linear", has_own_file=False)


def _modules(folder: Path, listed: object, read_json: _ReadJson) -> list[ModuleFile]:
    modules = [
        ModuleFile.listed(folder, entry, read_json, known=_MODULES, packages=_PACKAGES)
        for entry in module_entries(folder, listed)
    ]
    kinds = [one.kind for one in modules]
    if kinds[:1] != ["Transformer"] or "Transformer" in kinds[1:]:
        _refuse(folder / "modules.json", f"runs {' -> '.join(kinds)}", "a Transformer comes first, and once")
    if modules[0].folder != folder:
        _refuse(
            folder / "modules.json",
            f"keeps the transformer in {modules[0].folder.name!r}",
            "save it once with save_pretrained(new_folder) of the installed version",
        )
    return modules


def _dense_steps(modules: list[ModuleFile]) -> tuple[DenseStep, ...]:
    return tuple(dense_step(one, works_on=TOKEN_VECTORS) for one in modules if one.kind == "Dense")


def _pylate(folder: Path, settings: Mapping[str, Any], modules: list[ModuleFile]) -> LateInteraction:
    path = folder / "config_sentence_transformers.json"
    check_fields(settings, LATE_INTERACTION, path=path)
    steps = _dense_steps(modules)
    if not steps:
        _refuse(folder, "is a ColBERT of PyLate without a Dense module, so its projection would be random", _AGAIN)
    prompts = settings.get("prompts") or {}
    skipped = settings.get("skiplist_words")

    def side(name: str, default: str, **facts: Any) -> TokenSide:
        marker = settings.get(f"{name}_prefix")
        prompt = (prompts.get(name) or "").removeprefix(default if marker is None else marker)
        return TokenSide(marker=default if marker is None else marker, prompt=prompt, **facts)

    length = settings.get("query_length") or DEFAULT_QUERY_LENGTH
    expands = settings.get("do_query_expansion") is not False
    return LateInteraction(
        format="pylate",
        query=side("query", "[Q] ", length=length),
        document=side(
            "document",
            "[D] ",
            length=settings.get("document_length") or DEFAULT_DOCUMENT_LENGTH,
            skipped=_PUNCTUATION if skipped is None else tuple(skipped),
        ),
        expansion=Expansion(length=length, attends=bool(settings.get("attend_to_expansion_tokens")))
        if expands
        else None,
        projection=steps,
        is_mean=_is_mean(path, settings),
    )


def _sentence_transformers(folder: Path, settings: Mapping[str, Any], modules: list[ModuleFile]) -> LateInteraction:
    kinds = [one.kind for one in modules]
    order = [kind for kind in kinds[1:] if kind != "Dense"]
    if kinds.count("MultiVectorMask") != 1 or sorted(order) not in (
        ["MultiVectorMask"],
        ["MultiVectorMask", "Normalize"],
    ):
        _refuse(folder / "modules.json", f"runs {' -> '.join(kinds)}", f"known are {' -> '.join(_MODULES)}")
    if "Normalize" in kinds and "Dense" in kinds[kinds.index("Normalize") :]:
        _refuse(folder / "modules.json", f"normalises before a Dense module ({' -> '.join(kinds)})", _THEMSELVES)
    for one in modules:
        if one.kind == "Normalize":
            check_names(one, one.settings(("module_input_name", "module_output_name")), works_on=TOKEN_VECTORS)
    path = folder / "sentence_bert_config.json"
    transformer = read_object(path)
    check_fields(transformer, LATE_INTERACTION, path=path)
    skipped = _skipped(next(one for one in modules if one.kind == "MultiVectorMask"))
    prompts = settings.get("prompts") or {}

    def side(name: str) -> TokenSide:
        length = transformer.get(f"{name}_length")
        return TokenSide(length=length, prompt=prompts.get(name) or "", skipped=skipped.get(name, ()))

    return LateInteraction(
        format="sentence-transformers",
        query=side("query"),
        document=side("document"),
        expansion=_expansion(path, transformer.get("query_expansion")),
        projection=_dense_steps(modules),
        normalizes="Normalize" in kinds,
        is_mean=_is_mean(folder / "config_sentence_transformers.json", settings),
    )


def _skipped(mask: ModuleFile) -> dict[str, tuple[str, ...]]:
    """Return the words that get no vector, by the name of the side."""
    config = mask.settings(("skiplist_words", "skiplist_tasks", "keep_only_token_ids"))
    check_fields(config, LATE_INTERACTION, path=mask.folder / "config.json")
    if config.get("keep_only_token_ids"):
        mask.refuse("keeps the vectors of some ids alone (keep_only_token_ids, for images)")
    tasks = config.get("skiplist_tasks")
    if tasks is None:
        tasks = ["document"]
    return dict.fromkeys([tasks] if isinstance(tasks, str) else tasks, tuple(config.get("skiplist_words") or ()))


def _expansion(path: Path, found: Mapping[str, Any] | None) -> Expansion | None:
    if not found:
        return None
    strategy, length, token = found.get("strategy"), found.get("length"), found.get("token")
    attends = found.get("attend", False)
    is_known = strategy in ("fixed", "min") and not set(found) - set(_EXPANSION) and isinstance(attends, bool)
    is_known = is_known and isinstance(length, int) and not isinstance(length, bool) and 0 < length < 100_000
    if not is_known or not (token is None or isinstance(token, str)):
        _refuse(path, f"has query_expansion={dict(found)}", _THEMSELVES)
    return Expansion(length=int(length or 0), token=token, attends=attends, cuts=strategy == "fixed")


def _is_mean(path: Path, settings: Mapping[str, Any]) -> bool:
    # "cosine" and "dot" are left-overs of a SentenceTransformer: PyLate and sentence-transformers take MaxSim then.
    name = str(settings.get("similarity_fn_name") or "maxsim").lower()
    if name not in ("maxsim", "meanmaxsim", "cosine", "dot"):
        _refuse(path, f"has similarity_fn_name={name!r}; maxsim and meanmaxsim are known", _THEMSELVES)
    return name == "meanmaxsim"


_AGAIN = "download the checkpoint again"
_THEMSELVES = "use the model with the library that wrote it, or choose another one"


def _refuse(place: Path, why: str, way_out: str) -> NoReturn:
    msg = f"{str(place)!r} {why}. Way out: {way_out}."
    raise UnsupportedModelError(msg)
