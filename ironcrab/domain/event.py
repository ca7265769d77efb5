"""The one union of everything that can stand in the log, and its version."""

import re
from functools import reduce
from operator import or_

from msgspec import Struct

from ironcrab.domain.ask import ANSWER, ASK
from ironcrab.domain.control import CONTROL
from ironcrab.domain.market import MARKET
from ironcrab.domain.trade import TRADE

SCHEMA_VERSION = 1
"""Version of the record schema: additive changes keep it, a breaking change raises it and brings an upcaster."""

Event = Struct
"""Any of EVENTS; the log decodes to exactly one of them by the `type` tag."""

EVENTS: tuple[type[Struct], ...] = (*MARKET, *TRADE, *ASK, *ANSWER, *CONTROL)
"""Every event type; the order is the order of listings and of the sealed files."""

AnyEvent = reduce(or_, EVENTS)


def snake(name: str) -> str:
    """`TradeIntent` -> `trade_intent`: the name of a type's sealed file and view."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


BY_NAME: dict[str, type[Struct]] = {kind.__name__: kind for kind in EVENTS}
"""Event type by its tag."""
