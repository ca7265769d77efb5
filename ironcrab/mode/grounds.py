"""Grounds: the records behind every attempt of a run, gathered in one pass: what a report explains its trades with.

`explain` walks back from one record and says it anew; this reads forwards, for many attempts at once.
"""

from typing import Any

from ironcrab.domain.ask import ANSWER, ASK
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate, TradeIntent, Verdict
from ironcrab.loop import Record

MOST = 2_000
"""Decisions whose grounds are kept."""


class Grounds:
    """Shown every record of a run in order; `of` then holds, by a decision's seq, the records behind it."""

    def __init__(self) -> None:
        self.of: dict[int, list[Record]] = {}
        self.turn: list[Record] = []
        self.by_intent: dict[int, list[Record]] = {}
        self.asks: dict[int, int] = {}
        self.deciding: list[Record] | None = None

    def see(self, record: Record) -> None:
        """Take one record."""
        event: Any = record.event
        if record.cause is None:
            self.turn, self.deciding = [], None
        self.turn.append(record)
        if isinstance(event, TradeIntent) and len(self.by_intent) < MOST:
            self.by_intent[record.seq] = [
                said
                for said in self.turn
                if said.seq == record.cause
                or said is record
                or (isinstance(said.event, Verdict) and (said.cause, said.by) == (record.cause, record.by))
            ]
        elif isinstance(event, ASK):
            self.asks[record.seq] = event.intent
            self._add(event.intent, record)
        elif isinstance(event, ANSWER):
            self._add(self.asks.get(event.ask), record)
        elif isinstance(event, DecisionRecord):
            self._add(event.intent, record)
            self.deciding = self.by_intent.get(event.intent or -1)
            if self.deciding is not None:
                self.of[record.seq] = self.deciding
        elif isinstance(event, ExecutionResult):
            self._add(event.intent, record)
        elif isinstance(event, PositionUpdate) and self.deciding is not None:
            self.deciding.append(record)

    def _add(self, intent: int | None, record: Record) -> None:
        if intent in self.by_intent:
            self.by_intent[intent].append(record)
