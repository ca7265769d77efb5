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
from tests.dex.test_whirlpool_quote import MINT_A, MINT_B, POOL, adaptive
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


def clock_sysvar(slot, time, epoch):
    data = slot.to_bytes(8, "little") + bytes(8) + epoch.to_bytes(8, "little") + bytes(8) + time.to_bytes(8, "little")
    return Account("Sysvar1111111111111111111111111111111111111", 1, data)


def timed(made, offset):
    """The same pool with its opening time, at this offset of its account, some seconds ahead."""
    data = bytearray(made.accounts[made.pool].data)
    data[offset : offset + 8] = (CLOCK.unix_timestamp + 2).to_bytes(8, "little")
    return Account(made.accounts[made.pool].owner, 1, bytes(data))


ALL = sets()
ALL["orca_adaptive"] = PoolSet(POOL, adaptive(control=50_000, volatility=90_000), (MINT_A, MINT_B))
OTHERS = {
    made.pool: ABSENT for made in ALL.values()
} | {ALL["raydium_cpmm"].pool: timed(ALL["raydium_cpmm"], 373)}
"""What else the account of a pool may be: closed, not open yet."""


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
    time = CLOCK.unix_timestamp + draw(st.integers(-2, 60))
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


def test_time_that_passes_is_not_remembered():
    """A pool opens, volatility decays, a transfer fee rises: none of it is told by an account of the pool."""
    world, made = World(), ALL["raydium_cpmm"]
    world.tell(*(write(*each, CLOCK.slot) for each in made.accounts.items()))
    world.tell(write(made.pool, OTHERS[made.pool], CLOCK.slot, 5))
    assert world.ask(made, WSOL, 10**6).reason == "QUOTE_UNAVAILABLE"
    world.tell(LatestBlockhash("h", slot=CLOCK.slot + 1, block_time=CLOCK.unix_timestamp + 2))
    assert world.ask(made, WSOL, 10**6).kind == "exact"
    made = ALL["orca_adaptive"]
    world.tell(*(write(*each, CLOCK.slot) for each in made.accounts.items()))
    before = world.ask(made, MINT_A, 10**6)
    world.tell(LatestBlockhash("h", slot=CLOCK.slot + 2, block_time=CLOCK.unix_timestamp + 9_000))
    assert world.ask(made, MINT_A, 10**6).amount_out > before.amount_out
