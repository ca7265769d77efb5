"""Raydium AMM V4: a constant product pool of two SPL tokens, once with orders on an OpenBook market.

Source of layouts, gates and arithmetic: program `raydium-amm` up to its revision of July 2026, and its real
binary of before 26 Aug 2025 where rows were executed. All integers little-endian; no discriminator: a pool is
an account of the program with 752 bytes.

Generations: "legacy" rounds a quotient of zero half up instead of up, counts what was swapped in the pool
account, and adds what a pool of status 1 or 5 holds on its market. "strict" (rounding since 26 Aug 2025)
rounds up, counts nothing and knows no market, as the source does since July 2026.
"""

from collections.abc import Mapping
from struct import Struct as Layout

from msgspec import Struct

from ironcrab.dex import base58, openbook
from ironcrab.dex.address import TOKEN, associated, is_key
from ironcrab.dex.curve import U64, U128, ceil_div, half_up_ceil, impact_bps
from ironcrab.dex.face import (
    Account,
    Call,
    Clock,
    Created,
    Exact,
    Fee,
    Instruction,
    Liquidity,
    Meta,
    Parsed,
    Quote,
    Refusal,
    Swap,
    Transaction,
)
from ironcrab.dex.later import Later
from ironcrab.dex.mint import balance, is_frozen, moved
from ironcrab.dex.transfers import mint_of, moved_in, moved_out, trader_of

PROGRAM = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
AUTHORITY = "5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1"
"""Owner of all vaults: program address of the seed `amm authority`, bump 254."""

POOL_BYTES = 752
_POOL = Layout("<QQ160xQQQQ16xQ16xQ80x32s32s32s32s32s32s32s32s32s")
_INITIALIZED, _ORDER_BOOK_ONLY, _SWAP_ONLY, _WAITING_TRADE = 1, 5, 6, 7
"""Statuses that matter here; 7 is the last one there is."""

_INITIALIZE2, _DEPOSIT, _WITHDRAW, _SWAP_IN, _SWAP_OUT, _SWAP_IN_V2, _SWAP_OUT_V2 = 1, 3, 4, 9, 11, 16, 17
_SWAPS = (_SWAP_IN, _SWAP_OUT, _SWAP_IN_V2, _SWAP_OUT_V2)
_SWAP_DATA = Layout("<BQQ")
_SWAP_LOG = Layout("<BQQQQQQQ")
_COIN_TO_PC = 2


class Amm(Struct, frozen=True, gc=False):
    """A decoded pool account. Raw units; times in unix seconds; the swap fee is a ratio.

    `owed_coin` / `owed_pc` lie in the vaults but belong to the protocol.
    """

    status: int
    nonce: int
    fee_numerator: int
    fee_denominator: int
    owed_coin: int
    owed_pc: int
    open_time: int
    order_book_time: int
    coin_vault: str
    pc_vault: str
    coin_mint: str
    pc_mint: str
    lp_mint: str
    open_orders: str
    market: str
    market_program: str
    target_orders: str


class Fill(Struct, frozen=True, gc=False):
    """Amounts of a swap: in with its fee, out, the fee, and in without it. Raw units."""

    amount_in: int
    amount_out: int
    fee: int
    net: int


class Reserves(Struct, frozen=True, gc=False):
    """What the arithmetic of a swap needs: reserves in swap direction, the fee ratio, the rounding."""

    reserve_in: int
    reserve_out: int
    fee_numerator: int
    fee_denominator: int
    strict: bool

    def swap(self, amount: int, exact: Exact) -> Fill | Refusal:
        """Amounts of a swap of a u64 `amount`, or the refusal (29, 40, a panic without number)."""
        return self.exact_in(amount) if exact == "in" else self.exact_out(amount)

    def exact_in(self, amount: int) -> Fill | Refusal:
        """What a u64 `amount` paid in buys."""
        if self.fee_denominator == 0:
            return Refusal(None, "the program panics: the fee's denominator is 0")
        if self.strict:
            fee = -(-amount * self.fee_numerator // self.fee_denominator)
        else:
            fee = half_up_ceil(amount * self.fee_numerator, self.fee_denominator)
        net = amount - fee
        grown = self.reserve_in + net
        if net < 0 or grown == 0:
            return Refusal(None, "the program panics: the fee exceeds the amount, or the pool is empty")
        out = self.reserve_out * net // grown
        if out == 0:
            return Refusal(29, f"{amount} raw units buy nothing")
        if out >= self.reserve_out:
            return Refusal(40, f"the pool cannot pay {out} of its {self.reserve_out} raw units")
        return Fill(amount, out, fee, net)

    def exact_out(self, amount: int) -> Fill | Refusal:
        """What a u64 `amount` wanted costs."""
        if amount >= self.reserve_out:
            return Refusal(None, f"the program panics: {amount} wanted of {self.reserve_out} raw units")
        if self.fee_numerator >= self.fee_denominator:
            return Refusal(None, "the program panics: the fee is the whole amount")
        ceil = ceil_div if self.strict else half_up_ceil
        net = ceil(self.reserve_in * amount, self.reserve_out - amount)
        gross = net * self.fee_denominator
        paid = ceil(gross, self.fee_denominator - self.fee_numerator)
        if gross > U128 or paid > U64:
            return Refusal(None, "the program panics: the amount in exceeds a u64")
        if paid == 0 or amount == 0:
            return Refusal(29, f"{amount} raw units cost {paid}")
        return Fill(paid, amount, paid - net, net)


def decode(account: Account) -> Amm | Refusal:
    """A pool account (752 bytes), or the program's refusal of it (27 owner, 3 length, 22 uninitialised)."""
    if account.owner != PROGRAM:
        return Refusal(27, f"no Raydium AMM V4 pool: its owner is {account.owner}")
    if len(account.data) != POOL_BYTES:
        return Refusal(3, f"no Raydium AMM V4 pool: {len(account.data)} bytes, wanted {POOL_BYTES}")
    status, nonce, numerator, denominator, owed_coin, owed_pc, *times_and_keys = _POOL.unpack_from(account.data)
    if status == 0:
        return Refusal(22, "the pool is not initialised (status 0)")
    open_time, order_book_time, *keys = times_and_keys
    names = map(base58.key, keys)
    return Amm(status, nonce, numerator, denominator, owed_coin, owed_pc, open_time, order_book_time, *names)


class Side(Struct, frozen=True, gc=False):
    """One direction of a pool: its reserves, both vaults in that direction, and what they hold.

    `frozen` is why the token program would refuse the transfers that end a swap, or None.
    """

    reserves: Reserves
    vault_in: str
    vault_out: str
    held_in: int
    held_out: int
    frozen: Refusal | None


class Ready:
    """A pool decoded for many quotes, in order of first use; good while none of its accounts changes."""

    def __init__(self, pool: str, amm: Amm, accounts: Mapping[str, Account], *, legacy: bool) -> None:
        self.pool = pool
        self.amm = amm
        self.accounts = accounts
        self.legacy = legacy
        self.sides: dict[str, Side | Refusal] = {}
        self.gated = amm.status not in (_INITIALIZED, _SWAP_ONLY) or amm.coin_mint == amm.pc_mint

    def quote(
        self, *, mint_in: str, amount: int, exact: Exact = "in", clock: Clock, limit: int | None = None
    ) -> Quote | Refusal:
        """See `RaydiumAmm.quote`."""
        if limit is not None:
            return Refusal(None, "Raydium AMM V4 knows no price limit")
        if not 0 <= amount <= U64:
            return Refusal(None, f"amount {amount} is no u64")
        if self.gated:
            refusal = _gate(self.pool, self.amm, clock, legacy=self.legacy)
            if refusal is not None:
                return refusal
        side = self.sides.get(mint_in)
        if side is None:
            side = self.sides[mint_in] = _side(self.pool, self.amm, self.accounts, mint_in, legacy=self.legacy)
        if type(side) is Refusal:
            return side
        reserves = side.reserves
        fill = reserves.exact_in(amount) if exact == "in" else reserves.exact_out(amount)
        if type(fill) is Refusal:
            return fill
        if side.held_out < fill.amount_out:
            return Refusal(None, "the vault must first be filled from the market, which is not modelled")
        if side.frozen is not None:
            return side.frozen
        if side.held_in + fill.amount_in > U64:
            return Refusal(14, f"the vault {side.vault_in} cannot hold {fill.amount_in} raw units more")
        if self.legacy and _counters(self.accounts[self.pool], fill, coin_in=mint_in == self.amm.coin_mint) is None:
            return Refusal(None, "the program panics: a counter of what was swapped is full")
        return Quote(
            fill.amount_in,
            fill.amount_out,
            (Fee("lp", mint_in, fill.fee),) if fill.fee else (),
            impact_bps(fill.net, fill.amount_out, reserves.reserve_in, reserves.reserve_out),
            False,
            Later(self._after, (side, fill, mint_in, clock)),
        )

    def _after(self, side: Side, fill: Fill, mint_in: str, clock: Clock) -> dict[str, Account]:
        accounts, coin_in = self.accounts, mint_in == self.amm.coin_mint
        pool = _pool_after(accounts[self.pool], self.amm, fill, clock, coin_in=coin_in, legacy=self.legacy)
        return {
            self.pool: pool,
            side.vault_in: moved(accounts[side.vault_in], fill.amount_in),
            side.vault_out: moved(accounts[side.vault_out], -fill.amount_out),
        }


class RaydiumAmm:
    """The venue `raydium`."""

    id: str = "raydium"
    programs: tuple[str, ...] = (PROGRAM,)
    generations: tuple[tuple[str, str], ...] = (("strict", "published"), ("legacy", "executed"))

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """Swap (tags 9, 11, 16, 17), creation (1), deposit (3) or withdrawal (4) that this call made."""
        tag = call.data[0] if call.data else None
        if tag in _SWAPS:
            return _parse_swap(call, transaction)
        if tag == _INITIALIZE2:
            return _parse_created(call, transaction)
        if tag in (_DEPOSIT, _WITHDRAW):
            return _parse_liquidity(call, transaction)
        return ()

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """The pool, then its two vaults, as far as they are unknown; the same for both directions."""
        del mint_in
        if pool not in accounts:
            return (pool,)
        amm = decode(accounts[pool])
        if isinstance(amm, Refusal):
            return ()
        return tuple(vault for vault in (amm.coin_vault, amm.pc_vault) if vault not in accounts)

    def load(self, pool: str, accounts: Mapping[str, Account], generation: str | None) -> "Ready | Refusal":
        """The pool decoded for many quotes; what it lacks besides its own account each quote tells."""
        amm = decode(accounts[pool]) if pool in accounts else _unknown((pool,))
        return amm if isinstance(amm, Refusal) else Ready(pool, amm, accounts, legacy=generation == "legacy")

    def quote(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        mint_in: str,
        amount: int,
        exact: Exact = "in",
        clock: Clock,
        limit: int | None = None,
        generation: str | None = None,
    ) -> Quote | Refusal:
        """What the program would pay, or why not. The pool has no price limit: `limit` must be None.

        `after` holds the pool and its vaults. Error numbers are the program's own (`AmmError`).
        """
        ready = self.load(pool, accounts, generation)
        if isinstance(ready, Refusal):
            return ready
        return ready.quote(mint_in=mint_in, amount=amount, exact=exact, clock=clock, limit=limit)

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
        """Swap V2 (8 accounts, tags 16 and 17), or as fallback the form of 17 accounts (tags 9 and 11).

        Both pay from and to the associated accounts of `user`. Where the market account is not known, the
        fallback fills its places with the pool's key: they are not read unless the order book is on.
        """
        del clock
        amm = decode(accounts[pool]) if pool in accounts else _unknown((pool,))
        if isinstance(amm, Refusal):
            return amm
        if mint_in not in (amm.coin_mint, amm.pc_mint):
            return Refusal(42, f"{mint_in} is no mint of the pool {pool}")
        if not is_key(user):
            return Refusal(None, f"user {user!r} is no base58 key")
        if not (0 <= amount <= U64 and 0 <= other_amount <= U64):
            return Refusal(None, f"amounts {amount} and {other_amount} are no u64")
        mint_out = amm.pc_mint if mint_in == amm.coin_mint else amm.coin_mint
        users = (
            Meta(associated(user, mint_in, TOKEN), signer=False, writable=True),
            Meta(associated(user, mint_out, TOKEN), signer=False, writable=True),
            Meta(user, signer=True, writable=False),
        )
        places = _market_places(pool, amm, accounts) if fallback else ()
        metas = (
            Meta(TOKEN, signer=False, writable=False),
            Meta(pool, signer=False, writable=True),
            Meta(AUTHORITY, signer=False, writable=False),
            *places[:1],
            Meta(amm.coin_vault, signer=False, writable=True),
            Meta(amm.pc_vault, signer=False, writable=True),
            *places[1:],
            *users,
        )
        tags = (_SWAP_IN, _SWAP_OUT) if fallback else (_SWAP_IN_V2, _SWAP_OUT_V2)
        first, second = (amount, other_amount) if exact == "in" else (other_amount, amount)
        data = _SWAP_DATA.pack(tags[exact == "out"], first, second)
        return (Instruction(PROGRAM, metas, data),)

    def compute_units(self, quote: Quote) -> int:
        """45,000: real swaps used 29.6k to 32.5k with the old token program, 21k to 26k with the new one."""
        del quote
        return 45_000


VENUE = RaydiumAmm()


def _unknown(missing: tuple[str, ...]) -> Refusal:
    return Refusal(None, f"unknown accounts: {', '.join(missing)}", missing)


def _side(pool: str, amm: Amm, accounts: Mapping[str, Account], mint_in: str, *, legacy: bool) -> Side | Refusal:
    """What the gates leave to be looked at, in the program's order; reserves: vaults and orders less what is owed."""
    order_book = legacy and amm.status in (_INITIALIZED, _ORDER_BOOK_ONLY)
    wanted = (amm.coin_vault, amm.pc_vault) + ((amm.open_orders, amm.market) if order_book else ())
    missing = tuple(address for address in wanted if address not in accounts)
    if missing:
        return _unknown(missing)
    held = _in_orders(amm, accounts) if order_book else (0, 0)
    if isinstance(held, Refusal):
        return held
    vaults = _vault_amounts(amm, accounts)
    if isinstance(vaults, Refusal):
        return vaults
    coin, pc = vaults[0] + held[0] - amm.owed_coin, vaults[1] + held[1] - amm.owed_pc
    if coin < 0 or pc < 0:
        return Refusal(32, f"the pool {pool} owes more than its vaults hold")
    fee = amm.fee_numerator, amm.fee_denominator, not legacy
    frozen = _frozen(amm, accounts)
    if mint_in == amm.coin_mint:
        return Side(Reserves(coin, pc, *fee), amm.coin_vault, amm.pc_vault, *vaults, frozen)
    if mint_in == amm.pc_mint:
        return Side(Reserves(pc, coin, *fee), amm.pc_vault, amm.coin_vault, vaults[1], vaults[0], frozen)
    return Refusal(42, f"{mint_in} is no mint of the pool {pool}")


def _gate(pool: str, amm: Amm, clock: Clock, *, legacy: bool) -> Refusal | None:
    """Mints, status and open time. A pool that waits for trade (7) is open from its open time on."""
    if not legacy and amm.coin_mint == amm.pc_mint:
        return Refusal(59, f"both mints of the pool {pool} are {amm.coin_mint}")
    if legacy and amm.status == _ORDER_BOOK_ONLY and clock.unix_timestamp >= amm.order_book_time:
        return None
    if amm.status > _WAITING_TRADE:
        return Refusal(None, f"the program panics: there is no status {amm.status}")
    if amm.status not in (_INITIALIZED, _SWAP_ONLY, _WAITING_TRADE):
        return Refusal(22, f"status {amm.status} does not allow swaps")
    if amm.status == _WAITING_TRADE and clock.unix_timestamp < amm.open_time:
        return Refusal(22, f"the pool opens at {amm.open_time}, it is {clock.unix_timestamp}")
    return None


def _vault_amounts(amm: Amm, accounts: Mapping[str, Account]) -> tuple[int, int] | Refusal:
    """Amounts of both vaults, or the refusal of one that is no token account (38, 3)."""
    amounts = []
    for address in (amm.coin_vault, amm.pc_vault):
        vault = accounts[address]
        if vault.owner != TOKEN:
            return Refusal(38, f"the vault {address} belongs to {vault.owner}, not to {TOKEN}")
        amount = balance(vault)
        if amount is None:
            return Refusal(3, f"the vault {address} is no token account: {len(vault.data)} bytes")
        amounts.append(amount)
    return amounts[0], amounts[1]


def _frozen(amm: Amm, accounts: Mapping[str, Account]) -> Refusal | None:
    """The token program's refusal to move anything into or out of a frozen vault; the pool's program never looks."""
    frozen = next((vault for vault in (amm.coin_vault, amm.pc_vault) if is_frozen(accounts[vault])), None)
    return None if frozen is None else Refusal(17, f"the vault {frozen} is frozen")


def _in_orders(amm: Amm, accounts: Mapping[str, Account]) -> tuple[int, int] | Refusal:
    """What the pool holds on its market (coin, pc)."""
    market = openbook.decode_market(amm.market, accounts[amm.market], amm.market_program)
    if isinstance(market, Refusal):
        return market
    if market.event_queue not in accounts:
        return _unknown((market.event_queue,))
    return openbook.held(amm.open_orders, accounts[amm.open_orders], accounts[market.event_queue])


def _counters(account: Account, fill: Fill, *, coin_in: bool) -> tuple[tuple[int, bytes], ...] | None:
    """What the legacy generation counts in the pool account, as (offset, bytes); None where one is full.

    Coin in, pc out (u128 at 256, 272), fees in pc (u64 at 288), pc in, coin out (u128 at 296, 312), fees in coin
    (u64 at 328).
    """
    counters = (256, 16, fill.amount_in), (272, 16, fill.amount_out), (328, 8, fill.fee)
    if not coin_in:
        counters = (296, 16, fill.amount_in), (312, 16, fill.amount_out), (288, 8, fill.fee)
    totals = [(at, size, int.from_bytes(account.data[at : at + size], "little") + more) for at, size, more in counters]
    if any(total >= 2 ** (8 * size) for _, size, total in totals):
        return None
    return tuple((at, total.to_bytes(size, "little")) for at, size, total in totals)


def _pool_after(account: Account, amm: Amm, fill: Fill, clock: Clock, *, coin_in: bool, legacy: bool) -> Account:
    """The pool account after a swap: status, epoch, and in the legacy generation what was swapped so far."""
    data = bytearray(account.data)
    opened = {_WAITING_TRADE: _SWAP_ONLY}
    if legacy:
        opened[_ORDER_BOOK_ONLY] = _INITIALIZED
        for at, total in _counters(account, fill, coin_in=coin_in) or ():
            data[at : at + len(total)] = total
    data[0:8] = opened.get(amm.status, amm.status).to_bytes(8, "little")
    data[736:744] = (clock.epoch & U64).to_bytes(8, "little")
    return Account(account.owner, account.lamports, bytes(data))


def _market_places(pool: str, amm: Amm, accounts: Mapping[str, Account]) -> tuple[Meta, ...]:
    """Open orders and the eight market accounts of the long form, or the pool's key where unread."""
    market: openbook.Market | Refusal = Refusal(None, "unknown")
    if amm.market in accounts:
        market = openbook.decode_market(amm.market, accounts[amm.market], amm.market_program)
    if isinstance(market, Refusal) or market.vault_signer is None:
        return (Meta(pool, signer=False, writable=True),) * 9
    writable = (amm.market, market.bids, market.asks, market.event_queue, market.coin_vault, market.pc_vault)
    return (
        Meta(amm.open_orders, signer=False, writable=True),
        Meta(amm.market_program, signer=False, writable=False),
        *(Meta(key, signer=False, writable=True) for key in writable),
        Meta(market.vault_signer, signer=False, writable=False),
    )


def _parse_swap(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """The swap of one call: amounts from its two transfers, else from its ray_log; reserves from the log.

    Vaults stand in the order coin, pc, whatever the direction.
    """
    accounts = call.accounts
    if call.data[0] in (_SWAP_IN_V2, _SWAP_OUT_V2):
        if len(accounts) < 8:
            return ()
        coin, pc, owner = accounts[3], accounts[4], accounts[7]
    else:
        if len(accounts) not in (17, 18):
            return ()
        coin, pc, owner = accounts[-13], accounts[-12], accounts[-1]
    log = _swap_log(call)
    flow = _flow(call, transaction, coin, pc) or (log[:3] if log else None)
    mints = mint_of(call, coin, transaction), mint_of(call, pc, transaction)
    if flow is None or mints[0] is None or mints[1] is None:
        return ()
    to_pc, amount_in, amount_out = flow
    reserves: tuple[int | None, int | None] = (None, None)
    if log is not None and log[:3] == flow:
        before = log[3:] if to_pc else (log[4], log[3])
        reserves = before[0] + amount_in, max(0, before[1] - amount_out)
    swap = Swap(
        pool=accounts[1],
        position=call.position,
        trader=trader_of(owner, transaction),
        mint_in=mints[0] if to_pc else mints[1],
        mint_out=mints[1] if to_pc else mints[0],
        amount_in=amount_in,
        amount_out=amount_out,
        reserve_in=reserves[0],
        reserve_out=reserves[1],
        mint_b=mints[1],
    )
    return (swap,)


def _flow(call: Call, transaction: Transaction, coin: str, pc: str) -> tuple[bool, int, int] | None:
    """Direction (coin to pc), amount in and out, as the direct token transfers show them."""
    for to_pc, source, destination in ((True, coin, pc), (False, pc, coin)):
        amount_in, amount_out = moved_in(call, source, transaction), moved_out(call, destination)
        if amount_in is not None and amount_out is not None:
            return to_pc, amount_in, amount_out
    return None


def _swap_log(call: Call) -> tuple[bool, int, int, int, int] | None:
    """The ray_log of a swap: direction (coin to pc), amounts in and out, reserves of coin and pc before it.

    57 bytes: type 3 has the amount in second and the amount out last, type 4 the other way round.
    """
    for log in call.logs:
        if len(log) == _SWAP_LOG.size and log[0] in (3, 4):
            kind, first, second, direction, _, coin, pc, last = _SWAP_LOG.unpack(log)
            amounts = (first, last) if kind == 3 else (last, second)
            return direction == _COIN_TO_PC, *amounts, coin, pc
    return None


def _parse_created(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """initialize2 with 21 accounts, or with 19 (neither open orders nor market program) since July 2026."""
    accounts = call.accounts
    if len(call.data) < 26 or len(accounts) not in (19, 21):
        return ()
    off = 1 if len(accounts) == 21 else 0
    coin_mint, pc_mint, coin, pc = accounts[7 + off : 11 + off]
    pc_told, coin_told = (int.from_bytes(call.data[at : at + 8], "little") for at in (10, 18))
    coin_in, pc_in = moved_in(call, coin, transaction), moved_in(call, pc, transaction)
    created = Created(
        pool=accounts[4],
        position=call.position,
        mint_a=coin_mint,
        mint_b=pc_mint,
        amount_a=coin_told if coin_in is None else coin_in,
        amount_b=pc_told if pc_in is None else pc_in,
        creator=accounts[-4],
        accounts=(coin, pc),
    )
    return (created,)


def _parse_liquidity(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """Deposit (11, 14 or 15 accounts) or withdrawal (11 or 20 to 23); the transfers tell the amounts."""
    accounts = call.accounts
    added = call.data[0] == _DEPOSIT
    if len(accounts) not in ((11, 14, 15) if added else (11, 20, 21, 22, 23)):
        return ()
    short = len(accounts) == 11
    coin, pc = accounts[5:7] if short else accounts[6:8]
    if short:
        owner = accounts[10]
    elif added:
        owner = accounts[12]
    else:
        owner = accounts[16 if len(accounts) < 22 else 18]
    if added:
        amounts = moved_in(call, coin, transaction), moved_in(call, pc, transaction)
    else:
        amounts = moved_out(call, coin), moved_out(call, pc)
    mints = mint_of(call, coin, transaction), mint_of(call, pc, transaction)
    if amounts == (None, None) or mints[0] is None or mints[1] is None:
        return ()
    liquidity = Liquidity(
        pool=accounts[1],
        position=call.position,
        added=added,
        mint_a=mints[0],
        mint_b=mints[1],
        amount_a=amounts[0] or 0,
        amount_b=amounts[1] or 0,
        owner=owner,
    )
    return (liquidity,)
