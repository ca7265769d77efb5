"""A Whirlpool decoded with all that a quote reads, and the trades that it answers.

Source of the order of checks: orca-so/whirlpools `instructions/v2/swap.rs`; of what a swap writes:
`state/whirlpool.rs`, `manager/tick_manager.rs`, `manager/whirlpool_manager.rs`.
"""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from ironcrab.dex import base58
from ironcrab.dex.address import SYSTEM, TOKEN, find_program_address, is_key
from ironcrab.dex.face import Account, Clock, Exact, Fee, Refusal
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
from ironcrab.dex.whirlpool_state import (
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
from ironcrab.dex.whirlpool_steps import U64, U128, Fault
from ironcrab.dex.whirlpool_swap import ARRAYS_EXHAUSTED, NO_FIRST_ARRAY, Filled, Path, fill, path_of

_OTHER_POOL = 6056
_NEGATIVE_TIME = 6021
_TRANSFER_FEE = 6052
_NOT_OPEN = 6064
_INSUFFICIENT = 1
_OVERFLOW = 14
_FROZEN = 17
_NO_MINT = SYSTEM
"""A reward that is not initialised names the key of 32 zeros."""


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
    """A swap as the user sees it: raw units paid and received, transfer fees, and what the pool did."""

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


def load(address: str, accounts: Mapping[str, Account], directions: tuple[bool, ...] = (True, False)) -> Pool | Refusal:
    """Decodes a pool with all that is known about it.

    Args:
        address: the pool.
        accounts: what is known; the pool among them.
        directions: a_to_b of the trades that will be asked for: tick arrays ahead of them are decoded.

    Returns:
        the Pool, or a Refusal that names what is missing or wrong. A tick array that is not known is no
        reason to refuse: the path ends before it.
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
    missing = [each for part in (oracle, mint_a, mint_b) if isinstance(part, Refusal) for each in part.missing]
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


def _oracle(address: str, program: str, state: Whirlpool, accounts: Mapping[str, Account]) -> Oracle | Refusal | None:
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


def _mint(mint: str, vault: str, accounts: Mapping[str, Account]) -> Mint | Refusal | None:
    """A mint of the pool. Where it is unknown, a vault of SPL Token tells that no transfer fee exists."""
    if mint in accounts:
        return decode_mint(accounts[mint])
    if vault in accounts and accounts[vault].owner == TOKEN:
        return None
    return Refusal(None, f"mint {mint} is unknown", (mint,))


def _vault(vault: str, accounts: Mapping[str, Account]) -> TokenAccount | Refusal | None:
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
    """Asks a decoded pool for a trade (arguments as those of `ironcrab.dex.quote`); keeps its `paths`."""
    limit = limit or 0
    if not 0 <= amount <= U64 or not 0 <= limit <= U128:
        return Refusal(None, f"amount {amount} is no u64, or price limit {limit} no u128")
    state, now, exact_in = pool.state, clock.unix_timestamp, exact == "in"
    path = pool.paths.get(a_to_b)
    if path is None:
        path = pool.paths[a_to_b] = path_of(state, pool.arrays, a_to_b=a_to_b)
    mint_in, mint_out = pool.mints if a_to_b else (pool.mints[1], pool.mints[0])
    try:
        _gate(pool, path, now)
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


def _gate(pool: Pool, path: Path, now: int) -> None:
    """What the program looks at before it swaps, in its order.

    Raises:
        Fault: it would not begin.
    """
    if now < 0:
        raise Fault(_NEGATIVE_TIME, f"second {now} is negative")
    if not path.stops:
        raise Fault(NO_FIRST_ARRAY, "the first tick array of the swap is not known")
    if pool.oracle is not None and pool.oracle.opens_at > now:
        raise Fault(_NOT_OPEN, f"trading opens at second {pool.oracle.opens_at}")


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
    if any(vault is not None and vault.frozen for vault in pool.vaults):
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
    ideal, real = (net * square, filled.amount_out << 128) if a_to_b else (net << 128, filled.amount_out * square)
    return max(0, (ideal - real) * 10_000 // ideal) if ideal else 0


def after(pool: Pool, done: Trade, accounts: Mapping[str, Account], clock: Clock) -> dict[str, Account]:
    """The accounts that a trade changes, as they stand afterwards, by address: those that are known."""
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
    changed = {pool.address: _written(accounts[pool.address], encode_whirlpool(later, accounts[pool.address].data))}
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


def _crossed(pool: Pool, filled: Filled, rewards: tuple[Reward, ...], *, a_to_b: bool) -> dict[int, TickArray]:
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


def needs(address: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
    """Addresses that a quote needs and `accounts` lacks: the pool; then mints, oracle, tick arrays ahead."""
    if address not in accounts:
        return (address,)
    state = decode_whirlpool(accounts[address])
    if isinstance(state, Refusal) or not is_key(address):
        return ()
    program = accounts[address].owner
    wanted = [
        mint
        for mint, vault in ((state.mint_a, state.vault_a), (state.mint_b, state.vault_b))
        if isinstance(_mint(mint, vault, accounts), Refusal)
    ]
    if state.tier != state.spacing:
        wanted.append(oracle_address(program, address))
    for a_to_b, mint in ((True, state.mint_a), (False, state.mint_b)):
        if mint == mint_in:
            starts = swap_starts(state.tick, state.spacing, a_to_b=a_to_b)
            wanted.extend(array_address(program, address, start) for start in starts)
    return tuple(each for each in wanted if each not in accounts)


def fees(pool: Pool, done: Trade) -> tuple[Fee, ...]:
    """The fees of a trade: `lp` and `protocol` in the input mint, `transfer` for each mint that takes one."""
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
