"""Reducer states at a seq: snapshots, which are caches, and start states, which are not.

A file is one JSON line (seq, head, meta, the states' names and lengths, and a blake3 over that line and all that
follows) and then one zstd frame of the states, each as the JSON its reducer's state encodes to. A snapshot at seq n
holds the states after all records below n: folding goes on with record n.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import zstandard
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.fault import DamageFault, LogFault
from ironcrab.log.manifest import Start, put

FOLDER = "snapshots"
"""Folder of the snapshots in a recording."""
_PREFIX = "snap-"
_SUFFIX = ".zst"
_LEVEL = 3
_MARK = b',"digest":"'


class Snapshot(Struct, frozen=True):
    """States as JSON bytes by reducer name, after all records below `seq`; `head` is the 32-byte head there."""

    seq: int
    head: bytes
    states: dict[str, bytes]
    meta: dict[str, str]


class _Header(Struct, frozen=True):
    seq: int
    head: str
    meta: dict[str, str]
    lengths: dict[str, int]


def encode(snapshot: Snapshot) -> bytes:
    """The bytes of a snapshot file; equal snapshots give equal bytes."""
    lengths = {name: len(state) for name, state in snapshot.states.items()}
    header = msgspec.json.encode(_Header(snapshot.seq, snapshot.head.hex(), snapshot.meta, lengths))[:-1]
    frame = zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join(snapshot.states.values()))
    digest = blake3(header + frame).hexdigest().encode()
    return b'%b%b%b"}\n%b' % (header, _MARK, digest, frame)


def decode(data: bytes, name: str) -> Snapshot:
    """The snapshot of a file's bytes; DamageFault naming `name` where one of them is not what was written."""
    line, newline, frame = data.partition(b"\n")
    header, mark, tail = line.rpartition(_MARK)
    if not (newline and mark) or tail != blake3(header + frame).hexdigest().encode() + b'"}':
        raise DamageFault(f"{name}: bytes 0..{len(data)} are not what was written")
    told = msgspec.json.decode(header + b"}", type=_Header)
    total = sum(told.lengths.values())
    states = zstandard.ZstdDecompressor().decompress(frame, max_output_size=total)
    at, parts = 0, {}
    for reducer, length in told.lengths.items():
        parts[reducer] = states[at : at + length]
        at += length
    return Snapshot(told.seq, bytes.fromhex(told.head), parts, told.meta)


def save(
    recording: str | os.PathLike[str],
    seq: int,
    head: bytes,
    states: Mapping[str, bytes],
    meta: Mapping[str, str],
    *,
    sync: bool = True,
) -> Path:
    """Write a snapshot into a recording, in place of an older one at the same seq; returns its file. DiskFault.

    Without `sync` it may be lost with the power, as the output of a run may.
    """
    folder = Path(recording) / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{_PREFIX}{seq:020d}{_SUFFIX}"
    put(path, encode(Snapshot(seq, head, dict(states), dict(meta))), sync=sync)
    return path


def files(recording: str | os.PathLike[str]) -> list[Path]:
    """The snapshot files of a recording in seq order."""
    return sorted((Path(recording) / FOLDER).glob(f"{_PREFIX}*{_SUFFIX}"))


def load(path: Path) -> Snapshot:
    """The snapshot of a file, which belongs to the seq in its name. DamageFault naming the file."""
    name = f"{FOLDER}/{path.name}"
    snapshot = decode(path.read_bytes(), name)
    if path.name != f"{_PREFIX}{snapshot.seq:020d}{_SUFFIX}":
        raise DamageFault(f"{name} holds the states at seq {snapshot.seq}, which its name does not say")
    return snapshot


def nearest(recording: str | os.PathLike[str], seq: int, meta: Mapping[str, str] | None = None) -> Snapshot | None:
    """The sound snapshot with the highest seq of at most `seq`; None: fold from the beginning.

    Damaged ones are passed over here and told by `damaged`.

    Args:
        recording: its folder.
        seq: the first record that is to be folded.
        meta: only snapshots with exactly this meta (made by the same code and config); None: any.
    """
    limit = f"{_PREFIX}{seq:020d}{_SUFFIX}"
    for path in reversed(files(recording)):
        if path.name > limit:
            continue
        try:
            snapshot = load(path)
        except DamageFault:
            continue
        if meta is None or snapshot.meta == dict(meta):
            return snapshot
    return None


def damaged(recording: str | os.PathLike[str]) -> list[DamageFault]:
    """One fault for each snapshot that is not what was written; they are caches, so delete them."""
    faults = []
    for path in files(recording):
        try:
            load(path)
        except DamageFault as fault:
            faults.append(DamageFault(f"{fault}; it is a cache: delete it, it is made again"))
    return faults


def save_start(recording: str | os.PathLike[str], snapshot: Snapshot, log_id: str) -> Start:
    """Write a start state beside the manifest; returns what the manifest is to say of it. DiskFault.

    Args:
        recording: its folder, which may not exist yet.
        snapshot: the states before the first record to come.
        log_id: the log whose chain `snapshot.head` belongs to.
    """
    folder = Path(recording)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"start-{snapshot.seq:020d}{_SUFFIX}"
    data = encode(snapshot)
    put(folder / name, data)
    return Start(name, snapshot.seq, snapshot.head.hex(), blake3(data).hexdigest(), log_id)


def load_start(recording: str | os.PathLike[str], start: Start) -> Snapshot:
    """The start state that the manifest names; DamageFault where it is missing or not what was written."""
    try:
        data = (Path(recording) / start.file).read_bytes()
    except FileNotFoundError as error:
        raise DamageFault(f"{start.file} is missing: the start state; restore it from a copy") from error
    if blake3(data).hexdigest() != start.digest:
        raise DamageFault(f"{start.file}: bytes 0..{len(data)} of the start state are not what was written; restore it")
    snapshot = decode(data, start.file)
    if snapshot.seq != start.seq or snapshot.head.hex() != start.head:
        raise LogFault(f"{start.file} is the start state at seq {snapshot.seq}, the manifest names {start.seq}")
    return snapshot
