"""TrackedSet: which accounts a feed is asked for, within a cap (facts: invariants I-MD-7 and I-MD-8).

Keys come in groups (a pool and what quoting it needs). A group is in the set whole or not at all. Groups share keys:
a key stays as long as one group holds it. When the cap is reached, groups that matter less make room: tracker first,
then arb, then momentum, within one priority the one that was touched longest ago. Wallet groups are never put out:
when they alone would exceed the cap the newcomer is refused, and nothing changes.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

Priority = Literal["wallet", "momentum", "arb", "tracker"]

PRIORITIES: tuple[Priority, ...] = ("wallet", "momentum", "arb", "tracker")
"""From what matters most to what matters least."""


class Group(Struct, frozen=True, gc=False):
    """Keys that are tracked together: whose they are, and how much they matter."""

    name: str
    priority: Priority
    keys: tuple[str, ...]


class TrackedState(Struct):
    """Groups by name, the one touched longest ago first."""

    groups: dict[str, Group] = field(default_factory=dict)


class Admitted(Struct, frozen=True, gc=False):
    """A group went in: keys that are new to the set, keys that left it, names of the groups put out for it."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    evicted: tuple[str, ...]


class Refused(Struct, frozen=True, gc=False):
    """A group did not go in, and why; the set is as it was."""

    reason: str


class TrackedSet:
    """Accounts to be subscribed to.

    Attributes:
        cap: most distinct keys.
        state: what a snapshot keeps.

    Args:
        cap: most distinct keys; 0 tracks nothing.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.state = TrackedState()
        self._refs: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._refs)

    @property
    def keys(self) -> tuple[str, ...]:
        """The distinct keys, in the order in which they came in."""
        return tuple(self._refs)

    def put(self, name: str, priority: Priority, keys: Iterable[str]) -> Admitted | Refused:
        """Admit a group, or put another set of keys or priority in the place of the one of this name."""
        group = Group(name, priority, tuple(dict.fromkeys(keys)))
        if self.state.groups.get(name) == group:
            self.touch(name)
            return Admitted((), (), ())
        refs = dict(self._refs)
        old = self.state.groups.get(name)
        if old is not None:
            _release(refs, old.keys)
        _hold(refs, group.keys)
        evicted = []
        for victim in self._victims(group):
            if len(refs) <= self.cap:
                break
            _release(refs, victim.keys)
            evicted.append(victim.name)
        if len(refs) > self.cap:
            return Refused(f"{name} needs {len(group.keys)} accounts; {self.cap} is the cap, and nothing may go for it")
        for gone in (*evicted, name):
            self.state.groups.pop(gone, None)
        self.state.groups[name] = group
        before, self._refs = self._refs, refs
        added = tuple(key for key in refs if key not in before)
        return Admitted(added, tuple(key for key in before if key not in refs), tuple(evicted))

    def touch(self, name: str) -> None:
        """Something happened that concerns this group: among its equals it is the last to go."""
        group = self.state.groups.pop(name, None)
        if group is not None:
            self.state.groups[name] = group

    def drop(self, name: str) -> tuple[str, ...]:
        """Give a group up; returns the keys that left the set."""
        group = self.state.groups.pop(name, None)
        if group is None:
            return ()
        before = tuple(self._refs)
        _release(self._refs, group.keys)
        return tuple(key for key in before if key not in self._refs)

    def restored(self) -> None:
        """Rebuild what derives from the state; groups that no longer fit under the cap go, least important first."""
        groups = list(self.state.groups.values())
        self.state.groups, self._refs = {}, {}
        kept = {}
        for priority in PRIORITIES:
            # among equals the one touched last is the first to stay
            for group in reversed([each for each in groups if each.priority == priority]):
                refs = dict(self._refs)
                _hold(refs, group.keys)
                if len(refs) <= self.cap:
                    self._refs = refs
                    kept[group.name] = group
        self.state.groups = {group.name: group for group in groups if group.name in kept}
        self._refs = {}
        for group in self.state.groups.values():
            _hold(self._refs, group.keys)

    def _victims(self, newcomer: Group) -> Iterable[Group]:
        """Who may go for a newcomer, in that order: never a wallet, never one that matters more than it."""
        lowest = PRIORITIES.index(newcomer.priority)
        for priority in reversed(PRIORITIES[max(lowest, 1) :]):
            for group in self.state.groups.values():
                if group.priority == priority and group.name != newcomer.name:
                    yield group


def _hold(refs: dict[str, int], keys: Iterable[str]) -> None:
    for key in keys:
        refs[key] = refs.get(key, 0) + 1


def _release(refs: dict[str, int], keys: Iterable[str]) -> None:
    for key in keys:
        refs[key] -= 1
        if not refs[key]:
            del refs[key]
