"""Fates: what goes wrong on the local chain, by script. The same script and order of transactions, the same faults.

One line each; N counts distinct transactions (by signature) from 1 in order of arrival, or `every K` takes each K-th:

    drop N [TIMES|all]      the first TIMES submissions (default 1) are accepted and lost
    delay N SLOTS           it lands that many slots later
    fail N                  it lands with an error and pays its fee
    mute N [TIMES|all]      it is taken, and the answer to the submission is lost
    hide N SLOTS            its status stays null that many slots after it landed
    busy METHOD N           the N-th call of this method gets HTTP 429
    behind METHOD N         the N-th call of this method gets -32005 (node behind)
"""

from typing import Literal

from msgspec import Struct

from ironcrab.domain.fault import InputFault

ALL = 2**31
"""Times that never run out."""

Kind = Literal["drop", "delay", "fail", "mute", "hide", "busy", "behind"]
KINDS: dict[str, Kind] = {
    "drop": "drop",
    "delay": "delay",
    "fail": "fail",
    "mute": "mute",
    "hide": "hide",
    "busy": "busy",
    "behind": "behind",
}


class Fate(Struct, frozen=True):
    """One line: kind, method (calls only), which count, whether each K-th, and how much (times or slots)."""

    kind: Kind
    method: str
    which: int
    every: bool
    amount: int

    def meets(self, count: int) -> bool:
        """Whether the count-th is meant."""
        return count % self.which == 0 if self.every else count == self.which


class Fates:
    """The script, and what has been counted so far."""

    def __init__(self, fates: tuple[Fate, ...] = ()) -> None:
        self.fates = fates
        self.numbers: dict[str, int] = {}
        self.submissions: dict[str, int] = {}
        self.calls: dict[str, int] = {}

    def submitted(self, signature: str) -> int:
        """Count a submission; the number of the transaction."""
        number = self.numbers.setdefault(signature, len(self.numbers) + 1)
        self.submissions[signature] = self.submissions.get(signature, 0) + 1
        return number

    def is_lost(self, kind: Kind, signature: str) -> bool:
        """Whether this submission, just counted, is dropped (or its answer is muted)."""
        return self.submissions.get(signature, 0) <= self.amount(kind, signature)

    def amount(self, kind: Kind, signature: str) -> int:
        """Times or slots that the script sets for a transaction; 0: nothing."""
        number = self.numbers.get(signature)
        if number is None:
            return 0
        return max((fate.amount for fate in self.fates if fate.kind == kind and fate.meets(number)), default=0)

    def called(self, method: str) -> Kind | None:
        """Count a call; what goes wrong with it."""
        if not any(fate.method == method for fate in self.fates):
            return None
        count = self.calls[method] = self.calls.get(method, 0) + 1
        return next((fate.kind for fate in self.fates if fate.method == method and fate.meets(count)), None)


def parse_fates(text: str, where: str) -> Fates:
    """A script's text; `#` opens a comment. InputFault names the line that cannot be used."""
    fates = []
    for place, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            fates.append(_fate(words, f"{where} line {place}"))
    return Fates(tuple(fates))


def _fate(words: list[str], where: str) -> Fate:
    kind, rest = KINDS.get(words[0]), words[1:]
    if kind is None:
        raise InputFault(f"{where}: {words[0]!r} is none of {', '.join(KINDS)}")
    method = rest.pop(0) if kind in ("busy", "behind") and rest else ""
    every = bool(rest) and rest[0] == "every"
    numbers = [ALL if word == "all" else _count(word, where) for word in rest[int(every) :]]
    needs_amount = kind in ("delay", "hide")
    if not 1 + needs_amount <= len(numbers) <= (1 if kind in ("fail", "busy", "behind") else 2):
        raise InputFault(f"{where}: {' '.join(words)!r} has the wrong number of words; see ironcrab localnet --help")
    return Fate(kind, method, numbers[0], every, numbers[1] if len(numbers) > 1 else 1)


def _count(word: str, where: str) -> int:
    if not (word.isascii() and word.isdigit()) or not 0 < int(word) < ALL:
        raise InputFault(f"{where}: {word!r} is no number from 1 on")
    return int(word)
