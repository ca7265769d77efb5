"""What the housekeepers plan, executed by the real token programs: wrapped, unwrapped, closed, burnt, rent back."""

import asyncio
from struct import pack

import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from ironcrab.dex import Account as Known
from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.domain.ask import ConfirmAnswer
from ironcrab.domain.market import AccountWritten, ExplicitAmount
from ironcrab.domain.trade import TradeResources
from ironcrab.domain.units import NATIVE_SOL
from ironcrab.execution.fees import fees_of
from ironcrab.execution.housekeeping import action, house_plan
from ironcrab.execution.params import EngineParams
from ironcrab.market.rent import RENT_SYSVAR, lamports_per_byte
from ironcrab.mode.purse import account_data
from ironcrab.shell.samples import read_accounts
from tests.shell.stage import DECIMALS, KEYPAIR, MINT, SOL, WALLET, Stage, new_chain

ME = WALLET.address
RATE = 5080
RENT = (128 + 165) * RATE
RENT_22 = (128 + 170) * RATE
MINT_22 = base58.encode(bytes([5]) * 32)


def key(text):
    return Pubkey.from_string(text)


def chain_of(rate=RATE):
    chain = new_chain()
    chain.vm.set_rent_rate(rate)
    mint = bytes(36) + pack("<Q", 10**15) + bytes((DECIMALS, 1)) + bytes(36)
    chain.set_account(key(MINT_22), Account(1_500_000, mint, key(TOKEN_2022)))
    return chain


def give(chain, mint, program, amount, lamports, more=b""):
    address = associated(ME, mint, program)
    data = account_data(mint, ME, amount)
    if program == TOKEN_2022:
        data += b"\x02" + pack("<HH", 7, 0) + more
    chain.set_account(key(address), Account(lamports, data, key(program)))
    return address


def planned(purpose, raw, pair, **more):
    metadata = {"dry_run": "false", **more.pop("metadata", {})}
    intent = action("account-janitor", purpose, ExplicitAmount(raw, DECIMALS), TradeResources(*pair, **more), metadata)
    return house_plan(intent, fees_of(EngineParams(), intent, None), ME)


def performed(chain, plan, sends=True):
    """Simulated by the node, signed, sent, confirmed: the two last answers, and the wallet's lamports before."""

    async def go():
        async with Stage(chain) as desk:
            before = chain.vm.balance(KEYPAIR.pubkey())
            simulated = await desk.simulate(plan)
            return simulated, await desk.send(plan) if sends else None, before

    return asyncio.run(go())


def wsol(chain):
    return chain.vm.account(key(associated(ME, WSOL, TOKEN)))


def test_wrapped_unwrapped_and_closed_for_real():
    chain = chain_of()
    plan = planned("wrap", SOL, (NATIVE_SOL, WSOL))
    simulated, answer, before = performed(chain, plan)
    assert simulated.success, simulated
    assert simulated.amount_out == SOL
    assert isinstance(answer, ConfirmAnswer)
    assert answer.status == "confirmed"
    fee = answer.fees.network_fee_lamports
    assert chain.vm.balance(KEYPAIR.pubkey()) == before - SOL - RENT - fee
    assert (answer.fill_in.raw, answer.fill_out.raw) == (SOL + RENT, SOL)
    assert answer.wallet_sol_delta_lamports == -RENT - fee
    assert wsol(chain).lamports == SOL + RENT

    part = planned("unwrap", SOL // 4, (WSOL, NATIVE_SOL))
    simulated, answer, _ = performed(chain, part)
    assert simulated.success, simulated
    assert (answer.fill_in.raw, answer.fill_out.raw) == (SOL // 4, SOL // 4)
    assert wsol(chain).lamports == SOL - SOL // 4 + RENT

    whole = planned("unwrap", SOL - SOL // 4, (WSOL, NATIVE_SOL), metadata={"whole": "true"})
    simulated, answer, before = performed(chain, whole)
    assert simulated.success, simulated
    assert wsol(chain) is None
    assert answer.fill_out.raw == SOL - SOL // 4 + RENT
    assert chain.vm.balance(KEYPAIR.pubkey()) == before + SOL - SOL // 4 + RENT - answer.fees.network_fee_lamports


@pytest.mark.parametrize(
    ("program", "mint", "rent"), [(TOKEN, MINT, RENT), (TOKEN_2022, MINT_22, RENT_22), (TOKEN, MINT, 2_039_280)]
)
def test_an_empty_account_is_closed_and_every_lamport_comes_back(program, mint, rent):
    chain = chain_of()
    address = give(chain, mint, program, 0, rent)
    plan = planned(
        "close", 0, (mint, NATIVE_SOL), accounts=(address,), token_program=program, metadata={"lamports": str(rent)}
    )
    simulated, answer, before = performed(chain, plan)
    assert simulated.success, simulated
    assert simulated.amount_out == rent, "old accounts hold more than today's rent: all of it comes back"
    assert (answer.status, answer.fill_in.raw, answer.fill_out.raw) == ("confirmed", 0, rent)
    assert chain.vm.account(key(address)) is None
    assert chain.vm.balance(KEYPAIR.pubkey()) == before + rent - answer.fees.network_fee_lamports


@pytest.mark.parametrize(("program", "mint"), [(TOKEN, MINT), (TOKEN_2022, MINT_22)])
def test_dust_is_burnt_and_its_account_closed(program, mint):
    chain = chain_of()
    address = give(chain, mint, program, 77, RENT_22)
    plan = planned(
        "burn", 77, (mint, NATIVE_SOL), accounts=(address,), token_program=program, metadata={"lamports": str(RENT_22)}
    )
    supply = bytes(chain.vm.account(key(mint)).data)[36:44]
    simulated, answer, _ = performed(chain, plan)
    assert simulated.success, simulated
    assert (answer.fill_in.raw, answer.fill_out.raw) == (77, RENT_22)
    assert chain.vm.account(key(address)) is None
    after = bytes(chain.vm.account(key(mint)).data)[36:44]
    assert int.from_bytes(supply, "little") - int.from_bytes(after, "little") == 77


def test_the_node_refuses_what_would_lose_tokens():
    chain = chain_of()
    address = give(chain, MINT, TOKEN, 5, RENT)
    close = planned(
        "close", 0, (MINT, NATIVE_SOL), accounts=(address,), token_program=TOKEN, metadata={"lamports": "1"}
    )
    simulated, _, _ = performed(chain, close, sends=False)
    assert not simulated.success
    assert '"Custom":11' in simulated.error_code
    burn = planned("burn", 6, (MINT, NATIVE_SOL), accounts=(address,), token_program=TOKEN, metadata={"lamports": "1"})
    simulated, _, _ = performed(chain, burn, sends=False)
    assert not simulated.success


@pytest.mark.parametrize("rate", [6960, 5080, 696])
def test_accounts_and_rent_are_read_from_the_node_and_told_when_they_change(rate):
    chain = chain_of(rate)
    told = {}

    async def go():
        async with Stage(chain) as desk:
            first = await read_accounts(desk.rpc, ME, told)
            again = await read_accounts(desk.rpc, ME, told)
            chain.vm.svm.set_account(key(associated(ME, MINT, TOKEN)), Account(0, b"", Pubkey.default()))
            return first, again, await read_accounts(desk.rpc, ME, told)

    first, again, gone = asyncio.run(go())
    assert {event.pubkey for event in first} == {RENT_SYSVAR, associated(ME, MINT, TOKEN)}
    assert all(isinstance(event, AccountWritten) for event in first)
    sysvar = next(event for event in first if event.pubkey == RENT_SYSVAR)
    assert lamports_per_byte(Known(sysvar.owner, sysvar.lamports, sysvar.data)) == rate
    assert not again
    assert [(event.pubkey, event.lamports) for event in gone] == [(associated(ME, MINT, TOKEN), 0)]
