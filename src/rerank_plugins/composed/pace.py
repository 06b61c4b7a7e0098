"""How long a stage will take, from how long it took."""

from __future__ import annotations

__all__ = ["Pace"]

_KEPT = 0.8
"""Share of an earlier call's weight that is left after the next one: about the last five calls count."""

_AFTER_SKIP = 0.9
"""What is left of the estimate after a call that skipped the stage, so that one that was slow once is tried again."""

_GIVEN_UP = 2.0
"""How many times the time it had a stage that was given up is taken to need."""


class Pace:
    """Seconds per character of a stage, learned as it is used. Any number of threads may use one object.

    The estimate is the time of the last calls over their characters, earlier calls counting less (each 0.8 of the one
    after it). Two threads at the same moment may lose one call; nothing but the estimate depends on it.
    """

    def __init__(self) -> None:
        self._seconds, self._characters = 0.0, 0.0

    def estimate_s(self, characters: int) -> float | None:
        """Return the seconds that so many characters of queries and documents will take; None before the first call."""
        return self._seconds / self._characters * characters if self._characters else None

    def note(self, characters: int, seconds: float) -> None:
        """Learn from a call that ended."""
        self._seconds = _KEPT * self._seconds + seconds
        self._characters = _KEPT * self._characters + characters

    def note_given_up(self, characters: int, seconds: float) -> None:
        """Learn from a call that was given up after some seconds: it is taken to need twice those."""
        self.note(characters, _GIVEN_UP * seconds)

    def note_skipped(self) -> None:
        """Take a tenth off the estimate, because a stage that is never started can never show that it is fast again."""
        self._seconds *= _AFTER_SKIP
