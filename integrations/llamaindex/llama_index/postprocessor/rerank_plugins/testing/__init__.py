"""A conformance suite for reranking postprocessors: inherit it, say how one is made, run pytest.

::

    class TestMyReranker(PostprocessorConformance):
        @pytest.fixture
        def make(self):
            return partial(MyReranker, model="...")

Each inherited test's docstring says what to check when it fails. Needs pytest.
"""

from llama_index.postprocessor.rerank_plugins.testing.concurrency import ConcurrencyConformance
from llama_index.postprocessor.rerank_plugins.testing.deadlines import DeadlineConformance
from llama_index.postprocessor.rerank_plugins.testing.recording import Recording, recording
from llama_index.postprocessor.rerank_plugins.testing.results import ResultConformance
from llama_index.postprocessor.rerank_plugins.testing.settings import SettingsConformance
from llama_index.postprocessor.rerank_plugins.testing.tracing import TracingConformance

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
