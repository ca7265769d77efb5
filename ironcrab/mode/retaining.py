"""Retain: old segments go, and a start state takes their place, so that the rest replays and verifies."""

import msgspec

from ironcrab.domain.fault import InputFault
from ironcrab.log import manifest
from ironcrab.log import retain as retention
from ironcrab.log.recording import Recording
from ironcrab.log.retain import Plan
from ironcrab.mode.states import RUN, encode_states, made_by, restore_states, start_of
from ironcrab.mode.verify import Follower, runs_within

HOUR_NS = 3_600_000_000_000


def pin(recording: Recording, *, pinned: bool) -> None:
    """Say that retention never shortens a recording, or no longer. DiskFault."""
    manifest.edit(recording.path, lambda listed: msgspec.structs.replace(listed, pinned=pinned))


def retain(recording: Recording, *, max_age_hours: int | None, max_bytes: int | None, dry_run: bool) -> Plan:
    """Drop what is older or more than asked; returns what went, or would go.

    Raises:
        InputFault: no run opens before what stays, so nobody could say the states there.
    """
    max_age_ns = None if max_age_hours is None else max_age_hours * HOUR_NS
    planned = retention.plan(recording, max_age_ns=max_age_ns, max_bytes=max_bytes)
    if dry_run or not planned.segments:
        return planned
    runs = [run for run in runs_within(recording) if run[0] < planned.first_seq]
    if not runs:
        raise InputFault(
            f"recording {recording.path}: no run opens before seq {planned.first_seq}; nothing was dropped"
        )
    seq, started = runs[-1]
    follower = Follower(started, seq)
    opening = start_of(recording)
    if opening is not None:
        restore_states(follower.wiring.reducers, follower.wiring.now, opening[0].states)
    for record in recording.records(seq_to=planned.first_seq):
        follower.fold(record)
    states = encode_states(follower.wiring.reducers, follower.wiring.now)
    states[RUN] = msgspec.json.encode(started)
    retention.drop(recording, planned, states, made_by(started))
    return planned
