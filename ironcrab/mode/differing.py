"""Diff: the first difference of two recordings and all independent ones, field by field.

Two runs of one market have the same market records at other seqs once one of them says more. So records are
aligned by the market: what each reducer says between two market records is compared in order, references to
other records left aside (a shifted seq is no difference of its own). Of a recording and a part of it (a branch, a
slice) that part of the market is compared that both hold.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
from msgspec import Struct

from ironcrab.domain.control import RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.trade import DecisionRecord, TradeIntent, Verdict
from ironcrab.log.compare import Digest, Divergence, field_differences, subject_of
from ironcrab.log.contents import runs_of
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
from ironcrab.mode.run import OURS

REFERENCES = ("intent", "ask", "decided_at", "opened", "reads", "first_seq", "state", "run")
"""Fields that name other records by seq, and runs by number."""


DECISIONS = (Verdict, TradeIntent, DecisionRecord)
"""What a strategy or the engine decided; the rest of what is said follows from it, or from the run's opening."""


class Parted(Struct, frozen=True):
    """The first decision that differs.

    Attributes:
        type: of the decision.
        by: who decided.
        in_a, in_b: its seq in either recording; None: not said there.
        market: seq in A of the market record after which it was said; None: before the first.
        market_type: type of that record.
    """

    type: str
    by: str
    in_a: int | None
    in_b: int | None
    market: int | None
    market_type: str


class Comparison(Struct, frozen=True):
    """Two recordings held against each other; `decision` is the first one that differs."""

    equal: bool
    compared: int
    digest: str
    notes: tuple[str, ...]
    divergences: tuple[Divergence, ...]
    decision: Parted | None = None


class Turn(Struct):
    """One market record (None before the first) and what was said until the next one."""

    market: Record | None
    words: dict[str, list[Record]]


def turns(recording: Recording, seq_from: int) -> Iterator[Turn]:
    """The recording in turns of its market records; answers, ticks and control stand among the words of `world`."""
    turn = Turn(None, {})
    for record in recording.records(seq_from=seq_from):
        if record.cause is None and type(record.event) not in OURS:
            yield turn
            turn = Turn(record, {})
        else:
            turn.words.setdefault(record.by or "world", []).append(record)
    yield turn


def compare(a: Recording, b: Recording) -> Comparison:
    """Hold two recordings against each other; seqs of divergences are those of `a`."""
    if a.head == b.head and a.log_id == b.log_id:
        return Comparison(True, a.next_seq - a.first_seq, a.head.hex(), (), ())
    tally = Tally()
    from_a, from_b = _begin(a, b), _begin(b, a)
    left, right = turns(a, from_a), turns(b, from_b)
    opening = next(left), next(right)
    _opened(opening[0], opening[1], a, from_a)
    _opened(opening[1], opening[0], b, from_b)
    left, right = chain(opening[:1], left), chain(opening[1:], right)
    while True:
        mine, its = next(left, None), next(right, None)
        if mine is None or its is None:
            if mine is not its:
                tally.ended("B" if its is None else "A")
            break
        if not tally.market(mine.market, its.market):
            break
        for by in {**mine.words, **its.words}:
            tally.words(by, mine.words.get(by, []), its.words.get(by, []), mine.market)
    notes = [] if a.log_id == b.log_id else [_OTHER.format(a.log_id, b.log_id)]
    for name, begin, recording in (("A", from_a, a), ("B", from_b, b)):
        if begin != recording.first_seq:
            notes.append(f"the other one leaves {name} before #{begin}; compared from there")
    return tally.comparison(tuple(notes))


_OTHER = "logs differ: A is {}, B is {} (source, scenario or code); compared by market records"


def _begin(recording: Recording, other: Recording) -> int:
    """Seq from which `recording` is compared: where `other` was taken out of it, else its first."""
    start = other.manifest.start
    if start is None or start.log_id != recording.log_id or other.log_id == recording.log_id:
        return recording.first_seq
    return max(start.seq, recording.first_seq)


def _opened(mine: Turn, its: Turn, recording: Recording, begin: int) -> None:
    """Give a first turn the opening of the run that it is in the midst of, where the other one opens with its own."""
    if begin == recording.first_seq or not any(type(word.event) is RunStarted for word in its.words.get("world", ())):
        return
    seq = max((seq for seq, _ in runs_of(recording) if seq < begin), default=None)
    if seq is not None:
        mine.words.setdefault("world", []).insert(0, recording.record(seq))


class Tally:
    """Counts what was compared and keeps the first divergence of each group."""

    def __init__(self) -> None:
        self.compared = 0
        self.digest = Digest()
        self.groups: dict[tuple[str, str], Divergence] = {}
        self.decision: Parted | None = None

    def market(self, mine: Record | None, its: Record | None) -> bool:
        """Compare two market records; False where the markets part and nothing further can be aligned."""
        if mine is None or its is None:
            return mine is its
        self.compared += 1
        if mine.event == its.event and mine.time == its.time:
            return True
        self._add(mine.seq, "world", mine.event, its.event)
        return False

    def words(self, by: str, mine: list[Record], its: list[Record], market: Record | None) -> None:
        """Compare what one reducer said in the same turn of both."""
        for index in range(max(len(mine), len(its))):
            left = mine[index] if index < len(mine) else None
            right = its[index] if index < len(its) else None
            self.compared += 1
            if left is not None and right is not None and _bare(left.event) == _bare(right.event):
                self.digest.add(by, left.event)
                continue
            if self.decision is None:
                self.decision = _parted(by, left, right, market)
            seq = left.seq if left is not None else market.seq if market is not None else 0
            self._add(seq, by, left.event if left else None, right.event if right else None)

    def ended(self, which: str) -> None:
        """One recording ended before the other."""
        self.groups["world", which] = Divergence(
            self.compared, "world", f"recording {which}", f"{which} ends first", "", numbers_only=False, fields=()
        )

    def _add(self, seq: int, by: str, mine: Event | None, its: Event | None) -> None:
        event = mine if mine is not None else its
        group = (by, subject_of(event))
        first = self.groups.get(group)
        if first is not None:
            self.groups[group] = msgspec.structs.replace(first, following=first.following + 1)
            return
        kind = "differs" if mine is not None and its is not None else "only in B" if mine is None else "only in A"
        fields = tuple(
            found for found in field_differences(mine, its) if re.split(r"[.\[]", found.field)[0] not in REFERENCES
        )
        numbers = kind == "differs" and all(
            isinstance(value, int) and not isinstance(value, bool)
            for field in fields
            for value in (field.recorded, field.recomputed)
        )
        self.groups[group] = Divergence(seq, by, group[1], kind, type(event).__name__, numbers, fields)

    def comparison(self, notes: tuple[str, ...]) -> Comparison:
        """What was found."""
        found = tuple(sorted(self.groups.values(), key=lambda one: (one.seq, one.by, one.subject)))
        return Comparison(not found, self.compared, self.digest.text(), notes, found, self.decision)


def _parted(by: str, mine: Record | None, its: Record | None, market: Record | None) -> Parted | None:
    """A pair that differs, if it is a decision."""
    said = mine or its
    if said is None or not isinstance(said.event, DECISIONS):
        return None
    return Parted(
        type(said.event).__name__,
        by,
        None if mine is None else mine.seq,
        None if its is None else its.seq,
        None if market is None else market.seq,
        "" if market is None else type(market.event).__name__,
    )


def _bare(event: Any) -> dict[str, Any]:
    """An event without the seqs it refers to."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return {key: value for key, value in plain.items() if key not in REFERENCES}
