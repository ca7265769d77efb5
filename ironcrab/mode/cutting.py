"""Slice: cut a part out of a recording, verified as it is written. It opens with a start state."""

from pathlib import Path

import msgspec
from msgspec import Struct

from ironcrab.domain.fault import InputFault
from ironcrab.log import snapshot
from ironcrab.log.contents import head_before
from ironcrab.log.recording import Recording
from ironcrab.log.snapshot import Snapshot
from ironcrab.mode.states import RUN, encode_states, made_by, restore_states, start_of
from ironcrab.mode.verify import Follower, runs_within


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
    if first >= end:
        raise InputFault(f"recording {recording.path}: nothing to cut between seq {first} and {end}")
    first, end = _turn_start(recording, max(first, recording.first_seq)), _turn_end(recording, end)
    runs = [run for run in runs_within(recording) if run[0] < end]
    if not runs:
        raise InputFault(f"recording {recording.path}: no run opens before seq {end}")
    run_seq, started = max((run for run in runs if run[0] <= first), default=runs[0], key=lambda run: run[0])
    first = max(first, run_seq)
    follower = Follower(started, first)
    opening = start_of(recording)
    if opening is not None:
        restore_states(follower.wiring.reducers, follower.wiring.now, opening[0].states)
    for record in recording.records(seq_to=first):
        follower.fold(record)
    head = head_before(recording, first)
    start = None
    if first > 0:
        states = encode_states(follower.wiring.reducers, follower.wiring.now)
        states[RUN] = msgspec.json.encode(started)
        start = snapshot.save_start(out, Snapshot(first, head, states, made_by(started)), recording.log_id)
    origin = f"slice {first} to {end} of {recording.log_id}"
    with Recording.create(
        out, recording.log_id, first_seq=first, head=head, origin=origin, golden=golden, start=start
    ) as writer:
        for record in recording.records(seq_from=first, seq_to=end):
            follower.fold(record)
            writer.append(record)
    follower.judge.finish()
    return SliceSummary(first, end, end - first, len(follower.judge.divergences()))


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
