"""Questions asked of a finished log: invariants that hold for every run, live or replayed.

A check is a plain function: it is given the recording and yields what it finds. A newcomer adds one function and
one row of CHECKS. `of` names the invariants of the original's sheet that it asks (A, I, C and D by number, DoD by
letter, "more": those added later). What is not among them is no question to a log: of quotes, routes, parsers and
builders (A.1, A.3, A.9, A.14 to A.17, A.19 to A.26, A.34), caches and recovery (A.4, A.12, A.13, A.30 to A.33, A.35 to
A.44), ingest and subscriptions (A.45 to A.47, A.49), keys, feeds and subjects (I-3, I-4, I-16, I-23, I-24): those are
tests. A.10 is `ironcrab verify`.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from ironcrab.check import attempts, limits, links, money, terms, verdicts
from ironcrab.check.finding import Finding
from ironcrab.log.recording import Recording


class Check(Struct, frozen=True):
    """A question: its name, what it says where it holds, the function that looks for exceptions, what it is of."""

    name: str
    says: str
    ask: Callable[[Recording], Iterator[Finding]]
    of: str


CHECKS = (
    Check("causes", "a cause is an earlier record, and only what a reducer said has one", links.causes, "I-18 E"),
    Check("clock", "time never decreases, and a derived record bears its cause's time", links.clock, "C more"),
    Check(
        "answers",
        "an answer names an earlier ask, its ordinals are dense, the last one is marked",
        links.answers,
        "I-10",
    ),
    Check("references", "every seq that a record names stands before it", links.references, "A.7 E"),
    Check(
        "one-outcome", "an attempt has exactly one decision, an intent at most one trade", attempts.one_outcome, "I-11"
    ),
    Check(
        "simulate-gate", "nothing is sent without a passed simulation of the same plan", attempts.simulate_gate, "I-9"
    ),
    Check("sent-once", "no attempt is sent twice", attempts.sent_once, "I-22"),
    Check("kill-switch", "while the kill switch is on no buy and no wrap is sent", attempts.kill_switch, "DoD A"),
    Check("ttl", "no intent is sent after its time to live or its deadline slot", attempts.ttl, "I-10"),
    Check(
        "reasons",
        "a refusal has one failed check, its last, and bears that check's code",
        attempts.reasons,
        "I-12 more",
    ),
    Check("pool-locks", "two attempts in flight never share a pool", attempts.pool_locks, "I-21"),
    Check("capital", "what is in flight never exceeds what the wallet holds", money.capital, "A.2 I-20"),
    Check("decided", "every intent whose time has passed has a decision", attempts.decided, "I-12"),
    Check("rows", "the rows of a decision stand in the order of the check table", attempts.rows, "I-10"),
    Check("intent-ids", "an intent id reaches simulation once", limits.ids_once, "A.2 I-22"),
    Check("signatures", "a signature belongs to one ask", limits.signatures_once, "I-1 I-22"),
    Check("plan-pools", "a plan trades the mint and the pools that its intent names", limits.plan_pools, "A.11 I-13"),
    Check("origin", "what the engine's own side wishes has a parent", limits.origins, "I-17 I-18"),
    Check("dry-run", "a dry run is never sent", limits.dry_runs, "I-9"),
    Check("config", "a decision bears the id of the config that was in force", limits.config_ids, "DoD J"),
    Check(
        "daily-loss", "no buy passes its checks after the losses of a day reached the limit", limits.daily_loss, "DoD J"
    ),
    Check("max-position", "no buy is larger than the limit that held", money.max_position, "DoD J"),
    Check("open-positions", "never more positions are open than the limit that held", money.open_positions, "A.28"),
    Check("least-output", "a confirmed fill is never below the plan's least output", money.least_output, "A.5"),
    Check("positions", "a position is the sum of its confirmed fills", money.positions, "A.48a D.1"),
    Check("exit-size", "an exit never sells more than the position holds", money.exit_size, "A.48a more"),
    Check("fills", "a confirmed result says whether its fills are known", money.fills, "A.48a"),
    Check("terminal-reject", "a rejected pool row is never judged again", verdicts.terminal_reject, "more"),
    Check("verdict-changes", "a verdict is recorded only when its code changes", verdicts.changes, "more"),
    Check(
        "fees", "no attempt exceeds the limits of compute, priority fee, cost and slippage", terms.fees, "A.18 DoD J"
    ),
    Check(
        "simulated-profit",
        "nothing is sent whose simulation gave less than its plan asks",
        terms.simulated_profit,
        "I-9 more",
    ),
    Check("round-trips", "a round trip gives back what goes in and what it must earn", terms.round_trips, "A.6 I-19"),
    Check(
        "plan-terms",
        "a plan takes what its intent gives and asks for no more than it does",
        terms.plan_terms,
        "A.5 I-15",
    ),
    Check("amounts", "an amount of SOL has nine decimals", terms.amounts, "I-15"),
    Check("one-voice", "asks, decisions, results and positions are said by the engine alone", terms.one_voice, "C I-2"),
    Check("classes", "a decision bears source, origin and regime of its intent", terms.classes, "DoD D.1"),
    Check("preemptions", "only a better tier takes the pools of an attempt", terms.preemptions, "DoD D"),
    Check("in-flight", "arbitrage wishes a path once until its end", terms.in_flight, "I-22"),
    Check(
        "pool-matching",
        "an exit sells on the pool that was bought on, or says that it does not",
        terms.pool_matching,
        "A.11 I-13",
    ),
    Check(
        "intent-ground",
        "every intent of a strategy stands beside the verdict that made it",
        verdicts.grounds,
        "I-17 DoD E",
    ),
)
"""Every check, written by hand."""


def check(recording: Recording, names: tuple[str, ...] = ()) -> dict[str, list[Finding]]:
    """Ask the named checks, by default all that the recording's manifest does not exempt it from.

    Returns:
        The findings of each that was asked, at most MOST of them.
    """
    asked = names or tuple(one.name for one in CHECKS if one.name not in recording.manifest.exempt)
    return {one.name: _some(one.ask(recording)) for one in CHECKS if one.name in asked}


MOST = 100
"""Findings of one check that are kept."""


def _some(findings: Iterator[Finding]) -> list[Finding]:
    kept = []
    for finding in findings:
        kept.append(finding)
        if len(kept) == MOST:
            break
    return kept
