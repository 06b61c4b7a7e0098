"""For the tests of adapters: a model that stands still, so that calls run out of time or find too much waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from rerank_plugins.backends.late_interaction import LateInteractionScorer
from rerank_plugins.backends.local import LocalScorer
from rerank_plugins.backends.protocol import ScoreOptions
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import InvalidInputError, OverloadedError
from rerank_plugins.protocols import Batch, Scorer
from rerank_plugins.reranker import Reranker

__all__ = ["standstill"]

_LONGEST_S = 60.0


@contextmanager
@checked_call()
def standstill(reranker: Reranker) -> Iterator[None]:
    """Stop a model for a block: one call is stuck in it, another waits, and so does every call made in the block.

    The real engine runs; only the forward pass is held up, for at most a minute. Objects that share the weights are
    held up too. With the block the model goes on, and calls that still wait are answered.
    """
    backend = reranker._backend
    if not isinstance(backend, (LocalScorer, LateInteractionScorer)):
        msg = f"only models that run on this machine can stand still, and {reranker.model!r} is a backend of texts"
        raise InvalidInputError(msg)
    pairs = [("standstill", "standstill")]
    options = ScoreOptions(layers=reranker._calls.one_layer(None), deadline=Deadline(2 * _LONGEST_S))
    scorers = reranker._lease.value.batcher._scorers
    go_on, stuck = threading.Event(), threading.Semaphore(0)
    with ExitStack() as stack:
        for scorer in scorers:
            stack.enter_context(_held(scorer, stuck, go_on))
        stack.callback(go_on.set)
        for _ in scorers:
            call = backend.submit(pairs, options)
            stack.callback(call.result)
            stack.callback(go_on.set)
            stuck.acquire(timeout=_LONGEST_S)
        # Refused where what one call has left waits already.
        with suppress(OverloadedError):
            stack.callback(backend.submit(pairs, options).cancel)
        yield


@contextmanager
def _held(scorer: Scorer, stuck: threading.Semaphore, go_on: threading.Event) -> Iterator[None]:
    forward: Callable[[Batch], object] = scorer.forward

    def wait(batch: Batch) -> object:
        stuck.release()
        go_on.wait(_LONGEST_S)
        return forward(batch)

    vars(scorer)["forward"] = wait
    try:
        yield
    finally:
        del vars(scorer)["forward"]
