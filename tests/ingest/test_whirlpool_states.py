"""The accounts of the Whirlpool day: what cannot be rebuilt is not told, and a state file that is none is refused."""

import base64
import gzip
import json
from collections import Counter
from random import Random

import pytest

from ironcrab.dex import base58
from ironcrab.dex.mint import decode_token
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import AccountWritten, Trade
from ironcrab.ingest.whirlpool_day import Day
from ironcrab.ingest.whirlpool_states import NOT_REBUILT, rebuild, vault_account
from tests.ingest.rebuilt_day import rebuilt_day

SMALL = "5Z66YYYaTmmx1R4mATAGLSc8aV4Vfy5tNdJQzk1GP9RF"


@pytest.fixture(scope="module")
def lines(shared):
    """The day's lines that hold something."""
    with gzip.open(shared / "data/whirlpool_2022/whirlpool-transaction-20220406.jsonl.gz") as file:
        return [line for line in file if not line.endswith(b'"transactions":[]}\n')]


@pytest.fixture(scope="module")
def state(shared):
    """The day's end, as JSON."""
    return json.loads(gzip.decompress((shared / "data/whirlpool_2022/whirlpool-state-20220406.json.gz").read_bytes()))


def of_pool(lines, pool):
    """The blocks of the day with nothing but the instructions of one pool."""
    blocks = [json.loads(line) for line in lines if pool.encode() in line]
    for block in blocks:
        for each in block["transactions"]:
            each["instructions"] = [one for one in each["instructions"] if pool in one["payload"].values()]
    return blocks


def rebuilt(blocks, accounts):
    """`rebuild` of these."""
    return rebuild([json.dumps(block).encode() for block in blocks], json.dumps({"accounts": accounts}).encode(), "s")


def test_writes_stand_before_what_their_transaction_did(shared, lines):
    """So that nobody quotes from a state that the transaction is not known to have left."""
    day = Day(states=rebuilt_day(shared))
    last = {}
    for place, (_, event) in enumerate(day.events(lines)):
        if isinstance(event, AccountWritten) and event.signature is not None:
            last[event.signature] = place
        elif isinstance(event, Trade):
            assert last.get(event.signature, place) < place
    assert day.counts == {}
    assert len(last) > 9_000


def test_a_pool_that_does_not_come_out_is_not_told(lines, state):
    """More in one swap of a pool than it paid: no price leads there, so none of its accounts is told."""
    blocks = of_pool(lines, SMALL)
    whole = rebuilt(blocks, state["accounts"])
    assert (list(whole.opening), whole.counts) == ([SMALL], {})
    told = [one for block in blocks for each in block["transactions"] for one in each["instructions"]]
    swap = next(one for one in told if one["name"] == "swap")
    swap["payload"]["transferAmount1"] = str(int(swap["payload"]["transferAmount1"]) + 10_000_000)
    bent = rebuilt(blocks, state["accounts"])
    assert (bent.opening, bent.left, bent.vaults, bent.counts) == ({}, {}, {}, {NOT_REBUILT: 1})


def test_a_pool_whose_end_is_not_told_is_counted(lines, state):
    others = [each for each in state["accounts"] if each["pubkey"] != SMALL]
    assert rebuilt(of_pool(lines, SMALL), others).counts == {NOT_REBUILT: 1}


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"accounts":[{"pubkey":1,"data":""}]}', b"\xff\xfe"])
def test_a_file_that_is_no_state_is_refused_by_name(text):
    with pytest.raises(InputFault, match=r"end\.json is no state of Whirlpool accounts"):
        rebuild([], text, "end.json")


def test_damaged_accounts_are_as_if_they_were_not_there(lines, state):
    """Whatever bytes the state file holds: told or counted, never raised."""
    draw, blocks, outcomes = Random(20220406), of_pool(lines, SMALL), Counter()
    owned = [each for each in state["accounts"] if base58.decode(SMALL) in base64.b64decode(each["data"])]
    pool = [each for each in state["accounts"] if each["pubkey"] == SMALL]
    for _ in range(60):
        accounts = []
        for each in (*pool, *owned):
            raw = bytearray(base64.b64decode(each["data"]))
            for _ in range(draw.choice((0, 0, 1, 8))):
                raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
            cut = draw.choice((len(raw), len(raw), len(raw), draw.randrange(len(raw))))
            accounts.append({"pubkey": each["pubkey"], "data": base64.b64encode(raw[:cut]).decode()})
        outcomes[str(rebuilt(blocks, accounts).counts)] += 1
    assert set(outcomes) == {"{}", str({NOT_REBUILT: 1})}


def test_a_vault_is_a_token_account():
    told = decode_token(vault_account(SMALL, SMALL, 77))
    assert (told.mint, told.owner, told.amount) == (SMALL, SMALL, 77)
