"""The life of an intent and of a position: wished, answered, held, sold, tried again."""

import pytest

from ironcrab.domain.market import ExplicitAmount, WalletBalanceSnapshot
from ironcrab.domain.trade import ExecutionResult
from ironcrab.domain.units import SOL_MINT, TOKEN_2022_PROGRAM
from ironcrab.market.decimals import decimal_text
from ironcrab.market.price import Price
from ironcrab.strategy.book import MOST_WISHES, _blend
from ironcrab.strategy.intents import least
from ironcrab.strategy.rows import Position

SOL = 1_000_000_000
M = 1_000_000


def last(world):
    return world.verdicts()[-1]


def result(world, status="confirmed", *, intent=None, **more):
    seq, _told = world.intents()[-1]
    return ExecutionResult("momentum-bot", status, intent=seq if intent is None else intent, **more)


def test_a_probe_reads_like_the_original(world):
    """1.25 of 5 million lamports at a price that pays 377964343: min_out 359066125 at 500 bps."""
    from ironcrab.domain.market import TokenMintInfo

    w = world()
    w.take(TokenMintInfo("M", TOKEN_2022_PROGRAM, 6, 10, slot=99))
    _, intent = w.trade(100, sol=1_250_000, tokens=377_964_343, creator="C", signature="S", position=3)
    assert (intent.tier, intent.origin_type, intent.source, intent.intent_id) == (
        "Tier1",
        "StrategyA",
        "momentum-bot",
        None,
    )
    assert intent.required_capital == ExplicitAmount(1_250_000, 9, "0.00125")
    assert intent.execution.min_out == ExplicitAmount(359_066_125, 6, "359.066125")
    assert (intent.resources.input_mint, intent.resources.output_mint, intent.resources.pools) == (
        SOL_MINT,
        "M",
        ("P",),
    )
    assert intent.resources.token_program == TOKEN_2022_PROGRAM
    assert (intent.ttl_ms, intent.expected_roi_bps, intent.max_slippage_bps, intent.regime) == (5_000, 50, 500, "Early")
    assert intent.trigger_event_id == "100-S-3"
    told = intent.metadata
    assert told["reason_code"] == "ENTER_PROBE_BUY"
    assert told["reason_detail"].startswith(
        "ENTER_PROBE_BUY: liquidity_lamports=0 (limit 0), unique_buyers=1 (limit 0)"
    )
    assert {key: told[key] for key in ("entry_kind", "dex", "creator", "pool_address", "min_out_raw")} == {
        "entry_kind": "probe",
        "dex": "raydium",
        "creator": "C",
        "pool_address": "P",
        "min_out_raw": "359066125",
    }


def test_sizes(world):
    for size, probe, rest in ((5_000_000, 1_250_000, 3_750_000), (1_000, 250, 750), (2, 1, 1), (1, 0, 1)):
        book = world(position_lamports=size).momentum.book
        assert (book.probe, book.scale_in) == (probe, rest)


def test_probe_then_scale_in_then_all(world):
    w = world(scale_in_min_probe_pnl_bps=0)
    w.held(100, tokens=M, lamports=1_250_000)
    assert last(w) == ("hold", "HOLD_PROBE")
    w.reserves(101, base=10**18, quote=125 * 10**16)
    assert last(w) == ("hold", "SCALE_IN_PNL")
    w.reserves(102, base=10**18, quote=126 * 10**16)
    assert last(w) == ("enter", "ENTER_SCALE_IN")
    intent = w.intents()[-1][1]
    assert (intent.required_capital.raw, intent.metadata["entry_kind"]) == (3_750_000, "scale_in")
    assert w.trade(103, sol=126 * M, tokens=100 * M) == []
    w.fill(2 * M, slot=104)
    assert last(w) == ("hold", "HOLD_FULL")
    position = w.position()
    assert (position.held, position.paid, position.slot, position.full) == (3 * M, Price(3 * M, 5_000_000), 104, True)
    assert (position.mark, position.mark_slot, position.trailing) == (Price(2 * M, 3_750_000), 0, False)


def test_a_scale_in_that_lands_while_a_sell_is_under_way_starts_no_second_sell(world):
    w = world(take_profit_bps=100, take_profit_min_hold_secs=0)
    w.held(100, tokens=M, lamports=1_250_000)
    w.reserves(101, base=10**18, quote=126 * 10**16)
    bought, intent = w.intents()[-1]
    assert intent.metadata["entry_kind"] == "scale_in"
    w.reserves(102, base=10**18, quote=129 * 10**16)
    sold, intent = w.intents()[-1]
    assert (intent.side, intent.required_capital.raw) == ("Sell", M)
    w.take(
        result(w, intent=bought, token_mint="M", fill_in=lamports(3_750_000), fill_out=raw(2 * M), confirmed_slot=103)
    )
    assert (w.position().held, w.position().exit_intent) == (3 * M, sold)
    for slot in (104, 105):
        w.reserves(slot, base=10**18, quote=400 * 10**16)
    assert w.intents()[-1][0] == sold, "one sell at a time"
    w.take(result(w, intent=sold, token_mint="M", fill_in=raw(M), fill_out=lamports(1_290_000), confirmed_slot=105))
    assert last(w) == ("hold", "HOLD_REST")
    w.reserves(106, base=10**18, quote=400 * 10**16)
    assert w.intents()[-1][1].required_capital.raw == 2 * M


def lamports(amount):
    return ExplicitAmount(amount, 9)


def raw(amount):
    return ExplicitAmount(amount, 6)


def test_scale_in_asks_all_gates_again(world):
    w = world(min_sol_inflow_lamports=SOL)
    w.held(100, tokens=M, lamports=1_250_000)
    w.trade(101, buy=False, sol=SOL // 2)
    w.reserves(102, base=10**18, quote=126 * 10**16)
    assert last(w) == ("hold", "WAIT_NET_SOL_INFLOW")


@pytest.mark.parametrize("is_known", [True, False])
def test_the_mint_rests_on_all_its_pools_after_a_position_closed(world, is_known):
    """Also on one that is met only then."""
    w = world(reentry_cooldown_secs=4, take_profit_bps=100, take_profit_min_hold_secs=0)
    w.held(100, tokens=M, lamports=5_000_000)
    w.position().full = True
    if is_known:
        w.reserves(100, pool="Q")
        w.trade(101, pool="Q")
    w.reserves(101, base=10**15, quote=55 * 10**14)
    w.fill(6_000_000, slot=102)
    assert last(w) == ("wait", "WAIT_REENTRY_COOLDOWN")
    for slot in (103, 111):
        w.reserves(slot, pool="Q")
        w.trade(slot, pool="Q")
    assert len(w.intents()) == 2, "bought and sold"
    w.trade(112, pool="Q")
    assert w.verdicts("Q")[-1] == ("enter", "ENTER_PROBE_BUY")


def scaling(w, slot):
    """The probe earns enough."""
    w.reserves(slot, base=10**18, quote=126 * 10**16)


@pytest.mark.parametrize(("sol", "lands_first", "scales"), [(5, True, True), (6, True, False), (6, False, False)])
def test_a_dump_refuses_the_scale_in_as_it_refuses_an_entry(world, sol, lands_first, scales):
    """Above the limit and at any time since the wish; equality passes."""
    w = world(
        max_single_dump_lamports=5 * SOL, terminal_secs=10, dump_recovery_window_secs=1, trailing_activation_bps=10**9
    )
    w.reserves(99)
    w.trade(100)
    if lands_first:
        w.fill(M, slot=100, paid=1_250_000)
    w.trade(101, buy=False, sol=sol * SOL)
    if not lands_first:
        w.fill(M, slot=101, paid=1_250_000)
    scaling(w, 120)
    assert last(w) == (("enter", "ENTER_SCALE_IN") if scales else ("hold", "SCALE_IN_REFUSED"))
    if not scales:
        w.trade(125, sol=126 * M, tokens=100 * M)
        scaling(w, 126)
        assert last(w) == ("enter", "ENTER_SCALE_IN"), "that was terminal_secs ago"


def test_scale_in_ends_with_its_window(world):
    w = world(max_hold_time_secs=0)
    w.held(100, tokens=M, lamports=1_250_000)
    w.reserves(101, base=10**18, quote=125 * 10**16)
    w.tick(177)
    assert not w.position().full
    w.tick(178)
    assert w.position().full
    assert last(w) == ("hold", "HOLD_FULL")


def test_the_blend_of_a_scaled_position():
    """0.5 SOL at 100 and 0.5 SOL at 300: entry 200; marks begin anew at 300, trailing off."""
    half = SOL // 2
    position = Position("M", "P", 9, 50 * SOL, Price(50 * SOL, half), 0, 8_000, False, trailing=True, mark_slot=8_500)
    _blend(position, Price(150 * SOL, half), 9_000)
    assert position.paid.base == 200 * position.paid.quote
    assert (position.best, position.mark) == (Price(150 * SOL, half), Price(150 * SOL, half))
    assert (position.trailing, position.slot, position.mark_slot) == (False, 9_000, 0)


def test_one_entry_per_mint(world):
    w = world()
    w.trade(100)
    w.trade(101, pool="Q")
    assert w.verdicts("Q") == [("wait", "WAIT_ENTRY_PENDING")]
    assert len(w.intents()) == 1
    w.fill(M, slot=101)
    w.trade(102, pool="Q")
    assert w.verdicts("Q")[-1] == ("wait", "WAIT_POSITION_ELSEWHERE")


def test_a_refused_pool_says_nothing_of_what_goes_on_in_another(world):
    w = world(terminal_secs=60)
    w.trade(100)
    w.refuse()
    w.trade(101, pool="Q")
    w.trade(102)
    w.fill(M, slot=103)
    w.trade(104)
    assert w.verdicts("P")[-1] == ("reject", "REJECT_ENTRY_REFUSED")
    w.trade(250)
    assert w.verdicts("P")[-1] == ("wait", "WAIT_POSITION_ELSEWHERE")


def test_a_refused_entry_is_free_again_after_its_time(world):
    for outcome, code in (
        ("Rejected", "REJECT_ENTRY_REFUSED"),
        ("Expired", "REJECT_ENTRY_EXPIRED"),
        ("SimFailed", "REJECT_ENTRY_SIM_FAILED"),
        ("FailedConfirmed", "REJECT_ENTRY_FAILED"),
    ):
        w = world(terminal_secs=60)
        w.trade(100)
        w.refuse(outcome)
        assert last(w) == ("reject", code)
        assert w.refuse(outcome) == []
        w.trade(249)
        assert len(w.intents()) == 1
        w.trade(250)
        assert len(w.intents()) == 2


def test_sent_and_confirmed_decisions_wait_for_the_result(world):
    w = world()
    w.trade(100)
    assert w.refuse("Sent") == w.refuse("Confirmed") == []
    assert w.take(result(w, "sent")) == []
    assert "M" in w.momentum.entering
    w.take(result(w, "Failed"))
    assert last(w) == ("reject", "REJECT_ENTRY_FAILED")


def test_a_simulation_that_failed_and_was_tried_again_still_fills(world):
    """The engine's own retry confirms an intent that was given up here."""
    w = world()
    w.trade(100)
    w.refuse("SimFailed")
    w.fill(M, slot=102)
    assert last(w) == ("hold", "HOLD_PROBE")
    assert w.position().held == M


def test_no_position_without_a_fill(world):
    w = world()
    w.trade(100)
    w.take(result(w))
    assert last(w) == ("reject", "REJECT_ENTRY_FILL_UNKNOWN")
    assert w.position() is None
    w.take(result(w, fill_out=ExplicitAmount(M, 6)))
    assert w.position() is None


def test_a_fill_without_an_input_counts_the_wallet_then_the_wish(world):
    w = world()
    w.trade(100)
    w.take(result(w, fill_out=ExplicitAmount(M, 6), wallet_sol_delta_lamports=-1_260_000))
    assert w.position().paid == Price(M, 1_260_000)
    w = world()
    w.trade(100)
    w.take(result(w, fill_out=ExplicitAmount(M, 6)))
    assert w.position().paid == Price(M, 1_250_000)


def test_no_fill_counts_twice(world):
    w = world()
    w.trade(100)
    w.fill(M, slot=100)
    assert w.fill(M, slot=100) == []
    assert w.position().held == M


def exiting(world, **more):
    w = world(max_hold_time_secs=0, reentry_cooldown_secs=60, **more)
    w.held(100, tokens=M, lamports=5 * M)
    w.position().full = True
    w.row().dev = "D"
    w.trade(101, trader="D", buy=False, sol=5 * M, tokens=M)
    assert last(w) == ("exit", "EXIT_DEV_SELL")
    return w


def test_a_sold_position_rests(world):
    w = exiting(world)
    assert w.trade(102, sol=5 * M, tokens=M) == []
    w.fill(5 * M, slot=103)
    assert last(w) == ("wait", "WAIT_REENTRY_COOLDOWN")
    assert w.position() is None
    w.trade(103 + 149)
    assert len(w.intents()) == 2
    w.trade(103 + 150)
    assert last(w) == ("enter", "ENTER_PROBE_BUY")


def test_a_partial_sell_keeps_the_rest_and_sells_it(world):
    """Probe 25313868645, scale-in 56323355801, sold 25313868645: 56323355801 stay."""
    w = exiting(world)
    w.position().held = 25_313_868_645 + 56_323_355_801
    w.fill(5 * M, slot=103, paid=25_313_868_645)
    assert last(w) == ("hold", "HOLD_REST")
    assert w.position().held == 56_323_355_801
    w.tick(104)
    assert last(w) == ("exit", "EXIT_DEV_SELL")
    assert w.intents()[-1][1].required_capital.raw == 56_323_355_801


def test_a_failed_sell_is_tried_again_with_longer_pauses(world):
    w = exiting(world)
    slot = 101
    for pause in (15, 30, 60, 120, 120):
        before = len(w.intents())
        w.refuse("Rejected")
        assert last(w) == ("hold", "HOLD_EXIT_REFUSED")
        w.tick(slot + pause * 5 // 2 - 1)
        assert len(w.intents()) == before
        slot += -(-pause * 5 // 2)
        w.tick(slot)
        assert len(w.intents()) == before + 1
    assert len({seq for seq, _ in w.intents()}) == 7


def test_what_gets_no_answer_is_given_up_and_may_still_land(world):
    w = world()
    w.trade(100)
    w.tick(100 + 300)
    assert "M" in w.momentum.entering
    w.tick(100 + 301)
    assert last(w) == ("reject", "REJECT_ENTRY_TIMEOUT")
    w.fill(M, slot=402)
    assert w.position().held == M
    w = exiting(world)
    w.tick(101 + 301)
    assert last(w) == ("hold", "HOLD_EXIT_TIMEOUT")


def test_an_exit_strikes_the_pending_scale_in(world):
    w = world()
    w.held(100, tokens=M, lamports=1_250_000)
    w.reserves(101, base=10**18, quote=126 * 10**16)
    assert last(w) == ("enter", "ENTER_SCALE_IN")
    seq = w.intents()[-1][0]
    w.row().dev = "D"
    w.trade(102, trader="D", buy=False)
    assert "M" not in w.momentum.entering
    w.take(
        result(w, intent=seq, fill_in=ExplicitAmount(3_750_000, 9), fill_out=ExplicitAmount(M, 6), confirmed_slot=103)
    )
    assert w.position().held == 2 * M


def test_a_failed_scale_in_keeps_the_probe(world):
    w = world()
    w.held(100, tokens=M, lamports=1_250_000)
    w.reserves(101, base=10**18, quote=126 * 10**16)
    w.refuse("Rejected")
    assert last(w) == ("hold", "HOLD_SCALE_IN_REFUSED")
    assert w.position().full
    assert w.position().held == M


def test_the_wallet_never_resizes_and_a_newer_zero_closes(world):
    w = world()
    w.held(100, tokens=M, lamports=1_250_000)
    for balance, slot in ((5, 101), (0, 100), (0, None)):
        assert w.take(WalletBalanceSnapshot("M", balance, 6, "T", slot=slot), 41 * SOL) == []
    assert w.position().held == M
    w.take(WalletBalanceSnapshot("M", 0, 6, "T", slot=101), 41 * SOL)
    assert w.position() is None
    assert last(w) == ("wait", "WAIT_REENTRY_COOLDOWN")


def test_a_sale_by_someone_else_counts(world):
    w = world()
    w.held(100, tokens=M, lamports=1_250_000)
    sold = ExecutionResult(
        "sell-all",
        "confirmed",
        intent=10**6,
        token_mint="M",
        fill_in=ExplicitAmount(M, 6),
        metadata={"side": "SELL"},
    )
    w.take(sold, 41 * SOL)
    assert w.position() is None
    assert w.take(sold, 41 * SOL) == []


def test_a_forgotten_buy_is_taken_in(world):
    w = world()
    told = {"side": "BUY", "pool_address": "P", "entry_kind": "scale_in"}
    fill = {"fill_in": ExplicitAmount(9, 9), "fill_out": ExplicitAmount(M, 6)}
    w.take(ExecutionResult("momentum-bot", "confirmed", intent=7_000, token_mint="M", metadata=told, **fill))
    assert (w.position().pool, w.position().full) == ("P", True)
    w.take(ExecutionResult("arb-strategy", "confirmed", intent=7_001, token_mint="N", metadata=told, **fill))
    assert w.position("N") is None


def test_an_intent_of_someone_else_is_not_ours(world):
    w = world()
    w.trade(100)
    entering = w.momentum.entering["M"]
    assert entering.intent == w.intents()[0][0]
    w.take(w.intents()[0][1], 41 * SOL)
    assert entering.intent == w.intents()[0][0]


def test_memory_is_bounded(world):
    w = world(max_rows=16, terminal_secs=0)
    for n in range(40):
        w.trade(100 + n, pool=f"P{n}", mint=f"M{n}")
    assert len(w.momentum.rows) <= 16
    assert len(w.momentum.gates.features.windows) <= 16
    book = w.momentum.book
    for n in range(MOST_WISHES + 10):
        book.state.wishes[n] = book.state.wishes.get(n) or next(iter(book.state.wishes.values()))
    w.trade(200, pool="Z", mint="Z")
    assert len(book.state.wishes) == MOST_WISHES


def test_idle_rows_are_forgotten(world):
    w = world(min_unique_buyers=9, idle_secs=60)
    w.trade(100)
    w.tick(200)
    w.trade(400, pool="Q", mint="N")
    w.tick(401)
    assert list(w.momentum.rows) == ["Q"]


def test_slippage():
    assert [least(1_000, bps) for bps in (500, 100, 0, 10_000, 10_001)] == [950, 990, 1_000, 0, 0]


def test_texts():
    assert decimal_text(377_964_343, 6) == "377.964343"
