"""Settings of a running component: an operator's wishes, judged key by key against the parameters' types and ranges.

A parameter whose Meta says `restart` in its extra is refused while it runs.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ironcrab.domain.control import Setting

Params = TypeVar("Params", bound=Struct)


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


def _refusal(kind: Any) -> str | None:
    """Why no running component changes a parameter of this type; None: it may."""
    if kind is None:
        return "unknown key"
    extra = getattr(msgspec.inspect.type_info(kind), "extra", None) or {}
    return "takes effect at a restart only" if extra.get("restart") else None
