"""Whole trainings of tiny language models: what is saved opens with the scores of the module that was trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from language_models import KINDS, Kind
from safetensors.torch import load_file
from training_rows import rows, tiny_run, write_rows

from rerank_plugins import LayerOptions, Reranker, SourceOptions
from rerank_plugins.calibration import Calibration

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")
pytest.importorskip("peft")

from rerank_plugins.training import plan_reranker_training, train_reranker
from rerank_plugins.training.batches import GroupBatches, GroupDataset
from rerank_plugins.training.preparing import Prepared, prepare, trainer_for
from rerank_plugins.training.scoring import module_scores
from rerank_plugins.training.trainable import Opening, TrainableReranker, open_trainable

PAIRS = [(row["query"], text) for row in rows(5, seed=3) for text in (*row["pos"], *row["neg"])]
SMALL = {"lora_rank": 4, "learning_rate": 1e-2}
ALL = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def near(wanted: list[float]) -> Any:
    """Return what scores must equal by a hundred-thousandth of the largest: merging an adapter rounds every weight."""
    return pytest.approx(wanted, rel=0.0, abs=1e-5 * max(1.0, *map(abs, wanted)))


def run_of(kind: Kind, folder: Path, **changes: Any) -> Any:
    folder.mkdir(exist_ok=True)
    if "dev_data" not in changes:
        changes.setdefault("dev_fraction", 0.0)
    return tiny_run(kind.folder(folder), folder, **{**SMALL, **kind.settings, "max_steps": 3, **changes})


def trained(settings: Any, folder: Path) -> tuple[Prepared, TrainableReranker]:
    """Return a model after its training, and before anything of it is saved."""
    prepared = prepare(settings, folder)
    trainable = open_trainable(prepared.resolved, prepared.settings)
    trainer_for(prepared, trainable, folder).train()
    return prepared, trainable


def scores_of(opening: Opening, kind: Kind) -> list[float]:
    source = SourceOptions(family=kind.settings.get("family"), peft_path=opening.peft_path)
    with Reranker(opening.model, device="cpu", layers=opening.layers, source=source) as reranker:
        return reranker.score(PAIRS)


def module_scores_of(trainable: TrainableReranker, *, batch_size: int) -> list[float]:
    inputs = [pair.inputs[0] for pair in trainable.pairs.encode(PAIRS)]
    return module_scores(trainable.module, inputs, trainable.padding, batch_size=batch_size)


@ALL
@pytest.mark.parametrize("use_lora", [True, False], ids=["lora", "whole"])
def test_what_is_saved_scores_as_the_module_does(kind: Kind, use_lora: bool, tmp_path: Path) -> None:
    settings = run_of(kind, tmp_path, use_lora=use_lora, save_merged_lora_model=use_lora)
    _, trainable = trained(settings, tmp_path)
    wanted = module_scores_of(trainable, batch_size=4)
    # Padding on the right, of any length, changes nothing.
    assert module_scores_of(trainable, batch_size=1) == near(wanted)
    assert trainable.start is not None
    before = scores_of(trainable.start, kind)
    assert max(abs(one - other) for one, other in zip(before, wanted, strict=True)) > 1e-3
    saved = tmp_path / "saved"
    saved.mkdir()
    trainable.save(saved)
    openings = trainable.openings(saved)
    assert len(openings) == 1 + use_lora
    for opening in openings:
        assert scores_of(opening, kind) == near(wanted)
    for weights in saved.rglob("*.safetensors"):
        assert {one.dtype for one in load_file(weights).values()} == {torch.float32}


@ALL
def test_a_training_with_the_defaults_leaves_an_adapter(kind: Kind, tmp_path: Path) -> None:
    dev = write_rows(tmp_path / "dev.jsonl", rows(6, seed=2))
    result = train_reranker(run_of(kind, tmp_path, dev_data=dev))
    assert result is not None
    names = {path.name for path in result.folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "tokenizer.json"} <= names
    assert not {"model.safetensors", "merged_model"} & names
    assert {one.name for one in result.changes} == {"nDCG@10", "MRR@10", "hit@5"}
    assert not (tmp_path / "trained.training").exists()


def test_peft_itself_gives_the_adapters_scores(tmp_path: Path) -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    kind = KINDS["gemma"]
    result = train_reranker(run_of(kind, tmp_path))
    assert result is not None
    base = kind.folder(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    model = peft.PeftModel.from_pretrained(model, result.folder).eval()
    assert model.peft_config["default"].base_model_name_or_path == str(base)
    with Reranker(base, device="cpu", source=SourceOptions(family="bge", peft_path=result.folder)) as reranker:
        ours = reranker.score(PAIRS[:6])
        encoded = reranker._backend.encode(PAIRS[:6])
    yes = transformers.PreTrainedTokenizerFast.from_pretrained(base)("Yes", add_special_tokens=False)["input_ids"][0]
    with torch.no_grad():
        theirs = [
            model(input_ids=torch.from_numpy(one.inputs[0].ids).long()[None]).logits[0, -1, yes].item()
            for one in encoded
        ]
    assert ours == near(theirs)


@pytest.mark.parametrize("name", ["gemma", "qwen3", "qwen3-untied", "mxbai"])
def test_a_decoder_that_was_trained_whole_opens_in_transformers(name: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    kind = KINDS[name]
    result = train_reranker(run_of(kind, tmp_path, use_lora=False))
    assert result is not None
    model, told = transformers.AutoModelForCausalLM.from_pretrained(result.folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert model.dtype == torch.float32
    config = json.loads((result.folder / "config.json").read_text())
    assert config.get("use_cache", True) is True


@pytest.mark.parametrize("name", ["layerwise", "lightweight"])
@pytest.mark.parametrize("use_lora", [True, False], ids=["lora", "whole"])
def test_every_layer_is_trained_and_saved(name: str, use_lora: bool, tmp_path: Path) -> None:
    kind = KINDS[name]
    result = train_reranker(run_of(kind, tmp_path, use_lora=use_lora, save_merged_lora_model=use_lora, max_steps=6))
    assert result is not None
    by_layer = LayerOptions(head_by_layer=True) if name == "lightweight" else LayerOptions()
    asked = replace(by_layer, cutoff_layers=(2, 3, 4, 5, 6))
    folders = [kind.folder(tmp_path), result.folder / ("merged_model" if use_lora else "")]
    found = []
    for folder in folders:
        with Reranker(folder, device="cpu", layers=asked) as reranker:
            found.append(torch.tensor(reranker.score_layers(PAIRS)))
    assert ((found[0] - found[1]).abs().amax(dim=0) > 1e-3).all()
    if use_lora:
        source = SourceOptions(peft_path=result.folder)
        with Reranker(folders[0], device="cpu", layers=asked, source=source) as reranker:
            assert torch.allclose(torch.tensor(reranker.score_layers(PAIRS)), found[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gemma", {}),
        ("qwen3", {"use_lora": False}),
        ("layerwise", {"knowledge_distillation": True}),
        ("lightweight-compressed", {"layer_reduction": "sum"}),
    ],
)
def test_the_same_seed_gives_the_same_weights(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    stored = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = train_reranker(run_of(KINDS[name], tmp_path / folder, seed=seed, **changes))
        assert result is not None
        stored.append(next(result.folder.glob("*model.safetensors")).read_bytes())
        # Whatever was drawn before.
        torch.rand(3)
    assert stored[0] == stored[1]
    assert stored[0] != stored[2]


@pytest.mark.parametrize("name", ["gemma", "layerwise"])
@pytest.mark.parametrize("use_lora", [True, False], ids=["lora", "whole"])
def test_activations_computed_twice_give_the_same_weights(name: str, use_lora: bool, tmp_path: Path) -> None:
    stored = []
    for folder, twice in (("a", False), ("b", True)):
        settings = run_of(KINDS[name], tmp_path / folder, use_lora=use_lora, gradient_checkpointing=twice)
        result = train_reranker(settings)
        assert result is not None
        stored.append(load_file(next(result.folder.glob("*model.safetensors"))))
    for key, weight in stored[0].items():
        assert torch.allclose(weight, stored[1][key], rtol=1e-4, atol=1e-5), key


@pytest.mark.parametrize("name", ["gemma", "layerwise", "lightweight-compressed"])
def test_what_autocast_trained_is_saved_as_it_scores_in_float32(name: str, tmp_path: Path) -> None:
    # Where the CPU has no bfloat16 of its own, this trains in float32.
    kind = KINDS[name]
    dev = write_rows(tmp_path / "dev.jsonl", rows(6, seed=2))
    settings = run_of(kind, tmp_path, bf16=True, save_merged_lora_model=True, dev_data=dev)
    result = train_reranker(settings)
    assert result is not None
    prepared = prepare(settings, tmp_path)
    layers = open_trainable(prepared.resolved, prepared.settings).layers
    adapter = Opening(model=kind.folder(tmp_path), peft_path=result.folder, layers=layers)
    whole = Opening(model=result.folder / "merged_model", layers=layers)
    assert scores_of(adapter, kind) == near(scores_of(whole, kind))


@pytest.mark.parametrize("name", ["gemma", "layerwise"])
def test_a_checkpoint_holds_what_is_trained(name: str, tmp_path: Path) -> None:
    for use_lora in (True, False):
        folder = tmp_path / str(use_lora)
        settings = run_of(KINDS[name], folder, use_lora=use_lora, save_steps=3)
        _, trainable = trained(settings, folder)
        held = load_file(folder / "checkpoint-3" / "model.safetensors")
        assert all(("lora_" in one) == use_lora for one in held)
        assert sum(one.numel() for one in held.values()) == trainable.n_parameters


def test_training_sees_what_inference_sees(tmp_path: Path) -> None:
    for kind in KINDS.values():
        settings = run_of(kind, tmp_path)
        prepared = prepare(settings, tmp_path)
        trainable = open_trainable(prepared.resolved, prepared.settings)
        groups = [GroupDataset(prepared.rows, prepared.settings.data, seed=1)[0, row] for row in range(3)]
        batch = GroupBatches(trainable.pairs, trainable.padding)(groups)
        pairs = [(group.query, text) for group in groups for text in group.texts]
        source = SourceOptions(family=kind.settings.get("family"))
        with Reranker(kind.folder(tmp_path), device="cpu", source=source) as reranker:
            seen = [pair.inputs[0].ids.tolist() for pair in reranker._backend.encode(pairs)]
            prompt = reranker.spec.prompt
        for row, mask, ids in zip(batch["input_ids"], batch["attention_mask"], seen, strict=True):
            assert row[mask.bool()].tolist() == ids
            assert mask[0] == 1
        # No layout of an encoder: its prompt, or what follows it, ends the input.
        assert prompt or kind.name == "mxbai"
        assert len({tuple(ids[-3:]) for ids in seen}) == 1


def test_instructions_that_the_layout_has_are_not_put_there_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # FlagEmbedding's example scripts give them; its inference puts them there itself.
    given = {"query_instruction_for_rerank": "A: ", "passage_instruction_for_rerank": "B: "}
    prepared = prepare(run_of(KINDS["gemma"], tmp_path, **given), tmp_path)
    data = prepared.settings.data
    assert (data.query_instruction_for_rerank, data.passage_instruction_for_rerank) == (None, None)
    assert caplog.text.count("is not put there twice") == 2
    (tmp_path / "other").mkdir()
    other = prepare(run_of(KINDS["gemma"], tmp_path, query_instruction_for_rerank="Q: "), tmp_path / "other")
    assert other.settings.data.query_instruction_for_rerank == "Q: "


def test_a_rows_own_prompt_counts(tmp_path: Path) -> None:
    made = rows(3)
    made[1]["prompt"] = "Does B answer A?"
    settings = run_of(KINDS["gemma"], tmp_path, train_data=write_rows(tmp_path / "t.jsonl", made))
    prepared = prepare(settings, tmp_path)
    trainable = open_trainable(prepared.resolved, prepared.settings)
    groups = [GroupDataset(prepared.rows, prepared.settings.data, seed=1)[0, row] for row in range(3)]
    batch = GroupBatches(trainable.pairs, trainable.padding)(groups)
    found = [row[mask.bool()].tolist() for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    expected = []
    for group, prompt in zip(groups, (None, "Does B answer A?", None), strict=True):
        folder, source = KINDS["gemma"].folder(tmp_path), SourceOptions(family="bge")
        with Reranker(folder, device="cpu", source=source, prompt=prompt) as reranker:
            encoded = reranker._backend.encode([(group.query, text) for text in group.texts])
        expected += [pair.inputs[0].ids.tolist() for pair in encoded]
    assert found == expected


def test_lowest_layers_stay_as_they_are(tmp_path: Path) -> None:
    result = train_reranker(run_of(KINDS["gemma"], tmp_path, use_lora=False, freeze_embeddings=True, frozen_layers=2))
    assert result is not None
    before = load_file(KINDS["gemma"].folder(tmp_path) / "model.safetensors")
    after = load_file(result.folder / "model.safetensors")
    moved = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert moved
    assert all(name.startswith(("model.layers.2.", "model.norm")) for name in moved)


def test_a_plan_of_a_language_model(tmp_path: Path) -> None:
    plan = plan_reranker_training(run_of(KINDS["layerwise"], tmp_path))
    # Six layers, seven projections with matrices of rank 4.
    assert plan.n_parameters == 6 * 4 * (4 * (32 + 32) + 3 * (32 + 64))
    assert plan.seconds_per_step > 0


@pytest.mark.parametrize(
    ("name", "changes", "code", "opens"),
    [
        (
            "gemma",
            {},
            'Reranker("tiny-gemma", source=SourceOptions(family="bge", peft_path="trained"))',
            "an adapter in PEFT's format for `tiny-gemma`.",
        ),
        (
            "gemma",
            {"use_lora": False},
            'Reranker("trained", source=SourceOptions(family="bge"))',
            "AutoModelForCausalLM",
        ),
        (
            "lightweight-compressed",
            {"save_merged_lora_model": True, "query_max_len": 64, "passage_max_len": 64},
            (
                'Reranker("trained/merged_model", max_length=128, layers=LayerOptions(head_by_layer=True, '
                "compress_ratio=2, compress_layers=(3,)))"
            ),
            "- trained: layers 2 to 6, the mean of their losses",
        ),
        ("layerwise", {"use_lora": False}, 'Reranker("trained")', "Weights have the names of the published model"),
    ],
)
def test_the_card_says_how_to_use_it(
    name: str, changes: dict[str, Any], code: str, opens: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = KINDS[name]
    result = train_reranker(run_of(kind, tmp_path, **changes))
    assert result is not None
    card = (result.folder / "README.md").read_text()
    assert f"reranker = {code}" in card
    assert opens in card
    # What it says runs, where the base is at hand.
    monkeypatch.chdir(tmp_path)
    (tmp_path / kind.folder(tmp_path).name).symlink_to(kind.folder(tmp_path))
    found: dict[str, Any] = {}
    exec(card.partition("```python\n")[2].partition("```")[0], found)
    with found["reranker"] as reranker:
        assert len(reranker.score(PAIRS[:2])) == 2


@pytest.mark.parametrize("saves_merged", [False, True], ids=["adapter", "merged"])
def test_the_calibration_is_that_of_the_model_that_the_card_opens(saves_merged: bool, tmp_path: Path) -> None:
    kind = KINDS["gemma"]
    changes = {"dev_data": write_rows(tmp_path / "dev.jsonl", rows(8, seed=2)), "max_steps": 12, "eval_steps": 12}
    settings = run_of(kind, tmp_path, **changes, learning_rate=2e-2, save_merged_lora_model=saves_merged)
    result = train_reranker(settings)
    assert result is not None
    opened = result.folder / "merged_model" if saves_merged else kind.folder(tmp_path)
    source = SourceOptions(family="bge", peft_path=None if saves_merged else result.folder)
    with Reranker(opened, device="cpu", source=source, calibration=result.calibration) as reranker:
        (best,) = reranker.rank("what is salt", ["salt is Berlin"])
    assert result.calibration is not None
    assert best.probability == pytest.approx(Calibration.load(result.calibration).probability(best.score))
    assert 'Reranker("trained", calibration' not in (result.folder / "README.md").read_text()
