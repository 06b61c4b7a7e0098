"""What is whole in the hub's cache is used, whatever the network does; what is not is named."""

from __future__ import annotations

import errno
import json
import shutil
import time
from pathlib import Path

import embedder_checkpoints
import hub_caches
import huggingface_hub
import pytest
from huggingface_hub import constants

from rerank_plugins.catalog import known_models
from rerank_plugins.catalog.fetch import folder_from_hub
from rerank_plugins.catalog.resolve import SourceOptions, resolve
from rerank_plugins.errors import ModelUnavailableError

RERANKER, EMBEDDER, UNLISTED = "BAAI/bge-reranker-base", "BAAI/bge-small-en-v1.5", "someone/own-reranker"
RENAMED = "cross-encoder/ms-marco-MiniLM-L6-v2"
FILES = ("config.json", "model.safetensors", "tokenizer.json")

SCRIPT = """
import json, logging, os, sys
from rerank_plugins.catalog.lora_files import read_lora_files
from rerank_plugins.catalog.resolve import SourceOptions, resolve
setup, cases = json.load(sys.stdin)
import huggingface_hub.constants
os.environ.update(setup)
results, warned = {}, []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: warned.append(record.getMessage())
logging.getLogger("rerank_plugins").addHandler(handler)
for name, kind, model, options in cases:
    warned.clear()
    try:
        if kind == "adapter":
            folder = read_lora_files(model, **options).folder
        else:
            folder = resolve(model, kind=kind, options=SourceOptions(**options)).files.folder
        results[name] = {"folder": str(folder), "warned": " ".join(warned)}
    except Exception as error:
        results[name] = {"error": type(error).__name__, "message": str(error)}
print(json.dumps(results))
"""

CASES = [
    ("pinned", "reranker", RERANKER, {}),
    ("embedder", "embedder", EMBEDDER, {}),
    ("commit", "reranker", UNLISTED, {"revision": hub_caches.COMMIT}),
    ("main", "reranker", UNLISTED, {}),
    ("branch", "reranker", "someone/branched", {"revision": "tuned"}),
    ("adapter", "adapter", "someone/adapter", {}),
    ("case", "reranker", RERANKER.lower(), {}),
    ("alias", "reranker", RENAMED, {}),
]
PINNED = ("pinned", "embedder", "commit", "case", "alias")
STATUSES = ("s401", "s403", "s404", "s429", "s500", "s503", "html", "gated", "missing", "norev", "slow")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4}))
    (folder / "adapter_model.safetensors").write_bytes(b"not read here")
    return folder


@pytest.fixture(scope="module")
def cache(checkpoints: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that has every model of CASES whole, and for each status of a hub one by commit and one by branch."""
    cache = tmp_path_factory.mktemp("cache")
    listed = known_models()
    reranker = checkpoints / "xlmr-reranker"
    fill = hub_caches.fill_cache
    fill(cache, RERANKER, reranker, commit=str(listed["reranker", RERANKER].revision))
    fill(cache, EMBEDDER, checkpoints / "bert-embedder", commit=str(listed["embedder", EMBEDDER].revision))
    renamed = listed["reranker", RENAMED]
    fill(cache, renamed.aliases[0], checkpoints / "bert-reranker", commit=str(renamed.revision))
    fill(cache, UNLISTED, reranker, branch="main")
    fill(cache, "someone/branched", reranker, branch="tuned")
    fill(cache, "someone/adapter", adapter, branch="main")
    for status in STATUSES:
        fill(cache, f"{status}/model", reranker, branch="main")
    return cache


@pytest.mark.parametrize(
    ("at_import", "later"),
    [
        ({"HF_HUB_OFFLINE": "1"}, {}),
        ({"TRANSFORMERS_OFFLINE": "yes"}, {}),
        ({}, {"HF_HUB_OFFLINE": "1"}),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, {}),
        ({"HF_ENDPOINT": "http://no-such-host.invalid"}, {}),
        ({"HF_ENDPOINT": "no address"}, {}),
        ({"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}, {}),
    ],
    ids=["offline", "transformers", "offline-later", "refused", "dns", "no-address", "proxy"],
)
def test_what_is_whole_in_the_cache_loads_without_a_network(
    cache: Path, at_import: dict[str, str], later: dict[str, str]
) -> None:
    found = hub_caches.in_a_process(SCRIPT, [later, CASES], cache=cache, **at_import)
    assert {name: result.get("message") for name, result in found.items() if "folder" not in result} == {}


def test_a_commit_that_is_whole_asks_nobody_and_neither_does_anything_once_switched_off(cache: Path) -> None:
    pinned = [case for case in CASES if case[0] in PINNED]
    local = [(name, kind, model, {**options, "local_files_only": True}) for name, kind, model, options in CASES]
    with hub_caches.hub_that_answers() as (address, asked):
        found = hub_caches.in_a_process(SCRIPT, [{}, pinned], cache=cache, HF_ENDPOINT=address)
        assert all("folder" in result for result in found.values()), found
        found = hub_caches.in_a_process(SCRIPT, [{}, local], cache=cache, HF_ENDPOINT=address)
        assert all("folder" in result for result in found.values()), found
        found = hub_caches.in_a_process(SCRIPT, [{"HF_HUB_OFFLINE": "1"}, CASES], cache=cache, HF_ENDPOINT=address)
        assert all("folder" in result for result in found.values()), found
        assert asked == []


def test_whatever_the_hub_answers_the_cache_is_used_and_without_one_the_reason_is_told(cache: Path) -> None:
    branches = [(f"{status}-main", "reranker", f"{status}/model", {}) for status in STATUSES]
    commits = [(f"{status}-pin", "reranker", f"{status}/model", {"revision": hub_caches.COMMIT}) for status in STATUSES]
    nowhere = [(f"{status}-no", "reranker", f"{status}/other", {}) for status in STATUSES]
    adapters = [(f"{status}-adapter", "adapter", f"{status}/adapter", {}) for status in STATUSES]
    with hub_caches.hub_that_answers() as (address, _):
        cases = [*branches, *commits, *nowhere, *adapters]
        found = hub_caches.in_a_process(SCRIPT, [{}, cases], cache=cache, HF_ENDPOINT=address)
    # The hub says that the branch is gone: an old copy of it would be silently something else.
    assert found.pop("norev-main")["error"] == "ModelUnavailableError"
    words = {"gated": "accept its licence", "missing": "no such repository", "norev": "no such revision"}
    words |= {status: f"answered with status {status[1:]}" for status in STATUSES if status[1:].isdigit()}
    words |= {"html": "could not be reached", "slow": "could not be reached"}
    for name, result in found.items():
        status, _, what = name.partition("-")
        if what in ("main", "pin"):
            assert "folder" in result, result
            assert ("may be out of date" in result["warned"]) == (what == "main"), result
        else:
            assert result["error"] == "ModelUnavailableError"
            assert words[status] in result["message"]
            assert "HF_HUB_OFFLINE=1" in result["message"]


@pytest.mark.slow
def test_a_hub_that_accepts_and_never_answers_is_given_up_after_its_timeout(cache: Path) -> None:
    options = {"allow_pickle": True}
    nowhere = [
        ("no-listed", "embedder", "BAAI/bge-m3", options),
        ("no-branch", "reranker", "nobody/model", {}),
        ("no-commit", "reranker", "nobody/model", {"revision": hub_caches.COMMIT}),
        ("no-adapter", "adapter", "nobody/adapter", {}),
    ]
    started = time.monotonic()
    with hub_caches.hub_that_never_answers() as address:
        found = hub_caches.in_a_process(SCRIPT, [{}, [*CASES, *nowhere]], cache=cache, HF_ENDPOINT=address)
    assert time.monotonic() - started < 60
    assert {name: found[name].get("message") for name, *_ in CASES if "folder" not in found[name]} == {}
    for name, *_ in nowhere:
        assert found[name]["error"] == "ModelUnavailableError"
        assert f"{address} could not be reached (ReadTimeout" in found[name]["message"]


@pytest.mark.parametrize("lost", FILES)
@pytest.mark.parametrize(
    "how", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}], ids=["off", "refused"]
)
def test_what_a_cached_model_lacks_is_named(checkpoints: Path, tmp_path: Path, lost: str, how: dict[str, str]) -> None:
    commit = str(known_models()["reranker", RERANKER].revision)
    hub_caches.fill_cache(tmp_path, RERANKER, checkpoints / "xlmr-reranker", commit=commit, without=[lost])
    hub_caches.fill_cache(tmp_path, UNLISTED, checkpoints / "xlmr-reranker", branch="main", without=[lost])
    names = {RERANKER: f"hf download {RERANKER} --revision {commit}", UNLISTED: f"hf download {UNLISTED}"}
    cases = [
        (f"{local:d}{name}", "reranker", name, {"local_files_only": local}) for name in names for local in (False, True)
    ]
    for case, result in hub_caches.in_a_process(SCRIPT, [{}, cases], cache=tmp_path, **how).items():
        assert result["error"] == "ModelUnavailableError"
        assert f"lacks {lost}" in result["message"]
        assert names[case[1:]] in result["message"]


def cached(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let huggingface_hub look into a cache, in this process, where the network is switched off."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize(
    ("kind", "builder", "lost"),
    [
        ("embedder", "instructor-base", "1_Pooling/config.json"),
        ("embedder", "instructor-base", "2_Dense/config.json"),
        ("embedder", "instructor-base", "2_Dense/model.safetensors"),
        ("embedder", "bge-m3", "tokenizer.json"),
    ],
)
def test_files_of_modules_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, builder: str, lost: str
) -> None:
    source = embedder_checkpoints.BUILDERS[builder](tmp_path / "source")
    assert (source / lost).is_file()
    hub_caches.fill_cache(tmp_path / "cache", "someone/model", source, branch="main", without=[lost])
    cached(monkeypatch, tmp_path / "cache")
    with pytest.raises(ModelUnavailableError, match=f"lacks {lost}"):
        resolve("someone/model", kind=kind)  # type: ignore[arg-type]


def test_heads_that_were_allowed_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = embedder_checkpoints.bge_m3(tmp_path / "source")
    commit = str(known_models()["embedder", "BAAI/bge-m3"].revision)
    hub_caches.fill_cache(tmp_path / "cache", "BAAI/bge-m3", source, commit=commit, without=["sparse_linear.pt"])
    cached(monkeypatch, tmp_path / "cache")
    resolve("BAAI/bge-m3", kind="embedder")
    with pytest.raises(ModelUnavailableError, match=r"lacks sparse_linear\.pt"):
        resolve("BAAI/bge-m3", kind="embedder", options=SourceOptions(allow_pickle=True))


@pytest.mark.parametrize("lost", ["model-00002-of-00002.safetensors", "model.safetensors.index.json"])
def test_shards_are_counted(
    monkeypatch: pytest.MonkeyPatch, xlmr_reranker_folder: Path, tmp_path: Path, lost: str
) -> None:
    source = shutil.copytree(xlmr_reranker_folder, tmp_path / "source")
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    (source / "model.safetensors").rename(source / shards[0])
    shutil.copy(source / shards[0], source / shards[1])
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    hub_caches.fill_cache(tmp_path / "cache", UNLISTED, source, branch="main", without=[lost])
    cached(monkeypatch, tmp_path / "cache")
    with pytest.raises(ModelUnavailableError, match=f"lacks {lost}"):
        resolve(UNLISTED, kind="reranker")


def test_a_link_whose_file_is_gone_is_a_file_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, xlmr_reranker_folder: Path, tmp_path: Path
) -> None:
    folder = hub_caches.fill_cache(tmp_path, UNLISTED, xlmr_reranker_folder, branch="main")
    (folder / "model.safetensors").resolve().unlink()
    cached(monkeypatch, tmp_path)
    with pytest.raises(ModelUnavailableError, match=r"lacks model\.safetensors"):
        resolve(UNLISTED, kind="reranker")


def test_another_commit_does_not_stand_in_and_is_named(
    monkeypatch: pytest.MonkeyPatch, xlmr_reranker_folder: Path, tmp_path: Path
) -> None:
    hub_caches.fill_cache(tmp_path, RERANKER, xlmr_reranker_folder, branch="main")
    cached(monkeypatch, tmp_path)
    with pytest.raises(ModelUnavailableError, match=f"other commits of it, for revision=: {hub_caches.COMMIT}"):
        resolve(RERANKER, kind="reranker")
    found = resolve(RERANKER, kind="reranker", options=SourceOptions(revision=hub_caches.COMMIT))
    assert found.source == f"{RERANKER}@{hub_caches.COMMIT}"


@pytest.mark.parametrize("ref", ["", "\x00", "../..", "f" * 5000])
def test_a_broken_ref_is_a_model_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, xlmr_reranker_folder: Path, tmp_path: Path, ref: str
) -> None:
    folder = hub_caches.fill_cache(tmp_path, UNLISTED, xlmr_reranker_folder, branch="main")
    (folder.parent.parent / "refs" / "main").write_text(ref)
    cached(monkeypatch, tmp_path)
    with pytest.raises(ModelUnavailableError):
        resolve(UNLISTED, kind="reranker")


def test_half_an_embedder_is_completed_where_there_is_a_network_and_used_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, checkpoints: Path, tmp_path: Path
) -> None:
    """AutoModel fetches no modules.json, which says how vectors are made; the catalog knows it for this model."""
    commit = str(known_models()["embedder", EMBEDDER].revision)
    lost = ["modules.json", "1_Pooling/config.json"]
    folder = hub_caches.fill_cache(tmp_path, EMBEDDER, checkpoints / "bert-embedder", commit=commit, without=lost)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    asked = []

    def download(*_: object, local_files_only: bool, **__: object) -> str:
        asked.append(local_files_only)
        if not local_files_only:
            raise ConnectionError
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_, **__: None)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve(EMBEDDER, kind="embedder").files.folder == folder
    assert asked == [True, False]
    (tmp_path / f"models--{EMBEDDER.replace('/', '--')}" / ".no_exist" / commit).mkdir(parents=True)
    (tmp_path / f"models--{EMBEDDER.replace('/', '--')}" / ".no_exist" / commit / "modules.json").touch()
    assert resolve(EMBEDDER, kind="embedder").files.folder == folder
    assert asked == [True, False, True]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (RuntimeError("File reconstruction error: No space left on device (os error 28)"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/cache/models--x"), "cannot be written"),
        (OSError(errno.EROFS, "Read-only file system", "/cache/models--x"), "cannot be written"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/cache/models--x"), "cannot be written"),
        (AssertionError("no sha"), "could not be reached"),
        (KeyError("id"), "could not be reached"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_trouble_with_the_disk_and_nonsense_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, words: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def refuse(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_, **__: None)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelUnavailableError, match=words):
        folder_from_hub("someone/model", revision=None, local_files_only=False, kind="embedder")


def test_a_cache_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with hub_caches.hub_that_answers() as (address, _):
        cases = [("x", "reranker", "s404/model", {}), ("pin", "reranker", RERANKER, {})]
        found = hub_caches.in_a_process(SCRIPT, [{}, cases], cache=tmp_path / "file" / "cache", HF_ENDPOINT=address)
    assert {result["error"] for result in found.values()} == {"ModelUnavailableError"}


@pytest.mark.slow
def test_a_model_from_the_cache_scores_in_airplane_mode(cache: Path) -> None:
    script = """
import json, sys
from rerank_plugins import Embedder, Reranker
reranker, embedder = json.load(sys.stdin)
scores = Reranker(reranker, device="cpu").score([("panda", "A bear of China."), ("panda", "Berlin")])
vectors = Embedder(embedder, device="cpu").embed_queries(["panda"])
print(json.dumps({"n": [len(scores), len(vectors)]}))
"""
    with hub_caches.hub_that_answers() as (address, asked):
        found = hub_caches.in_a_process(script, [RERANKER, EMBEDDER], cache=cache, HF_ENDPOINT=address)
    assert found["n"] == [2, 1]  # type: ignore[comparison-overlap]
    assert asked == []
