"""Stepping through a recording, forwards and backwards, with the reducers' states at hand.

Forwards folds one record more. Backwards stands anew a little earlier: from a checkpoint kept on the way, else from a
snapshot of the recording.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
from ironcrab.mode.standing import run_at, stand
from ironcrab.mode.states import encode_states, restore_states

CHECKPOINT = 2_000
"""Records between two checkpoints."""
MOST_CHECKPOINTS = 32
"""Checkpoints kept; beyond it every other one goes."""
CHUNK = 512
"""Records read at a time around the place."""


class Said(Struct, frozen=True):
    """One word of a reducer about the record just folded, and whether the recording holds the same one."""

    by: str
    event: Event
    recorded: bool


class Stepper:
    """Stands after record `seq`: it was folded last.

    Args:
        recording: what is stepped through.
        seq: where to stand first; None: at the first record of which a run is open.

    Raises:
        InputFault: no run is open anywhere, or the recording holds no such seq.
    """

    def __init__(self, recording: Recording, seq: int | None = None) -> None:
        self.recording = recording
        first = recording.first_seq
        self.seq = first if seq is None else seq
        self.checkpoints: dict[int, dict[str, bytes]] = {}
        self.chunk: list[Record] = []
        self.said: tuple[Said, ...] = ()
        self.run = run_at(recording, self._within(self.seq))
        self.follower = stand(recording, self.seq)
        self._fold()

    def _within(self, seq: int) -> int:
        if not self.recording.first_seq <= seq < self.recording.next_seq:
            last = self.recording.next_seq - 1
            raise InputFault(f"{self.recording.path} holds seq {self.recording.first_seq} to {last}, not {seq}")
        return seq

    @property
    def reducers(self) -> tuple[str, ...]:
        """Names of the reducers whose state can be seen."""
        return tuple(reducer.name for reducer in self.follower.loop.reducers)

    @property
    def record(self) -> Record:
        """The record folded last."""
        return self.at(self.seq)

    def at(self, seq: int) -> Record:
        """A record near the place; read in chunks."""
        if not self.chunk or not self.chunk[0].seq <= seq <= self.chunk[-1].seq:
            begin = max(self.recording.first_seq, seq - CHUNK // 2)
            self.chunk = list(self.recording.records(None, begin, begin + CHUNK))
        return self.chunk[seq - self.chunk[0].seq]

    def around(self, before: int, after: int) -> Iterator[Record]:
        """The records from `before` ones earlier to `after` ones later, as far as there are any."""
        low = max(self.recording.first_seq, self.seq - before)
        for seq in range(low, min(self.recording.next_seq, self.seq + after + 1)):
            yield self.at(seq)

    def state(self, name: str) -> Any:
        """The state of a reducer as plain values (what a snapshot would hold)."""
        reducer = next(reducer for reducer in self.follower.loop.reducers if reducer.name == name)
        return msgspec.json.decode(msgspec.json.encode(reducer.state))

    def forward(self, count: int = 1) -> bool:
        """Fold so many records more; False where the end came first."""
        for _ in range(count):
            if self.seq + 1 >= self.recording.next_seq:
                return False
            if self.seq + 1 == self.next_run:
                self.go(self.seq + 1)
                continue
            self.seq += 1
            self._fold()
        return True

    @property
    def next_run(self) -> int | None:
        """First seq of the run after the one stood in; its reducers are others."""
        following = run_at(self.recording, min(self.seq + 1, self.recording.next_seq - 1))
        return following[0] if following[0] != self.run[0] else None

    def back(self, count: int = 1) -> bool:
        """Stand so many records earlier; False where the beginning came first."""
        target = self.seq - count
        self.go(max(self.recording.first_seq, target))
        return target >= self.recording.first_seq

    def go(self, seq: int) -> None:
        """Stand at any record. InputFault where there is none."""
        run = run_at(self.recording, self._within(seq))
        near = max((at for at in self.checkpoints if at <= seq), default=None)
        if run == self.run and near is not None:
            restore_states(self.follower.loop.reducers, self.follower.wiring.now, self.checkpoints[near])
            for _ in self.follower.loop.follow(self.recording.records(None, near, seq)):
                pass
        else:
            self.checkpoints = self.checkpoints if run == self.run else {}
            self.follower = stand(self.recording, seq)
        self.run, self.seq = run, seq
        self._fold()

    def search(self, holds: Callable[[Record], bool], *, backwards: bool = False) -> bool:
        """Go to the next (or the last) record for which a condition holds; False: there is none, and nothing moved."""
        found = None
        if backwards:
            for record in self.recording.records(None, self.recording.first_seq, self.seq):
                found = record.seq if holds(record) else found
        else:
            matching = (record.seq for record in self.recording.records(None, self.seq + 1) if holds(record))
            found = next(matching, None)
        if found is not None:
            self.go(found)
        return found is not None

    def _fold(self) -> None:
        """Fold the record at `seq` and hold what is said about it against the recording."""
        if not self.seq % CHECKPOINT and self.seq not in self.checkpoints:
            self._keep()
        record = self.at(self.seq)
        words = self.follower.loop.fold(record)
        self.said = tuple(self._compared(record.seq, words)) if words else ()

    def _keep(self) -> None:
        self.checkpoints[self.seq] = encode_states(self.follower.loop.reducers, self.follower.wiring.now)
        if len(self.checkpoints) > MOST_CHECKPOINTS:
            for seq, _ in list(pairwise(sorted(self.checkpoints)))[::2]:
                del self.checkpoints[seq]

    def _compared(self, seq: int, words: Any) -> Iterator[Said]:
        recorded: dict[str, list[Event]] = {}
        for record in self.recording.records(None, seq + 1, min(seq + CHUNK, self.recording.next_seq)):
            if record.cause == seq and record.by is not None:
                recorded.setdefault(record.by, []).append(record.event)
        for name, word in words:
            waiting = recorded.get(name, [])
            yield Said(name, word, recorded=bool(waiting) and waiting.pop(0) == word)
