"""The house rules as tests: sizes, docstrings, glossary words, registries, determinism, nothing of a machine."""

import ast
import importlib
import pkgutil
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

import ironcrab
from ironcrab.app.cli import COMMANDS
from ironcrab.dex import VENUES
from ironcrab.domain import ask, control, market, trade
from ironcrab.domain.event import EVENTS
from ironcrab.execution.housekeepers import HOUSEKEEPERS
from ironcrab.strategy import STRATEGIES

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for path in (ROOT / "ironcrab").rglob("*.py") if "proto" not in path.parts)
PURE = ("domain", "dex", "ingest", "market", "strategy", "execution")
MODULE_LINES = 600
FUNCTION_LINES = 60
GENERATED = ROOT / "ironcrab" / "ingest" / "proto"

BANNED_MODULES = ("utils", "util", "helpers", "helper", "common", "base", "misc", "manager", "core", "shared")
ALLOWED_CLASSES = ("WsolManager",)
REJECTED_WORDS = {
    "journal": "log",
    "archive": "seal",
    "chunked_segment": "segment",
    "trace_id": "cause",
    "payload": "event",
    "envelope": "record",
    "baseline": "golden",
    "fixture": "golden",
    "handler": "reducer or outlet",
    "processor": "reducer",
    "callback": "answer",
    "validate": "verify or check",
    "txid": "signature",
    "estimate": "quote",
    "reservation": "lock",
}
GLOSSARY_EXEMPT = {"CrossDexHandler", "base_estimate"}


def functions(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(node):
    """Lines of a function without its docstring."""
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= first.end_lineno - first.lineno + 1
    return lines


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_small_and_documented(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MODULE_LINES, f"{path.name} has grown past {MODULE_LINES} lines; split it by noun"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path.name} has no docstring"
    for node in functions(tree):
        assert body_lines(node) <= FUNCTION_LINES, f"{path.name}:{node.lineno} {node.name} is too long to see whole"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name} has no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_words_of_the_glossary(path):
    assert path.stem not in BANNED_MODULES, f"{path.name}: name it by the noun of what it holds"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name not in GLOSSARY_EXEMPT:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Manager"):
                assert node.name in ALLOWED_CLASSES, f"{path.name}:{node.lineno} {node.name}: no managers"
            for word in re.findall(r"[A-Z]?[a-z]+", node.name):
                better = REJECTED_WORDS.get(word.lower())
                assert better is None, f"{path.name}:{node.lineno} {node.name}: say {better}, not {word.lower()}"


def set_typed(node):
    """Does this expression make a set?"""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.parts[len(ROOT.parts) + 1] in PURE],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_what_decides_is_deterministic(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.comprehension):
            assert not set_typed(node.iter), f"{path.name}:{getattr(node.iter, 'lineno', '?')} iterates a set"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("hash", "id", "open", "float"), (
                f"{path.name}:{node.lineno} calls {node.func.id}()"
            )
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            raise AssertionError(f"{path.name}:{node.lineno} has a float; integers decide")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            raise AssertionError(f"{path.name}:{node.lineno} divides to a float; name the rounding")


def test_every_event_is_registered():
    tagged = [
        kind
        for module in (market, trade, ask, control)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
        and kind.__struct_config__.tag is not None
    ]
    assert sorted(kind.__name__ for kind in tagged) == sorted(kind.__name__ for kind in EVENTS)


def test_every_venue_and_strategy_file_is_registered():
    venues = [
        importlib.import_module(f"ironcrab.dex.{info.name}")
        for info in pkgutil.iter_modules(importlib.import_module("ironcrab.dex").__path__)
    ]
    assert [v.VENUE.id for v in venues if hasattr(v, "VENUE") and v.VENUE not in VENUES] == []
    assert len({venue.id for venue in VENUES}) == len(VENUES) == 6
    for key, kind in STRATEGIES:
        assert key
        assert kind.name
        assert kind.__doc__


@pytest.mark.parametrize("key", [key for key, _ in (*STRATEGIES, *HOUSEKEEPERS)] + ["engine"])
def test_every_parameter_is_documented(key):
    from ironcrab.execution.engine import ExecutionEngine

    kind = dict((*STRATEGIES, *HOUSEKEEPERS)).get(key, ExecutionEngine)
    for field in msgspec.structs.fields(kind.Params):
        meta = next((m for m in getattr(field.type, "__metadata__", ()) if isinstance(m, msgspec.Meta)), None)
        assert meta is not None, f"{key}.{field.name} has no Meta"
        assert meta.description, f"{key}.{field.name} does not say what it means"


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, _, text in COMMANDS:
        assert f"ironcrab {name}" in readme, f"README says nothing of `ironcrab {name}`"
        assert text.endswith(".")


def test_public_names_are_sorted():
    import ironcrab.dex

    assert list(ironcrab.dex.__all__) == sorted(
        ironcrab.dex.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)
    )
    for name in ironcrab.dex.__all__:
        assert hasattr(ironcrab.dex, name)


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    return [ROOT / name for name in listed]


def test_nothing_of_a_machine_is_tracked():
    machine = re.compile(r"(?<![\w.])/(work|root|home)/[A-Za-z0-9_.-]+|index-url|pypi\.org/simple|files\.pythonhosted")
    for path in tracked():
        if path.suffix in (".parquet", ".png", ".snap", ".zst") or path == Path(__file__) or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        found = machine.search(text)
        assert found is None, f"{path.relative_to(ROOT)} names {found[0]!r}"


def test_unfinished_marks_are_nowhere():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        for mark in ("NotImplementedError", "TO" + "DO", "FIX" + "ME", "X" + "XX"):
            assert mark not in text, f"{path.name} holds {mark}"


def test_version_is_one():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == ironcrab.__version__
    assert f"## {ironcrab.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
