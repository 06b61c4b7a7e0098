"""Landmarks: weights, loss and batches by definition, a training from end to end, and what cannot go with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
import torch
from tokenizers import Tokenizer
from training_rows import rows, tiny_settings
from transformers import AutoModel, AutoTokenizer

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins import Embedder, SourceOptions
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.sentences import sentence_spans
from rerank_plugins.text.single import SingleTextTokenizer, TextAffixes
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.training import embedder_settings, train_embedder
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.groups import Group
from rerank_plugins.training.vectors.embedder import open_embedder
from rerank_plugins.training.vectors.landmarks import LandmarkBatches, LandmarkObjective, landmark_weights
from rerank_plugins.training.vectors.objectives import OWN_TEXTS_ONLY


def test_weights_grow_towards_the_last_sentence() -> None:
    assert landmark_weights(3, decay=0.5) == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    assert landmark_weights(4, decay=1.0) == pytest.approx([0.25] * 4)
    assert landmark_weights(0, decay=0.5) == []


@pytest.mark.parametrize("uses_others", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_is_that_of_the_definition(uses_others: bool, normalize: bool) -> None:
    torch.manual_seed(0)
    queries, tokens = torch.randn(2, 5), torch.randn(3, 7, 5)
    landmarks = torch.tensor([[0, 1], [0, 4], [1, 2], [1, 5], [2, 0], [2, 6]])
    owners, weights = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1 / 3, 2 / 3, 0.0, 0.0, 1.0, 0.0])
    objective = LandmarkObjective(temperature=0.5, normalize=normalize, uses_others=uses_others)
    batch = {"landmarks": landmarks, "owners": owners, "weights": weights, OWN_TEXTS_ONLY: False}
    found = objective({"dense": queries}, {"tokens": tokens}, batch, 0)

    def score(query: int, landmark: int) -> torch.Tensor:
        one, other = queries[query], tokens[tuple(landmarks[landmark].tolist())]
        if normalize:
            one, other = one / one.norm(), other / other.norm()
        return one @ other / 0.5

    expected = 0.0
    for query, run in ((0, [0, 1]), (1, [4])):
        others = [n for n in range(6) if n not in run and (uses_others or int(owners[n]) == query)]
        for landmark in run:
            denominator = torch.stack([score(query, n) for n in [landmark, *others]]).logsumexp(dim=0)
            expected += float(weights[landmark] * (denominator - score(query, landmark))) / 2
    assert float(found) == pytest.approx(expected, abs=1e-5)


def test_a_batch_has_each_sentence_of_each_document_with_its_landmark() -> None:
    tokenizer = TextTokenizer(tiny_checkpoints.wordpiece()).with_special_token("[LMK]")
    layout = TextLayout.of(tokenizer)
    landmark = tokenizer.token_to_id("[LMK]")
    assert landmark is not None
    side = SingleTextTokenizer(tokenizer, layout, TextAffixes(), max_length_tokens=40)
    padding = PairPadding(pad_id=0, has_types=False)
    batches = LandmarkBatches(
        lambda texts: padding(side.encode(texts)),
        padding,
        side,
        instruction="",
        landmark_id=landmark,
        decay=0.5,
        own_texts_only=lambda _: False,
    )
    positive = "The cat sat on the mat. The dog ran. Who won?"
    groups = [
        Group("who", (positive, "Paris is a capital. " * 6), None, 3),
        Group("what", ("One sentence", "Two. Three."), None, 4),
    ]
    batch = batches(groups)
    ids = batch["passages"]["input_ids"]
    assert {int(ids[row, token]) for row, token in batch["landmarks"].tolist()} == {landmark}
    assert batch["owners"].tolist() == [0] * 9 + [1] * 3
    of_first = batch["weights"][batch["owners"] == 0]
    assert sorted(of_first[of_first > 0].tolist()) == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    assert batch["weights"][batch["owners"] == 1].sum() == pytest.approx(1.0)
    assert len(ids) > 2
    assert batch["rows"].tolist() == [3, 4]


def sentence_rows(n: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Rows whose texts have two sentences, the second of which answers."""
    made = rows(n, seed=seed)
    for row in made:
        row["pos"] = [f"It is so. {one.capitalize()}." for one in row["pos"]]
        row["neg"] = [f"It is so. {one.capitalize()}." for one in row["neg"]]
    return made


@pytest.mark.slow
def test_a_batch_marks_the_answers_and_is_learned_by_heart(tmp_path: Path) -> None:
    start = tiny_checkpoints.bert_embedder(tmp_path / "start", pooling="mean")
    settings = embedder_settings(tiny_settings(start, tmp_path, landmarks=True, passage_max_len=96, query_max_len=32))
    trainable = open_embedder(resolve(str(start), kind="embedder", options=SourceOptions()), settings)
    inputs = trainable.inputs
    batches = LandmarkBatches(
        inputs.queries,
        inputs.padding,
        inputs.document_side(trainable.spec, settings.data),
        instruction="",
        landmark_id=inputs.tokenizer.token_to_id("[LMK]") or 0,
        decay=0.5,
        own_texts_only=lambda _: False,
    )
    texts = [(row["query"], (row["pos"][0], *row["neg"])) for row in rows(4)]
    groups = [
        Group(query, tuple(f"{text.capitalize()}." for text in own), None, number)
        for number, (query, own) in enumerate(texts)
    ]
    batch, objective = batches(groups), LandmarkObjective(temperature=0.2, normalize=True)
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(trainable.module.parameters(), lr=2e-3)
    losses = []
    for _ in range(100):
        loss = objective(*trainable.module.eval()(batch["queries"], batch["passages"]), batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # Guessing among the 21 landmarks that may answer a query is about ln 21, or 3.0.
    assert losses[0] > 2.0
    assert losses[-1] < 0.5
    ids, landmarks = batch["passages"]["input_ids"], batch["landmarks"].tolist()
    words = Tokenizer.from_file(str(start / "tokenizer.json"))
    answers = []
    for (row, place), weight in zip(landmarks, batch["weights"].tolist(), strict=True):
        if weight:
            begins = max([0, *(other for of, other in landmarks if of == row and other < place)]) + 1
            answers.append(words.decode(ids[row, begins:place].tolist()).replace(" .", "."))
    assert answers == [group.texts[0].lower() for group in groups]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("landmarks")
    start = tiny_checkpoints.bert_embedder(folder / "start", pooling="mean")
    changes = {
        "landmarks": True,
        "passage_max_len": 48,
        "query_max_len": 32,
        "max_steps": 40,
        "train_data": folder / "rows.jsonl",
    }
    (folder / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in sentence_rows(60)))
    result = train_embedder(embedder_settings(tiny_settings(start, folder, **changes)))
    assert result is not None
    return start, result.folder


@pytest.mark.slow
def test_a_trained_folder_opens_with_its_landmarks(trained: tuple[Path, Path]) -> None:
    _, folder = trained
    embedder = Embedder(folder, device="cpu", dtype="float32")
    assert (embedder.spec.landmark, embedder.spec.ends_in, embedder.spec.pooling) == ("[LMK]", "[LMK]", "last_token")
    (found,) = embedder.encode_chunks([sentence_rows(1, seed=9)[0]["pos"][0]])
    assert len(found) == 2
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.slow
def test_its_vectors_are_the_states_of_the_landmarks(trained: tuple[Path, Path]) -> None:
    _, folder = trained
    embedder = Embedder(folder, device="cpu", dtype="float32")
    text = "panda is bamboo. The capital of France. Who?"
    (found,) = embedder.encode_chunks([text])
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    landmark = tokenizer.convert_tokens_to_ids("[LMK]")
    ids = [tokenizer.cls_token_id]
    for span in sentence_spans(text):
        ids += [*tokenizer(text[span.start : span.end], add_special_tokens=False)["input_ids"], landmark]
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    expected = torch.nn.functional.normalize(states[[n for n, one in enumerate(ids) if one == landmark]], dim=1)
    assert found.vectors == pytest.approx(expected.numpy(), abs=1e-5)
    query = tokenizer("who is panda")["input_ids"]
    assert query[-1] == landmark
    with torch.inference_mode():
        last = model(input_ids=torch.tensor([query])).last_hidden_state[0, -1]
    assert embedder.embed_queries(["who is panda"])[0] == pytest.approx((last / last.norm()).numpy(), abs=1e-5)


@pytest.mark.slow
def test_a_landmark_model_is_trained_on_with_its_own_token(trained: tuple[Path, Path], tmp_path: Path) -> None:
    _, folder = trained
    settings = embedder_settings(tiny_settings(folder, tmp_path, landmarks=True, landmark_token="[OTHER]", max_steps=2))
    result = train_embedder(settings)
    assert result is not None
    assert Embedder(result.folder).spec.landmark == "[LMK]"
    assert "[OTHER]" not in AutoTokenizer.from_pretrained(result.folder).get_vocab()


@pytest.mark.parametrize(
    "changes",
    [
        {"unified_finetuning": True},
        {"use_mrl": True, "mrl_dims": [16]},
        {"knowledge_distillation": True},
        {"use_lora": True},
        {"freeze_embeddings": True},
        {"sentence_pooling_method": "mean"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_go_with_landmarks_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    start = tiny_checkpoints.bert_embedder(tmp_path / "start", pooling="mean")
    settings = embedder_settings(tiny_settings(start, tmp_path, landmarks=True, **changes))
    with pytest.raises(InvalidInputError, match=f"landmarks cannot be trained with {next(iter(changes))}"):
        train_embedder(settings)


@pytest.mark.parametrize("changes", [{"landmark_decay": 0.0}, {"landmark_token": " x"}])
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(changes))):
        embedder_settings(tiny_settings(tmp_path, tmp_path, landmarks=True, **changes))
