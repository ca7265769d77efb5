"""Records of every event type, made from the declared widths; small recordings to break."""

import os
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from ironcrab.domain.control import ClockTick, RunStarted, Setting
from ironcrab.domain.event import EVENTS
from ironcrab.domain.market import SlotUpdate, Trade
from ironcrab.domain.trade import CheckResult, DecisionRecord, Read
from ironcrab.log.recording import Recording
from ironcrab.log.shape import WIDTHS, shape_of
from ironcrab.loop import Record

U64 = WIDTHS["u64"][1]
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["", "So11111111111111111111111111111111111111112", 'a"b\\c\n', "é", "\x00"]
)


def values(shape):
    if shape.null:
        return st.none() | values(replace(shape, null=False))
    if shape.kind == "int":
        low, high = WIDTHS[shape.width]
        return st.integers(low, high) | st.sampled_from([low, high, max(low, 0)])
    if shape.kind == "bool":
        return st.booleans()
    if shape.kind == "bytes":
        return st.binary(max_size=40)
    if shape.kind == "list":
        return st.lists(values(shape.item), max_size=4).map(tuple)
    if shape.kind == "map":
        return st.dictionaries(TEXTS, values(shape.item), max_size=4)
    if shape.kind == "struct":
        return st.builds(shape.cls, **{field.name: values(field.shape) for field in shape.fields})
    return st.sampled_from(shape.words) if shape.words else TEXTS


def events(kind):
    return st.builds(kind, **{field.name: values(field.shape) for field in shape_of(kind).fields})


@pytest.fixture(scope="session")
def event_of():
    """event type -> strategy of its events."""
    made = {kind: events(kind) for kind in EVENTS}
    return made.__getitem__


def sample(shape, turn):
    """A fixed value of a shape; over the turns every absence, extreme and emptiness comes by."""
    if shape.null and turn % 3 == 0:
        return None
    if shape.kind == "int":
        low, high = WIDTHS[shape.width]
        return (low, high, max(low, 0), high // 3)[turn % 4]
    if shape.kind == "bool":
        return turn % 2 == 0
    if shape.kind == "bytes":
        return bytes(range(turn % 5))
    if shape.kind == "list":
        return tuple(sample(shape.item, turn + n) for n in range(turn % 4))
    if shape.kind == "map":
        return {f"k{n}": sample(shape.item, turn + n) for n in reversed(range(turn % 4))}
    if shape.kind == "struct":
        return shape.cls(*(sample(field.shape, turn + n) for n, field in enumerate(shape.fields)))
    return shape.words[turn % len(shape.words)] if shape.words else ("", "So1", 'a"b', "é", "x" * 90)[turn % 5]


@pytest.fixture(scope="session")
def samples():
    """(event type, count) -> that many fixed events of it."""
    return lambda kind, count: [sample(shape_of(kind), turn) for turn in range(count)]


def record_at(seq):
    """A fixed, mixed history: trades, slots, decisions, ticks."""
    key = f"{seq % 5}" * 44
    cause = seq - 1 if seq % 4 == 3 else None
    by = "engine" if cause is not None else None
    if seq % 4 == 3:
        checks = tuple(
            CheckResult(f"check_{n}", n < 2, None if n < 2 else "LOW", "é" if n else None) for n in range(seq % 5)
        )
        event = DecisionRecord(
            "momentum", "StrategyA", "Early", checks, "Rejected", intent=seq - 1, reads=(Read("pool", key, seq - 1),)
        )
    elif seq % 4 == 2:
        event = SlotUpdate(1000 + seq, slot=1000 + seq)
    elif seq == 4:
        event = RunStarted(0, "x.toml", "1", "engine", (), (Setting("a.b", "1", "default"),), ())
    elif seq % 8 == 0:
        event = ClockTick()
    else:
        event = Trade(
            key,
            key[::-1],
            key,
            seq % 2 == 0,
            seq * 7919,
            U64 - seq,
            6,
            "orca",
            signature=f"{seq:088d}",
            slot=1000 + seq,
        )
    return Record(seq, cause, by, 1_649_203_200_000_000_000 + seq, event)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """Tests do not pull the plug: a sync that returns at once keeps them quick."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def history():
    return SimpleNamespace(record=record_at, records=lambda n, first=0: [record_at(seq) for seq in range(first, n)])


@pytest.fixture
def recorded(tmp_path):
    """(count, **create arguments) -> folder of a cleanly closed hot recording."""

    def make(count, name="r", **arguments):
        path = tmp_path / name
        with Recording.create(path, "log-of-tests", config={"s.toml": b"x = 1\n"}, **arguments) as session:
            for seq in range(count):
                session.append(record_at(seq))
        return path

    return make
