"""Mathematics of liquidity bins: prices, fee rates, filling one bin, and the ladder of bins a swap climbs.

Source: program LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo (IDL 0.12.0), every rule here executed in a local
virtual machine against the deployed build of May 2026. Prices are Y per X in raw units, Q64.64; fee rates are
parts of `FEE_ONE`; volatility counts bins times 10000. All divisions round as the program rounds.

"Down" is the way X in, Y out, in which the bin id falls; the other way it rises.
"""

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct, structs

from ironcrab.dex.dlmm_state import BINS, EDGE, REACH, Bin, Extension, Pair
from ironcrab.dex.face import Refusal

ONE = 1 << 64
U64 = ONE - 1
U128 = (1 << 128) - 1
FEE_ONE = 1_000_000_000
FEE_CAP = 100_000_000
VARIABLE_ONE = 100_000_000_000
BPS = 10_000
NEVER = 1 << 200
"""An amount that no swap reaches."""

PAIR_INSUFFICIENT = 6012
OVERFLOW = 6018
CAST = 6019
NO_EXTENSION = 6036
NO_LIQUIDITY = 6037
INSUFFICIENT_IN = 6104
NOT_EXACT = 6057
UNDETERMINED = 6085
NOTHING_OUT = 6039


@lru_cache(maxsize=65536)
def price_of(bin_id: int, bin_step: int) -> int:
    """Price of a bin by repeated squaring, truncated as the program does; 0 where the program overflows."""
    power = abs(bin_id)
    if power == 0:
        return ONE
    if power >= 1 << 19:
        return 0
    square = ONE + bin_step * ONE // BPS
    invert = bin_id < 0
    if square > ONE:
        square = U128 // square
        invert = not invert
    result = ONE
    while power:
        if power & 1:
            result = result * square >> 64
        square = square * square >> 64
        power >>= 1
    if result == 0:
        return 0
    return U128 // result if invert else result


def base_rate(pair: Pair) -> int:
    """The fee rate that does not move."""
    return int(pair.base_factor * pair.bin_step * 10 * 10**pair.base_fee_power)


def fee_on_top(amount: int, parts: int) -> int:
    """The fee to add to a net amount, rounded up (not the inverse of `fee_inside`)."""
    return -(-amount * parts // (FEE_ONE - parts))


def pays(price: int, amount: int, down: bool) -> int:
    """What a bin pays for a net input, rounded down."""
    return amount * price >> 64 if down else (amount << 64) // price


def costs(price: int, amount: int, down: bool) -> int:
    """The net input that buys an output, rounded up."""
    return -(-(amount << 64) // price) if down else -(-amount * price >> 64)


_TOO_BIG = Refusal(OVERFLOW, "the amounts of a bin overflow")


class Rung(Struct, frozen=True, gc=False):
    """One bin with something to give in the direction of a swap.

    `maker`, `remaining` and `opened` are raw output units of the three layers, filled in this order: market
    makers, orders being processed, open orders; `need_*` is the net input that takes a whole layer. `gross`
    is the input with fee that empties the bin, `net` what the user gets for it, `enough` the wanted output
    from which on the bin is emptied, `room` the makers' input it can still hold. `fee` (with its parts
    `protocol` and `owners`) is that of emptying it.
    """

    bin_id: int
    price: int
    rate: int
    volatility: int
    room: int
    maker: int
    remaining: int
    opened: int
    need_maker: int
    need_remaining: int
    need_opened: int
    gross: int
    net: int
    enough: int
    fee: int
    protocol: int
    owners: int
    state: Bin


class Last(Struct, frozen=True, gc=False):
    """What a swap does in its last bin, raw units: net input used, output by layers, fee and its parts.

    `surplus` is output that the used input would buy beyond the exact amount wanted.
    """

    used: int
    maker: int
    remaining: int
    opened: int
    fee: int
    protocol: int
    owners: int
    surplus: int = 0


class Climb(Struct, frozen=True, gc=False):
    """A swap on a ladder: the rungs below `top` are emptied, `last` happens on the rung `top`.

    Totals in raw units at the pool's vaults: `paid` with fees, `got` net of fees; `fee` holds `protocol` and
    `owners`, the part of order owners.
    """

    top: int
    last: Last
    paid: int
    got: int
    fee: int
    protocol: int
    owners: int


def least_out(price: int, amount: int, bps: int, down: bool) -> int | None:
    """The output that `swap_with_price_impact` asks for at least, fees counted as impact.

    Args:
        price: price of the bin that the impact is measured against.
        amount: what the user pays, transfer fee included.
        bps: impact allowed.
        down: X in, Y out.

    Returns:
        raw units, or None where the program overflows.
    """
    if bps > BPS or (bps == BPS and not down) or price == 0:
        return None
    if down:
        return amount * (price * (BPS - bps) // BPS) >> 64
    return (amount << 64) // (price * BPS // (BPS - bps))


def emptied(rung: Rung) -> Last:
    """What a swap does in a bin that it empties."""
    used = rung.need_maker + rung.need_remaining + rung.need_opened
    return Last(used, rung.maker, rung.remaining, rung.opened, rung.fee, rung.protocol, rung.owners)


def layers(state: Bin, down: bool, orders: bool) -> tuple[int, int, int]:
    """Raw output units of a bin's layers in a direction: makers, orders being processed, open orders."""
    maker = state.amount_y if down else state.amount_x
    if orders and down == (state.ask != 1):
        return maker, state.remaining, state.opened
    return maker, 0, 0


def split(pair: Pair, fee: int, maker_in: int, total_in: int) -> tuple[int, int]:
    """Protocol's and order owners' parts of a bin's fee: makers' part rounded up, half the rest to owners."""
    if total_in == 0:
        return fee, 0
    makers = fee if maker_in == total_in else -(-fee * maker_in // total_in)
    owners = (fee - makers) // 2
    return fee - makers - owners + makers * pair.protocol_share // BPS, owners


def next_array(bitmap: int, extension: Extension | None, index: int, down: bool) -> int | Refusal:
    """The first array from `index` on that has liquidity, in the direction of travel.

    Args:
        bitmap: the pool's own 1024 bits.
        extension: the bits beyond; None where the swap brings no extension account.
        index: array to start from, itself included.
        down: travel to lower indices.
    """
    if not -REACH <= index < REACH:
        return Refusal(NO_LIQUIDITY, f"array {index} is out of every bitmap")
    while True:
        if -EDGE <= index < EDGE:
            place = index + EDGE
            bits = bitmap & ((2 << place) - 1) if down else bitmap >> place << place
            if bits:
                return (bits.bit_length() if down else (bits & -bits).bit_length()) - 1 - EDGE
            index = -EDGE - 1 if down else EDGE
        if extension is None:
            return Refusal(NO_EXTENSION, f"array {index} and those beyond stand in the absent bitmap extension")
        above = index >= EDGE
        place = index - EDGE if above else -EDGE - 1 - index
        rising = above != down
        number = extension.above if above else extension.below
        bits = number >> place << place if rising else number & ((2 << place) - 1)
        if bits:
            place = ((bits & -bits).bit_length() if rising else bits.bit_length()) - 1
            return place + EDGE if above else -EDGE - 1 - place
        if rising:
            return Refusal(NO_LIQUIDITY, f"no array from {index} on has liquidity")
        index = EDGE - 1 if above else -EDGE


def out_of_range(bin_id: int) -> Refusal:
    """The error of a swap that would step to a bin beyond the bounds of the pool."""
    return Refusal(PAIR_INSUFFICIENT, f"bin {bin_id} is beyond the bounds of the pool")


def arrays_ahead(pair: Pair, extension: Extension | None, down: bool, count: int, last: int | None = None) -> list[int]:
    """Indices of `count` arrays with liquidity, or as many as reach `last`, in the order of travel."""
    found: list[int] = []
    bitmap = int.from_bytes(pair.bitmap, "little")
    index = pair.active_id // BINS
    while len(found) < count or (last is not None and (found[-1] > last if down else found[-1] < last)):
        following = next_array(bitmap, extension, index, down)
        if isinstance(following, Refusal):
            break
        found.append(following)
        index = following - 1 if down else following + 1
    return found


class Ladder:
    """The bins that a swap in one direction meets, from fixed volatility references, as far as looked up.

    Sums over the rungs are kept, so that a swap over many bins costs little more than one inside a bin.

    Args:
        pair: the pool.
        down: X in, Y out.
        references: volatility reference and index reference that hold at the time of the swap.
        find: the next bin from an id on that has something to give, or the Refusal that ends the way.
        orders: the pool has limit orders.
    """

    def __init__(
        self,
        pair: Pair,
        down: bool,
        references: tuple[int, int],
        find: Callable[[int, bool], tuple[int, Bin] | Refusal],
        *,
        orders: bool,
    ) -> None:
        self.pair = pair
        self.down = down
        self.volatility_reference, self.index_reference = references
        self.fee_on_input = pair.fee_mode != 1 or not down
        self.price = price_of(pair.active_id, pair.bin_step)
        self._base = base_rate(pair)
        self._weight = pair.variable_fee_control * pair.bin_step**2
        self.rungs: list[Rung] = []
        self.stop: Refusal | None = None
        self.orders = orders
        self._find = find
        self._cursor = pair.active_id
        self._before = [(0, 0, 0, 0, 0)]  # paid, got, fee, protocol, owners below each rung
        self._paid: list[int] = []  # paid through each rung
        self._starts: list[int] = []  # wanted output from which on each rung is emptied

    def spend(self, amount: int) -> Climb | Refusal:
        """A swap that uses exactly `amount` raw units of input."""
        paid = self._paid
        while not paid or paid[-1] <= amount:
            if not self._extend():
                break
        top = bisect_right(paid, amount)
        # a fee below a half makes two units more buy at least one more, so only then can the rung below be the last
        if top and amount - paid[top - 1] < 2 and self._ends(top - 1, amount - self._before[top - 1][0]):
            top -= 1
        if top == len(paid):
            return self.stop or _TOO_BIG
        before_paid, got, fee, protocol, owners = self._before[top]
        last = self._into(self.rungs[top], amount - before_paid)
        if isinstance(last, Refusal):
            return last
        out = last.maker + last.remaining + last.opened
        if not self.fee_on_input:
            out -= last.fee
        return Climb(top, last, amount, got + out, fee + last.fee, protocol + last.protocol, owners + last.owners)

    def buy(self, amount: int, most: int) -> Climb | Refusal:
        """A swap that pays out exactly `amount` raw units for at most `most` of input."""
        starts = self._starts
        while not starts or starts[-1] <= amount:
            if not self._extend():
                break
        top = bisect_right(starts, amount)
        before = self._before[top]
        if before[0] > most or (before[0] == most and before[1] < amount):
            return self._dry(most)
        if top and before[1] == amount:
            return Climb(top - 1, emptied(self.rungs[top - 1]), *before)
        if top == len(starts):
            return self.stop or _TOO_BIG
        found = self._exactly(self.rungs[top], amount - before[1], most - before[0])
        if isinstance(found, Refusal):
            return found
        paid, last = found
        return Climb(
            top,
            last,
            before[0] + paid,
            amount,
            before[2] + last.fee,
            before[3] + last.protocol,
            before[4] + last.owners,
        )

    def _dry(self, most: int) -> Refusal:
        """Why a swap fails whose input runs dry before its last bin."""
        place = bisect_right(self._paid, most)
        paid, got = self._before[place][:2]
        if most > paid:
            last = self._into(self.rungs[place], most - paid)
            assert isinstance(last, Last)  # only bins that can be emptied lie below the last one
            got += last.maker + last.remaining + last.opened - (0 if self.fee_on_input else last.fee)
        if got == 0:
            return Refusal(NOTHING_OUT, f"{most} units of input buy nothing")
        return Refusal(NOT_EXACT, f"{most} units of input do not reach the last bin")

    def _ends(self, place: int, left: int) -> bool:
        """Whether this input empties the rung and leaves nothing for the next one."""
        rung = self.rungs[place]
        fee = -(-left * rung.rate // FEE_ONE) if self.fee_on_input else 0
        return left - fee == rung.need_maker + rung.need_remaining + rung.need_opened

    def _into(self, rung: Rung, left: int) -> Last | Refusal:
        """The last bin takes all of `left`, less than what empties it or just that."""
        fee = -(-left * rung.rate // FEE_ONE) if self.fee_on_input else 0
        used = left - fee
        remaining = opened = 0
        if used < rung.need_maker:
            maker_in = used
            maker = used * rung.price >> 64 if self.down else (used << 64) // rung.price
            wide = rung.need_maker > U64
        else:
            maker, maker_in, over = rung.maker, rung.need_maker, used - rung.need_maker
            remaining = self._layer(rung, over, rung.remaining, rung.need_remaining)
            wide = over > 0 and rung.need_remaining > U64
            over -= rung.need_remaining
            if over > 0:
                opened = self._layer(rung, over, rung.opened, rung.need_opened)
                wide = rung.need_opened > U64
        if wide:
            return Refusal(CAST, f"emptying bin {rung.bin_id} takes more than 64 bits of input")
        if maker_in > rung.room:
            return Refusal(OVERFLOW, f"bin {rung.bin_id} cannot hold {maker_in} units more")
        if not self.fee_on_input:
            fee = -(-(maker + remaining + opened) * rung.rate // FEE_ONE)
        protocol, owners = split(self.pair, fee, maker_in, used)
        return Last(used, maker, remaining, opened, fee, protocol, owners)

    def _layer(self, rung: Rung, left: int, most: int, need: int) -> int:
        """What a layer of orders pays for the input left to it."""
        return most if left >= need else pays(rung.price, left, self.down)

    def _exactly(self, rung: Rung, wanted: int, most: int) -> tuple[int, Last] | Refusal:
        """The last bin pays exactly `wanted`; what it takes, fee included."""
        out = wanted if self.fee_on_input else wanted + fee_on_top(wanted, rung.rate)
        paid = costs(rung.price, out, self.down)
        if self.fee_on_input:
            paid += fee_on_top(paid, rung.rate)
        if paid > U64:
            return Refusal(CAST, f"{out} units of bin {rung.bin_id} cost more than 64 bits of input")
        if paid > most:
            return Refusal(INSUFFICIENT_IN, f"bin {rung.bin_id} needs {paid} units of input, {most} are left")
        last = self._into(rung, paid)
        if isinstance(last, Refusal):
            return last
        surplus = last.maker + last.remaining + last.opened - wanted
        if not self.fee_on_input:
            surplus -= last.fee
        if surplus < 0:
            return Refusal(
                UNDETERMINED,
                f"bin {rung.bin_id} pays {-surplus} less than the {wanted} its rounding promises",
            )
        if surplus and not self.fee_on_input:
            last = structs.replace(last, protocol=last.protocol + surplus)
        return paid, structs.replace(last, surplus=surplus) if surplus else last

    def _extend(self) -> bool:
        """Looks up one more rung; False at the end of the way."""
        if self.stop is not None:
            return False
        if self.rungs and not self.pair.holds(self._cursor):
            self.stop = out_of_range(self._cursor)
            return False
        found = self._find(self._cursor, self.down)
        if isinstance(found, Refusal):
            self.stop = found
            return False
        bin_id, state = found
        rung = self._rung(bin_id, state)
        if rung is None:
            self.stop = Refusal(OVERFLOW if self.down else None, f"bin {bin_id} has no price stored")
            return False
        paid, got, fee, protocol, owners = self._before[-1]
        self._cursor = bin_id - 1 if self.down else bin_id + 1
        self.rungs.append(rung)
        self._starts.append(got + rung.enough)
        self._paid.append(paid + rung.gross)
        self._before.append(
            (
                paid + rung.gross,
                got + rung.net,
                fee + rung.fee,
                protocol + rung.protocol,
                owners + rung.owners,
            )
        )
        return True

    def _rung(self, bin_id: int, state: Bin) -> Rung | None:
        """A bin as this swap meets it; None without a price: the program divides by it or asks nothing."""
        pair, down = self.pair, self.down
        price = state.price_low | state.price_high << 64
        if price == 0:
            return None
        moved = self.volatility_reference + abs(self.index_reference - bin_id) * BPS
        volatility = min(moved, pair.max_volatility)
        parts = min(self._base + -(-self._weight * volatility**2 // VARIABLE_ONE), FEE_CAP)
        maker, remaining, opened = layers(state, down, self.orders)
        need_maker = costs(price, maker, down)
        need_remaining = costs(price, remaining, down) if remaining else 0
        need_opened = costs(price, opened, down) if opened else 0
        need, give = need_maker + need_remaining + need_opened, maker + remaining + opened
        if self.fee_on_input:
            fee = -(-need * parts // (FEE_ONE - parts))
            gross, net, enough = need + fee, give, give
        else:
            fee = -(-give * parts // FEE_ONE)
            gross, net, enough = need, give - fee, (give - 1) * (FEE_ONE - parts) // FEE_ONE + 1
        room = U64 - (state.amount_x if down else state.amount_y)
        if need_maker > room or need_remaining > U64 or need_opened > U64:
            gross = enough = NEVER
        protocol, owners = split(pair, fee, need_maker, need)
        return Rung(
            bin_id,
            price,
            parts,
            volatility,
            room,
            maker,
            remaining,
            opened,
            need_maker,
            need_remaining,
            need_opened,
            gross,
            net,
            enough,
            fee,
            protocol,
            owners,
            state,
        )
