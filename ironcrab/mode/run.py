"""Run: fold recorded market events through the strategies and the engine of a scenario, writing a new recording.

The same loop as live; the source is a recording and the outlet is the paper world. Two runs of the same
recording, scenario and code give the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from blake3 import blake3
from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.ask import ANSWER
from ironcrab.domain.control import (
    ClockTick,
    ConfigChanged,
    InputCounted,
    LogRecovered,
    RunEnded,
    RunStarted,
    WordsAbandoned,
)
from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault, ScenarioFault
from ironcrab.domain.market import AccountWritten, WalletBalanceSnapshot
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate, Verdict
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM, floor_div
from ironcrab.log import snapshot
from ironcrab.log.compare import Digest
from ironcrab.log.contents import runs_of
from ironcrab.log.recording import Recording
from ironcrab.log.session import Session
from ironcrab.log.snapshot import DEEPEST, Snapshot
from ironcrab.loop import Loop, Outlet, Record
from ironcrab.market.rent import RENT_SYSVAR, SYSVARS, rent_data
from ironcrab.mode.paper import Paper
from ironcrab.mode.purse import PAPER
from ironcrab.mode.scenario import PROGRAMS, Scenario
from ironcrab.mode.states import RECORDS_PER_BYTE, SNAPSHOT_EVERY, encode_states, made_by
from ironcrab.mode.wiring import Wiring, started
from ironcrab.shell.programs import Programs

SECOND = 1_000_000_000
"""Nanoseconds."""
LONGEST_SILENCE = 86_400
"""Seconds of one silence that tick."""
OURS = frozenset(
    (
        *(*ANSWER, RunStarted, RunEnded, ClockTick, ConfigChanged, InputCounted, LogRecovered, WordsAbandoned),
        # an imported original's verdicts and outcomes: told by the world there, said anew here
        *(Verdict, DecisionRecord, ExecutionResult, PositionUpdate),
    )
)
"""World records that belong to the run that recorded them: another run of the same market makes its own."""
RESTED = 256
"""Records between two rests: a run looks up from its work only so often."""
SCENARIO = "scenario"
"""`source` of the wallet snapshots that a run itself puts in."""
TOLD = (WalletBalanceSnapshot, AccountWritten)
"""Market events that a run or its paper world may tell of the own wallet."""


Progress = Callable[[int], None] | None
"""Told the number of records so far."""


class RunSummary(Struct, frozen=True):
    """What a run wrote: records in all and derived, the digest of the derived bodies, counts by type."""

    log_id: str
    records: int
    derived: int
    digest: str
    counts: dict[str, int]


def source(records: Iterable[Record]) -> Iterator[tuple[int, Any]]:
    """(time, event) of the world records of a recording that any run of its market starts from."""
    for record in records:
        event: Any = record.event
        kind = type(event)
        if record.cause is not None or kind in OURS:
            continue
        if kind in TOLD and event.source in (SCENARIO, PAPER):
            continue
        yield record.time, event


def with_ticks(events: Iterable[tuple[int, Event]], since: int | None = None) -> Iterator[tuple[int, Event]]:
    """The same events, with a tick at each whole second in which the world says nothing; `since`: time (ns) before.

    Of a silence longer than LONGEST_SILENCE only the first so many seconds tick, and its last one: by then every
    timer of ours has run out, and a recording of two distant days does not fill with ticks.
    """
    last = None if since is None else since // SECOND
    next_second = 0
    for time, event in events:
        if time < next_second:
            yield time, event
            continue
        second = time // SECOND
        if last is not None and second > last + 1:
            for silent in range(last + 1, min(second, last + 1 + LONGEST_SILENCE)):
                yield silent * SECOND, ClockTick()
            if second > last + 1 + LONGEST_SILENCE:
                yield (second - 1) * SECOND, ClockTick()
        last = second if last is None else max(last, second)
        next_second = (last + 1) * SECOND
        yield time, event


def opening(scenario: Scenario) -> tuple[Event, ...]:
    """The wallet as the scenario says it stands when the run opens."""
    wallet = scenario.wallet
    rent = AccountWritten(RENT_SYSVAR, SYSVARS, 1, rent_data(wallet.lamports_per_byte), source=SCENARIO)
    return (
        *((rent,) if wallet.lamports_per_byte else ()),
        WalletBalanceSnapshot(NATIVE_SOL, wallet.native_sol_lamports, 9, TOKEN_PROGRAM, source=SCENARIO),
        WalletBalanceSnapshot(SOL_MINT, wallet.wsol_lamports, 9, TOKEN_PROGRAM, source=SCENARIO),
    )


def by_programs(scenario: Scenario, programs: Programs) -> Scenario:
    """The scenario as a run says it whose paper trades are filled by these programs; ScenarioFault: by none."""
    if "paper" not in scenario.outlets or scenario.paper.fill != "venue":
        raise ScenarioFault('--programs needs outlets = ["paper"] and paper.fill = venue; the scenario says otherwise')
    return replace(scenario, outlets=(*scenario.outlets, f"{PROGRAMS}{programs.digest}"))


def outlets_of(scenario: Scenario, programs: Programs | None = None) -> tuple[Outlet, ...]:
    """The outlets that a scenario names, made anew; InputFault: it was filled by real programs that are not given."""
    named = next((outlet for outlet in scenario.outlets if outlet.startswith(PROGRAMS)), None)
    if named is not None and (programs is None or named != f"{PROGRAMS}{programs.digest}"):
        raise InputFault(f"{named} filled this run and is not at hand; make it anew: ironcrab backtest --programs DIR")
    return (Paper(scenario.paper, programs),) if "paper" in scenario.outlets else ()


class Drive:
    """Drives one run: takes world events in order, lets outlets answer in time, ticks while intents wait.

    Args:
        scenario: what decides.
        append: told each record in order, before anyone folds it.
        outlets: perform the asks; they are told every record.
        seq: the next free seq.
        clock: when an answer is taken (ns since 1970); None: at the time of the newest record.
    """

    def __init__(
        self,
        scenario: Scenario,
        append: Callable[[Record], object],
        outlets: tuple[Outlet, ...],
        seq: int = 0,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.scenario = scenario
        self.wiring = Wiring(scenario)
        self.engine = self.wiring.engine
        self.outlets = outlets
        self.loop = Loop(self.wiring.reducers, append, self.wiring.now, seq)
        self.clock = clock
        self.started = started(scenario, self.wiring, 0)

    def open(self, time: int, generations: tuple[str, ...] = ()) -> None:
        """Take the run-started event and the opening balances."""
        self.started = started(self.scenario, self.wiring, 0, generations)
        self.loop.take(self.started, time)
        for event in opening(self.scenario):
            self.take(event, time)

    def close(self) -> None:
        """The source ended: answers that are due now, then the end; open asks stay open."""
        self.answer(None)
        self.loop.take(RunEnded(self.started.run, "the source ended"), self.wiring.now.time)
        self.settle()

    def take(self, event: Event, time: int) -> None:
        """Take one world event: first the answers due before its slot, then itself, then what follows at once."""
        if self.outlets:
            slot = getattr(event, "slot", None)
            if slot is not None and slot > self.loop.now.slot:
                self.answer(slot)
        self.loop.take(event, time)
        if self.outlets or self.engine.state.waiting:
            self.settle()

    def answer(self, slot: int | None) -> None:
        """Take the answers due before the first record of `slot` (None: due now)."""
        for outlet in self.outlets:
            for answer in outlet.due(slot):
                self.loop.take(answer, self._when())
                self.settle()

    @property
    def waits(self) -> bool:
        """Whether a world record now would decide an intent, or an answer is due at once."""
        if self.engine.undecided:
            return True
        for outlet in self.outlets:  # noqa: SIM110 - asked after every record, where any() would cost more than the rest
            if outlet.is_due:
                return True
        return False

    def settle(self) -> None:
        """Nobody waits for the market: intents are decided by a tick at once, answers due now are taken."""
        while self.waits:
            if self.engine.undecided:
                self.loop.take(ClockTick(), self.wiring.now.time)
            for outlet in self.outlets:
                for answer in outlet.due(None):
                    self.loop.take(answer, self._when())

    def _when(self) -> int:
        return self.wiring.now.time if self.clock is None else self.clock()


def run(recording: Recording, scenario: Scenario, out: Path, progress: Progress = None) -> RunSummary:
    """Write the run of `scenario` over `recording` to the new folder `out`, still hot.

    Raises:
        InputFault: the recording holds no world record.
        LogFault: `out` exists or cannot be written.
    """
    generations = next((event.generations for _, event in runs_of(recording)), ())
    return run_events(source(recording.records()), source_head(recording), scenario, out, generations, progress)


def run_events(
    events: Iterable[tuple[int, Event]],
    source_name: str,
    scenario: Scenario,
    out: Path,
    generations: tuple[str, ...] = (),
    progress: Progress = None,
    outlets: tuple[Outlet, ...] | None = None,
) -> RunSummary:
    """The same over (time, event) pairs of any origin, which `source_name` identifies (it has no blanks).

    `outlets`: those that the scenario names; None: they are made here.
    """
    performing = outlets_of(scenario) if outlets is None else outlets
    with Written(out, source_name, scenario, performing) as run_to:
        drive = run_to.drive
        for time, event in with_ticks(events):
            if drive.loop.seq == 0:
                drive.open(time, generations)
            drive.take(event, time)
            run_to.rest(progress)
        if drive.loop.seq == 0:
            raise InputFault(f"{source_name} holds no world record; import one first: ironcrab import --help")
        drive.close()
        return run_to.summary()


class Written:
    """A run that is written as it is driven: records, their counts and digest, snapshots on the way.

    Args:
        out: the new folder.
        source_name: identifies the market that is driven through.
        scenario: what decides.
        outlets: perform the asks.
        session: where the records go; None: a new recording that begins with seq 0.
    """

    def __init__(
        self,
        out: Path,
        source_name: str,
        scenario: Scenario,
        outlets: tuple[Outlet, ...],
        session: Session | None = None,
    ) -> None:
        self.out = out
        self.log_id = derive_log_id(source_name, scenario, Wiring(scenario))
        filled = "".join(f" filled by {outlet}" for outlet in scenario.outlets if outlet.startswith(PROGRAMS))
        origin = f"run of {source_name} under {scenario.name}{filled}"
        self.session = session or Recording.create(out, self.log_id, origin=origin)
        self.outlets = outlets
        self.drive = Drive(scenario, self.append, outlets, self.session.next_seq)
        self.counts: dict[type[Event], int] = {}
        self.digest = Digest()
        self.derived = 0
        self.begin = self.session.next_seq
        self.next_snapshot = self.begin + SNAPSHOT_EVERY
        self.last: Snapshot | None = None
        self.saved = 0
        self.next_rest = self.session.next_seq

    def append(self, record: Record) -> None:
        """One record, before anyone folds it."""
        self.session.append(record)
        for outlet in self.outlets:
            outlet.see(record)
        kind = type(record.event)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if record.by is not None:
            self.derived += 1
            self.digest.add(record.by, record.event)

    def rest(self, progress: Progress) -> None:
        """Between two turns: every so often a word of progress, and a snapshot where one is due."""
        drive = self.drive
        if drive.loop.seq < self.next_rest:
            return
        self.next_rest = drive.loop.seq + RESTED
        if drive.loop.seq >= self.next_snapshot:
            self._snapshot()
        if progress is not None:
            progress(drive.loop.seq - drive.loop.seq % RESTED)

    def _snapshot(self) -> None:
        """Write one that stands on the last one, as long as not too many do."""
        drive = self.drive
        states = encode_states(drive.wiring.reducers, drive.wiring.now)
        base = self.last if self.last is not None and self.last.depth + 1 < DEEPEST else None
        self.last = Snapshot(
            drive.loop.seq, self.session.head, states, made_by(drive.started), 0 if base is None else base.depth + 1
        )
        self.saved += snapshot.save(self.out, self.last, base, sync=False).stat().st_size
        afforded = self.begin + floor_div(self.saved * RECORDS_PER_BYTE[0], RECORDS_PER_BYTE[1])
        self.next_snapshot = max(drive.loop.seq + SNAPSHOT_EVERY, afforded)

    def summary(self) -> RunSummary:
        """What was written."""
        counts = {kind.__name__: count for kind, count in self.counts.items()}
        return RunSummary(self.log_id, self.drive.loop.seq, self.derived, self.digest.text(), counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()


def source_head(recording: Recording) -> str:
    """The head that names a recording's market: its own, or, where it is itself a run, that of its source.

    So a run made anew from a run is the run that its source would give.
    """
    words = recording.manifest.origin.split()
    return words[2] if words[:2] == ["run", "of"] else recording.head.hex()


def derive_log_id(source_digest: str, scenario: Scenario, wiring: Wiring) -> str:
    """The log id of a run: it follows from the source, the scenario and the code, and from nothing else."""
    hasher = blake3(b"ironcrab run\0")
    hasher.update(source_digest.encode())
    for setting in scenario.settings:
        hasher.update(f"\0{setting.key}={setting.value}".encode())
    for info in started(scenario, wiring, 0).reducers:
        hasher.update(f"\0{info.name}={info.path}:{info.source_digest}".encode())
    hasher.update(f"\0{scenario.name}\0{','.join(scenario.outlets)}".encode())
    return hasher.hexdigest(length=16)
