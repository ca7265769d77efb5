"""Fixtures of the venue tests: the shared vectors, and the table of how many rows each truth agrees on."""

import base64
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ironcrab.dex import base58
from ironcrab.dex.face import Call, TokenBalance, Transaction
from tests.nightly.fuzz_dex import rounds

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
def fuzz_rounds() -> int:
    """Mutated inputs per venue: 20,000; the nightly sets IRONCRAB_FUZZ_ROUNDS=1000000 (tests/nightly/fuzz_dex.py)."""
    return rounds()


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


class _Frames:
    """Payloads logged by each executed call, by walking the `invoke` and end lines of a log."""

    def __init__(self, lines: list[str]) -> None:
        self.payloads: list[list[bytes]] = []
        open_calls: list[int] = []
        for line in lines:
            words = line.split()
            if line.startswith("Program data: "):
                self.payloads[open_calls[-1]].append(b"".join(map(base64.b64decode, words[2:])))
            elif line.startswith("Program log: ray_log: "):
                self.payloads[open_calls[-1]].append(base64.b64decode(words[3]))
            elif line == "Log truncated":
                return
            elif len(words) == 4 and words[0] == "Program" and words[2] == "invoke":
                open_calls.append(len(self.payloads))
                self.payloads.append([])
            elif len(words) > 2 and words[0] == "Program" and words[2].rstrip(":") in ("success", "failed"):
                open_calls.pop()

    def of(self, position: int) -> tuple[bytes, ...]:
        return tuple(self.payloads[position]) if position < len(self.payloads) else ()


def _data(item: dict) -> bytes:
    return base64.b64decode(item["data_b64"]) if "data_b64" in item else base58.decode(item["data"])


def _tree(flat: list[tuple[int, dict]], keys: list[str], frames: _Frames, *, from_position: int = 0):
    """Calls of a flat list of (height, instruction) in execution order, as a tree."""

    def build(at: int, height: int) -> tuple[tuple[Call, ...], int]:
        calls = []
        while at < len(flat) and flat[at][0] == height:
            item, position = flat[at][1], from_position + at
            inner, at = build(at + 1, height + 1)
            program = keys[item.get("program_id_index", item.get("programIdIndex"))]
            accounts = tuple(keys[index] for index in item["accounts"])
            calls.append(Call(program, accounts, _data(item), position, height, inner, frames.of(position)))
        return tuple(calls), at

    calls, end = build(0, 1)
    assert end == len(flat)
    return calls


def _balances(before: list[dict], after: list[dict], keys: list[str]) -> dict[str, TokenBalance]:
    found: dict[str, dict] = {}
    for when, entries in (("before", before), ("after", after)):
        for entry in entries:
            index = entry["account_index"] if "account_index" in entry else entry["accountIndex"]
            amount = entry["amount"] if "amount" in entry else entry["uiTokenAmount"]["amount"]
            decimals = entry["decimals"] if "decimals" in entry else entry["uiTokenAmount"]["decimals"]
            program = entry["program_id"] if "program_id" in entry else entry.get("programId", "")
            line = found.setdefault(keys[index], {"before": None, "after": None})
            line |= {"mint": entry["mint"], "owner": entry.get("owner", ""), "program": program}
            line |= {"decimals": decimals, when: int(amount)}
    return {key: TokenBalance(**line) for key, line in found.items()}


def transaction_of(row: dict) -> Transaction:
    """A transaction from the block file's shape, or from the `result` of getTransaction (encoding json)."""
    if "account_keys" in row:
        keys = row["account_keys"] + row["loaded_writable"] + row["loaded_readonly"]
        outer, inner, lines = row["instructions"], row["inner_instructions"], row["log_messages"]
        signature, signers = row["signature"], row["header"][0]
        balances = _balances(row["pre_token_balances"], row["post_token_balances"], keys)
        lamports = row["pre_balances"], row["post_balances"]
    else:
        meta, message = row["meta"], row["transaction"]["message"]
        loaded = meta.get("loadedAddresses") or {"writable": [], "readonly": []}
        keys = message["accountKeys"] + loaded["writable"] + loaded["readonly"]
        outer, inner, lines = message["instructions"], meta["innerInstructions"], meta["logMessages"]
        signature, signers = row["transaction"]["signatures"][0], message["header"]["numRequiredSignatures"]
        balances = _balances(meta["preTokenBalances"], meta["postTokenBalances"], keys)
        lamports = meta["preBalances"], meta["postBalances"]
    flat = []
    for index, item in enumerate(outer):
        flat.append((1, item))
        for group in inner:
            if group["index"] == index:
                heights = (i.get("stack_height", i.get("stackHeight")) for i in group["instructions"])
                flat += zip(heights, group["instructions"], strict=True)
    return Transaction(
        signature=signature,
        slot=row["slot"],
        fee_payer=keys[0],
        signers=tuple(keys[:signers]),
        calls=_tree(flat, keys, _Frames(lines)),
        balances=balances,
        lamports=dict(zip(keys, zip(*lamports, strict=True), strict=True)),
    )


def walk(calls: tuple[Call, ...]):
    """All calls of a tree in execution order."""
    for call in calls:
        yield call
        yield from walk(call.inner)


@pytest.fixture(scope="session")
def build_transaction() -> Callable[[dict], Transaction]:
    """`build_transaction(row)`: see `transaction_of`."""
    return transaction_of


@pytest.fixture(scope="session")
def walk_calls() -> Callable:
    """`walk_calls(transaction.calls)`: see `walk`."""
    return walk
