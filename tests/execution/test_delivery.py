"""The delivery incident of the source: intents that live 5,000 ms and took 4,942 ms on average to arrive."""

from ironcrab.domain.control import ClockTick
from tests.execution.stage import Stage, buy


def test_39_of_103_intents_expired():
    """64 took 4,906 ms and 39 took 5,001 ms: what is decided after its life is refused, the others are judged."""
    delays = [4_906] * 64 + [5_001] * 39
    assert sum(delays) // len(delays) == 4_941
    codes = []
    for delay in delays:
        stage = Stage(None)
        stage.take(buy(ttl_ms=5_000))
        stage.take(ClockTick(), delay)
        codes += [decision.primary_reject_reason for decision in stage.decisions]
    assert codes.count("TTL_EXPIRED") == 39
