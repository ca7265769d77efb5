"""The wire contract's tables: which fields of an event stand on the wire, in which order, and how each is written.

The original writes a field or leaves it out by fixed rules: an optional one is left out when it is absent, a few are
written as null, empty collections that have a default are left out. `wire` and `omit` marks stand at the fields
themselves (`domain`); here stand the orders and what no field can say.
"""

import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from ironcrab.domain.control import ConfigUpdate, ControlRequest, ControlResponse
from ironcrab.domain.market import MARKET, AccountWritten, PoolCacheUpdate, PriorityFeePercentiles, TokenMetadata
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent

HEADER = ("schema_version", "ts_unix_ms", "component", "build", "run_id")
"""Header fields, flat at the top of every record (contract section 1.1)."""
LOG_ONLY = (AccountWritten, PoolCacheUpdate, PriorityFeePercentiles, TokenMetadata)
KINDS = {kind.__name__: kind for kind in MARKET if kind not in LOG_ONLY}
"""Variants of a MarketEvent by its `kind` tag."""
OTHERS = (
    TradeIntent,
    DecisionRecord,
    ExecutionResult,
    PoolCacheUpdate,
    PriorityFeePercentiles,
    ControlRequest,
    ControlResponse,
    ConfigUpdate,
)
"""The contract's messages that are no MarketEvent."""

ORDER: dict[type[Struct], tuple[str, ...]] = {
    TradeIntent: (
        *("intent_id", "source", "tier", "origin_type", "deadline_slot", "ttl_ms", "required_capital", "resources"),
        *("expected_roi_bps", "max_slippage_bps", "side", "regime", "trigger_event_id", "require_bundle"),
        *("bundle_tip_lamports", "hint_compute_units", "hint_priority_fee_micro_lamports", "hint_urgency"),
        *("metadata", "execution", "swap_path"),
    ),
    DecisionRecord: (
        *("decision_id", "intent_id", "source", "origin_type", "regime", "checks", "primary_reject_reason"),
        *("kill_switch", "plan_hash", "simulate", "send", "confirm", "outcome", "config_snapshot_id"),
        "input_snapshots",
    ),
    ExecutionResult: (
        *("execution_id", "decision_id", "intent_id", "source", "token_mint", "signature", "bundle_id", "status"),
        *("fill_in", "fill_out", "fill_status", "fill_unavailable_reason", "confirmed_slot", "fees", "pnl"),
        *("wallet_sol_delta_lamports", "error_message", "error_code", "latency_ms", "block_time_unix_ms", "metadata"),
    ),
}
"""Order of fields where it is not the class's own (contract 1.4 to 1.6)."""


class WireField(Struct, frozen=True):
    """One field on the wire.

    Attributes:
        name: its key.
        rule: `always`, `null` (written as null when absent), `skip` (left out when absent), `empty` (left out
            when empty), `omit` (ours, never on the wire).
        form: `plain`, `decimal` (JSON string) or `float` (JSON number from decimal text).
        inner: the struct class of the value or of its items; None: none.
        words: the spellings of a closed vocabulary; empty: open.
        required: it has no default.
    """

    name: str
    rule: str
    form: str
    inner: type[Struct] | None
    words: tuple[str, ...]
    required: bool


@cache
def fields_of(kind: type[Struct]) -> tuple[WireField, ...]:
    """The fields of an event or of a struct in it, in wire order (those of ours among them, rule `omit`)."""
    rows = {field.name: _wire_field(field) for field in msgspec.structs.fields(kind)}
    order = ORDER.get(kind, ())
    return (*(rows[name] for name in order), *(row for name, row in rows.items() if name not in order))


def _wire_field(field: msgspec.structs.FieldInfo) -> WireField:
    wire, words, inner, can_be_none = _read(field.type)
    rule = "always"
    if wire in ("omit", "null"):
        rule = wire
    elif can_be_none:
        rule = "skip"
    elif not field.required and field.default in ((), msgspec.NODEFAULT):
        rule = "empty"
    form = wire if wire in ("decimal", "float") else "plain"
    if wire == "null":
        form = next((mark for mark in _marks(field.type) if mark in ("decimal", "float")), "plain")
    return WireField(field.name, rule, form, inner, words, field.required)


def _read(kind: Any) -> tuple[str, tuple[str, ...], type[Struct] | None, bool]:
    """(wire mark, vocabulary, struct class within, whether None is allowed) of an annotation."""
    marks = _marks(kind)
    strong = [mark for mark in marks if mark in ("omit", "null")]
    wire = (strong or marks or [""])[0]
    parts = list(_parts(kind))
    words = tuple(word for part in parts if get_origin(part) is Literal for word in get_args(part))
    inner = next((part for part in parts if isinstance(part, type) and issubclass(part, Struct)), None)
    return wire, words, inner, type(None) in parts


def _marks(kind: Any) -> list[str]:
    """Every `wire` mark in an annotation, outermost first."""
    found = []
    if get_origin(kind) is Annotated:
        extras = [meta.extra or {} for meta in kind.__metadata__ if isinstance(meta, Meta)]
        found += [extra["wire"] for extra in extras if "wire" in extra]
    for part in get_args(kind):
        found += _marks(part)
    return found


def _parts(kind: Any) -> list[Any]:
    """The types an annotation is made of, unwrapped from Annotated, unions and tuples."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _parts(get_args(kind)[0])
    if origin in (Union, types.UnionType, tuple):
        return [part for inner in get_args(kind) for part in _parts(inner)]
    return [kind]
