"""Backtests that real programs fill: what the binary pays or refuses is the fill, and nothing else of a run changes."""

import base64
import filecmp
import gzip
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ironcrab import testing
from ironcrab.app.backtesting import backtest_command
from ironcrab.check import check
from ironcrab.dex import raydium, raydium_cpmm
from ironcrab.dex.dlmm_state import PROGRAM as DLMM
from ironcrab.domain.ask import ConfirmAnswer, Plan, PricedAnswer, SendAsk, SimulateAnswer, SimulateAsk
from ironcrab.domain.control import RunStarted
from ironcrab.domain.fault import InputFault, ScenarioFault
from ironcrab.log.recording import Recording
from ironcrab.mode.blessing import bless
from ironcrab.mode.branching import branch
from ironcrab.mode.paper import Paper, PaperParams
from ironcrab.mode.run import by_programs
from ironcrab.mode.scenario import load, read
from ironcrab.mode.verify import follow
from ironcrab.shell.programs import NotRun, Paid, Programs
from tests.mode.conftest import MOMENTUM
from tests.mode.test_fidelity import SETS, executed_pools, folder_of_programs, swapped
from tests.mode.test_fills import Show


@pytest.fixture(scope="module")
def folder():
    return folder_of_programs(raydium.PROGRAM, raydium_cpmm.PROGRAM, DLMM)


@pytest.fixture(scope="module")
def programs(folder):
    return Programs(folder)


def showing(programs, **params):
    show = Show()
    show.paper = Paper(PaperParams(fill="venue", **params), programs)
    return show


def plan(venue, pool, mints, amount):
    return Plan("Buy", venue, pool, *mints, amount, 1, 100, 200_000, 1_000, 0, "h")


def answers(venue, pool, accounts, mints, show):
    """Two swaps of ours around one of somebody else: what was simulated, priced and confirmed."""
    market = testing.Market(slot=400_000_000, unix=1_790_000_000).mint(mints[0]).mint(mints[1]).accounts(accounts)
    show.market(market.slot())
    for turn in range(2):
        show.ask(SimulateAsk, plan(venue, pool, mints, 20_000))
        show.ask(SendAsk, plan(venue, pool, mints, 20_000))
        swapped(market, venue, pool, mints[::-1] if turn else mints, 15_000)
        show.market(market.slot(4))
    return [show.told(kind) for kind in (SimulateAnswer, PricedAnswer, ConfirmAnswer)]


@pytest.mark.parametrize("impact", ["none", "next_state", "overlay"])
def test_each_program_pays_as_quoted_and_says_so(programs, impact):
    """The same answers as by the exact quote, own trades carried on; only the basis is another."""
    for venue, *pool in executed_pools():
        simulated, priced, confirmed = answers(venue, *pool, showing(programs, impact=impact))
        quoted = answers(venue, *pool, showing(None, impact=impact))
        assert (simulated, confirmed) == (quoted[0], quoted[2])
        assert [answer.status for answer in confirmed] == ["confirmed"] * 2
        assert [answer.basis for answer in priced] == ["program"] * 2
        assert [answer.amount_out for answer in priced] == [answer.amount_out for answer in quoted[1]]


class Told:
    """Programs that answer as told, in place of a virtual machine."""

    def __init__(self, answer):
        self.answer = answer

    def swap(self, *_):
        return self.answer


def test_what_the_program_pays_is_the_fill_where_the_quote_says_otherwise():
    pools = SETS["raydium"]
    told = Told(Paid(19_999, 7, {}))
    simulated, priced, confirmed = answers("raydium", pools.pool, pools.accounts, pools.mints, showing(told))
    assert [answer.amount_out for answer in (*simulated, *priced)] == [7] * 4
    assert (confirmed[0].fill_in.raw, confirmed[0].fill_out.raw) == (19_999, 7)


def test_what_the_program_refuses_fails_with_its_code():
    pools = SETS["raydium"]
    told = Told(NotRun("the program refuses: Custom(38): why", "Custom(38): why"))
    show = showing(told)
    simulated, priced, confirmed = answers("raydium", pools.pool, pools.accounts, pools.mints, show)
    why = "PAPER_REFUSED: Custom(38): why"
    assert [(answer.success, answer.error_code) for answer in simulated] == [(False, why)] * 2
    assert [(answer.basis, answer.amount_out) for answer in priced] == [("PAPER_REFUSED", None)] * 2
    assert [(answer.status, answer.error_code) for answer in confirmed] == [("failed", why)] * 2
    assert show.paper.unrun == {}


def test_a_real_refusal_is_the_fill(programs):
    """The vaults of this pool belong to nobody: maths pays, the program does not."""
    pools = SETS["raydium"]
    _, priced, confirmed = answers("raydium", pools.pool, pools.accounts, pools.mints, showing(programs))
    assert [answer.basis for answer in priced] == ["PAPER_REFUSED"] * 2
    assert confirmed[0].error_code.startswith("PAPER_REFUSED: Custom(")


def test_a_fill_without_a_binary_is_quoted_and_counted_once(programs):
    pools = SETS["pumpfun"]
    show = showing(programs)
    _, priced, confirmed = answers("pumpfun", pools.pool, pools.accounts, pools.mints, show)
    assert [answer.status for answer in confirmed] == ["confirmed"] * 2
    assert [answer.basis for answer in priced] == ["exact"] * 2
    ((key, count),) = show.paper.unrun.items()
    assert (key[0], count) == ("pumpfun", 2)
    assert key[1].startswith("no binary of program ")


def test_a_fill_without_an_account_that_only_the_program_reads_is_quoted(programs):
    venue, pool, accounts, mints = list(executed_pools())[1]
    known = {address: account for address, account in accounts.items() if address != mints[1]}
    show = showing(programs)
    _, priced, confirmed = answers(venue, pool, known, mints, show)
    assert [answer.basis for answer in priced] == ["exact"] * 2
    assert [answer.status for answer in confirmed] == ["confirmed"] * 2
    ((key, count),) = show.paper.unrun.items()
    assert (key[0], count) == ("raydium_cpmm", 2)
    assert key[1].startswith("the program refuses, and not all its accounts are known: Custom(3012)")


TREE = {
    "strategies": ["momentum"],
    "momentum": MOMENTUM | {"position_lamports": 10**7, "early_min_liquidity_lamports": 0},
    "engine": {"send_enabled": True},
}
SCENARIO = """strategies = ["momentum"]
[engine]
send_enabled = true
[momentum]
"""


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """A recording of a DLMM pool against SOL that rises, falls and rises, and the scenario that trades on it."""
    venue, pool, accounts, mints = list(executed_pools())[2]
    assert venue == "meteora_dlmm"
    told = testing.Market(slot=400_000_000, unix=1_790_000_000).mint(mints[0]).accounts(accounts).slot()
    for step in range(60):
        is_buy = step != 24
        told.swap(pool, mints[0], 10**7 + step * 1_000 if is_buy else 10**9, is_buy=is_buy).slot(2)
    folder = tmp_path_factory.mktemp("market")
    lines = "".join(f"{key} = {value}\n" for key, value in TREE["momentum"].items())
    (folder / "scenario.toml").write_text(SCENARIO + lines)
    return testing.record(told, folder / "log"), folder / "scenario.toml"


def backtested(market, out, *more):
    recording, scenario = market
    said = CliRunner().invoke(
        backtest_command, [str(scenario), "--on", str(recording.path), "--out", str(out), *map(str, more)]
    )
    return said.output if said.exception is None else said.exception


def told_in(path):
    recording = Recording.open(path)
    started = next(record.event for record in recording.records((RunStarted,)))
    return recording, started, [record.event for record in recording.records((PricedAnswer,))]


def test_a_backtest_by_programs_is_a_run_like_any_other(market, folder, tmp_path):
    """It says by which binaries, repeats to the byte, needs none to be verified; decisions are those by the quote."""
    said = backtested(market, tmp_path / "a", "--programs", folder)
    assert "priced on  program 3" in said
    backtested(market, tmp_path / "b", "--programs", folder)
    plain = backtested(market, tmp_path / "plain")
    one, started, priced = told_in(tmp_path / "a")
    other, quoted, by_quote = told_in(tmp_path / "plain")
    files = [path.name for path in (tmp_path / "a").iterdir() if path.is_file()]
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False)[0] == files
    assert Recording.open(tmp_path / "b").head == one.head != other.head
    assert started.outlets == ("paper", f"programs:{Programs(folder).digest}")
    assert quoted.outlets == ("paper",)
    assert one.manifest.origin == f"{other.manifest.origin} filled by {started.outlets[1]}"
    assert one.log_id != other.log_id
    assert {answer.basis for answer in priced} == {"program"}
    assert {answer.basis for answer in by_quote} == {"exact"}
    assert said.splitlines()[0].split("digest ")[1] == plain.splitlines()[0].split("digest ")[1]
    assert follow(one).verdict == "identical"
    assert not any(check(one).values())


def test_what_runs_the_market_again_wants_the_binaries(market, folder, tmp_path):
    backtested(market, tmp_path / "a", "--programs", folder)
    recording = Recording.open(tmp_path / "a")
    with pytest.raises(InputFault, match="filled this run and is not at hand"):
        branch(recording, 100, (), tmp_path / "branch")
    with pytest.raises(InputFault, match="filled this run and is not at hand"):
        bless(recording, "test")
    assert follow(recording).verdict == "identical"


def test_the_summary_names_what_was_not_executed(market, folder, tmp_path):
    lean = tmp_path / "lean"
    lean.mkdir()
    shutil.copy(folder / f"{raydium.PROGRAM}.so", lean)
    said = backtested(market, tmp_path / "a", "--programs", lean)
    assert "priced on  exact 3" in said
    assert f"not executed: meteora_dlmm 3 no binary of program {DLMM}" in said
    told = json.loads(backtested(market, tmp_path / "b", "--programs", lean, "--json"))
    assert told["programs"] == Programs(lean).digest != Programs(folder).digest
    assert [(row["venue"], row["fills"]) for row in told["not_executed"]] == [("meteora_dlmm", 3)]
    assert "programs" not in json.loads(backtested(market, tmp_path / "c", "--json"))


def test_no_binaries_no_solders_no_paper_are_one_sentence_each(market, tmp_path, monkeypatch):
    pytest.importorskip("solders")
    (tmp_path / "empty").mkdir()
    fault = backtested(market, tmp_path / "a", "--programs", tmp_path / "empty")
    assert isinstance(fault, InputFault)
    assert "holds no <program id>.so" in str(fault)
    assert not (tmp_path / "a").exists()
    named = tmp_path / "named.toml"
    named.write_text('outlets = ["paper", "programs:00"]\n')
    with pytest.raises(ScenarioFault, match="cannot name programs"):
        load(named)
    for tree in ({"paper": {"fill": "last_trade"}}, {"paper": {"fill": "venue"}, "outlets": []}):
        with pytest.raises(ScenarioFault, match="--programs needs outlets"):
            by_programs(read("tests", tree, "tests"), Told(None))
    monkeypatch.setitem(sys.modules, "ironcrab.shell.vm", None)
    fault = backtested(market, tmp_path / "a", "--programs", tmp_path / "empty")
    assert str(fault) == "--programs needs solders; install it: pip install 'ironcrab[live]'"


ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_program_of_that_day_fills_a_morning_as_quoted(tmp_path):
    """The binary that was deployed on 6 April 2022, on the recorded accounts of the shipped day."""
    pytest.importorskip("solders")
    state = Path(os.environ.get("IRONCRAB_SHARED", ROOT / ".." / "shared")) / "data/whirlpool_2022"
    if not state.is_dir():
        pytest.skip("skipped: shared inputs are not beside the checkout")
    with gzip.open(state / "whirlpool-state-20220406.json.gz") as file:
        elf = base64.b64decode(json.load(file)["programData"])
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc.so").write_bytes(elf)
    day = Recording.open(ROOT / "recordings" / "whirlpool-2022-04-06"), ROOT / "scenarios" / "whirlpool-day.toml"
    until = ("--to", "2022-04-06T06:00:00")
    said = backtested(day, tmp_path / "a", *until, "--programs", tmp_path / "programs")
    plain = backtested(day, tmp_path / "plain", *until)
    assert "priced on  program 49" in said
    assert said.splitlines()[0].split("digest ")[1] == plain.splitlines()[0].split("digest ")[1]
