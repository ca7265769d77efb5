"""Room on the disk: a level below which nothing new is begun, and a reserve from which what was begun is ended."""

import os
import shutil
from pathlib import Path

RESERVE = "reserve"
"""A file that only takes room, in the data folder."""
RESERVE_BYTES = 32 << 20
LOW_BYTES = 1 << 30
"""With less free than this the disk counts as low ..."""
FINE_BYTES = 2 << 30
"""... until there is so much."""


class Room:
    """The room of a data folder.

    Attributes:
        is_low: whether the disk counts as low, as of the last look.

    Args:
        folder: the data folder.
        low_bytes: below it the disk is low.
        fine_bytes: from it on it no longer is.
        reserve_bytes: kept aside while the disk is not low, given up once the free room falls below it.
    """

    def __init__(
        self,
        folder: Path,
        low_bytes: int = LOW_BYTES,
        fine_bytes: int = FINE_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self.folder = folder
        self.low_bytes = low_bytes
        self.fine_bytes = fine_bytes
        self.reserve_bytes = reserve_bytes
        self.is_low = False
        self.free_bytes = 0

    def look(self) -> bool:
        """Look anew; keep or give up the reserve; returns `is_low`."""
        self.free_bytes = shutil.disk_usage(self.folder).free
        if self.free_bytes < self.low_bytes:
            self.is_low = True
        elif self.free_bytes >= self.fine_bytes:
            self.is_low = False
        path = self.folder / RESERVE
        if self.free_bytes < self.reserve_bytes:
            path.unlink(missing_ok=True)
        elif not self.is_low and not path.exists():
            self._keep(path)
        return self.is_low

    def _keep(self, path: Path) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, self.reserve_bytes)
        except OSError:
            path.unlink(missing_ok=True)
        finally:
            os.close(handle)
