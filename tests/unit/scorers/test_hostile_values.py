"""Every JSON value of checkpoints of every kind, damaged: scores, or a typed error; nothing raw, nothing that hangs.

A seeded sample runs in the suite. All of them (an hour or two): ``RERANK_PLUGINS_FUZZ=all pytest -k hostile_values``.
"""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import embedder_checkpoints
import hostile_checkpoints
import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
from llm_checkpoints import llm_checkpoint
from safetensors.torch import save_file

SAMPLE, SEED = (
    int(os.environ.get("RERANK_PLUGINS_FUZZ_CASES", "12")),
    int(os.environ.get("RERANK_PLUGINS_FUZZ_SEED", "1")),
)
LONGEST_S = 60.0
MOST_MB = 12_000


def lora_adapter(folder: Path) -> Path:
    folder.mkdir()
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": "someone/else",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj"],
        "alpha_pattern": {"layers.0.self_attn.q_proj": 8},
        "rank_pattern": {},
        "use_rslora": False,
        "fan_in_fan_out": False,
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    tensors = {f"{name}A.weight": torch.ones(2, 32), f"{name}B.weight": torch.ones(32, 2)}
    save_file(tensors, str(folder / "adapter_model.safetensors"))
    return folder


def decoder_classifier(folder: Path) -> Path:
    import transformers

    torch.manual_seed(3)
    tokenizer = tiny_checkpoints.wordpiece()
    shape = {**tiny_rerankers._DECODER, "vocab_size": tokenizer.get_vocab_size(), "num_labels": 1}
    pad = tokenizer.token_to_id("[PAD]")
    model = transformers.Qwen2ForSequenceClassification(transformers.Qwen2Config(**shape, pad_token_id=pad))
    return tiny_rerankers.save(model, tokenizer, folder, pad_token="[PAD]")


def sharded(folder: Path) -> Path:
    import transformers

    tiny_checkpoints.bert_reranker(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    return folder


def families(root: Path) -> dict[str, dict[str, Any]]:
    """Write a checkpoint of every kind; return how each is opened."""
    from rerank_plugins_mini import embedder_path, reranker_path

    found: dict[str, dict[str, Any]] = {
        "bert": {"kind": "reranker", "folder": tiny_checkpoints.bert_reranker(root / "bert")},
        "sharded": {"kind": "reranker", "folder": sharded(root / "sharded")},
        "xlmr": {"kind": "reranker", "folder": tiny_checkpoints.xlmr_reranker(root / "xlmr")},
        "deberta": {"kind": "reranker", "folder": tiny_rerankers.deberta_reranker(root / "deberta")},
        "classifier": {"kind": "reranker", "folder": decoder_classifier(root / "classifier")},
        "qwen": {
            "kind": "reranker",
            "folder": tiny_rerankers.qwen_reranker(root / "qwen"),
            "source": {"family": "qwen3"},
        },
        "mono-t5": {
            "kind": "reranker",
            "folder": tiny_rerankers.mono_t5(root / "mono"),
            "source": {"family": "monot5"},
        },
        "tart": {"kind": "reranker", "folder": tiny_rerankers.tart_full(root / "tart")},
        "layerwise": {"kind": "reranker", "folder": llm_checkpoint("tiny-minicpm-layerwise")},
        "lightweight": {"kind": "reranker", "folder": llm_checkpoint("tiny-gemma2-lightweight")},
        "jina-v2": {"kind": "reranker", "folder": tiny_rerankers.jina_v2(root / "xlmr", root / "jina")},
        "pooled": {"kind": "embedder", "folder": tiny_checkpoints.xlmr_embedder(root / "pooled")},
        "bge-m3": {"kind": "embedder", "folder": embedder_checkpoints.bge_m3(root / "bge-m3", pickled=False)},
        "instructor": {
            "kind": "embedder",
            "folder": embedder_checkpoints.instructor(root / "instructor-base"),
            "source": {"allow_pickle": True},
        },
        "e5-mistral": {"kind": "embedder", "folder": embedder_checkpoints.e5_mistral(root / "e5-mistral-7b-instruct")},
        "mini-static": {"kind": "embedder", "folder": embedder_path()},
        "mini-reranker": {"kind": "reranker", "folder": reranker_path()},
    }
    if tiny_rerankers.HAS_MODERNBERT:
        found["modernbert"] = {"kind": "reranker", "folder": tiny_rerankers.modernbert_reranker(root / "modernbert")}
    found["lora"] = {
        "kind": "reranker",
        "folder": lora_adapter(root / "lora"),
        "base": str(root / "qwen"),
        "source": {"family": "qwen3"},
    }
    return {name: {**family, "folder": str(family["folder"])} for name, family in found.items()}


class Opener:
    """A process that opens damaged checkpoints, and a new one after a case that it did not survive."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def outcome(self, case: dict[str, Any]) -> str:
        if self._process is None:
            command = [sys.executable, hostile_checkpoints.__file__, str(MOST_MB)]
            environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(case).encode() + b"\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], LONGEST_S)[0]:
            self.close()
            return "HANGS"
        line = process.stdout.readline()
        if not line:
            self.close()
            return "RAW the process died"
        return str(json.loads(line))

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    opener = Opener()
    yield opener
    opener.close()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return families(tmp_path_factory.mktemp("families"))


NAMES = (
    *("bert", "sharded", "xlmr", "deberta", "modernbert", "classifier", "qwen", "mono-t5", "tart", "layerwise"),
    *("lightweight", "jina-v2", "pooled", "bge-m3", "instructor", "e5-mistral", "mini-static", "mini-reranker", "lora"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_damaged_values_are_refused_or_harmless(name: str, known: dict[str, dict[str, Any]], opener: Opener) -> None:
    if name not in known:
        pytest.skip("this transformers lacks the architecture")
    family = known[name]
    cases = hostile_checkpoints.cases(Path(family["folder"]), SEED)
    if os.environ.get("RERANK_PLUGINS_FUZZ") != "all":
        cases = random.Random(SEED).sample(cases, min(SAMPLE, len(cases)))
    whole = opener.outcome({"family": family, "file": "config.json", "at": [], "how": "cut 1"} | _whole(family))
    assert whole == "scores", f"the checkpoint is not whole to begin with: {whole}"
    failed = []
    for file, at, how in cases:
        found = opener.outcome({"family": family, "file": file, "at": at, "how": how})
        if found.startswith(("RAW", "HANGS")):
            failed.append(f"{file} {list(at)} = {how}: {found}")
    if os.environ.get("RERANK_PLUGINS_FUZZ_COUNT"):
        print(f"\n{name}: {len(failed)} of {len(cases)}")
    assert not failed, f"{len(failed)} of {len(cases)}:\n" + "\n".join(failed[:40])


def _whole(family: dict[str, Any]) -> dict[str, Any]:
    return {"file": "adapter_config.json"} if "base" in family else {}
