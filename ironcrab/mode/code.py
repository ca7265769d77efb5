"""The code a run is made of: loading reducers by name, refusing impure ones, digests without comments."""

import ast
import importlib
import re
import sys
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from blake3 import blake3

from ironcrab.domain.fault import ScenarioFault

FORBIDDEN = (
    "asyncio",
    "time",
    "datetime",
    "random",
    "uuid",
    "secrets",
    "os",
    "sys",
    "socket",
    "ssl",
    "select",
    "signal",
    "subprocess",
    "multiprocessing",
    "concurrent",
    "threading",
    "locale",
    "tempfile",
    "pathlib",
    "shutil",
    "io",
    "urllib",
    "http",
    "requests",
    "httpx",
    "aiohttp",
    "importlib",
    "ctypes",
    "builtins",
    "gc",
    "glob",
    "inspect",
    "logging",
    "pkgutil",
    "platform",
    "posix",
    "runpy",
    "sqlite3",
    "sysconfig",
    "zoneinfo",
    "_random",
    "_socket",
    "_thread",
    "grpc",
    "nats",
    "pyarrow",
    "polars",
    "duckdb",
)
"""Modules by which a reducer could see the world; loading one that imports any of them is refused."""

FORBIDDEN_CALLS = ("open", "hash", "id", "input", "exec", "eval", "__import__", "breakpoint")
"""Builtins that see the world or the process; `hash` and `id` differ between two runs of the same log."""

FORBIDDEN_NAMES = ("exec", "eval", "__import__", "__builtins__")
"""Those of them that may not even be named: under another name they would do the same."""

INSTALLED = frozenset(("site-packages", "dist-packages"))
"""Folders of installed packages, which are not a user's own code."""

_STRING_OR_COMMENT = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*''',
    re.DOTALL,
)
_IMPORT = re.compile(r"(?:\bfrom[ \t]*([.\w]+)[ \t]*)?\bimport\b[ \t]*(\([^)]*\)|[^\n;]+)")
"""Where it comes from (empty: `import a, b`), and the names as they stand."""


def load_class(path: str) -> type[Any]:
    """The class at `package.module:Class`, after every module of the user's that it imports was found pure.

    Raises:
        ScenarioFault: no such module or class, or an impure import or call (names file and line).
    """
    module_name, _, class_name = path.partition(":")
    if not module_name or not class_name:
        raise ScenarioFault(f"strategy {path!r} is neither a built-in name nor package.module:Class")
    if not module_name.startswith("ironcrab."):
        for module in _closure(module_name):
            _refuse_impure(module)
    try:
        loaded = importlib.import_module(module_name)
    except ImportError as error:
        raise ScenarioFault(
            f"strategy {path!r}: cannot import {module_name} ({error}); is it on PYTHONPATH?"
        ) from error
    except Exception as error:
        raise ScenarioFault(
            f"strategy {path!r}: importing {module_name} raised {type(error).__name__}: {error}; mend it there"
        ) from error
    found = getattr(loaded, class_name, None)
    if not isinstance(found, type):
        raise ScenarioFault(f"strategy {path!r}: {loaded.__file__} has no class {class_name}")
    return found


def is_here(path: str) -> bool:
    """Whether the module of `package.module:Class` can be found; nothing of it is run."""
    return _file(path.partition(":")[0]) is not None


def source_digest(kind: type[Any]) -> str:
    """Digest of a class's module and every module of the same packages that it imports, comments left out."""
    return _digest(kind.__module__)


@cache
def _digest(module: str) -> str:
    hasher = blake3()
    for name in _closure(module):
        hasher.update(name.encode() + b"\0" + _without_comments(name).encode() + b"\0")
    return hasher.hexdigest(length=16)


def _closure(module: str) -> tuple[str, ...]:
    """The module and all of the user's own modules that it reaches, sorted by name; ours: those of ironcrab."""
    root = module.partition(".")[0]
    seen: dict[str, None] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen or _file(name) is None:
            continue
        seen[name] = None
        todo.extend(found for found in _imports(name) if _is_near(found, root, module))
    return tuple(sorted(seen))


def _is_near(name: str, root: str, module: str) -> bool:
    """Is this module the user's own: the same package, a file in the folder of the first one, or not installed?"""
    top = name.partition(".")[0]
    if top == root:
        return True
    here, there = _file(module), _file(name)
    if here is None or there is None or root == "ironcrab":
        return False
    is_own = top != "ironcrab" and top not in sys.stdlib_module_names and not INSTALLED.intersection(there.parts)
    return is_own or there.is_relative_to(here.parent)


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Module names that `name` imports, submodules named by `from package import submodule` included.

    `import` is a keyword: outside strings and comments it stands in import statements only. That spares a parser,
    which would take most of the time of explaining one decision.
    """
    found: list[str] = []
    package = name if _is_package(name) else name.rpartition(".")[0]
    bare = _STRING_OR_COMMENT.sub(lambda match: "\n" * match[0].count("\n"), _source(name)).replace("\\\n", " ")
    for base, names in _IMPORT.findall(bare):
        words = [word.split()[0] for word in names.strip("()").split(",") if word.strip()]
        if not base:
            found.extend(words)
            continue
        dots = len(base) - len(base.lstrip("."))
        told = base[dots:]
        if dots:
            parts = package.split(".")
            told = ".".join([*parts[: len(parts) - dots + 1], *([told] if told else [])])
        found.append(told)
        if _is_package(told):
            found.extend(f"{told}.{word}" for word in words)
    return tuple(found)


@cache
def _file(name: str) -> Path | None:
    """The source file of a module, None where it has none (built in, compiled, absent, or only an attribute).

    Nothing is imported on the way, not even a parent package: a module is judged before any of it runs.
    """
    spec = None
    where: list[str] | None = None
    parts = name.split(".")
    for index in range(len(parts)):
        try:
            spec = PathFinder.find_spec(".".join(parts[: index + 1]), where)
        except KeyError:
            # a package without __init__ in another one: Python wants the outer one imported, which is not judged yet
            spec, where = None, [str(Path(entry) / parts[index]) for entry in where or ()]
            continue
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is None:
            return None
        where = list(spec.submodule_search_locations or ())
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _is_package(name: str) -> bool:
    path = _file(name)
    return path is not None and path.name == "__init__.py"


@cache
def _source(name: str) -> str:
    path = _file(name)
    if path is None:
        raise ScenarioFault(f"module {name} has no source file")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioFault(f"{path} cannot be read as a Python source ({error}); mend it there") from error


def _tree(name: str) -> ast.Module:
    """The parsed source of a module; ScenarioFault where it is no Python."""
    try:
        return ast.parse(_source(name))
    except (SyntaxError, ValueError) as error:
        at = error.lineno if isinstance(error, SyntaxError) else 0
        raise ScenarioFault(f"{_file(name)}:{at}: this is no Python ({error}); mend it there") from error


@cache
def _without_comments(name: str) -> str:
    """A module's source with comments, blank lines and trailing blanks gone; the same on every Python version."""
    source = _STRING_OR_COMMENT.sub(lambda match: "" if match[0][0] == "#" else match[0], _source(name))
    return "\n".join(line.rstrip() for line in source.splitlines() if line.strip())


def _refuse_impure(module: str) -> None:
    """Raise a ScenarioFault that names the line at which this module could see the world."""
    path = _file(module)
    for node in ast.walk(_tree(module)):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        for name in _imported(node):
            if name.partition(".")[0] in FORBIDDEN:
                raise ScenarioFault(
                    f"{where}: a reducer may not import {name}: "
                    "time, ids and outside facts come from the log; remove the import"
                )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            raise ScenarioFault(
                f"{where}: a reducer may not call {node.func.id}(): it would not replay identically; remove the call"
            )
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            raise ScenarioFault(
                f"{where}: a reducer may not name {node.id}: it would not replay identically; remove it"
            )


def _imported(node: ast.AST) -> list[str]:
    """The modules an import statement names; also one that is taken out of a module of Python's own library."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom) or node.level:
        return []
    told = node.module or ""
    is_library = told.partition(".")[0] in sys.stdlib_module_names
    return [told, *(alias.name for alias in node.names if is_library)]


def path_of(kind: type[Any]) -> str:
    """`package.module:Class` of a class."""
    return f"{kind.__module__}:{kind.__qualname__}"


def module_of(kind: type[Any]) -> ModuleType:
    """The module a class was made in."""
    return importlib.import_module(kind.__module__)
