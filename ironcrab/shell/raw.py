"""Raw frames kept beside a recording, so that a better decoder can make events of them again.

Files `raw/<seq>.frames`: u32 big-endian length + SubscribeUpdate, `seq` that of the first record behind the file's
first frame. Frames that only repeat what was told before (replays) are left out by the caller, so that the files read
one after another are one stream. They stand outside the chain of the log: caches of the world, not part of it.
"""

from pathlib import Path
from typing import BinaryIO

from ironcrab.domain.fault import DiskFault
from ironcrab.shell.files import RAW, RAW_SUFFIX

FILE_BYTES = 256 << 20
"""A new file begins behind this many bytes."""


class RawFrames:
    """Writes frames beside the recording in `folder`; nothing is synced, `flush` hands all to the kernel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / RAW
        self.folder.mkdir(exist_ok=True)
        self._file: BinaryIO | None = None
        self._bytes = 0

    def append(self, frame: bytes, seq: int) -> None:
        """Keep one frame; `seq` is that of the next record. DiskFault."""
        try:
            if self._file is None or self._bytes > FILE_BYTES:
                self._turn(seq)
            assert self._file is not None
            self._file.write(len(frame).to_bytes(4, "big") + frame)
        except OSError as error:
            raise self._fault(error) from error
        self._bytes += 4 + len(frame)

    def flush(self) -> None:
        """Hand what is buffered to the kernel. DiskFault."""
        try:
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            raise self._fault(error) from error

    def close(self) -> None:
        """Finish the file. DiskFault."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _turn(self, seq: int) -> None:
        self.close()
        path = self.folder / f"{seq:020d}{RAW_SUFFIX}"
        # a resumed log may begin a file at the seq of one that it left: both are kept, in the order of their names
        while path.exists():
            path = path.with_name(f"{path.stem}+{RAW_SUFFIX}")
        self._file = path.open("xb", buffering=1 << 18)
        self._bytes = 0

    def _fault(self, error: OSError) -> DiskFault:
        return DiskFault(
            f"the disk refused the raw frames in {self.folder} ({error.strerror or error}); make room, or record "
            f"without --raw"
        )
