"""From a scenario to the reducers of a run, in folding order: those that know first, then those that decide."""

from collections.abc import Sequence
from typing import Any

from ironcrab import __version__
from ironcrab.domain.control import ReducerInfo, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import MARKET
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.log.sealed import Columns
from ironcrab.loop import Now, Reducer
from ironcrab.market.known import Known
from ironcrab.mode.code import path_of, source_digest
from ironcrab.mode.scenario import Scenario

ALL = ("mints", "pools", "flow", "slippage")
"""What a decider without `reads` may read: every market reducer."""


class Wiring:
    """The reducers of one run and what they share: the clock and the market's state, read-only for deciders.

    Attributes:
        now: the clock; the loop advances it.
        known: what the market reducers know.
        reducers: in folding order.
        engine: the execution engine among them.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.now = Now()
        self.known = Known.fresh(self.now)
        self.engine = ExecutionEngine(scenario.engine, self.known)
        strategies = tuple(strategy.kind(strategy.params, self.known) for strategy in scenario.strategies)
        wallet = scenario.engine.wallet
        keepers = tuple(one.kind(one.params, self.known, wallet) for one in scenario.housekeepers if one.params.enabled)
        deciders = (*strategies, *keepers, self.engine)
        knowing = self.known.keep(tuple(name for decider in deciders for name in getattr(decider, "reads", ALL)))
        self.reducers: tuple[Reducer, ...] = (*knowing, *deciders)


def infos(reducers: tuple[Any, ...]) -> tuple[ReducerInfo, ...]:
    """Name, class path and source digest of each reducer."""
    return tuple(
        ReducerInfo(reducer.name, path_of(type(reducer)), source_digest(type(reducer))) for reducer in reducers
    )


def started(scenario: Scenario, wiring: Wiring, run: int, generations: tuple[str, ...] = ()) -> RunStarted:
    """The event that opens a run: code, reducers, every parameter, outlets."""
    return RunStarted(
        run=run,
        scenario=scenario.name,
        code_version=__version__,
        component="ironcrab",
        reducers=infos(wiring.reducers),
        settings=scenario.settings,
        outlets=scenario.outlets,
        generations=generations,
    )


def columns_of(readers: Sequence[Any]) -> Columns:
    """The fields of each market event that these reducers and outlets use, where each of them declares it.

    A reader declares in `fields` what it uses of an event type (`()`: only that it came); one that wants a type and
    declares nothing uses all of it, and so does an outlet, which sees everything. Seq, time and slot are always read,
    so that the clock stands the same, and a type that nobody wants costs no more than that.
    """
    found: dict[type[Event], tuple[str, ...]] = {}
    for kind in MARKET:
        wanted: dict[str, None] | None = {"slot": None}
        for reader in readers:
            told = getattr(reader, "fields", {}).get(kind) if kind in getattr(reader, "wants", MARKET) else ()
            wanted = None if told is None or wanted is None else {**wanted, **dict.fromkeys(told)}
        if wanted is not None:
            found[kind] = tuple(name for name in kind.__struct_fields__ if name in wanted)
    return found
