"""Who goes first when intents compete: those said since the last world record, and those still waiting."""

from msgspec import Struct

from ironcrab.domain.trade import TradeIntent
from ironcrab.domain.units import BPS, Millis, Slot, floor_div
from ironcrab.execution import recovery
from ironcrab.execution.locks import TIER_RANK
from ironcrab.execution.params import EngineParams
from ironcrab.execution.state import EngineState, Waiting

URGENCY = (1, 2, 5)
"""Weight of `hint_urgency` 0, 1 and 2 or more: the fee multipliers of the wire contract."""
SLOT_MS = 400
"""Nominal length of a slot, to hold a deadline in slots beside one in time."""
NEARNESS = 1_000_000_000


def expected_value_lamports(intent: TradeIntent) -> int:
    """What the intent hopes to earn, at least 1 so that urgency and deadline count; a sell's capital is no SOL."""
    if intent.expected_value_lamports is not None:
        return max(intent.expected_value_lamports, 1)
    if intent.side == "Sell":
        return 1
    return max(floor_div(intent.expected_roi_bps * intent.required_capital.raw, BPS), 1)


def expires_ms(waiting: Waiting, params: EngineParams) -> int:
    """The last millisecond the intent is valid in: its record's time plus its ttl, or the default ttl."""
    return waiting.said_ms + (waiting.event.ttl_ms or params.intent_ttl_ms)


def expired(waiting: Waiting, params: EngineParams, now_ms: int, slot: int) -> bool:
    """Whether its ttl or its deadline slot has passed."""
    deadline = waiting.event.deadline_slot
    return now_ms > expires_ms(waiting, params) or (deadline is not None and slot > deadline)


def left_ms(waiting: Waiting, params: EngineParams, now_ms: int, slot: int) -> int:
    """Milliseconds until ttl or deadline slot ends the intent, whichever is sooner; at least 1."""
    left = expires_ms(waiting, params) - now_ms
    if waiting.event.deadline_slot is not None:
        left = min(left, (waiting.event.deadline_slot - slot) * SLOT_MS)
    return max(left, 1)


def ranked(waiting: list[Waiting], params: EngineParams, now_ms: int, slot: int) -> list[Waiting]:
    """Order: tier (Tier0 first), then score downwards, then time left, then seq.

    score = expected value (lamports) x urgency weight x 10**9 // time left (ms).
    """

    def rank(one: Waiting) -> tuple[int, int, int, int, int]:
        left = left_ms(one, params, now_ms, slot)
        urgency = URGENCY[min(one.event.hint_urgency or 0, 2)]
        score = floor_div(expected_value_lamports(one.event) * urgency * NEARNESS, left)
        return TIER_RANK[one.event.tier], -score, left, one.intent, one.attempt

    return sorted(waiting, key=rank)


class Soonest(Struct, frozen=True):
    """When any of the waiting attempts may go at the soonest without a free place, made anew when one comes or goes.

    Attributes:
        waiting: the attempts it was made of.
        params: the settings it was made under.
        until_ms: up to this time none of them expires or stops waiting for an answer.
        until_slot: up to this slot no deadline passes; None: none is told.
        passes: one needs no place.
    """

    waiting: list[Waiting]
    params: EngineParams
    until_ms: Millis
    until_slot: Slot | None
    passes: bool


def soonest_of(state: EngineState, now_ms: int) -> Soonest:
    """What holds of all who wait; at least one does."""
    lasts, deadlines = [], []
    passes = False
    for one in state.waiting:
        lasts.append(expires_ms(one, state.params))
        if one.event.deadline_slot is not None:
            deadlines.append(one.event.deadline_slot)
        if recovery.waits(one, state, now_ms):
            lasts.append(state.recoveries[one.request])
        elif one.event.tier == "Tier0":
            passes = True
    until_slot = min(deadlines) if deadlines else None
    return Soonest(state.waiting, state.params, min(lasts), until_slot, passes)
