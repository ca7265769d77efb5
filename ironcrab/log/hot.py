"""The hot end of the log: append now, group commit off the caller's thread, recover after a crash.

`HotWriter` is the only one that writes segments. It waits for nothing: a line is encoded and chained in `append`, a
thread writes and syncs what has gathered every few milliseconds. `durable_seq` n means that all records up to n are on
the disk. A failed write or sync is final: nothing is tried again, because the kernel may have dropped the pages.
"""

import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Collection
from itertools import count, pairwise
from pathlib import Path
from typing import Self

from msgspec import Struct

from ironcrab.domain.fault import DiskFault, LockFault, LogFault
from ironcrab.log import anchor
from ironcrab.log.anchor import Closing, segment_name
from ironcrab.log.line import encode
from ironcrab.log.walk import Hot, hot_files, link_fault, walk
from ironcrab.loop import Record

SEGMENT_BYTES = 128 << 20
"""A segment is closed before it grows beyond this."""
COMMIT_INTERVAL_S = 0.005
"""Group commit of market events, seconds."""
MOST_UNSYNCED = 200_000
"""Records that may wait for the disk before append waits too."""
_BATCH = 512
"""Lines per write where nothing is synced."""
_NEVER = 1 << 65
"""Beyond every log time and every ticket."""


def lock(folder: Path, *, wait: bool = False) -> int:
    """Take the lock of a folder; returns the descriptor that holds it. LockFault if another has it (and no `wait`)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise LockFault(f"another writer holds the log {folder}; stop it, or write into another folder") from error
    return handle


class SegmentFiles:
    """The one that touches the disk: bytes in order into segment files.

    Args:
        folder: the `segments` folder.
        sync: whether data must survive a power cut once `sync()` has returned.
    """

    def __init__(self, folder: Path, *, sync: bool) -> None:
        self.folder = folder
        self.syncs = sync
        self.handle = -1

    def turn_to(self, name: str) -> None:
        """Finish the file in hand and create the next one."""
        self.finish()
        path = self.folder / f"{name}{anchor.SUFFIX}"
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        if self.syncs:
            sync_folder(self.folder)

    def write(self, data: bytes) -> None:
        """Write all of `data`; a short write goes on where it stopped."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.handle, view) :]

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        if self.syncs and self.handle >= 0:
            os.fdatasync(self.handle)

    def finish(self) -> None:
        """Sync and close the file in hand."""
        if self.handle >= 0:
            self.sync()
            os.close(self.handle)
            self.handle = -1


def sync_folder(folder: Path) -> None:
    """Make created, renamed and removed names of a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Closed(Struct, frozen=True):
    """A segment that a writer has closed: its first and last seq, and the 32-byte heads before and after."""

    first_seq: int
    last_seq: int
    previous: bytes
    head: bytes


class HotWriter:
    """Appends records to segments. One per log: a second one is refused.

    Args:
        folder: the `segments` folder, which exists.
        log_id: written into each opening line.
        first_seq: seq of the first record to come.
        head: 32-byte head before it.
        commit_interval_s: seconds between group commits; None: nothing is ever synced (output of run and backtest).
        segment_bytes: a new segment starts once one holds this many.
        segment_age_ns: ... or once its first record lies this far back in log time; None: never by age.

    Raises:
        LockFault: another writer holds the folder.
    """

    def __init__(
        self,
        folder: Path,
        log_id: str,
        first_seq: int,
        head: bytes,
        *,
        commit_interval_s: float | None = COMMIT_INTERVAL_S,
        segment_bytes: int = SEGMENT_BYTES,
        segment_age_ns: int | None = None,
    ) -> None:
        self.log_id = log_id
        self.next_seq = first_seq
        self.head = head
        self.durable_seq = first_seq - 1
        self._lock = lock(folder)
        self._files = SegmentFiles(folder, sync=commit_interval_s is not None)
        self._limit_bytes = segment_bytes
        self._limit_age = segment_age_ns
        self.closed: list[Closed] = []
        self._bytes = self._old_at = 0
        self._first_seq = first_seq
        self._previous = head
        self._open = False
        # Lines, and between them the names of segments to turn to. Append and popleft are atomic: no lock is needed.
        self._queue: deque[bytes | str] = deque()
        self._fault: DiskFault | None = None
        self._thread = None if commit_interval_s is None else _Committer(self._drain, commit_interval_s)

    def append(self, record: Record) -> None:
        """Chain the record and hand it to the disk without waiting for it.

        Raises:
            LogFault: the seq is not the next one, or a value does not fit; nothing was appended, the writer goes on.
            DiskFault: an earlier write or sync failed; the writer is finished.
        """
        if self._fault is not None:
            raise self._fault
        seq = self.next_seq
        if record.seq != seq:
            raise LogFault(f"record {record.seq} was appended where {seq} is next; nothing was appended")
        line, head = encode(record, self.head)
        if self._open and (self._bytes >= self._limit_bytes or record.time >= self._old_at):
            self._close_segment()
        if not self._open:
            self._open_segment(record.time)
        queue = self._queue
        queue.append(line)
        self._bytes += len(line)
        self.head = head
        self.next_seq = seq + 1
        if self._thread is not None:
            self._thread.wake()
            if seq - self.durable_seq > MOST_UNSYNCED:
                self.commit()
        elif len(queue) >= _BATCH:
            self._drain()

    def commit(self) -> None:
        """Wait until every record appended so far is on the disk (without syncs: handed to the kernel). DiskFault."""
        if self._thread is not None:
            self._thread.run_now()
        else:
            self._drain()
        if self._fault is not None:
            raise self._fault

    def roll(self) -> None:
        """Close the segment in hand; the next record opens a new one."""
        if self._open:
            self._close_segment()

    def close(self) -> None:
        """Close the segment, wait for the disk, let go of the lock. DiskFault if anything did not reach the disk."""
        if self._lock < 0:
            return
        try:
            if self._fault is None:
                self.roll()
                self.commit()
        finally:
            if self._thread is not None:
                self._thread.stop()
            self._let_go()
        if self._fault is not None:
            raise self._fault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_segment(self, time: int) -> None:
        self._queue.append(segment_name(self.next_seq))
        line = anchor.write(anchor.opening(self.log_id, self.next_seq, self.head))
        self._queue.append(line)
        self._first_seq, self._bytes, self._open = self.next_seq, len(line), True
        self._old_at = _NEVER if self._limit_age is None else time + self._limit_age
        self._previous = self.head

    def _close_segment(self) -> None:
        self._queue.append(anchor.write(Closing(self.next_seq - self._first_seq, self.head.hex())))
        self.closed.append(Closed(self._first_seq, self.next_seq - 1, self._previous, self.head))
        self._open = False

    def _drain(self) -> None:
        """Write and sync what has gathered. Runs in the committer's thread, or in the caller's where nothing syncs."""
        if self._fault is not None:
            return
        # Read before the queue's length: every record below it is then among the items taken.
        reached = self.next_seq
        lines: list[bytes] = []
        try:
            for _ in range(len(self._queue)):
                item = self._queue.popleft()
                if isinstance(item, bytes):
                    lines.append(item)
                    continue
                self._files.write(b"".join(lines))
                lines = []
                self._files.turn_to(item)
            self._files.write(b"".join(lines))
            self._files.sync()
        except OSError as error:
            self._fault = DiskFault(
                f"the disk refused the log {self._files.folder} ({error.strerror or error}); records up to "
                f"{self.durable_seq} are safe; make room or replace the disk, then start again"
            )
            return
        if self._files.syncs:
            self.durable_seq = reached - 1

    def _let_go(self) -> None:
        if self._files.handle >= 0:
            os.close(self._files.handle)
            self._files.handle = -1
        os.close(self._lock)
        self._lock = -1


class _Committer:
    """A thread that runs `work` some time after `wake`, at once after `run_now`."""

    def __init__(self, work: Callable[[], None], interval_s: float) -> None:
        self._work = work
        self._interval_s = interval_s
        self._turn = threading.Condition()
        self._wanted = self._finished = 0
        self._pending = threading.Event()
        self._urgent = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="log-commit", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to commit within the interval."""
        if not self._pending.is_set():
            self._pending.set()

    def run_now(self) -> None:
        """Commit at once and wait until it is done."""
        with self._turn:
            self._wanted += 1
            ticket = self._wanted
            self._urgent.set()
            self._pending.set()
            self._turn.wait_for(lambda: self._finished >= ticket)

    def stop(self) -> None:
        """End the thread after what it is doing."""
        self._stopping = True
        self._urgent.set()
        self._pending.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._pending.wait()
                self._urgent.wait(self._interval_s)
                self._pending.clear()
                with self._turn:
                    ticket = self._wanted
                    self._urgent.clear()
                self._work()
                self._finish(ticket)
        finally:
            self._finish(_NEVER)

    def _finish(self, ticket: int) -> None:
        with self._turn:
            self._finished = ticket
            self._turn.notify_all()


class Recovered(Struct, frozen=True):
    """Where a log goes on after a crash.

    Attributes:
        log_id, next_seq, head: of the last complete record.
        lost_bytes: length of the incomplete tail that was cut off; 0: none.
        kept_in: name of the file in the folder that holds those bytes; empty: none were cut.
        lost_records: whole records that the manifest lists and the file no longer holds.
    """

    log_id: str
    next_seq: int
    head: bytes
    lost_bytes: int = 0
    kept_in: str = ""
    lost_records: int = 0


def recover(folder: Path, sealed: Collection[str] = ()) -> Recovered | None:
    """Make the hot segments whole again: cut an incomplete tail off the last one, and close it.

    The caller appends a LogRecovered where `lost_bytes` is not 0. A last segment without a single record goes.

    Args:
        folder: the `segments` folder.
        sealed: names of segments that are sealed, whose hot files may still lie about.

    Returns:
        Where to go on; None where there is no hot segment with a record.

    Raises:
        DamageFault: anything but an incomplete last line of the last segment; names file, seq and offset.
        LockFault: a writer is at work.
        DiskFault: the cut could not be made durable.
    """
    handle = lock(folder)
    try:
        found = [walk(path) for path in hot_files(folder) if path.name.removesuffix(anchor.SUFFIX) not in sealed]
        for before, after in pairwise(found):
            fault = link_fault(before, after)
            if fault is not None:
                raise fault
        return _mend(folder, found) if found else None
    except OSError as error:
        raise DiskFault(
            f"the disk refused the recovery of {folder} ({error.strerror or error}); nothing was cut"
        ) from error
    finally:
        os.close(handle)


def _mend(folder: Path, found: list[Hot]) -> Recovered | None:
    last = found[-1]
    lost, kept = last.size - last.end, ""
    if lost:
        kept = _keep_tail(folder, last)
    if last.opening is None or last.next_seq == last.opening.first_seq:
        last.path.unlink()
        found = found[:-1]
    elif not last.closed:
        _close_file(last)
    else:
        _sync_file(last.path)  # a writer killed behind its closing line may not have come to this
    sync_folder(folder)
    if not found or found[-1].opening is None:
        return None if not lost else Recovered("", -1, b"", lost, kept)
    end = found[-1]
    assert end.opening is not None
    return Recovered(end.opening.log, end.next_seq, end.head, lost, kept)


def _keep_tail(folder: Path, last: Hot) -> str:
    """Copy the tail beside the segment before anything is cut."""
    names = (f"{last.path.name}.torn{number or ''}" for number in count())
    path = next(folder / name for name in names if not (folder / name).exists())
    with last.path.open("rb") as source, path.open("wb") as kept:
        source.seek(last.end)
        kept.write(source.read())
        kept.flush()
        os.fsync(kept.fileno())
    sync_folder(folder)
    return path.name


def _sync_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _close_file(last: Hot) -> None:
    assert last.opening is not None
    with last.path.open("r+b") as file:
        file.truncate(last.end)
        file.seek(last.end)
        file.write(anchor.write(Closing(last.next_seq - last.opening.first_seq, last.head.hex())))
        file.flush()
        os.fsync(file.fileno())
