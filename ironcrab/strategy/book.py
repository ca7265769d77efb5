"""The book of what was wished and what came of it: intents, entries, positions. Only confirmed fills move it."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ironcrab.domain.market import WalletBalanceSnapshot
from ironcrab.domain.trade import DecisionRecord, ExecutionResult, TradeIntent
from ironcrab.domain.units import Bps, Key, Word
from ironcrab.loop import Now
from ironcrab.market.price import Price
from ironcrab.strategy.intents import SOURCE
from ironcrab.strategy.params import Shared
from ironcrab.strategy.rows import NANOS, Entering, Failure, MomentumState, Position, Wish
from ironcrab.strategy.shape import Number

MOST_WISHES = 1_024
"""Intents whose answers are awaited or remembered at most; the oldest go first."""

ENDED = {"Rejected": "REFUSED", "Expired": "EXPIRED", "SimFailed": "SIM_FAILED", "FailedConfirmed": "FAILED"}
"""How an attempt ended badly, by the decision's outcome. Sent and Confirmed wait for the result."""
OF_THE_POOL = ("SIM_FAILED", "FAILED", "TIMEOUT")
"""Ends that count against the pool; a refusal or an expiry is none of its doing."""
SLIPPED = re.compile(r"(?<![0-9=])(6002|0x1772)(?![0-9a-f])")
"""In the text of an error, no amount: the output fell below the least one (facts 3.4: TooLittleSolReceived)."""
CURVE_COMPLETE = re.compile(r"(?<![0-9=])(6005|0x1775)(?![0-9a-f])")
"""In the text of an error, no amount: the curve is sold out (A.8)."""
ESCALATION_BPS = (0, 500, 800, 1_500)
"""The least slippage allowed after so many sells that failed by slippage."""


class Answer(NamedTuple):
    """What became of a mint: the verdict that follows, to be said of this pool."""

    mint: Key
    pool: Key
    verdict: Word
    code: Word
    numbers: tuple[Number, ...] = ()


class Book:
    """Keeps positions, entries and wishes of a MomentumState."""

    def __init__(self, now: Now, shared: Shared, state: MomentumState) -> None:
        self.now = now
        self.shared = shared
        self.state = state
        self.probe = (shared.position_lamports * shared.probe_buy_bps * 2 + 10_000) // 20_000
        self.scale_in = shared.position_lamports - self.probe
        self.fail_window = shared.exit_route_fail_window_secs * NANOS

    def intended(self, seq: int, intent: TradeIntent) -> None:
        """An intent became a record: if it is the one we said, its seq is what answers will name."""
        if intent.source != SOURCE:
            return
        state = self.state
        bought = state.entering.get(intent.resources.output_mint)
        sold = state.positions.get(intent.resources.input_mint)
        if intent.side == "Buy" and bought is not None and bought.intent is None:
            bought.intent = seq
            wish = Wish(intent.resources.output_mint, bought.pool, bought.kind, bought.lamports)
        elif intent.side == "Sell" and sold is not None and sold.exit_time and sold.exit_intent is None:
            sold.exit_intent = seq
            pool = next(iter(intent.resources.pools), sold.pool)
            wish = Wish(intent.resources.input_mint, pool, "exit", intent.required_capital.raw)
        else:
            return
        state.wishes[seq] = wish
        while len(state.wishes) > MOST_WISHES:
            del state.wishes[next(iter(state.wishes))]

    def decided(self, decision: DecisionRecord) -> Answer | None:
        """An attempt was decided; a bad end frees what was pending."""
        ended = ENDED.get(decision.outcome)
        if ended is None or decision.intent is None:
            return None
        # the decision on a transaction that failed comes before its result: the row that failed tells the error
        told = [row.details for row in decision.checks if not row.passed]
        return self._failed(decision.intent, ended, f"{decision.primary_reject_reason} {told}")

    def executed(self, result: ExecutionResult) -> Answer | None:
        """The chain answered."""
        status = result.status.lower()
        if result.intent is None or status not in {"confirmed", "failed", "timeout"}:
            return None
        if status != "confirmed":
            error = f"{result.error_code} {result.error_message}"
            return self._failed(result.intent, "FAILED" if status == "failed" else "TIMEOUT", error)
        wish = self.state.wishes.get(result.intent) or self._foreign(result)
        if wish is None or wish.done:
            return None
        self.state.wishes[result.intent] = Wish(wish.mint, wish.pool, wish.kind, wish.amount, done=True)
        if wish.kind == "exit":
            return self._sold(result.intent, wish, result)
        return self._bought(result.intent, wish, result)

    def _foreign(self, result: ExecutionResult) -> Wish | None:
        """A fill of an intent that is not pending here: our own from before, or someone who sold what we hold."""
        mint, told = result.token_mint, result.metadata
        if mint is None:
            return None
        position = self.state.positions.get(mint)
        side = told.get("side", "").upper()
        if side == "SELL" and position is not None:
            return Wish(mint, position.pool, "exit", position.held)
        pool = position.pool if position is not None else told.get("pool_address")
        if side == "BUY" and result.source == SOURCE and pool is not None:
            return Wish(mint, pool, told.get("entry_kind", "probe"), 0)
        return None

    def _bought(self, intent: int, wish: Wish, result: ExecutionResult) -> Answer | None:
        """A confirmed buy. Without its fill there is no position: nothing is taken from placeholders."""
        out = result.fill_out
        if out is None or not out.raw:
            return self._failed(intent, "FILL_UNKNOWN", "")
        lamports = result.fill_in.raw if result.fill_in is not None else abs(result.wallet_sol_delta_lamports or 0)
        fill = Price(out.raw, lamports or wish.amount)
        entering = self.state.entering.get(wish.mint)
        if entering is not None and entering.intent == intent:
            del self.state.entering[wish.mint]
        slot = self.now.slot if result.confirmed_slot is None else result.confirmed_slot
        position = self.state.positions.get(wish.mint)
        if position is None:
            full = wish.kind != "probe" or not self.scale_in
            position = Position(
                wish.mint, wish.pool, out.decimals, out.raw, fill, self.now.time, slot, full, fill, fill
            )
            self.state.positions[wish.mint] = position
        else:
            _blend(position, fill, slot)
            position.full = position.full or wish.kind != "probe"
        held = (("held_raw", position.held, None), ("paid_lamports", position.paid.quote, None))
        return Answer(wish.mint, position.pool, "hold", "HOLD_FULL" if position.full else "HOLD_PROBE", held)

    def _sold(self, intent: int, wish: Wish, result: ExecutionResult) -> Answer | None:
        """A confirmed sell: what it sold is gone; the rest stays open and may be sold again at once."""
        position = self.state.positions.get(wish.mint)
        if position is None:
            return None
        sold = result.fill_in.raw if result.fill_in is not None else wish.amount
        if position.exit_intent in (intent, None):
            position.exit_time, position.exit_intent = 0, None
        position.retry_time = position.fails = position.slipped = 0
        position.failed = {}
        position.held -= min(sold, position.held)
        if position.held:
            return Answer(wish.mint, position.pool, "hold", "HOLD_REST", (("held_raw", position.held, None),))
        return self.closed(position)

    def closed(self, position: Position) -> Answer:
        """The position is gone; the mint rests before it may be bought again."""
        del self.state.positions[position.mint]
        rest = ("cooldown_secs", self.shared.reentry_cooldown_secs, None)
        return Answer(position.mint, position.pool, "wait", "WAIT_REENTRY_COOLDOWN", (rest,))

    def snapshot(self, event: WalletBalanceSnapshot) -> Answer | None:
        """The wallet is a hint: it never resizes a position; a zero newer than the entry closes it."""
        position = self.state.positions.get(event.mint)
        if position is None or event.balance_raw or event.slot is None or event.slot <= position.slot:
            return None
        return self.closed(position)

    def overdue(self) -> Iterator[Answer]:
        """Give up what has waited too long for an answer; a fill that comes later is still taken."""
        oldest = self.now.time - self.shared.pending_timeout_secs * NANOS
        for mint, entering in tuple(self.state.entering.items()):
            if entering.time < oldest:
                yield self._entry_failed(mint, entering, "TIMEOUT")
        for position in self.state.positions.values():
            if position.exit_time and position.exit_time < oldest:
                yield self._exit_failed(position, "TIMEOUT", "")

    def _failed(self, intent: int, ended: str, error: str) -> Answer | None:
        """The intent came to nothing, with this error; None where nothing of it is pending any more."""
        wish = self.state.wishes.get(intent)
        if wish is None:
            return None
        if wish.kind == "exit":
            position = self.state.positions.get(wish.mint)
            if position is None or position.exit_intent != intent:
                return None
            return self._exit_failed(position, ended, error)
        entering = self.state.entering.get(wish.mint)
        if entering is None or entering.intent != intent:
            return None
        return self._entry_failed(wish.mint, entering, ended)

    def _entry_failed(self, mint: str, entering: Entering, ended: str) -> Answer:
        del self.state.entering[mint]
        position = self.state.positions.get(mint)
        numbers = (("lamports", entering.lamports, None),)
        if position is None:
            return Answer(mint, entering.pool, "reject", f"REJECT_ENTRY_{ended}", numbers)
        position.full = True
        return Answer(mint, position.pool, "hold", f"HOLD_SCALE_IN_{ended}", numbers)

    def _exit_failed(self, position: Position, ended: str, error: str) -> Answer:
        pause = self.shared.exit_retry_cooldown_secs << min(position.fails, 3)
        wish = None if position.exit_intent is None else self.state.wishes.get(position.exit_intent)
        if ended in OF_THE_POOL:
            self._blame(position, position.pool if wish is None else wish.pool, error)
        position.exit_time, position.exit_intent = 0, None
        position.retry_time = self.now.time + pause * NANOS
        position.fails += 1
        numbers = (("fails", position.fails, None), ("cooldown_secs", pause, None))
        return Answer(position.mint, position.pool, "hold", f"HOLD_EXIT_{ended}", numbers)

    def _blame(self, position: Position, pool: Key, error: str) -> None:
        """Remember on which pool a sell failed, and what its error says; failures long ago begin anew."""
        before = position.failed.pop(pool, None)
        is_fresh = before is not None and self.now.time - before.time <= self.fail_window
        count = before.count + 1 if before is not None and is_fresh else 1
        position.failed[pool] = Failure(count, self.now.time)
        position.slipped += SLIPPED.search(error) is not None
        position.migrated = position.migrated or CURVE_COMPLETE.search(error) is not None

    def exit_slippage(self, position: Position) -> Bps:
        """Slippage that a sell allows now."""
        asked = self.shared.exit_max_slippage_bps
        if not self.shared.exit_slippage_escalates:
            return asked
        return max(asked, ESCALATION_BPS[min(position.slipped, len(ESCALATION_BPS) - 1)])


def _blend(position: Position, fill: Price, slot: int) -> None:
    """Add a fill: the entry is all tokens over all SOL; marks and trailing begin anew at the fill.

    A sell that is pending goes on: what it does not sell is left when it ends.
    """
    position.held += fill.base
    position.paid = Price(position.paid.base + fill.base, position.paid.quote + fill.quote)
    position.slot = max(position.slot, slot)
    position.mark = position.best = fill
    position.mark_slot = position.mark_index = position.mark_position = 0
    position.trailing = False
