"""Routes are their hops, one after the other."""

import base64
import json

import pytest

from ironcrab import dex
from ironcrab.dex import raydium
from ironcrab.dex.face import ABSENT, Account, Clock, Refusal
from ironcrab.dex.mint import moved, with_amount
from ironcrab.dex.route import Hop, quote_route

POOL = "58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2"
TWIN = "7XawhbbxtsRcQA8KTkHT9f9nc6d69UwqCDh6U5EEbEmX"
CLOCK = Clock(0, 1_800_000_000, 951)


@pytest.fixture
def pools(shared):
    """The real SOL/USDC pool, and a twin of it with other vaults and other reserves."""
    held = json.loads((shared / "data/raydium/amm_v4_accounts_mainnet.json").read_text())
    accounts = {a["pubkey"]: Account(a["owner"], a["lamports"], base64.b64decode(a["data_b64"])) for a in held}
    amm = raydium.decode(accounts[POOL])
    data = accounts[POOL].data
    data = data[:336] + data[464:496] + data[496:528] + data[400:]
    twin = raydium.decode(Account(raydium.PROGRAM, 1, data))
    return accounts | {
        TWIN: Account(raydium.PROGRAM, 1, data),
        twin.coin_vault: with_amount(accounts[amm.coin_vault], 10**13),
        twin.pc_vault: moved(accounts[amm.pc_vault], -(10**12)),
    }


def mints(accounts):
    amm = raydium.decode(accounts[POOL])
    return amm.coin_mint, amm.pc_mint


def test_two_hops_in(pools):
    coin, pc = mints(pools)
    found = quote_route([Hop(POOL, coin), Hop(TWIN, pc)], pools, amount=10**9, clock=CLOCK)
    first = dex.quote(POOL, pools, mint_in=coin, amount=10**9, clock=CLOCK)
    second = dex.quote(TWIN, pools, mint_in=pc, amount=first.amount_out, clock=CLOCK)
    assert found.hops == (first, second)
    assert (found.whole.amount_in, found.whole.amount_out) == (10**9, second.amount_out)
    assert found.whole.fees == first.fees + second.fees
    assert found.whole.after == {**first.after, **second.after}
    assert not found.whole.partial


def test_two_hops_out(pools):
    coin, pc = mints(pools)
    found = quote_route([Hop(POOL, coin), Hop(TWIN, pc)], pools, amount=10**9, exact="out", clock=CLOCK)
    second = dex.quote(TWIN, pools, mint_in=pc, amount=10**9, exact="out", clock=CLOCK)
    first = dex.quote(POOL, pools, mint_in=coin, amount=second.amount_in, exact="out", clock=CLOCK)
    assert found.hops == (first, second)
    assert (found.whole.amount_in, found.whole.amount_out) == (first.amount_in, 10**9)
    back = quote_route([Hop(POOL, coin), Hop(TWIN, pc)], pools, amount=first.amount_in, clock=CLOCK)
    assert back.whole.amount_out >= 10**9


def test_a_pool_twice_sees_its_first_swap(pools):
    coin, pc = mints(pools)
    there_and_back = [Hop(POOL, coin), Hop(POOL, pc, "legacy")]
    found = quote_route(there_and_back, pools, amount=10**12, clock=CLOCK)
    naive = dex.quote(POOL, pools, mint_in=pc, amount=found.hops[0].amount_out, clock=CLOCK)
    assert naive.amount_out < found.whole.amount_out < 10**12
    refused = quote_route(there_and_back, pools, amount=10**9, exact="out", clock=CLOCK)
    assert isinstance(refused, Refusal)


def test_impact_compounds(pools):
    coin, pc = mints(pools)
    found = quote_route([Hop(POOL, coin), Hop(TWIN, pc)], pools, amount=10**12, clock=CLOCK)
    one, two = (hop.price_impact_bps for hop in found.hops)
    assert max(one, two) < found.whole.price_impact_bps <= one + two + 1


def test_refusals(pools):
    coin, pc = mints(pools)
    amm, twin = raydium.decode(pools[POOL]), raydium.decode(pools[TWIN])
    assert isinstance(quote_route([], pools, amount=1, clock=CLOCK), Refusal)
    dust = quote_route([Hop(POOL, coin), Hop(TWIN, pc)], pools, amount=1, clock=CLOCK)
    assert (dust.code, dust.missing) == (29, ())
    assert "hop 1 of 2" in dust.reason
    bare = {POOL: pools[POOL], TWIN: pools[TWIN]}
    lacking = quote_route([Hop(POOL, coin), Hop(TWIN, pc)], bare, amount=1, clock=CLOCK)
    assert lacking.missing == (amm.coin_vault, amm.pc_vault, twin.coin_vault, twin.pc_vault)
    unknown = quote_route([Hop(POOL, coin), Hop(TWIN, pc)], {POOL: pools[POOL]}, amount=1, clock=CLOCK)
    assert unknown.missing == (amm.coin_vault, amm.pc_vault, TWIN)
    strange = {POOL: pools[POOL], TWIN: ABSENT}
    assert quote_route([Hop(POOL, coin), Hop(TWIN, pc)], strange, amount=1, clock=CLOCK).missing
