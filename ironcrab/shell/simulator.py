"""The outlet that simulates: the plan's very instructions, against the node's newest state, with nothing signed."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ironcrab.domain.ask import SimulateAnswer, SimulateAsk
from ironcrab.domain.event import Event
from ironcrab.domain.fault import Fault
from ironcrab.loop import Record
from ironcrab.shell import fills
from ironcrab.shell.rpc import LoadedAddresses, Rpc, RpcFault, Simulation
from ironcrab.shell.transaction import Tables, message_of, unsigned

TIMEOUT = "sim_timeout"
"""The error code of a simulation that nobody answered in time."""
NOT_YET = (-32005, -32016)
"""The node is behind the state that the plan was made on: asked again until the time is up."""
PAUSE_S = 0.05
LOG_LINES = 12
SHOWN = 1500
"""Characters of the preview of a simulation's log."""


class SimulatorParams(Struct, frozen=True, kw_only=True):
    """How long an answer is waited for, in milliseconds."""

    timeout_ms: int = 2_000


class Simulator:
    """See the module. An outlet: `see` takes asks on, `due` gives answers; `arrived` is set when there are some.

    Args:
        wallet: base58 address that would sign; no key is needed.
        rpc: the node.
        tables: the lookup tables that the log told.
        arrived: set when an answer is there.
    """

    asks: tuple[type[Event], ...] = (SimulateAsk,)

    def __init__(
        self,
        wallet: str,
        rpc: Rpc,
        tables: Tables,
        arrived: asyncio.Event,
        *,
        params: SimulatorParams | None = None,
    ) -> None:
        self.wallet = wallet
        self.rpc = rpc
        self.tables = tables
        self.arrived = arrived
        self.params = params or SimulatorParams()
        self.answers: deque[Event] = deque()
        self.open: dict[int, SimulateAsk] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.running = False
        self.slot = 0

    @property
    def is_due(self) -> bool:
        """Whether an answer is to be taken at once."""
        return bool(self.answers)

    def see(self, record: Record) -> None:
        """Take an ask on, or learn that one is answered; before `start` the asks only gather."""
        event: Any = record.event
        slot = getattr(event, "slot", None)
        if record.cause is None and slot is not None:
            self.slot = max(self.slot, slot)
        if isinstance(event, SimulateAsk):
            self.open[record.seq] = event
            if self.running:
                self._begin(record.seq)
        elif isinstance(event, SimulateAnswer):
            self.open.pop(event.ask, None)

    def due(self, slot: int | None) -> Iterator[Event]:
        """The answers that are there."""
        del slot
        while self.answers:
            yield self.answers.popleft()

    def start(self) -> None:
        """Begin; what was asked and not answered before a restart is simulated now: that does no harm."""
        self.running = True
        for seq in self.open:
            self._begin(seq)

    async def stop(self) -> None:
        """End all that is under way; it stays open in the log."""
        self.running = False
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, seq: int) -> None:
        task = asyncio.create_task(self._perform(seq, self.open[seq]))
        self.tasks[seq] = task
        task.add_done_callback(lambda _: self.tasks.pop(seq, None))

    async def _perform(self, seq: int, ask: SimulateAsk) -> None:
        last: Fault | None = None
        answer: SimulateAnswer | None = None
        try:
            async with asyncio.timeout(self.params.timeout_ms / 1000):
                while answer is None:
                    try:
                        answer = await self._simulate(seq, ask)
                    except RpcFault as fault:
                        if fault.kind != "limited" and fault.code not in NOT_YET:
                            raise
                        last = fault
                        await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            answer = SimulateAnswer(seq, False, TIMEOUT, None if last is None else str(last))
        except RpcFault as fault:
            answer = SimulateAnswer(seq, False, _code_of(fault), _preview_of(fault))
        except Fault as fault:
            answer = SimulateAnswer(seq, False, str(fault))
        except Exception as error:  # noqa: BLE001 - whatever a builder or a library raises must not end the others
            answer = SimulateAnswer(seq, False, f"{type(error).__name__}: {error}")
        self.answers.append(answer)
        self.arrived.set()

    async def _simulate(self, seq: int, ask: SimulateAsk) -> SimulateAnswer:
        plan = ask.plan
        message = message_of(plan, self.wallet, self.tables)
        told = (await self.rpc.simulate(unsigned(message), [], self.slot or None)).value
        if told.err is not None:
            return SimulateAnswer(seq, False, fills.error_text(told.err), preview(told.logs), told.units_consumed)
        seen = balances(told, message.keys)
        out = None if seen is None else fills.received(seen, plan, self.wallet)
        delta = None if seen is None or self.wallet not in seen.keys else fills.sol_delta(seen, self.wallet)
        return SimulateAnswer(
            seq, True, None, preview(told.logs), told.units_consumed, out, wallet_sol_delta_lamports=delta
        )


def balances(told: Simulation, keys: tuple[str, ...]) -> fills.Landed | None:
    """What a simulation did to lamports and tokens, as if it had landed; None where the node does not tell."""
    before, after = told.pre_balances, told.post_balances
    if before is None or after is None or told.pre_token_balances is None or told.post_token_balances is None:
        return None
    try:
        rows = (fills.token_rows(told.pre_token_balances), fills.token_rows(told.post_token_balances))
    except ValueError:
        return None
    loaded = told.loaded_addresses or LoadedAddresses()
    whole = (*keys, *loaded.writable, *loaded.readonly)
    seen = fills.checked(
        fills.Landed("", 0, None, told.fee or 0, 0, whole, tuple(before), tuple(after), rows[0], rows[1])
    )
    return None if isinstance(seen, str) or told.fee is None else seen


def preview(logs: list[str] | None) -> str | None:
    """The end of a log, where the reason stands."""
    if not logs:
        return None
    text = "\n".join(logs[-LOG_LINES:])
    return text if len(text) <= SHOWN else f"...{text[-SHOWN:]}"


def _code_of(fault: RpcFault) -> str:
    """The chain's own error where the node gives one, a time-out's code, or the fault's sentence."""
    if isinstance(fault.data, dict) and fault.data.get("err") is not None:
        return str(fills.error_text(fault.data["err"]))
    return TIMEOUT if fault.kind == "unreachable" and fault.code == 0 else str(fault)


def _preview_of(fault: RpcFault) -> str | None:
    logs = fault.data.get("logs") if isinstance(fault.data, dict) else None
    return preview([str(line) for line in logs]) if isinstance(logs, list) else None
