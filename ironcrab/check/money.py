"""Checks of money: capital in flight, limits, fills and positions."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ironcrab.check.finding import Finding
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SimulateAsk
from ironcrab.domain.control import ConfigChanged, RunStarted
from ironcrab.domain.market import WalletBalanceSnapshot
from ironcrab.domain.trade import ExecutionResult, PositionUpdate, TradeIntent
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.log.recording import Recording

MONEY = (SOL_MINT, NATIVE_SOL)


def limit_of(event: Any, key: str, before: int | None) -> int | None:
    """The engine limit `key` after a RunStarted or ConfigChanged event."""
    for setting in event.settings:
        if setting.key in (f"engine.{key}", key):
            return int(msgspec.json.decode(setting.value))
    return before


def capital(recording: Recording) -> Iterator[Finding]:
    """Buys in flight never exceed the wallet's lamports, native and wrapped together."""
    wallet: dict[str, int] = {}
    flying: dict[int, int] = {}
    kinds = (WalletBalanceSnapshot, SendAsk, SendAnswer, ConfirmAnswer)
    for record in recording.records(types=kinds):
        event: Any = record.event
        if isinstance(event, WalletBalanceSnapshot):
            if event.mint in MONEY:
                wallet[event.mint] = event.balance_raw
        elif isinstance(event, SendAsk):
            if event.plan.side == "Buy":
                flying[record.seq] = event.plan.amount_in
                if wallet and sum(flying.values()) > sum(wallet.values()):
                    yield Finding(
                        record.seq, f"{sum(flying.values())} lamports in flight, {sum(wallet.values())} in the wallet"
                    )
        elif event.last:
            flying.pop(event.ask, None)
            if isinstance(event, ConfirmAnswer) and wallet:
                wallet[SOL_MINT] = wallet.get(SOL_MINT, 0) + (event.wallet_sol_delta_lamports or 0)


def max_position(recording: Recording) -> Iterator[Finding]:
    """No buy is larger than the limit that held when it was decided to be made: it is not judged again on its way."""
    limit: int | None = None
    decided: dict[int, int | None] = {}
    for record in recording.records(types=(RunStarted, ConfigChanged, SimulateAsk, SendAsk)):
        event: Any = record.event
        if isinstance(event, SimulateAsk):
            decided[event.intent] = limit
        elif isinstance(event, SendAsk):
            most = decided.get(event.intent, limit)
            if most is not None and event.plan.side == "Buy" and event.plan.amount_in > most:
                yield Finding(record.seq, f"a buy of {event.plan.amount_in} lamports, the limit is {most}")
        else:
            limit = limit_of(event, "max_position_size_lamports", limit)


def open_positions(recording: Recording) -> Iterator[Finding]:
    """Never more positions are open than the limit that held when the newest one was decided on.

    A limit that is lowered closes nothing, and ends no attempt under way.
    """
    limit: int | None = None
    is_open: dict[str, None] = {}
    decided: dict[int, int | None] = {}
    sent: dict[int, int] = {}
    confirmed: dict[int, int] = {}
    kinds = (RunStarted, ConfigChanged, SimulateAsk, SendAsk, ConfirmAnswer, PositionUpdate)
    for record in recording.records(types=kinds):
        event: Any = record.event
        if isinstance(event, SimulateAsk):
            decided[event.intent] = limit
        elif isinstance(event, SendAsk):
            sent[record.seq] = event.intent
        elif isinstance(event, ConfirmAnswer):
            if event.ask in sent:
                confirmed[record.seq] = sent[event.ask]
        elif not isinstance(event, PositionUpdate):
            limit = limit_of(event, "max_open_positions", limit)
        elif event.balance_raw == 0 or event.status == "Closed":
            is_open.pop(event.mint, None)
        else:
            is_new = event.mint not in is_open
            is_open[event.mint] = None
            by = None if record.cause is None else confirmed.get(record.cause)
            most = limit if by is None else decided.get(by, limit)
            if most is not None and is_new and event.last_update_source == "Execution" and len(is_open) > most:
                yield Finding(record.seq, f"{len(is_open)} positions are open, the limit is {most}")


def least_output(recording: Recording) -> Iterator[Finding]:
    """A confirmed fill is never below the plan's least output."""
    plans: dict[int, int] = {}
    for record in recording.records(types=(SendAsk, ConfirmAnswer)):
        event: Any = record.event
        if isinstance(event, SendAsk):
            plans[record.seq] = event.plan.min_out
        elif event.status == "confirmed" and event.fill_out is not None and event.ask in plans:
            least = plans.pop(event.ask)
            if event.fill_out.raw < least:
                yield Finding(record.seq, f"filled {event.fill_out.raw}, the least output was {least}")


def positions(recording: Recording) -> Iterator[Finding]:
    """A position that only executions moved is the sum of its confirmed fills."""
    held: dict[str, int] = {}
    foreign: dict[str, None] = {}
    intents = _sides(recording)
    for record in recording.records(types=(ExecutionResult, PositionUpdate)):
        event: Any = record.event
        if isinstance(event, ExecutionResult):
            side = intents.get(event.intent)
            if event.status != "confirmed" or event.token_mint is None or side is None:
                continue
            fill = event.fill_out if side == "Buy" else event.fill_in
            if fill is None:
                foreign[event.token_mint] = None
            else:
                change = fill.raw if side == "Buy" else -fill.raw
                held[event.token_mint] = max(0, held.get(event.token_mint, 0) + change)
        elif event.last_update_source != "Execution":
            foreign[event.mint] = None
        elif event.mint not in foreign and recording.first_seq == 0 and event.balance_raw != held.get(event.mint, 0):
            yield Finding(
                record.seq, f"{event.mint} stands at {event.balance_raw}, its fills sum to {held.get(event.mint, 0)}"
            )


def _sides(recording: Recording) -> dict[int | None, str]:
    sides: dict[int | None, str] = {}
    for record in recording.records(types=(TradeIntent,)):
        event: Any = record.event
        sides[record.seq] = event.side
    return sides


def exit_size(recording: Recording) -> Iterator[Finding]:
    """A sell that is sent never exceeds the position."""
    balance: dict[str, int] = {}
    for record in recording.records(types=(PositionUpdate, SendAsk)):
        event: Any = record.event
        if isinstance(event, PositionUpdate):
            balance[event.mint] = event.balance_raw
        elif event.plan.side == "Sell" and event.plan.amount_in > balance.get(
            event.plan.input_mint, event.plan.amount_in
        ):
            held = balance[event.plan.input_mint]
            yield Finding(record.seq, f"sells {event.plan.amount_in} of {event.plan.input_mint}, {held} are held")


def fills(recording: Recording) -> Iterator[Finding]:
    """A confirmed result says complete, partial, or unavailable with a reason."""
    for record in recording.records(types=(ExecutionResult,)):
        event: Any = record.event
        if event.intent is None or event.status != "confirmed":
            continue
        known = sum(fill is not None for fill in (event.fill_in, event.fill_out))
        expected = ("unavailable", "partial", "complete")[known]
        if event.fill_status != expected:
            yield Finding(record.seq, f"fill_status is {event.fill_status}, {known} of 2 fills are known")
        elif known == 0 and event.fill_unavailable_reason is None:
            yield Finding(record.seq, "fills are unavailable without a reason")
