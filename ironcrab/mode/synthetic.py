"""A market that never was: events without end from a seed, with reserves that obey the venues' own mathematics.

Every slot brings trades on the pools that live, each followed by the reserves it left. Coins are launched on a bonding
curve, some rise until they migrate, some are rugged; there are bursts, crashes, forks, gaps of the feed and failed
transactions. All numbers are integers drawn from a counter, so the same parameters give the same bytes anywhere.
"""

from collections.abc import Callable, Iterator
from itertools import count
from struct import unpack
from typing import Annotated

from blake3 import blake3
from msgspec import Meta, Struct

from ironcrab.dex import base58
from ironcrab.dex.curve import BPS, ceil_div, out_for
from ironcrab.dex.pump_curve import Priced
from ironcrab.domain.control import FeedConnected, FeedDisconnected, ForkOrphaned, GapClosed, GapOpened
from ironcrab.domain.event import Event
from ironcrab.domain.market import (
    BondingCurveProgress,
    DevWalletIdentified,
    DexPoolAccounts,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    TransactionDetected,
)
from ironcrab.domain.units import LAMPORTS_PER_SOL, SOL_MINT, TOKEN_PROGRAM

SOURCE = "synthetic"
"""`source` of every event here, and the name of the feed."""
DECIMALS = 6
"""Decimals of every coin."""
CURVE_BASE, CURVE_QUOTE = 1_073_000_000_000_000, 30 * LAMPORTS_PER_SOL
"""Virtual reserves of a new PumpFun curve, raw coins and lamports (the program's initial values)."""
CURVE_SOLD = 793_100_000_000_000
"""Coins that a curve sells until it is complete, raw."""
MIGRATED_BASE = 206_900_000_000_000
"""Coins that a complete curve takes to its PumpSwap pool, raw."""
SUPPLY = 1_000_000_000_000_000
PROGRAMS = {
    "raydium": "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
    "raydium_cpmm": "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C",
    "pump_amm": "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA",
    "pumpfun": "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P",
}
WORDS = 4_096
"""Draws taken out of one hash."""
_NO_ZERO = str.maketrans("0", "g")


def _every(meaning: str) -> Meta:
    return Meta(ge=0, le=10_000_000, description=f"{meaning}; 0: never", extra={"unit": "slots"})


def _bps(meaning: str) -> Meta:
    return Meta(ge=0, le=BPS, description=meaning, extra={"unit": "bps"})


def _number(meaning: str, unit: str, low: int, high: int) -> Meta:
    return Meta(ge=low, le=high, description=meaning, extra={"unit": unit})


class MarketParams(Struct, frozen=True, kw_only=True):
    """The `[market]` table of a scenario: what `ironcrab generate` makes. Unknown keys are errors."""

    events: Annotated[int, _number("events in all", "events", 1, 10**10)] = 100_000
    seed: Annotated[int, _number("the same seed gives the same bytes", "", 0, 2**63 - 1)] = 1
    start_unix: Annotated[int, _number("time of the first slot", "s", 0, 4_000_000_000)] = 1_700_000_000
    start_slot: Annotated[int, _number("number of the first slot", "slots", 1, 2**40)] = 230_000_000
    slot_ms: Annotated[int, _number("length of a slot", "ms", 1, 60_000)] = 400
    venues: tuple[str, ...] = ("raydium", "raydium_cpmm", "pump_amm")
    """Venues that the standing coins have pools on, in turn."""
    coins: Annotated[int, _number("coins that stand from the beginning", "coins", 1, 10_000)] = 20
    pools_per_coin: Annotated[int, _number("pools of each standing coin, on venues in turn", "pools", 1, 4)] = 1
    pool_lamports: Annotated[int, _number("quote reserve of a standing pool", "lamports", 10**9, 10**15)] = 10**12
    trade_lamports: Annotated[int, _number("a usual trade", "lamports", 10_000, 10**12)] = 500_000_000
    trades_per_slot: Annotated[int, _number("transactions of a slot", "trades", 1, 5_000)] = 40
    wallets: Annotated[int, _number("different traders", "wallets", 1, 100_000)] = 2_000
    states: bool = True
    """Whether every trade is followed by the reserves it left."""
    failed_bps: Annotated[int, _bps("share of transactions that fail")] = 500
    arbitrage_bps: Annotated[int, _bps("share of trades that close a gap between pools of a coin")] = 0
    launch_every: Annotated[int, _every("slots between two launches on a bonding curve")] = 100
    launches_alive: Annotated[int, _number("launched coins that trade at a time", "coins", 0, 1_000)] = 12
    rug_bps: Annotated[int, _bps("share of launches, and of migrated coins, that their creator rugs")] = 4_000
    hype_bps: Annotated[int, _bps("share of launches that are bought until they migrate")] = 3_000
    burst_every: Annotated[int, _every("slots between two bursts, in which one pool draws most trades")] = 300
    burst_slots: Annotated[int, _number("length of a burst", "slots", 1, 10_000)] = 20
    crash_at: Annotated[int, _every("slot, counted from the first, at which everybody begins to sell")] = 0
    crash_slots: Annotated[int, _number("length of the crash", "slots", 1, 1_000_000)] = 150
    crash_sells_bps: Annotated[int, _bps("share of sells while it crashes")] = 8_500
    fork_every: Annotated[int, _every("slots between two slots that are orphaned")] = 500
    gap_every: Annotated[int, _every("slots between two gaps of the feed")] = 0
    gap_slots: Annotated[int, _number("length of a gap", "slots", 1, 10_000)] = 30


class Coin(Struct):
    """A coin: its mint, creator, and how it goes.

    Attributes:
        mint: base58.
        creator: its creator's wallet.
        buys: of 1,024 trades how many are buys.
        rug_at: slot in which the creator sells out; 0: never.
        until: slot at which a launched coin falls silent; 0: never.
    """

    mint: str
    creator: str
    buys: int = 512
    rug_at: int = 0
    until: int = 0


class Pool(Struct):
    """A pool: reserves as PoolStateUpdate tells them (of a curve the virtual ones), raw."""

    address: str
    dex: str
    coin: Coin
    base: int
    quote: int


class World:
    """The market at one moment. `next_slot` moves it on by a slot.

    Args:
        params: what is to happen.
    """

    def __init__(self, params: MarketParams) -> None:
        self.params = params
        self.words = draws(params.seed)
        self.slot = params.start_slot
        self.parent = params.start_slot - 1
        self.said = 0
        self.keys = count()
        self.signatures = count()
        self.wallets = [self._key() for _ in range(params.wallets)]
        self.pools: list[Pool] = []
        self.launched: list[Pool] = []
        self.of_coin: dict[str, list[Pool]] = {}
        self.burst: tuple[int, Pool] | None = None
        self.undo: dict[str, tuple[Pool, int, int]] | None = None
        self.to_read: list[Pool] = []
        self.gap: tuple[int, int] | None = None

    @property
    def age(self) -> int:
        """Slots since the first."""
        return self.slot - self.params.start_slot

    def next_slot(self) -> list[Event]:
        """Everything the feed tells of the next slot, in order; nothing while it has a gap."""
        said = self._feed()
        market = self._market()
        if self.gap is None:
            said += market
        self.slot += 1
        self.said += len(said)
        return said

    def _feed(self) -> list[Event]:
        """The feed breaks off, or comes back, says what is missing and reads all pools anew."""
        if self.gap is not None:
            until, opened = self.gap
            if self.age < until:
                return []
            self.gap, self.to_read = None, [*self.pools, *self.launched]
            closed = GapClosed(SOURCE, opened, self.slot - 1, filled=False)
            return [FeedConnected(SOURCE, self.slot), closed]
        if _is_nth(self.age, self.params.gap_every):
            self.gap = self.age + self.params.gap_slots, self.said + 1
            why = "the stream was reset"
            return [FeedDisconnected(SOURCE, why), GapOpened(SOURCE, self.slot, None, why)]
        return [FeedConnected(SOURCE, self.slot)] if not self.age else []

    def _market(self) -> list[Event]:
        """What happens in this slot, whether the feed tells it or not."""
        is_forked = _is_nth(self.age, self.params.fork_every)
        said: list[Event] = [SlotUpdate(self.slot, self.slot, SOURCE, status="processed", parent=self.parent)]
        if not self.age:
            said += self._standing()
        said += [self._state(pool) for pool in self.to_read]
        self.to_read = []
        self.undo = {} if is_forked else None
        if not is_forked:
            said += self._launches()
        self._bursts()
        for index in range(self.params.trades_per_slot):
            said += self._transaction(index)
        if is_forked:
            said += self._orphaned()
        else:
            self.parent = self.slot
        return said

    # coins and pools

    def _standing(self) -> list[Event]:
        """The pools that stand from the beginning."""
        params, said = self.params, list[Event]()
        for number in range(params.coins):
            coin, base = Coin(self._key(), self._key()), SUPPLY // 10 + next(self.words) % (SUPPLY // 2)
            said += self._coin_told(coin)
            for place in range(params.pools_per_coin):
                dex = params.venues[(number + place) % len(params.venues)]
                pool = Pool(self._key(), dex, coin, base, params.pool_lamports)
                self.pools.append(pool)
                said += self._born(pool)
        return said

    def _coin_told(self, coin: Coin) -> list[Event]:
        share = str(1 + next(self.words) % 9)
        return [
            TokenMintInfo(coin.mint, TOKEN_PROGRAM, DECIMALS, SUPPLY, slot=self.slot, source=SOURCE),
            DevWalletIdentified(coin.mint, coin.creator, share, slot=self.slot, source=SOURCE),
        ]

    def _born(self, pool: Pool) -> list[Event]:
        """A pool comes into being: created, its accounts, its reserves."""
        mint = pool.coin.mint
        self.of_coin.setdefault(mint, []).append(pool)
        sol = 0 if pool.dex == "pumpfun" else pool.quote // LAMPORTS_PER_SOL
        accounts = (pool.address, self._key(), self._key(), mint, SOL_MINT, *(self._key() for _ in range(9)))
        created = PoolCreated(
            pool.address,
            mint,
            SOL_MINT,
            pool.dex,
            str(sol),
            self.slot,
            SOURCE,
            signature=self._signature(),
            index=0,
            position=0,
            creator=pool.coin.creator,
        )
        told = DexPoolAccounts(pool.dex, pool.address, mint, SOL_MINT, accounts, self.slot, SOURCE)
        return [created, told, self._state(pool)]

    def _state(self, pool: Pool) -> Event:
        slot, mint = self.slot, pool.coin.mint
        return PoolStateUpdate(
            pool.address, pool.dex, pool.base, pool.quote, mint, SOL_MINT, slot, None, None, slot, SOURCE
        )

    def _launches(self) -> list[Event]:
        """Coins fall silent, creators sell out, new coins are launched."""
        params, said = self.params, list[Event]()
        for pool in [pool for pool in self.launched if pool.coin.until and pool.coin.until <= self.slot]:
            self.launched.remove(pool)
            if self.burst is not None and self.burst[1] is pool:
                self.burst = None
            del self.of_coin[pool.coin.mint]
        for pool in self.launched:
            if pool.coin.rug_at and pool.coin.rug_at <= self.slot:
                said += self._rug(pool)
        if _is_nth(self.age + 1, params.launch_every) and len(self.launched) < params.launches_alive:
            word = next(self.words)
            coin = Coin(self._key(), self._key(), 480, until=self.slot + 400 + word % 800)
            mood = (word >> 16) % BPS
            if mood < params.rug_bps:
                coin.buys, coin.rug_at = 660, self.slot + 40 + (word >> 32) % 160
            elif mood < params.rug_bps + params.hype_bps:
                coin.buys, coin.until = 700, self.slot + 3_000
            pool = Pool(self._key(), "pumpfun", coin, CURVE_BASE, CURVE_QUOTE)
            self.launched.append(pool)
            said += [*self._coin_told(coin), *self._born(pool)]
        return said

    def _rug(self, pool: Pool) -> list[Event]:
        """The creator leaves: he sells into a curve, or takes the liquidity out of a pool; then everybody sells."""
        coin = pool.coin
        coin.rug_at, coin.buys, coin.until = 0, 200, self.slot + 150
        if pool.dex == "pumpfun":
            return self._trade(pool, (pool.quote - CURVE_QUOTE) // 2, coin.creator, 0, is_buy=False)
        gone = pool.quote * 9 // 10, pool.base * 9 // 10
        pool.quote, pool.base = pool.quote - gone[0], pool.base - gone[1]
        removed = LiquidityRemoved(
            pool.address, coin.mint, *gone, self._signature(), self.slot, SOURCE, index=0, position=0
        )
        return [removed, self._state(pool)]

    def _bursts(self) -> None:
        if self.burst is not None and self.burst[0] <= self.slot:
            self.burst = None
        if _is_nth(self.age, self.params.burst_every):
            live = self.launched or self.pools
            self.burst = self.slot + self.params.burst_slots, live[next(self.words) % len(live)]

    # transactions

    def _transaction(self, index: int) -> list[Event]:
        """One transaction: it fails, closes a gap between two pools, or trades on one."""
        params, word, luck = self.params, next(self.words), next(self.words)
        pool = self._picked(word)
        if luck % BPS < params.failed_bps:
            return [TransactionDetected(self._signature(), PROGRAMS[pool.dex], self.slot, SOURCE)]
        trader = self.wallets[(word >> 32) % len(self.wallets)]
        if (luck >> 16) % BPS < params.arbitrage_bps:
            said = self._arbitrage(pool.coin, trader, index)
            if said:
                return said
        lamports = params.trade_lamports * (1 + (luck >> 32) % 1_000) // 500
        if not (luck >> 42) & 63:
            lamports *= 8
        buys = pool.coin.buys
        if params.crash_at and 0 <= self.age - params.crash_at < params.crash_slots:
            buys = 1_024 * (BPS - params.crash_sells_bps) // BPS
        # where most of the supply lies in the pool, nobody is left who could sell
        is_buy = (luck >> 48) & 1_023 < buys or pool.base > SUPPLY * 9 // 10
        return self._trade(pool, min(lamports, pool.quote // 16), trader, index, is_buy=is_buy)

    def _picked(self, word: int) -> Pool:
        """The pool that a transaction is about; in a slot to be orphaned nothing happens that cannot be undone."""
        if self.undo is None:
            if self.burst is not None and word & 3:
                return self.burst[1]
            if self.launched and (word >> 2) & 1:
                return self.launched[(word >> 3) % len(self.launched)]
        return self.pools[(word >> 3) % len(self.pools)]

    def _arbitrage(self, coin: Coin, trader: str, index: int) -> list[Event]:
        """Buy where the coin is cheapest and sell where it is dearest, about half of the gap; [] where none pays."""
        pools = self.of_coin[coin.mint]
        cheap = min(pools, key=lambda pool: pool.quote * SUPPLY // pool.base)
        dear = max(pools, key=lambda pool: pool.quote * SUPPLY // pool.base)
        gap_bps = (dear.quote * cheap.base * BPS) // (cheap.quote * dear.base) - BPS
        if gap_bps < 100:
            return []
        lamports = min(cheap.quote, dear.quote) * min(gap_bps, 1_000) // BPS // 8
        signature = self._signature()
        bought = self._trade(cheap, lamports, trader, index, is_buy=True, within=(signature, 0))
        return [*bought, *self._trade(dear, lamports, trader, index, is_buy=False, within=(signature, 1))]

    def _trade(
        self,
        pool: Pool,
        lamports: int,
        trader: str,
        index: int,
        *,
        is_buy: bool,
        within: tuple[str, int] | None = None,
    ) -> list[Event]:
        """A trade of about this size, the reserves it left, and what it means for a curve; [] where nothing moves."""
        if self.undo is not None and pool.address not in self.undo:
            self.undo[pool.address] = pool, pool.base, pool.quote
        before = pool.base
        quote, base, lp, protocol, creator = VENUES[pool.dex](pool, is_buy, lamports)
        if not quote or not base:
            return []
        signature, position = within or (self._signature(), 0)
        mint = pool.coin.mint
        trade = Trade(
            pool.address,
            mint,
            trader,
            is_buy,
            quote,
            base,
            DECIMALS,
            pool.dex,
            SOL_MINT,
            signature,
            pool.coin.creator,
            TOKEN_PROGRAM,
            self.slot,
            SOURCE,
            None,
            index,
            position,
            lp,
            protocol,
            creator,
        )
        said: list[Event] = [trade, self._state(pool)] if self.params.states else [trade]
        return said if pool.dex != "pumpfun" else [*said, *self._curve(pool, before)]

    def _curve(self, pool: Pool, before: int) -> list[Event]:
        """How far a curve is sold, where that moved by a percent; a complete one migrates."""
        sold = [(CURVE_BASE - base) * BPS // CURVE_SOLD for base in (before, pool.base)]
        complete = pool.base <= CURVE_BASE - CURVE_SOLD
        if not complete and sold[0] // 100 == sold[1] // 100:
            return []
        coin = pool.coin
        progress = BondingCurveProgress(coin.mint, pool.address, min(sold[1], BPS), complete, self.slot, SOURCE)
        if not complete:
            return [progress]
        moved = Pool(self._key(), "pump_amm", coin, MIGRATED_BASE, pool.quote - CURVE_QUOTE)
        coin.buys, coin.until = 505, self.slot + 2_000
        coin.rug_at = self.slot + 200 if next(self.words) % BPS < self.params.rug_bps else 0
        # a scenario may let standing coins trade on a curve, too
        listed = self.launched if pool in self.launched else self.pools
        listed[listed.index(pool)] = moved
        if self.burst is not None and self.burst[1] is pool:
            self.burst = self.burst[0], moved
        self.of_coin[coin.mint].remove(pool)
        return [progress, *self._born(moved)]

    def _orphaned(self) -> list[Event]:
        """This slot leaves the chain: its reserves stand as before, and are read anew in the next slot."""
        assert self.undo is not None
        for pool, base, quote in self.undo.values():
            pool.base, pool.quote = base, quote
            self.to_read.append(pool)
        dead = SlotUpdate(self.slot, self.slot, SOURCE, status="dead", parent=self.parent)
        return [dead, ForkOrphaned(self.slot, "the cluster went on without it")]

    def _key(self) -> str:
        return base58.encode(blake3(b"key %d %d" % (self.params.seed, next(self.keys))).digest())

    def _signature(self) -> str:
        """88 base58 characters of a number with 512 bits, never the same twice."""
        text = blake3(b"%d %d" % (self.params.seed, next(self.signatures))).hexdigest(length=44)
        return "2" + text[1:].translate(_NO_ZERO)


def events(params: MarketParams) -> Iterator[tuple[int, Event]]:
    """(time, event) pairs without end; each slot's spread evenly over its length."""
    world = World(params)
    length = params.slot_ms * 1_000_000
    for slot in count():
        said = world.next_slot()
        start = params.start_unix * 1_000_000_000 + slot * length
        pace = length // (len(said) or 1)
        for place, event in enumerate(said):
            yield start + place * pace, event


def draws(seed: int) -> Iterator[int]:
    """64-bit numbers without end: number n is the n-th word of blake3 over the seed and a counter of blocks."""
    for block in count():
        yield from unpack(f"<{WORDS}Q", blake3(b"draw %d %d" % (seed, block)).digest(length=8 * WORDS))


def _is_nth(age: int, every: int) -> bool:
    return every > 0 and age > 0 and age % every == 0


# One function a venue: pool, whether it is a buy, about how many lamports -> (quote, base, LP, protocol, creator fee),
# and the pool's reserves afterwards. Amounts are what entered and left the reserves, as a Trade tells them.

Fill = tuple[int, int, int | None, int | None, int | None]


def _amount_in(pool: Pool, lamports: int, *, is_buy: bool) -> tuple[int, int, int]:
    """(amount in, reserve in, reserve out) of a trade of this size."""
    if is_buy:
        return lamports, pool.quote, pool.base
    return lamports * pool.base // pool.quote, pool.base, pool.quote


def _raydium(pool: Pool, is_buy: bool, lamports: int) -> Fill:
    """Raydium AMM V4: 25 bps off the amount in, rounded up, stay in the pool."""
    paid, reserve_in, reserve_out = _amount_in(pool, lamports, is_buy=is_buy)
    fee = ceil_div(paid * 25, BPS)
    got = out_for(paid - fee, reserve_in, reserve_out)
    return _moved(pool, paid, got, (fee, None, None), is_buy=is_buy)


def _raydium_cpmm(pool: Pool, is_buy: bool, lamports: int) -> Fill:
    """Raydium CPMM, config 0: 25 bps off the amount in, of which 12 % (protocol) and 4 % (fund) leave the reserves."""
    paid, reserve_in, reserve_out = _amount_in(pool, lamports, is_buy=is_buy)
    fee = ceil_div(paid * 25, BPS)
    got = out_for(paid - fee, reserve_in, reserve_out)
    protocol = fee * 12 // 100
    kept = paid - protocol - fee * 4 // 100
    return _moved(pool, kept, got, (fee - protocol, protocol, None), is_buy=is_buy)


def _pump_amm(pool: Pool, is_buy: bool, lamports: int) -> Fill:
    """PumpSwap: 20 bps for LPs stay in the pool, 5 for the protocol and 5 for the creator leave it."""
    priced = Priced(pool.base, pool.quote, 20, 5, 5)
    if is_buy:
        base, net, lp, protocol, creator = priced.spend(lamports)
        return _moved(pool, net + lp, base, (lp, protocol, creator), is_buy=True)
    sold = lamports * pool.base // pool.quote
    gross, _ = priced.sell(sold)
    lp, protocol, creator = priced.fees(gross)
    return _moved(pool, sold, gross - lp, (lp, protocol, creator), is_buy=False)


def _pumpfun(pool: Pool, is_buy: bool, lamports: int) -> Fill:
    """PumpFun: 95 bps for the protocol and 30 for the creator beside the reserves; a sell takes what was paid in."""
    priced = Priced(pool.base, pool.quote, 0, 95, 30)
    if is_buy:
        base, net, lp, protocol, creator = priced.spend(lamports)
        left = pool.base - (CURVE_BASE - CURVE_SOLD)
        if base > left:
            base, net = left, ceil_div(left * pool.quote, pool.base - left) + 1
            lp, protocol, creator = priced.fees(net)
        return _moved(pool, net, base, (lp, protocol, creator), is_buy=True)
    sold = min(lamports, pool.quote - CURVE_QUOTE) * pool.base // pool.quote
    gross, _ = priced.sell(sold)
    return _moved(pool, sold, gross, priced.fees(gross), is_buy=False)


def _moved(
    pool: Pool, entered: int, left: int, fees: tuple[int | None, int | None, int | None], *, is_buy: bool
) -> Fill:
    """Put the amounts through the reserves, where both move."""
    if entered <= 0 or left <= 0:
        return 0, 0, *fees
    if is_buy:
        pool.quote, pool.base = pool.quote + entered, pool.base - left
        return entered, left, *fees
    pool.base, pool.quote = pool.base + entered, pool.quote - left
    return left, entered, *fees


VENUES: dict[str, Callable[[Pool, bool, int], Fill]] = {
    "raydium": _raydium,
    "raydium_cpmm": _raydium_cpmm,
    "pump_amm": _pump_amm,
    "pumpfun": _pumpfun,
}
"""The mathematics of each venue that trades here."""
