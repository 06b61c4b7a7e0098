"""Rerankers that are made of others: cascades, ensembles, and the cheap first looks that a cascade begins with."""

from __future__ import annotations

from rerank_plugins.composed.facades import Cascade, Ensemble
from rerank_plugins.composed.fitting import fit_ensemble
from rerank_plugins.composed.members import Member, Stage

__all__ = ["Cascade", "Ensemble", "Member", "Stage", "fit_ensemble"]
