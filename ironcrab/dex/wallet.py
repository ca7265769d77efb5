"""What a transaction needs round a swap: compute budget, token accounts, wrapped SOL.

Instruction bytes: compute budget program (2 u32 units, 3 u64 micro-lamports a unit), associated token program
(1 creates where nothing is yet), system program (u32 2, u64 lamports transfers), token programs (9 closes, 15 burns
checked, 17 syncs native, 26 4 harvests withheld fees, 45 unwraps). Rent is no constant of the chain: nothing here
holds one.
"""

from struct import pack

from ironcrab.dex.address import ASSOCIATED_TOKEN, COMPUTE_BUDGET, SYSTEM, TOKEN, WSOL, associated
from ironcrab.dex.face import Instruction, Meta

BUDGET_UNITS = 300
"""Compute units of the two compute budget instructions."""
CREATE_UNITS = 30_000
"""Compute units of creating one associated account: 13k to 26k executed, and 4.4k where it is there."""
WRAP_UNITS = 10_000
"""Compute units of a transfer and a sync, or of a close, with room for the old token program."""


def compute_budget(units: int, price: int) -> tuple[Instruction, Instruction]:
    """Limit of compute units (u32) and price in micro-lamports a unit (u64) of a transaction."""
    limit = Instruction(COMPUTE_BUDGET, (), pack("<BI", 2, units))
    return limit, Instruction(COMPUTE_BUDGET, (), pack("<BQ", 3, price))


def create_account(payer: str, owner: str, mint: str, token_program: str) -> Instruction:
    """The owner's associated account for a mint, made where it does not exist; the payer pays its rent."""
    metas = (
        Meta(payer, signer=True, writable=True),
        Meta(associated(owner, mint, token_program), signer=False, writable=True),
        *(Meta(key, signer=False, writable=False) for key in (owner, mint, SYSTEM, token_program)),
    )
    return Instruction(ASSOCIATED_TOKEN, metas, b"\x01")


def wrap(owner: str, lamports: int) -> tuple[Instruction, Instruction]:
    """Moves lamports into the owner's wrapped account, which must exist, and makes its amount count them."""
    account = Meta(associated(owner, WSOL, TOKEN), signer=False, writable=True)
    payer = Meta(owner, signer=True, writable=True)
    transfer = Instruction(SYSTEM, (payer, account), pack("<IQ", 2, lamports))
    return transfer, Instruction(TOKEN, (account,), b"\x11")


def unwrap(owner: str, lamports: int | None = None) -> Instruction:
    """Takes `lamports` out of the owner's wrapped account, which stays; None takes its whole amount."""
    data = b"\x2d\x00" if lamports is None else b"\x2d\x01" + pack("<Q", lamports)
    return Instruction(TOKEN, _emptied(associated(owner, WSOL, TOKEN), owner), data)


def close_account(account: str, owner: str, token_program: str) -> Instruction:
    """Closes a token account; all its lamports go to the owner. Ordinary accounts must hold no tokens."""
    return Instruction(token_program, _emptied(account, owner), b"\x09")


def burn_checked(account: str, mint: str, owner: str, token_program: str, amount: int, decimals: int) -> Instruction:
    """Destroys `amount` raw units of an account; the program refuses wrong decimals (Custom 18) and WSOL (10)."""
    metas = (
        Meta(account, signer=False, writable=True),
        Meta(mint, signer=False, writable=True),
        Meta(owner, signer=True, writable=False),
    )
    return Instruction(token_program, metas, b"\x0f" + pack("<QB", amount, decimals))


def harvest(account: str, mint: str, token_program: str) -> Instruction:
    """Moves transfer fees that an account withholds to its mint: before that it cannot be closed (Custom 35)."""
    metas = (Meta(mint, signer=False, writable=True), Meta(account, signer=False, writable=True))
    return Instruction(token_program, metas, b"\x1a\x04")


def around(
    swap: tuple[Instruction, ...],
    *,
    user: str,
    mint_in: str,
    mint_out: str,
    program_out: str,
    units: int,
    price: int,
    wrapped: int = 0,
    close: bool = False,
) -> tuple[Instruction, ...]:
    """A whole transaction's instructions round the swap instructions.

    Args:
        swap: the venue's instructions.
        user: fee payer, owner of all token accounts.
        mint_in: mint paid in; its account exists unless it is wrapped SOL.
        mint_out: mint bought; its account is made where it does not exist.
        program_out: token program of `mint_out`.
        units: compute units of the swap; what stands round it is added here.
        price: micro-lamports a compute unit.
        wrapped: lamports to wrap before the swap, where `mint_in` is wrapped SOL.
        close: close the wrapped account of either side afterwards, so that its SOL is in the wallet again.
    """
    before = [create_account(user, user, mint_out, program_out)]
    if mint_in == WSOL and wrapped:
        before += (create_account(user, user, WSOL, TOKEN), *wrap(user, wrapped))
    after = []
    if close and WSOL in (mint_in, mint_out):
        after.append(close_account(associated(user, WSOL, TOKEN), user, TOKEN))
    creations = sum(instruction.program == ASSOCIATED_TOKEN for instruction in before)
    wraps = int(len(before) > 1) + len(after)
    budget = units + BUDGET_UNITS + CREATE_UNITS * creations + WRAP_UNITS * wraps
    return *compute_budget(budget, price), *before, *swap, *after


def _emptied(account: str, owner: str) -> tuple[Meta, Meta, Meta]:
    """Account, destination, authority: the owner is both of the latter."""
    return (
        Meta(account, signer=False, writable=True),
        Meta(owner, signer=False, writable=True),
        Meta(owner, signer=True, writable=False),
    )
