"""Conditions: what they mean, and that no text makes one do anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import ExplicitAmount, SwapObserved, Trade
from ironcrab.domain.trade import CheckResult, DecisionRecord
from ironcrab.loop import Record
from ironcrab.mode.condition import condition

TRADE = Record(7, None, None, 5_000, Trade("Pool", "Mint", "Wallet", True, 10**9, 5, 6, "raydium", slot=12))
SWAP = Record(8, None, None, 5_000, SwapObserved("Pool", "sig", "buy", ExplicitAmount(5, 9), ExplicitAmount(7, 6)))
DECISION = Record(
    9, 7, "execution-engine", 5_000,
    DecisionRecord(
        "x", "StrategyA", "Early", (CheckResult("ttl", passed=False, reason_code="TTL_EXPIRED"),), "Rejected",
        primary_reject_reason="TTL_EXPIRED", input_snapshots={"slot": "5"},
    ),
)  # fmt: skip
RECORDS = (TRADE, SWAP, DECISION)


@pytest.mark.parametrize(
    ("text", "seqs"),
    [
        ('type == "Trade"', (7,)),
        ("seq >= 8", (8, 9)),
        ("sol_amount == 10**9 and is_buy", (7,)),
        ("sol_amount // 10**9 == 1", (7,)),
        ("not is_buy", (8, 9)),
        ("slot in (12, 13)", (7,)),
        ("cause == 7 or slot == 12", (7, 9)),
        ("amount_in.raw < amount_out.raw", (8,)),
        ('"TTL_EXPIRED" in reasons', (9,)),
        ('primary_reject_reason == "TTL_EXPIRED"', (9,)),
        ('input_snapshots.slot == "5"', (9,)),
        ('by == "execution-engine"', (9,)),
        ("by == None", (7, 8)),
        ("6 < seq < 8", (7,)),
        ("sol_amount < mint", ()),
        ("sol_amount > -1", (7,)),
        ("seq % 0 == 1", ()),
        ("nothing != 5", ()),
        ("nothing.at.all == 5", ()),
        ("2 ** 1000 > 1", ()),
        ("True", (7, 8, 9)),
    ],
)
def test_what_conditions_mean(text, seqs):
    holds = condition(text)
    assert tuple(record.seq for record in RECORDS if holds(record)) == seqs


@pytest.mark.parametrize(
    "text",
    [
        "", "seq =", "print(1)", "__import__('os')", "seq.__class__", "_x == 1", "lambda: 1", "[x for x in reasons]",
        "seq if slot else 1", "seq is None", "1.5 < seq", "reasons[0]", "f'{seq}'", "x := 5", "b'a'", "seq << 5", "a" * 500,
        "(" * 300, "...", "*seq",
    ],
)  # fmt: skip
def test_what_is_no_condition(text):
    with pytest.raises(InputFault) as fault:
        condition(text)
    assert "\n" not in str(fault.value)


WORDS = (
    "seq",
    "type",
    "reasons",
    "sol_amount",
    "1",
    '"a"',
    "==",
    "<",
    "in",
    "and",
    "not",
    "(",
    ")",
    ".",
    "+",
    "**",
    "-",
    ",",
)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)))
def test_any_text_is_a_condition_or_a_sentence(text):
    try:
        holds = condition(text)
    except InputFault:
        return
    for record in RECORDS:
        assert holds(record) in (True, False)
