"""Silent seconds: each whole second in which the world says nothing is a tick, live as in `run`."""

from ironcrab.domain.control import ClockTick
from ironcrab.mode.run import LONGEST_SILENCE, SECOND

Ticks = list[tuple[int, ClockTick]]


class Seconds:
    """Knows the last second in which the world said something (or that ticked); None: nothing was said yet."""

    def __init__(self) -> None:
        self.last: int | None = None

    def before(self, time: int) -> Ticks:
        """Ticks to take before an event at `time` (ns since 1970), which is taken then."""
        second = time // SECOND
        ticks = self._until(second)
        self.last = second if self.last is None else max(self.last, second)
        return ticks

    def silent(self, now: int) -> Ticks:
        """Ticks of the seconds that have passed by `now`; the caller knows that nothing of them waits."""
        second = now // SECOND
        ticks = self._until(second)
        if self.last is not None:
            self.last = max(self.last, second - 1)
        return ticks

    def _until(self, second: int) -> Ticks:
        if self.last is None or second <= self.last + 1:
            return []
        end = min(second, self.last + 1 + LONGEST_SILENCE)
        ticks = [(silent * SECOND, ClockTick()) for silent in range(self.last + 1, end)]
        if second > end:
            ticks.append(((second - 1) * SECOND, ClockTick()))
        return ticks
