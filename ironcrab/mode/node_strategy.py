"""The strategy nodes, momentum-bot and arb-strategy: they want, nothing else."""

import asyncio

from ironcrab.domain.fault import InputFault
from ironcrab.mode.node import Node, tell
from ironcrab.mode.scenario import Scenario
from ironcrab.shell.bus import Login


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

    async def run(self, login: Login, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Faults of the log come through."""
        await self.node.attend(login, (self._work(stop),))

    async def _work(self, stop: asyncio.Event) -> None:
        await stop.wait()
        await self.node.drained()
        tell(f"{self.node.role}: stopped")
