"""The housekeepers that a scenario may switch on: table key and class, written by hand. All are off by default."""

from typing import Any

from ironcrab.execution.account_janitor import AccountJanitor
from ironcrab.execution.liquidation import Liquidation
from ironcrab.execution.wsol_manager import WsolManager

HOUSEKEEPERS: tuple[tuple[str, type[Any]], ...] = (
    ("wsol_manager", WsolManager),
    ("account_janitor", AccountJanitor),
    ("liquidation", Liquidation),
)
