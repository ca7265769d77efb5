"""What strategies tell market-data of the pools they are about (wire contract 1.11), and their positions in a store.

Fire and forget: market-data finds pools by itself and asks the feed for what quoting them needs; a lost word costs a
pool its priority until the next full one. Positions stand in the store POSITIONS, one key a mint, for whoever looks;
the truth of them is the log. Nothing here decides.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from ironcrab.market.decimals import decimal_text
from ironcrab.market.known import Known
from ironcrab.market.price import Price
from ironcrab.market.tracked import Priority
from ironcrab.shell.bus_server import TRACKING
from ironcrab.strategy.arb import Arbitrage
from ironcrab.strategy.momentum import Momentum
from ironcrab.strategy.rows import Position

ACTIVE_POOLS = TRACKING["momentum-bot"]
VERSION = 1
POSITION_VERSION = 4
MOST_ACTIVE = 2_048
"""Pools of one message, those that came in last."""
MILLI = 1_000_000
PLACES = 9
"""Decimals of SOL, and digits of a price behind the point."""

MomentumReason = Literal["tracker", "position"]
ArbReason = Literal["baseline", "multi_dex", "trade_signal"]
_RANKS: dict[str, Priority] = {"position": "momentum", "multi_dex": "arb", "trade_signal": "arb"}
"""Priority of a pool by why it is active; for any other reason it is one among all."""


class ActivePool(Struct, frozen=True):
    """A pool that momentum looks at, or holds a position of."""

    mint: str
    pool: str
    pin_reason: MomentumReason


class GonePool(Struct, frozen=True):
    """A pool that momentum is done with."""

    mint: str
    pool: str
    reason: str


class MomentumActivePoolsUpdate(Struct, frozen=True):
    """What changed since the last word; with `full_active_snapshot` `active` is all there is."""

    ts_unix_ms: int
    active: tuple[ActivePool, ...] = ()
    removed: tuple[GonePool, ...] = ()
    full_active_snapshot: bool = False
    version: int = VERSION


class ArbPool(Struct, frozen=True):
    """A pool that arbitrage wants to be told of."""

    pool: str
    reason: ArbReason


class GoneArbPool(Struct, frozen=True):
    """A pool that it does not need any more."""

    pool: str
    reason: Literal["cooldown", "stale", "budget"]


class ArbTrackRequestsUpdate(Struct, frozen=True):
    """What changed since the last word; with `reconcile` `active` is all there is."""

    ts_unix_ms: int
    active: tuple[ArbPool, ...] = ()
    removed: tuple[GoneArbPool, ...] = ()
    reconcile: bool = False
    version: int = VERSION


def active_pools(momentum: Momentum) -> dict[str, tuple[str, MomentumReason]]:
    """Mint and reason by pool: positions last, so that they are the last to be left out."""
    found: dict[str, tuple[str, MomentumReason]] = {row.pool: (row.mint, "tracker") for row in momentum.rows.values()}
    for position in momentum.positions.values():
        found.pop(position.pool, None)
        found[position.pool] = (position.mint, "position")
    return _last(found)


def track_requests(arbitrage: Arbitrage) -> dict[str, ArbReason]:
    """Reason by pool: a wish under way, a mint that several venues trade, or any other that is looked at."""
    found: dict[str, ArbReason] = {}
    for row in tuple(arbitrage.rows.values())[-MOST_ACTIVE:]:
        pools = arbitrage.pools.of_mint(row.mint)
        reason: ArbReason = "multi_dex" if len({one.dex: None for one in pools}) > 1 else "baseline"
        found |= dict.fromkeys((one.pool_address for one in pools), reason)
    wished = {pool: None for path in arbitrage.state.flights for pool in path.split()}
    for pool in wished:
        found.pop(pool, None)
        found[pool] = "trade_signal"
    return _last(found)


def _last(found: dict[str, Any]) -> dict[str, Any]:
    return dict(tuple(found.items())[-MOST_ACTIVE:])


class Tracking:
    """What one strategy tells, as messages of what changed.

    Args:
        strategy: Momentum or Arbitrage, read and never stepped.
    """

    def __init__(self, strategy: Momentum | Arbitrage) -> None:
        self.strategy = strategy
        self.told: dict[str, Any] = {}

    def message(self, now_ms: int, *, full: bool) -> bytes | None:
        """The next word; None: nothing changed. A full one tells all there is."""
        strategy, old = self.strategy, {} if full else self.told
        now: dict[str, Any] = {}
        now |= active_pools(strategy) if isinstance(strategy, Momentum) else track_requests(strategy)
        gone = {pool: why for pool, why in old.items() if pool not in now}
        news = {pool: why for pool, why in now.items() if old.get(pool) != why}
        self.told = now
        if not (full or gone or news):
            return None
        if isinstance(strategy, Momentum):
            active = tuple(ActivePool(mint, pool, reason) for pool, (mint, reason) in news.items())
            left = tuple(GonePool(mint, pool, "not_tracked") for pool, (mint, _) in gone.items())
            return msgspec.json.encode(MomentumActivePoolsUpdate(now_ms, active, left, full))
        return msgspec.json.encode(
            ArbTrackRequestsUpdate(
                now_ms,
                tuple(ArbPool(pool, reason) for pool, reason in news.items()),
                tuple(GoneArbPool(pool, "stale") for pool in gone),
                full,
            )
        )


def priorities_of(subject: str, body: bytes) -> dict[str, Priority]:
    """Which priority each pool of a message is to have; a message that is none says nothing."""
    told: MomentumActivePoolsUpdate | ArbTrackRequestsUpdate
    try:
        if subject == ACTIVE_POOLS:
            told = msgspec.json.decode(body, type=MomentumActivePoolsUpdate)
            ranks = {one.pool: _RANKS.get(one.pin_reason, "tracker") for one in told.active}
        else:
            told = msgspec.json.decode(body, type=ArbTrackRequestsUpdate)
            ranks = {one.pool: _RANKS.get(one.reason, "tracker") for one in told.active}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {**{one.pool: "tracker" for one in told.removed}, **ranks}


# positions


class PersistedPosition(Struct, frozen=True, omit_defaults=True):
    """A position of momentum (contract: bucket POSITIONS, key = mint).

    `entry_price`, `highest_price`, `trade_mark_tps` and `current_price` are tokens per SOL as decimal text, empty where
    unknown; `token_amount` is raw, `sol_invested` lamports.
    """

    mint: str
    token_decimals: int
    pool: str
    dex: str
    entry_time_unix_ms: int
    entry_price: str
    token_amount: int
    sol_invested: int
    highest_price: str
    trade_mark_tps: str
    current_price: str
    trailing_active: bool
    exit_generated: bool
    entry_source: Literal["Live", "WalletSnapshot"]
    entry_confirmed_slot: int
    last_price_slot: int
    exit_generated_at_unix_ms: int | None = None
    token_program: str | None = None
    bonding_curve_progress_bps: int | None = None
    creator: str | None = None


def positions_of(momentum: Momentum) -> dict[str, bytes]:
    """What the store is to hold, by mint."""
    return {mint: _persisted(position, momentum.known) for mint, position in momentum.positions.items()}


def _persisted(position: Position, known: Known) -> bytes:
    row = known.pools.get(position.pool)
    mark, best = (_tps(price, position.decimals) for price in (position.mark, position.best))
    told = PersistedPosition(
        mint=position.mint,
        token_decimals=position.decimals,
        pool=position.pool,
        dex="" if row is None else row.dex,
        entry_time_unix_ms=position.time // MILLI,
        entry_price=_tps(position.paid, position.decimals),
        token_amount=position.held,
        sol_invested=position.paid.quote,
        highest_price=best,
        trade_mark_tps=mark,
        current_price=mark,
        trailing_active=position.trailing,
        exit_generated=position.exit_time > 0,
        entry_source="Live",
        entry_confirmed_slot=position.slot,
        last_price_slot=position.mark_slot,
        exit_generated_at_unix_ms=position.exit_time // MILLI or None,
        token_program=known.token_program(position.mint),
        bonding_curve_progress_bps=None if row is None else row.progress_bps,
        creator=None if row is None else row.creator,
    )
    return msgspec.json.encode({"schema_version": POSITION_VERSION, **msgspec.to_builtins(told)})


def _tps(price: Price, decimals: int) -> str:
    """Tokens per SOL, cut behind nine places: for people, never for a decision."""
    if not price.known:
        return ""
    return decimal_text(price.base * 10 ** (PLACES * 2) // (price.quote * 10**decimals), PLACES)
