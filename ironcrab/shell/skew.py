"""The host's clock against the chain's: deadlines and lags mean nothing where the two differ."""

from ironcrab.market.accounts import CLOCK_SYSVAR
from ironcrab.shell.clock import now_ns
from ironcrab.shell.rpc import Rpc, RpcFault

MOST_SKEW_S = 5
"""Seconds that chain time and host time may differ; block time itself has whole seconds and drifts a little."""
REPLAYED_S = 86_400
"""A feed that is farther off than a day is one of the past, played again: it tells nothing of the clock."""


async def skew_of(rpc: Rpc) -> int:
    """Seconds by which the host is ahead of the chain, by the Clock sysvar (i64 unix time at byte 32). RpcFault."""
    before = now_ns()
    account = (await rpc.accounts([CLOCK_SYSVAR], "processed")).value[0]
    data = b"" if account is None else account.raw()
    if len(data) < 40:
        raise RpcFault(f"node {rpc.name} tells no clock sysvar; use another node", "nonsense")
    return before // 10**9 - int.from_bytes(data[32:40], "little", signed=True)


def sentence_of(skew_s: int) -> str:
    """The sentence of a clock that is off."""
    return f"host and chain differ by {skew_s} s; set the host's clock (chrony, ntpd)"
