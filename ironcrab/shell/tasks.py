"""Ending tasks of an event loop for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 0.2
"""Seconds after which a task that was cancelled and goes on is cancelled once more."""


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended: a wait whose answer comes at that instant swallows a cancellation."""
    left = dict.fromkeys(tasks)
    while left:
        for task in left:
            task.cancel()
        done, _ = await asyncio.wait(left, timeout=AGAIN_S)
        for task in done:
            del left[task]
            if not task.cancelled():
                task.exception()  # else the loop complains that nobody asked for it
