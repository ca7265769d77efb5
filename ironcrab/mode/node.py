"""A node: one process of several that fold one log over the bus.

    the stream gives a record  ->  the node's reducers fold it  ->  what those that it speaks for say is published

Every node folds the whole stream in its order, so all know the same. What a reducer says takes effect in the step that
says it, and waits here until the stream holds it. A node that starts folds what the stream holds and says nothing
meanwhile: what it finds there of its own words is crossed off, the rest is said then. So a crash costs nothing and says
nothing twice; a second instance finds its words said by another and ends.

Words are said only in a run whose reducers, settings and outlets are the node's own: the engine opens it.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any

from msgspec.structs import replace

from ironcrab.domain.control import RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault, LockFault, LogFault
from ironcrab.log import snapshot
from ironcrab.log.line import encode
from ironcrab.loop import Loop, Now, Record
from ironcrab.mode.restart import equals
from ironcrab.mode.run import SECOND
from ironcrab.mode.scenario import Scenario
from ironcrab.mode.states import made_by, restore_states
from ironcrab.mode.verify import never_append
from ironcrab.mode.wiring import ALL, Wiring, started
from ironcrab.shell.bus import Bus, LogStream, States, connected
from ironcrab.shell.bus_login import Login
from ironcrab.shell.bus_message import BusFault, Message, RefusedFault, Word, record_of, said, world
from ironcrab.shell.bus_reader import BATCH
from ironcrab.shell.clock import now_ns, steady_ns
from ironcrab.shell.tasks import end

MARKET_DATA, MOMENTUM, ARBITRAGE, ENGINE = "market-data", "momentum-bot", "arb-strategy", "execution-engine"
RECORDER, ANNOUNCER = "recorder", "announcer"
ROLES = (MARKET_DATA, MOMENTUM, ARBITRAGE, ENGINE, RECORDER, ANNOUNCER)
"""The processes of a set of nodes: those that speak, the recorder, and the announcer of the wire contract."""
AGAIN_S = 0.25
"""Seconds between two tries to reach the bus or to find its stream."""
DRAIN_S = 5.0
"""Longest wait at a stop for the words that wait."""
_ZERO = bytes(32)


def tell(text: str) -> None:
    """One line for people, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def hosts(role: str, scenario: Scenario) -> tuple[str, ...]:
    """Names of the reducers that a role speaks for.

    arb-strategy its own, momentum-bot every other strategy; housekeepers act on the wallet, and so are the engine's.
    """
    names = tuple(str(strategy.kind.name) for strategy in scenario.strategies)
    keepers = tuple(str(keeper.kind.name) for keeper in scenario.housekeepers if keeper.params.enabled)
    told = {
        MOMENTUM: tuple(name for name in names if name != ARBITRAGE),
        ARBITRAGE: tuple(name for name in names if name == ARBITRAGE),
        ENGINE: (ENGINE, *keepers),
    }
    for name in (*names, *keepers):
        if not name.replace("-", "").replace("_", "").isalnum():
            raise InputFault(f"strategy {name!r} cannot be a subject's name; use letters, digits, - and _")
    return told.get(role, ())


class Voice:
    """What one speaker has said and the stream does not hold yet.

    Attributes:
        waiting: in the order in which they were said.
        offered: so many of the first ones were handed to the bus in this connection.
        tried: so many of them were handed to it in this or an earlier one: they may stand in the stream unheard.
        last: stream seq of the speaker's newest message.
    """

    def __init__(self, speaker: str) -> None:
        self.speaker = speaker
        self.waiting: deque[Word] = deque()
        self.offered = self.tried = 0
        self.last = 0

    def todo(self) -> list[Word]:
        """The next words to offer."""
        return list(islice(self.waiting, self.offered, self.offered + BATCH))

    def forget(self) -> None:
        """Give up what waits."""
        self.waiting.clear()
        self.offered = self.tried = 0


class Node:
    """See the module.

    Attributes:
        loop: folds; its clock is the node's.
        wiring: all reducers of the scenario, of which this node folds those that its own ones read.
        mine: what a run of this scenario and code says of itself.
        run: number of the newest run in the log; None: none opened yet.
        in_force: whether that run is mine.
        is_level: whether all that the stream held when we came is folded.
        next: stream seq of the next message.
        fold_from: seq of the first record that is folded; what is read before it is only shown to the role.
        highest: highest time (ns) read so far.
        durable: seq up to which the log is on the recorder's disk.
        log: the stream, once it was found.
        own_word: number of the word that the record in hand is, where the world said it to this process; 0: it is none.
        before, after: told each record before and after it is folded; the role sets them.
        level: called each time the node has become level.
        greet: called with each new connection before it is used.
        beside: what runs as long as this connection, beside following and speaking.

    Args:
        role: one of ROLES but the recorder.
        scenario: what decides.
        reads: market reducers that are folded for the role itself.
        look_back: records before the states that a beginning node restores which the role is shown all the same.
    """

    def __init__(self, role: str, scenario: Scenario, reads: tuple[str, ...] = (), look_back: int = 0) -> None:
        self.role = role
        self.scenario = scenario
        self.wiring = Wiring(scenario)
        self.mine = started(scenario, self.wiring, 0)
        self.hosts = hosts(role, scenario)
        own = tuple(reducer for reducer in self.wiring.reducers if reducer.name in self.hosts)
        read = dict.fromkeys((*reads, *(name for reducer in own for name in getattr(reducer, "reads", ALL))))
        folded = tuple(reducer for reducer in self.wiring.reducers if reducer.name in read or reducer in own)
        self.now: Now = self.wiring.now
        self.loop = Loop(folded, never_append, self.now)
        self.world = Voice(world(role))
        self.voices = {said(name): Voice(said(name)) for name in self.hosts}
        self.by_speaker = {**self.voices, self.world.speaker: self.world}
        self.run: int | None = None
        self.in_force = self.is_level = False
        self.durable = -1
        self.log: LogStream | None = None
        self.next = 1
        self.look_back = look_back
        self.fold_from = self.highest = 0
        self.own_word = 0
        self.before: Callable[[Record], None] = lambda _: None
        self.after: Callable[[Record], None] = lambda _: None
        self.level: Callable[[], None] = lambda: None
        self.greet: Callable[[Bus], Coroutine[Any, Any, None]] = _greet_nobody
        self.beside: tuple[Callable[[Bus], Coroutine[Any, Any, None]], ...] = ()
        self.bus: Bus | None = None
        self._said = asyncio.Event()
        self._nonce = f"{role}.{now_ns()}"
        self._told = 0
        self._target = 0

    # what the role uses

    @property
    def seq(self) -> int:
        """Seq of the next record to fold."""
        return self.next + (0 if self.log is None else self.log.offset)

    def say(self, event: Event, time: int) -> int:
        """The world says something to this node; the number of the word among those of this process."""
        self._told += 1
        self._queue(self.world, Word(None, time, event, f"{self._nonce}.{self._told}"))
        return self._told

    async def drained(self) -> None:
        """Wait until the stream holds every word, or too long."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while any(voice.waiting for voice in self.by_speaker.values()):  # noqa: ASYNC110 - a stop may poll
                    await asyncio.sleep(0.01)
        except TimeoutError:
            tell(f"{self.role}: some words wait for the bus no longer; a restart says them")

    # the stream

    async def attend(self, login: Login, ends: tuple[Coroutine[Any, Any, None], ...]) -> None:
        """Follow and speak until one of `ends` ends. Faults of theirs come through, a lost bus is waited for."""
        await first_of([attend(self.role, login, self.session), *ends])

    async def session(self, bus: Bus) -> None:
        """One connection: fold from where we stand, speak when level. BusFault when it is lost."""
        found = await bus.find()
        if found is None:
            raise BusFault("the bus holds no log yet; the recorder makes one")
        await self._adopt(bus, found)
        bus.heard = self._hear
        await bus.hear_durable()
        self.is_level, self._target, self.bus = False, found.last, bus
        for voice in self.by_speaker.values():
            voice.offered = 0
            voice.last = await bus.last_of(voice.speaker)
        await self.greet(bus)
        self._look_level()
        try:
            await first_of([self._follow(bus), self._speak(bus), bus.lost(), *(one(bus) for one in self.beside)])
        finally:
            self.bus, self.is_level = None, False

    async def _adopt(self, bus: Bus, found: LogStream) -> None:
        """Take the stream for ours; a node that begins restores the states on the bus, where they are of its code."""
        if self.log is not None and self.log.log_id != found.log_id:
            raise LogFault(f"log {self.log.log_id} is gone from the bus, {found.log_id} stands there; start anew")
        if self.log is None:
            states = await bus.states()
            if states is not None and states.log_id == found.log_id:
                self._restore(states, found)
            elif found.offset != -1:
                raise BusFault("the states that the log begins with are not on the bus; the recorder leaves them")
        if found.last < self.next - 1:
            raise LogFault(f"the stream has lost its end: message {found.last} is its last, we read more; start anew")
        if found.first > self.next:
            raise LogFault(
                f"the stream begins with message {found.first}, {self.role} needs {self.next}: no states of its code "
                f"are on the bus; start anew, with another --data where code or settings changed"
            )
        self.log = found

    def _restore(self, states: States, found: LogStream) -> None:
        kept = snapshot.decode(states.data, "the states on the bus")
        if kept is None:
            return
        is_mine = kept.meta == made_by(replace(self.mine, run=states.run))
        if self.loop.reducers and not is_mine and not states.begins:
            return
        restore_states(self.loop.reducers, self.now, kept.states)
        self.run, self.in_force = states.run, is_mine and not states.begins
        self.fold_from = states.seq
        begin = states.seq - found.offset
        back = min([begin - self.look_back, *(seq - found.offset for seq in self.wiring.engine.state.asks)])
        self.next = min(begin, max(found.first, 1, back if self.look_back else begin))
        self.highest = self.now.time if self.next == begin else 0
        tell(f"{self.role}: states of record {states.seq} restored")

    async def _follow(self, bus: Bus) -> None:
        async for messages in bus.follow(self.next):
            for message in messages:
                self.take(message)
            # a stream that is read from its beginning gives no pause
            await asyncio.sleep(0)

    def _hear(self, durable: int) -> None:
        self.durable = max(self.durable, durable)

    async def _speak(self, bus: Bus) -> None:
        while True:
            await self._said.wait()
            self._said.clear()
            if self.is_level:
                await self._speak_all(bus)

    async def _speak_all(self, bus: Bus) -> None:
        for voice in self.by_speaker.values():
            while todo := voice.todo():
                is_new = voice.tried <= voice.offered
                voice.offered += len(todo)
                voice.tried = max(voice.tried, voice.offered)
                try:
                    reached = await bus.publish(voice.speaker, todo, voice.last)
                except RefusedFault as fault:
                    if not is_new:
                        raise BusFault("the bus has taken what it did not answer") from fault
                    raise LockFault(self._twin()) from fault
                voice.last = max(voice.last, reached)

    def take(self, message: Message) -> None:
        """Fold the next message of the stream. DamageFault where it is no record."""
        assert self.log is not None
        self.own_word = 0
        record = record_of(message, self.log.offset, self.highest)
        self.highest = max(self.highest, record.time)
        if record.seq < self.fold_from:
            self.before(record)
            self.next = message.seq + 1
            self.after(record)
            return
        voice = self.by_speaker.get(message.speaker)
        if voice is not None:
            self._heard(voice, message, record)
        if isinstance(record.event, RunStarted):
            self._opened(record.event)
        self.before(record)
        index: dict[str, int] = {}
        for name, event in self.loop.fold(record):
            if self.in_force and name in self.hosts:
                index[name] = index.get(name, -1) + 1
                word = Word(record.seq, record.time, event, f"{name}.{record.seq}.{index[name]}")
                self._queue(self.voices[said(name)], word)
        self.next = message.seq + 1
        self.after(record)
        self._look_level()

    def _queue(self, voice: Voice, word: Word) -> None:
        # what the recorder could not append is not said: LogFault here, where the reducer stands
        encode(Record(0 if word.cause is None else word.cause + 1, word.cause, None, word.time, word.event), _ZERO)
        voice.waiting.append(word)
        self._said.set()

    def _heard(self, voice: Voice, message: Message, record: Record) -> None:
        """Cross off a word that the stream holds now."""
        voice.last = max(voice.last, message.seq)
        if voice is not self.world and not self.in_force:
            return
        is_ours = bool(voice.waiting) and voice.waiting[0].id == message.id
        if self.is_level and (not is_ours or not voice.tried):
            raise LockFault(self._twin())
        if not is_ours:
            if voice is not self.world:
                raise LogFault(f"record {record.seq} is not what {self.role} says there now; {_ANEW}")
            return
        word = voice.waiting.popleft()
        if voice is self.world:
            self.own_word = int(word.id.rpartition(".")[2])
        voice.offered, voice.tried = max(0, voice.offered - 1), max(0, voice.tried - 1)
        if word.event != record.event:
            raise LogFault(f"record {record.seq} differs from what {self.role} says there now; {_ANEW}")

    def _opened(self, event: RunStarted) -> None:
        """A run opens: what was to be said in the one before is given up."""
        self.run, self.in_force = event.run, equals(event, self.mine)
        for voice in self.voices.values():
            voice.forget()
        if self.hosts and not self.in_force:
            tell(f"{self.role}: run {event.run} of the log has other code or settings than this node; it only listens")

    def _look_level(self) -> None:
        if not self.is_level and self.next > self._target:
            self.is_level = True
            tell(f"{self.role}: level at record {self.seq - 1}")
            self.level()
            self._said.set()

    def _twin(self) -> str:
        return f"another {self.role} speaks in log {self.log.log_id if self.log else ''}; stop one of the two"


async def _greet_nobody(_: Bus) -> None:
    """A role without wishes at the beginning of a connection."""


_ANEW = "has the code changed under the same name? verify the recording, then start with another --data"


async def attend(name: str, login: Login, session: Callable[[Bus], Coroutine[Any, Any, None]]) -> None:
    """Connect and run `session` again and again; a lost bus is told once and waited for. Other faults come through."""
    silent = ""
    while True:
        began = steady_ns()
        try:
            async with connected(login, name) as bus:
                await session(bus)
        except BusFault as fault:
            if str(fault) != silent or steady_ns() - began > SECOND:
                tell(f"{name}: {fault}; waiting")
                silent = str(fault)
        await asyncio.sleep(AGAIN_S)


async def first_of(coroutines: list[Coroutine[Any, Any, None]]) -> None:
    """Run all until the first one ends; its fault comes through, the others are ended."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        faults = [fault for task in done if (fault := task.exception()) is not None]
        # a fault of ours tells more than the loss of the connection that came with it
        for fault in sorted(faults, key=lambda one: isinstance(one, BusFault)):
            raise fault
    finally:
        await end(tasks)


__all__ = [
    "ANNOUNCER", "ARBITRAGE", "ENGINE", "MARKET_DATA", "MOMENTUM", "RECORDER", "ROLES",
    "Node", "Voice", "attend", "first_of", "hosts", "tell",
]  # fmt: skip
