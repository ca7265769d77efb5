"""The shape of the price: does it trend down, and has it recovered from a dump?

Both gates remember what earlier evaluations saw, so their memory stands in the row's state. Tokens per SOL rise
when the price falls.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from ironcrab.domain.units import BPS
from ironcrab.market.flow import Tick, dearest
from ironcrab.market.price import UNKNOWN, Price, drawdown_bps, drawdown_reaches
from ironcrab.strategy.params import Entry, slots
from ironcrab.strategy.windows import Sums

Number = tuple[str, int, int | None]
"""A measure in the making: name, value, limit."""

Finding = tuple[str, tuple[Number, ...]]
"""A code and the numbers behind it; the empty code lets pass."""

PASS: Finding = ("", ())


class Memory(Struct, gc=False):
    """What the two gates remember of a pool; slots, None: nothing.

    Attributes:
        recovery_slot: since when the downtrend has been recovering.
        dump_slot: when the last dump was seen.
        calm_slot: since when the flow has been good after it.
    """

    recovery_slot: int | None = None
    dump_slot: int | None = None
    calm_slot: int | None = None


def price_trend(ticks: Sequence[Tick], head: int, best: Price, entry: Entry, memory: Memory) -> Finding:
    """WAIT_DOWNTREND or pass, from the ticks of the trend window in the order they arrived.

    A) the dearest price of each bucket: risen in tokens per SOL from the oldest bucket to the newest, along an
    unbroken chain. B) the last price far from `best`, the session's dearest, and the newer half's median above the
    older half's, unless a recovery has held long enough.
    """
    samples = [tick for tick in ticks if tick.quote and tick.base]
    if len(samples) < entry.price_trend_min_trades:
        memory.recovery_slot = None
        return PASS
    span = slots(entry.price_trend_window_secs)
    buckets = _buckets(samples, head, span, entry.price_trend_bucket_count)
    found = _lower_highs(buckets, entry)
    if found is not PASS:
        return found
    fall = _fall(samples, head - span // 2, best, entry)
    if fall is PASS:
        memory.recovery_slot = None
        return PASS
    held = _recovery(buckets, samples, head, entry, memory)
    wanted = slots(entry.price_trend_recovery_min_secs)
    if held is not None and held >= wanted:
        return PASS
    return fall[0], (*fall[1], ("recovery_slots", -1 if held is None else held, wanted))


def _buckets(samples: Sequence[Tick], head: int, span: int, count: int) -> list[list[Tick]]:
    """The samples by age, newest bucket first; what the division leaves over falls into the oldest."""
    width = max(1, span // count)
    buckets: list[list[Tick]] = [[] for _ in range(count)]
    for tick in samples:
        buckets[min((head - tick.slot) // width, count - 1)].append(tick)
    return buckets


def _lower_highs(buckets: list[list[Tick]], entry: Entry) -> Finding:
    bests = [dearest(UNKNOWN, bucket) for bucket in buckets]
    newest, oldest = bests[0], bests[-1]
    if not (newest.known and oldest.known) or not drawdown_reaches(newest, oldest, entry.price_trend_min_tps_rise_bps):
        return PASS
    # an empty bucket breaks the chain: an unknown price has no order
    breaks = len(bests) - 1 - _rising(bests)
    if breaks > entry.price_trend_lower_highs_max_breaks:
        return PASS
    return "WAIT_DOWNTREND", (
        ("rise_bps", drawdown_bps(newest, oldest), entry.price_trend_min_tps_rise_bps),
        ("breaks", breaks, entry.price_trend_lower_highs_max_breaks),
    )


def _fall(samples: Sequence[Tick], middle: int, best: Price, entry: Entry) -> Finding:
    """WAIT_DOWNTREND where the last price is far below the session's and the median fell; halves part at `middle`."""
    current = Price(samples[-1].base, samples[-1].quote)
    if not drawdown_reaches(current, best, entry.price_trend_max_drawdown_bps):
        return PASS
    newer = _median([tick for tick in samples if tick.slot >= middle])
    older = _median([tick for tick in samples if tick.slot < middle])
    if not (newer.known and older.known) or not drawdown_reaches(newer, older, entry.price_trend_min_tps_rise_bps):
        return PASS
    return "WAIT_DOWNTREND", (
        ("drawdown_bps", drawdown_bps(current, best), entry.price_trend_max_drawdown_bps),
        ("slope_bps", drawdown_bps(newer, older), entry.price_trend_min_tps_rise_bps),
    )


def _rising(prices: Sequence[Price]) -> int:
    """How many neighbours (newest first) rise strictly in tokens per SOL towards the newer one."""
    return sum(_below(older, newer) for newer, older in pairwise(prices))


def _below(one: Price, other: Price) -> bool:
    return one.known and other.known and one.base * other.quote < other.base * one.quote


def _median(ticks: Sequence[Tick]) -> Price:
    """The median of tokens per SOL, of an even count the mean of the two in the middle; exact.

    Two ratios of 64-bit amounts differ by more than 2**-128, so the scaled key orders them exactly.
    """
    if not ticks:
        return UNKNOWN
    ordered = sorted(ticks, key=_scaled)
    high = ordered[len(ordered) // 2]
    if len(ordered) % 2:
        return Price(high.base, high.quote)
    low = ordered[len(ordered) // 2 - 1]
    return Price(low.base * high.quote + high.base * low.quote, 2 * low.quote * high.quote)


def _scaled(tick: Tick) -> int:
    return (tick.base << 128) // tick.quote


def _recovery(
    buckets: list[list[Tick]], samples: Sequence[Tick], head: int, entry: Entry, memory: Memory
) -> int | None:
    """Slots that the recovery has held over all evaluations since it began; None: it does not hold."""
    flow = sum(tick.quote if tick.is_buy else -tick.quote for tick in samples)
    buys = sum(tick.is_buy for tick in samples)
    medians = [_median(bucket) for bucket in buckets]
    positive = min(entry.price_trend_recovery_min_positive_buckets, len(medians) - 1)
    holds = (
        flow >= entry.price_trend_recovery_min_inflow_lamports
        and buys * BPS >= entry.price_trend_recovery_min_buy_dominance_bps * len(samples)
        and all(_below(medians[k], medians[k + 1]) for k in range(positive))
        and not (entry.price_trend_recovery_requires_no_lower_highs and _rising(medians) == len(medians) - 1)
    )
    if not holds:
        memory.recovery_slot = None
        return None
    if memory.recovery_slot is None:
        memory.recovery_slot = head
    return head - memory.recovery_slot


def dump_recovery(sums: Sums, head: int, entry: Entry, memory: Memory) -> Finding:
    """WAIT_CONFIRMATION while a dump (more sold than bought in the window) is fresh, or pass.

    A remembered dump is not forgotten because the window runs empty: with too few trades to judge by it holds
    until it is older than the window.
    """
    span = slots(entry.dump_recovery_window_secs)
    if memory.dump_slot is not None and head - memory.dump_slot > span:
        memory.dump_slot = memory.calm_slot = None
    net = sums.bought - sums.sold
    flow = ("net_inflow_lamports", net, entry.dump_recovery_min_net_inflow_lamports)
    if sums.trades < max(entry.min_unique_buyers, 5):
        if memory.dump_slot is None:
            return PASS
        return "WAIT_CONFIRMATION", (("trades", sums.trades, max(entry.min_unique_buyers, 5)),)
    if net < 0:
        memory.dump_slot, memory.calm_slot = head, None
        return "WAIT_CONFIRMATION", (flow,)
    if memory.dump_slot is None:
        return PASS
    dominance = ("buy_dominance_bps", sums.buys * BPS // sums.trades, entry.dump_recovery_min_buy_dominance_bps)
    if (
        net < entry.dump_recovery_min_net_inflow_lamports
        or sums.buys * BPS < entry.dump_recovery_min_buy_dominance_bps * sums.trades
    ):
        memory.calm_slot = None
        return "WAIT_CONFIRMATION", (flow, dominance)
    if memory.calm_slot is None:
        memory.calm_slot = head
    wanted = slots(entry.dump_recovery_min_recovery_secs)
    if head - memory.calm_slot < wanted:
        return "WAIT_CONFIRMATION", (("recovery_slots", head - memory.calm_slot, wanted),)
    memory.dump_slot = memory.calm_slot = None
    return PASS
