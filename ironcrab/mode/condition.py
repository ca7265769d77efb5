"""A condition to stop at: a small expression over one record, read into a function; nothing of it is ever executed.

    type == "Trade" and sol_amount > 5 * 10**9          fields of the event by name, dotted where nested
    mint == "So1..." or "LOCK_CAPITAL_CONFLICT" in reasons
    by == "momentum-bot" and code != ""

Names: seq, cause, by, time, slot, type, reasons (every reason code in the record), and the event's fields. A field that
the event does not have makes a comparison false.
"""

import ast
import operator
from collections.abc import Callable
from typing import Any

from ironcrab.domain.fault import InputFault
from ironcrab.loop import Record

Value = Callable[[Record], Any]
LONGEST = 400
"""Characters of a condition at most."""
HIGHEST_POWER = 64
"""Exponent at most: a condition is no way to fill the memory."""

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_REACH: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
MISSING = object()
"""What a field is that the event does not have."""


def condition(text: str) -> Callable[[Record], bool]:
    """The condition as a function of a record.

    Raises:
        InputFault: it is no such expression (says which part).
    """
    if len(text) > LONGEST:
        raise InputFault(f"a condition of {len(text)} characters is too long; {LONGEST} at most")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputFault(f'{text!r} is no condition; write for example: type == "Trade" and slot > 100') from error
    held = _value(tree.body, text)

    def holds(record: Record) -> bool:
        try:
            return held(record) not in (MISSING, False, None, 0, "", ())
        except (TypeError, ZeroDivisionError):
            # a text held against a number and the like: that is no match
            return False

    return holds


def _value(node: ast.expr, text: str) -> Value:
    """One node of the expression as a function."""
    match node:
        case ast.Constant(value=value) if isinstance(value, int | str | None):
            return lambda _: value
        case ast.Name(id=name) if not name.startswith("_"):
            return lambda record: named(record, name)
        case ast.Attribute(value=inner, attr=name) if not name.startswith("_"):
            outer = _value(inner, text)
            return lambda record: _field(outer(record), name)
        case ast.BoolOp(op=word, values=nodes):
            parts = [_value(part, text) for part in nodes]
            together = all if isinstance(word, ast.And) else any
            return lambda record: together(_truth(part, record) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            said = _value(inner, text)
            return lambda record: not _truth(said, record)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            positive = _value(inner, text)
            return lambda record: -positive(record)
        case ast.Compare(left=first, ops=words, comparators=others):
            return _comparison([first, *others], words, text)
        case ast.BinOp(left=a, op=word, right=b):
            return _arithmetic(_value(a, text), word, _value(b, text), text)
        case ast.Tuple(elts=nodes) | ast.List(elts=nodes):
            items = [_value(item, text) for item in nodes]
            return lambda record: tuple(item(record) for item in items)
        case _:
            part = ast.get_source_segment(text.strip(), node) or type(node).__name__
            raise InputFault(f"{part!r} in {text!r} is not understood; use names, numbers, texts, and, or, not, in")


def _comparison(nodes: list[ast.expr], words: list[ast.cmpop], text: str) -> Value:
    values = [_value(node, text) for node in nodes]
    for word in words:
        if type(word) not in _COMPARE:
            raise InputFault(f"{text!r} compares in a way that is not understood; use == != < <= > >= in")
    compares = [_COMPARE[type(word)] for word in words]

    def holds(record: Record) -> bool:
        found = [value(record) for value in values]
        if any(value is MISSING for value in found):
            return False
        return all(compare(found[place], found[place + 1]) for place, compare in enumerate(compares))

    return holds


def _arithmetic(left: Value, word: ast.operator, right: Value, text: str) -> Value:
    if isinstance(word, ast.Pow):
        return lambda record: _power(left(record), right(record))
    reach = _REACH.get(type(word))
    if reach is None:
        raise InputFault(f"{text!r} reckons in a way that is not understood; use + - * // % **")

    def reckoned(record: Record) -> Any:
        a, b = left(record), right(record)
        if not isinstance(a, int) or not isinstance(b, int):
            raise TypeError
        return reach(a, b)

    return reckoned


def _power(base: Any, exponent: Any) -> Any:
    if not isinstance(base, int) or not isinstance(exponent, int) or not 0 <= exponent <= HIGHEST_POWER:
        raise TypeError
    return (base % 2**128) ** exponent


def _truth(value: Value, record: Record) -> bool:
    try:
        found = value(record)
    except (TypeError, ZeroDivisionError):
        return False
    return found is not MISSING and bool(found)


def _field(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name, MISSING)
    return getattr(value, name, MISSING) if name in getattr(value, "__struct_fields__", ()) else MISSING


def named(record: Record, name: str) -> Any:
    """The value of a name for this record; MISSING where its event has no such field."""
    event: Any = record.event
    if name in ("seq", "cause", "by", "time"):
        return getattr(record, name)
    if name == "type":
        return type(event).__name__
    if name == "reasons":
        return reasons(event)
    return _field(event, name)


def reasons(event: Any) -> tuple[str, ...]:
    """Every reason code in an event: its own, and those of its checks."""
    own = [getattr(event, name, None) for name in ("code", "primary_reject_reason", "error_code")]
    rows = [row.reason_code for row in getattr(event, "checks", ())]
    return tuple(code for code in (*own, *rows) if code)
