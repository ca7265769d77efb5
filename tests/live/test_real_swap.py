"""A swap that really happens: an armed session on a local chain that runs a venue's own program.

The session finds the pool by its feed, reads what the feed does not tell by RPC, buys and sells by plans that the
engine built, and the chain's ledger agrees with the log to the lamport. Runs where IRONCRAB_PROGRAMS names a folder
with the venue's PROGRAM_ID.so.
"""

import asyncio
import os
from contextlib import suppress
from functools import partialmethod
from hashlib import sha256
from pathlib import Path
from struct import pack

import pytest
from solders.account import Account as Stored
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from ironcrab.dex import ABSENT, VENUES, Account, Clock, quote
from ironcrab.dex.address import TOKEN, WSOL, associated
from ironcrab.dex.raydium import RaydiumAmm
from ironcrab.domain.ask import ConfirmAnswer, SendAsk, SignedAnswer, SimulateAnswer
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, PositionUpdate
from ironcrab.log.recording import Recording
from ironcrab.mode.arming import Arms, armed, armed_outlets, key_of
from ironcrab.mode.explain import explain
from ironcrab.mode.live import LiveSettings, folder_of, live_until
from ironcrab.mode.scenario import read
from ironcrab.shell.endpoint import endpoint
from ironcrab.shell.hosted import make_chain, served
from tests.dex.test_programs import generation_of
from tests.live.desk import judged
from tests.live.real_pools import PROGRAMS, as_files, pool_of
from tests.live.test_armed import key_file, landings
from tests.shell.stage import FAST, SOL, WALLET, token_account

SLOT_MS = 40
SPENT = 123_456_789
STRANGER = Keypair.from_seed(sha256(b"a stranger").digest())
FOLDER = os.environ.get("IRONCRAB_PROGRAMS")


def program_folder(venue, tmp_path, monkeypatch):
    """A folder with this venue's program alone; the test is skipped where its binary is absent.

    A Raydium binary of the generation before swap V2 is given the older instruction, of 17 accounts.
    """
    path = Path(FOLDER or ".") / f"{PROGRAMS[venue]}.so"
    if FOLDER is None or not path.is_file():
        pytest.skip(f"skipped: IRONCRAB_PROGRAMS names no folder with {path.name}")
    if venue == "raydium" and generation_of(path.read_bytes()) == "legacy":
        older = partialmethod(RaydiumAmm.instructions, fallback=True)
        monkeypatch.setattr(RaydiumAmm, "instructions", older)
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / path.name).symlink_to(path.resolve())
    return folder


def scenario(listing):
    engine = {
        "wallet": WALLET.address,
        "send_enabled": True,
        "plans": "required",
        "max_position_size_lamports": 10**9,
        "daily_loss_limit_lamports": 10**12,
        "max_open_positions": 5,
    }
    trader = {"pool": listing.pool, "mint": listing.mint, "dex": listing.venue, "lamports": SPENT}
    tree = {"strategies": ["tests.live.trader:Trader"], "engine": engine, "trader": trader}
    return armed(read("real", tree, "a test"), WALLET.address)


def funded_other(chain, listing):
    """Somebody else who has wrapped SOL and an account for the coin."""
    rent = chain.vm.svm.minimum_balance_for_rent_exemption(165)
    chain.set_account(STRANGER.pubkey(), Stored(10**9, b"", Pubkey.default()))
    for mint, amount in ((WSOL, 10**9), (listing.mint, 0)):
        stored = token_account(mint, str(STRANGER.pubkey()), amount)
        data = bytes(stored.data)
        if mint == WSOL:
            data = data[:109] + pack("<IQ", 1, rent) + data[121:]
        address = Pubkey.from_string(associated(str(STRANGER.pubkey()), mint, TOKEN))
        chain.set_account(address, Stored(rent + amount, data, Pubkey.from_string(TOKEN)))


async def others(chain, listing, accounts, folder):
    """Somebody else buys a little, again and again until the log tells of it: so the session learns of the pool."""
    amount = 1_000
    venue = {venue.id: venue for venue in VENUES}[listing.venue]
    while not any(b'"Trade"' in path.read_bytes() for path in folder.glob("segments/*.jsonl")):
        amount += 1
        (call,) = venue.instructions(
            listing.pool, accounts, user=str(STRANGER.pubkey()), mint_in=WSOL, amount=amount, other_amount=0,
            exact="in", clock=Clock(chain.slot, chain.block_time, 0),
        )  # fmt: skip
        metas = [AccountMeta(Pubkey.from_string(one.pubkey), one.signer, one.writable) for one in call.metas]
        swap = Instruction(Pubkey.from_string(call.program), call.data, metas)
        message = MessageV0.try_compile(STRANGER.pubkey(), [swap], [], Hash.from_string(chain.hash))
        chain.submit(bytes(VersionedTransaction(message, [STRANGER])), skip_preflight=False)
        await asyncio.sleep(0.4)


async def traded(chain, listing, accounts, tmp_path):
    """One armed session until the coin is sold; its recording."""
    scene = scenario(listing)
    async with served(chain, 0, 0, tick=True) as (rpc_url, feed_url):
        arms = Arms(WALLET.address, key_file(tmp_path), rpc_url, params=FAST, own=endpoint(feed_url))
        wallet, stop = key_of(arms), asyncio.Event()
        settings = LiveSettings(endpoint(feed_url), tmp_path / "data", hot=True, rpc_url=rpc_url)
        outlets = lambda durable: armed_outlets(scene, arms, wallet, durable)  # noqa: E731 - one use
        telling = asyncio.create_task(others(chain, listing, accounts, folder_of(settings.data, scene)))
        running = asyncio.create_task(live_until(scene, settings, outlets, stop))
        try:
            async with asyncio.timeout(30):
                while len(landings(chain)) < 2 and not running.done():  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.05)
                await asyncio.sleep(1)
        finally:
            telling.cancel()
            stop.set()
            await running
            with suppress(asyncio.CancelledError):
                await telling
    return Recording.open(folder_of(tmp_path / "data", scene))


def stood(chain, listing, landing):
    """The accounts that the pool's quote reads, as they stood before a landing."""
    before = dict(zip(map(str, landing.ran.accounts.keys), landing.ran.before, strict=True))
    found = {}
    for key in listing.knows:
        stored = before[key] if key in before else chain.vm.account(Pubkey.from_string(key))
        held = None if stored is None else Account(str(stored.owner), stored.lamports, bytes(stored.data))
        found[key] = held or ABSENT
    return found


def lamports_of(landing):
    """By how much the wallet's lamports changed."""
    before, after = landing.ran.before[0], landing.ran.after[0]
    return after.lamports - before.lamports


def one_of(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("venue", PROGRAMS)
def test_a_swap_is_signed_simulated_sent_landed_and_accounted(venue, tmp_path, monkeypatch):
    programs = program_folder(venue, tmp_path, monkeypatch)
    listing, accounts = pool_of(venue)
    as_files(accounts, tmp_path / "accounts")
    chain = make_chain(programs, tmp_path / "accounts", SLOT_MS, None, None, (f"{WALLET.address}=100",))
    funded_other(chain, listing)
    rent = chain.vm.svm.minimum_balance_for_rent_exemption(165)
    recording = asyncio.run(traded(chain, listing, accounts, tmp_path))
    buy, sell = landings(chain).values()
    events = [record.event for record in recording.records()]
    bought, sold = one_of(events, ConfirmAnswer)
    asks = list(recording.records((SendAsk,)))
    signed = {event.ask: event.signature for event in one_of(events, SignedAnswer)}

    for landing, told, ask, mint_in, paid in (
        (buy, bought, asks[0], WSOL, SPENT),
        (sell, sold, asks[1], listing.mint, bought.fill_out.raw),
    ):
        assert (landing.ran.err, told.status) == (None, "confirmed")
        assert signed[ask.seq] == landing.ran.signature == told.signature
        assert ask.event.plan.calls
        clock = Clock(landing.slot, landing.time, 0)
        exact = quote(listing.pool, stood(chain, listing, landing), mint_in=mint_in, amount=paid, clock=clock)
        assert (told.fill_in.raw, told.fill_out.raw) == (paid, exact.amount_out) == (exact.amount_in, exact.amount_out)
        assert landing.ran.units <= ask.event.plan.compute_units
        assert told.fees.network_fee_lamports == landing.ran.fee
        assert told.wallet_sol_delta_lamports == lamports_of(landing)
    assert lamports_of(buy) == -SPENT - rent - buy.ran.fee, "wrapped SOL was closed, the coin's account was paid for"
    assert lamports_of(sell) == sold.fill_out.raw - sell.ran.fee
    assert chain.vm.account(Pubkey.from_string(associated(WALLET.address, WSOL, TOKEN))) is None
    left = chain.vm.balance(Pubkey.from_string(WALLET.address))
    assert left == 100 * SOL + lamports_of(buy) + lamports_of(sell)

    assert [told.success for told in one_of(events, SimulateAnswer)] == [True, True]
    assert [told.amount_out for told in one_of(events, SimulateAnswer)] == [bought.fill_out.raw, sold.fill_out.raw]
    assert [told.outcome for told in one_of(events, DecisionRecord)] == ["Confirmed", "Confirmed"]
    positions = one_of(events, PositionUpdate)
    assert [(told.status, told.balance_raw) for told in positions] == [("Open", bought.fill_out.raw), ("Closed", 0)]
    ends = [told for told in one_of(events, ExecutionResult) if told.status == "confirmed"]
    assert [told.fill_status for told in ends] == ["complete", "complete"]
    judged(recording.path)
    _the_road(recording)


def _the_road(recording):
    """From the buy back to what the world said, and on to its exit."""
    decision = next(iter(recording.records((DecisionRecord,))))
    told = explain(recording, decision.seq)
    kinds = [type(stop.record.event).__name__ for stop in told.stops]
    for kind in ("Verdict", "TradeIntent", "SimulateAsk", "SimulateAnswer", "SendAsk", "SignedAnswer", "SendAnswer",
                 "ConfirmAnswer", "DecisionRecord", "ExecutionResult", "AccountWritten"):  # fmt: skip
        assert kind in kinds, f"the road has no {kind}"
    assert told.stops[0].record.cause is None
    assert told.reproduction.equal
    assert [stop.role for stop in told.stops if stop.role.startswith("exit")][-1] == "exit: position"
