"""Files of others as plain bytes, whether they are plain, .zst or .gz; and the frames of a capture."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """A file's plain bytes, whether it is plain, .zst or .gz: its first bytes tell, whatever its name.

    Raises:
        InputFault: it cannot be read.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.peek(4)[:4]
            if magic == ZSTD:
                with zstandard.ZstdDecompressor().stream_reader(raw) as stream:
                    yield stream  # type: ignore[misc]  # it is a RawIOBase in all but name
            elif magic[:2] == GZIP:
                with gzip.open(raw) as stream:
                    yield stream
            else:
                yield raw
    except OSError as error:
        raise InputFault(f"cannot read {path}: {error.strerror or error}; is it the file you meant?") from error
    except (zstandard.ZstdError, zlib.error, EOFError) as error:
        raise InputFault(f"{path} is damaged: {error}; fetch it again") from error


def chunks(path: Path) -> Iterator[bytes]:
    """The file's plain bytes, piece by piece."""
    with opened(path) as stream:
        while piece := stream.read(CHUNK):
            yield piece


def lines(path: Path) -> Iterator[bytes]:
    """The file's lines."""
    with opened(path) as stream:
        yield from io.BufferedReader(stream)


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
