"""An armed session on the local chain, killed at any instant: the chain's own ledger shows each wish at most once."""

import asyncio
import os
import sys
from collections import Counter
from contextlib import suppress
from struct import pack

import msgspec
import pytest
from msgspec.structs import replace
from solders.account import Account
from solders.pubkey import Pubkey

from ironcrab.dex.address import TOKEN, WSOL, associated
from ironcrab.domain.ask import ConfirmAnswer, SendAsk, SignedAnswer
from ironcrab.domain.fault import InputFault
from ironcrab.domain.trade import DecisionRecord, TradeIntent
from ironcrab.execution import checks
from ironcrab.log.recording import Recording
from ironcrab.mode.arming import Arms, armed, armed_outlets, key_of
from ironcrab.mode.scenario import read
from ironcrab.shell import demo_pools, demo_swaps
from ironcrab.shell.clock import now_ns
from ironcrab.shell.hosted import served
from tests.live.armed_process import built
from tests.live.desk import ROOT, judged
from tests.live.wisher import LEAST
from tests.shell.stage import KEYPAIR, OTHER, SOL, WALLET, new_chain, token_account

SLOT_MS = 40


@pytest.fixture(autouse=True)
def _wishes_are_built(monkeypatch):
    """The log is judged by the engine that wrote it."""
    monkeypatch.setattr(checks, "_built", built)


def key_file(folder, mode=0o600):
    path = folder / "key.json"
    path.write_bytes(msgspec.json.encode(list(bytes(KEYPAIR))))
    path.chmod(mode)
    return path


async def coin(chain):
    """Tell of a coin's birth, again and again, so that every session knows the pool."""
    listing = demo_pools.curve(demo_pools.Chain(1, {}), 1)
    number = 0
    while True:
        number += 1
        frame = demo_swaps.birth(listing, OTHER, chain.slot, 0, number.to_bytes(64, "big"), 0).SerializeToString()
        for listen in chain.listeners:
            listen(frame)
        await asyncio.sleep(0.5)


async def life(*words, seconds, kill_after=None, death=()):
    """One session; killed so long after its run began, or by itself. Its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.live.armed_process", *map(str, words), str(seconds), *map(str, death),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if kill_after is not None:
        await asyncio.wait_for(process.stdout.readline(), 60)
        with suppress(TimeoutError):
            async with asyncio.timeout(kill_after):
                await process.wait()
        with suppress(ProcessLookupError):
            process.kill()
    out, err = await process.communicate()
    return process.returncode, (out + err).decode()


def give_wrapped(chain, lamports):
    """Wrapped SOL in the wallet from the beginning: once there is any, the engine pays buys from it alone."""
    rent = chain.vm.svm.minimum_balance_for_rent_exemption(165)
    data = bytearray(bytes(token_account(WSOL, WALLET.address, lamports).data))
    data[109:121] = pack("<IQ", 1, rent)
    held = Account(rent + lamports, bytes(data), Pubkey.from_string(TOKEN))
    chain.set_account(Pubkey.from_string(associated(WALLET.address, WSOL, TOKEN)), held)


def landings(chain):
    """Signature -> amount of what this wallet did on the chain and what succeeded."""
    return {one.ran.signature: one for one in chain.ledger.values() if str(one.ran.accounts.keys[0]) == WALLET.address}


async def sessions(tmp_path, script, kills, last_seconds):
    key = key_file(tmp_path)
    chain = new_chain(script, slot_ms=SLOT_MS, unix_ms=now_ns() // 10**6)
    give_wrapped(chain, 50 * SOL)
    async with served(chain, 0, 0, tick=True) as (rpc_url, feed_url):
        telling = asyncio.create_task(coin(chain))
        words = (tmp_path / "data", feed_url, rpc_url, key)
        try:
            for kill in kills:
                if isinstance(kill, tuple):
                    code, said = await life(*words, seconds=20, death=kill)
                    assert code == -9, (kill, said)
                else:
                    await life(*words, seconds=60, kill_after=kill)
            code, said = await life(*words, seconds=last_seconds)
        finally:
            telling.cancel()
        assert code == 0, said
    return chain, tmp_path / "data" / "wishes-armed"


def explained(chain, folder):
    """What the log says of each landing; every rule that must hold between the two. The intents that landed."""
    records = list(Recording.open(folder).records())
    asks = {record.seq: record.event.intent for record in records if isinstance(record.event, SendAsk)}
    signed = {
        record.event.signature: asks[record.event.ask] for record in records if isinstance(record.event, SignedAnswer)
    }
    landed = landings(chain)
    assert set(landed) <= set(signed), "every landing was in the log before it left"
    executed = Counter(signed[signature] for signature in landed)
    assert max(executed.values(), default=0) <= 1, "no wish was executed twice"
    intents = {record.seq: record.event for record in records if isinstance(record.event, TradeIntent)}
    amounts = [intent.required_capital.raw for intent in intents.values()]
    assert amounts == [LEAST + number for number in range(1, len(amounts) + 1)], "no wish was lost or said twice"
    confirmed = {record.event.signature for record in records if isinstance(record.event, ConfirmAnswer)}
    assert confirmed - {None} <= set(landed)
    decided = Counter(record.event.intent for record in records if isinstance(record.event, DecisionRecord))
    assert set(decided.values()) <= {1}
    assert not set(executed) - set(intents)
    return intents, executed, decided


def test_wishes_are_signed_sent_confirmed_and_accounted(tmp_path):
    chain, folder = asyncio.run(sessions(tmp_path, "", (), 8))
    judged(folder)
    intents, executed, decided = explained(chain, folder)
    assert len(executed) >= 8
    outcomes = Counter(record.event.outcome for record in Recording.open(folder).records((DecisionRecord,)))
    assert outcomes["Confirmed"] >= 0.9 * sum(outcomes.values()), outcomes
    assert len(decided) >= len(intents) - 2


def test_kill_9_at_any_instant_executes_nothing_twice(tmp_path):
    kills = [1.2, 0.3, 0.9, 1.6, 0.1, 1.05, 1.4]
    chain, folder = asyncio.run(sessions(tmp_path, "drop every 4\nmute every 5\ndelay every 7 5", kills, 5))
    report = judged(folder)
    assert len(report.runs) >= 4
    _, executed, _ = explained(chain, folder)
    assert len(executed) >= 5


STAGES = ("TradeIntent", "SimulateAsk", "SimulateAnswer", "SendAsk", "SignedAnswer", "SendAnswer", "ConfirmAnswer",
          "DecisionRecord")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [pytest.param("before", marks=pytest.mark.slow), "after", pytest.param("durable", marks=pytest.mark.slow)],
)
def test_killed_at_every_stage_of_an_attempt(tmp_path, moment):
    """Without losses by script each wish that could be sent is executed exactly once, whatever the instant."""
    kills = [(name, moment, 1 + place % 2) for place, name in enumerate(STAGES)]
    chain, folder = asyncio.run(sessions(tmp_path, "", kills, 4))
    report = judged(folder)
    assert 2 <= len(report.runs) <= len(STAGES) + 1, "one for each life that came so far as to begin a run"
    assert all(run.unfinished == 0 for run in report.runs)
    intents, executed, decided = explained(chain, folder)
    sent = {record.event.intent for record in Recording.open(folder).records((SendAsk,))}
    assert len(decided) >= len(intents) - 2
    assert len(executed) >= 0.95 * len(sent) - 1


def refusal(call):
    with pytest.raises(InputFault) as told:
        call()
    return str(told.value)


def test_arming_refuses_what_does_not_agree(tmp_path):
    engine = {"wallet": WALLET.address, "send_enabled": True, "max_position_size_lamports": 1, "max_open_positions": 1}

    def told(**over):
        return read("wishes", {"strategies": [], "engine": engine | over}, "a test")

    assert "names" in refusal(lambda: armed(told(), OTHER))
    assert "send_enabled" in refusal(lambda: armed(told(send_enabled=False), WALLET.address))
    assert 'engine.plans = "required"' in refusal(lambda: armed(told(), WALLET.address))
    engine["plans"] = "required"
    assert "engine.daily_loss_limit_lamports" in refusal(lambda: armed(told(), WALLET.address))
    assert armed(told(daily_loss_limit_lamports=1), WALLET.address).outlets == ("armed",)
    path = key_file(tmp_path)
    assert key_of(Arms(WALLET.address, path, "http://127.0.0.1:1")).address == WALLET.address
    assert f"is of {WALLET.address}" in refusal(lambda: key_of(Arms(OTHER, path, "http://127.0.0.1:1")))
    assert "chmod 600" in refusal(lambda: key_of(Arms(WALLET.address, key_file(tmp_path, 0o640), "http://127.0.0.1:1")))


def test_a_clock_that_is_off_arms_nothing(tmp_path):
    """The chain's time is minutes behind the host's: one sentence, before money is looked at."""
    chain = new_chain(unix_ms=now_ns() // 10**6 - 300_000)
    arms = Arms(WALLET.address, key_file(tmp_path), "")

    async def go():
        async with served(chain, 0, None, tick=False) as (url, _):
            told = read("wishes", {"strategies": [], "engine": {"wallet": WALLET.address}}, "a test")
            await armed_outlets(told, replace(arms, rpc_url=url), WALLET, lambda: 0)

    with pytest.raises(InputFault, match=r"host and chain differ by \d+ s; set the host's clock"):
        asyncio.run(go())
