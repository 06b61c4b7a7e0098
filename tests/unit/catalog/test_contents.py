"""What the files of a checkpoint are known by."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rerank_plugins.catalog.checkpoint import read_checkpoint
from rerank_plugins.catalog.contents import contents_key, weights_key
from rerank_plugins.errors import ModelError


def key(folder: Path) -> str:
    files = read_checkpoint(folder)
    return contents_key(files, loaded=files.fingerprint)


@pytest.fixture
def folder(checkpoints: Path, tmp_path: Path) -> Path:
    return shutil.copytree(checkpoints / "bert-embedder", tmp_path / "model")


def test_the_same_files_have_one_key_wherever_and_whenever_they_were_written(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "other name", copy_function=shutil.copyfile)
    for path in moved.rglob("*"):
        os.utime(path, (1, 1))
    (moved / "README.md").write_text("for people", encoding="utf-8")
    (moved / ".gitattributes").write_text("", encoding="utf-8")
    assert key(moved) == key(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_one_byte_of_any_file_makes_another_key(folder: Path, name: str) -> None:
    before = key(folder)
    changed = bytearray((folder / name).read_bytes())
    # White space at the end of a text, the last bit of the last number.
    changed[-1:] = bytes([changed[-1] ^ 1]) if name.endswith("safetensors") else changed[-1:] + b" "
    (folder / name).write_bytes(changed)
    assert key(folder) != before


def test_what_was_loaded_before_the_files_changed_is_neither_of_both(folder: Path) -> None:
    files = read_checkpoint(folder)
    loaded, before = files.fingerprint, key(folder)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ", encoding="utf-8")
    of_loaded = contents_key(files, loaded=loaded)
    assert of_loaded not in (before, key(folder))
    assert contents_key(files, loaded=loaded) == of_loaded


def test_weights_have_one_key_in_the_hubs_cache_and_beside_it(folder: Path, tmp_path: Path) -> None:
    def weights(of: Path) -> str:
        files = read_checkpoint(of)
        return weights_key(files, loaded=files.fingerprint)

    snapshot = shutil.copytree(folder, tmp_path / "models--acme--small" / "snapshots" / ("0" * 40))
    known = weights(folder)
    assert weights(snapshot) == known
    # What a training leaves, and a pickle that nothing reads.
    for name in ("training_args.bin", "pytorch_model.bin", "README.md", "more.json"):
        (folder / name).write_bytes(b"{}")
        assert weights(folder) == known
    for name in ("colbert_linear.pt", "tokenizer.json", "model.safetensors"):
        before, path = weights(folder), folder / name
        path.write_bytes(path.read_bytes()[:-1] + b" " if path.is_file() else b"x")
        assert weights(folder) != before
    loaded = read_checkpoint(folder).fingerprint
    (folder / "notes.txt").write_text("for people", encoding="utf-8")
    assert weights_key(read_checkpoint(folder), loaded=loaded) == weights(folder)
    # The key of what was loaded stays, if somebody asked for it in time.
    files, known = read_checkpoint(folder), weights(folder)
    loaded = files.fingerprint
    (folder / "model.safetensors").write_bytes(b"")
    assert weights_key(files, loaded=loaded) == known
    earlier = tuple((name, size, changed_ns - 1) for name, size, changed_ns in loaded)
    assert weights_key(files, loaded=earlier) not in (known, weights(folder))
    shutil.rmtree(folder)
    assert weights_key(files, loaded=loaded) == known != weights_key(files, loaded=earlier)


def test_a_snapshot_of_the_hub_is_known_by_its_commit(folder: Path, tmp_path: Path) -> None:
    def snapshot(root: str, commit: str) -> Path:
        return shutil.copytree(folder, tmp_path / root / "models--acme--small" / "snapshots" / commit)

    one, same, other = snapshot("a", "0" * 40), snapshot("b", "0" * 40), snapshot("a", "1" * 40)
    (same / "model.safetensors").touch()
    assert key(one) == key(same) == f"models--acme--small@{'0' * 40}"
    assert key(other) != key(one)
    no_commit = shutil.copytree(folder, tmp_path / "snapshots" / "epoch 3")
    assert key(no_commit) == key(folder)


class Gone:
    """Files of which one went between being listed and being read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fingerprint = folder, (("gone.safetensors", 3, 4),)


def test_a_file_that_cannot_be_read_is_an_error(folder: Path) -> None:
    files = Gone(folder)
    with pytest.raises(ModelError, match=r"gone\.safetensors"):
        contents_key(files, loaded=files.fingerprint)  # type: ignore[arg-type]
