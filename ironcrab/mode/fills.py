"""Fills: what a pool pays by the venue's own maths on the recorded state, with the own earlier trades on top.

A `Fills` keeps a pool cache of its own and is shown every record; what it quotes follows from them alone. The basis
of a fill is what `QuoteCalculator` says: `exact` (the program's answer on recorded accounts), else `executable`
(reserves less a fee), else `last_trade`. Where binaries are given, the real program executes the swap on the same
accounts (`program`); what it refuses is refused, and what it cannot execute is quoted. Own trades move the pool as
`impact` says:

    none         they leave no trace
    next_state   the pool stands as they left it until its next recorded state
    overlay      the net amount of the traded token that they took (or gave) is taken (given) once more from each
                 later recorded state; a closed position leaves no trace. The newest trade alone cannot be moved.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from ironcrab.dex import Account, Quote, Refusal, quote, venue_of
from ironcrab.dex.face import Clock, Exact
from ironcrab.domain.ask import Plan, PlanHop
from ironcrab.domain.market import SlotUpdate
from ironcrab.domain.units import SOL_MINT, USDC_MINT, USDT_MINT, ceil_div
from ironcrab.loop import Now, Record
from ironcrab.market.accounts import Accounts
from ironcrab.market.mints import Mints
from ironcrab.market.pools import LivePoolCache
from ironcrab.market.quotes import FEE_BPS, NoQuote, PoolQuote, QuoteCalculator, constant_product
from ironcrab.shell.programs import NotRun, Paid, Programs

Impact = Literal["none", "next_state", "overlay"]
MONEY = (SOL_MINT, USDC_MINT, USDT_MINT)
"""Mints that trades are counted against, the first that a pool holds; the other mint is the traded token."""
MOST_MOVED = 16_384
"""Pools that own trades moved, remembered at most; beyond it the one moved longest ago is as recorded again."""
DECIMALS_AT = 44
"""Byte of `decimals` in a mint account (SPL Token and Token-2022)."""


class Fill(Struct, frozen=True, gc=False):
    """What a swap takes and pays in raw units, on what basis, as last told by record `seq` of `slot`.

    `unrun`: (venue, why) of each swap in it that a real program was to execute and could not.
    """

    amount_in: int
    amount_out: int
    basis: str
    seq: int
    slot: int
    unrun: tuple[tuple[str, str], ...] = ()


class NoFill(Struct, frozen=True, gc=False):
    """Why there is none: a code, and the program's error number where it would refuse."""

    error: str


class Moved(Struct, gc=False):
    """How own trades moved a pool.

    Attributes:
        accounts: what they changed, as it stands after them (next_state, exact basis).
        seqs: records of these accounts when they were changed: a newer record ends the impact.
        reserves: base and quote after them (next_state, executable basis); None: not moved so.
        row_seq: record of the pool's row at that time.
        mint: the traded token (overlay).
        money: the mint that it trades against (overlay).
        taken: its raw units that own trades took out of the pool, net; negative: put in (overlay).
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    reserves: tuple[int, int] | None = None
    row_seq: int = 0
    mint: str = ""
    money: str = ""
    taken: int = 0


class Shown(Mapping[str, Account]):
    """The known accounts with some as own trades left them."""

    def __init__(self, known: Accounts, changed: Mapping[str, Account]) -> None:
        self.known = known
        self.changed = changed

    def __getitem__(self, address: str) -> Account:
        account = self.changed.get(address) or self.known.get(address)
        if account is None:
            raise KeyError(address)
        return account

    def __iter__(self) -> Iterator[str]:
        return iter({**self.known.rows, **self.changed})

    def __len__(self) -> int:
        return len(list(iter(self)))


class Fills:
    """See the module. Args: how own trades move a pool; real programs, None: none are at hand."""

    def __init__(self, impact: Impact, programs: Programs | None = None) -> None:
        self.impact = impact
        self.programs = programs
        self.now = Now()
        self.pools = LivePoolCache(self.now)
        self.mints = Mints(self.now)
        self.quotes = QuoteCalculator(self.pools, self.mints)
        self.moved: dict[str, Moved] = {}
        self.wants = (*self.pools.wants, *self.mints.wants)

    def see(self, record: Record) -> None:
        """Fold a record into the own cache."""
        event = record.event
        self.now.time = max(self.now.time, record.time)
        if record.cause is None:
            self.now.slot = max(self.now.slot, getattr(event, "slot", None) or 0)
        if type(event) in self.pools.wants:
            self.pools.step(record.seq, event)
        elif type(event) in self.mints.wants:
            self.mints.step(record.seq, event)

    def slot_ended(self, slot: int) -> None:
        """No record of this slot or an earlier one comes any more: what transactions of it wrote is visible."""
        self.pools.step(0, SlotUpdate(slot))

    def decimals(self, mint: str) -> int | None:
        """Decimals of a mint as its account or a TokenMintInfo told; None: unknown."""
        row = self.mints.get(mint)
        if row is not None:
            return row.decimals
        account = self.pools.accounts.get(mint)
        return account.data[DECIMALS_AT] if account is not None and len(account.data) > DECIMALS_AT else None

    def fill(self, leg: Plan | PlanHop) -> Fill | NoFill:
        """What the pool of this swap pays as it stands, own trades included: by its real program, else as quoted."""
        told = self._executed(leg)
        if isinstance(told, Fill):
            return told
        if told is not None and told.refused is not None:
            return NoFill(f"PAPER_REFUSED: {told.refused}")
        found = self.quote(leg.pool_address, leg.input_mint, leg.amount_in)
        return found if told is None or isinstance(found, NoFill) else replace(found, unrun=((leg.dex, told.why),))

    def quote(self, pool: str, mint_in: str, amount: int) -> Fill | NoFill:
        """What the pool pays for `amount` raw units of `mint_in` as it stands, own trades included."""
        plain = self.quotes.quote(pool, mint_in, amount)
        moved = self._moved(pool)
        if isinstance(plain, NoQuote) and moved is not None and plain.reason == "QUOTE_UNAVAILABLE" and amount > 0:
            # what the recorded state cannot pay, the state after own trades may: a curve pays back what was put in
            exact = self.pools.accounts.quote(pool, mint_in, amount)
            if exact is not None and isinstance(exact.found, Refusal) and not exact.found.missing:
                plain = PoolQuote(pool, amount, 0, "exact", exact.seq, exact.slot)
        if isinstance(plain, NoQuote):
            return NoFill(self._why(pool, mint_in, amount, plain.reason))
        if moved is not None and plain.kind == "exact":
            return self._exactly(plain, moved, mint_in)
        if moved is not None and plain.kind == "executable":
            return self._from_reserves(plain, moved, mint_in)
        return Fill(amount, plain.amount_out, plain.kind, plain.seq, plain.slot)

    def filled(self, leg: Plan | PlanHop) -> None:
        """An own swap landed: it moves the pool. Call it while the pool stands as it was filled."""
        pool, mint_in, amount = leg.pool_address, leg.input_mint, leg.amount_in
        fill = NoFill("") if self.impact == "none" else self.fill(leg)
        if isinstance(fill, NoFill):
            return
        moved = self._moved(pool) or Moved()
        row = self.pools.get(pool)
        if self.impact == "overlay":
            sells = mint_in == moved.mint if moved.mint else _rank(leg.output_mint) < _rank(mint_in)
            moved.mint, moved.money = (mint_in, leg.output_mint) if sells else (leg.output_mint, mint_in)
            moved.taken += -amount if sells else fill.amount_out
        elif fill.basis in ("program", "exact"):
            moved.accounts |= self._left(leg, moved)
            rows = self.pools.accounts.rows
            moved.seqs = {address: rows[address].seq for address in moved.accounts if address in rows}
        elif fill.basis == "executable" and row is not None:
            base, quoted = moved.reserves or (row.reserve_base or 0, row.reserve_quote or 0)
            sells = mint_in == row.base_mint
            base, quoted = (
                (base + amount, quoted - fill.amount_out) if sells else (base - fill.amount_out, quoted + amount)
            )
            moved.reserves, moved.row_seq = (base, quoted), row.seq
        self.moved.pop(pool, None)
        self.moved[pool] = moved
        if len(self.moved) > MOST_MOVED:
            del self.moved[next(iter(self.moved))]

    def _moved(self, pool: str) -> Moved | None:
        """How own trades moved this pool; None: as recorded."""
        moved = self.moved.get(pool)
        if moved is None or (self.impact == "overlay" and not moved.taken):
            return None
        if self.impact == "next_state":
            rows, row = self.pools.accounts.rows, self.pools.get(pool)
            is_new = any(address in rows and rows[address].seq != seq for address, seq in moved.seqs.items())
            if is_new or (moved.reserves is not None and (row is None or row.seq != moved.row_seq)):
                del self.moved[pool]
                return None
        return moved

    def swap(
        self,
        pool: str,
        changed: Mapping[str, Account],
        mint_in: str,
        amount: int,
        exact: Exact = "in",
        clock: Clock | None = None,
    ) -> Quote | Refusal:
        """The program's answer with some accounts changed, now or at another time of the chain."""
        accounts = self.pools.accounts
        shown = Shown(accounts, changed)
        venue = venue_of(shown[pool].owner)
        generation = None if venue is None else accounts.state.generations.get(venue.id)
        return quote(
            pool,
            shown,
            mint_in=mint_in,
            amount=amount,
            exact=exact,
            clock=clock or accounts.clock(),
            generation=generation,
        )

    def _executed(self, leg: Plan | PlanHop) -> Fill | NotRun | None:
        """What the real program takes and pays for this swap; None: no binaries are given."""
        told = self._run(leg)
        if not isinstance(told, Paid):
            return told
        exact = self.pools.accounts.quote(leg.pool_address, leg.input_mint, leg.amount_in)
        assert exact is not None, "it was asked before the program ran"
        return Fill(told.paid, told.got, "program", exact.seq, exact.slot)

    def _run(self, leg: Plan | PlanHop) -> Paid | NotRun | None:
        """Execute this swap where all that its quote reads is known; None: no binaries are given."""
        if self.programs is None:
            return None
        pool, accounts, row = leg.pool_address, self.pools.accounts, self.pools.get(leg.pool_address)
        exact = accounts.quote(pool, leg.input_mint, leg.amount_in)
        if exact is None or (isinstance(exact.found, Refusal) and exact.found.missing):
            return NotRun("not all accounts that a swap needs are recorded")
        if row is not None and row.stale is not None:
            return NotRun("its pool is stale")
        moved = self._moved(pool)
        changed = {} if moved is None else self._changed(pool, moved)
        if isinstance(changed, Refusal):
            return NotRun("its pool no longer bears the own net trade")
        shown, mints = Shown(accounts, changed), (leg.input_mint, leg.output_mint)
        return self.programs.swap(pool, shown, mints, leg.amount_in, "in", accounts.clock())

    def _left(self, leg: Plan | PlanHop, moved: Moved) -> Mapping[str, Account]:
        """The accounts as this swap leaves them behind, by its program, else by the venue's own maths."""
        told = self._run(leg)
        if isinstance(told, Paid):
            return told.after
        found = self.swap(leg.pool_address, moved.accounts, leg.input_mint, leg.amount_in)
        return {} if isinstance(found, Refusal) else found.after

    def _changed(self, pool: str, moved: Moved) -> Mapping[str, Account] | Refusal:
        """The accounts that own trades changed, as they stand after them; Refusal: the overlay cannot be laid."""
        if self.impact != "overlay":
            return moved.accounts
        if moved.taken > 0:
            before = self.swap(pool, {}, moved.money, moved.taken, "out")
        else:
            before = self.swap(pool, {}, moved.mint, -moved.taken)
        return before if isinstance(before, Refusal) else before.after

    def _exactly(self, plain: PoolQuote, moved: Moved, mint_in: str) -> Fill | NoFill:
        changed = self._changed(plain.pool_address, moved)
        if isinstance(changed, Refusal):
            return NoFill(f"PAPER_OVERLAY_REFUSED: the state no longer bears the own net trade: {changed.reason}")
        found = self.swap(plain.pool_address, changed, mint_in, plain.amount_in)
        if isinstance(found, Refusal):
            return NoFill(_refused(found))
        if found.partial or found.amount_out <= 0:
            return NoFill("PAPER_NO_QUOTE: QUOTE_UNAVAILABLE")
        return Fill(found.amount_in, found.amount_out, plain.kind, plain.seq, plain.slot)

    def _from_reserves(self, plain: PoolQuote, moved: Moved, mint_in: str) -> Fill | NoFill:
        row = self.pools.get(plain.pool_address)
        assert row is not None, "a pool without a row has no reserves"
        base, quoted = row.reserve_base or 0, row.reserve_quote or 0
        if self.impact == "overlay" and moved.mint == row.base_mint and base > moved.taken:
            base, quoted = base - moved.taken, ceil_div(base * quoted, base - moved.taken)
        elif moved.reserves is not None:
            base, quoted = moved.reserves
        reserves = (base, quoted) if mint_in == row.base_mint else (quoted, base)
        out = constant_product(*reserves, plain.amount_in, FEE_BPS[row.dex])
        if out <= 0:
            return NoFill("PAPER_NO_QUOTE: QUOTE_UNAVAILABLE")
        return Fill(plain.amount_in, out, plain.kind, plain.seq, plain.slot)

    def _why(self, pool: str, mint_in: str, amount: int, reason: str) -> str:
        """The program's own refusal where it is the ground, else the calculator's word."""
        exact = self.pools.accounts.quote(pool, mint_in, amount) if amount > 0 else None
        if exact is not None and isinstance(exact.found, Refusal) and not exact.found.missing:
            return _refused(exact.found)
        return f"PAPER_NO_QUOTE: {reason}"


def _rank(mint: str) -> int:
    return MONEY.index(mint) if mint in MONEY else len(MONEY)


def _refused(refusal: Refusal) -> str:
    code = "" if refusal.code is None else f"Custom({refusal.code}): "
    return f"PAPER_REFUSED: {code}{refusal.reason}"
