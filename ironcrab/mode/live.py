"""Live: the same reducers over a real feed. The source is a feed client, the outlets are paper or the own wallet's.

One asyncio loop: whatever arrives (a frame, an answer, the operator, a silent second) becomes a world record, and its
whole turn is folded before anything else is looked at. The log is group-committed behind it; who sends waits for the
disk, nobody else does. Sealing and states are made by a process beside it.

A log that stands there already goes on: see `restart`. A stop ends it in order; a crash costs an incomplete line.
"""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.control import (
    ConfigChanged,
    ConfigUpdate,
    GapOpened,
    InputCounted,
    LogRecovered,
    RunEnded,
)
from ironcrab.domain.event import Event
from ironcrab.domain.fault import DiskFault, Fault, InputFault
from ironcrab.domain.market import WalletBalanceSnapshot
from ironcrab.domain.trade import DecisionRecord
from ironcrab.execution.params import FIELDS, text_of
from ironcrab.ingest.normalise import Normaliser
from ironcrab.log.contents import is_recording, runs_of
from ironcrab.log.hot import COMMIT_INTERVAL_S
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.log.session import Session
from ironcrab.loop import Record
from ironcrab.mode.beside import STATES_EVERY, Beside
from ironcrab.mode.feeding import Feeding
from ironcrab.mode.operator import Operator
from ironcrab.mode.outlets import Outlets
from ironcrab.mode.record import SEGMENT_AGE_NS, SEGMENT_BYTES, wanted_of
from ironcrab.mode.restart import restart
from ironcrab.mode.resuming import Tail
from ironcrab.mode.run import SECOND, Drive, opening
from ironcrab.mode.scenario import ARMED, Scenario
from ironcrab.mode.seconds import Seconds
from ironcrab.mode.wiring import started
from ironcrab.shell.clock import now_ns
from ironcrab.shell.control import SUFFIX, Control
from ironcrab.shell.disk import Room
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_client import GeyserClient
from ironcrab.shell.inbox import Arrival

LOOK_S = 1.0
"""Seconds between two looks at the disk, the KILL file and what goes on beside."""
RESOLVE_S = 150.0
"""Longest wait for open asks of an earlier run: by then no blockhash of it lives."""
STOPPED = "the session was stopped"
Make = Callable[[Callable[[], int]], Coroutine[Any, Any, Outlets]]
"""Makes the outlets of a session, told how far its log is on the disk."""
_BREATH = 64
"""Arrivals folded before network and signals get their turn."""


class LiveSettings(Struct, frozen=True):
    """How to run.

    Attributes:
        endpoint: where the feed is.
        data: folder of the session: its recording `<scenario>`, its socket, a KILL file.
        seconds: stop after so many; None: when told.
        hot: leave the segments unsealed at the end.
        keep_hours: drop older segments; None: keep all.
        segment_bytes, segment_age_ns: as of the log.
        states_every: records between two states that a restart may begin with.
        silence_s: as of the feed client.
    """

    endpoint: Endpoint
    data: Path
    seconds: float | None = None
    hot: bool = False
    keep_hours: int | None = None
    segment_bytes: int = SEGMENT_BYTES
    segment_age_ns: int = SEGMENT_AGE_NS
    states_every: int = STATES_EVERY
    silence_s: float = 30.0


class LiveSummary(Struct, frozen=True):
    """What a session did: log, run, records in all and of this session, decisions by outcome, gaps, lag of decisions.

    `finished` words of an interrupted turn were appended first. `refused` counts what could not become events.
    """

    log_id: str
    run: int
    records: int
    added: int
    finished: int
    decisions: dict[str, int]
    gaps: int
    refused: dict[str, int]


class Status(Struct):
    """What the status line says; `last` the newest decision in words, `lag_ns` age of the newest frame when folded."""

    slot: int = 0
    records: int = 0
    lag_ns: int = 0
    pools: int = 0
    positions: int = 0
    gaps: int = 0
    is_up: bool = False
    is_killed: bool = False
    is_low: bool = False
    last: str = ""


class Live:
    """A session: takes arrivals, seconds, answers and the operator's words; see the module.

    Attributes:
        status: for people.
        decisions: by outcome.
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
        self.status = Status()
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
            self._said, self.engine, lambda: session.durable_seq, session.path.parent, room, session.log_id
        )
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
        found = restart(recording, mine, self.drive.wiring, self.drive.loop, self.outlets.every)
        self.finished = found.finished
        tail = Tail(recording, self.normaliser)
        self.feeding = Feeding(self.normaliser, tail, found.gap)
        wishes = self._wishes() if found.same else {}
        self._begin(self.run, time)
        self.seconds.last = time // SECOND
        if wishes:
            self.take(time, ConfigUpdate(self.engine.name, wishes))
        if self.outlets.wallet is not None or not any(recording.records((WalletBalanceSnapshot,))):
            self._tell_wallet()
        self._take_all(self.feeding.interrupted(time))
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

    def _wishes(self) -> dict[str, str]:
        """What an operator set in the interrupted run: a restart does not forget it."""
        ours, theirs = self.scenario.engine, self.engine.state.params
        moved = {key: getattr(theirs, key) for key in FIELDS if getattr(theirs, key) != getattr(ours, key)}
        return {key: text_of(value) for key, value in moved.items()}

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
        elif kind is ConfigChanged:
            self.operator.changed = event

    def look(self) -> Status:
        """The KILL file, the disk, and what there is to say."""
        self.operator.look()
        status, known, now = self.status, self.drive.wiring.known, self.drive.wiring.now
        status.slot, status.records = now.slot, self.drive.loop.seq
        status.pools, status.positions = len(known.pools.rows), self.engine.state.authority.held()
        status.is_up, status.is_killed = self.feeding.is_up, self.engine.state.kill.active
        status.is_low = self.operator.room.is_low
        return status


def live(
    scenario: Scenario,
    settings: LiveSettings,
    outlets: Make,
    show: Callable[[Status], None] | None = None,
) -> LiveSummary:
    """Run `scenario` on the feed until SIGTERM, SIGINT or `settings.seconds`.

    Args:
        scenario: what decides.
        settings: how.
        outlets: makes the outlets, told how far the log is on the disk.
        show: told the status once a second.

    Raises:
        InputFault: the endpoint, or what the outlets need, cannot be used.
        LogFault: the log cannot be written, or is damaged.
    """
    return asyncio.run(live_until(scenario, settings, outlets, None, show))


async def live_until(
    scenario: Scenario,
    settings: LiveSettings,
    outlets: Make,
    stop: asyncio.Event | None = None,
    show: Callable[[Status], None] | None = None,
) -> LiveSummary:
    """The same inside a running loop, until `stop` is set (None: until a signal)."""
    settings.data.mkdir(parents=True, exist_ok=True)
    folder = folder_of(settings.data, scenario)
    is_new = not is_recording(folder)
    session = _opened(folder, settings, is_new=is_new)
    tending = Beside(folder, settings.keep_hours, settings.states_every)
    is_void = False
    try:
        with session:
            performing = await outlets(lambda: session.durable_seq)
            session_live = Live(scenario, session, performing, Room(settings.data))
            try:
                await _run(session_live, settings, tending, stop, show)
            except Fault:
                is_void = is_new and session_live.drive.wiring.now.slot == 0
                raise
            finally:
                await performing.stop()
    except Fault:
        is_void = is_void or (is_new and session.next_seq == 0)
        raise
    finally:
        await tending.finished()
        if is_void:
            shutil.rmtree(folder)
    if not settings.hot:
        seal(folder)
    return _summary(session_live)


def folder_of(data: Path, scenario: Scenario) -> Path:
    """The recording of a session: by the scenario's name, apart where it is armed."""
    return data / (f"{scenario.name}-{ARMED}" if ARMED in scenario.outlets else scenario.name)


def _summary(live: Live) -> LiveSummary:
    seq = live.drive.loop.seq
    return LiveSummary(
        log_id=live.session.log_id,
        run=live.run,
        records=seq,
        added=seq - live.first_seq,
        finished=live.finished,
        decisions=live.decisions,
        gaps=live.status.gaps,
        refused=live.normaliser.counts,
    )


def _opened(folder: Path, settings: LiveSettings, *, is_new: bool) -> Session:
    if not is_new:
        return Recording.resume(
            folder,
            commit_interval_s=COMMIT_INTERVAL_S,
            segment_bytes=settings.segment_bytes,
            segment_age_ns=settings.segment_age_ns,
        )
    return Recording.create(
        folder,
        blake3(f"ironcrab live {folder.name} {now_ns()}".encode()).hexdigest(length=16),
        origin="live session",
        commit_interval_s=COMMIT_INTERVAL_S,
        segment_bytes=settings.segment_bytes,
        segment_age_ns=settings.segment_age_ns,
    )


async def _run(
    live: Live,
    settings: LiveSettings,
    tending: Beside,
    stop: asyncio.Event | None,
    show: Callable[[Status], None] | None,
) -> None:
    """From the first record of the run to its last one."""
    ended = _until_signal() if stop is None else stop
    control = Control(settings.data / f"{live.session.path.name}{SUFFIX}", live.operator.answer)
    await control.open()
    client: GeyserClient | None = None
    try:
        from_slot = live.open(now_ns())
        live.operator.look()
        live.outlets.start()
        await _resolve(live, ended)
        client = GeyserClient(
            settings.endpoint, wanted_of(()), from_slot=from_slot, silence_s=settings.silence_s
        )
        tasks = [_read(live, client), _tick(live, client), _answers(live), _look(live, tending, show), _sample(live)]
        await _first_of([*tasks, _stopped(ended)], settings.seconds)
    except DiskFault:
        # nothing more can be said: whoever reads the log sees where it ended
        live.is_halted = True
        raise
    finally:
        await control.close()
        if not live.is_halted:
            live.close(now_ns(), STOPPED, {} if client is None else _counts(client))


def _until_signal() -> asyncio.Event:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended


async def _first_of(coroutines: list[Coroutine[Any, Any, None]], seconds: float | None) -> None:
    """Run all until the first one ends or time is up; its fault comes through, the others are ended."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stopped(ended: asyncio.Event) -> None:
    await ended.wait()


async def _resolve(live: Live, ended: asyncio.Event) -> None:
    """Before trading goes on: the ends of what an earlier run asked for, as long as one can still come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RESOLVE_S):
            while live.outlets.open_asks and not ended.is_set():
                live.outlets.arrived.clear()
                live.answered()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await live.outlets.arrived.wait()


async def _read(live: Live, client: GeyserClient) -> None:
    count = 0
    async with contextlib.aclosing(client.arrivals()) as arrivals:
        async for arrival in arrivals:
            live.arrive(arrival)
            count += 1
            # what waits is read without a pause otherwise, and the network and signals would have to wait for it
            if count % _BREATH == 0:
                await asyncio.sleep(0)


async def _tick(live: Live, client: GeyserClient) -> None:
    """At the end of each second: what waits was received in it, so it was not silent."""
    while True:
        await asyncio.sleep((SECOND - now_ns() % SECOND) / SECOND)
        if not len(client.inbox):
            live.silence(now_ns())


async def _answers(live: Live) -> None:
    while True:
        await live.outlets.arrived.wait()
        live.outlets.arrived.clear()
        live.answered()


async def _sample(live: Live) -> None:
    if live.outlets.samples is None:
        await asyncio.Event().wait()
    else:
        await live.outlets.samples(lambda event: live.take(now_ns(), event))


async def _look(live: Live, tending: Beside, show: Callable[[Status], None] | None) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        status = live.look()
        await tending.look(live.session.closed_segments, live.drive.loop.seq)
        if show is not None:
            show(status)


def _counts(client: GeyserClient) -> dict[str, int]:
    coalesced = client.inbox.coalesced
    return {**client.counts, **({"account_coalesced": coalesced} if coalesced else {})}
