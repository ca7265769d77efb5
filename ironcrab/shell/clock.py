"""The only place that asks the host for the time. What it says becomes a record's time; nothing else reads it."""

import time


def now_ns() -> int:
    """Wall clock, nanoseconds since 1970."""
    return time.time_ns()


def steady_ns() -> int:
    """A clock that never steps back, nanoseconds since some moment: for durations and deadlines."""
    return time.monotonic_ns()
