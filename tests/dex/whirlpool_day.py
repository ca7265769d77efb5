"""The Whirlpool day of 6 April 2022 rebuilt: from the state at its end back to its beginning, then forwards.

Known are every successful instruction of the day with its token transfers, and all accounts at its end. Not known
are prices between the swaps and the ranges of positions that were closed on the day.

Backwards: liquidity changes are undone (the range of a closed position is the one, within the tick arrays that the
instruction names, whose amounts at the price of the moment are those that were transferred). A swap is undone by
looking for the prices before it from which the swap of the recorded input takes and pays the recorded amounts and
ends where the later ones begin. All three are monotone in the price before, so these prices form one interval.

Forwards: one price of the first interval, the ticks of the morning, and `ironcrab.dex.quote` for every swap.
"""

import base64
import gzip
import json
from bisect import bisect_right
from collections import Counter

from msgspec.structs import replace

from ironcrab.dex import Account, Clock, Refusal, base58, quote
from ironcrab.dex.address import SYSTEM, TOKEN
from ironcrab.dex.ticks import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    array_start,
    sqrt_price_at,
    tick_at,
)
from ironcrab.dex.whirlpool import VENUE
from ironcrab.dex.whirlpool_state import (
    FIXED_ARRAY,
    POSITION,
    PROGRAM,
    WHIRLPOOL,
    Tick,
    TickArray,
    array_address,
    decode_array,
    decode_position,
    decode_whirlpool,
    encode_whirlpool,
)
from ironcrab.dex.whirlpool_steps import Fault, delta_a, delta_b
from ironcrab.dex.whirlpool_swap import Path, fill

CHANGES = ("increaseLiquidity", "decreaseLiquidity")


class Happened:
    """One instruction of the day that touches a pool: a swap or a liquidity change."""

    def __init__(self, time, slot, name, payload):
        self.time, self.slot, self.name, self.payload = time, slot, name, payload
        self.amounts = (int(payload["transferAmount0"]), int(payload["transferAmount1"]))
        if name == "swap":
            self.a_to_b = payload["dataAToB"] == 1
            self.amount = int(payload["dataAmount"])
            self.limit = int(payload["dataSqrtPriceLimit"])


class Pool:
    """A pool of the day: its account at the end, net liquidity by tick (moved backwards), what happened to it."""

    def __init__(self, address, account):
        self.address, self.account = address, account
        self.state = decode_whirlpool(account)
        self.nets = {}
        self.happened = []
        self.unsolved = 0
        self.narrowed = 0
        self.drift = 0

    def settle(self):
        """Remembers by how much the pool's liquidity lies off the sum of its ticks (two pools of 2022 do)."""
        self.drift = self.state.liquidity - self.liquidity(self.state.sqrt_price)

    def liquidity(self, price):
        """Active liquidity at a price."""
        self._sorted()
        return self.sums[bisect_right(self.order, tick_at(price))] + self.drift

    def _sorted(self):
        if self.order is None:
            self.order = sorted(tick for tick, net in self.nets.items() if net)
            self.sums = [0]
            for tick in self.order:
                self.sums.append(self.sums[-1] + self.nets[tick])

    order = None

    def change(self, lower, upper, amount):
        """Adds liquidity (or, negative, takes it away) between two ticks."""
        self.nets[lower] = self.nets.get(lower, 0) + amount
        self.nets[upper] = self.nets.get(upper, 0) - amount
        self.order, self.made = None, {}

    def arrays(self):
        """The tick arrays as they stand: every start that a swap may ask for."""
        if not self.made:
            for tick, net in self.nets.items():
                if net:
                    start = array_start(tick, self.state.spacing)
                    array = self.made.setdefault(start, TickArray(start, self.address, {}))
                    array.ticks[(tick - start) // self.state.spacing] = Tick(net, abs(net), 0, 0, (0, 0, 0))
        return self.made

    made = {}  # noqa: RUF012 - replaced, never changed, on the class

    def at(self, price):
        """The pool's state at another price."""
        return replace(
            self.state, sqrt_price=price, tick=tick_at(price), liquidity=self.liquidity(price), rewarded_at=0
        )

    def ends(self, price, swap):
        """Price after, amounts in and out of a swap from a price; None where its limit is passed already.

        The path goes on over all tick arrays: the real swap had those that it needed.
        """
        state = self.at(price)
        place = bisect_right(self.order, state.tick)
        ahead = self.order[:place][::-1] if swap.a_to_b else self.order[place:]
        stops = [(tick, self.nets[tick]) for tick in ahead]
        path = Path([*stops, (MIN_TICK if swap.a_to_b else MAX_TICK, None)])
        try:
            filled = fill(
                state,
                path,
                None,
                swap.amount,
                exact_in=True,
                a_to_b=swap.a_to_b,
                limit=swap.limit,
                now=swap.time,
            )
        except Fault:
            return None
        return filled.sqrt_price, filled.amount_in, filled.amount_out


def read(folder):
    """The pools of the day by address, each with what happened to it, in order; and position ranges by address."""
    with gzip.open(folder / "whirlpool-state-20220406.json.gz") as file:
        state = json.load(file)
    accounts = {each["pubkey"]: Account(PROGRAM, 10**9, base64.b64decode(each["data"])) for each in state["accounts"]}
    pools = {address: Pool(address, account) for address, account in accounts.items() if account.data[:8] == WHIRLPOOL}
    ranges = {}
    for address, account in accounts.items():
        if account.data[:8] == POSITION:
            position = decode_position(account)
            ranges[address] = (position.lower, position.upper)
        if account.data[:8] == FIXED_ARRAY:
            array = decode_array(account)
            for place, tick in array.ticks.items():
                pools[array.pool].nets[array.start + place * pools[array.pool].state.spacing] = tick.net
    for pool in pools.values():
        pool.settle()
    with gzip.open(folder / "whirlpool-transaction-20220406.jsonl.gz") as lines:
        for line in lines:
            block = json.loads(line)
            for transaction in block["transactions"]:
                for each in transaction["instructions"]:
                    payload = each["payload"]
                    if each["name"].startswith("openPosition"):
                        ranges[payload["keyPosition"]] = (
                            payload["dataTickLowerIndex"],
                            payload["dataTickUpperIndex"],
                        )
                    if each["name"] == "swap" or each["name"] in CHANGES:
                        happened = Happened(block["blockTime"], block["slot"], each["name"], payload)
                        pools[payload["keyWhirlpool"]].happened.append(happened)
    return pools, ranges


def rewind(pool, ranges):
    """Undoes the day of a pool. Returns the interval of prices it can have begun with.

    A swap that no price explains is passed by its end alone and counted in `pool.unsolved`.
    """
    low = high = pool.state.sqrt_price
    for happened in reversed(pool.happened):
        if happened.name == "swap":
            found = before(pool, happened, low, high, amounts=True)
            if found is None:
                pool.unsolved += 1
                found = before(pool, happened, low, high, amounts=False) or (low, high)
            low, high = found
        else:
            lower, upper = ranges.get(happened.payload["keyPosition"]) or solve(pool, happened, low)
            ranges[happened.payload["keyPosition"]] = (lower, upper)
            amount = int(happened.payload["dataLiquidityAmount"])
            pool.change(lower, upper, -amount if happened.name == "increaseLiquidity" else amount)
    return low, high


def before(pool, swap, low, high, *, amounts):
    """The interval of prices before a swap from which it ends within [low, high], with the recorded amounts."""

    def side(price):
        """-1 where a price before is too low, 1 where too high, 0 where it fits."""
        if not MIN_SQRT_PRICE <= price <= MAX_SQRT_PRICE:
            return -1 if price < MIN_SQRT_PRICE else 1
        ended = pool.ends(price, swap)
        if ended is None:
            return -1 if swap.a_to_b else 1
        after, paid, got = ended
        if after != min(max(after, low), high):
            return -1 if after < low else 1
        if amounts and paid != swap.amounts[0]:
            return 1 if (paid > swap.amounts[0]) == swap.a_to_b else -1
        if amounts and got != swap.amounts[1]:
            return 1 if (got > swap.amounts[1]) == swap.a_to_b else -1
        return 0

    inside = meet(side, guess(pool, swap, (low + high) // 2))
    if inside is None:
        return None
    found = border(side, inside, -1), border(side, inside, 1)
    if amounts:
        outside = (pool.ends(found[0] - 1, swap), pool.ends(found[1] + 1, swap))
        pool.narrowed += any(end is not None and low <= end[0] <= high for end in outside)
    return found


def guess(pool, swap, price):
    """The price before a swap, if no tick was crossed."""
    liquidity = pool.liquidity(price)
    net = swap.amount * (1_000_000 - pool.state.fee_rate) // 1_000_000
    if not liquidity:
        return price
    if not swap.a_to_b:
        return price - (net << 64) // liquidity
    left = (liquidity << 64) - net * price
    return (liquidity * price << 64) // left if left > 0 else price


def meet(side, start):
    """A price that fits, looked for from a guess in doubling strides; None when there is none."""
    here = side(start)
    if here == 0:
        return start
    stride, near = 1, start
    while True:
        far = near - here * stride
        there = side(far)
        if there == 0:
            return far
        if there != here:
            break
        near, stride = far, stride * 2
        if stride >> 100:
            return None
    low, high = min(near, far), max(near, far)
    while high - low > 1:
        middle = (low + high) // 2
        where = side(middle)
        if where == 0:
            return middle
        low, high = (middle, high) if where < 0 else (low, middle)
    return None


def border(side, inside, direction):
    """The last price that fits, going from one that does in a direction."""
    stride, near = 1, inside
    while side(near + direction * stride) == 0:
        near, stride = near + direction * stride, stride * 2
    while stride > 1:
        stride //= 2
        if side(near + direction * stride) == 0:
            near += direction * stride
    return near


def solve(pool, change, price):
    """The range of a position of which only liquidity, amounts and tick arrays are known."""
    spacing, liquidity = pool.state.spacing, int(change.payload["dataLiquidityAmount"])
    lowers = candidates(pool, change.payload["keyTickArrayLower"])
    uppers = candidates(pool, change.payload["keyTickArrayUpper"])
    up = change.name == "increaseLiquidity"
    pairs = [(lower, upper) for lower in lowers for upper in uppers if lower < upper]
    found = [pair for pair in pairs if owed(liquidity, price, *pair, up=up) == change.amounts]
    assert len(found) == 1, (pool.address, change.payload["keyPosition"], spacing, found)
    return found[0]


def candidates(pool, array):
    """The ticks of a tick array, found by its address."""
    spacing = pool.state.spacing
    for start in range(array_start(-443636, spacing), 443637, 88 * spacing):
        if array_address(PROGRAM, pool.address, start) == array:
            return range(start, start + 88 * spacing, spacing)
    raise AssertionError(array)


def owed(liquidity, price, lower, upper, *, up):
    """Amounts A and B of a liquidity change at a price."""
    bottom, top = sqrt_price_at(lower), sqrt_price_at(upper)
    middle = min(max(price, bottom), top)
    return delta_a(liquidity, middle, top, up), delta_b(liquidity, bottom, middle, up)


def forward(pool, price, ranges):
    """Quotes every swap of a pool in turn, the accounts carried on. Returns a Counter of what came out.

    `meta ...` counts the accounts of the fallback instruction that equal the recorded ones.
    """
    state = pool.at(price)
    accounts = {pool.address: Account(PROGRAM, 10**9, encode_whirlpool(state, pool.account.data))}
    for vault, mint in ((state.vault_a, state.mint_a), (state.vault_b, state.mint_b)):
        accounts[vault] = vault_account(mint, pool.address)
    write(accounts, pool)
    counts = Counter()
    for happened in pool.happened:
        clock = Clock(happened.slot, happened.time, 300)
        if happened.name != "swap":
            amount = int(happened.payload["dataLiquidityAmount"])
            signed = amount if happened.name == "increaseLiquidity" else -amount
            lower, upper = ranges[happened.payload["keyPosition"]]
            pool.change(lower, upper, signed)
            write(accounts, pool)
            now = decode_whirlpool(accounts[pool.address])
            if lower <= now.tick < upper:
                now = replace(now, liquidity=now.liquidity + signed)
            owner, lamports, data = PROGRAM, 10**9, accounts[pool.address].data
            accounts[pool.address] = Account(owner, lamports, encode_whirlpool(now, data))
            continue
        state = decode_whirlpool(accounts[pool.address])
        mint_in = state.mint_a if happened.a_to_b else state.mint_b
        answer = quote(
            pool.address, accounts, mint_in=mint_in, amount=happened.amount, clock=clock, limit=happened.limit
        )
        counts["swaps"] += 1
        if isinstance(answer, Refusal):
            counts[f"refused {answer.code}"] += 1
            continue
        counts["exact"] += (answer.amount_in, answer.amount_out) == happened.amounts
        counts.update(same_accounts(pool, accounts, happened, mint_in, clock))
        accounts.update(answer.after)
        for vault, mint in ((state.vault_a, state.mint_a), (state.vault_b, state.mint_b)):
            accounts[vault] = vault_account(mint, pool.address)
    end = decode_whirlpool(accounts[pool.address])
    counts["end reached"] += (end.sqrt_price, end.tick, end.liquidity) == (
        pool.state.sqrt_price,
        pool.state.tick,
        pool.state.liquidity,
    )
    return counts


def same_accounts(pool, accounts, happened, mint_in, clock):
    """Which recorded accounts, and the data, the instruction `swap` as we build it names too."""
    keys = happened.payload
    (built,) = VENUE.instructions(
        pool.address, accounts, user=keys["keyTokenAuthority"], mint_in=mint_in, amount=happened.amount,
        other_amount=int(keys["dataOtherAmountThreshold"]), exact="in", clock=clock, fallback=True,
    )  # fmt: skip
    names = (
        "TokenProgram",
        "TokenAuthority",
        "Whirlpool",
        "TokenOwnerAccountA",
        "VaultA",
        "TokenOwnerAccountB",
    )
    names += ("VaultB", "TickArray0", "TickArray1", "TickArray2", "Oracle")
    same = {f"meta {n}" for n, m in zip(names, built.metas, strict=True) if m.pubkey == keys[f"key{n}"]}
    for place in ("1", "2"):
        if f"meta TickArray{place}" not in same and keys[f"keyTickArray{place}"] in keys_before(keys, place):
            same.add(f"repeated TickArray{place}")
    # We set no price limit (16 bytes of zeros); the day's clients named one.
    numbers = (
        (happened.amount, 8),
        (int(keys["dataOtherAmountThreshold"]), 8),
        (0, 16),
        (1, 1),
        (happened.a_to_b, 1),
    )
    data = b"".join(int(number).to_bytes(size, "little") for number, size in numbers)
    return Counter({*same, *({"data"} if built.data[8:] == data else ())})


def keys_before(keys, place):
    """The tick arrays that an instruction names before a place."""
    return [keys[f"keyTickArray{before}"] for before in range(int(place))]


def vault_account(mint, owner):
    """A vault with plenty in it: the balances of the day's morning are no input of a quote."""
    data = base58.decode(mint) + base58.decode(owner) + (2**62).to_bytes(8, "little") + bytes(36) + b"\1"
    return Account(TOKEN, 2_039_280, data + bytes(165 - len(data)))


def write(accounts, pool):
    """Writes the ticks of a pool into fixed tick arrays; starts beside them that hold none are absent."""
    span = 88 * pool.state.spacing
    arrays = pool.arrays()
    for start in range(min(arrays, default=0) - 3 * span, max(arrays, default=0) + 4 * span, span):
        address = array_address(PROGRAM, pool.address, start)
        if start not in arrays:
            accounts[address] = Account(SYSTEM, 0, b"")
            continue
        data = bytearray(9988)
        data[:12] = FIXED_ARRAY + start.to_bytes(4, "little", signed=True)
        data[9956:] = base58.decode(pool.address)
        for place, tick in arrays[start].ticks.items():
            at = 12 + 113 * place
            data[at : at + 33] = (
                b"\1" + tick.net.to_bytes(16, "little", signed=True) + tick.gross.to_bytes(16, "little")
            )
        accounts[address] = Account(PROGRAM, 10**9, bytes(data))
