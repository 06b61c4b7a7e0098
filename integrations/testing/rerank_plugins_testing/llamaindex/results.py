"""What comes out: order, scores, copies, text, options."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from copy import deepcopy

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageNode,
    IndexNode,
    MetadataMode,
    NodeWithScore,
    TextNode,
)

from rerank_plugins_testing.llamaindex.base import (
    QUERY,
    ConformanceBase,
    MakePostprocessor,
    snapshot,
    summary,
)

__all__ = ["ResultConformance"]


class ResultConformance(ConformanceBase):
    """The score contract."""

    def test_is_a_postprocessor(self, make: MakePostprocessor) -> None:
        """Engines accept BaseNodePostprocessor only."""
        assert isinstance(make(), BaseNodePostprocessor)

    def test_no_nodes(self, make: MakePostprocessor) -> None:
        """An empty retrieval is normal; the result is an empty list."""
        assert make().postprocess_nodes([], query_str=QUERY) == []

    def test_a_query_is_needed(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """Without a query there is nothing to score against; say how to pass one."""
        with pytest.raises(ValueError, match="query_str="):
            make().postprocess_nodes(nodes)

    def test_order_and_top_n(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """Scores fall; top_n takes the head of the full order; None returns all."""
        everything = make(top_n=None).postprocess_nodes(nodes, query_str=QUERY)
        scores = [one.get_score(raise_error=True) for one in everything]
        assert scores == sorted(scores, reverse=True)
        assert sorted(one.node_id for one in everything) == sorted(one.node_id for one in nodes)
        head = make(top_n=2).postprocess_nodes(nodes, query_str=QUERY)
        assert summary(head) == summary(everything)[:2]

    def test_one_node(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """A single node is a list of one, not a bare score."""
        assert [one.node_id for one in make().postprocess_nodes(nodes[1:2], query_str=QUERY)] == ["n1"]

    def test_scores_are_python_floats_and_json(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """Scalars of numpy or torch break every JSON response that contains a node."""
        for one in make(top_n=None).postprocess_nodes(nodes, query_str=QUERY):
            assert type(one.score) is float
            assert json.loads(one.model_dump_json())["score"] == one.score
            assert json.loads(one.to_json())["node"]["metadata"] == one.metadata
            assert type(one.node).from_json(one.node.to_json()) == one.node

    def test_input_is_not_changed(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """Retrievers and caches hold on to the nodes they returned."""
        before = snapshot(nodes)
        results = make(top_n=None).postprocess_nodes(nodes, query_str=QUERY)
        for one in results:
            one.node.metadata["added_later"] = True
            one.node.excluded_llm_metadata_keys.append("added_later")
            one.node.relationships.clear()
            one.score = None
        assert snapshot(nodes) == before

    def test_blank_nodes_come_last(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """They are kept, in input order, behind everything that has a text."""
        results = make(top_n=None).postprocess_nodes(nodes, query_str=QUERY)
        assert [one.node_id for one in results[-2:]] == ["n2", "n4"]

    def test_text_for_models_is_unchanged(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """The retrieval score is kept, and not in the text that an LLM or embedding model sees."""
        given = {one.node_id: one for one in nodes}
        for one in make(top_n=None).postprocess_nodes(nodes, query_str=QUERY):
            assert one.metadata["retrieval_score"] == given[one.node_id].score
            for mode in (MetadataMode.LLM, MetadataMode.EMBED, MetadataMode.NONE):
                assert one.get_content(mode) == given[one.node_id].get_content(mode)

    def test_reranking_twice_keeps_the_first_score(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """In a cascade the retrieval score is what retrieval gave, and no stage's marks are scored."""
        stage = make(top_n=None, metadata_mode=MetadataMode.ALL)
        once = stage.postprocess_nodes(nodes, query_str=QUERY)
        twice = stage.postprocess_nodes(once, query_str=QUERY)
        assert summary(twice) == summary(once)
        assert [one.metadata["retrieval_score"] for one in twice] == [one.metadata["retrieval_score"] for one in once]

    def test_metadata_mode_decides_what_is_scored(self, make: MakePostprocessor) -> None:
        """A hidden key must not move a score in EMBED mode and must be able to in ALL mode."""
        hidden = {"hidden": "the panda eats bamboo"}
        plain = TextNode(id_="plain", text="Paris is the capital of France.")
        marked = plain.model_copy(
            update={"id_": "marked", "metadata": hidden, "excluded_embed_metadata_keys": ["hidden"]}
        )
        scores = {}
        for mode in (MetadataMode.EMBED, MetadataMode.ALL):
            nodes = [NodeWithScore(node=plain), NodeWithScore(node=marked)]
            results = make(metadata_mode=mode).postprocess_nodes(nodes, query_str=QUERY)
            scores[mode] = {one.node_id: one.score for one in results}
        embed, everything = scores[MetadataMode.EMBED], scores[MetadataMode.ALL]
        assert embed["plain"] == pytest.approx(embed["marked"], abs=1e-4)
        assert everything["plain"] != pytest.approx(everything["marked"], abs=1e-4)

    def test_every_kind_of_node(self, make: MakePostprocessor) -> None:
        """Type, id and what only that type has survive."""
        kinds: Sequence[BaseNode] = [
            TextNode(text="a panda", start_char_idx=3),
            ImageNode(text="bamboo", image_url="https://example.org/panda.png"),
            IndexNode(text="China", index_id="other", obj=_Unserialisable()),
            Document(text="France"),
        ]
        results = make(top_n=None).postprocess_nodes(
            [NodeWithScore(node=one, score=0.5) for one in kinds], query_str=QUERY
        )
        found = {one.node_id: one.node for one in results}
        for one in kinds:
            assert type(found[one.node_id]) is type(one)
        assert getattr(found[kinds[1].node_id], "image_url", None) == "https://example.org/panda.png"
        assert getattr(found[kinds[2].node_id], "obj", None) is getattr(kinds[2], "obj", None)

    def test_threshold(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """A raw threshold equal to a score keeps it; an unreachable one leaves nothing."""
        everything = make(top_n=None).postprocess_nodes(nodes, query_str=QUERY)
        middle = everything[2].get_score()
        kept = make(top_n=None, threshold=middle - 1e-3, threshold_unit="raw").postprocess_nodes(nodes, query_str=QUERY)
        assert summary(kept) == summary(everything)[: len(kept)]
        assert len(kept) >= len(everything[:3])
        assert make(threshold=1e9, threshold_unit="raw").postprocess_nodes(nodes, query_str=QUERY) == []

    def test_probabilities(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """score_unit changes the number, never the order."""
        raw = make(top_n=None).postprocess_nodes(nodes, query_str=QUERY)
        probable = make(top_n=None, score_unit="probability").postprocess_nodes(nodes, query_str=QUERY)
        assert [one.node_id for one in raw] == [one.node_id for one in probable]
        assert all(0.0 <= one.get_score(raise_error=True) <= 1.0 for one in probable)

    def test_unknown_option(self, make: MakePostprocessor) -> None:
        """A misspelt option must not be swallowed; the message names the right one."""
        with pytest.raises(ValueError, match="top_n"):
            make(topn=3)

    @pytest.mark.parametrize("top_n", [0, -1, True, 2.5, "three"])
    def test_impossible_top_n(self, make: MakePostprocessor, top_n: object) -> None:
        """It is refused when it is set, not when a query comes."""
        with pytest.raises(ValueError, match="top_n"):
            make(top_n=top_n)

    def test_impossible_threshold(self, make: MakePostprocessor) -> None:
        """A raw-looking threshold on the probability scale would drop everything, silently."""
        with pytest.raises(ValueError, match="threshold_unit='raw'"):
            make(threshold=-3.5)

    def test_round_trips(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """Configurations are stored as dict and JSON, sent to processes as pickle, and copied."""
        made = make(top_n=3, metadata_mode=MetadataMode.LLM)
        kind = type(made)
        expected = summary(made.postprocess_nodes(nodes, query_str=QUERY))
        again = [
            kind.from_dict(made.to_dict()),
            kind.from_json(made.to_json()),
            kind.model_validate_json(made.model_dump_json()),
            pickle.loads(pickle.dumps(made)),  # noqa: S301 - our own bytes
            deepcopy(made),
            made.model_copy(),
        ]
        for one in again:
            assert one.to_dict() == made.to_dict()
            assert summary(one.postprocess_nodes(nodes, query_str=QUERY)) == expected
        assert made.to_dict()["class_name"] == kind.class_name()


class _Unserialisable:
    """What an IndexNode may hold: an object that can be neither copied nor dumped."""

    def __deepcopy__(self, memo: object) -> object:
        msg = "copied an object that a node refers to"
        raise AssertionError(msg)
