"""The local chain over HTTP: every method's shape, limits, expiry, fates, genesis, and frames the ingest can read."""

import asyncio
import base64
from hashlib import sha256
from itertools import count

import aiohttp
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from ironcrab.dex.address import SYSTEM, TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.domain.fault import InputFault
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.ingest.transaction import calls, transaction_of
from ironcrab.shell import genesis
from ironcrab.shell.fates import parse_fates
from ironcrab.shell.local_calls import CALLS
from ironcrab.shell.local_chain import LocalChain, Refused
from ironcrab.shell.localnet import Localnet
from ironcrab.shell.vm import V1_GATE, Vm
from tests.shell.stage import KEYPAIR, MINT, OTHER, SOL, WALLET, new_chain, plan

CONFIRMED = {"commitment": "confirmed"}
PROCESSED = {"commitment": "processed"}
HELD = associated(WALLET.address, MINT, TOKEN)


NUMBERS = count()


def somebody():
    """A keypair that nothing else uses."""
    return Keypair.from_seed(sha256(b"somebody %d" % next(NUMBERS)).digest())


def ask(net, method, *params):
    return net.answer({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})


def result(net, method, *params):
    told = ask(net, method, *params)
    assert "error" not in told, told
    assert (told["jsonrpc"], told["id"]) == ("2.0", 7)
    return told["result"]


def code(net, method, *params):
    return ask(net, method, *params)["error"]["code"]


def sol(chain, lamports=1000, to=OTHER, blockhash=None, payer=KEYPAIR):
    """A signed transfer of SOL."""
    sent = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Pubkey.from_string(to), lamports=lamports))
    told = Hash.from_string(blockhash or chain.blockhash_at("confirmed")[0])
    return VersionedTransaction(MessageV0.try_compile(payer.pubkey(), [sent], [], told), [payer])


def b64(transaction):
    return base64.b64encode(bytes(transaction)).decode()


B64 = {"encoding": "base64"}


@pytest.fixture
def net():
    return Localnet(new_chain(), tick=False)


def test_chain_methods_have_the_shapes_of_a_node(net):
    chain = net.chain
    told = result(net, "getLatestBlockhash", CONFIRMED)
    assert told["context"]["slot"] == chain.slot - 2
    block = chain.blocks[chain.slot - 2]
    assert told["value"] == {"blockhash": block.hash, "lastValidBlockHeight": block.height + 150}
    assert result(net, "getSlot", PROCESSED) - result(net, "getSlot") == 32
    assert result(net, "getBlockHeight", PROCESSED) == chain.height
    assert result(net, "getSlot", PROCESSED) != result(net, "getBlockHeight", PROCESSED)
    info = result(net, "getEpochInfo", PROCESSED)
    assert info["absoluteSlot"] == chain.slot
    assert 0 <= info["slotIndex"] < info["slotsInEpoch"] == 432000
    assert result(net, "getHealth") == "ok"
    assert "ironcrab" in result(net, "getVersion")["solana-core"]
    assert result(net, "isBlockhashValid", block.hash, PROCESSED)["value"] is True
    assert result(net, "isBlockhashValid", WSOL, PROCESSED)["value"] is False
    assert len(result(net, "getGenesisHash")) >= 32
    sample = result(net, "getRecentPerformanceSamples", 1)[0]
    assert sample["samplePeriodSecs"] * 1000 // sample["numSlots"] == chain.slot_ms
    assert result(net, "getSlotLeader") == result(net, "getSlotLeaders", chain.slot, 2)[1] == SYSTEM
    assert code(net, "getSlotLeaders", chain.slot, 0) == -32602
    assert code(net, "getNothing") == -32601
    assert code(net, "getSlot", {"commitment": "soon"}) == -32602
    assert code(net, "getSlot", {"minContextSlot": chain.slot + 9, **PROCESSED}) == -32016
    assert net.answer([])["error"]["code"] == -32600


def test_the_count_of_transactions_is_that_of_the_commitment(net):
    before = result(net, "getTransactionCount", PROCESSED)
    result(net, "requestAirdrop", str(somebody().pubkey()), SOL)
    result(net, "localnet_advance", 1)
    counts = [result(net, "getTransactionCount", told) for told in (PROCESSED, CONFIRMED, {})]
    assert counts == [before + 1, before, before]
    result(net, "localnet_advance", 40)
    assert result(net, "getTransactionCount") == before + 1


def test_token_accounts_and_mints_have_a_parsed_form(net):
    parsed = {"encoding": "jsonParsed"}
    told = result(net, "getAccountInfo", HELD, parsed)["value"]
    assert told["owner"] == TOKEN
    assert told["data"] == {
        "program": "spl-token",
        "space": 165,
        "parsed": {
            "type": "account",
            "info": {
                "mint": MINT,
                "owner": WALLET.address,
                "state": "initialized",
                "isNative": False,
                "tokenAmount": {
                    "amount": "1000000000", "decimals": 6, "uiAmount": None, "uiAmountString": "1000"
                },
            },
        },
    }  # fmt: skip
    (row, *_) = result(net, "getTokenAccountsByOwner", WALLET.address, {"mint": MINT}, parsed)["value"]
    assert row["account"]["data"] == told["data"]
    minted = result(net, "getMultipleAccounts", [MINT, WSOL], parsed)["value"]
    assert minted[0]["data"]["parsed"]["type"] == "mint"
    assert minted[0]["data"]["parsed"]["info"]["decimals"] == 6
    assert result(net, "getAccountInfo", OTHER, parsed)["value"]["data"] == ["", "base64"]


def test_account_methods_have_the_shapes_of_a_node(net):
    told = result(net, "getAccountInfo", HELD, B64)["value"]
    assert {*told} == {"lamports", "owner", "data", "executable", "rentEpoch", "space"}
    assert (told["owner"], told["space"]) == (TOKEN, 165)
    whole = base64.b64decode(told["data"][0])
    part = result(net, "getAccountInfo", HELD, {**B64, "dataSlice": {"offset": 64, "length": 8}})["value"]
    assert base64.b64decode(part["data"][0]) == whole[64:72] == (1000 * 10**6).to_bytes(8, "little")
    assert part["space"] == 165
    zipped = result(net, "getAccountInfo", HELD, {"encoding": "base64+zstd"})["value"]["data"]
    assert zipped[1] == "base64+zstd"
    assert code(net, "getAccountInfo", HELD) == -32600  # base58 by default, and too long for it
    assert result(net, "getAccountInfo", OTHER)["value"]["data"] == ["", "base58"]
    nobody = str(somebody().pubkey())
    assert result(net, "getAccountInfo", nobody)["value"] is None
    many = result(net, "getMultipleAccounts", [HELD, nobody], B64)
    assert [row is None for row in many["value"]] == [False, True]
    assert code(net, "getMultipleAccounts", [nobody] * 101) == -32602
    assert result(net, "getBalance", OTHER)["value"] == SOL
    assert result(net, "getBalance", nobody)["value"] == 0
    amount = result(net, "getTokenAccountBalance", HELD)["value"]
    assert (amount["amount"], amount["decimals"], amount["uiAmountString"]) == ("1000000000", 6, "1000")
    assert code(net, "getTokenAccountBalance", OTHER) == -32602
    for which in ({"mint": MINT}, {"programId": TOKEN}):
        rows = result(net, "getTokenAccountsByOwner", WALLET.address, which, B64)["value"]
        assert [row["pubkey"] for row in rows] == [HELD]
    assert result(net, "getTokenAccountsByOwner", WALLET.address, {"programId": TOKEN_2022}, B64)["value"] == []
    assert code(net, "getTokenAccountsByOwner", WALLET.address, {"programId": OTHER}) == -32602
    owner = {"memcmp": {"offset": 32, "bytes": WALLET.address}}
    rows = result(net, "getProgramAccounts", TOKEN, {"filters": [{"dataSize": 165}, owner], **B64})
    assert [row["pubkey"] for row in rows] == [HELD]
    other = {"memcmp": {"offset": 32, "bytes": base64.b64encode(bytes(32)).decode(), "encoding": "base64"}}
    assert result(net, "getProgramAccounts", TOKEN, {"filters": [other], **B64, "withContext": True})["value"] == []


def test_rent_is_the_chain_s_and_no_constant():
    dear, cheap = Localnet(new_chain(), tick=False), Localnet(LocalChain(Vm(5080)), tick=False)
    assert result(dear, "getMinimumBalanceForRentExemption", 165) == 2_039_280
    assert result(cheap, "getMinimumBalanceForRentExemption", 165) == 1_488_440
    sysvar = result(cheap, "getAccountInfo", genesis.RENT_SYSVAR, B64)["value"]
    assert int.from_bytes(base64.b64decode(sysvar["data"][0])[:8], "little") == 5080


def test_a_transaction_s_life_statuses_meta_and_ladder(net):
    chain = net.chain
    transaction = sol(chain, 5000)
    signature = str(transaction.signatures[0])
    assert result(net, "getSignatureStatuses", [signature])["value"] == [None]
    assert result(net, "sendTransaction", b64(transaction), B64) == signature
    status = result(net, "getSignatureStatuses", [signature])["value"][0]
    assert status == {
        "slot": chain.slot,
        "confirmations": 0,
        "err": None,
        "status": {"Ok": None},
        "confirmationStatus": "processed",
    }
    config = {**CONFIRMED, "maxSupportedTransactionVersion": 1, **B64}
    assert result(net, "getTransaction", signature, config) is None
    assert result(net, "localnet_advance", 2) == chain.slot
    assert result(net, "getSignatureStatuses", [signature])["value"][0]["confirmationStatus"] == "confirmed"
    told = result(net, "getTransaction", signature, config)
    assert base64.b64decode(told["transaction"][0]) == bytes(transaction)
    meta = told["meta"]
    assert (meta["err"], meta["fee"], meta["status"]) == (None, 5000, {"Ok": None})
    assert [after - before for before, after in zip(meta["preBalances"], meta["postBalances"], strict=True)] == [
        -10_000,
        5000,
        0,
    ]
    assert told["version"] == 0
    assert code(net, "getTransaction", signature, CONFIRMED) == -32015
    assert code(net, "getTransaction", signature, PROCESSED) == -32602
    in_json = result(net, "getTransaction", signature, {**config, "encoding": "json"})["transaction"]
    assert in_json["signatures"] == [signature]
    assert in_json["message"]["accountKeys"][0] == WALLET.address
    chain.advance(30)
    last = result(net, "getSignatureStatuses", [signature])["value"][0]
    assert (last["confirmationStatus"], last["confirmations"]) == ("finalized", None)
    fees = result(net, "getRecentPrioritizationFees", [])
    assert {*fees[0]} == {"slot", "prioritizationFee"}


def test_inner_instructions_and_token_balances_stand_in_the_meta(net):
    from ironcrab.shell.transaction import Tables, message_of, signed

    told = plan("wrap", SOL)
    blockhash = net.chain.blockhash_at("confirmed")[0]
    made = signed(message_of(told, WALLET.address, Tables()), blockhash, WALLET)
    result(net, "sendTransaction", base64.b64encode(made.raw).decode(), B64)
    net.chain.advance(2)
    config = {**CONFIRMED, "maxSupportedTransactionVersion": 1}
    meta = result(net, "getTransaction", made.signature, config)["meta"]
    assert [group["index"] for group in meta["innerInstructions"]] == [2]
    assert {call["stackHeight"] for call in meta["innerInstructions"][0]["instructions"]} == {2}
    assert meta["preTokenBalances"] == []
    row = meta["postTokenBalances"][0]
    assert (row["mint"], row["owner"], row["programId"]) == (WSOL, WALLET.address, TOKEN)
    assert row["uiTokenAmount"]["amount"] == str(SOL)


def test_preflight_refusals_carry_the_simulation(net):
    chain = net.chain
    told = ask(net, "sendTransaction", b64(sol(chain, 1000 * SOL)), B64)["error"]
    assert told["code"] == -32002
    assert told["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert told["data"]["logs"]
    stale = sol(chain, blockhash=str(Hash.new_unique()))
    assert ask(net, "sendTransaction", b64(stale), B64)["error"]["data"]["err"] == "BlockhashNotFound"
    good = sol(chain)
    result(net, "sendTransaction", b64(good), B64)
    assert ask(net, "sendTransaction", b64(good), B64)["error"]["data"]["err"] == "AlreadyProcessed"
    assert result(net, "sendTransaction", b64(good), {**B64, "skipPreflight": True}) == str(good.signatures[0])
    message = sol(chain, 77).message
    forged = VersionedTransaction.populate(message, [sol(chain, 78).signatures[0]])
    assert code(net, "sendTransaction", b64(forged), B64) == -32003
    assert code(net, "sendTransaction", "!!!", B64) == -32602
    assert code(net, "sendTransaction", b64(good)[:40], B64) == -32602


def test_a_failure_lands_with_its_fee_when_preflight_is_skipped(net):
    transaction = sol(net.chain, 1000 * SOL)
    before = net.chain.vm.balance(KEYPAIR.pubkey())
    result(net, "sendTransaction", b64(transaction), {**B64, "skipPreflight": True})
    status = result(net, "getSignatureStatuses", [str(transaction.signatures[0])])["value"][0]
    assert status["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert status["status"] == {"Err": status["err"]}
    assert net.chain.vm.balance(KEYPAIR.pubkey()) == before - 5000


def test_blockhashes_live_150_blocks_and_no_longer(net):
    chain = net.chain
    blockhash, last = chain.blockhash_at("processed")
    early, late = sol(chain, 1, blockhash=blockhash), sol(chain, 2, blockhash=blockhash)
    chain.advance(last - chain.height)
    assert chain.height == last
    result(net, "sendTransaction", b64(early), B64)
    assert result(net, "isBlockhashValid", blockhash, PROCESSED)["value"] is True
    chain.advance(1)
    assert result(net, "isBlockhashValid", blockhash, PROCESSED)["value"] is False
    assert ask(net, "sendTransaction", b64(late), B64)["error"]["data"]["err"] == "BlockhashNotFound"
    result(net, "sendTransaction", b64(late), {**B64, "skipPreflight": True})
    assert str(late.signatures[0]) not in chain.ledger


def test_a_packet_holds_1232_bytes(net):
    memo = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
    for size, fits in ((900, True), (1100, False)):
        note = Instruction(memo, b"a" * size, [])
        message = MessageV0.try_compile(KEYPAIR.pubkey(), [note], [], Hash.from_string(net.chain.hash))
        transaction = VersionedTransaction(message, [KEYPAIR])
        whole = len(bytes(transaction))
        assert (whole <= 1232) is fits
        told = ask(net, "sendTransaction", b64(transaction), B64)
        assert ("error" not in told) is fits
        if not fits:
            assert (told["error"]["code"], str(whole) in told["error"]["message"]) == (-32602, True)


def test_v1_transactions_need_their_gate(net):
    from solders.message import MessageV1

    chain = net.chain
    sent = transfer(TransferParams(from_pubkey=KEYPAIR.pubkey(), to_pubkey=Pubkey.from_string(OTHER), lamports=1))
    message = MessageV1.try_compile(KEYPAIR.pubkey(), [sent], Hash.from_string(chain.hash))
    transaction = VersionedTransaction(message, [KEYPAIR])
    assert transaction.version() == 1
    with pytest.raises(Refused, match="not active"):
        chain.submit(bytes(transaction), skip_preflight=True)
    gate = Account(1, b"\x01" + (5).to_bytes(8, "little"), Pubkey.from_string(genesis.FEATURE))
    chain.set_account(Pubkey.from_string(V1_GATE), gate)
    chain.submit(bytes(transaction), skip_preflight=True)
    assert str(transaction.signatures[0]) in chain.ledger


def test_simulation_changes_nothing_and_tells_balances(net):
    chain = net.chain
    transaction = sol(chain, 5000, blockhash=str(Hash.new_unique()))
    unsigned = VersionedTransaction.populate(transaction.message, [sol(chain).signatures[0]])
    config = {
        **B64,
        **PROCESSED,
        "replaceRecentBlockhash": True,
        "accounts": {"encoding": "base64", "addresses": [OTHER, str(somebody().pubkey())]},
    }
    before = chain.vm.balance(Pubkey.from_string(OTHER))
    told = result(net, "simulateTransaction", b64(unsigned), config)
    value = told["value"]
    assert (value["err"], value["fee"]) == (None, 5000)
    assert value["accounts"][0]["lamports"] == before + 5000
    assert value["accounts"][1] is None
    assert value["postBalances"][1] - value["preBalances"][1] == 5000
    assert value["replacementBlockhash"]["blockhash"] == chain.blockhash_at("processed")[0]
    assert chain.vm.balance(Pubkey.from_string(OTHER)) == before
    assert code(net, "simulateTransaction", b64(unsigned), {**config, "sigVerify": True}) == -32602
    stale = result(net, "simulateTransaction", b64(unsigned), {**B64, **PROCESSED})["value"]
    assert stale["err"] == "BlockhashNotFound"
    bad = {**config, "accounts": {"encoding": "base58", "addresses": [OTHER]}}
    assert code(net, "simulateTransaction", b64(unsigned), bad) == -32602
    late = {**config, "minContextSlot": chain.slot + 1}
    assert code(net, "simulateTransaction", b64(unsigned), late) == -32016


def test_lookup_tables_are_resolved(net):
    chain = net.chain
    keys = [somebody().pubkey() for _ in range(4)]
    table = somebody().pubkey()
    header = (1).to_bytes(4, "little") + b"\xff" * 8 + bytes(8) + bytes(1) + bytes(1) + bytes(32) + bytes(2)
    program = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
    chain.set_account(table, Account(10**7, header + b"".join(bytes(key) for key in keys), program))
    sent = [transfer(TransferParams(from_pubkey=KEYPAIR.pubkey(), to_pubkey=key, lamports=SOL)) for key in keys[:3]]
    luts = [AddressLookupTableAccount(table, keys)]
    message = MessageV0.try_compile(KEYPAIR.pubkey(), sent, luts, Hash.from_string(chain.hash))
    transaction = VersionedTransaction(message, [KEYPAIR])
    result(net, "sendTransaction", b64(transaction), B64)
    landing = chain.ledger[str(transaction.signatures[0])]
    assert landing.ran.accounts.loaded_writable == tuple(sorted(keys[:3], key=bytes))
    assert [chain.vm.balance(key) for key in keys] == [SOL, SOL, SOL, 0]
    chain.advance(2)
    config = {**CONFIRMED, "maxSupportedTransactionVersion": 0}
    meta = result(net, "getTransaction", str(transaction.signatures[0]), config)["meta"]
    assert meta["loadedAddresses"]["writable"] == [str(key) for key in sorted(keys[:3], key=bytes)]
    assert len(meta["preBalances"]) == len(message.account_keys) + 3


def test_airdrops_are_transactions_like_any_other(net):
    key = str(somebody().pubkey())
    first, second = result(net, "requestAirdrop", key, SOL), result(net, "requestAirdrop", key, SOL)
    assert first != second
    assert result(net, "getBalance", key)["value"] == 2 * SOL
    assert code(net, "requestAirdrop", key, -1) == -32602


def test_legacy_transactions_are_taken(net):
    sent = transfer(TransferParams(from_pubkey=KEYPAIR.pubkey(), to_pubkey=Pubkey.from_string(OTHER), lamports=3))
    message = Message.new_with_blockhash([sent], KEYPAIR.pubkey(), Hash.from_string(net.chain.hash))
    transaction = VersionedTransaction(message, [KEYPAIR])
    result(net, "sendTransaction", b64(transaction), B64)
    net.chain.advance(2)
    told = result(net, "getTransaction", str(transaction.signatures[0]), {**CONFIRMED, **B64})
    assert told["version"] == "legacy"


def test_the_past_is_told_by_block_and_by_address(net):
    chain = net.chain
    signatures = []
    for number in range(3):
        signatures.append(chain.submit(bytes(sol(chain, 50 + number)), skip_preflight=False))
        chain.advance(1 + number % 2)
    first = chain.ledger[signatures[0]].slot
    chain.advance(3)
    version = {"maxSupportedTransactionVersion": 1, **CONFIRMED}
    told = result(net, "getBlock", first, {**version, **B64})
    assert [row["meta"]["err"] for row in told["transactions"]] == [None]
    assert (told["parentSlot"], told["blockhash"]) == (first - 1, chain.blocks[first].hash)
    told = result(net, "getBlock", first, {**CONFIRMED, "transactionDetails": "signatures"})
    assert told["signatures"] == [signatures[0]]
    assert code(net, "getBlock", first, CONFIRMED) == -32015
    assert code(net, "getBlock", chain.slot, version) == -32004
    assert code(net, "getBlock", 5, version) == -32007
    assert result(net, "getBlocks", first, first + 2, CONFIRMED) == [first, first + 1, first + 2]
    assert result(net, "getBlocks", chain.slot - 3, CONFIRMED) == [chain.slot - 3, chain.slot - 2]
    assert result(net, "getBlockTime", first) == chain.blocks[first].time
    assert result(net, "getFirstAvailableBlock") == chain.first_slot
    rows = result(net, "getSignaturesForAddress", OTHER, CONFIRMED)
    assert [row["signature"] for row in rows] == signatures[::-1]
    rows = result(net, "getSignaturesForAddress", OTHER, {**CONFIRMED, "before": signatures[2], "limit": 1})
    assert [row["signature"] for row in rows] == [signatures[1]]
    rows = result(net, "getSignaturesForAddress", OTHER, {**CONFIRMED, "until": signatures[1]})
    assert [row["signature"] for row in rows] == [signatures[2]]
    # clients write options that they leave to the node as null
    blank = {"limit": None, "before": None, "until": None, "minContextSlot": None}
    assert len(result(net, "getSignaturesForAddress", OTHER, {**CONFIRMED, **blank})) == 3
    blank = {"transactionDetails": None, "rewards": None, "encoding": None}
    assert result(net, "getBlock", first, {**version, **blank})["transactions"]
    message = base64.b64encode(to_bytes_versioned(sol(chain).message)).decode()
    assert result(net, "getFeeForMessage", message, PROCESSED)["value"] == 5000
    stale = base64.b64encode(to_bytes_versioned(sol(chain, blockhash=str(Hash.default())).message)).decode()
    assert result(net, "getFeeForMessage", stale, PROCESSED)["value"] is None


# the feed


def frames_of(chain, act):
    heard = []
    chain.listeners.append(heard.append)
    act()
    chain.listeners.clear()
    return [wire.SubscribeUpdate.FromString(frame) for frame in heard]


def test_frames_are_what_the_ingest_reads(net):
    from ironcrab.shell.transaction import Tables, message_of, signed

    chain = net.chain
    told = plan("wrap", SOL)
    made = signed(message_of(told, WALLET.address, Tables()), chain.hash, WALLET)

    def act():
        chain.submit(made.raw, skip_preflight=False)
        chain.advance(3)

    updates = frames_of(chain, act)
    kinds = [update.WhichOneof("update_oneof") for update in updates]
    assert kinds[:3] == ["account", "account", "transaction"]
    assert kinds[3:8] == ["block_meta", "slot", "slot", "slot", "slot"]
    update = updates[2].transaction
    read = transaction_of(update.transaction, update.slot)
    assert not isinstance(read, str)
    assert (read.signature, read.fee_payer, read.slot) == (made.signature, WALLET.address, chain.slot - 3)
    programs = [call.program for call in calls(read)]
    assert programs[2].startswith("AToken")
    assert programs.count(TOKEN) > 2
    held = read.balances[associated(WALLET.address, WSOL, TOKEN)]
    assert (held.before, held.after, held.owner) == (None, SOL, WALLET.address)
    statuses = [(update.slot.slot, update.slot.status) for update in updates if update.HasField("slot")]
    assert (chain.slot - 3, wire.SLOT_PROCESSED) in statuses
    assert (chain.slot - 3, wire.SLOT_CONFIRMED) in statuses
    meta = updates[3].block_meta
    assert (meta.slot, meta.executed_transaction_count) == (chain.slot - 3, 1)
    assert meta.blockhash == chain.blocks[meta.slot].hash
    versions = [update.account.account.write_version for update in updates if update.HasField("account")]
    assert versions == sorted(set(versions))


def test_a_failed_transaction_s_frame_carries_its_error(net):
    updates = frames_of(net.chain, lambda: net.chain.submit(bytes(sol(net.chain, 999 * SOL)), skip_preflight=True))
    info = next(update.transaction.transaction for update in updates if update.HasField("transaction"))
    assert info.meta.err.err.hex() == "08000000001900000001000000"
    assert transaction_of(info, 1) == "transaction_failed"


def test_frames_come_as_an_async_iterator():
    async def go():
        async with Localnet(new_chain(slot_ms=5)) as net:
            heard = []
            async for frame in net.frames():
                heard.append(wire.SubscribeUpdate.FromString(frame).WhichOneof("update_oneof"))
                if len(heard) == 20:
                    break
            assert "block_meta" in heard

    asyncio.run(go())


# HTTP, fates, genesis


def test_http_takes_one_request_a_batch_and_nonsense():
    async def go():
        async with Localnet(new_chain(), tick=False) as net, aiohttp.ClientSession() as session:

            async def post(body):
                async with session.post(net.url, data=body) as response:
                    return msgspec.json.decode(await response.read())

            one = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
            assert (await post(msgspec.json.encode(one)))["result"] == "ok"
            assert [row["id"] for row in await post(msgspec.json.encode([one, {**one, "id": 2}]))] == [1, 2]
            assert (await post(b"\xff{"))["error"]["code"] == -32700
            async with session.get(f"{net.url}/health") as response:
                assert await response.text() == "ok"
            with pytest.raises(InputFault, match="cannot be used"):
                await Localnet(net.chain, net.port).__aenter__()

    asyncio.run(go())


def test_slots_advance_by_the_timer():
    async def go():
        chain = new_chain(slot_ms=10)
        first = chain.slot
        async with Localnet(chain):
            await asyncio.sleep(0.3)
        assert 15 <= chain.slot - first <= 40
        stopped = chain.slot
        await asyncio.sleep(0.05)
        assert chain.slot == stopped
        assert chain.vm.svm.get_clock().slot == stopped

    asyncio.run(go())


def test_the_same_script_has_the_same_faults():
    def play():
        net = Localnet(new_chain("drop every 3\ndelay 2 4\nfail 4"), tick=False)
        ends = []
        for number in range(6):
            transaction = sol(net.chain, 100 + number)
            net.chain.submit(bytes(transaction), skip_preflight=True)
            ends.append(str(transaction.signatures[0]))
        net.chain.advance(5)
        return [
            (one in net.chain.ledger, net.chain.ledger[one].ran.err if one in net.chain.ledger else None)
            for one in ends
        ]

    err = {"InstructionError": [0, {"Custom": 1}]}
    assert play() == play() == [(True, None), (True, None), (False, None), (True, err), (True, None), (False, None)]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("explode 1", "explode"),
        ("drop", "wrong number"),
        ("drop 0", "'0'"),
        ("delay 1", "wrong number"),
        ("fail 1 2", "wrong"),
    ],
)
def test_a_script_that_cannot_be_used_is_refused_by_its_line(line, named):
    with pytest.raises(InputFault, match=f"line 2.*{named}"):
        parse_fates(f"drop 1 # fine\n{line}", "fates.txt")


def write_account(folder, key, owner, data=b"", lamports=10**9, **more):
    told = {
        "lamports": lamports,
        "data": [base64.b64encode(data).decode(), "base64"],
        "owner": owner,
        "executable": False,
    }
    (folder / f"{key}.json").write_bytes(msgspec.json.encode({"pubkey": key, "account": {**told, **more}}))


def test_accounts_and_gates_are_loaded_from_a_folder(tmp_path):
    key = str(somebody().pubkey())
    write_account(tmp_path, key, OTHER, b"hello")
    write_account(tmp_path, genesis.RENT_SYSVAR, genesis.SYSVARS, (5080).to_bytes(8, "little") + bytes(9), 1)
    off = next(iter(sorted(str(one) for one in Vm().svm.mainnet_feature_set().inactive)))
    write_account(tmp_path, off, genesis.FEATURE, b"\x01" + (9).to_bytes(8, "little"))
    vm = Vm()
    assert genesis.load(vm, None, tmp_path) == (0, 3)
    chain = LocalChain(vm)
    assert bytes(chain.vm.account(Pubkey.from_string(key)).data) == b"hello"
    assert chain.vm.svm.minimum_balance_for_rent_exemption(165) == 1_488_440
    assert chain.is_active(off)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.json", b"{", "no JSON"),
        ("a.json", b'{"pubkey": "x"}', "lacks"),
        ("a.json", b'{"pubkey":"x","account":{"data":["","base64"],"lamports":1,"owner":"y"}}', "not both are keys"),
    ],
)
def test_account_files_that_cannot_be_used_are_named(tmp_path, name, content, named):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputFault, match=f"a.json.*{named}"):
        genesis.load(Vm(), None, tmp_path)


def test_program_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(InputFault, match="no folder"):
        genesis.load(Vm(), tmp_path / "none", None)
    (tmp_path / "swap.so").write_bytes(b"\x7fELF")
    with pytest.raises(InputFault, match="not named by its program id"):
        genesis.load(Vm(), tmp_path, None)
    (tmp_path / "swap.so").rename(tmp_path / f"{OTHER}.so")
    with pytest.raises(InputFault, match="refused by the virtual machine"):
        genesis.load(Vm(), tmp_path, None)


# nonsense in

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=50), st.sampled_from([OTHER, HELD, MINT, TOKEN, WSOL])
)
PARAMS = st.lists(
    st.one_of(
        PLAIN,
        st.lists(PLAIN, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["commitment", "encoding", "filters", "dataSlice", "minContextSlot", "accounts", "mint", "programId"]
            ),
            st.one_of(
                PLAIN,
                st.lists(PLAIN, max_size=2),
                st.dictionaries(st.sampled_from(["memcmp", "offset", "addresses"]), PLAIN),
            ),
            max_size=3,
        ),
    ),
    max_size=4,
)
NET = Localnet(new_chain(), tick=False)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from([name for name, _ in CALLS if name != "localnet_advance"]), PARAMS)
def test_no_request_escapes_as_an_exception(method, params):
    told = NET.answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert ("result" in told) != ("error" in told)
    msgspec.json.encode(told)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.integers(0, 216), st.integers(0, 255))
def test_no_transaction_bytes_escape_as_an_exception(raw, place, value):
    good = bytearray(bytes(sol(NET.chain, 12345)))
    good[place] = value
    for body in (raw, bytes(good)):
        for method in ("sendTransaction", "simulateTransaction"):
            told = NET.answer(
                {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": method,
                    "params": [base64.b64encode(body).decode(), {**B64, **PROCESSED}],
                }
            )
            msgspec.json.encode(told)


def test_the_chain_is_the_same_every_time():
    def play():
        chain = new_chain()
        heard = []
        chain.listeners.append(heard.append)
        for number in range(5):
            chain.submit(bytes(sol(chain, 100 + number)), skip_preflight=False)
            chain.advance(2)
        return sha256(b"".join(heard)).hexdigest()

    assert play() == play()


def test_a_transaction_with_a_missing_signature_is_refused(net):
    memo = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
    other = somebody()
    note = Instruction(memo, b"hi", [AccountMeta(other.pubkey(), True, False)])
    message = MessageV0.try_compile(KEYPAIR.pubkey(), [note], [], Hash.from_string(net.chain.hash))
    zeros = VersionedTransaction.populate(message, [sol(net.chain).signatures[0]] * 2)
    assert code(net, "sendTransaction", b64(zeros), B64) == -32003
    one = VersionedTransaction.populate(message, [sol(net.chain).signatures[0]])
    assert code(net, "sendTransaction", b64(one), B64) in (-32013, -32602)
