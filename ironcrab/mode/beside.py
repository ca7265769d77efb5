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


def tend(folder: str, keep_hours: int | None = None) -> None:
    """Seal what is closed, leave states, drop what is too old. A fault ends it: the next one tries again."""
    os.nice(NICE)
    if sys.platform == "linux":
        # who started us may be killed: then nobody works on a log that its next session opens
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        seal(folder)
        leave_states(Recording.open(folder))
        if keep_hours is not None:
            retain(Recording.open(folder), max_age_hours=keep_hours, max_bytes=None, dry_run=False)
    except Fault as fault:
        sys.stderr.write(f"beside the log: {fault}\n")


def leave_states(recording: Recording) -> int | None:
    """Write the states at the beginning of the last turn; the seq, None: nothing to do, or not by this code."""
    runs = runs_within(recording)
    end = _last_turn(recording)
    if not runs or end is None:
        return None
    seq, started = runs[-1]
    follower = Follower(started, seq)
    if follower.code_differs:
        return None
    states, opening = nearest(recording, runs, started), start_of(recording)
    if states is None and opening is not None:
        states = opening[0]
    begin = recording.first_seq if states is None else states.seq
    if states is not None:
        restore_states(follower.wiring.reducers, follower.wiring.now, states.states)
    for record in recording.records(seq_from=begin, seq_to=end):
        follower.said(record)
    encoded = encode_states(follower.wiring.reducers, follower.wiring.now)
    snapshot.save(recording, Snapshot(end, head_before(recording, end), encoded, made_by(started)))
    for old in snapshot.files(recording)[:-KEPT_STATES]:
        old.unlink()
    return end


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
    """

    def __init__(self, folder: Path, keep_hours: int | None = None, states_every: int = STATES_EVERY) -> None:
        self.folder = folder
        self.keep_hours = keep_hours
        self.states_every = states_every
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
                *(() if self.keep_hours is None else (str(self.keep_hours),)),
                start_new_session=True,
            )

    async def finished(self) -> None:
        """Wait for the process that is at work."""
        if self._process is not None:
            await self._process.wait()
