"""Mints as token instructions make them and as their accounts say them: `TokenMintInfo`.

Instruction tags of both token programs (facts: spl-token-2022 `instruction.rs`): 0 InitializeMint and
20 InitializeMint2 (u8 decimals, 32 mint authority, option freeze authority; account 0 is the mint), 6 SetAuthority
(u8 kind 0 mint or 1 freeze, option key), 7 MintTo, 14 MintToChecked, 8 Burn, 15 BurnChecked, 255 Batch
((u8 accounts, u8 length, data) repeated, no nesting). Extension inits stand before InitializeMint in the same
transaction and name the mint as account 0.
"""

from collections.abc import Iterable, Iterator

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN_PROGRAMS
from ironcrab.dex.face import Call
from ironcrab.dex.mint import Mint
from ironcrab.domain.market import TokenMintInfo

_EXTENSION_INITS = {
    b"\x19": "MintCloseAuthority",
    b"\x1a\x00": "TransferFeeConfig",
    b"\x1b\x00": "ConfidentialTransferMint",
    b"\x1c\x00": "DefaultAccountState",
    b"\x20": "NonTransferable",
    b"\x21\x00": "InterestBearingConfig",
    b"\x23": "PermanentDelegate",
    b"\x24\x00": "TransferHook",
    b"\x25\x00": "ConfidentialTransferFeeConfig",
    b"\x27\x00": "MetadataPointer",
    b"\x28\x00": "GroupPointer",
    b"\x29\x00": "GroupMemberPointer",
    b"\x2a\x00": "ConfidentialMintBurn",
    b"\x2b\x00": "ScaledUiAmount",
    b"\x2c\x00": "Pausable",
    b"\x2e\x00": "PermissionedBurn",
    bytes.fromhex("d2e11ea258b84d8d"): "TokenMetadata",
}
"""First bytes of an extension's init instruction -> the extension's name (Token-2022)."""

_U64 = 2**64


def mint_infos(calls: Iterable[Call], slot: int | None) -> list[TokenMintInfo]:
    """The mints that these calls (one transaction's, in execution order) initialised, as they stand at its end.

    Supply and authorities follow what the same transaction minted, burned and gave up afterwards.
    """
    made: dict[str, Mint] = {}
    extensions: dict[str, list[str]] = {}
    for program, data, accounts in _token_instructions(calls):
        name = _extension(data)
        if name is not None:
            extensions.setdefault(accounts[0], []).append(name)
        elif data[0] in (0, 20):
            mint = _initialised(program, data)
            if mint is not None:
                made[accounts[0]] = mint
        elif data[0] in (6, 7, 8, 14, 15):
            _follow(made, data, accounts)
    return [info_of(key, mint, tuple(extensions.get(key, ())), slot) for key, mint in made.items()]


def _token_instructions(calls: Iterable[Call]) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    """Program, data and accounts of each token instruction that names an account; batches opened."""
    for call in calls:
        if call.program not in TOKEN_PROGRAMS or not call.data or not call.accounts:
            continue
        if call.data[0] != 255:
            yield call.program, call.data, call.accounts
            continue
        at, taken = 1, 0
        while at + 2 <= len(call.data):
            accounts, size = call.data[at], call.data[at + 1]
            data = call.data[at + 2 : at + 2 + size]
            if data and accounts and taken + accounts <= len(call.accounts):
                yield call.program, data, call.accounts[taken : taken + accounts]
            at, taken = at + 2 + size, taken + accounts


def _extension(data: bytes) -> str | None:
    for opening in (data[:1], data[:2], data[:8]):
        if opening in _EXTENSION_INITS:
            return _EXTENSION_INITS[opening]
    return None


def _initialised(program: str, data: bytes) -> Mint | None:
    if len(data) < 35:
        return None
    freeze = base58.key(data[35:67]) if data[34] == 1 and len(data) >= 67 else None
    return Mint(program, data[1], 0, base58.key(data[2:34]), freeze)


def _follow(made: dict[str, Mint], data: bytes, accounts: tuple[str, ...]) -> None:
    """Apply SetAuthority, MintTo and Burn to a mint made before in this transaction."""
    at = 1 if data[0] in (8, 15) else 0
    key = accounts[at] if at < len(accounts) else ""
    mint = made.get(key)
    if mint is None:
        return
    supply, minter, freezer = mint.supply, mint.mint_authority, mint.freeze_authority
    if data[0] == 6 and len(data) >= 3:
        heir = base58.key(data[3:35]) if data[2] == 1 and len(data) >= 35 else None
        minter = heir if data[1] == 0 else minter
        freezer = heir if data[1] == 1 else freezer
    elif len(data) >= 9:
        amount = int.from_bytes(data[1:9], "little")
        supply += amount if data[0] in (7, 14) else -amount
    if 0 <= supply < _U64:
        made[key] = Mint(mint.program, mint.decimals, supply, minter, freezer)


def info_of(
    key: str, mint: Mint, extensions: tuple[str, ...], slot: int | None, source: str = "geyser"
) -> TokenMintInfo:
    """The event of a mint at this address."""
    return TokenMintInfo(
        mint=key,
        token_program=mint.program,
        decimals=mint.decimals,
        supply=mint.supply,
        mint_authority=mint.mint_authority,
        freeze_authority=mint.freeze_authority,
        slot=slot,
        source=source,
        extensions=extensions,
    )
