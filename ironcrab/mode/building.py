"""From a plan to instructions, by the accounts that the log told: the shell's side of what the engine decided."""

from collections.abc import Iterator
from typing import Any

from ironcrab.dex import VENUES, Account, Clock, Refusal
from ironcrab.dex.address import TOKEN, TOKEN_PROGRAMS, WSOL
from ironcrab.dex.face import Instruction
from ironcrab.dex.message import instructions_of
from ironcrab.dex.wallet import around
from ironcrab.domain.ask import Plan
from ironcrab.domain.event import Event
from ironcrab.domain.fault import Fault
from ironcrab.domain.market import AccountWritten
from ironcrab.loop import Record

MOST_ACCOUNTS = 262_144
"""Accounts remembered; beyond it the one written longest ago is forgotten."""
SLOTS_PER_EPOCH = 432_000


class Building:
    """Sees every record (as an outlet that performs nothing) and builds what a plan asks for.

    Args:
        user: address of the wallet.
    """

    asks: tuple[type[Event], ...] = ()

    def __init__(self, user: str) -> None:
        self.user = user
        self.venues = {venue.id: venue for venue in VENUES}
        self.accounts: dict[str, Account] = {}
        self.slots: dict[str, int] = {}
        self.slot = 0
        self.time = 0

    def see(self, record: Record) -> None:
        """Keep account writes, the newest by slot, and the time."""
        event: Any = record.event
        self.time = max(self.time, record.time)
        if isinstance(event, AccountWritten):
            slot = event.slot or 0
            if slot >= self.slots.pop(event.pubkey, 0):
                self.accounts[event.pubkey] = Account(event.owner, event.lamports, event.data)
            self.slots[event.pubkey] = slot
            if len(self.slots) > MOST_ACCOUNTS:
                oldest = next(iter(self.slots))
                del self.slots[oldest], self.accounts[oldest]
        elif record.cause is None:
            self.slot = max(self.slot, getattr(event, "slot", None) or 0)

    @property
    def is_due(self) -> bool:
        """Nothing is asked of it."""
        return False

    def due(self, slot: int | None) -> Iterator[Event]:
        """Nothing is asked of it."""
        del slot
        return iter(())

    def instructions(self, plan: Plan) -> tuple[Instruction, ...]:
        """The whole transaction's instructions: those of the plan where it carries them.

        Else: accounts made, SOL wrapped, the swap, the wrapped account closed.

        Raises:
            Fault: the venue is unknown or refuses, or accounts that it needs were not told.
        """
        if plan.calls:
            return instructions_of(plan.calls)
        venue = self.venues.get(plan.dex)
        if venue is None:
            raise Fault(f"no venue {plan.dex!r}: no instructions")
        missing = venue.needs(plan.pool_address, self.accounts, plan.input_mint)
        if missing:
            raise Fault(f"pool {plan.pool_address}: accounts not told: {', '.join(missing[:4])}")
        swap = venue.instructions(
            plan.pool_address,
            self.accounts,
            user=self.user,
            mint_in=plan.input_mint,
            amount=plan.amount_in,
            other_amount=plan.min_out,
            exact="in",
            clock=Clock(self.slot, self.time // 10**9, self.slot // SLOTS_PER_EPOCH),
        )
        if isinstance(swap, Refusal):
            raise Fault(f"pool {plan.pool_address}: {swap.reason}")
        return around(
            swap,
            user=self.user,
            mint_in=plan.input_mint,
            mint_out=plan.output_mint,
            program_out=self._program(plan.output_mint),
            units=plan.compute_units,
            price=plan.priority_fee_micro_lamports,
            wrapped=plan.amount_in if plan.input_mint == WSOL else 0,
            close=True,
        )

    def _program(self, mint: str) -> str:
        """Token program of a mint: who owns its account."""
        if mint == WSOL:
            return TOKEN
        owner = self.accounts.get(mint)
        if owner is None or owner.owner not in TOKEN_PROGRAMS:
            raise Fault(f"mint {mint}: its account was not told, so its token program is unknown")
        return owner.owner
