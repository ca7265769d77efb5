"""Our own pools that meet every verdict of arbitrage: the input of `arbitrage-checks` and `arbitrage-switches`.

Every case has a mint and pools of its own. Pools are so deep that a price is what a size earns, and the reserve that
makes a round trip earn exactly so many lamports is looked for; a case of a threshold stands at its edge and beside it.
"""

from msgspec.structs import replace

from ironcrab.domain.ask import SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate, GapClosed, GapOpened
from ironcrab.domain.market import DexPoolAccounts, ExplicitAmount, PoolStateUpdate, TokenMintInfo, Trade
from ironcrab.domain.trade import Execution, TradeIntent, TradeResources
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM, USDC_MINT
from tests.goldens.driving import Chain

DEEP = 10**15
PROBE = 1_000_000
MOST = 8_000_000
FEES = {"raydium": 25, "raydium_cpmm": 25, "pump_amm": 100}


def out_of(amount, dex, reserve_in, reserve_out):
    """What a constant product pays, with the fee off what goes in."""
    net = amount * (10_000 - FEES[dex]) // 10_000
    return net * reserve_out // (reserve_in + net)


def reserve_for(gross, size, dexes=("raydium", "raydium_cpmm"), base=DEEP):
    """The SOL reserve of the selling pool with which `size` lamports earn `gross`."""
    bought = out_of(size, dexes[0], base, base)
    low, high = 0, 4 * base
    while low < high:
        middle = (low + high) // 2
        if out_of(bought, dexes[1], base, middle) - size < gross:
            low = middle + 1
        else:
            high = middle
    return low


def earned(size, base):
    """What is earned where tokens are cheaper: bought of so large a reserve, sold at par."""
    return out_of(out_of(size, "raydium_cpmm", DEEP, base), "raydium", DEEP, DEEP) - size


def more_than(base):
    """Reserves up to a tenth larger, in steps of a tenth of what a lamport buys."""
    return range(base, base * 11 // 10, base // 10_000_000)


def events_of(records):
    """(time in ns, event) of every world record; `records` is what came of them so far."""
    script = Script(records)
    acts = (
        script.spreads, script.profits, script.ages, script.venues, script.choices, script.last_trades, script.cycles,
        script.searches, script.moves, script.ways, script.distances, script.small, script.flights,
        script.side_by_side, script.gaps, script.settings,
    )  # fmt: skip
    for act in acts:
        for event in act():
            yield script.time, event


class Script(Chain):
    """What the world says, act by act."""

    def __init__(self, records):
        super().__init__(records)
        self.count = 0

    # words

    def named(self):
        """The next case's mint and its pools, in the order of their addresses."""
        self.count += 1
        self.slot += 1
        return f"ArbMint{self.count:03d}", *(f"ArbPool{self.count:03d}{letter}" for letter in "ABCD")

    def told(self, mint, pool, dex, base=DEEP, quote=DEEP, quote_mint=SOL_MINT):
        return PoolStateUpdate(pool, dex, base, quote, mint, quote_mint, self.slot, slot=self.slot)

    def trade(self, mint, pool, sol=1_000, tokens=None, dex="orca", quote_mint=SOL_MINT):
        return Trade(
            pool,
            mint,
            "ArbWallet",
            True,
            sol,
            sol if tokens is None else tokens,
            6,
            dex,
            quote_mint=quote_mint,
            slot=self.slot,
        )

    def pair(self, quote, later=0, dexes=("raydium", "raydium_cpmm")):
        """Two pools of a mint, the second with this SOL reserve; (mint, pools) are the newest names."""
        mint, one, other, *_ = self.names = self.named()
        yield self.told(mint, one, dexes[0])
        self.slot += later
        yield self.told(mint, other, dexes[1], quote=quote)

    # acts

    def spreads(self):
        """Returns at the probe: none, too small, enough, too large; prices too near to be quoted."""
        yield self.kill(active=True)
        for gross in (-1, 0, 1, 4_999, 5_000, 5_001, 100_099, 100_100):
            yield from self.pair(reserve_for(gross, PROBE))
        for bps in (29, 30, 31):
            yield from self.pair(DEEP * (10_000 + bps) // 10_000)
        yield from self.pair(DEEP * 9_969 // 10_000)
        yield from self.pair(0)

    def profits(self):
        """Profits after costs at the best size: below the least, below what lands, enough; pools that are not deep."""
        for gross in (61_499, 61_500, 61_501, 60_999, 61_000, 82_928, 82_929, 82_930):
            yield from self.pair(reserve_for(gross, MOST))
        for gross in (999, 1_000, 1_001):
            yield from self.pair(reserve_for(gross, MOST))
        for pause in (11, 12):
            yield from self.pair(reserve_for(90_000, MOST))
            self.slot += pause
            yield from self.again(reserve_for(90_000, MOST), self.names)
        for base in (10**8, 15 * 10**7, 2 * 10**8, 25 * 10**7, 3 * 10**8, 4 * 10**8, 10**9, 5 * 10**9):
            mint, one, other, *_ = self.named()
            yield self.told(mint, one, "raydium", base, base)
            yield self.told(mint, other, "raydium_cpmm", base, base * 104 // 100)
        yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**12, None, None, slot=self.slot)
        for quote in (10_900, 11_100, 13_000):
            yield from self.pair(DEEP * quote // 10_000)

    def ages(self):
        """Two legs' slots apart; quotes that are too old; trades after the reserves."""
        good = reserve_for(90_000, MOST)
        for later in (2, 3):
            yield from self.pair(good, later)
        for age in (50, 51):
            yield from self.pair(good)
            self.slot += age
            yield self.trade(self.names[0], self.names[3], 999)
            yield self.trade(self.names[0], self.names[3])
        mint, a, b, *_ = self.named()
        yield self.trade(mint, a, dex="raydium")
        yield self.told(mint, a, "raydium")
        yield self.trade(mint, b, dex="raydium_cpmm")
        yield self.told(mint, b, "raydium_cpmm", quote=good)
        mint, a, b, c, _ = self.named()
        yield self.told(mint, a, "raydium")
        self.slot += 5
        yield self.told(mint, b, "raydium_cpmm", quote=good)
        self.slot += 3
        yield self.told(mint, c, "pump_amm", quote=good)
        for later in (0, 1, 2, 3):
            yield from self.pair(good)
            self.slot += later
            yield self.trade(self.names[0], self.names[1], dex="raydium")
            yield self.trade(self.names[0], self.names[3])
            self.slot += 1
            yield self.told(self.names[0], self.names[1], "raydium")
            yield self.told(self.names[0], self.names[2], "raydium_cpmm", quote=good)

    def venues(self):
        """One pool a venue stands for it; pools of one venue are no pair; other quote mints are none."""
        good = reserve_for(90_000, MOST)
        yield from self.pair(good, dexes=("raydium", "raydium"))
        yield from self.pair(good, dexes=("raydium", "meteora_cpmm"))
        mint, a, b, c, d = self.named()
        yield self.told(mint, a, "raydium", quote_mint=USDC_MINT)
        yield self.told(mint, b, "raydium_cpmm", quote=good)
        yield self.told(mint, c, "raydium")
        yield self.told(mint, d, "raydium_cpmm", quote=good + DEEP // 100)
        mint, a, b, c, d = self.named()
        yield self.told(mint, a, "raydium", quote=DEEP)
        yield self.told(mint, b, "raydium_cpmm", quote=good)
        self.slot += 1
        yield self.told(mint, c, "raydium_cpmm", 2 * DEEP, 2 * good)
        yield self.told(mint, d, "pump_amm", quote=good + DEEP // 50)
        yield self.told(mint, a, "raydium", quote=DEEP)
        yield self.told(mint, b, "raydium_cpmm", 2 * DEEP, 2 * good + DEEP // 10)
        yield self.trade(mint, d, dex="pump_amm")
        for pools in (
            (("raydium", DEEP), ("raydium_cpmm", DEEP * 102 // 100)),
            (("raydium_cpmm", DEEP * 102 // 100), ("raydium", DEEP)),
        ):
            self.slot += 1
            for (dex, quote), pool in zip(pools, ("ArbStableA", "ArbStableB"), strict=True):
                yield self.told(USDC_MINT, f"{pool}{dex}", dex, quote=quote)
        self.slot += 1
        for bps in (10_270, 10_250):
            yield self.told(USDC_MINT, "ArbStableAraydium", "raydium")
            yield self.told(USDC_MINT, "ArbStableBraydium_cpmm", "raydium_cpmm", quote=DEEP * bps // 10_000)

    def choices(self):
        """Ties between pools and between pairs; prices of pools of unlike depth; token programs known and unknown."""
        good = reserve_for(90_000, MOST)
        for program in (TOKEN_PROGRAM, SOL_MINT):
            mint, a, b, *_ = self.named()
            yield TokenMintInfo(mint, program, 6, 10**12, None, None, slot=self.slot)
            yield self.told(mint, a, "raydium")
            yield self.told(mint, b, "raydium_cpmm", quote=good)
        mint, a, b, *_ = self.named()
        yield self.told(mint, a, "raydium", quote=DEEP * 9 // 10)
        yield self.told(mint, b, "raydium_cpmm", 3 * DEEP, DEEP * 29 // 10)
        mint, a, b, c, _ = self.named()
        yield self.told(mint, a, "raydium", DEEP)
        yield self.told(mint, b, "raydium", DEEP * 51 // 50)
        yield self.told(mint, c, "raydium_cpmm", quote=good)
        for dexes in (("raydium", "raydium_cpmm", "orca"), ("orca", "meteora_cpmm", "meteora_cpmm")):
            mint, *pools = self.named()
            for pool, dex, sol in zip(pools, dexes, (10**6, 10**6, 103 * 10**4), strict=False):
                yield self.trade(mint, pool, sol, 10**6, dex=dex)
        mint, a, b, *_ = self.named()
        for pool, dex, quote, sol in ((a, "orca", 3_000_000, 10**6), (b, "meteora_dlmm", 5_000_000, 103 * 10**4)):
            yield self.told(mint, pool, dex, quote=quote)
            yield self.trade(mint, pool, sol, 10**6, dex=dex)

    def last_trades(self):
        """Pools known by their last trades alone."""
        for age in (20, 21):
            mint, a, b, *_ = self.named()
            yield self.trade(mint, a, 1_000_000)
            self.slot += age
            yield self.trade(mint, b, 1_030_000, 1_000_000, dex="meteora_dlmm")
            self.slot += 1
            yield self.trade(mint, a, 1_000_000)
            yield self.trade(mint, b, 1_030_000, 1_000_000, dex="meteora_dlmm")
        mint, a, b, *_ = self.named()
        yield self.told(mint, a, "raydium")
        yield self.trade(mint, b, 1_030_000, 1_000_000, dex="meteora_dlmm")

    def triangle(self, gross_bps, middle=DEEP):
        """SOL to M, M to N, N to SOL: the last pool pays so many bps more."""
        mint, a, b, c, _ = self.names = self.named()
        self.other = f"ArbOther{self.count:03d}"
        yield self.told(mint, a, "raydium")
        yield self.told(self.other, b, "raydium_cpmm", quote=DEEP * (10_000 + gross_bps) // 10_000)
        yield self.told(mint, c, "pump_amm", quote=middle, quote_mint=self.other)

    def cycles(self):
        """Three legs and four, moved prices, pauses between two searches."""
        for bps in (170, 190, 230, 260, 300, 400):
            yield from self.triangle(bps)
        for move, later in ((9, 3), (10, 3), (200, 1), (300, 2), (300, 3)):
            yield from self.triangle(100)
            self.slot += later
            yield self.told(self.names[0], self.names[1], "raydium", quote=DEEP * 10_000 // (10_000 + move))
            self.slot += 1
            yield self.told(self.other, self.names[2], "raydium_cpmm", quote=DEEP * (10_000 + 100 + move) // 10_000)
        yield from self.triangle(300)
        yield self.told(self.names[0], self.names[4], "raydium_cpmm", quote=reserve_for(90_000, MOST))
        yield self.told(self.names[0], self.names[1], "raydium")

    def searches(self):
        """Pools without a price, moves at the least, ties between cycles, ways of four legs, a pair before a cycle."""
        for bps in (9, 10, -9, -10):
            yield from self.triangle(100)
            self.slot += 3
            yield self.told(self.other, self.names[2], "raydium_cpmm", quote=DEEP * 10_400 // 10_000)
            yield self.told(self.names[0], self.names[1], "raydium", quote=DEEP * (10_000 + bps) // 10_000)
        yield from self.triangle(100)
        yield self.told(self.names[0], self.names[4], "orca", quote_mint=self.other)
        self.slot += 3
        yield self.told(self.other, self.names[2], "raydium_cpmm", quote=DEEP * 10_400 // 10_000)
        yield self.told(self.names[0], self.names[4], "orca", quote_mint=self.other)
        mint, a, b, c, d = self.named()
        others = [f"ArbOther{self.count:03d}{n}" for n in range(3)]
        for n, other in enumerate(others):
            yield self.told(other, f"{b}{n}", "raydium_cpmm", quote=DEEP * 104 // 100)
            yield self.told(other, f"{c}{n}", "raydium_cpmm", quote=DEEP * 104 // 100)
            yield self.told(mint, f"{d}{n}", "raydium", quote_mint=other)
        self.slot += 2
        yield self.told(mint, a, "raydium")
        mint, a, b, c, d = self.named()
        other = f"ArbOther{self.count:03d}"
        yield self.told(mint, a, "raydium", quote_mint=other)
        yield self.told(mint, b, "pump_amm", quote=DEEP * 11 // 10, quote_mint=other)
        self.slot += 2
        yield self.told(mint, c, "raydium")
        mint, a, b, c, d = self.named()
        dead, near, far = (f"ArbOther{self.count:03d}{word}" for word in ("dead", "near", "far"))
        yield self.told(far, d, "raydium", quote=DEEP * 106 // 100)
        yield self.told(near, c, "raydium", quote_mint=far)
        yield self.told(mint, b, "raydium", quote_mint=dead)
        yield self.told(mint, f"{b}b", "raydium", quote_mint=near)
        self.slot += 2
        yield self.told(mint, a, "raydium")
        mint, a, b, c, d = self.named()
        other = f"ArbOther{self.count:03d}"
        yield self.told(other, a, "raydium", quote=DEEP * 101 // 100)
        yield self.told(mint, b, "pump_amm", quote_mint=other)
        self.slot += 2
        yield self.told(mint, c, "raydium")
        yield self.told(mint, d, "raydium_cpmm", quote=DEEP * 97 // 100)

    def moves(self):
        """A pool whose price moves by nearly, by just the least move since it was searched; a trip that is lost."""
        for bps in (9, 10, -9, -10):
            yield from self.triangle(100)
            for dear, quote in ((10_100, 10_000), (10_400, 10_000 + bps)):
                self.slot += 2
                # all legs anew, so that their slots stay near
                yield self.told(self.names[0], self.names[3], "pump_amm", quote_mint=self.other)
                yield self.told(self.other, self.names[2], "raydium_cpmm", quote=DEEP * dear // 10_000)
                yield self.told(self.names[0], self.names[1], "raydium", quote=DEEP * quote // 10_000)
        yield from self.triangle(0)
        yield self.told(self.names[0], self.names[4], "raydium_cpmm")
        self.slot += 2
        yield self.told(self.names[0], self.names[1], "raydium", quote=DEEP * 97 // 100)

    def ways(self):
        """Ways that lead nowhere, that turn back, that earn alike; quotes that are used up."""
        mint, a, b, c, d = self.named()
        dead, other = (f"ArbOther{self.count:03d}{word}" for word in ("dead", "live"))
        yield self.told(dead, c, "raydium", quote=0)
        yield self.told(other, d, "raydium", quote=DEEP * 104 // 100)
        yield self.told(mint, b, "raydium", quote_mint=dead)
        yield self.told(mint, f"{b}b", "raydium", quote_mint=other)
        yield self.told(mint, f"{b}c", "raydium_cpmm", quote_mint=other)
        self.slot += 2
        yield self.told(mint, a, "raydium")
        mint, a, b, c, d = self.named()
        other = f"ArbOther{self.count:03d}"
        yield self.told(other, a, "raydium", quote=DEEP * 100 // 101)
        yield self.told(mint, b, "raydium", quote_mint=other)
        yield self.told(mint, c, "raydium_cpmm", quote=DEEP * 102 // 100, quote_mint=other)
        self.slot += 2
        yield self.told(mint, d, "raydium")
        mint, a, b, *_ = self.named()
        for n, bps in enumerate((10_000, 10_400)):
            other = f"ArbOther{self.count:03d}{n}"
            yield self.told(other, f"{b}{n}", "raydium_cpmm", quote=DEEP * bps // 10_000)
            yield self.told(mint, f"{b}{n}{n}", "raydium", quote_mint=other)
        self.slot += 2
        yield self.told(mint, a, "raydium")

        mint, a, b, c, d = self.named()
        many, other, *far = (f"ArbOther{self.count:03d}{n}" for n in range(5))
        yield self.told(other, d, "raydium", quote=DEEP * 104 // 100)
        for n, next_mint in enumerate(far):
            yield self.told(many, f"{c}{n}", "raydium", quote_mint=next_mint)
        yield self.told(mint, b, "raydium", quote_mint=many)
        yield self.told(mint, f"{b}b", "raydium", quote_mint=other)
        self.slot += 2
        yield self.told(mint, a, "raydium")

    def distances(self):
        """Pairs of unlike distance, of like return, of no price one way or both."""
        mint, a, b, c, _ = self.named()
        start = self.slot
        for later, pool, dex in ((0, a, "raydium"), (3, b, "raydium_cpmm"), (8, c, "pump_amm")):
            self.slot = start + later
            yield self.told(mint, pool, dex)
        yield self.told(mint, c, "pump_amm", quote=DEEP * 104 // 100)
        mint, one, other, *_ = self.named()
        yield self.told(mint, one, "raydium")
        yield self.told(mint, other, "raydium_cpmm")
        for base, quote in ((DEEP, 0), (DEEP, 1)):
            yield self.told(mint, other, "raydium_cpmm", base, quote)
        yield self.told(mint, one, "raydium", 2 * DEEP, 1)
        mint, low, middle, high, _ = self.named()
        start = self.slot
        gross = 20_000
        least = reserve_for(gross, PROBE, ("raydium", "pump_amm"))
        most = next(base for base in more_than(DEEP) if earned(PROBE, base) >= gross)
        for later in (0, 20):
            self.slot = start + later
            for ago, pool, dex, base, quote in (
                (4, high, "pump_amm", DEEP, least), (2, low, "raydium", DEEP, DEEP), (0, middle, "raydium_cpmm", most, DEEP),
            ):  # fmt: skip
                told = self.told(mint, pool, dex, base, quote)
                yield replace(told, update_slot=start + 4 - ago)

    def small(self):
        """Sizes that earn alike; a loss of a lamport, where that is a bp; a wish that nobody here wished."""
        mint, one, other, *_ = self.named()
        yield self.told(mint, one, "raydium", 45_000_000, 45_000_000)
        yield self.told(mint, other, "raydium_cpmm", 45_000_000, 45_000_000 * 10_557 // 10_000)
        yield TradeIntent(
            source="arb-strategy", tier="Arb", origin_type="StrategyA", required_capital=ExplicitAmount(PROBE, 9),
            resources=TradeResources(SOL_MINT, SOL_MINT, ("ArbElsewhere", one)), expected_roi_bps=0, max_slippage_bps=100,
            side="Buy", regime="NotApplicable", execution=Execution(ExplicitAmount(PROBE, 9)),
        )  # fmt: skip
        yield ConfigUpdate("arb-strategy", {"probe_lamports": "5000"})
        yield from self.pair(reserve_for(-1, 5_000))
        yield ConfigUpdate("arb-strategy", {"probe_lamports": str(PROBE)})

    def side_by_side(self):
        """Two paths at once: what ends or is sent of one leaves the other."""
        good = reserve_for(90_000, MOST)
        for pause, ends in ((12, True), (12, False), (15, False), (16, False)):
            yield from self.again(good)
            one = self.names
            self.slot += 1
            yield ClockTick()
            ask = self.last(SimulateAsk)
            yield from self.again(good)
            other = self.names
            yield ClockTick()
            if ends:
                yield self.simulated("Custom(6001)")
            self.slot += pause - 1
            yield from self.again(good, one)
            yield from self.again(good, other)
            self.slot += 1
            yield from self.again(good)
            yield from self.again(good, one)
            yield from self.again(good, other)
            if self.last(SimulateAsk) > ask and not ends:
                yield from self.under_way(MOST * 2)
            self.slot += 20
            yield from self.again(good, one)
            yield from self.again(good, other)
            self.slot += 90
            yield ClockTick()

    def flights(self):
        """A path is held until its wish has ended; a mint rests after a wish."""
        yield self.kill(active=False)
        good = reserve_for(90_000, MOST)
        for steps in ((12, 1), (14, 1, 1), (15, 1)):
            yield from self.again(good)
            for step in steps:
                self.slot += step
                yield from self.again(good, self.names)
            yield self.simulated("Custom(6001)")
            self.slot += 60
        for status in ("failed", "timeout", None):
            yield from self.again(good)
            yield from self.under_way(MOST * 2)
            self.slot += 20
            yield from self.again(good, self.names)
            if status is not None:
                yield self.ended(status)
                self.slot += 1
                yield from self.again(good, self.names)
            self.slot += 60
            yield ClockTick()

    def again(self, quote, names=None):
        """The two pools told anew, or first."""
        mint, one, other, *_ = self.names = self.named() if names is None else names
        yield self.told(mint, one, "raydium")
        yield self.told(mint, other, "raydium_cpmm", quote=quote)

    def gaps(self):
        """Nothing is wished while records may be missing."""
        yield self.kill(active=True)
        good = reserve_for(90_000, MOST)
        yield from self.pair(good)
        pair = self.names
        yield from self.pair(good, dexes=("raydium", "raydium"))
        same = self.names
        lone = self.named()
        yield self.trade(lone[0], lone[1])
        self.names = pair
        yield GapOpened("geyser", self.slot, None, "drill")
        yield self.trade(lone[0], lone[1])
        yield self.told(same[0], same[1], "raydium")
        yield from self.again(good, self.names)
        yield GapClosed("geyser", self.last(GapOpened), self.slot, filled=False)
        self.slot += 20
        yield self.told(same[0], same[1], "raydium")
        yield self.told(same[0], same[2], "raydium")
        yield self.told(self.names[0], self.names[1], "raydium")
        yield self.told(self.names[0], self.names[2], "raydium_cpmm", quote=good)

    def settings(self):
        """An operator asks for the accounts of PumpSwap pools, and no more."""
        good = reserve_for(90_000, MOST, ("raydium", "pump_amm"))
        self.slot += 60
        yield from self.blind(good)
        for target, value in (("momentum-bot", "true"), ("all", "much"), ("arb-strategy", "true"), ("all", "false")):
            yield ConfigUpdate(target, {"require_pool_accounts": value, "min_profits": "1"})
            yield from self.blind(good)

    def blind(self, quote):
        """Pairs over a PumpSwap pool that tells no accounts, too few, those of another pool, its own."""
        keys = ("ArbKey",) * 13
        for accounts in ((), ("POOL", *keys[1:]), ("ArbKey", *keys), ("POOL", *keys)):
            mint, one, other, *_ = self.named()
            told = tuple(other if key == "POOL" else key for key in accounts)
            yield DexPoolAccounts("pump_amm", other, mint, SOL_MINT, told, slot=self.slot)
            yield DexPoolAccounts("raydium", one, mint, SOL_MINT, told[1:], slot=self.slot)
            yield self.told(mint, one, "raydium")
            yield self.told(mint, other, "pump_amm", quote=quote)
