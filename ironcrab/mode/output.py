"""A new folder is whole or absent: it is written beside its name and takes it at the end."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ironcrab.domain.fault import InputFault


@contextmanager
def fresh_folder(out: Path) -> Iterator[Path]:
    """A scratch folder beside `out` that becomes `out` when all went well and is removed when not.

    Raises:
        InputFault: `out` exists, or its parent cannot be written.
    """
    if out.exists():
        raise InputFault(f"--out {out} exists; name a new folder")
    scratch = out.with_name(f".{out.name}.partial")
    if scratch.exists():
        shutil.rmtree(scratch)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputFault(f"cannot make {out.parent}: {error.strerror}; name another folder") from error
    try:
        yield scratch
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    scratch.rename(out)
