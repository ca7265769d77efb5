"""A node that lies, stalls and talks nonsense, at random by seed: every ask ends, nothing lands twice, nothing breaks."""

import asyncio
from contextlib import asynccontextmanager
from hashlib import sha256

import msgspec
import pytest
from aiohttp import web

from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SignedAnswer
from ironcrab.shell.localnet import Localnet
from ironcrab.shell.routes import RpcRoute
from ironcrab.shell.rpc import Rpc
from ironcrab.shell.sender import SenderParams
from tests.shell.stage import DECIMALS, WALLET, Stage, new_chain, plan

ASKS = 5
NONSENSE = (b"", b"[]", b"null", b'{"result":null}', b'{"id":1,"result":{"value":[7]}}', b"<html>", b"\xff" * 9)


class Chaos:
    """Answers for a chain, wrongly about one time in two; the seed and the count of calls say how."""

    def __init__(self, net, seed):
        self.net = net
        self.seed = seed
        self.count = 0
        self.is_calm = False

    async def answer(self, request):
        told = msgspec.json.decode(await request.read())
        self.count += 1
        dice = sha256(b"%d %d" % (self.seed, self.count)).digest()
        kind = 99 if self.is_calm else dice[0] % 16
        if kind == 0:
            await asyncio.sleep(0.4)  # beyond the client's patience, and nothing was done
            return web.Response(status=504)
        good = self.net.answer(told)
        if kind == 1:
            await asyncio.sleep(0.4)  # done, but nobody hears of it
        if kind == 2:
            return web.json_response({"id": told["id"], "error": {"code": 429, "message": "slow"}}, status=429)
        if kind == 3:
            return web.Response(body=NONSENSE[dice[1] % len(NONSENSE)])
        if kind == 4:
            return web.json_response({"id": told["id"], "error": {"code": -32005, "message": "behind"}})
        if kind == 5:
            request.transport.abort()
        if kind == 6 and told["method"] == "sendTransaction":
            good["result"] = "1" * 64
        if kind == 7 and told["method"] == "getSignatureStatuses" and "result" in good:
            good["result"]["value"] = [None for _ in good["result"]["value"]]
        return web.json_response(good)


@asynccontextmanager
async def chaotic(net, seed):
    chaos = Chaos(net, seed)
    app = web.Application()
    app.router.add_post("/", chaos.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Rpc(f"http://127.0.0.1:{runner.addresses[0][1]}", timeout_s=0.2) as rpc:
            yield chaos, rpc
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("seed", range(4))
def test_a_chaotic_node_costs_time_and_nothing_else(seed):
    async def go():
        script = "drop every 3\ndelay every 4 5\nhide every 2 6"
        async with Localnet(new_chain(script, slot_ms=20)) as net, chaotic(net, seed) as (chaos, rpc):
            records, asks = [], []
            for _ in range(4):
                async with Stage(net.chain, records, net=net) as stage:
                    stage.sender.routes, stage.sender.nodes = (RpcRoute(rpc),), (rpc,)
                    stage.sender.params = SenderParams(resend_ms=80, poll_ms=40, sign_within_ms=120_000)
                    while len(asks) < ASKS:
                        asks.append(stage.desk.ask(plan("transfer", 10**DECIMALS)))
                    for _ in range(40):
                        await asyncio.sleep(0.01)
                        stage.desk.drain()
                    assert stage.sender.broken == {}
                    records = list(stage.desk.records)
            async with Stage(net.chain, records, net=net) as stage:
                chaos.is_calm = True
                stage.sender.routes, stage.sender.nodes = (RpcRoute(rpc),), (rpc,)
                ends = [await stage.desk.last(ask, 15) for ask in asks]
                landed = [one for one in net.chain.ledger.values() if str(one.ran.accounts.keys[0]) == WALLET.address]
                sent = [end for end in ends if isinstance(end, ConfirmAnswer)]
                unsent = [end for end in ends if isinstance(end, SendAnswer)]
                assert len(sent) + len(unsent) == ASKS
                assert all(not end.ok for end in unsent)
                assert all(stage.desk.said(end.ask, SignedAnswer) == [] for end in unsent)
                assert [end.status for end in sent] == ["confirmed"] * len(sent)
                assert len(landed) == len(sent)
                assert {one.ran.signature for one in landed} == {end.signature for end in sent}
                return len(sent)

    assert asyncio.run(go()) >= 1
