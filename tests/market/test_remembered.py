"""A quote that is remembered is the one that would be made anew, whatever happened since it was made."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab import dex
from ironcrab.dex import ABSENT, Account, Quote, Refusal
from ironcrab.dex.address import TOKEN_2022, WSOL
from ironcrab.domain.control import ForkOrphaned, GapClosed, GapOpened, RunStarted
from ironcrab.domain.market import (
    AccountWritten,
    BondingCurveProgress,
    LatestBlockhash,
    PoolStateUpdate,
    SlotUpdate,
    Trade,
)
from ironcrab.loop import Loop, Now
from ironcrab.market import accounts as accounts_module
from ironcrab.market.accounts import CLOCK_SYSVAR, NotedClock, Paid
from ironcrab.market.known import Known
from ironcrab.market.pools import LivePoolCache
from ironcrab.market.quotes import QuoteCalculator
from tests.dex.test_whirlpool_quote import MINT_A, MINT_B, NOW, POOL, VAULT_A, VAULT_B, adaptive
from tests.pool_sets import CLOCK, PoolSet, sets

SECOND = 1_000_000_000
AMOUNTS = (1, 999, 10**6, 10**10)
LATE = CLOCK.epoch + 1
"""Epoch in which the transfer fees change; its first slot is 432,000 times that."""


def fee_mint():
    """A mint of Token-2022 whose transfers cost 1 %, and 3 % from the epoch `LATE` on."""
    schedules = struct.pack("<QQHQQH", 0, 2**60, 100, LATE, 2**60, 300)
    body = bytes(36) + struct.pack("<QBB", 0, 6, 1) + bytes(36)
    return Account(TOKEN_2022, 1, body.ljust(165, b"\0") + b"\1" + struct.pack("<HH", 1, 108) + bytes(72) + schedules)


def taxed():
    """A Whirlpool of two such mints whose fee rises with its volatility, which decays with time."""
    accounts = adaptive(size=64, control=50_000, volatility=50_000) | {MINT_A: fee_mint(), MINT_B: fee_mint()}
    tail = b"\2\2\0\x08\0" + bytes(8)
    accounts |= {vault: Account(TOKEN_2022, 1, accounts[vault].data + tail) for vault in (VAULT_A, VAULT_B)}
    return PoolSet(POOL, accounts, (MINT_A, MINT_B))


def clock_sysvar(slot, time, epoch):
    data = slot.to_bytes(8, "little") + bytes(8) + epoch.to_bytes(8, "little") + bytes(8) + time.to_bytes(8, "little")
    return Account("Sysvar1111111111111111111111111111111111111", 1, data)


def timed(made, layout, *fields):
    """The pool's own account with these (offset, value) in it."""
    account = made.accounts[made.pool]
    data = bytearray(account.data)
    for kind, (offset, value) in zip(layout, fields, strict=True):
        struct.pack_into(f"<{kind}", data, offset, value)
    return Account(account.owner, 1, bytes(data))


ALL = sets() | {"taxed": taxed()}
CPMM, DLMM = ALL["raydium_cpmm"], ALL["meteora_dlmm"]
SOON = {
    CPMM.pool: timed(CPMM, "Q", (373, CLOCK.unix_timestamp + 2)),
    DLMM.pool: timed(DLMM, "BBQ", (75, 1), (86, 0), (816, CLOCK.slot + 2)),
}
"""Accounts of pools that open at a time, and at a slot."""
OTHERS = {made.pool: ABSENT for made in ALL.values()} | SOON
"""What else the account of a pool may be."""


class World:
    """A market that is told events at times of its own."""

    def __init__(self):
        self.take(Known.fresh(Now()), 0)
        self.time = CLOCK.unix_timestamp * SECOND
        self.opened = None

    def take(self, known, seq):
        self.known = known
        self.loop = Loop(known.reducers, lambda _: None, known.now, seq)

    def tell(self, *events):
        for event in events:
            if isinstance(event, GapOpened):
                self.opened = self.loop.seq
            self.loop.take(event, self.time)

    def restart(self):
        """Go on with the same state in reducers that remember nothing else."""
        known = Known.fresh(Now())
        known.now.time, known.now.slot = self.known.now.time, self.known.now.slot
        known.pools.state = self.known.pools.state
        known.pools.restored()
        self.take(known, self.loop.seq)

    def ask(self, made, mint, amount):
        """The quote, after it was held against that of a cache that has just been put back."""
        fresh = LivePoolCache(self.known.now)
        fresh.state = self.known.pools.state
        fresh.restored()
        anew = fresh.accounts.quote(made.pool, mint, amount)
        paid = self.known.pools.accounts.paid(made.pool, mint, amount)
        assert paid == (None if anew is None else as_paid(anew)), (made.pool, mint, amount)
        quote = self.known.quotes.quote(made.pool, mint, amount)
        assert quote == QuoteCalculator(fresh, self.known.mints).quote(made.pool, mint, amount)
        return quote


def as_paid(exact):
    found = exact.found
    if isinstance(found, Refusal):
        return Paid(0, found, exact.seq, exact.slot)
    return Paid(0 if found.partial else found.amount_out, None, exact.seq, exact.slot)


def write(address, account, slot, version=0, signature=None):
    return AccountWritten(
        address, account.owner, account.lamports, account.data, slot=slot, write_version=version, signature=signature
    )


def swap(world, made, mint, slot, signature):
    """Writes of a swap from what is known, seen at once or when its transaction is told."""
    known = {address: account for address in made.accounts if (account := world.known.pools.accounts.get(address))}
    clock = world.known.pools.accounts.clock()
    found = dex.quote(made.pool, known, mint_in=mint, amount=10**9, clock=clock)
    after = found.after if isinstance(found, Quote) else {}
    return [write(address, account, slot, 9, signature) for address, account in after.items()]


def anything(data, world, slot):
    """One or a few events of any kind a market brings."""
    draw = data.draw
    made = ALL[draw(st.sampled_from(sorted(ALL)))]
    address = draw(st.sampled_from(sorted(made.accounts)))
    signature = draw(st.sampled_from([None, None, "a", "b"]))
    mint, coin = draw(st.sampled_from([made.mints, made.mints[::-1]]))
    time = draw(st.sampled_from([CLOCK, NOW])).unix_timestamp + draw(st.integers(-2, 60))
    kinds = {
        "write": lambda: [write(address, made.accounts[address], slot, draw(st.integers(0, 2)), signature)],
        "swap": lambda: swap(world, made, mint, slot, signature),
        "other": lambda: [write(made.pool, OTHERS[made.pool], slot, 1, signature)],
        "close": lambda: [write(address, ABSENT, slot, 1, signature)],
        "mint": lambda: [write(coin, fee_mint(), slot, 1, signature)],
        "trade": lambda: [Trade(made.pool, coin, "T", True, 5, 7, 6, "raydium", mint, slot=slot, signature=signature)],
        "reserves": lambda: [PoolStateUpdate(made.pool, "raydium", 10**12, 10**12, coin, mint, slot, slot=slot)],
        "progress": lambda: [BondingCurveProgress(coin, made.pool, 9, draw(st.booleans()), slot=slot)],
        "slot": lambda: [SlotUpdate(slot, slot=slot, status=draw(st.sampled_from(["created", "processed"])))],
        "block": lambda: [LatestBlockhash("h", slot=slot, block_time=draw(st.sampled_from([None, time])))],
        "clock": lambda: [write(CLOCK_SYSVAR, clock_sysvar(slot, time, draw(st.integers(925, LATE))), slot)],
        "gap": lambda: [GapOpened("f", slot, draw(st.sampled_from([None, slot])), "gap")],
        "filled": lambda: [GapClosed("f", world.opened, slot, filled=draw(st.booleans()))],
        "fork": lambda: [ForkOrphaned(slot, "fork")],
        "run": lambda: [RunStarted(0, "t", "0", "x", (), (), (), (draw(st.sampled_from(GENERATIONS)),))],
        "whole": lambda: [write(*each, slot, 3) for each in made.accounts.items()],
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]()


GENERATIONS = ("pumpfun=global_fees", "pumpfun=fee_program", "raydium=legacy", "raydium=strict")


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_a_remembered_quote_is_a_fresh_one(data):
    draw = data.draw
    world, slot = World(), CLOCK.slot
    for made in ALL.values():
        world.tell(*(write(*each, slot) for each in made.accounts.items()))
    questions = [
        (ALL[name], mint, amount)
        for name in draw(st.lists(st.sampled_from(sorted(ALL)), min_size=1, max_size=3))
        for mint in ALL[name].mints
        for amount in draw(st.lists(st.sampled_from(AMOUNTS), min_size=1, max_size=2))
    ]
    for _ in range(draw(st.integers(2, 20))):
        world.time += draw(st.sampled_from([0, 0, SECOND // 2, 3 * SECOND]))
        slot += draw(st.sampled_from([0, 0, 1, 432_000]))
        world.tell(*anything(data, world, slot))
        if draw(st.integers(0, 9)) == 0:
            world.restart()
        for question in questions:
            world.ask(*question)


@pytest.mark.parametrize("name", ALL)
def test_what_stays_the_same_is_reckoned_once(name, monkeypatch):
    made, world = ALL[name], World()
    world.tell(*(write(*each, CLOCK.slot) for each in made.accounts.items()))
    first = world.ask(made, made.mints[0], 10**6)
    accounts = world.known.pools.accounts
    with monkeypatch.context() as patch:
        patch.setattr(accounts, "quote", lambda *_, **__: pytest.fail("it was reckoned again"))
        world.tell(SlotUpdate(CLOCK.slot + 1, slot=CLOCK.slot + 1), write(dex.base58.encode(bytes(32)), ABSENT, 1))
        assert world.known.quotes.quote(made.pool, made.mints[0], 10**6) == first
    for amount in range(1, 2 * accounts_module.MOST_TOLD):
        world.ask(made, made.mints[0], amount)
    assert len(accounts.loaded[made.pool].told) == accounts_module.MOST_TOLD


def test_a_clock_notes_what_was_read():
    noted = NotedClock(CLOCK)
    assert noted.noted == (None, None, None)
    assert noted.epoch == CLOCK.epoch
    assert noted.noted == (None, None, CLOCK.epoch)
    assert (noted.unix_timestamp, noted.slot) == (CLOCK.unix_timestamp, CLOCK.slot)
    assert noted.noted == (CLOCK.slot, CLOCK.unix_timestamp, CLOCK.epoch)


def told(made):
    world = World()
    world.tell(*(write(*each, CLOCK.slot) for each in made.accounts.items()))
    return world


def block(slot, time=CLOCK.unix_timestamp):
    return LatestBlockhash("h", slot=slot, block_time=time)


@pytest.mark.parametrize("made", [CPMM, DLMM])
def test_a_pool_opens_though_none_of_its_accounts_changes(made):
    world = told(made)
    world.tell(write(made.pool, SOON[made.pool], CLOCK.slot, 5), block(CLOCK.slot))
    for slot, seconds, is_open in ((0, 0, False), (1, 1, False), (2, 2, True), (3, 3, True)):
        world.tell(block(CLOCK.slot + slot, CLOCK.unix_timestamp + seconds))
        assert (getattr(world.ask(made, WSOL, 10**6), "kind", None) == "exact") == is_open


def test_fees_follow_time_and_epoch():
    made = ALL["taxed"]
    world = told(made)
    outs = []
    for slot, seconds in ((CLOCK.slot, 0), (CLOCK.slot, 5), (CLOCK.slot, 9_000), (LATE * 432_000, 9_000)):
        world.tell(block(slot, NOW.unix_timestamp + seconds))
        outs.append(world.ask(made, MINT_A, 10**6).amount_out)
    assert outs[0] == outs[1] < outs[2], "the volatility has decayed"
    assert outs[3] < outs[2], "transfers cost more"


def test_a_gap_that_is_filled_makes_known_again_what_was_missing():
    made = ALL["raydium"]
    world = told(made)
    world.tell(GapOpened("f", CLOCK.slot + 1, None, "gap"))
    world.tell(write(made.pool, made.accounts[made.pool], CLOCK.slot + 1))
    assert world.ask(made, WSOL, 10**6).reason == "POOL_NOT_FOUND"
    world.tell(GapClosed("f", world.opened, CLOCK.slot + 2, filled=True))
    assert world.ask(made, WSOL, 10**6).kind == "exact"
