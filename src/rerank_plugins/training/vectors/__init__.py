"""Trainings of models that turn texts into vectors: embedders, bge-m3 with its three kinds, ColBERT."""
