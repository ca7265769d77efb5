"""Meteora DLMM: the accounts that a swap changes, as they stand afterwards, worked out when first looked at.

Every byte rule here was compared with the accounts that the deployed program (May 2026) left behind.
"""

from collections.abc import Callable, Iterator, Mapping
from struct import pack_into, unpack_from

from msgspec import structs

from ironcrab.dex.base58 import key
from ironcrab.dex.bins import BPS, U64, Climb, Ladder, Last, Rung, emptied
from ironcrab.dex.dlmm_state import (
    BINS,
    OBSERVATION,
    ORACLE_HEAD,
    Bin,
    Farm,
    Pair,
    bin_array_address,
    decode_farms,
    decode_oracle,
    encode_bins,
    encode_farms,
    encode_pair,
)
from ironcrab.dex.face import Account

REWARDED = 15
"""Bins of one swap that farming rewards are split among."""
SAMPLE_SECONDS = 120
"""Age from which on an oracle observation is closed and the next one opened."""


class After(Mapping[str, Account]):
    """Changed accounts by address; the work is done at the first look, a quote alone does not pay for it.

    Args:
        rungs: the ladder that the swap climbed.
        top: the place of its last rung.
        work: makes the accounts.
    """

    __slots__ = ("_accounts", "_rungs", "_top", "_work")

    def __init__(self, rungs: list[Rung], top: int, work: Callable[[], dict[str, Account]]) -> None:
        self._rungs = rungs
        self._top = top
        self._work = work
        self._accounts: dict[str, Account] | None = None

    def __getitem__(self, address: str) -> Account:
        return self._done()[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._done())

    def __len__(self) -> int:
        return len(self._done())

    def __repr__(self) -> str:
        return f"After({self._done()!r})"

    @property
    def bins(self) -> tuple[int, ...]:
        """Ids of the bins that the swap changes, in the order of travel."""
        return tuple(rung.bin_id for rung in self._rungs[: self._top + 1])

    def _done(self) -> dict[str, Account]:
        if self._accounts is None:
            self._accounts = self._work()
        return self._accounts


def pair_after(ladder: Ladder, climb: Climb, now: int) -> Pair:
    """The pool after a swap. The time of the last update moves only with the active bin."""
    pair, rung = ladder.pair, ladder.rungs[climb.top]
    on_x = ladder.fee_on_input == ladder.down
    return structs.replace(
        pair,
        volatility=rung.volatility,
        volatility_reference=ladder.volatility_reference,
        index_reference=ladder.index_reference,
        updated_at=now if rung.bin_id != pair.active_id else pair.updated_at,
        active_id=rung.bin_id,
        protocol_fee_x=pair.protocol_fee_x + (climb.protocol if on_x else 0),
        protocol_fee_y=pair.protocol_fee_y + (0 if on_x else climb.protocol),
    )


def bins_after(ladder: Ladder, climb: Climb, farms: tuple[Farm, ...], now: int) -> dict[int, dict[int, Bin]]:
    """Changed bins by array index and slot; the first `REWARDED` of them share what the farms pay."""
    among = min(climb.top + 1, REWARDED)
    changed: dict[int, dict[int, Bin]] = {}
    for place in range(climb.top + 1):
        rung = ladder.rungs[place]
        last = climb.last if place == climb.top else emptied(rung)
        index, slot = divmod(rung.bin_id, BINS)
        state = _bin_after(ladder, rung, last)
        if farms and place < among:
            state = _rewarded(state, farms, now, among)
        changed.setdefault(index, {})[slot] = state
    return changed


def _bin_after(ladder: Ladder, rung: Rung, last: Last) -> Bin:
    """One bin after `last` happened in it: makers' amounts and fees, then the orders."""
    state, share = rung.state, ladder.pair.protocol_share
    maker_in = min(last.used, rung.need_maker)
    makers = -(-last.fee * maker_in // last.used) if last.used else 0
    kept = makers - makers * share // BPS
    grown = (kept << 64) // state.supply_high if state.supply_high else 0
    fee_x, fee_y = state.fee_x_low | state.fee_x_high << 64, state.fee_y_low | state.fee_y_high << 64
    if ladder.fee_on_input == ladder.down:
        fee_x += grown
    else:
        fee_y += grown
    x, y = (maker_in, -last.maker) if ladder.down else (-last.maker, maker_in)
    filled = last.remaining + last.opened
    state = structs.replace(
        state,
        amount_x=state.amount_x + x,
        amount_y=state.amount_y + y,
        filled_x=state.filled_x + (0 if ladder.down else filled) & U64,
        filled_y=state.filled_y + (filled if ladder.down else 0) & U64,
        ask_fee=state.ask_fee + (0 if ladder.down else last.owners) & U64,
        bid_fee=state.bid_fee + (last.owners if ladder.down else 0) & U64,
        remaining=state.remaining - last.remaining,
        fee_x_low=fee_x & U64,
        fee_x_high=fee_x >> 64 & U64,
        fee_y_low=fee_y & U64,
        fee_y_high=fee_y >> 64 & U64,
    )
    if last.opened:
        state = structs.replace(
            state,
            opened=0,
            processing=rung.opened,
            remaining=rung.opened - last.opened,
            age=state.age + 1 & 0xFFFFFFFF,
        )
    return state


def oracle_after(data: bytes, active_id: int, now: int) -> bytes:
    """An oracle after a swap that found the pool at `active_id`: bin id times seconds are summed up.

    The first observation starts the sum with the bin id itself. Bytes that are no oracle stay as they are.
    """
    oracle = decode_oracle(data)
    if oracle is None or oracle.length == 0:
        return data
    raw = bytearray(data)
    place, used = oracle.newest, oracle.used
    total, created = active_id, now
    if used:
        at = ORACLE_HEAD + OBSERVATION * place
        created, before = unpack_from("<qq", data, at + 16)
        total = int.from_bytes(data[at : at + 16], "little", signed=True) + active_id * (now - before)
        if now - created >= SAMPLE_SECONDS:
            place, created = (place + 1) % oracle.length, now
    at = ORACLE_HEAD + OBSERVATION * place
    if -(2**127) <= total < 2**127:
        raw[at : at + 16] = total.to_bytes(16, "little", signed=True)
    pack_into("<QQ", raw, 8, place, max(used, place + 1))
    pack_into("<qq", raw, at + 16, created, now)
    return bytes(raw)


def paid(farms: tuple[Farm, ...], now: int) -> tuple[Farm, ...]:
    """Rewards after a payment at this time: none beyond their end."""
    return tuple(structs.replace(farm, paid_until=min(now, farm.end)) for farm in farms)


def _rewarded(state: Bin, farms: tuple[Farm, ...], now: int, among: int) -> Bin:
    """A bin after its equal share of the rewards since the last payment, given to each unit of its shares."""
    if state.supply_high == 0:
        return state
    totals = [state.filled_x | state.filled_y << 64, state.ask_fee | state.bid_fee << 64]
    for farm in farms:
        due = farm.rate * (min(now, farm.end) - farm.paid_until)
        totals[farm.place] += due // among // state.supply_high
    first, second = totals
    return structs.replace(
        state,
        filled_x=first & U64,
        filled_y=first >> 64 & U64,
        ask_fee=second & U64,
        bid_fee=second >> 64 & U64,
    )


def settled(
    accounts: Mapping[str, Account],
    pool: str,
    ladder: Ladder,
    climb: Climb,
    now: int,
) -> dict[str, Account]:
    """The pool, its oracle where it is known, and its bin arrays after a swap."""
    pair = ladder.pair
    known = accounts[pool]
    farms = () if ladder.orders else decode_farms(known.data)
    data = encode_farms(encode_pair(known.data, pair_after(ladder, climb, now)), paid(farms, now))
    changed = {pool: with_data(known, data)}
    oracle = key(pair.oracle)
    if oracle in accounts:
        known = accounts[oracle]
        changed[oracle] = with_data(known, oracle_after(known.data, pair.active_id, now))
    for index, bins in bins_after(ladder, climb, farms, now).items():
        name = bin_array_address(pool, index)
        known = accounts[name]
        changed[name] = with_data(known, encode_bins(known.data, bins))
    return changed


def with_data(account: Account, data: bytes) -> Account:
    """The same account with other data."""
    return Account(account.owner, account.lamports, data)
