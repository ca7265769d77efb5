"""The digest of a run's code: comments do not count, and every module that is imported does."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

from ironcrab.domain.fault import ScenarioFault
from ironcrab.mode import code

ROOT = Path(__file__).parents[2]
OURS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(ROOT.glob("ironcrab/**/*.py"))
    if "proto" not in path.parts
]
OTHERS = ["argparse", "gettext", "asyncio.base_events", "json.decoder", "email.message", "typing", "tokenize", "locale"]
ODD = '''
from .near import (  # a comment
    thing as other,
    more,
)
import a.b as c, d; x = 1; import e  # import f
if x: from g import h
text = "# no comment \\" import i" + \'\'\'
import j # still text
\'\'\' + r"\\" # but this is one: 'import k'
raise ValueError from None
import l
from m \\
    import n
def f(): """import o"""; yield from p
'''


def slow_text(source):
    """What the tokenizer says the text without comments is."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def slow_imports(name):
    """What the parser says is imported, as far as it has a source."""
    package = name if code._is_package(name) else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(code._source(name))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def with_source(names):
    return {name for name in names if code._file(name) is not None}


@pytest.mark.parametrize("name", [*OURS, *OTHERS])
def test_text_and_imports_are_those_of_tokenizer_and_parser(name):
    assert code._without_comments(name) == slow_text(code._source(name))
    assert with_source(code._imports(name)) == with_source(slow_imports(name))


def test_odd_ways_to_import(tmp_path, monkeypatch):
    (tmp_path / "odd_pack").mkdir()
    (tmp_path / "odd_pack" / "__init__.py").write_text("")
    (tmp_path / "odd_pack" / "mine.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(code._imports("odd_pack.mine")) == {"odd_pack.near", "a.b", "d", "e", "g", "l", "m"}
    assert code._without_comments("odd_pack.mine") == slow_text(ODD)


def test_a_source_that_is_no_text_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "odd_bytes.py").write_bytes(b"x = '\xff'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ScenarioFault, match=r"odd_bytes\.py cannot be read"):
        code.load_class("odd_bytes:Mine")


REDUCER = "class S:\n    def step(self, seq, event):\n        {}\n        return ()\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import random", "import random"),
        ("from os import path", "import os"),
        ("import os.path as where", "import os.path"),
        ("import importlib; importlib.import_module('time')", "import importlib"),
        ("__import__('time')", "__import__"),
        ("take = __import__", "__import__"),
        ("import builtins", "import builtins"),
        ("__builtins__['hash']('a')", "__builtins__"),
        ("exec('import time')", "exec"),
        ("run = eval", "eval"),
        ("from logging import time", "import logging"),
        ("from calendar import datetime", "import datetime"),
        ("return hash('a')", "hash()"),
        ("import elsewhere_lib.inner", "import time"),
    ],
)
def test_what_a_reducer_may_not_do_names_the_line(line, said, tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there" / "elsewhere_lib"
    here.mkdir()
    there.mkdir(parents=True)
    (there / "__init__.py").write_text("")
    (there / "inner.py").write_text("X = 1\nimport time\n")
    name = f"reducer_{code.blake3(line.encode()).hexdigest(length=4)}"
    (here / f"{name}.py").write_text(REDUCER.format(line))
    monkeypatch.syspath_prepend(here)
    monkeypatch.syspath_prepend(tmp_path / "there")
    with pytest.raises(ScenarioFault) as refused:
        code.load_class(f"{name}:S")
    at = f"{there / 'inner.py'}:2:" if "elsewhere" in line else f"{here / name}.py:3:"
    assert str(refused.value).startswith(at)
    assert said in str(refused.value)


def test_the_own_library_elsewhere_counts_and_python_s_own_does_not(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "whim_of_mine.py").write_text(
        "import json\nimport msgspec\nimport luck_of_mine\nclass S: ...\n"
    )
    (tmp_path / "two" / "luck_of_mine.py").write_text("SEVEN = 7\n")
    monkeypatch.syspath_prepend(tmp_path / "one")
    monkeypatch.syspath_prepend(tmp_path / "two")
    assert code.load_class("whim_of_mine:S").__name__ == "S"
    assert code._closure("whim_of_mine") == ("luck_of_mine", "whim_of_mine")
