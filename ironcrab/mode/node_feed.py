"""The market-data node: the feed's frames become world records of the log; it decides nothing."""

import asyncio
import contextlib
from collections import deque

from ironcrab.domain.control import GapClosed, GapOpened, InputCounted
from ironcrab.domain.event import Event
from ironcrab.domain.market import DexPoolAccounts
from ironcrab.ingest.normalise import Normaliser
from ironcrab.loop import Record
from ironcrab.mode.feeding import Feeding
from ironcrab.mode.node import MARKET_DATA, Node, first_of, tell
from ironcrab.mode.record import wanted_of
from ironcrab.mode.resuming import TAIL, Tail
from ironcrab.mode.run import SECOND
from ironcrab.mode.scenario import Scenario
from ironcrab.mode.seconds import Seconds
from ironcrab.shell.bus import Login
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_client import GeyserClient
from ironcrab.shell.tasks import end

MOST_WAITING = 50_000
"""Words that wait for the bus before the feed is left to its own bounded queue, which opens a gap when it is full."""
STOPPED = "the market-data node was stopped"
_BREATH = 64
_POLL_S = 0.05


class MarketData:
    """See the module.

    Args:
        scenario: of the set of nodes; a run must be open before the feed is read.
        endpoint: where the feed is.
        silence_s: as of the feed client.
    """

    def __init__(self, scenario: Scenario, endpoint: Endpoint, silence_s: float = 30.0) -> None:
        self.node = Node(MARKET_DATA, scenario, look_back=TAIL)
        self.endpoint = endpoint
        self.silence_s = silence_s
        self.normaliser = Normaliser()
        self.feeding = Feeding(self.normaliser, None, None)
        self.seconds = Seconds()
        self.tail: deque[Record] = deque(maxlen=TAIL)
        self.pools: dict[str, None] = {}
        self.client: GeyserClient | None = None
        self._ready = asyncio.Event()
        self.node.after = self._seen
        self.node.level = self._look_ready

    async def run(self, login: Login, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Faults of the feed and of the log come through."""
        await self.node.attend(login, (self._work(stop),))

    def _seen(self, record: Record) -> None:
        event = record.event
        if isinstance(event, GapOpened):
            self.feeding.gap = record.seq
        elif isinstance(event, GapClosed):
            self.feeding.gap = None
        elif isinstance(event, DexPoolAccounts):
            self.pools[event.pool_address] = None
        if not self._ready.is_set():
            # what the log told of the feed before we came
            self.tail.append(record)
            self._look_ready()

    def _look_ready(self) -> None:
        if self.node.is_level and self.node.run is not None:
            self._ready.set()

    async def _work(self, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        working = asyncio.create_task(self._read_on())
        try:
            await asyncio.wait((stopped, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            await end((working, stopped))
        self._close()
        await self.node.drained()

    async def _read_on(self) -> None:
        await self._ready.wait()
        from_slot = self._begin(now_ns())
        self.client = GeyserClient(self.endpoint, wanted_of(()), from_slot=from_slot, silence_s=self.silence_s)
        await first_of([self._read(self.client), self._tick(self.client)])

    def _begin(self, time: int) -> int | None:
        """What the log tells of the feed already; the slot that the feed is to begin with (None: live)."""
        records = list(self.tail)
        self.tail.clear()
        if not any(record.cause is None and getattr(record.event, "slot", None) is not None for record in records):
            return None
        gap = self.feeding.gap
        tail = Tail.of_records(records, self.pools, 0, self.normaliser)
        self.feeding = Feeding(self.normaliser, tail, gap)
        self.seconds.last = time // SECOND
        self._take_all(self.feeding.interrupted(time))
        return tail.from_slot

    async def _read(self, client: GeyserClient) -> None:
        count = 0
        async with contextlib.aclosing(client.arrivals()) as arrivals:
            async for arrival in arrivals:
                self._take_all(self.feeding.events(arrival))
                count += 1
                if count % _BREATH == 0:
                    await asyncio.sleep(0)
                while len(self.node.world.waiting) > MOST_WAITING:  # noqa: ASYNC110 - the bus is away: it may be long
                    await asyncio.sleep(_POLL_S)

    async def _tick(self, client: GeyserClient) -> None:
        while True:
            await asyncio.sleep((SECOND - now_ns() % SECOND) / SECOND)
            if not len(client.inbox):
                for time, tick in self.seconds.silent(now_ns()):
                    self.node.say(tick, time)

    def _take_all(self, events: list[tuple[int, Event]]) -> None:
        for time, event in events:
            for tick_time, tick in self.seconds.before(time):
                self.node.say(tick, tick_time)
            self.node.say(event, time)

    def _close(self) -> None:
        """We leave the feed: a gap opens, which the next one closes."""
        if self.client is None:
            return
        time = now_ns()
        self._take_all(self.feeding.end(time, STOPPED))
        counts = {**self.normaliser.counts, **self.client.counts}
        if self.client.inbox.coalesced:
            counts["account_coalesced"] = self.client.inbox.coalesced
        self.node.say(InputCounted("", counts), time)
        tell(f"{MARKET_DATA}: left the feed")
