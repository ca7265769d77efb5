"""Child processes that are kept alive: what dies is started again, and none outlives its parent."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from ironcrab.domain.fault import Fault
from ironcrab.shell.clock import steady_ns

QUICK_S = 3.0
"""A child that lived shorter than this died at once."""
MOST_QUICK = 8
"""Deaths at once in a row after which there is no sense in starting what has never lived longer."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
STOP_S = 15.0
"""Longest wait for a child that was told to stop."""
_BOUND = (
    "import os, sys\n"
    "if sys.platform == 'linux':\n"
    "    import ctypes\n"
    "    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
    "    if os.getppid() != int(sys.argv[1]):\n"
    "        sys.exit(1)\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)
"""Asks the kernel for SIGKILL when the parent dies, then becomes the command. It runs behind exec, because between fork
and exec of a process with threads nothing may be done. A parent that died before the kernel was asked is told by who is
the parent now."""


def bound(command: Sequence[str]) -> list[str]:
    """The command line of a process that dies with the one that starts it (on Linux)."""
    return [sys.executable, "-c", _BOUND, str(os.getpid()), *command]


class ChildFault(Fault):
    """A child has never lived."""


class Child(Struct, frozen=True):
    """A process to keep alive: its name, its command line, descriptors that it inherits, where it says what ails it."""

    name: str
    command: Sequence[str]
    descriptors: tuple[int, ...] = ()
    log: str | None = None


class Children:
    """Keeps children alive, in the order given; stops them in the order given by `stop`.

    Attributes:
        running: by name.
        deaths: how often each died.

    Args:
        tell: told what happens, one line each.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.deaths: dict[str, int] = {}
        self.keeping: dict[str, asyncio.Task[None]] = {}

    def keep(self, child: Child) -> "asyncio.Task[None]":
        """Start it and keep it alive; the task ends with ChildFault when it never comes to life."""
        task = asyncio.create_task(self._keep(child))
        self.keeping[child.name] = task
        return task

    async def _keep(self, child: Child) -> None:
        quick, pause, has_lived = 0, FIRST_PAUSE_S, False
        while True:
            began = steady_ns()
            process = await asyncio.create_subprocess_exec(
                *bound(child.command), start_new_session=True, pass_fds=child.descriptors
            )
            self.running[child.name] = process
            code = await process.wait()
            self.deaths[child.name] = self.deaths.get(child.name, 0) + 1
            is_quick = steady_ns() - began < QUICK_S * 1e9
            quick, pause = (quick + 1, min(pause * 2, LONGEST_PAUSE_S)) if is_quick else (0, FIRST_PAUSE_S)
            has_lived = has_lived or not is_quick
            if quick >= MOST_QUICK and not has_lived:
                told = "" if child.log is None else f"; see {child.log}"
                raise ChildFault(f"{child.name} ended {quick} times in a row right after its start (code {code}){told}")
            self.tell(f"{child.name} ended with code {code}; it is started again")
            await asyncio.sleep(pause)

    async def stop(self, *names: str) -> None:
        """Stop these and wait for them; who does not end in time is killed."""
        for name in names:
            task = self.keeping.pop(name, None)
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        processes = [process for name in names if (process := self.running.pop(name, None)) is not None]
        for process in processes:
            _send(process, signal.SIGTERM)
        await asyncio.gather(*(_ended(process) for process in processes))


async def _ended(process: Any) -> None:
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        _send(process, signal.SIGKILL)
        await process.wait()


def _send(process: Any, number: signal.Signals) -> None:
    if process.returncode is None:
        try:
            process.send_signal(number)
        except ProcessLookupError:
            return
