"""Bundles against a block engine that forwards to the local chain."""

import asyncio
from contextlib import asynccontextmanager
from hashlib import sha256

import msgspec
import pytest
from aiohttp import web

from ironcrab.domain.ask import SendAnswer, SignedAnswer
from ironcrab.domain.fault import InputFault
from ironcrab.shell.routes import JitoRoute, RpcRoute
from ironcrab.shell.rpc import Rpc
from tests.shell.stage import DECIMALS, MINT, OTHER, Stage, new_chain, plan
from tests.shell.test_localnet import somebody

TOKENS = 10**DECIMALS
TIPS = tuple(str(somebody().pubkey()) for _ in range(8))


class Engine:
    """getTipAccounts, sendBundle, getBundleStatuses; `deaf`: the first so many bundles get 429."""

    def __init__(self, chain, deaf=0, spelling="confirmation_status"):
        self.chain = chain
        self.deaf = deaf
        self.spelling = spelling
        self.bundles = {}

    async def answer(self, request):
        told = msgspec.json.decode(await request.read())
        assert request.path == "/api/v1/bundles"
        method, params = told["method"], told["params"]
        if method == "getTipAccounts":
            result = list(TIPS)
        elif method == "sendBundle":
            assert params[1] == {"encoding": "base64"}
            if self.deaf:
                self.deaf -= 1
                error = {"code": -32097, "message": "rate limited"}
                return web.json_response({"jsonrpc": "2.0", "id": told["id"], "error": error}, status=429)
            raw = msgspec.convert(params[0][0], bytes)
            signature = self.chain.submit(raw, skip_preflight=True)
            result = sha256(signature.encode()).hexdigest()
            self.bundles[result] = signature
        else:
            landing = self.chain.ledger.get(self.bundles.get(params[0][0], ""))
            level = None if landing is None else self.chain.commitment_of(landing.slot)
            row = None if landing is None else {"bundle_id": params[0][0], self.spelling: level, "slot": landing.slot}
            result = {"context": {"slot": 1}, "value": [row]}
        return web.json_response({"jsonrpc": "2.0", "id": told["id"], "result": result})


@asynccontextmanager
async def engine_of(engine):
    app = web.Application()
    app.router.add_post("/{tail:.*}", engine.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Rpc(f"http://127.0.0.1:{runner.addresses[0][1]}", timeout_s=1) as rpc:
            yield JitoRoute(rpc)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("spelling", ["confirmation_status", "confirmationStatus"])
@pytest.mark.parametrize("deaf", [0, 2])
def test_a_plan_that_tips_goes_as_a_bundle_and_only_so(deaf, spelling):
    async def go():
        async with Stage(new_chain()) as stage, engine_of(Engine(stage.chain, deaf, spelling)) as route:
            assert await route.tip_accounts(TIPS) == tuple(sorted(TIPS))
            stage.sender.routes = (RpcRoute(stage.rpc), route)
            ask = stage.desk.ask(plan("transfer", TOKENS, tip=5_000_000, tipped=TIPS[3]), intent=11)
            answer = await stage.desk.last(ask)
            assert answer.status == "confirmed"
            assert answer.fees.tip_lamports == 5_000_000
            sent = stage.desk.said(ask, SendAnswer)[0]
            assert sent.method == "jito"
            assert (sent.bundle_id is None) is bool(deaf)
            assert stage.net.answer({"method": "getBalance", "params": [TIPS[3]]})["result"]["value"] == 5_000_000
            assert len(stage.desk.said(ask, SignedAnswer)) == 1
            ask = stage.desk.ask(plan("transfer", TOKENS))
            assert (await stage.desk.last(ask)).status == "confirmed"
            assert stage.desk.said(ask, SendAnswer)[0].method == "rpc"

    asyncio.run(go())


def test_a_bundle_s_own_status_confirms_when_the_node_hides_it():
    async def go():
        async with Stage(new_chain("hide 1 100000")) as stage, engine_of(Engine(stage.chain)) as route:
            stage.sender.routes = (route,)
            answer = await stage.send(plan("transfer", TOKENS, tip=5_000_000, tipped=TIPS[0]))
            assert (answer.status, answer.fill_in.raw) == ("confirmed", TOKENS)
            assert stage.tokens(OTHER, MINT) == TOKENS

    asyncio.run(go())


def test_tip_accounts_that_differ_from_the_configuration_are_refused():
    async def go():
        async with engine_of(Engine(new_chain())) as route:
            assert await route.tip_accounts() == tuple(sorted(TIPS))
            other = str(somebody().pubkey())
            with pytest.raises(InputFault, match="other tip accounts") as told:
                await route.tip_accounts((*TIPS[:7], other))
            assert other in str(told.value)

    asyncio.run(go())
