"""Files of others as plain bytes, whether they are plain, .zst or .gz; and the frames of a capture."""

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from ironcrab.domain.fault import InputFault
from ironcrab.ingest.counts import Counts
from ironcrab.ingest.frames import frames

CHUNK = 1 << 20
"""Bytes read at a time."""
ZSTD, GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
"""First bytes of compressed files; as a frame's length they would be absurd, and no JSON begins so."""
RAW = "raw"
"""Folder of the raw frames beside a recording's segments."""
RAW_SUFFIX = ".frames"
"""Files in it, ordered by name: each holds frames, u32 big-endian length + SubscribeUpdate."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's plain bytes, whether it is plain, .zst or .gz: its first bytes tell, whatever its name.

    Raises:
        InputFault: it cannot be read.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.peek(4)[:4]
            if magic == ZSTD:
                with zstandard.ZstdDecompressor().stream_reader(raw) as stream:
                    yield io.BufferedReader(stream)
            elif magic[:2] == GZIP:
                with io.BufferedReader(_Inflated(raw)) as stream:
                    yield stream
            else:
                yield raw
    except OSError as error:
        raise InputFault(f"cannot read {path}: {error.strerror or error}; is it the file you meant?") from error
    except (zstandard.ZstdError, zlib.error) as error:
        raise InputFault(f"{path} is damaged: {error}; fetch it again") from error


class _Inflated(io.RawIOBase):
    """The plain bytes of a .gz file, member after member.

    A file that was cut short ends where it was cut, as a plain one and a .zst do: what is whole in it is not lost,
    and whoever reads it counts the broken end. Bytes that do not give the checksum raise zlib.error.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._pieces = _inflate(raw)
        self._held = b""

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the next bytes go; 0: the end."""
        self._held = self._held or next(self._pieces, b"")
        size = min(len(buffer), len(self._held))
        buffer[:size], self._held = self._held[:size], self._held[size:]
        return size


def _inflate(raw: BinaryIO) -> Iterator[bytes]:
    """Pieces of at most a chunk, however much a few bytes inflate to."""
    member, held = None, b""
    while data := held or raw.read(CHUNK):
        if member is None:
            data = data.lstrip(b"\0")  # padding may follow a member
            member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        piece = member.decompress(data, CHUNK)
        held, ended = (member.unused_data, True) if member.eof else (member.unconsumed_tail, False)
        if piece:
            yield piece
        member = None if ended else member
    if member is not None and (piece := member.flush()):
        yield piece


def chunks(path: Path) -> Iterator[bytes]:
    """The file's plain bytes, piece by piece."""
    with opened(path) as stream:
        while piece := stream.read(CHUNK):
            yield piece


def lines(path: Path) -> Iterator[bytes]:
    """The file's lines."""
    with opened(path) as stream:
        yield from stream


def capture_files(path: Path) -> tuple[Path, ...]:
    """The files whose frames a capture is: the file itself, or the raw frames beside a recording.

    Raises:
        InputFault: nothing there, or a recording without raw frames.
    """
    if path.is_file():
        return (path,)
    found = tuple(sorted((path / RAW).glob(f"*{RAW_SUFFIX}*")))
    if found:
        return found
    if (path / "manifest.json").exists():
        raise InputFault(f"{path} has no raw frames beside it; record with --raw, or give a capture file")
    raise InputFault(f"{path} is no capture; give a file of frames, a recording with raw frames beside it, or demo")


def capture(path: Path, counts: Counts) -> Iterator[bytes]:
    """The frames of a capture (see `capture_files`) in order; what is no frame is counted. InputFault."""
    for file in capture_files(path):
        yield from frames(chunks(file), counts)
