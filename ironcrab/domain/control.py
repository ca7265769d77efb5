"""What operators, clocks and the machinery say: runs, config, ticks, the feed's health, control requests."""

from msgspec import Struct

from ironcrab.domain.units import U32, U64, Bps, Key, Millis, Seq, Slot, Word


class ReducerInfo(Struct, frozen=True, gc=False):
    """A reducer of a run: its name, the class path that made it, the digest of its source without comments."""

    name: Word
    path: str
    source_digest: str


class Setting(Struct, frozen=True, gc=False):
    """One value of the run's full config: dotted key, value as text, and who set it (scenario or default)."""

    key: Word
    value: str
    origin: Word


class RunStarted(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A run opens: what code, which reducers, every parameter with its value, which outlets.

    `run` counts the runs of the log from 0; `component` is the process name of the wire contract. `run_id` stands
    only where it came with imported records; of our own runs it derives from the log id.
    """

    run: U32
    scenario: str
    code_version: str
    component: Word
    reducers: tuple[ReducerInfo, ...]
    settings: tuple[Setting, ...]
    outlets: tuple[str, ...]
    generations: tuple[str, ...] = ()
    run_id: str | None = None


class RunEnded(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The source of a run ended; open asks stay open."""

    run: U32
    reason: str


class WordsAbandoned(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """After a restart with other code: what the interrupted run would have said next is given up."""

    run: U32
    first_seq: Seq
    reason: str


class ConfigChanged(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The config in force changed: all settings that moved, and the id of the config that holds now."""

    component: Word
    settings: tuple[Setting, ...]
    rejected: tuple[Setting, ...]
    config_snapshot_id: str


class ConfigUpdate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """An operator asks for other settings (wire contract: command config_update)."""

    target_component: Word
    config: dict[str, str]
    timestamp: str = ""


class ClockTick(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Time passed; the record's own time is the new now."""


class FeedConnected(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The feed is up; `from_slot` where a replay was asked for."""

    feed: Word
    from_slot: Slot | None = None


class FeedDisconnected(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The feed is down, and why."""

    feed: Word
    reason: str


class GapOpened(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """From `from_slot` on (up to `to_slot` where known) records may be missing; pools are unknown until read anew."""

    feed: Word
    from_slot: Slot
    to_slot: Slot | None
    reason: str


class GapClosed(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The gap that opened at record `opened` is filled up to `to_slot`, or is known to end there."""

    feed: Word
    opened: Seq | None
    to_slot: Slot
    filled: bool


class ForkOrphaned(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """This slot is not on the chain: what it wrote is unknown, its trades did not happen."""

    orphaned_slot: Slot
    reason: str


class InputCounted(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """What an import met and could not turn into events, counted by reason; closes an import."""

    source_digest: str
    counts: dict[str, int]


class LogRecovered(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """An incomplete tail was cut off at recovery: how many bytes, kept in which file."""

    lost_bytes: U64
    kept_in: str


class ControlRequest(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A request of the wire contract (section 1.11): one kind, the fields of that kind, the rest absent."""

    request_id: str
    target: Word
    kind: Word
    active: bool | None = None
    reason: str | None = None
    liquidate_positions: bool | None = None
    max_slippage_bps: Bps | None = None
    ttl_ms: Millis | None = None
    owner_pubkey: Key | None = None
    token_accounts: tuple[str, ...] = ()
    close_accounts: bool | None = None
    base_mint: Key | None = None
    force_refresh: bool | None = None
    force_refresh_pumpfun: bool | None = None
    pool_address_hint: Key | None = None


class ControlResponse(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The answer to a control request; `status` ok, not_found, error or busy."""

    request_id: str
    target: Word
    status: Word
    pool_address: Key | None = None
    message: str | None = None


CONTROL = (
    RunStarted,
    RunEnded,
    WordsAbandoned,
    ConfigChanged,
    ConfigUpdate,
    ClockTick,
    FeedConnected,
    FeedDisconnected,
    GapOpened,
    GapClosed,
    ForkOrphaned,
    InputCounted,
    LogRecovered,
    ControlRequest,
    ControlResponse,
)
"""Every control event, written by hand."""
