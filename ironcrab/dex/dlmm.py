"""Meteora DLMM: a pool whose liquidity lies in price bins.

Program LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo, IDL 0.12.0.
"""

from collections.abc import Mapping

from ironcrab.dex.dlmm_parse import PROGRAM, parse
from ironcrab.dex.face import Account, Call, Clock, Exact, Instruction, Parsed, Quote, Refusal, Transaction

_LATER = Refusal(None, "Meteora DLMM is parsed, not yet quoted")


class MeteoraDlmm:
    """The venue of Meteora DLMM pools."""

    id = "meteora_dlmm"
    programs: tuple[str, ...] = (PROGRAM,)
    generations: tuple[tuple[str, str], ...] = (("0.12", "parsed"),)

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """What this one call did (see `dlmm_parse.parse`)."""
        return parse(call, transaction)

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """Addresses a quote lacks."""
        del accounts, mint_in
        return (pool,)

    def quote(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        mint_in: str,
        amount: int,
        exact: Exact,
        clock: Clock,
        limit: int | None,
        generation: str | None,
    ) -> Quote | Refusal:
        """Refused for now."""
        del pool, accounts, mint_in, amount, exact, clock, limit, generation
        return _LATER

    def instructions(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        *,
        user: str,
        mint_in: str,
        amount: int,
        other_amount: int,
        exact: Exact,
        clock: Clock,
        fallback: bool = False,
    ) -> tuple[Instruction, ...] | Refusal:
        """Refused for now."""
        del pool, accounts, user, mint_in, amount, other_amount, exact, clock, fallback
        return _LATER

    def compute_units(self, quote: Quote) -> int:
        """Compute units of a swap."""
        del quote
        return 200_000


VENUE = MeteoraDlmm()
