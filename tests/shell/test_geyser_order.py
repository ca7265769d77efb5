"""Peeking against decoding, and what a passage lets through."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell import geyser_order
from ironcrab.shell.geyser_demo import FIRST_SLOT, demo
from ironcrab.shell.geyser_order import Passage, peek

UPDATES = list(demo(4, 60, 6))
FRAMES = [update.body for update in UPDATES]
KINDS = {"account": 2, "slot": 3, "transaction": 4, "block_meta": 7}
rules = settings(derandomize=True, deadline=None, max_examples=300)


def passed(passage, frames):
    return [out for frame in frames for out in passage.take(*peek(frame), frame)]


def test_peek_agrees_with_decoding():
    for update in UPDATES:
        assert peek(update.body) == (KINDS[update.kind], update.slot)
        named = wire.SubscribeUpdate(filters=["a", "b" * 200]).SerializeToString()
        assert peek(named + update.body) == (KINDS[update.kind], update.slot)
    assert peek(wire.SubscribeUpdate(ping=wire.SubscribeUpdatePing()).SerializeToString()) == (6, 0)
    assert peek(wire.SubscribeUpdate(pong=wire.SubscribeUpdatePong(id=3)).SerializeToString()) == (9, 0)


@rules
@given(st.binary(max_size=80))
def test_peek_never_raises(data):
    kind, slot = peek(data)
    assert 0 <= kind < 1 << 61
    assert slot >= 0


@rules
@given(st.sampled_from(FRAMES), st.data())
def test_peek_and_passage_bear_mutilated_frames(frame, data):
    cut = bytearray(frame[: data.draw(st.integers(0, len(frame)))])
    if cut:
        cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    passage = Passage(heals=True)
    passed(passage, FRAMES[:30])
    passage.take(*peek(bytes(cut)), bytes(cut))
    passage.release()


def test_a_stream_from_its_beginning_passes_unchanged():
    passage = Passage(heals=True)
    assert passed(passage, FRAMES) == FRAMES
    assert passage.whole == FIRST_SLOT + 5
    assert not passage.is_holding


@rules
@given(st.integers(0, len(FRAMES) - 1))
def test_who_comes_late_gets_whole_slots_in_order(start):
    """Whatever the position, with the partial slot fetched the result is the stream from that slot's beginning."""
    passage = Passage(heals=True)
    out = []
    for update in UPDATES[start:]:
        out += passage.take(*peek(update.body), update.body)
        if passage.is_ripe:
            slots = dict(passage.partial)
            fetched = [each.body for each in UPDATES if each.slot in slots]
            out += passage.release(fetched)
    assert not passage.is_holding or start > len(UPDATES) - 12
    first = UPDATES[start].slot
    wanted = [update for update in UPDATES if update.slot >= first]
    content = [update.body for update in wanted if update.kind != "slot"]
    found = list(dict.fromkeys(frame for frame in out if peek(frame)[0] != 3))
    if out and content and found:
        assert found == content[-len(found) :]


def test_without_a_fetch_what_was_held_is_told():
    passage = Passage(heals=True)
    late = FRAMES[5:]
    out = []
    for frame in late:
        out += passage.take(*peek(frame), frame)
        if passage.is_ripe:
            out += passage.release()
    assert out == late


def test_no_hold_where_nothing_can_be_fetched():
    assert passed(Passage(heals=False), FRAMES[7:]) == FRAMES[7:]


def test_a_slot_told_again_is_dropped_and_another_block_is_not():
    slot = FIRST_SLOT + 1
    again = [update for update in UPDATES if update.slot == slot]
    passage = Passage(heals=True)
    passed(passage, FRAMES)
    out = passed(passage, [update.body for update in again])
    assert [peek(frame)[0] for frame in out if peek(frame)[0] != 3] == []
    assert passage.dropped > 2
    other = []
    for update in again:
        message = wire.SubscribeUpdate.FromString(update.body)
        if update.kind == "block_meta":
            message.block_meta.blockhash = "1" * 32
        other.append(message.SerializeToString())
    out = passed(passage, other)
    assert [frame for frame in other if peek(frame)[0] != 3] == [frame for frame in out if peek(frame)[0] != 3]


def test_a_hold_has_a_bound(monkeypatch):
    monkeypatch.setattr(geyser_order, "MOST_HELD", 3)
    passage = Passage(heals=True)
    out = []
    for frame in FRAMES[5:40]:
        out += passage.take(*peek(frame), frame)
        if passage.is_ripe:
            out += passage.release()
    assert out


def test_slots_are_forgotten():
    passage = Passage(heals=True)
    update = wire.SubscribeUpdate()
    for slot in range(1, 2_000):
        update.slot.slot, update.slot.status = slot, wire.SLOT_CREATED_BANK
        passage.take(3, slot, update.SerializeToString())
    assert len(passage._begun) == geyser_order.KEPT
