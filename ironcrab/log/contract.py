"""The wire contract both ways: a record to the original's JSON line, the original's line to an event.

Out: header fields are put back on each record, ids derive from the log's id and seqs (`dec-<log8>-<seq>`), Decimals
are strings, floats numbers. In: unknown fields are ignored, missing optional ones get their default, statuses and
enums are read in either spelling, Decimals as string or number (kept exact), dex names become canonical, and ids
stay as they came. Both are pure.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ironcrab.domain.control import ConfigUpdate, ControlRequest, ControlResponse, RunStarted
from ironcrab.domain.event import SCHEMA_VERSION, Event
from ironcrab.domain.fault import InputFault, LogFault
from ironcrab.domain.market import PoolCacheUpdate, PriorityFeePercentiles, event_id_of
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent
from ironcrab.ingest.names import dex_name
from ironcrab.log.width import width_check
from ironcrab.log.wire import KINDS, OTHERS, WireField, fields_of
from ironcrab.loop import Record

MILLI = 1_000_000
"""Nanoseconds."""
MARKET_HEAD = ("event_id", "source", "slot")
"""Fields of a MarketEvent that stand before its `kind`."""
SNAKE_FIELDS = ("kind", "status", "fill_status", "fill_unavailable_reason")
"""Words that are written in lower snake case and read in any spelling."""
COMPONENT = {
    TradeIntent: "momentum-bot",
    DecisionRecord: "execution-engine",
    ExecutionResult: "execution-engine",
    ControlRequest: "control-plane",
    ControlResponse: "market-data",
    ConfigUpdate: "control-plane",
}
"""Who says a record that no reducer said (imported ones); market events and pool rows: market-data."""


class Header(Struct, frozen=True):
    """The contract's header: schema version, creation time in unix ms, process name, build, run."""

    schema_version: int
    ts_unix_ms: int
    component: str = ""
    build: str = ""
    run_id: str = ""


# out


def export_line(header: Header, event: Event, ids: Mapping[str, str] | None = None) -> bytes | None:
    """The contract's JSON line (newline included) of an event; None: the contract does not know its type.

    `ids` fills id fields that the event leaves open (`intent_id`, `decision_id`, `execution_id`, `event_id`,
    `trigger_event_id`).
    """
    kind = type(event)
    if kind.__name__ not in KINDS and kind not in OTHERS:
        return None
    told = {**_values(event), **{key: value for key, value in (ids or {}).items() if getattr(event, key) is None}}
    out: dict[str, Any] = msgspec.structs.asdict(header)
    if kind.__name__ in KINDS:
        out |= {key: told[key] for key in MARKET_HEAD if key in told}
        out["kind"] = kind.__name__
    elif kind is ConfigUpdate:
        out["command"] = "config_update"
        told["config"] = {key: _json_of(text) for key, text in told["config"].items()}
    order = [row.name for row in fields_of(kind) if row.name in told]
    out |= {key: told[key] for key in order if key not in out}
    return msgspec.json.encode(out) + b"\n"


def _values(value: Struct) -> dict[str, Any]:
    """The fields of a struct as the wire has them, by name."""
    out = {}
    for row in fields_of(type(value)):
        told = getattr(value, row.name)
        absent = told is None or (row.rule == "empty" and not told)
        if row.rule == "omit" or (absent and row.rule in ("skip", "empty")):
            continue
        out[row.name] = _value(told, row)
    return out


def _value(told: Any, row: WireField) -> Any:
    if told is None:
        return None
    if row.form == "float":
        return msgspec.Raw((told if "." in told else f"{told}.0").encode())
    if isinstance(told, Struct):
        return _values(told)
    if isinstance(told, tuple):
        return [_values(one) if isinstance(one, Struct) else one for one in told]
    return told


def _json_of(text: str) -> Any:
    """A config value: what the text says where it is JSON (`_config_text` quotes a word that only looks so)."""
    return msgspec.Raw(text.encode()) if _is_json(text) else text


def _is_json(text: str) -> bool:
    try:
        _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


class Exporter:
    """Writes the contract's lines of one log.

    Args:
        log_id: the log's id; ids carry its first 8 characters.
        runs: (seq, run-started event) of each run, in order.
        record: gives any record of the log by its seq.
        decisions: seq of the decision by (intent seq, attempt); a result names it.
    """

    def __init__(
        self,
        log_id: str,
        runs: Sequence[tuple[int, RunStarted]],
        record: Callable[[int], Record],
        decisions: Mapping[tuple[int, int], int] | None = None,
    ) -> None:
        self.log_id = log_id
        self.runs = tuple(runs)
        self.record = record
        self.decisions = dict(decisions or {})

    def line(self, record: Record) -> bytes | None:
        """The record's line, newline included; None: the contract does not know its type."""
        event: Any = record.event
        kind = type(event)
        if kind.__name__ not in KINDS and kind not in OTHERS:
            return None
        if kind is DecisionRecord and event.intent is not None:
            self.decisions.setdefault((event.intent, event.attempt), record.seq)
        return export_line(self._header(record), event, self._ids(record))

    def _header(self, record: Record) -> Header:
        event: Any = record.event
        component = record.by or COMPONENT.get(type(record.event), "market-data")
        if record.by is None and isinstance(event, TradeIntent):
            component = event.source
        told = [run for seq, run in self.runs if seq <= record.seq]
        # imported records: each component's own run, as it came; ours: the newest run speaks for all
        run = next((run for run in reversed(told) if run.component == component), told[-1] if told else None)
        build = "" if run is None else run.code_version
        run_id = None if run is None else run.run_id
        if run_id is None:
            run_id = f"{self.log_id}-{0 if run is None else run.run}"
        return Header(SCHEMA_VERSION, record.time // MILLI, component, build, run_id)

    def _ids(self, record: Record) -> dict[str, str]:
        event: Any = record.event
        kind, seq = type(event), record.seq
        if kind.__name__ in KINDS:
            return {"event_id": event_id_of(event) or self._id("evt", seq)}
        if kind is TradeIntent:
            ids = {"intent_id": self._id("int", seq)}
            trigger = self._trigger(record)
            return ids if trigger is None else {**ids, "trigger_event_id": trigger}
        if kind not in (DecisionRecord, ExecutionResult):
            return {}
        ids = {} if event.intent is None else {"intent_id": self._id("int", event.intent)}
        if kind is DecisionRecord:
            return {**ids, "decision_id": self._id("dec", seq)}
        decision = self.decisions.get((event.intent, event.attempt))
        if decision is not None:
            ids["decision_id"] = self._id("dec", decision)
        return {**ids, "execution_id": self._id("exe", seq)}

    def _trigger(self, record: Record) -> str | None:
        """The event id of the market event that an intent follows from."""
        if record.cause is None:
            return None
        cause = self.record(record.cause).event
        if type(cause).__name__ not in KINDS:
            return None
        return event_id_of(cause) or self._id("evt", record.cause)

    def _id(self, prefix: str, seq: int) -> str:
        return f"{prefix}-{self.log_id[:8]}-{seq}"


# in


class Number:
    """A JSON number with a point or an exponent, as it was spelled."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_decode = msgspec.json.Decoder(float_hook=Number).decode
_SPELLED = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?")
MOST_DIGITS = 400
"""Digits a decimal may have once its exponent is written out."""


def canonical(text: str) -> str:
    """The one form of a decimal: plain digits, no exponent, no zeros at its ends, no plus, no minus zero.

    Raises:
        InputFault: it is no decimal, or absurdly long.
    """
    match = _SPELLED.fullmatch(text.strip())
    if match is None or not (match[2] or match[3]):
        raise InputFault(f"{text[:60]!r} is no decimal number")
    sign, whole, fraction, exponent = match[1], match[2] or "", match[3] or "", int(match[4] or 0)
    if len(whole) + len(fraction) + abs(exponent) > MOST_DIGITS:
        raise InputFault(f"{text[:60]!r} has more than {MOST_DIGITS} digits")
    digits, point = whole + fraction, len(whole) + exponent
    digits, point = (digits.rjust(len(digits) - point, "0"), 0) if point < 0 else (digits.ljust(point, "0"), point)
    head, tail = digits[:point].lstrip("0") or "0", digits[point:].rstrip("0")
    plain = f"{head}.{tail}" if tail else head
    return f"-{plain}" if sign == "-" and plain != "0" else plain


def import_line(line: bytes | str, kind: str | None = None) -> tuple[Header, Event]:
    """The header and the event of one line of the original.

    Args:
        line: one JSON object.
        kind: the event's type name, where the file tells it; None: told by the fields.

    Raises:
        InputFault: no JSON object, no known message, a field missing or of the wrong kind, or too wide.
    """
    try:
        told = _decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InputFault(f"no JSON: {error}") from error
    if not isinstance(told, dict):
        raise InputFault("a line must be one JSON object")
    target = _target(told, kind)
    header = _convert({"component": "", **told}, Header, "header")
    if header.schema_version > SCHEMA_VERSION:
        raise InputFault(f"schema_version {header.schema_version} is newer than {SCHEMA_VERSION}; update ironcrab")
    event = _convert({**_shaped(told, target), "type": target.__name__}, target, target.__name__)
    try:
        width_check(target)(event)
    except LogFault as fault:
        raise InputFault(str(fault)) from fault
    return header, event


def _convert(told: dict[str, Any], kind: type[Any], where: str) -> Any:
    try:
        return msgspec.convert(told, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise InputFault(f"{where}: {error}") from error


def _target(told: dict[str, Any], kind: str | None) -> type[Struct]:
    """The event class of a line, by the type's name or by its telling fields."""
    if kind is not None:
        known = {**KINDS, **{one.__name__: one for one in OTHERS}}
        if kind not in known:
            raise InputFault(f"{kind!r} is no message of the wire contract")
        return known[kind]
    variant = told.get("kind")
    if isinstance(variant, str) and variant in KINDS:
        return KINDS[variant]
    for key, one in (
        ("execution_id", ExecutionResult),
        ("decision_id", DecisionRecord),
        ("intent_id", TradeIntent),
        ("update_type", PoolCacheUpdate),
        ("tier0_recommended", PriorityFeePercentiles),
        ("target_component", ConfigUpdate),
    ):
        if key in told:
            return one
    if "request_id" in told:
        return ControlResponse if "status" in told else ControlRequest
    raise InputFault(f"kind {str(variant)[:60]!r} is unknown and no id tells the message; is this the original's log?")


def _shaped(told: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    """The known fields in the form the class wants; absent and null optional ones are left to their defaults."""
    out = {}
    for row in fields_of(kind):
        value = told.get(row.name)
        if value is None:
            continue
        if kind is ConfigUpdate and row.name == "config" and isinstance(value, dict):
            value = {str(key): _config_text(one) for key, one in value.items()}
        out[row.name] = _shape(value, row)
    return out


def _shape(value: Any, row: WireField) -> Any:
    if row.form in ("decimal", "float"):
        return canonical(value.text if isinstance(value, Number) else str(value))
    if row.inner is not None and isinstance(value, dict):
        return _shaped(value, row.inner)
    if row.inner is not None and isinstance(value, list):
        return [_shaped(one, row.inner) if isinstance(one, dict) else one for one in value]
    if isinstance(value, dict):
        texts = {str(key): _text(one) for key, one in value.items()}
        return {**texts, "dex": dex_name(texts["dex"])} if "dex" in texts and row.name == "metadata" else texts
    if isinstance(value, str):
        return _word(value, row)
    return canonical(value.text) if isinstance(value, Number) else value


def _word(value: str, row: WireField) -> str:
    """A word of a closed vocabulary in its own spelling; a status in snake case; a dex in its canonical name."""
    if row.words:
        plain = _plain(value)
        return next((word for word in row.words if _plain(word) == plain), value)
    if row.name == "dex":
        return dex_name(value)
    if row.name in SNAKE_FIELDS:
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value).lower()
    return value


def _plain(word: str) -> str:
    return word.replace("_", "").lower()


def _config_text(value: Any) -> str:
    """A config value as text that tells it again: a word that only looks like JSON is quoted.

    A number or flag that came as a word stays bare: the engine reads it, and it goes out as the number it means.
    """
    bare = not isinstance(value, str) or not _is_json(value) or value in ("true", "false") or _SPELLED.fullmatch(value)
    return _text(value) if bare else msgspec.json.encode(value).decode()


def _text(value: Any) -> str:
    """A JSON value as the text that settings and metadata hold."""
    if isinstance(value, str):
        return value
    if isinstance(value, Number):
        return canonical(value.text)
    return msgspec.json.encode(value, enc_hook=lambda one: msgspec.Raw(canonical(one.text).encode())).decode()
