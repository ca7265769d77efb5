"""The face of a venue: the small types that every venue file speaks, and the `Venue` protocol.

Amounts are raw units of their mint; keys, mints and signatures are base58 strings; data is bytes.
"""

from collections.abc import Mapping
from typing import Literal, Protocol, final

from msgspec import Struct

Exact = Literal["in", "out"]


DECODED = 1_024
"""Accounts of a kind whose decoded form is remembered: a decision reads the same bytes several times."""


class Account(Struct, frozen=True, gc=False):
    """One account as the chain holds it: owner program (base58), lamports, data bytes."""

    owner: str
    lamports: int
    data: bytes


ABSENT = Account("11111111111111111111111111111111", 0, b"")
"""An account known not to exist. An address missing from a mapping is *unknown*, which is another thing."""


class Clock(Struct, frozen=True, gc=False):
    """Chain time a quote is asked for: slot, unix seconds of the Clock sysvar, epoch."""

    slot: int
    unix_timestamp: int
    epoch: int


class Fee(Struct, frozen=True, gc=False):
    """A fee by its name (`lp`, `protocol`, `creator`, `fund`, `transfer`, `host`), its mint and raw amount."""

    name: str
    mint: str
    amount: int


class Quote(Struct, frozen=True, gc=False):
    """What the on-chain program would do.

    Attributes:
        amount_in: raw units that leave the user's token account (transfer fees included).
        amount_out: raw units that arrive in the user's token account (after transfer fees).
        fees: every fee by name; transfer fees of Token-2022 too.
        price_impact_bps: loss against the marginal price before the swap, fees left aside, rounded down.
        partial: the swap stops before the whole amount is used (price limit or liquidity end).
        after: the accounts that the swap changes, by address, as they stand afterwards.
    """

    amount_in: int
    amount_out: int
    fees: tuple[Fee, ...]
    price_impact_bps: int
    partial: bool
    after: Mapping[str, Account]


@final
class Refusal(Struct, frozen=True, gc=False):
    """Why there is no quote: program error number (None where it has none), reason, unknown addresses."""

    code: int | None
    reason: str
    missing: tuple[str, ...] = ()


class Meta(Struct, frozen=True, gc=False):
    """One account of an instruction with its flags."""

    pubkey: str
    signer: bool
    writable: bool


class Instruction(Struct, frozen=True, gc=False):
    """An instruction to be sent: program id, ordered metas, data bytes."""

    program: str
    metas: tuple[Meta, ...]
    data: bytes


class TokenBalance(Struct, frozen=True, gc=False):
    """A token account named by a transaction's meta: mint, owner, token program, decimals, raw amounts.

    `before` is None where the account did not exist before, `after` None where it was closed.
    """

    mint: str
    owner: str
    program: str
    decimals: int
    before: int | None
    after: int | None


class Call(Struct, frozen=True):
    """One executed instruction, at top level or called by another program.

    Attributes:
        program: program id.
        accounts: its accounts in order.
        data: its instruction data.
        position: place in the transaction's execution order, outer and inner counted together, from 0.
        depth: stack height, 1 at top level.
        inner: the calls this one made, directly, in order.
        logs: payloads this call itself logged: `Program data:` base64 decoded (prefix dropped) and, for
            Raydium's `ray_log:`, the decoded bytes too; empty where logs were truncated or not recorded.
    """

    program: str
    accounts: tuple[str, ...]
    data: bytes
    position: int
    depth: int
    inner: tuple["Call", ...] = ()
    logs: tuple[bytes, ...] = ()


class Transaction(Struct, frozen=True):
    """A successful transaction, flattened enough for `Venue.parse`.

    Attributes:
        signature: base58 of its first signature.
        slot: slot it landed in.
        fee_payer: base58 of the first account key.
        signers: all signers, fee payer first.
        calls: top-level calls in order; the tree hangs below them.
        balances: token accounts of the meta, by address.
        lamports: account address -> (before, after) lamports, all account keys.
    """

    signature: str
    slot: int
    fee_payer: str
    signers: tuple[str, ...]
    calls: tuple[Call, ...]
    balances: Mapping[str, TokenBalance]
    lamports: Mapping[str, tuple[int, int]]


class Swap(Struct, frozen=True, gc=False):
    """A swap that one call made, as the pool's own reserves saw it.

    `amount_in` entered and `amount_out` left the pool's reserves (a PumpSwap sell pays out the user's share
    plus protocol and creator fees; a PumpSwap buy takes in the LP fee, not the protocol fee). `fees` stand
    beside the amounts where the venue's event tells them. `reserve_in` / `reserve_out` are the pool's
    reserves after the swap where the event or the vault balances tell them, else None. `mint_b` is the pool's
    second mint in the venue's order; None where the venue sorts its mints by their bytes. `accounts` are what a
    swap on this pool names, in the order of the wire contract's DexPoolAccounts, where the call tells them.
    """

    pool: str
    position: int
    trader: str
    mint_in: str
    mint_out: str
    amount_in: int
    amount_out: int
    fees: tuple[Fee, ...] = ()
    reserve_in: int | None = None
    reserve_out: int | None = None
    creator: str | None = None
    mint_b: str | None = None
    accounts: tuple[str, ...] = ()


class Created(Struct, frozen=True, gc=False):
    """A pool that one call created, with the mints in the venue's own order and the first deposits (raw)."""

    pool: str
    position: int
    mint_a: str
    mint_b: str
    amount_a: int
    amount_b: int
    creator: str
    accounts: tuple[str, ...] = ()


class Liquidity(Struct, frozen=True, gc=False):
    """A deposit to (`added`) or a withdrawal from a pool by one call; raw amounts in the venue's mint order."""

    pool: str
    position: int
    added: bool
    mint_a: str
    mint_b: str
    amount_a: int
    amount_b: int
    owner: str


class Migrated(Struct, frozen=True, gc=False):
    """A bonding curve that completed (`to` None) or moved its liquidity to the pool `to`."""

    pool: str
    position: int
    mint: str
    to: str | None


Parsed = Swap | Created | Liquidity | Migrated


class Ready(Protocol):
    """A pool decoded for many quotes; good for as long as none of the accounts it looked at changes."""

    def quote(self, *, mint_in: str, amount: int, exact: Exact, clock: Clock, limit: int | None) -> Quote | Refusal:
        """The same as `Venue.quote` on the same accounts and generation."""
        ...


class Venue(Protocol):
    """One DEX program that we understand.

    Attributes:
        id: canonical dex string of the wire contract (`raydium`, `raydium_cpmm`, `orca`, `meteora_dlmm`,
            `pumpfun`, `pump_amm`).
        programs: program ids, the mainnet deployment first.
        generations: program generations this file quotes, newest first, each with a status word.
    """

    id: str
    programs: tuple[str, ...]
    generations: tuple[tuple[str, str], ...]

    def parse(self, call: Call, transaction: Transaction) -> tuple[Parsed, ...]:
        """What this one call (its own program is one of ours) did; () when it is nothing we track.

        Only this call: the caller walks the tree. Never raises on any bytes; a call too short or unknown is ().
        """
        ...

    def needs(self, pool: str, accounts: Mapping[str, Account], mint_in: str) -> tuple[str, ...]:
        """Addresses that a quote needs and that are not keys of `accounts`, as far as they can be named now."""
        ...

    def load(self, pool: str, accounts: Mapping[str, Account], generation: str | None) -> Ready | Refusal:
        """The pool decoded once for many quotes, or why its account is none of this venue. Never raises.

        What else a quote needs is looked up in `accounts` when it is first needed.
        """
        ...

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
        """What the program would pay, to the last unit, or why it would not. Never raises on any bytes."""
        ...

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
        """The swap instruction (newest form, or the fallback form), without account creation or wrapping.

        `other_amount` is the least output (exact in) or the most input (exact out), raw units.
        """
        ...

    def compute_units(self, quote: Quote) -> int:
        """Compute units this swap is expected to use, with headroom."""
        ...
