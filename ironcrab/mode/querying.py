"""Query: duckdb over a recording's segments, one view per event type, and `log` over all of them."""

from typing import Any

import duckdb

from ironcrab.domain.event import BY_NAME, snake
from ironcrab.domain.fault import InputFault
from ironcrab.log.columns import schema_of, table_of
from ironcrab.log.recording import Recording
from ironcrab.loop import Record


def query(recording: Recording, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one SQL statement; returns column names and rows.

    Raises:
        InputFault: duckdb refuses the statement (its own sentence is passed on).
    """
    connection = duckdb.connect(":memory:")
    try:
        views(connection, recording)
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return names, cursor.fetchall()
    except duckdb.Error as error:
        raise InputFault(f"query on {recording.path}: {error}; run: ironcrab inspect {recording.path}") from error
    finally:
        connection.close()


def views(connection: duckdb.DuckDBPyConnection, recording: Recording) -> None:
    """Create the views: sealed files are read in place, hot records are handed over as tables.

    The statements are made of our own type names and quoted paths; nothing a user typed is in them.
    """
    hot: dict[str, list[Record]] = {}
    for record in recording.hot_records():
        hot.setdefault(type(record.event).__name__, []).append(record)
    spine = []
    for name, kind in BY_NAME.items():
        view = snake(name)
        files = recording.sealed_files(kind)
        parts = []
        if files:
            listed = ", ".join(f"'{_quoted(str(path))}'" for path in files)
            parts.append(f"SELECT * FROM read_parquet([{listed}], union_by_name => true)")  # noqa: S608 - see views
        if name in hot or not files:
            rows = hot.get(name, [])
            connection.register(f"hot_{view}", table_of(kind, rows) if rows else schema_of(kind).empty_table())
            parts.append(f"SELECT * FROM hot_{view}")  # noqa: S608 - see views
        body = " UNION ALL BY NAME ".join(parts)
        connection.execute(f"CREATE VIEW {view} AS {body}")
        if files or name in hot:
            spine.append(f"SELECT seq, cause, \"by\", '{name}' AS type, time FROM {view}")  # noqa: S608 - see views
    if spine:
        union = " UNION ALL ".join(spine)
        connection.execute(f"CREATE VIEW log AS SELECT * FROM ({union}) ORDER BY seq")  # noqa: S608 - see above


def _quoted(text: str) -> str:
    return text.replace("'", "''")
