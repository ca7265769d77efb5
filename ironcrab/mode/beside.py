"""What goes on beside a live log in a process of its own: sealing, states, retention. The hot path knows nothing of it.

The process reads the log as any reader does. States are made by folding: from the newest ones on, up to the last whole
turn, so that a restart begins there.
"""

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

from ironcrab.domain.control import RunStarted
from ironcrab.domain.fault import Fault
from ironcrab.log import snapshot
from ironcrab.log.contents import head_before
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.log.snapshot import Snapshot
from ironcrab.mode.restart import nearest
from ironcrab.mode.retaining import retain
from ironcrab.mode.states import encode_states, made_by, restore_states, start_of
from ironcrab.mode.verify import Follower, runs_within

STATES_EVERY = 25_000
"""Records between two states: folding so many takes a restart about a second."""
LONGEST_TURN = 4_096
"""Records looked at backwards for the beginning of the last turn."""
KEPT_STATES = 3
"""Newest states that stay; older ones go."""
NICE = 10
_PR_SET_PDEATHSIG = 1


def tend(folder: str, margin: int, keep_hours: int | None = None) -> None:
    """Seal what is closed, leave states, drop what is too old. A fault ends it: the next one tries again."""
    os.nice(NICE)
    if sys.platform == "linux":
        # who started us may be killed: then nobody works on a log that its next session opens
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        seal(folder)
        leave_states(Recording.open(folder), margin)
        if keep_hours is not None:
            retain(Recording.open(folder), max_age_hours=keep_hours, max_bytes=None, dry_run=False)
    except Fault as fault:
        sys.stderr.write(f"beside the log: {fault}\n")


def leave_states(recording: Recording, margin: int = 0) -> int | None:
    """Write the states at the beginning of the last turn; the seq, None: nothing to do, or not by this code.

    States stand where nothing that was said waits to be recorded. In a log of one process each turn begins so; of one
    that several wrote the first such place within the last `margin` records is taken.
    """
    runs = runs_within(recording)
    end = _last_turn(recording)
    if not runs or end is None:
        return None
    _, started = runs[-1]
    follower = Follower(started, runs[-1][0])
    if follower.code_differs:
        return None
    states, opening = nearest(recording, runs, started), start_of(recording)
    if states is None and opening is not None:
        states = opening[0]
    begin = recording.first_seq if states is None else states.seq
    if states is not None:
        restore_states(follower.wiring.reducers, follower.wiring.now, states.states)
    seq = _fold_to_rest(recording, follower, begin, max(begin + 1, end - margin))
    if seq is None:
        return None
    encoded = encode_states(follower.wiring.reducers, follower.wiring.now)
    snapshot.save(recording, Snapshot(seq, head_before(recording, seq), encoded, made_by(started)))
    for old in snapshot.files(recording)[:-KEPT_STATES]:
        old.unlink()
    return seq


def _fold_to_rest(recording: Recording, follower: Follower, begin: int, wanted: int) -> int | None:
    """Fold up to the first world record from `wanted` on before which every word is recorded; its seq."""
    names = [reducer.name for reducer in follower.loop.reducers]
    waiting: dict[tuple[int, str], int] = {}
    for record in recording.records(seq_from=begin):
        if record.cause is None:
            if record.seq >= wanted and not waiting:
                return record.seq
        elif record.by in names:
            _count(waiting, (record.cause, record.by), -1)
        if isinstance(record.event, RunStarted):
            waiting.clear()
        for name, _ in follower.said(record):
            _count(waiting, (record.seq, name), 1)
    return None


def _count(waiting: dict[tuple[int, str], int], key: tuple[int, str], by: int) -> None:
    waiting[key] = waiting.get(key, 0) + by
    if not waiting[key]:
        del waiting[key]


def _last_turn(recording: Recording) -> int | None:
    """Seq of the newest world record among the last ones."""
    worlds = (
        record.seq
        for record in recording.loose(max(recording.first_seq, recording.next_seq - LONGEST_TURN))
        if record.cause is None
    )
    return max(worlds, default=None)


class Beside:
    """Starts the process where there is something to do and none is at work.

    Args:
        folder: the recording.
        keep_hours: older segments go; None: none.
        states_every: records between two states.
        margin: as of `leave_states`.
    """

    def __init__(
        self, folder: Path, keep_hours: int | None = None, states_every: int = STATES_EVERY, margin: int = 0
    ) -> None:
        self.folder = folder
        self.keep_hours = keep_hours
        self.states_every = states_every
        self.margin = margin
        self._segments = 0
        self._seq: int | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def look(self, closed_segments: int, next_seq: int) -> None:
        """Look how far the log has come."""
        if self._seq is None:
            self._seq = next_seq
        if self._process is not None and self._process.returncode is None:
            return
        if closed_segments > self._segments or next_seq - self._seq >= self.states_every:
            self._segments, self._seq = closed_segments, next_seq
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "import sys; from ironcrab.mode.beside import tend; tend(sys.argv[1], *map(int, sys.argv[2:]))",
                str(self.folder),
                str(self.margin),
                *(() if self.keep_hours is None else (str(self.keep_hours),)),
                start_new_session=True,
            )

    async def finished(self) -> None:
        """Wait for the process that is at work."""
        if self._process is not None:
            await self._process.wait()
