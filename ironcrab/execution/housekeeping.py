"""Actions on the own wallet: wrap, unwrap, close, burn. Here: the intent that wishes one, the plan that does it.

An action takes the road of every trade and has exactly one DecisionRecord:

    intent      said by a housekeeper (WsolManager, AccountJanitor): side Sell, `metadata.purpose` names the action
    checks      the same table: idempotency, ttl, kill switch (no wrap while it is on), balance, fees, capital lock on
                the asset that is given; the row `housekeeping` refuses what would hurt an attempt under way
    plan        venue `wallet`, no pool; `pool_address` is the (first) token account, `calls` the whole transaction
    simulate    must give at least `min_out`: wrapped lamports, or the lamports that the accounts are known to hold
    send        not for a dry run: that ends here with the code dry_run
    confirm     fills: native SOL, WSOL or tokens given, WSOL or native SOL received
    accounting  capital by what was really given and received; a burnt position is closed at a loss; rent is no profit

Assets: NATIVE_SOL and SOL_MINT (WSOL) in lamports, a token mint in raw units. A close may name several empty accounts
of one token program in `resources.accounts`; `metadata.mints` then names the mint of each.
"""

from ironcrab.dex import wallet
from ironcrab.dex.address import TOKEN, TOKEN_PROGRAMS, WSOL, associated, is_key
from ironcrab.dex.face import Instruction
from ironcrab.dex.message import calls_of
from ironcrab.domain.ask import Plan
from ironcrab.domain.market import ExplicitAmount
from ironcrab.domain.trade import Read, TradeIntent, TradeResources
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.execution.building import VARIATIONS, with_message
from ironcrab.execution.fees import Fees
from ironcrab.execution.refusal import Refusal
from ironcrab.execution.state import EngineState
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.market.quotes import NoQuote, PoolQuote

PURPOSES = ("wrap", "unwrap", "close", "burn")
MOST_CLOSED = 20
"""Accounts that one transaction closes at most: 39 bytes each, and 25 would fill a packet."""
VENUE = "wallet"
"""What stands in a plan's `dex`."""
UNITS = {
    "wrap": wallet.BUDGET_UNITS + wallet.CREATE_UNITS + wallet.WRAP_UNITS,
    "unwrap": wallet.BUDGET_UNITS + wallet.WRAP_UNITS,
    "close": wallet.BUDGET_UNITS + 2 * wallet.WRAP_UNITS,
    "burn": wallet.BUDGET_UNITS + 3 * wallet.WRAP_UNITS,
}
"""Compute units of an action (a close: of one account), with room for the old token program."""


def purpose_of(intent: TradeIntent) -> str | None:
    """Which action an intent wishes; None: it trades."""
    told = intent.metadata.get("purpose")
    return told if told in PURPOSES else None


def is_dry(intent: TradeIntent) -> bool:
    """Whether the action is simulated only."""
    return intent.metadata.get("dry_run") == "true"


def action(
    source: str,
    purpose: str,
    given: ExplicitAmount,
    resources: TradeResources,
    metadata: dict[str, str],
    *,
    ttl_ms: int | None = None,
) -> TradeIntent:
    """The intent of an action that gives `given` raw units of `resources.input_mint`."""
    return TradeIntent(
        source=source,
        tier="Tier1",
        origin_type="ExecutionMevB",
        required_capital=given,
        resources=resources,
        expected_roi_bps=0,
        max_slippage_bps=0,
        side="Sell",
        regime="NotApplicable",
        ttl_ms=ttl_ms,
        hint_compute_units=UNITS[purpose] + max(len(resources.accounts) - 1, 0) * wallet.WRAP_UNITS,
        metadata={"purpose": purpose, **metadata},
        expected_value_lamports=0,
    )


def hurt(intent: TradeIntent, seq: int, state: EngineState, known: Known, reads: list[Read]) -> Refusal | None:
    """What an action would hurt: an attempt that uses the account, tokens that are worth something; None: nothing.

    Args:
        intent: the action.
        seq: of its record; it may hold locks already.
        state: the engine's.
        known: what is known of the market.
        reads: gets the quotes that were read.
    """
    if purpose_of(intent) == "unwrap":
        locked = state.capital.asset(SOL_MINT).locked - _held_by(seq, state)
        if intent.metadata.get("whole") == "true" and locked:
            return Refusal("LOCK_CAPITAL_CONFLICT", f"locked={locked} of the account to close")
        return None
    if purpose_of(intent) == "wrap":
        return None
    given = mints_of(intent)
    for other, attempt in state.attempts.items():
        if other != seq and (attempt.plan.input_mint in given or attempt.plan.output_mint in given):
            return Refusal("LOCK_RESOURCE_CONFLICT", f"token account in use by {attempt.event.intent_id or other}")
    if purpose_of(intent) == "burn":
        return _worth_something(intent, known, reads)
    return None


def mints_of(intent: TradeIntent) -> list[str]:
    """The mints of the accounts that an action closes, in their order."""
    return intent.metadata.get("mints", intent.resources.input_mint).split()


def _held_by(seq: int, state: EngineState) -> int:
    lock = state.capital.locks.get(seq)
    return 0 if lock is None else lock.amount


def _worth_something(intent: TradeIntent, known: Known, reads: list[Read]) -> Refusal | None:
    """A route that pays more than the intent allows to burn, or that may do so."""
    most = intent.metadata.get("max_value_lamports", "0")
    most_lamports = int(most) if most.isascii() and most.isdigit() and len(most) <= 19 else 0
    why = worth(intent.resources.input_mint, intent.required_capital.raw, most_lamports, known, reads)
    return None if why is None else Refusal("refused_route_exists", why)


def worth(mint: str, raw: int, most_lamports: int, known: Known, reads: list[Read]) -> str | None:
    """Why tokens may be worth more than so much: a pool pays more, or what it pays is not known; None: they are not.

    Unknown is not nothing: a pool that a gap made unknown, of which only the address was told, or that trades the mint
    for another one than SOL keeps them, and so does a gap in which pools may have been made.
    """
    if known.pools.gap_open:
        return "the feed has a gap"
    for row in (*known.pools.of_mint(mint), *known.pools.by_quote.get(mint, ())):
        if SOL_MINT not in (row.base_mint, row.quote_mint):
            return f"pool={row.pool_address} trades {row.base_mint} for {row.quote_mint}"
        found = known.quotes.quote(row.pool_address, mint, raw)
        if isinstance(found, NoQuote) and (found.reason == "POOL_STALE" or _is_blank(row, mint, known)):
            return f"pool={row.pool_address} is not known now"
    for quote in routes(mint, raw, known):
        reads.append(Read("quote", quote.pool_address, quote.seq))
        if quote.amount_out > most_lamports:
            return f"pool={quote.pool_address} pays={quote.amount_out} > max={most_lamports}"
    return None


def _is_blank(row: PoolRow, mint: str, known: Known) -> bool:
    """Whether nothing was told of what the pool holds; a curve that is complete pays nothing, whatever it holds."""
    told = row.complete or row.reserve_slot is not None or row.trade_seq is not None
    return not told and bool(known.pools.accounts.lacks(row.pool_address, mint))


def routes(mint: str, raw: int, known: Known) -> list[PoolQuote]:
    """What each known pool of the mint would pay in SOL for `raw` units, the best first; ties by address."""
    quotes = [
        known.quotes.quote(row.pool_address, mint, raw)
        for row in known.pools.of_mint(mint)
        if row.stale is None and SOL_MINT in (row.base_mint, row.quote_mint)
    ]
    found = [quote for quote in quotes if isinstance(quote, PoolQuote)]
    return sorted(found, key=lambda quote: (-quote.amount_out, quote.pool_address))


def house_plan(intent: TradeIntent, fees: Fees, owner: str, number: int = 0) -> Plan | Refusal:
    """The plan of an action of the wallet `owner`: its whole transaction; `number` tells it from its equals."""
    purpose = purpose_of(intent)
    if not is_key(owner):
        return Refusal("INVALID_INTENT", f"wallet={owner!r} is no address")
    if purpose in ("wrap", "unwrap"):
        made = _wrapping(intent, purpose, owner)
    else:
        made = _closing(intent, purpose == "burn", owner)
    if isinstance(made, Refusal):
        return made
    account, least, instructions = made
    units = max(fees.compute_units - number % VARIATIONS, 1)
    budget = wallet.compute_budget(units, fees.priority_fee_micro_lamports)
    plan = Plan(
        side=intent.side,
        dex=VENUE,
        pool_address=account,
        input_mint=intent.resources.input_mint,
        output_mint=intent.resources.output_mint,
        amount_in=intent.required_capital.raw,
        min_out=least,
        max_slippage_bps=0,
        compute_units=units,
        priority_fee_micro_lamports=fees.priority_fee_micro_lamports,
        tip_lamports=fees.tip_lamports,
        plan_hash="",
        calls=calls_of((*budget, *instructions)),
    )
    return with_message(plan, owner, ())


Made = tuple[str, int, tuple[Instruction, ...]]
"""Token account, least output in lamports, instructions."""


def _wrapping(intent: TradeIntent, purpose: str, owner: str) -> Made | Refusal:
    raw, resources = intent.required_capital.raw, intent.resources
    pair = (NATIVE_SOL, SOL_MINT) if purpose == "wrap" else (SOL_MINT, NATIVE_SOL)
    if (resources.input_mint, resources.output_mint) != pair or raw <= 0:
        return Refusal("INVALID_INTENT", f"{purpose} of {raw} from {resources.input_mint} to {resources.output_mint}")
    account = associated(owner, WSOL, TOKEN)
    if purpose == "wrap":
        return account, raw, (wallet.create_account(owner, owner, WSOL, TOKEN), *wallet.wrap(owner, raw))
    if intent.metadata.get("whole") == "true":
        return account, raw, (wallet.close_account(account, owner, TOKEN),)
    return account, raw, (wallet.unwrap(owner, raw),)


def _closing(intent: TradeIntent, burns: bool, owner: str) -> Made | Refusal:
    resources, raw, mints = intent.resources, intent.required_capital.raw, mints_of(intent)
    accounts, program = resources.accounts, resources.token_program
    if not 0 < len(accounts) <= MOST_CLOSED or program not in TOKEN_PROGRAMS or resources.output_mint != NATIVE_SOL:
        told = f"accounts={len(accounts)} token_program={program} output_mint={resources.output_mint}"
        return Refusal("INVALID_INTENT", told)
    if len(mints) != len(accounts) or mints[0] != resources.input_mint:
        return Refusal("INVALID_INTENT", f"accounts={len(accounts)} mints={len(mints)}, the first {mints[:1]}")
    for account, mint in zip(accounts, mints, strict=True):
        if not is_key(account) or not is_key(mint) or mint == SOL_MINT:
            return Refusal("INVALID_MINT", f"account={account} mint={mint}")
    if burns != (raw > 0):
        return Refusal("INVALID_INTENT", f"{intent.metadata['purpose']} of an account that holds {raw}")
    harvests = intent.metadata.get("withheld") == "true"
    if len(accounts) > 1 and (burns or harvests):
        return Refusal("INVALID_INTENT", f"accounts={len(accounts)}: one that is burnt or harvested is closed alone")
    lamports = intent.metadata.get("lamports", "")
    if not (lamports.isascii() and lamports.isdigit() and len(lamports) <= 19):
        return Refusal("INVALID_INTENT", f"metadata.lamports={lamports[:40]!r}")
    steps = []
    if burns:
        decimals = intent.required_capital.decimals
        steps.append(wallet.burn_checked(accounts[0], mints[0], owner, program, raw, decimals))
    if harvests:
        steps.append(wallet.harvest(accounts[0], mints[0], program))
    closes = (wallet.close_account(account, owner, program) for account in accounts)
    return accounts[0], int(lamports), (*steps, *closes)
