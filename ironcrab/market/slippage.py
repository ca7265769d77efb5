"""Slippage: by how much confirmed fills fell short of their quotes, by pool, direction and size of the trade.

It learns from plans that carry `expected_out`; the engine writes it where quantile slippage is on. A shortfall is
(expected - actual) / expected in millionths, rounded up, and negative where the fill was better than the quote.
"""

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct, field

from ironcrab.domain.ask import ConfirmAnswer, Plan, SendAsk
from ironcrab.domain.event import Event
from ironcrab.domain.units import BPS, Bps, Key, Nanos, Raw, Seq, ceil_div, floor_div
from ironcrab.loop import Now
from ironcrab.market.bound import forget_oldest
from ironcrab.market.pools import LivePoolCache

Size = Literal["small", "medium", "large", "unknown"]
"""Below 1 %, below 5 %, from 5 % of the reserve on the side that is paid in; `unknown` where that is not known."""

MILLION = 1_000_000
MOST_FILLS = 500
"""Fills remembered of one series, the newest."""
MOST_SERIES = 4_096
"""Series remembered at most; beyond it those that filled longest ago are forgotten."""
MOST_OPEN = 1_024
"""Sends whose end is waited for at most."""
LONGEST_SECS = 86_400 * 30
"""No policy looks back further; older fills are dropped."""
MARGIN_BPS = 12_000
"""What the quantile is multiplied by: a fifth more than was seen."""
CAP_BPS = 5_000
"""The most slippage that is ever learned."""


class Observation(Struct, frozen=True, gc=False, array_like=True):
    """A confirmed fill: when it was folded, and its shortfall in millionths of the quote."""

    time: Nanos
    shortfall: int


class Series(Struct, gc=False):
    """The fills of one pool, direction and size, oldest first; `seq` is the record of the newest."""

    seq: Seq
    fills: list[Observation] = field(default_factory=list)


class Sent(Struct, frozen=True, gc=False):
    """A send that has not ended: its series' key and the quote it is held against."""

    seq: Seq
    key: str
    expected: Raw


class SlippageState(Struct):
    """Everything `Slippage` remembers: series by key, sends by seq of their ask (as text)."""

    series: dict[str, Series] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)


class Policy(Struct, frozen=True):
    """How a quantile is taken: its rank in bps, the fewest fills, their greatest age (s), the bps used below that."""

    confidence_bps: Bps = 9_500
    min_samples: int = 20
    max_age_secs: int = 86_400
    fallback_bps: Bps = 100


class Learned(Struct, frozen=True, gc=False):
    """What was learned of a trade.

    Attributes:
        size: the trade's size.
        samples: fills that count.
        quantile: shortfall at the rank asked for, millionths; None: too few fills.
        allowed: slippage to allow, millionths: the quantile with its margin and cap, or the fallback.
        seq: the newest fill that counts; None: too few.
    """

    size: Size
    samples: int
    quantile: int | None
    allowed: int
    seq: Seq | None

    def least(self, expected: int) -> int:
        """The least output to accept of an expected one, rounded down."""
        return floor_div(expected * (MILLION - self.allowed), MILLION)


class Slippage:
    """Reducer of shortfalls.

    Args:
        now: the clock.
        pools: read for the reserve that a trade's size is held against.
    """

    name = "slippage"
    wants: tuple[type[Event], ...] = (SendAsk, ConfirmAnswer)

    def __init__(self, now: Now, pools: LivePoolCache) -> None:
        self.now = now
        self.pools = pools
        self.state = SlippageState()

    def step(self, seq: int, event: Any) -> Iterable[Event]:
        """Fold one sent plan or its end."""
        if type(event) is SendAsk:
            self._asked(seq, event.plan)
        else:
            self._ended(seq, event)
        return ()

    def learned(self, pool: str, mint_in: str, amount_in: int, policy: Policy) -> Learned:
        """What the fills so far say of a trade of `amount_in` raw units of `mint_in` on this pool."""
        size = self.size(pool, mint_in, amount_in)
        series = self.state.series.get(_key(pool, mint_in, size))
        oldest = self.now.time - policy.max_age_secs * 1_000_000_000
        found = [] if series is None else sorted(fill.shortfall for fill in series.fills if fill.time >= oldest)
        if series is None or len(found) < policy.min_samples:
            return Learned(size, len(found), None, policy.fallback_bps * 100, None)
        shortfall = quantile(found, policy.confidence_bps)
        allowed = min(ceil_div(max(shortfall, 0) * MARGIN_BPS, BPS), CAP_BPS * 100)
        return Learned(size, len(found), shortfall, allowed, series.seq)

    def size(self, pool: str, mint_in: str, amount_in: int) -> Size:
        """The size of a trade."""
        row = self.pools.get(pool)
        reserve = None if row is None else row.reserve_base if mint_in == row.base_mint else row.reserve_quote
        if not reserve:
            return "unknown"
        if amount_in * 100 < reserve:
            return "small"
        return "medium" if amount_in * 20 < reserve else "large"

    def _asked(self, seq: int, plan: Plan) -> None:
        if not plan.expected_out:
            return
        size = self.size(plan.pool_address, plan.input_mint, plan.amount_in)
        key = _key(plan.pool_address, plan.input_mint, size)
        self.state.sent[str(seq)] = Sent(seq, key, plan.expected_out)
        forget_oldest(self.state.sent, MOST_OPEN)

    def _ended(self, seq: int, answer: ConfirmAnswer) -> None:
        if answer.status not in ("confirmed", "failed"):
            return
        sent = self.state.sent.pop(str(answer.ask), None)
        if sent is None or answer.status != "confirmed" or answer.fill_out is None:
            return
        shortfall = ceil_div((sent.expected - answer.fill_out.raw) * MILLION, sent.expected)
        series = self.state.series.setdefault(sent.key, Series(seq))
        series.seq = seq
        series.fills.append(Observation(self.now.time, shortfall))
        oldest = self.now.time - LONGEST_SECS * 1_000_000_000
        series.fills = [fill for fill in series.fills[-MOST_FILLS:] if fill.time >= oldest]
        forget_oldest(self.state.series, MOST_SERIES)


def quantile(ordered: list[int], confidence_bps: int) -> int:
    """The value at index trunc(confidence x (n - 1)) of an ascending list that is not empty.

    The source's formula: of 1..5 the 95th percentile is 4 (its own text says 5, which the formula does not give).
    """
    return ordered[floor_div(confidence_bps * (len(ordered) - 1), BPS)]


def _key(pool: Key, mint_in: Key, size: Size) -> str:
    return f"{pool} {mint_in} {size}"
