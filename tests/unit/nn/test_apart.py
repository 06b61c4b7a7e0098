"""Lower layers that read the two texts of a pair apart: packed, padded, and as transformers reads each text alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.apart import apart_lengths, padded_states
from rerank_plugins.nn.backbone import Backbone
from rerank_plugins.protocols import Batch, PairSegments, TokenInput

START, END = 1, 2


def model_of(kind: type = BertModel, **options: object) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=90,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        initializer_range=0.3,
        **options,
    )
    model: BertModel = kind(config, add_pooling_layer=False).eval()
    return model


def pair(query: int, document: int, *, begins_anew: bool = True) -> TokenInput:
    """Return ``<s> q </s> <s> d </s>`` with texts of these lengths, or ``<s> q </s> d </s>``."""
    chance = np.random.default_rng(100 * query + document)
    middle = [END, START] if begins_anew else [END]
    texts = (chance.integers(5, 90, query), chance.integers(5, 90, document))
    ids = np.concatenate([[START], texts[0], middle, texts[1], [END]]).astype(np.int32)
    start = 1 + query + len(middle)
    return TokenInput(ids, np.zeros_like(ids), PairSegments(1, 1 + query, start, start + document))


BATCH = Batch([pair(5, 9), pair(3, 3), pair(3, 3, begins_anew=False), pair(1, 14), pair(4, 0), pair(0, 4)])


def alone(model: BertModel, one: TokenInput, *, n_apart: int) -> torch.Tensor:
    """Return the states by running each part by itself through the lower layers."""
    ids, start = torch.from_numpy(one.ids).long(), one.second_start
    parts = []
    for part in (ids[:start], ids[start:]):
        states = model.embeddings(input_ids=part[None])
        for layer in model.encoder.layer[:n_apart]:
            found = layer(states)
            states = found if isinstance(found, torch.Tensor) else found[0]
        parts.append(states)
    states = torch.cat(parts, dim=1)
    for layer in model.encoder.layer[n_apart:]:
        found = layer(states)
        states = found if isinstance(found, torch.Tensor) else found[0]
    return states[0]


def padded(model: BertModel, batch: Batch, *, n_apart: int) -> torch.Tensor:
    longest = max(batch.lengths)
    ids, mask = torch.zeros(2, len(batch), longest, dtype=torch.int64)
    for row, one in enumerate(batch.inputs):
        ids[row, : len(one)] = torch.from_numpy(one.ids)
        mask[row, : len(one)] = 1
    starts = torch.tensor([one.second_start for one in batch.inputs])
    return padded_states(model, ids, mask, torch.zeros_like(ids), starts=starts, n_apart=n_apart)[mask.bool()]


@pytest.mark.parametrize("n_apart", [0, 1, 3])
def test_packed_and_padded_states_are_those_of_the_parts_alone(n_apart: int) -> None:
    model = model_of()
    with torch.inference_mode():
        # Without layers apart the positions of both parts begin at 0 here too, unlike those of a whole pair.
        expected = torch.cat([alone(model, one, n_apart=n_apart) for one in BATCH.inputs])
        assert (padded(model, BATCH, n_apart=n_apart) - expected).abs().max() <= 1e-4
        if n_apart:
            states = Backbone(model, n_apart=n_apart)(BATCH).flat
            assert (states - expected).abs().max() <= 1e-4


def test_a_document_is_not_seen_by_the_query_until_the_layers_above() -> None:
    model = model_of()
    backbone = Backbone(model, is_ours=False, n_apart=3)
    other = pair(5, 9)
    other.ids[other.segments.document_start :] = 7  # type: ignore[union-attr]
    with torch.inference_mode():
        states, changed = (backbone(Batch([one])).flat for one in (pair(5, 9), other))
        assert (states[:7] - changed[:7]).abs().max() > 1e-2
        model.encoder.layer = model.encoder.layer[:3]
        below, changed_below = (padded(model, Batch([one]), n_apart=3) for one in (pair(5, 9), other))
    assert torch.equal(below[:7], changed_below[:7])


def test_where_the_second_part_begins() -> None:
    assert apart_lengths(Batch([pair(5, 9), pair(5, 9, begins_anew=False)])) == [7, 11, 7, 10]
    # A text may hold the token that parts begin with.
    odd = pair(5, 9)
    odd.ids[[3, 10]] = START
    assert odd.second_start == 7
    single = TokenInput(odd.ids, odd.type_ids)
    assert single.second_start == len(single)
    assert apart_lengths(Batch([single])) == [len(single)]


def test_a_single_text_is_read_as_ever() -> None:
    model = model_of()
    ids = pair(5, 9).ids
    with torch.inference_mode():
        expected = model(torch.from_numpy(ids)[None].long()).last_hidden_state[0]
        states = Backbone(model, n_apart=2)(Batch([TokenInput(ids, np.zeros_like(ids))])).flat
    assert (states - expected).abs().max() <= 1e-4


class _Other(BertModel):
    """A model whose numbers the packed layers do not give."""

    def forward(self, *args: object, **options: object) -> object:
        found = super().forward(*args, **options)
        found.last_hidden_state = found.last_hidden_state + 1.0
        return found


def test_a_model_that_cannot_run_packed_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="packed rows only"):
        Backbone(model_of(_Other), n_apart=2)
