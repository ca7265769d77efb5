"""Follow a recording: fold it again and compare every derived record with what the code says now.

Each run of a log is judged with the code at hand. That its code is not the code that made the run is reported;
that a decision differs is a divergence.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from traceback import walk_tb

from msgspec import Struct

from ironcrab.domain.control import RunEnded, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.fault import Fault
from ironcrab.log.compare import Divergence, Judge
from ironcrab.log.contents import Runs, runs_of
from ironcrab.log.passing import Passed, one_by_one
from ironcrab.log.recording import Recording
from ironcrab.loop import Loop, Record
from ironcrab.mode.scenario import loadable, read_back
from ironcrab.mode.states import restore_states, start_of
from ironcrab.mode.wiring import Wiring, columns_of, infos, let_pass, pools_of

TOLD = 4_096
"""Records between two words of progress."""


class RunReport(Struct, frozen=True):
    """One run judged: from which seq, how many derived records, how many recomputed and equal, what differs.

    Words that are `unfinished` (said after the last one of their reducer that is recorded, in a run that did not come
    to its end) are counted apart from those recomputed.
    """

    run: int
    scenario: str
    first_seq: int
    derived: int
    recomputed: int
    equal: int
    unfinished: int
    digest: str
    code_differs: tuple[str, ...]
    not_judged: dict[str, int]
    divergences: tuple[Divergence, ...]


class Report(Struct, frozen=True):
    """A recording followed: records in all, the head of its chain, each run's report.

    `verdict` is identical, diverged or not judged.
    """

    recording: str
    log_id: str
    records: int
    head: str
    verdict: str
    runs: tuple[RunReport, ...]


def never_append(record: Record) -> None:
    """Follow appends nothing."""
    raise AssertionError(f"follow appended seq {record.seq}")


class Follower:
    """Folds recorded records through the reducers of one run and judges what they say.

    Args:
        started: the run whose reducers fold.
        judged_from: words at seqs below are folded and not judged (an earlier run said them).
    """

    def __init__(self, started: RunStarted, judged_from: int) -> None:
        self.wiring = Wiring(read_back(loadable(started)))
        made_by = {info.name: info for info in started.reducers}
        loaded = tuple(reducer for reducer in self.wiring.reducers if reducer.name in made_by)
        self.loop = Loop(loaded, never_append, self.wiring.now)
        let_pass(self.loop, self.wiring.engine)
        self.judged_from = judged_from
        self.judge = Judge(tuple(reducer.name for reducer in loaded))
        self.code_differs = tuple(
            info.name
            for info in infos(self.wiring.reducers)
            if info.name in made_by and made_by[info.name].source_digest != info.source_digest
        )

    def fold(self, record: Record) -> None:
        """Fold one record of the log."""
        self._judge(record, self.loop.fold(record))

    def follow(self, records: Iterable[Record]) -> bool:
        """Fold all these records; False: a reducer raised, which is a divergence, and what is behind was not folded."""
        try:
            for record, said in self.loop.follow(records):
                self._judge(record, said)
        except Fault:
            raise
        except Exception as error:
            frames = [frame for frame, _ in walk_tb(error.__traceback__)]
            raising = [one for frame in frames for one in self.loop.reducers if one is frame.f_locals.get("self")]
            if not raising:
                raise
            # the loop keeps no record of where it is, for that would cost every record: its frame knows
            (at,) = (frame.f_locals["record"] for frame in frames if frame.f_code is Loop.follow.__code__)
            self.judge.raised(at.seq, raising[0].name, at.event, error)
            return False
        return True

    def apart(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records; what passes comes one by one while the engine has something under way."""
        state = self.wiring.engine.state
        for record in records:
            if type(record.event) is Passed and (state.attempts or state.waiting):
                yield from one_by_one(record)
            else:
                yield record

    def _judge(self, record: Record, said: Sequence[tuple[str, Event]]) -> None:
        if record.seq < self.judged_from:
            return
        # where several processes write, a word said before this span may be recorded within it
        if record.cause is not None and record.cause >= self.judged_from:
            self.judge.record(record)
        for name, word in said:
            self.judge.say(record.seq, name, word)

    def said(self, record: Record) -> list[tuple[str, Event]]:
        """Fold one record and hand back what was said, unjudged."""
        return list(self.loop.fold(record))


def runs_within(recording: Recording) -> Runs:
    """The runs of a recording; one that goes on from a start state stands at its first seq."""
    runs = runs_of(recording)
    opening = start_of(recording)
    if opening is not None and (not runs or runs[0][0] > recording.first_seq):
        runs.insert(0, (recording.first_seq, opening[1]))
    return runs


def follow(
    recording: Recording,
    until_seq: int | None = None,
    until_slot: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Fold the recording (up to and including `until_seq`, or the last record of `until_slot`) and judge each run."""
    runs = runs_within(recording)
    reports = []
    for index, (seq, started) in enumerate(runs):
        if not started.reducers:
            continue
        end = runs[index + 1][0] if index + 1 < len(runs) else None
        reports.append(_judge_run(recording, started, (seq, end), (until_seq, until_slot), progress))
    judged = sum(report.derived for report in reports)
    diverged = any(report.divergences for report in reports)
    verdict = "diverged" if diverged else "identical" if judged else "not judged"
    return Report(
        str(recording.path),
        recording.log_id,
        recording.next_seq - recording.first_seq,
        recording.head.hex(),
        verdict,
        tuple(reports),
    )


def _judge_run(
    recording: Recording,
    started: RunStarted,
    bounds: tuple[int, int | None],
    until: tuple[int | None, int | None],
    progress: Callable[[int], None] | None,
) -> RunReport:
    """Fold everything before the run's end with the run's reducers; judge what was said since it started."""
    first, end = bounds
    follower = Follower(started, first)
    opening = start_of(recording)
    if opening is not None:
        restore_states(follower.wiring.reducers, follower.wiring.now, opening[0].states)
    readers = follower.loop.reducers
    pools = pools_of(readers, recording) if until == (None, None) else {}
    records = recording.records(seq_to=end, columns=columns_of(readers, recording), pools=pools)
    if pools:
        records = follower.apart(records)
    if until != (None, None):
        records = _until(records, until)
    whole = follower.follow(records if progress is None else _told(records, progress))
    judge = follower.judge
    ended = whole and until == (None, None) and any(True for _ in recording.records((RunEnded,), first, end))
    unfinished = judge.finish(ended=ended)
    return RunReport(
        run=started.run,
        scenario=started.scenario,
        first_seq=first,
        derived=judge.recorded,
        recomputed=judge.said - unfinished,
        equal=judge.matched,
        unfinished=unfinished,
        digest=judge.digest.text(),
        code_differs=follower.code_differs,
        not_judged=judge.not_judged,
        divergences=tuple(judge.divergences()),
    )


def _told(records: Iterable[Record], progress: Callable[[int], None]) -> Iterator[Record]:
    """The same records; every TOLD-th seq tells the progress."""
    for record in records:
        if not record.seq % TOLD:
            progress(record.seq)
        yield record


def _until(records: Iterator[Record], until: tuple[int | None, int | None]) -> Iterator[Record]:
    until_seq, until_slot = until
    for record in records:
        if until_seq is not None and record.seq > until_seq:
            return
        slot = getattr(record.event, "slot", None)
        if until_slot is not None and record.cause is None and slot is not None and slot > until_slot:
            return
        yield record
