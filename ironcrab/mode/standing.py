"""Standing at a seq: the reducers of a run with the states they had there, from the nearest snapshot."""

from collections.abc import Iterator

from ironcrab.domain.control import RunStarted
from ironcrab.domain.fault import InputFault
from ironcrab.log import snapshot
from ironcrab.log.contents import head_before
from ironcrab.log.recording import Recording
from ironcrab.log.snapshot import DEEPEST, Snapshot
from ironcrab.mode.run import source
from ironcrab.mode.states import encode_states, made_by, restore_states, start_of
from ironcrab.mode.verify import Follower, runs_within


def run_at(recording: Recording, seq: int) -> tuple[int, RunStarted]:
    """The run whose reducers fold record `seq`: (first seq, run-started); InputFault where none is open there."""
    runs = [run for run in runs_within(recording) if run[0] <= seq and run[1].reducers]
    if not runs:
        raise InputFault(f"recording {recording.path}: no run is open at seq {seq}; make one with: ironcrab run --help")
    return runs[-1]


def market_start(recording: Recording, seq: int) -> int:
    """The first seq at or after `seq` that opens a turn of the market itself; the end where there is none."""
    for record in recording.records(seq_from=seq):
        if any(source((record,))):
            return record.seq
    return recording.next_seq


def stand(recording: Recording, seq: int) -> Follower:
    """The follower of the run at `seq` with all records below it folded.

    Snapshots made by this code and config are used; with other code everything is folded anew.

    Raises:
        InputFault: no run is open there.
    """
    first, started = run_at(recording, max(recording.first_seq, seq - 1))
    follower = Follower(started, first)
    opening = start_of(recording)
    found = None if follower.code_differs else snapshot.nearest(recording, seq, made_by(started))
    if found is None and opening is not None:
        found = opening[0]
    begin = recording.first_seq
    if found is not None:
        restore_states(follower.wiring.reducers, follower.wiring.now, found.states)
        begin = found.seq
    for _ in follower.loop.follow(recording.records(None, begin, seq)):
        pass
    return follower


def mend(recording: Recording, seq: int | None = None) -> Iterator[str]:
    """Make damaged snapshots anew, all or those in the way to `seq`; the names of those made.

    One that this code cannot make (the run is another code's, or ends before it) goes: it is a cache.

    Raises:
        DiskFault: it cannot be written; the damaged one stands.
    """
    for path in snapshot.broken(recording, seq):
        at = snapshot.seq_of(path)
        if not recording.first_seq < at <= recording.next_seq:
            path.unlink()
            continue
        _, started = run_at(recording, at - 1)
        follower = stand(recording, at)
        if follower.code_differs:
            path.unlink()
            continue
        states, meta = encode_states(follower.loop.reducers, follower.wiring.now), made_by(started)
        below = snapshot.nearest(recording, at - 1, meta)
        base = below if below is not None and below.depth + 1 < DEEPEST else None
        depth = 0 if base is None else base.depth + 1
        snapshot.save(recording, Snapshot(at, head_before(recording, at), states, meta, depth), base)
        yield path.name
