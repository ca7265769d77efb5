"""The recorder of a set of nodes: the stream's messages become the segments of a recording, which is the log of record.

It makes the stream, follows it from where the recording ends, and tells how far the log is on the disk: senders wait
for that. A stream that was lost, or has lost its end, is given up: a new log begins from a start state.
"""

import asyncio
from pathlib import Path

import msgspec
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.fault import LogFault
from ironcrab.log.audit import CONFIG
from ironcrab.log.contents import is_recording
from ironcrab.log.hot import COMMIT_INTERVAL_S
from ironcrab.log.recording import Recording
from ironcrab.log.session import Session
from ironcrab.mode.live import SEGMENT_BYTES
from ironcrab.mode.node import RECORDER, attend, first_of, tell
from ironcrab.mode.record import SEGMENT_AGE_NS
from ironcrab.shell.bus import Bus, Login, LogStream, record_of
from ironcrab.shell.clock import now_ns, steady_ns

PLACE = "stream.json"
"""File of the recording's config: the constant between stream seqs and seqs. The manifest holds its hash."""
TELL_S = 1.0
"""Seconds between two words about the watermark where nothing moves."""
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
    """

    data: Path
    name: str
    segment_bytes: int = SEGMENT_BYTES
    segment_age_ns: int = SEGMENT_AGE_NS


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

    async def run(self, login: Login, stop: asyncio.Event) -> None:
        """Record until `stop` is set. LogFault where the stream and the recording do not fit, or the disk refuses."""
        self.settings.data.mkdir(parents=True, exist_ok=True)
        try:
            await first_of([attend(RECORDER, login, self.connection), _stopped(stop)])
        finally:
            if self.session is not None:
                self.session.close()
                tell(f"{RECORDER}: {self.session.path} closed at record {self.session.next_seq - 1}")

    async def connection(self, bus: Bus) -> None:
        """Record as long as the connection lives. BusFault when it is lost."""
        found = await self._fitting(bus)
        session = self.session
        assert session is not None
        tell(f"{RECORDER}: writes {session.path} from record {session.next_seq} on (stream up to {found.last})")
        await first_of([self._follow(bus, session), self._tell(bus, session), bus.lost()])

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
        if found is None and session.next_seq == self.offset + 1:
            return await bus.make(session.log_id, self.offset)
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

    def _create(self, folder: Path, log_id: str, found: LogStream | None) -> None:
        if found is not None and (found.first > 1 or found.offset != -1):
            raise LogFault(
                f"the bus holds log {found.log_id} from record {found.first + found.offset} on, and {folder} is not "
                f"there; put its recording back, or remove the stream"
            )
        self.session = Recording.create(
            folder,
            log_id,
            origin="nodes over a bus",
            config={PLACE: msgspec.json.encode(Place(self.offset))},
            commit_interval_s=COMMIT_INTERVAL_S,
            segment_bytes=self.settings.segment_bytes,
            segment_age_ns=self.settings.segment_age_ns,
        )

    async def _anew(self, bus: Bus) -> LogStream:
        raise LogFault("the stream is lost")

    # recording

    async def _follow(self, bus: Bus, session: Session) -> None:
        async for messages in bus.follow(session.next_seq - self.offset):
            for message in messages:
                record = record_of(message, self.offset, self.now)
                self.now = max(self.now, record.time)
                session.append(record)
            await asyncio.sleep(0)

    async def _tell(self, bus: Bus, session: Session) -> None:
        told, when = -1, 0
        while True:
            durable = session.durable_seq
            if durable != told or steady_ns() - when > TELL_S * 1e9:
                told, when = durable, steady_ns()
                await bus.tell_durable(session.log_id, durable)
            await asyncio.sleep(COMMIT_INTERVAL_S)


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()
