"""Sealed segments: the same records back, for every type, for every reader, after every crash."""

import os
import shutil
from itertools import pairwise

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironcrab.domain.ask import ConfirmAnswer
from ironcrab.domain.control import ClockTick
from ironcrab.domain.event import EVENTS, snake
from ironcrab.domain.fault import DamageFault, DiskFault, LogFault, SchemaFault
from ironcrab.domain.market import SlotUpdate, Trade
from ironcrab.domain.trade import DecisionRecord
from ironcrab.log import columns, manifest, parquet, sealed
from ironcrab.log.columns import event_schema, leaves, to_records, to_table
from ironcrab.log.manifest import Segment
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.loop import Record

QUICK = settings(max_examples=6, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
U64 = (1 << 64) - 1


def segment_of(files, count):
    return Segment("seg", 0, count - 1, "", "", 1, "", files)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@QUICK
@given(data=st.data())
def test_every_event_type_comes_back_equal(kind, event_of, data, tmp_path_factory):
    events = data.draw(st.lists(event_of(kind), min_size=1, max_size=6))
    by = st.none() | st.sampled_from(["engine", "é"])
    records = [
        Record(
            seq,
            data.draw(st.none() | st.integers(0, seq)) if seq else None,
            data.draw(by),
            data.draw(st.integers(0, U64)),
            event,
        )
        for seq, event in enumerate(events)
    ]
    table = to_table(kind, records)
    assert to_records(kind, table) == records
    assert to_records(kind, table.slice(1)) == records[1:]
    folder = tmp_path_factory.mktemp("sealed")
    files = parquet.write(folder, iter([(record, 100) for record in records]))
    assert list(sealed.read(folder, segment_of(files, len(records)))) == records
    assert list(sealed.read(folder, segment_of(files, len(records)), (kind,), seq_from=1)) == records[1:]
    shutil.rmtree(folder)


def test_maps_keep_their_order(tmp_path):
    from ironcrab.domain.control import ConfigUpdate

    record = Record(0, None, None, 0, ConfigUpdate("x", {"z": "1", "a": "2", "m": "3"}))
    files = parquet.write(tmp_path, iter([(record, 1)]))
    (back,) = sealed.read(tmp_path, segment_of(files, 1))
    assert list(back.event.config) == ["z", "a", "m"]


def test_all_three_readers_read_every_type_alike(tmp_path, samples):
    """Nothing of ours is needed: the encodings, widths and nestings are common ground."""
    events = [event for kind in EVENTS for event in samples(kind, 25)]
    records = [Record(seq, None, "x" if seq % 2 else None, seq, event) for seq, event in enumerate(events)]
    files = parquet.write(tmp_path, iter([(record, 100) for record in records]))
    assert list(sealed.read(tmp_path, segment_of(files, len(records)))) == records
    for kind in EVENTS:
        path = tmp_path / f"{snake(kind.__name__)}.parquet"
        arrow = pq.read_table(path)
        assert arrow.schema.equals(event_schema(kind)), kind
        frame = pl.read_parquet(path)
        ducks = duckdb.sql(f"select * from '{path}'").to_arrow_table()
        for name in arrow.schema.names:
            wanted = arrow.column(name).to_pylist()
            assert ducks.column(name).to_pylist() == wanted, (kind, name)
            if "map" not in str(arrow.schema.field(name).type):
                assert frame[name].to_list() == wanted, (kind, name)


def test_widths_are_the_declared_ones():
    types = {
        path: str(event_schema(kind).field(path).type)
        for kind, path in ((Trade, "token_decimals"), (Trade, "sol_amount"), (Trade, "index"))
    }
    assert types == {"token_decimals": "uint8", "sol_amount": "uint64", "index": "uint32"}
    schema = event_schema(ConfirmAnswer)
    assert str(schema.field("wallet_sol_delta_lamports_hi").type) == "int64"
    assert str(schema.field("wallet_sol_delta_lamports_lo").type) == "uint64"


def test_no_field_hides_a_header_column():
    header = {field.name for field in columns.HEADER}
    for kind in EVENTS:
        assert not header.intersection(field.name for field in columns.shape_of(kind).fields)
        paths = [path for path, _ in leaves(kind)]
        assert len(paths) == len(set(paths))


@pytest.fixture
def big(tmp_path, history):
    """70 records a row group, so that ranges cross groups."""
    records = history.records(1_000)

    def make(monkeypatch):
        monkeypatch.setattr(parquet, "ROWS", 70)
        monkeypatch.setattr(sealed, "BATCH", 32)
        files = parquet.write(tmp_path, iter([(record, 100) for record in records]))
        return tmp_path, segment_of(files, len(records)), records

    return make


def test_any_range_of_any_types_is_the_filtered_whole(big, monkeypatch):
    folder, segment, records = big(monkeypatch)
    for types in (None, (Trade,), (SlotUpdate, DecisionRecord), (ClockTick,), ()):
        for first, end in ((0, 1_000), (0, 1), (63, 71), (500, 900), (999, 1_000), (400, 400), (990, 5_000)):
            wanted = [r for r in records[first:end] if types is None or type(r.event) in types]
            assert list(sealed.read(folder, segment, types, seq_from=first, seq_to=end)) == wanted


def test_only_the_row_groups_in_reach_are_read(big, monkeypatch):
    folder, segment, records = big(monkeypatch)
    read, real = [], parquet.check_piece
    monkeypatch.setattr(parquet, "check_piece", lambda path, piece: (read.append(piece.rows), real(path, piece)))
    assert list(sealed.read(folder, segment, seq_from=500, seq_to=501)) == records[500:501]
    assert sum(read) <= 70 * len(segment.files)


def test_columns_alone(big, monkeypatch):
    folder, segment, records = big(monkeypatch)
    some = list(sealed.read(folder, segment, (Trade,), columns={Trade: ("sol_amount", "is_buy")}))
    wanted = [record for record in records if type(record.event) is Trade]
    assert [(r.seq, r.event.is_buy, r.event.sol_amount) for r in some] == [
        (r.seq, r.event.is_buy, r.event.sol_amount) for r in wanted
    ]
    with pytest.raises(LogFault, match=r"Trade\.mint was used but not read"):
        assert some[0].event.mint == "a mint"


def test_a_missing_record_is_damage(tmp_path, history):
    files = parquet.write(tmp_path, iter([(record, 100) for record in history.records(50) if record.seq != 17]))
    with pytest.raises(DamageFault, match="record 17"):
        list(sealed.read(tmp_path, segment_of(files, 50)))


def test_pieces_cover_every_byte(big, monkeypatch):
    folder, segment, _ = big(monkeypatch)
    for file in segment.files:
        edges = [(piece.start, piece.end) for piece in file.pieces]
        assert edges[0][0] == 0
        assert edges[-1][1] == file.size == (folder / file.name).stat().st_size
        assert all(before[1] == after[0] for before, after in pairwise(edges))
        metadata = pq.read_metadata(folder / file.name)
        assert metadata.num_row_groups == len(file.pieces) - 1
        for index, piece in enumerate(file.pieces[:-1]):
            group = metadata.row_group(index)
            statistics = group.column(0).statistics
            assert (statistics.min, statistics.max, group.num_rows) == (piece.first_seq, piece.last_seq, piece.rows)


# ---- sealing


def all_records(path):
    return list(Recording.open(path).records())


def test_seal_keeps_records_and_head(recorded, history):
    path = recorded(300, segment_bytes=20_000)
    before = Recording.open(path)
    head, count = before.head, len(before.parts)
    assert count > 3
    assert seal(path, leave_last=True) == count - 1
    assert len(list((path / "segments").glob("*.jsonl"))) == 1
    assert all_records(path) == history.records(300)
    assert seal(path) == 1
    assert seal(path) == 0
    after = Recording.open(path)
    assert (after.head, after.next_seq) == (head, 300)
    assert all_records(path) == history.records(300)
    assert not list((path / "segments").glob("*.jsonl"))
    checked = after.verify_bytes(deep=True)
    assert (checked.faults, checked.snapshots, checked.unproven) == ((), (), ())


def test_keep_hot_lists_both(recorded, history):
    path = recorded(50)
    assert seal(path, keep_hot=True) == 1
    assert seal(path, keep_hot=True) == 0
    assert len(list((path / "segments").glob("*.jsonl"))) == 1
    assert all_records(path) == history.records(50)
    assert Recording.open(path).verify_bytes(deep=True).faults == ()
    (hot,) = (path / "segments").glob("*.jsonl")
    hot.write_bytes(hot.read_bytes().replace(b"momentum", b"momentun"))
    assert "jsonl at byte" in str(Recording.open(path).verify_bytes().faults[0])


class CrashError(Exception):
    pass


STEPS = ("mkdir", "write_table", "finish", "fsync", "read", "rename", "sync_folder", "replace", "unlink")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("nth", "after"), [(0, False), (0, True), (2, False), (2, True)])
def test_a_crash_between_any_two_steps_loses_nothing(recorded, history, monkeypatch, step, nth, after):
    path = recorded(60, segment_bytes=12_000)
    head = Recording.open(path).head
    places = {
        "mkdir": (sealed.Path, "mkdir"),
        "write_table": (parquet.pq.ParquetWriter, "write_table"),
        "finish": (parquet._TypeFile, "finish"),
        "fsync": (os, "fsync"),
        "read": (sealed, "read"),
        "rename": (sealed.Path, "rename"),
        "sync_folder": (sealed, "sync_folder"),
        "replace": (sealed.Path, "replace"),
        "unlink": (sealed.Path, "unlink"),
    }
    holder, name = places[step]
    real, left = getattr(holder, name), [nth]

    def broken(*arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            if after:
                real(*arguments, **named)
            raise CrashError
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(holder, name, broken)
        try:
            seal(path)
        except CrashError:
            assert left[0] < 0
    assert all_records(path) == history.records(60)
    assert Recording.open(path).verify_bytes(deep=True).faults == ()
    seal(path)
    assert all_records(path) == history.records(60)
    assert Recording.open(path).head == head
    assert {child.suffix for child in (path / "segments").iterdir()} == {""}
    assert Recording.open(path).verify_bytes(deep=True).faults == ()


def test_a_full_disk_while_sealing_leaves_the_hot_file(recorded, history, monkeypatch):
    path = recorded(30)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(parquet.os, "fsync", full)
        with pytest.raises(DiskFault, match="No space left"):
            seal(path)
    assert all_records(path) == history.records(30)
    assert seal(path) == 1


def test_proof_refuses_what_does_not_give_the_same_chain(recorded, monkeypatch):
    path = recorded(30)
    real = parquet.to_table

    def lossy(kind, rows):
        if kind is Trade:
            rows = [Record(r.seq, r.cause, r.by, r.time + 1, r.event) for r in rows]
        return real(kind, rows)

    monkeypatch.setattr(parquet, "to_table", lossy)
    with pytest.raises(LogFault, match="the hot file stays"):
        seal(path)
    assert len(list((path / "segments").glob("*.jsonl"))) == 1


def test_damaged_hot_bytes_are_never_sealed(recorded):
    path = recorded(30)
    (hot,) = (path / "segments").glob("*.jsonl")
    data = bytearray(hot.read_bytes())
    data[2_000] ^= 1
    hot.write_bytes(data)
    with pytest.raises(DamageFault, match="jsonl at byte"):
        seal(path)
    assert hot.read_bytes() == data


def test_lines_of_an_older_schema_are_sealed_record_by_record(recorded, history, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr("ironcrab.log.anchor.schema_digest", lambda: "0" * 64)
        path = recorded(30)
    assert seal(path) == 1
    assert all_records(path) == history.records(30)
    checked = Recording.open(path).verify_bytes(deep=True)
    assert checked.faults == ()
    assert len(checked.unproven) == 1


def test_an_unknown_type_halts_reducers_and_not_readers(recorded, monkeypatch):
    path = recorded(30)
    seal(path)
    listed = manifest.load(path)
    (segment,) = listed.segments
    files = tuple(
        manifest.SealedFile("eclipse.parquet", "Eclipse", f.rows, f.size, f.digest, f.pieces)
        if f.type == "Trade"
        else f
        for f in segment.files
    )
    folder = path / "segments" / segment.name
    (folder / "trade.parquet").rename(folder / "eclipse.parquet")
    import msgspec

    manifest.save(path, msgspec.structs.replace(listed, segments=(msgspec.structs.replace(segment, files=files),)))
    recording = Recording.open(path)
    with pytest.raises(SchemaFault, match="Eclipse"):
        list(recording.records())
    loose = list(recording.loose(3, 20))
    assert [record.seq for record in loose] == list(range(3, 20))
    assert {record.type for record in loose} >= {"Eclipse", "SlotUpdate"}
    assert recording.verify_bytes().faults == ()


def test_a_column_of_a_newer_schema_halts(tmp_path, history):
    record = history.record(2)
    table = to_table(SlotUpdate, [record])
    newer = table.append_column("epoch", table.column("current_slot"))
    with pytest.raises(SchemaFault, match="epoch"):
        to_records(SlotUpdate, newer)
    assert to_records(SlotUpdate, table.drop_columns(["parent"])) == [record]
    with pytest.raises(SchemaFault, match="current_slot"):
        to_records(SlotUpdate, table.drop_columns(["current_slot"]))


def test_sealed_sizes_hold_the_figures(tmp_path):
    """Random base58 keys and signatures, as on the chain: 100 bytes a trade, 60 what has no signature."""
    import random

    from ironcrab.domain.market import PoolStateUpdate

    dice = random.Random(2)
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

    def text(length):
        return "".join(dice.choices(alphabet, k=length))

    keys = [text(44) for _ in range(600)]
    records = []
    for seq in range(12_000):
        key, slot = dice.choice(keys), 250_000_000 + seq // 20
        if seq % 3:
            event = Trade(
                key, key, dice.choice(keys), seq % 2 == 0, dice.randrange(10**10), dice.randrange(10**13), 6, "orca",
                signature=text(88), slot=slot, index=dice.randrange(1500), position=dice.randrange(4), lp_fee=dice.randrange(10**6),
            )  # fmt: skip
        elif seq % 2:
            event = SlotUpdate(slot, slot=slot, parent=slot - 1)
        else:
            event = PoolStateUpdate(
                key, "orca", dice.randrange(10**15), dice.randrange(10**12), key, key, slot, slot=slot
            )
        records.append(Record(seq, None, None, 10**18 + seq * 400_000_007, event))
    sizes = {
        file.type: file.size / file.rows
        for file in parquet.write(tmp_path, iter([(record, 600) for record in records]))
    }
    assert sizes["Trade"] <= 100, sizes
    assert sizes["PoolStateUpdate"] <= 60, sizes
    assert sizes["SlotUpdate"] <= 60, sizes
