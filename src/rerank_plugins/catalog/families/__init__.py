"""The models that are known by name: one file a family, with its rerankers and embedders.

Facts only, each with the address it was read at. A new size is a line in its family's file; a new family is a file,
named here.
"""

from __future__ import annotations

from rerank_plugins.catalog.families.bce import BCE
from rerank_plugins.catalog.families.bge import BGE
from rerank_plugins.catalog.families.bge_llm import BGE_LLM
from rerank_plugins.catalog.families.colbert import COLBERT
from rerank_plugins.catalog.families.e5 import E5
from rerank_plugins.catalog.families.gte import GTE
from rerank_plugins.catalog.families.instructor import INSTRUCTOR
from rerank_plugins.catalog.families.jina import JINA
from rerank_plugins.catalog.families.llm_embedder import LLM_EMBEDDER
from rerank_plugins.catalog.families.m3e import M3E
from rerank_plugins.catalog.families.mini import MINI
from rerank_plugins.catalog.families.monot5 import MONO_T5
from rerank_plugins.catalog.families.ms_marco import MS_MARCO
from rerank_plugins.catalog.families.mxbai import MXBAI
from rerank_plugins.catalog.families.peg import PEG
from rerank_plugins.catalog.families.piccolo import PICCOLO
from rerank_plugins.catalog.families.qwen3 import QWEN3
from rerank_plugins.catalog.families.tao import TAO
from rerank_plugins.catalog.families.tart import TART
from rerank_plugins.catalog.family import Family, specs_of

__all__ = ["EMBEDDERS", "FAMILIES", "RERANKERS"]

FAMILIES: tuple[Family, ...] = (
    *BGE,
    *BGE_LLM,
    *LLM_EMBEDDER,
    *BCE,
    *QWEN3,
    *MXBAI,
    *MONO_T5,
    *TART,
    *MS_MARCO,
    *GTE,
    *JINA,
    *PEG,
    *PICCOLO,
    *M3E,
    *TAO,
    *E5,
    *INSTRUCTOR,
    *COLBERT,
    *MINI,
)

RERANKERS = specs_of(tuple(family for family in FAMILIES if family.facts.kind == "reranker"))
EMBEDDERS = specs_of(tuple(family for family in FAMILIES if family.facts.kind == "embedder"))
