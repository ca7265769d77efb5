"""The report as a real browser shows it: everything drawn, no word on its console, nothing fetched."""

import re
import shutil
import subprocess

import pytest

from ironcrab.app.backtesting import report_command
from tests.app.test_backtesting import call, made

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="skipped: no Chromium is on the path"),
]
assert made, "a fixture"
OWN = (".google.com", ".googleapis.com", ".gstatic.com", ".gvt1.com")
"""Hosts that a browser asks for its own updates and clock."""


def shown(page, home):
    """What stands in the document once it is drawn, what its console says, and what it wanted from the network.

    No name resolves; what the browser wants for itself is left aside.
    """
    done = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={home / 'net'}", f"--user-data-dir={home / 'profile'}", "--dump-dom",
            page.resolve().as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    wanted = re.findall(r'"url":"((?:https?|wss?)://[^/"]*)', (home / "net").read_text())
    asked = [host for host in wanted if not host.endswith(OWN)]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line], asked


def test_a_page_that_fetches_something_is_noticed(tmp_path):
    (tmp_path / "x.html").write_text(
        "<h1>x</h1><img src='http://example.invalid/x.png'><script>nothing.here()</script>"
    )
    _, told, asked = shown(tmp_path / "x.html", tmp_path)
    assert any("is not defined" in line for line in told)
    assert "http://example.invalid" in asked


@pytest.mark.parametrize("runs", [1, 2])
def test_the_report(made, tmp_path, runs):
    folder, _ = made
    assert call(report_command, *[folder / "run"] * runs, "--out", tmp_path / "r.html").exit_code == 0
    document, told, asked = shown(tmp_path / "r.html", tmp_path)
    assert (told, asked) == ([], [])
    for word in ("Equity and drawdown", "Profit of sells", "<polyline", "<polygon", "Trades", "Explanations"):
        assert word in document
