"""The feed client: one subscription kept alive over whatever happens to connections.

It gives frames as they came, with the time of their arrival, and between them what became of the connection. After a
loss it comes back with growing pauses and asks for a replay from a few slots below the last whole one; the first
request of a connection carries that, later ones never. What cannot get better by waiting (a wrong token, no
Yellowstone service, a node without transaction metadata) ends it with one sentence.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from google.protobuf.message import DecodeError
from grpc import aio

from ironcrab.domain.fault import InputFault
from ironcrab.ingest.counts import Counts, count
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.channel import KEEPALIVE_MS, SUBSCRIBE, metadata_of, open_channel
from ironcrab.shell.clock import now_ns, steady_ns
from ironcrab.shell.endpoint import Endpoint, Wanted, request_of
from ironcrab.shell.geyser_order import PING, PONG, SLOT, TRANSACTION, Passage, peek
from ironcrab.shell.inbox import Arrival, Connected, Inbox, Lost

MOST_WAITING = 50_000
"""Frames that may wait for the loop (5 s at 10,000 a second)."""
SILENCE_S = 30.0
"""Seconds without any message (the server pings every 10) after which a connection counts as dead."""
PING_S = 10.0
"""Seconds between pings of ours: some balancers close streams whose client is silent."""
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
BELOW = 2
"""Slots below the last whole one with which a replay begins."""
MOST_ABOVE = 16
"""Slots by which a replay begins above the oldest slot at most, where that was gone before it was asked for."""
NEWEST_S = 3.0
"""Seconds that asking for the newest slot may take."""
FETCH_S = 3.0
"""Seconds without a message after which fetching a partial slot counts as failed."""
PAST = 8
"""Slots above a wanted one behind which no replay tells it any more."""
FETCHES = 3
"""Connections in a row that are given up for a partial slot that could not be fetched: the next one's replay has it."""
PROBED = 20
"""Frames of a kind that are looked at before an endpoint is believed."""
QUIET_SLOTS = 150
"""Slots that go by without a transaction before a subscription that had some counts as broken."""

_FINAL = ("INVALID_ARGUMENT", "FAILED_PRECONDITION")


class _Broken(Exception):  # noqa: N818 - it leaves this module as a Lost
    """The connection is given up by us; its text is the reason."""


class GeyserClient:
    """A subscription; read it with `arrivals`, change what is wanted with `want`.

    Attributes:
        counts: `frame_malformed`, `slot_told_again`, `slot_fetched`, `account_coalesced`, by reason.
        inbox: what waits for the reader.
        whole: highest slot told whole; None: none yet.

    Args:
        endpoint: where.
        wanted: what.
        from_slot: where a resumed log wants the feed to begin; None: live.
        most_waiting: bound of the inbox, frames.
        silence_s: deadline on silence.
        ping_s: seconds between pings of ours.
        keepalive_ms: HTTP/2 keepalive.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        wanted: Wanted,
        *,
        from_slot: int | None = None,
        most_waiting: int = MOST_WAITING,
        silence_s: float = SILENCE_S,
        ping_s: float = PING_S,
        keepalive_ms: int = KEEPALIVE_MS,
    ) -> None:
        self.endpoint = endpoint
        self.wanted = wanted
        self.silence_s = silence_s
        self.ping_s = ping_s
        self.keepalive_ms = keepalive_ms
        self.counts: Counts = {}
        self.inbox = Inbox(most_waiting)
        self.whole: int | None = None
        self._from_slot = from_slot
        self._requests: asyncio.Queue[wire.SubscribeRequest] = asyncio.Queue()
        self._was_up = False
        self._is_up = False
        self._pause_s = FIRST_PAUSE_S
        self._no_replay = False
        self._above = 0
        self._unfetched = 0
        self._last_message = 0
        self._probed = {"frames": 0, "good": 0, "transactions": 0, "described": 0}
        self._last_trade_slot = 0
        self._heals = True
        self._first: int | None = None

    def want(self, wanted: Wanted) -> None:
        """Replace what is wanted, on the open connection too (without a replay)."""
        if wanted != self.wanted:
            self.wanted = wanted
            self._requests.put_nowait(request_of(wanted))

    @property
    def coalesced(self) -> int:
        """Account writes dropped for newer ones."""
        return self.inbox.coalesced

    @property
    def backlog(self) -> int:
        """Frames that wait to be read."""
        return len(self.inbox)

    async def arrivals(self) -> AsyncGenerator[Arrival, None]:
        """Frames and what became of connections, until the reader stops.

        Raises:
            InputFault: the endpoint cannot be used; one sentence says why.
        """
        network = asyncio.create_task(self._run())
        try:
            while True:
                yield await self.inbox.next()
        finally:
            network.cancel()
            await asyncio.gather(network, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                reason = await self._connection()
                if self._is_up:
                    self._is_up = False
                    self.inbox.put(now_ns(), Lost(reason))
                await self.inbox.drained()
                await asyncio.sleep(self._pause_s)
                self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        except InputFault as fault:
            self.inbox.fail(fault)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader must not wait for ever
            self.inbox.fail(InputFault(f"the feed client of {self.endpoint.target} failed: {error!r}; report this"))

    async def _connection(self) -> str:
        """One connection from its beginning to its end; returns why it ended. InputFault: trying again is of no use."""
        async with open_channel(self.endpoint, self.keepalive_ms) as channel:
            try:
                from_slot = await self._replay_from(channel)
                to_slot = None if from_slot is None else await self._newest(channel)
                await self._stream(channel, Connected(from_slot, to_slot))
            except _Broken as broken:
                return str(broken)
            except aio.AioRpcError as error:
                return self._judge(error)
            except aio.UsageError as error:
                return f"the call failed: {error}"
        return "the server ended the stream"

    async def _replay_from(self, channel: Any) -> int | None:
        """Where the replay of a new connection begins: None where none is wanted or to be had."""
        # never below where the feed began: what lies there stands whole in the log, or was not asked for
        floor = self._from_slot if self._from_slot is not None else self._first
        wanted = floor if self.whole is None else max(self.whole - BELOW, floor or 0)
        info = channel.unary_unary(
            "/geyser.Geyser/SubscribeReplayInfo",
            request_serializer=wire.SubscribeReplayInfoRequest.SerializeToString,
            response_deserializer=wire.SubscribeReplayInfoResponse.FromString,
        )
        try:
            reply = await info(wire.SubscribeReplayInfoRequest(), timeout=10, metadata=metadata_of(self.endpoint))
        except aio.AioRpcError as error:
            if error.code().name != "UNIMPLEMENTED":
                raise
            self._heals = not self._no_replay
            return None if self._no_replay else wanted
        has = reply.HasField("first_available") and not self._no_replay
        self._heals = not self._no_replay and (has or not self._was_up)
        self._no_replay = False
        if not has or wanted is None:
            return None
        # an endpoint that no longer keeps all of it replays what it has: parent links tell what is missing below
        oldest = int(reply.first_available)
        begin = max(wanted, oldest + self._above)
        # what was told whole need not come again, and what comes right behind it must not be passed over
        if self.whole is not None and oldest <= self.whole + 1:
            return min(begin, self.whole + 1)
        return begin

    async def _newest(self, channel: Any) -> int | None:
        """The newest slot of the endpoint; until a replay has told it, the feed tells the past. None: not told."""
        ask = channel.unary_unary(
            "/geyser.Geyser/GetSlot",
            request_serializer=wire.GetSlotRequest.SerializeToString,
            response_deserializer=wire.GetSlotResponse.FromString,
        )
        request = wire.GetSlotRequest(commitment=wire.PROCESSED)
        try:
            return int((await ask(request, timeout=NEWEST_S, metadata=metadata_of(self.endpoint))).slot)
        except aio.AioRpcError:
            return None

    async def _stream(self, channel: Any, begins: Connected) -> None:
        call = self._subscribe(channel)
        passage = Passage(heals=self._heals)
        self._last_message = steady_ns()
        watch = asyncio.create_task(self._watch(call))
        writing = asyncio.create_task(self._write(call, request_of(self.wanted, begins.from_slot)))
        try:
            async for frame in call:
                now = now_ns()
                self._last_message = steady_ns()
                if not self._is_up:
                    self._is_up = self._was_up = True
                    self.inbox.put(now, begins)
                kind, slot = peek(frame)
                if kind in (PING, PONG):
                    continue
                self._probe(kind, slot, frame)
                for passed in passage.take(kind, slot, frame):
                    self._deliver(now, passed)
                if passage.is_ripe or passage.is_overdue:
                    await self._mend(channel, passage)
                if kind == SLOT:
                    self._progress(passage)
        except asyncio.CancelledError:
            if watch.done() and not watch.cancelled():
                raise _Broken(f"no message for {self.silence_s:g} s") from None
            raise
        finally:
            call.cancel()
            await _cancelled(watch, writing)
            if passage.is_holding:
                # a partial slot and what came behind it: the replay of the next connection brings them whole
                count(self.counts, "hold_given_up")

    def _subscribe(self, channel: Any) -> Any:
        method = channel.stream_stream(SUBSCRIBE, request_serializer=wire.SubscribeRequest.SerializeToString)
        return method(metadata=metadata_of(self.endpoint))

    async def _write(self, call: Any, first: wire.SubscribeRequest) -> None:
        """Send the first request, then changed wants, and pings; the reading side tells what went wrong."""
        self._requests = asyncio.Queue()
        number = 0
        with suppress(aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(first)
            while True:
                try:
                    request = await asyncio.wait_for(self._requests.get(), self.ping_s)
                except TimeoutError:
                    number = (number + 1) & 0x7FFFFFFF
                    request = wire.SubscribeRequest(ping=wire.SubscribeRequestPing(id=number))
                await call.write(request)

    async def _watch(self, call: Any) -> None:
        """Cancel the call once nothing has come for too long."""
        left = self.silence_s
        while left > 0:
            await asyncio.sleep(left)
            left = self.silence_s - (steady_ns() - self._last_message) / 1e9
        call.cancel()

    def _deliver(self, now: int, frame: bytes) -> None:
        if not self.inbox.put(now, frame):
            raise _Broken("overflow: the reader fell behind")
        self._pause_s = FIRST_PAUSE_S
        self._above = 0

    def _progress(self, passage: Passage) -> None:
        if self._first is None:
            self._first = passage.first
        if passage.whole is not None:
            self.whole = max(self.whole or 0, passage.whole)
            if self._last_trade_slot and self.whole > self._last_trade_slot + QUIET_SLOTS:
                self._last_trade_slot = 0
                raise _Broken(f"no transaction for {QUIET_SLOTS} slots while slots went on")
        if passage.dropped:
            count(self.counts, "slot_told_again", passage.dropped)
            passage.dropped = 0

    async def _mend(self, channel: Any, passage: Passage) -> None:
        """Fetch the partial slots whole by a second subscription, then let what was held go on.

        Where that fails although the endpoint may have them, the connection is given up: a replay brings them too.
        """
        fetched: list[bytes] = []
        if passage.is_ripe and passage.partial:
            try:
                fetched = await self._fetch(channel, tuple(passage.partial))
                self._unfetched = 0
                count(self.counts, "slot_fetched", len(passage.partial))
            except (aio.AioRpcError, TimeoutError) as error:
                is_gone = isinstance(error, aio.AioRpcError) and _is_gone(error)
                if not is_gone and self._unfetched < FETCHES:
                    self._unfetched += 1
                    raise _Broken("a slot in progress could not be fetched") from None
        now = now_ns()
        for passed in passage.release(fetched):
            self._deliver(now, passed)
        if passage.is_holding:
            passage.heals = False
            for passed in passage.release():
                self._deliver(now, passed)

    async def _fetch(self, channel: Any, slots: tuple[int, ...]) -> list[bytes]:
        """The updates of these slots, all frozen, from a replay; [] where it has gone past them.

        Raises:
            TimeoutError: it does not come. A slow host is none: something comes, and be it late.
        """
        call = self._subscribe(channel)
        fetched: list[bytes] = []
        missing: dict[tuple[int, int], None] = dict.fromkeys((slot, part) for slot in slots for part in (SLOT, _META))
        try:
            await call.write(request_of(self.wanted, min(slots)))
            until = steady_ns() + int(FETCH_S * 1e9)
            while missing:
                frame = await asyncio.wait_for(call.read(), max(0.0, (until - steady_ns()) / 1e9))
                if frame is aio.EOF:
                    raise TimeoutError
                kind, slot = peek(frame)
                if kind in (PING, PONG):
                    continue
                self._last_message = steady_ns()
                until = self._last_message + int(FETCH_S * 1e9)
                if slot > max(slots) + PAST:
                    return []
                if slot not in slots:
                    continue
                fetched.append(frame)
                if kind == _META or (kind == SLOT and _is_end(frame)):
                    missing.pop((slot, kind), None)
        finally:
            call.cancel()
        return fetched

    def _probe(self, kind: int, slot: int, frame: bytes) -> None:
        """Look at the first frames: are they updates, and do transactions come with what their calls did?"""
        probed = self._probed
        if kind == 0:
            count(self.counts, "frame_malformed")
        if kind == TRANSACTION:
            self._last_trade_slot = max(self._last_trade_slot, slot)
        if probed["frames"] < PROBED:
            probed["frames"] += 1
            probed["good"] += kind != 0
            if probed["frames"] == PROBED and probed["good"] == 0:
                raise InputFault(
                    f"{self.endpoint.target} sends frames that are no SubscribeUpdate; is it a Yellowstone endpoint?"
                )
        if kind == TRANSACTION and probed["transactions"] < PROBED:
            probed["transactions"] += 1
            probed["described"] += _is_described(frame)
            if probed["transactions"] == PROBED and probed["described"] == 0:
                raise InputFault(
                    f"{self.endpoint.target} tells transactions without metadata or inner instructions; its node must "
                    f"record them (full transaction metadata): use another endpoint"
                )

    def _judge(self, error: Any) -> str:
        """The reason of a loss; InputFault where trying again is of no use."""
        code, details = error.code().name, (error.details() or "").strip()
        if _is_gone(error):
            # the oldest slot may have gone between asking for it and asking for its replay
            self._no_replay = "from_slot" in details or self._above >= MOST_ABOVE
            self._above = self._above * 2 or 1
            return f"{code}: {details}"
        where = self.endpoint.target
        if code in {"UNAUTHENTICATED", "PERMISSION_DENIED"}:
            given = "the token" if self.endpoint.token is not None else "a call without token"
            raise InputFault(f"{where} refuses {given} ({details}); give the endpoint's token: --token-file FILE")
        if code in {"UNIMPLEMENTED", "NOT_FOUND"}:
            raise InputFault(f"{where} has no Yellowstone service ({code}: {details}); is it the gRPC endpoint?")
        if code in _FINAL:
            raise InputFault(f"{where} refuses the subscription ({code}: {details}); ask for less, or another endpoint")
        if not self._was_up and code != "RESOURCE_EXHAUSTED":
            raise InputFault(_unreachable(where, code, details, tls=self.endpoint.tls))
        return f"{code}: {details}" if _PLAIN.fullmatch(details) else code


_META = 7
_PLAIN = re.compile(r"[A-Za-z ,'()-]+")
"""Words alone: what stands in the log never names an address."""


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _is_gone(error: Any) -> bool:
    """Whether an endpoint says that it cannot replay from a slot (any more)."""
    return error.code().name == "OUT_OF_RANGE" or "from_slot" in (error.details() or "")


def _is_end(frame: bytes) -> bool:
    try:
        status = wire.SubscribeUpdate.FromString(frame).slot.status
    except DecodeError:
        return False
    return status in (wire.SLOT_PROCESSED, wire.SLOT_DEAD)


def _is_described(frame: bytes) -> bool:
    try:
        info = wire.SubscribeUpdate.FromString(frame).transaction.transaction
    except DecodeError:
        return False
    return bool(info.HasField("meta") and not info.meta.inner_instructions_none)


def _unreachable(where: str, code: str, details: str, *, tls: bool) -> str:
    lower = details.lower()
    if any(word in lower for word in ("ssl", "tls", "certificate", "handshake", "verification")):
        hint = "is it a plaintext port (http://), or a certificate of your own authority (--ca-file) or another host?"
        return f"{where}: the TLS handshake failed ({details}); {hint}"
    hint = "is host and port right, and does it speak TLS (https://)?" if not tls else "is host and port right?"
    return f"cannot reach {where} ({code}: {details}); {hint}"
