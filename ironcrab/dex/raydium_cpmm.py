"""Raydium CPMM: a constant product pool for SPL and Token-2022 mints, its fees kept inside the vaults.

Source of layouts, gates and arithmetic: program `raydium-cp-swap` up to its revision of December 2025, and a
real binary of before August 2025 where rows were executed.
"""

from struct import Struct as Layout

from ironcrab.dex import base58
from ironcrab.dex.face import Call, Created, Fee, Liquidity, Parsed, Swap, Transaction
from ironcrab.dex.transfers import moved_in, moved_out, trader_of

PROGRAM = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"
AUTHORITY = "GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL"
"""Owner of all vaults: program address of the seed `vault_and_lp_mint_auth_seed`, bump 253."""

_SWAP_IN = bytes.fromhex("8fbe5adac41e33de")
_SWAP_OUT = bytes.fromhex("37d96256a34ab4ad")
_INITIALIZE = bytes.fromhex("afaf6d1f0d989bed")
_INITIALIZE_WITH_PERMISSION = bytes.fromhex("3f37fe4131b25979")
_DEPOSIT = bytes.fromhex("f223c68952e1f2b6")
_WITHDRAW = bytes.fromhex("b712469c946da122")
_SWAP_EVENT = bytes.fromhex("40c6cde8260871e2")
_EVENT_HEAD = Layout("<8s32sQQQQQQ?")
_EVENT_TAIL = Layout("<32s32sQQ?")
_EVENT_SIZES = (_EVENT_HEAD.size, _EVENT_HEAD.size + _EVENT_TAIL.size)


class RaydiumCpmm:
    """The venue `raydium_cpmm`."""

    id = "raydium_cpmm"
    programs = (PROGRAM,)

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


VENUE = RaydiumCpmm()


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
        return amount_in, amount_out, before_out - left, tuple(fee for fee in fees if fee.amount)
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
