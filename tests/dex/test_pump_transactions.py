"""Calls of the two pump programs against real transactions.

Every event is counted once, amounts are as the pool saw them, quotes equal what was paid, and the
instructions that are built equal those that were sent, meta by meta.
"""

import base64
import json
import struct
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ironcrab.dex import (
    Account,
    Clock,
    Quote,
    Transaction,
    base58,
    pump_send,
    pumpfun,
    pumpfun_parse,
    pumpswap,
    pumpswap_parse,
    quote,
)
from ironcrab.dex.address import TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.dex.face import Call, Created, Fee, Liquidity, Migrated, Swap
from ironcrab.dex.pump_events import EVENT_TAG
from tests.nightly.fuzz_dex import rounds

EXAMPLES = rounds() // 50
PUMP, AMM = pumpfun_parse.PROGRAM, pumpswap_parse.PROGRAM
PARSERS = {PUMP: pumpfun_parse.parse_call, AMM: pumpswap_parse.parse_call}
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


def key(number: int) -> bytes:
    return bytes((number,)) * 32


def name(number: int) -> str:
    return base58.encode(key(number))


def u64s(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


# --- transactions as call trees -------------------------------------------------------------------------------


def varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(raw: bytes) -> list[tuple[int, int | bytes]]:
    """A protobuf message as (number, value) pairs."""
    found, at = [], 0
    while at < len(raw):
        tag, at = varint(raw, at)
        if tag & 7 == 0:
            value, at = varint(raw, at)
        else:
            size, at = (8, at) if tag & 7 == 1 else (4, at) if tag & 7 == 5 else varint(raw, at)
            value, at = raw[at : at + size], at + size
        found.append((tag >> 3, value))
    return found


def tree(outer: list, inner: dict[int, list]) -> list[Call]:
    """Call trees from (program, accounts, data) rows and inner (height, program, accounts, data) rows by index."""
    calls, position = [], 0
    for index, (program, accounts, data) in enumerate(outer):
        rows = [(1, program, accounts, data), *inner.get(index, [])]
        calls.append(nested(rows, position)[0])
        position += len(rows)
    return calls


def nested(rows: list, position: int) -> list[Call]:
    """Calls of a flat preorder list of rows, as trees."""
    out, at = [], 0
    while at < len(rows):
        height, program, accounts, data = rows[at]
        end = at + 1
        while end < len(rows) and rows[end][0] > height:
            end += 1
        below = tuple(nested(rows[at + 1 : end], position + at + 1))
        out.append(Call(program, tuple(accounts), data, position + at, height, below))
        at = end
    return out


def frames(path: Path) -> list[tuple[str, list[Call], dict, dict]]:
    """(signature, call trees, token balances, flags by key) of the successful transactions of a frame file."""
    with path.open("rb") as packed:
        raw = zstandard.ZstdDecompressor().stream_reader(packed).read()
    found, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from(">I", raw, at)
        update = dict(fields(raw[at + 4 : at + 4 + size]))
        at += 4 + size
        if 4 in update:
            info = dict(fields(dict(fields(update[4]))[1]))
            row = transaction(info)
            found += [row] if row else []
    return found


def flags_of(keys: list[str], signers: int, read_only_signers: int, read_only: int) -> dict[str, tuple[bool, bool]]:
    """(signer, writable) of each static key, from the message header."""
    return {
        address: (at < signers, at < signers - read_only_signers or signers <= at < len(keys) - read_only)
        for at, address in enumerate(keys)
    }


def transaction(info: dict) -> tuple[str, list[Call], dict, dict] | None:
    meta = fields(info[4])
    if any(number == 1 for number, _ in meta):
        return None
    message = fields(dict(fields(info[3]))[2])
    keys = [base58.key(v) for n, v in message if n == 2]
    header = dict(fields(dict(message)[1]))
    flags = flags_of(keys, header.get(1, 0), header.get(2, 0), header.get(3, 0))
    flags |= {base58.key(v): (False, n == 12) for n, v in meta if n in {12, 13}}
    keys += [base58.key(v) for n, v in meta if n == 12] + [base58.key(v) for n, v in meta if n == 13]

    def row(raw: bytes) -> tuple:
        one = dict(fields(raw))
        return keys[one.get(1, 0)], [keys[i] for i in one.get(2, b"")], one.get(3, b""), one.get(4, 2)

    outer = [row(v)[:3] for n, v in message if n == 4]
    inner = {}
    for _, group in (pair for pair in meta if pair[0] == 5):
        parts = fields(group)
        rows = [row(v) for n, v in parts if n == 2]
        inner[dict(parts).get(1, 0)] = [(height, *rest) for *rest, height in rows]
    balances = {}
    for number, side in ((7, 0), (8, 1)):
        for _, raw in (pair for pair in meta if pair[0] == number):
            one = dict(fields(raw))
            amount = int(dict(fields(one[3])).get(3, b"0"))
            balances.setdefault(keys[one.get(1, 0)], [None, None])[side] = amount
    return base58.encode(info.get(1, b"")), tree(outer, inner), balances, flags


def from_json(path: Path) -> tuple[list[Call], dict]:
    """Call trees and flags by key of a getTransaction JSON, raw or jsonParsed (parsed rows have no data and no accounts)."""
    row = json.loads(path.read_text())
    row = row[0] if isinstance(row, list) else row
    row = row.get("result", row)
    message, meta = row["transaction"]["message"], row["meta"]
    loaded = meta.get("loadedAddresses") or {"writable": [], "readonly": []}
    keys = [k if isinstance(k, str) else k["pubkey"] for k in message["accountKeys"]]
    keys += loaded["writable"] + loaded["readonly"]

    def one(ix: dict) -> tuple:
        if "programId" in ix:
            return ix["programId"], ix.get("accounts", []), base58.decode(ix.get("data", ""))
        return keys[ix["programIdIndex"]], [keys[i] for i in ix["accounts"]], base58.decode(ix["data"])

    inner = {
        group["index"]: [(ix.get("stackHeight") or 2, *one(ix)) for ix in group["instructions"]]
        for group in meta["innerInstructions"]
    }
    if isinstance(message["accountKeys"][0], dict):
        flags = {k["pubkey"]: (k["signer"], k["writable"]) for k in message["accountKeys"]}
    else:
        head = message["header"]
        signers, read_only = head["numRequiredSignatures"], head["numReadonlyUnsignedAccounts"]
        flags = flags_of(message["accountKeys"], signers, head["numReadonlySignedAccounts"], read_only)
        flags |= {k: (False, side == "writable") for side in loaded for k in loaded[side]}
    return tree([one(ix) for ix in message["instructions"]], inner), flags


def walk(calls):
    for call in calls:
        yield call
        yield from walk(call.inner)


def parsed(calls) -> list:
    return [item for call in walk(calls) if call.program in PARSERS for item in PARSERS[call.program](call)]


def balance(accounts: dict, address: str) -> int:
    return int.from_bytes(accounts[address][64:72], "little")


# --- the mainnet block ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def block(shared):
    return frames(shared / "data/geyser/block_332254908_nonvote.subscribe_updates.bin.zst")


def test_every_swap_of_the_block_is_found_once(block):
    swaps = [
        (signature, call.program, item)
        for signature, calls, _, _ in block
        for call in walk(calls)
        if call.program in PARSERS
        for item in PARSERS[call.program](call)
    ]
    assert sum(program == AMM for _, program, _ in swaps) == 35
    assert sum(program == PUMP for _, program, _ in swaps) == 16
    assert all(isinstance(item, Swap) for *_, item in swaps)
    places = [(signature, item.position) for signature, _, item in swaps]
    assert len(set(places)) == len(places)


def test_pumpswap_amounts_are_what_the_vaults_saw(block):
    """Vaults of a pool touched by one swap: balance differences equal the amounts, balances the reserves."""
    compared = 0
    for _, calls, balances, _ in block:
        swaps = [
            (call, item) for call in walk(calls) if call.program == AMM for item in pumpswap_parse.parse_call(call)
        ]
        for call, swap in swaps:
            if sum(other.pool == swap.pool for _, other in swaps) > 1:
                continue
            base, quote = balances[call.accounts[7]], balances[call.accounts[8]]
            into, out = (quote, base) if swap.mint_out == call.accounts[3] else (base, quote)
            assert (into[1] - into[0], out[0] - out[1]) == (swap.amount_in, swap.amount_out)
            assert (into[1], out[1]) == (swap.reserve_in, swap.reserve_out)
            compared += 1
    assert compared == 35


def test_pumpfun_amounts_are_what_the_curve_saw(block):
    """Token account of a curve touched by one swap: its difference equals the token amount."""
    compared = 0
    for _, calls, balances, _ in block:
        swaps = [
            (call, item) for call in walk(calls) if call.program == PUMP for item in pumpfun_parse.parse_call(call)
        ]
        for call, swap in swaps:
            assert swap.pool == call.accounts[3]
            assert WSOL in (swap.mint_in, swap.mint_out)
            if sum(other.pool == swap.pool for _, other in swaps) > 1:
                continue
            before, after = balances[call.accounts[4]]
            moved = swap.amount_in if swap.mint_out == WSOL else -swap.amount_out
            assert after - before == moved
            compared += 1
    assert compared


def test_quotes_equal_the_swaps_of_the_block(block, truth_table):
    """April 2025, when fees stood in the globals: each swap of the block quoted from the reserves before it."""
    rows = [
        (call, item)
        for _, calls, _, _ in block
        for call in walk(calls)
        if call.program in PARSERS
        for item in PARSERS[call.program](call)
    ]
    for venue, program in (("pumpfun", PUMP), ("pump_amm", AMM)):
        own = [(call, swap) for call, swap in rows if call.program == program]
        equal = sum(pool_quote_equals(call, swap) for call, swap in own if program == AMM)
        equal += sum(curve_quote_equals(swap) for _, swap in own if program == PUMP)
        truth_table.add(venue, "swaps of mainnet block 332254908", len(own), equal)
        assert equal == len(own)


def pool_quote_equals(call: Call, swap: Swap) -> bool:
    buys = swap.mint_in == call.accounts[4]
    quote_vault = swap.reserve_in - swap.amount_in if buys else swap.reserve_out + swap.amount_out
    base_vault = swap.reserve_out + swap.amount_out if buys else swap.reserve_in - swap.amount_in
    keys = b"".join(map(base58.decode, (name(9), *call.accounts[3:5], name(8), *call.accounts[7:9])))
    data = bytes.fromhex("f19a6d0411b16dbc") + b"\xff\0\0" + keys + bytes(8)
    config = bytes.fromhex("95089ccaa0fcb0d9") + bytes(32) + u64s(20, 5) + bytes(300)
    accounts = {
        swap.pool: Account(AMM, 1, data),
        call.accounts[7]: vault(call.accounts[3], base_vault),
        call.accounts[8]: vault(call.accounts[4], quote_vault),
        pumpswap.GLOBAL_CONFIG: Account(AMM, 1, config),
    }
    got = ask(swap, accounts, buys)
    lp, protocol, creator = (fee.amount for fee in swap.fees)
    named = {fee.name: fee.amount for fee in got.fees}
    assert (named["lp"], named["protocol"], named["creator"]) == (lp, protocol, creator)
    if buys:
        return (got.amount_in, got.amount_out) == (swap.amount_in + protocol, swap.amount_out)
    return (got.amount_in, got.amount_out) == (swap.amount_in, swap.amount_out - protocol)


def curve_quote_equals(swap: Swap) -> bool:
    buys = swap.mint_in == WSOL
    vq = swap.reserve_in - swap.amount_in if buys else swap.reserve_out + swap.amount_out
    vt = swap.reserve_out + swap.amount_out if buys else swap.reserve_in - swap.amount_in
    data = bytes.fromhex("17b7f83760d8ac60") + u64s(vt, vq, vt, vq, 10**15) + bytes(33)
    house = bytes.fromhex("a7e8e8b1c86c727f") + bytes(97) + u64s(100) + bytes(50)
    accounts = {swap.pool: Account(PUMP, 10**12, data), pumpfun.GLOBAL: Account(PUMP, 1, house)}
    got = ask(swap, accounts, buys)
    (protocol, _) = (fee.amount for fee in got.fees)
    if buys:
        return (got.amount_in - protocol, got.amount_out) == (swap.amount_in, swap.amount_out)
    return (got.amount_in, got.amount_out + protocol) == (swap.amount_in, swap.amount_out)


def ask(swap: Swap, accounts: dict, buys: bool):
    amount, exact = (swap.amount_out, "out") if buys else (swap.amount_in, "in")
    clock = Clock(332254908, 0, 0)
    return quote(
        swap.pool,
        accounts,
        mint_in=swap.mint_in,
        amount=amount,
        exact=exact,
        clock=clock,
        generation="global_fees",
    )


def vault(mint: str, amount: int) -> Account:
    data = base58.decode(mint) + key(7) + u64s(amount) + bytes(36) + b"\1" + bytes(56)
    return Account(TOKEN, 2_039_280, data)


# --- single transactions --------------------------------------------------------------------------------------


def test_every_single_transaction_is_read(shared):
    """Each event of the 61 transactions becomes one item, whatever stands round it."""
    rows = frames(shared / "data/geyser/single_transactions.subscribe_updates.bin.zst")
    items = [item for _, calls, _, _ in rows for item in parsed(calls)]
    kinds = [type(item) for item in items]
    assert (kinds.count(Swap), kinds.count(Created), kinds.count(Migrated)) == (6, 2, 0)


def test_creation_with_first_buy(shared):
    created, bought = parsed(from_json(shared / "data/pump/raw/chainstack_raw_create_tx_from_gettransaction.json")[0])
    assert isinstance(created, Created)
    assert (created.amount_a, created.amount_b, created.mint_b) == (10**15, 0, WSOL)
    assert created.pool == bought.pool
    assert created.position < bought.position
    assert (bought.mint_in, bought.amount_in, bought.amount_out) == (WSOL, 2962962962, 96449438144093)
    assert bought.fees == (
        Fee("protocol", WSOL, 28148149),
        Fee("creator", WSOL, 0),
        Fee("cashback", WSOL, 8888889),
    )
    assert (bought.reserve_in, bought.reserve_out) == (32962962962, 976550561855907)
    assert bought.creator == created.creator == bought.trader


def test_old_creation_tells_no_creator(shared):
    created, bought = parsed(from_json(shared / "data/geyser/tx_json/pumpfun_create_0.json")[0])
    assert created.creator == bought.trader
    assert created.amount_a == 10**15
    assert bought.fees == ()
    assert bought.creator is None


def test_curve_quoted_in_usdc(shared):
    (swap,) = parsed(from_json(shared / "data/pump/raw/chainstack_raw_buy_tx_from_gettransaction.json")[0])
    assert swap.mint_in == USDC
    assert swap.amount_in > 0
    assert swap.reserve_in > 0
    assert {fee.mint for fee in swap.fees} == {USDC}


def test_pumpswap_under_a_router(shared):
    calls, _ = from_json(shared / "data/pump/raw/tx_k13QNvPB_pumpswap_2026-02-17.json")
    (swap,) = parsed(calls)
    assert swap.pool == "933VZLqtaeVadcn6uRYcgpGNr8hEmaof72ns9pABtukx"
    assert (swap.mint_in, swap.amount_in, swap.amount_out) == (WSOL, 195594666, 2124081723206)
    assert swap.fees == (Fee("lp", WSOL, 39112), Fee("protocol", WSOL, 1818667), Fee("creator", WSOL, 586667))
    assert next(call for call in walk(calls) if call.position == swap.position).depth > 1


# --- events that were printed, in calls made round them -----------------------------------------------------


def call_with(program: str, event: bytes, accounts: tuple = (), *, data: bytes = b"", logged: bool = False) -> Call:
    """A call that emits one event, by self-call or by log only."""
    own = Call(program, ("authority",), EVENT_TAG + event, 4, 2)
    return Call(program, accounts, data, 3, 1, () if logged else (own,), (event,) if logged else ())


def observed(shared) -> dict[str, bytes]:
    rows = json.loads((shared / "data/pump/observed_events.json").read_text())
    return {row["name"]: base64.b64decode(row["event_b64"]) for row in rows}


def pool_of(event: bytes) -> str:
    return base58.encode(event[120:152])


def test_observed_events_of_each_age(shared):
    """Every event printed since 2024, by self-call, by log, and by both: the same one item."""
    for name, event in observed(shared).items():
        program = AMM if name[0] in "BS" else PUMP
        accounts = (pool_of(event), "user", "config", "base", "quote") if program == AMM else ()
        (item,) = PARSERS[program](call_with(program, event, accounts))
        assert (item,) == PARSERS[program](call_with(program, event, accounts, logged=True))
        both = call_with(program, event, accounts)
        both = Call(program, accounts, b"", 3, 1, both.inner, (event,))
        assert (item,) == PARSERS[program](both)
        assert item.position == 3
        if name == "T6b_CompleteEvent":
            assert item == Migrated("2oGShXsBYqPXKGV5HvTKm327ZKTtjaXoAVBQqBYL8sRL", 3, item.mint, None)
        else:
            assert isinstance(item, Swap)


def test_events_agree_with_the_vectors(shared, vectors):
    """The vector rows carry the numbers of the same events, decoded by somebody else."""
    for row in vectors("pumpfun") + vectors("pumpswap"):
        if "event_b64" not in row:
            continue
        program = PUMP if row["program"] == "pump" else AMM
        event = base64.b64decode(row["event_b64"])
        accounts = (pool_of(event), "user", "config", "base", "quote") if program == AMM else ()
        (swap,) = PARSERS[program](call_with(program, event, accounts))
        told, fees = row["result"], {fee.name: fee.amount for fee in swap.fees}
        names = {"fee": "protocol", "creator_fee": "creator", "coin_creator_fee": "creator"}
        for key in ("fee", "protocol_fee", "lp_fee", "creator_fee", "coin_creator_fee", "cashback"):
            if told.get(key):
                assert fees[names.get(key, key.removesuffix("_fee"))] == told[key]
        if program == PUMP:
            buys = row["op"] != "sell"
            assert (swap.amount_in if buys else swap.amount_out) == told["net_quote"]
            reserves = (swap.reserve_in, swap.reserve_out)
            after = (told["virtual_quote_after"], told["virtual_token_after"])
            assert reserves == (after if buys else after[::-1])
        elif row["op"] == "buy":
            assert (swap.amount_in, swap.amount_out) == (told["quote_amount_in_with_lp_fee"], row["amount"])
        else:
            assert (swap.amount_in, swap.amount_out) == (
                row["amount"],
                told["quote_amount_out_without_lp_fee"],
            )


def test_pumpswap_sells_seen_in_simulations(shared):
    lines = (shared / "data/ironcrab_samples/pumpswap_sell_events.jsonl").read_text().splitlines()
    for row in map(json.loads, lines):
        event = base64.b64decode(row["program_data_b64"])
        (swap,) = pumpswap_parse.parse_call(call_with(AMM, event, (row["pool"], "u", "g", "base", "quote")))
        assert swap.amount_out == row["quote_amount_out_without_lp_fee"]
        assert swap.amount_in == row["base_amount_in"]
        assert swap.creator == row["coin_creator"]
        assert swap.reserve_out == row["pool_quote_token_reserves"] - swap.amount_out


CREATE_POOL = bytes.fromhex("b1310cd2a076a774") + bytes(8) + b"\0\0" + key(1) + key(2) + key(3) + b"\6\x09"
CREATE_POOL += u64s(500, 600, 500, 600, 100, 547, 447) + b"\xff" + key(4) + bytes(96)
DEPOSIT = bytes(8) + u64s(7, 0, 0, 0, 0, 1000, 2000, 11, 22, 70) + key(4) + key(5) + bytes(96)


def test_pool_creation_and_liquidity():
    accounts = tuple(f"a{i}" for i in range(18))
    plain = call_with(AMM, CREATE_POOL, accounts)
    assert pumpswap_parse.parse_call(plain) == (Created(name(4), 3, name(2), name(3), 500, 600, name(1)),)
    coin = call_with(AMM, CREATE_POOL + key(9), accounts)
    assert pumpswap_parse.parse_call(coin)[0].creator == name(9)
    accounts = (name(4), "config", "user", "base", "quote")
    for tag, added in (("78f83d531f8e6b90", True), ("1609851aa02c47c0", False)):
        call = call_with(AMM, bytes.fromhex(tag) + DEPOSIT, accounts)
        assert pumpswap_parse.parse_call(call) == (Liquidity(name(4), 3, added, "base", "quote", 11, 22, name(5)),)
        assert pumpswap_parse.parse_call(call_with(AMM, bytes.fromhex(tag) + DEPOSIT, ())) == ()


def test_migration():
    event = bytes.fromhex("bde95db95c94ea94") + key(1) + key(2) + u64s(1, 2, 3) + key(4) + bytes(8) + key(6)
    assert pumpfun_parse.parse_call(call_with(PUMP, event)) == (Migrated(name(4), 3, name(2), name(6)),)


def test_a_buy_beyond_the_end_is_two_swaps(shared):
    """October 2026: the trade that takes the rest, the completion, and what was bought of the pool to come."""
    trade, complete = observed(shared)["T6_2026-10-06_buy_completes"], observed(shared)["T6b_CompleteEvent"]
    curve = base58.decode("2oGShXsBYqPXKGV5HvTKm327ZKTtjaXoAVBQqBYL8sRL")
    beyond = bytes.fromhex("6fb06d8b316cd5fb") + key(1) + trade[8:40] + curve + bytes(32) + bytes(8)
    beyond += u64s(500, 60, 95, 7, 30, 8, 3, 9000, 1000, 8500, 1060)
    events = tuple(Call(PUMP, (), EVENT_TAG + e, 4 + i, 2) for i, e in enumerate((trade, complete, beyond)))
    first, end, second = pumpfun_parse.parse_call(Call(PUMP, (), b"", 3, 1, events))
    assert isinstance(end, Migrated)
    assert first.pool == second.pool == end.pool
    assert (first.position, second.position, second.trader) == (3, 6, name(1))
    assert (second.mint_in, second.mint_out) == (WSOL, first.mint_out)
    assert (second.amount_in, second.amount_out, second.reserve_in, second.reserve_out) == (
        60,
        500,
        1060,
        8500,
    )
    assert second.fees == (Fee("protocol", WSOL, 7), Fee("creator", WSOL, 8))


def test_route_through_several_pools_and_curves(shared):
    """One call, several events: each hop its own place, mints from the five accounts of its hop."""
    buy, other = observed(shared)["B4_2026-09"], observed(shared)["B2_2025-03"]
    events = tuple(Call(AMM, (), EVENT_TAG + e, 4 + i, 2) for i, e in enumerate((buy, other)))
    hops = ("b1", "q1", pool_of(buy), "v", "v", "b2", "q2", pool_of(other), "v", "v")
    route = Call(AMM, ("fixed",) * 16 + hops, bytes.fromhex("2b644913e9f66f94"), 3, 1, events)
    first, second = pumpswap_parse.parse_call(route)
    assert (first.position, first.mint_in, first.mint_out) == (3, "q1", "b1")
    assert (second.position, second.mint_in, second.mint_out) == (5, "q2", "b2")
    assert pumpswap_parse.parse_call(Call(AMM, ("x",), bytes.fromhex("2b644913e9f66f94"), 3, 1, events)) == ()
    trade = observed(shared)["T7_2026-10-06_sell_v2"]
    events = tuple(Call(PUMP, (), EVENT_TAG + trade, 4 + i, 2) for i in range(2))
    swaps = pumpfun_parse.parse_call(Call(PUMP, (), b"", 3, 1, events))
    assert [swap.position for swap in swaps] == [3, 5]


def test_accumulating_form_leaves_reserves_open(shared):
    """Without a fee recipient part of the fees stays in the vault: amounts are told, reserves are not."""
    event = bytearray(observed(shared)["B4_2026-09"])
    event[248:280] = bytes(32)
    accounts = (pool_of(event), "u", "g", "base", "quote")
    (swap,) = pumpswap_parse.parse_call(call_with(AMM, bytes(event), accounts))
    assert (swap.amount_in, swap.reserve_in, swap.reserve_out) == (458351, None, None)


def test_the_events_own_call_is_nothing(shared):
    event = observed(shared)["T7_2026-10-06_sell_v2"]
    own = call_with(PUMP, event).inner[0]
    assert pumpfun_parse.parse_call(own) == ()
    assert pumpfun_parse.parse_call(Call(PUMP, (), b"\1", 0, 1)) == ()


# --- instructions, rebuilt ------------------------------------------------------------------------------------
#
# Not comparable, for want of a real transaction: sell with 16 and 17 accounts and buy_exact_quote_in_v2 of PumpFun,
# every *_v3; PumpSwap with more than 23 accounts (pool-v2, buyback, cashback) and every *_v2.

SLOT = Clock(8, 0, 0)
USER = name(1)


@pytest.fixture(scope="module")
def pump_global(shared) -> Account:
    rows = json.loads((shared / "data/pump/account_templates.json").read_text())
    return Account(PUMP, 1, base64.b64decode(rows["global"]["data_b64"]))


@pytest.fixture(scope="module")
def amm_config(shared) -> Account:
    """GlobalConfig of February 2026, before buyback recipients."""
    rows = json.loads((shared / "data/pump/account_templates.json").read_text())
    return Account(AMM, 1, base64.b64decode(rows["global_config"]["data_b64"]))


def a_curve(creator: str, quote_mint: str, *, cashback: bool = False, mayhem: bool = False) -> bytes:
    quote_key = bytes(32) if quote_mint == WSOL else base58.decode(quote_mint)
    flags = bytes((0,)) + base58.decode(creator) + bytes((mayhem, cashback)) + quote_key
    return bytes.fromhex("17b7f83760d8ac60") + u64s(10**15, 10**10, 10**14, 10**9, 10**15) + flags + bytes(36)


def rebuilt(accounts: dict, sent: tuple, at: dict[str, int], form: tuple[str, str], **want):
    """The instruction in one form, with the recipients that the sent one happened to choose from the lists."""
    trade = pumpfun._trade(want["curve"], accounts, sent[at["user"]], want["mint_in"], SLOT)
    house = pumpfun.decode_global(accounts[pumpfun.GLOBAL])
    takers = house.reserved_recipients if want.get("mayhem") else house.fee_recipients
    assert sent[at["fee"]] in takers
    assert sent[at["buyback"]] in house.buyback_recipients
    trade = structs.replace(trade, fee_recipient=sent[at["fee"]], buyback_recipient=sent[at["buyback"]])
    return pump_send.curve_trade(trade, *form, want["amount"], want["other"])


def flags_fit(metas, flags: dict, depth: int) -> None:
    """Flags of a transaction are the union over its instructions: ours must be granted.

    In a call by another program an address of that program may sign without being a signer of the
    transaction.
    """
    for meta in metas:
        signer, writable = flags[meta.pubkey]
        assert signer or not meta.signer or depth > 1, meta
        assert writable or not meta.writable, meta


LEGACY = {"fee": 1, "user": 6, "buyback": 17}
SECOND = {"fee": 6, "buyback": 8, "user": 13}


def test_legacy_buy_and_sell_v2_of_october(shared, pump_global):
    rows = json.loads((shared / "data/pump/transactions_2026-10.json").read_text())
    pumpfun.decode_global(pump_global)
    events = observed(shared)
    for row, key_, event, form, at in (
        (rows[0], "pump_ix", "T6_2026-10-06_buy_completes", "legacy", LEGACY),
        (rows[1], "sell_v2", "T7_2026-10-06_sell_v2", "v2", SECOND),
    ):
        sent, data = tuple(row[f"{key_}_accounts"]), base58.decode(row[f"{key_}_data_b58"])
        (swap,) = pumpfun_parse.parse_call(call_with(PUMP, events[event]))
        coin = swap.mint_out if form == "legacy" else swap.mint_in
        accounts = {
            swap.pool: Account(PUMP, 1, a_curve(swap.creator, WSOL)),
            coin: Account(TOKEN_2022, 1, b""),
            pumpfun.GLOBAL: pump_global,
        }
        amount, other = struct.unpack_from("<QQ", data, 8)
        want = {"curve": swap.pool, "mint_in": swap.mint_in, "amount": amount, "other": other}
        exact = "out" if form == "legacy" else "in"
        built = rebuilt(accounts, sent, at, (form, exact), **want)
        assert tuple(meta.pubkey for meta in built.metas) == sent
        assert built.data == data


def test_first_buy_of_a_cashback_coin(shared, pump_global):
    calls, flags = from_json(shared / "data/pump/raw/chainstack_raw_create_tx_from_gettransaction.json")
    compare_legacy_buy(calls, flags, pump_global, "in")


def test_legacy_buy_in_a_block_subscription(shared, pump_global):
    rows = frames(shared / "data/geyser/single_transactions.subscribe_updates.bin.zst")
    wide = [row for row in rows if any(c.program == PUMP and len(c.accounts) == 18 for c in walk(row[1]))]
    assert wide
    for _, calls, _, flags in wide:
        compare_legacy_buy(calls, flags, pump_global, "out")


def compare_legacy_buy(calls, flags, pump_global, exact):
    (call,) = (c for c in walk(calls) if c.program == PUMP and len(c.accounts) == 18)
    created, swap = parsed(calls)
    sent, _house = call.accounts, pumpfun.decode_global(pump_global)
    accounts = {
        swap.pool: Account(PUMP, 1, a_curve(created.creator, WSOL, cashback=True)),
        swap.mint_out: Account(sent[8], 1, b""),
        pumpfun.GLOBAL: pump_global,
    }
    amount, other = struct.unpack_from("<QQ", call.data, 8)
    want = {"curve": swap.pool, "mint_in": WSOL, "amount": amount, "other": other}
    built = rebuilt(accounts, sent, LEGACY, ("legacy", exact), **want)
    assert tuple(meta.pubkey for meta in built.metas) == sent
    assert built.data[:24] == call.data[:24]
    flags_fit(built.metas, flags, call.depth)


def test_buy_v2_with_usdc(shared, pump_global):
    calls, flags = from_json(shared / "data/pump/raw/chainstack_raw_buy_tx_from_gettransaction.json")
    (call,) = (c for c in walk(calls) if c.program == PUMP and len(c.accounts) == 27)
    (swap,) = parsed(calls)
    mayhem = call.accounts[6] not in pumpfun.decode_global(pump_global).fee_recipients
    accounts = {
        swap.pool: Account(PUMP, 1, a_curve(swap.creator, USDC, mayhem=mayhem)),
        swap.mint_out: Account(call.accounts[3], 1, b""),
        pumpfun.GLOBAL: pump_global,
    }
    amount, other = struct.unpack_from("<QQ", call.data, 8)
    want = {"curve": swap.pool, "mint_in": USDC, "amount": amount, "other": other, "mayhem": mayhem}
    pumpfun.decode_global(pump_global)
    built = rebuilt(accounts, call.accounts, SECOND, ("v2", "out"), **want)
    assert tuple(meta.pubkey for meta in built.metas) == call.accounts
    assert built.data == call.data
    flags_fit(built.metas, flags, call.depth)


def test_old_curve_instructions_of_the_block(block, pump_global):
    """The twelve accounts of April 2025: the first eight and the last two are today's."""
    compared = 0
    for _, calls, _, flags in block:
        for call in walk(calls):
            if call.program != PUMP or call.data[:8] == EVENT_TAG:
                continue
            (swap,) = pumpfun_parse.parse_call(call)
            coin = call.accounts[2]
            accounts = {
                swap.pool: Account(PUMP, 1, a_curve(name(3), WSOL)),
                coin: Account(TOKEN, 1, b""),
                pumpfun.GLOBAL: pump_global,
            }
            trade = pumpfun._trade(swap.pool, accounts, call.accounts[6], swap.mint_in, SLOT)
            trade = structs.replace(trade, fee_recipient=call.accounts[1])
            exact = "out" if trade.buys else "in"
            built = pump_send.curve_trade(trade, "legacy", exact, *struct.unpack_from("<QQ", call.data, 8))
            keys = tuple(meta.pubkey for meta in built.metas)
            assert (keys[:8], keys[10:12]) == (call.accounts[:8], call.accounts[10:12])
            assert built.data[:24] == call.data[:24]
            flags_fit(built.metas[:8], flags, call.depth)
            compared += 1
    assert compared == 16


def pool_accounts(sent: tuple, creator: str | None, amm_config: Account, **kw) -> dict:
    keys = b"".join(map(base58.decode, (name(9), *sent[3:5], name(8), *sent[7:9])))
    data = bytes.fromhex("f19a6d0411b16dbc") + b"\xff\0\0" + keys + bytes(8)
    data += base58.decode(creator) if creator else bytes(32)
    data += bytes((kw.get("mayhem", False), kw.get("cashback", False)))
    return {
        sent[0]: Account(AMM, 1, data),
        sent[7]: Account(sent[11], 1, b""),
        sent[8]: Account(sent[12], 1, b""),
        pumpswap.GLOBAL_CONFIG: amm_config,
    }


def rebuilt_pool_call(sent: tuple, data: bytes, accounts: dict, house, buys: bool):
    mint_in = sent[4] if buys else sent[3]
    trade = pumpswap._trade(sent[0], accounts, sent[1], mint_in, SLOT)
    assert sent[9] in house.fee_recipients
    trade = structs.replace(trade, fee_recipient=sent[9])
    exact = "out" if data[:8] == bytes.fromhex("66063d1201daebea") else "in"
    return pump_send.pool_trade(trade, "legacy", exact, *struct.unpack_from("<QQ", data, 8))


def test_pool_instructions_of_the_block(block, amm_config):
    """The seventeen accounts of April 2025 are the first of today's; the pool was read only then."""
    house, compared = pumpswap.decode_config(amm_config), 0
    for _, calls, _, flags in block:
        for call in walk(calls):
            if call.program != AMM or call.data[:8] == EVENT_TAG:
                continue
            (swap,) = pumpswap_parse.parse_call(call)
            accounts = pool_accounts(call.accounts, None, amm_config)
            buys = swap.mint_in == call.accounts[4]
            built = rebuilt_pool_call(call.accounts, call.data, accounts, house, buys)
            sent_user_accounts = call.accounts[5:7]
            keys = tuple(meta.pubkey for meta in built.metas)
            assert keys[:5] == call.accounts[:5]
            assert keys[7:17] == call.accounts[7:17]
            assert built.data[:24] == call.data[:24]
            flags_fit([m for m in built.metas[1:17] if m.pubkey in flags], flags, call.depth)
            compared += keys[5:7] == sent_user_accounts
    assert compared == 32


def test_pool_buy_under_a_router(shared, amm_config):
    """February 2026, before the pool-v2 address and buyback; the router pays from a WSOL account of its own (6)."""
    calls, flags = from_json(shared / "data/pump/raw/tx_k13QNvPB_pumpswap_2026-02-17.json")
    (call,) = (c for c in walk(calls) if c.program == AMM and c.data[:8] != EVENT_TAG)
    (swap,) = parsed(calls)
    accounts = pool_accounts(call.accounts, swap.creator, amm_config)
    built = rebuilt_pool_call(call.accounts, call.data, accounts, pumpswap.decode_config(amm_config), True)
    keys = tuple(meta.pubkey for meta in built.metas)
    differs = [at for at in range(23) if keys[at] != call.accounts[at]]
    assert differs == [6]
    assert len(built.metas) == 24
    assert built.data[:24] == call.data[:24]
    flags_fit([built.metas[at] for at in range(1, 23) if at != 6], flags, call.depth)


def test_pool_buys_with_their_flags(shared, amm_config):
    """Two printed instructions of 2025: every key but the creator's vault, whose owner is not printed.

    Every flag but those of the pool (read only then), of the global volume accumulator (writable then) and of
    the fee program and its config, which one of the two transactions made writable for reasons of its own.
    """
    for word in ("true", "false"):
        row = json.loads((shared / f"data/pump/raw/carbon_buy_with_track_volume_{word}.json").read_text())
        sent = tuple(meta["pubkey"] for meta in row["accounts"])
        accounts = pool_accounts(sent, None, amm_config)
        data = bytes.fromhex(row["data"])
        built = rebuilt_pool_call(sent, data, accounts, pumpswap.decode_config(amm_config), True)
        assert len(built.metas) == len(sent) == 23
        for at, (meta, told) in enumerate(zip(built.metas, row["accounts"], strict=True)):
            if at not in {17, 18}:
                assert meta.pubkey == told["pubkey"]
            if at not in {0, 19, 21, 22}:
                assert (meta.signer, meta.writable) == (told["is_signer"], told["is_writable"])
        assert sent[17] == associated(sent[18], WSOL, TOKEN)
        assert built.data[:24] == data[:24]


# --- instructions of forms without a real transaction ----------------------------------------------------------

COIN = "6rR1V4h4BncYbyR7M1ZEtLYFQguCPwuS7L8j53bDpump"
CURVE = pumpfun_parse.curve_of(base58.decode(COIN))


def curve_world(pump_global: Account, quote_mint: str = WSOL, **kw) -> dict:
    return {
        CURVE: Account(PUMP, 1, a_curve(name(3), quote_mint, **kw)),
        COIN: Account(TOKEN_2022, 1, b""),
        pumpfun.GLOBAL: pump_global,
    }


def build(venue, pool, accounts, mint_in, *, exact="in", fallback=False, amount=70, user=USER):
    return venue.instructions(
        pool,
        accounts,
        user=user,
        mint_in=mint_in,
        amount=amount,
        other_amount=60,
        exact=exact,
        clock=SLOT,
        fallback=fallback,
    )


def test_curve_forms(pump_global):
    """Length, name and amounts of every form; no key is signer but the user."""
    for quote_mint, cashback, fallback, buys, exact, size, word in (
        (WSOL, False, False, True, "in", 17, "buy_exact_quote_in_v3"),
        (WSOL, False, False, True, "out", 17, "buy_v3"),
        (WSOL, False, False, False, "in", 17, "sell_v3"),
        (USDC, False, False, True, "in", 17, "buy_exact_quote_in_v3"),
        (WSOL, True, False, True, "in", 27, "buy_exact_quote_in_v2"),
        (WSOL, True, False, False, "in", 26, "sell_v2"),
        (USDC, False, True, True, "out", 27, "buy_v2"),
        (WSOL, False, True, True, "in", 18, "buy_exact_sol_in"),
        (WSOL, False, True, True, "out", 18, "buy"),
        (WSOL, False, True, False, "in", 16, "sell"),
        (WSOL, True, True, False, "out", 17, "sell"),
    ):
        accounts = curve_world(pump_global, quote_mint, cashback=cashback)
        (built,) = build(pumpfun.VENUE, CURVE, accounts, quote_mint if buys else COIN, exact=exact, fallback=fallback)
        assert (built.program, len(built.metas)) == (PUMP, size), word
        assert built.data[:8] == pump_send.discriminator(word)
        turned = not buys and exact == "out"
        assert struct.unpack_from("<QQ", built.data, 8) == ((60, 70) if turned else (70, 60))
        assert [meta.pubkey for meta in built.metas if meta.signer] == [name(1)]


def test_pool_forms(amm_config):
    sent = (name(40), "", "", COIN, WSOL, "", "", name(21), name(22), "", "", TOKEN_2022, TOKEN)
    wide = bytearray(amm_config.data.ljust(949, b"\0"))
    wide[643:899] = b"".join(key(50 + i) for i in range(8))
    late = Account(AMM, 1, bytes(wide))
    for creator, cashback, config, fallback, buys, exact, size, word in (
        (name(3), False, late, False, True, "in", 17, "buy_exact_quote_in_v2"),
        (name(3), False, late, False, True, "out", 17, "buy_v2"),
        (name(3), False, late, False, False, "out", 17, "sell_v2"),
        (name(3), False, late, True, True, "in", 26, "buy_exact_quote_in"),
        (None, False, late, True, True, "out", 25, "buy"),
        (name(3), True, late, False, True, "out", 27, "buy"),
        (name(3), False, late, True, False, "in", 24, "sell"),
        (None, False, late, True, False, "in", 23, "sell"),
        (name(3), True, late, True, False, "in", 26, "sell"),
        (None, False, amm_config, True, False, "in", 21, "sell"),
        (None, False, amm_config, False, False, "in", 17, "sell_v2"),
    ):
        accounts = pool_accounts(sent, creator, config, cashback=cashback)
        (built,) = build(pumpswap.VENUE, sent[0], accounts, WSOL if buys else COIN, exact=exact, fallback=fallback)
        assert (built.program, len(built.metas)) == (AMM, size), word
        assert built.data[:8] == pump_send.discriminator(word)
        assert [meta.pubkey for meta in built.metas if meta.signer] == [name(1)]


def test_instructions_that_cannot_be_built(pump_global, amm_config):
    world = curve_world(pump_global)
    assert build(pumpfun.VENUE, CURVE, {}, WSOL).missing == (CURVE, pumpfun.GLOBAL)
    assert build(pumpfun.VENUE, CURVE, {**world, CURVE: Account(PUMP, 1, b"")}, WSOL).code is None
    assert build(pumpfun.VENUE, CURVE, {**world, pumpfun.GLOBAL: Account(PUMP, 1, b"")}, WSOL).code is None
    homeless = {key_: account for key_, account in world.items() if key_ != COIN}
    assert build(pumpfun.VENUE, CURVE, homeless, COIN).missing == (COIN,)
    assert build(pumpfun.VENUE, CURVE, homeless, WSOL).missing == ()
    assert build(pumpfun.VENUE, CURVE, world, USDC).code == 6004
    assert build(pumpfun.VENUE, CURVE, world, WSOL, amount=-1).code is None
    assert "no key" in build(pumpfun.VENUE, CURVE, world, WSOL, user="0").reason
    far = curve_world(pump_global, name(33))
    assert build(pumpfun.VENUE, CURVE, far, name(33)).missing == (name(33),)
    assert len(build(pumpfun.VENUE, CURVE, {**far, name(33): Account(TOKEN, 1, b"")}, name(33))) == 1
    odd = {**far, name(33): Account(name(5), 1, b"")}
    assert "no token program" in build(pumpfun.VENUE, CURVE, odd, name(33)).reason
    nobody = Account(PUMP, 1, bytes.fromhex("a7e8e8b1c86c727f") + bytes(200))
    assert "recipient" in build(pumpfun.VENUE, CURVE, {**world, pumpfun.GLOBAL: nobody}, WSOL).reason
    old = Account(PUMP, 1, pump_global.data[:500])
    assert len(build(pumpfun.VENUE, CURVE, {**world, pumpfun.GLOBAL: old}, WSOL, fallback=True)[0].metas) == 17
    sent = (name(40), "", "", COIN, WSOL, "", "", name(21), name(22), "", "", TOKEN_2022, TOKEN)
    world = pool_accounts(sent, None, amm_config)
    assert build(pumpswap.VENUE, name(40), {}, WSOL).missing == (name(40), pumpswap.GLOBAL_CONFIG)
    assert build(pumpswap.VENUE, name(40), {**world, name(40): Account(AMM, 1, b"")}, WSOL).code is None
    empty = {**world, pumpswap.GLOBAL_CONFIG: Account(AMM, 1, b"")}
    assert build(pumpswap.VENUE, name(40), empty, WSOL).code is None
    assert "neither" in build(pumpswap.VENUE, name(40), world, USDC).reason
    assert build(pumpswap.VENUE, name(40), world, WSOL, amount=2**64).code is None
    assert "no key" in build(pumpswap.VENUE, name(40), world, WSOL, user="0").reason
    odd = {**world, name(21): Account(name(5), 1, b"")}
    assert "no token program" in build(pumpswap.VENUE, name(40), odd, WSOL).reason
    bare = {name(40): world[name(40)], pumpswap.GLOBAL_CONFIG: amm_config}
    assert build(pumpswap.VENUE, name(40), bare, WSOL).missing == (name(21), name(22))
    nobody = Account(AMM, 1, bytes.fromhex("95089ccaa0fcb0d9") + bytes(400))
    assert "recipient" in build(pumpswap.VENUE, name(40), {**world, pumpswap.GLOBAL_CONFIG: nobody}, WSOL).reason
    mayhem = pool_accounts(sent, None, amm_config, mayhem=True)
    (built,) = build(pumpswap.VENUE, name(40), mayhem, WSOL, fallback=True)
    assert built.metas[9].pubkey in pumpswap.decode_config(amm_config).reserved_recipients


def test_venues_answer_for_themselves(shared):
    spent = Quote(1, 1, (), 0, False, {})
    moment = Transaction("", 0, "", (), (), {}, {})
    event = observed(shared)["T7_2026-10-06_sell_v2"]
    assert len(pumpfun.VENUE.parse(call_with(PUMP, event), moment)) == 1
    assert pumpswap.VENUE.parse(call_with(AMM, b""), moment) == ()
    assert pumpfun.VENUE.compute_units(spent) > 78_599
    assert pumpswap.VENUE.compute_units(spent) > 100_000


# --- bad input -------------------------------------------------------------------------------------------------

EVENTS = ("bddb7fd34ee661ee", "1b72a94ddeeb6376", "5f72619cd42e9808", "bde95db95c94ea94", "67f4521f2cf57777")
EVENTS += (
    "3e2f370aa503dc2a",
    "b1310cd2a076a774",
    "78f83d531f8e6b90",
    "1609851aa02c47c0",
    "6fb06d8b316cd5fb",
    "0011223344556677",
)


@settings(derandomize=True, deadline=None, max_examples=EXAMPLES)
@given(st.sampled_from(EVENTS), st.binary(max_size=600), st.booleans(), st.lists(st.just("a"), max_size=20))
def test_any_bytes_are_read_without_a_fault(tag, body, logged, accounts):
    event = bytes.fromhex(tag) + body
    for program, parse in PARSERS.items():
        for item in parse(call_with(program, event, tuple(accounts), logged=logged)):
            assert item.position == 3


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 500), st.integers(0, 18))
def test_cut_events_never_change_what_is_told(shared, size, which):
    """A shorter event, as older programs wrote them, tells less but nothing else."""
    label, event = sorted(observed(shared).items())[which]
    program = AMM if label[0] in "BS" else PUMP
    accounts = (pool_of(event), "user", "config", "base", "quote") if program == AMM else ()
    (whole,) = PARSERS[program](call_with(program, event, accounts))
    for item in PARSERS[program](call_with(program, event[:size], accounts)):
        assert (item.pool, item.position) == (whole.pool, whole.position)
        if isinstance(whole, Swap):
            assert (item.amount_in, item.amount_out, item.trader) == (
                whole.amount_in,
                whole.amount_out,
                whole.trader,
            )


def test_an_event_of_a_creation_cut_short_tells_nothing():
    tag = bytes.fromhex("b1310cd2a076a774")
    assert pumpswap_parse.parse_call(call_with(AMM, tag + bytes(100), ("pool",))) == ()
