"""The command line: every command, its exit code, its streams, its --json; bad input is one sentence."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from ironcrab.app.cli import COMMANDS

ROOT = Path(__file__).parents[2]
BLOCK = ROOT / "recordings" / "mainnet-block-332254908"
DAY = ROOT / "recordings" / "whirlpool-2022-04-06"
SCENARIO = ROOT / "scenarios" / "mainnet-block.toml"


def ironcrab(*args, cwd=None, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "ironcrab.app", *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **environment},
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def refused(*args, code=1, **more):
    """A refusal: the code, nothing on stdout, one sentence on stderr."""
    got, out, err = ironcrab(*args, **more)
    assert got == code, out + err
    assert out == ""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.strip()]
    assert sum(line.startswith(("error:", "Error:")) for line in lines) == 1, err
    return lines[-1]


def test_help_names_every_command():
    code, out, _ = ironcrab("--help")
    assert code == 0
    for name, _, text in COMMANDS:
        assert name in out
        assert text.split()[0] in out


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_has_help(name):
    code, out, err = ironcrab(name, "--help")
    assert code == 0, err
    assert out.startswith("Usage: ironcrab")


def test_a_mistyped_command_is_met_halfway():
    assert "Did you mean 'verify'?" in refused("verfy", code=2)


def test_imports_are_lazy():
    """--help loads neither pyarrow nor duckdb nor protobuf nor the venues."""
    script = (
        "import sys\nfrom ironcrab.app.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = [m for m in ('pyarrow', 'duckdb', 'google.protobuf', 'ironcrab.dex', 'msgspec') if m in sys.modules]\n"
        "sys.stderr.write(repr(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == "[]"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("verify", "nowhere"), "nowhere"),
        (("replay", ROOT / "scenarios"), "scenarios"),
        (("explain", BLOCK, "999999"), "999999"),
        (("explain", BLOCK, "dec-00000000-5"), "dec-00000000-5"),
        (("inspect", BLOCK, "9999999"), "9999999"),
        (("query", BLOCK, "select nonsense from trade"), "nonsense"),
        (("run", BLOCK, "no.toml", "--out", "x"), "no.toml"),
        (("run", BLOCK, SCENARIO, "--set", "momentum.nothing=1", "--out", "x"), "momentum.nothing"),
        (("import", "frames", "nothing.bin", "--out", "x"), "nothing.bin"),
        (("import", "ironcrab", ROOT / "scenarios", "--out", "x"), "no .jsonl file"),
        (("bless", BLOCK, "--because", " "), "--because"),
        (("slice", BLOCK, "--from", "5", "--to", "5", "--out", "x"), "nothing to cut"),
        (("decide", "nothing.jsonl", "--out", "x"), "nothing.jsonl"),
        (("quote", "Pool", "--accounts", "nothing.json", "--in", "M", "--amount", "1"), "nothing.json"),
        (("seal", "nowhere"), "nowhere"),
        (("export", "nowhere", "--out", "x"), "nowhere"),
        (("diff", BLOCK, "nowhere"), "nowhere"),
        (("check", "nowhere"), "nowhere"),
        (("why", DAY, "zzz", "--at", "2022-04-06T12:00:00", "--json"), ""),
    ],
)
def test_bad_input_is_one_sentence(args, said, tmp_path):
    if args[0] == "why":
        assert json.loads(ironcrab(*args)[1])["answer"] == "never seen"
        return
    sentence = refused(*args, cwd=tmp_path)
    assert said in sentence
    assert not (tmp_path / "x").exists()
    assert not list(tmp_path.glob(".x*"))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("inspect", BLOCK, "a..b"), "neither SEQ nor A..B"),
        (("why", BLOCK, "M", "--at", "noon"), "no UTC time"),
        (("slice", BLOCK, "--out", "x"), "--around"),
        (("check",), "--list"),
        (("run", BLOCK, SCENARIO, "--set", "momentum", "--out", "x"), "KEY=VALUE"),
        (("retain", BLOCK), "--max-age-hours"),
        (("quote", "A", "B", "--accounts", "f", "--in", "M", "--amount", "1"), "RECORDING POOL"),
    ],
)
def test_wrong_usage_is_exit_2(args, said, tmp_path):
    code, out, err = ironcrab(*args, cwd=tmp_path)
    assert code == 2
    assert out == ""
    assert said in err


SCENARIOS = [
    ("strategies = [", "no TOML"),
    ('strategies = ["momentun"]', "did you mean 'momentum'"),
    ("strategy = []", "unknown key 'strategy'"),
    ("[momentum]\nx = 1", "unknown key 'momentum'"),
    ('strategies = ["momentum"]\n[momentum]\nposition_lamport = 5', "did you mean 'position_lamports'"),
    ('strategies = ["momentum"]\n[momentum]\nposition_lamports = -5', "position_lamports"),
    ('strategies = ["momentum"]\n[momentum]\nposition_lamports = "many"', "position_lamports"),
    ('strategies = ["momentum", "momentum"]', "twice"),
    ('outlets = ["rocket"]', "'rocket' is unknown"),
    ("strategies = 5", "list of texts"),
    ('strategies = ["no.such.module:Class"]', "no.such.module"),
    ("engine = 7", "[engine] must be a table"),
]


@pytest.mark.parametrize(("text", "said"), SCENARIOS)
def test_a_bad_scenario_is_one_sentence(text, said, tmp_path):
    (tmp_path / "s.toml").write_text(text)
    sentence = refused("params", "s.toml", cwd=tmp_path)
    assert "s.toml" in sentence or "no.such" in sentence
    assert said in sentence


IMPURE = [
    ("import time", "time"),
    ("from datetime import datetime", "datetime"),
    ("import random as r", "random"),
    ("import os.path", "os.path"),
    ("x = hash('a')", "hash()"),
    ("y = open('f')", "open()"),
]


@pytest.mark.parametrize(("line", "named"), IMPURE)
def test_an_impure_strategy_is_refused_with_file_and_line(line, named, tmp_path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(f'"""Doc."""\n\n{line}\n')
    (package / "outer.py").write_text("from mine.inner import *\nclass Mine:\n    name = 'mine'\n")
    (tmp_path / "s.toml").write_text('strategies = ["mine.outer:Mine"]')
    sentence = refused("params", "s.toml", cwd=tmp_path)
    assert re.search(r"mine/inner\.py:3", sentence)
    assert named in sentence


USER_STRATEGY = '''
from msgspec import Struct, field
from ironcrab.domain.market import Trade
from ironcrab.domain.trade import Verdict

class Params(Struct, frozen=True):
    every: int = 10

class State(Struct):
    seen: dict[str, int] = field(default_factory=dict)

class Counter:
    """Says a verdict at every n-th trade of a pool."""
    Params, name, wants = Params, "counter", (Trade,)

    def __init__(self, params, known):
        self.params, self.state = params, State()

    def step(self, seq, event):
        count = self.state.seen[event.pool_address] = self.state.seen.get(event.pool_address, 0) + 1
        if count % self.params.every == 0:
            yield Verdict(self.name, event.mint, event.pool_address, "track", f"SEEN_{count}", "NotApplicable")
'''


def test_a_strategy_in_a_folder_of_the_users_own(tmp_path):
    (tmp_path / "mine.py").write_text(USER_STRATEGY)
    (tmp_path / "s.toml").write_text('strategies = ["mine:Counter"]\n[counter]\nevery = 3\n')
    code, out, err = ironcrab("run", DAY, "s.toml", "--out", "r", cwd=tmp_path)
    assert code == 0, out + err
    code, out, err = ironcrab("verify", "r", cwd=tmp_path)
    assert code == 0, out + err
    assert "identical" in out
    (tmp_path / "mine.py").write_text(USER_STRATEGY.replace("% self.params.every == 0", "% self.params.every == 1"))
    assert ironcrab("verify", "r", cwd=tmp_path)[0] == 3
    (tmp_path / "mine.py").unlink()
    code, out, err = ironcrab("verify", "r", cwd=tmp_path)
    assert code == 0, out + err
    assert "not judged" in out
    assert "records by counter" in out
    assert "identical" not in out


def test_json_of_every_reporting_command(tmp_path):
    out = tmp_path / "r"
    for args in (
        ("run", BLOCK, SCENARIO, "--out", out),
        ("params", SCENARIO),
        ("replay", out),
        ("verify", out),
        ("explain", out, "20"),
        ("why", out, "So"),
        ("inspect", out),
        ("diff", BLOCK, out),
        ("check", out),
        ("slice", out, "--from", "10", "--to", "60", "--out", tmp_path / "cut"),
        ("export", out, "--out", tmp_path / "exported"),
        ("seal", out),
        ("retain", out, "--max-bytes", "10", "--dry-run"),
        ("bless", out, "--because", "a test"),
        ("venues",),
    ):
        code, text, err = ironcrab(*args, "--json")
        assert code in (0, 3), f"{args}: {err}"
        assert json.loads(text) is not None, args
        assert err == "", args
    rows = ironcrab("query", out, "select seq, type from log order by seq limit 2", "--json")[1].splitlines()
    assert [json.loads(row)["seq"] for row in rows] == [0, 1]
    records = ironcrab("inspect", out, "0..3", "--json")[1].splitlines()
    assert [json.loads(row)["seq"] for row in records] == [0, 1, 2, 3]


def test_slice_around_a_decision_verifies_and_explains(tmp_path):
    code, text, _ = ironcrab("query", DAY, "select max(seq) s from decision_record", "--csv")
    seq = text.split()[-1]
    code, text, err = ironcrab("slice", DAY, "--around", seq, "--spread", "80", "--golden", "--out", tmp_path / "cut")
    assert code == 0, err
    code, text, err = ironcrab("verify", tmp_path / "cut")
    assert code == 0, text + err
    assert "identical" in text
    code, text, err = ironcrab("explain", tmp_path / "cut", seq)
    assert code == 0, err
    assert "identical bytes" in text
    assert "1 passed" in _pytest(tmp_path)
    manifest = tmp_path / "cut" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"golden": true', b'"golden": trUe'))
    text = _pytest(tmp_path)
    assert "1 failed" in text
    assert "manifest.json: bytes 0.." in text
    assert "Traceback" not in text


def _pytest(folder):
    installed = any(point.value == "ironcrab.app.pytest_plugin" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "ironcrab.app.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, folder], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout


def test_slice_by_slot_and_time(tmp_path):
    for begin, end in (("s128450000", "s128450200"), ("2022-04-06T05:00:00", "2022-04-06T05:02:00Z")):
        out = tmp_path / end.replace(":", "")
        code, text, err = ironcrab("slice", DAY, "--from", begin, "--to", end, "--out", out)
        assert code == 0, text + err
        assert ironcrab("verify", out)[0] == 0


def test_bless_accepts_a_change_and_keeps_the_reason(tmp_path):
    package = tmp_path / "edited"
    package.mkdir()
    subprocess.run(["cp", "-r", ROOT / "ironcrab", package], check=True)
    gates = package / "ironcrab" / "strategy" / "gates.py"
    gates.write_text(gates.read_text().replace("if unique < entry.min_unique_buyers", "if unique > 10**6"))
    golden = tmp_path / "golden"
    subprocess.run(["cp", "-r", BLOCK, golden], check=True)
    with_edit = {"PYTHONPATH": str(package), "cwd": package}
    assert ironcrab("verify", golden, **with_edit)[0] == 3
    code, text, err = ironcrab("bless", golden, "--because", "one buyer is enough", **with_edit)
    assert code == 0, text + err
    assert "differs" in text
    assert ironcrab("verify", golden, **with_edit)[0] == 0
    assert ironcrab("verify", golden)[0] == 3
    told = json.loads(ironcrab("inspect", golden, "--json")[1])
    assert told["blessed"] == ["one buyer is enough"]
    assert told["golden"] is True


@pytest.mark.parametrize("kind", ["own answers", "a slice"])
def test_a_blessed_change_leaves_every_other_decision_as_it_was(kind, tmp_path):
    """An answer follows the ask of its own attempt, so that one ask less does not move all that come after it."""
    golden = tmp_path / "golden"
    if kind == "a slice":
        target = ironcrab("query", DAY, "select min(seq) s from decision_record", "--csv")[1].split()[-1]
        assert ironcrab("slice", DAY, "--around", target, "--golden", "--out", golden)[0] == 0
        old, new = "if told > most:", "if told > most or case.waiting.said_ms % 7 == 0:"
    else:
        shutil.copytree(ROOT / "recordings" / "engine-checks", golden)
        old, new = "if required > most:", "if required >= most:"
    package = tmp_path / "edited"
    shutil.copytree(ROOT / "ironcrab", package / "ironcrab", ignore=shutil.ignore_patterns("__pycache__"))
    checks = package / "ironcrab" / "execution" / "checks.py"
    assert old in checks.read_text()
    checks.write_text(checks.read_text().replace(old, new))
    with_edit = {"PYTHONPATH": str(package), "cwd": package}
    before = json.loads(ironcrab("verify", golden, "--json", **with_edit)[1])
    code, text, err = ironcrab("bless", golden, "--because", "intended", "--json", **with_edit)
    assert code == 0, text + err
    code, text, _ = ironcrab("verify", golden, "--json", **with_edit)
    after = json.loads(text)
    assert (code, after["verdict"]) == (0, "identical")
    fewer = before["runs"][0]["derived"] - after["runs"][0]["derived"]
    assert 0 <= fewer <= 3 * sum(1 + one["following"] for one in before["runs"][0]["divergences"])
    assert json.loads(ironcrab("inspect", golden, "--json")[1])["blessed"] == ["intended"]


def test_sealed_files_are_read_with_nothing_of_ours():
    import duckdb
    import polars as pl
    import pyarrow.parquet as pq

    files = sorted((DAY / "segments").rglob("trade.parquet"))
    assert sum(pq.read_table(file).num_rows for file in files) == 9466
    assert sum(pl.read_parquet(file).height for file in files) == 9466
    for path in sorted((DAY / "segments").rglob("*.parquet")):
        assert pl.read_parquet(path).height == duckdb.sql(f"select count(*) from '{path}'").fetchall()[0][0]


def test_second_writer_is_refused(tmp_path):
    from ironcrab.domain.fault import LockFault
    from ironcrab.log.recording import Recording

    with Recording.create(tmp_path / "r", "ab" * 16), pytest.raises(LockFault, match="writ"):
        Recording.resume(tmp_path / "r")


@pytest.mark.parametrize("name", ["engine-checks", "mainnet-block-332254908"])
def test_blessing_what_did_not_change_changes_nothing_but_the_reason(name, tmp_path):
    copy = tmp_path / name
    subprocess.run(["cp", "-r", ROOT / "recordings" / name, copy], check=True)
    assert ironcrab("bless", copy, "--because", "nothing changed")[0] == 0
    assert ironcrab("diff", copy, ROOT / "recordings" / name)[0] == 0
    assert ironcrab("verify", copy)[0] == 0


NEWLINE = b"\n"


def _run_hot(folder):
    assert ironcrab("run", BLOCK, SCENARIO, "--hot", "--out", folder)[0] == 0
    (segment,) = (folder / "segments").glob("*.jsonl")
    return segment, segment.read_bytes()


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.77, 1])
def test_a_cut_hot_recording_gives_its_whole_records_and_tells_the_rest(fraction, tmp_path):
    cut = tmp_path / "cut"
    segment, data = _run_hot(cut)
    left = data[: int(len(data) * fraction) - 1]
    segment.write_bytes(left)
    whole = left.count(b"\n") - 1
    count = ("query", cut, "select count(*) as n from log", "--json")
    code, out, err = ironcrab(*count)
    assert (code, json.loads(out)["n"]) == (0, whole)
    assert "cut off" in err
    code, out, err = ironcrab("inspect", cut, "--json")
    assert (code, json.loads(out)["records"]) == (0, whole)
    assert f"{len(left) - left.rindex(NEWLINE) - 1} bytes of an incomplete last line" in err
    assert refused("verify", cut).endswith("keep what is left with: ironcrab seal")
    code, out, err = ironcrab("seal", cut)
    assert code == 0, err
    assert "kept in" in err
    assert ironcrab("verify", cut)[0] == 0
    assert json.loads(ironcrab(*count)[1])["n"] == whole


def test_a_recording_of_no_record_answers_queries(tmp_path):
    segment, _ = _run_hot(tmp_path / "cut")
    segment.write_bytes(b"")
    code, out, err = ironcrab("query", tmp_path / "cut", "select count(*) as n from log", "--json")
    assert (code, out) == (0, '{"n":0}\n'), err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_sentence():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ironcrab.app", "query", BLOCK, "select * from trade"],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: the system refused")
    assert done.stderr.count("\n") == 1


BROKEN = [
    ("def f(:", "mine.py:1: this is no Python"),
    ("x = 1 // 0", "importing mine raised ZeroDivisionError"),
]


@pytest.mark.parametrize(("line", "said"), BROKEN)
def test_a_strategy_that_cannot_be_loaded_is_one_sentence(line, said, tmp_path):
    (tmp_path / "mine.py").write_text(line + USER_STRATEGY)
    (tmp_path / "s.toml").write_text('strategies = ["mine:Counter"]')
    assert said in refused("params", "s.toml", cwd=tmp_path)


def test_a_strategy_that_raises_is_told_with_its_line(tmp_path):
    (tmp_path / "mine.py").write_text(USER_STRATEGY.replace("count %", "count // 0 %"))
    (tmp_path / "s.toml").write_text('strategies = ["mine:Counter"]')
    sentence = refused("run", BLOCK, "s.toml", "--out", "x", cwd=tmp_path)
    assert re.search(r"ZeroDivisionError: .*mine\.py:\d+ in step", sentence)
    assert not (tmp_path / "x").exists()


def test_a_replay_that_stops_early_counts_what_it_folded():
    report = json.loads(ironcrab("replay", BLOCK, "--until", "100", "--json")[1])
    assert (report["verdict"], report["records"]) == ("identical", 101)
    whole = json.loads(ironcrab("replay", BLOCK, "--slot", "332254908", "--json")[1])
    assert whole == json.loads(ironcrab("replay", BLOCK, "--json")[1])
    assert ironcrab("replay", BLOCK, "--until", "100")[1].count(" 101 records") == 1
    assert "begins at seq 0" in refused("replay", BLOCK, "--until", "-1")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("copy (select 1) to '{out}'", "only reads"),
        ("copy (select * from trade) to '{sealed}' (use_tmp_file false)", "only reads"),
        ("export database '{out}'", "only reads"),
        ("attach '{out}'", "only reads"),
        ("create table t as select 1", "only reads"),
        ("explain analyze copy (select 1) to '{out}'", "only reads"),
        ("set enable_external_access = true", "only reads"),
        ("select 1; copy (select 1) to '{out}'", "only reads"),
        ("select * from read_text('/etc/hostname')", "disabled by configuration"),
        ("select * from glob('/*')", "disabled by configuration"),
        ("select * from '{manifest}'", "disabled by configuration"),
    ],
)
def test_a_query_only_reads_and_only_its_recording(sql, said, tmp_path):
    place = tmp_path / "block"
    shutil.copytree(BLOCK, place)
    sealed = next(place.glob("segments/*/trade.parquet"))
    before = sealed.read_bytes()
    named = sql.format(out=tmp_path / "out", sealed=sealed, manifest=place / "manifest.json")
    assert said in refused("query", place, named)
    assert sealed.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["block"]


def test_a_query_reads_a_recording_named_by_any_path(tmp_path):
    (tmp_path / "o'brien").mkdir()
    shutil.copytree(BLOCK, tmp_path / "o'brien" / "it's")
    for where, cwd in (("it's", tmp_path / "o'brien"), (".", tmp_path / "o'brien" / "it's")):
        code, out, err = ironcrab("query", where, "with t as (from trade) select count(*) n from t;", "--csv", cwd=cwd)
        assert (code, out) == (0, "n\n105\n"), err
    assert ironcrab("query", BLOCK, "describe log", "--csv")[0] == 0


def test_a_query_that_asks_nothing_is_refused():
    assert "asks nothing" in refused("query", BLOCK, "")


def test_why_of_a_mint_that_only_intents_name():
    answer = json.loads(ironcrab("why", ROOT / "recordings" / "engine-checks", "CheckMintZ", "--json")[1])
    assert answer["answer"] == "engine refusal"


def test_a_number_beyond_every_seq_is_a_slot(tmp_path):
    for name, first, end in (("seqs", "s128408604", "s128409000"), ("slots", "128408604", "128409000")):
        code, out, err = ironcrab("slice", DAY, "--from", first, "--to", end, "--out", tmp_path / name, "--json")
        assert code == 0, err
        assert json.loads(out)["first_seq"] > 0
    assert (tmp_path / "seqs" / "manifest.json").read_bytes() == (tmp_path / "slots" / "manifest.json").read_bytes()
    assert "nothing to cut" in refused("slice", DAY, "--from", "999999999", "--out", tmp_path / "none")


def test_a_damaged_golden_does_not_hide_the_others(tmp_path):
    for golden in (BLOCK, ROOT / "recordings" / "engine-checks"):
        shutil.copytree(golden, tmp_path / "recordings" / golden.name)
    manifest = tmp_path / "recordings" / BLOCK.name / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"golden": true', b'"golden": fals'))
    code, out, err = ironcrab("verify", cwd=tmp_path)
    assert code == 1
    assert "engine-checks: identical" in out
    assert err.startswith(f"error: recordings/{BLOCK.name}: manifest.json: bytes 0..")


def test_a_pinned_recording_is_never_shortened(tmp_path):
    copy = tmp_path / "copy"
    assert ironcrab("slice", BLOCK, "--from", "50", "--to", "200", "--out", copy)[0] == 0
    assert ironcrab("retain", copy, "--pin")[1] == f"{copy}: pinned\n"
    assert json.loads(ironcrab("inspect", copy, "--json")[1])["pinned"] is True
    assert "the recording is pinned" in ironcrab("retain", copy, "--max-bytes", "1")[1]
    assert ironcrab("retain", copy, "--unpin", "--json")[1] == f'{{"recording":"{copy}","pinned":false}}\n'
    assert "is pinned" not in ironcrab("retain", copy, "--max-bytes", "1")[1]
    assert "stand alone" in refused("retain", copy, "--pin", "--max-bytes", "1", code=2)
    assert ironcrab("verify", copy)[0] == 0
