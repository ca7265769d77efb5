"""What an operator, the KILL file and the disk say to a running session; each becomes a record."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from ironcrab.domain.control import ConfigChanged, ConfigUpdate, ControlRequest
from ironcrab.domain.event import Event
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.mode.scenario import Scenario
from ironcrab.shell.control import KILL_FILE, Reply, Request
from ironcrab.shell.disk import Room

KILL, RESET = "kill_switch", "reset_kill_switch"
DISK = "disk"
"""Begins the request id of a kill that the disk made; only such a one is taken back without an operator."""
POLL_S = 0.002
MOST_REASON = 200
"""Characters of a reason."""


def components(scenario: Scenario) -> dict[str, str]:
    """Who takes the settings of a scenario's table, by its key: the engine, strategies, housekeepers that are on."""
    keepers = tuple(one for one in scenario.housekeepers if one.params.enabled)
    return {"engine": ExecutionEngine.name, **{one.key: one.kind.name for one in (*scenario.strategies, *keepers)}}


class Operator:
    """See the module.

    Attributes:
        changed: the newest answer of each component to a change of settings; whoever appends records notes it.

    Args:
        take: takes a world event; gives its seq.
        engine: whose kill switch it is.
        components: who takes the settings of a scenario's table; a key without a table is the engine's.
        durable: the seq up to which the log is on the disk.
        folder: the data folder.
        room: of the disk.
        log_id: of the log.
        patience_s: how long a component may take to answer; 0: it answers in the turn that tells it.
    """

    def __init__(
        self,
        take: Callable[[Callable[[int], Event]], int],
        engine: ExecutionEngine,
        components: Mapping[str, str],
        durable: Callable[[], int],
        folder: Path,
        room: Room,
        log_id: str,
        patience_s: float = 0.0,
    ) -> None:
        self.take = take
        self.engine = engine
        self.components = components
        self.durable = durable
        self.folder = folder
        self.room = room
        self.log_id = log_id
        self.patience_s = patience_s
        self.changed: dict[str, ConfigChanged] = {}

    async def answer(self, request: Request) -> Reply:
        """Perform a request; the reply comes when its record is on the disk."""
        if request.kind == "reset" and (self.folder / KILL_FILE).exists():
            return Reply(ok=False, text=f"{self.folder / KILL_FILE} lies there; remove it first")
        if request.kind == "kill":
            seq, text = self._kill("operator", request.reason, liquidate=request.liquidate), "killed: no buy is sent"
        elif request.kind == "reset":
            seq = self.take(lambda at: ControlRequest(self._id("operator", at), self.engine.name, RESET))
            text = "the kill switch is off"
        else:
            return await self._set(request.settings)
        await self._durable(seq)
        return Reply(ok=True, text=text, seq=seq)

    async def _set(self, settings: dict[str, str]) -> Reply:
        """Tell each component its wishes; the reply joins what they answer."""
        wishes: dict[str, dict[str, str]] = {}
        for dotted, text in settings.items():
            table, dot, key = dotted.partition(".")
            component = self.components.get(table) if dot else self.engine.name
            if component is None:
                known = ", ".join(self.components)
                return Reply(ok=False, text=f"{dotted}: nobody here takes settings of {table}; known: {known}")
            wishes.setdefault(component, {})[key if dot else dotted] = text
        texts, is_ok, seq = list[str](), True, None
        for component, config in wishes.items():
            self.changed.pop(component, None)
            seq = self._wish(ConfigUpdate(component, config))
            changed = await self._answered(component)
            if changed is None:
                texts.append(f"{component} takes no settings while it runs")
                is_ok = False
                continue
            texts += [f"{setting.key}={setting.value}" for setting in changed.settings]
            texts += [f"refused {setting.key}: {setting.origin}" for setting in changed.rejected]
            is_ok = is_ok and not changed.rejected
        if seq is not None:
            await self._durable(seq)
        return Reply(ok=is_ok, text="; ".join(texts), seq=seq)

    def _wish(self, told: ConfigUpdate) -> int:
        return self.take(lambda _: told)

    async def _answered(self, component: str) -> ConfigChanged | None:
        """What a component says to its change; None: it says nothing."""
        last = asyncio.get_running_loop().time() + self.patience_s
        while component not in self.changed and asyncio.get_running_loop().time() < last:  # noqa: ASYNC110 - rare
            await asyncio.sleep(POLL_S)
        return self.changed.get(component)

    def look(self) -> None:
        """The KILL file and the disk, once a second."""
        kill = self.engine.state.kill
        path = self.folder / KILL_FILE
        if not kill.active and path.exists():
            self._kill("file", _reason_in(path))
        is_low = self.room.look()
        if is_low and not kill.active:
            self._kill(DISK, f"the disk has {self.room.free_bytes >> 20} MB left")
        elif not is_low and kill.active and (kill.request_id or "").startswith(f"{DISK}-"):
            self.take(lambda at: ControlRequest(self._id(DISK, at), self.engine.name, RESET))

    def _kill(self, who: str, reason: str | None, *, liquidate: bool = False) -> int:
        return self.take(
            lambda at: ControlRequest(
                self._id(who, at),
                self.engine.name,
                KILL,
                active=True,
                reason=(reason or who)[:MOST_REASON],
                liquidate_positions=liquidate,
            )
        )

    def _id(self, who: str, seq: int) -> str:
        return f"{who}-{self.log_id[:8]}-{seq}"

    async def _durable(self, seq: int) -> None:
        while self.durable() < seq:  # noqa: ASYNC110 - the writer's thread has no event to wait for
            await asyncio.sleep(POLL_S)


def _reason_in(path: Path) -> str:
    """The first line of the KILL file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    return text.partition("\n")[0] or f"file {path.name}"
