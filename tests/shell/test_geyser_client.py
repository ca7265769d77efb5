"""What the client says when an endpoint cannot be used: one sentence, soon; and how it bears what passes."""

import asyncio
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio

from ironcrab.dex import pumpfun, raydium
from ironcrab.domain.fault import InputFault
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.log.recording import Recording
from ironcrab.mode.record import RecordSettings, record_until
from ironcrab.shell.endpoint import Endpoint, Wanted, endpoint, request_of
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_client import GeyserClient
from ironcrab.shell.geyser_demo import demo
from ironcrab.shell.geyser_filters import Filters
from ironcrab.shell.geyser_server import GeyserServer
from ironcrab.shell.inbox import Connected, Lost


def sentence(make, **settings):
    """The fault with which a client of the endpoint that `make` gives ends, within ten seconds."""

    async def run():
        async with make() as place:
            client = GeyserClient(place, Wanted(owners=("11111111111111111111111111111111",)), **settings)
            async with asyncio.timeout(10):
                with pytest.raises(InputFault) as fault:
                    async for _ in client.arrivals():
                        pass
            return str(fault.value)

    return asyncio.run(run())


@asynccontextmanager
async def served(told, token=None, **server):
    async with GeyserServer(Chain(demo(1, 100, 3)), **server) as running:
        yield told(running.port)


@asynccontextmanager
async def other_service(methods):
    """A gRPC server that answers Subscribe in its own way."""
    server = aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("geyser.Geyser", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Endpoint(f"127.0.0.1:{port}", tls=False)
    finally:
        await server.stop(0)


def frames_of(frames):
    async def subscribe(_requests, context):
        for frame in frames:
            await context.write(frame)
        await asyncio.sleep(5)

    return {"Subscribe": grpc.stream_stream_rpc_method_handler(subscribe, wire.SubscribeRequest.FromString)}


def test_wrong_token():
    told = sentence(wrong)
    assert "refuses the token" in told
    assert "--token-file" in told
    assert "wrong" not in told.replace("No valid auth token", "")


@asynccontextmanager
async def wrong(token="wrong"):
    async with GeyserServer(Chain(demo(1, 100, 3)), token="right") as server:
        yield Endpoint(f"127.0.0.1:{server.port}", False, token)


def test_missing_token():
    assert "refuses a call without token" in sentence(lambda: wrong(None))


@asynccontextmanager
async def at(place):
    yield place


def test_nobody_there():
    told = sentence(lambda: at(Endpoint("127.0.0.1:1", tls=False)))
    assert told.startswith("cannot reach 127.0.0.1:1")
    assert "is host and port right" in told


def test_tls_to_a_plaintext_port():
    told = sentence(lambda: served(lambda port: Endpoint(f"127.0.0.1:{port}", tls=True)))
    assert "the TLS handshake failed" in told
    assert "http://" in told


def test_no_yellowstone_service():
    told = sentence(lambda: other_service({}))
    assert "has no Yellowstone service" in told


def test_frames_that_are_none():
    told = sentence(lambda: other_service(frames_of([bytes([255, 1, 2, 3])] * 30)))
    assert "frames that are no SubscribeUpdate" in told


@pytest.mark.parametrize("kind", ["no meta", "no inner instructions"])
def test_endpoint_without_transaction_metadata(kind):
    frames = []
    for update in demo(1, 200, 2):
        if update.kind != "transaction":
            continue
        info = update.message.transaction.transaction
        if kind == "no meta":
            info.ClearField("meta")
        else:
            info.meta.inner_instructions_none = True
        frames.append(update.message.SerializeToString())
    told = sentence(lambda: other_service(frames_of(frames)))
    assert "without metadata or inner instructions" in told


def test_a_refused_subscription():
    async def subscribe(_requests, context):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Max amount of filters/data_slices reached")

    methods = {"Subscribe": grpc.stream_stream_rpc_method_handler(subscribe, wire.SubscribeRequest.FromString)}
    assert "refuses the subscription" in sentence(lambda: other_service(methods))


def test_nothing_is_left_behind_of_a_feed_that_never_came(tmp_path):
    async def run():
        with pytest.raises(InputFault):
            await record_until(tmp_path / "r", RecordSettings(Endpoint("127.0.0.1:1", tls=False)), asyncio.Event())

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("url", "word"), [
    ("grpc://host:1", "no URL"), ("host:10000", "no URL"), ("https://", "no URL"), ("https://h:99999", "https://host:port"),
    ("https://user:pw@host", "--token-file"), ("https://host/token", "--token-file"), ("https://h?x=1", "--token-file"),
])  # fmt: skip
def test_endpoints_that_are_none(url, word):
    with pytest.raises(InputFault, match=word):
        endpoint(url)


def test_endpoints(tmp_path):
    with pytest.raises(InputFault, match="holds no certificate"):
        endpoint("https://host", authorities_file=Path(__file__))
    token = tmp_path / "token"
    token.write_text("abc\n")
    assert endpoint("https://host").target == "host:443"
    assert endpoint("http://[::1]:5").target == "[::1]:5"
    told = endpoint("https://host:10000/", token)
    assert (told.target, told.tls, told.token) == ("host:10000", True, "abc")
    assert "abc" not in repr(told)
    for content in ("", "\n", "a\x00b"):
        token.write_text(content)
        with pytest.raises(InputFault, match="holds no token"):
            endpoint("https://host", token)
    with pytest.raises(InputFault, match="cannot read"):
        endpoint("https://host", tmp_path / "none")


def test_the_first_request_alone_asks_for_a_replay():
    wanted = Wanted(programs=("p",), owners=("o",), accounts=("a",))
    first = request_of(wanted, 7)
    assert first.from_slot == 7
    assert not request_of(wanted).HasField("from_slot")
    assert first.slots["slots"].interslot_updates
    assert (first.transactions["trades"].vote, first.transactions["trades"].failed) == (False, False)
    assert list(first.accounts["owners"].owner) == ["o"]
    assert list(first.accounts["tracked"].account) == ["a"]
    assert not request_of(Wanted()).accounts  # an empty filter would mean every account


def certificate(folder):
    """A key and a certificate of its own authority for 127.0.0.1, made on the spot."""
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("openssl is not installed")
    key, made = folder / "key.pem", folder / "cert.pem"
    command = [
        tool, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key),
        "-out", str(made), "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return key.read_bytes(), made.read_bytes()


def test_tls_with_its_own_authority(tmp_path):
    pem = certificate(tmp_path)

    async def run():
        async with GeyserServer(Chain(demo(1, 100, 3)), tls=pem) as server:
            place = Endpoint(f"127.0.0.1:{server.port}", True, authorities=pem[1])
            async for _, what in GeyserClient(place, Wanted()).arrivals():
                if isinstance(what, bytes):
                    return

    asyncio.run(asyncio.wait_for(run(), 10))
    told = sentence(lambda: served(lambda port: Endpoint(f"127.0.0.1:{port}", True), tls=pem))
    assert "the TLS handshake failed" in told
    assert "--ca-file" in told


def test_changed_wants_reach_the_open_stream():
    async def run():
        updates = list(demo(1, 300, 60))
        async with GeyserServer(Chain(iter(updates), speed=4)) as server:
            client = GeyserClient(Endpoint(f"127.0.0.1:{server.port}", False), Wanted())
            kinds = set()
            async for _, what in client.arrivals():
                if isinstance(what, bytes):
                    kinds.add(wire.SubscribeUpdate.FromString(what).WhichOneof("update_oneof"))
                if kinds == {"slot", "block_meta"}:
                    client.want(Wanted(owners=("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",)))
                if "account" in kinds:
                    assert server.opened == 1
                    return

    asyncio.run(asyncio.wait_for(run(), 15))


def test_overflow_opens_a_gap_and_is_made_good(tmp_path):
    """A reader that falls behind loses no trade: the connection is given up, and a replay brings the rest."""
    from ironcrab.ingest.normalise import Normaliser

    updates = list(demo(3, 300, 15))
    wanted = Wanted(programs=(pumpfun.PROGRAM, raydium.PROGRAM))
    filters = Filters(request_of(wanted))
    expected = {
        update.message.transaction.transaction.signature
        for update in updates
        if update.kind == "transaction" and filters.said(update)
    }

    async def run():
        normaliser, found, lost = Normaliser(), set(), 0
        async with GeyserServer(Chain(iter(updates)), ping_s=0.2) as server:
            client = GeyserClient(Endpoint(f"127.0.0.1:{server.port}", False), wanted, most_waiting=60, silence_s=2)
            count = 0
            async for _, what in client.arrivals():
                count += 1
                if isinstance(what, Lost):
                    lost += "overflow" in what.reason
                    normaliser.disconnected(1, what.reason)
                elif isinstance(what, Connected):
                    normaliser.connected(1, what.from_slot)
                else:
                    message = wire.SubscribeUpdate.FromString(what)
                    if message.HasField("transaction"):
                        found.add(message.transaction.transaction.signature)
                if count % 40 == 0 and count < 200:
                    await asyncio.sleep(0.1)
                if message_is_last(what, updates[-2].slot):
                    break
        return found, lost

    found, lost = asyncio.run(asyncio.wait_for(run(), 20))
    assert lost >= 1
    assert found == expected


def message_is_last(what, slot):
    if not isinstance(what, bytes):
        return False
    told = wire.SubscribeUpdate.FromString(what)
    return told.HasField("slot") and told.slot.slot == slot and told.slot.status == wire.SLOT_PROCESSED


def test_the_folder_records_nothing_of_the_endpoint(tmp_path):
    async def run():
        async with GeyserServer(Chain(demo(1, 100, 10)), token="s3cret-token") as server:
            place = Endpoint(f"127.0.0.1:{server.port}", False, "s3cret-token")
            await record_until(tmp_path / "r", RecordSettings(place, seconds=1, hot=True), asyncio.Event())
            return str(server.port)

    port = asyncio.run(run())
    for path in (tmp_path / "r").rglob("*"):
        if path.is_file():
            assert b"s3cret" not in path.read_bytes()
            assert f"127.0.0.1:{port}".encode() not in path.read_bytes()
    assert Recording.open(tmp_path / "r").next_seq > 2
