"""The params of a JSON-RPC call, read as a node reads them: refused with its codes where they cannot be used."""

from typing import Any

from solders.pubkey import Pubkey

from ironcrab.dex.address import is_key
from ironcrab.shell import local_answers as answers
from ironcrab.shell.local_chain import Commitment, LocalChain, Refused

INVALID_PARAMS = -32602


def config_of(params: list[Any], place: int) -> dict[str, Any]:
    """The options of a call; {} where they are left out. Refused where they are none."""
    told = params[place] if len(params) > place else None
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise Refused(INVALID_PARAMS, f"Invalid params: options at {place} are no object")
    return {key: value for key, value in told.items() if value is not None}


def commitment_of(config: dict[str, Any]) -> Commitment:
    """The commitment asked for, finalized by default as everywhere."""
    told = config.get("commitment", "finalized")
    if told not in ("processed", "confirmed", "finalized"):
        raise Refused(INVALID_PARAMS, f"Invalid params: unknown commitment {str(told)[:40]!r}")
    named: Commitment = told
    return named


def slot_of(chain: LocalChain, config: dict[str, Any]) -> int:
    """The slot of the commitment asked for, which must have reached minContextSlot."""
    slot = chain.slot_at(commitment_of(config))
    least = config.get("minContextSlot")
    if isinstance(least, int) and slot < least:
        raise Refused(-32016, "Minimum context slot has not been reached", {"contextSlot": slot})
    return slot


def with_context(slot: int, value: Any) -> dict[str, Any]:
    """An answer with the slot it is of."""
    return {"context": {"slot": slot, "apiVersion": answers.API_VERSION}, "value": value}


def key_at(params: list[Any], place: int) -> Pubkey:
    """The public key at a place of the params."""
    return key_of(params[place] if len(params) > place else None)


def key_of(told: Any) -> Pubkey:
    """A public key in base58."""
    if not isinstance(told, str) or not is_key(told):
        raise Refused(INVALID_PARAMS, f"Invalid param: {str(told)[:60]!r} is no public key")
    return Pubkey.from_string(told)


def texts_at(params: list[Any], place: int, most: int) -> list[str]:
    """A list of at most so many texts."""
    told = params[place] if len(params) > place else None
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise Refused(INVALID_PARAMS, "Invalid params: a list of texts is expected")
    if len(told) > most:
        raise Refused(INVALID_PARAMS, f"Too many inputs provided; max {most}")
    return told
