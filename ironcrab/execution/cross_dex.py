"""CrossDexHandler: quotes a path from SOL to SOL leg by leg at the moment of the decision.

It trusts nothing the strategy computed. Each leg is to give at least its quote less the slippage allowed on a leg, and
the next leg takes exactly that: so what is judged is what is guaranteed, and what a leg gives beyond remains in the
wallet as the traded token. The last leg must give back what went in, all costs and the profit that is required.
"""

from msgspec import Struct

from ironcrab.domain.ask import PlanHop
from ironcrab.domain.trade import Read, SwapHop, TradeIntent
from ironcrab.domain.units import BPS, SOL_MINT, Bps, Key, Lamports, SignedBps, ceil_div, floor_div
from ironcrab.execution.fees import Fees
from ironcrab.execution.params import EngineParams
from ironcrab.execution.plan import DEXES, least_out
from ironcrab.execution.refusal import Refusal
from ironcrab.market.known import Known
from ironcrab.market.quotes import NoQuote, PoolQuote

ARB_SOURCE = "arb-strategy"
"""The source whose intents are judged as arbitrage."""


class Round(Struct, frozen=True, gc=False):
    """A path that was quoted and still earns what it must.

    Attributes:
        hops: its legs; the last one's `min_out` is the least output of the whole.
        amount_out: lamports that the last leg is quoted to give.
        cost_lamports: network fee and tip.
        must_earn_lamports: what must be left after input and costs.
        inexact: a pool whose leg was not quoted by its program on known accounts; None: all were.
    """

    hops: tuple[PlanHop, ...]
    amount_out: Lamports
    cost_lamports: Lamports
    must_earn_lamports: Lamports
    inexact: Key | None

    @property
    def spread_bps(self) -> SignedBps:
        """Output less input, before costs, in bps of the input, toward zero."""
        gross = self.amount_out - self.hops[0].amount_in
        spread = abs(gross) * BPS // self.hops[0].amount_in
        return spread if gross >= 0 else -spread

    @property
    def profit_lamports(self) -> int:
        """Output less input and costs."""
        return self.amount_out - self.hops[0].amount_in - self.cost_lamports

    @property
    def text(self) -> str:
        """The numbers of its row."""
        return (
            f"spread={self.spread_bps}bps profit={self.profit_lamports}lamports tx_cost={self.cost_lamports}lamports "
            f"required={self.must_earn_lamports}lamports min_out={self.hops[-1].min_out}"
        )


class CrossDexHandler:
    """See the module. Args: the settings in force, what is known."""

    def __init__(self, params: EngineParams, known: Known) -> None:
        self.params = params
        self.known = known

    def judge(self, intent: TradeIntent, fees: Fees, reads: list[Read]) -> Round | Refusal:
        """The path as it would trade now, or why not: an ARB_* code; appends what it read to `reads`."""
        path = path_of(intent)
        fault = self._fault(intent, path)
        if fault is not None:
            return Refusal("ARB_VALIDATION_ERROR", fault)
        told = least_out(intent)
        if isinstance(told, Refusal):
            return Refusal("ARB_VALIDATION_ERROR", told.details)
        hops = self._quoted(intent, path, reads)
        if isinstance(hops, Refusal):
            return hops
        legs, quotes = hops
        amount_out = quotes[-1].amount_out
        inexact = next((quote.pool_address for quote in quotes if quote.kind != "exact"), None)
        cost = fees.network_lamports + fees.tip_lamports
        must_earn = self._must_earn(intent.required_capital.raw)
        least = max(told, intent.required_capital.raw + cost + must_earn)
        last = legs[-1]
        legs[-1] = PlanHop(last.dex, last.pool_address, last.input_mint, last.output_mint, last.amount_in, least)
        found = Round(tuple(legs), amount_out, cost, must_earn, inexact)
        if found.spread_bps < self.params.cross_dex_min_spread_bps or amount_out < least:
            return Refusal("ARB_SPREAD_INSUFFICIENT", found.text)
        return found

    def _must_earn(self, amount_in: Lamports) -> Lamports:
        """Profit after costs that is required: the larger of a share of the input and a fixed amount, at least 1."""
        share = ceil_div(amount_in * max(self.params.min_profit_after_fees_bps, 0), BPS)
        return max(share, self.params.cross_dex_min_profit_lamports, 1)

    def _fault(self, intent: TradeIntent, path: tuple[SwapHop, ...]) -> str | None:
        """What is wrong with the path itself."""
        if len(path) < 2 or len(path) > self.params.cross_dex_max_hops:
            return f"hops={len(path)}, 2..{self.params.cross_dex_max_hops} are built"
        if intent.side != "Buy" or intent.required_capital.raw <= 0:
            return f"{intent.side} of {intent.required_capital.raw}: a round trip buys with SOL"
        pools = tuple(hop.pool_address for hop in path)
        if pools != intent.resources.pools or len(dict.fromkeys(pools)) != len(pools):
            return "resources.pools are not the path's pools, each once"
        mint = SOL_MINT
        for hop in path:
            row = self.known.pools.get(hop.pool_address)
            if row is None:
                return f"pool {hop.pool_address} is unknown"
            if row.dex != hop.dex or hop.dex not in DEXES:
                return f"dex={hop.dex} but pool {hop.pool_address} is of {row.dex}"
            pair = (hop.input_mint, hop.output_mint)
            if hop.input_mint != mint or pair not in (
                (row.base_mint, row.quote_mint),
                (row.quote_mint, row.base_mint),
            ):
                return f"hop {hop.input_mint} to {hop.output_mint} does not follow {mint} on {hop.pool_address}"
            mint = hop.output_mint
        return None if mint == SOL_MINT else f"the path ends in {mint}, not in SOL"

    def _quoted(
        self, intent: TradeIntent, path: tuple[SwapHop, ...], reads: list[Read]
    ) -> tuple[list[PlanHop], list[PoolQuote]] | Refusal:
        """The legs with their guaranteed amounts, and their quotes."""
        slip: Bps = min(self.params.cross_dex_leg_slippage_bps, intent.max_slippage_bps)
        amount = intent.required_capital.raw
        legs: list[PlanHop] = []
        quotes: list[PoolQuote] = []
        for hop in path:
            quote = self.known.quotes.quote(hop.pool_address, hop.input_mint, amount)
            if isinstance(quote, NoQuote):
                return Refusal("ARB_QUOTE_UNAVAILABLE", f"pool={hop.pool_address} reason={quote.reason}")
            reads.append(Read("quote", hop.pool_address, quote.seq))
            if quote.kind == "last_trade" and not self.params.cross_dex_last_trade_quotes:
                return Refusal("ARB_QUOTE_UNAVAILABLE", f"pool={hop.pool_address} reason=LAST_TRADE_ONLY")
            quotes.append(quote)
            least = floor_div(quote.amount_out * (BPS - slip), BPS)
            if least <= 0:
                return Refusal("ARB_QUOTE_UNAVAILABLE", f"pool={hop.pool_address} reason=ZERO_OUT")
            legs.append(PlanHop(hop.dex, hop.pool_address, hop.input_mint, hop.output_mint, amount, least))
            amount = least
        return legs, quotes


def is_cross_dex(intent: TradeIntent) -> bool:
    """Whether the intent is a path: several hops, or the original's two pools without a path."""
    return len(intent.swap_path) > 1 or (intent.source == ARB_SOURCE and len(intent.resources.pools) == 2)


def path_of(intent: TradeIntent) -> tuple[SwapHop, ...]:
    """The intent's path; of the original's two pools: buy the output token on the first, sell it on the second."""
    if intent.swap_path:
        return intent.swap_path
    token, told = intent.resources.output_mint, intent.metadata
    names = (told.get("buy_dex", ""), told.get("sell_dex", ""))
    pools = intent.resources.pools
    if len(pools) != 2:
        return ()
    return (
        SwapHop(pools[0], names[0], SOL_MINT, token, 0),
        SwapHop(pools[1], names[1], token, SOL_MINT, 0),
    )
