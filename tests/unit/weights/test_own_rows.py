"""Weights that build on those of a folder beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rerank_plugins import Reranker
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.weights.own_rows import base_folder, has_own_rows, int8_rows, read_rows

FILE = "model.safetensors"


def stored(folder: Path, weights: dict[str, torch.Tensor], **metadata: str) -> Path:
    folder.mkdir()
    path = folder / FILE
    save_file(weights, str(path), {f"rerank_plugins.{name}": value for name, value in metadata.items()})
    return path


@pytest.fixture
def base(tmp_path: Path) -> dict[str, torch.Tensor]:
    weights = {"kept": torch.ones(2, 3), "changed": torch.full((2, 3), 2.0), "bias": torch.zeros(3)}
    stored(tmp_path / "base", weights)
    return weights


def test_differences_are_added_and_the_rest_is_the_bases(tmp_path: Path, base: dict[str, torch.Tensor]) -> None:
    rows = {
        "changed": torch.tensor([[1, -2, 3], [4, 0, 127]], dtype=torch.int8),
        "changed.scale": torch.tensor([0.5, 2.0]),
    }
    path = stored(tmp_path / "built", {**rows, "new": torch.ones(4)}, base="base", quantization="int8-rows")
    assert has_own_rows(path.parent)
    assert base_folder(path.parent) == tmp_path / "base"
    found = read_rows(path)
    assert {*found} == {*base, "new"}
    assert torch.equal(found["kept"], base["kept"])
    assert torch.equal(found["changed"], torch.tensor([[2.5, 1.0, 3.5], [10.0, 2.0, 256.0]]))
    assert torch.equal(found["new"], torch.ones(4))


def test_weights_without_a_base_are_whole(tmp_path: Path) -> None:
    path = stored(tmp_path / "whole", {"weight": torch.ones(2, 2)})
    assert base_folder(path.parent) is None
    assert torch.equal(read_rows(path)["weight"], torch.ones(2, 2))
    assert base_folder(tmp_path / "nothing") is None


@pytest.mark.parametrize("name", ["missing", "..", ".", "", "../base", "a/b"])
@pytest.mark.usefixtures("base")
def test_a_base_that_is_not_beside_it_is_refused(tmp_path: Path, name: str) -> None:
    path = stored(tmp_path / "built", {"changed": torch.ones(2, 3)}, base=name)
    with pytest.raises(UnsupportedModelError, match="a folder beside it that is not there"):
        read_rows(path)


@pytest.mark.usefixtures("base")
def test_a_base_of_other_shapes_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "built", {"changed": torch.ones(1, 3)}, base="base")
    with pytest.raises(UnsupportedModelError, match=r"'changed' .* does not fit"):
        read_rows(path)


@pytest.mark.parametrize(
    "array",
    [
        np.ones((15, 4), np.float32),
        np.ones((20, 0), np.float32),
        np.ones((20, 4), np.int64),
        np.full((20, 4), np.inf, np.float32),
        np.ones(20, np.float32),
    ],
    ids=["few rows", "no columns", "whole numbers", "infinite", "no matrix"],
)
def test_what_is_no_large_matrix_of_numbers_stays_as_it_is(array: np.ndarray) -> None:
    assert int8_rows({"weight": array}) == {"weight": array}


def test_rows_have_scales_of_their_own() -> None:
    array = np.array([[0.5, -1.0], [0.0, 0.0]] * 8, np.float32)
    stored = int8_rows({"weight": array})
    assert stored["weight"][:2].tolist() == [[64, -127], [0, 0]]
    assert stored["weight.scale"][0] == np.float32(1 / 127)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (torch.int8, None),
        (torch.int8, torch.ones(1)),
        (torch.int8, torch.ones(4, 1)),
        (torch.int8, torch.ones(4, dtype=torch.int32)),
        (torch.int16, torch.ones(4)),
        (torch.uint8, None),
        (torch.uint8, torch.ones(4, 1)),
        (torch.uint8, torch.ones(1, 2)),
    ],
)
def test_a_matrix_that_its_scale_does_not_fit_is_refused(
    tmp_path: Path, dtype: torch.dtype, scale: torch.Tensor | None
) -> None:
    """NumPy stretched a scale of one number, and one of no known matrix was left out: other scores, without a word."""
    weights = {"matrix": torch.ones(4, 32, dtype=dtype)} | ({} if scale is None else {"matrix.scale": scale})
    path = stored(tmp_path / "model", weights, quantization="int8-rows")
    with pytest.raises(UnsupportedModelError, match=r"'matrix' in .* needs a scale.* write it again"):
        read_rows(path)


def test_a_base_that_is_no_whole_model_is_refused(tmp_path: Path) -> None:
    """Differences to oneself were added twice, and those of a base were taken for its weights."""
    path = stored(tmp_path / "self", {"weight": torch.ones(2)}, base="self")
    with pytest.raises(UnsupportedModelError, match="'self', which is itself no whole model"):
        read_rows(path)
    stored(tmp_path / "base", {"weight": torch.ones(2)}, base="self")
    path = stored(tmp_path / "built", {"weight": torch.ones(2)}, base="base")
    with pytest.raises(UnsupportedModelError, match="'base', which is itself no whole model"):
        read_rows(path)


def test_a_base_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    """The folder that builds on it is as it was, and its loaded weights were taken for the new ones."""
    package = pytest.importorskip("rerank_plugins_mini_zh")
    folder = shutil.copytree(package.reranker_path(), tmp_path / "reranker")
    base = base_folder(package.reranker_path())
    assert base is not None
    changed = shutil.copytree(base, tmp_path / base.name) / FILE
    pairs = [("大熊猫吃什么？", "竹子")]
    before = Reranker(folder, device="cpu").score(pairs)
    weights = load_file(changed)
    name = next(one for one in weights if one.endswith("encoder.layer.0.output.dense.bias"))
    save_file(
        {**weights, name: weights[name] + torch.linspace(-1, 1, 384)},
        changed,
        {"rerank_plugins.quantization": "q4-blocks"},
    )
    assert Reranker(folder, device="cpu").score(pairs) != before
