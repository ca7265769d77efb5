"""Trades whose averages cross and touch: the input of the golden `ema-checks`. The engine refuses every intent.

The scenario names two of the three pools.
"""

from ironcrab.domain.market import Trade
from tests.goldens.driving import Chain

PRICES = (10, 10, 10, 0, 20, 30, 20, 10, 5, 5, 40, 40, 5, 5, 40, 60, 1, 1, 90, 90, 1, 1, 90)
"""Lamports for ten tokens; nought is a trade of nothing."""


def events_of(records):
    """(time in ns, event) of every world record; `records` is what came of them so far."""
    chain = Chain(records)
    yield chain.time, chain.kill(active=True)
    for price in PRICES:
        for pool, tokens in (("EmaPoolA", 10), ("EmaPoolB", 0 if price == 30 else 7), ("EmaPoolC", 10)):
            yield chain.time, Trade(pool, f"{pool}Mint", "EmaWallet", True, price, tokens, 6, "orca", slot=chain.slot)
        chain.slot += 1
