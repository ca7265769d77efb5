"""The own wallet's transactions, on a stream of their own at `confirmed`: how an outlet learns first what landed.

It is a help, not a source: nothing of it is recorded, no gap of it is a gap. While it is down, or silent about a
signature, the outlet asks nodes. So it comes back after every loss and never ends a session.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from google.protobuf.message import DecodeError
from grpc import aio

from ironcrab.ingest.counts import Counts, count
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.channel import SUBSCRIBE, metadata_of, open_channel
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.geyser_client import FIRST_PAUSE_S, LONGEST_PAUSE_S, PING_S, SILENCE_S

Hear = Callable[[wire.SubscribeUpdateTransactionInfo, int], None]


def own_request(wallet: str) -> wire.SubscribeRequest:
    """Transactions that name the wallet, failed ones too, once they are confirmed."""
    request = wire.SubscribeRequest(commitment=wire.CONFIRMED)
    own = request.transactions["own"]
    own.vote = False
    own.account_include.append(wallet)
    return request


class OwnFeed:
    """See the module.

    Attributes:
        is_up: whether the stream is open and spoke.
        counts: `own_lost` streams, `own_malformed` frames.

    Args:
        endpoint: where.
        wallet: whose, base58.
        hear: told each transaction and its slot.
        silence_s: seconds without any message after which the stream counts as dead.
    """

    def __init__(self, endpoint: Endpoint, wallet: str, hear: Hear, *, silence_s: float = SILENCE_S) -> None:
        self.endpoint = endpoint
        self.wallet = wallet
        self.hear = hear
        self.silence_s = silence_s
        self.is_up = False
        self.counts: Counts = {}
        self._pause_s = FIRST_PAUSE_S

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            with suppress(aio.AioRpcError, aio.UsageError, TimeoutError):
                await self._stream()
            self.is_up = False
            count(self.counts, "own_lost")
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    async def _stream(self) -> None:
        async with open_channel(self.endpoint) as channel:
            method = channel.stream_stream(SUBSCRIBE, request_serializer=wire.SubscribeRequest.SerializeToString)
            call = method(self._requests(), metadata=metadata_of(self.endpoint))
            frames = aiter(call)
            while True:
                async with asyncio.timeout(self.silence_s):
                    frame = await anext(frames, None)
                if frame is None:
                    return
                self.is_up, self._pause_s = True, FIRST_PAUSE_S
                self._take(frame)

    async def _requests(self) -> AsyncIterator[wire.SubscribeRequest]:
        """The subscription, then pings: some balancers close streams whose client is silent."""
        yield own_request(self.wallet)
        number = 0
        while True:
            await asyncio.sleep(PING_S)
            number = (number + 1) & 0x7FFFFFFF
            yield wire.SubscribeRequest(ping=wire.SubscribeRequestPing(id=number))

    def _take(self, frame: bytes) -> None:
        try:
            update = wire.SubscribeUpdate.FromString(frame)
        except DecodeError:
            count(self.counts, "own_malformed")
            return
        if update.HasField("transaction"):
            self.hear(update.transaction.transaction, update.transaction.slot)
