"""An armed session with its housekeepers on the local chain: SOL is wrapped and accounts are closed for real, and logged."""

import asyncio
from collections import Counter
from struct import pack

import msgspec
import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.domain.ask import ConfirmAnswer
from ironcrab.domain.market import AccountWritten
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.log.recording import Recording
from ironcrab.mode import arming
from ironcrab.mode.arming import Arms, armed, armed_outlets, key_of
from ironcrab.mode.live import LiveSettings, live_until
from ironcrab.mode.purse import account_data
from ironcrab.mode.scenario import read
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import endpoint
from ironcrab.shell.hosted import served
from tests.live.desk import judged
from tests.live.test_armed import key_file
from tests.shell.stage import DECIMALS, FAST, SOL, WALLET, new_chain

ME = WALLET.address
RATE = 5080
MINTS = {
    base58.encode(bytes([30 + number]) * 32): program
    for number, program in enumerate((TOKEN, TOKEN_2022, TOKEN, TOKEN))
}


def scenario():
    engine = {
        "wallet": ME, "send_enabled": True, "plans": "required", "max_position_size_lamports": SOL, "daily_loss_limit_lamports": SOL,
        "max_open_positions": 5, "simulation_timeout_ms": 3_000,
    }  # fmt: skip
    wsol = {"enabled": True, "dry_run": False, "cooldown_ms": 500}
    janitor = {"enabled": True, "dry_run": False, "interval_ms": 1_000, "min_age_ms": 1_000}
    tree = {"strategies": [], "engine": engine, "wsol_manager": wsol, "account_janitor": janitor}
    return armed(read("house", tree, "a test"), ME)


def empty_accounts(chain):
    """Empty accounts of both token programs, with today's rent; their addresses."""
    held = {}
    for mint, program in MINTS.items():
        data = bytes(36) + pack("<Q", 10**15) + bytes((DECIMALS, 1)) + bytes(36)
        chain.set_account(Pubkey.from_string(mint), Account(1_500_000, data, Pubkey.from_string(program)))
        told = account_data(mint, ME, 0)
        if program == TOKEN_2022:
            told += b"\x02" + pack("<HH", 7, 0)
        address = associated(ME, mint, program)
        lamports = (128 + len(told)) * RATE
        chain.set_account(Pubkey.from_string(address), Account(lamports, told, Pubkey.from_string(program)))
        held[address] = lamports
    return held


async def session(chain, tmp_path, seconds):
    arms_at = key_file(tmp_path)
    async with served(chain, 0, 0, tick=True) as (rpc_url, feed_url):
        arms = Arms(ME, arms_at, rpc_url, params=FAST)
        told, wallet = scenario(), key_of(arms)

        async def outlets(durable):
            return await armed_outlets(told, arms, wallet, durable)

        settings = LiveSettings(endpoint(feed_url), tmp_path / "data", seconds=seconds, hot=True)
        await live_until(told, settings, outlets, asyncio.Event())
    return tmp_path / "data" / "house-armed"


@pytest.mark.slow
def test_wrapped_and_closed_for_real(tmp_path, monkeypatch):
    monkeypatch.setattr(arming, "SAMPLE_S", 0.5)
    chain = new_chain(slot_ms=100, unix_ms=now_ns() // 10**6)
    chain.vm.set_rent_rate(RATE)
    held = empty_accounts(chain)
    before = chain.vm.balance(Pubkey.from_string(ME))
    folder = asyncio.run(session(chain, tmp_path, 9))
    judged(folder)
    records = list(Recording.open(folder).records())
    purposes = Counter(r.event.metadata["purpose"] for r in records if isinstance(r.event, TradeIntent))
    assert purposes == {"wrap": 1, "close": 2}, purposes
    decisions = [record.event for record in records if isinstance(record.event, DecisionRecord)]
    assert [decision.outcome for decision in decisions] == ["Confirmed"] * 3
    wrapped = chain.vm.account(Pubkey.from_string(associated(ME, WSOL, TOKEN)))
    assert wrapped.lamports == SOL + (128 + 165) * RATE
    assert all(chain.vm.account(Pubkey.from_string(address)) is None for address in held)
    ends = [record.event for record in records if isinstance(record.event, ConfirmAnswer)]
    fees = sum(event.fees.network_fee_lamports for event in ends)
    after = chain.vm.balance(Pubkey.from_string(ME))
    assert after == before - wrapped.lamports + sum(held.values()) - fees, "every lamport is accounted for"
    assert sum(event.wallet_sol_delta_lamports for event in ends) == after + SOL - before
    told = [record.event for record in records if isinstance(record.event, AccountWritten)]
    assert {event.pubkey for event in told if not event.lamports} >= {*held}
    assert msgspec.json.encode(decisions[0])
