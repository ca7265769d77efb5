"""Pools that the venues' real programs accept: the demo market's, at addresses and with numbers that programs check.

    IRONCRAB_PROGRAMS=DIR           DIR holds PROGRAM_ID.so files

`pool_of(venue)` gives the listing and all its accounts. What programs look at and quotes do not: program derived
addresses with their bumps, the lamports behind wrapped SOL, observations and oracles.
"""

import base64
import hashlib
from struct import pack
from unittest.mock import patch

import msgspec
from solders.pubkey import Pubkey

from ironcrab.dex import Account, base58, dlmm_state, raydium, raydium_cpmm, whirlpool_state
from ironcrab.dex.address import TOKEN, WSOL
from ironcrab.shell import demo_pools

RENT_165 = 2_039_280
PROGRAMS = {
    "raydium": raydium.PROGRAM,
    "raydium_cpmm": raydium_cpmm.PROGRAM,
    "orca": whirlpool_state.IMMUTABLE,
    "meteora_dlmm": dlmm_state.PROGRAM,
}
MAKERS = {
    "raydium": demo_pools.raydium_pool,
    "raydium_cpmm": demo_pools.cpmm_pool,
    "orca": demo_pools.whirlpool,
    "meteora_dlmm": demo_pools.dlmm_pool,
}


def derived(program, *seeds):
    """A program derived address and its bump."""
    key, bump = Pubkey.find_program_address(list(seeds), Pubkey.from_string(program))
    return str(key), bump


class Chain(demo_pools.Chain):
    """A demo chain on which pools that sign for their vaults have addresses that they can sign for."""

    def seeds(self, kind, base):
        mints = base58.decode(base), base58.decode(WSOL)
        if kind == "whirlpool":
            config = base58.decode(self.key("whirlpool config"))
            return whirlpool_state.IMMUTABLE, b"whirlpool", config, *mints, pack("<H", demo_pools._SPACING)
        return dlmm_state.PROGRAM, *sorted(mints), pack("<H", demo_pools._BIN_STEP)

    def key(self, *words):
        if len(words) == 2 and words[0] in ("whirlpool", "dlmm"):
            return derived(*self.seeds(*words))[0]
        return super().key(*words)


def patched(account, at, part):
    """The account with other bytes at an offset."""
    data = account.data[:at] + part + account.data[at + len(part) :]
    return msgspec.structs.replace(account, data=data)


def funded(account):
    """A token account that rent is paid for; wrapped SOL has its lamports behind it."""
    if account.owner != TOKEN or len(account.data) != 165:
        return msgspec.structs.replace(account, lamports=10**10)
    if base58.encode(account.data[:32]) != WSOL:
        return msgspec.structs.replace(account, lamports=RENT_165)
    amount = int.from_bytes(account.data[64:72], "little")
    native = patched(account, 109, pack("<IQ", 1, RENT_165))
    return msgspec.structs.replace(native, lamports=RENT_165 + amount)


def pool_of(venue):
    """(listing, accounts by address) of one pool."""
    chain = Chain(7)
    with patch.object(whirlpool_state, "PROGRAM", whirlpool_state.IMMUTABLE):
        demo_pools.found(chain)
        base = demo_pools.mint(chain, venue)
        listing = MAKERS[venue](chain, base)
    accounts = {key: funded(account) for key, account in chain.accounts.items() if account.lamports}
    pool = listing.pool
    if venue == "raydium_cpmm":
        _, bump = derived(raydium_cpmm.PROGRAM, b"vault_and_lp_mint_auth_seed")
        accounts[pool] = patched(accounts[pool], 328, bytes((bump, 0, 9, 6, 9)))
        mark = hashlib.sha256(b"account:ObservationState").digest()[:8]
        seen = mark + b"\1" + bytes(2) + base58.decode(pool) + bytes(4032)
        accounts[chain.key(pool, "observation")] = Account(raydium_cpmm.PROGRAM, 10**9, seen)
    elif venue == "orca":
        accounts[pool] = patched(accounts[pool], 40, bytes((derived(*chain.seeds("whirlpool", base))[1],)))
    elif venue == "meteora_dlmm":
        _, bump = derived(*chain.seeds("dlmm", base))
        accounts[pool] = patched(accounts[pool], 72, bytes((bump,)) + pack("<H", demo_pools._BIN_STEP))
        mark = hashlib.sha256(b"account:Oracle").digest()[:8]
        oracle = mark + pack("<QQQ", 0, 0, 100) + bytes(32 * 100)
        accounts[dlmm_state.oracle_address(pool)] = Account(dlmm_state.PROGRAM, 10**9, oracle)
    return listing, accounts


def as_files(accounts, folder):
    """Write accounts as `solana account --output json` does, for a local chain to start with."""
    folder.mkdir()
    for key, account in accounts.items():
        if key != WSOL:
            text = [base64.b64encode(account.data).decode(), "base64"]
            told = {"lamports": account.lamports, "data": text, "owner": account.owner, "executable": False}
            (folder / f"{key}.json").write_bytes(msgspec.json.encode({"pubkey": key, "account": told}))
