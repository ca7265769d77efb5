"""The accounts of the Whirlpool day: from the state at its end, what each transaction left behind.

`rebuild` goes backwards (`whirlpool_back`), then forwards with the venue's own quotes. A pool is told only if every
swap of the day comes out with the recorded amounts and the pool ends at its recorded price, tick and liquidity;
else it is counted, `pool_not_rebuilt`, and none of its states are.

One number a pool is free, its price in the morning: the middle of the prices that lead to the recorded amounts, an
interval of less than 1e-9 of it. Fee and reward growth move no amount and are not rebuilt: they begin at what they
ended with, in the ticks at zero. Balances of vaults are the file's own (`whirlpool_day`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import DecodeError, Struct, field
from msgspec.structs import replace

from ironcrab.dex import ABSENT, Account, Clock, Refusal, base58, quote
from ironcrab.dex.address import TOKEN
from ironcrab.dex.face import Exact
from ironcrab.dex.ticks import ARRAY_TICKS, array_start
from ironcrab.dex.whirlpool_state import (
    FIXED_ARRAY,
    POSITION,
    PROGRAM,
    WHIRLPOOL,
    TickArray,
    Whirlpool,
    array_address,
    decode_array,
    decode_position,
    decode_whirlpool,
    encode_array,
    encode_whirlpool,
)
from ironcrab.domain.fault import InputFault
from ironcrab.ingest.counts import Counts, count
from ironcrab.ingest.whirlpool_back import Ladder, Moved, Range, rewind

ARRAY_BYTES = 9988
"""Of a fixed tick array: discriminator, start (i32 at 8), 88 ticks of 113 bytes (at 12), pool (at 9956)."""
TICK_BYTES = 113
RENT = 1_000_000_000
"""Lamports of a rebuilt account. They are not told by the file and no quote reads them."""
BESIDE = 3
"""Tick arrays that a swap may look at beyond the outermost with liquidity; they are told to be absent."""
NOT_REBUILT = "pool_not_rebuilt"
"""Counted for each pool of which nothing is told."""
FULL = 2**62
"""Balance of a vault on the way forwards: a quote only asks whether it is enough."""
SLOTS_PER_EPOCH = 432_000
KINDS: dict[str, Literal["swap", "increase", "decrease"]] = {
    "swap": "swap",
    "increaseLiquidity": "increase",
    "decreaseLiquidity": "decrease",
}
"""Instructions that move a pool's price or liquidity."""
Place = tuple[int, int]
"""Slot and index of a transaction."""


class Rebuilt(Struct):
    """What `rebuild` found.

    Attributes:
        opening: accounts of each pool before its first change, by pool, then by address.
        left: accounts that a transaction left changed, by place, then by address.
        vaults: mint and pool by vault, of the pools in `opening`.
        counts: `line_unreadable`, `instruction_malformed`, `pool_not_rebuilt`.
    """

    opening: dict[str, dict[str, Account]] = field(default_factory=dict)
    left: dict[Place, dict[str, Account]] = field(default_factory=dict)
    vaults: dict[str, tuple[str, str]] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)


class _Stored(Struct, frozen=True, gc=False):
    pubkey: str
    data: bytes


class _State(Struct, frozen=True, gc=False):
    accounts: tuple[_Stored, ...]


class _Instruction(Struct, frozen=True, gc=False):
    name: str
    payload: dict[str, str | int]


class _Transaction(Struct, frozen=True, gc=False):
    index: int
    instructions: tuple[_Instruction, ...]


class _Block(Struct, frozen=True, gc=False):
    slot: int
    time: int = field(name="blockTime")
    transactions: tuple[_Transaction, ...] = ()


def rebuild(lines: Iterable[bytes], state: bytes, where: str) -> Rebuilt:
    """The accounts of all pools through the day.

    Args:
        lines: the day's file.
        state: JSON of all Whirlpool accounts at the end of the day: `{accounts: [{pubkey, data (base64)}]}`.
        where: names that file in a fault.

    Raises:
        InputFault: `state` is not of that shape.
    """
    found = Rebuilt()
    ends = _ends(state, where)
    ranges = dict(ends.ranges)
    for address, moves in _moves(lines, ranges, found.counts).items():
        pool = ends.pools.get(address)
        begun = None if pool is None else rewind(pool, moves, ranges)
        told = None if pool is None or begun is None else _forward(pool, ends.data[address], begun, moves, ranges)
        if told is None:
            count(found.counts, NOT_REBUILT)
            continue
        found.opening.update(told.opening)
        found.vaults.update(told.vaults)
        for place, left in told.left.items():
            found.left.setdefault(place, {}).update(left)
    return found


class _Ends(Struct):
    """The day's end: pools and their account data by address, ranges of positions by address."""

    pools: dict[str, Ladder] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)


def _ends(state: bytes, where: str) -> _Ends:
    """What the state file tells; accounts that it holds and that are damaged count as not there."""
    try:
        stored = msgspec.json.decode(state, type=_State).accounts
    except (DecodeError, UnicodeDecodeError) as error:
        raise InputFault(f"{where} is no state of Whirlpool accounts: {error}; give the day's state file") from None
    ends = _Ends()
    for each in stored:
        pool = decode_whirlpool(Account(PROGRAM, RENT, each.data)) if each.data[:8] == WHIRLPOOL else None
        if pool is not None and not isinstance(pool, Refusal) and pool.spacing:
            ends.pools[each.pubkey] = Ladder(each.pubkey, pool, {}, {})
            ends.data[each.pubkey] = each.data
    for each in stored:
        account = Account(PROGRAM, RENT, each.data)
        if each.data[:8] == POSITION:
            position = decode_position(account)
            if not isinstance(position, Refusal):
                ends.ranges[each.pubkey] = (position.lower, position.upper)
        elif each.data[:8] == FIXED_ARRAY:
            array = decode_array(account)
            if not isinstance(array, Refusal) and array.pool in ends.pools:
                _stand(ends.pools[array.pool], array)
    for ladder in ends.pools.values():
        ladder.settle()
    return ends


def _stand(pool: Ladder, array: TickArray) -> None:
    """Take the ticks of an array into their pool."""
    for place, tick in array.ticks.items():
        at = array.start + place * pool.state.spacing
        pool.nets[at], pool.gross[at] = tick.net, tick.gross


def _moves(lines: Iterable[bytes], ranges: dict[str, Range], counts: Counts) -> dict[str, list[Moved]]:
    """What moved each pool, in order; ranges of positions that the day opened are added."""
    decoder = msgspec.json.Decoder(_Block)
    moves: dict[str, list[Moved]] = {}
    for line in lines:
        try:
            block = decoder.decode(line)
        except (DecodeError, UnicodeDecodeError):
            if line.strip():
                count(counts, "line_unreadable")
            continue
        for transaction in block.transactions:
            for one in transaction.instructions:
                try:
                    _take(one, (block.slot, transaction.index, block.time), ranges, moves)
                except (KeyError, ValueError):
                    count(counts, "instruction_malformed")
    return moves


def _take(one: _Instruction, at: tuple[int, int, int], ranges: dict[str, Range], moves: dict[str, list[Moved]]) -> None:
    """One instruction. KeyError, ValueError: it lacks what its name promises."""
    told = one.payload
    if one.name.startswith("openPosition"):
        ranges[str(told["keyPosition"])] = (int(told["dataTickLowerIndex"]), int(told["dataTickUpperIndex"]))
        return
    if one.name not in KINDS:
        return
    amounts = (int(told["transferAmount0"]), int(told["transferAmount1"]))
    if one.name == "swap":
        moved = Moved(
            *at,
            "swap",
            amounts,
            int(told["dataAmount"]),
            exact_in=told["dataAmountSpecifiedIsInput"] == 1,
            a_to_b=told["dataAToB"] == 1,
            limit=int(told["dataSqrtPriceLimit"]),
        )
    else:
        arrays = (str(told["keyTickArrayLower"]), str(told["keyTickArrayUpper"]))
        amount, position = int(told["dataLiquidityAmount"]), str(told["keyPosition"])
        moved = Moved(*at, KINDS[one.name], amounts, amount, position=position, arrays=arrays)
    moves.setdefault(str(told["keyWhirlpool"]), []).append(moved)


def _forward(
    pool: Ladder, data: bytes, begun: Range, moves: Sequence[Moved], ranges: Mapping[str, Range]
) -> Rebuilt | None:
    """From the morning on: each swap by the venue's quote. None where one comes out otherwise."""
    accounts = {
        pool.address: Account(PROGRAM, RENT, encode_whirlpool(pool.at((begun[0] + begun[1]) // 2), data)),
        **{vault: vault_account(mint, pool.address, FULL) for vault, mint in _vaults(pool.state)},
        **_arrays(pool, moves, ranges),
    }
    told = {address: account for address, account in accounts.items() if account.owner != TOKEN}
    found = Rebuilt({pool.address: told}, vaults={vault: (mint, pool.address) for vault, mint in _vaults(pool.state)})
    for move in moves:
        if move.kind == "swap":
            after = _swapped(pool, accounts, move)
            if after is None:
                return None
        else:
            after = _changed(pool, accounts, move, ranges[move.position])
        accounts.update(after)
        left = found.left.setdefault((move.slot, move.index), {})
        left.update((address, account) for address, account in after.items() if account.owner != TOKEN)
    ended = decode_whirlpool(accounts[pool.address])
    wanted = (pool.state.sqrt_price, pool.state.tick, pool.state.liquidity)
    reached = None if isinstance(ended, Refusal) else (ended.sqrt_price, ended.tick, ended.liquidity)
    return found if reached == wanted else None


def _swapped(pool: Ladder, accounts: Mapping[str, Account], swap: Moved) -> Mapping[str, Account] | None:
    """The accounts after a swap; None where its amounts are not the recorded ones."""
    clock = Clock(swap.slot, swap.time, swap.slot // SLOTS_PER_EPOCH)
    mint_in = pool.state.mint_a if swap.a_to_b else pool.state.mint_b
    exact: Exact = "in" if swap.exact_in else "out"
    found = quote(
        pool.address, accounts, mint_in=mint_in, amount=swap.amount, exact=exact, clock=clock, limit=swap.limit or None
    )
    if isinstance(found, Refusal) or (found.amount_in, found.amount_out) != swap.amounts:
        return None
    # balances are the file's own; here the vaults stay full
    return {address: account for address, account in found.after.items() if account.owner != TOKEN}


def _changed(pool: Ladder, accounts: Mapping[str, Account], change: Moved, reach: Range) -> dict[str, Account]:
    """The accounts after a liquidity change: the pool where it is in range, and the arrays of both ticks."""
    pool.change(reach, change.liquidity)
    standing = accounts[pool.address]
    state = decode_whirlpool(standing)
    after: dict[str, Account] = {}
    if not isinstance(state, Refusal) and reach[0] <= state.tick < reach[1]:
        moved = replace(state, liquidity=state.liquidity + change.liquidity)
        after[pool.address] = Account(PROGRAM, RENT, encode_whirlpool(moved, standing.data))
    arrays = pool.arrays()
    for start in dict.fromkeys(array_start(tick, pool.state.spacing) for tick in reach):
        address = array_address(PROGRAM, pool.address, start)
        array = arrays.get(start) or TickArray(start, pool.address, {})
        after[address] = _array(array, accounts.get(address, ABSENT))
    return after


def _arrays(pool: Ladder, moves: Sequence[Moved], ranges: Mapping[str, Range]) -> dict[str, Account]:
    """The tick arrays of the morning; all others that a swap of the day may look at are absent."""
    arrays, spacing = pool.arrays(), pool.state.spacing
    touched = [tick for move in moves if move.kind != "swap" for tick in ranges[move.position]]
    starts = [*arrays, *(array_start(tick, spacing) for tick in touched)] or [array_start(pool.state.tick, spacing)]
    span = ARRAY_TICKS * spacing
    return {
        array_address(PROGRAM, pool.address, start): _array(arrays[start], ABSENT) if start in arrays else ABSENT
        for start in range(min(starts) - BESIDE * span, max(starts) + (BESIDE + 1) * span, span)
    }


def _array(array: TickArray, standing: Account) -> Account:
    """The account of a fixed array with these ticks; growths outside are those of the account that stands."""
    data = bytearray(standing.data or ARRAY_BYTES)
    if not standing.data:
        data[:12] = FIXED_ARRAY + array.start.to_bytes(4, "little", signed=True)
        data[9956:] = base58.decode(array.pool)
    before = decode_array(Account(PROGRAM, RENT, bytes(data)))
    old = {} if isinstance(before, Refusal) else before.ticks
    for place in range(ARRAY_TICKS):
        data[12 + TICK_BYTES * place] = place in array.ticks
    ticks = {
        place: replace(old[place], net=tick.net, gross=tick.gross) if place in old else tick
        for place, tick in array.ticks.items()
    }
    return Account(PROGRAM, RENT, encode_array(replace(array, ticks=ticks), bytes(data)))


def _vaults(pool: Whirlpool) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pool.vault_a, pool.mint_a), (pool.vault_b, pool.mint_b)


def vault_account(mint: str, owner: str, amount: int) -> Account:
    """An initialised SPL token account (165 bytes: mint at 0, owner at 32, amount at 64, state 1 at 108)."""
    head = base58.decode(mint) + base58.decode(owner) + amount.to_bytes(8, "little")
    return Account(TOKEN, RENT, (head + bytes(36) + b"\1").ljust(165, b"\0"))
