"""A small market that is made, not recorded: pools of constant product whose prices drift apart and come together."""

from ironcrab.domain.market import PoolStateUpdate, TokenMintInfo, Trade
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM, USDC_MINT

START_MS = 1_700_000_000_000
FIRST_SLOT = 250_000_000
SLOT_MS = 400
MINT = "DriftMint111111111111111111111111111111111"
POOLS = {
    "DriftPoolA": ("raydium", MINT, SOL_MINT, 4 * 10**14, 400 * 10**9),
    "DriftPoolB": ("raydium_cpmm", MINT, SOL_MINT, 4 * 10**14, 400 * 10**9),
}
"""Address: dex, base, quote, raw reserves."""
ROUND = {
    "DriftPoolA": ("raydium", MINT, SOL_MINT, 4 * 10**14, 400 * 10**9),
    "DriftPoolU": ("raydium_cpmm", MINT, USDC_MINT, 4 * 10**14, 60_000 * 10**6),
    "DriftPoolS": ("raydium", USDC_MINT, SOL_MINT, 60_000 * 10**6, 400 * 10**9),
}
"""Three pools that close a cycle; no pair."""


class Market:
    """Pools and their prices; `slot` says all pools anew after one of them moved.

    Args:
        pools: as POOLS.
    """

    def __init__(self, pools=POOLS):
        self.pools = {address: list(told) for address, told in pools.items()}
        self.slot = FIRST_SLOT
        self.count = 0

    def opening(self):
        for mint in {told[1]: None for told in self.pools.values()}:
            yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**15, None, None, slot=self.slot)

    def move(self, pool, bps):
        """Somebody trades the price of one pool (quote for base) by about `bps`, along its curve."""
        dex, base_mint, quote_mint, base, quote = self.pools[pool]
        after = quote * (20_000 + bps) // 20_000
        self.pools[pool] = [dex, base_mint, quote_mint, base * quote // after, after]

    def tell(self, pool):
        """A small trade at the price as it is, and the reserves after it."""
        dex, base_mint, quote_mint, base, quote = self.pools[pool]
        self.count += 1
        paid = quote // 4_000
        yield Trade(
            pool, base_mint, f"Trader{self.count % 7}", self.count % 2 == 0, paid, paid * base // quote, 6, dex, quote_mint,
            slot=self.slot, position=self.count,
        )  # fmt: skip
        yield PoolStateUpdate(pool, dex, base, quote, base_mint, quote_mint, self.slot, slot=self.slot)

    def step(self):
        """One slot: every pool says where it stands."""
        self.slot += 1
        for pool in self.pools:
            yield from self.tell(pool)


def time_of(slot):
    return (START_MS + (slot - FIRST_SLOT) * SLOT_MS) * 1_000_000


def events(moves, pools=POOLS):
    """(time, event) of a market in which each move is (pool, bps) or None, one a slot."""
    market = Market(pools)
    for event in market.opening():
        yield time_of(market.slot), event
    for move in moves:
        if move is not None:
            market.move(*move)
        for event in market.step():
            yield time_of(market.slot), event


def drifting(rounds=6, pool="DriftPoolA", apart=60, slots=6, rest=20):
    """Moves: the pool drifts away in a few slots, rests, and comes back."""
    moves = [None] * 5
    for _ in range(rounds):
        moves += [(pool, apart)] * slots + [None] * rest + [(pool, -apart)] * slots + [None] * rest
    return moves
