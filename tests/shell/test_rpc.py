"""The RPC client: what a node may do wrong, in one sentence each; nothing escapes and no token is printed."""

import asyncio
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from ironcrab.domain.ask import SignedAnswer
from ironcrab.domain.market import LatestBlockhash, WalletBalanceSnapshot, WalletSnapshotComplete
from ironcrab.domain.units import NATIVE_SOL
from ironcrab.shell import rpc as module
from ironcrab.shell.fills import Landed, landed_of_rpc, received, sol_delta
from ironcrab.shell.landing import expired, fetched, found
from ironcrab.shell.localnet import Localnet
from ironcrab.shell.routes import JitoRoute, RpcRoute
from ironcrab.shell.rpc import LandedTransaction, PriorityFee, Rpc, RpcFault, SimulationAnswer, Status
from ironcrab.shell.samples import fee_event, read_blockhash, read_fees, read_wallet
from ironcrab.shell.simulator import balances
from tests.shell.stage import DECIMALS, MINT, OTHER, SOL, WALLET, new_chain, plan

TOKEN = "very-secret-token-123"


@asynccontextmanager
async def node(answer, path="/"):
    """A server whose POST does `answer(request)`."""
    app = web.Application()
    app.router.add_post("/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with Rpc(f"http://127.0.0.1:{runner.addresses[0][1]}{path}", timeout_s=0.3) as rpc:
            yield rpc
    finally:
        await runner.cleanup()


def fault_of(answer, ask=lambda rpc: rpc.slot("confirmed"), path="/"):
    async def go():
        async with node(answer, path) as rpc:
            with pytest.raises(RpcFault) as told:
                await ask(rpc)
            return told.value

    return asyncio.run(go())


def says(body, status=200, **headers):
    async def answer(request):
        told = msgspec.json.decode(await request.read())
        text = body.replace(b"ID", str(told["id"]).encode()) if isinstance(body, bytes) else body
        return web.Response(body=text, status=status, headers=headers)

    return answer


async def never(request):
    await asyncio.sleep(5)


@pytest.mark.parametrize(
    ("answer", "kind", "named"),
    [
        (never, "unreachable", "did not answer getSlot within 0.3 s"),
        (says(b"<html>"), "nonsense", "no JSON-RPC"),
        (says(b"<html>", 502), "unreachable", "HTTP 502"),
        (says(b"", 429), "limited", "HTTP 429"),
        (says(b'{"error":{"code":429,"message":"slow down"},"id":ID}', 429), "limited", "slow down"),
        (says(b'{"error":{"code":-32429,"message":"slow down"},"id":ID}'), "limited", "-32429"),
        (says(b"no", 403), "refused", "check it"),
        (says(b'{"jsonrpc":"2.0","id":ID,"result":"soon"}'), "nonsense", "use another node"),
        (says(b'{"jsonrpc":"2.0","id":ID,"result":-1}'), "nonsense", "use another node"),
        (says(b'{"jsonrpc":"2.0","id":ID,"result":1e300}'), "nonsense", "use another node"),
        (says(b'{"jsonrpc":"2.0","id":ID}'), "nonsense", "use another node"),
        (says(b'{"jsonrpc":"2.0","id":99,"result":5}'), "nonsense", "another request"),
        (says(b'{"jsonrpc":"2.0","id":ID,"result":5}', 500), "unreachable", "HTTP 500"),
        (
            says(b'{"id":ID,"error":{"code":-32005,"message":"behind","data":{"numSlotsBehind":3}}}'),
            "refused",
            "-32005",
        ),
        (says(b'{"id":ID,"error":"no"}'), "nonsense", "no JSON-RPC"),
        (says(b"[" * 100_000), "nonsense", "no JSON-RPC"),
        (says(b"\xff\xfe\x00"), "nonsense", "no JSON-RPC"),
    ],
)
def test_each_failure_is_one_sentence(answer, kind, named):
    fault = fault_of(answer)
    assert fault.kind == kind
    assert named in str(fault)
    assert "\n" not in str(fault)
    assert len(str(fault)) < 300


def test_a_node_that_is_not_there_and_addresses_that_are_none():
    async def go():
        async with Rpc("http://127.0.0.1:1/", timeout_s=1) as rpc:
            with pytest.raises(RpcFault, match="cannot be reached") as told:
                await rpc.slot("confirmed")
            assert told.value.kind == "unreachable"
        with pytest.raises(RpcFault, match="closed"):
            await rpc.slot("confirmed")

    asyncio.run(go())
    for url in ("ftp://x", "nonsense", "http://"):
        with pytest.raises(RpcFault, match="no http or https address"):
            Rpc(url)


def test_an_answer_without_end_is_cut(monkeypatch):
    monkeypatch.setattr(module, "MOST_ANSWER", 100_000)
    assert fault_of(says(b" " * 200_000)).kind == "nonsense"


@pytest.mark.parametrize("path", [f"/{TOKEN}/", f"/?api-key={TOKEN}"])
def test_tokens_in_the_address_are_never_told(path):
    echo = says(b'{"id":ID,"error":{"code":-32000,"message":"bad key ' + TOKEN.encode() + b'"}}')
    fault = fault_of(echo, path=path)
    assert TOKEN not in str(fault)
    assert "***" in str(fault)
    for answer in (never, says(b"", 401), says(b"?")):
        assert TOKEN not in str(fault_of(answer, path=path))
    assert TOKEN not in repr(Rpc(f"http://host{path}"))


NAMES = ["context", "slot", "value", "blockhash", "lastValidBlockHeight", "lamports", "owner", "data", "err", "logs"]
NAMES += ["account", "confirmationStatus", "meta", "transaction", "fee", "preBalances", "postBalances"]
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=20), st.sampled_from([OTHER, MINT])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)
SIGNED = SignedAnswer(1, "1" * 64, "", OTHER, 5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.one_of(JSON.map(msgspec.json.encode), st.binary(max_size=40)), st.sampled_from([200, 200, 429, 500]))
def test_no_answer_escapes_as_anything_but_a_fault(result, status):
    async def go():
        async with node(says(b'{"jsonrpc":"2.0","id":ID,"result":' + result + b"}", status)) as rpc:
            for ask in (
                lambda: read_blockhash(rpc),
                lambda: read_wallet(rpc, WALLET.address),
                lambda: read_fees(rpc, [OTHER]),
                lambda: rpc.simulate(b"x", [OTHER], 5),
                lambda: rpc.statuses(["1"]),
                lambda: rpc.accounts([OTHER], "confirmed"),
                lambda: rpc.transaction("1", "confirmed"),
            ):
                with suppress(RpcFault):
                    await ask()
            assert (await RpcRoute(rpc).hand("x", "1")).receipt in ("taken", "refused", "unknown")
            assert (await JitoRoute(rpc).hand("x", "1")).receipt in ("taken", "refused", "unknown")
            assert await JitoRoute(rpc).has_landed("b") in (True, False)
            assert isinstance(await found((rpc,), "1", "confirmed", history=True), Status | None)
            assert await expired((rpc,), SIGNED) in (True, False)

    asyncio.run(go())


@settings(max_examples=300, deadline=None, derandomize=True)
@given(JSON)
def test_no_transaction_or_simulation_breaks_the_fills(told):
    for kind in (LandedTransaction, SimulationAnswer):
        try:
            value = msgspec.convert(told, kind)
        except msgspec.ValidationError:
            continue
        if isinstance(value, LandedTransaction):
            landed_of_rpc("1", value)
        else:
            seen = balances(value.value, (WALLET.address,))
            if seen is not None:
                received(seen, plan("wrap", 1), WALLET.address)
                sol_delta(seen, WALLET.address)


# samples


def test_a_wallet_is_read_whole():
    async def go():
        async with Localnet(new_chain(), tick=False) as net, Rpc(net.url) as rpc:
            events = await read_wallet(rpc, WALLET.address, periodic=True)
            assert {type(event) for event in events} == {WalletBalanceSnapshot, WalletSnapshotComplete}
            told = {event.mint: (event.balance_raw, event.decimals) for event in events[:-1]}
            assert told == {NATIVE_SOL: (100 * SOL, 9), SOL_MINT: (0, 9), MINT: (1000 * 10**DECIMALS, DECIMALS)}
            assert events[-1].mints_in_wallet == (MINT,)
            assert (events[-1].wallet, events[-1].is_periodic) == (WALLET.address, True)
            nobody = await read_wallet(rpc, str(SOL_MINT))
            assert nobody[-1].mints_in_wallet == ()
            block = await read_blockhash(rpc)
            assert isinstance(block, LatestBlockhash)
            assert block.block_height == net.chain.blocks[block.slot].height
            fees = await read_fees(rpc, [])
            assert (fees.p50, fees.sample_count) == (0, 33)

    asyncio.run(go())


SOL_MINT = "So11111111111111111111111111111111111111112"


def test_fee_percentiles_follow_the_wire_contract():
    assert fee_event([]) is None
    told = fee_event([PriorityFee(slot, 10 * slot) for slot in range(101)])
    assert (told.p25, told.p50, told.p75, told.p90) == (250, 500, 750, 900)
    assert (told.tier0_recommended, told.tier1_recommended, told.arb_recommended) == (1350, 600, 975)
    assert (told.sample_count, told.last_slot) == (101, 100)


def test_a_landed_transaction_that_no_history_holds_is_told_by_its_status():
    async def answer(request):
        told = msgspec.json.decode(await request.read())
        status = {"slot": 7, "err": {"InstructionError": [0, {"Custom": 6}]}, "confirmationStatus": "confirmed"}
        result = {"getSignatureStatuses": {"context": {"slot": 9}, "value": [status]}}.get(told["method"])
        return web.json_response({"jsonrpc": "2.0", "id": told["id"], "result": result})

    async def silent(_):
        return web.Response(status=503)

    async def go():
        module_landing = __import__("ironcrab.shell.landing", fromlist=["FETCH_PAUSE_S"])
        module_landing.FETCH_PAUSE_S, kept = 0.001, module_landing.FETCH_PAUSE_S
        try:
            async with node(answer) as rpc:
                told = await fetched((rpc,), "1", "confirmed")
            async with node(silent) as rpc:
                last = await fetched((rpc,), "1", "confirmed", Status(7, {"InstructionError": [0, {"Custom": 6}]}))
        finally:
            module_landing.FETCH_PAUSE_S = kept
        assert last == told, "nodes that fall silent do not make a failure a success"
        assert not isinstance(told, Landed)
        assert (told.slot, told.err) == (7, '{"InstructionError":[0,{"Custom":6}]}')
        assert told.reason == "rpc_tx_fetch_failed"

    asyncio.run(go())
