"""The JSON-RPC methods of the local chain's node: name to function of (chain, params), shapes as Agave answers them.

Accounts are those of the newest state at every commitment; `context.slot` is the slot of the commitment asked for.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import zstandard
from solders.account import Account
from solders.transaction import VersionedTransaction

from ironcrab import __version__
from ironcrab.dex import base58
from ironcrab.dex.address import SYSTEM, TOKEN_PROGRAMS
from ironcrab.shell import local_answers as answers
from ironcrab.shell.local_chain import HASH_BLOCKS, LocalChain, Refused
from ironcrab.shell.local_history import (
    block,
    block_time,
    blocks,
    check_version,
    fee_for_message,
    first_block,
    signatures_for,
)
from ironcrab.shell.local_params import (
    INVALID_PARAMS,
    commitment_of,
    config_of,
    key_at,
    key_of,
    slot_of,
    texts_at,
    with_context,
)
from ironcrab.shell.local_parsed import parsed

MOST_ACCOUNTS = 100
MOST_SIGNATURES = 256
SHOWN_BLOCKS = 150
MOST_LEADERS = 5_000
SLICE_MOST = 2**31

Call = Callable[[LocalChain, list[Any]], Any]


def encoded_account(chain: LocalChain, account: Account | None, config: dict[str, Any]) -> dict[str, Any] | None:
    """An account as JSON; jsonParsed falls back to base64, as a node does for what it has no parser for.

    Token accounts and mints have a parsed form, of which a slice is no part.
    """
    if account is None:
        return None
    encoding = config.get("encoding", "base58")
    told = parsed(account, chain.vm.decimals) if encoding == "jsonParsed" else None
    data = whole = bytes(account.data)
    part = config.get("dataSlice")
    if isinstance(part, dict):
        start, length = part.get("offset", 0), part.get("length", 0)
        if not all(isinstance(number, int) and 0 <= number < SLICE_MOST for number in (start, length)):
            raise Refused(INVALID_PARAMS, "Invalid params: dataSlice needs offset and length")
        data = whole[start : start + length]
    return {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "data": _encoded(data, encoding) if told is None else told,
        "executable": account.executable,
        "rentEpoch": account.rent_epoch,
        "space": len(whole),
    }


def _encoded(data: bytes, encoding: Any) -> list[str]:
    if encoding in ("base64", "jsonParsed"):
        return [base64.b64encode(data).decode(), "base64"]
    if encoding == "base64+zstd":
        return [base64.b64encode(zstandard.compress(data)).decode(), "base64+zstd"]
    if encoding != "base58":
        raise Refused(INVALID_PARAMS, f"Invalid params: unknown encoding {str(encoding)[:40]!r}")
    if len(data) > 128:
        raise Refused(-32600, "Encoded binary (base 58) data should be less than 128 bytes, please use base64.")
    return [base58.encode(data), "base58"]


# chain


def latest_blockhash(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getLatestBlockhash."""
    config = config_of(params, 0)
    blockhash, last = chain.blockhash_at(commitment_of(config))
    return with_context(slot_of(chain, config), {"blockhash": blockhash, "lastValidBlockHeight": last})


def is_blockhash_valid(chain: LocalChain, params: list[Any]) -> Any:
    """Answers isBlockhashValid: by the block height of the commitment asked for."""
    config = config_of(params, 1)
    slot = slot_of(chain, config)
    height = chain.heights.get(params[0]) if params and isinstance(params[0], str) else None
    known = height is not None and chain.height - (chain.slot - slot) <= height + HASH_BLOCKS
    return with_context(slot, known)


def block_height(chain: LocalChain, params: list[Any]) -> int:
    """Answers getBlockHeight."""
    return chain.height - (chain.slot - slot_of(chain, config_of(params, 0)))


def slot(chain: LocalChain, params: list[Any]) -> int:
    """Answers getSlot."""
    return slot_of(chain, config_of(params, 0))


def epoch_info(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getEpochInfo, by the epoch schedule sysvar."""
    at = slot_of(chain, config_of(params, 0))
    schedule = chain.vm.svm.get_epoch_schedule()
    epoch = schedule.get_epoch(at)
    return {
        "absoluteSlot": at,
        "blockHeight": chain.height - (chain.slot - at),
        "epoch": epoch,
        "slotIndex": at - schedule.get_first_slot_in_epoch(epoch),
        "slotsInEpoch": schedule.get_slots_in_epoch(epoch),
        "transactionCount": chain.landed,
    }


def transaction_count(chain: LocalChain, params: list[Any]) -> int:
    """Answers getTransactionCount: what has landed by the slot of the commitment asked for."""
    at = slot_of(chain, config_of(params, 0))
    return chain.landed - sum(1 for landing in chain.ledger.values() if landing.slot > at)


def slot_leader(chain: LocalChain, params: list[Any]) -> str:
    """Answers getSlotLeader: one node makes every block here, and it is nobody."""
    slot_of(chain, config_of(params, 0))
    return SYSTEM


def slot_leaders(chain: LocalChain, params: list[Any]) -> list[str]:
    """Answers getSlotLeaders."""
    del chain
    count = params[1] if len(params) > 1 else None
    if not isinstance(count, int) or not 0 < count <= MOST_LEADERS:
        raise Refused(INVALID_PARAMS, f"Invalid limit; max {MOST_LEADERS}")
    return [SYSTEM] * count


def version(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getVersion."""
    del chain, params
    return {"solana-core": f"{answers.API_VERSION}-ironcrab-{__version__}", "feature-set": 0}


def health(chain: LocalChain, params: list[Any]) -> str:
    """Answers getHealth."""
    del chain, params
    return "ok"


def genesis_hash(chain: LocalChain, params: list[Any]) -> str:
    """Answers getGenesisHash: that of no public network."""
    del params
    return chain.blocks[min(chain.blocks)].previous_hash


def rent_minimum(chain: LocalChain, params: list[Any]) -> int:
    """Answers getMinimumBalanceForRentExemption, by the Rent sysvar."""
    size = params[0] if params else None
    if not isinstance(size, int) or not 0 <= size <= 10 * 2**20:
        raise Refused(INVALID_PARAMS, f"Invalid params: {str(size)[:40]!r} is no length of an account")
    minimum: int = chain.vm.svm.minimum_balance_for_rent_exemption(size)
    return minimum


def performance_samples(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getRecentPerformanceSamples: one sample of a minute, from which a client reads the slot time."""
    del params
    slots = max(60_000 // max(chain.slot_ms, 1), 1)
    row = {"slot": chain.slot, "numTransactions": chain.landed, "numSlots": slots, "samplePeriodSecs": 60}
    return [{**row, "numNonVoteTransactions": chain.landed}]


def prioritization_fees(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getRecentPrioritizationFees: per block the least price that landed and wrote a key (0: none)."""
    wanted = [key_of(text) for text in texts_at(params, 0, 128)] if params and params[0] is not None else []
    least: dict[int, int] = {}
    for landing in chain.ledger.values():
        if chain.slot - landing.slot > SHOWN_BLOCKS:
            continue
        accounts = landing.ran.accounts
        written = (key for key, flag in zip(accounts.keys, accounts.writable, strict=True) if flag)
        if not wanted or any(key in wanted for key in written):
            least[landing.slot] = min(least.get(landing.slot, landing.price), landing.price)
    first = max(chain.slot - SHOWN_BLOCKS, chain.first_slot)
    return [{"slot": at, "prioritizationFee": least.get(at, 0)} for at in range(first, chain.slot)]


# accounts


def account_info(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getAccountInfo."""
    config = config_of(params, 1)
    account = encoded_account(chain, chain.vm.account(key_at(params, 0)), config)
    return with_context(slot_of(chain, config), account)


def multiple_accounts(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getMultipleAccounts."""
    config = config_of(params, 1)
    keys = [key_of(text) for text in texts_at(params, 0, MOST_ACCOUNTS)]
    return with_context(slot_of(chain, config), [encoded_account(chain, chain.vm.account(key), config) for key in keys])


def balance(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getBalance."""
    return with_context(slot_of(chain, config_of(params, 1)), chain.vm.balance(key_at(params, 0)))


def token_account_balance(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getTokenAccountBalance."""
    holding = chain.vm.holding(chain.vm.account(key_at(params, 0)))
    if holding is None:
        raise Refused(INVALID_PARAMS, "Invalid param: could not find account")
    value = answers.ui_amount(holding.amount, holding.decimals)
    return with_context(slot_of(chain, config_of(params, 1)), value)


def token_accounts_by_owner(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getTokenAccountsByOwner, by mint or by program."""
    owner, which, config = key_at(params, 0), config_of(params, 1), config_of(params, 2)
    mint = which.get("mint")
    if mint is not None:
        minted = chain.vm.account(key_of(mint))
        if minted is None or str(minted.owner) not in TOKEN_PROGRAMS:
            raise Refused(INVALID_PARAMS, "Invalid param: could not find mint")
        program = minted.owner
    else:
        program = key_of(which.get("programId"))
        if str(program) not in TOKEN_PROGRAMS:
            raise Refused(INVALID_PARAMS, "Invalid param: unrecognized Token program id")
    rows = []
    for key, account in chain.vm.svm.get_program_accounts(program):
        holding = chain.vm.holding(account)
        if holding is not None and holding.owner == str(owner) and mint in (None, holding.mint):
            rows.append({"pubkey": str(key), "account": encoded_account(chain, account, config)})
    return with_context(slot_of(chain, config), sorted(rows, key=lambda row: str(row["pubkey"])))


def program_accounts(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getProgramAccounts with memcmp, dataSize and tokenAccountState filters."""
    program, config = key_at(params, 0), config_of(params, 1)
    filters = config.get("filters") or []
    if not isinstance(filters, list) or len(filters) > 4:
        raise Refused(INVALID_PARAMS, "Invalid params: at most 4 filters")
    tests = [_filter(one) for one in filters]
    rows = [
        {"pubkey": str(key), "account": encoded_account(chain, account, config)}
        for key, account in chain.vm.svm.get_program_accounts(program)
        if all(test(bytes(account.data)) for test in tests)
    ]
    rows.sort(key=lambda row: str(row["pubkey"]))
    return with_context(slot_of(chain, config), rows) if config.get("withContext") is True else rows


def _filter(told: Any) -> Callable[[bytes], bool]:
    if not isinstance(told, dict):
        raise Refused(INVALID_PARAMS, "Invalid params: a filter is an object")
    if isinstance(told.get("dataSize"), int):
        size = told["dataSize"]
        return lambda data: len(data) == size
    if "tokenAccountState" in told:
        return lambda data: len(data) >= 165 and data[108] != 0
    compared = told.get("memcmp")
    if not isinstance(compared, dict) or not isinstance(compared.get("offset"), int):
        raise Refused(INVALID_PARAMS, "Invalid params: a filter is memcmp or dataSize")
    start, text = compared["offset"], compared.get("bytes", "")
    try:
        if isinstance(text, list):
            wanted = bytes(text)
        elif compared.get("encoding") == "base64":
            wanted = base64.b64decode(text, validate=True)
        else:
            wanted = base58.decode(text)
    except (ValueError, TypeError) as error:
        raise Refused(INVALID_PARAMS, "Invalid params: memcmp bytes cannot be decoded") from error
    return lambda data: data[start : start + len(wanted)] == wanted


# transactions


def _transaction(params: list[Any], config: dict[str, Any]) -> bytes:
    text = params[0] if params else None
    if not isinstance(text, str):
        raise Refused(INVALID_PARAMS, "Invalid params: a transaction is expected")
    try:
        if config.get("encoding", "base58") == "base64":
            return base64.b64decode(text, validate=True)
        return base58.decode(text)
    except (binascii.Error, ValueError) as error:
        raise Refused(INVALID_PARAMS, f"invalid encoding of the transaction: {error}") from error


def send_transaction(chain: LocalChain, params: list[Any]) -> str:
    """Answers sendTransaction: a receipt, no landing."""
    config = config_of(params, 1)
    if "minContextSlot" in config:
        slot_of(chain, {**config, "commitment": config.get("preflightCommitment", "finalized")})
    return chain.submit(_transaction(params, config), skip_preflight=config.get("skipPreflight") is True)


def simulate_transaction(chain: LocalChain, params: list[Any]) -> Any:
    """Answers simulateTransaction."""
    config = config_of(params, 1)
    verify, replace = config.get("sigVerify") is True, config.get("replaceRecentBlockhash") is True
    if verify and replace:
        raise Refused(INVALID_PARAMS, "sigVerify may not be used with replaceRecentBlockhash")
    transaction = chain.decoded(_transaction(params, config))
    at = slot_of(chain, config)
    early = None if replace else chain.early_error(transaction)
    if early is not None:
        return with_context(at, answers.early(early))
    ran = chain.vm.simulate(transaction, verify=verify)
    value = answers.simulated(ran, inner=config.get("innerInstructions") is True)
    if replace:
        blockhash, last = chain.blockhash_at(commitment_of(config))
        value["replacementBlockhash"] = {"blockhash": blockhash, "lastValidBlockHeight": last}
    wanted = config.get("accounts")
    if wanted is not None:
        value["accounts"] = _after(chain, transaction, ran, wanted)
    return with_context(at, value)


def _after(chain: LocalChain, transaction: VersionedTransaction, ran: Any, wanted: Any) -> Any:
    if not isinstance(wanted, dict):
        raise Refused(INVALID_PARAMS, "Invalid params: accounts is an object")
    addresses = [key_of(text) for text in texts_at([wanted.get("addresses")], 0, MOST_ACCOUNTS)]
    encoding = wanted.get("encoding", "base64")
    if encoding not in ("base64", "base64+zstd", "jsonParsed"):
        raise Refused(INVALID_PARAMS, "base58 encoding not supported")
    if len(addresses) > len(transaction.message.account_keys) + len(ran.accounts.loaded_writable):
        raise Refused(INVALID_PARAMS, "Too many accounts provided")
    if ran.err is not None:
        return [None for _ in addresses]
    after = dict(zip(ran.accounts.keys, ran.after, strict=True))
    return [encoded_account(chain, after.get(key), {"encoding": encoding}) for key in addresses]


def signature_statuses(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getSignatureStatuses; the script may hide one for a while."""
    rows: list[Any] = []
    for text in texts_at(params, 0, MOST_SIGNATURES):
        landing = chain.ledger.get(text)
        hidden = landing is not None and chain.slot < landing.slot + chain.fates.amount("hide", text)
        rows.append(None if landing is None or hidden else answers.status(chain, landing))
    return with_context(chain.slot, rows)


def transaction(chain: LocalChain, params: list[Any]) -> Any:
    """Answers getTransaction in base64 or json; null below the commitment asked for."""
    config = config_of(params, 1)
    text = params[0] if params else None
    landing = chain.ledger.get(text) if isinstance(text, str) else None
    wanted = commitment_of(config)
    if wanted == "processed":
        raise Refused(INVALID_PARAMS, "Method does not support commitment below `confirmed`")
    if landing is None or landing.slot > chain.slot_at(wanted):
        return None
    check_version(landing, config)
    return answers.landed(landing, config.get("encoding", "json"))


def airdrop(chain: LocalChain, params: list[Any]) -> str:
    """Answers requestAirdrop."""
    lamports = params[1] if len(params) > 1 else None
    if not isinstance(lamports, int) or not 0 < lamports < 2**56:
        raise Refused(INVALID_PARAMS, "Invalid params: lamports are expected")
    return chain.airdrop(key_at(params, 0), lamports)


def advance(chain: LocalChain, params: list[Any]) -> int:
    """Answers localnet_advance, ours: close that many slots at once (default 1); the slot that is built then."""
    slots = params[0] if params else 1
    if not isinstance(slots, int) or not 0 < slots <= 10_000:
        raise Refused(INVALID_PARAMS, "Invalid params: a number of slots from 1 to 10000 is expected")
    chain.advance(slots)
    return chain.slot


CALLS: tuple[tuple[str, Call], ...] = (
    ("getLatestBlockhash", latest_blockhash),
    ("isBlockhashValid", is_blockhash_valid),
    ("getBlockHeight", block_height),
    ("getSlot", slot),
    ("getEpochInfo", epoch_info),
    ("getTransactionCount", transaction_count),
    ("getSlotLeader", slot_leader),
    ("getSlotLeaders", slot_leaders),
    ("getVersion", version),
    ("getHealth", health),
    ("getGenesisHash", genesis_hash),
    ("getMinimumBalanceForRentExemption", rent_minimum),
    ("getRecentPerformanceSamples", performance_samples),
    ("getRecentPrioritizationFees", prioritization_fees),
    ("getAccountInfo", account_info),
    ("getMultipleAccounts", multiple_accounts),
    ("getBalance", balance),
    ("getTokenAccountBalance", token_account_balance),
    ("getTokenAccountsByOwner", token_accounts_by_owner),
    ("getProgramAccounts", program_accounts),
    ("sendTransaction", send_transaction),
    ("simulateTransaction", simulate_transaction),
    ("getSignatureStatuses", signature_statuses),
    ("getTransaction", transaction),
    ("getBlock", block),
    ("getBlocks", blocks),
    ("getBlockTime", block_time),
    ("getFirstAvailableBlock", first_block),
    ("getSignaturesForAddress", signatures_for),
    ("getFeeForMessage", fee_for_message),
    ("requestAirdrop", airdrop),
    ("localnet_advance", advance),
)
"""Every method, written by hand."""
