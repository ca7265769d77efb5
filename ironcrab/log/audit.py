"""Is every byte of a recording what was written? One answer per damaged piece; nothing is decided or repaired here."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.fault import DamageFault, SchemaFault
from ironcrab.log import sealed, snapshot, walk
from ironcrab.log.manifest import SEGMENTS, Manifest, SealedFile, Segment, hash_file
from ironcrab.log.parquet import check_piece
from ironcrab.log.shape import schema_digest

CONFIG = "config"
"""Folder of the config files in a recording."""


class Audit(Struct, frozen=True):
    """What holding every byte against its hash gave.

    Attributes:
        faults: damage; the recording is not to be trusted.
        snapshots: damaged snapshots; caches that can be made again.
        tail_bytes: an incomplete line at the end of the last hot segment (still written, or cut by a crash).
        unproven: segments whose chain this code cannot recompute, because another schema wrote them (deep only).
    """

    faults: tuple[DamageFault, ...] = ()
    snapshots: tuple[DamageFault, ...] = ()
    tail_bytes: int = 0
    unproven: tuple[str, ...] = ()


def audit(path: Path, manifest: Manifest, loose: list[Path], *, deep: bool = False) -> Audit:
    """Hold all files of a recording against its manifest.

    Args:
        path: the folder.
        manifest: already proven by its own digest.
        loose: hot segments that the manifest does not list, in order.
        deep: also encode sealed records again and compare the chain.
    """
    faults = [*_config_faults(path, manifest), *_start_faults(path, manifest)]
    unproven = []
    for segment in manifest.segments:
        if segment.dropped:
            continue
        found = list(_segment_faults(path / SEGMENTS, segment))
        if deep and segment.files and not found:
            if segment.schema == schema_digest():
                found = list(_chain_faults(path / SEGMENTS, segment))
            else:
                unproven.append(segment.name)
        faults += found
    tail, found = _loose_faults(loose)
    return Audit((*faults, *found), tuple(snapshot.damaged(path)), tail, tuple(unproven))


def _config_faults(path: Path, manifest: Manifest) -> Iterator[DamageFault]:
    for name, digest in manifest.config.items():
        file = path / CONFIG / name
        if not file.exists():
            yield DamageFault(f"{CONFIG}/{name} is missing; restore it from a copy")
            continue
        data = file.read_bytes()
        if blake3(data).hexdigest() != digest:
            yield DamageFault(f"{CONFIG}/{name}: bytes 0..{len(data)} are not what was written; restore it from a copy")


def _start_faults(path: Path, manifest: Manifest) -> Iterator[DamageFault]:
    if manifest.start is None:
        return
    try:
        snapshot.load_start(path, manifest.start)
    except DamageFault as fault:
        yield fault


def _segment_faults(folder: Path, segment: Segment) -> Iterator[DamageFault]:
    if segment.files:
        place = folder / segment.name
        for file in segment.files:
            yield from _file_faults(place / file.name, file)
        listed = {file.name for file in segment.files}
        for stray in sorted(child.name for child in place.iterdir() if child.name not in listed):
            yield DamageFault(f"{segment.name}/{stray} is not in the manifest; remove it")
    if segment.hot is not None:
        yield from _hot_faults(folder / f"{segment.name}.jsonl", segment)


def _file_faults(path: Path, file: SealedFile) -> Iterator[DamageFault]:
    for piece in file.pieces:
        try:
            check_piece(path, piece)
        except DamageFault as fault:
            yield fault
            if not path.exists():
                return
    size = path.stat().st_size
    if size > file.size:
        yield DamageFault(
            f"{path.parent.name}/{path.name}, bytes {file.size}..{size}: more than was written; restore it"
        )


def _hot_faults(path: Path, segment: Segment) -> Iterator[DamageFault]:
    """The hash tells that the file changed; the walk along the chain tells where."""
    assert segment.hot is not None
    if not path.exists():
        yield DamageFault(f"{path.name} is missing; restore it from a copy")
        return
    if hash_file(path) == (segment.hot.size, segment.hot.digest):
        return
    try:
        found = walk.walk(path)
    except (DamageFault, SchemaFault) as fault:
        yield DamageFault(str(fault))
        return
    first = max(found.next_seq, segment.first_seq)
    yield DamageFault(
        f"{path.name} at byte {found.end}, seq {first}: cut short or changed, the manifest lists records up to "
        f"{segment.last_seq}; restore it from a copy, or keep what is left with: ironcrab seal"
    )


def _chain_faults(folder: Path, segment: Segment) -> Iterator[DamageFault]:
    try:
        head = sealed.chain_of(folder / segment.name, segment).hex()
    except DamageFault as fault:
        yield fault
        return
    if head != segment.head:
        yield DamageFault(
            f"segment {segment.name}, records {segment.first_seq} to {segment.last_seq}: encoded again they give the "
            f"head {head}, the manifest says {segment.head}"
        )


def _loose_faults(loose: list[Path]) -> tuple[int, list[DamageFault]]:
    """(bytes of the incomplete tail, faults) of hot segments that the manifest does not list."""
    found = []
    for path in loose:
        try:
            found.append(walk.walk(path))
        except DamageFault as fault:
            return 0, [fault]
    for before, after in pairwise(found):
        broken = walk.link_fault(before, after)
        if broken is not None:
            return 0, [broken]
    return (found[-1].size - found[-1].end if found else 0), []
