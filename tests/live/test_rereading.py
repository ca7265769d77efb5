"""Unknown accounts are read by RPC beside the hot path: at a slot behind the gap, so many at a time, never in a turn."""

import asyncio
import base64
from struct import pack

import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from ironcrab.dex import base58
from ironcrab.dex.address import SYSTEM
from ironcrab.dex.message import LOOKUP_TABLES
from ironcrab.domain.control import ControlRequest, ControlResponse
from ironcrab.domain.fault import Fault
from ironcrab.domain.market import AccountWritten
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
from ironcrab.mode.live import LiveSettings, live_until
from ironcrab.mode.outlets import paper_outlets
from ironcrab.mode.rereading import Rereading
from ironcrab.mode.restart import show_tables
from ironcrab.mode.taking import Live
from ironcrab.shell import demo_pools, demo_swaps
from ironcrab.shell.endpoint import endpoint
from ironcrab.shell.hosted import served
from ironcrab.shell.inbox import Connected, Lost
from ironcrab.shell.rpc import AccountsAnswer, Context, Rpc, RpcAccount, RpcFault
from ironcrab.shell.transaction import Tables
from tests.live.desk import BEGAN, frames, judged, scenario, session
from tests.shell.stage import MINT, OTHER, WALLET, new_chain


class Node:
    """Stands for a node: tells the accounts as the feed told them, at a slot, or refuses."""

    def __init__(self, accounts, slot):
        self.accounts_of = accounts
        self.slot = slot
        self.asked = []
        self.refusals = 0

    async def accounts(self, keys, commitment, least_slot=None):
        self.asked.append((tuple(keys), commitment, least_slot))
        if self.refusals:
            self.refusals -= 1
            raise RpcFault("the node is behind", "refused", -32016)

        def row(key):
            account = self.accounts_of.get(key)
            if account is None:
                return None
            return RpcAccount(account.lamports, account.owner, (base64.b64encode(account.data).decode(), "base64"))

        return AccountsAnswer(Context(self.slot), [row(key) for key in keys])


def after_a_gap(folder):
    """A session that lost its feed for some slots, with no replay: what it knew is stale. The session, its last time."""
    live = session(folder)
    live.open(BEGAN)
    live.arrive((BEGAN, Connected(None)))
    told, last = {}, BEGAN
    for at, slot, frame in frames(slots=20):
        number = slot - 400_000_000
        if number == 8 and not told:
            told = {key: live.drive.wiring.known.pools.accounts.get(key) for key in live.following.keys}
            live.arrive((at, Lost("cut")))
        if number == 12 and live.feeding.is_up is False:
            live.arrive((at, Connected(None)))
        if number < 8 or 12 <= number < 14:
            live.arrive((at, frame))
        last = at
    return live, {key: account for key, account in told.items() if account is not None}, last


def test_what_a_gap_made_stale_is_read_behind_it_and_known_again(tmp_path):
    live, told, last = after_a_gap(tmp_path / "demo")
    pools = live.drive.wiring.known.pools
    gap_slot = pools.gap_slot
    assert gap_slot == 400_000_011
    assert not pools.gap_open
    stale = [key for key in live.following.keys if pools.accounts.get(key) is None]
    assert len(stale) > 10
    node = Node(told, gap_slot + 2)
    rereading = Rereading(node, live.following, pools, lambda event: live.take(last, event), lambda: True)
    node.refusals = 1
    asyncio.run(rereading.round())
    assert rereading.counts == {"reread_failed": 1}
    asyncio.run(rereading.round())
    keys, commitment, least = node.asked[-1]
    assert (commitment, least) == ("confirmed", gap_slot + 1)
    assert len(keys) <= 100
    while rereading.wanted():  # what was read says what else a quote needs
        asyncio.run(rereading.round())
    assert all(pools.accounts.get(key) == account for key, account in told.items() if key in stale)
    assert all(pools.accounts.get(key) is not None for key in live.following.keys)
    live.close(last, "the test ended", {})
    live.session.close()
    read = [r.event for r in Recording.open(tmp_path / "demo").records((AccountWritten,)) if r.event.source == "rpc"]
    assert {event.pubkey for event in read} >= set(stale)
    assert all(event.signature is None and event.slot == gap_slot + 2 for event in read)
    gone = [event for event in read if event.pubkey not in told]
    assert all((event.owner, event.lamports, event.data) == (SYSTEM, 0, b"") for event in gone)
    judged(tmp_path / "demo")


def test_an_answer_that_a_new_gap_overtook_is_not_taken(tmp_path):
    live, told, last = after_a_gap(tmp_path / "demo")
    pools = live.drive.wiring.known.pools
    node = Node(told, pools.gap_slot + 2)
    taken = []
    rereading = Rereading(node, live.following, pools, taken.append, lambda: True)
    ask = node.accounts

    async def slow(*words):
        answer = await ask(*words)
        live.arrive((last, Lost("cut again")))
        return answer

    node.accounts = slow
    asyncio.run(rereading.round())
    assert taken == []
    live.session.close()


def request(pool, kind="ensure_pumpfun_bonding_curve", target="market-data", **fields):
    return ControlRequest("execution-engine-7-0", target, kind, pool_address_hint=pool, force_refresh=True, **fields)


def test_what_a_request_asks_for_is_read_at_once_known_or_not_and_answered(tmp_path):
    live, told, last = after_a_gap(tmp_path / "demo")
    pools = live.drive.wiring.known.pools
    row = next(row for row in pools.rows.values() if told.get(row.pool_address))
    rereading = Rereading(
        Node(told, pools.gap_slot + 2), live.following, pools, lambda e: live.take(last, e), lambda: True
    )
    live.requested = rereading.ask

    async def go():
        running = asyncio.create_task(rereading.run())
        await asyncio.sleep(0)
        live.take(last, request(row.pool_address, target="execution-engine"))
        live.take(last, request(row.pool_address, kind="burn_token_accounts"))
        live.take(last, request(row.pool_address))
        live.take(last, request(None, base_mint=row.base_mint))
        live.take(last, request(OTHER))
        live.take(last, request(None, base_mint=OTHER))
        await until(lambda: not rereading.requests, 0.5)
        running.cancel()

    asyncio.run(go())
    live.close(last, "the test ended", {})
    live.session.close()
    records = list(Recording.open(tmp_path / "demo").records((ControlResponse, AccountWritten)))
    answers = [record.event for record in records if isinstance(record.event, ControlResponse)]
    assert [answer.status for answer in answers] == ["ok", "ok", "not_found", "not_found"]
    assert answers[0].pool_address == row.pool_address
    assert {answer.request_id for answer in answers} == {"execution-engine-7-0"}
    read = [record.event.pubkey for record in records if getattr(record.event, "source", "") == "rpc"]
    assert row.pool_address in read
    assert len(rereading.requests) == 0
    judged(tmp_path / "demo")


def test_a_request_that_cannot_be_read_for_is_answered_and_many_are_bounded(tmp_path):
    live, told, _ = after_a_gap(tmp_path / "demo")
    pools = live.drive.wiring.known.pools
    pool = next(iter(pools.rows))
    taken = []
    node = Node(told, pools.gap_slot + 2)
    rereading = Rereading(node, live.following, pools, taken.append, lambda: True)
    node.refusals = 1
    asyncio.run(rereading.answer(request(pool)))
    rereading.is_up = lambda: False
    asyncio.run(rereading.answer(request(pool)))
    assert [(event.status, event.pool_address) for event in taken] == [("error", pool)] * 2
    for _ in range(1_000):
        rereading.ask(request(pool))
    assert len(rereading.requests) == 64
    live.session.close()


def test_lookup_tables_are_followed_and_outlets_know_those_of_long_ago(tmp_path):
    live = session(tmp_path / "demo", scenario(("engine.lookup_tables", OTHER)))
    live.open(BEGAN)
    live.look()
    assert OTHER in live.following.keys
    assert live.following.by_priority()[0] == OTHER
    entries = (base58.decode(WALLET.address), base58.decode(MINT))
    data = pack("<IQQBB", 1, 2**64 - 1, 5, 0, 0).ljust(56, b"\0") + b"".join(entries)
    live.take(BEGAN, AccountWritten(OTHER, LOOKUP_TABLES, 1, data, slot=9, write_version=3))
    tables = Tables()
    tables.slot = 9
    show_tables(live.drive.wiring, (tables,))
    older = AccountWritten(OTHER, LOOKUP_TABLES, 1, data[:88], slot=8)
    tables.see(Record(0, None, None, 0, older))
    (table,) = tables.named((OTHER,))
    assert table.addresses == (WALLET.address, MINT)
    live.following.use(())
    assert OTHER not in live.following.keys
    live.session.close()


def test_an_answer_ahead_of_the_feed_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr("ironcrab.mode.rereading.LOOKS", 3)
    live, told, _ = after_a_gap(tmp_path / "demo")
    pools = live.drive.wiring.known.pools
    taken = []
    rereading = Rereading(Node(told, pools.gap_slot + 9), live.following, pools, taken.append, lambda: True)
    asyncio.run(rereading.round())
    assert taken == []
    assert rereading.counts == {"reread_ahead_of_the_feed": 1}
    live.session.close()


async def until(holds, seconds=10):
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


def test_a_session_reads_what_nobody_writes_and_no_turn_asks_a_node(tmp_path, monkeypatch):
    """A coin whose accounts were written before the session came: they are read, and never from within a turn."""
    listing_chain = demo_pools.Chain(1, {})
    demo_pools.found(listing_chain)
    listing = demo_pools.curve(listing_chain, 1)
    chain = new_chain(slot_ms=40)
    for key, account in listing_chain.accounts.items():
        state = Account(account.lamports, account.data, Pubkey.from_string(account.owner))
        chain.vm.svm.set_account(Pubkey.from_string(key), state)
    turns, calls = [], []
    for name in ("arrive", "take", "answered", "silence"):
        inner = getattr(Live, name)

        def turn(live, *words, inner=inner):
            turns.append(1)
            try:
                return inner(live, *words)
            finally:
                turns.pop()

        monkeypatch.setattr(Live, name, turn)
    post = Rpc._post

    async def watched(rpc, method, *words):
        assert not turns, f"{method} was asked inside a turn"
        calls.append(method)
        return await post(rpc, method, *words)

    monkeypatch.setattr(Rpc, "_post", watched)
    told = scenario()

    async def outlets(_):
        return paper_outlets(told)

    async def go():
        async with served(chain, 0, 0, tick=True) as (rpc_url, feed_url):
            stop = asyncio.Event()
            settings = LiveSettings(endpoint(feed_url), tmp_path, hot=True, rpc_url=rpc_url)
            running = asyncio.create_task(live_until(told, settings, outlets, stop))
            await asyncio.sleep(1)
            frame = demo_swaps.birth(listing, OTHER, chain.slot, 0, bytes(64), 0).SerializeToString()
            for listen in chain.listeners:
                listen(frame)
            await until(lambda: running.done() or calls)
            await asyncio.sleep(0.5)
            stop.set()
            await running

    asyncio.run(go())
    read = {r.event.pubkey: r.event for r in Recording.open(tmp_path / "demo").records((AccountWritten,))}
    assert read[listing.pool].source == "rpc"
    assert read[listing.pool].data == listing_chain.accounts[listing.pool].data
    assert listing.mint in read
    assert set(calls) == {"getMultipleAccounts"}
    judged(tmp_path / "demo")


def test_a_url_that_is_none_begins_nothing(tmp_path):
    settings = LiveSettings(endpoint("http://127.0.0.1:1"), tmp_path / "data", rpc_url="ftp://x")

    async def outlets(_):
        raise AssertionError

    with pytest.raises(Fault, match="no http"):
        asyncio.run(live_until(scenario(), settings, outlets))
    assert not (tmp_path / "data").exists()
