"""A recording: one folder that replays anywhere.

    manifest.json    what it holds, with hashes down to row groups
    segments/        seg-<first seq>.jsonl while hot, seg-<first seq>/<event type>.parquet once sealed
    snapshots/       caches of reducer states, free to drop
    config/          the scenario as it was
    start-<seq>.zst  the start state of a cut or shortened recording

A reader opens it at any time, also while it is written: it sees whole lines only.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Self

from blake3 import blake3
from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.fault import DamageFault, LogFault
from ironcrab.log import hot, manifest, sealed, walk
from ironcrab.log.anchor import SUFFIX, segment_name
from ironcrab.log.audit import CONFIG, Audit, audit
from ironcrab.log.hot import Closed, HotWriter, Recovered
from ironcrab.log.line import LooseRecord, decode_loose, genesis
from ironcrab.log.manifest import SEGMENTS, HotFile, Manifest, Segment, Start, hash_file
from ironcrab.loop import Record


class Part(Struct, frozen=True):
    """A segment as it is to be read: sealed or hot.

    Attributes:
        first_seq: of its first record.
        end_seq: after its last record; None while only the file knows.
        entry: of the manifest; None for a hot segment that is still written or was never closed cleanly.
        path: the hot file, or the folder of the sealed files.
    """

    first_seq: int
    end_seq: int | None
    entry: Segment | None
    path: Path


class Recording:
    """A folder of records, opened for reading.

    Attributes:
        path: the folder.
        manifest: as it stood when opened.
        parts: segments in order, without those that retention dropped.
    """

    def __init__(self, path: Path, listed: Manifest) -> None:
        self.path = path
        self.manifest = listed
        self.parts = find_parts(path, listed)
        self._end: walk.Hot | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a recording for reading.

        Raises:
            LogFault: no recording there.
            DamageFault: the manifest was changed, or a segment is missing.
            SchemaFault: a newer format.
        """
        folder = Path(path)
        return cls(folder, manifest.load(folder))

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def log_id(self) -> str:
        """Identity of the log."""
        return self.manifest.log_id

    @property
    def first_seq(self) -> int:
        """Seq of the first record that can still be read."""
        return self.parts[0].first_seq if self.parts else self.manifest.next_seq

    @property
    def next_seq(self) -> int:
        """Seq after the last complete record."""
        end = self._hot_end()
        return self.manifest.next_seq if end is None else end.next_seq

    @property
    def head(self) -> bytes:
        """The 32-byte head after the last complete record."""
        end = self._hot_end()
        return self.manifest.head if end is None else end.head

    def records(
        self, types: tuple[type[Struct], ...] | None = None, seq_from: int = 0, seq_to: int | None = None
    ) -> Iterator[Record]:
        """The records `seq_from` <= seq < `seq_to` in order, of the given event types only.

        Raises:
            DamageFault: recorded bytes are not what was written, or records are missing.
            SchemaFault: an event type unknown to this code.
        """
        return chain.from_iterable(self._parts_records(types, seq_from, seq_to))

    def _parts_records(
        self, types: tuple[type[Struct], ...] | None, seq_from: int, seq_to: int | None
    ) -> Iterator[Iterator[Record]]:
        for part in self.parts:
            if seq_to is not None and part.first_seq >= seq_to:
                return
            if part.end_seq is None or part.end_seq > seq_from:
                yield _part_records(part, types, seq_from, seq_to)

    def loose(self, seq_from: int = 0, seq_to: int | None = None) -> Iterator[LooseRecord]:
        """The records `seq_from` <= seq < `seq_to` in order without knowing their types: for readers that go on.

        Raises:
            DamageFault: recorded bytes are not what was written.
        """
        for part in self.parts:
            if (seq_to is not None and part.first_seq >= seq_to) or (part.end_seq or part.first_seq + 1) <= seq_from:
                continue
            if part.entry is not None and part.entry.files:
                yield from sealed.read_loose(part.path, part.entry, seq_from, seq_to)
            else:
                yield from (decode_loose(raw.line) for raw in walk.raw_lines(part.path, seq_from, seq_to))

    def verify_bytes(self, *, deep: bool = False) -> Audit:
        """Hold every byte of the folder against its hash; see audit. Never raises for damage: it lists it.

        Args:
            deep: also encode sealed records again and compare the chain.
        """
        loose = [part.path for part in self.parts if part.entry is None]
        return audit(self.path, self.manifest, loose, deep=deep)

    def record(self, seq: int) -> Record:
        """The record `seq`; LogFault where the recording holds none of that seq, DamageFault, SchemaFault."""
        found = next(self.records(None, seq, seq + 1), None)
        if found is None or found.seq != seq:
            last = self.next_seq - 1
            raise LogFault(f"{self.path} holds no record {seq}; it holds {self.first_seq} to {last}")
        return found

    def _hot_end(self) -> walk.Hot | None:
        """The walk through the last segment where the manifest does not list it."""
        if not self.parts or self.parts[-1].entry is not None:
            return None
        if self._end is None:
            self._end = walk.walk(self.parts[-1].path)
        return self._end

    @staticmethod
    def create(
        path: str | os.PathLike[str],
        log_id: str,
        *,
        first_seq: int = 0,
        head: bytes | None = None,
        origin: str = "",
        config: Mapping[str, bytes] = {},
        golden: bool = False,
        start: Start | None = None,
        commit_interval_s: float | None = None,
        segment_bytes: int = hot.SEGMENT_BYTES,
        segment_age_ns: int | None = None,
    ) -> "Session":
        """Make the folder of a new recording and open it for writing.

        Args:
            path: a folder that does not exist yet or is empty.
            log_id: identity of the log.
            first_seq: seq of the first record; with `head` and `start` for a slice.
            head: 32-byte head before it; None: that of a log which starts anew.
            origin: what it is made from, in words, without paths or wall time.
            config: file name -> bytes, kept in `config/`.
            golden: the tests guard it.
            start: the start state (its file is put beside the manifest by the caller).
            commit_interval_s: as of HotWriter; None, for output of run and backtest, syncs nothing.
            segment_bytes: as of HotWriter.
            segment_age_ns: as of HotWriter.

        Raises:
            LogFault: the folder holds something already.
        """
        folder = Path(path)
        if folder.exists() and (
            not folder.is_dir() or any(child.name != (start and start.file) for child in folder.iterdir())
        ):
            raise LogFault(f"{folder} exists and is not empty; name a new folder for the recording")
        (folder / SEGMENTS).mkdir(parents=True)
        digests = {}
        for name, data in config.items():
            (folder / CONFIG).mkdir(exist_ok=True)
            manifest.put(folder / CONFIG / name, data)
            digests[name] = blake3(data).hexdigest()
        blank = manifest.blank(log_id, first_seq, genesis(log_id) if head is None else head)
        manifest.save(folder, replace(blank, origin=origin, config=digests, golden=golden, start=start))
        return Session(folder, None, commit_interval_s, segment_bytes, segment_age_ns)

    @staticmethod
    def resume(
        path: str | os.PathLike[str],
        *,
        commit_interval_s: float | None = hot.COMMIT_INTERVAL_S,
        segment_bytes: int = hot.SEGMENT_BYTES,
        segment_age_ns: int | None = None,
    ) -> "Session":
        """Recover a recording and open it for writing on; the session's `recovered` tells what was cut off.

        Raises:
            LockFault, DamageFault, DiskFault: as of recover.
        """
        folder = Path(path)
        recovered = recover(folder)
        return Session(folder, recovered, commit_interval_s, segment_bytes, segment_age_ns)


class Session:
    """A recording open for writing. Use it as a context manager, or close it.

    Attributes:
        path: the recording's folder.
        recovered: what resume found; None for a new recording.
        append: takes the next Record; see HotWriter.append.
        commit: waits for the disk; see HotWriter.commit.
    """

    def __init__(
        self,
        path: Path,
        recovered: Recovered | None,
        commit_interval_s: float | None,
        segment_bytes: int,
        segment_age_ns: int | None,
    ) -> None:
        listed = manifest.load(path)
        seq, head = (recovered.next_seq, recovered.head) if recovered else (listed.next_seq, listed.head)
        self.path = path
        self.log_id = listed.log_id
        self.recovered = recovered
        self._writer = HotWriter(
            path / SEGMENTS,
            listed.log_id,
            seq,
            head,
            commit_interval_s=commit_interval_s,
            segment_bytes=segment_bytes,
            segment_age_ns=segment_age_ns,
        )
        self.append = self._writer.append
        self.commit = self._writer.commit
        self.roll = self._writer.roll

    @property
    def next_seq(self) -> int:
        """Seq of the next record."""
        return self._writer.next_seq

    @property
    def head(self) -> bytes:
        """The 32-byte head after the last record."""
        return self._writer.head

    @property
    def closed_segments(self) -> int:
        """How many segments this session has closed: they can be sealed."""
        return len(self._writer.closed)

    @property
    def durable_seq(self) -> int:
        """All records up to this one are on the disk."""
        return self._writer.durable_seq

    def close(self) -> None:
        """Close the last segment and list all hot ones in the manifest. DiskFault if the disk refused."""
        self._writer.close()
        list_hot(self.path, self._writer.closed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def list_hot(path: Path, closed: Sequence[Closed] = ()) -> None:
    """Enter the closed hot segments that the manifest does not list yet; `closed` spares walking those."""
    known = {segment.first_seq: segment for segment in closed}

    def enter(listed: Manifest) -> Manifest:
        new = [
            _entry(part.path, known.get(part.first_seq) or _walk_closed(part.path))
            for part in find_parts(path, listed)
            if part.entry is None
        ]
        return replace(listed, segments=(*listed.segments, *new))

    manifest.edit(path, enter)


def recover(path: str | os.PathLike[str]) -> Recovered | None:
    """Cut an incomplete tail off the last hot segment of a recording and close it; see hot.recover.

    A segment that the manifest lists as whole and that was cut short goes on unlisted, so that its remainder reads.
    """
    folder = Path(path)
    listed = manifest.load(folder)
    find_parts(folder, listed)
    done = [segment for segment in listed.segments if segment.files or segment.dropped]
    found = hot.recover(folder / SEGMENTS, [segment.name for segment in done])
    if found is None and len(done) == len(listed.segments):
        return None
    if found is None or found.next_seq < 0:
        # Nothing is left of the hot segments: the log ends where the sealed ones do.
        seq, head = (done[-1].last_seq + 1, done[-1].head) if done else (listed.first_seq, listed.anchor)
        found = replace(found or Recovered("", seq, b""), log_id=listed.log_id, next_seq=seq, head=bytes.fromhex(head))
    if found.next_seq < listed.next_seq:
        found = replace(found, lost_records=listed.next_seq - found.next_seq)
        kept = tuple(segment for segment in listed.segments if segment.last_seq < found.next_seq)
        manifest.edit(folder, lambda now: replace(now, segments=kept))
    list_hot(folder)
    return found


def find_parts(path: Path, listed: Manifest) -> list[Part]:
    """The readable segments of a recording in order; DamageFault where one is missing or does not link."""
    folder = path / SEGMENTS
    parts: list[Part] = []
    seq, head = listed.first_seq, listed.anchor
    for segment in listed.segments:
        if segment.first_seq != seq or segment.previous != head:
            raise DamageFault(f"{manifest.NAME}: segment {segment.name} does not go on where the one before it ends")
        seq, head = segment.last_seq + 1, segment.head
        if segment.dropped:
            continue
        place = folder / (segment.name if segment.files else segment.name + SUFFIX)
        if not place.exists():
            raise DamageFault(
                f"{SEGMENTS}/{place.name} is missing: records {segment.first_seq} to {segment.last_seq}; "
                f"restore it from a copy"
            )
        parts.append(Part(segment.first_seq, seq, segment, place))
    names = {segment.name for segment in listed.segments}
    loose = [file for file in walk.hot_files(folder) if file.name.removesuffix(SUFFIX) not in names]
    return parts + _loose_parts(loose, seq, head)


def _loose_parts(files: list[Path], seq: int, head: str) -> list[Part]:
    """Hot segments that the manifest does not list: still written, or left by a crash."""
    parts: list[Part] = []
    for file in files:
        opening = walk.read_opening(file)
        if opening is None:
            if file != files[-1]:
                raise DamageFault(f"{file.name} at byte 0: the opening line is incomplete, and another segment follows")
            continue
        if not parts and (opening.first_seq != seq or opening.previous != head):
            raise DamageFault(
                f"{SEGMENTS}/{segment_name(seq)}{SUFFIX} is missing: records {seq} to {opening.first_seq - 1}"
            )
        if parts:
            parts[-1] = replace(parts[-1], end_seq=opening.first_seq)
        parts.append(Part(opening.first_seq, None, None, file))
    return parts


def _walk_closed(path: Path) -> Closed:
    found = walk.walk(path)
    if found.opening is None or not found.closed:
        raise DamageFault(f"{path.name} at byte {found.end}: the segment is not closed; recover the recording first")
    previous = bytes.fromhex(found.opening.previous)
    return Closed(found.opening.first_seq, found.next_seq - 1, previous, found.head)


def _entry(path: Path, closed: Closed) -> Segment:
    """The manifest's entry of a closed hot segment."""
    opening = walk.read_opening(path)
    assert opening is not None
    size, digest = hash_file(path)
    return Segment(
        path.name.removesuffix(SUFFIX),
        closed.first_seq,
        closed.last_seq,
        closed.previous.hex(),
        closed.head.hex(),
        opening.version,
        opening.schema,
        hot=HotFile(size, digest),
    )


def _part_records(
    part: Part, types: tuple[type[Struct], ...] | None, seq_from: int, seq_to: int | None
) -> Iterator[Record]:
    if part.entry is not None and part.entry.files:
        return sealed.read(part.path, part.entry, types, seq_from=seq_from, seq_to=seq_to)
    names = None if types is None else frozenset(kind.__name__ for kind in types)
    return walk.records(part.path, seq_from, seq_to, types=names, end_seq=part.end_seq)
