"""The gates of an entry, in their order; the first that holds a mint back gives the code."""

from ironcrab.domain.units import BPS, SLOT_MS, TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from ironcrab.market.known import Known
from ironcrab.market.pools import PoolRow
from ironcrab.strategy.features import Features, concentration, dominance_bps, liquidity_of
from ironcrab.strategy.params import Entry, Shared, slots
from ironcrab.strategy.policy import Policy, Seen
from ironcrab.strategy.routes import PUMP_AMM_ACCOUNTS, has_accounts
from ironcrab.strategy.rows import MomentumState, Row
from ironcrab.strategy.shape import PASS, Finding, Number, dump_recovery, price_trend


class Gates:
    """Judges whether a pool may be bought now."""

    def __init__(self, known: Known, shared: Shared) -> None:
        self.now = known.now
        self.known = known
        self.pools = known.pools
        self.mints = known.mints
        self.shared = shared
        self.removal_span = slots(shared.lp_removal_window_secs)
        self.features = Features(known)

    def removed(self, state: MomentumState, mint: str, after: int) -> bool:
        """Whether liquidity of the mint was removed after slot `after` and within the window."""
        slot = state.removals.get(mint)
        if slot is None or slot <= after:
            return False
        return not self.removal_span or self.now.slot - slot <= self.removal_span

    def judge(self, state: MomentumState, row: Row, pool: PoolRow, policy: Policy) -> Finding:
        """All gates: what is known of the pool, its flow, its price, the regime's own, and whether a buy has a way."""
        found = self._pool(state, row, pool, policy)
        if found is PASS:
            found = self._flow(row, policy)
        if found is PASS and policy.gates:
            seen = self._seen(row)
            found = PASS if seen is None else policy.own(seen)
        return self._route(row, pool) if found is PASS else found

    def _pool(self, state: MomentumState, row: Row, pool: PoolRow, policy: Policy) -> Finding:
        """Gates 0 to 5; before them the end of a curve and a gap, which no later gate would see."""
        head, entry = self.now.slot, policy.entry
        if pool.complete:
            return "REJECT_PUMPFUN_BONDING_COMPLETE", (
                ("progress_bps", -1 if pool.progress_bps is None else pool.progress_bps, BPS),
            )
        gap = self.pools.state.gap_slot
        if pool.stale is not None or self.pools.state.gaps or (gap and gap >= head - policy.longest):
            return "WAIT_FEED_GAP", (("slots_since_gap", head - gap, policy.longest),)
        dev = self.mints.state.devs.get(row.mint)
        if dev is not None and dev.supply_bps is not None and dev.supply_bps > entry.max_dev_supply_bps:
            return "REJECT_DEV_SUPPLY_TOO_HIGH", (("dev_supply_bps", dev.supply_bps, entry.max_dev_supply_bps),)
        if entry.require_mint_authority_renounced or entry.require_freeze_authority_none:
            found = self._authorities(row, entry)
            if found is not PASS:
                return found
        liquidity = liquidity_of(pool) if pool.reserve_quote is None else pool.reserve_quote
        if entry.min_liquidity_lamports and (liquidity is None or liquidity < entry.min_liquidity_lamports):
            value = -1 if liquidity is None else liquidity
            return "WAIT_INSUFFICIENT_LIQUIDITY", (("liquidity_lamports", value, entry.min_liquidity_lamports),)
        if state.removals and self.removed(state, row.mint, -1):
            return "REJECT_LP_REMOVED", (("slots_since_removal", head - state.removals[row.mint], self.removal_span),)
        age = (head - pool.first_seen_slot) * SLOT_MS
        if age < entry.min_token_age_secs * 1000:
            return "WAIT_TOKEN_AGE", (("age_secs", age // 1000, entry.min_token_age_secs),)
        if row.dev_sell_slot is not None:
            since = (self.now.time - row.dev_sell_time) // 1_000_000_000
            if since < entry.dev_sell_revalidation_delay_secs:
                return "WAIT_DEV_SELL_REVALIDATION", (
                    ("secs_since_dev_sell", since, entry.dev_sell_revalidation_delay_secs),
                )
        return PASS

    def _seen(self, row: Row) -> Seen | None:
        windows = self.features.windows_of(row.pool)
        return None if windows is None else Seen(self.known, row, windows, self.now.slot)

    def _authorities(self, row: Row, entry: Entry) -> Finding:
        mint = self.mints.get(row.mint)
        if mint is None:
            return "WAIT_MINT_INFO", (("mint_told", 0, 1),)
        if entry.require_mint_authority_renounced and mint.mint_authority is not None:
            return "REJECT_MINT_AUTHORITY_NOT_RENOUNCED", (("mint_authorities", 1, 0),)
        if entry.require_freeze_authority_none and mint.freeze_authority is not None:
            return "REJECT_FREEZE_AUTHORITY_SET", (("freeze_authorities", 1, 0),)
        return PASS

    def _flow(self, row: Row, policy: Policy) -> Finding:
        """Gates 6 to 13."""
        head, entry = self.now.slot, policy.entry
        windows = self.features.windows_of(row.pool)
        if windows is None:
            return "WAIT_BUYER_WINDOW", (("unique_buyers", 0, entry.min_unique_buyers),)
        buyers = policy.buyers_of(windows, head)
        unique = len(buyers.counts)
        if unique < entry.min_unique_buyers:
            return "WAIT_BUYER_WINDOW", (("unique_buyers", unique, entry.min_unique_buyers),)
        if policy.too_slow(buyers.trades):
            rate = policy.per_min_milli(buyers.trades)
            return "WAIT_BUYER_WINDOW", (("trades_per_min_milli", rate, entry.min_trades_per_min_milli),)
        if buyers.buys * BPS < entry.min_buy_dominance_bps * buyers.trades or not buyers.trades:
            return "WAIT_BUYER_WINDOW", (("buy_dominance_bps", dominance_bps(buyers), entry.min_buy_dominance_bps),)
        enough = policy.enough
        if buyers.buys >= enough and buyers.small * BPS > entry.small_buy_ratio_cap_bps * buyers.buys:
            ratio = buyers.small * BPS // buyers.buys
            return "REJECT_MICRO_BUY_SPAM", (("small_buy_ratio_bps", ratio, entry.small_buy_ratio_cap_bps),)
        if unique >= enough and (
            not buyers.within(entry.top1_buyer_share_cap_bps, entry.top3_buyer_share_cap_bps, BPS)
            or buyers.repeats * BPS < entry.repeat_buyer_min_ratio_bps * unique
        ):
            return "REJECT_BOT_CONCENTRATION", concentration(buyers, entry)
        inflow = windows.sums_of(policy.inflow, head)
        net = max(0, inflow.bought - inflow.sold)
        if net < entry.min_sol_inflow_lamports:
            return "WAIT_NET_SOL_INFLOW", (("net_inflow_lamports", net, entry.min_sol_inflow_lamports),)
        found = PASS
        if policy.trend:
            ticks = windows.ticks_of(policy.trend, head)
            found = price_trend(ticks, head, windows.flow.best, entry, row.memory)
        if found is PASS:
            found = dump_recovery(windows.sums_of(policy.dump, head), head, entry, row.memory)
        return found

    def _route(self, row: Row, pool: PoolRow) -> Finding:
        """What a buy needs so that it is not refused for want of data."""
        mint = self.mints.get(row.mint)
        if mint is not None and mint.token_program not in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM):
            return "REJECT_UNSUPPORTED_TOKEN_PROGRAM", (("supported_programs", 0, 1),)
        if pool.dex == "pump_amm" and not has_accounts(pool):
            return "WAIT_POOL_ACCOUNTS", (("accounts", len(pool.accounts), PUMP_AMM_ACCOUNTS),)
        if pool.dex == "pumpfun" and pool.creator is None:
            return "WAIT_MISSING_CREATOR", (("creators_told", 0, 1),)
        if pool.trade_seq is None or (mint is None and row.decimals is None):
            return "WAIT_TRADE_PRICE", (("trades_told", int(pool.trade_seq is not None), 1),)
        return PASS

    def summary(self, row: Row, pool: PoolRow, policy: Policy) -> tuple[Number, ...]:
        """The numbers behind an entry, each with its limit."""
        windows, entry, head = self.features.windows_of(row.pool), policy.entry, self.now.slot
        liquidity = ("liquidity_lamports", liquidity_of(pool) or 0, entry.min_liquidity_lamports)
        if windows is None:
            return (liquidity,)
        buyers = policy.buyers_of(windows, head)
        inflow = windows.sums_of(policy.inflow, head)
        return (
            liquidity,
            ("unique_buyers", len(buyers.counts), entry.min_unique_buyers),
            ("trades_per_min_milli", policy.per_min_milli(buyers.trades), entry.min_trades_per_min_milli),
            ("buy_dominance_bps", dominance_bps(buyers), entry.min_buy_dominance_bps),
            *concentration(buyers, entry),
            ("net_inflow_lamports", inflow.bought - inflow.sold, entry.min_sol_inflow_lamports),
            *policy.numbers(Seen(self.known, row, windows, head)),
        )
