"""For tests of one's own strategies: a market to build, outlets in memory, recordings and goldens in one line each.

    market = Market().accounts(pool_accounts)           what a venue's exact quote reads
    market.swap(POOL, MINT, 10**9).slot()               one real swap, by the venue's own maths, then the next slot
    recording = run(market, scenario(), folder)         a run like any other: verify, explain, why, diff work on it
    make_golden(recording, Path("recordings/mine"))     from now on `pytest recordings/` guards it

Nothing here reads a clock or draws at random; the same calls give the same bytes.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ironcrab.dex import Account, Clock, Refusal, quote, venue_of
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SimulateAnswer, SimulateAsk
from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import AccountWritten, ExplicitAmount, LatestBlockhash, SlotUpdate, TokenMintInfo, Trade
from ironcrab.domain.trade import ResultFees
from ironcrab.domain.units import SOL_MINT, TOKEN_PROGRAM
from ironcrab.log import manifest
from ironcrab.log.recording import Recording
from ironcrab.log.sealed import seal
from ironcrab.loop import Loop, Now, Record
from ironcrab.market.accounts import SLOTS_PER_EPOCH
from ironcrab.mode.fidelity import within_pool
from ironcrab.mode.run import Drive, run_events
from ironcrab.mode.scenario import Scenario, read
from ironcrab.mode.verify import follow

SECOND = 1_000_000_000
SLOT_NANOS = 400_000_000
"""Nanoseconds from one slot to the next."""


class Market:
    """Builds the world's events in order; iterating gives (time, event) pairs.

    Attributes:
        state: accounts by address as the last swap left them.
        at_slot: the slot that is being built; time follows from it.
    """

    def __init__(self, slot: int = 1_000, unix: int = 1_700_000_000) -> None:
        self.first_slot = self.at_slot = slot
        self.unix = unix
        self.state: dict[str, Account] = {}
        self.told: list[tuple[int, Event]] = []
        self.count = 0

    def __iter__(self) -> Iterator[tuple[int, Event]]:
        return iter(self.told)

    @property
    def time(self) -> int:
        """Nanoseconds since 1970 at which the slot began."""
        return self.unix * SECOND + (self.at_slot - self.first_slot) * SLOT_NANOS

    @property
    def clock(self) -> Clock:
        """Chain time of the slot."""
        return Clock(self.at_slot, self.time // SECOND, self.at_slot // SLOTS_PER_EPOCH)

    def say(self, *events: Event) -> "Market":
        """The world says these events now."""
        self.told.extend((self.time, event) for event in events)
        return self

    def slot(self, count: int = 1) -> "Market":
        """End this slot (block meta, processed) and begin the next; `count` times."""
        for _ in range(count):
            self.say(LatestBlockhash("hash", slot=self.at_slot, block_time=self.clock.unix_timestamp))
            self.say(SlotUpdate(self.at_slot, slot=self.at_slot))
            self.at_slot += 1
        return self

    def mint(self, address: str, decimals: int = 6) -> "Market":
        """A mint of SPL Token without authorities."""
        return self.say(TokenMintInfo(address, TOKEN_PROGRAM, decimals, 10**15, slot=self.at_slot))

    def accounts(self, accounts: Mapping[str, Account], signature: str | None = None) -> "Market":
        """Account writes; with a signature, those of one transaction."""
        for address, account in accounts.items():
            self.count += 1
            self.state[address] = account
            self.say(
                AccountWritten(
                    *(address, account.owner, account.lamports, account.data),
                    slot=self.at_slot,
                    write_version=self.count,
                    signature=signature,
                )
            )
        return self

    def swap(self, pool: str, mint: str, amount: int, *, is_buy: bool = True, decimals: int = 6) -> "Market":
        """Somebody swaps `amount` raw units exactly in, SOL for `mint` or back: the transaction's writes, its Trade.

        Raises:
            InputFault: the program would refuse.
        """
        sides = (SOL_MINT, mint) if is_buy else (mint, SOL_MINT)
        found = quote(pool, self.state, mint_in=sides[0], amount=amount, clock=self.clock)
        if isinstance(found, Refusal):
            raise InputFault(f"this swap on {pool} is refused: {found.reason}")
        venue = venue_of(self.state[pool].owner)
        assert venue is not None, "it was quoted"
        paid, got = within_pool(venue.id, found, *sides)
        fees = {fee.name: fee.amount for fee in found.fees}
        signature = f"signature{self.count}"
        self.accounts(found.after, signature)
        return self.say(
            Trade(
                pool_address=pool,
                mint=mint,
                trader=f"trader{self.count % 9}",
                is_buy=is_buy,
                sol_amount=paid if is_buy else got,
                token_amount=got if is_buy else paid,
                token_decimals=decimals,
                dex=venue.id,
                signature=signature,
                slot=self.at_slot,
                index=self.count,
                position=0,
                protocol_fee=fees.get("protocol"),
                creator_fee=fees.get("creator"),
            )
        )


class Answering:
    """An outlet in memory: every ask is answered at once, as told.

    Attributes:
        out: raw units that every simulation expects and every fill brings; None: simulations fail.
        status: how every sending ends: confirmed, failed or timeout.
        seen: every ask, in order.
    """

    asks: tuple[type[Event], ...] = (SimulateAsk, SendAsk)

    def __init__(self, out: int | None, status: str = "confirmed", decimals: int = 6) -> None:
        self.out = out
        self.status = status
        self.decimals = decimals
        self.seen: list[Event] = []
        self.open: list[Event] = []

    @property
    def is_due(self) -> bool:
        """Whether an answer is owed."""
        return bool(self.open)

    def see(self, record: Record) -> None:
        """Take on an ask."""
        event: Any = record.event
        if not isinstance(event, SimulateAsk | SendAsk):
            return
        self.seen.append(event)
        if isinstance(event, SimulateAsk):
            error = "told to fail" if self.out is None else None
            self.open.append(SimulateAnswer(record.seq, self.out is not None, error, None, 1, self.out))
            return
        ended: dict[str, Any] = {}
        if self.status == "confirmed":
            sides = [
                9 if mint == SOL_MINT else self.decimals for mint in (event.plan.input_mint, event.plan.output_mint)
            ]
            ended = {
                "fill_in": ExplicitAmount(event.plan.amount_in, sides[0]),
                "fill_out": ExplicitAmount(self.out or 0, sides[1]),
                "fees": ResultFees(5_000, 0, 1),
            }
        self.open.append(SendAnswer(record.seq, True, record.time // 1_000_000, "memory"))
        self.open.append(ConfirmAnswer(record.seq, self.status, ordinal=1, **ended))

    def due(self, slot: int | None) -> Iterator[Event]:
        """Every answer, at once."""
        del slot
        while self.open:
            yield self.open.pop(0)


def scenario(strategies: Iterable[str] = ("momentum",), **tables: dict[str, Any]) -> Scenario:
    """A scenario in one line: strategies, and tables of parameters by name (momentum, engine, paper, wallet).

    Raises:
        ScenarioFault: an unknown key, or a value out of range.
    """
    return read("tests", {"strategies": list(strategies), **tables}, "the test")


def record(events: Iterable[tuple[int, Event]], folder: Path) -> Recording:
    """A sealed recording of world events alone, as an importer would write it."""
    with Recording.create(folder, "0" * 32, origin="testing") as writer:
        loop = Loop((), writer.append, Now())
        for time, event in events:
            loop.take(event, time)
    seal(folder)
    return Recording.open(folder)


def run(events: Iterable[tuple[int, Event]], decided_by: Scenario, folder: Path) -> Recording:
    """The sealed run of a scenario over world events."""
    run_events(events, "testing", decided_by, folder)
    seal(folder)
    return Recording.open(folder)


def drive(events: Iterable[tuple[int, Event]], decided_by: Scenario, outlet: Answering) -> list[Record]:
    """Run in memory with another outlet; every record in order. Nothing is written."""
    records: list[Record] = []

    def append(said: Record) -> None:
        records.append(said)
        outlet.see(said)

    driving = Drive(decided_by, append, (outlet,))
    for time, event in events:
        if not records:
            driving.open(time)
        driving.take(event, time)
    driving.close()
    return records


def make_golden(recording: Recording, folder: Path) -> Recording:
    """Copy a recording to the new folder and mark it golden: `verify` and `pytest` guard it from then on.

    Raises:
        InputFault: the folder exists.
    """
    if folder.exists():
        raise InputFault(f"{folder} exists; name a new folder, or accept a change with: ironcrab bless {folder}")
    shutil.copytree(recording.path, folder)
    manifest.edit(folder, lambda listed: msgspec.structs.replace(listed, golden=True))
    return Recording.open(folder)


def assert_identical(recording: Recording) -> None:
    """Fold a recording again; AssertionError with the first difference where the code now decides otherwise."""
    report = follow(recording)
    first = next((found for run in report.runs for found in run.divergences), None)
    assert first is None, f"{recording.path} #{first.seq} {first.type} by {first.by}: {first.kind} {first.fields}"
    assert report.verdict == "identical", f"{recording.path}: {report.verdict}"
