"""Meteora DLMM: executed swaps reproduced, gates and refusals, decoding, instructions of real transactions."""

import base64
import json
import struct

import pytest
from msgspec import structs

from ironcrab.dex import VENUES, dlmm, dlmm_after, dlmm_pool, dlmm_state, quote
from ironcrab.dex import bins as maths
from ironcrab.dex.address import TOKEN, TOKEN_2022, associated, find_program_address
from ironcrab.dex.base58 import decode, encode, key
from ironcrab.dex.face import ABSENT, Account, Clock, Instruction, Quote, Refusal

POOL = "EtAdVRLFH22rjWh3mcUasKFF27WtHhsaCvK27tPFFWig"


# --- the executed rows -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(vectors):
    """Executed swaps as (row, accounts, clock)."""
    known, found = {}, []
    for row in vectors("meteora_dlmm"):
        if row["kind"] == "account":
            data = base64.b64decode(row["data"])
            known[row["ref"]] = Account(row["owner"], row["lamports"], data)
        else:
            found.append(row)
    return [(row, world(row, known), Clock(**row["clock"])) for row in found]


def world(row, known):
    return {a["pubkey"]: known[a["ref"]] if a["ref"] else ABSENT for a in row["accounts"].values()}


def names(row):
    return {role: a["pubkey"] for role, a in row["accounts"].items()}


def mint_in(row):
    return names(row)["mint_x" if row["swap_for_y"] else "mint_y"]


def exact(row):
    return "in" if row["exact_in"] else "out"


def of_kind(rows, variant, *, down=True, ok=True):
    """A row of a variant and direction with its accounts and clock."""
    return next(
        found
        for found in rows
        if found[0]["variant"] == variant
        and found[0]["swap_for_y"] == down
        and found[0]["result"]["ok"] == ok
        and found[0]["ix"].endswith("2")
    )


def limits(row, pool):
    """Least output of a row with a price impact limit; None where the program overflows."""
    data = bytes.fromhex(row["ix_data"])[16:]
    active = pool.pair.active_id
    if data[0]:
        (active,) = struct.unpack_from("<i", data, 1)
        data = data[4:]
    (bps,) = struct.unpack_from("<H", data, 1)
    price = maths.price_of(active, pool.pair.bin_step)
    return maths.least_out(price, row["amount"], bps, row["swap_for_y"])


def judge(row, accounts, clock):
    """Whether the public quote, and where a threshold decides the pool's own one, says what was executed."""
    ask = {"mint_in": mint_in(row), "amount": row["amount"], "exact": exact(row), "clock": clock}
    found = quote(row["pool"], accounts, **ask)
    result = row["result"]
    if not result["ok"] and isinstance(found, Quote):
        # the quote knows no threshold: it must lie beyond the row's, and the pool must name the same error
        pool = dlmm_pool.decode(row["pool"], accounts)
        other = row["other"]
        if "impact" in row["ix"]:
            other = limits(row, pool)
            if other is None:
                return result["err"]["code"] == maths.OVERFLOW
        if (found.amount_out >= other) if row["exact_in"] else (found.amount_in <= other):
            return False
        found = pool.quote(**ask, other=other)
    if isinstance(found, Refusal):
        return not result["ok"] and found.code == result["err"]["code"]
    paid, got = ("user_x", "user_y") if row["swap_for_y"] else ("user_y", "user_x")
    return (found.amount_in, found.amount_out) == (-result[paid], result[got])


def test_every_executed_swap(rows, truth_table):
    wrong = [row["id"] for row, accounts, clock in rows if not judge(row, accounts, clock)]
    truth_table.add("meteora_dlmm", "executed swaps, amounts and error codes", len(rows), len(rows) - len(wrong))
    assert wrong == []
    assert len(rows) == 722


def test_pool_account_after_every_executed_swap(rows, truth_table):
    judged = equal = 0
    for row, accounts, clock in rows:
        if not row["result"]["ok"] or "host_fee_in" in row["accounts"]:
            continue
        found = quote(row["pool"], accounts, mint_in=mint_in(row), amount=row["amount"], exact=exact(row), clock=clock)
        judged += 1
        equal += found.after[row["pool"]].data == base64.b64decode(row["post_lb_pair"])
    truth_table.add("meteora_dlmm", "pool account afterwards, byte by byte", judged, equal)
    assert judged == equal == 533


def test_reserves_and_fees_of_every_executed_swap(rows):
    for row, accounts, clock in rows:
        if not row["result"]["ok"] or "host_fee_in" in row["accounts"]:
            continue
        found = quote(row["pool"], accounts, mint_in=mint_in(row), amount=row["amount"], exact=exact(row), clock=clock)
        for side in ("x", "y"):
            vault = names(row)[f"reserve_{side}"]
            before, after = (int.from_bytes(a.data[64:72], "little") for a in (accounts[vault], found.after[vault]))
            assert after - before == row["result"][f"reserve_{side}"]
        event = row["result"]["events"][1]
        fees = {fee.name: fee.amount for fee in found.fees if fee.name != "transfer"}
        assert fees == {"lp": event["mm_fee"] + event["limit_order_fee"], "protocol": event["protocol_fee"]}
        side = "x" if event["fees_on_token_x"] else "y"
        assert {fee.mint for fee in found.fees if fee.name == "lp"} == {names(row)[f"mint_{side}"]}
        assert sum(fee.amount for fee in found.fees if fee.name == "transfer") == moved_twice(row)


def moved_twice(row):
    """Transfer fees of a row: what users and reserves saw differently."""
    result = row["result"]
    return abs(result["user_x"] + result["reserve_x"]) + abs(result["user_y"] + result["reserve_y"])


def test_state_carries_through_the_executed_sequence(rows, truth_table):
    """Step after step of one executed sequence: accounts after a quote are those the next step starts from."""
    steps = {int(r["note"].split()[-1]): (r, a, c) for r, a, c in rows if r["note"].startswith("sequence step")}
    judged = equal = 0
    for step, (row, accounts, clock) in sorted(steps.items()):
        if step + 1 not in steps or not row["result"]["ok"]:
            continue
        found = quote(row["pool"], accounts, mint_in=mint_in(row), amount=row["amount"], exact=exact(row), clock=clock)
        following = steps[step + 1][1]
        for address, account in found.after.items():
            judged += 1
            equal += account.data == following[address].data
    truth_table.add("meteora_dlmm", "accounts afterwards in a sequence", judged, equal)
    assert judged == equal > 50


def test_compute_units_cover_what_was_measured(rows):
    for row, accounts, clock in rows:
        if not row["result"]["ok"]:
            continue
        found = quote(row["pool"], accounts, mint_in=mint_in(row), amount=row["amount"], exact=exact(row), clock=clock)
        asked = dlmm.VENUE.compute_units(found)
        assert row["result"]["cu"] <= asked <= 3 * row["result"]["cu"], row["id"]
    assert dlmm.VENUE.compute_units(Quote(1, 1, (), 0, False, {})) == 140_000


# --- gates and refusals ------------------------------------------------------------------------------------


def patched(accounts, address, layout, at, *values):
    data = bytearray(accounts[address].data)
    struct.pack_into(layout, data, at, *values)
    return {**accounts, address: structs.replace(accounts[address], data=bytes(data))}


def ask(row, accounts, clock, **changes):
    wanted = {"mint_in": mint_in(row), "amount": 1000, "clock": clock, **changes}
    return quote(row["pool"], accounts, **wanted)


@pytest.fixture
def plain(rows):
    return of_kind(rows, "EtAdVR/clean")


@pytest.mark.parametrize(
    ("layout", "at", "value", "code"),
    [
        ("<B", 82, 1, 6042),
        ("<B", 75, 9, 6043),
        ("<B", 35, 3, 6019),
        ("<B", 36, 2, 6110),
        ("<H", 32, 10_001, 6018),
        ("<B", 34, 255, 6018),
    ],
)
def test_a_pool_that_the_program_refuses(plain, layout, at, value, code):
    row, accounts, clock = plain
    assert ask(row, patched(accounts, POOL, layout, at, value), clock).code == code


@pytest.mark.parametrize(
    ("kind", "activation", "point", "code"),
    [
        (1, 0, 501, 6042),
        (1, 0, 500, None),
        (2, 1, 1001, 6042),
        (2, 1, 1000, None),
        (2, 2, 0, 6058),
        (0, 0, 501, None),
        (3, 1, 1001, None),
    ],
)
def test_activation_opens_at_its_point(plain, kind, activation, point, code):
    row, accounts, _ = plain
    accounts = patched(accounts, POOL, "<B", 75, kind)
    accounts = patched(accounts, POOL, "<B", 86, activation)
    accounts = patched(accounts, POOL, "<Q", 816, point)
    found = ask(row, accounts, Clock(500, 1000, 900))
    assert getattr(found, "code", None) == code
    assert isinstance(found, Quote) == (code is None)


def test_amounts_out_of_range(plain):
    row, accounts, clock = plain
    assert ask(row, accounts, clock, amount=0).code == 6002
    assert ask(row, accounts, clock, amount=0, exact="out").code == 6039
    assert ask(row, accounts, clock, amount=2**64).code is None
    assert ask(row, accounts, clock, amount=-1).code is None
    assert ask(row, accounts, clock, mint_in=TOKEN).code is None
    assert ask(row, accounts, clock, amount=1).code == 6039


def test_generations(plain):
    row, accounts, clock = plain
    assert isinstance(ask(row, accounts, clock, generation="0.12"), Quote)
    assert "before program 0.12" in ask(row, accounts, clock, generation="pre-0.12").reason
    assert ask(row, accounts, clock, generation="0.99").code is None


def test_price_impact_limit(plain):
    row, accounts, clock = plain
    assert isinstance(ask(row, accounts, clock, amount=10**6, limit=355), Quote)
    assert ask(row, accounts, clock, amount=10**6, limit=354).code == 6003
    assert ask(row, accounts, clock, limit=-1).code == 6018
    up = names(row)["mint_y"]
    assert ask(row, accounts, clock, mint_in=up, limit=10_000).code == 6018
    assert isinstance(ask(row, accounts, clock, mint_in=up, limit=9_999), Quote)


@pytest.mark.parametrize("role", ["lb_pair", "mint_x", "mint_y", "reserve_x", "reserve_y", "bin_array_0"])
def test_what_is_unknown_is_named(plain, role):
    row, accounts, clock = plain
    address = names(row)[role]
    lacking = {name: account for name, account in accounts.items() if name != address}
    found = ask(row, lacking, clock)
    assert found.missing == (address,)
    assert dlmm.VENUE.needs(POOL, lacking, mint_in(row)) == (address,)
    absent = ask(row, {**accounts, address: ABSENT}, clock)
    assert isinstance(absent, Refusal)
    assert absent.missing == ()


def test_a_quote_needs_no_oracle_and_no_arrays_beyond_its_way(plain):
    row, accounts, clock = plain
    keep = {"lb_pair", "mint_x", "mint_y", "reserve_x", "reserve_y", "bin_array_0"}
    known = {names(row)[role]: accounts[names(row)[role]] for role in keep}
    found = ask(row, known, clock)
    assert found.amount_out == ask(row, accounts, clock).amount_out
    assert set(found.after) == {names(row)[r] for r in ("lb_pair", "reserve_x", "reserve_y", "bin_array_0")}


def test_needs_are_the_next_arrays_in_the_direction(plain):
    row, accounts, _ = plain
    known = {n: a for n, a in accounts.items() if not n.startswith(names(row)["bin_array_0"])}
    bitmap = bytearray(128)
    for index in (-3, -1, 0, 2, 5, 9):
        bitmap[(index + 512) // 8] |= 1 << (index + 512) % 8
    known = patched(known, POOL, "128s", 584, bytes(bitmap))

    def arrays(*indices):
        found = (dlmm_state.bin_array_address(POOL, index) for index in indices)
        return tuple(address for address in found if address not in known)

    assert dlmm.VENUE.needs(POOL, known, names(row)["mint_x"]) == arrays(0, -1, -3)
    assert dlmm.VENUE.needs(POOL, known, names(row)["mint_y"]) == arrays(0, 2, 5)
    assert dlmm.VENUE.needs(POOL, {}, names(row)["mint_x"]) == (POOL,)


def test_the_bitmap_extension_is_unknown_absent_or_empty(plain):
    row, accounts, clock = plain
    address = dlmm_state.extension_address(POOL)
    too_much = {"amount": 10**18}
    assert ask(row, accounts, clock, **too_much) == Refusal(
        6036, "array -513 and those beyond stand in the absent bitmap extension", (address,)
    )
    assert ask(row, {**accounts, address: ABSENT}, clock, **too_much).missing == ()
    empty = Account(dlmm_state.PROGRAM, 1, dlmm_state.EXTENSION + bytes(1568))
    assert ask(row, {**accounts, address: empty}, clock, **too_much).code == 6037


def test_wrong_accounts_in_the_place_of_right_ones(plain):
    row, accounts, clock = plain
    array, role = names(row)["bin_array_0"], names(row)
    assert ask(row, patched(accounts, array, "<q", 8, 7), clock).code == 3005
    assert ask(row, patched(accounts, array, "<B", 24, 1), clock).code == 6027
    assert ask(row, patched(accounts, role["reserve_y"], "<B", 108, 2), clock).code == 17
    assert ask(row, patched(accounts, role["reserve_x"], "<B", 108, 0), clock).code is None
    assert ask(row, patched(accounts, role["mint_x"], "<B", 45, 0), clock).code is None
    assert ask(row, patched(accounts, role["mint_y"], "<B", 45, 0), clock).code is None
    assert ask(row, patched(accounts, POOL, "<B", 0, 0), clock).code is None
    strange = {**accounts, "no key": accounts[POOL]}
    assert quote("no key", strange, mint_in=mint_in(row), amount=1, clock=clock).code is None
    assert dlmm_pool.decode(POOL, {**accounts, POOL: ABSENT}).code is None


def test_vaults_and_counters_at_their_ends(plain):
    row, accounts, clock = plain
    role = names(row)
    assert ask(row, patched(accounts, role["reserve_y"], "<Q", 64, 1000), clock).code == 1
    assert ask(row, patched(accounts, role["reserve_x"], "<Q", 64, 2**64 - 1), clock).code == 14
    full = patched(patched(accounts, POOL, "<Q", 216, 2**64 - 1), POOL, "<H", 32, 2500)
    assert ask(row, full, clock).code == 6018
    loud = patched(accounts, POOL, "<I", 40, 2**32 - 1)
    updated = dlmm_state.decode_pair(accounts[POOL].data).updated_at
    assert ask(row, loud, Clock(1, updated + 700, 900)).code == 6018
    assert isinstance(ask(row, loud, Clock(1, updated + 7000, 900)), Quote)


def test_transfer_fees_need_their_place_in_the_vault(rows):
    row, accounts, clock = of_kind(rows, "B5Eia/clean")
    vault = names(row)["reserve_x"]
    assert isinstance(ask(row, accounts, clock), Quote)
    cut = structs.replace(accounts[vault], data=accounts[vault].data[:165])
    assert "no place for the transfer fees" in ask(row, {**accounts, vault: cut}, clock).reason
    broken = patched(accounts, names(row)["mint_x"], "<B", 165, 9)
    assert isinstance(ask(row, broken, clock), Refusal)


def test_a_hook_refuses_every_swap(rows):
    row, accounts, clock = of_kind(rows, "B5Eia/clean")
    address = names(row)["mint_x"]
    hook = accounts[address].data + struct.pack("<HH32s32s", 14, 64, bytes(32), b"\7" * 32)
    hooked = {**accounts, address: structs.replace(accounts[address], data=hook)}
    assert "hook" in ask(row, hooked, clock).reason
    assert ask(row, hooked, clock).code == 6077


def test_transfers_are_judged_last_and_in_their_order(rows):
    """Each case differs from the next in one thing; numbers as the program gave them, executed."""
    row, accounts, clock = of_kind(rows, "B5Eia/clean")
    name = names(row)
    reserve_in, reserve_out = (name["reserve_x"], name["reserve_y"])[:: 1 if row["swap_for_y"] else -1]
    frozen_out = patched(accounts, reserve_out, "<B", 108, 2)
    assert ask(row, frozen_out, clock).code == 17
    assert ask(row, patched(frozen_out, reserve_out, "<Q", 64, 0), clock).code == 17
    assert ask(row, patched(accounts, reserve_out, "<Q", 64, 0), clock).code == 1
    frozen_in = patched(frozen_out, reserve_in, "<B", 108, 2)
    assert reserve_in in ask(row, frozen_in, clock).reason
    assert ask(row, patched(frozen_out, reserve_in, "<Q", 64, 2**64 - 1), clock).code == 14
    assert ask(row, patched(frozen_in, row["pool"], "<B", 82, 1), clock).code == 6042
    assert ask(row, frozen_in, clock, amount=1).code == 6039


def test_no_step_leads_beyond_the_bounds_of_a_pool(rows):
    """6012, before the arrays or the bitmap are looked at; the active bin itself may lie outside."""
    row, accounts, clock = of_kind(rows, "B5Eia/clean")
    down = row["swap_for_y"]
    pool, (active,) = row["pool"], struct.unpack_from("<i", accounts[row["pool"]].data, 76)
    whole = ask(row, accounts, clock, amount=10**6)
    far = ask(row, accounts, clock, amount=2**62)
    assert isinstance(whole, Quote)
    assert far.code != 6012
    for low, high in ((active, active), (active + 5, active + 5) if down else (active - 5, active - 5)):
        bounded = patched(patched(accounts, pool, "<i", 24, low), pool, "<i", 28, high)
        assert ask(row, bounded, clock, amount=2**62).code == 6012
    bounded = patched(patched(accounts, pool, "<i", 24, active), pool, "<i", 28, active)
    hollow = with_bin(bounded, row, active, **({"amount_y": 0} if down else {"amount_x": 0}), opened=0, remaining=0)
    assert ask(row, hollow, clock).code == 6012
    near = active - 3 if down else active + 3
    bounded = patched(accounts, pool, "<i", 24 if down else 28, near)
    assert ask(row, bounded, clock, amount=2**62).code == 6012
    reached, free = (ask(row, held, clock, amount=1000) for held in (bounded, accounts))
    assert (reached.amount_in, reached.amount_out) == (free.amount_in, free.amount_out)


# --- bins at their edges -----------------------------------------------------------------------------------


def with_bin(accounts, row, bin_id, **fields):
    """Accounts with some fields of one bin replaced."""
    index, slot = divmod(bin_id, 70)
    address = names(row)[f"bin_array_{index}"]
    state = structs.replace(dlmm_state.decode_bin(accounts[address].data, slot), **fields)
    data = dlmm_state.encode_bins(accounts[address].data, {slot: state})
    return {**accounts, address: structs.replace(accounts[address], data=data)}


def test_a_bin_without_a_price_ends_the_way(plain):
    row, accounts, clock = plain
    blank = with_bin(accounts, row, 15, price_low=0, price_high=0)
    assert ask(row, blank, clock).code == 6018
    found = ask(row, blank, clock, mint_in=names(row)["mint_y"])
    assert (found.code, found.reason) == (None, "bin 15 has no price stored")


def test_bins_too_large_for_64_bits(plain):
    row, accounts, clock = plain
    steep = with_bin(accounts, row, 15, price_low=1, price_high=0)
    assert ask(row, steep, clock).code == 6019
    assert ask(row, steep, clock, amount=2**64 - 1).code == 6019
    assert ask(row, steep, clock, exact="out", amount=28777).code == 6019
    assert ask(row, with_bin(accounts, row, 15, amount_x=2**64 - 1), clock).code == 6018
    held = patched(accounts, names(row)["reserve_y"], "<Q", 64, 2**64 - 1)
    dear = with_bin(held, row, 15, amount_y=0, ask=0, remaining=10**18, price_low=2**20, price_high=0)
    assert ask(row, dear, clock).code == 6019
    late = with_bin(held, row, 15, amount_y=0, ask=0, opened=10**18, price_low=2**20, price_high=0)
    assert ask(row, late, clock).code == 6019
    assert ask(row, late, clock, exact="out", amount=10**17).code == 6019


def test_orders_fill_after_makers_and_open_ones_start_a_new_age(plain):
    row, accounts, clock = plain
    accounts = patched(accounts, POOL, "<B", 35, 2)
    accounts = with_bin(accounts, row, 15, amount_y=1000, remaining=500, processing=900, opened=2000, age=4)
    found = ask(row, accounts, clock, amount=1_000, exact="in")
    index, slot = divmod(15, 70)
    state = dlmm_state.decode_bin(found.after[names(row)[f"bin_array_{index}"]].data, slot)
    out = found.amount_out
    assert state.amount_y == 0
    assert out < 1500
    assert (state.filled_y, state.remaining, state.opened) == (out - 1000, 500 - (out - 1000), 2000)
    found = ask(row, accounts, clock, amount=1_500, exact="in")
    state = dlmm_state.decode_bin(found.after[names(row)["bin_array_0"]].data, slot)
    used = found.amount_out - 1500
    assert (state.processing, state.remaining, state.opened, state.age) == (2000, 2000 - used, 0, 5)
    assert state.filled_y == 500 + used
    farm = patched(accounts, POOL, "<B", 35, 1)
    assert dlmm_pool.decode(POOL, farm).orders is False
    assert dlmm_pool.decode(POOL, patched(accounts, POOL, "<B", 35, 0)).orders is True
    rewarded = patched(patched(accounts, POOL, "<B", 35, 0), POOL, "<B", 264, 1)
    assert dlmm_pool.decode(POOL, rewarded).orders is False


def test_exact_out_at_the_end_of_a_bin(plain):
    """All of the active bin is one ladder step; one unit more starts the next one."""
    row, accounts, clock = plain
    bins = [ask(row, accounts, clock, amount=n, exact="out").after.bins for n in (28_776, 28_777, 28_778)]
    assert bins == [(15,), (15,), (15, 14)]
    pool = dlmm_pool.decode(POOL, accounts)
    wanted = {"mint_in": mint_in(row), "exact": "out", "clock": clock}
    price = pool.quote(amount=28_777, **wanted).amount_in
    assert pool.quote(amount=28_777, other=price, **wanted).amount_in == price
    assert pool.quote(amount=28_777, other=price - 1, **wanted).code == 6057
    assert pool.quote(amount=28_777, other=1, **wanted).code == 6039
    assert pool.quote(amount=28_777, other=0, **wanted).code == 6002
    assert pool.quote(amount=28_778, other=price, **wanted).code == 6057
    assert pool.quote(amount=28_778, other=price + 1, **wanted).code == 6104


def test_a_farm_pays_its_bins_equally(plain):
    row, accounts, clock = plain
    now = clock.unix_timestamp
    farm = patched(accounts, POOL, "<B", 35, 1)
    for place, paid_until in ((0, now - 100), (1, now - 40)):
        farm = patched(farm, POOL, "<32s64xQQQQQ", 264 + 144 * place, b"\7" * 32, 9, now - 20, 0, 1000, paid_until)
    found = ask(row, farm, clock, amount=10**6)
    assert found.after.bins == (15, 14)
    raw = found.after[POOL].data
    assert [f.paid_until for f in dlmm_state.decode_farms(raw)] == [now - 20, now - 20]
    data = found.after[names(row)["bin_array_0"]].data
    for slot in (14, 15):
        state = dlmm_state.decode_bin(data, slot)
        assert state.filled_x | state.filled_y << 64 == (80_000 << 64) // 2 // state.supply_high
        assert state.ask_fee | state.bid_fee << 64 == (20_000 << 64) // 2 // state.supply_high
    alone = with_bin(farm, row, 15, supply_high=0)
    state = dlmm_state.decode_bin(ask(row, alone, clock).after[names(row)["bin_array_0"]].data, 15)
    assert (state.filled_x, state.filled_y, state.ask_fee, state.bid_fee) == (0, 0, 0, 0)
    ahead = patched(farm, POOL, "<Q", 264 + 128, now - 19)
    assert ask(row, ahead, clock).code == 6018


def test_prices_are_those_stored_on_chain(rows):
    judged = 0
    for row, accounts, _ in rows[::40]:
        pair = dlmm_state.decode_pair(accounts[row["pool"]].data)
        for role, address in names(row).items():
            if role.startswith("bin_array_"):
                for slot in range(70):
                    state = dlmm_state.decode_bin(accounts[address].data, slot)
                    stored = state.price_low | state.price_high << 64
                    bin_id = int(role[10:]) * 70 + slot
                    judged += 1
                    assert stored in (0, maths.price_of(bin_id, pair.bin_step))
    assert judged > 1000
    assert maths.price_of(0, 25) == maths.ONE
    assert maths.price_of(1 << 19, 1) == 0
    assert maths.price_of(-436_704, 400) == 0
    assert maths.price_of(5, 0) == maths.price_of(9, 0)
    assert maths.least_out(0, 5, 1, False) is None


def test_next_array_over_bitmap_and_extension():
    def found(indices, start, down, extension=True):
        bitmap = sum(1 << (i + 512) for i in indices if -512 <= i < 512)
        above = sum(1 << (i - 512) for i in indices if i >= 512)
        below = sum(1 << (-513 - i) for i in indices if i < -512)
        known = dlmm_state.Extension(bytes(32), above, below) if extension else None
        answer = maths.next_array(bitmap, known, start, down)
        return answer.code if isinstance(answer, Refusal) else answer

    everywhere = [-6656, -600, -513, -512, -1, 0, 7, 511, 512, 900, 6655]
    for start in (-6656, -6000, -600, -514, -513, -512, -2, 0, 3, 511, 512, 700, 6655):
        assert found(everywhere, start, True) == max(i for i in everywhere if i <= start)
        assert found(everywhere, start, False) == min(i for i in everywhere if i >= start)
    assert found([3], 9, False) == 6037
    assert found([3], 1, True) == 6037
    assert found([3], 9, False, extension=False) == 6036
    assert found([3], 600, True) == 3
    assert found([3], -600, False) == 3
    assert found([3], 600, True, extension=False) == 6036
    assert found([3], 6656, True) == 6037
    assert found([3], -6657, False) == 6037


# --- state -------------------------------------------------------------------------------------------------


def test_real_accounts_decode(shared):
    folder = shared / "data" / "meteora" / "accounts"

    def raw(name):
        return base64.b64decode(json.loads((folder / f"carbon__{name}_account.json").read_text())["data_base64"])

    pair = dlmm_state.decode_pair(raw("lb_pair"))
    assert (pair.bin_step, pair.base_factor, pair.status) != (0, 0, 1)
    oracle = dlmm_state.decode_oracle(raw("oracle"))
    assert oracle.used <= oracle.length
    preset = dlmm_state.decode_preset(raw("preset_parameter"))
    assert preset.min_bin_id == -preset.max_bin_id
    data = raw("lb_pair")
    assert dlmm_state.encode_pair(data, pair) == data
    assert dlmm_state.decode_pair(data + b"tail") == pair
    assert dlmm_state.decode_pair(data[:-1]) is None


def test_presets_of_both_kinds():
    old = dlmm_state.PRESET + struct.pack("<HHHHHIIiiH", 1, 2, 3, 4, 5, 6, 7, -8, 8, 9)
    assert dlmm_state.decode_preset(old) == dlmm_state.Preset(1, 2, 3, 4, 5, 6, 7, 9, -8, 8)
    new = dlmm_state.PRESET2 + struct.pack("<HHHHIIHHHBBB", 1, 2, 3, 4, 6, 7, 5, 9, 10, 11, 2, 1) + bytes(159)
    found = dlmm_state.decode_preset(new)
    assert found == dlmm_state.Preset(1, 2, 3, 4, 5, 6, 7, 9, None, None, 10, 11, 2, 1)
    assert dlmm_state.decode_preset(old[:-1]) is None
    assert dlmm_state.decode_preset(new[:28]) is None


@pytest.mark.parametrize(
    "decoder",
    [
        dlmm_state.decode_pair,
        dlmm_state.decode_array,
        dlmm_state.decode_extension,
        dlmm_state.decode_oracle,
        dlmm_state.decode_preset,
    ],
)
def test_short_and_strange_accounts_are_none(decoder):
    for opening in (
        b"",
        dlmm_state.PAIR,
        dlmm_state.ARRAY,
        dlmm_state.EXTENSION,
        dlmm_state.ORACLE,
        bytes(4000),
    ):
        assert decoder(opening) is None


def oracle_of(newest, used, length, *observations):
    head = dlmm_state.ORACLE + struct.pack("<QQQ", newest, used, length)
    body = b"".join(t.to_bytes(16, "little", signed=True) + struct.pack("<qq", c, u) for t, c, u in observations)
    return head + body + bytes(32 * (length - len(observations)))


def test_oracle_observations():
    first = dlmm_after.oracle_after(oracle_of(0, 0, 3), 15, 1000)
    assert first == oracle_of(0, 1, 3, (15, 1000, 1000))
    second = dlmm_after.oracle_after(first, 14, 1119)
    assert second == oracle_of(0, 1, 3, (15 + 14 * 119, 1000, 1119))
    third = dlmm_after.oracle_after(second, -3, 1120)
    assert third == oracle_of(1, 2, 3, (1681, 1000, 1119), (1678, 1120, 1120))
    full = oracle_of(2, 3, 3, (1, 1, 1), (2, 2, 2), (3, 3, 3))
    assert dlmm_after.oracle_after(full, 2, 200) == oracle_of(0, 3, 3, (3 + 2 * 197, 200, 200), (2, 2, 2), (3, 3, 3))
    assert dlmm_after.oracle_after(b"none", 2, 200) == b"none"
    assert dlmm_after.oracle_after(oracle_of(0, 0, 0), 2, 200) == oracle_of(0, 0, 0)
    assert dlmm_state.decode_oracle(oracle_of(0, 4, 3)) is None
    assert dlmm_state.decode_oracle(oracle_of(3, 3, 3)) is None
    edge = oracle_of(0, 1, 1, (2**127 - 1, 100, 100))
    assert dlmm_after.oracle_after(edge, 2, 101)[32:48] == edge[32:48]


def test_addresses(rows):
    for row, _, _ in rows[::60]:
        role = names(row)
        assert dlmm_state.oracle_address(row["pool"]) == role["oracle"]
        for side in ("x", "y"):
            assert dlmm_state.reserve_address(row["pool"], role[f"mint_{side}"]) == role[f"reserve_{side}"]
        for name, address in role.items():
            if name.startswith("bin_array_"):
                assert dlmm_state.bin_array_address(row["pool"], int(name[10:])) == address
        if "bitmap_extension" in role:
            assert dlmm_state.extension_address(row["pool"]) == role["bitmap_extension"]
    authority = find_program_address((b"__event_authority",), dlmm_state.PROGRAM)[0]
    assert authority == dlmm.EVENT_AUTHORITY


def test_the_venue_is_listed():
    assert dlmm.VENUE in VENUES
    assert dlmm.VENUE.id == "meteora_dlmm"
    assert [name for name, _ in dlmm.VENUE.generations] == ["0.12", "pre-0.12"]


# --- instructions ------------------------------------------------------------------------------------------


def built(row, accounts, clock, **changes):
    wanted = {
        "user": "RmBANtpRNEYuwU8yiw9gGCGAkXJZgc96vWydMBoS58D",
        "mint_in": mint_in(row),
        "amount": 1000,
        "other_amount": 7,
        "exact": "in",
        "clock": clock,
        **changes,
    }
    return dlmm.VENUE.instructions(row["pool"], accounts, **wanted)


def test_instructions_of_the_executed_rows(rows):
    """Fixed accounts and data are those of the executed instruction; arrays stand in travel order."""
    for row, accounts, clock in rows[::9]:
        if "impact" in row["ix"] or "host_fee_in" in row["accounts"] or not row["result"]["ok"]:
            continue
        fallback = not row["ix"].endswith("2")
        (made,) = built(
            row,
            accounts,
            clock,
            amount=row["amount"],
            other_amount=row["other"],
            exact=exact(row),
            fallback=fallback,
        )
        role = names(row)
        assert made.data.hex() == row["ix_data"]
        assert [meta.pubkey for meta in made.metas[2:4]] == [role["reserve_x"], role["reserve_y"]]
        assert made.metas[8].pubkey == role["oracle"]
        arrays = [meta.pubkey for meta in made.metas[15 if fallback else 16 :]]
        indices = {v: int(k[10:]) for k, v in role.items() if k.startswith("bin_array_")}
        known = [indices[address] for address in arrays if address in indices]
        assert known == sorted(known, reverse=row["swap_for_y"])
        assert all(meta.writable for meta in made.metas[15 if fallback else 16 :])
        assert made.metas[1].writable == ("bitmap_extension" in role)


REAL = ("swap_ix", "swap2_ix", "swap_exact_out_ix", "swap_exact_out2_ix", "swap_with_price_impact2_ix")


@pytest.mark.parametrize("name", REAL)
def test_instructions_of_real_transactions_meta_by_meta(shared, name, truth_table):
    """Metas rebuilt from a pool account that holds the keys of the real instruction.

    Not comparable: the user is the fee payer there, hence writable in the message, while the instruction asks
    for a signer only; one transaction uses
    accounts that are not the associated ones and names its own input account as host; `swap_with_price_impact2` has data
    that is not built here, and the same accounts as `swap2`. The pool account itself was not at hand.
    """
    row = json.loads((shared / "data" / "meteora" / "instructions" / f"{name}.json").read_text())
    metas = [(a["pubkey"], a["signer"], a["writable"]) for a in row["accounts"]]
    keys = [pubkey for pubkey, _, _ in metas]
    fallback = not name.endswith("2_ix")
    fixed = 15 if fallback else 16
    data = bytes.fromhex(row["data"])
    amounts = struct.unpack_from("<QQ", data, 8)
    user = keys[10]
    programs = dict(zip(keys[6:8], keys[11:13], strict=True))
    index, active, bitmap = travel(keys, fixed)
    owned = {associated(user, m, p): m for m, p in programs.items()}
    falling = index == sorted(index, reverse=True)
    paid_in = owned.get(keys[4]) or keys[6 if falling else 7]
    assert index == sorted(index, reverse=paid_in == keys[6])
    paid_out = next(m for m in programs if m != paid_in)
    held = [associated(user, m, programs[m]) for m in (paid_in, paid_out)]
    raw = bytearray(904)
    raw[:8] = dlmm_state.PAIR
    struct.pack_into("<i", raw, 76, active)
    struct.pack_into("32s32s32s32s", raw, 88, *(decode(keys[place]) for place in (6, 7, 2, 3)))
    struct.pack_into("32s128s", raw, 552, decode(keys[8]), bitmap)
    struct.pack_into("<BB", raw, 880, *(p == TOKEN_2022 for p in keys[11:13]))
    out = "exact_out" in name
    (made,) = dlmm.VENUE.instructions(
        keys[0],
        {keys[0]: Account(dlmm_state.PROGRAM, 1, bytes(raw))},
        user=user,
        mint_in=paid_in,
        amount=amounts[1] if out else amounts[0],
        other_amount=amounts[0] if out else amounts[1],
        exact="out" if out else "in",
        clock=Clock(1, 1, 1),
        fallback=fallback,
    )
    mine = [(meta.pubkey, meta.signer, meta.writable) for meta in made.metas]
    expected = [*metas]
    expected[10] = (user, True, False)
    if name == "swap_exact_out_ix":
        assert keys[9] == keys[4] not in owned
        assert keys[5] not in owned
        expected[4:6] = [(address, False, True) for address in held]
        expected[9] = (dlmm_state.PROGRAM, False, False)
    equal = mine == expected
    truth_table.add("meteora_dlmm", "instructions of real transactions", 1, int(equal))
    assert mine == expected
    assert len(index) == len(keys) - fixed
    if "impact" not in name:
        assert made.data == data


def travel(keys, fixed):
    """Indices of the arrays a real instruction passes, an active bin, and a bitmap that has just them."""
    wanted, found = keys[fixed:], []
    if wanted:
        places = {dlmm_state.bin_array_address(keys[0], i): i for i in range(-130, 130)}
        found = [places[address] for address in wanted]
    bitmap = sum(1 << (i + 512) for i in found)
    return found, (found[0] * 70 if found else 0), bitmap.to_bytes(128, "little")


def test_instruction_refusals(plain, rows):
    row, accounts, clock = plain
    assert built(row, {}, clock) == Refusal(None, f"account {POOL} is unknown or no LbPair", (POOL,))
    assert built(row, {**accounts, POOL: ABSENT}, clock).missing == ()
    assert built(row, accounts, clock, amount=2**64).code == 6002
    assert built(row, accounts, clock, other_amount=-1).code == 6002
    assert built(row, accounts, clock, user="nobody").code is None
    assert built(row, accounts, clock, mint_in=TOKEN).code is None
    taxed, accounts, clock = of_kind(rows, "B5Eia/clean")
    accounts = patched(accounts, taxed["pool"], "<B", 880, 1)
    assert "Token-2022" in built(taxed, accounts, clock, fallback=True).reason
    (made,) = built(taxed, accounts, clock)
    assert isinstance(made, Instruction)
    assert made.metas[11].pubkey == TOKEN_2022


def test_an_instruction_names_every_array_its_quote_passes(plain):
    row, accounts, clock = plain
    bitmap = bytearray(dlmm_state.decode_pair(accounts[POOL].data).bitmap)
    bitmap[512 // 8 - 1] |= 0b11100000
    wide = patched(accounts, POOL, "128s", 584, bytes(bitmap))
    empty = dlmm_state.ARRAY + bytes(10128)
    for index in (-1, -2, -3, -4):
        address = dlmm_state.bin_array_address(POOL, index)
        wide[address] = Account(dlmm_state.PROGRAM, 1, empty)
        wide = patched(wide, address, "<q8x32s", 8, index, decode(POOL))
    bitmap[512 // 8 - 1] |= 0b11110000
    wide = patched(wide, POOL, "128s", 584, bytes(bitmap))
    last = with_bin({**wide}, {"accounts": {"bin_array_-4": {"pubkey": dlmm_state.bin_array_address(POOL, -4)}}}, -220,
                    amount_y=10**9, price_low=2**60, price_high=0, supply_high=1)  # fmt: skip
    held = patched(last, names(row)["reserve_y"], "<Q", 64, 2**63)
    found = ask(row, held, clock, amount=10**9)
    assert isinstance(found, Quote)
    assert found.after.bins[-1] == -220
    (made,) = built(row, held, clock, amount=10**9)
    assert [m.pubkey for m in made.metas[16:]] == [
        dlmm_state.bin_array_address(POOL, index) for index in (0, -1, -2, -3, -4)
    ]


def test_keys_are_base58(plain):
    _, accounts, _ = plain
    pair = dlmm_state.decode_pair(accounts[POOL].data)
    assert key(pair.mint_y) == encode(pair.mint_y) == "So11111111111111111111111111111111111111112"
    assert accounts[key(pair.reserve_y)].owner == TOKEN
