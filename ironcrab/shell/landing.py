"""Where a signature ended: what nodes know of it, and the answer that follows. A node that is silent proves nothing."""

import asyncio
from typing import get_args

from msgspec import Struct

from ironcrab.domain.ask import ConfirmAnswer, Plan, SignedAnswer
from ironcrab.shell.fills import FETCH_FAILED, Landed, error_text, fills, landed_of_rpc, result_fees
from ironcrab.shell.rpc import Commitment, Rpc, RpcFault, Status

EXPIRED = "expired: the finalized height has passed the last valid one and no history holds the signature"
FETCHES = 8
"""Looks for the transaction of a confirmed signature: a node's history may lag its statuses."""
FETCH_PAUSE_S = 0.25
LADDER: tuple[Commitment, ...] = get_args(Commitment)


class Unread(Struct, frozen=True):
    """A transaction that landed and whose content no node tells: why, its slot and error by its status."""

    reason: str
    slot: int | None
    err: str | None


async def statuses(nodes: tuple[Rpc, ...], signature: str, *, history: bool) -> list[Status | RpcFault | None]:
    """What each node says of a signature; its fault where it says nothing."""

    async def ask(node: Rpc) -> Status | RpcFault | None:
        try:
            return (await node.statuses([signature], history=history)).value[0]
        except RpcFault as fault:
            return fault

    return list(await asyncio.gather(*(ask(node) for node in nodes)))


async def found(nodes: tuple[Rpc, ...], signature: str, wanted: Commitment, *, history: bool) -> Status | None:
    """What the first node says that has it at the wanted commitment or above; `history`: it may be long ago."""
    for told in await statuses(nodes, signature, history=history):
        level = told.confirmation_status if isinstance(told, Status) else None
        if isinstance(told, Status) and level is not None and LADDER.index(level) >= LADDER.index(wanted):
            return told
    return None


async def expired(nodes: tuple[Rpc, ...], signed: SignedAnswer) -> bool:
    """Whether it is certain that this transaction did not and will not land.

    Every node must say so, the height before the history: once the finalized height has passed the last valid one,
    no later block can hold it, and what a finalized block held is in the history.
    """

    async def proves(node: Rpc) -> bool:
        try:
            if await node.block_height("finalized") <= signed.last_valid_block_height:
                return False
            if (await node.statuses([signed.signature], history=True)).value[0] is not None:
                return False
            return await node.transaction(signed.signature, "confirmed") is None
        except RpcFault:
            return False

    return bool(nodes) and all(await asyncio.gather(*(proves(node) for node in nodes)))


async def fetched(
    nodes: tuple[Rpc, ...], signature: str, wanted: Commitment, seen: Status | None = None
) -> Landed | Unread:
    """The landed transaction, or what its status says where no node tells its content.

    `seen` is the status by which it was found: nodes that are silent since do not make a failure a success.
    """
    reason = FETCH_FAILED
    for _ in range(FETCHES):
        for node in nodes:
            try:
                told = await node.transaction(signature, wanted)
            except RpcFault:
                continue
            if told is not None:
                landed = landed_of_rpc(signature, told)
                if isinstance(landed, Landed):
                    return landed
                reason = landed
        await asyncio.sleep(FETCH_PAUSE_S)
    for status in (seen, *await statuses(nodes, signature, history=True)):
        if isinstance(status, Status):
            return Unread(reason, status.slot, error_text(status.err))
    return Unread(reason, None, None)


def confirm_answer(
    ask: int, ordinal: int, plan: Plan, wallet: str, signed: SignedAnswer, landed: Landed | Unread
) -> ConfirmAnswer:
    """The answer for a transaction that is on the chain."""
    if isinstance(landed, Unread):
        return ConfirmAnswer(
            ask=ask,
            status="confirmed" if landed.err is None else "failed",
            slot=landed.slot,
            signature=signed.signature,
            fill_unavailable_reason=landed.reason,
            error_code=landed.err,
            ordinal=ordinal,
        )
    succeeded = landed.err is None
    told = fills(landed, plan, wallet)
    return ConfirmAnswer(
        ask=ask,
        status="confirmed" if succeeded else "failed",
        slot=landed.slot,
        signature=signed.signature,
        fill_in=told.fill_in if succeeded else None,
        fill_out=told.fill_out if succeeded else None,
        fill_unavailable_reason=told.reason if succeeded else None,
        fees=result_fees(landed, plan),
        wallet_sol_delta_lamports=told.sol_delta,
        error_code=landed.err,
        block_time_unix_ms=None if landed.block_time is None else landed.block_time * 1000,
        ordinal=ordinal,
    )
