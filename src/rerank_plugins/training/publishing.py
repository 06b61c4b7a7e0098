"""From a trained module to a folder that everyone opens: saved aside, checked, measured, and then renamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rerank_plugins.errors import RerankPluginsError, TrainingError
from rerank_plugins.evaluation.measures import Evaluation
from rerank_plugins.reranker import Reranker
from rerank_plugins.system.files import reason_of, write_atomically, write_folder_with
from rerank_plugins.training.card import model_card
from rerank_plugins.training.checkpoints import sync_files
from rerank_plugins.training.preparing import Prepared
from rerank_plugins.training.results import TrainingResult
from rerank_plugins.training.scoring import module_scores
from rerank_plugins.training.trainable import Opening, TrainableReranker, pair_settings

__all__ = ["publish", "reranker_of"]

_COMPARED_PAIRS = 8
_TOLERANCE = 1e-3


def publish(
    prepared: Prepared,
    trainable: TrainableReranker,
    finished: Callable[[Evaluation | None], TrainingResult],
    *,
    log: Sequence[dict[str, Any]],
) -> TrainingResult:
    """Save a trained model, check that the folder scores as the module does, measure it, and put it in its place.

    Args:
        prepared: The run.
        trainable: The trained model, on the CPU.
        finished: Makes the result of the measures after the training.
        log: The run's log.

    Raises:
        TrainingError: The folder cannot be written, or scores otherwise than the module. The checkpoints are intact.
    """
    output = Path(prepared.settings.run.output_dir)
    results: list[TrainingResult] = []

    def filled(aside: Path) -> None:
        trainable.save(aside)
        result = finished(_checked(prepared, trainable, aside))
        results.append(result)
        write_atomically(aside / "README.md", model_card(prepared, result).encode())
        record = {"settings": prepared.settings.flat(), "rows": prepared.rows.digest, "log": list(log)}
        write_atomically(aside / "training.json", json.dumps(record, indent=2).encode())
        sync_files(aside)
        _open_to_readers(aside)

    try:
        write_folder_with(output, filled)
    except OSError as error:
        msg = (
            f"the trained model could not be saved in {str(output)!r} ({reason_of(error)}); its checkpoints are "
            "intact: make room and go on with resume"
        )
        raise TrainingError(msg) from error
    return results[0]


def reranker_of(opening: Opening, prepared: Prepared) -> Reranker:
    """Open the model that a run starts from, or the one that it made, with the run's lengths, in float32."""
    settings = prepared.settings
    lengths = pair_settings(prepared.resolved.spec, settings.data)
    return Reranker(
        opening.model,
        device=settings.run.device,
        dtype="float32",
        max_length=lengths.max_length_tokens,
        long_documents=replace(lengths.long_documents, truncation=lengths.truncation),
        layers=opening.layers,
        source=replace(settings.model.source, peft_path=opening.peft_path),
    )


def _open_to_readers(folder: Path) -> None:
    """Give the files of a folder the mode that new ones get; safetensors keeps its own to their owner."""
    mode = (folder / "README.md").stat().st_mode
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _checked(prepared: Prepared, trainable: TrainableReranker, folder: Path) -> Evaluation | None:
    """Return the dev measures of a saved model, which must score as the module in memory does."""
    dev = prepared.dev
    some = _some_pairs(prepared)
    encoded = [pair.inputs[0] for pair in trainable.pairs.encode(some)]
    wanted = module_scores(trainable.module, encoded, trainable.padding, batch_size=_COMPARED_PAIRS)
    measured = None
    for number, opening in enumerate(trainable.openings(folder)):
        try:
            with reranker_of(opening, prepared) as reranker:
                found = reranker.score(some)
                if dev is not None and not number:
                    measured = dev.measured(reranker.score(dev.pairs))
        except RerankPluginsError as error:
            msg = f"the trained model was saved and cannot be used ({error}); its checkpoints are intact"
            raise TrainingError(msg) from error
        _compare(found, wanted)
    return measured


def _compare(found: Sequence[float], wanted: Sequence[float]) -> None:
    """Raise if a saved model does not score as the trained one."""
    furthest = max(abs(one - other) / max(1.0, abs(other)) for one, other in zip(found, wanted, strict=True))
    if furthest > _TOLERANCE:
        msg = f"the saved model scores {found[0]} where the trained one scores {wanted[0]}; its checkpoints are intact"
        raise TrainingError(msg)


def _some_pairs(prepared: Prepared) -> list[tuple[str, str]]:
    records = [prepared.rows[row] for row in range(min(len(prepared.rows), _COMPARED_PAIRS // 2))]
    return [(record.query, text) for record in records for text in (record.pos[0], record.neg[0])]
