"""What momentum remembers: pools it watches, positions it holds, intents it waits for."""

from msgspec import Struct, field

from ironcrab.domain.settings import Change
from ironcrab.domain.units import Key, Lamports, Nanos, Raw, Seq, Slot, Word
from ironcrab.market.price import UNKNOWN, Price
from ironcrab.strategy.shape import Memory

NANOS = 1_000_000_000
"""Nanoseconds of a second."""

FOREVER = 2**63 - 1
"""A time that never comes."""


class Row(Struct, gc=False):
    """One pool that is watched.

    Attributes:
        mint: the traded mint.
        pool: the pool.
        seq: last record that touched it.
        time: when that was.
        decimals: of the mint, as its trades tell; None: no trade yet.
        dev: wallet of the creator; None: not told.
        verdict: the last verdict said, "" none.
        code: its code.
        until: not judged before; FOREVER: never.
        dev_sell_slot: slot of the creator's last sell; None: none seen.
        dev_sell_time: when that was folded.
        memory: what the shape gates remember.
    """

    mint: Key
    pool: Key
    seq: Seq
    time: Nanos
    decimals: int | None = None
    dev: Key | None = None
    verdict: Word = ""
    code: Word = ""
    until: Nanos = 0
    dev_sell_slot: Slot | None = None
    dev_sell_time: Nanos = 0
    memory: Memory = field(default_factory=Memory)


class Failure(Struct, frozen=True, gc=False):
    """Sells that failed on one pool: how many in a row, and when the last one did."""

    count: int
    time: Nanos


class Position(Struct):
    """A holding of one mint, from confirmed fills only.

    Attributes:
        mint: the mint held.
        pool: the pool it was bought on; only its words move marks and quotes.
        decimals: of the mint.
        held: raw units held now.
        paid: all fills of the entry, summed: tokens bought for lamports paid.
        time: when the first fill was folded.
        slot: slot of the last fill of the entry.
        full: no scale-in follows.
        mark: price of the last trade on the pool after the entry.
        best: the dearest of the marks since the last fill.
        mark_slot: slot of the last mark; with `mark_index` and `mark_position` its place in the chain.
        trailing: the trailing stop is on; it stays on.
        exit_time: when the exit was wished; 0: none is pending.
        exit_intent: seq of that intent, once known.
        retry_time: no exit before.
        fails: exits that failed so far.
        failed: sells that failed on the chain or in simulation, by pool.
        slipped: how many of them failed by slippage.
        migrated: a sell found its curve complete.
    """

    mint: Key
    pool: Key
    decimals: int
    held: Raw
    paid: Price
    time: Nanos
    slot: Slot
    full: bool
    mark: Price = UNKNOWN
    best: Price = UNKNOWN
    mark_slot: Slot = 0
    mark_index: int = 0
    mark_position: int = 0
    trailing: bool = False
    exit_time: Nanos = 0
    exit_intent: Seq | None = None
    retry_time: Nanos = 0
    fails: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    slipped: int = 0
    migrated: bool = False


class Entering(Struct, gc=False):
    """A buy that was wished and not answered; `kind` is probe or scale_in, `intent` its seq once known."""

    pool: Key
    kind: Word
    lamports: Lamports
    time: Nanos
    intent: Seq | None = None


class Wish(Struct, frozen=True, gc=False):
    """What an intent asked for; `kind` probe, scale_in or exit, `amount` what goes in, `done` once confirmed."""

    mint: Key
    pool: Key
    kind: Word
    amount: int
    done: bool = False


class MomentumState(Struct):
    """Everything momentum remembers.

    Attributes:
        rows: by pool.
        positions: by mint.
        entering: by mint.
        wishes: by seq of the intent; the newest.
        removals: slot of the last removal of liquidity, by mint; the newest.
        tidy_time: when idle rows are looked for next.
        changes: parameters that an operator changed.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    entering: dict[str, Entering] = field(default_factory=dict)
    wishes: dict[int, Wish] = field(default_factory=dict)
    removals: dict[str, int] = field(default_factory=dict)
    tidy_time: Nanos = 0
    changes: dict[str, Change] = field(default_factory=dict)
