"""The recorder of a set of nodes: the stream's messages become the segments of a recording, which is the log of record.

It makes the stream, follows it from where the recording ends, and tells how far the log is on the disk: senders wait
for that. A stream that was lost, or has lost its end, is given up: a new log begins from a start state.
"""

import asyncio
import contextlib
from pathlib import Path

import msgspec
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.control import RunStarted
from ironcrab.domain.fault import DamageFault, InputFault, LogFault
from ironcrab.log import snapshot
from ironcrab.log.audit import CONFIG
from ironcrab.log.contents import is_recording
from ironcrab.log.hot import COMMIT_INTERVAL_S
from ironcrab.log.manifest import Start
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.log.session import Session
from ironcrab.log.snapshot import Snapshot
from ironcrab.mode.beside import STATES_EVERY, Beside
from ironcrab.mode.live import SEGMENT_BYTES
from ironcrab.mode.node import DRAIN_S, RECORDER, attend, first_of, tell
from ironcrab.mode.record import SEGMENT_AGE_NS
from ironcrab.mode.restart import nearest
from ironcrab.mode.states import NOW, RUN, encode_states, made_by, restore_states, start_of
from ironcrab.mode.verify import Follower, runs_within
from ironcrab.shell.bus import Bus, LogStream, States
from ironcrab.shell.bus_login import Login
from ironcrab.shell.bus_message import BusFault, record_of
from ironcrab.shell.clock import now_ns, steady_ns

PLACE = "stream.json"
"""File of the recording's config: the constant between stream seqs and seqs. The manifest holds its hash."""
TELL_S = 1.0
"""Seconds between two words about the watermark where nothing moves."""
MARGIN = 4_096
"""As of `leave_states`."""
KEPT_MESSAGES = 250_000
LOOK_BACK = 4_096
"""Records looked back for the highest time."""


class Place(Struct, frozen=True):
    """Where a recording stands in its stream: log seq = stream seq + offset."""

    offset: int


class RecorderSettings(Struct, frozen=True):
    """How to record.

    Attributes:
        data: folder of the recordings.
        name: of the recording; a log that follows a lost one gets `-2`, `-3` and so on behind it.
        segment_bytes, segment_age_ns: as of the log.
        hot: leave the segments unsealed at the end.
        keep_hours: older segments go; None: none.
        states_every: records between two states that a node may begin with.
        kept_messages: messages before the newest states that stay in the stream.
    """

    data: Path
    name: str
    segment_bytes: int = SEGMENT_BYTES
    segment_age_ns: int = SEGMENT_AGE_NS
    hot: bool = False
    keep_hours: int | None = None
    states_every: int = STATES_EVERY
    kept_messages: int = KEPT_MESSAGES


class BusRecorder:
    """See the module.

    Attributes:
        session: the recording, open for writing, once the stream is known.

    Args:
        settings: see RecorderSettings.
    """

    def __init__(self, settings: RecorderSettings) -> None:
        self.settings = settings
        self.session: Session | None = None
        self.offset = -1
        self.now = 0
        self.runs: dict[int, int] = {}
        self.beside: Beside | None = None
        self.bus: Bus | None = None

    async def run(self, login: Login, stop: asyncio.Event) -> None:
        """Record until `stop` is set. LogFault where the stream and the recording do not fit, or the disk refuses."""
        self.settings.data.mkdir(parents=True, exist_ok=True)
        try:
            await first_of([attend(RECORDER, login, self.connection), self._until(stop)])
        finally:
            if self.session is not None:
                self.session.close()
                await self._beside_ended()
                tell(f"{RECORDER}: {self.session.path} closed at record {self.session.next_seq - 1}")
        if self.session is not None and not self.settings.hot:
            seal(self.session.path)

    async def connection(self, bus: Bus) -> None:
        """Record as long as the connection lives. BusFault when it is lost."""
        found = await self._fitting(bus)
        session = self.session
        assert session is not None
        self.bus = bus
        tell(f"{RECORDER}: writes {session.path} from record {session.next_seq} on (stream up to {found.last})")
        await first_of([self._follow(bus, session), self._tell(bus, session), self._tend(bus, session), bus.lost()])

    async def _until(self, stop: asyncio.Event) -> None:
        """Wait for the stop, then for what the stream holds by then, as long as the bus gives it."""
        await stop.wait()
        with contextlib.suppress(TimeoutError, BusFault):
            async with asyncio.timeout(DRAIN_S):
                found = None if self.bus is None else await self.bus.find()
                while found is not None and self.session is not None:
                    if self.session.next_seq > found.last + found.offset:
                        return
                    await asyncio.sleep(COMMIT_INTERVAL_S)

    # where the two stand

    async def _fitting(self, bus: Bus) -> LogStream:
        """The stream and the recording, made or opened so that one goes on with the other."""
        found = await bus.find()
        folder = self.newest()
        if self.session is None and is_recording(folder):
            self._resume(folder)
        session = self.session
        if session is None:
            log_id = blake3(f"ironcrab nodes {folder.name} {now_ns()}".encode()).hexdigest(length=16)
            self._create(folder, log_id if found is None else found.log_id, found)
            session = self.session
            assert session is not None
        is_blank = session.next_seq == self.offset + 1
        if is_blank and (found is None or (found.log_id != session.log_id and self.offset != -1)):
            return await self._make(bus)
        if found is not None and found.log_id != session.log_id:
            raise LogFault(
                f"the bus holds log {found.log_id}, {session.path} is log {session.log_id}; give another --data"
            )
        if found is None or found.last + found.offset < session.next_seq - 1:
            return await self._anew(bus)
        if found.first + found.offset > session.next_seq:
            raise LogFault(
                f"{session.path} ends before record {session.next_seq}, the stream begins with "
                f"{found.first + found.offset}: what lies between is lost; start with another --data"
            )
        return found

    def newest(self) -> Path:
        """The folder of the newest log of this name."""
        data, name = self.settings.data, self.settings.name
        number = 1
        while is_recording(data / f"{name}-{number + 1}"):
            number += 1
        return data / name if number == 1 else data / f"{name}-{number}"

    def _resume(self, folder: Path) -> None:
        place = folder / CONFIG / PLACE
        if not place.is_file():
            raise LogFault(f"{folder} was not recorded from a bus; give another --data")
        self.offset = msgspec.json.decode(place.read_bytes(), type=Place).offset
        self.session = Recording.resume(
            folder,
            commit_interval_s=COMMIT_INTERVAL_S,
            segment_bytes=self.settings.segment_bytes,
            segment_age_ns=self.settings.segment_age_ns,
        )
        recording = Recording.open(folder)
        begin = max(recording.first_seq, recording.next_seq - LOOK_BACK)
        self.now = max((record.time for record in recording.loose(begin)), default=0)
        self.runs = {seq: event.run for seq, event in runs_within(recording)}
        if not self.now and recording.manifest.start is not None:
            opening = start_of(recording)
            assert opening is not None
            self.now = msgspec.json.decode(opening[0].states[NOW], type=tuple[int, int])[0]

    def _create(self, folder: Path, log_id: str, found: LogStream | None) -> None:
        if found is not None and (found.first > 1 or found.offset != -1):
            raise LogFault(
                f"the bus holds log {found.log_id} from record {found.first + found.offset} on, and {folder} is not "
                f"there; put its recording back, or remove the stream"
            )
        self._create_from(folder, log_id, None, None)

    def _create_from(self, folder: Path, log_id: str, states: Snapshot | None, start: Start | None) -> None:
        self.session = Recording.create(
            folder,
            log_id,
            first_seq=0 if states is None else states.seq,
            head=None if states is None else states.head,
            start=start,
            origin="nodes over a bus",
            config={PLACE: msgspec.json.encode(Place(self.offset))},
            commit_interval_s=COMMIT_INTERVAL_S,
            segment_bytes=self.settings.segment_bytes,
            segment_age_ns=self.settings.segment_age_ns,
        )

    async def _anew(self, bus: Bus) -> LogStream:
        """The stream, or its end, is lost: a new log begins where the recording ends."""
        old = self.session
        assert old is not None
        tell(f"{RECORDER}: the stream of log {old.log_id} is lost behind record {old.next_seq - 1}; a new log begins")
        old.close()
        await self._beside_ended()
        states, start = await asyncio.to_thread(states_at_end, Recording.open(old.path))
        folder = old.path.with_name(f"{self.settings.name}-{self._number(old.path) + 1}")
        log_id = blake3(f"ironcrab nodes {folder.name} {now_ns()}".encode()).hexdigest(length=16)
        self.now = msgspec.json.decode(states.states[NOW], type=tuple[int, int])[0]
        self.offset, self.runs = states.seq - 1, {states.seq - 1: start.run}
        kept = snapshot.save_start(folder, states, old.log_id)
        self._create_from(folder, log_id, states, kept)
        return await self._make(bus)

    async def _make(self, bus: Bus) -> LogStream:
        """Make the stream of a log without records; first the states that it begins with, where there are some."""
        session = self.session
        assert session is not None
        opening = start_of(Recording.open(session.path))
        if opening is not None:
            states, started = opening
            await bus.unmake()
            await bus.leave_states(
                States(session.log_id, states.seq, started.run, begins=True, data=snapshot.encode(states))
            )
        return await bus.make(session.log_id, self.offset)

    def _number(self, folder: Path) -> int:
        return 1 if folder.name == self.settings.name else int(folder.name.rpartition("-")[2])

    # recording

    async def _follow(self, bus: Bus, session: Session) -> None:
        async for messages in bus.follow(session.next_seq - self.offset):
            for message in messages:
                record = record_of(message, self.offset, self.now)
                self.now = max(self.now, record.time)
                session.append(record)
                if isinstance(record.event, RunStarted):
                    self.runs[record.seq] = record.event.run
            await asyncio.sleep(0)

    async def _tell(self, bus: Bus, session: Session) -> None:
        told, when = -1, 0
        while True:
            durable = session.durable_seq
            if durable != told or steady_ns() - when > TELL_S * 1e9:
                told, when = durable, steady_ns()
                await bus.tell_durable(session.log_id, durable)
            await asyncio.sleep(COMMIT_INTERVAL_S)

    # beside

    async def _tend(self, bus: Bus, session: Session) -> None:
        """Sealing and states beside; new states go to the bus, what lies far before them leaves it."""
        if self.beside is None:
            settings = self.settings
            self.beside = Beside(session.path, settings.keep_hours, settings.states_every, MARGIN)
        left, seen = -1, None
        while True:
            await asyncio.sleep(TELL_S)
            await self.beside.look(session.closed_segments, session.next_seq)
            newest = next(reversed(snapshot.files(session.path)), None)
            if newest is None or newest == seen:
                continue
            seen = newest
            kept = await asyncio.to_thread(_loaded, newest)
            if kept is None or kept.seq <= left:
                continue
            run = max((seq, run) for seq, run in self.runs.items() if seq < kept.seq)[1]
            await bus.leave_states(States(session.log_id, kept.seq, run, begins=False, data=snapshot.encode(kept)))
            left = kept.seq
            await bus.trim(max(1, kept.seq - self.offset - self.settings.kept_messages))

    async def _beside_ended(self) -> None:
        if self.beside is not None:
            await self.beside.finished()
            self.beside = None


def _loaded(path: Path) -> Snapshot | None:
    """A snapshot; None where it went in the meantime, or is no use."""
    try:
        return snapshot.load(path)
    except (OSError, DamageFault):
        return None


def states_at_end(recording: Recording) -> tuple[Snapshot, RunStarted]:
    """The states of all reducers behind the last record, as a start state, and the run that they belong to.

    Raises:
        InputFault: no run opens in it.
    """
    runs, opening = runs_within(recording), start_of(recording)
    if not runs:
        raise InputFault(f"{recording.path}: no run opened in it; remove it and start the nodes anew")
    seq, started = runs[-1]
    follower = Follower(started, seq)
    states = nearest(recording, runs, started)
    if states is None and opening is not None:
        states = opening[0]
    if states is not None:
        restore_states(follower.wiring.reducers, follower.wiring.now, states.states)
    for record in recording.records(seq_from=recording.first_seq if states is None else states.seq):
        follower.said(record)
    encoded = encode_states(follower.wiring.reducers, follower.wiring.now)
    encoded[RUN] = msgspec.json.encode(started)
    return Snapshot(recording.next_seq, recording.head, encoded, made_by(started)), started
