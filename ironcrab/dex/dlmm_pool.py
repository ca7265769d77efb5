"""Meteora DLMM: a decoded pool and its quotes.

Program LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo, IDL 0.12.0; error numbers are the program's own, those
below 100 the token program's.
"""

from collections.abc import Mapping
from functools import partial

from ironcrab.dex import mint as mints
from ironcrab.dex.base58 import key
from ironcrab.dex.bins import (
    BPS,
    NO_EXTENSION,
    NOTHING_OUT,
    OVERFLOW,
    U64,
    U128,
    Climb,
    Ladder,
    arrays_ahead,
    base_rate,
    layers,
    least_out,
    next_array,
    out_of_range,
)
from ironcrab.dex.dlmm_after import After, settled
from ironcrab.dex.dlmm_state import (
    BINS,
    PROGRAM,
    Bin,
    Pair,
    bin_array_address,
    decode_array,
    decode_bin,
    decode_extension,
    decode_farms,
    decode_pair,
    extension_address,
)
from ironcrab.dex.face import Account, Clock, Exact, Fee, Quote, Refusal

INSUFFICIENT = 1
TOKEN_OVERFLOW = 14
FROZEN = 17
ARRAY_MISSING = 3005
INVALID_INPUT = 6002
SLIPPAGE = 6003
WRONG_ARRAY = 6027
DISABLED = 6042
HOOK_MISSING = 6077
TIMED = (1, 2)
"""Pool types with an activation point."""
AHEAD = 3
"""Bin arrays in the direction of a swap that are named to be fetched and passed."""
_ZERO = bytes(32)
_U32 = 2**32 - 1


class Pool:
    """A decoded pool, ready to be quoted many times.

    Bin arrays are looked up in `accounts` when a swap first reaches them, so the mapping must not change as
    long as the pool is in use: after a write decode anew.

    Args:
        address: base58 of the pool account.
        pair: that account, decoded.
        accounts: all that is known.
        tokens: the mints X and Y.
        vaults: the token accounts X and Y.
    """

    def __init__(
        self,
        address: str,
        pair: Pair,
        accounts: Mapping[str, Account],
        tokens: tuple[mints.Mint, mints.Mint],
        vaults: tuple[mints.TokenAccount, mints.TokenAccount],
    ) -> None:
        self.address = address
        self.pair = pair
        self.accounts = accounts
        self.mints = key(pair.mint_x), key(pair.mint_y)
        self.vaults = key(pair.reserve_x), key(pair.reserve_y)
        self.tokens = tokens
        self.held = vaults[0].amount, vaults[1].amount
        self.withheld = vaults[0].withheld, vaults[1].withheld
        self.taxed = tokens[0].transfer_fee is not None or tokens[1].transfer_fee is not None
        self.orders = pair.function == 2 or (pair.function == 0 and pair.reward_a == _ZERO and pair.reward_b == _ZERO)
        self.fault = _fault(pair)
        self.frozen = vaults[0].frozen, vaults[1].frozen
        self.barred = tuple(mints.transfer_refusal(token, name) for name, token in zip(self.mints, tokens, strict=True))
        self._bitmap = int.from_bytes(pair.bitmap, "little")
        known = accounts.get(extension_address(address))
        self._extension = decode_extension(known.data) if known and known.owner == PROGRAM else None
        self._farms = () if self.orders else decode_farms(accounts[address].data)
        self._arrays: dict[int, bytes] = {}
        self._ladders: dict[tuple[bool, int, int], Ladder] = {}

    def quote(
        self,
        *,
        mint_in: str,
        amount: int,
        exact: Exact,
        clock: Clock,
        limit: int | None = None,
        other: int | None = None,
    ) -> Quote | Refusal:
        """What the program would pay for a swap, or its error.

        Args:
            mint_in: base58 mint that the user pays in.
            amount: raw units paid in (`exact` "in") or wanted (`exact` "out").
            exact: which side `amount` fixes.
            clock: slot and time decide on activation and volatility, the epoch on transfer fees.
            limit: largest loss in bps, fees counted, against the price of the active bin, for an exact input:
                what the instruction `swap_with_price_impact` takes.
            other: least output of an exact input, most input of an exact output.
        """
        side = 0 if mint_in == self.mints[0] else 1
        if side and mint_in != self.mints[1]:
            return Refusal(None, f"pool {self.address} does not hold the mint {mint_in}")
        if self.fault is not None:
            return self.fault
        if self.pair.kind in TIMED and self._early(clock):
            return Refusal(DISABLED, f"pool {self.address} opens at {self.pair.activation_point}")
        if amount == 0:
            return Refusal(NOTHING_OUT if exact == "out" else INVALID_INPUT, "the amount is 0")
        if not 0 < amount <= U64:
            return Refusal(None, f"amount {amount} is not between 1 and {U64} raw units")
        ladder = self._ladder(side == 0, clock.unix_timestamp)
        if exact == "out":
            return self._buy(ladder, side, amount, clock, other)
        if limit is not None:
            least = least_out(ladder.price, amount, limit, ladder.down) if limit >= 0 else None
            if least is None:
                return Refusal(OVERFLOW, f"a price impact of {limit} bps is out of range")
            other = max(least, other or 0)
        return self._spend(ladder, side, amount, clock, other)

    def lacks(self, mint_in: str) -> tuple[str, ...]:
        """Unknown addresses among the next `AHEAD` bin arrays of a swap."""
        ahead = arrays_ahead(self.pair, self._extension, mint_in == self.mints[0], AHEAD)
        names = [bin_array_address(self.address, index) for index in ahead]
        return tuple(name for name in names if name not in self.accounts)

    def _early(self, clock: Clock) -> bool:
        """Whether the activation point lies ahead; from the point itself on the pool is open."""
        now = clock.unix_timestamp if self.pair.activation_type else clock.slot
        return now < self.pair.activation_point

    def _ladder(self, down: bool, now: int) -> Ladder:
        """The ladder that holds at this time: the volatility references decay with the seconds passed."""
        pair = self.pair
        elapsed = now - pair.updated_at
        if elapsed < pair.filter_period:
            reference, index = pair.volatility_reference, pair.index_reference
        elif elapsed < pair.decay_period:
            reference, index = pair.volatility * pair.reduction_factor // BPS, pair.active_id
        else:
            reference, index = 0, pair.active_id
        found = self._ladders.get((down, reference, index))
        if found is None:
            found = Ladder(pair, down, (reference, index), self._find, orders=self.orders)
            if reference and elapsed >= pair.filter_period and pair.volatility * pair.reduction_factor > _U32:
                found.stop = Refusal(OVERFLOW, "the volatility of the pool overflows as it decays")
            self._ladders[down, reference, index] = found
        return found

    def _spend(self, ladder: Ladder, side: int, amount: int, clock: Clock, least: int | None) -> Quote | Refusal:
        """Exact in: the program swaps what is left of the amount after the transfer fee."""
        sent = amount
        if self.taxed:
            sent -= mints.fee_on(self.tokens[side], amount, clock.epoch)
        climb = ladder.spend(sent)
        if isinstance(climb, Refusal):
            return climb
        found = self._quote(ladder, side, climb, amount, clock)
        if isinstance(found, Refusal):
            return found
        if least is not None and found.amount_out < least:
            return Refusal(SLIPPAGE, f"{found.amount_out} units come out, at least {least} are wanted")
        return found

    def _buy(self, ladder: Ladder, side: int, amount: int, clock: Clock, most: int | None) -> Quote | Refusal:
        """Exact out: the pool pays the transfer fee on the amount too, the user that on the input."""
        if most == 0:
            return Refusal(INVALID_INPUT, "the most that may be paid is 0")
        wanted, most = amount, U64 if most is None else most
        if self.taxed:
            wanted = mints.amount_before_fee(self.tokens[1 - side], amount, clock.epoch)
            most -= mints.fee_on(self.tokens[side], most, clock.epoch)
        climb = ladder.buy(wanted, most)
        if isinstance(climb, Refusal):
            return climb
        paid = climb.paid
        if self.taxed:
            paid = mints.amount_before_fee(self.tokens[side], paid, clock.epoch)
        return self._quote(ladder, side, climb, paid, clock)

    def _quote(self, ladder: Ladder, side: int, climb: Climb, amount_in: int, clock: Clock) -> Quote | Refusal:
        """The quote of a climb, unless a vault or a counter cannot bear it or nothing comes out."""
        if self._farms and any(min(clock.unix_timestamp, farm.end) < farm.paid_until for farm in self._farms):
            return Refusal(OVERFLOW, f"a reward of pool {self.address} is paid beyond this time")
        got, amount_out = climb.got, climb.got
        if self.taxed:
            amount_out -= mints.fee_on(self.tokens[1 - side], got, clock.epoch)
        unfit = self._unfit(ladder, side, climb, amount_in) if amount_out else None
        if amount_out == 0 or unfit is not None:
            return unfit or Refusal(NOTHING_OUT, f"the input of {amount_in} buys nothing")
        mint_in, mint_out = self.mints[side], self.mints[1 - side]
        net_in, gross_out, fee_mint = climb.paid, got, mint_in
        if ladder.fee_on_input:
            net_in -= climb.fee
        else:
            gross_out += climb.fee
            fee_mint = mint_out
        fees: tuple[Fee, ...] = (
            Fee("lp", fee_mint, climb.fee - climb.protocol),
            Fee("protocol", fee_mint, climb.protocol),
        )
        if self.taxed:
            taxes = (mint_in, amount_in - climb.paid), (mint_out, got - amount_out)
            fees += tuple(Fee("transfer", name, tax) for name, tax in taxes if tax)
        if ladder.down:
            full, real = net_in * ladder.price, gross_out << 64
        else:
            full, real = net_in << 64, gross_out * ladder.price
        lost = (full - real) * BPS // full if full > real else 0
        work = partial(self._after, ladder, side, climb, amount_in, clock.unix_timestamp)
        return Quote(amount_in, amount_out, fees, lost, False, After(ladder.rungs, climb.top, work))

    def _unfit(self, ladder: Ladder, side: int, climb: Climb, amount_in: int) -> Refusal | None:
        """What the end of a swap would break: the counter of fees, then the transfer in, then the transfer out."""
        pair = self.pair
        due = pair.protocol_fee_x if ladder.fee_on_input == ladder.down else pair.protocol_fee_y
        if due + climb.protocol > U64:
            return Refusal(OVERFLOW, f"the protocol's fees of pool {self.address} overflow")
        stuck = self._stuck(side) or self.barred[side]
        if stuck is not None:
            return stuck
        if self.held[side] + amount_in > U64 or self.withheld[side] + amount_in > U64:
            return Refusal(TOKEN_OVERFLOW, f"vault {self.vaults[side]} cannot take {amount_in} more")
        stuck = self._stuck(1 - side)
        if stuck is not None:
            return stuck
        if climb.got > self.held[1 - side]:
            held = self.held[1 - side]
            return Refusal(INSUFFICIENT, f"vault {self.vaults[1 - side]} holds {held}, less than {climb.got}")
        return self.barred[1 - side]

    def _stuck(self, place: int) -> Refusal | None:
        """What stops a transfer of the mint X or Y before its amount is looked at."""
        hook = self.tokens[place].transfer_hook
        if hook is not None:
            name = self.mints[place]
            return Refusal(HOOK_MISSING, f"mint {name} calls the hook {hook}, whose accounts are not known")
        if self.frozen[place]:
            return Refusal(FROZEN, f"vault {self.vaults[place]} is frozen")
        return None

    def _after(self, ladder: Ladder, side: int, climb: Climb, amount_in: int, now: int) -> dict[str, Account]:
        """Every account the swap changes: pool, oracle, bin arrays, both vaults."""
        changed = settled(self.accounts, self.address, ladder, climb, now)
        vault_in, vault_out = self.vaults[side], self.vaults[1 - side]
        taken = amount_in - climb.paid
        changed[vault_in] = mints.moved(self.accounts[vault_in], climb.paid, taken)
        changed[vault_out] = mints.moved(self.accounts[vault_out], -climb.got)
        return changed

    def _find(self, bin_id: int, down: bool) -> tuple[int, Bin] | Refusal:
        """The next bin from an id on that can give something; arrays without liquidity are jumped."""
        while True:
            index = bin_id // BINS
            data = self._arrays.get(index)
            if data is None:
                found = self._next_array(index, down)
                if isinstance(found, Refusal):
                    return found
                if found != index:
                    index, bin_id = found, found * BINS + (BINS - 1 if down else 0)
                data = self._arrays[index]
            start = index * BINS
            last = self._last(bin_id, start, down)
            step = -1 if down else 1
            for slot in range(bin_id - start, last - start + step, step):
                state = decode_bin(data, slot)
                if (state.amount_y if down else state.amount_x) or any(layers(state, down, self.orders)):
                    return start + slot, state
            bin_id = last + step
            if not self.pair.holds(bin_id):
                return out_of_range(bin_id)

    def _last(self, bin_id: int, start: int, down: bool) -> int:
        """The last bin of the array from `start` that steps from `bin_id` on may lead to."""
        if not self.pair.holds(bin_id - 1 if down else bin_id + 1):
            return bin_id
        return max(start, self.pair.min_bin_id) if down else min(start + BINS - 1, self.pair.max_bin_id)

    def _next_array(self, index: int, down: bool) -> int | Refusal:
        """Index of the next array with liquidity, whose data stands in `_arrays` then."""
        found = next_array(self._bitmap, self._extension, index, down)
        if isinstance(found, Refusal):
            address = extension_address(self.address)
            unknown = found.code == NO_EXTENSION and address not in self.accounts
            return Refusal(found.code, found.reason, (address,)) if unknown else found
        data = self._array(found)
        if isinstance(data, Refusal):
            return data
        self._arrays[found] = data
        return found

    def _array(self, index: int) -> bytes | Refusal:
        """The data of a bin array that a swap has to pass, or the error of a swap that lacks it."""
        address = bin_array_address(self.address, index)
        account = self.accounts.get(address)
        if account is None:
            return Refusal(ARRAY_MISSING, f"bin array {index} at {address} is unknown", (address,))
        head = decode_array(account.data) if account.owner == PROGRAM else None
        if head is None or head.index != index:
            return Refusal(ARRAY_MISSING, f"account {address} is not the bin array {index}")
        if key(head.pair) != self.address:
            return Refusal(WRONG_ARRAY, f"bin array {address} belongs to the pool {key(head.pair)}")
        return account.data


def decode(address: str, accounts: Mapping[str, Account]) -> Pool | Refusal:
    """A pool with what its quotes need besides bin arrays: mints, vaults, the bitmap extension if known.

    The refusal names the addresses that are unknown. Never raises.
    """
    account = accounts.get(address)
    if account is None:
        return Refusal(None, f"pool account {address} is unknown", (address,))
    pair = decode_pair(account.data) if account.owner == PROGRAM else None
    if pair is None:
        return Refusal(None, f"account {address} is no LbPair of {PROGRAM}")
    try:
        extension_address(address)
    except ValueError:
        return Refusal(None, f"{address!r} is no key")
    names = key(pair.mint_x), key(pair.mint_y), key(pair.reserve_x), key(pair.reserve_y)
    missing = tuple(name for name in names if name not in accounts)
    if missing:
        return Refusal(None, f"mints or vaults of pool {address} are unknown", missing)
    mint_x, mint_y = mints.decode_mint(accounts[names[0]]), mints.decode_mint(accounts[names[1]])
    if isinstance(mint_x, Refusal):
        return Refusal(None, f"mint {names[0]}: {mint_x.reason}")
    if isinstance(mint_y, Refusal):
        return Refusal(None, f"mint {names[1]}: {mint_y.reason}")
    vault_x = _vault(accounts[names[2]], names[2], mint_x)
    vault_y = _vault(accounts[names[3]], names[3], mint_y)
    if isinstance(vault_x, Refusal):
        return vault_x
    if isinstance(vault_y, Refusal):
        return vault_y
    return Pool(address, pair, accounts, (mint_x, mint_y), (vault_x, vault_y))


def _vault(account: Account, name: str, mint: mints.Mint) -> mints.TokenAccount | Refusal:
    """A vault that can take part in a swap, or why not."""
    found = mints.decode_token(account)
    if isinstance(found, Refusal):
        return Refusal(None, f"vault {name}: {found.reason}")
    if mint.transfer_fee is not None and "TransferFeeAmount" not in found.extensions:
        return Refusal(None, f"vault {name} has no place for the transfer fees of its mint")
    return found


def _fault(pair: Pair) -> Refusal | None:
    """What makes the program refuse every swap of this pool, whatever the time."""
    if pair.kind > 3:
        return Refusal(6043, f"pool type {pair.kind} does not exist")
    if pair.activation_type > 1:
        return Refusal(6058, f"activation type {pair.activation_type} does not exist")
    if pair.status:
        return Refusal(DISABLED, f"pool status is {pair.status}, 0 is enabled")
    if pair.function > 2:
        return Refusal(6019, f"function type {pair.function} does not exist")
    if pair.fee_mode > 1:
        return Refusal(6110, f"fee mode {pair.fee_mode} does not exist")
    if pair.protocol_share > BPS or base_rate(pair) > U128:
        return Refusal(OVERFLOW, "the fee parameters overflow")
    return None
