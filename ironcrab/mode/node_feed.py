"""The market-data node: the feed's frames become world records of the log; it decides nothing.

It asks the feed for what quoting the pools that it finds needs; what the strategies tell of the pools they are about
(`node_tracking`) only says which of these matter more. With a node to read from it reads again what a gap made unknown
and answers what the log asks of market-data (wire contract 1.11).
"""

import asyncio
import contextlib
from collections import deque
from functools import partial

from msgspec.structs import replace

from ironcrab.domain.control import ControlRequest, ControlResponse, GapClosed, GapOpened, InputCounted
from ironcrab.domain.event import Event
from ironcrab.domain.market import DexPoolAccounts
from ironcrab.ingest.normalise import Normaliser
from ironcrab.loop import Record
from ironcrab.mode.feeding import Feeding
from ironcrab.mode.following import Following
from ironcrab.mode.node import MARKET_DATA, Node, first_of, tell
from ironcrab.mode.node_tracking import ACTIVE_POOLS, priorities_of
from ironcrab.mode.record import TRACKED_S, wanted_of
from ironcrab.mode.rereading import ENSURE, MOST_REQUESTS, Rereading
from ironcrab.mode.resuming import TAIL, Tail
from ironcrab.mode.run import SECOND
from ironcrab.mode.scenario import Scenario
from ironcrab.mode.seconds import Seconds
from ironcrab.shell.bus import Bus
from ironcrab.shell.bus_login import Login
from ironcrab.shell.bus_server import TRACKING
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_client import GeyserClient
from ironcrab.shell.geyser_several import Client, client_of
from ironcrab.shell.rpc import Rpc
from ironcrab.shell.tasks import end

MOST_WAITING = 50_000
"""Words that wait for the bus before the feed is left to its own bounded queue, which opens a gap when it is full."""
STOPPED = "the market-data node was stopped"
NO_NODE = "market-data was given no node to read from; start it with --rpc URL"
_BREATH = 64
_POLL_S = 0.05


class MarketData:
    """See the module.

    Args:
        scenario: of the set of nodes; a run must be open before the feed is read.
        endpoints: where the feed is; of what several tell, what comes first is taken.
        rpc_url: node that unknown accounts are read from; None: they stay unknown until the feed tells them, and
            requests are answered with an error. It may hold a token and is never printed.
        silence_s: as of the feed client.
    """

    def __init__(
        self, scenario: Scenario, endpoints: tuple[Endpoint, ...], rpc_url: str | None = None, silence_s: float = 30.0
    ) -> None:
        self.node = Node(MARKET_DATA, scenario, ("pools",), look_back=TAIL)
        self.endpoints = endpoints
        self.rpc_url = rpc_url
        self.silence_s = silence_s
        self.normaliser = Normaliser()
        self.feeding = Feeding(self.normaliser, None, None)
        self.following = Following()
        self.following.use(tuple(scenario.engine.lookup_tables.split()))
        self.seconds = Seconds()
        self.tail: deque[Record] = deque(maxlen=TAIL)
        self.pools: dict[str, None] = {}
        self.client: Client | None = None
        self.rereading: Rereading | None = None
        self.requests: dict[str, ControlRequest] = {}
        self._gap_word = self._gap_heard = 0
        self._ready = asyncio.Event()
        self.node.after = self._seen
        self.node.level = self._look_ready
        self.node.greet = self._greet

    async def run(self, login: Login, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Faults of the feed and of the log come through."""
        await self.node.attend(login, (self._work(stop),))

    def _seen(self, record: Record) -> None:
        event = record.event
        if isinstance(event, GapOpened):
            self.feeding.gap = record.seq
            self._gap_heard = max(self._gap_heard, self.node.own_word)
        elif isinstance(event, GapClosed):
            self.feeding.gap = None
        elif isinstance(event, DexPoolAccounts):
            self.pools[event.pool_address] = None
        elif isinstance(event, ControlRequest):
            self._requested(event)
        elif isinstance(event, ControlResponse):
            self.requests.pop(event.request_id, None)
        if self._ready.is_set():
            self.following.see(event)
        else:
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
        self.following.known(self.node.wiring.known.pools)
        wanted = replace(wanted_of(()), accounts=self.following.keys)
        client = self.client = client_of(
            tuple(GeyserClient(one, wanted, from_slot=from_slot, silence_s=self.silence_s) for one in self.endpoints)
        )
        await first_of([self._read(client), self._tick(client), self._want(client), self._reread()])

    # what is asked of us

    async def _greet(self, bus: Bus) -> None:
        for subject in TRACKING.values():
            await bus.serve(subject, partial(self._tracked, subject))

    async def _tracked(self, subject: str, body: bytes) -> None:
        """A strategy tells which pools matter to it."""
        for pool, priority in priorities_of(subject, body).items():
            self.following.rank(pool, priority, "momentum" if subject == ACTIVE_POOLS else "arb")

    def _requested(self, event: ControlRequest) -> None:
        """A request stands in the log; one that was asked before we came waits until we are ready."""
        if event.target != MARKET_DATA or not event.kind.startswith(ENSURE):
            return
        self.requests[event.request_id] = event
        while len(self.requests) > MOST_REQUESTS:
            del self.requests[next(iter(self.requests))]
        if self._ready.is_set():
            self._attend_to(event)

    def _attend_to(self, event: ControlRequest) -> None:
        if self.rereading is not None:
            self.rereading.ask(event)
        elif self.rpc_url is None:
            no_node = ControlResponse(event.request_id, MARKET_DATA, "error", message=NO_NODE)
            self._take_all([(now_ns(), no_node)])

    async def _reread(self) -> None:
        """What a gap made unknown is read again, beside the feed."""
        if self.rpc_url is None:
            for request in tuple(self.requests.values()):
                self._attend_to(request)
            await asyncio.Event().wait()
            return
        async with Rpc(self.rpc_url) as rpc:
            pools = self.node.wiring.known.pools
            rereading = self.rereading = Rereading(
                rpc, self.following, pools, lambda event: self._take_all([(now_ns(), event)]), self._is_up
            )
            for request in tuple(self.requests.values()):
                rereading.ask(request)
            await rereading.run()

    def _is_up(self) -> bool:
        """Whether the feed is up, and every gap that we told is folded: what is read then hides nothing."""
        return self.feeding.is_up and self._gap_heard >= self._gap_word

    # the feed

    async def _want(self, client: Client) -> None:
        while True:
            await asyncio.sleep(TRACKED_S)
            client.want(replace(client.wanted, accounts=self.following.keys))

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

    async def _read(self, client: Client) -> None:
        count = 0
        async with contextlib.aclosing(client.arrivals()) as arrivals:
            async for arrival in arrivals:
                self._take_all(self.feeding.events(arrival))
                count += 1
                if count % _BREATH == 0:
                    await asyncio.sleep(0)
                while len(self.node.world.waiting) > MOST_WAITING:  # noqa: ASYNC110 - the bus is away: it may be long
                    await asyncio.sleep(_POLL_S)

    async def _tick(self, client: Client) -> None:
        while True:
            await asyncio.sleep((SECOND - now_ns() % SECOND) / SECOND)
            if not client.backlog:
                for time, tick in self.seconds.silent(now_ns()):
                    self.node.say(tick, time)

    def _take_all(self, events: list[tuple[int, Event]]) -> None:
        for time, event in events:
            for tick_time, tick in self.seconds.before(time):
                self.node.say(tick, tick_time)
            number = self.node.say(event, time)
            if isinstance(event, GapOpened):
                self._gap_word = number

    def _close(self) -> None:
        """We leave the feed: a gap opens, which the next one closes."""
        if self.client is None:
            return
        time = now_ns()
        self._take_all(self.feeding.end(time, STOPPED))
        counts = {**self.normaliser.counts, **self.client.counts}
        if self.client.coalesced:
            counts["account_coalesced"] = self.client.coalesced
        self.node.say(InputCounted("", counts), time)
        tell(f"{MARKET_DATA}: left the feed")
