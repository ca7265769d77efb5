"""Explain: from a decision back to the feed updates that caused it, along cause, ask and the records read."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ironcrab.domain.ask import ANSWER, ASK
from ironcrab.domain.control import RunStarted
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import MARKET, event_id_of
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate, TradeIntent, Verdict
from ironcrab.log import snapshot
from ironcrab.log.recording import Recording
from ironcrab.log.snapshot import Snapshot
from ironcrab.loop import Record
from ironcrab.mode.states import made_by, restore_states, start_of
from ironcrab.mode.verify import Follower, runs_within

ADDRESS = re.compile(r"^(dec|int|exe|evt)-([0-9a-f]{8})-(\d+)$")
"""Ids that export writes: kind, first eight hex digits of the log id, seq."""
NEAR, FAR, AFTER = 1_000, 50_000, 8
"""Records before a record that are read with it, at least and at most; records after it (its turn's end)."""
EXIT = (TradeIntent, DecisionRecord, ExecutionResult, PositionUpdate)
"""What an exit is made of."""
PROGRESS = (*ASK, *ANSWER, ExecutionResult)
"""What stands between an intent and its outcome."""


class Stop(Struct, frozen=True):
    """One stop of the road: why it stands here, and the record."""

    role: str
    record: Record


class Reproduction(Struct, frozen=True):
    """The record said anew: from which seq the fold began, how many records it took, whether it is equal."""

    from_seq: int
    folded: int
    equal: bool


class Explanation(Struct, frozen=True):
    """The road to one record, oldest stop first, and its reproduction (None: nobody of ours said it).

    Of a confirmed buy the stops go on to the exit: the sell that gave of its mint first, its result and the position.

    `beyond` are seqs before the start state of a slice, where the road leaves the recording.
    """

    seq: int
    stops: tuple[Stop, ...]
    reproduction: Reproduction | None
    beyond: tuple[int, ...] = ()


def find(recording: Recording, target: str) -> int:
    """The seq that a SEQ, DECISION_ID, INTENT_ID, execution id or SIGNATURE names.

    Raises:
        InputFault: nothing in the recording bears that name.
    """
    if target.isdigit():
        seq = int(target)
        if not recording.first_seq <= seq < recording.next_seq:
            raise InputFault(
                f"recording {recording.path} holds seq {recording.first_seq} to {recording.next_seq - 1}, not {seq}"
            )
        return seq
    address = ADDRESS.match(target)
    if address and recording.log_id.startswith(address[2]):
        return find(recording, address[3])
    for record in recording.records(types=(DecisionRecord, ExecutionResult, TradeIntent)):
        event: Any = record.event
        names = [getattr(event, field, None) for field in ("decision_id", "execution_id", "signature")]
        if isinstance(event, TradeIntent):
            names.append(event.intent_id)
        if isinstance(event, DecisionRecord) and event.send is not None:
            names.append(event.send.signature)
        if target in names:
            return record.seq
    for record in recording.records():
        if getattr(record.event, "signature", None) == target:
            return record.seq
    raise InputFault(f"recording {recording.path} holds no seq, id or signature {target!r}; run: ironcrab inspect")


def explain(recording: Recording, seq: int) -> Explanation:
    """The road to record `seq`, and its reproduction from the nearest snapshot."""
    road = Road(recording, seq)
    stops: dict[int, Stop] = {}
    beyond: dict[int, None] = {}
    todo = [(seq, "asked for")]
    while todo:
        at, role = todo.pop()
        if at in stops:
            continue
        if at < recording.first_seq:
            beyond[at] = None
            continue
        record = road.record(at)
        stops[at] = Stop(role, record)
        todo.extend(reversed(list(road.backwards(record))))
    for later, role in road.exit(stops[seq].record):
        stops[later.seq] = Stop(role, later)
    ordered = tuple(stops[at] for at in sorted(stops))
    return Explanation(seq, ordered, road.reproduce(stops[seq].record), tuple(sorted(beyond)))


class Road:
    """Reads a recording backwards from one record. What lies near it is read once, in one piece.

    Args:
        recording: where the road lies.
        seq: where it ends.
    """

    def __init__(self, recording: Recording, seq: int) -> None:
        self.recording = recording
        self.run = _run_at(recording, seq)
        self.follower = None if self.run is None else Follower(self.run[1], self.run[0])
        self.start = self._start(seq)
        begin = seq - NEAR if self.start is None or self.start.seq < seq - FAR else self.start.seq
        self.begin = max(recording.first_seq, begin)
        self.near = list(recording.records(seq_from=self.begin, seq_to=min(seq + AFTER, recording.next_seq)))

    def _start(self, seq: int) -> Snapshot | None:
        """The states to fold from: of the nearest snapshot that this code made, else the start state."""
        opening = start_of(self.recording)
        found = None
        if self.run is not None and self.follower is not None and not self.follower.code_differs:
            found = snapshot.nearest(self.recording, seq, made_by(self.run[1]))
        return opening[0] if found is None and opening is not None else found

    def record(self, seq: int) -> Record:
        """The record of a seq."""
        at = seq - self.begin
        return self.near[at] if 0 <= at < len(self.near) else self.recording.record(seq)

    def between(self, first: int, end: int, kinds: tuple[type, ...]) -> Iterator[Record]:
        """The records `first` <= seq < `end` of some types."""
        if first < self.begin:
            yield from self.recording.records(kinds, first, min(end, self.begin))
        for record in self.near[max(0, first - self.begin) : max(0, end - self.begin)]:
            if isinstance(record.event, kinds):
                yield record

    def backwards(self, record: Record) -> Iterator[tuple[int, str]]:
        """(seq, role) of every record this one names as its ground."""
        event: Any = record.event
        if record.cause is not None:
            yield record.cause, "cause"
        for field, role in (("intent", "intent"), ("ask", "ask"), ("decided_at", "checked at"), ("state", "priced on")):
            at = getattr(event, field, None)
            if at is not None:
                yield at, role
        for read in getattr(event, "reads", ()):
            yield read.seq, f"read: {read.what}"
        if record.cause is None:
            yield from _by_id(self.recording, record)
        if isinstance(event, TradeIntent) and record.cause is not None:
            for said in self.between(record.cause, record.seq + 1, (Verdict,)):
                if said.cause == record.cause and said.by == record.by:
                    yield said.seq, "verdict"
        if isinstance(event, DecisionRecord | ExecutionResult) and event.intent is not None:
            yield from self._progress(event, record)

    def _progress(self, event: DecisionRecord | ExecutionResult, record: Record) -> Iterator[tuple[int, str]]:
        """Asks and answers between the intent and this record, and the position that followed."""
        asks: dict[int, None] = {}
        end = record.seq + AFTER if isinstance(event, DecisionRecord) else record.seq + 1
        for near in self.between(event.intent or 0, end, (*PROGRESS, PositionUpdate)):
            said: Any = near.event
            if isinstance(said, ASK) and said.intent == event.intent and said.attempt == event.attempt:
                asks[near.seq] = None
                yield near.seq, "ask"
            elif isinstance(said, ANSWER) and said.ask in asks:
                yield near.seq, "answer"
            elif isinstance(said, ExecutionResult) and said.intent == event.intent:
                yield near.seq, "result"
            elif isinstance(said, PositionUpdate) and near.cause == record.cause:
                yield near.seq, "position"

    def exit(self, record: Record) -> Iterator[tuple[Record, str]]:
        """Of a decision on a confirmed buy: the first confirmed sell of its mint, and what that led to."""
        event = record.event
        if not isinstance(event, DecisionRecord) or event.outcome != "Confirmed" or event.intent is None:
            return
        if event.intent < self.recording.first_seq:
            return
        bought: Any = self.record(event.intent).event
        if not isinstance(bought, TradeIntent) or bought.side != "Buy" or len(bought.swap_path) > 1:
            return
        mint = bought.resources.output_mint
        sells: dict[int, Record] = {}
        sold: Record | None = None
        for later in self.recording.records(EXIT, record.seq + 1, min(record.seq + FAR, self.recording.next_seq)):
            said: Any = later.event
            if sold is not None:
                if later.cause != sold.cause:
                    return
                if isinstance(said, ExecutionResult | PositionUpdate):
                    yield later, "exit: result" if isinstance(said, ExecutionResult) else "exit: position"
            elif isinstance(said, TradeIntent) and said.side == "Sell" and said.resources.input_mint == mint:
                sells[later.seq] = later
            elif isinstance(said, DecisionRecord) and said.outcome == "Confirmed" and said.intent in sells:
                sold = later
                yield sells[said.intent], "exit: intent"
                yield later, "exit: decided"

    def reproduce(self, record: Record) -> Reproduction | None:
        """Say the record anew: fold from the nearest states to its cause, and compare."""
        cause, follower = record.cause, self.follower
        if cause is None or follower is None or record.by not in follower.judge.names:
            return None
        begin = self.recording.first_seq
        if self.start is not None and self.start.seq <= cause:
            begin = self.start.seq
            restore_states(follower.wiring.reducers, follower.wiring.now, self.start.states)
        place = sum(
            other.cause == cause and other.by == record.by for other in self.between(cause, record.seq, (object,))
        )
        folded = 0
        for folding in self._from(begin, cause + 1):
            said = follower.said(folding)
            folded += 1
        mine = [event for name, event in said if name == record.by]
        return Reproduction(begin, folded, place < len(mine) and mine[place] == record.event)

    def _from(self, begin: int, end: int) -> Iterator[Record]:
        if begin >= self.begin:
            yield from self.near[begin - self.begin : end - self.begin]
        else:
            yield from self.recording.records(seq_from=begin, seq_to=end)


def _by_id(recording: Recording, record: Record) -> Iterator[tuple[int, str]]:
    """What an imported record names by id: its intent, its decision, the market event that triggered it."""
    event: Any = record.event
    if isinstance(event, DecisionRecord | ExecutionResult):
        for other in recording.records(types=(TradeIntent, DecisionRecord), seq_to=record.seq):
            named: Any = other.event
            if isinstance(named, TradeIntent) and named.intent_id == event.intent_id and event.intent_id is not None:
                yield other.seq, "intent"
            elif isinstance(event, ExecutionResult) and _decided(named) == event.decision_id is not None:
                yield other.seq, "decision"
    elif isinstance(event, TradeIntent) and event.trigger_event_id is not None:
        for other in recording.records(types=MARKET, seq_to=record.seq):
            if event_id_of(other.event) == event.trigger_event_id:
                yield other.seq, "trigger"


def _decided(event: TradeIntent | DecisionRecord) -> str | None:
    return event.decision_id if isinstance(event, DecisionRecord) else None


def _run_at(recording: Recording, seq: int) -> tuple[int, RunStarted] | None:
    """The run in which a seq stands."""
    found = None
    for start, started in runs_within(recording):
        if start <= seq:
            found = (start, started)
    return found
