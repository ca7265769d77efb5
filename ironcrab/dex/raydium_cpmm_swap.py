"""The arithmetic of a Raydium CPMM swap: rates, reserves and transfer fees in, every amount out.

Source: program `raydium-cp-swap`, `curve/` and the two swap instructions; for generations see `raydium_cpmm`.
"""

from msgspec import Struct

from ironcrab.dex.curve import BPS, U64, U128, ceil_div, half_up_ceil, out_for
from ironcrab.dex.face import Exact, Refusal
from ironcrab.dex.mint import FeeSchedule

MILLION = 1_000_000


class Config(Struct, frozen=True, gc=False):
    """A decoded fee configuration. Rates per million; protocol and fund are shares of the trade fee."""

    index: int
    trade_rate: int
    protocol_rate: int
    fund_rate: int
    creator_rate: int


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

    `blocked` is why the token program would refuse the transfers at the end of the swap.
    """

    reserve_in: int
    reserve_out: int
    config: Config
    creator_rate: int
    creator_on_input: bool
    fee_in: FeeSchedule | None
    fee_out: FeeSchedule | None
    generation: str
    blocked: Refusal | None = None

    def swap(self, amount: int, exact: Exact) -> Fill | Refusal:
        """Amounts of a swap of a u64 `amount`, or the refusal (2505, 6006, 6010, a panic without number)."""
        return self._exact_in(amount) if exact == "in" else self._exact_out(amount)

    def _exact_in(self, amount: int) -> Fill | Refusal:
        fee_in = self.fee_in.fee_on(amount) if self.fee_in else 0
        entered = amount - fee_in
        if entered == 0:
            return Refusal(2505, f"nothing of {amount} raw units arrives in the pool")
        fees = self._fees_on(entered)
        if fees is None or sum(fees) > entered:
            return Refusal(6006, "the fees cannot be split, or exceed the amount")
        trade, creator = fees
        net = entered - trade - creator
        gross = out_for(net, self.reserve_in, self.reserve_out)
        left = gross
        if not self.creator_on_input:
            creator = ceil_div(gross * self.creator_rate, MILLION)
            left = gross - creator
        if left < 0:
            return Refusal(6006, "the creator fee exceeds the output")
        fee_out = self.fee_out.fee_on(left) if self.fee_out else 0
        if left == fee_out:
            return Refusal(2505, f"nothing of {left} raw units arrives at the user")
        return Fill(
            amount, left - fee_out, left, net, gross, trade, *self._shares(trade), creator, fee_in, fee_out
        )

    def _fees_on(self, entered: int) -> tuple[int, int] | None:
        """Trade and creator fee of an exact input in its own token; None where a split divides by 0."""
        config = self.config
        if not self.creator_on_input:
            return ceil_div(entered * config.trade_rate, MILLION), 0
        if self.generation != "joint":
            trade = ceil_div(entered * config.trade_rate, MILLION)
            return trade, ceil_div(entered * self.creator_rate, MILLION)
        return self._split(ceil_div(entered * (config.trade_rate + self.creator_rate), MILLION))

    def _split(self, total: int) -> tuple[int, int] | None:
        """Trade and creator part of a fee taken together."""
        rate = self.config.trade_rate + self.creator_rate
        if rate == 0:
            return None
        creator = total * self.creator_rate // rate
        return total - creator, creator

    def _shares(self, trade: int) -> tuple[int, int]:
        """Protocol and fund part of a trade fee."""
        return trade * self.config.protocol_rate // MILLION, trade * self.config.fund_rate // MILLION

    def _exact_out(self, amount: int) -> Fill | Refusal:
        left = self._before_fee(self.fee_out, amount)
        if isinstance(left, Refusal):
            return left
        gross = left
        if not self.creator_on_input and self.creator_rate:
            if self.creator_rate >= MILLION:
                return Refusal(6006, "the creator fee is the whole output")
            gross = ceil_div(left * MILLION, MILLION - self.creator_rate)
        if gross >= self.reserve_out:
            return Refusal(None, f"the program panics: {gross} wanted of {self.reserve_out} raw units")
        ceil = half_up_ceil if self.generation == "legacy" else ceil_div
        net = ceil(self.reserve_in * gross, self.reserve_out - gross)
        rate = self.config.trade_rate + (self.creator_rate if self.creator_on_input else 0)
        if rate >= MILLION or net * MILLION + MILLION - rate > U128:
            return Refusal(None, "the program panics: the fee is the whole amount, or a u128 overflows")
        entered = ceil_div(net * MILLION, MILLION - rate)
        fees = self._split(entered - net) if self.creator_on_input else (entered - net, gross - left)
        if fees is None:
            return Refusal(6006, "the fees cannot be split: both rates are 0")
        trade, creator = fees
        if trade * max(self.config.protocol_rate, self.config.fund_rate) > U128:
            return Refusal(6006, "the share of a fee overflows")
        if entered == 0:
            return Refusal(2505, f"{amount} raw units cost nothing")
        if entered > U64:
            return Refusal(None, "the program panics: the amount in exceeds a u64")
        paid = self._before_fee(self.fee_in, entered)
        if isinstance(paid, Refusal):
            return paid
        fee_in = self.fee_in.fee_on(paid) if self.fee_in else 0
        fee_out = self.fee_out.fee_on(left) if self.fee_out else 0
        return Fill(
            paid, left - fee_out, left, net, gross, trade, *self._shares(trade), creator, fee_in, fee_out
        )

    def _before_fee(self, fee: FeeSchedule | None, net: int) -> int | Refusal:
        """What must be sent so that `net` arrives, as this program reckons it with Token-2022's inverse.

        Since June 2025 it refuses (6010) where the fee of the sum is another one than the fee added.
        """
        if fee is None:
            return net
        added = fee.maximum if fee.bps == BPS else fee.fee_on(fee.before_fee(net))
        sent = net + added
        if max(sent, fee.before_fee(net)) > U64:
            return Refusal(None, "the program panics: the amount before its transfer fee exceeds a u64")
        if self.generation != "legacy" and fee.bps != BPS and fee.fee_on(sent) != added:
            return Refusal(6010, f"the transfer fee of {sent} is not the {added} added")
        return sent
