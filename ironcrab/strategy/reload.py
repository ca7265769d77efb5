"""Reload: the parameters in force, which an operator may change while a strategy runs.

A change is a ConfigUpdate, answered by a ConfigChanged. It stands in the strategy's state, so that a restored or
restarted strategy goes on with it; a run that opens with it says so again, for the run's own settings do not show it.
It ends when the scenario itself says something else of that key than it said when the change was made.
"""

from collections.abc import Mapping
from typing import TypeVar

from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.control import ConfigChanged, ConfigUpdate, Setting
from ironcrab.domain.settings import judged, text_of
from ironcrab.domain.units import Word

Params = TypeVar("Params", bound=Struct)
OPERATOR = "operator"
KEPT = "operator, kept over a restart"


class Change(Struct, frozen=True, gc=False):
    """A parameter that was changed: its text now, and the text the scenario gave it then."""

    value: str
    was: str


Changes = dict[str, Change]
"""Changes by parameter; at most as many as there are parameters."""


def in_force(scenario: Params, changes: Mapping[str, Change]) -> Params:
    """The scenario's parameters with the changes that still hold."""
    held = {key: change.value for key, change in changes.items() if _text(scenario, key) == change.was}
    return judged(scenario, held, OPERATOR)[0]


def config_id(params: Struct) -> str:
    """The id of parameters in force: `cfg-` and 16 hex digits of blake3 over `key=value` lines in field order."""
    lines = "".join(f"{key}={text_of(getattr(params, key))}\n" for key in params.__struct_fields__)
    return f"cfg-{blake3(lines.encode()).hexdigest()[:16]}"


def update(name: Word, scenario: Params, changes: Changes, event: ConfigUpdate) -> ConfigChanged | None:
    """Take an operator's wishes into `changes`; the answer, None where another component is meant."""
    if event.target_component not in (name, "all"):
        return None
    params, applied, rejected = judged(in_force(scenario, changes), event.config, OPERATOR)
    for setting in applied:
        was = _text(scenario, setting.key) or ""
        changes.pop(setting.key, None)
        if setting.value != was:
            changes[setting.key] = Change(setting.value, was)
    return ConfigChanged(name, applied, rejected, config_id(params))


def reopened(name: Word, scenario: Struct, changes: Changes) -> ConfigChanged | None:
    """What a run that opens keeps of earlier changes; the rest is dropped from `changes`. None: nothing is kept."""
    for key in [key for key, change in changes.items() if _text(scenario, key) != change.was]:
        del changes[key]
    if not changes:
        return None
    kept = tuple(Setting(key, change.value, KEPT) for key, change in changes.items())
    return ConfigChanged(name, kept, (), config_id(in_force(scenario, changes)))


def _text(params: Struct, key: str) -> str | None:
    """The text of a parameter; None: there is none of this name (any more)."""
    return text_of(getattr(params, key)) if key in params.__struct_fields__ else None
