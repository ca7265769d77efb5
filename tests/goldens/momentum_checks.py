"""Our own market that meets every gate, exit and phase of momentum: the input of the golden `momentum-checks`.

World records only; the script is driven once through the loop that records it, as in `engine_checks`, and reads the
seq of each ask from there. Every case has a mint and a pool of its own. A case of a threshold stands three times: at
its edge, one unit below and one above. A flow is a row of trades `(slots later, wallet, lamports, tokens)`; a sell
has negative lamports; tokens default to as many.

A quote of a last trade takes the fee off what goes in. So a position of HELD units whose last trade moved NET units
is quoted exactly the lamports of that trade.
"""

from msgspec.structs import replace

from ironcrab.domain.ask import SendAsk, SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate, ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.market import (
    BondingCurveProgress,
    DevWalletIdentified,
    DexPoolAccounts,
    ExplicitAmount,
    LiquidityRemoved,
    PoolCacheUpdate,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
)
from ironcrab.domain.trade import Execution, TradeIntent, TradeResources
from ironcrab.domain.units import SOL_MINT, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, USDC_MINT
from tests.goldens.driving import Chain

HELD = 10_000
NET = 9_970
"""What is left of HELD after the fee of 30 bps that a last trade's quote takes on Orca."""

EIGHT = tuple((0, who, 2_000) for who in (1, 2, 3, 4, 5, 1, 2, 6))
"""Eight buys of six wallets, the sixth last, so that only the last trade is enough: all gates pass."""


def events_of(records):
    """(time in ns, event) of every world record; `records` is what came of them so far."""
    script = Script(records)
    for act in (script.early, script.shapes, script.established, script.gaps, script.positions):
        for event in act():
            yield script.time, event


def switched_events_of(records):
    """The same for the other settings: gates off under EARLY, exits by reserves alone, a whole position at once."""
    script = Script(records)
    for event in script.switched():
        yield script.time, event


class Script(Chain):
    """What the world says, act by act."""

    def __init__(self, records):
        super().__init__(records)
        self.count = 0

    # words

    def named(self):
        """The next case's mint and pool."""
        self.count += 1
        return f"MomMint{self.count:03d}", f"MomPool{self.count:03d}"

    def told(self, mint, pool, dex="orca", liquidity=50_000, authorities=(None, None), program=TOKEN_PROGRAM):
        """Reserves and the mint's account; None: nothing is told."""
        if liquidity is not None:
            yield self.reserves(mint, pool, liquidity, dex=dex)
        if authorities is not None:
            yield TokenMintInfo(mint, program, 6, 10**12, *authorities, slot=self.slot)

    def reserves(self, mint, pool, quote, base=1_000_000, dex="orca"):
        return PoolStateUpdate(pool, dex, base, quote, mint, SOL_MINT, self.slot, slot=self.slot)

    def trade(self, mint, pool, who, sol, tokens=None, dex="orca", **more):
        tokens = abs(sol) if tokens is None else tokens
        return Trade(pool, mint, f"MomWallet{who}", sol > 0, abs(sol), tokens, 6, dex, slot=self.slot, **more)

    def flow(self, mint, pool, trades, **more):
        for later, *trade in trades:
            self.slot += later
            yield self.trade(mint, pool, *trade, **more)

    def case(self, trades=EIGHT, wait=5, before=(), **told):
        """A pool is told, ages `wait` slots, and is traded."""
        mint, pool = self.named()
        yield from self.told(mint, pool, **told)
        self.slot += wait
        for make in before:
            yield make(mint, pool)
        yield from self.flow(mint, pool, trades, dex=told.get("dex", "orca"))
        self.slot += 1

    # acts: gates

    def early(self):
        """Gates of a young pool; the engine refuses what passes them."""
        yield WalletSnapshotComplete("MomWallet", (), slot=self.slot)
        yield self.kill(active=True)
        for trades in FLOWS.values():
            yield from self.case(trades)
        for trades in REPEATS:
            yield from self.case(trades, wait=4)
        for liquidity in (None, 49_999, 50_000, 50_001):
            yield from self.case(liquidity=liquidity)
        for wait in (4, 5, 6):
            yield from self.case(wait=wait)
        for authorities in (None, ("MomAuthority", None), (None, "MomAuthority")):
            yield from self.case(authorities=authorities)
        for program in (TOKEN_2022_PROGRAM, SOL_MINT):
            yield from self.case(program=program)
        for supply in ("19.99", "20.00", "20.01", "much"):
            yield from self.case(before=(self.dev_told(supply),))
        yield from self.creators()
        yield from self.removals()
        yield from self.venues()
        yield from self.reconsidered()
        yield from self.rested()

    def dev_told(self, supply):
        return lambda mint, _: DevWalletIdentified(mint, "MomWallet9", supply, slot=self.slot)

    def creators(self):
        """The creator sells: told before or after, by a trade or by an event."""
        for later in (4, 5, 6):
            sell_first = ((0, 9, -100), (later, 1, 2_000), *EIGHT[1:])
            yield from self.case(sell_first, before=(self.dev_told("1"),))
        mint, pool = self.named()
        yield from self.told(mint, pool)
        self.slot += 5
        yield self.trade(mint, pool, 8, -100, creator="MomWallet9")
        yield self.trade(mint, pool, 9, -100)
        yield from self.flow(mint, pool, EIGHT[:-1])
        yield self.dev_told("much")(mint, pool)
        yield from self.flow(mint, pool, ((4, 6, 2_000), (1, 6, 2_000)))
        mint, pool = self.named()
        yield from self.told(mint, pool)
        self.slot += 5
        yield from self.flow(mint, pool, ((0, 9, -100), *EIGHT[:-1]))
        self.slot += 3
        yield self.dev_told("2")(mint, pool)
        self.slot += 1
        yield from self.flow(mint, pool, EIGHT[-1:])
        self.slot += 1
        yield self.dev_told("2")(mint, pool)

    def removals(self):
        """Liquidity is removed before the first trade, after it, of another pool of the mint, of too little."""
        for wait in (19, 20, 21):
            mint, pool = self.named()
            yield from self.told(mint, pool)
            yield LiquidityRemoved(pool, mint, 100, 1, slot=self.slot)
            self.slot += wait
            yield from self.flow(mint, pool, EIGHT)
        for removed in (99, 100, 101):
            mint, pool = self.named()
            yield from self.told(mint, pool)
            self.slot += 5
            yield from self.flow(mint, pool, EIGHT[:3])
            yield LiquidityRemoved(pool, mint, removed, 1, slot=self.slot)
            yield from self.flow(mint, pool, EIGHT[3:])
        mint, pool = self.named()
        yield from self.told(mint, pool)
        yield LiquidityRemoved("MomElsewhere", mint, 100, 1)
        yield LiquidityRemoved("MomElsewhere", mint, 100, 1, slot=self.slot - 9)
        self.slot += 15
        yield from self.flow(mint, pool, EIGHT)

    def venues(self):
        """What a route needs: accounts, a creator, a curve that is not sold out, a price, SOL."""
        for accounts in (("MomKey",) * 14, ("POOL", *("MomKey",) * 12), ("POOL", *("MomKey",) * 13)):
            mint, pool = self.named()
            told = tuple(pool if key == "POOL" else key for key in accounts)
            yield DexPoolAccounts("pump_amm", pool, mint, SOL_MINT, told, slot=self.slot)
            yield from self.told(mint, pool, dex="pump_amm")
            self.slot += 5
            yield from self.flow(mint, pool, EIGHT, dex="pump_amm")
        for creator, complete in ((None, False), ("MomWallet9", False), ("MomWallet9", True)):
            mint, pool = self.named()
            yield from self.told(mint, pool, dex="pumpfun", liquidity=None)
            yield BondingCurveProgress(mint, pool, 5_000, complete, slot=self.slot)
            self.slot += 5
            yield from self.flow(mint, pool, EIGHT, dex="pumpfun", creator=creator)
        for trades in (tuple((*trade, 0) for trade in EIGHT), tuple((*trade, 10**12) for trade in EIGHT)):
            yield from self.case(trades)
        yield from self.case(tuple((later, who, sol * 10**6, 1) for later, who, sol in EIGHT))
        yield from self.case(tuple((later, who, 9_025, 1) for later, who, _ in EIGHT))
        mint, pool = self.named()
        yield from self.flow(mint, pool, EIGHT[:2], quote_mint=USDC_MINT)
        yield from self.flow(USDC_MINT, "MomPoolUsdc", EIGHT[:2])
        yield PoolCreated("MomPoolUsdt", mint, USDC_MINT, "orca", "1", slot=self.slot)

    def reconsidered(self):
        """A word that is no trade lets a pool pass, or not."""
        mint, pool = self.named()
        yield PoolCreated(pool, mint, SOL_MINT, "orca", "0.00005", slot=self.slot, creator="MomWallet9")
        self.slot += 5
        yield from self.flow(mint, pool, ((0, 9, -100), *EIGHT))
        yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**12, None, None, slot=self.slot)
        yield from self.flow(mint, pool, ((5, 6, 2_000),))
        yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**12, None, None, slot=self.slot)
        mint, pool = self.named()
        yield from self.told(mint, pool, liquidity=49_000)
        self.slot += 5
        yield from self.flow(mint, pool, EIGHT)
        yield self.reserves(mint, pool, 50_000)
        self.slot += 1
        yield self.reserves(mint, pool, 49_000)
        yield self.reserves(mint, pool, 50_000)

        yield self.trade(mint, pool, 9, -100)
        for supply in ("much", "1"):
            mint, pool = self.named()
            yield from self.told(mint, pool)
            self.slot += 5
            yield from self.flow(mint, pool, ((0, 9, 100), (0, 8, -100), (0, 9, -100), *EIGHT[:4]))
            yield self.dev_told(supply)(mint, pool)
            yield from self.flow(mint, pool, EIGHT[4:])
        mint, pool = self.named()
        yield from self.told(mint, pool)
        self.slot += 5
        yield from self.flow(mint, pool, ((0, 9, 100), (0, 8, -100), *EIGHT[:4]))
        yield self.dev_told("1")(mint, pool)
        yield from self.flow(mint, pool, EIGHT[4:])
        mint, pool = self.named()
        yield from self.told(mint, pool)
        self.slot += 4
        yield from self.flow(mint, pool, EIGHT)
        self.slot += 1
        yield self.trade("MomMintOther", pool, 3, 2_000)

    def rested(self):
        """A refused pool is judged again 30 s later, by a trade, a word about its creator, its reserves."""
        for later in (74, 75):
            mint, pool = self.named()
            yield from self.told(mint, pool)
            self.slot += 5
            yield from self.flow(mint, pool, EIGHT)
            yield ClockTick()
            self.slot += later
            yield self.dev_told("1")(mint, pool)
            yield self.reserves(mint, pool, 49_000)
            yield from self.flow(mint, pool, EIGHT)
            yield self.reserves(mint, pool, 50_000)
        for slot, time in ((None, 0), (self.slot - 3, 3)):
            mint, pool = self.named()
            yield from self.told(mint, pool)
            self.slot += 5
            late = self.slot - time
            sell = self.trade(mint, pool, 9, -100, creator="MomWallet9")
            yield replace(sell, slot=None if slot is None else late)
            yield from self.flow(mint, pool, EIGHT[:-1])
            yield self.dev_told("1")(mint, pool)
            yield from self.flow(mint, pool, ((3, 6, 2_000), (1, 6, 2_000), (1, 6, 2_000)))
        mint, pool = self.named()
        yield from self.told(mint, pool)
        self.slot += 5
        yield self.trade(mint, pool, 9, -100)
        self.slot += 1
        yield self.trade(mint, pool, 8, -100, creator="MomWallet8")
        self.slot += 1
        yield self.trade(mint, pool, 9, -100)
        yield from self.flow(mint, pool, EIGHT[:-1])
        yield self.dev_told("1")(mint, pool)
        yield from self.flow(mint, pool, ((4, 6, 2_000), (1, 6, 2_000)))

    # acts: shapes

    def shapes(self):
        """Trends and dumps, each at its edges."""
        for trades in SHAPES.values():
            yield from self.case(trades)
        key = "early_price_trend_recovery_min_positive_buckets"
        yield ConfigUpdate("momentum-bot", {key: "7"})
        for trades in (SHAPES["recovers"], RISEN):
            yield from self.case(trades)
        yield ConfigUpdate("momentum-bot", {key: "2"})

    def established(self):
        """The same gates under the other regime's values, and the slot at which a pool changes regime."""
        pools = [self.named() for _ in OLD]
        for mint, pool in pools:
            yield from self.told(mint, pool, liquidity=60_000)
        self.slot += 298
        for (mint, pool), trades in zip(pools, OLD.values(), strict=True):
            self.slot += 1
            yield from self.flow(mint, pool, trades)
        for liquidity in (59_999, 60_001):
            yield from self.case(EIGHT, 300, liquidity=liquidity)
        mint, pool = pools[-1]
        self.slot += 40
        yield from self.flow(mint, pool, (*DUMP, (5, 1, 10)))
        self.slot += 1
        yield self.reserves(mint, pool, 59_000)
        yield from self.flow(mint, pool, ((0, 1, 100),))
        yield self.reserves(mint, pool, 60_000)
        for supply in ("10.00", "10.01"):
            yield from self.case(EIGHT, 300, before=(self.dev_told(supply),), liquidity=60_000)
        for authorities in (None, ("MomAuthority", None), (None, "MomAuthority")):
            yield from self.case(EIGHT, 300, authorities=authorities, liquidity=60_000)
        for later in (9, 10):
            sell_first = ((0, 9, -100), (later, 1, 2_000), *EIGHT[1:])
            yield from self.case(sell_first, 300, before=(self.dev_told("1"),), liquidity=60_000)

    def gaps(self):
        """While a feed's gap is open, and until it has left the longest window."""
        mint, pool = self.named()
        yield from self.told(mint, pool)
        self.slot += 5
        yield from self.flow(mint, pool, EIGHT[:4])
        yield GapOpened("geyser", self.slot, None, "drill")
        yield from self.flow(mint, pool, EIGHT[4:])
        yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**12, None, None, slot=self.slot)
        yield self.dev_told("1")(mint, pool)
        gap = self.last(GapOpened)
        self.slot += 2
        yield GapClosed("geyser", gap, self.slot, filled=False)
        for later in (19, 1, 1):
            mint, pool = self.named()
            yield from self.told(mint, pool)
            self.slot += later
            yield from self.flow(mint, pool, EIGHT)
        yield GapOpened("geyser", self.slot, self.slot, "drill")
        mint, pool = self.named()
        yield from self.told(mint, pool, liquidity=49_000)
        self.slot += 21
        yield from self.flow(mint, pool, EIGHT)
        yield GapOpened("geyser", self.slot - 40, self.slot - 30, "drill")
        yield self.dev_told("1")(mint, pool)
        yield self.reserves(mint, pool, 50_000)

        mint, pool = self.named()
        self.slot += 60
        yield from self.told(mint, pool)
        self.slot += 5
        yield from self.flow(mint, pool, (*EIGHT[:-1], (0, 20, -15_000), *EIGHT[-1:]))
        yield ForkOrphaned(self.slot, "drill")
        self.slot += 1
        yield self.reserves(mint, pool, 50_000)
        yield from self.flow(mint, pool, EIGHT)

    # acts: positions

    def bought(self, paid=HELD, got=HELD, trades=EIGHT, **told):
        """A position in a new mint: (mint, pool) are the newest names."""
        yield from self.case(trades, **told)
        yield from self.filled(paid, got)

    def gone(self):
        """The wallet says that nothing is held any more."""
        self.slot += 1
        yield WalletBalanceSnapshot(self.mint, 0, 6, TOKEN_PROGRAM, slot=self.slot)

    @property
    def mint(self):
        return f"MomMint{self.count:03d}"

    @property
    def pool(self):
        return f"MomPool{self.count:03d}"

    def positions(self):
        yield self.kill(active=False)
        self.slot += 100
        yield SlotUpdate(self.slot, slot=self.slot)
        for trades in EXITS.values():
            yield from self.bought()
            yield from self.flow(self.mint, self.pool, trades)
            yield from self.gone()
        yield from self.hard_exits()
        yield from self.curves()
        yield from self.held_too_long()
        yield from self.guards()
        yield from self.scale_ins()
        yield from self.retries()
        yield from self.endings()
        yield from self.marks()
        yield from self.elsewhere()
        yield from self.tidying()

    def hard_exits(self):
        """Liquidity removed and the creator's sell, in the slot of the entry and after it."""
        for later in (0, 1):
            yield from self.bought()
            self.slot += later
            yield LiquidityRemoved(self.pool, self.mint, 100, 1, slot=self.slot)
            yield from self.gone()
            yield from self.bought(before=(self.dev_told("1"),))
            yield from self.flow(self.mint, self.pool, ((later, 9, -100, 100), (1, 3, 100)))
            yield from self.gone()

    def curves(self):
        for progress in (8_999, 9_000, 9_001):
            mint, pool = self.named()
            yield BondingCurveProgress(mint, pool, 5_000, False, slot=self.slot)
            yield from self.told(mint, pool, dex="pumpfun", liquidity=None)
            self.slot += 5
            yield from self.flow(mint, pool, EIGHT, dex="pumpfun", creator="MomWallet9")
            yield from self.filled(HELD, HELD)
            self.slot += 1
            yield BondingCurveProgress(mint, pool, progress, False, slot=self.slot)
            yield from self.gone()

    def held_too_long(self):
        """Low velocity ends it after 20 s, the cap after 40 s; eight trades in 8 s are not low."""
        for trades in (
            (),
            tuple((0, 20 + n, 1_000, 1_000) for n in range(7)),
            tuple((0, 20 + n, 1_000) for n in range(8)),
        ):
            yield from self.bought()
            self.slot += 40
            yield from self.flow(self.mint, self.pool, trades)
            self.slot += 9
            yield SlotUpdate(self.slot, slot=self.slot)
            self.slot += 1
            yield SlotUpdate(self.slot, slot=self.slot)
            self.slot += 30
            yield from self.gone()
        yield from self.bought()
        for later in (19, 20, 20, 20, 20, 1):
            self.slot += later
            yield from self.flow(self.mint, self.pool, tuple((0, 20 + n, 1_000) for n in range(8)))
        yield from self.gone()

    def guards(self):
        """Quotes that may not decide."""
        yield from self.bought()
        yield from self.flow(self.mint, self.pool, ((0, 3, 100, 100), (1, 3, 100, 100)))
        yield from self.gone()
        yield from self.bought()
        self.slot += 1
        yield GapOpened("geyser", self.slot, self.slot, "drill")
        yield SlotUpdate(self.slot, slot=self.slot)
        yield PoolCacheUpdate("POOL_REMOVED", self.pool, "orca", self.mint, SOL_MINT, 0, 0, self.slot)
        yield SlotUpdate(self.slot, slot=self.slot)
        yield from self.gone()
        self.slot += 21
        mint, _ = self.named()
        yield from self.told(mint, TOKEN_PROGRAM)
        self.slot += 5
        yield from self.flow(mint, TOKEN_PROGRAM, EIGHT)
        yield from self.filled(HELD, HELD)
        yield from self.flow(mint, TOKEN_PROGRAM, ((1, 3, 100),))
        yield from self.gone()
        for keys in (
            ("MomKey",) * 13,
            ("BASE", *("MomKey",) * 12),
            (SOL_MINT, *("MomKey",) * 12),
            ("BASE", SOL_MINT, *("MomKey",) * 11),
        ):
            mint, pool = self.named()
            accounts = (pool, *(mint if key == "BASE" else key for key in keys))
            yield DexPoolAccounts("pump_amm", pool, mint, SOL_MINT, accounts, slot=self.slot)
            yield from self.told(mint, pool, dex="pump_amm")
            self.slot += 5
            yield from self.flow(mint, pool, EIGHT, dex="pump_amm")
            yield from self.filled(HELD, HELD)
            yield from self.flow(mint, pool, ((1, 3, 100, 100),), dex="pump_amm")
            yield self.reserves(mint, pool, 50_000, base=50_000, dex="pump_amm")
            yield from self.gone()
        for later in (0, 1):
            yield from self.bought(dex="raydium", liquidity=1_000_000)
            self.slot += 1
            yield self.reserves(self.mint, self.pool, 1_000_000, dex="raydium")
            yield from self.flow(self.mint, self.pool, ((later, 3, 100),), dex="raydium")
            self.slot += 1
            yield SlotUpdate(self.slot, slot=self.slot)
            yield self.reserves(self.mint, self.pool, 1_000_000, dex="raydium")
            yield from self.gone()

    def scale_ins(self):
        """The rest is bought once the probe earns more than 5 % and all gates pass, within 4 s of its fill."""
        large = tuple((later, who, 10 * sol) for later, who, sol in EIGHT)
        for later, price in ((1, 10_500), (1, 10_501), (9, 10_501), (10, 10_501), (12, 10_501), (13, 10_501)):
            yield from self.bought(trades=large)
            yield from self.flow(self.mint, self.pool, ((later, 3, price, NET),))
            yield ClockTick()
            if self.last(SimulateAsk) > self.last(SendAsk):
                yield from self.filled(30_000, 28_000)
                yield from self.flow(
                    self.mint, self.pool, ((0, 3, 11_500, NET), (1, 3, 11_500, NET), (1, 3, 10_000, NET))
                )
            yield from self.gone()
        # a dump refuses the scale-in, too: not at the limit, and for two seconds
        yield ConfigUpdate("momentum-bot", {"terminal_secs": "2"})
        for sold, later in ((20_000, 1), (20_001, 4), (20_001, 5)):
            yield from self.bought(trades=large)
            yield from self.flow(self.mint, self.pool, ((0, 3, -sold, sold * NET // 10_400), (later, 3, 10_600, NET)))
            yield ClockTick()
            if self.last(SimulateAsk) > self.last(SendAsk):
                yield from self.filled(30_000, 28_000)
            yield from self.gone()
        yield ConfigUpdate("momentum-bot", {"terminal_secs": "30"})
        for error in (None, "Custom(6001)"):
            yield from self.bought(trades=large)
            yield from self.flow(self.mint, self.pool, ((1, 3, 10_600, NET),))
            yield ClockTick()
            if error is None:
                yield from self.flow(self.mint, self.pool, ((1, 3, 10_700, NET), (1, 3, 6_000, NET)))
                yield from self.filled(10_000, 6_000)
            else:
                yield self.simulated(error)
                yield from self.flow(self.mint, self.pool, ((1, 3, 10_600, NET), (20, 3, 9_500, NET)))
            yield from self.gone()

    def retries(self):
        """A sell that fails is tried again after 2 s, 4 s, 8 s, 16 s and 16 s."""
        yield from self.bought()
        yield from self.flow(self.mint, self.pool, ((5, 3, 6_000, NET),))
        for pause in (5, 10, 20, 40, 40):
            yield from self.under_way()
            yield self.ended("failed")
            self.slot += pause - 1
            yield SlotUpdate(self.slot, slot=self.slot)
            self.slot += 1
            yield SlotUpdate(self.slot, slot=self.slot)
        yield from self.filled(4_000, 2_400)
        yield SlotUpdate(self.slot, slot=self.slot)
        yield from self.filled(6_000, 3_600)
        self.slot += 24
        yield from self.flow(self.mint, self.pool, EIGHT)
        yield from self.flow(self.mint, self.pool, ((1, 6, 2_000),))
        yield from self.gone()

    def endings(self):
        """Every bad end of a buy and of a sell, answers that come late, fills that are not told."""
        for ended in ("failed", "timeout"):
            yield from self.case()
            yield from self.under_way()
            yield self.ended(ended)
            yield from self.bought()
            yield from self.flow(self.mint, self.pool, ((5, 3, 6_000, NET),))
            yield from self.under_way()
            yield self.ended(ended)
            self.slot += 6
            yield from self.gone()
        yield from self.case()
        yield ClockTick()
        yield self.simulated("Custom(6001)")
        for paid, got, more in (
            (HELD, None, {}), (HELD, 0, {}), (None, HELD, {"wallet_sol_delta_lamports": -10_500}), (None, HELD, {}), (0, HELD, {}), (HELD, HELD, {"slot": None}),
        ):  # fmt: skip
            yield from self.case()
            yield from self.filled(paid, got, **more)
            yield from self.flow(self.mint, self.pool, ((1, 3, 9_000, NET), (1, 3, 7_500, NET)))
            yield from self.gone()
        yield from self.bought()
        yield WalletBalanceSnapshot(self.mint, 0, 6, TOKEN_PROGRAM, slot=self.slot)
        yield from self.gone()
        yield from self.overdue()

    def overdue(self):
        """A wish without an answer is given up after 20 s; a fill that comes later still counts."""
        for side in ("buy", "sell"):
            if side == "buy":
                yield from self.case()
                self.slot -= 1
            else:
                yield from self.bought()
                yield from self.flow(self.mint, self.pool, ((5, 3, 6_000, NET),))
            yield from self.under_way()
            self.slot += 50
            yield SlotUpdate(self.slot, slot=self.slot)
            self.slot += 1
            yield SlotUpdate(self.slot, slot=self.slot)
            if side == "buy":
                self.slot += 74
                yield from self.flow(self.mint, self.pool, EIGHT)
                first = self.last(SendAsk)
                yield from self.under_way()
                self.newest[SendAsk], second = first, self.last(SendAsk)
                yield self.ended("confirmed", HELD, HELD)
                self.newest[SendAsk] = second
                yield self.ended("confirmed", HELD, HELD)
            yield from self.gone()

    def marks(self):
        """Late trades, trades in the slot of the entry, trades without a slot, and slots that a fork took."""
        for trades in MARKS.values():
            yield from self.bought()
            for later, price, more in trades:
                self.slot += later
                if price:
                    yield replace(self.trade(self.mint, self.pool, 3, price, NET), **more)
                else:
                    yield ForkOrphaned(self.slot - more["ago"], "drill")
            yield from self.gone()

    def elsewhere(self):
        """Other pools of a mint that is being bought or held, other mints meanwhile, others' wishes."""
        yield from self.case()
        held, other = self.mint, f"{self.pool}b"
        yield from self.told(held, other)
        self.slot -= 1
        yield from self.under_way()
        yield self.trade(held, other, 3, 2_000)
        yield self.reserves(held, other, 60_000)
        yield self.ended("confirmed", HELD, HELD)
        self.slot += 1
        yield self.trade(held, other, 3, 2_000)
        yield self.reserves(held, other, 60_000)
        yield from self.case(liquidity=49_000)
        yield self.dev_told("1")(held, other)
        yield self.wish("Sell", 4_000, held, other, source="other")
        yield from self.filled(4_000, 4_000)
        yield self.wish("Sell", 3_000, held, other)
        yield from self.filled(3_000, 3_000)
        yield self.wish("Buy", 5_000, held, other, source="other")
        yield from self.filled(5_000, 5_000)
        yield self.wish("Buy", 5_000, held, other)
        yield from self.filled(5_000, 5_000)
        for pool in ("told", None):
            mint, address = self.named()
            yield from self.told(mint, address)
            yield self.trade(mint, address, 3, 2_000)
            told = {} if pool is None else {"pool_address": address}
            yield self.wish("Buy", 5_000, mint, address, metadata={"dex": "orca", **told})
            yield from self.filled(5_000, 5_000)
            yield self.wish("Sell", 5_000, mint, address, source="other")
            yield from self.filled(5_000, 5_000)
        self.slot += 1
        yield WalletBalanceSnapshot(held, 0, 6, TOKEN_PROGRAM, slot=self.slot)

    def wish(self, side, raw, mint, pool, source="momentum-bot", **more):
        """An intent that the world says."""
        paid = (SOL_MINT, mint) if side == "Buy" else (mint, SOL_MINT)
        told = {"metadata": {"dex": "orca", "pool_address": pool}, **more}
        return TradeIntent(
            source=source, tier="Tier1", origin_type="StrategyA", required_capital=ExplicitAmount(raw, 9 if side == "Buy" else 6),
            resources=TradeResources(*paid, (pool,)), expected_roi_bps=50, max_slippage_bps=300, side=side, regime="Early",
            execution=Execution(ExplicitAmount(1, 6 if side == "Buy" else 9)), **told,
        )  # fmt: skip

    def tidying(self):
        """A pool that was silent for 90 s is forgotten each 60 s; one that is held is not."""
        yield from self.bought()
        yield from self.flow(self.mint, self.pool, ((15, 3, 9_000, NET),))
        yield from self.under_way()
        waiting = self.mint, self.pool
        self.slot += 200
        yield SlotUpdate(self.slot, slot=self.slot)
        rows = [self.named() for _ in range(3)]
        # the first slot of the second that it is due in: ticks of silent seconds then come no earlier
        self.slot += -((self.time - self.tidied() - 60 * 10**9) // 400_000_000)
        yield SlotUpdate(self.slot, slot=self.slot)
        start = self.slot
        for row in rows:
            yield from self.told(*row, liquidity=60_000)
        for later, row in zip((74, 1, 1), rows, strict=True):
            self.slot += later
            yield self.trade(*row, 3, 2_000)
        for _ in range(2):
            start += 150
            self.slot = start
            yield SlotUpdate(self.slot, slot=self.slot)
        for row in rows:
            yield self.trade(*row, 3, 2_000)
        yield self.trade(*waiting, 3, 9_000, NET)
        yield self.ended("failed")

    def tidied(self):
        """When momentum looked for silent rows last: at the first tick 60 s after it did before."""
        due = last = 0
        for record in self.records:
            if isinstance(record.event, ClockTick | SlotUpdate) and record.time >= due:
                last, due = record.time, record.time + 60 * 10**9
        return last

    # the other settings

    def switched(self):
        """Gates that are off, measures of nothing, windows of no width, rows forgotten beyond sixteen."""
        yield WalletSnapshotComplete("MomWallet", (), slot=self.slot)
        yield self.kill(active=True)
        for trades in OFF.values():
            yield from self.case(trades, wait=0, liquidity=None, authorities=None)
        mint, pool = self.named()
        yield from self.flow(mint, pool, ((0, 1, 2_000),))
        for _ in range(16):
            other = self.named()
            yield self.trade(*other, 1, 2_000)
        yield PoolCreated(pool, mint, SOL_MINT, "orca", "1", slot=self.slot)
        yield LiquidityRemoved("MomElsewhere", "MomMintGone", 1, 1, slot=0)
        yield self.trade("MomMintGone", "MomPoolGone", 1, 2_000)
        pools = [self.named() for _ in range(3 + len(WIDTHS))]
        for mint, pool in pools:
            yield from self.told(mint, pool)
        self.slot += 502
        yield from self.flow(*pools[0], NINE)
        self.slot += 1
        yield from self.flow(*pools[1], NINE)
        yield from self.flow(*pools[2], (*NINE[:7], NINE[8]))
        for names, trades in zip(pools[3:], WIDTHS.values(), strict=True):
            yield from self.flow(*names, trades)
        yield self.kill(active=False)
        yield from self.reserves_alone()

    def reserves_alone(self):
        """No exit by a last trade; a fade of trades of nothing, since the slot of the entry."""
        for trades in FADES.values():
            yield from self.case(((0, 1, 2_000),), wait=0, dex="raydium", liquidity=1_000_000)
            yield from self.filled(HELD, HELD)
            for later, sol, tokens in trades:
                self.slot += later
                trade = self.trade(self.mint, self.pool, 3, sol, tokens, dex="raydium")
                yield replace(trade, sol_amount=0 if abs(sol) == 1 else abs(sol))
            self.slot += 6
            yield self.reserves(self.mint, self.pool, 1_000_000, dex="raydium")
            yield from self.gone()
        yield from self.case(((0, 1, 2_000),), wait=0)
        yield from self.filled(HELD, HELD)
        yield from self.flow(self.mint, self.pool, ((1, 3, 100), (60, 3, 100)))
        yield from self.gone()
        # the second fill is of an older slot than the first: its fade begins earlier
        yield ConfigUpdate("momentum-bot", {"reentry_cooldown_secs": "0"})
        yield from self.case(((0, 1, 2_000), (0, 3, 50_000)), wait=0)
        before = self.slot - 2
        yield from self.filled(HELD, HELD)
        yield from self.flow(self.mint, self.pool, ((6, 3, 100),))
        yield from self.gone()
        yield from self.flow(self.mint, self.pool, ((0, 3, 100),))
        yield from self.filled(HELD, HELD, slot=before)
        yield from self.flow(self.mint, self.pool, ((6, 3, -20_000),))
        yield from self.gone()


def buys(*rows):
    """(wallet, lamports) in one slot."""
    return tuple((0, *row) for row in rows)


def sells(count, lamports):
    """So many sells of other wallets in one slot."""
    return tuple((0, 20 + n, -lamports) for n in range(count))


def shifted(trades, later):
    """The first trade, then `later` slots, then the others."""
    return (trades[0], (later, *trades[1][1:]), *trades[2:])


SIXTH = EIGHT[-1:]
HALF_SMALL = buys((1, 2_000), (2, 2_000), (3, 2_000), (4, 2_000), (1, 999), (2, 999), (5, 999))
TOP_ONE = ((2, 1_200), (2, 1_200), (3, 2_400), (4, 2_400), (5, 2_400), (1, 4_000))
TOP_THREE = ((1, 2_500), (1, 2_500), (2, 2_500), (2, 2_500), (4, 2_000), (5, 2_000))
REPEATS = tuple((*buys(*((who, 2_000) for who in (*range(2, most), 2, 3))), (1, 1, 2_000)) for most in (10, 11, 12))
"""Two of nine, ten and eleven wallets buy twice; the pool is too young until the last buy."""

FLOWS = {
    "eight": EIGHT,
    "one buyer more": (*EIGHT[:-1], (0, 7, 2_000), EIGHT[-1]),
    "one buyer fewer": (*EIGHT[:-1], (0, 1, 2_000)),
    "one trade fewer": EIGHT[1:],
    "oldest in the window": shifted(EIGHT, 20),
    "oldest out of the window": shifted(EIGHT, 21),
    "buys of trades at the least": (*EIGHT[:-1], (0, 3, 2_000), *sells(6, 100), *SIXTH),
    "buys of trades below it": (*EIGHT[:-1], (0, 3, 2_000), *sells(7, 100), *SIXTH),
    "small buys at the cap": (*HALF_SMALL, (0, 6, 999)),
    "small buys above it": (*HALF_SMALL, (0, 5, 999), (0, 6, 999)),
    "no small buys": (*HALF_SMALL, (0, 5, 1_000), (0, 6, 999)),
    "six buys are enough": (*buys((1, 2_000), (2, 2_000), (3, 999), (4, 999), (5, 999)), *sells(2, 100), (0, 6, 999)),
    "small buys left the window": (*buys((7, 999), (8, 999)), (21, 1, 2_000), *HALF_SMALL[1:], (0, 6, 999)),
    "a buy left it that was not small": ((0, 7, 1_000), (21, 1, 2_000), *HALF_SMALL[1:], (0, 5, 999), (0, 6, 999)),
    "one wallet at the cap": buys(*TOP_ONE, (1, 4_000), (6, 2_400)),
    "one wallet above it": buys(*TOP_ONE, (1, 4_001), (6, 2_400)),
    "one wallet below it": buys(*TOP_ONE, (1, 3_999), (6, 2_400)),
    "three wallets at the cap": buys(*TOP_THREE, (3, 4_000), (6, 2_000)),
    "three wallets above it": buys(*TOP_THREE, (3, 4_001), (6, 2_000)),
    "three wallets below it": buys(*TOP_THREE, (3, 3_999), (6, 2_000)),
    "repeats below it": (*EIGHT[:5], *buys((1, 2_000), (1, 2_000), (6, 2_000))),
    "inflow at the least": (*EIGHT[:-1], (0, 20, -11_000), *SIXTH),
    "inflow below it": (*EIGHT[:-1], (0, 20, -11_001), *SIXTH),
    "inflow above it": (*EIGHT[:-1], (0, 20, -10_999), *SIXTH),
    "oldest inflow in the window": (EIGHT[0], (15, *EIGHT[1][1:]), *EIGHT[2:-1], (0, 20, -11_000), *SIXTH),
    "oldest inflow out of it": (EIGHT[0], (16, *EIGHT[1][1:]), *EIGHT[2:-1], (0, 20, -11_000), *SIXTH),
    "a dump at the limit": (*EIGHT[:3], (0, 20, -20_000), *EIGHT[3:]),
    "a dump above it": (*EIGHT[:3], (0, 20, -20_001), *EIGHT[3:]),
    "a buy above it": (*EIGHT[:3], (0, 5, 20_001), *EIGHT[3:]),
    "waits for inflow, then one wallet holds too much": (
        *EIGHT[:-1], (0, 20, -12_000), *SIXTH, (1, 3, 500), (1, 7, 20_000),
    ),
    "waits for inflow, then three wallets hold too much": (
        *EIGHT[:-1], (0, 20, -15_000), *SIXTH, (1, 1, 2_000), (1, 2, 2_000), (1, 3, 3_000),
    ),
}  # fmt: skip
"""Gates of the flow under EARLY, by what the case is about."""


def aged(*rows, then=(), last=6):
    """Buys by age at the last of them: (age, tokens, count) or with lamports (a sell below zero), oldest first.

    Wallets below `last` take turns, that one trades last; `then` follows one slot apart, with these tokens.
    """
    trades, before = [], rows[0][0]
    for age, tokens, count, *sol in rows:
        for _ in range(count):
            trades.append((before - age, 1 + len(trades) % (last - 1), *(sol or (2_000,)), tokens))
            before = age
    later, _, sol, tokens = trades[-1]
    return (*trades[:-1], (later, last, sol, tokens), *((1, last, 2_000, tokens) for tokens in then))


def falling(*tokens):
    """Three buys in each of the four buckets."""
    ages = (17, 12, 7, 0)
    return aged(*((age, price, 3) for age, price in zip(ages, tokens, strict=True)))


BEST = (40, 1_000, 1)
"""The session's dearest price, out of every window."""


def recovering(third=2_500, second=2_400, first=2_300, sells=4, sold=200, then=(2_300, 2_300, 2_300)):
    """A fall from the session's best that recovers since two buckets: of buys at the least, of inflow at the least."""
    sales = (2, first * sold // 2_000, 1, -sold), (2, first // 10, sells - 1, -200)
    return aged(BEST, (17, 2_000, 4), (12, third, 2), (7, second, 3), (2, first, 2), *sales, (0, first, 1), then=then)


SHAPES = {
    "prices fall to the least rise": falling(2_000, 2_060, 2_130, 2_200),
    "prices fall less": falling(2_000, 2_060, 2_130, 2_199),
    "prices fall, two alike": falling(2_000, 2_130, 2_130, 2_300),
    "one trade too few for a trend": falling(2_000, 2_060, 2_130, 2_200)[1:],
    "the middle belongs to the newer half": aged(BEST, (15, 2_000, 4), (10, 2_200, 7), (0, 2_000, 1)),
    "medians fall to the least rise": aged((17, 2_000, 6), (7, 2_200, 4), (2, 2_000, 1), (0, 2_600, 1)),
    "medians fall less": aged((17, 2_000, 6), (7, 2_199, 4), (2, 2_000, 1), (0, 2_600, 1)),
    "the last price fell less": aged((17, 2_000, 6), (7, 2_200, 4), (2, 2_000, 1), (0, 2_599, 1)),
    "trades of nothing are no samples": aged((17, 2_000, 5), (17, 0, 1), (7, 2_200, 4), (2, 2_000, 1), (0, 2_600, 1)),
    "recovers": recovering(),
    "recovers with too few buys": recovering(sells=5),
    "recovers with too little inflow": recovering(sold=210),
    "does not recover, newest alike": recovering(second=2_300),
    "does not recover, older alike": recovering(third=2_400),
    "a dump": aged((12, 2_000, 10), (0, 1_000, 3, -1_000), (0, 500, 3, 500)),
    "as much sold as bought": aged((12, 2_000, 10), (0, 500, 3, -500), (0, 500, 3, 500)),
    "a little more sold": aged((12, 2_000, 10), (0, 500, 2, -500), (0, 501, 1, -501), (0, 500, 3, 500)),
    "a dump, recovered at the least": (
        *aged((12, 2_000, 10), (0, 1_000, 3, -1_000), (0, 500, 3, 500)),
        (1, 20, -2), *buys((1, 1), (2, 1), (3, 3_500)), (1, 1, 1), (1, 1, 1), (1, 1, 1),
    ),
    "sold and bought five times": aged((12, 2_000, 10), (0, 1_000, 3, -1_000), (0, 500, 2, 500)),
}  # fmt: skip
"""Trends and dumps under EARLY."""

RISEN = aged(BEST, (17, 2_500, 2), (12, 2_000, 4), (10, 2_400, 5), (7, 2_300, 1), (0, 2_200, 2), then=(2_200,))
"""The medians of all four buckets recover, while that of the newer half lies above the older one's."""

BOUGHT = buys(*((who, 2_000) for who in (1, 2, 3, 1, 2, 3, 1, 2)))
DUMP = (*BOUGHT, (10, 20, -600), (0, 21, -600), (0, 1, 100), (0, 2, 100), (0, 4, 100))
"""Eight buys, and ten slots later three buys and two sells of more: a dump under ESTABLISHED, whose window is 2 s."""

OLD = {
    "one slot young": EIGHT[:4],
    "old": EIGHT[:4],
    "four wallets": buys((1, 2_000), (2, 2_000), (3, 2_000), (1, 2_000), (2, 2_000), (4, 2_000)),
    "three wallets": buys((1, 2_000), (2, 2_000), (3, 2_000), (1, 2_000), (2, 2_000), (3, 2_000)),
    "four wallets, one large": buys((1, 9_000), (2, 1_000), (3, 1_000), (1, 9_000), (2, 1_000), (4, 1_000)),
    "trades too few": buys((1, 2_000), (2, 2_000), (3, 2_000), (1, 2_000), (4, 2_000)),
    "five small buys": (*buys((1, 499), (2, 499), (3, 499), (3, 9_000)), *sells(2, 1), (0, 4, 499)),
    "four small buys": (*buys((1, 499), (2, 499), (3, 499)), *sells(3, 1), (0, 4, 499)),
    "five wallets, waiting for inflow": (
        *buys((1, 500), (2, 500), (3, 500)), (0, 20, -500), (0, 4, 500), (1, 5, 500), (0, 1, 1_000), (1, 1, 1_000),
    ),
    "a single sell at the limit": ((0, 1, 2_000), (0, 20, -30_000)),
    "a single sell above it": ((0, 1, 2_000), (0, 20, -30_001)),
    "oldest inflow in the window": ((0, 1, 2_000), (30, 2, 500), *buys((3, 500), (1, 500), (2, 500)), (0, 20, -2_500), (0, 4, 500)),
    "shares at the caps": (*buys((1, 2_500), (1, 2_500), (2, 1_000), (3, 1_000), (4, 1_000)), (0, 20, -6_500), (0, 5, 2_000)),
    "small buys at the cap": (*buys((1, 499), (2, 499), (3, 499), (1, 3_000)), *sells(2, 1), (0, 4, 2_000)),
    "prices fall, oldest in the window": aged((30, 2_000, 4), (15, 2_300, 4), (0, 2_200, 4), last=4),
    "prices fall to the least rise": aged((25, 2_000, 4), (15, 2_300, 4), (0, 2_100, 4), last=4),
    "the last price fell to the least": aged((25, 2_000, 5), (12, 2_100, 4), (5, 2_000, 1), (0, 2_200, 4), last=4),
    "prices fall, one break": aged((25, 2_000, 4), (15, 2_300, 4), (0, 2_200, 4), last=4),
    "prices fall, two breaks": aged((25, 2_000, 2), (25, 2_200, 2), (15, 2_000, 4), (0, 2_000, 4), last=4),
    "medians all fall": aged(BEST, (25, 2_000, 5), (12, 2_200, 4), (5, 2_000, 1), (0, 2_400, 4), last=4),
    "medians do not all fall": aged(BEST, (25, 2_000, 5), (12, 2_500, 4), (5, 2_000, 1), (0, 2_400, 4), last=4),
    "a dump, forgotten": (*DUMP, (5, 3, 10), (1, 3, 10), (4, 3, 10), (1, 3, 10)),
    "a dump of four trades": (*BOUGHT, (10, 20, -600), (0, 21, -600), (0, 1, 100), (0, 4, 100)),
    "a dump, recovered": (*DUMP, (1, 3, 1_900), (0, 4, 1_000), (1, 1, 10), (1, 1, 10), (1, 1, 10)),
    "a dump, too little inflow after it": (*DUMP, (1, 3, 1_899), (0, 4, 1_000), (1, 1, 0), (1, 1, 0), (1, 1, 0)),
    "a dump, buys at the least": (*DUMP, *sells(2, 1), (1, 3, 4_000), (1, 20, -1), *((1, 1, 10),) * 4),
    "a dump, few trades after it": EIGHT[:1],
}  # fmt: skip
"""Flows under ESTABLISHED, the fourth wallet last; the first pool is still EARLY."""

MARKS = {
    "in the slot of the entry": ((0, 20_000, {}), (11, 11_000, {}), (1, 10_500, {})),
    "a fork, with a trade in the slot of the entry": (
        (0, 20_000, {}), (11, 12_000, {}), (1, 11_000, {}), (1, 0, {"ago": 2}), (1, 10_500, {}),
    ),
    "a fork of the dearest": ((11, 12_000, {}), (1, 11_000, {}), (0, 0, {"ago": 1}), (1, 10_500, {})),
    "a fork of the dearest, then a fall": (
        (11, 12_000, {}), (1, 11_000, {}), (0, 0, {"ago": 1}), (1, 9_990, {}),
    ),
    "a fork of the last": ((11, 11_000, {}), (1, 12_000, {}), (0, 0, {"ago": 0}), (1, 10_800, {})),
    "a fork of all": ((11, 12_000, {}), (0, 0, {"ago": 0}), (1, 9_900, {})),
    "a fork of a later slot": ((11, 12_000, {}), (2, 0, {"ago": 1}), (1, 10_900, {})),
    "by index": ((11, 12_000, {"index": 5}), (0, 13_000, {"index": 3}), (1, 11_500, {})),
    "by position": ((11, 12_000, {"index": 5, "position": 5}), (0, 13_000, {"index": 5, "position": 4}), (1, 11_500, {})),
    "at the same place": ((11, 12_000, {}), (0, 13_000, {}), (1, 11_500, {})),
    "without a slot": ((11, 12_000, {}), (1, 13_000, {"slot": None}), (1, 11_500, {})),
}  # fmt: skip
"""After the fill: (slots later, lamports for NET, changes); a price of 0 is a fork of the slot so many ago."""

NINE = buys(*((1 + n % 6, 2_000) for n in range(9)))

OFF = {
    "one lamport": ((0, 1, 1, 5), (0, 1, 1, 5)),
    "one buyer": ((0, 1, 2_000),),
    "one buyer twice": ((0, 1, 2_000, 0), (0, 1, 2_000)),
    "sells only": ((0, 20, -100), (1, 20, -100)),
    "no trade since": ((0, 1, 0, 0),),
}
"""Flows where every gate is off."""

SIX = buys((1, 2_000), (2, 2_000), (3, 2_000), (4, 2_000), (5, 2_000), (1, 2_000))
WIDTHS = {
    "prices fall slot by slot": (*SIX, (6, 1, 100, 100), (1, 1, 100, 110), (1, 6, 100, 120)),
    "prices rise again slot by slot": (*SIX, (6, 1, 100, 90), (1, 1, 100, 120), (1, 1, 100, 110), (1, 6, 100, 100)),
}
"""Flows over a window that has fewer slots than buckets."""

FADES = {
    "no trade": (),
    "no volume": ((1, 1, 0), (0, -1, 0), (0, -1, 0)),
    "one of no volume": ((1, 1, 0),),
    "in the slot of the entry": ((0, -50_000, 50_000), (1, 100, 100)),
    "after it": ((1, -50_000, 50_000), (1, 100, 100)),
}
"""(slots later, lamports, tokens) after the fill."""

EXITS = {
    "catastrophe at the limit": ((5, 3, 7_000, NET),),
    "catastrophe not reached": ((5, 3, 7_001, NET),),
    "stop at the limit": ((15, 3, 9_000, NET),),
    "stop too early": ((14, 3, 9_000, NET),),
    "stop not reached": ((15, 3, 9_001, NET),),
    "take profit too early": ((4, 3, 15_000, NET),),
    "take profit at the limit": ((5, 3, 15_000, NET),),
    "take profit not reached": ((11, 3, 14_999, NET),),
    "trailing at both limits": ((11, 3, 10_967, NET), (1, 3, 9_970, NET)),
    "trailing, fall not reached": ((11, 3, 10_967, NET), (1, 3, 9_971, NET)),
    "trailing not switched on": ((11, 3, 10_966, NET), (1, 3, 9_969, NET)),
    "fade": ((15, 3, 3_200), (0, 4, 3_199), (0, 5, -9_600, NET)),
    "fade, ratio at the limit": ((15, 3, 3_200), (0, 4, 3_200), (0, 5, -9_600, NET)),
    "fade too early": ((14, 3, 3_200), (0, 4, 3_199), (0, 5, -9_600, NET)),
    "fade, trades too few": ((15, 4, 3_199), (0, 5, -9_600, NET)),
    "fade at the most profit": ((15, 3, 3_000), (0, 4, 3_000), (0, 5, -10_200, NET)),
    "fade above it": ((15, 3, 3_000), (0, 4, 3_000), (0, 5, -10_201, NET)),
    "fade, oldest in the window": ((15, 3, 3_000), (10, 4, 3_000), (0, 5, -9_600, NET)),
    "fade, oldest out of it": ((15, 3, 3_000), (11, 4, 3_000), (0, 5, -9_600, NET)),
}
"""Trades after the fill, by what the case is about."""
