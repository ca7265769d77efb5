"""The loop: read this page first, it explains the whole system.

    the world says something            a feed update, an answer to an ask, an operator, a clock tick
      -> it becomes a record            seq, cause (null: the world), by (null), time, event
      -> it is appended to the log      before anyone sees it
      -> reducers fold it               first those that know (pools, flow, mints), then those that decide
      -> what they say becomes records  cause = the seq they follow from, by = the reducer's name
      -> ... which are folded in turn, first in, first out, until nobody says anything more

A world record and all that follows from it is one *turn*. Nothing else influences a decision, so the same log
in gives the same bytes out. Live, replay and backtest differ in two values: where world records come from (a
source, a plain iterator) and who performs the asks (outlets). The loop runs in two manners:

    drive    what reducers say is appended and folded          live, backtest, run
    follow   recorded records are folded in their order, and what reducers say is handed back to be compared
             with what was recorded                             replay, verify, explain

To touch the world a reducer says an *ask*, which is a record like any other; an outlet performs it and its
*answer* comes back as a new world record. Replay has no outlets.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct

from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault


class Record(Struct, frozen=True, gc=False):
    """One line of the log.

    Attributes:
        seq: position in the log, dense from 0 over all types.
        cause: seq of the record this one follows from; None: the world said it.
        by: name of the reducer that said it; None: the world.
        time: log time in nanoseconds since 1970; never decreases, inherited within a turn.
        event: what happened.
    """

    seq: int
    cause: int | None
    by: str | None
    time: int
    event: Event


class Now:
    """The highest time (nanoseconds since 1970) and slot folded so far; the only clock a reducer may read."""

    __slots__ = ("slot", "time")

    def __init__(self) -> None:
        self.time = 0
        self.slot = 0


class Reducer(Protocol):
    """A rule with its state.

    Attributes:
        name: what `by` says in the records it emits; unique in a run.
        wants: the event types it folds.
        state: one msgspec Struct that holds everything it remembers (snapshots encode it and put it back).
    """

    name: str
    wants: tuple[type[Event], ...]
    state: Any

    def step(self, seq: int, event: Any) -> Iterable[Event]:
        """Fold one event, update the own state in place, and return what follows from it.

        No clock, randomness, environment, I/O, set iteration or float in anything that decides.
        """
        ...


Step = Callable[[int, Any], Iterable[Event]]
"""A reducer's `step`."""


class Outlet(Protocol):
    """Performs asks. The paper twin is deterministic; live outlets wait for durability before a byte leaves."""

    asks: tuple[type[Event], ...]

    @property
    def is_due(self) -> bool:
        """Whether an answer is to be taken at once."""
        ...

    def see(self, record: Record) -> None:
        """Be told every record in order; an ask among them is thereby taken on."""
        ...

    def due(self, slot: int | None) -> Iterator[Event]:
        """Answers to take before the first record of a slot above theirs (None: all that are due now)."""
        ...


class Loop:
    """Folds records through reducers, in the order given: those that know stand first.

    Args:
        reducers: in folding order.
        append: called with each new record before anyone folds it (drive only).
        now: the clock that reducers read; the loop advances it.
        seq: the next free seq.
    """

    def __init__(self, reducers: Sequence[Reducer], append: Callable[[Record], object], now: Now, seq: int = 0) -> None:
        self.reducers = tuple(reducers)
        self.append = append
        self.now = now
        self.seq = seq
        self.routes: dict[type[Event], tuple[tuple[str, Step], ...]] = {}
        for kind in {kind: None for reducer in self.reducers for kind in reducer.wants}:
            wanting = (reducer for reducer in self.reducers if kind in reducer.wants)
            self.routes[kind] = tuple((reducer.name, reducer.step) for reducer in wanting)

    def fold(self, record: Record) -> Sequence[tuple[str, Event]]:
        """Fold one record; what each reducer says about it, in order."""
        event = record.event
        now = self.now
        if record.time > now.time:  # noqa: PLR1730 - a call of max() would cost a tenth of the loop
            now.time = record.time
        if record.cause is None:
            slot = getattr(event, "slot", None)
            if slot is not None and slot > now.slot:
                now.slot = slot
        said: list[tuple[str, Event]] | tuple[()] = ()
        for name, step in self.routes.get(type(event), ()):
            words = step(record.seq, event)
            if words:
                if isinstance(words, Struct):
                    raise InputFault(f"{name}.step returned one {type(words).__name__}: yield it, or return a tuple")
                said = [*said, *((name, word) for word in words)]
        return said

    def follow(self, records: Iterable[Record]) -> Iterator[tuple[Record, Sequence[tuple[str, Event]]]]:
        """Follow: fold recorded records in order; hand back each derived one and each that somebody spoke about.

        What `fold` does, said here once more in one piece: a million records are followed in a second.
        """
        now, routes = self.now, self.routes
        latest, highest = now.time, now.slot
        for record in records:
            event = record.event
            if record.time > latest:
                now.time = latest = record.time
            if record.cause is None:
                slot = getattr(event, "slot", None)
                if slot is not None and slot > highest:
                    now.slot = highest = slot
            seq = record.seq
            said: list[tuple[str, Event]] | tuple[()] = ()
            for name, step in routes.get(type(event), ()):
                words = step(seq, event)
                if words:
                    said = [*said, *((name, word) for word in words)]
            if said or record.cause is not None:
                yield record, said

    def take(self, event: Event, time: int) -> Record:
        """Drive: append a world event at `time` (clamped: time never decreases) and fold the whole turn."""
        now = self.now.time
        world = self.record(event, None, None, time if time > now else now)  # noqa: FURB136 - max() would cost more
        said = self.fold(world)
        if said:
            self.turn(world, said)
        return world

    def turn(self, record: Record, said: Sequence[tuple[str, Event]]) -> None:
        """What was said about a record, and all that follows from it, first in, first out."""
        todo: deque[Record] = deque()
        while True:
            for name, word in said:
                todo.append(self.record(word, record.seq, name, record.time))
            if not todo:
                return
            record = todo.popleft()
            said = self.fold(record)

    def record(self, event: Event, cause: int | None, by: str | None, time: int) -> Record:
        """Give the event its seq and append it."""
        seq = self.seq
        record = Record(seq, cause, by, time, event)
        self.append(record)
        self.seq = seq + 1
        return record
