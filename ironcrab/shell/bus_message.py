"""Messages of the bus: what a speaker has to say as a message of the log's stream, and a message as a record."""

import contextlib
from typing import Any

import msgspec
import nats.errors
from msgspec import Struct
from nats.js.errors import APIError, NotFoundError

from ironcrab.domain.event import AnyEvent
from ironcrab.domain.fault import DamageFault, Fault
from ironcrab.loop import Record

STREAM = "LOG"
ROOT = "ironcrab.log"
ANSWER_S = 4.0
"""Longest wait for the server's answer."""


class BusFault(Fault):
    """The connection to the bus is lost or does not answer; try again."""


class RefusedFault(Fault):
    """The server took nothing: another message of this speaker came first."""


class Word(Struct, frozen=True):
    """What a speaker has to say: the record's cause, time (ns) and event, and a message id of its own."""

    cause: int | None
    time: int
    event: Any
    id: str


class Message(Struct, frozen=True, gc=False):
    """One message of the stream: its stream seq, who said it, the type in its subject, its id, its body."""

    seq: int
    speaker: str
    type: str
    id: str
    body: bytes


_Body = msgspec.defstruct("_Body", [("cause", int | None), ("time", int), ("event", AnyEvent)], gc=False)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Body).decode


def world(node: str) -> str:
    """The speaker that tells what the world says to this node."""
    return f"world.{node}"


def said(reducer: str) -> str:
    """The speaker of a reducer."""
    return f"said.{reducer}"


def record_of(message: Message, offset: int, now: int) -> Record:
    """The record of a message, given the highest time (ns) folded so far.

    Raises:
        DamageFault: it is none; somebody with a login published it, and no reader goes on beyond it.
    """
    kind, _, name = message.speaker.partition(".")
    seq = message.seq + offset
    try:
        body: Any = _decode(message.body)
    except msgspec.DecodeError as error:
        told = f"message {message.seq} of stream {STREAM} is no record: {error}; see who wrote it"
        raise DamageFault(told) from error
    cause, event = body.cause, body.event
    fits = cause is None if kind == "world" else cause is not None and 0 <= cause < seq
    if not fits or type(event).__name__ != message.type:
        raise DamageFault(
            f"message {message.seq} of stream {STREAM} does not fit its subject ({message.speaker}, {message.type}, "
            f"cause {cause}); see who wrote it"
        )
    if cause is None:
        return Record(seq, None, None, max(body.time, now), event)
    return Record(seq, cause, name, body.time, event)


def subject_of(speaker: str, word: Word) -> str:
    """The subject of a word."""
    return f"{ROOT}.{speaker}.{type(word.event).__name__}"


def body_of(word: Word) -> bytes:
    """The body of its message."""
    return _encode({"cause": word.cause, "time": word.time, "event": word.event})


@contextlib.contextmanager
def bus_faults() -> Any:
    """What the client raises as one kind of fault."""
    try:
        yield
    except NotFoundError:
        raise
    except (nats.errors.Error, APIError, OSError, TimeoutError) as error:
        said_so = str(error) or type(error).__name__
        raise BusFault(f"the bus does not answer ({said_so})") from error
