"""CrossDexHandler: every refusal, the plan of a path, what a simulation must show, the accounts of a round trip."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate, GapOpened
from ironcrab.domain.market import ExplicitAmount, PoolStateUpdate
from ironcrab.domain.trade import Execution, PositionUpdate, ResultFees, SwapHop, TradeResources
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.mode.paper import PaperParams
from tests.execution.stage import MINT, Stage, buy, trade

IN = 100_000_000
COST = 6_600 - 500
"""Lamports: 5,000 and 200,000 cu at the Arb tier's 5,500 micro-lamports."""
SOL = 1_000_000_000
POOLS = {"A": "raydium", "B": "raydium_cpmm"}


def ready(dear=300, **params):
    """A stage on which B pays so many bps more for the token than A."""
    stage = Stage(paper=None, **{"send_enabled": True, **params})
    stage.take(PoolStateUpdate("A", "raydium", 10**12, 1_000 * SOL, MINT, SOL_MINT, 10, slot=10))
    reserve = 1_000 * SOL * (10_000 + dear) // 10_000
    stage.take(PoolStateUpdate("B", "raydium_cpmm", 10**12, reserve, MINT, SOL_MINT, 10, slot=10))
    return stage


def hops(*pools, mint=MINT):
    path = [SOL_MINT, *[mint] * (len(pools) - 1), SOL_MINT]
    return tuple(SwapHop(pool, POOLS.get(pool, "raydium"), path[i], path[i + 1], 0) for i, pool in enumerate(pools))


def path(raw=IN, told=None, pools=None, **fields):
    told = hops("A", "B") if told is None else told
    pools = tuple(hop.pool_address for hop in told) if pools is None else pools
    more = {
        "source": "arb-strategy", "tier": "Arb", "regime": "NotApplicable", "expected_roi_bps": 300,
        "resources": TradeResources(SOL_MINT, SOL_MINT, pools), "swap_path": told,
        "execution": Execution(ExplicitAmount(raw, 9)),
    }  # fmt: skip
    return buy(raw, **{**more, **fields})


def decide(stage, intent):
    before = len(stage.decisions)
    stage.take(intent)
    stage.take(ClockTick())
    return stage.decisions[before] if len(stage.decisions) > before else None


def row(decision, name="cross_dex_validation"):
    return next(check for check in decision.checks if check.check_name == name)


REFUSALS = {
    "off": ({"cross_dex_enabled": False}, path(), "ARB_HANDLER_NOT_CONFIGURED", "cross_dex_enabled=false"),
    "one pool twice": ({}, path(told=hops("A", "A")), "ARB_VALIDATION_ERROR", "each once"),
    "other pools": ({}, path(pools=("B", "A")), "ARB_VALIDATION_ERROR", "not the path's pools"),
    "unknown": ({}, path(told=hops("A", "Z")), "ARB_VALIDATION_ERROR", "pool Z is unknown"),
    "dex": (
        {},
        path(told=(SwapHop("A", "orca", SOL_MINT, MINT, 0), *hops("A", "B")[1:])),
        "ARB_VALIDATION_ERROR",
        "dex=orca but pool A is of raydium",
    ),
    "broken": ({}, path(told=hops("A", "B", mint="Other")), "ARB_VALIDATION_ERROR", "does not follow"),
    "open": (
        {},
        path(told=(hops("A", "B")[0], SwapHop("B", "raydium_cpmm", SOL_MINT, MINT, 0))),
        "ARB_VALIDATION_ERROR",
        "does not follow",
    ),
    "long": ({"cross_dex_max_hops": 2}, path(told=(*hops("A", "B"), hops("A")[0])), "ARB_VALIDATION_ERROR", "hops=3, 2..2"),
    "no least output": ({}, path(execution=None), "ARB_VALIDATION_ERROR", "missing execution.min_out"),
    "last trade": ({}, path(told=hops("T", "B")), "ARB_QUOTE_UNAVAILABLE", "pool=T reason=LAST_TRADE_ONLY"),
    "empty": ({}, path(told=hops("A", "E")), "ARB_QUOTE_UNAVAILABLE", "pool=E reason=QUOTE_UNAVAILABLE"),
    "backwards": ({}, path(told=hops("B", "A")), "ARB_SPREAD_INSUFFICIENT", "spread=-"),
    "claimed": ({}, path(execution=Execution(ExplicitAmount(103_000_000, 9))), "ARB_SPREAD_INSUFFICIENT", "min_out=103000000"),
    "spread": ({"cross_dex_min_spread_bps": 300}, path(), "ARB_SPREAD_INSUFFICIENT", "spread=2"),
    "fixed profit": ({"cross_dex_min_profit_lamports": 3_000_000}, path(), "ARB_SPREAD_INSUFFICIENT", "required=3000000"),
    "share": ({"min_profit_after_fees_bps": 250}, path(), "ARB_SPREAD_INSUFFICIENT", "required=2500000"),
    "leg slippage": ({"cross_dex_leg_slippage_bps": 280}, path(), "ARB_SPREAD_INSUFFICIENT", "spread=-"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    params, intent, code, text = REFUSALS[name]
    stage = ready(**params)
    stage.take(trade(10, pool="T", dex="raydium"))
    stage.take(PoolStateUpdate("E", "raydium", 0, 0, MINT, SOL_MINT, 10, slot=10))
    decision = decide(stage, intent)
    assert decision.primary_reject_reason == code
    assert text in decision.checks[-1].details
    assert decision.checks[-1].check_name == ("cross_dex_handler" if name == "off" else "cross_dex_validation")
    assert stage.engine.state.capital.locks == {}
    assert stage.engine.state.pools.locks == {}


def test_an_unknown_pool_after_a_gap_is_not_quoted():
    stage = ready()
    stage.take(GapOpened("geyser", 10, 11, "drill"))
    assert row(decide(stage, path())).reason_code == "ARB_QUOTE_UNAVAILABLE"


def test_last_trades_are_quotes_where_that_is_wanted():
    stage = ready(cross_dex_last_trade_quotes=True)
    for pool, sol in (("T", SOL), ("V", 2 * SOL)):
        stage.take(trade(10, sol, 10**9, pool=pool, dex="raydium"))
    assert decide(stage, path(told=hops("T", "V"))) is None
    assert stage.of(SimulateAsk)[0].plan.hops[0].pool_address == "T"


def test_a_path_that_earns_is_planned_leg_by_leg():
    stage = ready()
    assert decide(stage, path()) is None
    plan = stage.of(SimulateAsk)[0].plan
    first, last = plan.hops
    quotes = stage.known.quotes
    assert first.min_out == quotes.quote("A", SOL_MINT, IN).amount_out * 9_990 // 10_000
    assert last.amount_in == first.min_out, "the next leg takes what is guaranteed"
    assert (first.input_mint, first.output_mint, last.output_mint) == (SOL_MINT, MINT, SOL_MINT)
    assert plan.must_earn_lamports == 100_000, "10 bps of what goes in"
    assert plan.min_out == last.min_out == IN + COST + 100_000
    assert quotes.quote("B", MINT, last.amount_in).amount_out > plan.min_out
    assert (plan.input_mint, plan.output_mint, plan.side, plan.amount_in) == (SOL_MINT, SOL_MINT, "Buy", IN)


def test_what_is_quoted_is_quoted_at_the_decision():
    """The intent was good; the pool moves before it is decided."""
    stage = ready()
    stage.engine.state.params = msgspec.structs.replace(stage.engine.params, max_concurrent_intents=1)
    stage.take(path())
    stage.take(PoolStateUpdate("B", "raydium_cpmm", 10**12, 1_000 * SOL, MINT, SOL_MINT, 11, slot=11))
    assert stage.decisions[0].primary_reject_reason == "ARB_SPREAD_INSUFFICIENT"
    reads = [(read.what, read.of) for read in stage.decisions[0].reads]
    assert ("quote", "A") in reads
    assert ("quote", "B") in reads


def test_the_rows_of_a_round_trip():
    stage = ready(send_enabled=False)
    decide(stage, path())
    stage.take(SimulateAnswer(stage.records[-1].seq, True, amount_out=102_000_000))
    decision = stage.decisions[0]
    assert row(decision, "max_open_positions").details == "skipped_for_round_trip"
    text = row(decision).details
    assert text.startswith("spread=2")
    assert f"tx_cost={COST}lamports" in text
    assert row(decision, "tx_plan").details.endswith("buy_dex=raydium sell_dex=raydium_cpmm")


def test_the_originals_two_pools_without_a_path():
    stage = ready()
    told = {"buy_dex": "raydium", "sell_dex": "raydium_cpmm"}
    intent = path(told=(), pools=("A", "B"), metadata=told, resources=TradeResources(SOL_MINT, MINT, ("A", "B")))
    assert decide(stage, intent) is None
    assert [hop.pool_address for hop in stage.of(SimulateAsk)[0].plan.hops] == ["A", "B"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"amount_out": 100_106_099}, "amount_out=100106099 < min_out=100106100"),
        ({"amount_out": 102_000_000, "wallet_sol_delta_lamports": 99_999}, "wallet_delta=99999 < must_earn=100000"),
        ({"wallet_sol_delta_lamports": -5_000_000}, "wallet_delta=-5000000 < must_earn=100000"),
        ({}, "the simulation tells no balances"),
        ({"amount_out": 100_106_100}, None),
        ({"amount_out": 102_000_000, "wallet_sol_delta_lamports": 100_000}, None),
        ({"wallet_sol_delta_lamports": 100_000}, None),
    ],
)
def test_a_passed_simulation_is_no_profit(answer, text):
    stage = ready()
    decide(stage, path())
    ask = next(record.seq for record in stage.records if type(record.event) is SimulateAsk)
    stage.take(SimulateAnswer(ask, True, **answer))
    if text is None:
        assert len(stage.of(SendAsk)) == 1
        told = next(iter(stage.engine.state.attempts.values())).rows[-1]
        assert (told.check_name, told.passed) == ("simulation_profit", True)
        return
    assert stage.of(SendAsk) == []
    decision = stage.decisions[0]
    assert (decision.primary_reject_reason, decision.outcome) == ("SIM_UNPROFITABLE", "Rejected")
    assert decision.checks[-1].details == text
    assert stage.engine.state.capital.locks == {}


def confirmed(stage, fill_in=IN, fill_out=102_000_000):
    decide(stage, path())
    stage.take(SimulateAnswer(seq_of(stage, SimulateAsk), True, amount_out=102_000_000))
    ask = seq_of(stage, SendAsk)
    stage.take(SendAnswer(ask, True, 5, "paper", 11))
    fills = [None if raw is None else ExplicitAmount(raw, 9) for raw in (fill_in, fill_out)]
    stage.take(ConfirmAnswer(ask, "confirmed", 12, None, *fills, fees=ResultFees(COST, 0, 1), ordinal=1))
    return stage


def seq_of(stage, kind):
    return next(record.seq for record in stage.records if type(record.event) is kind)


def test_a_round_trip_changes_the_wallet_and_no_position():
    stage = confirmed(ready(), fill_out=102_000_000)
    result = stage.results[-1]
    assert (result.status, result.token_mint, result.fill_status) == ("confirmed", None, "complete")
    assert (result.pnl.gross_lamports, result.pnl.net_lamports) == (2_000_000, 2_000_000 - COST)
    asset = stage.engine.state.capital.assets[NATIVE_SOL]
    assert (asset.total, asset.locked) == (1_000_000_000 + 2_000_000 - COST, 0)
    assert stage.of(PositionUpdate) == []
    assert stage.engine.state.losses.realised_lamports == 2_000_000 - COST
    assert stage.decisions[0].outcome == "Confirmed"


def test_a_round_trip_that_lost_counts_against_the_day():
    stage = confirmed(ready(), fill_out=99_000_000)
    assert stage.engine.state.losses.lost_lamports == 1_000_000 + COST


def test_a_fill_that_is_not_told_is_no_profit():
    stage = confirmed(ready(), fill_out=None)
    assert stage.results[-1].pnl is None
    assert stage.results[-1].fill_status == "partial"
    assert stage.engine.state.losses.realised_lamports == 0


def test_round_trips_under_way_are_no_positions():
    stage = ready(max_open_positions=1)
    assert decide(stage, path()) is None
    stage.take(trade(10))
    assert decide(stage, buy()) is None


def test_other_sources_may_name_paths_too():
    stage = ready()
    assert decide(stage, path(source="my-own")) is None


def test_ids_of_older_configs_stand():
    from ironcrab.execution.params import LATER, EngineParams, config_snapshot_id

    before = config_snapshot_id(EngineParams())
    assert before == "cfg-8b4574f3ba41564e", "of the parameters that were there when logs were first written"
    assert len(LATER) == 24
    assert config_snapshot_id(EngineParams(quantile_slippage_enabled=True)) != before
    assert config_snapshot_id(EngineParams(cross_dex_leg_slippage_bps=11)) != before


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.integers(10**9, 10**13), st.integers(10**9, 10**13), st.integers(10**9, 10**13), st.integers(10**9, 10**13),
    st.integers(1, 400_000_000), st.integers(0, 200), st.integers(0, 10**6),
)  # fmt: skip
def test_whatever_is_planned_must_earn(base_a, quote_a, base_b, quote_b, raw, slip, least):
    stage = Stage(
        paper=None, send_enabled=True, cross_dex_leg_slippage_bps=slip, cross_dex_min_profit_lamports=least,
    )  # fmt: skip
    stage.take(PoolStateUpdate("A", "raydium", base_a, quote_a, MINT, SOL_MINT, 10, slot=10))
    stage.take(PoolStateUpdate("B", "raydium_cpmm", base_b, quote_b, MINT, SOL_MINT, 10, slot=10))
    decide(stage, path(raw, execution=Execution(ExplicitAmount(1, 9)), expected_roi_bps=10_000))
    asks = stage.of(SimulateAsk)
    if not asks:
        assert len(stage.decisions) == 1
        return
    plan = asks[0].plan
    cost = 5_000 + plan.priority_fee_micro_lamports * plan.compute_units // 1_000_000 + plan.tip_lamports
    assert plan.min_out >= plan.amount_in + cost + max(plan.must_earn_lamports, least, 1)
    assert plan.must_earn_lamports * 10_000 >= plan.amount_in * 10
    amount = plan.amount_in
    for hop in plan.hops:
        assert hop.amount_in == amount
        out = stage.known.quotes.quote(hop.pool_address, hop.input_mint, amount).amount_out
        amount = hop.min_out
    assert out >= plan.min_out


# quantile slippage


def fill(stage, intent, out):
    """An intent that is filled with this output."""
    before = len(stage.of(SendAsk))
    decide(stage, intent)
    asks = [record.seq for record in stage.records if type(record.event) is SimulateAsk]
    stage.take(SimulateAnswer(asks[-1], True))
    assert len(stage.of(SendAsk)) == before + 1
    ask = [record.seq for record in stage.records if type(record.event) is SendAsk][-1]
    stage.take(SendAnswer(ask, True, 5, "paper", 11))
    stage.take(
        ConfirmAnswer(ask, "confirmed", 12, None, ExplicitAmount(10_000_000, 9), ExplicitAmount(out, 6), ordinal=1)
    )


def test_fills_teach_the_least_output():
    stage = ready(native=10 * SOL, quantile_slippage_enabled=True, quantile_min_samples=3)
    told = {"pool": "A", "metadata": {"dex": "raydium"}}
    expected = stage.known.quotes.quote("A", SOL_MINT, 10_000_000).amount_out
    for _ in range(3):
        fill(stage, buy(**told), expected * 9_980 // 10_000)
    first, last = stage.decisions[0], stage.of(SendAsk)[0].plan
    assert row(first, "quantile_slippage").details.startswith("size=small samples=0 fallback allowed=10000 per million")
    assert (last.min_out, last.expected_out) == (1, expected), "no plan asks for more than its intent"
    decide(stage, buy(**told))
    stage.take(SimulateAnswer(len(stage.records) - 1, True, amount_out=0))
    decision = stage.decisions[-1]
    least = expected * (1_000_000 - 2_402) // 1_000_000
    assert f"least={least}" in row(decision, "quantile_slippage").details, "2,001 and a fifth, rounded up"
    assert "samples=3 quantile=20" in row(decision, "quantile_slippage").details
    assert "slippage" in [read.what for read in decision.reads]
    assert decision.primary_reject_reason == "SIM_UNPROFITABLE"


def test_what_the_intent_asks_for_is_never_lowered():
    stage = ready(quantile_slippage_enabled=True)
    expected = stage.known.quotes.quote("A", SOL_MINT, 10_000_000).amount_out
    decide(stage, buy(pool="A", metadata={"dex": "raydium"}, min_out=expected - 1))
    assert stage.of(SimulateAsk)[0].plan.min_out == expected - 1


def test_off_by_default_and_without_a_quote():
    stage = ready()
    decide(stage, buy(pool="A", metadata={"dex": "raydium"}))
    plan = stage.of(SimulateAsk)[0].plan
    assert (plan.min_out, plan.expected_out) == (1, None)
    stage.take(ConfigUpdate("execution-engine", {"quantile_slippage_enabled": "true"}))
    stage.take(PoolStateUpdate("E", "raydium", 0, 0, MINT, SOL_MINT, 10, slot=10))
    decide(stage, buy(pool="E", metadata={"dex": "raydium"}))
    stage.take(SimulateAnswer(len(stage.records) - 1, False, "late"))
    assert row(stage.decisions[-1], "quantile_slippage").details == "nothing learned: no quote, QUOTE_UNAVAILABLE"


def test_paper_fills_a_round_trip_whole():
    stage = Stage(PaperParams(fee_bps=25, slippage_bps=0, latency_slots=1), send_enabled=True)
    stage.take(PoolStateUpdate("A", "raydium", 10**12, 1_000 * SOL, MINT, SOL_MINT, 10, slot=10))
    stage.take(PoolStateUpdate("B", "raydium_cpmm", 10**12, 1_030 * SOL, MINT, SOL_MINT, 10, slot=10))
    stage.take(trade(10, 1_000_000_000, 1_000_000_000, pool="A", dex="raydium"))
    stage.take(PoolStateUpdate("A", "raydium", 10**12, 1_000 * SOL, MINT, SOL_MINT, 10, slot=10))
    stage.take(trade(10, 1_030_000_000, 1_000_000_000, pool="B", dex="raydium_cpmm"))
    stage.take(PoolStateUpdate("B", "raydium_cpmm", 10**12, 1_030 * SOL, MINT, SOL_MINT, 10, slot=10))
    decide(stage, path())
    for slot in (10, 11, 12, 13):
        stage.take(trade(slot, pool="Z"))
    result = stage.results[-1]
    assert result.status == "confirmed"
    assert result.pnl.net_lamports == result.wallet_sol_delta_lamports > 100_000
