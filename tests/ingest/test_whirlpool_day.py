"""The day 2022-04-06: each swap a trade, reserves by continuity, and nothing that the file does not tell."""

import json
from collections import Counter

import pytest

from ironcrab.domain.control import GapClosed, GapOpened
from ironcrab.domain.market import (
    DexPoolAccounts,
    LiquidityRemoved,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    event_id_of,
)
from ironcrab.domain.units import SOL_MINT, USDC_MINT, USDT_MINT
from ironcrab.ingest.whirlpool_day import DECIMALS, POOLS, Day

TRADES_BY_POOL = (4692, 3813, 930, 14, 12, 2, 2, 1)


@pytest.fixture(scope="module")
def lines(plain):
    return plain("whirlpool_2022/whirlpool-transaction-20220406.jsonl.gz").splitlines()


@pytest.fixture(scope="module")
def told(lines):
    day = Day()
    rows = list(day.events(lines))
    assert day.counts == {}
    return rows


def of(rows, kind):
    return [event for _, event in rows if isinstance(event, kind)]


def test_the_day_in_numbers(told):
    assert Counter(type(event).__name__ for _, event in told) == {
        "Trade": 9466,
        "PoolStateUpdate": 10326,
        "LiquidityRemoved": 202,
        "DexPoolAccounts": 8,
        "PoolCreated": 1,
        "TokenMintInfo": 1,
        "SlotUpdate": 79520,
    }
    trades = of(told, Trade)
    assert (
        tuple(number for _, number in Counter(trade.pool_address for trade in trades).most_common()) == TRADES_BY_POOL
    )
    assert len({event_id_of(trade) for trade in trades}) == 9466
    assert len({trade.trader for trade in trades}) <= 992
    assert {trade.dex for trade in trades} == {"orca"}
    times = [time for time, _ in told]
    assert times == sorted(times)
    assert times[0] == 1_649_203_201 * 10**9
    assert all(time % 10**9 == 0 for time in times)


def test_each_trade_is_its_swap(lines, told):
    """Amounts, direction, trader and place of every swap, read again from the JSON."""
    trades = iter(of(told, Trade))
    for line in lines:
        block = json.loads(line)
        for transaction in block["transactions"]:
            for position, instruction in enumerate(transaction["instructions"]):
                if instruction["name"] != "swap":
                    continue
                trade, says = next(trades), instruction["payload"]
                mint_in, mint_out = POOLS[says["keyWhirlpool"]][:: 1 if says["dataAToB"] else -1]
                paid, got = int(says["transferAmount0"]), int(says["transferAmount1"])
                sides = (trade.quote_mint, trade.mint) if trade.is_buy else (trade.mint, trade.quote_mint)
                amounts = (trade.sol_amount, trade.token_amount)
                assert sides == (mint_in, mint_out)
                assert (amounts if trade.is_buy else amounts[::-1]) == (paid, got)
                assert (trade.slot, trade.index, trade.position) == (block["slot"], transaction["index"], position)
                assert (trade.signature, trade.trader) == (transaction["signature"], says["keyTokenAuthority"])
                assert trade.token_decimals == DECIMALS[trade.mint]
    assert next(trades, None) is None


def test_reserves_end_each_transaction_as_the_vaults_do(lines, told):
    """Continuity inside a transaction, and the vault balances that the file gives after it."""
    vaults = {event.pool_address: event.accounts for event in of(told, DexPoolAccounts)}
    states = {}
    for state in of(told, PoolStateUpdate):
        mints = POOLS[state.pool_address]
        sides = (state.reserve_base, state.reserve_quote)
        for vault, amount in zip(
            vaults[state.pool_address], sides if mints[0] == state.base_mint else sides[::-1], strict=True
        ):
            states.setdefault((state.update_slot, vault), []).append(amount)
    judged = 0
    for line in lines:
        block = json.loads(line)
        for transaction in block["transactions"]:
            for row in transaction["balances"]:
                amounts = states.get((block["slot"], row["account"]))
                if amounts is not None and row["pre"] != row["post"]:
                    assert int(row["post"]) in amounts
                    judged += 1
        for row in block["transactions"][-1]["balances"] if block["transactions"] else ():
            if (block["slot"], row["account"]) in states:
                assert states[block["slot"], row["account"]][-1] == int(row["post"])
    assert judged > 19_000


def test_a_state_follows_from_the_one_before(told):
    """Between two states of a pool stand the trades and removals that lead from one to the other."""
    last = {}
    for _, event in told:
        if isinstance(event, Trade):
            last[event.pool_address] = (event, last.get(event.pool_address, (None, None))[1])
        elif isinstance(event, PoolStateUpdate):
            trade, before = last.get(event.pool_address, (None, None))
            if trade is not None and before is not None:
                sign = 1 if trade.is_buy else -1
                assert event.reserve_quote - before.reserve_quote == sign * trade.sol_amount
                assert event.reserve_base - before.reserve_base == -sign * trade.token_amount
            last[event.pool_address] = (None, event)


def test_quote_sides(told):
    sides = {trade.pool_address: (trade.mint, trade.quote_mint) for trade in of(told, Trade)}
    assert set(sides) == set(POOLS)
    for pool, (mint, quote) in sides.items():
        assert {mint, quote} == set(POOLS[pool])
        assert quote == (SOL_MINT if SOL_MINT in POOLS[pool] else USDC_MINT)


def test_the_pool_that_was_created_that_day(told):
    [created] = of(told, PoolCreated)
    assert (created.base_mint, created.quote_mint, created.initial_liquidity_sol) == (USDT_MINT, USDC_MINT, None)
    assert created.creator == "EGHTxmaLopueTnPGJ5zFnNLLQRhiEDuePmU7uBeAbhLD"
    first = next(event for _, event in told if getattr(event, "pool_address", "") == created.pool_address)
    assert first is created


def test_a_pool_is_known_before_it_trades(told):
    known = set()
    for _, event in told:
        if isinstance(event, DexPoolAccounts):
            known.add(event.pool_address)
            assert len(event.accounts) == 2
        elif isinstance(event, Trade | PoolStateUpdate | LiquidityRemoved):
            assert event.pool_address in known


def test_only_wsol_is_a_mint_of_which_all_is_known(told):
    assert [(mint.mint, mint.decimals, mint.supply) for mint in of(told, TokenMintInfo)] == [(SOL_MINT, 9, 0)]


def test_each_second_and_each_slot_with_content_is_told(lines, told):
    slots = {event.slot: event for event in of(told, SlotUpdate)}
    seconds = set()
    parent = None
    for line in lines:
        block = json.loads(line)
        if block["transactions"] or block["blockTime"] not in seconds:
            assert slots[block["slot"]].parent == parent
        seconds.add(block["blockTime"])
        parent = block["slot"]


def block(slot, time, *instructions, height=None, balances=(), index=0):
    transaction = {
        "index": index,
        "signature": f"sig{slot}",
        "payer": "me",
        "balances": [{"account": a, "pre": str(b), "post": str(c)} for a, b, c in balances],
        "instructions": [{"name": name, "payload": says} for name, says in instructions],
    }
    return json.dumps(
        {
            "slot": slot,
            "blockHeight": height or slot,
            "blockTime": time,
            "transactions": [transaction] if instructions else [],
        }
    ).encode()


POOL = "65shmpuYmxx5p7ggNCZbyrGLCXVqbBR1ZD5aAocRBUNG"


def swap(paid, got, a_to_b=1, pool=POOL, **other):
    says = {
        "dataAToB": a_to_b,
        "keyTokenAuthority": "me",
        "keyWhirlpool": pool,
        "keyVaultA": "A",
        "keyVaultB": "B",
        "transferAmount0": str(paid),
        "transferAmount1": str(got),
    }
    return "swap", {**says, **other}


def test_several_swaps_of_one_pool_in_one_transaction():
    day = Day()
    line = block(1, 1, swap(10, 4), swap(3, 6, a_to_b=0), balances=[("A", 100, 104), ("B", 50, 49)])
    states = [(event.reserve_quote, event.reserve_base) for event in of(day.events([line]), PoolStateUpdate)]
    assert states == [(110, 46), (104, 49)]


def test_amounts_that_do_not_add_up_give_no_state():
    day = Day()
    rows = list(day.events([block(1, 1, swap(10, 4), balances=[("A", 100, 111), ("B", 50, 46)])]))
    assert len(of(rows, Trade)) == 1
    assert of(rows, PoolStateUpdate) == []
    assert day.counts == {"transaction_amounts_discontinuous": 1}


def test_what_cannot_be_is_counted():
    day = Day()
    rows = list(
        day.events(
            [
                b"garbage",
                block(5, 10),
                block(5, 11),
                block(6, 9),
                block(6, 10, swap("x", 1), swap(1, 2**64), swap(1, 1, a_to_b=2), swap(1, 1, pool="unknown"), index=1),
            ]
        )
    )
    assert of(rows, Trade) == []
    assert day.counts == {
        "line_unreadable": 1,
        "line_out_of_order": 2,
        "transaction_amounts_discontinuous": 1,
        "instruction_malformed": 3,
        "instruction_of_unknown_pool": 1,
    }


def test_a_jump_of_the_block_height_is_a_gap():
    rows = [event for _, event in Day().events([block(5, 10), block(9, 11, height=6), block(12, 12, height=8)])]
    assert [event for event in rows if isinstance(event, GapOpened | GapClosed)] == [
        GapOpened("whirlpool-day", 10, 11, "the block height jumps"),
        GapClosed("whirlpool-day", None, 11, filled=False),
    ]
