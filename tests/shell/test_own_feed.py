"""The own wallet's stream: confirms come from it, a loss of it costs nothing, and it comes back."""

import asyncio

from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_filters import update_of
from ironcrab.shell.geyser_server import GeyserServer
from ironcrab.shell.own_feed import OwnFeed
from ironcrab.shell.sender import SenderParams
from tests.shell.stage import DECIMALS, WALLET, Stage, new_chain, plan

TOKENS = 10**DECIMALS
SELDOM = SenderParams(resend_ms=1000, poll_ms=60_000)
"""A sender that asks a node for statuses once a minute: what confirms sooner came from the feed."""


async def until(holds, seconds=5):
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


class Own:
    """A local chain's feed, and a stream of the wallet's on it that tells the sender."""

    def __init__(self, stage):
        self.stage = stage
        self.feed = Chain(iter(()))
        self.heard = []

    async def __aenter__(self):
        self.server = await GeyserServer(self.feed).__aenter__()
        self.stage.chain.listeners.append(self.publish)

        def hear(info, slot):
            self.heard.append((info.signature, slot))
            self.stage.sender.hear(info, slot)

        self.own = OwnFeed(Endpoint(f"127.0.0.1:{self.server.port}", tls=False), WALLET.address, hear)
        self.task = asyncio.create_task(self.own.run())
        await until(lambda: self.own.is_up)
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await self.server.__aexit__()

    def publish(self, frame):
        update = update_of(frame)
        if update is not None:
            self.feed.publish(update)

    def cut(self):
        from ironcrab.shell.geyser_chain import End

        for subscriber in tuple(self.feed.subscribers):
            subscriber.end(End("UNAVAILABLE", "cut"))


def test_the_own_stream_confirms_at_confirmed_and_tells_failures():
    async def go():
        async with Stage(new_chain()) as stage, Own(stage) as own:
            stage.sender.params = SELDOM
            answer = await stage.send(plan("transfer", 3 * TOKENS), 5)
            assert (answer.status, answer.fill_in.raw) == ("confirmed", 3 * TOKENS)
            assert own.heard[-1][1] == answer.slot
            assert stage.chain.slot > answer.slot
            stage.chain.fates = new_chain("fail 1").fates
            assert (await stage.send(plan("transfer", 3 * TOKENS), 5)).status == "failed"
            assert len(own.heard) == 2

    asyncio.run(go())


def test_others_transactions_are_not_heard():
    async def go():
        async with Stage(new_chain()) as stage, Own(stage) as own:
            update = wire.SubscribeUpdate()
            update.transaction.slot = stage.chain.slot
            info = update.transaction.transaction
            info.signature, info.index = bytes(64), 0
            info.transaction.message.account_keys.append(bytes(32))
            own.publish(update.SerializeToString())
            await stage.send(plan("transfer", TOKENS), 5)
            await asyncio.sleep(0.3)
            assert bytes(64) not in [signature for signature, _ in own.heard]

    asyncio.run(go())


def test_while_the_stream_is_down_nodes_are_asked_and_it_comes_back():
    async def go():
        async with Stage(new_chain()) as stage, Own(stage) as own:
            own.stage.chain.listeners.remove(own.publish)
            stage.sender.params = SenderParams(resend_ms=1000, poll_ms=30)
            own.cut()
            assert (await stage.send(plan("transfer", TOKENS), 5)).status == "confirmed"
            assert own.heard == []
            await until(lambda: own.own.counts == {"own_lost": 1} and own.own.is_up)
            stage.chain.listeners.append(own.publish)
            stage.sender.params = SELDOM
            assert (await stage.send(plan("transfer", 2 * TOKENS), 5)).status == "confirmed"
            assert len(own.heard) == 1

    asyncio.run(go())


def test_nonsense_is_counted():
    own = OwnFeed(Endpoint("127.0.0.1:1", tls=False), WALLET.address, lambda *_: None)
    own._take(b"\xff\xff")
    own._take(wire.SubscribeUpdate(ping=wire.SubscribeUpdatePing()).SerializeToString())
    assert own.counts == {"own_malformed": 1}
