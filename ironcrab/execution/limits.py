"""Limits that last: the kill switch, the losses of a UTC day, the fall from the peak, the rest after a loss."""

from msgspec import Struct, field

from ironcrab.domain.control import ControlRequest
from ironcrab.domain.trade import KillSwitchInfo
from ironcrab.domain.units import floor_div

DAY_MS = 86_400_000


class KillSwitch(Struct):
    """Whether buys are refused, since which record, and who said so."""

    active: bool = False
    seq: int | None = None
    reason: str | None = None
    source: str | None = None
    liquidate_positions: bool | None = None
    request_id: str | None = None

    def turn(self, seq: int, request: ControlRequest) -> None:
        """Set it by a `kill_switch` or `reset_kill_switch` request."""
        self.active = request.kind == "kill_switch" and request.active is not False
        self.seq = seq
        self.reason = request.reason
        self.source = "control"
        self.liquidate_positions = request.liquidate_positions
        self.request_id = request.request_id

    def info(self) -> KillSwitchInfo:
        """How it stood, for a decision it refused."""
        return KillSwitchInfo(self.reason, self.source, self.liquidate_positions, self.request_id)


class Losses(Struct):
    """Realised profit and loss in lamports, all of it and the losses of one UTC day (days since 1970).

    `resting` holds until which time (ms) a mint rests after a losing sell.
    """

    day: int = 0
    lost_lamports: int = 0
    realised_lamports: int = 0
    peak_lamports: int = 0
    resting: dict[str, int] = field(default_factory=dict)

    def today(self, now_ms: int) -> int:
        """Losses of the current UTC day; a new day starts at 0."""
        day = floor_div(now_ms, DAY_MS)
        if day != self.day:
            self.day, self.lost_lamports = day, 0
        return self.lost_lamports

    def realise(self, net_lamports: int, now_ms: int) -> None:
        """Book a realised result; only losses count against the day."""
        self.lost_lamports = self.today(now_ms) + max(-net_lamports, 0)
        self.realised_lamports += net_lamports
        self.peak_lamports = max(self.peak_lamports, self.realised_lamports)

    @property
    def drawdown_lamports(self) -> int:
        """How far realised profit has fallen from its peak."""
        return self.peak_lamports - self.realised_lamports

    def rest(self, mint: str, now_ms: int, cooldown_ms: int) -> None:
        """Let a mint rest after a losing sell; those that rested long enough are forgotten."""
        for name, until in list(self.resting.items()):
            if until <= now_ms:
                del self.resting[name]
        if cooldown_ms:
            self.resting[mint] = now_ms + cooldown_ms
