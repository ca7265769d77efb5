"""The arithmetic of a Raydium CPMM swap: rates, reserves and transfer fees in, every amount out.

Source: program `raydium-cp-swap`, `curve/` and the two swap instructions; for generations see `raydium_cpmm`.
"""

from msgspec import Struct

from ironcrab.dex.curve import U64, U128, ceil_div, half_up_ceil
from ironcrab.dex.face import Exact, Refusal
from ironcrab.dex.mint import FeeSchedule

MILLION = 1_000_000


class Fill(Struct, frozen=True, gc=False):
    """Amounts of a swap in raw units.

    Attributes:
        paid: what leaves the user, transfer fee included.
        received: what reaches the user, transfer fee off.
        left: what leaves the output vault.
        net: the input that trades, without any fee.
        gross: the output that trades, before a creator fee on it.
        trade, protocol, fund, creator: fees; protocol and fund are parts of `trade`.
        fee_in, fee_out: transfer fees of the two mints.
    """

    paid: int
    received: int
    left: int
    net: int
    gross: int
    trade: int
    protocol: int
    fund: int
    creator: int
    fee_in: int
    fee_out: int


class Terms(Struct, frozen=True, gc=False):
    """What the arithmetic of a swap needs: reserves in its direction, rates, transfer fees, generation.

    Rates are per million; protocol and fund are shares of the trade fee. `creator_rate` is 0 where it is off.

    `barren` is why there are no reserves, which the program finds once it knows what arrives; `blocked` is why the
    token program would refuse the transfers at the end of the swap.
    """

    reserve_in: int
    reserve_out: int
    trade_rate: int
    protocol_rate: int
    fund_rate: int
    creator_rate: int
    creator_on_input: bool
    fee_in: FeeSchedule | None
    fee_out: FeeSchedule | None
    generation: str
    barren: Refusal | None = None
    blocked: Refusal | None = None

    def swap(self, amount: int, exact: Exact) -> Fill | Refusal:
        """Amounts of a swap of a u64 `amount`, or the refusal (2505, 6006, a panic without number).

        6010, which guards the inverse of a transfer fee, cannot happen: the fee of the least sufficient
        amount is always what was added.
        """
        return self._exact_in(amount) if exact == "in" else self._exact_out(amount)

    def _exact_in(self, amount: int) -> Fill | Refusal:
        fee_in = 0 if self.fee_in is None else self.fee_in.fee_on(amount)
        entered = amount - fee_in
        if entered == 0:
            return Refusal(2505, f"nothing of {amount} raw units arrives in the pool")
        if self.barren is not None:
            return self.barren
        trade = -(-entered * self.trade_rate // MILLION)
        creator = 0
        if self.creator_on_input and (self.creator_rate or not trade):
            fees = self._fees_on(entered)
            if fees is None:
                return Refusal(6006, "the fees cannot be split: both rates are 0")
            trade, creator = fees
        net = entered - trade - creator
        if net < 0:
            return Refusal(6006, "the fees exceed the amount")
        gross = left = self.reserve_out * net // (self.reserve_in + net)
        if self.creator_rate and not self.creator_on_input:
            creator = ceil_div(gross * self.creator_rate, MILLION)
            left = gross - creator
            if left < 0:
                return Refusal(6006, "the creator fee exceeds the output")
        fee_out = 0 if self.fee_out is None else self.fee_out.fee_on(left)
        if left == fee_out:
            return Refusal(2505, f"nothing of {left} raw units arrives at the user")
        protocol, fund = trade * self.protocol_rate // MILLION, trade * self.fund_rate // MILLION
        received = left - fee_out
        return Fill(amount, received, left, net, gross, trade, protocol, fund, creator, fee_in, fee_out)

    def _fees_on(self, entered: int) -> tuple[int, int] | None:
        """Trade and creator fee that an exact input pays in its own token; None where a split fails."""
        if self.generation == "joint":
            return self._split(ceil_div(entered * (self.trade_rate + self.creator_rate), MILLION))
        return ceil_div(entered * self.trade_rate, MILLION), ceil_div(entered * self.creator_rate, MILLION)

    def _split(self, total: int) -> tuple[int, int] | None:
        """Trade and creator part of a fee taken together."""
        rate = self.trade_rate + self.creator_rate
        if rate == 0:
            return None
        creator = total * self.creator_rate // rate
        return total - creator, creator

    def _exact_out(self, amount: int) -> Fill | Refusal:
        gross = left = amount if self.fee_out is None else self.fee_out.before_fee(amount)
        if left > U64:
            return Refusal(None, "the program panics: the output before its transfer fee exceeds a u64")
        if self.barren is not None:
            return self.barren
        if not self.creator_on_input and self.creator_rate:
            if self.creator_rate >= MILLION:
                return Refusal(6006, "the creator fee is the whole output")
            gross = ceil_div(left * MILLION, MILLION - self.creator_rate)
        if gross >= self.reserve_out:
            return Refusal(None, f"the program panics: {gross} wanted of {self.reserve_out} raw units")
        net = -(-self.reserve_in * gross // (self.reserve_out - gross))
        if net == 1 and self.generation == "legacy":
            net = half_up_ceil(self.reserve_in * gross, self.reserve_out - gross)
        rate = self.trade_rate + (self.creator_rate if self.creator_on_input else 0)
        if rate >= MILLION or (rate and net * MILLION + MILLION - rate > U128):
            return Refusal(None, "the program panics: the fee is the whole amount, or a u128 overflows")
        entered = -(-net * MILLION // (MILLION - rate))
        trade, creator = entered - net, gross - left
        if self.creator_on_input and (self.creator_rate or not rate):
            fees = self._split(trade)
            if fees is None:
                return Refusal(6006, "the fees cannot be split: both rates are 0")
            trade, creator = fees
        protocol, fund = trade * self.protocol_rate, trade * self.fund_rate
        if protocol > U128 or fund > U128:
            return Refusal(6006, "the share of a fee overflows")
        if entered == 0:
            return Refusal(2505, f"{amount} raw units cost nothing")
        paid = entered if self.fee_in is None else self.fee_in.before_fee(entered)
        if paid > U64:
            return Refusal(None, "the program panics: the amount in exceeds a u64")
        fee_in = 0 if self.fee_in is None else self.fee_in.fee_on(paid)
        fee_out = 0 if self.fee_out is None else self.fee_out.fee_on(left)
        shares = protocol // MILLION, fund // MILLION
        return Fill(paid, left - fee_out, left, net, gross, trade, *shares, creator, fee_in, fee_out)
