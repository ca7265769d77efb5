"""Meteora DLMM: what a quote costs beside a bare Python call of the same run."""

import base64
import time

import pytest

from ironcrab.dex import dlmm_pool, dlmm_state
from ironcrab.dex.face import Account, Clock


def bare(a, b, c):
    return (a + b) * c - a


def best(call, turns, rounds=7):
    """Least seconds a call, loop included, over some rounds."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(turns):
            call()
        found.append((time.perf_counter() - start) / turns)
    return min(found)


@pytest.mark.slow
def test_rates(vectors, capsys):
    known, row = {}, None
    for found in vectors("meteora_dlmm"):
        if found["kind"] == "account":
            data = base64.b64decode(found["data"])
            known[found["ref"]] = Account(found["owner"], found["lamports"], data)
        elif row is None and found["variant"] == "EtAdVR/clean":
            row = found
    accounts = {a["pubkey"]: known[a["ref"]] for a in row["accounts"].values()}
    pool = dlmm_pool.decode(row["pool"], accounts)
    ask = {"mint_in": pool.mints[1], "exact": "in", "clock": Clock(**row["clock"])}
    unit = best(lambda: bare(3, 4, 5), 20_000)
    inside = best(lambda: pool.quote(amount=20_000, **ask), 4_000)
    wide = pool.quote(amount=2 * 10**9, **ask)
    crossed = len(wide.after.bins) - 1
    across = best(lambda: pool.quote(amount=2 * 10**9, **ask), 4_000)
    data = accounts[row["pool"]].data
    decoded = best(lambda: dlmm_state.decode_pair(data), 4_000)
    fresh = best(lambda: dlmm_pool.decode(row["pool"], accounts).quote(amount=20_000, **ask), 500)
    deep = best(lambda: dlmm_pool.decode(row["pool"], accounts).quote(amount=2 * 10**9, **ask), 500)
    with capsys.disabled():
        print(
            f"\nbare {unit * 1e9:.0f} ns; quote in one bin {inside / unit:.0f} x bare;"
            f" {crossed} bins crossed add {(across - inside) / inside / crossed:.1%} each;"
            f" pool account decoded {decoded / unit:.0f} x bare;"
            f" decoded and quoted anew {fresh / unit:.0f} x bare, {(deep - fresh) / fresh / crossed:.1%} a bin"
        )
    assert inside <= 80 * unit
    assert across <= inside * (1 + 0.15 * crossed)
    assert decoded <= 50 * unit
