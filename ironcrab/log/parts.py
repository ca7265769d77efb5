"""The segments of a recording in reading order: sealed where the manifest says so, hot where it does not yet."""

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.fault import DamageFault
from ironcrab.log import manifest, walk
from ironcrab.log.anchor import SUFFIX, segment_name
from ironcrab.log.manifest import SEGMENTS, Manifest, Segment


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


def cut_segment(path: Path, listed: Manifest) -> Segment | None:
    """The last segment of the manifest if it is hot and its file is shorter than listed; None: nothing was cut off."""
    last = listed.segments[-1] if listed.segments else None
    if last is None or last.hot is None or last.files or last.dropped:
        return None
    file = path / SEGMENTS / f"{last.name}{SUFFIX}"
    return last if file.exists() and file.stat().st_size < last.hot.size else None


def _loose_parts(files: list[Path], seq: int, head: str) -> list[Part]:
    """Hot segments that the manifest does not list: still written, or left by a crash."""
    parts: list[Part] = []
    for file in files:
        opening = walk.read_opening(file)
        if opening is None:
            if file != files[-1]:
                raise DamageFault(f"{file.name} at byte 0: the opening line is incomplete, and another segment follows")
            continue
        if not parts and opening.first_seq != seq:
            raise DamageFault(
                f"{SEGMENTS}/{segment_name(seq)}{SUFFIX} is missing: records {seq} to {opening.first_seq - 1}; "
                f"restore it from a copy"
            )
        if not parts and opening.previous != head:
            raise DamageFault(f"{file.name} at byte 0: it does not go on where the segments before it end")
        if parts:
            parts[-1] = replace(parts[-1], end_seq=opening.first_seq)
        parts.append(Part(opening.first_seq, None, None, file))
    return parts
