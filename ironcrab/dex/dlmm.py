"""Meteora DLMM: a pool whose liquidity lies in price bins.

Program LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo, IDL 0.12.0.
"""

from collections.abc import Mapping
from functools import partial

from ironcrab.dex import mint as mints
from ironcrab.dex.base58 import key
from ironcrab.dex.bins import BPS, NO_EXTENSION, NOTHING_OUT, OVERFLOW, U64, U128, Climb, Ladder, base_rate, least_out, next_array
from ironcrab.dex.bins import layers as bin_layers
from ironcrab.dex.dlmm_after import After, settled
from ironcrab.dex.dlmm_parse import parse
from ironcrab.dex.dlmm_state import (
    BINS,
    PROGRAM,
    Bin,
    Extension,
    Pair,
    bin_array_address,
    decode_array,
    decode_bin,
    decode_extension,
    decode_pair,
    extension_address,
)
from ironcrab.dex.face import (
    ABSENT,
    Account,
    Call,
    Clock,
    Exact,
    Fee,
    Instruction,
    Parsed,
    Quote,
    Refusal,
    Transaction,
)

INVALID_INPUT = 6002
SLIPPAGE = 6003
DISABLED = 6042
ARRAY_MISSING = 3005
WRONG_ARRAY = 6027
TIMED = (1, 2)
"""Pool types with an activation point."""
AHEAD = 3
"""Bin arrays in the direction of a swap that `needs` and `instructions` name."""
_ZERO = bytes(32)


class Pool:
    """A decoded pool, ready to be quoted many times.

    Bin arrays are looked up in `accounts` when a swap first reaches them, so the mapping must not change while
    the pool is in use: after a write decode anew.
    """

    def __init__(
        self,
        address: str,
        pair: Pair,
        accounts: Mapping[str, Account],
        tokens: tuple[mints.Mint, mints.Mint],
        held: tuple[int, int],
        fault: Refusal | None,
    ) -> None:
        self.address = address
        self.pair = pair
        self.accounts = accounts
        self.mints = key(pair.mint_x), key(pair.mint_y)
        self.vaults = key(pair.reserve_x), key(pair.reserve_y)
        self.tokens = tokens
        self.held = held
        self.fault = fault
        self.taxed = tokens[0].transfer_fee is not None or tokens[1].transfer_fee is not None
        self.orders = pair.function == 2 or (
            pair.function == 0 and pair.reward_a == _ZERO and pair.reward_b == _ZERO
        )
        self._bitmap = int.from_bytes(pair.bitmap, "little")
        extension = accounts.get(extension_address(address))
        self._extension = None
        if extension is not None and extension.owner == PROGRAM:
            self._extension = decode_extension(extension.data)
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
        """See `Venue.quote`; `other` is the least output (exact in) or the most input (exact out)."""
        side = 0 if mint_in == self.mints[0] else 1
        if side and mint_in != self.mints[1]:
            return Refusal(None, f"pool {self.address} does not hold the mint {mint_in}")
        if self.fault is not None:
            return self.fault
        if self.pair.kind in TIMED and self._early(clock):
            return Refusal(DISABLED, f"pool {self.address} opens at {self.pair.activation_point}")
        if not 0 < amount <= U64:
            return Refusal(INVALID_INPUT, f"amount {amount} is not between 1 and {U64} raw units")
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
        """Unknown addresses among the next `AHEAD` bin arrays of a swap, and the bitmap extension they need."""
        names = [bin_array_address(self.address, index) for index in self._ahead(mint_in == self.mints[0])]
        return tuple(name for name in names if name not in self.accounts)

    def _ahead(self, down: bool) -> list[int]:
        """Indices of the next `AHEAD` arrays with liquidity, in the order of travel."""
        found: list[int] = []
        index = self.pair.active_id // BINS
        while len(found) < AHEAD:
            following = next_array(self._bitmap, self._extension, index, down)
            if isinstance(following, Refusal):
                break
            found.append(following)
            index = following + (-1 if down else 1)
        return found

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
            found = Ladder(pair, down, (reference, index), self.orders, self._find)
            self._ladders[down, reference, index] = found
        return found

    def _spend(
        self, ladder: Ladder, side: int, amount: int, clock: Clock, least: int | None
    ) -> Quote | Refusal:
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

    def _buy(
        self, ladder: Ladder, side: int, amount: int, clock: Clock, most: int | None
    ) -> Quote | Refusal:
        """Exact out: the pool pays the amount and the transfer fee on it, the user the fee on the input too."""
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
        """The quote of a climb, unless it pays nothing or more than the vault holds."""
        got = climb.got
        if got > self.held[1 - side]:
            return Refusal(1, f"vault {self.vaults[1 - side]} holds {self.held[1 - side]}, {got} are to leave it")
        pair = self.pair
        due = pair.protocol_fee_x if ladder.fee_on_input == ladder.down else pair.protocol_fee_y
        if due + climb.protocol > U64:
            return Refusal(OVERFLOW, f"the protocol's fees of pool {self.address} overflow")
        mint_in, mint_out = self.mints[side], self.mints[1 - side]
        fee_mint = mint_in if ladder.fee_on_input else mint_out
        fees = [
            Fee("lp", fee_mint, climb.fee - climb.protocol),
            Fee("protocol", fee_mint, climb.protocol),
        ]
        amount_out = got
        if self.taxed:
            taken = amount_in - climb.paid
            kept = mints.fee_on(self.tokens[1 - side], got, clock.epoch)
            amount_out -= kept
            fees += [Fee("transfer", m, n) for m, n in ((mint_in, taken), (mint_out, kept)) if n]
        if amount_out == 0:
            return Refusal(NOTHING_OUT, f"the input of {amount_in} buys nothing")
        net_in, gross_out = climb.paid, got
        if ladder.fee_on_input:
            net_in -= climb.fee
        else:
            gross_out += climb.fee
        if ladder.down:
            full, real = net_in * ladder.price, gross_out << 64
        else:
            full, real = net_in << 64, gross_out * ladder.price
        lost = (full - real) * BPS // full if full > real else 0
        after = After(partial(self._after, ladder, side, climb, amount_in, clock))
        return Quote(amount_in, amount_out, tuple(fees), lost, False, after)

    def _find(self, bin_id: int, down: bool) -> tuple[int, Bin] | Refusal:
        """The next bin from an id on that can give something; arrays without liquidity are jumped."""
        while True:
            index = bin_id // BINS
            found = next_array(self._bitmap, self._extension, index, down)
            if isinstance(found, Refusal):
                address = extension_address(self.address)
                unknown = found.code == NO_EXTENSION and address not in self.accounts
                return Refusal(found.code, found.reason, (address,)) if unknown else found
            if found != index:
                bin_id = found * BINS + (BINS - 1 if down else 0)
            data = self._array(found)
            if isinstance(data, Refusal):
                return data
            first = bin_id - found * BINS
            for slot in range(first, -1, -1) if down else range(first, BINS):
                state = decode_bin(data, slot)
                if any(bin_layers(state, down, self.orders)):
                    return found * BINS + slot, state
            bin_id = found * BINS - 1 if down else (found + 1) * BINS

    def _after(
        self, ladder: Ladder, side: int, climb: Climb, amount_in: int, clock: Clock
    ) -> dict[str, Account]:
        """Every account the swap changes: pool, oracle, bin arrays, both vaults."""
        changed = settled(
            self.accounts, self.address, self._array_address, ladder, climb, clock.unix_timestamp
        )
        vault_in, vault_out = self.vaults[side], self.vaults[1 - side]
        taken = amount_in - climb.paid
        changed[vault_in] = mints.moved(self.accounts[vault_in], climb.paid, taken)
        changed[vault_out] = mints.moved(self.accounts[vault_out], -climb.got)
        return changed

    def _array_address(self, index: int) -> str:
        return bin_array_address(self.address, index)

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
    names = key(pair.mint_x), key(pair.mint_y), key(pair.reserve_x), key(pair.reserve_y)
    missing = tuple(name for name in names if name not in accounts)
    if missing:
        return Refusal(None, f"mints or vaults of pool {address} are unknown", missing)
    mint_x, mint_y = mints.decode_mint(accounts[names[0]]), mints.decode_mint(accounts[names[1]])
    if isinstance(mint_x, Refusal):
        return Refusal(None, f"mint {names[0]}: {mint_x.reason}")
    if isinstance(mint_y, Refusal):
        return Refusal(None, f"mint {names[1]}: {mint_y.reason}")
    held = mints.balance(accounts[names[2]]), mints.balance(accounts[names[3]])
    if held[0] is None or held[1] is None:
        return Refusal(None, f"a vault of pool {address} is no token account")
    fault = (
        _fault(pair) or mints.transfer_refusal(mint_x, names[0]) or mints.transfer_refusal(mint_y, names[1])
    )
    return Pool(address, pair, accounts, (mint_x, mint_y), (held[0], held[1]), fault)


def _fault(pair: Pair) -> Refusal | None:
    """What makes the program refuse every swap of this pool, whatever the time."""
    if pair.status:
        return Refusal(DISABLED, f"pool status is {pair.status}, 0 is enabled")
    if pair.kind > 3:
        return Refusal(6043, f"pool type {pair.kind} does not exist")
    if pair.kind in TIMED and pair.activation_type > 1:
        return Refusal(6058, f"activation type {pair.activation_type} does not exist")
    if pair.function > 2:
        return Refusal(6019, f"function type {pair.function} does not exist")
    if pair.fee_mode > 1:
        return Refusal(6110, f"fee mode {pair.fee_mode} does not exist")
    if pair.protocol_share > BPS or base_rate(pair) > U128:
        return Refusal(OVERFLOW, "the fee parameters overflow")
    return None


class MeteoraDlmm:
    """The venue of Meteora DLMM pools."""

    id = "meteora_dlmm"
    programs: tuple[str, ...] = (PROGRAM,)
    generations: tuple[tuple[str, str], ...] = (
        ("0.12", "executed"),
        ("pre-0.12", "refused"),
    )

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """What this one call did (see `dlmm_parse.parse`)."""
        return parse(call, transaction)

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """Pool, mints, vaults, then the next `AHEAD` bin arrays in the direction of the swap."""
        found = decode(pool, accounts)
        if isinstance(found, Refusal):
            return found.missing
        return found.lacks(mint_in)

    def quote(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        mint_in: str,
        amount: int,
        exact: Exact,
        clock: Clock,
        limit: int | None,
        generation: str | None,
    ) -> Quote | Refusal:
        """See `Pool.quote`. State written by the program before 0.12 is refused: its bins mean other things."""
        if generation == "pre-0.12":
            return Refusal(None, "bins of a pool from before program 0.12 hold other fields; not quoted")
        found = decode(pool, accounts)
        if isinstance(found, Refusal):
            return found
        return found.quote(mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit)

    def instructions(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        user: str,
        mint_in: str,
        amount: int,
        other_amount: int,
        exact: Exact,
        clock: Clock,
        fallback: bool = False,
    ) -> tuple[Instruction, ...] | Refusal:
        """Refused for now."""
        del pool, accounts, user, mint_in, amount, other_amount, exact, clock, fallback
        return Refusal(None, "later")

    def compute_units(self, quote: Quote) -> int:
        """Compute units of a swap."""
        del quote
        return 200_000


VENUE = MeteoraDlmm()
