"""Reducer states at a seq: snapshots, which are caches, and start states, which are not.

A file is one JSON line (seq, head, meta, the states' names and lengths, and a blake3 over that line and all that
follows) and then one zstd frame of the states, each as the bytes its reducer's state encodes to. A snapshot at seq n
holds the states after all records below n: folding goes on with record n.

States change little from one snapshot to the next. So a snapshot may name an earlier one as its *base*: its frame is
then compressed with the base's states as dictionary. Whoever lost the base has lost what stands on it, and no more:
such a snapshot is passed over, as if it were not there.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import zstandard
from blake3 import blake3
from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.fault import DamageFault, LogFault
from ironcrab.log.manifest import Start, put

FOLDER = "snapshots"
"""Folder of the snapshots in a recording."""
_PREFIX = "snap-"
_SUFFIX = ".zst"
_LEVEL = 3
_DEEP_LEVEL = 9
"""With a dictionary the higher level costs little and halves the size."""
_MARK = b',"digest":"'
DEEPEST = 16
"""Snapshots that stand on one another at most, the whole one among them."""


class Snapshot(Struct, frozen=True):
    """States as bytes by reducer name, after all records below `seq`; `head` is the 32-byte head there.

    `depth` counts the snapshots that it stands on.
    """

    seq: int
    head: bytes
    states: dict[str, bytes]
    meta: dict[str, str]
    depth: int = 0


class _Header(Struct, frozen=True, omit_defaults=True):
    seq: int
    head: str
    meta: dict[str, str]
    lengths: dict[str, int]
    base: int | None = None
    base_states: str = ""
    depth: int = 0


def encode(snapshot: Snapshot, base: Snapshot | None = None) -> bytes:
    """The bytes of a snapshot file, standing on `base`; equal snapshots on equal bases give equal bytes."""
    lengths = {name: len(state) for name, state in snapshot.states.items()}
    told = _Header(snapshot.seq, snapshot.head.hex(), snapshot.meta, lengths)
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    if base is not None:
        told = replace(told, base=base.seq, base_states=blake3(_whole(base)).hexdigest(), depth=base.depth + 1)
        compressor = zstandard.ZstdCompressor(level=_DEEP_LEVEL, dict_data=_dictionary(base))
    header = msgspec.json.encode(told)[:-1]
    frame = compressor.compress(_whole(snapshot))
    digest = blake3(header + frame).hexdigest().encode()
    return b'%b%b%b"}\n%b' % (header, _MARK, digest, frame)


def decode(data: bytes, name: str, base_at: Callable[[int], Snapshot | None] = lambda _: None) -> Snapshot | None:
    """The snapshot of a file's bytes; None where it stands on a base that is not there.

    Args:
        data: the file.
        name: names it in a fault.
        base_at: the snapshot at a seq, None where there is none.

    Raises:
        DamageFault: one of the bytes is not what was written.
    """
    line, newline, frame = data.partition(b"\n")
    header, mark, tail = line.rpartition(_MARK)
    if not (newline and mark) or tail != blake3(header + frame).hexdigest().encode() + b'"}':
        raise DamageFault(f"{name}: bytes 0..{len(data)} are not what was written")
    told = msgspec.json.decode(header + b"}", type=_Header)
    decompressor = zstandard.ZstdDecompressor()
    if told.base is not None:
        base = base_at(told.base) if told.base < told.seq and told.depth < DEEPEST else None
        if base is None or blake3(_whole(base)).hexdigest() != told.base_states:
            return None
        decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary(base))
    states = decompressor.decompress(frame, max_output_size=sum(told.lengths.values()))
    at, parts = 0, {}
    for reducer, length in told.lengths.items():
        parts[reducer] = states[at : at + length]
        at += length
    return Snapshot(told.seq, bytes.fromhex(told.head), parts, told.meta, told.depth)


def _whole(snapshot: Snapshot) -> bytes:
    """All states in one, as they are compressed."""
    return b"".join(snapshot.states.values())


def _dictionary(base: Snapshot) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(_whole(base), dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def save(
    recording: str | os.PathLike[str], snapshot: Snapshot, base: Snapshot | None = None, *, sync: bool = True
) -> Path:
    """Write a snapshot into a recording, in place of an older one at the same seq; returns its file. DiskFault.

    Args:
        recording: its folder.
        snapshot: what to write.
        base: an earlier snapshot of the same recording to stand on; None: it stands alone.
        sync: without it the file may be lost with the power, as the output of a run may.
    """
    path = _path(recording, snapshot.seq)
    path.parent.mkdir(exist_ok=True)
    put(path, encode(snapshot, base), sync=sync)
    return path


def _path(recording: str | os.PathLike[str], seq: int) -> Path:
    return Path(recording) / FOLDER / f"{_PREFIX}{seq:020d}{_SUFFIX}"


def files(recording: str | os.PathLike[str]) -> list[Path]:
    """The snapshot files of a recording in seq order."""
    return sorted((Path(recording) / FOLDER).glob(f"{_PREFIX}*{_SUFFIX}"))


def load(path: Path) -> Snapshot | None:
    """The snapshot of a file, which belongs to the seq in its name; None where its base is not there.

    Raises:
        DamageFault: naming the file. A damaged base is its own fault, not that of what stands on it.
    """

    def base_at(seq: int) -> Snapshot | None:
        try:
            return load(path.with_name(f"{_PREFIX}{seq:020d}{_SUFFIX}"))
        except (DamageFault, FileNotFoundError):
            return None

    name = f"{FOLDER}/{path.name}"
    snapshot = decode(path.read_bytes(), name, base_at)
    if snapshot is None:
        return None
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
        if snapshot is not None and (meta is None or snapshot.meta == dict(meta)):
            return snapshot
    return None


def broken(recording: str | os.PathLike[str], seq: int | None = None) -> list[Path]:
    """The files of damaged snapshots in seq order: all, or those that `nearest` passes over on its way to `seq`."""
    found = []
    for path in reversed(files(recording)):
        if seq is not None and path.name > f"{_PREFIX}{seq:020d}{_SUFFIX}":
            continue
        try:
            is_sound = load(path) is not None
        except DamageFault:
            found.append(path)
            continue
        if is_sound and seq is not None:
            break
    return found[::-1]


def seq_of(path: Path) -> int:
    """The seq in a snapshot file's name; -1 where there is none."""
    digits = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return int(digits) if digits.isdigit() else -1


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
    if snapshot is None or snapshot.seq != start.seq or snapshot.head.hex() != start.head:
        raise LogFault(f"{start.file} is not the start state at seq {start.seq} that the manifest names; restore it")
    return snapshot
