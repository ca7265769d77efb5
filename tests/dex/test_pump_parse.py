"""Calls of the two pump programs against real transactions: every event counted once, amounts as the pool saw them."""

import base64
import json
import struct
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.dex import Account, Clock, base58, pumpfun, pumpfun_parse, pumpswap, pumpswap_parse, quote
from ironcrab.dex.address import TOKEN, WSOL
from ironcrab.dex.face import Call, Created, Fee, Liquidity, Migrated, Swap
from ironcrab.dex.pump_events import EVENT_TAG

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
        calls.append(build(rows, position)[0])
        position += len(rows)
    return calls


def build(rows: list, position: int) -> list[Call]:
    """Calls of a flat preorder list of rows, as trees."""
    out, at = [], 0
    while at < len(rows):
        height, program, accounts, data = rows[at]
        end = at + 1
        while end < len(rows) and rows[end][0] > height:
            end += 1
        below = tuple(build(rows[at + 1 : end], position + at + 1))
        out.append(Call(program, tuple(accounts), data, position + at, height, below))
        at = end
    return out


def frames(path: Path) -> list[tuple[str, list[Call], dict]]:
    """(signature, call trees, token balances before and after) of the successful transactions of a frame file."""
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


def transaction(info: dict) -> tuple[str, list[Call], dict] | None:
    meta = fields(info[4])
    if any(number == 1 for number, _ in meta):
        return None
    message = fields(dict(fields(info[3]))[2])
    keys = [base58.key(v) for n, v in message if n == 2]
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
    return base58.encode(info.get(1, b"")), tree(outer, inner), balances


def from_json(path: Path) -> list[Call]:
    """Call trees of a getTransaction JSON, raw or jsonParsed (parsed rows have no data and no accounts)."""
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
    return tree([one(ix) for ix in message["instructions"]], inner)


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
        for signature, calls, _ in block
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
    for _, calls, balances in block:
        swaps = [
            (call, item)
            for call in walk(calls)
            if call.program == AMM
            for item in pumpswap_parse.parse_call(call)
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
    for _, calls, balances in block:
        swaps = [
            (call, item)
            for call in walk(calls)
            if call.program == PUMP
            for item in pumpfun_parse.parse_call(call)
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
        for _, calls, _ in block
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
    items = [item for _, calls, _ in rows for item in parsed(calls)]
    kinds = [type(item) for item in items]
    assert (kinds.count(Swap), kinds.count(Created), kinds.count(Migrated)) == (6, 2, 0)


def test_creation_with_first_buy(shared):
    created, bought = parsed(
        from_json(shared / "data/pump/raw/chainstack_raw_create_tx_from_gettransaction.json")
    )
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
    created, bought = parsed(from_json(shared / "data/geyser/tx_json/pumpfun_create_0.json"))
    assert created.creator == bought.trader
    assert created.amount_a == 10**15
    assert bought.fees == ()
    assert bought.creator is None


def test_curve_quoted_in_usdc(shared):
    (swap,) = parsed(from_json(shared / "data/pump/raw/chainstack_raw_buy_tx_from_gettransaction.json"))
    assert swap.mint_in == USDC
    assert swap.amount_in > 0
    assert swap.reserve_in > 0
    assert {fee.mint for fee in swap.fees} == {USDC}


def test_pumpswap_under_a_router(shared):
    calls = from_json(shared / "data/pump/raw/tx_k13QNvPB_pumpswap_2026-02-17.json")
    (swap,) = parsed(calls)
    assert swap.pool == "933VZLqtaeVadcn6uRYcgpGNr8hEmaof72ns9pABtukx"
    assert (swap.mint_in, swap.amount_in, swap.amount_out) == (WSOL, 195594666, 2124081723206)
    assert swap.fees == (Fee("lp", WSOL, 39112), Fee("protocol", WSOL, 1818667), Fee("creator", WSOL, 586667))
    assert next(call for call in walk(calls) if call.position == swap.position).depth > 1


# --- events that were printed, in calls made round them -----------------------------------------------------


def call_with(
    program: str, event: bytes, accounts: tuple = (), *, data: bytes = b"", logged: bool = False
) -> Call:
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
    assert pumpswap_parse.parse_call(plain) == (
        Created(name(4), 3, name(2), name(3), 500, 600, name(1), ("a9", "a10")),
    )
    coin = call_with(AMM, CREATE_POOL + key(9), accounts)
    assert pumpswap_parse.parse_call(coin)[0].creator == name(9)
    accounts = (name(4), "config", "user", "base", "quote")
    for tag, added in (("78f83d531f8e6b90", True), ("1609851aa02c47c0", False)):
        call = call_with(AMM, bytes.fromhex(tag) + DEPOSIT, accounts)
        assert pumpswap_parse.parse_call(call) == (
            Liquidity(name(4), 3, added, "base", "quote", 11, 22, name(5)),
        )
        assert pumpswap_parse.parse_call(call_with(AMM, bytes.fromhex(tag) + DEPOSIT, ())) == ()


def test_migration():
    event = bytes.fromhex("bde95db95c94ea94") + key(1) + key(2) + u64s(1, 2, 3) + key(4) + bytes(8) + key(6)
    assert pumpfun_parse.parse_call(call_with(PUMP, event)) == (Migrated(name(4), 3, name(2), name(6)),)


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


# --- bad input -------------------------------------------------------------------------------------------------

EVENTS = ("bddb7fd34ee661ee", "1b72a94ddeeb6376", "5f72619cd42e9808", "bde95db95c94ea94", "67f4521f2cf57777")
EVENTS += ("3e2f370aa503dc2a", "b1310cd2a076a774", "78f83d531f8e6b90", "1609851aa02c47c0", "0011223344556677")


@settings(derandomize=True, deadline=None, max_examples=400)
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
