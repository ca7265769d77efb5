"""Several endpoints at once: what arrives first is told, and a loss of one of them is none of the feed.

It has the face of one client. The feed is up while one of them is. When one is lost that was telling a slot which no
other tells from its beginning, the feed counts as lost and found again: a gap says so. An endpoint that cannot be used
is tried again now and then while others can; when none can, the first one's sentence ends the session.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ironcrab.domain.fault import InputFault
from ironcrab.ingest.counts import Counts
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import Wanted
from ironcrab.shell.geyser_client import GeyserClient
from ironcrab.shell.geyser_firsts import Firsts
from ironcrab.shell.inbox import Arrival, Connected, Lost

AHEAD = 256
"""Frames that may wait here; behind it each client's own inbox holds back by its own rules."""
AGAIN_S = 30.0
"""Seconds after which an endpoint that could not be used is tried again."""


class SeveralClients:
    """See the module.

    Attributes:
        clients: one an endpoint.
        faults: sentences of endpoints that cannot be used now, by place.

    Args:
        clients: one an endpoint.
    """

    def __init__(self, clients: tuple[GeyserClient, ...]) -> None:
        self.clients = clients
        self.firsts = Firsts(len(clients))
        self.faults: dict[int, InputFault] = {}
        self._waiting: deque[Arrival] = deque()
        self._some = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def counts(self) -> Counts:
        """What the clients counted, together; `endpoint_unusable` how many cannot be used now."""
        total: Counts = {"endpoint_unusable": len(self.faults)} if self.faults else {}
        for client in self.clients:
            for reason, count in client.counts.items():
                total[reason] = total.get(reason, 0) + count
        return total

    @property
    def wanted(self) -> Wanted:
        """What all of them are asked for."""
        return self.clients[0].wanted

    def want(self, wanted: Wanted) -> None:
        """Replace what is wanted."""
        for client in self.clients:
            client.want(wanted)

    @property
    def coalesced(self) -> int:
        """Account writes dropped for newer ones."""
        return sum(client.coalesced for client in self.clients)

    @property
    def backlog(self) -> int:
        """Frames that wait to be read."""
        return len(self._waiting) + sum(client.backlog for client in self.clients)

    async def arrivals(self) -> AsyncGenerator[Arrival, None]:
        """As of a client."""
        reading = [asyncio.create_task(self._read(place)) for place in range(len(self.clients))]
        try:
            while True:
                while not self._waiting:
                    if len(self.faults) == len(self.clients):
                        raise next(iter(self.faults.values()))
                    self._some.clear()
                    await self._some.wait()
                if len(self._waiting) <= AHEAD // 2:
                    self._room.set()
                yield self._waiting.popleft()
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def _read(self, place: int) -> None:
        client = self.clients[place]
        while True:
            try:
                async with aclosing(client.arrivals()) as arrivals:
                    async for time, what in arrivals:
                        self.faults.pop(place, None)
                        self._take(place, time, what)
                        while len(self._waiting) >= AHEAD:
                            self._room.clear()
                            await self._room.wait()
            except InputFault as fault:
                self._take(place, now_ns(), Lost("the endpoint cannot be used any more"))
                self.faults[place] = fault
                self._some.set()
                await asyncio.sleep(AGAIN_S)
                client.inbox.forgive()

    def _take(self, place: int, time: int, what: bytes | Connected | Lost) -> None:
        told: list[bytes | Connected | Lost] = []
        if isinstance(what, Connected):
            told += [what] if self.firsts.connected(place) else []
        elif isinstance(what, Lost):
            if place in self.firsts.up:
                frames, is_hole = self.firsts.lost(place)
                told += frames
                told += [what] if is_hole else []
                told += [Connected(None)] if is_hole and self.firsts.up else []
        else:
            told += self.firsts.take(place, what)
        for one in told:
            self._waiting.append((time, one))
        if told:
            self._some.set()


Client = GeyserClient | SeveralClients


def client_of(clients: tuple[GeyserClient, ...]) -> Client:
    """One client as it is, several as one."""
    return clients[0] if len(clients) == 1 else SeveralClients(clients)
