"""Decide anew: what one scenario, or many at once, would have said over recorded market events; nothing is written.

The same drive as `run`, so that the digest of the derived records is the one that `run` gives; only it and the results
are kept. Many scenarios share one pass: a batch of events is decoded once and driven through one after the other.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from msgspec import Struct

from ironcrab.domain.ask import ConfirmAnswer
from ironcrab.domain.event import Event
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate, TradeIntent
from ironcrab.log.compare import Digest
from ironcrab.log.contents import runs_of
from ironcrab.log.passing import Passed, Pools
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import Columns
from ironcrab.loop import Record
from ironcrab.mode.opening import opening_of
from ironcrab.mode.run import Drive, outlets_of, source, with_ticks
from ironcrab.mode.scenario import Scenario
from ironcrab.mode.wiring import columns_of, let_pass, pools_of

BATCH = 2_048
"""Events that go through one scenario before the next one gets them."""


class Span(Struct, frozen=True):
    """Log time from (included) and to (excluded), nanoseconds; None: open."""

    start: int | None = None
    end: int | None = None

    def holds(self, time: int) -> bool:
        """Whether a record of this time lies within."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


class Result(Struct, frozen=True):
    """What a scenario came to.

    Attributes:
        digest: of the derived records, as `run` tells it.
        records, derived: how many there would be in a recording.
        intents, trades, failed: intents said, transactions confirmed and failed.
        pnl_lamports: realised by sells, after fees.
        fees_lamports: network fees and tips of everything that landed.
        wallet_lamports: by how much the wallet's SOL changed, what is still held in tokens left aside.
        open_positions: mints that are held at the end.
        refusals: reason code -> attempts that ended with it.
    """

    digest: str
    records: int
    derived: int
    intents: int
    trades: int
    failed: int
    pnl_lamports: int
    fees_lamports: int
    wallet_lamports: int
    open_positions: int
    refusals: dict[str, int]


class Anew:
    """One scenario on its way through a market. Args: what decides."""

    def __init__(self, scenario: Scenario) -> None:
        self.outlets = outlets_of(scenario)
        self.drive = Drive(scenario, self.append, self.outlets)
        let_pass(self.drive.loop, self.drive.engine)
        self.readers = (*self.drive.wiring.reducers, *self.outlets)
        self.digest = Digest()
        self.derived = self.intents = self.trades = self.failed = 0
        self.pnl = self.fees = self.wallet = 0
        self.held: dict[str, None] = {}
        self.refusals: dict[str, int] = {}
        self.counts: dict[type[Event], Callable[[Any], None]] = {
            TradeIntent: self._intent,
            DecisionRecord: self._decision,
            ExecutionResult: self._result,
            PositionUpdate: self._position,
        }

    def append(self, record: Record) -> None:
        """One record, before anyone folds it."""
        if self.outlets:
            for outlet in self.outlets:
                outlet.see(record)
            if type(record.event) is ConfirmAnswer:
                self._confirmed(record.event)
        if record.by is not None:
            self.derived += 1
            self.digest.add(record.by, record.event)
            count = self.counts.get(type(record.event))
            if count is not None:
                count(record.event)

    def take(self, events: Iterable[tuple[int, Event]], generations: tuple[str, ...] = ()) -> None:
        """Drive these (time, event) pairs through."""
        drive = self.drive
        for time, event in events:
            if drive.loop.seq == 0:
                drive.open(time, generations)
            if type(event) is Passed:
                self._pass(event)
            else:
                drive.take(event, time)

    def _pass(self, event: Passed) -> None:
        """Rows of pools that nobody named: at one go while nothing is under way in a slot begun, else one by one.

        An outlet is told what may change a word of its own: that a slot begins, and all that passes while it owes one.
        """
        loop, state, now, times = self.drive.loop, self.drive.engine.state, self.drive.loop.now, event.times
        place = 0
        while state.attempts or state.waiting or (event.slot is not None and event.slot > now.slot):
            self.drive.take(event, times[place])
            place += 1
            if place == len(times):
                return
        now.time = times[-1]
        loop.seq += len(times) - place

    def finish(self) -> Result:
        """The source ended; what came of it."""
        if self.drive.loop.seq:
            self.drive.close()
        return Result(
            digest=self.digest.text(),
            records=self.drive.loop.seq,
            derived=self.derived,
            intents=self.intents,
            trades=self.trades,
            failed=self.failed,
            pnl_lamports=self.pnl,
            fees_lamports=self.fees,
            wallet_lamports=self.wallet,
            open_positions=len(self.held),
            refusals=dict(sorted(self.refusals.items())),
        )

    def _intent(self, _event: TradeIntent) -> None:
        self.intents += 1

    def _decision(self, event: DecisionRecord) -> None:
        failed = next((row.reason_code for row in reversed(event.checks) if not row.passed), None)
        if failed is not None:
            self.refusals[failed] = self.refusals.get(failed, 0) + 1

    def _result(self, event: ExecutionResult) -> None:
        self.trades += event.status == "confirmed"
        self.failed += event.status == "failed"
        if event.pnl is not None:
            self.pnl += event.pnl.net_lamports

    def _position(self, event: PositionUpdate) -> None:
        if event.balance_raw:
            self.held[event.mint] = None
        else:
            self.held.pop(event.mint, None)

    def _confirmed(self, answer: ConfirmAnswer) -> None:
        if answer.fees is not None:
            self.fees += answer.fees.network_fee_lamports + answer.fees.tip_lamports
        self.wallet += answer.wallet_sol_delta_lamports or 0


def decide_anew(recording: Recording, scenarios: Sequence[Scenario], span: Span | None = None) -> list[Result]:
    """The results of these scenarios over a recording's market within a span, from one reading of it."""
    ways = [Anew(scenario) for scenario in scenarios]
    readers = [reader for way in ways for reader in way.readers]
    generations = next((event.generations for _, event in runs_of(recording)), ())
    columns, pools = columns_of(readers, recording), pools_of(readers, recording)
    events = with_ticks(market(recording, span or Span(), columns, pools))
    while batch := list(islice(events, BATCH)):
        for way in ways:
            way.take(batch, generations)
    return [way.finish() for way in ways]


def market(
    recording: Recording, span: Span, columns: Columns | None = None, pools: Pools | None = None
) -> Iterator[tuple[int, Event]]:
    """(time, event) of a recording's market within a span, after what is known where it begins (`opening`).

    Row groups that lie outside of the span are read for that alone.
    """
    seq_from, seq_to = _bounds(recording, span)
    told = source(recording.records(None, seq_from, seq_to, columns, pools))
    if span == Span():
        return told
    within = _within(told, span)
    begun = next(within, None)
    if begun is None:
        return within
    known = [] if span.start is None else opening_of(recording, _first(recording, span.start, seq_from))
    return chain(known, (begun,), within)


def _first(recording: Recording, start: int, seq_from: int) -> int:
    """Seq of the first record at this time (ns) or later."""
    return next((one.seq for one in recording.records(None, seq_from) if one.time >= start), recording.next_seq)


def _within(told: Iterable[tuple[int, Event]], span: Span) -> Iterator[tuple[int, Event]]:
    for time, event in told:
        if type(event) is Passed:
            yield from _passed_within(event, span)
            continue
        if span.end is not None and time >= span.end:
            return
        if span.holds(time):
            yield time, event


def _passed_within(event: Passed, span: Span) -> Iterator[tuple[int, Event]]:
    times = event.times
    low = 0 if span.start is None else bisect_left(times, span.start)
    high = len(times) if span.end is None else bisect_left(times, span.end)
    if low < high:
        yield times[high - 1], Passed(event.slot, times[low:high])


def _bounds(recording: Recording, span: Span) -> tuple[int, int | None]:
    """Seqs from and to (excluded) outside of which nothing of the span lies; log time never decreases."""
    low, high = 0, None
    pieces = [piece for part in recording.parts if part.entry for file in part.entry.files for piece in file.pieces]
    rows = [piece for piece in pieces if piece.rows]
    if span.start is not None:
        low = max((piece.last_seq + 1 for piece in rows if piece.max_time < span.start), default=0)
    if span.end is not None:
        high = min((piece.first_seq for piece in rows if piece.min_time >= span.end), default=None)
    return low, high
