"""Who performs the asks of a session: the paper world, or outlets that work on their own."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from ironcrab.domain.event import Event
from ironcrab.loop import Outlet
from ironcrab.mode.paper import Paper
from ironcrab.mode.scenario import Scenario


class Outlets:
    """The outlets of a session.

    Args:
        every: outlets, in the order in which they are told records.
        clock: time of their answers; None: that of the newest record (paper answers as in `run`).
        wallet: the wallet as the world tells it when the session begins; None: the scenario's.
        working: those that start, stop and hold asks open.
        arrived: set when an answer of theirs is there.
        samples: reads of the world at intervals; runs as long as the session and takes events by the callable.
        closing: what is left when the session has ended.
    """

    def __init__(
        self,
        every: tuple[Outlet, ...],
        *,
        clock: Callable[[], int] | None = None,
        wallet: tuple[Event, ...] | None = None,
        working: tuple[Any, ...] = (),
        arrived: asyncio.Event | None = None,
        samples: Callable[[Callable[[Event], object]], Any] | None = None,
        closing: AsyncExitStack | None = None,
    ) -> None:
        self.every = every
        self.clock = clock
        self.wallet = wallet
        self.working = working
        self.arrived = arrived or asyncio.Event()
        self.samples = samples
        self.closing = closing

    @property
    def open_asks(self) -> int:
        """Asks under way."""
        return sum(len(outlet.open) for outlet in self.working)

    def start(self) -> None:
        """Begin; what the log holds open is resolved first."""
        for outlet in self.working:
            outlet.start()

    async def stop(self) -> None:
        """End what is under way; the log holds what a restart needs."""
        for outlet in self.working:
            await outlet.stop()
        if self.closing is not None:
            await self.closing.aclose()


def paper_outlets(scenario: Scenario) -> Outlets:
    """The paper world of a scenario."""
    return Outlets((Paper(scenario.paper),) if "paper" in scenario.outlets else ())
