"""Token transfers that one call made, and the Token-2022 fee that was withheld from one of them.

Instruction bytes of both token programs: tag 3 Transfer (u64 amount; source, destination, authority), tag 12
TransferChecked (u64 amount, u8 decimals; source, mint, destination, authority), tag 26 sub-tag 1
TransferCheckedWithFee (u64 amount, u8 decimals, u64 fee; accounts as TransferChecked).
"""

from collections.abc import Iterator

from msgspec import Struct

from ironcrab.dex.address import TOKEN, TOKEN_PROGRAMS
from ironcrab.dex.face import Call, Transaction


class Transfer(Struct, frozen=True, gc=False):
    """One transfer instruction: raw `amount` that left `source`, `fee` withheld where it says so.

    `mint` is None for a plain Transfer, which names none.
    """

    program: str
    source: str
    destination: str
    mint: str | None
    amount: int
    fee: int | None


def transfer_of(call: Call) -> Transfer | None:
    """The transfer that a call to a token program is, or None when it is something else."""
    if call.program not in TOKEN_PROGRAMS:
        return None
    data, accounts = call.data, call.accounts
    if data[:1] == b"\x03" and len(data) >= 9 and len(accounts) >= 3:
        return Transfer(call.program, accounts[0], accounts[1], None, _u64(data, 1), None)
    if data[:1] == b"\x0c" and len(data) >= 10 and len(accounts) >= 4:
        return Transfer(call.program, accounts[0], accounts[2], accounts[1], _u64(data, 1), None)
    if data[:2] == b"\x1a\x01" and len(data) >= 19 and len(accounts) >= 4:
        amount, fee = _u64(data, 2), _u64(data, 11)
        return Transfer(call.program, accounts[0], accounts[2], accounts[1], amount, fee)
    return None


def transfers(call: Call) -> tuple[Transfer, ...]:
    """The transfers among the calls that this call made directly, in their order."""
    found = (transfer_of(child) for child in call.inner)
    return tuple(transfer for transfer in found if transfer is not None)


def withheld(transfer: Transfer, transaction: Transaction) -> int:
    """Raw units of the transfer that stayed behind as a Token-2022 fee.

    The instruction seldom tells it: then it is what the destination's balances lack, as long as this is the
    only transfer into it in the transaction; else it is not known and taken as 0.
    """
    if transfer.program == TOKEN:
        return 0
    if transfer.fee is not None:
        return transfer.fee
    vault = transaction.balances.get(transfer.destination)
    if vault is None or vault.after is None:
        return 0
    moves = tuple(_all_transfers(transaction.calls))
    arrived = [move.amount for move in moves if move.destination == transfer.destination]
    left = sum(move.amount for move in moves if move.source == transfer.destination)
    lack = (vault.before or 0) + sum(arrived) - left - vault.after
    return lack if len(arrived) == 1 and 0 <= lack <= transfer.amount else 0


def moved_in(call: Call, vault: str, transaction: Transaction) -> int | None:
    """Raw units that this call's direct transfers brought into a vault, fees off; None without any."""
    arrived = [move for move in transfers(call) if move.destination == vault]
    return sum(move.amount - withheld(move, transaction) for move in arrived) if arrived else None


def moved_out(call: Call, vault: str) -> int | None:
    """Raw units that this call's direct transfers took out of a vault; None without any."""
    left = [move.amount for move in transfers(call) if move.source == vault]
    return sum(left) if left else None


def mint_of(call: Call, vault: str, transaction: Transaction) -> str | None:
    """Mint of a vault: from the transaction's balances, else from a checked transfer of this call."""
    balance = transaction.balances.get(vault)
    if balance is not None:
        return balance.mint
    named = (move.mint for move in transfers(call) if vault in (move.source, move.destination))
    return next((mint for mint in named if mint is not None), None)


def trader_of(owner: str, transaction: Transaction) -> str:
    """Who traded: the owner of the paying account when he signed, else (a router's own account) the payer."""
    return owner if owner in transaction.signers else transaction.fee_payer


def _all_transfers(calls: tuple[Call, ...]) -> Iterator[Transfer]:
    for call in calls:
        transfer = transfer_of(call)
        if transfer is not None:
            yield transfer
        yield from _all_transfers(call.inner)


def _u64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")
