"""What the environment may say: colour, tracebacks, and where recordings lie. Nothing that decides comes from here."""

import os
from collections.abc import Mapping
from pathlib import Path


def wants_color(is_terminal: bool) -> bool:
    """NO_COLOR wins, then FORCE_COLOR, then whether stdout is a terminal."""
    if os.environ.get("NO_COLOR"):  # noqa: TID251 - settings are this module's job
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal  # noqa: TID251 - settings are this module's job


def wants_traceback() -> bool:
    """IRONCRAB_TRACEBACK: an unforeseen fault shows its traceback beside its sentence."""
    return bool(os.environ.get("IRONCRAB_TRACEBACK"))  # noqa: TID251 - settings are this module's job


def recordings_home() -> Path:
    """Where goldens are looked for: IRONCRAB_RECORDINGS, else ./recordings."""
    return Path(os.environ.get("IRONCRAB_RECORDINGS") or "recordings")  # noqa: TID251 - settings are this module's job


def quiet_grpc() -> None:
    """The own lines of gRPC would stand between ours on stderr; GRPC_VERBOSITY brings them back."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # noqa: TID251 - settings are this module's job


def environment() -> Mapping[str, str]:
    """All of it, for the one question whether a signing key lies in it (invariant I-3)."""
    return dict(os.environ)  # noqa: TID251 - settings are this module's job
