"""The strategy nodes, momentum-bot and arb-strategy: they want, and tell market-data which pools they are about."""

import asyncio

from ironcrab.domain.fault import InputFault
from ironcrab.mode.node import Node, tell
from ironcrab.mode.node_tracking import Tracking, positions_of
from ironcrab.mode.scenario import Scenario
from ironcrab.shell.bus import Bus, bucket
from ironcrab.shell.bus_login import Login
from ironcrab.shell.bus_server import POSITIONS, TRACKING
from ironcrab.shell.clock import now_ns
from ironcrab.strategy.arb import Arbitrage
from ironcrab.strategy.momentum import Momentum

TELL_S = 1.0
"""Seconds between two looks at what changed."""
FULL_EVERY = 30
"""Looks between two words that tell all there is: a lost one costs no more."""
MILLI = 1_000_000


class StrategyNode:
    """Folds the log through the strategies that its role speaks for.

    Args:
        role: momentum-bot or arb-strategy.
        scenario: of the set of nodes.

    Raises:
        InputFault: the scenario has no strategy for this role.
    """

    def __init__(self, role: str, scenario: Scenario) -> None:
        self.node = Node(role, scenario)
        if not self.node.hosts:
            raise InputFault(f"scenario {scenario.name} has no strategy for {role}; leave the node out")
        own = [one for one in self.node.wiring.reducers if one.name in self.node.hosts]
        self.told = next((one for one in own if isinstance(one, Momentum | Arbitrage)), None)
        if self.told is not None:
            self.node.beside = (self._tell,)

    async def run(self, login: Login, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Faults of the log come through."""
        await self.node.attend(login, (self._work(stop),))

    async def _tell(self, bus: Bus) -> None:
        """As long as the connection lives: the pools that matter, and momentum's positions in their store."""
        assert self.told is not None
        tracking, looks, stored = Tracking(self.told), 0, dict[str, bytes]()
        if isinstance(self.told, Momentum):
            await bus.keep((bucket(POSITIONS),), "")
            stored = dict.fromkeys(await bus.keys(POSITIONS), b"")
        while True:
            if self.node.is_level:
                word = tracking.message(now_ns() // MILLI, full=looks % FULL_EVERY == 0)
                looks += 1
                if word is not None:
                    await bus.tell(TRACKING[self.node.role], word)
                if isinstance(self.told, Momentum):
                    stored = await self._store(bus, self.told, stored)
            await asyncio.sleep(TELL_S)

    async def _store(self, bus: Bus, momentum: Momentum, stored: dict[str, bytes]) -> dict[str, bytes]:
        """Put what changed, once the recorder has it; what the store holds then."""
        now, seq = positions_of(momentum), self.node.seq - 1
        while self.node.durable < seq:
            await bus.told_durable()
        for mint in [mint for mint in stored if mint not in now]:
            await bus.put(POSITIONS, mint, None)
        for mint, value in now.items():
            if stored.get(mint) != value:
                await bus.put(POSITIONS, mint, value)
        return now

    async def _work(self, stop: asyncio.Event) -> None:
        await stop.wait()
        await self.node.drained()
        tell(f"{self.node.role}: stopped")
