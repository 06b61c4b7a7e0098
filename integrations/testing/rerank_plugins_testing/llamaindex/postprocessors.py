"""A conformance suite for reranking postprocessors: inherit it, say how one is made, run pytest.

::

    class TestMyReranker(PostprocessorConformance):
        @pytest.fixture
        def make(self):
            return partial(MyReranker, model="...")

Each inherited test's docstring says what to check when it fails. Needs pytest.
"""

from rerank_plugins_testing.llamaindex.concurrency import ConcurrencyConformance
from rerank_plugins_testing.llamaindex.deadlines import DeadlineConformance
from rerank_plugins_testing.llamaindex.recording import Recording, recording
from rerank_plugins_testing.llamaindex.results import ResultConformance
from rerank_plugins_testing.llamaindex.settings import SettingsConformance
from rerank_plugins_testing.llamaindex.tracing import TracingConformance

__all__ = [
    "ConcurrencyConformance",
    "DeadlineConformance",
    "PostprocessorConformance",
    "Recording",
    "ResultConformance",
    "SettingsConformance",
    "TracingConformance",
    "recording",
]


class PostprocessorConformance(
    ResultConformance, TracingConformance, ConcurrencyConformance, SettingsConformance, DeadlineConformance
):
    """Everything a reranking postprocessor of this package promises.

    Define the fixture ``make``: a callable that takes options and returns a postprocessor.
    """
