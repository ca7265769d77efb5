"""Updates -> events on real input: every swap once, amounts as the vaults saw them, nothing that did not happen."""

from collections import Counter

import msgspec
import pytest

from ironcrab.dex import VENUES, base58
from ironcrab.domain.event import EVENTS
from ironcrab.domain.market import (
    AccountWritten,
    DexPoolAccounts,
    LatestBlockhash,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    event_id_of,
)
from ironcrab.domain.units import SOL_MINT, TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from ironcrab.ingest.normalise import Normaliser
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.ingest.transaction import calls, transaction_of

CREATED_AT = 1_744_174_484 * 1_000_000_000
VOTE = bytes.fromhex("0761481d357474bb7c4d7624ebd3bdb3d8355e73d11043fc0da3538000000000")
ANCHOR_SELF_CALL = bytes.fromhex("e445a52e51cb9a1d")

SWAPS = {
    "raydium": {b"\x09": 1, b"\x0b": 1, b"\x10": 1, b"\x11": 1},
    "raydium_cpmm": {bytes.fromhex("8fbe5adac41e33de"): 1, bytes.fromhex("37d96256a34ab4ad"): 1},
    "orca": {
        bytes.fromhex("f8c69e91e17587c8"): 1,
        bytes.fromhex("2b04ed0b1ac91e62"): 1,
        bytes.fromhex("c360ed6c44a2dbe6"): 2,
        bytes.fromhex("ba8fd11dfe02c275"): 2,
    },
    "meteora_dlmm": {
        bytes.fromhex(name): 1
        for name in (
            "f8c69e91e17587c8",
            "414b3f4ceb5b5b88",
            "fa49652126cf4bb8",
            "2bd7f784893cf351",
            "38ade6d0ade49ccd",
            "4a62c0d6b13f4b33",
        )
    },
    "pumpfun": {bytes.fromhex("66063d1201daebea"): 1, bytes.fromhex("33e685a4017f83ad"): 1},
    "pump_amm": {bytes.fromhex("66063d1201daebea"): 1, bytes.fromhex("33e685a4017f83ad"): 1},
}
"""First instruction bytes of each venue's swaps -> how many swaps one such call makes."""

AUTHORITIES = ("5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1", "GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL")
"""Owners of the vaults of all pools of Raydium AMM V4 and CPMM; a vault of the others belongs to its pool."""


def normalised(frames):
    normaliser = Normaliser()
    events = [row for frame in frames for row in normaliser.feed(frame)]
    return normaliser, [*events, *normaliser.finish()]


def trades_of(frames):
    return [event for _, event in normalised(frames)[1] if isinstance(event, Trade)]


def successful(frames):
    """Transactions by signature, read from the frames directly."""
    found = {}
    for frame in frames:
        update = wire.SubscribeUpdate.FromString(frame)
        if update.HasField("transaction"):
            transaction = transaction_of(update.transaction.transaction, update.transaction.slot)
            if not isinstance(transaction, str):
                found[transaction.signature] = transaction
    return found


def swap_calls(transaction):
    """Position and venue of each call that is a swap by its first bytes."""
    for call in calls(transaction):
        for venue in VENUES:
            if call.program in venue.programs:
                for opening, number in SWAPS[venue.id].items():
                    if call.data.startswith(opening) and not call.data.startswith(ANCHOR_SELF_CALL):
                        yield from [(venue.id, call.position)] * number


def test_the_block_in_numbers(block):
    normaliser, events = normalised(block)
    assert Counter(event.dex for _, event in events if isinstance(event, Trade)) == {
        "raydium": 40,
        "pump_amm": 35,
        "pumpfun": 16,
        "meteora_dlmm": 8,
        "orca": 6,
    }
    assert normaliser.counts == {"transaction_failed": 231, "transaction_of_others": 118}
    slots = [event for _, event in events if isinstance(event, SlotUpdate)]
    assert [(event.slot, event.parent, event.status) for event in slots] == [
        (332254908, 332254907, "created"),
        (332254908, 332254907, "processed"),
    ]
    metas = [event for _, event in events if isinstance(event, LatestBlockhash)]
    assert [(meta.slot, meta.block_height, meta.block_time) for meta in metas] == [(332254908, 310496561, 1744174484)]
    assert all(type(event) in EVENTS for _, event in events)
    times = [time for time, _ in events]
    assert times == sorted(times)
    assert CREATED_AT <= times[0] < times[-1] < CREATED_AT + 1_000_000_000


@pytest.mark.parametrize("capture", ["block", "singles"])
def test_every_swap_call_is_one_trade(capture, request):
    """Counted from instruction bytes alone, as often as there are trades, transaction by transaction."""
    frames = request.getfixturevalue(capture)
    trades = trades_of(frames)
    told = Counter((trade.signature, trade.dex) for trade in trades)
    wanted = Counter()
    for signature, transaction in successful(frames).items():
        wanted.update((signature, dex) for dex, _ in swap_calls(transaction))
    assert told == wanted
    ids = [event_id_of(trade) for trade in trades]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("capture", ["block", "singles"])
def test_amounts_are_what_the_vaults_gained_and_lost(capture, request):
    """Wherever one pool is touched once in its transaction, the meta's balances tell the same amounts."""
    frames = request.getfixturevalue(capture)
    transactions = successful(frames)
    events = [event for _, event in normalised(frames)[1]]
    trades = [event for event in events if isinstance(event, Trade)]
    touched = Counter(
        (event.signature, event.pool_address) for event in events if isinstance(event, Trade | PoolCreated)
    )
    judged = 0
    for trade in trades:
        if touched[trade.signature, trade.pool_address] > 1:
            continue
        transaction = transactions[trade.signature]
        sign = 1 if trade.is_buy else -1
        assert -sign * trade.token_amount in changes(transaction, trade, trade.mint), trade
        assert sign * trade.sol_amount in changes(transaction, trade, trade.quote_mint), trade
        judged += 1
    assert judged >= {"block": 85, "singles": 13}[capture]


def changes(transaction, trade, mint):
    """What the vaults that can be this pool's gained of a mint; a bonding curve holds its SOL as lamports."""
    owners = (trade.pool_address, *AUTHORITIES)
    found = [
        (row.after or 0) - (row.before or 0)
        for row in transaction.balances.values()
        if row.mint == mint and row.owner in owners
    ]
    if mint == SOL_MINT and trade.dex == "pumpfun":
        before, after = transaction.lamports[trade.pool_address]
        found.append(after - before)
    return found


def test_reserves_after_the_last_swap_of_a_pool_are_its_vaults(block):
    """Raydium V4 and PumpSwap tell reserves by their own logs; Orca and DLMM by balances: both agree."""
    transactions = successful(block)
    _, events = normalised(block)
    last = {}
    states = {}
    for _, event in events:
        if isinstance(event, Trade):
            last[event.signature, event.pool_address] = event
            trade = event
        elif isinstance(event, PoolStateUpdate) and event.dex in ("pump_amm", "orca", "meteora_dlmm"):
            states[trade.signature, event.pool_address] = event
    judged = 0
    for place, state in states.items():
        rows = [row for row in transactions[place[0]].balances.values() if row.owner == state.pool_address]
        assert state.reserve_base in [row.after for row in rows if row.mint == state.base_mint]
        assert state.reserve_quote in [row.after for row in rows if row.mint == state.quote_mint]
        judged += 1
    assert judged > 25


def test_the_storage_form_of_the_block_tells_the_same(plain, block):
    """The whole block with its votes, from another encoding: the same trades at the same places (133 were read)."""
    stored = wire.ConfirmedBlock.FromString(plain("geyser/blocks/332254908.confirmed_block.pb.zst"))
    update = wire.SubscribeUpdate()
    update.block.slot, update.block.blockhash = 332254908, stored.blockhash
    for index, transaction in enumerate(stored.transactions):
        info = update.block.transactions.add(
            signature=transaction.transaction.signatures[0],
            transaction=transaction.transaction,
            meta=transaction.meta,
            index=index,
        )
        info.is_vote = VOTE in list(transaction.transaction.message.account_keys)
    normaliser, events = normalised([update.SerializeToString()])
    assert [event for _, event in events if isinstance(event, Trade)] == trades_of(block)
    assert sum(normaliser.counts.values()) + 133 == len(stored.transactions) == 1_862


def test_nothing_is_told_twice(block):
    normaliser, events = normalised([*block, *block[1:]])
    assert len(events) == len(normalised(block)[1])
    assert normaliser.counts["transaction_repeated"] == 133


def test_failed_transactions_are_never_told(block):
    update = next(
        update
        for update in map(wire.SubscribeUpdate.FromString, block)
        if update.HasField("transaction") and trades_of([update.SerializeToString()])
    )
    update.transaction.transaction.meta.err.err = bytes.fromhex("08000000031900000001000000")
    assert normalised([update.SerializeToString()])[1] == []


def test_creations_and_mints_of_the_single_transactions(singles):
    _, events = normalised(singles)
    mints = {event.mint: event for _, event in events if isinstance(event, TokenMintInfo)}
    assert sorted(mint.token_program for mint in mints.values()) == sorted([TOKEN_PROGRAM, TOKEN_2022_PROGRAM])
    for mint in mints.values():
        assert (mint.decimals, mint.supply, mint.freeze_authority) == (6, 10**15, None)
    pools = [event for _, event in events if isinstance(event, PoolCreated)]
    assert [pool.dex for pool in pools] == ["pumpfun", "pumpfun"]
    for pool in pools:
        assert pool.base_mint in mints
        assert pool.quote_mint == SOL_MINT
        assert pool.creator
        first = next(event for _, event in events if getattr(event, "mint", "") == pool.base_mint)
        assert isinstance(first, TokenMintInfo)


def account_update(pubkey=b"p" * 32, owner=b"o" * 32, data=b"data", version=5, signature=b"", slot=7, lamports=1):
    update = wire.SubscribeUpdate()
    update.account.slot = slot
    info = update.account.account
    info.pubkey, info.owner, info.data, info.write_version, info.lamports = pubkey, owner, data, version, lamports
    if signature:
        info.txn_signature = signature
    return update.SerializeToString()


def test_a_transaction_without_slot_is_told_without_one(singles):
    events = [event for _, event in normalised(singles)[1] if getattr(event, "signature", "") and event.slot is None]
    assert [type(event) for event in events] == [PoolCreated, Trade]
    assert event_id_of(events[1]) == f"x-{events[1].signature}-{events[1].position}"


def test_account_writes_are_whole_and_once():
    normaliser = Normaliser()
    told = normaliser.feed(account_update(signature=b"s" * 64), 99)
    [(time, write)] = [row for row in told if isinstance(row[1], AccountWritten)]
    assert time == 99
    assert (write.data, write.slot, write.write_version, write.lamports) == (b"data", 7, 5, 1)
    assert write.signature is not None
    assert normaliser.feed(account_update(signature=b"s" * 64), 100) == []
    assert len(normaliser.feed(account_update(version=6), 101)) == 1
    for bad in ({"pubkey": b"p"}, {"owner": b""}, {"signature": b"s" * 63}):
        assert normaliser.feed(account_update(version=7, **bad), 102) == []
    assert normaliser.feed(account_update(slot=0), 102) == []
    assert normaliser.counts == {"account_repeated": 1, "account_malformed": 3, "update_without_slot": 1}


def test_a_mint_account_is_a_mint_too():

    token = base58.decode(TOKEN_PROGRAM)
    body = (1).to_bytes(4, "little") + b"m" * 32 + (77).to_bytes(8, "little") + bytes([6, 1]) + bytes(36)
    told = Normaliser().feed(account_update(owner=token, data=body), 1)
    mint = told[-1][1]
    assert isinstance(mint, TokenMintInfo)
    assert (mint.supply, mint.decimals, mint.freeze_authority, mint.mint_authority is None) == (77, 6, None, False)
    told = Normaliser().feed(account_update(owner=token, data=body[:-1]), 1)
    assert not any(isinstance(event, TokenMintInfo) for _, event in told)


def test_time_is_receive_time_else_created_at_else_the_last():
    update = wire.SubscribeUpdate.FromString(account_update())
    normaliser = Normaliser()
    update.created_at.seconds, update.created_at.nanos = 5, 6
    assert normaliser.feed(update.SerializeToString())[-1][0] == 5_000_000_006
    assert normaliser.feed(account_update(version=8))[-1][0] == 5_000_000_006
    update.account.account.write_version = 9
    assert normaliser.feed(update.SerializeToString(), 77)[-1][0] == 77
    for seconds, nanos in ((-1, 0), (1, -1), (1, 10**9), (2**62, 0)):
        update.account.account.write_version += 1
        update.created_at.seconds, update.created_at.nanos = seconds, nanos
        assert normaliser.feed(update.SerializeToString())[-1][0] == 77


def test_swaps_are_found_at_every_depth_and_in_every_version(block):
    """Top level and below routers, legacy and v0 messages, pools and programs among loaded addresses."""
    transactions = successful(block)
    versions = {}
    for update in map(wire.SubscribeUpdate.FromString, block):
        info = update.transaction.transaction
        loaded = len(info.meta.loaded_writable_addresses) + len(info.meta.loaded_readonly_addresses)
        versions[base58.encode(info.signature)] = (info.transaction.message.versioned, loaded > 0)
    found = Counter()
    places = Counter()
    for trade in trades_of(block):
        depth = next(call.depth for call in calls(transactions[trade.signature]) if call.position == trade.position)
        found[depth, *versions[trade.signature]] += 1
        places[trade.dex, trade.signature] += 1
    assert {depth for depth, _, _ in found} == {1, 2}
    assert {(versioned, loaded) for _, versioned, loaded in found} == {(False, False), (True, False), (True, True)}
    assert Counter(dex for dex, _ in places) == {
        "raydium": 40,
        "pump_amm": 35,
        "pumpfun": 12,
        "meteora_dlmm": 8,
        "orca": 5,
    }


def routed(update):
    """The same transaction with a router between each top-level instruction and the runtime: all one level deeper."""
    info = update.transaction.transaction
    router = base58.encode(info.transaction.message.account_keys[0])
    inner = {group.index: list(group.instructions) for group in info.meta.inner_instructions}
    del info.meta.inner_instructions[:]
    for place, outer in enumerate(info.transaction.message.instructions):
        group = info.meta.inner_instructions.add(index=place)
        group.instructions.add(
            program_id_index=outer.program_id_index, accounts=outer.accounts, data=outer.data, stack_height=2
        )
        for call in inner.get(place, ()):
            group.instructions.add().CopyFrom(call)
            group.instructions[-1].stack_height = call.stack_height + 1
        outer.program_id_index, outer.data = 0, b"route"
    lines, depth = [], 0
    for line in info.meta.log_messages:
        words = line.split(" ")
        if words[0] == "Program" and words[2:3] == ["invoke"]:
            lines += [f"Program {router} invoke [1]"] if depth == 0 else []
            depth += 1
            words[3] = f"[{depth + 1}]"
        lines.append(" ".join(words))
        if words[0] == "Program" and words[2:] == ["success"]:
            depth -= 1
            lines += [f"Program {router} success"] if depth == 0 else []
    del info.meta.log_messages[:]
    info.meta.log_messages.extend(lines)
    return update


def test_routers_change_nothing_but_the_position(block):
    """Below one and below three made-up routers the block has the same trades, each a few calls later."""
    wanted = trades_of(block)
    updates = [wire.SubscribeUpdate.FromString(frame) for frame in block[1:-2]]
    for levels in (1, 3):
        for _ in range(levels if levels == 1 else 2):
            updates = [routed(update) for update in updates]
        found = trades_of([update.SerializeToString() for update in updates])
        assert [msgspec.structs.replace(trade, position=0) for trade in found] == [
            msgspec.structs.replace(trade, position=0) for trade in wanted
        ]
        for before, after in zip(wanted, found, strict=True):
            assert after.position >= before.position + levels


def test_each_pumpswap_pool_tells_its_fourteen_accounts_before_its_first_trade(block):
    """In the order of the wire contract; what the calls of April 2025 do not name follows from the pool."""
    told = {}
    transactions = successful(block)
    for _, event in normalised(block)[1]:
        if isinstance(event, DexPoolAccounts):
            assert event.dex == "pump_amm"
            told[event.pool_address] = event
        elif isinstance(event, Trade) and event.dex == "pump_amm":
            accounts = told[event.pool_address].accounts
            assert len(accounts) == len(set(accounts)) == 14
            assert accounts[0] == event.pool_address
            assert accounts[2:4] == (event.mint, event.quote_mint)
            balances = transactions[event.signature].balances
            for vault, mint in zip(accounts[4:6], accounts[2:4], strict=True):
                assert (balances[vault].mint, balances[vault].owner) == (mint, event.pool_address)
            assert accounts[11:] == FIXED_ACCOUNTS
    assert len(told) == 13


FIXED_ACCOUNTS = (
    "C2aFPdENg4A2HQsmrd5rTw5TaYBX5Ku887cWjbFKtZpw",
    "5PHirr8joyTMp9JMm6nW7hNDVyEYdkzDqazxPD7RaTjx",
    "pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ",
)
"""Global volume accumulator, fee config and fee program, as transactions since September 2025 name them."""
