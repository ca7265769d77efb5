"""The check table: every rule an intent passes before anything is asked of the world, in this order.

A check returns its row, or None where it does not apply and writes none; the first failed row ends the attempt.
Names, codes and texts are the wire contract's (section 2.2); rows of rules that are off by default (drawdown,
cooldown) and rows that only exist as refusals appear only then.
"""

from collections.abc import Callable
from functools import cached_property

from msgspec.structs import replace

from ironcrab.domain.ask import Plan
from ironcrab.domain.trade import CheckResult, Read, TradeIntent
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.execution.arbitrate import expires_ms
from ironcrab.execution.building import UNBUILT, VARIATIONS, built, means_of, path_units, units_of
from ironcrab.execution.cross_dex import ARB_SOURCE, CrossDexHandler, Round, is_cross_dex, path_of
from ironcrab.execution.exact import Fresh, age, exact_quote, too_old
from ironcrab.execution.fees import (
    FeePolicy,
    Fees,
    fees_of,
    liquidation,
    min_profit_for_landing,
    policy_of,
    price_of,
    profit_after_fees_bps,
    profit_lamports,
)
from ironcrab.execution.housekeeping import house_plan, hurt, is_dry, purpose_of
from ironcrab.execution.learned import learned_units, series_of
from ironcrab.execution.locks import PoolLock, Refused
from ironcrab.execution.plan import dex_of, hashed, make_plan, plan_of_round, token_mint
from ironcrab.execution.refusal import Refusal, Untold
from ironcrab.execution.state import EngineState, Waiting
from ironcrab.market.known import Known
from ironcrab.market.quotes import NoQuote
from ironcrab.market.slippage import Policy

SKIP_SELL = "skipped_for_sell"


class Case:
    """One attempt before its checks; checks read it, take its locks and leave its plan.

    Attributes:
        waiting: the attempt to judge.
        state: the engine's state, whose locks the checks take.
        known: what is known of the market.
        now_ms: time now.
        reads: what was read, for the decision.
        plan: the plan, once `tx_plan` made it.
        round: the quoted path of a round trip, once `cross_dex` found it.
        fee_source: where the priority fee comes from.
        expected_out: the quote that slippage is learned against, once `quantile_slippage` took it.
        learned_out: the least output by what was learned, raw units.
        preempted: holders that lost their pools to this attempt.
    """

    def __init__(self, waiting: Waiting, state: EngineState, known: Known) -> None:
        self.waiting = waiting
        self.intent: TradeIntent = waiting.event
        self.state = state
        self.params = state.params
        self.known = known
        self.now_ms = known.now.time // 1_000_000
        self.buys = waiting.event.side == "Buy"
        self.policy: FeePolicy = policy_of(state.params, waiting.event)
        self.fee_source = price_of(state.params, waiting.event, state.fees)[1]
        self.reads: list[Read] = []
        self.plan: Plan | None = None
        self.round: Round | None = None
        self.expected_out: int | None = None
        self.learned_out: int | None = None
        self.preempted: tuple[PoolLock, ...] = ()

    @property
    def label(self) -> str:
        """How texts call the intent: the id it came with, else its seq."""
        return self.intent.intent_id or str(self.waiting.intent)

    @property
    def builds(self) -> bool:
        """Whether plans are given instructions where the accounts are known."""
        return self.params.plans != "terms"

    @property
    def wrapped(self) -> bool:
        """Whether the wallet keeps its SOL wrapped."""
        return self.state.capital.wsol_seen

    @cached_property
    def quoted(self) -> Fresh | Refusal | Untold:
        """The exact quote of a plan of one pool; taken once, and not before a check needs it."""
        resources = self.intent.resources
        if is_cross_dex(self.intent) or len(resources.pools) != 1:
            return Untold("one pool")
        raw = self.intent.required_capital.raw
        return exact_quote(self.known, self.state, resources.pools[0], resources.input_mint, raw)

    @cached_property
    def fees(self) -> Fees:
        """The fee terms: the compute limit is the hint's, else what simulations taught, else the venue's estimate."""
        estimate = None
        if self.builds and self.intent.hint_compute_units is None:
            estimate = learned_units(self.state, self.params, series_of(self.intent))
            if estimate is None:
                estimate = self._venue_units()
        return fees_of(self.params, self.intent, self.state.fees, estimate)

    def _venue_units(self) -> int | None:
        """The compute limit by the venues' words; None: a venue's pool is not known."""
        intent = self.intent
        if is_cross_dex(intent):
            hops = path_of(intent)
            legs = tuple((hop.dex, hop.pool_address) for hop in hops)
            mints = (SOL_MINT, *(hop.output_mint for hop in hops))
            units = path_units(legs, mints, self.known, wrapped=self.wrapped) if legs else None
            return None if units is None else min(units, self.params.max_compute_units)
        fresh, dex = self.quoted, dex_of(intent)
        if not isinstance(fresh, Fresh) or dex is None:
            return None
        return units_of(intent, dex, fresh.quote, self.known, wrapped=self.wrapped)

    def read_balance(self, asset: str) -> None:
        """Note which record the balance of this asset comes from."""
        row = self.state.capital.assets.get(asset)
        if row is not None and row.seq is not None:
            self.reads.append(Read("balance", asset, row.seq))


Check = Callable[[Case], CheckResult | None]


def _pass(name: str, details: str | None = None) -> CheckResult:
    return CheckResult(name, passed=True, details=details)


def _fail(name: str, code: str, details: str | None = None) -> CheckResult:
    return CheckResult(name, passed=False, reason_code=code, details=details)


def idempotency(case: Case) -> CheckResult:
    """An id that reached simulation is refused; the engine's own second attempt is not a repeat."""
    told = case.intent.intent_id
    repeat = told is not None and case.waiting.attempt == 0 and told in case.state.processed
    return _fail("idempotency", "LOCK_DUPLICATE_INTENT", f"intent={told}") if repeat else _pass("idempotency")


def ttl_valid(case: Case) -> CheckResult:
    """The intent is still wanted: its ttl counts on record time, its deadline on slots."""
    deadline, slot = case.intent.deadline_slot, case.known.now.slot
    if deadline is not None and slot > deadline:
        return _fail("ttl_valid", "DEADLINE_SLOT_PASSED", f"slot={slot} > deadline_slot={deadline}")
    said, last = case.waiting.said_ms, expires_ms(case.waiting, case.params)
    ttl = last - said
    if case.now_ms > last:
        return _fail("ttl_valid", "TTL_EXPIRED", f"now={case.now_ms} > ts={said} + ttl={ttl}")
    return _pass("ttl_valid", f"now={case.now_ms} <= ts={said} + ttl={ttl}")


def kill_switch(case: Case) -> CheckResult:
    """No buys while it is on, and no wraps, which serve buys."""
    wraps = purpose_of(case.intent) == "wrap"
    if not case.buys and not wraps:
        return _pass("kill_switch", SKIP_SELL)
    kill = case.state.kill
    if kill.active:
        return _fail("kill_switch", "KILL_SWITCH_ACTIVE", kill.reason)
    return _pass("kill_switch", "inactive (wrap)" if wraps else "inactive (buy_only)")


def max_position_size(case: Case) -> CheckResult:
    """Capital of one buy."""
    if not case.buys:
        return _pass("max_position_size", SKIP_SELL)
    required, most = case.intent.required_capital.raw, case.params.max_position_size_lamports
    if required > most:
        return _fail("max_position_size", "RISK_MAX_POSITION", f"required={required} > max={most}")
    return _pass("max_position_size", f"required={required} <= max={most}")


def max_slippage(case: Case) -> CheckResult:
    """Slippage of a buy; exact-in market orders carry none."""
    if not case.buys:
        return _pass("max_slippage", "skipped_for_liquidation_sell" if liquidation(case.intent) else SKIP_SELL)
    if case.intent.metadata.get("market_order") == "true":
        return _pass("max_slippage", "skipped_for_market_order")
    told, most = case.intent.max_slippage_bps, case.params.max_slippage_bps
    if told > most:
        return _fail("max_slippage", "SIM_SLIPPAGE_EXCEEDED", f"intent_slippage={told}bps > max={most}bps")
    return _pass("max_slippage")


def max_open_positions(case: Case) -> CheckResult:
    """The largest of all counts decides; buys under way count; adding to a held position is no new one."""
    name = "max_open_positions"
    if not case.buys:
        return _pass(name, SKIP_SELL)
    if is_cross_dex(case.intent):
        return _pass(name, "skipped_for_round_trip")
    state, mint = case.state, token_mint(case.intent)
    balance = max(state.authority.balance(mint) or 0, state.capital.available(mint))
    if case.intent.metadata.get("entry_kind") == "scale_in" and balance > 0:
        return _pass(name, f"skipped_for_scale_in balance={balance}")
    told = _number(case.intent.metadata.get("current_open_positions")) or 0
    held, wallet = state.authority.held(), state.capital.tokens_held()
    coming = _mints_being_bought(state)
    current, most = max(told, held + coming, wallet + coming), case.params.max_open_positions
    sources = f"(metadata={told}, authority={held}, wallet={wallet}, buying={coming})"
    if current >= most:
        return _fail(name, "RISK_MAX_OPEN_POSITIONS", f"current={current} >= max={most} {sources}")
    return _pass(name, f"current={current} < max={most} {sources}")


def _mints_being_bought(state: EngineState) -> int:
    """Mints not held yet that attempts under way may open; one that will not land any more is counted still."""
    mints = {
        token_mint(attempt.event): None
        for attempt in state.attempts.values()
        if attempt.event.side == "Buy"
        and not attempt.plan.hops
        and not state.authority.balance(token_mint(attempt.event))
    }
    return len(mints)


def daily_loss_limit(case: Case) -> CheckResult:
    """Realised losses of this UTC day."""
    if not case.buys:
        return _pass("daily_loss_limit", SKIP_SELL)
    lost, most = case.state.losses.today(case.now_ms), case.params.daily_loss_limit_lamports
    if lost >= most:
        return _fail("daily_loss_limit", "RISK_DAILY_LOSS_LIMIT", f"lost={lost} >= max={most}")
    return _pass("daily_loss_limit", "ok (buy_only)")


def drawdown_limit(case: Case) -> CheckResult | None:
    """Fall of realised profit from its peak; no row where the limit is off."""
    most = case.params.drawdown_limit_lamports
    if not most or not case.buys:
        return None
    fallen = case.state.losses.drawdown_lamports
    if fallen >= most:
        return _fail("drawdown_limit", "RISK_DRAWDOWN_LIMIT", f"drawdown={fallen} >= max={most}")
    return _pass("drawdown_limit", f"drawdown={fallen} < max={most}")


def cooldown(case: Case) -> CheckResult | None:
    """Rest of a mint after a losing sell; no row where it is off."""
    if not case.params.cooldown_ms or not case.buys:
        return None
    until = case.state.losses.resting.get(token_mint(case.intent), 0)
    if case.now_ms < until:
        return _fail("cooldown", "RISK_COOLDOWN_ACTIVE", f"now={case.now_ms} < until={until}")
    return _pass("cooldown", "rested")


def sell_token_balance(case: Case) -> CheckResult | None:
    """What may be sold: the smaller of the wallet's free amount and what the authority tracks."""
    name = "sell_token_balance"
    if case.buys:
        return None
    if not case.state.wallet:
        return _fail(name, "INTERNAL_ERROR", "wallet unknown")
    mint, required = case.intent.resources.input_mint, case.intent.required_capital.raw
    case.read_balance(mint)
    free = case.state.capital.available(mint)
    tracked = case.state.authority.balance(mint)
    available, source = free, f"(wallet={free}, authority=untracked)"
    if tracked is not None:
        row = case.state.capital.assets.get(mint)
        tradable = max(tracked - (row.locked if row is not None else 0), 0)
        available, source = min(free, tradable), f"(wallet={free}, authority={tradable})"
    if available < required:
        return _fail(name, "SIM_INSUFFICIENT_BALANCE", f"available={available} < required={required} {source}")
    return _pass(name, f"available={available} >= required={required} {source}")


def fee_compute_limit(case: Case) -> CheckResult:
    """Compute limit."""
    units, most = case.fees.compute_units, case.params.max_compute_units
    if units > most:
        return _fail("fee_compute_limit", "FEE_COMPUTE_EXCEEDS_LIMIT", f"compute_units={units} > max={most}")
    return _pass("fee_compute_limit", f"compute_units={units}")


def fee_priority_limit(case: Case) -> CheckResult:
    """Priority fee that will be paid, static or recommended."""
    fee, most = case.fees.priority_fee_micro_lamports, case.policy.max_priority_fee_micro_lamports
    text = f"priority_fee_micro_lamports={fee}"
    if fee > most:
        text = f"{text} > max={most} source={case.fees.source}"
        return _fail("fee_priority_limit", "FEE_PRIORITY_EXCEEDS_LIMIT", text)
    return _pass("fee_priority_limit", f"{text} source={case.fees.source}")


def fee_max_cost(case: Case) -> CheckResult:
    """Network cost of the transaction; a tip, which an intent may name as it likes, is no way round the limit."""
    fees, most = case.fees, case.policy.max_tx_cost_lamports
    text = f"total_cost={fees.network_lamports} (base={fees.base_lamports}, priority={fees.priority_lamports})"
    tipped = f" + tip={fees.tip_lamports}" if fees.tip_lamports else ""
    if fees.network_lamports + fees.tip_lamports > most:
        return _fail("fee_max_cost", "FEE_EXCEEDS_MAX_COST", f"{text}{tipped} > max={most}")
    return _pass("fee_max_cost", text)


def fee_profitability(case: Case) -> CheckResult:
    """Expected return of an arbitrage after its cost; others are speculative."""
    name = "fee_profitability"
    if not case.buys:
        return _pass(name, SKIP_SELL)
    if case.intent.source != ARB_SOURCE:
        return _pass(name, "skipped_for_speculative_buy")
    least, intent = case.params.min_profit_after_fees_bps, case.intent
    profit = profit_after_fees_bps(intent.expected_roi_bps, case.fees.network_lamports, intent.required_capital.raw)
    if profit is None or profit < least:
        told = "unknown" if profit is None else f"{profit}bps"
        return _fail(name, "FEE_UNPROFITABLE", f"profit_after_fees={told} < min={least}bps")
    return _pass(name, f"profit_after_fees={profit}bps >= min={least}bps")


def resource_locks(case: Case) -> CheckResult:
    """Every pool the intent touches; only pools, because a shared mint would make all wait for all."""
    intent = case.intent
    asker = PoolLock(case.waiting.intent, case.label, intent.source, intent.tier)
    got = case.state.pools.lock(intent.resources.pools, asker, case.now_ms, case.params)
    if isinstance(got, Refused):
        if got.protected:
            text = f"{got.holder.source} is protected, pool locked by {got.holder.label}"
            return _fail("resource_lock", "FAIRNESS_BLOCKED", text)
        return _fail("resource_lock", "LOCK_RESOURCE_CONFLICT", f"pool locked by {got.holder.label}")
    case.preempted = got
    for holder in got:
        case.state.capital.release(holder.intent)
    preempted = "".join(f" preempted={holder.label}" for holder in got)
    return _pass("resource_locks", f"locked={len(intent.resources.pools)}{preempted}")


def capital_lock(case: Case) -> CheckResult:
    """The capital: SOL for a buy (WSOL once seen, else native), the token for a sell."""
    intent, capital = case.intent, case.state.capital
    amount, paid = intent.required_capital.raw, intent.resources.input_mint
    asset = capital.sol() if paid == SOL_MINT else paid
    case.read_balance(asset)
    until = case.now_ms + case.params.simulation_timeout_ms + case.params.capital_lock_ttl_buffer_ms
    if not capital.lock(case.waiting.intent, asset, amount, until):
        text = f"available={capital.available(asset)} < requested={amount} asset={asset}"
        return _fail("capital_lock", "LOCK_CAPITAL_CONFLICT", text)
    if not case.buys:
        return _pass("capital_lock", f"token:{asset}")
    kind = {NATIVE_SOL: "native_sol_fallback", SOL_MINT: "wsol_ata"}.get(asset, asset)
    return _pass("capital_lock", f"buy:reserve_lamports_from_{kind}={amount}")


def housekeeping(case: Case) -> CheckResult | None:
    """An action on the own wallet must not hurt an attempt under way, nor burn what is worth something."""
    purpose = purpose_of(case.intent)
    if purpose is None:
        return None
    refusal = hurt(case.intent, case.waiting.intent, case.state, case.known, case.reads)
    if refusal is not None:
        return _fail("housekeeping", refusal.code, refusal.details)
    return _pass("housekeeping", f"{purpose} (dry run)" if is_dry(case.intent) else purpose)


def cross_dex(case: Case) -> CheckResult | None:
    """A path from SOL to SOL must earn its costs and more by quotes of this moment; no row for others."""
    if not is_cross_dex(case.intent):
        return None
    if not case.params.cross_dex_enabled:
        return _fail("cross_dex_handler", "ARB_HANDLER_NOT_CONFIGURED", "cross_dex_enabled=false")
    found = CrossDexHandler(case.params, case.known).judge(case.intent, case.fees, case.reads)
    if isinstance(found, Refusal):
        return _fail("cross_dex_validation", found.code, found.details)
    case.round = found
    return _pass("cross_dex_validation", found.text)


def quantile_slippage(case: Case) -> CheckResult | None:
    """What own fills taught of this pool and size; no row where that is off.

    A plan with a fresh exact quote allows no more slippage than was learned, within what the intent allows; no plan
    asks for more than the intent does.
    """
    params, intent = case.params, case.intent
    if not params.quantile_slippage_enabled or case.round is not None or len(intent.resources.pools) != 1:
        return None
    pool, paid, amount = intent.resources.pools[0], intent.resources.input_mint, intent.required_capital.raw
    quote = case.known.quotes.quote(pool, paid, amount)
    if isinstance(quote, NoQuote):
        return _pass("quantile_slippage", f"nothing learned: no quote, {quote.reason}")
    policy = Policy(
        params.quantile_confidence_bps,
        params.quantile_min_samples,
        params.quantile_max_sample_age_secs,
        params.quantile_fallback_slippage_bps,
    )
    learned = case.known.slippage.learned(pool, paid, amount, policy)
    case.reads.append(Read("quote", pool, quote.seq))
    if learned.seq is not None:
        case.reads.append(Read("slippage", pool, learned.seq))
    case.expected_out, case.learned_out = quote.amount_out, learned.least(quote.amount_out)
    told = "fallback" if learned.quantile is None else f"quantile={learned.quantile}"
    text = f"size={learned.size} samples={learned.samples} {told} allowed={learned.allowed} per million"
    return _pass("quantile_slippage", f"{text} expected={quote.amount_out} least={case.learned_out}")


def tx_plan(case: Case) -> CheckResult:
    """A deterministic plan can be built from the intent and what is known."""
    if purpose_of(case.intent) is not None:
        return _house_plan(case)
    terms = _terms(case)
    if isinstance(terms, Refusal):
        return _fail("tx_plan", terms.code, terms.details)
    tail = _legs(terms)
    if not case.builds:
        case.plan = terms = hashed(terms)
        return _pass("tx_plan", f"ix_count=0 plan_hash={terms.plan_hash}{tail}")
    made = _built(case, terms)
    if isinstance(made, Refusal):
        return _fail("tx_plan", made.code, made.details)
    if isinstance(made, Untold):
        if case.params.plans == "required":
            return _fail("tx_plan", UNBUILT, f"not told: {made.what}")
        case.plan = terms = hashed(terms)
        return _pass("tx_plan", f"ix_count=0 plan_hash={terms.plan_hash}{tail} terms only, not told: {made.what}")
    case.plan = made
    rows = case.known.pools.accounts.rows
    case.reads += [Read("table", key, rows[key].seq) for key in made.tables]
    tables = f" tables={len(made.tables)}" if made.tables else ""
    quote = f"quote_age={made.quote_age_slots}slots/{made.quote_age_ms}ms min_out={made.min_out}"
    return _pass("tx_plan", f"ix_count={len(made.calls)} plan_hash={made.plan_hash}{tail}{tables} {quote}")


def _legs(terms: Plan) -> str:
    """The venues of a path, in order; of two they are where it buys and where it sells."""
    dexes = [hop.dex for hop in terms.hops]
    if len(dexes) == 2:
        return f" buy_dex={dexes[0]} sell_dex={dexes[1]}"
    return f" hops={len(dexes)} {' '.join(dexes)}" if dexes else ""


def _terms(case: Case) -> Plan | Refusal:
    """The plan without instructions: what a round trip or one pool is to give."""
    if case.round is not None:
        return _round_terms(case, case.round)
    fresh = case.quoted if case.builds else None
    if isinstance(fresh, Fresh):
        return make_plan(case.intent, case.fees, case.known, case.reads, fresh, case.learned_out)
    made = make_plan(case.intent, case.fees, case.known, case.reads)
    if isinstance(fresh, Refusal) and not isinstance(made, Refusal):
        return fresh
    if isinstance(made, Refusal) or case.expected_out is None:
        return made
    return replace(made, expected_out=case.expected_out)


def _round_terms(case: Case, found: Round) -> Plan | Refusal:
    """The plan of a round trip, with the greatest age of its quotes where instructions are to follow."""
    plan = plan_of_round(case.intent, case.fees, found.hops, found.must_earn_lamports)
    if not case.builds:
        return plan
    ages = [age(case.known, case.state, hop.pool_address, hop.input_mint) for hop in found.hops]
    slots, millis = max(slots for slots, _ in ages), max(millis for _, millis in ages)
    stale = too_old(slots, millis, case.params)
    if stale is not None:
        return Refusal("QUOTE_UNAVAILABLE", stale)
    return replace(plan, quote_slot=case.known.now.slot - slots, quote_age_slots=slots, quote_age_ms=millis)


def _built(case: Case, terms: Plan) -> Plan | Refusal | Untold:
    """The plan with its instructions, unlike every message that may still be under way."""
    inexact = case.round.inexact if case.round is not None else None
    if inexact is not None:
        return Untold(f"accounts of pool {inexact}")
    if case.round is None and isinstance(case.quoted, Untold):
        return case.quoted

    def one(number: int) -> Plan | Refusal | Untold:
        means = means_of(case.params, case.state.wallet, wrapped=case.wrapped, number=number)
        return built(terms, case.intent, case.known, means)

    return _unlike_others(case, one)


def _house_plan(case: Case) -> CheckResult:
    """The plan of an action on the own wallet: it always has its instructions."""
    made = _unlike_others(case, lambda number: house_plan(case.intent, case.fees, case.state.wallet, number))
    if isinstance(made, Untold):
        return _fail("tx_plan", UNBUILT, f"not told: {made.what}")
    if isinstance(made, Refusal):
        return _fail("tx_plan", made.code, made.details)
    case.plan = made
    return _pass("tx_plan", f"ix_count={len(made.calls)} plan_hash={made.plan_hash}")


def _unlike_others(case: Case, make: Callable[[int], Plan | Refusal | Untold]) -> Plan | Refusal | Untold:
    """The first plan that is no message which may still be under way; `make` is given a number to vary it by."""
    hashes, number = case.state.hashes, case.waiting.intent + case.waiting.attempt
    for extra in range(VARIATIONS):
        one = make(number + extra)
        if not isinstance(one, Plan) or hashes.get(one.plan_hash, 0) < case.now_ms:
            return one
    return Refusal("INTERNAL_ERROR", f"{VARIATIONS} equal messages are under way")


def bundle_auction(case: Case) -> CheckResult | None:
    """Tip and priority fee are no larger a share of a bundle's profit than may be spent; no row where that is off."""
    if not case.params.bundle_auction_enabled or not case.intent.require_bundle:
        return None
    fees, found = case.fees, case.round
    profit = profit_lamports(case.intent) if found is None else found.profit_lamports + found.cost_lamports
    least = min_profit_for_landing(case.params, fees.tip_lamports, fees.priority_lamports)
    text = f"profit={profit} tip={fees.tip_lamports} priority={fees.priority_lamports}"
    if least is None or profit < least:
        return _fail("bundle_auction", "FEE_UNPROFITABLE", f"{text} < min={'none' if least is None else least}")
    return _pass("bundle_auction", f"{text} >= min={least}")


def bundle(case: Case) -> CheckResult | None:
    """A bundle needs someone who sends it, and a tip that is taken; no row where nothing is wrong."""
    if not case.intent.require_bundle:
        return None
    if case.params.send_enabled and not case.params.jito_enabled:
        return _fail("bundle_config", "BUNDLE_NOT_CONFIGURED", "jito_enabled=false")
    tip, floor = case.fees.tip_lamports, case.params.jito_bundle_tip_floor_lamports
    if tip < floor:
        return _fail("bundle_tip_ix", "INTERNAL_ERROR", f"tip_lamports={tip} < floor={floor}")
    return None


def pump_amm_quote_ready(case: Case) -> CheckResult | None:
    """A regular PumpSwap sell needs a usable quote of its pool; no row where it has one."""
    intent = case.intent
    if case.buys or dex_of(intent) != "pump_amm" or liquidation(intent):
        return None
    pool = intent.resources.pools[0]
    quote = case.known.quotes.quote(pool, intent.resources.input_mint, intent.required_capital.raw)
    if isinstance(quote, NoQuote):
        return _fail("pump_amm_quote_ready", "QUOTE_UNAVAILABLE", f"pool={pool} reason={quote.reason}")
    case.reads.append(Read("quote", pool, quote.seq))
    return None


def _number(text: str | None) -> int | None:
    """An integer out of metadata, or None where it is none."""
    if text is None or len(text) > 20 or not text.lstrip("-").isdecimal() or not text.isascii():
        return None
    return int(text) if text.count("-") <= 1 else None


CHECKS: tuple[Check, ...] = (
    idempotency,
    ttl_valid,
    kill_switch,
    max_position_size,
    max_slippage,
    max_open_positions,
    daily_loss_limit,
    drawdown_limit,
    cooldown,
    sell_token_balance,
    fee_compute_limit,
    fee_priority_limit,
    fee_max_cost,
    fee_profitability,
    resource_locks,
    capital_lock,
    housekeeping,
    cross_dex,
    quantile_slippage,
    tx_plan,
    bundle_auction,
    bundle,
    pump_amm_quote_ready,
)
"""Every check before simulation, in order; send switch, simulation, send and confirmation follow in `progress`."""


def judge(checks: tuple[Check, ...], case: Case) -> list[CheckResult]:
    """The rows of an attempt up to its first failure; the case holds its locks and plan."""
    rows = []
    for check in checks:
        row = check(case)
        if row is not None:
            rows.append(row)
            if not row.passed:
                break
    return rows
