"""The in-flight registry: one wish a path, until its end is known."""

from msgspec import Struct

from ironcrab.domain.trade import DecisionRecord, ExecutionResult
from ironcrab.domain.units import Nanos, Seq

SENT_HOLD_NANOS = 600_000_000_000
"""A sent wish ends with a result; should that never come (an imported log that breaks off), so long it holds."""
ENDS = ("confirmed", "failed", "timeout")
"""Results that release; `sent` does not."""


class Flight(Struct, gc=False):
    """A wish under way: `until` when it is given up, `intent` its seq once known."""

    until: Nanos
    intent: Seq | None = None


class Flights:
    """Works on the flights of a state, by path (the pools in order). Args: that map."""

    def __init__(self, flights: dict[str, Flight]) -> None:
        self.flights = flights

    def holds(self, path: str, now: Nanos) -> bool:
        """Whether a wish on this path is under way."""
        flight = self.flights.get(path)
        return flight is not None and now <= flight.until

    def begin(self, path: str, now: Nanos, until: Nanos) -> None:
        """A wish was said; what ran out is forgotten."""
        for old in [key for key, flight in self.flights.items() if flight.until < now]:
            del self.flights[old]
        self.flights[path] = Flight(until)

    def said(self, seq: int, path: str) -> None:
        """The wish became record `seq`."""
        flight = self.flights.get(path)
        if flight is not None and flight.intent is None:
            flight.intent = seq

    def decided(self, event: DecisionRecord) -> None:
        """A decision ends a wish, unless it says that the transaction may still land."""
        if event.outcome != "Sent":
            self._end(event.intent)

    def executed(self, event: ExecutionResult) -> None:
        """A result ends a wish; one that was sent holds on until its end is told."""
        if event.status in ENDS:
            self._end(event.intent)
            return
        for flight in self.flights.values():
            if event.intent is not None and flight.intent == event.intent:
                flight.until += SENT_HOLD_NANOS

    def _end(self, intent: int | None) -> None:
        for path in [path for path, flight in self.flights.items() if intent is not None and flight.intent == intent]:
            del self.flights[path]
