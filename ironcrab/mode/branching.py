"""Branch: what if, from this moment on, the parameters had been others.

The branch is a recording that opens with the states at that moment and a run-started event of its own, and goes on over
the market that was recorded. The paper world is shown everything before, so that it owes what it owed.
"""

from pathlib import Path

import msgspec
from blake3 import blake3

from ironcrab.domain.control import RunStarted
from ironcrab.domain.fault import InputFault, ScenarioFault
from ironcrab.log import snapshot
from ironcrab.log.contents import head_before
from ironcrab.log.recording import Recording
from ironcrab.log.session import Session
from ironcrab.log.snapshot import Snapshot
from ironcrab.mode.run import Progress, RunSummary, Written, outlets_of, source, with_ticks
from ironcrab.mode.scenario import read_back
from ironcrab.mode.standing import market_start, run_at, stand
from ironcrab.mode.states import RUN, encode_states, made_by, restore_states
from ironcrab.mode.wiring import columns_of, started

OPENING = "wallet."
"""Parameters that only the opening of a run reads."""


class BranchSummary(RunSummary, frozen=True):
    """What a branch wrote; it left its recording before record `branched_at`."""

    branched_at: int


def branch(
    recording: Recording,
    seq: int,
    overrides: tuple[tuple[str, str], ...],
    out: Path,
    progress: Progress = None,
) -> BranchSummary:
    """Write the branch that leaves `recording` at `seq` (moved to the next market record) to the new folder `out`.

    Raises:
        InputFault: no run is open there, or no market follows.
        ScenarioFault: a parameter that does not exist, is out of range, or matters only when a run opens.
    """
    if not recording.first_seq <= seq < recording.next_seq:
        last = recording.next_seq - 1
        raise InputFault(f"--at {seq}: {recording.path} holds seq {recording.first_seq} to {last}")
    late = next((key for key, _ in overrides if key.startswith(OPENING)), None)
    if late is not None:
        raise ScenarioFault(f"--set {late}: a wallet is told when a run opens; make a whole run with that wallet")
    _, old = run_at(recording, seq)
    first = market_start(recording, seq)
    if first == recording.next_seq:
        raise InputFault(f"--at {seq}: no market event follows in {recording.path}; name an earlier seq")
    scenario = read_back(old, overrides)
    before = stand(recording, first)
    states = encode_states(before.wiring.reducers, before.wiring.now)
    outlets = outlets_of(scenario)
    for record in recording.records(seq_to=first, columns=columns_of(outlets)) if outlets else ():
        for outlet in outlets:
            outlet.see(record)
    name = f"{recording.log_id}@{first}"
    session = _session(recording, old, first, states, (out, _log_id(name, scenario.settings)))
    with Written(out, name, scenario, outlets, session) as written:
        drive = written.drive
        restore_states(drive.wiring.reducers, drive.wiring.now, states)
        drive.started = started(scenario, drive.wiring, old.run + 1, old.generations)
        since = drive.wiring.now.time
        drive.take(drive.started, since)
        for time, event in with_ticks(source(recording.records(seq_from=first)), since):
            drive.take(event, time)
            written.rest(progress)
        drive.close()
        told = written.summary()
    return BranchSummary(session.log_id, told.records - first, told.derived, told.digest, told.counts, first)


def _log_id(name: str, settings: object) -> str:
    return blake3(b"ironcrab branch\0" + name.encode() + b"\0" + msgspec.json.encode(settings)).hexdigest(length=16)


def _session(
    recording: Recording, old: RunStarted, first: int, states: dict[str, bytes], target: tuple[Path, str]
) -> Session:
    """The new recording, anchored to the old one's chain where it leaves it."""
    out, log_id = target
    head = head_before(recording, first)
    kept = {**states, RUN: msgspec.json.encode(old)}
    start = snapshot.save_start(out, Snapshot(first, head, kept, made_by(old)), recording.log_id)
    origin = f"branch of {recording.log_id} at {first}"
    return Recording.create(out, log_id, first_seq=first, head=head, start=start, origin=origin)
