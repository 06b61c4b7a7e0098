"""Collects the nodes and weights of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from rerank_plugins.graphs import proto
from rerank_plugins.graphs.proto import Attribute, ExternalData

__all__ = ["CONTRIB", "GraphBuilder", "Weights"]

Weights = Mapping[str, npt.NDArray[np.generic]]

CONTRIB = "com.microsoft"
"""Domain of ONNX Runtime's own operators: fused attention, norms and products of quantised weights."""

_OPSETS = MappingProxyType({"": 17, CONTRIB: 1})
_NONE: Mapping[str, Attribute] = MappingProxyType({})


class GraphBuilder:
    """A graph under construction; values are known by their names.

    Attributes:
        weights: The tensors that are not in the graph's own file, by the name that it knows them by.
    """

    def __init__(self) -> None:
        self.weights: dict[str, npt.NDArray[np.generic]] = {}
        self._nodes: list[bytes] = []
        self._constants: dict[tuple[object, ...], tuple[str, npt.NDArray[np.generic]]] = {}
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._n_values = 0

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """Declare what is fed; return its name."""
        self._inputs.append(proto.value_info(name, dtype, shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """Declare a float32 result and its name."""
        self._nodes.append(proto.node("Identity", [value], [name], domain="", attributes=_NONE))
        self._outputs.append(proto.value_info(name, "float32", shape))

    def weight(self, name: str, array: npt.NDArray[np.generic]) -> str:
        """Add a tensor whose numbers are kept outside; return its name."""
        self.weights[name] = array
        return name

    def constant(self, values: object, dtype: str = "int64") -> str:
        """Return the name of a small tensor that is in the graph's file; equal ones are one."""
        array = np.asarray(values, dtype=dtype)
        key = (dtype, array.shape, array.tobytes())
        return self._constants.setdefault(key, (f"constant_{len(self._constants)}", array))[0]

    def add(self, operator: str, *inputs: str, domain: str = "", attributes: Mapping[str, Attribute] = _NONE) -> str:
        """Add an operation; return the name of its first result. An empty name is an input that is left out."""
        self._n_values += 1
        name = f"value_{self._n_values}"
        self._nodes.append(proto.node(operator, inputs, [name], domain=domain, attributes=attributes))
        return name

    def model(self, places: Mapping[str, ExternalData], *, metadata: Mapping[str, str] = MappingProxyType({})) -> bytes:
        """Return the graph as an ONNX model.

        Args:
            places: Where the numbers of each of ``weights`` are.
            metadata: Texts for people.
        """
        tensors = [proto.tensor(name, array) for name, array in self._constants.values()]
        tensors += [proto.tensor(name, array, external=places[name]) for name, array in self.weights.items()]
        return proto.model(
            nodes=self._nodes,
            tensors=tensors,
            inputs=self._inputs,
            outputs=self._outputs,
            opsets=_OPSETS,
            metadata=metadata,
        )
