"""Questions asked of a finished log: invariants that hold for every run, live or replayed.

A check is a plain function: it is given the recording and yields what it finds. A newcomer adds one function and
one row of CHECKS.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from ironcrab.check import attempts, limits, links, money, verdicts
from ironcrab.check.finding import Finding
from ironcrab.log.recording import Recording


class Check(Struct, frozen=True):
    """A question: its name, what it says where it holds, and the function that looks for exceptions."""

    name: str
    says: str
    ask: Callable[[Recording], Iterator[Finding]]


CHECKS = (
    Check("causes", "a cause is an earlier record, and only what a reducer said has one", links.causes),
    Check("clock", "time never decreases, and a derived record bears its cause's time", links.clock),
    Check("answers", "an answer names an earlier ask, its ordinals are dense, the last one is marked", links.answers),
    Check("references", "every seq that a record names stands before it", links.references),
    Check("one-outcome", "an attempt has exactly one decision, an intent at most one trade", attempts.one_outcome),
    Check("simulate-gate", "nothing is sent without a passed simulation of the same plan", attempts.simulate_gate),
    Check("sent-once", "no attempt is sent twice", attempts.sent_once),
    Check("kill-switch", "while the kill switch is on no buy and no wrap is sent", attempts.kill_switch),
    Check("ttl", "no intent is sent after its time to live or its deadline slot", attempts.ttl),
    Check("reasons", "a refusal has one failed check, its last, and bears that check's code", attempts.reasons),
    Check("pool-locks", "two attempts in flight never share a pool", attempts.pool_locks),
    Check("capital", "what is in flight never exceeds what the wallet holds", money.capital),
    Check("decided", "every intent whose time has passed has a decision", attempts.decided),
    Check("rows", "the rows of a decision stand in the order of the check table", attempts.rows),
    Check("intent-ids", "an intent id reaches simulation once", limits.ids_once),
    Check("signatures", "a signature belongs to one ask", limits.signatures_once),
    Check("plan-pools", "a plan trades the mint and the pools that its intent names", limits.plan_pools),
    Check("origin", "what the engine's own side wishes has a parent", limits.origins),
    Check("dry-run", "a dry run is never sent", limits.dry_runs),
    Check("config", "a decision bears the id of the config that was in force", limits.config_ids),
    Check("daily-loss", "no buy passes its checks after the losses of a day reached the limit", limits.daily_loss),
    Check("max-position", "no buy is larger than the limit that held", money.max_position),
    Check("open-positions", "never more positions are open than the limit that held", money.open_positions),
    Check("least-output", "a confirmed fill is never below the plan's least output", money.least_output),
    Check("positions", "a position is the sum of its confirmed fills", money.positions),
    Check("exit-size", "an exit never sells more than the position holds", money.exit_size),
    Check("fills", "a confirmed result says whether its fills are known", money.fills),
    Check("terminal-reject", "a rejected pool row is never judged again", verdicts.terminal_reject),
    Check("verdict-changes", "a verdict is recorded only when its code changes", verdicts.changes),
    Check("intent-ground", "every intent of a strategy stands beside the verdict that made it", verdicts.grounds),
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
