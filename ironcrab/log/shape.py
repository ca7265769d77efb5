"""What an event type looks like: the one description that widths, columns and the schema digest are made from.

A field is an int of a declared width, a bool, a text, bytes, a nested struct, a list or a map; nothing else can
stand in the log (no floats, no free dicts).
"""

from functools import cache
from typing import Any

import msgspec
from blake3 import blake3
from msgspec import Struct, inspect

from ironcrab.domain.event import EVENTS, SCHEMA_VERSION
from ironcrab.domain.fault import LogFault

WIDTHS: dict[str, tuple[int, int]] = {
    **{f"u{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64, 128)},
    **{f"i{bits}": (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for bits in (32, 64, 128)},
}
"""Lowest and highest value that a column of each width holds."""

UNDECLARED = "i64"
"""Width of an int that declares none (counts in maps)."""


class Shape(Struct, frozen=True):
    """One value: what kind, whether it may be absent, and what it is made of.

    Attributes:
        kind: int, bool, text, bytes, struct, list or map (of texts to `item`).
        null: None is allowed.
        width: of an int, a key of WIDTHS.
        repeats: of a text: few different values, worth a dictionary.
        words: of a text: the only values there are; empty: any.
        cls: of a struct, its class.
        fields: of a struct.
        item: of a list or map.
    """

    kind: str
    null: bool = False
    width: str = ""
    repeats: bool = False
    words: tuple[str, ...] = ()
    cls: type[Struct] | None = None
    fields: tuple["Field", ...] = ()
    item: "Shape | None" = None


class Field(Struct, frozen=True):
    """A field of a struct; `required` has no default."""

    name: str
    shape: Shape
    required: bool


@cache
def shape_of(kind: type[Struct]) -> Shape:
    """The shape of a struct class; LogFault where a field's type cannot stand in the log."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return _struct(info)


def _struct(info: inspect.StructType) -> Shape:
    name = info.cls.__name__
    fields = tuple(
        Field(field.encode_name, _shape(field.type, f"{name}.{field.encode_name}", {}), field.required)
        for field in info.fields
    )
    return Shape("struct", cls=info.cls, fields=fields)


def _shape(info: inspect.Type, where: str, extra: dict[str, Any]) -> Shape:
    """Shape of a field's type; `extra` gathers what Annotated said on the way in."""
    if isinstance(info, inspect.Metadata):
        return _shape(info.type, where, {**extra, **(info.extra or {})})
    if isinstance(info, inspect.UnionType):
        rest = [part for part in info.types if not isinstance(part, inspect.NoneType)]
        if len(rest) == 1:
            return msgspec.structs.replace(_shape(rest[0], where, extra), null=True)
    if isinstance(info, inspect.IntType):
        return Shape("int", width=extra.get("width", UNDECLARED))
    if isinstance(info, inspect.BoolType):
        return Shape("bool")
    if isinstance(info, inspect.StrType):
        return Shape("text", repeats=bool(extra.get("repeats")))
    if isinstance(info, inspect.LiteralType) and all(isinstance(value, str) for value in info.values):
        return Shape("text", repeats=True, words=tuple(str(value) for value in info.values))
    if isinstance(info, inspect.BytesType):
        return Shape("bytes")
    if isinstance(info, inspect.StructType):
        return _struct(info)
    if isinstance(info, inspect.VarTupleType):
        return Shape("list", item=_shape(info.item_type, where, {}))
    if isinstance(info, inspect.DictType) and isinstance(info.key_type, inspect.StrType):
        return Shape("map", item=_shape(info.value_type, where, {}))
    raise LogFault(
        f"{where} is declared as {type(info).__name__}, which no column of the log can hold; change its type"
    )


def describe(shape: Shape) -> str:
    """The shape as one text; equal texts mean equal columns."""
    inner = shape.width or "|".join(shape.words)
    if shape.kind == "struct":
        inner = ",".join(f"{field.name}:{describe(field.shape)}" for field in shape.fields)
    elif shape.item is not None:
        inner = describe(shape.item)
    return f"{shape.kind}({inner}){'?' if shape.null else ''}"


@cache
def schema_digest() -> str:
    """64 hex digits over every event type this code knows, and the schema version."""
    lines = [f"{kind.__name__}:{describe(shape_of(kind))}" for kind in EVENTS]
    return blake3("\n".join([str(SCHEMA_VERSION), *lines]).encode()).hexdigest()
