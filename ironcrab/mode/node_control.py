"""What people and other systems say to a set of nodes over the bus: the engine's node takes it, each word is a record.

    ironcrab.<component>.commands     request and reply: an operator's Request, a ControlRequest, a ConfigUpdate
    ironcrab.v1.control_requests      ControlRequests (wire contract 1.11); the answer also goes to who asked for one
    ironcrab.control.kill             whatever comes there kills

A reply comes when the record is on the recorder's disk. Requests to market-data are recorded here too and answered by
its node in the log: nobody else may put the operator's word there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ironcrab.domain.control import ConfigChanged, ConfigUpdate, ControlRequest, ControlResponse
from ironcrab.domain.event import SCHEMA_VERSION, Event
from ironcrab.domain.fault import InputFault
from ironcrab.log.contract import Header, export_line, import_line
from ironcrab.loop import Record
from ironcrab.mode.node import ENGINE, MARKET_DATA
from ironcrab.mode.operator import KILL as TURN_ON
from ironcrab.mode.operator import POLL_S
from ironcrab.mode.operator import RESET as TURN_OFF
from ironcrab.mode.rereading import ENSURE
from ironcrab.shell.bus import SEQ, Bus
from ironcrab.shell.bus_server import COMMANDED, CONTROL_REQUESTS, KILL, commands_of
from ironcrab.shell.clock import now_ns
from ironcrab.shell.control import Reply, Request

BURN = "burn_token_accounts"
OURS = (TURN_ON, TURN_OFF, BURN)
"""Kinds of requests to the engine."""
ANSWER_S = 60.0
"""Longest wait for market-data's answer; the engine itself waits less."""
CONFIG_S = 4.5
"""Longest wait for a component's answer to other settings: who asks over the contract's subjects waits 5 s."""
MILLI = 1_000_000


class ConfigUpdateResponse(Struct, frozen=True):
    """What became of a ConfigUpdate (wire contract 1.11)."""

    status: Literal["Applied", "PartiallyApplied", "Rejected"]
    applied_keys: tuple[str, ...]
    rejected_keys: tuple[tuple[str, str], ...]
    new_snapshot_id: str | None


class BusControl:
    """See the module.

    Args:
        say: the world says an event; the number of the word.
        stands: waits until the record of a word is on the recorder's disk; its seq.
        answer: performs an operator's Request.
        is_held: whether a KILL file holds the switch.
        durable: waits until a seq is on the recorder's disk.
    """

    def __init__(
        self,
        say: Callable[[Event], int],
        stands: Callable[[int], Awaitable[int | None]],
        answer: Callable[[Request], Awaitable[Reply]],
        is_held: Callable[[], bool],
        durable: Callable[[], int],
    ) -> None:
        self.say = say
        self.stands = stands
        self.answer = answer
        self.is_held = is_held
        self.durable = durable
        self.responses: dict[str, Record | None] = {}
        self.changed: dict[str, Record | None] = {}
        self._told: asyncio.Queue[Record] = asyncio.Queue()

    def see(self, record: Record, *, is_level: bool) -> None:
        """A record was folded."""
        event = record.event
        if isinstance(event, ControlResponse) and event.request_id in self.responses:
            self.responses[event.request_id] = record
        elif isinstance(event, ConfigChanged) and event.component in self.changed:
            self.changed[event.component] = record
        elif isinstance(event, ControlRequest) and record.by is not None and is_level:
            self._told.put_nowait(record)

    async def serve(self, bus: Bus) -> None:
        """Listen on a new connection."""
        for component in COMMANDED:
            await bus.serve(commands_of(component), partial(self._command, component))
        await bus.serve(CONTROL_REQUESTS, self._request)
        await bus.serve(KILL, self._kill)

    async def tell(self, bus: Bus) -> None:
        """Tell what the engine itself asks for on the contract's subject, as long as the connection lives."""
        while True:
            record = await self._told.get()
            header = Header(SCHEMA_VERSION, record.time // MILLI, ENGINE)
            await bus.tell(CONTROL_REQUESTS, export_line(header, record.event) or b"", {SEQ: str(record.seq)})

    async def _command(self, component: str, body: bytes) -> bytes:
        try:
            return msgspec.json.encode(await self.answer(msgspec.json.decode(body, type=Request)))
        except msgspec.DecodeError:
            pass
        try:
            _, event = import_line(body, _named(body))
        except InputFault as fault:
            return _no(str(fault))
        if isinstance(event, ConfigUpdate):
            return await self._config(component, event)
        return await self._request(body) or _no("the request is to nobody here")

    async def _config(self, component: str, event: ConfigUpdate) -> bytes:
        """Other settings for one component; its answer, in the log and to who asked."""
        name = event.target_component or component
        self.changed[name] = None
        try:
            await self.stands(self.say(event))
            found = await self._until(lambda: self.changed.get(name), CONFIG_S)
        finally:
            self.changed.pop(name, None)
        if found is None:
            silent = tuple((key, f"{name} takes no settings while it runs") for key in event.config)
            return msgspec.json.encode(ConfigUpdateResponse("Rejected", (), silent, None))
        told: Any = found.event
        applied = tuple(setting.key for setting in told.settings)
        rejected = tuple((setting.key, setting.origin) for setting in told.rejected)
        status: Any = "Rejected" if not applied else "PartiallyApplied" if rejected else "Applied"
        return msgspec.json.encode(ConfigUpdateResponse(status, applied, rejected, told.config_snapshot_id))

    async def _request(self, body: bytes) -> bytes | None:
        """A ControlRequest becomes a record as it came. None: it is not for us."""
        try:
            _, event = import_line(body, "ControlRequest")
        except InputFault as fault:
            return _no(str(fault))
        assert isinstance(event, ControlRequest)
        if event.target == MARKET_DATA and event.kind.startswith(ENSURE):
            return await self._ensure(event)
        if event.target not in (ENGINE, "all"):
            return None
        if event.kind not in OURS:
            return _no(f"{event.kind} is nothing that {ENGINE} does")
        if event.kind == TURN_OFF and self.is_held():
            return _no("a KILL file lies in the data folder; remove it first")
        seq = await self.stands(self.say(event))
        return msgspec.json.encode(Reply(ok=True, text=f"{event.kind} is recorded", seq=seq))

    async def _ensure(self, event: ControlRequest) -> bytes:
        """What market-data is to read again: its answer, as the contract has it."""
        name = event.request_id
        if name in self.responses:
            return _wire(ControlResponse(name, MARKET_DATA, "busy", message="it is being answered"))
        self.responses[name] = None
        try:
            self.say(event)
            found = await self._until(lambda: self.responses.get(name), ANSWER_S)
        finally:
            self.responses.pop(name, None)
        if found is None:
            return _wire(ControlResponse(name, MARKET_DATA, "error", message="market-data does not answer; is it up?"))
        return _wire(found.event)

    async def _until(self, look: Callable[[], Record | None], within_s: float) -> Record | None:
        """The record, once it is there and on the recorder's disk; None: it does not come in time."""
        try:
            async with asyncio.timeout(within_s):
                while (found := look()) is None or self.durable() < found.seq:  # noqa: ASYNC110 - it is rare
                    await asyncio.sleep(POLL_S)
                return found
        except TimeoutError:
            return None

    async def _kill(self, body: bytes) -> bytes:
        """The old subject: whatever comes there kills; a reason is taken where one is told."""
        try:
            told = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = {}
        return msgspec.json.encode(await self.answer(Request("kill", str(told.get("reason") or KILL))))


def _named(body: bytes) -> str:
    """Which of the two messages of the contract a command is: one asks for settings, the other names a request."""
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "ControlRequest"
    return "ConfigUpdate" if "config" in told else "ControlRequest"


def _no(text: str) -> bytes:
    return msgspec.json.encode(Reply(ok=False, text=text))


def _wire(response: Event) -> bytes:
    return export_line(Header(SCHEMA_VERSION, now_ns() // MILLI, MARKET_DATA), response) or b""
