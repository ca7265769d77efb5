"""Pools decoded once and quoted many times: the same answers as the accounts themselves, venue by venue."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ironcrab import dex
from ironcrab.dex import ABSENT, Account, Clock, Quote, Refusal, dlmm_state, generations, raydium, whirlpool
from ironcrab.dex.address import TOKEN, WSOL
from ironcrab.dex.later import Later
from ironcrab.dex.mint import moved
from ironcrab.dex.whirlpool_state import PROGRAM, array_address
from tests.pool_sets import CLOCK, amm_v4, dlmm, orca, sets, vault

SETS = sets()
STEADY = settings(derandomize=True, deadline=None, max_examples=60)


def loaded(made, generation=None):
    return dex.venue_of(made.accounts[made.pool].owner).load(made.pool, made.accounts, generation)


def asked(made, **ask):
    return dex.quote(made.pool, made.accounts, **ask)


AMOUNTS = st.one_of(st.integers(-1, 10), st.integers(0, 2**65), st.integers(10**5, 10**11))
ASKS = st.fixed_dictionaries(
    {
        "mint_in": st.integers(0, 2),
        "amount": AMOUNTS,
        "exact": st.sampled_from(["in", "out"]),
        "clock": st.sampled_from([CLOCK, replace(CLOCK, epoch=7), Clock(0, 0, 0), Clock(0, -1, 0)]),
        "limit": st.sampled_from([None, None, None, 50]),
    }
)


@pytest.mark.parametrize("venue", SETS)
def test_a_loaded_pool_answers_as_its_accounts_do(venue):
    made = SETS[venue]
    ready = loaded(made)

    @STEADY
    @given(ASKS)
    def same(ask):
        ask["mint_in"] = (*made.mints, "Other")[ask["mint_in"]]
        found = ready.quote(**ask)
        assert found == asked(made, **ask)
        assert isinstance(found, Quote | Refusal)

    same()


@pytest.mark.parametrize("venue", SETS)
def test_what_is_no_pool_is_not_loaded(venue):
    made = SETS[venue]
    of = dex.venue_of(made.accounts[made.pool].owner)
    assert of.load(made.pool, {}, None).missing == (made.pool,)
    broken = Account(made.accounts[made.pool].owner, 1, b"\1" * 9)
    assert isinstance(of.load(made.pool, {made.pool: broken}, None), Refusal)


def test_a_loaded_pool_names_what_it_lacks_at_the_quote():
    for made in SETS.values():
        alone = {made.pool: made.accounts[made.pool]}
        ready = dex.venue_of(alone[made.pool].owner).load(made.pool, alone, None)
        if not isinstance(ready, Refusal):
            ready = ready.quote(mint_in=WSOL, amount=5, exact="in", clock=CLOCK, limit=None)
        assert ready.missing


def test_state_of_before_0_12_is_not_loaded():
    assert isinstance(loaded(SETS["meteora_dlmm"], "pre-0.12"), Refusal)


def test_a_broken_tick_array_bars_one_direction_of_a_whirlpool():
    made = orca()
    above = array_address(PROGRAM, made.pool, 704)
    accounts = {**made.accounts, above: Account(PROGRAM, 1, b"broken")}
    ready = whirlpool.VENUE.load(made.pool, accounts, None)
    for _ in range(2):
        for mint in made.mints:
            found = ready.quote(mint_in=mint, amount=10**6, exact="in", clock=CLOCK)
            assert found == dex.quote(made.pool, accounts, mint_in=mint, amount=10**6, clock=CLOCK)
    down, up = (ready.quote(mint_in=mint, amount=10**6, exact="in", clock=CLOCK) for mint in made.mints)
    assert isinstance(down, Quote)
    assert isinstance(up, Refusal)


def test_a_bin_that_cannot_hold_the_input_is_refused_by_exact_output_too():
    made = dlmm()
    address = dlmm_state.bin_array_address(made.pool, 0)
    account = made.accounts[address]
    full = replace(dlmm_state.decode_bin(account.data, 0), amount_x=2**64 - 5)
    accounts = {**made.accounts, address: replace(account, data=dlmm_state.encode_bins(account.data, {0: full}))}
    found = dex.quote(made.pool, accounts, mint_in=WSOL, amount=1000, exact="out", clock=CLOCK)
    assert found.code == 6018


def test_accounts_afterwards_are_made_at_the_first_look():
    work = []

    def made(*told):
        work.append(told)
        return {"a": ABSENT}

    later = Later(made, (1, 2))
    assert work == []
    assert (len(later), list(later), later["a"], later.get("b")) == (1, ["a"], ABSENT, None)
    assert repr(later) == repr({"a": ABSENT})
    assert {"b": ABSENT, "a": None} | later == {"b": ABSENT, "a": ABSENT}
    assert later == {"a": ABSENT}
    assert work == [(1, 2)]


def test_reserves_of_amm_v4_both_ways():
    made = amm_v4()
    ready = loaded(made)
    for exact in ("in", "out"):
        found = ready.quote(mint_in=WSOL, amount=10**6, exact=exact, clock=CLOCK)
        fill = ready.sides[WSOL].reserves.swap(10**6, exact)
        assert (found.amount_in, found.amount_out) == (fill.amount_in, fill.amount_out)
    assert isinstance(ready, raydium.Ready)


def test_nothing_is_withheld_where_there_is_no_place_for_it():
    account = vault(WSOL, 10)
    assert moved(account, 5, 3) == moved(account, 5) == vault(WSOL, 15, TOKEN)


def test_generations_of_a_date():
    at = generations.generations_at
    assert at(1_744_000_000) == (
        "raydium=legacy", "raydium_cpmm=legacy", "meteora_dlmm=pre-0.12", "pumpfun=global_fees", "pump_amm=global_fees",
    )  # fmt: skip
    assert at(1_760_000_000) == ("raydium_cpmm=creator", "meteora_dlmm=pre-0.12")
    assert at(1_790_000_000) == ()
    named = {venue.id: [name for name, _ in venue.generations] for venue in dex.VENUES}
    assert all(generation in named[venue] for venue, generation, _ in generations.ENDED)
