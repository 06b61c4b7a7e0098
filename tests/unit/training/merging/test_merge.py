"""Averages of checkpoints: the numbers, the choice of the weight, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import embedder_checkpoints
import numpy as np
import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
import transformers
from colbert_checkpoints import multi_vector_encoder, pylate, stanford
from llm_checkpoints import llm_checkpoint
from safetensors.torch import load_file, save_file
from training_rows import rows, tiny_run, tiny_settings, write_rows

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import InvalidInputError, TrainingError, UnsafeModelError, UnsupportedModelError
from rerank_plugins.evaluation import evaluate, parse_measures
from rerank_plugins.training import (
    MergeResult,
    MergeSettings,
    colbert_settings,
    merge_models,
    train_colbert,
    train_reranker,
)
from rerank_plugins.training.merging.folders import ModelFolder, check_mergeable
from rerank_plugins.weights.own_rows import read_rows

PAIRS = [("what is a panda", "pandas eat bamboo"), ("capital of France", "Berlin is in Germany")]


def moved(folder: Path, target: Path, *, by: float = 0.02) -> Path:
    """Return a copy of a checkpoint whose float weights are others."""
    shutil.copytree(folder, target)
    for path in target.rglob("*.safetensors"):
        weights = load_file(path)
        torch.manual_seed(3)
        changed = {
            name: value + by * torch.randn_like(value) if value.is_floating_point() else value
            for name, value in weights.items()
        }
        save_file(changed, path, metadata={"format": "pt"})
    return target


def all_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.parent.name if path.parent != folder else ''}/{name}": value
        for path in sorted(folder.rglob("*.safetensors"))
        for name, value in load_file(path).items()
    }


CHECKPOINTS: dict[str, Any] = {
    "bert": tiny_checkpoints.bert_reranker,
    "xlmr": tiny_checkpoints.xlmr_reranker,
    "bert embedder": tiny_checkpoints.bert_embedder,
    "qwen": tiny_rerankers.qwen_reranker,
    "e5-mistral": embedder_checkpoints.e5_mistral,
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_weight_is_the_weighted_mean(name: str, tmp_path: Path) -> None:
    base = CHECKPOINTS[name](tmp_path / "base")
    tuned = moved(base, tmp_path / "tuned")
    family = "qwen3" if name == "qwen" else None
    settings = MergeSettings(models=(tuned,), base=base, weights=(0.7,), family=family, output_dir=tmp_path / "merged")
    result = merge_models(settings)
    old, new, merged = (all_weights(one) for one in (base, tuned, result.folder))
    floats = [key for key, value in old.items() if value.is_floating_point()]
    assert set(merged) == set(floats)
    assert result.n_tensors == len(floats)
    for key in floats:
        torch.testing.assert_close(merged[key], 0.7 * new[key] + 0.3 * old[key], rtol=0, atol=1e-6)
        assert merged[key].dtype == new[key].dtype
    assert json.loads((result.folder / "merge.json").read_text())["weights"] == {str(tuned): 0.7, str(base): 0.3}


def test_weight_1_scores_as_the_tuned_model_and_0_as_the_base(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_reranker(tmp_path / "base")
    tuned = moved(base, tmp_path / "tuned")
    for weight, same in ((1.0, tuned), (0.0, base)):
        made = MergeSettings(models=(tuned,), base=base, weights=(weight,), output_dir=tmp_path / f"merged{weight}")
        with Reranker(merge_models(made).folder, device="cpu") as one, Reranker(same, device="cpu") as other:
            assert one.score(PAIRS) == other.score(PAIRS)


def test_the_folder_opens_in_transformers_and_here(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_reranker(tmp_path / "base")
    merged = merge_models(
        MergeSettings(models=(moved(base, tmp_path / "tuned"),), base=base, output_dir=tmp_path / "merged")
    ).folder
    model = transformers.AutoModelForSequenceClassification.from_pretrained(merged).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(merged)
    with torch.no_grad():
        theirs = model(**tokenizer(*map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt")).logits
    with Reranker(merged, device="cpu") as reranker:
        assert reranker.score(PAIRS) == pytest.approx(theirs[:, 0].tolist(), abs=1e-5)
    card = (merged / "README.md").read_text(encoding="utf-8")
    assert "0.5 × `tuned`" in card
    assert "nothing was measured" in card


def test_modules_of_sentence_transformers_are_averaged_and_the_pooling_is_kept(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_embedder(tmp_path / "base", pooling="mean")
    tuned = moved(base, tmp_path / "tuned")
    merged = merge_models(MergeSettings(models=(tuned,), base=base, output_dir=tmp_path / "merged")).folder
    assert (merged / "1_Pooling" / "config.json").read_text() == (base / "1_Pooling" / "config.json").read_text()
    one, other = Embedder(merged, device="cpu"), Embedder(base, device="cpu")
    assert one.spec.pooling == other.spec.pooling == "mean"
    assert one.embed_queries(["a panda"]).shape == other.embed_queries(["a panda"]).shape


def test_mini_is_expanded_to_float32(tmp_path: Path) -> None:
    mini = pytest.importorskip("rerank_plugins_mini")
    before = read_rows(mini.reranker_path() / "model.safetensors")
    tuned = tmp_path / "tuned"
    shutil.copytree(mini.reranker_path(), tuned)
    save_file({key: value + 0.01 for key, value in before.items()}, tuned / "model.safetensors", {"format": "pt"})
    result = merge_models(MergeSettings(models=(tuned,), base="mini", weights=(0.5,), output_dir=tmp_path / "merged"))
    merged = load_file(result.folder / "model.safetensors")
    assert set(merged) == set(before)
    for key, value in before.items():
        torch.testing.assert_close(merged[key], value + 0.005, rtol=0, atol=1e-6)
    with Reranker(result.folder, device="cpu") as reranker:
        assert len(reranker.score(PAIRS)) == 2


def test_several_models_with_their_weights(tmp_path: Path) -> None:
    first = tiny_checkpoints.bert_reranker(tmp_path / "a")
    models = (first, moved(first, tmp_path / "b", by=0.1), moved(first, tmp_path / "c", by=0.3))
    result = merge_models(MergeSettings(models=models, weights=(0.2, 0.3, 0.5), output_dir=tmp_path / "merged"))
    merged, parts = all_weights(result.folder), [all_weights(one) for one in models]
    for key, value in merged.items():
        wanted = 0.2 * parts[0][key] + 0.3 * parts[1][key] + 0.5 * parts[2][key]
        torch.testing.assert_close(value, wanted, rtol=0, atol=1e-6)


def test_half_precision_stays_and_is_summed_in_float32(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_reranker(tmp_path / "base")
    tuned = moved(base, tmp_path / "tuned")
    for folder in (base, tuned):
        path = folder / "model.safetensors"
        weights = load_file(path)
        save_file({key: value.bfloat16() for key, value in weights.items()}, path, {"format": "pt"})
    merged = merge_models(MergeSettings(models=(tuned,), base=base, output_dir=tmp_path / "merged")).folder
    old, new = all_weights(base), all_weights(tuned)
    for key, value in all_weights(merged).items():
        assert value.dtype == torch.bfloat16
        torch.testing.assert_close(value, (0.5 * old[key].float() + 0.5 * new[key].float()).bfloat16())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("accelerate")
    folder = tmp_path_factory.mktemp("trained")
    base = tiny_checkpoints.bert_reranker(folder / "base")
    # Measured below on what it was trained on: a tiny model learns nothing that it could use elsewhere.
    data = write_rows(folder / "rows.jsonl", rows(22))
    result = train_reranker(tiny_run(base, folder, max_steps=80, train_data=data, dev_fraction=0.0))
    assert result is not None
    return folder


def test_the_weight_is_chosen_on_the_dev_set(trained: Path, tmp_path: Path) -> None:
    other = write_rows(tmp_path / "x.jsonl", rows(20, seed=6))
    result = merge_models(
        MergeSettings(
            models=(trained / "trained",),
            base=trained / "base",
            output_dir=tmp_path / "merged",
            dev_data=trained / "rows.jsonl",
            keep_data=(other,),
            max_drop=0.1,
        )
    )
    assert [one.weight for one in result.trials] == [0.0, 0.5, 0.7, 0.85, 1.0]
    base, *others = result.trials
    chosen = next(iter(result.weights.values()))
    allowed = [one for one in others if one.keep["x"] >= base.keep["x"] - 0.1]
    assert chosen in [one.weight for one in allowed if one.dev == max(one.dev for one in allowed)]
    assert max(one.dev for one in allowed) > base.dev
    card = (result.folder / "README.md").read_text(encoding="utf-8")
    assert "| 0.85 | " in card
    assert "nDCG@10 on rows" in card


def test_nothing_is_saved_if_every_weight_spoils_another_set(trained: Path, tmp_path: Path) -> None:
    turned = [{**row, "pos": row["neg"], "neg": row["pos"]} for row in rows(22)]
    settings = MergeSettings(
        models=(trained / "trained",),
        base=trained / "base",
        output_dir=tmp_path / "merged",
        dev_data=trained / "rows.jsonl",
        keep_data=(write_rows(tmp_path / "turned.jsonl", turned),),
        weights=(0.85, 1.0),
    )
    with pytest.raises(TrainingError, match=r"every weight loses more than 0\.01 on another set \(0\.85: turned -"):
        merge_models(settings)
    assert not (tmp_path / "merged").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["turned.jsonl"]


SIMILARITIES: dict[str, Any] = {
    "cosine": lambda query, text: query @ text / np.linalg.norm(query) / np.linalg.norm(text),
    "dot": lambda query, text: query @ text,
    "euclidean": lambda query, text: -(((query - text) ** 2).sum() ** 0.5),
    "manhattan": lambda query, text: -np.abs(query - text).sum(),
}


@pytest.mark.parametrize("declared", [None, "dot_of_mine", *SIMILARITIES])
def test_an_embedder_is_measured_by_its_own_similarity(declared: str | None, tmp_path: Path) -> None:
    # What is moved has vectors of different lengths, so that cosines order texts in another way.
    start = tiny_checkpoints.bert_embedder(tmp_path / "start", normalize=False)
    base = moved(start, tmp_path / "base", by=0.6)
    tuned = moved(base, tmp_path / "tuned", by=0.3)
    for folder in (base, tuned):
        (folder / "config_sentence_transformers.json").write_text(json.dumps({"similarity_fn_name": declared}))
    made = rows(20, seed=5)
    result = merge_models(
        MergeSettings(
            models=(tuned,),
            base=base,
            output_dir=tmp_path / "merged",
            dev_data=write_rows(tmp_path / "dev.jsonl", made),
            weights=(1.0,),
        )
    )
    for trial, folder in zip(result.trials, (base, tuned), strict=True):
        reached = {}
        with Embedder(folder, device="cpu") as embedder:
            for name, compared in SIMILARITIES.items():
                scores, qrels = {}, {}
                for number, row in enumerate(made):
                    texts = list(dict.fromkeys([*row["pos"], *row["neg"]]))
                    (query,), vectors = embedder.embed_queries([row["query"]]), embedder.embed_documents(texts)
                    found = [float(compared(query, vector)) for vector in vectors]
                    scores[str(number)] = dict(zip(texts, found, strict=True))
                    qrels[str(number)] = {text: int(text in row["pos"]) for text in texts}
                reached[name] = evaluate(scores, qrels, measures=parse_measures(["nDCG@10"])).mean("nDCG@10")
        own = declared if declared in SIMILARITIES else "cosine"
        assert trial.dev == pytest.approx(reached[own])
        assert len({round(one, 6) for one in reached.values()}) == len(reached)


def test_an_embedder_is_measured_by_its_cosines(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_embedder(tmp_path / "base")
    tuned = moved(base, tmp_path / "tuned", by=0.2)
    dev = write_rows(tmp_path / "dev.jsonl", rows(12, seed=5))
    settings = {"models": (tuned,), "base": base, "dev_data": dev}
    result = merge_models(MergeSettings(**settings, output_dir=tmp_path / "merged"))
    again = merge_models(MergeSettings(**settings, output_dir=tmp_path / "again", weights=(1.0,)))
    assert result.kind == "embedder"
    assert result.trials[-1] == again.trials[-1]
    assert len({one.dev for one in result.trials}) > 1
    assert max(one.dev for one in result.trials[1:]) == result.trials[chosen_place(result)].dev


@pytest.mark.parametrize("kind", ["reranker", "embedder"])
def test_each_model_is_measured_with_its_instructions_and_the_tuned_ones_stay(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make = tiny_checkpoints.bert_reranker if kind == "reranker" else tiny_checkpoints.bert_embedder
    base = make(tmp_path / "base")
    tuned = moved(base, tmp_path / "tuned", by=0.05)
    both = {"query": "panda is ", "document": "salt of "}
    said = {"pair_instructions": both} if kind == "reranker" else {"prompts": both}
    (tuned / "config_sentence_transformers.json").write_text(json.dumps(said))
    made = rows(12, seed=5)
    dev = write_rows(tmp_path / "dev.jsonl", made)
    settings = {"base": base, "weights": (1.0,)}
    result = merge_models(MergeSettings(models=(tuned,), output_dir=tmp_path / "merged", dev_data=dev, **settings))
    # The same weights without a word of instructions, on texts that have them in front.
    (tmp_path / "tuned" / "config_sentence_transformers.json").rename(tmp_path / "said.json")
    for row in made:
        row["query"] = "panda is " + row["query"]
        row["pos"], row["neg"] = (["salt of " + one for one in row[side]] for side in ("pos", "neg"))
    written = write_rows(tmp_path / "written.jsonl", made)
    by_hand = merge_models(MergeSettings(models=(tuned,), output_dir=tmp_path / "hand", dev_data=written, **settings))
    plain = merge_models(MergeSettings(models=(tuned,), output_dir=tmp_path / "plain", dev_data=dev, **settings))
    assert result.trials[1].dev == pytest.approx(by_hand.trials[1].dev)
    assert result.trials[1].dev != pytest.approx(plain.trials[1].dev)
    assert result.trials[0].dev == pytest.approx(plain.trials[0].dev)
    opener = Reranker if kind == "reranker" else Embedder
    with opener(result.folder, device="cpu") as model:
        own = model.spec if isinstance(model, Reranker) else model.instruction
        found = (own.query_prefix, own.document_prefix) if kind == "reranker" else (own.query, own.document)
        assert found == ("panda is ", "salt of ")
    line = "It reads queries as `panda is ...` and texts as `salt of ...` itself"
    assert line in (result.folder / "README.md").read_text()
    assert "It reads queries" not in (plain.folder / "README.md").read_text()
    told = [one for one in caplog.messages if "different instructions" in one]
    assert len(told) == 1
    assert "'panda is ' and 'salt of '" in told[0]


def chosen_place(result: MergeResult) -> int:
    return [one.weight for one in result.trials].index(next(iter(result.weights.values())))


def changed_config(folder: Path, target: Path, **changes: object) -> Path:
    shutil.copytree(folder, target)
    path = target / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return target


def test_models_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_reranker(tmp_path / "base")
    longer = tiny_checkpoints.bert_reranker(tmp_path / "longer", positions=64)
    other = tiny_checkpoints.xlmr_reranker(tmp_path / "other")
    heads = changed_config(base, tmp_path / "heads", num_attention_heads=1)
    words = tmp_path / "words"
    shutil.copytree(base, words)
    tokenizer = json.loads((words / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    one, two = [key for key in vocabulary if key.isalpha()][:2]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (words / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    for wrong, told in (
        (longer, r"position_embeddings.weight has the shape \(512, .*\) in one and \(64"),
        (other, "model_type is 'bert' in one and 'xlm-roberta' in the other"),
        (heads, "num_attention_heads is"),
        (words, r"their tokenizers differ \(tokenizer.json\)"),
    ):
        with pytest.raises(UnsupportedModelError, match=told):
            merge_models(MergeSettings(models=(base,), base=wrong, output_dir=tmp_path / "merged"))
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("make", [stanford, pylate, multi_vector_encoder])
def test_a_colbert_is_averaged_with_the_one_that_it_was_trained_from(make: Any, tmp_path: Path) -> None:
    """Whose names of weights are others (colbert-ai), and which has no pooler as transformers makes one anew."""
    pytest.importorskip("accelerate")
    base = make(tmp_path / "base")
    changes = {"max_steps": 8, "learning_rate": 1e-2, "dev_fraction": 0.0}
    tuned = train_colbert(colbert_settings(tiny_settings(base, tmp_path, **changes)))
    assert tuned is not None

    def scores(folder: Path) -> list[float]:
        with Reranker(folder, device="cpu", dtype="float32") as reranker:
            return reranker.score(PAIRS)

    found = {}
    for weight in (0.0, 0.5, 1.0):
        settings = MergeSettings(
            models=(tuned.folder,), base=base, weights=(weight,), output_dir=tmp_path / f"merged-{weight}"
        )
        found[weight] = scores(merge_models(settings).folder)
    assert found[0.0] == pytest.approx(scores(base), abs=1e-4)
    assert found[1.0] == pytest.approx(scores(tuned.folder), abs=1e-4)
    assert found[0.5] != pytest.approx(found[0.0], abs=1e-2)
    assert found[0.5] != pytest.approx(found[1.0], abs=1e-2)


def test_a_pooler_that_is_read_is_not_left_out(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_reranker(tmp_path / "base")
    tuned = moved(base, tmp_path / "tuned")
    weights = load_file(tuned / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "pooler" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, tuned / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"2 weights are in .*base' only"):
        merge_models(MergeSettings(models=(tuned,), base=base, output_dir=tmp_path / "merged"))


def test_models_that_read_the_same_weights_otherwise_are_refused(tmp_path: Path) -> None:
    mean = tiny_checkpoints.bert_embedder(tmp_path / "mean", pooling="mean")
    cls = tiny_checkpoints.bert_embedder(tmp_path / "cls", pooling="cls")
    with pytest.raises(UnsupportedModelError, match=r"the pooling is .*pooling_mode"):
        merge_models(MergeSettings(models=(mean,), base=cls, output_dir=tmp_path / "merged"))
    base = tiny_rerankers.qwen_reranker(tmp_path / "base")
    tuned, other = (
        changed_config(base, tmp_path / name, rope_parameters={"rope_type": "default", "rope_theta": theta})
        for name, theta in (("tuned", 1e4), ("other", 3e6))
    )
    with pytest.raises(UnsupportedModelError, match="rope_parameters is"):
        merge_models(MergeSettings(models=(tuned,), base=other, family="qwen3", output_dir=tmp_path / "merged"))


def test_a_rotation_that_is_named_in_the_old_way_is_the_same(tmp_path: Path) -> None:
    base = tiny_rerankers.qwen_reranker(tmp_path / "base")
    old, new, other = (
        ModelFolder(changed_config(base, tmp_path / name, rope_scaling=scaling))
        for name, scaling in (
            ("old", {"type": "linear", "factor": 2}),
            ("new", {"type": "linear", "rope_type": "linear", "factor": 2.0}),
            ("third", {"rope_type": "linear", "factor": 4.0}),
        )
    )
    check_mergeable([old, new])
    with pytest.raises(UnsupportedModelError, match="rope_scaling is"):
        check_mergeable([new, other])


def test_a_tied_and_an_untied_model_are_refused(tmp_path: Path) -> None:
    base = tiny_rerankers.qwen_reranker(tmp_path / "base")
    tied, untied = (
        changed_config(base, tmp_path / name, tie_word_embeddings=value)
        for name, value in (("tied", True), ("untied", False))
    )
    with pytest.raises(UnsupportedModelError, match="tie_word_embeddings is False in one and True in the other"):
        merge_models(MergeSettings(models=(untied,), base=tied, family="qwen3", output_dir=tmp_path / "merged"))


def test_a_model_that_is_named_in_two_ways_is_named_twice(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_reranker(tmp_path / "base")
    with pytest.raises(InvalidInputError, match="named twice"):
        merge_models(MergeSettings(models=(base,), base=f"{base}/", output_dir=tmp_path / "merged"))


def test_what_has_no_weights_to_average_is_refused(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_embedder(tmp_path / "base")
    headed = tmp_path / "headed"
    shutil.copytree(base, headed)
    torch.save({"weight": torch.ones(2, 2)}, headed / "colbert_linear.pt")
    settings = {"models": (headed,), "base": base, "output_dir": tmp_path / "merged", "kind": "embedder"}
    with pytest.raises(UnsafeModelError, match="allow_pickle=True"):
        merge_models(MergeSettings(**settings))
    with pytest.raises(UnsupportedModelError, match=r"1 weights are in .*headed' only, the first is colbert_linear.pt"):
        merge_models(MergeSettings(**settings, allow_pickle=True))


def test_settings_that_cannot_work(tmp_path: Path) -> None:
    model = tmp_path / "a"
    for wrong, told in (
        ({"models": (model,)}, "name the model that one was tuned from with base"),
        ({"models": (model, model), "weights": (0.5, 0.4)}, "add up to 0.9"),
        ({"models": (model, model), "base": model}, "name one"),
        ({"models": (model,), "base": model, "weights": (0.5, 0.7)}, "is chosen on dev_data"),
        ({"models": (model,), "base": model, "keep_data": ("x",)}, "is chosen on dev_data"),
        ({"models": (model,), "base": model, "weights": (1.5,)}, "from 0 to 1"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            MergeSettings(output_dir=tmp_path / "out", **wrong)
    used = tmp_path / "used"
    used.mkdir()
    (used / "file").write_text("")
    base = tiny_checkpoints.bert_reranker(tmp_path / "base")
    with pytest.raises(InvalidInputError, match="is not empty"):
        merge_models(MergeSettings(models=(base,), base=base, output_dir=used))
    with pytest.raises(InvalidInputError, match="named twice"):
        merge_models(MergeSettings(models=(base,), base=base, output_dir=tmp_path / "out"))


def test_decoders_of_the_llm_rerankers(tmp_path: Path) -> None:
    base = llm_checkpoint("tiny-minicpm-layerwise")
    tuned = moved(base, tmp_path / "tuned", by=0.01)
    result = merge_models(MergeSettings(models=(tuned,), base=base, output_dir=tmp_path / "merged"))
    with Reranker(result.folder, device="cpu") as reranker:
        assert len(reranker.score(PAIRS)) == 2


def test_probabilities_of_the_tuned_model_do_not_go_with_the_average(tmp_path: Path) -> None:
    base = tiny_checkpoints.bert_reranker(tmp_path / "base")
    tuned = moved(base, tmp_path / "tuned")
    (tuned / "calibration.json").write_text("{}")
    merge_models(MergeSettings(models=(tuned,), base=base, output_dir=tmp_path / "merged"))
    assert not (tmp_path / "merged" / "calibration.json").exists()


@pytest.mark.parametrize(("model_type", "fits"), [("gemma", True), ("gemma2", False)])
def test_gemmas_old_name_of_its_activation_is_the_new_one(tmp_path: Path, model_type: str, *, fits: bool) -> None:
    folders = []
    for number, activation in enumerate(("gelu", "gelu_pytorch_tanh")):
        made = tiny_checkpoints.bert_reranker(tmp_path / str(number))
        folders.append(ModelFolder(made))
        folders[-1].config |= {"model_type": model_type, "hidden_act": activation}
    if fits:
        check_mergeable(folders)
    else:
        with pytest.raises(UnsupportedModelError, match="hidden_act is 'gelu' in one"):
            check_mergeable(folders)
