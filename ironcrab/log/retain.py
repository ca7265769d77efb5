"""Retention: the oldest segments of a recording go, by age in log time or by size; pinned recordings never shrink.

What is dropped keeps its entry in the manifest, so that the chain still links, and a start state takes its place, so
that the rest replays. Nothing is dropped but whole sealed segments, and never the last one.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.fault import LogFault
from ironcrab.log import manifest, snapshot
from ironcrab.log.manifest import SEGMENTS, Manifest, Segment
from ironcrab.log.snapshot import Snapshot


class Plan(Struct, frozen=True):
    """What would go.

    Attributes:
        segments: names, oldest first; empty: nothing.
        frees: bytes that their files hold.
        first_seq: seq of the first record that stays; a start state is needed there.
        head: 32-byte head before it.
        because: why nothing or no more can go, in words; empty: the limits are met.
    """

    segments: tuple[str, ...]
    frees: int
    first_seq: int
    head: bytes
    because: str = ""


def plan(recording: str | os.PathLike[str], *, max_age_ns: int | None = None, max_bytes: int | None = None) -> Plan:
    """What retention would drop; changes nothing.

    Args:
        recording: its folder.
        max_age_ns: segments whose newest record lies further back than this from the newest sealed one, in log time.
        max_bytes: the oldest segments until the sealed files take no more than this.
    """
    listed = manifest.load(Path(recording))
    here = [segment for segment in listed.segments if not segment.dropped]
    first = here[0].first_seq if here else listed.next_seq
    head = bytes.fromhex(here[0].previous) if here else listed.head
    if listed.pinned or listed.golden:
        return Plan((), 0, first, head, "the recording is pinned" if listed.pinned else "the recording is golden")
    newest = max((_newest(segment) for segment in here), default=0)
    left = sum(_size(segment) for segment in here)
    gone: list[Segment] = []
    for segment in here[:-1]:
        old = max_age_ns is not None and _newest(segment) < newest - max_age_ns
        if not segment.files or not (old or (max_bytes is not None and left > max_bytes)):
            break
        gone.append(segment)
        left -= _size(segment)
    over = max_bytes is not None and left > max_bytes
    because = f"{left} bytes stay: the last segment and what is not sealed never go" if over else ""
    if not gone:
        return Plan((), 0, first, head, because)
    names = tuple(segment.name for segment in gone)
    size = sum(_size(segment) for segment in gone)
    return Plan(names, size, gone[-1].last_seq + 1, bytes.fromhex(gone[-1].head), because)


def drop(
    recording: str | os.PathLike[str], planned: Plan, states: Mapping[str, bytes], meta: Mapping[str, str]
) -> None:
    """Drop what was planned.

    The start state is written first, then the manifest says so, then the files go: a crash in between leaves files
    that the next call removes.

    Args:
        recording: its folder.
        planned: as `plan` told.
        states: of all reducers after the records below `planned.first_seq`.
        meta: of the start state: code and config that made the states.

    Raises:
        LogFault: the recording was pinned, or changed since it was planned; nothing was dropped.
        DiskFault: the disk refused.
    """
    folder = Path(recording)
    if not planned.segments:
        return
    log_id = manifest.load(folder).log_id
    start = snapshot.save_start(folder, Snapshot(planned.first_seq, planned.head, dict(states), dict(meta)), log_id)

    def mark(listed: Manifest) -> Manifest:
        here = tuple(segment.name for segment in listed.segments if not segment.dropped)
        if listed.pinned or listed.golden or here[: len(planned.segments)] != planned.segments:
            raise LogFault(f"{folder} was pinned or changed since the plan was made; nothing was dropped, plan again")
        segments = tuple(
            replace(segment, dropped=True) if segment.name in planned.segments else segment
            for segment in listed.segments
        )
        return replace(listed, segments=segments, start=start)

    clear(folder, manifest.edit(folder, mark))


def clear(folder: Path, listed: Manifest) -> None:
    """Remove files of dropped segments, older start states, and snapshots of before the new beginning."""
    for segment in listed.segments:
        if segment.dropped:
            shutil.rmtree(folder / SEGMENTS / segment.name, ignore_errors=True)
            (folder / SEGMENTS / f"{segment.name}.jsonl").unlink(missing_ok=True)
    if listed.start is None:
        return
    for old in sorted(folder.glob("start-*.zst")):
        if old.name < listed.start.file:
            old.unlink()
    for path in snapshot.files(folder):
        if path.name < f"snap-{listed.start.seq:020d}.zst":
            path.unlink()


def _newest(segment: Segment) -> int:
    return max((piece.max_time for file in segment.files for piece in file.pieces), default=0)


def _size(segment: Segment) -> int:
    return sum(file.size for file in segment.files) + (segment.hot.size if segment.hot is not None else 0)
