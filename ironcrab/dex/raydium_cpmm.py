"""Raydium CPMM: a constant product pool for SPL and Token-2022 mints, its fees kept inside the vaults.

Source of layouts, gates and arithmetic: program `raydium-cp-swap` up to its revision of December 2025, and a
real binary of before August 2025 where rows were executed. Anchor accounts, packed, little-endian.

Generations: "legacy" (before August 2025) has no creator fee and rounds a quotient of zero half up; "creator"
(August to November 2025) takes trade and creator fee of an exact input apart; "joint" (since 4 November 2025)
takes them together and splits them.
"""

from collections.abc import Mapping
from struct import Struct as Layout

from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.address import SYSTEM, TOKEN_2022, TOKEN_PROGRAMS, associated, is_key
from ironcrab.dex.curve import U64, impact_bps
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
from ironcrab.dex.mint import (
    Mint,
    amount_of,
    balance,
    decode_mint,
    is_frozen,
    moved,
    schedule,
    transfer_refusal,
)
from ironcrab.dex.raydium_cpmm_swap import Fill, Terms
from ironcrab.dex.transfers import moved_in, moved_out, trader_of

PROGRAM = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"
AUTHORITY = "GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL"
"""Owner of all vaults: program address of the seed `vault_and_lp_mint_auth_seed`, bump 253."""

POOL_BYTES = 637
CONFIG_BYTES = 236
_POOL_MARK = bytes.fromhex("f7ede3f5d7c3de46")
_CONFIG_MARK = bytes.fromhex("daf42168cbcb2b6f")
_POOL = Layout("<8x32s32x32s32s32s32s32s32s32s32sxB3xQQQQQQ8xBB6xQQ")
_CONFIG = Layout("<10xHQQQ72xQ")
_NO_SWAP = 4

_SWAP_IN = bytes.fromhex("8fbe5adac41e33de")
_SWAP_OUT = bytes.fromhex("37d96256a34ab4ad")
_INITIALIZE = bytes.fromhex("afaf6d1f0d989bed")
_INITIALIZE_WITH_PERMISSION = bytes.fromhex("3f37fe4131b25979")
_DEPOSIT = bytes.fromhex("f223c68952e1f2b6")
_WITHDRAW = bytes.fromhex("b712469c946da122")
_AMOUNTS = Layout("<QQ")
_SWAP_EVENT = bytes.fromhex("40c6cde8260871e2")
_EVENT_HEAD = Layout("<8s32sQQQQQQ?")
_EVENT_TAIL = Layout("<32s32sQQ?")
_EVENT_SIZES = (_EVENT_HEAD.size, _EVENT_HEAD.size + _EVENT_TAIL.size)


class Cpmm(Struct, frozen=True, gc=False):
    """A decoded pool account. Raw units; `open_time` in unix seconds.

    `status` has bit 2 set when swaps are off. `creator_fee_on` is 0 for the input token, 1 for token 0 only,
    2 for token 1 only. The fees owed lie in the vaults but are no part of the reserves.
    """

    status: int
    lp_supply: int
    protocol_0: int
    protocol_1: int
    fund_0: int
    fund_1: int
    open_time: int
    creator_fee_on: int
    creator_fee_enabled: int
    creator_0: int
    creator_1: int
    config: str
    vault_0: str
    vault_1: str
    lp_mint: str
    mint_0: str
    mint_1: str
    program_0: str
    program_1: str
    observation: str


class Config(Struct, frozen=True, gc=False):
    """A decoded fee configuration. Rates per million; protocol and fund are shares of the trade fee."""

    index: int
    trade_rate: int
    protocol_rate: int
    fund_rate: int
    creator_rate: int


def decode(account: Account) -> Cpmm | Refusal:
    """A pool account (637 bytes or more), or the refusal of it by Anchor. Never raises."""
    wrong = _anchor(account, _POOL_MARK, POOL_BYTES, "pool")
    if wrong is not None:
        return wrong
    fields = _POOL.unpack_from(account.data)
    return Cpmm(*fields[9:], *map(base58.key, fields[:9]))


def decode_config(account: Account) -> Config | Refusal:
    """A fee configuration (236 bytes or more), or the refusal of it by Anchor. Never raises."""
    wrong = _anchor(account, _CONFIG_MARK, CONFIG_BYTES, "configuration")
    if wrong is not None:
        return wrong
    return Config(*_CONFIG.unpack_from(account.data))


def _anchor(account: Account, mark: bytes, size: int, what: str) -> Refusal | None:
    """Anchor's refusal: 3012 absent, 3007 owner, 3001 no discriminator, 3002 another one, 3003 cut short."""
    if account.owner == SYSTEM and account.lamports == 0:
        return Refusal(3012, f"the {what} account does not exist")
    if account.owner != PROGRAM:
        return Refusal(3007, f"no Raydium CPMM {what}: its owner is {account.owner}")
    if len(account.data) < 8:
        return Refusal(3001, f"no Raydium CPMM {what}: {len(account.data)} bytes")
    if account.data[:8] != mark:
        return Refusal(3002, f"no Raydium CPMM {what}: it begins with {account.data[:8].hex()}")
    if len(account.data) < size:
        return Refusal(3003, f"no Raydium CPMM {what}: {len(account.data)} bytes, wanted {size}")
    return None


_NO_TERMS: tuple[int, Terms | Refusal | None] = (0, None)


class Ready:
    """A pool decoded for many quotes, terms in order of first use; good while none of its accounts changes."""

    def __init__(self, pool: str, cpmm: Cpmm, accounts: Mapping[str, Account], generation: str) -> None:
        self.pool = pool
        self.cpmm = cpmm
        self.accounts = accounts
        self.generation = generation
        self.terms: dict[str, tuple[int, Terms | Refusal | None]] = {}

    def quote(
        self, *, mint_in: str, amount: int, exact: Exact = "in", clock: Clock, limit: int | None = None
    ) -> Quote | Refusal:
        """See `RaydiumCpmm.quote`."""
        if limit is not None:
            return Refusal(None, "Raydium CPMM knows no price limit")
        if not 0 <= amount <= U64:
            return Refusal(None, f"amount {amount} is no u64")
        cpmm = self.cpmm
        gate = _gate(cpmm, mint_in, clock, zero_out=exact == "out" and amount == 0, generation=self.generation)
        if gate is not None:
            return gate
        epoch, terms = self.terms.get(mint_in, _NO_TERMS)
        if terms is None or epoch != clock.epoch:
            terms = _terms(cpmm, self.accounts, mint_in, clock, self.generation)
            self.terms[mint_in] = clock.epoch, terms
        if type(terms) is Refusal:
            return terms
        fill = terms.swap(amount, exact)
        if type(fill) is Refusal:
            return fill
        zero_in = mint_in == cpmm.mint_0
        unfit = _unfit(cpmm, self.accounts, fill, zero_in=zero_in, on_input=terms.creator_on_input)
        if terms.blocked is not None:
            return terms.blocked
        if unfit is not None:
            return unfit
        mint_out = cpmm.mint_1 if zero_in else cpmm.mint_0
        return Quote(
            fill.paid,
            fill.received,
            _fees(fill, mint_in, mint_out, on_input=terms.creator_on_input),
            impact_bps(fill.net, fill.gross, terms.reserve_in, terms.reserve_out),
            False,
            Later(_after, (self.pool, cpmm, self.accounts, fill, clock, zero_in, terms.creator_on_input)),
        )


class RaydiumCpmm:
    """The venue `raydium_cpmm`."""

    id: str = "raydium_cpmm"
    programs: tuple[str, ...] = (PROGRAM,)
    generations: tuple[tuple[str, str], ...] = (
        ("joint", "published"),
        ("creator", "published"),
        ("legacy", "executed"),
    )

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """Swap, creation (plain or with permission), deposit or withdrawal that this call made."""
        head = call.data[:8]
        if head in (_SWAP_IN, _SWAP_OUT):
            return _parse_swap(call, transaction)
        if head in (_INITIALIZE, _INITIALIZE_WITH_PERMISSION):
            return _parse_created(call, transaction)
        if head in (_DEPOSIT, _WITHDRAW):
            return _parse_liquidity(call, transaction)
        return ()

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """The pool, then its configuration, vaults and Token-2022 mints, as far as they are unknown."""
        del mint_in
        if pool not in accounts:
            return (pool,)
        cpmm = decode(accounts[pool])
        return () if isinstance(cpmm, Refusal) else _missing(cpmm, accounts)

    def load(self, pool: str, accounts: Mapping[str, Account], generation: str | None) -> "Ready | Refusal":
        """The pool decoded for many quotes; what it lacks besides its own account each quote tells."""
        cpmm = decode(accounts[pool]) if pool in accounts else _unknown((pool,))
        if isinstance(cpmm, Refusal):
            return cpmm
        return Ready(pool, cpmm, accounts, generation or self.generations[0][0])

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

        `after` holds the pool and its vaults; the price observations, which no quote reads, are left out.
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
        """swap_base_input or swap_base_output (13 accounts). There is no other form to fall back to.

        It pays from and to the associated accounts of `user`, each of its mint's token program.
        """
        del clock, fallback
        cpmm = decode(accounts[pool]) if pool in accounts else _unknown((pool,))
        if isinstance(cpmm, Refusal):
            return cpmm
        if mint_in not in (cpmm.mint_0, cpmm.mint_1):
            return Refusal(None, f"{mint_in} is no mint of the pool {pool}")
        if not is_key(user):
            return Refusal(None, f"user {user!r} is no base58 key")
        if not (0 <= amount <= U64 and 0 <= other_amount <= U64):
            return Refusal(None, f"amounts {amount} and {other_amount} are no u64")
        sides = [
            (cpmm.mint_0, cpmm.program_0, cpmm.vault_0),
            (cpmm.mint_1, cpmm.program_1, cpmm.vault_1),
        ]
        source, destination = sides if mint_in == cpmm.mint_0 else reversed(sides)
        metas = (
            Meta(user, signer=True, writable=False),
            _readonly(AUTHORITY),
            _readonly(cpmm.config),
            _writable(pool),
            _writable(associated(user, source[0], source[1])),
            _writable(associated(user, destination[0], destination[1])),
            _writable(source[2]),
            _writable(destination[2]),
            *map(_readonly, (source[1], destination[1], source[0], destination[0])),
            _writable(cpmm.observation),
        )
        first, second = (amount, other_amount) if exact == "in" else (other_amount, amount)
        data = (_SWAP_IN if exact == "in" else _SWAP_OUT) + _AMOUNTS.pack(first, second)
        return (Instruction(PROGRAM, metas, data),)

    def compute_units(self, quote: Quote) -> int:
        """75,000: real swaps used 38.9k to 53.3k, executed ones of an old build 32k to 45k."""
        del quote
        return 75_000


VENUE = RaydiumCpmm()


def _readonly(key: str) -> Meta:
    return Meta(key, signer=False, writable=False)


def _writable(key: str) -> Meta:
    return Meta(key, signer=False, writable=True)


def _unknown(missing: tuple[str, ...]) -> Refusal:
    return Refusal(None, f"unknown accounts: {', '.join(missing)}", missing)


def _missing(cpmm: Cpmm, accounts: Mapping[str, Account]) -> tuple[str, ...]:
    """Unknown addresses among configuration, vaults and Token-2022 mints; classic mints do not matter."""
    sides = (cpmm.mint_0, cpmm.program_0), (cpmm.mint_1, cpmm.program_1)
    mints = tuple(mint for mint, program in sides if program == TOKEN_2022)
    wanted = (cpmm.config, cpmm.vault_0, cpmm.vault_1, *mints)
    return tuple(address for address in wanted if address not in accounts)


def _gate(cpmm: Cpmm, mint_in: str, clock: Clock, *, zero_out: bool, generation: str) -> Refusal | None:
    """What the program looks at before any vault: amount wanted, status, open time, mints."""
    if zero_out and generation != "legacy":
        return Refusal(2505, "nothing is wanted")
    if cpmm.status & _NO_SWAP:
        return Refusal(6000, f"status {cpmm.status} does not allow swaps")
    if clock.unix_timestamp < cpmm.open_time:
        return Refusal(6000, f"the pool opens at {cpmm.open_time}, it is {clock.unix_timestamp}")
    if mint_in not in (cpmm.mint_0, cpmm.mint_1):
        return Refusal(6008, f"{mint_in} is no mint of the pool")
    program_out = cpmm.program_1 if mint_in == cpmm.mint_0 else cpmm.program_0
    if zero_out and program_out == TOKEN_2022:
        return Refusal(6003, "nothing is wanted of a Token-2022 mint")
    return None


def _terms(cpmm: Cpmm, accounts: Mapping[str, Account], mint_in: str, clock: Clock, generation: str) -> Terms | Refusal:
    """Reserves (vaults less the fees owed), rates and transfer fees of a swap in one direction."""
    missing = _missing(cpmm, accounts)
    if missing:
        return _unknown(missing)
    config = decode_config(accounts[cpmm.config])
    if isinstance(config, Refusal):
        return config
    mints = []
    for mint, program in ((cpmm.mint_0, cpmm.program_0), (cpmm.mint_1, cpmm.program_1)):
        decoded = decode_mint(accounts[mint]) if program == TOKEN_2022 else None
        if isinstance(decoded, Refusal):
            return Refusal(None, f"mint {mint}: {decoded.reason}")
        mints.append(decoded)
    fees = [None if mint is None else schedule(mint, clock.epoch) for mint in mints]
    amounts = _vault_amounts(cpmm, accounts)
    if isinstance(amounts, Refusal):
        return amounts
    legacy = generation == "legacy"
    told = _reserves(cpmm, amounts, generation)
    reserves, barren = ((0, 0), told) if isinstance(told, Refusal) else (told, None)
    if barren is None and cpmm.creator_fee_on > 2 and not legacy:
        barren = Refusal(6013, f"creator fee model {cpmm.creator_fee_on} is unknown")
    way = (0, 1) if mint_in == cpmm.mint_0 else (1, 0)
    return Terms(
        reserve_in=reserves[way[0]],
        reserve_out=reserves[way[1]],
        trade_rate=config.trade_rate,
        protocol_rate=config.protocol_rate,
        fund_rate=config.fund_rate,
        creator_rate=config.creator_rate if cpmm.creator_fee_enabled and not legacy else 0,
        creator_on_input=not legacy and cpmm.creator_fee_on in (0, way[0] + 1),
        fee_in=fees[way[0]],
        fee_out=fees[way[1]],
        generation=generation,
        barren=barren,
        blocked=_blocked(cpmm, accounts, mints, way),
    )


def _vault_amounts(cpmm: Cpmm, accounts: Mapping[str, Account]) -> tuple[int, int] | Refusal:
    """What both vaults hold, or Anchor's refusal of one that is no token account."""
    amounts = []
    for address in (cpmm.vault_0, cpmm.vault_1):
        vault = accounts[address]
        amount = balance(vault)
        if amount is None:
            absent = vault.owner == SYSTEM and vault.lamports == 0
            code = 3012 if absent else None if vault.owner in TOKEN_PROGRAMS else 3007
            return Refusal(code, f"the vault {address} is no token account")
        amounts.append(amount)
    return amounts[0], amounts[1]


def _reserves(cpmm: Cpmm, amounts: tuple[int, int], generation: str) -> tuple[int, int] | Refusal:
    """Both vaults less the fees owed; 6011 when their sum, 6012 when the rest is no u64."""
    legacy = generation == "legacy"
    owed = (
        cpmm.protocol_0 + cpmm.fund_0 + (0 if legacy else cpmm.creator_0),
        cpmm.protocol_1 + cpmm.fund_1 + (0 if legacy else cpmm.creator_1),
    )
    if max(owed) > U64:
        return Refusal(None if legacy else 6011, "the fees owed exceed a u64")
    reserves = amounts[0] - owed[0], amounts[1] - owed[1]
    if min(reserves) < 0:
        return Refusal(None if legacy else 6012, "the pool owes more than its vaults hold")
    if min(reserves) == 0:
        return Refusal(None, "the program panics: a reserve is 0")
    return reserves


def _blocked(
    cpmm: Cpmm, accounts: Mapping[str, Account], mints: list[Mint | None], way: tuple[int, int]
) -> Refusal | None:
    """Why the token program would refuse the transfers that end a swap: frozen vault, mint; the input's is first."""
    sides = (cpmm.mint_0, cpmm.vault_0), (cpmm.mint_1, cpmm.vault_1)
    for place in way:
        address, vault = sides[place]
        if is_frozen(accounts[vault]):
            return Refusal(17, f"the vault {vault} is frozen")
        mint = mints[place]
        refusal = transfer_refusal(mint, address) if mint is not None else None
        if refusal is not None:
            return refusal
    return None


def _unfit(cpmm: Cpmm, accounts: Mapping[str, Account], fill: Fill, *, zero_in: bool, on_input: bool) -> Refusal | None:
    """What a swap would break at its end: a vault, or a u64 of fees owed."""
    source = cpmm.vault_0 if zero_in else cpmm.vault_1
    entered = fill.paid - fill.fee_in
    if amount_of(accounts[source]) + entered > U64:
        return Refusal(14, f"the vault {source} cannot hold {entered} raw units more")
    owed = (cpmm.protocol_0, cpmm.fund_0) if zero_in else (cpmm.protocol_1, cpmm.fund_1)
    creator = cpmm.creator_0 if zero_in == on_input else cpmm.creator_1
    if owed[0] + fill.protocol > U64 or owed[1] + fill.fund > U64 or creator + fill.creator > U64:
        return Refusal(None, "the program panics: the fees owed exceed a u64")
    return None


def _after(
    pool: str,
    cpmm: Cpmm,
    accounts: Mapping[str, Account],
    fill: Fill,
    clock: Clock,
    zero_in: bool,
    on_input: bool,
) -> dict[str, Account]:
    """Pool and vaults after a swap. Protocol and fund fees are owed in the input, the creator's where told.

    Buckets (u64, token 0 then token 1): protocol 341, fund 357, creator 397; epoch 381.
    """
    source, destination = (cpmm.vault_0, cpmm.vault_1) if zero_in else (cpmm.vault_1, cpmm.vault_0)
    data = bytearray(accounts[pool].data)
    side = 0 if zero_in else 8
    creator_side = side if on_input else 8 - side
    for at, more in (
        (341 + side, fill.protocol),
        (357 + side, fill.fund),
        (397 + creator_side, fill.creator),
    ):
        owed = int.from_bytes(data[at : at + 8], "little") + more
        data[at : at + 8] = owed.to_bytes(8, "little")
    data[381:389] = (clock.epoch & U64).to_bytes(8, "little")
    account = accounts[pool]
    return {
        pool: Account(account.owner, account.lamports, bytes(data)),
        source: moved(accounts[source], fill.paid - fill.fee_in, fill.fee_in),
        destination: moved(accounts[destination], -fill.left),
    }


def _fees(fill: Fill, mint_in: str, mint_out: str, *, on_input: bool) -> tuple[Fee, ...]:
    """Every fee of a swap that is not 0, by name."""
    lp = fill.trade - fill.protocol - fill.fund
    fees = [Fee("lp", mint_in, lp)] if lp else []
    if fill.protocol:
        fees.append(Fee("protocol", mint_in, fill.protocol))
    if fill.fund:
        fees.append(Fee("fund", mint_in, fill.fund))
    if fill.creator:
        fees.append(Fee("creator", mint_in if on_input else mint_out, fill.creator))
    if fill.fee_in:
        fees.append(Fee("transfer", mint_in, fill.fee_in))
    if fill.fee_out:
        fees.append(Fee("transfer", mint_out, fill.fee_out))
    return tuple(fees)


def _parse_swap(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """The swap of one call; what the vaults got and gave, from its event, else from its token transfers.

    The event tells the reserve of the output after the swap; that of the input would need the shares of the
    trade fee that leave it, which no event tells.
    """
    accounts = call.accounts
    if len(accounts) < 13:
        return ()
    event = _swap_event(call, accounts[3])
    if event is not None:
        amount_in, amount_out, reserve_out, fees = event
    else:
        moved = moved_in(call, accounts[6], transaction), moved_out(call, accounts[7])
        if moved[0] is None or moved[1] is None:
            return ()
        amount_in, amount_out, reserve_out, fees = moved[0], moved[1], None, ()
    swap = Swap(
        pool=accounts[3],
        position=call.position,
        trader=trader_of(accounts[0], transaction),
        mint_in=accounts[10],
        mint_out=accounts[11],
        amount_in=amount_in,
        amount_out=amount_out,
        fees=fees,
        reserve_out=reserve_out,
    )
    return (swap,)


def _swap_event(call: Call, pool: str) -> tuple[int, int, int, tuple[Fee, ...]] | None:
    """Amounts that entered and left the vaults, output reserve after the swap, and fees, from the SwapEvent.

    89 bytes before August 2025, 170 since. Other programs emit the same discriminator: size and pool decide.
    The input amount is net of a Token-2022 fee, the output amount is before one.
    """
    for log in call.logs:
        if len(log) not in _EVENT_SIZES or log[:8] != _SWAP_EVENT or base58.key(log[8:40]) != pool:
            continue
        _, _, _, before_out, amount_in, amount_out, fee_in, fee_out, _ = _EVENT_HEAD.unpack_from(log)
        mint_in, mint_out = call.accounts[10:12]
        fees = [Fee("transfer", mint_in, fee_in), Fee("transfer", mint_out, fee_out)]
        left = amount_out
        if len(log) == _EVENT_SIZES[1]:
            _, _, trade, creator, on_input = _EVENT_TAIL.unpack_from(log, _EVENT_HEAD.size)
            creator_mint = mint_in if on_input else mint_out
            fees = [Fee("trade", mint_in, trade), Fee("creator", creator_mint, creator), *fees]
            left += 0 if on_input else creator
        return amount_in, amount_out, max(0, before_out - left), tuple(fee for fee in fees if fee.amount)
    return None


def _parse_created(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """Plain creation (20 accounts) or one with permission (21: payer first, so all others one further)."""
    accounts = call.accounts
    permitted = call.data[:8] == _INITIALIZE_WITH_PERMISSION
    off = 1 if permitted else 0
    if len(accounts) < 20 + off or len(call.data) < 32:
        return ()
    vaults = accounts[10 + off : 12 + off]
    told = (int.from_bytes(call.data[at : at + 8], "little") for at in (8, 16))
    moved = (moved_in(call, vault, transaction) for vault in vaults)
    amounts = tuple(said if real is None else real for said, real in zip(told, moved, strict=True))
    created = Created(
        pool=accounts[3 + off],
        position=call.position,
        mint_a=accounts[4 + off],
        mint_b=accounts[5 + off],
        amount_a=amounts[0],
        amount_b=amounts[1],
        creator=accounts[off],
        accounts=(accounts[1 + off], *vaults),
    )
    return (created,)


def _parse_liquidity(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """Deposit (13 accounts) or withdrawal (14), of which the transfers tell the amounts."""
    accounts = call.accounts
    if len(accounts) < 13:
        return ()
    added = call.data[:8] == _DEPOSIT
    moved = tuple(moved_in(call, vault, transaction) if added else moved_out(call, vault) for vault in accounts[6:8])
    if moved == (None, None):
        return ()
    liquidity = Liquidity(
        pool=accounts[2],
        position=call.position,
        added=added,
        mint_a=accounts[10],
        mint_b=accounts[11],
        amount_a=moved[0] or 0,
        amount_b=moved[1] or 0,
        owner=accounts[0],
    )
    return (liquidity,)
