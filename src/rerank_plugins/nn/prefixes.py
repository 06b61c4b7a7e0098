"""Prefix sharing: groups inputs of a batch by common prefix and lays them out in a row that holds each prefix once.

The prompts of an LLM reranker have the same prefix for all documents of a query. In a decoder a token's state depends
only on the tokens before it, so the keys and values (KV) of the prefix are the same for all of them. The packed row
holds the prefix once and then the rest of each input, which attends to it (:mod:`rerank_plugins.nn.attention`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["PrefixGroup", "prefix_groups"]

_Ids = npt.NDArray[np.int32]

LEAST_SAVED_TOKENS = 16
"""What a group must save. A token costs a layer two operations a weight, 30 million in the smallest of these models
(Qwen3-Reranker-0.6B, 15.7 M weights a layer), about 0.1 ms on two CPU cores; a group costs one more attention call a
layer for its prefix, about as much as one token, and the copy of its keys and values to each of its inputs, 8 KB a
token there, a hundredth of one. So almost anything saved is a gain; this leaves out the BOS token of all inputs."""


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """Inputs that begin with the same tokens.

    Attributes:
        members: Which inputs, those with the most tokens first.
        tokens: Length of their common prefix; 0 for an input that shares none.
    """

    members: tuple[int, ...]
    tokens: int = 0


@dataclass(slots=True)
class _Node:
    """Inputs that are neighbours in sorted order, and the best found for them so far.

    Attributes:
        members: The inputs.
        groups: Those of them that share something.
        saved: Tokens these groups save.
    """

    members: list[int]
    groups: list[PrefixGroup]
    saved: int = 0


def prefix_groups(inputs: Sequence[_Ids], *, least_saved_tokens: int = LEAST_SAVED_TOKENS) -> list[PrefixGroup]:
    """Return groups of inputs to be run with a common prefix; a pure function.

    Inputs in sorted order form a tree by their common prefixes. From its leaves up, each branch keeps its own groups
    or joins one at the shorter prefix of the node above, whichever saves more tokens.

    Args:
        inputs: Token ids of each input. Shape of each: (tokens,).
        least_saved_tokens: A group that saves fewer, ``(members - 1) * tokens``, is not made.

    Returns:
        Each input in exactly one group, with at least one token after the prefix, since its last token is read.
    """
    keys = [one.tobytes() for one in inputs]
    # Bytes of equal width sort equal prefixes together, whatever order of numbers they stand for.
    order = sorted(range(len(inputs)), key=keys.__getitem__)
    common_with_next = [_common_tokens(inputs[one], inputs[other]) for one, other in pairwise(order)]
    open_nodes: list[tuple[int, list[_Node]]] = []  # (common tokens, branches), ever longer prefixes
    for index, common in zip(order, [*common_with_next, 0], strict=False):  # no inputs: nothing to pair the 0 with
        node = _Node([index], [])
        while open_nodes and open_nodes[-1][0] > common:
            depth, branches = open_nodes.pop()
            node = _joined([*branches, node], depth, least_saved_tokens)
        if open_nodes and open_nodes[-1][0] == common:
            open_nodes[-1][1].append(node)
        else:
            open_nodes.append((common, [node]))
    groups = [group for _, nodes in open_nodes for node in nodes for group in node.groups]
    taken = {index for group in groups for index in group.members}
    alone = [PrefixGroup((index,)) for index in range(len(inputs)) if index not in taken]
    ordered = [
        PrefixGroup(tuple(sorted(group.members, key=lambda index: (-len(inputs[index]), index))), group.tokens)
        for group in groups
    ]
    return [*ordered, *alone]


def _common_tokens(one: _Ids, other: _Ids) -> int:
    """Return the length of the common prefix of two inputs, without the last token of each."""
    n = min(len(one), len(other)) - 1
    differs = one[:n] != other[:n]
    return int(differs.argmax()) if differs.any() else max(n, 0)


def _joined(branches: list[_Node], tokens: int, least_saved: int) -> _Node:
    members = [index for branch in branches for index in branch.members]
    joining = [len(branch.members) * tokens >= branch.saved for branch in branches]
    group = [index for branch, joins in zip(branches, joining, strict=True) if joins for index in branch.members]
    given_up = sum(branch.saved for branch, joins in zip(branches, joining, strict=True) if joins)
    saved = (len(group) - 1) * tokens
    if saved < least_saved or saved <= given_up:
        joining, group, saved = [False] * len(branches), [], 0
    kept = [branch for branch, joins in zip(branches, joining, strict=True) if not joins]
    groups = [one for branch in kept for one in branch.groups]
    if group:
        groups.append(PrefixGroup(tuple(group), tokens))
    return _Node(members, groups, saved + sum(branch.saved for branch in kept))
