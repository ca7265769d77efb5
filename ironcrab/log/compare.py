"""Comparing two histories: what reducers say now against what was recorded, and one recording against another.

Words are matched in order by (cause, by): the k-th thing that a reducer says at a seq is compared with the k-th
record of that cause and that reducer. Divergences are grouped by (by, subject); the first of each group is
independent, the later ones follow from it and are counted.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.control import RunStarted
from ironcrab.domain.event import Event
from ironcrab.loop import Record


class FieldDifference(Struct, frozen=True):
    """One field that differs: dotted path, recorded value, recomputed value (None: absent)."""

    field: str
    recorded: Any
    recomputed: Any


class Divergence(Struct, frozen=True):
    """A record that differs from what the reducer says now.

    Attributes:
        seq: the recorded record; where nothing was recorded, the cause of what is said now.
        by: the reducer.
        subject: the mint, pool or intent it is about.
        kind: `differs`, `not recorded` (said now, not in the log), `not said` (in the log, not said now) or `raised`
            (the reducer raises an exception at this record; nothing behind it was judged).
        numbers_only: only numbers differ, no code, outcome or kind.
        fields: what differs.
        following: how many later divergences of the same reducer and subject were counted.
    """

    seq: int
    by: str
    subject: str
    kind: str
    type: str
    numbers_only: bool
    fields: tuple[FieldDifference, ...]
    following: int = 0


class Digest:
    """The digest of what reducers said: a blake3 over the derived bodies in log order."""

    def __init__(self) -> None:
        self._hasher = blake3()

    def add(self, by: str, event: Event) -> None:
        """Chain one derived body."""
        self._hasher.update(by.encode() + b"\0" + msgspec.json.encode(event))

    def text(self) -> str:
        """32 hex characters."""
        return self._hasher.hexdigest(length=16)


class Judge:
    """Matches what reducers say with what was recorded. Memory: only words not matched yet, and the divergences.

    Args:
        names: the reducers that are judged; records by anyone else fold like world records.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = frozenset(names)
        self.said = 0
        self.recorded = 0
        self.matched = 0
        self.not_judged: dict[str, int] = {}
        self.groups: dict[tuple[str, str], Divergence] = {}
        self.last_of: dict[str, int] = {}
        self.digest = Digest()
        self._waiting: dict[tuple[int, str], deque[tuple[int, Event]]] = {}

    def say(self, cause: int, by: str, event: Event) -> None:
        """A reducer says `event` at `cause`."""
        self.said += 1
        self.digest.add(by, event)
        self._waiting.setdefault((cause, by), deque()).append((self.said, event))

    def record(self, record: Record) -> None:
        """A derived record of the log."""
        by, cause = record.by, record.cause
        if by is None or cause is None:
            return
        if by not in self.names:
            self.not_judged[by] = self.not_judged.get(by, 0) + 1
            return
        self.recorded += 1
        waiting = self._waiting.get((cause, by))
        if not waiting:
            self._diverge(record.seq, by, record.event, None)
            return
        place, said = waiting.popleft()
        self.last_of[by] = place
        if not waiting:
            del self._waiting[cause, by]
        if said == record.event:
            self.matched += 1
        else:
            self._diverge(record.seq, by, record.event, said)

    def raised(self, seq: int, by: str, event: Event, error: Exception) -> None:
        """A reducer raised at this record."""
        group = (by, subject_of(event))
        told = FieldDifference("raised", None, f"{type(error).__name__}: {error}")
        self.groups[group] = Divergence(seq, by, group[1], "raised", type(event).__name__, False, (told,))

    def finish(self, *, ended: bool = False) -> int:
        """Close: what was said and never recorded diverges, unless nothing that its reducer said later is recorded.

        Args:
            ended: the run came to its end, so that nobody was interrupted: all that was said must be recorded.

        Returns:
            how many words are unfinished: said after the last word of their reducer that is recorded.
        """
        unfinished = 0
        for (cause, by), waiting in self._waiting.items():
            for place, said in waiting:
                if not ended and place > self.last_of.get(by, -1):
                    unfinished += 1
                else:
                    self._diverge(cause, by, None, said)
        self._waiting.clear()
        return unfinished

    def divergences(self) -> list[Divergence]:
        """The first divergence of each group, in log order."""
        return sorted(self.groups.values(), key=lambda found: (found.seq, found.by, found.subject))

    def _diverge(self, seq: int, by: str, recorded: Event | None, said: Event | None) -> None:
        event = recorded if recorded is not None else said
        group = (by, subject_of(event))
        first = self.groups.get(group)
        if first is not None and first.seq <= seq:
            self.groups[group] = msgspec.structs.replace(first, following=first.following + 1)
            return
        following = first.following + 1 if first is not None else 0
        kind = (
            "differs" if recorded is not None and said is not None else "not said" if said is None else "not recorded"
        )
        fields = tuple(field_differences(recorded, said))
        numbers_only = kind == "differs" and all(_is_number(field) for field in fields)
        name = type(event).__name__
        self.groups[group] = Divergence(seq, by, group[1], kind, name, numbers_only, fields, following)


def subject_of(event: Any) -> str:
    """The mint, pool or intent that an event is about, as text; its type where it is about none of them."""
    for field in ("mint", "token_mint", "pool_address"):
        value = getattr(event, field, None)
        if value:
            return f"{field.removeprefix('token_').removesuffix('_address')} {value}"
    resources = getattr(event, "resources", None)
    if resources is not None:
        mint = resources.output_mint if event.side == "Buy" else resources.input_mint
        return f"mint {mint}"
    for field in ("intent", "intent_id"):
        value = getattr(event, field, None)
        if value is not None:
            return f"intent {value}"
    return type(event).__name__


def field_differences(recorded: Event | None, said: Event | None) -> Iterator[FieldDifference]:
    """Every leaf field that differs, by dotted path; lists by index, what a run opens with by its name."""
    yield from _differences("", _plain(recorded), _plain(said))


def _plain(event: Event | None) -> Any:
    plain = {} if event is None else msgspec.to_builtins(event)
    if isinstance(event, RunStarted):
        for name, key in (("settings", "key"), ("reducers", "name")):
            plain[name] = {each.pop(key): each for each in plain[name]}
    return plain


def _differences(path: str, left: Any, right: Any) -> Iterator[FieldDifference]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in {**left, **right}:
            yield from _differences(f"{path}.{key}" if path else str(key), left.get(key), right.get(key))
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
        for index in range(max(len(left), len(right))):
            yield from _differences(f"{path}[{index}]", _at(left, index), _at(right, index))
    elif left != right:
        yield FieldDifference(path, left, right)


def _at(items: Any, index: int) -> Any:
    return items[index] if index < len(items) else None


def _is_number(field: FieldDifference) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in (field.recorded, field.recomputed))
