"""A Whirlpool decoded with all that a quote reads, and the quotes that it gives.

Source of the order of checks: orca-so/whirlpools `instructions/v2/swap.rs`.
"""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from ironcrab.dex.address import SYSTEM, TOKEN, is_key
from ironcrab.dex.face import Account, Clock, Exact, Fee, Quote, Refusal
from ironcrab.dex.mint import (
    Mint,
    TokenAccount,
    amount_before_fee,
    decode_mint,
    decode_token,
    fee_on,
    transfer_refusal,
)
from ironcrab.dex.ticks import swap_starts
from ironcrab.dex.whirlpool_after import After, Changed, accounts_after
from ironcrab.dex.whirlpool_state import (
    Oracle,
    TickArray,
    Whirlpool,
    array_address,
    decode_array,
    decode_oracle,
    decode_whirlpool,
    oracle_address,
)
from ironcrab.dex.whirlpool_steps import U64, U128, Fault
from ironcrab.dex.whirlpool_swap import ARRAYS_EXHAUSTED, NO_FIRST_ARRAY, Filled, Path, fill, path_of

_OTHER_POOL = 6056
_NO_TIME = 6021
_HOOK_MISSING = 6050
_TRANSFER_FEE = 6052
_NOT_OPEN = 6064
_INSUFFICIENT = 1
_OVERFLOW = 14
_FROZEN = 17


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
        raw: the accounts that a swap writes, as they were read.
        barred: why mints A and B cannot be transferred, None where they can.
        paths: what was reckoned for one direction (a_to_b) and is good for the next quote.
    """

    address: str
    program: str
    state: Whirlpool
    arrays: dict[int, TickArray | None]
    oracle: Oracle | None
    mints: tuple[Mint | None, Mint | None]
    vaults: tuple[TokenAccount | None, TokenAccount | None]
    raw: dict[str, Account]
    barred: tuple[Refusal | None, Refusal | None] = (None, None)
    paths: dict[bool, Path] = field(default_factory=dict)

    def quote(
        self, *, mint_in: str, amount: int, exact: Exact, clock: Clock, limit: int | None = None
    ) -> Quote | Refusal:
        """What the program would pay, or its error (arguments as those of `ironcrab.dex.quote`)."""
        a_to_b = mint_in == self.state.mint_a
        if not a_to_b and mint_in != self.state.mint_b:
            return Refusal(None, f"pool {self.address} does not hold the mint {mint_in}")
        bound = limit or 0
        if not 0 <= amount <= U64 or not 0 <= bound <= U128:
            return Refusal(None, f"amount {amount} is no u64, or price limit {bound} no u128")
        path = self.paths.get(a_to_b)
        if path is None:
            path = self.paths[a_to_b] = path_of(self.state, self.arrays, a_to_b=a_to_b)
        mint_in_, mint_out_ = self.mints if a_to_b else (self.mints[1], self.mints[0])
        exact_in, now = exact == "in", clock.unix_timestamp
        try:
            _gate(self, path, now)
            asked = amount - _fee(mint_in_, amount, clock) if exact_in else _gross(mint_out_, amount, clock)
            filled = fill(self.state, path, self.oracle, asked, exact_in=exact_in, a_to_b=a_to_b, limit=bound, now=now)
            whole = exact_in and not filled.remaining
            paid = amount if whole else _gross(mint_in_, filled.amount_in, clock)
            _settle(self, filled, a_to_b=a_to_b)
        except Fault as fault:
            return Refusal(fault.code, fault.reason, _missing(self, path, fault))
        taken, kept = _fee(mint_in_, paid, clock), _fee(mint_out_, filled.amount_out, clock)
        return Quote(
            paid,
            filled.amount_out - kept,
            _fees(self.state, filled, taken, kept, a_to_b=a_to_b),
            _impact(self.state.sqrt_price, filled, a_to_b=a_to_b),
            filled.remaining > 0,
            After(filled, lambda: accounts_after(self._changed(path, now, taken, a_to_b=a_to_b), filled)),
        )

    def _changed(self, path: Path, now: int, withheld: int, *, a_to_b: bool) -> Changed:
        return Changed(self.address, self.program, self.state, self.arrays, self.raw, path, a_to_b, now, withheld)


def decode(address: str, accounts: Mapping[str, Account], mint_in: str | None = None) -> Pool | Refusal:
    """Decodes a pool with all that is known about it.

    Args:
        address: the pool.
        accounts: what is known; the pool among them.
        mint_in: what will be paid in: only the tick arrays ahead of such trades are decoded; None for both.

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
    sides = ((True, state.mint_a), (False, state.mint_b))
    arrays = _arrays(address, program, state, accounts, [a_to_b for a_to_b, mint in sides if mint_in in (None, mint)])
    unknown = [each for part in (oracle, mint_a, mint_b) if isinstance(part, Refusal) for each in part.missing]
    if unknown:
        return Refusal(None, f"pool {address} cannot be quoted without {', '.join(unknown)}", tuple(unknown))
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
    places = [array_address(program, address, start) for start in arrays]
    written = (address, state.vault_a, state.vault_b, oracle_address(program, address), *places)
    raw = {each: accounts[each] for each in written if each in accounts}
    barred = _barred(state.mint_a, mint_a), _barred(state.mint_b, mint_b)
    return Pool(address, program, state, arrays, oracle, (mint_a, mint_b), (vault_a, vault_b), raw, barred)


def _barred(name: str, mint: Mint | None) -> Refusal | None:
    """Why a mint of the pool cannot be transferred."""
    if mint is None:
        return None
    if mint.transfer_hook is not None:
        return Refusal(_HOOK_MISSING, f"mint {name} calls the hook {mint.transfer_hook}, whose accounts are not known")
    return transfer_refusal(mint, name)


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
    directions: list[bool],
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
    return not account.data and account.owner == SYSTEM


def _gate(pool: Pool, path: Path, now: int) -> None:
    """What the program looks at before it swaps, in its order.

    Raises:
        Fault: it would not begin.
    """
    if not 0 <= now < 1 << 63:
        raise Fault(_NO_TIME, f"second {now} is no time of the chain")
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
    """What the program does last: the transfer in, then the transfer out (numbers of the token programs).

    Of each the pool's program asks for the accounts of a hook first; the token program looks at a frozen vault,
    then at what it holds, then at the mint, at last at what the receiver can hold.

    Raises:
        Fault: a mint or a vault does not let the amount pass.
    """
    barred_in, barred_out = pool.barred if a_to_b else (pool.barred[1], pool.barred[0])
    vault_in, vault_out = pool.vaults if a_to_b else (pool.vaults[1], pool.vaults[0])
    if barred_in is not None and (barred_in.code == _HOOK_MISSING or vault_in is None):
        raise Fault(barred_in.code, barred_in.reason)
    if vault_in is not None:
        if vault_in.frozen:
            raise Fault(_FROZEN, "the input vault of the pool is frozen")
        if barred_in is not None:
            raise Fault(barred_in.code, barred_in.reason)
        if vault_in.amount + filled.amount_in > U64:
            raise Fault(_OVERFLOW, "the vault cannot hold the input")
    if barred_out is not None and (barred_out.code == _HOOK_MISSING or vault_out is None):
        raise Fault(barred_out.code, barred_out.reason)
    if vault_out is None:
        return
    if vault_out.frozen:
        raise Fault(_FROZEN, "the output vault of the pool is frozen")
    if vault_out.amount < filled.amount_out:
        raise Fault(_INSUFFICIENT, f"the vault holds {vault_out.amount}, the swap pays {filled.amount_out}")
    if barred_out is not None:
        raise Fault(barred_out.code, barred_out.reason)


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


def _fees(state: Whirlpool, filled: Filled, taken: int, kept: int, *, a_to_b: bool) -> tuple[Fee, ...]:
    """`lp` and `protocol` in the input mint, and `transfer` for each mint that took one."""
    mint_in, mint_out = (state.mint_a, state.mint_b) if a_to_b else (state.mint_b, state.mint_a)
    swap = (Fee("lp", mint_in, filled.fee - filled.protocol), Fee("protocol", mint_in, filled.protocol))
    if not taken and not kept:
        return swap
    transfer = (Fee("transfer", mint_in, taken), Fee("transfer", mint_out, kept))
    return (*swap, *(fee for fee in transfer if fee.amount))


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
