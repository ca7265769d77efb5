"""Drives a script of world events through the loop that records it: answers name the seq of the ask they follow."""

from pathlib import Path

from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick, ControlRequest
from ironcrab.domain.market import ExplicitAmount
from ironcrab.domain.trade import ResultFees
from ironcrab.mode.run import Drive, with_ticks
from ironcrab.mode.scenario import load

ROOT = Path(__file__).parents[2]
START_MS = 1_748_736_000_000
"""2025-06-01 00:00:00 UTC."""
SLOT = 343_000_000


def drive(scenario, script):
    """(time in ns, event) of every world record, and every record that came of them; `script` takes the records."""
    events, records = [], []
    stage = Drive(load(ROOT / f"scenarios/{scenario}.toml"), records.append, ())

    def told():
        for pair in script(records):
            events.append(pair)
            yield pair

    for time, event in with_ticks(told()):
        if stage.loop.seq == 0:
            stage.open(time)
        stage.take(event, time)
    return events, records


class Chain:
    """The slot that is told, and the answers to the newest asks. Args: the records so far, which it reads."""

    def __init__(self, records):
        self.records = records
        self.slot = SLOT
        self.read = 0
        self.newest = {}

    @property
    def time(self):
        """Nanoseconds at which the slot began; a slot is 0.4 s."""
        return START_MS * 1_000_000 + (self.slot - SLOT) * 400_000_000

    def last(self, kind):
        """Seq of the newest record of this type; -1: none."""
        for record in self.records[self.read :]:
            self.newest[type(record.event)] = record.seq
        self.read = len(self.records)
        return self.newest.get(kind, -1)

    def answered(self):
        """How many answers the newest ask to send has: the next one's ordinal."""
        ask = self.last(SendAsk)
        return sum(1 for record in self.records[ask:] if getattr(record.event, "ask", None) == ask)

    def simulated(self, error=None, out=None):
        return SimulateAnswer(self.last(SimulateAsk), error is None, error, None, 100_000, out)

    def under_way(self, out=None):
        """The newest intent is simulated, signed and sent."""
        yield ClockTick()
        yield self.simulated(out=out)
        ask = self.last(SendAsk)
        yield SignedAnswer(ask, f"Signature{ask}", "AA==", "Blockhash", 5)
        yield SendAnswer(ask, True, 0, "rpc", self.slot, ordinal=self.answered())

    def ended(self, status, paid=None, got=None, **more):
        """How the newest sending ends, in the next slot, with fills in raw units."""
        buys = self.records[self.last(SendAsk)].event.plan.side == "Buy"
        digits = (9, 6) if buys else (6, 9)
        fills = [None if raw is None else ExplicitAmount(raw, d) for raw, d in zip((paid, got), digits, strict=True)]
        self.slot += 1
        told = {"fees": ResultFees(5_000, 0, 100_000), "ordinal": self.answered(), "slot": self.slot, **more}
        return ConfirmAnswer(
            ask=self.last(SendAsk), status=status, fill_in=fills[0], fill_out=fills[1],
            fill_unavailable_reason=None if got else "tx_meta_missing", **told,
        )  # fmt: skip

    def filled(self, paid, got, **more):
        """The newest intent goes all the way."""
        yield from self.under_way()
        yield self.ended("confirmed", paid, got, **more)

    def kill(self, *, active):
        """While the kill switch is on, every buy is refused at once."""
        kind = "kill_switch" if active else "reset_kill_switch"
        return ControlRequest(f"{kind}-{self.slot}", "execution-engine", kind, active=active or None, reason="drill")
