"""The paper world by the venues' own maths, and each fault of older backtests as a test."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab import dex, testing
from ironcrab.dex import Quote
from ironcrab.dex.mint import amount_of
from ironcrab.domain.ask import ConfirmAnswer, Plan, PlanHop, PricedAnswer, SendAsk, SimulateAnswer, SimulateAsk
from ironcrab.domain.fault import ScenarioFault
from ironcrab.domain.market import PoolStateUpdate, PriorityFeePercentiles
from ironcrab.domain.units import SOL_MINT, USDC_MINT
from ironcrab.loop import Record
from ironcrab.mode.landing import by_fee, draw
from ironcrab.mode.paper import Paper, PaperParams
from tests.pool_sets import key, sets

ROOT = Path(__file__).parents[2]
SETS = sets()
AMOUNT = 10**7
LARGE = 3 * 10**9


class Show:
    """Shows a market's events to a paper world, answers as the loop would, and keeps all records."""

    def __init__(self, **params):
        self.paper = Paper(PaperParams(fill="venue", **params))
        self.records = []
        self.slot = 0

    def __call__(self, event, time=0, cause=None):
        slot = getattr(event, "slot", None)
        if cause is None and slot is not None and slot > self.slot:
            self.answer(slot)
            self.slot = slot
        return self.append(event, time, cause)

    def append(self, event, time, cause):
        by = None if cause is None else "execution-engine"
        record = Record(len(self.records), cause, by, time, event)
        self.records.append(record)
        self.paper.see(record)
        return record.seq

    def answer(self, slot):
        for answer in self.paper.due(slot):
            self.append(answer, 0, None)

    def market(self, market):
        for time, event in market:
            self(event, time)
        market.told.clear()
        return self

    def ask(self, kind, plan):
        seq = self(kind(0, 0, plan), cause=0)
        self.answer(None)
        return seq

    def told(self, kind):
        return [record.event for record in self.records if isinstance(record.event, kind)]


def made(venue="raydium"):
    pools = SETS[venue]
    return pools, testing.Market(slot=dex_slot()).mint(pools.mints[1]).accounts(pools.accounts).slot()


def dex_slot():
    return 400_000_000


def plan(pools, amount=AMOUNT, side="Buy", min_out=1, tip=0, fee=1_000):
    mints = pools.mints if side == "Buy" else pools.mints[::-1]
    return Plan(side, "x", pools.pool, *mints, amount, min_out, 100, 200_000, fee, tip, "h")


def asked(market, pools, amount=AMOUNT, side="Buy", accounts=None):
    mint = pools.mints[0] if side == "Buy" else pools.mints[1]
    found = dex.quote(pools.pool, accounts or market.state, mint_in=mint, amount=amount, clock=market.clock)
    assert isinstance(found, Quote), found
    return found


@pytest.mark.parametrize("venue", SETS)
def test_it_is_simulated_as_decided_and_filled_as_of_the_landing_slot(venue):
    """Latency moves the price: the fill is that of the state k slots later, the simulation that of the decision."""
    pools, market = made(venue)
    show = Show(latency_slots=3).market(market)
    expected = asked(market, pools).amount_out
    show.ask(SimulateAsk, plan(pools))
    show.ask(SendAsk, plan(pools))
    assert show.told(SimulateAnswer)[0].amount_out == expected
    for step in range(5):
        market.swap(pools.pool, pools.mints[1], 10**9).slot()
        if step == 2:
            landed = asked(market, pools).amount_out
        show.market(market)
    (answer,), (priced,) = show.told(ConfirmAnswer), show.told(PricedAnswer)
    assert (answer.status, answer.slot) == ("confirmed", dex_slot() + 3)
    assert answer.fill_out.raw == landed < expected
    assert (priced.basis, priced.amount_out, priced.state_slot) == ("exact", landed, dex_slot() + 3)


def test_writes_of_the_landing_slot_count_although_its_end_was_not_told():
    pools, market = made()
    show = Show(latency_slots=1).market(market)
    show.ask(SendAsk, plan(pools))
    found = asked(market, pools, 10**9)
    market.accounts(found.after, "a transaction whose end nobody tells")
    after = asked(market, pools).amount_out
    show.market(market)
    market.at_slot += 1
    show.market(market.accounts({}).say(msgspec.structs.replace(market_slot(market))))
    assert show.told(ConfirmAnswer)[0].fill_out.raw == after


def market_slot(market):
    from ironcrab.domain.market import SlotUpdate

    return SlotUpdate(market.at_slot, slot=market.at_slot, status="created")


def test_more_latency_does_not_widen_what_is_accepted():
    """The same least output at more latency fails more often in a falling pool, never less."""
    failed = []
    for slots in range(5):
        pools, market = made()
        least = asked(market, pools).amount_out * 9_990 // 10_000
        show = Show(latency_slots=slots).market(market)
        show.ask(SendAsk, plan(pools, min_out=least))
        for _ in range(6):
            market.swap(pools.pool, pools.mints[1], 10**9).slot()
        show.market(market)
        failed.append(show.told(ConfirmAnswer)[0].status == "failed")
    assert failed == sorted(failed)
    assert (failed[0], failed[-1]) == (False, True) or failed[0]


@pytest.mark.parametrize("impact", ["none", "next_state", "overlay"])
def test_a_rejection_leaves_the_state_untouched_and_costs_its_fee(impact):
    pools, market = made()
    show = Show(latency_slots=0, impact=impact).market(market)
    before = asked(market, pools).amount_out
    show.ask(SendAsk, plan(pools, min_out=before + 1, tip=77))
    show.market(market.slot())
    (failed,) = show.told(ConfirmAnswer)
    assert (failed.status, failed.wallet_sol_delta_lamports, failed.fees.tip_lamports) == ("failed", -5_200, 0)
    assert failed.error_code.startswith("PAPER_BELOW_MIN_OUT")
    show.ask(SimulateAsk, plan(pools))
    assert show.told(SimulateAnswer)[-1].amount_out == before
    assert show.paper.fills.moved == {}


@pytest.mark.parametrize("venue", SETS)
def test_own_impact_none_until_the_next_state_or_overlaid(venue):
    pools, market = made(venue)
    shows = {impact: Show(latency_slots=0, impact=impact) for impact in ("none", "next_state", "overlay")}
    for show in shows.values():
        for time, event in market:
            show(event, time)
    for show in shows.values():
        show.ask(SendAsk, plan(pools, LARGE))
    fill = asked(market, pools, LARGE)
    moved = {**market.state, **fill.after}
    market.told.clear()
    market.slot()
    events = list(market)

    def simulate(show):
        for time, event in events:
            show(event, time)
        show.ask(SimulateAsk, plan(pools, LARGE))
        return show.told(SimulateAnswer)[-1].amount_out

    second = asked(market, pools, LARGE, accounts=moved).amount_out
    assert simulate(shows["none"]) == asked(market, pools, LARGE).amount_out
    assert simulate(shows["next_state"]) == second < asked(market, pools, LARGE).amount_out
    assert abs(simulate(shows["overlay"]) - second) <= 2 + second // 10**9
    market.told.clear()
    market.swap(pools.pool, pools.mints[1], 5 * AMOUNT).slot()
    events = list(market)
    plain = asked(market, pools, LARGE).amount_out
    assert simulate(shows["none"]) == plain
    assert simulate(shows["next_state"]) == plain
    assert simulate(shows["overlay"]) < plain
    overlay = shows["overlay"]
    overlay.ask(SendAsk, plan(pools, fill.amount_out, "Sell"))
    market.told.clear()
    market.slot()
    events = list(market)
    assert simulate(overlay) == plain, "a closed position leaves no trace"


def test_the_fee_stays_in_the_pool():
    """The whole amount in enters the reserves, the fee too."""
    pools, market = made("raydium")
    show = Show(latency_slots=0, impact="next_state").market(market)
    show.ask(SendAsk, plan(pools))
    show.market(market.slot())
    after = show.paper.fills.moved[pools.pool].accounts
    gains = [amount_of(after[vault]) - amount_of(pools.accounts[vault]) for vault in after if vault != pools.pool]
    assert AMOUNT in gains


def test_reserves_bear_own_trades_where_there_are_no_accounts():
    state = PoolStateUpdate("P", "raydium", 10**12, 10**10, "M", SOL_MINT, 5, slot=5)
    pools = type("P", (), {"pool": "P", "mints": (SOL_MINT, "M")})
    outs = {}
    for impact in ("none", "next_state", "overlay"):
        show = Show(latency_slots=0, impact=impact)
        show(testing.TokenMintInfo("M", "T", 6, 1, slot=5))
        show(state)
        show.ask(SendAsk, plan(pools))
        show(testing.SlotUpdate(6, slot=6))
        assert show.told(PricedAnswer)[0].basis == "executable"
        show.ask(SimulateAsk, plan(pools))
        outs[impact] = show.told(SimulateAnswer)[-1].amount_out
        show(msgspec.structs.replace(state, update_slot=7, slot=7))
        show.ask(SimulateAsk, plan(pools))
        outs[impact, "later"] = show.told(SimulateAnswer)[-1].amount_out
    assert outs["next_state"] < outs["none"] == outs["none", "later"] == outs["next_state", "later"]
    assert outs["overlay"] == outs["overlay", "later"] < outs["none"]


def test_an_overlay_counts_one_mint_whatever_the_pair():
    """Dollars bought with SOL and sold again leave no trace either."""
    state = PoolStateUpdate("P", "raydium", 10**12, 10**10, USDC_MINT, SOL_MINT, 5, slot=5)
    pools = type("P", (), {"pool": "P", "mints": (SOL_MINT, USDC_MINT)})
    show = Show(latency_slots=0, impact="overlay")
    show(state)
    for slot, side in ((6, "Buy"), (7, "Sell")):
        amount = AMOUNT if side == "Buy" else show.told(ConfirmAnswer)[0].fill_out.raw
        show.ask(SendAsk, plan(pools, amount, side))
        show(testing.SlotUpdate(slot, slot=slot))
    assert [answer.status for answer in show.told(ConfirmAnswer)] == ["confirmed"] * 2
    assert show.paper.fills.moved["P"].taken == 0


@pytest.mark.parametrize("impact", ["none", "next_state", "overlay"])
def test_all_legs_of_a_path_fill_or_none(impact):
    first, second = SETS["raydium"], SETS["orca"]
    market = testing.Market(slot=dex_slot())
    for pools in (first, second):
        market.accounts(pools.accounts)
    show = Show(latency_slots=0, impact=impact).market(market.slot())
    out = asked(market, first).amount_out
    back = asked(market, second, out, "Sell").amount_out

    def path(least, pools=(first, second), between=1):
        legs = (
            PlanHop("raydium", pools[0].pool, *first.mints, AMOUNT, between),
            PlanHop("orca", pools[1].pool, *pools[1].mints[::-1], out, least),
        )
        return msgspec.structs.replace(plan(first, min_out=least), output_mint=SOL_MINT, hops=legs)

    show.ask(SimulateAsk, path(back))
    answer = show.told(SimulateAnswer)[0]
    assert (answer.success, answer.amount_out) == (True, back)
    assert answer.wallet_sol_delta_lamports == back - AMOUNT - 5_200
    for refused, code in (
        (path(back + 1), "PAPER_BELOW_MIN_OUT"),
        (path(1, between=out + 1), "PAPER_BELOW_MIN_OUT: amount_out=0"),
        (path(1, (first, first)), "PAPER_POOL_TWICE"),
    ):
        show.ask(SimulateAsk, refused)
        assert show.told(SimulateAnswer)[-1].error_code.startswith(code)
    show.ask(SendAsk, path(back))
    show.market(market.slot())
    (landed,) = show.told(ConfirmAnswer)
    assert (landed.status, landed.fill_out.raw) == ("confirmed", back)
    assert set(show.paper.fills.moved) == (set() if impact == "none" else {first.pool, second.pool})


def test_the_pool_that_is_named_is_the_pool_that_fills():
    """Not the first one that matches the pair."""
    two = {name: SETS[name] for name in ("raydium", "orca")}
    market = testing.Market(slot=dex_slot())
    for pools in two.values():
        market.accounts(pools.accounts)
    show = Show().market(market.slot())
    for pools in two.values():
        show.ask(SimulateAsk, plan(pools))
    outs = [answer.amount_out for answer in show.told(SimulateAnswer)]
    assert outs == [asked(market, pools).amount_out for pools in two.values()]


def test_size_moves_the_price():
    pools, market = made()
    show = Show().market(market)
    for amount in (10**6, 10**9, 10**12):
        show.ask(SimulateAsk, plan(pools, amount))
    small, middle, large = (answer.amount_out for answer in show.told(SimulateAnswer))
    assert small * 1_000 > middle > 0
    assert middle * 1_000 > large


def test_unknown_pools_are_refused_by_a_code():
    pools, market = made()
    show = Show().market(market)
    show.ask(SimulateAsk, msgspec.structs.replace(plan(pools), pool_address="Q"))
    show.ask(SendAsk, msgspec.structs.replace(plan(pools), pool_address="Q"))
    show.market(market.slot(4))
    assert show.told(SimulateAnswer)[0].error_code == "PAPER_NO_QUOTE: POOL_NOT_FOUND"
    assert show.told(PricedAnswer)[0] == PricedAnswer(show.told(PricedAnswer)[0].ask, "PAPER_NO_QUOTE", ordinal=1)
    assert show.told(ConfirmAnswer)[0].status == "failed"


def test_rent_is_paid_once_for_a_mint():
    pools, market = made()
    show = Show(latency_slots=0, token_account_rent_lamports=2_039_280).market(market)
    for _ in range(2):
        show.ask(SendAsk, plan(pools, tip=9))
        show.market(market.slot())
    deltas = [answer.wallet_sol_delta_lamports for answer in show.told(ConfirmAnswer)]
    assert deltas == [-AMOUNT - 5_200 - 9 - 2_039_280, -AMOUNT - 5_200 - 9]


def test_lost_and_expired_transactions_cost_nothing_and_say_so():
    for params, code in (({"loss_bps": 10_000}, "PAPER_LOST"), ({"latency_slots": 200}, "PAPER_EXPIRED")):
        pools, market = made()
        show = Show(expiry_slots=3, **params).market(market)
        show.ask(SendAsk, plan(pools))
        show.market(market.slot(3))
        assert show.told(ConfirmAnswer) == []
        show.market(market.slot(2))
        (answer,) = show.told(ConfirmAnswer)
        assert (answer.status, answer.error_code, answer.fees, answer.ordinal) == ("timeout", code, None, 1)
        assert show.told(PricedAnswer) == []


def test_draws_follow_from_seed_what_is_sent_and_k_alone():
    assert draw(1, "2 pool 0", 3, 1000) == draw(1, "2 pool 0", 3, 1000)
    drawn = [draw(7, f"{slot} pool 0", 0, 10_000) for slot in range(20_000)]
    assert abs(sum(number < 2_500 for number in drawn) - 5_000) < 250
    assert (
        len({tuple(draw(seed, f"{slot} pool 0", k, 2**32) for slot in range(4)) for seed in range(9) for k in range(3)})
        == 27
    )


def test_latency_is_drawn_from_measured_quantiles_or_follows_from_the_fee():
    pools, market = made()
    show = Show(latency="measured", latency_quantiles_slots=(1, 4, 9), seed=3).market(market)
    for _ in range(60):
        show.ask(SendAsk, plan(pools))
    show.market(market.slot(12))
    landed = [answer.slot - dex_slot() for answer in show.told(ConfirmAnswer)]
    assert sorted(dict.fromkeys(landed)) == [1, 4, 9]
    seen = PriorityFeePercentiles(100, 1, 10, 20, 30, 40, 0, 0, 0)
    assert [by_fee((1, 2, 3, 4, 5), fee, seen) for fee in (50, 40, 39, 25, 10, 9)] == [1, 1, 2, 3, 4, 5]
    show = Show(latency="by_fee", latency_by_fee_slots=(0, 2, 4, 6, 8), latency_slots=5).market(made()[1])
    show.ask(SendAsk, plan(pools))
    show(seen)
    for fee in (100, 1):
        show.ask(SendAsk, plan(pools, fee=fee))
    market.told.clear()
    market.at_slot = dex_slot() + 1
    show.market(market.slot(12))
    by_ask = {answer.ask: answer.slot - dex_slot() for answer in show.told(ConfirmAnswer)}
    assert [by_ask[ask] for ask in sorted(by_ask)] == [5, 0, 8], "without percentiles the fixed latency holds"


def test_parameters_that_cannot_work_are_refused():
    for paper in (
        {"latency": "measured"},
        {"latency_by_fee_slots": [1]},
        {"latency_quantiles_slots": [-1]},
        {"fill": "guess"},
        {"impact": "full"},
        {"loss_bps": 10_001},
    ):
        with pytest.raises(ScenarioFault, match="paper"):
            testing.scenario(paper=paper)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(["buy", "sell", "send", "simulate", "slot"]), max_size=14), st.integers(0, 60))
def test_seeing_the_records_again_rebuilds_it(ops, cut):
    pools, market = made()
    params = {"impact": "overlay", "latency_slots": 1, "loss_bps": 2_000, "token_account_rent_lamports": 5}
    show = Show(**params).market(market)
    for op in ops:
        if op in ("buy", "sell"):
            market.swap(pools.pool, pools.mints[1], AMOUNT, is_buy=op == "buy")
            show.market(market)
        elif op == "slot":
            show.market(market.slot())
        else:
            show.ask(SendAsk if op == "send" else SimulateAsk, plan(pools))
    again = Paper(show.paper.params)
    for record in show.records:
        again.see(record)
    assert (again.open, again.plans, again.held, again.slot) == (
        show.paper.open, show.paper.plans, show.paper.held, show.paper.slot,
    )  # fmt: skip
    assert again.fills.moved == show.paper.fills.moved
    assert list(again.due(10**12)) == list(show.paper.due(10**12))


def test_nothing_of_the_paper_world_asks_a_clock_or_draws_at_random():
    for name in ("paper", "fills", "landing", "fidelity", "ledger", "backtest"):
        tree = ast.parse((ROOT / "ironcrab" / "mode" / f"{name}.py").read_text())
        named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not named & {"time", "datetime", "random", "os", "secrets", "uuid"}, name


def bought(folder, **paper):
    """A run that trades on generated swaps, exact fills."""
    from tests.mode.conftest import MOMENTUM

    pools, market = made("raydium")
    coins, money = key(13), key(14)
    for step in range(240):
        is_buy = step % 40 < 30
        market.swap(pools.pool, pools.mints[1], 4 * 10**10 + step % 7 * 10**7 if is_buy else 10**13, is_buy=is_buy)
        reserves = (amount_of(market.state[coins]), amount_of(market.state[money]))
        state = PoolStateUpdate(pools.pool, "raydium", *reserves, pools.mints[1], SOL_MINT, market.at_slot)
        market.say(msgspec.structs.replace(state, slot=market.at_slot)).slot()
    decided_by = testing.scenario(
        momentum=MOMENTUM, engine={"send_enabled": True}, paper={"fill": "venue", "impact": "overlay", **paper}
    )
    return testing.run(market, decided_by, folder)


def test_runs_are_reset_and_equal(tmp_path):
    """Run n sees nothing of run n-1: the same twice in one process gives the same bytes."""
    first = bought(tmp_path / "a", loss_bps=500, seed=3, latency="measured", latency_quantiles_slots=[0, 1, 5])
    second = bought(tmp_path / "b", loss_bps=500, seed=3, latency="measured", latency_quantiles_slots=[0, 1, 5])
    files = [path for path in sorted(first.path.rglob("*")) if path.is_file()]
    assert files
    for path in files:
        assert path.read_bytes() == (second.path / path.relative_to(first.path)).read_bytes()
    testing.assert_identical(first)
    priced = [record.event for record in first.records((PricedAnswer,))]
    assert len(priced) >= 4
    assert {answer.basis for answer in priced} == {"exact"}
    assert bought(tmp_path / "c", loss_bps=500, seed=1).head != first.head


def test_hash_seeds_change_nothing(tmp_path):
    script = (
        "import sys; from pathlib import Path; from tests.mode.test_fills import bought; "
        "print(bought(Path(sys.argv[1]), loss_bps=500).head.hex())"
    )
    heads = []
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", script, str(tmp_path / seed)]
        heads.append(
            subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        )
    assert heads[0] == heads[1] != ""
