"""The bus: one JetStream stream as the transport of a log that several processes write.

    subject   ironcrab.log.<speaker>.<event type>     speaker: `said.<reducer>`, or `world.<node>` for the world's words
    body      {"cause":..,"time":..,"event":{..}}     `by` stands in the subject alone, which permissions guard
    seq       stream seq + offset                     log id and offset stand in the stream's metadata

Each publish names the last message of its speaker that it knows of: the server refuses it where another has spoken
since, so two instances cannot both speak. `Nats-Msg-Id` is a second belt. The world's time is clamped when a message is
read, by every reader alike: it never decreases. The recorder tells up to which seq the log is on its disk.

A `Bus` lives as long as its connection. What follows a loss is a new one, which begins where the reader stands.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError

from ironcrab.domain.fault import InputFault
from ironcrab.shell.bus_login import Login
from ironcrab.shell.bus_message import (
    ANSWER_S,
    ROOT,
    STREAM,
    BusFault,
    Message,
    RefusedFault,
    Word,
    body_of,
    bus_faults,
    subject_of,
)
from ironcrab.shell.bus_reader import Reader
from ironcrab.shell.tasks import end

DURABLE = "ironcrab.durable"
"""Where the recorder tells its watermark, at each commit and once a second."""
LOG_KEY, OFFSET_KEY = "ironcrab_log", "ironcrab_offset"
FEW = 12
"""So many are published one by one: a batch costs the server as much as about twenty single messages."""
WRONG_LAST = (10071, 10164)
"""Codes of the server: the expected last sequence is not the last one."""
DUPLICATE = 10201
"""Code of the server: a batch holds a message id that it knows."""
SEQ = "Ironcrab-Seq"
"""Header of what is announced of the log: the record's seq. Who listens for what is new to the log passes it over."""
STATES = "STATES"
CHUNK, NEWEST = "ironcrab.states.chunk", "ironcrab.states.newest"
CHUNK_BYTES = 2 << 20
KEPT_CHUNKS = 96
"""States of two or three times stay, so that a reader never loses those that it has begun with."""
CLOSE_S = 0.5
"""Longest wait for the end of a connection that failed."""
MOST_BYTES = 4 << 30
"""Of the stream; beyond it publishes are refused: nodes wait, nothing is overwritten."""


_encode = msgspec.json.encode


class LogStream(Struct, frozen=True):
    """What the stream is: log id, offset (log seq - stream seq), stream seqs of its first and last message."""

    log_id: str
    offset: int
    first: int
    last: int


class States(Struct, frozen=True):
    """States of all reducers that the recorder left on the bus: of which log, before which seq, in which run.

    `begins` says that the log begins with them: its end was lost, and the next run opens there. `data` are the bytes of
    a snapshot file.
    """

    log_id: str
    seq: int
    run: int
    begins: bool
    data: bytes


class _StatesHead(Struct, frozen=True):
    """The message that closes the chunks of states: their stream seqs are `first` and the `count` - 1 after it."""

    log_id: str
    seq: int
    run: int
    begins: bool
    first: int
    count: int


class Kept(Struct, frozen=True):
    """A stream of what is announced: its name, its subjects, seconds that a message stays, whether only the newest.

    `rollup`: a message may say that it takes the place of those before it. `counts`: its last message tells how far
    the log was announced.
    """

    name: str
    subject: str
    age_s: int
    newest_only: bool = False
    rollup: bool = False
    counts: bool = False


def bucket(name: str) -> Kept:
    """The stream of a key-value bucket."""
    return Kept(f"KV_{name}", f"$KV.{name}.>", 0, newest_only=True, rollup=True)


class Bus:
    """A connection to the bus. Use `connected`.

    Attributes:
        client: the connection.
        stream: the log's stream, once `find` found it.
        durable: seq up to which the log is on the recorder's disk, as last told; `heard` is called with it.
        denied: what the server said that our login may not do.
    """

    def __init__(self, client: Client, lost: asyncio.Event, denied: list[str]) -> None:
        self.client = client
        self.denied = denied
        self.stream: LogStream | None = None
        self.durable = -1
        self.told = asyncio.Event()
        self.heard: Callable[[int], None] = lambda _: None
        self._lost = lost
        self._js = client.jetstream(timeout=ANSWER_S)

    @property
    def is_lost(self) -> bool:
        """Whether the connection is gone."""
        return self._lost.is_set()

    async def lost(self) -> None:
        """Wait for the end of the connection, then raise BusFault; InputFault where our login may not do something."""
        await self._lost.wait()
        if self.denied:
            raise InputFault(f"the bus denies what this process needs ({self.denied[0]}); check its --login")
        raise BusFault("the bus is gone")

    async def find(self) -> LogStream | None:
        """The log's stream as it stands; None: there is none yet. BusFault."""
        with bus_faults():
            try:
                info = await self._js.stream_info(STREAM)
            except NotFoundError:
                return None
        told = info.config.metadata or {}
        if LOG_KEY not in told:
            raise InputFault(f"stream {STREAM} is no log of ours; give ironcrab an account of its own")
        self.stream = LogStream(told[LOG_KEY], int(told[OFFSET_KEY]), info.state.first_seq, info.state.last_seq)
        return self.stream

    async def make(self, log_id: str, offset: int) -> LogStream:
        """Make the log's stream (the recorder does). BusFault."""
        config = api.StreamConfig(
            name=STREAM,
            subjects=[f"{ROOT}.>"],
            max_bytes=MOST_BYTES,
            discard=api.DiscardPolicy.NEW,
            allow_direct=True,
            allow_atomic=True,
            deny_delete=True,
            metadata={LOG_KEY: log_id, OFFSET_KEY: str(offset)},
        )
        with bus_faults():
            await self._js.add_stream(config)
        found = await self.find()
        assert found is not None
        return found

    async def unmake(self) -> None:
        """Remove the log's stream, whose end is lost. BusFault."""
        with bus_faults(), contextlib.suppress(NotFoundError):
            await self._js.delete_stream(STREAM)

    async def publish(self, speaker: str, words: Sequence[Word], last: int) -> int:
        """Say these words if the speaker's last message has the stream seq `last`; the stream seq of the newest one.

        All are said, or none, or (where they are few) the first ones; who follows the stream sees which.

        Raises:
            RefusedFault: another message of this speaker came first.
            BusFault: no answer: they may have been said or not.
        """
        if len(words) <= FEW:
            for word in words:
                last = await self._one(speaker, word, self._headers(speaker, word, last))
            return last
        batch = f"{words[0].id}+{len(words)}"
        for index, word in enumerate(words, 1):
            headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(index), "Nats-Msg-Id": word.id}
            if index == 1:
                headers |= self._headers(speaker, word, last)
            if index == len(words):
                return await self._one(speaker, word, headers | {"Nats-Batch-Commit": "1"})
            with bus_faults():
                await self.client.publish(subject_of(speaker, word), body_of(word), headers=headers)
        return last

    @staticmethod
    def _headers(speaker: str, word: Word, last: int) -> dict[str, str]:
        return {
            "Nats-Msg-Id": word.id,
            "Nats-Expected-Last-Subject-Sequence": str(last),
            "Nats-Expected-Last-Subject-Sequence-Subject": f"{ROOT}.{speaker}.>",
        }

    async def _one(self, speaker: str, word: Word, headers: dict[str, str]) -> int:
        with bus_faults():
            answer = await self.client.request(
                subject_of(speaker, word), body_of(word), timeout=ANSWER_S, headers=headers
            )
        told = msgspec.json.decode(answer.data)
        error = told.get("error")
        if error is None and not told.get("duplicate"):
            return int(told["seq"])
        if error is None or error.get("err_code") in (*WRONG_LAST, DUPLICATE):
            raise RefusedFault(f"{speaker} has spoken already")
        raise BusFault(f"the bus refused a message of {speaker}: {error.get('description', error)}")

    async def follow(self, first: int) -> AsyncIterator[list[Message]]:
        """The stream from stream seq `first` on, in order, without an end; what waits comes together. BusFault."""
        reader = Reader(self.client)
        try:
            await reader.open(first)
            while True:
                yield await reader.some()
        finally:
            await reader.close()

    async def last_of(self, speaker: str) -> int:
        """Stream seq of the newest message of a speaker; 0: it has said nothing. BusFault."""
        with bus_faults():
            try:
                found = await self._js.get_msg(STREAM, subject=f"{ROOT}.{speaker}.>", direct=False)
            except NotFoundError:
                return 0
        return found.seq or 0

    async def tell_durable(self, log_id: str, seq: int) -> None:
        """Tell how far the log is on the disk (the recorder does). BusFault."""
        with bus_faults():
            await self.client.publish(DURABLE, _encode({"log": log_id, "seq": seq}))

    async def hear_durable(self) -> None:
        """Keep `durable` from now on."""

        async def heard(message: Msg) -> None:
            told = msgspec.json.decode(message.data)
            if self.stream is not None and told.get("log") == self.stream.log_id:
                self.durable = max(self.durable, int(told["seq"]))
                self.heard(self.durable)
                self.told.set()

        with bus_faults():
            await self.client.subscribe(DURABLE, cb=heard)

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes | None]]) -> None:
        """Answer what comes on a subject and is not the log's; an answer goes to who asked for one. BusFault."""
        tasks: dict[asyncio.Task[None], None] = {}

        async def one(message: Msg) -> None:
            told = await answer(message.data)
            if told is not None and message.reply:
                with contextlib.suppress(nats.errors.Error, OSError):  # who asked, or we, may be gone by now
                    await self.client.publish(message.reply, told)

        async def heard(message: Msg) -> None:
            if SEQ in (message.headers or {}):
                return
            # each in a task of its own: an answer may wait for the disk
            task = asyncio.create_task(one(message))
            tasks[task] = None
            task.add_done_callback(lambda done: tasks.pop(done, None))

        with bus_faults():
            await self.client.subscribe(subject, cb=heard)

    async def tell(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Publish on a subject that is not the log's, without waiting for anyone. BusFault."""
        with bus_faults():
            await self.client.publish(subject, body, headers=headers)

    async def leave_states(self, states: States) -> None:
        """Put states on the bus for nodes that begin (the recorder does). BusFault."""
        config = api.StreamConfig(
            name=STATES, subjects=[CHUNK, NEWEST], max_msgs_per_subject=KEPT_CHUNKS, allow_direct=True
        )
        data = states.data
        with bus_faults():
            await self._js.add_stream(config)
            acks = [
                await self._js.publish(CHUNK, data[at : at + CHUNK_BYTES], timeout=ANSWER_S)
                for at in range(0, len(data), CHUNK_BYTES)
            ]
            head = _StatesHead(states.log_id, states.seq, states.run, states.begins, acks[0].seq, len(acks))
            await self._js.publish(NEWEST, _encode(head), timeout=ANSWER_S)

    async def states(self) -> States | None:
        """The newest states on the bus; None: nobody left any. BusFault."""
        with bus_faults():
            try:
                told = await self._js.get_msg(STATES, subject=NEWEST, direct=False)
                head = msgspec.json.decode(told.data or b"", type=_StatesHead)
                parts = [
                    (await self._js.get_msg(STATES, seq=head.first + index, direct=False)).data or b""
                    for index in range(head.count)
                ]
            except NotFoundError:
                return None
        return States(head.log_id, head.seq, head.run, head.begins, b"".join(parts))

    async def trim(self, seq: int) -> None:
        """Let go of the stream's messages below stream seq `seq` (the recorder does). BusFault."""
        with bus_faults():
            await self._js.purge_stream(STREAM, seq=seq)

    async def keep(self, streams: Sequence[Kept], header: str) -> int:
        """Make these streams where they are not; the highest number that stands in `header` of their last messages."""
        highest = -1
        for kept in streams:
            config = api.StreamConfig(
                name=kept.name,
                subjects=[kept.subject],
                max_age=kept.age_s,
                max_msgs_per_subject=1 if kept.newest_only else -1,
                allow_rollup_hdrs=kept.rollup,
                allow_direct=True,
            )
            with bus_faults():
                try:
                    info = await self._js.stream_info(kept.name)
                except NotFoundError:
                    info = await self._js.add_stream(config)
                if info.state.last_seq and info.state.messages and kept.counts:
                    last = await self._js.get_msg(kept.name, seq=info.state.last_seq, direct=False)
                    highest = max(highest, int((last.headers or {}).get(header, -1)))
        return highest

    async def announce(self, subject: str, body: bytes, message_id: str, headers: dict[str, str]) -> None:
        """Publish into a stream of what is announced; once, where there is an id. BusFault."""
        told = {**headers, "Nats-Msg-Id": message_id} if message_id else headers
        with bus_faults():
            await self._js.publish(subject, body, headers=told, timeout=ANSWER_S)

    async def put(self, name: str, key: str, value: bytes | None) -> None:
        """Put a value into a key-value bucket; None: the key goes. BusFault."""
        await self.announce(f"$KV.{name}.{key}", value or b"", "", {} if value is not None else {"KV-Operation": "DEL"})

    async def keys(self, name: str) -> list[str]:
        """The keys that a key-value bucket has held, gone ones among them. BusFault."""
        with bus_faults():
            info = await self._js.stream_info(f"KV_{name}", subjects_filter=">")
        return [subject.removeprefix(f"$KV.{name}.") for subject in info.state.subjects or {}]

    async def told_durable(self) -> None:
        """Wait for the next word about the watermark."""
        self.told.clear()
        await self.told.wait()

    async def ask(self, subject: str, body: bytes, within_s: float) -> bytes | None:
        """An answer from who serves the subject; None: nobody does. BusFault where it does not come in time."""
        with bus_faults():
            try:
                answer = await self.client.request(subject, body, timeout=within_s)
            except nats.errors.NoRespondersError:
                return None
        data: bytes = answer.data
        return data


class _Client(Client):
    """The library's client, but for two things.

    It speaks plain text with a server that offers nothing else, whatever its URL says. And it looks at each character
    of a header's name, which takes more than half of the time that a message takes to come in.
    """

    def __init__(self, login: Login) -> None:
        super().__init__()
        self.login = login

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """What a server says first, before a word of ours. InputFault where one side wants TLS and the other not."""
        wants, has = self.login.url.startswith("tls://"), bool(info.get("tls_required"))
        place = self.login.url.partition("://")[2]
        if wants and not has:
            raise InputFault(f"the bus at {self.login.url} does not encrypt; write nats://{place} if that is meant")
        if has and not wants:
            raise InputFault(f"the bus at {self.login.url} demands TLS; write tls://{place}")
        await super()._process_info(info, initial_connection)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        lines = (line.partition(":") for line in raw.decode("utf-8", "replace").split("\r\n"))
        return {name: value.strip() for name, colon, value in lines if colon}


async def _give_up(client: Client) -> None:
    """Close a client whose handshake failed: it leaves its transport open then."""
    transport = client._transport  # noqa: SLF001 - nothing public reaches it
    ending = [asyncio.create_task(client.close())]
    if transport is not None:
        transport.close()  # type: ignore[no-untyped-call]
        ending.append(asyncio.create_task(transport.wait_closed()))  # type: ignore[no-untyped-call]
    # where TLS failed neither ever says that it is closed
    await asyncio.wait(ending, timeout=CLOSE_S)
    await end(ending)


@contextlib.asynccontextmanager
async def connected(login: Login, name: str) -> AsyncIterator[Bus]:
    """A bus as long as its connection lives.

    Raises:
        BusFault: nobody listens there.
        InputFault: the login is refused.
    """
    gone = asyncio.Event()

    async def closed() -> None:
        gone.set()

    denied: list[str] = []

    async def failed(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            denied.append(str(error))
            gone.set()

    client = _Client(login)
    try:
        await client.connect(
            **login.options(),
            name=name,
            allow_reconnect=False,
            connect_timeout=int(ANSWER_S),
            # the client would try sixty times in silence; who attends says that the bus is away and tries again
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            closed_cb=closed,
            disconnected_cb=closed,
            error_cb=failed,
            ping_interval=5,
            max_outstanding_pings=2,
        )
    except InputFault:
        await _give_up(client)
        raise
    except ssl.SSLCertVerificationError as error:
        await _give_up(client)
        raise InputFault(
            f"the certificate of the bus at {login.url} is not to be trusted ({error.verify_message}); "
            f"is --nats-ca the PEM of its authority?"
        ) from error
    except (nats.errors.Error, OSError, TimeoutError) as error:
        await _give_up(client)
        if "authorization" in str(error).lower():
            raise InputFault(f"the bus at {login.url} refuses the login of {login.user}") from error
        raise BusFault(f"no bus at {login.url} ({type(error).__name__})") from error
    try:
        yield Bus(client, gone, denied)
    finally:
        with contextlib.suppress(Exception):
            await client.close()
