"""Whether an endpoint is alive: its version, and the newest block that a stream of it tells."""

import asyncio
from typing import Any

from grpc import aio
from msgspec import Struct

from ironcrab.domain.fault import InputFault
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.channel import SUBSCRIBE, metadata_of, open_channel
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import Endpoint, Wanted, request_of

WAIT_S = 10.0
"""Longest wait for a block; a chain makes several a second."""
VERSION_S = 3.0
_LONGEST = 120
_CHECK = "check host, port and scheme (https for TLS)"
_ADVICE = {
    "UNAUTHENTICATED": "check the token in --token-file",
    "PERMISSION_DENIED": "check the token's plan",
    "RESOURCE_EXHAUSTED": "close other streams, or ask for a larger plan",
    "UNIMPLEMENTED": "it is no Yellowstone endpoint",
}


class Pulse(Struct, frozen=True):
    """What was seen.

    Attributes:
        target: host:port.
        version: what the endpoint says that it runs.
        slot: of the first block that was told.
        skew_s: seconds by which the host is ahead of that block's time; None: it tells none.
    """

    target: str
    version: str
    slot: int
    skew_s: int | None


async def pulse_of(endpoint: Endpoint) -> Pulse:
    """Subscribe to slots and blocks as a session does, until a block is told. InputFault, one sentence, otherwise."""
    async with open_channel(endpoint) as channel:
        try:
            async with asyncio.timeout(WAIT_S):
                meta = await _block(channel, endpoint)
        except TimeoutError:
            raise InputFault(f"{endpoint.target} tells no block within {WAIT_S:g} s; use another endpoint") from None
        except aio.AioRpcError as error:
            code = error.code().name
            raise InputFault(f"{endpoint.target} says {code}; {_ADVICE.get(code, _CHECK)}") from None
        time = meta.block_time.timestamp
        skew_s = now_ns() // 10**9 - time if time > 0 else None
        return Pulse(endpoint.target, await _version(channel, endpoint), meta.slot, skew_s)


async def _block(channel: Any, endpoint: Endpoint) -> wire.SubscribeUpdateBlockMeta:
    method = channel.stream_stream(
        SUBSCRIBE,
        request_serializer=wire.SubscribeRequest.SerializeToString,
        response_deserializer=wire.SubscribeUpdate.FromString,
    )
    call = method(metadata=metadata_of(endpoint))
    try:
        await call.write(request_of(Wanted()))
        async for update in call:
            if update.WhichOneof("update_oneof") == "block_meta":
                meta: wire.SubscribeUpdateBlockMeta = update.block_meta
                return meta
    except (aio.UsageError, asyncio.InvalidStateError):
        await call.code()
    finally:
        call.cancel()
    raise InputFault(f"{endpoint.target} ends the stream before it tells a block; use another endpoint")


async def _version(channel: Any, endpoint: Endpoint) -> str:
    """The version, in one line; some endpoints do not say."""
    ask = channel.unary_unary(
        "/geyser.Geyser/GetVersion",
        request_serializer=wire.GetVersionRequest.SerializeToString,
        response_deserializer=wire.GetVersionResponse.FromString,
    )
    try:
        told = await ask(wire.GetVersionRequest(), metadata=metadata_of(endpoint), timeout=VERSION_S)
    except aio.AioRpcError:
        return "what it does not say"
    return " ".join(told.version.split())[:_LONGEST]
