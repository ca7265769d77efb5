"""What waits between the network and the loop, bounded.

The policy when it is full, in this order:

1. Account writes are coalesced: of one account only the newest stays, in its place. A reader then misses states
   between, never the last one; how many is counted.
2. Transactions, slots and metas are never dropped. If it is still full the connection is given up: what waits is
   still read, then comes the loss, which opens a gap, and a replay fills it where the endpoint has one.
"""

import asyncio
from collections import deque

from google.protobuf.message import DecodeError
from msgspec import Struct

from ironcrab.domain.fault import Fault
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.geyser_order import ACCOUNT, peek


class Connected(Struct, frozen=True):
    """The feed is up; `from_slot` where a replay was asked for, `to_slot` the newest slot of the endpoint then."""

    from_slot: int | None
    to_slot: int | None = None


class Lost(Struct, frozen=True):
    """The feed is down, and why."""

    reason: str


Arrival = tuple[int, bytes | Connected | Lost]
"""When (nanoseconds since 1970), and a frame or what became of the connection."""


class Inbox:
    """A bounded queue of arrivals for one reader.

    Attributes:
        coalesced: account writes dropped for newer ones.

    Args:
        most: frames that may wait.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.coalesced = 0
        self._waiting: deque[Arrival] = deque()
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._fault: Fault | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, time: int, what: bytes | Connected | Lost) -> bool:
        """Queue an arrival; False where it is full even after coalescing: then it was not taken."""
        if len(self._waiting) >= self.most and isinstance(what, bytes):
            self._coalesce()
            if len(self._waiting) >= self.most:
                return False
        self._waiting.append((time, what))
        self._some.set()
        return True

    def fail(self, fault: Fault) -> None:
        """Nothing more will come, for this reason; the reader gets it behind what waits."""
        self._fault = fault
        self._some.set()

    def forgive(self) -> None:
        """Forget the fault: the next one may fare better."""
        self._fault = None

    async def next(self) -> Arrival:
        """The next arrival; raises the fault of `fail` behind the last one."""
        while not self._waiting:
            if self._fault is not None:
                raise self._fault
            self._some.clear()
            self._room.set()
            await self._some.wait()
        return self._waiting.popleft()

    async def drained(self) -> None:
        """Wait until everything that waits has been read."""
        while self._waiting:
            self._room.clear()
            await self._room.wait()

    def _coalesce(self) -> None:
        """Keep of each account its newest write alone. A second write in the same place is the newest by arrival."""
        seen: dict[bytes, None] = {}
        kept: deque[Arrival] = deque()
        for time, what in reversed(self._waiting):
            if isinstance(what, bytes) and peek(what)[0] == ACCOUNT:
                key = _key_of(what)
                if key in seen:
                    self.coalesced += 1
                    continue
                seen[key] = None
            elif not isinstance(what, bytes):
                seen.clear()
            kept.appendleft((time, what))
        self._waiting = kept


def _key_of(frame: bytes) -> bytes:
    try:
        return bytes(wire.SubscribeUpdate.FromString(frame).account.account.pubkey)
    except DecodeError:
        return frame
