"""Fidelity: each recorded swap through the fill model, compared with what really happened.

The pool stands as it did before the swap's transaction, and within it as the swaps before left it. A `Trade` tells
what entered and left the pool's reserves and not how the amount was fixed, so that the model is asked both ways
(exact in, exact out) on the `exact` basis; equal means both amounts to the last unit. The error is what the model
pays above (or below) the recorded amount, in millionths of it.

Where binaries are given, each exactly quoted swap is also executed by the real program on the same accounts, and what
it pays is held against the quote.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from ironcrab.dex import Account, Quote, Refusal
from ironcrab.dex.address import TOKEN_PROGRAMS
from ironcrab.dex.face import Clock, Exact
from ironcrab.dex.mint import amount_of as held_in
from ironcrab.domain.market import DexPoolAccounts, LatestBlockhash, PoolStateUpdate, Trade
from ironcrab.domain.units import floor_div
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
from ironcrab.market.accounts import SLOTS_PER_EPOCH
from ironcrab.mode.fills import Fills, NoFill, Shown
from ironcrab.shell.programs import NotRun, Programs

MILLION = 1_000_000
OUTSIDE = {
    "pumpfun": ("transfer", "protocol", "creator", "cashback"),
    "pump_amm": ("transfer", "protocol", "creator", "cashback"),
}
"""Fees that a trader pays beside what enters the pool's reserves (or gets less than what leaves them), by venue."""
QUANTILES = (("min", 0), ("p05", 5), ("p50", 50), ("p95", 95), ("max", 100))


class Errors(Struct):
    """Errors of one venue on one basis: how many swaps, how many equal, and how often which error (millionths)."""

    swaps: int = 0
    equal: int = 0
    ppm: dict[int, int] = field(default_factory=dict)

    def within(self, ppm: int) -> int:
        """Swaps whose error is at most this, either way."""
        return sum(count for error, count in self.ppm.items() if abs(error) <= ppm)

    def quantiles(self) -> dict[str, int]:
        """Lowest, 5 %, median, 95 % and highest error, millionths."""
        ordered, found = sorted(self.ppm.items()), {}
        for name, percent in QUANTILES:
            rank, passed = max(1, -(-self.swaps * percent // 100)), 0
            for error, count in ordered:
                passed += count
                if passed >= rank:
                    found[name] = error
                    break
        return found


class Executed(Struct):
    """Of one venue: swaps that the real program paid, those it paid as quoted, and the first that it did not.

    As quoted: the trader's two amounts, and those of the pool's token accounts, to the last unit.
    """

    swaps: int = 0
    equal: int = 0
    first: str = ""


class Fidelity(Struct):
    """Errors by (venue, basis), and swaps that could not be judged by (venue, why).

    `executed` tells what the real programs did by venue, `unrun` which swaps they did not pay by (venue, why).
    """

    errors: dict[tuple[str, str], Errors] = field(default_factory=dict)
    unjudged: dict[tuple[str, str], int] = field(default_factory=dict)
    executed: dict[str, Executed] = field(default_factory=dict)
    unrun: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def swaps(self) -> int:
        """All recorded swaps."""
        return sum(row.swaps for row in self.errors.values()) + sum(self.unjudged.values())


def fidelity(
    recordings: Iterable[Recording],
    behind: int = 0,
    progress: Callable[[int], None] | None = None,
    programs: Programs | None = None,
) -> Fidelity:
    """Judge every Trade of the recordings.

    Args:
        recordings: each judged on its own, from nothing known.
        behind: slots by which the state that the model sees lies behind; 0: right before the swap.
        progress: told the records so far.
        programs: real programs that execute what is quoted; None: none are at hand.
    """
    found = Fidelity()
    seen = 0
    for recording in recordings:
        judging = Judging(found, behind, _block_times(recording), programs)
        for record in recording.records():
            if record.cause is None:
                judging.see(record)
            seen += 1
            if progress is not None:
                progress(seen)
        judging.close()
    return found


def _block_times(recording: Recording) -> dict[int, int]:
    """Unix seconds by slot: a program reads its own slot's time, which is told after the slot's transactions."""
    told: dict[int, int] = {}
    for record in recording.records(types=(LatestBlockhash,)):
        event = record.event
        if isinstance(event, LatestBlockhash) and event.slot is not None and event.block_time is not None:
            told[event.slot] = event.block_time
    return told


class Judging:
    """Judges the swaps of one recording, transaction by transaction. Shown world records only."""

    def __init__(
        self, found: Fidelity, behind: int, times: Mapping[int, int], programs: Programs | None = None
    ) -> None:
        self.found = found
        self.programs = programs
        self.behind = behind
        self.times = times
        self.fills = Fills("none")
        self.group: list[Record] = []
        self.waiting: deque[tuple[int, Record]] = deque()
        self.slot = 0

    def see(self, record: Record) -> None:
        """Take one record; the swaps of a transaction are judged once its last record was seen."""
        if self.group and not self._belongs(record):
            self.close()
        if self.group or type(record.event) is Trade:
            self.group.append(record)
        else:
            self._fold(record)

    def close(self) -> None:
        """Judge the transaction at hand, then fold it."""
        group, self.group = self.group, []
        trades = [record.event for record in group if isinstance(record.event, Trade)]
        if trades:
            self._catch_up(trades[0].slot)
        states = {trade.pool_address: self._state(trade) for trade in trades}
        for record in group:
            if isinstance(record.event, Trade):
                self._judge(record.event, states)
            self._fold(record)

    def _belongs(self, record: Record) -> bool:
        event = record.event
        if isinstance(event, Trade):
            first = self.group[0].event
            return isinstance(first, Trade) and first.signature is not None and first.signature == event.signature
        return isinstance(event, PoolStateUpdate | DexPoolAccounts)

    def _fold(self, record: Record) -> None:
        slot = getattr(record.event, "slot", None)
        self.slot = max(self.slot, slot or 0)
        if self.behind:
            self.waiting.append((self.slot, record))
        else:
            self.fills.see(record)

    def _catch_up(self, slot: int | None) -> None:
        """See what happened up to `behind` slots before this one."""
        last = (self.slot if slot is None else slot) - self.behind
        while self.waiting and self.waiting[0][0] <= last:
            self.fills.see(self.waiting.popleft()[1])
        if self.behind:
            self.fills.slot_ended(last)

    def _state(self, trade: Trade) -> dict[str, Account] | None:
        """The accounts that an exact quote reads, as they stand; None: there is no exact quote."""
        accounts = self.fills.pools.accounts
        exact = accounts.quote(trade.pool_address, _sides(trade)[0], 1)
        if exact is None or (isinstance(exact.found, Refusal) and exact.found.missing):
            return None
        told = ((address, accounts.get(address)) for address in accounts.loaded[trade.pool_address].asked)
        return {address: account for address, account in told if account is not None}

    def _judge(self, trade: Trade, states: Mapping[str, dict[str, Account] | None]) -> None:
        paid, got = _amounts(trade)
        if not paid or not got:
            return self._unjudged(trade, "an amount of zero")
        state = states[trade.pool_address]
        if state is not None:
            return self._judge_exactly(trade, state)
        if trade.dex in OUTSIDE and trade.protocol_fee is None:
            return self._unjudged(trade, "the fee that the trader paid is not told")
        fill = self.fills.quote(trade.pool_address, _sides(trade)[0], paid)
        if isinstance(fill, NoFill):
            return self._unjudged(trade, fill.error)
        if fill.basis == "exact":
            return self._unjudged(trade, "the state before its transaction is unknown")
        return self._count(
            trade, fill.basis, floor_div((fill.amount_out - got) * MILLION, got), equal=fill.amount_out == got
        )

    def _judge_exactly(self, trade: Trade, state: dict[str, Account]) -> None:
        """Ask the program both ways; what it leaves is where the next swap of the transaction begins."""
        paid, got = _amounts(trade)
        told = self.fills.pools.accounts.clock()
        slot = told.slot if trade.slot is None else max(trade.slot, told.slot)
        clock = Clock(
            slot, self.times.get(slot, told.unix_timestamp), max(told.epoch, floor_div(slot, SLOTS_PER_EPOCH))
        )
        best: tuple[int, Quote, tuple[Exact, int]] | None = None
        refused = ""
        asked: tuple[tuple[Exact, int], ...] = (("in", paid), ("out", got))
        for exact, amount in asked:
            found = self.fills.swap(trade.pool_address, state, _sides(trade)[0], amount, exact, clock)
            if isinstance(found, Refusal):
                refused = refused or f"refused: {found.reason}"
                continue
            error = _error(trade, found)
            if best is None or abs(error) < abs(best[0]) or _is_equal(trade, found):
                best = error, found, (exact, amount)
            if _is_equal(trade, found):
                break
        if best is None:
            return self._unjudged(trade, refused)
        if self.programs is not None:
            self._execute(self.programs, trade, state, clock, best[1], best[2])
        state.update(best[1].after)
        return self._count(trade, "exact", best[0], equal=_is_equal(trade, best[1]))

    def _execute(
        self,
        programs: Programs,
        trade: Trade,
        state: Mapping[str, Account],
        clock: Clock,
        mine: Quote,
        asked: tuple[Exact, int],
    ) -> None:
        """The same swap by the real program, on the same accounts."""
        exact, amount = asked
        shown = Shown(self.fills.pools.accounts, state)
        told = programs.swap(trade.pool_address, shown, _sides(trade), amount, exact, clock)
        if isinstance(told, NotRun):
            key = (trade.dex, told.why)
            self.found.unrun[key] = self.found.unrun.get(key, 0) + 1
            return
        row = self.found.executed.setdefault(trade.dex, Executed())
        row.swaps += 1
        vaults = [address for address, account in mine.after.items() if account.owner in TOKEN_PROGRAMS]
        moved = all(held_in(told.after.get(at, shown[at])) == held_in(mine.after[at]) for at in vaults)
        if (told.paid, told.got) == (mine.amount_in, mine.amount_out) and moved:
            row.equal += 1
        elif not row.first:
            row.first = (
                f"{trade.signature}: the program took {told.paid} and gave {told.got}, "
                f"the quote {mine.amount_in} and {mine.amount_out}"
            )

    def _count(self, trade: Trade, basis: str, ppm: int, *, equal: bool) -> None:
        row = self.found.errors.setdefault((trade.dex, basis), Errors())
        row.swaps += 1
        row.equal += equal
        row.ppm[ppm] = row.ppm.get(ppm, 0) + 1

    def _unjudged(self, trade: Trade, why: str) -> None:
        key = (trade.dex, why)
        self.found.unjudged[key] = self.found.unjudged.get(key, 0) + 1


def _sides(trade: Trade) -> tuple[str, str]:
    """Mint paid in, mint received."""
    return (trade.quote_mint, trade.mint) if trade.is_buy else (trade.mint, trade.quote_mint)


def _pool_amounts(trade: Trade) -> tuple[int, int]:
    """What entered and what left the pool's reserves."""
    return (trade.sol_amount, trade.token_amount) if trade.is_buy else (trade.token_amount, trade.sol_amount)


def _amounts(trade: Trade) -> tuple[int, int]:
    """What the trader paid and got: as the pool's, with the fees that stand outside it where they are told."""
    paid, got = _pool_amounts(trade)
    outside = (trade.protocol_fee or 0) + (trade.creator_fee or 0) if trade.dex in OUTSIDE else 0
    return (paid + outside, got) if trade.is_buy else (paid, got - outside)


def within_pool(dex: str, found: Quote, mint_in: str, mint_out: str) -> tuple[int, int]:
    """What a quoted swap brings into and takes out of the pool's reserves."""
    outside = OUTSIDE.get(dex, ("transfer",))
    paid = sum(fee.amount for fee in found.fees if fee.name in outside and fee.mint == mint_in)
    kept = sum(fee.amount for fee in found.fees if fee.name in outside and fee.mint == mint_out)
    return found.amount_in - paid, found.amount_out + kept


def _is_equal(trade: Trade, found: Quote) -> bool:
    return within_pool(trade.dex, found, *_sides(trade)) == _pool_amounts(trade)


def _error(trade: Trade, found: Quote) -> int:
    """How much more the model gives for what it takes, in millionths: out at equal in, in at equal out, else both."""
    (took, gave), (paid, got) = within_pool(trade.dex, found, *_sides(trade)), _pool_amounts(trade)
    if not took or not got:
        return -MILLION
    return floor_div(gave * paid * MILLION, got * took) - MILLION
