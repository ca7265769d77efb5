"""What a transaction needs round a swap: compute budget, token accounts, wrapped SOL.

Instruction bytes: compute budget program (2 u32 units, 3 u64 micro-lamports a unit), associated token program
(1 creates where nothing is yet), system program (u32 2, u64 lamports transfers), token programs (9 closes, 15 burns
checked, 17 syncs native, 26 4 harvests withheld fees, 45 unwraps). Rent is no constant of the chain: nothing here
holds one.
"""

from struct import pack

from msgspec import Struct

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


def transfer(payer: str, account: str, lamports: int) -> Instruction:
    """Lamports from the payer to an account, such as a tip; undone with the transaction if that fails."""
    metas = (Meta(payer, signer=True, writable=True), Meta(account, signer=False, writable=True))
    return Instruction(SYSTEM, metas, pack("<IQ", 2, lamports))


class Around(Struct, frozen=True, gc=False):
    """What stands round the swaps of one transaction.

    Attributes:
        makes: (mint, token program) of associated accounts that are made where they do not exist.
        wraps: lamports moved into the wrapped account before the swaps.
        unwraps: lamports taken out of it before the swaps, for a venue that takes lamports themselves.
        closes: the wrapped account is closed afterwards, so that its SOL is in the wallet again.
    """

    makes: tuple[tuple[str, str], ...] = ()
    wraps: int = 0
    unwraps: int = 0
    closes: bool = False

    @property
    def units(self) -> int:
        """Compute units of all this, the compute budget instructions among it."""
        moves = bool(self.wraps) + bool(self.unwraps) + self.closes
        return BUDGET_UNITS + CREATE_UNITS * len(self.makes) + WRAP_UNITS * moves


def around(
    swaps: tuple[Instruction, ...], told: Around, *, user: str, units: int, price: int, tip: tuple[str, int] | None
) -> tuple[Instruction, ...]:
    """A whole transaction's instructions round the swaps: limits, accounts, wrapping, swaps, closing, tip.

    Args:
        swaps: the venues' instructions.
        told: what stands round them.
        user: fee payer, owner of all token accounts.
        units: compute limit of the whole.
        price: micro-lamports a compute unit.
        tip: who gets how many lamports at the end; None: nobody.
    """
    before = [create_account(user, user, mint, program) for mint, program in told.makes]
    if told.unwraps:
        before.append(unwrap(user, told.unwraps))
    if told.wraps:
        before += wrap(user, told.wraps)
    after = [close_account(associated(user, WSOL, TOKEN), user, TOKEN)] if told.closes else []
    if tip is not None:
        after.append(transfer(user, *tip))
    return *compute_budget(units, price), *before, *swaps, *after


def _emptied(account: str, owner: str) -> tuple[Meta, Meta, Meta]:
    """Account, destination, authority: the owner is both of the latter."""
    return (
        Meta(account, signer=False, writable=True),
        Meta(owner, signer=False, writable=True),
        Meta(owner, signer=True, writable=False),
    )
