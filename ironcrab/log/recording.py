"""A recording: one folder that replays anywhere.

    manifest.json    what it holds, with hashes down to row groups
    segments/        seg-<first seq>.jsonl while hot, seg-<first seq>/<event type>.parquet once sealed
    snapshots/       caches of reducer states, free to drop
    config/          the scenario as it was
    start-<seq>.zst  the start state of a cut or shortened recording

A reader opens it at any time, also while it is written: it sees whole lines only.
"""

import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Self

from blake3 import blake3
from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.fault import DamageFault, LogFault
from ironcrab.log import hot, manifest, sealed, walk
from ironcrab.log.anchor import SUFFIX
from ironcrab.log.audit import CONFIG, Audit, audit
from ironcrab.log.line import LooseRecord, decode_loose, genesis
from ironcrab.log.manifest import SEGMENTS, Manifest, Start
from ironcrab.log.parts import Part, cut_segment, find_parts
from ironcrab.log.passing import Pools
from ironcrab.log.sealed import Columns
from ironcrab.log.session import Session, recover
from ironcrab.loop import Record


class Recording:
    """A folder of records, opened for reading.

    Attributes:
        path: the folder.
        manifest: as it stood when opened.
        parts: segments in order, without those that retention dropped.
        cut: the manifest's entry of the last segment where its hot file has become shorter than listed: its whole
            records are read as those of a log that a crash left; None: no such loss.
    """

    def __init__(self, path: Path, listed: Manifest) -> None:
        self.path = path
        self.manifest = listed
        self.cut = cut_segment(path, listed)
        whole = listed if self.cut is None else replace(listed, segments=listed.segments[:-1])
        self.parts = find_parts(path, whole)
        self._listed_next, self._listed_head = whole.next_seq, whole.head
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
        listed = manifest.load(folder)
        while True:
            try:
                return cls(folder, listed)
            except DamageFault:
                # Sealing may have moved a segment between the two looks: then the manifest has changed as well.
                again = manifest.load(folder)
                if again == listed:
                    raise
                listed = again

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def log_id(self) -> str:
        """Identity of the log."""
        return self.manifest.log_id

    @property
    def first_seq(self) -> int:
        """Seq of the first record that can still be read."""
        return self.parts[0].first_seq if self.parts else self._listed_next

    @property
    def next_seq(self) -> int:
        """Seq after the last complete record."""
        end = self._hot_end()
        return self._listed_next if end is None else end.next_seq

    @property
    def head(self) -> bytes:
        """The 32-byte head after the last complete record."""
        end = self._hot_end()
        return self._listed_head if end is None else end.head

    def losses(self) -> Iterator[str]:
        """What is not there to read, one sentence each: records that were listed, the bytes of a last broken line.

        Raises:
            DamageFault: more than the end of the last segment is damaged.
        """
        if self.cut is not None:
            left, last = self.next_seq, self.cut.last_seq
            gone = "its closing line is" if left > last else f"records {left} to {last}, which the manifest lists, are"
            yield (
                f"{self.cut.name}{SUFFIX}: {gone} cut off; restore the file from a copy, "
                f"or keep the rest with: ironcrab seal {self.path}"
            )
        tail = walk.tail_bytes(self.path / SEGMENTS)
        if tail:
            yield f"{self.path}: {tail} bytes of an incomplete last line are left aside"

    def records(
        self,
        types: tuple[type[Struct], ...] | None = None,
        seq_from: int = 0,
        seq_to: int | None = None,
        columns: Columns | None = None,
        pools: Pools | None = None,
    ) -> Iterator[Record]:
        """The records `seq_from` <= seq < `seq_to` in order, of the given event types only.

        `columns` saves reading: event type -> the only fields that the caller will use, and so does `pools`: the only
        pools, see `sealed.read`. Hot segments and records that a reducer said come whole.

        Raises:
            DamageFault: recorded bytes are not what was written, or records are missing.
            SchemaFault: an event type unknown to this code.
        """
        return chain.from_iterable(self._parts_records(types, seq_from, seq_to, columns, pools))

    def _parts_records(
        self,
        types: tuple[type[Struct], ...] | None,
        seq_from: int,
        seq_to: int | None,
        columns: Columns | None,
        pools: Pools | None,
    ) -> Iterator[Iterator[Record]]:
        for part in self.parts:
            if seq_to is not None and part.first_seq >= seq_to:
                return
            if part.end_seq is None or part.end_seq > seq_from:
                yield _part_records(part, types, seq_from, seq_to, columns, pools)

    def loose(self, seq_from: int = 0, seq_to: int | None = None) -> Iterator[LooseRecord]:
        """The records `seq_from` <= seq < `seq_to` in order without knowing their types: for readers that go on.

        Raises:
            DamageFault: recorded bytes are not what was written.
        """
        for part in self.parts:
            if seq_to is not None and part.first_seq >= seq_to:
                return
            if part.end_seq is not None and part.end_seq <= seq_from:
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
        loose = [part.path for part in self.parts if part.entry is None and self.cut is None]
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
    ) -> Session:
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
        sync, digests = commit_interval_s is not None, {}
        for name, data in config.items():
            (folder / CONFIG).mkdir(exist_ok=True)
            manifest.put(folder / CONFIG / name, data, sync=sync)
            digests[name] = blake3(data).hexdigest()
        blank = manifest.blank(log_id, first_seq, genesis(log_id) if head is None else head)
        told = replace(blank, origin=origin, config=digests, golden=golden, start=start)
        manifest.save(folder, told, sync=sync)
        return Session(folder, None, commit_interval_s, segment_bytes, segment_age_ns)

    @staticmethod
    def resume(
        path: str | os.PathLike[str],
        *,
        commit_interval_s: float | None = hot.COMMIT_INTERVAL_S,
        segment_bytes: int = hot.SEGMENT_BYTES,
        segment_age_ns: int | None = None,
    ) -> Session:
        """Recover a recording and open it for writing on; the session's `recovered` tells what was cut off.

        Raises:
            LockFault, DamageFault, DiskFault: as of recover.
        """
        folder = Path(path)
        recovered = recover(folder)
        return Session(folder, recovered, commit_interval_s, segment_bytes, segment_age_ns)


def _part_records(
    part: Part,
    types: tuple[type[Struct], ...] | None,
    seq_from: int,
    seq_to: int | None,
    columns: Columns | None,
    pools: Pools | None,
) -> Iterator[Record]:
    if part.entry is not None and part.entry.files:
        return sealed.read(part.path, part.entry, types, seq_from=seq_from, seq_to=seq_to, columns=columns, pools=pools)
    names = None if types is None else frozenset(kind.__name__ for kind in types)
    return walk.records(part.path, seq_from, seq_to, types=names, end_seq=part.end_seq)
