"""What a run that begins inside a recording is told first: the market as it is known there.

A live session reads the pools before it trades; so a part of a recording opens with each account as it was last
written, the pools and mints that exist, their reserves, and the newest block and fees. What is unknown there (behind a
gap, on a fork that was orphaned) is not told. Windows of trades begin empty, as they do after a start.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ironcrab.domain.event import Event
from ironcrab.domain.market import (
    AccountWritten,
    DexPoolAccounts,
    LatestBlockhash,
    PoolCreated,
    PoolStateUpdate,
    PriorityFeePercentiles,
    TokenMintInfo,
)
from ironcrab.log.recording import Recording
from ironcrab.market.accounts import AccountRow
from ironcrab.mode.fills import Fills

SOURCE = "opening"
"""`source` of the account writes that open a run."""
_POOL: Callable[[Any], str] = attrgetter("pool_address")
NEWEST: dict[type[Event], Callable[[Any], str]] = {
    TokenMintInfo: attrgetter("mint"),
    PoolCreated: _POOL,
    DexPoolAccounts: _POOL,
    PoolStateUpdate: _POOL,
    LatestBlockhash: lambda _: "",
    PriorityFeePercentiles: lambda _: "",
}
"""Events of which the newest of each key is told again, in this order; accounts stand before the reserves."""


def opening_of(recording: Recording, seq: int) -> list[tuple[int, Event]]:
    """(time, event) of what is known before record `seq`; all at the time of the newest record that told any of it."""
    fills = Fills("none")
    newest: dict[type[Event], dict[str, Event]] = {kind: {} for kind in NEWEST}
    time = 0
    for record in recording.records((*fills.wants, *NEWEST), seq_to=seq):
        if record.cause is not None:
            continue
        time = record.time
        fills.see(record)
        kept = newest.get(type(record.event))
        if kept is not None:
            key = NEWEST[type(record.event)](record.event)
            kept.pop(key, None)
            kept[key] = record.event
    told: list[Event] = []
    for kind, kept in newest.items():
        if kind is PoolStateUpdate:
            told += _accounts(fills)
        told += [event for event in kept.values() if kind is not PoolStateUpdate or _stands(fills, event)]
    return [(time, event) for event in told]


def _accounts(fills: Fills) -> list[AccountWritten]:
    """Every account that is known; what transactions under way wrote stays theirs until they are told."""
    accounts = fills.pools.accounts
    told = [_written(address, row, None) for address, row in accounts.rows.items() if row.stale is None]
    for signature, staged in accounts.staged.items():
        told += [_written(address, row, signature) for address, row in staged.rows.items()]
    return told


def _written(address: str, row: AccountRow, signature: str | None) -> AccountWritten:
    return AccountWritten(
        address, row.owner, row.lamports, row.data, row.slot, row.write_version, signature, source=SOURCE
    )


def _stands(fills: Fills, event: Any) -> bool:
    """Whether a pool's reserves are still known."""
    row = fills.pools.get(event.pool_address)
    return row is not None and row.stale is None
