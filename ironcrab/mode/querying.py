"""Query: duckdb over a recording's segments, one view per event type, and `log` over all of them. It only reads."""

from typing import Any

import duckdb
import pyarrow as pa

from ironcrab.domain.event import BY_NAME, snake
from ironcrab.domain.fault import InputFault, SchemaFault
from ironcrab.log import line, walk
from ironcrab.log.columns import event_schema, to_table
from ironcrab.log.contents import sealed_files
from ironcrab.log.line import LooseRecord
from ironcrab.log.recording import Recording
from ironcrab.loop import Record


def query(recording: Recording, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one SELECT statement, which sees the recording's files and no other, and changes none; column names and rows.

    Raises:
        InputFault: it is not one SELECT, or duckdb refuses it (its own sentence is passed on).
    """
    connection = duckdb.connect(":memory:")
    try:
        views(connection, recording)
        _shut(connection, recording)
        _ask_only(connection, recording, sql)
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return names, cursor.fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputFault(f"query on {recording.path}: {reason}; run: ironcrab inspect {recording.path}") from error
    finally:
        connection.close()


def _shut(connection: duckdb.DuckDBPyConnection, recording: Recording) -> None:
    """Only the sealed files stay in reach: no other file, no network, no extension, and no way back."""
    listed = ", ".join(f"'{_quoted(str(path))}'" for paths in sealed_files(recording).values() for path in paths)
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _ask_only(connection: duckdb.DuckDBPyConnection, recording: Recording, sql: str) -> None:
    """InputFault unless `sql` is one SELECT: a COPY could write over the very files that stay in reach."""
    asked = connection.extract_statements(sql)
    if not asked:
        raise InputFault(f"query on {recording.path}: {sql!r} asks nothing; run: ironcrab query RECORDING --help")
    if len(asked) > 1 or asked[0].type != duckdb.StatementType.SELECT:
        raise InputFault(f"query on {recording.path} only reads; give one SELECT statement instead of {sql!r}")


def views(connection: duckdb.DuckDBPyConnection, recording: Recording) -> None:
    """Create the views: sealed files are read in place, hot records are handed over as tables.

    The statements are made of our own type names and quoted paths; nothing a user typed is in them. Hot records of
    a type or schema this code does not know stand in `log` alone; their sealed files are read like any other.
    """
    sealed, (hot, strange) = sealed_files(recording), _hot(recording)
    spine = []
    if strange:
        connection.register("hot_strange", _heads(strange))
        spine.append('SELECT seq, cause, "by", type, time FROM hot_strange')
    for name in {**dict.fromkeys(BY_NAME), **dict.fromkeys(sealed)}:
        view, parts = snake(name), []
        if name in sealed:
            listed = ", ".join(f"'{_quoted(str(path))}'" for path in sealed[name])
            parts.append(f"SELECT * FROM read_parquet([{listed}], union_by_name => true)")  # noqa: S608 - see above
        if name in hot or not parts:
            kind = BY_NAME[name]
            table = to_table(kind, hot[name]) if name in hot else event_schema(kind).empty_table()
            connection.register(f"hot_{view}", table)
            parts.append(f"SELECT * FROM hot_{view}")  # noqa: S608 - see above
        connection.execute(f"CREATE VIEW {view} AS {' UNION ALL BY NAME '.join(parts)}")
        if name in sealed or name in hot:
            spine.append(f"SELECT seq, cause, \"by\", '{name}' AS type, time FROM {view}")  # noqa: S608 - see above
    empty = "SELECT seq, cause, \"by\", '' AS type, time FROM trade WHERE false"
    union = " UNION ALL ".join(spine or [empty])
    connection.execute(f"CREATE VIEW log AS SELECT * FROM ({union}) ORDER BY seq")  # noqa: S608 - see above


def _hot(recording: Recording) -> tuple[dict[str, list[Record]], list[LooseRecord]]:
    """The records that are not sealed: by type, and those that this code does not know."""
    found: dict[str, list[Record]] = {}
    strange: list[LooseRecord] = []
    for part in recording.parts:
        if part.entry is None or not part.entry.files:
            for raw in walk.raw_lines(part.path):
                try:
                    # fields that a newer schema added are not wanted here, so they may be there
                    record = line.decode(raw.line)
                except SchemaFault:
                    strange.append(line.decode_loose(raw.line))
                else:
                    found.setdefault(type(record.event).__name__, []).append(record)
    return found, strange


def _heads(strange: list[LooseRecord]) -> pa.Table:
    """What `log` tells of records that are not known."""
    integer = pa.uint64()
    schema = {"seq": integer, "cause": integer, "by": pa.string(), "type": pa.string(), "time": integer}
    columns = {name: pa.array([getattr(one, name) for one in strange], kind) for name, kind in schema.items()}
    return pa.table(columns)


def _quoted(text: str) -> str:
    return text.replace("'", "''")
