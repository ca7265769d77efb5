"""`ironcrab localnet` and `ironcrab doctor`, as a user runs them."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from solders.pubkey import Pubkey

from ironcrab.domain.fault import InputFault
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.shell import doctor, hosted
from ironcrab.shell.clock import now_ns
from ironcrab.shell.geyser_chain import Chain
from ironcrab.shell.geyser_demo import demo
from ironcrab.shell.geyser_filters import update_of
from ironcrab.shell.geyser_server import GeyserServer
from tests.shell.stage import KEYPAIR, OTHER, SOL, WALLET

ROOT = Path(__file__).parents[2]


def ironcrab(*args, **env):
    told = {**os.environ, **env}
    command = [sys.executable, "-m", "ironcrab.app", *args]
    return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=30, check=False)


@contextmanager
def localnet(*args):
    """The command in its own process; its RPC address."""
    command = [sys.executable, "-m", "ironcrab.app", "localnet", "--rpc-port", "0", *args]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        line = child.stderr.readline()
        assert line.startswith("rpc "), line
        yield line.split()[1]
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=10)
    assert child.returncode == 0


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "id.json"
    path.write_bytes(msgspec.json.encode(list(bytes(KEYPAIR))))
    path.chmod(0o600)
    return path


def test_doctor_looks_at_a_localnet(key_file, tmp_path):
    with localnet("--slot-ms", "50", "--airdrop", f"{WALLET.address}=3") as url:
        told = ironcrab("doctor", "--rpc", url, "--key-file", str(key_file), "--data", str(tmp_path))
        assert told.returncode == 0, told.stdout + told.stderr
        assert "NOT OK" not in told.stdout
        for word in ("versions", "disk", "reach", "key", "rpc", "clock", "wallet"):
            assert f" {word} " in told.stdout
        assert f"{3 * SOL:,} lamports" in told.stdout
        assert str(KEYPAIR) not in told.stdout + told.stderr
        poor = ironcrab("doctor", "--rpc", url, "--wallet", WALLET.address, "--least-sol", "3.000000001", "--json")
        assert poor.returncode == 3
        findings = {row["what"]: row for row in msgspec.json.decode(poor.stdout)["findings"]}
        assert not findings["wallet"]["ok"]
        assert "3,000,000,001 are wanted" in findings["wallet"]["text"]
        key_file.chmod(0o644)
        open_key = ironcrab("doctor", "--rpc", url, "--key-file", str(key_file))
        assert open_key.returncode == 3
        assert "0644" in open_key.stdout
        reach = ironcrab("doctor", "--rpc", url, IRONCRAB_KEYPAIR_JSON="x")
        assert reach.returncode == 3
        assert "IRONCRAB_KEYPAIR_JSON" in reach.stdout


def test_doctor_without_a_node_says_what_to_name():
    told = ironcrab("doctor")
    assert told.returncode == 3
    assert "name one with --rpc URL" in told.stdout
    told = ironcrab("doctor", "--rpc", "http://127.0.0.1:1")
    assert told.returncode == 3
    assert told.stdout.count("cannot be reached") == 2
    told = ironcrab("doctor", "--rpc", "nonsense")
    assert told.returncode == 3
    assert "no http or https address" in told.stdout
    told = ironcrab("doctor", "--least-sol", "much")
    assert told.returncode == 1
    assert "no amount of SOL" in told.stderr


def test_doctor_looks_at_an_endpoint_as_paper_needs_it(tmp_path):
    """An endpoint alone is enough for paper; it has to tell blocks, not only its version."""
    case = doctor.Case(None, "", None, None, None, None, tmp_path, 0, {})

    async def found(frames, **served):
        async with GeyserServer(Chain(frames), **served) as server:
            told = await doctor.examine(replace(case, endpoint=f"http://127.0.0.1:{server.port}"))
            return {one.what: one for one in told}

    def shifted(seconds):
        for update in demo(1, 100, 4):
            if update.kind == "block_meta":
                update.message.block_meta.block_time.timestamp = now_ns() // 10**9 - seconds
            yield update_of(update.message.SerializeToString())

    well = asyncio.run(found(shifted(0)))
    assert all(one.ok for name, one in well.items() if name != "disk"), well
    assert "newest block 400,000,000" in well["endpoint"].text
    assert "paper trading needs none" in well["rpc"].text
    off = asyncio.run(found(shifted(60)))
    assert not off["clock"].ok
    assert "set the host's clock" in off["clock"].text
    refused = asyncio.run(found(demo(1, 100, 4), token="right"))
    assert "check the token" in refused["endpoint"].text


def test_nothing_in_the_environment_arms(tmp_path):
    """The wallet is typed: a variable that click would take for the option does nothing."""
    told = ironcrab(
        "live", "scenarios/demo.toml", "--endpoint", "http://127.0.0.1:1", "--data", str(tmp_path / "d"),
        IRONCRAB_LIVE_ARMED=WALLET.address,
    )  # fmt: skip
    assert told.returncode == 1
    assert "cannot reach" in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("--tls-key", "README.md", "--tls-cert", "README.md"), "no private key"),
        (("--tls-key", "README.md"), "needs both"),
        ((), "holds no frame"),
    ],
)
def test_feed_refuses_what_it_cannot_serve_in_one_sentence(args, named):
    told = ironcrab("feed", "README.md" if not args else "demo", "--port", "0", *args)
    assert told.returncode == 1
    assert named in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("--airdrop", "me=3"), "no KEY=SOL"),
        (("--airdrop", f"{OTHER}=0"), "no KEY=SOL"),
        (("--fates", "/nonexistent"), "cannot be read"),
        (("--programs", "/nonexistent"), "no folder"),
        (("--accounts", "/nonexistent"), "no folder"),
    ],
)
def test_localnet_refuses_what_it_cannot_use_in_one_sentence(args, named):
    told = ironcrab("localnet", "--rpc-port", "0", *args)
    assert told.returncode == 1
    assert named in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_named():
    with localnet() as url:
        port = url.rpartition(":")[2]
        told = ironcrab("localnet", "--rpc-port", port)
        assert told.returncode == 1
        assert f"port {port}" in told.stderr


def test_the_drop_s_amount_is_bounded():
    with pytest.raises(InputFault, match="1000000"):
        hosted.make_chain(None, None, 100, None, None, (f"{OTHER}=1000001",))


def test_the_feed_of_a_localnet_is_a_yellowstone_endpoint():
    from grpc import aio

    async def go():
        chain = hosted.make_chain(None, None, 20, None, None, ())
        async with hosted.served(chain, 0, 0, tick=True) as (_, url):
            async with aio.insecure_channel(url.removeprefix("http://")) as channel:
                subscribe = channel.stream_stream(
                    "/geyser.Geyser/Subscribe",
                    request_serializer=wire.SubscribeRequest.SerializeToString,
                    response_deserializer=wire.SubscribeUpdate.FromString,
                )
                request = wire.SubscribeRequest(commitment=wire.CONFIRMED)
                request.transactions["wallet"].account_include.append(OTHER)
                request.blocks_meta["metas"].SetInParent()
                call = subscribe()
                await call.write(request)
                dropped, seen = None, []
                async with asyncio.timeout(10):
                    async for update in call:
                        kind = update.WhichOneof("update_oneof")
                        if kind == "block_meta" and dropped is None:
                            dropped = chain.airdrop(Pubkey.from_string(OTHER), SOL)
                        if kind == "transaction":
                            seen.append(update)
                            break
                call.cancel()
            assert seen[0].filters == ["wallet"]
            landing = chain.ledger[dropped]
            assert seen[0].transaction.slot == landing.slot
            assert chain.commitment_of(landing.slot) != "processed"

    asyncio.run(go())


def test_a_source_may_begin_with_the_status_of_a_slot_it_never_told():
    from ironcrab.shell.geyser_chain import Chain
    from ironcrab.shell.geyser_filters import Filters, update_of
    from ironcrab.shell.local_frames import slot

    async def go():
        feed = Chain(iter(()))
        subscriber = feed.join()
        request = wire.SubscribeRequest(commitment=wire.CONFIRMED)
        request.slots["slots"].SetInParent()
        feed.subscribe(subscriber, Filters(request))
        feed.publish(update_of(slot(7, 6, "confirmed", 1000)))
        update = wire.SubscribeUpdate.FromString(await subscriber.next())
        assert (update.slot.slot, update.slot.status) == (7, wire.SLOT_CONFIRMED)

    asyncio.run(go())
