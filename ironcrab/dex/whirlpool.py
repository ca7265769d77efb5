"""Orca Whirlpool, both deployments: what a pool needs to be known, quotes, instructions, parsing.

A quote is a decoded `Pool` asked for a trade. The arithmetic stands in `whirlpool_swap`, the accounts in
`whirlpool_state`, the reading of calls in `whirlpool_calls`. Truth: the real program executed (see the vectors),
and orca-so/whirlpools `instructions/v2/swap.rs` for the order of its checks.
"""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from ironcrab.dex import base58
from ironcrab.dex.address import MEMO, TOKEN, associated, find_program_address, is_key
from ironcrab.dex.face import (
    Account,
    Call,
    Clock,
    Exact,
    Fee,
    Instruction,
    Meta,
    Parsed,
    Quote,
    Refusal,
    Transaction,
)
from ironcrab.dex.mint import (
    Mint,
    TokenAccount,
    amount_before_fee,
    decode_mint,
    decode_token,
    fee_on,
    moved,
    transfer_refusal,
)
from ironcrab.dex.ticks import array_start, swap_starts
from ironcrab.dex.whirlpool_calls import discriminator, parse
from ironcrab.dex.whirlpool_state import (
    DYNAMIC_ARRAY,
    FIXED_ARRAY,
    IMMUTABLE,
    ORACLE,
    PROGRAM,
    Oracle,
    Reward,
    Tick,
    TickArray,
    Whirlpool,
    decode_array,
    decode_oracle,
    decode_whirlpool,
    encode_array,
    encode_oracle,
    encode_whirlpool,
)
from ironcrab.dex.whirlpool_swap import (
    ARRAYS_EXHAUSTED,
    NO_FIRST_ARRAY,
    U64,
    U128,
    Fault,
    Filled,
    Path,
    fill,
    path_of,
)

_OTHER_POOL = 6056
_NEGATIVE_TIME = 6021
_TRANSFER_FEE = 6052
_NOT_OPEN = 6064
_INSUFFICIENT = 1
_OVERFLOW = 14
_FROZEN = 17
_NO_MINT = base58.encode(bytes(32))


class Pool(Struct):
    """All that a quote reads, decoded once: it is good for as long as none of its accounts changes.

    Attributes:
        address: the pool's address.
        program: the deployment that owns it.
        state: the pool account.
        arrays: tick arrays by start; None for one that does not exist, no key for an unknown one.
        oracle: the adaptive-fee account, None where there is none.
        mints: mints A and B; None for a mint of SPL Token that was told by its vault alone.
        vaults: vaults A and B, None where unknown.
        barred: why no swap of this pool can move its tokens, None if it can.
        paths: what was reckoned for one direction (a_to_b) and is good for the next quote.
    """

    address: str
    program: str
    state: Whirlpool
    arrays: dict[int, TickArray | None]
    oracle: Oracle | None
    mints: tuple[Mint | None, Mint | None]
    vaults: tuple[TokenAccount | None, TokenAccount | None]
    barred: Refusal | None = None
    paths: dict[bool, Path] = field(default_factory=dict)


class Trade(Struct, frozen=True, gc=False):
    """A swap as the user sees it: raw units from and to the token accounts, transfer fees, and what the pool did."""

    a_to_b: bool
    amount_in: int
    amount_out: int
    transfer_in: int
    transfer_out: int
    price_impact_bps: int
    filled: Filled


def array_address(program: str, pool: str, start: int) -> str:
    """Address of the tick array of a pool that begins at a tick.

    Raises:
        ValueError: a key is no base58 of at most 32 bytes.
    """
    return find_program_address((b"tick_array", base58.decode(pool), str(start).encode()), program)[0]


def oracle_address(program: str, pool: str) -> str:
    """Address of the oracle of a pool, whether it exists or not.

    Raises:
        ValueError: a key is no base58 of at most 32 bytes.
    """
    return find_program_address((b"oracle", base58.decode(pool)), program)[0]


def load(
    address: str, accounts: Mapping[str, Account], directions: tuple[bool, ...] = (True, False)
) -> Pool | Refusal:
    """Decodes a pool with all that is known about it.

    Args:
        address: the pool.
        accounts: what is known; the pool among them.
        directions: a_to_b of the trades that will be asked for: tick arrays ahead of them are decoded.

    Returns:
        the Pool, or a Refusal that names what is missing or wrong. A tick array that is not known is no reason
        to refuse: the path ends before it.
    """
    if not is_key(address) or address not in accounts:
        return Refusal(None, f"pool account {address} is unknown", (address,))
    state = decode_whirlpool(accounts[address])
    if isinstance(state, Refusal):
        return state
    program = accounts[address].owner
    oracle = _oracle(address, program, state, accounts)
    mint_a = _mint(state.mint_a, state.vault_a, accounts)
    mint_b = _mint(state.mint_b, state.vault_b, accounts)
    vault_a, vault_b = _vault(state.vault_a, accounts), _vault(state.vault_b, accounts)
    arrays = _arrays(address, program, state, accounts, directions)
    missing = [
        each for part in (oracle, mint_a, mint_b) if isinstance(part, Refusal) for each in part.missing
    ]
    if missing:
        return Refusal(None, f"pool {address} cannot be quoted without {', '.join(missing)}", tuple(missing))
    if isinstance(arrays, Refusal):
        return arrays
    if isinstance(oracle, Refusal):
        return oracle
    if isinstance(mint_a, Refusal):
        return mint_a
    if isinstance(mint_b, Refusal):
        return mint_b
    if isinstance(vault_a, Refusal):
        return vault_a
    if isinstance(vault_b, Refusal):
        return vault_b
    named = ((state.mint_a, mint_a), (state.mint_b, mint_b))
    bars = (None if mint is None else transfer_refusal(mint, name) for name, mint in named)
    barred = next((bar for bar in bars if bar is not None), None)
    return Pool(address, program, state, arrays, oracle, (mint_a, mint_b), (vault_a, vault_b), barred)


def _oracle(
    address: str, program: str, state: Whirlpool, accounts: Mapping[str, Account]
) -> Oracle | None | Refusal:
    """The oracle; None where it does not exist. A pool of a static tier never has one."""
    where = oracle_address(program, address)
    account = accounts.get(where)
    if account is None:
        static = state.tier == state.spacing
        return None if static else Refusal(None, f"oracle {where} is unknown", (where,))
    if _absent(account):
        return None
    oracle = decode_oracle(account)
    if isinstance(oracle, Oracle) and oracle.pool != address:
        return Refusal(None, f"oracle {where} is that of the pool {oracle.pool}")
    return oracle


def _mint(mint: str, vault: str, accounts: Mapping[str, Account]) -> Mint | None | Refusal:
    """A mint of the pool. Where it is unknown, a vault of SPL Token tells that no transfer fee exists."""
    if mint in accounts:
        return decode_mint(accounts[mint])
    if vault in accounts and accounts[vault].owner == TOKEN:
        return None
    return Refusal(None, f"mint {mint} is unknown", (mint,))


def _vault(vault: str, accounts: Mapping[str, Account]) -> TokenAccount | None | Refusal:
    """A vault where it is known: the mathematics does not need it."""
    return decode_token(accounts[vault]) if vault in accounts else None


def _arrays(
    address: str,
    program: str,
    state: Whirlpool,
    accounts: Mapping[str, Account],
    directions: tuple[bool, ...],
) -> dict[int, TickArray | None] | Refusal:
    """The known tick arrays ahead of the price."""
    found: dict[int, TickArray | None] = {}
    for a_to_b in directions:
        for start in swap_starts(state.tick, state.spacing, a_to_b=a_to_b):
            where = array_address(program, address, start)
            if start in found or where not in accounts:
                continue
            array = None if _absent(accounts[where]) else decode_array(accounts[where])
            if isinstance(array, Refusal):
                return replace(array, reason=f"tick array {where}: {array.reason}")
            if array is not None and array.pool != address:
                return Refusal(_OTHER_POOL, f"tick array {where} belongs to the pool {array.pool}")
            if array is not None and array.start != start:
                return Refusal(None, f"tick array {where} says it starts at {array.start}, not {start}")
            found[start] = array
    return found


def _absent(account: Account) -> bool:
    return not account.data and account.owner == _NO_MINT


def trade(
    pool: Pool, *, a_to_b: bool, amount: int, exact: Exact, clock: Clock, limit: int | None = None
) -> Trade | Refusal:
    """Asks a decoded pool for a trade (arguments as those of `ironcrab.dex.quote`). Changes only its `paths`."""
    limit = limit or 0
    if not 0 <= amount <= U64 or not 0 <= limit <= U128:
        return Refusal(None, f"amount {amount} is no u64, or price limit {limit} no u128")
    state, now, exact_in = pool.state, clock.unix_timestamp, exact == "in"
    path = pool.paths.get(a_to_b)
    if path is None:
        path = pool.paths[a_to_b] = path_of(state, pool.arrays, a_to_b=a_to_b)
    mint_in, mint_out = pool.mints if a_to_b else (pool.mints[1], pool.mints[0])
    try:
        if now < 0:
            raise Fault(_NEGATIVE_TIME, f"second {now} is negative")
        if not path.stops:
            raise Fault(NO_FIRST_ARRAY, "the first tick array of the swap is not known")
        if pool.oracle is not None and pool.oracle.opens_at > now:
            raise Fault(_NOT_OPEN, f"trading opens at second {pool.oracle.opens_at}")
        asked = amount - _fee(mint_in, amount, clock) if exact_in else _gross(mint_out, amount, clock)
        filled = fill(state, path, pool.oracle, asked, exact_in=exact_in, a_to_b=a_to_b, limit=limit, now=now)
        whole = exact_in and not filled.remaining
        paid = amount if whole else _gross(mint_in, filled.amount_in, clock)
        _settle(pool, filled, a_to_b=a_to_b)
        if pool.barred is not None:
            return pool.barred
    except Fault as fault:
        return Refusal(fault.code, fault.reason, _missing(pool, path, fault))
    transfer_out = _fee(mint_out, filled.amount_out, clock)
    return Trade(
        a_to_b=a_to_b,
        amount_in=paid,
        amount_out=filled.amount_out - transfer_out,
        transfer_in=_fee(mint_in, paid, clock),
        transfer_out=transfer_out,
        price_impact_bps=_impact(state.sqrt_price, filled, a_to_b=a_to_b),
        filled=filled,
    )


def _fee(mint: Mint | None, amount: int, clock: Clock) -> int:
    return 0 if mint is None else fee_on(mint, amount, clock.epoch)


def _gross(mint: Mint | None, net: int, clock: Clock) -> int:
    """What must be sent so that `net` arrives."""
    gross = net if mint is None else amount_before_fee(mint, net, clock.epoch)
    if gross > U64:
        raise Fault(_TRANSFER_FEE, f"{net} and its transfer fee exceed a u64")
    return gross


def _settle(pool: Pool, filled: Filled, *, a_to_b: bool) -> None:
    """What the program does last: books the protocol fee and transfers (numbers of the token programs).

    Raises:
        Fault: a vault cannot pay or take the amount.
    """
    owed = pool.state.protocol_a if a_to_b else pool.state.protocol_b
    if owed + filled.protocol > U64:
        raise Fault(None, "the protocol fees owed would exceed a u64")
    vault_in, vault_out = pool.vaults if a_to_b else (pool.vaults[1], pool.vaults[0])
    if vault_in is not None and vault_in.frozen or vault_out is not None and vault_out.frozen:
        raise Fault(_FROZEN, "a vault of the pool is frozen")
    if vault_in is not None and vault_in.amount + filled.amount_in > U64:
        raise Fault(_OVERFLOW, "the vault cannot hold the input")
    if vault_out is not None and vault_out.amount < filled.amount_out:
        raise Fault(_INSUFFICIENT, f"the vault holds {vault_out.amount}, the swap pays {filled.amount_out}")


def _missing(pool: Pool, path: Path, fault: Fault) -> tuple[str, ...]:
    """The unknown tick array that ended a path too early, if that is why the trade fails."""
    if path.unknown is None or fault.code not in (NO_FIRST_ARRAY, ARRAYS_EXHAUSTED):
        return ()
    return (array_address(pool.program, pool.address, path.unknown),)


def _impact(price: int, filled: Filled, *, a_to_b: bool) -> int:
    """Basis points that the output falls short of the input (its fee left aside) at the price before."""
    net = filled.amount_in - filled.fee
    square = price * price
    ideal, real = (
        (net * square, filled.amount_out << 128) if a_to_b else (net << 128, filled.amount_out * square)
    )
    return max(0, (ideal - real) * 10_000 // ideal) if ideal else 0


def after(pool: Pool, done: Trade, accounts: Mapping[str, Account], clock: Clock) -> dict[str, Account]:
    """The accounts that a trade changes, by address, as they stand afterwards: those of them that are known."""
    state, filled, a_to_b = pool.state, done.filled, done.a_to_b
    rewards = _rewards(state, clock.unix_timestamp)
    growth_a, growth_b = (filled.growth, state.growth_b) if a_to_b else (state.growth_a, filled.growth)
    later = replace(
        state,
        liquidity=filled.liquidity,
        sqrt_price=filled.sqrt_price,
        tick=filled.tick,
        protocol_a=state.protocol_a + (filled.protocol if a_to_b else 0),
        protocol_b=state.protocol_b + (0 if a_to_b else filled.protocol),
        growth_a=growth_a,
        growth_b=growth_b,
        rewarded_at=clock.unix_timestamp,
        rewards=rewards,
    )
    changed = {
        pool.address: _written(accounts[pool.address], encode_whirlpool(later, accounts[pool.address].data))
    }
    for start, array in _crossed(pool, filled, rewards, a_to_b=a_to_b).items():
        where = array_address(pool.program, pool.address, start)
        changed[where] = _written(accounts[where], encode_array(array, accounts[where].data))
    if filled.oracle is not None:
        where = oracle_address(pool.program, pool.address)
        changed[where] = _written(accounts[where], encode_oracle(filled.oracle, accounts[where].data))
    vault_in, vault_out = (state.vault_a, state.vault_b) if a_to_b else (state.vault_b, state.vault_a)
    if vault_in in accounts:
        credited = done.amount_in - done.transfer_in
        changed[vault_in] = moved(accounts[vault_in], credited, done.transfer_in)
    if vault_out in accounts:
        changed[vault_out] = moved(accounts[vault_out], -filled.amount_out)
    return changed


def _written(account: Account, data: bytes) -> Account:
    return Account(account.owner, account.lamports, data)


def _rewards(state: Whirlpool, now: int) -> tuple[Reward, Reward, Reward]:
    """Reward growths brought up to a second (`whirlpool_manager.rs`); an overflow halts a reward."""
    elapsed = now - state.rewarded_at
    if state.liquidity == 0 or elapsed == 0:
        return state.rewards
    first, second, third = (_grown(reward, elapsed, state.liquidity) for reward in state.rewards)
    return first, second, third


def _grown(reward: Reward, elapsed: int, liquidity: int) -> Reward:
    emitted = elapsed * reward.emissions
    if reward.mint == _NO_MINT or emitted > U128:
        return reward
    return replace(reward, growth=reward.growth + emitted // liquidity & U128)


def _crossed(
    pool: Pool, filled: Filled, rewards: tuple[Reward, ...], *, a_to_b: bool
) -> dict[int, TickArray]:
    """The tick arrays in which ticks were crossed: each crossing turns the growths outside round."""
    path = pool.paths[a_to_b]
    passed = zip(path.stops[: filled.passed], path.legs, strict=False)
    crossings = [(tick, leg.growth) for (tick, net), leg in passed if net is not None]
    arrays: dict[int, TickArray] = {}
    spacing = pool.state.spacing
    for index, growth in (*crossings, *filled.crossed):
        start = array_start(index, spacing)
        array = pool.arrays[start]
        assert array is not None, "a tick was crossed where no array is"
        if start not in arrays:
            arrays[start] = replace(array, ticks=dict(array.ticks))
        array = arrays[start]
        place = (index - start) // spacing
        tick = array.ticks[place]
        growth_a, growth_b = (growth, pool.state.growth_b) if a_to_b else (pool.state.growth_a, growth)
        first, second, third = (
            old if reward.mint == _NO_MINT else reward.growth - old & U128
            for reward, old in zip(rewards, tick.rewards, strict=True)
        )
        outside = (growth_a - tick.outside_a & U128, growth_b - tick.outside_b & U128)
        array.ticks[place] = Tick(tick.net, tick.gross, *outside, (first, second, third))
    return arrays


class Orca:
    """The venue `orca`."""

    id = "orca"
    programs: tuple[str, ...] = (PROGRAM, IMMUTABLE)
    generations: tuple[tuple[str, str], ...] = (("adaptive", "executed"),)

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """Swaps (two for a two-hop call), a pool creation or liquidity changes that this call made."""
        return parse(call, transaction)

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """The pool; then mints, oracle (of a pool with adaptive fees), tick arrays ahead. Vaults are not needed."""
        if pool not in accounts:
            return (pool,)
        state = decode_whirlpool(accounts[pool])
        if isinstance(state, Refusal) or not is_key(pool):
            return ()
        program = accounts[pool].owner
        wanted = [
            mint
            for mint, vault in ((state.mint_a, state.vault_a), (state.mint_b, state.vault_b))
            if isinstance(_mint(mint, vault, accounts), Refusal)
        ]
        if state.tier != state.spacing:
            wanted.append(oracle_address(program, pool))
        for a_to_b, mint in ((True, state.mint_a), (False, state.mint_b)):
            if mint == mint_in:
                starts = swap_starts(state.tick, state.spacing, a_to_b=a_to_b)
                wanted.extend(array_address(program, pool, start) for start in starts)
        return tuple(address for address in wanted if address not in accounts)

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
        """What the program would pay. `limit` is a square-root price, Q64.64; `generation` changes nothing."""
        del generation  # one generation is quoted
        a_to_b = _direction(pool, accounts, mint_in)
        if isinstance(a_to_b, Refusal):
            return a_to_b
        known = load(pool, accounts, (a_to_b,))
        if isinstance(known, Refusal):
            return known
        done = trade(known, a_to_b=a_to_b, amount=amount, exact=exact, clock=clock, limit=limit)
        if isinstance(done, Refusal):
            return done
        return Quote(
            amount_in=done.amount_in,
            amount_out=done.amount_out,
            fees=fees(known, done),
            price_impact_bps=done.price_impact_bps,
            partial=done.filled.remaining > 0,
            after=after(known, done, accounts, clock),
        )

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
        """`swap_v2`, or `swap` as the fallback (SPL Token mints only), without a price limit.

        The tick arrays are the three that the swap can use from the present price.
        """
        del clock  # nothing in the instruction depends on time
        a_to_b = _direction(pool, accounts, mint_in)
        if isinstance(a_to_b, Refusal):
            return a_to_b
        known = load(pool, accounts, ())
        if isinstance(known, Refusal):
            return known
        if known.barred is not None:
            return known.barred
        if not is_key(user) or not 0 <= amount <= U64 or not 0 <= other_amount <= U64:
            return Refusal(None, f"user {user} is no key, or {amount} or {other_amount} no u64")
        programs = tuple(TOKEN if mint is None else mint.program for mint in known.mints)
        if fallback and programs != (TOKEN, TOKEN):
            return Refusal(None, "the instruction swap moves SPL Token mints only; use swap_v2")
        numbers = amount.to_bytes(8, "little") + other_amount.to_bytes(8, "little") + bytes(16)
        data = numbers + bytes((exact == "in", a_to_b))
        metas = (
            _swap_metas(known, user, a_to_b) if fallback else _swap_v2_metas(known, user, a_to_b, programs)
        )
        head, tail = (_SWAP, b"") if fallback else (_SWAP_V2, b"\0")
        return (Instruction(known.program, metas, head + data + tail),)

    def compute_units(self, quote: Quote) -> int:
        """Units with headroom: a base, more for each tick array crossed, most for adaptive fees."""
        adaptive = any(account.data[:8] == ORACLE for account in quote.after.values())
        arrays = sum(account.data[:8] in (FIXED_ARRAY, DYNAMIC_ARRAY) for account in quote.after.values())
        return min(1_400_000, 100_000 + 140_000 * arrays + 450_000 * adaptive)


VENUE = Orca()

_SWAP = discriminator("swap")
_SWAP_V2 = discriminator("swap_v2")


def fees(pool: Pool, done: Trade) -> tuple[Fee, ...]:
    """The fees of a trade by name: `lp` and `protocol` in the input mint, `transfer` for each mint that takes one."""
    state = pool.state
    mint_in, mint_out = (state.mint_a, state.mint_b) if done.a_to_b else (state.mint_b, state.mint_a)
    named = [
        Fee("lp", mint_in, done.filled.fee - done.filled.protocol),
        Fee("protocol", mint_in, done.filled.protocol),
    ]
    if done.transfer_in:
        named.append(Fee("transfer", mint_in, done.transfer_in))
    if done.transfer_out:
        named.append(Fee("transfer", mint_out, done.transfer_out))
    return tuple(named)


def _direction(pool: str, accounts: Mapping[str, Account], mint_in: str) -> bool | Refusal:
    """Whether a trade that pays `mint_in` goes from A to B."""
    if pool not in accounts:
        return Refusal(None, f"pool account {pool} is unknown", (pool,))
    state = decode_whirlpool(accounts[pool])
    if isinstance(state, Refusal):
        return state
    if mint_in not in (state.mint_a, state.mint_b):
        return Refusal(None, f"pool {pool} trades {state.mint_a} and {state.mint_b}, not {mint_in}")
    return mint_in == state.mint_a


def _swap_metas(pool: Pool, user: str, a_to_b: bool) -> tuple[Meta, ...]:
    """Accounts of `swap` in order."""
    state = pool.state
    return (
        Meta(TOKEN, False, False),
        Meta(user, True, False),
        _writable(pool.address),
        _writable(associated(user, state.mint_a, TOKEN)),
        _writable(state.vault_a),
        _writable(associated(user, state.mint_b, TOKEN)),
        _writable(state.vault_b),
        *_array_metas(pool, a_to_b),
        _writable(oracle_address(pool.program, pool.address)),
    )


def _swap_v2_metas(pool: Pool, user: str, a_to_b: bool, programs: tuple[str, ...]) -> tuple[Meta, ...]:
    """Accounts of `swap_v2` in order."""
    state = pool.state
    return (
        Meta(programs[0], False, False),
        Meta(programs[1], False, False),
        Meta(MEMO, False, False),
        Meta(user, True, False),
        _writable(pool.address),
        Meta(state.mint_a, False, False),
        Meta(state.mint_b, False, False),
        _writable(associated(user, state.mint_a, programs[0])),
        _writable(state.vault_a),
        _writable(associated(user, state.mint_b, programs[1])),
        _writable(state.vault_b),
        *_array_metas(pool, a_to_b),
        _writable(oracle_address(pool.program, pool.address)),
    )


def _array_metas(pool: Pool, a_to_b: bool) -> tuple[Meta, ...]:
    """Exactly three tick arrays: the program drops duplicates, so the last one fills up at an end of the range."""
    starts = swap_starts(pool.state.tick, pool.state.spacing, a_to_b=a_to_b)
    addresses = [array_address(pool.program, pool.address, start) for start in starts]
    return tuple(_writable(address) for address in (addresses + addresses[-1:] * 3)[:3])


def _writable(address: str) -> Meta:
    return Meta(address, False, True)
