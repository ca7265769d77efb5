"""Integers that fit: append refuses what the sealed column could not hold (section 10.9 of the design).

The check of an event type is compiled once into one expression over its fields, because append runs it for every
record; the slow path that names the field runs only when something does not fit.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import Struct

from ironcrab.domain.fault import LogFault
from ironcrab.log.shape import WIDTHS, Field, Shape, shape_of

Check = Callable[[Any], object]


@cache
def width_check(kind: type[Struct]) -> Check:
    """A function that raises LogFault, naming type, field and value, when an integer of the event does not fit.

    Raises:
        LogFault: the type is none of an event.
    """
    if not issubclass(kind, Struct):
        raise LogFault(f"a {kind.__name__} is no event; a reducer says events, such as a TradeIntent")
    return _compiled(shape_of(kind), kind.__name__)


def _compiled(shape: Shape, where: str) -> Check:
    """The check of a struct: `if (<a does not fit> or <b does not fit> ...): name_it(event)`, then the nested ones."""
    ints = [field for field in shape.fields if field.shape.kind == "int"]
    known: dict[str, Any] = {"name_it": lambda event: _name_it(event, ints, where)}
    lines = ["def check(event):"]
    if ints:
        lines.append(f" if {' or '.join(map(_misfit, ints))}: name_it(event)")
    for number, field in enumerate(shape.fields):
        nested = _nested(field.shape, f"{where}.{field.name}")
        if nested is not None:
            known[f"check_{number}"] = nested
            loop = "for value in" if field.shape.kind == "list" else "if (value :="
            lines.append(f" {loop} event.{field.name}{_rest(field.shape)}: check_{number}(value)")
    lines.append(" return None")
    exec("\n".join(lines), known)  # noqa: S102 - the text holds nothing but declared field names and widths
    check: Check = known["check"]
    return check


def _misfit(field: Field) -> str:
    """True for what the column cannot hold; a shift tells it of an unsigned one in a single step."""
    width = field.shape.width
    low, high = WIDTHS[width]
    wide = f"value >> {width[1:]}" if low == 0 else f"not {low} <= value <= {high}"
    wrong = f"(value := event.{field.name}).__class__ is not int or {wide}"
    return f"(({wrong}) and value is not None)" if field.shape.null else wrong


def _rest(shape: Shape) -> str:
    if shape.kind == "list":
        return " or ()" if shape.null else ""
    return ") is not None"


def _nested(shape: Shape, where: str) -> Check | None:
    """The check of a struct, of one item of a list, or of a whole map; None where no integer is in it."""
    if shape.kind == "struct":
        return _compiled(shape, where) if _holds_int(shape) else None
    if shape.item is None or not _holds_int(shape.item):
        return None
    if shape.item.kind not in {"int", "struct"}:
        raise LogFault(f"{where} nests lists or maps, which the log does not check; make a struct of it")
    one = _one_int(shape.item, where) if shape.item.kind == "int" else _compiled(shape.item, where)
    if shape.kind == "list":
        return one
    return lambda values: [one(value) for value in values.values()]


def _one_int(shape: Shape, where: str) -> Check:
    low, high = WIDTHS[shape.width]

    def check(value: Any) -> None:
        if value.__class__ is not int or not low <= value <= high:
            raise LogFault(_sentence(where, value, shape.width))

    return check


def _holds_int(shape: Shape) -> bool:
    if shape.kind == "int":
        return True
    parts = [field.shape for field in shape.fields] + ([shape.item] if shape.item is not None else [])
    return any(_holds_int(part) for part in parts)


def _name_it(event: Any, ints: list[Field], where: str) -> None:
    """Find the field that does not fit and say so."""
    for field in ints:
        value = getattr(event, field.name)
        low, high = WIDTHS[field.shape.width]
        fits = value is None and field.shape.null
        if not fits and (value.__class__ is not int or not low <= value <= high):
            raise LogFault(_sentence(f"{where}.{field.name}", value, field.shape.width))


def _sentence(where: str, value: object, width: str) -> str:
    return f"{where} is {value!r}, which a {width} column cannot hold; nothing was appended, correct the event's maker"
