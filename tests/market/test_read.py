"""What a quote says it read depends on the state and the question alone: not on quotes taken before, nor on restarts."""

import random

import pytest

from ironcrab.dex import Quote, dlmm_state
from ironcrab.dex.address import WSOL
from tests.market.test_accounts import World, block, written
from tests.pool_sets import CLOCK, dlmm, sets

DEEP = dlmm(width=345, arrays=range(-5, 5))
"""A DLMM pool with more bin arrays on either side than a quote is expected to pass."""
WORLDS = {**sets(), "deep": DEEP}


def told(made, last=()):
    """A market that knows the pool; these addresses were written last, in this order."""
    world = World().tell(block())
    order = [address for address in made.accounts if address not in last]
    for address in (*order, *last):
        world.tell(written(address, made.accounts[address], slot=2_000 if address in last else 1_000))
    return world


def asked(world, made, question):
    mint_in, amount, exact = question
    return world.known.pools.accounts.quote(made.pool, mint_in, amount, exact, clock=CLOCK)


def figures(found):
    """A quote without what it would write, which is computed when it is looked at."""
    return (found.amount_in, found.amount_out, found.fees) if isinstance(found, Quote) else found


def array(index):
    return dlmm_state.bin_array_address(DEEP.pool, index)


def test_a_far_array_is_named_by_the_quotes_that_reach_it_and_by_no_other():
    far = (array(4),)
    world = told(DEEP, far)
    newest = world.known.pools.accounts.rows[far[0]].seq
    small, large = (DEEP.mints[1], 1_000, "in"), (DEEP.mints[1], 330 * 10**9, "in")
    before = asked(world, DEEP, small)
    assert before.seq < newest
    deep = asked(world, DEEP, large)
    assert isinstance(deep.found, Quote)
    assert (deep.seq, deep.slot) == (newest, 2_000)
    for again in (asked(world, DEEP, small), asked(world.restored(), DEEP, small)):
        assert (again.seq, again.slot, figures(again.found)) == (before.seq, before.slot, figures(before.found))
    assert asked(world.restored(), DEEP, large).seq == newest
    assert far[0] in deep.found.after
    assert asked(world, DEEP, small).seq == before.seq, "looking at what a quote writes is no reading"


@pytest.mark.parametrize("venue", WORLDS)
def test_whatever_was_quoted_before(venue):
    made, dice = WORLDS[venue], random.Random(venue)
    keys = list(made.accounts)
    for _ in range(12):
        last = dice.sample(keys, dice.randrange(1, len(keys) + 1))
        world = told(made, last)
        for _ in range(12):
            question = (dice.choice(made.mints), int(10 ** dice.uniform(0, 13)), dice.choice(("in", "out")))
            mine, other = asked(world, made, question), asked(world.restored(), made, question)
            assert (mine.seq, mine.slot) == (other.seq, other.slot), question
            assert figures(mine.found) == figures(other.found), question
        if venue != "deep":
            loaded = world.known.pools.accounts.loaded[made.pool]
            assert loaded.asked.keys() <= loaded.expected.keys(), "what is expected holds what is read"


def test_an_expected_account_that_changes_is_the_newest():
    made = WORLDS["meteora_dlmm"]
    world = told(made)
    address = dlmm_state.bin_array_address(made.pool, -1)
    question = (WSOL, 1_000, "in")
    asked(world, made, question)
    world.tell(written(address, made.accounts[address], slot=3_000))
    assert asked(world, made, question).slot == 3_000
