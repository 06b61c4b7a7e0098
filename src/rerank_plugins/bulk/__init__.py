"""Jobs over files that are larger than memory: score pairs or embed texts in blocks, here or on a Ray cluster."""

from __future__ import annotations

from rerank_plugins.bulk.job import BlockDone, BulkJob, JobFolder
from rerank_plugins.bulk.on_ray import RayPool
from rerank_plugins.bulk.running import run_job
from rerank_plugins.bulk.tasks import EmbedTask, ScoreTask

__all__ = ["BlockDone", "BulkJob", "EmbedTask", "JobFolder", "RayPool", "ScoreTask", "run_job"]
