"""From a scenario to the reducers of a run, in folding order: those that know first, then those that decide."""

from typing import Any

from ironcrab import __version__
from ironcrab.domain.control import ReducerInfo, RunStarted
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.loop import Now, Reducer
from ironcrab.market.known import Known
from ironcrab.mode.code import path_of, source_digest
from ironcrab.mode.scenario import Scenario


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
        self.reducers: tuple[Reducer, ...] = (*self.known.reducers, *strategies, self.engine)


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
