"""kill -9 of a process with a real log, again and again: every ask lands exactly once, and the log explains it."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ironcrab.domain.ask import ConfirmAnswer, SendAsk, SignedAnswer
from ironcrab.log.recording import Recording
from ironcrab.shell.localnet import Localnet
from tests.shell.stage import DECIMALS, MINT, OTHER, WALLET, new_chain

ROOT = Path(__file__).parents[2]
ASKS = 6


async def life(folder, url, seconds):
    """One life of the process, killed so long after its start unless it ends before. Whether it ended by itself."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.shell.desk_process",
        str(folder),
        url,
        str(ASKS),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert await child.stdout.readline() == b"up\n", (await child.communicate())[1].decode()
    try:
        async with asyncio.timeout(seconds):
            out, err = await child.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.communicate()
        return False
    assert child.returncode == 0, err.decode()
    return out == b"done\n"


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_kill_9_at_any_instant_costs_nothing_and_sends_nothing_twice(tmp_path, seed):
    async def go():
        script = "drop every 3\nmute every 4\ndelay every 5 6"
        async with Localnet(new_chain(script, slot_ms=60)) as net:
            folder = tmp_path / "log"
            for number in range(40):
                patience = 30 if number > 11 else (seed * 37 + number * 53) % 240 / 1000
                if await life(folder, net.url, patience):
                    break
            else:
                pytest.fail("never done")
            return net.chain, number, folder

    chain, kills, folder = asyncio.run(go())
    records = list(Recording.open(folder).records())
    asks = [record.seq for record in records if isinstance(record.event, SendAsk)]
    ends = {record.event.ask: record.event for record in records if isinstance(record.event, ConfirmAnswer)}
    assert len(asks) == ASKS
    assert [ends[seq].status for seq in asks] == ["confirmed"] * ASKS
    landed = [one for one in chain.ledger.values() if str(one.ran.accounts.keys[0]) == WALLET.address]
    assert len(landed) == ASKS
    signed = {record.event.signature for record in records if isinstance(record.event, SignedAnswer)}
    assert {one.ran.signature for one in landed} <= signed
    held = next(row for row in landed[-1].ran.holdings_after.values() if (row.mint, row.owner) == (MINT, OTHER))
    assert held.amount == ASKS * 10**DECIMALS + sum(range(ASKS))
    assert kills >= 4
    print(f"{kills} kills")
