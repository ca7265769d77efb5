"""The bounded queue between network and loop: coalescing, refusal, order."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.fault import InputFault
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell.geyser_order import ACCOUNT, peek
from ironcrab.shell.inbox import Connected, Inbox, Lost


def write(key, version):
    update = wire.SubscribeUpdate()
    update.account.slot = 5
    update.account.account.pubkey = bytes([key]) * 32
    update.account.account.write_version = version
    return update.SerializeToString()


def trade(number):
    update = wire.SubscribeUpdate()
    update.transaction.slot = 5
    update.transaction.transaction.signature = bytes([number]) * 64
    return update.SerializeToString()


def drained(inbox):
    async def run():
        return [await inbox.next() for _ in range(len(inbox))]

    return [what for _, what in asyncio.run(run())]


ARRIVALS = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=120)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(1, 30), ARRIVALS)
def test_no_trade_is_lost_silently_and_the_newest_write_stays(most, arrivals):
    inbox = Inbox(most)
    told = [trade(number) if is_trade else write(number, place) for place, (is_trade, number) in enumerate(arrivals)]
    taken = []
    for place, frame in enumerate(told):
        if not inbox.put(place, frame):
            break
        taken.append(frame)
    found = drained(inbox)
    assert len(found) <= most
    assert [f for f in found if peek(f)[0] != ACCOUNT] == [f for f in taken if peek(f)[0] != ACCOUNT]
    newest = {}
    for frame in taken:
        if peek(frame)[0] == ACCOUNT:
            newest[wire.SubscribeUpdate.FromString(frame).account.account.pubkey] = frame
    assert set(newest.values()) <= set(found)
    assert len(taken) - len(found) == inbox.coalesced
    places = [taken.index(frame) for frame in dict.fromkeys(found)]
    assert places == sorted(places) or len(set(taken)) < len(taken)


def test_what_became_of_a_connection_is_never_refused():
    inbox = Inbox(1)
    assert inbox.put(1, trade(1))
    assert not inbox.put(2, trade(2))
    assert inbox.put(3, Lost("x"))
    assert inbox.put(4, Connected(None))
    assert drained(inbox) == [trade(1), Lost("x"), Connected(None)]


def test_a_fault_comes_behind_what_waits():
    async def run():
        inbox = Inbox(5)
        inbox.put(1, trade(1))
        inbox.fail(InputFault("over"))
        assert (await inbox.next())[1] == trade(1)
        with pytest.raises(InputFault, match="over"):
            await inbox.next()

    asyncio.run(run())


def test_drained_waits_for_the_reader():
    async def run():
        inbox = Inbox(5)
        inbox.put(1, trade(1))
        waiting = asyncio.create_task(inbox.drained())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await inbox.next()
        reading = asyncio.create_task(inbox.next())
        await asyncio.wait_for(waiting, 1)
        reading.cancel()

    asyncio.run(run())
