"""Reducers that want: each says intents and the verdicts behind them."""

from ironcrab.loop import Reducer
from ironcrab.strategy.ema import EmaCross
from ironcrab.strategy.momentum import Momentum

STRATEGIES: tuple[tuple[str, type[Reducer]], ...] = (("momentum", Momentum), ("ema", EmaCross))
"""Every built-in strategy by the name a scenario gives it, written by hand."""
