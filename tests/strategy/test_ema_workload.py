"""The benchmark's workload: 50 instruments, EMA 10/20 cross, 20 orders each; crosses and orders as plain floats give.

The reference is written here once more, from the workload's description alone, in the arithmetic the peers use.
"""

from pathlib import Path

import msgspec
import pytest

from ironcrab.domain.market import Trade
from ironcrab.mode.generating import market_of
from ironcrab.mode.scenario import load
from ironcrab.mode.synthetic import events

EMA = Path(__file__).parents[2] / "scenarios" / "ema.toml"


class Reference:
    """Both averages as floats, by instrument."""

    def __init__(self):
        self.averages, self.orders, self.crosses = {}, {}, 0

    def tick(self, name, price):
        if name not in self.averages:
            self.averages[name] = [price, price, False]
            return
        row = self.averages[name]
        row[0] += (price - row[0]) * 2 / 11
        row[1] += (price - row[1]) * 2 / 21
        if (row[0] > row[1]) != row[2]:
            row[2] = not row[2]
            self.crosses += 1
            if row[2] and self.orders.get(name, 0) < 20:
                self.orders[name] = self.orders.get(name, 0) + 1


@pytest.mark.parametrize("count", [60_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_crosses_and_orders_of_the_shipped_scenario(count):
    strategy = load(EMA).strategies[0]
    ours, reference, said = strategy.kind(strategy.params, None), Reference(), 0
    params = msgspec.structs.replace(market_of(EMA, None, None), events=count)
    for seq, (_, event) in zip(range(count), events(params), strict=False):
        if type(event) is Trade and event.sol_amount and event.token_amount:
            said += len(ours.step(seq, event))
            reference.tick(event.pool_address, event.sol_amount / event.token_amount)
    assert len(reference.averages) == 50
    assert sum(row.crosses for row in ours.state.pools.values()) == reference.crosses > count // 20
    assert {pool: row.orders for pool, row in ours.state.pools.items() if row.orders} == reference.orders
    assert said == sum(reference.orders.values()) == 1_000
