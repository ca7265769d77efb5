"""Programs and accounts that a local chain starts with, read from folders.

Programs: `<program id>.so`. Accounts: `*.json` as `solana account --output json` writes them: {"pubkey", "account":
{"lamports", "data": [text, "base64"], "owner", "executable", "rentEpoch"}}; a file may hold one or a list. An account
at the Rent sysvar sets the chain's rent rate; active feature gates among them are switched on.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import msgspec
from solders.account import Account
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey

from ironcrab.dex.address import is_key
from ironcrab.domain.fault import InputFault
from ironcrab.shell.vm import Vm

RENT_SYSVAR = "SysvarRent111111111111111111111111111111111"
SYSVARS = "Sysvar1111111111111111111111111111111111111"
FEATURE = "Feature111111111111111111111111111111111111"
ELF = b"\x7fELF"


def load(vm: Vm, programs: Path | None, accounts: Path | None) -> tuple[int, int]:
    """Put the programs and accounts of two folders into the machine; how many of each.

    Raises:
        InputFault: a folder or file cannot be used.
    """
    placed = _accounts(accounts) if accounts else []
    for key, account in placed:
        _place_account(vm, key, account)
    binaries = _files(programs, "*.so") if programs else []
    for path in binaries:
        _add_program(vm, path)
    _switch_features(vm)
    return len(binaries), len(placed)


def _files(folder: Path, pattern: str) -> list[Path]:
    if not folder.is_dir():
        raise InputFault(f"{folder} is no folder; name one that holds {pattern} files")
    return sorted(folder.glob(pattern))


def _add_program(vm: Vm, path: Path) -> None:
    if not is_key(path.stem):
        raise InputFault(f"program file {path} is not named by its program id; rename it to <program id>.so")
    code = _bytes(path)
    if not code.startswith(ELF):
        raise InputFault(f"program file {path} is no ELF binary; dump it with: solana program dump {path.stem}")
    try:
        vm.svm.add_program(Pubkey.from_string(path.stem), code)
    except Exception as error:  # noqa: BLE001 - the binding does not export its error's type
        raise InputFault(f"program file {path} is refused by the virtual machine: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputFault(f"{path} cannot be read: {error.strerror}") from error


def _accounts(folder: Path) -> list[tuple[str, Account]]:
    found = []
    for path in _files(folder, "*.json"):
        try:
            told = msgspec.json.decode(_bytes(path))
        except msgspec.DecodeError as error:
            raise InputFault(f"account file {path} is no JSON: {error}") from error
        found += [_account(one, path) for one in (told if isinstance(told, list) else [told])]
    return found


def _account(told: Any, path: Path) -> tuple[str, Account]:
    """One account of a file; InputFault names what is wrong with it."""
    try:
        key, account = told["pubkey"], told["account"]
        text, encoding = account["data"]
        lamports, owner = account["lamports"], account["owner"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputFault(f"account file {path} lacks {error}; write it with: solana account --output json") from error
    if not (isinstance(key, str) and is_key(key) and isinstance(owner, str) and is_key(owner)):
        raise InputFault(f"account file {path} names {str(key)[:50]!r} of owner {str(owner)[:50]!r}: not both are keys")
    if encoding != "base64" or not isinstance(lamports, int) or not 0 <= lamports < 2**64:
        raise InputFault(f"account file {path}: {key} needs base64 data and lamports as a number below 2^64")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InputFault(f"account file {path}: the data of {key} is no base64") from error
    executable = account.get("executable") is True
    return key, Account(lamports, data, Pubkey.from_string(owner), executable)


def _place_account(vm: Vm, key: str, account: Account) -> None:
    if key == RENT_SYSVAR and len(account.data) >= 8:
        vm.set_rent_rate(int.from_bytes(bytes(account.data)[:8], "little"))
    elif str(account.owner) != SYSVARS:
        vm.svm.set_account(Pubkey.from_string(key), account)


def _switch_features(vm: Vm) -> None:
    """Make the machine's features those that the gate accounts say (byte 0 is 1, then the u64 slot)."""
    features = LiteSVM.mainnet_feature_set()
    known = {*features.active, *features.inactive}
    changed = False
    for key, account in vm.svm.get_program_accounts(Pubkey.from_string(FEATURE)):
        data = bytes(account.data)
        if data[:1] == b"\x01" and key in known and not features.is_active(key):
            features.activate(key, int.from_bytes(data[1:9], "little"))
            changed = True
    if changed:
        vm.svm.with_feature_set(features)
