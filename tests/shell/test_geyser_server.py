"""The server as any Yellowstone client sees it: unary calls, auth, pings, replacement, commitment, replay errors."""

import asyncio

import grpc
import pytest
from grpc import aio

from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_demo import FIRST_SLOT, demo
from ironcrab.shell.geyser_server import GeyserServer


def serve(test, updates=None, **settings):
    """Run `test(server, channel)` against a server of a short demo."""
    server_settings = {key: settings.pop(key) for key in ("token", "ping_s") if key in settings}

    async def run():
        chain = Chain(iter(demo(1, 100, 40) if updates is None else updates), **settings)
        async with GeyserServer(chain, **server_settings) as server:
            channel = aio.insecure_channel(f"127.0.0.1:{server.port}")
            async with channel, asyncio.timeout(15):
                await test(server, channel)

    asyncio.run(run())


def unary(channel, name, request, reply, **metadata):
    method = channel.unary_unary(
        f"/geyser.Geyser/{name}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=reply.FromString,
    )
    return method(request, metadata=tuple(metadata.items()) or None)


def subscribe(channel, **metadata):
    method = channel.stream_stream(
        "/geyser.Geyser/Subscribe",
        request_serializer=wire.SubscribeRequest.SerializeToString,
        response_deserializer=wire.SubscribeUpdate.FromString,
    )
    return method(metadata=tuple(metadata.items()) or None)


def everything(commitment=wire.PROCESSED, from_slot=None):
    request = wire.SubscribeRequest(commitment=commitment, from_slot=from_slot)
    request.slots["s"].interslot_updates = True
    request.blocks_meta["m"].SetInParent()
    request.transactions["t"].SetInParent()
    request.accounts["a"].SetInParent()
    return request


async def read(call, count, kinds=None):
    found = []
    while len(found) < count:
        message = await call.read()
        assert message is not aio.EOF
        kind = message.WhichOneof("update_oneof")
        if kind in (kinds or ("slot", "block_meta", "transaction", "account")):
            found.append(message)
    return found


async def status_of(call):
    """Code and text with which a stream ends."""
    try:
        while await call.read() is not aio.EOF:
            pass
    except aio.AioRpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def test_unary_calls():
    async def test(server, channel):
        with pytest.raises(aio.AioRpcError, match="not available yet"):
            await unary(channel, "GetSlot", wire.GetSlotRequest(), wire.GetSlotResponse)
        call = subscribe(channel)
        await call.write(everything())
        await server.chain.finished.wait()
        last = FIRST_SLOT + 39
        slots = [
            (await unary(channel, "GetSlot", wire.GetSlotRequest(commitment=level), wire.GetSlotResponse)).slot
            for level in (wire.PROCESSED, wire.CONFIRMED, wire.FINALIZED)
        ]
        assert slots == [last, last - 1, last - 31]
        height = await unary(channel, "GetBlockHeight", wire.GetBlockHeightRequest(), wire.GetBlockHeightResponse)
        assert height.block_height == last - 20_000_000
        latest = await unary(
            channel, "GetLatestBlockhash", wire.GetLatestBlockhashRequest(), wire.GetLatestBlockhashResponse
        )
        assert latest.last_valid_block_height == height.block_height + 150
        for blockhash, valid in ((latest.blockhash, True), ("1" * 32, False)):
            request = wire.IsBlockhashValidRequest(blockhash=blockhash)
            reply = await unary(channel, "IsBlockhashValid", request, wire.IsBlockhashValidResponse)
            assert reply.valid is valid
        pong = await unary(channel, "Ping", wire.PingRequest(count=7), wire.PongResponse)
        assert pong.count == 7
        version = await unary(channel, "GetVersion", wire.GetVersionRequest(), wire.GetVersionResponse)
        assert "ironcrab" in version.version
        info = await unary(
            channel, "SubscribeReplayInfo", wire.SubscribeReplayInfoRequest(), wire.SubscribeReplayInfoResponse
        )
        assert info.first_available == FIRST_SLOT
        call.cancel()

    serve(test)


def test_token():
    async def test(_server, channel):
        for metadata in ({}, {"x-token": "wrong"}):
            call = subscribe(channel, **metadata)
            assert await status_of(call) == ("UNAUTHENTICATED", "No valid auth token")
            with pytest.raises(aio.AioRpcError, match="No valid auth token"):
                await unary(channel, "Ping", wire.PingRequest(), wire.PongResponse, **metadata)
        call = subscribe(channel, **{"x-token": "secret"})
        await call.write(everything())
        assert len(await read(call, 5)) == 5
        call.cancel()

    serve(test, token="secret")


def test_pings_and_pongs():
    async def test(_server, channel):
        call = subscribe(channel)
        first = await call.read()
        assert first.WhichOneof("update_oneof") == "ping"
        request = everything()
        request.ping.id = 42
        await call.write(request)
        (pong,) = await read(call, 1, ("pong", "slot", "account"))
        assert pong.pong.id == 42  # ... and the filters beside it were not looked at
        await read(call, 2, ("ping",))
        call.cancel()

    serve(test, ping_s=0.05)


def test_the_last_request_replaces():
    async def test(_server, channel):
        call = subscribe(channel)
        await call.write(everything())
        await read(call, 20)
        only = wire.SubscribeRequest()
        only.blocks_meta["only"].SetInParent()
        await call.write(only)
        async with asyncio.timeout(10):
            while True:
                (message,) = await read(call, 1)
                if list(message.filters) == ["only"]:
                    break
        rest = await read(call, 5)
        assert all(list(message.filters) == ["only"] for message in rest)
        call.cancel()

    serve(test, speed=None, ahead=10)


def test_a_bad_filter_ends_the_stream_with_words():
    async def test(_server, channel):
        call = subscribe(channel)
        request = wire.SubscribeRequest()
        request.accounts["a"].account.append("nonsense")
        await call.write(request)
        code, text = await status_of(call)
        assert code == "INVALID_ARGUMENT"
        assert "invalid pubkey 'nonsense'" in text

    serve(test)


@pytest.mark.parametrize("level", [wire.CONFIRMED, wire.FINALIZED])
def test_a_higher_commitment_brings_batches(level):
    async def test(_server, channel):
        call = subscribe(channel)
        await call.write(everything(level))
        status = {wire.CONFIRMED: wire.SLOT_CONFIRMED, wire.FINALIZED: wire.SLOT_FINALIZED}[level]
        batch, writes = [], {}
        async for message in call:
            kind = message.WhichOneof("update_oneof")
            if kind in ("account", "transaction", "block_meta"):
                batch.append(getattr(message, kind).slot)
                if kind == "account":
                    place = message.account.slot, message.account.account.pubkey
                    assert place not in writes, "of each account one write a slot"
                    writes[place] = message.account.account.write_version
            if kind == "slot" and message.slot.status == status and message.slot.slot > FIRST_SLOT + 2:
                assert set(batch) >= {message.slot.slot}
                assert max(batch) == message.slot.slot
                break
        call.cancel()

    serve(test)


def test_replay_errors():
    async def test(server, channel):
        call = subscribe(channel)
        await call.write(everything())
        await server.chain.finished.wait()
        call.cancel()
        old = subscribe(channel)
        await old.write(everything(from_slot=FIRST_SLOT))
        code, text = await status_of(old)
        assert (code, str(FIRST_SLOT + 35) in text) == ("OUT_OF_RANGE", True)
        good = subscribe(channel)
        await good.write(everything(from_slot=FIRST_SLOT + 37))
        slots = [m.slot.slot for m in await read(good, 9, ("slot",)) if m.slot.status == wire.SLOT_CREATED_BANK]
        assert slots == [FIRST_SLOT + 37, FIRST_SLOT + 38, FIRST_SLOT + 39][: len(slots)]
        good.cancel()

    serve(test, ring=5)


def test_no_replay():
    async def test(_server, channel):
        call = subscribe(channel)
        await call.write(everything(from_slot=1))
        assert await status_of(call) == ("INTERNAL", "from_slot is not supported")
        info = await unary(
            channel, "SubscribeReplayInfo", wire.SubscribeReplayInfoRequest(), wire.SubscribeReplayInfoResponse
        )
        assert not info.HasField("first_available")

    serve(test, ring=0)


def test_a_slow_reader_is_cut_off_not_told_less():
    async def test(server, channel):
        call = subscribe(channel)
        await call.write(everything())
        assert (await status_of(call)) == ("INTERNAL", "lagged to send an update")
        assert server.chain.position > 0

    serve(test, updates=list(demo(1, 1_500, 6)), queue=150, ahead=10_000)


def test_unknown_method_is_unimplemented():
    async def test(_server, channel):
        method = channel.stream_stream("/geyser.Geyser/SubscribeDeshred")
        call = method()
        with pytest.raises(aio.AioRpcError) as told:
            await call.read()
        assert told.value.code() is grpc.StatusCode.UNIMPLEMENTED

    serve(test)


def test_recorded_pace():
    """Five slots at ten times their pace take 0.2 s."""

    async def test(server, channel):
        loop = asyncio.get_running_loop()
        call = subscribe(channel)
        await call.write(everything())
        await read(call, 1)
        began = loop.time()
        await server.chain.finished.wait()
        assert 0.1 < loop.time() - began < 1.5
        call.cancel()

    serve(test, updates=demo(1, 100, 5), speed=10)


def test_a_chain_behind_its_pace_lets_streams_write():
    """A host too slow for the pace tells late, not one message in a hundred."""

    async def test(server, channel):
        call = subscribe(channel)
        await call.write(everything())
        await read(call, 400)
        assert server.chain.position < 10_000
        call.cancel()

    serve(test, updates=demo(1, 1_500, 40), speed=1e6)


@pytest.mark.parametrize("level", [wire.PROCESSED, wire.CONFIRMED])
def test_blocks_come_behind_their_metas_and_again_by_a_replay(level):
    async def test(_server, channel):
        request = wire.SubscribeRequest(commitment=level, from_slot=FIRST_SLOT)
        request.blocks["b"].SetInParent()
        request.blocks_meta["m"].SetInParent()
        for from_slot in (None, FIRST_SLOT):
            if from_slot is None:
                request.ClearField("from_slot")
            else:
                request.from_slot = from_slot
            call = subscribe(channel)
            await call.write(request)
            found = await read(call, 6, ("block", "block_meta"))
            told = [(m.WhichOneof("update_oneof"), getattr(m, m.WhichOneof("update_oneof")).slot) for m in found]
            slots = dict.fromkeys(slot for _, slot in told)
            assert told == [(kind, slot) for slot in slots for kind in ("block_meta", "block")]
            assert all(m.block.transactions for m in found if m.HasField("block"))
            call.cancel()

    serve(test, updates=demo(1, 100, 60), speed=20)
