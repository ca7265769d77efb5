"""PositionAuthority: the single truth of what is held, by mint (wire contract 1.8, rules 3.6).

Confirmed fills own a position. A wallet snapshot that differs is taken over and marked ReconcileNeeded, one of 0
closes the entry; a snapshot older than the newest fill is stale and ignored, and a fill that a snapshot of its
slot or later already shows is not added again. SOL and WSOL are money, not positions.

Cost comes from fills alone and is averaged: `cost_lamports` was paid for `costed_raw` units, and a sell carries off
its share, floored. What was not bought by a fill has no cost, and its sale no profit that could be told.
"""

from msgspec import Struct, field

from ironcrab.domain.trade import PositionUpdate
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, floor_div

MONEY = (SOL_MINT, NATIVE_SOL)


class Position(Struct):
    """What is held of one mint, raw units, and what `costed_raw` of them cost (lamports, fees apart).

    `filled_ms` is the time of the newest fill, `filled_slot` its slot, `reported_slot` that of the newest snapshot.
    """

    balance_raw: int
    decimals: int
    status: str
    source: str
    costed_raw: int = 0
    cost_lamports: int = 0
    fee_lamports: int = 0
    sold_raw_total: int = 0
    filled_ms: int | None = None
    filled_slot: int = -1
    reported_slot: int = -1


class Fill(Struct, frozen=True, gc=False):
    """Raw units of a mint that a confirmed transaction moved, in which slot, told at which time."""

    mint: str
    raw: int
    decimals: int
    slot: int
    time_ms: int


class Sold(Struct, frozen=True, gc=False):
    """The cost and the buying fees that a sell carried off, lamports; None: not bought by fills."""

    cost_lamports: int | None
    fee_lamports: int


class PositionAuthority(Struct):
    """All positions by mint; a closed one is kept for a while, because late snapshots of it are stale."""

    positions: dict[str, Position] = field(default_factory=dict)

    def held(self) -> int:
        """How many mints are held."""
        return sum(1 for position in self.positions.values() if position.balance_raw > 0)

    def balance(self, mint: str) -> int | None:
        """Raw units held of a mint; None: the authority does not track it."""
        position = self.positions.get(mint)
        return None if position is None else position.balance_raw

    def bought(self, fill: Fill, cost: int | None, fee: int) -> PositionUpdate | None:
        """A confirmed buy at `cost` lamports (None: not paid in SOL) and `fee` lamports."""
        if fill.mint in MONEY:
            return None
        position = self._row(fill)
        shown = position.reported_slot >= fill.slot
        if position.balance_raw == (fill.raw if shown else 0):
            position.costed_raw = position.cost_lamports = position.fee_lamports = position.sold_raw_total = 0
        if cost is not None:
            position.costed_raw += fill.raw
            position.cost_lamports += cost
            position.fee_lamports += fee
        position.balance_raw += 0 if shown else fill.raw
        return self._filled(fill, position)

    def sold(self, fill: Fill) -> tuple[Sold, PositionUpdate | None]:
        """A confirmed sell; more than is held leaves 0 and ReconcileNeeded."""
        if fill.mint in MONEY:
            return Sold(None, 0), None
        position, raw = self._row(fill), fill.raw
        share = Sold(None, 0)
        if 0 < raw <= position.costed_raw:
            cost = floor_div(position.cost_lamports * raw, position.costed_raw)
            share = Sold(cost, floor_div(position.fee_lamports * raw, position.costed_raw))
            position.costed_raw -= raw
            position.cost_lamports -= cost
            position.fee_lamports -= share.fee_lamports
        position.sold_raw_total += raw
        if position.reported_slot >= fill.slot:
            return share, self._filled(fill, position)
        over = raw > position.balance_raw
        position.balance_raw = max(position.balance_raw - raw, 0)
        return share, self._filled(fill, position, over=over)

    def _row(self, fill: Fill) -> Position:
        position = self.positions.get(fill.mint)
        if position is None:
            position = self.positions[fill.mint] = Position(0, fill.decimals, "Closed", "Execution")
        return position

    def _filled(self, fill: Fill, position: Position, *, over: bool = False) -> PositionUpdate:
        position.status = "ReconcileNeeded" if over else ("Open" if position.balance_raw else "Closed")
        position.source = "Execution"
        position.filled_slot, position.filled_ms = max(position.filled_slot, fill.slot), fill.time_ms
        return update_of(fill.mint, position)

    def reported(self, mint: str, raw: int, decimals: int, slot: int) -> PositionUpdate | None:
        """A wallet snapshot of one mint; None: nothing changed, or the snapshot is stale."""
        position = self.positions.get(mint)
        if mint in MONEY or (position is None and raw == 0):
            return None
        if position is None:
            position = self.positions[mint] = Position(
                raw, decimals, "ReconcileNeeded", "WalletSnapshot", reported_slot=slot
            )
            return update_of(mint, position)
        if slot < max(position.filled_slot, position.reported_slot):
            return None
        position.reported_slot = slot
        if raw == position.balance_raw:
            return self._agreed(mint, position)
        position.balance_raw, position.source = raw, "WalletSnapshot"
        position.status = "ReconcileNeeded" if raw else "Closed"
        return update_of(mint, position)

    def _agreed(self, mint: str, position: Position) -> PositionUpdate | None:
        """The wallet says what we know: a doubt is settled."""
        status = "Open" if position.balance_raw else "Closed"
        if position.status == status:
            return None
        position.status, position.source = status, "WalletSnapshot"
        return update_of(mint, position)

    def complete(self, mints: tuple[str, ...], slot: int, now_ms: int, grace_ms: int) -> list[PositionUpdate]:
        """All mints of the wallet in `slot` were told: others are gone, unless told later or traded lately."""
        gone = []
        for mint, position in self.positions.items():
            recent = position.filled_ms is not None and now_ms - position.filled_ms <= grace_ms
            later = position.reported_slot > slot
            if mint not in mints and position.balance_raw > 0 and not (recent or later):
                position.balance_raw, position.reported_slot = 0, slot
                position.status, position.source = "Closed", "WalletSnapshot"
                gone.append(update_of(mint, position))
        return gone

    def prune(self, now_ms: int, slot: int, kept_ms: int, kept_slots: int) -> None:
        """Forget closed positions that nothing has touched for so long."""
        empty = [
            mint
            for mint, position in self.positions.items()
            if position.balance_raw == 0
            and now_ms - (position.filled_ms or 0) > kept_ms
            and slot - max(position.reported_slot, position.filled_slot) > kept_slots
        ]
        for mint in empty:
            del self.positions[mint]


def update_of(mint: str, position: Position) -> PositionUpdate:
    """The authority's word on a mint as it stands."""
    return PositionUpdate(
        mint=mint,
        balance_raw=position.balance_raw,
        decimals=position.decimals,
        status=position.status,
        last_update_source=position.source,
        sold_raw_total=position.sold_raw_total,
    )
