"""The execution-engine node: it decides, performs its asks, opens runs, and takes the operator's word.

The only node that may hold a key. What its outlets answer are world records of this node. The sender waits for the
recorder's watermark: no recorder, no sends.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ironcrab.domain.ask import SendAnswer, SendAsk
from ironcrab.domain.control import ClockTick, ConfigChanged, WordsAbandoned
from ironcrab.domain.event import Event
from ironcrab.domain.market import WalletBalanceSnapshot
from ironcrab.domain.units import SOL_MINT
from ironcrab.execution.housekeeping import VENUE
from ironcrab.loop import Record
from ironcrab.mode.live import folder_of
from ironcrab.mode.node import ENGINE, Node, tell
from ironcrab.mode.node_control import BusControl
from ironcrab.mode.operator import POLL_S, Operator, components
from ironcrab.mode.outlets import Outlets
from ironcrab.mode.restart import SEEN_BACK, show_tables
from ironcrab.mode.run import opening
from ironcrab.mode.scenario import Scenario
from ironcrab.shell.bus_login import Login
from ironcrab.shell.clock import now_ns
from ironcrab.shell.control import KILL_FILE, SUFFIX, Control, Reply, Request
from ironcrab.shell.disk import Room
from ironcrab.shell.tasks import end

Make = Callable[[Callable[[], int]], Coroutine[Any, Any, Outlets]]
"""Makes the outlets, told how far the log is on the recorder's disk."""
PATIENCE_S = 5.0
"""Seconds that a node may take to answer a change of its settings."""
LOOK_S = 1.0
MILLI = 1_000_000
TOO_LATE = "KILL_SWITCH_ACTIVE: the kill stands before the ask"


class Engine:
    """See the module.

    Args:
        scenario: what decides.
        data: folder of the control socket and the KILL file.
        make: makes the outlets.

    Attributes:
        tickets: number of a word that an operator waits for -> seq of its record, once the stream holds it.
        refused: seq of a send that came behind a kill -> whether that was said.
    """

    def __init__(self, scenario: Scenario, data: Path, make: Make) -> None:
        self.node = Node(ENGINE, scenario, look_back=SEEN_BACK)
        self.scenario = scenario
        self.data = data
        self.make = make
        self.engine = self.node.wiring.engine
        self.outlets = Outlets(())
        self.tickets: dict[int, int | None] = {}
        self.refused: dict[int, bool] = {}
        self.operator: Operator | None = None
        self._ticking = False
        self._ready = asyncio.Event()
        self.node.before = self._before
        self.node.after = self._after
        self.node.level = self._level
        self.control = BusControl(
            self._say_now,
            self._stands,
            self.answer,
            (self.data / KILL_FILE).exists,
            lambda: self.node.durable,
        )
        self.node.greet = self.control.serve
        self.node.beside = (self.control.tell,)

    async def run(self, login: Login, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Faults of the log come through."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.outlets = await self.make(lambda: self.node.durable)
        try:
            await self.node.attend(login, (self._work(stop),))
        finally:
            await self.outlets.stop()

    # the stream

    def _before(self, record: Record) -> None:
        slot = getattr(record.event, "slot", None)
        if self.node.is_level and record.cause is None and slot is not None and slot > self.node.now.slot:
            self._answer(slot)
        if self._is_too_late(record):
            self.refused[record.seq] = False
            return
        for outlet in self.outlets.every:
            outlet.see(record)

    def _is_too_late(self, record: Record) -> bool:
        """A send that stands behind a kill: it was said before the engine knew of it, and nobody is to perform it.

        In one process this cannot be: there a turn ends before the operator is heard.
        """
        event = record.event
        if not isinstance(event, SendAsk) or record.seq < self.node.fold_from or not self.engine.state.kill.active:
            return False
        return event.plan.side == "Buy" or (event.plan.dex == VENUE and event.plan.output_mint == SOL_MINT)

    def _refuse(self) -> None:
        """Answer what came too late, once."""
        for ask in [ask for ask, is_told in self.refused.items() if not is_told]:
            self.refused[ask] = True
            slot = self.node.now.slot or None
            self.node.say(SendAnswer(ask, False, now_ns() // MILLI, "none", slot, error=TOO_LATE, last=True), now_ns())

    def _after(self, record: Record) -> None:
        event = record.event
        own = self.node.own_word
        if own in self.tickets:
            self.tickets[own] = record.seq
        if own and isinstance(event, ClockTick):
            self._ticking = False
        if isinstance(event, ConfigChanged) and self.operator is not None:
            self.operator.changed[event.component] = event
        self.control.see(record, is_level=self.node.is_level)
        if isinstance(event, SendAnswer):
            self.refused.pop(event.ask, None)
        if self.node.is_level:
            self._settle()

    def _level(self) -> None:
        """All is folded: open the run if it is not ours, and tell the wallet."""
        node = self.node
        time = now_ns()
        if not self._ready.is_set() and not node.in_force:
            run = 0 if node.run is None else node.run + 1
            if node.run is not None:
                node.say(WordsAbandoned(node.run, node.seq, "code or settings changed"), time)
            node.say(replace(node.mine, run=run), time)
        if not self._ready.is_set():
            show_tables(node.wiring, self.outlets.every)
            self._tell_wallet(time)
            self._answer(node.now.slot)
        self._ready.set()
        self._settle()

    def _tell_wallet(self, time: int) -> None:
        told = self.outlets.wallet
        if told is not None:
            for event in told:
                self.node.say(event, time)
            return
        known = self.engine.state.capital.assets
        for event in opening(self.scenario):
            if event.mint not in known if isinstance(event, WalletBalanceSnapshot) else not known:
                self.node.say(event, time)

    def _settle(self) -> None:
        """Nobody waits for the market: an intent is decided by a tick at once, answers due now are given."""
        self._refuse()
        self._answer(None)
        if self.engine.undecided and not self._ticking:
            self._ticking = True
            self.node.say(ClockTick(), self.node.now.time)

    def _answer(self, slot: int | None) -> None:
        for outlet in self.outlets.every:
            for answer in outlet.due(slot):
                self.node.say(answer, self._when())

    def _when(self) -> int:
        return self.node.now.time if self.outlets.clock is None else self.outlets.clock()

    # beside the stream

    async def _work(self, stop: asyncio.Event) -> None:
        ready: asyncio.Task[Any] = asyncio.create_task(self._ready.wait())
        stopped: asyncio.Task[Any] = asyncio.create_task(stop.wait())
        await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            return
        assert self.node.log is not None
        self.operator = Operator(
            self._said,
            self.engine,
            components(self.scenario),
            self._durable,
            self.data,
            Room(self.data),
            self.node.log.log_id,
            PATIENCE_S,
        )
        socket = Control(self.data / f"{folder_of(self.data, self.scenario).name}{SUFFIX}", self.answer)
        await socket.open()
        self.outlets.start()
        work = (self._answers(), self._sample(), self._look())
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(task) for task in work]
        try:
            await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await end((stopped, *tasks))
            await socket.close()
        await self.node.drained()
        tell(f"{ENGINE}: stopped")

    def _say_now(self, event: Event) -> int:
        return self._said(lambda _: event)

    async def _stands(self, number: int) -> int | None:
        """Wait until the record of this word is on the recorder's disk; its seq."""
        while self._durable() < number:  # noqa: ASYNC110 - the watermark comes every few milliseconds
            await asyncio.sleep(POLL_S)
        return self.tickets.pop(number)

    async def answer(self, request: Request) -> Reply:
        """Perform an operator's request; the reply comes when its record is on the recorder's disk."""
        if self.operator is None:
            return Reply(ok=False, text=f"{ENGINE} is not ready; ask again")
        reply = await self.operator.answer(request)
        return reply if reply.seq is None else replace(reply, seq=self.tickets.pop(reply.seq, None))

    def _said(self, event: Callable[[int], Event]) -> int:
        """Take an event that names a number of its own; the number of the word."""
        number = self.node.say(event(self.node.seq + len(self.node.world.waiting)), now_ns())
        self.tickets[number] = None
        return number

    def _durable(self) -> int:
        """The number of the newest own word that is on the recorder's disk."""
        durable = self.node.durable
        return max((word for word, seq in self.tickets.items() if seq is not None and seq <= durable), default=-1)

    async def _answers(self) -> None:
        while True:
            await self.outlets.arrived.wait()
            self.outlets.arrived.clear()
            if self.node.is_level:
                self._settle()

    async def _sample(self) -> None:
        if self.outlets.samples is None:
            await asyncio.Event().wait()
        else:
            await self.outlets.samples(lambda event: self.node.say(event, now_ns()))

    async def _look(self) -> None:
        while True:
            if self.operator is not None and self.node.is_level:
                self.operator.look()
            await asyncio.sleep(LOOK_S)
