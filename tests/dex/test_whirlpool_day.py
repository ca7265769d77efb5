"""A whole day of real Whirlpool swaps: rebuilt backwards from its end, quoted forwards, every amount compared."""

import base64
import gzip
import json
from collections import Counter

import pytest

from ironcrab.dex import ABSENT, Account, Clock, Refusal, quote
from ironcrab.dex.whirlpool import VENUE
from ironcrab.dex.whirlpool_state import FIXED_ARRAY, PROGRAM, decode_array, decode_whirlpool
from ironcrab.ingest.whirlpool_states import vault_account
from tests.ingest.rebuilt_day import rebuilt_day

SWAPS = 9_466
PLENTY = 2**62
NAMES = (
    *("TokenProgram", "TokenAuthority", "Whirlpool", "TokenOwnerAccountA", "VaultA", "TokenOwnerAccountB", "VaultB"),
    *("TickArray0", "TickArray1", "TickArray2", "Oracle"),
)


def transactions(shared):
    """(slot, unix seconds, transaction) of the day, in order."""
    with gzip.open(shared / "data/whirlpool_2022/whirlpool-transaction-20220406.jsonl.gz") as lines:
        for line in lines:
            block = json.loads(line)
            for transaction in block["transactions"]:
                yield block["slot"], block["blockTime"], transaction


@pytest.fixture(scope="module")
def judged(shared, truth_table):
    """Counts of what came out, and the accounts at the end.

    Each transaction begins with the accounts that the one before it left; inside, each swap with what its
    predecessor's quote left. `rebuilt_day` itself tells a pool only if its swaps come out; here they are compared again
    with the file, so that the rebuilt writes are judged too, not only the way they were made.
    """
    day = rebuilt_day(shared)
    counts = Counter()
    accounts = {address: account for opening in day.opening.values() for address, account in opening.items()}
    accounts |= {vault: vault_account(*held, PLENTY) for vault, held in day.vaults.items()}
    for slot, time, transaction in transactions(shared):
        left = day.left.get((slot, transaction["index"]), {})
        names = [one["name"] for one in transaction["instructions"]]
        for one in transaction["instructions"]:
            if one["name"] == "swap":
                counts.update(judge(accounts, one["payload"], Clock(slot, time, 300)))
            elif one["name"] in ("increaseLiquidity", "decreaseLiquidity"):
                # liquidity changes stand alone in their transaction, so that what it left is what they left
                assert "swap" not in names
                accounts.update(left)
        if left:
            counts["transactions"] += 1
            counts["writes as quoted"] += all(accounts[address].data == left[address].data for address in left)
            accounts.update(left)
    truth_table.add("orca", "whirlpool day 2022-04-06: swaps", counts["swaps"], counts["exact"])
    return counts, accounts


def judge(accounts, payload, clock):
    """One swap: whether its amounts and its instruction come out; what the quote left is taken over."""
    pool = payload["keyWhirlpool"]
    state = decode_whirlpool(accounts[pool])
    mint_in = state.mint_a if payload["dataAToB"] else state.mint_b
    amount, limit = int(payload["dataAmount"]), int(payload["dataSqrtPriceLimit"])
    answer = quote(pool, accounts, mint_in=mint_in, amount=amount, clock=clock, limit=limit)
    yield "swaps"
    if isinstance(answer, Refusal):
        yield f"refused {answer.code}"
        return
    wanted = (int(payload["transferAmount0"]), int(payload["transferAmount1"]))
    if (answer.amount_in, answer.amount_out) == wanted:
        yield "exact"
    yield from same_accounts(pool, accounts, payload, mint_in, clock)
    accounts.update({address: account for address, account in answer.after.items() if account.owner == PROGRAM})


def same_accounts(pool, accounts, payload, mint_in, clock):
    """Which recorded accounts, and the data, the instruction `swap` as we build it names too."""
    threshold = int(payload["dataOtherAmountThreshold"])
    (built,) = VENUE.instructions(
        pool, accounts, user=payload["keyTokenAuthority"], mint_in=mint_in, amount=int(payload["dataAmount"]),
        other_amount=threshold, exact="in", clock=clock, fallback=True,
    )  # fmt: skip
    same = {f"meta {n}" for n, m in zip(NAMES, built.metas, strict=True) if m.pubkey == payload[f"key{n}"]}
    for place in ("1", "2"):
        earlier = [payload[f"keyTickArray{before}"] for before in range(int(place))]
        if f"meta TickArray{place}" not in same and payload[f"keyTickArray{place}"] in earlier:
            same.add(f"repeated TickArray{place}")
    # We set no price limit (16 bytes of zeros); the day's clients named one.
    numbers = ((int(payload["dataAmount"]), 8), (threshold, 8), (0, 16), (1, 1), (payload["dataAToB"], 1))
    data = b"".join(int(number).to_bytes(size, "little") for number, size in numbers)
    return Counter({*same, *({"data"} if built.data[8:] == data else ())})


def test_every_swap_comes_out(judged):
    """All 9,466 swaps are exact, and every write of the day is what the quotes leave.

    One number a pool is free: its price in the morning, an interval of less than 1e-9 of it. Nothing of the day remains
    unjudged: the ranges of the 118 positions that were closed follow from the amounts they paid out, each in exactly
    one way. Two pools carry a constant liquidity error of 2022.
    """
    counts, _ = judged
    assert counts["exact"] == counts["swaps"] == SWAPS
    assert counts["writes as quoted"] == counts["transactions"] > 9_000


@pytest.fixture(scope="module")
def stored(shared):
    """The accounts at the end of the day, as they were."""
    with gzip.open(shared / "data/whirlpool_2022/whirlpool-state-20220406.json.gz") as file:
        told = json.load(file)["accounts"]
    return {each["pubkey"]: Account(PROGRAM, 1, base64.b64decode(each["data"])) for each in told}


def test_each_pool_ends_as_recorded(judged, shared, stored, truth_table):
    """Price, tick and liquidity to the last bit."""
    _, accounts = judged
    pools = list(rebuilt_day(shared).opening)
    ended = [(decode_whirlpool(accounts[pool]), decode_whirlpool(stored[pool])) for pool in pools]
    same = [
        (ours.sqrt_price, ours.tick, ours.liquidity) == (theirs.sqrt_price, theirs.tick, theirs.liquidity)
        for ours, theirs in ended
    ]
    truth_table.add("orca", "whirlpool day 2022-04-06: pools at their end", len(same), sum(same))
    assert same == [True] * 8


def test_each_tick_ends_as_recorded(judged, shared, stored):
    """Net and gross liquidity of every initialised tick of the eight pools; growths are not rebuilt."""
    _, accounts = judged
    pools = rebuilt_day(shared).opening
    arrays = 0
    for address, account in stored.items():
        array = decode_array(account) if account.data[:8] == FIXED_ARRAY else None
        if array is None or array.pool not in pools:
            continue
        ours = accounts.get(address, ABSENT)
        told = decode_array(ours).ticks if ours.data else {}
        arrays += 1
        assert {place: (tick.net, tick.gross) for place, tick in told.items()} == {
            place: (tick.net, tick.gross) for place, tick in array.ticks.items()
        }
    assert arrays > 20


def test_instructions_name_the_recorded_accounts(judged):
    """Tick arrays 1 and 2: the clients of 2022 repeated the first one where no further array existed.

    Token accounts: wrapped SOL was held in accounts made for one swap.
    """
    counts, _ = judged
    assert {name.removeprefix("meta "): counts[name] for name in counts if name.startswith("meta")} == {
        "TokenProgram": SWAPS,
        "TokenAuthority": SWAPS,
        "Whirlpool": SWAPS,
        "TokenOwnerAccountA": 9_069,
        "VaultA": SWAPS,
        "TokenOwnerAccountB": SWAPS,
        "VaultB": SWAPS,
        "TickArray0": SWAPS,
        "TickArray1": 6_858,
        "TickArray2": 6_856,
        "Oracle": SWAPS,
    }
    assert counts["meta TickArray1"] + counts["repeated TickArray1"] == SWAPS
    assert counts["meta TickArray2"] + counts["repeated TickArray2"] == SWAPS
    assert counts["data"] == SWAPS
