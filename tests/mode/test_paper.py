"""The paper outlet: deterministic fills from the last recorded trade, owed answers in order, rebuilt by seeing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.ask import Plan, SendAnswer, SendAsk, SimulateAsk
from ironcrab.domain.control import ClockTick, ForkOrphaned
from ironcrab.domain.market import Trade
from ironcrab.domain.units import SOL_MINT, USDC_MINT
from ironcrab.loop import Record
from ironcrab.mode.paper import Paper, PaperParams

PARAMS = PaperParams(fee_bps=100, slippage_bps=50, latency_slots=2)


def plan(side="Buy", amount=1_000_000, min_out=1, pool="P", mint="M", tip=0):
    mints = (SOL_MINT, mint) if side == "Buy" else (mint, SOL_MINT)
    return Plan(side, "orca", pool, *mints, amount, min_out, 100, 200_000, 1_000, tip, "h")


class Show:
    """Shows records to a paper outlet and keeps them."""

    def __init__(self, params=PARAMS):
        self.paper = Paper(params)
        self.records = []

    def __call__(self, event, cause=None):
        record = Record(
            len(self.records), cause, None if cause is None else "execution-engine", len(self.records) * 10**9, event
        )
        self.records.append(record)
        self.paper.see(record)
        return record.seq

    def trade(self, slot, sol=1000, token=3000, **more):
        self(Trade("P", "M", "T", True, sol, token, 6, "orca", **{"slot": slot, **more}))

    def due(self, slot=None):
        """The answers due, each shown as the loop would."""
        told = []
        for answer in self.paper.due(slot):
            told.append(answer)
            self(answer)
        return told


def test_a_simulation_is_answered_at_once_with_the_fill_as_it_would_be():
    show = Show()
    show.trade(5)
    ask = show(SimulateAsk(1, 0, plan()), 0)
    assert show.paper.is_due
    answer = show.due()[0]
    assert (answer.ask, answer.success, answer.amount_out, answer.compute_units_consumed) == (
        ask,
        True,
        2_955_150,
        150_000,
    )
    assert not show.paper.is_due


def test_a_sell_is_the_other_way_round():
    show = Show()
    show.trade(5)
    show(SimulateAsk(1, 0, plan("Sell", 3_000_000)), 0)
    assert show.due()[0].amount_out == 985_050


def test_without_a_price_a_simulation_fails_and_says_so():
    for told in (plan(pool="Q"), plan(mint="N")):
        show = Show()
        show.trade(5)
        show(SimulateAsk(1, 0, told), 0)
        answer = show.due()[0]
        assert not answer.success
        assert answer.error_code.startswith("PAPER_NO_TRADE")


def test_trades_without_amounts_or_in_unknown_money_set_no_price():
    show = Show()
    show.trade(5, sol=0)
    show.trade(5, token=0)
    show.trade(5, quote_mint="Other")
    show(SimulateAsk(1, 0, plan()), 0)
    assert not show.due()[0].success
    show.trade(6, quote_mint=USDC_MINT)
    show(SimulateAsk(1, 0, plan()), 0)
    assert not show.due()[0].success, "a price in dollars is none in SOL"


def test_a_trade_of_an_orphaned_slot_did_not_happen():
    show = Show()
    show.trade(5)
    show(ForkOrphaned(5, "x"))
    show(SimulateAsk(1, 0, plan()), 0)
    assert not show.due()[0].success


def test_a_fill_comes_after_the_latency_at_the_price_of_that_moment():
    show = Show()
    show.trade(5)
    ask = show(SendAsk(1, 0, plan(tip=7)), 0)
    sent = show.due()[0]
    assert (sent.ok, sent.method, sent.slot, sent.sent_at_ms) == (True, "paper", 5, 1000)
    assert show.due(7) == []
    show.trade(7, token=2000)
    assert show.due(7) == []
    answer = show.due(8)[0]
    assert (answer.ask, answer.status, answer.slot, answer.ordinal) == (ask, "confirmed", 7, 1)
    assert (answer.fill_in.raw, answer.fill_in.decimals) == (1_000_000, 9)
    assert (answer.fill_out.raw, answer.fill_out.decimals) == (1_970_100, 6)
    assert (answer.fees.network_fee_lamports, answer.fees.tip_lamports) == (5_200, 7)
    assert answer.wallet_sol_delta_lamports == -1_000_000 - 5_200 - 7
    assert show.due(99) == []


def test_below_the_least_output_it_fails_and_pays_its_fee():
    show = Show()
    show.trade(5)
    show(SendAsk(1, 0, plan(min_out=2_955_150)), 0)
    show.due()
    show.trade(6, token=2999)
    answer = show.due(8)[0]
    assert (answer.status, answer.fill_out, answer.wallet_sol_delta_lamports) == ("failed", None, -5_200)
    assert answer.error_code == "PAPER_BELOW_MIN_OUT: amount_out=2954164 min_out=2955150"


def test_a_pool_that_was_orphaned_meanwhile_fails():
    show = Show()
    show.trade(5)
    show(SendAsk(1, 0, plan()), 0)
    show.due()
    show(ForkOrphaned(5, "x"))
    answer = show.due(8)[0]
    assert (answer.status, answer.error_code) == ("failed", "PAPER_NO_TRADE")


def test_answers_come_by_due_slot_then_ask_then_ordinal():
    show = Show()
    show.trade(5)
    first = show(SendAsk(1, 0, plan()), 0)
    show.trade(6)
    second = show(SendAsk(2, 0, plan()), 0)
    third = show(SimulateAsk(3, 0, plan()), 0)
    order = [(type(answer).__name__, answer.ask) for answer in show.due(99)]
    assert order == [
        ("SendAnswer", first),
        ("SendAnswer", second),
        ("SimulateAnswer", third),
        ("ConfirmAnswer", first),
        ("ConfirmAnswer", second),
    ]


def test_at_the_end_of_the_source_open_asks_stay_open():
    show = Show()
    show.trade(5)
    show(SendAsk(1, 0, plan()), 0)
    assert [type(answer) for answer in show.due(None)] == [SendAnswer]
    assert show.due(None) == []


def test_an_absurd_price_is_none():
    show = Show(PaperParams(fee_bps=0, slippage_bps=0))
    show.trade(5, sol=1, token=2**64 - 1)
    show(SimulateAsk(1, 0, plan(amount=2)), 0)
    assert not show.due()[0].success


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from(["trade", "simulate", "send", "due", "slot", "fork", "tick"]), st.integers(0, 3)),
        max_size=40,
    ),
    st.integers(0, 40),
)
def test_seeing_the_records_again_rebuilds_it(ops, cut):
    show, slot = Show(), 1
    for index, (op, number) in enumerate(ops):
        if index == cut:
            again = Paper(PARAMS)
            for record in show.records:
                again.see(record)
            assert (again.trades, again.open, again.slot) == (show.paper.trades, show.paper.open, show.paper.slot)
            show.paper = again
        slot += op == "slot"
        if op == "trade":
            show.trade(slot, sol=1000 + number)
        elif op == "simulate":
            show(SimulateAsk(number, 0, plan()), 0)
        elif op == "send":
            show(SendAsk(number, 0, plan(min_out=number)), 0)
        elif op == "due":
            show.due((None, slot, slot + 1, slot + 9)[number])
        elif op == "fork":
            show(ForkOrphaned(slot - number, "x"))
        else:
            show(ClockTick())


def path_plan(first=9_000, second=9_000, least=8_000, told="orca"):
    from ironcrab.domain.ask import PlanHop

    legs = (
        PlanHop(told, "P", SOL_MINT, "M", 10_000, first),
        PlanHop(told, "Q", "M", SOL_MINT, second, least),
    )
    return Plan("Buy", told, "P", SOL_MINT, SOL_MINT, 10_000, least, 100, 200_000, 1_000, 7, "h", legs, 1)


def two_pools(fee=0):
    show = Show(PaperParams(fee_bps=fee, slippage_bps=0, latency_slots=2))
    show.trade(5, 1000, 1000)
    show(Trade("Q", "M", "T", True, 1100, 1000, 6, "orca", slot=5))
    return show


def test_a_path_fills_whole_at_the_due_slot():
    show = two_pools()
    ask = show(SimulateAsk(1, 0, path_plan()), 0)
    answer = show.due()[0]
    # the second leg takes what the plan gives it; what the first gave beyond counts as nothing
    assert (answer.ask, answer.success, answer.amount_out) == (ask, True, 9_900)
    assert answer.wallet_sol_delta_lamports == 9_900 - 10_000 - 5_200 - 7
    show(SendAsk(1, 0, path_plan()), 0)
    assert type(show.due()[0]) is SendAnswer
    assert show.due(7) == []
    filled = show.due(8)[0]
    assert (filled.status, filled.fill_in.raw, filled.fill_out.raw, filled.fill_out.decimals) == (
        "confirmed",
        10_000,
        9_900,
        9,
    )
    assert filled.wallet_sol_delta_lamports == 9_900 - 10_000 - 5_200 - 7


def test_a_path_fails_whole():
    for plan, code in (
        (path_plan(first=10_001), "PAPER_BELOW_MIN_OUT"),
        (path_plan(least=9_901), "PAPER_BELOW_MIN_OUT"),
    ):
        show = two_pools()
        show(SimulateAsk(1, 0, plan), 0)
        answer = show.due()[0]
        assert not answer.success
        assert answer.error_code.startswith(code)
        show(SendAsk(1, 0, plan), 0)
        failed = next(answer for answer in (*show.due(), *show.due(8)) if type(answer) is not SendAnswer)
        assert (failed.status, failed.wallet_sol_delta_lamports) == ("failed", -5_200)
        assert failed.fill_in is failed.fill_out is None


def test_a_path_with_a_leg_that_never_traded():
    show = Show()
    show.trade(5)
    show(SimulateAsk(1, 0, path_plan()), 0)
    assert show.due()[0].error_code.startswith("PAPER_NO_TRADE")
