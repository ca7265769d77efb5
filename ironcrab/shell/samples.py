"""From a node's answers to events: blockhash, priority fees, wallet balances. Pure, but for the reading itself."""

from ironcrab.dex import base58
from ironcrab.dex.address import SYSTEM, TOKEN_PROGRAMS
from ironcrab.domain.event import Event
from ironcrab.domain.market import (
    AccountWritten,
    LatestBlockhash,
    PriorityFeePercentiles,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
)
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM, floor_div
from ironcrab.market.rent import RENT_SYSVAR
from ironcrab.shell.rpc import AccountsAnswer, LatestHashAnswer, OwnedAnswer, PriorityFee, Rpc, RpcFault

SOURCE = "rpc"
"""`source` of events that a node's answer became."""
HASH_BLOCKS = 150
"""Blocks a blockhash lives: the answer tells the last valid height, the event the block's own."""
TOKEN_BYTES = 165
MINT_BYTES = 82
ACCOUNTS_A_CALL = 100


def blockhash_event(answer: LatestHashAnswer) -> LatestBlockhash:
    """The event of a getLatestBlockhash answer."""
    height = max(answer.value.last_valid_block_height - HASH_BLOCKS, 0)
    return LatestBlockhash(answer.value.blockhash, answer.context.slot, SOURCE, block_height=height)


def fee_event(rows: list[PriorityFee]) -> PriorityFeePercentiles | None:
    """Percentiles of the least landed prices, zeros included; None where the node told no slot.

    The recommendations are those of the wire contract (1.10): p90 x 1.5, p50 x 1.2, p75 x 1.3, floored.
    """
    if not rows:
        return None
    prices = sorted(row.prioritization_fee for row in rows)

    def at(percent: int) -> int:
        return prices[floor_div((len(prices) - 1) * percent, 100)]

    p50, p75, p90 = at(50), at(75), at(90)
    return PriorityFeePercentiles(
        sample_count=len(rows),
        last_slot=max(row.slot for row in rows),
        p25=at(25),
        p50=p50,
        p75=p75,
        p90=p90,
        tier0_recommended=floor_div(p90 * 15, 10),
        tier1_recommended=floor_div(p50 * 12, 10),
        arb_recommended=floor_div(p75 * 13, 10),
    )


def wallet_events(
    wallet: str, native: AccountsAnswer, owned: dict[str, OwnedAnswer], decimals: dict[str, int], *, periodic: bool
) -> tuple[Event, ...]:
    """The wallet as a node's answers tell it: SOL, wrapped SOL, every mint it holds, then the closing event.

    Args:
        wallet: its address.
        native: the wallet's own account.
        owned: its token accounts by token program.
        decimals: of the mints among them; a mint left out is not told, and then the snapshot is not complete.
        periodic: whether this is the regular reading.
    """
    account = native.value[0] if native.value else None
    lamports = 0 if account is None or account.owner != SYSTEM else account.lamports
    events: list[Event] = [
        WalletBalanceSnapshot(NATIVE_SOL, lamports, 9, TOKEN_PROGRAM, native.context.slot, SOURCE),
    ]
    held: dict[str, tuple[int, str, int]] = {SOL_MINT: (0, TOKEN_PROGRAM, native.context.slot)}
    for program, answer in owned.items():
        for row in answer.value:
            data = row.account.raw()
            if len(data) < TOKEN_BYTES:
                continue
            mint, amount = _mint_of(data), int.from_bytes(data[64:72], "little")
            held[mint] = (held.get(mint, (0, "", 0))[0] + amount, program, answer.context.slot)
    known = {mint: row for mint, row in held.items() if mint == SOL_MINT or mint in decimals}
    for mint, (amount, program, slot) in sorted(known.items()):
        told = 9 if mint == SOL_MINT else decimals[mint]
        events.append(WalletBalanceSnapshot(mint, amount, told, program, slot, SOURCE))
    if len(known) == len(held):
        mints = tuple(sorted(mint for mint, row in held.items() if row[0]))
        slot = min(native.context.slot, *(answer.context.slot for answer in owned.values()))
        events.append(WalletSnapshotComplete(wallet, mints, periodic, slot, SOURCE))
    return tuple(events)


async def read_wallet(rpc: Rpc, wallet: str, *, periodic: bool = False) -> tuple[Event, ...]:
    """Read the wallet at confirmed: its own account, its token accounts of both programs, their mints' decimals.

    Raises:
        RpcFault: a node gave no answer; nothing is told then.
    """
    native = await rpc.accounts([wallet], "confirmed")
    owned = {program: await rpc.token_accounts(wallet, program, "confirmed") for program in TOKEN_PROGRAMS}
    mints = dict.fromkeys(
        _mint_of(data)
        for answer in owned.values()
        for data in (row.account.raw() for row in answer.value)
        if len(data) >= TOKEN_BYTES
    )
    names = [mint for mint in mints if mint != SOL_MINT]
    decimals: dict[str, int] = {}
    for start in range(0, len(names), ACCOUNTS_A_CALL):
        part = names[start : start + ACCOUNTS_A_CALL]
        for mint, account in zip(part, (await rpc.accounts(part, "confirmed")).value, strict=True):
            data = b"" if account is None else account.raw()
            if len(data) >= MINT_BYTES:
                decimals[mint] = data[44]
    return wallet_events(wallet, native, owned, decimals, periodic=periodic)


Told = dict[str, tuple[str, int, bytes]]
"""Owner, lamports and data of accounts as they were told last, by address."""


def account_events(rows: dict[str, tuple[str, int, bytes]], told: Told, slot: int) -> tuple[Event, ...]:
    """The accounts that are not as they were told last, also those that are gone; `told` follows."""
    gone = {address: (SYSTEM, 0, b"") for address in told if address not in rows}
    changed = {address: row for address, row in (*rows.items(), *gone.items()) if told.get(address) != row}
    for address in gone:
        del told[address]
    told.update({address: row for address, row in changed.items() if address not in gone})
    return tuple(AccountWritten(address, *row, slot, source=SOURCE) for address, row in changed.items())


async def read_accounts(rpc: Rpc, wallet: str, told: Told) -> tuple[Event, ...]:
    """Read the wallet's token accounts of both programs and the Rent sysvar at confirmed; what changed since `told`.

    Raises:
        RpcFault: a node gave no answer; nothing is told then.
    """
    sysvar = await rpc.accounts([RENT_SYSVAR], "confirmed")
    rows: Told = {}
    for account in sysvar.value:
        if account is not None:
            rows[RENT_SYSVAR] = (account.owner, account.lamports, account.raw())
    slot = sysvar.context.slot
    for program in TOKEN_PROGRAMS:
        answer = await rpc.token_accounts(wallet, program, "confirmed")
        slot = min(slot, answer.context.slot)
        for one in sorted(answer.value, key=lambda one: one.pubkey):
            rows[one.pubkey] = (one.account.owner, one.account.lamports, one.account.raw())
    return account_events(rows, told, slot)


async def read_fees(rpc: Rpc, keys: list[str]) -> PriorityFeePercentiles | None:
    """Sample recent priority fees of these writable keys; None where the node tells none. RpcFault."""
    return fee_event(await rpc.priority_fees(keys))


async def read_blockhash(rpc: Rpc) -> LatestBlockhash:
    """Sample the newest confirmed blockhash. RpcFault, also where the node's hash is none."""
    event = blockhash_event(await rpc.latest_blockhash())
    if not 32 <= len(event.blockhash) <= 44:
        raise RpcFault(f"node {rpc.name} told {event.blockhash[:60]!r} as a blockhash; use another node", "nonsense")
    return event


def _mint_of(data: bytes) -> str:
    return base58.key(data[:32])
