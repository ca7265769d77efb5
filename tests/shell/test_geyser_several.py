"""Several streams as one: what comes first is told, once; the loss of one is no gap; versions go on in order."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.control import FeedConnected, FeedDisconnected, GapClosed, GapOpened
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import AccountWritten, Trade
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.log.recording import Recording
from ironcrab.mode.record import RecordSettings, record_until
from ironcrab.shell import geyser_faults
from ironcrab.shell.endpoint import Endpoint, Wanted, endpoints
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_client import GeyserClient
from ironcrab.shell.geyser_filters import update_of
from ironcrab.shell.geyser_firsts import Firsts
from ironcrab.shell.geyser_server import GeyserServer
from ironcrab.shell.geyser_several import SeveralClients
from tests.shell.playing import demo_updates, events_of, imported


def status(slot, what, parent=None):
    update = wire.SubscribeUpdate()
    update.slot.slot, update.slot.status = slot, what
    if parent is not None:
        update.slot.parent = parent
    return update.SerializeToString()


def write(slot, key, number, version):
    """The `number`-th write of an account in a slot, by the transaction of that number."""
    update = wire.SubscribeUpdate()
    update.account.slot = slot
    info = update.account.account
    info.pubkey, info.owner, info.lamports = bytes([key]) * 32, bytes(32), number
    info.txn_signature, info.write_version = bytes([key, number]) * 32, version
    return update.SerializeToString()


def transaction(slot, number):
    update = wire.SubscribeUpdate()
    update.transaction.slot = slot
    update.transaction.transaction.signature = number.to_bytes(2, "big") * 32
    return update.SerializeToString()


def stream(slots, base, writes=3):
    """The frames of one node; its versions count from `base`."""
    for slot in range(1, slots + 1):
        yield status(slot, wire.SLOT_CREATED_BANK, slot - 1)
        for number in range(writes):
            for key in (1, 2):
                base += 7
                yield transaction(slot, slot * 100 + number * 2 + key)
                yield write(slot, key, number, base)
        yield status(slot, wire.SLOT_PROCESSED, slot - 1)


def told(frames):
    """What was let through: identities in order, and of each account and slot the number of its newest write."""
    seen, newest = [], {}
    for frame in frames:
        update = wire.SubscribeUpdate.FromString(frame)
        if update.HasField("account"):
            info = update.account.account
            seen.append(("account", update.account.slot, info.txn_signature))
            place = update.account.slot, info.pubkey
            newest[place] = max(newest.get(place, (-1, 0)), (info.write_version, info.lamports))
        elif update.HasField("transaction"):
            seen.append(("transaction", update.transaction.slot, update.transaction.transaction.signature))
        else:
            seen.append(("slot", update.slot.slot, update.slot.status))
    return seen, {place: number for place, (_, number) in newest.items()}


def merged(draw, lose_at=None):
    """Two nodes of one chain at paces of their own; one is lost at some place."""
    firsts = Firsts(2)
    streams = [list(stream(4, 1000)), list(stream(4, 5_000_000))]
    out = []
    assert firsts.connected(0)
    assert not firsts.connected(1)
    places = [0, 0]
    steps = 0
    while any(place < len(frames) for place, frames in zip(places, streams, strict=True)):
        which = draw.randrange(2)
        if places[which] == len(streams[which]):
            which = 1 - which
        if steps == lose_at and places[0] < len(streams[0]):
            frames, is_hole = firsts.lost(0)
            # the other begins at its own beginning here, so whatever the lost one told is told by it too, or will be
            out += frames
            places[0] = len(streams[0])
            if is_hole:
                return out, True
            continue
        if places[which] < len(streams[which]):
            out += firsts.take(which, streams[which][places[which]])
            places[which] += 1
        steps += 1
    return out, False


@given(st.integers(0, 10**6), st.none() | st.integers(1, 70))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_all_is_told_once_and_the_last_write_holds(seed, lose_at):
    out, is_hole = merged(random.Random(seed), lose_at)
    seen, newest = told(out)
    assert len(seen) == len(set(seen))
    if is_hole:
        return  # a gap says so
    whole, last = told(stream(4, 0))
    assert {one for one in whole if one[0] != "account"} <= set(seen)
    assert newest == last


def test_one_stream_alone_is_let_through_as_it_is():
    firsts = Firsts(2)
    firsts.connected(1)
    frames = list(stream(3, 50))
    assert [out for frame in frames for out in firsts.take(1, frame)] == frames
    assert firsts.lost(1) == ([], True)


def test_a_bank_made_anew_is_told_again_once():
    firsts = Firsts(2)
    firsts.connected(0)
    firsts.connected(1)
    created = status(5, wire.SLOT_CREATED_BANK, 4)
    assert firsts.take(0, created) == [created]
    assert firsts.take(1, created) == []
    assert firsts.take(0, transaction(5, 1)) == [transaction(5, 1)]
    assert firsts.take(0, created) == [created]
    assert firsts.take(0, transaction(5, 1)) == [transaction(5, 1)]
    assert firsts.take(1, transaction(5, 2)) == []  # of the older bank
    assert firsts.take(1, created) == []
    assert firsts.take(1, transaction(5, 2)) == [transaction(5, 2)]


def test_a_slot_that_only_the_lost_one_told_is_a_hole():
    firsts = Firsts(2)
    firsts.connected(0)
    firsts.take(0, status(5, wire.SLOT_CREATED_BANK, 4))
    firsts.connected(1)
    firsts.take(1, status(6, wire.SLOT_CREATED_BANK, 5))
    assert firsts.lost(0) == ([], True)


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=60)), max_size=30))
@settings(derandomize=True, deadline=None)
def test_no_bytes_raise(told_by):
    firsts = Firsts(3)
    for which, frame in told_by:
        firsts.connected(which)
        firsts.take(which, frame)
    firsts.lost(0)


def other_versions(updates):
    """The same chain as another node tells it: it counts writes for itself."""
    for update in updates:
        if update.kind == "account":
            message = wire.SubscribeUpdate.FromString(update.body)
            message.account.account.write_version += 7_000_000
            yield update_of(message.SerializeToString())
        else:
            yield update


def without_version(event):
    return repr(event).partition("write_version=")[0] if isinstance(event, AccountWritten) else repr(event)


@pytest.mark.parametrize(
    "fault",
    ["cut@150:lose=3000", "cut@203:every=97,lose=30", pytest.param("silence@300:lose=3000", marks=pytest.mark.slow)],
)
def test_of_two_feeds_one_cuts(fault, tmp_path):
    """Two servers of one chain; one of them is lost, for good or again and again: nothing is missing, nothing twice."""
    updates = demo_updates()
    wanted, _ = imported(updates, (), tmp_path)
    folder = tmp_path / "recorded"

    async def go():
        steady = Chain(iter(list(other_versions(updates))), speed=3)
        broken = Chain(iter(updates), speed=3, script=[geyser_faults.read(fault)])
        async with GeyserServer(steady, ping_s=0.3) as one, GeyserServer(broken, ping_s=0.3) as two:
            places = [Endpoint(f"127.0.0.1:{server.port}", tls=False) for server in (two, one)]
            stop = asyncio.Event()
            settings = RecordSettings(places[0], silence_s=1.0, hot=True, most_tracked=0, more=(places[1],))
            running = asyncio.create_task(record_until(folder, settings, stop))
            async with asyncio.timeout(20):
                await steady.finished.wait()
                await asyncio.sleep(1.0)
            stop.set()
            return await running, two.opened

    summary, opened = asyncio.run(go())
    assert opened >= 1
    found = [without_version(event) for event in events_of(folder)]
    assert len(found) == len(set(found))
    assert set(found) == {without_version(event) for event in wanted}
    trades = [(event.signature, event.position) for event in events_of(folder) if isinstance(event, Trade)]
    assert len(trades) == len(set(trades)) > 10
    feed = [record.event for record in Recording.open(folder).records((FeedConnected, FeedDisconnected))]
    assert [type(event).__name__ for event in feed] == ["FeedConnected", "FeedDisconnected"], feed
    gaps = [record.event for record in Recording.open(folder).records((GapOpened, GapClosed))]
    assert len(gaps) == summary.gaps == 1  # the one that stopping opens


def test_one_that_cannot_be_used_is_left_out_and_all_that_cannot_end_it():
    async def go(ports):
        clients = tuple(GeyserClient(Endpoint(f"127.0.0.1:{port}", tls=False), Wanted()) for port in ports)
        several = SeveralClients(clients)
        arrivals = several.arrivals()
        try:
            async with asyncio.timeout(5):
                return several, await anext(arrivals)
        finally:
            await arrivals.aclose()

    async def served():
        async with GeyserServer(Chain(iter(demo_updates(slots=3)))) as server:
            several, (_, what) = await go((1, server.port))
            return several.counts, type(what).__name__

    counts, name = asyncio.run(served())
    assert name == "Connected"
    assert counts.get("endpoint_unusable", 0) <= 1
    with pytest.raises(InputFault, match="cannot reach"):
        asyncio.run(go((1, 2)))


def test_each_endpoint_has_a_token_of_its_own(tmp_path):
    token = tmp_path / "token"
    token.write_text("abc\n")
    first, second = endpoints(["http://a:1", "http://b:2"], [token, "-"])
    assert (first.token, second.token) == ("abc", None)
    with pytest.raises(InputFault, match="give each its own"):
        endpoints(["http://a:1", "http://b:2"], [token])
    with pytest.raises(InputFault, match="twice"):
        endpoints(["http://a:1", "http://a:1"])
