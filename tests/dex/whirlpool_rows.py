"""Rows of the Whirlpool vector files as accounts and questions."""

import base64

from ironcrab.dex import ABSENT, Account, Clock
from ironcrab.dex.whirlpool_state import decode_whirlpool


def book(rows):
    """Accounts of a vector file by their ref."""
    return {
        row["ref"]: Account(row["owner"], int(row["lamports"]), base64.b64decode(row["data"]))
        for row in rows
        if row["kind"] == "account"
    }


def accounts_of(row, refs):
    """The accounts that one vector was run with, by address."""
    return {each["pubkey"]: refs[each["ref"]] if each["ref"] else ABSENT for each in row["accounts"].values()}


def clock_of(row):
    return Clock(**row["clock"])


def asked(row, accounts):
    pool = decode_whirlpool(accounts[row["pool"]])
    return {
        "mint_in": pool.mint_a if row["a_to_b"] else pool.mint_b,
        "amount": row["amount"],
        "exact": "in" if row["exact_in"] else "out",
        "clock": clock_of(row),
        "limit": int(row["sqrt_price_limit"]) or None,
    }
