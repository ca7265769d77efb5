"""LivePoolCache: what is known of every pool, field by field.

Unknown (None) is never zero, false or stale. Each field keeps the slot that told it and never goes back to an
older one. The quote side of a row is WSOL, else USDC, else USDT, else the pool's second mint, whatever order an
event names the mints in.

After a gap or a fork a row is `stale`. The first new word about the pool drops all amounts from before, so that
what stands in a row that is not stale was said after the last gap.

Beside the rows stand the accounts that exact quotes are made from: see `market/accounts.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import Struct, field

from ironcrab.domain.control import ForkOrphaned, GapClosed, GapOpened, RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import (
    AccountWritten,
    BondingCurveProgress,
    DexPoolAccounts,
    LatestBlockhash,
    LiquidityRemoved,
    PoolCacheUpdate,
    PoolCreated,
    PoolStateUpdate,
    SlotUpdate,
    Trade,
)
from ironcrab.domain.units import SOL_MINT, USDC_MINT, USDT_MINT, Bps, Key, Lamports, Seq, Slot, Word
from ironcrab.loop import Now
from ironcrab.market.accounts import Accounts, AccountsState
from ironcrab.market.bound import forget_oldest
from ironcrab.market.decimals import scaled

MOST_POOLS = 32_768
"""Pools remembered at most; beyond it those that changed longest ago are forgotten."""

MOST_GAPS = 16
"""Feeds whose open gap is remembered at most."""


class LastTrade(NamedTuple):
    """The newest trade of a pool: seq of its record, slot, raw units of the quote mint and of the base mint."""

    seq: Seq
    slot: Slot
    sol_amount: int
    token_amount: int


class PoolRow(Struct, gc=False, omit_defaults=True):
    """One pool. Read-only outside the cache.

    Attributes:
        pool_address: base58 of the pool account (PumpFun: of the bonding curve).
        dex: canonical venue name.
        base_mint: the traded mint.
        quote_mint: the mint it is priced in.
        seq: last record that changed this row.
        first_seen_slot: slot of the first word about it; never moves.
        created_seq: record of its PoolCreated; None: not seen.
        reserve_base: raw units (PumpFun: virtual reserves), told in `reserve_base_slot`.
        reserve_quote: the same of the quote mint.
        initial_liquidity: lamports on the quote side when it was created or discovered.
        accounts: what a swap names, in the venue's order; () unknown.
        creator: wallet of the creator.
        complete: PumpFun: the curve is sold out; None: not told.
        progress_bps: PumpFun: how far the curve is sold, 0..10,000.
        real_base: PumpFun: real token reserve, raw.
        real_quote: PumpFun: real SOL reserve, lamports.
        stale: record of the gap or fork that made the row unknown; None: known.
    """

    pool_address: Key
    dex: Word
    base_mint: Key
    quote_mint: Key
    seq: Seq
    first_seen_slot: Slot
    created_seq: Seq | None = None
    reserve_base: int | None = None
    reserve_base_slot: Slot | None = None
    reserve_quote: int | None = None
    reserve_quote_slot: Slot | None = None
    trade_seq: Seq | None = None
    trade_slot: Slot = 0
    trade_quote: int = 0
    trade_base: int = 0
    initial_liquidity: Lamports | None = None
    accounts: tuple[str, ...] = ()
    accounts_slot: Slot = 0
    creator: Key | None = None
    complete: bool | None = None
    progress_bps: Bps | None = None
    progress_slot: Slot = 0
    real_base: int | None = None
    real_quote: int | None = None
    stale: Seq | None = None

    @property
    def last_trade(self) -> LastTrade | None:
        """The newest trade with both amounts above zero; None: none since the last gap."""
        if self.trade_seq is None:
            return None
        return LastTrade(self.trade_seq, self.trade_slot, self.trade_quote, self.trade_base)

    @property
    def reserve_slot(self) -> Slot | None:
        """The older of the two slots the reserves were told in; None: a side is unknown."""
        if self.reserve_base_slot is None or self.reserve_quote_slot is None:
            return None
        return min(self.reserve_base_slot, self.reserve_quote_slot)

    @property
    def liquidity(self) -> Lamports | None:
        """Lamports on the quote side: the reserve where known, else what the pool began with; None: unknown."""
        if self.quote_mint != SOL_MINT:
            return None
        return self.initial_liquidity if self.reserve_quote is None else self.reserve_quote


class PoolsState(Struct):
    """Everything `LivePoolCache` remembers: rows by pool address in first-seen order, open gaps by feed, accounts.

    `gap_slot` is the newest slot in a gap, open ones included, `lost_slot` the newest in one that nothing filled.
    """

    rows: dict[str, PoolRow] = field(default_factory=dict)
    gaps: dict[str, Seq] = field(default_factory=dict)
    gap_slot: Slot = 0
    lost_slot: Slot = 0
    accounts: AccountsState = field(default_factory=AccountsState)


class LivePoolCache:
    """Reducer of pools."""

    name = "pools"
    wants: tuple[type[Event], ...] = (
        Trade,
        PoolStateUpdate,
        PoolCreated,
        DexPoolAccounts,
        PoolCacheUpdate,
        BondingCurveProgress,
        GapOpened,
        GapClosed,
        ForkOrphaned,
        AccountWritten,
        SlotUpdate,
        LatestBlockhash,
        LiquidityRemoved,
        RunStarted,
    )
    fields: Mapping[type[Event], tuple[str, ...]] = {
        Trade: (
            "pool_address",
            "mint",
            "quote_mint",
            "dex",
            "sol_amount",
            "token_amount",
            "slot",
            "creator",
            "signature",
        )
    }

    def __init__(self, now: Now) -> None:
        self.now = now
        self.state = PoolsState()
        self.accounts = Accounts(now)
        self.folds: dict[type[Event], Callable[[int, Any], None]] = {
            PoolStateUpdate: self._reserves,
            PoolCreated: self._created,
            DexPoolAccounts: self._accounts,
            PoolCacheUpdate: self._copied,
            BondingCurveProgress: self._progress,
            GapOpened: self._gap_opened,
            GapClosed: self._gap_closed,
            ForkOrphaned: self._orphaned,
            AccountWritten: lambda seq, event: self._written(self.accounts.wrote(seq, event)),
            SlotUpdate: self._slot,
            LatestBlockhash: lambda _, event: self._written(self.accounts.block_told(event)),
            LiquidityRemoved: lambda _, event: self._written(self.accounts.transaction(event.signature)),
            RunStarted: lambda _, event: self.accounts.opened(event.generations),
        }
        self.restored()

    def restored(self) -> None:
        """Rebuild what derives from the state; call it after the state was put back."""
        self.rows = self.state.rows
        self.by_quote: dict[str, list[PoolRow]] = {}
        for row in self.rows.values():
            self._list_quote(row)
        self.by_mint: dict[str, list[PoolRow]] = {}
        for row in self.rows.values():
            self.by_mint.setdefault(row.base_mint, []).append(row)
        self.accounts.take(self.state.accounts)
        self.staged = self.accounts.staged

    def get(self, pool: str) -> PoolRow | None:
        """What is known of this pool; None: never seen, or forgotten."""
        return self.rows.get(pool)

    def of_mint(self, mint: str) -> tuple[PoolRow, ...]:
        """The pools whose base mint this is, in first-seen order."""
        return tuple(self.by_mint.get(mint, ()))

    @property
    def gap_open(self) -> bool:
        """Whether a feed's gap is open: records may be missing up to now."""
        return bool(self.state.gaps)

    @property
    def gap_slot(self) -> Slot:
        """The last slot of which records may be missing; 0: none."""
        return self.state.gap_slot

    def step(self, seq: int, event: Event) -> Iterable[Event]:
        """Fold one word about a pool. Trades come by the million, so their path is laid out flat."""
        if type(event) is not Trade:
            self.folds[type(event)](seq, event)
            return ()
        if self.staged:
            self._written(self.accounts.transaction(event.signature))
        row = self.rows.get(event.pool_address)
        if row is None:
            row = self._born(seq, event.pool_address, event.dex, (event.mint, event.quote_mint), event.slot)
        elif row.stale is not None:
            _forget(row)
        slot = event.slot
        if slot is None:
            slot = self.now.slot
        if slot < row.trade_slot:
            return ()
        quote, base = event.sol_amount, event.token_amount
        if event.mint != row.base_mint:
            if event.mint != row.quote_mint:
                return ()
            base, quote = quote, base
        if row.creator is None:
            row.creator = event.creator
        if quote and base:
            row.trade_seq = row.seq = seq
            row.trade_slot = slot
            row.trade_quote = quote
            row.trade_base = base
        return ()

    def _born(self, seq: int, pool: str, dex: str, mints: tuple[str, str], slot: int | None) -> PoolRow:
        """The row of this pool, made now if it is new; `mints` base and quote as the event names them."""
        row = self.rows.get(pool)
        if row is not None:
            if row.stale is not None:
                _forget(row)
            return row
        base, quote = mints
        if _is_flipped(base, quote):
            base, quote = quote, base
        row = PoolRow(pool, dex, base, quote, seq, self.now.slot if slot is None else slot)
        self.rows[pool] = row
        self._list_quote(row)
        self.by_mint.setdefault(base, []).append(row)
        if forget_oldest(self.rows, MOST_POOLS):
            self.restored()
        return row

    def _list_quote(self, row: PoolRow) -> None:
        """Enter the row under its quote mint; SOL is left out, because nearly every pool is priced in it."""
        if row.quote_mint != SOL_MINT:
            self.by_quote.setdefault(row.quote_mint, []).append(row)

    def _reserves(self, seq: int, event: PoolStateUpdate) -> None:
        pool, slot = event.pool_address, event.update_slot
        row = self.rows.get(pool)
        if row is None or row.stale is not None:
            row = self._born(seq, pool, event.dex, (event.base_mint, event.quote_mint), slot)
        if event.base_mint == row.base_mint:
            base, quote = event.reserve_base, event.reserve_quote
        elif event.base_mint == row.quote_mint:
            quote, base = event.reserve_base, event.reserve_quote
        else:
            return
        if row.reserve_base_slot is None or slot >= row.reserve_base_slot:
            row.reserve_base, row.reserve_base_slot, row.seq = base, slot, seq
        if row.reserve_quote_slot is None or slot >= row.reserve_quote_slot:
            row.reserve_quote, row.reserve_quote_slot, row.seq = quote, slot, seq

    def _slot(self, _: int, event: SlotUpdate) -> None:
        changed = self.accounts.slot_told(event)
        if changed:
            self._written(changed)

    def _written(self, addresses: tuple[str, ...]) -> None:
        """Accounts changed; for a stale pool its own account is something new that is said about it."""
        for address in addresses:
            row = self.rows.get(address)
            if row is not None and row.stale is not None:
                _forget(row)

    def _created(self, seq: int, event: PoolCreated) -> None:
        self._written(self.accounts.transaction(event.signature))
        row = self._born(seq, event.pool_address, event.dex, (event.base_mint, event.quote_mint), event.slot)
        if row.created_seq is not None:
            return
        row.created_seq = row.seq = seq
        row.creator = event.creator if row.creator is None else row.creator
        began = scaled(event.initial_liquidity_sol, 9)
        row.initial_liquidity = row.initial_liquidity if began is None else began

    def _accounts(self, seq: int, event: DexPoolAccounts) -> None:
        row = self._born(seq, event.pool_address, event.dex, (event.base_mint, event.quote_mint), event.slot)
        slot = self.now.slot if event.slot is None else event.slot
        # a discovery without accounts keeps the known ones
        if event.accounts and slot >= row.accounts_slot:
            row.accounts, row.accounts_slot, row.seq = event.accounts, slot, seq

    def _copied(self, seq: int, event: PoolCacheUpdate) -> None:
        """A row of another process's cache: there zero, empty and a missing key all mean "not told"."""
        if event.update_type == "POOL_REMOVED":
            row = self.rows.pop(event.pool_address, None)
            if row is not None:
                self.by_mint[row.base_mint].remove(row)
                if row.quote_mint != SOL_MINT:
                    self.by_quote[row.quote_mint].remove(row)
            return
        row = self._born(seq, event.pool_address, event.dex, (event.base_mint, event.quote_mint), event.geyser_slot)
        row.seq = seq
        base, quote = event.base_reserve, event.quote_reserve
        if event.base_mint == row.quote_mint:
            base, quote = quote, base
        slot = event.geyser_slot
        if base and (row.reserve_base_slot is None or slot >= row.reserve_base_slot):
            row.reserve_base, row.reserve_base_slot = base, slot
        if quote and (row.reserve_quote_slot is None or slot >= row.reserve_quote_slot):
            row.reserve_quote, row.reserve_quote_slot = quote, slot
        if row.initial_liquidity is None:
            row.initial_liquidity = event.liquidity_lamports
        self._copied_metadata(row, event)

    def _copied_metadata(self, row: PoolRow, event: PoolCacheUpdate) -> None:
        told, slot = event.metadata, event.geyser_slot
        row.creator = row.creator or told.get("creator") or None
        accounts = tuple(key for key in told.get("pool_accounts", "").split(",") if key)
        if accounts and slot >= row.accounts_slot:
            row.accounts, row.accounts_slot = accounts, slot
        if slot < row.progress_slot:
            return
        if told.get("complete") in {"true", "false"}:
            row.complete, row.progress_slot = told["complete"] == "true", slot
        row.real_base = scaled(told.get("real_token_reserves"), 0) or row.real_base
        row.real_quote = scaled(told.get("real_sol_reserves"), 0) or row.real_quote

    def _progress(self, seq: int, event: BondingCurveProgress) -> None:
        row = self._born(seq, event.bonding_curve, "pumpfun", (event.mint, SOL_MINT), event.slot)
        # an event without slot counts as slot 0 and never replaces one with a slot
        slot = event.slot or 0
        if slot >= row.progress_slot:
            row.progress_bps, row.complete = event.progress_bps, event.complete
            row.progress_slot, row.seq = slot, seq

    def _gap_opened(self, seq: int, event: GapOpened) -> None:
        for row in self.rows.values():
            row.stale = seq
        state = self.state
        self.accounts.gap_opened(seq)
        state.gap_slot = max(state.gap_slot, self.now.slot if event.to_slot is None else event.to_slot)
        if event.to_slot is not None:
            state.lost_slot = max(state.lost_slot, event.to_slot)
        else:
            state.gaps[event.feed] = seq
            while len(state.gaps) > MOST_GAPS:
                del state.gaps[next(iter(state.gaps))]

    def _gap_closed(self, seq: int, event: GapClosed) -> None:
        state = self.state
        state.gaps.pop(event.feed, None)
        if not event.filled or event.opened is None:
            state.gap_slot = state.lost_slot = max(state.gap_slot, event.to_slot)
            return
        if not state.gaps:
            state.gap_slot = state.lost_slot  # nothing is missing: what is judged over a span of slots may span it
        self.accounts.gap_filled(event.opened)
        # every record of the gap was delivered after all: a pool that none of them touched did not change
        for row in self.rows.values():
            if row.stale == event.opened:
                row.stale, row.seq = None, seq

    def _orphaned(self, seq: int, event: ForkOrphaned) -> None:
        slot = event.orphaned_slot
        for address in self.accounts.orphaned(slot):
            if address in self.rows:
                self.rows[address].stale = seq
        for row in self.rows.values():
            if slot in (row.reserve_base_slot, row.reserve_quote_slot) or (
                row.trade_seq is not None and row.trade_slot == slot
            ):
                row.stale = seq


def _is_flipped(base: str, quote: str) -> bool:
    """Whether the quote mint stands on the base side."""
    for money in (SOL_MINT, USDC_MINT, USDT_MINT):
        if money in (base, quote):
            return base == money
    return False


def _forget(row: PoolRow) -> None:
    """Drop the amounts of a stale row: something new is being said about it."""
    row.stale = None
    row.reserve_base = row.reserve_base_slot = row.reserve_quote = row.reserve_quote_slot = None
    row.trade_seq, row.trade_slot = None, 0
    row.real_base = row.real_quote = None
