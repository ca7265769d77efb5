"""The manifest of a recording: what it holds, and the hashes that make every byte of it answerable.

`manifest.json` is indented JSON whose last field is the digest of all bytes before it, so that one flipped bit,
whitespace included, shows. It never holds wall time, host names, absolute paths, tokens or endpoints.
"""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import msgspec
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.event import SCHEMA_VERSION
from ironcrab.domain.fault import DamageFault, DiskFault, LogFault, SchemaFault
from ironcrab.log.anchor import FORMAT
from ironcrab.log.hot import lock, sync_folder
from ironcrab.log.shape import schema_digest

NAME = "manifest.json"
SEGMENTS = "segments"
"""Folder of the segments in a recording."""
PACKAGES = ("blake3", "msgspec", "pyarrow", "zstandard")
"""Packages whose version may change bytes on the disk."""


class Piece(Struct, frozen=True):
    """A byte range of a file: a row group, or (without rows) the footer.

    Attributes:
        start, end: bytes.
        digest: blake3 of those bytes, 64 hex digits.
        rows: records in it.
        first_seq, last_seq: of its records.
        min_time, max_time: of its records, nanoseconds.
        min_slot, max_slot: of its events' `slot`; None where they have none.
    """

    start: int
    end: int
    digest: str
    rows: int = 0
    first_seq: int = 0
    last_seq: int = 0
    min_time: int = 0
    max_time: int = 0
    min_slot: int | None = None
    max_slot: int | None = None


class SealedFile(Struct, frozen=True):
    """One Parquet file of a segment: its name in the segment's folder, event type, rows, and pieces that cover it."""

    name: str
    type: str
    rows: int
    size: int
    digest: str
    pieces: tuple[Piece, ...]


class HotFile(Struct, frozen=True):
    """A closed hot segment that stands as JSONL."""

    size: int
    digest: str


class Segment(Struct, frozen=True):
    """Consecutive records `first_seq`..`last_seq` and the heads (64 hex digits) before and after them.

    `files` is empty while the segment is hot; `dropped` says that retention took the files and left the entry, so
    that the chain still links.
    """

    name: str
    first_seq: int
    last_seq: int
    previous: str
    head: str
    version: int
    schema: str
    files: tuple[SealedFile, ...] = ()
    hot: HotFile | None = None
    dropped: bool = False


class Start(Struct, frozen=True):
    """The start state a shortened or cut recording opens with, and the place in the chain that it came from."""

    file: str
    seq: int
    head: str
    digest: str
    log_id: str


class Blessing(Struct, frozen=True):
    """Why a change of decisions was accepted; `seq` of the first one that changed."""

    because: str
    seq: int | None = None


class Manifest(Struct, frozen=True):
    """Everything a recording says about itself.

    Attributes:
        format: of folder, lines and manifest.
        log_id: identity of the log.
        version, schema: of the event types it was created with.
        first_seq, anchor: seq of the first record and the head (64 hex digits) before it.
        segments: in order, hot ones only once they were closed by a clean end.
        config: file name in `config/` -> digest.
        origin: what it was made from, in words.
        golden, pinned: guarded by the tests; never dropped by retention.
        exempt: checks that are not asked of it, and why: its world was made to break what they say.
        blessed: accepted changes, oldest first.
        start: the start state, where there is one.
        python, packages: versions that wrote it.
    """

    format: int
    log_id: str
    version: int
    schema: str
    first_seq: int
    anchor: str
    segments: tuple[Segment, ...] = ()
    config: dict[str, str] = {}
    origin: str = ""
    golden: bool = False
    pinned: bool = False
    exempt: dict[str, str] = {}
    blessed: tuple[Blessing, ...] = ()
    start: Start | None = None
    python: str = ""
    packages: dict[str, str] = {}

    @property
    def next_seq(self) -> int:
        """Seq after the last record that the manifest lists."""
        return self.segments[-1].last_seq + 1 if self.segments else self.first_seq

    @property
    def head(self) -> bytes:
        """The 32-byte head there."""
        return bytes.fromhex(self.segments[-1].head if self.segments else self.anchor)


def blank(log_id: str, first_seq: int, head: bytes) -> Manifest:
    """The manifest of a recording without records, with the versions at hand."""
    packages = {name: version(name) for name in PACKAGES}
    python = platform.python_version()
    return Manifest(
        FORMAT, log_id, SCHEMA_VERSION, schema_digest(), first_seq, head.hex(), python=python, packages=packages
    )


def encode(manifest: Manifest) -> bytes:
    """The bytes of manifest.json."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1).removesuffix(b"\n}")
    return b'%b,\n "digest": "%b"\n}\n' % (text, blake3(text).hexdigest().encode())


def decode(data: bytes) -> Manifest:
    """The manifest of the bytes of manifest.json.

    Raises:
        DamageFault: a byte is not what was written.
        SchemaFault: a format newer than this code.
    """
    text, mark, tail = data.rpartition(b',\n "digest": "')
    if not mark or tail != blake3(text).hexdigest().encode() + b'"\n}\n':
        raise DamageFault(f"{NAME}: bytes 0..{len(data)} are not what was written; restore the file from a copy")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise SchemaFault(f"{NAME} was written by another version ({error}); use that version") from error
    if manifest.format > FORMAT:
        raise SchemaFault(
            f"{NAME} has format {manifest.format}, this version reads up to {FORMAT}; use a newer version"
        )
    return manifest


def load(path: Path) -> Manifest:
    """The manifest of the recording at `path`; LogFault where there is none, DamageFault, SchemaFault."""
    try:
        data = (path / NAME).read_bytes()
    except OSError as error:
        raise LogFault(
            f"{path} is no recording: {NAME} cannot be read ({error.strerror}); name a recording's folder"
        ) from error
    return decode(data)


def save(path: Path, manifest: Manifest, *, sync: bool = True) -> None:
    """Put the manifest in place in one step that a crash leaves done or not done. DiskFault."""
    put(path / NAME, encode(manifest), sync=sync)


def hash_file(path: Path) -> tuple[int, str]:
    """Size and blake3 (64 hex digits) of a file, one MiB at a time."""
    digest, size = blake3(), 0
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
            size += len(data)
    return size, digest.hexdigest()


def put(target: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file so that a crash leaves either the old one or the new one, whole. DiskFault.

    Without `sync` that holds for a crash of the process, not for a power cut: for output that can be made again.
    """
    draft = target.with_name(target.name + ".tmp")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        draft.replace(target)
        if sync:
            sync_folder(target.parent)
    except OSError as error:
        raise DiskFault(
            f"the disk refused {target.name} ({error.strerror or error}); the old one stands, make room"
        ) from error


@contextmanager
def held(path: Path) -> Iterator[None]:
    """While this is held, nobody else changes the manifest or the sealed files of a recording."""
    handle = lock(path, wait=True)
    try:
        yield
    finally:
        os.close(handle)


def edit(path: Path, change: Callable[[Manifest], Manifest], *, sync: bool = True) -> Manifest:
    """Read, change and save the manifest while nobody else does; returns what was saved. DiskFault."""
    with held(path):
        manifest = change(load(path))
        save(path, manifest, sync=sync)
        return manifest
