"""Arbitrage: the source's numbers, every reason, the registry, cycles against brute force, restore anywhere."""

from itertools import pairwise, permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.control import ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.market import DexPoolAccounts, ExplicitAmount, PoolStateUpdate, Trade
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent, Verdict
from ironcrab.domain.units import SOL_MINT, USDC_MINT
from ironcrab.loop import Loop, Now
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.market.quotes import NoQuote, PoolQuote, constant_product
from ironcrab.strategy.arb import Arbitrage
from ironcrab.strategy.arb_cycles import Cycles
from ironcrab.strategy.arb_legs import Gates, Quoter, Trip, least_profit_to_land
from ironcrab.strategy.arb_pairs import best_pair, gap_bps
from ironcrab.strategy.arb_params import ArbParams

SOL = 1_000_000_000
EASY = {
    "min_profit_lamports": 1,
    "est_tx_cost_lamports": 5_000,
    "require_bundle": False,
    "max_position_lamports": SOL,
    "max_leg_slot_delta": 2,
}


class World:
    """Market reducers and arbitrage in one loop; one slot is 0.4 s."""

    def __init__(self, **params):
        self.known = Known.fresh(Now())
        self.arb = Arbitrage(ArbParams(**{**EASY, **params}), self.known)
        self.log = []
        self.loop = Loop((*self.known.reducers, self.arb), self.log.append, self.known.now)

    def take(self, event, slot=None, ms=0):
        """Fold one event; what was said in its turn."""
        before = len(self.log)
        slot = getattr(event, "slot", slot) or self.known.now.slot
        self.loop.take(event, slot * 400_000_000 + ms * 1_000_000)
        return [record.event for record in self.log[before + 1 :]]

    def pool(self, pool, base, quote, slot, dex="raydium", mint="M", money=SOL_MINT):
        return self.take(PoolStateUpdate(pool, dex, base, quote, mint, money, slot, slot=slot))

    def trade(self, pool, sol, tokens, slot, dex="orca", mint="M", **more):
        return self.take(Trade(pool, mint, "T", True, sol, tokens, 6, dex, slot=slot, **more))

    def pair(self, dear, slot=10, **more):
        """Two pools of 100 SOL, the second dearer by so many bps; what is said of the second."""
        self.pool("A", 10**12, 100 * SOL, slot, "raydium", **more)
        return self.pool("B", 10**12, 100 * SOL * (10_000 + dear) // 10_000, slot, "raydium_cpmm", **more)

    def touch(self, slot):
        """The dearer pool of a pair 300 bps apart is told again."""
        return self.pool("B", 10**12, 103 * SOL, slot, "raydium_cpmm")

    @property
    def intents(self):
        return [(record.seq, record.event) for record in self.log if isinstance(record.event, TradeIntent)]

    @property
    def verdicts(self):
        return [record.event for record in self.log if isinstance(record.event, Verdict)]


def codes(said):
    return [event.code for event in said if isinstance(event, Verdict)]


class Curves:
    """A quoter's source of quotes: constant product with a fee of each pool's own."""

    def __init__(self, pools):
        self.pools = {row.pool_address: (row, fee) for row, fee in pools}

    def quote(self, pool, mint_in, amount):
        row, fee = self.pools[pool]
        reserves = (row.reserve_base, row.reserve_quote)
        reserve_in, reserve_out = reserves if mint_in == row.base_mint else reserves[::-1]
        out = constant_product(reserve_in, reserve_out, amount, fee)
        return PoolQuote(pool, amount, out, "executable", 1, row.reserve_slot) if out else NoQuote("QUOTE_UNAVAILABLE")


class Ratios:
    """The same with fixed ratios (out, in) by (pool, mint paid in)."""

    def __init__(self, ratios):
        self.ratios = ratios

    def quote(self, pool, mint_in, amount):
        top, bottom = self.ratios.get((pool, mint_in), (0, 1))
        out = amount * top // bottom
        return PoolQuote(pool, amount, out, "exact", 1, 0) if out else NoQuote("QUOTE_UNAVAILABLE")


def row(pool, dex, base, quote, slot=5, mint="M", money=SOL_MINT):
    return PoolRow(
        pool, dex, mint, money, 1, slot, reserve_base=base, reserve_base_slot=slot, reserve_quote=quote,
        reserve_quote_slot=slot,
    )  # fmt: skip


def quoter_of(source, slot=5, **params):
    known = Known.fresh(Now())
    known.now.slot = slot
    quoter = Quoter(known, ArbParams(**params))
    quoter.quotes = source
    return quoter


# the source's numbers


def test_the_sources_pair():
    """Token reserve 1e12 both, 0.9 SOL on orca at 30 bps and 1.1 SOL on pump_amm at 100 bps, probe 0.01 SOL."""
    orca, pump = row("O", "orca", 10**12, 900_000_000), row("P", "pump_amm", 10**12, 1_100_000_000)
    quoter = quoter_of(Curves([(orca, 30), (pump, 100)]))
    trip = best_pair(quoter, [orca, pump], 10_000_000, 2)
    assert [leg.amount_out for leg in trip.legs] == [10956405156, 11803494]
    assert (trip.gross, trip.spread_bps) == (1803494, 1803)
    assert Gates(ArbParams()).spread(trip, 50)[0] == "ARB_SPREAD_ABOVE_MAX"
    back = quoter.trip([(pump, SOL_MINT), (orca, "M")], 10_000_000)
    assert back.legs[-1].amount_out == 7933118
    assert back.spread_bps == -2066, "toward zero"
    assert Gates(ArbParams()).spread(back, 50)[0] == "ARB_ROUND_TRIP_UNPROFITABLE"


def test_least_profit_to_land():
    assert least_profit_to_land(100_000, 45_000, 1_500) == 966_667
    assert least_profit_to_land(100_000, 45_000, 1_500) > 423_802
    assert least_profit_to_land(100_000, 45_000, 0) is None


def cycle_world(first, second, third):
    """SOL -> X -> Y -> SOL with these ratios of 10,000."""
    known = Known.fresh(Now())
    rows = [
        row("1", "orca", 1, 1, mint="X"),
        row("2", "orca", 1, 1, mint="X", money="Y"),
        row("3", "orca", 1, 1, mint="Y"),
    ]
    for one in rows:
        known.pools.rows[one.pool_address] = one
    known.pools.restored()
    ratios = {("1", SOL_MINT): (first, 10_000), ("2", "X"): (second, 10_000), ("3", "Y"): (third, 10_000)}
    quoter = Quoter(known, ArbParams())
    quoter.quotes = Ratios(ratios)
    return Cycles(known.pools, quoter, 4, 400)


def test_the_sources_cycle():
    trip = cycle_world(9_900, 10_200, 10_200).best("X", 10_000_000)
    assert (trip.spread_bps, len(trip.legs), trip.path) == (299, 3, "1 2 3")
    assert cycle_world(9_900, 10_200, 10_200).best("Y", 10_000_000) == trip
    lost = cycle_world(9_800, 9_800, 9_800).best("X", 10_000_000)
    assert Gates(ArbParams()).spread(lost, 30)[0] == "ARB_ROUND_TRIP_UNPROFITABLE"
    assert cycle_world(9_700, 0, 1).best("X", 10_000_000) is None


# every reason


def test_a_mint_with_one_pool_is_said_once():
    world = World()
    assert codes(world.pool("A", 10**12, 100 * SOL, 1)) == ["ARB_INSUFFICIENT_POOLS"]
    assert world.pool("A", 10**12, 100 * SOL, 2) == []
    assert world.trade("A", SOL, 10**10, 3, "raydium") == []


def test_two_pools_of_one_venue_are_no_pair():
    world = World()
    world.pool("A", 10**12, 100 * SOL, 1)
    assert world.pool("B", 10**12, 110 * SOL, 1) == []
    assert world.verdicts[0].code == "ARB_INSUFFICIENT_POOLS"


def test_a_good_pair_is_wished_and_says_its_numbers():
    world = World()
    said = world.pair(300)
    assert codes(said) == ["ARB_TWO_HOP"]
    intent = said[1]
    assert intent.resources.pools == ("A", "B")
    assert intent.resources.input_mint == intent.resources.output_mint == SOL_MINT
    assert [hop.output_mint for hop in intent.swap_path] == ["M", SOL_MINT]
    assert (intent.tier, intent.side, intent.regime, intent.origin_type) == ("Arb", "Buy", "NotApplicable", "StrategyA")
    assert intent.ttl_ms == 1_000
    numbers = {measure.name: measure.value for measure in said[0].measures}
    assert numbers["profit_lamports"] == intent.expected_value_lamports > 0
    assert numbers["trade_lamports"] == intent.required_capital.raw
    assert intent.execution.min_out.raw > intent.required_capital.raw + 5_000
    assert intent.metadata["buy_pool"] == "A"


def test_the_size_earns_more_than_the_probe_and_its_neighbours():
    world = World(max_position_lamports=100 * SOL)
    intent = world.pair(300)[1]
    rows = [world.known.pools.get(pool) for pool in intent.resources.pools]
    steps = [(rows[0], SOL_MINT), (rows[1], "M")]
    size = intent.required_capital.raw
    gross = {amount: world.arb.quoter.trip(steps, amount).gross for amount in (10_000_000, size // 2, size, size * 2)}
    assert max(gross, key=gross.get) == size


def test_no_wish_is_larger_than_the_largest_position():
    world = World(probe_lamports=SOL, max_position_lamports=SOL // 10)
    intent = world.pair(300)[1]
    assert intent.required_capital.raw <= SOL // 10


def near(world, dear):
    world.pair(dear)
    return world.verdicts[-1].code


@pytest.mark.parametrize(
    ("params", "dear", "code"),
    [
        ({}, 10, "ARB_ROUND_TRIP_UNPROFITABLE"),
        ({}, 49, "ARB_ROUND_TRIP_UNPROFITABLE"),
        ({}, 90, "ARB_SPREAD_BELOW_MIN"),
        ({}, 1_200, "ARB_SPREAD_ABOVE_MAX"),
        ({"min_profit_lamports": 10_000_000}, 130, "ARB_PROFIT_BELOW_MIN"),
        ({"est_tx_cost_lamports": 100_000_000}, 130, "ARB_PROFIT_BELOW_MIN"),
        ({"require_bundle": True}, 110, "ARB_PROFIT_BELOW_LANDING"),
        ({"require_bundle": True, "bundle_max_spend_bps": 0}, 300, "ARB_PROFIT_BELOW_LANDING"),
    ],
)
def test_gates(params, dear, code):
    assert near(World(**params), dear) == code


def test_a_stable_mint_has_a_lower_ceiling():
    assert codes(World().pair(600, mint=USDC_MINT)) == ["ARB_SPREAD_ABOVE_MAX"]
    assert codes(World().pair(600)) == ["ARB_TWO_HOP"]


def test_the_screen_needs_a_gap():
    world = World(screen_bps=0)
    world.pair(10)
    assert world.arb.quoter.asked > 0
    world = World()
    world.pair(10)
    assert world.arb.quoter.asked == 0
    assert gap_bps([row("A", "orca", 1, 1)]) is None


def test_old_state_is_stale():
    world = World(max_leg_slot_delta=0)
    world.pool("A", 10**12, 100 * SOL, 10)
    assert codes(world.pool("B", 10**12, 103 * SOL, 311, "raydium_cpmm")) == ["ARB_QUOTE_STALE"]
    assert codes(world.pool("A", 10**12, 100 * SOL, 312)) == ["ARB_TWO_HOP"]


def test_quiet_is_not_stale_but_far_slots_do_not_pair():
    world = World()
    world.pool("A", 10**12, 100 * SOL, 10)
    said = world.pool("B", 10**12, 103 * SOL, 13, "raydium_cpmm")
    assert codes(said) == ["ARB_SLOT_DELTA_EXCEEDED"]
    assert said[0].measures[0].value == 3
    assert codes(world.pool("A", 10**12, 100 * SOL, 15)) == ["ARB_TWO_HOP"], "at most 2"
    world = World(max_leg_slot_delta=0)
    world.pool("A", 10**12, 100 * SOL, 10)
    assert codes(world.pool("B", 10**12, 103 * SOL, 100, "raydium_cpmm")) == ["ARB_TWO_HOP"]


def test_reserves_that_a_trade_has_passed_are_stale():
    world = World(max_leg_slot_delta=0)
    world.pool("A", 10**12, 100 * SOL, 10)
    world.trade("A", SOL, 10**10, 12, "raydium")
    assert codes(world.pool("B", 10**12, 103 * SOL, 12, "raydium_cpmm")) == ["ARB_QUOTE_STALE"]


def test_kinds_do_not_mix():
    world = World()
    world.pool("A", 10**12, 100 * SOL, 10)
    assert codes(world.trade("B", SOL, 9_700_000_000, 10)) == ["ARB_INCOMPATIBLE_QUOTE_KIND"]


def test_last_trades_pair_but_are_not_wished_by_default():
    for params, code in (({}, "ARB_LAST_TRADE_ONLY"), ({"trade_on_last_trade": True}, "ARB_TWO_HOP")):
        world = World(**params)
        world.trade("A", SOL, 10**10, 10, "orca")
        said = world.trade("B", SOL, 9_700_000_000, 10, "meteora_dlmm")
        assert codes(said) == [code]
    assert said[1].required_capital.raw == 10_000_000, "no more than the probe where no liquidity is known"
    assert codes(world.trade("B", SOL, 9_700_000_000, 90, "meteora_dlmm")) == ["ARB_QUOTE_STALE"], "30 s are 75 slots"


def test_small_trades_and_other_money_are_no_reason():
    world = World()
    world.trade("A", SOL, 10**10, 10, "orca")
    assert world.trade("B", 99_999, 969_990, 10, "meteora_dlmm") == []
    world = World()
    world.trade("A", SOL, 10**10, 10, "orca")
    assert world.trade("C", 10**6, 10**9, 10, "meteora_dlmm", quote_mint="Z")[0].code == "ARB_NO_CYCLE"


def test_a_pumpfun_curve_is_no_leg():
    world = World()
    world.pool("A", 10**12, 100 * SOL, 10)
    assert world.pool("B", 10**12, 110 * SOL, 10, "pumpfun") == []
    assert world.verdicts[-1].code == "ARB_INSUFFICIENT_POOLS"


def test_an_open_gap_and_a_fork_stop_it():
    world = World()
    world.pair(10)
    world.take(GapOpened("geyser", 10, None, "drill"))
    assert codes(world.pool("B", 10**12, 103 * SOL, 11, "raydium_cpmm")) == ["ARB_FEED_GAP"]
    world.take(GapClosed("geyser", 10, 11, filled=False))
    assert codes(world.pool("B", 10**12, 103 * SOL, 12, "raydium_cpmm")) == ["ARB_QUOTE_STALE"]
    assert codes(world.pool("A", 10**12, 100 * SOL, 12)) == ["ARB_TWO_HOP"]
    world.take(ForkOrphaned(12, "drill"))
    assert "ARB_QUOTE_STALE" in codes(world.pool("A", 10**12, 100 * SOL, 13))


def test_in_flight_then_cooldown_then_again():
    world = World(max_leg_slot_delta=0)
    world.pair(300, 10)
    assert codes(world.touch(11)) == ["ARB_IN_FLIGHT"]
    seq, intent = world.intents[0]
    for status in ("sent", "sent"):
        world.take(ExecutionResult("arb-strategy", status, intent=seq))
        assert codes(world.touch(12)) == []
    world.take(ExecutionResult("momentum-bot", "confirmed", intent=seq))
    assert codes(world.touch(12)) == []
    world.take(ExecutionResult("arb-strategy", "confirmed", intent=seq))
    assert codes(world.touch(12)) == ["ARB_COOLDOWN"]
    assert codes(world.touch(22)) == []
    assert codes(world.touch(23)) == ["ARB_TWO_HOP"], "5 s are 12.5 slots"
    assert len(world.intents) == 2
    assert intent.source == "arb-strategy"


@pytest.mark.parametrize("status", ["confirmed", "failed", "timeout"])
def test_an_end_releases(status):
    world = World(intent_cooldown_ms=0, max_leg_slot_delta=0)
    world.pair(300, 10)
    world.take(ExecutionResult("arb-strategy", status, intent=world.intents[0][0]))
    assert codes(world.touch(11)) == ["ARB_TWO_HOP"]


def decision(intent, outcome):
    return DecisionRecord("arb-strategy", "StrategyA", "NotApplicable", (), outcome, intent=intent)


@pytest.mark.parametrize(
    ("outcome", "free"), [("Rejected", True), ("Expired", True), ("SimFailed", True), ("Sent", False)]
)
def test_a_refusal_releases(outcome, free):
    world = World(intent_cooldown_ms=0, max_leg_slot_delta=0)
    world.pair(300, 10)
    world.take(decision(world.intents[0][0], outcome))
    assert codes(world.touch(11)) == (["ARB_TWO_HOP"] if free else ["ARB_IN_FLIGHT"])


def test_a_wish_without_an_answer_is_given_up():
    world = World(intent_cooldown_ms=0, max_leg_slot_delta=0)
    world.pair(300, 10)
    assert codes(world.touch(24)) == ["ARB_IN_FLIGHT"], "1 s of life and 5 s of grace are 15 slots"
    assert codes(world.touch(25)) == []
    assert codes(world.touch(26)) == ["ARB_TWO_HOP"]


def test_one_pool_a_venue_the_newest_then_the_deepest_then_the_lowest_address():
    rows = [
        row("A", "raydium", 10**12, 100 * SOL),
        row("B", "orca", 10**12, 103 * SOL, 5),
        row("C", "orca", 10**12, 104 * SOL, 4),
    ]
    source = Curves([(one, 25) for one in rows])
    assert best_pair(quoter_of(source), rows, 10_000_000, 2).path == "A B"
    rows[2].reserve_base_slot = rows[2].reserve_quote_slot = 5
    assert best_pair(quoter_of(source), rows, 10_000_000, 2).path == "A C"
    rows[2].reserve_quote = 103 * SOL
    assert best_pair(quoter_of(source), rows[::-1], 10_000_000, 2).path == "A B"


# cycles


def triangle(world, slot, dear=0):
    world.pool("MS", 10**12, 100 * SOL, slot, "raydium")
    world.pool("US", 10**11, 100 * SOL, slot, "raydium", USDC_MINT)
    return world.pool("MU", 10**12, 10**11 * (10_000 + dear) // 10_000, slot, "raydium_cpmm", "M", USDC_MINT)


def test_a_cycle_is_wished_through_every_pool_that_moves():
    world = World()
    assert codes(triangle(world, 10)) == ["ARB_ROUND_TRIP_UNPROFITABLE"]
    assert triangle(world, 11) == []
    said = triangle(world, 12, 300)
    assert codes(said) == ["ARB_MULTI_HOP"]
    assert [hop.output_mint for hop in said[1].swap_path] == ["M", USDC_MINT, SOL_MINT]
    world = World()
    triangle(world, 10)
    said = world.pool("US", 10**11, 104 * SOL, 11, "raydium", USDC_MINT)
    assert codes(said) == ["ARB_MULTI_HOP"]
    assert said[0].mint == USDC_MINT, "a mint that others are priced in"


def test_a_cycle_is_searched_only_where_a_price_moved_and_not_too_often():
    world = World()
    triangle(world, 10)
    triangle(world, 11)
    asked = world.arb.quoter.asked
    triangle(world, 12, 5)
    assert world.arb.quoter.asked == asked, "5 bps are no move"
    triangle(world, 13, 11)
    assert world.arb.quoter.asked > asked
    asked = world.arb.quoter.asked
    world.loop.take(
        PoolStateUpdate("MU", "raydium_cpmm", 10**12, 2 * 10**11, "M", USDC_MINT, 13, slot=13), 13 * 400_000_000
    )
    assert world.arb.quoter.asked == asked, "within 100 ms"


def test_switches():
    world = World(multi_hop_enabled=False)
    triangle(world, 10)
    triangle(world, 11, 300)
    assert {verdict.code for verdict in world.verdicts} == {"ARB_INSUFFICIENT_POOLS"}
    world = World(two_hop_enabled=False)
    world.pair(300)
    assert world.intents == []


@st.composite
def graphs(draw):
    mints = ["M", "X", "Y", SOL_MINT]
    pools = []
    for number in range(draw(st.integers(3, 9))):
        one, other = draw(st.sampled_from([(a, b) for a in mints[:3] for b in mints if a != b]))
        if other != SOL_MINT and mints.index(one) > mints.index(other):
            one, other = other, one
        base, quote = draw(st.integers(10**6, 10**9)), draw(st.integers(10**6, 10**9))
        pools.append((row(f"P{number}", "raydium", base, quote, mint=one, money=other), draw(st.integers(0, 100))))
    return pools


def brute(pools, source, focus, probe, most):
    """The best output of every simple cycle of pools through the focus."""
    best = None
    for length in range(3, most + 1):
        for middle in permutations(["M", "X", "Y"], length - 1):
            if focus not in middle:
                continue
            amounts = [probe]
            for mint_in, mint_out in pairwise((SOL_MINT, *middle, SOL_MINT)):
                outs = []
                for amount in amounts:
                    for one, _ in pools:
                        if {one.base_mint, one.quote_mint} == {mint_in, mint_out}:
                            quote = source.quote(one.pool_address, mint_in, amount)
                            if isinstance(quote, PoolQuote):
                                outs.append(quote.amount_out)
                amounts = outs
            if amounts and (best is None or max(amounts) > best):
                best = max(amounts)
    return best


@settings(derandomize=True, deadline=None, max_examples=150)
@given(graphs(), st.sampled_from("MXY"), st.integers(1_000, 10**7), st.integers(3, 4))
def test_the_search_is_whole(pools, focus, probe, most):
    known = Known.fresh(Now())
    for one, _ in pools:
        known.pools.rows[one.pool_address] = one
    known.pools.restored()
    source = Curves(pools)
    quoter = Quoter(known, ArbParams())
    quoter.quotes = source
    trip = Cycles(known.pools, quoter, most, 100_000).best(focus, probe)
    assert (trip and trip.legs[-1].amount_out) == brute(pools, source, focus, probe, most)
    if trip is not None:
        mints = [leg.mint_in for leg in trip.legs]
        assert [leg.mint_out for leg in trip.legs] == [*mints[1:], SOL_MINT]
        assert mints[0] == SOL_MINT
        assert all({leg.mint_in, leg.mint_out} == {leg.row.base_mint, leg.row.quote_mint} for leg in trip.legs)
        assert len(set(mints)) == len(mints)
        assert focus in mints


def test_a_budget_ends_the_search():
    known = Known.fresh(Now())
    rows = [row(f"P{n}", "orca", 10**9, 10**9, mint=f"X{n}") for n in range(50)]
    rows += [row(f"Q{n}", "orca", 10**9, 10**9, mint="M", money=f"X{n}") for n in range(50)]
    rows.append(row("R", "orca", 10**9, 10**9))
    for one in rows:
        known.pools.rows[one.pool_address] = one
    known.pools.restored()
    quoter = Quoter(known, ArbParams())
    quoter.quotes = Curves([(one, 30) for one in rows])
    assert isinstance(Cycles(known.pools, quoter, 4, 60).best("M", 10_000), Trip)
    assert quoter.asked <= 60 + 4


# whole


MINTS = ("M", "N", USDC_MINT)
PLACES = [
    ("A", "raydium", "M", SOL_MINT), ("B", "raydium_cpmm", "M", SOL_MINT), ("C", "orca", "M", SOL_MINT),
    ("D", "pump_amm", "N", SOL_MINT), ("E", "raydium", "N", USDC_MINT), ("F", "raydium_cpmm", USDC_MINT, SOL_MINT),
    ("G", "meteora_dlmm", "N", SOL_MINT), ("H", "pumpfun", "N", SOL_MINT),
]  # fmt: skip
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["state", "state", "state", "trade", "gap", "closed", "fork", "result", "decision"]),
        st.sampled_from(PLACES),
        st.integers(9_400, 10_600),
        st.integers(0, 3),
        st.sampled_from(["confirmed", "failed", "sent", "timeout"]),
    ),
    max_size=60,
)


def events_of(script):
    slot = 100
    wishes = 0
    for kind, (pool, dex, mint, money), price, later, word in script:
        slot += later
        if kind == "state":
            yield PoolStateUpdate(pool, dex, 10**13, 10**9 * price // 100, mint, money, slot, slot=slot), slot
        elif kind == "trade":
            yield Trade(pool, mint, "T", True, 10**7 * price, 10**15, 6, dex, quote_mint=money, slot=slot), slot
        elif kind == "gap":
            yield GapOpened("geyser", slot, None, "drill"), slot
        elif kind == "closed":
            yield GapClosed("geyser", slot, slot, filled=False), slot
        elif kind == "fork":
            yield ForkOrphaned(slot, "drill"), slot
        else:
            wishes += 1
            yield ("wish", wishes, kind, word), slot


def drive(script, cut=None, **params):
    """What is said in all; the state is put back after `cut` events, as from a snapshot."""
    world = World(**params)
    for number, (event, slot) in enumerate(events_of(script)):
        if number == cut:
            world = again(world, params)
        told = event
        if isinstance(event, tuple):
            _, count, kind, word = event
            if not world.intents:
                continue
            seq = world.intents[count % len(world.intents)][0]
            told = ExecutionResult("arb-strategy", word, intent=seq, fill_in=ExplicitAmount(1, 9))
            if kind == "decision":
                told = decision(seq, {"confirmed": "Confirmed", "sent": "Sent"}.get(word, "Rejected"))
        world.take(told, slot)
    return [msgspec.json.encode(record) for record in world.log]


def again(world, params):
    """A new world with the states of the old one."""
    new = World(**params)
    for old, fresh in zip(world.loop.reducers, new.loop.reducers, strict=True):
        fresh.state = msgspec.json.decode(msgspec.json.encode(old.state), type=type(old.state))
        if hasattr(fresh, "restored"):
            fresh.restored()
    new.known.now.time, new.known.now.slot = world.known.now.time, world.known.now.slot
    new.loop.seq = world.loop.seq
    new.log[:] = world.log
    return new


@settings(derandomize=True, deadline=None, max_examples=150)
@given(EVENTS, st.integers(0, 60))
def test_restored_anywhere_equals_never_restored(script, cut):
    params = {"max_leg_slot_delta": 0, "intent_cooldown_ms": 400, "trade_on_last_trade": True}
    assert drive(script, **params) == drive(script, cut, **params)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(EVENTS)
def test_a_wish_always_earns_and_verdicts_change(script):
    world = World(max_leg_slot_delta=0, intent_cooldown_ms=400)
    last = {}
    for event, slot in events_of(script):
        if isinstance(event, tuple):
            continue
        for said in world.take(event, slot):
            if isinstance(said, Verdict):
                assert said.verdict == "enter" or last.get(said.mint) != (said.verdict, said.code)
                last[said.mint] = (said.verdict, said.code)
            else:
                capital = said.required_capital.raw
                assert said.execution.min_out.raw > capital + 5_000
                assert said.expected_value_lamports > 0
                assert said.swap_path[0].input_mint == said.swap_path[-1].output_mint == SOL_MINT
                assert 0 < capital <= SOL


def test_maps_are_bounded():
    world = World(max_rows=16)
    for number in range(100):
        world.pool(f"P{number}", 10**12, 100 * SOL, 10 + number, mint=f"N{number}")
    assert len(world.arb.state.rows) <= 16


def test_legs_of_a_cycle_must_be_near_in_time():
    world = World()
    triangle(world, 10)
    triangle(world, 11)
    said = world.pool("MU", 10**12, 2 * 10**11, 14, "raydium_cpmm", "M", USDC_MINT)
    assert codes(said) == ["ARB_SLOT_DELTA_EXCEEDED"]
    assert [(measure.value, measure.limit) for measure in said[0].measures] == [(3, 2)]


def test_a_cycle_that_earns_too_much_is_an_error_of_the_data():
    world = World()
    triangle(world, 10)
    triangle(world, 11)
    assert codes(world.pool("MU", 10**12, 2 * 10**11, 12, "raydium_cpmm", "M", USDC_MINT)) == ["ARB_SPREAD_ABOVE_MAX"]


def test_unknown_liquidity_asks_for_more():
    params = {"trade_on_last_trade": True, "min_profit_lamports": 50_000, "est_tx_cost_lamports": 0}
    world = World(**params)
    world.trade("A", SOL, 10**10, 10, "orca")
    said = world.trade("B", SOL, 9_700_000_000, 10, "meteora_dlmm")
    assert codes(said) == ["ARB_PROFIT_BELOW_MIN"]
    profit = said[0].measures[0]
    assert 50_000 < profit.value < profit.limit == 250_000


def test_a_venue_without_a_quote_is_missing():
    world = World()
    world.pool("A", 10**12, 100 * SOL, 10)
    said = world.pool("B", 0, 0, 10, "raydium_cpmm")
    assert said == [], "said already"
    world.trade("C", SOL, 10**10, 10, "orca")
    assert world.verdicts[-1].code in ("ARB_INCOMPATIBLE_QUOTE_KIND", "ARB_INSUFFICIENT_POOLS")


def test_a_bundle_names_its_tip_and_counts_it():
    world = World(require_bundle=True, bundle_tip_lamports=200_000)
    intent = world.pair(400)[1]
    assert (intent.require_bundle, intent.bundle_tip_lamports) == (True, 200_000)
    assert (intent.hint_compute_units, intent.hint_priority_fee_micro_lamports, intent.hint_urgency) == (
        400_000,
        100_000,
        1,
    )
    numbers = {measure.name: measure.value for measure in world.verdicts[-1].measures}
    assert numbers["cost_lamports"] == 5_000 + 200_000
    assert intent.execution.min_out.raw > intent.required_capital.raw + 205_000
    assert World().pair(400)[1].bundle_tip_lamports is None


def test_defaults_are_the_sources():
    params = ArbParams()
    assert (params.min_spread_bps, params.min_profit_lamports, params.max_position_lamports) == (50, 10_000_000, SOL)
    assert (params.max_slippage_bps, params.intent_cooldown_ms, params.intent_ttl_ms) == (100, 5_000, 1_000)
    assert (params.probe_lamports, params.est_tx_cost_lamports, params.max_leg_slot_delta) == (10_000_000, 50_000, 2)
    assert (params.quote_state_ttl_ms, params.quote_trade_ttl_ms, params.bundle_tip_lamports) == (
        120_000,
        30_000,
        100_000,
    )
    assert (params.multi_hop_max_hops, params.multi_hop_min_profit_bps, params.multi_hop_min_move_bps) == (4, 30, 10)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(10**6, 10**12), st.integers(10**6, 10**12), st.integers(10**6, 10**12), st.integers(10**6, 10**12))
def test_whatever_the_screen_skips_would_not_have_paid(base_a, quote_a, base_b, quote_b):
    """Sound on constant product: below the screen no size of either direction returns the least spread."""
    rows = [row("A", "raydium", base_a, quote_a), row("B", "raydium_cpmm", base_b, quote_b)]
    gap = gap_bps(rows)
    params = ArbParams()
    if gap >= params.min_spread_bps:
        return
    quoter = quoter_of(Curves([(one, 25) for one in rows]))
    for steps in ([(rows[0], SOL_MINT), (rows[1], "M")], [(rows[1], SOL_MINT), (rows[0], "M")]):
        for amount in (10_000, 10**6, 10**8):
            trip = quoter.trip(steps, amount)
            assert trip is None or trip.spread_bps < params.min_spread_bps


@pytest.mark.parametrize(
    ("accounts", "code"),
    [
        (("B", *"abcdefghijklm"), "ARB_TWO_HOP"),
        (("B", *"abcdefghijkl"), "ARB_POOL_ACCOUNTS"),
        (("X", *"abcdefghijklm"), "ARB_POOL_ACCOUNTS"),
    ],
)
def test_a_pumpswap_pool_needs_its_accounts_where_that_is_asked(accounts, code):
    for asked in (True, False):
        world = World(require_pool_accounts=asked)
        world.take(DexPoolAccounts("pump_amm", "B", "M", SOL_MINT, accounts, slot=5))
        world.pool("A", 10**12, 100 * SOL, 5)
        said = world.pool("B", 10**12, 105 * SOL, 5, dex="pump_amm")
        assert codes(said)[-1] == (code if asked else "ARB_TWO_HOP")


def test_every_verdict_has_numbers():
    world = World()
    world.pool("A", 10**12, 100 * SOL, 5)
    world.take(GapOpened("geyser", 5, None, "test"))
    world.touch(6)
    world.take(GapClosed("geyser", None, 6, filled=False))
    world.pair(300)
    assert len(world.verdicts) >= 3
    assert all(verdict.measures for verdict in world.verdicts)
