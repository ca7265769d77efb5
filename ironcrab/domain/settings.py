"""Settings of a running component: an operator's wishes, judged key by key against the parameters' types and ranges.

A wish is a ConfigUpdate, answered by a ConfigChanged. What was changed stands in the component's state, so that a
restored or restarted one goes on with it; a run that opens with it says so again, for the run's own settings do not
show it. A change ends when the scenario itself says something else of that key than it said when the change was made.

A log holds runs of other scenarios, and who goes on with it folds them too: what a run's scenario says stands in its
RunStarted. Where that differs from one's own scenario, it is kept among the changes as one from itself to itself.

A parameter whose Meta says `restart` in its extra is refused while it runs.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ironcrab.domain.control import ConfigChanged, ConfigUpdate, RunStarted, Setting
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


def text_of(value: object) -> str:
    """A setting's one textual form: `true`, `false` or the value itself."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def judged(
    params: Params, config: Mapping[str, str], origin: str
) -> tuple[Params, tuple[Setting, ...], tuple[Setting, ...]]:
    """Judge wishes, each by its own type and range, and all that pass by what the parameters say of one another.

    Wishes of one update are meant together: a lower and an upper bound may move past the old ones at once. Only where
    they contradict each other, or what holds, are they taken one by one in the order told, and those that contradict
    what holds by then are rejected.

    Args:
        params: a frozen Struct whose field types carry ranges; its `__post_init__` may raise ValueError.
        config: text by field name.
        origin: who wishes it.

    Returns:
        The params that would hold now, what was applied (origin as given), what was rejected (origin: the reason).
    """
    kinds = {field.name: field.type for field in msgspec.structs.fields(type(params))}
    moved: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for key, text in config.items():
        reason = _refusal(kinds.get(key))
        if reason is not None:
            reasons[key] = reason
            continue
        try:
            moved[key] = msgspec.convert(text, kinds[key], strict=False)
        except msgspec.ValidationError as fault:
            reasons[key] = str(fault)
    params = _moved(params, moved, reasons)
    applied = tuple(Setting(key, text_of(moved[key]), origin) for key in config if key not in reasons)
    return params, applied, tuple(Setting(key, config[key], reasons[key]) for key in config if key in reasons)


def _moved(params: Params, moved: Mapping[str, Any], reasons: dict[str, str]) -> Params:
    """The params with these values; why one of them cannot hold is put into `reasons`."""
    try:
        return msgspec.structs.replace(params, **moved)
    except ValueError:
        for key, value in moved.items():
            try:
                params = msgspec.structs.replace(params, **{key: value})
            except ValueError as fault:
                reasons[key] = str(fault)
        return params


def in_force(scenario: Params, changes: Mapping[str, Change]) -> Params:
    """The scenario's parameters with the changes that still hold."""
    held = {key: change.value for key, change in changes.items() if _text(scenario, key) == change.was}
    return judged(scenario, held, OPERATOR)[0]


def changed(scenario: Params, changes: Mapping[str, Change]) -> bool:
    """Whether parameters in force are others than the scenario's."""
    return any(_text(scenario, key) == change.was for key, change in changes.items())


def update(
    name: Word, scenario: Params, changes: Changes, event: ConfigUpdate, id_of: Callable[[Params], str]
) -> ConfigChanged | None:
    """Take an operator's wishes into `changes`; the answer, None where another component is meant.

    Args:
        name: of the component.
        scenario: its parameters as the scenario has them.
        changes: gets what was applied.
        event: the wishes.
        id_of: the id of parameters in force.
    """
    if event.target_component not in (name, "all"):
        return None
    # as the run has them whose operator wishes, which may be one of another scenario
    there = judged(scenario, {key: change.value for key, change in changes.items()}, OPERATOR)[0]
    _, applied, rejected = judged(there, event.config, OPERATOR)
    for setting in applied:
        old, own = changes.pop(setting.key, None), _text(scenario, setting.key) or ""
        was = own if old is None else old.was
        if (setting.value, was) != (own, own):
            changes[setting.key] = Change(setting.value, was)
    return ConfigChanged(name, applied, rejected, id_of(in_force(scenario, changes)))


def reopened(
    name: Word,
    scenario: Params,
    changes: Changes,
    told: Mapping[str, str],
    id_of: Callable[[Params], str],
) -> ConfigChanged | None:
    """What a run that opens keeps of earlier changes; the rest is dropped from `changes`. None: nothing is kept.

    Args:
        name: of the component.
        scenario: its own parameters.
        changes: get what differs in the run's scenario, lose what does not hold in it.
        told: what the run's scenario says (`of_table`); a parameter that it does not name is as one's own.
        id_of: the id of parameters in force.
    """
    elsewhere = {key: text for key, text in told.items() if text != _text(scenario, key) is not None}
    held = {
        key: change
        for key, change in changes.items()
        if change.was == elsewhere.get(key, _text(scenario, key)) and change.was != change.value
    }
    there = judged(scenario, elsewhere, KEPT)[0]
    params, kept, refused = judged(there, {key: change.value for key, change in held.items()}, KEPT)
    changes.clear()
    changes |= {key: Change(text, text) for key, text in elsewhere.items()}
    changes |= {setting.key: held[setting.key] for setting in kept}
    return ConfigChanged(name, kept, refused, id_of(params)) if held else None


def of_table(event: RunStarted, table: str, kind: type[Struct]) -> dict[str, str]:
    """What a run's scenario says of a table whose parameters are of this kind: text by parameter."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(kind)}
    told = {}
    for setting in event.settings:
        at, _, key = setting.key.partition(".")
        if at == table and key in kinds and _refusal(kinds[key]) is None:
            value = msgspec.json.decode(setting.value)
            # what is out of range now was in range then, and is equal to nothing here
            with suppress(msgspec.ValidationError):
                value = msgspec.convert(value, kinds[key])
            told[key] = text_of(value)
    return told


def _text(params: Struct, key: str) -> str | None:
    """The text of a parameter; None: there is none of this name (any more)."""
    return text_of(getattr(params, key)) if key in params.__struct_fields__ else None


def _refusal(kind: Any) -> str | None:
    """Why no running component changes a parameter of this type; None: it may."""
    if kind is None:
        return "unknown key"
    extra = getattr(msgspec.inspect.type_info(kind), "extra", None) or {}
    return "takes effect at a restart only" if extra.get("restart") else None
