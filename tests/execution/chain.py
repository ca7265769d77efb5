"""A true wallet for the engine to be held against: what landed, when, and what a snapshot of any slot would show."""

from collections import Counter

from ironcrab.domain.ask import ConfirmAnswer
from ironcrab.domain.market import ExplicitAmount
from ironcrab.domain.trade import ResultFees
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT

FEE = 5_200
RENT = 1_488_440


class Truth:
    """Balances by asset as the chain knows them; a slot that a snapshot was taken of is over."""

    def __init__(self, **balances):
        self.history = [(-1, dict(balances))]
        self.slot = 10
        self.landed = {}
        self.wrapped = balances.get(SOL_MINT, 0) > 0

    def at(self, slot):
        """All balances at the end of a slot."""
        total = Counter()
        for when, change in self.history:
            if when <= slot:
                total.update(change)
        return total

    @property
    def now(self):
        return self.at(self.slot)

    def land(self, ask, plan, bucket, share, fails=False):
        """Execute what was sent, in this slot; how it ended, or None: it cannot be paid for, so it never lands."""
        now = self.now
        if ask in self.landed or now[NATIVE_SOL] < FEE:
            return self.landed.get(ask)
        given, got, asset_out = self.flows(plan, bucket, share, now)
        asset_in = bucket if plan.input_mint == SOL_MINT else plan.input_mint
        change = Counter({NATIVE_SOL: -FEE})
        cannot = fails or given is None or now[asset_in] - given - (FEE if asset_in == NATIVE_SOL else 0) < 0
        if not cannot:
            change[asset_in] -= given
            change[asset_out] += got
        self.history.append((self.slot, dict(change)))
        sol = change[NATIVE_SOL] + change[SOL_MINT]
        fills = (None, None) if cannot else (ExplicitAmount(given, 9), ExplicitAmount(got, 9))
        self.landed[ask] = ConfirmAnswer(
            ask, "failed" if cannot else "confirmed", self.slot, None, *fills, fees=ResultFees(FEE, 0, 1),
            wallet_sol_delta_lamports=sol, error_code="Custom(1)" if cannot else None,
        )  # fmt: skip
        return self.landed[ask]

    def flows(self, plan, bucket, share, now):
        """What goes in and out, and which asset comes out."""
        if plan.dex != "wallet":
            out = bucket if plan.output_mint == SOL_MINT else plan.output_mint
            return plan.amount_in, max(plan.min_out, 300 * share + 1), out
        if plan.input_mint == NATIVE_SOL:
            rent = 0 if self.wrapped else RENT
            self.wrapped = True
            return plan.amount_in + rent, plan.amount_in, SOL_MINT
        if plan.input_mint == SOL_MINT:
            return plan.amount_in, plan.amount_in, NATIVE_SOL
        given = plan.amount_in if now[plan.input_mint] == plan.amount_in else None
        return given, plan.min_out, NATIVE_SOL
