"""What the local chain's node says of transactions, in the shapes of Agave's JSON-RPC."""

import base64
import json
from typing import Any

from ironcrab.dex import base58
from ironcrab.shell.local_chain import Landing, LocalChain
from ironcrab.shell.local_frames import ui_text
from ironcrab.shell.vm import Holding, Ran

API_VERSION = "4.1.0"


def ui_amount(amount: int, decimals: int) -> dict[str, Any]:
    """A token amount; `uiAmount` is null: a float decides nothing here, the texts are exact."""
    return {"amount": str(amount), "decimals": decimals, "uiAmount": None, "uiAmountString": ui_text(amount, decimals)}


def _balances(held: dict[int, Holding]) -> list[dict[str, Any]]:
    return [
        {
            "accountIndex": place,
            "mint": holding.mint,
            "owner": holding.owner,
            "programId": holding.program,
            "uiTokenAmount": ui_amount(holding.amount, holding.decimals),
        }
        for place, holding in held.items()
    ]


def _inner(ran: Ran) -> list[dict[str, Any]]:
    return [
        {
            "index": place,
            "instructions": [
                {
                    "programIdIndex": program,
                    "accounts": list(accounts),
                    "data": base58.encode(data),
                    "stackHeight": height,
                }
                for program, accounts, data, height in calls
            ],
        }
        for place, calls in enumerate(ran.inner)
        if calls
    ]


def _balance_fields(ran: Ran) -> dict[str, Any]:
    """Balances, loaded addresses and return data: a landing's meta and a simulation tell them alike."""
    told: dict[str, Any] = {
        "fee": ran.fee,
        "preBalances": [0 if state is None else state.lamports for state in ran.before],
        "postBalances": [0 if state is None else state.lamports for state in ran.after],
        "preTokenBalances": _balances(ran.holdings_before),
        "postTokenBalances": _balances(ran.holdings_after),
        "loadedAddresses": {
            "writable": [str(key) for key in ran.accounts.loaded_writable],
            "readonly": [str(key) for key in ran.accounts.loaded_readonly],
        },
        "returnData": None,
    }
    if ran.returned is not None:
        program, data = ran.returned
        told["returnData"] = {"programId": str(program), "data": [base64.b64encode(data).decode(), "base64"]}
    return told


def early(err: str) -> dict[str, Any]:
    """A simulation that ended before anything was executed."""
    return {"err": err, "logs": [], "accounts": None, "unitsConsumed": 0, "returnData": None, "innerInstructions": None}


def simulated(ran: Ran, *, inner: bool) -> dict[str, Any]:
    """The value of simulateTransaction."""
    return {
        "err": ran.err,
        "logs": list(ran.logs),
        "accounts": None,
        "unitsConsumed": ran.units,
        "innerInstructions": _inner(ran) if inner else None,
        "replacementBlockhash": None,
        "loadedAccountsDataSize": sum(0 if state is None else len(state.data) for state in ran.before),
        **_balance_fields(ran),
    }


def status(chain: LocalChain, landing: Landing) -> dict[str, Any]:
    """One row of getSignatureStatuses; confirmations are null once rooted."""
    settled = chain.commitment_of(landing.slot)
    err = landing.ran.err
    return {
        "slot": landing.slot,
        "confirmations": None if settled == "finalized" else chain.slot - landing.slot,
        "err": err,
        "status": {"Ok": None} if err is None else {"Err": err},
        "confirmationStatus": settled,
    }


def landed(landing: Landing, encoding: Any) -> dict[str, Any]:
    """The result of getTransaction."""
    ran = landing.ran
    told = ran.transaction.version()
    meta = {
        "err": ran.err,
        "status": {"Ok": None} if ran.err is None else {"Err": ran.err},
        "innerInstructions": _inner(ran),
        "logMessages": list(ran.logs),
        "rewards": [],
        "computeUnitsConsumed": ran.units,
        **_balance_fields(ran),
    }
    return {
        "slot": landing.slot,
        "blockTime": landing.time,
        "transactionIndex": landing.index,
        "version": told if isinstance(told, int) else "legacy",
        "transaction": _transaction(ran, encoding),
        "meta": meta,
    }


def _transaction(ran: Ran, encoding: Any) -> Any:
    if encoding in ("base64", "base58"):
        raw = bytes(ran.transaction)
        return [base64.b64encode(raw).decode() if encoding == "base64" else base58.encode(raw), encoding]
    message = ran.transaction.message
    header = json.loads(message.to_json()) if hasattr(message, "to_json") else {}
    return {
        "signatures": [str(signature) for signature in ran.transaction.signatures],
        "message": {
            "header": header.get("header", {}),
            "accountKeys": [str(key) for key in message.account_keys],
            "recentBlockhash": str(message.recent_blockhash),
            "instructions": [
                {
                    "programIdIndex": call.program_id_index,
                    "accounts": list(bytes(call.accounts)),
                    "data": base58.encode(bytes(call.data)),
                    "stackHeight": 1,
                }
                for call in message.instructions
            ],
        },
    }
