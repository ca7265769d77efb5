"""What cannot be used ends a session before it begins: one sentence, no half-started trading, nothing left behind."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ironcrab.domain.ask import SendAsk, SignedAnswer
from ironcrab.domain.fault import Fault
from ironcrab.log.contents import is_recording
from ironcrab.log.recording import Recording
from ironcrab.mode.arming import Arms, armed_outlets
from ironcrab.mode.live import LiveSettings, live_until
from ironcrab.mode.outlets import paper_outlets
from ironcrab.mode.scenario import read
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_demo import demo
from ironcrab.shell.geyser_filters import update_of
from ironcrab.shell.geyser_server import GeyserServer
from tests.live.desk import scenario
from tests.shell.stage import WALLET


async def paper(_durable):
    return paper_outlets(scenario())


def without_metadata(updates):
    for update in updates:
        if update.kind == "transaction":
            update.message.transaction.transaction.ClearField("meta")
            yield update_of(update.message.SerializeToString())
        else:
            yield update


@asynccontextmanager
async def wrong_token():
    async with GeyserServer(Chain(demo(1, 100, 3)), token="right") as server:
        yield Endpoint(f"127.0.0.1:{server.port}", tls=False, token="wrong")


@asynccontextmanager
async def wrong_scheme():
    async with GeyserServer(Chain(demo(1, 100, 3))) as server:
        yield Endpoint(f"127.0.0.1:{server.port}", tls=True)


@asynccontextmanager
async def nobody():
    yield Endpoint("127.0.0.1:1", tls=False)


@asynccontextmanager
async def no_metadata():
    async with GeyserServer(Chain(without_metadata(demo(1, 400, 20)))) as server:
        yield Endpoint(f"127.0.0.1:{server.port}", tls=False)


def ended(at, settings=None, outlets=paper):
    """The sentence that a session on this endpoint ends with."""

    async def go():
        async with at() as endpoint, asyncio.timeout(20):
            await live_until(scenario(), LiveSettings(endpoint, settings), outlets, asyncio.Event())

    with pytest.raises(Fault) as told:
        asyncio.run(go())
    text = str(told.value)
    assert "\n" not in text
    assert "wrong" not in text.replace("No valid auth token", ""), "a token is never printed"
    return text


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        (wrong_token, "refuses the token"),
        (wrong_scheme, "the TLS handshake failed"),
        (nobody, "cannot reach 127.0.0.1:1"),
    ],
)
def test_an_endpoint_that_cannot_be_used_leaves_nothing(at, sentence, tmp_path):
    assert sentence in ended(at, tmp_path)
    assert not is_recording(tmp_path / "demo")


def test_transactions_without_metadata_end_it_before_anything_is_traded(tmp_path):
    assert "without metadata" in ended(no_metadata, tmp_path)
    if is_recording(tmp_path / "demo"):
        assert not list(Recording.open(tmp_path / "demo").records((SendAsk, SignedAnswer)))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("[]", "no JSON-RPC"),
        ('{"jsonrpc":"2.0","id":1,"result":{"value":"much"}}', "nonsense"),
        ('{"jsonrpc":"2.0","id":77,"result":null}', "another request"),
        ('{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"node is behind"}}', "refuses getMultipleAccounts"),
    ],
)
def test_a_node_that_answers_nonsense_arms_nothing(answer, sentence, tmp_path):
    async def handle(_request):
        return web.Response(text=answer, content_type="application/json")

    @asynccontextmanager
    async def lying():
        app = web.Application()
        app.router.add_post("/", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        arms = Arms(WALLET.address, tmp_path / "none", f"http://127.0.0.1:{port}/")
        told = read("demo", {"strategies": [], "engine": {"wallet": WALLET.address}}, "a test")
        try:
            yield arms, told
        finally:
            await runner.cleanup()

    async def go():
        async with lying() as (arms, told):

            async def outlets(durable):
                return await armed_outlets(told, arms, WALLET, durable)

            async with wrong_scheme() as endpoint:
                await live_until(told, LiveSettings(endpoint, tmp_path), outlets, asyncio.Event())

    with pytest.raises(Fault, match=sentence):
        asyncio.run(go())
    assert not is_recording(tmp_path / "demo")
