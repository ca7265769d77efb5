"""What a call to the Whirlpool program did: swaps, two-hop swaps, pool creations, liquidity changes.

Amounts are what entered or left the pool's vaults: the token transfers that the call made. A Token-2022
transfer fee is told by the memo `TFe: bps, maximum` that the program writes just before such a transfer
(`util/v2/token.rs`); the receiver's account is credited the amount less that fee. The `Traded` event
(`events.rs`, 121 bytes) names the fees, and stands in for the transfers where inner calls were not recorded.
"""

import re
from collections.abc import Callable, Iterator
from hashlib import sha256

from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.address import MEMO
from ironcrab.dex.face import Call, Created, Fee, Liquidity, Parsed, Swap, Transaction
from ironcrab.dex.mint import BPS
from ironcrab.dex.transfers import mint_of, trader_of, transfer_of

TRADED = bytes((225, 202, 73, 175, 147, 43, 160, 150))
"""Discriminator of the event `Traded`."""

Reader = Callable[[Call, Transaction], tuple[Parsed, ...]]
"""What one kind of instruction did."""

_TRADED_BYTES = 121
_FEE_MEMO = re.compile(rb"TFe: ([0-9]{1,5}), ([0-9]{1,20})")


def discriminator(name: str) -> bytes:
    """First eight bytes of an Anchor instruction of this name."""
    return sha256(f"global:{name}".encode()).digest()[:8]


class _Move(Struct, frozen=True, gc=False):
    """A token transfer of the program: raw amount sent, raw amount credited, place in the transaction."""

    source: str
    target: str
    sent: int
    credited: int
    position: int


class _Hop(Struct, frozen=True, gc=False):
    """One pool that a swap call passes: vaults in the direction of the swap, mints where it names them."""

    pool: str
    vault_in: str
    vault_out: str
    mint_in: str | None
    mint_out: str | None


def parse(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """What this call did; () for a call that is too short, unknown, or of no interest. Never raises.

    The second swap of a two-hop call stands at the position of the transfer that pays it out, so that no two
    records of a transaction share a position (they do where inner calls were not recorded).
    """
    reader = _READERS.get(call.data[:8])
    return () if reader is None else reader(call, transaction)


def _swap(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """`swap`: a_to_b is byte 41; accounts 2 pool, 4 and 6 vaults, 1 authority."""
    if len(call.data) < 42 or len(call.accounts) < 11:
        return ()
    at = call.accounts
    hop = _hop(at[2], (at[4], at[6]), (None, None), a_to_b=call.data[41] != 0)
    return _swaps(call, transaction, (hop,), at[1])


def _swap_v2(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """`swap_v2`: data as `swap`; accounts 3 authority, 4 pool, 5 and 6 mints, 8 and 10 vaults."""
    if len(call.data) < 42 or len(call.accounts) < 15:
        return ()
    at = call.accounts
    hop = _hop(at[4], (at[8], at[10]), (at[5], at[6]), a_to_b=call.data[41] != 0)
    return _swaps(call, transaction, (hop,), at[3])


def _two_hop(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """`two_hop_swap`: directions at bytes 25 and 26; accounts 2 and 3 pools, 5, 7 and 9, 11 vaults."""
    if len(call.data) < 59 or len(call.accounts) < 20:
        return ()
    at = call.accounts
    one = _hop(at[2], (at[5], at[7]), (None, None), a_to_b=call.data[25] != 0)
    two = _hop(at[3], (at[9], at[11]), (None, None), a_to_b=call.data[26] != 0)
    return _swaps(call, transaction, (one, two), at[1])


def _two_hop_v2(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """`two_hop_swap_v2`: vaults and mints stand in the order of the trade (accounts 2 to 4, 9 to 12)."""
    if len(call.data) < 59 or len(call.accounts) < 24:
        return ()
    at = call.accounts
    one = _Hop(at[0], at[9], at[10], at[2], at[3])
    two = _Hop(at[1], at[11], at[12], at[3], at[4])
    return _swaps(call, transaction, (one, two), at[14])


def _hop(pool: str, vaults: tuple[str, str], mints: tuple[str | None, str | None], *, a_to_b: bool) -> _Hop:
    near, far = (0, 1) if a_to_b else (1, 0)
    return _Hop(pool, vaults[near], vaults[far], mints[near], mints[far])


def _swaps(call: Call, transaction: Transaction, hops: tuple[_Hop, ...], authority: str) -> tuple[Parsed, ...]:
    """The swaps of a call, one a hop; () when the amounts or a mint cannot be told for every hop."""
    transfers = tuple(_moves(call))
    trader = trader_of(authority, transaction)
    swaps: list[Parsed] = []
    for hop in hops:
        paid = next((each for each in transfers if each.target == hop.vault_in), None)
        out = next((each for each in transfers if each.source == hop.vault_out), None)
        event = _traded(call, hop.pool)
        mint_in = hop.mint_in or mint_of(call, hop.vault_in, transaction)
        mint_out = hop.mint_out or mint_of(call, hop.vault_out, transaction)
        if mint_in is None or mint_out is None:
            return ()
        if paid is not None and out is not None:
            amounts = paid.credited, out.sent
        elif event is not None:
            amounts = event.amount_in - event.transfer_in, event.amount_out
        else:
            return ()
        swaps.append(
            Swap(
                pool=hop.pool,
                position=out.position if swaps and out is not None else call.position,
                trader=trader,
                mint_in=mint_in,
                mint_out=mint_out,
                amount_in=amounts[0],
                amount_out=amounts[1],
                fees=() if event is None else event.fees(mint_in, mint_out),
                reserve_in=_reserve(hop.vault_in, call, transaction),
                reserve_out=_reserve(hop.vault_out, call, transaction),
            )
        )
    return tuple(swaps)


class _Traded(Struct, frozen=True, gc=False):
    """Amounts of a `Traded` event, raw units, the Token-2022 fees included in both."""

    amount_in: int
    amount_out: int
    transfer_in: int
    transfer_out: int
    lp: int
    protocol: int

    def fees(self, mint_in: str, mint_out: str) -> tuple[Fee, ...]:
        """The fees that are not zero, by name."""
        named = (
            Fee("lp", mint_in, self.lp),
            Fee("protocol", mint_in, self.protocol),
            Fee("transfer", mint_in, self.transfer_in),
            Fee("transfer", mint_out, self.transfer_out),
        )
        return tuple(fee for fee in named if fee.amount)


def _traded(call: Call, pool: str) -> _Traded | None:
    """The event that this call logged for a pool (a call swaps in a pool at most once)."""
    for log in call.logs:
        if len(log) >= _TRADED_BYTES and log[:8] == TRADED and base58.key(log[8:40]) == pool:
            return _Traded(*(int.from_bytes(log[at : at + 8], "little") for at in range(73, 121, 8)))
    return None


def _moves(call: Call) -> Iterator[_Move]:
    """The token transfers that a call made directly, in order, each with the fee that a memo announced."""
    bps, maximum = 0, 0
    for each in call.inner:
        if each.program == MEMO:
            match = _FEE_MEMO.fullmatch(each.data)
            if match is not None:
                bps, maximum = int(match[1]), int(match[2])
        move = transfer_of(each)
        if move is not None:
            fee = min(-(-move.amount * bps // BPS), maximum, move.amount)
            yield _Move(move.source, move.destination, move.amount, move.amount - fee, each.position)
            bps, maximum = 0, 0


def _reserve(vault: str, call: Call, transaction: Transaction) -> int | None:
    """Raw units in a vault after this call: its balance after the transaction, if no later call names it."""
    balance = transaction.balances.get(vault)
    if balance is None:
        return None
    end = max(each.position for each in _walk((call,)))
    if any(each.position > end and vault in each.accounts for each in _walk(transaction.calls)):
        return None
    return balance.after


def _walk(calls: tuple[Call, ...]) -> Iterator[Call]:
    stack = list(calls)
    while stack:
        call = stack.pop()
        stack.extend(call.inner)
        yield call


def _creation(pool: int, funder: int, vault: int) -> Reader:
    """A reader of a pool creation: mints at accounts 1 and 2, pool, funder and first vault as given."""

    def created(call: Call, _: Transaction) -> tuple[Parsed, ...]:
        at = call.accounts
        if len(at) < vault + 2:
            return ()
        vaults = (at[vault], at[vault + 1])
        # A Whirlpool is born empty: nothing is deposited until a position is funded.
        return (Created(at[pool], call.position, at[1], at[2], 0, 0, at[funder], vaults),)

    return created


def _change(vault: int, authority: int, mint: int | None) -> Reader:
    """A reader of a liquidity change: pool at account 0, first vault, authority and first mint as given.

    What left the vaults is one record and what entered them another: `reposition_liquidity_v2` does both.
    """

    def changed(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        at = call.accounts
        if len(at) < vault + 2:
            return ()
        vaults = (at[vault], at[vault + 1])
        known = (None, None) if mint is None else at[mint : mint + 2]
        mints = [name or mint_of(call, each, transaction) for name, each in zip(known, vaults, strict=True)]
        if mints[0] is None or mints[1] is None:
            return ()
        owner = trader_of(at[authority], transaction)
        transfers = tuple(_moves(call))
        found: list[Parsed] = []
        for added in (False, True):
            moves = [each for each in transfers if (each.target if added else each.source) in vaults]
            amount_a, amount_b = _sums(moves, vaults, added=added)
            if amount_a or amount_b:
                position = moves[0].position if found else call.position
                change = Liquidity(at[0], position, added, mints[0], mints[1], amount_a, amount_b, owner)
                found.append(change)
        return tuple(found)

    return changed


def _sums(moves: list[_Move], vaults: tuple[str, str], *, added: bool) -> tuple[int, int]:
    """Raw units that entered (`added`) or left each of two vaults."""
    if added:
        a, b = ([each.credited for each in moves if each.target == vault] for vault in vaults)
    else:
        a, b = ([each.sent for each in moves if each.source == vault] for vault in vaults)
    return sum(a), sum(b)


_READERS: dict[bytes, Reader] = {
    discriminator("swap"): _swap,
    discriminator("swap_v2"): _swap_v2,
    discriminator("two_hop_swap"): _two_hop,
    discriminator("two_hop_swap_v2"): _two_hop_v2,
    discriminator("initialize_pool"): _creation(4, 3, 5),
    discriminator("initialize_pool_v2"): _creation(6, 5, 7),
    discriminator("initialize_pool_with_adaptive_fee"): _creation(7, 5, 9),
    discriminator("increase_liquidity"): _change(7, 2, None),
    discriminator("decrease_liquidity"): _change(7, 2, None),
    discriminator("increase_liquidity_v2"): _change(11, 4, 7),
    discriminator("decrease_liquidity_v2"): _change(11, 4, 7),
    discriminator("increase_liquidity_by_token_amounts_v2"): _change(11, 4, 7),
    discriminator("reposition_liquidity_v2"): _change(12, 4, 8),
}
"""What is read, by the first eight bytes of the instruction."""
