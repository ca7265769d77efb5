"""From arrivals of a feed client to world events: normalised, without what the log holds already."""

from msgspec.structs import replace

from ironcrab.domain.control import GapClosed
from ironcrab.domain.event import Event
from ironcrab.ingest.normalise import Normaliser
from ironcrab.mode.resuming import Tail
from ironcrab.shell.inbox import Arrival, Connected, Lost

KILLED = "the session ended without a word"


class Feeding:
    """See the module.

    Attributes:
        is_up: whether the feed is.
        gap: record of the gap that is open; whoever appends a GapOpened sets it.

    Args:
        normaliser: its tree, restored where a log goes on.
        tail: of the log that goes on; None: a new one.
        gap: the gap that was open there.
    """

    def __init__(self, normaliser: Normaliser, tail: Tail | None, gap: int | None) -> None:
        self.normaliser = normaliser
        self.tail = tail
        self.gap = gap
        self.is_up = False

    def events(self, arrival: Arrival) -> list[tuple[int, Event]]:
        """(time, event) of what arrived."""
        time, what = arrival
        if isinstance(what, Connected):
            self.is_up = True
            return self._new(self.normaliser.connected(time, what.from_slot, what.to_slot))
        if isinstance(what, Lost):
            self.is_up = False
            return self._new(self.normaliser.disconnected(time, what.reason))
        return self._new(self.normaliser.feed(what, time))

    def interrupted(self, time: int) -> list[tuple[int, Event]]:
        """What a run that ended without a word left unsaid: its feed is down, and a gap is open."""
        if self.tail is None:
            return []
        return self._new(self.normaliser.resumed(time, KILLED, was_up=self.tail.is_open))

    def end(self, time: int, reason: str) -> list[tuple[int, Event]]:
        """We leave the feed: a gap opens, which the next run closes."""
        return self._new(self.normaliser.disconnected(time, reason)) if self.is_up else []

    def _new(self, said: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
        tail = self.tail
        if tail is not None:
            said = [(time, event) for time, event in said if not tail.holds(event)]
        return [(time, self._linked(event)) for time, event in said]

    def _linked(self, event: Event) -> Event:
        return replace(event, opened=self.gap) if isinstance(event, GapClosed) else event
