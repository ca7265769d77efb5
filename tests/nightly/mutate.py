"""One comparison edited at a time: does `verify` notice? Prints the edits that leave every golden at exit 0.

    python tests/nightly/mutate.py [PATH ...]      PATH below ironcrab/, e.g. strategy/gates.py; default strategy execution

Each edit takes the place of its function in a process of its own, which verifies the goldens of recordings/ that run its
lines, those first that noticed other edits of the function, until one is not identical. Edited are, inside functions:
each operator of a comparison (`<` and `<=`, `>` and `>=`, `==` and `!=`, `is` and `is not`, `in` and `not in`), each
condition (negated), `and` and `or`, `min` and `max`, and each integer that stands in a comparison or in `min` or `max`,
one up and one down.

An edit counts as noticed too where the reducer raises or does not end within TIME_LIMIT seconds of computing. EQUIVALENT lists
edits that no input can tell from the code, each with its reason; an entry that no survivor of its module met is told, for its
code is gone or a golden notices it by now. Exit 0: what survives is listed there, and nothing else is; 2: the goldens are not
identical to begin with; 3: something else survives, or an entry was not met. Some twenty minutes on one core for everything.
"""

import ast
import gc
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

ROOT = Path(__file__).parents[2]
GOLDENS = (
    "momentum-checks",
    "momentum-switches",
    "momentum-regimes",
    "arbitrage-checks",
    "arbitrage-switches",
    "ema-checks",
    "engine-checks",
    "engine-corners",
    "engine-plans",
    "housekeepers",
    "housekeeper-corners",
    "interrupted",
    "mainnet-block-332254908",
    "whirlpool-2022-04-06",
)
"""In the order they are asked, until it is learned who notices most; one that is not there is left out."""
TIME_LIMIT = 20
NO_GOLDEN = ("strategy/wish.py",)
"""Modules that no built-in strategy imports: words for strategies of one's own, tested in tests/examples."""
SWAPPED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
NEVER_NEGATIVE = "a slot or an amount, which is never below zero"
MADE_ANEW = "windows are a cache: made anew they count the same"
LET_GO = "candles are a cache: those that are let go are older than any base"
LONG_AGO = "no run is of 1970: what was never filled was filled long ago"
CEILING = "a ceiling saves counting: at its edge the count says the same"
HALVED = "half of what goes in is taken off or added: what is left is above zero"
TOO_MANY = "one more or less of some thousand: too many for a golden"
NOT_SAID = "any number says that none is open, only None says that one is"
ONE_NAMED = "which token program is tried first: the swaps name the account of one of them"
NOBODY_PAYS = "nobody pays for nothing, so a position of nothing is never sold"
FED = "the feed is told no later than now"
RESTORED = (
    "a fresh row knows of nothing and holds nothing; others come only out of snapshots, which verify does not read"
)
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("strategy/features.py", "Features.windows_of", "windows.flow is not flow: operator"): MADE_ANEW,
    ("strategy/candles.py", "Candles.follow", "self.next < flow.dropped: operator"): (
        "candles of which all trades were let go are older than any base"
    ),
    ("strategy/candles.py", "Candles.follow", "if len(candles) > most + SPARE: negated"): LET_GO,
    ("strategy/candles.py", "Candles.follow", "len(candles) > most + SPARE: operator"): LET_GO,
    ("strategy/candles.py", "cheaper", "one.base * other.quote >= other.base * one.quote: operator"): (
        "two prices that are equal give the same ratio"
    ),
    ("strategy/windows.py", "Sums.follow", "self.low < dropped: operator"): MADE_ANEW,
    ("strategy/windows.py", "Buyers.follow", "self.low < dropped: operator"): MADE_ANEW,
    ("strategy/windows.py", "Buyers.within", "top1 >= whole: operator"): CEILING,
    ("strategy/windows.py", "Buyers.within", "top3 >= whole: operator"): CEILING,
    ("strategy/windows.py", "Buyers.within", "(one + surplus) * whole <= top1 * bought: operator"): CEILING,
    ("strategy/windows.py", "Buyers.within", "(three + surplus) * whole <= top3 * bought: operator"): CEILING,
    ("strategy/book.py", "Book.intended", "len(state.wishes) > MOST_WISHES: operator"): (
        "one of 1,024 wishes more or less: the oldest is answered long before"
    ),
    ("strategy/momentum.py", "Momentum._removed", "len(removals) > MOST_REMOVALS: operator"): (
        "one of 4,096 mints more or less: too many for a golden"
    ),
    (
        "strategy/momentum.py",
        "Momentum._removed",
        "max(removals.pop(mint, 0), self.now.slot if event.slot is None else event.slot): 0 -> -1",
    ): NEVER_NEGATIVE,
    (
        "strategy/momentum.py",
        "Momentum._orphaned",
        "position.slot < event.orphaned_slot <= position.mark_slot: operator (1.)",
    ): "in the slot of the entry no mark was taken, so the marks counted again are the same",
    ("strategy/momentum.py", "Momentum._consider", "found[0] == row.code: 0 -> 1"): "saves saying what _say drops",
    ("strategy/momentum.py", "Momentum._consider", "found[0] == row.code: 0 -> -1"): "saves saying what _say drops",
    ("strategy/momentum.py", "Momentum._expected", "max(1, pool.trade_quote): 1 -> 0"): (
        "a pool that passed the gates has a last trade of both amounts"
    ),
    ("strategy/intents.py", "least", "max(0, BPS - slippage_bps): 0 -> -1"): (
        "the range of every slippage ends at 10,000 bps: beyond it the source's number is tested in tests/strategy"
    ),
    ("strategy/arb_legs.py", "Trip.spread_bps", "gross >= 0: operator"): "nought has no sign",
    ("strategy/arb_legs.py", "Trip.spread_bps", "gross >= 0: 0 -> 1"): "nought has no sign",
    ("strategy/arb_legs.py", "Quoter.sized", "0 < amount <= most: operator (1.)"): HALVED,
    ("strategy/arb_legs.py", "Quoter.sized", "0 < amount <= most: 0 -> 1"): (
        "a size of one comes only after itself and earns no more"
    ),
    ("strategy/arb_legs.py", "Quoter.sized", "0 < amount <= most: 0 -> -1"): HALVED,
    ("strategy/arb_pairs.py", "best_pair", "_order(trip) < _order(best): operator"): "no pair is tried twice",
    ("strategy/arb_pairs.py", "gap_bps", "quote * cheapest[0] < cheapest[1] * base: operator"): (
        "two prices that are equal give the same ratio"
    ),
    ("strategy/arb_pairs.py", "gap_bps", "quote * dearest[0] > dearest[1] * base: operator"): (
        "two prices that are equal give the same ratio"
    ),
    ("execution/cross_dex.py", "Round.spread_bps", "gross >= 0: operator"): "nought has no sign",
    ("execution/cross_dex.py", "Round.spread_bps", "gross >= 0: 0 -> 1"): "nought has no sign",
    (
        "execution/cross_dex.py",
        "CrossDexHandler._must_earn",
        "max(self.params.min_profit_after_fees_bps, 0): 0 -> -1",
    ): ("a share below nought is less than the one lamport that is asked in any case"),
    ("execution/progress.py", "confirm_result", "max(now_ms - attempt.asked_ms, 0): 0 -> -1"): (
        "no answer comes before its ask"
    ),
    ("execution/locks.py", "Pools._count", "row.protected_until_ms <= now_ms: operator"): (
        "a source whose protection ends now is protected no more, remembered or not"
    ),
    ("execution/positions.py", "PositionAuthority.sold", "0 < raw <= position.costed_raw: operator (1.)"): (
        "a sale of nothing is none: its caller leaves it out"
    ),
    ("execution/positions.py", "PositionAuthority.sold", "0 < raw <= position.costed_raw: 0 -> -1"): NEVER_NEGATIVE,
    (
        "execution/positions.py",
        "PositionAuthority.prune",
        "now_ms - (position.filled_ms or 0) > kept_ms: 0 -> 1",
    ): LONG_AGO,
    (
        "execution/positions.py",
        "PositionAuthority.prune",
        "now_ms - (position.filled_ms or 0) > kept_ms: 0 -> -1",
    ): LONG_AGO,
    (
        "execution/limits.py",
        "Losses.rest",
        "until <= now_ms: operator",
    ): "rested either way: cooldown compares the time",
    ("execution/locks.py", "Asset._conserved", "self.available >= 0 <= self.locked: 0 -> -1"): (
        "a proof of what always holds"
    ),
    **dict.fromkeys(
        (
            ("execution/checks.py", "_unlike_others", f"hashes.get(one.plan_hash, 0) < case.now_ms: 0 -> {number}")
            for number in (1, -1)
        ),
        "no run is of 1970: what is not remembered is under way no more",
    ),
    **dict.fromkeys(
        (
            ("execution/recovery.py", "request", "state.cooling.get(mint, 0) > now_ms: 0 -> 1"),
            ("execution/recovery.py", "request", "state.cooling.get(mint, 0) > now_ms: 0 -> -1"),
            ("execution/recovery.py", "waits", "now_ms <= state.recoveries.get(waiting.request, -1): 1 -> 2"),
            ("execution/recovery.py", "waits", "now_ms <= state.recoveries.get(waiting.request, -1): 1 -> 0"),
        ),
        "no run is of 1970: what is not remembered has ended",
    ),
    ("execution/recovery.py", "request", "len(state.cooling) > MOST_COOLING: operator"): TOO_MANY,
    ("execution/exact.py", "Fresh.least", "max(BPS - bps, 0): 0 -> -1"): "make_plan asks for one unit at least",
    ("execution/exact.py", "age", "max(known.now.slot - slot, 0): 0 -> -1"): FED,
    ("execution/exact.py", "age", "max(known.now.time - time, 0): 0 -> -1"): FED,
    ("execution/exact.py", "age", "max(known.now.time - time, 0): 0 -> 1"): "a nanosecond is no millisecond",
    ("execution/locks.py", "Asset.__post_init__", "self.known < 0: operator"): RESTORED,
    ("execution/locks.py", "Asset.__post_init__", "self.known < 0: 0 -> 1"): RESTORED,
    **dict.fromkeys(
        (
            ("execution/engine.py", "ExecutionEngine.undecided", f"{text}")
            for text in (
                "if not self.state.waiting or self._all_wait(under_way): negated",
                "not self.state.waiting or self._all_wait(under_way): and <-> or",
            )
        ),
        "asked by the shell alone, whose ticks the log holds: a golden made anew has others",
    ),
    **dict.fromkeys(
        (
            ("execution/engine.py", "ExecutionEngine._all_wait", f"{text}: operator")
            for text in (
                "under_way < state.params.max_concurrent_intents",
                "self.now_ms > soonest.until_ms",
                "slot > soonest.until_slot",
            )
        ),
        "it saves counting: whom it does not rule out is asked one by one",
    ),
    ("execution/engine.py", "ExecutionEngine._all_wait", "soonest.waiting is not state.waiting: operator"): (
        "made anew each time it says the same; the list is another one only in a state that was put back"
    ),
    ("execution/engine.py", "ExecutionEngine._note_hash", "len(hashes) > MOST_HASHES: operator"): TOO_MANY,
    ("execution/learned.py", "learn_units", "len(state.units) > MOST_SERIES: operator"): TOO_MANY,
    ("execution/liquidation.py", "Liquidation._position", "len(positions) > MOST_MINTS: operator"): TOO_MANY,
    (
        "execution/engine.py",
        "ExecutionEngine._note_hash",
        "case.plan is not None and case.plan.calls: and <-> or",
    ): "a plan of terms has the hash of its terms, which is no message's",
    (
        "execution/engine.py",
        "ExecutionEngine._asked",
        "attempt is not None and attempt.number == ask.attempt and (attempt.phase == phase): and <-> or",
    ): "an own ask is folded in the turn that said it: all three hold",
    (
        "execution/building.py",
        "built",
        "WSOL in [leg.output_mint for leg in legs[:-1]]: 1 -> 2",
    ): "no last leg leads from SOL to SOL",
    **dict.fromkeys(
        (
            ("execution/building.py", "_programs", text)
            for text in (
                "if mint in (resources.input_mint, resources.output_mint): negated",
                "mint in (resources.input_mint, resources.output_mint): operator",
                "if mint == WSOL: negated",
                "mint == WSOL: operator",
            )
        ),
        ONE_NAMED,
    ),
    **dict.fromkeys(
        (
            ("execution/liquidation.py", "Liquidation.step", f"job.said.get(mint, 0) is None: 0 -> {number}")
            for number in (1, -1)
        ),
        NOT_SAID,
    ),
    **dict.fromkeys(
        (
            ("execution/liquidation.py", "Liquidation._position", f"event.balance_raw > 0: {text}")
            for text in ("operator", "0 -> -1")
        ),
        NOBODY_PAYS,
    ),
    **dict.fromkeys(
        (
            ("execution/liquidation.py", "Liquidation._sells", f"job.tries.get(mint, 0) >= TRIES: 0 -> {number}")
            for number in (1, -1)
        ),
        "a mint not tried yet is below the tries by either number",
    ),
    **dict.fromkeys(
        (
            ("execution/liquidation.py", "Liquidation._sells", f"self.now_ms < job.rests.get(mint, 0): 0 -> {number}")
            for number in (1, -1)
        ),
        "no run is of 1970: what does not rest may be sold",
    ),
    (
        "execution/checks.py",
        "max_open_positions",
        "max(state.authority.balance(mint) or 0, state.capital.available(mint)): 0 -> -1",
    ): NEVER_NEGATIVE,
}
"""(file, function, edit) to the reason why no input can tell it from the code."""


class Edit:
    """One edit: where it stands and what it does to a copy of the tree; `path` leads from the tree to its node."""

    def __init__(self, file: str, function: str, node: ast.AST, text: str, change) -> None:
        self.file = file
        self.function = function
        self.line, self.end = node.lineno, node.end_lineno
        self.text = text
        self.change = change

    @property
    def key(self) -> tuple[str, str, str]:
        return self.file, self.function, self.text

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}: {self.text}"


def edits_of(file: str, tree: ast.Module) -> Iterator[Edit]:
    """Every edit of a module; `change` edits the tree in place and hands back how to undo it."""
    for function, node in functions(tree):
        for inner in own_nodes(node):
            yield from conditions(file, function, inner)
            if isinstance(inner, ast.Compare):
                yield from comparisons(file, function, inner)
            elif isinstance(inner, ast.BoolOp):
                other = ast.Or() if isinstance(inner.op, ast.And) else ast.And()
                yield Edit(file, function, inner, f"{short(inner)}: and <-> or", (inner, "op", other))
            elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in ("min", "max"):
                other = ast.Name("max" if inner.func.id == "min" else "min", ast.Load())
                yield Edit(
                    file, function, inner, f"{short(inner)}: {inner.func.id} -> {other.id}", (inner, "func", other)
                )
                yield from integers(file, function, inner, inner.args)


def functions(tree: ast.Module, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Functions with their names, methods as Class.method, inner ones within their outer one."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{node.name}.")


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body in the order of the text, annotations left out."""
    for statement in function.body:
        yield from sorted(
            (node for node in ast.walk(statement) if hasattr(node, "lineno")), key=lambda n: (n.lineno, n.col_offset)
        )


def conditions(file: str, function: str, node: ast.AST) -> Iterator[Edit]:
    """Each condition negated."""
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert) and not isinstance(node, ast.Assert):
        negated = ast.UnaryOp(ast.Not(), node.test)
        yield Edit(file, function, node, f"if {short(node.test)}: negated", (node, "test", negated))
    if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp):
        for part in node.generators:
            for index, test in enumerate(part.ifs):
                others = [*part.ifs]
                others[index] = ast.UnaryOp(ast.Not(), test)
                yield Edit(file, function, node, f"for if {short(test)}: negated", (part, "ifs", others))


def comparisons(file: str, function: str, node: ast.Compare) -> Iterator[Edit]:
    """Each operator swapped, each integer moved by one."""
    for index, op in enumerate(node.ops):
        others = [*node.ops]
        others[index] = SWAPPED[type(op)]()
        place = f" ({index + 1}.)" if len(others) > 1 else ""
        yield Edit(file, function, node, f"{short(node)}: operator{place}", (node, "ops", others))
    yield from integers(file, function, node, (node.left, *node.comparators))


def integers(file: str, function: str, node: ast.AST, parts) -> Iterator[Edit]:
    """Each integer within these parts, one up and one down."""
    for part in parts:
        for inner in ast.walk(part):
            if isinstance(inner, ast.Constant) and type(inner.value) is int:
                for by in (1, -1):
                    text = f"{short(node)}: {inner.value} -> {inner.value + by}"
                    yield Edit(file, function, node, text, (inner, "value", inner.value + by))


def short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def edited(tree: ast.Module, edit: Edit) -> CodeType:
    """The code of the edited function; the tree is as before."""
    node, name, value = edit.change
    before = getattr(node, name)
    setattr(node, name, value)
    code = compile(ast.fix_missing_locations(tree), edit.file, "exec")
    setattr(node, name, before)
    for part in edit.function.split("."):
        code = next(inner for inner in code.co_consts if isinstance(inner, CodeType) and inner.co_name == part)
    # what cannot take its place would raise in the other process, and pass for noticed
    if code.co_freevars != function_of(edit).__code__.co_freevars:
        raise ValueError(f"{edit}: {code.co_freevars} are free, not {function_of(edit).__code__.co_freevars}")
    return code


def function_of(edit: Edit) -> FunctionType:
    """The function itself, whatever stands round it."""
    found = importlib.import_module("ironcrab." + edit.file.removesuffix(".py").replace("/", "."))
    for part in edit.function.split("."):
        found = vars(found)[part]
    for name in ("fget", "func", "__func__", "__wrapped__"):
        found = getattr(found, name, found)
    if not isinstance(found, FunctionType):
        raise TypeError(f"{edit}: not a function but {found!r}")
    return found


def apart(said: Callable[[], str]) -> str:
    """What is said in a process of its own, which leaves no trace in this one."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = said()
        except BaseException as fault:  # noqa: BLE001 - whatever an edit makes the code raise is noticed
            told = f"{type(fault).__name__}: {fault}"
        with os.fdopen(write, "w") as pipe:
            pipe.write(told)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    return told if os.WIFEXITED(status) else "no end"


def noticed(golden: Path, edit: Edit | None = None, code: CodeType | None = None) -> str:
    """How this golden is not identical, with an edit; "" it is."""

    def said() -> str:
        resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT, TIME_LIMIT))
        if edit is not None and code is not None:
            function_of(edit).__code__ = code
        return judged(golden)

    return apart(said)


def judged(golden: Path) -> str:
    """How this golden is not identical."""
    from ironcrab.log.compare import Judge
    from ironcrab.log.recording import Recording
    from ironcrab.mode.verify import follow

    # the first word that differs is enough
    Judge._diverge = diverged
    verdict = follow(Recording.open(golden)).verdict
    return "" if verdict == "identical" else verdict


def read_once(goldens: list[Path]) -> None:
    """Verify all of them once in this process: what the others import and read, they find done."""
    from ironcrab.log.recording import Recording

    read, kept = Recording.records, {}

    def records(self, *args, **more):
        key = str(self.path), repr((args, more))
        if key not in kept:
            kept[key] = list(read(self, *args, **more))
        return iter(kept[key])

    Recording.records = records
    for golden in goldens:
        if told := judged(golden):
            print(f"before any edit: {golden.name}: {told}; make the goldens anew first: python tests/goldens/make.py")
            sys.exit(2)
    gc.freeze()


def lines_of(golden: Path, folders: tuple[str, ...]) -> dict[str, set[int]]:
    """The lines that verifying this golden runs, of modules whose paths begin with one of `folders`."""

    def said() -> str:
        seen: set[tuple[str, int]] = set()

        def within(frame, event, _):
            if event == "line":
                seen.add((frame.f_code.co_filename, frame.f_lineno))
            return within

        def entered(frame, _event, _):
            return within if frame.f_code.co_filename.startswith(folders) else None

        sys.settrace(entered)
        judged(golden)
        sys.settrace(None)
        return json.dumps(sorted(seen))

    lines: dict[str, set[int]] = {}
    for file, line in json.loads(apart(said)):
        lines.setdefault(file, set()).add(line)
    return lines


def diverged(_judge: object, seq: int, by: str, *_: object) -> None:
    """In place of counting it."""
    raise ValueError(f"seq {seq}: {by} says something else")


def files_of(names: list[str]) -> list[Path]:
    """The modules that these paths below ironcrab/ name, without those of NO_GOLDEN where a folder is named."""
    found = []
    for name in names:
        path = ROOT / "ironcrab" / name
        found += (
            sorted(set(path.glob("*.py")) - {ROOT / "ironcrab" / file for file in NO_GOLDEN})
            if path.is_dir()
            else [path]
        )
    return found


class Goldens:
    """Goldens with the lines that each runs; those that noticed most of a function's edits are asked first."""

    def __init__(self, paths: list[Path], package: Path, sources: list[str]) -> None:
        self.package = package
        self.wins: Counter[tuple[Path, str, str]] = Counter()
        folders = tuple(str(package / name) for name in sources)
        self.lines = {path: lines_of(path, folders) for path in paths}

    def notices(self, edit: Edit, code: CodeType) -> bool:
        """Whether one of them does."""
        runs = [
            path
            for path, lines in self.lines.items()
            if any(edit.line <= line <= edit.end for line in lines.get(str(self.package / edit.file), ()))
        ]
        for path in sorted(runs, key=lambda path: -self.wins[path, edit.file, edit.function]):
            if noticed(path, edit, code):
                self.wins[path, edit.file, edit.function] += 1
                return True
        return False


def survivors(source: Path, goldens: Goldens) -> tuple[int, list[Edit]]:
    """How many edits this module has, and those that nobody noticed."""
    name = source.relative_to(ROOT / "ironcrab").as_posix()
    tree = ast.parse(source.read_text(encoding="utf-8"))
    edits = list(edits_of(name, tree))
    left = []
    for edit in edits:
        if not goldens.notices(edit, edited(tree, edit)):
            left.append(edit)
            print(f"  {'listed' if edit.key in EQUIVALENT else 'SURVIVES'} {edit}", flush=True)
    return len(edits), left


def tell_unmet(source: Path, left: list[Edit]) -> int:
    """How many entries of EQUIVALENT for this module none of its survivors met; each is told."""
    name, met = source.relative_to(ROOT / "ironcrab").as_posix(), {edit.key for edit in left}
    unmet = [key for key in EQUIVALENT if key[0] == name and key not in met]
    for _, function, text in unmet:
        print(f"  NOT MET {name} {function}: {text}", flush=True)
    return len(unmet)


def main() -> int:
    """Edit, verify, count."""
    with tempfile.TemporaryDirectory() as scratch:
        # copies, so that it does not matter who makes goldens or edits code meanwhile
        shutil.copytree(ROOT / "recordings", Path(scratch) / "recordings")
        paths = [path for name in GOLDENS if (path := Path(scratch) / "recordings" / name).is_dir()]
        package = Path(scratch) / "ironcrab"
        shutil.copytree(ROOT / "ironcrab", package, ignore=shutil.ignore_patterns("__pycache__"))
        sys.path.insert(0, scratch)
        sources = files_of(sys.argv[1:] or ["strategy", "execution"])
        names = [source.relative_to(ROOT / "ironcrab").as_posix() for source in sources]
        # imported once here, not once for each edit
        for name in ("log.recording", "market.known", "mode.verify", *names):
            importlib.import_module("ironcrab." + name.removesuffix(".py").replace("/", "."))
        read_once(paths)
        goldens = Goldens(paths, package, names)
        count = unexplained = unmet = 0
        for source in sources:
            edits, left = survivors(source, goldens)
            new = [edit for edit in left if edit.key not in EQUIVALENT]
            count, unexplained = count + edits, unexplained + len(new)
            unmet += tell_unmet(source, left)
            print(
                f"{source.relative_to(ROOT)}: {edits} edits, {len(left) - len(new)} listed, {len(new)} survive",
                flush=True,
            )
        print(f"{count} edits, {unexplained} survive, {unmet} of the list were not met")
    return 3 if unexplained or unmet else 0


if __name__ == "__main__":
    sys.exit(main())
