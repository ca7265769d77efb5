"""Slice: cut a part out of a recording, verified as it is written. It opens with a start state."""

from pathlib import Path

from msgspec import Struct

from ironcrab.domain.fault import InputFault
from ironcrab.log.recording import Recording
from ironcrab.mode.states import encode_states, restore_states
from ironcrab.mode.verify import Follower, runs_of


class SliceSummary(Struct, frozen=True):
    """What was cut: seqs from (included) and to (excluded), records, divergences met while it was written."""

    first_seq: int
    next_seq: int
    records: int
    diverged: int


def seq_at_slot(recording: Recording, slot: int) -> int:
    """The first seq whose world record stands in `slot` or above; the end where there is none."""
    for record in recording.records():
        at = getattr(record.event, "slot", None)
        if record.cause is None and at is not None and at >= slot:
            return record.seq
    return recording.next_seq


def seq_at_time(recording: Recording, time: int) -> int:
    """The first seq at `time` (ns) or later; the end where there is none."""
    return next((record.seq for record in recording.records() if record.time >= time), recording.next_seq)


def around(recording: Recording, seq: int, spread: int) -> tuple[int, int]:
    """Bounds of the turns `spread` records before and after a seq."""
    return max(recording.first_seq, seq - spread), min(recording.next_seq, seq + spread + 1)


def cut(recording: Recording, first: int, end: int, out: Path, *, golden: bool) -> SliceSummary:
    """Write the records from `first` (moved to its turn's beginning) to `end` (moved to its turn's end).

    Raises:
        InputFault: nothing lies between the bounds, or no run opens at or before them.
    """
    runs = [(seq, started) for seq, started in runs_of(recording) if seq < end]
    if first >= end or not runs:
        raise InputFault(f"recording {recording.path}: nothing to cut between seq {first} and {end}")
    run_seq, started = max((run for run in runs if run[0] <= first), default=runs[0], key=lambda run: run[0])
    first = _turn_start(recording, first)
    end = _turn_end(recording, end)
    follower = Follower(started, max(first, run_seq))
    state = recording.start_state()
    if state is not None:
        restore_states(follower.wiring.reducers, follower.wiring.now, state)
    first = max(first, run_seq)
    for record in recording.records(seq_to=first):
        follower.fold(record)
    written = 0
    states = encode_states(follower.wiring.reducers, follower.wiring.now)
    anchor = recording.head_before(first)
    with Recording.create(
        out,
        recording.log_id,
        origin=f"slice {first}..{end} of {recording.log_id}",
        first_seq=first,
        previous_head=anchor,
        start_state=None if first == run_seq else states,
        opened_by=None if first == run_seq else started,
    ) as writer:
        for record in recording.records(seq_from=first, seq_to=end):
            follower.fold(record)
            writer.append(record)
            written += 1
        if golden:
            writer.mark_golden()
    follower.judge.finish()
    return SliceSummary(first, end, written, len(follower.judge.divergences()))


def _turn_start(recording: Recording, seq: int) -> int:
    """The world record at or before `seq` that opens its turn."""
    while seq > recording.first_seq and recording.record(seq).cause is not None:
        seq -= 1
    return seq


def _turn_end(recording: Recording, end: int) -> int:
    """The first seq at or after `end` that opens a turn."""
    while end < recording.next_seq and recording.record(end).cause is not None:
        end += 1
    return end
