"""Compute limits learned from simulations: the most units that a trade on these pools lately used.

What is remembered of a series falls by a sixteenth with each simulation that used less, so that one odd run is
forgotten in time; a simulation that ran out of units doubles it.
"""

from ironcrab.dex.wallet import CREATE_UNITS
from ironcrab.domain.ask import Plan, SimulateAnswer
from ironcrab.domain.trade import TradeIntent
from ironcrab.domain.units import BPS, ceil_div, floor_div
from ironcrab.execution.params import EngineParams
from ironcrab.execution.state import EngineState

MOST_SERIES = 1_024
"""Series remembered; beyond it the one that was simulated longest ago is forgotten."""
MOST_UNITS = 1_400_000
"""Compute units a transaction may use."""
FALL = 16
"""What a simulation that used less leaves of the remembered units: all but one part of so many."""
EXHAUSTED = ("ComputationalBudgetExceeded", "exceeded CUs", "ProgramFailedToComplete")
"""Words of an error or log that say that the limit was too low (the last one: usually)."""


def series_of(intent: TradeIntent) -> str:
    """The series of an intent: its pools and its side."""
    return f"{' '.join(intent.resources.pools)} {intent.side}"


def learned_units(state: EngineState, params: EngineParams, series: str) -> int | None:
    """The compute limit that simulations taught, room for one more account in it; None: nothing is taught."""
    most = state.units.get(series)
    if most is None or not params.learned_compute_enabled:
        return None
    limit = ceil_div(most * (BPS + params.learned_compute_margin_bps), BPS) + CREATE_UNITS
    return min(limit, params.max_compute_units)


def learn_units(state: EngineState, series: str, plan: Plan, answer: SimulateAnswer) -> None:
    """Take note of what a simulation of a built plan used."""
    used = answer.compute_units_consumed
    if not plan.calls:
        return
    told = f"{answer.error_code} {answer.logs_preview}"
    if not answer.success:
        if not any(word in told for word in EXHAUSTED):
            return
        used = min(2 * plan.compute_units, MOST_UNITS)
    if not used:
        return
    known = state.units.pop(series, 0)
    state.units[series] = max(used, known - floor_div(known, FALL))
    if len(state.units) > MOST_SERIES:
        del state.units[next(iter(state.units))]
