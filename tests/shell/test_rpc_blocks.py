"""Blocks by RPC become the updates of a feed: real transactions, read both ways, say the same."""

import asyncio
import base64
import json
from contextlib import suppress
from struct import pack

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN
from ironcrab.domain.control import GapOpened
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import AccountWritten, LatestBlockhash, SlotUpdate, TokenMintInfo, Trade
from ironcrab.ingest.normalise import Normaliser
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.log.recording import Recording
from ironcrab.mode.rpc_importing import Wish, import_rpc
from ironcrab.shell.files import capture
from ironcrab.shell.localnet import Localnet
from ironcrab.shell.rpc import Rpc, RpcFault
from ironcrab.shell.rpc_blocks import BlockAnswer, BlockMeta, BlockRow, read_block, transactions_of
from tests.shell.playing import SHARED
from tests.shell.stage import KEYPAIR, OTHER, WALLET, new_chain

GEYSER = SHARED / "data" / "geyser"
BLOCKHASH = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"


def short(number):
    """A length as transactions write it: 7 bits a byte."""
    out = bytearray()
    while True:
        out.append(number & 127 | (128 if number > 127 else 0))
        number >>= 7
        if not number:
            return bytes(out)


def wire_bytes(told):
    """The bytes of a transaction that a node told as JSON."""
    message = told["message"]
    header, keys = message["header"], message["accountKeys"]
    body = bytes(
        (header["numRequiredSignatures"], header["numReadonlySignedAccounts"], header["numReadonlyUnsignedAccounts"])
    )
    body += short(len(keys)) + b"".join(base58.decode(key) for key in keys) + base58.decode(message["recentBlockhash"])
    body += short(len(message["instructions"]))
    for call in message["instructions"]:
        data = base58.decode(call["data"])
        body += bytes((call["programIdIndex"],)) + short(len(call["accounts"])) + bytes(call["accounts"])
        body += short(len(data)) + data
    lookups = message.get("addressTableLookups")
    if lookups is not None:
        body = b"\x80" + body + short(len(lookups))
        for row in lookups:
            body += base58.decode(row["accountKey"])
            for which in ("writableIndexes", "readonlyIndexes"):
                body += short(len(row[which])) + bytes(row[which])
    return short(len(told["signatures"])) + b"".join(base58.decode(sign) for sign in told["signatures"]) + body


def told_by_nodes():
    """(signature, block with this one transaction) of each real transaction that a node told as JSON."""
    for path in sorted((GEYSER / "tx_json").glob("*.json")):
        found = json.loads(path.read_bytes())
        for told in found if isinstance(found, list) else [found.get("result", found)]:
            transaction = told.get("transaction")
            if isinstance(transaction, dict) and "header" not in transaction["message"]:
                continue  # taken apart by its node: the bytes are gone
            if isinstance(transaction, dict):
                transaction = (base64.b64encode(wire_bytes(transaction)).decode(), "base64")
            if transaction is not None:
                row = BlockRow(tuple(transaction), msgspec.convert(told["meta"], BlockMeta))
                block = BlockAnswer(BLOCKHASH, BLOCKHASH, 6, [row])
                yield VersionedTransaction.from_bytes(base64.b64decode(transaction[0])).signatures[0], block


@pytest.mark.shared
def test_real_transactions_say_the_same_by_rpc_and_by_feed():
    path = GEYSER / "single_transactions.subscribe_updates.bin.zst"
    if not path.exists():
        pytest.skip("skipped: shared inputs are not beside the checkout")
    by_feed = {}
    for frame in capture(path, {}):
        update = wire.SubscribeUpdate.FromString(frame)
        update.transaction.slot, update.transaction.transaction.index = 7, 0
        update.ClearField("created_at")
        signature = base58.encode(update.transaction.transaction.signature)
        by_feed[signature] = Normaliser().feed(update.SerializeToString())
    compared = 0
    for signature, block in told_by_nodes():
        updates = list(transactions_of(Rpc("http://x"), 7, block))
        said = [told for update in updates for told in Normaliser().feed(update.SerializeToString())]
        if str(signature) in by_feed:
            assert said == by_feed[str(signature)]
            compared += any(isinstance(event, Trade) for _, event in said)
    assert compared >= 3


def new_mint(chain, number):
    """A transaction that makes a mint; its mint."""
    mint = Keypair.from_seed(bytes([number]) * 32)
    rent = chain.vm.svm.minimum_balance_for_rent_exemption(82)
    made = create_account(
        CreateAccountParams(
            from_pubkey=KEYPAIR.pubkey(), to_pubkey=mint.pubkey(), lamports=rent, space=82,
            owner=Pubkey.from_string(TOKEN),
        )
    )  # fmt: skip
    data = b"\x14" + pack("<B", 6) + bytes(KEYPAIR.pubkey()) + b"\0"
    init = Instruction(Pubkey.from_string(TOKEN), data, [AccountMeta(mint.pubkey(), False, True)])
    blockhash = Hash.from_string(chain.blocks[max(chain.blocks)].hash)
    message = MessageV0.try_compile(KEYPAIR.pubkey(), [made, init], [], blockhash)
    return bytes(VersionedTransaction(message, [KEYPAIR, mint])), str(mint.pubkey())


def imported(tmp_path, wish_of):
    """A chain on which three mints were made, one a slot with empty slots between, and what is imported of it."""
    chain = new_chain()
    frames, mints = [], []
    chain.listeners.append(frames.append)
    chain.advance(3)
    first = chain.slot
    for number in (1, 2, 3):
        raw, mint = new_mint(chain, number)
        chain.submit(raw, skip_preflight=True)
        chain.advance(3)
        mints.append(mint)
    last = chain.slot - 1
    chain.advance(40)

    async def go():
        async with Localnet(chain, tick=False) as net, Rpc(net.url) as rpc:
            return await import_rpc(rpc, wish_of(first, last, mints), tmp_path / "out")

    summary = asyncio.run(go())
    return (
        summary,
        [record.event for record in Recording.open(tmp_path / "out").records()],
        frames,
        mints,
        (first, last),
    )


def test_a_span_of_a_program_is_what_the_feed_told(tmp_path):
    _, events, frames, mints, (first, last) = imported(
        tmp_path, lambda first, last, _: Wish(program=TOKEN, slots=(first, last))
    )
    normaliser = Normaliser()
    said = [event for frame in frames for _, event in normaliser.feed(frame)]
    kinds = (TokenMintInfo, LatestBlockhash)
    # the feed tells a mint by its transaction and again by each write of its account
    by_feed = {repr(event) for event in said if isinstance(event, kinds) and first <= event.slot <= last}
    by_rpc = [event for event in events if isinstance(event, kinds) and getattr(event, "source", "") != "rpc"]
    assert {repr(event) for event in by_rpc} <= by_feed
    assert [event.mint for event in by_rpc if isinstance(event, TokenMintInfo)] == mints
    assert [e.slot for e in by_rpc if isinstance(e, LatestBlockhash)] == list(range(first, last + 1))
    assert [e.slot for e in events if isinstance(e, SlotUpdate) and e.status == "confirmed"] == list(
        range(first, last + 1)
    )
    assert not any(isinstance(event, GapOpened) for event in events)
    written = {event.pubkey: event for event in events if isinstance(event, AccountWritten)}
    assert set(mints) <= set(written)
    assert all(event.slot >= last and event.signature is None and event.source == "rpc" for event in written.values())
    assert Recording.open(tmp_path / "out").verify_bytes(deep=True).faults == ()


def test_a_span_of_pools_tells_the_slots_that_named_them(tmp_path):
    _, events, _, mints, _ = imported(
        tmp_path, lambda first, last, mints: Wish(pools=(mints[0], mints[2]), slots=(first, last))
    )
    infos = [event for event in events if isinstance(event, TokenMintInfo) and event.source == "geyser"]
    assert [event.mint for event in infos] == [mints[0], mints[2]]
    slots = [event.slot for event in events if isinstance(event, SlotUpdate) and event.status == "created"]
    assert slots == [event.slot for event in infos]
    assert not any(isinstance(event, GapOpened) for event in events)
    assert {event.pubkey for event in events if isinstance(event, AccountWritten)} == {mints[0], mints[2]}


def test_pools_as_they_stand_alone(tmp_path):
    summary, events, *_ = imported(tmp_path, lambda _first, _last, mints: Wish(pools=(mints[1], OTHER)))
    assert summary.counts["AccountWritten"] == 2
    assert not any(isinstance(event, SlotUpdate) for event in events)


@pytest.mark.parametrize(
    ("wish_of", "kind", "sentence"),
    [
        (lambda first, last, _: Wish(program=TOKEN, slots=(last, first)), InputFault, "no span"),
        (lambda first, _last, _: Wish(program=TOKEN, slots=(first, first + 10**6)), InputFault, "not confirmed yet"),
    ],
)
def test_spans_that_are_none(wish_of, kind, sentence, tmp_path):
    with pytest.raises(kind, match=sentence):
        imported(tmp_path, wish_of)


class Liar(Rpc):
    """A node that answers with what the test says."""

    def __init__(self, answers):
        super().__init__("http://127.0.0.1:1")
        self.answers = answers

    async def _post(self, method, body, path):
        answer = self.answers[method]
        return 200, json.dumps({"id": json.loads(body)["id"], "result": answer}).encode()


def block(**over):
    told = {"blockhash": BLOCKHASH, "previousBlockhash": BLOCKHASH, "parentSlot": 4, "transactions": []}
    return told | over


ROW = {"transaction": ["AAAA", "base64"], "meta": {"fee": 1, "preBalances": [], "postBalances": []}}


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"getBlock": None}, "tells no block of slot 5"),
        ({"getBlock": block(parentSlot=5)}, "can be none"),
        ({"getBlock": block(blockhash="no")}, "can be none"),
        ({"getBlock": {"blockhash": 3}}, "nonsense"),
        ({"getBlock": block(transactions=[ROW])}, "transaction 0 of slot 5 that is none"),
        ({"getBlock": block(transactions=[{**ROW, "meta": None}])}, "without metadata"),
        ({"getBlock": block()}, "contradicts itself: transaction sig is not in its block 5"),
        ({"getSignaturesForAddress": [{"signature": "sig", "slot": -3}]}, "nonsense"),
        ({"getSignaturesForAddress": [{"signature": "sig", "slot": 5}] * 3}, "has more than"),
    ],
)
def test_a_node_that_lies_is_one_sentence(answers, sentence, tmp_path):
    usual = {"getSlot": 9, "getSignaturesForAddress": [{"signature": "sig", "slot": 5}, {"signature": "s", "slot": 2}]}
    node = Liar(usual | answers)

    async def go():
        async with node:
            await import_rpc(node, Wish(pools=(WALLET.address,), slots=(3, 7)), tmp_path / "out")

    with pytest.raises((RpcFault, InputFault)) as fault:
        asyncio.run(go())
    assert sentence in str(fault.value)
    assert "\n" not in str(fault.value)


@given(st.binary(max_size=300))
@settings(derandomize=True, deadline=None)
def test_bytes_that_are_no_transaction_are_refused(raw):
    row = BlockRow((base64.b64encode(raw).decode(), "base64"), BlockMeta(1, [], []))
    with suppress(RpcFault):
        list(transactions_of(Rpc("http://x"), 7, BlockAnswer(BLOCKHASH, BLOCKHASH, 6, [row])))


def test_a_skipped_slot_is_the_node_s_refusal():
    async def go():
        chain = new_chain()
        async with Localnet(chain, tick=False) as net, Rpc(net.url) as rpc:
            await read_block(rpc, 1)

    with pytest.raises(RpcFault, match="refuses getBlock"):
        asyncio.run(go())
