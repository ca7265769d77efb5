"""Token accounts and mints as a node tells them in `jsonParsed` (fact sheet on token programs; Agave, account decoder).

Told are the fields of the base layouts; of a Token-2022 account's extensions the names alone, in `extensions`. What is
neither has no parsed form: a node then tells its base64.
"""

from collections.abc import Callable
from typing import Any

import solders.account

from ironcrab.dex.address import TOKEN
from ironcrab.dex.face import Account, Refusal
from ironcrab.dex.mint import Mint, TokenAccount, decode_mint, decode_token
from ironcrab.shell import local_answers as answers

Decimals = Callable[[str], int | None]
"""Decimal places of a mint; None where it is not there: such an account has no parsed form."""


def parsed(account: solders.account.Account, decimals: Decimals) -> dict[str, Any] | None:
    """The `data` of a token account or mint in jsonParsed; None where it is neither."""
    given = Account(str(account.owner), account.lamports, bytes(account.data))
    told = _account(decode_token(given), decimals) or _mint(decode_mint(given))
    if told is None:
        return None
    program = "spl-token" if given.owner == TOKEN else "spl-token-2022"
    return {"program": program, "parsed": told, "space": len(given.data)}


def _account(held: TokenAccount | Refusal, decimals: Decimals) -> dict[str, Any] | None:
    places = None if isinstance(held, Refusal) else decimals(held.mint)
    if isinstance(held, Refusal) or places is None:
        return None
    info: dict[str, Any] = {
        "mint": held.mint,
        "owner": held.owner,
        "tokenAmount": answers.ui_amount(held.amount, places),
        "state": "frozen" if held.frozen else "initialized",
        "isNative": held.reserve is not None,
    }
    if held.delegate is not None:
        info |= {"delegate": held.delegate, "delegatedAmount": answers.ui_amount(held.delegated, places)}
    if held.reserve is not None:
        info["rentExemptReserve"] = answers.ui_amount(held.reserve, places)
    if held.close_authority is not None:
        info["closeAuthority"] = held.close_authority
    return {"type": "account", "info": info | _extensions(held.extensions)}


def _mint(mint: Mint | Refusal) -> dict[str, Any] | None:
    if isinstance(mint, Refusal):
        return None
    info = {
        "mintAuthority": mint.mint_authority,
        "supply": str(mint.supply),
        "decimals": mint.decimals,
        "isInitialized": True,
        "freezeAuthority": mint.freeze_authority,
    }
    return {"type": "mint", "info": info | _extensions(mint.extensions)}


def _extensions(names: tuple[str, ...]) -> dict[str, Any]:
    """Extension names begin with a small letter there."""
    return {"extensions": [{"extension": name[:1].lower() + name[1:]} for name in names]} if names else {}
