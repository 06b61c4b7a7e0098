"""The file format, read back by the ``onnx`` package."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.graphs import proto
from rerank_plugins.graphs.builder import CONTRIB, GraphBuilder
from rerank_plugins.graphs.proto import ExternalData

onnx = pytest.importorskip("onnx")


def test_a_graph_is_read_as_it_was_meant() -> None:
    graph = GraphBuilder()
    rows = graph.input("input", "float32", ("rows", 3))
    weight = graph.weight("weight", np.ones((2, 3), np.float32))
    product = graph.add("Gemm", rows, weight, attributes={"transB": 1, "alpha": 0.5})
    same = [graph.constant(1.0, "float32"), graph.constant(1.0, "float32"), graph.constant([1], "int64")]
    assert len(set(same)) == 2
    shifted = graph.add("Add", product, same[0])
    turned = graph.add("Transpose", shifted, attributes={"perm": [1, 0]})
    graph.output(graph.add("Gelu", turned, domain=CONTRIB), "output", (2, "rows"))
    places = {"weight": ExternalData(location="here", offset=300, length=24)}
    read = onnx.load_model_from_string(graph.model(places, metadata={"model": "熊猫"}))
    assert [one.op_type for one in read.graph.node] == ["Gemm", "Add", "Transpose", "Gelu", "Identity"]
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in read.graph.node[0].attribute}
    assert attributes == {"transB": 1, "alpha": 0.5}
    assert onnx.helper.get_attribute_value(read.graph.node[2].attribute[0]) == [1, 0]
    external = next(one for one in read.graph.initializer if one.name == "weight")
    assert {one.key: one.value for one in external.external_data} == {
        "location": "here",
        "offset": "300",
        "length": "24",
    }
    assert [one.value for one in read.metadata_props] == ["熊猫"]
    assert {one.domain: one.version for one in read.opset_import} == {"": 17, CONTRIB: 1}
    sizes = read.graph.input[0].type.tensor_type.shape.dim
    assert (sizes[0].dim_param, sizes[1].dim_value) == ("rows", 3)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4))
def test_numbers_of_any_size(numbers: list[int]) -> None:
    node = onnx.NodeProto.FromString(proto.node("Op", ["a"], ["b"], domain="d", attributes={"numbers": numbers}))
    assert list(node.attribute[0].ints) == numbers
    assert (node.op_type, node.domain, list(node.input), list(node.output)) == ("Op", "d", ["a"], ["b"])


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int32", "int64", "bool"])
def test_tensors(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    read = onnx.numpy_helper.to_array(onnx.TensorProto.FromString(proto.tensor("name", array)))
    assert read.dtype == array.dtype
    assert np.array_equal(read, array)
    assert onnx.numpy_helper.to_array(onnx.TensorProto.FromString(proto.tensor("n", array[0, 0]))).shape == ()
