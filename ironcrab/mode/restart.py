"""Going on with a log: fold what it holds as `follow` does, finish the turn that a crash cut off, let outlets know.

The reducers of the new run fold the whole log, or go on from the newest states that equal reducers and settings left.
What they would say about the last turn and the log does not hold is appended only where code and config are those of
the interrupted run; a changed strategy does not speak for the past.
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from ironcrab.dex.message import LOOKUP_TABLES
from ironcrab.domain.control import RunEnded, RunStarted, WordsAbandoned
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten
from ironcrab.log import snapshot
from ironcrab.log.contents import Runs
from ironcrab.log.recording import Recording
from ironcrab.log.snapshot import Snapshot
from ironcrab.loop import Loop, Outlet, Record
from ironcrab.mode.states import made_by, restore_states, start_of
from ironcrab.mode.wiring import Wiring

SEEN_BACK = 100_000
"""Records before the fold's beginning that outlets are shown: prices, signatures and asks of the last minutes."""


class Restarted(Struct, frozen=True):
    """What the log held.

    Attributes:
        folded: records folded.
        finished: words of the last turn that were appended.
        gap: seq of the GapOpened that is open; None: none.
    """

    folded: int
    finished: int
    gap: int | None


def equals(one: RunStarted, other: RunStarted) -> bool:
    """Whether two runs have the same reducers, settings and outlets: then they speak alike."""
    return (one.reducers, _values(one), one.outlets) == (other.reducers, _values(other), other.outlets)


def _values(started: RunStarted) -> dict[str, str]:
    return {setting.key: setting.value for setting in started.settings}


def nearest(recording: Recording, runs: Runs, mine: RunStarted) -> Snapshot | None:
    """The newest states that reducers equal to those of `mine` left; `runs` are those of the recording."""
    found: Snapshot | None = None
    for started in {made_by(run)["made_by"]: run for _, run in runs if equals(run, mine)}.values():
        one = snapshot.nearest(recording, recording.next_seq, made_by(started))
        if one is not None and (found is None or one.seq > found.seq):
            found = one
    return found


def drop_beyond(recording: Recording) -> None:
    """Remove states of records that the log lost: others will stand at those seqs."""
    for path in snapshot.files(recording):
        if path.name > f"snap-{recording.next_seq:020d}.zst":
            path.unlink()


def restart(
    recording: Recording, runs: Runs, mine: RunStarted, wiring: Wiring, loop: Loop, outlets: Sequence[Outlet]
) -> Restarted:
    """Bring `wiring` and `outlets` to where the log stands, and end its last turn. DamageFault, DiskFault.

    Args:
        recording: the log, recovered.
        runs: its runs, at least one.
        mine: what the new run will say of itself.
        wiring: fresh.
        loop: over its reducers; appends to the log.
        outlets: fresh; those that a finished word reaches are shown it by the loop's `append`.
    """
    drop_beyond(recording)
    opening = start_of(recording)
    states = nearest(recording, runs, mine)
    if states is None and opening is not None:
        states = opening[0]
    begin = recording.first_seq
    if states is not None:
        restore_states(wiring.reducers, wiring.now, states.states)
        begin = max(begin, states.seq)
    _show(recording, wiring, outlets, begin)
    turn = Turn()
    for record in recording.records(seq_from=begin):
        for outlet in outlets:
            outlet.see(record)
        turn.fold(record, loop.fold(record))
    last = runs[-1][1]
    same = equals(last, mine)
    finished = 0
    if turn.is_broken or not same:
        if not turn.has_ended:
            why = "code or config changed" if not same else "what is said now differs from what the log holds"
            loop.take(WordsAbandoned(last.run, loop.seq, why), wiring.now.time)
    else:
        finished = _finish(turn, loop)
    show_tables(wiring, outlets)
    gap = next(reversed(wiring.known.pools.state.gaps.values()), None)
    return Restarted(recording.next_seq - begin, finished, gap)


def _show(recording: Recording, wiring: Wiring, outlets: Sequence[Outlet], end: int) -> None:
    """Show the outlets what stands before `end`, back to the oldest ask that is open."""
    begin = min([end - SEEN_BACK, *wiring.engine.state.asks])
    if outlets and end > recording.first_seq:
        for record in recording.records(seq_from=max(begin, recording.first_seq), seq_to=end):
            for outlet in outlets:
                outlet.see(record)


def show_tables(wiring: Wiring, outlets: Sequence[Outlet]) -> None:
    """Show the outlets the lookup tables as the state knows them: their records may stand before what is shown.

    A plan that names a table of long ago could not be signed otherwise. Those of before a gap are shown too, for an
    ask that is open may name them.
    """
    for address, row in wiring.known.pools.accounts.rows.items():
        if row.owner == LOOKUP_TABLES:
            told = AccountWritten(
                address, row.owner, row.lamports, row.data, slot=row.slot, write_version=row.write_version
            )
            for outlet in outlets:
                outlet.see(Record(row.seq, None, None, wiring.now.time, told))


class Turn:
    """The newest turn of a log: what was said in it and is not recorded yet.

    Attributes:
        waiting: (cause, time, by, event) in the order they were said.
        is_broken: something else is recorded than was said.
        has_ended: the newest record is a run's last one.
    """

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, int, str, Event]] = deque()
        self.is_broken = False
        self.has_ended = False

    def fold(self, record: Record, said: Sequence[tuple[str, Event]]) -> None:
        """Note a record of the log and what was said about it."""
        waiting = self.waiting
        if record.cause is None:
            waiting.clear()
            self.is_broken = False
            self.has_ended = isinstance(record.event, RunEnded)
        elif waiting and (waiting[0][0], waiting[0][2], waiting[0][3]) == (record.cause, record.by, record.event):
            waiting.popleft()
        else:
            self.is_broken = True
        waiting.extend((record.seq, record.time, by, event) for by, event in said)


def _finish(turn: Turn, loop: Loop) -> int:
    """Append what was said and not recorded, and what follows from it; how many."""
    waiting, count = turn.waiting, 0
    while waiting:
        cause, time, by, event = waiting.popleft()
        record = loop.record(event, cause, by, time)
        waiting.extend((record.seq, time, name, word) for name, word in loop.fold(record))
        count += 1
    return count
