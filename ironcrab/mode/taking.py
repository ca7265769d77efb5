"""The inside of a live session: whatever arrives is taken, one world record and its whole turn at a time."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from ironcrab.domain.control import (
    ConfigChanged,
    ControlRequest,
    GapOpened,
    InputCounted,
    LogRecovered,
    RunEnded,
)
from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import LatestBlockhash, WalletBalanceSnapshot
from ironcrab.domain.trade import DecisionRecord
from ironcrab.ingest.normalise import Normaliser
from ironcrab.log.contents import runs_of
from ironcrab.log.recording import Recording
from ironcrab.log.session import Session
from ironcrab.loop import Record
from ironcrab.mode.feeding import Feeding
from ironcrab.mode.following import Following
from ironcrab.mode.operator import Operator, components
from ironcrab.mode.outlets import Outlets
from ironcrab.mode.restart import restart
from ironcrab.mode.resuming import Tail
from ironcrab.mode.run import SECOND, Drive, opening
from ironcrab.mode.scenario import Scenario
from ironcrab.mode.seconds import Seconds
from ironcrab.mode.wiring import started
from ironcrab.shell.clock import now_ns
from ironcrab.shell.disk import Room
from ironcrab.shell.inbox import Arrival
from ironcrab.shell.skew import REPLAYED_S


class Status(Struct):
    """What the status line says; `last` the newest decision in words, `lag_ns` age of the newest frame when folded.

    `first`: records before this session. `skew_s`: by how much the host is ahead of the newest block's time; 0 for a
    feed of the past.
    """

    slot: int = 0
    records: int = 0
    lag_ns: int = 0
    pools: int = 0
    positions: int = 0
    gaps: int = 0
    is_up: bool = False
    is_gap: bool = False
    is_killed: bool = False
    is_low: bool = False
    last: str = ""
    skew_s: int = 0
    first: int = 0


class Live:
    """A session: takes arrivals, seconds, answers and the operator's words; see the module.

    Attributes:
        status: for people.
        decisions: by outcome.
        following: which accounts the feed is asked for beside those of the six programs.
        requested: told each control request, within its turn.
        run: number of the run.
        finished: words of an interrupted turn that were appended.
        is_halted: the disk refused; nothing can be recorded any more.

    Args:
        scenario: what decides.
        session: the log, open for writing.
        outlets: who performs asks.
        room: of the disk.
    """

    def __init__(self, scenario: Scenario, session: Session, outlets: Outlets, room: Room) -> None:
        self.scenario = scenario
        self.session = session
        self.outlets = outlets
        self.status = Status(first=session.next_seq)
        self.decisions: dict[str, int] = {}
        self.first_seq = session.next_seq
        self.run = 0
        self.finished = 0
        self.drive = Drive(scenario, self._append, outlets.every, session.next_seq, outlets.clock)
        self.engine = self.drive.wiring.engine
        self.normaliser = Normaliser()
        self.seconds = Seconds()
        self.feeding = Feeding(self.normaliser, None, None)
        self.operator = Operator(
            self._said,
            self.engine,
            components(scenario),
            lambda: session.durable_seq,
            session.path.parent,
            room,
            session.log_id,
        )
        self.following = Following()
        self.requested: Callable[[ControlRequest], object] = lambda _: None
        self._is_open = self.is_halted = False

    def open(self, time: int) -> int | None:
        """Begin a run, after what the log holds; the slot that the feed is to begin with (None: live)."""
        recording = Recording.open(self.session.path)
        runs = runs_of(recording)
        if not runs:
            self._begin(0, time)
            self._tell_wallet()
            return None
        self.run = max(run.run for _, run in runs) + 1
        mine = started(self.scenario, self.drive.wiring, self.run)
        if runs[-1][1].outlets != mine.outlets:
            raise InputFault(
                f"{self.session.path} was made with outlets {', '.join(runs[-1][1].outlets) or 'none'}, this run has "
                f"{', '.join(mine.outlets) or 'none'}: paper and real money never share a log; give another --data"
            )
        found = restart(recording, runs, mine, self.drive.wiring, self.drive.loop, self.outlets.every)
        self.finished = found.finished
        tail = Tail(recording, self.normaliser)
        self.feeding = Feeding(self.normaliser, tail, found.gap)
        self._begin(self.run, time)
        self.seconds.last = time // SECOND
        if self.outlets.wallet is not None or not any(recording.records((WalletBalanceSnapshot,))):
            self._tell_wallet()
        self._take_all(self.feeding.interrupted(time))
        self.following.known(self.drive.wiring.known.pools)
        return tail.from_slot

    def _begin(self, run: int, time: int) -> None:
        self._is_open = True
        self.drive.started = started(self.scenario, self.drive.wiring, run)
        self.drive.loop.take(self.drive.started, time)
        recovered = self.session.recovered
        if recovered is not None and recovered.lost_bytes:
            self.drive.loop.take(LogRecovered(recovered.lost_bytes, recovered.kept_in), time)
        self.drive.settle()

    def _tell_wallet(self) -> None:
        told = self.outlets.wallet
        for event in opening(self.scenario) if told is None else told:
            self.drive.take(event, self.drive.wiring.now.time)

    def take(self, time: int, event: Event) -> None:
        """Take one world event, after the ticks of the silent seconds before it; what follows is folded too."""
        for tick_time, tick in self.seconds.before(time):
            self.drive.take(tick, tick_time)
        seq = self.drive.loop.seq
        self.drive.take(event, time)
        if isinstance(event, GapOpened):
            self.feeding.gap = seq
            self.status.gaps += 1

    def arrive(self, arrival: Arrival) -> None:
        """Take what the feed client gives. DiskFault."""
        self._take_all(self.feeding.events(arrival))
        self.status.lag_ns = now_ns() - arrival[0]

    def silence(self, now: int) -> None:
        """Time has passed and nothing waits: take the ticks of the silent seconds."""
        for tick_time, tick in self.seconds.silent(now):
            self.drive.take(tick, tick_time)

    def answered(self) -> None:
        """An outlet has answers."""
        self.drive.answer(None)
        self.drive.settle()

    def close(self, time: int, reason: str, counts: dict[str, int]) -> None:
        """End the run; open asks stay open, the gap that opens here is closed by the run that goes on."""
        if not self._is_open:
            return
        self._take_all(self.feeding.end(time, reason))
        self.drive.answer(None)
        self.drive.loop.take(InputCounted("", {**self.normaliser.counts, **counts}), time)
        self.drive.loop.take(RunEnded(self.run, reason), time)
        self.drive.settle()

    def _said(self, event: Callable[[int], Event]) -> int:
        """Take an event of ours that names its own seq."""
        time = now_ns()
        for tick_time, tick in self.seconds.before(time):
            self.drive.take(tick, tick_time)
        seq = self.drive.loop.seq
        self.drive.take(event(seq), time)
        return seq

    def _take_all(self, events: list[tuple[int, Event]]) -> None:
        for time, event in events:
            self.take(time, event)

    def _append(self, record: Record) -> None:
        self.session.append(record)
        for outlet in self.outlets.every:
            outlet.see(record)
        event: Any = record.event
        kind = type(event)
        if kind is DecisionRecord:
            self.decisions[event.outcome] = self.decisions.get(event.outcome, 0) + 1
            self.status.last = f"#{record.seq} {event.outcome} {event.primary_reject_reason or ''}".rstrip()
        elif kind is LatestBlockhash:
            skew_s = 0 if event.block_time is None else record.time // SECOND - event.block_time
            self.status.skew_s = skew_s if abs(skew_s) < REPLAYED_S else 0
        elif kind is ConfigChanged:
            self.operator.changed[event.component] = event
        elif kind is ControlRequest:
            self.requested(event)
        else:
            self.following.see(event)

    def look(self) -> Status:
        """The KILL file, the disk, and what there is to say."""
        self.operator.look()
        status, known, now = self.status, self.drive.wiring.known, self.drive.wiring.now
        self.following.use(tuple(self.engine.state.params.lookup_tables.split()))
        status.slot, status.records = now.slot, self.drive.loop.seq
        status.pools, status.positions = len(known.pools.rows), self.engine.state.authority.held()
        status.is_up, status.is_killed = self.feeding.is_up, self.engine.state.kill.active
        status.is_gap = known.pools.gap_open
        status.is_low = self.operator.room.is_low
        return status
