"""Scenario: which strategies decide, with which parameters, engine limits, fees and outlets. TOML.

    strategies = ["momentum", "my_package.ema:EmaCross"]     built-in name or package.module:Class
    outlets = ["paper"]
    [momentum]            parameters of the strategy of that name
    [engine]              limits and fees of the execution engine
    [paper]               the pretend world's fees and latency
    [wallet]              what the wallet holds when the run opens
    [wsol_manager]        and [account_janitor], [liquidation]: housekeepers, off unless enabled

It never names its recording or endpoint: those are arguments. An unknown key is an error.
"""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ironcrab.domain.control import RunStarted, Setting
from ironcrab.domain.fault import ScenarioFault
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.execution.housekeepers import HOUSEKEEPERS
from ironcrab.mode.code import is_here, load_class
from ironcrab.mode.paper import PaperParams
from ironcrab.strategy import STRATEGIES


class WalletParams(Struct, frozen=True):
    """What the wallet holds when a run opens; told to the log as WalletBalanceSnapshots."""

    native_sol_lamports: Annotated[
        int, Meta(ge=0, le=10**18, description="native SOL at the start", extra={"unit": "lamports"})
    ] = 1_000_000_000
    wsol_lamports: Annotated[
        int, Meta(ge=0, le=10**18, description="wrapped SOL at the start", extra={"unit": "lamports"})
    ] = 0
    lamports_per_byte: Annotated[
        int, Meta(ge=0, le=10**9, description="rent told at the start; 0: none is", extra={"unit": "lamports/byte"})
    ] = 0


class Strategy(Struct, frozen=True):
    """A strategy or housekeeper of a scenario: its table's key, its class, its parameters."""

    key: str
    kind: type[Any]
    params: Any


class Scenario(Struct, frozen=True):
    """A scenario, read and judged: every parameter has a value and an origin."""

    name: str
    strategies: tuple[Strategy, ...]
    outlets: tuple[str, ...]
    engine: Any
    paper: Any
    wallet: WalletParams
    settings: tuple[Setting, ...]
    housekeepers: tuple[Strategy, ...] = ()


ARMED = "armed"
"""The outlets of the own wallet: a run that was armed says so, a scenario cannot arm itself."""
PROGRAMS = "programs:"
"""Before the digest of the binaries that fill a run's paper trades: the run says so, a scenario names none."""
OUTLETS = ("paper", ARMED)
"""Outlets a run can have."""


class ParamRow(Struct, frozen=True):
    """One row of `ironcrab params`: key, value, default, unit, range, origin, what it means."""

    key: str
    value: Any
    default: Any
    unit: str
    range: str
    origin: str
    meaning: str


Pairs = tuple[tuple[str, str], ...]
"""Parameters as text: (dotted key, TOML value or plain text)."""


def load(path: Path, overrides: Pairs = (), defaults: Pairs = ()) -> Scenario:
    """Read a scenario file.

    Args:
        path: the TOML file.
        overrides: win over the file (origin "set").
        defaults: stand where the file says nothing (origin "command").

    Raises:
        ScenarioFault: no such file, no TOML, an unknown key, a value of the wrong kind or out of range.
    """
    tree = read_tree(path)
    if ARMED in tree.get("outlets", ()):
        raise ScenarioFault(f"scenario {path} cannot arm itself; type it: ironcrab live {path} --armed ADDRESS")
    if any(str(outlet).startswith(PROGRAMS) for outlet in tree.get("outlets", ())):
        raise ScenarioFault(f"scenario {path} cannot name programs; type: ironcrab backtest {path} --programs DIR")
    return read(path.stem, tree, str(path), overrides, defaults)


def read_tree(path: Path) -> dict[str, Any]:
    """The tables of a scenario file, not judged yet; ScenarioFault where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioFault(f"scenario {path}: {error.strerror}; see scenarios/ for examples") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioFault(f"scenario {path} is no TOML: {error}") from error


def read(name: str, tree: dict[str, Any], where: str, overrides: Pairs = (), defaults: Pairs = ()) -> Scenario:
    """Judge a parsed scenario; `where` is named in every fault."""
    tree = dict(tree)
    # what `generate` makes the market from; no reducer sees it
    tree.pop("market", None)
    paths = _texts(tree.pop("strategies", []), "strategies", where)
    outlets = _texts(tree.pop("outlets", ["paper"]), "outlets", where)
    for outlet in outlets:
        if outlet not in OUTLETS and not outlet.startswith(PROGRAMS):
            raise ScenarioFault(f"{where}: outlet {outlet!r} is unknown; known: {', '.join(OUTLETS)}")
    kinds = [_kind(path, where) for path in paths]
    models: dict[str, type[Any]] = {key: kind.Params for key, kind in kinds}
    if len(models) != len(kinds):
        raise ScenarioFault(f"{where}: the same strategy stands twice in strategies; give each once")
    models |= {"engine": ExecutionEngine.Params, "paper": PaperParams, "wallet": WalletParams}
    models |= {key: kind.Params for key, kind in HOUSEKEEPERS}
    for table in tree:
        if table not in models:
            known = ", ".join(("strategies", "outlets", "market", *models))
            raise ScenarioFault(f"{where}: unknown key {table!r}; known: {known}")
    origins = {(table, key): "scenario" for table, values in tree.items() if isinstance(values, dict) for key in values}
    silent = tuple(pair for pair in defaults if tuple(pair[0].split(".", 1)) not in origins)
    _put(tree, origins, models, silent, "command")
    _put(tree, origins, models, overrides, "set")
    values = {table: table_of(model, tree.get(table, {}), table, where) for table, model in models.items()}
    settings = tuple(
        Setting(f"{table}.{field}", _text(getattr(params, field)), origins.get((table, field), "default"))
        for table, params in values.items()
        for field in params.__struct_fields__
    )
    strategies = tuple(Strategy(key, kind, values[key]) for key, kind in kinds)
    kept = tuple(Strategy(key, kind, values[key]) for key, kind in HOUSEKEEPERS)
    return Scenario(name, strategies, outlets, values["engine"], values["paper"], values["wallet"], settings, kept)


def read_back(started: RunStarted, overrides: tuple[tuple[str, str], ...] = ()) -> Scenario:
    """The scenario that a recorded run was made with, from its run-started event alone; `overrides` as of `load`."""
    tree: dict[str, Any] = {"outlets": list(started.outlets)}
    for setting in started.settings:
        table, _, key = setting.key.partition(".")
        tree.setdefault(table, {})[key] = msgspec.json.decode(setting.value)
    by_path = {f"{kind.__module__}:{kind.__qualname__}": key for key, kind in STRATEGIES}
    fixed = ("ironcrab.market.", "ironcrab.execution.")
    paths = [info.path for info in started.reducers if not info.path.startswith(fixed)]
    tree["strategies"] = [by_path.get(path, path) for path in paths]
    scenario = read(started.scenario, tree, f"run {started.run} of the log", overrides)
    origins = {setting.key: setting.origin for setting in started.settings} | {key: "set" for key, _ in overrides}
    settings = tuple(
        Setting(setting.key, setting.value, origins.get(setting.key, "default")) for setting in scenario.settings
    )
    return msgspec.structs.replace(scenario, settings=settings)


def loadable(started: RunStarted) -> RunStarted:
    """The run without strategies whose modules are not here (retired, or not on the path): those are not judged."""
    gone = [info for info in started.reducers if not is_here(info.path)]
    if not gone:
        return started
    here = tuple(info for info in started.reducers if info not in gone)
    # a user's strategy has its name for a table; what is left of the settings is of tables that still have a reader
    tables = {info.name for info in gone}
    settings = tuple(setting for setting in started.settings if setting.key.partition(".")[0] not in tables)
    return msgspec.structs.replace(started, reducers=here, settings=settings)


def rows(scenario: Scenario) -> list[ParamRow]:
    """Every parameter of a scenario with unit, default, range and where its value came from."""
    models = {strategy.key: strategy.params for strategy in scenario.strategies}
    models |= {"engine": scenario.engine, "paper": scenario.paper, "wallet": scenario.wallet}
    models |= {keeper.key: keeper.params for keeper in scenario.housekeepers}
    origins = {setting.key: setting.origin for setting in scenario.settings}
    found = []
    for table, params in models.items():
        for field in msgspec.structs.fields(type(params)):
            meta = _meta(field.type)
            key = f"{table}.{field.name}"
            found.append(
                ParamRow(
                    key,
                    getattr(params, field.name),
                    _default(field),
                    str((meta.extra or {}).get("unit", "")) if meta else "",
                    _range(meta),
                    origins[key],
                    (meta.description or "") if meta else "",
                )
            )
    return found


def _default(field: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else None


def _meta(annotation: Any) -> Meta | None:
    return next((meta for meta in getattr(annotation, "__metadata__", ()) if isinstance(meta, Meta)), None)


def _range(meta: Meta | None) -> str:
    if meta is None or (meta.ge is None and meta.le is None):
        return ""
    return f"{meta.ge if meta.ge is not None else ''}..{meta.le if meta.le is not None else ''}"


def _texts(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ScenarioFault(f"{where}: {key} must be a list of texts, not {value!r}")
    return tuple(value)


def _kind(path: str, where: str) -> tuple[str, type[Any]]:
    """The table key and the class of a strategy."""
    known = dict(STRATEGIES)
    if path in known:
        return path, known[path]
    if ":" not in path:
        near = difflib.get_close_matches(path, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; built in: {', '.join(known) or 'none'}"
        raise ScenarioFault(f"{where}: strategy {path!r} is neither built in nor package.module:Class{hint}")
    kind = load_class(path)
    for attribute in ("name", "wants", "step"):
        if not hasattr(kind, attribute):
            raise ScenarioFault(f"{where}: strategy {path!r} has no {attribute}; see Reducer in ironcrab/loop.py")
    if not hasattr(kind, "Params"):
        raise ScenarioFault(f"{where}: strategy {path!r} has no Params, a msgspec Struct of its parameters")
    return str(kind.name), kind


def _put(
    tree: dict[str, Any], origins: dict[tuple[str, str], str], models: dict[str, type[Any]], pairs: Pairs, origin: str
) -> None:
    """Put `table.key=value` pairs over the file's values."""
    for dotted, text in pairs:
        table, _, key = dotted.partition(".")
        if table not in models or key not in models[table].__struct_fields__:
            raise ScenarioFault(f"--set {dotted}: no such parameter; run: ironcrab params SCENARIO")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        tree[table] = {**tree.get(table, {}), key: value}
        origins[table, key] = origin


def table_of(model: type[Any], values: Any, table: str, where: str) -> Any:
    """A table's values as its Params Struct; ScenarioFault for an unknown key or a value out of range."""
    if not isinstance(values, dict):
        raise ScenarioFault(f"{where}: [{table}] must be a table, not {values!r}")
    for key in values:
        if key not in model.__struct_fields__:
            near = difflib.get_close_matches(key, model.__struct_fields__, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "; run: ironcrab params SCENARIO"
            raise ScenarioFault(f"{where}: [{table}] has no parameter {key!r}{hint}")
    try:
        return msgspec.convert(values, model)
    except msgspec.ValidationError as error:
        raise ScenarioFault(f"{where}: [{table}] {error}; run: ironcrab params SCENARIO") from error


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
