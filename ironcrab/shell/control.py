"""The operator's word to a running session: one JSON line over a socket that its owner alone may use, one line back."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ironcrab.domain.fault import InputFault

SUFFIX = ".sock"
"""A session's socket is `<scenario>.sock` in its data folder."""
KILL_FILE = "KILL"
"""While a file of this name lies in the data folder, the kill switch is on."""
MOST_PATH = 100
"""Bytes of a socket's path that every system takes."""
MOST_LINE = 1 << 16
TIMEOUT_S = 10.0
OWNER_ONLY = 0o077
"""What is masked off the mode of the socket."""


class Request(Struct, frozen=True):
    """What the operator wants: kill (a reason, whether to liquidate), reset, or set (settings by key)."""

    kind: Literal["kill", "reset", "set"]
    reason: str | None = None
    liquidate: bool = False
    settings: dict[str, str] = {}


class Reply(Struct, frozen=True):
    """Whether it was done, in words; the record that says so, which is durable; None: nothing was recorded."""

    ok: bool
    text: str
    seq: int | None = None


class Control:
    """Listens on the socket at `path`; `answer` performs a request.

    The caller holds the log's lock: a socket that lies there already was left by a process that is gone.
    """

    def __init__(self, path: Path, answer: Callable[[Request], Awaitable[Reply]]) -> None:
        self.path = path
        self.answer = answer
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen. InputFault where the path is too long or the folder refuses."""
        if len(os.fsencode(self.path)) > MOST_PATH:
            raise InputFault(f"the path of the control socket {self.path} is too long; give a shorter --data")
        self.path.unlink(missing_ok=True)
        before = os.umask(OWNER_ONLY)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=MOST_LINE)
        except OSError as error:
            raise InputFault(f"cannot listen at {self.path} ({error.strerror}); give another --data") from error
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening; the socket goes."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            try:
                line = await reader.readuntil(b"\n")
                reply = await self.answer(msgspec.json.decode(line, type=Request))
            except msgspec.DecodeError as error:
                reply = Reply(ok=False, text=f"the request is none: {error}")
            except asyncio.LimitOverrunError:
                reply = Reply(ok=False, text=f"the request is none: more than {MOST_LINE} bytes")
            writer.write(msgspec.json.encode(reply) + b"\n")
            await writer.drain()
        writer.close()


def listening(data: Path) -> list[Path]:
    """The sockets of a data folder, by name."""
    return sorted(data.glob(f"*{SUFFIX}"))


def ask(path: Path, request: Request) -> Reply | None:
    """A session's reply; None: nobody listens there.

    Raises:
        InputFault: the socket is another user's, or the session does not answer in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(TIMEOUT_S)
        try:
            line.connect(os.fspath(path))
            line.sendall(msgspec.json.encode(request) + b"\n")
            return msgspec.json.decode(line.makefile("rb").readline(), type=Reply)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise InputFault(f"the session at {path} does not answer ({error}); is it yours, and alive?") from error
