"""Restored anywhere equals never restored: the same words come out, and nothing grows out of bounds."""

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.control import ClockTick, ConfigUpdate, ForkOrphaned, GapClosed, GapOpened, RunStarted
from ironcrab.domain.market import (
    BondingCurveProgress,
    DevWalletIdentified,
    DexPoolAccounts,
    ExplicitAmount,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    WalletBalanceSnapshot,
)
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent, Verdict
from ironcrab.domain.units import SOL_MINT, USDC_MINT

SOL = 1_000_000_000
POOLS = [
    ("P", "M", "raydium"),
    ("Q", "M", "orca"),
    ("R", "N", "pumpfun"),
    ("S", "O", "pump_amm"),
    ("T", USDC_MINT, "orca"),
]
LOOSE = {
    "min_liquidity_lamports": 10,
    "min_unique_buyers": 2,
    "min_buy_dominance_bps": 4_000,
    "repeat_buyer_min_ratio_bps": 0,
    "price_trend_filter_enabled": True,
    "price_trend_min_trades": 4,
    "price_trend_min_tps_rise_bps": 50,
    "price_trend_max_drawdown_bps": 100,
    "price_trend_recovery_min_inflow_lamports": 0,
    "price_trend_recovery_min_secs": 2,
    "dump_recovery_min_net_inflow_lamports": 0,
    "scale_in_min_probe_pnl_bps": 0,
    "terminal_secs": 10,
    "reentry_cooldown_secs": 10,
    "max_hold_time_secs": 60,
    "momentum_exit_min_hold_secs": 5,
    "momentum_exit_min_trades": 2,
    "hard_stop_min_hold_secs": 5,
    "trailing_activation_bps": 50,
    "trailing_stop_bps": 50,
    "take_profit_bps": 300,
    "exits_use_last_trade": True,
    "early_slot_threshold": 120,
    "pending_timeout_secs": 20,
    "idle_secs": 60,
}

WHOLE = {
    "early_top1_buyer_share_cap_bps": 10_000,
    "early_top3_buyer_share_cap_bps": 10_000,
    "early_min_sample_buys": 3,
    "early_wash_volume_cap_bps": 0,
    "early_same_slot_buyers_cap_bps": 3_000,
    "established_candle_secs": 4,
    "established_breakout_candles": 6,
    "established_breakout_min_candles": 1,
    "established_breakout_min_rise_bps": 10,
    "established_breakout_max_rise_bps": 100,
    "established_volatility_min_expansion_bps": 1_000,
    "established_volume_min_expansion_bps": 500,
    "exit_multi_pool_routing": True,
    "exit_route_max_fails": 1,
    "exit_retry_cooldown_secs": 2,
    "exit_slippage_escalates": True,
    "exit_max_slippage_bps": 400,
    "exit_quote_ttl_ms": 40_000,
}
"""The gates that only one regime has, and sells on other pools."""


def trade_on(pool, buy, sol, price, trader, creator):
    address, mint, dex = pool
    return lambda slot: Trade(
        address, mint, trader, buy, sol, sol * price // 100_000, 6, dex, slot=slot, creator=creator
    )


def reserves_of(pool, price):
    return lambda slot: PoolStateUpdate(pool[0], pool[2], 10**9 * price, 10**14, pool[1], SOL_MINT, slot, slot=slot)


RARE = [
    lambda slot: SlotUpdate(slot, slot=slot),
    lambda _: ClockTick(),
    lambda slot: PoolCreated("P", "M", SOL_MINT, "raydium", "5", slot=slot),
    lambda slot: PoolCreated("R", "N", SOL_MINT, "pumpfun", None, slot=slot, creator="A"),
    lambda slot: DexPoolAccounts("pump_amm", "S", "O", SOL_MINT, ("S", "O", SOL_MINT, *"abcdefghijk"), slot=slot),
    lambda slot: TokenMintInfo("M", "Tokenkeg", 6, 10, slot=slot),
    lambda slot: DevWalletIdentified("N", "B", "12", slot=slot),
    lambda slot: LiquidityRemoved("Q", "M", SOL, 5, slot=slot),
    lambda slot: BondingCurveProgress("N", "R", 9_900, False, slot=slot),
    lambda slot: WalletBalanceSnapshot("M", 0, 6, "T", slot=slot),
    lambda slot: GapOpened("geyser", slot, slot, "test"),
    lambda slot: GapClosed("geyser", None, slot, filled=False),
    lambda slot: ForkOrphaned(slot, "test"),
    lambda slot: ForkOrphaned(max(0, slot - 1), "test"),
    lambda slot: ConfigUpdate(
        "momentum-bot", {"take_profit_bps": str(slot), "early_min_unique_buyers": "1", "no": "1"}
    ),
    lambda slot: ConfigUpdate("all", {"established_candle_secs": str(slot % 7), "max_hold_time_secs": "20"}),
    lambda _: RunStarted(1, "s", "v", "ironcrab", (), (), ()),
]
KINDS = ["confirmed"] * 8 + ["Rejected", "SimFailed", "failed", "timeout", "lost", "partial", "partial"]


def life(seed):
    """120 steps: what the world says, slots forward, and how it answers an intent said then."""
    draw = random.Random(seed)
    price = {pool[0]: 100_000 for pool in POOLS}
    steps = []
    for _ in range(120):
        pool = draw.choice(POOLS)
        price[pool[0]] = max(1_000, price[pool[0]] * draw.randint(985, 1_013) // 1_000)
        roll = draw.random()
        if roll < 0.75:
            build = trade_on(
                pool,
                draw.random() < 0.65,
                draw.choice([0, SOL // 50, SOL // 2, SOL, 2 * SOL]),
                price[pool[0]],
                draw.choice("ABCDEFGH"),
                draw.choice([None, None, "H"]) if pool[2] == "pumpfun" else None,
            )
        elif roll < 0.9:
            build = reserves_of(pool, price[pool[0]])
        else:
            build = draw.choice(RARE)
        steps.append((build, draw.choice([0, 0, 1, 1, 2, 3, 40]), (draw.choice(KINDS), draw.randint(90, 110))))
    return steps


LIVES = st.integers(0, 2**32).map(life)


def answer(seq, intent, known, kind, quality):
    """What the world answers to an intent; `lost` nothing."""
    buys = intent.side == "Buy"
    mint = intent.resources.output_mint if buys else intent.resources.input_mint
    paid = intent.required_capital
    if kind in ("Rejected", "SimFailed"):
        return DecisionRecord(intent.source, intent.origin_type, intent.regime, (), kind, intent=seq)
    if kind in ("failed", "timeout"):
        return ExecutionResult(intent.source, kind, intent=seq, token_mint=mint)
    if kind == "lost":
        return None
    went_in = max(1, paid.raw // 2) if kind == "partial" and not buys else paid.raw
    out = max(1, intent.execution.min_out.raw * quality // 100)
    return ExecutionResult(
        intent.source,
        "confirmed",
        intent=seq,
        token_mint=mint,
        fill_in=ExplicitAmount(went_in, paid.decimals),
        fill_out=ExplicitAmount(out, intent.execution.min_out.decimals),
        confirmed_slot=known.now.slot,
    )


def restore(world):
    """Encode every state and put it back, as a snapshot does."""
    for reducer in world.loop.reducers:
        reducer.state = msgspec.json.decode(msgspec.json.encode(reducer.state), type=type(reducer.state))
        if hasattr(reducer, "restored"):
            reducer.restored()


def play(world_class, steps, restores, **more):
    w = world_class(**{**LOOSE, **more})
    slot, answered = 100, 0
    for n, (build, forward, (kind, quality)) in enumerate(steps):
        slot += forward
        if n in restores:
            restore(w)
        w.take(build(slot), slot * 400_000_000)
        for seq, intent in w.intents()[answered:]:
            answered += 1
            said = answer(seq, intent, w.known, kind, quality)
            if said is not None:
                w.take(said, slot * 400_000_000)
        check(w)
    return w


def check(w):
    """What holds after every turn."""
    state = w.momentum.state
    for mint, position in state.positions.items():
        assert position.held > 0
        assert position.paid.known
        assert position.mint == mint
        assert position.best.known
        look = w.momentum.exits.look(position)
        if look.quote is not None:
            # pool matching: another pool decides only where the sell then goes, and never for less than the own one
            assert look.pool.base_mint == mint
            assert look.quote.pool_address == look.pool.pool_address
            assert look.own_out is None or look.quote.amount_out >= look.own_out
            assert look.own_out is not None or position.pool not in [row.pool_address for row in look.routes]
    assert not [mint for mint in state.entering if mint in state.positions and state.positions[mint].full]
    assert all(row.pool == pool for pool, row in state.rows.items())


@settings(derandomize=True, deadline=None, max_examples=100)
@given(LIVES, st.sets(st.integers(0, 120), max_size=6), st.booleans())
def test_restored_anywhere_equals_never_restored(world, steps, restores, whole):
    more = WHOLE if whole else {}
    straight, broken = play(world, steps, set(), **more), play(world, steps, restores, **more)
    assert [msgspec.json.encode(r.event) for r in straight.log] == [msgspec.json.encode(r.event) for r in broken.log]
    for one, two in zip(straight.loop.reducers, broken.loop.reducers, strict=True):
        assert msgspec.json.encode(one.state) == msgspec.json.encode(two.state)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(LIVES)
def test_verdicts_are_said_on_change_only_and_lives_are_orderly(world, steps):
    w = play(world, steps, set(), idle_secs=86_400)  # a forgotten pool would say its verdict again
    last, pending = {}, {}
    for record in w.log:
        event = record.event
        if isinstance(event, Verdict):
            assert event.measures, event.code
            assert last.get(event.pool_address) != (event.verdict, event.code)
            last[event.pool_address] = (event.verdict, event.code)
        if isinstance(event, TradeIntent):
            mint = event.resources.output_mint if event.side == "Buy" else event.resources.input_mint
            assert pending.get((mint, event.side)) is None, "one pending entry and one pending exit per mint"
            pending[mint, event.side] = record
            assert event.required_capital.raw > 0
            assert USDC_MINT not in (mint, event.resources.pools[0])
        ended = isinstance(event, DecisionRecord) or (isinstance(event, ExecutionResult) and event.status != "sent")
        if ended:
            pending = {key: at for key, at in pending.items() if at.seq != event.intent}
        # an intent without an answer is given up after its time; an exit strikes a pending buy of its mint
        pending = {
            (mint, side): at
            for (mint, side), at in pending.items()
            if at.time + 20_000_000_000 > record.time and not (side == "Buy" and (mint, "Sell") in pending)
        }


def test_the_random_lives_are_lively(world):
    """The generator reaches what it is meant to reach."""
    codes = {code for seed in range(60) for _, code in play(world, life(seed), set()).verdicts()}
    assert {"ENTER_PROBE_BUY", "ENTER_SCALE_IN", "HOLD_PROBE", "HOLD_FULL", "WAIT_REENTRY_COOLDOWN"} <= codes
    assert len([code for code in codes if code.startswith("EXIT_")]) >= 5, codes
    assert len([code for code in codes if code.startswith(("WAIT_", "REJECT_"))]) >= 14, codes


def test_the_random_lives_reach_the_own_gates_and_the_other_pools(world):
    lives = [play(world, life(seed), set(), **WHOLE) for seed in range(100)]
    codes = {code for w in lives for _, code in w.verdicts()}
    own = {
        "WAIT_THIN_SAMPLE", "REJECT_BUNDLED_BUYS", "WAIT_HISTORY", "WAIT_BREAKOUT", "WAIT_OVEREXTENDED",
        "WAIT_VOLATILITY_EXPANSION", "WAIT_VOLUME_EXPANSION",
    }  # fmt: skip
    assert own - codes == set()
    sells = [intent for w in lives for _, intent in w.intents() if intent.side == "Sell"]
    assert {intent.metadata["sell_routing"] for intent in sells} >= {"primary", "multi_pool"}
    assert any("config_snapshot_id" in intent.metadata for intent in sells)


NUMBERS = st.sampled_from([0, 1, 2, 10**6, 2**63, 2**64 - 1])
KEYS = st.sampled_from(["P", "M", "", SOL_MINT, USDC_MINT])
ODD = st.one_of(
    st.builds(
        Trade,
        KEYS,
        KEYS,
        KEYS,
        st.booleans(),
        NUMBERS,
        NUMBERS,
        st.sampled_from([0, 6, 255]),
        st.sampled_from(["raydium", "pumpfun", "pump_amm", "?"]),
        quote_mint=KEYS,
        slot=st.one_of(st.none(), st.integers(0, 400)),
    ),
    st.builds(PoolStateUpdate, KEYS, st.just("raydium"), NUMBERS, NUMBERS, KEYS, KEYS, st.integers(0, 400)),
    st.builds(PoolCreated, KEYS, KEYS, KEYS, st.just("?"), st.sampled_from([None, "", "x", "-5", "9" * 30])),
    st.builds(LiquidityRemoved, KEYS, KEYS, NUMBERS, NUMBERS),
    st.builds(DevWalletIdentified, KEYS, KEYS, st.sampled_from(["", "nan", "-1", "1000"])),
    st.builds(TokenMintInfo, KEYS, KEYS, st.just(0), NUMBERS),
    st.builds(BondingCurveProgress, KEYS, KEYS, NUMBERS, st.booleans()),
    st.builds(GapOpened, KEYS, NUMBERS, st.none(), KEYS),
    st.builds(WalletBalanceSnapshot, KEYS, NUMBERS, st.just(0), KEYS, slot=st.integers(0, 400)),
    st.builds(
        ExecutionResult,
        st.just("momentum-bot"),
        st.sampled_from(["confirmed", "CONFIRMED", "failed", "sent", "?"]),
        intent=st.one_of(st.none(), st.integers(0, 60)),
        token_mint=st.one_of(st.none(), KEYS),
        fill_in=st.one_of(st.none(), st.builds(ExplicitAmount, NUMBERS, st.just(6))),
        fill_out=st.one_of(st.none(), st.builds(ExplicitAmount, NUMBERS, st.just(6))),
        metadata=st.sampled_from([{}, {"side": "SELL"}, {"side": "BUY", "pool_address": "P"}]),
    ),
    st.builds(
        DecisionRecord,
        KEYS,
        st.just("StrategyA"),
        st.just("Early"),
        st.just(()),
        st.sampled_from(["Rejected", "Sent", "SimFailed"]),
        intent=st.one_of(st.none(), st.integers(0, 60)),
    ),
    st.builds(ClockTick),
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(ODD, max_size=60))
def test_nothing_odd_raises(world, events):
    w = world(**{**LOOSE, "min_liquidity_lamports": 0})
    for n, event in enumerate(events):
        w.take(event, n * 3_000_000_000)
    for _, intent in w.intents():
        assert intent.required_capital.raw > 0
        assert intent.execution.min_out.raw >= 0
    restore(w)
