"""Reducers that want: they emit intents and verdicts."""

from typing import Any

STRATEGIES: tuple[tuple[str, type[Any]], ...] = ()
"""Every built-in strategy, written by hand: the name a scenario says, the class."""
