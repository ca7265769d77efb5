"""From a scenario to the reducers of a run, in folding order: those that know first, then those that decide."""

from collections.abc import Sequence
from typing import Any

from ironcrab import __version__
from ironcrab.domain.control import ReducerInfo, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.fault import ScenarioFault
from ironcrab.domain.market import MARKET, PoolStateUpdate, Trade
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.log.contents import sealed_files
from ironcrab.log.passing import Passed, Pools
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import Columns
from ironcrab.loop import Loop, Now, Reducer
from ironcrab.market.flow import Flow
from ironcrab.market.known import Known
from ironcrab.market.mints import Mints
from ironcrab.market.pools import LivePoolCache
from ironcrab.market.slippage import Slippage
from ironcrab.mode.code import path_of, source_digest
from ironcrab.mode.paper import Paper
from ironcrab.mode.scenario import Scenario, Strategy

ALL = ("mints", "pools", "flow", "slippage")
"""What a decider without `reads` may read: every market reducer."""
FOLLOWING = (Mints, LivePoolCache, Flow, Slippage, ExecutionEngine, Paper)
"""Who wants to know only of those pools that strategies decide on: what they tell of a pool follows from its own trades
and reserves. Of the others the engine uses nothing but that they came."""
PASSING = (Trade, PoolStateUpdate)
"""What comes by the million and is told of one pool."""


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
        strategies = tuple(_made(strategy, self.known) for strategy in scenario.strategies)
        wallet = scenario.engine.wallet
        keepers = tuple(one.kind(one.params, self.known, wallet) for one in scenario.housekeepers if one.params.enabled)
        deciders = (*strategies, *keepers, self.engine)
        knowing = self.known.keep(tuple(name for decider in deciders for name in getattr(decider, "reads", ALL)))
        self.reducers: tuple[Reducer, ...] = (*knowing, *deciders)


def _made(strategy: Strategy, known: Known) -> Any:
    """A strategy of the scenario; ScenarioFault where it keeps no state that a snapshot could hold."""
    made = strategy.kind(strategy.params, known)
    if not hasattr(made, "state"):
        raise ScenarioFault(f"strategy {path_of(strategy.kind)} sets no state; all it remembers stands in self.state")
    return made


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


def columns_of(readers: Sequence[Any], recording: Recording | None = None) -> Columns:
    """The fields of each market event that these reducers and outlets use, where each of them declares it.

    A reader declares in `fields` what it uses of an event type (`()`: only that it came); one that wants a type and
    declares nothing uses all of it, and so does an outlet, which sees everything. Seq, time and slot are always read,
    so that the clock stands the same, and a type that nobody wants costs no more than that. In a recording without
    account writes the pool cache has no use for signatures.
    """
    is_unwritten = recording is not None and "AccountWritten" not in sealed_files(recording)
    found: dict[type[Event], tuple[str, ...]] = {}
    for kind in MARKET:
        wanted: dict[str, None] | None = {"slot": None}
        for reader in readers:
            told = getattr(reader, "fields", {}).get(kind) if kind in getattr(reader, "wants", MARKET) else ()
            if told and is_unwritten and isinstance(reader, LivePoolCache):
                told = tuple(name for name in told if name != "signature")
            wanted = None if told is None or wanted is None else {**wanted, **dict.fromkeys(told)}
        if wanted is not None:
            found[kind] = tuple(name for name in kind.__struct_fields__ if name in wanted)
    return found


def pools_of(readers: Sequence[Any], recording: Recording) -> Pools:
    """The only pools whose trades and reserves need to be read for these readers, by event type; none: all.

    A strategy names its pools in `pools` (empty: any), folds what is told of these alone and says intents on these
    alone; one that sells on a curve names the pool that follows it, too. A recording with account writes, or with a
    segment that is not sealed, is read whole: there any pool's trade tells that all its transaction wrote is stored.
    """
    sealed = all(part.entry is not None and part.entry.files for part in recording.parts)
    deciders = [reader for reader in readers if not isinstance(reader, FOLLOWING)]
    if not sealed or "AccountWritten" in sealed_files(recording) or not all(map(_named, deciders)):
        return {}
    named = tuple({pool: None for reader in deciders for pool in _named(reader)})
    return dict.fromkeys(PASSING, named) if named else {}


def _named(reader: Any) -> tuple[str, ...]:
    """The pools that a strategy names; (): any. Some keep the pool cache under that name."""
    pools = getattr(reader, "pools", ())
    return pools if isinstance(pools, tuple) else ()


def let_pass(loop: Loop, engine: ExecutionEngine) -> None:
    """What passes moves the clock, and with it the engine, which ends attempts and decides at any world record."""
    if engine in loop.reducers:
        loop.routes[Passed] = ((engine.name, engine.step),)
