"""Fixtures of the venue tests: the shared vectors, and the table of how many rows each truth agrees on."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

REASON = "skipped: shared inputs are not beside the checkout"


class TruthTable:
    """Rows of truth and rows reproduced, by venue and truth file, in the order they were judged."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, venue: str, truth: str, rows: int, equal: int) -> None:
        """Adds `rows` judged and `equal` reproduced to the line of this venue and truth."""
        before = self.rows.get((venue, truth), (0, 0))
        self.rows[venue, truth] = (before[0] + rows, before[1] + equal)

    def lines(self) -> list[str]:
        """The table as text, one line a venue and truth."""
        head = f"{'venue':<14} {'truth':<44} {'rows':>7} {'equal':>7}"
        body = [f"{v:<14} {t:<44} {rows:>7} {equal:>7}" for (v, t), (rows, equal) in self.rows.items()]
        return [head, *body]


_TABLE = pytest.StashKey[TruthTable]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLE] = TruthTable()


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    table = config.stash[_TABLE]
    if table.rows:
        terminalreporter.section("venue x truth")
        for line in table.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def truth_table(pytestconfig: pytest.Config) -> TruthTable:
    """The one table of the session; printed at its end."""
    return pytestconfig.stash[_TABLE]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the shared inputs; the test is skipped where it is absent."""
    folder = Path(os.environ.get("IRONCRAB_SHARED", Path(__file__).parents[2] / ".." / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip(REASON)
    return folder


@pytest.fixture(scope="session")
def vectors(shared: Path) -> Callable[[str], list[dict]]:
    """`vectors(name)`: the rows of one vector file, each a dict, read once."""
    read: dict[str, list[dict]] = {}

    def rows(name: str) -> list[dict]:
        if name not in read:
            with gzip.open(shared / "vectors" / f"{name}.jsonl.gz", "rt") as lines:
                read[name] = [json.loads(line) for line in lines]
        return read[name]

    return rows
