"""What housekeepers have in common: one action under way at a time, and settings that an operator may change."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct

from ironcrab.domain.control import ConfigUpdate, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import SlotUpdate
from ironcrab.domain.settings import Changes, in_force, of_table, reopened, update
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.domain.units import Seq, Word
from ironcrab.execution.params import config_snapshot_id

Params = TypeVar("Params", bound=Struct)
PASSING_TIME: Mapping[type[Event], tuple[str, ...]] = MappingProxyType({SlotUpdate: ()})
"""A slot only lets time pass: ticks come in silent seconds alone, and a busy feed has none."""


class UnderWay(Struct):
    """The one action of a housekeeper whose decision has not come.

    Attributes:
        said: its intent was said; False: none is under way.
        intent: seq of that intent; None: it is not recorded yet.
    """

    said: bool = False
    intent: Seq | None = None

    def follow(self, name: Word, seq: Seq, event: TradeIntent | DecisionRecord) -> bool:
        """Note the seq of the intent that `name` said; whether this decision ends the action."""
        if isinstance(event, TradeIntent):
            if self.said and self.intent is None and event.source == name:
                self.intent = seq
            return False
        if self.intent is None or event.intent != self.intent:
            return False
        self.said, self.intent = False, None
        return True

    def reopen(self) -> None:
        """A run opens: a wish that an interrupted run did not write was never said."""
        self.said = self.intent is not None


def settings_now(
    name: Word, table: str, scenario: Params, changes: Changes, event: RunStarted | ConfigUpdate
) -> tuple[Params, tuple[Event, ...]]:
    """A run opens, or an operator wishes other settings: what holds from here on, and what is said of it.

    Args:
        name: of the housekeeper.
        table: of its settings in a scenario.
        scenario: its settings as the scenario has them.
        changes: what an operator changed, in its state.
        event: the occasion.
    """
    if isinstance(event, ConfigUpdate):
        said = update(name, scenario, changes, event, config_snapshot_id)
    else:
        said = reopened(name, scenario, changes, of_table(event, table, type(scenario)), config_snapshot_id)
    return in_force(scenario, changes), () if said is None else (said,)
