"""Writing a recording: a session appends, and at its end lists what it wrote; recovery after a crash."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from ironcrab.domain.fault import DamageFault
from ironcrab.log import hot, manifest, walk
from ironcrab.log.anchor import SUFFIX
from ironcrab.log.hot import Closed, HotWriter, Recovered
from ironcrab.log.manifest import SEGMENTS, HotFile, Manifest, Segment, hash_file
from ironcrab.log.parts import find_parts


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
        self._syncs = commit_interval_s is not None
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
        list_hot(self.path, self._writer.closed, sync=self._syncs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def list_hot(path: Path, closed: Sequence[Closed] = (), *, sync: bool = True) -> None:
    """Enter the closed hot segments that the manifest does not list yet; `closed` spares walking those."""
    known = {segment.first_seq: segment for segment in closed}

    def enter(listed: Manifest) -> Manifest:
        new = [
            _entry(part.path, known.get(part.first_seq) or _walk_closed(part.path))
            for part in find_parts(path, listed)
            if part.entry is None
        ]
        return replace(listed, segments=(*listed.segments, *new))

    manifest.edit(path, enter, sync=sync)


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
