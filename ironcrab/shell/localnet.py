"""`ironcrab localnet`: the local chain behind JSON-RPC over HTTP on loopback, with slots that advance by a timer.

Only for one host: it binds to loopback and knows no password.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import web

from ironcrab.domain.fault import InputFault
from ironcrab.shell.local_calls import CALLS
from ironcrab.shell.local_chain import LocalChain, Refused

LOOPBACK = "127.0.0.1"
MOST_REQUEST = 4 * 2**20
"""Bytes of the longest request that is read."""
MOST_WAITING = 100_000
"""Frames a feed reader may be behind; then it is cut off, as a lagging subscriber is."""
METHODS = dict(CALLS)


class Muted(Exception):  # noqa: N818 - the script's word, not an error of ours
    """The answer to this request is to be lost."""


class Localnet:
    """A chain that is served: `async with Localnet(chain) as net: net.url`.

    Args:
        chain: the chain.
        port: TCP port on loopback; 0: any free one.
        tick: advance a slot every `chain.slot_ms`; without it slots advance by `chain.advance()` only.
    """

    def __init__(self, chain: LocalChain, port: int = 0, *, tick: bool = True) -> None:
        self.chain = chain
        self.port = port
        self._tick = tick
        self._ticking: asyncio.Task[None] | None = None
        app = web.Application(client_max_size=MOST_REQUEST)
        app.router.add_post("/", self._post)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, self.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise InputFault(f"port {self.port} on {LOOPBACK} cannot be used: {error.strerror}") from error
        self.port = self._runner.addresses[0][1]
        if self._tick:
            self._ticking = asyncio.create_task(self._advance())
            self._ticking.add_done_callback(_report)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        await self._runner.cleanup()
        if self._ticking is not None:
            with suppress(asyncio.CancelledError):
                await self._ticking

    async def _advance(self) -> None:
        """A slot every slot_ms by the loop's clock; a late tick is made up for, so that chain time keeps pace."""
        loop = asyncio.get_running_loop()
        start, done = loop.time(), 0
        while True:
            done += 1
            await asyncio.sleep(max(start + done * self.chain.slot_ms / 1000 - loop.time(), 0))
            self.chain.advance()

    async def frames(self) -> AsyncIterator[bytes]:
        """SubscribeUpdate messages from now on, as the feed would send them unfiltered; ends when the reader lags."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()

        def hear(frame: bytes) -> None:
            if queue.qsize() < MOST_WAITING:
                queue.put_nowait(frame)
            else:
                self.chain.listeners.remove(hear)
                queue.put_nowait(None)

        self.chain.listeners.append(hear)
        try:
            while (frame := await queue.get()) is not None:
                yield frame
        finally:
            if hear in self.chain.listeners:
                self.chain.listeners.remove(hear)

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return web.Response(text="ok")

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            told = msgspec.json.decode(await request.read())
        except msgspec.DecodeError:
            return _json(_error(None, -32700, "Parse error"))
        try:
            if isinstance(told, list):
                return _json([self.answer(one) for one in told])
            if isinstance(told, dict) and self.chain.fates.called(str(told.get("method"))) == "busy":
                error = _error(told.get("id"), 429, "Too many requests for a specific RPC call")
                return _json(error, status=429, headers={"Retry-After": "0"})
            return _json(self.answer(told))
        except Muted:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)

    def answer(self, told: Any) -> dict[str, Any]:
        """The JSON-RPC answer to one request."""
        if not isinstance(told, dict) or not isinstance(told.get("method"), str):
            return _error(None, -32600, "Invalid request")
        name, params, call_id = told["method"], told.get("params", []), told.get("id")
        call = METHODS.get(name)
        if call is None:
            return _error(call_id, -32601, "Method not found")
        if not isinstance(params, list):
            return _error(call_id, -32602, "Invalid params: a list is expected")
        if self._is_behind(name):
            return _error(call_id, -32005, "Node is behind by 42 slots", {"numSlotsBehind": 42})
        try:
            result = call(self.chain, params)
        except Refused as refused:
            return _error(call_id, refused.code, refused.message, refused.data)
        if name == "sendTransaction" and self.chain.fates.is_lost("mute", result):
            raise Muted
        return {"jsonrpc": "2.0", "result": result, "id": call_id}

    def _is_behind(self, method: str) -> bool:
        fates = self.chain.fates
        count = fates.calls.get(method, 0)
        of_it = (fate for fate in fates.fates if fate.kind == "behind" and fate.method == method)
        return count > 0 and any(fate.meets(count) for fate in of_it)


def _report(ticking: asyncio.Task[None]) -> None:
    """A chain that stands still because a listener failed says so at once, not only when it is closed."""
    if not ticking.cancelled() and (error := ticking.exception()) is not None:
        context = {"message": "the local chain stands still", "exception": error}
        ticking.get_loop().call_exception_handler(context)


def _json(told: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(told)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _error(call_id: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": message} if data is None else {"code": code, "message": message, "data": data}
    return {"jsonrpc": "2.0", "error": error, "id": call_id}
