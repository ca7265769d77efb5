"""A log whose runs were cut between a wish and its record: the golden `interrupted`.

What a reducer said and the log does not hold was never said: the next run, which folds the log, must say it anew.
"""

from ironcrab.domain.control import ClockTick, ControlRequest
from ironcrab.domain.market import WalletSnapshotComplete
from ironcrab.domain.trade import TradeIntent
from ironcrab.execution.params import PAPER_WALLET
from ironcrab.mode.run import Drive, opening, with_ticks
from ironcrab.mode.scenario import load
from ironcrab.mode.wiring import started
from tests.goldens import housekeeper_corners
from tests.goldens.driving import ROOT
from tests.pool_sets import key


def records_of(scenario):
    """Every record of all runs, in order."""
    records = []
    script = Script(records)
    for run, (part, cut) in enumerate(script.parts()):
        stage = Drive(scenario, records.append, (), len(records))
        for record in records:
            stage.loop.fold(record)
        stage.loop.take(started(scenario, stage.wiring, run), script.ms * 1_000_000)
        first = len(records)
        for time, event in with_ticks((script.ms * 1_000_000, event) for event in part()):
            stage.take(event, time)
            if any(is_wish(record, cut) for record in records[first:]):
                break
        else:
            assert cut is None, cut
        place = next((n for n in range(first, len(records)) if is_wish(records[n], cut)), len(records))
        del records[place:]
    return records


def is_wish(record, name):
    """Whether this reducer says an intent here."""
    return type(record.event) is TradeIntent and record.by == name


class Script(housekeeper_corners.Script):
    """What the world says in each run, with the words of the golden `housekeeper-corners`."""

    def parts(self):
        """What each run is told, and before whose wish it is cut."""
        yield self.two_accounts, "account-janitor"
        yield self.again, None
        yield self.under_way, None
        yield self.a_kill, "liquidation"
        yield self.sold_again, None
        yield self.still_selling, None

    def two_accounts(self):
        """Two accounts grow old; the wallet is told to be another one."""
        yield from opening(load(ROOT / "scenarios/interrupted.toml"))
        yield from self.market()
        yield self.janitor(min_age_ms=4_000)
        yield self.own(130)
        yield self.own(131)
        yield WalletSnapshotComplete(PAPER_WALLET, (), slot=self.slot)
        self.ms += 10_000
        yield ClockTick()

    def again(self):
        """The wish that was never written is said anew, and is simulated when the run ends."""
        yield self.janitor(min_age_ms=4_000)
        self.ms += 10_000
        yield ClockTick()
        yield ClockTick()

    def under_way(self):
        """What was written is under way still: no other wish comes beside it."""
        yield self.janitor(min_age_ms=4_000)
        self.ms += 5_000
        yield ClockTick()
        yield ClockTick()
        yield from self.failing()
        yield from self.failing()
        yield WalletSnapshotComplete(key(200), (), slot=self.slot)

    def a_kill(self):
        """The engine's wallet is the scenario's again; a kill sells two positions."""
        yield self.action("wrap", 1_000, "NATIVE_SOL", housekeeper_corners.SOL_MINT)
        yield from self.failing()
        yield from self.held(170, 1_000_000, ((180, "pump_amm", 10**9),))
        yield from self.held(171, 1_000_000, ((182, "pump_amm", 10**9),))
        yield ControlRequest("check-job", "all", "kill_switch", active=True, reason="drill", liquidate_positions=True)

    def sold_again(self):
        """The sells that were never written are said anew."""
        self.ms += 1_000
        yield ClockTick()
        yield ClockTick()

    def still_selling(self):
        """They are under way still."""
        self.ms += 1_000
        yield ClockTick()
        yield ClockTick()
        yield from self.failing()
        yield from self.failing()
