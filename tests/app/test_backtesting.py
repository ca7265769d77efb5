"""The commands backtest, fidelity and report, and the report as a browser would read it."""

import errno
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from ironcrab import testing
from ironcrab.app import charts
from ironcrab.app.backtesting import backtest_command, fidelity_command, report_command, summary_lines, summed
from ironcrab.app.text import sol, sparkline
from ironcrab.domain.fault import DiskFault, InputFault
from ironcrab.log.recording import Recording
from ironcrab.mode.ledger import ledger_of
from ironcrab.mode.querying import query
from ironcrab.mode.verify import follow
from tests.mode.conftest import market

ROOT = Path(__file__).parents[2]
SCENARIO = """
strategies = ["momentum"]
[momentum]
early_min_token_age_secs = 0
early_min_unique_buyers = 3
early_min_trades_per_min_milli = 1000
early_top1_buyer_share_cap_bps = 10000
early_top3_buyer_share_cap_bps = 10000
early_repeat_buyer_min_ratio_bps = 0
early_min_sol_inflow_lamports = 1
take_profit_bps = 300
take_profit_min_hold_secs = 1
reentry_cooldown_secs = 5
exit_max_slippage_bps = 50
[engine]
send_enabled = true
[paper]
loss_bps = 1000
seed = 2
expiry_slots = 12
"""


def call(command, *args):
    return CliRunner().invoke(command, list(map(str, args)), catch_exceptions=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A market, a scenario, and a backtest of it by the command."""
    folder = tmp_path_factory.mktemp("made")
    testing.record(market(240), folder / "market")
    (folder / "s.toml").write_text(SCENARIO)
    done = call(backtest_command, folder / "s.toml", "--on", folder / "market", "--out", folder / "run")
    assert done.exit_code == 0
    return folder, done.output


class Page(HTMLParser):
    """Collects ids, links, tags and text; complains about what is never closed."""

    VOID = ("meta", "line", "rect", "polyline", "polygon", "br")

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.tags, self.open, self.words = [], [], [], [], []
        self.outside = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.tags.append(tag)
        self.ids += [told["id"]] if "id" in told else []
        self.links += [told["href"]] if "href" in told else []
        self.outside += [told[name] for name in ("src", "action", "srcset") if name in told]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_a_backtest_says_what_came_of_it(made):
    folder, output = made
    for word in ("trades", "PnL", "fees", "drawdown", "equity", "priced on", "ironcrab report"):
        assert word in output
    assert any(block in output for block in "▁▂▃▄▅▆▇█")
    report = follow(Recording.open(folder / "run"))
    assert report.verdict == "identical"
    told = json.loads(call(
        backtest_command, folder / "s.toml", "--on", folder / "market", "--out", folder / "again", "--json",
        "--set", "paper.impact=none",
    ).output)  # fmt: skip
    assert told["trades"] > 10
    assert told["basis"] == {"executable": told["trades"] + told["failed"]}
    assert told["outcomes"]["Confirmed"] == told["trades"]


def test_the_parts_of_the_profit_add_up(made, tmp_path):
    """Recomputed from the log by SQL; cut off while something is held, what it cost is told too."""
    folder, _ = made
    for end in ("s1190", "s1030"):
        call(backtest_command, folder / "s.toml", "--on", folder / "market", "--to", end, "--out", tmp_path / end)
        run = Recording.open(tmp_path / end)
        told = summed(ledger_of(run))
        _, [(cash, network)] = query(
            run,
            "select sum(wallet_sol_delta_lamports_hi::hugeint * 18446744073709551616::hugeint"
            " + wallet_sol_delta_lamports_lo::hugeint), sum(fees.network_fee_lamports) from confirm_answer",
        )
        assert told["equity_lamports"] == cash + told["held_lamports"]
        assert told["network_lamports"] == network
        parts = told["realised_lamports"] - told["failed_lamports"] - told["rent_lamports"] + told["unsold_lamports"]
        assert told["equity_lamports"] == parts
        line = next(line for line in summary_lines(ledger_of(run)) if line.startswith("PnL"))
        assert ("not sold" in line) == (told["unsold_lamports"] != 0)
    assert told["held_lamports"] > 0 > told["unsold_lamports"]


def test_a_part_and_a_measured_latency(made):
    folder, _ = made
    done = call(
        backtest_command, folder / "s.toml", "--on", folder / "market", "--from", "s1100", "--to", "2023-11-14T22:15:00",
        "--latency-from", folder / "run", "--out", folder / "part", "--json",
    )  # fmt: skip
    assert json.loads(done.output)["records"] > 100
    settings = {s.key: s for s in follow_settings(folder / "part")}
    assert settings["paper.latency"].value == '"measured"'
    assert settings["paper.latency_quantiles_slots"].value == "[" + ",".join(["2"] * 20) + "]"
    with pytest.raises(InputFault, match="--from and --to"):
        call(backtest_command, folder / "s.toml", "--on", folder / "market", "--from", "s99999", "--out", folder / "x")
    twice = ("--on", folder / "market", "--on", folder / "market")
    done = call(backtest_command, folder / "s.toml", *twice, "--from", "7", "--out", folder / "x")
    assert done.exit_code == 2
    assert not (folder / "x").exists()


def follow_settings(path):
    from ironcrab.log.contents import runs_of

    return runs_of(Recording.open(path))[0][1].settings


def test_a_report_is_one_whole_page(made):
    folder, _ = made
    done = call(report_command, folder / "run", "--out", folder / "one.html")
    assert done.exit_code == 0
    text = (folder / "one.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.outside == []
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert "http:" not in text
    assert "https:" not in text
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    words = " ".join(page.words)
    for section in (
        "Equity and drawdown", "Profit of sells", "Costs", "Refusals", "Latency by stop", "Slippage", "Trades",
        "Parameters that are not defaults", "Explanations", "exit reason", "failed attempts", "rent of token accounts",
        "EXIT_TAKE_PROFIT", "paper.fill",
    ):  # fmt: skip
        assert section in words, section
    assert page.tags.count("polyline") == 1
    assert page.tags.count("polygon") == 1
    trades = [link for link in page.links if link.startswith("#r0d")]
    assert len(trades) > 10
    assert "TradeIntent" in words
    with pytest.raises(InputFault, match="exists"):
        call(report_command, folder / "run", "--out", folder / "one.html")


def test_two_runs_stand_side_by_side(made):
    folder, _ = made
    call(backtest_command, folder / "s.toml", "--on", folder / "market", "--out", folder / "b", "--set", "paper.seed=9")
    call(report_command, folder / "run", folder / "b", "--out", folder / "two.html")
    page = Page((folder / "two.html").read_text(encoding="utf-8"))
    assert page.tags.count("polyline") == 2
    assert {"r0", "r1"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(link[1:] in page.ids for link in page.links)
    assert call(report_command, *[folder / "run"] * 3, "--out", folder / "x.html").exit_code == 2


def test_what_is_no_run_has_no_report(made):
    folder, _ = made
    with pytest.raises(InputFault, match="no decision"):
        call(report_command, folder / "market", "--out", folder / "x.html")
    with pytest.raises(DiskFault, match="cannot write"):
        call(report_command, folder / "run", "--out", folder / "nowhere" / "x.html")


def test_a_full_disk_leaves_no_half_report(made, monkeypatch):
    folder, _ = made

    def half(path, text, **_):
        path.write_bytes(text[:10].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(DiskFault, match="No space left on device"):
            call(report_command, folder / "run", "--out", folder / "half.html")
    assert not (folder / "half.html").exists()


def test_a_report_is_the_same_bytes_again(made):
    folder, _ = made
    for name in ("a", "b"):
        call(report_command, folder / "run", "--out", folder / f"same-{name}.html")
    assert (folder / "same-a.html").read_bytes() == (folder / "same-b.html").read_bytes()


def test_fidelity_of_the_shipped_block():
    done = call(fidelity_command, ROOT / "recordings" / "mainnet-block-332254908")
    assert "raydium" in done.output
    assert "105 swaps, 50 judged, 55 not judged" in done.output
    told = json.loads(call(fidelity_command, ROOT / "recordings" / "mainnet-block-332254908", "--json").output)
    (raydium,) = [row for row in told["judged"] if row["venue"] == "raydium"]
    assert (raydium["basis"], raydium["swaps"], raydium["equal"]) == ("executable", 26, 26)
    assert told["swaps"] == sum(row["swaps"] for row in told["judged"] + told["unjudged"]) == 105


def test_sol_and_sparkline():
    assert [sol(n) for n in (0, 1, -1_500_000_000, 10**12)] == ["0", "0.000000001", "-1.5", "1,000"]
    assert sparkline([]) == ""
    assert sparkline([5]) == "▁"
    assert sparkline([0, 7]) == "▁█"
    assert len(sparkline(range(1000))) == 60


def test_charts_bear_the_empty_and_the_flat():
    for points in ([], [(5, 7)], [(5, 7), (5, 7)], [(i, (-1) ** i * 10**9) for i in range(5_000)]):
        drawn = charts.lines([("<a>", points)], "l & l", "SOL", ("<", ">"), filled=False)
        assert "<a>" not in drawn
        Page(drawn)
        assert len(drawn) < 60_000
        Page(charts.lines([("a", points)], "l", "SOL", ("", ""), filled=True))
    for values in ([0], [3, 3, 3], list(range(-500, 500)), [0] * 99 + [10**6]):
        Page(charts.histogram(values, "h", "bps"))
