"""Record: write a feed into a log, run no strategy. This is how a user makes recordings to test against.

The feed's frames become events as they arrive, are appended at once and group-committed; segments rotate and a process
of its own seals those that are closed. A stop ends the log in order; a crash costs an incomplete line at most. The next
`record` of the same name goes on where the log ended.
"""

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3
from msgspec import Struct
from msgspec.structs import replace

from ironcrab import __version__
from ironcrab.dex import VENUES
from ironcrab.domain.control import GapClosed, GapOpened, InputCounted, LogRecovered, ReducerInfo, RunEnded, RunStarted
from ironcrab.domain.event import Event
from ironcrab.ingest.normalise import Normaliser
from ironcrab.log.contents import is_recording
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.log.session import Session
from ironcrab.loop import Loop, Now
from ironcrab.mode.code import path_of, source_digest
from ironcrab.mode.following import MOST_TRACKED, Following
from ironcrab.mode.resuming import Tail
from ironcrab.shell.clock import now_ns, steady_ns
from ironcrab.shell.endpoint import Endpoint, Wanted
from ironcrab.shell.geyser_client import GeyserClient
from ironcrab.shell.geyser_several import Client, client_of
from ironcrab.shell.inbox import Arrival, Connected, Lost
from ironcrab.shell.raw import RawFrames

SEGMENT_BYTES = 128 << 20
"""A segment is closed before it grows beyond this."""
SEGMENT_AGE_NS = 300 * 10**9
"""... or once its first record is so old."""
COMMIT_S = 0.005
"""Group commit, seconds."""
STATUS_S = 1.0
"""Seconds between two looks at what happened."""
TRACKED_S = 2.0
"""Seconds between two changes of the subscription: providers dislike storms of them."""
STOPPED = "the recorder was stopped"
KILLED = "the recorder ended without a word"
_BREATH = 64
_REPEATED = ("transaction_repeated", "account_repeated", "block_meta_repeated", "slot_status_repeated")


class RecordSettings(Struct, frozen=True):
    """How to record.

    Attributes:
        endpoint: where the feed is.
        raw: keep the frames beside.
        pools: only these pools and what quoting them needs; (): all six programs.
        seconds: stop after so many; None: when told.
        hot: leave closed segments unsealed.
        segment_bytes: as of the log.
        segment_age_ns: as of the log.
        silence_s: as of the client.
        most_tracked: accounts beside those of the six programs (vaults, mints, configs of pools that were found)
            that are subscribed to at most; 0: none.
        more: endpoints beside it; of what they all tell, what comes first is taken.
    """

    endpoint: Endpoint
    raw: bool = False
    pools: tuple[str, ...] = ()
    seconds: float | None = None
    hot: bool = False
    segment_bytes: int = SEGMENT_BYTES
    segment_age_ns: int = SEGMENT_AGE_NS
    silence_s: float = 30.0
    most_tracked: int = MOST_TRACKED
    more: tuple[Endpoint, ...] = ()


class RecordSummary(Struct, frozen=True):
    """What was recorded: log, records in all and of this session, gaps, and what could not become events."""

    log_id: str
    records: int
    added: int
    gaps: int
    refused: dict[str, int]


class Status(Struct):
    """What the status line says: highest slot, records so far, open and all gaps, age of the newest frame (ns).

    `first`: records before this session.
    """

    slot: int = 0
    records: int = 0
    gaps: int = 0
    open_gap: bool = False
    lag_ns: int = 0
    is_up: bool = False
    first: int = 0


class Recorder:
    """Turns arrivals of a feed into records of one session.

    Attributes:
        status: for people.
        client: tells of wants and counts; set by who runs it.

    Args:
        session: open for writing.
        normaliser: its tree, restored where a log is resumed.
        tail: of the log that is resumed; None: a new one.
        raw: keeps frames; None: nobody.
        pools: follow these alone; (): all.
        most_tracked: cap of the tracked set; 0: nothing is followed.
    """

    def __init__(
        self,
        session: Session,
        normaliser: Normaliser,
        tail: Tail | None,
        raw: RawFrames | None,
        *,
        pools: tuple[str, ...] = (),
        most_tracked: int = 0,
    ) -> None:
        self.session = session
        self.normaliser = normaliser
        self.tail = tail
        self.raw = raw
        self.status = Status(records=session.next_seq, first=session.next_seq)
        now = Now()
        now.time = normaliser.time
        self.loop = Loop((), session.append, now, session.next_seq)
        self.first_seq = session.next_seq
        self._gap_seq = None if tail is None else tail.gap
        self.is_open = False
        self.following = Following(pools, most_tracked)
        self.run = 0 if tail is None else tail.run
        # made here, for reading the source takes longer than a frame may wait
        made = ReducerInfo("record", path_of(Normaliser), source_digest(Normaliser))
        self.started = RunStarted(self.run, "record", __version__, "market-data", (made,), (), ())

    def open(self, time: int) -> None:
        """Begin the run; close what an interrupted one left open."""
        self.is_open = True
        self.loop.take(self.started, time)
        recovered = self.session.recovered
        if recovered is not None and recovered.lost_bytes:
            self.loop.take(LogRecovered(recovered.lost_bytes, recovered.kept_in), time)
        if self.tail is not None:
            self._take(self.normaliser.resumed(time, KILLED, was_up=self.tail.is_open))

    def take(self, arrival: Arrival) -> None:
        """Append what one arrival says; the first one opens the run. DiskFault."""
        time, what = arrival
        if not self.is_open:
            self.open(time)
        if isinstance(what, Connected):
            self.status.is_up = True
            self._take(self.normaliser.connected(time, what.from_slot, what.to_slot))
        elif isinstance(what, Lost):
            self.status.is_up = False
            self._take(self.normaliser.disconnected(time, what.reason))
        elif self.raw is None:
            self._take(self.normaliser.feed(what, time))
        else:
            seq, repeats = self.loop.seq, self._repeats()
            said = self.normaliser.feed(what, time)
            is_new = any(not isinstance(event, GapOpened | GapClosed) for _, event in said)
            if is_new or self._repeats() == repeats:
                self.raw.append(what, seq)
            self._take(said)

    def close(self, time: int, reason: str, counts: dict[str, int]) -> None:
        """End the run, if it was opened; the gap that opens here is closed by the run that goes on."""
        if not self.is_open:
            return
        if self.status.is_up:
            self._take(self.normaliser.disconnected(time, reason))
        self.loop.take(InputCounted("", {**self.normaliser.counts, **counts}), time)
        self.loop.take(RunEnded(self.run, reason), time)

    def _repeats(self) -> int:
        counts = self.normaliser.counts
        return sum(counts.get(reason, 0) for reason in _REPEATED)

    def _take(self, said: list[tuple[int, Event]]) -> None:
        for time, event in said:
            if self.tail is not None and self.tail.holds(event):
                continue
            self._append(event, time)

    def _append(self, event: Event, time: int) -> None:
        if isinstance(event, GapClosed):
            event = replace(event, opened=self._gap_seq)
            self.status.open_gap = False
        record = self.loop.take(event, time)
        if isinstance(event, GapOpened):
            self._gap_seq = record.seq
            self.status.gaps += 1
            self.status.open_gap = True
        self.following.see(event)
        self.status.slot = max(self.status.slot, getattr(event, "slot", None) or 0)
        self.status.records = record.seq + 1


def record(folder: Path, settings: RecordSettings, show: Callable[[Status], None] | None = None) -> RecordSummary:
    """Record the feed at `settings.endpoint` into `folder`, which goes on if it is a recording already.

    Raises:
        InputFault: the endpoint cannot be used.
        LogFault: the folder cannot be written, or is damaged.
    """
    return asyncio.run(record_until(folder, settings, None, show))


async def record_until(
    folder: Path,
    settings: RecordSettings,
    stop: asyncio.Event | None = None,
    show: Callable[[Status], None] | None = None,
) -> RecordSummary:
    """The same inside a running loop, until `stop` is set (None: until SIGTERM or SIGINT)."""
    session, normaliser, tail = _opened(folder, settings)
    raw = RawFrames(folder) if settings.raw else None
    recorder = Recorder(session, normaliser, tail, raw, pools=settings.pools, most_tracked=settings.most_tracked)
    from_slot = None if tail is None else tail.from_slot
    client = client_of(
        tuple(
            GeyserClient(endpoint, wanted_of(settings.pools), from_slot=from_slot, silence_s=settings.silence_s)
            for endpoint in (settings.endpoint, *settings.more)
        )
    )
    beside = None if settings.hot else Sealing(folder)
    try:
        await _run(recorder, client, settings, stop, show, beside)
    finally:
        with session:
            recorder.close(now_ns(), STOPPED, _counts(client))
        if raw is not None:
            raw.close()
        if beside is not None:
            await beside.finished()
        is_void = tail is None and not recorder.is_open
        if is_void:
            # nothing ever came: a recording that never was is not left behind
            shutil.rmtree(folder)
    if not settings.hot and not is_void:
        seal(folder)
    added = recorder.loop.seq - recorder.first_seq
    return RecordSummary(
        session.log_id, recorder.loop.seq, added, recorder.status.gaps, {**normaliser.counts, **_counts(client)}
    )


def wanted_of(pools: tuple[str, ...]) -> Wanted:
    """The subscription that reducers need: the six programs' transactions and accounts, or those of some pools."""
    programs = tuple(program for venue in VENUES for program in venue.programs)
    return Wanted(programs=programs, owners=() if pools else programs, accounts=pools)


def _opened(folder: Path, settings: RecordSettings) -> tuple[Session, Normaliser, Tail | None]:
    normaliser = Normaliser()
    if not is_recording(folder):
        log_id = blake3(f"ironcrab record {folder.name} {now_ns()}".encode()).hexdigest(length=16)
        session = Recording.create(
            folder,
            log_id,
            origin="record of a feed",
            commit_interval_s=COMMIT_S,
            segment_bytes=settings.segment_bytes,
            segment_age_ns=settings.segment_age_ns,
        )
        return session, normaliser, None
    session = Recording.resume(
        folder,
        commit_interval_s=COMMIT_S,
        segment_bytes=settings.segment_bytes,
        segment_age_ns=settings.segment_age_ns,
    )
    try:
        return session, normaliser, Tail(Recording.open(folder), normaliser)
    except BaseException:
        session.close()
        raise


async def _run(
    recorder: Recorder,
    client: Client,
    settings: RecordSettings,
    stop: asyncio.Event | None,
    show: Callable[[Status], None] | None,
    beside: "Sealing | None",
) -> None:
    """Read the feed until it is to stop; a fault of the feed or of the disk comes through."""
    ended = asyncio.Event() if stop is None else stop
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    reading = asyncio.create_task(_read(recorder, client))
    watching = asyncio.create_task(_watch(recorder, client, show, beside))
    waiting = asyncio.create_task(ended.wait())
    try:
        done, _ = await asyncio.wait(
            (reading, watching, waiting), timeout=settings.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
    finally:
        for task in (reading, watching, waiting):
            task.cancel()
        await asyncio.gather(reading, watching, waiting, return_exceptions=True)


async def _read(recorder: Recorder, client: Client) -> None:
    count = 0
    async with contextlib.aclosing(client.arrivals()) as arrivals:
        async for arrival in arrivals:
            recorder.take(arrival)
            recorder.status.lag_ns = now_ns() - arrival[0]
            count += 1
            # what waits is read without a pause otherwise, and the network and signals would have to wait for it
            if count % _BREATH == 0:
                await asyncio.sleep(0)


async def _watch(
    recorder: Recorder, client: Client, show: Callable[[Status], None] | None, beside: "Sealing | None"
) -> None:
    asked = steady_ns()
    while True:
        await asyncio.sleep(STATUS_S)
        if recorder.following.tracked.cap and steady_ns() - asked >= TRACKED_S * 1e9:
            asked = steady_ns()
            client.want(replace(client.wanted, accounts=recorder.following.keys))
        if recorder.raw is not None:
            recorder.raw.flush()
        if beside is not None:
            await beside.look(recorder.session.closed_segments)
        if show is not None:
            show(recorder.status)


def _counts(client: Client) -> dict[str, int]:
    return {**client.counts, **({"account_coalesced": client.coalesced} if client.coalesced else {})}


class Sealing:
    """Seals closed segments in a process of its own, one at a time, with the lowest priority.

    Args:
        folder: the recording.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen = 0
        self._process: asyncio.subprocess.Process | None = None

    async def look(self, closed: int) -> None:
        """Start a process where segments were closed since the last look and none is at work."""
        if self._process is not None and self._process.returncode is None:
            return
        if closed > self._seen:
            self._seen = closed
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "import os, sys; os.nice(10); from ironcrab.log.sealed import seal; seal(sys.argv[1])",
                str(self.folder),
                start_new_session=True,
            )

    async def finished(self) -> None:
        """Wait for the process that is at work."""
        if self._process is not None:
            await self._process.wait()
