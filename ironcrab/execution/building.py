"""From a plan's terms to the instructions of its transaction, by the accounts that the log told.

One atomic transaction carries all legs: compute limit and price, the token accounts that it needs, SOL wrapped or
unwrapped as the first venue takes it, the venues' swaps, the wrapped account closed where it was made for this, the
tip. What was not told is not guessed: such a plan keeps its terms and has no instructions (`Untold`).
"""

import msgspec
from msgspec import Struct

from ironcrab.dex import Instruction, Quote, venue_of
from ironcrab.dex import Refusal as NotBuilt
from ironcrab.dex.address import TOKEN, TOKEN_PROGRAMS, WSOL, associated
from ironcrab.dex.message import Message, Table, calls_of, compiled, table_of
from ironcrab.dex.wallet import Around, around
from ironcrab.domain.ask import Plan, PlanHop
from ironcrab.domain.trade import TradeIntent
from ironcrab.execution.params import EngineParams
from ironcrab.execution.refusal import Refusal, Untold
from ironcrab.market.known import Known

TOO_LARGE = "PLAN_TOO_LARGE"
"""Our own code: the transaction does not fit a packet, or names too many accounts, lookup tables used."""
UNBUILT = "PLAN_UNBUILT"
"""Our own code: the plan has no instructions, and the session only sends plans that have them."""
NATIVE = ("pumpfun",)
"""Venues whose SOL side is lamports themselves, not the wrapped account."""
UNQUOTED = Quote(0, 0, (), 0, partial=False, after={})
"""Stands for a quote that was not taken."""
VARIATIONS = 256
"""Compute units that may be taken off a limit so that no two plans are one message (and so one signature)."""


class Means(Struct, frozen=True, gc=False):
    """With what a plan is built.

    Attributes:
        wallet: fee payer and owner of all token accounts; "": unknown.
        wrapped: SOL is kept wrapped, so that buys neither wrap nor close; else each plan wraps and closes for itself.
        tables: addresses of the lookup tables that may be used.
        tip_accounts: who may be tipped.
        number: what tells this plan from others with the same terms: chooses tip account and variation.
    """

    wallet: str
    wrapped: bool
    tables: tuple[str, ...]
    tip_accounts: tuple[str, ...]
    number: int


def means_of(params: EngineParams, wallet: str, *, wrapped: bool, number: int) -> Means:
    """The means of an engine's attempt."""
    return Means(wallet, wrapped, tuple(params.lookup_tables.split()), tuple(params.tip_accounts.split()), number)


class Sides(Struct, frozen=True, gc=False):
    """What a path needs round its swaps: mints whose accounts are made, and how SOL is moved."""

    makes: tuple[str, ...]
    wraps: bool
    unwraps: bool
    closes: bool

    def around(self, amount: int, programs: tuple[str, ...]) -> Around:
        """The same with the amount and the token programs of the mints."""
        makes = tuple(zip(self.makes, programs, strict=True))
        return Around(makes, amount if self.wraps else 0, amount if self.unwraps else 0, self.closes)


def sides_of(dexes: tuple[str, ...], mints: tuple[str, ...], *, wrapped: bool) -> Sides:
    """What a path needs.

    Args:
        dexes: venue of each leg.
        mints: the input, then the output of each leg.
        wrapped: SOL is kept wrapped.
    """
    pays, gets = mints[0] == WSOL, mints[-1] == WSOL
    native_in, native_out = dexes[0] in NATIVE, dexes[-1] in NATIVE
    wraps = pays and not native_in and not wrapped
    receives = gets and not native_out
    makes = [mint for mint in mints[1:] if mint != WSOL]
    if wraps or receives:
        makes.append(WSOL)
    return Sides(tuple(makes), wraps, pays and native_in and wrapped, (wraps or receives) and not wrapped)


def units_of(intent: TradeIntent, dex: str, quote: Quote, known: Known, *, wrapped: bool) -> int | None:
    """Compute units that the swap of one pool needs with all that stands round it; None: its venue is unknown."""
    resources = intent.resources
    account = known.pools.accounts.get(resources.pools[0])
    venue = None if account is None else venue_of(account.owner)
    if venue is None:
        return None
    sides = sides_of((dex,), (resources.input_mint, resources.output_mint), wrapped=wrapped)
    return venue.compute_units(quote) + sides.around(1, (TOKEN,) * len(sides.makes)).units


def path_units(legs: tuple[tuple[str, str], ...], mints: tuple[str, ...], known: Known, *, wrapped: bool) -> int | None:
    """The same of a path that is not quoted yet: what each venue asks for at most without a quote.

    Args:
        legs: (venue, pool) of each leg.
        mints: the input, then the output of each leg.
        known: what is known of the market.
        wrapped: SOL is kept wrapped.
    """
    total = 0
    for _, pool in legs:
        account = known.pools.accounts.get(pool)
        venue = None if account is None else venue_of(account.owner)
        if venue is None:
            return None
        total += venue.compute_units(UNQUOTED)
    sides = sides_of(tuple(dex for dex, _ in legs), mints, wrapped=wrapped)
    return total + sides.around(1, (TOKEN,) * len(sides.makes)).units


def built(plan: Plan, intent: TradeIntent, known: Known, means: Means) -> Plan | Refusal | Untold:
    """The plan with its instructions, its tables and the hash of its message; or why it has none."""
    if not means.wallet:
        return Untold("own wallet")
    legs: tuple[Plan | PlanHop, ...] = plan.hops or (plan,)
    if WSOL in [leg.output_mint for leg in legs[:-1]]:
        return Refusal("UNSUPPORTED_INTENT", "a path through SOL is no single transaction of ours")
    swaps = _swaps(legs, known, means.wallet)
    if not isinstance(swaps, tuple):
        return swaps
    mints = (legs[0].input_mint, *(leg.output_mint for leg in legs))
    sides = sides_of(tuple(leg.dex for leg in legs), mints, wrapped=means.wrapped)
    programs = _programs(sides.makes, intent, known, swaps, means.wallet)
    if isinstance(programs, Refusal):
        return programs
    tip = None
    if plan.tip_lamports:
        if not means.tip_accounts:
            return Refusal("INTERNAL_ERROR", f"tip_lamports={plan.tip_lamports} and no tip account is named")
        tip = (means.tip_accounts[means.number % len(means.tip_accounts)], plan.tip_lamports)
    units = _varied(plan.compute_units, means.number)
    told = sides.around(plan.amount_in, programs)
    price = plan.priority_fee_micro_lamports
    calls = calls_of(around(swaps, told, user=means.wallet, units=units, price=price, tip=tip))
    varied = msgspec.structs.replace(plan, calls=calls, compute_units=units)
    return with_message(varied, means.wallet, tables_of(means.tables, known))


def with_message(plan: Plan, wallet: str, tables: tuple[Table, ...]) -> Plan | Refusal:
    """The plan with the hash of its message and the tables that this uses: none where it fits without."""
    message = fitted(plan, wallet, tables)
    if isinstance(message, Refusal):
        return message
    return msgspec.structs.replace(plan, plan_hash=message.plan_hash, tables=message.tables)


def fitted(plan: Plan, wallet: str, tables: tuple[Table, ...]) -> Message | Refusal:
    """The message of a plan's calls, with tables only where it does not fit without."""
    try:
        message = compiled(wallet, plan.calls)
        if message.fault is not None and tables:
            message = compiled(wallet, plan.calls, tables)
    except ValueError as error:
        return Refusal("INVALID_INTENT", f"the calls make no message: {error}")
    return message if message.fault is None else Refusal(TOO_LARGE, message.fault)


def tables_of(addresses: tuple[str, ...], known: Known) -> tuple[Table, ...]:
    """The lookup tables among these addresses whose accounts were told and that are alive."""
    found = []
    for address in addresses:
        account = known.pools.accounts.get(address)
        table = None if account is None else table_of(address, account, known.pools.accounts.state.slot)
        if table is not None:
            found.append(table)
    return tuple(found)


def _swaps(legs: tuple[Plan | PlanHop, ...], known: Known, user: str) -> tuple[Instruction, ...] | Refusal | Untold:
    """The venues' instructions of all legs, in order."""
    accounts = known.pools.accounts
    clock = accounts.clock()
    swaps: list[Instruction] = []
    for leg in legs:
        account = accounts.get(leg.pool_address)
        venue = None if account is None else venue_of(account.owner)
        if venue is None:
            return Untold(f"account of pool {leg.pool_address}")
        seen = accounts.seen(leg.input_mint, leg.output_mint)
        if venue.id in NATIVE and not any(mint in seen for mint in (leg.input_mint, leg.output_mint) if mint != WSOL):
            return Untold(f"mint account of pool {leg.pool_address}")
        made = venue.instructions(
            leg.pool_address,
            seen,
            user=user,
            mint_in=leg.input_mint,
            amount=leg.amount_in,
            other_amount=leg.min_out,
            exact="in",
            clock=clock,
        )
        if isinstance(made, NotBuilt):
            if made.missing:
                return Untold(", ".join(made.missing[:4]))
            return Refusal("UNSUPPORTED_INTENT", f"pool={leg.pool_address} {made.reason}")
        swaps += made
    return tuple(swaps)


def _programs(
    mints: tuple[str, ...], intent: TradeIntent, known: Known, swaps: tuple[Instruction, ...], wallet: str
) -> tuple[str, ...] | Refusal:
    """The token program of each mint whose account is made.

    What the intent says of its token is believed first, then what is known of the mint; but the account that the pool
    pays into is what counts: where its program is the other one, that is the mint's.
    """
    named = {meta.pubkey: None for swap in swaps for meta in swap.metas}
    resources = intent.resources
    found = []
    for mint in mints:
        told = resources.token_program if mint in (resources.input_mint, resources.output_mint) else None
        likely = TOKEN if mint == WSOL else known.token_program(mint, told=told)
        tried = (likely, *(program for program in TOKEN_PROGRAMS if program != likely))
        program = next((program for program in tried if associated(wallet, mint, program) in named), None)
        if program is None:
            return Refusal("INVALID_MINT", f"mint={mint} token_program={likely} and no swap pays into its account")
        found.append(program)
    return tuple(found)


def _varied(units: int, number: int) -> int:
    """A limit that a few units were taken off, so that equal terms differ; never above what was judged."""
    return max(units - number % VARIATIONS, 1)
