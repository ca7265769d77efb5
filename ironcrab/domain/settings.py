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
    """Judge wishes.

    Args:
        params: a frozen Struct whose field types carry ranges.
        config: text by field name.
        origin: who wishes it.

    Returns:
        The params that would hold now, what was applied (origin as given), what was rejected (origin: the reason).
    """
    kinds = {field.name: field.type for field in msgspec.structs.fields(type(params))}
    applied: list[Setting] = []
    rejected: list[Setting] = []
    moved: dict[str, Any] = {}
    for key, text in config.items():
        reason = _refusal(kinds.get(key))
        if reason is None:
            try:
                moved[key] = msgspec.convert(text, kinds[key], strict=False)
            except msgspec.ValidationError as fault:
                reason = str(fault)
        if reason is None:
            applied.append(Setting(key, text_of(moved[key]), origin))
        else:
            rejected.append(Setting(key, text, reason))
    return msgspec.structs.replace(params, **moved), tuple(applied), tuple(rejected)


def _refusal(kind: Any) -> str | None:
    """Why no running component changes a parameter of this type; None: it may."""
    if kind is None:
        return "unknown key"
    extra = getattr(msgspec.inspect.type_info(kind), "extra", None) or {}
    return "takes effect at a restart only" if extra.get("restart") else None
