"""A record's line: round trip of every event type, the chain, widths, unknown types."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironcrab.domain.ask import ConfirmAnswer
from ironcrab.domain.control import ClockTick, InputCounted
from ironcrab.domain.event import EVENTS
from ironcrab.domain.fault import DamageFault, LogFault, SchemaFault
from ironcrab.domain.market import BinArrayUpdate, BinData, PoolCacheUpdate, SlotUpdate, Trade
from ironcrab.domain.trade import Measure, Verdict
from ironcrab.log import line
from ironcrab.loop import Record

U64 = (1 << 64) - 1
QUICK = settings(max_examples=8, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
START = line.genesis("x")
TRADE = Trade("pool", "mint", "trader", True, 1, 2, 6, "orca")


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@QUICK
@given(data=st.data())
def test_every_event_type_comes_back_equal(kind, event_of, data):
    seq = data.draw(st.integers(0, U64))
    cause = data.draw(st.none() | st.integers(0, seq - 1)) if seq else None
    record = Record(
        seq,
        cause,
        data.draw(st.none() | st.text(max_size=5)),
        data.draw(st.integers(0, U64)),
        data.draw(event_of(kind)),
    )
    written, head = line.encode(record, START)
    assert line.decode(written) == record
    assert line.decode_strict(written) == record
    assert line.check(written, START, seq) == head
    assert written.count(b"\n") == 1
    assert line.type_of(written) == kind.__name__
    loose = line.decode_loose(written)
    assert (loose.seq, loose.cause, loose.by, loose.time, loose.type) == (
        seq,
        cause,
        record.by,
        record.time,
        kind.__name__,
    )
    assert list(loose.fields) == [field.encode_name for field in msgspec.structs.fields(kind)]


def test_the_line_is_the_documented_one():
    written, head = line.encode(Record(7, 3, "engine", 5, ClockTick()), START)
    body = b'{"seq":7,"cause":3,"by":"engine","time":5,"event":{"type":"ClockTick"}'
    import blake3

    assert head == blake3.blake3(START + body).digest()
    assert written == body + b',"chain":"' + head[:8].hex().encode() + b'"}\n'


def test_the_chain_refuses_any_changed_byte_any_order_and_any_gap():
    first, head = line.encode(Record(0, None, None, 1, TRADE), START)
    second, _ = line.encode(Record(1, None, None, 1, TRADE), head)
    for at in range(len(first)):
        for bit in range(8):
            bad = bytearray(first)
            bad[at] ^= 1 << bit
            with pytest.raises(DamageFault):
                line.check(bytes(bad), START, 0)
    for bad, previous, seq in ((second, START, 0), (second, START, 1), (first, head, 1), (second, head, 2)):
        with pytest.raises(DamageFault):
            line.check(bad, previous, seq)


@pytest.mark.parametrize(
    ("event", "names"),
    [
        (msgspec.structs.replace(TRADE, token_decimals=256), ("Trade.token_decimals", "256", "u8")),
        (msgspec.structs.replace(TRADE, sol_amount=-1), ("Trade.sol_amount", "-1", "u64")),
        (msgspec.structs.replace(TRADE, sol_amount=1 << 64), ("Trade.sol_amount", str(1 << 64), "u64")),
        (msgspec.structs.replace(TRADE, sol_amount=1.5), ("Trade.sol_amount", "1.5")),
        (msgspec.structs.replace(TRADE, sol_amount=True), ("Trade.sol_amount", "True")),
        (msgspec.structs.replace(TRADE, sol_amount=None), ("Trade.sol_amount", "None")),
        (msgspec.structs.replace(TRADE, slot="5"), ("Trade.slot", "'5'")),
        (msgspec.structs.replace(TRADE, index=1 << 32), ("Trade.index", "u32")),
        (SlotUpdate(-5), ("SlotUpdate.current_slot",)),
        (BinArrayUpdate("p", 0, (BinData(0, 1, 1), BinData(0, 1, 1 << 64)), 5), ("BinArrayUpdate.bins.amount_y",)),
        (
            Verdict("m", "m", "p", "wait", "X", "Early", measures=(Measure("n", 1 << 127),)),
            ("Verdict.measures.value", "i128"),
        ),
        (ConfirmAnswer(0, "confirmed", wallet_sol_delta_lamports=-(1 << 127) - 1), ("wallet_sol_delta_lamports",)),
        (InputCounted("d", {"a": 1, "b": 1 << 63}), ("InputCounted.counts", "i64")),
    ],
)
def test_what_no_column_holds_is_refused_by_name(event, names):
    with pytest.raises(LogFault) as fault:
        line.encode(Record(0, None, None, 0, event), START)
    assert all(name in str(fault.value) for name in names), str(fault.value)


@pytest.mark.parametrize(
    "record",
    [
        Record(-1, None, None, 0, TRADE),
        Record(1 << 64, None, None, 0, TRADE),
        Record(5, 5, None, 0, TRADE),
        Record(5, -1, None, 0, TRADE),
        Record(5, None, None, -1, TRADE),
        Record(5, None, None, 1 << 64, TRADE),
        Record(5, None, None, 0, msgspec.structs.replace(TRADE, dex="\ud800")),
        Record(5, None, None, 0, msgspec.structs.replace(TRADE, dex=object())),
    ],
)
def test_a_record_that_cannot_stand_is_refused(record):
    with pytest.raises(LogFault):
        line.encode(record, START)


def test_unknown_types_and_fields_halt_reducers_and_not_readers():
    strange = (
        b'{"seq":4,"cause":null,"by":null,"time":9,"event":{"type":"Eclipse","depth":3},"chain":"0000000000000000"}\n'
    )
    with pytest.raises(SchemaFault, match="Eclipse"):
        line.decode(strange)
    loose = line.decode_loose(strange)
    assert (loose.type, loose.fields) == ("Eclipse", {"depth": 3})
    newer = line.encode(Record(4, None, None, 9, SlotUpdate(5)), START)[0].replace(
        b'"parent":null', b'"parent":null,"epoch":3'
    )
    assert line.decode(newer).event == SlotUpdate(5)
    with pytest.raises(SchemaFault, match="epoch"):
        line.decode_strict(newer)
    with pytest.raises(SchemaFault, match="current_slot"):
        line.decode(newer.replace(b'"current_slot":5', b'"current_slot":"5"'))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_garbage_is_a_fault_and_nothing_else(data):
    for reader in (line.decode, line.decode_strict, line.decode_loose):
        with pytest.raises(LogFault):
            reader(data)
    with pytest.raises(DamageFault):
        line.check(data, START, 0)
    line.type_of(data)


def test_maps_keep_their_order():
    event = PoolCacheUpdate("POOL_DISCOVERED", "p", "d", "b", "q", 1, 2, 3, metadata={"z": "1", "a": "2"})
    written, _ = line.encode(Record(0, None, None, 0, event), START)
    assert list(line.decode(written).event.metadata) == ["z", "a"]
