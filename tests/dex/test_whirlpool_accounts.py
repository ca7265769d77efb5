"""Whirlpool accounts decoded from real bytes, written back, refused when they are something else."""

import base64
import csv
import gzip
import io
import json

import pytest

from ironcrab.dex import Account, Refusal
from ironcrab.dex import ticks as tick_math
from ironcrab.dex import whirlpool_state as state
from ironcrab.dex.whirlpool_state import PROGRAM, array_address, oracle_address

DECODERS = {
    state.WHIRLPOOL: state.decode_whirlpool,
    state.FIXED_ARRAY: state.decode_array,
    state.DYNAMIC_ARRAY: state.decode_array,
    state.ORACLE: state.decode_oracle,
    state.FEE_TIER: state.decode_fee_tier,
    state.ADAPTIVE_FEE_TIER: state.decode_adaptive_fee_tier,
    state.CONFIG: state.decode_config,
    state.POSITION: state.decode_position,
}
ENCODERS = {
    state.WHIRLPOOL: state.encode_whirlpool,
    state.FIXED_ARRAY: state.encode_array,
    state.DYNAMIC_ARRAY: state.encode_array,
    state.ORACLE: state.encode_oracle,
}


def real(shared, name):
    row = json.loads((shared / f"data/orca/accounts/{name}.json").read_text())
    return row["pubkey"], Account(row["owner"], int(row["lamports"] or 0), base64.b64decode(row["data_base64"]))


def test_whirlpool(shared):
    address, account = real(shared, "reset_position_range__whirlpool")
    pool = state.decode_whirlpool(account)
    assert address == "EgxU92G34jw6QDG9RuTX9StFg1PmHuDqkRKAE5kVEiZ4"
    assert (pool.spacing, pool.tier, pool.tick) == (64, 64, -115109)
    assert tick_math.tick_at(pool.sqrt_price) == pool.tick
    assert pool.vault_a == real(shared, "reset_position_range__vault_a")[0]
    assert pool.mint_b == real(shared, "reset_position_range__token_b")[0]
    longer = Account(account.owner, 1, account.data + b"tail")
    assert state.decode_whirlpool(longer) == pool
    assert state.encode_whirlpool(pool, longer.data) == longer.data


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_tick_array_stands_at_its_address(shared, side):
    pool, _ = real(shared, "reset_position_range__whirlpool")
    address, account = real(shared, f"reset_position_range__fixed_tick_array_{side}")
    array = state.decode_array(account)
    assert array.pool == pool
    assert array_address(PROGRAM, pool, array.start) == address
    position = state.decode_position(real(shared, "reset_position_range__position")[1])
    tick = position.lower if side == "lower" else position.upper
    place, rest = divmod(tick - array.start, 64)
    assert (0 <= place < 88, rest) == (True, 0)


def test_dynamic_tick_array(shared):
    _, account = real(shared, "carbon__dynamic_tick_array_account0")
    array = state.decode_array(account)
    assert len(account.data) == 148 + 112 * len(array.ticks) == 260
    (tick,) = array.ticks.values()
    assert tick.gross == abs(tick.net) > 0
    assert state.encode_array(array, account.data) == account.data
    cut = Account(account.owner, 1, account.data[:259])
    assert "its bitmap at byte 44 wants 260" in state.decode_array(cut).reason
    assert state.decode_array(Account(account.owner, 1, account.data[:59])).code == 3003


def test_small_accounts(shared):
    tier = state.decode_fee_tier(real(shared, "carbon__fee_tier_account")[1])
    config = state.decode_config(real(shared, "carbon__whirlpools_config_account")[1])
    position = state.decode_position(real(shared, "carbon__position_account")[1])
    assert tier.fee_rate <= 60_000
    assert config.protocol_rate <= 2_500
    assert position.lower < position.upper


def test_adaptive_fee_tier():
    config, opener, delegate = (bytes([number] * 32) for number in (1, 2, 3))
    numbers = (30, 600, 5000, 4000, 350000, 64, 64)
    head = state.ADAPTIVE_FEE_TIER + config + (1025).to_bytes(2, "little") + (64).to_bytes(2, "little")
    body = b"".join(
        n.to_bytes(size, "little") for n, size in zip((3000, *numbers), (2, 2, 2, 2, 4, 4, 2, 2), strict=True)
    )
    tier = state.decode_adaptive_fee_tier(Account(PROGRAM, 1, head + opener + delegate + body + bytes(128)))
    assert (tier.index, tier.spacing, tier.fee_rate) == (1025, 64, 3000)
    assert (tier.filter_period, tier.decay_period, tier.reduction, tier.control) == numbers[:4]
    assert (tier.max_volatility, tier.group_size, tier.major_ticks) == numbers[4:]


def test_every_account_of_a_snapshot(shared, truth_table):
    """All Whirlpool accounts of slot 185,759,999 decode; what can be written back gives the same bytes."""
    with gzip.open(shared / "data/whirlpool_2022/whirlpool-snapshot-185759999.csv.gz") as file:
        rows = list(csv.reader(io.TextIOWrapper(file)))
    pools, arrays, kinds, same = {}, [], {}, 0
    for address, encoded in rows:
        account = Account(PROGRAM, 1, base64.b64decode(encoded))
        head = account.data[:8]
        kinds[head] = kinds.get(head, 0) + 1
        if head not in DECODERS:
            continue
        decoded = DECODERS[head](account)
        assert not isinstance(decoded, Refusal), (address, decoded)
        if head in ENCODERS:
            same += ENCODERS[head](decoded, account.data) == account.data
        if head == state.WHIRLPOOL:
            pools[address] = decoded
        if head == state.FIXED_ARRAY:
            arrays.append((address, decoded))
    written = sum(count for head, count in kinds.items() if head in ENCODERS)
    truth_table.add("orca", "snapshot 185759999: decoded and written back", written, same)
    assert written == same > 1000
    # Net liquidity below the price is the active liquidity (two pools carry an old error of the program).
    sums = dict.fromkeys(pools, 0)
    for _, array in arrays:
        pool = pools[array.pool]
        for place, tick in array.ticks.items():
            if array.start + place * pool.spacing <= pool.tick:
                sums[array.pool] += tick.net
    off = [address for address, pool in pools.items() if sums[address] != pool.liquidity]
    assert len(off) <= 2, off


def test_every_account_of_the_vectors(vectors, truth_table):
    seen = {state.WHIRLPOOL: 0, state.FIXED_ARRAY: 0, state.DYNAMIC_ARRAY: 0, state.ORACLE: 0}
    for name in ("orca_whirlpool", "orca_two_hop"):
        for row in vectors(name):
            if row["kind"] != "account":
                continue
            account = Account(row["owner"], int(row["lamports"]), base64.b64decode(row["data"]))
            head = account.data[:8]
            if head in ENCODERS:
                assert ENCODERS[head](DECODERS[head](account), account.data) == account.data
                seen[head] += 1
    truth_table.add("orca", "vector accounts: decoded and written back", sum(seen.values()), sum(seen.values()))
    assert all(seen.values()), seen


@pytest.mark.parametrize("head", list(DECODERS))
def test_refusals(head):
    decode = DECODERS[head]
    assert decode(Account("1" * 32, 1, head + bytes(10_000))).code == state.WRONG_OWNER
    assert decode(Account(PROGRAM, 1, b"abc")).code == state.NO_DISCRIMINATOR
    assert decode(Account(PROGRAM, 1, bytes(10_000))).code == state.WRONG_DISCRIMINATOR
    assert decode(Account(PROGRAM, 1, head)).code == state.NOT_DESERIALISED


def test_numbers_that_no_pool_has():
    assert "tick spacing" in state.decode_whirlpool(Account(PROGRAM, 1, state.WHIRLPOOL + bytes(700))).reason
    assert "tick group size 0" in state.decode_oracle(Account(PROGRAM, 1, state.ORACLE + bytes(246))).reason


def test_oracle_address(vectors):
    row = next(row for row in vectors("orca_whirlpool") if row["kind"] == "vector")
    assert oracle_address(state.IMMUTABLE, row["pool"]) == row["accounts"]["oracle"]["pubkey"]


def test_ticks_and_prices():
    """Both ends of the range, and the tick of a price just at, below and above that of a tick."""
    assert tick_math.sqrt_price_at(tick_math.MIN_TICK) == tick_math.MIN_SQRT_PRICE
    assert tick_math.sqrt_price_at(tick_math.MAX_TICK) == tick_math.MAX_SQRT_PRICE
    for tick in range(tick_math.MIN_TICK + 1, tick_math.MAX_TICK, 1013):
        price = tick_math.sqrt_price_at(tick)
        assert [tick_math.tick_at(price + step) for step in (-1, 0, 1)] == [tick - 1, tick, tick]
    assert tick_math.sqrt_price_at(0) == 1 << 64


def test_swap_starts():
    assert tick_math.swap_starts(0, 64, a_to_b=True) == (0, -5632, -11264)
    assert tick_math.swap_starts(5567, 64, a_to_b=False) == (0, 5632, 11264)
    assert tick_math.swap_starts(5568, 64, a_to_b=False) == (5632, 11264, 16896)
    assert tick_math.swap_starts(-443636, 64, a_to_b=True) == (-444928,)
    assert tick_math.swap_starts(443000, 64, a_to_b=False) == (439296,)
    assert tick_math.swap_starts(0, 32896, a_to_b=True) == (0, -2894848)
