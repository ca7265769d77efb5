"""Our own market that meets the gates of one regime alone, and sales on other pools: the input of `momentum-regimes`.

Written like `momentum_checks`, whose words it uses: every case has a mint and pools of its own, and a case of a
threshold stands at its edge and beside it. Parameters change on the way, and a second run goes on with them.
"""

from msgspec.structs import replace

from ironcrab.domain.control import ClockTick, ConfigUpdate, ForkOrphaned, GapOpened
from ironcrab.domain.market import (
    BondingCurveProgress,
    DexPoolAccounts,
    LiquidityRemoved,
    SlotUpdate,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
)
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM, USDC_MINT
from ironcrab.market.flow import MOST_TICKS
from tests.goldens import momentum_checks
from tests.goldens.momentum_checks import HELD, buys

CANDLE_SLOTS = 5
FEES = {"raydium": 25, "raydium_cpmm": 25, "pump_amm": 100, "pumpfun": 100}


def events_of(records):
    """(time in ns, event) of every world record; `records` is what came of them so far."""
    script = Script(records)
    acts = (
        script.early, script.quoted, script.established, script.forgotten, script.crowded, script.long_candles,
        script.routes, script.blind, script.idle, script.refused_elsewhere,
        script.settings,
    )  # fmt: skip
    for act in acts:
        for event in act():
            yield script.time, event


class Script(momentum_checks.Script):
    """What the world says, act by act."""

    # words

    def trade(self, mint, pool, who, sol, tokens=None, dex="raydium", **more):
        """A buy may be of nothing."""
        return replace(super().trade(mint, pool, who, sol, tokens, dex, **more), is_buy=sol >= 0)

    def case(self, trades, dev="1", **told):
        """A pool is told, its creator too, and is traded."""
        mint, pool = self.named()
        yield from self.told(mint, pool, **{"dex": "raydium", "liquidity": 1_000_000, **told})
        if dev is not None:
            yield self.dev_told(dev)(mint, pool)
        yield from self.flow(mint, pool, trades, dex=told.get("dex", "raydium"))
        self.slot += 1

    def worth(self, lamports, pool=None, dex="raydium", **more):
        """Reserves with which HELD units are sold for so many lamports."""
        net = HELD * (10_000 - FEES[dex]) // 10_000
        told = self.reserves(self.mint, pool or self.pool, lamports * 10**9 + 10**6, net * 10**9, dex)
        return replace(told, **more)

    def held(self, **told):
        """HELD units for HELD lamports, in a new mint."""
        yield from self.case(FEW, **told)
        yield from self.filled(HELD, HELD)
        self.slot += 1

    # acts

    def early(self):
        """Gates of EARLY: the engine refuses what passes them."""
        yield WalletSnapshotComplete("MomWallet", (), slot=self.slot)
        yield self.kill(active=True)
        for trades in THIN.values():
            yield from self.case(trades)
        for dev in (None, "much"):
            yield from self.case(THIN["half of the buyers in one slot"], dev=dev)
            yield self.dev_told("2")(self.mint, self.pool)
        # of the two largest wallets a quarter is each one's, five eighths are the three largest's
        for one, three in ((10_000, 6_250), (10_000, 6_249), (2_500, 10_000), (2_499, 10_000), (10_000, 10_000)):
            caps = {"early_top1_buyer_share_cap_bps": str(one), "early_top3_buyer_share_cap_bps": str(three)}
            yield ConfigUpdate("momentum-bot", caps)
            yield from self.case(THIN["half of the buyers in one slot"])

    def quoted(self):
        """A buy needs a quote of its size."""
        yield from self.case(FEW, dex="orca")
        yield self.reserves(self.mint, self.pool, 50_000, dex="orca")
        yield from self.case(FEW, liquidity=None)
        yield self.reserves(self.mint, self.pool, 50_000, dex="raydium")
        for base in (6, 12, 13):
            yield from self.case(FEW, liquidity=None)
            yield self.reserves(self.mint, self.pool, 50_000, base, dex="raydium")

    def established(self):
        """Gates of ESTABLISHED: candles, what they rise above, and how much wider and larger the running one is."""
        pools = [self.named() for _ in BREAKOUTS]
        for mint, pool in pools:
            yield from self.told(mint, pool, dex="raydium", liquidity=1_000_000)
        self.slot += 300
        for (mint, pool), trades in zip(pools, BREAKOUTS.values(), strict=True):
            self.slot += CANDLE_SLOTS - self.slot % CANDLE_SLOTS
            yield from self.flow(mint, pool, trades)

    def crowded(self):
        """A window holds so many trades at most: a candle, a buyer and a purchase leave it one after the other."""
        mint, pool = self.named()
        yield from self.told(mint, pool, dex="raydium", liquidity=1_000_000)
        self.slot += 300 + CANDLE_SLOTS - self.slot % CANDLE_SLOTS
        yield ConfigUpdate("momentum-bot", {"established_min_unique_buyers": "3"})
        yield from self.flow(mint, pool, ((0, 1, 10), (0, 2, 10), (CANDLE_SLOTS, 3, 10), (0, 3, 10_000)))
        self.slot += CANDLE_SLOTS
        yield from self.flow(mint, pool, ((0, 1, -1),) * (MOST_TICKS + 1 - 4))
        yield from self.flow(mint, pool, ((0, 1, 1), (0, 2, 1), (0, 4, 1), (0, 1, -1)))
        yield ConfigUpdate("momentum-bot", {"established_min_unique_buyers": "0"})

    def long_candles(self):
        """Candles that the flow remembers few of, and more of them than anyone asks for."""
        yield ConfigUpdate("momentum-bot", {"established_candle_secs": "5", "established_breakout_candles": "64"})
        yield ConfigUpdate("momentum-bot", {"established_breakout_min_candles": "61", "terminal_secs": "0"})
        mint, pool = self.named()
        yield from self.told(mint, pool, dex="raydium", liquidity=1_000_000)
        self.slot += 300 + 12 - self.slot % 12
        for _ in range(80):
            yield from self.flow(mint, pool, ((0, 1, 2_000), (1, 2, 2_000, 1_990)))
            self.slot += 11
        for key, value in (("candle_secs", "2"), ("breakout_candles", "4"), ("breakout_min_candles", "2")):
            yield ConfigUpdate("momentum-bot", {f"established_{key}": value, "terminal_secs": "30"})

    def forgotten(self):
        """Trades that a fork takes out of a candle, and those that the flow lets go while nobody asks."""
        mint, pool = self.named()
        yield from self.told(mint, pool, dex="raydium", liquidity=1_000_000)
        self.slot += 300 + CANDLE_SLOTS - self.slot % CANDLE_SLOTS
        yield from self.flow(mint, pool, candles(*BASE[:3], ((1, 3_000, 2_000),), (CHEAP, SAME)))
        yield ForkOrphaned(self.slot - CANDLE_SLOTS, "drill")
        yield from self.flow(mint, pool, ((0, *SAME), (0, *DEAR)))

        # nobody asks for 400 s: the first trades leave the flow meanwhile
        yield ConfigUpdate("momentum-bot", {"terminal_secs": "400", "established_min_unique_buyers": "3"})
        pools = [self.named() for _ in range(3)]
        for mint, pool in pools:
            yield from self.told(mint, pool, dex="raydium", liquidity=1_000_000)
            yield self.dev_told("1")(mint, pool)
            yield from self.flow(mint, pool, FEW)
        self.slot += 1
        for mint, pool in pools:
            yield from self.flow(mint, pool, ((0, 1, 100_000), (0, 2, 100), (0, 3, 100)))
        self.slot += 960 - self.slot % CANDLE_SLOTS
        for (mint, pool), who in zip(pools, (1, 5, 6), strict=True):
            yield from self.flow(mint, pool, ((0, 8, 10), *((0, 8, -20),) * 30, (0, who, 10), *((0, 8, -20),) * 30))
        self.slot += 50
        for (mint, pool), trades in zip(
            pools, ((), ((0, 1, 10), (0, 2, 10)), ((0, 1, 10), (0, 2, 5_000))), strict=True
        ):
            yield from self.flow(mint, pool, (*trades, (0, 8, -20)))
        yield ConfigUpdate("momentum-bot", {"terminal_secs": "30", "established_min_unique_buyers": "0"})

    # acts: sales

    def other(self, letter, lamports=16_000, dex="raydium", **more):
        """Another pool of the mint, where HELD units fetch so much."""
        return self.worth(lamports, f"{self.pool}{letter}", dex, **more)

    def looked(self):
        """The own pool pays no profit; then time passes."""
        yield self.worth(10_100)
        yield SlotUpdate(self.slot, slot=self.slot)

    def routes(self):
        """A position is sold on the pool of its mint that pays most."""
        yield self.kill(active=False)
        for age in (10, 11):
            yield from self.held()
            yield self.worth(10_100)
            self.slot += age
            yield SlotUpdate(self.slot, slot=self.slot)
            yield from self.gone()
        yield ConfigUpdate("momentum-bot", {"exit_quote_ttl_ms": "200"})
        for age in (1, 2):
            yield from self.held()
            yield self.worth(10_100)
            self.slot += age
            yield SlotUpdate(self.slot, slot=self.slot)
            yield from self.gone()
        yield ConfigUpdate("momentum-bot", {"exit_quote_ttl_ms": "4000"})
        for own, *others in ((10_000, 14_999, 15_000), (15_000, 15_000), (10_000, 15_000, 15_000), (14_000, 13_000)):
            yield from self.held()
            for letter, lamports in zip("bc", others, strict=False):
                yield self.other(letter, lamports)
            yield self.worth(own)
            yield from self.gone()
        yield from self.unfit()
        yield from self.behind()
        yield from self.heard()
        yield from self.curves()
        yield from self.failures()

    def unfit(self):
        """Pools of the mint that a position is not sold on, and what makes them fit."""
        yield from self.held()
        yield self.other("b", quote_mint=USDC_MINT)
        yield from self.looked()
        yield self.other("c", dex="pump_amm")
        yield from self.looked()
        yield self.other("d", dex="pumpfun")
        yield from self.looked()
        yield BondingCurveProgress(self.mint, f"{self.pool}e", 5_000, True, slot=self.slot)
        yield self.other("e", dex="pumpfun")
        yield super().trade(self.mint, f"{self.pool}e", 8, 100, dex="pumpfun", creator="MomWallet9")
        yield from self.looked()
        yield self.other("z")
        yield from self.looked()
        yield from self.gone()
        for keys in (("MomKey",) * 13, (SOL_MINT, "BASE", *("MomKey",) * 11)):
            yield from self.held()
            pool = f"{self.pool}b"
            accounts = (pool, *(self.mint if key == "BASE" else key for key in keys))
            yield DexPoolAccounts("pump_amm", pool, self.mint, SOL_MINT, accounts, slot=self.slot)
            yield self.other("b", dex="pump_amm")
            yield from self.looked()
            yield from self.gone()
        yield from self.held()
        yield self.other("b", dex="pumpfun")
        yield super().trade(self.mint, f"{self.pool}b", 8, 100, dex="pumpfun", creator="MomWallet9")
        yield self.other("b", dex="pumpfun")
        yield from self.looked()
        yield from self.gone()

    def behind(self):
        """Another pool's quote that is old, behind its trades, or a last trade's."""
        for age in (10, 11):
            yield from self.held()
            yield self.other("b")
            self.slot += age
            yield from self.looked()
            yield from self.gone()
        for later in (0, 1):
            yield from self.held()
            yield self.other("b")
            self.slot += later
            yield self.trade(self.mint, f"{self.pool}b", 3, 100)
            yield from self.looked()
            yield from self.gone()
        yield from self.held()
        self.slot -= 1
        yield self.other("b")
        yield self.worth(10_100)
        self.slot += 1
        yield from self.looked()
        yield from self.gone()
        for told in ("true", "false"):
            yield ConfigUpdate("momentum-bot", {"exits_use_last_trade": told})
            yield from self.held()
            yield self.trade(self.mint, f"{self.pool}b", 3, 16_100, HELD, dex="orca")
            yield from self.looked()
            yield self.trade(self.mint, self.pool, 3, 10_100, HELD)
            yield from self.gone()

    def heard(self):
        """A word about another pool is a reason to look, where sales go elsewhere at all."""
        for routed in ("true", "false"):
            yield ConfigUpdate("momentum-bot", {"exit_multi_pool_routing": routed})
            yield from self.held()
            yield self.worth(10_100)
            yield self.trade(self.mint, f"{self.pool}b", 3, 100)
            yield self.other("b")
            yield from self.gone()
        yield ConfigUpdate("momentum-bot", {"exit_multi_pool_routing": "true"})

    def curves(self):
        """A coin on its curve is not sold on PumpSwap, unless the curve is complete or a sale says so."""
        for end in ("told", "unquoted", "6005", "0x1775", "6004"):
            mint, pool = self.named()
            yield self.dev_told("1")(mint, pool)
            yield self.reserves(mint, pool, 10_000 * 10**9, 9_975 * 10**9, "pumpfun")
            yield from self.flow(mint, pool, FEW, dex="pumpfun", creator="MomWallet9")
            yield from self.filled(HELD, HELD)
            self.slot += 1
            yield self.worth(10_100, dex="pumpfun")
            accounts = (f"{pool}b", mint, SOL_MINT, *("MomKey",) * 11)
            yield DexPoolAccounts("pump_amm", f"{pool}b", mint, SOL_MINT, accounts, slot=self.slot)
            if end != "unquoted":
                yield self.other("b", dex="pump_amm")
            yield SlotUpdate(self.slot, slot=self.slot)
            if end in ("told", "unquoted"):
                yield BondingCurveProgress(mint, pool, 5_000, True, slot=self.slot)
                yield SlotUpdate(self.slot, slot=self.slot)
                yield LiquidityRemoved(pool, mint, 100, 1, slot=self.slot)
            else:
                yield LiquidityRemoved(pool, mint, 100, 1, slot=self.slot)
                yield from self.under_way()
                yield self.ended("failed", error_code=f"Custom({end})")
                self.slot += 3
                yield self.worth(10_100, dex="pumpfun")
                yield self.other("b", dex="pump_amm")
                yield LiquidityRemoved(pool, mint, 100, 1, slot=self.slot)
            yield from self.gone()
        yield from self.held()
        yield BondingCurveProgress(self.mint, f"{self.pool}b", 5_000, True, slot=self.slot)
        yield from self.gone()

    def failures(self):
        """A pool on which sales failed is left out for a while; what fails by slippage allows more."""
        for pauses in ((3, 6, 11, 21), (3, 50), (3, 51), (49, 6), (50, 6)):
            yield from self.held()
            for pause in (*pauses, 0):
                yield self.worth(10_100)
                yield self.other("b", 12_000)
                yield LiquidityRemoved(self.pool, self.mint, 100, 1, slot=self.slot)
                if pause:
                    yield from self.under_way()
                    yield self.ended("failed", error_code="Custom(6002)")
                    # the removal counts no more, so that silence tries no sale
                    self.slot += 3
                    yield SlotUpdate(self.slot, slot=self.slot)
                    self.slot += pause - 3
            yield from self.gone()
        for error in ("Custom(6002)", "custom program error: 0x1772", "Custom(6003)", None):
            yield from self.held()
            yield self.worth(10_100)
            yield LiquidityRemoved(self.pool, self.mint, 100, 1, slot=self.slot)
            if error is None:
                yield from self.filled(4_000, 4_000)
            else:
                yield ClockTick()
                yield self.simulated(error)
            self.slot += 3
            yield self.worth(10_100)
            yield LiquidityRemoved(self.pool, self.mint, 100, 1, slot=self.slot)
            yield from self.gone()

    def blind(self):
        """Sales without a quote: at the last trade's price, or, where none is told any more, at what was paid."""
        yield from self.held()
        yield self.trade(self.mint, self.pool, 3, 12_000, HELD)
        yield LiquidityRemoved(self.pool, self.mint, 100, 1, slot=self.slot)
        yield from self.gone()
        yield from self.held()
        yield self.trade(self.mint, self.pool, 3, 12_000, HELD)
        yield GapOpened("geyser", self.slot, self.slot, "drill")
        yield DexPoolAccounts("raydium", self.pool, self.mint, SOL_MINT, ("MomKey",), slot=self.slot)
        yield LiquidityRemoved(self.pool, self.mint, 100, 1, slot=self.slot)
        yield from self.gone()
        self.slot += 160

    def idle(self):
        """A silent pool that is held, and one whose creator sells while it is being bought, are not forgotten."""
        yield ConfigUpdate("momentum-bot", {"idle_secs": "60"})
        yield from self.held()
        yield self.worth(10_100)
        held = self.mint
        for _ in range(4):
            self.slot += 100
            yield SlotUpdate(self.slot, slot=self.slot)
        yield WalletBalanceSnapshot(held, 0, 6, TOKEN_PROGRAM, slot=self.slot)
        yield from self.case(FEW)
        yield from self.under_way()
        start = self.slot
        yield self.trade(self.mint, self.pool, 9, -100)
        for _ in range(3):
            self.slot += 90
            yield SlotUpdate(self.slot, slot=self.slot)
        yield self.ended("confirmed", HELD, HELD, slot=start - 1)
        yield SlotUpdate(self.slot, slot=self.slot)
        yield from self.gone()
        yield ConfigUpdate("momentum-bot", {"idle_secs": "1800"})

    def refused_elsewhere(self):
        """A pool that is refused while its mint is bought and held on another; a mint rests on all its pools."""
        yield self.kill(active=True)
        yield from self.case(FEW)
        yield ClockTick()
        refused = self.slot - 1
        yield self.kill(active=False)
        other = f"{self.pool}b"
        yield from self.told(self.mint, other, dex="raydium", liquidity=1_000_000)
        yield from self.flow(self.mint, other, FEW)
        yield self.trade(self.mint, self.pool, 3, 100)
        yield from self.filled(HELD, HELD)
        yield self.trade(self.mint, self.pool, 3, 100)
        self.slot = refused + 75
        yield self.trade(self.mint, self.pool, 3, 100)
        yield from self.gone()
        yield from self.flow(self.mint, self.pool, FEW)
        self.slot += 25
        yield from self.flow(self.mint, self.pool, FEW)
        # a dump there refuses the other pool meanwhile
        yield self.trade(self.mint, other, 3, -(10**12))
        yield self.trade(self.mint, other, 3, 100)
        yield from self.filled(HELD, HELD)
        yield self.trade(self.mint, other, 3, 100)
        yield from self.gone()
        third = f"{self.pool}c"
        yield from self.told(self.mint, third, dex="raydium", liquidity=1_000_000)
        rested = self.slot + 25
        for slot in (self.slot, rested - 1, rested):
            self.slot = slot
            yield from self.flow(self.mint, third, FEW)
        yield from self.filled(HELD, HELD)
        yield from self.gone()
        # the rest of a mint shortens no refusal of a pool
        yield self.kill(active=True)
        yield from self.case(FEW)
        yield ClockTick()
        yield self.kill(active=False)
        other = f"{self.pool}b"
        yield from self.told(self.mint, other, dex="raydium", liquidity=1_000_000)
        yield from self.flow(self.mint, other, FEW)
        yield from self.filled(HELD, HELD)
        yield from self.gone()
        self.slot += 30
        yield from self.flow(self.mint, self.pool, FEW)

    # acts: parameters

    def settings(self):
        """An operator's wishes, refused and taken, taken back, and kept by a second run."""
        yield ConfigUpdate("arb-strategy", {"probe_buy_bps": "2500"})
        yield ConfigUpdate("all", {"probe_buy_bps": "2500", "exits_use_last_trade": "true"})
        yield ConfigUpdate("momentum-bot", {"early_require_executable_quote": "false", "take_profit_bps": "much"})
        yield from self.case(FEW, dex="orca")
        yield from self.filled(2_500, 2_500)
        yield ConfigUpdate("momentum-bot", {"early_require_executable_quote": "true", "no_such": "1"})
        yield from self.flow(self.mint, self.pool, ((1, 3, 2_800, 2_500), (1, 3, 2_800, 2_500)), dex="orca")
        yield from self.gone()
        yield replace(self.records[0].event, run=1)
        yield from self.case(FEW)
        yield ConfigUpdate("momentum-bot", {"probe_buy_bps": "10000", "exits_use_last_trade": "false"})
        yield from self.case(FEW)
        yield replace(self.records[0].event, run=2)
        yield from self.case(FEW)


def spread(*rows):
    """(wallet, lamports), three in each slot."""
    return tuple((int(n % 3 == 0 and n > 0), *row) for n, row in enumerate(rows))


def washing(lamports):
    """Wallet 1 buys for so many lamports and sells a little; the eighth buy makes it 16,000 in all."""
    others = ((who, 1_800) for who in range(2, 8))
    return (*spread((1, lamports), *others), (0, 1, -100), (1, 8, 16_000 - lamports - 6 * 1_800))


FEW = buys(*((1 + n % 4, 2_000) for n in range(8)))
"""Eight buys of four wallets: too few for the caps of wash trades and of one slot."""
THIN = {
    "four wallets, one washing": (*FEW[:-1], (0, 1, -100), FEW[-1]),
    "five wallets in one slot": (*FEW[:-1], (0, 5, 2_000)),
    "half of the buyers in one slot": spread(*((who, 2_000) for who in (1, 2, 3, 4, 5, 6, 1, 2))),
    "more than half": (*buys((1, 2_000), (2, 2_000), (3, 2_000), (4, 2_000)), *spread(*((who, 2_000) for who in (1, 5, 6, 7)))),
    "less than half": spread(*((who, 2_000) for who in range(1, 9))),
    "a buy too few": spread(*((who, 2_000) for who in range(1, 8))),
    "washed at the cap": washing(3_200),
    "washed above it": washing(3_201),
    "washed below it": washing(3_199),
    "buys of nothing": spread(*((who, 0) for who in (1, 2, 3, 4, 5, 6, 1, 2))),
    "a lamport is washed": (*spread((1, 1), *((who, 0) for who in (2, 3, 4, 5, 6, 1))), (0, 1, -1), (1, 2, 0)),
}  # fmt: skip
"""Flows under EARLY, by what the case is about."""

CANDLE = ((1, 2_000, 2_100), (2, 2_000, 2_000))
"""A range of 500 bps, 4,000 lamports."""
CHEAP, SAME, DEAR = (3, 2_100, 2_150), (4, 1_900, 1_900), (5, 2_100, 2_000)
"""The running candle: 750 bps from CHEAP to DEAR, which is 500 above the base; 8,000 lamports with SAME twice."""
OUT = (CHEAP, SAME, SAME, DEAR)


def candles(*rows):
    """One candle after the other, each of (wallet, lamports, tokens), all in its first slot."""
    trades, later = [], 0
    for row in rows:
        for trade in row:
            trades.append((later, *trade))
            later = 0
        later += CANDLE_SLOTS
    return tuple(trades)


BASE = (CANDLE,) * 4
BREAKOUTS = {
    "breaks out": candles(*BASE, OUT),
    "rises less": candles(*BASE, (CHEAP, SAME, SAME, (5, 10_499, 10_000))),
    "two candles": candles(*BASE[:2], OUT),
    "one candle": candles(*BASE[:1], OUT),
    "a candle of nothing": candles(*BASE[:1], ((1, 2_000, 0),), OUT),
    "two of four": candles(CANDLE, (), CANDLE, (), OUT),
    "a dearer one five candles ago": candles(((1, 3_000, 2_000),), *BASE, OUT),
    "a dearer one four candles ago": candles(((1, 3_000, 2_000),), *BASE[1:], OUT),
    "rises the most": candles(*BASE, (CHEAP, SAME, SAME, (5, 2_400, 2_000))),
    "rises more": candles(*BASE, (CHEAP, SAME, SAME, (5, 240_001, 200_000))),
    "a range too small": candles(*BASE, ((3, 10_000, 10_238), SAME, SAME, DEAR)),
    "a volume too small": candles(*BASE, (CHEAP, SAME, (4, 1_899, 1_899), DEAR)),
    "a base that stood still": candles(*(((1, 2_000, 2_000),),) * 4, OUT),
    "a base that ends in a trade of nothing": candles(*BASE[:3], (*CANDLE, (1, 2_000, 0)), ((3, 2_100, 2_000),) * 4),
    "falls out of its base": candles(*BASE, ((3, 2_000, 1_950), (3, 2_000, 2_200), *OUT)),
}
"""Flows under ESTABLISHED, by what the case is about."""
