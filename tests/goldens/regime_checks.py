"""Our own market that meets the gates of one regime alone, and sales on other pools: the input of `momentum-regimes`.

Written like `momentum_checks`, whose words it uses: every case has a mint and pools of its own, and a case of a
threshold stands at its edge and beside it. Parameters change on the way, and a second run goes on with them.
"""

from msgspec.structs import replace

from ironcrab.domain.market import (
    SlotUpdate,
    WalletSnapshotComplete,
)
from tests.goldens import momentum_checks
from tests.goldens.momentum_checks import HELD, buys

CANDLE_SLOTS = 5
FEES = {"raydium": 25, "raydium_cpmm": 25, "pump_amm": 100, "pumpfun": 100}


def events_of(records):
    """(time in ns, event) of every world record; `records` is what came of them so far."""
    script = Script(records)
    for act in (script.early, script.quoted, script.established, script.routes):
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

    def routes(self):
        """A position is sold on the pool of its mint that pays most."""
        yield self.kill(active=False)
        for age in (10, 11):
            yield from self.held()
            yield self.worth(10_100)
            self.slot += age
            yield SlotUpdate(self.slot, slot=self.slot)
            yield from self.gone()


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
    "falls out of its base": candles(*BASE, ((3, 2_000, 1_950), (3, 2_000, 2_200), *OUT)),
}
"""Flows under ESTABLISHED, by what the case is about."""
