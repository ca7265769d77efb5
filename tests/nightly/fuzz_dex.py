"""Mutated account sets and transactions, venue by venue: nothing escapes but quotes, typed refusals and parsed events.

    IRONCRAB_FUZZ_ROUNDS=1000000 python tests/nightly/fuzz_dex.py [VENUE ...]

The nightly: a million account sets and a million transactions of each venue (without the variable: 20,000, as in
CI), counts printed per venue; hours on one core, so give venues to share the work. Account sets start from those of
`tests/pool_sets.py`. Transactions start from our own instructions and, where the shared inputs stand beside the
checkout (or IRONCRAB_SHARED names them), from the real ones of mainnet block 332254908 and of single captures.
"""

import os
import random
import sys
import time
from pathlib import Path

from msgspec.structs import replace

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from ironcrab import dex  # noqa: E402
from ironcrab.dex import ABSENT, Account, Call, Clock, Quote, Refusal, TokenBalance, Transaction  # noqa: E402
from ironcrab.dex.address import SYSTEM, TOKEN, TOKEN_2022  # noqa: E402
from ironcrab.ingest.frames import frames  # noqa: E402
from ironcrab.ingest.proto import geyser_pb2 as wire  # noqa: E402
from ironcrab.ingest.transaction import calls, refusal, transaction_of  # noqa: E402
from tests.pool_sets import CLOCK, key, sets  # noqa: E402

SHARED = Path(os.environ.get("IRONCRAB_SHARED", ROOT / ".." / "shared"))
CAPTURES = ("block_332254908_nonvote", "single_transactions")
PARSED = (dex.Swap, dex.Created, dex.Liquidity, dex.Migrated)
AMOUNTS = (0, 1, 1000, 10**6, 10**9, 10**12, 2**63, 2**64 - 1, 2**64, -1)


def rounds():
    """Rounds of each kind for each venue: 20,000, or what IRONCRAB_FUZZ_ROUNDS says."""
    return int(os.environ.get("IRONCRAB_FUZZ_ROUNDS", "20000"))


def mutated(dice, account, others):
    """One account with bytes flipped, overwritten, cut, added or replaced, or with another owner."""
    data, kind = bytearray(account.data), dice.randrange(8)
    if kind < 4 and data:
        at, width = dice.randrange(len(data)), dice.choice((1, 1, 2, 4, 8, 16, 32))
        data[at : at + width] = dice.choice((dice.randbytes(width), b"\xff" * width, bytes(width)))
    elif kind == 4:
        data = data[: dice.randrange(len(data) + 1)]
    elif kind == 5:
        data += dice.randbytes(dice.randrange(64))
    elif kind == 6:
        data = bytearray(dice.choice((dice.randbytes(dice.choice((0, 8, 82, 165, 752))), dice.choice(others).data)))
    else:
        return Account(dice.choice((TOKEN, TOKEN_2022, SYSTEM, "")), account.lamports, account.data)
    return Account(account.owner, account.lamports, bytes(data))


def fuzz_accounts(venue, made, count, dice):
    """Quotes and refusals among `count` mutated account sets."""
    generations = (None, None, None, *(name for name, _ in venue.generations))
    found = {"quotes": 0, "refusals": 0}
    bases = list(made.accounts.values())
    for _ in range(count):
        accounts = dict(made.accounts)
        for _ in range(dice.choice((0, 1, 1, 1, 2, 5))):
            address = dice.choice((made.pool, *accounts))
            if address in accounts and dice.randrange(8) == 0:
                del accounts[address]
            elif address in accounts:
                accounts[address] = mutated(dice, accounts[address], bases) if dice.randrange(20) else ABSENT
        clock = Clock(
            CLOCK.slot, dice.choice((-1, 0, CLOCK.unix_timestamp, CLOCK.unix_timestamp, 2**40)), dice.choice((0, 925))
        )
        ask = {
            "mint_in": dice.choice((*made.mints * 6, made.pool, "")),
            "amount": dice.choice((dice.choice(AMOUNTS), dice.getrandbits(dice.randrange(8, 40)), 10**6)),
            "exact": dice.choice(("in", "out")),
        }
        limit = dice.getrandbits(96) if dice.randrange(16) == 0 else None
        generation = dice.choice(generations)
        answer = dex.quote(made.pool, accounts, **ask, clock=clock, limit=limit, generation=generation)
        assert isinstance(answer, Quote | Refusal), answer
        found["quotes" if isinstance(answer, Quote) else "refusals"] += 1
        if isinstance(answer, Quote):
            assert all(isinstance(account, Account) for account in answer.after.values())
        if dice.randrange(8) == 0:
            assert all(isinstance(name, str) for name in venue.needs(made.pool, accounts, ask["mint_in"]))
            ask |= {"user": key(9), "other_amount": 1, "clock": clock, "fallback": dice.random() < 0.5}
            assert isinstance(venue.instructions(made.pool, accounts, **ask), tuple | Refusal)
    return found


def real_transactions():
    """Transactions of the shared captures; none where they are absent."""
    found = []
    for name in CAPTURES:
        path = SHARED / "data" / "geyser" / f"{name}.subscribe_updates.bin.zst"
        if path.is_file():
            from ironcrab.mode.importing import chunks

            for frame in frames(chunks(path), {}):
                update = wire.SubscribeUpdate.FromString(frame).transaction
                if update.HasField("transaction") and refusal(update.transaction) is None:
                    made = transaction_of(update.transaction, update.slot)
                    found += [] if isinstance(made, str) else [made]
    return found


def seeds(venue, made, real):
    """(call, transaction) pairs of a venue: our own instructions, and the real calls."""
    found = []
    for mint in made.mints:
        for exact in ("in", "out"):
            for fallback in (False, True):
                built = venue.instructions(
                    made.pool, {**made.accounts, made.mints[1]: Account(TOKEN, 1, bytes(82))},
                    user=key(9), mint_in=mint, amount=1000, other_amount=1, exact=exact, clock=CLOCK, fallback=fallback,
                )  # fmt: skip
                for each in () if isinstance(built, Refusal) else built:
                    call = Call(each.program, tuple(meta.pubkey for meta in each.metas), each.data, 0, 1)
                    held = {name: TokenBalance(made.mints[0], key(9), TOKEN, 9, 5, 6) for name in call.accounts[::2]}
                    found.append((call, Transaction("s", 1, key(9), (key(9),), (call,), held, {})))
    for transaction in real:
        found += [(call, transaction) for call in calls(transaction) if call.program in venue.programs]
    return found


def fuzz_transactions(venue, pairs, count, dice):
    """Events parsed from `count` mutated calls."""
    told = 0
    for _ in range(count):
        call, transaction = dice.choice(pairs)
        for _ in range(dice.choice((0, 1, 1, 2, 3))):
            call = damaged(dice, call, pairs)
        balances = transaction.balances if dice.randrange(4) else {}
        events = venue.parse(call, replace(transaction, balances=balances))
        assert all(isinstance(event, PARSED) for event in events), events
        told += len(events)
    return {"events": told}


def damaged(dice, call, pairs):
    """A call with other accounts, data, logs or inner calls."""
    kind, other = dice.randrange(6), dice.choice(pairs)[0]
    if kind == 0:
        return replace(call, accounts=call.accounts[: dice.randrange(len(call.accounts) + 1)])
    if kind == 1 and call.data:
        data = bytearray(call.data)
        data[dice.randrange(len(data))] = dice.randrange(256)
        return replace(call, data=bytes(data[: dice.choice((len(data), dice.randrange(len(data) + 1)))]))
    if kind == 2:
        logs = [log[: dice.randrange(len(log) + 1)] if dice.randrange(2) else dice.randbytes(90) for log in call.logs]
        return replace(call, logs=(*logs, *other.logs[:1]))
    if kind == 3 and call.inner:
        place = dice.randrange(len(call.inner))
        inner = (*call.inner[:place], damaged(dice, call.inner[place], pairs), *call.inner[place + 1 :])
        return replace(call, inner=inner)
    if kind == 4:
        return replace(call, inner=other.inner, accounts=dice.choice((call.accounts, other.accounts)))
    return replace(call, data=dice.choice((other.data[:8] + call.data[8:], dice.randbytes(40), call.data + b"\1" * 9)))


def fuzz(venue, count):
    """Both kinds of rounds of one venue; what they gave."""
    made = sets()[venue.id]
    found = fuzz_accounts(venue, made, count, random.Random(f"{venue.id} accounts"))
    pairs = seeds(venue, made, real_transactions())
    return found | fuzz_transactions(venue, pairs, count, random.Random(f"{venue.id} calls")) | {"seeds": len(pairs)}


def main():
    count = rounds()
    for venue in dex.VENUES:
        if len(sys.argv) == 1 or venue.id in sys.argv[1:]:
            began = time.monotonic()
            found = fuzz(venue, count)
            print(
                f"{venue.id:<14} {count:>9,} account sets: {found['quotes']:,} quotes, {found['refusals']:,} refusals; "
                f"{count:>9,} calls of {found['seeds']} seeds: {found['events']:,} events; {time.monotonic() - began:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
