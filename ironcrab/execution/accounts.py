"""What a confirmed or failed transaction changes: capital, positions, profit and loss. Each of them once."""

from ironcrab.domain.ask import ConfirmAnswer, Plan
from ironcrab.domain.event import Event
from ironcrab.domain.market import ExplicitAmount
from ironcrab.domain.trade import Pnl
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.execution.building import NATIVE
from ironcrab.execution.positions import Fill
from ironcrab.execution.progress import cost_lamports
from ironcrab.execution.state import Attempt, EngineState


def settle_failed(attempt: Attempt, answer: ConfirmAnswer, state: EngineState, seq: int, at: Fill) -> None:
    """A transaction that failed on the chain: the capital comes back, the fees are lost."""
    state.capital.release(attempt.intent)
    cost = cost_lamports(answer.fees)
    if cost:
        state.capital.asset(NATIVE_SOL).settle(0, cost, at.slot, seq)
        state.losses.realise(-cost, at.time_ms)


def settle_confirmed(
    attempt: Attempt, answer: ConfirmAnswer, state: EngineState, seq: int, at: Fill
) -> tuple[Pnl | None, list[Event]]:
    """A confirmed transaction: settle capital, change the position, realise the profit of a sell.

    A fill that is not told never makes a position; its capital counts as spent until a wallet snapshot says better.

    Returns:
        The profit of a sell where its cost is known, and the authority's words.
    """
    plan, capital = attempt.plan, state.capital
    sol = attempt.sol or capital.sol()
    paid = capital.locks[attempt.intent].asset
    spent = _raw(answer.fill_in, plan.amount_in)
    capital.settle(attempt.intent, paid, spent, at.slot, seq)
    cost = cost_lamports(answer.fees)
    if cost:
        capital.asset(NATIVE_SOL).settle(0, cost, at.slot, seq)
    wraps = plan.input_mint == NATIVE_SOL
    got = sol if plan.output_mint == SOL_MINT and not wraps else plan.output_mint
    if got == SOL_MINT and plan.calls and (plan.hops[-1].dex if plan.hops else plan.dex) in NATIVE:
        got = NATIVE_SOL
    if answer.fill_out is not None:
        capital.wsol_seen = capital.wsol_seen or (wraps and answer.fill_out.raw > 0)
        capital.asset(got).receive(answer.fill_out.raw, at.slot, seq)
    if plan.hops:
        return _earned(attempt, answer, state, at, cost), []
    if plan.side == "Buy":
        return None, _bought(answer, state, at, cost)
    return _sold(attempt, answer, state, at, cost)


def _earned(attempt: Attempt, answer: ConfirmAnswer, state: EngineState, at: Fill, cost: int) -> Pnl | None:
    """The profit of a round trip: what came back less what went in; tokens that a leg left over count as nothing."""
    if answer.fill_in is None or answer.fill_out is None or attempt.plan.output_mint != attempt.plan.input_mint:
        return None
    gross = answer.fill_out.raw - answer.fill_in.raw
    net = gross - cost
    state.losses.realise(net, at.time_ms)
    return Pnl(gross, net)


def _bought(answer: ConfirmAnswer, state: EngineState, at: Fill, cost: int) -> list[Event]:
    if answer.fill_out is None or not answer.fill_out.raw:
        return []
    fill = Fill(at.mint, answer.fill_out.raw, answer.fill_out.decimals, at.slot, at.time_ms)
    update = state.authority.bought(fill, None if answer.fill_in is None else answer.fill_in.raw, cost)
    return [] if update is None else [update]


def _sold(
    attempt: Attempt, answer: ConfirmAnswer, state: EngineState, at: Fill, cost: int
) -> tuple[Pnl | None, list[Event]]:
    if answer.fill_in is None or not answer.fill_in.raw:
        return None, []
    fill = Fill(at.mint, answer.fill_in.raw, answer.fill_in.decimals, at.slot, at.time_ms)
    share, update = state.authority.sold(fill)
    said: list[Event] = [] if update is None else [update]
    if plan_burns(attempt.plan) and share.cost_lamports is not None:
        gross = -share.cost_lamports
        net = gross - share.fee_lamports - cost
        state.losses.realise(net, at.time_ms)
        return Pnl(gross, net), said
    if share.cost_lamports is None or answer.fill_out is None or attempt.plan.output_mint != SOL_MINT:
        return None, said
    gross = answer.fill_out.raw - share.cost_lamports
    net = gross - share.fee_lamports - cost
    state.losses.realise(net, at.time_ms)
    if net < 0:
        state.losses.rest(at.mint, at.time_ms, state.params.cooldown_ms)
    return Pnl(gross, net), said


def plan_burns(plan: Plan) -> bool:
    """Whether tokens are destroyed: what comes back is the rent of their account, and no price."""
    return plan.output_mint == NATIVE_SOL and plan.input_mint != SOL_MINT and plan.amount_in > 0


def _raw(amount: ExplicitAmount | None, otherwise: int) -> int:
    return otherwise if amount is None else amount.raw
