"""Locks: capital per asset, which never overbooks, and pools, one attempt each.

Assets are native SOL (`NATIVE_SOL`), WSOL (its mint) and each token mint, in raw units. For each of them
`available + locked == total` always holds. Knowledge is ordered by slot: a wallet snapshot older than a fill that
was settled is stale, and a fill that a snapshot already shows is not added again.

A capital lock expires while its attempt has not been sent, never afterwards; pool locks end when the attempt is
sent. A smaller tier takes a pool from a larger one, never the reverse; only attempts that were not sent hold pool
locks, so whoever is preempted was not sent.
"""

from msgspec import Struct, field

from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.execution.params import EngineParams

TIER_RANK = {"Tier0": 0, "Tier1": 1, "Arb": 2}
"""Smaller goes first and preempts larger."""

ASSETS_KEPT_SLOTS = 9_000
"""An asset that is empty is forgotten after about an hour without change."""


class Asset(Struct):
    """What the wallet holds of one asset, raw units, and which slot and record say so.

    `known` is the balance by the newest snapshot and the fills after it; `total` is more only while locks exceed it.
    `reported` is the newest on-chain balance and `reported_slot` its slot; `filled_slot` is the slot of the newest
    settled fill; `seq` the record that changed it last.
    """

    available: int = 0
    locked: int = 0
    total: int = 0
    known: int = -1
    reported: int | None = None
    reported_slot: int = -1
    filled_slot: int = -1
    seq: int | None = None

    def __post_init__(self) -> None:
        if self.known < 0:
            # fresh, or of a state that was written before this was kept
            self.known = self.total

    def hold(self, amount: int) -> bool:
        """Lock an amount if it is there."""
        if amount > self.available:
            return False
        self.available -= amount
        self.locked += amount
        self._conserved()
        return True

    def free(self, amount: int) -> None:
        """Give a locked amount back."""
        self.locked -= amount
        self._count()

    def snapshot(self, raw: int, slot: int, seq: int) -> bool:
        """Take the chain's word on the balance, unless a later fill was settled or a later word came."""
        if slot < max(self.filled_slot, self.reported_slot):
            return False
        self.reported, self.reported_slot, self.seq = raw, slot, seq
        self.known = raw
        self._count()
        return True

    def settle(self, locked: int, spent: int, slot: int, seq: int) -> None:
        """End a lock whose attempt reached the chain: `spent` left the wallet in `slot`."""
        self.locked -= locked
        if not self._shows(slot):
            self.known = max(self.known - spent, 0)
        self._count()
        self.filled_slot, self.seq = max(self.filled_slot, slot), seq

    def receive(self, amount: int, slot: int, seq: int) -> None:
        """Add what a fill brought in `slot`, unless a snapshot of that slot or later shows it already."""
        if not self._shows(slot):
            self.known += amount
            self._count()
        self.filled_slot, self.seq = max(self.filled_slot, slot), seq

    def _shows(self, slot: int) -> bool:
        """Whether the newest snapshot shows what was filled in this slot."""
        return self.reported is not None and self.reported_slot >= slot

    def _count(self) -> None:
        self.total = max(self.known, self.locked)
        self.available = self.total - self.locked
        self._conserved()

    def _conserved(self) -> None:
        assert self.available >= 0 <= self.locked, f"capital lock overbooked: {self}"
        assert self.available + self.locked == self.total, f"capital not conserved: {self}"


class CapitalLock(Struct):
    """Capital that one intent holds; `until_ms` None once it was sent (it no longer expires)."""

    asset: str
    amount: int
    until_ms: int | None


class Capital(Struct):
    """All assets and the capital locks by intent seq; `wsol_seen`: some WSOL balance was reported."""

    wsol_seen: bool = False
    assets: dict[str, Asset] = field(default_factory=dict)
    locks: dict[int, CapitalLock] = field(default_factory=dict)

    def asset(self, name: str) -> Asset:
        """The asset's row, made when it is first named."""
        row = self.assets.get(name)
        if row is None:
            row = self.assets[name] = Asset()
        return row

    def available(self, name: str) -> int:
        """Raw units that can be locked now."""
        row = self.assets.get(name)
        return 0 if row is None else row.available

    def sol(self) -> str:
        """The asset that pays for buys: WSOL once any WSOL balance was reported, before that native SOL."""
        return SOL_MINT if self.wsol_seen else NATIVE_SOL

    def reported(self, name: str, raw: int, slot: int, seq: int) -> None:
        """A wallet snapshot of one asset."""
        self.asset(name).snapshot(raw, slot, seq)
        self.wsol_seen = self.wsol_seen or (name == SOL_MINT and raw > 0)

    def lock(self, intent: int, asset: str, amount: int, until_ms: int) -> bool:
        """Lock capital for an intent; False: it holds a lock already, or there is not enough."""
        if intent in self.locks or not self.asset(asset).hold(amount):
            return False
        self.locks[intent] = CapitalLock(asset, amount, until_ms)
        return True

    def sent(self, intent: int) -> None:
        """The attempt left the host: from now on the lock does not expire."""
        self.locks[intent].until_ms = None

    def release(self, intent: int) -> None:
        """Give back what the intent locked, if it holds a lock."""
        lock = self.locks.pop(intent, None)
        if lock is not None:
            self.assets[lock.asset].free(lock.amount)

    def settle(self, intent: int, asset: str, spent: int, slot: int, seq: int) -> None:
        """End the intent's lock (if it still holds one, on `asset`) by what was really spent of `asset`."""
        lock = self.locks.pop(intent, None)
        self.asset(asset).settle(0 if lock is None else lock.amount, spent, slot, seq)

    def tokens_held(self) -> int:
        """How many token mints have a balance that is not locked (SOL and WSOL are no positions)."""
        money = (NATIVE_SOL, SOL_MINT)
        return sum(1 for name, row in self.assets.items() if row.available > 0 and name not in money)

    def prune(self, slot: int) -> None:
        """Forget empty assets that nothing has changed for ASSETS_KEPT_SLOTS, but none that a lock names."""
        old = slot - ASSETS_KEPT_SLOTS
        kept = (NATIVE_SOL, SOL_MINT, *(lock.asset for lock in self.locks.values()))
        empty = [
            name
            for name, row in self.assets.items()
            if row.total == 0 and max(row.filled_slot, row.reported_slot) < old and name not in kept
        ]
        for name in empty:
            del self.assets[name]


class PoolLock(Struct, frozen=True, gc=False):
    """Who holds a pool: the intent's seq, how it is called in texts, its source and tier."""

    intent: int
    label: str
    source: str
    tier: str


class Preempted(Struct):
    """How often a source was preempted: times (ms) within the window, and until when it is protected."""

    times: list[int] = field(default_factory=list)
    protected_until_ms: int = 0


class Refused(Struct, frozen=True, gc=False):
    """Why a pool was not given: the pool, its holder, and whether fairness protected the holder."""

    pool: str
    holder: PoolLock
    protected: bool


class Pools(Struct):
    """Pool locks by pool, and the fairness window by source."""

    locks: dict[str, PoolLock] = field(default_factory=dict)
    sources: dict[str, Preempted] = field(default_factory=dict)

    def lock(
        self, pools: tuple[str, ...], asker: PoolLock, now_ms: int, params: EngineParams
    ) -> Refused | tuple[PoolLock, ...]:
        """Lock all pools or none; returns the preempted holders (each once), or the refusal."""
        victims: dict[int, PoolLock] = {}
        for pool in pools:
            holder = self.locks.get(pool)
            if holder is None or holder.intent == asker.intent:
                continue
            protected = self.protects(holder.source, now_ms, params)
            if TIER_RANK[asker.tier] >= TIER_RANK[holder.tier] or protected:
                return Refused(pool, holder, protected and TIER_RANK[asker.tier] < TIER_RANK[holder.tier])
            victims[holder.intent] = holder
        for victim in victims.values():
            self.release(victim.intent)
            self._count(victim.source, now_ms, params)
        for pool in pools:
            self.locks[pool] = asker
        return tuple(victims.values())

    def release(self, intent: int) -> None:
        """Free every pool the intent holds."""
        for pool in [pool for pool, holder in self.locks.items() if holder.intent == intent]:
            del self.locks[pool]

    def protects(self, source: str, now_ms: int, params: EngineParams) -> bool:
        """Whether a source was preempted so often that nobody takes a pool from it now."""
        row = self.sources.get(source)
        return params.fairness_enabled and row is not None and now_ms < row.protected_until_ms

    def _count(self, source: str, now_ms: int, params: EngineParams) -> None:
        """Count a preemption; at the limit the source is protected for a while. Quiet sources are forgotten."""
        start = now_ms - params.fairness_preemption_window_ms
        for name, row in list(self.sources.items()):
            row.times = [time for time in row.times if time > start]
            if not row.times and row.protected_until_ms <= now_ms:
                del self.sources[name]
        row = self.sources.setdefault(source, Preempted())
        row.times.append(now_ms)
        if len(row.times) >= params.fairness_max_preemptions_per_source:
            row.protected_until_ms = now_ms + params.fairness_starvation_block_ms
            row.times = []
