"""Reading the log's stream in order from any place on, without an end."""

import asyncio
import contextlib
from collections import deque
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from ironcrab.shell.bus_message import ANSWER_S, ROOT, STREAM, BusFault, Message, bus_faults

BATCH = 512
"""Messages asked for at a time."""
HEARTBEAT_S = 1.0
EXPIRES_S = 20.0
IDLE_S = 30.0
"""Seconds after which the server forgets a reader that does not come back."""
_encode = msgspec.json.encode


class Reader:
    """Pulls the stream through a consumer of its own, which the server forgets when we do not come back."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.waiting: deque[Msg] = deque()
        self.arrived = asyncio.Event()
        self.inbox = client.new_inbox()
        self.name = self.inbox.rpartition(".")[2]
        self.asked = 0
        self.next = 0
        self._subscription: Any = None

    async def open(self, first: int) -> None:
        """Begin with the message `first`. BusFault."""
        self.next = max(first, 1)

        async def heard(message: Msg) -> None:
            self.waiting.append(message)
            self.arrived.set()

        config = {
            "name": self.name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.next,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(IDLE_S * 1e9),
        }
        with bus_faults():
            self._subscription = await self.client.subscribe(self.inbox, cb=heard)
            answer = await self.client.request(
                f"$JS.API.CONSUMER.CREATE.{STREAM}.{self.name}",
                _encode({"stream_name": STREAM, "config": config}),
                timeout=ANSWER_S,
            )
        error = msgspec.json.decode(answer.data).get("error")
        if error is not None:
            raise BusFault(f"the bus gives no stream {STREAM}: {error.get('description', error)}")

    async def some(self) -> list[Message]:
        """What waits, at least one message. BusFault."""
        while True:
            if self.asked <= BATCH // 2:
                await self._pull()
            if not self.waiting:
                self.arrived.clear()
                try:
                    async with asyncio.timeout(HEARTBEAT_S * 3):
                        await self.arrived.wait()
                except TimeoutError as error:
                    raise BusFault(f"the bus is silent about stream {STREAM}") from error
            found = [message for _ in range(len(self.waiting)) if (message := self._one()) is not None]
            if found:
                return found

    async def _pull(self) -> None:
        self.asked += BATCH
        wish = {"batch": BATCH, "expires": int(EXPIRES_S * 1e9), "idle_heartbeat": int(HEARTBEAT_S * 1e9)}
        with bus_faults():
            await self.client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self.name}", _encode(wish), reply=self.inbox
            )

    def _one(self) -> Message | None:
        message = self.waiting.popleft()
        headers = message.headers or {}
        status = headers.get("Status") if not message.reply or not message.reply.startswith("$JS.ACK") else None
        if status == "100":
            return None
        if status == "408":
            self.asked = max(0, self.asked - int(headers.get("Nats-Pending-Messages", BATCH)))
            return None
        if status is not None:
            raise BusFault(f"the bus ended the reading of stream {STREAM} ({status})")
        seq = _stream_seq(message.reply)
        if seq != self.next:
            raise BusFault(f"stream {STREAM} gave message {seq} where {self.next} is next")
        self.next, self.asked = seq + 1, self.asked - 1
        _, _, rest = message.subject.partition(f"{ROOT}.")
        speaker, _, kind = rest.rpartition(".")
        return Message(seq, speaker, kind, headers.get("Nats-Msg-Id", ""), message.data)

    async def close(self) -> None:
        """Give the consumer back, where the connection still stands."""
        if self.client.is_closed or self._subscription is None:
            return
        with contextlib.suppress(Exception):
            await self._subscription.unsubscribe()
            await self.client.publish(f"$JS.API.CONSUMER.DELETE.{STREAM}.{self.name}")


def _stream_seq(reply: str) -> int:
    """The stream seq in a delivered message's reply subject: its sixth word, or the eighth where a domain is named."""
    words = reply.split(".")
    return int(words[5] if len(words) == 9 else words[7])
