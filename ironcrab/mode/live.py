"""Live: the same reducers over a real feed. The source is a feed client, the outlets are paper or the own wallet's.

One asyncio loop: whatever arrives (a frame, an answer, the operator, a silent second) becomes a world record, and its
whole turn is folded before anything else is looked at. The log is group-committed behind it; who sends waits for the
disk, nobody else does. Sealing and states are made by a process beside it.

A log that stands there already goes on: see `restart`. A stop ends it in order; a crash costs an incomplete line.
"""

import asyncio
import contextlib
import gc
import shutil
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from blake3 import blake3
from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.fault import DiskFault, Fault
from ironcrab.log.contents import is_recording
from ironcrab.log.hot import COMMIT_INTERVAL_S
from ironcrab.log.manifest import SEGMENTS
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.log.session import Session
from ironcrab.mode.beside import STATES_EVERY, Beside
from ironcrab.mode.outlets import Outlets
from ironcrab.mode.record import SEGMENT_AGE_NS, wanted_of
from ironcrab.mode.rereading import Rereading
from ironcrab.mode.run import SECOND
from ironcrab.mode.scenario import ARMED, Scenario
from ironcrab.mode.taking import Live, Status
from ironcrab.shell.clock import now_ns
from ironcrab.shell.control import SUFFIX, Control
from ironcrab.shell.disk import Room
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_client import GeyserClient
from ironcrab.shell.geyser_several import Client, client_of
from ironcrab.shell.rpc import Rpc
from ironcrab.shell.tasks import end

SEGMENT_BYTES = 64 << 20
"""A segment is closed before it grows beyond this: a restart reads the open one several times."""
GARBAGE_EVERY = 50_000
"""Objects made between two looks for garbage among the young ones."""
LOOK_S = 1.0
"""Seconds between two looks at the disk, the KILL file and what goes on beside."""
WANT_EVERY = 2
"""Looks from one change of the subscription to the next: providers dislike storms of them."""
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
        more: endpoints beside it; of what they all tell, what comes first is taken.
        rpc_url: node that unknown accounts are read from, beside the hot path; None: they stay unknown until the feed
            tells them. It may hold a token and is never printed.
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
    more: tuple[Endpoint, ...] = ()
    rpc_url: str | None = None


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
    node = None if settings.rpc_url is None else Rpc(settings.rpc_url)
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
                await _run(session_live, settings, node, tending, stop, show)
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
    if is_new and folder.is_dir() and [path.name for path in folder.iterdir()] == [SEGMENTS]:
        # a session was killed while it made its folder: it held no record
        with contextlib.suppress(OSError):
            (folder / SEGMENTS).rmdir()
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
    node: Rpc | None,
    tending: Beside,
    stop: asyncio.Event | None,
    show: Callable[[Status], None] | None,
) -> None:
    """From the first record of the run to its last one."""
    ended = _until_signal() if stop is None else stop
    control = Control(settings.data / f"{live.session.path.name}{SUFFIX}", live.operator.answer)
    await control.open()
    client: Client | None = None
    try:
        from_slot = live.open(now_ns())
        _settle_memory()
        live.operator.look()
        live.outlets.start()
        await _resolve(live, ended)
        client = client_of(
            tuple(
                GeyserClient(endpoint, wanted_of(()), from_slot=from_slot, silence_s=settings.silence_s)
                for endpoint in (settings.endpoint, *settings.more)
            )
        )
        tasks = [
            _read(live, client),
            _tick(live, client),
            _answers(live),
            _look(live, client, tending, show),
            _sample(live),
            _reread(live, node),
        ]
        await _first_of([*tasks, _stopped(ended)], settings.seconds)
    except DiskFault:
        # nothing more can be said: whoever reads the log sees where it ended
        live.is_halted = True
        raise
    finally:
        await control.close()
        if not live.is_halted:
            live.close(now_ns(), STOPPED, {} if client is None else _counts(client))


def _settle_memory() -> None:
    """What a session begins with lives as long as it does: looking through it for garbage would only make pauses."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY)


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
        await end(tasks)


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


async def _read(live: Live, client: Client) -> None:
    count = 0
    async with contextlib.aclosing(client.arrivals()) as arrivals:
        async for arrival in arrivals:
            live.arrive(arrival)
            count += 1
            # what waits is read without a pause otherwise, and the network and signals would have to wait for it
            if count % _BREATH == 0:
                await asyncio.sleep(0)


async def _tick(live: Live, client: Client) -> None:
    """At the end of each second: what waits was received in it, so it was not silent."""
    while True:
        await asyncio.sleep((SECOND - now_ns() % SECOND) / SECOND)
        if not client.backlog:
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


async def _reread(live: Live, node: Rpc | None) -> None:
    if node is None:
        await asyncio.Event().wait()
        return
    async with node as rpc:
        rereading = Rereading(
            rpc,
            live.following,
            live.drive.wiring.known.pools,
            lambda event: live.take(now_ns(), event),
            lambda: live.feeding.is_up,
        )
        live.requested = rereading.ask
        await rereading.run()


async def _look(live: Live, client: Client, tending: Beside, show: Callable[[Status], None] | None) -> None:
    looks = 0
    while True:
        await asyncio.sleep(LOOK_S)
        looks += 1
        status = live.look()
        if looks % WANT_EVERY == 0:
            client.want(replace(client.wanted, accounts=live.following.keys))
        await tending.look(live.session.closed_segments, live.drive.loop.seq)
        if show is not None:
            show(status)


def _counts(client: Client) -> dict[str, int]:
    return {**client.counts, **({"account_coalesced": client.coalesced} if client.coalesced else {})}
