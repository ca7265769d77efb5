"""Mints and token accounts of SPL Token and Token-2022: layouts, extensions, the transfer fee both ways.

Layouts are little-endian and packed. Base mint 82 bytes, base account 165 bytes; Token-2022 may add an
account type at byte 165 (1 mint, 2 account) and from 166 entries of u16 type, u16 length, value
(spl-token-2022, `extension/mod.rs`). An extension type unknown here makes a mint untradable: it never
counts as no extension.
"""

from functools import lru_cache
from struct import Struct as Layout
from struct import unpack_from

from msgspec import Struct

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN, TOKEN_PROGRAMS
from ironcrab.dex.face import DECODED, Account, Refusal

BPS = 10_000
U64 = 2**64 - 1
MINT_BYTES = 82
ACCOUNT_BYTES = 165
_MULTISIG_BYTES = 355
_TLV = 166
_ZERO = bytes(32)

EXTENSIONS = (
    "Uninitialized",
    "TransferFeeConfig",
    "TransferFeeAmount",
    "MintCloseAuthority",
    "ConfidentialTransferMint",
    "ConfidentialTransferAccount",
    "DefaultAccountState",
    "ImmutableOwner",
    "MemoTransfer",
    "NonTransferable",
    "InterestBearingConfig",
    "CpiGuard",
    "PermanentDelegate",
    "NonTransferableAccount",
    "TransferHook",
    "TransferHookAccount",
    "ConfidentialTransferFeeConfig",
    "ConfidentialTransferFeeAmount",
    "MetadataPointer",
    "TokenMetadata",
    "GroupPointer",
    "TokenGroup",
    "GroupMemberPointer",
    "TokenGroupMember",
    "ConfidentialMintBurn",
    "ScaledUiAmount",
    "Pausable",
    "PausableAccount",
    "PermissionedBurn",
)
"""Extension names by their type number (spl-token-2022, `ExtensionType`)."""

_LENGTHS = {
    "TransferFeeConfig": 108,
    "TransferFeeAmount": 8,
    "MintCloseAuthority": 32,
    "DefaultAccountState": 1,
    "PermanentDelegate": 32,
    "TransferHook": 64,
    "Pausable": 33,
}
"""Value lengths of the extensions that are read here."""

_MINT = Layout("<I32sQBBI32s")
_ACCOUNT = Layout("<32s32sQI32sBIQQI32s")
_FEES = Layout("<32s32sQQQHQQH")


class FeeSchedule(Struct, frozen=True, gc=False):
    """A transfer fee from an epoch on: at most `maximum` raw units, `bps` of the amount, rounded up."""

    epoch: int
    maximum: int
    bps: int

    def fee_on(self, amount: int) -> int:
        """Raw units withheld from a transfer of `amount`."""
        return min(-(-amount * self.bps // BPS), self.maximum)

    def before_fee(self, net: int) -> int:
        """The least raw amount to send so that `net` arrives (Token-2022 `calculate_pre_fee_amount`).

        At 10000 bps the program answers net plus the maximum fee. The result may exceed a u64, where the
        program would fail: the caller looks.
        """
        if self.bps == 0 or net == 0:
            return net
        if self.bps == BPS:
            return net + self.maximum
        gross = -(-net * BPS // (BPS - self.bps))
        return min(gross, net + self.maximum)


class TransferFeeConfig(Struct, frozen=True, gc=False):
    """Extension 1 of a mint: who may change the fee and withdraw it, raw units withheld, both schedules."""

    authority: str | None
    withdraw_authority: str | None
    withheld: int
    older: FeeSchedule
    newer: FeeSchedule


class Metadata(Struct, frozen=True, gc=False):
    """Extension 19 of a mint. The texts are the issuer's: never a key, escape before display."""

    update_authority: str | None
    mint: str
    name: str
    symbol: str
    uri: str


class Mint(Struct, frozen=True, gc=False):
    """A decoded mint.

    Attributes:
        program: token program that owns it, base58.
        decimals: decimal places of one whole token.
        supply: raw units.
        mint_authority: who may mint; None is renounced.
        freeze_authority: who may freeze accounts; None is nobody.
        extensions: names in the order of their entries; a type unknown here is `Unknown<number>`.
        transfer_fee: the fee configuration, None without extension 1.
        transfer_hook: program called on each transfer; None without extension 14 or with no program set.
        permanent_delegate: who may move anybody's tokens (extension 12).
        close_authority: who may close the mint at supply 0 (extension 3).
        pause_authority: who may pause transfers (extension 26).
        paused: transfers, mints and burns are paused.
        born_frozen: new accounts start frozen (extension 6).
        metadata: name and symbol kept in the mint itself (extension 19).
    """

    program: str
    decimals: int
    supply: int
    mint_authority: str | None
    freeze_authority: str | None
    extensions: tuple[str, ...] = ()
    transfer_fee: TransferFeeConfig | None = None
    transfer_hook: str | None = None
    permanent_delegate: str | None = None
    close_authority: str | None = None
    pause_authority: str | None = None
    paused: bool = False
    born_frozen: bool = False
    metadata: Metadata | None = None


class TokenAccount(Struct, frozen=True, gc=False):
    """A decoded token account.

    Attributes:
        program: token program that owns it, base58.
        mint: mint of its tokens.
        owner: who may move them.
        amount: raw units; for a native account the lamports above the reserve as of the last sync.
        delegate: who may move `delegated` raw units too, or None.
        frozen: no transfer in or out.
        reserve: rent reserve in lamports of a native account, None for an ordinary one.
        delegated: raw units the delegate may still move.
        close_authority: who may close it instead of the owner, or None.
        extensions: names in the order of their entries.
        withheld: raw units of transfer fees kept in it (extension 2).
    """

    program: str
    mint: str
    owner: str
    amount: int
    delegate: str | None
    frozen: bool
    reserve: int | None
    delegated: int
    close_authority: str | None
    extensions: tuple[str, ...] = ()
    withheld: int = 0


@lru_cache(maxsize=DECODED)
def decode_mint(account: Account) -> Mint | Refusal:
    """A mint of either token program, or why these bytes are none. Never raises."""
    wrong = _shape(account, MINT_BYTES, 1)
    if wrong is not None:
        return Refusal(None, f"no mint: {wrong}")
    data = account.data
    mint_tag, mint_key, supply, decimals, initialised, freeze_tag, freeze_key = _MINT.unpack_from(data)
    if initialised != 1:
        return Refusal(None, f"no mint: byte 45 is {initialised}, an initialised mint has 1")
    entries = _entries(data)
    if isinstance(entries, str):
        return Refusal(None, f"no mint: {entries}")
    fees = _fee_config(entries.get("TransferFeeConfig"))
    if fees is not None and max(fees.older.bps, fees.newer.bps) > BPS:
        return Refusal(None, f"no mint: a transfer fee above {BPS} bps")
    pausable = entries.get("Pausable", b"")
    metadata = _metadata(entries.get("TokenMetadata"))
    return Mint(
        program=account.owner,
        decimals=decimals,
        supply=supply,
        mint_authority=base58.key(mint_key) if mint_tag else None,
        freeze_authority=base58.key(freeze_key) if freeze_tag else None,
        extensions=tuple(entries),
        transfer_fee=fees,
        transfer_hook=_maybe_key(entries.get("TransferHook", b"")[32:64]),
        permanent_delegate=_maybe_key(entries.get("PermanentDelegate", b"")),
        close_authority=_maybe_key(entries.get("MintCloseAuthority", b"")),
        pause_authority=_maybe_key(pausable[:32]),
        paused=pausable[32:33] not in (b"", b"\0"),
        born_frozen=entries.get("DefaultAccountState") == b"\2",
        metadata=metadata,
    )


@lru_cache(maxsize=DECODED)
def decode_token(account: Account) -> TokenAccount | Refusal:
    """A token account of either token program, or why these bytes are none. Never raises."""
    wrong = _shape(account, ACCOUNT_BYTES, 2)
    if wrong is not None:
        return Refusal(None, f"no token account: {wrong}")
    data = account.data
    mint, owner, amount, delegate_tag, delegate, state, *rest = _ACCOUNT.unpack_from(data)
    native_tag, reserve, delegated, close_tag, closer = rest
    if state not in (1, 2):
        return Refusal(None, f"no token account: state {state} at byte 108, an initialised one has 1 or 2")
    entries = _entries(data)
    if isinstance(entries, str):
        return Refusal(None, f"no token account: {entries}")
    return TokenAccount(
        program=account.owner,
        mint=base58.key(mint),
        owner=base58.key(owner),
        amount=amount,
        delegate=base58.key(delegate) if delegate_tag else None,
        frozen=state == 2,
        reserve=reserve if native_tag else None,
        delegated=delegated,
        close_authority=base58.key(closer) if close_tag else None,
        extensions=tuple(entries),
        withheld=int.from_bytes(entries.get("TransferFeeAmount", b""), "little"),
    )


def balance(account: Account) -> int | None:
    """Raw units in a token account, read without decoding the rest; None when it is no initialised one."""
    if _shape(account, ACCOUNT_BYTES, 2) is not None or account.data[108] not in (1, 2):
        return None
    return amount_of(account)


def amount_of(account: Account) -> int:
    """Raw units in an account that is known to be a token account."""
    return int.from_bytes(account.data[64:72], "little")


def is_frozen(account: Account) -> bool:
    """Whether a token account whose balance was read is frozen (state 2 at byte 108)."""
    return account.data[108] == 2


def moved(account: Account, delta: int, withheld: int = 0) -> Account:
    """A token account after a transfer: `delta` raw units more (or fewer), `withheld` more kept as fee.

    The lamports of a native account move with its amount. The caller has read the balance and knows that the
    new amounts are u64; without extension 2 nothing is kept.
    """
    data = bytearray(account.data)
    data[64:72] = (amount_of(account) + delta).to_bytes(8, "little")
    at = _value_offset(account.data, EXTENSIONS.index("TransferFeeAmount")) if withheld else None
    if at is not None:
        kept = (int.from_bytes(data[at : at + 8], "little") + withheld) & U64
        data[at : at + 8] = kept.to_bytes(8, "little")
    native = data[109:113] != b"\0\0\0\0"
    return Account(account.owner, account.lamports + (delta if native else 0), bytes(data))


def with_amount(account: Account, amount: int) -> Account:
    """A token account that holds `amount` raw units instead (see `moved`)."""
    return moved(account, amount - amount_of(account))


def schedule(mint: Mint, epoch: int) -> FeeSchedule | None:
    """The transfer fee in force in an epoch: the newer one from its own epoch on. None when there is none."""
    fees = mint.transfer_fee
    if fees is None:
        return None
    return fees.newer if epoch >= fees.newer.epoch else fees.older


def fee_on(mint: Mint, amount: int, epoch: int) -> int:
    """Raw units withheld from a transfer of `amount`: its bps rounded up, at most the maximum."""
    fee = schedule(mint, epoch)
    return 0 if fee is None else fee.fee_on(amount)


def amount_before_fee(mint: Mint, net: int, epoch: int) -> int:
    """The least raw amount to send so that `net` arrives (see `FeeSchedule.before_fee`)."""
    fee = schedule(mint, epoch)
    return net if fee is None else fee.before_fee(net)


def transfer_refusal(mint: Mint, address: str) -> Refusal | None:
    """Why a plain TransferChecked of this mint fails, with the token program's error; None when it works."""
    if "NonTransferable" in mint.extensions:
        return Refusal(37, f"mint {address} is not transferable")
    if mint.paused:
        return Refusal(67, f"mint {address} is paused")
    if mint.transfer_hook is not None:
        return Refusal(None, f"mint {address} calls the hook {mint.transfer_hook} on each transfer")
    unknown = next((name for name in mint.extensions if name.startswith("Unknown")), None)
    if unknown is not None:
        return Refusal(None, f"mint {address} has the extension {unknown}, whose effect is not known here")
    return None


def _shape(account: Account, base: int, kind: int) -> str | None:
    """Why an account cannot be what it is taken for (base length, account type 1 mint or 2 account)."""
    size = len(account.data)
    if account.owner not in TOKEN_PROGRAMS:
        return f"its owner {account.owner} is no token program"
    if size == base:
        return None
    if account.owner == TOKEN or size < _TLV or size == _MULTISIG_BYTES:
        return f"{size} bytes, wanted {base}" + ("" if account.owner == TOKEN else " or an extended account")
    if account.data[165] != kind:
        return f"account type {account.data[165]} at byte 165, wanted {kind}"
    return None


def _entries(data: bytes) -> dict[str, bytes] | str:
    """Values of the extension entries by name, in their order, or what is wrong with them."""
    found: dict[str, bytes] = {}
    at = _TLV
    while at + 2 <= len(data):
        number = int.from_bytes(data[at : at + 2], "little")
        if number == 0:
            break
        end = at + 4 + int.from_bytes(data[at + 2 : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            return f"the extension entry at byte {at} runs beyond the {len(data)} bytes"
        name = EXTENSIONS[number] if number < len(EXTENSIONS) else f"Unknown{number}"
        if _LENGTHS.get(name, end - at - 4) != end - at - 4:
            return f"extension {name} at byte {at} has {end - at - 4} bytes, wanted {_LENGTHS[name]}"
        found.setdefault(name, data[at + 4 : end])
        at = end
    return found


def _value_offset(data: bytes, number: int) -> int | None:
    """Offset of the value of an extension entry of a decoded account, or None when it is not there."""
    at = _TLV
    while at + 4 <= len(data):
        if int.from_bytes(data[at : at + 2], "little") == number:
            return at + 4
        at += 4 + int.from_bytes(data[at + 2 : at + 4], "little")
    return None


def _maybe_key(raw: bytes) -> str | None:
    """A key where all zeros, or nothing, mean none."""
    return None if raw in (b"", _ZERO) else base58.key(raw)


def _fee_config(raw: bytes | None) -> TransferFeeConfig | None:
    if raw is None:
        return None
    authority, withdrawer, withheld, epoch_a, max_a, bps_a, epoch_b, max_b, bps_b = _FEES.unpack(raw)
    older, newer = FeeSchedule(epoch_a, max_a, bps_a), FeeSchedule(epoch_b, max_b, bps_b)
    return TransferFeeConfig(_maybe_key(authority), _maybe_key(withdrawer), withheld, older, newer)


def _metadata(raw: bytes | None) -> Metadata | None:
    """Name, symbol and uri of extension 19; None too when the entry is cut short (it carries no value)."""
    if raw is None or len(raw) < 64:
        return None
    texts = []
    at = 64
    for _ in range(3):
        if at + 4 > len(raw):
            return None
        (size,) = unpack_from("<I", raw, at)
        if at + 4 + size > len(raw):
            return None
        texts.append(raw[at + 4 : at + 4 + size].decode("utf-8", "replace"))
        at += 4 + size
    return Metadata(_maybe_key(raw[:32]), base58.key(raw[32:64]), *texts)
