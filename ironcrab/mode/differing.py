"""Diff: the first difference of two recordings and all independent ones, field by field.

Two runs of one market have the same market records at other seqs once one of them says more. So records are
aligned by the market: what each reducer says between two market records is compared in order, references to
other records left aside (a shifted seq is no difference of its own).
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ironcrab.domain.event import Event
from ironcrab.log.compare import Digest, Divergence, field_differences, subject_of
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
from ironcrab.mode.run import OURS

REFERENCES = ("intent", "ask", "decided_at", "opened", "reads", "first_seq")
"""Fields that name other records by seq."""


class Comparison(Struct, frozen=True):
    """Two recordings held against each other."""

    equal: bool
    compared: int
    digest: str
    notes: tuple[str, ...]
    divergences: tuple[Divergence, ...]


class Turn(Struct):
    """One market record (None before the first) and what was said until the next one."""

    market: Record | None
    words: dict[str, list[Record]]


def turns(recording: Recording) -> Iterator[Turn]:
    """The recording in turns of its market records; answers, ticks and control stand among the words of `world`."""
    turn = Turn(None, {})
    for record in recording.records():
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
    left, right = turns(a), turns(b)
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
    return tally.comparison(_notes(a, b))


def _notes(a: Recording, b: Recording) -> tuple[str, ...]:
    if a.log_id == b.log_id:
        return ()
    return (f"logs differ: A is {a.log_id}, B is {b.log_id} (source, scenario or code); compared by market records",)


class Tally:
    """Counts what was compared and keeps the first divergence of each group."""

    def __init__(self) -> None:
        self.compared = 0
        self.digest = Digest()
        self.groups: dict[tuple[str, str], Divergence] = {}

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
        fields = tuple(found for found in field_differences(mine, its) if found.field.split(".")[0] not in REFERENCES)
        numbers = kind == "differs" and all(
            isinstance(value, int) and not isinstance(value, bool)
            for field in fields
            for value in (field.recorded, field.recomputed)
        )
        self.groups[group] = Divergence(seq, by, group[1], kind, type(event).__name__, numbers, fields)

    def comparison(self, notes: tuple[str, ...]) -> Comparison:
        """What was found."""
        found = tuple(sorted(self.groups.values(), key=lambda one: (one.seq, one.by, one.subject)))
        return Comparison(not found, self.compared, self.digest.text(), notes, found)


def _bare(event: Any) -> dict[str, Any]:
    """An event without the seqs it refers to."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return {key: value for key, value in plain.items() if key not in REFERENCES}
