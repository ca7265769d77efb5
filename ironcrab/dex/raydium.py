"""Raydium AMM V4: a constant product pool of two SPL tokens, once with orders on an OpenBook market.

Source of layouts, gates and arithmetic: program `raydium-amm` up to its revision of July 2026, and its real
binary of before 26 Aug 2025 where rows were executed.
"""

from struct import Struct as Layout

from ironcrab.dex.face import Call, Created, Liquidity, Parsed, Swap, Transaction
from ironcrab.dex.transfers import mint_of, moved_in, moved_out, trader_of

PROGRAM = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
AUTHORITY = "5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1"
"""Owner of all vaults: program address of the seed `amm authority`, bump 254."""

_INITIALIZE2, _DEPOSIT, _WITHDRAW, _SWAP_IN, _SWAP_OUT, _SWAP_IN_V2, _SWAP_OUT_V2 = 1, 3, 4, 9, 11, 16, 17
_SWAPS = (_SWAP_IN, _SWAP_OUT, _SWAP_IN_V2, _SWAP_OUT_V2)
_SWAP_LOG = Layout("<BQQQQQQQ")
_COIN_TO_PC = 2


class RaydiumAmm:
    """The venue `raydium`."""

    id = "raydium"
    programs = (PROGRAM,)

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


VENUE = RaydiumAmm()


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
        reserves = before[0] + amount_in, before[1] - amount_out
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
