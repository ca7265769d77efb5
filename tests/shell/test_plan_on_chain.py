"""What stands round a swap, as the reducer builds it, run by a virtual machine; only the venue's call is left out."""

import pytest
from msgspec.structs import replace
from solders.pubkey import Pubkey

from ironcrab.dex.address import TOKEN, WSOL, associated
from ironcrab.dex.message import compiled
from ironcrab.shell.transaction import Tables, message_of, signed
from tests.execution.test_plans import coin_of, decide, kinds, ready, wish
from tests.live.test_armed import give_wrapped
from tests.shell.stage import SOL, WALLET, mint_account, new_chain, token_account

RAW = 10_000_000
PROGRAMS = ("limit", "price", "make", "transfer", "sync", "unwrap", "close")


def chain_for(coin, wrapped, holds):
    """A chain on which the coin exists, and what the wallet holds."""
    chain = new_chain()
    chain.set_account(Pubkey.from_string(coin), mint_account())
    if wrapped:
        give_wrapped(chain, wrapped)
    if holds:
        held = associated(WALLET.address, coin, TOKEN)
        chain.set_account(Pubkey.from_string(held), token_account(coin, WALLET.address, holds))
    return chain


def without_swaps(plan):
    """The plan as recorded but for the venue's call, and what is left of it."""
    left = tuple(call for call, kind in zip(plan.calls, kinds(plan), strict=True) if kind in PROGRAMS)
    assert len(left) == len(plan.calls) - 1
    return replace(plan, calls=left, plan_hash=compiled(WALLET.address, left).plan_hash)


def lamports(chain, address):
    account = chain.vm.account(Pubkey.from_string(address))
    return 0 if account is None else account.lamports


def amount(chain, mint):
    holding = chain.vm.holding(chain.vm.account(Pubkey.from_string(associated(WALLET.address, mint, TOKEN))))
    return None if holding is None else holding.amount


@pytest.mark.parametrize("side", ["Buy", "Sell"])
@pytest.mark.parametrize("wrapped", [0, 5 * SOL])
@pytest.mark.parametrize("venue", ["raydium", "orca", "pumpfun"])
def test_accounts_are_made_and_sol_is_wrapped_and_given_back(venue, wrapped, side):
    coin = coin_of(venue)
    stage = ready(venue, wallet=WALLET.address, wrapped=wrapped)
    plan = without_swaps(decide(stage, wish(venue, side)))
    chain = chain_for(coin, wrapped, RAW if side == "Sell" else 0)
    before, rent = lamports(chain, WALLET.address), chain.vm.svm.minimum_balance_for_rent_exemption(165)
    made = signed(message_of(plan, WALLET.address, Tables()), chain.hash, WALLET)
    chain.submit(made.raw, skip_preflight=False)
    chain.advance(2)
    (landing,) = [one for one in chain.ledger.values() if one.ran.signature == made.signature]
    assert landing.ran.err is None, landing.ran
    assert landing.ran.units <= plan.compute_units
    assert landing.ran.fee == 5_000 - (-plan.priority_fee_micro_lamports * plan.compute_units // 1_000_000)
    native = venue == "pumpfun"
    moved = RAW if native and wrapped and side == "Buy" else 0
    made_coin = rent if side == "Buy" else 0
    assert lamports(chain, WALLET.address) == before - landing.ran.fee - made_coin + moved
    assert amount(chain, coin) == (RAW if side == "Sell" else 0)
    assert amount(chain, WSOL) == (wrapped - moved if wrapped else None)
