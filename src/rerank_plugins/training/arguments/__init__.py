"""Other trainers' arguments, by their names: what each is here, or why it means nothing here."""

from __future__ import annotations

from rerank_plugins.training.arguments.argument import Argument, Task
from rerank_plugins.training.arguments.translate import (
    Dialect,
    Translation,
    arguments_of,
    parse_words,
    translate_arguments,
)

__all__ = ["Argument", "Dialect", "Task", "Translation", "arguments_of", "parse_words", "translate_arguments"]
