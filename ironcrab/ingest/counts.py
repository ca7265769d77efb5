"""Counting what could not become an event: a plain dict by reason, in order of first occurrence."""

Counts = dict[str, int]
"""Reason -> how often; reasons are words in snake_case that open with what was met (`frame_`, `transaction_`, ...)."""


def count(counts: Counts, reason: str, by: int = 1) -> None:
    """Add to one reason."""
    counts[reason] = counts.get(reason, 0) + by
