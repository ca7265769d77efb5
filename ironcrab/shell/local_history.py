"""What the local chain's node tells of the past: blocks and the signatures that named an account."""

import base64
from typing import Any

from solders.message import from_bytes_versioned
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ironcrab.shell import local_answers as answers
from ironcrab.shell.local_chain import Landing, LocalChain, Refused
from ironcrab.shell.local_params import INVALID_PARAMS, commitment_of, config_of, key_at, slot_of, with_context

MOST_SIGNATURES = 1000
DETAILS = ("full", "accounts", "signatures", "none")


def _slot_at(params: list[Any], place: int) -> int:
    told = params[place] if len(params) > place else None
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        raise Refused(INVALID_PARAMS, f"Invalid params: {str(told)[:40]!r} is no slot")
    return told


def block(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getBlock: confirmed blocks of the last ones kept, with full, signature or no details."""
    at, config = _slot_at(params, 0), config_of(params, 1)
    wanted = commitment_of(config)
    details = config.get("transactionDetails", "full")
    if wanted == "processed" or details not in DETAILS:
        raise Refused(INVALID_PARAMS, "Method needs commitment confirmed or finalized, and known transactionDetails")
    if at > chain.slot_at(wanted):
        raise Refused(-32004, f"Block not available for slot {at}")
    if at not in chain.blocks:
        raise Refused(-32007, f"Slot {at} was skipped, or missing due to ledger jump to recent snapshot")
    closed = chain.blocks[at]
    told: dict[str, Any] = {
        "blockhash": closed.hash,
        "previousBlockhash": closed.previous_hash,
        "parentSlot": at - 1,
        "blockHeight": closed.height,
        "blockTime": closed.time,
    }
    landings = [landing for landing in chain.ledger.values() if landing.slot == at]
    if details == "signatures":
        told["signatures"] = [landing.ran.signature for landing in landings]
    elif details != "none":
        told["transactions"] = [_row(landing, config) for landing in landings]
        told["rewards"] = []
    return told


def _row(landing: Landing, config: dict[str, Any]) -> dict[str, Any]:
    check_version(landing, config)
    whole = answers.landed(landing, config.get("encoding", "json"))
    return {name: whole[name] for name in ("transaction", "meta", "version")}


def check_version(landing: Landing, config: dict[str, Any]) -> None:
    """Refuse a transaction of a version that the client did not say it can read."""
    most, told = config.get("maxSupportedTransactionVersion"), landing.ran.transaction.version()
    if isinstance(told, int) and (not isinstance(most, int) or told > most):
        text = f"Transaction version ({told}) is not supported by the requesting client."
        raise Refused(-32015, f'{text} Please try the request again with "maxSupportedTransactionVersion": {told}')


def blocks(chain: LocalChain, params: list[Any]) -> list[int]:
    """Answers getBlocks: slots from a first to a last one that have a block at the commitment."""
    first = _slot_at(params, 0)
    has_last = len(params) > 1 and isinstance(params[1], int)
    newest = chain.slot_at(commitment_of(config_of(params, 2 if has_last else 1)))
    last = min(_slot_at(params, 1), newest) if has_last else newest
    return [at for at in chain.blocks if first <= at <= last]


def block_time(chain: LocalChain, params: list[Any]) -> int:
    """Answers getBlockTime."""
    at = _slot_at(params, 0)
    if at not in chain.blocks:
        raise Refused(-32004, f"Block not available for slot {at}")
    return chain.blocks[at].time


def first_block(chain: LocalChain, params: list[Any]) -> int:
    """Answers getFirstAvailableBlock."""
    del params
    return min(chain.blocks)


def signatures_for(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getSignaturesForAddress: newest first, between `until` and `before`, both left out."""
    key, config = key_at(params, 0), config_of(params, 1)
    limit = config.get("limit", MOST_SIGNATURES)
    if not isinstance(limit, int) or not 0 < limit <= MOST_SIGNATURES:
        raise Refused(INVALID_PARAMS, f"Invalid limit; max {MOST_SIGNATURES}")
    newest = chain.slot_at(commitment_of(config))
    before, until = config.get("before"), config.get("until")
    rows: list[dict[str, Any]] = []
    waiting = before is not None
    for signature, landing in reversed(chain.ledger.items()):
        if signature == until or len(rows) == limit:
            break
        if not waiting and landing.slot <= newest and key in landing.ran.accounts.keys:
            rows.append(
                {
                    "signature": signature,
                    "slot": landing.slot,
                    "err": landing.ran.err,
                    "memo": None,
                    "blockTime": landing.time,
                    "confirmationStatus": chain.commitment_of(landing.slot),
                }
            )
        waiting = waiting and signature != before
    return rows


def fee_for_message(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getFeeForMessage; null where its blockhash has expired."""
    text = params[0] if params else None
    try:
        message = from_bytes_versioned(base64.b64decode(text if isinstance(text, str) else "", validate=True))
    except ValueError as error:
        raise Refused(INVALID_PARAMS, "Invalid params: a message in base64 is expected") from error
    at = slot_of(chain, config_of(params, 1))
    if not chain.is_fresh(str(message.recent_blockhash)):
        return with_context(at, None)
    zeros = [Signature.default()] * message.header.num_required_signatures
    ran = chain.vm.simulate(VersionedTransaction.populate(message, zeros), verify=False)
    return with_context(at, ran.fee)
