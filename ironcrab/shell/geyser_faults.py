"""A script of faults for a feed server: what goes wrong, and behind how many updates. Same script, same faults.

    [[fault]]
    kind = "cut"        # the streams break off
    after = 120         # behind so many updates of the feed
    lose = 5            # the chain goes on for so many updates before anybody can come back
    every = 1000        # ... and again every so many updates (0: once)

Faults of the stream
    cut       UNAVAILABLE                          lose
    lag       INTERNAL, "lagged to receive ..."    lose
    end       a clean end                          lose
    refuse    cut, then refuse calls               lose, times, code
    replay    frozen slots are told again          slots
    silence   no message and no ping any more      lose
    partial   only with after = 0: the first subscriber comes too late    lose

Faults of the chain, which rewrite what it tells: the first slot created behind `after` is concerned.
    fork      the slot is left by its child and never confirmed
    dead      the slot dies instead of being processed; its child leaves it
    recreate  its bank is made anew in its middle
    swap      two writes of it are told in the wrong order
"""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ironcrab.domain.fault import InputFault
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.geyser_filters import Update

STREAM = ("cut", "lag", "end", "refuse", "replay", "silence", "partial")
CHAIN = ("fork", "dead", "recreate", "swap")
_COUNT = Annotated[int, Meta(ge=0)]


class Planned(Struct, frozen=True, forbid_unknown_fields=True):
    """One fault of a script; see the module for what each field is for."""

    kind: Literal["cut", "lag", "end", "refuse", "replay", "silence", "partial", "fork", "dead", "recreate", "swap"]
    after: _COUNT
    every: _COUNT = 0
    lose: _COUNT = 0
    times: _COUNT = 2
    code: Literal["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "ABORTED"] = "UNAVAILABLE"
    slots: _COUNT = 3


class _Script(Struct, forbid_unknown_fields=True):
    fault: list[Planned] = []


def load(path: Path) -> tuple[Planned, ...]:
    """The faults of a script file. InputFault where it cannot be read or says what no script says."""
    try:
        return tuple(msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Script).fault)
    except OSError as error:
        raise InputFault(f"cannot read the fault script {path}: {error.strerror}; is it the file you meant?") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InputFault(f"fault script {path}: {error}; see: ironcrab feed --help") from error


def read(text: str) -> Planned:
    """One fault as typed on a command line: `cut@120`, `refuse@50:times=3,lose=4`. InputFault."""
    head, _, rest = text.partition(":")
    kind, at, after = head.partition("@")
    fields = dict(pair.partition("=")[::2] for pair in rest.split(",") if pair)
    try:
        return msgspec.convert({"kind": kind, "after": after if at else "0", **fields}, Planned, strict=False)
    except msgspec.ValidationError as error:
        raise InputFault(f"fault {text!r}: {error}; write it as cut@120 or refuse@50:times=3,lose=4") from error


def told(updates: Iterable[Update], script: Sequence[Planned]) -> Iterator[Update]:
    """The updates as the faults of the chain make them."""
    for planned in script:
        if planned.kind in CHAIN:
            updates = _REWRITERS[planned.kind](updates, planned)
    yield from updates


def _changed(update: Update) -> Update:
    """The same update after its message was changed."""
    return replace(update, body=update.message.SerializeToString())


def _copy(update: Update) -> Update:
    message = wire.SubscribeUpdate()
    message.CopyFrom(update.message)
    return replace(update, message=message)


def _status(update: Update) -> int | None:
    return update.message.slot.status if update.kind == "slot" else None


def _turns(planned: Planned) -> Iterator[int]:
    """The counts of updates behind which a fault comes."""
    turn = planned.after
    yield turn
    while planned.every:
        turn += planned.every
        yield turn


def _left(updates: Iterable[Update], planned: Planned) -> Iterator[Update]:
    """Fork or death of a slot: its child names its parent instead, and no level is told of it."""
    turns = _turns(planned)
    turn: int | None = next(turns)
    left: dict[int, int] = {}
    victim = -1
    for count, update in enumerate(updates):
        status = _status(update)
        if status == wire.SLOT_CREATED_BANK and turn is not None and count >= turn and victim < 0:
            victim, turn = update.slot, next(turns, None)
            left[victim] = update.message.slot.parent
        elif update.slot > victim >= 0 and status == wire.SLOT_CREATED_BANK:
            victim = -1
        if update.slot in left:
            yield from _of_left(update, status, planned)
            continue
        yield _reparented(update, left)


def _of_left(update: Update, status: int | None, planned: Planned) -> Iterator[Update]:
    if status in {wire.SLOT_CONFIRMED, wire.SLOT_FINALIZED} or (planned.kind == "dead" and update.kind == "block_meta"):
        return
    if status == wire.SLOT_PROCESSED and planned.kind == "dead":
        update = _copy(update)
        update.message.slot.status = wire.SLOT_DEAD
        update.message.slot.dead_error = "scripted"
        update = _changed(update)
    yield update


def _reparented(update: Update, left: dict[int, int]) -> Update:
    if update.kind == "slot" and update.message.slot.parent in left:
        update = _copy(update)
        update.message.slot.parent = left[update.message.slot.parent]
        return _changed(update)
    if update.kind == "block_meta" and update.message.block_meta.parent_slot in left:
        update = _copy(update)
        update.message.block_meta.parent_slot = left[update.message.block_meta.parent_slot]
        return _changed(update)
    return update


def _recreated(updates: Iterable[Update], planned: Planned) -> Iterator[Update]:
    """In the middle of a slot its CREATED_BANK comes again, then its content from the beginning."""
    turns = _turns(planned)
    turn: int | None = next(turns)
    victim, held = -1, list[Update]()
    for count, update in enumerate(updates):
        if _status(update) == wire.SLOT_CREATED_BANK and turn is not None and count >= turn and victim < 0:
            victim, turn, held = update.slot, next(turns, None), []
        if update.slot == victim:
            if _status(update) not in {None, wire.SLOT_CREATED_BANK, wire.SLOT_FIRST_SHRED_RECEIVED} or len(held) == 8:
                yield from held
                victim = -1
            else:
                held.append(update)
        yield update


def _swapped(updates: Iterable[Update], planned: Planned) -> Iterator[Update]:
    """Two account writes of one slot change places."""
    turns = _turns(planned)
    turn: int | None = next(turns)
    held: list[Update] = []
    for count, update in enumerate(updates):
        if not held:
            if update.kind == "account" and turn is not None and count >= turn:
                held, turn = [update], next(turns, None)
            else:
                yield update
        elif update.slot != held[0].slot or _status(update) is not None:
            yield from held
            held = []
            yield update
        elif update.kind == "account":
            yield update
            yield from held
            held = []
        else:
            held.append(update)
    yield from held


_REWRITERS = {"fork": _left, "dead": _left, "recreate": _recreated, "swap": _swapped}
