"""Who may publish and hear what, tried against a server with the generated config, by the plain client."""

import asyncio

import pytest
from nats.aio.client import Client

from ironcrab.mode.node import ROLES, hosts
from ironcrab.shell.bus_login import read_login
from ironcrab.shell.bus_server import OPERATOR, commands_of, login_file
from tests.live.desk import scenario
from tests.nodes.town import Town

EVERY = {**{role: () for role in ROLES if role != "recorder"}, "momentum-bot": ("momentum-bot",),
         "arb-strategy": ("arb-strategy",), "execution-engine": ("execution-engine",)}  # fmt: skip
LOG = "ironcrab.log"
MOMENTUM, ARB, ENGINE, FEED = "momentum-bot", "arb-strategy", "execution-engine", "market-data"
PUBLISH = {
    f"{LOG}.world.market-data.Trade": (FEED,),
    f"{LOG}.world.market-data.AccountWritten": (FEED,),
    f"{LOG}.world.market-data.GapOpened": (FEED,),
    f"{LOG}.world.market-data.ControlResponse": (FEED,),
    # the feed's node answers no ask, says no word of the operator's, tells no wallet, opens no run
    f"{LOG}.world.market-data.SendAnswer": (),
    f"{LOG}.world.market-data.ControlRequest": (),
    f"{LOG}.world.market-data.ConfigUpdate": (),
    f"{LOG}.world.market-data.WalletBalanceSnapshot": (),
    f"{LOG}.world.market-data.RunStarted": (),
    f"{LOG}.world.momentum-bot.Trade": (),
    f"{LOG}.world.momentum-bot.ConfigUpdate": (),
    f"{LOG}.world.execution-engine.SendAnswer": (ENGINE,),
    f"{LOG}.said.momentum-bot.TradeIntent": (MOMENTUM,),
    f"{LOG}.said.momentum-bot.ExecutionResult": (),
    f"{LOG}.said.momentum-bot.DecisionRecord": (),
    f"{LOG}.said.momentum-bot.PositionUpdate": (),
    f"{LOG}.said.arb-strategy.TradeIntent": (ARB,),
    f"{LOG}.said.arb-strategy.ControlRequest": (),
    f"{LOG}.said.execution-engine.DecisionRecord": (ENGINE,),
    "ironcrab.v1.market_events": ("announcer",),
    "ironcrab.v1.trade_intents": ("announcer",),
    "ironcrab.v1.decision_records": ("announcer",),
    "ironcrab.v1.execution_results": ("announcer",),
    "ironcrab.v1.control_responses": ("announcer",),
    "ironcrab.v1.wallet_balance_updates": ("announcer",),
    "ironcrab.v1.control_requests": (OPERATOR, ENGINE),
    "ironcrab.v1.momentum.active_pools": (MOMENTUM,),
    "ironcrab.v1.arb.track_requests": (ARB,),
    "ironcrab.control.kill": (OPERATOR,),
    commands_of(ENGINE): (OPERATOR,),
    commands_of(MOMENTUM): (OPERATOR,),
    "ironcrab.pool_cache.x": ("announcer",),
    "ironcrab.config.execution-engine": ("announcer",),
    "$KV.POSITIONS.x": (MOMENTUM,),
    "$KV.POSITION_AUTHORITY.x": ("announcer",),
    "ironcrab.durable": ("recorder",),
    "ironcrab.states.chunk": ("recorder",),
    "$JS.API.STREAM.CREATE.LOG": ("recorder",),
    "$JS.API.STREAM.DELETE.LOG": ("recorder",),
    "$JS.API.STREAM.PURGE.LOG": ("recorder",),
    "$JS.API.STREAM.CREATE.OTHER": ("recorder",),
    "$JS.API.STREAM.UPDATE.TRADE_INTENTS": ("recorder",),
    "ironcrab.anything": (),
}
HEAR = {
    "ironcrab.v1.>": (OPERATOR,),
    "ironcrab.v1.decision_records": (OPERATOR,),
    "ironcrab.v1.control_requests": (OPERATOR, ENGINE),
    "ironcrab.v1.arb.track_requests": (FEED,),
    "ironcrab.v1.momentum.active_pools": (FEED,),
    "ironcrab.control.kill": (ENGINE,),
    commands_of(ENGINE): (ENGINE,),
    "ironcrab.log.>": (),
    "_INBOX.>": (),
    "_INBOX.operator.>": (OPERATOR,),
    "ironcrab.durable": tuple(role for role in ROLES if role != "recorder"),
    ">": (),
}


async def denied(login, publish, hear):
    """What the server denies this login of these subjects."""
    told = []

    async def failed(error):
        told.append(str(error))

    client = Client()
    await client.connect(login.url, user=login.user, password=login.password, error_cb=failed)
    try:
        for subject in publish:
            await client.publish(subject, b"{}")
        for subject in hear:
            await client.subscribe(subject)
        await client.flush()
        await asyncio.sleep(0.05)
    finally:
        await client.close()
    return {
        (verb, subject)
        for verb, subjects in (("publish", publish), ("subscri", hear))
        for subject in subjects
        if any(f'to "{subject}"'.lower() in text.lower() and verb in text.lower() for text in told)
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """By login, what the server denies."""

    class Both(Town):
        def start_server(self):
            super().start_server(EVERY)

    async def go():
        async with Both(tmp_path_factory.mktemp("rights"), scenario()) as town:
            await town.listens()
            return {
                name: await denied(read_login(town.url, login_file(town.data, name)), tuple(PUBLISH), tuple(HEAR))
                for name in (*ROLES, OPERATOR)
            }

    return asyncio.run(go())


@pytest.mark.parametrize("subject", PUBLISH)
def test_publish(found, subject):
    assert {name for name, no in found.items() if ("publish", subject) not in no} == set(PUBLISH[subject])


@pytest.mark.parametrize("subject", HEAR)
def test_hear(found, subject):
    assert {name for name, no in found.items() if ("subscri", subject) not in no} == set(HEAR[subject])


def test_every_role_is_tried():
    assert set(EVERY) | {"recorder"} == set(ROLES)
    assert hosts("momentum-bot", scenario()) == EVERY["momentum-bot"]
