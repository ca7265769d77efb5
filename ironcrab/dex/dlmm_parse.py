"""Meteora DLMM: what one executed call did, read from its instruction and from the events it emitted.

Source: IDL 0.12.0 of program LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo (instructions, events and their
discriminators), checked on the events of executed swaps and on mainnet transactions.

The program emits events by calling itself (`event_cpi`): inner calls whose data opens with `EMIT`. Since 0.12
one swap emits two of them, `Swap` and then `Swap2Evt`; both are the same swap.
"""

from collections.abc import Iterator
from struct import Struct as Layout

from ironcrab.dex.address import TOKEN_2022
from ironcrab.dex.base58 import key
from ironcrab.dex.face import Call, Created, Fee, Liquidity, Parsed, Swap, TokenBalance, Transaction

PROGRAM = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"

EMIT = bytes.fromhex("e445a52e51cb9a1d")
"""Opening of an inner call that carries an event: sha256("anchor:event")[:8], reversed."""

SWAP = bytes((81, 108, 227, 190, 205, 208, 10, 196))
SWAP2 = bytes((46, 116, 82, 215, 148, 27, 84, 77))
CREATE = bytes((185, 74, 252, 125, 27, 215, 188, 111))
ADD = bytes((31, 94, 125, 90, 227, 52, 61, 186))
REMOVE = bytes((116, 244, 97, 232, 103, 31, 152, 58))
REBALANCE = bytes((0, 109, 117, 179, 61, 91, 199, 200))

SWAPS = {
    bytes((248, 198, 158, 145, 225, 117, 135, 200)): "swap",
    bytes((65, 75, 63, 76, 235, 91, 91, 136)): "swap2",
    bytes((250, 73, 101, 33, 38, 207, 75, 184)): "swap_exact_out",
    bytes((43, 215, 247, 132, 137, 60, 243, 81)): "swap_exact_out2",
    bytes((56, 173, 230, 208, 173, 228, 156, 205)): "swap_with_price_impact",
    bytes((74, 98, 192, 214, 177, 51, 75, 51)): "swap_with_price_impact2",
}
"""Swap instructions by discriminator; all share their first 13 accounts."""

CREATIONS = {
    bytes((45, 154, 237, 210, 221, 15, 166, 92)): 0,
    bytes((73, 59, 36, 120, 237, 83, 108, 198)): 0,
    bytes((46, 39, 41, 135, 111, 183, 200, 64)): 0,
    bytes((243, 73, 129, 126, 51, 19, 241, 107)): 0,
    bytes((108, 102, 213, 85, 251, 3, 53, 21)): 1,
}
"""Pool creations by discriminator -> place of the pool among the accounts; the mints stand 2 and 3 behind.

Account 8 pays in all of them: initialize_lb_pair, initialize_lb_pair2, the two customizable permissionless
forms, and initialize_permission_lb_pair, whose base signer stands first.
"""

TWO_SIDED = frozenset(
    bytes(opening)
    for opening in (
        (181, 157, 89, 67, 143, 182, 52, 72),  # add_liquidity
        (228, 162, 78, 28, 70, 219, 116, 115),  # add_liquidity2
        (7, 3, 150, 127, 148, 40, 61, 200),  # add_liquidity_by_strategy
        (3, 221, 149, 218, 111, 141, 118, 213),  # add_liquidity_by_strategy2
        (28, 140, 238, 99, 231, 162, 21, 149),  # add_liquidity_by_weight
        (209, 59, 63, 91, 111, 200, 153, 228),  # add_liquidity_by_weight2
        (80, 85, 209, 72, 24, 206, 177, 108),  # remove_liquidity
        (230, 215, 82, 127, 241, 101, 227, 146),  # remove_liquidity2
        (26, 82, 102, 152, 240, 74, 105, 26),  # remove_liquidity_by_range
        (204, 2, 195, 145, 53, 145, 145, 205),  # remove_liquidity_by_range2
        (10, 51, 61, 35, 112, 105, 24, 85),  # remove_all_liquidity
        (92, 4, 176, 193, 119, 185, 83, 9),  # rebalance_liquidity
    )
)
"""Liquidity changes that name both mints: position, pool, bitmap, users 3, 4, reserves 5, 6, mints 7, 8."""

ONE_SIDED = frozenset(
    bytes(opening)
    for opening in (
        (41, 5, 238, 175, 100, 225, 6, 205),  # add_liquidity_by_strategy_one_side
        (94, 155, 103, 151, 70, 95, 220, 165),  # add_liquidity_one_side
        (161, 194, 103, 84, 171, 71, 250, 154),  # add_liquidity_one_side_precise
        (33, 51, 163, 201, 117, 98, 125, 231),  # add_liquidity_one_side_precise2
    )
)
"""Deposits of one token, whose mint is account 5; the call does not name the other mint."""

# pool, from, start bin, end bin, in, out, X to Y, fee, protocol fee, rate (u128 as two halves), host fee
_SWAP = Layout("<32s32siiQQ?QQQQQ")
# pool, from, start, end, X to Y, rate, in, left, out, lp, protocol, order, host fee, on input, on X
_SWAP2 = Layout("<32s32sii?QQQQQQQQQ??")
_CREATE = Layout("<32sH32s32s")
_CHANGE = Layout("<32s32s32sQQi")  # pool, from, position, X, Y, active bin
_REBALANCE = Layout("<32s32s32siQQQQ")  # pool, position, owner, active bin, X out, X in, Y out, Y in


def parse(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    """What this one call did: a swap, a pool creation, deposits and withdrawals; () for all else.

    Never raises. A liquidity change of one token leaves the mint that the call does not name as "".
    """
    opening = call.data[:8]
    if opening in SWAPS:
        return _swap(call, transaction)
    if opening in CREATIONS:
        return _created(call, CREATIONS[opening])
    if opening in TWO_SIDED and len(call.accounts) > 8:
        return tuple(_changes(call, call.accounts[7], call.accounts[8]))
    if opening in ONE_SIDED and len(call.accounts) > 5:
        return tuple(_one_sided(call))
    return ()


def events(call: Call) -> Iterator[tuple[bytes, bytes]]:
    """The events this call emitted, as (discriminator, body); of its logs only where no self-call has any."""
    inner = [child.data[8:] for child in call.inner if child.program == call.program and child.data[:8] == EMIT]
    for payload in inner or call.logs:
        yield payload[:8], payload[8:]


def _told(call: Call, opening: bytes, layout: Layout) -> Iterator[tuple[int, ...]]:
    """Fields of this call's events of one kind; a longer body is read as far as it is known."""
    for found, body in events(call):
        if found == opening and len(body) >= layout.size:
            yield layout.unpack_from(body)


def _swap(call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
    if len(call.accounts) < 13:
        return ()
    told = next(_swap_told(call), None)
    if told is None:
        return ()
    trader, x_to_y, paid, out, kept, protocol, host, on_input = told
    sides = (0, 1) if x_to_y else (1, 0)
    mint_in, mint_out = (call.accounts[6 + side] for side in sides)
    vault_in, vault_out = (call.accounts[2 + side] for side in sides)
    users = _users(transaction, vault_in), _users(transaction, vault_out)
    balance_in, balance_out = (transaction.balances.get(vault) for vault in (vault_in, vault_out))
    entered = paid - host if on_input else paid
    withheld = 0
    if call.accounts[11 + sides[0]] == TOKEN_2022 and users[0] == [call.position]:
        withheld = _withheld(balance_in, entered)
    fee_mint = mint_in if on_input else mint_out
    fees = [Fee("lp", fee_mint, kept), Fee("protocol", fee_mint, protocol)]
    if host:
        fees.append(Fee("host", fee_mint, host))
    if withheld:
        fees.append(Fee("transfer", mint_in, withheld))
    swap = Swap(
        pool=call.accounts[0],
        position=call.position,
        trader=trader,
        mint_in=mint_in,
        mint_out=mint_out,
        amount_in=entered - withheld,
        amount_out=out if on_input else out + host,
        fees=tuple(fees),
        reserve_in=_reserve(balance_in, users[0], call.position),
        reserve_out=_reserve(balance_out, users[1], call.position),
        mint_b=call.accounts[7],
    )
    return (swap,)


def _swap_told(call: Call) -> Iterator[tuple[str, bool, int, int, int, int, int, bool]]:
    """Trader, X to Y, in, out, fee kept, protocol fee, host fee, fees on input; the richer event first."""
    for event in _told(call, SWAP2, _SWAP2):
        _, trader, _, _, x_to_y, _, _, paid, _, out, lp, protocol, order, host, on_input, _ = event
        yield _key(trader), bool(x_to_y), paid, out, lp + order, protocol, host, bool(on_input)
    for event in _told(call, SWAP, _SWAP):
        _, trader, _, _, paid, out, x_to_y, fee, protocol, _, _, host = event
        yield _key(trader), bool(x_to_y), paid, out, fee - protocol - host, protocol, host, True


def _key(raw: object) -> str:
    """The base58 of a key field: layouts yield bytes there."""
    return key(raw) if isinstance(raw, bytes) else ""


def _users(transaction: Transaction, vault: str) -> list[int]:
    """Positions of this program's calls that name the vault, in order of execution."""
    found = []
    waiting = list(reversed(transaction.calls))
    while waiting:
        call = waiting.pop()
        if call.program == PROGRAM and vault in call.accounts:
            found.append(call.position)
        waiting.extend(reversed(call.inner))
    return found


def _withheld(balance: TokenBalance | None, entered: int) -> int:
    """What Token-2022 kept of the payment: the event names what the user sent, the vault what it received.

    0 where the vault's balances are not told.
    """
    if balance is None or balance.before is None or balance.after is None:
        return 0
    return max(0, entered - (balance.after - balance.before))


def _reserve(balance: TokenBalance | None, users: list[int], position: int) -> int | None:
    """The reserve after this call: told by the transaction only when no later call of ours used the vault."""
    return balance.after if balance is not None and users[-1:] == [position] else None


def _created(call: Call, place: int) -> tuple[Parsed, ...]:
    accounts = call.accounts
    if len(accounts) < 9:
        return ()
    pool, mint_a, mint_b = accounts[place], accounts[place + 2], accounts[place + 3]
    for event in _told(call, CREATE, _CREATE):
        pool, mint_a, mint_b = _key(event[0]), _key(event[2]), _key(event[3])
    return (Created(pool, call.position, mint_a, mint_b, 0, 0, accounts[8], accounts),)


def _changes(call: Call, mint_x: str, mint_y: str) -> Iterator[Liquidity]:
    """Deposits and withdrawals that the call's events tell; a change of nothing is none."""

    def change(pool: object, owner: object, added: bool, x: int, y: int) -> Iterator[Liquidity]:
        if x or y:
            yield Liquidity(_key(pool), call.position, added, mint_x, mint_y, x, y, _key(owner))

    for pool, owner, _, x, y, _ in _told(call, ADD, _CHANGE):
        yield from change(pool, owner, True, x, y)
    for pool, owner, _, x, y, _ in _told(call, REMOVE, _CHANGE):
        yield from change(pool, owner, False, x, y)
    for pool, _, owner, _, x_out, x_in, y_out, y_in in _told(call, REBALANCE, _REBALANCE):
        yield from change(pool, owner, False, x_out, y_out)
        yield from change(pool, owner, True, x_in, y_in)


def _one_sided(call: Call) -> Iterator[Liquidity]:
    """A deposit of one token: its amount says whether the mint the call names is X or Y."""
    for found in _changes(call, "", ""):
        mint = call.accounts[5]
        named = ("", mint) if found.amount_a == 0 else (mint, "")
        yield Liquidity(
            found.pool,
            found.position,
            found.added,
            named[0],
            named[1],
            found.amount_a,
            found.amount_b,
            found.owner,
        )
