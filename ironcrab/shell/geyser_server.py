"""A Yellowstone-compatible gRPC server on one chain of updates: for developing and testing without an endpoint.

Served: Subscribe (filters, pings, commitment, from_slot), SubscribeReplayInfo and the unary calls. SubscribeDeshred is
not (UNIMPLEMENTED, as of the open-source plugin). Wrong or missing x-token: UNAUTHENTICATED.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import grpc
from grpc import aio

from ironcrab import __version__
from ironcrab.domain.fault import InputFault
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.geyser_chain import Chain, End, Subscriber
from ironcrab.shell.geyser_filters import Filters, Refused

SERVICE = "geyser.Geyser"
"""Full name of the service on the wire."""
PING_S = 10
"""Seconds between the server's pings (the plugin's)."""
_BLOCKHASH_LIFE = 150
_PING = wire.SubscribeUpdate(ping=wire.SubscribeUpdatePing()).SerializeToString()


class GeyserServer:
    """The server on loopback; an async context manager that plays its chain while it is open.

    Attributes:
        port: bound port.
        chain: what it plays.
        opened: how many Subscribe streams were begun.

    Args:
        chain: what it plays.
        port: to listen on; 0: any free one.
        host: address to listen on.
        token: what `x-token` must say; None: nothing is asked.
        tls: private key and certificate chain, PEM; None: plaintext.
        ping_s: seconds between pings.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        token: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
        ping_s: float = PING_S,
    ) -> None:
        self.chain = chain
        self.host = host
        self.port = port
        self.token = token
        self.ping_s = ping_s
        self.opened = 0
        self._tls = tls
        self._server: aio.Server | None = None
        self._playing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Listen. InputFault where the port cannot be had."""
        self._server = aio.server(options=(("grpc.max_receive_message_length", 4 << 20), ("grpc.so_reuseport", 0)))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._methods()),))
        address = f"{self.host}:{self.port}"
        try:
            if self._tls is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, grpc.ssl_server_credentials((self._tls,)))
        except RuntimeError as error:
            raise InputFault(f"cannot listen on {address}; is another server there? name another --port") from error
        await self._server.start()
        self._playing = asyncio.create_task(self.chain.play())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._playing is not None
        self._playing.cancel()
        await asyncio.gather(self._playing, return_exceptions=True)
        await self._server.stop(0)

    def _methods(self) -> dict[str, Any]:
        unary: tuple[tuple[str, Any, Callable[[Any, Any], Awaitable[Any]]], ...] = (
            ("SubscribeReplayInfo", wire.SubscribeReplayInfoRequest, self._replay_info),
            ("Ping", wire.PingRequest, self._pong),
            ("GetLatestBlockhash", wire.GetLatestBlockhashRequest, self._blockhash),
            ("GetBlockHeight", wire.GetBlockHeightRequest, self._height),
            ("GetSlot", wire.GetSlotRequest, self._slot),
            ("IsBlockhashValid", wire.IsBlockhashValidRequest, self._valid),
            ("GetVersion", wire.GetVersionRequest, self._version),
        )
        methods: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(
                self._allowed(answer), request.FromString, lambda reply: reply.SerializeToString()
            )
            for name, request, answer in unary
        }
        methods["Subscribe"] = grpc.stream_stream_rpc_method_handler(self._subscribe, wire.SubscribeRequest.FromString)
        return methods

    def _allowed(self, answer: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            await self._admit(context)
            return await answer(request, context)

        return call

    async def _admit(self, context: Any) -> None:
        told = dict(context.invocation_metadata() or ())
        if self.token is not None and told.get("x-token") != self.token:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "No valid auth token")

    async def _subscribe(self, requests: AsyncIterator[wire.SubscribeRequest], context: Any) -> None:
        await self._admit(context)
        if self.chain.refusals:
            await context.abort(grpc.StatusCode[self.chain.refusals.popleft()], "refused by the script")
        self.opened += 1
        subscriber = self.chain.join()
        reading = asyncio.create_task(self._read(requests, subscriber))
        pinging = asyncio.create_task(self._ping(subscriber))
        try:
            await self._write(subscriber, context)
        finally:
            self.chain.leave(subscriber)
            reading.cancel()
            pinging.cancel()

    async def _write(self, subscriber: Subscriber, context: Any) -> None:
        while True:
            message = await subscriber.next()
            if isinstance(message, End):
                if message.code:
                    await context.abort(grpc.StatusCode[message.code], message.text)
                return
            await context.write(message)

    async def _read(self, requests: AsyncIterator[wire.SubscribeRequest], subscriber: Subscriber) -> None:
        """Each request with filters replaces those before; one with a ping is answered and says nothing else."""
        async for request in requests:
            if request.HasField("ping"):
                pong = wire.SubscribeUpdate(pong=wire.SubscribeUpdatePong(id=request.ping.id))
                subscriber.tell([pong.SerializeToString()])
                continue
            try:
                self.chain.subscribe(subscriber, Filters(request))
            except Refused as refused:
                subscriber.end(End("INVALID_ARGUMENT", str(refused)))
            except LookupError as refused:
                subscriber.end(End(refused.args[0], refused.args[1]))

    async def _ping(self, subscriber: Subscriber) -> None:
        while True:
            subscriber.tell([_PING])
            await asyncio.sleep(self.ping_s)

    async def _replay_info(self, _request: Any, _context: Any) -> wire.SubscribeReplayInfoResponse:
        return wire.SubscribeReplayInfoResponse(first_available=self.chain.first_available)

    async def _pong(self, request: wire.PingRequest, _context: Any) -> wire.PongResponse:
        return wire.PongResponse(count=request.count)

    async def _version(self, _request: Any, _context: Any) -> wire.GetVersionResponse:
        return wire.GetVersionResponse(version=f'{{"package":"ironcrab-feed","version":"{__version__}"}}')

    async def _slot(self, request: wire.GetSlotRequest, context: Any) -> wire.GetSlotResponse:
        return wire.GetSlotResponse(slot=await self._tip(request.commitment, context))

    async def _height(self, request: wire.GetBlockHeightRequest, context: Any) -> wire.GetBlockHeightResponse:
        meta = await self._meta(request.commitment, context)
        return wire.GetBlockHeightResponse(block_height=meta.block_height.block_height)

    async def _blockhash(
        self, request: wire.GetLatestBlockhashRequest, context: Any
    ) -> wire.GetLatestBlockhashResponse:
        meta = await self._meta(request.commitment, context)
        last = meta.block_height.block_height + _BLOCKHASH_LIFE
        return wire.GetLatestBlockhashResponse(slot=meta.slot, blockhash=meta.blockhash, last_valid_block_height=last)

    async def _valid(self, request: wire.IsBlockhashValidRequest, context: Any) -> wire.IsBlockhashValidResponse:
        tip = await self._meta(request.commitment, context)
        now = tip.block_height.block_height
        valid = any(
            meta.blockhash == request.blockhash and now - meta.block_height.block_height <= _BLOCKHASH_LIFE
            for meta in self.chain.metas.values()
            if meta.slot <= tip.slot
        )
        return wire.IsBlockhashValidResponse(slot=tip.slot, valid=valid)

    async def _tip(self, commitment: int, context: Any) -> int:
        """Newest slot of a level; a level that nothing reached yet (a short capture) is not available."""
        slot = self.chain.tips[commitment] if commitment < len(self.chain.tips) else 0
        if not slot:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "block is not available yet")
        return slot

    async def _meta(self, commitment: int, context: Any) -> wire.SubscribeUpdateBlockMeta:
        slot = await self._tip(commitment, context)
        if slot not in self.chain.metas:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "block is not available yet")
        return self.chain.metas[slot]


def read_tls(key: Path | None, certificate: Path | None) -> tuple[bytes, bytes] | None:
    """Private key and certificate chain, PEM, where both are named; InputFault where one is missing or unreadable."""
    if key is None and certificate is None:
        return None
    if key is None or certificate is None:
        raise InputFault("TLS needs both --tls-key and --tls-cert")
    try:
        told = key.read_bytes(), certificate.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise InputFault(f"{key} and {certificate} are no private key and the certificate chain of it, PEM") from error
    except OSError as error:
        raise InputFault(f"cannot read {error.filename}: {error.strerror}; is it the file you meant?") from error
    return told
