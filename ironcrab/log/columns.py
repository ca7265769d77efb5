"""Event types as typed Arrow columns, both ways; no row ever becomes a dict and no column a JSON blob.

A field is one column of its own type, except 128-bit integers: `<name>_hi` and `<name>_lo`, because no reader agrees
on anything wider than 64 bits. Nested structs are struct columns, tuples lists, maps map columns, keys base58 text.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate, chain, pairwise, repeat
from operator import attrgetter
from typing import Any

import pyarrow as pa
from msgspec import Struct

from ironcrab.domain.fault import LogFault, SchemaFault
from ironcrab.log.shape import Field, Shape, shape_of
from ironcrab.loop import Record

_ARROW: dict[str, Any] = {
    "bool": pa.bool_(),
    "text": pa.string(),
    "bytes": pa.binary(),
    "u8": pa.uint8(),
    "u16": pa.uint16(),
    "u32": pa.uint32(),
    "u64": pa.uint64(),
    "i32": pa.int32(),
    "i64": pa.int64(),
}
_BUFFER = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "i64": "q"}
"""How memoryview casts a buffer of each width."""
_LOW_64 = (1 << 64) - 1

HEADER: tuple[Field, ...] = (
    Field("seq", Shape("int", width="u64"), required=True),
    Field("cause", Shape("int", null=True, width="u64"), required=True),
    Field("by", Shape("text", null=True, repeats=True), required=True),
    Field("time", Shape("int", width="u64"), required=True),
)
"""Columns that stand before the event's own in every sealed file."""


def is_wide(shape: Shape) -> bool:
    """Whether the value takes two columns."""
    return shape.width in {"u128", "i128"}


def column_names(field: Field) -> list[str]:
    """The names of the columns of a field."""
    return [f"{field.name}_hi", f"{field.name}_lo"] if is_wide(field.shape) else [field.name]


def _columns(field: Field) -> list[Any]:
    if is_wide(field.shape):
        high = pa.uint64() if field.shape.width == "u128" else pa.int64()
        return [pa.field(f"{field.name}_hi", high), pa.field(f"{field.name}_lo", pa.uint64())]
    return [pa.field(field.name, _arrow(field.shape))]


def _arrow(shape: Shape) -> Any:
    if shape.kind == "struct":
        return pa.struct([column for field in shape.fields for column in _columns(field)])
    if shape.item is not None:
        item = _arrow(shape.item)
        return pa.map_(pa.string(), item) if shape.kind == "map" else pa.list_(pa.field("element", item))
    return _ARROW[shape.width or shape.kind]


@cache
def event_schema(kind: type[Struct]) -> Any:
    """The Arrow schema of the sealed file of an event type: seq, cause, by, time, then its fields."""
    return pa.schema([column for field in (*HEADER, *shape_of(kind).fields) for column in _columns(field)])


def leaves(kind: type[Struct]) -> Iterator[tuple[str, Shape]]:
    """(column path as Parquet spells it, shape) of every leaf column of an event type."""
    for field in (*HEADER, *shape_of(kind).fields):
        yield from _leaves(field.name, field.shape)


def _leaves(path: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    if shape.kind == "struct":
        for field in shape.fields:
            yield from _leaves(f"{path}.{field.name}", field.shape)
    elif shape.kind == "list":
        assert shape.item is not None
        yield from _leaves(f"{path}.list.element", shape.item)
    elif shape.kind == "map":
        assert shape.item is not None
        yield f"{path}.key_value.key", Shape("text", repeats=True)
        yield from _leaves(f"{path}.key_value.value", shape.item)
    elif is_wide(shape):
        yield f"{path}_hi", shape
        yield f"{path}_lo", shape
    else:
        yield path, shape


def to_table(kind: type[Struct], records: Sequence[Record]) -> Any:
    """The records, all of one event type, as an Arrow table."""
    arrays: list[Any] = []
    for field in HEADER:
        arrays += _arrays(field.shape, list(map(attrgetter(field.name), records)))
    events = [record.event for record in records]
    for field in shape_of(kind).fields:
        arrays += _arrays(field.shape, list(map(attrgetter(field.name), events)))
    return pa.Table.from_arrays(arrays, schema=event_schema(kind))


def _arrays(shape: Shape, values: list[Any]) -> list[Any]:
    """The column, or the two columns, of a list of values."""
    if is_wide(shape):
        high, low = _columns(Field("", shape, required=True))
        return [
            pa.array([None if value is None else value >> 64 for value in values], high.type),
            pa.array([None if value is None else value & _LOW_64 for value in values], low.type),
        ]
    if shape.kind == "struct":
        return [_struct_array(shape, values)]
    if shape.kind == "list":
        offsets, mask = _offsets(values)
        assert shape.item is not None
        (items,) = _arrays(shape.item, list(chain.from_iterable(value for value in values if value)))
        return [pa.ListArray.from_arrays(offsets, items, type=_arrow(shape), mask=mask)]
    if shape.kind == "map":
        offsets, _ = _offsets(values)
        maps = [value for value in values if value]
        assert shape.item is not None
        keys = pa.array(list(chain.from_iterable(maps)), pa.string())
        (items,) = _arrays(shape.item, list(chain.from_iterable(value.values() for value in maps)))
        return [pa.MapArray.from_arrays(offsets, keys, items, type=_arrow(shape))]
    return [pa.array(values, _arrow(shape))]


def _struct_array(shape: Shape, values: list[Any]) -> Any:
    children: list[Any] = []
    for field in shape.fields:
        take = attrgetter(field.name)
        children += _arrays(field.shape, [None if value is None else take(value) for value in values])
    return pa.StructArray.from_arrays(children, fields=list(_arrow(shape)), mask=_mask(values))


def _mask(values: list[Any]) -> Any:
    return pa.array([value is None for value in values], pa.bool_()) if None in values else None


def _offsets(values: list[Any]) -> tuple[Any, Any]:
    lengths = (len(value) if value else 0 for value in values)
    return pa.array(accumulate(lengths, initial=0), pa.int32(), size=len(values) + 1), _mask(values)


class Unread:
    """Stands in a field whose column was not read, and refuses every use: nobody decides on what he did not ask for."""

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def __repr__(self) -> str:
        return f"<{self.where} was not read>"

    def refuse(self, *_: object) -> Any:
        """LogFault: whoever reads the field must declare it."""
        raise LogFault(f"{self.where} was used but not read; name it in the `fields` of the reducer that uses it")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __hash__ = __len__ = __iter__ = refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __rfloordiv__ = __mod__ = refuse
    __getitem__ = __contains__ = __int__ = __index__ = __str__ = __format__ = __getattr__ = refuse


def to_records(kind: type[Struct], table: Any, names: Sequence[str] | None = None) -> list[Record]:
    """The records of a table whose schema is that of `event_schema(kind)`.

    Args:
        kind: the event type.
        table: header columns and event columns, by name; a field without its columns takes its default.
        names: the only fields to fill; the others hold an `Unread`. None: all.

    Raises:
        SchemaFault: a field without default has no column, or there is a column that no field claims.
    """
    count = table.num_rows
    present = set(table.schema.names)
    header = [_field_values(field, table) for field in HEADER]
    all_fields = shape_of(kind).fields
    fields = [field for field in all_fields if names is None or field.name in names]
    have = [field for field in fields if present.issuperset(column_names(field))]
    claimed = {name for field in (*HEADER, *have) for name in column_names(field)}
    missing = next((field.name for field in fields if field.required and field not in have), None)
    if present - claimed or missing is not None:
        stray = f"column {min(present - claimed)}" if present - claimed else f"no column {missing}"
        raise SchemaFault(
            f"{kind.__name__} was sealed by another schema ({stray}); open it with the version that sealed it"
        )
    columns: dict[str, Iterable[Any]] = {field.name: _field_values(field, table) for field in have}
    for field in all_fields:
        if field not in fields:
            columns[field.name] = repeat(Unread(f"{kind.__name__}.{field.name}"), count)
    return list(map(Record, *header, _build(kind, all_fields, columns, count)))


def _build(cls: type[Struct], fields: tuple[Field, ...], columns: dict[str, Iterable[Any]], count: int) -> list[Any]:
    """The events of one type from their columns by field name; a field without one takes its default."""
    if not columns:
        return [cls() for _ in range(count)]
    if len(fields) == len(columns):
        return list(map(cls, *(columns[field.name] for field in fields)))
    return [cls(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _field_values(field: Field, table: Any) -> list[Any]:
    return _values(field.shape, [_whole(table.column(name)) for name in column_names(field)])


def _whole(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _values(shape: Shape, arrays: list[Any]) -> list[Any]:
    """The Python values of a column (or of the two columns of a wide integer)."""
    array = arrays[0]
    if array.null_count == len(array):
        return [None] * len(array)
    if is_wide(shape):
        high, low = (array.to_pylist() for array in arrays)
        return [None if top is None else (top << 64) | bottom for top, bottom in zip(high, low, strict=True)]
    if shape.kind == "int":
        return _with_nulls(array, ints(array, _BUFFER[shape.width]))
    if shape.kind == "text":
        return _texts(array)
    if shape.kind == "struct":
        return _with_nulls(array, _structs(shape, array))
    if shape.kind == "list":
        return _with_nulls(array, _lists(shape, array))
    if shape.kind == "map":
        return _with_nulls(array, _maps(shape, array))
    return array.to_pylist()  # type: ignore[no-any-return]


def _with_nulls(array: Any, values: list[Any]) -> list[Any]:
    if array.null_count:
        import pyarrow.compute as pc  # noqa: PLC0415 - it takes as long to load as all else of pyarrow

        for index in ints(pc.indices_nonzero(array.is_null()), "Q"):
            values[index] = None
    return values


def ints(array: Any, code: str) -> list[Any]:
    """The integers of a column straight out of its buffer; whatever stands there where the column is null."""
    start = array.offset
    view: Any = memoryview(array.buffers()[1]).cast("B")
    numbers: list[Any] = view.cast(code)[start : start + len(array)].tolist()
    return numbers


def _texts(array: Any) -> list[Any]:
    if isinstance(array, pa.DictionaryArray):
        words = [*array.dictionary.to_pylist(), None]
        indices = array.indices.fill_null(len(words) - 1) if array.null_count else array.indices
        return list(map(words.__getitem__, ints(indices, "i")))
    offsets, data = array.buffers()[1:]
    bounds = memoryview(offsets).cast("B").cast("i")[array.offset : array.offset + len(array) + 1].tolist()
    raw = memoryview(data)[bounds[0] : bounds[-1]] if data is not None else b""
    text = str(raw, "utf-8")
    if len(text) != len(raw):
        return array.to_pylist()  # type: ignore[no-any-return]
    first = bounds[0]
    if first:
        bounds = [bound - first for bound in bounds]
    return _with_nulls(array, [text[start:end] for start, end in pairwise(bounds)])


def _structs(shape: Shape, array: Any) -> list[Any]:
    """Nested structs; a field that came after the file was sealed has no column there and takes its default."""
    present = {field.name for field in array.type}
    have = [field for field in shape.fields if present.issuperset(column_names(field))]
    columns: dict[str, Iterable[Any]] = {
        field.name: _values(field.shape, [array.field(name) for name in column_names(field)]) for field in have
    }
    assert shape.cls is not None
    missing = next((field.name for field in shape.fields if field.required and field not in have), None)
    if missing is not None:
        raise SchemaFault(f"{shape.cls.__name__} was sealed without {missing}; open it with the version that sealed it")
    return _build(shape.cls, shape.fields, columns, len(array))


def _lists(shape: Shape, array: Any) -> list[Any]:
    bounds = _bounds(array)
    if bounds[0] == bounds[-1]:
        return [()] * len(array)
    assert shape.item is not None
    items = _values(shape.item, [array.values[bounds[0] : bounds[-1]]])
    first = bounds[0]
    return [tuple(items[start - first : end - first]) for start, end in pairwise(bounds)]


def _maps(shape: Shape, array: Any) -> list[Any]:
    bounds = _bounds(array)
    first, last = bounds[0], bounds[-1]
    assert shape.item is not None
    keys = _texts(array.keys[first:last]) if last > first else []
    items = _values(shape.item, [array.items[first:last]]) if last > first else []
    return [
        dict(zip(keys[start - first : end - first], items[start - first : end - first], strict=True))
        for start, end in pairwise(bounds)
    ]


def _bounds(array: Any) -> list[int]:
    offsets = array.offsets
    return ints(offsets, "i")
