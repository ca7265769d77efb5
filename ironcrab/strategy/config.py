"""The id of the parameters in force, which an operator may change while a strategy runs (`domain.settings`)."""

from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.settings import text_of


def config_id(params: Struct) -> str:
    """The id of parameters in force: `cfg-` and 16 hex digits of blake3 over `key=value` lines in field order."""
    lines = "".join(f"{key}={text_of(getattr(params, key))}\n" for key in params.__struct_fields__)
    return f"cfg-{blake3(lines.encode()).hexdigest()[:16]}"
