"""Integers that fit: append refuses what the sealed column could not hold (section 10.9 of the design)."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

from msgspec import Struct

from ironcrab.domain.fault import LogFault
from ironcrab.log.shape import WIDTHS, Shape, shape_of

Check = Callable[[Any], None]


@cache
def width_check(kind: type[Struct]) -> Check:
    """A function that raises LogFault, naming type, field and value, when an integer of the event does not fit."""
    return _struct_check(shape_of(kind), kind.__name__)


def _struct_check(shape: Shape, where: str) -> Check:
    ints = [field for field in shape.fields if field.shape.kind == "int"]
    inner = [(field.name, _value_check(field.shape, f"{where}.{field.name}")) for field in shape.fields]
    nested = tuple((attrgetter(name), check) for name, check in inner if check is not None)
    limits = tuple((*WIDTHS[field.shape.width], field.shape.null) for field in ints)
    names = [field.name for field in ints]
    # One getter for all fields runs in C; named twice, a lone field also comes as a tuple.
    get = attrgetter(*names, *names[:1]) if names else None

    def refuse(event: Any) -> None:
        if get is not None:
            for value, (low, high, null) in zip(get(event), limits, strict=False):
                if value.__class__ is int:
                    if low <= value <= high:
                        continue
                elif value is None and null:
                    continue
                _name_it(event, ints, where)
        for take, check in nested:
            check(take(event))

    return refuse


def _value_check(shape: Shape, where: str) -> Check | None:
    """The check of a nested value; None where there is nothing in it that could be too wide."""
    if shape.kind == "struct":
        if not _holds_int(shape):
            return None
        check = _struct_check(shape, where)
        return lambda value: None if value is None else check(value)
    if shape.item is None or not _holds_int(shape.item):
        return None
    return _each_check(shape, where)


def _each_check(shape: Shape, where: str) -> Check:
    item = shape.item
    assert item is not None
    if item.kind == "int":
        low, high = WIDTHS[item.width]

        def each(value: Any) -> None:
            for number in _items(value):
                if number.__class__ is not int or not low <= number <= high:
                    raise LogFault(_sentence(where, number, item.width))

        return each
    check = _value_check(item, where)
    assert check is not None

    def every(value: Any) -> None:
        for part in _items(value):
            check(part)

    return every


def _items(value: Any) -> Any:
    if value is None:
        return ()
    return value.values() if isinstance(value, dict) else value


def _holds_int(shape: Shape) -> bool:
    if shape.kind == "int":
        return True
    parts = [field.shape for field in shape.fields] + ([shape.item] if shape.item is not None else [])
    return any(_holds_int(part) for part in parts)


def _name_it(event: Any, ints: list[Any], where: str) -> None:
    """Slow path: find the field that does not fit and say so."""
    for field in ints:
        value = getattr(event, field.name)
        low, high = WIDTHS[field.shape.width]
        fits = value is None and field.shape.null
        if not fits and (value.__class__ is not int or not low <= value <= high):
            raise LogFault(_sentence(f"{where}.{field.name}", value, field.shape.width))


def _sentence(where: str, value: object, width: str) -> str:
    return f"{where} is {value!r}, which a {width} column cannot hold; nothing was appended, correct the event's maker"
