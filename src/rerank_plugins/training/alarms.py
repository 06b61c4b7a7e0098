"""Alarms of a training that has gone wrong without a number that is not finite."""

from __future__ import annotations

import logging
from collections import deque

from torch import Tensor

__all__ = ["CollapseAlarm"]

logger = logging.getLogger(__name__)

_STEPS = 50
_EQUAL, _RUN_AWAY, _WORSE = 1e-4, 1e4, 1.5


class CollapseAlarm:
    """Watches the batches of a training for what never gets better.

    Scores that are all equal, scores beyond all measure, and a loss that stays far above that of guessing end a run; a
    loss that is that of guessing is reported once. One batch says nothing, so fifty in a row are needed. It counts anew
    when a run goes on after a kill.
    """

    def __init__(self) -> None:
        self._equal = self._large = 0
        self._losses: deque[float] = deque(maxlen=2 * _STEPS)
        self._guesses: deque[float] = deque(maxlen=2 * _STEPS)
        self._has_warned = False

    def reason(self, scores: Tensor, *, loss: float, guess: float) -> str | None:
        """Look at a batch; return why training on is in vain, or None.

        Args:
            scores: Of any shape; all texts of the batch.
            loss: Their loss.
            guess: The loss that scores which are all equal have on the same batch.
        """
        self._losses.append(loss)
        self._guesses.append(guess)
        return self._of_scores(scores.detach()) or self._of_losses()

    def _of_scores(self, scores: Tensor) -> str | None:
        lowest, highest = float(scores.min()), float(scores.max())
        size = max(abs(lowest), abs(highest))
        self._equal = self._equal + 1 if highest - lowest < _EQUAL * max(size, 1.0) else 0
        self._large = self._large + 1 if size > _RUN_AWAY else 0
        if self._equal >= _STEPS:
            return f"all texts of a batch have had one score, {highest:.4g} now, for {_STEPS} steps"
        if self._large >= _STEPS:
            return f"scores have been as large as {size:.4g} for {_STEPS} steps"
        return None

    def _of_losses(self) -> str | None:
        """Compare two stretches of steps with guessing, and with each other."""
        if len(self._losses) < 2 * _STEPS:
            return None
        losses, guess = list(self._losses), sum(self._guesses) / (2 * _STEPS)
        first, second = sum(losses[:_STEPS]) / _STEPS, sum(losses[_STEPS:]) / _STEPS
        if second >= first > _WORSE * guess:
            return (
                f"the loss was {first:.3g} over {_STEPS} steps and {second:.3g} over the next, and scores that are all "
                f"equal have {guess:.3g}"
            )
        if min(first, second) >= 0.999 * guess and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "the loss of the last %d steps, %.4g, is that of guessing: nothing has been learnt yet. If this "
                "goes on, look whether texts tell positives from negatives, and try another learning_rate",
                2 * _STEPS,
                (first + second) / 2,
            )
        return None
