import pytest
from msgspec.structs import fields

from ironcrab.domain.market import ExplicitAmount, PoolStateUpdate, Trade
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent, Verdict
from ironcrab.domain.units import SOL_MINT
from ironcrab.loop import Loop, Now
from ironcrab.market.known import Known
from ironcrab.strategy.momentum import Momentum
from ironcrab.strategy.params import Entry, MomentumParams

NANOS = 1_000_000_000
SOL = NANOS
GATES = {field.name for field in fields(Entry)}
OFF = {
    "min_liquidity_lamports": 0,
    "min_token_age_secs": 0,
    "min_unique_buyers": 0,
    "min_trades_per_min_milli": 0,
    "min_buy_dominance_bps": 0,
    "small_buy_ratio_cap_bps": 10_000,
    "top1_buyer_share_cap_bps": 10_000,
    "top3_buyer_share_cap_bps": 10_000,
    "repeat_buyer_min_ratio_bps": 0,
    "min_sol_inflow_lamports": 0,
    "price_trend_filter_enabled": False,
}
"""All gates open: a test closes the one it is about."""


class World:
    """Market reducers and momentum in one loop; one slot is 0.4 s."""

    def __init__(self, **overrides):
        told = {**OFF, **overrides}
        flat = {}
        for name, value in told.items():
            prefixes = ("early_", "established_") if name in GATES else ("",)
            flat |= {prefix + name: value for prefix in prefixes}
        self.known = Known.fresh(Now())
        self.momentum = Momentum(MomentumParams(**flat), self.known)
        self.log = []
        self.loop = Loop((*self.known.reducers, self.momentum), self.log.append, self.known.now)
        self.wallets = 0

    @property
    def now(self):
        return self.known.now

    def take(self, event, time=None):
        """Fold one event; what was said in its turn, without the event itself."""
        slot = getattr(event, "slot", None)
        before = len(self.log)
        self.loop.take(event, (slot or 0) * 400_000_000 if time is None else time)
        return [record.event for record in self.log[before + 1 :]]

    def trade(self, slot, *, buy=True, sol=SOL, tokens=1_000_000, trader=None, pool="P", mint="M", **more):
        """One trade; each of another wallet if none is named."""
        if trader is None:
            self.wallets += 1
            trader = f"W{self.wallets}"
        quote = more.pop("quote_mint", SOL_MINT)
        dex = more.pop("dex", "raydium")
        return self.take(Trade(pool, mint, trader, buy, sol, tokens, 6, dex, quote_mint=quote, slot=slot, **more))

    def reserves(self, slot, base=10**15, quote=1000 * SOL, *, pool="P", mint="M", dex="raydium"):
        return self.take(PoolStateUpdate(pool, dex, base, quote, mint, SOL_MINT, slot, slot=slot))

    def row(self, pool="P"):
        return self.momentum.rows[pool]

    def position(self, mint="M"):
        return self.momentum.positions.get(mint)

    def intents(self):
        return [(record.seq, record.event) for record in self.log if isinstance(record.event, TradeIntent)]

    def verdicts(self, pool=None):
        said = [record.event for record in self.log if isinstance(record.event, Verdict)]
        return [(v.verdict, v.code) for v in said if pool in (None, v.pool_address)]

    def fill(self, out, *, slot, paid=None, decimals=6):
        """Confirm the newest intent at `out` raw units for all that went in."""
        seq, intent = self.intents()[-1]
        paid = intent.required_capital.raw if paid is None else paid
        buys = intent.side == "Buy"
        mint = intent.resources.output_mint if buys else intent.resources.input_mint
        return self.take(
            ExecutionResult(
                "momentum-bot",
                "confirmed",
                intent=seq,
                token_mint=mint,
                fill_in=ExplicitAmount(paid, 9 if buys else decimals),
                fill_out=ExplicitAmount(out, decimals if buys else 9),
                confirmed_slot=slot,
            ),
            slot * 400_000_000,
        )

    def refuse(self, outcome="Rejected"):
        seq, intent = self.intents()[-1]
        return self.take(DecisionRecord(intent.source, intent.origin_type, intent.regime, (), outcome, intent=seq))

    def tick(self, slot):
        from ironcrab.domain.market import SlotUpdate

        return self.take(SlotUpdate(slot, slot=slot))

    def held(self, slot=100, *, tokens=1_000_000, lamports=5_000_000, pool="P"):
        """A whole position bought in `slot`: probe filled, its scale-in struck."""
        self.reserves(slot - 1, pool=pool)
        self.trade(slot, pool=pool)
        self.fill(tokens, slot=slot, paid=lamports)
        assert self.position() is not None
        return self.position()


@pytest.fixture(scope="session")
def world():
    return World
