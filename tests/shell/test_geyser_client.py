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
from ironcrab.domain.control import GapClosed
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import SlotUpdate
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.log.recording import Recording
from ironcrab.mode.record import RecordSettings, record_until
from ironcrab.shell import geyser_client, geyser_faults
from ironcrab.shell.endpoint import Endpoint, Wanted, endpoint, request_of
from ironcrab.shell.geyser_chain import Chain, End
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


class Slow(Chain):
    """A chain whose replays are told with a pause behind each message, or fail for a while, as on a busy host."""

    def __init__(self, *told, pause_s=0.0, failing=0, **settings):
        super().__init__(*told, **settings)
        self.pause_s, self.failing = pause_s, failing
        self.replays = 0

    def subscribe(self, subscriber, filters):
        super().subscribe(subscriber, filters)
        if filters.from_slot is None or len(self.subscribers) < 2:
            return
        self.replays += 1
        if self.replays <= self.failing:
            subscriber.waiting.clear()
            subscriber.end(End("UNAVAILABLE", "busy"))
        following = subscriber.next

        async def late():
            await asyncio.sleep(self.pause_s)
            return await following()

        subscriber.next = late


def gaps_of(chain_of, folder, enough):
    """(gaps closed before the end, whether filled, refused counts) of a recording of this chain."""

    async def run():
        chain = chain_of()
        stop = asyncio.Event()
        async with GeyserServer(chain) as server:
            place = Endpoint(f"127.0.0.1:{server.port}", False)
            task = asyncio.create_task(record_until(folder, RecordSettings(place, hot=True), stop))
            while not enough(chain) and not task.done():  # noqa: ASYNC110 - what the chain plays has no event
                await asyncio.sleep(0.02)
            stop.set()
            return await task

    summary = asyncio.run(asyncio.wait_for(run(), 20))
    recording = Recording.open(folder)
    closed = [record.event.filled for record in recording.records((GapClosed,))]
    slots = {}
    for record in recording.records((SlotUpdate,)):
        slots.setdefault(record.event.slot, []).append(record.event.status)
    numbers = sorted(slots)
    assert all("processed" in slots[slot] for slot in numbers[:-1] if "created" in slots[slot])
    return closed, summary.refused


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param({"speed": 1.5, "pause_s": 0.004}, id="a fetch that takes longer than its patience"),
        pytest.param({"speed": 2, "failing": 1}, id="a fetch that fails"),
        pytest.param({"speed": 0.4}, id="a slot in progress that takes long"),
    ],
)
def test_a_slow_host_loses_nothing_that_the_ring_has(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(geyser_client, "FETCH_S", 0.2)
    monkeypatch.setattr(geyser_client, "HOLD_S", 0.2, raising=False)
    script = [geyser_faults.read("cut@400:lose=20")]

    def made():
        return Slow(demo(1, 300, 60), script=script, **chain)

    closed, counts = gaps_of(made, tmp_path / "r", lambda chain: chain.position > 800)
    assert closed == [True]
    assert counts["slot_fetched"] >= 1


@pytest.mark.parametrize(
    ("whole", "oldest", "refused", "begins"),
    [(100, 90, 0, 98), (100, 99, 0, 99), (100, 99, 1, 100), (100, 99, 4, 101), (100, 101, 1, 101), (100, 110, 2, 112)],
)
def test_a_replay_passes_over_nothing_that_there_is(whole, oldest, refused, begins):
    """A replay that was refused, for its first slot was gone by then, begins higher; never above what is missing."""

    async def info(_request, _context):
        return wire.SubscribeReplayInfoResponse(first_available=oldest).SerializeToString()

    async def run():
        methods = {"SubscribeReplayInfo": grpc.unary_unary_rpc_method_handler(info)}
        async with other_service(methods) as place, aio.insecure_channel(place.target) as channel:
            client = GeyserClient(place, Wanted())
            client.whole = whole
            for _ in range(refused):
                client._judge(aio.AioRpcError(grpc.StatusCode.OUT_OF_RANGE, None, None, "gone"))
            return await client._replay_from(channel)

    assert asyncio.run(run()) == begins
