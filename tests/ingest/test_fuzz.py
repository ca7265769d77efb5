"""Garbage in any layer: counted, never raised; whatever is told can stand in the log."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ironcrab.ingest.normalise import Normaliser
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.ingest.whirlpool_day import Day
from ironcrab.log.line import decode_strict, encode, genesis
from ironcrab.loop import Record

BEFORE = genesis("fuzz")


def told(frames):
    """Events of some frames, each proven to survive the log."""
    normaliser = Normaliser()
    rows = [row for frame in frames for row in normaliser.feed(frame, 1)]
    rows += normaliser.finish()
    for time, event in rows:
        line, _ = encode(Record(0, None, None, time, event), BEFORE)
        assert decode_strict(line).event == event
    return [event for _, event in rows], normaliser.counts


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x1a\x00")
@settings(derandomize=True, deadline=None, max_examples=400)
def test_random_bytes_say_nothing(data):
    events, counts = told([data])
    assert events == []
    assert sum(counts.values()) == 1


def test_truncated_frames_say_nothing_or_the_same(block, singles):
    """A cut between two fields of the outermost message leaves the update whole; any other cut says nothing."""
    for frame in (*block[:40:4], *singles[::6]):
        whole, _ = told([frame])
        for cut in range(0, len(frame), max(1, len(frame) // 61)):
            events, _ = told([frame[:cut]])
            assert events in ([], whole)


def mutated(frame, draw):
    data = bytearray(frame)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["flip", "set", "drop", "double"]))
        if kind == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            data[at] = draw(st.integers(0, 255))
        elif kind == "drop" and len(data) > 8:
            del data[at : at + draw(st.integers(1, 8))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 8))]
    return bytes(data) or b"\0"


@given(st.data())
@settings(derandomize=True, deadline=None, max_examples=300)
def test_mutated_frames_never_raise(block, singles, lifecycle, data):
    chosen = data.draw(st.sampled_from([block, singles, lifecycle[:400]]))
    frames = [mutated(chosen[data.draw(st.integers(0, len(chosen) - 1))], data.draw) for _ in range(3)]
    told(frames)


KEYS = st.binary(min_size=32, max_size=32) | st.sampled_from(
    [bytes.fromhex("06ddf6e1d765a193d9cbe146ceeb79ac1cb485ed5f5b37913a8cf5857eff00a9")]
)
TEXTS = st.sampled_from(["", "So11111111111111111111111111111111111111112", "0", "12", "x", "-5"])


@st.composite
def transactions(draw, programs):
    """A well-formed protobuf whose fields say anything at all, calling the programs we read."""
    update = wire.SubscribeUpdate()
    update.transaction.slot = draw(st.integers(0, 2**64 - 1))
    info = update.transaction.transaction
    info.signature = draw(st.binary(max_size=65) | st.just(b"s" * 64))
    info.index = draw(st.integers(0, 2**64 - 1) | st.integers(0, 9))
    message, meta = info.transaction.message, info.meta
    keys = draw(st.lists(KEYS | st.sampled_from(programs) | st.binary(max_size=3), min_size=1, max_size=24))
    message.account_keys.extend(keys)
    message.header.num_required_signatures = draw(st.integers(0, 3))
    index = st.integers(0, len(keys))
    body = st.sampled_from(OPENINGS).flatmap(lambda opening: st.binary(max_size=80).map(lambda rest: opening + rest))
    accounts = st.lists(st.integers(0, len(keys) - 1), max_size=24).map(bytes)
    for _ in range(draw(st.integers(0, 3))):
        message.instructions.add(program_id_index=draw(index), accounts=draw(accounts), data=draw(body))
    group = meta.inner_instructions.add(index=draw(st.integers(0, 2)))
    for _ in range(draw(st.integers(0, 5))):
        group.instructions.add(
            program_id_index=draw(index), accounts=draw(accounts), data=draw(body), stack_height=draw(st.integers(0, 4))
        )
    for rows in (meta.pre_token_balances, meta.post_token_balances):
        for _ in range(draw(st.integers(0, 3))):
            row = rows.add(account_index=draw(index), mint=draw(TEXTS), owner=draw(TEXTS), program_id=draw(TEXTS))
            row.ui_token_amount.amount = draw(TEXTS)
            row.ui_token_amount.decimals = draw(st.integers(0, 300))
    meta.pre_balances.extend([1] * len(keys))
    meta.post_balances.extend([1] * len(keys))
    meta.log_messages.extend(draw(st.lists(st.text(max_size=40), max_size=4)))
    return update.SerializeToString()


OPENINGS = [
    bytes.fromhex(name)
    for name in (
        *("09", "0b", "01", "03", "14", "00", "ff", "06", "07"),
        *("f8c69e91e17587c8", "2b04ed0b1ac91e62", "c360ed6c44a2dbe6", "ba8fd11dfe02c275", "414b3f4ceb5b5b88"),
        *("66063d1201daebea", "33e685a4017f83ad", "181ec828051c0777", "8fbe5adac41e33de", "e445a52e51cb9a1d"),
    )
]


@given(st.data())
@settings(derandomize=True, deadline=None, max_examples=300)
def test_well_formed_nonsense_never_raises(data):
    told([data.draw(transactions(list(Normaliser().watched))) for _ in range(2)])


@given(st.lists(st.binary(max_size=80) | st.text(max_size=40).map(lambda text: text.encode()), max_size=6))
@settings(derandomize=True, deadline=None)
def test_lines_of_no_day_say_nothing(lines):
    day = Day()
    assert list(day.events(lines)) == []
    assert sum(day.counts.values()) == sum(bool(line.strip()) for line in lines)


@pytest.mark.parametrize("size", [1, 3, 200])
def test_mutated_lines_of_the_day_never_raise(plain, size):
    lines = plain("whirlpool_2022/whirlpool-transaction-20220406.jsonl.gz").split(b"\n")
    full = [line for line in lines[:20_000] if b"signature" in line][:300]
    for number, line in enumerate(full):
        cut = (number * 7919) % len(line)
        spoilt = line[:cut] + bytes([65 + number % 60]) * size + line[cut + size :]
        for time, event in Day().events([spoilt, line]):
            encoded, _ = encode(Record(0, None, None, time, event), BEFORE)
            assert decode_strict(encoded).event == event
