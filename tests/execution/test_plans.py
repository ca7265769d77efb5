"""Plans with instructions: each venue's, meta by meta; what is not told, too old, too large; least outputs; limits."""

import base64
from struct import pack

import msgspec
import pytest

from ironcrab.dex import VENUES, Account, base58, pump_fees, pumpfun, pumpswap
from ironcrab.dex.address import ASSOCIATED_TOKEN, COMPUTE_BUDGET, SYSTEM, TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.dex.message import LOOKUP_TABLES, Table, calls_of, compiled, instructions_of
from ironcrab.domain.ask import SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ConfigUpdate
from ironcrab.domain.market import AccountWritten, PoolCreated, SlotUpdate, TokenMintInfo, WalletBalanceSnapshot
from ironcrab.domain.trade import TradeResources
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.building import TOO_LARGE, UNBUILT, fitted, means_of, tables_of, with_message
from ironcrab.execution.params import PAPER_WALLET
from ironcrab.execution.refusal import Refusal
from tests.execution.stage import Stage, buy, sell
from tests.pool_sets import CLOCK, COIN, key, sets

SLOT = CLOCK.slot
RAW = 10_000_000
MINT_ACCOUNT = Account(TOKEN, 1_461_600, bytes(36) + pack("<Q", 10**15) + bytes((6, 1)) + bytes(36))


def with_recipients(made):
    """What instructions read beyond quotes: fee recipients of the pump programs, the coin's mint."""
    accounts = dict(made.accounts)
    if made.pool in pump_pools():
        house = bytearray(1088)
        house[:8] = pumpfun._GLOBAL_TAG
        house[41:73] = base58.decode(key(71))
        house[741:773] = base58.decode(key(72))
        accounts[pumpfun.GLOBAL] = Account(pumpfun.PROGRAM, 1, bytes(house))
        config = bytearray(949)
        config[:8] = pumpswap._CONFIG_TAG
        config[57:89] = base58.decode(key(73))
        config[643:675] = base58.decode(key(74))
        accounts[pumpswap.GLOBAL_CONFIG] = Account(pumpswap.PROGRAM, 1, bytes(config))
    for mint in made.mints:
        if mint != WSOL:
            accounts.setdefault(mint, MINT_ACCOUNT)
    return accounts


def pump_pools():
    made = sets()
    return made["pumpfun"].pool, made["pump_amm"].pool


SETS = sets()
ACCOUNTS = {venue: with_recipients(made) for venue, made in SETS.items()}
BY_ID = {venue.id: venue for venue in VENUES}


def told(address, account, slot=SLOT, signature=None):
    return AccountWritten(
        address, account.owner, account.lamports, account.data, slot=slot, write_version=1, signature=signature
    )


def coin_of(venue):
    return SETS[venue].mints[1]


def ready(*venues, leave_out=(), wrapped=0, tokens=10**12, **params):
    """A stage that knows these venues' pools."""
    stage = Stage(paper=None, **{"send_enabled": True, "plans": "built", **params})
    if wrapped:
        stage.take(WalletBalanceSnapshot(SOL_MINT, wrapped, 9, TOKEN_PROGRAM))
    for venue in venues:
        made = SETS[venue]
        coin = coin_of(venue)
        stage.take(PoolCreated(made.pool, coin, WSOL, venue, "0", creator=key(51), slot=SLOT))
        stage.take(TokenMintInfo(coin, TOKEN, 6, 10**15, None, None, slot=SLOT))
        for address, account in ACCOUNTS[venue].items():
            if address not in leave_out:
                stage.take(told(address, account))
        if tokens:
            stage.take(WalletBalanceSnapshot(coin, tokens, 6, TOKEN_PROGRAM, slot=SLOT))
    stage.take(SlotUpdate(SLOT, slot=SLOT))
    return stage


def wish(venue, side="Buy", raw=RAW, **fields):
    made, coin = SETS[venue], coin_of(venue)
    metadata = {"dex": venue, "creator": key(51)}
    return (buy if side == "Buy" else sell)(raw, mint=coin, pool=made.pool, **{"metadata": metadata, **fields})


def decide(stage, intent, ms=0):
    """The plan of an intent, or the decision that refused it."""
    decisions, asks = len(stage.decisions), len(stage.of(SimulateAsk))
    stage.take(intent)
    stage.take(ClockTick(), ms)
    if len(stage.of(SimulateAsk)) > asks:
        return stage.of(SimulateAsk)[-1].plan
    return stage.decisions[decisions]


def last_row(decision):
    row = decision.checks[-1]
    return row.check_name, row.reason_code, row.details


def kinds(plan):
    """What each call does, in words."""
    names = []
    for call in plan.calls:
        data = base64.b64decode(call.data)
        if call.program == COMPUTE_BUDGET:
            names.append({2: "limit", 3: "price"}[data[0]])
        elif call.program == ASSOCIATED_TOKEN:
            names.append("make")
        elif call.program == SYSTEM:
            names.append("transfer")
        elif call.program in (TOKEN, TOKEN_2022):
            names.append({0x11: "sync", 9: "close", 0x2D: "unwrap"}[data[0]])
        else:
            names.append("swap")
    return names


@pytest.mark.parametrize("side", ["Buy", "Sell"])
@pytest.mark.parametrize("wrapped", [0, 10**9])
@pytest.mark.parametrize("venue", SETS)
def test_the_swap_is_the_venue_builders(venue, wrapped, side):
    stage = ready(venue, wrapped=wrapped)
    plan = decide(stage, wish(venue, side))
    made, coin = SETS[venue], coin_of(venue)
    mint_in, mint_out = (WSOL, coin) if side == "Buy" else (coin, WSOL)
    (expected,) = BY_ID[venue].instructions(
        made.pool, ACCOUNTS[venue], user=PAPER_WALLET, mint_in=mint_in, amount=RAW, other_amount=plan.min_out,
        exact="in", clock=stage.known.pools.accounts.clock(),
    )  # fmt: skip
    (swap,) = [one for one in instructions_of(plan.calls) if one.program == expected.program]
    assert swap == expected
    native = venue == "pumpfun"
    around = {
        (True, "Buy"): ["make", *(["unwrap"] if wrapped else []), "swap"],
        (True, "Sell"): ["swap"],
        (False, "Buy"): ["make", "swap"] if wrapped else ["make", "make", "transfer", "sync", "swap", "close"],
        (False, "Sell"): ["make", "swap"] if wrapped else ["make", "swap", "close"],
    }[native, side]
    assert kinds(plan) == ["limit", "price", *around]
    message = compiled(PAPER_WALLET, plan.calls)
    assert plan.plan_hash == message.plan_hash
    assert (message.fault, plan.tables, message.signers) == (None, (), 1)
    limit = base64.b64decode(plan.calls[0].data)
    assert int.from_bytes(limit[1:], "little") == plan.compute_units
    assert calls_of(instructions_of(plan.calls)) == plan.calls
    assert (plan.quote_age_slots, plan.quote_age_ms, plan.quote_slot) == (0, 0, SLOT)
    assert associated(PAPER_WALLET, coin, TOKEN) in swap_accounts(swap)


def swap_accounts(swap):
    return [meta.pubkey for meta in swap.metas]
