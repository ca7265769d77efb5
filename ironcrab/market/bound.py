"""The bound of every map that is kept per key: the rows that changed longest ago go first."""

from typing import Protocol, TypeVar


class Aged(Protocol):
    """A row that knows the record that last changed it."""

    @property
    def seq(self) -> int:
        """Seq of that record."""
        ...


Row = TypeVar("Row", bound=Aged)


def forget_oldest(rows: dict[str, Row], most: int) -> list[str]:
    """Bring `rows` down to three quarters of `most` once it holds more, lowest `seq` first; the keys that went.

    A quarter at a time keeps the cost of the sort at a few steps per inserted row.
    """
    if len(rows) <= most:
        return []
    surplus = len(rows) - most * 3 // 4
    gone = sorted(rows, key=lambda key: rows[key].seq)[:surplus]
    for key in gone:
        del rows[key]
    return gone
